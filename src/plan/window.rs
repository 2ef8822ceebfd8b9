//! The time that a run is allowed, as its journal keeps it.

use super::Plan;
use crate::event::WindowOutline;

impl Plan {
    /// The budgets of the runbook.
    pub fn window(&self) -> WindowOutline {
        let window = &self.runbook.window;
        let seconds = |time: Option<std::time::Duration>| time.map(|time| time.as_secs_f64());
        WindowOutline {
            total_s: seconds(window.total),
            downtime_s: seconds(window.downtime),
            rollback_s: seconds(window.rollback),
            opens: None,
            closes: None,
        }
    }
}
