//! The commands that come next, from where a run stands.

use crate::event::{Question, RunStatus};
use crate::view::{ItemStatus, RunView};

/// What can be typed now, the most likely first.
pub(super) fn commands(view: &RunView) -> Vec<String> {
    let run = &view.id;
    let report = format!("ferry report {run}");
    let mut next = Vec::new();
    for asked in &view.asked {
        let (step, answers) = (quoted(&asked.step), asked.question);
        match answers {
            Question::InDoubt => next.push(format!(
                "ferry answer {run} {step} done|not-done|retry|rollback|abort --reason '...'"
            )),
            Question::PointOfNoReturn => next.push(format!(
                "ferry answer {run} {step} proceed --code {} --reason '...'",
                crate::plan::short_code(run, &view.header.digest)
            )),
            _ => {}
        }
    }
    match view.status {
        RunStatus::Planned
        | RunStatus::Running
        | RunStatus::Cancelling
        | RunStatus::RollingBack => {
            next.push(format!("ferry resume {run}"));
            return next;
        }
        RunStatus::Waiting => {
            next.push(format!("ferry resume {run}"));
            if view.rollback.is_none() {
                next.push(format!("ferry rollback {run}"));
            }
        }
        RunStatus::Failed | RunStatus::Aborted => {
            next.push(format!("ferry resume {run}"));
            next.push(format!("ferry rollback {run}"));
            next.push(format!("ferry close {run} --reason '...'"));
        }
        RunStatus::RollbackFailed => {
            next.push(format!("ferry rollback {run}"));
            let open = view.rollback.iter().flat_map(|back| &back.items);
            let open = open.filter(|item| {
                matches!(
                    item.status,
                    ItemStatus::Failed | ItemStatus::Held | ItemStatus::InDoubt
                )
            });
            next.extend(
                open.map(|item| {
                    format!("ferry waive {run} {} --reason '...'", quoted(&item.item.id))
                }),
            );
        }
        RunStatus::Succeeded | RunStatus::RolledBack | RunStatus::Cancelled | RunStatus::Closed => {
        }
    }
    next.push(report);
    next
}

/// A name as a shell takes it.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    match name.chars().all(plain) {
        true => name.to_owned(),
        false => format!("'{name}'"),
    }
}
