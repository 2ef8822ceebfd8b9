//! JSON values as PostgreSQL's bound parameters.
//!
//! The server says which type each parameter has; the value is encoded as exactly that type, so
//! that `where id = $1` uses the index and a wrong value is refused before anything runs.

use serde_json::Value;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo, PgTypeKind, Postgres};
use sqlx::{Arguments, Type, TypeInfo};

use super::super::conn::Fault;
use super::postgres::EPOCH;

/// One encoded parameter.
struct Bound {
    bytes: Option<Vec<u8>>,
    kind: PgTypeInfo,
}

impl Type<Postgres> for Bound {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("text")
    }
}

impl Encode<'_, Postgres> for Bound {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(match &self.bytes {
            None => IsNull::Yes,
            Some(bytes) => {
                buffer.extend_from_slice(bytes);
                IsNull::No
            }
        })
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.kind.clone())
    }
}

/// Encodes `args` as the types that the server inferred.
///
/// # Errors
/// [`Fault::Value`] that names the parameter, its type and the value's kind, never the value.
pub fn bind(args: &[Value], types: &[PgTypeInfo]) -> Result<PgArguments, Fault> {
    let mut bound = PgArguments::default();
    for (index, (arg, kind)) in args.iter().zip(types).enumerate() {
        let bytes = encode(arg, kind)
            .map_err(|why| Fault::Value(format!("parameter ${}: {why}", index + 1)))?;
        let kind = kind.clone();
        bound
            .add(Bound { bytes, kind })
            .map_err(sqlx::Error::Encode)?;
    }
    Ok(bound)
}

fn wrong(value: &Value, name: &str) -> String {
    let given = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    };
    format!("{given} does not fit the type `{}`", name.to_lowercase())
}

fn encode(value: &Value, kind: &PgTypeInfo) -> Result<Option<Vec<u8>>, String> {
    if value.is_null() {
        return Ok(None);
    }
    match kind.kind() {
        PgTypeKind::Domain(base) => return encode(value, base),
        PgTypeKind::Array(element) => return array(value, element).map(Some),
        PgTypeKind::Enum(_) => return text(value, kind.name()).map(Some),
        _ => {}
    }
    let name = kind.name();
    let refuse = || wrong(value, name);
    Ok(Some(match name {
        "BOOL" => vec![u8::from(value.as_bool().ok_or_else(refuse)?)],
        "INT2" => integer::<i16>(value)
            .ok_or_else(refuse)?
            .to_be_bytes()
            .into(),
        "INT4" => integer::<i32>(value)
            .ok_or_else(refuse)?
            .to_be_bytes()
            .into(),
        "INT8" => integer::<i64>(value)
            .ok_or_else(refuse)?
            .to_be_bytes()
            .into(),
        "OID" => integer::<u32>(value)
            .ok_or_else(refuse)?
            .to_be_bytes()
            .into(),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the column is a single float"
        )]
        "FLOAT4" => (number(value).ok_or_else(refuse)? as f32)
            .to_be_bytes()
            .into(),
        "FLOAT8" => number(value).ok_or_else(refuse)?.to_be_bytes().into(),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UNKNOWN" | "citext" | "xml" => text(value, name)?,
        "JSON" => value.to_string().into_bytes(),
        "JSONB" => [&[1], value.to_string().as_bytes()].concat(),
        "NUMERIC" => numeric(&plain(value).ok_or_else(refuse)?).ok_or_else(refuse)?,
        _ => parsed(value, name)?,
    }))
}

fn text(value: &Value, name: &str) -> Result<Vec<u8>, String> {
    plain(value)
        .map(String::into_bytes)
        .ok_or_else(|| wrong(value, name))
}

/// The text of a scalar.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

fn integer<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    let whole = match value {
        Value::String(text) => text.parse().ok()?,
        other => other.as_i64()?,
    };
    T::try_from(whole).ok()
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_f64(),
    }
}

/// Types that are given as text in their usual form.
fn parsed(value: &Value, name: &str) -> Result<Vec<u8>, String> {
    let refuse = || wrong(value, name);
    let micros = |span: jiff::Span| span.total(jiff::Unit::Microsecond).ok();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a whole number of microseconds"
    )]
    let bytes = match (name, value.as_str()) {
        ("UUID", Some(text)) => text
            .parse::<uuid::Uuid>()
            .ok()
            .map(|uuid| uuid.as_bytes().to_vec()),
        ("BYTEA", Some(text)) => text.strip_prefix("\\x").and_then(unhex),
        ("TIMESTAMPTZ", Some(text)) => text
            .parse::<jiff::Timestamp>()
            .ok()
            .map(|moment| (moment.as_microsecond() - EPOCH).to_be_bytes().to_vec()),
        ("TIMESTAMP", Some(text)) => text
            .parse::<jiff::civil::DateTime>()
            .ok()
            .and_then(|moment| moment.to_zoned(jiff::tz::TimeZone::UTC).ok())
            .map(|moment| {
                (moment.timestamp().as_microsecond() - EPOCH)
                    .to_be_bytes()
                    .to_vec()
            }),
        ("DATE", Some(text)) => text
            .parse::<jiff::civil::Date>()
            .ok()
            .and_then(|date| date.since(jiff::civil::date(2000, 1, 1)).ok())
            .map(|span| span.get_days().to_be_bytes().to_vec()),
        ("TIME", Some(text)) => text
            .parse::<jiff::civil::Time>()
            .ok()
            .and_then(|time| time.since(jiff::civil::Time::midnight()).ok())
            .and_then(micros)
            .map(|micros| (micros as i64).to_be_bytes().to_vec()),
        ("UUID" | "BYTEA" | "TIMESTAMPTZ" | "TIMESTAMP" | "DATE" | "TIME", None) => None,
        _ => {
            let name = name.to_lowercase();
            return Err(format!(
                "values of type `{name}` cannot be bound: give text and write `$n::text::{name}`"
            ));
        }
    };
    bytes.ok_or_else(refuse)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

