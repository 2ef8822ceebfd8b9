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
            "processor time the server used / time, over the interval: 1 is one core; null without `over`, and for a Cluster as a whole",
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
    let (in_cluster, db) = (link.in_cluster(), link.address.db);
    let mut looks = Vec::new();
    for link in link.masters().await? {
        looks.push(Look::first(link).await?);
    }
    if let Some(Span(over)) = params.over {
        sleep(over).await;
        for look in &mut looks {
            look.again().await?;
        }
    }
    if in_cluster {
        return Ok(all(&looks));
    }
    let one = looks.first().map(|look| look.figures(db));
    let mut found = one.unwrap_or_default();
    found["nodes"] = Value::Null;
    Ok(found)
}

/// What one server said.
struct Look {
    link: Link,
    latency_ms: f64,
    info: Map<String, Value>,
    /// Since it said so.
    since: Stopwatch,
    rates: Option<Rates>,
}

impl Look {
    async fn first(mut link: Link) -> Result<Self, ActionError> {
        let started = Instant::now();
        link.ask(Effect::Reads, &["PING"]).await?;
        let latency_ms = started.elapsed().as_secs_f64() * 1_000.0;
        let info = info::read(&mut link, &[]).await?;
        if info.get("redis_mode").and_then(Value::as_str) == Some("sentinel") {
            let message = format!("{} is a sentinel and holds no data", link.peer());
            return Err(ActionError::invalid(message).hint("look at it with `redis.sentinel`"));
        }
        Ok(Self {
            link,
            latency_ms,
            info,
            since: Stopwatch::start(),
            rates: None,
        })
    }

    async fn again(&mut self) -> Result<(), ActionError> {
        let now = info::read(&mut self.link, &[]).await?;
        self.rates = Some(Rates::between(&self.info, &now, self.since.elapsed()));
        self.info = now;
        Ok(())
    }

    fn figures(&self, db: i64) -> Value {
        figures(&self.info, db, self.latency_ms, self.rates.as_ref())
    }
}

/// All masters of a Cluster as one.
fn all(looks: &[Look]) -> Value {
    let infos: Vec<_> = looks.iter().map(|look| look.info.clone()).collect();
    let info = spread::merged(&infos);
    let slowest = looks.iter().map(|look| look.latency_ms).fold(0.0, f64::max);
    let rates: Option<Vec<&Rates>> = looks.iter().map(|look| look.rates.as_ref()).collect();
    let rates = rates.map(|rates| Rates::sum(&rates));
    let mut found = figures(&info, 0, slowest, rates.as_ref());
    let ages = infos.iter().map(|info| int(info, "uptime_in_seconds"));
    found["uptime_s"] = json!(ages.min().flatten());
    found["fragmentation"] = share(int(&info, "used_memory_rss"), int(&info, "used_memory"));
    let nodes = looks.iter().map(|look| {
        let mut node = look.figures(0);
        node["node"] = json!(look.link.address.place);
        node
    });
    found["nodes"] = nodes.collect();
    found
}

/// What happened in an interval, per second of it; unknown where a counter went back, as after
/// CONFIG RESETSTAT or a restart.
#[derive(Default)]
struct Rates {
    ops: Option<f64>,
    evictions: Option<f64>,
    /// Hits and misses, in the interval.
    lookups: Option<(f64, f64)>,
    cpu: Option<f64>,
}

impl Rates {
    fn between(before: &Map<String, Value>, after: &Map<String, Value>, span: Duration) -> Self {
        let span = span.as_secs_f64();
        if before.get("run_id") != after.get("run_id") || span <= 0.0 {
            return Self::default();
        }
        let grown = |name: &str| {
            let number = |info: &Map<String, Value>| info.get(name).and_then(Value::as_f64);
            let grown = number(after)? - number(before)?;
            (grown >= 0.0).then_some(grown)
        };
        Self {
            // the first INFO counts itself once it is answered
            ops: grown("total_commands_processed").map(|ops| (ops - 1.0).max(0.0) / span),
            evictions: grown("evicted_keys").map(|keys| keys / span),
            lookups: grown("keyspace_hits").zip(grown("keyspace_misses")),
            cpu: grown("used_cpu_sys")
                .zip(grown("used_cpu_user"))
                .map(|(system, user)| (system + user) / span),
        }
    }

    /// Of several servers together; the processors of several are no share of one.
    fn sum(all: &[&Self]) -> Self {
        let sum = |one: fn(&Self) -> Option<f64>| all.iter().map(|rates| one(rates)).sum();
        let hits = sum(|rates| rates.lookups.map(|(hits, _)| hits));
        Self {
            ops: sum(|rates| rates.ops),
            evictions: sum(|rates| rates.evictions),
            lookups: hits.zip(sum(|rates| rates.lookups.map(|(_, misses)| misses))),
            cpu: None,
        }
    }

    fn hit_rate(&self) -> Option<f64> {
        self.lookups
            .filter(|(hits, misses)| hits + misses > 0.0)
            .map(|(hits, misses)| hits / (hits + misses))
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

fn figures(info: &Map<String, Value>, db: i64, latency_ms: f64, rates: Option<&Rates>) -> Value {
    let int = |name: &str| int(info, name);
    let text = |name: &str| info.get(name).cloned().unwrap_or(Value::Null);
    let float = |name: &str| info.get(name).and_then(Value::as_f64);
    let keyspace = info.get("keyspace").and_then(Value::as_object);
    let by_db: Option<Map<String, Value>> = keyspace.map(|keyspace| {
        let keys = |(name, part): (&String, &Value)| (name.clone(), part["keys"].clone());
        keyspace.iter().map(keys).collect()
    });
    // a database that is not listed is empty
    let keys = by_db.as_ref().map(|by_db| {
        let keys = by_db.get(&format!("db{db}"));
        keys.cloned().unwrap_or(json!(0))
    });
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
        "hit_rate_now": rates.and_then(Rates::hit_rate),
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
        assert_eq!(none["evicted_keys"], Value::Null, "unknown is not none");
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
        assert_eq!((rates.hit_rate(), rates.cpu), (Some(0.75), Some(0.25)));
        let idle = Rates::between(&before, &before, two);
        assert_eq!((idle.hit_rate(), idle.evictions), (None, Some(0.0)));
        let reset = Rates::between(&after, &before, two);
        assert_eq!((reset.ops, reset.hit_rate()), (None, None));
        let mut other = after;
        other.insert("run_id".into(), json!("b"));
        let restarted = Rates::between(&before, &other, two);
        assert_eq!((restarted.ops, restarted.cpu), (None, None));
    }
}
