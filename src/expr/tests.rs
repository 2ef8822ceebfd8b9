//! Tests of the expression language as its callers see it: judgements, values, references, words.

use std::borrow::Cow;
use std::cell::RefCell;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

/// A scope over one JSON map, which notes what it is asked for.
struct World {
    roots: Json,
    asked: RefCell<Vec<(String, Option<String>)>>,
}

impl Scope for World {
    fn value(&self, root: &str, member: Option<&str>) -> Option<Cow<'_, Json>> {
        self.asked
            .borrow_mut()
            .push((root.to_owned(), member.map(str::to_owned)));
        let whole = self.roots.get(root)?;
        match member {
            Some(member) => whole.get(member).map(Cow::Borrowed),
            None => Some(Cow::Borrowed(whole)),
        }
    }

    fn elapsed(&self, phase: &str) -> Option<f64> {
        (phase == "deploy").then_some(5400.25)
    }
}

fn world() -> World {
    World {
        roots: json!({
            "result": {
                "status": 200, "reply": "PONG", "version": "7.0.15", "nothing": null,
                "p95_ms": 12.5, "ten": 10, "used_memory": 209_715_199,
                "rows": [{"data_type": "boolean", "n": 1}, {"data_type": "text", "n": 2}],
                "empty": [], "names": ["a", "b"], "gaps": [1, null], "flag": true,
                "json": {"token": "x"}, "big": 18_446_744_073_709_551_615_u64,
                "stdout": " 0\n", "hits": 0.0, "total": 0.0, "zero": 0
            },
            "inputs": {"strategy": "rolling", "instances": ["1", "2"], "url": "http://h", "none": null},
            "steps": {"cache-keys": {"result": {"bytes": 5}}, "database": {"result": {"bytes": 7}}},
            "item": "one",
            "phase": "deploy"
        }),
        asked: RefCell::default(),
    }
}

fn judge(text: &str) -> Evidence {
    let expr = Expr::compile(text).unwrap_or_else(|e| panic!("`{text}`: {e} {:?}", e.hint));
    expr.judge(&world())
}

fn verdict(text: &str) -> Verdict {
    judge(text).verdict
}

fn reason(text: &str) -> String {
    judge(text).reason.unwrap_or_default()
}

fn value(text: &str) -> Result<Json, String> {
    let expr = Expr::compile(text).unwrap_or_else(|e| panic!("`{text}`: {e} {:?}", e.hint));
    expr.value(&world()).map_err(|error| error.in_full())
}

fn refused(text: &str) -> CompileError {
    Expr::compile(text).expect_err(text)
}

#[test]
fn true_with_all_data_is_a_pass() {
    for text in [
        "result.status == 200",
        "result.reply == \"PONG\" && result.p95_ms < 13",
        "result.used_memory < datasize(\"200mb\")",
        "semver(result.version) >= semver(\"7.0.0\")",
        "semver(result.version) > semver(\"7.0.9\")",
        "result.rows.size() == 2 && result.rows[0].data_type == 'boolean'",
        "has(result.json.token) && !has(result.json.other)",
        "result.flag",
        "result.nothing == null && result.status != null",
        "elapsed(\"deploy\") > duration(\"1h30m\") && elapsed('deploy') < duration('7d')",
        "int(result.stdout.trim()) == 0 && int(trim(result.stdout)) == 0",
        "result.rows.all(r, r.n > 0) && result.rows.exists(r, r.n == 2)",
        "inputs.strategy in [\"rolling\", \"maintenance\"]",
        "'status' in result",
        "steps[\"cache-keys\"].result.bytes == 5",
        "result.p95_ms <= 1.5 * double(result.ten)",
        "result.reply.matches('^P.NG$') && lower(result.reply) == 'pong'",
        "1 == 1.0 && 2 > 1.5 && 1u == 1",
        "result.names == ['a', 'b'] && result.gaps == [1, null]",
        "size(result.empty) == 0 || result.empty.all(x, x > 1)",
        "phase == \"deploy\"",
    ] {
        let evidence = judge(text);
        assert_eq!(
            evidence.verdict,
            Verdict::Pass,
            "{text}: {:?}",
            evidence.reason
        );
        assert_eq!(evidence.reason, None, "{text}");
    }
}

