//! What the reports derive from a view: each of them says it in its own form, and none computes it
//! again. Must not: know a form.

mod criteria;
mod notices;
mod people;
mod snapshots;
mod times;
pub(super) mod watched;
mod watched_notices;

pub(super) use self::criteria::{Judged, State, checks, criteria};
pub(super) use self::notices::{notices, of_watched};
pub(super) use self::people::{Block, Decision, Line, decisions, notes, other_orders, sign_off};
pub(super) use self::snapshots::{Compared, snapshots};
pub(super) use self::times::{Budget, Planned, budgets, end, planned};

use crate::event::{RunStatus, SkipReason};
use crate::expr::{Evidence, Verdict};
use crate::view::{RunView, StepStatus, StepView};

/// The verdict in a sentence.
pub(super) fn verdict(view: &RunView) -> String {
    let told: &str = match view.status {
        RunStatus::Planned => "nothing has started",
        RunStatus::Running => "the run has not ended",
        RunStatus::Waiting => {
            "it was stopped before its end; what was done stays done, and a person has to go on"
        }
        RunStatus::RollingBack => "going back has not ended",
        RunStatus::Succeeded => &success(view),
        RunStatus::Failed => "it failed and was left where it stood",
        RunStatus::RolledBack => match &view.rollback {
            Some(back) if back.not_undone.is_empty() && back.items.is_empty() => {
                "it failed, and there was nothing to take back"
            }
            Some(back) if back.is_whole() => "it failed; everything was taken back",
            _ => "it failed; it was taken back except for what is named below",
        },
        RunStatus::RollbackFailed => "it failed, and going back failed too: see what is left",
        RunStatus::Cancelling => "somebody cancelled it, and it has not ended",
        RunStatus::Cancelled => "somebody cancelled it before it changed anything",
        RunStatus::Aborted => "somebody aborted it, and it was left where it stood",
        RunStatus::Closed => "somebody closed it as it stood: see what is left",
    };
    let mut told = told.to_owned();
    if view.status == RunStatus::Succeeded {
        if let Some(guards) = watched::in_spite_of(view) {
            told = format!("{told}; {guards}");
        }
        let waivers = view.waivers().len();
        if waivers > 0 {
            told = format!("{told}; {} given", were(waivers, "waiver"));
        }
    }
    told
}

fn were(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun} was"),
        _ => format!("{count} {noun}s were"),
    }
}

/// What is said of a run that came to its end well: no better than its verdicts are.
fn success(view: &RunView) -> String {
    let (judged, passed) = verdicts(view);
    let failed = judged - passed;
    let bad = |step: &StepView| step.status == StepStatus::Tolerated;
    let steps = view.each_step().filter(|(_, step)| bad(step)).count();
    match (judged, failed, steps) {
        (0, _, 0) => "every phase is over; no expectation was judged".into(),
        (_, 0, 0) => "every phase is over and every expectation was met".into(),
        (_, 0, _) => {
            format!(
                "every phase is over; {} tolerated or accepted",
                were(steps, "failed step")
            )
        }
        _ => format!(
            "every phase is over; {failed} of {judged} expectations failed and were tolerated or accepted"
        ),
    }
}

/// How many expectations were judged, and how many of them passed.
pub(super) fn verdicts(view: &RunView) -> (usize, usize) {
    let (mut judged, mut passed) = (0, 0);
    for (name, step) in view.each_step() {
        // a watch is judged by its rule, not by its last look
        if let Some(check) = view.check(&name) {
            let (verdict, _) = watched::outcome(view, check);
            if let Some(verdict) = verdict.filter(|_| step.status.is_over()) {
                judged += 1;
                passed += usize::from(verdict == Verdict::Pass);
                continue;
            }
        }
        for one in evidence_of(step) {
            judged += 1;
            passed += usize::from(one.verdict == Verdict::Pass);
        }
    }
    (judged, passed)
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
