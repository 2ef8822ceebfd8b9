//! What an engine takes up: everything that was under way when the last one ended.
//!
//! Reads are done again. A change that started is in doubt, and is looked at before anything new
//! starts (reliability contract 2.5).

use super::effect::{Decision, Effect};
use super::input::InputKind;
use super::parts::{ItemState, SnapshotState, StepStatus};
use super::state::RunState;
use crate::event::{
    Cause, Failure, Outcome, Report, RollbackEvent, RunEvent, RunStatus, SnapshotEvent, StepEvent,
};
use crate::plan::StepKey;
use crate::runbook::gate::Gate;

impl RunState {
    /// That an engine begins is recorded, and what was under way is taken up.
    pub(super) fn begin(&self, begin: &InputKind, now: i64) -> Decision {
        let InputKind::Begin {
            by,
            host,
            pid,
            attended,
            guided,
        } = begin
        else {
            return Decision::none();
        };
        let started = Decision::event(RunEvent::Started {
            by: by.clone(),
            host: host.clone(),
            pid: *pid,
            attended: *attended,
            guided: *guided,
        });
        if self.status.is_active() && self.status != RunStatus::Planned {
            let goes_back = self.failure.is_some() || self.orders.cancelled;
            let mut taken_up = started;
            taken_up.append(self.watch_again(true, now));
            return self.recovered(taken_up, goes_back, now);
        }
        started
    }

    /// `decision` of an order to a run that stands still, what is watched, and what was under way.
    pub(super) fn goes_on_with(&self, mut decision: Decision, back: bool, now: i64) -> Decision {
        decision.append(self.watch_again(false, now));
        self.recovered(decision, back, now)
    }

    /// `decision`, and then what was under way. `back`: the run will go back, or does.
    pub(super) fn recovered(&self, mut decision: Decision, back: bool, now: i64) -> Decision {
        for key in self.unfinished() {
            decision.append(self.recover_step(key, back, now));
        }
        for (moment, state) in &self.snapshots {
            if matches!(state, SnapshotState::Taking) {
                let moment = *moment;
                decision.append(
                    Decision::event(SnapshotEvent::Taking { moment })
                        .with(Effect::Snapshots { moment }),
                );
            }
        }
        if let Some(rollback) = &self.rollback {
            for item in 0..rollback.states.len() {
                decision.append(self.recover_item(item, rollback.states[item], now));
            }
        }
        decision
    }

    /// `decision`, and the waits of a run that was pausing: what was due meanwhile was let pass.
    pub(super) fn reawaken(&self, mut decision: Decision, now: i64) -> Decision {
        decision.append(self.watch_again(false, now));
        for key in self.unfinished() {
            if self.step(key).status == StepStatus::Waiting {
                decision.append(self.recover_step(key, false, now));
            }
        }
        let items = self.rollback.iter().flat_map(|back| &back.states);
        for (item, state) in items.enumerate() {
            if matches!(state, ItemState::Waiting { .. }) {
                decision.append(self.recover_item(item, *state, now));
            }
        }
        decision
    }

    /// Steps and items that are neither ahead nor over, in the order of the plan.
    fn unfinished(&self) -> Vec<StepKey> {
        let mut found = Vec::new();
        let open = |status: StepStatus| {
            status.in_flight()
                || status.unknown()
                || matches!(status, StepStatus::Waiting | StepStatus::AtGate)
        };
        for (at, state) in (0_u32..).zip(&self.steps) {
            if open(state.status) {
                found.push(StepKey::of(at));
            }
            if let Some(fan) = self.fans.get(&at) {
                let items = (0_u32..).zip(&fan.states);
                let items = items.filter(|(_, state)| open(state.status));
                found.extend(items.map(|(item, _)| StepKey::item(at, item)));
            }
        }
        found
    }

    fn recover_step(&self, key: StepKey, back: bool, now: i64) -> Decision {
        let state = self.step(key);
        let (step, attempt) = (self.plan.name(key), state.attempt);
        match state.status {
            StepStatus::Running if self.plan.step(key.step).changes() => {
                Decision::event(StepEvent::InDoubt {
                    step,
                    attempt,
                    failure: lost(Outcome::Unknown),
                })
                .and(StepEvent::Examining {
                    step: self.plan.name(key),
                    attempt,
                })
                .with(Effect::Examine { key, attempt })
            }
            StepStatus::Running | StepStatus::Checking => {
                let again = Decision::event(StepEvent::Failed {
                    step,
                    attempt,
                    failure: lost(Outcome::NotApplied),
                    report: Box::<Report>::default(),
                    retry_at: Some(now),
                    tolerated: false,
                });
                match back {
                    true => again,
                    false => again.with(Effect::Wake { key, at: now }),
                }
            }
            StepStatus::Settling => Decision::none().with(Effect::Settle { key, attempt }),
            StepStatus::Waiting if !back => Decision::none().with(Effect::Wake {
                key,
                at: state.due.max(now),
            }),
            StepStatus::InDoubt | StepStatus::Asked => {
                Decision::event(StepEvent::Examining { step, attempt })
                    .with(Effect::Examine { key, attempt })
            }
            StepStatus::Examining => Decision::none().with(Effect::Examine { key, attempt }),
            StepStatus::AtGate if !back => self.recover_gate(key, now),
            _ => Decision::none(),
        }
    }

