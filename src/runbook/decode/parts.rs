//! Values of a step's keys that have a shape of their own: `retry`, `env`, `outputs`,
//! `requires_backup`.

use std::time::Duration;

use super::super::diagnostic::{Diagnostic, did_you_mean};
use super::super::model::{OutputDef, RequiredBackup, Retry, Sp};
use super::super::node::Node;
use super::fields::{Cx, Fields};
use crate::event::Cause;
use crate::expr::Template;

pub(super) fn retry(cx: &mut Cx<'_, '_>, node: &Node) -> Option<Retry> {
    let mut fields = Fields::of(cx, "`retry`", node)?;
    let limit = fields
        .require(cx, "limit")
        .and_then(|node| cx.number("limit", node, 1, 1_000));
    let backoff = fields
        .get("backoff")
        .and_then(|node| cx.duration("backoff", node));
    let longest = fields
        .get("max_backoff")
        .and_then(|node| cx.duration("max_backoff", node));
    let factor = fields
        .get("factor")
        .and_then(|node| cx.number("factor", node, 1, 10));
    let on = fields
        .get("on")
        .map(|node| causes(cx, node))
        .unwrap_or_default();
    fields.finish(cx);
    #[expect(clippy::cast_precision_loss, reason = "a factor is at most 10")]
    let factor = factor.unwrap_or(2) as f64;
    Some(Retry {
        limit: u32::try_from(limit?).unwrap_or(u32::MAX),
        backoff: backoff.unwrap_or(Duration::from_secs(1)),
        factor,
        longest: longest.unwrap_or(Duration::from_secs(60)),
        on,
    })
}

fn causes(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<Cause> {
    const WORDS: [(&str, Cause); 4] = [
        ("unreachable", Cause::Unreachable),
        ("timeout", Cause::Timeout),
        ("failed", Cause::Failed),
        ("expectation", Cause::Expectation),
    ];
    let mut causes = Vec::new();
    for word in cx.names("reason to retry", node) {
        match WORDS.iter().find(|(name, _)| *name == *word) {
            Some((_, cause)) => causes.push(*cause),
            None => {
                let names = WORDS.map(|(name, _)| name);
                let help = did_you_mean(&word, names)
                    .unwrap_or_else(|| format!("known: {}", names.join(", ")));
                let message = format!("`{}` is no reason to retry", *word);
                cx.problems
                    .push(Diagnostic::error("F014", word.span, message).help(help));
            }
        }
    }
    causes
}

pub(super) fn env(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<(String, Sp<Template>)> {
    let Some(entries) = node.map() else {
        cx.wrong_type(
            "`env`",
            "a mapping",
            node,
            Some("write `env: { NAME: VALUE }`".to_owned()),
        );
        return Vec::new();
    };
    let mut env = Vec::new();
    for entry in entries {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if entry.key.is_empty()
            || !entry.key.chars().all(good)
            || entry.key.starts_with(|c: char| c.is_ascii_digit())
        {
            cx.error(
                "F014",
                entry.key_span,
                format!("`{}` is no name for the environment", entry.key),
            );
        } else if let Some(template) = cx.template("env", &entry.value) {
            env.push((entry.key.to_string(), template));
        }
    }
    env
}

pub(super) fn outputs(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<(Sp<String>, OutputDef)> {
    let Some(entries) = node.map() else {
        cx.wrong_type(
            "`outputs`",
            "a mapping",
            node,
            Some("write `outputs: { NAME: VALUE }`".to_owned()),
        );
        return Vec::new();
    };
    let mut outputs = Vec::new();
    for entry in entries {
        cx.check_name("output name", &entry.key, entry.key_span);
        let name = Sp {
            value: entry.key.to_string(),
            span: entry.key_span,
        };
        let def = if entry.value.map().is_some() {
            output_file(cx, &entry.value)
        } else {
            cx.expr("output", &entry.value).map(OutputDef::Value)
        };
        outputs.extend(def.map(|def| (name, def)));
    }
    outputs
}

fn output_file(cx: &mut Cx<'_, '_>, node: &Node) -> Option<OutputDef> {
    let mut fields = Fields::of(cx, "an output", node)?;
    let json = fields.get("json").and_then(|node| cx.text("json", node));
    let text = fields.get("text").and_then(|node| cx.text("text", node));
    fields.finish(cx);
    match (json, text) {
        (Some(file), None) => Some(OutputDef::Json(file)),
        (None, Some(file)) => Some(OutputDef::Text(file)),
        _ => {
            cx.error(
                "F014",
                node.head(),
                "an output is an expression, `{ json: FILE }` or `{ text: FILE }`",
            );
            None
        }
    }
}

pub(super) fn required_backup(cx: &mut Cx<'_, '_>, node: &Node) -> Option<RequiredBackup> {
    let mut fields = Fields::of(cx, "`requires_backup`", node)?;
    let step = fields
        .require(cx, "step")
        .and_then(|node| cx.name("step id", node));
    let younger_than = fields
        .get("younger_than")
        .and_then(|node| cx.duration("younger_than", node));
    fields.finish(cx);
    Some(RequiredBackup {
        step: step?,
        younger_than,
    })
}
