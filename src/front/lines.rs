//! What is said about each event, in lines: for plain output, and above the live display.
//!
//! Main type: [`Teller`]. It knows nothing but events, so that a run and its replay give the same
//! text. All texts of its lines are escaped.

use super::escape::shown;
use super::look::Tone;
use super::text::{between, ms, numbered, pad, pad_left, seconds, width, wrap};
use crate::event::{
    Event, EventKind, Failure, Outcome, Report, RollbackEvent, RunEvent, RunStatus, SkipReason,
    SnapshotEvent, StepEvent,
};
use crate::expr::{Evidence, Verdict};
use crate::view::{ItemStatus, PhaseStatus, RunView};

/// The widest column of names.
const PLACE: usize = 32;

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Time since the start, and the phase and step; empty for details.
    lead: String,
    /// What happened, in a word that has a colour.
    word: String,
    tone: Tone,
    rest: String,
    /// Whether it is worth a line beside a live display, which shows starts and steps itself.
    pub(super) stays: bool,
}

impl Line {
    /// The line's text.
    pub(super) fn text(&self, colour: bool) -> String {
        let word = self.tone.paint(&self.word, colour);
        let text = format!("{}{word}{}", self.lead, self.rest);
        text.trim_end().to_owned()
    }

    /// The line within that many columns, on several lines where it must be.
    pub(super) fn within(&self, columns: usize, colour: bool) -> Vec<String> {
        let plain = self.text(false);
        if width(&plain) <= columns {
            return vec![self.text(colour)];
        }
        let words: Vec<_> = plain.split_whitespace().collect();
        let lines = wrap(&words.join(" "), columns).into_iter();
        lines.map(|line| self.tone.paint(&line, colour)).collect()
    }

    fn detail(word: &str, text: &str) -> Self {
        Self {
            lead: format!("{:9}", ""),
            word: pad(word, 12),
            tone: Tone::Quiet,
            rest: shown(text).into_owned(),
            stays: true,
        }
    }

    fn free(tone: Tone, word: String, rest: String) -> Self {
        Self {
            word,
            tone,
            rest,
            stays: true,
            ..Self::default()
        }
    }

    fn stays(mut self) -> Self {
        self.stays = true;
        self
    }
}

/// Tells events in lines.
pub(super) struct Teller {
    /// The run so far.
    pub(super) view: RunView,
    place: usize,
}

impl Teller {
    pub(super) fn new() -> Self {
        Self {
            view: RunView::lean(),
            place: 0,
        }
    }

    /// What there is to say about an event.
    pub(super) fn tell(&mut self, event: &Event) -> Vec<Line> {
        let phase = self.phase_of(event);
        let before = phase.map(|at| self.view.phase_status(&self.view.phases[at]));
        self.view.apply(event);
        let mut lines = Vec::new();
        if before == Some(PhaseStatus::Pending) && !matches!(event.kind, EventKind::Run(_)) {
            lines.extend(phase.and_then(|at| self.phase_starts(at, event.at)));
        }
        match &event.kind {
            EventKind::Run(kind) => self.run(kind, event.at, &mut lines),
            EventKind::Step(kind) => self.step(kind, event.at, &mut lines),
            EventKind::Snapshot(kind) => self.snapshot(kind, event.at, &mut lines),
            EventKind::Rollback(kind) => self.rollback(kind, event.at, &mut lines),
        }
        if let (Some(at), Some(before)) = (phase, before) {
            lines.extend(self.phase_ends(at, before, event.at));
        }
        lines
    }

    /// The phase that a step event is about.
    fn phase_of(&self, event: &Event) -> Option<usize> {
        let EventKind::Step(kind) = &event.kind else {
            return None;
        };
        match kind {
            StepEvent::PhaseSkipped { .. } => None,
            StepEvent::Expanded { step, .. }
            | StepEvent::Checking { step, .. }
            | StepEvent::Skipped { step, .. }
            | StepEvent::Started { step, .. }
            | StepEvent::Acted { step, .. }
            | StepEvent::Finished { step, .. }
            | StepEvent::Failed { step, .. } => Some(self.view.step(step)?.phase),
        }
    }

