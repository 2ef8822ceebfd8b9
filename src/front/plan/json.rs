//! The plan as JSON, for `ferry plan --json`.
//!
//! `schema` is `ferry.plan/1`; fields are added to it, never changed. Times are seconds.

use serde_json::{Value, json};

use super::super::text::rfc3339;
use super::back::{PhaseBack, StepBack, WayBack};
use super::facts::Facts;
use super::watched;
use crate::plan::{Plan, undo_kind};
use crate::runbook::Step;
use crate::runbook::hours::Hours;
use crate::runbook::model::InDoubt;

/// The whole plan.
pub fn json(plan: &Plan, back: &WayBack) -> Value {
    let facts = Facts::of(plan);
    let runbook = &plan.runbook;
    let name = |phase: &usize| runbook.phases[*phase].name.value.clone();
    let seconds = |time: Option<std::time::Duration>| time.map(|time| time.as_secs_f64());
    let phases: Vec<_> = (0..runbook.phases.len())
        .map(|at| phase(plan, &facts, at))
        .collect();
    let part = |steps: &[Step]| steps.iter().map(step).collect::<Vec<_>>();
    json!({
        "schema": "ferry.plan/1",
        "runbook": runbook.name.value,
        "title": runbook.title,
        "version": runbook.version,
        "digest": plan.digest,
        "inputs": plan.inputs,
        "secrets": plan.secrets,
        "window_s": {
            "total": seconds(runbook.window.total),
            "downtime": seconds(runbook.window.downtime),
            "rollback": seconds(runbook.window.rollback),
        },
        "hours": runbook.window.hours.as_ref().map(Hours::words),
        "levels": facts.levels.iter()
            .map(|level| level.iter().map(name).collect::<Vec<_>>())
            .collect::<Vec<_>>(),
        "critical_path": facts.schedule.critical.iter().map(name).collect::<Vec<_>>(),
        "total_s": facts.schedule.total,
        "phases": phases,
        "guards": watched::guards_json(plan),
        "decision": watched::decision_json(plan),
        "rollback": {
            "first": part(&runbook.rollback.first),
            "last": part(&runbook.rollback.last),
            "verify": part(&runbook.rollback.verify),
            "notify": part(&runbook.rollback.notify),
        },
        "way_back": way_back(plan, back),
        "cannot_be_undone": facts.not_undoable.iter()
            .map(|(step, undo)| json!({ "step": step, "undo": undo }))
            .collect::<Vec<_>>(),
        "risks": facts.risks.iter()
            .map(|risk| json!({ "code": risk.code, "text": risk.text, "steps": risk.steps }))
            .collect::<Vec<_>>(),
    })
}

