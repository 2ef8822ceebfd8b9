//! Items of the way back: an undo with what it waits for, an automatic undo, and the comparison
//! with the snapshots from before.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::job::{Attempt, Job};
use super::{judge, snapshots};
use crate::action::{Stop, pause};
use crate::event::{Cause, Failure, Outcome, Report};

/// How an item takes something back.
pub(super) enum Way {
    /// By the step that the author wrote.
    Written,
    /// By the action itself, from what was kept before it.
    Auto(Option<Value>),
}

impl Way {
    /// Takes it back.
    pub(super) async fn go(self, job: &mut Job) -> Attempt {
        match self {
            Self::Written => both(job).await,
            Self::Auto(captured) => restore(job, captured).await,
        }
    }
}

/// Action, and what follows it.
async fn both(job: &mut Job) -> Attempt {
    let (mut report, failure) = job.execute().await;
    if failure.is_some() || job.step.then_wait.is_none() {
        return (report, failure);
    }
    let (waited, failure) = job.settle().await;
    report.took_ms += waited.took_ms;
    report.evidence.extend(waited.evidence);
    (report, failure)
}

/// The automatic undo of a step.
async fn restore(job: &mut Job, captured: Option<Value>) -> Attempt {
    let began = std::time::Instant::now();
    let mut report = Box::<Report>::default();
    let restored = async {
        let Some(captured) = captured else {
            report.did = "nothing was kept before it: nothing to put back".into();
            return Ok(());
        };
        let call = job
            .call(&job.step.action)
            .map_err(|error| job.failure(&error))?;
        let action = job.action(&job.step.action)?;
        let output = job.output();
        let cx = job.context(&output, job.timeout());
        report.did = job
            .shared
            .masker
            .text(&format!("undo: {}", action.describe(&call)))
            .into_owned();
        let unknown = |cause, message: String| Failure {
            cause,
            outcome: Outcome::Unknown,
            message,
            hint: None,
        };
        let mut stop = job.stop.clone();
        job.at_effect("effect.before");
        let result = tokio::select! {
            done = pause::timeout(job.timeout(), action.restore(&cx, &call, &captured)) => match done {
                Ok(done) => done.map_err(|error| job.failure(&error))?,
                Err(_) => {
                    let after = crate::runbook::units::human(job.timeout());
                    return Err(unknown(Cause::Timeout, format!("the undo was not over after {after}")));
                }
            },
            _ = stop.above(Stop::No) => return Err(unknown(Cause::Stopped, "the undo was stopped".into())),
        };
        job.at_effect("effect.after");
        report.result = judge::bounded(result, &job.shared.masker);
        Ok(())
    };
    let failure = restored.await.err();
    report.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    (report, failure)
}

/// Reads the snapshots again and compares.
pub(super) async fn compare(job: &Job, before: &Arc<HashMap<String, Value>>) -> Attempt {
    let began = std::time::Instant::now();
    let mut report = Box::<Report>::default();
    let compared = async {
        let call = job
            .call(&job.step.action)
            .map_err(|error| job.failure(&error))?;
        let names = crate::action::snapshot::names(&call).map_err(|error| job.failure(&error))?;
        report.did = format!("compare with before: {}", names.join(", "));
        snapshots::equals(job, &names, before).await
    };
    let failure = match compared.await {
        Ok(compared) => {
            let first = compared.as_object().and_then(|all| {
                all.iter().find_map(|(name, found)| {
                    Some(format!("snapshot `{name}`: {}", found.get(0)?.as_str()?))
                })
            });
            report.result = serde_json::json!({ "differences": compared });
            first.map(|message| Failure {
                cause: Cause::Expectation,
                outcome: Outcome::NotApplied,
                message,
                hint: None,
            })
        }
        Err(failure) => Some(failure),
    };
    report.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    (report, failure)
}
