//! `redis.slowlog`: the slow commands since a moment, without their values.
//!
//! An entry holds what was sent, and with it perhaps secrets: only the command's name, its number of
//! words, and the word that the server itself calls a key are handed out.

use std::collections::BTreeMap;

use async_trait::async_trait;
use redis::Value as Reply;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::{Link, verb};
use super::keys::name;
use super::trouble::{self, Effect};
use super::{reply, rights};
use crate::action::log::Since;
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::runbook::catalog::always_reading;
use crate::runbook::{Spec, TargetKind};

/// Which entries.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Entries since then: `phase_start`, or a duration back such as `10m`; all when left out.
    #[serde(default)]
    since: Option<Since>,
    /// How many of the latest entries are read, up to 10,000.
    #[serde(default = "thousand")]
    entries: u64,
    /// How many of the slowest are shown, up to 100.
    #[serde(default = "ten")]
    top: u64,
}

fn thousand() -> u64 {
    1_000
}

fn ten() -> u64 {
    10
}

impl Params {
    fn fit(&self) -> Result<(), String> {
        if matches!(self.since, Some(Since::Bytes(_) | Since::Start)) {
            return Err("`since` is `phase_start`, or a duration such as `10m`".into());
        }
        if !(1..=10_000).contains(&self.entries) {
            return Err("`entries` is 1 to 10000".into());
        }
        match self.top {
            0..=100 => Ok(()),
            _ => Err("`top` is at most 100".into()),
        }
    }
}

/// The action.
pub(super) struct Slowlog;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    short: Some("since"),
    class: always_reading,
    sense: |params| match serde_json::from_value::<Params>(params.clone()) {
        Ok(params) => params.fit(),
        Err(_) => Ok(()),
    },
    results: &[
        (
            "count",
            "slow commands since then; null when there are none and it is not known that the server logs any",
        ),
        (
            "reaches_back",
            "whether the entries that were read go back to `since`; false: `count` is the least",
        ),
        (
            "slowest_ms",
            "how long the slowest took, in milliseconds; null when there is none",
        ),
        (
            "slowest",
            "the slowest: {ms, age_s, command, key, words, client}; `key` is null where the server knows of none",
        ),
        (
            "by_command",
            "per command, such as by_command.KEYS: {count, max_ms}",
        ),
        (
            "threshold_ms",
            "what the server calls slow; null when it does not say",
        ),
        (
            "enabled",
            "whether the server logs slow commands; null when it does not say",
        ),
        ("length", "entries that the server holds, of any age"),
    ],
    ..Spec::of::<Params>(
        "redis.slowlog",
        "read the slow commands since a moment, without their values",
    )
};

fn checked(call: &Call) -> Result<Params, ActionError> {
    let params: Params = params(&SPEC, call)?;
    let wrong = |why| ActionError::invalid(format!("`redis.slowlog`: {why}"));
    params.fit().map_err(wrong)?;
    Ok(params)
}

#[async_trait]
impl Action for Slowlog {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, _: &Call) -> String {
        "read the slow commands".into()
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let params = checked(call)?;
        read(Link::open(cx, call).await?, &params, cx.phase_started).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let params = checked(call)?;
        let link = Link::open_reading(cx, call).await?;
        let found = read(link, &params, cx.phase_started).await?;
        Ok(Rehearsed::Read(found))
    }
}

/// One slow command.
struct Entry {
    at: i64,
    ms: f64,
    words: usize,
    argv: Vec<Vec<u8>>,
    client: String,
}

