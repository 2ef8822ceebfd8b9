//! The `thresholds` block: tables of healthy, warning and critical, and where they are used.
//!
//! A threshold becomes two expressions: what is critical fails, what is a warning is recorded and shown.

use std::collections::HashMap;

use super::super::diagnostic::Diagnostic;
use super::super::model::Sp;
use super::super::node::{Node, Span};
use super::fields::{Cx, Fields};
use crate::expr::Expr;

/// Expectations of a table.
#[derive(Clone, Default)]
pub(super) struct Levels {
    /// What must hold: it is not critical.
    pub(super) expect: Vec<Sp<Expr>>,
    /// What should hold: it is healthy.
    pub(super) warn: Vec<Sp<Expr>>,
}

/// Tables by name.
pub(super) type Tables = HashMap<String, Levels>;

/// Comparisons, the longer ones first, each with its opposite.
const COMPARISONS: &[(&str, &str)] = &[
    ("<=", ">"),
    (">=", "<"),
    ("==", "!="),
    ("!=", "=="),
    ("<", ">="),
    (">", "<="),
];

/// The `thresholds` block of a runbook.
pub(super) fn tables(cx: &mut Cx<'_, '_>, node: &Node) -> Tables {
    let Some(entries) = node.map() else {
        let help =
            "write `thresholds:` and below it `NAME:` with one entry for each value".to_owned();
        cx.wrong_type("`thresholds`", "a mapping", node, Some(help));
        return Tables::new();
    };
    let mut tables = Tables::new();
    for entry in entries {
        cx.check_name("name of a threshold table", &entry.key, entry.key_span);
        let levels = table(cx, &entry.value);
        tables.insert(entry.key.to_string(), levels);
    }
    tables
}

/// What a step or a guard says: the name of a table, names, or a table of its own.
pub(super) fn used(cx: &mut Cx<'_, '_>, node: &Node) -> Levels {
    if node.map().is_some() {
        return table(cx, node);
    }
    let mut all = Levels::default();
    for name in cx.names("name of a threshold table", node) {
        match cx.thresholds.get(name.as_str()) {
            Some(levels) => {
                all.expect.extend(levels.expect.iter().cloned());
                all.warn.extend(levels.warn.iter().cloned());
            }
            None => {
                let known = cx.thresholds.keys().map(String::as_str);
                let near = cx.problems.did_you_mean(&name, known);
                let message = format!("unknown threshold table `{}`", *name);
                let found = Diagnostic::error("F012", name.span, message);
                let help = near.or_else(|| Some("declare it in `thresholds`".into()));
                cx.problems.push(found.maybe_help(help));
            }
        }
    }
    all
}

fn table(cx: &mut Cx<'_, '_>, node: &Node) -> Levels {
    let mut levels = Levels::default();
    let Some(entries) = node.map() else {
        let help = "write `hit_rate: { healthy: \">= 0.8\", critical: \"< 0.6\" }`".to_owned();
        cx.wrong_type("a threshold table", "a mapping", node, Some(help));
        return levels;
    };
    if entries.is_empty() {
        cx.error("F011", node.head(), "a threshold table is empty");
    }
    for entry in entries {
        let Some(path) = path(cx, &entry.key, entry.key_span) else {
            continue;
        };
        let Some(mut fields) = Fields::of(cx, "a threshold", &entry.value) else {
            continue;
        };
        let healthy = fields.get("healthy");
        let warning = fields.get("warning");
        let critical = fields.get("critical");
        fields.finish(cx);
        if healthy.is_none() && warning.is_none() && critical.is_none() {
            let found = Diagnostic::error("F011", entry.key_span, "a threshold without a level");
            cx.problems
                .push(found.help("say `critical`, and `healthy` or `warning`"));
        }
        if let (Some(_), Some(warning)) = (healthy, warning) {
            let message = "`healthy` and `warning` say the same from two sides";
            let found = Diagnostic::error("F014", warning.span, message);
            cx.problems.push(found.help("keep one of them"));
        }
        levels
            .expect
            .extend(critical.and_then(|node| level(cx, &path, node, true)));
        let warn = match (healthy, warning) {
            (Some(node), _) => level(cx, &path, node, false),
            (None, Some(node)) => level(cx, &path, node, true),
            (None, None) => None,
        };
        levels.warn.extend(warn);
    }
    levels
}

/// A path into the result: `hit_rate`, `nodes.first.lag`.
pub(super) fn path(cx: &mut Cx<'_, '_>, key: &str, span: Span) -> Option<String> {
    let path = key.strip_prefix("result.").unwrap_or(key);
    let good = |part: &str| {
        let mut chars = part.chars();
        chars
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if path.split('.').all(good) {
        return Some(path.to_owned());
    }
    let message = format!("`{}` is no part of a result", key.escape_debug());
    let found = Diagnostic::error("F014", span, message);
    cx.problems
        .push(found.help("name it as in `expect`, such as `hit_rate`"));
    None
}

/// `< 0.6` as an expression; `against`: what must not be so.
fn level(cx: &mut Cx<'_, '_>, path: &str, node: &Node, against: bool) -> Option<Sp<Expr>> {
    let text = node
        .text()
        .filter(|_| node.tag.is_none())
        .unwrap_or_default()
        .trim();
    let found = COMPARISONS.iter().find_map(|(op, opposite)| {
        let value = text.strip_prefix(op)?.trim();
        (!value.is_empty()).then_some((if against { opposite } else { op }, value))
    });
    let Some((op, value)) = found else {
        let help = "such as `\"< 0.6\"` or `'> datasize(\"200mb\")'`, in quotes".to_owned();
        cx.wrong_type("a level", "a comparison", node, Some(help));
        return None;
    };
    match Expr::compile(&format!("result.{path} {op} {value}")) {
        Ok(value) => Some(Sp {
            value,
            span: node.span,
        }),
        Err(error) => {
            let found = Diagnostic::error("F020", node.span, error.message).maybe_help(error.hint);
            cx.problems.push(found);
            None
        }
    }
}
