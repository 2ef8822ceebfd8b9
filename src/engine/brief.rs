//! What people are shown before they decide: the step with its values filled in, masked and bounded.
//!
//! Main function: [`Executor::brief`]. It is made where the question is recorded, so that the journal
//! holds what was shown (reliability contract 2.5); deciding never looks at it.

use super::executor::Executor;
use super::hide::cut;
use super::job::Job;
use super::judge::hidden;
use crate::action::{Action, Call};
use crate::event::{AskOutline, Brief, EventKind, Question, StepEvent};
use crate::plan::StepKey;
use crate::run::RunState;
use crate::runbook::gate::{Approve, Gate, Manual, NotBy};
use crate::runbook::model::{ActionUse, Items, Probe, Step, Undo};
use crate::runbook::units::human;
use crate::secret::{Masker, mask_places};

/// The longest text of one value that is shown, in bytes.
const LONGEST: usize = 4 << 10;

impl Executor {
    /// The event with what people are shown, where it asks them something about a step, and with all
    /// looks at the end of a guard.
    pub(super) fn with_brief(&mut self, event: EventKind, state: &RunState) -> EventKind {
        let event = match self.without_secrets(event, state) {
            EventKind::Check(event) => return self.with_looks(event, state).into(),
            event => event,
        };
        let EventKind::Step(StepEvent::Asked {
            step,
            question,
            why,
            evidence,
            brief: None,
            nonce,
        }) = event
        else {
            return event;
        };
        let brief = state.plan().key(&step).map(|key| self.brief(key, state));
        let mut brief = brief.map(Box::new);
        if let (Some(brief), Question::Approval | Question::Manual) = (&mut brief, question) {
            brief.until = state.gate_until(&step);
        }
        StepEvent::Asked {
            step,
            question,
            why,
            evidence,
            brief,
            nonce,
        }
        .into()
    }

    /// What people typed is masked where a gate is settled, as what programs print is where they run.
    fn without_secrets(&self, event: EventKind, state: &RunState) -> EventKind {
        let EventKind::Step(mut event) = event else {
            return event;
        };
        if let StepEvent::Acted { step, report, .. } | StepEvent::Finished { step, report, .. } =
            &mut event
        {
            let plan = state.plan();
            let key = plan.key(step);
            if key.is_some_and(|key| Gate::of(plan.step(key.step)).is_some()) {
                let masker = &self.shared.masker;
                report.result = masker.json(report.result.take());
                report.did = hidden(&report.did, masker);
            }
        }
        event.into()
    }

    fn brief(&mut self, key: StepKey, state: &RunState) -> Brief {
        let name = state.plan().name(key);
        let under_way = self.running.remove(&name);
        let job = self.job(key, 1, state);
        self.running.remove(&name);
        self.running
            .extend(under_way.map(|running| (name, running)));
        of(&job)
    }
}

fn of(job: &Job) -> Brief {
    let (step, masker) = (&job.step, &job.shared.masker);
    let (call, unfilled) = match job.call(&step.action) {
        Ok(call) => (call, None),
        Err(error) => (as_written(job, &step.action), Some(error.to_string())),
    };
    let does = job.action(&step.action).map_or_else(
        |failure| failure.message,
        |action| words(action, &call, masker),
    );
    let mut brief = Brief {
        does,
        shows: shows(job, &call, unfilled),
        expects: step
            .expect
            .iter()
            .map(|expr| expr.text().to_owned())
            .collect(),
        undo: undo(job, step),
        estimate_s: step.estimate.map(|estimate| estimate.as_secs_f64()),
        ..Brief::default()
    };
    match Gate::of(step) {
        Some(Gate::Manual) => manual(&mut brief, &call, masker),
        Some(Gate::Approve) => approve(&mut brief, &call, masker),
        None => {}
    }
    brief
}

fn words(action: &dyn Action, call: &Call, masker: &Masker) -> String {
    shown(&action.describe(call), masker)
}

/// Masked, then cut, and said so.
fn shown(text: &str, masker: &Masker) -> String {
    cut(hidden(text, masker), LONGEST)
}

