//! The way back in a rehearsal: written undos, and the procedure around them. What proves a rollback must
//! hold on the system as it is now, for that is what a rollback restores.

use super::super::clock::now_ms;
use super::super::snapshots;
use super::found::{self, blank};
use super::walk::{At, Walker, When};
use crate::action::ActionError;
use crate::event::rehearsal::{Entry, Word};
use crate::event::{Cause, Failure, Outcome, RunEvent, RunFailure};
use crate::plan::StepKey;
use crate::runbook::model::{Step, Undo};

/// The action that compares snapshots.
const COMPARES: &str = "snapshot_equals";

impl Walker<'_> {
    /// Undos of the steps that this walk came to, then `rollback`.
    pub(super) async fn way_back(&mut self) {
        let plan = std::sync::Arc::clone(&self.hands.plan);
        self.as_if_failed();
        let reached: Vec<String> = self
            .entries
            .iter()
            .filter(|entry| entry.word != Word::LeftOut)
            .map(|entry| entry.step.clone())
            .collect();
        for at in (0..plan.len()).rev() {
            let at = u32::try_from(at).expect("a plan has fewer than 2^32 steps");
            let step = plan.step(at);
            let Undo::Steps(undo) = &step.undo else {
                continue;
            };
            // one item stands for all: their undos differ in nothing but it
            let key = match step.for_each {
                Some(_) => StepKey::item(at, 0),
                None => StepKey::of(at),
            };
            for part in undo {
                let entry = blank("undo", &part.id, &part.action.key);
                match reached.contains(&step.id.value) {
                    true => self.part(part, Some(key), When::Midway, entry).await,
                    false => {
                        let mut entry = entry;
                        entry.why = Some(format!("`{}` is left out", *step.id));
                        self.entries.push(entry);
                    }
                }
            }
        }
        let rollback = &plan.runbook.rollback;
        let parts = [
            (&rollback.first, When::Midway),
            (&rollback.last, When::Midway),
            (&rollback.verify, When::Restored),
            (&rollback.notify, When::Midway),
        ];
        for (steps, when) in parts {
            for step in steps {
                let entry = blank("rollback", &step.id, &step.action.key);
                self.part(step, None, when, entry).await;
            }
        }
    }

    /// Steps of the way back may tell why there is one.
    fn as_if_failed(&mut self) {
        let message = "a rehearsal, in which nothing failed".to_owned();
        let failed = RunEvent::Failed(RunFailure {
            step: None,
            phase: None,
            failure: Failure {
                cause: Cause::Stopped,
                outcome: Outcome::NotApplied,
                message,
                hint: None,
            },
        });
        self.state.apply(&failed.into(), now_ms());
    }

    async fn part(&mut self, step: &Step, key: Option<StepKey>, when: When, mut entry: Entry) {
        if !self.enters(step, None, &mut entry) {
            self.entries.push(entry);
            return;
        }
        if *step.action.key == COMPARES {
            self.compare(step, &mut entry).await;
            self.entries.push(entry);
            return;
        }
        let at = At { key, when };
        let entry = self.one(step, at, entry).await;
        self.entries.push(entry);
    }

    /// Reads the named snapshots again. Nothing was changed meanwhile: one that differs from itself
    /// proves nothing after a rollback.
    async fn compare(&mut self, step: &Step, entry: &mut Entry) {
        let call = match self.hands.call(step, &step.action, &self.base_scope()) {
            Ok(call) => call,
            Err(error) => return found::wrong(entry, self.hands, &error, step.tolerate),
        };
        let names = match crate::action::snapshot::names(&call) {
            Ok(names) => names,
            Err(error) => return found::wrong(entry, self.hands, &error, step.tolerate),
        };
        entry.does = format!("compare with before: {}", names.join(", "));
        let defs = self.hands.plan.runbook.snapshots.clone();
        let mut moving = Vec::new();
        for name in &names {
            let def = defs.iter().find(|def| *def.name == *name);
            let first = self.snapshots.get(name).cloned();
            let (Some(def), Some(first)) = (def, first) else {
                let why = format!("snapshot `{name}` could not be read");
                return found::not_verified(entry, why);
            };
            match self.snapshot(&def.call, name, false).await {
                Ok(now) => {
                    let differences = snapshots::differences(&first, &now);
                    moving.extend(
                        differences
                            .into_iter()
                            .map(|one| format!("`{name}`: {one}")),
                    );
                }
                Err(error) => return found::wrong(entry, self.hands, &error, step.tolerate),
            }
        }
        entry.word = Word::Read;
        entry
            .notes
            .push("each was read twice, and is to be equal to itself".into());
        if let Some(first) = moving.first() {
            let message = format!("a snapshot differs although nothing was changed: {first}");
            let error = ActionError::failed(Outcome::NotApplied, message)
                .hint("name only snapshots of what stands still, or read less in them");
            found::wrong(entry, self.hands, &error, step.tolerate);
        }
    }
}
