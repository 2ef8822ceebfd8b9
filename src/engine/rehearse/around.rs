//! What stands around a step of a walk: its outputs, the probes before it, its stand-in, and what only a
//! run can look at.

use std::time::Instant;

use serde_json::{Map, Value};

use super::super::clock::now_ms;
use super::super::judge;
use super::found::{self, asks_for, asks_unread, blank, not_verified};
use super::hands::Asker;
use super::walk::{At, Walker, When};
use crate::action::{ActionError, Rehearsed};
use crate::event::rehearsal::{Entry, Word};
use crate::event::{Outcome, StepEvent};
use crate::expr::Evidence;
use crate::run::StepScope;
use crate::runbook::model::{OutputDef, Probe, Step};

impl Walker<'_> {
    /// Whether an output asks for a secret whose value is not read.
    pub(super) fn leaves_outputs_open(&self, step: &Step, entry: &mut Entry) -> bool {
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

    pub(super) fn outputs(
        &self,
        step: &Step,
        scope: &StepScope,
    ) -> Result<Map<String, Value>, ActionError> {
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

    pub(super) fn leave_phase_out(&mut self, at: usize, why: &str, evidence: Evidence) {
        let plan = std::sync::Arc::clone(&self.hands.plan);
        let phase = &plan.runbook.phases[at];
        let skipped = StepEvent::PhaseSkipped {
            phase: phase.name.value.clone(),
            evidence,
        };
        self.state.apply(&skipped.into(), now_ms());
        for step in &phase.steps {
            let mut entry = blank(&phase.name, &step.id, &step.action.key);
            entry.why = Some(why.to_owned());
            self.entries.push(entry);
        }
    }

    /// Whether `done_when` says that there is nothing to do.
    pub(super) async fn is_done(
        &mut self,
        step: &Step,
        at: At,
        scope: &StepScope,
        entry: &mut Entry,
    ) -> bool {
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
    pub(super) async fn look(
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
    pub(super) async fn stand_in(
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
pub(super) fn later(step: &Step) -> impl Iterator<Item = String> {
    let told = [
        (step.then_wait.is_some(), "`then_wait`"),
        (step.undone_when.is_some(), "`undone_when`"),
    ];
    let told = told.into_iter().filter(|(written, _)| *written);
    let told = told.map(|(_, name)| name.to_owned());
    told.chain(super::watched::later(step))
}

/// Since then, in milliseconds.
pub(super) fn milliseconds(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}
