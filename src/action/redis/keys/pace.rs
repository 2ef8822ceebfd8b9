//! [`Pace`]: how much is asked for at once, and how long the server is left alone in between.
//!
//! A batch is made smaller when its answer takes long and larger when it comes at once; after it the
//! server gets a rest in proportion, and as long as the batch took when that was far too long.

use std::time::Duration;

/// How long a batch should take to be answered.
const AIM: Duration = Duration::from_millis(4);
/// Fewest and most keys in a batch.
const KEYS: std::ops::RangeInclusive<usize> = 10..=1_000;
/// Rests shorter than this are saved up: timers are not finer.
const REST: Duration = Duration::from_millis(2);

/// The pace of one survey.
pub(super) struct Pace {
    load: f64,
    count: usize,
    owed: Duration,
    /// All rests together.
    pub paused: Duration,
    /// The slowest answer.
    pub slowest: Duration,
    /// How many batches there were.
    pub batches: u64,
}

impl Pace {
    /// A pace that keeps the server busy for at most this share of the time.
    pub fn new(load: f64) -> Self {
        Self {
            load,
            count: 100,
            owed: Duration::ZERO,
            paused: Duration::ZERO,
            slowest: Duration::ZERO,
            batches: 0,
        }
    }

    /// How many keys to ask for.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes in how long a batch took; the rest that is due now, if any.
    pub fn after(&mut self, took: Duration) -> Option<Duration> {
        self.batches += 1;
        self.slowest = self.slowest.max(took);
        if took > AIM {
            self.count = (self.count / 2).max(*KEYS.start());
        } else if took < AIM / 2 {
            self.count = (self.count * 2).min(*KEYS.end());
        }
        let mut rest = took.mul_f64((1.0 - self.load) / self.load);
        if took > AIM * 2 {
            rest = rest.max(took);
        }
        self.owed += rest;
        (self.owed >= REST).then_some(self.owed)
    }

    /// Takes in how long the rest really was.
    pub fn rested(&mut self, took: Duration) {
        self.paused += took;
        self.owed = self.owed.saturating_sub(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn batches_follow_the_time_they_take() {
        let mut pace = Pace::new(1.0);
        for _ in 0..10 {
            assert_eq!(pace.after(MS), None, "no rest is owed at full load");
        }
        assert_eq!(pace.count(), 1_000);
        pace.after(5 * MS);
        assert_eq!(pace.count(), 500);
        pace.after(3 * MS);
        assert_eq!(pace.count(), 500);
        for _ in 0..10 {
            pace.after(6 * MS);
        }
        assert_eq!((pace.count(), pace.batches), (10, 22));
        assert_eq!(pace.slowest, 6 * MS);
    }

    #[test]
    fn rests_are_in_proportion_and_saved_up() {
        let mut pace = Pace::new(0.5);
        assert_eq!(pace.after(MS), None);
        assert_eq!(pace.after(MS), Some(2 * MS));
        pace.rested(3 * MS);
        assert_eq!(pace.paused, 3 * MS);
        assert_eq!(pace.after(MS), None);
        let mut pace = Pace::new(0.8);
        assert_eq!(pace.after(20 * MS), Some(20 * MS), "far too long: as long");
    }
}
