//! By when it has to be decided whether a run goes back: the decision point of the runbook, and the
//! latest moment from which going back still fits the window.
//!
//! Main type: [`Decide`], made by [`Decide::of`] from a view and what going back takes
//! ([`UndoSum`]). Must not: read a clock, or let a time that nobody knows count as none without a word.

use serde_json::{Value, json};

use super::plan::{Takes, WayBack};
use super::text::{between, ms, rfc3339, seconds};
use crate::event::UndoKind;
use crate::view::{RunView, StepStatus, StepView};

/// What taking back takes that was done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UndoSum {
    /// What is known of it, in milliseconds.
    pub ms: u64,
    /// Parts that an earlier run measured.
    pub measured: usize,
    /// Parts that it measured before the step was changed.
    pub before: usize,
    /// Parts that the author estimated.
    pub estimated: usize,
    /// Parts of which nobody knows how long they take.
    pub unknown: Vec<String>,
}

impl UndoSum {
    /// Of the steps that were carried out so far, and the steps around the undos.
    pub fn of(view: &RunView, back: &WayBack) -> Self {
        let mut sum = Self::default();
        let mut any = false;
        for step in view.steps.iter().filter(|step| carried_out(step)) {
            any = true;
            let known = back.steps.iter().find(|one| one.id == step.id());
            sum.add(step.id(), known.map_or(Takes::Unknown, |one| one.takes));
        }
        if any {
            for (id, takes) in &back.around {
                sum.add(id, *takes);
            }
        }
        sum
    }

    fn add(&mut self, id: &str, takes: Takes) {
        self.ms += takes.known().unwrap_or(0);
        match takes {
            Takes::Measured(_) => self.measured += 1,
            Takes::Before(_) => self.before += 1,
            Takes::Estimated(_) => self.estimated += 1,
            Takes::Unknown => self.unknown.push(id.to_owned()),
            Takes::Nothing => {}
        }
    }

    /// Whether there is something to take back.
    pub fn is_empty(&self) -> bool {
        self.measured + self.before + self.estimated + self.unknown.len() == 0
    }

    /// Whether anything is known of it.
    pub fn is_known(&self) -> bool {
        self.measured + self.before + self.estimated > 0
    }

    fn words(&self) -> String {
        let known = [
            (self.measured, "measured"),
            (self.before, "measured before a change"),
            (self.estimated, "estimated"),
            (self.unknown.len(), "not known"),
        ];
        let known = known.iter().filter(|(count, _)| *count > 0);
        let known: Vec<_> = known
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        let least = if self.unknown.is_empty() {
            ""
        } else {
            "at least "
        };
        format!("{least}{} ({})", ms(self.ms), known.join(", "))
    }
}

fn carried_out(step: &StepView) -> bool {
    let undo = matches!(step.outline.undo, UndoKind::Auto | UndoKind::Written);
    let untouched = matches!(step.status, StepStatus::Pending | StepStatus::Skipped);
    undo && step.outline.changes && !untouched && step.started_at.is_some()
}

/// By when it has to be decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Decide {
    /// The decision point of the runbook, in milliseconds since the Unix epoch: failures after it hold
    /// and ask.
    pub point: Option<i64>,
    /// The phase that it counts from, and how many seconds.
    pub after: Option<(String, f64)>,
    /// When going back has to begin so that it ends within the window.
    pub latest: Option<i64>,
    /// When the window ends.
    pub window_end: Option<i64>,
    /// What going back takes.
    pub undo: UndoSum,
}

impl Decide {
    /// `None`: the runbook asks for no decision, or the run does not go forward any more.
    pub fn of(view: &RunView, undo: Option<UndoSum>) -> Option<Self> {
        if view.rollback.is_some() || view.status.is_over() && !view.status.is_parked() {
            return None;
        }
        let window = &view.header.window;
        let after = window.decide_after.clone().zip(window.decide_within_s);
        let total = view.started_at.zip(window.total_s);
        let total = total.map(|(start, total)| start.saturating_add(millis(total)));
        let window_end = [total, window.closes].into_iter().flatten().min();
        let point = after.as_ref().and_then(|(name, within)| {
            let phase = view.phases.iter().find(|phase| phase.name == *name)?;
            let over = phase.over == phase.steps.len();
            let end = phase.ended_at.filter(|_| over)?;
            Some(end.saturating_add(millis(*within)))
        });
        let undo = undo.unwrap_or_default();
        // of a time that nobody knows at all nothing follows
        let room = window_end.filter(|_| !undo.is_empty() && undo.is_known());
        let takes = i64::try_from(undo.ms).unwrap_or(i64::MAX);
        let latest = room.map(|end| end.saturating_sub(takes));
        let made = Self {
            point,
            after,
            latest,
            window_end,
            undo,
        };
        (made.after.is_some() || made.latest.is_some()).then_some(made)
    }

    /// The earlier of both moments.
    pub fn by(&self) -> Option<i64> {
        [self.point, self.latest].into_iter().flatten().min()
    }

