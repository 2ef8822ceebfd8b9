//! Which looks a line of a drawing goes through, and where its course is not known.
//!
//! Main functions: [`thinned`], [`breaks`]. Must not: draw.

use crate::event::Sample;
use crate::expr::Verdict;
use crate::view::CheckView;

/// Points of one line; of more looks, those that stand out are drawn.
pub(super) const POINTS: usize = 400;

/// How many times up to each look the values from one kept look to the next are not known: looks
/// between them were not kept, are far apart, and need not have said the same.
pub(super) fn breaks(check: &CheckView, path: &str) -> Vec<usize> {
    let far = i64::try_from(check.outline.every_ms.saturating_mul(3)).unwrap_or(i64::MAX);
    let known = |one: &Sample, next: &Sample| {
        let same = one.verdict == Verdict::Pass
            && next.verdict == Verdict::Pass
            && one.values.get(path) == next.values.get(path);
        next.nth == one.nth + 1 || next.at.saturating_sub(one.at) <= far || same
    };
    let mut count = 0;
    let mut breaks = Vec::with_capacity(check.samples.len());
    let mut last: Option<&Sample> = None;
    for sample in &check.samples {
        count += usize::from(last.is_some_and(|last| !known(last, sample)));
        breaks.push(count);
        last = Some(sample);
    }
    breaks
}

/// The places of looks; of many the least and the greatest of each stretch, in their order.
pub(super) fn thinned(samples: &[Sample], path: &str) -> Vec<usize> {
    let chunk = samples.len().div_ceil(POINTS / 2).max(1);
    if samples.len() <= POINTS {
        return (0..samples.len()).collect();
    }
    let value = |at: &usize| samples[*at].values.get(path).copied();
    let mut thinned = Vec::with_capacity(POINTS);
    for from in (0..samples.len()).step_by(chunk) {
        let part = from..samples.len().min(from + chunk);
        let by = |a: &usize, b: &usize| {
            let both = value(a).zip(value(b));
            both.map_or(std::cmp::Ordering::Equal, |(a, b)| a.total_cmp(&b))
        };
        let there = || part.clone().filter(|one| value(one).is_some());
        match there().min_by(by).zip(there().max_by(by)) {
            Some((low, high)) if low == high => thinned.push(low),
            Some((low, high)) if low < high => thinned.extend([low, high]),
            Some((low, high)) => thinned.extend([high, low]),
            // a stretch without any value breaks the line
            None => thinned.push(from),
        }
    }
    thinned
}
