//! One step: its common keys, and the one action key beside them.

use std::time::Duration;

use super::super::diagnostic::{Diagnostic, did_you_mean};
use super::super::model::{
    ForEach, Items, OutputDef, Poll, Probe, RequiredBackup, Retry, Sp, Step, Undo,
};
use super::super::node::Node;
use super::action;
use super::fields::{Cx, Fields};
use super::phase;
use crate::event::Cause;

/// Reads a step; `made_id` is its id when the author gave none.
pub(super) fn step(cx: &mut Cx<'_, '_>, node: &Node, made_id: &str) -> Option<Step> {
    let mut fields = Fields::of(cx, "a step", node)?;
    let id = match fields.get("id") {
        Some(node) => {
            // a wrong id is still the id that others refer to
            let _ = cx.name("step id", node);
            node.text().map(|text| Sp {
                value: text.to_owned(),
                span: node.span,
            })
        }
        None => None,
    };
    let id = id.unwrap_or_else(|| Sp {
        value: made_id.to_owned(),
        span: node.head(),
    });
    let title = fields
        .get("title")
        .and_then(|node| cx.text("title", node))
        .map(|text| text.value);
    let when = fields.get("when").and_then(|node| cx.expr("when", node));
    let expect = fields
        .get("expect")
        .map(|node| cx.exprs("expect", node))
        .unwrap_or_default();
    let retry = fields.get("retry").and_then(|node| retry(cx, node));
    let timeout = fields
        .get("timeout")
        .and_then(|node| cx.duration("timeout", node));
    let estimate = fields
        .get("estimate")
        .and_then(|node| cx.duration("estimate", node));
    let undo = fields
        .get("undo")
        .map_or(Undo::Unsaid, |node| undo(cx, node, &id));
    let done_when = fields
        .get("done_when")
        .and_then(|node| probe(cx, "`done_when`", node));
    let mut then_wait = fields
        .get("then_wait")
        .and_then(|node| poll(cx, "`then_wait`", node));
    // `wait: { for: 5s }` lets time pass; with a probe it is a poll
    let waits = node
        .get("wait")
        .filter(|wait| wait.map().is_some() && wait.get("for").is_none());
    if let Some(wait) = waits {
        let _ = fields.get("wait");
        then_wait = poll(cx, "`wait`", wait);
    }
    let env = fields
        .get("env")
        .map(|node| env(cx, node))
        .unwrap_or_default();
    let cwd = fields
        .get("cwd")
        .filter(|node| cx.text("cwd", node).is_some())
        .and_then(|node| cx.template("cwd", node));
    let outputs = fields
        .get("outputs")
        .map(|node| outputs(cx, node))
        .unwrap_or_default();
    let requires_backup = fields
        .get("requires_backup")
        .and_then(|node| required_backup(cx, node));
    let read_only = fields
        .get("read_only")
        .and_then(|node| cx.bool("read_only", node));
    let idempotent = fields
        .get("idempotent")
        .and_then(|node| cx.bool("idempotent", node));
    let tolerate = fields
        .get("tolerate")
        .and_then(|node| cx.bool("tolerate", node));
    let items = fields.get("for_each");
    let parallel = fields
        .get("parallel")
        .and_then(|node| cx.number("parallel", node, 1, 1_000));
    let for_each = items.and_then(|node| for_each(cx, node, parallel));
    let target = fields
        .get("target")
        .and_then(|node| cx.name("target name", node));
    if let (None, Some(_), Some(span)) = (items, parallel, fields.key_span("parallel")) {
        let found = Diagnostic::error("F014", span, "`parallel` on a step needs `for_each`")
            .help("to run steps side by side, put `parallel` on their phase");
        cx.problems.push(found);
    }
    refuse_later(cx, &mut fields);
    let action = match waits {
        Some(wait) => {
            fields.finish(cx);
            action::waiting(wait.span)
        }
        None => action::of_step(cx, &fields, node, target),
    };
    Some(Step {
        id,
        title,
        action,
        when,
        expect,
        retry,
        timeout,
        undo,
        done_when,
        then_wait,
        for_each,
        env,
        cwd,
        outputs,
        requires_backup,
        read_only,
        idempotent: idempotent.unwrap_or(false),
        tolerate: tolerate.unwrap_or(false),
        estimate,
        span: node.span,
    })
}

