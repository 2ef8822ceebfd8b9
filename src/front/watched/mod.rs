//! Words for what is watched, shared by lines, the live display, `ferry status` and reports.
//!
//! Main functions: [`tally_words`], [`standing`], [`series`]. Must not: read a clock, or say less of
//! looks that nobody took than is known.

mod status;

pub(super) use self::status::{Room, downtime_words, lines, millis};

use super::escape::shown;
use super::look::Tone;
use super::spark::{Marks, spark, spark_in};
use super::text::{between, ms, numbered};
use crate::event::{Judgement, Sample, Tally, Then};
use crate::expr::{Evidence, Verdict};
use crate::view::{CheckView, Gap};

/// All looks in a line: `12 looks, 10 passed (2 with a warning), 1 failed, 1 missed`.
pub(super) fn tally_words(tally: &Tally) -> String {
    if tally.looks == 0 && tally.missed == 0 {
        return "no look yet".into();
    }
    let mut parts = vec![look_count(tally.looks)];
    match (tally.passed, tally.warned) {
        (0, _) => {}
        (1, 0) if tally.looks == 1 => parts.push("passed".into()),
        (passed, 0) if passed == tally.looks => parts.push("all passed".into()),
        (passed, 0) => parts.push(format!("{passed} passed")),
        (passed, warned) => parts.push(format!("{passed} passed ({warned} with a warning)")),
    }
    let others = [
        (tally.failed, "failed"),
        (tally.inconclusive, "inconclusive"),
        (tally.errors, "with an error"),
        (tally.excused, "excused"),
        (tally.early, "before the first band"),
        (tally.missed, "missed"),
    ];
    let said = others.iter().filter(|(count, _)| *count > 0);
    parts.extend(said.map(|(count, what)| format!("{count} {what}")));
    parts.join(", ")
}

/// `1 look`, `12 looks`.
pub(super) fn look_count(looks: u64) -> String {
    numbered(usize::try_from(looks).unwrap_or(usize::MAX), "look")
}

/// A number for people: four digits that count.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if value.fract() == 0.0 && size < 1e15 {
        return format!("{value:.0}");
    }
    let text = match size {
        1e15.. => return format!("{value:.3e}"),
        1_000.0.. => return format!("{value:.0}"),
        100.0.. => format!("{value:.1}"),
        10.0.. => format!("{value:.2}"),
        0.001.. => format!("{value:.3}"),
        _ => return format!("{value:.2e}"),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The newest values at that path, oldest first; where nobody looked, or there was none, is a gap.
pub(super) fn series(check: &CheckView, path: &str, most: usize) -> Vec<Option<f64>> {
    let newest = check.samples.len().saturating_sub(most);
    let mut values = Vec::new();
    for sample in &check.samples[newest..] {
        if sample.missed > 0 {
            values.push(None);
        }
        values.push(sample.values.get(path).copied());
    }
    values
}

/// The values of a look by their names, the most important first: `hit_rate 0.82`.
pub(super) fn values(check: &CheckView, sample: &Sample, most: usize) -> String {
    let there = check.outline.watched.iter();
    let there = there.filter_map(|path| Some((path, sample.values.get(path)?)));
    let said: Vec<_> = there
        .take(most)
        .map(|(path, value)| format!("{} {}", shown(path), number(*value)))
        .collect();
    said.join(", ")
}

/// What a look came to, in a word.
pub(super) fn look_word(sample: &Sample) -> &'static str {
    match sample.verdict {
        _ if sample.early => "early",
        Verdict::Pass if !sample.warnings.is_empty() => "warning",
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Error => "error",
    }
}

/// Why a look did not pass: what it rests on, or why there was nothing to judge.
pub(super) fn reason(sample: &Sample) -> Option<String> {
    let bad = sample.evidence.iter().find(|one| {
        let verdict = one.verdict;
        verdict != Verdict::Pass && verdict == sample.verdict
    });
    let said = bad.map(why);
    said.or_else(|| sample.failure.clone())
}

/// Why an expectation is not met.
pub(super) fn why(evidence: &Evidence) -> String {
    match &evidence.reason {
        Some(reason) => reason.clone(),
        None => format!("`{}` does not hold", evidence.expression),
    }
}

/// What follows from a verdict, in words.
pub(super) fn follows(check: &CheckView, said: &Judgement) -> String {
    let words = match said.then {
        None => "",
        Some(Then::Notify) => "; the run goes on",
        Some(Then::Pause) => "; nothing new starts until somebody says how it goes on",
        Some(Then::Rollback) => "; the run goes back",
    };
    format!("{words}{}", past_point(check, said))
}

/// Why a run that was to go back holds: its decision point is past; empty where that is not so.
pub(super) fn past_point(check: &CheckView, said: &Judgement) -> &'static str {
    let back = check.outline.then == Some(Then::Rollback) && said.then == Some(Then::Pause);
    // one that is blind holds the run by its own rule
    match back && said.verdict == Verdict::Fail {
        true => " (the time in which failures go back by themselves is over)",
        false => "",
    }
}

