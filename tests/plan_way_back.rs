//! `ferry plan` before and after runs: the way back and its coverage, saved plans, the calendar
//! window, and when a run ends.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use ferry::event::{EventKind, Planned, RunEvent, StartRule};
use ferry::view::RunView;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::ferry::{Ferry, Ran};

/// A runbook whose last step fails, so that `write` is taken back; `undo` is its undo, and `more`
/// stands before the phases.
fn failing(undo: &str, more: &str) -> String {
    format!(
        "
        runbook: demo
        {more}
        phases:
          write:
            steps:
              - {{ id: write, shell: echo in >> ledger, {undo} }}
              - {{ id: copy, shell: echo copy >> ledger, undo: [{{ shell: echo un-copy >> ledger, estimate: 30s }}] }}
          check:
            needs: [write]
            steps: [{{ id: broken, shell: exit 1, read_only: true }}]
        rollback:
          verify: [{{ id: proven, shell: grep -q out ledger, read_only: true }}]
        "
    )
}

const UNDO: &str = "undo: [{ shell: echo out >> ledger; sleep 0.05 }]";

fn plan(dir: &Arc<TempDir>, args: &[&str]) -> Ran {
    let words = [&["plan", "runbook.yaml"], args].concat();
    Ferry::again(dir).command(&words).run()
}

fn way_back(dir: &Arc<TempDir>) -> Value {
    let ran = plan(dir, &["--json"]).success();
    let plan: Value = serde_json::from_str(&ran.stdout).unwrap();
    plan["way_back"].clone()
}

fn step<'a>(way_back: &'a Value, id: &str) -> &'a Value {
    let steps = way_back["steps"].as_array().unwrap();
    steps.iter().find(|step| step["id"] == id).unwrap()
}

fn planned(ran: &Ran) -> &Planned {
    match ran.journal.first().map(|event| &event.kind) {
        Some(EventKind::Run(RunEvent::Planned(planned))) => planned,
        _ => panic!("no run was started; {}", ran.all()),
    }
}

#[test]
fn an_undo_that_ran_is_seen_in_the_plan_until_its_step_changes() {
    let ferry = Ferry::new().runbook(&failing(UNDO, ""));
    let dir = ferry.start();
    let shared = dir.shared();
    dir.wait().code(11);
    let back = way_back(&shared);
    assert_eq!(back["runs_looked_at"], 1);
    let write = step(&back, "write");
    assert_eq!(write["undo"], "written");
    assert_eq!(write["exercised"]["changed_since"], false);
    assert!(
        write["exercised"]["run"]
            .as_str()
            .unwrap()
            .starts_with("demo-")
    );
    let took = write["takes_ms"].as_u64().unwrap();
    assert!((50..30_000).contains(&took), "{took}");
    assert_eq!(write["known_by"], "measured");
    assert_eq!(back["coverage"]["covered_percent"], 100);
    assert_eq!(back["coverage"]["exercised_percent"], 100);
    // both undos and the proof were measured
    let after = &back["after_phase"][1];
    assert_eq!(
        (&after["phase"], &after["measured"], &after["at_least"]),
        (&json!("check"), &json!(3), &json!(false))
    );

    let other = failing("undo: [{ shell: echo out >> ledger; true }]", "");
    Ferry::again(&shared)
        .runbook(&other)
        .command(&["check", "runbook.yaml"])
        .run()
        .success();
    let back = way_back(&shared);
    let write = step(&back, "write");
    assert_eq!(write["exercised"]["changed_since"], true);
    assert_eq!(
        (&write["known_by"], &write["takes_ms"]),
        (&json!("measured before a change"), &json!(took))
    );
    assert_eq!(back["coverage"]["exercised"], 1);
    assert_eq!(back["coverage"]["unexercised"], json!(["write"]));
    let text = plan(&shared, &[]).success().stdout;
    assert!(text.contains("but changed since"), "{text}");
    assert!(
        text.contains("(2 measured, 1 measured before a change)"),
        "{text}"
    );
}