#[test]
fn nothing_passes_by_accident() {
    use Verdict::{Error, Inconclusive};
    for (text, expected) in [
        // kinds that do not go together
        ("\"10\" > 9", Error),
        ("result.version > 7", Error),
        ("result.status > 'a'", Error),
        ("null < 9", Error),
        ("result.status != \"200\"", Error),
        ("!(result.status == \"200\")", Error),
        ("result.names != [1, 2]", Error),
        ("!(1 in result.names)", Error),
        ("!('x' in result.reply)", Error),
        ("semver(result.version) >= \"7\"", Error),
        ("duration('5m') > 200", Error),
        // no bool
        ("result.status", Error),
        ("\"true\"", Error),
        ("1", Error),
        ("result.status && true", Error),
        ("!result.status", Error),
        ("result.rows", Error),
        ("result.nothing", Inconclusive),
        // null
        ("result.nothing < 9", Inconclusive),
        ("result.nothing != 5", Inconclusive),
        ("!(result.nothing == 5)", Inconclusive),
        ("!(result.nothing in [1])", Inconclusive),
        ("result.nothing + 1 > 0", Inconclusive),
        ("size(result.nothing) == 0", Inconclusive),
        ("!has(result.nothing.x)", Inconclusive),
        ("result.nothing.x != 1", Inconclusive),
        ("result.nothing || true", Inconclusive),
        ("!result.gaps.exists(g, g == 7)", Inconclusive),
        // missing
        ("result.missing < 9", Inconclusive),
        ("result.missing != 9", Inconclusive),
        ("!(result.missing == 9)", Inconclusive),
        ("result.missing == 9 || true", Inconclusive),
        ("!(result.missing == 9 && false)", Inconclusive),
        ("result.json.other != 'x'", Inconclusive),
        ("!has(result.other.token)", Inconclusive),
        ("!has(baseline.result)", Inconclusive),
        ("baseline.result.p95_ms < 5.0", Inconclusive),
        ("outputs.x == 1", Inconclusive),
        ("elapsed(\"monitor\") < duration(\"1h\")", Inconclusive),
        // lists
        ("result.empty[0] < 9", Inconclusive),
        ("result.rows[2].n < 9", Inconclusive),
        ("result.rows[-1].n < 9", Inconclusive),
        ("result.empty.all(x, x > 1)", Inconclusive),
        // numbers that are none
        ("result.hits / result.total < 9.0", Inconclusive),
        ("!(result.hits / result.total > 9.0)", Inconclusive),
        ("1.0 / result.total > 0.7", Inconclusive),
        ("1 / result.zero == 0", Inconclusive),
        ("double('NaN') != 1.0", Inconclusive),
        ("!(double('NaN') > 1.0)", Inconclusive),
        ("double('inf') > 1.0", Inconclusive),
        ("[double('NaN')] != [1.0]", Inconclusive),
        ("{1: 2} != {1: 2}", Error),
        // the rest
        ("9223372036854775807 + 1 > 0", Error),
        ("int('abc') != 1", Error),
        ("result.reply.matches('(') || true", Error),
        ("result.reply.x != 1", Error),
        ("result.p95_ms <= 1.5 * result.ten", Error),
    ] {
        let evidence = judge(text);
        assert_eq!(evidence.verdict, expected, "{text}: {:?}", evidence.reason);
        assert!(
            evidence.reason.is_some_and(|r| !r.is_empty()),
            "{text} says why"
        );
    }
}

