//! Figures of samples: [`now`] of one moment, [`over`] of a range.
//!
//! A figure over several series is there only when each of them has its part in it.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::api::{Data, Point, Sample, Series};
use crate::action::measure::{mean, percentile, share};

/// Most series that a result shows.
const SHOWN: usize = 100;

/// The result of a query for now.
pub fn now(samples: &[Sample]) -> Value {
    let all: Option<Vec<f64>> = samples.iter().map(|sample| sample.point.value).collect();
    let shown = samples.iter().take(SHOWN).map(|sample| {
        json!({ "labels": sample.labels, "value": sample.point.value, "at": sample.point.at })
    });
    let figures = Figures::of(all);
    json!({
        "value": match samples {
            [one] => one.point.value,
            _ => None,
        },
        "series": samples.len(),
        "samples": shown.collect::<Vec<_>>(),
        "left_out": samples.len().saturating_sub(SHOWN),
        "min": figures.min,
        "max": figures.max,
        "mean": figures.mean,
        "p95": figures.p95,
        "stale": 0,
        "step_s": Value::Null,
    })
}

/// The result of a query over a range of `points`, of which each series has to have the share
/// `coverage`, and one after `recent` to have a last one.
pub fn over(series: &[Series], points: usize, recent: f64, coverage: f64) -> Value {
    let enough = |one: &Series| {
        let values = values(&one.points);
        (share(values.len(), points)? >= coverage && !values.is_empty()).then_some(values)
    };
    let last = |one: &Series| {
        enough(one)?;
        one.points.last().filter(|point| point.at >= recent)?.value
    };
    let shown = series.iter().take(SHOWN).map(|one| {
        let figures = Figures::of(enough(one));
        let there = values(&one.points).len();
        json!({
            "labels": one.labels,
            "points": there,
            "coverage": share(there, points),
            "min": figures.min,
            "max": figures.max,
            "mean": figures.mean,
            "p95": figures.p95,
            "last": last(one),
        })
    });
    let all: Option<Vec<Vec<f64>>> = series.iter().map(enough).collect();
    let figures = Figures::of(all.map(|all| all.concat()));
    json!({
        "value": match series {
            [one] => last(one),
            _ => None,
        },
        "series": series.len(),
        "samples": shown.collect::<Vec<_>>(),
        "left_out": series.len().saturating_sub(SHOWN),
        "min": figures.min,
        "max": figures.max,
        "mean": figures.mean,
        "p95": figures.p95,
        "stale": 0,
        "step_s": Value::Null,
    })
}

/// Takes the value from every sample that is older than `age` seconds, by the times of the samples that
/// `times` has by the same labels; how many there were. One whose time is not told counts as too old.
pub fn without_stale(samples: &mut [Sample], times: &Data, age: f64) -> usize {
    let known: &[Sample] = match times {
        Data::Vector(times) => times,
        Data::Scalar(_) | Data::Matrix(_) => &[],
    };
    let mut times = HashMap::with_capacity(known.len());
    for time in known {
        times
            .entry(nameless(&time.labels))
            .or_insert(time.point.value);
    }
    let mut stale = 0;
    for sample in samples {
        let young = times
            .get(&nameless(&sample.labels))
            .copied()
            .flatten()
            .is_some_and(|time| sample.point.at - time <= age);
        if !young {
            sample.point.value = None;
            stale += 1;
        }
    }
    stale
}

/// Labels without the name of the metric, which functions drop; in the order of their names.
fn nameless(labels: &Value) -> BTreeMap<&str, &str> {
    let labels = labels.as_object().into_iter().flatten();
    labels
        .filter(|(name, _)| *name != "__name__")
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()))
        .collect()
}

fn values(points: &[Point]) -> Vec<f64> {
    points.iter().filter_map(|point| point.value).collect()
}

#[derive(Default)]
struct Figures {
    min: Option<f64>,
    max: Option<f64>,
    mean: Option<f64>,
    p95: Option<f64>,
}

