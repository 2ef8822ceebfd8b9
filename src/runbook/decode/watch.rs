//! `watch`, `bands`, `trend`, `baseline` and `warn` of a step, and the `guards` block.

use std::time::Duration;

use super::super::diagnostic::Diagnostic;
use super::super::model::{ActionUse, Sp, Step};
use super::super::node::Node;
use super::super::watch::{
    Band, BaselineDef, Criteria, Direction, Guard, Length, Rule, TREND_LOOKS, TrendDef, WatchDef,
};
use super::action;
use super::fields::{Cx, Fields};
use super::thresholds::{self, Levels};
use crate::event::Then;

/// The most looks that may be asked for by number.
const MOST_LOOKS: i64 = 1_000_000;

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(100);

/// What a look is judged by, beside `expect`: read where a step or a guard is.
#[derive(Default)]
pub(super) struct Beside {
    pub(super) levels: Levels,
    bands: Vec<Band>,
    trends: Vec<TrendDef>,
    baseline: BaselineDef,
}

/// Reads `warn`, `thresholds`, `bands`, `trend` and `baseline`.
pub(super) fn beside(cx: &mut Cx<'_, '_>, fields: &mut Fields<'_>) -> Beside {
    let mut levels = fields
        .get("thresholds")
        .map(|node| thresholds::used(cx, node))
        .unwrap_or_default();
    let warn = fields.get("warn").map(|node| cx.exprs("warn", node));
    levels.warn.splice(0..0, warn.unwrap_or_default());
    let bands = fields.get("bands").map(|node| bands(cx, node));
    let trends = fields.get("trend").map(|node| trends(cx, node));
    let baseline = fields.get("baseline").map(|node| baseline(cx, node));
    Beside {
        levels,
        bands: bands.unwrap_or_default(),
        trends: trends.unwrap_or_default(),
        baseline: baseline.unwrap_or_default(),
    }
}

impl Beside {
    /// With what `expect` says.
    pub(super) fn criteria(self, expect: Vec<Sp<crate::expr::Expr>>) -> Criteria {
        let mut all = expect;
        all.extend(self.levels.expect);
        Criteria {
            expect: all,
            warn: self.levels.warn,
            bands: self.bands,
            trends: self.trends,
            baseline: self.baseline,
        }
    }
}

/// Gives a step what it is watched by: a rule with `watch`, and without one only what one look can show.
pub(super) fn onto(
    cx: &mut Cx<'_, '_>,
    step: &mut Step,
    watch: Option<(&Node, Rule)>,
    beside: Beside,
) {
    let many = !beside.bands.is_empty() || !beside.trends.is_empty();
    let Some((node, rule)) = watch else {
        if many {
            let message = "`bands` and `trend` need `watch`: they are about many looks";
            let found = Diagnostic::error("F014", step.span, message);
            cx.problems
                .push(found.help("add `watch: { every: 1m, for: 24h }`"));
        }
        let criteria = beside.criteria(std::mem::take(&mut step.expect));
        step.expect = criteria.expect;
        step.warn = criteria.warn;
        step.baseline = criteria.baseline;
        return;
    };
    let criteria = beside.criteria(step.expect.clone());
    if criteria.is_empty() {
        let found = Diagnostic::error("F011", node.head(), "a `watch` that expects nothing");
        cx.problems
            .push(found.help("say what must hold: `expect`, `thresholds`, `bands` or `trend`"));
    }
    if step.changes() {
        let message = format!("`watch` on `{}`, which changes things", *step.action.key);
        let found = Diagnostic::error("F023", node.head(), message)
            .help("what is looked at again and again must only read");
        cx.problems.push(found);
    }
    once_for_all(cx, step, node);
    last_band(cx, node, &rule, &criteria.bands);
    few_values(cx, node, &rule, &criteria.trends);
    step.watch = Some(Box::new(WatchDef { rule, criteria }));
}

/// Keys that are about one result, where there are as many as looks.
fn once_for_all(cx: &mut Cx<'_, '_>, step: &Step, node: &Node) {
    if step.then_wait.is_some() {
        let found = Diagnostic::error("F014", node.head(), "`watch` and `then_wait` in one step");
        cx.problems.push(found.help("make two steps of it"));
    }
    if step.retry.is_some() {
        let found = Diagnostic::error("F014", node.head(), "`watch` and `retry` in one step");
        cx.problems.push(found.help(
            "what failed once is not watched until it passes: say how much may go wrong by `failure_limit` and `consecutive_errors`",
        ));
    }
    if !step.outputs.is_empty() {
        let found = Diagnostic::error("F014", node.head(), "`watch` and `outputs` in one step");
        cx.problems.push(found.help(
            "many looks have no one result: read what is to be kept in a step of its own, after it",
        ));
    }
}

/// A trend of too few values can never be told.
fn few_values(cx: &mut Cx<'_, '_>, node: &Node, rule: &Rule, trends: &[TrendDef]) {
    let Some(looks) = rule.most_looks() else {
        return;
    };
    for trend in trends.iter().filter(|_| looks < TREND_LOOKS) {
        let message = match looks {
            1 => "a trend of one look".to_owned(),
            looks => format!("a trend of at most {looks} looks"),
        };
        let help = format!("a trend needs {TREND_LOOKS}: look more often, or longer");
        let found = Diagnostic::error("F014", trend.span, message);
        cx.problems
            .push(found.also(node.head(), "watched by this").help(help));
    }
}

