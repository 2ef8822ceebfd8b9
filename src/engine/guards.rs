//! Guards and watches in the hands of the executor: their tasks, and what they are told.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::executor::Executor;
use super::job::Job;
use super::watch::{Subject, Watcher};
use crate::action::{Stop, StopSignal};
use crate::event::{CheckEvent, Report, Tally};
use crate::plan::StepKey;
use crate::run::{self, InputKind, RunState, Watched};

impl Executor {
    /// Looks at a guard from now on; one that was looked at before is looked at afresh.
    pub(super) fn watch_guard(&mut self, at: usize, state: &RunState) {
        self.unwatch_guard(at);
        self.tell_phases(state);
        let Some(guard) = state.plan().runbook.guards.get(at) else {
            return;
        };
        let check = state.check(&guard.name);
        let round = check.map_or(0, |check| check.round);
        let (sender, stop) = StopSignal::channel();
        let mut scope = state.guard_scope(guard, super::clock::now_ms());
        scope.secrets = Arc::clone(&self.shared.secrets);
        let job = Job {
            scope,
            stop,
            ..self.plain_job(&format!("guard.{}", *guard.name), state)
        };
        let subject = Subject {
            call: guard.call.clone(),
            criteria: guard.criteria.clone(),
            rule: guard.rule.clone(),
            unless: guard.unless.clone(),
            during: guard
                .during
                .iter()
                .map(|phase| phase.value.clone())
                .collect(),
            measures: guard.downtime,
            state: check,
        };
        let watcher = Watcher::new(job, subject);
        let inputs = self.inputs.clone();
        let live = Arc::new(Mutex::new(watcher.tally.clone()));
        let told = Arc::clone(&live);
        let blind = guard.rule.consecutive_errors + 1;
        tokio::spawn(async move {
            // the dispatcher is gone only when the run is over
            let tell = |input| {
                let _ = inputs.send(input);
            };
            let watching = watcher.guard(round, at, Arc::clone(&told), tell);
            let watching = std::panic::AssertUnwindSafe(watching);
            if futures_util::FutureExt::catch_unwind(watching)
                .await
                .is_err()
            {
                let known = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let _ = inputs.send(gone(at, round, known, blind));
            }
        });
        let guarding = Guarding { stop: sender, live };
        self.guards.insert(at, guarding);
    }

    /// Looks at a guard no more.
    pub(super) fn unwatch_guard(&mut self, at: usize) {
        if let Some(guarding) = self.guards.remove(&at) {
            guarding.stop.send_replace(Stop::Terminate);
        }
    }

    /// The end of a guard with all its looks: the state knows those that were kept. Where the rest would
    /// come to another verdict, it stands as it was decided.
    pub(super) fn with_looks(&self, mut event: CheckEvent, state: &RunState) -> CheckEvent {
        let CheckEvent::Ended { check, judgement } = &mut event else {
            return event;
        };
        let guards = &state.plan().runbook.guards;
        let at = guards.iter().position(|guard| *guard.name == *check);
        let live = at.and_then(|at| Some((&guards[at].rule, self.guards.get(&at)?)));
        if let Some((rule, guarding)) = live {
            let live = guarding.live.lock().unwrap_or_else(PoisonError::into_inner);
            let (verdict, why) = run::watch::at_end(rule, &live);
            if verdict == judgement.verdict && live.looks >= judgement.tally.looks {
                judgement.why = why;
                judgement.tally = live.clone();
            }
        }
        event
    }

    /// Ends steps with `watch`: they go on where they were.
    pub(super) fn stop_watching(&self, state: &RunState) {
        for (name, running) in &self.running {
            let key = state.plan().key(name);
            let watches = key.is_some_and(|key| state.plan().step(key.step).watch.is_some());
            if watches {
                running.stop.send_replace(Stop::Terminate);
            }
        }
    }

    /// Tells guards which phases run now.
    pub(super) fn note_phases(&self, state: &RunState) {
        if !self.guards.is_empty() {
            self.tell_phases(state);
        }
    }

    fn tell_phases(&self, state: &RunState) {
        let now: Vec<&str> = state.running_phases().collect();
        self.shared.phases.send_if_modified(|known| {
            let changed = **known != now;
            if changed {
                *known = Arc::new(now.iter().map(|&phase| phase.to_owned()).collect());
            }
            changed
        });
    }

    /// Carries out a step with `watch`; `None`: it has none.
    pub(super) fn watch_step(
        &mut self,
        key: StepKey,
        attempt: u32,
        state: &RunState,
    ) -> Option<()> {
        let def = state.plan().step(key.step).watch.as_deref()?.clone();
        let job = self.job(key, attempt, state);
        let check = state.check(&job.name);
        let subject = Subject {
            call: job.step.action.clone(),
            criteria: def.criteria,
            rule: def.rule,
            unless: None,
            during: Vec::new(),
            measures: false,
            state: check,
        };
        let watcher = Watcher::new(job, subject);
        let inputs = self.inputs.clone();
        self.spawn(async move {
            let looked = move |said: Watched| {
                let said = Box::new(said);
                let _ = inputs.send(InputKind::Watched { key, attempt, said });
            };
            let work = std::panic::AssertUnwindSafe(watcher.step(looked));
            let ended = futures_util::FutureExt::catch_unwind(work).await;
            let said = Box::new(ended.unwrap_or_else(|_| broken()));
            InputKind::Watched { key, attempt, said }
        });
        Some(())
    }

    fn plain_job(&self, name: &str, state: &RunState) -> Job {
        Job {
            shared: Arc::clone(&self.shared),
            step: super::snapshots::reading_step(),
            name: name.to_owned(),
            attempt: 1,
            direction: "do",
            scope: state.base_scope(super::clock::now_ms()),
            phase_started: 0.0,
            backup: None,
            results: std::collections::HashMap::new(),
            stop: StopSignal::channel().1,
            step_state: None,
            keeps: false,
            captures: false,
        }
    }
}

/// A guard whose watcher ferry itself broke: it cannot tell any more.
fn gone(guard: usize, round: u32, mut tally: Tally, blind: u64) -> InputKind {
    let at = super::clock::now_ms();
    let failure = super::executor::panicked(crate::event::Outcome::NotApplied);
    let sample = crate::event::Sample {
        nth: tally.looks + 1,
        at,
        elapsed_ms: tally.elapsed_ms,
        took_ms: 0,
        verdict: crate::expr::Verdict::Error,
        values: std::collections::BTreeMap::new(),
        evidence: Vec::new(),
        warnings: Vec::new(),
        failure: Some(failure.message),
        band: None,
        early: false,
        excused: false,
        missed: 0,
        clock_jump_ms: 0,
    };
    run::watch::take(&mut tally, &sample);
    tally.error_row = blind;
    InputKind::GuardLooked {
        guard,
        round,
        sample: Box::new(sample),
        tally: Box::new(tally),
    }
}

/// The end of a watch that ferry itself broke.
fn broken() -> Watched {
    let failure = super::executor::panicked(crate::event::Outcome::NotApplied);
    Watched {
        sample: None,
        tally: Box::new(Tally::default()),
        judgement: None,
        end: Some(Box::new((Box::<Report>::default(), Some(failure)))),
    }
}

/// A guard that is looked at.
pub(super) struct Guarding {
    stop: watch::Sender<Stop>,
    /// All its looks, also those that were not kept.
    live: Arc<Mutex<Tally>>,
}

/// Guards by their place in the runbook.
pub(super) type Guards = std::collections::HashMap<usize, Guarding>;
