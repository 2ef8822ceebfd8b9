//! What there is to tell, from events alone, and in which words.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use crate::event::{
    CheckEvent, Event, EventKind, Parking, RollbackEvent, RunEvent, RunStatus, StepEvent, Then,
};
use crate::expr::{Scope, Template, Verdict};
use crate::runbook::comms::Occasion;
use crate::runbook::model::InputValues;
use crate::view::{PhaseStatus, RunView};

/// The longest text of a message, in bytes.
const LONGEST: usize = 8 << 10;

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Happening {
    pub(super) occasion: Occasion,
    /// The phase, by index.
    pub(super) phase: Option<usize>,
    pub(super) step: Option<String>,
    /// The guard, and what follows.
    pub(super) guard: Option<(String, Then)>,
    /// In a few words, where the occasion alone does not say it.
    pub(super) why: String,
    /// Milliseconds since the Unix epoch.
    pub(super) at: i64,
}

/// Follows a run and knows what to tell of it.
pub(super) struct Teller {
    view: RunView,
    /// Phases whose start or end was told.
    told: HashSet<(usize, Occasion)>,
}

impl Teller {
    pub(super) fn new(run: &str) -> Self {
        Self {
            view: RunView::lean().with_id(run),
            told: HashSet::new(),
        }
    }

    /// Takes an event in; what there is to tell.
    pub(super) fn take(&mut self, event: &Event) -> Vec<Happening> {
        let first = self.view.engines.is_empty();
        self.view.apply(event);
        let mut found = Vec::new();
        let mut say = |occasion, phase, step: Option<&str>, why: String| {
            found.push(Happening {
                occasion,
                phase,
                step: step.map(str::to_owned),
                guard: None,
                why,
                at: event.at,
            });
        };
        match &event.kind {
            EventKind::Run(RunEvent::Started { .. }) if first => {
                say(Occasion::RunStarted, None, None, String::new());
            }
            EventKind::Run(RunEvent::Failed(failure)) => {
                let phases = &self.view.phases;
                let named = |name: &String| phases.iter().position(|one| one.name == *name);
                let phase = failure.phase.as_ref().and_then(named);
                say(
                    Occasion::Failed,
                    phase,
                    failure.step.as_deref(),
                    failure.summary(),
                );
            }
            EventKind::Run(RunEvent::Parked { reason }) if *reason != Parking::Journal => {
                say(Occasion::Waiting, None, None, reason.words().to_owned());
            }
            EventKind::Run(RunEvent::Finished { status }) => {
                match status {
                    RunStatus::RolledBack => say(Occasion::RolledBack, None, None, String::new()),
                    RunStatus::RollbackFailed => {
                        say(Occasion::RollbackFailed, None, None, String::new());
                    }
                    _ => {}
                }
                say(Occasion::Finished, None, None, status.words().to_owned());
            }
            EventKind::Rollback(RollbackEvent::Planned { cause, .. }) => {
                say(Occasion::RollbackStarted, None, None, cause.summary());
            }
            EventKind::Step(StepEvent::Asked { step, question, .. }) => {
                let phase = self.view.step(step).map(|step| step.phase);
                let why = question.words().to_owned();
                say(Occasion::GateOpened, phase, Some(step), why);
            }
            _ => {}
        }
        if let EventKind::Check(check) = &event.kind {
            found.extend(self.guard(check, event.at));
        }
        if let EventKind::Step(step) = &event.kind {
            found.extend(self.phase(step.step(), event.at));
        }
        found
    }

    /// A guard that does not hold, where something follows from it.
    fn guard(&self, event: &CheckEvent, at: i64) -> Option<Happening> {
        let CheckEvent::Judged { check, judgement } = event else {
            return None;
        };
        let then = judgement.then?;
        let known = self.view.check(check)?;
        let bad = known.outline.guard && judgement.verdict != Verdict::Pass;
        let during = known.outline.during.iter();
        let mut running = during.filter_map(|name| {
            let phases = &self.view.phases;
            let at = phases.iter().position(|phase| phase.name == *name)?;
            (self.view.phase_status(&phases[at]) == PhaseStatus::Running).then_some(at)
        });
        let seen = judgement.evidence.iter().find_map(|one| one.reason.clone());
        let seen = seen.map_or_else(String::new, |seen| format!(": {seen}"));
        bad.then(|| Happening {
            occasion: Occasion::Guard,
            phase: running.next_back(),
            step: None,
            guard: Some((check.clone(), then)),
            why: format!("{}{seen}", judgement.why),
            at,
        })
    }

