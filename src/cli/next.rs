//! The commands that come next, from where a run stands.

use crate::event::{Question, RunStatus, Stage};
use crate::view::{Asked, ItemStatus, RunView};

/// What can be typed now, the most likely first.
pub(super) fn commands(view: &RunView) -> Vec<String> {
    let run = &view.id;
    let report = format!("ferry report {run}");
    let mut next = Vec::new();
    // what is asked of a run that stands still after a failure is answered once it goes on
    let answers = |asked: &&Asked| {
        asked.question == Question::InDoubt
            || matches!(view.status, RunStatus::Running | RunStatus::Waiting)
    };
    for asked in view.asked.iter().filter(answers) {
        next.push(answer(view, asked));
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
    next.extend(closing(view).into_iter().chain([report]));
    next
}

/// What is left to do after the end: signatures, and criteria that nobody has judged.
fn closing(view: &RunView) -> Vec<String> {
    let (run, mut next) = (&view.id, Vec::new());
    if view.is_closed() {
        let missing = view.unsigned(Stage::After).into_iter();
        next.extend(missing.map(|role| format!("ferry sign {run} --as {role}")));
    }
    if view.status == RunStatus::Succeeded {
        let all = view.criteria();
        let open = all.iter().filter(|one| one.is_open());
        next.extend(open.map(|one| format!("ferry close-out {run} {}", one.criterion.id)));
    }
    next
}

/// The command that answers what is asked.
pub(super) fn answer(view: &RunView, asked: &Asked) -> String {
    let (run, step) = (&view.id, quoted(&asked.step));
    let by = by(asked);
    match asked.question {
        Question::InDoubt => {
            format!("ferry answer {run} {step} done|not-done|retry|rollback|abort --reason '...'")
        }
        Question::PointOfNoReturn => format!(
            "ferry answer {run} {step} proceed --code {} --reason '...'",
            crate::plan::short_code(run, &view.header.digest)
        ),
        Question::Held => format!("ferry resume {run} --reason '...'"),
        Question::Approval => format!("ferry approve {run} {step} --as {by} --comment '...'"),
        Question::Manual => format!("ferry confirm {run} {step} --as {by} --all"),
        Question::Start => {
            format!("ferry answer {run} {step} proceed|skip|rollback|abort --reason '...'")
        }
        Question::Failure => {
            format!("ferry answer {run} {step} retry|skip|rollback|abort --reason '...'")
        }
    }
}

/// Who may decide, where that is one.
fn by(asked: &Asked) -> String {
    match asked.brief.as_deref().map(|brief| brief.by.as_slice()) {
        Some([one]) => quoted(one),
        _ => "NAME".into(),
    }
}

/// A name as a shell takes it.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    match name.chars().all(plain) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', "'\\''")),
    }
}
