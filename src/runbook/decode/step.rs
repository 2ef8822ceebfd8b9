//! One step: its common keys, and the one action key beside them.

use std::time::Duration;

use super::super::diagnostic::Diagnostic;
use super::super::model::{ForEach, InDoubt, Items, OutputDef, Poll, Probe, Retry, Sp, Step, Undo};
use super::super::node::Node;
use super::super::watch::BaselineDef;
use super::action;
use super::fields::{Cx, Fields};
use super::parts::{env, outputs, required_backup, retry};
use super::{phase, sql_lint, watch};
use crate::expr::{Expr, Template};

/// Reads a step; `made_id` is its id when the author gave none.
pub(super) fn step(cx: &mut Cx<'_, '_>, node: &Node, made_id: &str) -> Option<Step> {
    let mut fields = Fields::of(cx, "a step", node)?;
    let id = id(cx, &mut fields, node, made_id);
    let title = fields.get("title").and_then(|node| cx.text("title", node));
    let when = fields.get("when").and_then(|node| cx.expr("when", node));
    let (expect, lint) = expected(cx, &mut fields);
    let (retry, timeout, estimate) = times(cx, &mut fields);
    let undo = fields
        .get("undo")
        .map_or(Undo::Unsaid, |node| undo(cx, node, &id));
    let (done_when, undone_when, rehearse) = told(cx, &mut fields);
    let (then_wait, waits) = waited(cx, &mut fields, node);
    let (env, cwd, outputs) = around(cx, &mut fields);
    let requires_backup = fields
        .get("requires_backup")
        .and_then(|node| required_backup(cx, node));
    let words = words(cx, &mut fields);
    let watch = fields.get("watch");
    let rule = watch.and_then(|node| watch::watch(cx, node));
    let beside = watch::beside(cx, &mut fields);
    let for_each = repetition(cx, &mut fields);
    let target = fields
        .get("target")
        .and_then(|node| cx.name("target name", node));
    let action = match waits {
        Some(wait) => {
            fields.finish(cx);
            action::waiting(wait.span)
        }
        None => action::of_step(cx, &fields, node, target),
    };
    if let Some(lint) = lint {
        sql_lint::needs_output(cx, lint, &action);
    }
    let mut step = Step {
        id,
        title: title.map(|text| text.value),
        action,
        when,
        expect,
        warn: Vec::new(),
        watch: None,
        baseline: BaselineDef::default(),
        retry: retry.map(Box::new),
        timeout,
        undo: match undo {
            // nothing takes back what cannot be taken back: saying so twice is not asked for
            Undo::Unsaid if words.point_of_no_return => Undo::None,
            undo => undo,
        },
        done_when,
        undone_when,
        rehearse,
        then_wait: then_wait.map(Box::new),
        for_each,
        env,
        cwd,
        outputs,
        requires_backup: requires_backup.map(Box::new),
        read_only: words.read_only,
        idempotent: words.idempotent,
        in_doubt: words.in_doubt,
        point_of_no_return: words.point_of_no_return,
        tolerate: words.tolerate,
        estimate,
        span: node.span,
    };
    // a `watch` that could not be read leaves what goes with it unjudged
    if watch.is_none() || rule.is_some() {
        watch::onto(cx, &mut step, watch.zip(rule), beside);
    }
    Some(step)
}

/// What must hold of its result, and the `sql_lint` that is part of it.
fn expected<'n>(cx: &mut Cx<'_, '_>, fields: &mut Fields<'n>) -> (Vec<Sp<Expr>>, Option<&'n Node>) {
    let mut expect = fields
        .get("expect")
        .map(|node| cx.exprs("expect", node))
        .unwrap_or_default();
    let lint = fields.get("sql_lint");
    if let Some(judged) = lint.and_then(|lint| sql_lint::expectation(cx, lint)) {
        expect.insert(0, judged);
    }
    (expect, lint)
}

/// What is waited for after it, and its `wait` where that is all it does.
fn waited<'n>(
    cx: &mut Cx<'_, '_>,
    fields: &mut Fields<'n>,
    node: &'n Node,
) -> (Option<Poll>, Option<&'n Node>) {
    let then_wait = fields
        .get("then_wait")
        .and_then(|node| poll(cx, "`then_wait`", node));
    match node.get("wait").filter(|wait| is_poll(wait)) {
        Some(wait) => {
            let _ = fields.get("wait");
            (poll(cx, "`wait`", wait), Some(wait))
        }
        None => (then_wait, None),
    }
}

fn id(cx: &mut Cx<'_, '_>, fields: &mut Fields<'_>, node: &Node, made_id: &str) -> Sp<String> {
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
    id.unwrap_or_else(|| Sp {
        value: made_id.to_owned(),
        span: node.head(),
    })
}

