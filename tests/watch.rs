//! `ferry watch`: what it shows of a run that another process carries on, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::ferry::{Ferry, Going, Ran};
use crate::support::terminal::Terminal;

/// A run that goes on until there is a file `go`.
const WAITS: &str = "
    - { id: a, shell: 'echo a >> ledger', undo: none, idempotent: true }
    - { id: b, shell: 'echo +b >> ledger; until [ -e go ]; do sleep 0.05; done', undo: none, idempotent: true }
";

fn begun(steps: &str) -> Going {
    let going = Ferry::new().steps(steps).start();
    going.until("ledger", "+b");
    going
}

fn watch(dir: &Arc<TempDir>) -> Ferry {
    Ferry::again(dir).command(&["watch"])
}

fn go(dir: &Arc<TempDir>) {
    std::fs::write(dir.path().join("go"), "").unwrap();
}

/// The lines that are the same wherever they are read.
fn lines(ran: &Ran) -> Vec<String> {
    let text = crate::support::ferry::redact(&ran.stderr, ran.dir.path());
    let told = text.lines().filter(|line| !line.contains("  report  "));
    told.map(str::to_owned).collect()
}

#[test]
fn it_tells_what_the_engine_tells_and_ends_with_its_code() {
    let going = begun(WAITS);
    let dir = going.shared();
    let watching = watch(&dir).start();
    std::thread::sleep(Duration::from_millis(300));
    go(&dir);
    let (ran, watched) = (going.wait().success(), watching.wait().success());
    assert_eq!(lines(&watched), lines(&ran));
    assert_eq!(watched.stdout, "");
    assert!(
        watched
            .stderr
            .ends_with(&format!("  report      ferry report {}\n", id(&watched))),
        "{}",
        watched.stderr
    );
}

