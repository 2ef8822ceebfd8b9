//! What people did in a run: decisions, signatures, criteria that they judged.

use crate::event::{Note, NoteKind, Order, Person, Signature, Stage};
use crate::view::{Ordered, RunView};

/// A vote or a confirmation.
pub(in super::super) struct Decision<'a> {
    /// In milliseconds since the Unix epoch.
    pub(in super::super) at: i64,
    /// The login that it came from.
    pub(in super::super) login: &'a str,
    /// Whose it is, as they said.
    pub(in super::super) who: &'a str,
    /// `approved`, `rejected`, `confirmed`.
    pub(in super::super) word: &'static str,
    /// The step.
    pub(in super::super) step: &'a str,
    /// What they said, ticked, typed in and handed in.
    pub(in super::super) said: String,
    /// The fingerprint of the key that signed it.
    pub(in super::super) key: Option<&'a str>,
    /// Why it did not count.
    pub(in super::super) refused: Option<&'a str>,
}

/// Votes and confirmations, in their order; refused ones too.
pub(in super::super) fn decisions(view: &RunView) -> Vec<Decision<'_>> {
    view.orders.iter().filter_map(decision).collect()
}

fn decision(one: &Ordered) -> Option<Decision<'_>> {
    let (word, step, who, said, key) = match &one.order {
        Order::Approve { step, vote } | Order::Reject { step, vote } => {
            let word = match &one.order {
                Order::Approve { .. } => "approved",
                _ => "rejected",
            };
            let said = vote.comment.clone().unwrap_or_default();
            (word, step, &vote.who, said, vote.key.as_deref())
        }
        Order::Confirm { step, confirmation } => {
            let mut said = Vec::new();
            if !confirmation.ticked.is_empty() {
                said.push(format!("ticked: {}", confirmation.ticked.join("; ")));
            }
            for (name, value) in &confirmation.values {
                said.push(format!("{name}: {value}"));
            }
            said.extend(confirmation.note.clone());
            if let Some(file) = &confirmation.file {
                said.push(format!(
                    "file {} ({} bytes, SHA-256 {}), kept as {}",
                    file.name, file.bytes, file.sha256, file.file
                ));
            }
            ("confirmed", step, &confirmation.who, said.join(". "), None)
        }
        _ => return None,
    };
    Some(Decision {
        at: one.at,
        login: &one.by,
        who,
        word,
        step,
        said,
        key,
        refused: one.refused.as_deref(),
    })
}

/// Orders beside votes, confirmations, notes, signatures and close-outs, each of which has a place of
/// its own; what was refused is told in any case.
pub(in super::super) fn other_orders(view: &RunView) -> impl Iterator<Item = &Ordered> {
    view.orders.iter().filter(|one| match &one.order {
        Order::Approve { .. } | Order::Reject { .. } | Order::Confirm { .. } => false,
        Order::Note { .. } | Order::Sign { .. } | Order::CloseOut { .. } => one.refused.is_some(),
        _ => true,
    })
}

/// Notes by kind, what went wrong first: when, by which login, and the note.
pub(in super::super) fn notes(view: &RunView) -> Vec<(NoteKind, Vec<Noted<'_>>)> {
    let notes = view.notes();
    let of = |kind: NoteKind| {
        let own = notes.iter().filter(|one| one.2.kind == kind);
        (kind, own.copied().collect::<Vec<_>>())
    };
    let all = [
        NoteKind::Issue,
        NoteKind::Resolution,
        NoteKind::Lesson,
        NoteKind::Recommendation,
        NoteKind::Remark,
    ];
    let all = all.map(of).into_iter();
    all.filter(|(_, own)| !own.is_empty()).collect()
}

/// A note with its time and its login.
type Noted<'a> = (i64, &'a str, &'a Note);

/// A line to be signed, or signed.
pub(in super::super) struct Line<'a> {
    /// The role.
    pub(in super::super) role: &'a str,
    /// What the runbook says of it.
    pub(in super::super) person: Option<&'a Person>,
    /// When, by which login, and the signature.
    pub(in super::super) signed: Option<(i64, &'a str, &'a Signature)>,
    /// The event that records the signature; 0 without one.
    pub(in super::super) seq: u64,
    /// Whether it is under an end that the run went on from: then it is no sign-off of this one.
    pub(in super::super) earlier: bool,
}

/// The lines of one stage.
pub(in super::super) struct Block<'a> {
    /// For what.
    pub(in super::super) stage: Stage,
    /// Roles that were asked for, in their order; then whoever signed besides.
    pub(in super::super) lines: Vec<Line<'a>>,
}

/// The signatures before and after.
pub(in super::super) fn sign_off(view: &RunView) -> [Block<'_>; 2] {
    [Stage::Before, Stage::After].map(|stage| block(view, stage))
}

fn block(view: &RunView, stage: Stage) -> Block<'_> {
    let people = &view.header.people;
    let line = |role: &'_ str| people.iter().find(|one| one.role == role);
    let asked = match stage {
        Stage::Before => &view.header.sign_off.before,
        Stage::After => &view.header.sign_off.after,
    };
    let taken = view.orders.iter().filter(|one| one.refused.is_none());
    let signed = taken.filter_map(|one| match &one.order {
        Order::Sign { signature } if signature.stage == stage => Some(Line {
            role: &signature.role,
            person: line(&signature.role),
            signed: Some((one.at, &one.by, signature)),
            seq: one.seq,
            earlier: !view.is_under_its_end(signature),
        }),
        _ => None,
    });
    let mut signed: Vec<_> = signed.collect();
    let mut lines = Vec::new();
    for role in asked {
        let (own, others): (Vec<_>, Vec<_>) = signed.into_iter().partition(|one| one.role == role);
        signed = others;
        if own.iter().all(|one| one.earlier) {
            lines.push(Line {
                role,
                person: line(role),
                signed: None,
                seq: 0,
                earlier: false,
            });
        }
        lines.extend(own);
    }
    lines.extend(signed);
    Block { stage, lines }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn roles_that_have_not_signed_keep_a_line() {
        let view = RunView::replay(&samples::signed());
        let [before, after] = sign_off(&view);
        let told = |block: &Block<'_>| -> Vec<_> {
            let lines = block.lines.iter();
            lines
                .map(|one| (one.role.to_owned(), one.signed.is_some()))
                .collect()
        };
        assert_eq!(told(&before), [("lead".to_owned(), true)]);
        assert_eq!(
            told(&after),
            [
                ("lead".to_owned(), true),
                ("backup".to_owned(), false),
                ("oncall".to_owned(), false)
            ]
        );
        let decided: Vec<_> = decisions(&view)
            .iter()
            .map(|one| (one.word, one.who))
            .collect();
        assert_eq!(decided, [("approved", "ana"), ("confirmed", "bo")]);
        assert_eq!(other_orders(&view).count(), 1);
    }
}
