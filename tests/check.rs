//! `ferry check`: each mistake in full, hostile files, the schema, the table of codes.
//!
//! `tests/check/*.yaml` are the runbooks; beside each stands what is said of it, word for word.
//! `FERRY_BLESS=1` writes these files anew; what it wrote is then read by a person.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferry::action::Registry;
use ferry::runbook::{self, schema};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::check::{Checked, check, check_within};
use crate::support::ferry::Ferry;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares with a kept text, or keeps it anew.
fn golden(path: &Path, said: &str) -> Result<(), String> {
    if std::env::var_os("FERRY_BLESS").is_some() {
        fs::write(path, said).unwrap();
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    if kept == said {
        return Ok(());
    }
    Err(format!(
        "--- {} has\n{kept}\n--- said is\n{said}",
        path.display()
    ))
}

#[test]
fn every_mistake_is_told_word_for_word() {
    let dir = root().join("tests/check");
    let mut cases: Vec<PathBuf> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    cases.sort();
    assert!(cases.len() >= 25, "only {} runbooks", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let said = check(&dir, &[name]);
        wrong.extend(golden(&case.with_extension("out"), &said.all()).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn json_says_the_same_on_lines() {
    let dir = root().join("tests/check");
    let said = check(&dir, &["--json", "types.yaml", "lints.yaml", "good.yaml"]);
    golden(&dir.join("json.out"), &said.all()).unwrap_or_else(|wrong| panic!("{wrong}"));
    for line in said.stdout.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(value["line"].as_u64() >= Some(1), "{line}");
    }
}

#[test]
fn strict_makes_lints_count() {
    let dir = root().join("tests/check");
    assert_eq!(check(&dir, &["lints.yaml"]).code, 0);
    assert_eq!(check(&dir, &["--strict", "lints.yaml"]).code, 65);
    assert_eq!(check(&dir, &["--strict", "good.yaml"]).code, 0);
}

const GOOD: &str = "runbook: t\nphases:\n  one:\n    steps:\n      - shell: x\n";

#[expect(clippy::too_many_lines, reason = "a table")]
/// Texts that are to be refused quickly and in little memory, with the first words of the answer.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for n in 1..12 {
        let uses = vec![format!("*a{}", n - 1); 9].join(", ");
        laughs += &format!("a{n}: &a{n} [{uses}]\n");
    }
    let quadratic = format!(
        "a: &a [{}x]\nb: [{}*a]\n",
        "x,".repeat(90_000),
        "*a,".repeat(900)
    );
    let merges: String = (0..5_000).map(|n| format!("b{n}:\n  <<: *a\n")).collect();
    let utf16: Vec<u8> = std::iter::once(0xfeff_u16)
        .chain(GOOD.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let deep = "nested deeper than 64 levels";
    vec![
        ("laughs", laughs.into(), "anchors and aliases multiply"),
        (
            "quadratic",
            quadratic.into(),
            "anchors and aliases multiply",
        ),
        (
            "self",
            b"a: &a [*a]\n".to_vec(),
            "an alias inside its own anchor",
        ),
        (
            "merges",
            format!("a: &a {{x: 1}}\n{merges}").into(),
            "more than 1000 aliases",
        ),
        (
            "anchors",
            format!("{}{}", "[&a ".repeat(60), "x,".repeat(90_000)).into(),
            "not valid YAML",
        ),
        ("brackets", "[".repeat(100_000).into(), deep),
        ("indents", "- ".repeat(100_000).into(), deep),
        ("braces", "{a: ".repeat(100_000).into(), deep),
        ("questions", "? ".repeat(100_000).into(), deep),
        ("utf16", utf16, "the file is UTF-16"),
        (
            "latin1",
            [GOOD.as_bytes(), b"# caf\xe9\n"].concat(),
            "byte 59 is not UTF-8",
        ),
        (
            "nul",
            [GOOD.as_bytes(), b"\0"].concat(),
            "a NUL byte at offset 54",
        ),
        (
            "twice",
            format!("{GOOD}---\n{GOOD}").into(),
            "a second document in one file",
        ),
        ("empty", Vec::new(), "the file holds no runbook"),
        (
            "parentheses",
            format!("{GOOD}        when: {}\n", "(".repeat(20_000)).into(),
            "the expression is nested",
        ),
        (
            "sum",
            format!("{GOOD}        when: {}1\n", "1+".repeat(10_000)).into(),
            "the expression is more than",
        ),
        (
            "hole",
            format!("runbook: ${{{{ {}\n", "(".repeat(30_000)).into(),
            "`${{ ",
        ),
        (
            "long",
            "x".repeat(4_000_000).into(),
            "the runbook must be a mapping",
        ),
    ]
}

#[test]
fn hostile_files_are_refused_quickly_and_in_little_memory() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes, wanted) in hostile() {
        fs::write(dir.path().join(name), bytes).unwrap();
        let said = check_within(128, dir.path(), &[name]);
        assert_eq!(said.code, 65, "{name}: {}", said.all());
        assert!(said.stderr.contains(wanted), "{name}: {}", said.all());
        assert!(
            said.stderr.len() < 10_000_000,
            "{name}: {} bytes",
            said.stderr.len()
        );
        // a debug build is an order of magnitude slower than what is promised
        let most = if cfg!(debug_assertions) { 10 } else { 1 };
        assert!(
            said.took < Duration::from_secs(most),
            "{name}: {:?}",
            said.took
        );
    }
}

