//! Guided runs: a question before each step and after each failure, and what people may do instead of
//! going on: leave out, retry, jump, stop being asked.

use super::effect::Decision;
use super::parts::StepStatus;
use super::state::RunState;
use crate::event::{Cause, Failure, Question, SkipReason, StepEvent};
use crate::plan::StepKey;
use crate::runbook::gate::Gate;

/// What is asked before steps.
#[derive(Clone, Debug, Default)]
pub(super) struct Guide {
    /// Whether anything is asked.
    pub(super) on: bool,
    /// Phases in which it is not.
    pub(super) quiet: Vec<usize>,
}

impl RunState {
    /// The question before a step of a guided run, if it is still to be asked or answered.
    pub(super) fn ask_to_start(&self, key: StepKey) -> Option<Decision> {
        let step = self.plan.step(key.step);
        let phase = self.plan.phase_of(key.step);
        // a gate asks for itself
        let asks = self.guide.on
            && !self.guide.quiet.contains(&phase)
            && Gate::of(step).is_none()
            && !step.point_of_no_return;
        if !asks || self.approved.contains(&key) {
            return None;
        }
        if !self.questions.is_empty() && self.held_by_doubt() {
            return Some(Decision::none());
        }
        Some(self.ask(key, Question::Start, "the run is guided".into(), None))
    }

    /// The question after a failure of a guided run; `None`: the rules of the runbook say what follows.
    pub(super) fn ask_what_now(&self, key: StepKey, failure: &Failure) -> Option<Decision> {
        let asks = self.guide.on
            && self.attended
            && self.stopping.is_none()
            && !self.orders.aborting
            && !self.orders.cancelled
            && Gate::of(self.plan.step(key.step)).is_none();
        let why = failure.message.clone();
        asks.then(|| self.ask(key, Question::Failure, why, None))
    }

    /// The question after a failure that does not go back by itself: what was expected is undecided, or
    /// the time in which failures go back is over. `None`: it goes back.
    pub(super) fn hold_and_ask(
        &self,
        key: StepKey,
        failure: &Failure,
        now: i64,
    ) -> Option<Decision> {
        if self.orders.aborting || self.orders.cancelled || self.failure.is_some() {
            return None;
        }
        let undecided = failure.cause == Cause::Undecided;
        let why = match (undecided, self.past_decision(now)) {
            (true, _) => failure.message.clone(),
            (false, true) => format!(
                "the time in which failures go back by themselves is over: {}",
                failure.message
            ),
            (false, false) => return None,
        };
        Some(self.ask(key, Question::Failure, why, None))
    }

    /// A step is left out by a person.
    pub(super) fn left_out(&self, key: StepKey, by: &str, reason: &str) -> StepEvent {
        StepEvent::Skipped {
            step: self.plan.name(key),
            reason: SkipReason::Person {
                by: by.to_owned(),
                reason: reason.to_owned(),
            },
        }
    }

    /// What follows from the order to ask, or to stop asking.
    pub(super) fn guided(
        &self,
        taken: Decision,
        by: &str,
        phase: Option<&str>,
        on: bool,
    ) -> Result<Decision, String> {
        let phase = match phase {
            None => None,
            Some(name) => Some(
                self.plan
                    .runbook
                    .phase_index(name)
                    .ok_or_else(|| format!("there is no phase `{name}`"))?,
            ),
        };
        let mut taken = taken;
        let covered = |key: &StepKey| phase.is_none_or(|at| self.plan.phase_of(key.step) == at);
        let start =
            |(key, question): &&(StepKey, Question)| *question == Question::Start && covered(key);
        for (key, _) in self.questions.iter().filter(start) {
            if !on {
                taken = taken.and(StepEvent::Approved {
                    step: self.plan.name(*key),
                    by: by.to_owned(),
                    reason: "not asked any more".into(),
                });
            }
        }
        Ok(taken)
    }

    /// What follows from the order to go on with a step: everything before it that has not started is
    /// left out. What is done stays done, and nothing is done again.
    pub(super) fn jumped(&self, by: &str, to: &str, reason: &str) -> Result<Decision, String> {
        let target = self
            .plan
            .find(to)
            .ok_or_else(|| format!("there is no step `{to}`"))?;
        if reason.trim().is_empty() {
            return Err("leaving steps out needs a reason".into());
        }
        if self.step(StepKey::of(target)).status != StepStatus::Pending {
            return Err(format!(
                "`{to}` is {} already: what was begun is not jumped to; roll back, or `retry` what failed",
                self.step(StepKey::of(target)).status.word()
            ));
        }
        let mut decision = Decision::none();
        for at in self.before(target) {
            let key = StepKey::of(at);
            let name = self.plan.name(key);
            let asked = |question: Question| self.questions.contains(&(key, question));
            match self.step(key).status {
                StepStatus::Done | StepStatus::Skipped => {}
                status if status.failed() && asked(Question::Failure) => {
                    decision = decision.and(StepEvent::Accepted {
                        step: name,
                        by: by.to_owned(),
                        reason: format!("jumped to `{to}`: {reason}"),
                    });
                }
                status if status.failed() => {
                    let item = |(asked, _): &&(StepKey, Question)| asked.step == at;
                    if let Some((item, _)) = self.questions.iter().find(item) {
                        return Err(format!(
                            "`{}` failed and is asked about: settle it before you jump",
                            self.plan.name(*item)
                        ));
                    }
                }
                _ if Gate::of(self.plan.step(at)) == Some(Gate::Approve) => {
                    return Err(format!(
                        "`{name}` is an approval, and nobody jumps over it: it is decided by those who may"
                    ));
                }
                StepStatus::Pending | StepStatus::AtGate => {
                    let reason = format!("jumped to `{to}`: {reason}");
                    decision = decision.and(self.left_out(key, by, &reason));
                }
                status => {
                    return Err(format!(
                        "`{name}` is {}: wait for it before you jump over it",
                        status.word()
                    ));
                }
            }
        }
        match decision.events.is_empty() {
            true => Err(format!("nothing lies before `{to}` that has not started")),
            false => Ok(decision),
        }
    }

    /// Steps before a step: of the phases that its own needs, and of its own, in the order in which they
    /// may end.
    fn before(&self, target: u32) -> Vec<u32> {
        let own = self.plan.phase_of(target);
        let mut steps = Vec::new();
        for phase in self.needed(own) {
            let len = self.plan.runbook.phases[phase].steps.len();
            steps.extend((0..len).map(|n| self.plan.step_of(phase, n)));
        }
        let mine = (0..).map(|n| self.plan.step_of(own, n));
        steps.extend(mine.take_while(|at| *at < target));
        steps
    }

    /// Phases that a phase stands on, itself left out, those that others stand on first.
    fn needed(&self, phase: usize) -> Vec<usize> {
        let graph = &self.plan.graph;
        let mut wanted = vec![false; self.phases.len()];
        let mut open = vec![phase];
        while let Some(at) = open.pop() {
            for need in graph.needs(at) {
                if !std::mem::replace(&mut wanted[*need], true) {
                    open.push(*need);
                }
            }
        }
        let order = graph.order();
        order.into_iter().filter(|at| wanted[*at]).collect()
    }

    /// A failure is left at that, and the run goes on. Called by `apply`.
    pub(super) fn accept(&mut self, key: StepKey, at: i64) {
        let status = self.state_mut(key).status;
        if !status.failed() {
            return;
        }
        self.accepted.insert(key);
        self.reopen(key);
        if status == StepStatus::FailedDirty {
            self.settle(key, false);
        }
        self.land(key, status, at);
    }
}
