//! What expressions and targets refer to exists, and is there when they are evaluated.

mod beside;
mod watched;
mod wrong;

use std::collections::{HashMap, HashSet};

use super::super::catalog::{Catalog, Spec};
use super::super::diagnostic::{Diagnostic, Problems};
use super::super::model::{
    ActionUse, Input, Items, OutputDef, Probe, Runbook, Sp, Step, TargetDef, Undo,
};
use super::super::node::Span;
use super::super::params::Params;
use super::names::Names;
use super::order::Order;
use crate::expr::{Expr, Reference, Template};
use crate::graph::Graph;

/// What may be referred to at one place.
#[derive(Clone, Copy)]
struct Place<'r> {
    /// The step, by phase and place in it; `None` in rollback, where any step may be referred to.
    at: Option<(usize, usize)>,
    /// The step that this is the undo of, by phase and place in it.
    undoes: Option<(usize, usize)>,
    /// What is known of `result`.
    result: ResultOf<'r>,
    /// Outputs of the step.
    outputs: &'r [(Sp<String>, OutputDef)],
    /// Whether `item` is there.
    item: bool,
    /// Whether inputs that are secret may be used.
    secrets: bool,
    /// What is known of `baseline.result`.
    baseline: ResultOf<'r>,
    /// The guard that it belongs to.
    guard: Option<InGuard<'r>>,
}

/// A place in a guard.
#[derive(Clone, Copy)]
struct InGuard<'r> {
    /// The phases in which it is looked at.
    during: &'r [Sp<String>],
    /// Whether it is judged there, and not only read.
    judged: bool,
}

/// Outside of all phases.
const BESIDE: Place<'static> = Place {
    at: None,
    undoes: None,
    result: ResultOf::Nothing,
    outputs: &[],
    item: false,
    secrets: false,
    baseline: ResultOf::Nothing,
    guard: None,
};

/// What is known of `result` at a place.
#[derive(Clone, Copy)]
enum ResultOf<'r> {
    /// It is not there.
    Nothing,
    /// It is there, of an action that could not be read.
    Unknown,
    /// It is there, of this action.
    Action(&'r Spec),
}

struct References<'r, 'p> {
    runbook: &'r Runbook,
    catalog: &'r Catalog,
    names: &'r Names<'r>,
    targets: HashMap<&'r str, &'r TargetDef>,
    inputs: HashMap<&'r str, &'r Input>,
    phases: HashSet<&'r str>,
    order: Order<'r>,
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
    let targets = runbook.targets.iter();
    let inputs = runbook.inputs.iter();
    let mut references = References {
        runbook,
        catalog,
        names,
        targets: targets
            .map(|target| (target.name.as_str(), target))
            .collect(),
        inputs: inputs.map(|input| (input.name.as_str(), input)).collect(),
        phases: runbook
            .phases
            .iter()
            .map(|phase| phase.name.as_str())
            .collect(),
        order: Order::new(graph),
        problems,
    };
    references.targets();
    references.snapshots();
    references.guards();
    for (at, phase) in runbook.phases.iter().enumerate() {
        let place = Place {
            at: Some((at, 0)),
            ..BESIDE
        };
        phase
            .when
            .iter()
            .for_each(|when| references.expr(when, place));
        for (n, step) in phase.steps.iter().enumerate() {
            references.step(step, Some((at, n)));
        }
    }
    runbook
        .rollback
        .steps()
        .for_each(|step| references.step(step, None));
    references.criteria();
    references.comms();
    let looks = runbook.troubleshooting.iter().flat_map(|one| &one.diagnose);
    looks.for_each(|step| references.step(step, None));
}

