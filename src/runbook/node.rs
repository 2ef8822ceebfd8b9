//! The tree a YAML text is read into: every value with its place in the text.
//!
//! [`Node`] keeps scalars as they were written, so that what a scalar means is decided where it is
//! used, and a wrong type can be shown at its place. It knows nothing of runbooks.

use std::fmt::Write;

use serde_json::Value;

/// A range of bytes in the runbook text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// A span from two byte offsets; offsets past 4 GiB are clamped (texts are bounded far below).
    pub fn new(start: usize, end: usize) -> Self {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            start: clamp(start),
            end: clamp(end.max(start)),
        }
    }

    /// The same place as a range.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The part of this span at `inner` bytes from its start, as far as it lies inside.
    pub fn slice(self, inner: &std::ops::Range<usize>) -> Self {
        let start = (self.start as usize + inner.start).min(self.end as usize);
        let end = (self.start as usize + inner.end).clamp(start, self.end as usize);
        Self::new(start, end)
    }
}

/// One value of the text, with its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub span: Span,
    /// A tag such as `!has`, which runbooks do not use; kept so that the mistake can be explained.
    pub tag: Option<Box<str>>,
}

/// The three shapes of a YAML value.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Text as written, and whether it stood without quotes.
    Scalar { text: Box<str>, plain: bool },
    /// `[a, b]` or `- a`.
    List(Vec<Node>),
    /// `key: value`, in the order of the text; keys are unique.
    Map(Vec<Entry>),
}

/// One `key: value` of a mapping.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key's text.
    pub key: Box<str>,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// What a plain scalar means by YAML 1.2's core schema. `yes`, `on` and `012` stay text.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
}

impl Node {
    /// The scalar's text as written, for any scalar that is not null.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// The list's items.
    pub fn list(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    /// The mapping's entries.
    pub fn map(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of `key`, when this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.map()?
            .iter()
            .find(|entry| &*entry.key == key)
            .map(|entry| &entry.value)
    }

    /// Whether this is `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(self.scalar(), Some(Scalar::Null))
    }

    /// The typed meaning of a scalar.
    pub fn scalar(&self) -> Option<Scalar<'_>> {
        match &self.kind {
            Kind::Scalar { text, plain: true } => Some(plain_scalar(text)),
            Kind::Scalar { text, plain: false } => Some(Scalar::Text(text)),
            _ => None,
        }
    }

    /// Where a mistake of the whole is pointed at: the first key of a mapping, the start of a list,
    /// all of a scalar.
    pub fn head(&self) -> Span {
        match &self.kind {
            Kind::Map(entries) if !entries.is_empty() => entries[0].key_span,
            Kind::Scalar { .. } => self.span,
            _ => Span::new(self.span.start as usize, self.span.start as usize + 1),
        }
    }

    /// What this is, in words for a message: "the text `x`", "a list", "nothing".
    pub fn describe(&self) -> String {
        match (&self.kind, self.scalar()) {
            (Kind::List(_), _) => "a list".into(),
            (Kind::Map(_), _) => "a mapping".into(),
            (_, Some(Scalar::Null)) => "nothing".into(),
            (_, Some(Scalar::Bool(b))) => format!("`{b}`"),
            (_, Some(Scalar::Int(n))) => format!("the number `{n}`"),
            (_, Some(Scalar::Float(n))) => format!("the number `{n}`"),
            (_, Some(Scalar::Text(text))) => format!("the text `{}`", shorten(text)),
            (_, None) => "a value".into(),
        }
    }

    /// The same tree as JSON, scalars typed as [`Node::scalar`] says.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.to_string(), entry.value.to_json()))
                    .collect(),
            ),
            Kind::Scalar { .. } => match self.scalar() {
                Some(Scalar::Bool(b)) => Value::Bool(b),
                Some(Scalar::Int(n)) => Value::from(n),
                Some(Scalar::Float(n)) => Value::from(n),
                Some(Scalar::Text(text)) => Value::from(text),
                Some(Scalar::Null) | None => Value::Null,
            },
        }
    }

    /// Appends the tree as JSON, the same text as [`Node::to_json`] gives, without building it.
    pub fn write_json(&self, out: &mut String) {
        match &self.kind {
            Kind::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
            Kind::Map(entries) => {
                out.push('{');
                for (at, entry) in entries.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write_json_text(&entry.key, out);
                    out.push(':');
                    entry.value.write_json(out);
                }
                out.push('}');
            }
            Kind::Scalar { .. } => match self.scalar() {
                Some(Scalar::Text(text)) => write_json_text(text, out),
                _ => {
                    let _ = write!(out, "{}", self.to_json());
                }
            },
        }
    }
}

fn write_json_text(text: &str, out: &mut String) {
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        let _ = write!(out, "{}", Value::from(text));
    }
}

fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() > 40 || line.len() < text.len() {
        let head: String = line.chars().take(40).collect();
        format!("{head}…")
    } else {
        line.to_owned()
    }
}

fn plain_scalar(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Scalar::Text(text);
    }
    // `012` is octal to some and decimal to others: it stays text, and a number is asked for.
    if digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit() {
        return Scalar::Text(text);
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map_or(Scalar::Text(text), Scalar::Int);
    }
    let floats = digits
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    match text.parse::<f64>() {
        Ok(n) if floats && n.is_finite() => Scalar::Float(n),
        _ => Scalar::Text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_mean_what_yaml_1_2_says() {
        assert_eq!(plain_scalar("yes"), Scalar::Text("yes"));
        assert_eq!(plain_scalar("012"), Scalar::Text("012"));
        assert_eq!(plain_scalar("12:30"), Scalar::Text("12:30"));
        assert_eq!(plain_scalar("1e3"), Scalar::Float(1000.0));
        assert_eq!(plain_scalar("-7"), Scalar::Int(-7));
        assert_eq!(plain_scalar("1.10"), Scalar::Float(1.1));
        assert_eq!(plain_scalar("1.2.3"), Scalar::Text("1.2.3"));
        assert_eq!(plain_scalar(""), Scalar::Null);
        assert_eq!(
            plain_scalar("9223372036854775808"),
            Scalar::Text("9223372036854775808")
        );
    }
}
