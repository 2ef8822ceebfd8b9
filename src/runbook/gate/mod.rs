//! Gates: steps that wait for people. What `manual` and `approve` take, and what an answer to them must
//! be. Pure: who gave the answer and whether it still counts is the run's to decide.
//!
//! Main types: [`Manual`], [`Approve`]; [`Gate`] tells them apart.

mod manual;

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub use manual::{Ask, AskKind, Manual};

use super::model::Step;

/// A step that waits for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Something is done by hand.
    Manual,
    /// People agree.
    Approve,
}

impl Gate {
    /// What a step is, if it waits for people.
    pub fn of(step: &Step) -> Option<Self> {
        match step.action.key.as_str() {
            "manual" => Some(Self::Manual),
            "approve" => Some(Self::Approve),
            _ => None,
        }
    }
}

/// The parameters of a gate, as written: the short form is spelled out there already.
///
/// # Errors
/// Why they are none, naming the action.
pub fn definition<P: DeserializeOwned>(step: &Step) -> Result<P, String> {
    let written = step.action.params.as_written();
    serde_json::from_value(written).map_err(|error| format!("`{}`: {error}", *step.action.key))
}

/// Roles or names: one, or a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a role or a name, or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, one: &str) -> Result<Names, E> {
                Ok(Names(vec![one.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element::<String>()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

impl Names {
    /// Whether each stands for somebody, and for somebody else.
    ///
    /// # Errors
    /// What is wrong, the way out behind a semicolon.
    pub fn sense(&self) -> Result<(), String> {
        for (at, name) in self.0.iter().enumerate() {
            if name.is_empty() || name.trim() != name {
                return Err(format!(
                    "`{name}` in `by` is no name; write it without spaces around it"
                ));
            }
            if name.contains("${{") {
                return Err("`by` names roles or people; bind a role with `--as ROLE=NAME`".into());
            }
            if self.0[..at].contains(name) {
                return Err(format!("`{name}` stands twice in `by`; remove one"));
            }
        }
        Ok(())
    }
}

impl JsonSchema for Names {
    fn schema_name() -> Cow<'static, str> {
        "Names".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 }
            ],
            "description": "roles of `people`, or names"
        })
    }
}

/// Parameters of `approve`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// Who may decide: roles of `people`, or names.
    pub by: Names,
    /// How many of them have to agree; 1 unless said.
    #[serde(default = "one")]
    pub min: usize,
    /// `operator`: who carries the run out may not decide.
    #[serde(default)]
    pub not_by: Option<NotBy>,
    /// Whether each vote needs an SSH signature of a key in `signers`.
    #[serde(default)]
    pub signed: bool,
    /// What is decided.
    #[serde(default)]
    pub text: Option<String>,
}

/// Who may not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotBy {
    /// Who carries the run out.
    Operator,
}

fn one() -> usize {
    1
}

impl Approve {
    /// What the type cannot say of its parameters as written.
    ///
    /// # Errors
    /// What is wrong, the way out behind a semicolon.
    pub fn sense(written: &Value) -> Result<(), String> {
        let Ok(approve) = serde_json::from_value::<Self>(written.clone()) else {
            return Ok(());
        };
        approve.by.sense()?;
        let named = approve.by.0.len();
        if named == 0 {
            return Err("`by` names nobody; name a role of `people`".into());
        }
        if approve.min == 0 {
            return Err("`min: 0` asks nobody; 1 at least".into());
        }
        if approve.min > named {
            return Err(format!(
                "`min: {}` of {named} can never be reached; name more, or ask for fewer",
                approve.min
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
