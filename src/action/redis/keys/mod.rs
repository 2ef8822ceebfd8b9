//! `redis.keys`: what a database holds, in one SCAN pass: keys, memory, types and times to live by
//! prefix, the biggest keys, the keys that never end.
//!
//! [`Survey`] is the work: [`Survey::pass`] goes over one link and adds what it finds, so that the
//! nodes of a cluster can be gone over one after the other. It reads no value, holds a bounded part
//! of what it sees, and leaves the server time for others ([`pace`]).

mod pace;
mod pass;
mod report;
mod seen;
mod tally;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::client::Link;
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::runbook::catalog::always_reading;
use crate::runbook::{Spec, TargetKind};

pub(super) use pass::Survey;
pub(super) use report::name;

/// What to look at, and how closely.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Params {
    /// Only keys that fit this pattern, such as `session:*`.
    #[serde(default, rename = "match")]
    pattern: Option<String>,
    /// What ends a prefix; the prefix holds it.
    #[serde(default = "colon")]
    separator: String,
    /// How many separators a prefix goes over, 1 to 8: with 2, `a:b:c` counts under `a:b:`.
    #[serde(default = "one")]
    depth: u64,
    /// How many of the biggest keys are shown, up to 100.
    #[serde(default = "ten")]
    top: u64,
    /// How many prefixes are shown, up to 1,000; the rest is summed as `others`.
    #[serde(default = "hundred")]
    prefixes: u64,
    /// Whether the memory of each key is asked for.
    #[serde(default = "yes")]
    memory: bool,
    /// Look at so many keys only, in the order in which the server names them.
    #[serde(default)]
    sample: Option<u64>,
    /// The largest share of the time in which the server may work for this, 0.05 to 1.
    #[serde(default = "nine_tenths")]
    load: f64,
}

fn colon() -> String {
    ":".into()
}

fn one() -> u64 {
    1
}

fn ten() -> u64 {
    10
}

fn hundred() -> u64 {
    100
}

fn yes() -> bool {
    true
}

fn nine_tenths() -> f64 {
    0.9
}

impl Params {
    /// What the types cannot say.
    fn fit(&self) -> Result<(), String> {
        if self.separator.is_empty() {
            return Err("`separator` is empty".into());
        }
        if !(1..=8).contains(&self.depth) {
            return Err("`depth` is 1 to 8".into());
        }
        if self.top > 100 {
            return Err("`top` is at most 100".into());
        }
        if self.prefixes > 1_000 {
            return Err("`prefixes` is at most 1000".into());
        }
        if self.sample == Some(0) {
            return Err("`sample` is at least 1".into());
        }
        if !(0.05..=1.0).contains(&self.load) {
            return Err("`load` is a share from 0.05 to 1".into());
        }
        Ok(())
    }
}

/// The action.
pub(super) struct Keys;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    short: Some("match"),
    class: always_reading,
    sense: |params| match serde_json::from_value::<Params>(params.clone()) {
        Ok(params) => params.fit(),
        // holes: judged once they are filled
        Err(_) => Ok(()),
    },
    results: RESULTS,
    ..Spec::of::<Params>(
        "redis.keys",
        "count keys, memory, types and times to live by prefix, in one pass",
    )
};

const RESULTS: &[(&str, &str)] = &[
    ("keys", "keys that were looked at, each once"),
    (
        "bytes",
        "memory of these keys with their values, as MEMORY USAGE says; null with `memory: false`",
    ),
    ("without_ttl", "keys that never end"),
    (
        "without_ttl_share",
        "without_ttl / keys, 0 to 1; null when there are no keys",
    ),
    (
        "ttl_s",
        "seconds that are left to the others: {min, mean, max}; null when no key ends",
    ),
    (
        "ttl_bands",
        "keys that end, by what is left: {minute, hour, day, week, longer}, each key in the first that holds it",
    ),
    (
        "by_type",
        "{keys, bytes} for each of string, list, set, zset, hash, stream and other",
    ),
    (
        "by_prefix",
        "for each prefix shown, largest first, such as by_prefix[\"session:\"]: {keys, bytes, without_ttl, ttl_s, types}; a key without a separator counts under \"\"",
    ),
    (
        "prefixes",
        "how many prefixes there are; null when there were too many to keep",
    ),
    (
        "others",
        "{prefixes, keys, bytes, without_ttl} of the keys whose prefix is not shown; its `prefixes` may be null",
    ),
    (
        "short_by_at_most",
        "{keys, bytes} that a prefix shown may lack, which are in `others` then; zeros: the figures are exact",
    ),
    (
        "biggest",
        "the biggest keys: {key, bytes, type, ttl_s}; null with `memory: false`",
    ),
    ("without_ttl_such_as", "up to five keys that never end"),
    (
        "complete",
        "whether the pass went over all keys; false when `sample` ended it",
    ),
    (
        "gone",
        "keys that ended between being named and being looked at; they count nowhere else",
    ),
    (
        "repeated",
        "how often the server named a key again; it was counted once",
    ),
    (
        "lookups",
        "by how much this look itself raised the server's hits and misses (keyspace_hits, keyspace_misses), two a key: a hit rate that spans it is too good",
    ),
    (
        "dbsize",
        "keys in the database when the pass began; null when the user may not ask",
    ),
    ("db", "the database"),
    ("took_ms", "in milliseconds"),
    (
        "paused_ms",
        "how much of it the server was left alone on purpose",
    ),
    (
        "slowest_batch_ms",
        "the longest that one batch took to be answered",
    ),
    ("batches", "how often the server was asked"),
];

fn checked(call: &Call) -> Result<Params, ActionError> {
    let params: Params = params(&SPEC, call)?;
    params
        .fit()
        .map_err(|why| ActionError::invalid(format!("`redis.keys`: {why}")))?;
    Ok(params)
}

#[async_trait]
impl Action for Keys {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        checked(call).map_or_else(
            |error| error.message,
            |params| match (&params.pattern, params.sample) {
                (Some(pattern), _) => format!("look at the keys that fit `{pattern}`"),
                (None, Some(sample)) => format!("look at {sample} keys"),
                (None, None) => "look at all keys".into(),
            },
        )
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let mut survey = Survey::new(checked(call)?);
        let link = Link::open(cx, call).await?;
        let db = link.address.db;
        for mut link in link.masters().await? {
            let mut news = |line: &str| cx.output.progress(line);
            survey.pass(&mut link, &mut news).await?;
        }
        Ok(survey.result(db))
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let mut survey = Survey::new(checked(call)?);
        let link = Link::open_reading(cx, call).await?;
        let db = link.address.db;
        for mut link in link.masters().await? {
            survey.pass(&mut link, &mut |_| {}).await?;
        }
        Ok(Rehearsed::Read(survey.result(db)))
    }
}
