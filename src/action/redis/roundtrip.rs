//! `redis.roundtrip`: proves that the server takes a write and gives it back.
//!
//! It changes data for a moment and leaves nothing: the key is its own, has a time to live, and is
//! deleted at the end, also after a mismatch.

use std::time::Instant;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Link;
use super::reply;
use super::trouble::Effect;
use crate::action::{
    Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated, params,
};
use crate::event::Outcome;
use crate::runbook::units::Span;
use crate::runbook::{Spec, TargetKind};

/// What to write.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// The beginning of the key; the run and the step are added, so that it meets no other key.
    key: String,
    /// How long the key may live at most, should it not be deleted.
    #[serde(default = "a_minute")]
    ttl: Span,
    /// What to write; a text of its own when left out.
    #[serde(default)]
    value: Option<String>,
}

fn a_minute() -> Span {
    Span(std::time::Duration::from_secs(60))
}

/// The action.
pub(super) struct Roundtrip;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    short: Some("key"),
    undo_auto: true,
    results: &[
        (
            "ok",
            "true: what was read is what was written; anything else is a failure",
        ),
        ("key", "the key that was used"),
        ("latency_ms", "write and read together, in milliseconds"),
    ],
    ..Spec::of::<Params>(
        "redis.roundtrip",
        "write a key of its own, read it back and delete it",
    )
};

fn key_of(prefix: &str, cx: &Context) -> String {
    format!("{prefix}:ferry:{}:{}", cx.run, cx.step)
}

#[async_trait]
impl Action for Roundtrip {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        params::<Params>(&SPEC, call).map_or_else(
            |error| error.message,
            |params| format!("write, read and delete a key under `{}`", params.key),
        )
    }

    async fn capture(&self, cx: &Context, call: &Call) -> Result<Option<Value>, ActionError> {
        let params: Params = params(&SPEC, call)?;
        Ok(Some(json!({ "key": key_of(&params.key, cx) })))
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let Params { key, ttl, value } = params(&SPEC, call)?;
        let key = key_of(&key, cx);
        let value = value.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        let ttl = ttl.0.as_millis().max(1).to_string();
        let mut link = Link::open(cx, call).await?;
        if link.in_cluster() {
            // the way to the key's node is not part of what is measured
            link.ask(Effect::Reads, &["EXISTS", &key]).await?;
        }
        let started = Instant::now();
        link.ask(Effect::Changes, &["SET", &key, &value, "PX", &ttl])
            .await?;
        let read = link.ask(Effect::Reads, &["GET", &key]).await;
        let latency_ms = started.elapsed().as_secs_f64() * 1_000.0;
        let left = |error: ActionError| {
            let mut error = error;
            error.outcome = Outcome::Unknown;
            error.hint(format!("the key `{key}` stays for at most {ttl} ms"))
        };
        // a link that failed is not worth another command
        let read = read.map_err(left)?;
        link.ask(Effect::Changes, &["DEL", &key])
            .await
            .map_err(left)?;
        if reply::bytes(read).as_deref() == Some(value.as_bytes()) {
            return Ok(json!({ "ok": true, "key": key, "latency_ms": latency_ms }));
        }
        Err(ActionError::failed(
            Outcome::NotApplied,
            format!("{} gave back another value than was written", link.peer()),
        )
        .hint("is something between ferry and the server, or is the key evicted at once?")
        .result(json!({ "ok": false, "key": key, "latency_ms": latency_ms })))
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let Params { key, ttl, .. } = params(&SPEC, call)?;
        let mut link = Link::open_reading(cx, call).await?;
        let info = super::info::read(&mut link, &["replication"]).await?;
        let role = super::stats::role(&info);
        let key = format!("{key}:ferry:RUN:{}", cx.step);
        let would = format!("{} ({role}) would get SET {key}, GET and DEL", link.peer());
        let facts = json!({ "key": key, "ttl_ms": ttl.0.as_secs_f64() * 1_000.0, "role": role });
        Ok(Simulated::shown(would, facts).into())
    }

    /// Deletes the key, should it be left.
    async fn restore(
        &self,
        cx: &Context,
        call: &Call,
        captured: &Value,
    ) -> Result<Value, ActionError> {
        let key = captured["key"].as_str().unwrap_or_default();
        let mut link = Link::open(cx, call).await?;
        let deleted = link.ask(Effect::Changes, &["DEL", key]).await?;
        Ok(json!({ "deleted": reply::int(&deleted) }))
    }
}
