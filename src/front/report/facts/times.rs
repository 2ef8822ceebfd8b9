//! Times of a report: what was planned, what it took, and what it was allowed to take.

use crate::view::forecast::Timeline;
use crate::view::{Downtime, RunView};

/// When a phase was to be carried out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Planned {
    /// Seconds after the start of the run.
    pub(in super::super) from_s: f64,
    /// Its estimate in seconds.
    pub(in super::super) takes_s: f64,
}

/// When each phase was to be carried out, by the estimates of the runbook; `None` for one without.
pub(in super::super) fn planned(view: &RunView) -> Vec<Option<Planned>> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of a run are far below 2^53"
    )]
    let seconds = |ms: u64| ms as f64 / 1_000.0;
    let timeline = Timeline::of(view, end(view));
    let lines = view.phases.iter().zip(timeline.phases);
    let planned = lines.map(|(phase, line)| {
        phase.estimate_s.map(|_| Planned {
            from_s: seconds(line.planned.start),
            takes_s: seconds(line.planned.ms()),
        })
    });
    planned.collect()
}

/// The end of the run, or as far as it is known; what people said afterwards does not count.
pub(in super::super) fn end(view: &RunView) -> i64 {
    view.ended_at.or(view.last_at).unwrap_or(0)
}

/// What something was allowed to take, beside what it took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Budget {
    /// `total`, `downtime`, `rollback`.
    pub(in super::super) name: &'static str,
    /// In seconds.
    pub(in super::super) budget_s: Option<f64>,
    /// In milliseconds; `None`: not measured, or it did not come to it.
    pub(in super::super) took_ms: Option<u64>,
    /// Whether it may be more: it was not over when it was looked at last.
    pub(in super::super) at_least: bool,
    /// For how long nobody looked, in milliseconds: it may be more by as much.
    pub(in super::super) unseen_ms: u64,
    /// Why there is no measurement.
    pub(in super::super) why: &'static str,
}

impl Budget {
    /// Whether it was kept; `None` where one of both is not known, and where what nobody looked at
    /// decides it.
    pub(in super::super) fn kept(&self) -> Option<bool> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds of a run are far below 2^53"
        )]
        let seconds = |ms: u64| ms as f64 / 1_000.0;
        let (took, budget_s) = (self.took_ms?, self.budget_s?);
        let within = seconds(took) <= budget_s;
        let proven = !self.at_least && seconds(took.saturating_add(self.unseen_ms)) <= budget_s;
        (!within || proven).then_some(within)
    }
}

/// The three budgets of a run, in their order.
pub(in super::super) fn budgets(view: &RunView) -> [Budget; 3] {
    let budgets = &view.header.window;
    let back = view.rollback.as_ref().and_then(|back| {
        let end = back.ended_at.unwrap_or_else(|| end(view));
        u64::try_from(end - back.started_at).ok()
    });
    let down = view.downtime(end(view)).filter(|down| down.looks > 0);
    [
        Budget {
            name: "total",
            budget_s: budgets.total_s,
            took_ms: view.took_ms(end(view)),
            at_least: false,
            unseen_ms: 0,
            why: "nothing has started",
        },
        Budget {
            name: "downtime",
            budget_s: budgets.downtime_s,
            took_ms: down.as_ref().map(|down| down.ms),
            at_least: down.as_ref().is_some_and(Downtime::is_open),
            unseen_ms: down.as_ref().map_or(0, |down| down.unseen_ms),
            why: "not measured",
        },
        Budget {
            name: "rollback",
            budget_s: budgets.rollback_s,
            took_ms: back,
            at_least: false,
            unseen_ms: 0,
            why: "did not go back",
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn plans_follow_needs_and_budgets_are_held_against_what_was_measured() {
        let view = RunView::replay(&samples::signed());
        let at = |from_s, takes_s| Some(Planned { from_s, takes_s });
        assert_eq!(planned(&view), [at(0.0, 60.0), at(60.0, 2.0), None]);
        let [total, downtime, back] = budgets(&view);
        // the hour in which people signed is not the run's
        assert_eq!((total.took_ms, total.kept()), (Some(3_000), Some(true)));
        assert_eq!((downtime.budget_s, downtime.kept()), (Some(300.0), None));
        assert_eq!((back.took_ms, back.why), (None, "did not go back"));
        let mut late = RunView::replay(&samples::rolled_back(false));
        late.header.window.rollback_s = Some(1.0);
        let [_, _, back] = budgets(&late);
        assert_eq!((back.took_ms, back.kept()), (Some(1_800), Some(false)));
    }
}
