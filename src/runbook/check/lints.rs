//! Lints: what can run, and what the author will wish to have thought of at 2 AM.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;

use super::super::catalog::Class;
use super::super::diagnostic::{Diagnostic, Problems};
use super::super::model::{Items, OutputDef, Probe, Runbook, Step, Undo};
use super::super::units::Span;
use crate::expr::Expr;

/// Adds lints.
pub(super) fn check(runbook: &Runbook, problems: &mut Problems) {
    for (_, step) in runbook.steps() {
        if step.changes() {
            changing_step(step, problems);
        }
        long_monitor(step, problems);
    }
    lonely_phases(runbook, problems);
    unused(runbook, problems);
}

/// What a changing step leaves unsaid, in one lint: three on each step would be read by nobody.
fn changing_step(step: &Step, problems: &mut Problems) {
    let id = step.id.as_str();
    let key = step.action.key.as_str();
    if step.action.class == Class::Reading && step.read_only == Some(false) {
        let message = format!("step `{id}` says `read_only: false`, and `{key}` only reads");
        let found = Diagnostic::warning("L108", step.id.span, message)
            .help("remove `read_only`, unless the step changes something that ferry cannot see");
        problems.push(found);
        return;
    }
    if step.leaves_nothing() {
        return;
    }
    let unsaid = [
        (
            matches!(step.undo, Undo::Unsaid),
            "L101",
            "`undo`",
            "`undo`: write what takes it back, or `none` when nothing does; or say `read_only: true`",
        ),
        (
            step.asks_after_a_crash(),
            "L102",
            "`done_when`",
            "`done_when`: without it, or `idempotent: true`, a crash in the middle has to be settled by a person",
        ),
        (
            step.timeout.is_none() && key == "shell",
            "L103",
            "`timeout`",
            "`timeout`: without it the step is ended after 1h",
        ),
    ];
    let mut hits = unsaid.iter().filter(|(hit, ..)| *hit).peekable();
    let Some((_, code, ..)) = hits.peek().copied() else {
        return;
    };
    let keys: Vec<&str> = hits.clone().map(|(_, _, key, _)| *key).collect();
    let message = format!(
        "step `{id}` changes things and has no {}",
        keys.join(", no ")
    );
    let found = Diagnostic::warning(code, step.id.span, message);
    problems.push(hits.fold(found, |found, (.., help)| found.help(*help)));
}

/// MONITOR slows a server for as long as it is on, so it should not be on for long.
fn long_monitor(step: &Step, problems: &mut Problems) {
    const LONG: Duration = Duration::from_secs(10);
    if step.action.key.as_str() != "redis.monitor" {
        return;
    }
    let written = step.action.params.as_written();
    let span = written.get("for").and_then(Value::as_str);
    if let Some(span) = span.and_then(|text| Span::parse(text).ok())
        && span.0 > LONG
    {
        let message = format!(
            "step `{}` slows the server by up to half for {span}: so does MONITOR",
            *step.id
        );
        let found = Diagnostic::warning("L120", step.id.span, message);
        problems.push(found.help("`for: 10s` or less; a busy server shows enough in a second"));
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
            let message = format!("phase `{name}` is never entered: its `when` is `false`");
            let found = Diagnostic::warning("L105", phase.name.span, message);
            problems.push(found.help("remove the phase, or let an input decide"));
        }
    }
}

fn unused(runbook: &Runbook, problems: &mut Problems) {
    let mut used = Used::default();
    used.runbook(runbook);
    for input in &runbook.inputs {
        if !used.inputs.contains(input.name.as_str()) {
            let message = format!("input `{}` is never used", *input.name);
            let found = Diagnostic::warning("L106", input.name.span, message);
            problems.push(found.help("remove it, or use it where its value is written out"));
        }
    }
    for target in &runbook.targets {
        if !used.targets.contains(target.name.as_str()) {
            let message = format!("target `{}` is never used", *target.name);
            let found = Diagnostic::warning("L107", target.name.span, message);
            problems.push(found.help("remove it, or use it where its value is written out"));
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
        runbook.rollback.steps().for_each(|step| self.step(step));
        for guard in &runbook.guards {
            self.call(&guard.call);
            let exprs = guard.criteria.exprs().chain(&guard.unless);
            exprs.for_each(|expr| self.expr(expr));
        }
    }

    fn step(&mut self, step: &Step) {
        self.call(&step.action);
        step.when
            .iter()
            .chain(&step.expect)
            .chain(&step.warn)
            .chain(step.watch.iter().flat_map(|watch| watch.criteria.exprs()))
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
        let probes = step.probes().chain(step.rehearse.as_deref());
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
