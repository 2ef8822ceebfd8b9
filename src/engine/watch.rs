//! Watching: looks again and again, counts them by the rules of [`crate::run::watch`], and reports the
//! looks that say something new.
//!
//! A watcher lives in a task of its own and never decides what follows; looks that pass as before cost
//! no commit. It measures time by the clock that cannot jump, and says when the wall's did.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::clock::now_ms;
use super::job::{Job, READING_TIMEOUT};
use super::judge;
use crate::action::{Stop, pause};
use crate::event::{Cause, Failure, Judgement, Outcome, Report, Sample, Tally};
use crate::expr::{Evidence, Expr, Verdict};
use crate::run::{CheckState, InputKind, Watched, keep_series, watch};
use crate::runbook::Sp;
use crate::runbook::model::ActionUse;
use crate::runbook::watch::{Criteria, Length, Rule};

/// A difference of the clocks beyond this between two looks is a jump.
const JUMP_MS: i64 = 5_000;
/// Looks of a row that does not pass which are all kept.
const ROW_KEPT: u64 = 10;
/// Samples of one check beyond which only what cannot be left out is kept.
const MOST_KEPT: u64 = 5_000;
/// Expectations of one look that are kept.
const EVIDENCE: usize = 5;
/// The least time between two samples of a guard that say nothing new.
const GUARD_KEEPS: Duration = Duration::from_secs(60);

/// What is looked at and by what rule.
pub(super) struct Watcher {
    job: Job,
    call: ActionUse,
    criteria: Criteria,
    rule: Rule,
    unless: Option<Sp<Expr>>,
    /// Phases of a guard.
    during: Vec<String>,
    /// Whether every look that does not pass is kept, because its time is measured.
    measures: bool,
    /// Whether its verdict was told: what comes after is as any look.
    told: bool,
    pub(super) tally: Tally,
    series: BTreeMap<String, Vec<(f64, f64)>>,
    watched: Vec<String>,
    /// How long it had been watched when this watcher began.
    before: Duration,
    began: Instant,
    /// The clocks at the look before.
    clocks: (i64, Instant),
    /// A jump that happened while nobody looked.
    jumped: i64,
    kept: Option<Kept>,
    /// The last look, when it was not kept.
    unkept: Option<Box<Sample>>,
    /// The result of the last look that could be read.
    pub(super) result: Option<Value>,
}

/// The look that was kept last.
struct Kept {
    at: Instant,
    verdict: Verdict,
    band: Option<usize>,
    warned: bool,
    excused: bool,
}

/// What is watched, and what is known of it from before.
pub(super) struct Subject<'s> {
    pub(super) call: ActionUse,
    pub(super) criteria: Criteria,
    pub(super) rule: Rule,
    pub(super) unless: Option<Sp<Expr>>,
    pub(super) during: Vec<String>,
    pub(super) measures: bool,
    pub(super) state: Option<&'s CheckState>,
}

impl Watcher {
    pub(super) fn new(job: Job, subject: Subject<'_>) -> Self {
        let Subject {
            call,
            criteria,
            rule,
            unless,
            during,
            measures,
            state,
        } = subject;
        let (now, began) = (now_ms(), Instant::now());
        let tally = state.map(|state| state.tally.clone()).unwrap_or_default();
        let since = state.map_or(now, |state| state.began_at);
        let back = (now < tally.last_at).then(|| now - tally.last_at);
        let watched = criteria.watched();
        Self {
            series: state.map(|state| state.series.clone()).unwrap_or_default(),
            before: Duration::from_millis(u64::try_from(now - since).unwrap_or(tally.elapsed_ms)),
            job,
            call,
            criteria,
            rule,
            unless,
            during,
            measures,
            told: false,
            tally,
            watched,
            began,
            clocks: (now, began),
            jumped: back.unwrap_or(0),
            kept: None,
            unkept: None,
            result: None,
        }
    }

    fn elapsed(&self) -> Duration {
        self.before + self.began.elapsed()
    }

    /// Waits for the first look: the delay before it, counted from the very beginning.
    fn first(&self) -> Duration {
        self.rule.initial_delay.saturating_sub(self.before)
    }

