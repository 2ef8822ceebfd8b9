//! `http.sample`: the same GET or HEAD many times, some at once, and what came of it as figures.
//!
//! [`Sample`] only reads: other methods cannot be written. What was not answered as wanted never makes
//! a figure look better: it counts as slower than everything that was, see [`tally`]. A sample that is
//! not finished is an error, never a smaller sample.

mod tally;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use reqwest::{Client, Method};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use self::tally::{Kind, Seen, Tally};
use super::params::{self, Size, Statuses};
use super::request::{self, Request};
use super::words::Trouble;
use super::{client, exchange};
use crate::action::pause::{self, Deadline, Stopwatch};
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, Stop, StopSignal};
use crate::event::{Cause, Outcome};
use crate::runbook::catalog::always_reading;
use crate::runbook::units::{Span, human};
use crate::runbook::{Spec, TargetKind};

/// Most requests of a sample.
const MOST: u32 = 10_000;
/// Most requests at a time.
const AT_ONCE: u32 = 64;
/// How long a sample may take when the step has no deadline.
const LONGEST: Duration = Duration::from_secs(600);

/// A GET or HEAD, and how often.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Method and path in one, such as `GET /health`; the short form sets it
    request: Option<String>,
    /// Path (with a target) or absolute URL (without) to GET
    get: Option<String>,
    /// Path or absolute URL to ask the head of
    head: Option<String>,
    /// How many requests, 1 to 10000
    #[serde(default = "twenty")]
    requests: u32,
    /// How many of them at a time, 1 to 64; each has a connection of its own that is kept open
    #[serde(default = "four")]
    concurrency: u32,
    /// How long one request may take, with its connecting, up to 5m
    #[serde(default = "five_seconds")]
    timeout: Span,
    /// Request headers
    #[serde(default)]
    headers: Map<String, Value>,
    /// Query parameters; a list repeats its key
    #[serde(default)]
    query: Map<String, Value>,
    /// Status codes that are a success, such as `[200]` or `[2xx, 404]`; `2xx` when left out
    status: Option<Statuses>,
    /// Whether any TLS certificate will do
    #[serde(default)]
    insecure: bool,
    /// The longest body that is read, up to 64mb
    #[serde(default)]
    max_body: Size,
}

fn twenty() -> u32 {
    20
}

fn four() -> u32 {
    4
}

fn five_seconds() -> Span {
    Span(Duration::from_secs(5))
}

/// Many requests of one kind.
pub struct Sample;

/// What the language knows of `http.sample`.
pub static SPEC: Spec = Spec {
    targets: &[TargetKind::Http],
    target_optional: true,
    short: Some("request"),
    class: always_reading,
    sense,
    results: &[
        ("requests", "how many requests were made"),
        (
            "ok",
            "how many were answered with a status that is a success (2xx, or `status`)",
        ),
        ("ok_rate", "`ok` as a share of `requests`"),
        (
            "error_rate",
            "the rest as a share: wrong statuses, and requests without an answer",
        ),
        ("statuses", "how many answers by status code"),
        (
            "classes",
            "how many answers by class: `1xx` to `5xx`, each is there",
        ),
        ("unanswered", "how many requests got no whole answer"),
        (
            "errors",
            "those by kind: timeout, refused, dns, reset, tls, too_large, other; each is there",
        ),
        ("first_error", "the first of those in words, or null"),
        (
            "p50_ms",
            "median, in milliseconds; null when it falls on a request that is not `ok`, which counts as slower than all that are",
        ),
        (
            "p90_ms",
            "90th percentile (nearest rank, of all requests), or null as said",
        ),
        ("p95_ms", "95th percentile, or null as said"),
        ("p99_ms", "99th percentile, or null as said"),
        (
            "min_ms",
            "the quickest of those that are `ok`; null when none is",
        ),
        ("mean_ms", "mean of those that are `ok`; null when none is"),
        (
            "max_ms",
            "the slowest of those that are `ok`; null when none is",
        ),
        ("bytes", "length of all bodies"),
        ("rps", "answers a second"),
        ("took_ms", "milliseconds that all took"),
    ],
    ..Spec::of::<Params>(
        "http.sample",
        "send a GET or HEAD many times, and measure the answers",
    )
};

