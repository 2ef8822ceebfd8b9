//! Whether the calendar lets a run start, and whether its estimate fits what is left of the window.

use super::error::CommandError;
use super::exit::Exit;
use super::state;
use crate::event::{StartRule, StartWaiver};
use crate::front::text::{between, moment, seconds};
use crate::plan::Plan;
use crate::runbook::hours::Stands;

/// Lets a run start at `now`, or says why not; outside the window only with a reason, which is
/// recorded.
///
/// # Errors
/// When the window is closed and nobody waives that.
pub(super) fn may_start(
    plan: &Plan,
    waive: Option<&str>,
    now: i64,
) -> Result<Vec<StartWaiver>, CommandError> {
    let reason = waive.map(str::trim);
    if reason.is_some_and(str::is_empty) {
        return Err(CommandError::new(
            Exit::Usage,
            "`--waive-window` needs a reason: it is what a review reads first",
        ));
    }
    let Some(hours) = &plan.runbook.window.hours else {
        return Ok(unneeded(reason, "the runbook has no hours in its `window`"));
    };
    let opening = hours.at(now);
    let (exit, says) = match (opening.stands, opening.opens, opening.closes) {
        (Stands::Ahead, Some(opens), _) => (
            Exit::Locked,
            format!("opens {} (in {})", moment(opens), between(now, opens)),
        ),
        (Stands::Past, _, Some(closes)) => (
            Exit::Refused,
            format!("closed {} ({} ago)", moment(closes), between(closes, now)),
        ),
        _ => return Ok(unneeded(reason, "the window is open")),
    };
    match reason {
        Some(reason) => Ok(vec![StartWaiver {
            rule: StartRule::Window,
            by: state::me().who,
            reason: reason.to_owned(),
        }]),
        None => {
            let message = format!(
                "the window of `{}` {says}; nothing was started",
                *plan.runbook.name
            );
            let hint = "`--waive-window 'REASON'` starts all the same, and is recorded as a waiver";
            Err(CommandError::new(exit, message).hint(hint))
        }
    }
}

fn unneeded(reason: Option<&str>, why: &str) -> Vec<StartWaiver> {
    if reason.is_some() {
        super::note(&format!("there is nothing to waive: {why}"));
    }
    Vec::new()
}

/// Says how the window stands for a run that would start at `now`, where that is worth a word.
pub(super) fn fit(plan: &Plan, now: i64) -> Option<String> {
    let opening = plan.runbook.window.hours.as_ref()?.at(now);
    let total = plan.schedule().total;
    match (opening.stands, opening.opens, opening.closes) {
        (Stands::Past, _, Some(closes)) => Some(format!("the window closed {}", moment(closes))),
        (Stands::Ahead, Some(opens), _) => Some(format!(
            "the window opens {} (in {})",
            moment(opens),
            between(now, opens)
        )),
        (Stands::Open, _, Some(closes)) => {
            let left = std::time::Duration::from_millis(u64::try_from(closes - now).unwrap_or(0));
            let over = total - left.as_secs_f64();
            (over > 0.0).then(|| {
                format!(
                    "the window closes {} (in {}): the estimates come to {}, {} more than is left",
                    moment(closes),
                    between(now, closes),
                    seconds(total),
                    seconds(over)
                )
            })
        }
        _ => None,
    }
}
