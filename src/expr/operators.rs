//! Comparison, membership and arithmetic on values: [`order`], [`same`], [`contains`], [`arithmetic`].
//!
//! Stricter than CEL where CEL would answer by accident: kinds that cannot be equal are a mistake
//! and not "unequal", a number that is not finite is no data, and so is a division by zero.

use std::cmp::Ordering;

use super::functions::{Refusal, delegate};
use super::tree::Op;
use super::value::{V, View};

/// Why an operator gave no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The kinds do not go together.
    Kinds(&'static str, &'static str),
    /// A number is not finite, or a division by zero; in words.
    NoData(String),
    /// Anything else, in words.
    Wrong(String),
}

fn kinds(a: &V<'_>, b: &V<'_>) -> Trouble {
    Trouble::Kinds(a.kind(), b.kind())
}

/// The order of two values of one kind.
pub(super) fn order(a: &V<'_>, b: &V<'_>) -> Result<Ordering, Trouble> {
    let (left, right) = (a.view(), b.view());
    if left.is_number() && right.is_number() {
        return numbers(&left, &right);
    }
    match (left, right) {
        (View::Str(a), View::Str(b)) => Ok(a.cmp(b)),
        (View::Bool(a), View::Bool(b)) => Ok(a.cmp(&b)),
        (View::Bytes(a), View::Bytes(b)) => Ok(a.cmp(b)),
        (View::Version(a), View::Version(b)) => Ok(a.cmp(b)),
        (View::Duration, View::Duration) | (View::Timestamp, View::Timestamp) => match (a, b) {
            (V::Cel(a), V::Cel(b)) => a.partial_cmp(b),
            _ => None,
        }
        .ok_or_else(|| kinds(a, b)),
        _ => Err(kinds(a, b)),
    }
}

fn numbers(a: &View<'_>, b: &View<'_>) -> Result<Ordering, Trouble> {
    Ok(match (*a, *b) {
        (View::Double(a), View::Double(b)) => finite(a)?
            .partial_cmp(&finite(b)?)
            .ok_or_else(|| Trouble::NoData("a number is NaN".to_owned()))?,
        (View::Double(a), whole) => against(integer(whole), finite(a)?).reverse(),
        (whole, View::Double(b)) => against(integer(whole), finite(b)?),
        (a, b) => integer(a).cmp(&integer(b)),
    })
}

fn integer(number: View<'_>) -> i128 {
    match number {
        View::Int(v) => v.into(),
        View::UInt(v) => v.into(),
        _ => 0,
    }
}

/// Exact order of a whole number and a double: a cast of either would round.
fn against(whole: i128, double: f64) -> Ordering {
    const BEYOND: f64 = 1e30;
    if double.abs() > BEYOND {
        return 0.0_f64.partial_cmp(&double).unwrap_or(Ordering::Equal);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "bounded just above; the fraction follows"
    )]
    let floor = double.floor() as i128;
    whole.cmp(&floor).then(if double.fract() == 0.0 {
        Ordering::Equal
    } else {
        Ordering::Less
    })
}

fn finite(number: f64) -> Result<f64, Trouble> {
    if number.is_finite() {
        Ok(number)
    } else {
        Err(Trouble::NoData(format!("a number is {number}")))
    }
}

/// Whether two values are equal. Kinds that never are equal are an error, inside lists and maps too.
pub(super) fn same(a: &V<'_>, b: &V<'_>) -> Result<bool, Trouble> {
    match (a.view(), b.view()) {
        (View::List, View::List) => {
            let (left, right) = (a.items().unwrap_or_default(), b.items().unwrap_or_default());
            if left.len() != right.len() {
                return Ok(false);
            }
            all_same(left.iter().zip(&right).map(|(a, b)| inside(a, b)))
        }
        (View::Map, View::Map) => {
            if a.size() != b.size() {
                return Ok(false);
            }
            all_same(
                a.keys()
                    .iter()
                    .map(|key| match (a.entry(key), b.entry(key)) {
                        (Some(a), Some(b)) => inside(&a, &b),
                        (Some(_), None) => Ok(false),
                        // a key that is not found under its own text is no text
                        (None, _) => Err(Trouble::Wrong(
                            "the keys of a map that is compared must be text".to_owned(),
                        )),
                    }),
            )
        }
        _ => order(a, b).map(Ordering::is_eq),
    }
}

/// Inside a list or map a null is a value like another.
fn inside(a: &V<'_>, b: &V<'_>) -> Result<bool, Trouble> {
    if a.is_null() || b.is_null() {
        return Ok(a.is_null() && b.is_null());
    }
    same(a, b)
}

