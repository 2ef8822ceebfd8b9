//! What an event makes of the state: total, and the only place that changes it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::parts::{Fan, Settled, StepState, StepStatus};
use super::state::RunState;
use crate::event::{Cause, EventKind, Outcome, Report, StepEvent};
use crate::expr::Expr;
use crate::plan::StepKey;
use crate::runbook::is_hidden;
use crate::runbook::model::Items;

impl RunState {
    /// Takes an event in; `at` is its time in milliseconds since the Unix epoch. An event that names
    /// what the plan does not have is taken as not said.
    pub fn apply(&mut self, event: &EventKind, at: i64) {
        if !matches!(event, EventKind::Check(_) | EventKind::Operator(_)) {
            self.moved += 1;
        }
        match event {
            EventKind::Run(event) => self.apply_run(event, at),
            EventKind::Step(event) => self.apply_step(event, at),
            EventKind::Snapshot(event) => self.apply_snapshot(event),
            EventKind::Rollback(event) => self.apply_rollback(event, at),
            EventKind::Check(event) => self.apply_check(event, at),
            EventKind::Operator(event) => self.apply_operator(event),
        }
        if !matches!(event, EventKind::Operator(_)) {
            // people may order what no engine is there to take
            self.known_until = self.known_until.max(at);
        }
    }

    fn apply_step(&mut self, event: &StepEvent, at: i64) {
        let plan = Arc::clone(&self.plan);
        let key = |name: &str| plan.key(name);
        match event {
            StepEvent::PhaseSkipped { phase, .. } => {
                if let Some(phase) = plan.runbook.phase_index(phase) {
                    self.skip_phase(phase, at);
                }
            }
            StepEvent::Expanded { step, items } => {
                if let Some(key) = key(step) {
                    self.expanded(key, items, at);
                }
            }
            StepEvent::Checking { step, attempt } => {
                if let Some(key) = key(step) {
                    self.take_off(key, *attempt, StepStatus::Checking, at);
                }
            }
            StepEvent::Started {
                step,
                attempt,
                captured,
            } => {
                if let Some(key) = key(step) {
                    self.take_off(key, *attempt, StepStatus::Running, at);
                    self.state_mut(key).started = true;
                    self.state_mut(key).unmet = false;
                    if plan.step(key.step).point_of_no_return {
                        // by its intent: whether it took effect may never be known
                        self.cross(key);
                    }
                    if let Some(captured) = captured {
                        self.captured.insert(key, captured.clone());
                    }
                }
            }
            StepEvent::Acted { .. }
            | StepEvent::Finished { .. }
            | StepEvent::Skipped { .. }
            | StepEvent::Failed { .. } => self.apply_end(event, at),
            StepEvent::InDoubt { .. }
            | StepEvent::Examining { .. }
            | StepEvent::Asked { .. }
            | StepEvent::Resolved { .. }
            | StepEvent::Approved { .. }
            | StepEvent::Accepted { .. }
            | StepEvent::Diagnosed { .. }
            | StepEvent::Reopened { .. } => self.apply_doubt(event, at),
        }
    }

    /// The list of a `for_each` is known.
    fn expanded(&mut self, key: StepKey, items: &[Value], at: i64) {
        let plan = Arc::clone(&self.plan);
        self.leave_pending(key, at);
        self.leave_wait(key);
        self.steps[key.step as usize].status = StepStatus::Fanned;
        let states = vec![StepState::default(); items.len()];
        // those that are written out are in the plan, also where the journal hides them
        let listed = plan.step(key.step).for_each.as_ref();
        let items = match listed.map(|for_each| &for_each.items) {
            Some(Items::Listed(listed)) if listed.len() == items.len() => listed.clone(),
            Some(Items::Computed(expr)) if hidden(items) => self.computed(expr, items, at),
            _ => items.to_vec(),
        };
        self.fans.insert(
            key.step,
            Fan {
                items,
                states,
                ..Fan::default()
            },
        );
        let phase = plan.phase_of(key.step);
        self.phases[phase].fans.push(key.step);
        self.offer(phase);
    }

