//! `redis.latency`: how long a PING takes, as percentiles over many.

use std::time::Instant;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Link;
use super::rights;
use super::trouble::Effect;
use crate::action::pause::sleep;
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::runbook::catalog::always_reading;
use crate::runbook::units::Span;
use crate::runbook::{Spec, TargetKind};

/// Most PINGs.
const MOST: u64 = 100_000;

/// How many, how close together.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// How many PINGs, one after the other, up to 100,000.
    #[serde(default = "hundred")]
    n: u64,
    /// How long to wait after each; at once when left out.
    #[serde(default)]
    every: Option<Span>,
}

fn hundred() -> u64 {
    100
}

impl Params {
    fn fit(&self) -> Result<(), String> {
        match self.n {
            1..=MOST => Ok(()),
            _ => Err(format!("`n` is 1 to {MOST}")),
        }
    }
}

/// The action.
pub(super) struct Latency;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    class: always_reading,
    sense: |params| match serde_json::from_value::<Params>(params.clone()) {
        Ok(params) => params.fit(),
        Err(_) => Ok(()),
    },
    results: &[
        ("samples", "how many PINGs were answered: all of them"),
        ("min_ms", "the fastest, in milliseconds"),
        ("mean_ms", "the mean"),
        ("p50_ms", "half of them took no longer"),
        ("p95_ms", "95 of 100 took no longer"),
        ("p99_ms", "99 of 100 took no longer"),
        ("max_ms", "the slowest"),
    ],
    ..Spec::of::<Params>("redis.latency", "measure how long PINGs take")
};

fn checked(call: &Call) -> Result<Params, ActionError> {
    let params: Params = params(&SPEC, call)?;
    let wrong = |why| ActionError::invalid(format!("`redis.latency`: {why}"));
    params.fit().map_err(wrong)?;
    Ok(params)
}

#[async_trait]
impl Action for Latency {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        checked(call).map_or_else(
            |error| error.message,
            |params| format!("{} PINGs", params.n),
        )
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let params = checked(call)?;
        measure(Link::open(cx, call).await?, &params).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let params = checked(call)?;
        let link = Link::open_reading(cx, call).await?;
        measure(link, &params).await.map(Rehearsed::Read)
    }
}

async fn measure(mut link: Link, params: &Params) -> Result<Value, ActionError> {
    let mut samples = Vec::new();
    for at in 0..params.n {
        let began = Instant::now();
        let answer = link.ask(Effect::Reads, &["PING"]).await;
        answer.map_err(|error| rights::named(error, &link, "PING"))?;
        samples.push(began.elapsed().as_secs_f64() * 1_000.0);
        if let Some(every) = params.every.filter(|_| at + 1 < params.n) {
            sleep(every.0).await;
        }
    }
    samples.sort_by(f64::total_cmp);
    Ok(figures(&samples))
}

/// Of samples in order, at least one.
#[expect(clippy::cast_precision_loss, reason = "a mean")]
fn figures(samples: &[f64]) -> Value {
    json!({
        "samples": samples.len(),
        "min_ms": samples.first(),
        "mean_ms": samples.iter().sum::<f64>() / samples.len() as f64,
        "p50_ms": percentile(samples, 50),
        "p95_ms": percentile(samples, 95),
        "p99_ms": percentile(samples, 99),
        "max_ms": samples.last(),
    })
}

/// The smallest sample that so many of a hundred do not exceed.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let samples: Vec<f64> = (1..=200).map(f64::from).collect();
        let found = figures(&samples);
        assert_eq!(
            found,
            json!({
                "samples": 200, "min_ms": 1.0, "mean_ms": 100.5, "p50_ms": 100.0,
                "p95_ms": 190.0, "p99_ms": 198.0, "max_ms": 200.0
            })
        );
        assert_eq!(figures(&[7.0])["p99_ms"], json!(7.0));
        assert_eq!(percentile(&[], 50), None);
    }
}