/// Where a check stands: how good that is, and in a few words.
/// `over`: its run is, and nobody looks any more.
pub(super) fn standing(check: &CheckView, over: bool) -> (Tone, String) {
    if let Some(said) = check.verdict() {
        let (tone, word) = match said.verdict {
            Verdict::Pass => (Tone::Good, "held"),
            Verdict::Fail => (Tone::Bad, "does not hold"),
            Verdict::Inconclusive => (Tone::Odd, "inconclusive"),
            Verdict::Error => (Tone::Odd, "could not be judged"),
        };
        return (tone, format!("{word}: {}", said.why));
    }
    let tally = &check.tally;
    let row = |count: u64| match count {
        1 => String::new(),
        count => format!(", {count} in a row"),
    };
    if over {
        let fails = tally.failed_row > 0;
        return match (tally.looks, fails) {
            (0, _) => (Tone::Odd, "never looked at".into()),
            (_, true) => (
                Tone::Bad,
                "looked at no more, no verdict; the last look failed".into(),
            ),
            (_, false) => (Tone::Odd, "looked at no more, no verdict".into()),
        };
    }
    if tally.looks == 0 {
        return (Tone::Neutral, "not looked at yet".into());
    }
    let excused = check.last().is_some_and(|last| last.excused);
    let fails = check
        .last()
        .is_some_and(|last| last.verdict == Verdict::Fail);
    match () {
        () if excused && fails => (Tone::Neutral, "fails, and is excused by `unless`".into()),
        () if tally.failed_row > 0 => (Tone::Bad, format!("fails{}", row(tally.failed_row))),
        () if tally.error_row > 0 => (
            Tone::Odd,
            format!("cannot be looked at{}", row(tally.error_row)),
        ),
        () if tally.inconclusive_row > 0 => (
            Tone::Odd,
            format!("has no data{}", row(tally.inconclusive_row)),
        ),
        () if check.warned.last().is_some_and(|(_, to)| to.is_none()) => {
            (Tone::Odd, "holds, with a warning".into())
        }
        () => (Tone::Good, "holds".into()),
    }
}

/// `next in 41s`; nothing where no look is due.
pub(super) fn next(check: &CheckView, now: i64) -> Option<String> {
    let at = check.next_at(now)?;
    Some(format!("next in {}", between(now, at)))
}

/// The time band that counts now, with what is expected in it.
pub(super) fn band(check: &CheckView, now: i64) -> Option<String> {
    let bands = &check.outline.bands;
    let first = bands.first()?;
    let elapsed = u64::try_from(now - check.round_at).unwrap_or(0);
    let Some(at) = check.band_at(now) else {
        let wait = ms(first.from_ms.saturating_sub(elapsed));
        return Some(format!(
            "nothing is expected yet; band 1 of {} in {wait}",
            bands.len()
        ));
    };
    let own = &bands[at];
    let expected: Vec<_> = own.expect.iter().map(|one| shown(one)).collect();
    let next = bands.get(at + 1).map_or(String::new(), |next| {
        format!("; the next in {}", ms(next.from_ms.saturating_sub(elapsed)))
    });
    Some(format!(
        "band {} of {}, from {}: {}{next}",
        at + 1,
        bands.len(),
        ms(own.from_ms),
        expected.join(" and ")
    ))
}

/// `02:41:07`, in UTC.
pub(super) fn clock(at: i64) -> String {
    let moment = super::text::moment(at);
    moment.get(11..19).unwrap_or_default().to_owned()
}

/// Where nobody looked: `3 looks were due from ... to ..., and nobody looked`.
pub(super) fn gap_words(gap: &Gap) -> String {
    let time = stretch(gap.from, gap.to);
    match gap.missed {
        0 => format!("nobody looked from {time}"),
        1 => format!("1 look was due from {time}, and nobody looked"),
        missed => format!("{missed} looks were due from {time}, and nobody looked"),
    }
}

/// `2026-03-01 02:41:07 to 02:44:07 UTC`.
pub(super) fn stretch(from: i64, to: i64) -> String {
    let (from, to) = (super::text::moment(from), super::text::moment(to));
    let began = from.trim_end_matches(" UTC");
    match from.get(..10) == to.get(..10) {
        true => format!("{began} to {}", to.get(11..).unwrap_or_default()),
        false => format!("{began} to {to}"),
    }
}

/// Values as bars.
pub(super) fn bars(values: &[Option<f64>], width: usize) -> String {
    // tests hold pictures against texts, wherever they run
    match cfg!(test) {
        true => spark_in(Marks::Blocks, values, width),
        false => spark(values, width),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits_that_count() {
        let all = [
            (0.0, "0"),
            (12.0, "12"),
            (1_234_567.0, "1234567"),
            (0.8, "0.8"),
            (0.123_456, "0.123"),
            (12.345, "12.35"),
            (123.456, "123.5"),
            (4_567.89, "4568"),
            (-0.5, "-0.5"),
            (0.000_012, "1.20e-5"),
            (1e18, "1.000e18"),
        ];
        for (value, text) in all {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn what_is_zero_is_not_said_and_what_was_missed_is() {
        let tally = |looks, passed, warned, missed| Tally {
            looks,
            passed,
            warned,
            missed,
            ..Tally::default()
        };
        assert_eq!(tally_words(&tally(0, 0, 0, 0)), "no look yet");
        assert_eq!(tally_words(&tally(3, 3, 0, 0)), "3 looks, all passed");
        assert_eq!(
            tally_words(&tally(3, 3, 1, 4)),
            "3 looks, 3 passed (1 with a warning), 4 missed"
        );
        assert_eq!(tally_words(&tally(0, 0, 0, 4)), "0 looks, 4 missed");
    }
}