#[test]
fn what_is_no_file_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in ["pipe", ".", "/dev/zero", "/dev/null"] {
        let said = check(dir.path(), &[path]);
        let wanted = format!("error: the runbook `{path}` is not a regular file\nexit code 66\n");
        assert_eq!(said.all(), wanted);
    }
    let said = check(dir.path(), &["nope.yaml"]);
    let wanted =
        "error: the runbook `nope.yaml` cannot be read: there is no such file\nexit code 66\n";
    assert_eq!(said.all(), wanted);
    let said = check(dir.path(), &["-"]);
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (65, "-: 1 mistake, no lints\n")
    );
}

/// A runbook of many phases: `needs` gives what each needs.
fn phases(count: usize, needs: impl Fn(usize) -> Vec<usize>) -> String {
    let mut text = String::from("runbook: big\nphases:\n");
    for n in 0..count {
        let names: Vec<_> = needs(n).iter().map(|need| format!("p{need}")).collect();
        text += &format!(
            "  p{n}: {{ needs: [{}], steps: [{{ id: s{n}, wait: 1s }}] }}\n",
            names.join(", ")
        );
    }
    text
}

#[test]
fn size_alone_is_no_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let chain = phases(10_000, |n| n.checked_sub(1).into_iter().collect());
    let fan = phases(10_002, |n| match n {
        0 => Vec::new(),
        10_001 => (1..=10_000).collect(),
        _ => vec![0],
    });
    let mut steps = String::from("runbook: big\nphases:\n  p:\n    steps:\n");
    for n in 0..100_000 {
        steps += &format!("    - {{ id: s{n}, wait: 1s }}\n");
    }
    for (name, text) in [("chain", chain), ("fan", fan), ("steps", steps)] {
        fs::write(dir.path().join(name), text).unwrap();
        let said = check_within(512, dir.path(), &[name]);
        assert_eq!(said.code, 0, "{name}: {}", said.all());
        let most = if cfg!(debug_assertions) { 60 } else { 5 };
        assert!(
            said.took < Duration::from_secs(most),
            "{name}: {:?}",
            said.took
        );
    }
}

