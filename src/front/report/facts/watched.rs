//! What was watched, as reports tell it: which looks are shown, where nobody looked, and the measured
//! downtime in sentences.

use std::collections::BTreeSet;

use super::super::super::text::{moment, ms, numbered};
use super::super::super::watched::{look_count, millis, stretch};
use super::times::end;
use crate::event::{Sample, Then};
use crate::expr::{Evidence, Verdict};
use crate::view::{CheckView, Downtime, RunView};

/// What a check came to, in one word.
pub(in super::super) fn outcome(view: &RunView, check: &CheckView) -> (Option<Verdict>, String) {
    match check.outcome() {
        // the why of its last round says nothing of those before
        Some((_, said))
            if said.verdict == Verdict::Pass && check.rounds > 1 && check.outline.guard =>
        {
            (
                Some(Verdict::Pass),
                format!(
                    "it held each of the {} times that it was watched",
                    check.rounds
                ),
            )
        }
        Some((_, said)) => (Some(said.verdict), said.why.clone()),
        None if view.status.is_over() && !view.status.is_parked() => (
            Some(Verdict::Inconclusive),
            "it was looked at no more before it came to a verdict".into(),
        ),
        None => (None, "it has not come to a verdict".into()),
    }
}

/// The verdict as people read it.
pub(in super::super) fn verdict_word(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Pass) => "pass",
        Some(Verdict::Fail) => "fail",
        Some(Verdict::Inconclusive) => "inconclusive",
        Some(Verdict::Error) => "error",
        None => "open",
    }
}

/// How it was watched, in sentences: what is read, how often, by what rule, what follows.
pub(in super::super) fn rule(check: &CheckView) -> String {
    let outline = &check.outline;
    let target = outline.target.as_ref();
    let target = target.map_or_else(String::new, |target| format!(" at `{target}`"));
    let mut text = format!(
        "`{}`{target} every {}",
        outline.action,
        ms(outline.every_ms)
    );
    match (outline.length_ms, outline.count) {
        (Some(length), _) => text.push_str(&format!(" for {}", ms(length))),
        (None, Some(count)) => text.push_str(&format!(", {}", look_count(count))),
        (None, None) if !outline.during.is_empty() => {
            let during = outline.during.iter().map(|one| format!("`{one}`"));
            let during: Vec<_> = during.collect();
            text.push_str(&format!(" during {}", during.join(", ")));
        }
        (None, None) => {}
    }
    if !outline.rule.is_empty() {
        text.push_str(&format!("; it does not hold when {}", outline.rule));
    }
    match outline.then {
        Some(Then::Rollback) => text.push_str(", and then the run goes back"),
        Some(Then::Pause) => text.push_str(", and then the run holds and asks"),
        Some(Then::Notify) => text.push_str(", and then it is told"),
        None => {}
    }
    if outline.downtime {
        text.push_str("; it measures downtime");
    }
    text
}

/// What was expected, each with the time that it counts from where that is not the beginning.
pub(in super::super) fn expected(check: &CheckView) -> Vec<String> {
    let outline = &check.outline;
    let mut all: Vec<String> = outline
        .expect
        .iter()
        .map(|one| format!("`{one}`"))
        .collect();
    for band in &outline.bands {
        let own: Vec<_> = band.expect.iter().map(|one| format!("`{one}`")).collect();
        all.push(format!("from {}: {}", ms(band.from_ms), own.join(" and ")));
    }
    all.extend(outline.trends.iter().map(|trend| format!("trend: {trend}")));
    all
}

/// How many looks there were, how many the journal has, and how many of these are shown.
pub(in super::super) fn kept(check: &CheckView, shown: usize) -> String {
    let total = check.total();
    let kept = check.samples.len() + check.dropped;
    if check.outline.guard {
        let shown = match shown == kept {
            true => "shown here".to_owned(),
            false => format!("kept, {shown} shown here"),
        };
        let kept = look_count(u64::try_from(kept).unwrap_or(u64::MAX));
        let looks = look_count(total.looks);
        let up_to = match check.is_open() {
            true => " up to the last that was kept",
            false => "",
        };
        return format!(
            "{looks} took place{up_to}; {kept} that said something new, or came after some time, are {shown}"
        );
    }
    let kept_words = match u64::try_from(kept) == Ok(total.looks) {
        true => "all of them kept".to_owned(),
        false => format!("{kept} of them kept, because they say something new or after some time"),
    };
    let shown = match shown == kept {
        true => String::new(),
        false => format!(", {shown} shown here"),
    };
    format!(
        "{} took place, {kept_words}{shown}",
        look_count(total.looks)
    )
}

