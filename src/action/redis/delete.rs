//! `redis.delete`: deletes keys by name or pattern, never more than the author allows.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::backup::Scan;
use super::client::Link;
use super::trouble::Effect;
use super::{flush, glob, info, reply};
use crate::action::{
    Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated, params,
};
use crate::event::Outcome;
use crate::runbook::{Spec, TargetKind};

/// How many keys go into one command.
const BATCH: usize = 500;

/// What to delete.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// These keys; one that is not there counts as deleted.
    #[serde(default)]
    keys: Vec<String>,
    /// Or the keys that fit this pattern, such as `session:*`.
    #[serde(default, rename = "match")]
    pattern: Option<String>,
    /// At most so many: when more are found, nothing is deleted.
    max_keys: u64,
}

/// The action.
pub(super) struct Delete;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    undo_auto: true,
    results: &[
        ("matched", "keys that were named, or that fit the pattern"),
        ("deleted", "keys that were there and are not any more"),
        ("db", "the database"),
    ],
    ..Spec::of::<Params>(
        "redis.delete",
        "delete keys by name or pattern, up to a limit",
    )
};

fn checked(call: &Call) -> Result<Params, ActionError> {
    let params: Params = params(&SPEC, call)?;
    if params.keys.is_empty() == params.pattern.is_none() {
        return Err(ActionError::invalid(
            "`redis.delete` needs either `keys` or `match`",
        ));
    }
    Ok(params)
}

#[async_trait]
impl Action for Delete {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        checked(call).map_or_else(
            |error| error.message,
            |params| {
                let what = match &params.pattern {
                    Some(pattern) => format!("keys that fit `{pattern}`"),
                    None => format!("{} keys", params.keys.len()),
                };
                format!("delete {what}, at most {}", params.max_keys)
            },
        )
    }

    async fn capture(&self, cx: &Context, call: &Call) -> Result<Option<Value>, ActionError> {
        checked(call)?;
        let mut link = Link::open(cx, call).await?;
        let info = info::read(&mut link, &["server"]).await?;
        flush::backup_of(call, &link, &info).await.map(Some)
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let params = checked(call)?;
        let mut link = Link::open(cx, call).await?;
        let keys = find(&mut link, &params).await?;
        let mut deleted = 0;
        for batch in keys.chunks(BATCH) {
            let mut argv: Vec<&[u8]> = vec![b"UNLINK"];
            argv.extend(batch.iter().map(Vec::as_slice));
            let answer = link
                .ask(Effect::Changes, &argv)
                .await
                .map_err(|mut error| {
                    if deleted > 0 {
                        error.outcome = Outcome::Unknown;
                    }
                    error.result(json!({ "matched": keys.len(), "deleted": deleted }))
                })?;
            deleted += reply::int(&answer).unwrap_or(0);
        }
        Ok(json!({ "matched": keys.len(), "deleted": deleted, "db": link.address.db }))
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let params = checked(call)?;
        let mut link = Link::open_reading(cx, call).await?;
        let keys = find(&mut link, &params).await?;
        let mut there = keys.len() as u64;
        if params.pattern.is_none() {
            there = 0;
            for batch in keys.chunks(BATCH) {
                let mut argv: Vec<&[u8]> = vec![b"EXISTS"];
                argv.extend(batch.iter().map(Vec::as_slice));
                let found = link.ask(Effect::Reads, &argv).await?;
                there += reply::int(&found)
                    .and_then(|n| u64::try_from(n).ok())
                    .unwrap_or(0);
            }
        }
        let db = link.address.db;
        let would = format!(
            "{there} keys would go from database {db} of {}",
            link.peer()
        );
        let sample = keys
            .iter()
            .take(5)
            .map(|key| String::from_utf8_lossy(key).into_owned());
        let sample: Vec<String> = sample.collect();
        let facts = json!({ "keys": there, "db": db, "such_as": sample });
        let lines = sample.iter().map(|key| format!("such as {key}"));
        Ok(Simulated::exactly(would, facts).detail(lines).into())
    }

    /// Puts back from the backup the keys that the step may have deleted and that are not there.
    async fn restore(
        &self,
        cx: &Context,
        call: &Call,
        captured: &Value,
    ) -> Result<Value, ActionError> {
        let params = checked(call)?;
        let db = captured["db"].as_i64().unwrap_or_default();
        let ours = move |key: &[u8]| match &params.pattern {
            Some(pattern) => glob::matches(pattern.as_bytes(), key),
            None => params.keys.iter().any(|named| named.as_bytes() == key),
        };
        flush::put_back(cx, call, captured, db, &ours).await
    }
}

/// The keys to delete; an error when there are too many.
async fn find(link: &mut Link, params: &Params) -> Result<Vec<Vec<u8>>, ActionError> {
    let too_many = |found: usize| found as u64 > params.max_keys;
    let mut keys = Vec::new();
    match &params.pattern {
        None => keys.extend(params.keys.iter().map(|key| key.clone().into_bytes())),
        Some(pattern) => {
            let mut scan = Scan::new(Some(pattern));
            while let Some(found) = scan.next(link).await? {
                keys.extend(found);
                if too_many(keys.len()) {
                    break;
                }
            }
        }
    }
    if too_many(keys.len()) {
        return Err(ActionError::limit(
            Outcome::NotApplied,
            format!(
                "{} has at least {} such keys, more than `max_keys: {}`; nothing was deleted",
                link.peer(),
                keys.len(),
                params.max_keys
            ),
        )
        .hint("look at them with SCAN first, then narrow the pattern or raise `max_keys`"));
    }
    Ok(keys)
}
