//! `redis.stats`: the figures that people look at, under stable names; also a good snapshot.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::Link;
use super::trouble::Effect;
use super::{info, spread};
use crate::action::pause::{Stopwatch, sleep};
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::runbook::catalog::always_reading;
use crate::runbook::units::Span;
use crate::runbook::{Spec, TargetKind};

/// The longest interval.
const LONGEST: Duration = Duration::from_secs(60);

/// Whether to look twice.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Look twice, so far apart, up to 60s: for rates over that interval.
    #[serde(default)]
    over: Option<Span>,
}

impl Params {
    fn fit(&self) -> Result<(), String> {
        match self.over {
            Some(Span(over)) if over.is_zero() || over > LONGEST => {
                Err("`over` is up to 60s".into())
            }
            _ => Ok(()),
        }
    }
}

fn checked(call: &Call) -> Result<Params, ActionError> {
    let params: Params = params(&SPEC, call)?;
    let wrong = |why| ActionError::invalid(format!("`redis.stats`: {why}"));
    params.fit().map_err(wrong)?;
    Ok(params)
}

/// The action.
pub(super) struct Stats;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    class: always_reading,
    sense: |params| match serde_json::from_value::<Params>(params.clone()) {
        Ok(params) => params.fit(),
        Err(_) => Ok(()),
    },
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
        (
            "ops_per_sec",
            "commands per second: over the interval with `over`, else as the server has it now",
        ),
        (
            "evictions_per_sec",
            "keys thrown out per second over the interval; null without `over`",
        ),
        (
            "hit_rate_now",
            "hits / lookups in the interval, 0 to 1; null without `over`, or when there were no lookups",
        ),
        (
            "cpu",
            "processor time the server used / time, over the interval: 1 is one core; null without `over`",
        ),
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
        let params = checked(call)?;
        read(Link::open(cx, call).await?, &params).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let params = checked(call)?;
        let link = Link::open_reading(cx, call).await?;
        read(link, &params).await.map(Rehearsed::Read)
    }
}

async fn read(link: Link, params: &Params) -> Result<Value, ActionError> {
    let in_cluster = link.in_cluster();
    let db = link.address.db;
    let mut links = match in_cluster {
        true => link.masters().await?,
        false => vec![link],
    };
    let before = all(&mut links).await?;
    let began = Stopwatch::start();
    let (after, rates) = match params.over {
        None => (before, None),
        Some(Span(over)) => {
            sleep(over).await;
            let span = began.elapsed();
            let after = all(&mut links).await?;
            let rates = Rates::of_nodes(&before, &after, span);
            (after, Some(rates))
        }
    };
    let slowest = after.iter().map(|(_, ms)| *ms).fold(0.0, f64::max);
    if !in_cluster {
        let mut found = figures(&after[0].0, db, slowest, rates.as_ref());
        found["nodes"] = Value::Null;
        return Ok(found);
    }
    let nodes = after.iter().zip(&links).map(|((info, ms), link)| {
        let mut node = figures(info, 0, *ms, None);
        node["node"] = json!(link.address.place);
        node
    });
    let nodes: Vec<Value> = nodes.collect();
    let infos: Vec<Map<String, Value>> = after.into_iter().map(|(info, _)| info).collect();
    let whole = spread::merged(&infos);
    let mut found = figures(&whole, 0, slowest, rates.as_ref());
    let youngest = nodes.iter().map(|node| node["uptime_s"].as_i64()).min();
    found["uptime_s"] = json!(youngest.flatten());
    found["fragmentation"] = share(int(&whole, "used_memory_rss"), int(&whole, "used_memory"));
    found["nodes"] = Value::Array(nodes);
    Ok(found)
}

/// INFO of a server, and how many milliseconds a PING took.
type Seen = (Map<String, Value>, f64);

/// What each server says.
async fn all(links: &mut [Link]) -> Result<Vec<Seen>, ActionError> {
    let mut seen = Vec::with_capacity(links.len());
    for link in links {
        let started = Instant::now();
        link.ask(Effect::Reads, &["PING"]).await?;
        let latency_ms = started.elapsed().as_secs_f64() * 1_000.0;
        seen.push((info::read(link, &[]).await?, latency_ms));
    }
    Ok(seen)
}

