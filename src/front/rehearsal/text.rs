//! A rehearsal as text: the steps of the first walk, what other walks find otherwise, then the table by
//! phase, the problems, what stayed unverified, and the figure.

use serde_json::Value;

use super::super::escape::shown;
use super::super::text::{clip, table, width, wrap};
use crate::event::rehearsal::{Entry, Rehearsal, Tally, Walk, Word};
use crate::expr::Verdict;

/// Lines of details that are shown of one step.
const MOST_DETAILS: usize = 40;

/// Columns of a result that are shown.
const RESULT: usize = 140;

/// All of it in lines of at most `room` columns.
pub fn text(found: &Rehearsal, room: usize) -> String {
    let mut out = Vec::new();
    let title = found.title.as_ref();
    let title = title.map_or_else(String::new, |title| format!(": {}", shown(title)));
    push(
        &mut out,
        "",
        &format!("{}{title}", shown(&found.name)),
        room,
    );
    out.push("  a rehearsal: what only reads was really read, and nothing was changed".into());
    for (n, walk) in found.walks.iter().enumerate() {
        one_walk(found, n, walk, room, &mut out);
    }
    out.push(String::new());
    sums(found, room, &mut out);
    let mut text = String::new();
    for line in out {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A text in as many lines as it needs, each after the same `indent`.
fn push(out: &mut Vec<String>, indent: &str, text: &str, room: usize) {
    let room = room.saturating_sub(indent.len()).max(20);
    if width(text) <= room {
        out.push(format!("{indent}{text}"));
        return;
    }
    let lines = wrap(text, room).into_iter();
    out.extend(lines.map(|line| format!("{indent}{line}")));
}

fn one_walk(found: &Rehearsal, n: usize, walk: &Walk, room: usize, out: &mut Vec<String>) {
    let other = |entry: &&Entry| !found.walks[..n].iter().any(|walk| told(walk, entry));
    let entries: Vec<&Entry> = walk.entries.iter().filter(other).collect();
    if found.walks.len() > 1 {
        out.push(String::new());
        let choices: Vec<String> = walk
            .choices
            .iter()
            .map(|(name, value)| format!("{} = {}", shown(name), shown(&plain(value))))
            .collect();
        let like = match (n, entries.is_empty()) {
            (0, _) => "",
            (_, true) => " (as told above)",
            (_, false) => " (what is otherwise than above)",
        };
        push(
            out,
            "",
            &format!("walk {}: {}{like}", n + 1, choices.join(", ")),
            room,
        );
    }
    let mut phase = "";
    for entry in entries {
        if entry.phase != phase {
            phase = &entry.phase;
            out.push(String::new());
            out.push(format!("{}", shown(phase)));
        }
        one_entry(entry, room, out);
    }
}

/// Whether a walk has an entry that says the same.
fn told(walk: &Walk, entry: &Entry) -> bool {
    walk.entries.iter().any(|one| {
        one.step == entry.step
            && one.item == entry.item
            && one.word == entry.word
            && one.does == entry.does
            && one.problem == entry.problem
            && one.why == entry.why
    })
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn one_entry(entry: &Entry, room: usize, out: &mut Vec<String>) {
    let word = match (entry.word, entry.exact) {
        (Word::Simulated, false) => "simulated, in part",
        (word, _) => word.words(),
    };
    push(
        out,
        "  ",
        &format!("{}: {word}", shown(&entry.name())),
        room,
    );
    if entry.word == Word::LeftOut {
        if let Some(why) = &entry.why {
            push(out, "    ", &shown(why), room);
        }
        return;
    }
    if !entry.does.is_empty() {
        let first = entry.does.lines().next().unwrap_or_default();
        let more = if entry.does.lines().count() > 1 {
            " ..."
        } else {
            ""
        };
        push(out, "    ", &format!("{}{more}", shown(first)), room);
    }
    for line in entry.detail.iter().take(MOST_DETAILS) {
        push(out, "      ", &shown(line), room);
    }
    if entry.detail.len() > MOST_DETAILS {
        out.push(format!(
            "      ({} more lines)",
            entry.detail.len() - MOST_DETAILS
        ));
    }
    if entry.word == Word::Read && !entry.result.is_null() {
        let result = clip(&shown(&entry.result.to_string()), RESULT);
        push(out, "    ", &format!("result: {result}"), room);
    }
    judged(entry, room, out);
    for note in &entry.notes {
        push(out, "    ", &shown(note), room);
    }
    match (&entry.problem, &entry.why) {
        (Some(problem), _) => push(out, "    ", &format!("PROBLEM: {}", shown(problem)), room),
        (None, Some(why)) => push(out, "    ", &format!("why: {}", shown(why)), room),
        _ => {}
    }
    if let Some(hint) = &entry.hint {
        push(out, "    ", &format!("hint: {}", shown(hint)), room);
    }
}

/// Expectations, those that could be judged first.
fn judged(entry: &Entry, room: usize, out: &mut Vec<String>) {
    for evidence in &entry.evidence {
        let mark = match evidence.verdict {
            Verdict::Pass => "holds",
            Verdict::Fail => "does not hold",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Error => "error",
        };
        let expression = evidence
            .expression
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        push(
            out,
            "    ",
            &format!("{mark}: {}", shown(&expression)),
            room,
        );
        if evidence.verdict != Verdict::Pass {
            for value in evidence.values.iter().take(3) {
                let line = format!("{} is {}", shown(&value.text), shown(&value.value));
                push(out, "      ", &line, room);
            }
        }
    }
    for expression in &entry.not_judged {
        let expression = expression.split_whitespace().collect::<Vec<_>>().join(" ");
        push(
            out,
            "    ",
            &format!("not judged: {}", shown(&expression)),
            room,
        );
    }
}

fn sums(found: &Rehearsal, room: usize, out: &mut Vec<String>) {
    let (phases, all) = found.tallies();
    let head = [
        "phase",
        "steps",
        "read",
        "exact",
        "in part",
        "not verified",
        "problems",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(phases.iter().map(|(name, tally)| row(&shown(name), tally)));
    rows.push(row("all", &all));
    out.extend(table(&rows, room).lines().map(str::to_owned));
    let steps = found.steps();
    let problems = steps.iter().filter(|step| !step.problems.is_empty());
    list(
        out,
        "problems",
        room,
        problems.flat_map(|step| {
            let name = shown(&step.step).into_owned();
            step.problems
                .iter()
                .map(move |problem| format!("{name}: {}", shown(problem)))
        }),
    );
    let unverified = steps
        .iter()
        .filter(|step| step.word == Word::NotVerified && step.problems.is_empty());
    list(
        out,
        "not verified",
        room,
        unverified.map(|step| {
            let why = step.why.as_deref().unwrap_or_default();
            format!("{}: {}", shown(&step.step), shown(why))
        }),
    );
    let unreached = steps.iter().filter(|step| step.word == Word::LeftOut);
    list(
        out,
        "reached by no walk",
        room,
        unreached.map(|step| shown(&step.step).into_owned()),
    );
    out.push(String::new());
    if found.not_walked > 0 {
        let line = format!(
            "{} of {} combinations of choices were not walked: give `--input` for some",
            found.not_walked,
            found.not_walked + found.walks.len()
        );
        push(out, "", &line, room);
    }
    let line = format!(
        "fidelity: {} % ({} of {} steps really read or simulated exactly)",
        all.fidelity(),
        all.read + all.exact,
        all.steps
    );
    push(out, "", &line, room);
}

fn list(out: &mut Vec<String>, head: &str, room: usize, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return;
    }
    out.push(String::new());
    out.push(format!("{head} ({}):", lines.len()));
    for line in lines {
        let mut wrapped = wrap(&line, room.saturating_sub(6).max(20)).into_iter();
        out.extend(wrapped.next().map(|first| format!("  - {first}")));
        out.extend(wrapped.map(|more| format!("    {more}")));
    }
}

fn row(name: &str, tally: &Tally) -> Vec<String> {
    let counts = [
        tally.steps,
        tally.read,
        tally.exact,
        tally.shown,
        tally.not_verified,
        tally.problems,
    ];
    let mut row = vec![name.to_owned()];
    row.extend(counts.iter().map(usize::to_string));
    row
}
