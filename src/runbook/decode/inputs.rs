//! `inputs` and `targets`.

use serde_json::Value;

use super::super::catalog::TargetKind;
use super::super::diagnostic::{Diagnostic, did_you_mean};
use super::super::model::{Input, InputKind, Sp, TargetDef};
use super::super::node::{Entry, Node};
use super::action::params_of;
use super::fields::{Cx, Fields};
use crate::runbook::params::Params;

pub(super) fn inputs(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<Input> {
    let Some(entries) = Fields::of(cx, "`inputs`", node).map(|_| node.map().unwrap_or_default())
    else {
        return Vec::new();
    };
    entries
        .iter()
        .filter_map(|entry| input(cx, entry))
        .collect()
}

fn input(cx: &mut Cx<'_, '_>, entry: &Entry) -> Option<Input> {
    cx.check_name("input name", &entry.key, entry.key_span);
    cx.problems.broke("input", &entry.key);
    let mut fields = Fields::of(cx, "an input", &entry.value)?;
    let kind = fields.get("type").and_then(|node| input_kind(cx, node));
    let env = fields
        .get("env")
        .and_then(|node| cx.text("env", node))
        .map(|text| text.value);
    let default = fields.get("default");
    let choices = fields.get("choices");
    let secret = fields
        .get("secret")
        .and_then(|node| cx.bool("secret", node))
        .unwrap_or(false);
    let description = fields
        .get("description")
        .and_then(|node| cx.text("description", node));
    fields.finish(cx);
    let kind = kind.unwrap_or_default();
    let choices: Vec<Value> = match choices.map(|node| (node, node.list())) {
        Some((_, Some(items))) => items.iter().map(|item| as_kind(kind, item)).collect(),
        Some((node, None)) => {
            cx.wrong_type("`choices`", "a list", node, None);
            Vec::new()
        }
        None => Vec::new(),
    };
    if let (true, Some(node)) = (secret, default) {
        let found = Diagnostic::error("F014", node.span, "a secret has a default in the runbook")
            .help("read it from the environment: `env: NAME`");
        cx.problems.push(found);
    }
    let value = default.map(|node| as_kind(kind, node));
    if let (Some(node), Some(value), false) = (default, &value, secret) {
        if !choices.is_empty() && !choices.contains(value) {
            let shown: Vec<_> = choices
                .iter()
                .map(|choice| format!("`{}`", plain(choice)))
                .collect();
            let found = Diagnostic::error(
                "F014",
                node.head(),
                "the default is not one of the `choices`",
            );
            cx.problems
                .push(found.help(format!("the choices are {}", shown.join(", "))));
        } else if let Err(message) = check_kind(kind, value) {
            cx.error("F014", node.head(), message);
        }
    }
    Some(Input {
        name: Sp {
            value: entry.key.to_string(),
            span: entry.key_span,
        },
        kind,
        env,
        default: value,
        choices,
        secret,
        description: description.map(|text| text.value),
    })
}

pub(super) fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn input_kind(cx: &mut Cx<'_, '_>, node: &Node) -> Option<InputKind> {
    let word = cx.text("type", node)?;
    let found = InputKind::NAMES.iter().find(|(name, _)| *name == *word);
    if found.is_none() {
        let names = InputKind::NAMES.map(|(name, _)| name);
        let help = did_you_mean(&word, names).unwrap_or_else(|| {
            format!(
                "types: {}",
                names.map(|name| format!("`{name}`")).join(", ")
            )
        });
        let message = format!("`{}` is no type of input", *word);
        cx.problems
            .push(Diagnostic::error("F014", node.span, message).help(help));
    }
    found.map(|(_, kind)| *kind)
}

/// Text inputs keep a scalar as written: `default: 7.0` is the text `7.0`.
pub(super) fn as_kind(kind: InputKind, node: &Node) -> Value {
    match (kind, node.text()) {
        (InputKind::Text | InputKind::Path | InputKind::Duration, Some(text)) => Value::from(text),
        _ => node.to_json(),
    }
}

/// Whether a value is of a kind.
///
/// # Errors
/// What was wanted and found.
pub(in crate::runbook) fn check_kind(kind: InputKind, value: &Value) -> Result<(), String> {
    let good = match kind {
        InputKind::Text | InputKind::Path => value.is_string(),
        InputKind::Int => value.is_i64(),
        InputKind::Number => value.is_number(),
        InputKind::Bool => value.is_boolean(),
        InputKind::List => value.is_array(),
        InputKind::Duration => {
            let text = value.as_str().unwrap_or_default();
            return crate::runbook::units::Span::parse(text).map(|_| ());
        }
    };
    if good {
        Ok(())
    } else {
        Err(format!("`{value}` is not of type `{}`", kind.name()))
    }
}

pub(super) fn targets(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<TargetDef> {
    let Some(entries) = Fields::of(cx, "`targets`", node).map(|_| node.map().unwrap_or_default())
    else {
        return Vec::new();
    };
    entries
        .iter()
        .filter_map(|entry| target(cx, entry))
        .collect()
}

fn target(cx: &mut Cx<'_, '_>, entry: &Entry) -> Option<TargetDef> {
    cx.check_name("target name", &entry.key, entry.key_span);
    cx.problems.broke("target", &entry.key);
    let keys = Fields::of(cx, "a target", &entry.value).and(entry.value.map())?;
    let mut kinds = keys
        .iter()
        .filter_map(|key| Some((TargetKind::from_key(&key.key)?, key)));
    let Some((kind, address)) = kinds.next() else {
        let names = TargetKind::ALL
            .map(|kind| format!("`{}`", kind.key()))
            .join(", ");
        let found = Diagnostic::error(
            "F017",
            entry.key_span,
            format!("target `{}` says no kind", entry.key),
        )
        .help(format!("give it one key of {names}, with the address"));
        cx.problems.push(found);
        return None;
    };
    if let Some((_, second)) = kinds.next() {
        let found = Diagnostic::error(
            "F017",
            second.key_span,
            format!("target `{}` has two kinds", entry.key),
        )
        .also(address.key_span, "the first");
        cx.problems.push(found);
    }
    cx.text(kind.key(), &address.value)?;
    let url = cx.template(kind.key(), &address.value)?;
    let options = keys.iter().filter(|key| key.key != address.key);
    let options = options
        .map(|key| (key.key.to_string(), params_of(cx, &key.value, None)))
        .collect();
    Some(TargetDef {
        name: Sp {
            value: entry.key.to_string(),
            span: entry.key_span,
        },
        kind,
        url,
        options: Params::Map(options),
    })
}
