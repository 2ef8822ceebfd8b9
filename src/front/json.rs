//! Events for programs: one JSON object a line.
//!
//! Main type: [`JsonLines`]. Every object has `seq` (from 1, without gaps), `at` (RFC 3339, UTC,
//! milliseconds), `run` and `event`; the event's own fields stand beside them. The events:
//!
//! | event | fields |
//! | --- | --- |
//! | `run.planned` | `name`, `title`, `source`, `digest`, `inputs`, `secrets` (names), `phases`, `options`, `window`, `version` |
//! | `run.started` | `by`, `host`, `pid` |
//! | `run.failed` | `step`, `phase`, `failure` |
//! | `run.stopping`, `run.parked` | `reason` |
//! | `run.finished` | `status` |
//! | `phase.skipped` | `phase`, `evidence` |
//! | `step.expanded` | `step`, `items` |
//! | `step.checking`, `step.started` | `step`, `attempt` |
//! | `step.skipped` | `step`, `reason` (`when`, `already_done`, `no_items`), `evidence` (a list) |
//! | `step.acted`, `step.finished` | `step`, `attempt`, and the report |
//! | `step.failed` | `step`, `attempt`, `failure`, `retry_at`, `tolerated`, and the report |
//! | `snapshot.taking` | `moment` |
//! | `snapshot.taken` | `moment`, `snapshots` |
//! | `rollback.planned` | `cause`, `items`, `not_undone` |
//! | `rollback.started` | `item` (from 0), `id`, `attempt` |
//! | `rollback.finished` | `item`, `id`, and the report |
//! | `rollback.failed` | `item`, `id`, `attempt`, `failure`, `retry_at`, and the report |
//! | `rollback.skipped` | `item`, `id`, `reason`, `held` |
//!
//! A report is `took_ms`, `did`, `result`, `outputs`, `evidence`, `output`; a failure is `cause`,
//! `outcome`, `message`, `hint`. Fields without a value are left out. The runbook's text and what an
//! automatic undo captured are in the journal only: they are long.

use std::io::{self, Write};

use serde_json::{Map, Value};

use super::Subscriber;
use super::text::rfc3339;
use crate::event::{Event, EventKind, RollbackEvent};

/// Writes one JSON object per event. A reader that went away ends it silently.
pub struct JsonLines<W> {
    to: W,
    run: String,
    /// Names of the items of the way back.
    items: Vec<String>,
    gone: bool,
}

impl<W: Write> JsonLines<W> {
    /// For the run of that id.
    pub fn new(to: W, run: impl Into<String>) -> Self {
        Self {
            to,
            run: run.into(),
            items: Vec::new(),
            gone: false,
        }
    }

    /// Whether whoever read the lines went away.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    fn line(&mut self, event: &Event) -> Map<String, Value> {
        if let EventKind::Rollback(RollbackEvent::Planned { items, .. }) = &event.kind {
            self.items = items.iter().map(|item| item.id.clone()).collect();
        }
        let (name, fields) = flat(&event.kind);
        let mut line = Map::new();
        line.insert("seq".into(), event.seq.into());
        line.insert("at".into(), rfc3339(event.at).into());
        line.insert("run".into(), self.run.clone().into());
        line.insert("event".into(), name.into());
        for (key, value) in fields {
            let id = (key == "item").then(|| self.item(&value)).flatten();
            match key.as_str() {
                "retry_at" => {
                    let at = value.as_i64().map_or(Value::Null, |at| rfc3339(at).into());
                    line.insert(key, at);
                }
                _ => {
                    line.insert(key, value);
                }
            }
            if let Some(id) = id {
                line.insert("id".into(), id.into());
            }
        }
        line
    }

    fn item(&self, at: &Value) -> Option<String> {
        let at = usize::try_from(at.as_u64()?).ok()?;
        self.items.get(at).cloned()
    }
}

impl<W: Write + Send> Subscriber for JsonLines<W> {
    fn on_history(&mut self, events: &[Event]) {
        for event in events {
            if let EventKind::Rollback(RollbackEvent::Planned { items, .. }) = &event.kind {
                self.items = items.iter().map(|item| item.id.clone()).collect();
            }
        }
    }

    fn on_event(&mut self, event: &Event) -> io::Result<()> {
        if self.gone {
            return Ok(());
        }
        let mut line = Value::Object(self.line(event)).to_string();
        line.push('\n');
        let written = self
            .to
            .write_all(line.as_bytes())
            .and_then(|()| self.to.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            other => other,
        }
    }
}

