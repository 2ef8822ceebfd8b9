//! Success criteria, and the blocks that people sign: what they rest on, who signed, and lines to be
//! signed by hand.

use super::super::super::text::{moment, seconds};
use super::super::facts::{self, Block, Judged, Line, State};
use super::super::{Held, Proof};
use super::evidence::observed_cell;
use super::page::{Mark, Page};
use super::people::named;
use crate::event::Stage;
use crate::view::RunView;

pub(super) fn criteria(view: &RunView, page: &mut Page) {
    let criteria = facts::criteria(view);
    page.section("Success criteria");
    if criteria.is_empty() {
        page.say("p", "", "The runbook names none.").end();
        return;
    }
    page.table("criteria", &["Horizon", "Criterion", "State", "Rests on"]);
    for one in &criteria {
        page.tag("tr", "").tag("td", "").text(one.when());
        page.say("div", "more", &one.criterion.id).end();
        page.cell(&one.what()).tag("td", "");
        state(one, page);
        page.end().tag("td", "");
        page.prose(&one.why);
        if let Some((at, who)) = one.closed {
            page.say("div", "more", &format!("{who}, {}", moment(at)));
        }
        for evidence in one.evidence {
            page.tag("div", "");
            observed_cell(evidence, page);
            page.end();
        }
        page.end().end();
    }
    page.end_table().end();
}

fn state(one: &Judged<'_>, page: &mut Page) {
    let mark = match one.state {
        State::Met => Mark::Good,
        State::NotMet => Mark::Bad,
        State::Inconclusive => Mark::Odd,
        State::Open => Mark::Going,
    };
    page.mark(mark, one.state.words());
    if one.state == State::Open {
        let until = match (one.due, one.criterion.within_s) {
            (Some(due), _) => format!("until {}", moment(due)),
            (None, Some(within)) => format!("until {} after the end", seconds(within)),
            (None, None) => return,
        };
        page.say("div", "more", &until);
    }
}

pub(super) fn sign_off(view: &RunView, proof: &Proof, page: &mut Page) {
    page.section("Sign-off");
    for block in facts::sign_off(view) {
        page.tag("div", "sign-off");
        match block.stage {
            Stage::Before => before(view, page),
            Stage::After => after(view, page),
        }
        lines(&block, proof, page);
        page.end();
    }
    page.end();
}

fn before(view: &RunView, page: &mut Page) {
    page.say("h3", "", "Before the migration");
    page.tag("dl", "facts");
    let operator = view.engines.first().map_or("–", |one| one.by.as_str());
    page.tag("div", "")
        .say("dt", "", "Started by")
        .say("dd", "", operator)
        .end();
    let start = view.started_at.map_or_else(|| "–".into(), moment);
    page.tag("div", "")
        .say("dt", "", "Started")
        .say("dd", "", &start)
        .end();
    page.tag("div", "").say("dt", "", "Plan").tag("dd", "");
    page.code(&view.header.digest).end().end().end();
}

fn after(view: &RunView, page: &mut Page) {
    page.say("h3", "", "After the migration");
    page.tag("ul", "checks");
    for (text, holds) in facts::checks(view) {
        page.tag("li", "");
        match holds {
            Some(true) => page.mark(Mark::Good, "yes"),
            Some(false) => page.mark(Mark::Bad, "no"),
            None => page.mark(Mark::Going, "open"),
        };
        page.text(" ").text(&text).end();
    }
    page.end();
}

fn lines(block: &Block<'_>, proof: &Proof, page: &mut Page) {
    if block.lines.is_empty() {
        page.tag("p", "more");
        page.text("The runbook asks for no signature here; a line to sign by hand:")
            .end();
    }
    page.table("sign", &["Role", "Name", "Date", "Signature"]);
    for line in &block.lines {
        signature(line, proof, page);
    }
    if block.lines.is_empty() {
        page.raw("<tr class=\"hand\"><td></td><td></td><td></td><td></td></tr>\n");
    }
    page.end_table();
}

fn signature(line: &Line<'_>, proof: &Proof, page: &mut Page) {
    let title = line.person.and_then(|one| one.title.as_deref());
    page.tag("tr", if line.signed.is_some() { "" } else { "hand" });
    page.tag("td", "").text(title.unwrap_or(line.role));
    if title.is_some() {
        page.say("div", "more", line.role);
    }
    page.end();
    let Some((at, login, signature)) = line.signed else {
        let who = line.person.and_then(|one| one.who.as_deref());
        page.say("td", "", who.unwrap_or_default());
        page.say("td", "", "").say("td", "", "").end();
        return;
    };
    page.say("td", "", &named(&signature.who, login))
        .time_cell(at)
        .tag("td", "");
    let held = proof.signatures.get(&line.seq);
    let (words, why) = Held::said(held, signature.key.is_some());
    let mark = match held {
        Some(Held::Bad(_) | Held::NotAllowed(_)) => Mark::Bad,
        Some(Held::Good) if !line.earlier => Mark::Good,
        _ => Mark::Odd,
    };
    page.mark(mark, words);
    if let Some(key) = &signature.key {
        page.text(" ").code(key);
    }
    if let Some(why) = why {
        page.say("div", "", why);
    }
    if line.earlier {
        page.say(
            "div",
            "",
            "under an earlier end: the run went on afterwards",
        );
    }
    page.tag("div", "more")
        .text("under event ")
        .text(&signature.seq.to_string());
    page.text(", head ")
        .code(&signature.head.chars().take(16).collect::<String>())
        .end();
    if let Some(comment) = &signature.comment {
        page.tag("div", "").text("“").text(comment).text("”").end();
    }
    page.end().end();
}
