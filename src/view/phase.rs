//! A phase as readers see it: its status follows from its steps.

use std::ops::Range;

use crate::event::PhaseOutline;
use crate::expr::Evidence;

/// Where a phase stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseStatus {
    /// Nothing of it has started.
    Pending,
    /// On its way.
    Running,
    /// All its steps are over, and none failed.
    Done,
    /// Left out by its `when`.
    Skipped,
    /// A step of it failed, or its `when` did.
    Failed,
    /// It had started when the way forward ended elsewhere.
    Stopped,
}

impl PhaseStatus {
    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Pending => "not started",
            Self::Running => "running",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// A phase.
#[derive(Clone, Debug)]
pub struct PhaseView {
    /// Its name.
    pub name: String,
    /// For people.
    pub title: Option<String>,
    /// Phases it needs.
    pub needs: Vec<String>,
    /// The author's estimate in seconds, else what its steps' come to where there is one.
    pub estimate_s: Option<f64>,
    /// Whether that leaves out steps of which nobody said how long they take.
    pub at_least: bool,
    /// How many of its steps may be in flight at once.
    pub parallel: usize,
    /// Which steps of [`super::RunView::steps`] are its own.
    pub steps: Range<usize>,
    /// Its `when`, where that left it out.
    pub skipped: Option<Evidence>,
    /// First start of a step, in milliseconds since the Unix epoch.
    pub started_at: Option<i64>,
    /// When its last step was over.
    pub ended_at: Option<i64>,
    /// Steps that are over.
    pub over: usize,
    /// Steps that failed and matter.
    pub failed: usize,
    /// Steps in flight.
    pub running: usize,
}

impl PhaseView {
    pub(super) fn of(outline: &PhaseOutline, steps: Range<usize>) -> Self {
        let of_steps: Vec<_> = outline.steps.iter().map(|step| step.estimate_s).collect();
        let length = crate::graph::length(&of_steps, outline.parallel);
        Self {
            name: outline.name.clone(),
            title: outline.title.clone(),
            needs: outline.needs.clone(),
            estimate_s: outline.estimate_s.or(length),
            at_least: outline.estimate_s.is_none() && of_steps.contains(&None),
            parallel: outline.parallel,
            steps,
            skipped: None,
            started_at: None,
            ended_at: None,
            over: 0,
            failed: 0,
            running: 0,
        }
    }

    /// Where it stands; `ends` says that nothing new starts.
    pub(super) fn status(&self, ends: bool) -> PhaseStatus {
        if self.skipped.is_some() {
            return PhaseStatus::Skipped;
        }
        if self.started_at.is_none() {
            return PhaseStatus::Pending;
        }
        match (self.running, self.failed) {
            (0, 0) if self.over == self.steps.len() => PhaseStatus::Done,
            (0, 1..) => PhaseStatus::Failed,
            (0, 0) if ends => PhaseStatus::Stopped,
            _ => PhaseStatus::Running,
        }
    }

    /// How long it took, or has taken until `now`, in milliseconds.
    pub fn took_ms(&self, now: i64) -> Option<u64> {
        let end = self.ended_at.unwrap_or(now);
        u64::try_from(end - self.started_at?).ok()
    }

    /// By how many milliseconds it is over its estimate at `now`.
    pub fn late_ms(&self, now: i64) -> Option<u64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate is a positive length of time; the cast saturates"
        )]
        let estimate = (self.estimate_s? * 1_000.0) as u64;
        self.took_ms(now)?
            .checked_sub(estimate)
            .filter(|late| *late > 0)
    }
}
