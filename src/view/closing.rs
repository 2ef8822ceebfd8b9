//! What is left to do after a run: signatures that are missing, criteria that nobody has judged.

use super::{PhaseStatus, PhaseView, RunView, StepStatus, StepView};
use crate::event::{CloseOut, Criterion, RunStatus, Signature, SkipReason, Stage};
use crate::expr::Verdict;

/// A success criterion and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct CriterionView<'v> {
    /// What is asked.
    pub criterion: &'v Criterion,
    /// What it was judged to; `None`: not yet.
    pub verdict: Option<Verdict>,
    /// When, by which login, and how it was judged last; `None` for one that a phase answers.
    pub said: Option<(i64, &'v str, &'v CloseOut)>,
    /// When it is due at the latest, in milliseconds since the Unix epoch.
    pub due: Option<i64>,
}

impl CriterionView<'_> {
    /// Whether it still has to be judged.
    pub fn is_open(&self) -> bool {
        !matches!(self.verdict, Some(Verdict::Pass | Verdict::Fail))
    }

    /// Whether a person judged it without an expression.
    pub fn by_hand(&self) -> bool {
        self.said
            .is_some_and(|(_, _, said)| said.evidence.is_empty())
    }
}

impl RunView {
    /// Whether it came to an end that people sign: everything but standing still on its way.
    pub fn is_closed(&self) -> bool {
        self.status.is_over() && self.status != RunStatus::Waiting
    }

    /// Whether a signature is still under what it was given for: one for after the run stands under
    /// its end, and not under an end that the run went on from.
    pub fn is_under_its_end(&self, signature: &Signature) -> bool {
        match signature.stage {
            Stage::Before => true,
            Stage::After => self.ended_seq.is_some_and(|end| signature.seq >= end),
        }
    }

    /// Whether a signature that it may begin came when a step had begun to change something.
    pub fn is_late(&self, signature: &Signature) -> bool {
        let changed = self.changed_seq;
        signature.stage == Stage::Before && changed.is_some_and(|seq| signature.seq >= seq)
    }

    /// Roles whose signature is asked for and not there. One under an end that the run went on from
    /// does not count.
    pub fn unsigned(&self, stage: Stage) -> Vec<&str> {
        let sign_off = &self.header.sign_off;
        let asked = match stage {
            Stage::Before => &sign_off.before,
            Stage::After => &sign_off.after,
        };
        let signed = self.signatures();
        let has = |role: &str| {
            signed.iter().any(|(_, _, one)| {
                one.role == role && one.stage == stage && self.is_under_its_end(one)
            })
        };
        let missing = asked.iter().map(String::as_str);
        missing.filter(|role| !has(role)).collect()
    }

    /// The success criteria, in the order of the runbook. A phase answers for itself; anything else
    /// is as it was judged last.
    pub fn criteria(&self) -> Vec<CriterionView<'_>> {
        let judged = self.close_outs();
        let one = |criterion| self.criterion(criterion, &judged);
        self.header.criteria.iter().map(one).collect()
    }

    fn criterion<'v>(
        &'v self,
        criterion: &'v Criterion,
        judged: &[(i64, &'v str, &'v CloseOut)],
    ) -> CriterionView<'v> {
        let mut judged = judged.iter().rev();
        let said = judged.find(|(_, _, one)| one.criterion == criterion.id);
        let phase = criterion.phase.as_deref();
        let by_phase = phase.and_then(|name| self.by_phase(name));
        let within = criterion.within_s.map(milliseconds);
        CriterionView {
            criterion,
            verdict: said.map(|(_, _, one)| one.verdict).or(by_phase),
            said: said.copied(),
            due: self
                .ended_at
                .zip(within)
                .map(|(end, within)| end.saturating_add(within)),
        }
    }
}

impl RunView {
    /// Why a phase that is over is no proof: waivers, failures that were tolerated, or that none of its
    /// steps ran. A step whose `done_when` holds was proven by that.
    pub fn phase_reservation(&self, phase: &PhaseView) -> Option<String> {
        let of_it = |step: &str| {
            self.phase_of(step)
                .is_some_and(|one| one.name == phase.name)
        };
        let quoted = |names: Vec<String>| {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            names.join(", ")
        };
        let waived: Vec<_> = self.waived_steps().map(|one| one.subject).collect();
        let waived: Vec<_> = waived.into_iter().filter(|name| of_it(name)).collect();
        if !waived.is_empty() {
            return Some(format!("with waivers about {}", quoted(waived)));
        }
        let steps: Vec<_> = self
            .steps_of(phase)
            .iter()
            .flat_map(StepView::named)
            .collect();
        let tolerated = steps
            .iter()
            .filter(|(_, step)| step.status == StepStatus::Tolerated);
        let tolerated: Vec<_> = tolerated.map(|(name, _)| name.clone()).collect();
        if !tolerated.is_empty() {
            return Some(format!(
                "with failures that were tolerated: {}",
                quoted(tolerated)
            ));
        }
        let left_out = |step: &StepView| {
            let there = matches!(step.skipped.as_deref(), Some(SkipReason::AlreadyDone(_)));
            step.status == StepStatus::Skipped && !there
        };
        let none = steps.iter().all(|(_, step)| left_out(step));
        none.then(|| "and none of its steps ran".to_owned())
    }

    /// What a phase makes of a criterion: it is met when the phase passed without reservations, and the
    /// run did not go back.
    pub(super) fn by_phase(&self, name: &str) -> Option<Verdict> {
        let phase = self.phases.iter().find(|phase| phase.name == name)?;
        Some(match self.phase_status(phase) {
            PhaseStatus::Done if self.rollback.is_some() => Verdict::Fail,
            PhaseStatus::Done if self.phase_reservation(phase).is_some() => Verdict::Inconclusive,
            PhaseStatus::Done => Verdict::Pass,
            PhaseStatus::Skipped => Verdict::Inconclusive,
            PhaseStatus::Failed | PhaseStatus::Stopped => Verdict::Fail,
            PhaseStatus::Pending | PhaseStatus::Running => return None,
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a float that is too large becomes the largest number, which is meant"
)]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1_000.0) as i64
}
