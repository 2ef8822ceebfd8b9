//! What an author writes for `http`: [`Params`], and the small types in it that read themselves.

use std::borrow::Cow;
use std::fmt;

use reqwest::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::runbook::Class;
use crate::runbook::de::is_hole;

/// One HTTP request. Exactly one of the methods, or `request`, says what is asked for.
#[derive(Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Method and path in one, such as `GET /health`; the short form sets it
    pub request: Option<String>,
    /// Path (with a target) or absolute URL (without) to GET
    pub get: Option<String>,
    /// Path or absolute URL to ask the head of
    pub head: Option<String>,
    /// Path or absolute URL to ask the options of
    pub options: Option<String>,
    /// Path or absolute URL to POST to
    pub post: Option<String>,
    /// Path or absolute URL to PUT to
    pub put: Option<String>,
    /// Path or absolute URL to PATCH
    pub patch: Option<String>,
    /// Path or absolute URL to DELETE
    pub delete: Option<String>,
    /// Request headers
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// Query parameters; a list repeats its key
    #[serde(default)]
    pub query: Map<String, Value>,
    /// The body as JSON
    pub json: Option<Value>,
    /// The body as text
    pub body: Option<String>,
    /// The body as a form
    pub form: Option<Map<String, Value>>,
    /// Status codes that are a success, such as `[200]`, `2xx` or `[2xx, 404]`
    pub status: Option<Statuses>,
    /// How many redirects are followed, 0 to 5
    #[serde(default = "five")]
    pub follow: u8,
    /// Whether any TLS certificate will do; shown in the result
    #[serde(default)]
    pub insecure: bool,
    /// The longest body that is read, up to 64mb
    #[serde(default)]
    pub max_body: Size,
}

fn five() -> u8 {
    5
}

impl Params {
    /// Method and path.
    ///
    /// # Errors
    /// When none or several are given.
    pub fn line(&self) -> Result<(Method, &str), String> {
        let mut given = [
            (Method::GET, &self.get),
            (Method::HEAD, &self.head),
            (Method::OPTIONS, &self.options),
            (Method::POST, &self.post),
            (Method::PUT, &self.put),
            (Method::PATCH, &self.patch),
            (Method::DELETE, &self.delete),
        ]
        .into_iter()
        .filter_map(|(method, path)| Some((method, path.as_deref()?)));
        let first = given.next();
        if given.next().is_some() || (first.is_some() && self.request.is_some()) {
            return Err("more than one method is given".into());
        }
        match (first, &self.request) {
            (Some(line), _) => Ok(line),
            (None, Some(request)) => request_line(request),
            (None, None) => Err(
                "no method is given: `get`, `head`, `options`, `post`, `put`, `patch` or `delete`"
                    .into(),
            ),
        }
    }
}

/// Reads `GET /health`; the method may be left out.
pub fn request_line(text: &str) -> Result<(Method, &str), String> {
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let (first, second) = (words.next(), words.next());
    if words.next().is_some() {
        return Err(format!(
            "`{text}` is not a method and a path: a space in a path is written `%20`"
        ));
    }
    let method = |name: &str| match name.to_ascii_uppercase().as_str() {
        "GET" => Some(Method::GET),
        "HEAD" => Some(Method::HEAD),
        "OPTIONS" => Some(Method::OPTIONS),
        "POST" => Some(Method::POST),
        "PUT" => Some(Method::PUT),
        "PATCH" => Some(Method::PATCH),
        "DELETE" => Some(Method::DELETE),
        _ => None,
    };
    match (first, second) {
        (Some(name), Some(path)) => match method(name) {
            Some(method) => Ok((method, path)),
            None => Err(format!("`{name}` is not a method that ferry sends")),
        },
        (Some(path), None) => match method(path) {
            Some(method) => Err(format!(
                "`{method}` has no path, such as `{method} /health`"
            )),
            None => Ok((Method::GET, path)),
        },
        _ => Err("the request is empty".into()),
    }
}

