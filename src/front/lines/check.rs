//! Lines about what is watched: what is watched from when on, what changes, and at the moment of a
//! verdict that is no pass everything that it rests on.

use std::collections::BTreeMap;

use super::{Line, Teller, Tone, shown};
use crate::event::{CheckEvent, CheckOutline, Judgement, Sample};
use crate::expr::{Evidence, Verdict};
use crate::front::text::{between, moment, ms};
use crate::front::watched::{
    clock, follows, look_count, look_word, reason, tally_words, values, why,
};
use crate::view::CheckView;

/// Looks that are told with a verdict.
const LOOKS: usize = 5;

/// Expectations that are told with a verdict.
const EVIDENCE: usize = 4;

impl Teller {
    pub(super) fn check(&mut self, event: &CheckEvent, at: i64, lines: &mut Vec<Line>) {
        let mut flaps = std::mem::take(&mut self.flaps);
        self.of_check(event, at, &mut flaps, lines);
        self.flaps = flaps;
    }

    fn of_check(&self, event: &CheckEvent, at: i64, flaps: &mut Flaps, lines: &mut Vec<Line>) {
        let Some(check) = self.view.check(event.check()) else {
            return;
        };
        let place = match check.outline.guard {
            true => check.name.clone(),
            false => self.named(&check.name),
        };
        let mut say = |tone, word: &str, rest: String, stays: bool| {
            let line = self.at(at, &place, tone, word, rest);
            lines.push(if stays { line.stays() } else { line });
        };
        match event {
            // of a step its start is told
            CheckEvent::Began { .. } if !check.outline.guard && check.rounds == 1 => {}
            CheckEvent::Began { outline, .. } => {
                let (word, rest) = match check.rounds {
                    1 => ("watched:", began(outline)),
                    _ => ("watched afresh:", began(outline)),
                };
                say(Tone::Neutral, word, rest, false);
            }
            CheckEvent::GoesOn { missed, .. } if *missed > 0 => {
                let looks = look_count(*missed);
                let rest = format!(" {looks} were due meanwhile, and nobody looked");
                say(Tone::Odd, "watched again:", rest, true);
            }
            CheckEvent::GoesOn { .. } => {}
            CheckEvent::Looked { sample, .. } => {
                looked(check, sample, flaps, &mut say);
            }
            CheckEvent::Judged { judgement, .. } => {
                let (tone, word) = word(judgement);
                let bad = judgement.verdict != Verdict::Pass;
                let rest = format!(" {}{}", shown(&judgement.why), follows(check, judgement));
                say(tone, word, rest, bad || check.outline.guard);
                if bad {
                    lines.extend(details(check, judgement, at));
                }
            }
            // said when it was judged
            CheckEvent::Ended { .. } if check.settled => {}
            CheckEvent::Ended { judgement, .. } => {
                let (tone, word) = word(judgement);
                let bad = judgement.verdict != Verdict::Pass;
                say(tone, word, format!(" {}", shown(&judgement.why)), bad);
                if bad {
                    lines.extend(details(check, judgement, at));
                }
            }
        }
    }
}

/// What is watched, how often, and when it does not hold.
fn began(outline: &CheckOutline) -> String {
    let mut text = format!(" every {}", ms(outline.every_ms));
    match (outline.length_ms, outline.count) {
        (Some(length), _) => text.push_str(&format!(" for {}", ms(length))),
        (None, Some(count)) => text.push_str(&format!(", {}", look_count(count))),
        (None, None) if !outline.during.is_empty() => {
            let during: Vec<_> = outline.during.iter().map(|one| shown(one)).collect();
            text.push_str(&format!(" during {}", during.join(", ")));
        }
        (None, None) => {}
    }
    if !outline.rule.is_empty() {
        text.push_str(&format!("; does not hold when {}", shown(&outline.rule)));
    }
    if let Some(then) = outline.then {
        text.push_str(&format!(", then {}", then.word()));
    }
    text
}

/// Changes of a check within [`FLAP_MS`] after which it is told that it flaps, and no change until
/// none came for as long.
const FLAPS: usize = 3;
const FLAP_MS: i64 = 60_000;

