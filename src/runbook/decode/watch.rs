//! `watch` of a step, the rule that it shares with guards, and what a look is judged by.

use std::time::Duration;

use super::super::diagnostic::Diagnostic;
use super::super::model::{OutputDef, Sp, Step};
use super::super::node::Node;
use super::super::watch::{
    Band, BaselineDef, Criteria, Length, Rule, TREND_LOOKS, TrendDef, WatchDef,
};
use super::band;
use super::fields::{Cx, Fields};
use super::thresholds::{self, Levels};

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
    let bands = fields.get("bands").map(|node| band::bands(cx, node));
    let trends = fields.get("trend").map(|node| band::trends(cx, node));
    let baseline = fields.get("baseline").map(|node| band::baseline(cx, node));
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
    whole_time(cx, node, &rule, &criteria);
    last_band(cx, node, &rule, &criteria.bands);
    few_values(cx, node, &rule, &criteria.trends);
    step.watch = Some(Box::new(WatchDef { rule, criteria }));
}

/// Bands are about the whole time.
fn whole_time(cx: &mut Cx<'_, '_>, node: &Node, rule: &Rule, criteria: &Criteria) {
    let early_end =
        rule.consecutive_successes.is_some() || matches!(rule.length, Length::Within(_));
    if !criteria.bands.is_empty() && early_end {
        let message = "`bands` in a watch that may end before them";
        let found = Diagnostic::error("F014", node.head(), message);
        cx.problems
            .push(found.help("say `for` or `count`, without `consecutive_successes`"));
    }
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
    let from_file = |def: &OutputDef| !matches!(def, OutputDef::Value(_));
    if step.outputs.iter().any(|(_, def)| from_file(def)) {
        let message = "`watch` and an output from a file in one step";
        let found = Diagnostic::error("F014", node.head(), message);
        cx.problems.push(found.help(
            "looks leave no files: make the output from the `result` of the last look, or read it in a step of its own",
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
pub(super) struct OfGuard {
    pub(super) unreachable_fails: bool,
}

/// How often, how long and with which limits; `guard`: it goes on as long as its phases.
pub(super) fn rule(
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
        .and_then(|node| band::share(cx, "coverage", node));
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
