//! PostgreSQL's values as JSON, from the binary format of prepared statements; binding is in
//! [`super::postgres_bind`].
//!
//! Types that are not listed are refused by name: their bytes must not be guessed at.

use jiff::ToSpan;
use serde_json::Value;
use sqlx::postgres::{PgRow, PgTypeInfo, PgTypeKind};
use sqlx::{Column, Row, TypeInfo, ValueRef};

use super::super::conn::Fault;
use super::{float, hex, unreadable};

pub use super::postgres_bind::bind;

/// Microseconds from the Unix epoch to PostgreSQL's, 2000-01-01.
pub(super) const EPOCH: i64 = 946_684_800_000_000;

/// One column of a row.
///
/// # Errors
/// When its type has no JSON form.
pub fn value(row: &PgRow, index: usize) -> Result<Value, Fault> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let info = raw.type_info().into_owned();
    let bytes = raw.as_bytes().map_err(sqlx::Error::Decode)?;
    decode(&info, bytes).ok_or_else(|| unreadable(row.column(index).name(), info.name()))
}

fn decode(info: &PgTypeInfo, bytes: &[u8]) -> Option<Value> {
    match info.kind() {
        PgTypeKind::Enum(_) => return text(bytes),
        PgTypeKind::Domain(base) => return decode(base, bytes),
        PgTypeKind::Array(element) => return array(element, bytes),
        _ => {}
    }
    Some(match info.name() {
        "BOOL" => (*bytes.first()? != 0).into(),
        "INT2" => i16::from_be_bytes(bytes.try_into().ok()?).into(),
        "INT4" => i32::from_be_bytes(bytes.try_into().ok()?).into(),
        "INT8" => i64::from_be_bytes(bytes.try_into().ok()?).into(),
        "OID" | "xid" | "cid" => u32::from_be_bytes(bytes.try_into().ok()?).into(),
        "xid8" => u64::from_be_bytes(bytes.try_into().ok()?).into(),
        "FLOAT4" => {
            let number = f32::from_be_bytes(bytes.try_into().ok()?);
            float(number.to_string().parse().ok()?)
        }
        "FLOAT8" => float(f64::from_be_bytes(bytes.try_into().ok()?)),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UNKNOWN" | "\"CHAR\"" | "citext" | "xml" => {
            return text(bytes);
        }
        "VOID" => Value::Null,
        "JSON" => serde_json::from_slice(bytes).ok()?,
        "JSONB" => serde_json::from_slice(bytes.strip_prefix(&[1])?).ok()?,
        "UUID" => uuid::Uuid::from_slice(bytes).ok()?.to_string().into(),
        "BYTEA" => hex(bytes),
        "NUMERIC" => numeric(bytes)?.into(),
        "INET" | "CIDR" => network(info.name(), bytes)?.into(),
        name => return moment(name, bytes),
    })
}

fn text(bytes: &[u8]) -> Option<Value> {
    Some(std::str::from_utf8(bytes).ok()?.into())
}

/// Dates and times; infinity keeps its name.
fn moment(name: &str, bytes: &[u8]) -> Option<Value> {
    let long = || Some(i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?));
    let endless = |past: bool| Some(if past { "-infinity" } else { "infinity" }.into());
    match name {
        "DATE" => {
            let days = i32::from_be_bytes(bytes.try_into().ok()?);
            if days == i32::MAX || days == i32::MIN {
                return endless(days == i32::MIN);
            }
            let date = jiff::civil::date(2000, 1, 1).checked_add(i64::from(days).days());
            Some(date.ok()?.to_string().into())
        }
        "TIMESTAMP" | "TIMESTAMPTZ" => {
            let micros = long()?;
            if micros == i64::MAX || micros == i64::MIN {
                return endless(micros == i64::MIN);
            }
            let moment = jiff::Timestamp::from_microsecond(micros.checked_add(EPOCH)?).ok()?;
            let shown = moment.to_string();
            Some(match name {
                "TIMESTAMP" => shown.trim_end_matches('Z').into(),
                _ => shown.into(),
            })
        }
        "TIME" => {
            let micros = long()?;
            if micros == 86_400_000_000 {
                return Some("24:00:00".into());
            }
            let time = jiff::civil::Time::midnight().checked_add(micros.microseconds());
            Some(time.ok()?.to_string().into())
        }
        "INTERVAL" => {
            let days = i32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?);
            let months = i32::from_be_bytes(bytes.get(12..16)?.try_into().ok()?);
            let micros = long()?;
            let sign = if micros < 0 { "-" } else { "" };
            let (seconds, rest) = (
                micros.unsigned_abs() / 1_000_000,
                micros.unsigned_abs() % 1_000_000,
            );
            let fraction = match rest {
                0 => String::new(),
                rest => format!(".{rest:06}"),
            };
            Some(format!("P{months}M{days}DT{sign}{seconds}{fraction}S").into())
        }
        _ => None,
    }
}