fn id(ran: &Ran) -> String {
    ran.run_dir()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_run_that_is_over_is_told_by_its_end_alone() {
    let ran = Ferry::new()
        .steps("- { id: a, shell: 'true', undo: none }")
        .run()
        .success();
    watch(&ran.dir).run().success().stdout("").stderr(
        "\nsucceeded: demo after TIME\n\
         \x20 steps       1 done\n\
         \x20 report      ferry report demo-RUN\n",
    );
}

#[test]
fn it_ends_with_the_code_of_the_run_whatever_that_is() {
    let failed = "
        - { id: a, shell: 'true', undo: UNDO }
        - { id: b, shell: 'exit 3', undo: none }
    ";
    let of = |undo: &str, args: &[&str]| {
        let mut ferry = Ferry::new().steps(&failed.replace("UNDO", undo));
        for arg in args {
            ferry = ferry.args([arg]);
        }
        let ran = ferry.run();
        let watched = watch(&ran.dir).run();
        assert_eq!(ran.code, watched.code, "{}\n{}", ran.stderr, watched.stderr);
        watched
    };
    let back = of("[{ shell: 'true' }]", &[]).code(11);
    assert!(back.stderr.contains("rolled back: demo"), "{}", back.stderr);
    assert!(!back.stderr.contains("  next  "), "{}", back.stderr);
    of("[{ shell: 'exit 1' }]", &[]).code(12);
    of("none", &[]).code(11);
    let parked = of("none", &["--no-rollback"]).code(10);
    assert!(
        parked
            .stderr
            .contains(&format!("  next        ferry resume {}\n", id(&parked))),
        "{}",
        parked.stderr
    );
}

#[test]
fn a_way_back_that_left_what_nobody_said_an_undo_for_is_partial_here_too() {
    let ran = Ferry::new()
        .steps("- { id: a, shell: 'true' }\n- { id: b, shell: 'exit 3', undo: none }")
        .run()
        .code(12);
    watch(&ran.dir).run().code(12);
}

#[test]
fn what_is_asked_is_shown_with_the_commands_that_answer_it() {
    let going = Ferry::new()
        .steps("- { id: look, manual: 'look at it' }\n- { id: a, shell: 'true', undo: none }")
        .args(["--wait"])
        .start();
    let dir = going.shared();
    going.until_true("the question is open", || {
        let status = Ferry::again(&dir).command(&["status"]).run();
        status.stdout.contains("to be answered")
    });
    let watching = watch(&dir).start();
    std::thread::sleep(Duration::from_millis(400));
    let run = {
        let mut runs = std::fs::read_dir(dir.path().join("state/runs")).unwrap();
        runs.next()
            .unwrap()
            .unwrap()
            .file_name()
            .into_string()
            .unwrap()
    };
    Ferry::again(&dir)
        .command(&["confirm", &run, "look", "--as", "ana", "--all"])
        .run()
        .success();
    going.wait().success();
    let watched = watching.wait().success();
    let answer = format!("  answer      ferry confirm {run} look --as NAME --all\n");
    assert_eq!(
        watched.stderr.matches(&answer).count(),
        1,
        "{}",
        watched.stderr
    );
}

#[test]
fn a_run_that_waits_without_an_engine_ends_the_watching_with_13() {
    let ran = Ferry::new()
        .steps("- { id: look, manual: 'look at it' }")
        .run()
        .code(13);
    let watched = watch(&ran.dir).run().code(13);
    let run = id(&watched);
    let expected = format!("  next        ferry confirm {run} look --as NAME --all\n");
    assert!(watched.stderr.contains(&expected), "{}", watched.stderr);
    assert!(
        watched.stderr.contains("parked: a question is open"),
        "{}",
        watched.stderr
    );
}

#[test]
fn an_engine_that_is_killed_ends_the_watching_and_that_is_said() {
    let going = begun(WAITS);
    let dir = going.shared();
    let watching = watch(&dir).start();
    std::thread::sleep(Duration::from_millis(300));
    going.signal(Signal::SIGKILL);
    going.wait();
    let watched = watching.wait().code(13);
    let end = format!(
        "interrupted: running when its engine ended; nothing carries it on\n  next        ferry resume {}\n",
        id(&watched)
    );
    assert!(watched.stderr.ends_with(&end), "{}", watched.stderr);
    go(&dir);
    Ferry::again(&dir).command(&["resume"]).run().success();
}

#[test]
fn events_come_as_json_from_the_first_one_on() {
    let going = begun(WAITS);
    let dir = going.shared();
    let watching = watch(&dir).args(["--json"]).start();
    std::thread::sleep(Duration::from_millis(300));
    go(&dir);
    going.wait().success();
    let watched = watching.wait().success();
    let events = watched.json();
    let end = events.last().unwrap();
    assert_eq!((&end["event"], &end["code"]), (&"end".into(), &0.into()));
    assert_eq!(end["outcome"], "succeeded");
    let count = events.len() - 1;
    assert_eq!(count, watched.journal.len());
    for (at, event) in events.iter().take(count).enumerate() {
        assert_eq!(event["seq"], at + 1);
    }
    assert_eq!(watched.stderr, "");
}

#[test]
fn a_reader_that_goes_away_ends_it_and_is_no_failure() {
    let going = begun(
        "- { id: b, shell: 'echo +b >> ledger; until [ -e go ]; do sleep 0.05; done; exit 3', undo: none }",
    );
    let dir = going.shared();
    let watching = watch(&dir)
        .args(["--json"])
        .through("\"$@\" | head -n 1 > first; echo ${PIPESTATUS[0]} > code")
        .start();
    going.until("first", "run.planned");
    go(&dir);
    going.wait().code(11);
    // with somebody to read it, it would have ended as the run did
    assert_eq!(watching.wait().text("code"), "0\n");
    watch(&dir).args(["--json"]).run().code(11);
}

#[test]
fn ctrl_c_ends_the_watching_and_not_the_run() {
    let going = begun(WAITS);
    let dir = going.shared();
    let mut terminal = Terminal::start(&dir, &["watch"]);
    // the live picture: the phase with its bar, and what is under way
    terminal.until("demo  running  1/2 steps");
    terminal.until("░");
    terminal.types("\x03");
    assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
    // what was shown last may still be on its way here
    terminal.until("only the watching ended; the run goes on");
    let said = terminal
        .seen()
        .matches("only the watching ended; the run goes on")
        .count();
    assert_eq!(said, 1);
    go(&dir);
    going.wait().success();
}

#[test]
fn a_live_picture_ends_with_the_summary() {
    let going = begun(WAITS);
    let dir = going.shared();
    let mut terminal = Terminal::start(&dir, &["watch"]);
    terminal.until("demo  running  1/2 steps");
    go(&dir);
    going.wait().success();
    assert_eq!(terminal.wait(), 0);
    terminal.until("succeeded");
    terminal.until("  report      ferry report demo-");
}

#[test]
fn a_pause_is_shown_with_what_goes_on() {
    let going = begun(WAITS);
    let dir = going.shared();
    let watching = watch(&dir).start();
    Ferry::again(&dir).command(&["pause"]).run().success();
    go(&dir);
    going.until_true("it stands still", || {
        let status = Ferry::again(&dir).command(&["status"]).run();
        status.stdout.starts_with("waiting")
    });
    std::thread::sleep(Duration::from_millis(700));
    // its engine is there, and goes on when it is told to
    Ferry::again(&dir).command(&["resume"]).run().success();
    going.wait().success();
    let watched = watching.wait().success();
    let next = format!("  next        ferry resume {}\n", id(&watched));
    assert_eq!(
        watched.stderr.matches(&next).count(),
        1,
        "{}",
        watched.stderr
    );
}

#[test]
fn a_run_that_is_not_there_is_missing() {
    let none = Ferry::new().command(&["watch"]).run();
    assert_eq!(none.code, 66, "{}", none.stderr);
    let ran = Ferry::new()
        .steps("- { shell: 'true', undo: none }")
        .run()
        .success();
    let other = watch(&ran.dir).args(["other"]).run().code(66);
    assert_eq!(
        other.stderr,
        "error: there is no run `other`\nhint: `ferry runs` lists them\n"
    );
}
