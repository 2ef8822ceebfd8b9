//! The JSON Schema of runbooks, for editors and other tools.
//!
//! Parameters of actions come from their types. The keys around them are written here, because the
//! decoder reads them key by key; a test holds the two against each other.

mod people;
mod watched;

use people::{comms, criterion, role};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::catalog::{Catalog, Spec, TargetKind};
use super::model::InputKind;

/// The whole schema, draft 2020-12.
pub fn of(catalog: &Catalog) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let step = step(catalog, &mut generator);
    let probe = call(catalog, &mut generator, PROBE_KEYS);
    let poll = call(catalog, &mut generator, POLL_KEYS);
    let snapshot = call(catalog, &mut generator, SNAPSHOT_KEYS);
    let guard = watched::guard(call(catalog, &mut generator, watched::GUARD_KEYS));
    let mut defs: Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    let own = [
        ("step", step),
        ("probe", probe),
        ("poll", poll),
        ("snapshot", snapshot),
        (
            "steps",
            json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/step" } }),
        ),
        (
            "duration",
            json!({ "type": "string", "description": "such as 500ms, 5s, 1h30m or 7d" }),
        ),
        (
            "expression",
            json!({ "type": ["string", "boolean", "number"], "description": "a CEL expression" }),
        ),
        ("expressions", one_or_more("#/$defs/expression")),
        (
            "name",
            json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$" }),
        ),
        ("names", one_or_more("#/$defs/name")),
        ("input", input()),
        ("environment", environment()),
        ("target", target()),
        ("phase", phase()),
        ("rollback", rollback()),
        ("retry", retry()),
        ("role", role()),
        ("immediate", criterion(false)),
        ("criterion", criterion(true)),
        ("guard", guard),
        ("watch", watched::watch()),
        ("table", watched::table()),
        ("thresholds", watched::thresholds()),
        ("bands", watched::bands()),
        ("trend", watched::trend()),
        ("baseline", watched::baseline()),
    ];
    defs.extend(own.map(|(name, schema)| (name.to_owned(), schema)));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ferry runbook",
        "type": "object",
        "required": ["runbook", "phases"],
        "additionalProperties": false,
        "properties": root_properties(),
        "$defs": defs,
    })
}

const PROBE_KEYS: &[&str] = &["expect", "target", "read_only"];
const POLL_KEYS: &[&str] = &["every", "within", "expect", "target", "read_only"];
const SNAPSHOT_KEYS: &[&str] = &["target", "read_only"];
const STEP_KEYS: &[&str] = &[
    "id",
    "title",
    "when",
    "expect",
    "warn",
    "thresholds",
    "watch",
    "bands",
    "trend",
    "baseline",
    "retry",
    "timeout",
    "estimate",
    "undo",
    "done_when",
    "undone_when",
    "rehearse",
    "then_wait",
    "env",
    "cwd",
    "outputs",
    "requires_backup",
    "read_only",
    "idempotent",
    "in_doubt",
    "point_of_no_return",
    "tolerate",
    "sql_lint",
    "for_each",
    "parallel",
    "target",
];

