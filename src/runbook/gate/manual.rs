//! What a manual step asks for, and what an answer to it must be.

use std::collections::BTreeMap;

use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::Names;
use crate::event::AskOutline;

/// The longest text that an answer may hold, in bytes.
const LONGEST_VALUE: usize = 4 << 10;

/// Parameters of `manual`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manual {
    /// What to do.
    pub text: String,
    /// What is to be ticked, one by one.
    #[serde(default)]
    pub checklist: Vec<String>,
    /// What has to be typed in; later steps find it in `steps["ID"].result.values`.
    #[serde(default)]
    pub ask: Vec<Ask>,
    /// Who may confirm it; anybody unless said.
    #[serde(default)]
    pub by: Names,
    /// Whether a note or a file has to be handed in as evidence.
    #[serde(default)]
    pub evidence: bool,
    /// Whether something is changed by hand: then it needs an `undo`, like every change.
    #[serde(default)]
    pub changes: bool,
}

/// A value that is asked for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Its name.
    pub name: String,
    /// What is asked; the name unless said.
    #[serde(default)]
    pub prompt: Option<String>,
    /// What kind of value it is; text unless said.
    #[serde(default, rename = "type")]
    pub kind: AskKind,
    /// What may be chosen.
    #[serde(default)]
    pub choices: Vec<String>,
    /// A regular expression that the whole text has to match.
    #[serde(default)]
    pub matches: Option<String>,
    /// The least number.
    #[serde(default)]
    pub min: Option<f64>,
    /// The greatest number.
    #[serde(default)]
    pub max: Option<f64>,
}

/// What kind of value is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AskKind {
    /// Any text that is not empty.
    #[default]
    Text,
    /// A whole number.
    Int,
    /// A number.
    Number,
    /// `yes` or `no`, `true` or `false`.
    Bool,
}

impl AskKind {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "int",
            Self::Number => "number",
            Self::Bool => "bool",
        }
    }
}

impl Manual {
    /// What the type cannot say of its parameters as written.
    ///
    /// # Errors
    /// What is wrong, the way out behind a semicolon.
    pub fn sense(written: &Value) -> Result<(), String> {
        let Ok(manual) = serde_json::from_value::<Self>(written.clone()) else {
            return Ok(());
        };
        manual.by.sense()?;
        // what is ticked and typed is told by the words of the runbook
        let fixed = manual.checklist.iter();
        let fixed = fixed.chain(manual.ask.iter().flat_map(Ask::texts));
        if let Some(text) = fixed.into_iter().find(|text| text.contains("${{")) {
            return Err(format!("a value in `{text}`; put values into `text`"));
        }
        let mut seen = Vec::new();
        for entry in &manual.checklist {
            if entry.trim().is_empty() {
                return Err("an empty entry of `checklist`; say what is to be ticked".into());
            }
            if seen.contains(&entry) {
                return Err(format!("`{entry}` stands twice in `checklist`; remove one"));
            }
            seen.push(entry);
        }
        let mut names: Vec<&str> = Vec::new();
        for ask in &manual.ask {
            ask.sense()?;
            if names.contains(&ask.name.as_str()) {
                return Err(format!(
                    "`{}` is asked twice; give one another name",
                    ask.name
                ));
            }
            names.push(&ask.name);
        }
        Ok(())
    }

    /// Whether a confirmation has all that is asked for, of the right kinds.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn accepts(
        &self,
        ticked: &[String],
        values: &BTreeMap<String, Value>,
        evidence: bool,
    ) -> Result<(), String> {
        let open: Vec<String> = self
            .checklist
            .iter()
            .filter(|entry| !ticked.contains(entry))
            .map(|entry| format!("`{entry}`"))
            .collect();
        if !open.is_empty() {
            return Err(format!("not ticked yet: {}", open.join(", ")));
        }
        for ask in &self.ask {
            let Some(value) = values.get(&ask.name) else {
                return Err(format!("`{}` is missing", ask.name));
            };
            ask.accepts(value)?;
        }
        if let Some(tick) = ticked.iter().find(|tick| !self.checklist.contains(tick)) {
            return Err(format!("`{tick}` is no entry of the checklist"));
        }
        if let Some(name) = values
            .keys()
            .find(|name| !self.ask.iter().any(|ask| ask.name == **name))
        {
            return Err(format!("`{name}` is not asked for"));
        }
        if self.evidence && !evidence {
            return Err("evidence is missing: a note, or a file".into());
        }
        Ok(())
    }
}

impl From<&Ask> for AskOutline {
    fn from(ask: &Ask) -> Self {
        Self {
            name: ask.name.clone(),
            prompt: ask.words().to_owned(),
            kind: ask.kind.word().to_owned(),
            choices: ask.choices.clone(),
            matches: ask.matches.clone(),
            min: ask.min,
            max: ask.max,
        }
    }
}

