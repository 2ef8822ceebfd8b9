//! One picture of a run on its way: as many lines as fit, none wider than the terminal.
//!
//! Main type: [`Scene`]. A pure function of the view, the last lines of output and the time.

use std::collections::HashMap;

use super::super::escape::shown;
use super::super::look::Tone;
use super::super::text::{between, clip, pad, seconds, width};
use crate::event::RunStatus;
use crate::view::{
    ItemStatus, PhaseStatus, PhaseView, RollbackView, RunView, StepStatus, StepView, Timeline,
};

/// From this width on there is room for bars and estimates.
pub(super) const WIDE: usize = 50;

/// Width of a bar.
const BAR: usize = 16;

/// What a picture is made from.
pub(super) struct Scene<'a> {
    /// The run so far.
    pub(super) view: &'a RunView,
    /// Last line of output by step, escaped.
    pub(super) outputs: &'a HashMap<String, String>,
    /// Milliseconds since the Unix epoch.
    pub(super) now: i64,
    /// Whether colours are used.
    pub(super) colour: bool,
}

impl Scene<'_> {
    /// At most `rows` lines of at most `columns` columns; nothing once the run is over.
    pub(super) fn lines(&self, rows: usize, columns: usize) -> Vec<String> {
        let status = self.view.status;
        if status.is_over() || status == RunStatus::Planned {
            return Vec::new();
        }
        let mut lines = vec![self.head(columns)];
        for phase in &self.view.phases {
            if self.view.phase_status(phase) == PhaseStatus::Running {
                lines.push(self.phase(phase, columns));
                let steps = self.view.steps_of(phase).iter();
                // names are made for what is under way only: a phase may have thousands of steps
                for step in steps.filter(|step| step.status.in_flight()) {
                    for (name, step) in step.named() {
                        if step.status.in_flight() {
                            lines.push(self.step(&name, step, columns));
                            let check = self.view.check(&name);
                            if let Some(check) = check.filter(|one| one.is_open()) {
                                self.watched(check, columns, &mut lines);
                            }
                        }
                    }
                }
            }
        }
        lines.extend(self.guards(columns));
        self.notes(columns, &mut lines);
        for set in self.view.snapshots.iter().filter(|set| set.taken.is_none()) {
            let text = format!("  snapshots {} are being taken", set.moment.name());
            lines.push(clip(&text, columns));
        }
        if let Some(rollback) = &self.view.rollback {
            self.rollback(rollback, columns, &mut lines);
        }
        if lines.len() > rows {
            let more = lines.len() - rows + 1;
            lines.truncate(rows - 1);
            lines.push(clip(&format!("  … {more} more"), columns));
        }
        lines
    }

    fn head(&self, columns: usize) -> String {
        let view = self.view;
        let counts = view.counts();
        let elapsed = between(view.started_at.unwrap_or(self.now), self.now);
        let over = counts.steps - counts.running - counts.pending;
        let word = match view.stopping {
            Some(_) => "stopping",
            None => view.status.words(),
        };
        let tail = match columns >= WIDE {
            true => format!("{word}  {over}/{} steps  {elapsed}", counts.steps),
            false => format!("{over}/{} {elapsed}", counts.steps),
        };
        let title = shown(view.header.shown());
        let brief = super::super::times::brief(&Timeline::of(view, self.now));
        let tail = match brief.map(|brief| format!("{tail}  {brief}")) {
            // the times give way to the title
            Some(long) if width(&title) + width(&long) + 2 <= columns => long,
            _ => tail,
        };
        beside(&title, &tail, columns)
    }

    fn phase(&self, phase: &PhaseView, columns: usize) -> String {
        let total = phase.steps.len();
        let elapsed = between(phase.started_at.unwrap_or(self.now), self.now);
        let late = phase.late_ms(self.now).is_some();
        let time = match phase.estimate_s.filter(|_| columns >= WIDE) {
            Some(estimate) => format!("{elapsed} of {}", seconds(estimate)),
            None => elapsed,
        };
        let (name, over) = (shown(&phase.name), phase.over);
        self.bar_line(&name, (over, total), &time, late, columns)
    }

    fn bar_line(
        &self,
        name: &str,
        (over, total): (usize, usize),
        time: &str,
        late: bool,
        columns: usize,
    ) -> String {
        let tone = if late { Tone::Odd } else { Tone::Neutral };
        if columns < WIDE {
            let tail = format!("{over}/{total} {time}");
            return tone.paint(&beside(&format!(" {name}"), &tail, columns), self.colour);
        }
        let filled = (over * BAR).checked_div(total).unwrap_or(0);
        let (full, empty) = ("█".repeat(filled), "░".repeat(BAR - filled));
        let bar = Tone::Good.paint(&full, self.colour) + &Tone::Quiet.paint(&empty, self.colour);
        let name = pad(&clip(name, columns - 46), 14);
        let room = columns.saturating_sub(width(&name) + BAR + 6);
        let tail = clip(&format!("{over}/{total}  {time}"), room);
        format!("  {name}  {bar}  {}", tone.paint(&tail, self.colour))
    }

    fn step(&self, name: &str, step: &StepView, columns: usize) -> String {
        let elapsed = between(step.started_at.unwrap_or(self.now), self.now);
        let says = match (step.status, step.retry_at) {
            _ if self.view.is_watch_paused(name, step) => {
                "stopped watching; goes on when the run does".to_owned()
            }
            (StepStatus::Waiting, Some(at)) => {
                let why = step.failures.last().map(|one| shown(&one.failure.message));
                let next = step.attempt + 1;
                let wait = between(self.now, at);
                format!("attempt {next} in {wait}: {}", why.unwrap_or_default())
            }
            (StepStatus::Settling | StepStatus::Checking, _) => step.status.words().to_owned(),
            _ => match self.view.check(name).filter(|check| check.is_open()) {
                Some(check) => self.watches(check),
                None => self.outputs.get(name).cloned().unwrap_or_default(),
            },
        };
        let odd = step.status == StepStatus::Waiting;
        self.under_way(name, &elapsed, &says, odd, columns)
    }

    fn under_way(
        &self,
        name: &str,
        elapsed: &str,
        says: &str,
        odd: bool,
        columns: usize,
    ) -> String {
        let name = shown(name);
        if columns < WIDE {
            return beside(&format!("  {name}"), elapsed, columns);
        }
        let head = format!("    {}  {elapsed}", pad(&clip(&name, columns / 2), 20));
        let room = columns.saturating_sub(width(&head) + 3);
        if says.is_empty() || room < 8 {
            return clip(&head, columns);
        }
        let tone = if odd { Tone::Odd } else { Tone::Quiet };
        format!("{head}   {}", tone.paint(&clip(says, room), self.colour))
    }

    fn rollback(&self, rollback: &RollbackView, columns: usize, lines: &mut Vec<String>) {
        let elapsed = between(rollback.started_at, self.now);
        lines.push(self.bar_line("rollback", rollback.progress(), &elapsed, false, columns));
        for item in &rollback.items {
            if item.status == ItemStatus::Running {
                let elapsed = between(item.started_at.unwrap_or(self.now), self.now);
                let says = self.outputs.get(&item.item.id).map_or("", String::as_str);
                lines.push(self.under_way(&item.item.id, &elapsed, says, false, columns));
            }
        }
    }
}

