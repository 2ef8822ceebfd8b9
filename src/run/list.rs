//! The list of the way back: what changed the world, latest first, and what is not taken back.

use super::parts::{StepState, StepStatus};
use super::state::RunState;
use crate::event::{NotUndone, Part, RollbackItem};
use crate::plan::StepKey;
use crate::runbook::model::{Step, Undo};

impl RunState {
    /// The list, computed once: what changed the world, latest first, between `first` and `last`.
    /// Empty when nothing changed it, because then stopping the application would only do harm.
    pub(super) fn rollback_list(&self) -> (Vec<RollbackItem>, Vec<NotUndone>) {
        let mut not_undone = Vec::new();
        let mut undos = Vec::new();
        let changed = self.changed();
        for key in changed.iter().rev() {
            match self.barred_by(*key) {
                Some(line) => not_undone.push(NotUndone {
                    step: self.plan.name(*key),
                    why: format!("behind the point of no return, `{line}`"),
                }),
                None => self.undos_of(*key, &mut undos, &mut not_undone),
            }
        }
        if changed.is_empty() {
            return (Vec::new(), not_undone);
        }
        let rollback = &self.plan.runbook.rollback;
        let part = |part: Part, steps: &[Step]| -> Vec<RollbackItem> {
            steps
                .iter()
                .map(|step| item(step.id.value.clone(), part, step))
                .collect()
        };
        let mut items = part(Part::First, &rollback.first);
        items.extend(undos);
        items.extend(part(Part::Last, &rollback.last));
        items.extend(part(Part::Verify, &rollback.verify));
        items.extend(part(Part::Notify, &rollback.notify));
        (items, not_undone)
    }

    /// The point of no return that a step lies behind.
    fn barred_by(&self, key: StepKey) -> Option<String> {
        let line = self.lines.last()?;
        let before = self.settled.iter().take(line.behind);
        let is_line = self.lines.iter().any(|line| line.key.step == key.step);
        let barred = is_line || before.into_iter().any(|one| one.key == key);
        barred.then(|| self.plan.name(line.key))
    }

    /// What changed the world, or may have, in the order in which it ended; a step that waits for
    /// its retry after a dirty attempt, or is in doubt, comes last.
    pub(super) fn changed(&self) -> Vec<StepKey> {
        let waiting = |state: &StepState| {
            state.status.unknown() || state.status == StepStatus::Waiting && state.dirty
        };
        let number = |at: usize| u32::try_from(at).expect("a runbook has fewer than 2^32 steps");
        // what is done by hand may be half done before anybody says so
        let by_hand = |at: usize, state: &StepState| {
            state.status == StepStatus::AtGate && self.plan.step(number(at)).changes()
        };
        let mut changed: Vec<StepKey> = self.settled.iter().map(|settled| settled.key).collect();
        let steps = self
            .steps
            .iter()
            .enumerate()
            .filter(|(at, state)| waiting(state) || by_hand(*at, state));
        changed.extend(steps.map(|(at, _)| StepKey::of(number(at))));
        let mut fans: Vec<_> = self.fans.iter().collect();
        fans.sort_unstable_by_key(|(at, _)| **at);
        for (at, fan) in fans {
            let items = fan
                .states
                .iter()
                .enumerate()
                .filter(|(_, state)| waiting(state));
            changed.extend(items.map(|(item, _)| StepKey::item(*at, number(item))));
        }
        changed.retain(|key| self.plan.step(key.step).changes());
        changed
    }

    fn undos_of(
        &self,
        key: StepKey,
        undos: &mut Vec<RollbackItem>,
        not_undone: &mut Vec<NotUndone>,
    ) {
        let step = self.plan.step(key.step);
        let name = self.plan.name(key);
        let mut left = |why: &str| {
            not_undone.push(NotUndone {
                step: name.clone(),
                why: why.into(),
            });
        };
        match &step.undo {
            Undo::None => left("the runbook says `undo: none`"),
            Undo::Unsaid => left("the runbook says no `undo`"),
            Undo::Auto(_) => undos.push(RollbackItem {
                id: format!("{name}.undo"),
                part: Part::Undo,
                of: Some(name.clone()),
                nth: None,
                action: step.action.key.value.clone(),
            }),
            Undo::Steps(steps) => {
                let suffix = key.item.map(|item| format!("[{item}]")).unwrap_or_default();
                undos.extend(steps.iter().enumerate().map(|(nth, undo)| RollbackItem {
                    of: Some(name.clone()),
                    nth: Some(nth),
                    ..item(format!("{}{suffix}", undo.id.value), Part::Undo, undo)
                }));
            }
        }
    }

    /// The step that an item carries out, unless it is an automatic undo.
    pub fn item_step(&self, item: &RollbackItem) -> Option<&Step> {
        let rollback = &self.plan.runbook.rollback;
        let steps = match item.part {
            Part::First => &rollback.first,
            Part::Last => &rollback.last,
            Part::Verify => &rollback.verify,
            Part::Notify => &rollback.notify,
            Part::Undo => {
                let key = self.plan.key(item.of.as_deref()?)?;
                return match (&self.plan.step(key.step).undo, item.nth) {
                    (Undo::Steps(steps), Some(nth)) => steps.get(nth),
                    _ => None,
                };
            }
        };
        steps.iter().find(|step| *step.id == item.id)
    }
}

fn item(id: String, part: Part, step: &Step) -> RollbackItem {
    RollbackItem {
        id,
        part,
        of: None,
        nth: None,
        action: step.action.key.value.clone(),
    }
}