async fn read(mut link: Link, params: &Params, phase_started: f64) -> Result<Value, ActionError> {
    let count = params.entries.to_string();
    let answer = link
        .ask(Effect::Reads, &["SLOWLOG", "GET", count.as_str()])
        .await;
    let answer = answer.map_err(|error| rights::named(error, &link, "SLOWLOG GET"))?;
    let entries: Vec<Entry> = match answer {
        Reply::Array(entries) => entries.into_iter().filter_map(entry).collect(),
        _ => {
            let odd = "not a list";
            return Err(trouble::lost(link.peer(), Effect::Reads, "SLOWLOG", odd));
        }
    };
    let answer = link.ask(Effect::Reads, &["TIME"]).await;
    let answer = answer.map_err(|error| rights::named(error, &link, "TIME"))?;
    let now = clock(&answer).unwrap_or_default();
    let age = match params.since {
        None | Some(Since::Start | Since::Bytes(_)) => f64::INFINITY,
        Some(Since::Ago(ago)) => ago.0.as_secs_f64(),
        // of two clocks: what counts is how long it is ago
        Some(Since::PhaseStart) => {
            jiff::Timestamp::now().as_duration().as_secs_f64() - phase_started
        }
    };
    let config = Config::read(&mut link).await?;
    let length = match link.ask(Effect::Reads, &["SLOWLOG", "LEN"]).await {
        Ok(length) => reply::int(&length),
        Err(error) if error.cause == crate::event::Cause::Denied => None,
        Err(error) => return Err(error),
    };
    let read = entries.len();
    // entries tell their second only
    let since = (now - age).floor();
    let inside: Vec<Entry> = entries
        .into_iter()
        .filter(|entry| seconds(entry.at) >= since)
        .collect();
    let more = length.is_none_or(|length| usize::try_from(length).is_ok_and(|all| all > read));
    let full = config
        .most
        .is_none_or(|most| i64::try_from(read).is_ok_and(|read| read >= most));
    let window = Window {
        reaches_back: inside.len() < read || (age.is_infinite() && !more) || !(more || full),
        now,
        length,
    };
    let positions = positions(&mut link, &inside, params.top).await?;
    Ok(result(inside, params, &config, &window, &positions))
}

/// What the server logs, as far as it says.
#[derive(Default)]
struct Config {
    /// Microseconds; negative: nothing.
    slower: Option<i64>,
    most: Option<i64>,
}

impl Config {
    async fn read(link: &mut Link) -> Result<Self, ActionError> {
        let ask = |name: &str| ["CONFIG", "GET", name].map(|word| word.as_bytes().to_vec());
        let asked = ["slowlog-log-slower-than", "slowlog-max-len"].map(|name| ask(name).to_vec());
        let answers = link.ask_many(Effect::Reads, &asked).await?;
        let number = |answer: Option<&Reply>| match answer {
            Some(Reply::Array(pair)) => reply::text(pair.get(1)?.clone()).parse().ok(),
            Some(Reply::Map(pairs)) => reply::text(pairs.first()?.1.clone()).parse().ok(),
            _ => None,
        };
        Ok(Self {
            slower: number(answers.first()),
            most: number(answers.get(1)),
        })
    }

    fn enabled(&self) -> Option<bool> {
        match (self.slower, self.most) {
            (Some(slower), _) if slower < 0 => Some(false),
            (_, Some(0)) => Some(false),
            (Some(_), Some(_)) => Some(true),
            _ => None,
        }
    }
}

struct Window {
    reaches_back: bool,
    now: f64,
    length: Option<i64>,
}

fn result(
    mut inside: Vec<Entry>,
    params: &Params,
    config: &Config,
    window: &Window,
    positions: &BTreeMap<String, usize>,
) -> Value {
    let mut by_command: BTreeMap<String, (u64, f64)> = BTreeMap::new();
    for entry in &inside {
        let sum = by_command.entry(shown_verb(&entry.argv)).or_default();
        *sum = (sum.0 + 1, sum.1.max(entry.ms));
    }
    let by_command: Map<String, Value> = by_command
        .into_iter()
        .map(|(command, (count, max))| (command, json!({ "count": count, "max_ms": max })))
        .collect();
    let enabled = config.enabled();
    let known = !inside.is_empty() || enabled == Some(true);
    inside.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    let top = usize::try_from(params.top).unwrap_or(0);
    let slowest = inside.iter().take(top).map(|entry| {
        let command = shown_verb(&entry.argv);
        let key = positions.get(&command).and_then(|at| entry.argv.get(*at));
        json!({
            "ms": entry.ms,
            "age_s": (window.now - seconds(entry.at)).max(0.0),
            "command": command,
            "key": key.map(|key| name(key)),
            "words": entry.words,
            "client": entry.client,
        })
    });
    json!({
        "count": known.then_some(inside.len()),
        "reaches_back": window.reaches_back,
        "slowest_ms": inside.first().map(|entry| entry.ms),
        "slowest": slowest.collect::<Vec<_>>(),
        "by_command": by_command,
        "threshold_ms": config.slower.filter(|slower| *slower >= 0).map(|slower| seconds(slower) / 1_000.0),
        "enabled": enabled,
        "length": window.length,
    })
}

