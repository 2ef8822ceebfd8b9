//! One step of a walk: what it needs, what it reads or would do, and what can be judged of it now.

use std::time::Instant;

use serde_json::Value;

use super::super::clock::now_ms;
use super::super::judge;
use super::around::{later, milliseconds};
use super::found::{self, asks_for, asks_unread, not_verified};
use super::hands::Asker;
use super::touch::{Sight, Touch};
use super::walk::{At, Walker, When};
use super::watched::expected;
use crate::action::{ActionError, Call, Rehearsed};
use crate::event::rehearsal::{Entry, Word};
use crate::event::{Cause, Failure, Outcome, Report, StepEvent};
use crate::run::StepScope;
use crate::runbook::model::Step;

impl Walker<'_> {
    /// One step, or one item of it.
    pub(super) async fn one(&mut self, step: &Step, at: At, mut entry: Entry) -> Entry {
        let began = Instant::now();
        self.doubt = None;
        self.rehearse(step, at, &mut entry).await;
        if let Some(why) = self
            .doubt
            .take()
            .filter(|_| entry.word != Word::NotVerified)
        {
            not_verified(&mut entry, why);
            self.unknown.insert(step.id.value.clone());
        }
        entry.not_judged.extend(later(step));
        entry.took_ms = milliseconds(began);
        entry
    }

    async fn rehearse(&mut self, step: &Step, at: At, entry: &mut Entry) {
        let expected = expected(step);
        let not_judged = expected.iter().map(|expr| self.hands.hidden(expr.text()));
        let not_judged: Vec<String> = not_judged.collect();
        let used = &step.action;
        let asked = asks_for(found::needed(step, used), &|id| self.unknown.contains(id));
        if let Some(id) = asked {
            let why = format!("it needs the result of `{id}`, which was not carried out");
            not_verified(entry, why);
            entry.not_judged = not_judged;
            self.unsure(step, None);
            return;
        }
        let scope = self.scope(step, at.key);
        let call = match self.hands.call(step, used, &scope) {
            Ok(call) => call,
            Err(error) => {
                found::wrong(entry, self.hands, &error, step.tolerate);
                self.unsure(step, None);
                return;
            }
        };
        if let Some(reader) = self.hands.reader(used) {
            entry.does = self.hands.hidden(&reader.describe(&call));
        }
        if self.is_done(step, at, &scope, entry).await {
            return;
        }
        if let Some(probe) = step.rehearse.as_deref() {
            self.stand_in(step, probe, at, scope, entry).await;
            entry.not_judged = not_judged;
            self.unsure(step, Touch::of(step, &call));
            return;
        }
        self.ask(step, at, scope, &call, entry, not_judged).await;
    }

    /// Reads, or has it said what would be done.
    pub(super) async fn ask(
        &mut self,
        step: &Step,
        at: At,
        scope: StepScope,
        call: &Call,
        entry: &mut Entry,
        not_judged: Vec<String>,
    ) {
        let used = &step.action;
        let asker = match step.read_only {
            Some(true) => Asker::Vouched,
            _ => Asker::Plain,
        };
        let before = self.before(call, at.when);
        let unread = asks_unread(found::needed(step, used), self.hands);
        match self.read(step, used, call, &entry.name(), asker).await {
            Ok(Rehearsed::Read(result)) => {
                if !self.judge(step, at, scope, before, result, entry) {
                    self.unknown.insert(step.id.value.clone());
                }
            }
            Ok(Rehearsed::Simulated(simulated)) => {
                found::simulated(entry, self.hands, simulated);
                if let Some(name) = &unread {
                    entry.exact = false;
                    if ["file.", "redis."]
                        .iter()
                        .any(|kind| used.key.starts_with(kind))
                    {
                        // what is there now may be that secret, and nothing masks it then
                        entry.detail.clear();
                        entry.result = Value::Null;
                    }
                    entry
                        .notes
                        .push(format!("without the value of the secret `{name}`"));
                }
                self.soften(before, at.when, entry);
                entry.not_judged = not_judged;
                self.unsure(step, Touch::of(step, call));
            }
            Ok(Rehearsed::NotVerified(why)) => {
                not_verified(entry, self.hands.hidden(&why));
                entry.not_judged = not_judged;
                self.unsure(step, Touch::of(step, call));
            }
            Err(error) => {
                let before = match error.cause {
                    // what is wrong with the call itself, a missing file say, only files can mend
                    Cause::Invalid => self.moved(&Sight::Files, at.when),
                    _ => before,
                };
                match &unread {
                    Some(name) => {
                        let message = self.hands.hidden(&error.message);
                        let why =
                            format!("{message}; the value of the secret `{name}` is not read");
                        not_verified(entry, why);
                    }
                    None => self.failed(step, at, before, &error, entry),
                }
                self.unsure(step, Touch::of(step, call));
            }
        }
    }

    /// A step of which no result is known, and what it would touch.
    pub(super) fn unsure(&mut self, step: &Step, touch: Option<Touch>) {
        self.unknown.insert(step.id.value.clone());
        let changes = step.changes() && !step.leaves_nothing();
        let touch = touch.or_else(|| changes.then_some(Touch::Anything));
        self.pending
            .extend(touch.map(|touch| (step.id.value.clone(), touch)));
    }

    /// The change that was not made, and that may move what the call sees.
    pub(super) fn before(&self, call: &Call, when: When) -> Option<String> {
        self.moved(&Sight::of(call), when)
    }

    fn moved(&self, sight: &Sight, when: When) -> Option<String> {
        if when != When::Forward {
            return None;
        }
        let moved = self.pending.iter().find(|(_, touch)| touch.moves(sight));
        moved.map(|(step, _)| step.clone())
    }

    fn failed(
        &self,
        step: &Step,
        at: At,
        before: Option<String>,
        error: &ActionError,
        entry: &mut Entry,
    ) {
        let message = self.hands.hidden(&error.message);
        let now = |why: String| format!("{message}; {why}");
        match (before, at.when) {
            (Some(other), _) => not_verified(entry, now(behind(&other))),
            // a program that is missing is missing, wherever on the way
            (None, When::Midway) if *step.action.key != "shell" => {
                not_verified(
                    entry,
                    now("in the middle of going back it may be otherwise".into()),
                );
            }
            (None, _) if step.retry.is_some() && error.retryable => {
                not_verified(entry, now("a run would try it again".into()));
            }
            (None, _) => found::wrong(entry, self.hands, error, step.tolerate),
        }
    }

    /// What is known of now may be otherwise by then.
    fn soften(&self, before: Option<String>, when: When, entry: &mut Entry) {
        match (before, when) {
            (Some(other), _) => entry.notes.push(format!("as it is before `{other}`")),
            (None, When::Midway) => entry
                .notes
                .push("as it is now, before anything is done".into()),
            _ => return,
        }
        entry.exact = false;
    }

    /// An expectation that is not met now.
    fn not_met(&mut self, step: &Step, at: At, missed: Failure, entry: &mut Entry) {
        let mut error = ActionError::new(missed.cause, Outcome::NotApplied, missed.message);
        error.retryable = true;
        self.failed(step, at, None, &error, entry);
        // it was read all the same
        if entry.problem.is_some() {
            entry.word = Word::Read;
            entry.exact = true;
            entry.why = None;
        }
    }

    /// Judges what was read; whether the result is one that later steps may go by.
    fn judge(
        &mut self,
        step: &Step,
        at: At,
        mut scope: StepScope,
        before: Option<String>,
        result: Value,
        entry: &mut Entry,
    ) -> bool {
        entry.word = Word::Read;
        let expected = expected(step);
        if let Some(message) = judge::cut_but_needed(&expected, &result) {
            let error = ActionError::limit(Outcome::NotApplied, message);
            found::wrong(entry, self.hands, &error, step.tolerate);
            return false;
        }
        entry.result = judge::bounded(result.clone(), &self.hands.masker);
        let kept = judge::hidden_json(result.clone(), &self.hands.masker);
        // what is read now is from before the first change, too
        scope.baseline = Some(serde_json::json!({ "result": &result }));
        scope.result = Some(result);
        scope.now = now_ms();
        let outputs = match self.outputs(step, &scope) {
            Ok(outputs) => outputs,
            Err(error) => {
                self.failed(step, at, before, &error, entry);
                return false;
            }
        };
        scope.outputs = Some(outputs.clone());
        let mut judged = Vec::new();
        for expr in &expected {
            match self.undecided([&expr.value]) {
                Some(_) => entry.not_judged.push(self.hands.hidden(expr.text())),
                None => judged.push(expr.clone()),
            }
        }
        entry.evidence = judge::judge(&judged, &scope, &self.hands.masker);
        let missed = judge::failure(&entry.evidence, Outcome::NotApplied);
        self.beside(step, &scope, &judged, before.is_some(), entry);
        if let Some(other) = before {
            if expected.is_empty() && step.watch.is_none() {
                entry.notes.push(format!("as it is before `{other}`"));
            } else {
                not_verified(entry, behind(&other));
            }
            return false;
        }
        if !entry.not_judged.is_empty() && missed.is_none() {
            not_verified(
                entry,
                "an expectation asks for a result or a secret that is not known",
            );
            return false;
        }
        if let Some(missed) = missed {
            self.not_met(step, at, missed, entry);
            return false;
        }
        if self.leaves_outputs_open(step, entry) {
            return false;
        }
        let report = Report {
            result: kept,
            outputs: outputs.into_iter().collect(),
            ..Report::default()
        };
        let finished = StepEvent::Finished {
            step: entry.name(),
            attempt: 1,
            report: Box::new(report),
        };
        if at.key.is_some() {
            self.state.apply(&finished.into(), now_ms());
        }
        !found::from_files(step)
    }
}

fn behind(other: &str) -> String {
    format!("it stands behind `{other}`, which was not carried out")
}
