//! [`Mode`]: permission bits as an author writes them.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// Permission bits; digits are octal with or without a leading zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

struct ModeVisitor;

impl Visitor<'_> for ModeVisitor {
    type Value = Mode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("permission bits such as `0644`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Mode, E> {
        if crate::runbook::de::is_hole(text) {
            return Ok(Mode(0o644));
        }
        let digits = text.strip_prefix("0o").unwrap_or(text);
        match u32::from_str_radix(digits, 8) {
            Ok(mode) if mode <= 0o7777 && !digits.starts_with('+') => Ok(Mode(mode)),
            _ => Err(E::custom(format!(
                "`{text}` is not permission bits such as `0644`"
            ))),
        }
    }

    // YAML reads `0640` as the number 640: the digits are what was meant
    fn visit_u64<E: de::Error>(self, digits: u64) -> Result<Mode, E> {
        self.visit_str(&digits.to_string())
    }

    fn visit_i64<E: de::Error>(self, digits: i64) -> Result<Mode, E> {
        self.visit_str(&digits.to_string())
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ModeVisitor)
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> Cow<'static, str> {
        "FileMode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "permission bits such as 0640",
            "pattern": r"^((0o)?[0-7]{1,4}|\$\{\{.*\}\})$"
        })
    }
}