    /// A line at a time and a place.
    fn at(&self, at: i64, place: &str, tone: Tone, word: &str, rest: String) -> Line {
        let since = between(self.view.started_at.unwrap_or(at), at);
        let place = shown(place);
        Line {
            lead: format!("{}  {}  ", pad_left(&since, 7), pad(&place, self.place)),
            word: word.to_owned(),
            tone,
            rest,
            stays: false,
        }
    }

    fn named(&self, step: &str) -> String {
        match self.view.phase_of(step) {
            Some(phase) => format!("{}/{step}", phase.name),
            None => step.to_owned(),
        }
    }

    fn phase_starts(&self, at: usize, now: i64) -> Option<Line> {
        let phase = self.view.phases.get(at)?;
        phase.started_at?;
        let mut rest = format!(" {}", numbered(phase.steps.len(), "step"));
        if let Some(estimate) = phase.estimate_s {
            rest.push_str(&format!(", estimate {}", seconds(estimate)));
        }
        if let Some(title) = &phase.title {
            rest.push_str(&format!(": {}", shown(title)));
        }
        Some(self.at(now, &phase.name, Tone::Neutral, "starts:", rest))
    }

    fn phase_ends(&self, at: usize, before: PhaseStatus, now: i64) -> Option<Line> {
        let phase = self.view.phases.get(at)?;
        let status = self.view.phase_status(phase);
        if status == before {
            return None;
        }
        let tone = match status {
            PhaseStatus::Done => Tone::Good,
            PhaseStatus::Failed => Tone::Bad,
            _ => return None,
        };
        let mut rest = format!(" {}", between(phase.started_at?, now));
        if let Some(late) = phase.late_ms(now) {
            rest.push_str(&format!(", {} over its estimate", ms(late)));
        }
        let word = format!("{} in", status.words());
        Some(self.at(now, &phase.name, tone, &word, rest).stays())
    }

    fn run(&mut self, event: &RunEvent, at: i64, lines: &mut Vec<Line>) {
        match event {
            RunEvent::Planned(planned) => {
                let places = self.view.steps.iter();
                let places = places.map(|step| width(&shown(&self.named(step.id()))));
                self.place = places.max().unwrap_or(0).min(PLACE);
                let rest = format!(
                    " ({}): {}, {}, plan {}",
                    shown(&planned.name),
                    numbered(self.view.phases.len(), "phase"),
                    numbered(self.view.steps.len(), "step"),
                    shown(&planned.digest.chars().take(12).collect::<String>()),
                );
                let title = shown(self.view.header.shown()).into_owned();
                lines.push(Line::free(Tone::Neutral, title, rest));
            }
            RunEvent::Started { by, host, pid } => {
                let word = match self.view.engines.len() {
                    0 | 1 => "run starts",
                    _ => "run goes on",
                };
                let rest = format!(" by {} on {} (process {pid})", shown(by), shown(host));
                lines.push(self.at(at, "", Tone::Neutral, word, rest));
            }
            RunEvent::Failed(failure) if failure.step.is_none() => {
                let place = failure.phase.as_deref().unwrap_or_default();
                let rest = format!(" {}", shown(&failure.failure.message));
                lines.push(self.at(at, place, Tone::Bad, "failed:", rest).stays());
                lines.extend(hint(&failure.failure));
            }
            // said by the step that failed
            RunEvent::Failed(_) => {}
            RunEvent::Stopping { reason } => {
                let rest = format!(" {}; what is under way is waited for", reason.words());
                lines.push(self.at(at, "", Tone::Odd, "stopping:", rest).stays());
            }
            RunEvent::Parked { reason } => {
                let rest = format!(" {}; the run can be gone on with", reason.words());
                lines.push(self.at(at, "", Tone::Odd, "waiting:", rest).stays());
            }
            RunEvent::Finished { .. } => lines.extend(summary(&self.view, at)),
        }
    }

