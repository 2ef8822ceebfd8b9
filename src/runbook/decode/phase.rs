//! `phases` and `rollback`.

use super::super::model::{DecideDef, Phase, RollbackDef, Sp, Step};
use super::super::node::{Entry, Node};
use super::fields::{Cx, Fields};
use super::step;

pub(super) fn phases(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<Phase> {
    let entries = match node.map() {
        Some(entries) if !entries.is_empty() => entries,
        Some(_) => {
            cx.error(
                "F011",
                node.span,
                "`phases` is empty: a runbook has at least one phase",
            );
            return Vec::new();
        }
        None => {
            let help = "write `phases:` and below it `NAME:` with its `steps:`".to_owned();
            cx.wrong_type("`phases`", "a mapping", node, Some(help));
            return Vec::new();
        }
    };
    entries
        .iter()
        .filter_map(|entry| phase(cx, entry))
        .collect()
}

fn phase(cx: &mut Cx<'_, '_>, entry: &Entry) -> Option<Phase> {
    cx.check_name("phase name", &entry.key, entry.key_span);
    let Some(mut fields) = Fields::of(cx, "a phase", &entry.value) else {
        cx.problems.broke("phase", &entry.key);
        return None;
    };
    let title = fields
        .get("title")
        .and_then(|node| cx.text("title", node))
        .map(|text| text.value);
    let needs = fields
        .get("needs")
        .map(|node| cx.names("phase name", node))
        .unwrap_or_default();
    let estimate = fields
        .get("estimate")
        .and_then(|node| cx.duration("estimate", node));
    let parallel = fields
        .get("parallel")
        .and_then(|node| cx.number("parallel", node, 1, 1_000));
    let when = fields.get("when").and_then(|node| cx.expr("when", node));
    let steps = fields
        .require(cx, "steps")
        .map(|node| steps(cx, node, &entry.key))
        .unwrap_or_default();
    fields.finish(cx);
    Some(Phase {
        name: Sp {
            value: entry.key.to_string(),
            span: entry.key_span,
        },
        title,
        needs,
        estimate,
        parallel: parallel.and_then(|n| usize::try_from(n).ok()).unwrap_or(1),
        when,
        steps,
    })
}

/// A list of steps; those without an id get one from `prefix` and their place.
pub(super) fn steps(cx: &mut Cx<'_, '_>, node: &Node, prefix: &str) -> Vec<Step> {
    let Some(items) = node.list() else {
        let help = "start each step with `- `".to_owned();
        cx.wrong_type("steps", "a list", node, Some(help));
        return Vec::new();
    };
    if items.is_empty() {
        cx.error("F011", node.head(), "a list of steps is empty");
    }
    let numbered = items.iter().enumerate();
    numbered
        .filter_map(|(at, item)| step::step(cx, item, &format!("{prefix}-{}", at + 1)))
        .collect()
}

pub(super) fn rollback(cx: &mut Cx<'_, '_>, node: &Node) -> RollbackDef {
    let Some(mut fields) = Fields::of(cx, "`rollback`", node) else {
        return RollbackDef::default();
    };
    let mut part = |cx: &mut Cx<'_, '_>, key: &'static str| match fields.get(key) {
        Some(node) => steps(cx, node, &format!("rollback-{key}")),
        None => Vec::new(),
    };
    let rollback = RollbackDef {
        first: part(cx, "first"),
        last: part(cx, "last"),
        verify: part(cx, "verify"),
        notify: part(cx, "notify"),
        decide: None,
    };
    let decide = fields
        .get("decide_within")
        .and_then(|node| decide(cx, node));
    fields.finish(cx);
    RollbackDef {
        decide: decide.map(Box::new),
        ..rollback
    }
}

/// `decide_within: 30m`, or with the phase that it counts from.
fn decide(cx: &mut Cx<'_, '_>, node: &Node) -> Option<DecideDef> {
    if node.map().is_none() {
        return Some(DecideDef {
            after: None,
            within: cx.duration("decide_within", node)?,
            span: node.span,
        });
    }
    let mut fields = Fields::of(cx, "`decide_within`", node)?;
    let after = fields
        .get("after")
        .and_then(|node| cx.name("phase name", node));
    let within = fields
        .require(cx, "for")
        .and_then(|node| cx.duration("for", node));
    fields.finish(cx);
    Some(DecideDef {
        after,
        // one that could not be read is told, and hides nothing of the rest
        within: within.unwrap_or_default(),
        span: node.head(),
    })
}
