//! Checks as readers see them: guards, and steps with `watch`; their samples, verdicts, and the times
//! in which they failed, warned, or nobody looked.
//!
//! Main type: [`CheckView`]. What is known of earlier rounds (a step that was retried, a guard that
//! was armed again) is kept beside the current one. Must not: make up looks that nobody took.

use super::{AttemptFailed, RunView, StepStatus, StepView};
use crate::event::{CheckEvent, CheckOutline, Judgement, Sample, Tally};
use crate::expr::Verdict;

/// Samples that a view keeps of one check; a lean one keeps what a sparkline shows.
const KEPT: usize = 6_000;
const KEPT_LEAN: usize = 120;

/// Gaps that a view keeps of one check; more are in the tally alone.
const GAPS: usize = 1_000;

/// A guard, or a step with `watch`.
#[derive(Clone, Debug, Default)]
pub struct CheckView {
    /// The guard, or the step with its item.
    pub name: String,
    /// What it is.
    pub outline: CheckOutline,
    /// When it began first, in milliseconds since the Unix epoch.
    pub began_at: i64,
    /// When it began last: bands count from there.
    pub round_at: i64,
    /// How many times it began anew.
    pub rounds: u32,
    /// All looks since it began last.
    pub tally: Tally,
    /// Looks of the rounds before that; only its counts and sums mean something.
    pub earlier: Tally,
    /// Looks that were kept, in their order.
    pub samples: Vec<Sample>,
    /// Looks that were kept and are not in [`CheckView::samples`]: the oldest.
    pub dropped: usize,
    /// Its verdicts, with their times.
    pub judged: Vec<(i64, Judgement)>,
    /// Whether there is a verdict since it began last.
    pub settled: bool,
    /// How it ended, with the time.
    pub ended: Option<(i64, Judgement)>,
    /// Where nobody looked, in their order.
    pub gaps: Vec<Gap>,
    /// From when to when it failed; the last may be open.
    pub failing: Vec<(i64, Option<i64>)>,
    /// From when to when it crossed a threshold of the kind `warning`; the last may be open.
    pub warned: Vec<(i64, Option<i64>)>,
}

/// A stretch in which looks were due and nobody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last look before it, in milliseconds since the Unix epoch, as far as it is known.
    pub from: i64,
    /// When looking went on.
    pub to: i64,
    /// How many looks were due.
    pub missed: u64,
}

impl CheckView {
    /// The last look that was kept.
    pub fn last(&self) -> Option<&Sample> {
        self.samples.last()
    }

    /// Whether it is still to be looked at.
    pub fn is_open(&self) -> bool {
        self.ended.is_none() && (self.outline.guard || !self.settled)
    }

    /// Its verdict since it began last, if there is one.
    pub fn verdict(&self) -> Option<&Judgement> {
        match self.settled {
            true => self.judged.last().map(|(_, one)| one),
            false => self.ended.as_ref().map(|(_, one)| one),
        }
    }

    /// What it came to as a whole: of a step the last verdict, of a guard the worst that it ever had,
    /// with its time.
    pub fn outcome(&self) -> Option<(i64, &Judgement)> {
        let own = self.ended.iter().filter(|_| !self.settled);
        let mut all = self.judged.iter().chain(own).map(|(at, one)| (*at, one));
        match self.outline.guard {
            false => all.next_back(),
            true => all.min_by_key(|(_, one)| weight(one.verdict)),
        }
    }

    /// Looks of all rounds together.
    pub fn total(&self) -> Tally {
        let mut total = self.tally.clone();
        add(&mut total, &self.earlier);
        total
    }

    /// When the next look is due, in milliseconds since the Unix epoch; `None`: none is, or there was
    /// none yet.
    pub fn next_at(&self, now: i64) -> Option<i64> {
        if !self.is_open() || self.tally.last_at == 0 {
            return None;
        }
        let every = i64::try_from(self.outline.every_ms).ok()?.max(1);
        // looks that said nothing new are not in the journal
        let since = now.saturating_sub(self.tally.last_at).max(0);
        let next = self.tally.last_at + (since / every + 1) * every;
        Some(self.ends_at().map_or(next, |end| next.min(end.max(now))))
    }

    /// When its time is over, in milliseconds since the Unix epoch.
    pub fn ends_at(&self) -> Option<i64> {
        let length = i64::try_from(self.outline.length_ms?).ok()?;
        Some(self.round_at.saturating_add(length))
    }

    /// The time band at that moment, from 0.
    pub fn band_at(&self, now: i64) -> Option<usize> {
        let elapsed = u64::try_from(now.saturating_sub(self.round_at)).unwrap_or(0);
        let bands = &self.outline.bands;
        bands.iter().rposition(|band| band.from_ms <= elapsed)
    }

    /// Milliseconds in which it failed, up to `now` where it still does.
    pub fn failing_ms(&self, now: i64) -> u64 {
        let until = self.watched_until(now);
        let long = |(from, to): &(i64, Option<i64>)| {
            u64::try_from(to.unwrap_or(until) - from).unwrap_or(0)
        };
        self.failing.iter().map(long).sum()
    }