    /// The items of a list that the journal hides something of, computed again from what it was
    /// computed from; as the journal has them where that gives another list.
    fn computed(&self, expr: &Expr, kept: &[Value], at: i64) -> Vec<Value> {
        match expr.value(&self.scope_for(expr, at)) {
            Ok(Value::Array(items)) if items.len() == kept.len() => items,
            _ => kept.to_vec(),
        }
    }

    /// The ends of attempts and steps.
    fn apply_end(&mut self, event: &StepEvent, at: i64) {
        let plan = Arc::clone(&self.plan);
        let key = |name: &str| plan.key(name);
        match event {
            StepEvent::Acted { step, report, .. } => {
                if let Some(key) = key(step) {
                    self.unask(key);
                    if !self.state_mut(key).status.in_flight() {
                        self.in_flight += 1;
                    }
                    let state = self.state_mut(key);
                    state.status = StepStatus::Settling;
                    state.took_ms += report.took_ms;
                    self.keep(key, step, report, at);
                }
            }
            StepEvent::Finished { step, report, .. } => {
                if let Some(key) = key(step) {
                    self.unask(key);
                    let acted = self.state_mut(key).status == StepStatus::Settling;
                    self.state_mut(key).took_ms += report.took_ms;
                    // what was waited for returns nothing: the result is the one of the action
                    if !acted {
                        self.keep(key, step, report, at);
                    }
                    self.settle(key, true);
                    self.land(key, StepStatus::Done, at);
                }
            }
            StepEvent::Skipped { step, .. } => {
                if let Some(key) = key(step) {
                    self.unask(key);
                    self.leave_pending(key, at);
                    if self.state_mut(key).dirty {
                        // an earlier attempt did it, whatever that attempt said
                        self.settle(key, true);
                    } else {
                        self.uncross(key);
                    }
                    self.land(key, StepStatus::Skipped, at);
                }
            }
            StepEvent::Failed {
                step,
                failure,
                retry_at,
                tolerated,
                report,
                ..
            } => {
                if let Some(key) = key(step) {
                    self.unask(key);
                    if retry_at.is_none() {
                        self.failed_with.insert(key, failure.clone());
                    }
                    self.leave_pending(key, at);
                    self.state_mut(key).took_ms = report.took_ms;
                    self.doubts.remove(&key);
                    if failure.cause == Cause::Lost
                        || (retry_at.is_some() && failure.cause == Cause::Stopped)
                    {
                        // it had no failure of its own
                        self.state_mut(key).forgiven += 1;
                    }
                    self.state_mut(key).unmet = failure.outcome == Outcome::Applied;
                    self.failed(key, failure.outcome, *retry_at, *tolerated, at);
                }
            }
            _ => {}
        }
    }

    fn failed(
        &mut self,
        key: StepKey,
        outcome: Outcome,
        again: Option<i64>,
        tolerated: bool,
        at: i64,
    ) {
        let dirty = outcome != Outcome::NotApplied || self.state_mut(key).dirty;
        self.state_mut(key).dirty = dirty;
        if !dirty {
            self.uncross(key);
        }
        if let Some(due) = again {
            self.wait(key, due);
            return;
        }
        if dirty {
            self.settle(key, false);
        }
        if let (Some(_), false, Some(fan)) = (key.item, tolerated, self.fans.get_mut(&key.step)) {
            fan.failed = true;
        }
        self.land(
            key,
            if dirty {
                StepStatus::FailedDirty
            } else {
                StepStatus::FailedClean
            },
            at,
        );
    }

    /// Notes that a step changed the world; once, in the order of the ends.
    pub(super) fn settle(&mut self, key: StepKey, done: bool) {
        if self.plan.step(key.step).changes() {
            self.settled.push(Settled { key, done });
        }
    }

