//! What starts next, and what must be known before it may.

use serde_json::Value;

use super::super::effect::{Decision, Effect};
use super::super::parts::{SnapshotState, StepStatus};
use super::super::state::RunState;
use super::invalid;
use crate::event::{
    Cause, Failure, Moment, Outcome, RunEvent, SkipReason, SnapshotEvent, StepEvent,
};
use crate::expr::Verdict;
use crate::plan::StepKey;
use crate::runbook::gate::Gate;
use crate::runbook::model::{Items, Step, Undo};
use crate::runbook::watch::{Guard, asks};

impl RunState {
    /// In a drill: once the step is over and well, the way back begins as after a failure.
    pub(super) fn turn_back(&self) -> Option<Decision> {
        let at = self.plan.find(self.options.until.as_deref()?)?;
        let key = StepKey::of(at);
        let over = matches!(
            self.step(key).status,
            StepStatus::Done | StepStatus::Skipped
        );
        let failure = Failure {
            cause: Cause::Stopped,
            outcome: Outcome::NotApplied,
            message: "the drill turns back here".into(),
            hint: None,
        };
        let failed = self.run_failure(Some(key), self.plan.phase_of(at), &failure);
        over.then(|| Decision::event(RunEvent::Failed(failed)).with(Effect::StopReading))
    }

    /// The first phase that can start something, if there is room.
    pub(super) fn start_something(&self, now: i64) -> Option<Decision> {
        if self.in_flight >= self.room() {
            return None;
        }
        self.startable
            .iter()
            .find_map(|phase| self.start_in(*phase, now))
    }

    pub(super) fn start_in(&self, phase: usize, now: i64) -> Option<Decision> {
        let state = &self.phases[phase];
        let def = &self.plan.runbook.phases[phase];
        if let (Some(when), None) = (&def.when, state.started_at) {
            let evidence = when.judge(&self.scope_for(when, now));
            match evidence.verdict {
                Verdict::Pass => {}
                Verdict::Fail => {
                    let phase = def.name.value.clone();
                    return Some(Decision::event(StepEvent::PhaseSkipped { phase, evidence }));
                }
                Verdict::Inconclusive | Verdict::Error => {
                    return Some(self.broken_when(None, phase, &evidence, now));
                }
            }
        }
        // a fan that has room comes before the next step
        if let Some(decision) = self.start_item(phase, now) {
            return Some(decision);
        }
        if state.next >= def.steps.len() || state.running >= def.parallel {
            return None;
        }
        let key = StepKey::of(self.plan.step_of(phase, state.next));
        self.start_step(key, phase, now)
    }

    /// The next item of a fan of this phase.
    fn start_item(&self, phase: usize, now: i64) -> Option<Decision> {
        self.phases[phase].fans.iter().find_map(|at| {
            let (fan, step) = (self.fans.get(at)?, self.plan.step(*at));
            let parallel = step
                .for_each
                .as_ref()
                .map_or(1, |for_each| for_each.parallel);
            let open = fan.next < fan.items.len() && fan.running < parallel && !fan.failed;
            let key = StepKey::item(*at, u32::try_from(fan.next).ok()?);
            (open && !self.held_by_snapshots(step)).then(|| self.begin_attempt(key, 1, now))
        })
    }

    pub(super) fn start_step(&self, key: StepKey, phase: usize, now: i64) -> Option<Decision> {
        let step = self.plan.step(key.step);
        if let Some(when) = &step.when {
            let evidence = when.judge(&self.scope_for(when, now));
            match evidence.verdict {
                Verdict::Pass => {}
                Verdict::Fail => {
                    let reason = SkipReason::When(evidence);
                    return Some(Decision::event(StepEvent::Skipped {
                        step: self.plan.name(key),
                        reason,
                    }));
                }
                Verdict::Inconclusive | Verdict::Error => {
                    return Some(self.broken_when(Some(key), phase, &evidence, now));
                }
            }
        }
        if step.changes()
            && let Some(first) = self.read_first()
        {
            return first;
        }
        if let Some(failure) = self.missing_backup(step, now) {
            return Some(self.failed_before_start(key, &failure, now));
        }
        if let Some(gate) = self.gate(key).or_else(|| self.ask_to_start(key)) {
            return Some(gate);
        }
        if step.for_each.is_some() {
            return Some(self.expand(key, step, now));
        }
        Some(self.begin_attempt(key, 1, now))
    }

    /// What has to be read before the first change and is not yet; `Some(None)`: it is being read.
    fn read_first(&self) -> Option<Option<Decision>> {
        let plan = &self.plan;
        let wanted = [
            (Moment::Before, !plan.runbook.snapshots.is_empty()),
            (Moment::Baseline, !plan.baselines.is_empty()),
        ];
        let mut sets = wanted.into_iter().filter(|(_, wanted)| *wanted);
        sets.find_map(|(moment, _)| self.read_set(moment))
    }

