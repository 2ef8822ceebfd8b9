//! What follows from an input on the way forward.

use serde_json::Value;

mod ends;
mod rest;
mod start;

use super::effect::{Decision, Effect};
use super::input::{Input, InputKind};
use super::parts::{Fan, SnapshotState, StepStatus};
use super::state::RunState;
use crate::event::{
    Cause, EventKind, Failure, Outcome, Parking, Report, RunEvent, RunFailure, RunStatus,
    SkipReason, StepEvent,
};
use crate::expr::Verdict;
use crate::plan::StepKey;

impl RunState {
    /// What to record and to do. Reads only.
    pub fn decide(&self, input: &Input) -> Decision {
        match &input.kind {
            InputKind::Begin { .. } => self.begin(&input.kind, input.at),
            InputKind::Advance => self.follow(input.at),
            InputKind::Prepared {
                key,
                attempt,
                done,
                captured,
                failure,
            } if self.expects(*key, *attempt, StepStatus::Checking) => self.prepared(
                *key,
                *attempt,
                done.as_deref(),
                captured.as_ref(),
                failure.as_ref(),
                input.at,
            ),
            InputKind::Reported {
                key,
                attempt,
                report,
                failure,
            } if self.expects(*key, *attempt, StepStatus::Running)
                || self.expects(*key, *attempt, StepStatus::Settling) =>
            {
                self.reported(*key, *attempt, report, failure.as_ref(), input.at)
            }
            InputKind::Due { key }
                if self.step(*key).status == StepStatus::Waiting && self.is_open() =>
            {
                self.due(*key, input.at)
            }
            InputKind::Due { key }
                if self.step(*key).status == StepStatus::AtGate && self.is_open() =>
            {
                self.gate_due(*key, input.at)
            }
            InputKind::GuardLooked { .. } | InputKind::Watched { .. } => self.looked(input),
            InputKind::Diagnosed { key, looks } => Decision::event(StepEvent::Diagnosed {
                step: self.plan.name(*key),
                looks: looks.clone(),
            }),
            InputKind::Snapshots { moment, taken } => self.snapshots_taken(*moment, taken),
            InputKind::Examined {
                key,
                attempt,
                done,
                failure,
            } if self.expects(*key, *attempt, StepStatus::Examining) => {
                self.examined(*key, *attempt, done.as_deref(), failure.as_ref(), input.at)
            }
            InputKind::Order { by, order, reason } => {
                self.ordered(by, order, reason.as_deref(), input.at)
            }
            // a signal to a run that is being paused is not lost: it does not wait for an order then
            InputKind::Stop { reason }
                if matches!(self.stopping, None | Some(Parking::Paused | Parking::Held))
                    && !self.status.is_over() =>
            {
                Decision::event(RunEvent::Stopping { reason: *reason }).with(Effect::StopReading)
            }
            InputKind::ItemReported { .. }
            | InputKind::ItemDue { .. }
            | InputKind::ItemExamined { .. } => self.decide_back(input),
            // late or repeated: what it reports is settled already
            _ => Decision::none(),
        }
    }

    fn looked(&self, input: &Input) -> Decision {
        match &input.kind {
            InputKind::GuardLooked {
                guard,
                round,
                sample,
                tally,
            } => self.guard_looked(*guard, *round, sample, tally, input.at),
            InputKind::Watched { key, attempt, said }
                if self.expects(*key, *attempt, StepStatus::Running) =>
            {
                self.step_watched(*key, *attempt, said, input.at)
            }
            _ => Decision::none(),
        }
    }

    /// Decides and applies, and leaves what follows for later.
    pub fn take(&mut self, input: &Input) -> Decision {
        let decision = self.decide(input);
        for event in &decision.events {
            self.apply(event, input.at);
        }
        decision
    }

    /// Decides, applies, and goes on until nothing more follows. The events of the whole are one
    /// commit; the caller must not show the state to anybody before it succeeded.
    pub fn advance(&mut self, input: &Input) -> Decision {
        let mut all = self.take(input);
        let follow = Input {
            at: input.at,
            kind: InputKind::Advance,
        };
        loop {
            let next = self.take(&follow);
            if next.events.is_empty() {
                return all;
            }
            all.append(next);
        }
    }

    fn expects(&self, key: StepKey, attempt: u32, status: StepStatus) -> bool {
        let state = self.step(key);
        state.status == status && state.attempt == attempt
    }

    /// Whether the way forward is open, though something may have to be settled first.
    fn is_open(&self) -> bool {
        self.status == RunStatus::Running
            && self.failure.is_none()
            && self.stopping.is_none()
            && !self.orders.aborting
    }

    /// Whether new steps may start.
    fn goes_on(&self) -> bool {
        self.is_open() && !self.held_by_doubt()
    }

    /// The next attempt of a step that waited for it.
    fn due(&self, key: StepKey, now: i64) -> Decision {
        let again = Decision::none().with(Effect::Wake { key, at: now + 100 });
        if self.in_flight >= self.room() || self.held_by_doubt() {
            // its place is taken, or something has to be settled first: it looks again soon
            return again;
        }
        let state = self.step(key);
        if state.attempt == 0 && key.item.is_none() {
            // it failed before it could start: what stood in its way is judged again
            let started = self.start_step(key, self.plan.phase_of(key.step), now);
            return match started {
                Some(mut decision) if !decision.events.is_empty() => {
                    if self.still_waits(key, &decision) {
                        decision.append(again);
                    }
                    decision
                }
                _ => again,
            };
        }
        self.begin_attempt(key, state.attempt + 1, now)
    }

