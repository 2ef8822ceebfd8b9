//! The action key of a step, probe or snapshot: found, checked against the catalog, and its
//! parameters made ready. Values never become program text: a hole there is refused here.

use super::super::catalog::{Class, Spec};
use super::super::diagnostic::{Diagnostic, did_you_mean};
use super::super::model::{ActionUse, SnapshotDef, Sp};
use super::super::node::{Entry, Kind, Node, Span};
use super::super::params::Params;
use super::fields::{Cx, Fields, inside};
use crate::expr::{self, Template};

/// The one action among the keys that nobody has asked for. Without one it is [`unread`], so that
/// the rest of the step is still looked at.
pub(super) fn of_step(
    cx: &mut Cx<'_, '_>,
    fields: &Fields<'_>,
    node: &Node,
    target: Option<Sp<String>>,
) -> ActionUse {
    fields.empty(cx);
    let mut found: Option<(&Entry, Spec)> = None;
    let mut wrong = false;
    let rest: Vec<&Entry> = fields.rest().collect();
    for entry in rest {
        let Some(spec) = cx.catalog.get(&entry.key).copied() else {
            wrong = true;
            unknown_key(cx, fields, entry);
            continue;
        };
        match &found {
            None => found = Some((entry, spec)),
            Some((first, _)) => {
                let message = format!(
                    "two actions in one step: `{}` and `{}`",
                    first.key, entry.key
                );
                let problem = Diagnostic::error("F017", entry.key_span, message)
                    .also(first.key_span, "the first")
                    .help("make two steps of it");
                cx.problems.push(problem);
            }
        }
    }
    match found {
        Some((entry, spec)) => action_use(cx, entry, &spec, target),
        None => {
            if !wrong {
                let message = "a step without an action";
                let problem = Diagnostic::error("F017", node.head(), message)
                    .help("give it one action key, such as `shell:`, `redis:`, `sql:` or `http:`");
                cx.problems.push(problem);
            }
            unread(node.head(), target)
        }
    }
}

/// What stands for an action that could not be read; nothing is known of its result.
fn unread(span: Span, target: Option<Sp<String>>) -> ActionUse {
    ActionUse {
        key: Sp {
            value: String::new(),
            span,
        },
        params: Params::Constant(serde_json::Value::Null),
        target,
        class: Class::Reading,
    }
}

fn unknown_key(cx: &mut Cx<'_, '_>, fields: &Fields<'_>, entry: &Entry) {
    let catalog = cx.catalog;
    let actions: Vec<&str> = catalog.iter().map(|spec| spec.key).collect();
    let Some((family, _)) = entry.key.split_once('.') else {
        fields.unknown(cx, entry, &actions);
        return;
    };
    let key: String = entry.key.chars().take(64).collect();
    let message = format!("unknown action `{}`", key.escape_debug());
    let help = did_you_mean(&entry.key, actions.iter().copied()).unwrap_or_else(|| {
        let mut near: Vec<&str> = actions.clone();
        near.retain(|key| key.split('.').next() == Some(family));
        let names = if near.is_empty() { actions } else { near };
        format!("there are `{}`", names.join("`, `"))
    });
    cx.problems
        .push(Diagnostic::error("F018", entry.key_span, message).help(help));
}

fn action_use(
    cx: &mut Cx<'_, '_>,
    entry: &Entry,
    spec: &Spec,
    target: Option<Sp<String>>,
) -> ActionUse {
    let fits = check_params(cx, spec, entry);
    let refused = refuse_holes(cx, spec, &entry.value);
    // what is refused as a whole is not looked into
    let params = match refused {
        true => Params::Constant(entry.value.to_json()),
        false => params_of(cx, &entry.value, spec.short),
    };
    let written = params.as_written();
    if let (true, Err(message)) = (fits && !refused, (spec.sense)(&written)) {
        let (message, help) = split_help(&message);
        let found = Diagnostic::error(
            "F013",
            place_of(entry),
            format!("`{}`: {message}", spec.key),
        );
        cx.problems.push(found.maybe_help(help));
    }
    let class = (spec.class)(&written);
    check_target(cx, entry, spec, target.as_ref());
    ActionUse {
        key: Sp {
            value: spec.key.to_owned(),
            span: entry.key_span,
        },
        params,
        target,
        class,
    }
}

