//! Settling the doubts of the way back: by what was found out, by what the author said, by a person.

use super::answer::{Said, verdict};
use super::effect::{Decision, Effect};
use super::input::Input;
use super::parts::ItemState;
use super::state::RunState;
use crate::event::{Answer, Cause, Failure, How, Resolution, RollbackEvent, RunStatus};
use crate::expr::{Evidence, Verdict};

impl RunState {
    /// What follows from what was found out about an item of the way back.
    pub(super) fn item_examined(
        &self,
        item: usize,
        attempt: u32,
        undone: Option<&[Evidence]>,
        failure: Option<&Failure>,
        input: &Input,
    ) -> Decision {
        if let Some(failure) = failure.filter(|failure| failure.cause == Cause::Stopped) {
            let failure = failure.clone();
            return Decision::event(RollbackEvent::InDoubt {
                item,
                attempt,
                failure,
            });
        }
        let resolved = |how: How, to: Resolution| {
            Decision::event(RollbackEvent::Resolved {
                item,
                attempt,
                how,
                to,
            })
        };
        let at = input.at;
        let said = undone.map(|evidence| (evidence.to_vec(), verdict(evidence)));
        match (said, failure) {
            (Some((evidence, Verdict::Pass)), None) => {
                return resolved(How::Probe { evidence }, Resolution::Done);
            }
            (Some((evidence, Verdict::Fail)), None) => {
                return resolved(How::Probe { evidence }, Resolution::Again)
                    .with(Effect::WakeItem { item, at });
            }
            (None, None) if self.item_is_idempotent(item) => {
                return resolved(How::Idempotent, Resolution::Again)
                    .with(Effect::WakeItem { item, at });
            }
            _ => {}
        }
        let why = failure.map_or_else(
            || "the engine ended in the middle of it".into(),
            |failure| failure.message.clone(),
        );
        Decision::event(RollbackEvent::Asked { item, why })
    }

    /// Whether an item of the way back may have changed something.
    pub(super) fn item_changes(&self, item: usize) -> bool {
        let item = self.rollback.as_ref().and_then(|back| back.items.get(item));
        item.is_some_and(|item| {
            self.item_step(item)
                .is_none_or(crate::runbook::Step::changes)
        })
    }

    /// Automatic undos put back what is still as the step left it, so doing it twice is once.
    pub(super) fn item_is_idempotent(&self, item: usize) -> bool {
        let item = self.rollback.as_ref().and_then(|back| back.items.get(item));
        item.is_some_and(|item| self.item_step(item).is_none_or(|step| step.idempotent))
    }

    pub(super) fn asked_item(&self, name: &str) -> Option<usize> {
        let rollback = self.rollback.as_ref()?;
        (0..rollback.items.len()).find(|at| {
            let item = &rollback.items[*at];
            let named = item.id == name || item.of.as_deref() == Some(name);
            named && matches!(rollback.states[*at], ItemState::Asked { .. })
        })
    }

    pub(super) fn item_answered(
        &self,
        item: usize,
        said: &Said<'_>,
        now: i64,
    ) -> Result<Decision, String> {
        let ItemState::Asked { attempt } = self
            .rollback
            .as_ref()
            .map_or(ItemState::Pending, |rollback| rollback.states[item])
        else {
            return Err("it is not asked about".into());
        };
        let to = match said.answer {
            Answer::Done => Resolution::Done,
            Answer::NotDone => Resolution::NotDone,
            Answer::Retry => Resolution::Again,
            Answer::Abort => return Ok(self.aborted_by_answer()),
            Answer::Rollback | Answer::Proceed | Answer::Skip => {
                return Err(format!(
                    "`{}` is no answer on the way back: done, not-done, retry, abort",
                    said.answer.word()
                ));
            }
        };
        let resolved = Decision::event(RollbackEvent::Resolved {
            item,
            attempt,
            how: How::Person {
                by: said.by.to_owned(),
                reason: said.reason.to_owned(),
            },
            to,
        });
        let live = self.status == RunStatus::RollingBack && to != Resolution::Done;
        Ok(match live {
            true => resolved.with(Effect::WakeItem { item, at: now }),
            false => resolved,
        })
    }
}
