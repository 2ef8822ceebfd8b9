//! What the plan says of watching: what is read before the first change to be compared with, and from
//! which phase on failures hold and ask.

use std::time::Duration;

use super::Plan;
use crate::expr::Template;
use crate::runbook::model::{ActionUse, Step, Undo};
use crate::runbook::watch::{BaselineDef, asks};
use crate::runbook::{Runbook, Sp};

/// A probe that is read before the first change.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// The guard or the step that compares with it.
    pub name: String,
    /// What is read.
    pub call: ActionUse,
    /// How often.
    pub def: BaselineDef,
    /// Environment for it.
    pub env: Vec<(String, Sp<Template>)>,
    /// Where it works.
    pub cwd: Option<Sp<Template>>,
}

/// The probes whose values before the first change some expectation asks for.
pub(super) fn baselines(runbook: &Runbook) -> Vec<Baseline> {
    let guards = runbook
        .guards
        .iter()
        .filter(|guard| guard.criteria.asks_baseline())
        .map(|guard| Baseline {
            name: guard.name.value.clone(),
            call: guard.call.clone(),
            def: guard.criteria.baseline,
            env: Vec::new(),
            cwd: None,
        });
    let steps = runbook
        .steps()
        .filter_map(|(_, step)| of_step(step).map(|def| (step, def)))
        .map(|(step, def)| Baseline {
            name: step.id.value.clone(),
            call: step.action.clone(),
            def,
            env: step.env.clone(),
            cwd: step.cwd.clone(),
        });
    guards.chain(steps).collect()
}

fn of_step(step: &Step) -> Option<BaselineDef> {
    match &step.watch {
        Some(watch) => watch
            .criteria
            .asks_baseline()
            .then_some(watch.criteria.baseline),
        None => asks(step.expect.iter().chain(&step.warn), "baseline").then_some(step.baseline),
    }
}

impl Plan {
    /// The phase from whose end on failures go back by themselves for some time only, and that time.
    pub fn decides(&self) -> Option<(usize, Duration)> {
        let decide = self.runbook.rollback.decide.as_deref()?;
        let phase = match &decide.after {
            Some(name) => self.runbook.phase_index(name)?,
            None => {
                let undone = |step: &Step| matches!(step.undo, Undo::Auto(_) | Undo::Steps(_));
                let has = |at: &usize| self.runbook.phases[*at].steps.iter().any(undone);
                self.graph.order().into_iter().rfind(has)?
            }
        };
        Some((phase, decide.within))
    }
}
