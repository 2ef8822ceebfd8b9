//! What expressions and targets refer to exists, and is there when they are evaluated.

use super::super::catalog::{Catalog, Spec};
use super::super::diagnostic::{Diagnostic, Problems, did_you_mean};
use super::super::model::{ActionUse, Items, OutputDef, Probe, Runbook, Sp, Step, Undo};
use super::super::node::Span;
use super::names::Names;
use crate::expr::{Expr, Reference, Template};
use crate::graph::Graph;

/// What may be referred to at one place.
#[derive(Clone, Copy)]
struct Place<'r> {
    /// The step, by phase and place in it; `None` in rollback, where any step may be referred to.
    at: Option<(usize, usize)>,
    /// The action whose `result` is there.
    result: Option<&'r Spec>,
    /// Outputs of the step.
    outputs: &'r [(Sp<String>, OutputDef)],
    /// Whether `item` is there.
    item: bool,
    /// Whether inputs that are secret may be used.
    secrets: bool,
}

struct References<'r, 'p> {
    runbook: &'r Runbook,
    catalog: &'r Catalog,
    names: &'r Names<'r>,
    before: Vec<Vec<bool>>,
    problems: &'p mut Problems,
}

/// Reports unknown and untimely references, unknown targets, targets of the wrong kind.
pub(super) fn check(
    runbook: &Runbook,
    catalog: &Catalog,
    names: &Names<'_>,
    graph: &Graph,
    problems: &mut Problems,
) {
    // the closure is quadratic: enough for any runbook that people read, too much for a generated
    // chain of thousands of phases, where order is then left to the run
    let before = if graph.len() <= 2_000 {
        graph.before()
    } else {
        Vec::new()
    };
    let mut references = References {
        runbook,
        catalog,
        names,
        before,
        problems,
    };
    references.targets();
    references.snapshots();
    for (at, phase) in runbook.phases.iter().enumerate() {
        let place = Place {
            at: Some((at, 0)),
            result: None,
            outputs: &[],
            item: false,
            secrets: false,
        };
        phase
            .when
            .iter()
            .for_each(|when| references.expr(when, place));
        for (n, step) in phase.steps.iter().enumerate() {
            references.step(step, Some((at, n)));
        }
    }
    let rollback = &runbook.rollback;
    for part in [
        &rollback.first,
        &rollback.last,
        &rollback.verify,
        &rollback.notify,
    ] {
        part.iter().for_each(|step| references.step(step, None));
    }
}

