//! Lints: what can run, and what the author will wish to have thought of at 2 AM.

use std::collections::HashSet;

use super::super::catalog::{Catalog, Class};
use super::super::diagnostic::{Diagnostic, Problems};
use super::super::model::{Items, OutputDef, Probe, Runbook, Step, Undo};
use crate::expr::Expr;

/// Adds lints.
pub(super) fn check(runbook: &Runbook, catalog: &Catalog, problems: &mut Problems) {
    for (_, step) in runbook.steps() {
        changing_step(step, catalog, problems);
        if step.timeout.is_none() && matches!(step.action.key.as_str(), "shell") {
            let default = if step.changes() { "1h" } else { "1m" };
            let found = Diagnostic::warning(
                "L103",
                step.id.span,
                format!("step `{}` has no `timeout`", *step.id),
            );
            problems.push(found.help(format!(
                "the default of {default} applies; say what it should be"
            )));
        }
    }
    lonely_phases(runbook, problems);
    unused(runbook, problems);
}

fn changing_step(step: &Step, catalog: &Catalog, problems: &mut Problems) {
    if !step.changes() {
        return;
    }
    let leaves_nothing = catalog.get(&step.action.key).is_some_and(|spec| {
        spec.key == "redis.roundtrip" || spec.key.ends_with(".backup") || spec.key == "notify"
    });
    if leaves_nothing {
        return;
    }
    if matches!(step.undo, Undo::Unsaid) {
        let found = Diagnostic::warning("L101", step.id.span, format!("step `{}` changes things and says no `undo`", *step.id))
            .help("write its undo, or `undo: none` when there is nothing to take back, or `read_only: true` when it changes nothing");
        problems.push(found);
    }
    if step.done_when.is_none() && !step.idempotent {
        let found = Diagnostic::warning(
            "L102",
            step.id.span,
            format!(
                "step `{}` has no `done_when` and is not `idempotent`",
                *step.id
            ),
        )
        .help("after a crash in the middle of it a person will have to say whether it was done");
        problems.push(found);
    }
    if step.action.class == Class::Reading && step.read_only == Some(false) {
        let found = Diagnostic::warning(
            "L108",
            step.id.span,
            format!(
                "step `{}` says `read_only: false`, and `{}` only reads",
                *step.id, *step.action.key
            ),
        );
        problems.push(found);
    }
}

/// A phase beside all others is most often a forgotten `needs`; one that is never entered, a slip.
fn lonely_phases(runbook: &Runbook, problems: &mut Problems) {
    let needed: HashSet<&str> = runbook
        .phases
        .iter()
        .flat_map(|phase| phase.needs.iter().map(|need| need.as_str()))
        .collect();
    for phase in &runbook.phases {
        let name = phase.name.as_str();
        if runbook.phases.len() > 1
            && !needed.is_empty()
            && phase.needs.is_empty()
            && !needed.contains(name)
        {
            let found = Diagnostic::warning(
                "L104",
                phase.name.span,
                format!("phase `{name}` needs nothing and nothing needs it"),
            )
            .help("it starts at once, beside the others: add `needs` if it should wait");
            problems.push(found);
        }
        if phase
            .when
            .as_ref()
            .is_some_and(|when| when.text().trim() == "false")
        {
            problems.push(Diagnostic::warning(
                "L105",
                phase.name.span,
                format!("phase `{name}` is never entered: its `when` is `false`"),
            ));
        }
    }
}

fn unused(runbook: &Runbook, problems: &mut Problems) {
    let mut used = Used::default();
    used.runbook(runbook);
    for input in &runbook.inputs {
        if !used.inputs.contains(input.name.as_str()) {
            problems.push(Diagnostic::warning(
                "L106",
                input.name.span,
                format!("input `{}` is never used", *input.name),
            ));
        }
    }
    for target in &runbook.targets {
        if !used.targets.contains(target.name.as_str()) {
            problems.push(Diagnostic::warning(
                "L107",
                target.name.span,
                format!("target `{}` is never used", *target.name),
            ));
        }
    }
}

/// Inputs and targets that something refers to.
#[derive(Default)]
struct Used {
    inputs: HashSet<String>,
    targets: HashSet<String>,
}

impl Used {
    fn runbook(&mut self, runbook: &Runbook) {
        for target in &runbook.targets {
            target.url.exprs().for_each(|expr| self.expr(expr));
            target.options.each_expr(&mut |expr| self.expr(expr));
        }
        for snapshot in &runbook.snapshots {
            self.call(&snapshot.call);
        }
        for phase in &runbook.phases {
            phase.when.iter().for_each(|when| self.expr(when));
            phase.steps.iter().for_each(|step| self.step(step));
        }
        let rollback = &runbook.rollback;
        for part in [
            &rollback.first,
            &rollback.last,
            &rollback.verify,
            &rollback.notify,
        ] {
            part.iter().for_each(|step| self.step(step));
        }
    }

    fn step(&mut self, step: &Step) {
        self.call(&step.action);
        step.when
            .iter()
            .chain(&step.expect)
            .for_each(|expr| self.expr(expr));
        step.env
            .iter()
            .for_each(|(_, template)| template.exprs().for_each(|expr| self.expr(expr)));
        step.cwd
            .iter()
            .for_each(|template| template.exprs().for_each(|expr| self.expr(expr)));
        for (_, def) in &step.outputs {
            if let OutputDef::Value(expr) = def {
                self.expr(expr);
            }
        }
        if let Some(Items::Computed(expr)) = step.for_each.as_ref().map(|for_each| &for_each.items)
        {
            self.expr(expr);
        }
        let probes = step
            .done_when
            .iter()
            .chain(step.then_wait.iter().filter_map(|poll| poll.probe.as_ref()));
        probes.for_each(|probe| self.probe(probe));
        if let Undo::Steps(undo) = &step.undo {
            undo.iter().for_each(|step| self.step(step));
        }
    }

    fn probe(&mut self, probe: &Probe) {
        self.call(&probe.call);
        probe.expect.iter().for_each(|expr| self.expr(expr));
    }

    fn call(&mut self, call: &super::super::model::ActionUse) {
        self.targets
            .extend(call.target.iter().map(|target| target.value.clone()));
        call.params.each_expr(&mut |expr| self.expr(expr));
    }

    fn expr(&mut self, expr: &Expr) {
        for reference in expr.references() {
            match reference.path.as_slice() {
                [root, name, ..] if root == "inputs" => {
                    self.inputs.insert(name.clone());
                }
                _ => {}
            }
        }
    }
}
