//! Finding out what became of something: whether a step in doubt took effect, and whether an undo
//! took it back.
//!
//! First what is left of the old effect is waited for or ended, then the author's probe is asked. What
//! is found goes back as an input; what follows from it is decided in the core.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::back::Way;
use super::executor::{Executor, panicked};
use super::job::{Attempt, Job, KILL_AFTER, READING_TIMEOUT};
use super::judge;
use crate::action::tree;
use crate::action::tree::leftover::{self, Leftover};
use crate::action::{Stop, StopSignal};
use crate::event::{Cause, Failure, Outcome, Part, RollbackItem};
use crate::expr::Evidence;
use crate::failpoint;
use crate::plan::StepKey;
use crate::run::{InputKind, RunState, StepStatus};
use crate::runbook::model::Probe;

/// How often a session of a database is looked at.
const SESSION_LOOK: Duration = Duration::from_millis(200);

/// What was found: what the probe said, if there is one; else why it could not be looked at.
type Found = (Option<Vec<Evidence>>, Option<Failure>);

impl Executor {
    pub(super) fn examine(&mut self, key: StepKey, attempt: u32, state: &RunState) {
        let hurry = self.hurry(state);
        let mut job = self.job(key, attempt, state);
        self.looks(&job.name);
        let probe = job.step.done_when.clone();
        self.spawn(async move {
            let (done, failure) = found(&mut job, probe.as_deref(), hurry).await;
            InputKind::Examined {
                key,
                attempt,
                done,
                failure,
            }
        });
    }

    pub(super) fn examine_item(&mut self, at: usize, attempt: u32, state: &RunState) {
        let items = state.rollback().map(|back| &back.items);
        let Some(item) = items.and_then(|items| items.get(at)).cloned() else {
            return;
        };
        let key = item.of.as_deref().and_then(|of| state.plan().key(of));
        let of_step = key.map(|key| state.plan().step(key.step));
        let step = state.item_step(&item).or(of_step).cloned();
        let Some(step) = step else { return };
        // the step's own probe says that all of it is undone, which only its last undo can bring about
        let whole = proof(&item, state).probe.filter(|_| is_last(&item, state));
        let probe = match item.nth {
            None if item.part == Part::Undo => whole,
            _ => step.done_when.as_deref().cloned().or(whole),
        };
        let hurry = self.hurry(state);
        let mut job = self.back_job(&item, attempt, step, key, state);
        self.looks(&job.name);
        self.spawn(async move {
            let (undone, failure) = found(&mut job, probe.as_ref(), hurry).await;
            InputKind::ItemExamined {
                item: at,
                attempt,
                undone,
                failure,
            }
        });
    }
}

/// How long what is left of something gets to end when it is told to, where an order says that
/// nothing is waited for.
type Hurry = Option<Duration>;

impl Executor {
    /// A cancelled or aborted run does not wait for the end of what an engine that is gone left.
    fn hurry(&mut self, state: &RunState) -> Hurry {
        if state.is_aborting() {
            return Some(Duration::ZERO);
        }
        // what an order ended is over: looking at it is not stopped by that order
        self.forget_cancel();
        state.is_cancelled().then_some(KILL_AFTER)
    }
}

async fn found(job: &mut Job, probe: Option<&Probe>, hurry: Hurry) -> Found {
    let looked = AssertUnwindSafe(look(job, probe, hurry))
        .catch_unwind()
        .await;
    match looked {
        Ok(Ok(evidence)) => (evidence, None),
        Ok(Err(failure)) => (None, Some(failure)),
        Err(_) => (None, Some(panicked(Outcome::Unknown))),
    }
}

async fn look(
    job: &mut Job,
    probe: Option<&Probe>,
    hurry: Hurry,
) -> Result<Option<Vec<Evidence>>, Failure> {
    job.outlast(hurry).await?;
    failpoint::pass("probe", &job.name);
    match probe {
        Some(probe) => Ok(Some(job.look(probe, READING_TIMEOUT).await?)),
        None => Ok(None),
    }
}

impl Job {
    /// Waits until nothing of the attempt goes on any more, as long as its own timeout allows, and
    /// ends what is left then.
    async fn outlast(&self, hurry: Hurry) -> Result<(), Failure> {
        let longest = hurry.map_or_else(|| self.timeout(), |_| Duration::ZERO);
        let until = Instant::now() + longest;
        let name: Arc<str> = self.name.as_str().into();
        let lines = self.shared.lines.clone();
        let tell = move |line: &str| lines.send(&name, line.to_owned());
        let dir = &self.shared.run_dir;
        // the order that makes haste is what stops everything else
        let (_never, patient) = StopSignal::channel();
        let stop = hurry.map_or_else(|| self.stop.clone(), |_| patient);
        let grace = hurry.unwrap_or(KILL_AFTER);
        if let Some(lock) = tree::find(dir, &self.name, self.direction, self.attempt)
            && let Leftover::StillThere(pids) =
                leftover::end(&lock, until, grace, stop, tell.clone()).await
        {
            let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
            let whose = match pids.is_empty() {
                true => "of another user".into(),
                false => format!("pid {}", pids.join(", ")),
            };
            return Err(self.not_over(&whose));
        }
        self.outlast_session(until, tell).await
    }

