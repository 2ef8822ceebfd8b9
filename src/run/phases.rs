//! What the end of steps makes of their phase: skipped, over, and which phases could start something.
//! Called by `apply` alone.

use std::sync::Arc;

use super::parts::StepStatus;
use super::state::RunState;

impl RunState {
    pub(super) fn skip_phase(&mut self, phase: usize, at: i64) {
        self.phases[phase].skipped = true;
        let steps = self.plan.runbook.phases[phase].steps.len();
        for n in 0..steps {
            self.steps[self.plan.step_of(phase, n) as usize].status = StepStatus::Skipped;
        }
        self.phases[phase].next = steps;
        self.phases[phase].left = 0;
        self.end_phase(phase, at);
    }

    pub(super) fn end_phase(&mut self, phase: usize, at: i64) {
        self.phases[phase].ended_at = Some(at);
        self.phases_over += 1;
        self.startable.remove(&phase);
        let plan = Arc::clone(&self.plan);
        for dependent in &plan.dependents[phase] {
            self.phases[*dependent].open_needs -= 1;
            self.offer(*dependent);
        }
    }

    /// Keeps the set of phases that could start something true for one phase.
    pub(super) fn offer(&mut self, phase: usize) {
        let def = &self.plan.runbook.phases[phase];
        let state = &self.phases[phase];
        let ahead = state.next < def.steps.len() && state.running < def.parallel;
        let open = |at: &u32| {
            self.fans
                .get(at)
                .is_some_and(|fan| fan.next < fan.items.len() && !fan.failed)
        };
        if state.open_needs == 0
            && state.ended_at.is_none()
            && (ahead || state.fans.iter().any(open))
        {
            self.startable.insert(phase);
        } else {
            self.startable.remove(&phase);
        }
    }
}
