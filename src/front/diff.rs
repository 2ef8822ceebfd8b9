//! Two runs beside each other, for `ferry diff`: what is worth attention first, then everything.
//!
//! Main functions: [`text`] and [`json()`]. What a journal hides stays hidden: values are shown as they
//! stand in it.

use serde_json::{Value, json};

use super::escape::shown;
use super::look::Tone;
use super::text::{clip, hang, moment, ms, numbered, pad, rfc3339, table, width};
use crate::view::Change;
use crate::view::compare::{
    CheckPair, CheckSide, Comparison, NoticeKind, Side, StepPair, StepSide,
};

/// The most values that are shown of one step or snapshot.
const VALUES: usize = 20;

/// The most columns of one value.
const VALUE: usize = 60;

/// The whole comparison within that many columns.
pub fn text(made: &Comparison, columns: usize, colour: bool) -> String {
    let mut out = Vec::new();
    head(made, columns, &mut out);
    attention(made, columns, colour, &mut out);
    out.push(String::new());
    let mut text = join(&out);
    text.push_str(&steps(made, columns));
    text.push_str(&checks(made, columns));
    let mut out = Vec::new();
    values(made, columns, &mut out);
    snapshots(made, columns, &mut out);
    changes("inputs", &made.inputs, columns, &mut out);
    text.push_str(&join(&out));
    text
}

fn join(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        text.push_str(line.trim_end());
        text.push('\n');
        text
    })
}

fn head(made: &Comparison, columns: usize, out: &mut Vec<String>) {
    let mut say = |word: &str, text: &str| {
        out.extend(hang(&format!("{}  ", pad(word, 5)), text, columns));
    };
    for (word, side) in ["from", "to"].iter().zip(&made.runs) {
        let started = side.started_at.map_or("not started".into(), moment);
        let took = side.took_ms.map_or("-".into(), ms);
        let (id, status) = (shown(&side.id), side.status.words());
        say(word, &format!("{id}, {status}, {started}, {took}"));
    }
    let [was, is] = &made.runs;
    let digest =
        |side: &Side| shown(&side.digest.chars().take(12).collect::<String>()).into_owned();
    match was.digest == is.digest {
        true => say("plan", &format!("the same ({})", digest(is))),
        false => say("plan", &format!("{}, was {}", digest(is), digest(was))),
    }
    let [same, changed, added, removed] = made.counts();
    let parts = [
        (same, "the same"),
        (changed, "changed"),
        (added, "added"),
        (removed, "removed"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    say("steps", &parts.join(", "));
}

fn attention(made: &Comparison, columns: usize, colour: bool, out: &mut Vec<String>) {
    out.push(String::new());
    out.push(clip("worth attention first", columns));
    if made.attention.is_empty() {
        out.push(clip("  nothing", columns));
    }
    for notice in &made.attention {
        let tone = match notice.kind {
            NoticeKind::Run | NoticeKind::Failed => Tone::Bad,
            NoticeKind::Waiver | NoticeKind::Skipped | NoticeKind::Changed => Tone::Odd,
            _ => Tone::Neutral,
        };
        let subject = match notice.subject.is_empty() {
            true => String::new(),
            false => format!("{}: ", shown(&notice.subject)),
        };
        let word = pad(notice.kind.word(), 8);
        let head = format!("  {word}  ");
        let lines = hang(&head, &format!("{subject}{}", shown(&notice.text)), columns);
        let rest = lines.iter().enumerate().map(|(at, line)| match at {
            0 => line.replacen(&word, &tone.paint(&word, colour), 1),
            _ => line.clone(),
        });
        out.extend(rest);
    }
}

/// What is to be seen of a step in the last column.
fn remarks(pair: &StepPair) -> String {
    let mut remarks = Vec::new();
    match &pair.sides {
        [None, _] => remarks.push("added".to_owned()),
        [_, None] => remarks.push("removed".to_owned()),
        [Some(was), Some(is)] => {
            if was.status != is.status {
                remarks.push(format!("was {}", was.status.words()));
            }
            if was.items != is.items {
                let count = |side: &StepSide| numbered(side.items.unwrap_or(1), "item");
                remarks.push(format!("{}, was {}", count(is), count(was)));
            }
            if was.attempt != is.attempt && was.attempt.min(is.attempt) > 0 {
                remarks.push(format!("attempt {}, was {}", is.attempt, was.attempt));
            }
        }
    }
    if pair.changed {
        remarks.push("changed".into());
    }
    if pair.slower {
        remarks.push("slower".into());
    }
    remarks.join(", ")
}

fn steps(made: &Comparison, columns: usize) -> String {
    let head = ["step", "was", "is", "ratio", "outcome", ""];
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    for pair in &made.steps {
        let took = |at: usize| {
            let side = pair.sides[at].as_ref();
            side.and_then(|side| side.took_ms).map_or("-".into(), ms)
        };
        let outcome = pair.sides[1].as_ref();
        rows.push(vec![
            shown(&pair.id).into_owned(),
            took(0),
            took(1),
            pair.ratio.map_or("-".into(), ratio),
            outcome.map_or("-", |side| side.status.words()).to_owned(),
            remarks(pair),
        ]);
    }
    let took = |at: usize| made.runs[at].took_ms.map_or("-".into(), ms);
    rows.push(vec!["total".into(), took(0), took(1), total_ratio(made)]);
    table(&rows, columns)
}

/// What was watched, with the median of its first value.
fn checks(made: &Comparison, columns: usize) -> String {
    if made.checks.is_empty() {
        return String::new();
    }
    let head = ["watched", "was", "is", "looks", "value"];
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).to_vec()];
    for pair in &made.checks {
        let said = |at: usize| match &pair.sides[at] {
            None => "-".to_owned(),
            Some(side) => side
                .verdict
                .map_or("open".to_owned(), |one| one.to_string()),
        };
        let looks = |at: usize| {
            let side = pair.sides[at].as_ref();
            side.map_or("-".to_owned(), |side| {
                format!("{} of {}", side.failed, side.looks)
            })
        };
        rows.push(vec![
            shown(&pair.name).into_owned(),
            said(0),
            said(1),
            format!("failed {}, was {}", looks(1), looks(0)),
            median(pair),
        ]);
    }
    format!("\n{}", table(&rows, columns))
}

