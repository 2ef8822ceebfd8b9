//! The failpoints themselves: each is passed where it should be, and what it does is what was asked.

use std::collections::BTreeMap;

use crate::support::ferry::{Ferry, Ran};

const TWO: &str = "
    - { id: a, shell: echo a >> ledger, undo: none, done_when: { shell: cat ledger, read_only: true, expect: 'result.stdout.contains(\"a\")' } }
    - { id: b, shell: echo b >> ledger, undo: none }
";

fn with(failpoint: &str) -> Ran {
    Ferry::new()
        .file("ledger", "")
        .steps(TWO)
        .env("FERRY_FAILPOINT", failpoint)
        .run()
}

#[test]
fn every_point_is_passed_in_a_run() {
    let ran = Ferry::new()
        .file("ledger", "")
        .steps(TWO)
        .env("FERRY_FAILPOINT_TRACE", "trace")
        .run()
        .success();
    let mut passed: BTreeMap<String, usize> = BTreeMap::new();
    for line in ran.text("trace").lines() {
        *passed
            .entry(line.split(' ').next().unwrap().to_owned())
            .or_default() += 1;
    }
    let points: Vec<&str> = passed.keys().map(String::as_str).collect();
    assert_eq!(
        points,
        [
            "claim.after",
            "commit.after",
            "commit.before",
            "effect.after",
            "effect.before",
            "journal.write",
            "probe",
            "report",
            "scheduler",
            "worker"
        ]
    );
    assert_eq!(passed["commit.after"], passed["commit.before"]);
    assert_eq!(passed["commit.after"], passed["journal.write"]);
    assert_eq!((passed["effect.before"], passed["effect.after"]), (2, 2));
    assert_eq!(
        (passed["claim.after"], passed["probe"], passed["report"]),
        (1, 1, 1)
    );
}

#[test]
fn a_kill_before_a_commit_leaves_no_event_and_after_it_the_event() {
    let before = with("commit.before:step.finished:1=kill").code(137);
    assert!(!before.words().iter().any(|word| word == "step.finished a"));
    assert_eq!(before.ledger(), ["a"]);
    let after = with("commit.after:step.finished:1=kill").code(137);
    assert!(after.words().iter().any(|word| word == "step.finished a"));
    assert_eq!(after.ledger(), ["a"]);
}

#[test]
fn an_effect_that_was_not_begun_is_in_no_ledger() {
    let before = with("effect.before:b:1=kill").code(137);
    assert_eq!(before.ledger(), ["a"]);
    assert!(before.words().iter().any(|word| word == "step.started b"));
    let after = with("effect.after:b:1=kill").code(137);
    assert_eq!(after.ledger(), ["a", "b"]);
    assert!(!after.words().iter().any(|word| word == "step.finished b"));
}

#[test]
fn an_error_of_the_store_that_passes_is_outlived() {
    let ran = with("journal.write:3=eio").success();
    assert_eq!(ran.ledger(), ["a", "b"]);
}

#[test]
fn a_store_that_stays_full_stops_the_run() {
    let ran = with("journal.write:3+=enospc").code(74);
    assert!(
        !ran.ledger().contains(&"b".to_owned()),
        "nothing new starts"
    );
}

#[test]
fn what_does_not_exist_is_refused() {
    for wrong in ["commit.afterr:1=kill", "probe:1=eio", "worker=panic"] {
        let ran = with(wrong).code(64);
        assert!(ran.stderr.contains("FERRY_FAILPOINT"), "{}", ran.stderr);
        assert_eq!(ran.ledger(), Vec::<String>::new());
    }
}
