//! Inputs: what a runbook says of them, and binding them: what was given, else the environment, else
//! the default.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::decode::check_kind;
use super::diagnostic::did_you_mean;
use super::model::{Runbook, Sp};

/// One input.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name.
    pub name: Sp<String>,
    /// What it holds.
    pub kind: InputKind,
    /// The environment variable it is read from.
    pub env: Option<String>,
    /// Used when nothing else gives a value.
    pub default: Option<Value>,
    /// The only values allowed.
    pub choices: Vec<Value>,
    /// Whether its value must never be seen.
    pub secret: bool,
    /// For people.
    pub description: Option<String>,
}

/// What an input holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputKind {
    #[default]
    Text,
    Int,
    Number,
    Bool,
    Duration,
    Path,
    List,
}

impl InputKind {
    /// The words for it in a runbook.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("text", Self::Text),
        ("int", Self::Int),
        ("number", Self::Number),
        ("bool", Self::Bool),
        ("duration", Self::Duration),
        ("path", Self::Path),
        ("list", Self::List),
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("text", |(name, _)| name)
    }
}

/// Inputs by name with their values; secrets are not among them.
pub type InputValues = BTreeMap<String, Value>;

/// The values of a run's inputs. Secrets are apart, so that they go nowhere by accident.
#[derive(Default)]
pub struct Bound {
    /// Inputs that may be seen.
    pub values: InputValues,
    /// Inputs that may not.
    pub secrets: HashMap<String, String>,
}

/// Why an input has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputError {
    /// Lower case, names the input.
    pub message: String,
    /// A way out.
    pub hint: String,
}

/// Binds every input: `given` from the command line, then `environment`, then the default.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn bind(
    runbook: &Runbook,
    given: &BTreeMap<String, String>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Bound, Vec<InputError>> {
    let mut bound = Bound::default();
    let mut errors = Vec::new();
    for name in given.keys() {
        if !runbook.inputs.iter().any(|input| *input.name == *name) {
            let known = runbook.inputs.iter().map(|input| input.name.as_str());
            let hint =
                did_you_mean(name, known).unwrap_or_else(|| "see `inputs` in the runbook".into());
            errors.push(InputError {
                message: format!("the runbook has no input `{name}`"),
                hint,
            });
        }
    }
    for input in &runbook.inputs {
        match value(input, given, environment) {
            Ok(value) if input.secret => {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                bound.secrets.insert(input.name.value.clone(), text);
            }
            Ok(value) => {
                bound.values.insert(input.name.value.clone(), value);
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(bound)
    } else {
        Err(errors)
    }
}

/// The secret inputs that have a value here; the others are left out.
pub fn bind_known(
    runbook: &Runbook,
    given: &BTreeMap<String, String>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> HashMap<String, String> {
    let secrets = runbook.inputs.iter().filter(|input| input.secret);
    let known = secrets.filter_map(|input| {
        let value = value(input, given, environment).ok()?;
        Some((input.name.value.clone(), plain(&value)))
    });
    known.collect()
}

/// Binds the inputs of a run again: those that its journal keeps are as they were, secrets and what
/// the journal hides come from `given`, the `environment` or the default.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn rebind(
    runbook: &Runbook,
    kept: &InputValues,
    given: &BTreeMap<String, String>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Bound, Vec<InputError>> {
    let known = |name: &str| {
        let kept = kept.get(name)?;
        (!crate::runbook::is_hidden(kept)).then(|| kept.clone())
    };
    let from_journal = |name: &str| {
        let input = runbook.inputs.iter().find(|input| *input.name == *name);
        input.is_some_and(|input| !input.secret) && known(name).is_some()
    };
    let given: BTreeMap<String, String> = given
        .iter()
        .filter(|(name, _)| !from_journal(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let mut needed = runbook.clone();
    needed
        .inputs
        .retain(|input| input.secret || known(&input.name).is_none());
    let mut bound = bind(&needed, &given, environment)?;
    for input in runbook.inputs.iter().filter(|input| !input.secret) {
        if let Some(value) = known(&input.name) {
            bound.values.insert(input.name.value.clone(), value);
        }
    }
    Ok(bound)
}

fn value(
    input: &Input,
    given: &BTreeMap<String, String>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Value, InputError> {
    let name = input.name.as_str();
    let from_env = || Some((environment(input.env.as_deref()?)?, "environment"));
    let text = given
        .get(name)
        .map(|text| (text.clone(), "command line"))
        .or_else(from_env);
    let Some((text, origin)) = text else {
        return input.default.clone().ok_or_else(|| missing(input));
    };
    let shown = if input.secret {
        "its value".to_owned()
    } else {
        format!("`{text}`")
    };
    let wrong = |what: String| InputError {
        message: format!("input `{name}`: {what}"),
        hint: format!("the value comes from the {origin}"),
    };
    let value = parse(input.kind, &text)
        .filter(|value| check_kind(input.kind, value).is_ok())
        .ok_or_else(|| wrong(format!("{shown} is not of type `{}`", input.kind.name())))?;
    if !input.choices.is_empty() && !input.choices.contains(&value) {
        let choices: Vec<_> = input
            .choices
            .iter()
            .map(|choice| format!("`{}`", plain(choice)))
            .collect();
        return Err(wrong(format!(
            "{shown} is not one of {}",
            choices.join(", ")
        )));
    }
    Ok(value)
}

fn missing(input: &Input) -> InputError {
    let name = input.name.as_str();
    // the command line of a process is open to others: a secret is not sent there
    let hint = match (&input.env, input.secret) {
        (Some(env), true) => format!("set the environment variable `{env}`"),
        (Some(env), false) => {
            format!("set the environment variable `{env}`, or give `--input {name}=VALUE`")
        }
        (None, true) => "say in the runbook which `env` holds it".to_owned(),
        (None, false) => format!("give `--input {name}=VALUE`"),
    };
    InputError {
        message: format!("input `{name}` has no value"),
        hint,
    }
}

fn parse(kind: InputKind, text: &str) -> Option<Value> {
    match kind {
        InputKind::Text | InputKind::Path | InputKind::Duration => Some(Value::from(text)),
        InputKind::Int => text.trim().parse::<i64>().ok().map(Value::from),
        InputKind::Number => text
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|n| n.is_finite())
            .map(Value::from),
        InputKind::Bool => text.trim().parse::<bool>().ok().map(Value::from),
        InputKind::List if text.trim_start().starts_with('[') => serde_json::from_str(text).ok(),
        InputKind::List => Some(
            text.split(',')
                .map(|item| Value::from(item.trim()))
                .collect(),
        ),
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