/// How often and how long.
fn times(
    cx: &mut Cx<'_, '_>,
    fields: &mut Fields<'_>,
) -> (Option<Retry>, Option<Duration>, Option<Duration>) {
    let retry = fields.get("retry").and_then(|node| retry(cx, node));
    let mut duration = |key| fields.get(key).and_then(|node| cx.duration(key, node));
    (retry, duration("timeout"), duration("estimate"))
}

/// What only the author can know.
struct Words {
    read_only: Option<bool>,
    idempotent: bool,
    in_doubt: InDoubt,
    point_of_no_return: bool,
    tolerate: bool,
}

fn words(cx: &mut Cx<'_, '_>, fields: &mut Fields<'_>) -> Words {
    let in_doubt = fields.get("in_doubt").map(|node| in_doubt(cx, node));
    let mut said = |key| fields.get(key).and_then(|node| cx.bool(key, node));
    Words {
        read_only: said("read_only"),
        idempotent: said("idempotent").unwrap_or(false),
        in_doubt: in_doubt.unwrap_or_default(),
        point_of_no_return: said("point_of_no_return").unwrap_or(false),
        tolerate: said("tolerate").unwrap_or(false),
    }
}

fn in_doubt(cx: &mut Cx<'_, '_>, node: &Node) -> InDoubt {
    match node.text() {
        Some("ask") if node.tag.is_none() => InDoubt::Ask,
        Some("fail") if node.tag.is_none() => InDoubt::Fail,
        said => {
            let guess = matches!(said, Some("done" | "assume_done" | "skip" | "continue"));
            let help = guess.then(|| "ferry never takes a step for done without proof".to_owned());
            cx.wrong_type("`in_doubt`", "`ask` or `fail`", node, help);
            InDoubt::Ask
        }
    }
}

/// `wait: { for: 5s }` lets time pass; with a probe it is a poll.
fn is_poll(wait: &Node) -> bool {
    wait.map().is_some() && wait.get("for").is_none()
}

type BoxedProbe = Option<Box<Probe>>;

/// What tells whether it was done, what tells whether it was taken back, and what stands in for it in
/// a rehearsal.
fn told(cx: &mut Cx<'_, '_>, fields: &mut Fields<'_>) -> (BoxedProbe, BoxedProbe, BoxedProbe) {
    let mut probe = |key, what| {
        let found = fields.get(key).and_then(|node| probe(cx, what, node));
        found.map(Box::new)
    };
    (
        probe("done_when", "`done_when`"),
        probe("undone_when", "`undone_when`"),
        probe("rehearse", "`rehearse`"),
    )
}

fn repetition(cx: &mut Cx<'_, '_>, fields: &mut Fields<'_>) -> Option<ForEach> {
    let items = fields.get("for_each");
    let parallel = fields
        .get("parallel")
        .and_then(|node| cx.number("parallel", node, 1, 1_000));
    if let (None, Some(_), Some(span)) = (items, parallel, fields.key_span("parallel")) {
        let found = Diagnostic::error("F014", span, "`parallel` on a step needs `for_each`")
            .help("to run steps side by side, put `parallel` on their phase");
        cx.problems.push(found);
    }
    items.and_then(|node| for_each(cx, node, parallel))
}

type Outputs = Vec<(Sp<String>, OutputDef)>;
type Env = Vec<(String, Sp<Template>)>;

/// What it runs in, and what is kept of it.
fn around(cx: &mut Cx<'_, '_>, fields: &mut Fields<'_>) -> (Env, Option<Sp<Template>>, Outputs) {
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
    (env, cwd, outputs)
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
    let fields = Fields::of(cx, what, node)?;
    Some(look(cx, fields, what, node, "it could not fail"))
}

/// The reading action of a probe and what must hold of it; without that, `otherwise`.
fn look(
    cx: &mut Cx<'_, '_>,
    mut fields: Fields<'_>,
    what: &'static str,
    node: &Node,
    otherwise: &str,
) -> Probe {
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
        let message = format!("{what} has no `expect`: {otherwise}");
        cx.error("F011", node.head(), message);
    }
    Probe { call, expect }
}

pub(super) fn poll(cx: &mut Cx<'_, '_>, what: &'static str, node: &Node) -> Option<Poll> {
    let mut fields = Fields::of(cx, what, node)?;
    let every = fields
        .get("every")
        .and_then(|node| cx.duration("every", node));
    let within = fields
        .require(cx, "within")
        .and_then(|node| cx.duration("within", node));
    let probe = Some(look(cx, fields, what, node, "nothing to wait for"));
    let every = every
        .unwrap_or(Duration::from_secs(1))
        .max(Duration::from_millis(10));
    Some(Poll {
        probe,
        every,
        within: within?,
    })
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
