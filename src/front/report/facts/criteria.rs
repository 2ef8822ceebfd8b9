//! What makes a run a success, and what a signature under it rests on.

use crate::event::{Criterion, Horizon, RunStatus};
use crate::expr::{Evidence, Verdict};
use crate::view::{PhaseStatus, RunView};

/// What became of a criterion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum State {
    /// It holds.
    Met,
    /// It does not.
    NotMet,
    /// It was judged, and nothing can be said.
    Inconclusive,
    /// It was not judged yet.
    Open,
}

impl State {
    /// The words for people, and the value in JSON.
    pub(in super::super) fn words(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::NotMet => "not met",
            Self::Inconclusive => "inconclusive",
            Self::Open => "open",
        }
    }
}

/// A criterion, and what became of it.
pub(in super::super) struct Judged<'a> {
    /// What the runbook says.
    pub(in super::super) criterion: &'a Criterion,
    /// What became of it.
    pub(in super::super) state: State,
    /// Why, or what is waited for.
    pub(in super::super) why: String,
    /// When somebody judged it, and who.
    pub(in super::super) closed: Option<(i64, &'a str)>,
    /// When it is due, in milliseconds since the Unix epoch.
    pub(in super::super) due: Option<i64>,
    /// What it rests on.
    pub(in super::super) evidence: &'a [Evidence],
}

impl Judged<'_> {
    /// What has to hold, in words.
    pub(in super::super) fn what(&self) -> String {
        match (&self.criterion.phase, &self.criterion.expect) {
            (Some(phase), _) => format!("phase `{phase}` passes"),
            (None, Some(expect)) => format!("`{expect}`"),
            (None, None) => self.criterion.id.clone(),
        }
    }

    /// When it has to hold, in words.
    pub(in super::super) fn when(&self) -> &'static str {
        match self.criterion.horizon {
            Horizon::Immediate => "immediate",
            Horizon::ShortTerm => "short term",
            Horizon::LongTerm => "long term",
        }
    }
}

/// The criteria by horizon.
pub(in super::super) fn criteria(view: &RunView) -> Vec<Judged<'_>> {
    let mut all: Vec<_> = view.header.criteria.iter().collect();
    all.sort_by_key(|one| one.horizon);
    all.into_iter().map(|one| judge(view, one)).collect()
}

fn judge<'a>(view: &'a RunView, criterion: &'a Criterion) -> Judged<'a> {
    let due = view.ended_at.zip(criterion.within_s).map(|(end, within)| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a length of time in a runbook; the cast saturates"
        )]
        let within = (within * 1_000.0) as i64;
        end.saturating_add(within)
    });
    let of = |one: &(i64, &str, &crate::event::CloseOut)| one.2.criterion == criterion.id;
    if let Some((at, _, close_out)) = view.close_outs().into_iter().rev().find(of) {
        return Judged {
            criterion,
            state: match close_out.verdict {
                Verdict::Pass => State::Met,
                Verdict::Fail => State::NotMet,
                Verdict::Inconclusive | Verdict::Error => State::Inconclusive,
            },
            // no expression was asked: a person said so
            why: match (&close_out.comment, close_out.evidence.is_empty()) {
                (Some(comment), true) => format!("by hand: {comment}"),
                (None, true) => "by hand".into(),
                (comment, false) => comment.clone().unwrap_or_default(),
            },
            closed: Some((at, &close_out.who)),
            due,
            evidence: &close_out.evidence,
        };
    }
    let (state, why) = match &criterion.phase {
        Some(name) => by_phase(view, name),
        None => (State::Open, String::new()),
    };
    Judged {
        criterion,
        state,
        why,
        closed: None,
        due,
        evidence: &[],
    }
}

/// What a phase makes of a criterion that rests on it.
fn by_phase(view: &RunView, name: &str) -> (State, String) {
    let Some(phase) = view.phases.iter().find(|one| one.name == name) else {
        return (State::Inconclusive, "there is no such phase".into());
    };
    let back = view.rollback.is_some();
    let status = view.phase_status(phase);
    match status {
        PhaseStatus::Done if back => (State::NotMet, "it passed, and the run went back".into()),
        PhaseStatus::Done => match view.phase_reservation(phase) {
            Some(why) => (State::Inconclusive, format!("the phase is over, {why}")),
            None => (State::Met, "the phase passed".into()),
        },
        PhaseStatus::Skipped => (State::Inconclusive, "the phase was left out".into()),
        PhaseStatus::Failed => (State::NotMet, "the phase failed".into()),
        PhaseStatus::Stopped => (State::NotMet, "the phase did not come to its end".into()),
        PhaseStatus::Pending | PhaseStatus::Running
            if view.status.is_over() && !view.status.is_parked() =>
        {
            (State::NotMet, "it did not come to the phase".into())
        }
        PhaseStatus::Pending | PhaseStatus::Running => {
            (State::Open, format!("the phase is {}", status.words()))
        }
    }
}

