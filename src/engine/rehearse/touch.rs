//! What a step would touch, and what another one reads: a reading behind a change that was not made
//! tells of the state before it, and its expectations cannot be judged yet.
//!
//! Where it is not known what is touched, everything counts as touched.

use serde_json::Value;

use super::place::Place;
use crate::action::{Call, Target};
use crate::runbook::TargetKind;
use crate::runbook::address::several;
use crate::runbook::model::Step;

/// What a change touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    /// One database of a Redis server.
    Keys(String, i64),
    /// A whole Redis server.
    Server(String),
    /// A SQL database.
    Database(String),
    /// Files.
    Files,
    /// Nobody knows.
    Anything,
}

/// What a reading looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Nothing that a change of a run touches: its own environment, time.
    Nothing,
    /// Whether a Redis server answers.
    Answer(String),
    /// The keys of one database of a Redis server.
    Keys(String, i64),
    /// Figures and settings of a Redis server.
    Server(String),
    /// A SQL database.
    Database(String),
    /// An HTTP service.
    Service,
    /// Files.
    Files,
    /// Nobody knows.
    Anything,
}

impl Touch {
    /// What carrying out a step would touch; `None` when that matters to nobody.
    pub(super) fn of(step: &Step, call: &Call) -> Option<Self> {
        if !step.changes() || step.leaves_nothing() {
            return None;
        }
        let Some(target) = &call.target else {
            return Some(match call.key.starts_with("file.") {
                true => Self::Files,
                false => Self::Anything,
            });
        };
        Some(match (target.kind, call.key.as_str()) {
            (TargetKind::Redis, "redis.flush" | "redis.delete" | "redis.restore") => {
                let db = call.params.get("db").and_then(Value::as_i64);
                Self::Keys(place(target), db.unwrap_or_else(|| database(target)))
            }
            (TargetKind::Redis, _) => Self::Server(place(target)),
            (TargetKind::Postgres | TargetKind::Mysql | TargetKind::Sqlite, _) => {
                Self::Database(place(target))
            }
            _ => Self::Anything,
        })
    }

    /// Whether what is seen may be another thing after it.
    pub(super) fn moves(&self, sight: &Sight) -> bool {
        match (self, sight) {
            (_, Sight::Nothing) => false,
            (Self::Anything, _) | (_, Sight::Anything) => true,
            (Self::Keys(a, db), Sight::Keys(b, other)) => a == b && db == other,
            (Self::Keys(a, _), Sight::Server(b)) => a == b,
            (Self::Server(a), Sight::Keys(b, _) | Sight::Server(b) | Sight::Answer(b)) => a == b,
            (Self::Database(a), Sight::Database(b)) => a == b,
            (Self::Files, Sight::Files) => true,
            _ => false,
        }
    }
}

impl Sight {
    /// What a call looks at.
    pub(super) fn of(call: &Call) -> Self {
        match (&call.target, call.key.as_str()) {
            (_, "env" | "wait") => Self::Nothing,
            (_, "shell" | "disk.free" | "process.cpu") => Self::Anything,
            (None, "file.stat" | "log.scan" | "log.rate" | "file.backup") => Self::Files,
            (None, "http") => Self::Service,
            (None, _) => Self::Anything,
            (Some(target), key) => match target.kind {
                TargetKind::Redis => redis(target, call, key),
                TargetKind::Postgres | TargetKind::Mysql | TargetKind::Sqlite => {
                    Self::Database(place(target))
                }
                _ => Self::Service,
            },
        }
    }
}

fn redis(target: &Target, call: &Call, key: &str) -> Sight {
    const ANSWERS: &[&str] = &["PING", "ECHO", "TIME"];
    const KEYS: &[&str] = &[
        "DBSIZE", "EXISTS", "GET", "HGET", "HGETALL", "HLEN", "KEYS", "LLEN", "LRANGE", "MGET",
        "SCAN", "SCARD", "STRLEN", "TTL", "TYPE", "XLEN", "ZCARD",
    ];
    if key == "redis.backup" {
        return Sight::Keys(place(target), database(target));
    }
    if key != "redis" {
        return Sight::Server(place(target));
    }
    let command = match &call.params {
        Value::Object(map) => map.get("command").unwrap_or(&Value::Null),
        short => short,
    };
    let first = match command {
        Value::String(line) => line.split_whitespace().next(),
        Value::Array(words) => words.first().and_then(Value::as_str),
        _ => None,
    };
    let first = first.unwrap_or_default().to_uppercase();
    match first.as_str() {
        word if ANSWERS.contains(&word) => Sight::Answer(place(target)),
        word if KEYS.contains(&word) => Sight::Keys(place(target), database(target)),
        _ => Sight::Server(place(target)),
    }
}

/// What a target's place is called.
fn place(target: &Target) -> String {
    Place::of(target).shown().to_owned()
}

/// The database that a Redis target means.
fn database(target: &Target) -> i64 {
    let option = target.options.get("db");
    let option = option.and_then(|db| db.as_i64().or_else(|| db.as_str()?.parse().ok()));
    option.unwrap_or_else(|| {
        if let Some(several) = several(&target.url) {
            return several.ok().and_then(|several| several.db).unwrap_or(0);
        }
        let url = target.url.split(['?', '#']).next().unwrap_or_default();
        let (_, path) = url.split_once("://").unwrap_or_default();
        let db = path.rsplit_once('/').map(|(_, db)| db);
        db.and_then(|db| db.parse().ok()).unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn target(kind: TargetKind, url: &str, options: Value) -> Target {
        Target {
            name: "t".into(),
            kind,
            url: url.into(),
            options,
        }
    }

    #[test]
    fn a_flush_moves_the_keys_of_its_database_and_the_figures_of_its_server() {
        let one = target(TargetKind::Redis, "redis://u:p@Localhost:6379/1", json!({}));
        let two = target(
            TargetKind::Redis,
            "redis://127.0.0.1:6379/1",
            json!({ "db": "2" }),
        );
        assert_eq!(place(&one), place(&two));
        assert_eq!((database(&one), database(&two)), (1, 2));
        let flush = Touch::Keys(place(&one), 1);
        let at = || place(&two);
        assert!(flush.moves(&Sight::Keys(at(), 1)));
        assert!(!flush.moves(&Sight::Keys(at(), 2)));
        assert!(flush.moves(&Sight::Server(at())));
        assert!(!flush.moves(&Sight::Answer(at())));
        assert!(!flush.moves(&Sight::Service));
        assert!(Touch::Server(at()).moves(&Sight::Keys(at(), 2)));
        assert!(Touch::Anything.moves(&Sight::Service) && !Touch::Anything.moves(&Sight::Nothing));
        let other = Touch::Database("h/a".into());
        assert!(!other.moves(&Sight::Database("h/b".into())) && other.moves(&Sight::Anything));
    }
}
