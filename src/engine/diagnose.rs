//! Diagnoses: what the runbook says to look at when a step fails, looked at one after another. They
//! read only, and what comes of them decides nothing.

use serde_json::Value;

use super::executor::Executor;
use super::hide::cut;
use super::job::{Job, READING_TIMEOUT};
use super::judge;
use crate::event::Look;
use crate::plan::StepKey;
use crate::run::{InputKind, RunState};

/// The most of an answer that is kept, in bytes.
const KEPT: usize = 2_000;

impl Executor {
    pub(super) fn diagnose(&mut self, key: StepKey, state: &RunState) {
        let plan = state.plan();
        let id = plan.step(key.step).id.value.clone();
        let mine = plan.runbook.troubleshooting.iter();
        let mine = mine.filter(|one| one.steps.iter().any(|step| **step == id));
        let mut jobs = Vec::new();
        for (at, step) in mine.flat_map(|one| one.diagnose.clone()).enumerate() {
            let name = format!("diagnose.{id}-{}", at + 1);
            jobs.push(self.new_job(name, 1, step, None, state));
        }
        self.spawn(async move {
            let mut looks = Vec::with_capacity(jobs.len());
            for job in &jobs {
                looks.push(look(job).await);
            }
            InputKind::Diagnosed { key, looks }
        });
    }

    /// The looks of a diagnosis are over.
    pub(super) fn diagnosed(&mut self, key: StepKey, state: &RunState) {
        let id = &state.plan().step(key.step).id;
        let prefix = format!("diagnose.{}-", **id);
        self.running.retain(|name, _| !name.starts_with(&prefix));
    }
}

async fn look(job: &Job) -> Look {
    let masker = &job.shared.masker;
    let call = match job.call(&job.step.action) {
        Ok(call) => call,
        Err(error) => return failed(job.step.action.key.value.clone(), &error.to_string(), job),
    };
    let action = match job.action(&job.step.action) {
        Ok(action) => action,
        Err(failure) => return failed(call.key, &failure.message, job),
    };
    let what = masker.text(&action.describe(&call)).into_owned();
    let output = job.output();
    let timeout = job.step.timeout.unwrap_or(READING_TIMEOUT);
    let cx = job.context(&output, timeout);
    let seen = job.carry_out(action, &cx, &call).await;
    let _ = output.close();
    match seen {
        Ok(value) => Look {
            what,
            ok: true,
            seen: cut(printed(&judge::hidden_json(value, masker)), KEPT),
        },
        Err(error) => failed(what, &job.failure(&error).message, job),
    }
}

/// What a program printed, or the result as it is.
fn printed(value: &Value) -> String {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    match value.get("stdout") {
        Some(_) => format!("{}{}", text("stdout"), text("stderr")),
        None => value.to_string(),
    }
}

fn failed(what: String, why: &str, job: &Job) -> Look {
    Look {
        what,
        ok: false,
        seen: cut(judge::hidden(why, &job.shared.masker), KEPT),
    }
}
