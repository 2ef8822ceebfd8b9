//! `disk.free`: how much room the file system of a path has left, on this machine. Reads only.
//!
//! [`Free`] counts what an ordinary user may still write; blocks that are kept for root are not free.
//! A file system that tells no size (`/proc`) has no share, only null.

use std::path::Path;

use async_trait::async_trait;
use nix::sys::statvfs::{FsFlags, Statvfs, statvfs};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::file::blocking;
use super::{Action, ActionError, Call, Context, ReadContext, Rehearsed, measure, params, process};
use crate::runbook::catalog::always_reading;
use crate::runbook::{Spec, TargetKind};

/// The actions of this file.
pub const ACTIONS: &[&dyn Action] = &[&Free];

/// Looks at a file system.
pub struct Free;

/// Where.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A file or directory on the file system, relative to the step's directory; it has to exist
    path: String,
}

/// What the language knows of `disk.free`.
pub static SPEC: Spec = Spec {
    targets: &[TargetKind::Host],
    target_optional: true,
    short: Some("path"),
    class: always_reading,
    results: &[
        ("path", "the path, as given"),
        (
            "free_bytes",
            "bytes that an ordinary user may still write; null where the file system has no size",
        ),
        ("total_bytes", "its size; null where it has none"),
        ("used_bytes", "bytes in use; null where it has no size"),
        (
            "used_share",
            "`used_bytes` as a share of used and free, as `df` has it; null where it has no size",
        ),
        (
            "inodes_free",
            "files that may still be made; null where they are not counted",
        ),
        (
            "inodes_total",
            "files there can be; null where they are not counted",
        ),
        (
            "inodes_used_share",
            "share of those in use; null where they are not counted",
        ),
        (
            "read_only",
            "whether it is mounted read-only: then nothing may be written, however much is free",
        ),
    ],
    ..Spec::of::<Params>("disk.free", "look how much room a file system has left")
};

#[async_trait]
impl Action for Free {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        match params::<Params>(&SPEC, call) {
            Ok(params) => format!("look at the room that is left at `{}`", params.path),
            Err(_) => "look at the room that is left".into(),
        }
    }

    async fn execute(&self, _: &Context, call: &Call) -> Result<Value, ActionError> {
        free(call).await
    }

    async fn rehearse(&self, _: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        free(call).await.map(Rehearsed::Read)
    }
}

async fn free(call: &Call) -> Result<Value, ActionError> {
    process::here(call)?;
    let params: Params = params(&SPEC, call)?;
    let cwd = call.cwd.clone();
    blocking(move |_| look(&cwd, &params.path)).await
}

fn look(cwd: &Path, path: &str) -> Result<Value, ActionError> {
    let found = statvfs(&cwd.join(path)).map_err(|error| {
        ActionError::invalid(format!("`{path}`: {}", error.desc().to_lowercase()))
    })?;
    Ok(shown(path, &found))
}

fn shown(path: &str, found: &Statvfs) -> Value {
    let unit = found.fragment_size();
    let bytes = |blocks: u64| blocks.saturating_mul(unit);
    let total = bytes(found.blocks());
    let free = bytes(found.blocks_available());
    let used = total.saturating_sub(bytes(found.blocks_free()));
    let sized = total > 0;
    let (files, files_free) = (found.files(), found.files_available());
    let counted = files > 0;
    json!({
        "path": path,
        "free_bytes": sized.then_some(free),
        "total_bytes": sized.then_some(total),
        "used_bytes": sized.then_some(used),
        "used_share": share(used, used + free),
        "inodes_free": counted.then_some(files_free),
        "inodes_total": counted.then_some(files),
        "inodes_used_share": share(files.saturating_sub(found.files_free()), files),
        "read_only": found.flags().contains(FsFlags::ST_RDONLY),
    })
}

fn share(part: u64, whole: u64) -> Option<f64> {
    let small = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    measure::share(small(part), small(whole))
}
