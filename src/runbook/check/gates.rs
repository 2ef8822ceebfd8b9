//! Gates and troubleshooting: what people are asked stands where it can be asked, and says nothing that
//! could never count.

use super::super::diagnostic::{Diagnostic, Problems, did_you_mean};
use super::super::gate::Gate;
use super::super::model::{Runbook, Step, Undo};
use super::names::Names;

/// Adds mistakes.
pub(super) fn check(runbook: &Runbook, names: &Names<'_>, problems: &mut Problems) {
    for (_, step) in runbook.steps() {
        if let Some(gate) = Gate::of(step) {
            idle_words(step, gate, problems);
        }
        if let Undo::Steps(undo) = &step.undo {
            undo.iter()
                .for_each(|part| misplaced(part, "an undo step", problems));
        }
    }
    in_guards(runbook, problems);
    let rollback = runbook.rollback.steps();
    rollback.for_each(|step| misplaced(step, "a step of `rollback`", problems));
    for trouble in &runbook.troubleshooting {
        for step in &trouble.steps {
            if names.steps.contains_key(step.as_str()) {
                continue;
            }
            let message = format!("`troubleshooting` for an unknown step `{}`", **step);
            let found = Diagnostic::error("F012", step.span, message);
            let known = names.steps.keys().copied();
            problems.push(found.maybe_help(did_you_mean(step, known)));
        }
        for look in &trouble.diagnose {
            misplaced(look, "a diagnosis", problems);
            if look.changes() {
                let message = format!(
                    "a diagnosis may only read, and `{}` can change things",
                    *look.action.key
                );
                let found = Diagnostic::error("F023", look.action.key.span, message);
                problems.push(found.help(
                    "use a probe, or say `read_only: true` beside it when you know that it changes nothing",
                ));
            }
        }
    }
}

/// Keys that say something about an attempt, where a person does it.
fn idle_words(step: &Step, gate: Gate, problems: &mut Problems) {
    let said = [
        (!step.expect.is_empty(), "expect"),
        (!step.warn.is_empty(), "warn"),
        (step.watch.is_some(), "watch"),
        (step.retry.is_some(), "retry"),
        (step.for_each.is_some(), "for_each"),
        (!step.env.is_empty(), "env"),
        (step.cwd.is_some(), "cwd"),
        (!step.outputs.is_empty(), "outputs"),
        (step.idempotent, "idempotent"),
        (step.tolerate, "tolerate"),
        (
            gate == Gate::Approve && step.done_when.is_some(),
            "done_when",
        ),
        (step.read_only.is_some(), "read_only"),
        (
            gate == Gate::Approve && step.then_wait.is_some(),
            "then_wait",
        ),
    ];
    for (_, word) in said.iter().filter(|(said, _)| *said) {
        let message = format!("`{word}` on a step that waits for people");
        let help = match (*word, gate) {
            ("expect" | "outputs", Gate::Manual) => {
                "ask for values with `ask`; later steps find them in `steps[\"ID\"].result.values`"
            }
            ("tolerate", _) => "remove it: a rejection, and silence, is never consent",
            ("read_only", Gate::Manual) => {
                "say `changes: true` in `manual` when something is changed"
            }
            _ => "remove it: it could never count",
        };
        let found = Diagnostic::error("F031", step.id.span, message);
        problems.push(found.help(help));
    }
}

/// A guard is looked at beside the steps, where no person is.
fn in_guards(runbook: &Runbook, problems: &mut Problems) {
    for guard in &runbook.guards {
        let key = &guard.call.key;
        if matches!(key.as_str(), "manual" | "approve") {
            let message = format!("`{}` in a guard: nobody is asked there", **key);
            let found = Diagnostic::error("F031", key.span, message);
            problems.push(found.help("make it a step, and let the guard read by a probe"));
        }
    }
}

/// Gates wait on the way forward alone.
fn misplaced(step: &Step, place: &str, problems: &mut Problems) {
    if Gate::of(step).is_some() {
        let message = format!("`{}` in {place}: nobody is asked there", *step.action.key);
        let found = Diagnostic::error("F031", step.action.key.span, message);
        problems.push(found.help(
            "what only a person can take back is named by `undo: none`, and in the text of the report",
        ));
    }
}