fn check_target(cx: &mut Cx<'_, '_>, entry: &Entry, spec: &Spec, target: Option<&Sp<String>>) {
    if let (Some(target), true) = (target, spec.targets.is_empty()) {
        let message = format!("`{}` takes no target", spec.key);
        let problem = Diagnostic::error("F019", target.span, message);
        cx.problems.push(problem.help("remove `target`"));
    }
    if target.is_none() && !spec.targets.is_empty() && !spec.target_optional {
        let kinds: Vec<_> = spec.targets.iter().map(|kind| kind.key()).collect();
        let message = format!("`{}` needs a `target`", spec.key);
        let problem = Diagnostic::error("F019", entry.key_span, message);
        cx.problems.push(problem.help(format!(
            "name a target of kind `{}` beside it",
            kinds.join("` or `")
        )));
    }
}

/// The value where there is one to point at, else the key.
fn place_of(entry: &Entry) -> Span {
    if entry.value.span.range().is_empty() {
        entry.key_span
    } else {
        entry.value.head()
    }
}

/// Checks the shape of the parameters by the action's own type. A scalar is its short form: it is
/// checked as the mapping that it stands for.
fn check_params(cx: &mut Cx<'_, '_>, spec: &Spec, entry: &Entry) -> bool {
    let node = &entry.value;
    if node.tag.is_some() {
        return false;
    }
    let long;
    let checked = match (&node.kind, spec.short) {
        (Kind::Scalar { .. }, None) if !node.is_null() => {
            let message = format!("`{}` takes a mapping, not {}", spec.key, node.describe());
            cx.error("F013", node.span, message);
            return false;
        }
        (Kind::Scalar { .. }, Some(field)) if !node.is_null() => {
            long = Node {
                kind: Kind::Map(vec![Entry {
                    key: field.into(),
                    key_span: entry.key_span,
                    value: node.clone(),
                }]),
                span: node.span,
                tag: None,
            };
            &long
        }
        _ => node,
    };
    let Err(error) = (spec.check)(checked) else {
        return true;
    };
    let missing = error.message.starts_with("missing");
    let mut found = error.diagnostic(node.span);
    if missing {
        found.message = format!("`{}`: {}", spec.key, found.message);
        found.span = place_of(entry);
    }
    let (message, help) = split_help(&found.message);
    found.message = message.to_owned();
    found.help.extend(help);
    let number = node_at(node, found.span).and_then(Node::text);
    if let (true, Some(number)) = (found.message.contains("is not a duration"), number) {
        let unit = number.bytes().all(|byte| byte.is_ascii_digit());
        found
            .help
            .extend(unit.then(|| format!("say the unit: `{number}s`")));
    }
    cx.problems.push(found);
    false
}

/// The scalar at a place.
fn node_at(node: &Node, span: Span) -> Option<&Node> {
    match &node.kind {
        Kind::Scalar { .. } => (node.span == span).then_some(node),
        Kind::List(items) => items.iter().find_map(|item| node_at(item, span)),
        Kind::Map(entries) => entries.iter().find_map(|entry| node_at(&entry.value, span)),
    }
}

/// Messages of actions put the way out behind a semicolon.
fn split_help(message: &str) -> (&str, Option<String>) {
    match message.split_once("; ") {
        Some((message, help)) => (message, Some(help.to_owned())),
        None => (message, None),
    }
}

/// Refuses `${{ }}` where the text is a program: shell, SQL, a command line. Says whether it did.
fn refuse_holes(cx: &mut Cx<'_, '_>, spec: &Spec, node: &Node) -> bool {
    let programs: Vec<&Node> = match (&node.kind, spec.short) {
        (Kind::Scalar { .. }, Some(short)) if spec.program_text.contains(&short) => vec![node],
        (Kind::Map(entries), _) => entries
            .iter()
            .filter(|entry| spec.program_text.contains(&&*entry.key))
            .map(|entry| &entry.value)
            .collect(),
        _ => return false,
    };
    let mut refused = false;
    for text in programs {
        let Some(at) = text.text().and_then(expr::find_hole) else {
            continue;
        };
        refused = true;
        let message = format!("`${{{{ }}}}` in the program text of `{}`", spec.key);
        let problem = Diagnostic::error("F022", inside(text, &at), message)
            .label("a value here would become program text")
            .help(spec.values_go_in);
        cx.problems.push(problem);
    }
    refused
}

