//! Operators on two sides: how [`Eval`] compares and computes, and the words for what does not fit.
//!
//! Must not: let null or kinds that do not go together give an answer.

use super::error::{self, EvalError};
use super::eval::{Eval, Evaluated};
use super::operators::{Trouble, arithmetic, contains, order, same};
use super::tree::{Node, Op};
use super::value::V;

impl<'a> Eval<'a> {
    pub(super) fn compare(
        &mut self,
        node: &'a Node,
        op: Op,
        left: &'a Node,
        right: &'a Node,
    ) -> Evaluated<'a> {
        let (a, b) = (self.operand(left)?, self.operand(right)?);
        let equality = matches!(op, Op::Eq | Op::Ne);
        if equality && (left.is_null_literal() || right.is_null_literal()) {
            let both = a.is_null() && b.is_null();
            return Ok(V::from(both == (op == Op::Eq)));
        }
        self.present(left, &a)?;
        self.present(right, &b)?;
        let answer = match op {
            Op::Eq => same(&a, &b),
            Op::Ne => same(&a, &b).map(|same| !same),
            Op::In => contains(&a, &b),
            Op::Lt => order(&a, &b).map(std::cmp::Ordering::is_lt),
            Op::Le => order(&a, &b).map(std::cmp::Ordering::is_le),
            Op::Gt => order(&a, &b).map(std::cmp::Ordering::is_gt),
            _ => order(&a, &b).map(std::cmp::Ordering::is_ge),
        };
        answer
            .map(V::from)
            .map_err(|trouble| self.trouble(node, op, [left, right], [&a, &b], trouble))
    }

    pub(super) fn compute(
        &mut self,
        node: &'a Node,
        op: Op,
        left: &'a Node,
        right: &'a Node,
    ) -> Evaluated<'a> {
        let (a, b) = (self.eval(left)?, self.eval(right)?);
        self.present(left, &a)?;
        self.present(right, &b)?;
        arithmetic(op, &a, &b)
            .map_err(|trouble| self.trouble(node, op, [left, right], [&a, &b], trouble))
    }

    pub(super) fn trouble(
        &self,
        node: &Node,
        op: Op,
        [left, right]: [&Node; 2],
        [a, b]: [&V<'_>; 2],
        trouble: Trouble,
    ) -> EvalError {
        let whole = self.named(node);
        match trouble {
            Trouble::NoData(what) => EvalError::no_data(format!("in {whole} {what}"), &node.at),
            Trouble::Wrong(what) => EvalError::wrong(format!("in {whole} {what}"), &node.at),
            Trouble::Kinds(x, y) => {
                let (left_text, right_text) = (self.named(left), self.named(right));
                let message = if (x, y) == (a.kind(), b.kind()) {
                    let verb = if op.compares() { "compare" } else { "combine" };
                    format!(
                        "`{}` cannot {verb} {left_text} ({x}) with {right_text} ({y})",
                        op.sign()
                    )
                } else {
                    let (x, y) = (error::a(x), error::a(y));
                    format!("in {whole} {x} stands against {y}")
                };
                let hint = kinds_hint(op, (self.source(left), x), (self.source(right), y));
                EvalError::wrong(message, &node.at).maybe_hint(hint)
            }
        }
    }
}

/// What to write when two kinds do not go together.
fn kinds_hint(op: Op, (left, x): (&str, &str), (right, y): (&str, &str)) -> Option<String> {
    let is_whole = |kind: &str| matches!(kind, "int" | "uint");
    if !op.compares() {
        let sign = op.sign();
        let double = |text: &str| match text.parse::<i64>() {
            Ok(number) => format!("{number}.0"),
            Err(_) => format!("double({text})"),
        };
        if is_whole(x) && y == "double" {
            return Some(format!(
                "ints and doubles do not mix; write `{} {sign} {right}`",
                double(left)
            ));
        }
        if x == "double" && is_whole(y) {
            return Some(format!(
                "ints and doubles do not mix; write `{left} {sign} {}`",
                double(right)
            ));
        }
        return (op == Op::Add && (x == "string" || y == "string"))
            .then(|| "turn the other side into text with `string(...)`".to_owned());
    }
    let number = |kind: &str| is_whole(kind) || kind == "double";
    let convert = |text: &str, kind: &str| match kind {
        "int" | "uint" => Some(format!("write `int({text})`")),
        "double" => Some(format!("write `double({text})`")),
        "version" => Some(format!("write `semver({text})`")),
        "duration" => Some(format!("write `duration({text})`")),
        _ => None,
    };
    match (x, y) {
        _ if op == Op::In => (y == "string").then(|| format!("write `{right}.contains({left})`")),
        ("string", _) => convert(left, y),
        (_, "string") => convert(right, x),
        ("duration", n) | (n, "duration") if number(n) => {
            Some("write the time as `duration(\"5m\")`".to_owned())
        }
        _ => None,
    }
}