    /// Whether something else has to come before the step: snapshots, or a question.
    fn still_waits(&self, key: StepKey, decision: &Decision) -> bool {
        let name = self.plan.name(key);
        !decision.events.iter().any(|event| match event {
            EventKind::Step(StepEvent::Asked { .. }) => false,
            EventKind::Step(event) => event.step() == Some(&name),
            _ => false,
        })
    }

    /// What follows from the state as it is: one thing at a time. Guards come last, so that one over two
    /// phases sees no end between them.
    fn follow(&self, now: i64) -> Decision {
        let next = self.goes_on_to(now);
        match next.events.is_empty() && next.effects.is_empty() {
            true => self.tend_guards(now).unwrap_or(next),
            false => next,
        }
    }

    fn goes_on_to(&self, now: i64) -> Decision {
        match self.status {
            RunStatus::Running if self.goes_on() => self
                .turn_back()
                .or_else(|| self.start_something(now))
                .unwrap_or_else(|| self.end_well(now)),
            RunStatus::Running | RunStatus::Cancelling if self.in_flight == 0 && !self.taking() => {
                self.halt()
            }
            RunStatus::RollingBack => self.follow_back(now),
            _ => Decision::none(),
        }
    }

    /// Whether snapshots are being taken.
    pub(super) fn taking(&self) -> bool {
        let taking = |state: &SnapshotState| matches!(state, SnapshotState::Taking);
        self.snapshots.values().any(taking)
    }

    fn prepared(
        &self,
        key: StepKey,
        attempt: u32,
        done: Option<&[crate::expr::Evidence]>,
        captured: Option<&Value>,
        failure: Option<&Failure>,
        now: i64,
    ) -> Decision {
        if let Some(failure) = failure {
            return self.attempt_failed(key, attempt, failure, &Report::default(), now);
        }
        let step = self.plan.name(key);
        match done {
            Some(evidence)
                if evidence
                    .iter()
                    .all(|evidence| evidence.verdict == Verdict::Pass) =>
            {
                let reason = SkipReason::AlreadyDone(evidence.to_vec());
                return Decision::event(StepEvent::Skipped { step, reason });
            }
            _ => {}
        }
        if !self.goes_on() {
            // it was read, and is not started now: the run may go on with it later
            let mut failure = Failure {
                cause: Cause::Stopped,
                outcome: Outcome::NotApplied,
                message: "the run is stopping".into(),
                hint: None,
            };
            if !self.is_open() {
                return self.attempt_failed(key, attempt, &failure, &Report::default(), now);
            }
            failure.message = "another step is in doubt, and is settled first".into();
            return Decision::event(StepEvent::Failed {
                step,
                attempt,
                failure,
                report: Box::default(),
                retry_at: Some(now),
                tolerated: false,
            })
            .with(Effect::Wake { key, at: now });
        }
        self.launch(key, attempt, captured.cloned(), now)
    }

    /// A step that cannot start; nothing of it happened.
    fn failed_before_start(&self, key: StepKey, failure: &Failure, now: i64) -> Decision {
        let failed = StepEvent::Failed {
            step: self.plan.name(key),
            attempt: 1,
            failure: failure.clone(),
            report: Box::default(),
            retry_at: None,
            tolerated: false,
        };
        let asked = self.ask_what_now(key, failure);
        if let Some(asked) = asked.or_else(|| self.hold_and_ask(key, failure, now)) {
            let mut decision = Decision::event(failed);
            decision.append(asked);
            return decision;
        }
        let phase = self.plan.phase_of(key.step);
        Decision::event(failed)
            .and(RunEvent::Failed(self.run_failure(
                Some(key),
                phase,
                failure,
            )))
            .with(Effect::StopReading)
    }

    fn broken_when(
        &self,
        key: Option<StepKey>,
        phase: usize,
        evidence: &crate::expr::Evidence,
        now: i64,
    ) -> Decision {
        let reason = evidence.reason.clone().unwrap_or_default();
        let failure = invalid(format!(
            "`when: {}` has no answer: {reason}",
            evidence.expression
        ));
        match key {
            Some(key) => self.failed_before_start(key, &failure, now),
            None => Decision::event(RunEvent::Failed(self.run_failure(None, phase, &failure)))
                .with(Effect::StopReading),
        }
    }

    pub(in crate::run) fn run_failure(
        &self,
        key: Option<StepKey>,
        phase: usize,
        failure: &Failure,
    ) -> RunFailure {
        RunFailure {
            step: key.map(|key| self.plan.name(key)),
            phase: Some(self.plan.runbook.phases[phase].name.value.clone()),
            failure: failure.clone(),
        }
    }
}

impl Fan {
    pub(super) fn all_over(&self) -> bool {
        self.running == 0 && (self.over == self.items.len() || self.failed)
    }
}

fn invalid(message: String) -> Failure {
    Failure {
        cause: Cause::Invalid,
        outcome: Outcome::NotApplied,
        message,
        hint: None,
    }
}
