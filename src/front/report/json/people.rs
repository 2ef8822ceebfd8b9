//! People in the report for programs: budgets, votes, notes, signatures, criteria.

use serde_json::{Value, json};

use super::super::super::text::rfc3339;
use super::super::{Held, Proof, facts};
use crate::event::Order;
use crate::view::RunView;

pub(super) fn budgets(view: &RunView) -> Value {
    let one = |one: facts::Budget| {
        let value = json!({
            "budget_s": one.budget_s, "took_ms": one.took_ms, "kept": one.kept(),
        });
        (one.name.to_owned(), value)
    };
    Value::Object(facts::budgets(view).map(one).into_iter().collect())
}

pub(super) fn votes(view: &RunView) -> Value {
    let one = |one: &facts::Decision<'_>| {
        json!({
            "at": rfc3339(one.at), "login": one.login, "who": one.who, "step": one.step,
            "decision": one.word, "said": one.said, "key": one.key, "refused": one.refused,
        })
    };
    facts::decisions(view).iter().map(one).collect()
}

pub(super) fn notes(view: &RunView) -> Value {
    let one = |(at, login, note): &(i64, &str, &crate::event::Note)| {
        json!({
            "at": rfc3339(*at), "login": login, "who": note.who, "kind": note.kind,
            "text": note.text, "step": note.step,
        })
    };
    view.notes().iter().map(one).collect()
}

/// Signatures as they stand in the journal, refused ones beside them.
pub(super) fn signatures(view: &RunView) -> Value {
    let one = |one: &crate::view::Ordered| match &one.order {
        Order::Sign { signature } => Some(json!({
            "at": rfc3339(one.at), "login": one.by, "who": signature.who, "role": signature.role,
            "stage": signature.stage, "comment": signature.comment, "seq": signature.seq,
            "head": signature.head, "key": signature.key, "ssh": signature.ssh,
            "refused": one.refused,
        })),
        _ => None,
    };
    view.orders.iter().filter_map(one).collect()
}

/// Each role that is to sign, and whether it has.
pub(super) fn sign_off(view: &RunView, proof: &Proof) -> Value {
    let line = |line: &facts::Line<'_>| {
        json!({
            "role": line.role,
            "who": line.person.and_then(|one| one.who.as_ref()),
            "signed_by": line.signed.map(|(_, _, one)| &one.who),
            "signed_at": line.signed.map(|(at, _, _)| rfc3339(at)),
            "standing": line.signed.map(|_| {
                proof.signatures.get(&line.seq).map_or("not_checked", Held::word)
            }),
            "earlier_end": line.earlier,
        })
    };
    let [before, after] =
        facts::sign_off(view).map(|block| Value::Array(block.lines.iter().map(line).collect()));
    let checks = facts::checks(view);
    let checks: Vec<_> = checks
        .iter()
        .map(|(text, holds)| json!({ "text": text, "holds": holds }))
        .collect();
    json!({ "before": before, "after": after, "checks": checks })
}

pub(super) fn criteria(view: &RunView) -> Value {
    let one = |one: &facts::Judged<'_>| {
        json!({
            "id": one.criterion.id, "horizon": one.criterion.horizon,
            "phase": one.criterion.phase, "expect": one.criterion.expect,
            "within_s": one.criterion.within_s, "due": one.due.map(rfc3339),
            "state": one.state.words(), "why": one.why,
            "closed_at": one.closed.map(|(at, _)| rfc3339(at)),
            "closed_by": one.closed.map(|(_, who)| who),
            "evidence": one.evidence,
        })
    };
    facts::criteria(view).iter().map(one).collect()
}