    /// The time from now to the next look, and how many were due and are not taken any more. `from`: when
    /// the last one was due.
    fn next(&self, due: &mut Instant) -> u64 {
        let every = self.rule.every;
        *due += every;
        let mut missed = 0;
        let now = Instant::now();
        if *due + every <= now {
            let behind = now.duration_since(*due).as_nanos() / every.as_nanos().max(1);
            missed = u64::try_from(behind).unwrap_or(u64::MAX);
            *due += every.saturating_mul(u32::try_from(behind).unwrap_or(u32::MAX));
        }
        // the last look is taken at the very end
        if let Length::For(end) | Length::Within(end) = self.rule.length {
            let end = self.began + end.saturating_sub(self.before);
            if *due > end {
                *due = end.max(now);
            }
        }
        missed
    }

    /// Looks once and counts it; `None`: it was stopped.
    async fn look(&mut self, missed: u64) -> Option<Sample> {
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

    /// Whether a look is worth an event: it is the first, changes something, or the last one that was
    /// kept is some time ago.
    fn keeps(&mut self, sample: &Sample, ends: bool) -> bool {
        let every = match self.rule.longest() {
            Some(longest) => self.rule.every.max(longest / 1_000),
            None => self.rule.every.max(GUARD_KEEPS),
        };
        let many = self.tally.kept >= MOST_KEPT;
        let every = if many { every * 10 } else { every };
        let now = Instant::now();
        let keeps = match &self.kept {
            _ if ends => true,
            None => true,
            Some(kept) if now.duration_since(kept.at) + self.rule.every / 2 >= every => true,
            Some(_) if many => false,
            Some(kept) => {
                let row = self.tally.failed_row.max(self.tally.error_row);
                let row = row.max(self.tally.inconclusive_row);
                kept.verdict != sample.verdict
                    || kept.band != sample.band
                    || kept.warned == sample.warnings.is_empty()
                    || kept.excused != sample.excused
                    || sample.verdict != Verdict::Pass && (row <= ROW_KEPT || self.measures)
                    || sample.missed > 0
                    || sample.clock_jump_ms != 0
            }
        };
        if keeps {
            self.tally.kept += 1;
            self.kept = Some(Kept {
                at: now,
                verdict: sample.verdict,
                band: sample.band,
                warned: !sample.warnings.is_empty(),
                excused: sample.excused,
            });
        }
        keeps
    }

    /// A guard: looks until it is told to stop, and hands on what is to be kept.
    pub(super) async fn guard(mut self, round: u32, at: usize, tell: impl Fn(InputKind)) {
        let mut due = Instant::now() + self.first();
        let mut missed = 0;
        loop {
            if self.wait(due).await.is_none() {
                return;
            }
            let Some(sample) = self.look(missed).await else {
                return;
            };
            let broken = watch::verdict(&self.rule, &self.tally, 0).is_some();
            let ends = broken && !std::mem::replace(&mut self.told, broken);
            if self.keeps(&sample, ends) {
                tell(InputKind::GuardLooked {
                    guard: at,
                    round,
                    sample: Box::new(sample),
                    tally: Box::new(self.tally.clone()),
                });
            }
            missed = self.next(&mut due);
        }
    }

    /// Waits until then; `None`: it was stopped.
    async fn wait(&self, due: Instant) -> Option<()> {
        let mut stop = self.job.stop.clone();
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => Some(()),
            _ = stop.above(Stop::No) => None,
        }
    }

    /// A step: looks until its rule comes to a verdict, and hands on what is to be kept on the way.
    pub(super) async fn step(mut self, tell: impl Fn(Watched)) -> Watched {
        let began = pause::Stopwatch::start();
        let mut due = Instant::now() + self.first();
        let mut missed = 0;
        loop {
            let sample = match self.wait(due).await {
                Some(()) => self.look(missed).await,
                None => None,
            };
            let Some(sample) = sample else {
                return self.stopped(began.elapsed());
            };
            let verdict = watch::verdict(&self.rule, &self.tally, self.criteria.bands.len());
            let keeps = self.keeps(&sample, verdict.is_some());
            if let Some((verdict, why)) = verdict {
                return self.over(sample, verdict, why, began.elapsed());
            }
            let sample = Box::new(sample);
            match keeps {
                true => {
                    self.unkept = None;
                    tell(Watched {
                        sample: Some(sample),
                        tally: Box::new(self.tally.clone()),
                        judgement: None,
                        end: None,
                    });
                }
                false => self.unkept = Some(sample),
            }
            missed = self.next(&mut due);
        }
    }

