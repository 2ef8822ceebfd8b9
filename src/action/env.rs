//! `env`: reads environment variables by name, for snapshots and expectations.
//!
//! [`Env`] reads what the step declares before what ferry itself was started with. Hiding secret
//! values is the caller's, as with every result.

use std::borrow::Cow;
use std::fmt;

use async_trait::async_trait;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{Action, ActionError, Call, Context, ReadContext, Rehearsed};
use crate::runbook::Spec;
use crate::runbook::catalog::always_reading;

/// The actions of this file.
pub const ACTIONS: &[&dyn Action] = &[&Env];

/// Reads environment variables.
pub struct Env;

/// Names to read: a list, or a mapping with `names`.
pub struct Params {
    /// The names
    pub names: Vec<String>,
}

/// What the language knows of `env`.
pub static SPEC: Spec = Spec {
    class: always_reading,
    results_open: true,
    ..Spec::of::<Params>("env", "read environment variables by name")
};

#[async_trait]
impl Action for Env {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        match Params::deserialize(&call.params) {
            Ok(params) => format!("read {} from the environment", params.names.join(", ")),
            Err(_) => "read the environment".into(),
        }
    }

    async fn execute(&self, _: &Context, call: &Call) -> Result<Value, ActionError> {
        read(call)
    }

    async fn rehearse(&self, _: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        read(call).map(Rehearsed::Read)
    }
}

fn read(call: &Call) -> Result<Value, ActionError> {
    let params = Params::deserialize(&call.params)
        .map_err(|error| ActionError::invalid(format!("`{}`: {error}", call.key)))?;
    let mut values = Map::new();
    for name in params.names {
        if name.is_empty() || name.contains(['=', '\0']) {
            let shown = name.escape_debug();
            return Err(ActionError::invalid(format!(
                "`{}`: `{shown}` is not the name of a variable",
                call.key
            )));
        }
        let declared = call.env.iter().rev().find(|(key, _)| *key == name);
        let value = match declared {
            Some((_, value)) => Some(value.clone()),
            None => std::env::var_os(&name).map(|value| value.to_string_lossy().into_owned()),
        };
        values.insert(name, value.into());
    }
    Ok(Value::Object(values))
}

struct ParamsVisitor;

impl<'de> Visitor<'de> for ParamsVisitor {
    type Value = Params;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of names, or a mapping with `names`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Params, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = items.next_element()? {
            names.push(name);
        }
        Ok(Params { names })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Params, A::Error> {
        let mut names = None;
        while let Some(key) = entries.next_key::<String>()? {
            match key.as_str() {
                "names" => names = Some(entries.next_value()?),
                other => return Err(de::Error::unknown_field(other, &["names"])),
            }
        }
        let names = names.ok_or_else(|| de::Error::missing_field("names"))?;
        Ok(Params { names })
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParamsVisitor)
    }
}

impl JsonSchema for Params {
    fn schema_name() -> Cow<'static, str> {
        "EnvParams".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = serde_json::json!({ "type": "array", "items": { "type": "string" } });
        json_schema!({
            "description": "names of environment variables",
            "anyOf": [
                names,
                {
                    "type": "object",
                    "properties": { "names": names },
                    "required": ["names"],
                    "additionalProperties": false
                }
            ]
        })
    }
}
