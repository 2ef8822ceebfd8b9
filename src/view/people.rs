//! What people were asked, what they ordered, and how doubts were settled, as readers see it.

use super::{RunView, StepStatus};
use crate::event::{
    Answer, How, OperatorEvent, Order, Question, Resolution, RollbackEvent, RunStatus, StepEvent,
};
use crate::expr::Evidence;

/// Something that a person has to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The step, with its item, or the item of the way back.
    pub step: String,
    /// What is asked.
    pub question: Question,
    /// What there is to know, in a line.
    pub why: String,
    /// What its probe said.
    pub evidence: Vec<Evidence>,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
}

/// Something that a person ordered.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered {
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Login name.
    pub by: String,
    /// What.
    pub order: Order,
    /// Why, in their words.
    pub reason: Option<String>,
    /// Why it was refused; `None`: it was taken.
    pub refused: Option<String>,
}

/// A doubt that was settled.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// The step, with its item, or the item of the way back.
    pub step: String,
    /// By what.
    pub how: How,
    /// To what.
    pub to: Resolution,
}

impl RunView {
    pub(super) fn apply_operator(&mut self, event: &OperatorEvent, at: i64) {
        let (by, order, reason, refused) = match event {
            OperatorEvent::Ordered { by, order, reason } => (by, order, reason.clone(), None),
            OperatorEvent::Refused { by, order, why } => (by, order, None, Some(why.clone())),
        };
        if refused.is_none() {
            self.take_order(order);
        }
        self.orders.push(Ordered {
            at,
            by: by.clone(),
            order: order.clone(),
            reason,
            refused,
        });
    }

    fn take_order(&mut self, order: &Order) {
        match order {
            Order::Resume => {
                self.stopping = None;
                if !self.status.is_parked() {
                    return;
                }
                self.ended_at = None;
                let back = self.ordered_back();
                if self.rollback.is_none() && !back {
                    self.failure = None;
                }
                self.status = match (&self.rollback, self.cancelled()) {
                    (Some(_), _) => RunStatus::RollingBack,
                    (None, true) => RunStatus::Cancelling,
                    (None, false) => RunStatus::Running,
                };
            }
            Order::Cancel { .. } => {
                self.stopping = None;
                self.status = RunStatus::Cancelling;
                self.asked.clear();
            }
            Order::Rollback => {
                self.stopping = None;
                self.ended_at = None;
                self.status = match self.rollback {
                    Some(_) => RunStatus::RollingBack,
                    None => RunStatus::Running,
                };
                if let Some(rollback) = &mut self.rollback {
                    rollback.ended_at = None;
                }
            }
            Order::Pause
            | Order::Abort
            | Order::Answer { .. }
            | Order::Waive { .. }
            | Order::Close => {}
        }
    }

    /// Whether somebody cancelled the run.
    pub fn cancelled(&self) -> bool {
        self.taken(|order| matches!(order, Order::Cancel { .. }))
    }

    fn ordered_back(&self) -> bool {
        let back = |order: &Order| {
            let answer = Answer::Rollback;
            *order == Order::Rollback
                || matches!(order, Order::Answer { answer: said, .. } if *said == answer)
        };
        self.cancelled() || self.taken(back)
    }

    fn taken(&self, is: impl Fn(&Order) -> bool) -> bool {
        self.orders
            .iter()
            .any(|one| one.refused.is_none() && is(&one.order))
    }

    /// What doubt does to the lists beside the steps.
    pub(super) fn note_doubt(&mut self, event: &StepEvent, at: i64) {
        match event {
            StepEvent::Asked {
                step,
                question,
                why,
                evidence,
            } => {
                self.asked.retain(|one| one.step != *step);
                self.asked.push(Asked {
                    step: step.clone(),
                    question: *question,
                    why: why.clone(),
                    evidence: evidence.clone(),
                    at,
                });
            }
            StepEvent::Resolved { step, how, to, .. } => {
                self.asked.retain(|one| one.step != *step);
                self.resolved.push(Resolved {
                    at,
                    step: step.clone(),
                    how: how.clone(),
                    to: *to,
                });
            }
            StepEvent::Examining { step, .. } | StepEvent::Approved { step, .. } => {
                self.asked.retain(|one| one.step != *step);
            }
            _ => {}
        }
    }

    pub(super) fn note_item_doubt(&mut self, event: &RollbackEvent, at: i64) {
        let items = self.rollback.as_ref().map(|rollback| &rollback.items);
        let item = event.item().and_then(|at| items?.get(at));
        let Some(step) = item.map(|item| item.item.id.clone()) else {
            return;
        };
        match event {
            RollbackEvent::Asked { why, .. } => self.asked.push(Asked {
                step,
                question: Question::InDoubt,
                why: why.clone(),
                evidence: Vec::new(),
                at,
            }),
            RollbackEvent::Resolved { how, to, .. } => {
                self.asked.retain(|one| one.step != step);
                self.resolved.push(Resolved {
                    at,
                    step,
                    how: how.clone(),
                    to: *to,
                });
            }
            RollbackEvent::Examining { .. } | RollbackEvent::Waived { .. } => {
                self.asked.retain(|one| one.step != step);
            }
            _ => {}
        }
    }

    /// Steps of which nobody knows whether they took effect, with the names that they have in events.
    pub fn in_doubt(&self) -> Vec<String> {
        let doubtful = |(name, step): (String, &super::StepView)| {
            matches!(step.status, StepStatus::InDoubt | StepStatus::Asked).then_some(name)
        };
        self.each_step().filter_map(doubtful).collect()
    }
}
