//! What several servers say, as one: INFO of all masters of a Cluster, with sums where a sum means
//! something. What differs and cannot be added is left out, never taken from one of them.

use serde_json::{Map, Value, json};

use super::client::Link;
use super::info;
use crate::action::ActionError;

/// Fields of INFO that may be added up over servers.
const SUMS: &[&str] = &[
    "acl_access_denied_auth",
    "acl_access_denied_cmd",
    "acl_access_denied_key",
    "blocked_clients",
    "connected_clients",
    "connected_slaves",
    "evicted_keys",
    "expired_keys",
    "instantaneous_ops_per_sec",
    "keyspace_hits",
    "keyspace_misses",
    "maxmemory",
    "pubsub_channels",
    "pubsub_patterns",
    "rejected_connections",
    "sync_full",
    "sync_partial_err",
    "sync_partial_ok",
    "total_commands_processed",
    "total_connections_received",
    "total_error_replies",
    "total_net_input_bytes",
    "total_net_output_bytes",
    "total_reads_processed",
    "total_system_memory",
    "total_writes_processed",
    "tracking_clients",
    "used_memory",
    "used_memory_dataset",
    "used_memory_overhead",
    "used_memory_rss",
    "used_memory_startup",
];

/// INFO of the target: of its server, or of all masters of a Cluster with each of them in `nodes`.
pub(super) async fn info(
    mut link: Link,
    sections: &[&str],
) -> Result<Map<String, Value>, ActionError> {
    if !link.in_cluster() {
        return info::read(&mut link, sections).await;
    }
    let mut places = Vec::new();
    let mut all = Vec::new();
    for mut link in link.masters().await? {
        all.push(info::read(&mut link, sections).await?);
        places.push(link.address.place.clone());
    }
    let mut fields = merged(&all);
    let nodes = places.into_iter().zip(all).map(|(place, mut fields)| {
        fields.insert("node".into(), json!(place));
        Value::Object(fields)
    });
    fields.insert("nodes".into(), nodes.collect());
    Ok(fields)
}

/// Sums, and what all say alike.
pub(super) fn merged(all: &[Map<String, Value>]) -> Map<String, Value> {
    let Some((first, rest)) = all.split_first() else {
        return Map::new();
    };
    let mut fields = Map::new();
    for (name, value) in first {
        if name == "keyspace" {
            continue;
        }
        if SUMS.contains(&name.as_str()) {
            if let Some(sum) = sum(all, name) {
                fields.insert(name.clone(), json!(sum));
            }
        } else if rest.iter().all(|other| other.get(name) == Some(value)) {
            fields.insert(name.clone(), value.clone());
        }
    }
    let limits = all.iter().map(|fields| fields.get("maxmemory"));
    if limits.clone().any(|limit| limit == Some(&json!(0))) {
        // one server without a limit, and there is none for all
        fields.insert("maxmemory".into(), json!(0));
    }
    fields.insert("keyspace".into(), keyspace(all));
    fields
}

/// The sum of a field that every server has.
fn sum(all: &[Map<String, Value>], name: &str) -> Option<i64> {
    all.iter()
        .map(|fields| fields.get(name).and_then(Value::as_i64))
        .sum()
}

/// Keys of each database that any server has.
fn keyspace(all: &[Map<String, Value>]) -> Value {
    let mut dbs = Map::new();
    for fields in all {
        let Some(Value::Object(keyspace)) = fields.get("keyspace") else {
            continue;
        };
        for (db, part) in keyspace {
            let known = dbs
                .entry(db.clone())
                .or_insert_with(|| json!({ "keys": 0, "expires": 0 }));
            for name in ["keys", "expires"] {
                let more = part[name].as_i64().unwrap_or(0);
                known[name] = json!(known[name].as_i64().unwrap_or(0) + more);
            }
        }
    }
    dbs.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_added_is_added() {
        let node = |hits: i64, limit: i64, run: &str, keys: i64| -> Map<String, Value> {
            json!({
                "keyspace_hits": hits, "maxmemory": limit, "run_id": run, "role": "master",
                "used_memory_peak": hits,
                "keyspace": { "db0": { "keys": keys, "expires": 1, "avg_ttl": 7 } },
            })
            .as_object()
            .unwrap()
            .clone()
        };
        let sums = merged(&[node(1, 10, "a", 3), node(2, 20, "b", 4)]);
        assert_eq!(
            Value::Object(sums),
            json!({
                "keyspace_hits": 3, "maxmemory": 30, "role": "master",
                "keyspace": { "db0": { "keys": 7, "expires": 2 } },
            })
        );
        let unbounded = merged(&[node(1, 10, "a", 3), node(2, 0, "b", 4)]);
        assert_eq!(unbounded["maxmemory"], 0);
        let mut silent = node(1, 1, "a", 1);
        silent.remove("keyspace_hits");
        let sums = merged(&[node(1, 1, "a", 1), silent]);
        assert!(sums.get("keyspace_hits").is_none());
    }
}
