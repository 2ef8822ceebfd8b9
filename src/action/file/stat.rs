//! `file.stat`: whether a file is there, and what it is. Reads only.

use std::os::unix::fs::MetadataExt;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::place::Place;
use super::{Live, blocking};
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::runbook::Spec;
use crate::runbook::catalog::always_reading;

/// Looks at one file.
pub struct Stat;

/// The file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The file, relative to the step's directory
    pub path: String,
}

/// What the language knows of `file.stat`.
pub static SPEC: Spec = Spec {
    short: Some("path"),
    class: always_reading,
    results: &[
        ("exists", "whether there is a regular file"),
        ("path", "the path, as given"),
        (
            "bytes",
            "its length; absent without a file, as is all that follows",
        ),
        ("mode", "its permission bits, such as `0644`"),
        (
            "modified",
            "when it was last written, in seconds since the Unix epoch",
        ),
        (
            "age_s",
            "seconds since it was last written; below zero when its time is ahead of this clock",
        ),
        ("sha256", "the hash of its content"),
    ],
    ..Spec::of::<Params>(
        "file.stat",
        "look at a file: existence, size, mode, time, hash",
    )
};

#[async_trait]
impl Action for Stat {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        match params::<Params>(&SPEC, call) {
            Ok(params) => format!("look at `{}`", params.path),
            Err(_) => "look at a file".into(),
        }
    }

    async fn execute(&self, _: &Context, call: &Call) -> Result<Value, ActionError> {
        let params: Params = params(&SPEC, call)?;
        let cwd = call.cwd.clone();
        blocking(move |live| stat(live, &cwd, &params.path)).await
    }

    async fn rehearse(&self, _: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let params: Params = params(&SPEC, call)?;
        let cwd = call.cwd.clone();
        let found = blocking(move |live| stat(live, &cwd, &params.path)).await?;
        Ok(Rehearsed::Read(found))
    }
}

fn stat(live: &Live, cwd: &std::path::Path, path: &str) -> Result<Value, ActionError> {
    let absent = json!({ "exists": false, "path": path });
    let missing = matches!(std::fs::metadata(cwd.join(path)), Err(error) if error.kind() == std::io::ErrorKind::NotFound);
    if missing {
        return Ok(absent);
    }
    let place = Place::to_read(cwd, path)?;
    let Some(mut file) = place.open()? else {
        return Ok(absent);
    };
    let found = place.read_through(&mut file, live, |_| Ok(()))?;
    let metadata = file
        .metadata()
        .map_err(|error| super::place::io_error(path, "look at", &error))?;
    #[expect(clippy::cast_precision_loss, reason = "a time is a float of seconds")]
    let modified = metadata.mtime() as f64 + metadata.mtime_nsec() as f64 / 1e9;
    Ok(json!({
        "exists": true,
        "path": path,
        "bytes": found.bytes,
        "mode": found.owner.shown(),
        "modified": modified,
        "age_s": jiff::Timestamp::now().as_duration().as_secs_f64() - modified,
        "sha256": found.sha256,
    }))
}
