//! `prometheus.query`: a `PromQL` query, for now or over a range, and its figures. Reads only.
//!
//! [`Query`] asks by the HTTP API ([`api`]); [`values`] makes figures of samples. No series, NaN, an
//! infinite value or a range with holes is never a number in the result, only null.

mod api;
mod text;
mod values;

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::api::{Api, Data};
use super::http::Asker;
use super::pause::Stopwatch;
use super::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::runbook::catalog::always_reading;
use crate::runbook::units::{Span, human};
use crate::runbook::{Spec, TargetKind};

/// The actions of this folder.
pub const ACTIONS: &[&dyn Action] = &[&Query];

/// Most points that a range is asked for.
const MOST_POINTS: f64 = 10_000.0;

/// One query.
pub struct Query;

/// What to ask, and for when.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The query in `PromQL`
    query: String,
    /// Values for `$name` in the query, by name; text goes in as a quoted string
    #[serde(default)]
    args: Map<String, Value>,
    /// How far back, for figures over time; without it, the query is for now
    range: Option<Span>,
    /// The distance of the range's points; a sixtieth of the range when left out, at least 1s
    step: Option<Span>,
    /// How old a sample may be to be taken, for a query that is one selector (`name{..}`) and for now;
    /// without it, the server's own limit counts, which is 5m
    at_most_age: Option<Span>,
    /// Which share of a range's points has to be there for its figures to be told, 0 to 1
    #[serde(default = "half")]
    coverage: f64,
}

fn half() -> f64 {
    0.5
}

/// What the language knows of `prometheus.query`.
pub static SPEC: Spec = Spec {
    targets: &[TargetKind::Prometheus],
    short: Some("query"),
    class: always_reading,
    program_text: &["query"],
    values_go_in: "`args: { name: .. }`, with `$name` in the query",
    sense,
    results: &[
        (
            "value",
            "the number, when there is exactly one series or a scalar (over a range: its last point); otherwise null",
        ),
        ("series", "how many series there are"),
        (
            "samples",
            "by series, the first 100: labels, value, at (seconds since the Unix epoch); over a range labels, points, coverage, min, max, mean, p95, last; what is not a finite number is null",
        ),
        ("left_out", "how many series are not in `samples`"),
        (
            "min",
            "smallest value of all series; null when there are none or one has no value",
        ),
        ("max", "largest value, or null as said"),
        ("mean", "mean of all values, or null as said"),
        (
            "p95",
            "95th percentile of all values (nearest rank), or null as said",
        ),
        (
            "stale",
            "how many series have no sample young enough for `at_most_age`; their value is null",
        ),
        (
            "step_s",
            "seconds between the points of a range; null without",
        ),
        ("warnings", "what the server warns of, in its words"),
        (
            "hint",
            "what may be wrong when there is nothing; otherwise null",
        ),
        ("took_ms", "milliseconds with the way there"),
    ],
    ..Spec::of::<Params>(
        "prometheus.query",
        "ask Prometheus, for now or over a range of time",
    )
};

fn sense(written: &Value) -> Result<(), String> {
    let given = |key: &str| written.get(key).is_some_and(|value| !value.is_null());
    if given("step") && !given("range") {
        return Err("`step` goes with `range`".into());
    }
    if given("at_most_age") && given("range") {
        return Err("`at_most_age` is for a query for now, not with `range`".into());
    }
    match written.get("query").and_then(Value::as_str) {
        Some(text) if text.trim().is_empty() => Err("`query` is empty".into()),
        _ => Ok(()),
    }
}

#[async_trait]
impl Action for Query {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        let name = call.target.as_ref().map_or("", |target| &target.name);
        let Ok(params) = params::<Params>(&SPEC, call) else {
            return format!("ask `{name}`");
        };
        let flat = params
            .query
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        match params.range {
            Some(Span(range)) => format!("ask `{name}` over {}: {flat}", human(range)),
            None => format!("ask `{name}`: {flat}"),
        }
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        ask(Asker::Run(cx), call).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        ask(Asker::Rehearsal(cx), call).await.map(Rehearsed::Read)
    }
}