#[test]
fn false_is_a_fail_that_names_its_part() {
    assert_eq!(
        reason("result.status == 500"),
        "`result.status == 500` is false: `result.status` is 200"
    );
    assert_eq!(
        reason("result.flag && result.reply == 'PONG' && (result.ten > 5 && result.p95_ms < 10)"),
        "`result.p95_ms < 10` is false: `result.p95_ms` is 12.5"
    );
    assert_eq!(reason("!result.flag"), "`!result.flag` is false");
    assert_eq!(verdict("false && result.missing == 1"), Verdict::Fail);
}

#[test]
fn evidence_holds_the_values_that_were_looked_at() {
    let evidence = judge("result.status == 200 && result.p95_ms < 10 && result.reply == 'x'");
    let shown: Vec<_> = evidence
        .values
        .iter()
        .map(|v| (v.text.as_str(), v.value.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("result.status == 200", "true"),
            ("result.status", "200"),
            ("result.p95_ms < 10", "false"),
            ("result.p95_ms", "12.5"),
        ],
        "the third part was not looked at"
    );
    let evidence = judge("result.rows.all(r, r.n < 2)");
    assert_eq!(evidence.verdict, Verdict::Fail);
    assert!(
        evidence.values.contains(&SubValue {
            text: "result.rows[1]".to_owned(),
            value: "{\"data_type\":\"text\",\"n\":2}".to_owned()
        }),
        "{:?}",
        evidence.values
    );
    let evidence = judge("semver(result.version) >= semver('8.0')");
    assert!(
        evidence
            .values
            .iter()
            .any(|v| v.text == "result.version" && v.value == "\"7.0.15\"")
    );
    let json = serde_json::to_string(&evidence).expect("evidence is data");
    assert!(json.contains("\"verdict\":\"fail\""));
    assert_eq!(
        serde_json::from_str::<Evidence>(&json).expect("reads back"),
        evidence
    );
}

