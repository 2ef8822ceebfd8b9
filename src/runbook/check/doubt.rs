//! What is said about crashes and about the way back, held against what the step does: a word that
//! could never count is a mistake, and so is a question left open in a runbook for production.

use super::super::diagnostic::{Diagnostic, Problems};
use super::super::model::{InDoubt, Runbook, Step, Undo};

/// Adds mistakes.
pub(super) fn check(runbook: &Runbook, problems: &mut Problems) {
    for (_, step) in runbook.steps() {
        idle_words(step, problems);
        one_way(step, problems);
        if runbook.production {
            left_open(step, problems);
        }
        if let Undo::Steps(undo) = &step.undo {
            for part in undo {
                on_the_way_back(part, "an undo step", problems);
            }
        }
    }
    for step in runbook.rollback.steps() {
        on_the_way_back(step, "a step of `rollback`", problems);
    }
}

/// Words that say something about a change, where there is none.
fn idle_words(step: &Step, problems: &mut Problems) {
    let key = step.action.key.as_str();
    // an action that could not be read is reported once
    if key.is_empty() {
        return;
    }
    if !step.changes() {
        let said = [
            (step.point_of_no_return, "point_of_no_return"),
            (step.in_doubt != InDoubt::default(), "in_doubt"),
            (step.undone_when.is_some(), "undone_when"),
        ];
        for (_, word) in said.iter().filter(|(said, _)| *said) {
            let message = format!("`{word}` on a step that only reads");
            idle(step, message, "remove it: nothing changes here", problems);
        }
    } else if step.undone_when.is_some() && !matches!(step.undo, Undo::Steps(_) | Undo::Auto(_)) {
        let message = "`undone_when` on a step without an `undo`".to_owned();
        let help = "it proves that the undo worked: add one, or remove it";
        idle(step, message, help, problems);
    }
}

/// A step that cannot be taken back has nothing that takes it back.
fn one_way(step: &Step, problems: &mut Problems) {
    if step.point_of_no_return && matches!(step.undo, Undo::Steps(_) | Undo::Auto(_)) {
        let message = "an `undo` on a point of no return would never be carried out".to_owned();
        let help = "remove `point_of_no_return` if it can be taken back, else the `undo`";
        let found = Diagnostic::error("F026", step.id.span, message);
        problems.push(found.help(help));
    }
}

fn on_the_way_back(step: &Step, what: &str, problems: &mut Problems) {
    let said = [
        (step.point_of_no_return, "point_of_no_return"),
        (step.undone_when.is_some(), "undone_when"),
    ];
    for (_, word) in said.iter().filter(|(said, _)| *said) {
        let help = match *word {
            "undone_when" => "put it on the step that is undone, beside `undo`",
            _ => "remove it: going back is not gone back on",
        };
        let message = format!("`{word}` on {what}");
        idle(step, message, help, problems);
    }
    if step.in_doubt != InDoubt::default() && !step.changes() {
        let message = "`in_doubt` on a step that only reads".to_owned();
        idle(step, message, "remove it: nothing changes here", problems);
    }
}

fn idle(step: &Step, message: String, help: &str, problems: &mut Problems) {
    let found = Diagnostic::error("F029", step.id.span, message);
    problems.push(found.help(help));
}

/// In production nobody should have to find out by hand what a crash did.
fn left_open(step: &Step, problems: &mut Problems) {
    if step.asks_after_a_crash() && !step.action.key.is_empty() {
        let id = step.id.as_str();
        let message = format!("step `{id}` could be left in doubt, and this is for production");
        let found = Diagnostic::error("F030", step.id.span, message);
        problems.push(found.help(
            "add `done_when`, a probe that tells whether it was done, or `idempotent: true`",
        ));
    }
}