/// Exact decimal text of the base-10000 digits.
fn numeric(bytes: &[u8]) -> Option<String> {
    let word = |index: usize| {
        Some(u16::from_be_bytes(
            bytes.get(index * 2..index * 2 + 2)?.try_into().ok()?,
        ))
    };
    let count = usize::from(word(0)?);
    let weight = i32::from(word(1)?.cast_signed());
    let sign = match word(2)? {
        0 => "",
        0x4000 => "-",
        0xC000 => return Some("NaN".into()),
        0xD000 => return Some("Infinity".into()),
        0xF000 => return Some("-Infinity".into()),
        _ => return None,
    };
    let scale = usize::from(word(3)?);
    // the group that stands for 10000^power
    let group = |power: i32| -> Option<u16> {
        match usize::try_from(weight - power) {
            Ok(index) if index < count => word(4 + index),
            _ => Some(0),
        }
    };
    let mut whole = String::new();
    for power in (0..=weight.max(0)).rev() {
        whole.push_str(&format!("{:04}", group(power)?));
    }
    let mut fraction = String::new();
    let mut power = -1;
    while fraction.len() < scale {
        fraction.push_str(&format!("{:04}", group(power)?));
        power -= 1;
    }
    fraction.truncate(scale);
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    Some(match scale {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction}"),
    })
}

fn network(name: &str, bytes: &[u8]) -> Option<String> {
    let [family, bits, _, length, address @ ..] = bytes else {
        return None;
    };
    if usize::from(*length) != address.len() {
        return None;
    }
    let (shown, full) = match family {
        2 => (
            std::net::IpAddr::from(<[u8; 4]>::try_from(address).ok()?),
            32,
        ),
        3 => (
            std::net::IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
            128,
        ),
        _ => return None,
    };
    Some(if *bits == full && name == "INET" {
        shown.to_string()
    } else {
        format!("{shown}/{bits}")
    })
}

fn array(element: &PgTypeInfo, bytes: &[u8]) -> Option<Value> {
    let int = |at: usize| Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let dimensions = usize::try_from(int(0)?).ok()?;
    if dimensions == 0 {
        return Some(Value::Array(Vec::new()));
    }
    let lengths = (0..dimensions)
        .map(|index| usize::try_from(int(12 + index * 8)?).ok())
        .collect::<Option<Vec<_>>>()?;
    let mut at = 12 + dimensions * 8;
    let mut flat = Vec::new();
    while at < bytes.len() {
        let length = int(at)?;
        at += 4;
        let Ok(length) = usize::try_from(length) else {
            flat.push(Value::Null);
            continue;
        };
        flat.push(decode(element, bytes.get(at..at + length)?)?);
        at += length;
    }
    if flat.len() != lengths.iter().product::<usize>() {
        return None;
    }
    // the inner dimensions are folded first
    for length in lengths[1..].iter().rev() {
        flat = flat
            .chunks(*length)
            .map(|chunk| Value::Array(chunk.to_vec()))
            .collect();
    }
    Some(Value::Array(flat))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(numeric(&words(&[2, 0, 0, 2, 12, 3400])).unwrap(), "12.34");
        assert_eq!(
            numeric(&words(&[1, 0xFFFF, 0x4000, 4, 1])).unwrap(),
            "-0.0001"
        );
        assert_eq!(numeric(&words(&[1, 1, 0, 0, 5])).unwrap(), "50000");
        assert_eq!(numeric(&words(&[0, 0, 0, 3])).unwrap(), "0.000");
        assert_eq!(numeric(&words(&[0, 0, 0xC000, 0])).unwrap(), "NaN");
        assert_eq!(numeric(&words(&[1])), None);
    }

    #[test]
    fn networks_keep_their_width() {
        assert_eq!(
            network("INET", &[2, 32, 0, 4, 10, 0, 0, 1]).unwrap(),
            "10.0.0.1"
        );
        assert_eq!(
            network("CIDR", &[2, 8, 1, 4, 10, 0, 0, 0]).unwrap(),
            "10.0.0.0/8"
        );
    }
}