fn median(pair: &CheckPair) -> String {
    let of = |at: usize| pair.sides[at].as_ref().map(|side| &side.values);
    let path = of(1).or(of(0)).and_then(|values| values.keys().next());
    let Some(path) = path else {
        return String::new();
    };
    let value = |at: usize| {
        let value = of(at).and_then(|values| values.get(path));
        value.map_or("-".to_owned(), |value| super::watched::number(*value))
    };
    format!("{} {}, was {}", shown(path), value(1), value(0))
}

fn ratio(ratio: f64) -> String {
    match ratio < 10.0 {
        true => format!("{ratio:.1}x"),
        false => format!("{ratio:.0}x"),
    }
}

fn total_ratio(made: &Comparison) -> String {
    let [was, is] = &made.runs;
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    let found = match (was.took_ms, is.took_ms) {
        (Some(was), Some(is)) if was > 0 => Some(is as f64 / was as f64),
        _ => None,
    };
    found.map_or("-".into(), ratio)
}

fn values(made: &Comparison, columns: usize, out: &mut Vec<String>) {
    for pair in &made.steps {
        changes(
            &format!("values of {}", shown(&pair.id)),
            &pair.values,
            columns,
            out,
        );
    }
}

fn snapshots(made: &Comparison, columns: usize, out: &mut Vec<String>) {
    for pair in &made.snapshots {
        let head = format!("snapshot {} {}", shown(&pair.name), pair.moment.name());
        match pair.why {
            Some(why) => {
                out.push(String::new());
                out.extend(hang("", &format!("{head}: {why}"), columns));
            }
            None => changes(&head, &pair.changes, columns, out),
        }
    }
}

fn changes(head: &str, changes: &[Change], columns: usize, out: &mut Vec<String>) {
    if changes.is_empty() {
        return;
    }
    out.push(String::new());
    out.push(clip(head, columns));
    let value = |value: &Option<Value>| match value {
        None => "nothing".to_owned(),
        Some(value) => clip(&shown(&value.to_string()), VALUE),
    };
    for change in changes.iter().take(VALUES) {
        let path = if change.path.is_empty() {
            "all of it"
        } else {
            &change.path
        };
        let head = format!("  {}: ", shown(path));
        let text = format!("{}, was {}", value(&change.after), value(&change.before));
        match width(&head) + 12 <= columns {
            true => out.extend(hang(&head, &text, columns)),
            false => out.extend(hang("  ", &format!("{}: {text}", shown(path)), columns)),
        }
    }
    if changes.len() > VALUES {
        let more = numbered(changes.len() - VALUES, "more");
        out.push(clip(
            &format!("  and {}", more.trim_end_matches('s')),
            columns,
        ));
    }
}

/// The comparison as JSON. `schema` is `ferry.diff/1`; fields are added to it, never changed.
pub fn json(made: &Comparison) -> Value {
    let [same, changed, added, removed] = made.counts();
    let run = |side: &Side| {
        json!({
            "run": side.id, "runbook": side.runbook, "status": side.status,
            "started_at": side.started_at.map(rfc3339), "took_ms": side.took_ms,
            "digest": side.digest, "steps": side.steps,
        })
    };
    json!({
        "schema": "ferry.diff/1",
        "from": run(&made.runs[0]),
        "to": run(&made.runs[1]),
        "steps_same": same,
        "steps_changed": changed,
        "steps_added": added,
        "steps_removed": removed,
        "attention": made.attention.iter()
            .map(|one| json!({ "kind": one.kind.word(), "subject": one.subject, "text": one.text }))
            .collect::<Vec<_>>(),
        "steps": made.steps.iter().map(step).collect::<Vec<_>>(),
        "checks": made.checks.iter().map(check).collect::<Vec<_>>(),
        "inputs": made.inputs.iter().map(change).collect::<Vec<_>>(),
        "snapshots": made.snapshots.iter()
            .map(|pair| json!({
                "moment": pair.moment, "name": pair.name, "why": pair.why,
                "changes": pair.changes.iter().map(change).collect::<Vec<_>>(),
            }))
            .collect::<Vec<_>>(),
    })
}

