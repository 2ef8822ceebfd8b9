//! People of a run, what they decided, and what they noted.

use super::super::super::lines::order_words;
use super::super::facts;
use super::page::{Mark, Page};
use crate::event::NoteKind;
use crate::view::RunView;

/// Somebody by the name that they gave, and the login where that is another one.
pub(super) fn named(who: &str, login: &str) -> String {
    match who == login || login.is_empty() {
        true => who.to_owned(),
        false => format!("{who} (login {login})"),
    }
}

pub(super) fn people(view: &RunView, page: &mut Page) {
    page.section("People");
    if view.header.people.is_empty() {
        page.say("p", "", "The runbook names no roles.");
    } else {
        page.table("", &["Role", "Person", "Contact"]);
        for one in &view.header.people {
            page.tag("tr", "").tag("td", "");
            page.text(one.title.as_deref().unwrap_or(&one.role));
            if one.title.is_some() {
                page.text(" ").code(&one.role);
            }
            page.end();
            page.cell(one.who.as_deref().unwrap_or("nobody was named"));
            page.cell(one.contact.as_deref().unwrap_or_default()).end();
        }
        page.end_table();
    }
    page.say("h3", "", "Carried out by");
    page.table("", &["Operator", "Host", "From"]);
    for one in &view.engines {
        page.tag("tr", "")
            .cell(&one.by)
            .cell(&one.host)
            .time_cell(one.at)
            .end();
    }
    page.end_table();
    decisions(view, page);
    orders(view, page);
    page.end();
}

fn decisions(view: &RunView, page: &mut Page) {
    let decisions = facts::decisions(view);
    if decisions.is_empty() {
        return;
    }
    page.say("h3", "", "Approvals and confirmations");
    page.table("decisions", &["Step", "Decision", "By", "Said", "When"]);
    for one in &decisions {
        page.tag("tr", "").code_cell(one.step).tag("td", "");
        match (one.refused, one.word) {
            (Some(_), word) => page.mark(Mark::Bad, &format!("{word}, refused")),
            (None, "rejected") => page.mark(Mark::Bad, "rejected"),
            (None, word) => page.mark(Mark::Good, word),
        };
        page.end().tag("td", "").text(&named(one.who, one.login));
        if let Some(key) = one.key {
            page.tag("div", "more").text("key ").code(key).end();
        }
        page.end().tag("td", "").text(&one.said);
        if let Some(why) = one.refused {
            page.tag("div", "more").text("refused: ").prose(why).end();
        }
        page.end().time_cell(one.at).end();
    }
    page.end_table();
}

fn orders(view: &RunView, page: &mut Page) {
    let mut orders = facts::other_orders(view).peekable();
    if orders.peek().is_none() {
        return;
    }
    page.say("h3", "", "Orders");
    page.table("orders", &["Order", "By", "Reason", "When"]);
    for one in orders {
        page.tag("tr", "")
            .cell(&order_words(&one.order))
            .cell(&one.by);
        page.tag("td", "");
        match &one.refused {
            Some(why) => page.mark(Mark::Bad, "refused").text(" ").prose(why),
            None => page.prose(one.reason.as_deref().unwrap_or("–")),
        };
        page.end().time_cell(one.at).end();
    }
    page.end_table();
}

fn heading(kind: NoteKind) -> &'static str {
    match kind {
        NoteKind::Issue => "Issues",
        NoteKind::Resolution => "Resolutions",
        NoteKind::Lesson => "Lessons",
        NoteKind::Recommendation => "Recommendations",
        NoteKind::Remark => "Remarks",
    }
}

pub(super) fn notes(view: &RunView, page: &mut Page) {
    let notes = facts::notes(view);
    if notes.is_empty() {
        return;
    }
    page.section("Notes");
    for (kind, own) in notes {
        page.say("h3", "", heading(kind)).tag("ul", "notes");
        for (at, login, note) in own {
            page.tag("li", "").prose(&note.text).tag("div", "more");
            page.text(&named(&note.who, login)).text(", ");
            page.text(&super::super::super::text::moment(at));
            if let Some(step) = &note.step {
                page.text(", about ").code(step);
            }
            page.end().end();
        }
        page.end();
    }
    page.end();
}
