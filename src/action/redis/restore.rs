//! `redis.restore`: puts the keys of a backup into a database; and [`put_back`], with which the
//! undo of a flush or a delete does.
//!
//! A key gets what it had left to live when it was backed up, counted from now.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::address::in_dir;
use super::backup::unusable;
use super::client::Link;
use super::dump::{self, Reader, Record};
use super::trouble::{self, Effect};
use crate::action::{
    Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated, params,
};
use crate::event::Outcome;
use crate::runbook::{Spec, TargetKind};

/// What is sent in one go, in bytes and in keys.
const BATCH_BYTES: usize = 8 << 20;
const BATCH_KEYS: usize = 512;

/// What to put back.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// The file, or the id of the `redis.backup` step that wrote it.
    from: String,
    /// Whether keys that are there are replaced; otherwise they are kept.
    #[serde(default)]
    replace: bool,
}

/// The action.
pub(super) struct Restore;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    short: Some("from"),
    results: &[
        ("keys", "keys in the file"),
        ("restored", "keys that were put back"),
        ("skipped", "keys that were there and were kept"),
        ("sha256", "of the file"),
    ],
    ..Spec::of::<Params>("redis.restore", "put the keys of a backup into a database")
};

#[async_trait]
impl Action for Restore {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        params::<Params>(&SPEC, call).map_or_else(
            |error| error.message,
            |params| {
                let how = if params.replace { ", replacing" } else { "" };
                format!("restore keys from {}{how}", params.from)
            },
        )
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let Params { from, replace } = params(&SPEC, call)?;
        let step = (cx.results)(&from);
        let path = match step.as_ref().map(|result| &result["path"]) {
            None => in_dir(&call.cwd, Path::new(&from)),
            Some(Value::String(path)) => PathBuf::from(path),
            Some(_) => {
                return Err(ActionError::invalid(format!(
                    "the result of step `{from}` has no `path`: it is not a backup"
                )));
            }
        };
        let wanted = step.as_ref().and_then(|result| result["sha256"].as_str());
        let summary = checked(&path, wanted).await?;
        let mut link = Link::open(cx, call).await?;
        let counts = put_back(cx, &mut link, &path, replace, &|_| true).await?;
        Ok(json!({
            "keys": summary.keys,
            "restored": counts.restored,
            "skipped": counts.kept,
            "sha256": summary.sha256,
        }))
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        rehearse(cx, call).await
    }
}

/// What a restore of this file, or of this step's backup, would do.
async fn rehearse(cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
    let Params { from, replace } = params(&SPEC, call)?;
    let link = Link::open_reading(cx, call).await?;
    let path = in_dir(&call.cwd, Path::new(&from));
    let (place, how) = (link.peer(), if replace { "replacing" } else { "keeping" });
    if cx.backups.contains(&from) || cx.made_by_a_run(&path) {
        let would = format!(
            "put back the keys of `{from}`, which the run makes, into {place}, {how} what is there"
        );
        return Ok(Simulated::shown(would, json!({ "from": from })).into());
    }
    let summary = checked(&path, None).await?;
    let would = format!(
        "{} keys of `{from}` would go into {place}, {how} what is there",
        summary.keys
    );
    Ok(Simulated::exactly(would, json!({ "keys": summary.keys, "from": from })).into())
}

/// Checks the whole file before anything is taken from it.
pub(super) async fn checked(
    path: &Path,
    sha256: Option<&str>,
) -> Result<dump::Summary, ActionError> {
    let (_, summary) = dump::verify(path)
        .await
        .map_err(|problem| unusable(path, &problem))?;
    match sha256 {
        Some(wanted) if wanted != summary.sha256 => Err(unusable(
            path,
            &format!(
                "is not the backup that was taken: its SHA-256 is {}, not {wanted}",
                summary.sha256
            ),
        )),
        _ => Ok(summary),
    }
}

/// What [`put_back`] did.
#[derive(Default)]
pub(super) struct Counts {
    pub restored: u64,
    pub kept: u64,
}

/// Puts back those keys of a checked file that `wanted` says.
pub(super) async fn put_back(
    cx: &Context,
    link: &mut Link,
    path: &Path,
    replace: bool,
    wanted: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<Counts, ActionError> {
    let mut counts = Counts::default();
    let mut reader = Reader::open(path)
        .await
        .map_err(|problem| unusable(path, &problem))?;
    let mut batch = Vec::new();
    let mut bytes = 0;
    loop {
        let record = reader
            .next()
            .await
            .map_err(|problem| half_way(unusable(path, &problem), &counts))?;
        let end = record.is_none();
        if let Some(record) = record.filter(|record| wanted(&record.key)) {
            bytes += record.key.len() + record.payload.len();
            batch.push(command(record, replace));
        }
        if end || bytes >= BATCH_BYTES || batch.len() >= BATCH_KEYS {
            send(link, &batch, &mut counts).await?;
            cx.output
                .progress(&format!("{} keys restored", counts.restored));
            batch.clear();
            bytes = 0;
        }
        if end {
            return Ok(counts);
        }
    }
}

fn command(record: Record, replace: bool) -> Vec<Vec<u8>> {
    let ttl = record.ttl_ms.max(0).to_string().into_bytes();
    let mut argv = vec![b"RESTORE".to_vec(), record.key, ttl, record.payload];
    if replace {
        argv.push(b"REPLACE".to_vec());
    }
    argv
}

async fn send(
    link: &mut Link,
    batch: &[Vec<Vec<u8>>],
    counts: &mut Counts,
) -> Result<(), ActionError> {
    let replies = link
        .ask_many(Effect::Changes, batch)
        .await
        .map_err(|error| half_way(error, counts))?;
    let mut first = None;
    for answer in replies {
        match answer {
            redis::Value::ServerError(error) if error.code() == "BUSYKEY" => counts.kept += 1,
            redis::Value::ServerError(error) => {
                first.get_or_insert(error);
            }
            _ => counts.restored += 1,
        }
    }
    let Some(error) = first else {
        return Ok(());
    };
    let detail = error.details().unwrap_or_default();
    let mut told = trouble::server(link.peer(), Effect::Changes, error.code(), detail);
    if detail.contains("DUMP payload version") {
        told = told
            .hint("a server that is older than the one that was backed up cannot read its values");
    }
    Err(half_way(told, counts))
}

/// An error after some keys went in: no longer *not applied*.
fn half_way(mut error: ActionError, counts: &Counts) -> ActionError {
    if counts.restored > 0 && error.outcome == Outcome::NotApplied {
        error.outcome = Outcome::Unknown;
    }
    error.result(json!({ "restored": counts.restored, "skipped": counts.kept }))
}