/// The call with its holes as they stand in the runbook.
fn as_written(job: &Job, used: &ActionUse) -> Call {
    let target = used.target.as_ref();
    Call {
        key: used.key.value.clone(),
        params: used.params.as_written(),
        target: target
            .and_then(|name| job.shared.targets.get(name.as_str()))
            .cloned(),
        env: Vec::new(),
        cwd: job.shared.base_dir.clone(),
        backup: None,
    }
}

fn shows(job: &Job, call: &Call, unfilled: Option<String>) -> Vec<(String, String)> {
    let (step, masker) = (&job.step, &job.shared.masker);
    let mut shows: Vec<(String, String)> = Vec::new();
    let mut show = |name: &str, text: &str| {
        shows.push((name.to_owned(), shown(text, masker)));
    };
    if let Some(target) = &call.target {
        let url = mask_places(&target.url).into_owned();
        show("target", &format!("{} ({url})", target.name));
    }
    if Gate::of(step).is_none() {
        for (name, value) in call.params.as_object().into_iter().flatten() {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            show(name, &text);
        }
    }
    for (name, value) in &call.env {
        show("env", &format!("{name}={value}"));
    }
    if call.cwd != job.shared.base_dir {
        show("in", &call.cwd.display().to_string());
    }
    if let Some(why) = unfilled {
        show("not known yet", &why);
    }
    match step
        .for_each
        .as_ref()
        .map(|each| (&each.items, each.parallel))
    {
        Some((Items::Listed(items), at_once)) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| {
                    item.as_str()
                        .map_or_else(|| item.to_string(), str::to_owned)
                })
                .collect();
            show(
                "for each of",
                &format!("{} ({at_once} at once)", items.join(", ")),
            );
        }
        Some((Items::Computed(expr), at_once)) => {
            show(
                "for each of",
                &format!("{} ({at_once} at once)", expr.text()),
            );
        }
        None => {}
    }
    if let Some(probe) = &step.done_when {
        show("left out when", &holds(probe));
    }
    if let Some(poll) = &step.then_wait {
        let what = poll.probe.as_ref().map_or_else(String::new, holds);
        show(
            "then waits for",
            &format!("{what}, {} at most", human(poll.within)),
        );
    }
    if let Some(retry) = &step.retry {
        show("tried again", &format!("{} times at most", retry.limit));
    }
    shows
}

fn holds(probe: &Probe) -> String {
    let all: Vec<&str> = probe.expect.iter().map(|expr| expr.text()).collect();
    format!("{} of `{}`", all.join(" and "), *probe.call.key)
}

fn undo(job: &Job, step: &Step) -> String {
    match &step.undo {
        _ if !step.changes() => "it changes nothing".into(),
        Undo::Auto(_) => "automatic".into(),
        Undo::None => "none: the runbook says that there is nothing to take back".into(),
        Undo::Unsaid => "not said: nothing takes it back".into(),
        Undo::Steps(steps) => {
            let masker = &job.shared.masker;
            let each = steps.iter().map(|step| {
                let call = as_written(job, &step.action);
                match job.action(&step.action) {
                    Ok(action) => words(action, &call, masker),
                    Err(_) => step.action.key.value.clone(),
                }
            });
            each.collect::<Vec<_>>().join("; ")
        }
    }
}

fn manual(brief: &mut Brief, call: &Call, masker: &Masker) {
    let manual = match crate::action::params::<Manual>(crate::action::gate::manual_spec(), call) {
        Ok(manual) => manual,
        Err(error) => {
            brief.text = shown(&error.to_string(), masker);
            return;
        }
    };
    brief.text = shown(manual.text.trim(), masker);
    // as written: they hold no values, and are what is ticked
    brief.checklist = manual.checklist;
    brief.evidence = manual.evidence;
    brief.by = manual.by.0;
    brief.asks = manual.ask.iter().map(AskOutline::from).collect();
}

fn approve(brief: &mut Brief, call: &Call, masker: &Masker) {
    let Ok(approve) = crate::action::params::<Approve>(crate::action::gate::approve_spec(), call)
    else {
        return;
    };
    brief.text = shown(approve.text.as_deref().unwrap_or_default().trim(), masker);
    brief.by = approve.by.0;
    brief.min = Some(approve.min);
    brief.not_by_operator = approve.not_by == Some(NotBy::Operator);
    brief.signed = approve.signed;
}
