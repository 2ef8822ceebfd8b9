//! What both reports derive from a view.

use serde_json::Value;

use crate::event::{MEASURED, Moment, RunStatus, UndoKind};
use crate::view::{Change, ItemStatus, RunView, StepStatus, StepView, diff};

/// Something that a reader must not overlook.
pub(super) struct Notice {
    /// A stable word.
    pub(super) code: &'static str,
    /// The step or item that it is about.
    pub(super) about: String,
    /// What is to be known.
    pub(super) text: String,
}

/// The verdict in a sentence.
pub(super) fn verdict(view: &RunView) -> String {
    let told = match view.status {
        RunStatus::Planned => "nothing has started",
        RunStatus::Running => "the run has not ended",
        RunStatus::Waiting => {
            "it was stopped before its end; what was done stays done, and a person has to go on"
        }
        RunStatus::RollingBack => "going back has not ended",
        RunStatus::Succeeded => match judged(view) {
            true => "every phase is over and every expectation was met",
            false => "every phase is over; no expectation was judged",
        },
        RunStatus::Failed => "it failed and was left where it stood",
        RunStatus::RolledBack => match &view.rollback {
            Some(back) if back.not_undone.is_empty() && back.items.is_empty() => {
                "it failed, and there was nothing to take back"
            }
            Some(back) if back.not_undone.is_empty() => "it failed; everything was taken back",
            _ => "it failed; it was taken back except for what is named below",
        },
        RunStatus::RollbackFailed => "it failed, and going back failed too: see what is left",
        RunStatus::Cancelling => "somebody cancelled it, and it has not ended",
        RunStatus::Cancelled => "somebody cancelled it before it changed anything",
        RunStatus::Aborted => "somebody aborted it, and it was left where it stood",
        RunStatus::Closed => "somebody closed it as it stood: see what is left",
    };
    told.to_owned()
}

fn judged(view: &RunView) -> bool {
    view.each_step()
        .any(|(_, step)| step.report.iter().any(|report| !report.evidence.is_empty()))
}

/// What must not be overlooked, the worst first.
pub(super) fn notices(view: &RunView) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut say = |code, about: &str, text: String| {
        notices.push(Notice {
            code,
            about: about.to_owned(),
            text,
        });
    };
    if let Some(text) = view.header.options.elsewhere() {
        let text = format!("this is a rehearsal and no run of production: {text}");
        say("rehearsal", "", text);
    } else if let Some(environment) = &view.header.options.environment {
        say(
            "environment",
            "",
            format!("it ran in the environment `{environment}`"),
        );
    }
    people(view, &mut say);
    if let Some(rollback) = &view.rollback {
        for one in &rollback.not_undone {
            say(
                "not_undone",
                &one.step,
                format!("changed something and is not taken back: {}", one.why),
            );
        }
        for item in &rollback.items {
            match item.status {
                ItemStatus::Failed => say(
                    "undo_failed",
                    &item.item.id,
                    "failed on the way back".into(),
                ),
                ItemStatus::Held => {
                    let why = item.skipped.clone().unwrap_or_default();
                    say("undo_held", &item.item.id, format!("held back: {why}"));
                }
                _ => {}
            }
        }
        if !rollback
            .items
            .iter()
            .any(|item| item.item.part == crate::event::Part::Verify)
        {
            let text =
                "nothing was verified after going back: the runbook has no `rollback.verify`";
            say("rollback_unverified", "", text.into());
        }
    }
    for (name, step) in view.each_step() {
        of_step(view, &name, step, &mut say);
    }
    for (_, parking) in &view.parked {
        say(
            "stopped",
            "",
            format!("the run was stopped before its end: {}", parking.words()),
        );
    }
    if view.header.options.no_rollback {
        say(
            "no_rollback",
            "",
            "the run was told not to go back after a failure".into(),
        );
    }
    notices
}

