//! What is looked at again and again: guards, `watch` and what its looks are judged by, threshold
//! tables, and the decision point.

use serde_json::{Map, Value, json};

use super::super::watch::Direction;
use super::reference;

/// Keys of a guard beside its action.
pub(super) const GUARD_KEYS: &[&str] = &[
    "title",
    "during",
    "target",
    "read_only",
    "expect",
    "warn",
    "thresholds",
    "bands",
    "trend",
    "baseline",
    "every",
    "initial_delay",
    "failure_limit",
    "consecutive_failures",
    "inconclusive_limit",
    "consecutive_errors",
    "coverage",
    "timeout",
    "unreachable",
    "median_of",
    "unless",
    "then",
    "when_blind",
    "interrupt",
    "measures",
];

/// Keys that a guard and a `watch` share.
const RULE_KEYS: &[&str] = &[
    "every",
    "initial_delay",
    "failure_limit",
    "consecutive_failures",
    "inconclusive_limit",
    "consecutive_errors",
    "coverage",
    "timeout",
    "unreachable",
    "median_of",
];

/// A guard: what must be said of it. `bands` and `trend` are refused there with a word of what to do.
pub(super) fn guard(mut call: Value) -> Value {
    call["required"] = json!(["during", "every", "then"]);
    if let Some(properties) = call["properties"].as_object_mut() {
        properties.remove("bands");
        properties.remove("trend");
    }
    call
}

fn described(reference: &str, description: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{reference}"), "description": description })
}

fn count(least: u64, description: &str) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": 1_000_000, "description": description })
}

/// A key of a step that is about judging its looks.
pub(super) fn step_key(key: &str) -> Value {
    match key {
        "warn" => described(
            "expressions",
            "recorded and shown where it does not hold; nothing fails by it",
        ),
        "thresholds" => described(
            "thresholds",
            "tables by name, or a table: what is critical fails, what is not healthy is a warning",
        ),
        "watch" => described("watch", "looked at again and again, by this rule"),
        "bands" => described("bands", "what is expected by time after the start"),
        "trend" => described("trend", "how numbers of the result move over all looks"),
        _ => described(
            "baseline",
            "how the probe is read before the first change, for `baseline.result`",
        ),
    }
}

/// A key of a guard, or of the rule by which looks come to a verdict.
pub(super) fn guard_key(key: &str) -> Value {
    let then = |description: &str| json!({ "enum": ["rollback", "pause", "notify"], "description": description });
    match key {
        "during" => described("names", "the phases in which it is looked at"),
        "unless" => described(
            "expression",
            "while it holds, a look has no consequence; `phase` is the phase that runs",
        ),
        "then" => then("what follows when it does not hold"),
        "when_blind" => {
            then("what follows when it cannot tell any more; `pause`, unless `then` is `notify`")
        }
        "interrupt" => {
            json!({ "type": "boolean", "description": "end a change that is under way at once, before going back" })
        }
        "measures" => {
            json!({ "enum": ["downtime"], "description": "its failing time is the measured downtime" })
        }
        "every" => described("duration", "from one look to the next; at least 100ms"),
        "initial_delay" => described("duration", "before the first look"),
        "timeout" => described("duration", "of one look"),
        "failure_limit" => count(
            0,
            "how many looks may fail; 0, unless a row or `within` decides",
        ),
        "consecutive_failures" => count(1, "it fails once as many looks in a row failed"),
        "inconclusive_limit" => count(
            0,
            "how many looks may lack the data: 0 in all, or 4 in a row in a guard",
        ),
        "consecutive_errors" => count(0, "how many looks in a row may not come about; 4"),
        "coverage" => json!({
            "type": "number", "minimum": 0, "maximum": 1,
            "description": "the share of the looks that were due which must have taken place for a pass; 0.8"
        }),
        "unreachable" => json!({
            "enum": ["fail", "error"],
            "description": "what a target that does not answer is; `fail` in guards that ask over HTTP or measure downtime"
        }),
        _ => json!({
            "type": "integer", "minimum": 1, "maximum": 101,
            "description": "readings of one look, of which the median of every number counts; 1"
        }),
    }
}

pub(super) fn watch() -> Value {
    let mut properties: Map<String, Value> = RULE_KEYS
        .iter()
        .map(|key| ((*key).to_owned(), guard_key(key)))
        .collect();
    let own = [
        ("count", count(1, "over after as many looks")),
        (
            "for",
            described(
                "duration",
                "over after this long, with everything held all the time",
            ),
        ),
        (
            "within",
            described(
                "duration",
                "over when it passed, which it must within this long",
            ),
        ),
        (
            "consecutive_successes",
            count(1, "it passes once as many looks in a row passed"),
        ),
    ];
    properties.extend(own.map(|(key, schema)| (key.to_owned(), schema)));
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["every"],
        "properties": properties,
        "oneOf": [{ "required": ["count"] }, { "required": ["for"] }, { "required": ["within"] }],
    })
}

/// A table of levels by value.
pub(super) fn table() -> Value {
    let level = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "healthy": level("a comparison such as `>= 0.8`; where it does not hold, that is a warning"),
                "warning": level("a comparison such as `> 50`; where it holds, that is a warning"),
                "critical": level("a comparison such as `< 0.6`; where it holds, the look fails"),
            },
        },
    })
}

pub(super) fn thresholds() -> Value {
    json!({ "anyOf": [reference("names"), reference("table")] })
}

pub(super) fn bands() -> Value {
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "additionalProperties": false,
            "required": ["from", "expect"],
            "properties": {
                "from": described("duration", "from how long after the start, up to the next band"),
                "expect": reference("expressions"),
            },
        },
    })
}

pub(super) fn trend() -> Value {
    let words: Vec<&str> = Direction::ALL.iter().map(|(word, _)| *word).collect();
    let word = json!({ "enum": words });
    let wide = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["is"],
        "properties": {
            "is": word,
            "tolerance": { "type": "number", "minimum": 0, "maximum": 1, "description": "a change of at most this share of the median is none; 0.05" },
        },
    });
    json!({ "type": "object", "additionalProperties": { "anyOf": [word, wide] } })
}

pub(super) fn baseline() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "samples": { "type": "integer", "minimum": 1, "maximum": 1000, "description": "readings, of which the median of every number counts; 5" },
            "every": described("duration", "between two readings; 200ms"),
        },
    })
}

pub(super) fn decide_within() -> Value {
    json!({
        "description": "how long failures go back by themselves; later they hold and ask",
        "anyOf": [reference("duration"), {
            "type": "object",
            "additionalProperties": false,
            "required": ["for"],
            "properties": {
                "after": described("name", "the phase after whose end it runs; the last with an undo"),
                "for": reference("duration"),
            },
        }],
    })
}
