//! The way back: which undos, in which order, and what follows from each.

use super::effect::{Decision, Effect};
use super::input::{Input, InputKind};
use super::parts::{ItemState, RollbackState, SnapshotState};
use super::state::RunState;
use crate::event::{
    Cause, Failure, Moment, Outcome, Part, Report, RollbackEvent, RollbackItem, RunEvent,
    RunStatus, SnapshotEvent,
};
use crate::expr::Verdict;
use crate::plan::StepKey;

impl RunState {
    pub(super) fn decide_back(&self, input: &Input) -> Decision {
        let Some(rollback) = &self.rollback else {
            return Decision::none();
        };
        match &input.kind {
            InputKind::ItemReported {
                item,
                attempt,
                report,
                failure,
            } if rollback.states.get(*item) == Some(&ItemState::Running { attempt: *attempt }) => {
                match failure {
                    None => Decision::event(RollbackEvent::Finished {
                        item: *item,
                        report: report.clone(),
                    }),
                    Some(failure) => {
                        self.item_failed(rollback, *item, *attempt, failure, report, input.at)
                    }
                }
            }
            InputKind::ItemExamined {
                item,
                attempt,
                undone,
                failure,
            } if rollback.states.get(*item)
                == Some(&ItemState::Examining { attempt: *attempt }) =>
            {
                self.item_examined(*item, *attempt, undone.as_deref(), failure.as_ref(), input)
            }
            InputKind::ItemDue { item } => match rollback.states.get(*item) {
                Some(ItemState::Waiting { attempt, .. }) if self.goes_back() => {
                    let attempt = attempt + 1;
                    Decision::event(RollbackEvent::Started {
                        item: *item,
                        attempt,
                    })
                    .with(Effect::Item {
                        item: *item,
                        attempt,
                    })
                }
                _ => Decision::none(),
            },
            _ => Decision::none(),
        }
    }

    fn item_failed(
        &self,
        rollback: &RollbackState,
        item: usize,
        attempt: u32,
        failure: &Failure,
        report: &Report,
        now: i64,
    ) -> Decision {
        let retry = self
            .item_step(&rollback.items[item])
            .and_then(|step| step.retry.as_ref());
        let ends = self.stopping.is_some() || self.orders.aborting;
        if ends && failure.cause == Cause::Stopped && failure.outcome != Outcome::NotApplied {
            return Decision::event(RollbackEvent::InDoubt {
                item,
                attempt,
                failure: failure.clone(),
            });
        }
        let sensible = failure.cause != Cause::Stopped && !report.hopeless && !ends;
        // an undo is expected to be harmless when it is repeated; one that may still be on its way is not
        let link_lost = matches!(failure.cause, Cause::Timeout | Cause::Unreachable)
            && failure.outcome != Outcome::NotApplied;
        let harmless = !link_lost || !self.item_changes(item) || self.item_is_idempotent(item);
        let again = retry.filter(|retry| sensible && harmless && attempt <= retry.limit);
        let at = again.map(|retry| {
            now + i64::try_from(retry.wait(attempt + 1).as_millis()).unwrap_or(i64::MAX / 2)
        });
        let stopped =
            ends && failure.cause == Cause::Stopped && failure.outcome == Outcome::NotApplied;
        // a read that was stopped with the run is due again when the run goes on
        let at = at.or(stopped.then_some(now));
        let event = RollbackEvent::Failed {
            item,
            attempt,
            failure: failure.clone(),
            report: Box::new(report.clone()),
            retry_at: at,
        };
        let decision = Decision::event(event);
        match at {
            Some(at) => decision.with(Effect::WakeItem { item, at }),
            None => decision,
        }
    }

    /// Whether the next item may start.
    fn goes_back(&self) -> bool {
        self.status == RunStatus::RollingBack && self.stopping.is_none() && !self.orders.aborting
    }

    /// One item after the other, from the first to the last.
    pub(super) fn follow_back(&self, now: i64) -> Decision {
        let Some(rollback) = &self.rollback else {
            return Decision::none();
        };
        let state = rollback.states.get(rollback.next).copied();
        if state.is_some_and(ItemState::in_flight) || self.taking() {
            return Decision::none();
        }
        if self.orders.aborting {
            let status = RunStatus::Aborted;
            return Decision::event(RunEvent::Finished { status });
        }
        if let Some(reason) = self.stopping {
            return Decision::event(RunEvent::Parked { reason });
        }
        match state {
            Some(ItemState::Waiting { .. }) => return Decision::none(),
            Some(ItemState::InDoubt { attempt }) => {
                let item = rollback.next;
                return Decision::event(RollbackEvent::Examining { item, attempt })
                    .with(Effect::ExamineItem { item, attempt });
            }
            _ => {}
        }
        let Some(item) = rollback.items.get(rollback.next) else {
            return self.end_of_rollback(rollback);
        };
        self.start_rollback_item(rollback, item, now)
    }

