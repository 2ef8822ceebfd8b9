//! [`Pace`]: how much is asked for at once, and how long the server is left alone in between.
//!
//! A batch is made smaller when the server takes long for it and larger when it does not; after it the
//! server gets a rest in proportion, and as long as the batch took when that was far too long. The way
//! there and back is not the server's time.

use std::time::Duration;

/// How long the server should take for a batch.
const AIM: Duration = Duration::from_millis(4);
/// Fewest and most keys in a batch.
const KEYS: std::ops::RangeInclusive<usize> = 10..=1_000;
/// Rests shorter than this are saved up: timers are not finer.
const REST: Duration = Duration::from_millis(2);

/// The pace of one survey.
pub(super) struct Pace {
    load: f64,
    /// The way there and back, as far as it is known.
    way: Option<Duration>,
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
            way: None,
            count: 100,
            owed: Duration::ZERO,
            paused: Duration::ZERO,
            slowest: Duration::ZERO,
            batches: 0,
        }
    }

    /// Begins with another server, with the shortest of these times for the way there and back.
    pub fn start(&mut self, trips: &[Duration]) {
        self.way = trips.iter().min().copied();
    }

    /// How many keys to ask for.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes in how long the server was left alone meanwhile without it being meant.
    pub fn idle(&mut self, span: Duration) {
        self.owed = self.owed.saturating_sub(span);
    }

    /// Takes in how long a batch took; the rest that is due now, if any.
    pub fn after(&mut self, took: Duration) -> Option<Duration> {
        self.batches += 1;
        self.slowest = self.slowest.max(took);
        self.way = self.way.map(|way| way.min(took));
        let took = took.saturating_sub(self.way.unwrap_or_default());
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
        self.idle(took);
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
    fn a_long_way_makes_no_small_batches() {
        let mut pace = Pace::new(0.5);
        pace.start(&[60 * MS, 50 * MS, 90 * MS]);
        for _ in 0..5 {
            assert_eq!(pace.after(50 * MS), None);
        }
        assert_eq!((pace.count(), pace.slowest), (1_000, 50 * MS));
        assert_eq!(pace.after(55 * MS), Some(5 * MS));
        assert_eq!(pace.count(), 500);
        // it was shorter than thought
        assert_eq!(pace.after(40 * MS), Some(5 * MS));
        pace.rested(5 * MS);
        assert_eq!(pace.after(60 * MS), Some(20 * MS));
    }

    #[test]
    fn rests_are_in_proportion_and_saved_up() {
        let mut pace = Pace::new(0.5);
        assert_eq!(pace.after(MS), None);
        assert_eq!(pace.after(MS), Some(2 * MS));
        pace.idle(MS);
        assert_eq!(pace.after(2 * MS), Some(3 * MS));
        pace.rested(3 * MS);
        assert_eq!(pace.paused, 3 * MS);
        assert_eq!(pace.after(MS), None);
        let mut pace = Pace::new(0.8);
        assert_eq!(pace.after(20 * MS), Some(20 * MS), "far too long: as long");
    }
}
