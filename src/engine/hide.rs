//! Hides secrets in what the core itself says: judgements of `when` and items hold values of inputs,
//! and a password written into an address is one of them. What actions say is masked where they run.

use super::judge::{hidden, masked};
use crate::event::{
    CheckEvent, EventKind, Failure, How, OperatorEvent, Order, RollbackEvent, RunEvent, SkipReason,
    StepEvent,
};
use crate::secret::Masker;

/// The event as it may be kept.
pub(super) fn hide(event: EventKind, masker: &Masker) -> EventKind {
    match event {
        EventKind::Step(event) => EventKind::Step(step(event, masker)),
        EventKind::Run(RunEvent::Failed(mut failed)) => {
            message(&mut failed.failure, masker);
            RunEvent::Failed(failed).into()
        }
        EventKind::Rollback(event) => EventKind::Rollback(rollback(event, masker)),
        EventKind::Check(event) => EventKind::Check(check(event, masker)),
        EventKind::Operator(event) => EventKind::Operator(operator(event, masker)),
        other => other,
    }
}

/// The longest text of a failure that is kept, in bytes.
const LONGEST: usize = 8 << 10;

/// The same for one look of many.
const LOOK: usize = 500;

fn message(failure: &mut Failure, masker: &Masker) {
    failure.message = bounded(hidden(&failure.message, masker));
    failure.hint = failure.hint.take().map(bounded);
}

/// Masked before, cut here: an event has its limit, and a server may tell a lot.
fn bounded(text: String) -> String {
    cut(text, LONGEST)
}

/// A text of so many bytes at most, and what was left out said.
pub(super) fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = text.floor_char_boundary(most);
        let left_out = text.len() - end;
        text.truncate(end);
        text.push_str(&format!(" ... ({left_out} bytes left out)"));
    }
    text
}

fn step(event: StepEvent, masker: &Masker) -> StepEvent {
    match event {
        StepEvent::PhaseSkipped { phase, evidence } => StepEvent::PhaseSkipped {
            phase,
            evidence: masked(evidence, masker),
        },
        StepEvent::Skipped {
            step,
            reason: SkipReason::When(evidence),
        } => StepEvent::Skipped {
            step,
            reason: SkipReason::When(masked(evidence, masker)),
        },
        StepEvent::Expanded { step, items } => StepEvent::Expanded {
            step,
            items: items.into_iter().map(|item| masker.json(item)).collect(),
        },
        mut other => {
            match &mut other {
                StepEvent::Failed { failure, .. } | StepEvent::InDoubt { failure, .. } => {
                    message(failure, masker);
                }
                StepEvent::Asked { why, .. } => *why = hidden(why, masker),
                StepEvent::Resolved { how, .. } => person(how, masker),
                StepEvent::Approved { reason, .. }
                | StepEvent::Accepted { reason, .. }
                | StepEvent::Skipped {
                    reason: SkipReason::Person { reason, .. },
                    ..
                } => *reason = hidden(reason, masker),
                _ => {}
            }
            other
        }
    }
}

/// Looks are masked where they are made; what the runbook says of them is hidden here.
fn check(mut event: CheckEvent, masker: &Masker) -> CheckEvent {
    match &mut event {
        CheckEvent::Began { outline, .. } => {
            let bands = outline.bands.iter_mut().flat_map(|band| &mut band.expect);
            let texts = outline.expect.iter_mut().chain(bands);
            texts
                .chain(&mut outline.title)
                .for_each(|text| *text = hidden(text, masker));
        }
        CheckEvent::Looked { sample, .. } => {
            let failure = sample.failure.take();
            sample.failure = failure.map(|text| cut(hidden(&text, masker), LOOK));
        }
        _ => {}
    }
    event
}

fn rollback(mut event: RollbackEvent, masker: &Masker) -> RollbackEvent {
    match &mut event {
        RollbackEvent::Planned { cause, .. } => message(&mut cause.failure, masker),
        RollbackEvent::Failed { failure, .. } => message(failure, masker),
        RollbackEvent::Skipped { reason, .. } => *reason = hidden(reason, masker),
        RollbackEvent::InDoubt { failure, .. } => message(failure, masker),
        RollbackEvent::Asked { why, .. } => *why = hidden(why, masker),
        RollbackEvent::Resolved { how, .. } => person(how, masker),
        RollbackEvent::Waived { reason, .. } => *reason = hidden(reason, masker),
        _ => {}
    }
    event
}

fn person(how: &mut How, masker: &Masker) {
    if let How::Person { reason, .. } = how {
        *reason = hidden(reason, masker);
    }
}

fn operator(mut event: OperatorEvent, masker: &Masker) -> OperatorEvent {
    match &mut event {
        OperatorEvent::Ordered { order, reason, .. } => {
            words_of(order, masker);
            if let Some(reason) = reason {
                *reason = bounded(hidden(reason, masker));
            }
        }
        OperatorEvent::Refused { order, why, .. } => {
            words_of(order, masker);
            *why = bounded(hidden(why, masker));
        }
    }
    event
}

/// What people typed, in the order itself. A signature over words that are hidden here does not fit any
/// more: better that than a secret in the journal.
fn words_of(order: &mut Order, masker: &Masker) {
    let said = |text: &mut String| *text = bounded(hidden(text, masker));
    let optional = |text: &mut Option<String>| text.iter_mut().for_each(said);
    match order {
        Order::Approve { vote, .. } | Order::Reject { vote, .. } => {
            said(&mut vote.who);
            optional(&mut vote.comment);
        }
        Order::Confirm { confirmation, .. } => {
            said(&mut confirmation.who);
            optional(&mut confirmation.note);
            if let Some(file) = &mut confirmation.file {
                said(&mut file.name);
            }
            for value in confirmation.values.values_mut() {
                *value = masker.json(value.take());
            }
        }
        Order::Note { note } => {
            said(&mut note.who);
            said(&mut note.text);
        }
        Order::Sign { signature } => {
            said(&mut signature.who);
            optional(&mut signature.comment);
        }
        Order::CloseOut { close_out } => {
            let evidence = std::mem::take(&mut close_out.evidence);
            close_out.evidence = evidence
                .into_iter()
                .map(|one| masked(one, masker))
                .collect();
            said(&mut close_out.who);
            optional(&mut close_out.comment);
        }
        _ => {}
    }
}
