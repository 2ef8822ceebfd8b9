//! The executor: carries out one effect in a task of its own, and gives back one input for it.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use tokio::sync::{mpsc, watch};

use super::clock::now_ms;
use super::guards::Guards;
use super::job::{Attempt, Shared};
use super::{back, examine, snapshots};
use crate::action::{Stop, pause};
use crate::event::{Cause, Failure, Moment, Outcome, SnapshotTaken};
use crate::failpoint;
use crate::plan::StepKey;
use crate::run::{Effect, InputKind, RunState};

/// Hands effects out to tasks.
pub struct Executor {
    pub(super) shared: Arc<Shared>,
    pub(super) inputs: mpsc::UnboundedSender<InputKind>,
    /// What is watched in the background.
    pub(super) guards: Guards,
    pub(super) running: HashMap<String, Running>,
    /// What everything was told, and what comes later is told as well: an effect may be handed out
    /// after the order, because its commit was under way.
    pub(super) told: Stop,
    /// Whether it was told so by an order to cancel.
    cancelled: bool,
}

pub(super) struct Running {
    pub(super) stop: watch::Sender<Stop>,
    pub(super) reading: bool,
    pub(super) since: Instant,
}

impl Executor {
    pub(super) fn new(shared: Arc<Shared>, inputs: mpsc::UnboundedSender<InputKind>) -> Self {
        Self {
            shared,
            inputs,
            guards: Guards::new(),
            running: HashMap::new(),
            told: Stop::No,
            cancelled: false,
        }
    }

    /// Starts one effect; its input comes later.
    pub(super) fn carry_out(&mut self, effect: &Effect, state: &RunState) {
        match effect {
            Effect::Prepare { key, attempt } => self.prepare(*key, *attempt, state),
            Effect::Execute { key, attempt } => self.execute(*key, *attempt, state),
            Effect::Settle { key, attempt } => self.settle(*key, *attempt, state),
            Effect::Diagnose { key } => self.diagnose(*key, state),
            Effect::Wake { key, at } => self.wake(*at, InputKind::Due { key: *key }),
            Effect::WakeItem { item, at } => self.wake(*at, InputKind::ItemDue { item: *item }),
            Effect::Snapshots { moment } => self.snapshots(*moment, state),
            Effect::Item { item, attempt } => {
                // what an order ended is over: the way back is not stopped by it
                self.forget_cancel();
                self.item(*item, *attempt, state);
            }
            Effect::Examine { key, attempt } => self.examine(*key, *attempt, state),
            Effect::ExamineItem { item, attempt } => self.examine_item(*item, *attempt, state),
            Effect::Watch { guard } => self.watch_guard(*guard, state),
            Effect::Unwatch { guard } => self.unwatch_guard(*guard),
            Effect::StopWatching => self.stop_watching(state),
            Effect::StopReading => self.stop(Stop::Terminate, true),
            Effect::StopAll { now: true } => self.stop(Stop::Kill, false),
            Effect::StopAll { now: false } => {
                self.cancelled = true;
                self.stop(Stop::Terminate, false);
            }
        }
    }

    pub(super) fn forget_cancel(&mut self) {
        if std::mem::take(&mut self.cancelled) {
            self.told = Stop::No;
        }
    }

    /// Tells what is in flight to end; `reading`: only what changes nothing.
    pub(super) fn stop(&mut self, level: Stop, reading: bool) {
        if !reading {
            self.told = self.told.max(level);
        }
        for running in self
            .running
            .values()
            .filter(|running| running.reading || !reading)
        {
            running.stop.send_if_modified(|now| {
                let raise = *now < level;
                *now = level.max(*now);
                raise
            });
        }
    }

    /// Whether anything is in flight.
    pub(super) fn is_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// A job is over: nobody needs to be able to stop it any more.
    pub(super) fn over(&mut self, input: &InputKind, state: &RunState) {
        let name = match input {
            InputKind::Snapshots { .. } => {
                self.running
                    .retain(|name, _| !name.starts_with("snapshot."));
                return;
            }
            InputKind::Diagnosed { key, .. } => return self.diagnosed(*key, state),
            InputKind::Watched { said, .. } if said.end.is_none() => return,
            InputKind::Prepared { key, .. }
            | InputKind::Watched { key, .. }
            | InputKind::Reported { key, .. }
            | InputKind::Examined { key, .. } => state.plan().name(*key),
            InputKind::ItemReported { item, .. } | InputKind::ItemExamined { item, .. } => {
                match state.rollback().and_then(|back| back.items.get(*item)) {
                    Some(item) => item.id.clone(),
                    None => return,
                }
            }
            _ => return,
        };
        self.running.remove(&name);
    }

    /// What of that name is in flight only looks.
    pub(super) fn looks(&mut self, name: &str) {
        if let Some(running) = self.running.get_mut(name) {
            running.reading = true;
        }
    }

    fn prepare(&mut self, key: StepKey, attempt: u32, state: &RunState) {
        let mut job = self.job(key, attempt, state);
        job.captures = !state.step(key).started;
        // before a step there are only reads, whatever the step itself does
        self.looks(&job.name);
        self.spawn(async move {
            let prepared = AssertUnwindSafe(job.prepare())
                .catch_unwind()
                .await
                .unwrap_or_else(|_| super::probe::Prepared {
                    failure: Some(panicked(Outcome::NotApplied)),
                    ..Default::default()
                });
            let super::probe::Prepared {
                done,
                captured,
                failure,
            } = prepared;
            InputKind::Prepared {
                key,
                attempt,
                done,
                captured,
                failure,
            }
        });
    }