/// A band that begins after the end would never be looked at.
fn last_band(cx: &mut Cx<'_, '_>, node: &Node, rule: &Rule, bands: &[Band]) {
    let (Some(longest), Some(last)) = (rule.longest(), bands.last()) else {
        return;
    };
    if last.from > longest {
        let message = format!(
            "the band from {} begins after the end of the watch",
            super::super::units::human(last.from)
        );
        let found = Diagnostic::error("F014", node.head(), message);
        cx.problems.push(found.help(
            "let it go on as long: the last look is taken at the very end, and is judged by that band",
        ));
    }
}

/// The `watch` of a step.
pub(super) fn watch(cx: &mut Cx<'_, '_>, node: &Node) -> Option<Rule> {
    let mut fields = Fields::of(cx, "`watch`", node)?;
    let rule = rule(cx, &mut fields, node, None);
    fields.finish(cx);
    rule
}

/// What a guard is watched with by default, beside what a step is.
struct OfGuard {
    unreachable_fails: bool,
}

/// How often, how long and with which limits; `guard`: it goes on as long as its phases.
fn rule(
    cx: &mut Cx<'_, '_>,
    fields: &mut Fields<'_>,
    node: &Node,
    guard: Option<&OfGuard>,
) -> Option<Rule> {
    let every = fields
        .require(cx, "every")
        .and_then(|node| cx.duration("every", node).map(|every| (node, every)));
    if let Some((node, every)) = every
        && every < SHORTEST
    {
        cx.error("F014", node.span, "`every` is at least 100ms");
    }
    let mut time = |key| fields.get(key).and_then(|node| cx.duration(key, node));
    let (initial_delay, timeout) = (time("initial_delay"), time("timeout"));
    let length = match guard {
        Some(_) => Some(Length::Phases),
        None => length(cx, fields, node),
    };
    let mut count = |key, from| {
        let node = fields.get(key)?;
        cx.number(key, node, from, MOST_LOOKS)
            .and_then(|n| u64::try_from(n).ok())
    };
    let failure_limit = count("failure_limit", 0);
    let consecutive_failures = count("consecutive_failures", 1);
    let consecutive_successes = match guard {
        Some(_) => None,
        None => count("consecutive_successes", 1),
    };
    let inconclusive = count("inconclusive_limit", 0);
    let errors = count("consecutive_errors", 0);
    let median_of = fields
        .get("median_of")
        .and_then(|node| cx.number("median_of", node, 1, 101));
    let coverage = fields
        .get("coverage")
        .and_then(|node| share(cx, "coverage", node));
    let unreachable = fields
        .get("unreachable")
        .and_then(|node| unreachable(cx, node));
    let length = length?;
    // a streak, or the end of a time to get there, says more than one look on the way
    let counts_all = consecutive_failures.is_none()
        && consecutive_successes.is_none()
        && !matches!(length, Length::Within(_));
    let rule = Rule {
        every: every?.1.max(SHORTEST),
        length,
        initial_delay: initial_delay.unwrap_or_default(),
        failure_limit: failure_limit.or(counts_all.then_some(0)),
        consecutive_failures,
        consecutive_successes,
        inconclusive_limit: inconclusive.unwrap_or(if guard.is_some() { 4 } else { 0 }),
        consecutive_errors: errors.unwrap_or(4),
        coverage: coverage.unwrap_or(0.8),
        timeout,
        unreachable_fails: unreachable
            .unwrap_or(guard.is_some_and(|guard| guard.unreachable_fails)),
        median_of: median_of.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
    };
    cannot_fail(cx, node, &rule);
    Some(rule)
}

/// Limits that no number of looks can reach.
fn cannot_fail(cx: &mut Cx<'_, '_>, node: &Node, rule: &Rule) {
    if let Length::For(length) = rule.length
        && rule.initial_delay > length
    {
        let message = "the first look comes after the end of the watch";
        let found = Diagnostic::error("F014", node.head(), message);
        cx.problems
            .push(found.help("let `for` be longer than `initial_delay`"));
    }
    let Some(count) = rule.most_looks() else {
        return;
    };
    let out_of_reach = rule.failure_limit.is_none_or(|limit| limit >= count)
        && rule.consecutive_failures.is_none_or(|row| row > count);
    if out_of_reach && rule.consecutive_successes.is_none() {
        let message = match count {
            1 => "its one look may fail: the watch could not".to_owned(),
            count => format!("of {count} looks all may fail: the watch could not"),
        };
        let found = Diagnostic::error("F014", node.head(), message);
        cx.problems.push(
            found.help("lower `failure_limit` or `consecutive_failures`, or look more often"),
        );
    }
    if rule.consecutive_successes.is_some_and(|row| row > count) {
        let message = format!("{count} looks cannot pass more often in a row");
        let found = Diagnostic::error("F014", node.head(), message);
        cx.problems
            .push(found.help("lower `consecutive_successes`, or look more often"));
    }
}