    fn recover_gate(&self, key: StepKey, now: i64) -> Decision {
        let of_step = Gate::of(self.plan.step(key.step));
        match (self.gates.get(&key), of_step) {
            (Some(gate), _) => match gate.until {
                Some(at) => Decision::none().with(Effect::Wake { key, at }),
                None => Decision::none(),
            },
            // it was closed when the run was to go back: what was said then is void
            (None, Some(gate)) => self.open_gate(key, gate, now),
            (None, None) => Decision::none(),
        }
    }

    fn recover_item(&self, item: usize, state: ItemState, now: i64) -> Decision {
        match state {
            ItemState::Running { attempt } if self.item_changes(item) => {
                Decision::event(RollbackEvent::InDoubt {
                    item,
                    attempt,
                    failure: lost(Outcome::Unknown),
                })
                .and(RollbackEvent::Examining { item, attempt })
                .with(Effect::ExamineItem { item, attempt })
            }
            ItemState::Running { attempt } => Decision::event(RollbackEvent::Failed {
                item,
                attempt,
                failure: lost(Outcome::NotApplied),
                report: Box::default(),
                retry_at: Some(now),
            })
            .with(Effect::WakeItem { item, at: now }),
            ItemState::Waiting { due, .. } => Decision::none().with(Effect::WakeItem {
                item,
                at: due.max(now),
            }),
            ItemState::InDoubt { attempt } | ItemState::Asked { attempt } => {
                Decision::event(RollbackEvent::Examining { item, attempt })
                    .with(Effect::ExamineItem { item, attempt })
            }
            ItemState::Examining { attempt } => {
                Decision::none().with(Effect::ExamineItem { item, attempt })
            }
            _ => Decision::none(),
        }
    }

    /// Steps that failed for good, due again: one that may have left something is in doubt first.
    pub(super) fn reopened(&self) -> Decision {
        let mut decision = Decision::none();
        let mut failed = Vec::new();
        for (at, state) in (0_u32..).zip(&self.steps) {
            if self.plan.step(at).tolerate {
                continue;
            }
            match self.fans.get(&at) {
                None if state.status.failed() => failed.push(StepKey::of(at)),
                Some(fan) => failed.extend(
                    (0_u32..)
                        .zip(&fan.states)
                        .filter(|(_, state)| state.status.failed())
                        .map(|(item, _)| StepKey::item(at, item)),
                ),
                None => {}
            }
        }
        // what people decided, or are asked about, is not tried again by itself
        let theirs = |key: &StepKey| {
            let asked = self.questions.iter().any(|(asked, _)| asked == key);
            asked || self.accepted.contains(key)
        };
        failed.retain(|key| !theirs(key));
        for key in failed {
            decision.append(self.due_again(key));
        }
        decision
    }

    /// A step that failed for good is due again: one that may have left something is in doubt first.
    pub(super) fn due_again(&self, key: StepKey) -> Decision {
        let (step, state) = (self.plan.name(key), self.step(key));
        let attempt = state.attempt;
        let unclear = state.status == StepStatus::FailedDirty
            && self.plan.step(key.step).changes()
            && state.started;
        match unclear {
            true => Decision::event(StepEvent::InDoubt {
                step: step.clone(),
                attempt,
                failure: Failure {
                    message: "it failed after it started, and may have left something".into(),
                    ..lost(Outcome::Unknown)
                },
            })
            .and(StepEvent::Examining { step, attempt })
            .with(Effect::Examine { key, attempt }),
            false => {
                Decision::event(StepEvent::Reopened { step }).with(Effect::Wake { key, at: 0 })
            }
        }
    }
}

fn lost(outcome: Outcome) -> Failure {
    Failure {
        cause: Cause::Lost,
        outcome,
        message: "the engine ended in the middle of it".into(),
        hint: None,
    }
}
