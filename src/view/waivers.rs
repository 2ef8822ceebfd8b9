//! What people decided against the rules of a runbook: what a review reads first.
//!
//! Main type: [`Waiver`]. Must not: leave out one that was given.

use super::RunView;
use crate::event::{CloseOut, Criterion, How, Order, RunOptions, SkipReason, StepEvent};
use crate::expr::Verdict;

/// Something that a person decided against the rules of the runbook, or in place of a proof: what a
/// review reads first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// What was waived, in a few words: `step left out`, `failure accepted`, `settled by hand`.
    pub what: &'static str,
    /// The step, the item of the way back, or another name; empty for the run as a whole.
    pub subject: String,
    /// Who, by login or as they said.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
}

impl RunView {
    /// All waivers, in the order in which they were given.
    pub fn waivers(&self) -> Vec<Waiver> {
        let mut all: Vec<_> = self.waived_steps().collect();
        if let Some(engine) = self
            .engines
            .first()
            .filter(|_| self.header.options.no_rollback)
        {
            all.push(Waiver {
                at: engine.at,
                what: "started without going back",
                subject: String::new(),
                by: engine.by.clone(),
                reason: "`--no-rollback`".into(),
            });
        }
        all.extend(self.overruled());
        all.sort_by_key(|waiver| waiver.at);
        all
    }

    /// Criteria that somebody let pass by hand against what was judged before, or against their phase.
    fn overruled(&self) -> Vec<Waiver> {
        let said = self.close_outs();
        let against = |at: usize, one: &CloseOut| {
            let before = said[..at].iter().map(|(_, _, one)| *one);
            let mut before = before.filter(|other| other.criterion == one.criterion);
            let of = |own: &&Criterion| own.id == one.criterion;
            let criterion = self.header.criteria.iter().find(of);
            let phase = criterion.and_then(|own| own.phase.as_deref());
            let phase = phase.and_then(|name| self.by_phase(name));
            phase.is_some_and(|found| found != Verdict::Pass)
                || before.any(|other| other.verdict != Verdict::Pass)
        };
        let by_hand = |one: &CloseOut| one.evidence.is_empty() && one.verdict == Verdict::Pass;
        let found = said.iter().enumerate();
        let found = found.filter(|(at, (_, _, one))| by_hand(one) && against(*at, one));
        found
            .map(|(_, (at, by, one))| Waiver {
                at: *at,
                what: "criterion passed by hand",
                subject: one.criterion.clone(),
                by: (*by).to_owned(),
                reason: one.comment.clone().unwrap_or_default(),
            })
            .collect()
    }

    /// What was waived about steps and the run as it went on, in the order of their kinds.
    pub(super) fn waived_steps(&self) -> impl Iterator<Item = Waiver> {
        let mut all = self.waived.clone();
        for one in self.orders.iter().filter(|one| one.refused.is_none()) {
            let (what, subject) = match &one.order {
                Order::Waive { step } => ("left as it is on the way back", step.clone()),
                Order::Jump { to } => ("steps left out, to go on at", to.clone()),
                Order::Cancel { no_rollback: true } => ("not rolled back", String::new()),
                Order::Close => ("closed", String::new()),
                Order::Resume => match self.holds.iter().find(|(seq, _)| *seq == one.seq) {
                    Some((_, guard)) => ("went on although a guard did not hold", guard.clone()),
                    None => continue,
                },
                _ => continue,
            };
            all.push(Waiver {
                at: one.at,
                what,
                subject,
                by: one.by.clone(),
                reason: one.reason.clone().unwrap_or_default(),
            });
        }
        for one in &self.resolved {
            if let How::Person { by, reason } = &one.how {
                all.push(Waiver {
                    at: one.at,
                    what: "settled by hand",
                    subject: one.step.clone(),
                    by: by.clone(),
                    reason: reason.clone(),
                });
            }
        }
        all.into_iter()
    }

    /// Keeps what a person waived in the words of a step event.
    pub(super) fn note_waiver(&mut self, event: &StepEvent, at: i64) {
        let (what, step, by, reason) = match event {
            StepEvent::Skipped {
                step,
                reason: SkipReason::Person { by, reason },
            } => ("step left out", step, by, reason),
            StepEvent::Accepted { step, by, reason } => ("failure accepted", step, by, reason),
            _ => return,
        };
        self.waived.push(Waiver {
            at,
            what,
            subject: step.clone(),
            by: by.clone(),
            reason: reason.clone(),
        });
    }

    /// Keeps what was waived for the run to start.
    pub(super) fn note_start_waivers(&mut self, options: &RunOptions, at: i64) {
        let waivers = options.waived.iter().map(|waiver| Waiver {
            at,
            what: waiver.rule.words(),
            subject: String::new(),
            by: waiver.by.clone(),
            reason: waiver.reason.clone(),
        });
        self.waived.extend(waivers);
    }
}
