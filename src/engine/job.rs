//! One job: a step with the values it needs, carried out against the real thing.
//!
//! A job owns all it needs and knows nothing of the run's state; what it finds goes back as values.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::bus::Lines;
use super::output::StepOutput;
use super::step_dir::{self, StepDir};
use super::targets::Targets;
use super::{calls, judge};
use crate::action::{
    Action, ActionError, Call, Clients, Context, Registry, Stop, StopSignal, pause,
};
use crate::event::{Cause, Failure, Outcome, Report};
use crate::expr::{Evidence, Verdict};
use crate::plan::Plan;
use crate::run::StepScope;
use crate::runbook::model::{ActionUse, OutputDef, Step};
use crate::secret::Masker;

/// What all jobs of a run share.
pub(super) struct Shared {
    pub(super) run: String,
    pub(super) plan: Arc<Plan>,
    pub(super) registry: Registry,
    pub(super) targets: Targets,
    pub(super) masker: Masker,
    pub(super) secrets: Arc<HashMap<String, String>>,
    pub(super) clients: Arc<Clients>,
    pub(super) run_dir: PathBuf,
    /// Where relative paths start.
    pub(super) base_dir: PathBuf,
    pub(super) lines: Lines,
    /// Phases that run now.
    pub(super) phases: tokio::sync::watch::Sender<Arc<Vec<String>>>,
}

/// One attempt.
pub(super) struct Job {
    pub(super) shared: Arc<Shared>,
    pub(super) step: Step,
    /// With its item.
    pub(super) name: String,
    pub(super) attempt: u32,
    pub(super) direction: &'static str,
    pub(super) scope: StepScope,
    /// Seconds since the Unix epoch.
    pub(super) phase_started: f64,
    pub(super) backup: Option<Value>,
    pub(super) results: HashMap<String, Arc<Value>>,
    pub(super) stop: StopSignal,
    /// How the step stood, for its undo.
    pub(super) step_state: Option<&'static str>,
    /// Whether the whole result must be kept.
    pub(super) keeps: bool,
    /// Whether what `undo: auto` needs is still to be read.
    pub(super) captures: bool,
}

/// What came of an attempt.
pub(super) type Attempt = (Box<Report>, Option<Failure>);

/// Defaults where the author says no `timeout`.
pub(super) const READING_TIMEOUT: Duration = Duration::from_secs(60);
pub(super) const CHANGING_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Between TERM and KILL.
pub(super) const KILL_AFTER: Duration = Duration::from_secs(10);

impl Job {
    /// Carries the step's action out and judges its expectations.
    pub(super) async fn execute(&mut self) -> Attempt {
        let began = Instant::now();
        let output = self.output();
        let mut report = Box::<Report>::default();
        let done = self.act(&output, &mut report).await;
        let failure = match (done, output.close()) {
            (Ok(()), Ok(kept)) => {
                report.output = kept;
                None
            }
            (Err(failure), kept) => {
                report.output = kept.unwrap_or_default();
                Some(failure)
            }
            (Ok(()), Err(error)) => {
                let message = format!(
                    "its output could not be kept in `{}`: {error}",
                    self.shared.run_dir.display()
                );
                Some(Failure {
                    cause: Cause::Internal,
                    outcome: self.after(Outcome::Applied),
                    message,
                    hint: None,
                })
            }
        };
        report.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        (report, failure)
    }