    fn keep(&mut self, key: StepKey, name: &str, report: &Report, at: i64) {
        if self.plan.keeps_result(key.step) {
            let kept =
                json!({ "result": report.result, "outputs": report.outputs, "ended_at": at });
            self.results.insert(name.to_owned(), Arc::new(kept));
        }
    }

    pub(super) fn state_mut(&mut self, key: StepKey) -> &mut StepState {
        let item = key
            .item
            .and_then(|item| self.fans.get_mut(&key.step)?.states.get_mut(item as usize));
        match item {
            Some(state) => state,
            None => &mut self.steps[key.step as usize],
        }
    }

    /// A step of its phase is no longer ahead.
    pub(super) fn leave_pending(&mut self, key: StepKey, at: i64) {
        let state = *self.state_mut(key);
        if state.status != StepStatus::Pending {
            return;
        }
        let phase = self.plan.phase_of(key.step);
        match key.item {
            None => {
                self.phases[phase].next += 1;
                self.phases[phase].running += 1;
            }
            Some(_) => {
                if let Some(fan) = self.fans.get_mut(&key.step) {
                    fan.next += 1;
                    fan.running += 1;
                }
            }
        }
        self.phases[phase].started_at.get_or_insert(at);
        self.offer(phase);
    }

    /// A step starts to be carried out, from nothing, from a check or from a wait.
    fn take_off(&mut self, key: StepKey, attempt: u32, status: StepStatus, at: i64) {
        self.leave_pending(key, at);
        self.leave_wait(key);
        let before = self.state_mut(key).status;
        if !before.in_flight() {
            self.in_flight += 1;
        }
        let state = self.state_mut(key);
        state.status = status;
        state.attempt = attempt;
        state.took_ms = 0;
    }

    /// It is tried again later.
    pub(super) fn wait(&mut self, key: StepKey, due: i64) {
        self.leave_wait(key);
        if self.state_mut(key).status.in_flight() {
            self.in_flight -= 1;
        }
        self.waiting += 1;
        let state = self.state_mut(key);
        state.status = StepStatus::Waiting;
        state.due = due;
    }

    /// It waits no longer, whatever comes next.
    pub(super) fn leave_wait(&mut self, key: StepKey) {
        let state = self.state_mut(key);
        if state.status == StepStatus::Waiting {
            state.status = StepStatus::Pending;
            self.waiting -= 1;
        }
    }

    /// A step, or an item, is over. The phase of one that failed for good is not: it may be due
    /// again when somebody goes on with the run.
    pub(super) fn land(&mut self, key: StepKey, status: StepStatus, at: i64) {
        self.leave_wait(key);
        if self.state_mut(key).status.in_flight() {
            self.in_flight -= 1;
        }
        self.state_mut(key).status = status;
        self.state_mut(key).ended_at = at;
        let phase = self.plan.phase_of(key.step);
        let minor = self.plan.step(key.step).tolerate || self.accepted.contains(&key);
        let mut broken = status.failed() && !minor;
        if key.item.is_some() {
            let Some(fan) = self.fans.get_mut(&key.step) else {
                return;
            };
            fan.running -= 1;
            fan.over += 1;
            if !fan.all_over() {
                self.offer(phase);
                return;
            }
            let failed = fan.failed;
            // as old as its oldest item
            let oldest = fan.states.iter().map(|state| state.ended_at).min();
            self.steps[key.step as usize].ended_at = oldest.unwrap_or(at);
            self.phases[phase].fans.retain(|fan| *fan != key.step);
            broken = failed;
            self.steps[key.step as usize].status = if failed {
                StepStatus::FailedDirty
            } else {
                StepStatus::Done
            };
        }
        self.phases[phase].running -= 1;
        if broken {
            self.offer(phase);
            return;
        }
        self.phases[phase].left -= 1;
        self.offer(phase);
        if self.phases[phase].left == 0 {
            self.end_phase(phase, at);
        }
    }
}

fn hidden(items: &[Value]) -> bool {
    items.iter().any(is_hidden)
}