/// Keys of the language that this version does not carry out.
fn refuse_later(cx: &mut Cx<'_, '_>, fields: &mut Fields<'_>) {
    for key in [
        "watch",
        "bands",
        "trend",
        "sql_lint",
        "point_of_no_return",
        "undone_when",
    ] {
        fields.later(cx, key, None);
    }
}

fn undo(cx: &mut Cx<'_, '_>, node: &Node, id: &Sp<String>) -> Undo {
    match node.text() {
        Some("auto") => return Undo::Auto(node.span),
        Some("none") => return Undo::None,
        Some(_) => {
            let help = "an undo that runs a command is written `undo: [{ shell: COMMAND }]`";
            let wanted = "`auto`, `none` or a list of steps";
            cx.wrong_type("`undo`", wanted, node, Some(help.to_owned()));
            return Undo::Unsaid;
        }
        None if node.map().is_some() => {
            let help = "make it a list: start the step with `- `".to_owned();
            let wanted = "`auto`, `none` or a list of steps";
            cx.wrong_type("`undo`", wanted, node, Some(help));
            return Undo::Unsaid;
        }
        None => {}
    }
    Undo::Steps(phase::steps(cx, node, &format!("{}.undo", **id)))
}

pub(super) fn probe(cx: &mut Cx<'_, '_>, what: &'static str, node: &Node) -> Option<Probe> {
    let mut fields = Fields::of(cx, what, node)?;
    let expect = fields
        .get("expect")
        .map(|node| cx.exprs("expect", node))
        .unwrap_or_default();
    let target = fields
        .get("target")
        .and_then(|node| cx.name("target name", node));
    // the author's word on a probe is not needed: it is checked to be reading
    let read_only = fields
        .get("read_only")
        .and_then(|node| cx.bool("read_only", node));
    let call = action::of_step(cx, &fields, node, target);
    action::must_read(cx, what, &call, read_only);
    if expect.is_empty() {
        cx.error(
            "F011",
            node.head(),
            format!("{what} has no `expect`: it could not fail"),
        );
    }
    Some(Probe { call, expect })
}

pub(super) fn poll(cx: &mut Cx<'_, '_>, what: &'static str, node: &Node) -> Option<Poll> {
    let mut fields = Fields::of(cx, what, node)?;
    let every = fields
        .get("every")
        .and_then(|node| cx.duration("every", node));
    let within = fields
        .require(cx, "within")
        .and_then(|node| cx.duration("within", node));
    let expect = fields
        .get("expect")
        .map(|node| cx.exprs("expect", node))
        .unwrap_or_default();
    let target = fields
        .get("target")
        .and_then(|node| cx.name("target name", node));
    let read_only = fields
        .get("read_only")
        .and_then(|node| cx.bool("read_only", node));
    let call = action::of_step(cx, &fields, node, target);
    action::must_read(cx, what, &call, read_only);
    if expect.is_empty() {
        cx.error(
            "F011",
            node.head(),
            format!("{what} has no `expect`: nothing to wait for"),
        );
    }
    let every = every
        .unwrap_or(Duration::from_secs(1))
        .max(Duration::from_millis(10));
    let probe = Some(Probe { call, expect });
    Some(Poll {
        probe,
        every,
        within: within?,
    })
}

fn retry(cx: &mut Cx<'_, '_>, node: &Node) -> Option<Retry> {
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

fn for_each(cx: &mut Cx<'_, '_>, node: &Node, parallel: Option<i64>) -> Option<ForEach> {
    let items = match node.list() {
        Some(items) => Items::Listed(items.iter().map(Node::to_json).collect()),
        None if node.map().is_some() => {
            cx.wrong_type("`for_each`", "a list or an expression", node, None);
            return None;
        }
        None => Items::Computed(cx.expr("for_each", node)?),
    };
    let parallel = parallel.and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
    Some(ForEach { items, parallel })
}

fn env(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<(String, Sp<crate::expr::Template>)> {
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

fn outputs(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<(Sp<String>, OutputDef)> {
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

fn required_backup(cx: &mut Cx<'_, '_>, node: &Node) -> Option<RequiredBackup> {
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
