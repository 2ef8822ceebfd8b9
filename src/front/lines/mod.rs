//! What is said about each event, in lines: for plain output, and above the live display.
//!
//! Main type: [`Teller`]. It knows nothing but events, so that a run and its replay give the same
//! text. All texts of its lines are escaped.

mod back;
mod check;
mod people;
mod steps;
mod words;

pub(super) use self::people::order_words;
pub(super) use self::words::{count_words, observed, outcome_words, rollback_words, run_tone};
use self::words::{hint, summary};
use super::escape::shown;
use super::look::Tone;
use super::text::{between, ms, numbered, pad, pad_left, seconds, width, wrap};
use crate::event::{Event, EventKind, Parking, RunEvent};
use crate::view::{PhaseStatus, RunView, Timeline};

/// The widest column of names.
const PLACE: usize = 32;

/// The least room for a text beside its time and place; with less it goes below them.
const LEAST: usize = 24;

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Time since the start, and the phase and step; empty for details.
    lead: String,
    /// What happened, in a word that has a colour.
    word: String,
    tone: Tone,
    rest: String,
    /// Whether it is worth a line beside a live display, which shows starts and steps itself.
    pub(super) stays: bool,
}

impl Line {
    /// The line's text.
    pub(super) fn text(&self, colour: bool) -> String {
        let word = self.tone.paint(&self.word, colour);
        let text = format!("{}{word}{}", self.lead, self.rest);
        text.trim_end().to_owned()
    }

    /// The line within that many columns, on several lines where it must be.
    pub(super) fn within(&self, columns: usize, colour: bool) -> Vec<String> {
        let plain = self.text(false);
        if width(&plain) <= columns {
            return vec![self.text(colour)];
        }
        // a word with spaces after it is a column of its own
        let column = self.word.ends_with(' ');
        let indent = width(&self.lead) + if column { width(&self.word) } else { 0 };
        if indent + LEAST > columns {
            let words: Vec<_> = plain.split_whitespace().collect();
            let lines = wrap(&words.join(" "), columns).into_iter();
            return lines.map(|line| self.tone.paint(&line, colour)).collect();
        }
        let text = match column {
            true => self.rest.clone(),
            false => format!("{}{}", self.word, self.rest),
        };
        let mut lines = wrap(text.trim_end(), columns - indent).into_iter();
        let first = lines.next().unwrap_or_default();
        let word = self.tone.paint(&self.word, colour);
        let first = match (column, first.strip_prefix(&self.word)) {
            (true, _) => format!("{word}{first}"),
            (false, Some(rest)) => format!("{word}{rest}"),
            (false, None) => self.tone.paint(&first, colour),
        };
        let mut out = vec![format!("{}{first}", self.lead)];
        out.extend(lines.map(|line| format!("{:indent$}{line}", "")));
        out
    }

    fn detail(word: &str, text: &str) -> Self {
        Self {
            lead: format!("{:9}", ""),
            word: pad(word, 12),
            tone: Tone::Quiet,
            rest: shown(text).into_owned(),
            stays: true,
        }
    }

    fn free(tone: Tone, word: String, rest: String) -> Self {
        Self {
            word,
            tone,
            rest,
            stays: true,
            ..Self::default()
        }
    }

    fn stays(mut self) -> Self {
        self.stays = true;
        self
    }
}

/// Tells events in lines.
pub(super) struct Teller {
    /// The run so far.
    pub(super) view: RunView,
    place: usize,
    times: Times,
    /// What is watched that changes all the time.
    flaps: check::Flaps,
}

/// What was said last about when it ends.
#[derive(Default)]
struct Times {
    /// When it was looked at, in milliseconds since the Unix epoch.
    at: i64,
    /// How late it was said to be.
    late: i64,
    /// Whether the window was said not to be kept.
    beyond: bool,
}

