//! Probes around a step: what must be known before it, and what is waited for after it.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::job::{Attempt, Job, READING_TIMEOUT};
use super::judge;
use crate::action::{Stop, pause};
use crate::event::{Cause, Failure, Outcome, Report};
use crate::expr::{Evidence, Expr};
use crate::failpoint;
use crate::runbook::model::{ActionUse, Poll, Probe, Sp, Undo};
use crate::runbook::units::human;

/// What was read before a step.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) done: Option<Vec<Evidence>>,
    pub(super) captured: Option<Value>,
    pub(super) failure: Option<Failure>,
}

impl Job {
    /// Reads `done_when`, and what `undo: auto` needs unless it is done already.
    pub(super) async fn prepare(&mut self) -> Prepared {
        let mut prepared = Prepared::default();
        if let Some(probe) = self.step.done_when.clone() {
            match self.look(&probe, READING_TIMEOUT).await {
                Ok(evidence) => {
                    let done = judge::passed(&evidence);
                    let undecided = judge::failure(&evidence, Outcome::NotApplied)
                        .filter(|_| is_undecided(&evidence));
                    prepared.done = Some(evidence);
                    prepared.failure =
                        undecided.map(|failure| said("`done_when` has no answer", failure));
                    if done || prepared.failure.is_some() {
                        return prepared;
                    }
                }
                Err(failure) => {
                    prepared.failure = Some(said("`done_when` could not be read", failure));
                    return prepared;
                }
            }
        }
        if matches!(self.step.undo, Undo::Auto(_)) && self.captures {
            match self.capture().await {
                Ok(captured) => prepared.captured = captured,
                Err(failure) => {
                    prepared.failure = Some(said("what its undo needs could not be read", failure));
                }
            }
        }
        prepared
    }

    async fn capture(&self) -> Result<Option<Value>, Failure> {
        let call = self
            .call(&self.step.action)
            .map_err(|error| self.failure(&error))?;
        let action = self.action(&self.step.action)?;
        let output = self.probe_output();
        let cx = self.context(&output, self.timeout());
        let mut stop = self.stop.clone();
        // what an undo puts back is journaled as it is: an action that reads secrets there must not
        tokio::select! {
            captured = pause::timeout(cx.time_left(self.timeout()), action.capture(&cx, &call)) => match captured {
                Ok(captured) => captured.map_err(|error| self.failure(&error)),
                Err(_) => Err(timeout(&format!("reading it was not over after {}", human(self.timeout())))),
            },
            _ = stop.above(Stop::No) => Err(Failure {
                cause: Cause::Stopped,
                outcome: Outcome::NotApplied,
                message: "reading it was stopped".into(),
                hint: None,
            }),
        }
    }

    /// Only what changes the world is an effect.
    pub(super) fn at_effect(&self, point: &str) {
        if self.step.changes() {
            failpoint::pass(point, &self.name);
        }
    }

    /// Looks once: reads and judges.
    pub(super) async fn look(
        &mut self,
        probe: &Probe,
        longest: Duration,
    ) -> Result<Vec<Evidence>, Failure> {
        let result = self.read(&probe.call, &probe.expect, longest).await?;
        let own = self.scope.result.replace(result);
        self.scope.now = super::clock::now_ms();
        let evidence = judge::judge(&probe.expect, &self.scope, &self.shared.masker);
        self.scope.result = own;
        Ok(evidence)
    }

    /// Reads what `expect` is judged over.
    pub(super) async fn read(
        &self,
        used: &ActionUse,
        expect: &[Sp<Expr>],
        longest: Duration,
    ) -> Result<Value, Failure> {
        let call = self
            .call(used)
            .map_err(|error| clean(self.failure(&error)))?;
        let action = self.action(used)?;
        let output = self.probe_output();
        let cx = self.context(&output, longest);
        failpoint::pass("probe", &self.name);
        let result = match self.carry_out(action, &cx, &call).await {
            Ok(result) => result,
            // an exit code, or a status, that is asked about is an answer, whatever it is
            Err(error)
                if error.cause == Cause::Failed
                    && error.result.is_some()
                    && asks_how_it_ended(expect) =>
            {
                error.result.unwrap_or_default()
            }
            Err(error) => return Err(clean(self.failure(&error))),
        };
        match judge::cut_but_needed(expect, &result) {
            None => Ok(result),
            Some(message) => Err(Failure {
                cause: Cause::Limit,
                outcome: Outcome::NotApplied,
                message,
                hint: None,
            }),
        }
    }

    /// Looks again and again until everything holds, at most as long as the author says.
    pub(super) async fn settle(&mut self) -> Attempt {
        let began = Instant::now();
        let mut report = Box::<Report>::default();
        let failure = match self.step.then_wait.clone() {
            Some(poll) => self.poll(&poll, &mut report).await.err(),
            None => None,
        };
        report.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        (report, failure)
    }

    async fn poll(&mut self, poll: &Poll, report: &mut Report) -> Result<(), Failure> {
        let Some(probe) = &poll.probe else {
            return Ok(());
        };
        let began = pause::Stopwatch::start();
        let mut stop = self.stop.clone();
        loop {
            let left = poll.within.saturating_sub(began.elapsed());
            let last = if left.is_zero() {
                Failure {
                    cause: Cause::Timeout,
                    outcome: Outcome::Unknown,
                    message: "there was no time to look".into(),
                    hint: None,
                }
            } else {
                match self.look(probe, left.min(READING_TIMEOUT)).await {
                    Ok(evidence) => {
                        let failure = judge::failure(&evidence, Outcome::Unknown);
                        report.evidence = evidence;
                        match failure {
                            None => return Ok(()),
                            Some(failure) => failure,
                        }
                    }
                    Err(failure) => failure,
                }
            };
            if began.elapsed() + poll.every >= poll.within {
                let message = format!("not so within {}: {}", human(poll.within), last.message);
                return Err(Failure {
                    cause: Cause::Timeout,
                    outcome: self.after(Outcome::Applied),
                    message,
                    hint: last.hint,
                });
            }
            tokio::select! {
                () = pause::sleep(poll.every) => {}
                _ = stop.above(Stop::No) => {
                    let message = "waiting for it was stopped".into();
                    return Err(Failure { cause: Cause::Stopped, outcome: self.after(Outcome::Applied), message, hint: None });
                }
            }
        }
    }
}

/// Whether a probe expects something of how its action ended, and not only of what it brought.
fn asks_how_it_ended(expect: &[Sp<Expr>]) -> bool {
    let ends = |path: &[String]| matches!(path, [root, field, ..] if root == "result" && matches!(field.as_str(), "exit_code" | "status"));
    let mut references = expect.iter().flat_map(|expr| expr.references());
    references.any(|reference| ends(&reference.path))
}

fn is_undecided(evidence: &[Evidence]) -> bool {
    use crate::expr::Verdict;
    evidence
        .iter()
        .any(|evidence| matches!(evidence.verdict, Verdict::Inconclusive | Verdict::Error))
}

fn said(what: &str, failure: Failure) -> Failure {
    Failure {
        outcome: Outcome::NotApplied,
        message: format!("{what}: {}", failure.message),
        ..failure
    }
}

/// A probe changes nothing.
fn clean(failure: Failure) -> Failure {
    Failure {
        outcome: Outcome::NotApplied,
        ..failure
    }
}

fn timeout(message: &str) -> Failure {
    Failure {
        cause: Cause::Timeout,
        outcome: Outcome::NotApplied,
        message: message.to_owned(),
        hint: None,
    }
}
