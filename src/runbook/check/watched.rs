//! What is looked at again and again, and the decision point: whether it can come to anything where it
//! stands, and what of it will not do what its author thinks.

use std::time::Duration;

use super::super::diagnostic::{Diagnostic, Problems};
use super::super::model::{ActionUse, DecideDef, Runbook, Sp, Step, Undo};
use super::super::units::human;
use super::super::watch::{Criteria, Guard, Length, Rule, TREND_LOOKS};
use super::order::Order;
use crate::expr::Expr;
use crate::graph::Graph;

/// Probes that are felt by the server, with the words for it.
const HEAVY: &[(&str, &str)] = &[
    (
        "redis.monitor",
        "the server sends every command of all clients while it listens",
    ),
    ("redis.keys", "each look goes through all keys"),
];

/// Adds mistakes.
pub(super) fn check(runbook: &Runbook, graph: &Graph, problems: &mut Problems) {
    for guard in &runbook.guards {
        for phase in &guard.during {
            known_phase(runbook, phase, problems);
        }
    }
    for (_, step) in runbook.steps() {
        if let Undo::Steps(undo) = &step.undo {
            undo.iter()
                .for_each(|part| nobody_looks(part, "an undo step", problems));
        }
    }
    for step in runbook.rollback.steps() {
        nobody_looks(step, "a step of `rollback`", problems);
    }
    let looks = runbook.troubleshooting.iter().flat_map(|one| &one.diagnose);
    looks.for_each(|step| nobody_looks(step, "a diagnosis", problems));
    if let Some(decide) = runbook.rollback.decide.as_deref() {
        decides(runbook, decide, graph, problems);
    }
}

fn known_phase(runbook: &Runbook, name: &Sp<String>, problems: &mut Problems) -> Option<usize> {
    let at = runbook.phase_index(name);
    if at.is_none() && !problems.is_broken("phase", name) {
        let known = runbook.phases.iter().map(|phase| phase.name.as_str());
        let near = problems.did_you_mean(name, known);
        let message = format!("unknown phase `{}`", **name);
        let help = near.unwrap_or_else(|| "name a phase of this runbook".into());
        problems.push(Diagnostic::error("F012", name.span, message).help(help));
    }
    at
}

/// A way back and a diagnosis look once: what is written there as many looks would be one.
fn nobody_looks(step: &Step, place: &str, problems: &mut Problems) {
    if step.watch.is_some() {
        let message = format!("`watch` on {place}, which is carried out once");
        let found = Diagnostic::error("F032", step.id.span, message);
        problems
            .push(found.help("look once with `expect`, or wait until it holds with `then_wait`"));
    }
}

/// A point after which failures hold means something only after what could be taken back.
fn decides(runbook: &Runbook, decide: &DecideDef, graph: &Graph, problems: &mut Problems) {
    let taken_back = |at: usize| {
        let steps = runbook.phases[at].steps.iter();
        let undone = |step: &Step| matches!(step.undo, Undo::Auto(_) | Undo::Steps(_));
        steps.into_iter().any(undone)
    };
    let (message, help) = match &decide.after {
        None if (0..runbook.phases.len()).any(taken_back) => return,
        None => (
            "`decide_within`, and no step leaves anything to take back".to_owned(),
            "failures go back only as far as there are undos: write them, or remove it",
        ),
        Some(name) => {
            let Some(at) = known_phase(runbook, name, problems) else {
                return;
            };
            let mut order = Order::new(graph);
            let mut before =
                (0..runbook.phases.len()).filter(|other| *other == at || order.before(*other, at));
            if before.any(taken_back) {
                return;
            }
            (
                format!(
                    "`decide_within` after phase `{}`, and nothing up to its end can be taken back",
                    **name
                ),
                "name the phase that makes the change, or leave `after` out: then it is the last with an undo",
            )
        }
    };
    problems.push(Diagnostic::error("F029", decide.span, message).help(help));
}

/// Adds lints.
pub(super) fn lints(runbook: &Runbook, graph: &Graph, problems: &mut Problems) {
    for (_, step) in runbook.steps() {
        match step.watch.as_deref() {
            Some(watch) => {
                still(&watch.criteria, problems);
                heavy(&step.action, "a watch", problems);
                shorter_than_every(step, &watch.rule, problems);
                ends_early(&watch.rule, &watch.criteria, problems);
            }
            None => constant(&step.expect, problems),
        }
    }
    for guard in &runbook.guards {
        still(&guard.criteria, problems);
        heavy(&guard.call, "a guard", problems);
        held_up(runbook, guard, problems);
    }
    for table in &runbook.unused_tables {
        let message = format!("threshold table `{}` is never used", **table);
        let found = Diagnostic::warning("L111", table.span, message);
        problems.push(found.help("name it in `thresholds` of a step or a guard, or remove it"));
    }
    nothing_after(runbook, graph, problems);
}

