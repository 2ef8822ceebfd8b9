//! What is read first: title, verdict, what was decided against the rules, the summary.

use super::super::super::lines::{count_words, rollback_words};
use super::super::super::text::{between, moment, ms, numbered, seconds};
use super::super::facts::{self, Budget, State};
use super::page::{Mark, Page};
use crate::event::RunStatus;
use crate::view::RunView;

/// The most lines of a list before the evidence.
const LISTED: usize = 200;

/// How good the end of a run is.
pub(super) fn run_mark(status: RunStatus) -> Mark {
    match status {
        RunStatus::Succeeded => Mark::Good,
        RunStatus::Failed | RunStatus::RollbackFailed | RunStatus::Aborted => Mark::Bad,
        RunStatus::RolledBack | RunStatus::Cancelled | RunStatus::Closed => Mark::Odd,
        RunStatus::Planned
        | RunStatus::Running
        | RunStatus::Waiting
        | RunStatus::Cancelling
        | RunStatus::RollingBack => Mark::Going,
    }
}

pub(super) fn masthead(view: &RunView, page: &mut Page) {
    page.tag("header", "mast");
    page.raw("<p class=\"kind\">Migration report</p>\n");
    if let Some(text) = view.header.options.elsewhere() {
        page.tag("p", "")
            .mark(Mark::Odd, "a rehearsal, not the migration");
        page.text(" ").prose(&text).end();
    }
    page.say("h1", "", view.header.shown());
    page.tag("p", "sub").text("Run ").code(&view.id);
    if let Some(start) = view.started_at {
        page.text(" · ").text(&moment(start));
    }
    page.text(" · runbook ").code(&view.header.name).end().end();
}

pub(super) fn verdict(view: &RunView, page: &mut Page) {
    let mark = run_mark(view.status);
    page.tag(
        "section",
        match mark {
            Mark::Good => "verdict good",
            Mark::Bad => "verdict bad",
            Mark::Odd => "verdict odd",
            Mark::Off | Mark::Going => "verdict going",
        },
    );
    page.tag("p", "outcome");
    page.mark(mark, &capital(view.status.words())).end();
    page.tag("p", "told")
        .prose(&sentence(&facts::verdict(view)))
        .end();
    if let Some(failure) = &view.failure {
        page.tag("p", "").say("strong", "", "What failed: ");
        page.prose(&failure.summary()).end();
    }
    figures(view, page);
    page.end();
}

fn sentence(text: &str) -> String {
    format!("{}.", capital(text))
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}", first.unwrap_or_default(), rest.as_str())
}

/// The few numbers that everybody asks for.
fn figures(view: &RunView, page: &mut Page) {
    let counts = view.counts();
    let (judged, passed) = facts::verdicts(view);
    let criteria = facts::criteria(view);
    let met = criteria
        .iter()
        .filter(|one| one.state == State::Met)
        .count();
    let [total, down, _] = facts::budgets(view);
    page.tag("dl", "figures");
    let mut say = |name: &str, value: &str, more: &str| {
        page.tag("div", "").say("dt", "", name).say("dd", "", value);
        page.say("dd", "more", more).end();
    };
    let budget = total
        .budget_s
        .map(|budget| format!("of {} allowed", seconds(budget)));
    say(
        "Duration",
        &total.took_ms.map_or_else(|| "–".into(), ms),
        &budget.unwrap_or_default(),
    );
    if let Some(took) = down.took_ms {
        let budget = down.budget_s.map(seconds);
        let budget = budget.map_or("measured".into(), |budget| format!("of {budget} allowed"));
        say("Downtime", &ms(took), &budget);
    }
    let left = counts.steps - counts.done;
    let more = match left {
        0 => "all done".into(),
        _ => format!("of {}", counts.steps),
    };
    say("Steps done", &counts.done.to_string(), &more);
    say(
        "Expectations passed",
        &passed.to_string(),
        &format!("of {judged} judged"),
    );
    if !criteria.is_empty() {
        say(
            "Criteria met",
            &met.to_string(),
            &format!("of {}", criteria.len()),
        );
    }
    say("Waivers", &view.waivers().len().to_string(), "");
    page.end();
}