/// A name and what is to be seen in any case: the name gives way.
fn beside(name: &str, tail: &str, columns: usize) -> String {
    let room = columns.saturating_sub(width(tail) + 2);
    clip(&format!("{}  {tail}", clip(name, room)), columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::view::samples;

    /// The picture once the first `count` events have happened, `later` ms after the last.
    fn picture(events: &[Event], count: usize, later: i64, size: (usize, usize)) -> Vec<String> {
        let view = RunView::replay(&events[..count]);
        let outputs = [
            (
                "restart[1]".to_owned(),
                "waiting for the port to be free, 3 of 10".to_owned(),
            ),
            ("undo restart[1]".to_owned(), "stopping".to_owned()),
        ];
        let scene = Scene {
            view: &view,
            outputs: &outputs.into_iter().collect(),
            now: events[count - 1].at + later,
            colour: false,
        };
        scene.lines(size.0, size.1)
    }

    #[test]
    fn a_wide_terminal_shows_bars_times_and_the_last_line() {
        let events = samples::rolled_back(false);
        assert_eq!(
            picture(&events, 15, 700, (23, 79)),
            [
                "LocMemCache to Redis  running  5/7 steps  2.7s",
                "  deploy          ██████████░░░░░░  2/3  2.2s of 2s",
                "    restart[1]            700ms   waiting for the port to be free, 3 of 10",
            ]
        );
        assert_eq!(
            picture(&events, 16, 1_000, (23, 79))[2],
            "    restart[1]            2.2s   attempt 2 in 4s: expected `result.exit_code =…"
        );
        assert_eq!(
            picture(&events, 21, 400, (23, 79)),
            [
                "LocMemCache to Redis  rolling back  6/7 steps  9.8s",
                "  rollback        ░░░░░░░░░░░░░░░░  0/3  400ms",
                "    undo restart[1]       400ms   stopping",
            ]
        );
    }

    #[test]
    fn what_is_watched_has_its_line_of_bars_and_its_next_look() {
        let events = samples::watched();
        let of_login = |event: &Event| matches!(&event.kind, crate::event::EventKind::Check(one) if one.check() == "login");
        let places = events
            .iter()
            .enumerate()
            .filter(|(_, event)| of_login(event));
        let nth = |nth: usize| places.clone().nth(nth).unwrap().0 + 1;
        assert_eq!(
            picture(&events, nth(33), 400, (23, 79))[1..],
            [
                "  validate        ░░░░░░░░░░░░░░░░  0/1  32s",
                "    login                 32s   next in 600ms, 27s left",
                "      hit_rate  ▁▁▁▂▂▂▂▃▃▃▃▃▄▄▄▄▅▅▅▅▅▆▆▆▆▆▇▇▇▇▅██  0.517",
                "      holds: 33 looks, 32 passed (24 with a warning), 1 failed",
                "      band 2 of 2, from 30s: result.hit_rate >= 0.6",
                "  guards  1 watched, all hold",
                "  down  3s, 1s over the 2s that are allowed, to within 1s; from 2026-03-01 02:…",
                "  failures hold and ask since 02:00:38 UTC",
            ]
        );
        let narrow = picture(&events, nth(33), 400, (23, 30));
        assert_eq!(
            narrow[2..5],
            [
                "  login  32s",
                "   hit_rate  ▃▄▄▅▅▆▆▁▇█  0.517",
                "   holds: 33 looks, 32 passed…",
            ]
        );
        let down = events.iter().position(|event| {
            matches!(&event.kind, crate::event::EventKind::Check(crate::event::CheckEvent::Looked { check, sample, .. })
                if check == "site" && sample.nth == 4)
        });
        let lines = picture(&events, down.unwrap() + 1, 400, (23, 79));
        assert_eq!(
            lines[3..],
            [
                "  guards  2 watched: `site` fails, 2 in a row, `keys` does not hold: a look fa…",
                "  down  1.4s of 2s, to within 1s; down since 2026-03-01 02:00:04 UTC",
            ]
        );
    }

    #[test]
    fn where_there_is_room_the_first_line_says_when_it_ends() {
        let events = samples::rolled_back(false);
        assert_eq!(
            picture(&events, 15, 60_700, (23, 99))[0],
            "LocMemCache to Redis  running  5/7 steps  1m 02s  ETA 02:01 or later, on time"
        );
        // going back, nothing is known of when that ends
        let back = picture(&events, 21, 400, (23, 99));
        assert_eq!(
            back[0],
            "LocMemCache to Redis  rolling back  6/7 steps  9.8s"
        );
    }

    #[test]
    fn a_narrow_terminal_keeps_the_numbers() {
        let events = samples::rolled_back(false);
        assert_eq!(
            picture(&events, 15, 700, (23, 19)),
            [
                "LocMemCa…  5/7 2.7s",
                " deploy  2/3 2.2s",
                "  restart[1]  700ms"
            ]
        );
        let short = picture(&events, 15, 700, (2, 19));
        assert_eq!(short, ["LocMemCa…  5/7 2.7s", "  … 2 more"]);
    }

    #[test]
    fn no_line_is_ever_too_wide_and_nothing_is_left_at_the_end() {
        for events in [
            samples::rolled_back(true),
            samples::success(),
            samples::hostile(),
            samples::watched(),
            samples::held(),
        ] {
            for count in 1..=events.len() {
                for columns in [8, 12, 19, 30, 49, 50, 51, 60, 79, 200] {
                    let lines = picture(&events, count, 90_000_000, (10, columns));
                    assert!(lines.len() <= 10);
                    for line in &lines {
                        assert!(width(line) <= columns, "{columns}: {line}");
                        assert!(!line.contains(char::is_control), "{line:?}");
                    }
                }
            }
            assert!(
                picture(&events, events.len(), 0, (10, 80)).is_empty(),
                "at the end"
            );
        }
    }
}
