//! What is watched: which guards are looked at when, what follows from what they come to, and the
//! looks of steps with `watch`.

use std::time::Duration;

use super::check_state::CheckState;
use super::effect::{Decision, Effect};
use super::input::Watched;
use super::state::RunState;
use super::watch;
use crate::event::{
    Cause, CheckEvent, Failure, Judgement, Outcome, Parking, RunEvent, RunFailure, RunStatus,
    Sample, Tally, Then,
};
use crate::expr::Verdict;
use crate::plan::StepKey;
use crate::runbook::watch::{Guard, Length, Rule};

impl RunState {
    /// A check, once it began.
    pub fn check(&self, name: &str) -> Option<&CheckState> {
        self.checks.get(name)
    }

    /// Phases that run now.
    pub fn running_phases(&self) -> impl Iterator<Item = &str> {
        let runs = |(_, state): &(_, &super::parts::PhaseState)| {
            state.started_at.is_some() && state.ended_at.is_none()
        };
        let phases = self.plan.runbook.phases.iter().zip(&self.phases);
        phases.filter(runs).map(|(phase, _)| phase.name.as_str())
    }

    /// Until when failures go back by themselves, in milliseconds since the Unix epoch; `None`: nothing
    /// is said, or the phase that it counts from is not over.
    pub fn decide_by(&self) -> Option<i64> {
        let (phase, within) = self.plan.decides()?;
        let ended = self.phases[phase].ended_at?;
        Some(ended.saturating_add(millis(within)))
    }

    /// Whether failures hold and ask by now.
    pub(super) fn past_decision(&self, now: i64) -> bool {
        self.decide_by().is_some_and(|until| now > until)
    }

    /// Guards that are to be looked at from now on, or no more: one of them at a time.
    pub(super) fn tend_guards(&self) -> Option<Decision> {
        let on_its_way = matches!(
            self.status,
            RunStatus::Running | RunStatus::Cancelling | RunStatus::RollingBack
        );
        if !on_its_way {
            // what stands still is looked at as before
            return None;
        }
        let guards = self.plan.runbook.guards.iter().enumerate();
        guards.into_iter().find_map(|(at, guard)| {
            let state = self.checks.get(guard.name.as_str());
            let active = state.is_some_and(|state| state.active);
            match (self.wants(guard), active) {
                (true, false) => Some(self.begin_guard(at, guard)),
                (false, true) => self.end_guard(at, guard),
                _ => None,
            }
        })
    }

    /// Whether a guard is to be looked at: while its phases run, and one that measures downtime until
    /// the end of the way back.
    fn wants(&self, guard: &Guard) -> bool {
        let forward = self.failure.is_none() && !self.orders.cancelled && !self.orders.aborting;
        let its = |name: &str| guard.during.iter().any(|phase| phase.value == name);
        let begun = self.checks.contains_key(guard.name.as_str());
        match self.status {
            RunStatus::Running => {
                let runs = self.running_phases().any(its);
                runs && forward || !forward && guard.downtime && begun
            }
            RunStatus::Cancelling => guard.downtime && begun,
            RunStatus::RollingBack => {
                let over = self
                    .rollback
                    .as_ref()
                    .is_some_and(|back| back.next >= back.items.len());
                guard.downtime && begun && !over
            }
            _ => false,
        }
    }

    fn begin_guard(&self, at: usize, guard: &Guard) -> Decision {
        Decision::event(CheckEvent::Began {
            check: guard.name.value.clone(),
            outline: Box::new(guard.outline()),
        })
        .with(Effect::Watch { guard: at })
    }

    fn end_guard(&self, at: usize, guard: &Guard) -> Option<Decision> {
        let state = self.checks.get(guard.name.as_str())?;
        let forward = self.status == RunStatus::Running && self.failure.is_none();
        let tally = &state.tally;
        let row = tally.failed_row + tally.inconclusive_row + tally.error_row;
        if forward && state.judged.is_none() && (tally.looks == 0 || row > 0) {
            // its phases were shorter than its first look, or it is failing just now: it is looked at
            // until it passes or breaks, because an end proves nothing
            return None;
        }
        if guard.downtime && tally.failing_since.is_some() && tally.last_at < self.latest {
            // whether it is up again is looked at once more, after everything else
            return None;
        }
        let (verdict, why) = watch::at_end(&guard.rule, &state.tally);
        let ended = CheckEvent::Ended {
            check: guard.name.value.clone(),
            judgement: Box::new(Judgement {
                verdict,
                why,
                tally: state.tally.clone(),
                evidence: Vec::new(),
                then: None,
            }),
        };
        Some(Decision::event(ended).with(Effect::Unwatch { guard: at }))
    }

    /// Whether a guard still waits for its first look before it may end.
    pub(super) fn watches(&self) -> bool {
        let guards = self.plan.runbook.guards.iter();
        guards
            .filter_map(|guard| self.checks.get(guard.name.as_str()))
            .any(|state| state.active)
    }

