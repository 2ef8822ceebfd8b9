//! What must not be overlooked in a report, with stable codes.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Part, Stage, UndoKind};
use crate::view::{ItemStatus, RollbackItemView, RunView, StepStatus, StepView};

/// Something that a reader must not overlook.
pub(in super::super) struct Notice {
    /// A stable word.
    pub(in super::super) code: &'static str,
    /// The step or item that it is about.
    pub(in super::super) about: String,
    /// What is to be known.
    pub(in super::super) text: String,
}

/// What must not be overlooked, the worst first.
pub(in super::super) fn notices(view: &RunView) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut say = |code, about: &str, text: String| {
        notices.push(Notice {
            code,
            about: about.to_owned(),
            text,
        });
    };
    place(view, &mut say);
    for role in view.unsigned(Stage::Before) {
        let text = "the runbook asks for this signature before the run begins, and it is not there";
        say("not_signed_before", role, text.into());
    }
    people(view, &mut say);
    way_back(view, &mut say);
    super::watched_notices::notices(view, &mut say);
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
    for (seq, back_ms) in &view.clock_back {
        let back = super::super::super::text::ms(*back_ms);
        say(
            "clock_back",
            "",
            format!(
                "the clock was set back by {back} before event {seq}: times do not tell the order"
            ),
        );
    }
    if view.header.options.no_rollback {
        say(
            "no_rollback",
            "",
            "the run was told not to go back after a failure".into(),
        );
    }
    signatures(view, &mut say);
    one_login(view, &mut say);
    // lists are cut at their end
    notices.sort_by_key(|one| weight(one.code));
    notices
}

/// What must not be overlooked about what was watched alone.
pub(in super::super) fn of_watched(view: &RunView) -> Vec<Notice> {
    let mut notices = Vec::new();
    super::watched_notices::notices(view, &mut |code, about: &str, text| {
        notices.push(Notice {
            code,
            about: about.to_owned(),
            text,
        });
    });
    notices.sort_by_key(|one| weight(one.code));
    notices
}

/// What the way back left, and whether it was proven.
fn way_back(view: &RunView, say: &mut impl FnMut(&'static str, &str, String)) {
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
        if !rollback.is_verified() {
            let has = |item: &RollbackItemView| item.item.part == Part::Verify;
            let text = match rollback.items.iter().any(has) {
                true => {
                    "nothing was proven after going back: no expectation of `rollback.verify` passed"
                }
                false => {
                    "nothing was verified after going back: the runbook has no `rollback.verify`"
                }
            };
            say("rollback_unverified", "", text.into());
        }
    }
}

/// How far behind it stands: what may still be wrong in the world, what is missing or was decided by
/// people, and what is to be known beside.
fn weight(code: &str) -> u8 {
    match code {
        "rehearsal" | "environment" => 0,
        "in_doubt"
        | "not_undone"
        | "undo_failed"
        | "undo_held"
        | "waived"
        | "asked"
        | "rollback_unverified"
        | "still_down"
        | "downtime_over"
        | "check_failed" => 1,
        "check_undecided" | "not_signed_before" | "signed_late" | "signed_earlier_end"
        | "votes_of_one_login" | "no_rollback" | "tolerated" => 2,
        "resolved" | "stopped" | "clock_back" | "ordered" | "nobody_looked" | "warning"
        | "looks_failed" => 3,
        _ => 4,
    }
}

/// Signatures that are not what they were asked for.
fn signatures(view: &RunView, say: &mut impl FnMut(&'static str, &str, String)) {
    for (_, _, one) in view.signatures() {
        if view.is_late(one) {
            let text =
                "it was signed that the run may begin when a step had begun to change something";
            say("signed_late", &one.role, text.into());
        }
        if !view.is_under_its_end(one) {
            let text = "signed under an earlier end: the run went on afterwards";
            say("signed_earlier_end", &one.role, text.into());
        }
    }
}

/// Several votes on one question that one login gave without keys may all be one person's.
fn one_login(view: &RunView, say: &mut impl FnMut(&'static str, &str, String)) {
    let mut given: BTreeMap<(&str, &str, &str), BTreeSet<&str>> = BTreeMap::new();
    for (_, login, (step, _, vote)) in view.votes() {
        if vote.signature.is_none() {
            let whose = given.entry((step, vote.nonce.as_str(), login)).or_default();
            whose.insert(vote.who.as_str());
        }
    }
    for ((step, _, login), names) in given.into_iter().filter(|(_, names)| names.len() > 1) {
        let names: Vec<_> = names.into_iter().collect();
        let names = names.join(", ");
        let text = format!("the votes of {names} came from one login, {login}, without keys");
        say("votes_of_one_login", step, text);
    }
}

/// Where it ran, when that is not what the runbook says.
fn place(view: &RunView, say: &mut impl FnMut(&'static str, &str, String)) {
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
        let order = super::super::super::lines::order_words(&one.order);
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
    let lost = step.status.in_flight() && step.status != StepStatus::AtGate;
    let doubtful = step.status == StepStatus::InDoubt;
    if doubtful || lost && view.status.is_over() {
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
