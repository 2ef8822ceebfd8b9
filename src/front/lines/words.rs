//! Words that lines, tables and reports share.

use super::super::escape::shown;
use super::super::look::Tone;
use super::super::text::{between, ms, pad};
use super::Line;
use crate::event::{Failure, Outcome, Report, RunStatus, SkipReason};
use crate::expr::{Evidence, Verdict};
use crate::view::{ItemStatus, RollbackView, RunView};

pub(super) fn did(report: &Report) -> String {
    match report.did.is_empty() {
        true => String::new(),
        false => format!(": {}", shown(&report.did)),
    }
}

pub(super) fn failed_rest(
    attempt: u32,
    failure: &Failure,
    report: &Report,
    retry_at: Option<i64>,
    at: i64,
) -> String {
    let mut rest = format!(" in {}", ms(report.took_ms));
    if attempt > 1 {
        rest.push_str(&format!(" (attempt {attempt})"));
    }
    rest.push_str(&format!(": {}", shown(&failure.message)));
    if let Some(retry_at) = retry_at {
        rest.push_str(&format!(
            "; attempt {} in {}",
            attempt + 1,
            between(at, retry_at)
        ));
    }
    rest
}

/// Why a step was left out.
pub(super) fn skip_words(reason: &SkipReason) -> String {
    match reason {
        SkipReason::When(evidence) => format!("`when: {}` is false", shown(&evidence.expression)),
        SkipReason::AlreadyDone(_) => "its effect is there already".into(),
        SkipReason::NoItems => "its `for_each` has no items".into(),
        SkipReason::Person { by, reason } => {
            format!("left out by {}: {}", shown(by), shown(reason))
        }
    }
}

/// What an expression was judged by: `result.exit_code is 3`.
pub(in super::super) fn observed(evidence: &Evidence) -> String {
    let values = evidence.values.iter();
    let values: Vec<_> = values
        .map(|value| format!("{} is {}", value.text, value.value))
        .collect();
    values.join(", ")
}

pub(super) fn failure_details(failure: &Failure, report: &Report) -> Vec<Line> {
    let mut lines = Vec::new();
    for evidence in &report.evidence {
        if evidence.verdict == Verdict::Pass {
            continue;
        }
        lines.push(Line::detail("expected", &evidence.expression));
        let seen = match (observed(evidence), &evidence.reason) {
            (seen, _) if !seen.is_empty() => seen,
            (_, Some(reason)) => reason.clone(),
            _ => String::new(),
        };
        let seen = match evidence.verdict {
            Verdict::Fail | Verdict::Pass => seen,
            other => format!("{other}: {}", evidence.reason.as_deref().unwrap_or(&seen)),
        };
        lines.push(Line::detail("observed", &seen));
    }
    if let Some(output) = &report.output {
        lines.push(Line::detail("output", &output.file));
    }
    lines.extend(hint(failure));
    lines
}

pub(super) fn hint(failure: &Failure) -> Option<Line> {
    failure.hint.as_ref().map(|hint| Line::detail("hint", hint))
}

pub(super) fn effect(failure: &Failure) -> Option<Line> {
    let words = outcome_words(failure.outcome);
    (failure.outcome != Outcome::NotApplied).then(|| Line::detail("effect", words))
}

/// What is known about the effect.
pub(in super::super) fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "it took place",
        Outcome::NotApplied => "nothing was changed",
        Outcome::Unknown => "not known; it may have taken place",
    }
}

/// How good a status is.
pub(in super::super) fn run_tone(status: RunStatus) -> Tone {
    match status {
        RunStatus::Succeeded => Tone::Good,
        RunStatus::Failed | RunStatus::RollbackFailed | RunStatus::Aborted => Tone::Bad,
        RunStatus::RolledBack
        | RunStatus::Waiting
        | RunStatus::Cancelling
        | RunStatus::RollingBack
        | RunStatus::Cancelled
        | RunStatus::Closed => Tone::Odd,
        RunStatus::Planned | RunStatus::Running => Tone::Neutral,
    }
}

/// The counts in words: what is zero is not said.
pub(in super::super) fn count_words(view: &RunView) -> String {
    let counts = view.counts();
    let parts = [
        (counts.done, "done"),
        (counts.failed, "failed"),
        (counts.tolerated, "failed and tolerated"),
        (counts.skipped, "skipped"),
        (counts.running, "under way"),
        (counts.in_doubt, "in doubt"),
        (counts.pending, "not started"),
    ];
    let said = parts.iter().filter(|(count, _)| *count > 0);
    let said: Vec<_> = said
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    said.join(", ")
}

/// How far a rollback is, in words: what is zero is not said.
pub(in super::super) fn rollback_words(rollback: &RollbackView) -> String {
    if rollback.items.is_empty() {
        return "nothing to take back".to_owned();
    }
    let all = [
        ItemStatus::Done,
        ItemStatus::Failed,
        ItemStatus::Held,
        ItemStatus::InDoubt,
        ItemStatus::Waived,
        ItemStatus::Skipped,
        ItemStatus::Running,
        ItemStatus::Pending,
    ];
    let said = all.map(|status| (rollback.count(status), status.words()));
    let said = said.iter().filter(|(count, _)| *count > 0);
    let said: Vec<_> = said
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    said.join(", ")
}

/// What is named of what was watched when a run ends.
const NOTICES: usize = 8;

/// The end of a run.
pub(super) fn summary(view: &RunView, at: i64) -> Vec<Line> {
    let took = between(view.started_at.unwrap_or(at), at);
    let word = view.status.words().to_owned();
    let rest = format!(": {} after {took}", shown(&view.header.name));
    let mut lines = vec![
        Line::default().stays(),
        Line::free(run_tone(view.status), word, rest),
    ];
    let mut say = |word: &str, text: String| {
        let lead = format!("  {}", pad(word, 12));
        let rest = shown(&text).into_owned();
        lines.push(Line::free(Tone::Neutral, lead, rest));
    };
    if let Some(failure) = &view.failure {
        say("failed", failure.summary());
    }
    say("steps", count_words(view));
    if let Some(rollback) = &view.rollback {
        say("rollback", rollback_words(rollback));
        for item in &rollback.items {
            if matches!(
                item.status,
                ItemStatus::Failed | ItemStatus::Held | ItemStatus::InDoubt | ItemStatus::Waived
            ) {
                say(item.status.words(), item.item.id.clone());
            }
        }
        for one in &rollback.not_undone {
            say("not undone", format!("{}: {}", one.step, one.why));
        }
    }
    let watched = super::super::report::watched_notices(view);
    for (about, text) in watched.iter().take(NOTICES) {
        say(
            "watched",
            match about.is_empty() {
                true => text.clone(),
                false => format!("{about}: {text}"),
            },
        );
    }
    if watched.len() > NOTICES {
        let more = watched.len() - NOTICES;
        say("", format!("and {more} more: see `ferry report`"));
    }
    lines
}
