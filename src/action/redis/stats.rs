//! `redis.stats`: the figures that people look at, under stable names; also a good snapshot.

use std::time::Instant;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::Link;
use super::trouble::Effect;
use super::{info, spread};
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::runbook::catalog::always_reading;
use crate::runbook::{Spec, TargetKind};

/// Nothing to choose.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {}

/// The action.
pub(super) struct Stats;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    class: always_reading,
    results: &[
        (
            "hit_rate",
            "hits / (hits + misses) since the server started, 0 to 1; null when there were no lookups",
        ),
        ("hits", "lookups that found a key, since the server started"),
        (
            "misses",
            "lookups that found none, since the server started",
        ),
        ("keys", "keys in the target's database"),
        (
            "keys_by_db",
            "keys per database that has any, such as keys_by_db.db0",
        ),
        ("used_memory", "bytes in use"),
        ("used_memory_peak", "most bytes ever in use"),
        ("maxmemory", "the limit in bytes; 0: none"),
        (
            "memory_share",
            "used_memory / maxmemory, 0 to 1; null without a limit",
        ),
        ("connected_clients", "clients, this one among them"),
        ("blocked_clients", "clients that wait in a blocking command"),
        (
            "evicted_keys",
            "keys thrown out for lack of memory, since the server started",
        ),
        (
            "expired_keys",
            "keys that ran out, since the server started",
        ),
        (
            "fragmentation",
            "memory taken from the system / memory in use",
        ),
        ("ops_per_sec", "commands per second now"),
        ("role", "master or replica"),
        ("redis_version", "such as 7.0.15"),
        ("run_id", "the identity of this server process"),
        ("uptime_s", "seconds since the server started"),
        (
            "latency_ms",
            "one PING, in milliseconds; in a Cluster, the slowest of its masters",
        ),
        (
            "nodes",
            "in a Cluster: the same of each master, with `node`; beside it stand sums, shares of sums, and null where neither means something; null elsewhere",
        ),
    ],
    ..Spec::of::<Params>(
        "redis.stats",
        "read hit rate, keys, memory, clients and role",
    )
};

#[async_trait]
impl Action for Stats {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, _: &Call) -> String {
        "read the server's statistics".into()
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let Params {} = params(&SPEC, call)?;
        read(Link::open(cx, call).await?).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let Params {} = params(&SPEC, call)?;
        let link = Link::open_reading(cx, call).await?;
        read(link).await.map(Rehearsed::Read)
    }
}

async fn read(mut link: Link) -> Result<Value, ActionError> {
    if !link.in_cluster() {
        let (info, latency_ms) = one(&mut link).await?;
        let mut found = figures(&info, link.address.db, latency_ms);
        found["nodes"] = Value::Null;
        return Ok(found);
    }
    let mut infos = Vec::new();
    let mut nodes = Vec::new();
    let mut slowest: f64 = 0.0;
    for mut link in link.masters().await? {
        let (info, latency_ms) = one(&mut link).await?;
        let mut node = figures(&info, 0, latency_ms);
        node["node"] = json!(link.address.place);
        nodes.push(node);
        infos.push(info);
        slowest = slowest.max(latency_ms);
    }
    let all = spread::merged(&infos);
    let mut found = figures(&all, 0, slowest);
    let youngest = nodes.iter().map(|node| node["uptime_s"].as_i64()).min();
    found["uptime_s"] = json!(youngest.flatten());
    found["fragmentation"] = share(int(&all, "used_memory_rss"), int(&all, "used_memory"));
    found["nodes"] = Value::Array(nodes);
    Ok(found)
}

/// INFO of one server, and how long a PING took.
async fn one(link: &mut Link) -> Result<(Map<String, Value>, f64), ActionError> {
    let started = Instant::now();
    link.ask(Effect::Reads, &["PING"]).await?;
    let latency_ms = started.elapsed().as_secs_f64() * 1_000.0;
    Ok((info::read(link, &[]).await?, latency_ms))
}

/// `master` or `replica`, from INFO.
pub(super) fn role(info: &Map<String, Value>) -> &'static str {
    match info.get("role").and_then(Value::as_str) {
        Some("master") => "master",
        Some("slave" | "replica") => "replica",
        _ => "unknown",
    }
}

fn int(info: &Map<String, Value>, name: &str) -> Option<i64> {
    info.get(name).and_then(Value::as_i64)
}

/// Null when one is not known, or there is nothing to have a share of.
#[expect(clippy::cast_precision_loss, reason = "a share of counts")]
fn share(part: Option<i64>, whole: Option<i64>) -> Value {
    match part.zip(whole.filter(|whole| *whole != 0)) {
        Some((part, whole)) => json!(part as f64 / whole as f64),
        None => Value::Null,
    }
}

fn figures(info: &Map<String, Value>, db: i64, latency_ms: f64) -> Value {
    let int = |name: &str| int(info, name);
    let text = |name: &str| info.get(name).cloned().unwrap_or(Value::Null);
    let float = |name: &str| info.get(name).and_then(Value::as_f64);
    let by_db: Map<String, Value> = info
        .get("keyspace")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, part)| (name.clone(), part["keys"].clone()))
        .collect();
    let keys = by_db.get(&format!("db{db}")).cloned().unwrap_or(json!(0));
    let (hits, misses) = (int("keyspace_hits"), int("keyspace_misses"));
    json!({
        "hit_rate": share(hits, hits.zip(misses).map(|(hits, misses)| hits + misses)),
        "hits": hits,
        "misses": misses,
        "keys": keys,
        "keys_by_db": by_db,
        "used_memory": int("used_memory"),
        "used_memory_peak": int("used_memory_peak"),
        "maxmemory": int("maxmemory"),
        "memory_share": share(int("used_memory"), int("maxmemory")),
        "connected_clients": int("connected_clients"),
        "blocked_clients": int("blocked_clients"),
        "evicted_keys": int("evicted_keys"),
        "expired_keys": int("expired_keys"),
        "fragmentation": float("mem_fragmentation_ratio"),
        "ops_per_sec": float("instantaneous_ops_per_sec"),
        "role": role(info),
        "redis_version": text("redis_version"),
        "run_id": text("run_id"),
        "uptime_s": int("uptime_in_seconds"),
        "latency_ms": latency_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_lookups_is_not_a_rate() {
        let none = figures(&Map::new(), 0, 1.0);
        assert_eq!(none["hit_rate"], Value::Null);
        assert_eq!(none["memory_share"], Value::Null);
        let info = json!({ "keyspace_hits": 3, "keyspace_misses": 1, "role": "slave" });
        let some = figures(info.as_object().unwrap(), 0, 1.0);
        assert_eq!(some["hit_rate"], json!(0.75));
        assert_eq!(some["role"], json!("replica"));
    }
}