    /// Up to when something can be said of it: `now`, or when it was looked at no more.
    pub fn watched_until(&self, now: i64) -> i64 {
        self.ended.as_ref().map_or(now, |(at, _)| now.min(*at))
    }

    fn begin(&mut self, at: i64) {
        add(&mut self.earlier, &self.tally);
        // from the end of the round before nobody looked, and what it failed in goes on until it is
        // seen to pass
        if let Some((ended, _)) = self.ended.take() {
            self.gap(ended, at, 0);
        }
        self.rounds += 1;
        self.round_at = at;
        self.tally = Tally::default();
        self.settled = false;
    }

    fn goes_on(&mut self, at: i64, missed: u64) {
        self.tally.missed += missed;
        if missed > 0 {
            self.gap(self.tally.last_at.max(self.round_at), at, missed);
        }
    }

    /// A verdict counts also the looks that were not kept.
    fn counted(&mut self, judgement: &Judgement) {
        if judgement.tally.looks >= self.tally.looks {
            self.tally = judgement.tally.clone();
        }
    }

    fn gap(&mut self, from: i64, to: i64, missed: u64) {
        if self.gaps.len() < GAPS && to > from {
            self.gaps.push(Gap { from, to, missed });
        }
    }

    fn look(&mut self, sample: &Sample, tally: &Tally, lean: bool) {
        if sample.missed > 0 {
            let every = i64::try_from(self.outline.every_ms).unwrap_or(i64::MAX);
            let long = every.saturating_mul(i64::try_from(sample.missed).unwrap_or(i64::MAX));
            let from = sample.at.saturating_sub(long.saturating_add(every));
            // looks that were not kept may lie behind the last that was
            let from = from.max(self.tally.last_at).max(self.round_at);
            self.gap(from, sample.at, sample.missed);
        }
        self.tally = tally.clone();
        span(
            &mut self.failing,
            sample.verdict == Verdict::Fail,
            sample.verdict == Verdict::Pass,
            sample.at,
        );
        span(
            &mut self.warned,
            !sample.warnings.is_empty(),
            sample.verdict == Verdict::Pass && sample.warnings.is_empty(),
            sample.at,
        );
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

/// Opens a stretch, or closes the one that is open; a look that says neither changes nothing.
fn span(spans: &mut Vec<(i64, Option<i64>)>, begins: bool, ends: bool, at: i64) {
    match spans.last_mut() {
        Some((_, to @ None)) if ends => *to = Some(at),
        None | Some((_, Some(_))) if begins => spans.push((at, None)),
        _ => {}
    }
}

fn weight(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fail => 0,
        Verdict::Error => 1,
        Verdict::Inconclusive => 2,
        Verdict::Pass => 3,
    }
}

/// Adds the counts and sums of a tally; rows, times and bands stay those of `to`.
fn add(to: &mut Tally, more: &Tally) {
    to.looks += more.looks;
    to.passed += more.passed;
    to.warned += more.warned;
    to.failed += more.failed;
    to.inconclusive += more.inconclusive;
    to.errors += more.errors;
    to.excused += more.excused;
    to.early += more.early;
    to.missed += more.missed;
    to.failing_ms += more.failing_ms;
    to.failing_spans += more.failing_spans;
    to.clock_jumps += more.clock_jumps;
    to.kept += more.kept;
}

impl RunView {
    /// The check of that name.
    pub fn check(&self, name: &str) -> Option<&CheckView> {
        self.checks.iter().find(|check| check.name == name)
    }

    /// Whether a step's attempt ended because its watch was stopped with the run: it goes on when the
    /// run does, and is no failure.
    pub fn is_cut_off(&self, step: &str, failure: &crate::event::Failure) -> bool {
        let watches = self.check(step).is_some_and(|one| !one.outline.guard);
        watches && failure.cause == crate::event::Cause::Stopped
    }

    /// Whether a step stands still because its watch was stopped with the run.
    pub fn is_watch_paused(&self, name: &str, step: &StepView) -> bool {
        let last = step.failures.last();
        step.status == StepStatus::Waiting
            && last.is_some_and(|one| self.is_cut_off(name, &one.failure))
    }

