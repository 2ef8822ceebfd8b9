//! `sql_lint` of a step: what must not be in the SQL that it prints. It becomes one more expectation,
//! the first ([`expectation`]).

use super::super::diagnostic::{Diagnostic, did_you_mean};
use super::super::model::{ActionUse, Sp};
use super::super::node::Node;
use super::fields::{Cx, Fields};
use crate::expr::Expr;
use crate::expr::sql::{Dialect, Rule};

/// The expectation that nothing of it is found.
pub(super) fn expectation(cx: &mut Cx<'_, '_>, node: &Node) -> Option<Sp<Expr>> {
    let mut fields = Fields::of(cx, "`sql_lint`", node)?;
    let dialect = fields
        .require(cx, "dialect")
        .and_then(|node| cx.text("dialect", node));
    let deny = fields.require(cx, "deny").map(|node| {
        let rules = cx.names("rule", node);
        if rules.is_empty() {
            cx.error("F014", node.span, "`deny` is empty");
        }
        rules
    });
    fields.finish(cx);
    let (dialect, deny) = (dialect?, deny?);
    let mut wrong = |span, message: String, help| {
        cx.problems
            .push(Diagnostic::error("F014", span, message).help(help));
    };
    let mut good = !deny.is_empty();
    if Dialect::named(&dialect).is_none() {
        let message = format!("`{}` is no dialect", *dialect);
        wrong(
            dialect.span,
            message,
            "known: postgres, mysql, sqlite".into(),
        );
        good = false;
    }
    for rule in deny.iter().filter(|rule| Rule::named(rule).is_none()) {
        let names = Rule::ALL.map(Rule::name);
        let help =
            did_you_mean(rule, names).unwrap_or_else(|| format!("known: {}", names.join(", ")));
        wrong(rule.span, format!("`{}` is no rule", **rule), help);
        good = false;
    }
    let rules: Vec<String> = deny.iter().map(|rule| format!("\"{}\"", **rule)).collect();
    let text = format!(
        "sql_findings(result.stdout, \"{}\", [{}]) == []",
        *dialect,
        rules.join(", ")
    );
    let value = Expr::compile(&text).ok().filter(|_| good)?;
    Some(Sp {
        value,
        span: node.span,
    })
}

/// Refuses it on a step that prints nothing.
pub(super) fn needs_output(cx: &mut Cx<'_, '_>, node: &Node, action: &ActionUse) {
    // an action that could not be read has no key
    if !matches!(action.key.as_str(), "shell" | "") {
        let message = format!("`sql_lint` on `{}`, which prints nothing", action.key.value);
        let help = "it judges the SQL that a `shell` step prints";
        cx.problems
            .push(Diagnostic::error("F014", node.head(), message).help(help));
    }
}