/// Parameters with their holes compiled; a scalar becomes the short form's parameter.
pub(super) fn params_of(cx: &mut Cx<'_, '_>, node: &Node, short: Option<&str>) -> Params {
    match (&node.kind, short) {
        (Kind::Scalar { .. }, Some(field)) if !node.is_null() => {
            let text = node.text().unwrap_or_default();
            let value = holes(cx, node, text);
            match value {
                Params::Constant(value) => Params::Constant(serde_json::json!({ field: value })),
                other => Params::Map(vec![(field.to_owned(), other)]),
            }
        }
        (Kind::Scalar { .. }, _) => match node.text() {
            Some(text) if text.contains("${{") => holes(cx, node, text),
            _ => Params::Constant(node.to_json()),
        },
        (Kind::List(items), _) => collapse(Params::List(
            items.iter().map(|item| params_of(cx, item, None)).collect(),
        )),
        (Kind::Map(entries), _) => {
            let entries = entries
                .iter()
                .map(|entry| (entry.key.to_string(), params_of(cx, &entry.value, None)));
            collapse(Params::Map(entries.collect()))
        }
    }
}

fn holes(cx: &mut Cx<'_, '_>, node: &Node, text: &str) -> Params {
    if !text.contains("${{") {
        return Params::Constant(text.into());
    }
    match Template::parse(text) {
        Ok(template) => Params::Text(template, node.span),
        Err(error) => {
            cx.compile_error(node, error);
            Params::Constant(text.into())
        }
    }
}

/// A tree without holes is one constant.
fn collapse(params: Params) -> Params {
    let constant = |params: &Params| matches!(params, Params::Constant(_));
    match &params {
        Params::List(items) if items.iter().all(constant) => Params::Constant(params.as_written()),
        Params::Map(entries) if entries.iter().all(|(_, value)| constant(value)) => {
            Params::Constant(params.as_written())
        }
        _ => params,
    }
}

/// `wait` with a probe: nothing to do but to wait, which is the step's `then_wait`.
pub(super) fn waiting(span: Span) -> ActionUse {
    ActionUse {
        key: Sp {
            value: "wait".into(),
            span,
        },
        params: Params::Constant(serde_json::json!({ "for": "0s" })),
        target: None,
        class: Class::Reading,
    }
}

/// Probes read: an action that changes is refused there.
pub(super) fn must_read(cx: &mut Cx<'_, '_>, what: &str, call: &ActionUse, said: Option<bool>) {
    if call.class == Class::Changing && said != Some(true) {
        let message = format!(
            "{what} may only read, and `{}` can change things",
            *call.key
        );
        let problem = Diagnostic::error("F023", call.key.span, message).help(
            "use a probe, or say `read_only: true` beside it when you know that it changes nothing",
        );
        cx.problems.push(problem);
    }
}

/// The `snapshots` block.
pub(super) fn snapshots(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<SnapshotDef> {
    let Some(entries) = Fields::of(cx, "`snapshots`", node).map(|_| node.map().unwrap_or_default())
    else {
        return Vec::new();
    };
    let mut snapshots = Vec::new();
    for entry in entries {
        cx.check_name("snapshot name", &entry.key, entry.key_span);
        cx.problems.broke("snapshot", &entry.key);
        let Some(mut fields) = Fields::of(cx, "a snapshot", &entry.value) else {
            continue;
        };
        let target = fields
            .get("target")
            .and_then(|node| cx.name("target name", node));
        let said = fields
            .get("read_only")
            .and_then(|node| cx.bool("read_only", node));
        let call = of_step(cx, &fields, &entry.value, target);
        must_read(cx, "a snapshot", &call, said);
        let name = Sp {
            value: entry.key.to_string(),
            span: entry.key_span,
        };
        snapshots.push(SnapshotDef { name, call });
    }
    snapshots
}
