//! Parameters with holes: constant where they can be, [`Template`]s where they must.

use serde_json::Value;

use crate::expr::{EvalError, Expr, Scope, Template};

/// A tree of parameters.
#[derive(Clone, Debug)]
pub enum Params {
    /// No hole below.
    Constant(Value),
    /// Text with holes.
    Text(Template),
    /// A list with holes below.
    List(Vec<Params>),
    /// A mapping with holes below.
    Map(Vec<(String, Params)>),
}

impl Params {
    /// The tree with its holes filled.
    ///
    /// # Errors
    /// The first hole that has no value.
    pub fn render(&self, scope: &dyn Scope) -> Result<Value, EvalError> {
        Ok(match self {
            Self::Constant(value) => value.clone(),
            Self::Text(template) => template.render(scope)?,
            Self::List(items) => Value::Array(
                items
                    .iter()
                    .map(|item| item.render(scope))
                    .collect::<Result<_, _>>()?,
            ),
            Self::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), value.render(scope)?)))
                    .collect::<Result<_, EvalError>>()?,
            ),
        })
    }

    /// The tree as written, holes as text: for describing it before the run.
    pub fn as_written(&self) -> Value {
        match self {
            Self::Constant(value) => value.clone(),
            Self::Text(template) => Value::from(template.text()),
            Self::List(items) => Value::Array(items.iter().map(Self::as_written).collect()),
            Self::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.as_written()))
                    .collect(),
            ),
        }
    }

    /// Every expression in it.
    pub fn each_expr<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match self {
            Self::Constant(_) => {}
            Self::Text(template) => template.exprs().for_each(visit),
            Self::List(items) => items.iter().for_each(|item| item.each_expr(visit)),
            Self::Map(entries) => entries.iter().for_each(|(_, value)| value.each_expr(visit)),
        }
    }
}
