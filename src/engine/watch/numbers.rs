//! Numbers of results: those that samples keep, and medians of several readings.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::run::watch;

/// Numbers of a result at these paths.
pub(super) fn numbers(result: &Value, paths: &[String]) -> BTreeMap<String, f64> {
    let number = |path: &String| {
        let value = path
            .split('.')
            .try_fold(result, |value, part| value.get(part))?;
        let number = match value {
            Value::Bool(flag) => f64::from(u8::from(*flag)),
            value => value.as_f64()?,
        };
        number.is_finite().then(|| (path.clone(), number))
    };
    paths.iter().filter_map(number).collect()
}

/// One result of several: of every number the median, all else as it was last. A number that is not in
/// every one of them is null, so that nothing passes by it.
pub(in crate::engine) fn medians(mut results: Vec<Value>) -> Value {
    let Some(last) = results.pop() else {
        return Value::Null;
    };
    if results.is_empty() {
        return last;
    }
    results.push(last.clone());
    let all: Vec<&Value> = results.iter().collect();
    median_at(&last, &all)
}

fn median_at(last: &Value, all: &[&Value]) -> Value {
    match last {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let parts: Vec<&Value> = all.iter().filter_map(|one| one.get(key)).collect();
                let value = match parts.len() == all.len() {
                    true => median_at(value, &parts),
                    false => Value::Null,
                };
                (key.clone(), value)
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Number(_) | Value::Null => {
            let numbers: Vec<f64> = all.iter().filter_map(|one| one.as_f64()).collect();
            if numbers.len() < all.len() {
                return match all.iter().any(|one| one.is_number()) {
                    true => Value::Null,
                    false => last.clone(),
                };
            }
            let whole = all.iter().all(|one| one.is_i64());
            match watch::trend::median(numbers) {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a median of whole numbers that is whole"
                )]
                Some(median) if whole && median.fract() == 0.0 => Value::from(median as i64),
                Some(median) => Value::from(median),
                None => Value::Null,
            }
        }
        Value::Array(items) => {
            let same = |one: &&Value| {
                one.as_array()
                    .is_some_and(|other| other.len() == items.len())
            };
            if !all.iter().all(same) {
                return Value::Null;
            }
            let at = |n: usize| all.iter().filter_map(|one| one.get(n)).collect::<Vec<_>>();
            let items = items.iter().enumerate();
            items.map(|(n, item)| median_at(item, &at(n))).collect()
        }
        // there is no middle of texts: only what all readings say alike is said
        other if all.iter().all(|one| *one == other) => other.clone(),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_median_is_of_every_reading_or_null() {
        let readings = |values: &[Value]| medians(values.to_vec());
        assert_eq!(
            readings(&[
                json!({ "p95_ms": 1.0, "n": 4, "name": "a", "in": { "x": 3 } }),
                json!({ "p95_ms": 90.0, "n": 8, "name": "b", "in": { "x": 1 } }),
                json!({ "p95_ms": 2.0, "n": 5, "name": "c", "in": { "x": 2 } }),
            ]),
            json!({ "p95_ms": 2.0, "n": 5, "name": null, "in": { "x": 2 } })
        );
        assert_eq!(
            readings(&[
                json!({ "p": 1.0 }),
                json!({ "p": null }),
                json!({ "p": 3.0 })
            ]),
            json!({ "p": null })
        );
        assert_eq!(
            readings(&[json!({}), json!({ "p": 1 })]),
            json!({ "p": null })
        );
    }

    #[test]
    fn only_finite_numbers_are_watched() {
        let paths = [
            "a".to_owned(),
            "b.c".to_owned(),
            "d".to_owned(),
            "e".to_owned(),
        ];
        let found = numbers(&json!({ "a": 1, "b": { "c": true }, "d": null }), &paths);
        let wanted = [("a".to_owned(), 1.0), ("b.c".to_owned(), 1.0)];
        assert_eq!(found, BTreeMap::from(wanted));
    }
}