fn length(cx: &mut Cx<'_, '_>, fields: &mut Fields<'_>, node: &Node) -> Option<Length> {
    let count = fields.get("count");
    let (for_, within) = (fields.get("for"), fields.get("within"));
    let said = [count, for_, within].iter().flatten().count();
    if said != 1 {
        let message = match said {
            0 => "`watch` says not when it is over",
            _ => "`watch` says more than once when it is over",
        };
        let found = Diagnostic::error("F011", node.head(), message);
        cx.problems.push(found.help(
            "one of `count: 5` (looks), `for: 24h` (held all the time), `within: 5m` (reached by then)",
        ));
        return None;
    }
    if let Some(node) = count {
        let count = cx.number("count", node, 1, MOST_LOOKS)?;
        return u64::try_from(count).ok().map(Length::Count);
    }
    if let Some(node) = for_ {
        return cx.duration("for", node).map(Length::For);
    }
    cx.duration("within", within?).map(Length::Within)
}

/// A share from 0 to 1.
fn share(cx: &mut Cx<'_, '_>, what: &str, node: &Node) -> Option<f64> {
    let number = node.text().and_then(|text| text.parse::<f64>().ok());
    match number {
        Some(number) if node.tag.is_none() && (0.0..=1.0).contains(&number) => Some(number),
        _ => {
            cx.wrong_type(&format!("`{what}`"), "a number from 0 to 1", node, None);
            None
        }
    }
}

fn unreachable(cx: &mut Cx<'_, '_>, node: &Node) -> Option<bool> {
    match node.text() {
        Some("fail") if node.tag.is_none() => Some(true),
        Some("error") if node.tag.is_none() => Some(false),
        _ => {
            cx.wrong_type("`unreachable`", "`fail` or `error`", node, None);
            None
        }
    }
}

fn bands(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<Band> {
    let Some(items) = node.list() else {
        let help = "write `- { from: 5m, expect: ... }` for each".to_owned();
        cx.wrong_type("`bands`", "a list", node, Some(help));
        return Vec::new();
    };
    let mut bands: Vec<Band> = Vec::new();
    for item in items {
        let Some(mut fields) = Fields::of(cx, "a band", item) else {
            continue;
        };
        let from = fields.require(cx, "from");
        let expect = fields.require(cx, "expect");
        let expect = expect.map(|node| cx.exprs("expect", node));
        let from = from.and_then(|node| cx.duration("from", node).map(|from| (node, from)));
        fields.finish(cx);
        let (Some((node, from)), Some(expect)) = (from, expect) else {
            continue;
        };
        if bands.last().is_some_and(|last| last.from >= from) {
            let found = Diagnostic::error("F014", node.span, "bands go from early to late");
            cx.problems
                .push(found.help("put it where its time belongs, each time once"));
        }
        bands.push(Band { from, expect });
    }
    bands
}

fn trends(cx: &mut Cx<'_, '_>, node: &Node) -> Vec<TrendDef> {
    let Some(entries) = node.map() else {
        let help = "write `trend: { keys: rising }`".to_owned();
        cx.wrong_type("`trend`", "a mapping", node, Some(help));
        return Vec::new();
    };
    let words = || Direction::ALL.iter().map(|(word, _)| *word);
    let mut trends = Vec::new();
    for entry in entries {
        let Some(path) = thresholds::path(cx, &entry.key, entry.key_span) else {
            continue;
        };
        let (wanted, tolerance) = match entry.value.map() {
            None => (Some(&entry.value), None),
            Some(_) => {
                let Some(mut fields) = Fields::of(cx, "a trend", &entry.value) else {
                    continue;
                };
                let wanted = fields.require(cx, "is");
                let tolerance = fields.get("tolerance");
                let tolerance = tolerance.and_then(|node| share(cx, "tolerance", node));
                fields.finish(cx);
                (wanted, tolerance)
            }
        };
        let said = wanted.and_then(Node::text);
        let found = Direction::ALL.iter().find(|(word, _)| Some(*word) == said);
        match (found, wanted) {
            (Some((_, wanted)), _) => trends.push(TrendDef {
                path,
                wanted: *wanted,
                tolerance: tolerance.unwrap_or(0.05),
                span: entry.key_span,
            }),
            (None, Some(node)) => {
                let known = words().collect::<Vec<_>>().join("`, `");
                cx.wrong_type("a trend", &format!("one of `{known}`"), node, None);
            }
            (None, None) => {}
        }
    }
    trends
}

fn baseline(cx: &mut Cx<'_, '_>, node: &Node) -> BaselineDef {
    let usual = BaselineDef::default();
    let Some(mut fields) = Fields::of(cx, "`baseline`", node) else {
        return usual;
    };
    let samples = fields
        .get("samples")
        .and_then(|node| cx.number("samples", node, 1, 1_000));
    let every = fields
        .get("every")
        .and_then(|node| cx.duration("every", node));
    fields.finish(cx);
    BaselineDef {
        samples: samples
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(usual.samples),
        every: every.unwrap_or(usual.every),
    }
}

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
