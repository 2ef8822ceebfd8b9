//! Statistics over measured values, stated once: [`percentile`] is the nearest rank.
//!
//! Nothing here invents a value: what cannot be told is `None`, which is null in a result.

/// The nearest-rank percentile of `all` values, of which `sorted` (ascending) are known and the others
/// are larger than any of them: the smallest value with at least `p` % of all at or below it. `None`
/// when there are none, or when it falls on one that is not known.
pub fn percentile(sorted: &[f64], all: usize, p: usize) -> Option<f64> {
    let rank = (all.max(sorted.len()) * p).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// The arithmetic mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / count(values.len()))
}

/// A count as a float.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts here are far below what a float holds exactly"
)]
pub fn count(n: usize) -> f64 {
    n as f64
}

/// `part` of `whole` as a share; `None` of nothing.
pub fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| count(part) / count(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank_and_never_made_up() {
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        for (p, value) in [(50, 5.0), (90, 9.0), (91, 10.0), (95, 10.0), (100, 10.0)] {
            assert_eq!(percentile(&ten, 10, p), Some(value), "{p}");
        }
        assert_eq!(percentile(&[7.0], 1, 50), Some(7.0));
        assert_eq!(percentile(&[], 0, 50), None);
        // ten known and ten that were slower than those
        assert_eq!(percentile(&ten, 20, 50), Some(10.0));
        assert_eq!(percentile(&ten, 20, 51), None);
        assert_eq!(percentile(&[], 20, 50), None);
        assert_eq!((mean(&[1.0, 2.0]), mean(&[])), (Some(1.5), None));
        assert_eq!((share(1, 4), share(0, 0)), (Some(0.25), None));
    }
}
