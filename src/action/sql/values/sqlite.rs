//! SQLite's values. The type is that of the stored value, not of the declared column.

use serde_json::Value;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Column, Row, TypeInfo, ValueRef};

use super::super::conn::Fault;
use super::{float, hex, unreadable};

/// Binds JSON values; arrays and objects go in as JSON text.
///
/// # Errors
/// When the driver cannot encode one.
pub fn bind(args: &[Value]) -> Result<SqliteArguments, Fault> {
    let mut bound = SqliteArguments::default();
    for arg in args {
        match arg {
            Value::Null => bound.add(None::<String>),
            Value::Bool(flag) => bound.add(*flag),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => bound.add(whole),
                None => bound.add(number.as_f64()),
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
/// When the stored bytes are not what their type says.
pub fn value(row: &SqliteRow, index: usize) -> Result<Value, Fault> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let declared = row.column(index).type_info().name().to_owned();
    let stored = raw.type_info().name().to_owned();
    Ok(match stored.as_str() {
        "BOOLEAN" => boolean(row.try_get_unchecked::<i64, _>(index)?),
        "INTEGER" if declared == "BOOLEAN" => boolean(row.try_get_unchecked::<i64, _>(index)?),
        "INTEGER" => row.try_get_unchecked::<i64, _>(index)?.into(),
        "REAL" => float(row.try_get_unchecked::<f64, _>(index)?),
        "TEXT" | "DATE" | "TIME" | "DATETIME" => row.try_get_unchecked::<String, _>(index)?.into(),
        "BLOB" => hex(row.try_get_unchecked::<&[u8], _>(index)?),
        other => return Err(unreadable(row.column(index).name(), other)),
    })
}

/// Only 0 and 1 are booleans, whatever the column is declared as.
fn boolean(number: i64) -> Value {
    match number {
        0 => false.into(),
        1 => true.into(),
        other => other.into(),
    }
}
