//! A run in plain lines, for logs and pipes: time since the start, place, what happened.
//!
//! Main type: [`Plain`]. It shows events only, never a clock or a step's output, so that a run and
//! its replay give the same text.

use std::io::{self, Write};

use super::Subscriber;
use super::lines::Teller;
use crate::event::Event;

/// Writes lines.
pub struct Plain<W> {
    to: W,
    colour: bool,
    teller: Teller,
    gone: bool,
}

impl<W: Write> Plain<W> {
    /// To `to`, in colour or not.
    pub fn new(to: W, colour: bool) -> Self {
        Self {
            to,
            colour,
            teller: Teller::new(),
            gone: false,
        }
    }
}

impl<W: Write + Send> Subscriber for Plain<W> {
    fn on_event(&mut self, event: &Event) -> io::Result<()> {
        self.on_events(std::slice::from_ref(event))
    }

    fn on_history(&mut self, events: &[Event]) {
        for event in events {
            let _ = self.teller.tell(event);
        }
    }

    fn on_events(&mut self, events: &[Event]) -> io::Result<()> {
        let mut text = String::new();
        for line in events.iter().flat_map(|event| self.teller.tell(event)) {
            text.push_str(&line.text(self.colour));
            text.push('\n');
        }
        if self.gone || text.is_empty() {
            return Ok(());
        }
        let written = self.to.write_all(text.as_bytes());
        match written.and_then(|()| self.to.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::*;
    use crate::view::samples;

    fn told(events: &[Event], colour: bool) -> String {
        let mut out = Vec::new();
        let mut plain = Plain::new(&mut out, colour);
        for event in events {
            plain.on_event(event).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_run_that_comes_to_its_end() {
        golden::same("plain-success.txt", &told(&samples::success(), false));
    }

    #[test]
    fn a_run_that_goes_back() {
        golden::same(
            "plain-rolled-back.txt",
            &told(&samples::rolled_back(false), false),
        );
    }

    #[test]
    fn what_is_watched_is_told_where_it_changes() {
        golden::same("plain-watched.txt", &told(&samples::watched(), false));
        golden::same("plain-held.txt", &told(&samples::held(), false));
    }

    #[test]
    fn a_rollback_that_fails_says_what_is_left() {
        let text = told(&samples::rolled_back(true), false);
        let end = text.split("\n\n").last().unwrap();
        assert_eq!(
            end,
            "rollback failed: hybrid-cache after 10s
  failed      step `restart[1]`: expected `result.exit_code == 0`
  steps       4 done, 1 failed, 1 skipped, 1 not started
  rollback    1 failed, 2 held back
  failed      undo restart[1]
  held back   undo restart[0]
  held back   old-backend
  not undone  flush: `undo: none`
"
        );
    }

    #[test]
    fn a_replay_through_the_journal_s_form_gives_the_same_text() {
        for events in [samples::success(), samples::rolled_back(true)] {
            let stored: Vec<String> = events
                .iter()
                .map(|event| serde_json::to_string(event).unwrap())
                .collect();
            let replayed: Vec<Event> = stored
                .iter()
                .map(|text| serde_json::from_str(text).unwrap())
                .collect();
            assert_eq!(told(&events, true), told(&replayed, true));
        }
    }

    #[test]
    fn hostile_texts_stay_texts() {
        let text = told(&samples::hostile(), false);
        assert!(text.contains("\\x1b[2J\\x9b1m\\r|"), "{text}");
        let bad = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c);
        assert!(!text.contains(bad), "{text}");
        assert!(!text.contains("\n#"), "{text}");
    }

    #[test]
    fn colour_is_by_meaning_and_only_on_request() {
        let events = samples::rolled_back(false);
        let coloured = told(&events, true);
        assert!(
            coloured.contains("\u{1b}[32mok\u{1b}[0m in 12ms"),
            "{coloured}"
        );
        assert!(coloured.contains("\u{1b}[33mskipped:\u{1b}[0m"));
        assert!(coloured.contains("\u{1b}[31mfailed\u{1b}[0m in 1.2s"));
        assert!(!told(&events, false).contains('\u{1b}'));
    }
}