    fn step(&self, event: &StepEvent, at: i64, lines: &mut Vec<Line>) {
        match event {
            StepEvent::PhaseSkipped { phase, evidence } => {
                let rest = format!(" `when: {}` is false", shown(&evidence.expression));
                lines.push(self.at(at, phase, Tone::Odd, "skipped:", rest).stays());
            }
            StepEvent::Expanded { step, items } => {
                let rest = format!(" {}", numbered(items.len(), "item"));
                lines.push(self.at(at, &self.named(step), Tone::Neutral, "has", rest));
            }
            StepEvent::Checking { step, attempt } if *attempt == 1 => {
                lines.push(self.at(
                    at,
                    &self.named(step),
                    Tone::Neutral,
                    "checking",
                    String::new(),
                ));
            }
            StepEvent::Checking { .. } => {}
            StepEvent::Skipped { step, reason } => {
                let rest = format!(" {}", skip_words(reason));
                lines.push(self.at(at, &self.named(step), Tone::Odd, "skipped:", rest));
            }
            StepEvent::Started { step, attempt, .. } => {
                let action = self.view.step(step).map(|step| &step.outline.action);
                let mut rest = action.map_or_else(String::new, |key| format!(" {}", shown(key)));
                if *attempt > 1 {
                    rest.push_str(&format!(", attempt {attempt}"));
                }
                lines.push(self.at(at, &self.named(step), Tone::Neutral, "starts:", rest));
            }
            StepEvent::Acted { step, report, .. } => {
                let rest = format!(" after {}{}", ms(report.took_ms), did(report));
                let word = "acted, waiting for its effect";
                lines.push(self.at(at, &self.named(step), Tone::Neutral, word, rest));
            }
            StepEvent::Finished { step, report, .. } => {
                let took = self
                    .view
                    .step(step)
                    .and_then(crate::view::StepView::took_ms);
                let rest = format!(" in {}{}", ms(took.unwrap_or(report.took_ms)), did(report));
                lines.push(self.at(at, &self.named(step), Tone::Good, "ok", rest));
            }
            StepEvent::Failed { .. } => self.step_failed(event, at, lines),
        }
    }

    fn step_failed(&self, event: &StepEvent, at: i64, lines: &mut Vec<Line>) {
        let StepEvent::Failed {
            step,
            attempt,
            failure,
            report,
            retry_at,
            tolerated,
        } = event
        else {
            return;
        };
        let (tone, word) = match (retry_at, tolerated) {
            (Some(_), _) => (Tone::Odd, "attempt failed"),
            (None, true) => (Tone::Odd, "failed, tolerated,"),
            (None, false) => (Tone::Bad, "failed"),
        };
        let place = self.named(step);
        let rest = failed_rest(*attempt, failure, report, *retry_at, at);
        lines.push(self.at(at, &place, tone, word, rest).stays());
        lines.extend(failure_details(failure, report));
        if self
            .view
            .step(step)
            .is_some_and(|step| step.outline.changes)
        {
            lines.extend(effect(failure));
        }
    }

    fn snapshot(&self, event: &SnapshotEvent, at: i64, lines: &mut Vec<Line>) {
        let SnapshotEvent::Taken { moment, snapshots } = event else {
            return;
        };
        let failed = snapshots.iter().filter(|one| one.failure.is_some());
        let count = snapshots.len() - failed.clone().count();
        let place = format!("snapshots {}", moment.name());
        let rest = format!(" {count} of {}", snapshots.len());
        lines.push(self.at(at, &place, Tone::Neutral, "taken:", rest));
        for (one, failure) in failed.filter_map(|one| Some((one, one.failure.as_ref()?))) {
            let rest = format!(" {}: {}", shown(&one.name), shown(&failure.message));
            lines.push(self.at(at, &place, Tone::Bad, "failed:", rest).stays());
            lines.extend(hint(failure));
        }
    }

