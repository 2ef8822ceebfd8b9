//! Counting looks, and the verdict that they come to.
//!
//! The precedence is that of Argo Rollouts: failures, then inconclusive looks, then errors, and only
//! then success. It differs where theirs passes by accident: an early stop and an empty end are
//! inconclusive.

use std::time::Duration;

use crate::event::{Sample, Tally};
use crate::expr::Verdict;
use crate::runbook::units::human;
use crate::runbook::watch::{Length, Rule};

/// Takes a look in.
pub fn take(tally: &mut Tally, sample: &Sample) {
    tally.looks += 1;
    tally.missed += sample.missed;
    tally.last_at = sample.at;
    tally.elapsed_ms = tally.elapsed_ms.max(sample.elapsed_ms);
    if tally.first_at == 0 {
        tally.first_at = sample.at;
    }
    if sample.clock_jump_ms != 0 {
        tally.clock_jumps += 1;
    }
    if sample.missed > 0 || sample.clock_jump_ms != 0 {
        // what lies between is not known: nothing is a row over it that would let it pass
        tally.passed_row = 0;
    }
    let fails = matches!(sample.verdict, Verdict::Fail);
    failing(tally, fails, sample.at);
    if sample.excused {
        tally.excused += 1;
        // what lies before it and what comes after are no row
        tally.passed_row = 0;
        tally.failed_row = 0;
        tally.inconclusive_row = 0;
        tally.error_row = 0;
        return;
    }
    if sample.early {
        tally.early += 1;
        return;
    }
    if let Some(band) = sample.band {
        note(&mut tally.bands, band);
        if sample.verdict == Verdict::Pass {
            note(&mut tally.bands_passed, band);
        }
    }
    let row = |is: bool, row: u64| if is { row + 1 } else { 0 };
    tally.passed_row = row(sample.verdict == Verdict::Pass, tally.passed_row);
    tally.failed_row = row(fails, tally.failed_row);
    tally.inconclusive_row = row(
        sample.verdict == Verdict::Inconclusive,
        tally.inconclusive_row,
    );
    tally.error_row = row(sample.verdict == Verdict::Error, tally.error_row);
    match sample.verdict {
        Verdict::Pass => {
            tally.passed += 1;
            tally.warned += u64::from(!sample.warnings.is_empty());
        }
        Verdict::Fail => tally.failed += 1,
        Verdict::Inconclusive => tally.inconclusive += 1,
        Verdict::Error => tally.errors += 1,
    }
}

/// Adds a band to a list in order.
fn note(bands: &mut Vec<usize>, band: usize) {
    if let Err(at) = bands.binary_search(&band) {
        bands.insert(at, band);
    }
}

/// Time in which it fails, also where that is excused.
fn failing(tally: &mut Tally, fails: bool, at: i64) {
    match (fails, tally.failing_since) {
        (true, None) => {
            tally.failing_since = Some(at);
            tally.failing_spans += 1;
        }
        (false, Some(since)) => {
            tally.failing_ms += u64::try_from(at - since).unwrap_or(0);
            tally.failing_since = None;
        }
        _ => {}
    }
}

/// What the looks so far come to by the rule, and why; `None`: it goes on. `bands`: how many time
/// bands there are, each of which must have been looked at for a pass.
pub fn verdict(rule: &Rule, tally: &Tally, bands: usize) -> Option<(Verdict, String)> {
    limits(rule, tally)
        .or_else(|| enough_in_a_row(rule, tally))
        .or_else(|| over(rule, tally, bands))
}

/// Limits that are broken, in the order of their weight.
fn limits(rule: &Rule, tally: &Tally) -> Option<(Verdict, String)> {
    if let Some(limit) = rule.failure_limit
        && tally.failed > limit
    {
        let why = match (limit, tally.failed) {
            (0, 1) => "a look failed".to_owned(),
            (limit, failed) => format!("{failed} looks failed, and {limit} may"),
        };
        return Some((Verdict::Fail, why));
    }
    if let Some(row) = rule.consecutive_failures
        && tally.failed_row >= row
    {
        let why = match row {
            1 => "a look failed".to_owned(),
            row => format!("{row} looks in a row failed"),
        };
        return Some((Verdict::Fail, why));
    }
    let guard = rule.length == Length::Phases;
    // what has no end would reach any number in all
    let inconclusive = match guard {
        true => tally.inconclusive_row,
        false => tally.inconclusive,
    };
    if inconclusive > rule.inconclusive_limit {
        let row = if guard { " in a row" } else { "" };
        let limit = rule.inconclusive_limit;
        let why = match (inconclusive, limit) {
            (1, 0) => "a look had not the data to judge by".to_owned(),
            _ => format!("{inconclusive} looks{row} had not the data to judge by, and {limit} may"),
        };
        return Some((Verdict::Inconclusive, why));
    }
    if tally.error_row > rule.consecutive_errors {
        let (row, limit) = (tally.error_row, rule.consecutive_errors);
        let why = format!("{row} looks in a row could not be made, and {limit} may");
        return Some((Verdict::Error, why));
    }
    None
}

