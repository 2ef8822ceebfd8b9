//! What people were asked, what they ordered, and how doubts were settled, as readers see it.

use super::{RunView, StepStatus};
use crate::event::{
    Answer, Brief, CloseOut, How, Note, OperatorEvent, Order, Question, Resolution, RollbackEvent,
    RunStatus, Signature, StepEvent, Vote,
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
    /// What they are shown.
    pub brief: Option<Box<Brief>>,
    /// The number of the question; empty where it has none.
    pub nonce: String,
    /// For an approval: the votes so far.
    pub votes: Vec<Vote>,
}

/// Something that a person ordered.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered {
    /// The event that records it.
    pub seq: u64,
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
            if let (Order::Resume, Some((guard, _))) = (order, self.held_by()) {
                self.holds.push((self.last_seq, guard.name.clone()));
            }
            self.take_order(order);
        }
        self.orders.push(Ordered {
            seq: self.last_seq,
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
                self.ended_seq = None;
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
                self.close_gates();
                self.asked.clear();
            }
            Order::Rollback => {
                self.stopping = None;
                self.ended_at = None;
                self.ended_seq = None;
                self.status = match self.rollback {
                    Some(_) => RunStatus::RollingBack,
                    None => RunStatus::Running,
                };
                if let Some(rollback) = &mut self.rollback {
                    rollback.ended_at = None;
                }
            }
            Order::Approve { step, vote } => {
                let asked = self.asked.iter_mut().find(|one| one.step == *step);
                if let Some(asked) = asked {
                    asked.votes.push(vote.clone());
                }
            }
            Order::Guide { phase: None, on } => self.guided = *on,
            _ => {}
        }
    }

    /// Nobody is waited for any more: what they were asked is as if it had not begun.
    pub(super) fn close_gates(&mut self) {
        let at_gate = |step: &super::StepView| step.status == StepStatus::AtGate;
        let open: Vec<usize> = (0..self.steps.len())
            .filter(|at| at_gate(&self.steps[*at]))
            .collect();
        for at in open {
            let step = &mut self.steps[at];
            step.status = StepStatus::Pending;
            let phase = step.phase;
            let last = self.last_at.unwrap_or_default();
            self.moved(phase, StepStatus::AtGate, StepStatus::Pending, last);
        }
        let gate = |question: Question| matches!(question, Question::Manual | Question::Approval);
        self.asked.retain(|one| !gate(one.question));
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
                brief,
                nonce,
            } => {
                self.asked.retain(|one| one.step != *step);
                self.asked.push(Asked {
                    step: step.clone(),
                    question: *question,
                    why: why.clone(),
                    evidence: evidence.clone(),
                    at,
                    brief: brief.clone(),
                    nonce: nonce.clone(),
                    votes: Vec::new(),
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
            StepEvent::Diagnosed { step, looks } => {
                self.diagnoses.push((step.clone(), looks.clone()));
            }
            // what is settled is asked no more
            StepEvent::Examining { step, .. }
            | StepEvent::InDoubt { step, .. }
            | StepEvent::Checking { step, .. }
            | StepEvent::Started { step, .. }
            | StepEvent::Expanded { step, .. }
            | StepEvent::Acted { step, .. }
            | StepEvent::Approved { step, .. }
            | StepEvent::Skipped { step, .. }
            | StepEvent::Finished { step, .. }
            | StepEvent::Failed { step, .. }
            | StepEvent::Accepted { step, .. }
            | StepEvent::Reopened { step } => {
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
                brief: None,
                nonce: String::new(),
                votes: Vec::new(),
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

impl RunView {
    fn said<'a, T>(&'a self, pick: impl Fn(&'a Order) -> Option<T>) -> Vec<(i64, &'a str, T)> {
        let taken = self.orders.iter().filter(|one| one.refused.is_none());
        taken
            .filter_map(|one| Some((one.at, one.by.as_str(), pick(&one.order)?)))
            .collect()
    }

    /// Notes: when, by which login, what.
    pub fn notes(&self) -> Vec<(i64, &str, &Note)> {
        self.said(|order| match order {
            Order::Note { note } => Some(note),
            _ => None,
        })
    }

    /// Signatures: when, by which login, which.
    pub fn signatures(&self) -> Vec<(i64, &str, &Signature)> {
        self.said(|order| match order {
            Order::Sign { signature } => Some(&**signature),
            _ => None,
        })
    }

    /// Criteria that were judged after the run: when, by which login, which. The last word on a
    /// criterion counts.
    pub fn close_outs(&self) -> Vec<(i64, &str, &CloseOut)> {
        self.said(|order| match order {
            Order::CloseOut { close_out } => Some(&**close_out),
            _ => None,
        })
    }

    /// Votes on approvals: when, by which login, the step, whether for it, and the vote.
    pub fn votes(&self) -> Vec<(i64, &str, (&str, bool, &Vote))> {
        self.said(|order| match order {
            Order::Approve { step, vote } => Some((step.as_str(), true, vote)),
            Order::Reject { step, vote } => Some((step.as_str(), false, vote)),
            _ => None,
        })
    }
}