impl<'r> References<'r, '_> {
    fn targets(&mut self) {
        let place = Place {
            at: Some((0, 0)),
            result: None,
            outputs: &[],
            item: false,
            secrets: true,
        };
        for target in &self.runbook.targets {
            self.template(&target.url, place);
            let span = target.name.span;
            target
                .options
                .each_expr(&mut |expr| self.refs(expr.references(), usize::MAX, span, place));
        }
    }

    fn snapshots(&mut self) {
        let place = Place {
            at: Some((0, 0)),
            result: None,
            outputs: &[],
            item: false,
            secrets: true,
        };
        for snapshot in &self.runbook.snapshots {
            self.call(&snapshot.call, place);
        }
    }

    fn step(&mut self, step: &'r Step, at: Option<(usize, usize)>) {
        let before = Place {
            at,
            result: None,
            outputs: &[],
            item: step.for_each.is_some(),
            secrets: false,
        };
        if let Some(for_each) = &step.for_each {
            if let Items::Computed(expr) = &for_each.items {
                self.expr(
                    expr,
                    Place {
                        item: false,
                        ..before
                    },
                );
            }
        }
        step.when.iter().for_each(|when| {
            self.expr(
                when,
                Place {
                    item: false,
                    ..before
                },
            )
        });
        let filled = Place {
            secrets: true,
            ..before
        };
        self.call(&step.action, filled);
        step.env
            .iter()
            .for_each(|(_, template)| self.template(template, filled));
        step.cwd
            .iter()
            .for_each(|template| self.template(template, filled));
        let after = Place {
            result: self.catalog.get(&step.action.key),
            outputs: &step.outputs,
            ..filled
        };
        for (_, def) in &step.outputs {
            if let OutputDef::Value(expr) = def {
                self.expr(
                    expr,
                    Place {
                        outputs: &[],
                        ..after
                    },
                );
            }
        }
        step.expect.iter().for_each(|expr| self.expr(expr, after));
        let probes = step
            .done_when
            .iter()
            .chain(step.then_wait.iter().filter_map(|poll| poll.probe.as_ref()));
        probes.for_each(|probe| self.probe(probe, filled));
        self.required_backup(step, at);
        if let Undo::Steps(undo) = &step.undo {
            for part in undo {
                self.undo_step(part, step.for_each.is_some());
            }
        }
    }

    /// An undo may use everything, and the item of its step.
    fn undo_step(&mut self, step: &'r Step, item: bool) {
        let place = Place {
            at: None,
            result: None,
            outputs: &[],
            item,
            secrets: true,
        };
        self.call(&step.action, place);
        step.env
            .iter()
            .for_each(|(_, template)| self.template(template, place));
        step.cwd
            .iter()
            .for_each(|template| self.template(template, place));
        let after = Place {
            result: self.catalog.get(&step.action.key),
            outputs: &step.outputs,
            ..place
        };
        step.when.iter().for_each(|expr| self.expr(expr, place));
        step.expect.iter().for_each(|expr| self.expr(expr, after));
        let probes = step
            .done_when
            .iter()
            .chain(step.then_wait.iter().filter_map(|poll| poll.probe.as_ref()));
        probes.for_each(|probe| self.probe(probe, place));
        if let Some(for_each) = &step.for_each {
            let found =
                Diagnostic::error("F014", step.id.span, "an undo step cannot have `for_each`")
                    .help("the undo already runs once for each item of its step");
            let _ = for_each;
            self.problems.push(found);
        }
    }

    fn probe(&mut self, probe: &'r Probe, place: Place<'r>) {
        self.call(&probe.call, place);
        let after = Place {
            result: self.catalog.get(&probe.call.key),
            outputs: &[],
            ..place
        };
        probe.expect.iter().for_each(|expr| self.expr(expr, after));
    }

    fn required_backup(&mut self, step: &Step, at: Option<(usize, usize)>) {
        let Some(required) = &step.requires_backup else {
            return;
        };
        let wanted = required.step.as_str();
        if !self.names.steps.contains_key(wanted) {
            let names = self.names.steps.keys().copied();
            let found = Diagnostic::error(
                "F012",
                required.step.span,
                format!("`requires_backup` names unknown step `{wanted}`"),
            );
            self.problems
                .push(found.maybe_help(did_you_mean(wanted, names)));
        } else if let Some(at) = at {
            self.in_time(wanted, required.step.span, at);
        }
    }

    fn call(&mut self, call: &'r ActionUse, place: Place<'r>) {
        call.params
            .each_expr(&mut |expr| self.refs(expr.references(), usize::MAX, call.key.span, place));
        let (Some(target), Some(spec)) = (&call.target, self.catalog.get(&call.key)) else {
            return;
        };
        match self.runbook.target(target) {
            None => {
                let names = self
                    .runbook
                    .targets
                    .iter()
                    .map(|target| target.name.as_str());
                let found = Diagnostic::error(
                    "F012",
                    target.span,
                    format!("unknown target `{}`", **target),
                );
                let help =
                    did_you_mean(target, names).or_else(|| Some("declare it in `targets`".into()));
                self.problems.push(found.maybe_help(help));
            }
            Some(def) if !spec.targets.is_empty() && !spec.targets.contains(&def.kind) => {
                let kinds: Vec<_> = spec
                    .targets
                    .iter()
                    .map(|kind| format!("`{}`", kind.key()))
                    .collect();
                let message = format!(
                    "`{}` is a `{}` target, and `{}` needs {}",
                    **target,
                    def.kind.key(),
                    spec.key,
                    kinds.join(" or ")
                );
                self.problems.push(
                    Diagnostic::error("F019", target.span, message)
                        .also(def.name.span, "declared here"),
                );
            }
            Some(_) => {}
        }
    }

    fn template(&mut self, template: &'r Sp<Template>, place: Place<'r>) {
        self.refs(
            &template.references(),
            template.text().len(),
            template.span,
            place,
        );
    }

    fn expr(&mut self, expr: &'r Sp<Expr>, place: Place<'r>) {
        self.refs(expr.references(), expr.text().len(), expr.span, place);
    }

    /// Checks each reference; `length` is that of the text they stand in.
    fn refs(&mut self, references: &[Reference], length: usize, whole: Span, place: Place<'_>) {
        for reference in references {
            // quotes and folding move bytes: a part is pointed at only where the text is as written
            let span = match (&reference.at, whole.range().len().checked_sub(length)) {
                (Some(at), Some(0)) => whole.slice(at),
                (Some(at), Some(2)) => whole.slice(&(at.start + 1..at.end + 1)),
                _ => whole,
            };
            if let Some(found) = self.wrong(reference, span, place) {
                self.problems.push(found);
            }
        }
    }

    /// What is wrong with one reference at one place, if anything.
    fn wrong(&mut self, reference: &Reference, span: Span, place: Place<'_>) -> Option<Diagnostic> {
        let path = &reference.path;
        let root = path.first()?.as_str();
        let member = path.get(1).map(String::as_str);
        match (root, member) {
            ("inputs", Some(name)) => self.wrong_input(name, span, place),
            ("steps", Some(name)) => {
                self.wrong_step(name, path.get(2).map(String::as_str), span, place)
            }
            ("phases" | "phase", Some(name)) => self.unknown(
                "phase",
                name,
                span,
                self.runbook
                    .phases
                    .iter()
                    .map(|p| p.name.as_str())
                    .collect(),
            ),
            ("snapshots", Some("before" | "after" | "restored")) => match path.get(2) {
                Some(name) => self.unknown(
                    "snapshot",
                    name,
                    span,
                    self.runbook
                        .snapshots
                        .iter()
                        .map(|s| s.name.as_str())
                        .collect(),
                ),
                None => None,
            },
            ("snapshots", Some(other)) => {
                let found = Diagnostic::error("F021", span, format!("snapshots have no `{other}`"));
                Some(found.help("say `snapshots.before.NAME` or `snapshots.after.NAME`"))
            }
            ("outputs", Some(name)) => self.unknown(
                "output of this step",
                name,
                span,
                place
                    .outputs
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .collect(),
            ),
            ("result", _) if place.result.is_none() => {
                let found = Diagnostic::error(
                    "F021",
                    span,
                    "`result` is not there yet: it is what the action returns",
                );
                Some(found.help("use it in `expect`, `outputs` or the `expect` of a probe"))
            }
            ("result", Some(field)) => wrong_field(place.result?, field, span),
            ("item", _) if !place.item => {
                let found = Diagnostic::error(
                    "F021",
                    span,
                    "`item` is only there in a step with `for_each`",
                );
                Some(found)
            }
            ("run", Some(field)) => self.unknown(
                "field of `run`",
                field,
                span,
                vec!["id", "dir", "name", "failure", "started"],
            ),
            ("baseline" | "probe" | "env", _) => Some(Diagnostic::error(
                "F090",
                span,
                format!("`{root}` is not filled by this version"),
            )),
            _ => None,
        }
    }

    fn wrong_input(&self, name: &str, span: Span, place: Place<'_>) -> Option<Diagnostic> {
        let Some(input) = self.runbook.inputs.iter().find(|input| *input.name == name) else {
            return self.unknown(
                "input",
                name,
                span,
                self.runbook
                    .inputs
                    .iter()
                    .map(|i| i.name.as_str())
                    .collect(),
            );
        };
        if input.secret && !place.secrets {
            let found = Diagnostic::error(
                "F024",
                span,
                format!("the secret input `{name}` in a condition"),
            );
            return Some(
                found.help("a condition is journaled with its values; decide on another input"),
            );
        }
        None
    }

    fn wrong_step(
        &mut self,
        name: &str,
        field: Option<&str>,
        span: Span,
        place: Place<'_>,
    ) -> Option<Diagnostic> {
        if !self.names.steps.contains_key(name) {
            return self.unknown(
                "step",
                name,
                span,
                self.names.steps.keys().copied().collect(),
            );
        }
        if let Some(at) = place.at {
            self.in_time(name, span, at);
        }
        let known = [
            "result", "outputs", "status", "items", "attempts", "took_ms",
        ];
        match field {
            Some(field) if !known.contains(&field) => {
                self.unknown("field of a step", field, span, known.to_vec())
            }
            _ => None,
        }
    }

    /// Reports a step that is not certain to be over when it is asked for.
    fn in_time(&mut self, name: &str, span: Span, (phase, step): (usize, usize)) {
        let Some((its_phase, its_step)) = self.names.steps.get(name).copied() else {
            return;
        };
        let over = if its_phase == phase {
            its_step < step && self.runbook.phases[phase].parallel == 1
        } else {
            self.before.is_empty() || self.before[phase][its_phase]
        };
        if over {
            return;
        }
        let theirs = self.runbook.phases[its_phase].name.as_str();
        let found = Diagnostic::error("F025", span, format!("step `{name}` need not be over here"));
        self.problems.push(if its_phase == phase {
            found.help("put it before this step, in a phase without `parallel`")
        } else {
            found.help(format!(
                "let phase `{}` need `{theirs}`",
                *self.runbook.phases[phase].name
            ))
        });
    }

    fn unknown(&self, what: &str, name: &str, span: Span, known: Vec<&str>) -> Option<Diagnostic> {
        if known.contains(&name) {
            return None;
        }
        let help = did_you_mean(name, known.iter().copied()).or_else(|| {
            (!known.is_empty() && known.len() <= 12)
                .then(|| format!("there are {}", known.join(", ")))
        });
        Some(Diagnostic::error("F021", span, format!("unknown {what} `{name}`")).maybe_help(help))
    }
}

fn wrong_field(spec: &Spec, field: &str, span: Span) -> Option<Diagnostic> {
    let known = || spec.results.iter().map(|(name, _)| *name);
    if spec.results_open || known().any(|name| name == field) {
        return None;
    }
    let help = did_you_mean(field, known()).unwrap_or_else(|| {
        format!(
            "it has {}",
            known()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", ")
        )
    });
    Some(
        Diagnostic::error(
            "F021",
            span,
            format!("the result of `{}` has no `{field}`", spec.key),
        )
        .help(help),
    )
}
