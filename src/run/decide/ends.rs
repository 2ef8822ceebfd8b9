//! What follows from the end of an attempt: done, waited for, tried again, or failed.

use std::time::Duration;

use super::super::effect::{Decision, Effect};
use super::super::parts::StepStatus;
use super::super::state::RunState;
use crate::event::{Cause, Failure, Outcome, Report, RunEvent, RunStatus, StepEvent};
use crate::plan::StepKey;

impl RunState {
    pub(in crate::run) fn reported(
        &self,
        key: StepKey,
        attempt: u32,
        report: &Report,
        failure: Option<&Failure>,
        now: i64,
    ) -> Decision {
        if let Some(failure) = failure {
            return self.attempt_failed(key, attempt, failure, report, now);
        }
        let step = self.plan.name(key);
        let report = Box::new(report.clone());
        let waits = self.plan.step(key.step).then_wait.is_some();
        if waits && self.step(key).status != StepStatus::Settling {
            return Decision::event(StepEvent::Acted {
                step,
                attempt,
                report,
            })
            .with(Effect::Settle { key, attempt });
        }
        Decision::event(StepEvent::Finished {
            step,
            attempt,
            report,
        })
    }

    pub(in crate::run) fn attempt_failed(
        &self,
        key: StepKey,
        attempt: u32,
        failure: &Failure,
        report: &Report,
        now: i64,
    ) -> Decision {
        let def = self.plan.step(key.step);
        let step = self.plan.name(key);
        let report = Box::new(report.clone());
        if let Some(doubt) = self.in_doubt(key, attempt, failure) {
            return doubt;
        }
        if let Some(at) = self.retry_at(key, attempt, failure, &report, now) {
            let event = StepEvent::Failed {
                step,
                attempt,
                failure: failure.clone(),
                report,
                retry_at: Some(at),
                tolerated: false,
            };
            return Decision::event(event).with(Effect::Wake { key, at });
        }
        let event = StepEvent::Failed {
            step,
            attempt,
            failure: failure.clone(),
            report,
            retry_at: None,
            tolerated: def.tolerate,
        };
        let mut decision = Decision::event(event);
        if def.tolerate || self.failure.is_some() {
            return decision;
        }
        let asked = self.ask_what_now(key, failure);
        if let Some(asked) = asked.or_else(|| self.hold_and_ask(key, failure, now)) {
            decision.append(asked);
            return decision;
        }
        decision
            .and(RunEvent::Failed(self.run_failure(
                Some(key),
                self.plan.phase_of(key.step),
                failure,
            )))
            .with(Effect::StopReading)
    }

    /// A change of which nobody knows whether it took effect: because it was stopped with the run,
    /// which leaves it for the next engine, or because the link to it was lost, which its probe can
    /// tell now.
    fn in_doubt(&self, key: StepKey, attempt: u32, failure: &Failure) -> Option<Decision> {
        let def = self.plan.step(key.step);
        let status = self.step(key).status;
        let may = def.changes() && failure.outcome != Outcome::NotApplied;
        if !may || !matches!(status, StepStatus::Running | StepStatus::Settling) {
            return None;
        }
        let step = self.plan.name(key);
        let doubt = Decision::event(StepEvent::InDoubt {
            step: step.clone(),
            attempt,
            failure: failure.clone(),
        });
        let stopped = self.stopping.is_some() || self.orders.aborting;
        if failure.cause == Cause::Stopped && stopped {
            return Some(doubt);
        }
        let unknown = failure.outcome == Outcome::Unknown && self.goes_on();
        let link_lost = matches!(failure.cause, Cause::Timeout | Cause::Unreachable);
        // after a defect of ferry's own nothing that it says of the step is believed
        let broken = failure.cause == Cause::Internal && status == StepStatus::Running;
        (unknown && (broken || link_lost && def.done_when.is_some())).then(|| {
            doubt
                .and(StepEvent::Examining { step, attempt })
                .with(Effect::Examine { key, attempt })
        })
    }

    /// When a failed attempt is tried again: only what is proven not to have happened, only reads,
    /// or may happen twice. A target that asks to be left alone is, up to the author's longest wait.
    fn retry_at(
        &self,
        key: StepKey,
        attempt: u32,
        failure: &Failure,
        report: &Report,
        now: i64,
    ) -> Option<i64> {
        let step = self.plan.step(key.step);
        if self.interrupted(failure) {
            // no failure of its own: it is due again at once when the run goes on
            return Some(now);
        }
        let retry = step.retry.as_ref()?;
        let harmless = failure.outcome == Outcome::NotApplied
            || !step.changes()
            || step.idempotent
            || step.done_when.is_some() && failure.outcome != Outcome::Applied;
        let wanted = retry.on.is_empty() || retry.on.contains(&failure.cause);
        let sensible = !matches!(
            failure.cause,
            Cause::Invalid | Cause::Stopped | Cause::Denied
        );
        let sensible = sensible && !report.hopeless;
        let tries = attempt.saturating_sub(self.step(key).forgiven);
        // one that is stopping keeps what is due for when it goes on
        let goes_on = self.failure.is_none() && !self.orders.aborting;
        let forward = goes_on && self.status == RunStatus::Running;
        if tries > retry.limit || !harmless || !wanted || !sensible || !forward {
            return None;
        }
        let asked = report.retry_after_ms.map_or(Duration::ZERO, |ms| {
            Duration::from_millis(ms).min(retry.longest)
        });
        let wait = retry.wait(attempt + 1).max(asked);
        Some(now + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2))
    }

    /// Whether an attempt ended only because the run is being stopped, and nothing came of it.
    pub(in crate::run) fn interrupted(&self, failure: &Failure) -> bool {
        self.stopping.is_some()
            && self.failure.is_none()
            && failure.cause == Cause::Stopped
            && failure.outcome == Outcome::NotApplied
    }
}
