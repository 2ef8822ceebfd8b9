//! The journal as the checker reads it: events by their names, not by the types that wrote them.

use ferry::event::Event;
use serde_json::Value;

/// An event of the journal, by name.
#[derive(Clone, Debug)]
pub struct Fact {
    pub seq: u64,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// `step.finished`.
    pub kind: String,
    pub fields: Value,
}

impl Fact {
    /// Of an event.
    pub fn of(event: &Event) -> Self {
        let (family, rest) = only(serde_json::to_value(&event.kind).unwrap());
        let (word, fields) = only(rest);
        Self {
            seq: event.seq,
            at: event.at,
            kind: format!("{family}.{word}"),
            fields,
        }
    }

    /// Where it leaves the run, if it ends or parks it.
    pub fn ends_with(&self) -> Option<String> {
        match self.kind.as_str() {
            "run.finished" => Some(self.fields["status"].as_str()?.to_owned()),
            "run.parked" => Some("waiting".to_owned()),
            _ => None,
        }
    }

    /// The step that it is about.
    pub fn step(&self) -> Option<&str> {
        self.fields.get("step")?.as_str()
    }

    /// The item of the way back that it is about.
    pub fn item(&self) -> Option<usize> {
        usize::try_from(self.fields.get("item")?.as_u64()?).ok()
    }

    /// Whether it says that the step, or the item, took effect.
    pub fn is_done(&self) -> bool {
        match self.kind.as_str() {
            "step.finished" | "step.skipped" | "rollback.finished" => true,
            "step.resolved" | "rollback.resolved" => self.fields["to"] == "done",
            _ => false,
        }
    }
}

fn only(value: Value) -> (String, Value) {
    match value {
        Value::Object(map) => map.into_iter().next().unwrap_or_default(),
        Value::String(word) => (word, Value::Null),
        other => panic!("no tagged value: {other}"),
    }
}
