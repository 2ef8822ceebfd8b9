//! How many steps of a run stand where.

use super::{StepStatus, StepView};

/// How many steps stand where; an item of `for_each` counts as a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them, as far as the lists are known.
    pub steps: usize,
    /// Over and well.
    pub done: usize,
    /// Left out.
    pub skipped: usize,
    /// Failed.
    pub failed: usize,
    /// Failed, and the runbook says that it does not matter.
    pub tolerated: usize,
    /// In flight, being checked, or waiting for the next attempt.
    pub running: usize,
    /// Not started.
    pub pending: usize,
    /// Started, and nobody knows whether they took effect.
    pub in_doubt: usize,
    /// Attempts beyond the first.
    pub retries: usize,
}

impl Counts {
    pub(super) fn add(&mut self, step: &StepView) {
        self.steps += 1;
        self.retries += step.attempt.saturating_sub(1) as usize;
        match step.status {
            StepStatus::Pending => self.pending += 1,
            StepStatus::Checking
            | StepStatus::Running
            | StepStatus::Settling
            | StepStatus::Waiting
            | StepStatus::AtGate => self.running += 1,
            StepStatus::InDoubt | StepStatus::Asked => self.in_doubt += 1,
            StepStatus::Done => self.done += 1,
            StepStatus::Skipped => self.skipped += 1,
            StepStatus::Failed => self.failed += 1,
            StepStatus::Tolerated => self.tolerated += 1,
        }
    }
}
