//! Walks the tree: [`Eval`] gives the value of a node, or says what has no value and where.
//!
//! Left to right: an operand of `&&` and `||` that has no value makes the whole have none, even where
//! CEL would let the other side answer. Must not: decide verdicts (that is `judge`).

use std::borrow::Cow;
use std::ops::Range;

use cel::Value;
use serde_json::Value as Json;

use super::Scope;
use super::error::{EvalError, a};
use super::tree::{Kind, Node};
use super::value::{V, View};

/// Nodes that one evaluation may visit: loops in loops over large lists end here.
const MAX_VISITS: u32 = 2_000_000;

/// Characters of a value in a message or in the evidence.
pub(super) const SHOWN: usize = 200;

/// Most sub-values in one piece of evidence.
pub(super) const MAX_TRACE: usize = 24;

/// What the scope answered, asked once per (root, first member).
pub(super) type Asked<'s> = Vec<(&'s str, Option<&'s str>, Option<Cow<'s, Json>>)>;

pub(super) fn ask<'s>(asks: &'s [(String, Option<String>)], scope: &'s dyn Scope) -> Asked<'s> {
    asks.iter()
        .map(|(root, member)| {
            let member = member.as_deref();
            (root.as_str(), member, scope.value(root, member))
        })
        .collect()
}

pub(super) struct Eval<'a> {
    pub(super) text: &'a str,
    pub(super) asked: &'a Asked<'a>,
    pub(super) scope: &'a dyn Scope,
    /// For a judgement: values are traced, and a loop over nothing proves nothing.
    pub(super) judging: bool,
    pub(super) locals: Vec<(&'a str, V<'a>)>,
    pub(super) visits: u32,
    pub(super) trace: Vec<(Range<usize>, String, String)>,
}

pub(super) type Evaluated<'a> = Result<V<'a>, EvalError>;

impl<'a> Eval<'a> {
    pub(super) fn new(
        text: &'a str,
        asked: &'a Asked<'a>,
        scope: &'a dyn Scope,
        judging: bool,
    ) -> Self {
        Self {
            text,
            asked,
            scope,
            judging,
            locals: Vec::new(),
            visits: 0,
            trace: Vec::new(),
        }
    }

    pub(super) fn source(&self, node: &Node) -> &'a str {
        &self.text[node.at.clone()]
    }

    /// The node's text, cut to what fits a message.
    pub(super) fn named(&self, node: &Node) -> String {
        let text = self.source(node);
        if text.chars().count() <= 80 {
            return format!("`{text}`");
        }
        let head: String = text.chars().take(80).collect();
        format!("`{head}…`")
    }

    pub(super) fn eval(&mut self, node: &'a Node) -> Evaluated<'a> {
        self.visits += 1;
        if self.visits > MAX_VISITS {
            return Err(EvalError::wrong(
                format!("the expression takes more than {MAX_VISITS} operations"),
                &node.at,
            ));
        }
        match &node.kind {
            Kind::Lit(lit) => Ok(V::from(lit)),
            Kind::Name(_) | Kind::Select { .. } | Kind::Index { .. } => {
                let value = self.path(node)?;
                if node.is_path() {
                    self.note(node, &value);
                }
                Ok(value)
            }
            Kind::Has(tested) => self.has(tested),
            Kind::Call { .. } => self.call(node),
            Kind::Not(_) | Kind::Neg(_) | Kind::And(_) | Kind::Or(_) | Kind::If(_) => {
                self.logic(node)
            }
            Kind::Binary { op, sides } if op.compares() => {
                let [left, right] = &**sides;
                self.compare(node, *op, left, right)
            }
            Kind::Binary { op, sides } => {
                let [left, right] = &**sides;
                self.compute(node, *op, left, right)
            }
            Kind::List(_) | Kind::Map(_) => self.literal(node),
            Kind::Loop { .. } => self.looped(node),
        }
    }

    /// Keeps a value for the evidence; not inside loops, where one text has many values.
    pub(super) fn note(&mut self, node: &Node, value: &V<'a>) {
        if !self.judging || !self.locals.is_empty() || node.is_literal() {
            return;
        }
        let known = self.trace.iter().any(|(at, _, _)| *at == node.at);
        if !known && self.trace.len() < MAX_TRACE {
            let text = self.source(node).to_owned();
            self.trace
                .push((node.at.clone(), text, value.render(SHOWN)));
        }
    }

    pub(super) fn operand(&mut self, node: &'a Node) -> Evaluated<'a> {
        let value = self.eval(node)?;
        self.note(node, &value);
        Ok(value)
    }

    /// A node that must be true or false.
    pub(super) fn truth(&mut self, node: &'a Node) -> Result<bool, EvalError> {
        let value = self.eval(node)?;
        match value.view() {
            View::Bool(truth) => Ok(truth),
            View::Null => Err(EvalError::no_data(
                format!(
                    "{} is null, where true or false is needed",
                    self.named(node)
                ),
                &node.at,
            )),
            view => Err(EvalError::wrong(
                format!(
                    "{} is {}, where true or false is needed",
                    self.named(node),
                    a(view.kind())
                ),
                &node.at,
            )
            .hint("compare it, as in `x == 0`")),
        }
    }

    pub(super) fn logic(&mut self, node: &'a Node) -> Evaluated<'a> {
        match &node.kind {
            Kind::Not(inner) => Ok(V::from(!self.truth(inner)?)),
            Kind::And(all) | Kind::Or(all) => {
                let decides = matches!(node.kind, Kind::Or(_));
                for one in all {
                    let truth = self.truth(one)?;
                    self.note(one, &V::from(truth));
                    if truth == decides {
                        return Ok(V::from(decides));
                    }
                }
                Ok(V::from(!decides))
            }
            Kind::If(three) => {
                let [condition, yes, no] = &**three;
                let truth = self.truth(condition)?;
                self.note(condition, &V::from(truth));
                self.eval(if truth { yes } else { no })
            }
            Kind::Neg(inner) => {
                let value = self.operand(inner)?;
                self.present(inner, &value)?;
                match value.view() {
                    View::Int(v) => v.checked_neg().map(V::from).ok_or_else(|| {
                        EvalError::wrong("the result does not fit 64 bits", &node.at)
                    }),
                    View::Double(v) => Ok(V::Cel(Value::Float(-v))),
                    view => Err(EvalError::wrong(
                        format!("`-` does not apply to {}", a(view.kind())),
                        &node.at,
                    )),
                }
            }
            _ => Err(EvalError::wrong("this has no value", &node.at)),
        }
    }
}
