//! `redis.replication`: who follows whom, and how far behind. What is not known is null: without a
//! replica there is no lag, and one that is still being filled has none that could be told.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::Link;
use super::{info, stats};
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::runbook::address::host_port;
use crate::runbook::catalog::always_reading;
use crate::runbook::{Spec, TargetKind};

/// How many replicas there are to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Replicas that the master is to have online, for `enough`; in a Cluster, each master.
    #[serde(default)]
    replicas: Option<u32>,
}

/// The action.
pub(super) struct Replication;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    class: always_reading,
    results: &[
        ("role", "master or replica, of the server that was asked"),
        ("connected", "replicas that are connected to it"),
        ("online", "those of them that are in step, not being filled"),
        (
            "enough",
            "whether at least `replicas` are online; null without that parameter, and at a replica",
        ),
        (
            "replicas",
            "each replica: node, state, offset, lag_bytes, lag_s",
        ),
        (
            "max_lag_bytes",
            "bytes that the replica furthest behind has not confirmed; null without replicas, or when one is not online",
        ),
        (
            "max_lag_s",
            "seconds since the longest silent replica was heard of; null as max_lag_bytes",
        ),
        ("offset", "the server's own place in the stream, in bytes"),
        ("master", "at a replica: its master, such as 10.0.0.5:6379"),
        ("link", "at a replica: up or down"),
        (
            "link_down_s",
            "at a replica: seconds since the link went down; null while it is up",
        ),
        (
            "last_io_s",
            "at a replica: seconds since it heard of its master; null while the link is down",
        ),
        (
            "sync_in_progress",
            "at a replica: whether it is being filled by its master",
        ),
        (
            "nodes",
            "in a Cluster: the same of each master, with `node`; null elsewhere",
        ),
    ],
    ..Spec::of::<Params>(
        "redis.replication",
        "read role, replicas, their lag and the link to the master",
    )
};

#[async_trait]
impl Action for Replication {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, _: &Call) -> String {
        "read how the server is replicated".into()
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let params: Params = params(&SPEC, call)?;
        read(Link::open(cx, call).await?, params.replicas).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let params: Params = params(&SPEC, call)?;
        let link = Link::open_reading(cx, call).await?;
        read(link, params.replicas).await.map(Rehearsed::Read)
    }
}

async fn read(mut link: Link, wanted: Option<u32>) -> Result<Value, ActionError> {
    if !link.in_cluster() {
        let info = info::read(&mut link, &["replication"]).await?;
        return Ok(view(&info, wanted));
    }
    let mut nodes = Vec::new();
    for mut link in link.masters().await? {
        let info = info::read(&mut link, &["replication"]).await?;
        let mut node = view(&info, wanted);
        node["node"] = json!(link.address.place);
        nodes.push(node);
    }
    Ok(all(&nodes))
}

/// What one server says.
fn view(info: &Map<String, Value>, wanted: Option<u32>) -> Value {
    let int = |name: &str| info.get(name).and_then(Value::as_i64);
    let role = stats::role(info);
    let offset = match role {
        "replica" => int("slave_repl_offset"),
        _ => int("master_repl_offset"),
    };
    let replicas: Vec<Value> = (0..int("connected_slaves").unwrap_or(0))
        .filter_map(|n| info.get(&format!("slave{n}")))
        .map(|replica| follower(replica, int("master_repl_offset")))
        .collect();
    // one that is counted and not listed may be any distance behind
    let counted = int("connected_slaves").unwrap_or(0);
    let listed = usize::try_from(counted).is_ok_and(|counted| counted == replicas.len());
    let online = replicas.iter().filter(|r| r["state"] == "online").count();
    let at_replica = role == "replica";
    let master = info
        .get("master_host")
        .and_then(Value::as_str)
        .zip(int("master_port").and_then(|port| u16::try_from(port).ok()))
        .map(|(host, port)| host_port(host, port));
    let known = |name: &str| int(name).filter(|seconds| *seconds >= 0);
    json!({
        "role": role,
        "connected": int("connected_slaves"),
        "online": online,
        "enough": wanted
            .filter(|_| role == "master" && listed)
            .map(|wanted| online as u64 >= u64::from(wanted)),
        "max_lag_bytes": furthest(&replicas, "lag_bytes").filter(|_| listed),
        "max_lag_s": furthest(&replicas, "lag_s").filter(|_| listed),
        "replicas": replicas,
        "offset": offset,
        "master": master,
        "link": info.get("master_link_status").filter(|_| at_replica),
        "link_down_s": known("master_link_down_since_seconds").filter(|_| at_replica),
        "last_io_s": known("master_last_io_seconds_ago").filter(|_| at_replica),
        "sync_in_progress": int("master_sync_in_progress")
            .filter(|_| at_replica)
            .map(|syncs| syncs != 0),
        "nodes": null,
    })
}

