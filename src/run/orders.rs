//! What people may order where, and what follows from it (reliability contract 2.1 and 2.7).
//!
//! Every pair of status and order is decided in [`allowed`]: taken, or refused with the reason. A
//! refusal changes nothing and is recorded.

use super::effect::{Decision, Effect};
use super::parts::ItemState;
use super::state::RunState;
use crate::event::{
    Cause, Failure, OperatorEvent, Order, Outcome, Parking, RollbackEvent, RunEvent, RunFailure,
    RunStatus,
};

/// Whether a run in that status takes such an order; else why not.
pub fn allowed(status: RunStatus, order: &Order) -> Result<(), &'static str> {
    use RunStatus as S;
    let settled = matches!(
        status,
        S::RolledBack | S::Cancelled | S::Closed | S::Succeeded
    );
    match (order, status) {
        (Order::Note { .. } | Order::Sign { .. }, _) => Ok(()),
        (Order::CloseOut { .. }, S::Succeeded) => Ok(()),
        (Order::CloseOut { .. }, _) => Err("only what succeeded is closed out"),
        (Order::Rollback, S::Succeeded) => Ok(()),
        _ if settled => Err("it is over"),
        (Order::Close, S::Running | S::Cancelling | S::RollingBack) => {
            Err("it is on its way: `pause`, `cancel` or `abort` it first")
        }
        (Order::Close, _) => Ok(()),
        (_, S::Planned) => Err("it has not started"),

        (Order::Pause, S::Running | S::RollingBack) => Ok(()),
        (Order::Pause, S::Cancelling) => Err("it is being cancelled"),
        (Order::Pause, _) => Err("it stands still already"),

        (Order::Resume, S::RollbackFailed) => Err(
            "its way back failed: `rollback` goes on with it, `waive` leaves something as it is",
        ),
        (Order::Resume, S::Cancelling) => Err("it is being cancelled"),
        (Order::Resume, _) => Ok(()),

        (Order::Cancel { .. }, S::Running | S::Waiting) => Ok(()),
        (Order::Cancel { .. }, S::Cancelling) => Err("it is being cancelled already"),
        (Order::Cancel { .. }, S::RollingBack) => {
            Err("it is going back, and that is not cancelled: `pause` or `abort` it")
        }
        (Order::Cancel { .. }, _) => Err("it stands still: `rollback` takes back what it changed"),

        (Order::Abort, S::Running | S::Waiting | S::Cancelling | S::RollingBack) => Ok(()),
        (Order::Abort, _) => Err("it stands still already"),

        (Order::Rollback, S::Running | S::Waiting) => Ok(()),
        (Order::Rollback, S::Failed | S::Aborted | S::RollbackFailed) => Ok(()),
        (Order::Rollback, _) => Err("it is going back already"),

        (Order::Answer { .. }, S::Running | S::Waiting | S::RollingBack) => Ok(()),
        (Order::Answer { .. }, S::Failed | S::Aborted | S::RollbackFailed) => Ok(()),
        (Order::Answer { .. }, _) => Err("it asks nothing"),

        (Order::Waive { .. }, S::RollbackFailed) => Ok(()),
        (Order::Waive { .. }, _) => Err("only what a failed way back left can be waived"),

        (
            Order::Approve { .. }
            | Order::Reject { .. }
            | Order::Confirm { .. }
            | Order::Jump { .. }
            | Order::Guide { .. },
            S::Running | S::Waiting,
        )
        | (Order::Diagnose { .. }, S::Running) => Ok(()),
        (Order::Diagnose { .. }, S::Waiting) => Err("no engine is there to look"),
        (_, S::RollingBack | S::Cancelling | S::RollbackFailed) => Err("it goes back"),
        _ => Err("it stands still: `resume` goes on"),
    }
}

