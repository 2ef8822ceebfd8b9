//! Judgements: [`Expr::judge`] gives an [`Evidence`], a [`Verdict`] with the values it rests on.
//!
//! The rule of the house is kept here: only a `true` that every value was there for is a pass.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::EvalError;
use super::eval::{Asked, Eval, SHOWN, ask};
use super::tree::{Kind, Node};
use super::{Expr, Scope};

/// The outcome of a judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// True, with all data there.
    Pass,
    /// False.
    Fail,
    /// The data to judge by is not there.
    Inconclusive,
    /// The expression does not fit the data.
    Error,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
        })
    }
}

/// A verdict and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The text of the expression.
    pub expression: String,
    /// The outcome.
    pub verdict: Verdict,
    /// Parts of the expression that were evaluated, in the order of the text.
    pub values: Vec<SubValue>,
    /// Why it is no pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A part of an expression and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubValue {
    /// The part, as it is written; an element of a loop as `list[2]`.
    pub text: String,
    /// Its value as JSON, cut to about 200 characters with a note of what was dropped.
    pub value: String,
}

impl Expr {
    /// Judges: true is a pass, false a fail. Stricter than CEL, so that nothing passes by accident:
    ///
    /// * a missing key, null (except where it is compared with a written `null`), a list index out of
    ///   range, NaN, an infinite number, a division by zero, `all` over nothing: inconclusive;
    /// * kinds that do not go together, also in `==`, `!=` and `in`, and a result that is neither
    ///   true nor false: error;
    /// * `&&` and `||` go left to right, and an operand without a value is never overruled by the
    ///   operands after it.
    #[must_use]
    pub fn judge(&self, scope: &dyn Scope) -> Evidence {
        let asked = ask(&self.inner.asks, scope);
        let root = &self.inner.root;
        let mut eval = Eval::new(self.text(), &asked, scope, true);
        let outcome = eval.truth(root);
        let mut trace = std::mem::take(&mut eval.trace);
        // a part stands after the whole it begins
        trace.sort_by_key(|(at, _, _)| (at.start, std::cmp::Reverse(at.end)));
        let mut values: Vec<SubValue> = Vec::with_capacity(trace.len());
        for (at, text, value) in trace {
            let whole = at == root.at && outcome.is_ok();
            if !whole && !values.iter().any(|known| known.text == text) {
                values.push(SubValue { text, value });
            }
        }
        let (verdict, reason) = match &outcome {
            Ok(true) => (Verdict::Pass, None),
            Ok(false) => (Verdict::Fail, Some(self.why_false(&asked, scope))),
            Err(error) => (verdict_of(error), Some(error.in_full())),
        };
        Evidence {
            expression: self.text().to_owned(),
            verdict,
            values,
            reason,
        }
    }

    /// The part that made the whole false. Evaluates again: expressions are pure and small.
    fn why_false(&self, asked: &Asked<'_>, scope: &dyn Scope) -> String {
        let mut eval = Eval::new(self.text(), asked, scope, true);
        let mut node = &self.inner.root;
        while let Kind::And(all) = &node.kind {
            let Some(part) = all.iter().find(|part| eval.truth(part) == Ok(false)) else {
                break;
            };
            node = part;
        }
        let named = eval.named(node);
        let values = match &node.kind {
            Kind::Binary { op, sides } if op.compares() => observed(&mut eval, &**sides),
            _ => Vec::new(),
        };
        if values.is_empty() {
            return format!("{named} is false");
        }
        format!("{named} is false: {}", values.join(", "))
    }
}

fn verdict_of(error: &EvalError) -> Verdict {
    if error.no_data {
        Verdict::Inconclusive
    } else {
        Verdict::Error
    }
}

/// The sides of a comparison that are not written out, with their values.
fn observed<'a>(eval: &mut Eval<'a>, sides: &'a [Node]) -> Vec<String> {
    sides
        .iter()
        .filter(|side| !side.is_literal())
        .filter_map(|side| {
            let value = eval.eval(side).ok()?;
            Some(format!("{} is {}", eval.named(side), value.render(SHOWN)))
        })
        .collect()
}