    fn start_rollback_item(
        &self,
        rollback: &RollbackState,
        item: &RollbackItem,
        now: i64,
    ) -> Decision {
        let at = rollback.next;
        if let Some(reason) = self.held(rollback, item) {
            return Decision::event(RollbackEvent::Skipped {
                item: at,
                reason,
                held: true,
            });
        }
        if let Some((step, when)) = self
            .item_step(item)
            .and_then(|step| Some((step, step.when.as_ref()?)))
        {
            let key = item.of.as_deref().and_then(|of| self.plan.key(of));
            let evidence = when.judge(&self.scope(step, key, now));
            match evidence.verdict {
                Verdict::Pass => {}
                Verdict::Fail => {
                    let reason = format!("`when: {}` is false", when.text());
                    return Decision::event(RollbackEvent::Skipped {
                        item: at,
                        reason,
                        held: false,
                    });
                }
                Verdict::Inconclusive | Verdict::Error => {
                    let message = format!(
                        "`when: {}` has no answer: {}",
                        when.text(),
                        evidence.reason.unwrap_or_default()
                    );
                    let failure = Failure {
                        cause: Cause::Invalid,
                        outcome: Outcome::NotApplied,
                        message,
                        hint: None,
                    };
                    return Decision::event(RollbackEvent::Failed {
                        item: at,
                        attempt: 1,
                        failure,
                        report: Box::default(),
                        retry_at: None,
                    });
                }
            }
        }
        Decision::event(RollbackEvent::Started {
            item: at,
            attempt: 1,
        })
        .with(Effect::Item {
            item: at,
            attempt: 1,
        })
    }

    /// Why an item must not be carried out: something that it stands on was not undone.
    fn held(&self, rollback: &RollbackState, item: &RollbackItem) -> Option<String> {
        if item.part == Part::Notify {
            return None;
        }
        let mut failed = rollback
            .items
            .iter()
            .zip(&rollback.states)
            .filter(|(_, state)| state.is_lost())
            .map(|(item, _)| item);
        let (part, key) = (
            item.part,
            item.of.as_deref().and_then(|of| self.plan.key(of)),
        );
        failed.find_map(|earlier| match (earlier.part, part) {
            // without its first part, or with undos missing, the rest of the procedure has no footing
            (Part::First, _) => Some(format!("`{}` failed before it", earlier.id)),
            (Part::Undo, Part::Last | Part::Verify) => Some(format!(
                "the undo of `{}` failed",
                earlier.of.as_deref().unwrap_or(&earlier.id)
            )),
            (Part::Last, Part::Verify) => Some(format!("`{}` failed before it", earlier.id)),
            (Part::Undo, Part::Undo) => {
                let theirs = self.plan.key(earlier.of.as_deref()?)?;
                let depends =
                    key.is_some_and(|mine| mine == theirs || self.stands_on(theirs, mine));
                depends.then(|| {
                    format!(
                        "`{}` stands on it and was not undone",
                        earlier.of.as_deref().unwrap_or_default()
                    )
                })
            }
            _ => None,
        })
    }

    /// Whether `later` was built on what `earlier` did.
    fn stands_on(&self, later: StepKey, earlier: StepKey) -> bool {
        let (mine, theirs) = (
            self.plan.phase_of(later.step),
            self.plan.phase_of(earlier.step),
        );
        if earlier.step == later.step {
            let step = self.plan.step(earlier.step);
            let in_order = step.for_each.as_ref().is_none_or(|all| all.parallel == 1);
            return in_order && earlier.item < later.item;
        }
        if mine == theirs {
            let in_order = self.plan.runbook.phases[mine].parallel == 1;
            return in_order && (earlier.step, earlier.item) < (later.step, later.item);
        }
        let mut seen = vec![false; self.plan.graph.len()];
        let mut open = vec![mine];
        while let Some(phase) = open.pop() {
            for need in self.plan.graph.needs(phase) {
                if *need == theirs {
                    return true;
                }
                if !std::mem::replace(&mut seen[*need], true) {
                    open.push(*need);
                }
            }
        }
        false
    }

    fn end_of_rollback(&self, rollback: &RollbackState) -> Decision {
        if self.watches() {
            // they are ended first
            return Decision::none();
        }
        let wanted = self.snapshots.contains_key(&Moment::Before) && !rollback.items.is_empty();
        match self.snapshots.get(&Moment::Restored) {
            None if wanted => {
                let event = SnapshotEvent::Taking {
                    moment: Moment::Restored,
                };
                return Decision::event(event).with(Effect::Snapshots {
                    moment: Moment::Restored,
                });
            }
            Some(SnapshotState::Taking) => return Decision::none(),
            _ => {}
        }
        // telling people is no part of being back
        let lost = rollback
            .items
            .iter()
            .zip(&rollback.states)
            .any(|(item, state)| item.part != Part::Notify && state.is_lost());
        let status = if lost {
            RunStatus::RollbackFailed
        } else {
            RunStatus::RolledBack
        };
        Decision::event(RunEvent::Finished { status })
    }
}
