//! The report for programs.
//!
//! `schema` is `ferry.report/1`: fields are added to it, never changed or removed. Times are RFC
//! 3339, lengths milliseconds. `run`, `verdict`, `notices` (with stable `code`s), `phases` with their
//! `steps` (an item of `for_each` is a step of its own), `failure`, `checks` with their looks,
//! `downtime` as it was measured, `rollback`, `snapshots`.

mod checks;
mod people;

use serde_json::{Value, json};

use super::super::text::rfc3339;
use super::{Proof, facts};
use crate::event::{Report, SkipReason};
use crate::view::{AttemptFailed, PhaseView, RunView, StepView};

/// The whole report.
pub fn json(view: &RunView, proof: &Proof) -> Value {
    let header = &view.header;
    let counts = view.counts();
    json!({
        "schema": "ferry.report/1",
        "run": {
            "id": view.id,
            "runbook": header.name,
            "title": header.title,
            "source": header.source,
            "digest": header.digest,
            "version": header.version,
            "inputs": header.inputs,
            "environment": header.options.environment,
            "rehearsal": header.options.rehearsal,
            "secrets": header.secrets,
            "engines": view.engines.iter().map(|engine| json!({
                "at": rfc3339(engine.at), "by": engine.by, "host": engine.host, "pid": engine.pid,
            })).collect::<Vec<_>>(),
            "started_at": view.started_at.map(rfc3339),
            "ended_at": view.ended_at.map(rfc3339),
            "took_ms": view.last_at.and_then(|last| view.took_ms(last)),
            "events": view.last_seq,
        },
        "verdict": { "status": view.status, "text": facts::verdict(view) },
        "counts": {
            "steps": counts.steps, "done": counts.done, "failed": counts.failed,
            "tolerated": counts.tolerated, "skipped": counts.skipped, "running": counts.running,
            "pending": counts.pending, "retries": counts.retries, "in_doubt": counts.in_doubt,
        },
        "asked": view.asked.iter().map(|one| json!({
            "at": rfc3339(one.at), "step": one.step, "question": one.question, "why": one.why,
            "answers": one.question.answers(), "evidence": one.evidence,
        })).collect::<Vec<_>>(),
        "orders": view.orders.iter().map(|one| json!({
            "at": rfc3339(one.at), "by": one.by, "order": one.order, "reason": one.reason,
            "refused": one.refused,
        })).collect::<Vec<_>>(),
        "resolved": view.resolved.iter().map(|one| json!({
            "at": rfc3339(one.at), "step": one.step, "how": one.how, "to": one.to,
        })).collect::<Vec<_>>(),
        "notices": facts::notices(view).iter().map(|notice| json!({
            "code": notice.code, "about": notice.about, "text": notice.text,
        })).collect::<Vec<_>>(),
        "waivers": view.waivers().iter().map(|one| json!({
            "at": rfc3339(one.at), "what": one.what, "subject": one.subject, "by": one.by,
            "reason": one.reason,
        })).collect::<Vec<_>>(),
        "people": header.people,
        "budgets": people::budgets(view),
        "votes": people::votes(view),
        "notes": people::notes(view),
        "signatures": people::signatures(view),
        "sign_off": people::sign_off(view, proof),
        "criteria": people::criteria(view),
        "head": {
            "events": view.last_seq, "hash": proof.head, "witness": proof.witness,
            "problem": proof.problem,
        },
        "failure": view.failure,
        "phases": view.phases.iter().map(|one| phase(view, one)).collect::<Vec<_>>(),
        "checks": checks::checks(view),
        "downtime": checks::measured(view),
        "rollback": rollback(view),
        "snapshots": snapshots(view),
    })
}

fn phase(view: &RunView, phase: &PhaseView) -> Value {
    let now = view.last_at.unwrap_or(0);
    let steps = view.steps_of(phase).iter().flat_map(StepView::named);
    json!({
        "name": phase.name,
        "title": phase.title,
        "needs": phase.needs,
        "status": view.phase_status(phase).words(),
        "started_at": phase.started_at.map(rfc3339),
        "ended_at": phase.ended_at.map(rfc3339),
        "took_ms": phase.took_ms(now),
        "estimate_s": phase.estimate_s,
        "late_ms": phase.late_ms(now),
        "skipped_by": phase.skipped,
        "steps": steps.map(|(name, one)| step(view, &name, one)).collect::<Vec<_>>(),
    })
}