    fn execute(&mut self, key: StepKey, attempt: u32, state: &RunState) {
        if self.watch_step(key, attempt, state).is_some() {
            return;
        }
        let mut job = self.job(key, attempt, state);
        self.spawn(async move {
            let outcome = job.after(Outcome::Unknown);
            let (report, failure) = guarded(job.execute(), outcome).await;
            InputKind::Reported {
                key,
                attempt,
                report,
                failure,
            }
        });
    }

    fn settle(&mut self, key: StepKey, attempt: u32, state: &RunState) {
        let mut job = self.job(key, attempt, state);
        self.spawn(async move {
            let outcome = job.after(Outcome::Applied);
            let (report, failure) = guarded(job.settle(), outcome).await;
            InputKind::Reported {
                key,
                attempt,
                report,
                failure,
            }
        });
    }

    fn wake(&self, at: i64, input: InputKind) {
        let wait = u64::try_from(at - now_ms()).unwrap_or(0);
        self.spawn(async move {
            pause::sleep(Duration::from_millis(wait)).await;
            input
        });
    }

    fn snapshots(&mut self, moment: Moment, state: &RunState) {
        if moment == Moment::Baseline {
            return self.baselines(state);
        }
        let defs = state.plan().runbook.snapshots.clone();
        let mut taking: Vec<BoxFuture<'static, SnapshotTaken>> = Vec::with_capacity(defs.len());
        for def in defs {
            let job = self.reading_job(state, &def.name);
            let name = def.name.value.clone();
            let taken = AssertUnwindSafe(snapshots::take(job, def, moment)).catch_unwind();
            taking.push(Box::pin(async move {
                taken.await.unwrap_or_else(|_| lost_snapshot(name))
            }));
        }
        self.spawn(async move {
            let taken = join_all(taking).await;
            InputKind::Snapshots { moment, taken }
        });
    }

    /// Reads what guards and watches compare with, one after another: side by side they would be in each
    /// other's way, and the comparison would be with that.
    fn baselines(&mut self, state: &RunState) {
        let defs = state.plan().baselines.clone();
        let jobs: Vec<_> = defs
            .into_iter()
            .map(|def| (self.reading_job(state, &def.name), def))
            .collect();
        self.spawn(async move {
            let mut taken = Vec::with_capacity(jobs.len());
            for (job, def) in jobs {
                let name = def.name.clone();
                let one = AssertUnwindSafe(snapshots::baseline(job, def)).catch_unwind();
                taken.push(one.await.unwrap_or_else(|_| lost_snapshot(name)));
            }
            InputKind::Snapshots {
                moment: Moment::Baseline,
                taken,
            }
        });
    }

    fn item(&mut self, at: usize, attempt: u32, state: &RunState) {
        let Some(item) = state
            .rollback()
            .and_then(|back| back.items.get(at))
            .cloned()
        else {
            return;
        };
        let input = move |(report, failure): Attempt| InputKind::ItemReported {
            item: at,
            attempt,
            report,
            failure,
        };
        let key = item.of.as_deref().and_then(|of| state.plan().key(of));
        let proof = examine::proof(&item, state);
        match (state.item_step(&item).cloned(), key) {
            (Some(step), key) => {
                let mut job = self.back_job(&item, attempt, step, key, state);
                let before = state.snapshots(Moment::Before).cloned().unwrap_or_default();
                self.spawn(async move {
                    let done = guarded(
                        async {
                            if *job.step.action.key == "snapshot_equals" {
                                back::compare(&job, &before).await
                            } else {
                                proof.around(&mut job, back::Way::Written).await
                            }
                        },
                        Outcome::Unknown,
                    );
                    input(done.await)
                });
            }
            (None, Some(key)) => {
                let step = state.plan().step(key.step).clone();
                let mut job = self.back_job(&item, attempt, step, Some(key), state);
                let captured = state.captured(key).cloned();
                self.spawn(async move {
                    let way = back::Way::Auto(captured);
                    input(guarded(proof.around(&mut job, way), Outcome::Unknown).await)
                });
            }
            (None, None) => {}
        }
    }

    pub(super) fn spawn(&self, work: impl Future<Output = InputKind> + Send + 'static) {
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            // the dispatcher is gone only when the run is over
            let _ = inputs.send(work.await);
        });
    }
}

/// A panic in an action is a failed attempt of which nothing is known, never a lost one.
async fn guarded(work: impl Future<Output = Attempt>, outcome: Outcome) -> Attempt {
    let work = async {
        failpoint::pass("worker", "");
        work.await
    };
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(done) => done,
        Err(_) => (Box::default(), Some(panicked(outcome))),
    }
}

pub(super) fn panicked(outcome: Outcome) -> Failure {
    Failure {
        cause: Cause::Internal,
        outcome,
        message: "ferry itself failed in the middle of it (a panic)".into(),
        hint: Some("this is a defect of ferry: please report it with the output above".into()),
    }
}

fn lost_snapshot(name: String) -> SnapshotTaken {
    SnapshotTaken {
        name,
        file: None,
        sha256: None,
        value: None,
        failure: Some(panicked(Outcome::NotApplied)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_failure_of_which_nothing_is_known() {
        async fn broken() -> Attempt {
            panic!("a defect, on purpose")
        }
        let (_, failure) = guarded(broken(), Outcome::Unknown).await;
        let failure = failure.expect("a panic is no success");
        assert_eq!(
            (failure.cause, failure.outcome),
            (Cause::Internal, Outcome::Unknown)
        );
    }
}