fn follower(replica: &Value, of: Option<i64>) -> Value {
    let (host, port) = (replica["ip"].as_str(), replica["port"].as_u64());
    let node = host
        .zip(port.and_then(|port| u16::try_from(port).ok()))
        .map(|(host, port)| host_port(host, port));
    let (state, offset) = (&replica["state"], replica["offset"].as_i64());
    let online = state == "online";
    json!({
        "node": node,
        "state": state,
        "offset": offset,
        "lag_bytes": of
            .zip(offset)
            .filter(|_| online)
            .map(|(of, offset)| (of - offset).max(0)),
        "lag_s": replica["lag"].as_i64().filter(|lag| online && *lag >= 0),
    })
}

/// The largest; null when there is none, or one is not known.
fn furthest(list: &[Value], name: &str) -> Option<i64> {
    let each: Option<Vec<i64>> = list.iter().map(|one| one[name].as_i64()).collect();
    each?.into_iter().max()
}

/// All masters of a Cluster as one.
fn all(nodes: &[Value]) -> Value {
    let sum = |name: &str| -> Option<i64> { nodes.iter().map(|node| node[name].as_i64()).sum() };
    let enough: Option<Vec<bool>> = nodes.iter().map(|node| node["enough"].as_bool()).collect();
    let replicas: Vec<&Value> = nodes
        .iter()
        .filter_map(|node| node["replicas"].as_array())
        .flatten()
        .collect();
    json!({
        "role": "master",
        "connected": sum("connected"),
        "online": sum("online"),
        "enough": enough.map(|enough| enough.into_iter().all(|enough| enough)),
        "max_lag_bytes": furthest(nodes, "max_lag_bytes"),
        "max_lag_s": furthest(nodes, "max_lag_s"),
        "replicas": replicas,
        "offset": null,
        "master": null,
        "link": null,
        "link_down_s": null,
        "last_io_s": null,
        "sync_in_progress": null,
        "nodes": nodes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(info: &Value, wanted: Option<u32>) -> Value {
        view(info.as_object().unwrap(), wanted)
    }

    #[test]
    fn no_replica_has_no_lag() {
        let alone = json!({ "role": "master", "connected_slaves": 0, "master_repl_offset": 14 });
        let seen = of(&alone, Some(1));
        assert_eq!(
            (&seen["max_lag_bytes"], &seen["max_lag_s"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(
            (&seen["enough"], &seen["online"]),
            (&json!(false), &json!(0))
        );
        assert_eq!(of(&alone, None)["enough"], Value::Null);
        assert_eq!(of(&json!({}), Some(0))["enough"], Value::Null);
    }

    #[test]
    fn one_that_is_being_filled_hides_no_lag() {
        let replica = |state: &str, offset: i64| json!({ "ip": "::1", "port": 7, "state": state, "offset": offset, "lag": 1 });
        let info = |state: &str| {
            json!({
                "role": "master", "connected_slaves": 2, "master_repl_offset": 100,
                "slave0": replica("online", 90), "slave1": replica(state, 95),
            })
        };
        let seen = of(&info("online"), Some(2));
        assert_eq!(
            (&seen["max_lag_bytes"], &seen["max_lag_s"], &seen["enough"]),
            (&json!(10), &json!(1), &json!(true))
        );
        assert_eq!(seen["replicas"][0]["node"], "[::1]:7");
        let mut hidden = info("online");
        hidden["connected_slaves"] = json!(3);
        let seen = of(&hidden, Some(2));
        for key in ["max_lag_bytes", "max_lag_s", "enough"] {
            assert_eq!(seen[key], Value::Null, "{key}");
        }
        let seen = of(&info("send_bulk"), Some(2));
        assert_eq!(
            (&seen["online"], &seen["enough"]),
            (&json!(1), &json!(false))
        );
        assert_eq!(seen["max_lag_bytes"], Value::Null);
        assert_eq!(seen["replicas"][1]["lag_bytes"], Value::Null);
    }

    #[test]
    fn a_replica_tells_its_own_view() {
        let seen = of(
            &json!({
                "role": "slave", "master_host": "10.0.0.5", "master_port": 6379,
                "master_link_status": "down", "master_last_io_seconds_ago": -1,
                "master_link_down_since_seconds": 12, "master_sync_in_progress": 0,
                "slave_repl_offset": 5, "connected_slaves": 0, "master_repl_offset": 5,
            }),
            Some(0),
        );
        assert_eq!(
            (&seen["role"], &seen["enough"]),
            (&json!("replica"), &Value::Null)
        );
        assert_eq!(
            (&seen["master"], &seen["link"]),
            (&json!("10.0.0.5:6379"), &json!("down"))
        );
        assert_eq!(
            (&seen["last_io_s"], &seen["link_down_s"]),
            (&Value::Null, &json!(12))
        );
        assert_eq!(seen["sync_in_progress"], false);
    }
}