    /// What follows from a look of a guard.
    pub(super) fn guard_looked(
        &self,
        at: usize,
        round: u32,
        sample: &Sample,
        tally: &Tally,
        now: i64,
    ) -> Decision {
        let Some(guard) = self.plan.runbook.guards.get(at) else {
            return Decision::none();
        };
        let name = guard.name.value.clone();
        let Some(state) = self.checks.get(&name) else {
            return Decision::none();
        };
        if state.round != round || !state.active {
            return Decision::none();
        }
        let decision = Decision::event(CheckEvent::Looked {
            check: name.clone(),
            sample: Box::new(sample.clone()),
            tally: Box::new(tally.clone()),
        });
        match state.judged {
            None => {}
            // one that only tells is armed again by a look that passes
            Some((_, Some(Then::Notify))) if sample.verdict == Verdict::Pass => {
                let mut decision = decision;
                decision.append(self.begin_guard(at, guard));
                return decision;
            }
            Some(_) => return decision,
        }
        let Some((verdict, why)) = watch::verdict(&guard.rule, tally, 0) else {
            return decision;
        };
        let then = self.consequence(guard, verdict, now);
        let seen = sample.evidence.iter().find_map(|one| one.reason.clone());
        let seen = seen.or_else(|| sample.failure.clone());
        let judged = CheckEvent::Judged {
            check: name,
            judgement: Box::new(Judgement {
                verdict,
                why: why.clone(),
                tally: tally.clone(),
                evidence: sample.evidence.clone(),
                then,
            }),
        };
        let decision = decision.and(judged);
        match then {
            Some(Then::Rollback) => {
                let failure = self.guard_failure(guard, &why, seen.as_deref());
                let decision = decision.and(RunEvent::Failed(failure));
                match guard.interrupt {
                    true => decision.with(Effect::StopAll { now: false }),
                    false => decision.with(Effect::StopReading),
                }
            }
            Some(Then::Pause) if self.stopping.is_none() => decision
                .and(RunEvent::Stopping {
                    reason: Parking::Held,
                })
                .with(Effect::StopWatching),
            _ => decision,
        }
    }

    /// What follows from a verdict of a guard as things stand; nothing, once the run goes back or is
    /// being stopped.
    fn consequence(&self, guard: &Guard, verdict: Verdict, now: i64) -> Option<Then> {
        let forward = self.status == RunStatus::Running
            && self.failure.is_none()
            && !self.orders.cancelled
            && !self.orders.aborting;
        let then = match verdict {
            Verdict::Fail => guard.then,
            _ => guard.when_blind,
        };
        match then {
            _ if !forward && then != Then::Notify => None,
            Then::Rollback if self.past_decision(now) => Some(Then::Pause),
            then => Some(then),
        }
    }

    fn guard_failure(&self, guard: &Guard, why: &str, seen: Option<&str>) -> RunFailure {
        let its = |name: &&str| guard.during.iter().any(|phase| phase.value == *name);
        let phase = self.running_phases().find(its).map(str::to_owned);
        let seen = seen.map_or_else(String::new, |seen| format!(": {seen}"));
        RunFailure {
            step: None,
            phase: phase.or_else(|| guard.during.first().map(|phase| phase.value.clone())),
            failure: Failure {
                cause: Cause::Expectation,
                outcome: Outcome::NotApplied,
                message: format!("guard `{}` does not hold: {why}{seen}", *guard.name),
                hint: None,
            },
        }
    }

    /// The beginning of a step's watch, or that it goes on where it was cut off.
    pub(super) fn begin_watch(&self, key: StepKey, now: i64) -> Option<CheckEvent> {
        let step = self.plan.step(key.step);
        let def = step.watch.as_deref()?;
        let name = self.plan.name(key);
        let open = self.checks.get(&name).filter(|state| state.is_open());
        Some(match open {
            Some(state) => CheckEvent::GoesOn {
                missed: missed(&def.rule, state, now),
                check: name,
            },
            None => CheckEvent::Began {
                check: name,
                outline: Box::new(def.outline(&step.action, step.title.as_ref())),
            },
        })
    }

    /// What follows from looks of a step.
    pub(super) fn step_watched(
        &self,
        key: StepKey,
        attempt: u32,
        said: &Watched,
        now: i64,
    ) -> Decision {
        let name = self.plan.name(key);
        let mut decision = Decision::none();
        if let Some(sample) = &said.sample {
            decision = decision.and(CheckEvent::Looked {
                check: name.clone(),
                sample: sample.clone(),
                tally: said.tally.clone(),
            });
        }
        if let Some(judgement) = &said.judgement {
            decision = decision.and(CheckEvent::Judged {
                check: name,
                judgement: judgement.clone(),
            });
        }
        if let Some(end) = &said.end {
            let (report, failure) = &**end;
            decision.append(self.reported(key, attempt, report, failure.as_ref(), now));
        }
        decision
    }

    /// Looking goes on: by a new engine at what the one before looked at, and afresh at guards that
    /// held the run, because somebody goes on with it. `taken_up`: by an engine that only begins.
    pub(super) fn watch_again(&self, taken_up: bool, now: i64) -> Decision {
        let mut decision = Decision::none();
        for (at, guard) in self.plan.runbook.guards.iter().enumerate() {
            let state = self.checks.get(guard.name.as_str());
            let Some(state) = state.filter(|state| state.active) else {
                continue;
            };
            let held = matches!(state.judged, Some((_, then)) if then != Some(Then::Notify));
            if held {
                decision.append(self.begin_guard(at, guard));
            } else if taken_up || !state.live {
                let goes_on = CheckEvent::GoesOn {
                    check: guard.name.value.clone(),
                    missed: missed(&guard.rule, state, now),
                };
                decision.append(Decision::event(goes_on).with(Effect::Watch { guard: at }));
            }
        }
        decision
    }
}

/// Looks that were due since the last that is known, up to the end of the watch.
fn missed(rule: &Rule, state: &CheckState, now: i64) -> u64 {
    let from = match state.tally.last_at {
        0 => state.began_at,
        last => last,
    };
    let end = match rule.length {
        Length::For(length) | Length::Within(length) => {
            state.began_at.saturating_add(millis(length))
        }
        Length::Count(_) | Length::Phases => i64::MAX,
    };
    let gap = u64::try_from(now.min(end) - from).unwrap_or(0);
    let every = u64::try_from(rule.every.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    // the next one is due at the end of its own interval
    (gap / every).saturating_sub(u64::from(state.tally.last_at != 0 && gap / every > 0))
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 2)
}
