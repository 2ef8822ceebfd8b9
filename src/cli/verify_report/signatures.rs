//! The signatures of a journal, of runs and of votes, in words and in JSON; and which are missing.
//!
//! Main type: [`Signatures`]. Must not: believe what a journal says of a signature without checking it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::error::CommandError;
use super::super::exit::Exit;
use super::super::load;
use super::Asked;
use crate::event::{EventKind, RunEvent, Stage};
use crate::front::escape::shown;
use crate::front::report::Held;
use crate::front::text::{moment, rfc3339};
use crate::sign::{Anchor, Reviewed, ReviewedVote, Signers, Standing, review, review_votes};
use crate::store::Record;
use crate::view::RunView;

/// The signatures under a journal, and by whose word their keys may sign.
pub(in super::super) struct Signatures<'r> {
    all: Vec<Reviewed<'r>>,
    votes: Vec<ReviewedVote<'r>>,
    /// Roles that the runbook asks for and that have not signed.
    missing: Vec<(Stage, String)>,
    /// The file that was named; `None`: what the journal carries.
    own: Option<String>,
    carries: bool,
}

impl Asked<'_> {
    /// All signatures under a journal, checked.
    ///
    /// # Errors
    /// When the file of the signers cannot be read.
    pub(in super::super) fn signatures<'r>(
        &self,
        record: &'r Record,
    ) -> Result<Signatures<'r>, CommandError> {
        let head_at = |seq| record.head_at(seq);
        let (run, events) = (record.run(), record.events());
        let missing = missing(record);
        let Some(path) = self.allowed_signers else {
            let signers = carried(record)?;
            return Ok(Signatures {
                all: review(run, events, head_at, Anchor::Carried(&signers)),
                votes: review_votes(run, events, Anchor::Carried(&signers)),
                missing,
                own: None,
                carries: !signers.is_empty(),
            });
        };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let why = load::words(&error);
            CommandError::new(Exit::Missing, format!("`{name}` cannot be read: {why}"))
        })?;
        let signers = Signers::parse(&text, &TimeZone::system())
            .map_err(|error| CommandError::new(Exit::Invalid, format!("`{name}`: {error}")))?;
        Ok(Signatures {
            all: review(run, events, head_at, Anchor::Own(&signers)),
            votes: review_votes(run, events, Anchor::Own(&signers)),
            missing,
            own: Some(name),
            carries: true,
        })
    }
}

impl Signatures<'_> {
    /// Whether nobody signed.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.votes.is_empty() && self.missing.is_empty()
    }

    /// What is proven of the journal by whom.
    pub(in super::super) fn proven(&self) -> String {
        let good = |one: &&Reviewed<'_>| matches!(one.standing, Standing::Good { .. });
        let last = self
            .all
            .iter()
            .filter(good)
            .max_by_key(|one| one.signature.seq);
        match last {
            Some(one) => format!(
                "proven   up to event {} by {}; what came later fits, and nobody's key stands for it",
                one.signature.seq,
                shown(&one.signature.who)
            ),
            None => {
                "proven   by nobody. It is consistent: the chain fits its own events; nobody's key \
                     stands for it"
                    .into()
            }
        }
    }

    pub(in super::super) fn words(&self) -> String {
        let mut text = String::new();
        if self.all.is_empty() {
            text.push_str("signed   by nobody\n");
        }
        for one in &self.all {
            let signature = one.signature;
            let _ = writeln!(
                text,
                "signed   {} ({}) by {}: {}",
                shown(&signature.role),
                stage(signature.stage),
                shown(&signature.who),
                standing(&one.standing)
            );
            let _ = writeln!(
                text,
                "         under event {}, recorded {} by login `{}`{}",
                signature.seq,
                moment(one.at),
                shown(one.by),
                later(one)
            );
            if let Some(comment) = &signature.comment {
                let _ = writeln!(text, "         \"{}\"", shown(comment));
            }
        }
        for one in &self.votes {
            let word = if one.agrees { "for" } else { "against" };
            let (step, who) = (shown(one.step), shown(&one.vote.who));
            let _ = writeln!(
                text,
                "voted    {word} `{step}` by {who}: {}\n         in event {}, recorded {} by login `{}`",
                standing(&one.standing),
                one.seq,
                moment(one.at),
                shown(one.by)
            );
        }
        for (of, role) in &self.missing {
            let _ = writeln!(text, "missing  {} ({})", shown(role), stage(*of));
        }
        if !self.all.is_empty() || !self.votes.is_empty() {
            let _ = writeln!(text, "trust    {}", self.trust());
        }
        text
    }

    /// Whose word it is that these keys are those of these people.
    fn trust(&self) -> String {
        match (&self.own, self.carries) {
            (Some(file), _) => format!("whose key is whose is said by your `{}`", shown(file)),
            (None, true) => "whose key is whose is said by the journal itself: whoever could write it \
                             could write that too; `--allowed-signers FILE` holds it against your own"
                .into(),
            (None, false) => "nobody says whose key is whose: `--allowed-signers FILE` does".into(),
        }
    }

    pub(in super::super) fn json(&self) -> Value {
        let one = |one: &Reviewed<'_>| {
            let (word, key, said) = parts(&one.standing);
            json!({
                "role": one.signature.role, "who": one.signature.who, "by": one.by,
                "stage": one.signature.stage, "comment": one.signature.comment,
                "at": rfc3339(one.at), "event": one.seq, "under": one.signature.seq,
                "standing": word, "key": key, "said": said, "later": one.later,
            })
        };
        let trust = match (&self.own, self.carries) {
            (Some(_), _) => "own",
            (None, true) => "carried",
            (None, false) => "nobody",
        };
        let all: Vec<_> = self.all.iter().map(one).collect();
        let vote = |one: &ReviewedVote<'_>| {
            let (word, key, said) = parts(&one.standing);
            json!({
                "step": one.step, "who": one.vote.who, "by": one.by, "agrees": one.agrees,
                "at": rfc3339(one.at), "event": one.seq, "standing": word, "key": key, "said": said,
            })
        };
        let votes: Vec<_> = self.votes.iter().map(vote).collect();
        let missing = |(of, role): &(Stage, String)| json!({ "role": role, "stage": of });
        let missing: Vec<_> = self.missing.iter().map(missing).collect();
        json!({ "trust": trust, "signed": all, "votes": votes, "missing": missing })
    }

    /// How to leave: a signature that does not hold is damage, a key that may not sign is not
    /// permitted.
    ///
    /// # Errors
    /// Names the first of them.
    pub(in super::super) fn outcome(&self) -> Result<Exit, CommandError> {
        let of_run = self.all.iter().map(|one| {
            let what = format!(
                "the signature of `{}` in event {}",
                shown(&one.signature.who),
                one.seq
            );
            (what, &one.standing)
        });
        let of_votes = self.votes.iter().map(|one| {
            let what = format!(
                "the vote of `{}` in event {}",
                shown(&one.vote.who),
                one.seq
            );
            (what, &one.standing)
        });
        let mut refused = None;
        for (what, standing) in of_run.chain(of_votes) {
            let wrong =
                |exit, why: &str| CommandError::new(exit, format!("{what}: {}", shown(why)));
            match standing {
                Standing::Bad { why } => return Err(wrong(Exit::Corrupt, why)),
                Standing::NotAllowed { why, .. } => {
                    refused.get_or_insert_with(|| wrong(Exit::NotPermitted, why));
                }
                _ => {}
            }
        }
        refused.map_or(Ok(Exit::Done), Err)
    }
}