impl RunState {
    pub(super) fn ordered(
        &self,
        by: &str,
        order: &Order,
        reason: Option<&str>,
        now: i64,
    ) -> Decision {
        if let Some(why) = self.why_not(order) {
            return refused(by, order, why);
        }
        let taken = Decision::event(OperatorEvent::Ordered {
            by: by.to_owned(),
            order: order.clone(),
            reason: reason.map(str::to_owned),
        });
        match order {
            Order::Pause => taken
                .and(RunEvent::Stopping {
                    reason: Parking::Paused,
                })
                .with(Effect::StopWatching),
            Order::Resume => self.resumed(taken, now),
            Order::Cancel { .. } => {
                let still = self.status.is_parked();
                let taken = self.given_up(taken, by, "cancelled the run", reason);
                match still {
                    true => self.goes_on_with(taken, true, now),
                    false => taken.with(Effect::StopAll { now: false }),
                }
            }
            Order::Abort if self.status == RunStatus::Waiting => taken.and(RunEvent::Finished {
                status: RunStatus::Aborted,
            }),
            Order::Abort => taken.with(Effect::StopAll { now: true }),
            Order::Rollback => self.back_ordered(taken, by, reason, now),
            Order::Answer { step, answer, code } => {
                let said = super::answer::Said {
                    by,
                    answer: *answer,
                    code: code.as_deref(),
                    reason: reason.unwrap_or_default(),
                };
                match self.answered(step, &said, now) {
                    Ok(follows) => {
                        let mut taken = taken;
                        taken.append(follows);
                        taken
                    }
                    Err(why) => refused(by, order, why),
                }
            }
            Order::Waive { step } => {
                self.waived(taken, by, step, reason.unwrap_or_default(), order)
            }
            Order::Close => taken.and(RunEvent::Finished {
                status: RunStatus::Closed,
            }),
            Order::Note { .. } | Order::Sign { .. } | Order::CloseOut { .. } => taken,
            _ => match self.of_people(taken, by, order, reason, now) {
                Ok(taken) => taken,
                Err(why) => refused(by, order, why),
            },
        }
    }

    /// Why an order is refused as things stand; `None`: it is not.
    fn why_not(&self, order: &Order) -> Option<String> {
        match allowed(self.status, order) {
            Err(why) => Some(format!("the run is {}: {why}", self.status.words())),
            // one that is live and not pausing has nothing to go on with
            Ok(()) if *order == Order::Resume && self.status.is_active() && !self.pausing() => {
                Some(format!("the run is {} already", self.status.words()))
            }
            Ok(()) if *order == Order::Pause && self.stopping.is_some() => {
                Some(format!("the run is {}, and is being stopped already", self.status.words()))
            }
            // one that stands still on its way back is not cancelled either
            Ok(()) if matches!(order, Order::Cancel { .. }) && self.rollback.is_some() => Some(
                "the run is on its way back, and that is not cancelled: `resume` goes on with it"
                    .into(),
            ),
            Ok(()) if self.barred(order) => Some(
                "the run has crossed its point of no return: `rollback` goes back to it and leaves \
                 what is behind, `abort` stops here"
                    .into(),
            ),
            Ok(()) if self.orders.aborting => Some("it is being aborted".into()),
            Ok(()) => None,
        }
    }

    /// Orders around gates and guided runs; else why they do not count.
    fn of_people(
        &self,
        taken: Decision,
        by: &str,
        order: &Order,
        reason: Option<&str>,
        now: i64,
    ) -> Result<Decision, String> {
        let follows = match order {
            Order::Approve { step, vote } => self.voted(by, step, vote, true, now)?,
            Order::Reject { step, vote } => self.voted(by, step, vote, false, now)?,
            Order::Confirm { step, confirmation } => self.confirmed(by, step, confirmation, now)?,
            Order::Jump { to } => self.jumped(by, to, reason.unwrap_or_default())?,
            Order::Guide { phase, on } => {
                return self.guided(taken, by, phase.as_deref(), *on);
            }
            Order::Diagnose { step } => {
                let key = self.plan.key(step);
                let key = key.ok_or_else(|| format!("there is no step `{step}`"))?;
                Decision::none().with(Effect::Diagnose { key })
            }
            _ => Decision::none(),
        };
        let mut taken = taken;
        taken.append(follows);
        Ok(taken)
    }

    fn pausing(&self) -> bool {
        matches!(self.stopping, Some(Parking::Paused | Parking::Held))
    }

