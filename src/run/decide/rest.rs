//! What follows once nothing is in flight any more: the end, a question, the way back; and what follows
//! from snapshots.

use super::super::effect::{Decision, Effect};
use super::super::parts::SnapshotState;
use super::super::state::RunState;
use crate::event::{
    Failure, Moment, Parking, Question, RollbackEvent, RunEvent, RunFailure, RunStatus,
    SnapshotEvent, SnapshotTaken, StepEvent,
};

impl RunState {
    /// Everything in flight is over, and nothing new starts.
    pub(super) fn halt(&self) -> Decision {
        let ends = |status| Decision::event(RunEvent::Finished { status });
        if self.orders.aborting {
            return ends(RunStatus::Aborted);
        }
        if let Some(reason) = self.stopping {
            return Decision::event(RunEvent::Parked { reason });
        }
        if let Some(key) = self.unexamined() {
            let (step, attempt) = (self.plan.name(key), self.step(key).attempt);
            return Decision::event(StepEvent::Examining { step, attempt })
                .with(Effect::Examine { key, attempt });
        }
        // what is still at work is asked about also on the way back
        let asked = self
            .questions
            .iter()
            .any(|(_, question)| *question == Question::InDoubt);
        if self.failure.is_none() || asked {
            if self.attended && !self.questions.is_empty() {
                // somebody is there to answer
                return Decision::none();
            }
            let reason = Parking::Question;
            return Decision::event(RunEvent::Parked { reason });
        }
        let orders = self.orders;
        if orders.cancelled && self.changed().is_empty() {
            return ends(RunStatus::Cancelled);
        }
        // who cancels it wants it to go back, at any time
        let late = !orders.cancelled && self.failed_at.is_some_and(|at| self.past_decision(at));
        let stays = orders.keep || self.options.no_rollback || !self.lines.is_empty() || late;
        if stays && !orders.back {
            return ends(RunStatus::Failed);
        }
        self.plan_rollback()
    }

    /// When all phases are over: the last snapshots, then the end.
    pub(super) fn end_well(&self, now: i64) -> Decision {
        if let Some(late) = self.late_gate(now) {
            return self.gate_due(late, now);
        }
        if self.only_gates() && !self.attended {
            let reason = Parking::Question;
            return Decision::event(RunEvent::Parked { reason });
        }
        let quiet = self.in_flight == 0 && self.waiting == 0 && !self.watches();
        if self.phases_over < self.phases.len() || !quiet {
            return Decision::none();
        }
        let wanted = self.snapshots.contains_key(&Moment::Before);
        match self.snapshots.get(&Moment::After) {
            None if wanted => {
                let event = SnapshotEvent::Taking {
                    moment: Moment::After,
                };
                Decision::event(event).with(Effect::Snapshots {
                    moment: Moment::After,
                })
            }
            Some(SnapshotState::Taking) => Decision::none(),
            _ => Decision::event(RunEvent::Finished {
                status: RunStatus::Succeeded,
            }),
        }
    }

    fn plan_rollback(&self) -> Decision {
        let (items, not_undone) = self.rollback_list();
        let Some(cause) = self.failure.clone() else {
            return Decision::none();
        };
        Decision::event(RollbackEvent::Planned {
            cause,
            items,
            not_undone,
        })
    }
    pub(super) fn snapshots_taken(&self, moment: Moment, taken: &[SnapshotTaken]) -> Decision {
        let decision = Decision::event(SnapshotEvent::Taken {
            moment,
            snapshots: taken.to_vec(),
        });
        let Some(failed) = taken.iter().find(|snapshot| snapshot.failure.is_some()) else {
            return decision;
        };
        // without the state before, nothing could be compared; later sets only describe
        match (&failed.failure, moment) {
            (Some(failure), Moment::Before | Moment::Baseline) if self.failure.is_none() => {
                let what = match moment {
                    Moment::Baseline => "baseline of",
                    _ => "snapshot",
                };
                let message = format!("{what} `{}`: {}", failed.name, failure.message);
                let failure = Failure {
                    message,
                    ..failure.clone()
                };
                decision
                    .and(RunEvent::Failed(RunFailure {
                        step: None,
                        phase: None,
                        failure,
                    }))
                    .with(Effect::StopReading)
            }
            _ => decision,
        }
    }
}