/// The command's name; a first word that cannot be one is not shown.
fn shown_verb(argv: &[Vec<u8>]) -> String {
    let verb = verb(argv);
    let plain = |c: char| c.is_ascii_alphanumeric() || " -_.|".contains(c);
    match verb.len() <= 40 && verb.chars().all(plain) {
        true => verb,
        false => "(other)".into(),
    }
}

/// Where in a command its first key stands, as the server says; commands that it says nothing of, or
/// that have no key, are not in it.
async fn positions(
    link: &mut Link,
    entries: &[Entry],
    top: u64,
) -> Result<BTreeMap<String, usize>, ActionError> {
    if top == 0 || entries.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut verbs: Vec<String> = entries
        .iter()
        .map(|entry| shown_verb(&entry.argv))
        .collect();
    verbs.sort();
    verbs.dedup();
    let asked: Vec<Vec<Vec<u8>>> = verbs
        .iter()
        .map(|verb| {
            let name = verb.replace(' ', "|").into_bytes();
            vec![b"COMMAND".to_vec(), b"INFO".to_vec(), name]
        })
        .collect();
    let answers = link.ask_many(Effect::Reads, &asked).await?;
    let first_key = |answer: Reply| match answer {
        Reply::Array(found) => match found.first()? {
            Reply::Array(fields) => usize::try_from(reply::int(fields.get(3)?)?).ok(),
            _ => None,
        },
        _ => None,
    };
    let found = verbs.into_iter().zip(answers);
    let found = found.filter_map(|(verb, answer)| Some((verb, first_key(answer)?)));
    Ok(found.filter(|(_, at)| *at > 0).collect())
}

fn entry(value: Reply) -> Option<Entry> {
    let Reply::Array(fields) = value else {
        return None;
    };
    let Some(Reply::Array(words)) = fields.get(3) else {
        return None;
    };
    let argv: Vec<Vec<u8>> = words.iter().cloned().filter_map(reply::bytes).collect();
    let client = fields.get(5).cloned().map(reply::text).unwrap_or_default();
    Some(Entry {
        at: fields.get(1).and_then(reply::int)?,
        ms: seconds(fields.get(2).and_then(reply::int)?) / 1_000.0,
        words: words_of(&argv),
        argv,
        client,
    })
}

/// How many words were sent: the server keeps 32 and says how many more there were.
fn words_of(argv: &[Vec<u8>]) -> usize {
    let more = argv.last().and_then(|last| {
        let text = std::str::from_utf8(last).ok()?;
        let text = text
            .strip_prefix("... (")?
            .strip_suffix(" more arguments)")?;
        text.parse::<usize>().ok()
    });
    match more {
        Some(more) => argv.len() - 1 + more,
        None => argv.len(),
    }
}

/// Seconds of TIME.
fn clock(answer: &Reply) -> Option<f64> {
    let Reply::Array(parts) = answer else {
        return None;
    };
    reply::text(parts.first()?.clone()).parse().ok()
}

#[expect(clippy::cast_precision_loss, reason = "seconds and microseconds")]
fn seconds(n: i64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_off_counts_nothing() {
        let count = |slower, most| {
            let config = Config { slower, most };
            let window = Window {
                reaches_back: true,
                now: 0.0,
                length: Some(0),
            };
            let params = serde_json::from_value(json!({})).unwrap();
            result(Vec::new(), &params, &config, &window, &BTreeMap::new())["count"].clone()
        };
        assert_eq!(count(Some(10_000), Some(128)), json!(0));
        assert_eq!(count(Some(-1), Some(128)), Value::Null);
        assert_eq!(count(Some(10_000), Some(0)), Value::Null);
        assert_eq!(count(None, None), Value::Null);
    }

    #[test]
    fn long_commands_and_odd_names() {
        let argv = |words: &[&str]| -> Vec<Vec<u8>> {
            words.iter().map(|word| word.as_bytes().to_vec()).collect()
        };
        assert_eq!(
            words_of(&argv(&["MSET", "a", "... (70 more arguments)"])),
            72
        );
        assert_eq!(words_of(&argv(&["GET", "a"])), 2);
        assert_eq!(
            shown_verb(&argv(&["config", "set", "a", "b"])),
            "CONFIG SET"
        );
        assert_eq!(shown_verb(&argv(&["se$cret\n"])), "(other)");
    }
}