/// The signers that a journal carries. Their times are in UTC: what holds must not depend on where it
/// is read.
fn carried(record: &Record) -> Result<Signers, CommandError> {
    let text = record
        .events()
        .first()
        .map_or("", |event| match &event.kind {
            EventKind::Run(RunEvent::Planned(planned)) => planned.signers.as_str(),
            _ => "",
        });
    Signers::parse(text, &TimeZone::UTC).map_err(|error| {
        let message = format!("the signers in the journal cannot be read: {error}");
        CommandError::new(Exit::Corrupt, message)
    })
}

/// Roles whose signature the runbook asks for; for after the run once it is over.
fn missing(record: &Record) -> Vec<(Stage, String)> {
    let view = RunView::replay(record.events());
    let stages = [Stage::Before, Stage::After].into_iter();
    let stages = stages.filter(|stage| *stage == Stage::Before || view.is_closed());
    let of = |stage| {
        view.unsigned(stage)
            .into_iter()
            .map(move |role| (stage, role.to_owned()))
    };
    stages.flat_map(of).collect()
}

/// Whether the signatures of a journal hold, by the keys that it carries itself, for reports.
pub(in super::super) fn held(record: &Record) -> BTreeMap<u64, Held> {
    // nothing is said of a signature that cannot be checked
    let Ok(signers) = carried(record) else {
        return BTreeMap::new();
    };
    let head_at = |seq| record.head_at(seq);
    let anchor = Anchor::Carried(&signers);
    let all = review(record.run(), record.events(), head_at, anchor).into_iter();
    let held = all.map(|one| {
        let held = match one.standing {
            Standing::Good { .. } => Held::Good,
            Standing::UnknownKey { .. } => Held::UnknownKey,
            Standing::LoginAlone => Held::LoginAlone,
            Standing::NotAllowed { why, .. } => Held::NotAllowed(why),
            Standing::Bad { why } => Held::Bad(why),
        };
        (one.seq, held)
    });
    held.collect()
}

/// The word for programs, the key, and what is said of it.
fn parts(standing: &Standing) -> (&'static str, Option<&String>, Option<&String>) {
    match standing {
        Standing::Good { key, name } => ("good", Some(key), Some(name)),
        Standing::UnknownKey { key } => ("unknown_key", Some(key), None),
        Standing::LoginAlone => ("login_alone", None, None),
        Standing::NotAllowed { key, why } => ("not_allowed", Some(key), Some(why)),
        Standing::Bad { why } => ("bad", None, Some(why)),
    }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Before => "before",
        Stage::After => "after",
    }
}

fn standing(standing: &Standing) -> String {
    match standing {
        Standing::Good { key, name } => {
            format!("good, key {key}, which may sign for `{}`", shown(name))
        }
        Standing::UnknownKey { key } => format!("good, by a key that nobody knows, {key}"),
        Standing::LoginAlone => "by login alone, without a key".into(),
        Standing::NotAllowed { key, why } => format!("NOT ALLOWED, key {key}: {}", shown(why)),
        Standing::Bad { why } => format!("BAD: {}", shown(why)),
    }
}

/// What came after what was signed.
fn later(one: &Reviewed<'_>) -> String {
    let kinds: Vec<_> = one
        .later
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    match kinds.is_empty() {
        true => ", the last that happened".into(),
        false => format!("; later: {}", kinds.join(", ")),
    }
}
