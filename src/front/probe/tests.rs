//! Looks, laid out.

use serde_json::{Map, Value, json};

use super::*;
use crate::event::{Cause, Outcome};

const SHEET: Sheet = Sheet {
    columns: 60,
    colour: false,
    marks: Marks::Blocks,
};

fn of(result: &Value, before: Option<&Value>) -> Vec<String> {
    let look = Look {
        head: "head",
        result: Some(result),
        before,
        words: &[("used", "bytes in use"), ("share", "a / b, 0 to 1")],
        failure: None,
        evidence: &[],
        series: &[],
    };
    look.parts(&SHEET).fields
}

#[test]
fn fields_are_aligned_and_numbers_have_units() {
    let result = json!({
        "used": 1_048_576, "share": 0.25, "keys": 12, "role": "master", "limit": null, "ok": true,
        "latency_ms": 0.25, "none": {}, "nothing": [], "names": ["a", "b"], "empty": "",
    });
    assert_eq!(
        of(&result, None),
        [
            "  used        1.0 MB   1048576",
            "  share       25.0 %   0.25",
            "  keys        12",
            "  role        master",
            "  limit       -",
            "  ok          true",
            "  latency_ms  0.25 ms  0.25",
            "  none        none",
            "  nothing     none",
            "  names       a, b",
            "  empty       \"\"",
        ]
    );
}

#[test]
fn what_is_nested_stands_below_its_name() {
    let result = json!({
        "keys_by_db": { "db0": 12, "db1": 3 },
        "keyspace": { "db0": { "keys": 12, "avg_ttl": 1500 }, "db1": { "keys": 3, "avg_ttl": 0 } },
        "deep": { "a": { "b": { "c": { "d": 1 } } } },
    });
    assert_eq!(
        of(&result, None),
        [
            "  keys_by_db",
            "    db0       12",
            "    db1       3",
            "  keyspace    (2)",
            "         keys  avg_ttl",
            "    db0  12    1.5s",
            "    db1  3     0 ms",
            "  deep",
            "    a",
            "      b",
            "        c     {\"d\":1}",
        ]
    );
}

#[test]
fn lists_are_tables_and_what_is_left_out_is_said() {
    let rows: Vec<_> = (0..23)
        .map(|n| json!({ "id": n, "bytes": 2048, "name": "a rather long name of something" }))
        .collect();
    let lines = of(&json!({ "rows": rows }), None);
    assert_eq!(lines[0], "  rows  (23)");
    assert_eq!(lines[1], "    id  bytes   name");
    assert_eq!(lines[2], "    0   2.0 kB  a rather long name of something");
    assert_eq!(lines.len(), 1 + 1 + 20 + 1);
    assert_eq!(lines[22], "    … 3 more are left out");
    let wide: Map<String, Value> = (0..11).map(|n| (format!("c{n}"), json!(n))).collect();
    let lines = of(&json!({ "rows": [wide] }), None);
    assert_eq!(lines[3], "    … 3 more columns left out");
    let many: Map<String, Value> = (0..50).map(|n| (format!("k{n}"), json!(n))).collect();
    let lines = of(&json!({ "map": many }), None);
    assert_eq!(lines.last().unwrap(), "    … 10 more are left out");
}

#[test]
fn long_texts_are_cut_and_that_is_said() {
    let text = (0..15)
        .map(|n| format!("line {n}\u{1b}[2J\n"))
        .collect::<String>();
    let lines = of(&json!({ "text": text }), None);
    assert_eq!(lines[0], "  text  170 B");
    assert_eq!(lines[1], "    line 0\\x1b[2J");
    assert_eq!(lines[13], "    … 3 more lines left out");
    assert_eq!(lines.len(), 14);
}

#[test]
fn what_moved_is_marked() {
    let before = json!({ "a": 1, "b": { "c": 1 }, "d": [1] });
    let now = json!({ "a": 2, "b": { "c": 1, "e": null }, "d": [1, 2], "f": 1 });
    assert_eq!(
        of(&now, Some(&before)),
        [
            "* a    2",
            "  b",
            "    c  1",
            "    e  -",
            "* d    1, 2",
            "* f    1",
        ]
    );
}

#[test]
fn judgements_and_failures_stand_below() {
    let evidence = |verdict, reason: Option<&str>| Evidence {
        expression: "result.a > 1".into(),
        verdict,
        values: vec![crate::expr::SubValue {
            text: "result.a".into(),
            value: "1".into(),
        }],
        reason: reason.map(str::to_owned),
    };
    let failure = Failure {
        cause: Cause::Unreachable,
        outcome: Outcome::NotApplied,
        message: "target `t`: connection refused".into(),
        hint: Some("is it there?".into()),
    };
    let look = Look {
        head: "redis.stats of t",
        result: None,
        before: None,
        words: &[],
        failure: Some(&failure),
        evidence: &[
            evidence(Verdict::Pass, None),
            evidence(Verdict::Fail, Some("it is false")),
            evidence(Verdict::Inconclusive, Some("there is no `b`")),
        ],
        series: &[
            ("result.a".into(), vec![Some(1.0), None, Some(2.5)]),
            ("result.b".into(), vec![None]),
        ],
    };
    assert_eq!(
        look.parts(&SHEET).lines(),
        [
            "redis.stats of t",
            "  failed        target `t`: connection refused",
            "  hint          is it there?",
            "  pass          result.a > 1",
            "                result.a is 1",
            "  fail          result.a > 1",
            "                result.a is 1",
            "  inconclusive  result.a > 1",
            "                result.a is 1",
            "                there is no `b`",
            "  value         result.a",
            "                ▁ █  2.5 now, 1 to 2.5",
            "  value         result.b",
            "                no number",
        ]
    );
}

#[test]
fn no_line_is_wider_than_the_sheet() {
    let long = "wide ".repeat(80);
    let result = json!({
        long.clone(): long.clone(), "list": [long.clone(), 1, [1, 2]], "漢".repeat(40): 1.5,
        "rows": [{ "a": long.clone(), "b": long.clone() }], "text": format!("{long}\n{long}"),
    });
    for columns in [20, 40, 80, 200] {
        let look = Look {
            head: &long,
            result: Some(&result),
            before: None,
            words: &[],
            failure: None,
            evidence: &[],
            series: &[(long.clone(), vec![Some(1.0); 300])],
        };
        for line in look.parts(&Sheet { columns, ..SHEET }).lines() {
            assert!(
                super::super::text::width(&line) <= columns,
                "{columns}: {line}"
            );
        }
    }
}

#[test]
fn a_small_window_keeps_the_judgements() {
    let parts = |fields: usize| Parts {
        head: "head".into(),
        fields: (0..fields).map(|n| format!("f{n}")).collect(),
        foot: vec!["pass".into()],
    };
    assert_eq!(parts(3).within(5), ["head", "f0", "f1", "f2", "pass"]);
    assert_eq!(
        parts(4).within(5),
        ["head", "f0", "f1", "  … 2 more", "pass"]
    );
    assert_eq!(parts(4).within(2), ["head", "  … 4 more"]);
}