#[test]
fn without_a_store_nothing_is_measured_and_nothing_is_made() {
    let ferry = Ferry::new().runbook(&failing(UNDO, ""));
    let going = ferry.command(&["plan", "runbook.yaml"]).start();
    let shared = going.shared();
    let ran = going.wait().success();
    assert!(!ran.path("state").exists());
    assert_eq!(ran.stderr, "");
    let back = way_back(&shared);
    assert_eq!(back["runs_looked_at"], 0);
    let write = step(&back, "write");
    assert_eq!(
        (&write["exercised"], &write["takes_ms"]),
        (&Value::Null, &Value::Null)
    );
    // the author estimated one, and nobody knows of the two others: that is never 0
    let after = &back["after_phase"][1];
    assert_eq!(after["takes_ms"], 30_000);
    assert_eq!(
        (&after["at_least"], &after["unknown"]),
        (&json!(true), &json!(["write", "proven"]))
    );
    let text = ran.stdout;
    assert!(
        text.contains("after check  at least 30s (1 estimated); not known: write, proven"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn a_coverage_that_is_required_is_held_and_each_step_under_it_named() {
    let going = Ferry::new()
        .runbook(&failing("timeout: 5s", ""))
        .command(&["plan", "runbook.yaml"])
        .start();
    let dir = going.shared();
    going.wait().success();
    plan(&dir, &["--require-coverage", "50"]).success();
    let ran = plan(&dir, &["--require-coverage", "100"]).code(16);
    assert!(
        ran.stdout.contains("way back"),
        "the plan is shown all the same"
    );
    assert_eq!(
        ran.stderr.lines().next().unwrap(),
        "error: the undo coverage is 50 %, and 100 % is required: `write`"
    );
    let ran = plan(&dir, &["--require-exercised", "1"]).code(16);
    assert!(
        ran.stderr
            .contains("0 %, and 1 % is required: `write`, `copy`"),
        "{}",
        ran.stderr
    );
    // the author's word that there is nothing to take back is no gap
    Ferry::again(&dir)
        .runbook(&failing("undo: none", ""))
        .command(&["check", "runbook.yaml"])
        .run();
    plan(&dir, &["--require-coverage", "100"]).success();
    plan(&dir, &["--require-coverage", "101"]).code(64);
}

const SECRETIVE: &str = "
    runbook: demo
    inputs:
      word: { default: one }
      password: { env: DEMO_PASSWORD, secret: true }
    phases:
      p:
        steps:
          - { id: write, shell: 'echo $WORD $PASSWORD >> ledger', env: { WORD: '${{ inputs.word }}', PASSWORD: '${{ inputs.password }}' }, undo: none }
    ";

/// A directory with the plan of [`SECRETIVE`] in `plan.json`.
fn saved() -> Arc<TempDir> {
    let ferry = Ferry::new()
        .runbook(SECRETIVE)
        .env("DEMO_PASSWORD", "hunter2-secret");
    let going = ferry
        .command(&[
            "plan",
            "runbook.yaml",
            "--out",
            "plan.json",
            "--input",
            "word=two",
        ])
        .start();
    let dir = going.shared();
    going.wait().success();
    dir
}

fn run_saved(dir: &Arc<TempDir>, args: &[&str]) -> Ran {
    let words = [&["run", "--plan", "plan.json"], args].concat();
    Ferry::again(dir)
        .env("DEMO_PASSWORD", "hunter2-secret")
        .command(&words)
        .run()
}

#[test]
fn a_saved_plan_runs_as_it_was_saved_without_its_secrets_in_it() {
    let dir = saved();
    let file = dir.path().join("plan.json");
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    let kept: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&kept["inputs"], &kept["secrets"]),
        (&json!({"word": "two"}), &json!(["password"]))
    );
    // the runbook has changed since, and is not asked
    std::fs::write(dir.path().join("runbook.yaml"), "runbook: other\n").unwrap();
    let ran = run_saved(&dir, &[]).success();
    assert_eq!(ran.ledger(), ["two hunter2-secret"]);
    assert_eq!(planned(&ran).digest, kept["digest"].as_str().unwrap());
    assert_eq!(planned(&ran).source, "runbook.yaml");
    // what says the same is no contradiction
    run_saved(&dir, &["--input", "word=two"]).success();
    let ran = run_saved(&dir, &["--input", "word=three"]).code(65);
    assert!(
        ran.stderr.starts_with(
            "error: input `word` is \"two\" in the saved plan, and `--input` says `three`"
        ),
        "{}",
        ran.stderr
    );
    let ran = Ferry::again(&dir)
        .command(&["run", "--plan", "plan.json"])
        .run()
        .code(65);
    assert!(
        ran.stderr.contains("input `password` has no value"),
        "{}",
        ran.stderr
    );
    run_saved(&dir, &["runbook.yaml"]).code(64);
}

#[test]
fn a_saved_plan_that_was_edited_is_refused_and_nothing_runs() {
    let dir = saved();
    let file = dir.path().join("plan.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let kept: Value = serde_json::from_str(&text).unwrap();
    let other_digest = "0".repeat(64);
    for (from, to, says) in [
        (
            "\"word\": \"two\"",
            "\"word\": \"three\"",
            "was edited after it was written",
        ),
        (
            "echo $WORD",
            "echo WORD",
            "was edited: its runbook is not the one that was planned",
        ),
        (
            kept["digest"].as_str().unwrap(),
            &other_digest,
            "was edited after it was written",
        ),
        (
            "ferry.saved-plan/1",
            "ferry.saved-plan/9",
            "this ferry knows `ferry.saved-plan/1`",
        ),
        ("\"inputs\"", "\"input\"", "is no saved plan"),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let ran = run_saved(&dir, &[]);
        assert!(matches!(ran.code, 65 | 76), "{}", ran.all());
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
        assert!(ran.journal.is_empty());
    }
    std::fs::remove_file(&file).unwrap();
    run_saved(&dir, &[]).code(66);
}

#[test]
fn a_runbook_with_a_password_in_its_text_is_not_saved() {
    let ran = Ferry::new()
        .runbook(
            "
            runbook: demo
            targets: { db: { postgres: \"postgres://ana:hunter2-secret@127.0.0.1:1/d\" } }
            phases: { p: { steps: [{ sql: select 1, target: db }] } }
            ",
        )
        .command(&["plan", "runbook.yaml", "--out", "plan.json"])
        .run();
    assert!(ran.code == 78 || ran.code == 65, "{}", ran.all());
    assert!(!ran.path("plan.json").exists());
    assert!(!ran.all().contains("hunter2"), "{}", ran.all());
}

#[test]
fn a_password_in_an_address_is_not_saved_and_has_to_be_what_it_was() {
    let url = "http://ana:hunter2-secret@127.0.0.1:9";
    let going = Ferry::new()
        .runbook(
            "
            runbook: demo
            inputs: { url: { env: DEMO_URL } }
            phases: { p: { steps: [{ id: write, shell: 'echo $URL >> ledger', env: { URL: '${{ inputs.url }}' }, undo: none }] } }
            ",
        )
        .env("DEMO_URL", url)
        .command(&["plan", "runbook.yaml", "--out", "plan.json"])
        .start();
    let dir = going.shared();
    let ran = going.wait().success();
    assert!(
        !ran.text("plan.json").contains("hunter2"),
        "{}",
        ran.text("plan.json")
    );
    let run = |url: &str| {
        let ferry = Ferry::again(&dir).env("DEMO_URL", url);
        ferry.command(&["run", "--plan", "plan.json"]).run()
    };
    let ran = run("http://ana:another-one@127.0.0.1:9").code(65);
    assert!(
        ran.stderr.contains("an input is not what it was"),
        "{}",
        ran.stderr
    );
    assert!(!ran.all().contains("another-one"), "{}", ran.all());
    assert!(run(url).success().ledger()[0].contains("hunter2"));
}

#[test]
fn only_the_digest_that_is_expected_starts() {
    let going = Ferry::new()
        .runbook(SECRETIVE)
        .env("DEMO_PASSWORD", "hunter2-secret")
        .args(["--expect-digest", "00000000"])
        .start();
    let dir = going.shared();
    let ran = going.wait().code(65);
    assert!(
        ran.stderr
            .contains("and 00000000 is expected; nothing was started"),
        "{}",
        ran.stderr
    );
    // no secret has to be known for the digest
    let shown = plan(&dir, &["--json"]).success();
    assert_eq!(shown.stderr, "");
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    let digest = shown["digest"].as_str().unwrap();
    let run = |digest: &str| {
        let words = ["run", "runbook.yaml", "--expect-digest", digest];
        Ferry::again(&dir)
            .env("DEMO_PASSWORD", "hunter2-secret")
            .command(&words)
            .run()
    };
    run(&digest[..12].to_uppercase()).success();
    run(digest).success();
    run("12").code(64);
}

/// A window around now: from so many hours on to so many.
fn window(from: i64, to: i64) -> String {
    let now = jiff::Timestamp::now();
    let at = |hours: i64| now + jiff::SignedDuration::from_hours(hours);
    format!(
        "window: {{ opens: \"{}\", closes: \"{}\" }}",
        at(from),
        at(to)
    )
}

fn within(window: &str) -> String {
    format!(
        "
        runbook: demo
        {window}
        phases: {{ p: {{ estimate: 3h, steps: [{{ id: write, shell: echo in >> ledger, undo: none }}] }} }}
        "
    )
}

#[test]
fn outside_the_window_nothing_starts_without_a_reason_and_the_reason_is_kept() {
    let going = Ferry::new().runbook(&within(&window(5, 9))).start();
    let dir = going.shared();
    let ran = going.wait().code(75);
    assert!(
        ran.stderr
            .starts_with("error: the window of `demo` opens 20"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("(in 4h 59m); nothing was started"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("--waive-window 'REASON'"),
        "{}",
        ran.stderr
    );
    assert!(ran.journal.is_empty() && ran.ledger().is_empty());
    let run = |args: &[&str]| {
        let words = [&["run", "runbook.yaml"], args].concat();
        Ferry::again(&dir).command(&words).run()
    };
    run(&["--waive-window", "  "]).code(64);
    let ran = run(&["--waive-window", "the board agreed"]).success();
    assert_eq!(ran.ledger(), ["in"]);
    let waived = &planned(&ran).options.waived;
    assert_eq!(waived.len(), 1);
    assert_eq!(
        (waived[0].rule, waived[0].reason.as_str()),
        (StartRule::Window, "the board agreed")
    );
    assert!(!waived[0].by.is_empty());
    let waivers = RunView::replay(&ran.journal).waivers();
    assert_eq!(waivers[0].what, "started outside the window");
    assert!(planned(&ran).window.closes > planned(&ran).window.opens);
}

#[test]
fn a_window_that_is_over_is_no_matter_of_waiting_and_one_that_is_open_is_watched() {
    let ran = Ferry::new()
        .runbook(&within(&window(-5, -1)))
        .run()
        .code(78);
    assert!(ran.stderr.contains("closed 20"), "{}", ran.stderr);
    assert!(ran.stderr.contains("(1h ago)"), "{}", ran.stderr);
    // 3h do not fit in what is left
    let ran = Ferry::new()
        .runbook(&within(&window(-1, 2)))
        .args(["--waive-window", "why not"])
        .run()
        .success();
    assert!(
        ran.stderr
            .contains("note: there is nothing to waive: the window is open"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr
            .contains("the estimates come to 3h, 1h more than is left"),
        "{}",
        ran.stderr
    );
    assert!(planned(&ran).options.waived.is_empty());
    let ran = Ferry::new()
        .runbook(&within(&window(-1, 9)))
        .run()
        .success();
    assert!(!ran.stderr.contains("note:"), "{}", ran.stderr);
}

#[test]
fn status_says_when_a_run_ends_and_how_late_it_is() {
    let going = Ferry::new()
        .runbook(
            "
            runbook: demo
            window: { total: 1m }
            phases:
              one: { estimate: 2m, steps: [{ id: wait, shell: 'until [ -e go ]; do sleep 0.05; done', read_only: true }] }
              two: { needs: [one], estimate: 3m, steps: [{ id: look, shell: 'true', read_only: true }] }
            ",
        )
        .start();
    let dir = going.shared();
    let status = || Ferry::again(&dir).command(&["status"]).run();
    going.until_true("the first step has started", || {
        status().stdout.contains("under way\n")
    });
    let text = status().success().stdout;
    assert!(text.contains("  planned   5m (one > two)\n"), "{text}");
    assert!(text.contains(" UTC, on time\n"), "{text}");
    assert!(
        text.contains("  window    ends 4m over the window of 1m\n"),
        "{text}"
    );
    std::fs::write(dir.path().join("go"), "").unwrap();
    let ran = going.wait().success();
    // more than a minute and a tenth of the plan early: worth a line
    assert!(ran.stderr.contains("forecast:"), "{}", ran.stderr);
    assert!(ran.stderr.contains("early by 1m"), "{}", ran.stderr);
    let text = status().success().stdout;
    assert!(
        text.contains("  planned   5m (one > two): early by 4m"),
        "{text}"
    );
}