    /// The same for what goes on in a database, in a session of an engine that is gone.
    async fn outlast_session(&self, until: Instant, tell: impl Fn(&str)) -> Result<(), Failure> {
        let action = self.action(&self.step.action)?;
        // what cannot be resolved any more cannot be looked for; the probe says what is the case
        let Ok(call) = self.call(&self.step.action) else {
            return Ok(());
        };
        let output = self.probe_output();
        let cx = self.context(&output, READING_TIMEOUT);
        let mut stop = self.stop.clone();
        let (mut told, mut ended) = (false, None);
        loop {
            let running = action.still_running(&cx, &call).await;
            if !running.map_err(|error| self.failure(&error))? {
                return Ok(());
            }
            if !std::mem::replace(&mut told, true) {
                tell("its session is still at work in the database: waiting for its end");
            }
            match ended {
                None if Instant::now() >= until => {
                    tell("its session is still at work in the database: it is ended");
                    let done = action.end_running(&cx, &call).await;
                    done.map_err(|error| self.failure(&error))?;
                    ended = Some(Instant::now() + KILL_AFTER);
                }
                Some(last) if Instant::now() >= last => {
                    return Err(self.not_over("a session of the database"));
                }
                _ => {}
            }
            tokio::select! {
                () = tokio::time::sleep(SESSION_LOOK) => {}
                _ = stop.above(Stop::No) => return Err(self.not_over("a session of the database")),
            }
        }
    }

    fn not_over(&self, what: &str) -> Failure {
        let stopped = self.stop.now() > Stop::No;
        Failure {
            // an undo must not run beside it either
            cause: if stopped { Cause::Stopped } else { Cause::Lost },
            outcome: Outcome::Unknown,
            message: format!("what the last engine started for it is still at work ({what})"),
            hint: None,
        }
    }
}

/// What `undone_when` has to say around an undo.
#[derive(Default)]
pub(super) struct Proof {
    probe: Option<Probe>,
    /// Whether it is asked before: of a step that may not have taken effect.
    before: bool,
    /// Whether it must hold after: it is the last undo of its step.
    after: bool,
}

/// The proof of an undo; of everything else there is none.
pub(super) fn proof(item: &RollbackItem, state: &RunState) -> Proof {
    let key = item.of.as_deref().and_then(|of| state.plan().key(of));
    let Some(key) = key.filter(|_| item.part == Part::Undo) else {
        return Proof::default();
    };
    let step = state.plan().step(key.step);
    Proof {
        probe: step.undone_when.as_deref().cloned(),
        before: item.nth.is_none_or(|nth| nth == 0) && state.step(key).status != StepStatus::Done,
        after: is_last(item, state),
    }
}

fn is_last(item: &RollbackItem, state: &RunState) -> bool {
    let items = state.rollback().map_or(&[][..], |back| &back.items);
    let same = |other: &&RollbackItem| other.of == item.of && other.part == Part::Undo;
    items
        .iter()
        .rfind(same)
        .is_some_and(|last| last.id == item.id)
}

impl Proof {
    /// Takes something back, unless it is seen to be back already, and looks whether it is.
    pub(super) async fn around(self, job: &mut Job, way: Way) -> Attempt {
        let Some(probe) = &self.probe else {
            return way.go(job).await;
        };
        if self.before
            && let Ok(evidence) = job.look(probe, READING_TIMEOUT).await
            && judge::passed(&evidence)
        {
            let mut report = Box::<crate::event::Report>::default();
            report.did = "nothing to take back: `undone_when` holds".into();
            report.evidence = evidence;
            return (report, None);
        }
        let (mut report, failure) = way.go(job).await;
        if failure.is_some() || !self.after {
            return (report, failure);
        }
        match job.look(probe, READING_TIMEOUT).await {
            Ok(evidence) => {
                let failure = judge::failure(&evidence, Outcome::Unknown);
                report.evidence.extend(evidence);
                let failure = failure.map(|failure| Failure {
                    message: format!("`undone_when` does not hold after it: {}", failure.message),
                    ..failure
                });
                (report, failure)
            }
            Err(failure) => {
                let failure = Failure {
                    message: format!("`undone_when` could not be read: {}", failure.message),
                    outcome: Outcome::Unknown,
                    ..failure
                };
                (report, Some(failure))
            }
        }
    }
}
