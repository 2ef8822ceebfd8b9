//! One look of a [`Watcher`]: read, judged, counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::numbers::{medians, numbers};
use super::{EVIDENCE, JUMP_MS, Watcher, millis, together};
use crate::engine::clock::now_ms;
use crate::engine::job::READING_TIMEOUT;
use crate::engine::judge;
use crate::event::{Cause, Failure, Sample};
use crate::expr::{Expr, Verdict};
use crate::run::{keep_series, watch};
use crate::runbook::Sp;

/// A look that is later than this after the end, and than `every`, is not of the time that was watched.
const LATE: Duration = Duration::from_secs(1);

impl Watcher {
    /// Looks once and counts it; `None`: it was stopped.
    pub(super) async fn look(&mut self, missed: u64) -> Option<Sample> {
        let (at, began) = (now_ms(), Instant::now());
        let between = i64::try_from(began.duration_since(self.clocks.1).as_millis());
        let jump =
            (at - self.clocks.0) - between.unwrap_or(i64::MAX) + std::mem::take(&mut self.jumped);
        self.clocks = (at, began);
        let elapsed = self.elapsed();
        let band = self
            .criteria
            .bands
            .iter()
            .rposition(|band| band.from <= elapsed);
        let early = !self.criteria.bands.is_empty() && band.is_none();
        // long after its end nothing can be said of a band any more
        let late = self
            .rule
            .longest()
            .is_some_and(|end| elapsed > end + self.rule.every.max(LATE));
        let band = band.filter(|_| !late);
        let mut sample = Sample {
            nth: self.tally.looks + 1,
            at,
            elapsed_ms: millis(elapsed),
            took_ms: 0,
            verdict: Verdict::Inconclusive,
            values: BTreeMap::new(),
            evidence: Vec::new(),
            warnings: Vec::new(),
            failure: None,
            band,
            early,
            excused: false,
            missed,
            clock_jump_ms: if jump.abs() > JUMP_MS { jump } else { 0 },
        };
        self.read_and_judge(&mut sample).await?;
        sample.took_ms = millis(began.elapsed());
        watch::take(&mut self.tally, &sample);
        let wanted: Vec<String> = self
            .criteria
            .trends
            .iter()
            .map(|one| one.path.clone())
            .collect();
        keep_series(&mut self.series, &wanted, &sample);
        Some(sample)
    }

    async fn read_and_judge(&mut self, sample: &mut Sample) -> Option<()> {
        let exprs = self.exprs(sample.band);
        // what it saw belongs to the time in which it began as well as to that in which it ended
        let before = self.excused();
        match self.read(&exprs).await {
            Ok(result) => {
                sample.values = numbers(&result, &self.watched);
                let masker = &self.job.shared.masker;
                // a secret may be a number
                sample.values.retain(|_, value| {
                    let text = value.to_string();
                    masker.text(&text) == text
                });
                self.judge(sample, &exprs, result);
            }
            Err(failure) if failure.cause == Cause::Stopped => return None,
            Err(failure) => {
                sample.verdict = self.unread(&failure);
                sample.failure = Some(failure.message);
                self.job.scope.result = None;
                sample.excused = self.excused();
            }
        }
        sample.excused |= before && sample.verdict != Verdict::Pass;
        Some(())
    }

    /// What a look is judged by, in its band.
    fn exprs(&self, band: Option<usize>) -> Vec<Sp<Expr>> {
        let of_band = band.and_then(|at| self.criteria.bands.get(at));
        let of_band = of_band.iter().flat_map(|band| &band.expect);
        self.criteria
            .expect
            .iter()
            .chain(of_band)
            .cloned()
            .collect()
    }

    fn judge(&mut self, sample: &mut Sample, exprs: &[Sp<Expr>], result: Value) {
        self.job.scope.now = now_ms();
        self.note_phase();
        self.job.scope.result = Some(result);
        let masker = &self.job.shared.masker;
        let mut evidence = judge::judge(exprs, &self.job.scope, masker);
        sample.verdict = together(&evidence);
        if evidence.is_empty() && !self.criteria.trends.is_empty() {
            // trends are judged at the end: of one look only that its numbers are there
            let all = self.criteria.trends.iter();
            let there = all
                .into_iter()
                .all(|one| sample.values.contains_key(&one.path));
            sample.verdict = if there {
                Verdict::Pass
            } else {
                Verdict::Inconclusive
            };
        }
        if self.tally.looks > 0 {
            evidence.retain(|one| one.verdict != Verdict::Pass);
        }
        evidence.truncate(EVIDENCE);
        sample.evidence = evidence;
        let warn = judge::judge(&self.criteria.warn, &self.job.scope, masker);
        let crossed = warn.into_iter().filter(|one| one.verdict != Verdict::Pass);
        sample.warnings = crossed.take(EVIDENCE).collect();
        sample.excused = self.excused();
        self.result = self.job.scope.result.take();
    }

    /// The phase that runs, for a guard's expressions.
    fn note_phase(&mut self) {
        let running = self.job.shared.phases.borrow().clone();
        let its = running.iter().rfind(|phase| self.during.contains(phase));
        self.job.scope.phase = its.map(|phase| Value::from(phase.as_str()));
    }

    /// Whether what it comes to has no consequence now.
    fn excused(&mut self) -> bool {
        self.note_phase();
        let Some(unless) = &self.unless else {
            return false;
        };
        // what is not known excuses nothing
        unless.judge(&self.job.scope).verdict == Verdict::Pass
    }

    /// Reads once, or as often as one look asks for.
    async fn read(&mut self, exprs: &[Sp<Expr>]) -> Result<Value, Failure> {
        let longest = self.rule.timeout.or(self.job.step.timeout);
        let longest = longest.unwrap_or(READING_TIMEOUT);
        let mut results = Vec::with_capacity(1);
        for _ in 0..self.rule.median_of {
            results.push(self.job.read(&self.call, exprs, longest).await?);
        }
        Ok(medians(results))
    }

    /// What a look comes to that could not be read.
    fn unread(&self, failure: &Failure) -> Verdict {
        let answers = ["http", "log.", "shell"];
        let said_no = answers
            .iter()
            .any(|family| self.call.key.starts_with(family));
        match failure.cause {
            Cause::Expectation => Verdict::Fail,
            Cause::Failed if said_no => Verdict::Fail,
            Cause::Unreachable | Cause::Timeout if self.rule.unreachable_fails => Verdict::Fail,
            _ => Verdict::Error,
        }
    }
}
