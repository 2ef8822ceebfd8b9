//! Orders from other terminals: taken once, refused with a reason, and what follows from each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::ferry::{Ferry, Going, Ran, processes};

fn tell(dir: &Arc<TempDir>, words: &[&str]) -> Ran {
    Ferry::again(dir).command(words).run()
}

/// What a run under way has in its journal, in words.
fn words(dir: &Arc<TempDir>) -> Vec<String> {
    tell(dir, &["status"]).words()
}

fn run_of(dir: &Arc<TempDir>) -> String {
    let mut runs = std::fs::read_dir(dir.path().join("state/runs")).unwrap();
    let name = runs.next().unwrap().unwrap().file_name();
    name.to_string_lossy().into_owned()
}

fn after(ran: &Ran, word: &str) -> Vec<String> {
    let words = ran.words();
    let at = words.iter().position(|found| found == word);
    words[at.unwrap_or_else(|| panic!("no `{word}`; {}", ran.all())) + 1..].to_vec()
}

/// Two steps and their undos; the first lasts a while.
fn two() -> Ferry {
    Ferry::new().steps(
        "
        - id: a
          shell: echo +a >> ledger; sleep 0.8; echo -a >> ledger
          undo: [{ shell: echo \"undo-a $FERRY_STEP_STATE\" >> ledger }]
        - id: b
          shell: echo b >> ledger
          undo: [{ shell: echo undo-b >> ledger }]
        ",
    )
}

/// Started, and in its first step.
fn under_way(ferry: Ferry) -> Going {
    let going = ferry.start();
    going.until("ledger", "+a");
    going
}

fn until_word(going: &Going, dir: &Arc<TempDir>, word: &str) {
    going.until_true(&format!("`{word}`"), || {
        words(dir).iter().any(|found| found == word)
    });
}

#[test]
fn a_pause_lets_what_is_in_flight_end_and_keeps_the_engine() {
    let going = under_way(two());
    let dir = going.shared();
    let told = tell(&dir, &["pause", "--reason", "lunch"]).success();
    assert!(
        told.stderr
            .starts_with("`pause` was taken by the run `demo-"),
        "{}",
        told.stderr
    );
    let again = tell(&dir, &["pause"]).code(64);
    assert!(
        again.stderr.contains("is being stopped already")
            || again.stderr.contains("stands still already"),
        "{}",
        again.stderr
    );
    until_word(&going, &dir, "run.parked paused");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(going.text("ledger"), "+a\n-a\n", "nothing starts");
    tell(&dir, &["resume"]).success();
    let ran = going.wait().success();
    assert_eq!(ran.ledger(), ["+a", "-a", "b"]);
    assert_eq!(
        after(&ran, "run.parked paused"),
        [
            "operator.ordered resume",
            "step.started b",
            "step.finished b",
            "run.finished succeeded"
        ]
    );
}

#[test]
fn a_pause_is_taken_back_before_it_came_to_rest() {
    let going = under_way(two());
    let dir = going.shared();
    tell(&dir, &["pause"]).success();
    tell(&dir, &["resume"]).success();
    let ran = going.wait().success();
    assert_eq!(ran.ledger(), ["+a", "-a", "b"]);
    assert_eq!(
        after(&ran, "run.stopping paused"),
        [
            "operator.ordered resume",
            "step.finished a",
            "step.started b",
            "step.finished b",
            "run.finished succeeded"
        ]
    );
}

#[test]
fn signals_to_a_paused_run_leave_it() {
    // at rest
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let going = under_way(two());
        let dir = going.shared();
        tell(&dir, &["pause"]).success();
        until_word(&going, &dir, "run.parked paused");
        going.signal(signal);
        let ran = going.wait().code(code);
        assert_eq!(ran.ledger(), ["+a", "-a"]);
        let ran = tell(&dir, &["resume"]).success();
        assert_eq!(ran.ledger(), ["+a", "-a", "b"]);
    }
    // and on the way to it, which must not be lost
    let going = under_way(two());
    let dir = going.shared();
    tell(&dir, &["pause"]).success();
    going.signal(Signal::SIGTERM);
    let ran = going.wait().code(143);
    assert_eq!(ran.words().last().unwrap(), "run.parked terminate");
    // nor hidden by a pause that comes behind it
    let going = under_way(two());
    let dir = going.shared();
    going.signal(Signal::SIGTERM);
    until_word(&going, &dir, "run.stopping terminate");
    let refused = tell(&dir, &["pause"]);
    let ran = going.wait().code(143);
    assert_eq!(refused.code, 64, "{}", refused.all());
    assert!(ran.ledger().len() == 2);
}

#[test]
fn a_cancel_ends_what_is_in_flight_and_goes_back() {
    let going = under_way(Ferry::new().steps(
        "
        - { id: z, shell: 'echo z >> ledger', undo: [{ shell: echo undo-z >> ledger }] }
        - id: a
          shell: trap 'echo term >> ledger; exit 1' TERM; echo +a >> ledger; sleep 60 & wait
          undo: [{ shell: echo \"undo-a $FERRY_STEP_STATE\" >> ledger }]
        ",
    ));
    let dir = going.shared();
    tell(&dir, &["cancel", "--reason", "not tonight"]).success();
    let ran = going.wait().code(21);
    assert_eq!(ran.ledger(), ["z", "+a", "term", "undo-a failed", "undo-z"]);
    let tail = after(&ran, "operator.ordered cancel");
    assert_eq!(
        tail[..3],
        ["run.failed -", "step.failed a", "rollback.planned 2"]
    );
    assert_eq!(tail.last().unwrap(), "run.finished rolled back");
    assert!(
        ran.failure().ends_with("cancelled the run: not tonight"),
        "{}",
        ran.failure()
    );
    // it is over now
    let refused = tell(&dir, &["cancel"]).code(64);
    assert!(refused.stderr.contains("it is over"), "{}", refused.stderr);
}

#[test]
fn a_cancel_before_any_change_leaves_nothing_to_do() {
    let ferry = Ferry::new().steps(
        "- { id: r, shell: 'echo +a >> ledger; sleep 60', read_only: true }\n- { id: b, shell: 'echo b >> ledger', undo: none }\n",
    );
    let going = under_way(ferry);
    let dir = going.shared();
    tell(&dir, &["cancel"]).success();
    let ran = going.wait().code(14);
    assert_eq!(ran.ledger(), ["+a"]);
    assert_eq!(ran.words().last().unwrap(), "run.finished cancelled");
}

#[test]
fn a_cancel_that_keeps_what_was_changed_fails_and_can_be_gone_on_with() {
    let going = under_way(two());
    let dir = going.shared();
    tell(&dir, &["cancel", "--no-rollback"]).success();
    let ran = going.wait().code(10);
    assert_eq!(ran.ledger(), ["+a"]);
    assert_eq!(ran.words().last().unwrap(), "run.finished failed");
    // a person changes their mind: what was ended in the middle is asked about, and then it goes on
    let ran = tell(&dir, &["resume"]).code(13);
    assert_eq!(
        after(&ran, "operator.ordered resume"),
        [
            "step.in_doubt a",
            "step.examining a",
            "step.asked a indoubt",
            "run.parked question"
        ]
    );
    tell(
        &dir,
        &[
            "answer",
            &run_of(&dir),
            "a",
            "done",
            "--reason",
            "it is there",
        ],
    )
    .success();
    let ran = tell(&dir, &["resume"]).success();
    assert_eq!(ran.ledger(), ["+a", "b"]);
}

#[test]
fn the_way_back_is_not_cancelled_also_when_it_stands_still() {
    let going = under_way(Ferry::new().steps(
        "
        - { id: y, shell: 'echo y >> ledger', undo: [{ shell: echo undo-y >> ledger }] }
        - { id: z, shell: 'echo z >> ledger', undo: [{ shell: echo +a >> ledger; sleep 1; echo undo-z >> ledger }] }
        - { id: b, shell: exit 1, undo: none }
        ",
    ));
    let dir = going.shared();
    let refused = tell(&dir, &["cancel"]).code(64);
    assert!(
        refused.stderr.contains("that is not cancelled"),
        "{}",
        refused.stderr
    );
    going.signal(Signal::SIGINT);
    going.wait().code(130);
    let refused = tell(&dir, &["cancel"]).code(64);
    assert!(
        refused.stderr.contains("that is not cancelled"),
        "{}",
        refused.stderr
    );
    let ran = tell(&dir, &["resume"]).code(11);
    assert_eq!(
        ran.ledger(),
        ["y", "z", "+a", "undo-z", "undo-y"],
        "each is undone once"
    );
    let refusals = ran.words();
    let refusals = refusals
        .iter()
        .filter(|word| *word == "operator.refused cancel");
    assert_eq!(refusals.count(), 2, "{}", ran.all());
}

#[test]
fn an_abort_ends_all_at_once_and_undoes_nothing() {
    let mark = format!("abort-{}-mark", std::process::id());
    let going = under_way(Ferry::new().steps(&format!(
        "
        - id: a
          shell: \"trap '' TERM; echo +a >> ledger; sh -c 'sleep 65; : {mark}' & wait; sleep 66\"
          undo: [{{ shell: echo \"undo-a $FERRY_STEP_STATE\" >> ledger }}]
        - {{ id: b, shell: 'echo b >> ledger', undo: none }}
        "
    )));
    let dir = going.shared();
    tell(&dir, &["abort", "--reason", "the wrong host"]).success();
    let ran = going.wait().code(15);
    assert_eq!(processes(&mark), Vec::<String>::new());
    assert!(ran.took < Duration::from_secs(8), "{:?}", ran.took);
    assert_eq!(ran.ledger(), ["+a"]);
    assert_eq!(
        after(&ran, "operator.ordered abort"),
        ["step.in_doubt a", "run.finished aborted"]
    );
    // it can be gone on with, and gone back from
    let ran = tell(&dir, &["resume"]).code(13);
    assert_eq!(ran.words().last().unwrap(), "run.parked question");
    let ran = tell(&dir, &["abort"]).success();
    assert_eq!(ran.words().last().unwrap(), "run.finished aborted");
    let refused = tell(&dir, &["abort"]).code(64);
    assert!(
        refused.stderr.contains("it stands still already"),
        "{}",
        refused.stderr
    );
    let ran = tell(&dir, &["rollback"]).code(11);
    assert_eq!(ran.ledger(), ["+a", "undo-a failed"]);
}

#[test]
fn a_live_run_is_told_to_go_back() {
    let going = under_way(two());
    let dir = going.shared();
    tell(&dir, &["rollback", "--reason", "errors rise"]).success();
    let ran = going.wait().code(11);
    // what is in flight ends by itself
    assert_eq!(ran.ledger(), ["+a", "-a", "undo-a done"]);
    assert!(ran.failure().ends_with("ordered the way back: errors rise"));
}

#[test]
fn a_run_that_stands_still_or_succeeded_is_taken_back() {
    let going = under_way(two());
    let dir = going.shared();
    going.signal(Signal::SIGINT);
    going.wait().code(130);
    let ran = tell(&dir, &["rollback"]).code(11);
    assert_eq!(ran.ledger(), ["+a", "-a", "undo-a done"]);
    let ran = two().run().success();
    let ran = tell(&ran.dir, &["rollback", "--reason", "it was wrong"]).code(11);
    assert_eq!(ran.ledger(), ["+a", "-a", "b", "undo-b", "undo-a done"]);
    assert_eq!(
        after(&ran, "operator.ordered rollback")[..2],
        ["run.failed -", "rollback.planned 2"]
    );
    let refused = tell(&ran.dir, &["rollback"]).code(64);
    assert!(refused.stderr.contains("it is over"), "{}", refused.stderr);
}

/// A run whose way back failed at two steps that do not stand on each other.
fn stuck() -> Ran {
    Ferry::new()
        .runbook(
            "
            runbook: demo
            phases:
              one: { steps: [{ id: a, shell: 'echo a >> ledger', undo: [{ shell: test -e mended && echo undo-a >> ledger }] }] }
              two: { steps: [{ id: b, shell: 'echo b >> ledger', undo: [{ shell: test -e mended && echo undo-b >> ledger }] }] }
              end: { needs: [one, two], steps: [{ id: c, shell: exit 1, undo: none }] }
            ",
        )
        .run()
        .code(12)
}

#[test]
fn a_failed_way_back_is_gone_on_with_after_mending() {
    let ran = stuck();
    assert_eq!(ran.words().last().unwrap(), "run.finished rollback failed");
    let refused = tell(&ran.dir, &["resume"]).code(64);
    assert!(
        refused.stderr.contains("`rollback` goes on with it"),
        "{}",
        refused.stderr
    );
    let ran = tell(&ran.dir, &["rollback"]).code(12);
    assert_eq!(ran.words().last().unwrap(), "run.finished rollback failed");
    std::fs::write(ran.path("mended"), "").unwrap();
    let ran = tell(&ran.dir, &["rollback"]).code(11);
    let mut ledger = ran.ledger();
    ledger.sort();
    assert_eq!(ledger, ["a", "b", "undo-a", "undo-b"]);
}

#[test]
fn what_cannot_be_taken_back_is_waived_one_by_one() {
    let ran = stuck();
    let run = run_of(&ran.dir);
    // a reason is needed, and said
    assert_eq!(tell(&ran.dir, &["waive", &run, "a"]).code, 64);
    assert_eq!(
        tell(&ran.dir, &["waive", &run, "a", "--reason", " "]).code,
        64
    );
    let refused = tell(&ran.dir, &["waive", &run, "c", "--reason", "x"]).code(64);
    assert!(
        refused.stderr.contains("`c` is not open; open are"),
        "{}",
        refused.stderr
    );
    let ran = tell(&ran.dir, &["waive", &run, "a", "--reason", "it fades"]).success();
    assert_eq!(
        after(&ran, "operator.ordered waive a"),
        ["rollback.waived a.undo-1"]
    );
    let refused = tell(&ran.dir, &["waive", &run, "a", "--reason", "again"]).code(64);
    assert!(
        refused.stderr.contains("open are `b.undo-1`"),
        "{}",
        refused.stderr
    );
    let ran = tell(&ran.dir, &["waive", &run, "b.undo-1", "--reason", "too"]).code(12);
    assert_eq!(
        after(&ran, "operator.ordered waive b.undo-1"),
        ["rollback.waived b.undo-1", "run.finished rolled back"]
    );
    let report = tell(&ran.dir, &["report"]);
    assert!(report.stdout.contains("it fades"), "{}", report.stdout);
    assert_eq!(ran.ledger().len(), 2, "nothing was undone");
    let refused = tell(&ran.dir, &["waive", &run, "b", "--reason", "x"]).code(64);
    assert!(refused.stderr.contains("it is over"), "{}", refused.stderr);
}

/// Killed in the middle of `a`, and resumed until it asks.
fn asking() -> Ran {
    let going = under_way(two());
    let dir = going.shared();
    going.signal(Signal::SIGKILL);
    going.wait().code(137);
    tell(&dir, &["resume"]).code(13)
}

#[test]
fn each_answer_does_what_it_says() {
    let tail: &[(&str, i32, &[&str], &[&str])] = &[
        ("done", 0, &["b"], &["step.resolved a person done"]),
        (
            "not-done",
            0,
            &["+a", "-a", "b"],
            &["step.resolved a person notdone"],
        ),
        (
            "retry",
            0,
            &["+a", "-a", "b"],
            &["step.resolved a person again"],
        ),
        (
            "rollback",
            11,
            &["undo-a failed"],
            &["step.resolved a person failed", "run.failed a"],
        ),
        ("abort", 13, &[], &["run.finished aborted"]),
    ];
    for (answer, code, ledger, said) in tail {
        let ran = asking();
        let run = run_of(&ran.dir);
        let ran = tell(
            &ran.dir,
            &["answer", &run, "a", answer, "--reason", "I looked"],
        )
        .success();
        assert_eq!(
            after(&ran, &format!("operator.ordered answer a {answer}")),
            *said
        );
        let ran = tell(&ran.dir, &["resume"]).code(*code);
        assert_eq!(ran.ledger()[..2], ["+a", "-a"], "{answer}");
        assert_eq!(ran.ledger()[2..], **ledger, "{answer}: {}", ran.all());
    }
}

#[test]
fn wrong_answers_are_refused_and_recorded() {
    let ran = asking();
    let run = run_of(&ran.dir);
    let answer = |step: &str, word: &str| {
        tell(
            &ran.dir,
            &["answer", &run, step, word, "--reason", "I looked"],
        )
    };
    let refused = answer("b", "done").code(64);
    assert!(
        refused
            .stderr
            .contains("nothing is asked about `b`; it is about `a`"),
        "{}",
        refused.stderr
    );
    assert_eq!(
        refused.words().last().unwrap(),
        "operator.refused answer b done"
    );
    let refused = answer("a", "proceed").code(64);
    assert!(
        refused
            .stderr
            .contains("is no answer to what is asked about `a`: done, not-done, retry"),
        "{}",
        refused.stderr
    );
    assert_eq!(answer("a", "perhaps").code, 64);
    assert_eq!(
        tell(&ran.dir, &["answer", &run, "a", "done"]).code,
        64,
        "a reason is needed"
    );
    answer("a", "done").success();
    let refused = answer("a", "done").code(64);
    assert!(
        refused.stderr.contains("nothing is asked about `a`"),
        "{}",
        refused.stderr
    );
    let ran = tell(&ran.dir, &["resume"]).success();
    assert_eq!(ran.ledger(), ["+a", "-a", "b"]);
    let refused = tell(&ran.dir, &["answer", &run, "a", "done", "--reason", "x"]).code(64);
    assert!(refused.stderr.contains("it is over"), "{}", refused.stderr);
    let refusals = refused.words();
    let refusals = refusals
        .iter()
        .filter(|word| word.starts_with("operator.refused"));
    assert_eq!(refusals.count(), 4);
}

#[test]
fn a_run_that_stands_still_is_closed_and_then_it_is_over() {
    let ran = asking();
    let run = run_of(&ran.dir);
    assert_eq!(
        tell(&ran.dir, &["close", &run]).code,
        64,
        "a reason is needed"
    );
    let ran = tell(&ran.dir, &["close", &run, "--reason", "ticket 12"]).success();
    assert_eq!(
        after(&ran, "operator.ordered close"),
        ["run.finished closed"]
    );
    for order in [
        &["resume"][..],
        &["rollback"],
        &["cancel"],
        &["abort"],
        &["pause"],
    ] {
        let refused = tell(&ran.dir, order).code(64);
        assert!(refused.stderr.contains("it is over"), "{}", refused.stderr);
    }
    // and one under way is not closed
    let going = under_way(two());
    let dir = going.shared();
    let refused = tell(&dir, &["close", &run_of(&dir), "--reason", "x"]).code(64);
    assert!(
        refused.stderr.contains("it is on its way"),
        "{}",
        refused.stderr
    );
    let ran = going.wait().success();
    assert!(ran.words().contains(&"operator.refused close".to_owned()));
}

#[test]
fn a_run_that_nobody_carries_on_takes_no_pause() {
    let going = under_way(two());
    let dir = going.shared();
    going.signal(Signal::SIGKILL);
    going.wait().code(137);
    let refused = tell(&dir, &["pause"]).code(64);
    assert!(
        refused.stderr.contains("no engine carries it on"),
        "{}",
        refused.stderr
    );
    assert_eq!(tell(&dir, &["resume"]).code, 13);
}

// Point of no return (E07), and questions (E06).

fn line() -> Ferry {
    line_with("")
}

fn line_with(more: &str) -> Ferry {
    Ferry::new().steps(&format!(
        "
        - {{ id: a, shell: 'echo a >> ledger', undo: [{{ shell: echo undo-a >> ledger }}] }}
        - id: cross
          shell: test -e closed && exit 1; echo +cross >> ledger; sleep 0.4; echo -cross >> ledger
          point_of_no_return: true
          {more}
        - {{ id: b, shell: 'echo b >> ledger', undo: [{{ shell: echo undo-b >> ledger }}] }}
        - {{ id: c, shell: 'test -e go', undo: none }}
        "
    ))
}

/// The code that the run shows with its question.
fn code(ran: &Ran) -> String {
    let found = regex::Regex::new(r"cross'? proceed --code ([0-9A-F]{4}) --reason").unwrap();
    let found = found
        .captures(&ran.stderr)
        .unwrap_or_else(|| panic!("no code; {}", ran.all()));
    found[1].to_owned()
}

fn crossing(dir: &Arc<TempDir>, code: &str) -> Ran {
    let run = run_of(dir);
    tell(
        dir,
        &[
            "answer", &run, "cross", "proceed", "--code", code, "--reason", "now",
        ],
    )
}

#[test]
fn the_point_of_no_return_needs_its_code() {
    let ran = line().file("go", "").run().code(13);
    assert_eq!(ran.ledger(), ["a"]);
    assert_eq!(
        ran.words()[4..],
        ["step.asked cross pointofnoreturn", "run.parked question"]
    );
    let code = code(&ran);
    let wrong = if code == "0000" { "0001" } else { "0000" };
    let refused = crossing(&ran.dir, wrong).code(64);
    assert!(
        refused.stderr.contains("this is not it"),
        "{}",
        refused.stderr
    );
    let run = run_of(&ran.dir);
    let refused = tell(
        &ran.dir,
        &["answer", &run, "cross", "proceed", "--reason", "x"],
    )
    .code(64);
    assert_eq!(
        refused.words().last().unwrap(),
        "operator.refused answer cross proceed"
    );
    let still = tell(&ran.dir, &["resume"]).code(13);
    assert_eq!(still.ledger(), ["a"]);
    let ran = crossing(&ran.dir, &code.to_lowercase()).success();
    assert_eq!(ran.words().last().unwrap(), "step.approved cross");
    let ran = tell(&ran.dir, &["resume"]).success();
    assert_eq!(ran.ledger(), ["a", "+cross", "-cross", "b"]);
}

#[test]
fn behind_the_line_nothing_is_undone_by_itself() {
    let ran = line().run().code(13);
    crossing(&ran.dir, &code(&ran)).success();
    let ran = tell(&ran.dir, &["resume"]).code(10);
    assert_eq!(ran.ledger(), ["a", "+cross", "-cross", "b"]);
    assert_eq!(ran.words().last().unwrap(), "run.finished failed");
    let ran = tell(&ran.dir, &["rollback"]).code(12);
    assert_eq!(ran.ledger(), ["a", "+cross", "-cross", "b", "undo-b"]);
    let planned = ran
        .words()
        .into_iter()
        .find(|word| word.starts_with("rollback.planned"));
    assert_eq!(planned.unwrap(), "rollback.planned 1 not:c not:cross not:a");
    assert_eq!(ran.words().last().unwrap(), "run.finished rolled back");
}

#[test]
fn a_run_behind_the_line_is_not_cancelled() {
    let ran = Ferry::new()
        .steps(
            "
            - { id: cross, shell: 'echo cross >> ledger', point_of_no_return: true }
            - { id: b, shell: 'echo +b >> ledger; sleep 1; echo -b >> ledger', undo: [{ shell: echo undo-b >> ledger }] }
            ",
        )
        .run()
        .code(13);
    crossing(&ran.dir, &code(&ran)).success();
    let going = Ferry::again(&ran.dir).command(&["resume"]).start();
    going.until("ledger", "+b");
    let refused = tell(&ran.dir, &["cancel"]).code(64);
    assert!(
        refused.stderr.contains("point of no return"),
        "{}",
        refused.stderr
    );
    let ran = going.wait().success();
    assert_eq!(ran.ledger(), ["cross", "+b", "-b"]);
    assert!(ran.words().contains(&"operator.refused cancel".to_owned()));
}

#[test]
fn going_back_before_the_line_is_whole() {
    let ran = line().run().code(13);
    let run = run_of(&ran.dir);
    tell(
        &ran.dir,
        &["answer", &run, "cross", "rollback", "--reason", "no"],
    )
    .success();
    let ran = tell(&ran.dir, &["resume"]).code(11);
    assert_eq!(ran.ledger(), ["a", "undo-a"]);
    // a run that was left at the question is cancelled as any other
    let ran = line().run().code(13);
    let ran = tell(&ran.dir, &["cancel"]).code(21);
    assert_eq!(ran.ledger(), ["a", "undo-a"]);
}

#[cfg(feature = "failpoints")]
#[test]
fn killed_at_the_line_the_probe_decides() {
    let probe = "done_when: { shell: 'grep -q -e +cross ledger', read_only: true, expect: result.exit_code == 0 }";
    // (where it is killed, with a probe or without, how the next engine ends, what was done then)
    let cases: [(&str, &str, i32, &[&str]); 5] = [
        ("effect.before:cross:1=kill", "", 13, &["a"]),
        (
            "effect.after:cross:1=kill",
            "",
            13,
            &["a", "+cross", "-cross"],
        ),
        (
            "effect.before:cross:1=kill",
            probe,
            0,
            &["a", "+cross", "-cross", "b"],
        ),
        (
            "effect.after:cross:1=kill",
            probe,
            0,
            &["a", "+cross", "-cross", "b"],
        ),
        (
            "commit.after:step.started:1=kill",
            probe,
            0,
            &["a", "+cross", "-cross", "b"],
        ),
    ];
    for (point, more, ends, ledger) in cases {
        let ran = line_with(more).file("go", "").run().code(13);
        crossing(&ran.dir, &code(&ran)).success();
        let ran = Ferry::again(&ran.dir)
            .command(&["resume"])
            .env("FERRY_FAILPOINT", point)
            .run()
            .code(137);
        let ran = tell(&ran.dir, &["resume"]).code(ends);
        assert_eq!(ran.ledger(), *ledger, "{point} {more}: {}", ran.all());
        if ends == 13 {
            // nothing goes back by itself, and a person who says so goes back to the line only
            let ran = tell(&ran.dir, &["rollback"]).code(12);
            assert_eq!(ran.ledger(), *ledger, "{point}");
            let planned = ran
                .words()
                .into_iter()
                .find(|word| word.starts_with("rollback.planned"));
            assert_eq!(planned.unwrap(), "rollback.planned 0 not:cross not:a");
        }
    }
}

#[cfg(feature = "failpoints")]
#[test]
fn a_line_that_was_seen_not_to_be_crossed_does_not_bar_the_way_back() {
    let probe = "done_when: { shell: 'grep -q -e +cross ledger', read_only: true, expect: result.exit_code == 0 }";
    let ran = line_with(probe).file("go", "").run().code(13);
    crossing(&ran.dir, &code(&ran)).success();
    Ferry::again(&ran.dir)
        .command(&["resume"])
        .env("FERRY_FAILPOINT", "effect.before:cross:1=kill")
        .run()
        .code(137);
    let ran = tell(&ran.dir, &["rollback"]);
    assert!(ran.ledger().contains(&"undo-a".to_owned()), "{}", ran.all());
}

#[cfg(feature = "failpoints")]
#[test]
fn killed_at_a_question_it_is_asked_again_and_an_approval_counts_once() {
    // E06: while it is open, and right before and after its commit
    for point in [
        "commit.after:run.parked:1=kill",
        "commit.after:step.asked:1=kill",
    ] {
        let ran = line()
            .file("go", "")
            .env("FERRY_FAILPOINT", point)
            .run()
            .code(137);
        assert_eq!(ran.ledger(), ["a"]);
        let ran = tell(&ran.dir, &["resume"]).code(13);
        crossing(&ran.dir, &code(&ran)).success();
        let ran = tell(&ran.dir, &["resume"]).success();
        assert_eq!(ran.ledger(), ["a", "+cross", "-cross", "b"], "{point}");
    }
    for (point, taken) in [
        ("commit.before:operator.ordered:1=kill", false),
        ("commit.after:operator.ordered:1=kill", true),
    ] {
        let ran = line().file("go", "").run().code(13);
        let (code, run) = (code(&ran), run_of(&ran.dir));
        let killed = Ferry::again(&ran.dir)
            .command(&[
                "answer", &run, "cross", "proceed", "--code", &code, "--reason", "now",
            ])
            .env("FERRY_FAILPOINT", point)
            .run()
            .code(137);
        let approved = killed.words().contains(&"step.approved cross".to_owned());
        assert_eq!(approved, taken, "{point}");
        if !taken {
            assert_eq!(tell(&ran.dir, &["resume"]).code, 13);
            crossing(&ran.dir, &code).success();
        }
        let ran = tell(&ran.dir, &["resume"]).success();
        assert_eq!(ran.ledger(), ["a", "+cross", "-cross", "b"], "{point}");
        let approvals = ran.words();
        let approvals = approvals
            .iter()
            .filter(|word| *word == "step.approved cross");
        assert_eq!(approvals.count(), 1);
    }
}

// Exactly once, whatever dies.

#[cfg(feature = "failpoints")]
#[test]
fn an_order_is_taken_once_also_when_its_engine_is_killed() {
    for (point, taken) in [
        ("commit.before:operator.ordered:1=kill", 0),
        ("commit.after:operator.ordered:1=kill", 1),
    ] {
        let going = under_way(two().env("FERRY_FAILPOINT", point));
        let dir = going.shared();
        let sent = tell(&dir, &["cancel", "--reason", "once"]).success();
        going.wait().code(137);
        let ordered = |ran: &Ran| {
            let words = ran.words();
            words
                .iter()
                .filter(|word| *word == "operator.ordered cancel")
                .count()
        };
        assert_eq!(ordered(&tell(&dir, &["status"])), taken, "{point}");
        if taken == 0 {
            assert!(
                sent.stderr.contains("the next one takes it"),
                "{}",
                sent.stderr
            );
        }
        let ran = tell(&dir, &["resume"]).code(21);
        assert_eq!(ordered(&ran), 1, "{point}: {}", ran.all());
        let last = ran.ledger();
        let undone = last
            .iter()
            .filter(|line| line.starts_with("undo-a"))
            .count();
        assert_eq!(undone, 1, "{last:?}");
        assert!(!last.contains(&"b".to_owned()), "{last:?}");
        let refused = tell(&dir, &["resume"]).code(64);
        assert_eq!(ordered(&refused), 1);
    }
}

// O03

#[test]
fn of_many_that_go_on_with_a_run_one_does() {
    let text = "- { id: a, shell: 'echo +a >> ledger; sleep 0.1', idempotent: true, undo: none }\n- { id: b, shell: 'echo b >> ledger', undo: none }\n";
    let mut slowest = Duration::ZERO;
    for round in 0..100 {
        let going = under_way(Ferry::new().steps(text));
        let dir = going.shared();
        going.signal(Signal::SIGKILL);
        going.wait().code(137);
        let rivals: Vec<Going> = (0..8)
            .map(|_| Ferry::again(&dir).command(&["resume", "--yes"]).start())
            .collect();
        let began = Instant::now();
        let ended: Vec<Ran> = rivals.into_iter().map(Going::wait).collect();
        let won = ended.iter().filter(|ran| ran.code == 0).count();
        assert_eq!(
            won,
            1,
            "round {round}: {:?}",
            ended.iter().map(Ran::all).collect::<Vec<_>>()
        );
        for ran in &ended {
            assert!(
                [0, 75, 64].contains(&ran.code),
                "round {round}: {}",
                ran.all()
            );
            if ran.code != 0 {
                slowest = slowest.max(ran.took);
            }
        }
        let engines = words(&dir);
        let engines = engines.iter().filter(|word| *word == "run.started").count();
        assert_eq!(engines, 2, "round {round}");
        let ledger = ended[0].ledger();
        assert_eq!(
            ledger.iter().filter(|line| *line == "b").count(),
            1,
            "{ledger:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    // a loser waits 0.8 s for whoever has the lock and is not in the row yet; the rest is the load of
    // eight processes that start at once on whatever machine this is
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}

#[test]
fn two_runbooks_with_one_lock_keep_each_other_out() {
    let text = "runbook: NAME\nlocks: [redis-a]\nphases: { p: { steps: [{ id: a, shell: 'echo +NAME >> ledger; sleep 1.5', undo: none }] } }\n";
    let first = Ferry::new().runbook(&text.replace("NAME", "one")).start();
    let dir = first.shared();
    first.until("ledger", "+one");
    let other = Ferry::again(&dir)
        .file("other.yaml", text.replace("NAME", "two"))
        .command(&["run", "other.yaml"])
        .run()
        .code(75);
    assert!(other.stderr.contains("redis-a"), "{}", other.stderr);
    let runs = tell(&dir, &["runs"]).success();
    assert!(!runs.stdout.contains("two-"), "{}", runs.stdout);
    first.wait().success();
    let second = Ferry::again(&dir)
        .command(&["run", "other.yaml"])
        .run()
        .success();
    assert_eq!(second.ledger(), ["+one", "+two"]);
}

#[test]
fn a_failed_attempt_keeps_its_retry_when_the_run_is_pausing() {
    let going = Ferry::new()
        .steps("- id: a\n  shell: { run: 'echo +a >> ledger; sleep 0.8; test -e go || exit 8', not_applied: [8] }\n  retry: { limit: 3, backoff: 10ms }\n  undo: none\n")
        .start();
    let dir = going.shared();
    going.until("ledger", "+a");
    going.signal(Signal::SIGTERM);
    let parked = going.wait().code(143);
    assert_eq!(
        after(&parked, "run.stopping terminate"),
        ["step.failed a retried", "run.parked terminate"]
    );
    let ran = Ferry::again(&dir).file("go", "").command(&["resume"]).run();
    assert_eq!(ran.code(0).ledger(), ["+a", "+a"]);
}

#[test]
fn an_order_that_is_refused_starts_nothing() {
    // killed behind the line: `cancel` is refused there, and the rest of the run is not carried out
    let ran = line_with("timeout: 1m").file("go", "").run().code(13);
    crossing(&ran.dir, &code(&ran)).success();
    let going = Ferry::again(&ran.dir).command(&["resume"]).start();
    going.until("ledger", "+cross");
    going.signal(Signal::SIGKILL);
    going.wait().code(137);
    let refused = tell(&ran.dir, &["cancel"]).code(64);
    assert!(
        refused.stderr.contains("point of no return"),
        "{}",
        refused.stderr
    );
    assert!(
        !refused.words().iter().any(|word| word == "step.started b"),
        "{}",
        refused.all()
    );
}

#[test]
fn a_second_line_that_was_not_crossed_does_not_open_the_first() {
    let ran = Ferry::new()
        .steps(
            "
            - { id: a, shell: 'echo a >> ledger', undo: [{ shell: echo undo-a >> ledger }] }
            - { id: cross, shell: 'echo cross >> ledger', point_of_no_return: true, undo: none }
            - { id: b, shell: 'echo b >> ledger', undo: [{ shell: echo undo-b >> ledger }] }
            - { id: again, shell: { run: exit 8, not_applied: [8] }, point_of_no_return: true, undo: none }
            ",
        )
        .run()
        .code(13);
    let run = run_of(&ran.dir);
    let code = |ran: &Ran| {
        let found = ran.stderr.split("--code ").nth(1).unwrap();
        found[..4].to_owned()
    };
    let proceed = |step: &str, code: &str| {
        let words = [
            "answer", &run, step, "proceed", "--code", code, "--reason", "now",
        ];
        tell(&ran.dir, &words).success();
        tell(&ran.dir, &["resume"])
    };
    let second = proceed("cross", &code(&ran)).code(13);
    // it failed and changed nothing, and what lies before the first line stays
    let failed = proceed("again", &code(&second)).code(10);
    assert_eq!(failed.ledger(), ["a", "cross", "b"]);
    let back = tell(&ran.dir, &["rollback"]).code(12);
    assert_eq!(back.ledger(), ["a", "cross", "b", "undo-b"]);
}
