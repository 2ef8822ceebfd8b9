//! Names: each step id once, whatever its case; and who answers to which.

use std::collections::HashMap;

use super::super::diagnostic::{Diagnostic, Problems};
use super::super::model::{Runbook, Step, Undo};
use super::super::node::Span;

/// Where each step id stands: phase index and place in the phase.
pub(super) struct Names<'r> {
    pub(super) steps: HashMap<&'r str, (usize, usize)>,
}

/// Reports ids that stand twice, or that differ only in case.
pub(super) fn check<'r>(runbook: &'r Runbook, problems: &mut Problems) -> Names<'r> {
    let mut steps = HashMap::new();
    let mut seen: HashMap<String, (Span, &str)> = HashMap::new();
    let mut see = |step: &'r Step, problems: &mut Problems| {
        let entry = (step.id.span, step.id.as_str());
        if let Some((first, name)) = seen.insert(step.id.to_ascii_lowercase(), entry) {
            let message = if name == step.id.as_str() {
                format!("two steps are called `{name}`")
            } else {
                format!("the ids `{name}` and `{}` differ only in case", *step.id)
            };
            problems
                .push(Diagnostic::error("F015", step.id.span, message).also(first, "the first"));
        }
    };
    for (phase_at, phase) in runbook.phases.iter().enumerate() {
        for (step_at, step) in phase.steps.iter().enumerate() {
            see(step, problems);
            steps.insert(step.id.as_str(), (phase_at, step_at));
            if let Undo::Steps(undo) = &step.undo {
                undo.iter().for_each(|step| see(step, problems));
            }
        }
    }
    let rollback = &runbook.rollback;
    for part in [
        &rollback.first,
        &rollback.last,
        &rollback.verify,
        &rollback.notify,
    ] {
        part.iter().for_each(|step| see(step, problems));
    }
    Names { steps }
}