impl From<&AskOutline> for Ask {
    fn from(outline: &AskOutline) -> Self {
        let kinds = [AskKind::Int, AskKind::Number, AskKind::Bool];
        let kind = kinds.into_iter().find(|kind| kind.word() == outline.kind);
        Self {
            name: outline.name.clone(),
            prompt: Some(outline.prompt.clone()),
            kind: kind.unwrap_or_default(),
            choices: outline.choices.clone(),
            matches: outline.matches.clone(),
            min: outline.min,
            max: outline.max,
        }
    }
}

impl Ask {
    /// What is asked, in words.
    pub fn words(&self) -> &str {
        self.prompt.as_deref().unwrap_or(&self.name)
    }

    /// Its texts.
    fn texts(&self) -> impl Iterator<Item = &String> {
        let prompt = self.prompt.iter().chain(&self.matches);
        prompt.chain(&self.choices).chain([&self.name])
    }

    fn sense(&self) -> Result<(), String> {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let starts = self.name.starts_with(|c: char| c.is_ascii_alphabetic());
        if !starts || !self.name.chars().all(good) {
            return Err(format!(
                "`{}` is no name for a value; letters, digits and `_`, a letter first",
                self.name
            ));
        }
        if let Some(pattern) = &self.matches {
            whole(pattern).map_err(|error| format!("`matches` of `{}`: {error}", self.name))?;
        }
        let texts = self.matches.is_some() || !self.choices.is_empty();
        if texts && self.kind != AskKind::Text {
            return Err(format!(
                "`choices` and `matches` of `{}` are for `type: text`; remove them",
                self.name
            ));
        }
        let numbers = self.min.is_some() || self.max.is_some();
        if numbers && !matches!(self.kind, AskKind::Int | AskKind::Number) {
            return Err(format!(
                "`min` and `max` of `{}` are for numbers; say `type: int` or `type: number`",
                self.name
            ));
        }
        Ok(())
    }

    /// The value that a typed text stands for.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(&self, typed: &str) -> Result<Value, String> {
        let typed = typed.trim();
        let wrong = |wanted: &str| format!("`{}` takes {wanted}, and `{typed}` is none", self.name);
        let value = match self.kind {
            AskKind::Text => Value::from(typed),
            AskKind::Int => typed
                .parse::<i64>()
                .map(Value::from)
                .map_err(|_| wrong("a whole number"))?,
            AskKind::Number => typed
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite())
                .map(Value::from)
                .ok_or_else(|| wrong("a number"))?,
            AskKind::Bool => match typed.to_lowercase().as_str() {
                "yes" | "y" | "true" => Value::from(true),
                "no" | "n" | "false" => Value::from(false),
                _ => return Err(wrong("`yes` or `no`")),
            },
        };
        self.accepts(&value)?;
        Ok(value)
    }

    /// Whether a value is one that is asked for.
    ///
    /// # Errors
    /// Why it is not.
    pub fn accepts(&self, value: &Value) -> Result<(), String> {
        let name = &self.name;
        match (self.kind, value) {
            (AskKind::Text, Value::String(text)) => self.accepts_text(text),
            (AskKind::Int, Value::Number(number)) if number.is_i64() => {
                self.accepts_number(number.as_f64().unwrap_or(f64::NAN))
            }
            (AskKind::Number, Value::Number(number)) => {
                self.accepts_number(number.as_f64().unwrap_or(f64::NAN))
            }
            (AskKind::Bool, Value::Bool(_)) => Ok(()),
            (kind, _) => Err(format!("`{name}` takes a value of type `{}`", kind.word())),
        }
    }

    fn accepts_text(&self, text: &str) -> Result<(), String> {
        let name = &self.name;
        if text.trim().is_empty() {
            return Err(format!("`{name}` is empty"));
        }
        if text.len() > LONGEST_VALUE {
            return Err(format!("`{name}` is longer than {LONGEST_VALUE} bytes"));
        }
        if !self.choices.is_empty() && !self.choices.iter().any(|one| one == text) {
            return Err(format!("`{name}` is one of: {}", self.choices.join(", ")));
        }
        match self
            .matches
            .as_deref()
            .map(|pattern| (pattern, whole(pattern)))
        {
            Some((pattern, Ok(regex))) if !regex.is_match(text) => {
                Err(format!("`{name}` does not match `{pattern}`"))
            }
            Some((_, Err(error))) => Err(format!("`matches` of `{name}`: {error}")),
            _ => Ok(()),
        }
    }

    fn accepts_number(&self, number: f64) -> Result<(), String> {
        let name = &self.name;
        match (self.min, self.max) {
            (Some(min), _) if number < min => Err(format!("`{name}` is at least {min}")),
            (_, Some(max)) if number > max => Err(format!("`{name}` is at most {max}")),
            _ => Ok(()),
        }
    }
}

/// A pattern that the whole of a text has to match.
fn whole(pattern: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
        let text = error.to_string();
        text.lines()
            .last()
            .unwrap_or("no regular expression")
            .to_owned()
    })
}
