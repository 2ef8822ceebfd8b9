//! Settling a doubt: by what was found out, by the author's rules, or by a person.

use super::effect::{Decision, Effect};
use super::parts::StepStatus;
use super::state::RunState;
use crate::event::{
    Answer, Cause, Failure, How, Outcome, Question, Report, Resolution, RunEvent, RunFailure,
    RunStatus, StepEvent,
};
use crate::expr::{Evidence, Verdict};
use crate::plan::StepKey;
use crate::runbook::gate::Gate;
use crate::runbook::model::InDoubt;

/// What a person said.
pub(super) struct Said<'a> {
    pub(super) by: &'a str,
    pub(super) answer: Answer,
    pub(super) code: Option<&'a str>,
    pub(super) reason: &'a str,
}

impl RunState {
    /// What follows from what was found out about a step in doubt.
    pub(super) fn examined(
        &self,
        key: StepKey,
        attempt: u32,
        done: Option<&[Evidence]>,
        failure: Option<&Failure>,
        now: i64,
    ) -> Decision {
        let step = self.plan.name(key);
        let def = self.plan.step(key.step);
        if let Some(failure) = failure.filter(|failure| failure.cause == Cause::Stopped) {
            // looking was stopped with the run: it is looked at when the run goes on
            let failure = self.doubts.get(&key).unwrap_or(failure).clone();
            return Decision::event(StepEvent::InDoubt {
                step,
                attempt,
                failure,
            });
        }
        let resolved = |how: How, to: Resolution| self.resolved_to(key, how, to);
        let again = |decision: Decision| match self.goes_on_after_doubt() {
            true => decision.with(Effect::Wake { key, at: now }),
            false => decision,
        };
        let said = done.map(|evidence| (evidence.to_vec(), verdict(evidence)));
        let unmet = self.step(key).unmet && self.failure.is_none();
        match (said, failure) {
            // its effect was there before, and it was not all that was expected
            (Some((_, Verdict::Pass)), None) if unmet && def.idempotent => {
                again(resolved(How::Idempotent, Resolution::Again))
            }
            (Some((_, Verdict::Pass)), None) if unmet => {
                let why = "its effect is there, and what was expected of it was not met";
                self.ask(key, Question::InDoubt, why.into(), done)
            }
            (Some((evidence, Verdict::Pass)), None) => {
                resolved(How::Probe { evidence }, Resolution::Done)
            }
            (Some((evidence, Verdict::Fail)), None) => {
                match self.doubts.get(&key) {
                    // it was seen to fail: what follows is what follows from that failure
                    Some(own) if seen_to_fail(own) => {
                        self.attempt_failed(key, attempt, own, &Report::default(), now)
                    }
                    _ => again(resolved(How::Probe { evidence }, Resolution::Again)),
                }
            }
            (None, None) if def.idempotent => again(resolved(How::Idempotent, Resolution::Again)),
            _ => self.unclear(key, attempt, done, failure, now),
        }
    }

    /// What follows where nothing says whether it took effect.
    fn unclear(
        &self,
        key: StepKey,
        attempt: u32,
        done: Option<&[Evidence]>,
        failure: Option<&Failure>,
        now: i64,
    ) -> Decision {
        let def = self.plan.step(key.step);
        let resolved = |how: How, to: Resolution| self.resolved_to(key, how, to);
        let own = self.doubts.get(&key);
        let own = own.filter(|own| seen_to_fail(own) && self.failure.is_none());
        if let Some(own) = own {
            return self.attempt_failed(key, attempt, own, &Report::default(), now);
        }
        let at_work = failure.is_some_and(|failure| failure.cause == Cause::Lost);
        if self.failure.is_some() && !at_work {
            // going back: its undo covers it either way
            return resolved(How::Policy, Resolution::Failed);
        }
        if def.in_doubt == InDoubt::Fail && failure.is_none() {
            let failed = resolved(How::Policy, Resolution::Failed);
            return match def.tolerate {
                true => failed,
                false => failed.and(RunEvent::Failed(self.doubtful(key))),
            };
        }
        let why = match (failure, done) {
            (Some(failure), _) => failure.message.clone(),
            (None, Some(evidence)) => evidence
                .iter()
                .find_map(|one| one.reason.clone())
                .unwrap_or_else(|| "`done_when` has no answer".into()),
            (None, None) => self.doubts.get(&key).map_or_else(
                || "the engine ended in the middle of it".into(),
                |own| own.message.clone(),
            ),
        };
        self.ask(key, Question::InDoubt, why, done)
    }