/// All pairs are looked at, so that a kind that does not fit is found wherever it stands.
fn all_same(pairs: impl Iterator<Item = Result<bool, Trouble>>) -> Result<bool, Trouble> {
    pairs
        .into_iter()
        .try_fold(true, |all, pair| Ok(pair? && all))
}

/// `a in b`: an element of a list, or a key of a map.
pub(super) fn contains(a: &V<'_>, b: &V<'_>) -> Result<bool, Trouble> {
    match (a.view(), b.view()) {
        (View::Str(key), View::Map) => Ok(b.entry(key).is_some()),
        (View::Int(_) | View::UInt(_) | View::Bool(_), View::Map) => {
            match delegate(Op::In.cel_name(), false, &[a.clone(), b.clone()]) {
                Ok(found) => Ok(matches!(found.view(), View::Bool(true))),
                Err(_) => Err(kinds(a, b)),
            }
        }
        (_, View::List) => {
            let mut mismatch = None;
            let mut compared = false;
            for item in b.items().unwrap_or_default() {
                match inside(a, &item) {
                    Ok(true) => return Ok(true),
                    Ok(false) => compared |= !item.is_null(),
                    Err(trouble @ Trouble::NoData(_)) => return Err(trouble),
                    Err(trouble) => mismatch = Some(trouble),
                }
            }
            match mismatch {
                // not one element could have been equal: the question is wrong
                Some(Trouble::Kinds(a, item)) if !compared => Err(Trouble::Wrong(format!(
                    "{} is looked for in a list of {item} values",
                    super::error::a(a)
                ))),
                _ => Ok(false),
            }
        }
        _ => Err(kinds(a, b)),
    }
}

/// `+ - * / %`. Ints and doubles do not mix, as in CEL.
pub(super) fn arithmetic<'a>(op: Op, a: &V<'a>, b: &V<'a>) -> Result<V<'a>, Trouble> {
    let by_zero = || Trouble::NoData("the divisor is zero".to_owned());
    match (a.view(), b.view()) {
        (View::Int(a), View::Int(b)) => {
            if matches!(op, Op::Div | Op::Rem) && b == 0 {
                return Err(by_zero());
            }
            let value = match op {
                Op::Add => a.checked_add(b),
                Op::Sub => a.checked_sub(b),
                Op::Mul => a.checked_mul(b),
                Op::Div => a.checked_div(b),
                _ => a.checked_rem(b),
            };
            value
                .map(V::from)
                .ok_or_else(|| Trouble::Wrong("the result does not fit 64 bits".to_owned()))
        }
        (View::Double(_), View::Double(0.0)) if op == Op::Div => Err(by_zero()),
        (View::UInt(_), View::UInt(0)) if matches!(op, Op::Div | Op::Rem) => Err(by_zero()),
        _ => {
            delegate(op.cel_name(), false, &[a.clone(), b.clone()]).map_err(|refusal| match refusal
            {
                Refusal::Kinds => kinds(a, b),
                Refusal::Value(message) => Trouble::Wrong(message),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cel::Value;

    fn v(value: impl Into<Value>) -> V<'static> {
        V::Cel(value.into())
    }

    #[test]
    fn numbers_compare_exactly_across_kinds() {
        use Ordering::{Equal, Greater, Less};
        let big = 9_007_199_254_740_993_i64; // 2^53 + 1, which no double holds
        for (a, b, expected) in [
            (v(1_i64), v(1.0), Equal),
            (v(1_i64), v(1.5), Less),
            (v(-1_i64), v(-1.5), Greater),
            (v(2_i64), v(1.5), Greater),
            (v(1_i64), v(1_u64), Equal),
            (v(-1_i64), v(u64::MAX), Less),
            (v(big), v(9_007_199_254_740_992.0), Greater),
            (v(i64::MAX), v(1e300), Less),
            (v(i64::MIN), v(-1e300), Greater),
            (v(0_i64), v(-0.0), Equal),
        ] {
            assert_eq!(order(&a, &b), Ok(expected), "{a:?} {b:?}");
            assert_eq!(order(&b, &a), Ok(expected.reverse()), "{b:?} {a:?}");
        }
    }

    #[test]
    fn numbers_that_are_not_finite_do_not_compare() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for other in [v(1_i64), v(1.0), v(odd)] {
                assert!(matches!(order(&v(odd), &other), Err(Trouble::NoData(_))));
                assert!(matches!(order(&other, &v(odd)), Err(Trouble::NoData(_))));
                assert!(matches!(same(&v(odd), &other), Err(Trouble::NoData(_))));
            }
        }
    }
}