#[test]
fn too_many_steps_are_refused() {
    let mut text = String::from("runbook: big\nphases:\n  p:\n    steps:\n");
    for _ in 0..100_001 {
        text += "    - wait: 1s\n";
    }
    let read = runbook::read(&text, &Registry::all().catalog());
    let said: Vec<_> = read
        .diagnostics
        .iter()
        .map(|d| (d.code, d.message.as_str()))
        .collect();
    assert_eq!(said, [("F003", "more than 100000 steps in one runbook")]);
}

#[test]
fn ten_thousand_mistakes_are_told_in_reasonable_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::from("runbook: t\nphases:\n  a:\n    steps:\n");
    for n in 0..10_000 {
        text += &format!(
            "    - id: step{n}\n      wait: 1s\n      when: steps.stepp{n}.status == \"x\"\n      tiemout: 3\n"
        );
    }
    fs::write(dir.path().join("many"), text).unwrap();
    let said: Checked = check(dir.path(), &["many"]);
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (65, "many: 20000 mistakes, no lints\n")
    );
    let most = if cfg!(debug_assertions) { 60 } else { 5 };
    assert!(said.took < Duration::from_secs(most), "{:?}", said.took);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_it_panic(text in "([a-z]{1,6}|[:\\-\\[\\]{}&*!|>'\"#%@`?, \n]|\n {1,6}|: |- |\\$\\{\\{|\\}\\}|<<|é|\u{202e}|\t){0,80}") {
        let _ = runbook::read(&text, &Registry::all().catalog());
    }

    #[test]
    fn no_mutation_of_a_runbook_makes_it_panic(
        cuts in proptest::collection::vec((0.0_f64..1.0, 0_usize..12, "[a-z:\\-\\[\\]{}&*!|>'\" \n$0-9.]{0,6}"), 1..4),
    ) {
        let mut text: Vec<char> = SAMPLE.chars().collect();
        for (place, length, put) in cuts {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short text")]
            let start = (place * text.len() as f64) as usize;
            let end = (start + length).min(text.len());
            text.splice(start..end, put.chars());
        }
        let text: String = text.into_iter().collect();
        let read = runbook::read(&text, &Registry::all().catalog());
        let dir = root();
        let source = runbook::Source { name: dir.display().to_string(), text };
        let excerpts = runbook::Excerpts::new(&source);
        for found in &read.diagnostics {
            prop_assert!(!excerpts.render(found, false).is_empty());
        }
        prop_assert_eq!(read.runbook.is_none(), read.diagnostics.iter().any(|d| d.code.starts_with('F')));
    }
}

/// A runbook that uses every key.
const SAMPLE: &str = r#"
runbook: sample
title: Everything
version: 1.0
description: all keys
window: { total: 1h, downtime: 5m, rollback: 15m }
max_parallel: 4
people: { lead: { title: Lead } }
inputs:
  who: { type: text, env: WHO, default: me, choices: [me, you], description: who it is }
  word: { env: WORD, secret: true }
targets:
  cache: { redis: "redis://127.0.0.1:1", db: 2 }
  db: { sqlite: x.db }
  app: { http: "http://127.0.0.1:1" }
locks: [one]
snapshots:
  env: { env: [PATH] }
  cache: { redis.stats: {}, target: cache }
  out: { shell: date, read_only: true }
thresholds:
  cache: { hit_rate: { healthy: ">= 0.8", critical: "< 0.6" }, memory_share: { warning: "> 0.7", critical: "> 0.85" } }
guards:
  up:
    title: It answers
    during: [first, second]
    http: GET /health
    target: app
    expect: result.status == 200
    warn: result.total_ms < 2 * baseline.result.total_ms
    baseline: { samples: 3, every: 1s }
    every: 5s
    initial_delay: 1s
    failure_limit: 2
    consecutive_failures: 3
    inconclusive_limit: 4
    consecutive_errors: 4
    coverage: 0.9
    timeout: 2s
    unreachable: fail
    median_of: 3
    unless: phase == "second"
    then: rollback
    when_blind: pause
    interrupt: true
    measures: downtime
  full: { during: first, redis.stats: {}, target: cache, thresholds: cache, every: 30s, then: notify }
