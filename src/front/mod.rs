//! Front ends: what shows a run to people and programs. They see events and nothing else, so a run
//! looks the same live and from its journal.
//!
//! Main type: [`Subscriber`], implemented by [`JsonLines`], [`Plain`] and [`Progress`]. Reports, plans
//! and tables are functions from a view to a text. Must not: decide anything, or let a slow or
//! broken reader change what a run does: errors of a subscriber end the subscriber only.

pub mod escape;
//pub mod graph;
#[cfg(test)]
mod golden;
pub mod json;
mod lines;
pub mod look;
pub mod plain;
//pub mod plan;
//pub mod progress;
//pub mod report;
//pub mod status;
pub mod text;

use std::io;

pub use json::JsonLines;
pub use look::Look;
pub use plain::Plain;
//pub use progress::Progress;

use crate::event::Event;

/// Somebody who watches a run.
pub trait Subscriber: Send {
    /// An event that is durable.
    ///
    /// # Errors
    /// Whatever ends this subscriber; the run goes on without it.
    fn on_event(&mut self, event: &Event) -> io::Result<()>;

    /// A line that a step printed, masked and without its line end. May be dropped.
    fn on_output(&mut self, step: &str, line: &str) {
        let _ = (step, line);
    }

    /// Nothing more comes; what is on the screen is left as it should stay.
    fn finish(&mut self) {}
}