#[test]
fn long_values_are_cut_and_it_is_said() {
    let mut world = world();
    world.roots["result"]["body"] = json!("é".repeat(5000));
    let evidence = Expr::compile("result.body == 'x'").unwrap().judge(&world);
    let shown = &evidence.values[0].value;
    assert!(shown.chars().count() < 240, "{shown}");
    assert!(shown.ends_with("… (9603 more bytes)"), "{shown}");
    assert!(evidence.reason.unwrap().len() < 600);
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[test]
fn errors_name_the_thing_and_the_way_out() {
    for (text, expected) in [
        (
            "result.statsu == 1",
            "`result` has no `statsu` (did you mean `status`?)",
        ),
        (
            "inputs.stategy == 'x'",
            "`inputs` has no `stategy` (did you mean `strategy`?)",
        ),
        (
            "result.json.tokn == 'x'",
            "`result.json` has no `tokn` (did you mean `token`?)",
        ),
        (
            "result.json.zzz == 'x'",
            "`result.json` has no `zzz` (it has token)",
        ),
        ("baseline.result == 1", "`baseline` has no value here"),
        (
            "result.empty[0] == 1",
            "`result.empty` is empty, so it has no element 0",
        ),
        (
            "result.rows[7].n == 1",
            "`result.rows` has 2 elements, so none at 7",
        ),
        (
            "result.version > 7",
            "`>` cannot compare `result.version` (string) with `7` (int) (write `int(result.version)`)",
        ),
        (
            "result.p95_ms <= 1.5 * result.ten",
            "`*` cannot combine `1.5` (double) with `result.ten` (int) (ints and doubles do not mix; write `1.5 * double(result.ten)`)",
        ),
        (
            "2 * result.p95_ms < 1.0",
            "`*` cannot combine `2` (int) with `result.p95_ms` (double) (ints and doubles do not mix; write `2.0 * result.p95_ms`)",
        ),
        ("result.nothing > 1", "`result.nothing` is null"),
        (
            "result.status",
            "`result.status` is an int, where true or false is needed (compare it, as in `x == 0`)",
        ),
        (
            "result.reply.x == 1",
            "`result.reply` is a string, which has no member `x`",
        ),
        (
            "result.hits / result.total > 1.0",
            "in `result.hits / result.total` the divisor is zero",
        ),
        (
            "elapsed('monitor') > duration('1h')",
            "phase `monitor` has not started",
        ),
        (
            "'x' in result.reply",
            "`in` cannot compare `'x'` (string) with `result.reply` (string) (write `result.reply.contains('x')`)",
        ),
        (
            "datasize('5') > 1",
            "`datasize('5')`: `5` has no unit (b, kb, mb, gb, tb)",
        ),
        (
            "semver('x') > semver('1')",
            "`semver('x')`: `x` is no version such as `7.0.15`",
        ),
        ("size(5) > 1", "`size` does not take `5` (int)"),
    ] {
        assert_eq!(reason(text), expected, "{text}");
    }
    assert!(reason("int(result.stdout) == 0").ends_with("(write `int(result.stdout.trim())`)"));
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[test]
fn mistakes_in_the_text_have_a_place_and_a_hint() {
    for (text, message, at, hint) in [
        ("", "the expression is empty", 0..0, None),
        (
            "resul.x == 1",
            "unknown name `resul`",
            0..5,
            Some("did you mean `result`?"),
        ),
        (
            "1 + sise(x)",
            "unknown function `sise`",
            4..8,
            Some("did you mean `size`?"),
        ),
        (
            "len(result.x)",
            "unknown function `len`",
            0..3,
            Some("write `size(x)` or `x.size()`"),
        ),
        (
            "result.x = 1",
            "`=` has no meaning here",
            9..10,
            Some("write `==` to compare"),
        ),
        (
            "result.x and true",
            "expected an operator or the end, found `and`",
            9..12,
            Some("write `&&`"),
        ),
        ("(result.x", "this `(` is not closed", 0..1, None),
        (
            "result.x == 'abc",
            "this string is not closed",
            12..13,
            None,
        ),
        (
            "result.x ==",
            "expected a value, found the end",
            11..11,
            None,
        ),
        (
            "elapsed('a') > 5m",
            "`5m` is no number",
            15..17,
            Some("write `duration(\"5m\")`"),
        ),
        (
            "result.x < 200mb",
            "`200mb` is no number",
            11..16,
            Some("write `datasize(\"200mb\")`"),
        ),
        (
            "1 < 2 < 3",
            "comparisons do not chain",
            6..7,
            Some("write `a < b && b < c`, or put one comparison in parentheses"),
        ),
        (
            "contains(result.x)",
            "`contains` is a method",
            0..8,
            Some("write `x.contains(...)`"),
        ),
        (
            "datasize()",
            "`datasize` takes one argument, and 0 stand here",
            0..10,
            None,
        ),
        (
            "has(result)",
            "`has` takes one member, as in `has(result.json.token)`",
            0..11,
            None,
        ),
        (
            "'a\\q'",
            "`\\q` is no escape",
            2..4,
            Some("write `\\\\` for a backslash, or r\"...\" for a string without escapes"),
        ),
        (
            "99999999999999999999",
            "`99999999999999999999` is no whole number that fits 64 bits",
            0..20,
            None,
        ),
        (
            "9223372036854775808",
            "`9223372036854775808` does not fit 64 bits",
            0..19,
            None,
        ),
        ("result.é", "`é` has no meaning here", 7..9, None),
    ] {
        let error = refused(text);
        assert_eq!(error.message, message, "{text}");
        assert_eq!(error.at, at, "{text}");
        assert_eq!(error.hint.as_deref(), hint, "{text}");
    }
    let error = refused("steps.cache-keys.result.bytes > 1");
    assert_eq!(error.message, "unknown name `keys`");
    assert_eq!(
        error.hint.as_deref(),
        Some("a name with a hyphen is written `steps[\"cache-keys\"]`")
    );
}

#[test]
fn references_are_paths_with_places() {
    let text = "steps.database.result.bytes > 1 && has(result.json.token) \
                && result.rows[0].x == inputs[\"a-b\"].c && steps[item].result.y == elapsed('flush') \
                && result.rows.all(r, r.n > run.limit)";
    let expr = Expr::compile(text).unwrap();
    let found: Vec<_> = expr
        .references()
        .iter()
        .map(|r| (r.path.join("/"), &text[r.at.clone().unwrap()], r.tested))
        .collect();
    let expected = [
        (
            "steps/database/result/bytes",
            "steps.database.result.bytes",
            false,
        ),
        ("result/json/token", "result.json.token", true),
        ("result/rows/x", "result.rows[0].x", false),
        ("inputs/a-b/c", "inputs[\"a-b\"].c", false),
        ("steps", "steps[item].result.y", false),
        ("item", "item", false),
        ("phases/flush", "'flush'", false),
        ("result/rows", "result.rows", false),
        ("run/limit", "run.limit", false),
    ];
    let found: Vec<_> = found
        .iter()
        .map(|(p, t, tested)| (p.as_str(), *t, *tested))
        .collect();
    assert_eq!(found, expected);
    assert!(Expr::compile("1 + 1 == 2").unwrap().is_constant());
    assert!(!expr.is_constant());
}

#[test]
fn a_scope_is_asked_only_for_what_is_named() {
    let world = world();
    let expr = Expr::compile("result.status == 200 && steps['database'].result.bytes > result.ten - 9 && result.status < 300").unwrap();
    assert_eq!(expr.judge(&world).verdict, Verdict::Pass);
    let pair = |root: &str, member: &str| (root.to_owned(), Some(member.to_owned()));
    assert_eq!(
        *world.asked.borrow(),
        [
            pair("result", "status"),
            pair("steps", "database"),
            pair("result", "ten")
        ]
    );
}

#[test]
fn integers_of_json_are_ints_and_the_rest_doubles() {
    assert_eq!(value("result.ten + 1"), Ok(json!(11)));
    assert_eq!(value("result.ten - 11"), Ok(json!(-1)));
    assert_eq!(value("result.p95_ms * 2.0"), Ok(json!(25.0)));
    assert_eq!(verdict("result.big > 1"), Verdict::Pass);
    assert_eq!(value("-9223372036854775808"), Ok(json!(i64::MIN)));
}

#[test]
fn values_keep_their_kinds() {
    for (text, expected) in [
        ("result.rows.map(r, r.n)", json!([1, 2])),
        (
            "result.rows.filter(r, r.n > 1).map(r, r.data_type)",
            json!(["text"]),
        ),
        ("result.rows.map(r, r.n > 1, r.n)", json!([2])),
        (
            "{'b': 1, 'a': [true, null]}",
            json!({"a": [true, null], "b": 1}),
        ),
        ("result.flag ? 'yes' : 'no'", json!("yes")),
        ("inputs.instances", json!(["1", "2"])),
        ("inputs.none", json!(null)),
        ("'a' + 'b'", json!("ab")),
        ("inputs.instances + ['3']", json!(["1", "2", "3"])),
        ("duration('90m')", json!("1h30m")),
        ("elapsed('deploy')", json!("1h30m250ms")),
        ("duration('1h') - duration('1m')", json!("59m")),
        (
            "timestamp('2024-01-02T03:04:05Z').getFullYear()",
            json!(2024),
        ),
        ("string(semver('v7.0.15'))", json!("v7.0.15")),
        ("'a,b'.split(',').join('-')", json!("a-b")),
        ("size('äö')", json!(2)),
        ("datasize('1.5kb')", json!(1536)),
        ("result.rows.exists_one(r, r.n == 1)", json!(true)),
        ("[].all(x, x)", json!(true)),
        ("0x1F", json!(31)),
        (r#"'\x41\u00e9\n\101' + r'\n'"#, json!("Aé\nA\\n")),
        ("'''it's'''", json!("it's")),
        ("1 + 2 * 3 - 4 / 2 % 3", json!(5)),
        ("--1", json!(1)),
        ("-result.ten", json!(-10)),
        ("{1: 'a'}[1]", json!("a")),
        ("[1, 2][1]", json!(2)),
        ("true || false && false", json!(true)),
        ("1 // a remark\n + 1", json!(2)),
    ] {
        assert_eq!(value(text), Ok(expected), "{text}");
    }
    assert!(value("1.0e308 * 10.0").unwrap_err().contains("not finite"));
    assert!(value("b'x'").is_err());
    assert!(value("{'a': 1, 'a': 2}").is_err());
}

/// Where ferry gives a value, it is the value that the crate `cel` gives.
#[test]
fn values_are_those_of_cel() {
    for text in [
        "1 + 2 * 3 == 7 ? 'a' : 'b'",
        "(1 + 2) * 3 % 4 - -5",
        "!true || !(1 > 2) && 3 >= 3",
        "[1, 2, 3].map(x, x * 2).filter(x, x > 2)",
        "[[1, 2], [3]].all(l, l.exists(x, x > 1)) ? 1.5e3 : .5",
        "{'a': {'b': [1, 2.5, 'c', null, true]}}['a'].b",
        "'a\\tb\\u00e9' + \"'\" + r'\\d' + '''x'y'''",
        "'abc'.startsWith('a') && 'abc'.endsWith('c') && 'abc'.contains('b') && 'abc'.matches('a.c')",
        "size([1, 2]) + size('äö') + size({'a': 1}) + 'xyz'.size()",
        "int('7') + int(7.9) + int(3u)",
        "string(1) + string(1.5) + string(true)",
        "3 in [1, 2, 3] && 'a' in {'a': 1}",
        "7 / 2 * 2 + 7 % 2 - 0x10",
        "-7 / 2 + -7 % 2",
        "'a-b-c'.split('-') + ['d']",
        "'aXbX'.replace('X', 'y') + 'abc'.substring(1) + 'abc'.charAt(0)",
        "false ? 1 : (true ? 2 : 3)",
        "[1, 2, 2].exists_one(x, x == 1)",
        "timestamp('2024-02-29T00:00:00Z').getDayOfYear()",
    ] {
        let mut env = cel::Env::stdlib();
        env.add_extension(cel::extensions::strings).unwrap();
        let env = Arc::new(env);
        let program = env.compile(text).unwrap();
        let theirs = program
            .execute(&cel::Context::with_env(env))
            .unwrap()
            .json()
            .unwrap();
        assert_eq!(value(text), Ok(theirs), "{text}");
    }
}

#[test]
fn templates() {
    let render = |text: &str| {
        Template::parse(text)
            .unwrap_or_else(|e| panic!("{text}: {e}"))
            .render(&world())
            .map_err(|e| e.in_full())
    };
    for (text, expected) in [
        ("plain", json!("plain")),
        ("", json!("")),
        ("${{ result.ten }}", json!(10)),
        ("${{ inputs.instances }}", json!(["1", "2"])),
        ("${{ inputs.none }}", json!(null)),
        ("n=${{ result.ten }} ", json!("n=10 ")),
        (
            "${{inputs.url}}/x?${{ result.p95_ms }}&${{ result.flag }}",
            json!("http://h/x?12.5&true"),
        ),
        ("${{ {'a': {'b': 1}}['a'] }}", json!({"b": 1})),
        ("${{ '}}' + \"${{\" }}!", json!("}}${{!")),
        (r"${{ r'\' + '\'}}' }}", json!("\\'}}")),
        ("$ { } ${x} }}", json!("$ { } ${x} }}")),
        ("é${{ item }}é", json!("éoneé")),
    ] {
        assert_eq!(render(text), Ok(expected), "{text}");
    }
    assert_eq!(
        render("a ${{ inputs.instances }}").unwrap_err(),
        "`inputs.instances` is a list, which has no place in text (let the hole be the whole value, or take one member of it)"
    );
    assert_eq!(
        render("a ${{ inputs.none }}").unwrap_err(),
        "`inputs.none` is null, which has no place in text"
    );
    let error = Template::parse("é ${{ item }} ${{ inputs.zzz }}")
        .unwrap()
        .render(&world())
        .unwrap_err();
    assert_eq!(error.at, Some(19..29));
}

#[test]
fn templates_say_where() {
    let template = Template::parse("é ${{ item }}/${{  inputs.url }}").unwrap();
    let at: Vec<_> = template
        .references()
        .iter()
        .map(|r| r.at.clone().unwrap())
        .collect();
    assert_eq!(
        at.iter()
            .map(|at| &template.text()[at.clone()])
            .collect::<Vec<_>>(),
        ["item", "inputs.url"]
    );
    assert!(template.whole().is_none() && !template.is_constant());
    assert_eq!(
        Template::parse("${{ item }}")
            .unwrap()
            .whole()
            .unwrap()
            .text(),
        "item"
    );
    assert!(Template::parse("x").unwrap().is_constant());
    for (text, message, at) in [
        ("a ${{ item", "this `${{` is not closed", 2..5),
        ("a ${{ }}", "this `${{ }}` is empty", 2..8),
        ("ab${{ itm }}", "unknown name `itm`", 6..9),
        ("ab${{ '}} ", "this `${{` is not closed", 2..5),
    ] {
        let error = Template::parse(text).unwrap_err();
        assert_eq!((error.message.as_str(), error.at), (message, at), "{text}");
    }
    assert_eq!(find_hole("echo ${{ x }} ${{ y }}"), Some(5..8));
    assert_eq!(find_hole("echo ${x} $x {{ y }}"), None);
}

#[test]
fn hostile_texts_are_refused_in_words() {
    let deep =
        |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    for text in [
        deep("(", ")"),
        deep("[", "]"),
        deep("-", ""),
        deep("1 + ", ""),
    ] {
        let error = refused(&text);
        assert!(
            error.message.contains("bytes long, more than 32768"),
            "{}",
            error.message
        );
    }
    let nested =
        |open: &str, n: usize, close: &str| format!("{}1{}", open.repeat(n), close.repeat(n));
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("size(", ")"),
        ("{1:", "}"),
        ("[1].map(x,", ")"),
        ("true ? 1 : ", ""),
    ] {
        let error = refused(&nested(open, 2_000, close));
        assert_eq!(
            error.message, "the expression is nested more than 32 deep",
            "{open}"
        );
    }
    for text in [
        "1+".repeat(8_000) + "1",
        "!".repeat(30_000) + "true",
        "-".repeat(9_000) + "1.0",
        "item".to_owned() + &".a".repeat(9_000),
        "item".to_owned() + &"[0]".repeat(9_000),
        "''".to_owned() + &".trim()".repeat(4_000),
    ] {
        let error = refused(&text);
        assert!(
            error.message.contains("160 operations deep"),
            "{}",
            error.message
        );
    }
    // long and flat is fine, and what is just allowed is evaluated in the stack of a small thread
    assert_eq!(
        verdict(&format!("{}true", "true && ".repeat(4_000))),
        Verdict::Pass
    );
    let allowed = [
        nested("(", 31, ")"),
        nested("[", 31, "]"),
        nested("[1].map(x, ", 31, ")"),
        nested("true ? 1 : ", 31, ""),
        format!("{}1", "1+".repeat(158)),
        format!("{}true", "!".repeat(158)),
    ];
    let work = move || {
        for text in allowed {
            let expr = Expr::compile(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert!(expr.value(&world()).is_ok(), "{text}");
        }
    };
    std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn work_is_bounded() {
    let mut world = world();
    world.roots["result"]["many"] = Json::from((0..3_000).collect::<Vec<i32>>());
    let text = "result.many.all(a, result.many.all(b, result.many.all(c, a + b + c >= 0)))";
    let evidence = Expr::compile(text).unwrap().judge(&world);
    assert_eq!(evidence.verdict, Verdict::Error);
    assert!(
        evidence
            .reason
            .unwrap()
            .contains("more than 2000000 operations")
    );
}

#[test]
fn expressions_are_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Expr>();
    shared::<Template>();
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn fragment() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "result",
        ".status",
        ".rows",
        "[0]",
        ".nothing",
        ".json",
        "inputs",
        "item",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "?",
        " ",
        "==",
        "!=",
        "<",
        ">=",
        "&&",
        "||",
        "!",
        "-",
        "+",
        "*",
        "/",
        "%",
        " in ",
        "1",
        "0",
        "2.5",
        "7u",
        "'a'",
        "\"b\"",
        "b'c'",
        "null",
        "true",
        "false",
        "has(",
        "size(",
        ".all(x,",
        ".map(x,",
        ".exists(x,",
        "x",
        ".trim()",
        ".matches('a')",
        "duration('1h')",
        "duration('292y')",
        "timestamp('9999-12-31T23:59:59Z')",
        "semver('1.2')",
        "datasize('1kb')",
        "elapsed('deploy')",
        "9223372036854775807",
        "1e308",
        "double('NaN')",
        "string(",
        "int(",
        "bytes(",
        ".substring(1)",
        ".replace('a','b')",
        ".split('')",
        ".charAt(9)",
        "\\",
        "é",
        "'",
        "${{",
        "}}",
        "//",
        "duration('2000000h')",
        "timestamp(0)",
        ".getHours('UTC')",
        ".getMonth()",
        ".join()",
        "uint(",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn no_text_panics(text in prop_oneof![fragment(), any::<String>()]) {
        match Expr::compile(&text) {
            Ok(expr) => {
                let evidence = expr.judge(&world());
                prop_assert_eq!(evidence.verdict == Verdict::Pass, evidence.reason.is_none());
                let _ = expr.value(&world());
            }
            Err(error) => {
                prop_assert!(text.get(error.at.clone()).is_some(), "{:?} {:?}", error, text);
            }
        }
        match Template::parse(&text) {
            Ok(template) => { let _ = template.render(&world()); }
            Err(error) => prop_assert!(text.get(error.at.clone()).is_some(), "{:?} {:?}", error, text),
        }
    }

    #[test]
    fn whole_programs_do_not_panic(
        a in operand(), b in operand(), c in operand(),
        op in prop::sample::select(vec!["+", "-", "*", "/", "%", "<", "==", "!=", "in", ">="]),
        join in prop::sample::select(vec!["==", "!=", "<", "+", "-", "in"]),
    ) {
        let text = format!("({a} {op} {b}) {join} {c}");
        let expr = Expr::compile(&text).map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
        let _ = expr.judge(&world());
        let _ = expr.value(&world());
    }
}

fn operand() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "1",
        "-9223372036854775808",
        "-1",
        "0",
        "0.0",
        "1e308",
        "-1.5",
        "7u",
        "0u",
        "'a'",
        "''",
        "b''",
        "null",
        "true",
        "[]",
        "[1, 'a']",
        "{}",
        "{'a': 1}",
        "duration('2000000h')",
        "duration('-2000000h')",
        "duration('1ns')",
        "timestamp('9999-12-31T23:59:59Z')",
        "timestamp('0001-01-01T00:00:00Z')",
        "semver('1.2')",
        "result.nothing",
        "result.big",
        "result.rows",
        "result.missing",
        "double('NaN')",
        "int('9')",
        "string(1.5)",
        "bytes('x')",
        "uint(3)",
        "elapsed('deploy')",
        "item",
        "result.json",
    ])
}
