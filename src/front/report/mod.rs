//! Reports of a run, from its events alone: for people in HTML and Markdown, for programs in JSON, for
//! CI in the XML of `JUnit`.
//!
//! Main functions: [`html()`], [`markdown()`], [`json()`] and [`junit()`], all from a full
//! [`crate::view::RunView`] (a lean one has no evidence); what they share is derived in `facts`. Must
//! not: say more than the events hold, or let a text become markup.

mod escape;
mod facts;
mod html;
mod json;
mod junit;
mod markdown;
mod sections;
mod signing;
#[cfg(test)]
mod tests;
mod watched;

use std::collections::BTreeMap;

pub use html::html;
pub use json::json;
pub use junit::junit;
pub use markdown::markdown;

/// Whether a signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// It does, and the journal says that the key may sign.
    Good,
    /// It does, and nobody says whose key it is.
    UnknownKey,
    /// There is no key.
    LoginAlone,
    /// It fits, and the key may not sign; why not.
    NotAllowed(String),
    /// It does not hold; why not.
    Bad(String),
}

impl Held {
    /// The word in JSON, as `ferry verify` has it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::UnknownKey => "unknown_key",
            Self::LoginAlone => "login_alone",
            Self::NotAllowed(_) => "not_allowed",
            Self::Bad(_) => "bad",
        }
    }

    /// How it is signed, in words, and what is wrong with it.
    pub fn said(held: Option<&Self>, has_key: bool) -> (&'static str, Option<&str>) {
        match (held, has_key) {
            (Some(Self::Bad(why)), _) => ("BAD signature", Some(why)),
            (Some(Self::NotAllowed(why)), _) => ("NOT ALLOWED", Some(why)),
            (_, false) => ("by login alone", None),
            (Some(Self::Good), true) => ("signed with", None),
            (Some(Self::UnknownKey | Self::LoginAlone), true) => ("a key that nobody knows", None),
            (None, true) => ("a key that was not checked", None),
        }
    }
}

/// What must not be overlooked about guards and downtime once a run is over, for the terminal: the
/// check, empty for the run, and what is to be known.
pub(super) fn watched_notices(view: &crate::view::RunView) -> Vec<(String, String)> {
    let told = [
        "still_down",
        "downtime_over",
        "check_failed",
        "check_undecided",
    ];
    let all = facts::of_watched(view).into_iter();
    let own = all.filter(|one| told.contains(&one.code));
    own.map(|one| (one.about, one.text)).collect()
}

/// What stands beside the events of a report: how far their journal is proven, and what output files
/// hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// The last link of the hash chain, SHA-256 in hexadecimal.
    pub head: Option<String>,
    /// The event that the journal's witness saw last.
    pub witness: Option<u64>,
    /// Why the journal is not proven.
    pub problem: Option<String>,
    /// Whether signatures hold, by the event that records them; one that is not here was not checked.
    pub signatures: BTreeMap<u64, Held>,
    /// The end of output files that are still what the journal says, by their name in it.
    pub quotes: BTreeMap<String, String>,
}
