//! What is wrong with one reference at one place.

use super::super::super::catalog::Spec;
use super::super::super::diagnostic::{Diagnostic, did_you_mean};
use super::super::super::node::Span;
use super::{Place, References, ResultOf};
use crate::expr::Reference;

/// What can be said of a step that is over.
const OF_A_STEP: &[&str] = &[
    "result", "outputs", "status", "items", "attempts", "took_ms",
];

/// What can be said of the run.
const OF_THE_RUN: &[&str] = &["id", "dir", "name", "failure", "started"];

/// More names than this are not listed.
const LISTED: usize = 12;

impl References<'_, '_> {
    /// What is wrong with one reference at one place, if anything.
    pub(super) fn wrong(
        &mut self,
        reference: &Reference,
        span: Span,
        place: Place<'_>,
    ) -> Option<Diagnostic> {
        let path = &reference.path;
        let root = path.first()?.as_str();
        let name = path.get(1).map(String::as_str);
        let field = path.get(2).map(String::as_str);
        if let Some(found) = place
            .guard
            .and_then(|guard| self.wrong_in_guard(guard, path, span))
        {
            return Some(found);
        }
        match (root, name) {
            ("inputs", Some(name)) => self.wrong_input(name, span, place),
            ("steps", Some(name)) => self.wrong_step(name, &path[2..], span, place),
            ("phases" | "phase", Some(name)) => self.wrong_phase(name, span),
            ("snapshots", Some("before" | "after" | "restored")) => {
                self.wrong_snapshot(field?, span)
            }
            ("snapshots", Some(other)) => {
                let message = format!("snapshots have no `{other}`");
                let help = "write `snapshots.before.NAME` or `snapshots.after.NAME`";
                Some(Diagnostic::error("F021", span, message).help(help))
            }
            ("outputs", Some(name)) => {
                let known = || place.outputs.iter().map(|(name, _)| name.as_str());
                if known().any(|known| known == name) {
                    return None;
                }
                let help =
                    "it is for outputs of this step; those of others are `steps.ID.outputs.NAME`";
                let found = self.unknown("output of this step", name, span, known());
                Some(if place.outputs.is_empty() {
                    found.help(help)
                } else {
                    found
                })
            }
            ("result", field) => wrong_result(field, span, place),
            ("item", _) if !place.item => {
                let message = "`item` is only there in a step with `for_each`";
                Some(Diagnostic::error("F021", span, message))
            }
            ("run", Some(field)) if !OF_THE_RUN.contains(&field) => {
                Some(self.unknown("field of `run`", field, span, OF_THE_RUN.iter().copied()))
            }
            ("baseline", name) => super::watched::wrong_baseline(name, field, span, place.baseline),
            ("phase", None) => super::watched::wrong_phase_alone(span, place),
            ("probe" | "env", _) => {
                let message = format!("`{root}` is not filled by this version");
                let found = Diagnostic::error("F090", span, message);
                Some(match root {
                    "probe" => found.help("it is there in the `expect` of `success_criteria`"),
                    _ => found,
                })
            }
            _ => None,
        }
    }

    fn wrong_input(&mut self, name: &str, span: Span, place: Place<'_>) -> Option<Diagnostic> {
        let Some(input) = self.inputs.get(name) else {
            if self.problems.is_broken("input", name) {
                return None;
            }
            let known = self.runbook.inputs.iter().map(|input| input.name.as_str());
            return Some(self.unknown("input", name, span, known));
        };
        if input.secret && !place.secrets {
            let message = format!("the secret input `{name}` in a condition");
            let help = "a condition is journaled with its values; decide on another input";
            return Some(Diagnostic::error("F024", span, message).help(help));
        }
        None
    }

    fn wrong_phase(&mut self, name: &str, span: Span) -> Option<Diagnostic> {
        if self.phases.contains(name) || self.problems.is_broken("phase", name) {
            return None;
        }
        let known = self.runbook.phases.iter().map(|phase| phase.name.as_str());
        Some(self.unknown("phase", name, span, known))
    }

    pub(super) fn wrong_snapshot(&mut self, name: &str, span: Span) -> Option<Diagnostic> {
        let known = || self.runbook.snapshots.iter().map(|def| def.name.as_str());
        if known().any(|known| known == name) || self.problems.is_broken("snapshot", name) {
            return None;
        }
        Some(self.unknown("snapshot", name, span, known()))
    }