    /// Cancelling goes back, and that does not reach behind the line.
    fn barred(&self, order: &Order) -> bool {
        matches!(order, Order::Cancel { no_rollback: false }) && !self.lines.is_empty()
    }

    fn resumed(&self, taken: Decision, now: i64) -> Decision {
        if !self.status.is_parked() {
            return self.reawaken(taken, now);
        }
        let goes_back = self.goes_back_again();
        let mut taken = taken;
        if self.rollback.is_none() && !goes_back {
            taken.append(self.reopened());
        }
        self.goes_on_with(taken, goes_back, now)
    }

    /// Whether a run that stands still was on its way to go back, or was told to: then it does when it
    /// goes on. One that was left where it failed is tried again instead.
    pub(super) fn goes_back_again(&self) -> bool {
        let (orders, failed) = (self.orders, self.failure.is_some());
        let undecided = self.status == RunStatus::Waiting && failed;
        let left = self.status == RunStatus::Failed && orders.keep;
        undecided || orders.back || orders.cancelled && !left
    }

    /// The failure that an order to go back stands for.
    fn given_up(&self, taken: Decision, by: &str, what: &str, reason: Option<&str>) -> Decision {
        if self.failure.is_some() {
            return taken;
        }
        let message = match reason {
            Some(reason) => format!("{by} {what}: {reason}"),
            None => format!("{by} {what}"),
        };
        taken.and(RunEvent::Failed(RunFailure {
            step: None,
            phase: None,
            failure: Failure {
                cause: Cause::Stopped,
                outcome: Outcome::NotApplied,
                message,
                hint: None,
            },
        }))
    }

    fn back_ordered(&self, taken: Decision, by: &str, reason: Option<&str>, now: i64) -> Decision {
        let taken = self.given_up(taken, by, "ordered the way back", reason);
        let Some(rollback) = &self.rollback else {
            return match self.status {
                RunStatus::Running => taken.with(Effect::StopReading),
                _ => self.goes_on_with(taken, true, now),
            };
        };
        let again = |state: &ItemState| matches!(state, ItemState::Failed | ItemState::Held);
        let mut taken = taken;
        for (item, _) in rollback
            .states
            .iter()
            .enumerate()
            .filter(|(_, state)| again(state))
        {
            taken = taken.and(RollbackEvent::Reopened { item });
        }
        self.goes_on_with(taken, true, now)
    }

    fn waived(
        &self,
        taken: Decision,
        by: &str,
        step: &str,
        reason: &str,
        order: &Order,
    ) -> Decision {
        let Some(rollback) = &self.rollback else {
            return refused(by, order, "it has no way back".into());
        };
        let named = |at: usize| {
            let item = &rollback.items[at];
            item.id == step || item.of.as_deref() == Some(step)
        };
        // what was answered and is to be done again is open too, and is not what is waived
        let open = |at: &usize| rollback.states[*at].is_lost() || !rollback.states[*at].is_over();
        let lost = (0..rollback.items.len()).filter(open);
        let can = |at: usize| rollback.states[at].is_lost() && named(at);
        let (meant, left): (Vec<usize>, Vec<usize>) = lost.partition(|at| can(*at));
        if meant.is_empty() {
            let open: Vec<String> = left
                .iter()
                .map(|at| format!("`{}`", rollback.items[*at].id))
                .collect();
            let why = format!("`{step}` is not open; open are {}", open.join(", "));
            return refused(by, order, why);
        }
        let mut taken = taken;
        for item in meant {
            taken = taken.and(RollbackEvent::Waived {
                item,
                by: by.to_owned(),
                reason: reason.to_owned(),
            });
        }
        let matters = |at: &usize| rollback.items[*at].part != crate::event::Part::Notify;
        if left.iter().any(matters) {
            return taken;
        }
        taken.and(RunEvent::Finished {
            status: RunStatus::RolledBack,
        })
    }
}

fn refused(by: &str, order: &Order, why: String) -> Decision {
    Decision::event(OperatorEvent::Refused {
        by: by.to_owned(),
        order: order.clone(),
        why,
    })
}
