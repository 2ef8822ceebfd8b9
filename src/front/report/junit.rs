//! The report for CI, in the XML of `JUnit`. A phase is a suite, a step or item a case; going back and
//! what was watched are suites of their own. Must not: print a character that XML 1.0 forbids, or call well what nobody proved.

use std::fmt::Write as _;

use super::super::escape::shown;
use super::super::text::{clip, rfc3339};
use super::super::watched::tally_words;
use super::facts;
use crate::event::SkipReason;
use crate::expr::{Evidence, Verdict};
use crate::view::{CheckView, ItemStatus, RollbackItemView, RunView, StepStatus, StepView};

/// The most columns of a text.
const LONGEST: usize = 2_000;

/// What became of a case.
enum End {
    Passed,
    Skipped(String),
    Failed(String, String),
    /// Not known, or not over.
    Error(String),
}

/// One case.
struct Case {
    name: String,
    took_ms: u64,
    end: End,
}

/// The whole report.
pub fn junit(view: &RunView) -> String {
    let mut suites: Vec<(String, Option<i64>, Vec<Case>)> = Vec::new();
    for phase in &view.phases {
        let steps = view.steps_of(phase).iter().flat_map(StepView::named);
        let cases = steps.map(|(name, step)| of_step(view, name, step));
        suites.push((phase.name.clone(), phase.started_at, cases.collect()));
    }
    if let Some(rollback) = &view.rollback {
        let cases = rollback.items.iter().map(of_item).collect();
        suites.push(("rollback".into(), Some(rollback.started_at), cases));
    }
    if let Some(first) = view.checks.first() {
        let cases = view.checks.iter().map(|check| of_check(view, check));
        suites.push(("watched".into(), Some(first.began_at), cases.collect()));
    }
    let all: Vec<_> = suites.iter().flat_map(|(_, _, cases)| cases).collect();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites");
    attribute("name", view.header.shown(), &mut out);
    sums(&all, &mut out);
    out.push_str(">\n");
    for (name, start, cases) in &suites {
        suite(view, name, *start, cases, &mut out);
    }
    out.push_str("</testsuites>\n");
    out
}

fn suite(view: &RunView, name: &str, start: Option<i64>, cases: &[Case], out: &mut String) {
    out.push_str("  <testsuite");
    attribute("name", name, out);
    sums(&cases.iter().collect::<Vec<_>>(), out);
    if let Some(start) = start {
        attribute("timestamp", &rfc3339(start), out);
    }
    out.push_str(">\n    <properties>\n");
    for (key, value) in [
        ("run", view.id.as_str()),
        ("runbook", &view.header.name),
        ("digest", &view.header.digest),
        ("status", view.status.words()),
        ("version", &view.header.version),
    ] {
        out.push_str("      <property");
        attribute("name", key, out);
        attribute("value", value, out);
        out.push_str("/>\n");
    }
    out.push_str("    </properties>\n");
    let class = format!("{}.{name}", view.header.name);
    for case in cases {
        case.write(&class, out);
    }
    out.push_str("  </testsuite>\n");
}

/// How many there are of each, and how long they took.
fn sums(cases: &[&Case], out: &mut String) {
    let count = |is: fn(&End) -> bool| cases.iter().filter(|one| is(&one.end)).count();
    let failures = count(|end| matches!(end, End::Failed(..)));
    let errors = count(|end| matches!(end, End::Error(_)));
    let skipped = count(|end| matches!(end, End::Skipped(_)));
    let took = seconds(cases.iter().map(|one| one.took_ms).sum());
    let _ = write!(
        out,
        " tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{took}\"",
        cases.len()
    );
}

impl Case {
    fn write(&self, class: &str, out: &mut String) {
        out.push_str("    <testcase");
        attribute("classname", class, out);
        attribute("name", &self.name, out);
        let _ = write!(out, " time=\"{}\"", seconds(self.took_ms));
        match &self.end {
            End::Passed => {
                out.push_str("/>\n");
                return;
            }
            End::Skipped(why) => {
                out.push_str(">\n      <skipped");
                attribute("message", why, out);
                out.push_str("/>\n");
            }
            End::Failed(message, more) => {
                out.push_str(">\n      <failure");
                attribute("message", message, out);
                out.push('>');
                inert(&clip(more, 4 * LONGEST), out);
                out.push_str("</failure>\n");
            }
            End::Error(message) => {
                out.push_str(">\n      <error");
                attribute("message", message, out);
                out.push_str("/>\n");
            }
        }
        out.push_str("    </testcase>\n");
    }
}