    /// Whether the phase of a step has just started, or is over.
    fn phase(&mut self, step: Option<&str>, at: i64) -> Vec<Happening> {
        let Some(phase) = step
            .and_then(|step| self.view.step(step))
            .map(|step| step.phase)
        else {
            return Vec::new();
        };
        let Some(view) = self.view.phases.get(phase) else {
            return Vec::new();
        };
        let occasions: &[Occasion] = match self.view.phase_status(view) {
            PhaseStatus::Running => &[Occasion::PhaseStarted],
            PhaseStatus::Done => &[Occasion::PhaseStarted, Occasion::PhaseFinished],
            _ => &[],
        };
        let fresh = occasions
            .iter()
            .filter(|one| self.told.insert((phase, **one)));
        fresh
            .map(|occasion| Happening {
                occasion: *occasion,
                phase: Some(phase),
                step: None,
                guard: None,
                why: String::new(),
                at,
            })
            .collect()
    }

    /// What is said where the runbook says nothing.
    pub(super) fn own_words(&self, happening: &Happening) -> String {
        let Happening { why, step, .. } = happening;
        let phase = happening.phase.and_then(|at| self.view.phases.get(at));
        let phase = phase.map_or("", |phase| phase.name.as_str());
        let said = match happening.occasion {
            Occasion::RunStarted => match self.view.engines.last() {
                Some(engine) => format!("starts, by {} on {}", engine.by, engine.host),
                None => "starts".into(),
            },
            Occasion::PhaseStarted => format!("phase `{phase}` starts"),
            Occasion::PhaseFinished => format!("phase `{phase}` is over"),
            Occasion::GateOpened => {
                let step = step.as_deref().unwrap_or_default();
                format!("`{step}` waits for people: {why}")
            }
            Occasion::Failed => format!("failed: {why}"),
            Occasion::RollbackStarted => format!("goes back, because of {why}"),
            Occasion::RolledBack => match &self.view.rollback {
                Some(back) if !back.is_whole() => {
                    "went back, and not everything is taken back: see the report".into()
                }
                _ => "everything is taken back".into(),
            },
            Occasion::RollbackFailed => "going back failed: people are needed".into(),
            Occasion::Guard => {
                let (name, follows) = match &happening.guard {
                    Some((name, Then::Rollback)) => (name.as_str(), "the run goes back"),
                    Some((name, Then::Pause)) => (name.as_str(), "the run holds and asks"),
                    Some((name, Then::Notify)) => (name.as_str(), "the run goes on"),
                    None => ("", ""),
                };
                format!("guard `{name}` does not hold ({why}); {follows}")
            }
            Occasion::Waiting => format!("stands still: {why}"),
            Occasion::Finished => format!("is over: {why}"),
        };
        bounded(format!(
            "{} ({}): {said}",
            self.view.header.shown(),
            self.view.id
        ))
    }

    /// A text of the runbook with its holes filled.
    pub(super) fn fill(&self, text: &Template, happening: &Happening) -> Result<String, String> {
        let said = Said {
            run: self.run(happening),
            phase: self.phase_value(happening),
            inputs: Inputs {
                plain: &self.view.header.inputs,
                secrets: None,
            },
        };
        let filled = text.render(&said).map_err(|error| error.to_string())?;
        Ok(bounded(match filled {
            Value::String(text) => text,
            other => other.to_string(),
        }))
    }

    fn run(&self, happening: &Happening) -> Value {
        let view = &self.view;
        let failure = view.failure.as_ref().map(|failure| {
            json!({ "summary": failure.summary(), "step": failure.step, "phase": failure.phase })
        });
        json!({
            "id": view.id,
            "name": view.header.name,
            "title": view.header.shown(),
            "status": view.status.words(),
            "operator": view.engines.last().map(|engine| &engine.by),
            "failure": failure,
            "guard": happening.guard.as_ref().map(|(name, then)| {
                json!({ "name": name, "why": happening.why, "then": then.word() })
            }),
        })
    }

    fn phase_value(&self, happening: &Happening) -> Option<Value> {
        let phase = self.view.phases.get(happening.phase?)?;
        Some(json!({
            "name": phase.name,
            "title": phase.title.as_deref().unwrap_or(&phase.name),
            "status": self.view.phase_status(phase).words(),
            "step": happening.step,
        }))
    }

