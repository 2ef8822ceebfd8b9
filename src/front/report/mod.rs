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

use std::collections::BTreeMap;

pub use html::html;
pub use json::json;
pub use junit::junit;
pub use markdown::markdown;

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
    /// The end of output files that are still what the journal says, by their name in it.
    pub quotes: BTreeMap<String, String>,
}
