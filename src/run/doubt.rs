//! What events of doubt, of the way back and of people make of the state. Called by `apply` alone.

use std::sync::Arc;

use super::parts::{ItemState, RollbackState, StepState, StepStatus};
use super::state::{Line, RunState};
use crate::event::{
    Answer, How, Moment, OperatorEvent, Order, Parking, Part, Question, Resolution, RollbackEvent,
    RunStatus, StepEvent,
};
use crate::plan::StepKey;

impl RunState {
    pub(super) fn apply_doubt(&mut self, event: &StepEvent, at: i64) {
        let plan = Arc::clone(&self.plan);
        let Some(key) = event.step().and_then(|step| plan.key(step)) else {
            return;
        };
        match event {
            StepEvent::InDoubt { failure, .. } => {
                self.unask(key);
                self.reopen(key);
                self.doubts.insert(key, failure.clone());
                self.set_unknown(key, StepStatus::InDoubt);
                self.state_mut(key).dirty = true;
            }
            StepEvent::Examining { attempt, .. } => {
                self.questions.retain(|(asked, _)| *asked != key);
                self.set_unknown(key, StepStatus::Examining);
                self.state_mut(key).attempt = *attempt;
            }
            StepEvent::Asked {
                question, nonce, ..
            } => {
                self.questions.retain(|(asked, _)| *asked != key);
                self.questions.push((key, *question));
                match question {
                    Question::InDoubt => self.set_unknown(key, StepStatus::Asked),
                    Question::Manual | Question::Approval => self.at_gate(key, nonce, at),
                    Question::PointOfNoReturn
                    | Question::Start
                    | Question::Failure
                    | Question::Held => {}
                }
            }
            StepEvent::Accepted { .. } => {
                self.unask(key);
                self.accept(key, at);
            }
            StepEvent::Resolved { to, how, .. } => {
                if (to, matches!(how, How::Probe { .. })) == (&Resolution::Again, true) {
                    // its probe says that it did not take effect
                    self.uncross(key);
                }
                self.resolved(key, *to, at);
            }
            StepEvent::Approved { .. } => {
                self.questions.retain(|(asked, _)| *asked != key);
                self.approved.insert(key);
            }
            StepEvent::Reopened { .. } => {
                self.unask(key);
                self.reopen(key);
                let state = self.state_mut(key);
                state.forgiven = state.attempt;
                self.wait(key, at);
            }
            _ => {}
        }
    }

    /// Nobody knows what became of an attempt.
    fn set_unknown(&mut self, key: StepKey, status: StepStatus) {
        self.leave_wait(key);
        let before = self.state_mut(key).status.in_flight();
        match (before, status.in_flight()) {
            (true, false) => self.in_flight -= 1,
            (false, true) => self.in_flight += 1,
            _ => {}
        }
        self.state_mut(key).status = status;
    }

    fn resolved(&mut self, key: StepKey, to: Resolution, at: i64) {
        self.questions.retain(|(asked, _)| *asked != key);
        self.doubts.remove(&key);
        let goes_back = self.failure.is_some();
        let state = self.state_mut(key);
        state.forgiven = state.attempt;
        match to {
            Resolution::Done => {
                self.settle(key, true);
                self.land(key, StepStatus::Done, at);
            }
            Resolution::NotDone => {
                self.state_mut(key).dirty = false;
                self.uncross(key);
                match goes_back {
                    true => self.break_off(key, StepStatus::FailedClean, at),
                    false => self.wait(key, at),
                }
            }
            Resolution::Again if !goes_back => self.wait(key, at),
            Resolution::Again | Resolution::Failed => {
                self.settle(key, false);
                self.break_off(key, StepStatus::FailedDirty, at);
            }
        }
    }