/// How often each check changed lately: whether it fails, and whether it warns.
pub(super) type Flaps = BTreeMap<String, [Flap; 2]>;

/// How often a check changed lately.
#[derive(Default)]
pub(super) struct Flap {
    /// When, in milliseconds since the Unix epoch; no more of them than count.
    at: Vec<i64>,
    quiet: bool,
}

/// What is told of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// What it changes.
    All,
    /// That, and that it flaps.
    Flaps,
    /// That it has calmed down.
    Calm,
    /// Nothing.
    Nothing,
}

impl Told {
    fn is_all(self) -> bool {
        matches!(self, Self::All | Self::Flaps)
    }
}

impl Flap {
    fn look(&mut self, at: i64, changes: bool) -> Told {
        self.at.retain(|one| at - one < FLAP_MS);
        let calm = self.quiet && self.at.is_empty();
        if calm {
            self.quiet = false;
        }
        if changes {
            self.at.push(at);
            // the newest are enough to know when it was calm
            let more = self.at.len().saturating_sub(FLAPS);
            self.at.drain(..more);
        }
        match (self.quiet, changes) {
            (true, _) => Told::Nothing,
            (false, true) if self.at.len() == FLAPS => {
                self.quiet = true;
                Told::Flaps
            }
            (false, false) if calm => Told::Calm,
            (false, _) => Told::All,
        }
    }
}

/// What a look changes: whether it fails, and whether it crosses a threshold that warns; less of it
/// where that changes all the time.
fn looked(
    check: &CheckView,
    sample: &Sample,
    flaps: &mut Flaps,
    say: &mut impl FnMut(Tone, &str, String, bool),
) {
    let [fails, warns] = flaps.entry(check.name.clone()).or_default();
    let (begins, ends) = turned(&check.failing, sample.at);
    let told = fails.look(sample.at, begins || ends.is_some());
    if told.is_all() {
        turns(check, sample, say);
    }
    calms(told, "fails and passes", sample, say);
    let (begins, ends) = turned(&check.warned, sample.at);
    let told = warns.look(sample.at, begins || ends.is_some());
    if told.is_all() {
        warnings(check, sample, say);
    }
    calms(told, "warns and does not", sample, say);
    if sample.missed > 0 {
        let rest = format!(" {} did not take place", look_count(sample.missed));
        say(Tone::Odd, "missed:", rest, true);
    }
    if sample.clock_jump_ms != 0 {
        let jump = ms(sample.clock_jump_ms.unsigned_abs());
        let rest = format!(" by {jump}: what was watched over it is no pass");
        say(Tone::Odd, "the clock jumped", rest, true);
    }
}

/// That it flaps, or has calmed down.
fn calms(told: Told, what: &str, sample: &Sample, say: &mut impl FnMut(Tone, &str, String, bool)) {
    match told {
        Told::Flaps => {
            let rest = format!(
                " {what}, {FLAPS} changes within {}; more of them are not told until it is calm for as long",
                ms(FLAP_MS.unsigned_abs())
            );
            say(Tone::Odd, "flaps:", rest, true);
        }
        Told::Calm => {
            let rest = format!(" again: {}", look_word(sample));
            say(Tone::Neutral, "calm", rest, true);
        }
        Told::All | Told::Nothing => {}
    }
}

/// Whether it fails, and no more.
fn turns(check: &CheckView, sample: &Sample, say: &mut impl FnMut(Tone, &str, String, bool)) {
    let (begins, ends) = turned(&check.failing, sample.at);
    if begins {
        let why = reason(sample).unwrap_or_else(|| values(check, sample, 2));
        let excused = if sample.excused { " (excused)" } else { "" };
        say(
            Tone::Odd,
            "fails:",
            format!(" {}{excused}", shown(&why)),
            false,
        );
    }
    if let Some(from) = ends {
        let rest = format!(" after {}", between(from, sample.at));
        say(Tone::Neutral, "passes again", rest, false);
    }
}

