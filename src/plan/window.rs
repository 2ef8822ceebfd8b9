//! The time that a run is allowed, as its journal keeps it.

use super::Plan;
use crate::event::WindowOutline;

impl Plan {
    /// The budgets of the runbook, and its hours as they stand at `now`, in milliseconds since the
    /// Unix epoch.
    pub fn window(&self, now: i64) -> WindowOutline {
        let window = &self.runbook.window;
        let opening = window.hours.as_ref().map(|hours| hours.at(now));
        let seconds = |time: Option<std::time::Duration>| time.map(|time| time.as_secs_f64());
        let decides = self.decides();
        WindowOutline {
            decide_after: decides.map(|(phase, _)| self.runbook.phases[phase].name.value.clone()),
            decide_within_s: decides.map(|(_, within)| within.as_secs_f64()),
            total_s: seconds(window.total),
            downtime_s: seconds(window.downtime),
            rollback_s: seconds(window.rollback),
            opens: opening.and_then(|opening| opening.opens),
            closes: opening.and_then(|opening| opening.closes),
        }
    }
}