    /// What a program that takes messages wants to know beside the text.
    pub(super) fn about(&self, happening: &Happening, test: bool) -> Map<String, Value> {
        let phase = happening.phase.and_then(|at| self.view.phases.get(at));
        let mut about = Map::new();
        let mut put = |key: &str, value: Value| {
            if !value.is_null() {
                about.insert(key.to_owned(), value);
            }
        };
        put("event", happening.occasion.word().into());
        put("run", self.view.id.as_str().into());
        put("runbook", self.view.header.name.as_str().into());
        put("status", self.view.status.words().into());
        put("phase", phase.map(|phase| phase.name.as_str()).into());
        put("step", happening.step.as_deref().into());
        put(
            "guard",
            happening
                .guard
                .as_ref()
                .map(|(name, _)| name.as_str())
                .into(),
        );
        let at = jiff::Timestamp::from_millisecond(happening.at).ok();
        put("at", at.map(|at| at.to_string()).into());
        put("test", test.then_some(true).into());
        about
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push_str(" ... (cut)");
    }
    text
}

/// Inputs for an address or a text.
pub(super) struct Inputs<'a> {
    pub(super) plain: &'a InputValues,
    /// Only an address may hold one.
    pub(super) secrets: Option<&'a HashMap<String, String>>,
}

impl Scope for Inputs<'_> {
    fn value(&self, root: &str, member: Option<&str>) -> Option<Cow<'_, Value>> {
        let name = member.filter(|_| root == "inputs")?;
        if let Some(secret) = self.secrets.and_then(|secrets| secrets.get(name)) {
            return Some(Cow::Owned(Value::from(secret.as_str())));
        }
        self.plain.get(name).map(Cow::Borrowed)
    }

    fn elapsed(&self, _phase: &str) -> Option<f64> {
        None
    }
}

/// What a text may say.
struct Said<'a> {
    run: Value,
    phase: Option<Value>,
    inputs: Inputs<'a>,
}

impl Scope for Said<'_> {
    fn value(&self, root: &str, member: Option<&str>) -> Option<Cow<'_, Value>> {
        let whole = match root {
            "run" => &self.run,
            "phase" => self.phase.as_ref()?,
            _ => return self.inputs.value(root, member),
        };
        match member {
            Some(field) => whole
                .get(field)
                .filter(|value| !value.is_null())
                .map(Cow::Borrowed),
            None => Some(Cow::Borrowed(whole)),
        }
    }

    fn elapsed(&self, _phase: &str) -> Option<f64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    fn told(events: &[Event]) -> Vec<(&'static str, String)> {
        let mut teller = Teller::new("r1");
        let mut told = Vec::new();
        for event in events {
            for happening in teller.take(event) {
                told.push((happening.occasion.word(), teller.own_words(&happening)));
            }
        }
        told
    }

    #[test]
    fn a_run_is_told_once_from_its_start_to_its_end() {
        let found = told(&samples::success());
        let words: Vec<_> = found.iter().map(|(word, _)| *word).collect();
        assert_eq!(
            (words[0], *words.last().unwrap()),
            ("run_started", "finished")
        );
        let count = |word| words.iter().filter(|found| **found == word).count();
        assert_eq!(count("phase_started"), count("phase_finished"));
        assert_eq!(
            (count("run_started"), count("finished"), count("failed")),
            (1, 1, 0)
        );
        assert!(
            found.last().unwrap().1.ends_with(": is over: succeeded"),
            "{found:?}"
        );
    }

    #[test]
    fn a_failure_and_the_way_back_are_told_in_their_order() {
        for (failed, end) in [(false, "rolled_back"), (true, "rollback_failed")] {
            let found = told(&samples::rolled_back(failed));
            let words: Vec<_> = found.iter().map(|(word, _)| *word).collect();
            let tail = &words[words.len() - 4..];
            assert_eq!(tail, ["failed", "rollback_started", end, "finished"]);
        }
    }

    #[test]
    fn texts_are_filled_from_the_run_and_say_what_is_not_there() {
        let mut teller = Teller::new("r1");
        let mut failed = None;
        for event in &samples::rolled_back(false) {
            let found = teller.take(event).into_iter();
            let mut found = found.filter(|one| one.occasion == Occasion::Failed);
            failed = found.next().or(failed);
        }
        let failed = failed.unwrap();
        let fill = |text: &str| teller.fill(&Template::parse(text).unwrap(), &failed);
        let text = fill("${{ run.name }}/${{ run.id }}: ${{ phase.name }} ${{ run.failure.step }}");
        let text = text.unwrap();
        assert!(text.starts_with("hybrid-cache/r1: "), "{text}");
        assert!(fill("${{ inputs.nothing }}").is_err());
    }
}
