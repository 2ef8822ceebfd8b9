//! State that was read before and after, and where it differs.

use serde_json::Value;

use super::super::super::text::{clip, moment};
use super::super::facts::{self, Compared};
use super::page::{Mark, Page};
use crate::event::Moment;
use crate::view::RunView;

pub(super) fn snapshots(view: &RunView, page: &mut Page) {
    let compared = facts::snapshots(view);
    if compared.is_empty() {
        return;
    }
    page.section("Snapshots");
    page.tag("p", "more");
    for (at, set) in view.snapshots.iter().enumerate() {
        let text = format!("{}: {}", set.moment.name(), moment(set.at));
        page.text(if at > 0 { " · " } else { "" }).text(&text);
    }
    page.end();
    for one in &compared {
        snapshot(view, one, page);
    }
    page.end();
}

fn snapshot(view: &RunView, one: &Compared<'_>, page: &mut Page) {
    page.tag("h3", "").code(one.name).end();
    page.tag("ul", "checks");
    for (moment, equal) in one.moments.iter().skip(1).zip(&one.equal) {
        let first = one.moments[0].name();
        let (mark, word) = match equal {
            Some(true) => (Mark::Good, "is as"),
            Some(false) if one.measured_only => (Mark::Good, "but for measurements is as"),
            // a migration is there to change something, and going back is not
            Some(false) if *moment == Moment::After => (Mark::Off, "differs from"),
            Some(false) => (Mark::Odd, "differs from"),
            None => (Mark::Off, "cannot be compared with"),
        };
        page.tag("li", "")
            .mark(mark, &format!("{} {word} {first}", moment.name()))
            .end();
    }
    page.end();
    if one.measured_only {
        page.tag("p", "more")
            .text("Measurements of the reading differ:");
        for (path, _) in &one.places {
            page.text(" ").code(path);
        }
        page.end();
    } else if !one.places.is_empty() {
        differences(one, page);
    }
    page.tag("div", "kept");
    for moment in &one.moments {
        kept(view, *moment, one.name, page);
    }
    page.end();
}

fn differences(one: &Compared<'_>, page: &mut Page) {
    page.tag("div", "scroll")
        .tag("table", "values")
        .tag("thead", "")
        .tag("tr", "");
    page.say("th", "", "Place");
    for moment in &one.moments {
        page.say("th", "", moment.name());
    }
    page.end().end().tag("tbody", "");
    for (path, values) in &one.places {
        page.tag("tr", "")
            .code_cell(if path.is_empty() { "(all)" } else { path });
        for value in values {
            let text = value.as_ref().map(Value::to_string).unwrap_or_default();
            page.code_cell(&clip(&text, 400));
        }
        page.end();
    }
    page.end_table();
    if one.places.len() >= crate::view::diff::MOST {
        let text = format!("At most {} places are compared.", crate::view::diff::MOST);
        page.say("p", "cut", &text);
    }
}

/// Where the values are kept, or why there is none.
fn kept(view: &RunView, moment: Moment, name: &str, page: &mut Page) {
    let taken = view.snapshot(moment, name);
    page.tag("div", "").text(moment.name()).text(": ");
    match taken {
        None => page.text("not taken"),
        Some(one) => match (&one.failure, &one.file) {
            (Some(failure), _) => page
                .mark(Mark::Bad, "failed")
                .text(" ")
                .prose(&failure.message),
            (None, Some(file)) => {
                let hash = one.sha256.as_deref().unwrap_or_default();
                page.code(file).text(", SHA-256 ").code(hash)
            }
            (None, None) => page.text("in the journal"),
        },
    };
    page.end();
}
