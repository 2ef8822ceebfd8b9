//! The runbooks of this package, rehearsed against the live demo world: what is said of them, and the
//! proof that the world is as it was.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::demo::{DemoWorld, assert_ok};
use crate::support::still::{self, Redis};

/// Files of the world that its own processes write while they answer.
const LIVING: &[&str] = &["logs", "run/", "redis/"];

fn rehearse(world: &DemoWorld, state: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ferry"))
        .arg("rehearse")
        .args(args)
        .arg("--state-dir")
        .arg(state)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("FERRY_STATE_DIR")
        .envs(&world.env)
        .output()
        .expect("ferry starts")
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// The words of a walk by step.
fn words(lines: &[Value], walk: u64) -> BTreeMap<String, String> {
    let steps = lines
        .iter()
        .filter(|line| line["event"] == "step" && line["walk"] == walk);
    let word = |line: &Value| {
        let word = line["word"].as_str().unwrap().to_owned();
        (line["step"].as_str().unwrap().to_owned(), word)
    };
    steps.map(word).collect()
}

/// Everything of the world that a change would show in.
fn proof(world: &DemoWorld) -> (Value, BTreeMap<String, String>, Redis) {
    let url = &world.env["REDIS_URL"];
    let tree = still::tree(&world.path(""), LIVING);
    (world.digest(), tree, Redis::of(url, &[0, 1, 2, 15]))
}

#[test]
fn every_runbook_is_rehearsed_and_nothing_changes() {
    let world = DemoWorld::up(2);
    let state = tempfile::tempdir().unwrap();
    let nowhere = state.path().join("state");
    let url = &world.env["REDIS_URL"];
    let names = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".yaml")).collect();
    names.sort();
    // code, and the share of steps that were read or simulated exactly
    let expected = [
        ("cache-flush.yaml", 0, 91),
        ("hybrid-cache.yaml", 18, 22),
        ("redis-health.yaml", 18, 75),
        ("redis-memory.yaml", 18, 66),
        ("schema-change.yaml", 18, 71),
    ];
    assert_eq!(names, expected.map(|(name, ..)| name), "each is named here");
    let before = proof(&world);
    for (name, code, fidelity) in expected {
        let calls = still::calls(url);
        let path = format!("runbooks/{name}");
        for json in [false, true] {
            let args: &[&str] = if json { &["--json", &path] } else { &[&path] };
            let output = rehearse(&world, &nowhere, args);
            let text = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(code), "{name}: {text}");
            assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{name}");
            if json {
                let end = lines(&output).pop().unwrap();
                assert_eq!(
                    (&end["event"], end["code"].as_i64()),
                    (&"end".into(), Some(code.into()))
                );
                assert_eq!(end["fidelity_percent"], fidelity, "{name}: {end}");
                assert_eq!(end["problem_list"], Value::Array(Vec::new()), "{name}");
            } else {
                assert!(
                    text.contains(&format!("\nfidelity: {fidelity} % (")),
                    "{text}"
                );
                let wide = text.lines().find(|line| line.chars().count() > 80);
                assert_eq!(wide, None, "{name}");
                assert!(!text.contains('\x1b'), "no colour for a pipe");
            }
            for secret in ["testpass", "testuser", world.env["DATABASE_URL"].as_str()] {
                assert!(!text.contains(secret), "{name} shows `{secret}`: {text}");
            }
        }
        let called = still::called(&calls, &still::calls(url));
        still::all_read(url, &called);
        assert!(
            called.contains("dbsize")
                || called.contains("config|get")
                || name == "redis-health.yaml" && called.contains("info")
                || name.starts_with("schema"),
            "{name}: {called:?}"
        );
        assert!(!nowhere.exists(), "{name} made a state directory");
        let after = proof(&world);
        assert_eq!(after, before, "{name}");
    }
    let told = world.path("notifications.jsonl");
    assert!(!told.exists(), "nobody was told anything");
}

