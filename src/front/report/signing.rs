//! The sections of the Markdown report that are about people: waivers, roles, decisions, notes,
//! criteria, signatures.

use super::super::lines::order_words;
use super::super::text::{moment, ms, seconds};
use super::escape::{code, prose, table};
use super::facts::{self, State};
use super::{Held, Proof};
use crate::event::Stage;
use crate::view::RunView;

pub(super) fn waivers(view: &RunView, out: &mut String) {
    out.push_str("## Waivers\n\n");
    let waivers = view.waivers();
    if waivers.is_empty() {
        out.push_str("No waiver was given.\n");
        return;
    }
    let rows: Vec<_> = waivers
        .iter()
        .map(|one| {
            vec![
                one.what.to_owned(),
                dash(code(&one.subject)),
                prose(&one.by),
                dash(prose(&one.reason)),
                moment(one.at),
            ]
        })
        .collect();
    out.push_str(&table(&["What", "About", "By", "Reason", "When"], &rows));
}

fn dash(text: String) -> String {
    match text.is_empty() {
        true => "-".into(),
        false => text,
    }
}

pub(super) fn budgets(view: &RunView, out: &mut String) {
    let row = |one: facts::Budget| {
        vec![
            one.name.to_owned(),
            one.budget_s.map_or_else(|| "none set".into(), seconds),
            one.took_ms.map_or_else(|| one.why.into(), ms),
            match one.kept() {
                Some(true) => "yes".into(),
                Some(false) => "no".into(),
                None => "not judged".into(),
            },
        ]
    };
    out.push_str("\n### Budgets\n\n");
    let rows = facts::budgets(view).map(row);
    out.push_str(&table(&["Budget", "Allowed", "Took", "Kept"], &rows));
}

pub(super) fn people(view: &RunView, out: &mut String) {
    let people = &view.header.people;
    let decisions = facts::decisions(view);
    if people.is_empty() && decisions.is_empty() {
        return;
    }
    out.push_str("\n## People\n\n");
    let rows: Vec<_> = people
        .iter()
        .map(|one| {
            vec![
                code(&one.role),
                dash(prose(one.title.as_deref().unwrap_or_default())),
                prose(one.who.as_deref().unwrap_or("nobody was named")),
                dash(prose(one.contact.as_deref().unwrap_or_default())),
            ]
        })
        .collect();
    if !rows.is_empty() {
        out.push_str(&table(&["Role", "Title", "Person", "Contact"], &rows));
    }
    if decisions.is_empty() {
        return;
    }
    let row = |one: &facts::Decision<'_>| {
        let word = match one.refused {
            Some(why) => format!("{}, refused: {}", one.word, prose(why)),
            None => one.word.to_owned(),
        };
        vec![
            code(one.step),
            word,
            named(one.who, one.login),
            dash(prose(&one.said)),
            dash(code(one.key.unwrap_or_default())),
            moment(one.at),
        ]
    };
    let rows: Vec<_> = decisions.iter().map(row).collect();
    out.push_str("\n### Approvals and confirmations\n\n");
    let head = ["Step", "Decision", "By", "Said", "Key", "When"];
    out.push_str(&table(&head, &rows));
}

fn named(who: &str, login: &str) -> String {
    match who == login {
        true => prose(who),
        false => format!("{} (login {})", prose(who), prose(login)),
    }
}

/// What people ordered beside that.
pub(super) fn orders(view: &RunView, out: &mut String) {
    let row = |one: &crate::view::Ordered| {
        let reason = match &one.refused {
            Some(why) => format!("refused: {}", prose(why)),
            None => dash(prose(one.reason.as_deref().unwrap_or_default())),
        };
        vec![
            prose(&order_words(&one.order)),
            prose(&one.by),
            reason,
            moment(one.at),
        ]
    };
    let rows: Vec<_> = facts::other_orders(view).map(row).collect();
    if !rows.is_empty() {
        out.push_str("\n## Orders\n\n");
        out.push_str(&table(&["Order", "By", "Reason", "When"], &rows));
    }
}