fn enough_in_a_row(rule: &Rule, tally: &Tally) -> Option<(Verdict, String)> {
    let wanted = match (rule.consecutive_successes, rule.length) {
        (Some(row), _) => row,
        (None, Length::Within(_)) => 1,
        (None, _) => return None,
    };
    let in_time = match rule.length {
        // the last look is taken at the very end, and no clock wakes up on time
        Length::Within(within) => tally.elapsed_ms <= millis(within + rule.every),
        _ => true,
    };
    let why = match wanted {
        1 => "a look passed".to_owned(),
        row => format!("{row} looks in a row passed"),
    };
    (in_time && tally.passed_row >= wanted).then_some((Verdict::Pass, why))
}

/// The end of its count or of its time.
fn over(rule: &Rule, tally: &Tally, bands: usize) -> Option<(Verdict, String)> {
    match rule.length {
        Length::Phases => None,
        Length::Count(count) => {
            (tally.counted() >= count).then(|| match rule.consecutive_successes {
                Some(row) => (
                    Verdict::Fail,
                    format!("{count} looks are over, and never {row} in a row passed"),
                ),
                None => held(rule, tally, bands),
            })
        }
        Length::Within(within) if tally.elapsed_ms >= millis(within) => {
            let wanted = rule.consecutive_successes.unwrap_or(1);
            let within = human(within);
            let unseen = too_few(rule, tally).filter(|_| tally.missed > 0);
            Some(match (tally.passed + tally.failed, unseen) {
                (_, Some(why)) => (Verdict::Inconclusive, why),
                (0, None) => (
                    Verdict::Inconclusive,
                    format!("no look within {within} said anything"),
                ),
                _ if wanted == 1 => (Verdict::Fail, format!("no look within {within} passed")),
                _ => (
                    Verdict::Fail,
                    format!("never {wanted} looks in a row passed within {within}"),
                ),
            })
        }
        Length::For(length) if tally.elapsed_ms >= millis(length) => {
            Some(match rule.consecutive_successes {
                Some(row) => (
                    Verdict::Fail,
                    format!("never {row} looks in a row passed in {}", human(length)),
                ),
                None => held(rule, tally, bands),
            })
        }
        Length::Within(_) | Length::For(_) => None,
    }
}

/// A time or a count is over and no limit was broken: whether that means anything.
fn held(rule: &Rule, tally: &Tally, bands: usize) -> (Verdict, String) {
    let undecided = |why: String| (Verdict::Inconclusive, why);
    if tally.passed == 0 {
        return undecided("no look passed".into());
    }
    if tally.clock_jumps > 0 {
        return undecided(match tally.clock_jumps {
            1 => "the clock jumped while it was watched".into(),
            times => format!("the clock jumped {times} times while it was watched"),
        });
    }
    if let Some(unseen) = (0..bands).find(|band| !tally.bands.contains(band)) {
        return undecided(format!("no look fell into time band {}", unseen + 1));
    }
    // limits are about the whole time, and a band may have one look
    if let Some(failed) = (0..bands).find(|band| !tally.bands_passed.contains(band)) {
        let why = format!("no look passed in time band {}", failed + 1);
        return (Verdict::Fail, why);
    }
    if let Some(why) = too_few(rule, tally) {
        return undecided(why);
    }
    let why = match (tally.failed, tally.counted()) {
        (0, 1) => "its look passed".to_owned(),
        (0, counted) if tally.passed == counted => format!("all {counted} looks passed"),
        (_, counted) => format!(
            "{} of {counted} looks passed, within the limits",
            tally.passed
        ),
    };
    (Verdict::Pass, why)
}

/// Why so many looks say nothing about all that were due; `None`: enough of them said something.
fn too_few(rule: &Rule, tally: &Tally) -> Option<String> {
    let due = tally.looks + tally.missed;
    let said = tally.passed + tally.failed + tally.early + tally.excused;
    let few = ratio(said, due) < rule.coverage;
    few.then(|| {
        let wanted = rule.coverage * 100.0;
        match tally.missed {
            0 => format!("{said} of {due} looks could tell, and {wanted:.0} % must"),
            _ => format!("{said} of {due} looks took place, and {wanted:.0} % must"),
        }
    })
}

/// What a guard comes to whose phases are over without a broken limit.
pub fn at_end(rule: &Rule, tally: &Tally) -> (Verdict, String) {
    if let Some(broken) = limits(rule, tally) {
        return broken;
    }
    if tally.looks > 0 && tally.excused == tally.looks {
        return (
            Verdict::Inconclusive,
            format!("all {} looks were excused by `unless`", tally.looks),
        );
    }
    held(rule, tally, 0)
}

#[expect(clippy::cast_precision_loss, reason = "a share of counts")]
fn ratio(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 / whole as f64,
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