    /// It was stopped before its end: what was counted is kept, and it is no pass.
    fn stopped(mut self, took: Duration) -> Watched {
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

    fn over(mut self, sample: Sample, verdict: Verdict, why: String, took: Duration) -> Watched {
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

    fn did(&self) -> String {
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

/// What several expectations of one look come to: what failed is said before what is not known.
fn together(evidence: &[Evidence]) -> Verdict {
    let any = |verdict: Verdict| evidence.iter().any(|one| one.verdict == verdict);
    let bad = [Verdict::Fail, Verdict::Error, Verdict::Inconclusive];
    match bad.into_iter().find(|verdict| any(*verdict)) {
        Some(verdict) => verdict,
        // nothing was expected of it
        None if evidence.is_empty() => Verdict::Inconclusive,
        None => Verdict::Pass,
    }
}

/// Numbers of a result at these paths.
fn numbers(result: &Value, paths: &[String]) -> BTreeMap<String, f64> {
    let number = |path: &String| {
        let value = path
            .split('.')
            .try_fold(result, |value, part| value.get(part))?;
        let number = match value {
            Value::Bool(flag) => f64::from(u8::from(*flag)),
            value => value.as_f64()?,
        };
        number.is_finite().then(|| (path.clone(), number))
    };
    paths.iter().filter_map(number).collect()
}

/// One result of several: of every number the median, all else as it was last. A number that is not in
/// every one of them is null, so that nothing passes by it.
pub(super) fn medians(mut results: Vec<Value>) -> Value {
    let Some(last) = results.pop() else {
        return Value::Null;
    };
    if results.is_empty() {
        return last;
    }
    results.push(last.clone());
    let all: Vec<&Value> = results.iter().collect();
    median_at(&last, &all)
}

fn median_at(last: &Value, all: &[&Value]) -> Value {
    match last {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let parts: Vec<&Value> = all.iter().filter_map(|one| one.get(key)).collect();
                let value = match parts.len() == all.len() {
                    true => median_at(value, &parts),
                    false => Value::Null,
                };
                (key.clone(), value)
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Number(_) | Value::Null => {
            let numbers: Vec<f64> = all.iter().filter_map(|one| one.as_f64()).collect();
            if numbers.len() < all.len() {
                return match all.iter().any(|one| one.is_number()) {
                    true => Value::Null,
                    false => last.clone(),
                };
            }
            let whole = all.iter().all(|one| one.is_i64());
            match watch::trend::median(numbers) {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a median of whole numbers that is whole"
                )]
                Some(median) if whole && median.fract() == 0.0 => Value::from(median as i64),
                Some(median) => Value::from(median),
                None => Value::Null,
            }
        }
        other => other.clone(),
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_median_is_of_every_reading_or_null() {
        let readings = |values: &[Value]| medians(values.to_vec());
        assert_eq!(
            readings(&[
                json!({ "p95_ms": 1.0, "n": 4, "name": "a", "in": { "x": 3 } }),
                json!({ "p95_ms": 90.0, "n": 8, "name": "b", "in": { "x": 1 } }),
                json!({ "p95_ms": 2.0, "n": 5, "name": "c", "in": { "x": 2 } }),
            ]),
            json!({ "p95_ms": 2.0, "n": 5, "name": "c", "in": { "x": 2 } })
        );
        assert_eq!(
            readings(&[
                json!({ "p": 1.0 }),
                json!({ "p": null }),
                json!({ "p": 3.0 })
            ]),
            json!({ "p": null })
        );
        assert_eq!(
            readings(&[json!({}), json!({ "p": 1 })]),
            json!({ "p": null })
        );
    }

    #[test]
    fn only_finite_numbers_are_watched() {
        let paths = [
            "a".to_owned(),
            "b.c".to_owned(),
            "d".to_owned(),
            "e".to_owned(),
        ];
        let found = numbers(&json!({ "a": 1, "b": { "c": true }, "d": null }), &paths);
        let wanted = [("a".to_owned(), 1.0), ("b.c".to_owned(), 1.0)];
        assert_eq!(found, BTreeMap::from(wanted));
    }
}