/// The base-10000 form of decimal text such as `-12.340` or `1.5e3`.
fn numeric(text: &str) -> Option<Vec<u8>> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (digits, exponent) = match digits.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) || exponent.abs() > 1_000 {
        return None;
    }
    // digits before the point, after the exponent moved it
    let point = i32::try_from(whole.len()).ok()? + exponent;
    let scale = (i32::try_from(all.len()).ok()? - point).max(0);
    let lead = usize::try_from((-point).max(0) + 4 - (point.max(0) % 4)).ok()?;
    let mut padded = "0".repeat(lead) + &all;
    let before = i32::try_from(lead).ok()? + point;
    padded.push_str(
        &"0".repeat(usize::try_from((before - i32::try_from(padded.len()).ok()?).max(0)).ok()?),
    );
    // groups of four are counted from the point
    let skip = usize::try_from(before.rem_euclid(4)).ok()?;
    padded.insert_str(0, &"0".repeat((4 - skip) % 4));
    let before = before + i32::try_from((4 - skip) % 4).ok()?;
    while !padded.len().is_multiple_of(4) {
        padded.push('0');
    }
    let mut groups: Vec<u16> = padded
        .as_bytes()
        .chunks(4)
        .map(|chunk| {
            chunk
                .iter()
                .fold(0, |sum, byte| sum * 10 + u16::from(byte - b'0'))
        })
        .collect();
    let mut weight = before / 4 - 1;
    while groups.first() == Some(&0) {
        groups.remove(0);
        weight -= 1;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    let mut bytes = Vec::with_capacity(8 + groups.len() * 2);
    bytes.extend(u16::try_from(groups.len()).ok()?.to_be_bytes());
    bytes.extend(i16::try_from(weight).ok()?.to_be_bytes());
    bytes.extend(if negative { 0x4000_u16 } else { 0 }.to_be_bytes());
    bytes.extend(u16::try_from(scale).ok()?.to_be_bytes());
    for group in groups {
        bytes.extend(group.to_be_bytes());
    }
    Some(bytes)
}

fn array(value: &Value, element: &PgTypeInfo) -> Result<Vec<u8>, String> {
    let Value::Array(items) = value else {
        return Err(wrong(value, &format!("{}[]", element.name())));
    };
    let oid = element.oid().ok_or_else(|| wrong(value, element.name()))?;
    let length = i32::try_from(items.len()).map_err(|_| "the list is too long".to_owned())?;
    let nulls = i32::from(items.iter().any(Value::is_null));
    let mut bytes = Vec::new();
    bytes.extend(i32::from(length > 0).to_be_bytes());
    bytes.extend(nulls.to_be_bytes());
    bytes.extend(oid.0.to_be_bytes());
    if length == 0 {
        return Ok(bytes);
    }
    bytes.extend(length.to_be_bytes());
    bytes.extend(1_i32.to_be_bytes());
    for item in items {
        match encode(item, element)? {
            None => bytes.extend((-1_i32).to_be_bytes()),
            Some(encoded) => {
                let length =
                    i32::try_from(encoded.len()).map_err(|_| "a value is too long".to_owned())?;
                bytes.extend(length.to_be_bytes());
                bytes.extend(encoded);
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_text_becomes_groups() {
        let words = |text: &str| -> Vec<u16> {
            numeric(text)
                .unwrap()
                .chunks(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                .collect()
        };
        assert_eq!(words("12.34"), [2, 0, 0, 2, 12, 3400]);
        assert_eq!(words("-0.0001"), [1, 0xFFFF, 0x4000, 4, 1]);
        assert_eq!(words("50000"), [1, 1, 0, 0, 5]);
        assert_eq!(words("1.5e3"), [1, 0, 0, 0, 1500]);
        assert_eq!(words("0.000"), [0, 0, 0, 3]);
        assert_eq!(words("1e-5"), [1, 0xFFFE, 0, 5, 1000]);
        assert_eq!(words("1e8"), [1, 2, 0, 0, 1]);
        for wrong in ["", "-", "1,5", "abc", "1e99999", "."] {
            assert!(numeric(wrong).is_none(), "{wrong}");
        }
    }
}
