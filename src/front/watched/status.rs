//! What is watched in `ferry status`: each check with its verdict, its looks, its values and its gaps.

use super::super::escape::shown;
use super::super::lines::observed;
use super::super::look::Tone;
use super::super::text::{between, clip, moment, ms, numbered, pad, seconds, width, wrap};
use super::{
    band, bars, clock, gap_words, next, number, reason, series, standing, stretch, tally_words,
};
use crate::expr::Evidence;
use crate::view::{CheckView, Downtime, RunView};

/// The most checks that are shown; those that do not hold come first.
const CHECKS: usize = 40;

/// The most values, gaps and warnings of one check.
const VALUES: usize = 4;
const GAPS: usize = 3;

/// Bars of a sparkline.
const BARS: usize = 32;

/// How a text is to be laid out.
#[derive(Clone, Copy)]
pub(in super::super) struct Room {
    /// The time to measure by, in milliseconds since the Unix epoch.
    pub(in super::super) now: i64,
    /// Columns there are.
    pub(in super::super) columns: usize,
    /// Whether colour says something.
    pub(in super::super) colour: bool,
    /// Whether somebody looks at the guards: an engine holds the run.
    pub(in super::super) live: bool,
    /// Whether somebody looks for the steps too: they stand still while the run does.
    pub(in super::super) goes_on: bool,
    /// Whether the run is over: nobody looks any more.
    pub(in super::super) over: bool,
}

/// A block about everything that is watched; nothing where nothing is.
pub(in super::super) fn lines(view: &RunView, room: Room) -> Vec<String> {
    if view.checks.is_empty() {
        return Vec::new();
    }
    let mut out = vec![String::new(), "watched".into()];
    let mut checks: Vec<&CheckView> = view.checks.iter().collect();
    // lists are cut at their end
    checks.sort_by_key(|check| match standing(check, room.over).0 {
        Tone::Bad => 0,
        Tone::Odd => 1,
        _ => 2,
    });
    for check in checks.iter().take(CHECKS) {
        one(check, room, &mut out);
    }
    if checks.len() > CHECKS {
        let more = numbered(checks.len() - CHECKS, "check");
        out.push(format!("  {more} more: see `--json`"));
    }
    out
}

fn one(check: &CheckView, room: Room, out: &mut Vec<String>) {
    let (tone, words) = standing(check, room.over);
    let kind = if check.outline.guard { "guard " } else { "" };
    let name = format!("{kind}{}", shown(&check.name));
    let head = format!("  {name}  ");
    let text = shown(&words).into_owned();
    let mut parts = wrap(&text, room.columns.saturating_sub(width(&head)).max(20)).into_iter();
    let first = parts.next().unwrap_or_default();
    let line = clip(&format!("{head}{first}"), room.columns);
    out.push(line.replacen(&first, &tone.paint(&first, room.colour), 1));
    let mut say = |word: &str, text: &str| {
        let head = format!("    {}", pad(word, 9));
        let space = room.columns.saturating_sub(width(&head));
        let lines = wrap(text, space).into_iter().enumerate();
        out.extend(lines.map(|(at, line)| match at {
            0 => clip(&format!("{head}{line}"), room.columns),
            _ => clip(&format!("{:13}{line}", ""), room.columns),
        }));
    };
    for part in parts {
        say("", &part);
    }
    say("looks", &looks(check, room));
    for path in check.outline.watched.iter().take(VALUES) {
        let values = series(check, path, BARS);
        let Some(last) = values.iter().rev().find_map(|value| *value) else {
            continue;
        };
        let bars = bars(&values, BARS.min(room.columns.saturating_sub(40)));
        let text = format!("{}  {bars}  {}", shown(path), number(last));
        say("value", &text);
    }
    if let Some(text) = band(check, room.now).filter(|_| check.is_open() && !room.over) {
        say("band", &text);
    }
    evidence(check, room, &mut say);
    for gap in check.gaps.iter().rev().take(GAPS).rev() {
        say("gap", &gap_words(gap));
    }
    if check.gaps.len() > GAPS {
        let more = numbered(check.gaps.len() - GAPS, "earlier gap");
        say("", &format!("and {more}"));
    }
}