    fn wrong_step(
        &mut self,
        name: &str,
        fields: &[String],
        span: Span,
        place: Place<'_>,
    ) -> Option<Diagnostic> {
        let field = fields.first().map(String::as_str);
        if !self.names.steps.contains_key(name) {
            let phases = self.runbook.phases.iter();
            let names = phases.flat_map(|phase| phase.steps.iter().map(|step| step.id.as_str()));
            return Some(self.unknown("step", name, span, names));
        }
        if let Some(at) = place.at {
            self.in_time(name, span, at);
        }
        if let (Some(undone), Some("result" | "outputs" | "items")) = (place.undoes, field) {
            self.not_later(name, span, undone);
        }
        if let [field, output, ..] = fields
            && field == "outputs"
        {
            return self.wrong_output(name, output, span);
        }
        match field {
            Some(field) if !OF_A_STEP.contains(&field) => {
                Some(self.unknown("field of a step", field, span, OF_A_STEP.iter().copied()))
            }
            _ => None,
        }
    }

    fn wrong_output(&mut self, step: &str, output: &str, span: Span) -> Option<Diagnostic> {
        let (phase, at) = self.names.steps.get(step).copied()?;
        let outputs = &self.runbook.phases[phase].steps[at].outputs;
        let known = || outputs.iter().map(|(name, _)| name.as_str());
        if known().any(|known| known == output) || self.problems.is_broken("step", step) {
            return None;
        }
        let found = self.unknown("output", output, span, known());
        Some(found.label(format!("step `{step}` has no such output")))
    }

    /// Reports a step that comes after the one that is undone: that one may be undone without it.
    fn not_later(&mut self, name: &str, span: Span, (phase, step): (usize, usize)) {
        let Some((its_phase, its_step)) = self.names.steps.get(name).copied() else {
            return;
        };
        let later = if its_phase == phase {
            its_step > step
        } else {
            self.order.before(phase, its_phase) && !self.order.before(its_phase, phase)
        };
        if later {
            let message = format!("step `{name}` comes after the step that this undoes");
            let found = Diagnostic::error("F025", span, message)
                .help("the undo may run when that step never did: use what was there before");
            self.problems.push(found);
        }
    }

    /// Reports a step that is not certain to be over when it is asked for.
    pub(super) fn in_time(&mut self, name: &str, span: Span, (phase, step): (usize, usize)) {
        let Some((its_phase, its_step)) = self.names.steps.get(name).copied() else {
            return;
        };
        if (its_phase, its_step) == (phase, step) {
            let message = format!("step `{name}` refers to itself before it is over");
            let found = Diagnostic::error("F025", span, message)
                .help("its own result is `result`, and only in its `expect` and `outputs`");
            self.problems.push(found);
            return;
        }
        let over = if its_phase == phase {
            its_step < step && self.runbook.phases[phase].parallel == 1
        } else {
            self.order.before(its_phase, phase)
        };
        if over {
            return;
        }
        let message = format!("step `{name}` need not be over here");
        let found = Diagnostic::error("F025", span, message);
        let mine = self.runbook.phases[phase].name.as_str();
        let theirs = self.runbook.phases[its_phase].name.as_str();
        self.problems.push(if its_phase == phase {
            found.help("put it before this step, in a phase without `parallel`")
        } else if self.order.before(phase, its_phase) {
            found.help(format!(
                "phase `{theirs}` comes after `{mine}`: move one of the steps"
            ))
        } else {
            found.help(format!("let phase `{mine}` need `{theirs}`"))
        });
    }

    fn unknown<'n>(
        &mut self,
        what: &str,
        name: &str,
        span: Span,
        known: impl Iterator<Item = &'n str> + Clone,
    ) -> Diagnostic {
        let near = self.problems.did_you_mean(name, known.clone());
        let help = near.or_else(|| {
            let few: Vec<&str> = known.take(LISTED + 1).collect();
            match few.len() {
                0 => {
                    matches!(what, "input" | "snapshot").then(|| format!("declare it in `{what}s`"))
                }
                1..=LISTED => Some(format!("there are `{}`", few.join("`, `"))),
                _ => None,
            }
        });
        Diagnostic::error("F021", span, format!("unknown {what} `{name}`")).maybe_help(help)
    }
}

fn wrong_result(field: Option<&str>, span: Span, place: Place<'_>) -> Option<Diagnostic> {
    match place.result {
        ResultOf::Unknown => None,
        ResultOf::Action(spec) => wrong_field(spec, field?, span),
        ResultOf::Nothing => {
            let message = "`result` is not there yet: it is what the action returns";
            let help = "use it in `expect`, `outputs` or the `expect` of a probe";
            Some(Diagnostic::error("F021", span, message).help(help))
        }
    }
}

pub(super) fn wrong_field(spec: &Spec, field: &str, span: Span) -> Option<Diagnostic> {
    let known = || spec.results.iter().map(|(name, _)| *name);
    if spec.results_open || known().any(|name| name == field) {
        return None;
    }
    let help = did_you_mean(field, known())
        .unwrap_or_else(|| format!("it has `{}`", known().collect::<Vec<_>>().join("`, `")));
    let message = format!("the result of `{}` has no `{field}`", spec.key);
    Some(Diagnostic::error("F021", span, message).help(help))
}
