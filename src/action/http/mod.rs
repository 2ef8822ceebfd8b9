//! `http`: one request and its answer, to a target or an absolute URL.
//!
//! [`Http`] is the action; the parts are what an author writes (`params`), the request made of it
//! (`request`), who may be dialled (`client`), the exchange with its redirects (`exchange`) and what
//! the answer means (`judge`). `http.sample` asks the same many times ([`Sample`]). Nothing here retries.

mod ask;
mod client;
mod exchange;
mod json;
mod judge;
mod params;
mod request;
mod sample;
mod tell;
mod words;

use async_trait::async_trait;
use serde_json::Value;

use super::{Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated};
use crate::runbook::{Spec, TargetKind};

pub(super) use ask::{Asker, get_json};
pub use client::Pool;
pub use params::Params;
pub use sample::Sample;
pub use tell::tell;

/// The actions of this folder.
pub const ACTIONS: &[&dyn Action] = &[&Http, &Sample];

/// One HTTP request.
pub struct Http;

/// What the language knows of `http`.
pub static SPEC: Spec = Spec {
    targets: &[TargetKind::Http],
    target_optional: true,
    short: Some("request"),
    class: params::class,
    sense: params::sense,
    results: &[
        ("status", "status code"),
        ("ok", "whether the status is 2xx"),
        (
            "headers",
            "response headers, names in lower case, cookie values hidden",
        ),
        (
            "json",
            "the body as JSON; absent when it is not JSON, see `json_error`",
        ),
        (
            "json_error",
            "why a body that should be JSON is not; otherwise absent",
        ),
        (
            "text",
            "the body as text, up to 64 kB; otherwise absent, see `text_error`",
        ),
        ("text_error", "why there is no `text`; otherwise absent"),
        ("bytes", "length of the body"),
        ("sha256", "hash of the body"),
        ("url", "where the answer came from, after redirects"),
        ("redirects", "how many redirects were followed"),
        ("insecure", "whether TLS certificates went unchecked"),
        (
            "total_ms",
            "milliseconds from the start to the end of the body",
        ),
        (
            "ttfb_ms",
            "milliseconds until the headers of the last answer were there",
        ),
        (
            "retry_after_s",
            "seconds that `Retry-After` asks for; absent without it",
        ),
    ],
    ..Spec::of::<Params>("http", "send an HTTP request")
};

#[async_trait]
impl Action for Http {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        let Ok(params) = super::params::<Params>(&SPEC, call) else {
            return "an HTTP request".into();
        };
        let Ok((method, path)) = params.line() else {
            return "an HTTP request".into();
        };
        let to = match &call.target {
            Some(target) => format!("{method} {path} at `{}`", target.name),
            None => match request::absolute(path) {
                Ok(url) => format!("{method} {} at {}", url.path(), request::host_port(&url)),
                Err(_) => format!("{method} request"),
            },
        };
        match params.insecure {
            true => format!("{to} (certificates unchecked)"),
            false => to,
        }
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let params: Params = super::params(&SPEC, call)?;
        let request = request::Request::new(&cx.idempotency_key, call, &params)?;
        send(cx, &request).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let params: Params = super::params(&SPEC, call)?;
        let request = request::Request::new("ferry:RUN", call, &params)?;
        if !request.changing {
            let answer = exchange::exchange_reading(cx, &request).await?;
            return judge::judge(&request, &answer).map(Rehearsed::Read);
        }
        Ok(unsent(&request).into())
    }
}

/// A request as it would be sent. Headers may hold credentials: only the names are shown.
fn unsent(request: &request::Request) -> Simulated {
    let would = format!("{} {} would be sent", request.method, request.url);
    let names = request.headers.keys().map(|name| format!("header {name}"));
    let mut lines: Vec<String> = names.collect();
    if let Some(body) = &request.body {
        let text = String::from_utf8_lossy(body);
        let cut: String = text.chars().take(2_000).collect();
        let left = text.len() - cut.len();
        let more = if left > 0 {
            format!(" ... ({left} more bytes)")
        } else {
            String::new()
        };
        lines.push(format!("body {cut}{more}"));
    }
    let facts = serde_json::json!({
        "method": request.method.as_str(),
        "url": request.url.as_str(),
        "bytes": request.body.as_ref().map_or(0, Vec::len),
    });
    Simulated::shown(would, facts).detail(lines)
}

async fn send(cx: &Context, request: &request::Request) -> Result<Value, ActionError> {
    let answer = exchange::exchange(cx, request).await?;
    judge::judge(request, &answer)
}

/// Posts JSON to an absolute URL as a changing call; `result` is that of `http`.
pub(super) async fn post_json(
    cx: &Context,
    call: &Call,
    url: &str,
    body: Value,
) -> Result<Value, ActionError> {
    let params = serde_json::json!({ "post": url, "json": body, "max_body": 1 << 20 });
    let params: Params = serde_json::from_value(params).expect("parameters of our own");
    send(
        cx,
        &request::Request::new(&cx.idempotency_key, call, &params)?,
    )
    .await
}

/// `host:port` of an absolute URL that may be dialled.
///
/// # Errors
/// What is wrong with it, in words that show no more than the host.
pub(super) fn host_of(url: &str) -> Result<String, String> {
    request::absolute(url).map(|url| request::host_port(&url))
}
