//! Jobs from the state: what one attempt needs to be carried out, gathered so that it depends on
//! nothing any more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::clock::{now_ms, seconds};
use super::executor::{Executor, Running};
use super::job::Job;
use super::snapshots;
use crate::action::StopSignal;
use crate::event::{Part, RollbackItem};
use crate::plan::StepKey;
use crate::run::RunState;
use crate::runbook::model::Step;

impl Executor {
    pub(super) fn job(&mut self, key: StepKey, attempt: u32, state: &RunState) -> Job {
        let plan = Arc::clone(state.plan());
        let step = plan.step(key.step).clone();
        let name = plan.name(key);
        let mut job = self.new_job(name, attempt, step, Some(key), state);
        job.keeps = plan.keeps_result(key.step);
        job
    }

    pub(super) fn back_job(
        &mut self,
        item: &RollbackItem,
        attempt: u32,
        step: Step,
        key: Option<StepKey>,
        state: &RunState,
    ) -> Job {
        let mut job = self.new_job(item.id.clone(), attempt, step, key, state);
        job.direction = if item.part == Part::Undo {
            "undo"
        } else {
            "back"
        };
        job.step_state = key.map(|key| state.step(key).status.word());
        if let (None, Some((_, started))) = (key, state.rollback().and_then(|back| back.part)) {
            job.phase_started = seconds(started);
        }
        job
    }

    /// A job for reading something that belongs to no step.
    pub(super) fn reading_job(&mut self, state: &RunState, name: &str) -> Job {
        let (sender, stop) = StopSignal::channel();
        sender.send_replace(self.told);
        let running = Running {
            stop: sender,
            // what a run stands on is read to its end, unless it is told to end twice
            reading: false,
            since: Instant::now(),
        };
        self.running.insert(format!("snapshot.{name}"), running);
        let mut scope = state.base_scope(now_ms());
        scope.secrets = Arc::clone(&self.shared.secrets);
        Job {
            shared: Arc::clone(&self.shared),
            step: snapshots::reading_step(),
            name: format!("snapshot.{name}"),
            attempt: 1,
            direction: "do",
            scope,
            phase_started: 0.0,
            backup: None,
            results: HashMap::new(),
            stop,
            step_state: None,
            keeps: false,
            captures: false,
        }
    }

    pub(super) fn new_job(
        &mut self,
        name: String,
        attempt: u32,
        step: Step,
        key: Option<StepKey>,
        state: &RunState,
    ) -> Job {
        let (sender, stop) = StopSignal::channel();
        sender.send_replace(self.told);
        self.running.insert(
            name.clone(),
            Running {
                stop: sender,
                reading: !step.changes(),
                since: Instant::now(),
            },
        );
        let mut scope = state.scope(&step, key, now_ms());
        scope.hide_run(|run| self.shared.masker.json(run));
        scope.secrets = Arc::clone(&self.shared.secrets);
        let phase = key.map(|key| state.plan().phase_of(key.step));
        let started = phase
            .and_then(|phase| state.phase_started(phase))
            .unwrap_or_else(now_ms);
        let backup = step
            .requires_backup
            .as_ref()
            .and_then(|required| state.result(&required.step));
        Job {
            shared: Arc::clone(&self.shared),
            backup: backup.and_then(|kept| kept.get("result")).cloned(),
            results: results_for(&step, state),
            step,
            name,
            attempt,
            direction: "do",
            scope,
            phase_started: seconds(started),
            stop,
            step_state: None,
            keeps: false,
            captures: false,
        }
    }
}

/// Results that an action looks up by step id: those of backups, for what is read back.
fn results_for(step: &Step, state: &RunState) -> HashMap<String, Arc<Value>> {
    if !step.action.key.ends_with(".restore") {
        return HashMap::new();
    }
    let backups = state
        .plan()
        .runbook
        .steps()
        .filter(|(_, step)| step.action.key.ends_with(".backup"));
    backups
        .filter_map(|(_, step)| Some((step.id.value.clone(), Arc::clone(state.result(&step.id)?))))
        .collect()
}
