//! `redis.pubsub`: a message that is published is received, on a channel of ferry's own.
//!
//! It touches no data and no channel that anybody else knows: the name that an author gives is only
//! the beginning of it.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Link;
use super::raw::Raw;
use super::trouble::{self, Effect};
use super::{reply, rights};
use crate::action::pause::timeout;
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::event::{Cause, Outcome};
use crate::runbook::catalog::always_reading;
use crate::runbook::units::{Span, human};
use crate::runbook::{Spec, TargetKind};

/// Where and how long.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// The beginning of the channel's name; what follows is made up each time.
    #[serde(default = "ferry")]
    channel: String,
    /// How long the message may take.
    #[serde(default = "five_seconds")]
    timeout: Span,
}

fn ferry() -> String {
    "ferry".into()
}

fn five_seconds() -> Span {
    Span(Duration::from_secs(5))
}

/// The action.
pub(super) struct Pubsub;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    class: always_reading,
    results: &[
        ("received", "true: anything else is a failure"),
        (
            "latency_ms",
            "from publishing to receiving, in milliseconds",
        ),
        (
            "receivers",
            "how many subscribers the server says it had; null when it does not say",
        ),
        ("channel", "the channel that was used"),
    ],
    ..Spec::of::<Params>(
        "redis.pubsub",
        "publish a message on a channel of its own and receive it",
    )
};

#[async_trait]
impl Action for Pubsub {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        params::<Params>(&SPEC, call).map_or_else(
            |error| error.message,
            |params| format!("publish and receive under `{}`", params.channel),
        )
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let Params { channel, timeout } = params(&SPEC, call)?;
        let id = uuid::Uuid::now_v7().simple().to_string();
        let link = Link::open(cx, call).await?;
        through(link, &format!("{channel}:ferry:{id}"), &id, timeout.0).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let Params { .. } = params(&SPEC, call)?;
        Link::open_reading(cx, call).await?;
        let why =
            "it publishes a message, and a rehearsal publishes nothing; the server lets ferry in";
        Ok(Rehearsed::NotVerified(why.into()))
    }
}

async fn through(
    mut link: Link,
    channel: &str,
    message: &str,
    limit: Duration,
) -> Result<Value, ActionError> {
    let peer = link.peer().to_owned();
    let late = || {
        let limit = human(limit);
        let message =
            format!("{peer}: a message published on `{channel}` was not received within {limit}");
        ActionError::new(Cause::Timeout, Outcome::NotApplied, message).hint(
            "is the server overloaded, or do ferry's two connections lead to different servers?",
        )
    };
    let mut ear = Raw::open(&link).await?;
    ear.begin(&link, &["SUBSCRIBE", channel], limit).await?;
    let lost = |error: std::io::Error| {
        trouble::lost(&peer, Effect::Reads, "SUBSCRIBE", &error.to_string())
    };
    // the answer to SUBSCRIBE ends with how many channels there are
    let subscribed = async {
        while !ear.line().await.map_err(lost)?.bytes.starts_with(b":") {}
        Ok::<_, ActionError>(())
    };
    timeout(limit, subscribed).await.map_err(|_| late())??;
    let began = Instant::now();
    let answer = link
        .ask(Effect::Reads, &["PUBLISH", channel, message])
        .await;
    let answer = answer.map_err(|error| rights::named(error, &link, "PUBLISH"))?;
    let received = async {
        while ear.line().await.map_err(lost)?.bytes != message.as_bytes() {}
        Ok::<_, ActionError>(began.elapsed())
    };
    let left = limit.saturating_sub(began.elapsed());
    let took = timeout(left, received).await.map_err(|_| late())??;
    Ok(json!({
        "received": true,
        "latency_ms": took.as_secs_f64() * 1_000.0,
        "receivers": reply::int(&answer),
        "channel": channel,
    }))
}
