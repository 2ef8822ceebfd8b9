//! The undo drill: for each changing step a run that goes forward to it and back, each with a journal of
//! its own; then a table of how long both ways took and what the way back proved.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::carry::Told;
use super::dress::Stage;
use super::error::CommandError;
use super::exit::Exit;
use crate::event::{
    Cause, Event, EventKind, Part, RollbackEvent, RollbackItem, RunEvent, RunStatus, StepEvent,
    UndoKind,
};
use crate::front::drill::{Row, table};
use crate::plan::{Plan, undo_kind};

/// What came of the drill of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Taken back, and the runbook's own proof holds.
    Proven,
    /// Taken back, and the runbook has no proof.
    Unproven,
    /// Taken back, and a part of the runbook's proof was left out.
    LeftUnproven,
    /// The way back came to its end, and no undo of the step was carried out.
    NothingUndone,
    /// It cannot be drilled; why.
    NoUndo(&'static str),
    /// Its condition leaves it out.
    LeftOut,
    /// Nothing was done, because a drill before it failed.
    NotReached(String),
    /// The way there or back failed.
    Failed(String),
}

struct Drilled {
    step: String,
    run: Option<String>,
    forward: Option<Duration>,
    back: Option<Duration>,
    verdict: Verdict,
}

/// Holds the drill, and tells what came of it.
pub(super) async fn hold(stage: &Stage) -> Result<Exit, CommandError> {
    let mut drilled: Vec<Drilled> = Vec::new();
    let mut broken: Option<String> = None;
    for step in changing(&stage.plan) {
        let name = step.id.value.clone();
        let mut one = Drilled {
            step: name.clone(),
            run: None,
            forward: None,
            back: None,
            verdict: Verdict::LeftOut,
        };
        one.verdict = match (&broken, undo_kind(step)) {
            (Some(step), _) => Verdict::NotReached(step.clone()),
            (None, UndoKind::None) => Verdict::NoUndo("`undo: none`"),
            (None, UndoKind::Unsaid) => Verdict::NoUndo("the runbook says none"),
            (None, _) if behind_a_line(&stage.plan, &name) => {
                Verdict::NoUndo("behind the point of no return")
            }
            (None, _) => {
                super::note(&format!("drill: forward to `{name}`, and back"));
                let (ready, start) = stage.ready(Some(&name));
                let run = ready.run.clone();
                let told: Told = ready.carry(start).await?;
                told.tell()?;
                let events = stage.store.load(&run, 1).await?;
                one.run = Some(run);
                (one.forward, one.back) = times(&events);
                judged(&events, &name)
            }
        };
        if let Verdict::Failed(_) = one.verdict {
            broken = Some(name);
        }
        drilled.push(one);
    }
    tell(stage, &drilled)
}

/// Steps to be drilled, in the order in which they run.
fn changing(plan: &Plan) -> Vec<&crate::runbook::Step> {
    let phases = plan.graph.order();
    let steps = phases
        .into_iter()
        .flat_map(|phase| &plan.runbook.phases[phase].steps);
    steps
        .filter(|step| step.changes() && !step.leaves_nothing())
        .collect()
}

/// Whether nothing takes back what was done by then: a point of no return is it, or comes before.
fn behind_a_line(plan: &Plan, name: &str) -> bool {
    let order = plan.graph.order();
    let mut steps = order
        .into_iter()
        .flat_map(|phase| &plan.runbook.phases[phase].steps);
    let mut line = false;
    steps
        .find(|step| {
            line |= step.point_of_no_return;
            *step.id == *name
        })
        .is_some_and(|_| line)
}

/// How long the way there and the way back took.
fn times(events: &[Event]) -> (Option<Duration>, Option<Duration>) {
    let at = |wanted: &dyn Fn(&RunEvent) -> bool| {
        events.iter().find_map(|event| match &event.kind {
            EventKind::Run(run) if wanted(run) => Some(event.at),
            _ => None,
        })
    };
    let started = at(&|event| matches!(event, RunEvent::Started { .. }));
    let turned = at(&|event| matches!(event, RunEvent::Failed(_)));
    let ended = at(&|event| matches!(event, RunEvent::Finished { .. }));
    let span = |from: Option<i64>, to: Option<i64>| {
        u64::try_from(to? - from?).ok().map(Duration::from_millis)
    };
    (span(started, turned), span(turned, ended))
}

