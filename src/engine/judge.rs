//! Expectations over a raw result, judged before anything is masked; what is kept of them is masked.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::action::ActionError;
use crate::event::{Cause, Failure, Outcome, Report};
use crate::expr::{Evidence, Expr, Verdict};
use crate::run::StepScope;
use crate::runbook::Sp;
use crate::secret::Masker;

/// Judges each expectation.
pub(super) fn judge(expect: &[Sp<Expr>], scope: &StepScope, masker: &Masker) -> Vec<Evidence> {
    expect
        .iter()
        .map(|expr| masked(expr.value.judge(scope), masker))
        .collect()
}

/// Hides secrets in the values that a judgement rests on.
pub(super) fn masked(mut evidence: Evidence, masker: &Masker) -> Evidence {
    let mask = |text: &mut String| *text = hidden(text, masker);
    mask(&mut evidence.expression);
    for value in &mut evidence.values {
        mask(&mut value.text);
        mask(&mut value.value);
    }
    evidence.reason.iter_mut().for_each(mask);
    evidence
}

/// What stands where the rest of a value was left out.
const CUT: &str = "\u{2026} (";

/// A text without secrets. Where a value in it was cut already, the cut may have gone through a
/// secret: what stands before it and may be the beginning of one goes too.
pub(super) fn hidden(text: &str, masker: &Masker) -> String {
    let Some((first, last)) = text.rsplit_once(CUT) else {
        return masker.text(text).into_owned();
    };
    let mut whole = String::with_capacity(text.len());
    for piece in first.split(CUT) {
        let (mut stream, mut out) = (masker.stream(), Vec::new());
        // not finished on purpose: what it holds back is the beginning of a secret
        stream.push(piece.as_bytes(), &mut out);
        whole += &String::from_utf8_lossy(&out);
        whole += CUT;
    }
    masker.text(&(whole + last)).into_owned()
}

/// A result without secrets, also where an action cut one.
pub(super) fn hidden_json(value: Value, masker: &Masker) -> Value {
    fn cut(value: &mut Value, masker: &Masker) {
        match value {
            Value::String(text) if text.contains(CUT) => *text = hidden(text, masker),
            Value::Array(items) => items.iter_mut().for_each(|item| cut(item, masker)),
            Value::Object(map) => map.values_mut().for_each(|item| cut(item, masker)),
            _ => {}
        }
    }
    let mut value = value;
    cut(&mut value, masker);
    masker.json(value)
}

/// Whether all of it passed.
pub(super) fn passed(evidence: &[Evidence]) -> bool {
    evidence
        .iter()
        .all(|evidence| evidence.verdict == Verdict::Pass)
}

/// The failure for the first expectation that did not pass.
pub(super) fn failure(evidence: &[Evidence], outcome: Outcome) -> Option<Failure> {
    let missed = evidence
        .iter()
        .find(|evidence| evidence.verdict != Verdict::Pass)?;
    let observed: Vec<String> = missed
        .values
        .iter()
        .take(3)
        .map(|value| format!("`{}` is {}", value.text, value.value))
        .collect();
    let observed = observed.join(", ");
    let message = match (missed.verdict, &missed.reason) {
        (Verdict::Fail, _) if observed.is_empty() => format!("expected `{}`", missed.expression),
        (Verdict::Fail, _) => format!("expected `{}`, but {observed}", missed.expression),
        (verdict, Some(reason)) => format!(
            "expected `{}`, which is {verdict}: {reason}",
            missed.expression
        ),
        (verdict, None) => format!("expected `{}`, which is {verdict}", missed.expression),
    };
    Some(Failure {
        cause: Cause::Expectation,
        outcome,
        message,
        hint: None,
    })
}

/// Refuses to judge a text that was cut.
pub(super) fn cut_but_needed(expect: &[Sp<Expr>], result: &Value) -> Option<String> {
    if result.get("cut").and_then(Value::as_bool) != Some(true) {
        return None;
    }
    let mut paths = expect
        .iter()
        .flat_map(|expr| expr.references().iter())
        .map(|reference| &reference.path);
    let asked = paths.find_map(|path| match path.as_slice() {
        [root, field, ..] if root == "result" && (field == "stdout" || field == "stderr") => {
            Some(field.clone())
        }
        _ => None,
    })?;
    Some(format!(
        "`result.{asked}` is asked for, and the step printed more than is kept for it (64 kB)"
    ))
}

