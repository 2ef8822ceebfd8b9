//! One reading by hand, with the hands of a rehearsal: nothing can be changed with them.
//!
//! Main type: [`Looking`], a plan of one step that is read again and again. What it returns is masked.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::clock::{now_ms, seconds};
use super::super::judge;
use super::super::start::EngineError;
use super::RUN;
use super::hands::{Asker, Hands};
use crate::action::{ActionError, Rehearsed, pause};
use crate::event::{Cause, Failure, Outcome, RunOptions};
use crate::expr::{Evidence, Expr};
use crate::plan::{Plan, StepKey};
use crate::run::{RunState, StepScope};
use crate::runbook::model::Step;
use crate::runbook::units::human;

/// What came of one look.
#[derive(Clone, Debug)]
pub struct Looked {
    /// What was read.
    pub result: Option<Value>,
    /// Why nothing was, or not all.
    pub failure: Option<Failure>,
    /// The judgements; none where nothing was read.
    pub evidence: Vec<Evidence>,
    /// What the expressions that were asked for come to; `None`: no number.
    pub values: Vec<Option<f64>>,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
}

/// A system to look at.
pub struct Looking {
    hands: Hands,
    state: RunState,
    longest: Duration,
    since: i64,
}

impl Looking {
    /// The first step of this plan; `longest` for one look. What asks for the beginning of its phase is
    /// told that it was `before` ago when the first look begins.
    ///
    /// # Errors
    /// When an address has no value, or a secret cannot be masked.
    pub fn new(
        plan: Plan,
        secrets: HashMap<String, String>,
        base_dir: &Path,
        longest: Duration,
        before: Duration,
    ) -> Result<Self, EngineError> {
        let state = RunState::new(Arc::new(plan), RUN, "", RunOptions::default());
        let run_dir = base_dir.join(RUN);
        let hands = super::hands(&state, secrets, base_dir, run_dir, false)?;
        let before = i64::try_from(before.as_millis()).unwrap_or(i64::MAX);
        Ok(Self {
            hands,
            state,
            longest,
            since: now_ms().saturating_sub(before),
        })
    }

    /// Whether it only reads.
    pub fn reads(&self) -> bool {
        !self.step().changes()
    }

    fn step(&self) -> &Step {
        self.state.plan().step(0)
    }

    /// A text without secrets.
    pub fn hidden(&self, text: &str) -> String {
        self.hands.hidden(text)
    }

    /// Looks once, judges what the step expects, and evaluates `values` beside it.
    pub async fn look(&self, values: &[Expr]) -> Looked {
        let began = Instant::now();
        let step = self.step();
        let mut scope = self.state.scope(step, Some(StepKey::of(0)), now_ms());
        scope.secrets = Arc::clone(&self.hands.secrets);
        let read = self.read(step, &scope).await;
        let took_ms = began.elapsed().as_secs_f64() * 1_000.0;
        let (result, failed) = match read {
            Ok(result) => (Some(result), None),
            // a status that is asked about is an answer, whatever it is
            Err(mut error) if error.cause == Cause::Failed && error.result.is_some() => {
                (error.result.take(), Some(error))
            }
            Err(error) => (None, Some(error)),
        };
        let mut failure = failed.map(|error| error.failure(|text| self.hidden(text)));
        let mut evidence = Vec::new();
        let mut found = vec![None; values.len()];
        if let Some(result) = &result {
            scope.result = Some(result.clone());
            scope.now = now_ms();
            match judge::cut_but_needed(&step.expect, result) {
                Some(message) => failure = failure.or_else(|| Some(limit(message))),
                None => evidence = judge::judge(&step.expect, &scope, &self.hands.masker),
            }
            let number = |expr: &Expr| expr.value(&scope).ok()?.as_f64();
            found = values.iter().map(number).collect();
        }
        Looked {
            result: result.map(|result| judge::hidden_json(result, &self.hands.masker)),
            failure,
            evidence,
            values: found,
            took_ms,
        }
    }

    async fn read(&self, step: &Step, scope: &StepScope) -> Result<Value, ActionError> {
        let used = &step.action;
        if !self.reads() {
            let message = format!("`{}` would change something", *used.key);
            return Err(ActionError::invalid(message));
        }
        let call = self.hands.call(step, used, scope)?;
        let Some(reader) = self.hands.reader(used) else {
            let message = format!("there is no action `{}`", call.key);
            return Err(ActionError::invalid(message));
        };
        let mut cx = self
            .hands
            .context(step, "probe", Asker::Plain, seconds(self.since));
        cx.deadline = pause::Deadline::after(self.longest);
        match tokio::time::timeout(self.longest, reader.rehearse(&cx, &call)).await {
            Ok(Ok(Rehearsed::Read(result))) => Ok(result),
            Ok(Ok(Rehearsed::Simulated(_))) => {
                let message = format!("`{}` would change something", call.key);
                Err(ActionError::invalid(message))
            }
            Ok(Ok(Rehearsed::NotVerified(why))) => Err(ActionError::invalid(why)),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let message = format!("reading it was not over after {}", human(self.longest));
                Err(ActionError::new(
                    Cause::Timeout,
                    Outcome::NotApplied,
                    message,
                ))
            }
        }
    }
}

fn limit(message: String) -> Failure {
    Failure {
        cause: Cause::Limit,
        outcome: Outcome::NotApplied,
        message,
        hint: None,
    }
}
