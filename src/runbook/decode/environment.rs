//! `environments`: values for inputs that are declared, of their types, secrets by variable only.

use super::super::diagnostic::Diagnostic;
use super::super::environment::{Environment, Given};
use super::super::model::{Input, Sp};
use super::super::node::{Entry, Node};
use super::fields::{Cx, Fields};
use super::inputs::{as_kind, check_kind, plain};

pub(super) fn environments(cx: &mut Cx<'_, '_>, node: &Node, inputs: &[Input]) -> Vec<Environment> {
    let Some(entries) =
        Fields::of(cx, "`environments`", node).map(|_| node.map().unwrap_or_default())
    else {
        return Vec::new();
    };
    let one = |entry| environment(cx, entry, inputs);
    entries.iter().filter_map(one).collect()
}

fn environment(cx: &mut Cx<'_, '_>, entry: &Entry, inputs: &[Input]) -> Option<Environment> {
    cx.check_name("environment name", &entry.key, entry.key_span);
    let mut fields = Fields::of(cx, "an environment", &entry.value)?;
    let values = fields.require(cx, "inputs");
    let shares = fields.get("shares");
    let shares = shares
        .map(|node| cx.names("target or step", node))
        .unwrap_or_default();
    fields.finish(cx);
    let values = values?;
    Fields::of(cx, "`inputs`", values)?;
    let entries = values.map().unwrap_or_default();
    let one = |value| given(cx, value, inputs);
    Some(Environment {
        name: Sp {
            value: entry.key.to_string(),
            span: entry.key_span,
        },
        inputs: entries.iter().filter_map(one).collect(),
        shares,
    })
}

fn given(cx: &mut Cx<'_, '_>, entry: &Entry, inputs: &[Input]) -> Option<(Sp<String>, Given)> {
    let Some(input) = inputs.iter().find(|input| *input.name == *entry.key) else {
        if cx.problems.is_broken("input", &entry.key) {
            return None;
        }
        let names = inputs.iter().map(|input| input.name.as_str());
        let near = cx.problems.did_you_mean(&entry.key, names);
        let help = near.or_else(|| Some("declare it in `inputs`".into()));
        let message = format!("unknown input `{}`", entry.key);
        cx.problems
            .push(Diagnostic::error("F012", entry.key_span, message).maybe_help(help));
        return None;
    };
    let name = Sp {
        value: entry.key.to_string(),
        span: entry.key_span,
    };
    if entry.value.map().is_some() {
        let mut fields = Fields::of(cx, "an input's value", &entry.value)?;
        let variable = fields
            .require(cx, "env")
            .and_then(|node| cx.text("env", node));
        fields.finish(cx);
        return Some((name, Given::Variable(variable?.value)));
    }
    let node = &entry.value;
    if input.secret {
        let found = Diagnostic::error("F014", node.span, "a secret has a value in the runbook")
            .help("read it from the environment: `{ env: NAME }`");
        cx.problems.push(found);
        return None;
    }
    if node.text().is_some_and(|text| text.contains("${{")) {
        let found = Diagnostic::error(
            "F014",
            node.span,
            "an environment holds values, and no `${{ }}`",
        )
        .help("write the value out, or take it from a variable: `{ env: NAME }`");
        cx.problems.push(found);
        return None;
    }
    let value = as_kind(input.kind, node);
    if let Err(message) = check_kind(input.kind, &value) {
        let found = Diagnostic::error("F014", node.head(), message);
        cx.problems
            .push(found.also(input.name.span, "declared here"));
        return None;
    }
    if !input.choices.is_empty() && !input.choices.contains(&value) {
        let shown: Vec<_> = input
            .choices
            .iter()
            .map(|one| format!("`{}`", plain(one)))
            .collect();
        let message = "the value is not one of the input's `choices`";
        let found = Diagnostic::error("F014", node.head(), message);
        cx.problems
            .push(found.help(format!("the choices are {}", shown.join(", "))));
        return None;
    }
    Some((name, Given::Value(value)))
}
