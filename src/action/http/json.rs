//! JSON that is taken at its word: what two readers could read differently is not JSON here.
//!
//! [`strict`] refuses duplicate keys, NaN, a byte order mark and nesting beyond 128 levels, so that
//! an expectation never judges a value that the sender may not have meant.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads a whole body.
///
/// # Errors
/// Why it is not JSON, in words.
pub fn strict(body: &[u8]) -> Result<Value, String> {
    if body.is_empty() {
        return Err("the body is empty".into());
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err("the body begins with a byte order mark".into());
    }
    match serde_json::from_slice::<Strict>(body) {
        Ok(Strict(value)) => Ok(value),
        Err(error) => {
            let text = error.to_string();
            Err(match text.strip_prefix("recursion limit exceeded") {
                Some(place) => format!("nested deeper than 128 levels{place}"),
                None => text,
            })
        }
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let Strict(value) = entries.next_value()?;
            if map.contains_key(&key) {
                return Err(de::Error::custom(format!("duplicate key `{key}`")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_json_is_read_and_the_rest_says_why_not() {
        let good = br#"{"a": [1, -2, 3.5, null, true, "x"], "b": {"a": 18446744073709551615}}"#;
        assert_eq!(
            strict(good).unwrap(),
            json!({"a": [1, -2, 3.5, null, true, "x"], "b": {"a": u64::MAX}})
        );
        let deep = "[".repeat(10_000);
        for (body, why) in [
            (&b""[..], "the body is empty"),
            (
                br#"{"a": 1, "b": {"c": 1, "c": 2}}"#,
                "duplicate key `c` at line 1 column 30",
            ),
            (br#"{"a": NaN}"#, "expected value at line 1 column 7"),
            (
                br#"{"a": 1e999}"#,
                "number out of range at line 1 column 11",
            ),
            (b"\xef\xbb\xbf{}", "the body begins with a byte order mark"),
            (
                deep.as_bytes(),
                "nested deeper than 128 levels at line 1 column 128",
            ),
            (b"{} {}", "trailing characters at line 1 column 4"),
        ] {
            assert_eq!(strict(body).unwrap_err(), why);
        }
    }
}