/// What happened in an interval, per second of it; unknown where a counter went back, as after
/// CONFIG RESETSTAT or a restart.
#[derive(Default)]
struct Rates {
    ops: Option<f64>,
    evictions: Option<f64>,
    hit_rate: Option<f64>,
    cpu: Option<f64>,
}

impl Rates {
    /// Over all servers; unknown where one of them is another process than before.
    fn of_nodes(before: &[Seen], after: &[Seen], span: Duration) -> Self {
        let same = |((before, _), (after, _)): (&Seen, &Seen)| before.get("run_id") == after.get("run_id");
        if !before.iter().zip(after).all(same) {
            return Self::default();
        }
        let whole = |seen: &[Seen]| match seen {
            [(one, _)] => one.clone(),
            many => {
                let infos: Vec<_> = many.iter().map(|(info, _)| info.clone()).collect();
                spread::merged(&infos)
            }
        };
        Self::between(&whole(before), &whole(after), span)
    }

    fn between(before: &Map<String, Value>, after: &Map<String, Value>, span: Duration) -> Self {
        let span = span.as_secs_f64();
        if span <= 0.0 {
            return Self::default();
        }
        let grown = |name: &str| {
            let number = |info: &Map<String, Value>| info.get(name).and_then(Value::as_f64);
            let grown = number(after)? - number(before)?;
            (grown >= 0.0).then_some(grown)
        };
        let lookups = grown("keyspace_hits").zip(grown("keyspace_misses"));
        Self {
            // the first INFO counts itself once it is answered
            ops: grown("total_commands_processed").map(|ops| (ops - 1.0).max(0.0) / span),
            evictions: grown("evicted_keys").map(|keys| keys / span),
            hit_rate: lookups
                .filter(|(hits, misses)| hits + misses > 0.0)
                .map(|(hits, misses)| hits / (hits + misses)),
            cpu: grown("used_cpu_sys")
                .zip(grown("used_cpu_user"))
                .map(|(system, user)| (system + user) / span),
        }
    }
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

fn figures(
    info: &Map<String, Value>,
    db: i64,
    latency_ms: f64,
    rates: Option<&Rates>,
) -> Value {
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
        "ops_per_sec": match rates {
            Some(rates) => rates.ops,
            None => float("instantaneous_ops_per_sec"),
        },
        "evictions_per_sec": rates.and_then(|rates| rates.evictions),
        "hit_rate_now": rates.and_then(|rates| rates.hit_rate),
        "cpu": rates.and_then(|rates| rates.cpu),
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
        let none = figures(&Map::new(), 0, 1.0, None);
        assert_eq!(none["hit_rate"], Value::Null);
        assert_eq!(none["memory_share"], Value::Null);
        let info = json!({ "keyspace_hits": 3, "keyspace_misses": 1, "role": "slave" });
        let some = figures(info.as_object().unwrap(), 0, 1.0, None);
        assert_eq!(some["hit_rate"], json!(0.75));
        assert_eq!(some["role"], json!("replica"));
    }

    #[test]
    fn rates_are_of_what_grew() {
        let info = |fields: Value| match fields {
            Value::Object(map) => map,
            _ => unreachable!("an object"),
        };
        let before = info(json!({
            "run_id": "a", "total_commands_processed": 101, "evicted_keys": 10, "keyspace_hits": 5,
            "keyspace_misses": 5, "used_cpu_sys": 1.5, "used_cpu_user": 1.0
        }));
        let after = info(json!({
            "run_id": "a", "total_commands_processed": 202, "evicted_keys": 30, "keyspace_hits": 8,
            "keyspace_misses": 6, "used_cpu_sys": 1.75, "used_cpu_user": 1.25
        }));
        let two = Duration::from_secs(2);
        let rates = Rates::between(&before, &after, two);
        assert_eq!((rates.ops, rates.evictions), (Some(50.0), Some(10.0)));
        assert_eq!((rates.hit_rate, rates.cpu), (Some(0.75), Some(0.25)));
        let idle = Rates::between(&before, &before, two);
        assert_eq!((idle.hit_rate, idle.evictions), (None, Some(0.0)));
        let reset = Rates::between(&after, &before, two);
        assert_eq!((reset.ops, reset.hit_rate), (None, None));
        let mut other = after;
        other.insert("run_id".into(), json!("b"));
        let restarted = Rates::of_nodes(&[(before, 0.0)], &[(other, 0.0)], two);
        assert_eq!((restarted.ops, restarted.cpu), (None, None));
    }
}
