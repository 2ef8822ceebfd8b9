//! A value while an expression is evaluated: [`V`], which borrows JSON and owns what CEL computed.
//!
//! Positive whole numbers of JSON are ints, never uints. Must not: compare (that is `operators`).

use std::borrow::Cow;
use std::io;

use cel::Value;
use cel::objects::Key;
use serde_json::Value as Json;

use super::tree::Lit;
use super::units::duration_text;
use super::version::Version;

/// A value; cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum V<'a> {
    Json(&'a Json),
    Cel(Value),
    Version(Version),
}

/// What a value is, for matching; lists and maps are read through [`V`]'s methods.
#[derive(Debug, Clone, Copy)]
pub(super) enum View<'v> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Str(&'v str),
    Bytes(&'v [u8]),
    List,
    Map,
    Duration,
    Timestamp,
    Version(&'v Version),
    Other,
}

impl View<'_> {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::UInt(_) => "uint",
            Self::Double(_) => "double",
            Self::Str(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List => "list",
            Self::Map => "map",
            Self::Duration => "duration",
            Self::Timestamp => "timestamp",
            Self::Version(_) => "version",
            Self::Other => "value",
        }
    }

    pub fn is_number(&self) -> bool {
        matches!(self, Self::Int(_) | Self::UInt(_) | Self::Double(_))
    }
}

impl From<bool> for V<'_> {
    fn from(value: bool) -> Self {
        Self::Cel(Value::Bool(value))
    }
}

impl From<i64> for V<'_> {
    fn from(value: i64) -> Self {
        Self::Cel(Value::Int(value))
    }
}

impl From<&Lit> for V<'_> {
    fn from(lit: &Lit) -> Self {
        Self::Cel(match lit {
            Lit::Null => Value::Null,
            Lit::Bool(v) => Value::Bool(*v),
            Lit::Int(v) => Value::Int(*v),
            Lit::UInt(v) => Value::UInt(*v),
            Lit::Double(v) => Value::Float(*v),
            Lit::Str(v) => Value::String(v.clone()),
            Lit::Bytes(v) => Value::Bytes(v.clone()),
        })
    }
}

