//! Words for when a run ends: ETA, late by, the window.
//!
//! Main functions: [`brief`] for one place in a line, [`lines`] for a block. Both say nothing where
//! nothing is estimated, and *or later* where something is not.

use super::escape::shown;
use super::text::{moment, ms};
use crate::view::{RunView, Timeline};

/// Lateness below this, in milliseconds, and below a hundredth of the plan, is none.
const ON_TIME: u64 = 1_000;

/// How late that is, in words; a plan of `planned` milliseconds is not late by a second.
pub fn late_words(late: i64, planned: u64) -> String {
    let amount = late.unsigned_abs();
    if amount < ON_TIME.max(planned / 100) {
        return "on time".into();
    }
    match late > 0 {
        true => format!("late by {}", ms(amount)),
        false => format!("early by {}", ms(amount)),
    }
}

/// A moment as its time of day, with the day where that is not `now`'s.
pub(super) fn clock(at: i64, now: i64) -> String {
    let (at, now) = (moment(at), moment(now));
    match at.get(..10) == now.get(..10) {
        true => at.get(11..16).unwrap_or_default().to_owned(),
        false => at.get(..16).unwrap_or_default().to_owned(),
    }
}

/// `ETA 02:41, late by 4m`; `None`: nothing is estimated, or it goes forward no more. Times are UTC.
pub fn brief(timeline: &Timeline) -> Option<String> {
    let late = timeline.late?;
    let eta = clock(timeline.eta()?, timeline.at(timeline.now));
    let later = match timeline.forecast?.at_least {
        true => " or later",
        false => "",
    };
    let late = late_words(late, timeline.planned.ms);
    Some(format!("ETA {eta}{later}, {late}"))
}

/// What goes beyond the window, if anything does.
pub fn beyond(view: &RunView, timeline: &Timeline) -> Option<String> {
    let total = view.header.window.total_s.zip(timeline.over_total);
    let total = total.map(|(total, over)| {
        let total = super::text::seconds(total);
        format!("{} over the window of {total}", ms(over))
    });
    let closes = view.header.window.closes.zip(timeline.past_close);
    let closes = closes.map(|(closes, past)| {
        let closes = clock(closes, timeline.at(timeline.now));
        format!("{} after the window closes ({closes} UTC)", ms(past))
    });
    let both: Vec<_> = total.into_iter().chain(closes).collect();
    (!both.is_empty()).then(|| both.join(", "))
}

/// Words and texts of a block about times: planned, forecast, window.
pub fn lines(view: &RunView, timeline: &Timeline) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let over = view.ended_at.is_some();
    let late = timeline
        .late
        .map(|late| late_words(late, timeline.planned.ms));
    if timeline.is_planned() {
        let name = |at: &usize| shown(&view.phases[*at].name);
        let path: Vec<_> = timeline.critical.iter().map(name).collect();
        let least = if timeline.planned.at_least {
            "at least "
        } else {
            ""
        };
        let mut text = format!("{least}{} ({})", ms(timeline.planned.ms), path.join(" > "));
        if let Some(late) = late.as_ref().filter(|_| over) {
            text.push_str(&format!(": {late}"));
        }
        lines.push(("planned", text));
    }
    if let (Some(late), Some(eta), false) = (late, timeline.eta(), over) {
        let eta = clock(eta, timeline.at(timeline.now));
        let later = match timeline.forecast.is_some_and(|whole| whole.at_least) {
            true => " or later",
            false => "",
        };
        lines.push(("forecast", format!("ends {eta} UTC{later}, {late}")));
        let open = timeline
            .unknown
            .iter()
            .filter(|at| !timeline.phases[**at].over);
        let unknown: Vec<_> = open.map(|at| shown(&view.phases[*at].name)).collect();
        if !unknown.is_empty() {
            lines.push(("", format!("no estimate: {}", unknown.join(", "))));
        }
    }
    if let Some(beyond) = beyond(view, timeline) {
        let verb = if view.ended_at.is_some() {
            "ended"
        } else {
            "ends"
        };
        lines.push(("window", format!("{verb} {beyond}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventKind, RunEvent};
    use crate::view::samples::{self, START};

    fn at(count: usize, now: i64, closes: Option<i64>) -> (RunView, Timeline) {
        let mut events = samples::success();
        if let EventKind::Run(RunEvent::Planned(planned)) = &mut events[0].kind {
            planned.window.total_s = Some(70.0);
            planned.window.closes = closes;
        }
        let view = RunView::replay(&events[..count]);
        let timeline = Timeline::of(&view, START + now);
        (view, timeline)
    }

    #[test]
    fn lateness_is_said_when_it_is_one() {
        assert_eq!(late_words(900, 10_000), "on time");
        assert_eq!(late_words(-9_000, 1_000_000), "on time");
        assert_eq!(late_words(240_000, 1_000_000), "late by 4m");
        assert_eq!(late_words(-60_000, 1_000_000), "early by 1m");
    }

    #[test]
    fn the_end_is_a_time_of_day_and_or_later_where_something_is_not_estimated() {
        // `verify` is under way, 60 s are planned for it
        let (view, timeline) = at(3, 90_000, Some(START + 80_000));
        assert_eq!(brief(&timeline).unwrap(), "ETA 02:01 or later, late by 30s");
        assert_eq!(
            lines(&view, &timeline),
            [
                ("planned", "at least 1m 02s (verify > deploy)".to_owned()),
                (
                    "forecast",
                    "ends 02:01 UTC or later, late by 30s".to_owned()
                ),
                ("", "no estimate: validate".to_owned()),
                (
                    "window",
                    "ends 22s over the window of 1m 10s, 12s after the window closes (02:01 UTC)"
                        .to_owned()
                ),
            ]
        );
    }

    #[test]
    fn a_run_that_is_over_was_late_or_not() {
        let count = samples::success().len();
        let (view, timeline) = at(count, 90_000, None);
        let said = lines(&view, &timeline);
        let planned = "at least 1m 02s (verify > deploy): early by 59s";
        assert_eq!(said, [("planned", planned.to_owned())]);
    }

    #[test]
    fn nothing_is_said_where_nothing_is_estimated() {
        let view = RunView::new();
        let timeline = Timeline::of(&view, START);
        assert_eq!(brief(&timeline), None);
        assert_eq!(lines(&view, &timeline), []);
    }
}