impl Teller {
    pub(super) fn new() -> Self {
        Self {
            view: RunView::lean(),
            place: 0,
            times: Times::default(),
            flaps: check::Flaps::default(),
        }
    }

    /// What there is to say about an event.
    pub(super) fn tell(&mut self, event: &Event) -> Vec<Line> {
        let phase = self.phase_of(event);
        let before = phase.map(|at| self.view.phase_status(&self.view.phases[at]));
        self.view.apply(event);
        let mut lines = Vec::new();
        if before == Some(PhaseStatus::Pending) && !matches!(event.kind, EventKind::Run(_)) {
            lines.extend(phase.and_then(|at| self.phase_starts(at, event.at)));
        }
        match &event.kind {
            EventKind::Run(kind) => self.run(kind, event.at, &mut lines),
            EventKind::Step(kind) => self.step(kind, event.at, &mut lines),
            EventKind::Snapshot(kind) => self.snapshot(kind, event.at, &mut lines),
            EventKind::Rollback(kind) => self.rollback(kind, event.at, &mut lines),
            EventKind::Check(kind) => self.check(kind, event.at, &mut lines),
            EventKind::Operator(kind) => self.operator(kind, event.at, &mut lines),
        }
        if let (Some(at), Some(before)) = (phase, before) {
            let ends = self.phase_ends(at, before, event.at);
            let over = ends.is_some();
            lines.extend(ends);
            if over {
                lines.extend(self.times(event.at));
            }
        }
        lines
    }

    /// The phase that a step event is about.
    fn phase_of(&self, event: &Event) -> Option<usize> {
        let EventKind::Step(kind) = &event.kind else {
            return None;
        };
        Some(self.view.step(kind.step()?)?.phase)
    }

    /// A line at a time and a place.
    fn at(&self, at: i64, place: &str, tone: Tone, word: &str, rest: String) -> Line {
        let since = between(self.view.started_at.unwrap_or(at), at);
        let place = shown(place);
        Line {
            lead: format!("{}  {}  ", pad_left(&since, 7), pad(&place, self.place)),
            word: word.to_owned(),
            tone,
            rest,
            stays: false,
        }
    }

    fn named(&self, step: &str) -> String {
        match self.view.phase_of(step) {
            Some(phase) => format!("{}/{step}", phase.name),
            None => step.to_owned(),
        }
    }

    fn phase_starts(&self, at: usize, now: i64) -> Option<Line> {
        let phase = self.view.phases.get(at)?;
        phase.started_at?;
        let mut rest = format!(" {}", numbered(phase.steps.len(), "step"));
        if let Some(estimate) = phase.estimate_s {
            rest.push_str(&format!(", estimate {}", seconds(estimate)));
        }
        if let Some(title) = &phase.title {
            rest.push_str(&format!(": {}", shown(title)));
        }
        Some(self.at(now, &phase.name, Tone::Neutral, "starts:", rest))
    }

    fn phase_ends(&self, at: usize, before: PhaseStatus, now: i64) -> Option<Line> {
        let phase = self.view.phases.get(at)?;
        let status = self.view.phase_status(phase);
        if status == before {
            return None;
        }
        let tone = match status {
            PhaseStatus::Done => Tone::Good,
            PhaseStatus::Failed => Tone::Bad,
            _ => return None,
        };
        let mut rest = format!(" {}", between(phase.started_at?, now));
        if let Some(late) = phase.late_ms(now) {
            rest.push_str(&format!(", {} over its estimate", ms(late)));
        }
        let word = format!("{} in", status.words());
        Some(self.at(now, &phase.name, tone, &word, rest).stays())
    }