/// The largest result that is kept whole, in bytes of JSON.
pub(super) const MAX_RESULT: usize = 64 << 10;

/// A result as the journal keeps it: masked, and bounded with what was left out said.
pub(super) fn bounded(value: Value, masker: &Masker) -> Value {
    let masked = hidden_json(value, masker);
    if size(&masked) <= 4_096 {
        return masked;
    }
    shorten(masked, 2_048)
}

/// What a failed call leaves beside its failure: evidence, and whether and when to try again.
pub(super) fn note(report: &mut Report, error: &ActionError, masker: &Masker) {
    if let Some(result) = &error.result {
        report.result = bounded(result.clone(), masker);
    }
    report.hopeless = error.hopeless;
    report.retry_after_ms = error.retry_after.map(milliseconds);
}

/// How long the target asks to be left alone, when an answer of it says so.
pub(super) fn asked_wait(result: &Value) -> Option<u64> {
    let seconds = result.get("retry_after_s")?.as_f64()?;
    Duration::try_from_secs_f64(seconds).ok().map(milliseconds)
}

fn milliseconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

/// The value of an output, if it fits, alone and with those before it: they are kept in one event.
pub(super) fn fits(total: &mut usize, value: Value) -> Result<Value, String> {
    let size = size(&value);
    *total += size;
    match (size, *total) {
        (size, _) if size > MAX_RESULT => Err(format!(
            "it has {size} bytes; at most {MAX_RESULT} are kept"
        )),
        (_, total) if total > MAX_RESULT => Err(format!(
            "the step's outputs up to it have {total} bytes together; at most {MAX_RESULT} are kept"
        )),
        _ => Ok(value),
    }
}

/// Roughly the bytes of a value as JSON.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(size).sum::<usize>() + items.len() + 2,
        Value::Object(map) => {
            map.iter()
                .map(|(key, value)| key.len() + size(value) + 4)
                .sum::<usize>()
                + 2
        }
        _ => 8,
    }
}

fn shorten(value: Value, longest: usize) -> Value {
    match value {
        Value::String(text) if text.len() > longest => {
            let mut end = longest;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            Value::from(format!(
                "{} ... ({} bytes left out)",
                &text[..end],
                text.len() - end
            ))
        }
        Value::Array(items) if items.len() > 20 => {
            let left_out = items.len() - 20;
            let mut kept: Vec<Value> = items
                .into_iter()
                .take(20)
                .map(|item| shorten(item, longest / 4))
                .collect();
            kept.push(Value::from(format!("... ({left_out} items left out)")));
            Value::Array(kept)
        }
        Value::Array(items) => Value::Array(
            items
                .into_iter()
                .map(|item| shorten(item, longest / 2))
                .collect(),
        ),
        Value::Object(map) => {
            let left_out = map.len().saturating_sub(200);
            let mut kept: Map<String, Value> = map
                .into_iter()
                .take(200)
                .map(|(key, value)| (key, shorten(value, longest / 2)))
                .collect();
            if left_out > 0 {
                kept.insert(
                    "...".into(),
                    Value::from(format!("{left_out} keys left out")),
                );
            }
            Value::Object(kept)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_secret_that_a_cut_went_through_does_not_show_its_beginning() {
        let secret = Secret::new("jellyfish-7".to_owned());
        let masker = Masker::new([("s".to_owned(), secret)]).unwrap();
        assert_eq!(
            hidden(
                "a is jellyfish-7 x jell\u{2026} (20 more bytes), b is jelly\u{2026} (9 more bytes)",
                &masker
            ),
            "a is *** x \u{2026} (20 more bytes), b is \u{2026} (9 more bytes)"
        );
        assert_eq!(hidden("plain jelly", &masker), "plain jelly");
        let result = serde_json::json!({ "stdout": ["jellyfish-7 jellyf\u{2026} (9 more bytes)"] });
        assert_eq!(
            bounded(result, &masker),
            serde_json::json!({ "stdout": ["*** \u{2026} (9 more bytes)"] })
        );
    }
}
