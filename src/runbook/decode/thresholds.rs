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

/// A table of the block.
pub(super) struct Table {
    levels: Levels,
    at: Span,
    used: bool,
}

/// Tables by name.
pub(super) type Tables = HashMap<String, Table>;

/// Tables that nothing names.
pub(super) fn unused(tables: &Tables) -> Vec<Sp<String>> {
    let mut idle: Vec<Sp<String>> = tables
        .iter()
        .filter(|(_, table)| !table.used)
        .map(|(name, table)| Sp {
            value: name.clone(),
            span: table.at,
        })
        .collect();
    idle.sort_by_key(|name| name.span);
    idle
}

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
        let table = Table {
            levels: table(cx, &entry.value),
            at: entry.key_span,
            used: false,
        };
        tables.insert(entry.key.to_string(), table);
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
        match cx.thresholds.get_mut(name.as_str()) {
            Some(table) => {
                table.used = true;
                all.expect.extend(table.levels.expect.iter().cloned());
                all.warn.extend(table.levels.warn.iter().cloned());
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
        let at = entry.key_span;
        let critical = critical.and_then(|node| comparison(cx, node));
        let other = match (healthy, warning) {
            (Some(node), _) => comparison(cx, node).map(|found| (found, false)),
            (None, Some(node)) => comparison(cx, node).map(|found| (found, true)),
            (None, None) => None,
        };
        if let (Some(critical), Some((other, warns))) = (&critical, &other) {
            apart(cx, critical, other, *warns);
        }
        let critical = critical.and_then(|found| level(cx, &path, at, &found, true));
        levels.expect.extend(critical);
        let warn = other.and_then(|(found, against)| level(cx, &path, at, &found, against));
        levels.warn.extend(warn);
    }
    levels
}

/// One comparison of a level, such as `< 0.6`.
struct Comparison<'n> {
    op: &'static str,
    opposite: &'static str,
    value: &'n str,
    at: Span,
}

impl Comparison<'_> {
    /// 1 for what is above its value, -1 for what is below, 0 for neither.
    fn side(&self) -> i8 {
        match self.op.as_bytes().first() {
            Some(b'>') => 1,
            Some(b'<') => -1,
            _ => 0,
        }
    }
}

/// Two levels of one value must leave each other room.
fn apart(cx: &mut Cx<'_, '_>, critical: &Comparison<'_>, other: &Comparison<'_>, warns: bool) {
    let word = if warns { "warning" } else { "healthy" };
    let sides = critical.side() * other.side();
    let wrong_side = if warns { sides < 0 } else { sides > 0 };
    if wrong_side {
        let message = match warns {
            true => "`warning` and `critical` point to different sides",
            false => "`healthy` and `critical` point to the same side",
        };
        let help = match warns {
            true => {
                "say from where on each of them is so: `warning: \"> 50\"`, `critical: \"> 80\"`"
            }
            false => "what is healthy is not critical: `healthy: \"< 50\"`, `critical: \"> 80\"`",
        };
        let found = Diagnostic::error("F014", other.at, message);
        cx.problems.push(found.help(help));
        return;
    }
    let number = |one: &Comparison<'_>| one.value.parse::<f64>().ok();
    let (Some(edge), Some(value)) = (number(critical), number(other)) else {
        return;
    };
    let beyond = match critical.side() {
        1 => value > edge,
        -1 => value < edge,
        _ => false,
    };
    if beyond {
        let message = format!(
            "`{word}: {} {}` lies beyond `critical: {} {}`",
            other.op, other.value, critical.op, critical.value
        );
        let found = Diagnostic::error("F014", other.at, message);
        cx.problems
            .push(found.help("what is critical is worse than a warning: put the numbers in order"));
    }
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

/// `< 0.6`, in quotes.
fn comparison<'n>(cx: &mut Cx<'_, '_>, node: &'n Node) -> Option<Comparison<'n>> {
    let text = node
        .text()
        .filter(|_| node.tag.is_none())
        .unwrap_or_default()
        .trim();
    let found = COMPARISONS.iter().find_map(|(op, opposite)| {
        let value = text.strip_prefix(op)?.trim();
        (!value.is_empty()).then_some((*op, *opposite, value))
    });
    let Some((op, opposite, value)) = found else {
        let help = "such as `\"< 0.6\"` or `'> datasize(\"200mb\")'`, in quotes".to_owned();
        cx.wrong_type("a level", "a comparison", node, Some(help));
        return None;
    };
    // turned around as a whole, `< 5 || x` would mean something else than it says
    let more = ["&&", "||", "?", "==", "!=", "<", ">"];
    if more.iter().any(|more| value.contains(more)) {
        let message = "a level is one comparison";
        let found = Diagnostic::error("F014", node.span, message);
        cx.problems
            .push(found.help("put what asks for more into `expect` or `warn`"));
        return None;
    }
    Some(Comparison {
        op,
        opposite,
        value,
        at: node.span,
    })
}

/// A comparison as an expression over the result; `against`: what must not be so. It has the place of
/// its key, which is what most mistakes in it are about.
fn level(
    cx: &mut Cx<'_, '_>,
    path: &str,
    at: Span,
    found: &Comparison<'_>,
    against: bool,
) -> Option<Sp<Expr>> {
    let op = if against { found.opposite } else { found.op };
    match Expr::compile(&format!("result.{path} {op} {}", found.value)) {
        Ok(value) => Some(Sp { value, span: at }),
        Err(error) => {
            let found = Diagnostic::error("F020", found.at, error.message).maybe_help(error.hint);
            cx.problems.push(found);
            None
        }
    }
}
