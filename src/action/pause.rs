//! Time that does not count: while the whole run is stopped (Ctrl-Z), no deadline comes nearer.
//!
//! Main type: [`Deadline`]. Everything that limits how long a step may take is measured with this
//! file; wall-clock moments and leases are not, and go on while the run stands still.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nanoseconds that this process was stopped so far. Of the process and not of a run, because a
/// stop is of the whole process.
static STOPPED: AtomicU64 = AtomicU64::new(0);

/// A year: what is as good as never, and can be added to any moment.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// How long this process was stopped so far.
pub fn stopped() -> Duration {
    Duration::from_nanos(STOPPED.load(Ordering::SeqCst))
}

/// Says that the process was stopped for `gap`, before anything else looks at the time.
pub fn add(gap: Duration) {
    let nanos = u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX);
    STOPPED.fetch_add(nanos, Ordering::SeqCst);
}

/// A moment that moves away by as long as the run is stopped.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Instant,
    /// What [`stopped`] said when it was set.
    stopped: Duration,
}

impl Deadline {
    /// `span` from now, at most a year.
    pub fn after(span: Duration) -> Self {
        Self {
            at: Instant::now() + span.min(NEVER),
            stopped: stopped(),
        }
    }

    /// Time left until then; zero when it has passed.
    pub fn left(&self) -> Duration {
        let moved = stopped().saturating_sub(self.stopped);
        (self.at + moved).saturating_duration_since(Instant::now())
    }

    /// Waits until then.
    pub async fn passed(&self) {
        loop {
            let left = self.left();
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

/// Waits for an optional deadline; for ever when there is none.
pub async fn passed(deadline: Option<Deadline>) {
    match deadline {
        Some(deadline) => deadline.passed().await,
        None => std::future::pending().await,
    }
}

/// Waits for `span`, in which no stop counts.
pub async fn sleep(span: Duration) {
    Deadline::after(span).passed().await;
}

/// That a span passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed;

/// Runs `work` for at most `span`, in which no stop counts.
///
/// # Errors
/// When it was not over by then; it is dropped.
pub async fn timeout<T>(span: Duration, work: impl Future<Output = T>) -> Result<T, Passed> {
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = sleep(span) => Err(Passed),
    }
}

/// How long something took, without the time that the run was stopped.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    began: Instant,
    stopped: Duration,
}

impl Stopwatch {
    /// From now.
    pub fn start() -> Self {
        Self {
            began: Instant::now(),
            stopped: stopped(),
        }
    }

    /// So far.
    pub fn elapsed(&self) -> Duration {
        let stopped = stopped().saturating_sub(self.stopped);
        self.began.elapsed().saturating_sub(stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_moves_deadlines_and_counts_in_no_measure() {
        let deadline = Deadline::after(Duration::from_millis(50));
        let watch = Stopwatch::start();
        let began = Instant::now();
        let gap = Duration::from_millis(150);
        add(gap);
        assert!(deadline.left() > Duration::from_millis(150), "{deadline:?}");
        assert_eq!(watch.elapsed(), Duration::ZERO);
        deadline.passed().await;
        assert!(began.elapsed() >= gap + Duration::from_millis(50));
        assert_eq!(deadline.left(), Duration::ZERO);
        assert_eq!(timeout(gap, async { 1 }).await, Ok(1));
        let never = std::future::pending::<()>();
        assert_eq!(timeout(Duration::from_millis(5), never).await, Err(Passed));
    }
}