    fn break_off(&mut self, key: StepKey, status: StepStatus, at: i64) {
        let tolerated = self.plan.step(key.step).tolerate;
        if let (Some(_), false, Some(fan)) = (key.item, tolerated, self.fans.get_mut(&key.step)) {
            fan.failed = true;
        }
        self.land(key, status, at);
    }

    /// An attempt crosses the point of no return.
    pub(super) fn cross(&mut self, key: StepKey) {
        let behind = self.settled.len();
        if !self.lines.iter().any(|line| line.key == key) {
            self.lines.push(Line { key, behind });
        }
    }

    /// An attempt that crossed the point of no return is proven not to have taken effect.
    pub(super) fn uncross(&mut self, key: StepKey) {
        self.lines.retain(|line| line.key != key);
    }

    /// Takes back that a step failed for good: it is ahead again.
    pub(super) fn reopen(&mut self, key: StepKey) {
        if !self.state_mut(key).status.failed() {
            return;
        }
        self.settled.retain(|settled| settled.key != key);
        let phase = self.plan.phase_of(key.step);
        if key.item.is_some() {
            let accepted = &self.accepted;
            if let Some(fan) = self.fans.get_mut(&key.step) {
                let was_over = fan.all_over();
                // others of it may have failed, and nobody has settled them
                let open = |(item, state): (u32, &StepState)| {
                    let other = StepKey::item(key.step, item);
                    state.status.failed() && other != key && !accepted.contains(&other)
                };
                fan.failed = (0_u32..).zip(&fan.states).any(open);
                fan.over -= 1;
                fan.running += 1;
                if was_over {
                    self.steps[key.step as usize].status = StepStatus::Fanned;
                    self.phases[phase].fans.push(key.step);
                    self.phases[phase].running += 1;
                }
            }
        } else {
            self.phases[phase].running += 1;
        }
        self.state_mut(key).status = StepStatus::Pending;
        // what is ahead was counted when it left for the first time, and is not counted again
        self.offer(phase);
    }

    pub(super) fn apply_operator(&mut self, event: &OperatorEvent) {
        let OperatorEvent::Ordered { by, order, .. } = event else {
            return;
        };
        match order {
            Order::Resume => self.go_on(),
            Order::Cancel { no_rollback } => {
                self.orders.cancelled = true;
                self.orders.keep = *no_rollback;
                self.unpause();
                self.status = RunStatus::Cancelling;
                self.questions.clear();
                self.gates.clear();
            }
            Order::Approve { step, vote } => self.vote(step, by, vote),
            Order::Guide { phase: None, on } => {
                self.guide.on = *on;
                self.guide.quiet.clear();
            }
            Order::Guide {
                phase: Some(phase),
                on,
            } => {
                if let Some(at) = self.plan.runbook.phase_index(phase) {
                    self.guide.quiet.retain(|quiet| *quiet != at);
                    if !on {
                        self.guide.quiet.push(at);
                    }
                }
            }
            Order::Abort => self.orders.aborting = true,
            Order::Rollback => {
                self.orders.back = true;
                self.unpause();
                // what was read after the way back so far is not how it ends
                self.snapshots.remove(&Moment::Restored);
                self.status = match self.rollback {
                    Some(_) => RunStatus::RollingBack,
                    None => RunStatus::Running,
                };
            }
            Order::Answer {
                answer: Answer::Rollback,
                ..
            } => self.orders.back = true,
            // one that stands still is over with the answer
            Order::Answer {
                answer: Answer::Abort,
                ..
            } => self.orders.aborting = !self.status.is_parked(),
            _ => {}
        }
    }

    /// An order ends a pause; a signal to leave stands, and the run goes on with the order later.
    fn unpause(&mut self) {
        if self.status.is_parked() || matches!(self.stopping, Some(Parking::Paused | Parking::Held))
        {
            self.stopping = None;
        }
    }