phases:
  first:
    title: First
    estimate: 5m
    parallel: 3
    steps:
      - id: settings
        file.backup: { files: [a.py], root: . }
      - id: keys
        redis.backup: { to: "${{ run.dir }}/x.dump" }
        target: cache
  second:
    needs: [first]
    when: inputs.who == "me"
    steps:
      - id: work
        title: The work
        when: inputs.who != "you"
        shell: work "$WHO"
        env: { WHO: "${{ inputs.who }}" }
        cwd: ${{ run.dir }}
        timeout: 5m
        estimate: 1m
        retry: { limit: 3, backoff: 1s, max_backoff: 1m, factor: 2, on: [unreachable, timeout] }
        expect:
          - result.exit_code == 0
          - outputs.bench.rate > 0.5
        outputs: { bench: { json: bench.json }, log: { text: log.txt }, code: result.exit_code }
        done_when: { sql: select 1 as done, target: db, expect: "result.rows[0].done == 1" }
        then_wait: { http: GET /health, target: app, expect: result.status == 200, every: 1s, within: 60s }
        requires_backup: { step: settings, younger_than: 1h }
        tolerate: false
        undo:
          - shell: unwork
          - file.restore: { from: settings }
      - id: each
        for_each: [a, b]
        parallel: 2
        shell: { argv: [echo, "${{ item }}"] }
        read_only: true
      - id: flush
        redis.flush: { db: 2, confirm: { role: master } }
        target: cache
        requires_backup: { step: keys }
        idempotent: true
        undo: auto
      - id: watched
        redis.stats: {}
        target: cache
        watch: { every: 1m, for: 24h, failure_limit: 2, coverage: 0.5 }
        thresholds: [cache]
        bands: [{ from: 5m, expect: result.keys >= 50 }, { from: 24h, expect: [result.keys >= 500, result.hit_rate >= 0.5] }]
        trend: { keys: rising, used_memory: { is: not_rising, tolerance: 0.1 } }
        warn: result.used_memory <= 2 * baseline.result.used_memory
      - { redis: PING, target: cache, expect: result.reply == "PONG", watch: { every: 1s, within: 1m, consecutive_successes: 2 } }
      - { redis: PING, target: cache, expect: result.reply == "PONG", watch: { every: 1s, count: 10 }, thresholds: { latency_ms: { critical: "> 10" } } }
      - wait: { http: GET /health, target: app, expect: result.ok, within: 1m }
      - wait: 5s
      - wait: { for: 1s }
      - { http: { post: /x, json: { word: "${{ inputs.word }}" } }, target: app, undo: none, idempotent: true }
rollback:
  decide_within: { after: second, for: 30m }
  first: [{ shell: stop }]
  last: [{ shell: start }]
  verify: [{ snapshot_equals: { names: [cache] } }]
  notify: [{ notify: { webhook: "http://127.0.0.1:1/x", text: "${{ run.failure.summary }}" } }]
sign_off: { before: [lead] }
troubleshooting: []
"#;

#[test]
fn the_sample_is_good_and_fits_the_schema() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("sample.yaml"), SAMPLE).unwrap();
    let said = check(dir.path(), &["sample.yaml"]);
    assert_eq!(said.code, 0, "{}", said.all());
    let catalog = Registry::all().catalog();
    let schema = schema::of(&catalog);
    let meaning: Value = serde_json::from_str(&runbook::read(SAMPLE, &catalog).meaning).unwrap();
    fits(&schema, &schema, &meaning, "").unwrap_or_else(|wrong| panic!("{wrong}"));
    // and it is no schema that takes anything
    for (pointer, value) in [
        ("/phases/second/steps/0/tiemout", json!("3s")),
        ("/phases/second/steps/0/redis", json!("PING")),
        ("/window/totl", json!("3s")),
        ("/inputs/who/secret", json!("yes")),
        ("/guards/up/fro", json!("5m")),
        ("/guards/up/then", json!("stop")),
        ("/guards/up/bands", json!([])),
        ("/phases/second/steps/3/watch/count", json!(5)),
        ("/phases/second/steps/3/trend/keys", json!("up")),
        ("/thresholds/cache/hit_rate/critcal", json!("< 0.5")),
    ] {
        let mut broken = meaning.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        broken.pointer_mut(parent).unwrap()[key] = value;
        assert!(fits(&schema, &schema, &broken, "").is_err(), "{pointer}");
    }
}

