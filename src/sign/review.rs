//! All signatures of a journal, each held against the chain, the plan and the keys that may sign.
//!
//! Main function: [`review`]. It needs the events and the links of their chain, and nothing else: a
//! report is enough.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::allowed::Signers;
use super::sshsig::{Armored, Bad};
use super::{Signed, Voted, check, check_vote};
use crate::event::{Event, EventKind, OperatorEvent, Order, RunEvent, Signature, StepEvent, Vote};

/// Whose word it is that a key may sign.
#[derive(Clone, Copy, Debug)]
pub enum Anchor<'s> {
    /// A file of whoever checks.
    Own(&'s Signers),
    /// What the journal itself carries: whoever could write the journal could have written that.
    Carried(&'s Signers),
}

/// A signature, and what there is to say of it.
#[derive(Clone, Debug)]
pub struct Reviewed<'e> {
    /// The event that records it.
    pub seq: u64,
    /// When it was recorded, in milliseconds since the Unix epoch.
    pub at: i64,
    /// The login that gave it.
    pub by: &'e str,
    /// It.
    pub signature: &'e Signature,
    /// Whether it holds.
    pub standing: Standing,
    /// What came after what was signed, this signature left out: kinds of events and how many.
    pub later: BTreeMap<&'static str, usize>,
}

/// Whether a signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does, and the key may sign for that name.
    Good {
        /// The key's fingerprint.
        key: String,
        /// The name, of the person or of the role, that the key is allowed for.
        name: String,
    },
    /// It does, and nobody says whose key it is.
    UnknownKey {
        /// The key's fingerprint.
        key: String,
    },
    /// There is no key: a login name is all there is.
    LoginAlone,
    /// It fits, and the key may not sign.
    NotAllowed {
        /// The key's fingerprint.
        key: String,
        /// Why not.
        why: String,
    },
    /// It does not hold.
    Bad {
        /// Why.
        why: String,
    },
}

/// All signatures that were taken, in the order of the journal. `head_at` gives the link of an event
/// in hexadecimal.
pub fn review<'e>(
    run: &str,
    events: &'e [Event],
    head_at: impl Fn(u64) -> Option<String>,
    anchor: Anchor<'_>,
) -> Vec<Reviewed<'e>> {
    let digest = events.first().and_then(|event| match &event.kind {
        EventKind::Run(RunEvent::Planned(planned)) => Some(planned.digest.as_str()),
        _ => None,
    });
    let digest = digest.unwrap_or_default();
    let taken = events.iter().filter_map(|event| match &event.kind {
        EventKind::Operator(OperatorEvent::Ordered {
            by,
            order: Order::Sign { signature },
            ..
        }) => Some((event, by, &**signature)),
        _ => None,
    });
    taken
        .map(|(event, by, signature)| {
            let signed = Signed {
                run,
                digest,
                signature,
            };
            let head = head_at(signature.seq);
            let standing = match place(event.seq, signature, head.as_deref()) {
                Err(why) => Standing::Bad { why },
                Ok(()) => standing(&signed, anchor, event.at),
            };
            let later = events
                .iter()
                .filter(|other| other.seq > signature.seq && other.seq != event.seq);
            let mut kinds = BTreeMap::new();
            for other in later {
                *kinds.entry(kind(&other.kind)).or_default() += 1;
            }
            Reviewed {
                seq: event.seq,
                at: event.at,
                by,
                signature,
                standing,
                later: kinds,
            }
        })
        .collect()
}

/// Whether it is under this journal, at the place that it names.
fn place(seq: u64, signature: &Signature, head: Option<&str>) -> Result<(), String> {
    let under = signature.seq;
    if under >= seq {
        return Err(format!(
            "it is under event {under}, and recorded as event {seq}"
        ));
    }
    match head {
        Some(head) if head == signature.head => Ok(()),
        _ => Err(format!(
            "it is under another journal: event {under} has another head here"
        )),
    }
}

fn standing(signed: &Signed<'_>, anchor: Anchor<'_>, at: i64) -> Standing {
    let signature = signed.signature;
    let Some(armor) = &signature.ssh else {
        return match &signature.key {
            Some(key) => Standing::Bad {
                why: format!("it names the key {key}, and the signature by it is gone"),
            },
            None => Standing::LoginAlone,
        };
    };
    let bad = |bad: &Bad| Standing::Bad {
        why: bad.to_string(),
    };
    let key = match Armored::read(armor) {
        Ok(read) => read.fingerprint(),
        Err(error) => return bad(&error),
    };
    if signature.key.as_ref() != Some(&key) {
        let why = format!("it was made by the key {key}, which is not the one that it names");
        return Standing::Bad { why };
    }
    let Ok(at) = Timestamp::from_millisecond(at) else {
        let why = "its time is none".into();
        return Standing::Bad { why };
    };
    let (Anchor::Own(signers) | Anchor::Carried(signers)) = anchor;
    match check(signed, signers, at) {
        Ok((key, name)) => Standing::Good { key, name },
        Err(Bad::Refused(_)) if signers.is_empty() && matches!(anchor, Anchor::Carried(_)) => {
            Standing::UnknownKey { key }
        }
        Err(Bad::Refused(why)) => Standing::NotAllowed { key, why },
        Err(error) => bad(&error),
    }
}

