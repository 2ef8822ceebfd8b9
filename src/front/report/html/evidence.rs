//! What failed, and every expectation with what it rests on.

use super::super::super::lines::outcome_words;
use super::super::super::text::{clip, moment, ms, numbered};
use super::super::facts;
use super::LINES;
use super::page::{Mark, Page};
use crate::expr::{Evidence, Verdict};
use crate::view::{AttemptFailed, RunView, StepView};

/// Expectations up to which those that passed are shown one by one.
const SHOWN: usize = 1_000;

/// The most values of one expectation.
const VALUES: usize = 12;

/// The most columns of an expression; the runbook's text has the rest.
const EXPRESSION: usize = 500;

/// The most failures and looks.
const FAILURES: usize = 200;

pub(super) fn verdict_mark(verdict: Verdict) -> Mark {
    match verdict {
        Verdict::Pass => Mark::Good,
        Verdict::Fail => Mark::Bad,
        Verdict::Inconclusive | Verdict::Error => Mark::Odd,
    }
}

pub(super) fn failures(view: &RunView, page: &mut Page) {
    let failed = || {
        view.each_step().flat_map(|(name, step)| {
            let each = view.failures_of(&name, step).into_iter();
            each.map(move |one| (name.clone(), step, one))
        })
    };
    let other = view
        .failure
        .as_ref()
        .filter(|failure| failure.step.is_none());
    if failed().next().is_none() && other.is_none() && view.diagnoses.is_empty() {
        return;
    }
    page.section("What failed");
    if let Some(other) = other {
        page.tag("p", "").prose(&other.failure.message).end();
        if let Some(hint) = &other.failure.hint {
            page.tag("p", "more").text("Hint: ").prose(hint).end();
        }
    }
    for (name, step, one) in failed().take(FAILURES) {
        failure(&name, step, one, page);
    }
    let count = failed().count();
    if count > FAILURES {
        let left = numbered(count - FAILURES, "failed attempt");
        page.say("p", "cut", &format!("{left} more: see the JSON report."));
    }
    looks(view, page);
    page.end();
}

fn failure(name: &str, step: &StepView, one: &AttemptFailed, page: &mut Page) {
    let last = step.failures.last() == Some(one);
    page.tag("div", "failure").tag("h3", "").code(name);
    page.text(&format!(", attempt {}", one.attempt)).end();
    page.tag("p", "").prose(&one.failure.message).end();
    page.tag("p", "more");
    page.text(&format!("{}, after {}. ", moment(one.at), ms(one.took_ms)));
    page.text(&format!("Effect: {}.", outcome_words(one.failure.outcome)))
        .end();
    if let Some(hint) = one.failure.hint.as_ref().filter(|_| last) {
        page.tag("p", "")
            .say("strong", "", "Hint: ")
            .prose(hint)
            .end();
    }
    page.end();
}

/// What was looked at after failures.
fn looks(view: &RunView, page: &mut Page) {
    if view.diagnoses.is_empty() {
        return;
    }
    page.say("h3", "", "What was looked at");
    page.table("", &["Step", "Look", "Seen"]);
    for (step, looks) in view.diagnoses.iter().take(FAILURES) {
        for one in looks {
            page.tag("tr", "")
                .code_cell(step)
                .tag("td", "")
                .prose(&one.what);
            if !one.ok {
                page.text(" ").mark(Mark::Bad, "could not be seen");
            }
            page.end()
                .tag("td", "")
                .block(&one.seen, 2_048, true)
                .end()
                .end();
        }
    }
    page.end_table();
}

pub(super) fn evidence(view: &RunView, page: &mut Page) {
    page.section("Expectations and evidence");
    let steps = || view.steps.iter().flat_map(StepView::named);
    let count = steps()
        .flat_map(|(_, step)| facts::evidence_of(step))
        .count();
    if count == 0 {
        page.say("p", "", "No expectation was judged.");
        warnings(view, page);
        page.end();
        return;
    }
    let all = count <= SHOWN;
    if !all {
        let text = format!("{count} expectations were judged. Those that passed are counted.");
        page.say("p", "", &text);
    }
    let mut left = LINES;
    for phase in &view.phases {
        of_phase(view, phase, all, &mut left, page);
    }
    warnings(view, page);
    page.end();
}

/// What should hold and does not.
fn warnings(view: &RunView, page: &mut Page) {
    let steps = view.each_step();
    let rows: Vec<_> = steps
        .filter_map(|(name, step)| Some((name, &step.report.as_deref()?.warnings)))
        .flat_map(|(name, warnings)| warnings.iter().map(move |one| (name.clone(), one)))
        .collect();
    if rows.is_empty() {
        return;
    }
    page.say("h3", "", "Warnings");
    page.table("evidence", &["Step", "Should hold", "Verdict", "Observed"]);
    for (name, one) in rows.iter().take(FAILURES) {
        page.tag("tr", "").code_cell(name);
        page.code_cell(&clip(&one.expression, EXPRESSION))
            .tag("td", "");
        page.mark(Mark::Odd, "warning").end().tag("td", "");
        observed_cell(one, page);
        page.end().end();
    }
    page.end_table();
    if rows.len() > FAILURES {
        let left = numbered(rows.len() - FAILURES, "warning");
        page.say("p", "cut", &format!("{left} more: see the JSON report."));
    }
}

fn of_phase(
    view: &RunView,
    phase: &crate::view::PhaseView,
    all: bool,
    left: &mut usize,
    page: &mut Page,
) {
    let steps = view.steps_of(phase).iter().flat_map(StepView::named);
    let (mut passed, mut open) = (0, false);
    for (name, step) in steps {
        for one in facts::evidence_of(step) {
            let pass = one.verdict == Verdict::Pass;
            passed += usize::from(pass);
            if pass && !all || *left == 0 {
                continue;
            }
            if !open {
                title(phase, page);
                page.table("evidence", &["Step", "Expectation", "Verdict", "Observed"]);
                open = true;
            }
            *left -= 1;
            row(&name, one, page);
        }
    }
    if open {
        page.end_table();
    }
    if !all && passed > 0 {
        if !open {
            title(phase, page);
        }
        page.say(
            "p",
            "",
            &format!("{} passed.", numbered(passed, "expectation")),
        );
    }
}

fn title(phase: &crate::view::PhaseView, page: &mut Page) {
    page.tag("h3", "")
        .text(phase.title.as_deref().unwrap_or(&phase.name))
        .end();
}

pub(super) fn row(name: &str, one: &Evidence, page: &mut Page) {
    page.tag("tr", "")
        .code_cell(name)
        .code_cell(&clip(&one.expression, EXPRESSION));
    page.tag("td", "");
    page.mark(verdict_mark(one.verdict), &one.verdict.to_string())
        .end();
    page.tag("td", "");
    observed_cell(one, page);
    page.end().end();
}

/// Parts of an expectation with their values; the reason where there is nothing else.
pub(super) fn observed_cell(one: &Evidence, page: &mut Page) {
    if one.verdict != Verdict::Pass
        && let Some(reason) = one.reason.as_ref()
        && (one.values.is_empty() || one.verdict != Verdict::Fail)
    {
        page.tag("div", "").prose(reason).end();
    }
    if one.values.is_empty() {
        return;
    }
    page.tag("ul", "values");
    for value in one.values.iter().take(VALUES) {
        page.tag("li", "").code(&clip(&value.text, 120)).text(" ");
        page.say("span", "value", &clip(&value.value, 400)).end();
    }
    page.end();
    if one.values.len() > VALUES {
        let left = numbered(one.values.len() - VALUES, "value");
        page.say("div", "cut", &format!("{left} more"));
    }
}
