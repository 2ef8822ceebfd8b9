//! E06 and E07: killed while a question is open, just after it was answered, and at the point of no
//! return itself.

use std::sync::Arc;

use regex::Regex;
use tempfile::TempDir;

use crate::support::ferry::{Ferry, Ran};

/// `b` cannot be taken back; `probed` tells whether it was done.
fn runbook(probed: bool) -> String {
    let probe = match probed {
        true => {
            "done_when: { shell: cat ledger, read_only: true, expect: 'result.stdout.contains(\"b\")' },"
        }
        false => "",
    };
    format!(
        "
        runbook: line
        phases:
          p:
            steps:
              - {{ id: a, shell: echo a >> ledger, undo: [{{ shell: echo un-a >> ledger }}] }}
              - {{ id: b, shell: echo b >> ledger, {probe} point_of_no_return: true }}
              - {{ id: c, shell: echo c >> ledger, undo: [{{ shell: echo un-c >> ledger }}] }}
        "
    )
}

fn first(probed: bool, failpoint: &str) -> Ran {
    Ferry::new()
        .file("ledger", "")
        .runbook(&runbook(probed))
        .env("FERRY_FAILPOINT", failpoint)
        .run()
}

fn resume(dir: &Arc<TempDir>, failpoint: &str) -> Ran {
    Ferry::again(dir)
        .command(&["resume"])
        .env("FERRY_FAILPOINT", failpoint)
        .run()
}

/// Types the command that the run named: to cross, or that it may be done again.
fn answer(asked: &Ran, failpoint: &str) -> Ran {
    let proceed = Regex::new(r"ferry answer (\S+) b proceed --code (\S+) ").unwrap();
    let doubt = Regex::new(r"ferry answer (\S+) b done\|").unwrap();
    let ferry = Ferry::again(&asked.dir).env("FERRY_FAILPOINT", failpoint);
    if let Some(found) = proceed.captures(&asked.stderr) {
        let words = [
            "answer", &found[1], "b", "proceed", "--code", &found[2], "--reason", "go",
        ];
        return ferry.command(&words).run();
    }
    let found = doubt.captures(&asked.stderr);
    let found = found.unwrap_or_else(|| panic!("nothing is asked; {}", asked.all()));
    let word = if asked.ledger().contains(&"b".to_owned()) {
        "done"
    } else {
        "retry"
    };
    let words = ["answer", &found[1], "b", word, "--reason", "I looked"];
    ferry.command(&words).run()
}

fn has(ran: &Ran, start: &str) -> usize {
    ran.words()
        .iter()
        .filter(|word| word.starts_with(start))
        .count()
}

#[test]
fn a_question_that_was_open_is_open_again() {
    let killed = first(true, "commit.after:step.asked:1=kill").code(137);
    assert_eq!(killed.ledger(), ["a"]);
    let asked = resume(&killed.dir, "").code(13);
    assert!(asked.stderr.contains("proceed --code"), "{}", asked.all());
    assert_eq!(asked.ledger(), ["a"]);
    answer(&asked, "").success();
    assert_eq!(resume(&asked.dir, "").success().ledger(), ["a", "b", "c"]);
}

#[test]
fn an_answer_that_was_written_is_taken_once() {
    for failpoint in ["commit.after:1=kill", "commit.before:1=kill"] {
        let asked = first(true, "").code(13);
        let _ = answer(&asked, failpoint).code(137);
        let mut ran = resume(&asked.dir, "");
        if ran.code == 13 {
            // it was not written: it is asked again
            answer(&ran, "").success();
            ran = resume(&asked.dir, "");
        }
        let ran = ran.success();
        assert_eq!(ran.ledger(), ["a", "b", "c"], "{failpoint}");
        assert_eq!(has(&ran, "step.started b"), 1, "{failpoint}");
    }
}

#[test]
fn a_kill_at_the_line_never_goes_back_by_itself() {
    for probed in [true, false] {
        for failpoint in [
            "commit.after:step.started:1=kill",
            "effect.before:b:1=kill",
            "effect.after:b:1=kill",
        ] {
            let what = format!("probed {probed}, {failpoint}");
            let asked = first(probed, "").code(13);
            answer(&asked, "").success();
            let killed = resume(&asked.dir, failpoint).code(137);
            let mut ran = resume(&killed.dir, "");
            // a probe settles it; without one a person is asked, and whether to cross it again
            for _ in 0..3 {
                if ran.code != 13 {
                    break;
                }
                answer(&ran, "").success();
                ran = resume(&killed.dir, "");
            }
            let ran = ran.success();
            assert_eq!(ran.ledger(), ["a", "b", "c"], "{what}");
            assert_eq!(has(&ran, "rollback."), 0, "{what}");
        }
    }
}

/// Behind the line a failure stops where it stands: only what came after it could be taken back.
#[test]
fn behind_the_line_nothing_before_it_is_taken_back() {
    let asked = Ferry::new()
        .file("ledger", "")
        .runbook(&runbook(true).replace("shell: echo c >> ledger,", "shell: 'exit 1',"))
        .run()
        .code(13);
    answer(&asked, "").success();
    let ran = resume(&asked.dir, "").code(10);
    assert_eq!(ran.ledger(), ["a", "b"]);
    assert_eq!(has(&ran, "rollback.started"), 0);
}