/// Whether a request as written says what to ask for; a method or path that is only known in the
/// run is left to it.
pub fn sense(written: &Value) -> Result<(), String> {
    const METHODS: [&str; 8] = [
        "request", "get", "head", "options", "post", "put", "patch", "delete",
    ];
    let given: Vec<_> = METHODS
        .iter()
        .filter_map(|method| Some((*method, written.get(method)?)))
        .filter(|(_, value)| !value.is_null())
        .collect();
    match given.as_slice() {
        [] => Err("no method is given; such as `get: /health`".into()),
        [("request", Value::String(line))] if !line.contains("${{") => {
            request_line(line).map(|_| ())
        }
        [(method, Value::String(path))] if path.trim().is_empty() => Err(format!(
            "`{method}` is empty; give it a path, such as `/health`"
        )),
        [_] => Ok(()),
        [(first, _), (second, _), ..] => Err(format!(
            "both `{first}` and `{second}`; make two steps of it"
        )),
    }
}

/// Whether a request as written only reads. What cannot be told yet counts as a change.
pub fn class(params: &Value) -> Class {
    let reading = match params {
        Value::String(line) => request_reads(line),
        Value::Object(map) => match map.get("request") {
            Some(Value::String(line)) => request_reads(line),
            Some(_) => false,
            None => !["post", "put", "patch", "delete"]
                .iter()
                .any(|method| map.contains_key(*method)),
        },
        _ => false,
    };
    if reading {
        Class::Reading
    } else {
        Class::Changing
    }
}

fn request_reads(line: &str) -> bool {
    // a hole may hold spaces: only what stands before it is certain
    let certain = line.split("${{").next().unwrap_or_default().trim_start();
    if certain.is_empty() {
        return false;
    }
    let first = certain.split(' ').next().unwrap_or_default();
    let path = first.starts_with('/') || first.contains("://");
    path || ["GET", "HEAD", "OPTIONS"]
        .iter()
        .any(|method| first.eq_ignore_ascii_case(method))
}

/// A set of status codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    /// Whether the code is one of them.
    pub fn contains(&self, code: u16) -> bool {
        self.0
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&code))
    }

    fn one(text: &str) -> Result<(u16, u16), String> {
        let text = text.trim();
        if is_hole(text) {
            return Ok((100, 599));
        }
        let code = match text.as_bytes() {
            [class @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] => {
                let from = u16::from(class - b'0') * 100;
                Some((from, from + 99))
            }
            _ => text.parse().ok().map(|code: u16| (code, code)),
        };
        code.filter(|(from, _)| (100..600).contains(from))
            .ok_or_else(|| format!("`{text}` is not a status code such as `200` or `2xx`"))
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (from, to)) in self.0.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            if from == to {
                write!(f, "{comma}{from}")?;
            } else {
                write!(f, "{comma}{}xx", from / 100)?;
            }
        }
        Ok(())
    }
}

struct StatusVisitor;

impl<'de> Visitor<'de> for StatusVisitor {
    type Value = Vec<(u16, u16)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("status codes such as `[200]` or `2xx`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Statuses::one(text).map(|one| vec![one]).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, code: i64) -> Result<Self::Value, E> {
        self.visit_str(&code.to_string())
    }

    fn visit_u64<E: de::Error>(self, code: u64) -> Result<Self::Value, E> {
        self.visit_str(&code.to_string())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Statuses(mut some)) = items.next_element()? {
            all.append(&mut some);
        }
        if all.is_empty() {
            return Err(de::Error::custom("no status code is given"));
        }
        Ok(all)
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatusVisitor).map(Self)
    }
}

impl JsonSchema for Statuses {
    fn schema_name() -> Cow<'static, str> {
        "HttpStatuses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = serde_json::json!({
            "type": ["integer", "string"],
            "minimum": 100,
            "maximum": 599,
            "pattern": r"^([1-5]xx|[1-5][0-9][0-9]|\$\{\{.*\}\})$"
        });
        json_schema!({
            "description": "status codes such as [200], 2xx or [2xx, 404]",
            "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }]
        })
    }
}