/// As much of JSON Schema as the runbook's uses, but for patterns and formats.
fn fits(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = root
            .pointer(&reference[1..])
            .ok_or_else(|| format!("no {reference}"))?;
        fits(root, target, value, at)?;
    }
    for (keyword, exactly) in [("anyOf", false), ("oneOf", true)] {
        if let Some(options) = schema[keyword].as_array() {
            let tried: Vec<_> = options
                .iter()
                .map(|option| fits(root, option, value, at))
                .collect();
            let good = tried.iter().filter(|tried| tried.is_ok()).count();
            if good == 0 || (exactly && good > 1) {
                let why: Vec<_> = tried.into_iter().filter_map(Result::err).collect();
                return Err(format!("{at}: {good} of {keyword}: {}", why.join("; ")));
            }
        }
    }
    fits_type(schema, value, at)?;
    let one_of = schema["enum"].as_array();
    if one_of.is_some_and(|choices| !choices.contains(value))
        || schema.get("const").is_some_and(|only| only != value)
    {
        return Err(format!("{at}: {value} is not one of the values"));
    }
    for key in schema["required"].as_array().into_iter().flatten() {
        if value.is_object() && value.get(key.as_str().unwrap()).is_none() {
            return Err(format!("{at}: no {key}"));
        }
    }
    for (key, below) in value.as_object().into_iter().flatten() {
        let at = format!("{at}/{key}");
        match (
            schema["properties"].get(key),
            &schema["additionalProperties"],
        ) {
            (Some(known), _) => fits(root, known, below, &at)?,
            (None, Value::Bool(false)) => return Err(format!("{at}: not known")),
            (None, more @ Value::Object(_)) => fits(root, more, below, &at)?,
            _ => {}
        }
    }
    if schema["items"].is_object() {
        for (n, item) in value.as_array().into_iter().flatten().enumerate() {
            fits(root, &schema["items"], item, &format!("{at}/{n}"))?;
        }
    }
    Ok(())
}

fn fits_type(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let is = |name: &Value| match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    };
    let good = match &schema["type"] {
        Value::Null => true,
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    };
    if good {
        Ok(())
    } else {
        Err(format!("{at}: {value} is no {}", schema["type"]))
    }
}

/// The keys that the reader names when it meets one that it does not know.
fn known_at(text: &str) -> BTreeSet<String> {
    let catalog = Registry::all().catalog();
    let read = runbook::read(text, &catalog);
    let found = read
        .diagnostics
        .iter()
        .find(|d| d.code == "F010" && d.message.contains("zzzzzzzz"))
        .unwrap_or_else(|| panic!("{text}: {:?}", read.diagnostics));
    let help = found.help[0].strip_prefix("known here: ").unwrap();
    help.split(", ")
        .map(|key| key.trim_matches('`').to_owned())
        .collect()
}

