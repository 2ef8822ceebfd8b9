//! What many looks are judged by beside their expectations: `bands`, `trend` and `baseline`.

use super::super::diagnostic::Diagnostic;
use super::super::node::Node;
use super::super::watch::{Band, BaselineDef, Direction, TrendDef};
use super::fields::{Cx, Fields};
use super::thresholds;

/// A share from 0 to 1.
pub(super) fn share(cx: &mut Cx<'_, '_>, what: &str, node: &Node) -> Option<f64> {
    let number = node.text().and_then(|text| text.parse::<f64>().ok());
    match number {
        Some(number) if node.tag.is_none() && (0.0..=1.0).contains(&number) => Some(number),
        _ => {
            cx.wrong_type(&format!("`{what}`"), "a number from 0 to 1", node, None);
            None
        }
    }
}

pub(super) fn bands(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<Band> {
    let Some(items) = node.list() else {
        let help = "write `- { from: 5m, expect: ... }` for each".to_owned();
        cx.wrong_type("`bands`", "a list", node, Some(help));
        return Vec::new();
    };
    let mut bands: Vec<Band> = Vec::new();
    for item in items {
        let Some(mut fields) = Fields::of(cx, "a band", item) else {
            continue;
        };
        let from = fields.require(cx, "from");
        let expect = fields.require(cx, "expect");
        let expect = expect.map(|node| cx.exprs("expect", node));
        let from = from.and_then(|node| cx.duration("from", node).map(|from| (node, from)));
        fields.finish(cx);
        let (Some((node, from)), Some(expect)) = (from, expect) else {
            continue;
        };
        if bands.last().is_some_and(|last| last.from >= from) {
            let found = Diagnostic::error("F014", node.span, "bands go from early to late");
            cx.problems
                .push(found.help("put it where its time belongs, each time once"));
        }
        bands.push(Band { from, expect });
    }
    bands
}

pub(super) fn trends(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<TrendDef> {
    let Some(entries) = node.map() else {
        let help = "write `trend: { keys: rising }`".to_owned();
        cx.wrong_type("`trend`", "a mapping", node, Some(help));
        return Vec::new();
    };
    let words = || Direction::ALL.iter().map(|(word, _)| *word);
    let mut trends = Vec::new();
    for entry in entries {
        let Some(path) = thresholds::path(cx, &entry.key, entry.key_span) else {
            continue;
        };
        let (wanted, tolerance) = match entry.value.map() {
            None => (Some(&entry.value), None),
            Some(_) => {
                let Some(mut fields) = Fields::of(cx, "a trend", &entry.value) else {
                    continue;
                };
                let wanted = fields.require(cx, "is");
                let tolerance = fields.get("tolerance");
                let tolerance = tolerance.and_then(|node| share(cx, "tolerance", node));
                fields.finish(cx);
                (wanted, tolerance)
            }
        };
        let said = wanted.and_then(Node::text);
        let found = Direction::ALL.iter().find(|(word, _)| Some(*word) == said);
        match (found, wanted) {
            (Some((_, wanted)), _) => trends.push(TrendDef {
                path,
                wanted: *wanted,
                tolerance: tolerance.unwrap_or(0.05),
                span: entry.key_span,
            }),
            (None, Some(node)) => {
                let known = words().collect::<Vec<_>>().join("`, `");
                cx.wrong_type("a trend", &format!("one of `{known}`"), node, None);
            }
            (None, None) => {}
        }
    }
    trends
}

pub(super) fn baseline(cx: &mut Cx<'_, '_>, node: &Node) -> BaselineDef {
    let usual = BaselineDef::default();
    let Some(mut fields) = Fields::of(cx, "`baseline`", node) else {
        return usual;
    };
    let samples = fields
        .get("samples")
        .and_then(|node| cx.number("samples", node, 1, 1_000));
    let every = fields
        .get("every")
        .and_then(|node| cx.duration("every", node));
    fields.finish(cx);
    BaselineDef {
        samples: samples
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(usual.samples),
        every: every.unwrap_or(usual.every),
    }
}
