//! The action key of a step, probe or snapshot: found, checked against the catalog, and its
//! parameters made ready. Values never become program text: a hole there is refused here.

use super::super::catalog::{Class, Spec};
use super::super::diagnostic::{Diagnostic, did_you_mean};
use super::super::model::{ActionUse, SnapshotDef, Sp};
use super::super::node::{Entry, Kind, Node, Span};
use super::super::params::Params;
use super::fields::{Cx, Fields, inside};
use super::step::check_params;
use crate::expr::{self, Template};

/// Actions of the language that are not built yet; refused by name rather than as unknown.
const LATER: &[&str] = &[
    "approve",
    "manual",
    "redis.monitor",
    "http.sample",
    "prometheus.query",
];

/// The one action among the keys that nobody has asked for.
pub(super) fn of_step(
    cx: &mut Cx<'_>,
    fields: Fields<'_>,
    node: &Node,
    target: Option<Sp<String>>,
) -> Option<ActionUse> {
    let mut found: Option<(&Entry, Spec)> = None;
    let mut wrong = false;
    let rest: Vec<&Entry> = fields.rest().collect();
    for entry in rest {
        let Some(spec) = cx.catalog.get(&entry.key).copied() else {
            wrong = true;
            unknown_key(cx, &fields, entry);
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
    let Some((entry, spec)) = found else {
        if !wrong {
            let start = node.span.start as usize;
            let problem = Diagnostic::error(
                "F017",
                Span::new(start, start + 1),
                "a step without an action",
            )
            .help("give it one action key, such as `shell:`, `redis:`, `sql:` or `http:`");
            cx.problems.push(problem);
        }
        return None;
    };
    Some(action_use(cx, entry, &spec, target))
}

fn unknown_key(cx: &mut Cx<'_>, fields: &Fields<'_>, entry: &Entry) {
    if LATER.contains(&&*entry.key) {
        let message = format!(
            "the action `{}` is not carried out by this version",
            entry.key
        );
        cx.error("F090", entry.key_span, message);
        return;
    }
    let actions: Vec<&str> = cx.catalog.iter().map(|spec| spec.key).collect();
    if entry.key.contains('.') && did_you_mean(&entry.key, actions.iter().copied()).is_none() {
        let family = entry.key.split('.').next().unwrap_or_default();
        let near: Vec<_> = actions
            .iter()
            .filter(|key| key.starts_with(family))
            .map(|key| format!("`{key}`"))
            .collect();
        let help = if near.is_empty() {
            actions.join(", ")
        } else {
            near.join(", ")
        };
        let problem = Diagnostic::error(
            "F018",
            entry.key_span,
            format!("unknown action `{}`", entry.key),
        );
        cx.problems.push(problem.help(format!("there are {help}")));
        return;
    }
    fields.unknown(cx, entry, &actions);
}

fn action_use(
    cx: &mut Cx<'_>,
    entry: &Entry,
    spec: &Spec,
    target: Option<Sp<String>>,
) -> ActionUse {
    check_params(cx, spec, &entry.value, entry.key_span);
    refuse_holes(cx, spec, &entry.value);
    let params = params_of(cx, &entry.value, spec.short);
    let class = (spec.class)(&params.as_written());
    if let (Some(target), true) = (&target, spec.targets.is_empty()) {
        let problem = Diagnostic::error(
            "F019",
            target.span,
            format!("`{}` takes no target", spec.key),
        );
        cx.problems.push(problem.help("remove `target`"));
    }
    if target.is_none() && !spec.targets.is_empty() && !spec.target_optional {
        let kinds: Vec<_> = spec
            .targets
            .iter()
            .map(|kind| format!("`{}`", kind.key()))
            .collect();
        let problem = Diagnostic::error(
            "F019",
            entry.key_span,
            format!("`{}` needs a `target`", spec.key),
        )
        .help(format!(
            "name a target of kind {} beside it",
            kinds.join(" or ")
        ));
        cx.problems.push(problem);
    }
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

/// Refuses `${{ }}` where the text is a program: shell, SQL, a command line.
fn refuse_holes(cx: &mut Cx<'_>, spec: &Spec, node: &Node) {
    let refuse = |cx: &mut Cx<'_>, text: &Node| {
        let Some(at) = text.text().and_then(expr::find_hole) else {
            return;
        };
        let message = format!("`${{{{ }}}}` in the program text of `{}`", spec.key);
        let problem = Diagnostic::error("F022", inside(text, &at), message)
            .label("a value here would become program text")
            .help(spec.values_go_in);
        cx.problems.push(problem);
    };
    match &node.kind {
        Kind::Scalar { .. }
            if spec
                .short
                .is_some_and(|short| spec.program_text.contains(&short)) =>
        {
            refuse(cx, node)
        }
        Kind::Map(entries) => {
            let programs = entries
                .iter()
                .filter(|entry| spec.program_text.contains(&&*entry.key));
            programs
                .filter(|entry| entry.value.text().is_some())
                .for_each(|entry| refuse(cx, &entry.value));
        }
        _ => {}
    }
}

/// Parameters with their holes compiled; a scalar becomes the short form's parameter.
pub(super) fn params_of(cx: &mut Cx<'_>, node: &Node, short: Option<&str>) -> Params {
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

fn holes(cx: &mut Cx<'_>, node: &Node, text: &str) -> Params {
    if !text.contains("${{") {
        return Params::Constant(text.into());
    }
    match Template::parse(text) {
        Ok(template) => Params::Text(template),
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
pub(super) fn must_read(cx: &mut Cx<'_>, what: &str, call: &ActionUse, said: Option<bool>) {
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
pub(super) fn snapshots(cx: &mut Cx<'_>, node: &Node) -> Vec<SnapshotDef> {
    let Some(entries) = Fields::of(cx, "`snapshots`", node).map(|_| node.map().unwrap_or_default())
    else {
        return Vec::new();
    };
    let mut snapshots = Vec::new();
    for entry in entries {
        cx.check_name("snapshot name", &entry.key, entry.key_span);
        let Some(mut fields) = Fields::of(cx, "a snapshot", &entry.value) else {
            continue;
        };
        let target = fields
            .get("target")
            .and_then(|node| cx.name("target name", node));
        let said = fields
            .get("read_only")
            .and_then(|node| cx.bool("read_only", node));
        let Some(call) = of_step(cx, fields, &entry.value, target) else {
            continue;
        };
        must_read(cx, "a snapshot", &call, said);
        let name = Sp {
            value: entry.key.to_string(),
            span: entry.key_span,
        };
        snapshots.push(SnapshotDef { name, call });
    }
    snapshots
}