fn of_step(view: &RunView, name: String, step: &StepView) -> Case {
    let last = step.failures.last().map(|one| &one.failure);
    let message = || last.map_or_else(String::new, |one| one.message.clone());
    let over = view.status.is_over();
    let end = match step.status {
        StepStatus::Done => End::Passed,
        StepStatus::Skipped => End::Skipped(match step.skipped.as_deref() {
            Some(SkipReason::AlreadyDone(_)) => "its effect was there already".into(),
            Some(SkipReason::NoItems) => "its list has no items".into(),
            Some(SkipReason::Person { by, reason }) => format!("left out by {by}: {reason}"),
            Some(SkipReason::When(evidence)) => format!("not wanted: {}", evidence.expression),
            None => "its phase was left out".into(),
        }),
        StepStatus::Tolerated => End::Skipped(format!("failed, tolerated: {}", message())),
        StepStatus::Failed => End::Failed(message(), evidence(step)),
        StepStatus::InDoubt | StepStatus::Asked => {
            End::Error("it started, and nobody knows whether it took effect".into())
        }
        StepStatus::Pending => End::Skipped("not started".into()),
        StepStatus::AtGate => End::Skipped("waits for people".into()),
        _ if over => End::Error("it had started, and its outcome is not known".into()),
        status => End::Skipped(format!("not over: {}", status.words())),
    };
    Case {
        name,
        took_ms: step.took_ms().unwrap_or(0),
        end,
    }
}

/// What a step that failed was expected to give, and what it gave, a line each.
fn evidence(step: &StepView) -> String {
    let failed = facts::evidence_of(step).filter(|one| one.verdict != Verdict::Pass);
    failed.map(told).collect::<Vec<_>>().join("\n")
}

fn told(one: &Evidence) -> String {
    let reason = one.reason.as_deref().unwrap_or_default();
    format!("{}: {} ({reason})", one.verdict, one.expression)
}

fn of_item(item: &RollbackItemView) -> Case {
    let why = item.skipped.clone().unwrap_or_default();
    let end = match item.status {
        ItemStatus::Done => End::Passed,
        ItemStatus::Skipped => End::Skipped(why),
        ItemStatus::Failed => {
            let last = item.failures.last();
            let message = last.map_or_else(String::new, |one| one.failure.message.clone());
            End::Failed(message, String::new())
        }
        ItemStatus::Waived => End::Failed(why, String::new()),
        ItemStatus::Held => End::Error(why),
        ItemStatus::InDoubt => {
            End::Error("it started, and nobody knows whether it took effect".into())
        }
        ItemStatus::Pending | ItemStatus::Running => End::Skipped(item.status.words().into()),
    };
    Case {
        name: item.item.id.clone(),
        took_ms: item.took_ms.unwrap_or(0),
        end,
    }
}

/// A guard, or what a step watched; a guard that saw nothing is no pass.
fn of_check(view: &RunView, check: &CheckView) -> Case {
    let (verdict, why) = facts::watched::outcome(view, check);
    let told = || {
        let rows = facts::watched::evidence(check).iter();
        let bad = rows.filter(|one| one.verdict != Verdict::Pass).map(told);
        let looks = tally_words(&check.total());
        let rest: Vec<_> = bad.chain([looks]).collect();
        rest.join("\n")
    };
    let until = check.ended.as_ref().map(|(at, _)| *at);
    let until = until.or(check.judged.last().map(|(at, _)| *at));
    let until = until.unwrap_or(check.tally.last_at);
    let end = match verdict {
        Some(Verdict::Pass) => End::Passed,
        Some(Verdict::Fail) => End::Failed(why, told()),
        Some(Verdict::Inconclusive | Verdict::Error) => End::Error(why),
        None => End::Skipped(why),
    };
    Case {
        name: check.name.clone(),
        took_ms: u64::try_from(until - check.began_at).unwrap_or(0),
        end,
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

fn attribute(name: &str, value: &str, out: &mut String) {
    let _ = write!(out, " {name}=\"");
    inert(&clip(&shown(value), LONGEST), out);
    out.push('"');
}

/// Text as XML may hold it: what it forbids is shown as an escape, lines are kept.
fn inert(text: &str, out: &mut String) {
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
        }
        for c in shown(line).chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&apos;"),
                '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
                c => out.push(c),
            }
        }
    }
}