fn sense(written: &Value) -> Result<(), String> {
    params::sense(written)?;
    if let Some(line) = written.get("request").and_then(Value::as_str)
        && !line.contains("${{")
    {
        let (method, _) = params::request_line(line)?;
        only_reading(&method)?;
    }
    let number = |key: &str| written.get(key).and_then(Value::as_u64);
    within("requests", number("requests"), MOST)?;
    within("concurrency", number("concurrency"), AT_ONCE)
}

fn within(key: &str, given: Option<u64>, most: u32) -> Result<(), String> {
    match given {
        Some(n) if !(1..=u64::from(most)).contains(&n) => {
            Err(format!("`{key}` is from 1 to {most}"))
        }
        _ => Ok(()),
    }
}

/// Whoever samples must not change anything, whatever the author says of it.
fn only_reading(method: &Method) -> Result<(), String> {
    match *method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(format!("a sample only reads: GET and HEAD, not {method}")),
    }
}

#[async_trait]
impl Action for Sample {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        let Ok(params) = crate::action::params::<Params>(&SPEC, call) else {
            return "a sample of HTTP requests".into();
        };
        let (requests, concurrency) = (params.requests, params.concurrency);
        let http = params.into_http();
        let what = match (http.line(), &call.target) {
            (Ok((method, path)), Some(target)) => format!("{method} {path} at `{}`", target.name),
            (Ok((method, path)), None) => match request::absolute(path) {
                Ok(url) => format!("{method} {} at {}", url.path(), request::host_port(&url)),
                Err(_) => format!("{method} request"),
            },
            (Err(_), _) => "an HTTP request".into(),
        };
        format!("{what}, {requests} times, {concurrency} at a time")
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let until = Deadline::after(cx.time_left(LONGEST));
        sample(call, until, Some(cx.stop.clone())).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let until = Deadline::after(cx.time_left(LONGEST));
        sample(call, until, None).await.map(Rehearsed::Read)
    }

    fn stops_itself(&self) -> bool {
        true
    }
}

impl Params {
    fn into_http(self) -> params::Params {
        params::Params {
            request: self.request,
            get: self.get,
            head: self.head,
            headers: self.headers,
            query: self.query,
            status: self.status,
            insecure: self.insecure,
            max_body: self.max_body,
            ..params::Params::default()
        }
    }
}

async fn sample(
    call: &Call,
    until: Deadline,
    stop: Option<StopSignal>,
) -> Result<Value, ActionError> {
    let params: Params = crate::action::params(&SPEC, call)?;
    let wrong = |why: String| ActionError::invalid(format!("`{}`: {why}", call.key));
    within("requests", Some(params.requests.into()), MOST).map_err(wrong)?;
    within("concurrency", Some(params.concurrency.into()), AT_ONCE).map_err(wrong)?;
    let timeout = params.timeout.0;
    if timeout.is_zero() || timeout > Duration::from_secs(300) {
        return Err(wrong("`timeout` is from 1ms to 5m".into()));
    }
    let (requests, concurrency) = (params.requests as usize, params.concurrency as usize);
    let request = Request::new("ferry:sample", call, &params.into_http())?;
    only_reading(&request.method).map_err(wrong)?;
    exchange::vet(&request, &request.url, Outcome::NotApplied)?;
    let client =
        client::keeping(&request.way(&request.url, timeout), concurrency).map_err(wrong)?;
    let sampler = Sampler {
        client,
        request,
        timeout,
    };
    sampler.run(requests, concurrency, until, stop).await
}

/// Everything that is needed to ask once more.
struct Sampler {
    client: Client,
    request: Request,
    timeout: Duration,
}

