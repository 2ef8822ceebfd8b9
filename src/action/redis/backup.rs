//! `redis.backup`: all keys of one database into one file, proven readable; and `scan`, which the
//! other actions share.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::address::in_dir;
use super::client::Link;
use super::dump::{self, Header, Record, Writer};
use super::trouble::{self, Effect};
use super::{info, reply};
use crate::action::rehearse::writable_dir;
use crate::action::{
    Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated, params,
};
use crate::event::Outcome;
use crate::runbook::{Spec, TargetKind};

/// What is asked for in one go, in bytes, judged by what came before.
const BATCH_BYTES: u64 = 8 << 20;
/// And in keys.
const BATCH_KEYS: usize = 512;

/// What to back up.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// The file to write; one that is there is replaced once the new one is complete.
    to: PathBuf,
    /// Only keys that fit this pattern, such as `session:*`.
    #[serde(default, rename = "match")]
    pattern: Option<String>,
}

/// The action.
pub(super) struct Backup;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    short: Some("to"),
    undo_auto: true,
    results: &[
        ("keys", "keys in the file"),
        (
            "keys_at_start",
            "keys in the database (or that fit `match`) when it began",
        ),
        (
            "gone",
            "keys that ended between being listed and being read",
        ),
        ("bytes", "the file's size in bytes"),
        ("sha256", "of the whole file"),
        ("path", "the file"),
        (
            "verified",
            "true: the file was read back whole, and count and checksum fit",
        ),
        ("db", "the database"),
        ("run_id", "the identity of the server process"),
        ("redis_version", "such as 7.0.15"),
        ("took_ms", "in milliseconds"),
    ],
    ..Spec::of::<Params>(
        "redis.backup",
        "write all keys of one database, with what they have left to live, to a file",
    )
};

#[async_trait]
impl Action for Backup {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        params::<Params>(&SPEC, call).map_or_else(
            |error| error.message,
            |params| format!("back up the database to {}", params.to.display()),
        )
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let Params { to, pattern } = params(&SPEC, call)?;
        let path = in_dir(&call.cwd, &to);
        let started = Instant::now();
        let mut link = Link::open(cx, call).await?;
        link.large_replies();
        let info = info::read(&mut link, &["server"]).await?;
        let text = |name: &str| info.get(name).and_then(Value::as_str).unwrap_or_default();
        let header = Header {
            run_id: text("run_id").to_owned(),
            redis_version: text("redis_version").to_owned(),
            db: link.address.db,
            pattern,
        };
        let (at_start, gone, summary) = write(cx, &mut link, &path, &header).await?;
        let (_, found) = dump::verify(&path)
            .await
            .map_err(|problem| unusable(&path, &problem))?;
        if found != summary {
            return Err(unusable(&path, "is not what was written"));
        }
        Ok(json!({
            "keys": summary.keys,
            "keys_at_start": at_start,
            "gone": gone,
            "bytes": summary.bytes,
            "sha256": summary.sha256,
            "path": path,
            "verified": true,
            "db": header.db,
            "run_id": header.run_id,
            "redis_version": header.redis_version,
            "took_ms": started.elapsed().as_secs_f64() * 1_000.0,
        }))
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let Params { to, pattern } = params(&SPEC, call)?;
        let path = in_dir(&call.cwd, &to);
        writable_dir(cx, &path)?;
        let mut link = Link::open_reading(cx, call).await?;
        let keys = count(&mut link, pattern.as_deref()).await?;
        let db = link.address.db;
        let would = format!(
            "{keys} keys of database {db} of {} would be written to {}",
            link.peer(),
            path.display()
        );
        Ok(Simulated::exactly(would, json!({ "keys": keys, "db": db, "path": path })).into())
    }

    async fn capture(&self, _: &Context, call: &Call) -> Result<Option<Value>, ActionError> {
        let Params { to, .. } = params(&SPEC, call)?;
        Ok(Some(json!({ "path": in_dir(&call.cwd, &to) })))
    }

    /// Keeps the file: the undo of a flush may need it, and it does no harm.
    async fn restore(&self, _: &Context, _: &Call, captured: &Value) -> Result<Value, ActionError> {
        Ok(json!({ "kept": captured["path"] }))
    }
}

/// A file's trouble; the database is untouched.
pub(super) fn unusable(path: &Path, problem: &str) -> ActionError {
    ActionError::failed(
        Outcome::NotApplied,
        format!("`{}` {problem}", path.display()),
    )
}