/// At most `most` looks, in their order: the first, the last, and those that say most.
pub(in super::super) fn picked(check: &CheckView, most: usize) -> Vec<&Sample> {
    let samples = &check.samples;
    if samples.len() <= most {
        return samples.iter().collect();
    }
    let matters = |sample: &Sample| {
        sample.verdict != Verdict::Pass || sample.missed > 0 || sample.clock_jump_ms != 0
    };
    let mut places: BTreeSet<usize> = [0, samples.len() - 1].into();
    let all = samples.iter().enumerate();
    let mut bad: Vec<usize> = all
        .filter(|(_, one)| matters(one))
        .map(|(at, _)| at)
        .collect();
    // of many the first and the last ones
    if bad.len() > most {
        let half = most / 2;
        bad.drain(half..bad.len() - half);
    }
    let warns = |at: &usize| {
        let warned = |at: usize| !samples[at].warnings.is_empty();
        warned(*at) != warned(at - 1)
    };
    let turns = (1..samples.len()).filter(warns);
    let spread = (1..most).map(|nth| nth * samples.len() / most);
    for at in bad.into_iter().chain(turns).chain(spread) {
        if places.len() >= most {
            break;
        }
        places.insert(at);
    }
    places.into_iter().map(|at| &samples[at]).collect()
}

/// The expectations that a check's verdict rests on; where it has none, those of the last look that did
/// not pass, else of the last one.
pub(in super::super) fn evidence(check: &CheckView) -> &[Evidence] {
    let judged = check.outcome().map(|(_, said)| said.evidence.as_slice());
    if let Some(evidence) = judged.filter(|evidence| !evidence.is_empty()) {
        return evidence;
    }
    let has = |sample: &&Sample| !sample.evidence.is_empty();
    let bad = check.samples.iter().rev().filter(has);
    bad.map(|sample| sample.evidence.as_slice())
        .next()
        .unwrap_or_default()
}

/// The measured downtime of a run up to its end, or as far as it is known.
pub(in super::super) fn downtime(view: &RunView) -> Option<Downtime> {
    view.downtime(end(view))
}

/// The downtime in sentences, the sum first.
pub(in super::super) fn downtime_told(view: &RunView) -> Vec<String> {
    /// Spans that are named.
    const SPANS: usize = 20;
    let Some(down) = downtime(view) else {
        return Vec::new();
    };
    let guards: Vec<_> = down.guards.iter().map(|one| format!("`{one}`")).collect();
    let by = guards.join(" and ");
    if down.looks == 0 {
        return vec![format!("not measured: {by} never looked")];
    }
    let precision = ms(down.precision_ms);
    let mut told = vec![match down.spans.is_empty() {
        true => format!("{by} never saw it down, looking every {precision}"),
        false => format!(
            "down for {} in {}, measured by {by}; each beginning and end is known to within {precision}",
            ms(down.ms),
            match down.spans.len() {
                1 => "one stretch".to_owned(),
                count => format!("{count} stretches"),
            }
        ),
    }];
    let end = end(view);
    for (from, to) in down.spans.iter().take(SPANS) {
        let long = ms(u64::try_from(to.unwrap_or(end) - from).unwrap_or(0));
        told.push(match to {
            Some(to) => format!("down from {}: {long}", stretch(*from, *to)),
            None if view.status.is_over() => {
                format!("down from {} on, and still down at the end", moment(*from))
            }
            None => format!("down since {}", moment(*from)),
        });
    }
    if down.spans.len() > SPANS {
        let more = numbered(down.spans.len() - SPANS, "more time");
        told.push(format!("and {more}: see the JSON report"));
    }
    for gap in down.gaps.iter().take(SPANS) {
        told.push(super::super::super::watched::gap_words(gap));
    }
    told
}

/// By how many milliseconds the budget was overdrawn.
pub(in super::super) fn downtime_over(view: &RunView) -> Option<u64> {
    let budget_s = view.header.window.downtime_s?;
    let down = downtime(view)?;
    let budget = millis(budget_s);
    down.ms.checked_sub(budget).filter(|over| *over > 0)
}

/// How many checks did not hold, and how many came to no answer: what a run that succeeded did in spite
/// of them.
pub(in super::super) fn in_spite_of(view: &RunView) -> Option<String> {
    let count = |is: fn(Verdict) -> bool| {
        let guards = view.checks.iter().filter(|check| check.outline.guard);
        guards
            .filter(|check| outcome(view, check).0.is_some_and(is))
            .count()
    };
    let failed = count(|verdict| verdict == Verdict::Fail);
    let undecided = count(|verdict| matches!(verdict, Verdict::Inconclusive | Verdict::Error));
    let mut parts = Vec::new();
    if failed > 0 {
        parts.push(format!("{} did not hold", numbered(failed, "guard")));
    }
    if undecided > 0 {
        parts.push(format!(
            "{} came to no answer",
            numbered(undecided, "guard")
        ));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
