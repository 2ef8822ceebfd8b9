//! Before anything starts: whether the targets that the run begins with can be reached and let us in.
//!
//! All are asked side by side and within [`LONGEST`]; a run that needs none is not held up at all.
//! The connections stay in the run's `Clients`, so that a run makes none more for it. [`Refused`]
//! leaves nothing behind: no run, no directory, no event.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use super::clock::now_ms;
use super::job::Shared;
use super::judge;
use crate::action::{ActionError, Call, Context, Output, StopSignal, Stream, pause, reach};
use crate::event::Cause;
use crate::run::{RunState, StepScope};
use crate::runbook::units::human;

/// The longest that all of it may take.
const LONGEST: Duration = Duration::from_secs(5);
/// What an action gets beyond that to say itself that it took too long.
const GRACE: Duration = Duration::from_millis(200);

/// Targets that the run cannot begin without; nothing was started.
#[derive(Clone, Debug, thiserror::Error)]
#[error("nothing was started: {}", .causes.join("; "))]
pub struct Refused {
    /// What each target said, masked; at least one.
    pub causes: Vec<String>,
    /// Ways out.
    pub hints: Vec<String>,
    /// Whether all could be reached, and it is the way in that is closed.
    pub denied: bool,
}

/// Asks them all.
///
/// # Errors
/// [`Refused`], with every target that the run cannot begin without.
pub(super) async fn ask(shared: &Shared, state: &RunState) -> Result<(), Refused> {
    let needs = shared.plan.needs_now();
    if needs.is_empty() {
        return Ok(());
    }
    let mut scope = state.base_scope(now_ms());
    scope.secrets = Arc::clone(&shared.secrets);
    let deadline = pause::Deadline::after(LONGEST);
    let (_sender, stop) = StopSignal::channel();
    let asked = needs.into_iter().filter_map(|(name, step)| {
        let call = call(shared, &scope, name, step)?;
        Some(look(context(shared, name, deadline, stop.clone()), call))
    });
    let failed: Vec<_> = join_all(asked)
        .await
        .into_iter()
        .filter_map(Result::err)
        .filter(keeps_out)
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    let denied = failed.iter().all(|error| error.cause == Cause::Denied);
    let mut refused = Refused {
        causes: Vec::new(),
        hints: Vec::new(),
        denied,
    };
    for error in failed {
        let hidden = |text: &str| judge::hidden(text, &shared.masker);
        refused.causes.push(hidden(&error.message));
        let hint = error.hint.as_deref().map(hidden);
        refused
            .hints
            .extend(hint.filter(|hint| !refused.hints.contains(hint)));
    }
    Err(refused)
}

/// Whether it says that there is no way in. A server that answers and has a bad moment is for the
/// step, which may wait for it.
fn keeps_out(error: &ActionError) -> bool {
    use Cause::{Denied, Invalid, Timeout, Unreachable};
    matches!(error.cause, Unreachable | Timeout | Denied | Invalid)
}

async fn look(cx: Context, call: Call) -> Result<(), ActionError> {
    match tokio::time::timeout(LONGEST + GRACE, reach::reach(&cx, &call)).await {
        Ok(reached) => reached,
        Err(_) => {
            let target = call.target.map_or_else(String::new, |target| target.name);
            let limit = human(LONGEST);
            let message = format!("target `{target}`: connected, but no answer within {limit}");
            Err(ActionError::unreachable(message))
        }
    }
}

/// A call of nothing to a target, from where the step will work. `None`: only the step can know.
fn call(shared: &Shared, scope: &StepScope, name: &str, step: u32) -> Option<Call> {
    let cwd = match &shared.plan.step(step).cwd {
        None => shared.base_dir.clone(),
        Some(template) => {
            let value = template.value.render(scope).ok()?;
            shared.base_dir.join(value.as_str()?)
        }
    };
    Some(Call {
        key: "preflight".into(),
        params: Value::Null,
        target: Some(shared.targets.get(name)?.clone()),
        env: Vec::new(),
        cwd,
        backup: None,
    })
}

fn context(shared: &Shared, name: &str, deadline: pause::Deadline, stop: StopSignal) -> Context {
    Context {
        run: shared.run.clone(),
        step: format!("preflight.{name}"),
        attempt: 1,
        direction: "do",
        run_dir: shared.run_dir.clone(),
        step_dir: shared.run_dir.join("steps").join("preflight"),
        idempotency_key: format!("ferry:{}:preflight", shared.run),
        deadline: Some(deadline),
        kill_after: Duration::ZERO,
        phase_started: 0.0,
        stop,
        output: Arc::new(Silent),
        results: Arc::new(|_| None),
        clients: Arc::clone(&shared.clients),
    }
}

/// Connecting prints nothing.
struct Silent;

impl Output for Silent {
    fn chunk(&self, _: Stream, _: &[u8]) {}
    fn progress(&self, _: &str) {}
}