/// Writes the file; returns the keys at the start, those that ended meanwhile, and the summary.
async fn write(
    cx: &Context,
    link: &mut Link,
    path: &Path,
    header: &Header,
) -> Result<(u64, u64, dump::Summary), ActionError> {
    let disk = |error: std::io::Error| unusable(path, &format!("cannot be written: {error}"));
    if let Some(dir) = path.parent() {
        tokio::fs::create_dir_all(dir).await.map_err(disk)?;
    }
    let pattern = header.pattern.as_deref();
    let at_start = count(link, pattern).await?;
    let mut writer = Writer::create(path, header).await.map_err(disk)?;
    let mut scan = Scan::new(pattern);
    let (mut keys, mut bytes, mut gone) = (0_u64, 0_u64, 0_u64);
    while let Some(found) = scan.next(link).await? {
        let mut rest = found.as_slice();
        while !rest.is_empty() {
            // starts small, then as many as past sizes let expect to fit
            let fit = bytes
                .checked_div(keys)
                .map_or(16, |mean| BATCH_BYTES / (mean + 1));
            let size = usize::try_from(fit)
                .unwrap_or(BATCH_KEYS)
                .clamp(1, BATCH_KEYS);
            let (batch, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            for record in read(link, batch).await? {
                let Some(record) = record else {
                    gone += 1;
                    continue;
                };
                keys += 1;
                bytes += record.payload.len() as u64;
                writer.add(&record).map_err(disk)?;
            }
            writer.flush().await.map_err(disk)?;
        }
        cx.output.progress(&format!("{keys} of {at_start} keys"));
    }
    let summary = writer.finish().await.map_err(disk)?;
    Ok((at_start, gone, summary))
}

/// How many keys there are, or fit.
async fn count(link: &mut Link, pattern: Option<&str>) -> Result<u64, ActionError> {
    if pattern.is_none() {
        let size = link.ask(Effect::Reads, &["DBSIZE"]).await?;
        let size = reply::int(&size).and_then(|n| u64::try_from(n).ok());
        return Ok(size.unwrap_or(0));
    }
    let mut scan = Scan::new(pattern);
    let mut count = 0;
    while let Some(keys) = scan.next(link).await? {
        count += keys.len() as u64;
    }
    Ok(count)
}

/// Reads keys; `None` for one that ended meanwhile.
async fn read(link: &mut Link, keys: &[Vec<u8>]) -> Result<Vec<Option<Record>>, ActionError> {
    let commands: Vec<Vec<Vec<u8>>> = keys
        .iter()
        .flat_map(|key| {
            [
                vec![b"DUMP".to_vec(), key.clone()],
                vec![b"PTTL".to_vec(), key.clone()],
            ]
        })
        .collect();
    let mut replies = link.ask_many(Effect::Reads, &commands).await?.into_iter();
    let mut records = Vec::with_capacity(keys.len());
    for key in keys {
        let (dumped, left) = (replies.next(), replies.next());
        for answer in [&dumped, &left].into_iter().flatten() {
            if let redis::Value::ServerError(error) = answer {
                let detail = error.details().unwrap_or_default();
                return Err(trouble::server(
                    link.peer(),
                    Effect::Reads,
                    error.code(),
                    detail,
                ));
            }
        }
        let payload = dumped.and_then(reply::bytes);
        let left = left.as_ref().and_then(reply::int).unwrap_or(-2);
        records.push(match payload {
            Some(payload) if left >= -1 => Some(Record {
                key: key.clone(),
                // what ends within this millisecond still has to end
                ttl_ms: if left == 0 { 1 } else { left },
                payload,
            }),
            _ => None,
        });
    }
    Ok(records)
}

/// Goes over all keys once: SCAN may name a key twice, this does not.
pub(super) struct Scan {
    pattern: Option<String>,
    cursor: Option<String>,
    /// 128 bits of each key's SHA-256, so that memory does not grow with the keys' length.
    seen: HashSet<[u8; 16]>,
}

impl Scan {
    pub fn new(pattern: Option<&str>) -> Self {
        Self {
            pattern: pattern.map(str::to_owned),
            cursor: Some("0".into()),
            seen: HashSet::new(),
        }
    }

    /// The next few keys, perhaps none; `None` at the end.
    pub async fn next(&mut self, link: &mut Link) -> Result<Option<Vec<Vec<u8>>>, ActionError> {
        let Some(cursor) = self.cursor.take() else {
            return Ok(None);
        };
        let mut argv = vec!["SCAN", cursor.as_str(), "COUNT", "1000"];
        if let Some(pattern) = &self.pattern {
            argv.extend(["MATCH", pattern]);
        }
        let answer = link.ask(Effect::Reads, &argv).await?;
        let redis::Value::Array(mut parts) = answer else {
            return Err(trouble::lost(
                link.peer(),
                Effect::Reads,
                "SCAN",
                "not a list",
            ));
        };
        let keys = match parts.pop() {
            Some(redis::Value::Array(keys)) => keys,
            _ => Vec::new(),
        };
        let next = parts.pop().map(reply::text).unwrap_or_default();
        self.cursor = (!next.is_empty() && next != "0").then_some(next);
        let keys = keys.into_iter().filter_map(reply::bytes);
        let new = keys.filter(|key| {
            let digest = Sha256::digest(key);
            let mut short = [0; 16];
            short.copy_from_slice(&digest[..16]);
            self.seen.insert(short)
        });
        Ok(Some(new.collect()))
    }
}