/// What a signature after the run rests on: each with whether it holds; `None`: not known yet.
pub(in super::super) fn checks(view: &RunView) -> Vec<(String, Option<bool>)> {
    let over = view.status.is_over();
    let known = |holds: bool| (over || !holds).then_some(holds);
    let mut all = vec![phases_over(view), expectations_passed(view)];
    let doubts = view.in_doubt().len();
    let text = match doubts {
        0 => "no step is in doubt".into(),
        1 => "1 step is in doubt".into(),
        _ => format!("{doubts} steps are in doubt"),
    };
    all.push((text, known(doubts == 0)));
    if let Some(back) = &view.rollback {
        let well = matches!(view.status, RunStatus::RolledBack | RunStatus::Cancelled);
        let well = well && back.is_whole();
        all.push(("what was changed is taken back".into(), known(well)));
    }
    all.extend(criteria_met(view));
    all
}

fn phases_over(view: &RunView) -> (String, Option<bool>) {
    let well = |phase: &&crate::view::PhaseView| {
        matches!(
            view.phase_status(phase),
            PhaseStatus::Done | PhaseStatus::Skipped
        )
    };
    let count = view.phases.iter().filter(well).count();
    let all = view.phases.len();
    let holds = match (count == all, view.status.is_over()) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    };
    (format!("{count} of {all} phases are over and well"), holds)
}

fn expectations_passed(view: &RunView) -> (String, Option<bool>) {
    let (judged, passed) = super::verdicts(view);
    let text = format!("{passed} of {judged} expectations passed");
    (text, (judged > 0).then_some(passed == judged))
}

fn criteria_met(view: &RunView) -> Option<(String, Option<bool>)> {
    let criteria = criteria(view);
    let count = |state| criteria.iter().filter(|one| one.state == state).count();
    let (met, open, all) = (count(State::Met), count(State::Open), criteria.len());
    let text = match open {
        0 => format!("{met} of {all} success criteria are met"),
        _ => format!("{met} of {all} success criteria are met, {open} still open"),
    };
    let holds = match (met + open == all, open) {
        (true, 0) => Some(true),
        (true, _) => None,
        (false, _) => Some(false),
    };
    (all > 0).then_some((text, holds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn criteria_are_judged_by_phases_and_by_people() {
        let view = RunView::replay(&samples::signed());
        let told: Vec<_> = criteria(&view)
            .iter()
            .map(|one| {
                (
                    one.when(),
                    one.what(),
                    one.state.words(),
                    one.closed.is_some(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (
                    "immediate",
                    "phase `validate` passes".to_owned(),
                    "inconclusive",
                    false
                ),
                (
                    "short term",
                    "`snapshots.after.cache.hit_rate > 0.70`".to_owned(),
                    "met",
                    true
                ),
                (
                    "long term",
                    "`probe.cache.hit_rate > 0.80`".to_owned(),
                    "open",
                    false
                ),
            ]
        );
        assert_eq!(
            criteria(&view)[2].due,
            view.ended_at.map(|end| end + 86_400_000)
        );
        let mut back = RunView::replay(&samples::rolled_back(false));
        back.header.criteria.clone_from(&view.header.criteria);
        assert_eq!(criteria(&back)[0].state, State::NotMet);
    }

    #[test]
    fn what_a_signature_rests_on_is_not_said_better_than_it_is() {
        let told = |events: &[crate::event::Event]| checks(&RunView::replay(events));
        assert!(
            told(&samples::success())
                .iter()
                .all(|(_, holds)| *holds == Some(true))
        );
        let back = told(&samples::rolled_back(true));
        assert_eq!(
            back[0],
            ("1 of 3 phases are over and well".into(), Some(false))
        );
        assert_eq!(
            back[3],
            ("what was changed is taken back".into(), Some(false))
        );
        let going = told(&samples::success()[..5]);
        assert_eq!(going[0].1, None);
    }
}
