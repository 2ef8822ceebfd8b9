//! The plan as JSON, for `ferry plan --json`.
//!
//! `schema` is `ferry.plan/1`; fields are added to it, never changed. Times are seconds.

use serde_json::{Value, json};

use super::facts::Facts;
use crate::plan::{Plan, undo_kind};
use crate::runbook::Step;
use crate::runbook::model::InDoubt;

/// The whole plan.
pub fn json(plan: &Plan) -> Value {
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
        "levels": facts.levels.iter()
            .map(|level| level.iter().map(name).collect::<Vec<_>>())
            .collect::<Vec<_>>(),
        "critical_path": facts.schedule.critical.iter().map(name).collect::<Vec<_>>(),
        "total_s": facts.schedule.total,
        "phases": phases,
        "rollback": {
            "first": part(&runbook.rollback.first),
            "last": part(&runbook.rollback.last),
            "verify": part(&runbook.rollback.verify),
            "notify": part(&runbook.rollback.notify),
        },
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
        "estimate_s": step.estimate.map(|time| time.as_secs_f64()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn the_shape_is_stable() {
        let plan = json(&samples::small());
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
                "requires_backup": "keys", "estimate_s": null,
            })
        );
        assert_eq!(
            plan["cannot_be_undone"],
            json!([{"step": "compile", "undo": "none"}, {"step": "tidy", "undo": "unsaid"}])
        );
    }
}
