//! Values between JSON and the wire, one file per dialect: `bind` turns `args` into bound
//! parameters, `value` turns one column of a row into JSON.
//!
//! Integers, floats, booleans, text and JSON stay what they are; decimals and points in time are
//! text (exact, RFC 3339), bytes are `\x` and hex. Nothing is rounded or cut.

pub mod mysql;
pub mod postgres;
mod postgres_bind;
pub mod sqlite;

use serde_json::Value;

/// `\x` and two digits per byte.
pub(super) fn hex(bytes: &[u8]) -> Value {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("\\x");
    for byte in bytes {
        // writing to a String does not fail
        let _ = write!(text, "{byte:02x}");
    }
    Value::String(text)
}

/// A float; what JSON has no number for is text, so that no comparison passes by accident.
pub(super) fn float(number: f64) -> Value {
    serde_json::Number::from_f64(number).map_or_else(
        || {
            Value::String(
                if number.is_nan() {
                    "NaN"
                } else if number > 0.0 {
                    "Infinity"
                } else {
                    "-Infinity"
                }
                .into(),
            )
        },
        Value::Number,
    )
}

/// Why a column cannot be shown.
pub(super) fn unreadable(column: &str, kind: &str) -> super::conn::Fault {
    super::conn::Fault::Value(format!(
        "column `{column}` has type `{}`, which has no JSON form here: cast it to text",
        kind.to_lowercase()
    ))
}