    /// The attempts of a step that failed by themselves.
    pub fn failures_of<'s>(&self, name: &str, step: &'s StepView) -> Vec<&'s AttemptFailed> {
        let over = step.status.is_over();
        let last = step.failures.len().saturating_sub(1);
        let all = step.failures.iter().enumerate();
        let counts = |(at, one): &(usize, &AttemptFailed)| {
            !self.is_cut_off(name, &one.failure) || over && *at == last
        };
        all.filter(counts).map(|(_, one)| one).collect()
    }

    /// The guard that holds the run: it does not hold, and nobody went on from there.
    pub fn held_by(&self) -> Option<(&CheckView, &Judgement)> {
        let pause = Some(crate::event::Then::Pause);
        self.checks.iter().find_map(|check| {
            let said = check.verdict().filter(|_| check.outline.guard)?;
            (said.then == pause && check.ended.is_none()).then_some((check, said))
        })
    }

    pub(super) fn apply_check(&mut self, event: &CheckEvent, at: i64) {
        let lean = self.lean;
        let name = event.check();
        let known = self.checks.iter_mut().find(|one| one.name == name);
        let (check, event) = match (known, event) {
            (Some(check), event) => (check, event),
            (None, CheckEvent::Began { check, outline }) => {
                self.checks.push(CheckView {
                    name: check.clone(),
                    outline: (**outline).clone(),
                    began_at: at,
                    round_at: at,
                    rounds: 1,
                    ..CheckView::default()
                });
                return;
            }
            (None, _) => return,
        };
        match event {
            CheckEvent::Began { .. } => check.begin(at),
            CheckEvent::GoesOn { missed, .. } => check.goes_on(at, *missed),
            CheckEvent::Looked { sample, tally, .. } => check.look(sample, tally, lean),
            CheckEvent::Judged { judgement, .. } => {
                check.counted(judgement);
                check.settled = true;
                check.judged.push((at, (**judgement).clone()));
            }
            CheckEvent::Ended { judgement, .. } => {
                check.counted(judgement);
                check.ended = Some((at, (**judgement).clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples::{self, START};

    fn check(view: &RunView, name: &str) -> CheckView {
        view.check(name).cloned().unwrap()
    }

    #[test]
    fn what_a_check_came_to_is_kept_with_where_nobody_looked() {
        let view = RunView::replay(&samples::watched());
        let login = check(&view, "login");
        assert_eq!(
            login.outcome().map(|(_, said)| said.verdict),
            Some(Verdict::Pass)
        );
        assert_eq!((login.tally.looks, login.tally.missed), (41, 20));
        let [gap] = login.gaps[..] else {
            panic!("one gap: {:?}", login.gaps)
        };
        assert_eq!((gap.missed, gap.to - gap.from), (20, 21_000));
        // the warning ended before the look that failed came to a band of its own
        assert_eq!(login.warned.len(), 1);
        let (from, to) = login.warned[0];
        assert_eq!(to.map(|to| to - from), Some(24_000));
        assert_eq!(login.failing_ms(i64::MAX), 1_000);
        assert!(!login.is_open());
        assert_eq!(login.next_at(START), None);
    }

    #[test]
    fn a_guard_is_no_better_than_its_worst_verdict() {
        let view = RunView::replay(&samples::watched());
        let keys = check(&view, "keys");
        assert_eq!(
            keys.outcome().map(|(_, said)| said.verdict),
            Some(Verdict::Fail)
        );
        let mut again = keys.clone();
        again.begin(START + 60_000);
        assert_eq!((again.rounds, again.total().looks), (2, keys.tally.looks));
        let gap = again.gaps.last().unwrap();
        assert_eq!(gap.missed, 0, "nobody looked between its rounds");
        assert!(again.verdict().is_none() && again.is_open());
        assert_eq!(
            again.outcome().map(|(_, said)| said.verdict),
            Some(Verdict::Fail)
        );
    }

    #[test]
    fn the_next_look_is_never_in_the_past_and_never_after_the_end() {
        let events = samples::watched();
        let last = events.iter().rposition(|event| {
            matches!(&event.kind, crate::event::EventKind::Check(CheckEvent::Looked { check, sample, .. })
                if check == "login" && sample.nth == 35)
        });
        let view = RunView::replay(&events[..=last.unwrap()]);
        let login = check(&view, "login");
        let at = login.tally.last_at;
        assert_eq!(login.next_at(at), Some(at + 1_000));
        assert_eq!(login.next_at(at + 7_300), Some(at + 8_000));
        let end = login.ends_at().unwrap();
        assert_eq!(login.next_at(end - 10), Some(end));
        assert_eq!(login.band_at(login.round_at + 29_999), Some(0));
        assert_eq!(login.band_at(login.round_at + 30_000), Some(1));
    }

    #[test]
    fn looks_in_doubt_neither_end_nor_begin_a_stretch() {
        let mut spans = Vec::new();
        for (at, begins, ends) in [
            (1, true, false),
            (2, false, false),
            (3, false, true),
            (4, false, true),
        ] {
            span(&mut spans, begins, ends, at);
        }
        assert_eq!(spans, [(1, Some(3))]);
    }

    #[test]
    fn the_guard_that_holds_a_run_is_named() {
        let view = RunView::replay(&samples::held());
        let (guard, said) = view.held_by().unwrap();
        assert_eq!(
            (guard.name.as_str(), said.why.as_str()),
            ("site", "5 looks in a row failed")
        );
        assert!(RunView::replay(&samples::watched()).held_by().is_none());
    }
}