impl Sampler {
    async fn run(
        &self,
        requests: usize,
        concurrency: usize,
        until: Deadline,
        stop: Option<StopSignal>,
    ) -> Result<Value, ActionError> {
        let watch = Stopwatch::start();
        let mut tally = Tally::default();
        let mut all = stream::iter(0..requests)
            .map(|_| self.once())
            .buffer_unordered(concurrency);
        let stopped = async {
            match stop {
                Some(mut stop) => stop.above(Stop::No).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(stopped);
        let late = until.passed();
        tokio::pin!(late);
        loop {
            let cause = tokio::select! {
                biased;
                seen = all.next() => match seen {
                    Some(Seen::Refused(why)) => return Err(self.error(Cause::Denied, &why)),
                    Some(seen) => {
                        tally.take(seen);
                        continue;
                    }
                    None => return Ok(tally.result(requests, watch.elapsed())),
                },
                _ = &mut stopped => Cause::Stopped,
                () = &mut late => Cause::Timeout,
            };
            let done = tally.seen();
            let why = match cause {
                Cause::Stopped => "stopped",
                _ => "out of time",
            };
            let text = format!("{why} after {done} of {requests} requests: that is no sample");
            return Err(self.error(cause, &text).retryable(false));
        }
    }

    fn error(&self, cause: Cause, why: &str) -> ActionError {
        let place = self.request.place(&self.request.url);
        ActionError::new(cause, Outcome::NotApplied, format!("{place}: {why}"))
    }

    /// One request, to the end of its body.
    async fn once(&self) -> Seen {
        let watch = Stopwatch::start();
        match pause::timeout(self.timeout, self.answer()).await {
            Ok(Ok((status, bytes))) => Seen::Answer {
                ok: match &self.request.statuses {
                    Some(statuses) => statuses.contains(status),
                    None => (200..300).contains(&status),
                },
                status,
                ms: watch.elapsed().as_secs_f64() * 1_000.0,
                bytes,
            },
            Ok(Err(seen)) => seen,
            Err(pause::Passed) => self.timed_out(),
        }
    }

    fn timed_out(&self) -> Seen {
        let why = format!("no whole answer within {}", human(self.timeout));
        Seen::Nothing(Kind::Timeout, why)
    }

    async fn answer(&self) -> Result<(u16, u64), Seen> {
        let sent = self
            .client
            .request(self.request.method.clone(), self.request.url.clone())
            .headers(self.request.headers.clone())
            .send()
            .await;
        let mut response = sent.map_err(|error| self.trouble(&error))?;
        let mut bytes = 0;
        loop {
            let chunk = response.chunk().await;
            let Some(chunk) = chunk.map_err(|error| self.trouble(&error))? else {
                return Ok((response.status().as_u16(), bytes));
            };
            bytes += chunk.len() as u64;
            if bytes > self.request.max_body {
                let why = "a body is over `max_body`".to_owned();
                return Err(Seen::Nothing(Kind::TooLarge, why));
            }
        }
    }

    fn trouble(&self, error: &reqwest::Error) -> Seen {
        let Trouble { cause, words, .. } = Trouble::of(error);
        match cause {
            Cause::Denied => Seen::Refused(words),
            Cause::Timeout => self.timed_out(),
            _ => Seen::Nothing(Kind::of(&words), words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sample_that_would_change_something_cannot_be_written() {
        for good in [
            json!({"get": "/a"}),
            json!({"head": "/a", "requests": 10_000, "concurrency": 64}),
            json!({"request": "GET /a"}),
            json!({"request": "${{ inputs.line }}"}),
        ] {
            assert_eq!(sense(&good), Ok(()), "{good}");
        }
        for (wrong, why) in [
            (json!({}), "no method is given; such as `get: /health`"),
            (
                json!({"request": "POST /a"}),
                "a sample only reads: GET and HEAD, not POST",
            ),
            (
                json!({"request": "OPTIONS /a"}),
                "a sample only reads: GET and HEAD, not OPTIONS",
            ),
            (
                json!({"get": "/a", "requests": 0}),
                "`requests` is from 1 to 10000",
            ),
            (
                json!({"get": "/a", "concurrency": 65}),
                "`concurrency` is from 1 to 64",
            ),
        ] {
            assert_eq!(sense(&wrong).unwrap_err(), why, "{wrong}");
        }
    }
}