/// Whether it crosses a threshold that warns, and no more.
fn warnings(check: &CheckView, sample: &Sample, say: &mut impl FnMut(Tone, &str, String, bool)) {
    let (begins, ends) = turned(&check.warned, sample.at);
    if let Some(first) = sample.warnings.first().filter(|_| begins) {
        say(
            Tone::Odd,
            "warning:",
            format!(" {}", shown(&why(first))),
            true,
        );
    }
    if let Some(from) = ends {
        let rest = format!(" again, after {}", between(from, sample.at));
        say(Tone::Good, "healthy", rest, true);
    }
}

/// Whether a stretch begins with the look of that time, and when the one began that ends with it.
fn turned(spans: &[(i64, Option<i64>)], at: i64) -> (bool, Option<i64>) {
    match spans.last() {
        Some((from, None)) => (*from == at, None),
        Some((from, Some(to))) => (false, (*to == at).then_some(*from)),
        None => (false, None),
    }
}

fn word(judgement: &Judgement) -> (Tone, &'static str) {
    match judgement.verdict {
        Verdict::Pass => (Tone::Good, "holds:"),
        Verdict::Fail => (Tone::Bad, "does not hold:"),
        Verdict::Inconclusive | Verdict::Error => (Tone::Odd, "undecided:"),
    }
}

/// What a verdict rests on: the rule, the expectations with what was seen, the last looks, the clock.
fn details(check: &CheckView, judgement: &Judgement, at: i64) -> Vec<Line> {
    let mut lines = Vec::new();
    if !check.outline.rule.is_empty() {
        lines.push(Line::detail("rule", &check.outline.rule));
    }
    let bad = |one: &&Evidence| one.verdict != Verdict::Pass;
    // of a step the expectations are told with its failure, which follows
    let told = judgement.evidence.iter().filter(|_| check.outline.guard);
    let told: Vec<&Evidence> = told.filter(bad).take(EVIDENCE).collect();
    if told.is_empty() {
        // nothing could be judged: what was expected stands all the same
        let expected = check.outline.expect.iter().take(EVIDENCE);
        lines.extend(expected.map(|one| Line::detail("expected", one)));
    }
    for one in told {
        lines.push(Line::detail("expected", &one.expression));
        let seen = super::observed(one);
        let seen = match (seen.is_empty(), &one.reason) {
            (false, _) if one.verdict == Verdict::Fail => seen,
            (_, Some(reason)) => reason.clone(),
            (_, None) => seen,
        };
        lines.push(Line::detail("observed", &seen));
    }
    let tally = tally_words(&judgement.tally);
    lines.push(Line::detail(
        "looks",
        &format!("{tally}; at {}", moment(at)),
    ));
    let from = check.samples.len().saturating_sub(LOOKS);
    for sample in &check.samples[from..] {
        lines.push(Line::detail("", &look(check, sample)));
    }
    lines
}

fn look(check: &CheckView, sample: &Sample) -> String {
    let mut text = format!("{}  {}", clock(sample.at), look_word(sample));
    let seen = match values(check, sample, 3) {
        seen if seen.is_empty() => sample.failure.clone().unwrap_or_default(),
        seen => seen,
    };
    if !seen.is_empty() {
        text.push_str(&format!("  {seen}"));
    }
    if sample.excused {
        text.push_str("  (excused)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flaps_is_told_three_times_and_again_when_a_minute_was_calm() {
        let mut flap = Flap::default();
        let mut at = |seconds: i64, changes| flap.look(seconds * 1_000, changes);
        assert_eq!(at(1, true), Told::All);
        assert_eq!(at(2, false), Told::All);
        assert_eq!(at(3, true), Told::All);
        assert_eq!(at(5, true), Told::Flaps);
        assert_eq!(at(6, true), Told::Nothing);
        assert_eq!(at(50, true), Told::Nothing);
        assert_eq!(at(109, false), Told::Nothing);
        assert_eq!(at(110, false), Told::Calm);
        assert_eq!(at(111, false), Told::All);
        assert_eq!(at(112, true), Told::All);
        // slow changes are no flapping
        assert_eq!(at(180, true), Told::All);
        assert_eq!(at(250, true), Told::All);
    }
}