/// What a run's journal says of the drill of a step.
fn judged(events: &[Event], step: &str) -> Verdict {
    let mut status = None;
    let mut turned = None;
    let (mut partial, mut left_out) = (false, false);
    let mut planned: &[RollbackItem] = &[];
    let mut finished: HashSet<usize> = HashSet::new();
    for event in events {
        match &event.kind {
            EventKind::Run(RunEvent::Finished { status: now }) => status = Some(*now),
            EventKind::Run(RunEvent::Failed(failure)) => turned = Some(failure.clone()),
            EventKind::Rollback(RollbackEvent::Planned {
                items, not_undone, ..
            }) => {
                planned = items;
                finished.clear();
                // what the author says needs none is not missing
                partial = not_undone.iter().any(|one| one.step == step);
            }
            EventKind::Rollback(RollbackEvent::Finished { item, .. }) => {
                finished.insert(*item);
            }
            EventKind::Step(StepEvent::Skipped { step: name, .. }) if name == step => {
                left_out = true;
            }
            _ => {}
        }
    }
    let items = || planned.iter().enumerate();
    // an item of a `for_each` is one of the step's
    let own = |item: &RollbackItem| {
        let of = item.of.as_deref().unwrap_or_default();
        item.part == Part::Undo && of.split('[').next() == Some(step)
    };
    let undone = items().any(|(at, item)| own(item) && finished.contains(&at));
    let mut proofs = items().filter(|(_, item)| item.part == Part::Verify);
    let proofs_written = proofs.clone().next().is_some();
    let proven = proofs_written && proofs.all(|(at, _)| finished.contains(&at));
    let Some(turned) = turned else {
        return Verdict::Failed("it did not turn back".into());
    };
    let drilled = turned.failure.cause == Cause::Stopped && turned.step.as_deref() == Some(step);
    match status {
        _ if !drilled => Verdict::Failed(format!("on the way there: {}", turned.summary())),
        Some(RunStatus::RolledBack) if left_out => Verdict::LeftOut,
        Some(RunStatus::RolledBack) if partial => Verdict::Failed("it was not taken back".into()),
        Some(RunStatus::RolledBack) if !undone => Verdict::NothingUndone,
        Some(RunStatus::RolledBack) if proven => Verdict::Proven,
        Some(RunStatus::RolledBack) if proofs_written => Verdict::LeftUnproven,
        Some(RunStatus::RolledBack) => Verdict::Unproven,
        Some(status) => Verdict::Failed(format!("on the way back: {}", status.words())),
        None => Verdict::Failed("it was stopped on its way".into()),
    }
}

impl Verdict {
    fn words(&self) -> String {
        match self {
            Self::Proven => "undone and proven".into(),
            Self::Unproven => "undone, not proven: no `rollback.verify`".into(),
            Self::LeftUnproven => "undone, not proven: proof left out".into(),
            Self::NothingUndone => "nothing was undone".into(),
            Self::NoUndo(why) => format!("no undo: {why}"),
            Self::LeftOut => "left out by its condition".into(),
            Self::NotReached(step) => format!("not drilled: `{step}` failed"),
            Self::Failed(why) => format!("failed: {why}"),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Unproven | Self::LeftUnproven => "unproven",
            Self::NothingUndone => "nothing_undone",
            Self::NoUndo(_) => "no_undo",
            Self::LeftOut => "left_out",
            Self::NotReached(_) => "not_reached",
            Self::Failed(_) => "failed",
        }
    }
}

fn tell(stage: &Stage, drilled: &[Drilled]) -> Result<Exit, CommandError> {
    let exit = match drilled {
        _ if drilled
            .iter()
            .any(|one| matches!(one.verdict, Verdict::Failed(_))) =>
        {
            Exit::RehearsalProblems
        }
        _ if drilled.iter().all(|one| one.verdict == Verdict::Proven) => Exit::Done,
        _ => Exit::RehearsalIncomplete,
    };
    let ms = |span: Option<Duration>| {
        span.map_or(Value::Null, |span| json!(span.as_secs_f64() * 1_000.0))
    };
    if stage.json {
        let mut text = String::new();
        for one in drilled {
            let line = json!({
                "event": "drill", "step": one.step, "run": one.run, "verdict": one.verdict.code(),
                "why": one.verdict.words(), "forward_ms": ms(one.forward), "back_ms": ms(one.back),
            });
            text.push_str(&format!("{line}\n"));
        }
        let end =
            json!({ "event": "drill_end", "code": exit.code(), "environment": stage.environment });
        super::answer(&format!("{text}{end}\n"))?;
        return Ok(exit);
    }
    let rows: Vec<Row> = drilled
        .iter()
        .map(|one| Row {
            step: one.step.clone(),
            forward: one.forward,
            back: one.back,
            verdict: one.verdict.words(),
            run: one.run.clone(),
        })
        .collect();
    super::answer(&table(&stage.environment, &rows))?;
    Ok(exit)
}
