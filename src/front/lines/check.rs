//! Lines about what is watched: what is watched from when on, what changes, and at the moment of a
//! verdict that is no pass everything that it rests on.

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
    pub(super) fn check(&self, event: &CheckEvent, at: i64, lines: &mut Vec<Line>) {
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
            CheckEvent::Looked { sample, .. } => looked(check, sample, &mut say),
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

/// What a look changes: whether it fails, and whether it crosses a threshold that warns.
fn looked(check: &CheckView, sample: &Sample, say: &mut impl FnMut(Tone, &str, String, bool)) {
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