    /// The doubt about a step's latest attempt is settled.
    fn resolved_to(&self, key: StepKey, how: How, to: Resolution) -> Decision {
        Decision::event(StepEvent::Resolved {
            step: self.plan.name(key),
            attempt: self.step(key).attempt,
            how,
            to,
        })
    }

    pub(super) fn ask(
        &self,
        key: StepKey,
        question: Question,
        why: String,
        evidence: Option<&[Evidence]>,
    ) -> Decision {
        Decision::event(StepEvent::Asked {
            step: self.plan.name(key),
            question,
            why,
            evidence: evidence.map(<[Evidence]>::to_vec).unwrap_or_default(),
            brief: None,
            nonce: String::new(),
        })
    }

    fn goes_on_after_doubt(&self) -> bool {
        self.failure.is_none() && self.status == RunStatus::Running
    }

    fn doubtful(&self, key: StepKey) -> RunFailure {
        let own = self.doubts.get(&key);
        let failure = Failure {
            cause: own.map_or(Cause::Lost, |own| own.cause),
            outcome: Outcome::Unknown,
            message: "whether it took effect is not known, and the runbook counts that as failed"
                .into(),
            hint: None,
        };
        self.run_failure(Some(key), self.plan.phase_of(key.step), &failure)
    }

    /// What follows from an answer; else why it is none.
    pub(super) fn answered(
        &self,
        name: &str,
        said: &Said<'_>,
        now: i64,
    ) -> Result<Decision, String> {
        if let Some(item) = self.asked_item(name) {
            return self.item_answered(item, said, now);
        }
        let asked = self.plan.key(name).and_then(|key| {
            let asked = self.questions.iter().find(|(asked, _)| *asked == key);
            asked.copied()
        });
        let Some((key, question)) = asked else {
            return Err(self.not_asked(name));
        };
        if !question.answers().contains(&said.answer) {
            let words: Vec<&str> = question.answers().iter().map(|one| one.word()).collect();
            return Err(format!(
                "`{}` is no answer to what is asked about `{name}`: {}",
                said.answer.word(),
                words.join(", ")
            ));
        }
        self.said(key, question, said, now)
    }

    /// What follows from an answer to what is asked about a step.
    fn said(
        &self,
        key: StepKey,
        question: Question,
        said: &Said<'_>,
        now: i64,
    ) -> Result<Decision, String> {
        let step = self.plan.name(key);
        let how = How::Person {
            by: said.by.to_owned(),
            reason: said.reason.to_owned(),
        };
        let resolved = |how: How, to: Resolution| self.resolved_to(key, how, to);
        let wake = |decision: Decision| match self.status {
            RunStatus::Running => decision.with(Effect::Wake { key, at: now }),
            _ => decision,
        };
        Ok(match said.answer {
            Answer::Done => resolved(how, Resolution::Done),
            Answer::NotDone => wake(resolved(how, Resolution::NotDone)),
            Answer::Retry if question == Question::Failure => self.due_again(key),
            Answer::Retry => wake(resolved(how, Resolution::Again)),
            Answer::Rollback if question == Question::InDoubt => {
                resolved(how, Resolution::Failed).and(self.gives_up(key, said))
            }
            Answer::Rollback => Decision::event(match self.failed_with.get(&key) {
                // what failed is why it goes back; who said so is in the order
                Some(failure) if question == Question::Failure => RunEvent::Failed(
                    self.run_failure(Some(key), self.plan.phase_of(key.step), failure),
                ),
                _ => self.gives_up(key, said),
            })
            .with(Effect::StopReading),
            Answer::Abort => self.aborted_by_answer(),
            Answer::Skip if said.reason.trim().is_empty() => {
                return Err("leaving something out needs a reason".into());
            }
            Answer::Skip
                if question == Question::Failure
                    && Gate::of(self.plan.step(key.step)) == Some(Gate::Approve) =>
            {
                return Err(format!(
                    "`{step}` is an approval, and nobody passes over it: `retry` asks again"
                ));
            }
            Answer::Skip if question == Question::Failure => Decision::event(StepEvent::Accepted {
                step,
                by: said.by.to_owned(),
                reason: said.reason.to_owned(),
            }),
            Answer::Skip => {
                self.gate_in_time(key, now)?;
                Decision::event(self.left_out(key, said.by, said.reason))
            }
            Answer::Proceed => {
                let code = said.code.map(str::to_uppercase);
                if question == Question::PointOfNoReturn && code != Some(self.code()) {
                    return Err(
                        "crossing the point of no return needs the run's code, and this is not it"
                            .into(),
                    );
                }
                Decision::event(StepEvent::Approved {
                    step,
                    by: said.by.to_owned(),
                    reason: said.reason.to_owned(),
                })
            }
        })
    }

