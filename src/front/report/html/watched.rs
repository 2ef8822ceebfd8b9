//! What was watched: each check with its rule, its verdict, its looks as drawings and in a table, and
//! where nobody looked; the measured downtime.

use super::super::super::text::{clip, moment, ms, numbered};
use super::super::super::watched::{
    follows, gap_words, look_word, reason, tally_words, values, why,
};
use super::super::facts::watched as facts;
use super::chart;
use super::evidence::{observed_cell, verdict_mark};
use super::page::{Mark, Page};
use crate::event::Sample;
use crate::expr::Verdict;
use crate::view::{CheckView, RunView};

/// Checks that are shown one by one.
const CHECKS: usize = 80;

/// Looks of one check in a table, expectations, and gaps.
const LOOKS: usize = 40;
const LISTED: usize = 20;

/// Values of one check that are drawn.
const CHARTS: usize = 4;

pub(super) fn watched(view: &RunView, page: &mut Page) {
    if view.checks.is_empty() {
        return;
    }
    page.section("What was watched");
    downtime(view, page);
    if view.checks.len() > 1 {
        overview(view, page);
    }
    for check in view.checks.iter().take(CHECKS) {
        one(view, check, page);
    }
    if view.checks.len() > CHECKS {
        let more = numbered(view.checks.len() - CHECKS, "check");
        page.say("p", "cut", &format!("{more} more: see the JSON report."));
    }
    page.end();
}

fn downtime(view: &RunView, page: &mut Page) {
    let told = facts::downtime_told(view);
    if told.is_empty() {
        return;
    }
    page.say("h3", "", "Downtime").tag("ul", "");
    for line in &told {
        page.tag("li", "").prose(line).end();
    }
    page.end();
}

fn mark(verdict: Option<Verdict>) -> Mark {
    verdict.map_or(Mark::Going, verdict_mark)
}

fn overview(view: &RunView, page: &mut Page) {
    page.table("watched", &["Check", "Kind", "Verdict", "Looks"]);
    for check in view.checks.iter().take(CHECKS) {
        let (verdict, _) = facts::outcome(view, check);
        page.tag("tr", "").code_cell(&check.name);
        page.say("td", "", if check.outline.guard { "guard" } else { "step" });
        page.tag("td", "");
        page.mark(mark(verdict), facts::verdict_word(verdict)).end();
        page.cell(&tally_words(&check.total())).end();
    }
    page.end_table();
}

fn one(view: &RunView, check: &CheckView, page: &mut Page) {
    let (verdict, said) = facts::outcome(view, check);
    page.tag("div", "check").tag("h3", "").code(&check.name);
    if let Some(title) = &check.outline.title {
        page.text(": ").text(title);
    }
    page.end().tag("p", "");
    page.mark(mark(verdict), facts::verdict_word(verdict));
    page.text(" ").prose(&said).end();
    page.tag("p", "more")
        .prose(&facts::rule(check))
        .text(".")
        .end();
    expected(check, page);
    if check.judged.len() > 1 || check.judged.iter().any(|(_, one)| one.then.is_some()) {
        judgements(check, page);
    }
    for gap in check.gaps.iter().take(LISTED) {
        page.tag("p", "").mark(Mark::Odd, "gap").text(" ");
        page.text(&gap_words(gap)).end();
    }
    if check.gaps.len() > LISTED {
        let more = numbered(check.gaps.len() - LISTED, "gap");
        page.say("p", "cut", &format!("{more} more: see the JSON report."));
    }
    drawings(check, page);
    evidence(check, page);
    looks(check, page);
    page.end();
}

fn expected(check: &CheckView, page: &mut Page) {
    let all = facts::expected(check);
    if all.is_empty() {
        return;
    }
    page.say("p", "label", "expected").tag("ul", "expected");
    for one in all.iter().take(LISTED) {
        page.tag("li", "").prose(&clip(one, 400)).end();
    }
    page.end();
}

/// Verdicts on the way, and what followed.
fn judgements(check: &CheckView, page: &mut Page) {
    page.tag("ul", "");
    for (at, said) in check.judged.iter().take(LISTED) {
        page.tag("li", "");
        page.mark(verdict_mark(said.verdict), &said.verdict.to_string());
        let text = format!(" {}: {}{}", moment(*at), said.why, follows(check, said));
        page.prose(&text).end();
    }
    page.end();
    if check.judged.len() > LISTED {
        let more = numbered(check.judged.len() - LISTED, "verdict");
        page.say("p", "cut", &format!("{more} more: see the JSON report."));
    }
}

fn drawings(check: &CheckView, page: &mut Page) {
    if check.samples.len() < 2 {
        return;
    }
    let drawn = |path: &&String| {
        let there = check
            .samples
            .iter()
            .filter(|one| one.values.contains_key(*path));
        there.count() > 1
    };
    let paths: Vec<_> = check.outline.watched.iter().filter(drawn).collect();
    if paths.is_empty() {
        chart::strip(check, page);
        return;
    }
    for path in paths.iter().take(CHARTS) {
        chart::value(check, path, page);
    }
    chart::legend(page);
    if paths.len() > CHARTS {
        let more = numbered(paths.len() - CHARTS, "value");
        page.say("p", "cut", &format!("{more} more: see the JSON report."));
    }
}

fn evidence(check: &CheckView, page: &mut Page) {
    let evidence = facts::evidence(check);
    if evidence.is_empty() {
        return;
    }
    page.table("proof", &["Expectation", "Verdict", "Observed"]);
    for one in evidence.iter().take(LISTED) {
        page.tag("tr", "").code_cell(&clip(&one.expression, 400));
        page.tag("td", "");
        page.mark(verdict_mark(one.verdict), &one.verdict.to_string())
            .end();
        page.tag("td", "");
        observed_cell(one, page);
        // what a trend came to
        if let Some(reason) = one.reason.as_ref().filter(|_| one.verdict == Verdict::Pass) {
            page.prose(reason);
        }
        page.end().end();
    }
    page.end_table();
}

fn looks(check: &CheckView, page: &mut Page) {
    let picked = facts::picked(check, LOOKS);
    page.say(
        "p",
        "more",
        &format!("{}.", facts::kept(check, picked.len())),
    );
    if picked.is_empty() {
        return;
    }
    page.table(
        "looks",
        &["Look", "When", "Took", "Verdict", "Values", "Why"],
    );
    for sample in picked {
        look(check, sample, page);
    }
    page.end_table();
}

fn look(check: &CheckView, sample: &Sample, page: &mut Page) {
    let shown = match sample.verdict {
        _ if sample.early => Mark::Off,
        Verdict::Pass if !sample.warnings.is_empty() => Mark::Odd,
        verdict => verdict_mark(verdict),
    };
    page.tag("tr", "").num_cell(&sample.nth.to_string());
    page.time_cell(sample.at).num_cell(&ms(sample.took_ms));
    page.tag("td", "").mark(shown, look_word(sample));
    if sample.excused {
        page.say("div", "more", "excused");
    }
    page.end().cell(&values(check, sample, 4));
    let mut says: Vec<String> = reason(sample).into_iter().collect();
    says.extend(sample.warnings.first().map(why));
    if sample.missed > 0 {
        says.push(format!("{} missed before it", sample.missed));
    }
    if sample.clock_jump_ms != 0 {
        let jump = ms(sample.clock_jump_ms.unsigned_abs());
        says.push(format!("the clock jumped by {jump} before it"));
    }
    page.cell(&clip(&says.join("; "), 300)).end();
}
