//! Front ends: what shows a run to people and programs. They see events and nothing else, so a run
//! looks the same live and from its journal.
//!
//! Main type: [`Subscriber`], implemented by [`JsonLines`], [`Plain`] and [`Progress`]. Reports, plans
//! and tables are functions from a view to a text. Must not: decide anything, or let a slow or
//! broken reader change what a run does: errors of a subscriber end the subscriber only.

pub mod actions;
pub mod closing;
pub mod decide;
pub mod diff;
pub mod drill;
pub mod escape;
#[cfg(test)]
mod golden;
pub mod graph;
pub mod json;
mod lines;
pub mod look;
pub mod plain;
pub mod plan;
pub mod probe;
pub mod progress;
pub mod prompt;
pub mod rehearsal;
pub mod report;
pub mod spark;
pub mod status;
pub mod text;
pub mod times;
mod watched;

pub use json::JsonLines;
pub use look::Look;
pub use plain::Plain;
pub use progress::Progress;

pub use crate::event::Subscriber;
