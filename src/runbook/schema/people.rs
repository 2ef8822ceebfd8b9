//! What a runbook says of people and to people: roles, criteria, messages.

use serde_json::{Value, json};

use super::super::comms::Occasion;
use super::reference;

pub(super) fn comms() -> Value {
    let words: Vec<&str> = Occasion::NAMES.iter().map(|(word, _)| *word).collect();
    let event = json!({ "enum": words });
    let text = json!({ "type": "string" });
    let mail = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["to", "smtp"],
        "properties": {
            "to": { "anyOf": [text, { "type": "array", "minItems": 1, "items": text }] },
            "from": text,
            "smtp": { "type": "string", "description": "`smtp://HOST:PORT`, or `smtps://USER:PASSWORD@HOST`" },
        },
    });
    let channel = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": { "webhook": text, "format": { "enum": ["generic", "slack"] }, "mail": mail },
        "oneOf": [{ "required": ["webhook"] }, { "required": ["mail"] }],
    });
    let rule = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["event", "to"],
        "properties": {
            "event": { "anyOf": [event, { "type": "array", "minItems": 1, "items": event }] },
            "to": reference("names"),
            "text": { "type": "string", "description": "with `${{ }}` over `run`, `phase` and `inputs`" },
        },
    });
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["channels", "on"],
        "description": "what people are told while a run goes on",
        "properties": {
            "channels": { "type": "object", "additionalProperties": channel },
            "on": { "type": "array", "items": rule },
        },
    })
}

pub(super) fn role() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "title": { "type": "string" },
            "contact": { "type": "string" },
            "who": { "type": "string", "description": "who has the role, unless `--as` says otherwise" },
            "keys": { "type": "array", "items": { "type": "string" }, "description": "public keys that may sign for it" },
        }
    })
}

/// A success criterion; one that is judged later may be an expression, and says within what time.
pub(super) fn criterion(later: bool) -> Value {
    if !later {
        return json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["phase"],
            "properties": { "phase": reference("name") },
        });
    }
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["within"],
        "properties": {
            "phase": reference("name"),
            "expect": reference("expression"),
            "within": reference("duration"),
        },
        "oneOf": [{ "required": ["phase"] }, { "required": ["expect"] }],
    })
}