pub(super) fn waivers(view: &RunView, page: &mut Page) {
    page.section("Waivers and reservations");
    let waivers = view.waivers();
    match waivers.is_empty() {
        true => {
            page.say("p", "", "No waiver was given.");
        }
        false => {
            page.table("waivers", &["What", "About", "By", "Reason", "When"]);
            for one in waivers.iter().take(LISTED) {
                page.tag("tr", "")
                    .tag("td", "")
                    .mark(Mark::Odd, one.what)
                    .end();
                page.code_cell(&one.subject).cell(&one.by).cell(&one.reason);
                page.time_cell(one.at).end();
            }
            page.end_table();
            more(waivers.len(), "waiver", page);
        }
    }
    let notices = facts::notices(view);
    let notices: Vec<_> = notices
        .iter()
        .filter(|one| !matches!(one.code, "ordered" | "resolved" | "waived"))
        .collect();
    page.say("h3", "", "Not to be overlooked");
    if notices.is_empty() {
        let none = "Nothing: no step is left undone, in doubt, tolerated or cut.";
        page.say("p", "", none).end();
        return;
    }
    page.tag("ul", "notices");
    for one in notices.iter().take(LISTED) {
        page.tag("li", "");
        if !one.about.is_empty() {
            page.code(&one.about).text(": ");
        }
        page.prose(&one.text).end();
    }
    page.end();
    more(notices.len(), "point", page);
    page.end();
}

/// Says what a list left out.
fn more(count: usize, noun: &str, page: &mut Page) {
    if count > LISTED {
        let left = numbered(count - LISTED, noun);
        page.tag("p", "cut")
            .text(&format!("{left} more: see the JSON report."))
            .end();
    }
}

pub(super) fn summary(view: &RunView, page: &mut Page) {
    let header = &view.header;
    page.section("Summary").tag("dl", "facts");
    let mut say = |name: &str, value: &str| {
        page.tag("div", "").say("dt", "", name);
        page.tag("dd", "").prose(value).end().end();
    };
    let time = |at: Option<i64>| at.map_or_else(|| "–".to_owned(), moment);
    say("Start", &time(view.started_at));
    say("End", &time(view.ended_at));
    if let Some(start) = view.started_at {
        say("Duration", &between(start, facts::end(view)));
    }
    let window = &header.window;
    if window.opens.is_some() || window.closes.is_some() {
        let hours = format!("{} to {}", time(window.opens), time(window.closes));
        say("Calendar window", &hours);
    }
    say("Steps", &count_words(view));
    if let Some(rollback) = &view.rollback {
        say("Rollback", &rollback_words(rollback));
    }
    say(
        "Runbook",
        &format!("{} from {}", header.name, header.source),
    );
    say("ferry", &header.version);
    page.end();
    page.say("h3", "", "Budgets");
    page.table("", &["Budget", "Allowed", "Took", "Kept"]);
    for one in facts::budgets(view) {
        page.tag("tr", "").say("td", "", budget_name(&one));
        page.num_cell(&one.budget_s.map_or_else(|| "none set".into(), seconds));
        page.num_cell(&one.took_ms.map_or_else(|| one.why.into(), ms));
        page.tag("td", "");
        match one.kept() {
            Some(true) => page.mark(Mark::Good, "yes"),
            Some(false) => page.mark(Mark::Bad, "no"),
            None => page.mark(Mark::Off, "not judged"),
        };
        page.end().end();
    }
    page.end_table().end();
}

pub(in super::super) fn budget_name(budget: &Budget) -> &'static str {
    match budget.name {
        "total" => "Whole run",
        "downtime" => "Downtime",
        _ => "Rollback",
    }
}
