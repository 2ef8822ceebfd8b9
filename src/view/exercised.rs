//! What earlier runs show about going back: which undos were carried out, when, and how long they took.
//!
//! Main type: [`History`], filled from the views of runs of the same runbook, the latest first. An undo
//! counts where the step had begun to act and all of its items finished well. Must not: judge whether the step is still the same;
//! that is for whoever knows the plan.

use std::collections::BTreeMap;

use super::{ItemStatus, RunView, StepStatus, StepView};
use crate::event::Part;

/// An undo, or a step around the undos, that was carried out and went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exercise {
    /// The run.
    pub run: String,
    /// What kind of run it was: `run`, `rehearsal`, `drill`.
    pub kind: &'static str,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// What it took, all items of the step together.
    pub took_ms: u64,
    /// The digest of the step as it was then; empty where the journal has none.
    pub digest: String,
}

/// What earlier runs show, by step.
#[derive(Clone, Debug, Default)]
pub struct History {
    undone: BTreeMap<String, Vec<Exercise>>,
    around: BTreeMap<String, Exercise>,
    runs: usize,
}

impl History {
    /// Takes in one more run; the latest comes first.
    pub fn add(&mut self, view: &RunView, kind: &'static str) {
        self.runs += 1;
        let Some(rollback) = &view.rollback else {
            return;
        };
        let mut steps: BTreeMap<&str, (bool, bool, u64, i64)> = BTreeMap::new();
        for item in &rollback.items {
            let done = item.status == ItemStatus::Done;
            let took = item.took_ms.unwrap_or(0);
            let at = item.started_at.unwrap_or(rollback.started_at);
            match (item.item.part, &item.item.of) {
                (Part::Undo, Some(of)) => {
                    let step = of.split('[').next().unwrap_or(of);
                    let sum = steps.entry(step).or_insert((false, true, 0, at));
                    // what was found to be undone already was not carried out, and hurts nothing
                    sum.0 |= done;
                    sum.1 &= done || item.status == ItemStatus::Skipped;
                    sum.2 += took;
                }
                _ if done => {
                    let exercise = exercise(view, kind, at, took, String::new());
                    self.around.entry(item.item.id.clone()).or_insert(exercise);
                }
                _ => {}
            }
        }
        for (step, (carried_out, well, took, at)) in steps {
            // taking back what never was done shows nothing
            let done = |known: &&StepView| match known.status {
                StepStatus::Done | StepStatus::Failed | StepStatus::Tolerated => true,
                // in the middle of it when the run turned back
                StepStatus::InDoubt | StepStatus::Asked | StepStatus::Settling => true,
                _ => false,
            };
            let Some(known) = view.step(step).filter(done).filter(|_| carried_out && well) else {
                continue;
            };
            let digest = known.outline.digest.clone();
            let exercise = exercise(view, kind, at, took, digest);
            self.undone
                .entry(step.to_owned())
                .or_default()
                .push(exercise);
        }
    }

    /// How many runs it knows.
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// The latest time that the undo of a step was carried out as the step is now, else the latest time
    /// at all; with it, whether the step is the same.
    pub fn undo_of(&self, step: &str, digest: &str) -> Option<(&Exercise, bool)> {
        let all = self.undone.get(step)?;
        let same = |one: &&Exercise| !digest.is_empty() && one.digest == digest;
        match all.iter().find(same) {
            Some(one) => Some((one, true)),
            None => Some((all.first()?, false)),
        }
    }

    /// The latest time that a step before or after the undos was carried out, by its id.
    pub fn around(&self, step: &str) -> Option<&Exercise> {
        self.around.get(step)
    }
}

fn exercise(view: &RunView, kind: &'static str, at: i64, took_ms: u64, digest: String) -> Exercise {
    Exercise {
        run: view.id.clone(),
        kind,
        at,
        took_ms,
        digest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventKind, RunEvent};
    use crate::view::samples::{START, rolled_back, success};

    /// A rollback sample whose `restart` had that digest.
    fn view(id: &str, hurt: bool, digest: &str) -> RunView {
        let mut events = rolled_back(hurt);
        if let EventKind::Run(RunEvent::Planned(planned)) = &mut events[0].kind {
            planned.outline.phases[1].steps[2].digest = digest.to_owned();
        }
        RunView::replay(&events).with_id(id)
    }

    #[test]
    fn an_undo_counts_when_all_of_its_items_finished_well() {
        let mut history = History::default();
        history.add(&view("bad", true, "d1"), "run");
        assert_eq!(history.undo_of("restart", "d1"), None);
        history.add(&RunView::replay(&success()).with_id("fine"), "run");
        history.add(&view("good", false, "d1"), "drill");
        let (one, same) = history.undo_of("restart", "d1").unwrap();
        assert_eq!(
            (one.run.as_str(), one.kind, one.took_ms, same),
            ("good", "drill", 1_700, true)
        );
        assert_eq!(one.at, START + 9_400);
        assert_eq!(history.runs(), 3);
        assert_eq!(history.undo_of("flush", ""), None);
        // what came after the undos, by its own name
        assert_eq!(
            history.around("old-backend").map(|one| one.took_ms),
            Some(100)
        );
        assert_eq!(history.around("restart"), None);
    }

    #[test]
    fn an_undo_of_what_never_was_done_does_not_count() {
        let mut undone = view("never", false, "d1");
        let at = undone
            .steps
            .iter()
            .position(|step| step.outline.id == "restart")
            .unwrap();
        undone.steps[at].status = StepStatus::Skipped;
        let mut history = History::default();
        history.add(&undone, "run");
        assert_eq!(history.undo_of("restart", "d1"), None);
    }

    #[test]
    fn the_same_step_comes_before_a_later_one_that_was_another() {
        let mut history = History::default();
        history.add(&view("new", false, "d2"), "run");
        history.add(&view("old", false, "d1"), "run");
        let run = |digest: &str| {
            let (one, same) = history.undo_of("restart", digest).unwrap();
            (one.run.as_str(), same)
        };
        assert_eq!(run("d1"), ("old", true));
        assert_eq!(run("d2"), ("new", true));
        assert_eq!(run("d3"), ("new", false));
        assert_eq!(
            run(""),
            ("new", false),
            "what is not known to be the same is not"
        );
    }
}