impl Figures {
    fn of(values: Option<Vec<f64>>) -> Self {
        let Some(mut values) = values else {
            return Self::default();
        };
        values.sort_by(f64::total_cmp);
        Self {
            min: values.first().copied(),
            max: values.last().copied(),
            mean: mean(&values),
            p95: percentile(&values, values.len(), 95),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(value: Option<f64>) -> Sample {
        Sample {
            labels: json!({}),
            point: Point { at: 5.0, value },
        }
    }

    #[test]
    fn one_series_has_a_value_and_none_has_nothing() {
        assert_eq!(now(&[sample(Some(2.0))])["value"], 2.0);
        let two = now(&[sample(Some(2.0)), sample(Some(4.0))]);
        assert_eq!(
            (&two["value"], &two["mean"], &two["max"]),
            (&Value::Null, &json!(3.0), &json!(4.0))
        );
        let half = now(&[sample(Some(2.0)), sample(None)]);
        let none = now(&[]);
        let nan = now(&[sample(None)]);
        for (what, result) in [("half", &half), ("none", &none), ("nan", &nan)] {
            for key in ["value", "min", "max", "mean", "p95"] {
                assert_eq!(result[key], Value::Null, "{what} {key}");
            }
        }
        assert_eq!(
            (&half["samples"][0]["value"], &none["series"]),
            (&json!(2.0), &json!(0))
        );
        let many = now(&vec![sample(Some(1.0)); 130]);
        assert_eq!(
            (many["samples"].as_array().unwrap().len(), &many["left_out"]),
            (100, &json!(30))
        );
    }

    #[test]
    fn an_old_sample_has_no_value() {
        let named = |name: &str, at: f64, value: f64| Sample {
            labels: json!({"__name__": name, "i": "1"}),
            point: Point {
                at,
                value: Some(value),
            },
        };
        let times = Data::Vector(vec![Sample {
            labels: json!({"i": "1"}),
            point: Point {
                at: 100.0,
                value: Some(90.0),
            },
        }]);
        let mut samples = [named("up", 100.0, 1.0)];
        assert_eq!(without_stale(&mut samples, &times, 10.0), 0);
        assert_eq!(samples[0].point.value, Some(1.0));
        assert_eq!(without_stale(&mut samples, &times, 9.0), 1);
        assert_eq!(samples[0].point.value, None);
        let mut untold = [named("up", 100.0, 1.0)];
        assert_eq!(without_stale(&mut untold, &Data::Vector(vec![]), 10.0), 1);
        assert_eq!(untold[0].point.value, None);
    }

    #[test]
    fn a_range_with_holes_has_no_figures() {
        let series = |values: &[Option<f64>]| Series {
            labels: json!({}),
            points: (0..)
                .map(f64::from)
                .zip(values)
                .map(|(at, value)| Point { at, value: *value })
                .collect(),
        };
        let full = series(&[Some(1.0), Some(2.0), Some(3.0), Some(6.0)]);
        let result = over(std::slice::from_ref(&full), 4, 2.5, 0.5);
        assert_eq!(
            (&result["value"], &result["min"], &result["mean"]),
            (&json!(6.0), &json!(1.0), &json!(3.0))
        );
        assert_eq!(result["samples"][0]["coverage"], 1.0);
        // it ended before the range did
        let ended = series(&[Some(1.0), Some(2.0)]);
        let result = over(std::slice::from_ref(&ended), 4, 2.5, 0.5);
        assert_eq!(
            (&result["value"], &result["max"]),
            (&Value::Null, &json!(2.0))
        );
        let result = over(std::slice::from_ref(&ended), 4, 2.5, 0.8);
        assert_eq!(
            (&result["max"], &result["samples"][0]["points"]),
            (&Value::Null, &json!(2))
        );
        // NaN at the end is no last value
        let nan = series(&[Some(1.0), Some(2.0), Some(3.0), None]);
        assert_eq!(over(&[nan], 4, 2.5, 0.5)["value"], Value::Null);
        // one of two without enough leaves no figure over both
        let result = over(&[full, ended], 4, 2.5, 0.8);
        assert_eq!(
            (&result["mean"], &result["samples"][0]["mean"]),
            (&Value::Null, &json!(3.0))
        );
        assert_eq!(over(&[], 4, 2.5, 0.0)["mean"], Value::Null);
    }
}
