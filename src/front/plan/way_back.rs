//! The way back as text: coverage, each undo, and the time to go back from each phase. No line is
//! wider than 80 columns.

use super::super::escape::shown;
use super::super::text::{hang, moment, ms, pad, width};
use super::back::{PhaseBack, StepBack, WayBack};
use super::text::ROOM;
use crate::event::UndoKind;
use crate::plan::Plan;

/// The widest column of names.
const NAME: usize = 28;

/// The most names that stand in a row.
const NAMES: usize = 12;

pub(super) fn way_back(plan: &Plan, back: &WayBack, out: &mut Vec<String>) {
    if back.steps.is_empty() {
        return;
    }
    out.push(String::new());
    out.push("way back".into());
    coverage(back, out);
    let undos = back.steps.iter().filter(|step| has_undo(step));
    let names = undos.clone().map(|step| width(&shown(&step.id)));
    let name = names.max().unwrap_or(0).min(NAME);
    if name > 0 {
        out.push(String::new());
    }
    for step in undos {
        let head = format!(
            "  {}  {}  ",
            pad(&shown(&step.id), name),
            pad(step.undo.words(), 9)
        );
        out.extend(hang(&head, &undo(step), ROOM));
    }
    out.push(String::new());
    out.push("time to go back".into());
    let phases = || plan.runbook.phases.iter().zip(&back.phases);
    let names = phases().map(|(phase, _)| width(&shown(&phase.name)));
    let name = names.max().unwrap_or(0).min(NAME);
    for (phase, times) in phases() {
        let head = format!("  after {}  ", pad(&shown(&phase.name), name));
        out.extend(hang(&head, &time(times), ROOM));
    }
    if let Some(decision) = super::watched::decision(plan) {
        out.extend(hang("  decision  ", &decision, ROOM));
    }
}

fn has_undo(step: &StepBack) -> bool {
    matches!(step.undo, UndoKind::Auto | UndoKind::Written)
}

fn coverage(back: &WayBack, out: &mut Vec<String>) {
    let coverage = &back.coverage;
    let mut say = |word: &str, text: &str| {
        out.extend(hang(&format!("  {}", pad(word, 10)), text, ROOM));
    };
    let counted = coverage.counted;
    match counted {
        0 => say("undo", "no step leaves anything to take back"),
        _ => say(
            "undo",
            &format!(
                "{} of {counted} steps have one ({} %); carried out before: {} of {counted} ({} %)",
                coverage.covered,
                coverage.covered_percent(),
                coverage.exercised,
                coverage.exercised_percent(),
            ),
        ),
    }
    let runs = match back.runs {
        0 => "no earlier run to look at".to_owned(),
        1 => "1 earlier run looked at".to_owned(),
        runs => format!("{runs} earlier runs looked at"),
    };
    say("seen in", &runs);
    if !coverage.uncovered.is_empty() {
        say("not said", &names(&coverage.uncovered));
    }
    if !coverage.said_none.is_empty() {
        let text = format!("{} (`undo: none`, not counted)", names(&coverage.said_none));
        say("none", &text);
    }
    for step in &coverage.no_return {
        let text = format!(
            "{}: from there on neither it nor what came before it is taken back by itself",
            shown(step)
        );
        say("no return", &text);
    }
}

/// Whether an undo was carried out, and what it needs.
fn undo(step: &StepBack) -> String {
    let mut text = match &step.exercised {
        None => "never carried out".to_owned(),
        Some(one) => {
            let date = moment(one.at);
            let date = date.split(' ').next().unwrap_or_default();
            let since = if step.same { "" } else { ", but changed since" };
            let kind = if one.kind == "run" { "" } else { one.kind };
            let space = if kind.is_empty() { "" } else { " " };
            format!(
                "{date} in {kind}{space}{}, {}{since}",
                shown(&one.run),
                ms(one.took_ms)
            )
        }
    };
    for (what, of) in &step.needs {
        text.push_str(&format!("; needs the {what} of `{}`", shown(of)));
    }
    text
}

fn time(times: &PhaseBack) -> String {
    let mut text = sum(times);
    if !times.left.is_empty() {
        text.push_str(&format!("; left as they are: {}", names(&times.left)));
    }
    if !times.held_by.is_empty() {
        text.push_str(&format!("; not past {}", names(&times.held_by)));
    }
    text
}

fn sum(times: &PhaseBack) -> String {
    if times.nothing {
        return "nothing to take back".into();
    }
    let words = ["measured", "measured before a change", "estimated"];
    let known = times
        .known
        .iter()
        .zip(words)
        .filter(|(count, _)| **count > 0);
    let known: Vec<_> = known
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    match (known.is_empty(), times.unknown.is_empty()) {
        (true, true) => "nothing is taken back".into(),
        (true, false) => format!("not known: {}", names(&times.unknown)),
        (false, true) => format!("{} ({})", ms(times.ms), known.join(", ")),
        (false, false) => format!(
            "at least {} ({}); not known: {}",
            ms(times.ms),
            known.join(", "),
            names(&times.unknown)
        ),
    }
}

fn names(steps: &[String]) -> String {
    let shown: Vec<_> = steps.iter().take(NAMES).map(|step| shown(step)).collect();
    let more = match steps.len().saturating_sub(NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}
