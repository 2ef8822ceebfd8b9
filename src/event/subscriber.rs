//! Who is told of events: the port between the engine and the front ends.

use std::io;

use super::Event;

/// Is told what happens, in order, on a thread of its own.
pub trait Subscriber: Send {
    /// What happened before it listens; to be known, not to be told again.
    fn on_history(&mut self, _events: &[Event]) {}

    /// A durable event. An error means that nobody listens any more; it is dropped then.
    ///
    /// # Errors
    /// When it cannot be shown.
    fn on_event(&mut self, event: &Event) -> io::Result<()>;

    /// Durable events that came together; for those who tell them faster at once.
    ///
    /// # Errors
    /// As [`Subscriber::on_event`].
    fn on_events(&mut self, events: &[Event]) -> io::Result<()> {
        events.iter().try_for_each(|event| self.on_event(event))
    }

    /// A line that a step prints just now; not durable.
    fn on_output(&mut self, _step: &str, _line: &str) {}

    /// Nothing more will come.
    fn finish(&mut self) {}
}