#[test]
fn the_reader_and_the_schema_know_the_same_keys() {
    let catalog = Registry::all().catalog();
    let schema = schema::of(&catalog);
    let step = |inner: &str| {
        format!("runbook: t\nphases: {{ p: {{ steps: [{{ shell: x, {inner} }}] }} }}\n")
    };
    let z = "zzzzzzzz: 1";
    let places = [
        ("", format!("{z}\nrunbook: t\n")),
        ("/properties/window", format!("window: {{ {z} }}\n")),
        ("/$defs/input", format!("inputs: {{ a: {{ {z} }} }}\n")),
        ("/$defs/phase", format!("phases: {{ a: {{ {z} }} }}\n")),
        ("/$defs/rollback", format!("rollback: {{ {z} }}\n")),
        (
            "/$defs/snapshot",
            format!("snapshots: {{ a: {{ {z} }} }}\n"),
        ),
        ("/$defs/step", step(z)),
        ("/$defs/guard", format!("guards: {{ a: {{ {z} }} }}\n")),
        ("/$defs/probe", step(&format!("done_when: {{ {z} }}"))),
        ("/$defs/poll", step(&format!("then_wait: {{ {z} }}"))),
        ("/$defs/retry", step(&format!("retry: {{ {z} }}"))),
        ("/$defs/watch", step(&format!("watch: {{ {z} }}"))),
        ("/$defs/bands/items", step(&format!("bands: [{{ {z} }}]"))),
        ("/$defs/baseline", step(&format!("baseline: {{ {z} }}"))),
        (
            "/$defs/table/additionalProperties",
            format!("thresholds: {{ t: {{ keys: {{ {z} }} }} }}\n"),
        ),
        (
            "/$defs/trend/additionalProperties/anyOf/1",
            step(&format!("trend: {{ keys: {{ {z} }} }}")),
        ),
        (
            "/$defs/rollback/properties/decide_within/anyOf/1",
            format!("rollback: {{ decide_within: {{ {z} }} }}\n"),
        ),
        (
            "/$defs/step/properties/requires_backup",
            step(&format!("requires_backup: {{ {z} }}")),
        ),
        (
            "/$defs/step/properties/outputs/additionalProperties/anyOf/1",
            step(&format!("outputs: {{ a: {{ {z} }} }}")),
        ),
    ];
    for (pointer, text) in places {
        let properties = schema.pointer(pointer).unwrap()["properties"]
            .as_object()
            .unwrap();
        let here = known_at(&text);
        // an action's key is not one of those around it
        let action = |key: &str| catalog.get(key).is_some() && !here.contains(key);
        let there: BTreeSet<String> = properties
            .keys()
            .filter(|key| !action(key))
            .cloned()
            .collect();
        assert_eq!(here, there, "{pointer}");
    }
}

#[test]
fn the_schema_is_current() {
    let path = root().join("runbooks/ferry.schema.json");
    let schema = schema::of(&Registry::all().catalog());
    let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
    if std::env::var_os("FERRY_BLESS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "the schema is out of date: `ferry schema > runbooks/ferry.schema.json`"
    );
}

#[test]
fn every_code_is_in_the_table_and_every_row_has_a_code() {
    let table = fs::read_to_string(root().join("docs/diagnostics.md")).unwrap();
    let rows: BTreeSet<String> = table
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    let mut used = BTreeSet::new();
    let mut folders = vec![root().join("src/runbook")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(path).unwrap();
            let quoted = text.split('"').filter(|part| is_code(part));
            used.extend(quoted.map(str::to_owned));
        }
    }
    assert!(used.len() > 30, "{used:?}");
    assert_eq!(rows, used);
}

fn is_code(text: &str) -> bool {
    text.len() == 4
        && text.starts_with(['F', 'L'])
        && text.bytes().skip(1).all(|byte| byte.is_ascii_digit())
}

// D03

#[test]
fn an_error_says_nothing_that_a_terminal_would_obey() {
    for command in ["check", "plan", "run"] {
        let ran = Ferry::new()
            .command(&[command, "nowhere\x1b]0;pwn\x07\x1b[2J.html"])
            .run();
        assert_ne!(ran.code, 0);
        assert!(ran.stderr.contains("nowhere"), "{}", ran.stderr);
        assert!(!ran.stderr.contains(['\x1b', '\x07']), "{:?}", ran.stderr);
    }
}