    /// What a guard compares with and is not read yet; `Some(None)`: it is being read.
    pub(in crate::run) fn reads_before(&self, guard: &Guard) -> Option<Option<Decision>> {
        let asks = |root: &str| asks(guard.criteria.exprs().chain(&guard.unless), root);
        let wanted = [
            (
                Moment::Before,
                asks("snapshots") && !self.plan.runbook.snapshots.is_empty(),
            ),
            (Moment::Baseline, asks("baseline")),
        ];
        let mut wanted = wanted.into_iter().filter(|(_, wanted)| *wanted);
        wanted.find_map(|(moment, _)| self.read_set(moment))
    }

    /// The reading of a set; `None`: it is there.
    fn read_set(&self, moment: Moment) -> Option<Option<Decision>> {
        match self.snapshots.get(&moment) {
            None => {
                let event = SnapshotEvent::Taking { moment };
                let reading = Decision::event(event).with(Effect::Snapshots { moment });
                Some(Some(reading))
            }
            Some(SnapshotState::Taking) => Some(None),
            Some(SnapshotState::Taken(_)) => None,
        }
    }

    fn held_by_snapshots(&self, step: &Step) -> bool {
        let taking = |moment| matches!(self.snapshots.get(&moment), Some(SnapshotState::Taking));
        step.changes() && (taking(Moment::Before) || taking(Moment::Baseline))
    }

    /// The intent of an attempt, or what has to be read before it.
    pub(super) fn begin_attempt(&self, key: StepKey, attempt: u32, now: i64) -> Decision {
        let step = self.plan.step(key.step);
        let name = self.plan.name(key);
        // after a check that failed nothing was read yet: it is still to be read
        let unread = !self.step(key).started && matches!(step.undo, Undo::Auto(_));
        // that its effect is there is known after such a failure, and is not what was missing
        let asks = step.done_when.is_some() && !self.step(key).unmet;
        if asks || unread {
            return Decision::event(StepEvent::Checking {
                step: name,
                attempt,
            })
            .with(Effect::Prepare { key, attempt });
        }
        self.launch(key, attempt, None, now)
    }

    /// The intent of an attempt; a step that waits for people begins to wait.
    pub(super) fn launch(
        &self,
        key: StepKey,
        attempt: u32,
        captured: Option<Value>,
        now: i64,
    ) -> Decision {
        if let Some(gate) = Gate::of(self.plan.step(key.step)) {
            return self.open_gate(key, gate, now);
        }
        let watch = match self.begin_watch(key, now) {
            Some(event) => Decision::event(event),
            None => Decision::none(),
        };
        watch
            .and(StepEvent::Started {
                step: self.plan.name(key),
                attempt,
                captured,
            })
            .with(Effect::Execute { key, attempt })
    }

    fn expand(&self, key: StepKey, step: &Step, now: i64) -> Decision {
        let name = self.plan.name(key);
        let items = match step.for_each.as_ref().map(|for_each| &for_each.items) {
            Some(Items::Listed(items)) => Ok(items.clone()),
            Some(Items::Computed(expr)) => match expr.value(&self.scope_for(expr, now)) {
                Ok(Value::Array(items)) => Ok(items),
                Ok(other) => Err(format!(
                    "`for_each` needs a list, and `{}` is `{other}`",
                    expr.text()
                )),
                Err(error) => Err(format!("`for_each`: {error}")),
            },
            None => Ok(Vec::new()),
        };
        match items {
            Ok(items) if items.is_empty() => Decision::event(StepEvent::Skipped {
                step: name,
                reason: SkipReason::NoItems,
            }),
            Ok(items) => Decision::event(StepEvent::Expanded { step: name, items }),
            Err(message) => self.failed_before_start(key, &invalid(message), now),
        }
    }

    fn missing_backup(&self, step: &Step, now: i64) -> Option<Failure> {
        let required = step.requires_backup.as_ref()?;
        let name = required.step.as_str();
        let at = self.plan.find(name)?;
        let state = self.steps[at as usize];
        if state.status != StepStatus::Done {
            return Some(invalid(format!(
                "the backup `{name}` that it requires is {}",
                state.status.word()
            )));
        }
        let items = self.fans.get(&at).map_or(&[][..], |fan| &fan.states);
        if let Some(item) = items
            .iter()
            .position(|item| item.status != StepStatus::Done)
        {
            let status = items[item].status.word();
            return Some(invalid(format!(
                "the backup `{name}[{item}]` that it requires is {status}"
            )));
        }
        let age = u64::try_from(now - state.ended_at).unwrap_or(0);
        let age = std::time::Duration::from_millis(age);
        match required.younger_than {
            Some(limit) if age > limit => {
                let (age, limit) = (
                    crate::runbook::units::human(age),
                    crate::runbook::units::human(limit),
                );
                Some(invalid(format!(
                    "the backup `{name}` is {age} old, and may be {limit} at most"
                )))
            }
            _ => None,
        }
    }
}