fn step(view: &RunView, name: &str, step: &StepView) -> Value {
    let skipped = step.skipped.as_deref().map(|reason| match reason {
        SkipReason::When(evidence) => json!({ "reason": "when", "evidence": [evidence] }),
        SkipReason::AlreadyDone(all) => json!({ "reason": "already_done", "evidence": all }),
        SkipReason::NoItems => json!({ "reason": "no_items", "evidence": [] }),
        SkipReason::Person { by, reason } => {
            json!({ "reason": "person", "by": by, "why": reason, "evidence": [] })
        }
    });
    json!({
        "step": name,
        "title": step.outline.title,
        "action": step.outline.action,
        "changes": step.outline.changes,
        "undo": step.outline.undo,
        "status": step.status.words(),
        "item": step.item,
        "attempts": step.attempt,
        "started_at": step.started_at.map(rfc3339),
        "ended_at": step.ended_at.map(rfc3339),
        "took_ms": step.took_ms(),
        "estimate_s": step.outline.estimate_s,
        "skipped": skipped,
        "failures": step.failures.iter().map(failed).collect::<Vec<_>>(),
        "taken_back": view.rollback.as_ref().and_then(|back| back.taken_back(name)),
        "report": step.report.as_deref().map(report),
    })
}

fn failed(failed: &AttemptFailed) -> Value {
    json!({
        "attempt": failed.attempt,
        "at": rfc3339(failed.at),
        "took_ms": failed.took_ms,
        "failure": failed.failure,
    })
}

/// Every field of a report, also those without a value.
fn report(report: &Report) -> Value {
    json!({
        "did": report.did,
        "result": report.result,
        "outputs": report.outputs,
        "evidence": report.evidence,
        "warnings": report.warnings,
        "output": report.output,
    })
}

fn rollback(view: &RunView) -> Value {
    let Some(rollback) = &view.rollback else {
        return Value::Null;
    };
    let items = rollback.items.iter().map(|item| {
        json!({
            "id": item.item.id,
            "part": item.item.part,
            "of": item.item.of,
            "action": item.item.action,
            "status": item.status.words(),
            "attempts": item.attempt,
            "took_ms": item.took_ms,
            "skipped": item.skipped,
            "failures": item.failures.iter().map(failed).collect::<Vec<_>>(),
            "report": item.report.as_deref().map(report),
        })
    });
    json!({
        "cause": rollback.cause,
        "started_at": rfc3339(rollback.started_at),
        "ended_at": rollback.ended_at.map(rfc3339),
        "items": items.collect::<Vec<_>>(),
        "not_undone": rollback.not_undone,
    })
}

fn snapshots(view: &RunView) -> Value {
    let one = |compared: facts::Compared<'_>| {
        let moments = compared.moments.iter();
        let taken = moments.clone().map(|moment| {
            let taken = view.snapshot(*moment, compared.name);
            json!({
                "moment": moment,
                "file": taken.and_then(|one| one.file.as_ref()),
                "sha256": taken.and_then(|one| one.sha256.as_ref()),
                "failure": taken.and_then(|one| one.failure.as_ref()),
            })
        });
        let equal = moments.skip(1).zip(&compared.equal);
        let equal = equal.map(|(moment, equal)| (moment.name().to_owned(), json!(equal)));
        let changes = compared.places.iter().map(|(path, values)| {
            let values = compared.moments.iter().zip(values);
            let values = values.map(|(moment, value)| (moment.name().to_owned(), json!(value)));
            json!({ "path": path, "values": values.collect::<serde_json::Map<_, _>>() })
        });
        json!({
            "name": compared.name,
            "taken": taken.collect::<Vec<_>>(),
            "equals_first": equal.collect::<serde_json::Map<_, _>>(),
            "changes": changes.collect::<Vec<_>>(),
        })
    };
    Value::Array(facts::snapshots(view).into_iter().map(one).collect())
}
