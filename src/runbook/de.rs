//! Nodes to typed parameters through serde, with the place of the mistake.
//!
//! [`from_node`] is for the parameters of an action. A scalar that is one `${{ }}` hole stands for
//! a value that is only known in the run: here it takes the shape that is asked for, so that the
//! rest can be checked before the run.

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use std::fmt;

use super::diagnostic::{Diagnostic, did_you_mean};
use super::node::{Entry, Kind, Node, Scalar, Span};

/// Why a node does not fit a type.
#[derive(Debug)]
pub struct DecodeError {
    /// Lower case, things in backticks.
    pub message: String,
    /// The offending key or value.
    pub span: Option<Span>,
    /// A way out.
    pub help: Option<String>,
}

impl DecodeError {
    fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// As a diagnostic; `fallback` is the place when none was found.
    pub fn diagnostic(self, fallback: Span) -> Diagnostic {
        let code = if self.message.starts_with("unknown") {
            "F010"
        } else if self.message.starts_with("missing") {
            "F011"
        } else {
            "F013"
        };
        Diagnostic::error(code, self.span.unwrap_or(fallback), self.message).maybe_help(self.help)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            span: None,
            help: None,
        }
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format!("expected {expected}"))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format!("missing `{field}`"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let known = expected
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let mut error = Self::custom(format!("unknown key `{field}`"));
        error.help =
            did_you_mean(field, expected.iter().copied()).or(Some(format!("known here: {known}")));
        error
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let known = expected
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ");
        let mut error = Self::custom(format!("`{variant}` is not one of {known}"));
        error.help = did_you_mean(variant, expected.iter().copied());
        error
    }
}

/// Reads `node` as a `T`.
///
/// # Errors
/// The first thing that does not fit, with its place.
pub fn from_node<T: DeserializeOwned>(node: &Node) -> Result<T, DecodeError> {
    T::deserialize(Reader { node }).map_err(|error| error.at(node.span))
}

/// Whether the text is one `${{ }}` hole and nothing else.
pub fn is_hole(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("${{") && text.ends_with("}}") && text.matches("${{").count() == 1
}

struct Reader<'n> {
    node: &'n Node,
}

impl Reader<'_> {
    fn hole(&self) -> bool {
        self.node.text().is_some_and(is_hole)
    }

    fn wrong<T>(&self, expected: &dyn de::Expected) -> Result<T, DecodeError> {
        let message = format!("expected {expected}, found {}", self.node.describe());
        Err(DecodeError {
            message,
            span: Some(self.node.span),
            help: None,
        })
    }
}

fn whole(from: impl fmt::Display, to: impl fmt::Display) -> String {
    format!("a whole number from {from} to {to}")
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            match self.node.scalar() {
                Some(Scalar::Int(n)) => match <$type>::try_from(n) {
                    Ok(n) => visitor.$visit(n).map_err(|error: DecodeError| error.at(self.node.span)),
                    Err(_) => self.wrong(&whole(<$type>::MIN, <$type>::MAX).as_str()),
                },
                _ if self.hole() => visitor.$visit(1),
                _ => self.wrong(&"a whole number"),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Reader<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let span = self.node.span;
        let value = match &self.node.kind {
            Kind::List(items) => visitor.visit_seq(Items(items.iter())),
            Kind::Map(entries) => visitor.visit_map(Entries::new(entries)),
            Kind::Scalar { .. } => match self.node.scalar() {
                Some(Scalar::Bool(b)) => visitor.visit_bool(b),
                Some(Scalar::Int(n)) => visitor.visit_i64(n),
                Some(Scalar::Float(n)) => visitor.visit_f64(n),
                Some(Scalar::Text(text)) => visitor.visit_str(text),
                Some(Scalar::Null) | None => visitor.visit_unit(),
            },
        };
        value.map_err(|error| with_found(error, self.node).at(span))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.node.scalar() {
            Some(Scalar::Bool(b)) => visitor.visit_bool(b),
            _ if self.hole() => visitor.visit_bool(true),
            _ => self.wrong(&"`true` or `false`"),
        }
    }

    integers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.node.scalar() {
            Some(Scalar::Float(n)) => visitor.visit_f64(n),
            Some(Scalar::Int(n)) => visitor.visit_i64(n),
            _ if self.hole() => visitor.visit_f64(1.0),
            _ => self.wrong(&"a number"),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_f64(visitor)
    }

    /// Any scalar is text where text is asked for, as it was written.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.node.text() {
            Some(text) => visitor
                .visit_str(text)
                .map_err(|error: DecodeError| error.at(self.node.span)),
            None => self.wrong(&"text"),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.node.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.kind {
            Kind::List(items) => visitor.visit_seq(Items(items.iter())),
            _ if self.hole() => visitor.visit_seq(Items([].iter())),
            _ => self.wrong(&"a list"),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.kind {
            Kind::Map(entries) => visitor.visit_map(Entries::new(entries)),
            Kind::Scalar { .. } if self.node.is_null() => visitor.visit_map(Entries::new(&[])),
            _ => self.wrong(&"a mapping"),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let span = self.node.span;
        self.deserialize_map(visitor)
            .map_err(|error| error.at(span))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let text = match self.node.text() {
            Some(text) if is_hole(text) => variants.first().copied().unwrap_or_default(),
            Some(text) => text,
            None => return self.wrong(&"text"),
        };
        let access: de::value::StrDeserializer<'_, DecodeError> = text.into_deserializer();
        visitor
            .visit_enum(access)
            .map_err(|error: DecodeError| error.at(self.node.span))
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

fn with_found(mut error: DecodeError, node: &Node) -> DecodeError {
    if error.span.is_none()
        && error.message.starts_with("expected ")
        && !error.message.contains(", found ")
    {
        error.message = format!("{}, found {}", error.message, node.describe());
    }
    error
}

struct Items<'n>(std::slice::Iter<'n, Node>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some(node) = self.0.next() else {
            return Ok(None);
        };
        seed.deserialize(Reader { node })
            .map(Some)
            .map_err(|error| error.at(node.span))
    }
}

struct Entries<'n> {
    rest: std::slice::Iter<'n, Entry>,
    value: Option<&'n Node>,
}

impl<'n> Entries<'n> {
    fn new(entries: &'n [Entry]) -> Self {
        Self {
            rest: entries.iter(),
            value: None,
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some(entry) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(&entry.value);
        let key: de::value::StrDeserializer<'_, DecodeError> = (&*entry.key).into_deserializer();
        seed.deserialize(key)
            .map(Some)
            .map_err(|error| error.at(entry.key_span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        let node = self
            .value
            .take()
            .expect("serde asks for a key before its value");
        seed.deserialize(Reader { node })
            .map_err(|error| error.at(node.span))
    }
}