/// All looks, when the next one is due, and how long it goes on.
fn looks(check: &CheckView, room: Room) -> String {
    let mut text = tally_words(&check.tally);
    if check.rounds > 1 {
        text.push_str(&format!(" since it began anew (round {})", check.rounds));
    }
    // looks that say nothing new are in the journal now and then only
    let every = i64::try_from(check.outline.every_ms).unwrap_or(i64::MAX);
    let last = check.tally.last_at;
    if last > 0 && check.is_open() && room.now.saturating_sub(last) > every.saturating_mul(3) {
        let clock = clock(last);
        text.push_str(&format!(", up to the last look that was kept, at {clock}"));
        if check.outline.guard && room.live {
            text.push_str(" (one a minute is while nothing changes)");
        }
    }
    text.push_str(&format!("; every {}", ms(check.outline.every_ms)));
    if !check.is_open() || room.over {
        return text;
    }
    let looks = room.live && (check.outline.guard || room.goes_on);
    match next(check, room.now).filter(|_| looks) {
        Some(next) => text.push_str(&format!(", {next}")),
        None if !looks => text.push_str(", and nobody looks now"),
        None => {}
    }
    match check.ends_at() {
        Some(end) if end > room.now => {
            text.push_str(&format!(", {} left", between(room.now, end)));
        }
        Some(end) if !looks => {
            let past = between(end, room.now);
            text.push_str(&format!(", its time is over since {past}"));
        }
        _ => {}
    }
    text
}

/// What the last look that did not pass rests on, and warnings that last.
fn evidence(check: &CheckView, room: Room, say: &mut impl FnMut(&str, &str)) {
    let judged = check.verdict().map(|said| said.evidence.as_slice());
    let judged: Vec<&Evidence> = judged.unwrap_or_default().iter().collect();
    let bad = judged
        .iter()
        .filter(|one| one.reason.is_some())
        .take(VALUES);
    let mut told = false;
    for one in bad {
        told = true;
        say("expected", &shown(&one.expression));
        let seen = one.reason.clone().unwrap_or_else(|| observed(one));
        say("observed", &shown(&seen));
    }
    let last = check.last();
    if let Some(why) = last.and_then(reason).filter(|_| !told) {
        let at = last.map_or(0, |last| last.at);
        say("last", &format!("at {}: {}", clock(at), shown(&why)));
    }
    if let Some((from, None)) = check.warned.last() {
        let said = last.and_then(|last| last.warnings.first());
        let said = said.map_or(String::new(), |one| {
            format!(": {}", shown(&super::why(one)))
        });
        let word = if check.is_open() && !room.over {
            "warns"
        } else {
            "warned"
        };
        say(word, &format!("since {}{said}", clock(*from)));
    }
}

/// The measured downtime in a line, beside its budget. `over`: nobody measures any more.
pub(in super::super) fn downtime_words(
    down: &Downtime,
    budget_s: Option<f64>,
    over: bool,
) -> String {
    match (down.looks, over) {
        (0, true) => return "not measured: nobody looked".into(),
        (0, false) => return "not measured: nobody looked yet".into(),
        _ => {}
    }
    let allowed = budget_s.map(|budget| (millis(budget), seconds(budget)));
    let mut text = match (down.ms, allowed) {
        _ if down.spans.is_empty() => "none seen".to_owned(),
        (is, Some((most, allowed))) if is > most => {
            format!(
                "{}, {} over the {allowed} that are allowed",
                ms(is),
                ms(is - most)
            )
        }
        (is, Some((_, allowed))) => format!("{} of {allowed}", ms(is)),
        (is, None) => ms(is),
    };
    text.push_str(&format!(", to within {}", ms(down.precision_ms)));
    match down.spans.as_slice() {
        [] => {}
        [.., (from, None)] if over => text.push_str(&format!(
            "; down from {} on, and still down when it was looked at last",
            moment(*from)
        )),
        [.., (from, None)] => text.push_str(&format!("; down since {}", moment(*from))),
        [(from, Some(to))] => text.push_str(&format!("; from {}", stretch(*from, *to))),
        spans => text.push_str(&format!("; {} times", spans.len())),
    }
    if !down.gaps.is_empty() {
        let unseen = ms(down.unseen_ms);
        text.push_str(
            match down.unseen_ms {
                0 => "; with gaps in which nobody looked".to_owned(),
                _ => format!("; nobody looked for {unseen}"),
            }
            .as_str(),
        );
    }
    text
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a budget is a positive length of time; the cast saturates"
)]
pub(in super::super) fn millis(seconds: f64) -> u64 {
    (seconds * 1_000.0) as u64
}