impl<'a> V<'a> {
    pub fn view(&self) -> View<'_> {
        match self {
            Self::Json(json) => match json {
                Json::Null => View::Null,
                Json::Bool(v) => View::Bool(*v),
                Json::Number(n) => match n.as_i64() {
                    Some(v) => View::Int(v),
                    None => View::Double(n.as_f64().unwrap_or(f64::NAN)),
                },
                Json::String(v) => View::Str(v),
                Json::Array(_) => View::List,
                Json::Object(_) => View::Map,
            },
            Self::Cel(value) => match value {
                Value::Null => View::Null,
                Value::Bool(v) => View::Bool(*v),
                Value::Int(v) => View::Int(*v),
                Value::UInt(v) => View::UInt(*v),
                Value::Float(v) => View::Double(*v),
                Value::String(v) => View::Str(v),
                Value::Bytes(v) => View::Bytes(v),
                Value::List(_) => View::List,
                Value::Map(_) => View::Map,
                Value::Duration(_) => View::Duration,
                Value::Timestamp(_) => View::Timestamp,
                _ => View::Other,
            },
            Self::Version(version) => View::Version(version),
        }
    }

    pub fn kind(&self) -> &'static str {
        self.view().kind()
    }

    pub fn is_null(&self) -> bool {
        matches!(self.view(), View::Null)
    }

    /// The entry of a map under a text key.
    pub fn entry(&self, key: &str) -> Option<Self> {
        match self {
            Self::Json(json) => json.get(key).map(Self::Json),
            Self::Cel(Value::Map(map)) => map
                .map
                .get(&Key::String(key.to_owned().into()))
                .cloned()
                .map(Self::Cel),
            _ => None,
        }
    }

    /// An element of a list.
    pub fn element(&self, index: usize) -> Option<Self> {
        match self {
            Self::Json(json) => json.get(index).map(Self::Json),
            Self::Cel(Value::List(list)) => list.get(index).cloned().map(Self::Cel),
            _ => None,
        }
    }

    /// Elements or entries; `None` when it has none by its kind. Text counts characters.
    pub fn size(&self) -> Option<usize> {
        match (self, self.view()) {
            (_, View::Str(text)) => Some(text.chars().count()),
            (_, View::Bytes(bytes)) => Some(bytes.len()),
            (Self::Json(Json::Array(list)), _) => Some(list.len()),
            (Self::Json(Json::Object(map)), _) => Some(map.len()),
            (Self::Cel(Value::List(list)), _) => Some(list.len()),
            (Self::Cel(Value::Map(map)), _) => Some(map.map.len()),
            _ => None,
        }
    }

    /// What a loop goes through: elements of a list, keys of a map.
    pub fn items(&self) -> Option<Vec<Self>> {
        match self {
            Self::Json(Json::Array(list)) => Some(list.iter().map(V::Json).collect()),
            Self::Json(Json::Object(map)) => Some(
                map.keys()
                    .map(|key| V::Cel(Value::from(key.as_str())))
                    .collect(),
            ),
            Self::Cel(Value::List(list)) => Some(list.iter().cloned().map(V::Cel).collect()),
            Self::Cel(Value::Map(map)) => {
                Some(map.map.keys().map(|key| V::Cel(Value::from(key))).collect())
            }
            _ => None,
        }
    }

    /// The text keys of a map.
    pub fn keys(&self) -> Vec<String> {
        match self {
            Self::Json(Json::Object(map)) => map.keys().cloned().collect(),
            Self::Cel(Value::Map(map)) => map.map.keys().map(ToString::to_string).collect(),
            _ => Vec::new(),
        }
    }

    /// As a value of the crate `cel`; a version has no such form.
    pub fn to_cel(&self) -> Option<Value> {
        match self {
            Self::Json(json) => Some(json_to_cel(json)),
            Self::Cel(value) => Some(value.clone()),
            Self::Version(_) => None,
        }
    }

    /// As JSON. The error is a message: JSON has no number that is not finite, and no bytes.
    pub fn to_json(&self) -> Result<Json, String> {
        match self {
            Self::Json(json) => Ok((*json).clone()),
            Self::Cel(value) => cel_to_json(value),
            Self::Version(version) => Ok(Json::String(version.to_string())),
        }
    }

    /// JSON text of about `limit` characters at most, saying what was dropped.
    pub fn render(&self, limit: usize) -> String {
        let json = match self {
            Self::Json(json) => Cow::Borrowed(*json),
            _ => match (self.to_json(), self.view()) {
                (Ok(json), _) => Cow::Owned(json),
                (Err(_), View::Double(number)) => return number.to_string(),
                (Err(_), _) => return format!("<{}>", self.kind()),
            },
        };
        let mut head = Head {
            kept: Vec::new(),
            // a character is at most four bytes
            room: limit * 4,
            total: 0,
        };
        serde_json::to_writer(&mut head, &*json).expect("a JSON value is written to memory");
        let text = String::from_utf8_lossy(&head.kept);
        if head.total <= head.kept.len() && text.chars().count() <= limit {
            return text.into_owned();
        }
        let shown: String = text.chars().take(limit).collect();
        let dropped = head.total - shown.len();
        format!("{shown}… ({dropped} more bytes)")
    }
}

/// Keeps the beginning of what is written and counts the whole.
struct Head {
    kept: Vec<u8>,
    room: usize,
    total: usize,
}

impl io::Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let free = self.room - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(free)]);
        self.total += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn json_to_cel(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(v) => Value::Bool(*v),
        Json::Number(n) => match n.as_i64() {
            Some(v) => Value::Int(v),
            None => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(v) => Value::from(v.as_str()),
        Json::Array(list) => Value::from(list.iter().map(json_to_cel).collect::<Vec<_>>()),
        Json::Object(map) => Value::from(
            map.iter()
                .map(|(key, value)| (key.as_str(), json_to_cel(value)))
                .collect::<std::collections::HashMap<_, _>>(),
        ),
    }
}

fn cel_to_json(value: &Value) -> Result<Json, String> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(v) => Json::Bool(*v),
        Value::Int(v) => Json::from(*v),
        Value::UInt(v) => Json::from(*v),
        Value::Float(v) => serde_json::Number::from_f64(*v)
            .map(Json::Number)
            .ok_or_else(|| format!("the number is {v}, which is not finite"))?,
        Value::String(v) => Json::String(v.to_string()),
        Value::List(list) => list.iter().map(cel_to_json).collect::<Result<_, _>>()?,
        Value::Map(map) => {
            let mut entries = map
                .map
                .iter()
                .map(|(key, value)| Ok((key.to_string(), cel_to_json(value)?)))
                .collect::<Result<Vec<_>, String>>()?;
            // the map is a hash map: without an order of its own the text would change from run to run
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(entries.into_iter().collect())
        }
        Value::Duration(span) => Json::String(match span.num_nanoseconds() {
            Some(nanos) => duration_text(nanos),
            None => format!("{}s", span.num_seconds()),
        }),
        Value::Timestamp(time) => Json::String(time.to_rfc3339()),
        Value::Bytes(_) => return Err("bytes have no form in JSON; write `string(...)`".to_owned()),
        _ => return Err("this value has no form in JSON".to_owned()),
    })
}
