//! The `troubleshooting` block: what to look at, and what to try, when a step fails.

use super::super::model::Trouble;
use super::super::node::Node;
use super::fields::{Cx, Fields};
use super::phase;

/// Reads the list.
pub(super) fn troubleshooting(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<Trouble> {
    let Some(items) = node.list() else {
        let help = "start each entry with `- symptom: ...`".to_owned();
        cx.wrong_type("`troubleshooting`", "a list", node, Some(help));
        return Vec::new();
    };
    let numbered = (1..).zip(items);
    numbered
        .filter_map(|(at, item)| trouble(cx, item, at))
        .collect()
}

fn trouble(cx: &mut Cx<'_, '_>, node: &Node, at: usize) -> Option<Trouble> {
    let mut fields = Fields::of(cx, "an entry of `troubleshooting`", node)?;
    let symptom = fields
        .require(cx, "symptom")
        .and_then(|node| cx.text("symptom", node));
    let steps = fields
        .require(cx, "for")
        .map(|node| cx.names("step id", node))
        .unwrap_or_default();
    let diagnose = fields
        .get("diagnose")
        .map(|node| phase::steps(cx, node, &format!("troubleshooting-{at}")))
        .unwrap_or_default();
    let solutions = fields
        .get("solutions")
        .map(|node| texts(cx, node))
        .unwrap_or_default();
    fields.finish(cx);
    Some(Trouble {
        symptom: symptom?,
        steps,
        diagnose,
        solutions,
    })
}

fn texts(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<String> {
    let Some(items) = node.list() else {
        cx.wrong_type("`solutions`", "a list of texts", node, None);
        return Vec::new();
    };
    let texts = items.iter().filter_map(|item| cx.text("solution", item));
    texts.map(|text| text.value).collect()
}
