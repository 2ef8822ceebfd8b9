//! Replies: as JSON for `result`, and as what the actions here need of them.

use redis::Value;
use serde_json::json;

use super::client::REPLY_MAX;
use crate::runbook::units::human_bytes;

/// How deep lists may be nested in a reply.
const DEPTH_MAX: usize = 32;

/// A reply as JSON: nil is null, a list is a list, text is text, and bytes that are not text are
/// `{"hex": "00ff"}`. An error inside a list is `{"error": "..."}`.
///
/// # Errors
/// In words, when the reply is larger or deeper than the limits.
pub(super) fn to_json(value: &Value) -> Result<serde_json::Value, String> {
    let mut budget = REPLY_MAX;
    convert(value, DEPTH_MAX, &mut budget)
}

fn convert(value: &Value, depth: usize, budget: &mut u64) -> Result<serde_json::Value, String> {
    let mut spend = |bytes: usize| {
        *budget = budget
            .checked_sub(bytes as u64 + 1)
            .ok_or_else(|| format!("more than {}", human_bytes(REPLY_MAX)))?;
        Ok::<_, String>(())
    };
    Ok(match value {
        Value::Nil => serde_json::Value::Null,
        Value::Okay => json!("OK"),
        Value::Int(n) => json!(n),
        Value::Double(n) => json!(n),
        Value::Boolean(b) => json!(b),
        Value::BulkString(bytes) => {
            spend(bytes.len())?;
            text_or_hex(bytes)
        }
        Value::BigNumber(bytes) => text_or_hex(bytes),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => {
            spend(text.len())?;
            json!(text)
        }
        Value::ServerError(error) => {
            json!({ "error": format!("{} {}", error.code(), error.details().unwrap_or_default()).trim_end() })
        }
        Value::Array(items) | Value::Set(items) | Value::Push { data: items, .. } => {
            if depth == 0 {
                return Err(format!("nested deeper than {DEPTH_MAX} lists"));
            }
            spend(items.len())?;
            items
                .iter()
                .map(|item| convert(item, depth - 1, budget))
                .collect::<Result<Vec<_>, _>>()?
                .into()
        }
        Value::Map(pairs) => {
            if depth == 0 {
                return Err(format!("nested deeper than {DEPTH_MAX} lists"));
            }
            let mut list = Vec::with_capacity(pairs.len());
            for (key, value) in pairs {
                list.push(json!([
                    convert(key, depth - 1, budget)?,
                    convert(value, depth - 1, budget)?
                ]));
            }
            list.into()
        }
        Value::Attribute { data, .. } => convert(data, depth, budget)?,
        _ => return Err("of a kind that is not known".into()),
    })
}

/// Text as text, other bytes as `{"hex": ".."}`.
pub(super) fn text_or_hex(bytes: &[u8]) -> serde_json::Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "hex": hex(bytes) }),
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of a text reply.
pub(super) fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        Value::Okay => Some(b"OK".to_vec()),
        _ => None,
    }
}

/// The text of a text reply, wrong bytes replaced.
pub(super) fn text(value: Value) -> String {
    String::from_utf8_lossy(&bytes(value).unwrap_or_default()).into_owned()
}

/// The number of a number reply.
pub(super) fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(n) => Some(*n),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_reply_has_a_form() {
        let reply = Value::Array(vec![
            Value::Nil,
            Value::Int(-3),
            Value::BulkString(vec![0, 0xff]),
            Value::BulkString("é".into()),
            Value::Array(vec![]),
        ]);
        assert_eq!(
            to_json(&reply).unwrap(),
            json!([null, -3, { "hex": "00ff" }, "é", []])
        );
    }

    #[test]
    fn the_limits_are_said() {
        let mut deep = Value::Nil;
        for _ in 0..DEPTH_MAX {
            deep = Value::Array(vec![deep]);
        }
        assert!(to_json(&deep).is_ok());
        let deeper = Value::Array(vec![deep]);
        assert_eq!(to_json(&deeper).unwrap_err(), "nested deeper than 32 lists");
        let large = Value::BulkString(vec![b'x'; 64 << 20]);
        assert_eq!(to_json(&large).unwrap_err(), "more than 64.0 MB");
    }
}
