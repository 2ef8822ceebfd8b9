//! Going back: what was taken back in which order, how that was proven, what was not and why; and how
//! doubts were settled.

use super::super::super::text::{between, moment, ms};
use super::LINES;
use super::evidence::row;
use super::page::{Mark, Page};
use crate::event::{How, Part, Resolution};
use crate::expr::Evidence;
use crate::view::{ItemStatus, RollbackItemView, RollbackView, RunView};

fn item_mark(status: ItemStatus) -> Mark {
    match status {
        ItemStatus::Done => Mark::Good,
        ItemStatus::Failed => Mark::Bad,
        ItemStatus::Held | ItemStatus::InDoubt | ItemStatus::Waived => Mark::Odd,
        ItemStatus::Pending | ItemStatus::Skipped => Mark::Off,
        ItemStatus::Running => Mark::Going,
    }
}

pub(super) fn rollback(view: &RunView, page: &mut Page) {
    let Some(rollback) = &view.rollback else {
        return;
    };
    page.section("Rollback");
    page.tag("p", "")
        .text("Began ")
        .text(&moment(rollback.started_at));
    if let Some(end) = rollback.ended_at {
        page.text(&format!(
            ", over after {}",
            between(rollback.started_at, end)
        ));
    }
    page.text(". Because of ")
        .prose(&rollback.cause.summary())
        .end();
    page.say("h3", "", "In this order");
    page.table(
        "back",
        &["", "Item", "Part", "Status", "Took", "What was done"],
    );
    for (at, item) in rollback.items.iter().enumerate().take(LINES) {
        line(at, item, page);
    }
    page.end_table();
    proofs(rollback, page);
    left(rollback, page);
    page.end();
}

fn line(at: usize, item: &RollbackItemView, page: &mut Page) {
    page.tag("tr", "").num_cell(&(at + 1).to_string());
    page.tag("td", "").code(&item.item.id);
    page.say("div", "more", &item.item.action).end();
    page.say("td", "", item.item.part.words()).tag("td", "");
    page.mark(item_mark(item.status), item.status.words());
    if item.attempt > 1 {
        page.say("div", "more", &format!("{} attempts", item.attempt));
    }
    page.end()
        .num_cell(&item.took_ms.map(ms).unwrap_or_default());
    match (item.status, item.failures.last(), &item.skipped) {
        (ItemStatus::Failed, Some(failed), _) => page.cell(&failed.failure.message),
        (_, _, Some(reason)) => page.cell(reason),
        _ => page.cell(item.report.as_ref().map_or("", |one| &one.did)),
    };
    page.end();
}

fn proofs(rollback: &RollbackView, page: &mut Page) {
    let verifies = rollback
        .items
        .iter()
        .any(|item| item.item.part == Part::Verify);
    let title = match rollback.is_verified() {
        true => "How it was proven",
        false => "What was judged",
    };
    page.say("h3", "", title);
    let rows = rollback.items.iter().flat_map(|item| {
        let each = item.report.iter().flat_map(|one| &one.evidence);
        each.map(|one| (item.item.id.as_str(), one))
    });
    let rows: Vec<(&str, &Evidence)> = rows.take(LINES).collect();
    if !verifies {
        page.tag("p", "").mark(Mark::Odd, "not verified");
        page.prose(": the runbook has no `rollback.verify`.").end();
    } else if !rollback.is_verified() {
        page.tag("p", "").mark(Mark::Odd, "not verified");
        page.prose(": no expectation of `rollback.verify` passed.")
            .end();
    }
    if rows.is_empty() {
        page.say("p", "", "No expectation was judged on the way back.");
        return;
    }
    page.table("evidence", &["Item", "Proof", "Verdict", "Observed"]);
    for (name, one) in rows {
        row(name, one, page);
    }
    page.end_table();
}

fn left(rollback: &RollbackView, page: &mut Page) {
    page.say("h3", "", "Not taken back");
    if rollback.not_undone.is_empty() {
        page.say("p", "", "Nothing that changed something was left out.");
        return;
    }
    page.table("", &["Step", "Why"]);
    for one in rollback.not_undone.iter().take(LINES) {
        page.tag("tr", "").code_cell(&one.step).cell(&one.why).end();
    }
    page.end_table();
}

pub(super) fn doubts(view: &RunView, page: &mut Page) {
    if view.resolved.is_empty() && view.asked.is_empty() {
        return;
    }
    page.section("Doubts and questions");
    page.table("doubts", &["Step", "Settled to", "By", "When"]);
    for one in view.resolved.iter().take(LINES) {
        page.tag("tr", "").code_cell(&one.step).tag("td", "");
        let mark = match one.to {
            Resolution::Done => Mark::Good,
            Resolution::NotDone | Resolution::Again => Mark::Odd,
            Resolution::Failed => Mark::Bad,
        };
        page.mark(mark, one.to.words()).end().tag("td", "");
        how(&one.how, page);
        page.end().time_cell(one.at).end();
    }
    for one in view.asked.iter().take(LINES) {
        page.tag("tr", "").code_cell(&one.step).tag("td", "");
        page.mark(Mark::Going, "still asked").end();
        page.cell(&one.why).time_cell(one.at).end();
    }
    page.end_table().end();
}

/// By what a doubt was settled.
fn how(how: &How, page: &mut Page) {
    match how {
        How::Person { by, reason } => {
            page.text(by).text(": ").text(reason);
        }
        How::Probe { evidence } => {
            page.text("its probe");
            for one in evidence {
                page.tag("div", "more").code(&one.expression).text(": ");
                page.text(&one.verdict.to_string()).end();
            }
        }
        other => {
            page.text(&other.words());
        }
    }
}