async fn ask(asker: Asker<'_>, call: &Call) -> Result<Value, ActionError> {
    let params: Params = params(&SPEC, call)?;
    let wrong = |why: String| ActionError::invalid(format!("`{}`: {why}", call.key));
    let query = text::filled(&params.query, &params.args).map_err(wrong)?;
    if !(0.0..=1.0).contains(&params.coverage) {
        return Err(wrong("`coverage` is from 0 to 1".into()));
    }
    let watch = Stopwatch::start();
    let mut api = Api::new(asker, call);
    let age = params.at_most_age.map(|Span(age)| age);
    let mut result = match params.range {
        None if params.step.is_some() => return Err(wrong("`step` goes with `range`".into())),
        None => now(&mut api, &query, age).await?,
        Some(_) if age.is_some() => {
            let why = "`at_most_age` is for a query for now, not with `range`";
            return Err(wrong(why.into()));
        }
        Some(Span(range)) => {
            let step = params.step.map(|Span(step)| step);
            let grid = Grid::of(range, step).map_err(wrong)?;
            over(&mut api, &query, &grid, params.coverage).await?
        }
    };
    let hint = match (&result["series"], &result["stale"]) {
        (series, _) if *series == 0 => {
            Some("no series fits: is the name of the metric right, and is its target scraped?")
        }
        (_, stale) if *stale == 0 => None,
        _ => Some("the last sample is older than `at_most_age`: is its target still scraped?"),
    };
    result["warnings"] = json!(api.warnings);
    result["hint"] = json!(hint);
    result["took_ms"] = json!((watch.elapsed().as_secs_f64() * 1e6).round() / 1e3);
    Ok(result)
}

async fn now(api: &mut Api<'_>, query: &str, age: Option<Duration>) -> Result<Value, ActionError> {
    if age.is_some() && !text::is_selector(query) {
        return Err(ActionError::invalid(
            "`prometheus.query`: the age of samples is only known of one selector, such as `name{job=\"a\"}`",
        )
        .hint("leave `at_most_age` out, and say in the query how old its samples may be"));
    }
    match api.instant(query, None).await? {
        Data::Vector(mut samples) => {
            let mut stale = 0;
            if let (Some(age), Some(first)) = (age, samples.first()) {
                let at = first.point.at;
                let times = api.instant(&format!("timestamp({query})"), Some(at)).await?;
                stale = values::without_stale(&mut samples, &times, age.as_secs_f64());
            }
            let mut result = values::now(&samples);
            result["stale"] = json!(stale);
            Ok(result)
        }
        Data::Scalar(sample) => Ok(values::now(&[sample])),
        Data::Matrix(_) => Err(ActionError::invalid(
            "`prometheus.query`: the query is for a range of samples",
        )
        .hint("put a function around it, such as `rate(..)`, or leave the `[..]` out and give `range`")),
    }
}

/// The points of a range.
struct Grid {
    range: Duration,
    step: Duration,
}

impl Grid {
    fn of(range: Duration, step: Option<Duration>) -> Result<Self, String> {
        let step = step.unwrap_or_else(|| (range / 60).max(Duration::from_secs(1)));
        if range.is_zero() || step.is_zero() || step > range {
            return Err("`step` is more than nothing, and at most `range`".into());
        }
        let grid = Self { range, step };
        if range.as_secs_f64() / step.as_secs_f64() > MOST_POINTS {
            return Err(format!(
                "a range of {} with a step of {} has more than {MOST_POINTS} points",
                human(range),
                human(step)
            ));
        }
        Ok(grid)
    }

    fn points(&self) -> usize {
        usize::try_from(self.range.as_millis() / self.step.as_millis().max(1)).unwrap_or(0) + 1
    }
}

async fn over(
    api: &mut Api<'_>,
    query: &str,
    grid: &Grid,
    coverage: f64,
) -> Result<Value, ActionError> {
    // by the server's clock, which its samples are by
    let end = api.time().await?;
    let start = end - grid.range.as_secs_f64();
    let step = grid.step.as_secs_f64();
    // where the last point is, which a step that does not divide the range leaves before the end
    let last = start + step * super::measure::count(grid.points() - 1);
    let series = api.range(query, start, end, step).await?;
    let mut result = values::over(&series, grid.points(), last - step * 0.5, coverage);
    result["step_s"] = json!(step);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_a_bounded_number_of_points() {
        let of = |range: u64, step: Option<u64>| {
            Grid::of(Duration::from_secs(range), step.map(Duration::from_secs))
                .map(|grid| (grid.step.as_secs(), grid.points()))
        };
        assert_eq!(of(300, Some(15)), Ok((15, 21)));
        assert_eq!(of(3_600, None), Ok((60, 61)));
        assert_eq!(of(10, None), Ok((1, 11)));
        assert!(of(0, None).is_err() && of(10, Some(0)).is_err() && of(10, Some(11)).is_err());
        assert!(of(86_400, Some(1)).is_err());
    }
}
