//! What the reports derive from a view: each of them says it in its own form, and none computes it
//! again. Must not: know a form.

mod criteria;
mod notices;
mod people;
mod snapshots;
mod times;

pub(super) use self::criteria::{Judged, State, checks, criteria};
pub(super) use self::notices::notices;
pub(super) use self::people::{Block, Decision, Line, decisions, notes, other_orders, sign_off};
pub(super) use self::snapshots::{Compared, snapshots};
pub(super) use self::times::{Budget, Planned, budgets, end, planned};

use crate::event::{RunStatus, SkipReason};
use crate::expr::Evidence;
use crate::view::{RunView, StepView};

/// The verdict in a sentence.
pub(super) fn verdict(view: &RunView) -> String {
    let told = match view.status {
        RunStatus::Planned => "nothing has started",
        RunStatus::Running => "the run has not ended",
        RunStatus::Waiting => {
            "it was stopped before its end; what was done stays done, and a person has to go on"
        }
        RunStatus::RollingBack => "going back has not ended",
        RunStatus::Succeeded => match judged(view) {
            true => "every phase is over and every expectation was met",
            false => "every phase is over; no expectation was judged",
        },
        RunStatus::Failed => "it failed and was left where it stood",
        RunStatus::RolledBack => match &view.rollback {
            Some(back) if back.not_undone.is_empty() && back.items.is_empty() => {
                "it failed, and there was nothing to take back"
            }
            Some(back) if back.not_undone.is_empty() => "it failed; everything was taken back",
            _ => "it failed; it was taken back except for what is named below",
        },
        RunStatus::RollbackFailed => "it failed, and going back failed too: see what is left",
        RunStatus::Cancelling => "somebody cancelled it, and it has not ended",
        RunStatus::Cancelled => "somebody cancelled it before it changed anything",
        RunStatus::Aborted => "somebody aborted it, and it was left where it stood",
        RunStatus::Closed => "somebody closed it as it stood: see what is left",
    };
    match (view.status, view.waivers().len()) {
        (RunStatus::Succeeded, waivers @ 1..) => {
            format!("{told}; {} given", were(waivers, "waiver"))
        }
        _ => told.to_owned(),
    }
}

fn were(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun} was"),
        _ => format!("{count} {noun}s were"),
    }
}

fn judged(view: &RunView) -> bool {
    view.each_step()
        .any(|(_, step)| step.report.iter().any(|report| !report.evidence.is_empty()))
}

/// What was expected of a step, and what came of it; also what let it be left out as done already.
pub(super) fn evidence_of(step: &StepView) -> impl Iterator<Item = &Evidence> {
    let done = match step.skipped.as_deref() {
        Some(SkipReason::AlreadyDone(done)) => done.as_slice(),
        _ => &[],
    };
    let own = step.report.iter().flat_map(|report| &report.evidence);
    done.iter().chain(own)
}
