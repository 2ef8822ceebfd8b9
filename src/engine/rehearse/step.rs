//! One step of a walk: what it needs, what it reads or would do, and what can be judged of it now.

use std::time::Instant;

use serde_json::{Map, Value};

use super::super::clock::now_ms;
use super::super::judge;
use super::found::{self, asks_for, asks_unread, not_verified};
use super::hands::Asker;
use super::touch::{Sight, Touch};
use super::walk::{At, Walker, When, milliseconds};
use crate::action::{ActionError, Call, Rehearsed};
use crate::event::rehearsal::{Entry, Word};
use crate::event::{Cause, Outcome, Report, StepEvent};
use crate::expr::Evidence;
use crate::run::StepScope;
use crate::runbook::model::{OutputDef, Probe, Step};

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
        let not_judged = step
            .expect
            .iter()
            .map(|expr| self.hands.hidden(expr.text()));
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
    async fn ask(
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
    fn before(&self, call: &Call, when: When) -> Option<String> {
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
        if let Some(message) = judge::cut_but_needed(&step.expect, &result) {
            let error = ActionError::limit(Outcome::NotApplied, message);
            found::wrong(entry, self.hands, &error, step.tolerate);
            return false;
        }
        entry.result = judge::bounded(result.clone(), &self.hands.masker);
        let kept = judge::hidden_json(result.clone(), &self.hands.masker);
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
        for expr in &step.expect {
            match self.undecided([&expr.value]) {
                Some(_) => entry.not_judged.push(self.hands.hidden(expr.text())),
                None => judged.push(expr.clone()),
            }
        }
        entry.evidence = judge::judge(&judged, &scope, &self.hands.masker);
        let missed = judge::failure(&entry.evidence, Outcome::NotApplied);
        if let Some(other) = before {
            if step.expect.is_empty() {
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
            let mut error = ActionError::new(missed.cause, Outcome::NotApplied, missed.message);
            error.retryable = true;
            self.failed(step, at, None, &error, entry);
            // it was read all the same
            if entry.problem.is_some() {
                entry.word = Word::Read;
                entry.exact = true;
                entry.why = None;
            }
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

    /// Whether an output asks for a secret whose value is not read.
    fn leaves_outputs_open(&self, step: &Step, entry: &mut Entry) -> bool {
        let open = step.outputs.iter().filter_map(|(output, def)| match def {
            OutputDef::Value(expr) => {
                asks_unread([&expr.value], self.hands).map(|secret| (output, secret))
            }
            _ => None,
        });
        let open: Vec<_> = open.collect();
        let Some((_, secret)) = open.first() else {
            return false;
        };
        let why = format!("an output asks for the secret `{secret}`, whose value is not read");
        not_verified(entry, why);
        let names = open
            .iter()
            .map(|(output, _)| format!("output `{}`", ***output));
        entry.not_judged.extend(names);
        true
    }

    fn outputs(&self, step: &Step, scope: &StepScope) -> Result<Map<String, Value>, ActionError> {
        let mut outputs = Map::new();
        for (name, def) in &step.outputs {
            let OutputDef::Value(expr) = def else {
                continue;
            };
            if asks_unread([&expr.value], self.hands).is_some() {
                continue;
            }
            let value = expr.value.value(scope).map_err(|error| {
                ActionError::failed(Outcome::NotApplied, format!("output `{}`: {error}", **name))
            })?;
            outputs.insert(
                name.value.clone(),
                judge::hidden_json(value, &self.hands.masker),
            );
        }
        Ok(outputs)
    }

    /// Whether `done_when` says that there is nothing to do.
    async fn is_done(&mut self, step: &Step, at: At, scope: &StepScope, entry: &mut Entry) -> bool {
        let Some(probe) = step
            .done_when
            .as_deref()
            .filter(|_| at.when == When::Forward)
        else {
            return false;
        };
        match self
            .look(
                step,
                probe,
                Asker::Vouched,
                at,
                scope.clone(),
                &entry.name(),
            )
            .await
        {
            Ok((evidence, None)) if judge::passed(&evidence) => {
                entry.word = Word::Read;
                entry.evidence = evidence;
                entry
                    .notes
                    .push("`done_when` holds: it would be left out".into());
                self.unknown.insert(step.id.value.clone());
                true
            }
            Ok((_, Some(other))) => {
                entry
                    .notes
                    .push(format!("`done_when` reads what `{other}` would change"));
                false
            }
            Ok(_) => {
                entry
                    .notes
                    .push("`done_when` was really read: it is to be done".into());
                false
            }
            Err(why) => {
                // whether there is anything to do is not known then; what is wrong is told all the same
                self.doubt = Some(format!("`done_when` was not read: {why}"));
                false
            }
        }
    }

    /// What a probe says, and the change before it that was not made.
    async fn look(
        &mut self,
        step: &Step,
        probe: &Probe,
        asker: Asker,
        at: At,
        mut scope: StepScope,
        name: &str,
    ) -> Result<(Vec<Evidence>, Option<String>), String> {
        let needed = found::needed(step, &probe.call);
        let expect = probe.expect.iter().map(|expr| &expr.value);
        if let Some(id) = asks_for(needed.into_iter().chain(expect), &|id| {
            self.unknown.contains(id)
        }) {
            return Err(format!("it needs the result of `{id}`"));
        }
        if let Some(name) = asks_unread(probe.expect.iter().map(|expr| &expr.value), self.hands) {
            return Err(format!(
                "it needs the secret `{name}`, whose value is not read"
            ));
        }
        let said = |error: &ActionError| error.message.clone();
        let call = self
            .hands
            .call(step, &probe.call, &scope)
            .map_err(|error| self.hands.hidden(&said(&error)))?;
        let before = self.before(&call, at.when);
        let read = self.read(step, &probe.call, &call, name, asker).await;
        match read.map_err(|error| self.hands.hidden(&said(&error)))? {
            Rehearsed::Read(result) => {
                scope.result = Some(result);
                Ok((
                    judge::judge(&probe.expect, &scope, &self.hands.masker),
                    before,
                ))
            }
            Rehearsed::Simulated(_) => Err("it would change something".into()),
            Rehearsed::NotVerified(why) => Err(self.hands.hidden(&why)),
        }
    }

    /// What the author wrote to take the step's place.
    async fn stand_in(
        &mut self,
        step: &Step,
        probe: &Probe,
        at: At,
        scope: StepScope,
        entry: &mut Entry,
    ) {
        let key = probe.call.key.value.clone();
        match self
            .look(step, probe, Asker::StandIn, at, scope, &entry.name())
            .await
        {
            Ok((evidence, None)) => {
                entry.word = Word::Simulated;
                entry.exact = false;
                entry.notes.push(format!("by its stand-in, `{key}`"));
                let missed = judge::failure(&evidence, Outcome::NotApplied);
                entry.evidence = evidence;
                entry.problem = missed.map(|missed| format!("its stand-in: {}", missed.message));
            }
            Ok((evidence, Some(other))) => {
                entry.evidence = evidence;
                not_verified(
                    entry,
                    format!("its stand-in reads what `{other}` would change"),
                );
            }
            Err(why) => {
                entry.problem = Some(format!("its stand-in: {why}"));
                not_verified(entry, format!("its stand-in: {why}"));
            }
        }
    }
}

/// What a run looks at after the step, or after its undo, and a rehearsal cannot.
fn later(step: &Step) -> impl Iterator<Item = String> {
    let told = [
        (step.then_wait.is_some(), "`then_wait`"),
        (step.undone_when.is_some(), "`undone_when`"),
    ];
    let told = told.into_iter().filter(|(written, _)| *written);
    told.map(|(_, name)| name.to_owned())
}

fn behind(other: &str) -> String {
    format!("it stands behind `{other}`, which was not carried out")
}