/// What the first walk says of steps of the migration.
const WORDS: &[(&str, &str)] = &[
    ("redis-answers", "read"),
    ("healthy-before", "read"),
    ("checklist-is-complete", "not_verified"),
    ("redis-takes-writes", "simulated"),
    ("settings", "simulated"),
    ("flush-cache", "simulated"),
    ("apply-0022", "not_verified"),
    // it reads what the migration would make
    ("column-exists", "not_verified"),
    ("announce", "left_out"),
    ("login", "simulated"),
    ("restore-database", "left_out"),
    ("app-answers", "read"),
    ("state-is-as-before", "read"),
    ("tell-the-team", "simulated"),
];

#[test]
fn the_migration_is_walked_both_ways_and_its_way_back_too() {
    let world = DemoWorld::up(1);
    let state = tempfile::tempdir().unwrap();
    let output = rehearse(
        &world,
        state.path(),
        &["--json", "runbooks/hybrid-cache.yaml"],
    );
    let lines = lines(&output);
    let walks: Vec<_> = lines
        .iter()
        .filter(|line| line["event"] == "walk")
        .collect();
    let choices = |walk: &&Value| {
        let of = |name: &str| walk["choices"][name].as_str().unwrap().to_owned();
        (of("strategy"), of("database_undo"))
    };
    let choices: Vec<_> = walks.iter().map(choices).collect();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        choices[0],
        pair("rolling", "migrate"),
        "the defaults come first"
    );
    assert_eq!(choices.len(), 4);
    let (first, second) = (words(&lines, 1), words(&lines, 2));
    for (step, word) in WORDS {
        assert_eq!(first[*step], *word, "{step}");
    }
    assert_eq!(
        (second["announce"].as_str(), second["restart"].as_str()),
        ("simulated", "left_out")
    );
    let flush = lines
        .iter()
        .find(|line| line["step"] == "flush-cache")
        .unwrap();
    assert_eq!(flush["result"]["keys"], 322);
    assert_eq!(
        flush["not_judged"],
        serde_json::json!(["result.keys_after == 0"])
    );
    let end = lines.last().unwrap();
    // people are asked when the run is attended, the new cache is watched for a day when that is asked
    // for, and neither is a choice to be walked
    let unreached = [
        "pre-migration-sign-off",
        "walk-through",
        "first-day",
        "log-stays-clean",
    ];
    assert_eq!(end["unreached"], serde_json::json!(unreached));

    let given = rehearse(
        &world,
        state.path(),
        &[
            "runbooks/hybrid-cache.yaml",
            "--input",
            "strategy=rolling",
            "--input",
            "database_undo=migrate",
        ],
    );
    let text = String::from_utf8_lossy(&given.stdout);
    assert!(!text.contains("walk 2"), "what was given is not varied");
    assert!(
        text.contains("\nreached by no walk (16):\n  - pre-migration-sign-off\n"),
        "{text}"
    );
    assert_eq!(given.status.code(), Some(18));
}

#[test]
fn with_commands_allowed_those_that_only_read_run_and_the_world_is_as_it_was() {
    let world = DemoWorld::up(1);
    let state = tempfile::tempdir().unwrap();
    let before = world.digest();
    let output = rehearse(
        &world,
        state.path(),
        &["--json", "--allow-shell", "runbooks/hybrid-cache.yaml"],
    );
    let lines = lines(&output);
    let first = words(&lines, 1);
    assert_eq!(first["checklist-is-complete"], "read");
    assert_eq!(first["old-backend-is-in-use"], "read");
    assert_eq!(first["review-sql"], "read");
    for changing in ["apply-0022", "switch-settings", "restart", "stop-app"] {
        assert_eq!(first[changing], "not_verified", "{changing}");
    }
    assert_eq!(world.digest(), before);
    assert_ok(&world.ops("print-backend", &[]));
}