    fn rollback(&self, event: &RollbackEvent, at: i64, lines: &mut Vec<Line>) {
        match event {
            RollbackEvent::Planned {
                cause,
                items,
                not_undone,
            } => {
                let rest = format!(
                    " {} to do, because of {}",
                    numbered(items.len(), "item"),
                    shown(&cause.summary())
                );
                lines.push(self.at(at, "rollback", Tone::Odd, "starts:", rest).stays());
                for one in not_undone {
                    let text = format!("{}: {}", one.step, one.why);
                    lines.push(Line::detail("not undone", &text));
                }
            }
            RollbackEvent::Started { item, attempt } => {
                let rest = match attempt {
                    0 | 1 => format!(" {}", self.action(*item)),
                    _ => format!(" {}, attempt {attempt}", self.action(*item)),
                };
                lines.push(self.at(at, &self.item(*item), Tone::Neutral, "starts:", rest));
            }
            RollbackEvent::Finished { item, report } => {
                let rest = format!(" in {}{}", ms(report.took_ms), did(report));
                lines.push(
                    self.at(at, &self.item(*item), Tone::Good, "ok", rest)
                        .stays(),
                );
            }
            RollbackEvent::Failed {
                item,
                attempt,
                failure,
                report,
                retry_at,
            } => {
                let (tone, word) = match retry_at {
                    Some(_) => (Tone::Odd, "attempt failed"),
                    None => (Tone::Bad, "failed"),
                };
                let rest = failed_rest(*attempt, failure, report, *retry_at, at);
                lines.push(self.at(at, &self.item(*item), tone, word, rest).stays());
                lines.extend(failure_details(failure, report));
            }
            RollbackEvent::Skipped { item, reason, held } => {
                let (tone, word) = match held {
                    true => (Tone::Bad, "held back:"),
                    false => (Tone::Odd, "skipped:"),
                };
                let rest = format!(" {}", shown(reason));
                lines.push(self.at(at, &self.item(*item), tone, word, rest).stays());
            }
        }
    }

    fn item(&self, at: usize) -> String {
        let items = self.view.rollback.as_ref().map(|rollback| &rollback.items);
        match items.and_then(|items| items.get(at)) {
            Some(item) => format!("rollback/{}", item.item.id),
            None => format!("rollback/{at}"),
        }
    }

    fn action(&self, at: usize) -> String {
        let items = self.view.rollback.as_ref().map(|rollback| &rollback.items);
        let item = items.and_then(|items| items.get(at));
        item.map_or_else(String::new, |item| shown(&item.item.action).into_owned())
    }
}

fn did(report: &Report) -> String {
    match report.did.is_empty() {
        true => String::new(),
        false => format!(": {}", shown(&report.did)),
    }
}

fn failed_rest(
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
    }
}

/// What an expression was judged by: `result.exit_code is 3`.
pub(super) fn observed(evidence: &Evidence) -> String {
    let values = evidence.values.iter();
    let values: Vec<_> = values
        .map(|value| format!("{} is {}", value.text, value.value))
        .collect();
    values.join(", ")
}

fn failure_details(failure: &Failure, report: &Report) -> Vec<Line> {
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

fn hint(failure: &Failure) -> Option<Line> {
    failure.hint.as_ref().map(|hint| Line::detail("hint", hint))
}

fn effect(failure: &Failure) -> Option<Line> {
    let words = outcome_words(failure.outcome);
    (failure.outcome != Outcome::NotApplied).then(|| Line::detail("effect", words))
}

/// What is known about the effect.
pub(super) fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "it took place",
        Outcome::NotApplied => "nothing was changed",
        Outcome::Unknown => "not known; it may have taken place",
    }
}

/// How good a status is.
pub(super) fn run_tone(status: RunStatus) -> Tone {
    match status {
        RunStatus::Succeeded => Tone::Good,
        RunStatus::Failed | RunStatus::RollbackFailed => Tone::Bad,
        RunStatus::RolledBack | RunStatus::Waiting | RunStatus::RollingBack => Tone::Odd,
        RunStatus::Planned | RunStatus::Running => Tone::Neutral,
    }
}

/// The counts in words: what is zero is not said.
pub(super) fn count_words(view: &RunView) -> String {
    let counts = view.counts();
    let parts = [
        (counts.done, "done"),
        (counts.failed, "failed"),
        (counts.tolerated, "failed and tolerated"),
        (counts.skipped, "skipped"),
        (counts.running, "under way"),
        (counts.pending, "not started"),
    ];
    let said = parts.iter().filter(|(count, _)| *count > 0);
    let said: Vec<_> = said
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    said.join(", ")
}

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
        let done = rollback.count(ItemStatus::Done);
        say(
            "rollback",
            format!("{done} of {} done", rollback.items.len()),
        );
        for item in &rollback.items {
            if matches!(item.status, ItemStatus::Failed | ItemStatus::Held) {
                say(item.status.words(), item.item.id.clone());
            }
        }
        for one in &rollback.not_undone {
            say("not undone", format!("{}: {}", one.step, one.why));
        }
    }
    lines
}