/// Expectations that ask for nothing that is read, or that time moves.
fn still(criteria: &Criteria, problems: &mut Problems) {
    let moves = |expr: &Expr| {
        let mut roots = expr.references().iter().map(|one| one.path.first());
        roots.any(|root| {
            root.is_some_and(|root| {
                matches!(root.as_str(), "result" | "baseline" | "phases" | "phase")
            })
        })
    };
    for expr in criteria.exprs().filter(|expr| !moves(expr)) {
        could_not_fail(expr, "it says the same at every look", problems);
    }
}

fn constant(expect: &[Sp<Expr>], problems: &mut Problems) {
    for expr in expect.iter().filter(|expr| expr.references().is_empty()) {
        could_not_fail(expr, "it says the same whatever comes back", problems);
    }
}

fn could_not_fail(expr: &Sp<Expr>, why: &str, problems: &mut Problems) {
    let message = format!("`{}` asks for nothing that is read: {why}", expr.text());
    let found = Diagnostic::warning("L109", expr.span, message);
    problems.push(found.help("ask for a part of `result`"));
}

fn heavy(call: &ActionUse, place: &str, problems: &mut Problems) {
    let Some((key, why)) = HEAVY.iter().find(|(key, _)| *key == call.key.as_str()) else {
        return;
    };
    let message = format!("`{key}` in {place}: {why}");
    let found = Diagnostic::warning("L113", call.key.span, message);
    problems.push(found.help("look once in a step, and here by `redis.stats` or `redis.info`"));
}

fn shorter_than_every(step: &Step, rule: &Rule, problems: &mut Problems) {
    let Length::For(length) = rule.length else {
        return;
    };
    if length < rule.every {
        let (length, every) = (human(length), human(rule.every));
        let message = format!(
            "step `{}` is watched for {length}, with {every} from one look to the next",
            *step.id
        );
        let found = Diagnostic::warning("L110", step.id.span, message);
        problems.push(
            found.help(
                "that is one look at the start and one at the end: look more often, or longer",
            ),
        );
    }
}

/// A watch that is over with what passed has as many values as chance will have it.
fn ends_early(rule: &Rule, criteria: &Criteria, problems: &mut Problems) {
    let row = match (rule.consecutive_successes, rule.length) {
        (Some(row), _) => row,
        (None, Length::Within(_)) => 1,
        _ => return,
    };
    for trend in criteria.trends.iter().filter(|_| row < TREND_LOOKS) {
        let message = format!(
            "the trend of `{}` in a watch that may be over after {row} {}",
            trend.path,
            if row == 1 { "look" } else { "looks" }
        );
        let found = Diagnostic::warning("L115", trend.span, message);
        let help = format!(
            "with fewer than {TREND_LOOKS} looks it is inconclusive: watch with `for`, or let more looks in a row pass"
        );
        problems.push(found.help(help));
    }
}

/// The end of its phases waits for the first look of a guard.
fn held_up(runbook: &Runbook, guard: &Guard, problems: &mut Problems) {
    let phases = guard
        .during
        .iter()
        .filter_map(|name| runbook.phase_index(name));
    let estimates: Option<Vec<Duration>> = phases.map(|at| runbook.phases[at].estimate).collect();
    let Some(longest) = estimates.map(|all| all.iter().sum::<Duration>()) else {
        return;
    };
    let delay = guard.rule.initial_delay;
    if !delay.is_zero() && delay >= longest {
        let message = format!(
            "guard `{}` is looked at first after {}, and its phases take about {}",
            *guard.name,
            human(delay),
            human(longest)
        );
        let found = Diagnostic::warning("L112", guard.name.span, message);
        problems.push(found.help("the run waits for its first look: shorten `initial_delay`"));
    }
}

/// The time to decide runs after the end of its phase.
fn nothing_after(runbook: &Runbook, graph: &Graph, problems: &mut Problems) {
    let Some(decide) = runbook.rollback.decide.as_deref() else {
        return;
    };
    let Some(name) = &decide.after else {
        return;
    };
    let Some(at) = runbook.phase_index(name) else {
        return;
    };
    let mut order = Order::new(graph);
    let over = (0..runbook.phases.len()).all(|other| other == at || order.before(other, at));
    if over {
        let message = format!("`decide_within` after `{}`, the last phase", **name);
        let found = Diagnostic::warning("L114", decide.span, message);
        problems.push(found.help(
            "nothing is left that could fail after it: name the phase that makes the change",
        ));
    }
}