    /// When it ends, where that has changed by a tenth of the plan and by a minute, or the window is
    /// not kept any more. Looked at once a second at the most: a run may have thousands of phases.
    fn times(&mut self, now: i64) -> Option<Line> {
        if now - self.times.at < 1_000 {
            return None;
        }
        self.times.at = now;
        let timeline = Timeline::of(&self.view, now);
        let (late, eta) = (timeline.late?, super::times::brief(&timeline)?);
        let beyond = super::times::beyond(&self.view, &timeline);
        let much = i64::try_from(timeline.planned.ms / 10).unwrap_or(i64::MAX);
        let moved = (late - self.times.late).abs() >= much.max(60_000);
        let news = beyond.is_some() && !self.times.beyond;
        if !moved && !news {
            return None;
        }
        self.times.late = late;
        self.times.beyond = beyond.is_some();
        let rest = match beyond {
            Some(beyond) => format!(" {eta}; ends {beyond}"),
            None => format!(" {eta}"),
        };
        let tone = if late > 0 { Tone::Odd } else { Tone::Neutral };
        Some(self.at(now, "", tone, "forecast:", rest).stays())
    }

    fn run(&mut self, event: &RunEvent, at: i64, lines: &mut Vec<Line>) {
        match event {
            RunEvent::Planned(planned) => {
                let places = self.view.steps.iter();
                let places = places.map(|step| width(&shown(&self.named(step.id()))));
                self.place = places.max().unwrap_or(0).min(PLACE);
                let rest = format!(
                    " ({}): {}, {}, plan {}",
                    shown(&planned.name),
                    numbered(self.view.phases.len(), "phase"),
                    numbered(self.view.steps.len(), "step"),
                    shown(&planned.digest.chars().take(12).collect::<String>()),
                );
                let title = shown(self.view.header.shown()).into_owned();
                lines.push(Line::free(Tone::Neutral, title, rest));
            }
            RunEvent::Started { by, host, pid, .. } => {
                let word = match self.view.engines.len() {
                    0 | 1 => "run starts",
                    _ => "run goes on",
                };
                let rest = format!(" by {} on {} (process {pid})", shown(by), shown(host));
                lines.push(self.at(at, "", Tone::Neutral, word, rest));
            }
            RunEvent::Failed(failure) if failure.step.is_none() => {
                let place = failure.phase.as_deref().unwrap_or_default();
                let rest = format!(" {}", shown(&failure.failure.message));
                lines.push(self.at(at, place, Tone::Bad, "failed:", rest).stays());
                lines.extend(hint(&failure.failure));
            }
            // said by the step that failed
            RunEvent::Failed(_) => {}
            RunEvent::Stopping { reason } => {
                let more = match reason {
                    Parking::Interrupt => " (Ctrl-C again ends it)",
                    Parking::Paused => " (`ferry resume` goes on)",
                    Parking::Held => " (`ferry resume` goes on, `ferry rollback` goes back)",
                    _ => "",
                };
                let why = reason.words();
                let rest = format!(" {why}; what is under way is waited for{more}");
                lines.push(self.at(at, "", Tone::Odd, "stopping:", rest).stays());
            }
            RunEvent::Parked { reason } => {
                let rest = format!(
                    " {}; what was done stays done, and a person has to go on",
                    reason.words()
                );
                lines.push(self.at(at, "", Tone::Odd, "parked:", rest).stays());
            }
            RunEvent::Finished { .. } => lines.extend(summary(&self.view, at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_keep_their_columns() {
        let line = Line {
            lead: "     7s  site  ".into(),
            word: "fails:".into(),
            tone: Tone::Odd,
            rest: " nothing answers there any more".into(),
            stays: true,
        };
        assert_eq!(
            line.within(40, false),
            [
                "     7s  site  fails: nothing answers",
                "               there any more",
            ]
        );
        let lines = Line::detail("hint", "one two three four five six seven eight");
        assert_eq!(
            lines.within(46, true),
            [
                format!(
                    "         {}one two three four five",
                    Tone::Quiet.paint("hint        ", true)
                ),
                format!("{:21}six seven eight", ""),
            ]
        );
        // too narrow for columns
        assert!(line.within(20, false).iter().all(|line| width(line) <= 20));
    }
}