/// The event's name and its fields, one level deep. It goes by the names that the journal has, so
/// that a new event or field is there without being told here.
fn flat(kind: &EventKind) -> (String, Map<String, Value>) {
    let told = serde_json::to_value(kind).unwrap_or_default();
    let (family, inner) = only(told);
    let (what, fields) = only(inner);
    let mut flat = Map::new();
    if let Value::Object(fields) = fields {
        for (key, value) in fields {
            put(&mut flat, key, value);
        }
    }
    if what == "planned" && family == "run" {
        let outline = flat.shift_remove("outline").unwrap_or_default();
        flat.shift_remove("text");
        put(&mut flat, "phases".into(), outline["phases"].clone());
    }
    match (family.as_str(), what.as_str()) {
        ("step", "phase_skipped") => ("phase.skipped".into(), flat),
        _ => (format!("{family}.{what}"), flat),
    }
}

fn put(flat: &mut Map<String, Value>, key: String, value: Value) {
    match (key.as_str(), value) {
        (_, Value::Null) | ("captured", _) => {}
        ("report", Value::Object(report)) => {
            report
                .into_iter()
                .for_each(|(key, value)| put(flat, key, value));
        }
        // why a step was skipped carries what that rests on
        ("reason", Value::Object(reason)) => {
            let (reason, evidence) = only(Value::Object(reason));
            flat.insert("reason".into(), reason.into());
            let evidence = match evidence {
                Value::Array(_) => evidence,
                one => Value::Array(vec![one]),
            };
            flat.insert("evidence".into(), evidence);
        }
        (_, value) => {
            flat.insert(key, value);
        }
    }
}

/// The one entry of a tagged value; a bare tag has no content.
fn only(value: Value) -> (String, Value) {
    match value {
        Value::Object(map) => map.into_iter().next().unwrap_or_default(),
        Value::String(tag) => (tag, Value::Null),
        _ => Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    fn lines(events: &[Event]) -> Vec<String> {
        let mut out = Vec::new();
        let mut json = JsonLines::new(&mut out, "r1");
        for event in events {
            json.on_event(event).unwrap();
        }
        let text = String::from_utf8(out).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_event_is_one_flat_line() {
        let events = samples::rolled_back(true);
        let lines = lines(&events);
        assert_eq!(lines.len(), events.len());
        let has = |line: &str| assert!(lines.iter().any(|one| one == line), "{line}\n{lines:#?}");
        has(
            r#"{"seq":3,"at":"2026-03-01T02:00:00.000Z","run":"r1","event":"step.started","step":"redis-answers","attempt":1}"#,
        );
        has(
            r#"{"seq":4,"at":"2026-03-01T02:00:00.012Z","run":"r1","event":"step.finished","step":"redis-answers","attempt":1,"took_ms":12,"did":"PING: \"PONG\"","result":{"reply":"PONG"},"evidence":[{"expression":"result.reply == \"PONG\"","verdict":"pass","values":[{"text":"result.reply","value":"\"PONG\""}]}]}"#,
        );
        has(
            r#"{"seq":7,"at":"2026-03-01T02:00:00.500Z","run":"r1","event":"step.skipped","step":"maintenance","reason":"when","evidence":[{"expression":"inputs.strategy == \"maintenance\"","verdict":"fail","values":[{"text":"inputs.strategy","value":"\"rolling\""}],"reason":"`inputs.strategy == \"maintenance\"` is false: inputs.strategy is \"rolling\""}]}"#,
        );
        has(
            r#"{"seq":23,"at":"2026-03-01T02:00:10.200Z","run":"r1","event":"rollback.skipped","item":1,"id":"undo restart[0]","reason":"`restart[1]` stands on it and was not undone","held":true}"#,
        );
        let last = lines.last().unwrap();
        assert!(
            last.ends_with(r#""event":"run.finished","status":"rollback_failed"}"#),
            "{last}"
        );
        let retry = lines.iter().find(|line| line.contains("retry_at")).unwrap();
        assert!(
            retry.contains(r#""retry_at":"2026-03-01T02:00:08.200Z""#),
            "{retry}"
        );
    }

    #[test]
    fn the_plan_is_told_without_its_text() {
        let line: Value = serde_json::from_str(&lines(&samples::success())[0]).unwrap();
        assert_eq!(line["event"], "run.planned");
        assert_eq!(line["phases"][1]["name"], "deploy");
        assert!(line.get("text").is_none() && line.get("outline").is_none());
    }

    #[test]
    fn a_reader_that_went_away_is_no_error_and_others_are() {
        struct Broken(io::ErrorKind);
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let event = &samples::success()[0];
        let mut gone = JsonLines::new(Broken(io::ErrorKind::BrokenPipe), "r1");
        assert!(gone.on_event(event).is_ok());
        assert!(gone.on_event(event).is_ok());
        let mut full = JsonLines::new(Broken(io::ErrorKind::StorageFull), "r1");
        assert!(full.on_event(event).is_err());
    }
}