    fn go_on(&mut self) {
        self.stopping = None;
        if !self.status.is_parked() {
            return;
        }
        // what stopped it is tried again
        let of_snapshots =
            |failure: &crate::event::RunFailure| failure.step.is_none() && failure.phase.is_none();
        if self.rollback.is_none() && !self.goes_back_again() {
            self.orders.cancelled = false;
            self.orders.keep = false;
            // what is from before the first change is read again only while there was none
            let untouched = self.changed().is_empty();
            if untouched && self.failure.as_ref().is_some_and(of_snapshots) {
                self.snapshots.remove(&Moment::Before);
                self.snapshots.remove(&Moment::Baseline);
            }
            self.failure = None;
            self.failed_at = None;
        }
        self.status = match (&self.rollback, self.orders.cancelled) {
            (Some(_), _) => RunStatus::RollingBack,
            (None, true) => RunStatus::Cancelling,
            (None, false) => RunStatus::Running,
        };
    }

    pub(super) fn apply_rollback(&mut self, event: &RollbackEvent, at: i64) {
        if let RollbackEvent::Planned {
            items, not_undone, ..
        } = event
        {
            self.status = RunStatus::RollingBack;
            self.questions.clear();
            self.gates.clear();
            self.rollback = Some(RollbackState {
                items: items.clone(),
                not_undone: not_undone.clone(),
                states: vec![ItemState::Pending; items.len()],
                next: 0,
                part: None,
            });
            return;
        }
        let Some(rollback) = &mut self.rollback else {
            return;
        };
        if let RollbackEvent::Started { item, .. } = event
            && let Some(item) = rollback.items.get(*item)
        {
            let part = item.part.min(Part::Last);
            if rollback.part.is_none_or(|(now, _)| now != part) {
                rollback.part = Some((part, at));
            }
        }
        let Some(slot) = event.item().and_then(|item| rollback.states.get_mut(item)) else {
            return;
        };
        if let Some(state) = item_state(event, *slot, at) {
            *slot = state;
        }
        // what is open again is waited for before anything that it stands on
        if let RollbackEvent::Reopened { item }
        | RollbackEvent::Examining { item, .. }
        | RollbackEvent::Resolved { item, .. } = event
        {
            rollback.next = rollback.next.min(*item);
        }
        while rollback
            .states
            .get(rollback.next)
            .is_some_and(|state| state.is_over())
        {
            rollback.next += 1;
        }
    }
}

/// Where an event puts its item, which was in state `before`.
fn item_state(event: &RollbackEvent, before: ItemState, at: i64) -> Option<ItemState> {
    Some(match event {
        RollbackEvent::Planned { .. } => return None,
        RollbackEvent::Started { attempt, .. } => ItemState::Running { attempt: *attempt },
        RollbackEvent::Finished { .. } => ItemState::Done,
        RollbackEvent::Failed { retry_at: None, .. } => ItemState::Failed,
        RollbackEvent::Failed {
            attempt,
            retry_at: Some(due),
            ..
        } => ItemState::Waiting {
            attempt: *attempt,
            due: *due,
        },
        RollbackEvent::Skipped { held: true, .. } => ItemState::Held,
        RollbackEvent::Skipped { .. } => ItemState::Skipped,
        RollbackEvent::InDoubt { attempt, .. } => ItemState::InDoubt { attempt: *attempt },
        RollbackEvent::Examining { attempt, .. } => ItemState::Examining { attempt: *attempt },
        RollbackEvent::Asked { .. } => match before {
            ItemState::Examining { attempt } => ItemState::Asked { attempt },
            _ => return None,
        },
        RollbackEvent::Resolved { attempt, to, .. } => match to {
            Resolution::Done => ItemState::Done,
            Resolution::NotDone | Resolution::Again => ItemState::Waiting {
                attempt: *attempt,
                due: at,
            },
            Resolution::Failed => ItemState::Failed,
        },
        RollbackEvent::Waived { .. } => ItemState::Waived,
        RollbackEvent::Reopened { .. } => ItemState::Pending,
    })
}
