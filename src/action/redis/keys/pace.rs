//! [`Pace`]: how much is asked for at once, and how long the server is left alone in between.
//!
//! A batch is made smaller when the server takes long for it and larger when it does not; after it the
//! server gets a rest in proportion, and as long as the batch took when that was far too long. The way
//! there and back is not the server's time.

use std::time::{Duration, Instant};

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
    way: Duration,
    /// When the server was done last.
    done: Option<Instant>,
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
            way: Duration::ZERO,
            done: None,
            count: 100,
            owed: Duration::ZERO,
            paused: Duration::ZERO,
            slowest: Duration::ZERO,
            batches: 0,
        }
    }

    /// Begins with another server, with the shortest of these times for the way there and back.
    pub fn start(&mut self, trips: &[Duration]) {
        self.way = trips.iter().min().copied().unwrap_or_default();
        self.done = None;
    }

    /// How many keys to ask for.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Takes in when a batch went out and was answered; the rest that is due now, if any. Batches may
    /// be under way together: the server begins with one when it is there, and the one before is done.
    pub fn after(&mut self, sent: Instant, done: Instant) -> Option<Duration> {
        let trip = done.saturating_duration_since(sent);
        self.batches += 1;
        self.slowest = self.slowest.max(trip);
        self.way = self.way.min(trip);
        let there = sent + self.way;
        let begin = self.done.map_or(there, |before| before.max(there));
        // what it was left alone for, on purpose or not, is rest
        let idle = self
            .done
            .map(|before| begin.saturating_duration_since(before));
        self.owed = self.owed.saturating_sub(idle.unwrap_or_default());
        let took = done.saturating_duration_since(begin);
        self.done = Some(done);
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
        // the way of the next batch is rest as well
        let due = self.owed.saturating_sub(self.way);
        (due >= REST).then_some(due)
    }

    /// Takes in how long a rest was that was made on purpose.
    pub fn rested(&mut self, took: Duration) {
        self.paused += took;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A server that answers one batch after the other, each after so many milliseconds.
    struct Clock(Pace, Instant);

    impl Clock {
        fn new(load: f64) -> Self {
            Self(Pace::new(load), Instant::now())
        }

        fn batch(&mut self, ms: u32) -> Option<Duration> {
            let sent = self.1;
            self.1 += ms * MS;
            self.0.after(sent, self.1)
        }
    }

    #[test]
    fn batches_follow_the_time_they_take() {
        let mut clock = Clock::new(1.0);
        for _ in 0..10 {
            assert_eq!(clock.batch(1), None, "no rest is owed at full load");
        }
        assert_eq!(clock.0.count(), 1_000);
        clock.batch(5);
        assert_eq!(clock.0.count(), 500);
        clock.batch(3);
        assert_eq!(clock.0.count(), 500);
        for _ in 0..10 {
            clock.batch(6);
        }
        assert_eq!((clock.0.count(), clock.0.batches), (10, 22));
        assert_eq!(clock.0.slowest, 6 * MS);
    }

    #[test]
    fn a_long_way_makes_no_small_batches() {
        let mut clock = Clock::new(0.5);
        clock.0.start(&[60 * MS, 50 * MS, 90 * MS]);
        for _ in 0..5 {
            assert_eq!(clock.batch(50), None);
        }
        assert_eq!((clock.0.count(), clock.0.slowest), (1_000, 50 * MS));
        // on the way it has nothing to do, which is rest enough
        assert_eq!(clock.batch(57), None);
        assert_eq!(clock.0.count(), 500);
    }

    #[test]
    fn batches_under_way_together_are_told_apart() {
        let mut pace = Pace::new(0.5);
        let began = Instant::now();
        let at = |ms: u32| began + ms * MS;
        assert_eq!(pace.after(at(0), at(3)), Some(3 * MS));
        // went out with the first, and was served after it
        assert_eq!(pace.after(at(0), at(6)), Some(6 * MS));
        assert_eq!(pace.count(), 100);
        // two milliseconds nothing was there to do
        assert_eq!(pace.after(at(8), at(11)), Some(7 * MS));
    }

    #[test]
    fn rests_are_in_proportion_and_saved_up() {
        let mut clock = Clock::new(0.5);
        assert_eq!(clock.batch(1), None);
        assert_eq!(clock.batch(1), Some(2 * MS));
        clock.1 += 3 * MS;
        clock.0.rested(3 * MS);
        assert_eq!(clock.0.paused, 3 * MS);
        assert_eq!(clock.batch(1), None);
        let mut clock = Clock::new(0.8);
        assert_eq!(clock.batch(20), Some(20 * MS), "far too long: as long");
    }
}