fn step(pair: &StepPair) -> Value {
    let side = |side: &Option<StepSide>| {
        side.as_ref().map(|side| {
            json!({
                "status": side.status.words(), "took_ms": side.took_ms, "attempt": side.attempt,
                "items": side.items,
            })
        })
    };
    json!({
        "id": pair.id,
        "phase": pair.phase,
        "from": side(&pair.sides[0]),
        "to": side(&pair.sides[1]),
        "changed": pair.changed,
        "ratio": pair.ratio,
        "slower": pair.slower,
        "values": pair.values.iter().map(change).collect::<Vec<_>>(),
    })
}

fn check(pair: &CheckPair) -> Value {
    let side = |side: &Option<CheckSide>| {
        side.as_ref().map(|side| {
            json!({
                "verdict": side.verdict, "looks": side.looks, "failed": side.failed,
                "missed": side.missed, "failing_ms": side.failing_ms, "medians": side.values,
            })
        })
    };
    json!({ "check": pair.name, "from": side(&pair.sides[0]), "to": side(&pair.sides[1]) })
}

fn change(change: &Change) -> Value {
    json!({ "path": change.path, "from": change.before, "to": change.after })
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::*;
    use crate::event::{EventKind, RunEvent};
    use crate::view::RunView;
    use crate::view::samples::{hostile, rolled_back, success};

    fn made() -> Comparison {
        let mut new = rolled_back(false);
        if let EventKind::Run(RunEvent::Planned(planned)) = &mut new[0].kind {
            planned.outline.phases[0].steps[1].id = "disk-room".into();
            planned
                .inputs
                .insert("strategy".into(), json!("maintenance"));
            planned.digest = "77aa01".into();
        }
        Comparison::of(
            &RunView::replay(&success()).with_id("demo-20260301-aaaa"),
            &RunView::replay(&new).with_id("demo-20260302-bbbb"),
        )
    }

    #[test]
    fn attention_comes_first_and_everything_after_it() {
        golden::same("diff.txt", &text(&made(), 80, false));
    }

    #[test]
    fn what_was_watched_is_compared_by_verdict_and_median() {
        let mut old = crate::view::samples::watched();
        for event in &mut old {
            if let EventKind::Check(crate::event::CheckEvent::Judged { check, judgement }) =
                &mut event.kind
                && check == "keys"
            {
                judgement.verdict = crate::expr::Verdict::Pass;
            }
        }
        let new = crate::view::samples::watched();
        let made = Comparison::of(
            &RunView::replay(&old).with_id("a"),
            &RunView::replay(&new).with_id("b"),
        );
        let text = text(&made, 100, false);
        assert!(
            text.contains("failed    keys: watched: fail, was pass"),
            "{text}"
        );
        let row = text
            .lines()
            .find(|line| line.starts_with("login ") && line.contains("hit_rate"));
        assert_eq!(
            row.unwrap(),
            "login    pass  pass  failed 1 of 41, was 1 of 41  hit_rate 0.41, was 0.41"
        );
        let told = json(&made);
        assert_eq!(told["checks"][1]["from"]["verdict"], "pass");
        assert_eq!(told["checks"][1]["to"]["verdict"], "fail");
    }

    #[test]
    fn it_fits_narrow_terminals_and_stays_plain() {
        let odd = Comparison::of(
            &RunView::replay(&hostile()).with_id("a"),
            &RunView::replay(&success()).with_id("b"),
        );
        for made in [made(), odd] {
            for columns in [20, 40, 80] {
                let text = text(&made, columns, false);
                let wide = text.lines().find(|line| width(line) > columns);
                assert_eq!(wide, None, "{columns}");
                assert!(
                    !text.contains(|c: char| c.is_control() && c != '\n'),
                    "{text:?}"
                );
            }
        }
    }

    #[test]
    fn programs_get_the_same() {
        let made = json(&made());
        assert_eq!(made["schema"], "ferry.diff/1");
        assert_eq!(made["from"]["run"], "demo-20260301-aaaa");
        assert_eq!(made["attention"][1]["kind"], "failed");
        assert_eq!(made["steps"].as_array().unwrap().len(), 7);
        assert_eq!(made["steps"][1]["to"], Value::Null);
        assert_eq!(
            made["inputs"][0],
            json!({"path": "strategy", "from": "rolling", "to": "maintenance"})
        );
    }
}
