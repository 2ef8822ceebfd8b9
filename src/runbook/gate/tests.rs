//! What counts as an answer to a manual step, and what parameters can never be met.

use std::collections::BTreeMap;

use super::*;
use serde_json::json;

fn manual(value: Value) -> Manual {
    serde_json::from_value(value).expect("a manual step")
}

#[test]
fn nothing_is_confirmed_that_is_not_ticked_typed_and_shown() {
    let step = manual(json!({
        "text": "look", "checklist": ["a", "b"], "evidence": true,
        "ask": [{ "name": "n", "type": "int", "min": 1, "max": 3 }],
    }));
    let all = ["a".to_owned(), "b".to_owned()];
    let values = |n: Value| BTreeMap::from([("n".to_owned(), n)]);
    let said = |ticked: &[String], n: Value, evidence| step.accepts(ticked, &values(n), evidence);
    assert_eq!(said(&all, json!(2), true), Ok(()));
    assert_eq!(
        said(&all[..1], json!(2), true),
        Err("not ticked yet: `b`".into())
    );
    assert_eq!(said(&all, json!(4), true), Err("`n` is at most 3".into()));
    assert_eq!(
        said(&all, json!("2"), true),
        Err("`n` takes a value of type `int`".into())
    );
    assert_eq!(
        said(&all, json!(2), false),
        Err("evidence is missing: a note, or a file".into())
    );
    assert_eq!(
        step.accepts(&all, &BTreeMap::new(), true),
        Err("`n` is missing".into())
    );
    let more = BTreeMap::from([("n".to_owned(), json!(2)), ("m".to_owned(), json!(2))]);
    assert_eq!(
        step.accepts(&all, &more, true),
        Err("`m` is not asked for".into())
    );
}

#[test]
fn what_is_typed_is_read_by_its_kind() {
    let ask = |value: Value| serde_json::from_value::<Ask>(value).expect("an ask");
    let int = ask(json!({ "name": "n", "type": "int" }));
    assert_eq!(int.read(" 7 "), Ok(json!(7)));
    assert_eq!(
        int.read("7.5"),
        Err("`n` takes a whole number, and `7.5` is none".into())
    );
    let bool = ask(json!({ "name": "b", "type": "bool" }));
    assert_eq!(bool.read("YES"), Ok(json!(true)));
    assert!(bool.read("").is_err());
    let text = ask(json!({ "name": "t", "matches": "v[0-9]+" }));
    assert_eq!(text.read("v12"), Ok(json!("v12")));
    assert_eq!(
        text.read("xv12"),
        Err("`t` does not match `v[0-9]+`".into())
    );
    assert_eq!(text.read("  "), Err("`t` is empty".into()));
    let number = ask(json!({ "name": "x", "type": "number" }));
    assert!(number.read("NaN").is_err() && number.read("inf").is_err());
}

#[test]
fn parameters_that_can_never_be_met_are_refused() {
    let sense = |value: Value| Approve::sense(&value);
    assert_eq!(sense(json!({ "by": ["a", "b"], "min": 2 })), Ok(()));
    assert!(sense(json!({ "by": "a", "min": 2 })).is_err());
    assert!(sense(json!({ "by": [] })).is_err());
    assert!(sense(json!({ "by": "a", "min": 0 })).is_err());
    let sense = |value: Value| Manual::sense(&value);
    assert!(sense(json!({ "text": "x", "checklist": ["a", "a"] })).is_err());
    assert!(sense(json!({ "text": "x", "ask": [{ "name": "a b" }] })).is_err());
    assert!(sense(json!({ "text": "x", "ask": [{ "name": "a", "matches": "(" }] })).is_err());
    assert!(sense(json!({ "text": "x", "ask": [{ "name": "a", "min": 1 }] })).is_err());
}