    async fn act(&mut self, output: &Arc<StepOutput>, report: &mut Report) -> Result<(), Failure> {
        if self.stop.now() > Stop::No {
            let early = "the run was stopped before it began";
            let early = ActionError::new(Cause::Stopped, Outcome::NotApplied, early);
            return Err(self.failure(&early));
        }
        let call = self
            .call(&self.step.action)
            .map_err(|error| self.failure(&error))?;
        let action = self.action(&self.step.action)?;
        let cx = self.context(output, self.timeout());
        report.did = self
            .shared
            .masker
            .text(&action.describe(&call))
            .into_owned();
        let dir = match self.needs_dir(&call) {
            true => Some(StepDir::make(&cx).map_err(|error| self.no_room(&cx, &error))?),
            false => None,
        };
        self.at_effect("effect.before");
        let result = self.carry_out(action, &cx, &call).await;
        self.at_effect("effect.after");
        let result = match result {
            Ok(result) => result,
            Err(error) => {
                judge::note(report, &error, &self.shared.masker);
                return Err(self.failure(&error));
            }
        };
        report.retry_after_ms = judge::asked_wait(&result);
        self.scope.now = super::clock::now_ms();
        let applied = self.after(Outcome::Applied);
        if let Some(message) = judge::cut_but_needed(&self.step.expect, &result) {
            return Err(Failure {
                cause: Cause::Limit,
                outcome: applied,
                message,
                hint: None,
            });
        }
        self.take_in(&cx, result, report)?;
        report.evidence = judge::judge(&self.step.expect, &self.scope, &self.shared.masker);
        let warn = judge::judge(&self.step.warn, &self.scope, &self.shared.masker);
        let crossed = |one: &Evidence| one.verdict != Verdict::Pass;
        report.warnings = warn.into_iter().filter(crossed).collect();
        self.hand_over(report)?;
        drop(dir);
        match judge::failure(&report.evidence, applied) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// Takes a result in, and the outputs that are made of it.
    pub(super) fn take_in(
        &mut self,
        cx: &Context,
        result: Value,
        report: &mut Report,
    ) -> Result<(), Failure> {
        self.scope.result = Some(result);
        let outputs = self.outputs(cx)?;
        report.outputs = outputs
            .iter()
            .map(|(name, value)| {
                (
                    name.clone(),
                    judge::hidden_json(value.clone(), &self.shared.masker),
                )
            })
            .collect();
        self.scope.outputs = Some(outputs.into_iter().collect::<Map<_, _>>());
        Ok(())
    }

    /// Puts the result that was taken in into the report, as it may be kept.
    pub(super) fn hand_over(&mut self, report: &mut Report) -> Result<(), Failure> {
        let result = self.scope.result.take().unwrap_or_default();
        report.result = self.kept(result)?;
        Ok(())
    }

    /// Whether the step's own directory must be there. Making and removing one costs as much as a
    /// commit, so it is made for those that name it; other actions make theirs when they keep files.
    fn needs_dir(&self, call: &Call) -> bool {
        let files = |(_, def): &(_, OutputDef)| !matches!(def, OutputDef::Value(_));
        let named = |text: &str| text.contains("FERRY_STEP_DIR");
        self.step.outputs.iter().any(files)
            || call.params.to_string().contains("FERRY_STEP_DIR")
            || call.env.iter().any(|(_, value)| named(value))
    }

    fn no_room(&self, cx: &Context, error: &std::io::Error) -> Failure {
        Failure {
            cause: Cause::Internal,
            outcome: Outcome::NotApplied,
            message: format!("`{}` cannot be made: {error}", cx.step_dir.display()),
            hint: None,
        }
    }

    fn kept(&self, result: Value) -> Result<Value, Failure> {
        if !self.keeps {
            return Ok(judge::bounded(result, &self.shared.masker));
        }
        let masked = judge::hidden_json(result, &self.shared.masker);
        let size = judge::size(&masked);
        if size <= judge::MAX_RESULT {
            return Ok(masked);
        }
        let message = format!(
            "its result is used later and has {size} bytes; at most {} are kept",
            judge::MAX_RESULT
        );
        let hint = Some("keep the part that is needed as an `output`".into());
        Err(Failure {
            cause: Cause::Limit,
            outcome: self.after(Outcome::Applied),
            message,
            hint,
        })
    }

    /// The values of `outputs`, from the result and from files in the step's directory.
    fn outputs(&self, cx: &Context) -> Result<BTreeMap<String, Value>, Failure> {
        let mut outputs = BTreeMap::new();
        let mut total = 0;
        for (name, def) in &self.step.outputs {
            let value = match def {
                OutputDef::Value(expr) => expr
                    .value
                    .value(&self.scope)
                    .map_err(|error| error.to_string()),
                OutputDef::Json(file) => step_dir::read(cx, file).and_then(|text| {
                    serde_json::from_str(&text).map_err(|error| error.to_string())
                }),
                OutputDef::Text(file) => step_dir::read(cx, file).map(Value::from),
            };
            let value = value.and_then(|value| judge::fits(&mut total, value));
            let value = value.map_err(|reason| Failure {
                cause: Cause::Failed,
                outcome: self.after(Outcome::Applied),
                message: self
                    .shared
                    .masker
                    .text(&format!("output `{}`: {reason}", **name))
                    .into_owned(),
                hint: None,
            })?;
            outputs.insert(name.value.clone(), value);
        }
        Ok(outputs)
    }

    /// Runs an action until it ends, its deadline passes or it is stopped.
    pub(super) async fn carry_out(
        &self,
        action: &dyn Action,
        cx: &Context,
        call: &Call,
    ) -> Result<Value, ActionError> {
        if action.stops_itself() {
            return action.execute(cx, call).await;
        }
        let unknown = self.after(Outcome::Unknown);
        let mut stop = self.stop.clone();
        let left = cx.time_left(CHANGING_TIMEOUT);
        tokio::select! {
            done = pause::timeout(left, action.execute(cx, call)) => done.unwrap_or_else(|_| {
                let after = crate::runbook::units::human(left);
                Err(ActionError::new(Cause::Timeout, unknown, format!("`{}` was not over after {after}", call.key)))
            }),
            _ = stop.above(Stop::No) => Err(ActionError::new(Cause::Stopped, unknown, format!("`{}` was stopped", call.key))),
        }
    }

    /// What is known of the effect: nothing can have happened where nothing is changed.
    pub(super) fn after(&self, outcome: Outcome) -> Outcome {
        if self.step.changes() {
            outcome
        } else {
            Outcome::NotApplied
        }
    }

    pub(super) fn failure(&self, error: &ActionError) -> Failure {
        let failure = error.failure(|text| judge::hidden(text, &self.shared.masker));
        Failure {
            outcome: self.after(failure.outcome),
            ..failure
        }
    }

    pub(super) fn action(&self, used: &ActionUse) -> Result<&'static dyn Action, Failure> {
        self.shared.registry.get(&used.key).ok_or_else(|| Failure {
            cause: Cause::Internal,
            outcome: Outcome::NotApplied,
            message: format!("there is no action `{}`", *used.key),
            hint: None,
        })
    }

