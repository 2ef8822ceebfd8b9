//! A runbook of one step that only looks, and its plan: what was said on the command line is checked as a
//! runbook is.
//!
//! The address goes in as the value of an input, never as text of the runbook.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::super::error::CommandError;
use super::super::exit::Exit;
use super::Args;
use super::kinds::Kind;
use super::subject::{self, Subject, System};
use crate::action::Registry;
use crate::plan::Plan;
use crate::runbook::{self, Severity, TargetKind, yaml};

/// What is ready to be looked at.
pub(super) struct Made {
    pub(super) plan: Plan,
    pub(super) secrets: HashMap<String, String>,
}

pub(super) fn make(args: &Args, subject: Subject, kind: &Kind) -> Result<Made, CommandError> {
    let mut params = params(args, kind)?;
    if kind.key() == "redis" && holds_up(&params["command"]) {
        let message = "`KEYS`, and `SCAN` with a COUNT over 1000, hold the server up";
        return Err(CommandError::new(Exit::Usage, message)
            .hint("`redis.keys` goes over all keys and leaves the server time for others"));
    }
    let system = match subject {
        Subject::System(system) => Some(system),
        Subject::Path(path) => {
            if let (Some(name), Value::Object(params)) = (&kind.path, &mut params) {
                params.insert(name.clone(), Value::from(path));
            }
            None
        }
        Subject::Here => None,
    };
    let mut step = Map::new();
    step.insert("id".into(), "look".into());
    step.insert(kind.key().into(), params);
    if !args.expect.is_empty() {
        step.insert("expect".into(), json!(args.expect));
    }
    if !args.fields.is_empty() {
        // for the checks alone: a value that is not there fails no look
        let outputs = args.fields.iter().enumerate();
        let outputs = outputs.map(|(at, text)| (format!("field{at}"), Value::from(text.as_str())));
        step.insert("outputs".into(), Value::Object(outputs.collect()));
    }
    let mut book = json!({ "runbook": "probe" });
    let mut values = runbook::inputs::InputValues::new();
    let mut secrets = HashMap::new();
    if let Some(system) = system {
        step.insert("target".into(), Value::from(system.name.as_str()));
        let System { name, options, .. } = &system;
        let url = kind.url.as_ref().unwrap_or(&system.url);
        let mut target = Map::new();
        let is = kind_of(&system, kind);
        target.insert(is.key().into(), "${{ inputs.address }}".into());
        target.extend(options.clone());
        book["inputs"] = json!({ "address": {} });
        book["targets"] = json!({ name.as_str(): target });
        values.insert("address".into(), Value::from(url.as_str()));
        secrets = system.secrets;
    }
    book["phases"] = json!({ "look": { "steps": [step] } });
    let read = runbook::read(&book.to_string(), &Registry::all().catalog());
    let Some(runbook) = read.runbook else {
        return Err(refused(&read.diagnostics));
    };
    let names = secrets.keys().cloned().collect();
    let plan = Plan::new(runbook, &read.meaning, values, names);
    Ok(Made { plan, secrets })
}

/// What it is taken for: the same server may be looked at as one that speaks HTTP, or as Prometheus.
fn kind_of(system: &System, kind: &Kind) -> TargetKind {
    let targets = kind.spec.targets;
    match targets.contains(&system.kind) {
        true => system.kind,
        false => targets.first().copied().unwrap_or(system.kind),
    }
}

/// The parameters as they were said: all at once, one by one, and as text alone.
fn params(args: &Args, kind: &Kind) -> Result<Value, CommandError> {
    let wrong = |message: String| CommandError::new(Exit::Usage, message);
    let mut params = match &kind.usual {
        Value::Object(usual) if args.text.is_none() => usual.clone(),
        _ => Map::new(),
    };
    if let Some(text) = &args.params {
        let node = yaml::parse(text, &yaml::Limits::default())
            .map_err(|error| wrong(format!("`--params`: {}", error.message)))?;
        match node.to_json() {
            Value::Object(given) => params.extend(given),
            _ => {
                let error = wrong("`--params` takes a mapping".into());
                return Err(error.hint("such as `--params '{ match: \"session:*\" }'`"));
            }
        }
    }
    for (name, text) in &args.set {
        params.insert(name.clone(), subject::value(text));
    }
    if let Some(text) = &args.text {
        let Some(short) = kind.spec.short else {
            let message = format!("`{}` takes no text alone", kind.key());
            return Err(wrong(message).hint(format!(
                "`--set NAME=VALUE` sets a parameter; `ferry actions {}` lists them",
                kind.key()
            )));
        };
        params.insert(short.into(), Value::from(text.as_str()));
    }
    Ok(Value::Object(params))
}

/// Whether a command goes over all keys, or over many, while nobody else is served.
fn holds_up(command: &Value) -> bool {
    let words: Vec<String> = match command {
        Value::String(line) => line.split_whitespace().map(str::to_owned).collect(),
        Value::Array(words) => words
            .iter()
            .map(|word| {
                word.as_str()
                    .map_or_else(|| word.to_string(), str::to_owned)
            })
            .collect(),
        _ => return false,
    };
    let words: Vec<String> = words
        .iter()
        .map(|word| word.trim_matches(['"', '\'']).to_uppercase())
        .collect();
    match words.first().map(String::as_str) {
        Some("KEYS") => true,
        Some("SCAN") => words
            .windows(2)
            .any(|two| two[0] == "COUNT" && two[1].parse::<u64>().is_ok_and(|count| count > 1_000)),
        _ => false,
    }
}

/// What is wrong with it, without the places: nobody wrote that text.
fn refused(found: &[runbook::Diagnostic]) -> CommandError {
    let mistakes = found.iter().filter(|one| one.severity == Severity::Error);
    let mistakes: Vec<_> = mistakes.collect();
    let messages: Vec<_> = mistakes.iter().map(|one| one.message.clone()).collect();
    let mut error = CommandError::new(Exit::Usage, messages.join("; "));
    for help in mistakes.iter().flat_map(|one| &one.help) {
        if !error.hints.contains(help) {
            error.hints.push(help.clone());
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_a_server_up_is_told() {
        for command in [
            json!("keys *"),
            json!(["KEYS", "a*"]),
            json!("SCAN 0 MATCH x COUNT 1001"),
            json!(["scan", 0, "count", 1_000_000]),
            json!("\"KEYS\" *"),
        ] {
            assert!(holds_up(&command), "{command}");
        }
        for command in [
            json!("SCAN 0 COUNT 1000"),
            json!("GET KEYS"),
            json!(["SCAN", 0]),
            Value::Null,
        ] {
            assert!(!holds_up(&command), "{command}");
        }
    }
}
