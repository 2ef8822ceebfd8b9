//! Checks as readers see them: guards, and steps with `watch`; their samples, verdicts, and the time in
//! which they failed.

use super::RunView;
use crate::event::{CheckEvent, CheckOutline, Judgement, Sample, Tally};
use crate::expr::Verdict;

/// Samples that a view keeps of one check; a lean one keeps what a sparkline shows.
const KEPT: usize = 6_000;
const KEPT_LEAN: usize = 120;

/// A guard, or a step with `watch`.
#[derive(Clone, Debug, Default)]
pub struct CheckView {
    /// The guard, or the step with its item.
    pub name: String,
    /// What it is.
    pub outline: CheckOutline,
    /// When it began first, in milliseconds since the Unix epoch.
    pub began_at: i64,
    /// How many times it began anew.
    pub rounds: u32,
    /// All looks since it began last.
    pub tally: Tally,
    /// Looks that were kept, in their order.
    pub samples: Vec<Sample>,
    /// Looks that were kept and are not in [`CheckView::samples`]: the oldest.
    pub dropped: usize,
    /// Its verdicts, with their times.
    pub judged: Vec<(i64, Judgement)>,
    /// How it ended, with the time.
    pub ended: Option<(i64, Judgement)>,
    /// Where nobody looked, in its order: when looking went on, and how many looks were missed.
    pub gaps: Vec<(i64, u64)>,
    /// From when to when it failed; the last may be open.
    pub failing: Vec<(i64, Option<i64>)>,
}

impl CheckView {
    /// The last look that was kept.
    pub fn last(&self) -> Option<&Sample> {
        self.samples.last()
    }

    /// Milliseconds in which it failed, up to `now` where it still does.
    pub fn failing_ms(&self, now: i64) -> u64 {
        let long =
            |(from, to): &(i64, Option<i64>)| u64::try_from(to.unwrap_or(now) - from).unwrap_or(0);
        self.failing.iter().map(long).sum()
    }

    fn look(&mut self, sample: &Sample, tally: &Tally, lean: bool) {
        self.tally = tally.clone();
        match (sample.verdict, self.failing.last_mut()) {
            (Verdict::Fail, None | Some((_, Some(_)))) => self.failing.push((sample.at, None)),
            (Verdict::Pass, Some((_, to @ None))) => *to = Some(sample.at),
            _ => {}
        }
        let mut sample = sample.clone();
        if lean {
            sample.evidence.clear();
            sample.warnings.truncate(1);
        }
        self.samples.push(sample);
        let most = if lean { KEPT_LEAN } else { KEPT };
        if self.samples.len() > most {
            let more = self.samples.len() - most;
            self.samples.drain(..more);
            self.dropped += more;
        }
    }
}

impl RunView {
    /// The check of that name.
    pub fn check(&self, name: &str) -> Option<&CheckView> {
        self.checks.iter().find(|check| check.name == name)
    }

    pub(super) fn apply_check(&mut self, event: &CheckEvent, at: i64) {
        let lean = self.lean;
        if let CheckEvent::Began { check, outline } = event {
            match self.checks.iter_mut().find(|one| one.name == *check) {
                Some(known) => {
                    known.rounds += 1;
                    known.tally = Tally::default();
                    known.ended = None;
                }
                None => self.checks.push(CheckView {
                    name: check.clone(),
                    outline: (**outline).clone(),
                    began_at: at,
                    rounds: 1,
                    ..CheckView::default()
                }),
            }
            return;
        }
        let name = event.check();
        let Some(check) = self.checks.iter_mut().find(|one| one.name == name) else {
            return;
        };
        match event {
            CheckEvent::Began { .. } => {}
            CheckEvent::GoesOn { missed, .. } => check.gaps.push((at, *missed)),
            CheckEvent::Looked { sample, tally, .. } => check.look(sample, tally, lean),
            CheckEvent::Judged { judgement, .. } => check.judged.push((at, (**judgement).clone())),
            CheckEvent::Ended { judgement, .. } => {
                check.ended = Some((at, (**judgement).clone()));
            }
        }
    }
}
