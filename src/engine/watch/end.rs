//! The end of a step's watch: its verdict with trends, its report, and why it failed.

use std::time::Duration;

use super::{Watcher, millis, together};
use crate::engine::job::READING_TIMEOUT;
use crate::engine::judge;
use crate::event::{Cause, Failure, Judgement, Outcome, Report, Sample};
use crate::expr::{Evidence, Verdict};
use crate::run::{Watched, watch};

impl Watcher {
    /// It was stopped before its end: what was counted is kept, and it is no pass.
    pub(super) fn stopped(mut self, took: Duration) -> Watched {
        let failure = Failure {
            cause: Cause::Stopped,
            outcome: Outcome::NotApplied,
            message: "the watch was stopped before its end".into(),
            hint: None,
        };
        let report = Report {
            took_ms: millis(took),
            did: self.did(),
            ..Report::default()
        };
        Watched {
            sample: self.unkept.take(),
            tally: Box::new(self.tally),
            judgement: None,
            end: Some(Box::new((Box::new(report), Some(failure)))),
        }
    }

    pub(super) fn over(
        mut self,
        sample: Sample,
        verdict: Verdict,
        why: String,
        took: Duration,
    ) -> Watched {
        let (verdict, why, trends) = self.with_trends(verdict, why);
        let mut evidence = sample.evidence.clone();
        evidence.extend(trends);
        let failure = self.failure(verdict, &why, &sample, &evidence);
        let judgement = Judgement {
            verdict,
            why,
            tally: self.tally.clone(),
            evidence: evidence.clone(),
            then: None,
        };
        let mut report = Report {
            took_ms: millis(took),
            did: self.did(),
            evidence,
            warnings: sample.warnings.clone(),
            ..Report::default()
        };
        let failure = failure.or_else(|| self.outputs(&mut report).err());
        Watched {
            sample: Some(Box::new(sample)),
            tally: Box::new(std::mem::take(&mut self.tally)),
            judgement: Some(Box::new(judgement)),
            end: Some(Box::new((Box::new(report), failure))),
        }
    }

    /// The result and the outputs of the step: those of the last look that could be read.
    fn outputs(&mut self, report: &mut Report) -> Result<(), Failure> {
        let result = self.result.take().unwrap_or_default();
        let output = self.job.probe_output();
        let cx = self.job.context(&output, READING_TIMEOUT);
        self.job.take_in(&cx, result, report)?;
        self.job.hand_over(report)
    }

    pub(super) fn did(&self) -> String {
        let tally = &self.tally;
        let mut text = format!("{} looks, {} passed", tally.looks, tally.passed);
        let others = [
            (tally.warned, "with a warning"),
            (tally.failed, "failed"),
            (tally.inconclusive, "inconclusive"),
            (tally.errors, "errors"),
            (tally.early, "before the first band"),
            (tally.missed, "missed"),
        ];
        for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
            text += &format!(", {count} {what}");
        }
        text
    }

    /// A pass has to move as wanted, too.
    fn with_trends(&self, verdict: Verdict, why: String) -> (Verdict, String, Vec<Evidence>) {
        if verdict != Verdict::Pass {
            return (verdict, why, Vec::new());
        }
        let empty = Vec::new();
        let judged = self.criteria.trends.iter().map(|wanted| {
            let series = self.series.get(&wanted.path).unwrap_or(&empty);
            let (verdict, reason) = watch::trend::judge(wanted, series);
            Evidence {
                expression: format!("trend: {} {}", wanted.path, wanted.wanted.word()),
                verdict,
                values: Vec::new(),
                reason: Some(reason),
            }
        });
        let judged: Vec<Evidence> = judged.collect();
        let worst = together(&judged);
        match (judged.is_empty(), worst) {
            (true, _) | (false, Verdict::Pass) => (verdict, why, judged),
            (false, worst) => {
                let missed = judged.iter().find(|one| one.verdict == worst);
                let reason = missed.and_then(|one| one.reason.clone());
                let named = missed.map_or("", |one| one.expression.as_str());
                let why = format!("`{named}`: {}", reason.unwrap_or_default());
                (worst, why, judged)
            }
        }
    }

    fn failure(
        &self,
        verdict: Verdict,
        why: &str,
        sample: &Sample,
        evidence: &[Evidence],
    ) -> Option<Failure> {
        let (cause, word) = match verdict {
            Verdict::Pass => return None,
            Verdict::Fail => (Cause::Expectation, "the watch failed"),
            Verdict::Inconclusive => (Cause::Undecided, "the watch is inconclusive"),
            Verdict::Error => (Cause::Undecided, "the watch has no answer"),
        };
        let last = judge::failure(evidence, Outcome::NotApplied).map(|failure| failure.message);
        let last = last
            .filter(|_| !why.starts_with("`trend"))
            .or_else(|| sample.failure.clone());
        let last = last.map_or_else(String::new, |last| format!("; the last look: {last}"));
        Some(Failure {
            cause,
            outcome: Outcome::NotApplied,
            message: format!("{word}: {why}{last}"),
            hint: None,
        })
    }
}
