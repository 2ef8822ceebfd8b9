//! Planned, forecast and actual times of a run: of the whole, of each phase and of each step.
//!
//! Main type: [`Timeline`], made by [`Timeline::of`] from what a run stands on (estimates, `needs`),
//! what happened, and a time. All times in it are milliseconds from the run's first start
//! ([`Timeline::at`] gives them as moments). What nobody estimated counts as nothing and makes every
//! time that rests on it an *at least*: it is said, never guessed. Must not: read a clock.

mod make;
#[cfg(test)]
mod tests;

use self::make::Maker;
use super::RunView;

/// A stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Milliseconds from the run's first start.
    pub start: u64,
    /// The same, never before `start`.
    pub end: u64,
    /// Something that it rests on has no estimate, or is over it: it may be later.
    pub at_least: bool,
}

impl Span {
    /// How long it is, in milliseconds.
    pub fn ms(self) -> u64 {
        self.end - self.start
    }

    fn new(start: u64, end: u64, at_least: bool) -> Self {
        let end = end.max(start);
        Self {
            start,
            end,
            at_least,
        }
    }
}

/// A length from the run's first start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length {
    /// In milliseconds.
    pub ms: u64,
    /// Something that it rests on has no estimate, or is over it.
    pub at_least: bool,
}

/// The times of one phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhaseLine {
    /// By the estimates alone: it starts when the last of what it needs ends.
    pub planned: Span,
    /// What happened so far, and from now on by the estimates. Of one that is over it is `actual`.
    /// `None`: it was left out, or does not come any more.
    pub forecast: Option<Span>,
    /// From its first start to its end, or to now; `None`: it has not started.
    pub actual: Option<Span>,
    /// Whether it is over, left out, or stopped with the run.
    pub over: bool,
    /// Whether it lies on the planned critical path.
    pub critical: bool,
}

/// The times of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepLine {
    /// Its place in [`RunView::steps`].
    pub step: usize,
    /// By the estimates alone; `None`: it has none.
    pub planned: Option<Span>,
    /// What happened, else by the estimates; `None`: it was left out, or does not come any more.
    pub forecast: Option<Span>,
    /// From its first start to its end, or to now; `None`: it has not started.
    pub actual: Option<Span>,
}

/// The times of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// First start, in milliseconds since the Unix epoch; before it, the time that was asked for.
    pub start: i64,
    /// The time that it was made for, from the start.
    pub now: u64,
    /// In the order of [`RunView::phases`].
    pub phases: Vec<PhaseLine>,
    /// The longest chain of phases by the estimates, first phase first.
    pub critical: Vec<usize>,
    /// The chain of phases that now decides when the way forward ends.
    pub critical_now: Vec<usize>,
    /// The whole, by the estimates.
    pub planned: Length,
    /// The whole, as it looks now; of a run that succeeded, what it took. `None`: it does not go
    /// forward any more.
    pub forecast: Option<Length>,
    /// How much later than planned it ends (earlier: below 0), in milliseconds. What has no estimate
    /// is no lateness. `None`: nothing is estimated, or it does not go forward any more.
    pub late: Option<i64>,
    /// Phases with something in them that nobody estimated.
    pub unknown: Vec<usize>,
    /// By how many milliseconds it takes longer than `window.total`.
    pub over_total: Option<u64>,
    /// By how many milliseconds it ends after the window closes.
    pub past_close: Option<u64>,
}

/// Milliseconds of an estimate.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate is a positive length of time; the cast saturates"
)]
fn millis(seconds: f64) -> u64 {
    (seconds * 1_000.0).round() as u64
}

impl Timeline {
    /// The times of a run at `now`, in milliseconds since the Unix epoch.
    pub fn of(view: &RunView, now: i64) -> Self {
        let made = Maker::new(view, now);
        let planned = made.planned();
        let forecast = made.forecast();
        let lines = (0..view.phases.len()).map(|at| {
            let phase = &view.phases[at];
            PhaseLine {
                planned: planned.spans[at],
                forecast: forecast[at],
                actual: made.actual(phase),
                over: made.is_over(phase),
                critical: planned.critical.contains(&at),
            }
        });
        let whole = made.whole(&forecast);
        let mut timeline = Self {
            start: made.start,
            now: made.now,
            phases: lines.collect(),
            critical: planned.critical.clone(),
            critical_now: made.chain(&forecast),
            planned: planned.total,
            forecast: whole,
            late: None,
            unknown: made.unknown(),
            over_total: None,
            past_close: None,
        };
        timeline.late = whole.and_then(|whole| made.late(whole, &forecast));
        timeline.judge(view, made.ended());
        timeline
    }

    /// A time of it as milliseconds since the Unix epoch.
    pub fn at(&self, offset: u64) -> i64 {
        self.start.saturating_add_unsigned(offset)
    }

    /// When it ends, in milliseconds since the Unix epoch.
    pub fn eta(&self) -> Option<i64> {
        Some(self.at(self.forecast?.ms))
    }

    /// Whether anything is estimated.
    pub fn is_planned(&self) -> bool {
        self.planned.ms > 0
    }

    /// The steps of a phase.
    pub fn steps(&self, view: &RunView, phase: usize) -> Vec<StepLine> {
        let at = phase;
        let Some((line, phase)) = self.phases.get(at).zip(view.phases.get(at)) else {
            return Vec::new();
        };
        let made = Maker::new(view, self.at(self.now));
        let mut needs = made.graph.needs(at).iter();
        let open = needs.any(|need| self.phases[*need].planned.at_least);
        let planned = made.planned_steps(phase, line.planned.start, open);
        let start = line.forecast.map_or(self.now, |span| span.start);
        let forecast = made.forecast_steps(phase, start);
        let places = phase.steps.clone();
        let both = planned.into_iter().zip(forecast);
        places
            .zip(both)
            .map(|(step, (planned, forecast))| StepLine {
                step,
                planned,
                forecast: forecast.filter(|_| !line.over || view.steps[step].started_at.is_some()),
                actual: made.actual_step(&view.steps[step]),
            })
            .collect()
    }

    fn judge(&mut self, view: &RunView, ended: Option<u64>) {
        let window = &view.header.window;
        let end = self.forecast.map(|length| length.ms).or(ended);
        let Some(end) = end else { return };
        let over = |limit: u64| end.checked_sub(limit).filter(|over| *over > 0);
        self.over_total = window.total_s.and_then(|total| over(millis(total)));
        let closes = window.closes.map(|at| since(self.start, at));
        self.past_close = closes.and_then(over);
    }
}

/// Milliseconds from one moment to another; a clock that went back counts as 0.
fn since(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or(0)
}