/// A vote that was signed, and whether the signature holds.
#[derive(Clone, Debug)]
pub struct ReviewedVote<'e> {
    /// The event that records it.
    pub seq: u64,
    /// When it was recorded, in milliseconds since the Unix epoch.
    pub at: i64,
    /// The login that gave it.
    pub by: &'e str,
    /// The step that asked.
    pub step: &'e str,
    /// Whether it is for it.
    pub agrees: bool,
    /// It.
    pub vote: &'e Vote,
    /// Whether its signature holds.
    pub standing: Standing,
}

/// All votes that were taken with a key, in the order of the journal. One without a key is a login's
/// word, and there is nothing to hold.
pub fn review_votes<'e>(
    run: &str,
    events: &'e [Event],
    anchor: Anchor<'_>,
) -> Vec<ReviewedVote<'e>> {
    let planned = events.first().and_then(|event| match &event.kind {
        EventKind::Run(RunEvent::Planned(planned)) => Some(planned),
        _ => None,
    });
    let digest = planned.map_or("", |planned| planned.digest.as_str());
    let people = planned.map_or(&[][..], |planned| planned.people.as_slice());
    let mut asked: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut found = Vec::new();
    for event in events {
        let (by, step, agrees, vote) = match &event.kind {
            EventKind::Step(StepEvent::Asked { step, nonce, .. }) => {
                asked.insert((step, nonce));
                continue;
            }
            EventKind::Operator(OperatorEvent::Ordered { by, order, .. }) => match order {
                Order::Approve { step, vote } => (by, step, true, vote),
                Order::Reject { step, vote } => (by, step, false, vote),
                _ => continue,
            },
            _ => continue,
        };
        let Some(key) = &vote.key else {
            continue;
        };
        let roles = people
            .iter()
            .filter(|one| one.who.as_ref() == Some(&vote.who));
        let roles: Vec<_> = roles.map(|one| one.role.as_str()).collect();
        let voted = Voted {
            run,
            step,
            agrees,
            vote,
        };
        let bad = |why: &str| Standing::Bad { why: why.into() };
        let standing = match vote.digest == digest {
            false => bad("it is about another plan"),
            true if !asked.contains(&(step.as_str(), vote.nonce.as_str())) => {
                bad("it answers a question that was not asked")
            }
            true => of_vote(&voted, key, &roles, anchor, event.at),
        };
        found.push(ReviewedVote {
            seq: event.seq,
            at: event.at,
            by,
            step,
            agrees,
            vote,
            standing,
        });
    }
    found
}

fn of_vote(voted: &Voted<'_>, key: &str, roles: &[&str], anchor: Anchor<'_>, at: i64) -> Standing {
    let bad = |why: String| Standing::Bad { why };
    let Some(armor) = &voted.vote.signature else {
        return bad(format!(
            "it names the key {key}, and the signature by it is gone"
        ));
    };
    match Armored::read(armor) {
        Ok(read) if read.fingerprint() == key => {}
        Ok(read) => {
            let made = read.fingerprint();
            return bad(format!(
                "it was made by the key {made}, which is not the one that it names"
            ));
        }
        Err(error) => return bad(error.to_string()),
    }
    let Ok(at) = Timestamp::from_millisecond(at) else {
        return bad("its time is none".into());
    };
    let (Anchor::Own(signers) | Anchor::Carried(signers)) = anchor;
    let key = key.to_owned();
    match check_vote(voted, roles, signers, at) {
        Ok(key) => Standing::Good {
            key,
            name: voted.vote.who.clone(),
        },
        Err(Bad::Refused(_)) if signers.is_empty() && matches!(anchor, Anchor::Carried(_)) => {
            Standing::UnknownKey { key }
        }
        Err(Bad::Refused(why)) => Standing::NotAllowed { key, why },
        Err(error) => bad(error.to_string()),
    }
}

/// The kind of an event, in the words of whoever asks what came after a signature.
fn kind(event: &EventKind) -> &'static str {
    match event {
        EventKind::Run(_) => "of the run",
        EventKind::Step(_) => "of steps",
        EventKind::Snapshot(_) => "of snapshots",
        EventKind::Rollback(_) => "of the way back",
        EventKind::Check(_) => "of what was watched",
        EventKind::Operator(OperatorEvent::Ordered { order, .. }) => match order {
            Order::Sign { .. } => "signatures",
            Order::Note { .. } => "notes",
            Order::CloseOut { .. } => "criteria judged",
            _ => "orders",
        },
        EventKind::Operator(OperatorEvent::Refused { .. }) => "orders refused",
    }
}