pub(super) fn notes(view: &RunView, out: &mut String) {
    let notes = facts::notes(view);
    if notes.is_empty() {
        return;
    }
    let row = |(at, login, note): (i64, &str, &crate::event::Note)| {
        vec![
            note.kind.word().to_owned(),
            prose(&note.text),
            dash(code(note.step.as_deref().unwrap_or_default())),
            named(&note.who, login),
            moment(at),
        ]
    };
    let rows = notes.into_iter().flat_map(|(_, own)| own).map(row);
    let rows: Vec<_> = rows.collect();
    out.push_str("\n## Notes\n\n");
    out.push_str(&table(&["Kind", "Note", "Step", "By", "When"], &rows));
}

pub(super) fn criteria(view: &RunView, out: &mut String) {
    let criteria = facts::criteria(view);
    if criteria.is_empty() {
        return;
    }
    let row = |one: &facts::Judged<'_>| {
        let state = match (one.state, one.due) {
            (State::Open, Some(due)) => format!("open until {}", moment(due)),
            (state, _) => state.words().to_owned(),
        };
        let by = one
            .closed
            .map(|(at, who)| format!("{}, {}", prose(who), moment(at)));
        vec![
            one.when().to_owned(),
            prose(&one.what()),
            state,
            dash(prose(&one.why)),
            by.unwrap_or_else(|| "-".into()),
        ]
    };
    let rows: Vec<_> = criteria.iter().map(row).collect();
    out.push_str("\n## Success criteria\n\n");
    let head = ["Horizon", "Criterion", "State", "Why", "Judged by"];
    out.push_str(&table(&head, &rows));
}

pub(super) fn sign_off(view: &RunView, proof: &Proof, out: &mut String) {
    out.push_str("\n## Sign-off\n");
    for block in facts::sign_off(view) {
        match block.stage {
            Stage::Before => out.push_str("\n### Before the migration\n\n"),
            Stage::After => {
                out.push_str("\n### After the migration\n\n");
                for (text, holds) in facts::checks(view) {
                    let word = match holds {
                        Some(true) => "yes",
                        Some(false) => "no",
                        None => "open",
                    };
                    out.push_str(&format!("- {word}: {}\n", prose(&text)));
                }
                out.push('\n');
            }
        }
        if block.lines.is_empty() {
            out.push_str("The runbook asks for no signature here.\n");
            continue;
        }
        let rows: Vec<_> = block
            .lines
            .iter()
            .map(|line| signature(line, proof))
            .collect();
        let head = ["Role", "Name", "Date", "Signature"];
        out.push_str(&table(&head, &rows));
    }
}

fn signature(line: &facts::Line<'_>, proof: &Proof) -> Vec<String> {
    let role = match line.person.and_then(|one| one.title.as_deref()) {
        Some(title) => format!("{} ({})", prose(title), code(line.role)),
        None => code(line.role),
    };
    let Some((at, login, signature)) = line.signed else {
        let who = line.person.and_then(|one| one.who.as_deref());
        let blank = || "\\_\\_\\_\\_\\_\\_\\_\\_".to_owned();
        return vec![role, who.map_or_else(blank, prose), blank(), blank()];
    };
    let held = proof.signatures.get(&line.seq);
    let (words, why) = Held::said(held, signature.key.is_some());
    let mut how = words.to_owned();
    for more in [signature.key.as_deref().map(code), why.map(prose)]
        .into_iter()
        .flatten()
    {
        how = format!("{how} {more}");
    }
    let comment = signature
        .comment
        .as_deref()
        .map(|text| format!(": {}", prose(text)));
    let under = format!(
        "{how}, under event {}{}{}",
        signature.seq,
        if line.earlier {
            ", which is an earlier end"
        } else {
            ""
        },
        comment.unwrap_or_default()
    );
    vec![role, named(&signature.who, login), moment(at), under]
}

/// What the report stands on.
pub(super) fn record(view: &RunView, proof: &Proof, out: &mut String) {
    let mut rows = vec![vec!["Events".to_owned(), view.last_seq.to_string()]];
    if let Some(head) = &proof.head {
        rows.push(vec!["Head of the hash chain".into(), code(head)]);
    }
    if let Some(witness) = proof.witness {
        rows.push(vec!["Witness saw event".into(), witness.to_string()]);
    }
    if let Some(problem) = &proof.problem {
        rows.push(vec!["Not proven".into(), prose(problem)]);
    }
    out.push_str("\n### Record\n\n");
    out.push_str(&table(&["What", "Value"], &rows));
}