fn one_or_more(reference: &str) -> Value {
    json!({ "oneOf": [{ "$ref": reference }, { "type": "array", "minItems": 1, "items": { "$ref": reference } }] })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn root_properties() -> Value {
    let map_of = |name: &str| json!({ "type": "object", "additionalProperties": reference(name) });
    json!({
        "runbook": { "$ref": "#/$defs/name", "description": "the runbook's name" },
        "title": { "type": "string" },
        "version": { "type": ["string", "number"] },
        "description": { "type": "string" },
        "window": window(),
        "max_parallel": { "type": "integer", "minimum": 1, "maximum": 1000, "description": "steps in flight at once, over all phases" },
        "production": { "type": "boolean", "description": "what a crash would leave open is a mistake" },
        "people": map_of("role"),
        "inputs": map_of("input"),
        "environments": map_of("environment"),
        "targets": map_of("target"),
        "locks": { "type": "array", "items": reference("name") },
        "snapshots": map_of("snapshot"),
        "thresholds": { "type": "object", "additionalProperties": reference("table"), "description": "levels of values, by the name of their table" },
        "guards": { "type": "object", "additionalProperties": reference("guard"), "description": "what is watched beside the steps while phases run" },
        "phases": { "type": "object", "minProperties": 1, "additionalProperties": reference("phase") },
        "rollback": reference("rollback"),
        "sign_off": {
            "type": "object",
            "additionalProperties": false,
            "description": "roles whose signatures are asked for",
            "properties": { "before": reference("names"), "after": reference("names") }
        },
        "comms": comms(),
        "signers": { "type": "string", "description": "file of the keys that may sign, as `allowed_signers` of OpenSSH" },
        "success_criteria": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "immediate": one_or_more("#/$defs/immediate"),
                "short_term": one_or_more("#/$defs/criterion"),
                "long_term": one_or_more("#/$defs/criterion"),
            }
        },
        "troubleshooting": { "type": "array", "items": {
            "type": "object",
            "additionalProperties": false,
            "required": ["symptom", "for"],
            "properties": {
                "symptom": { "type": "string", "description": "what is seen" },
                "for": { "type": "array", "items": reference("name"), "description": "the steps that it belongs to" },
                "diagnose": { "type": "array", "minItems": 1, "items": reference("step"), "description": "what to look at; reading only" },
                "solutions": { "type": "array", "items": { "type": "string" }, "description": "what may help" },
            }
        } },
    })
}

fn window() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let days: Vec<&str> = super::hours::DAYS.iter().map(|(name, _)| *name).collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "total": reference("duration"), "downtime": reference("duration"), "rollback": reference("duration"),
            "opens": text("a run starts not before: 2026-11-22T01:00:00+01:00"),
            "closes": text("a run is over by: 2026-11-22T05:00:00+01:00"),
            "days": { "type": "array", "items": { "enum": days }, "description": "days on which the hours begin; every day when left out" },
            "from": text("a time of the day: 01:00"),
            "to": text("a time of the day: 05:00"),
            "zone": text("a time zone: Europe/Berlin"),
        }
    })
}

/// A mapping with one action key and the common keys `common`.
fn call(catalog: &Catalog, generator: &mut SchemaGenerator, common: &[&str]) -> Value {
    let mut properties = Map::new();
    for key in common {
        properties.insert((*key).to_owned(), common_key(key));
    }
    let actions: Vec<&Spec> = catalog
        .iter()
        .filter(|spec| !common.contains(&spec.key))
        .collect();
    for spec in &actions {
        properties.insert(spec.key.to_owned(), action(spec, generator));
    }
    let one_of: Vec<Value> = actions
        .iter()
        .map(|spec| json!({ "required": [spec.key] }))
        .collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "oneOf": one_of })
}

fn step(catalog: &Catalog, generator: &mut SchemaGenerator) -> Value {
    let mut step = call(catalog, generator, STEP_KEYS);
    // `wait` with a probe is a poll
    let wait = step["properties"]["wait"].take();
    step["properties"]["wait"] = json!({ "description": "let time pass, or wait until a probe holds", "anyOf": [wait, reference("poll")] });
    step
}

fn action(spec: &Spec, generator: &mut SchemaGenerator) -> Value {
    let params = (spec.schema)(generator).to_value();
    match spec.short {
        Some(field) => json!({
            "description": format!("{} (text alone is `{field}`)", spec.summary),
            "anyOf": [params, { "type": ["string", "number", "boolean"] }],
        }),
        None => json!({ "description": spec.summary, "anyOf": [params] }),
    }
}

fn sql_lint() -> Value {
    use crate::expr::sql::Rule;
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["dialect", "deny"],
        "description": "what must not be in the SQL that a `shell` step prints",
        "properties": {
            "dialect": { "enum": ["postgres", "mysql", "sqlite"] },
            "deny": { "type": "array", "minItems": 1, "items": { "enum": Rule::ALL.map(Rule::name) } },
        }
    })
}

