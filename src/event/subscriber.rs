//! Who is told of events: the port between the engine and the front ends.

use std::io;

use super::Event;

/// Is told what happens, in order, on a thread of its own.
pub trait Subscriber: Send {
    /// A durable event. An error means that nobody listens any more; it is dropped then.
    ///
    /// # Errors
    /// When it cannot be shown.
    fn on_event(&mut self, event: &Event) -> io::Result<()>;

    /// A line that a step prints just now; not durable.
    fn on_output(&mut self, _step: &str, _line: &str) {}

    /// Nothing more will come.
    fn finish(&mut self) {}
}
