//! The text of a signed vote on an approval, and whether a signature under one holds.

use jiff::Timestamp;

use super::message::quoted;
use super::{Armored, Bad, NAMESPACE, Signers};
use crate::event::Vote;

/// What is voted on.
#[derive(Clone, Copy, Debug)]
pub struct Voted<'a> {
    /// The run's id.
    pub run: &'a str,
    /// The step that asks.
    pub step: &'a str,
    /// Whether the vote is for it.
    pub agrees: bool,
    /// The vote; its `signature` and `key` are no part of the text.
    pub vote: &'a Vote,
}

/// The text, in the form `ferry-vote-v1`. Names and words of people stand in it as JSON strings.
pub fn vote_message(voted: &Voted<'_>) -> String {
    let Vote {
        who,
        comment,
        digest,
        nonce,
        ..
    } = voted.vote;
    let (run, step, who) = (quoted(voted.run), quoted(voted.step), quoted(who));
    let vote = if voted.agrees { "approve" } else { "reject" };
    let comment = comment.as_deref().map_or_else(|| "none".into(), quoted);
    format!(
        "ferry-vote-v1\nrun {run}\nstep {step}\nplan {}\nquestion {}\nwho {who}\nvote {vote}\n\
         comment {comment}\n",
        quoted(digest),
        quoted(nonce)
    )
}

/// Holds the signature of a vote against what it signs, and against the keys that may sign for the person;
/// where no key is known for them, for one of their roles. The key's fingerprint.
///
/// # Errors
/// Why it is not good.
pub fn check_vote(
    voted: &Voted<'_>,
    roles: &[&str],
    signers: &Signers,
    at: Timestamp,
) -> Result<String, Bad> {
    let armor = voted.vote.signature.as_deref().unwrap_or_default();
    let armored = Armored::read(armor)?;
    armored.fits(&vote_message(voted))?;
    let who = voted.vote.who.as_str();
    // a key of a role does not speak for somebody whose own key is known
    let roles = match signers.know(who) {
        true => &[],
        false => roles,
    };
    let names = std::iter::once(who).chain(roles.iter().copied());
    let mut why = None;
    for name in names {
        match signers.allow(armored.key(), name, NAMESPACE, at) {
            Ok(()) => return Ok(armored.fingerprint()),
            Err(refused) => {
                why.get_or_insert(refused);
            }
        }
    }
    Err(Bad::Refused(why.unwrap_or_default()))
}