/// A number of bytes, written `8mb` or as a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl Size {
    const MOST: u64 = 64 << 20;
}

impl Default for Size {
    fn default() -> Self {
        Self(8 << 20)
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as `512kb` or `8mb`")
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<u64, E> {
        if bytes > Size::MOST {
            return Err(E::custom("`max_body` is at most 64mb"));
        }
        Ok(bytes)
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<u64, E> {
        u64::try_from(bytes)
            .map_err(|_| E::custom("a size is not negative"))
            .and_then(|bytes| self.visit_u64(bytes))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        if is_hole(text) {
            return Ok(Size::default().0);
        }
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(lower.len());
        let shift = match lower[digits..].trim() {
            "" | "b" => Some(0),
            "kb" => Some(10),
            "mb" => Some(20),
            _ => None,
        };
        let bytes = shift.and_then(|shift| {
            let number: u64 = lower[..digits].parse().ok()?;
            number.checked_mul(1 << shift)
        });
        match bytes {
            Some(bytes) => self.visit_u64(bytes),
            None => Err(E::custom(format!(
                "`{text}` is not a size such as `512kb` or `8mb`"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SizeVisitor).map(Self)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "HttpBodySize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "description": "a size such as 512kb or 8mb (powers of 1024)",
            "minimum": 0,
            "maximum": Self::MOST,
            "pattern": r"^\s*([0-9]+\s*([kKmM]?[bB])?|\$\{\{.*\}\})\s*$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_line_is_a_method_and_a_path() {
        assert_eq!(request_line("/a"), Ok((Method::GET, "/a")));
        assert_eq!(request_line("post  /a?b=c"), Ok((Method::POST, "/a?b=c")));
        for wrong in ["", "GET", "BREW /pot", "GET /a b"] {
            assert!(request_line(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_certainly_reads_is_reading() {
        for reading in [
            json!("GET /a"),
            json!("/a"),
            json!("head /${{ inputs.x }}"),
            json!("https://example.test/${{ inputs.x }}"),
            json!({"get": "/a"}),
            json!({"request": "OPTIONS /a"}),
        ] {
            assert_eq!(class(&reading), Class::Reading, "{reading}");
        }
        for changing in [
            json!("POST /a"),
            json!("${{ inputs.x }}"),
            json!("${{ inputs.method }} /a"),
            json!({"post": "/a"}),
            json!({"get": "/a", "delete": "/b"}),
            json!({"request": "DELETE /a"}),
            json!(null),
        ] {
            assert_eq!(class(&changing), Class::Changing, "{changing}");
        }
    }

    #[test]
    fn statuses_and_sizes_read_and_refuse() {
        let statuses: Statuses = serde_json::from_value(json!(["2xx", 404, "301"])).unwrap();
        assert_eq!(statuses.to_string(), "2xx, 404, 301");
        assert!(statuses.contains(204) && statuses.contains(404) && !statuses.contains(302));
        assert!(serde_json::from_value::<Statuses>(json!(200)).is_ok());
        for wrong in [json!([]), json!("ok"), json!(700), json!("9xx"), json!({})] {
            assert!(
                serde_json::from_value::<Statuses>(wrong.clone()).is_err(),
                "{wrong}"
            );
        }
        for (text, bytes) in [("8mb", 8 << 20), ("512 KB", 512 << 10), ("12", 12)] {
            assert_eq!(
                serde_json::from_value::<Size>(json!(text)).unwrap().0,
                bytes
            );
        }
        for wrong in [json!("8gb"), json!("65mb"), json!(-1), json!("x")] {
            assert!(
                serde_json::from_value::<Size>(wrong.clone()).is_err(),
                "{wrong}"
            );
        }
    }
}