impl<'r> References<'r, '_> {
    fn targets(&mut self) {
        let place = Place {
            at: Some((0, 0)),
            secrets: true,
            ..BESIDE
        };
        for target in &self.runbook.targets {
            self.template(&target.url, place);
            self.params(&target.options, place);
        }
    }

    fn snapshots(&mut self) {
        let place = Place {
            at: Some((0, 0)),
            secrets: true,
            ..BESIDE
        };
        for snapshot in &self.runbook.snapshots {
            self.call(&snapshot.call, place);
        }
    }

    fn step(&mut self, step: &'r Step, at: Option<(usize, usize)>) {
        let before = Place {
            at,
            item: step.for_each.is_some(),
            ..BESIDE
        };
        let outside = Place {
            item: false,
            ..before
        };
        if let Some(Items::Computed(expr)) = step.for_each.as_ref().map(|each| &each.items) {
            self.expr(expr, outside);
        }
        step.when.iter().for_each(|when| self.expr(when, outside));
        let filled = Place {
            secrets: true,
            ..before
        };
        let after = self.around(step, filled);
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
        self.required_backup(step, at);
        if let Undo::Steps(undo) = &step.undo {
            for part in undo {
                self.undo_step(part, step.for_each.is_some(), at);
            }
        }
    }

    /// What every step has: its action, environment, expectations and probes. Returns the place
    /// after the action.
    fn around(&mut self, step: &'r Step, place: Place<'r>) -> Place<'r> {
        self.call(&step.action, place);
        let templates = step.env.iter().map(|(_, template)| template);
        templates
            .chain(&step.cwd)
            .for_each(|template| self.template(template, place));
        let after = Place {
            result: self.result_of(&step.action),
            outputs: &step.outputs,
            ..place
        };
        self.judged(step, after);
        let stand_in = step.rehearse.as_deref();
        let probes = step.probes().chain(stand_in);
        probes.for_each(|probe| self.probe(probe, place));
        after
    }

    /// An undo may use everything that was there when its step was, and the item of it.
    fn undo_step(&mut self, step: &'r Step, item: bool, of: Option<(usize, usize)>) {
        let place = Place {
            undoes: of,
            item,
            secrets: true,
            ..BESIDE
        };
        self.around(step, place);
        step.when.iter().for_each(|expr| self.expr(expr, place));
        if step.for_each.is_some() {
            let found =
                Diagnostic::error("F014", step.id.span, "an undo step cannot have `for_each`")
                    .help("the undo already runs once for each item of its step");
            self.problems.push(found);
        }
    }

    fn probe(&mut self, probe: &'r Probe, place: Place<'r>) {
        self.call(&probe.call, place);
        let after = Place {
            result: self.result_of(&probe.call),
            outputs: &[],
            ..place
        };
        probe.expect.iter().for_each(|expr| self.expr(expr, after));
    }

    fn required_backup(&mut self, step: &Step, at: Option<(usize, usize)>) {
        let (Some(required), Some(at)) = (&step.requires_backup, at) else {
            return;
        };
        if self.names.steps.contains_key(required.step.as_str()) {
            self.in_time(&required.step, required.step.span, at);
        }
    }

    fn call(&mut self, call: &'r ActionUse, place: Place<'r>) {
        self.params(&call.params, place);
        self.arguments(call);
        let (Some(target), Some(spec)) = (&call.target, self.catalog.get(&call.key)) else {
            return;
        };
        match self.targets.get(target.as_str()) {
            None if self.problems.is_broken("target", target) => {}
            None => {
                let names = self.targets.keys().copied();
                let found = Diagnostic::error(
                    "F012",
                    target.span,
                    format!("unknown target `{}`", **target),
                );
                let near = self.problems.did_you_mean(target, names);
                let help = near.or_else(|| Some("declare it in `targets`".into()));
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

    /// Everybody on a machine can read the arguments of its programs: no secret goes there.
    fn arguments(&mut self, call: &ActionUse) {
        let Params::Map(entries) = &call.params else {
            return;
        };
        for (_, argv) in entries.iter().filter(|(key, _)| key == "argv") {
            argv.each_template(&mut |template, span| {
                for reference in template.references() {
                    let [root, name, ..] = reference.path.as_slice() else {
                        continue;
                    };
                    let input = self.inputs.get(name.as_str());
                    if root == "inputs" && input.is_some_and(|input| input.secret) {
                        let message = format!("the secret input `{name}` in the arguments of a program");
                        let help = "everybody on the machine can read those: hand it over by `env`, or by `stdin`";
                        self.problems
                            .push(Diagnostic::error("F024", span, message).help(help));
                    }
                }
            });
        }
    }

    fn result_of(&self, call: &ActionUse) -> ResultOf<'r> {
        self.catalog
            .get(&call.key)
            .map_or(ResultOf::Unknown, ResultOf::Action)
    }

    fn params(&mut self, params: &'r Params, place: Place<'r>) {
        params.each_template(&mut |template, span| {
            self.refs(&template.references(), template.text().len(), span, place);
        });
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
            let span = span_of(reference, length, whole);
            if let Some(found) = self.wrong(reference, span, place) {
                self.problems.push(found);
            }
        }
    }
}

/// The place of a reference in a text of that length. Quotes and folding move bytes: a part is
/// pointed at only where the text is as written.
fn span_of(reference: &Reference, length: usize, whole: Span) -> Span {
    match (&reference.at, whole.range().len().checked_sub(length)) {
        (Some(at), Some(0)) => whole.slice(at),
        (Some(at), Some(2)) => whole.slice(&(at.start + 1..at.end + 1)),
        _ => whole,
    }
}
