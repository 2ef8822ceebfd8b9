//! Where two values differ: paths with what stood there before and after.
//!
//! Main function: [`diff`]. It is bounded in depth and in the number of changes, whatever it is
//! given; numbers are compared by value, so that `1` and `1.0` are no change.

use serde_json::Value;

/// The most changes that [`diff`] gives.
pub const MOST: usize = 200;

/// Below this depth values are compared as wholes.
const DEEPEST: usize = 24;

/// One place where two values differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Such as `rows[2].name`; empty for the whole value.
    pub path: String,
    /// What stood there; `None`: nothing.
    pub before: Option<Value>,
    /// What stands there; `None`: nothing.
    pub after: Option<Value>,
}

/// The places where two values differ, in the order of the first, then of the second; at most
/// [`MOST`] of them. Lists are compared from both ends, so that one element more is one change.
pub fn diff(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    walk(String::new(), Some(before), Some(after), 0, &mut changes);
    changes
}

fn walk(
    path: String,
    before: Option<&Value>,
    after: Option<&Value>,
    depth: usize,
    changes: &mut Vec<Change>,
) {
    if changes.len() >= MOST {
        return;
    }
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) if depth < DEEPEST => {
            for (key, value) in old {
                walk(
                    join(&path, key),
                    Some(value),
                    new.get(key),
                    depth + 1,
                    changes,
                );
            }
            for (key, value) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                walk(join(&path, key), None, Some(value), depth + 1, changes);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if depth < DEEPEST => {
            lists(&path, old, new, depth, changes);
        }
        (Some(old), Some(new)) if same(old, new) => {}
        _ => changes.push(Change {
            path,
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

fn lists(path: &str, old: &[Value], new: &[Value], depth: usize, changes: &mut Vec<Change>) {
    let pairs = || old.iter().zip(new);
    let head = pairs().take_while(|(old, new)| same(old, new)).count();
    let tail = match old.len() == new.len() {
        true => 0,
        false => old[head..]
            .iter()
            .rev()
            .zip(new[head..].iter().rev())
            .take_while(|(old, new)| same(old, new))
            .count(),
    };
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    for at in head..old.len().max(new.len()) {
        if changes.len() >= MOST {
            return;
        }
        let path = format!("{path}[{at}]");
        walk(path, old.get(at), new.get(at), depth + 1, changes);
    }
}

fn same(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Number(old), Value::Number(new)) => old == new || old.as_f64() == new.as_f64(),
        _ => old == new,
    }
}

fn join(path: &str, key: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let step = match !key.is_empty() && key.chars().all(plain) {
        true => key.to_owned(),
        false => return format!("{path}[{}]", Value::from(key)),
    };
    match path.is_empty() {
        true => step,
        false => format!("{path}.{step}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(before: &Value, after: &Value) -> Vec<String> {
        let text = |value: Option<Value>| value.map_or("-".into(), |value| value.to_string());
        diff(before, after)
            .into_iter()
            .map(|change| {
                format!(
                    "{}: {} -> {}",
                    change.path,
                    text(change.before),
                    text(change.after)
                )
            })
            .collect()
    }

    #[test]
    fn places_are_named_and_order_is_kept() {
        let before =
            json!({"keys": 5, "db": {"a.b": 1, "gone": true}, "rows": [1, 2, 3], "same": 1});
        let after =
            json!({"keys": 0, "db": {"a.b": 2}, "rows": [1, 9, 2, 3], "same": 1.0, "new": []});
        assert_eq!(
            shown(&before, &after),
            [
                "keys: 5 -> 0",
                "db[\"a.b\"]: 1 -> 2",
                "db.gone: true -> -",
                "rows[1]: - -> 9",
                "new: - -> []",
            ]
        );
        assert_eq!(shown(&json!([1, 2]), &json!([1, 3])), ["[1]: 2 -> 3"]);
        assert_eq!(shown(&json!(null), &json!({})), [": null -> {}"]);
        assert!(diff(&before, &before).is_empty());
    }

    #[test]
    fn it_is_bounded_in_number_and_depth() {
        let many = |n: i64| Value::from((0..5_000).map(|at| at * n + 1).collect::<Vec<_>>());
        assert_eq!(diff(&many(1), &many(2)).len(), MOST);
        let deep = |leaf: i64| (0..120).fold(json!(leaf), |value, _| json!([value]));
        let changes = diff(&deep(1), &deep(2));
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].path, "[0]".repeat(DEEPEST));
    }
}