    pub(super) fn timeout(&self) -> Duration {
        let default = if self.step.changes() {
            CHANGING_TIMEOUT
        } else {
            READING_TIMEOUT
        };
        self.step.timeout.unwrap_or(default)
    }

    /// The action with everything in it resolved.
    pub(super) fn call(&self, used: &ActionUse) -> Result<Call, ActionError> {
        let place = calls::Place {
            targets: &self.shared.targets,
            base_dir: &self.shared.base_dir,
        };
        let mut call = calls::resolve(&place, &self.step, used, &self.scope)?;
        if let Some(state) = self.step_state {
            call.env.push(("FERRY_STEP_STATE".into(), state.into()));
        }
        call.backup.clone_from(&self.backup);
        Ok(call)
    }

    pub(super) fn context(&self, output: &Arc<StepOutput>, timeout: Duration) -> Context {
        let results = self.results.clone();
        Context {
            run: self.shared.run.clone(),
            step: self.name.clone(),
            attempt: self.attempt,
            direction: self.direction,
            run_dir: self.shared.run_dir.clone(),
            step_dir: self.shared.run_dir.join("steps").join(&self.name),
            idempotency_key: format!("ferry:{}:{}:{}", self.shared.run, self.name, self.direction),
            deadline: Some(pause::Deadline::after(timeout)),
            kill_after: KILL_AFTER,
            phase_started: self.phase_started,
            stop: self.stop.clone(),
            output: Arc::clone(output) as Arc<dyn crate::action::Output>,
            results: Arc::new(move |id| {
                results.get(id).and_then(|kept| kept.get("result")).cloned()
            }),
            clients: Arc::clone(&self.shared.clients),
        }
    }
}
