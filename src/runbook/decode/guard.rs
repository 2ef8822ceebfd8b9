//! The `guards` block.

use super::super::diagnostic::Diagnostic;
use super::super::model::{ActionUse, Sp};
use super::super::node::Node;
use super::super::watch::{Criteria, Guard};
use super::action;
use super::fields::{Cx, Fields};
use super::watch::{OfGuard, beside, rule};
use crate::event::Then;

/// The `guards` block.
pub(super) fn guards(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<Guard> {
    let Some(entries) = node.map() else {
        let help = "write `guards:` and below it `NAME:` with a probe".to_owned();
        cx.wrong_type("`guards`", "a mapping", node, Some(help));
        return Vec::new();
    };
    let mut guards = Vec::new();
    for entry in entries {
        cx.check_name("guard name", &entry.key, entry.key_span);
        let name = Sp {
            value: entry.key.to_string(),
            span: entry.key_span,
        };
        guards.extend(guard(cx, &entry.value, name));
    }
    guards
}

fn guard(cx: &mut Cx<'_, '_>, node: &Node, name: Sp<String>) -> Option<Guard> {
    let mut fields = Fields::of(cx, "a guard", node)?;
    let title = fields.get("title").and_then(|node| cx.text("title", node));
    let during = fields.require(cx, "during").map(|node| {
        if node.list().is_some_and(<[Node]>::is_empty) {
            let found = Diagnostic::error("F011", node.span, "a guard that watches no phase");
            cx.problems
                .push(found.help("name the phases in which it is looked at: `[deploy, validate]`"));
        }
        cx.names("phase name", node)
    });
    let then = fields
        .require(cx, "then")
        .and_then(|node| then(cx, "then", node));
    let blind = fields
        .get("when_blind")
        .and_then(|node| self::then(cx, "when_blind", node));
    let unless = fields
        .get("unless")
        .and_then(|node| cx.expr("unless", node));
    let interrupt = fields
        .get("interrupt")
        .and_then(|node| cx.bool("interrupt", node));
    let downtime = fields.get("measures").map(|node| measures(cx, node));
    let expect = fields.get("expect").map(|node| cx.exprs("expect", node));
    let beside = beside(cx, &mut fields);
    for key in ["bands", "trend"] {
        fields.not_offered(key);
    }
    let is_http = node
        .map()
        .is_some_and(|entries| entries.iter().any(|entry| entry.key.starts_with("http")));
    let defaults = OfGuard {
        // whether the application answers is what is asked
        unreachable_fails: is_http || downtime == Some(true),
    };
    let rule = rule(cx, &mut fields, node, Some(&defaults));
    let target = fields
        .get("target")
        .and_then(|node| cx.name("target name", node));
    let read_only = fields
        .get("read_only")
        .and_then(|node| cx.bool("read_only", node));
    let call: ActionUse = action::of_step(cx, &fields, node, target);
    action::must_read(cx, "a guard", &call, read_only);
    let criteria = beside.criteria(expect.unwrap_or_default());
    sound(cx, &name, &criteria, then, interrupt);
    let then = then?;
    Some(Guard {
        name,
        title: title.map(|title| title.value),
        during: during?,
        call,
        criteria,
        rule: rule?,
        unless,
        then,
        when_blind: blind.unwrap_or(match then {
            Then::Notify => Then::Notify,
            Then::Rollback | Then::Pause => Then::Pause,
        }),
        interrupt: interrupt.unwrap_or(false),
        downtime: downtime.unwrap_or(false),
    })
}

/// What makes no sense together.
fn sound(
    cx: &mut Cx<'_, '_>,
    name: &Sp<String>,
    criteria: &Criteria,
    then: Option<Then>,
    interrupt: Option<bool>,
) {
    if criteria.expect.is_empty() {
        let found = Diagnostic::error("F011", name.span, "a guard that expects nothing");
        cx.problems
            .push(found.help("say what must hold: `expect` or `thresholds`"));
    }
    if !criteria.bands.is_empty() || !criteria.trends.is_empty() {
        let message = "`bands` and `trend` belong to a step with `watch`";
        let found = Diagnostic::error("F014", name.span, message);
        cx.problems
            .push(found.help("a guard judges each look by itself: use `expect` or `thresholds`"));
    }
    if interrupt == Some(true) && matches!(then, Some(Then::Pause | Then::Notify)) {
        let message = "`interrupt` on a guard that does not roll back";
        let found = Diagnostic::error("F029", name.span, message);
        cx.problems
            .push(found.help("remove it, or say `then: rollback`"));
    }
}

fn then(cx: &mut Cx<'_, '_>, what: &str, node: &Node) -> Option<Then> {
    match node.text() {
        Some("rollback") if node.tag.is_none() => Some(Then::Rollback),
        Some("pause") if node.tag.is_none() => Some(Then::Pause),
        Some("notify") if node.tag.is_none() => Some(Then::Notify),
        _ => {
            let wanted = "`rollback`, `pause` or `notify`";
            cx.wrong_type(&format!("`{what}`"), wanted, node, None);
            None
        }
    }
}

fn measures(cx: &mut Cx<'_, '_>, node: &Node) -> bool {
    let said = node.text() == Some("downtime") && node.tag.is_none();
    if !said {
        cx.wrong_type("`measures`", "`downtime`", node, None);
    }
    said
}
