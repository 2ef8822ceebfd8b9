//! Parameters with holes: constant where they can be, [`Template`]s where they must.

use serde_json::Value;

use super::node::Span;
use crate::expr::{EvalError, Expr, Scope, Template};

/// A tree of parameters.
#[derive(Clone, Debug)]
pub enum Params {
    /// No hole below.
    Constant(Value),
    /// Text with holes, and where it stands.
    Text(Template, Span),
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
            Self::Text(template, _) => template.render(scope)?,
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
            Self::Text(template, _) => Value::from(template.text()),
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
        self.each_template(&mut |template, _| template.exprs().for_each(&mut *visit));
    }

    /// Every text with holes in it, with its place.
    pub fn each_template<'a>(&'a self, visit: &mut dyn FnMut(&'a Template, Span)) {
        match self {
            Self::Constant(_) => {}
            Self::Text(template, span) => visit(template, *span),
            Self::List(items) => items.iter().for_each(|item| item.each_template(visit)),
            Self::Map(entries) => entries
                .iter()
                .for_each(|(_, value)| value.each_template(visit)),
        }
    }
}
