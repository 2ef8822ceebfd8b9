//! The runbook of the harness: 40 steps in 6 phases, side by side and one after another, through a
//! shell, Redis and PostgreSQL, probed, idempotent and plain, each with an undo.

use serde_json::{Value, json};

use super::ledger::{EVAL, World};

/// What a crash in the middle of a step means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// A probe tells.
    Probed,
    /// It may be repeated.
    Idempotent,
    /// A person has to say.
    Plain,
}

/// Through what it acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Via {
    Shell,
    Redis,
    Sql,
}

/// What the checker knows of a step, by its key in the ledger.
#[derive(Clone, Debug)]
pub struct Known {
    /// With its item: `s12[1]`.
    pub key: String,
    pub nature: Nature,
    /// Keys that must be over before.
    pub after: Vec<String>,
}

/// A runbook and what is to be known of it.
pub struct Book {
    pub text: String,
    pub known: Vec<Known>,
}

/// How many steps there are.
pub const STEPS: usize = 40;

/// Items of the one step that is repeated.
const ITEMS: usize = 4;

/// Name, how many steps, how many side by side, what it needs.
const PHASES: &[(&str, usize, usize, &[&str])] = &[
    ("prepare", 6, 1, &[]),
    ("left", 8, 3, &["prepare"]),
    ("right", 8, 1, &["prepare"]),
    ("fan", 6, 2, &["left"]),
    ("join", 8, 1, &["right", "fan"]),
    ("last", 4, 1, &["join"]),
];

/// The step that is repeated over items.
pub const FAN: usize = 22;

/// Steps that refuse cleanly at first, and are tried again.
const FLAKY: &[usize] = &[3, 30];

fn nature(at: usize) -> Nature {
    [Nature::Probed, Nature::Idempotent, Nature::Plain][at % 3]
}

fn via(at: usize) -> Via {
    if FLAKY.contains(&at) {
        return Via::Shell;
    }
    [Via::Redis, Via::Shell, Via::Redis, Via::Sql, Via::Redis][at % 5]
}

impl Book {
    /// The runbook in a world; `failing` is the step, from 1, whose expectation never holds.
    pub fn new(world: World, failing: Option<usize>) -> Self {
        Self::of(world, failing, PHASES)
    }

    /// A small one of the same make, for tests of the harness itself.
    pub fn small(world: World, failing: Option<usize>) -> Self {
        let phases: &[(&str, usize, usize, &[&str])] = &[
            ("prepare", 4, 1, &[]),
            ("left", 2, 2, &["prepare"]),
            ("right", 2, 1, &["prepare"]),
        ];
        Self::of(world, failing, phases)
    }

    fn of(world: World, failing: Option<usize>, phases: &[(&str, usize, usize, &[&str])]) -> Self {
        let mut known: Vec<Known> = Vec::new();
        let mut all = serde_json::Map::new();
        let mut ends: Vec<(&str, Vec<String>)> = Vec::new();
        let mut at = 0;
        for (name, count, parallel, needs) in phases {
            let before: Vec<String> = ends
                .iter()
                .filter(|(phase, _)| needs.contains(phase))
                .flat_map(|(_, keys)| keys.clone())
                .collect();
            let (mut steps, mut keys, mut previous) = (Vec::new(), Vec::new(), before.clone());
            for _ in 0..*count {
                at += 1;
                steps.push(step(world, at, failing == Some(at)));
                let own = keys_of(at);
                for key in &own {
                    let after = match parallel {
                        1 => previous.clone(),
                        _ => before.clone(),
                    };
                    known.push(Known {
                        key: key.clone(),
                        nature: nature(at),
                        after,
                    });
                }
                previous.clone_from(&own);
                keys.extend(own);
            }
            let phase = json!({ "needs": needs, "parallel": parallel, "steps": steps });
            let mut phase = phase;
            if needs.is_empty() {
                phase.as_object_mut().unwrap().remove("needs");
            }
            all.insert((*name).to_owned(), phase);
            ends.push((*name, keys));
        }
        let runbook = json!({
            "runbook": "faults",
            "max_parallel": 4,
            "inputs": { "token": { "env": "CANARY", "secret": true } },
            "targets": {
                "cache": { "redis": world.redis() },
                "db": { "postgres": world.postgres() },
            },
            "phases": all,
        });
        Self {
            text: serde_json::to_string_pretty(&runbook).unwrap(),
            known,
        }
    }
}