fn phase(plan: &Plan, facts: &Facts, at: usize) -> Value {
    let phase = &plan.runbook.phases[at];
    json!({
        "name": phase.name.value,
        "title": phase.title,
        "needs": phase.needs.iter().map(|need| &need.value).collect::<Vec<_>>(),
        "when": phase.when.as_ref().map(|when| when.text()),
        "parallel": phase.parallel,
        "estimate_s": facts.estimates[at],
        "earliest_start_s": facts.schedule.starts[at],
        "steps": phase.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

fn way_back(plan: &Plan, back: &WayBack) -> Value {
    let coverage = &back.coverage;
    let name = |at: usize| &plan.runbook.phases[at].name.value;
    json!({
        "runs_looked_at": back.runs,
        "coverage": {
            "counted": coverage.counted,
            "covered": coverage.covered,
            "covered_percent": coverage.covered_percent(),
            "exercised": coverage.exercised,
            "exercised_percent": coverage.exercised_percent(),
            "uncovered": coverage.uncovered,
            "unexercised": coverage.unexercised,
            "said_none": coverage.said_none,
            "points_of_no_return": coverage.no_return,
        },
        "steps": back.steps.iter().map(step_back).collect::<Vec<_>>(),
        "after_phase": back.phases.iter().enumerate()
            .map(|(at, phase)| phase_back(name(at), phase))
            .collect::<Vec<_>>(),
    })
}

fn step_back(step: &StepBack) -> Value {
    let exercised = step.exercised.as_ref().map(|one| {
        json!({
            "run": one.run, "kind": one.kind, "at": rfc3339(one.at), "took_ms": one.took_ms,
            "changed_since": !step.same,
        })
    });
    json!({
        "id": step.id,
        "undo": step.undo,
        "needs": step.needs.iter()
            .map(|(what, of)| json!({ "what": what, "step": of }))
            .collect::<Vec<_>>(),
        "exercised": exercised,
        "takes_ms": step.takes.known(),
        "known_by": step.takes.source(),
    })
}

fn phase_back(name: &str, phase: &PhaseBack) -> Value {
    let [measured, before, estimated] = phase.known;
    let known = phase.unknown.is_empty() || phase.ms > 0;
    json!({
        "phase": name,
        "nothing_to_take_back": phase.nothing,
        "takes_ms": known.then_some(phase.ms),
        "at_least": !phase.unknown.is_empty(),
        "measured": measured,
        "measured_before_a_change": before,
        "estimated": estimated,
        "unknown": phase.unknown,
        "left_behind": phase.left,
        "not_past": phase.held_by,
    })
}

fn step(step: &Step) -> Value {
    json!({
        "id": step.id.value,
        "title": step.title,
        "action": step.action.key.value,
        "params": step.action.params.as_written(),
        "target": step.action.target.as_ref().map(|target| &target.value),
        "changes": step.changes(),
        "when": step.when.as_ref().map(|when| when.text()),
        "for_each": step.for_each.is_some(),
        "expect": step.expect.iter().map(|expect| expect.text()).collect::<Vec<_>>(),
        "undo": undo_kind(step),
        "done_when": step.done_when.is_some(),
        "idempotent": step.idempotent,
        "undone_when": step.undone_when.is_some(),
        "in_doubt": match step.in_doubt {
            InDoubt::Ask => "ask",
            InDoubt::Fail => "fail",
        },
        "point_of_no_return": step.point_of_no_return,
        "timeout_s": step.timeout.map(|time| time.as_secs_f64()),
        "requires_backup": step.requires_backup.as_ref().map(|backup| &backup.step.value),
        "estimate_s": step.expected_length().map(|time| time.as_secs_f64()),
        "warn": step.warn.iter().map(|warn| warn.text()).collect::<Vec<_>>(),
        "watch": watched::watch_json(step),
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::view::History;

    #[test]
    fn the_shape_is_stable() {
        let plan = samples::small();
        let back = WayBack::of(&plan, &History::default());
        let plan = json(&plan, &back);
        assert_eq!(plan["schema"], "ferry.plan/1");
        assert_eq!(
            plan["levels"],
            json!([["verify"], ["backup", "build"], ["flush"]])
        );
        assert_eq!(plan["critical_path"], json!(["verify", "backup", "flush"]));
        assert_eq!(plan["total_s"], 960.0);
        assert_eq!(
            plan["window_s"],
            json!({"total": 600.0, "downtime": 300.0, "rollback": null})
        );
        assert_eq!(
            plan["phases"][3]["steps"][0],
            json!({
                "id": "flush-cache", "title": null, "action": "redis.flush",
                "params": {"db": 1, "confirm": {"role": "master"}}, "target": "cache",
                "changes": true, "when": null, "for_each": false, "expect": [], "undo": "auto",
                "done_when": true, "idempotent": false, "undone_when": false, "in_doubt": "ask",
                "point_of_no_return": false, "timeout_s": 60.0,
                "requires_backup": "keys", "estimate_s": null, "warn": [], "watch": null,
            })
        );
        assert_eq!(
            plan["way_back"]["after_phase"][3],
            json!({
                "phase": "flush", "nothing_to_take_back": false, "takes_ms": null, "at_least": true,
                "measured": 0, "measured_before_a_change": 0, "estimated": 0,
                "unknown": ["flush-cache", "restart", "stop", "old"], "left_behind": ["tidy"],
                "not_past": [],
            })
        );
        assert_eq!(
            plan["cannot_be_undone"],
            json!([{"step": "compile", "undo": "none"}, {"step": "tidy", "undo": "unsaid"}])
        );
    }
}