    /// Lines for people: the moment first, then what it rests on.
    pub fn lines(&self, now: i64) -> Vec<String> {
        let mut lines = Vec::new();
        let time = |at: i64| format!("{} UTC", clock(at, now));
        if let Some(by) = self.by().filter(|by| *by > now) {
            lines.push(format!("decide by {} (in {})", time(by), between(now, by)));
        }
        if let Some((phase, within)) = &self.after {
            let within = seconds(*within);
            lines.push(match self.point {
                Some(point) if point <= now => format!(
                    "failures hold and ask since {}, {within} after `{phase}`",
                    time(point)
                ),
                Some(point) => format!(
                    "failures go back by themselves until {}, {within} after `{phase}`; then they hold and ask",
                    time(point)
                ),
                None => format!(
                    "failures go back by themselves until {within} after `{phase}`; then they hold and ask"
                ),
            });
        }
        if let Some((latest, end)) = self.latest.zip(self.window_end) {
            let end = time(end);
            let takes = self.undo.words();
            lines.push(match latest > now {
                true => format!(
                    "going back takes {takes}, and the window ends {end}: it fits until {}",
                    time(latest)
                ),
                false => format!(
                    "going back takes {takes}, and does not fit into the window, which ends {end}, any more"
                ),
            });
        }
        if let Some(end) = self.window_end.filter(|_| self.latest.is_none()) {
            let count = self.undo.unknown.len();
            if count > 0 {
                let undos = super::text::numbered(count, "undo");
                lines.push(format!(
                    "the window ends {}; how long going back takes is not known ({undos} never measured)",
                    time(end)
                ));
            }
        }
        lines
    }

    /// For programs.
    pub fn json(&self, now: i64) -> Value {
        json!({
            "by": self.by().map(rfc3339),
            "point": self.point.map(rfc3339),
            "past_point": self.point.is_some_and(|point| point <= now),
            "after": self.after.as_ref().map(|(phase, _)| phase),
            "within_s": self.after.as_ref().map(|(_, within)| within),
            "latest_for_window": self.latest.map(rfc3339),
            "window_ends": self.window_end.map(rfc3339),
            "undo": {
                "takes_ms": self.undo.ms, "at_least": !self.undo.unknown.is_empty(),
                "measured": self.undo.measured, "measured_before_a_change": self.undo.before,
                "estimated": self.undo.estimated, "unknown": self.undo.unknown,
            },
        })
    }
}

/// The decision point alone, for a line of the live display.
pub(super) fn brief(view: &RunView, now: i64) -> Option<String> {
    let made = Decide::of(view, None)?;
    let point = made.point?;
    let time = clock(point, now);
    Some(match point > now {
        true => format!("decide by {time} UTC (in {})", between(now, point)),
        false => format!("failures hold and ask since {time} UTC"),
    })
}

/// A moment as its time of day; with seconds where it is less than ten minutes away.
fn clock(at: i64, now: i64) -> String {
    let near = at.saturating_sub(now).unsigned_abs() < 600_000;
    let whole = super::text::moment(at);
    match (near, whole.get(..10) == super::text::moment(now).get(..10)) {
        (true, true) => whole.get(11..19).unwrap_or_default().to_owned(),
        (true, false) => whole.get(..19).unwrap_or_default().to_owned(),
        (false, _) => super::times::clock(at, now),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a length of time that is too large becomes the largest, which is meant"
)]
fn millis(seconds: f64) -> i64 {
    (seconds * 1_000.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventKind, StepEvent};
    use crate::view::samples;

    /// The watched sample once `restart` is over, some time later.
    fn lines(undo: UndoSum, later: i64) -> Vec<String> {
        let mut events = samples::watched();
        let over = events.iter().position(|event| {
            matches!(&event.kind, EventKind::Step(StepEvent::Finished { step, .. }) if step == "restart[1]")
        });
        events.truncate(over.unwrap() + 1);
        let view = RunView::replay(&events);
        let made = Decide::of(&view, Some(undo)).unwrap();
        made.lines(view.last_at.unwrap() + later)
    }

    fn undo(ms: u64) -> UndoSum {
        UndoSum {
            ms,
            measured: 2,
            unknown: vec!["restart".into()],
            ..UndoSum::default()
        }
    }

    #[test]
    fn the_earlier_of_the_decision_point_and_the_window_counts() {
        // 30 s after `deploy`, and a window of 10 minutes
        assert_eq!(
            lines(undo(60_000), 10_000),
            [
                "decide by 02:00:38 UTC (in 20s)",
                "failures go back by themselves until 02:00:38 UTC, 30s after `deploy`; then they hold and ask",
                "going back takes at least 1m (2 measured, 1 not known), and the window ends 02:10:00 UTC: it fits until 02:09:00 UTC",
            ]
        );
        assert_eq!(
            lines(undo(575_000), 0)[0],
            "decide by 02:00:25 UTC (in 17s)"
        );
        assert_eq!(lines(UndoSum::default(), 0).len(), 2);
        let unknown = UndoSum {
            unknown: vec!["restart".into()],
            ..UndoSum::default()
        };
        assert_eq!(
            lines(unknown, 0)[2],
            "the window ends 02:10:00 UTC; how long going back takes is not known (1 undo never measured)"
        );
    }

    #[test]
    fn what_is_past_is_said_to_be_past() {
        let past = lines(undo(580_000), 40_000);
        assert_eq!(
            past,
            [
                "failures hold and ask since 02:00:38 UTC, 30s after `deploy`",
                "going back takes at least 9m 40s (2 measured, 1 not known), and does not fit into the window, which ends 02:10:00 UTC, any more",
            ]
        );
    }

    #[test]
    fn a_run_that_goes_back_has_nothing_to_decide() {
        let view = RunView::replay(&samples::rolled_back(false));
        assert_eq!(Decide::of(&view, Some(undo(1))), None);
        let view = RunView::replay(&samples::success());
        assert_eq!(Decide::of(&view, Some(undo(1))), None);
    }
}