    /// What is in flight is ended first, as by the order.
    pub(super) fn aborted_by_answer(&self) -> Decision {
        match self.status.is_parked() {
            true => Decision::event(RunEvent::Finished {
                status: RunStatus::Aborted,
            }),
            false => Decision::none().with(Effect::StopAll { now: true }),
        }
    }

    fn gives_up(&self, key: StepKey, said: &Said<'_>) -> RunEvent {
        let failure = Failure {
            cause: Cause::Stopped,
            outcome: Outcome::Unknown,
            message: format!("{} chose to go back: {}", said.by, said.reason),
            hint: None,
        };
        RunEvent::Failed(self.run_failure(Some(key), self.plan.phase_of(key.step), &failure))
    }

    pub(super) fn not_asked(&self, name: &str) -> String {
        let asked: Vec<String> = self
            .questions()
            .map(|(step, _)| format!("`{step}`"))
            .collect();
        match (asked.is_empty(), self.plan.key(name)) {
            (true, Some(_)) => format!("nothing is asked about `{name}`"),
            (true, None) => format!("there is no step `{name}`, and nothing is asked"),
            (false, _) => format!(
                "nothing is asked about `{name}`; it is about {}",
                asked.join(", ")
            ),
        }
    }

    /// The question before the point of no return, if it is still to be asked or answered.
    pub(super) fn gate(&self, key: StepKey) -> Option<Decision> {
        let step = self.plan.step(key.step);
        if !step.point_of_no_return || self.approved.contains(&key) {
            return None;
        }
        let asked = self.questions.iter().any(|(asked, _)| *asked == key);
        let itself = usize::from(self.step(key).status == StepStatus::Waiting);
        if asked || self.in_flight > 0 || self.waiting > itself {
            // everything else comes to rest first, so that what lies before the line is known
            return Some(Decision::none());
        }
        let why = "behind it nothing is taken back by itself".into();
        Some(self.ask(key, Question::PointOfNoReturn, why, None))
    }

    /// Whether something has to be answered or looked at before anything new starts.
    pub(super) fn held_by_doubt(&self) -> bool {
        let holds = |(_, question): &(StepKey, Question)| question.holds();
        self.questions.iter().any(holds) || !self.doubts.is_empty()
    }

    /// Steps in doubt that nobody looks at yet.
    pub(super) fn unexamined(&self) -> Option<StepKey> {
        let mut keys: Vec<&StepKey> = self.doubts.keys().collect();
        keys.sort_unstable();
        keys.into_iter()
            .find(|key| self.step(**key).status == StepStatus::InDoubt)
            .copied()
    }
}

/// Whether an attempt in doubt ended before this engine's eyes, and not by its own defect.
fn seen_to_fail(own: &Failure) -> bool {
    !matches!(own.cause, Cause::Lost | Cause::Stopped | Cause::Internal)
}

/// What a probe says as a whole.
pub(super) fn verdict(evidence: &[Evidence]) -> Verdict {
    let all = |verdict: Verdict| evidence.iter().all(|one| one.verdict == verdict);
    let any = |verdict: Verdict| evidence.iter().any(|one| one.verdict == verdict);
    if !evidence.is_empty() && all(Verdict::Pass) {
        Verdict::Pass
    } else if any(Verdict::Error) {
        Verdict::Error
    } else if any(Verdict::Inconclusive) || evidence.is_empty() {
        Verdict::Inconclusive
    } else {
        Verdict::Fail
    }
}
