//! What was watched, in the report for programs: every check with all looks that the journal has.

use serde_json::{Value, json};

use super::super::super::text::rfc3339;
use super::super::facts::watched::{downtime, outcome, verdict_word};
use crate::event::{Judgement, Sample};
use crate::view::{CheckView, Gap, RunView};

pub(super) fn checks(view: &RunView) -> Value {
    view.checks.iter().map(|one| check(view, one)).collect()
}

fn check(view: &RunView, check: &CheckView) -> Value {
    let (verdict, why) = outcome(view, check);
    let judged = check.judged.iter().chain(&check.ended);
    json!({
        "check": check.name,
        "guard": check.outline.guard,
        "outline": check.outline,
        "began_at": rfc3339(check.began_at),
        "ended_at": check.ended.as_ref().map(|(at, _)| rfc3339(*at)),
        "rounds": check.rounds,
        "verdict": verdict_word(verdict),
        "why": why,
        "judgements": judged.map(|(at, said)| judgement(*at, said)).collect::<Vec<_>>(),
        "tally": check.total(),
        // nobody looks at what stands still
        "next_at": (!view.status.is_over())
            .then(|| check.next_at(view.last_at.unwrap_or(0)))
            .flatten()
            .map(rfc3339),
        "failing": spans(&check.failing),
        "warned": spans(&check.warned),
        "gaps": check.gaps.iter().map(gap).collect::<Vec<_>>(),
        "samples": check.samples.iter().map(sample).collect::<Vec<_>>(),
        "samples_dropped": check.dropped,
    })
}

fn judgement(at: i64, said: &Judgement) -> Value {
    json!({
        "at": rfc3339(at), "verdict": said.verdict, "why": said.why, "then": said.then,
        "tally": said.tally, "evidence": said.evidence,
    })
}

fn sample(sample: &Sample) -> Value {
    let mut value = json!(sample);
    value["at"] = rfc3339(sample.at).into();
    value
}

fn spans(spans: &[(i64, Option<i64>)]) -> Vec<Value> {
    let one =
        |(from, to): &(i64, Option<i64>)| json!({ "from": rfc3339(*from), "to": to.map(rfc3339) });
    spans.iter().map(one).collect()
}

fn gap(gap: &Gap) -> Value {
    json!({ "from": rfc3339(gap.from), "to": rfc3339(gap.to), "missed": gap.missed })
}

/// The measured downtime; null where no guard measured it.
pub(super) fn measured(view: &RunView) -> Value {
    let Some(down) = downtime(view) else {
        return Value::Null;
    };
    json!({
        "guards": down.guards,
        "looks": down.looks,
        "down_ms": down.ms,
        "precision_ms": down.precision_ms,
        "still_down": down.is_open(),
        "spans": spans(&down.spans),
        "gaps": down.gaps.iter().map(gap).collect::<Vec<_>>(),
    })
}
