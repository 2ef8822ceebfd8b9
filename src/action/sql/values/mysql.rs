//! MySQL's and MariaDB's values, from the binary protocol of prepared statements.
//!
//! The session's time zone is UTC, so `TIMESTAMP` is a moment (`Z`) and `DATETIME` is not. `TINYINT(1)`
//! holding 0 or 1 is a boolean; `exists(..)` is an integer there, as the server says.

use serde_json::Value;
use sqlx::mysql::{MySql, MySqlArguments, MySqlRow};
use sqlx::{Arguments, Column, Row, Type, TypeInfo, ValueRef};

use super::super::conn::Fault;
use super::{float, hex, unreadable};

/// Binds JSON values; arrays and objects go in as JSON text.
///
/// # Errors
/// When the driver cannot encode one.
pub fn bind(args: &[Value]) -> Result<MySqlArguments, Fault> {
    let mut bound = MySqlArguments::default();
    for arg in args {
        match arg {
            Value::Null => bound.add(None::<String>),
            Value::Bool(flag) => bound.add(*flag),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(whole), _) => bound.add(whole),
                (_, Some(whole)) => bound.add(whole),
                _ => bound.add(number.as_f64()),
            },
            Value::String(text) => bound.add(text.clone()),
            other => bound.add(other.to_string()),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(bound)
}

/// One column of a row.
///
/// # Errors
/// When its type has no JSON form.
pub fn value(row: &MySqlRow, index: usize) -> Result<Value, Fault> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let info = raw.type_info().into_owned();
    let name = info.name();
    Ok(match name {
        "BOOLEAN" => match row.try_get_unchecked::<i64, _>(index)? {
            0 => false.into(),
            1 => true.into(),
            other => other.into(),
        },
        "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => {
            row.try_get_unchecked::<i64, _>(index)?.into()
        }
        "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "MEDIUMINT UNSIGNED" | "INT UNSIGNED"
        | "BIGINT UNSIGNED" | "YEAR" => row.try_get_unchecked::<u64, _>(index)?.into(),
        "FLOAT" => short_float(row.try_get_unchecked::<f32, _>(index)?),
        "DOUBLE" => float(row.try_get_unchecked::<f64, _>(index)?),
        "DECIMAL" | "ENUM" | "SET" => row.try_get_unchecked::<String, _>(index)?.into(),
        "JSON" => {
            let text = row.try_get_unchecked::<String, _>(index)?;
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
        "DATE" | "DATETIME" | "TIMESTAMP" | "TIME" => {
            let bytes = row.try_get_unchecked::<&[u8], _>(index)?;
            time(name, bytes).ok_or_else(|| unreadable(row.column(index).name(), name))?
        }
        "BIT" | "GEOMETRY" => hex(row.try_get_unchecked::<&[u8], _>(index)?),
        _ if <str as Type<MySql>>::compatible(&info) => {
            row.try_get_unchecked::<String, _>(index)?.into()
        }
        "BINARY" | "VARBINARY" | "TINYBLOB" | "BLOB" | "MEDIUMBLOB" | "LONGBLOB" | "CHAR"
        | "VARCHAR" | "TINYTEXT" | "TEXT" | "MEDIUMTEXT" | "LONGTEXT" => {
            hex(row.try_get_unchecked::<&[u8], _>(index)?)
        }
        other => return Err(unreadable(row.column(index).name(), other)),
    })
}

/// A single float as its shortest decimal, so that 0.1 stays 0.1.
fn short_float(number: f32) -> Value {
    float(
        number
            .to_string()
            .parse()
            .unwrap_or_else(|_| f64::from(number)),
    )
}

/// The binary forms: a length byte, then the fields that are not all zero.
fn time(name: &str, bytes: &[u8]) -> Option<Value> {
    let (&length, fields) = bytes.split_first()?;
    if fields.len() != usize::from(length) {
        return None;
    }
    let at = |index: usize| u32::from(fields.get(index).copied().unwrap_or(0));
    let long =
        |index: usize| at(index) | at(index + 1) << 8 | at(index + 2) << 16 | at(index + 3) << 24;
    let fraction = |micros: u32| match micros {
        0 => String::new(),
        micros => format!(".{micros:06}"),
    };
    if name == "TIME" {
        let sign = if at(0) == 1 { "-" } else { "" };
        let hours = long(1) * 24 + at(5);
        let rest = fraction(long(8));
        return Some(format!("{sign}{hours:02}:{:02}:{:02}{rest}", at(6), at(7)).into());
    }
    let date = format!("{:04}-{:02}-{:02}", at(0) | at(1) << 8, at(2), at(3));
    if name == "DATE" {
        return Some(date.into());
    }
    let zone = if name == "TIMESTAMP" { "Z" } else { "" };
    let rest = fraction(long(7));
    Some(format!("{date}T{:02}:{:02}:{:02}{rest}{zone}", at(4), at(5), at(6)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_times_are_read() {
        assert_eq!(
            time("DATE", &[4, 0xea, 0x07, 11, 21]).unwrap(),
            "2026-11-21"
        );
        assert_eq!(
            time("TIMESTAMP", &[7, 0xea, 0x07, 11, 21, 3, 4, 5]).unwrap(),
            "2026-11-21T03:04:05Z"
        );
        assert_eq!(
            time(
                "DATETIME",
                &[11, 0xea, 0x07, 1, 2, 3, 4, 5, 0x20, 0xa1, 0x07, 0]
            )
            .unwrap(),
            "2026-01-02T03:04:05.500000"
        );
        assert_eq!(time("TIME", &[0]).unwrap(), "00:00:00");
        assert_eq!(
            time("TIME", &[8, 1, 1, 0, 0, 0, 2, 3, 4]).unwrap(),
            "-26:03:04"
        );
        assert!(time("DATE", &[4, 1]).is_none());
    }
}
