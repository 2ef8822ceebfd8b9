//! What is said about steps and snapshots.

use super::super::escape::shown;
use super::super::look::Tone;
use super::super::text::{ms, numbered};
use super::words::{did, effect, failed_rest, failure_details, hint, skip_words};
use super::{Line, Teller};
use crate::event::{Report, SnapshotEvent, StepEvent};
use crate::view::StepView;

impl Teller {
    pub(super) fn step(&self, event: &StepEvent, at: i64, lines: &mut Vec<Line>) {
        match event {
            StepEvent::PhaseSkipped { phase, evidence } => {
                let rest = format!(" `when: {}` is false", shown(&evidence.expression));
                lines.push(self.at(at, phase, Tone::Odd, "skipped:", rest).stays());
            }
            StepEvent::Expanded { step, items } => {
                let rest = format!(" {}", numbered(items.len(), "item"));
                lines.push(self.at(at, &self.named(step), Tone::Neutral, "has", rest));
            }
            StepEvent::Checking { step, attempt } if *attempt == 1 => {
                lines.push(self.at(
                    at,
                    &self.named(step),
                    Tone::Neutral,
                    "checking",
                    String::new(),
                ));
            }
            StepEvent::Checking { .. } => {}
            StepEvent::Skipped { step, reason } => {
                let rest = format!(" {}", skip_words(reason));
                lines.push(self.at(at, &self.named(step), Tone::Odd, "skipped:", rest));
            }
            StepEvent::Started { step, attempt, .. } => {
                let action = self.view.step(step).map(|step| &step.outline.action);
                let mut rest = action.map_or_else(String::new, |key| format!(" {}", shown(key)));
                let last = self.view.step(step).and_then(|step| step.failures.last());
                let goes_on = last.is_some_and(|last| self.view.is_cut_off(step, &last.failure));
                if goes_on {
                    lines.push(self.at(at, &self.named(step), Tone::Neutral, "watches on:", rest));
                    return;
                }
                if *attempt > 1 {
                    rest.push_str(&format!(", attempt {attempt}"));
                }
                lines.push(self.at(at, &self.named(step), Tone::Neutral, "starts:", rest));
            }
            StepEvent::Acted { step, report, .. } => {
                let rest = format!(" after {}{}", ms(report.took_ms), did(report));
                let word = "acted, waiting for its effect";
                lines.push(self.at(at, &self.named(step), Tone::Neutral, word, rest));
            }
            StepEvent::Finished { step, report, .. } => {
                let took = self.view.step(step).and_then(StepView::took_ms);
                let rest = format!(" in {}{}", ms(took.unwrap_or(report.took_ms)), did(report));
                lines.push(self.at(at, &self.named(step), Tone::Good, "ok", rest));
                self.warnings(step, report, at, lines);
            }
            StepEvent::Failed { .. } => self.step_failed(event, at, lines),
            doubt => self.doubt(doubt, at, lines),
        }
    }

    /// What should hold and does not; of what is watched it was told when it began.
    fn warnings(&self, step: &str, report: &Report, at: i64, lines: &mut Vec<Line>) {
        if self.view.check(step).is_some() {
            return;
        }
        for one in &report.warnings {
            let rest = format!(" {}", shown(&super::super::watched::why(one)));
            let place = self.named(step);
            lines.push(self.at(at, &place, Tone::Odd, "warning:", rest).stays());
        }
    }

    fn step_failed(&self, event: &StepEvent, at: i64, lines: &mut Vec<Line>) {
        let StepEvent::Failed {
            step,
            attempt,
            failure,
            report,
            retry_at,
            tolerated,
        } = event
        else {
            return;
        };
        let (tone, word) = match (retry_at, tolerated) {
            (Some(_), _) => (Tone::Odd, "attempt failed"),
            (None, true) => (Tone::Odd, "failed, tolerated,"),
            (None, false) => (Tone::Bad, "failed"),
        };
        let place = self.named(step);
        if retry_at.is_some() && self.view.is_cut_off(step, failure) {
            let rest = "; goes on when the run does".to_owned();
            lines.push(
                self.at(at, &place, Tone::Odd, "stopped watching", rest)
                    .stays(),
            );
            return;
        }
        let rest = failed_rest(*attempt, failure, report, *retry_at, at);
        lines.push(self.at(at, &place, tone, word, rest).stays());
        lines.extend(failure_details(failure, report));
        self.warnings(step, report, at, lines);
        if self
            .view
            .step(step)
            .is_some_and(|step| step.outline.changes)
        {
            lines.extend(effect(failure));
        }
    }

    pub(super) fn snapshot(&self, event: &SnapshotEvent, at: i64, lines: &mut Vec<Line>) {
        let SnapshotEvent::Taken { moment, snapshots } = event else {
            return;
        };
        let failed = snapshots.iter().filter(|one| one.failure.is_some());
        let count = snapshots.len() - failed.clone().count();
        let place = format!("snapshots {}", moment.name());
        let rest = format!(" {count} of {}", snapshots.len());
        lines.push(self.at(at, &place, Tone::Neutral, "taken:", rest));
        for (one, failure) in failed.filter_map(|one| Some((one, one.failure.as_ref()?))) {
            let rest = format!(" {}: {}", shown(&one.name), shown(&failure.message));
            lines.push(self.at(at, &place, Tone::Bad, "failed:", rest).stays());
            lines.extend(hint(failure));
        }
    }
}
