//! The wall clock as the journal knows it: it may be set back, and readers have to know.

use super::RunView;
use crate::event::Event;

impl RunView {
    /// Takes in place and time of an event, before what it says.
    pub(super) fn note_time(&mut self, event: &Event) {
        let back = self.last_at.map_or(0, |last| last.saturating_sub(event.at));
        if back > 0 {
            self.clock_back.push((event.seq, back.unsigned_abs()));
        }
        self.last_seq = event.seq;
        self.last_at = Some(event.at);
    }
}
