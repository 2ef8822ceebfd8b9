//! Watching: looks again and again, counts them by the rules of [`crate::run::watch`], and reports the
//! looks that say something new.
//!
//! A watcher lives in a task of its own and never decides what follows; looks that pass as before cost
//! no commit. It measures time by the clock that cannot jump, and says when the wall's did.

mod end;
mod look;
pub(super) mod numbers;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::clock::now_ms;
use super::job::Job;
use crate::action::{Stop, pause};
use crate::event::{Sample, Tally};
use crate::expr::{Evidence, Expr, Verdict};
use crate::run::{CheckState, InputKind, Watched, watch};
use crate::runbook::Sp;
use crate::runbook::model::ActionUse;
use crate::runbook::watch::{Criteria, Length, Rule};

/// A difference of the clocks beyond this between two looks is a jump.
const JUMP_MS: i64 = 5_000;
/// A look that takes so many times `every` is a gap.
const SLOW: u32 = 10;
/// Looks of a row that does not pass which are all kept.
const ROW_KEPT: u64 = 10;
/// Samples of one check beyond which only what cannot be left out is kept.
const MOST_KEPT: u64 = 5_000;
/// Expectations of one look that are kept.
const EVIDENCE: usize = 5;
/// The least time between two samples of a guard that say nothing new.
const GUARD_KEEPS: Duration = Duration::from_secs(20);

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
    /// The verdict that was told: what comes after is as any look, up to another verdict.
    told: Option<Verdict>,
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
    /// Looks that were due while the last one took its time.
    stood_still: u64,
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
            told: None,
            tally,
            watched,
            began,
            clocks: (now, began),
            jumped: back.unwrap_or(0),
            stood_still: 0,
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

    /// When the next look is due. One that takes longer than `every` delays the next, and none is missed
    /// by that.
    fn next(&mut self, due: Instant) -> Instant {
        let (now, every) = (Instant::now(), self.rule.every);
        let took = now.saturating_duration_since(self.clocks.1);
        if took >= every.saturating_mul(SLOW) {
            // so long that it is a gap, whether the target or this machine stood still
            let due = took.as_nanos() / every.as_nanos().max(1);
            self.stood_still = u64::try_from(due).unwrap_or(u64::MAX) - 1;
        }
        let next = (due + every).max(now);
        match self.rule.length {
            // the last look is taken at the very end
            Length::For(end) | Length::Within(end) => {
                let end = self.began + end.saturating_sub(self.before);
                if next > end { end.max(now) } else { next }
            }
            Length::Count(_) | Length::Phases => next,
        }
    }

    /// How many looks did not take place because nobody was awake when they were due, or because the one
    /// before stood still.
    fn slept(&mut self, due: Instant) -> u64 {
        let late = Instant::now().saturating_duration_since(due).as_nanos();
        let late = u64::try_from(late / self.rule.every.as_nanos().max(1)).unwrap_or(u64::MAX);
        late.saturating_add(std::mem::take(&mut self.stood_still))
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
    pub(super) async fn guard(
        mut self,
        round: u32,
        at: usize,
        live: Arc<Mutex<Tally>>,
        tell: impl Fn(InputKind),
    ) {
        let mut due = Instant::now() + self.first();
        loop {
            if self.wait(due).await.is_none() {
                return;
            }
            let missed = self.slept(due);
            if missed > 0 {
                due = Instant::now();
            }
            let Some(sample) = self.look(missed).await else {
                return;
            };
            live.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone_from(&self.tally);
            let verdict = watch::verdict(&self.rule, &self.tally, 0).map(|(verdict, _)| verdict);
            let verdict = verdict.filter(|_| sample.verdict != Verdict::Pass);
            let ends = verdict.is_some() && verdict != self.told;
            self.told = verdict;
            if self.keeps(&sample, ends) {
                tell(InputKind::GuardLooked {
                    guard: at,
                    round,
                    sample: Box::new(sample),
                    tally: Box::new(self.tally.clone()),
                });
            }
            due = self.next(due);
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
        loop {
            let sample = match self.wait(due).await {
                Some(()) => {
                    let missed = self.slept(due);
                    if missed > 0 {
                        due = Instant::now();
                    }
                    self.look(missed).await
                }
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
            due = self.next(due);
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
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