fn common_key(key: &str) -> Value {
    match key {
        "id" | "target" => reference("name"),
        "title" | "cwd" => json!({ "type": "string" }),
        "when" => reference("expression"),
        "expect" => reference("expressions"),
        "warn" | "thresholds" | "watch" | "bands" | "trend" | "baseline" => watched::step_key(key),
        key if watched::GUARD_KEYS.contains(&key)
            && !STEP_KEYS.contains(&key)
            && key != "every" =>
        {
            watched::guard_key(key)
        }
        "retry" => reference("retry"),
        "timeout" | "estimate" | "every" | "within" => reference("duration"),
        "undo" => json!({ "anyOf": [{ "enum": ["auto", "none"] }, reference("steps")] }),
        "done_when" | "undone_when" | "rehearse" => reference("probe"),
        "in_doubt" => {
            json!({ "enum": ["ask", "fail"], "description": "when nothing can tell whether it was done" })
        }
        "then_wait" => reference("poll"),
        "sql_lint" => sql_lint(),
        "env" => {
            json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } })
        }
        "outputs" => json!({
            "type": "object",
            "additionalProperties": {
                "anyOf": [
                    reference("expression"),
                    { "type": "object", "additionalProperties": false, "properties": { "json": { "type": "string" }, "text": { "type": "string" } } }
                ]
            }
        }),
        "requires_backup" => json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["step"],
            "properties": { "step": reference("name"), "younger_than": reference("duration") }
        }),
        "for_each" => json!({ "type": ["string", "array"] }),
        "parallel" => json!({ "type": "integer", "minimum": 1, "maximum": 1000 }),
        _ => json!({ "type": "boolean" }),
    }
}

fn input() -> Value {
    let types: Vec<&str> = InputKind::NAMES.iter().map(|(name, _)| *name).collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "type": { "enum": types },
            "env": { "type": "string" },
            "default": {},
            "choices": { "type": "array" },
            "secret": { "type": "boolean" },
            "description": { "type": "string" },
        }
    })
}

fn environment() -> Value {
    let variable = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["env"],
        "properties": { "env": { "type": "string" } }
    });
    let value =
        json!({ "anyOf": [{ "type": ["string", "number", "boolean", "array"] }, variable] });
    json!({
        "type": "object",
        "description": "other values for inputs, by name",
        "additionalProperties": false,
        "required": ["inputs"],
        "properties": {
            "inputs": { "type": "object", "additionalProperties": value },
            "shares": { "$ref": "#/$defs/names", "description": "targets and steps that are the same as in production" }
        }
    })
}

const REDIS_ADDRESS: &str = "redis://user:password@host:6379/0, unix:///path, \
     redis+sentinel://user:password@host:26379,host:26379/MASTERNAME/0 or \
     redis+cluster://user:password@host:7000,host:7000; rediss for TLS";

fn target() -> Value {
    let kinds = TargetKind::ALL.map(|kind| {
        let schema = match kind {
            TargetKind::Redis => json!({ "type": "string", "description": REDIS_ADDRESS }),
            _ => json!({ "type": "string" }),
        };
        (kind.key().to_owned(), schema)
    });
    let one_of: Vec<Value> = TargetKind::ALL
        .iter()
        .map(|kind| json!({ "required": [kind.key()] }))
        .collect();
    json!({ "type": "object", "properties": Map::from_iter(kinds), "oneOf": one_of })
}

fn phase() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["steps"],
        "properties": {
            "title": { "type": "string" },
            "needs": reference("names"),
            "estimate": reference("duration"),
            "parallel": { "type": "integer", "minimum": 1, "maximum": 1000 },
            "when": reference("expression"),
            "steps": reference("steps"),
        }
    })
}

fn rollback() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "first": reference("steps"),
            "last": reference("steps"),
            "verify": reference("steps"),
            "notify": reference("steps"),
            "decide_within": watched::decide_within(),
        }
    })
}

fn retry() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["limit"],
        "properties": {
            "limit": { "type": "integer", "minimum": 1, "maximum": 1000, "description": "attempts after the first" },
            "backoff": reference("duration"),
            "max_backoff": reference("duration"),
            "factor": { "type": "integer", "minimum": 1, "maximum": 10 },
            "on": { "type": "array", "items": { "enum": ["unreachable", "timeout", "failed", "expectation"] } },
        }
    })
}
