//! Whether a number rises, falls or stays over time, by two methods that single values cannot move:
//! the Mann-Kendall test says whether there is a direction at all (two-sided, 5 %, with the correction
//! for ties), and the Theil-Sen slope, the median of the slopes of all pairs, how far it goes.
//!
//! Sources: H. B. Mann, "Nonparametric tests against trend" (1945); M. G. Kendall, "Rank Correlation
//! Methods" (1975), for the variance with ties; P. K. Sen, "Estimates of the regression coefficient
//! based on Kendall's tau" (1968).

use crate::expr::Verdict;
use crate::runbook::watch::{Direction, TrendDef};

/// Fewer values than this say nothing about a trend.
pub const LEAST: usize = 8;

/// More values are thinned out to this many: all pairs are compared.
const MOST: usize = 1_500;

/// A normal deviate beyond this has a chance of at most 5 % without a trend.
const SIGNIFICANT: f64 = 1.959_963_984_540_054;

/// What a series of numbers does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Movement {
    /// How many values.
    pub values: usize,
    /// Mann-Kendall's normal deviate; beyond 1.96 on either side there is a direction.
    pub deviate: f64,
    /// Change over the whole time, by the median slope.
    pub change: f64,
    /// The median of the values.
    pub median: f64,
}

/// Measures a series of (time, value); `None`: fewer than [`LEAST`] finite values.
pub fn measure(series: &[(f64, f64)]) -> Option<Movement> {
    let finite: Vec<(f64, f64)> = series
        .iter()
        .filter(|(time, value)| time.is_finite() && value.is_finite())
        .copied()
        .collect();
    let step = finite.len().div_ceil(MOST).max(1);
    let series: Vec<(f64, f64)> = finite.into_iter().step_by(step).collect();
    if series.len() < LEAST {
        return None;
    }
    let (mut score, mut slopes) = (0_i64, Vec::new());
    for (at, (time, value)) in series.iter().enumerate() {
        for (earlier, before) in &series[..at] {
            score += match value.total_cmp(before) {
                // the two zeros are one number
                _ if value == before => 0,
                std::cmp::Ordering::Greater => 1,
                std::cmp::Ordering::Less => -1,
                std::cmp::Ordering::Equal => 0,
            };
            if time > earlier {
                slopes.push((value - before) / (time - earlier));
            }
        }
    }
    let values: Vec<f64> = series.iter().map(|(_, value)| *value).collect();
    let span = series.last()?.0 - series.first()?.0;
    Some(Movement {
        values: series.len(),
        deviate: deviate(score, &values),
        change: median(slopes)? * span,
        median: median(values)?,
    })
}

/// The normal deviate of a Mann-Kendall score, with the variance corrected for ties.
#[expect(clippy::cast_precision_loss, reason = "counts of at most 1,500 values")]
fn deviate(score: i64, values: &[f64]) -> f64 {
    let term = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let ties: f64 = sorted
        .chunk_by(|one, next| one == next)
        .map(|tie| term(tie.len() as f64))
        .sum();
    let variance = (term(values.len() as f64) - ties) / 18.0;
    if variance <= 0.0 {
        return 0.0;
    }
    // the correction for continuity
    let towards_zero = (score - score.signum()) as f64;
    towards_zero / variance.sqrt()
}

/// The middle value; of an even number, the mean of the two.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

impl Movement {
    /// The direction that it has, if any: significant, and more than the tolerated share of the median.
    fn direction(&self, tolerance: f64) -> i8 {
        let far = self.change.abs() > tolerance * self.median.abs();
        match (far, self.deviate) {
            (true, deviate) if deviate > SIGNIFICANT && self.change > 0.0 => 1,
            (true, deviate) if deviate < -SIGNIFICANT && self.change < 0.0 => -1,
            _ => 0,
        }
    }
}

/// Whether a series moves as wanted, and what was seen, in a line.
pub fn judge(wanted: &TrendDef, series: &[(f64, f64)]) -> (Verdict, String) {
    let Some(found) = measure(series) else {
        let why = format!("{} values, and a trend needs {LEAST}", series.len());
        return (Verdict::Inconclusive, why);
    };
    let direction = found.direction(wanted.tolerance);
    let holds = match wanted.wanted {
        Direction::Rising => direction > 0,
        Direction::Falling => direction < 0,
        Direction::Steady => {
            direction == 0 && found.change.abs() <= wanted.tolerance * found.median.abs()
        }
        Direction::NotRising => direction <= 0,
        Direction::NotFalling => direction >= 0,
    };
    let word = match direction {
        1 => "rises",
        -1 => "falls",
        _ => "has no direction",
    };
    let why = format!(
        "{} {word}: {:+.4} over the time by the median slope, median {:.4}, Mann-Kendall {:+.2}, {} values",
        wanted.path, found.change, found.median, found.deviate, found.values
    );
    match holds {
        true => (Verdict::Pass, why),
        false => (Verdict::Fail, why),
    }
}