/// What people decided, and what waits for them.
fn people(view: &RunView, say: &mut impl FnMut(&'static str, &str, String)) {
    for item in view.rollback.iter().flat_map(|back| &back.items) {
        if item.status == ItemStatus::Waived {
            let why = item.skipped.clone().unwrap_or_default();
            say(
                "waived",
                &item.item.id,
                format!("was not taken back: {why}"),
            );
        }
    }
    for asked in &view.asked {
        say(
            "asked",
            &asked.step,
            format!("waits for an answer: {}", asked.why),
        );
    }
    for one in &view.resolved {
        let text = format!(
            "was in doubt; settled by {}: {}",
            one.how.words(),
            one.to.words()
        );
        say("resolved", &one.step, text);
    }
    for one in &view.orders {
        let order = super::super::lines::order_words(&one.order);
        let text = match (&one.refused, &one.reason) {
            (Some(why), _) => format!("{order}, ordered by {}, was refused: {why}", one.by),
            (None, Some(reason)) => format!("{order}, ordered by {}: {reason}", one.by),
            (None, None) => format!("{order}, ordered by {}", one.by),
        };
        say("ordered", "", text);
    }
}

fn of_step(
    view: &RunView,
    name: &str,
    step: &StepView,
    say: &mut impl FnMut(&'static str, &str, String),
) {
    let changed = step.outline.changes && step.attempt > 0;
    // what a rollback found is named already
    let named = view
        .rollback
        .as_ref()
        .is_some_and(|back| back.not_undone.iter().any(|one| one.step == name));
    match step.outline.undo {
        UndoKind::Unsaid if changed && !named => {
            let text = "changes something, and nothing said how it is taken back";
            say("undo_unsaid", name, text.into());
        }
        UndoKind::None if changed && !named => {
            let text = "changes something that cannot be taken back (`undo: none`)";
            say("undo_none", name, text.into());
        }
        _ => {}
    }
    if step.status == StepStatus::Tolerated {
        let why = step
            .failures
            .last()
            .map_or("", |one| one.failure.message.as_str());
        say(
            "tolerated",
            name,
            format!("failed, and the runbook tolerates that: {why}"),
        );
    }
    if step.status.in_flight() && view.status.is_over() {
        say(
            "in_doubt",
            name,
            "had started, and its outcome is not known".into(),
        );
    }
    let output = step
        .report
        .as_ref()
        .and_then(|report| report.output.as_ref());
    if let Some(output) = output.filter(|output| output.kept < output.bytes) {
        let text = format!(
            "of its output {} of {} bytes were kept",
            output.kept, output.bytes
        );
        say("output_cut", name, text);
    }
}

/// A snapshot at its moments.
pub(super) struct Compared<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Each moment that it was to be taken at.
    pub(super) moments: Vec<Moment>,
    /// Places that differ from the first moment, with their values at each moment.
    pub(super) places: Vec<(String, Vec<Option<Value>>)>,
    /// Whether later moments equal the first; `None` where a value is missing.
    pub(super) equal: Vec<Option<bool>>,
    /// Whether all that differs are measurements of the reading itself, which `snapshot_equals`
    /// passes over as well.
    pub(super) measured_only: bool,
}

/// Every snapshot, compared with its first moment.
pub(super) fn snapshots(view: &RunView) -> Vec<Compared<'_>> {
    view.snapshot_names()
        .into_iter()
        .map(|name| compare(view, name))
        .collect()
}

fn compare<'a>(view: &'a RunView, name: &'a str) -> Compared<'a> {
    let moments: Vec<_> = view.snapshots.iter().map(|set| set.moment).collect();
    let taken: Vec<_> = moments
        .iter()
        .map(|moment| view.snapshot(*moment, name))
        .collect();
    let values: Vec<_> = taken
        .iter()
        .map(|taken| taken.and_then(|taken| taken.value.as_ref()))
        .collect();
    let hash = |at: usize| taken[at].and_then(|taken| taken.sha256.as_ref());
    let mut places: Vec<(String, Vec<Option<Value>>)> = Vec::new();
    let mut equal = Vec::new();
    for (at, value) in values.iter().enumerate().skip(1) {
        let (Some(Some(first)), Some(value)) = (values.first(), value) else {
            // too big for the journal: the hashes of the files still tell
            equal.push(hash(0).zip(hash(at)).map(|(first, later)| first == later));
            continue;
        };
        let changes = diff(first, value);
        equal.push(Some(changes.is_empty()));
        for change in changes {
            note(&mut places, change, at, values.len());
        }
    }
    for (path, row) in &mut places {
        fill(path, row, &values);
    }
    let of_file = values
        .first()
        .is_some_and(|first| first.is_some_and(|first| first.get("sha256").is_some()));
    let measured = |path: &str| {
        let key = path.rsplit('.').next().unwrap_or(path);
        MEASURED.contains(&key) || (of_file && path == "modified")
    };
    let measured_only = !places.is_empty() && places.iter().all(|(path, _)| measured(path));
    Compared {
        name,
        moments,
        places,
        equal,
        measured_only,
    }
}

fn note(places: &mut Vec<(String, Vec<Option<Value>>)>, change: Change, at: usize, moments: usize) {
    let known = places.iter().position(|(path, _)| *path == change.path);
    let place = known.unwrap_or_else(|| {
        places.push((change.path, vec![None; moments]));
        places.len() - 1
    });
    let row = &mut places[place].1;
    row[0] = change.before;
    row[at] = change.after;
}

/// Where a moment does not differ from the first, its value is the first's.
fn fill(path: &str, row: &mut [Option<Value>], values: &[Option<&Value>]) {
    let Some(Some(first)) = values.first() else {
        return;
    };
    for at in 1..row.len() {
        let same =
            values[at].is_some_and(|value| diff(first, value).iter().all(|one| one.path != path));
        if row[at].is_none() && same {
            row[at] = row[0].clone();
        }
    }
}
