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
    pub(super) fn tend_guards(&self, now: i64) -> Option<Decision> {
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
                (true, false) => match self.reads_before(guard) {
                    Some(first) => first,
                    None => Some(self.begin_guard(at, guard)),
                },
                (false, true) => self.end_guard(at, guard, now),
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

    /// When the last of its phases ended, in milliseconds since the Unix epoch.
    fn phases_over_since(&self, guard: &Guard) -> Option<i64> {
        let phases = guard.during.iter();
        let at = phases.filter_map(|name| self.plan.runbook.phase_index(name));
        at.filter_map(|at| self.phases[at].ended_at).max()
    }

    fn end_guard(&self, at: usize, guard: &Guard, now: i64) -> Option<Decision> {
        let state = self.checks.get(guard.name.as_str())?;
        let forward = self.status == RunStatus::Running && self.failure.is_none();
        let tally = &state.tally;
        let row = tally.failed_row + tally.inconclusive_row + tally.error_row;
        if forward && state.judged.is_none() && tally.looks == 0 {
            // its phases were shorter than its first look: a guard that saw nothing proves nothing
            return None;
        }
        if forward && state.judged.is_none() && row > 0 && guard.then != Then::Notify {
            // it is failing just now, and an end proves nothing: it is looked at until it passes or
            // breaks, for as long as its limits would take twice over
            let over = self
                .phases_over_since(guard)
                .is_some_and(|since| now - since > patience(&guard.rule));
            let (verdict, why) = match tally.failed_row + tally.failed {
                0 => (Verdict::Error, "its phases are over, and it cannot tell"),
                _ => (
                    Verdict::Fail,
                    "its phases are over, and it does not come to rest",
                ),
            };
            return over.then(|| self.broken(guard, verdict, why, None, tally, now));
        }
        if guard.downtime && tally.failing_since.is_some() && state.seen < self.moved {
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
            check: name,
            sample: Box::new(sample.clone()),
            tally: Box::new(tally.clone()),
        });
        // a look that passes breaks nothing; of one that only tells, it is armed again by it
        let Some((verdict, why)) =
            watch::verdict(&guard.rule, tally, 0).filter(|_| sample.verdict != Verdict::Pass)
        else {
            return decision;
        };
        match state.judged {
            None => {}
            // that it could not tell was told; that it does not hold is another thing
            Some((told, Some(Then::Notify)))
                if told != Verdict::Fail && verdict == Verdict::Fail => {}
            Some(_) => return decision,
        }
        let mut decision = decision;
        decision.append(self.broken(guard, verdict, &why, Some(sample), tally, now));
        decision
    }

    /// A guard came to a verdict: its consequence.
    fn broken(
        &self,
        guard: &Guard,
        verdict: Verdict,
        why: &str,
        sample: Option<&Sample>,
        tally: &Tally,
        now: i64,
    ) -> Decision {
        let then = self.consequence(guard, verdict, now);
        let evidence = sample
            .map(|sample| sample.evidence.clone())
            .unwrap_or_default();
        let seen = evidence.iter().find_map(|one| one.reason.clone());
        let seen = seen.or_else(|| sample.and_then(|sample| sample.failure.clone()));
        let judged = CheckEvent::Judged {
            check: guard.name.value.clone(),
            judgement: Box::new(Judgement {
                verdict,
                why: why.to_owned(),
                tally: tally.clone(),
                evidence,
                then,
            }),
        };
        let decision = Decision::event(judged);
        match then {
            Some(Then::Rollback) => {
                let failure = self.guard_failure(guard, why, seen.as_deref());
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
        // one that another guard holds may still have to go back
        let on = match self.status {
            RunStatus::Running => true,
            RunStatus::Waiting => self.stopping == Some(Parking::Held),
            _ => false,
        };
        let forward =
            on && self.failure.is_none() && !self.orders.cancelled && !self.orders.aborting;
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
                missed: missed(&def.rule, state, 0, now),
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
        let known_until = match taken_up {
            true => self.known_until,
            false => self.gap_from,
        };
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
                    missed: missed(&guard.rule, state, known_until, now),
                };
                decision.append(Decision::event(goes_on).with(Effect::Watch { guard: at }));
            }
        }
        decision
    }
}

/// Looks that were due since the last that is known, up to the end of the watch.
fn missed(rule: &Rule, state: &CheckState, known_until: i64, now: i64) -> u64 {
    let from = match state.tally.last_at {
        0 => state.began_at,
        // looks that passed as before need not be kept: somebody was there up to then
        last => last.max(known_until),
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

/// How long a guard may go on failing behind its phases before that counts as its end, in milliseconds.
fn patience(rule: &Rule) -> i64 {
    let rows = [
        rule.consecutive_failures.unwrap_or(1),
        rule.inconclusive_limit + 1,
        rule.consecutive_errors + 1,
    ];
    let looks = rows.into_iter().max().unwrap_or(1).saturating_mul(2);
    let looks = u32::try_from(looks).unwrap_or(u32::MAX);
    millis(rule.every.saturating_mul(looks))
}