fn id(at: usize) -> String {
    format!("s{at:02}")
}

fn keys_of(at: usize) -> Vec<String> {
    match at {
        FAN => (0..ITEMS)
            .map(|item| format!("{}[{item}]", id(at)))
            .collect(),
        _ => vec![id(at)],
    }
}

fn step(world: World, at: usize, fails: bool) -> Value {
    // the step over items is told its item by ferry's own name for it
    let key = match at {
        FAN => format!("{}[${{{{ item }}}}]", id(at)),
        _ => id(at),
    };
    let via = match at {
        FAN => Via::Redis,
        _ => via(at),
    };
    // a step that fails has no second try, which its probe could let pass
    let flaky = FLAKY.contains(&at) && !fails;
    let mut step = act(world, via, &key, "do", flaky);
    let mut undo = act(world, via, &key, "undo", false);
    step["id"] = id(at).into();
    match nature(at) {
        Nature::Probed => {
            step["done_when"] = probe(world, via, &key, true);
            step["undone_when"] = probe(world, via, &key, false);
        }
        Nature::Idempotent => {
            step["idempotent"] = true.into();
            undo["idempotent"] = true.into();
        }
        Nature::Plain => {}
    }
    if at == FAN {
        step["for_each"] = (0..ITEMS).map(|item| item.to_string()).collect();
        step["parallel"] = 2.into();
    }
    if flaky {
        step["retry"] = json!({ "limit": 2, "backoff": "10ms" });
    }
    if fails {
        step["expect"] = "1 == 2".into();
    }
    step["undo"] = json!([undo]);
    step
}

fn act(world: World, via: Via, key: &str, way: &str, flaky: bool) -> Value {
    match via {
        Via::Shell => {
            let mut argv = vec!["/bin/sh", "effect", key, way];
            argv.extend(flaky.then_some("flaky"));
            json!({
                "shell": { "argv": argv, "not_applied": [75] },
                "timeout": "20s",
                "env": { "TOKEN": "${{ inputs.token }}" },
            })
        }
        Via::Redis => {
            let list = world.list();
            json!({ "redis": { "command": ["EVAL", EVAL, "1", list, key, way] }, "target": "cache" })
        }
        Via::Sql => {
            let text = format!(
                "insert into ledger (world, key, way) values ({}, '{key}', '{way}')",
                world.number
            );
            json!({ "sql": { "execute": text }, "target": "db" })
        }
    }
}

/// Looks whether the last that was done is the step (`done`), or is not.
fn probe(world: World, via: Via, key: &str, done: bool) -> Value {
    let is = if done { "==" } else { "!=" };
    match via {
        Via::Shell => json!({
            "shell": { "argv": ["/bin/sh", "probe", key] },
            "read_only": true,
            "expect": format!("result.stdout {is} \"do\""),
        }),
        Via::Redis => json!({
            "redis": { "command": ["EXISTS", format!("{}:{key}", world.list())] },
            "target": "cache",
            "expect": format!("result.reply {is} 1"),
        }),
        Via::Sql => {
            let text = format!(
                "select coalesce((select way from ledger where world = {} and key = '{key}' \
                 order by id desc limit 1), '') as way",
                world.number
            );
            json!({ "sql": { "query": text }, "target": "db", "expect": format!("result.rows[0].way {is} \"do\"") })
        }
    }
}
