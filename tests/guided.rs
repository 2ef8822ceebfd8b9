//! Guided runs at a real terminal: what is shown before each step, what may be said, and what happens
//! when something fails.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::ferry::{Ferry, Ran};
use crate::support::terminal::Terminal;

fn book(steps: &str) -> Arc<TempDir> {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let _ferry = Ferry::again(&dir).steps(steps);
    dir
}

fn guided(dir: &Arc<TempDir>) -> Terminal {
    Terminal::start(dir, &["run", "runbook.yaml", "--guided"])
}

fn now(dir: &Arc<TempDir>) -> Ran {
    Ferry::again(dir).command(&["status"]).run()
}

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";

const THREE: &str = "
    - { id: a, shell: echo a >> ledger, undo: [{ shell: echo undo-a >> ledger }], estimate: 2s }
    - { id: b, shell: 'echo b >> ledger', undo: none }
    - { id: c, shell: echo c >> ledger, undo: none }
";

/// What a guided run asks with before a step.
const ASKS: &str = "c/s/j/q/r/x/d/p? ";

#[test]
fn each_step_is_shown_before_it_starts() {
    let dir = book(THREE);
    let mut terminal = guided(&dir);
    let shown = terminal.answers(ASKS, "c");
    for text in [
        "next: `a`",
        "does      echo a >> ledger",
        "undo      echo undo-a >> ledger",
        "estimate  2s",
        "c continue",
    ] {
        assert!(shown.contains(text), "no `{text}` in {shown}");
    }
    terminal.asked("next: `b`");
    assert_eq!(
        now(&dir).ledger(),
        ["a"],
        "nothing starts while it is asked"
    );
    terminal.answers(ASKS, "");
    // an empty line is no answer, and neither is another word
    terminal.answers(ASKS, "y");
    terminal.asked("`y` is no answer here");
    terminal.answers(ASKS, "c");
    terminal.answers(ASKS, "c");
    assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
    assert_eq!(now(&dir).ledger(), ["a", "b", "c"]);
}

#[test]
fn a_step_is_left_out_with_a_reason_only() {
    let dir = book(THREE);
    let mut terminal = guided(&dir);
    terminal.answers(ASKS, "s");
    terminal.answers("why? ", "");
    terminal.asked("without a reason nothing is recorded");
    terminal.answers(ASKS, "s");
    terminal.answers("why? ", "done last week");
    terminal.answers(ASKS, "q");
    assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
    let ran = now(&dir);
    assert_eq!(ran.ledger(), ["b", "c"]);
    assert!(ran.words().contains(&"step.skipped a (person)".to_owned()));
}

#[test]
fn a_jump_leaves_out_what_lies_between() {
    let dir = book(THREE);
    let mut terminal = guided(&dir);
    terminal.answers(ASKS, "j");
    terminal.answers("to which step? ", "nowhere");
    terminal.answers("why? ", "in a hurry");
    terminal.asked("there is no step `nowhere`");
    terminal.answers(ASKS, "j");
    terminal.answers("to which step? ", "c");
    terminal.answers("why? ", "in a hurry");
    terminal.asked("next: `c`");
    terminal.answers(ASKS, "c");
    assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
    assert_eq!(now(&dir).ledger(), ["c"]);
}

#[test]
fn going_back_is_a_choice() {
    let dir = book(THREE);
    let mut terminal = guided(&dir);
    terminal.answers(ASKS, "c");
    terminal.asked("next: `b`");
    terminal.answers(ASKS, "r");
    terminal.answers("why? ", "the graphs look odd");
    assert_eq!(terminal.wait(), 11, "{}", terminal.seen());
    let ran = now(&dir);
    assert_eq!(ran.ledger(), ["a", "undo-a"]);
    assert!(
        ran.failure().contains("the graphs look odd"),
        "{}",
        ran.failure()
    );
}

const BREAKS: &str = "
    - { id: a, shell: echo a >> ledger, undo: [{ shell: echo undo-a >> ledger }] }
    - id: bad
      shell: 'echo try >> ledger; test -e mended'
      expect: result.exit_code == 0
      undo: [{ shell: echo undo-bad >> ledger }]
      done_when: { shell: test -e mended, read_only: true, expect: result.exit_code == 0 }
    - { id: c, shell: echo c >> ledger, undo: none }
";

const FAILED: &str = "t/s/j/r/x/d/p? ";

#[test]
fn a_failure_is_shown_and_asked_about() {
    let dir = book(BREAKS);
    let mut terminal = guided(&dir);
    terminal.answers(ASKS, "q");
    let shown = terminal.asked(FAILED);
    assert!(shown.contains("`bad` failed"), "{shown}");
    assert!(shown.contains("the script exited with 1"), "{shown}");
    // still broken: it is tried, and asked about again
    std::thread::sleep(Duration::from_millis(60));
    terminal.types("t\r");
    terminal.asked("`bad` failed");
    std::fs::write(dir.path().join("mended"), "").unwrap();
    terminal.answers(FAILED, "t");
    assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
    assert_eq!(now(&dir).ledger(), ["a", "try", "try", "c"]);
}

#[test]
fn a_failure_may_be_left_at_that() {
    let dir = book(BREAKS);
    let mut terminal = guided(&dir);
    terminal.answers(ASKS, "q");
    terminal.answers(FAILED, "s");
    terminal.answers("why? ", "ticket 7");
    assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
    let ran = now(&dir);
    assert_eq!(ran.ledger(), ["a", "try", "c"]);
    assert!(ran.words().contains(&"step.accepted bad".to_owned()));
}

#[test]
fn a_failure_that_was_left_is_still_taken_back() {
    let dir = book(
        "
        - { id: bad, shell: 'echo try >> ledger; exit 1', undo: [{ shell: echo undo-bad >> ledger }] }
        - { id: worse, shell: exit 2, undo: none }
        ",
    );
    let mut terminal = guided(&dir);
    terminal.answers(ASKS, "q");
    terminal.answers(FAILED, "s");
    terminal.answers("why? ", "ticket 7");
    terminal.answers(FAILED, "r");
    terminal.answers("why? ", "enough");
    assert_eq!(terminal.wait(), 11, "{}", terminal.seen());
    let ran = now(&dir);
    assert_eq!(ran.ledger(), ["try", "undo-bad"]);
    // what failed is why it went back
    assert!(
        ran.failure().contains("the script exited with 2"),
        "{}",
        ran.failure()
    );
}

#[test]
fn the_runbook_helps_where_something_fails() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let _ferry = Ferry::again(&dir).runbook(
        "
runbook: demo
phases:
  p:
    steps:
      - { id: bad, shell: echo try >> ledger; exit 1, undo: none }
troubleshooting:
  - symptom: the disk is full
    for: [bad]
    diagnose: [{ shell: echo used 100%, read_only: true }, { shell: exit 4, read_only: true }]
    solutions: [empty the bin]
",
    );
    let mut terminal = guided(&dir);
    terminal.answers(ASKS, "c");
    let shown = terminal.answers("t/s/j/g/r/x/d/p? ", "g");
    assert!(shown.contains("symptom   the disk is full"), "{shown}");
    assert!(shown.contains("try       empty the bin"), "{shown}");
    let shown = terminal.answers("t/s/j/g/r/x/d/p? ", "x");
    assert!(shown.contains("used 100%"), "{shown}");
    assert!(shown.contains("exited with 4"), "{shown}");
    terminal.answers("why? ", "the disk first");
    assert_eq!(terminal.wait(), 15, "{}", terminal.seen());
}

#[test]
fn silence_parks_a_guided_run() {
    for (typed, code) in [(CTRL_D, 13), ("p\r", 13)] {
        let dir = book(THREE);
        let mut terminal = guided(&dir);
        terminal.asked(ASKS);
        std::thread::sleep(Duration::from_millis(60));
        terminal.types(typed);
        assert_eq!(terminal.wait(), code, "{}", terminal.seen());
        assert!(now(&dir).ledger().is_empty());
        // what was asked is asked again, or goes on unguided
        let ran = Ferry::again(&dir)
            .command(&["resume", "--yes"])
            .run()
            .success();
        assert_eq!(ran.ledger(), ["a", "b", "c"]);
    }
}

#[test]
fn ctrl_c_at_a_question_asks_what_to_do_with_the_run() {
    let dir = book(THREE);
    let mut terminal = guided(&dir);
    terminal.answers(ASKS, "c");
    terminal.asked("next: `b`");
    terminal.asked(ASKS);
    terminal.types(CTRL_C);
    terminal.answers("c, r or l? ", "c");
    // it is still guided, and asks again
    terminal.asked("next: `b`");
    terminal.answers(ASKS, "q");
    assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
    assert_eq!(now(&dir).ledger(), ["a", "b", "c"]);
}

#[test]
fn keys_pressed_before_the_question_are_no_answer() {
    let dir = book(
        "
        - { id: slow, shell: 'echo slow >> ledger; sleep 0.6', undo: none }
        - { id: b, shell: echo b >> ledger, undo: none }
        ",
    );
    let mut terminal = guided(&dir);
    terminal.answers(ASKS, "c");
    std::thread::sleep(Duration::from_millis(200));
    terminal.types(&"c\r".repeat(20));
    terminal.asked("next: `b`");
    terminal.asked(ASKS);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(now(&dir).ledger(), ["slow"]);
    terminal.types("c\r");
    assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
}

#[test]
fn a_question_that_is_answered_elsewhere_is_taken_back() {
    let dir = book(
        "
        - { id: go, approve: { by: [ana] } }
        - { id: b, shell: echo b >> ledger, undo: none }
    ",
    );
    let mut terminal = Terminal::start(&dir, &["run", "runbook.yaml"]);
    terminal.asked("a/x/r/d/p? ");
    let run = now(&dir).run_dir();
    let run = run.file_name().unwrap().to_string_lossy().into_owned();
    let words = ["approve", &run, "go", "--as", "ana"];
    Ferry::again(&dir).command(&words).run().success();
    assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
    assert_eq!(now(&dir).ledger(), ["b"]);
}

#[test]
fn gates_are_settled_at_the_terminal_that_runs() {
    let dir = book(
        "
        - { id: go, approve: { by: [ana] } }
        - { id: hand, manual: { text: Pull the lever., checklist: [pulled], ask: [{ name: n, type: int }] } }
        - { id: b, shell: 'echo $N >> ledger', env: { N: '${{ string(steps[\"hand\"].result.values.n) }}' }, undo: none }
        ",
    );
    let mut terminal = Terminal::start(&dir, &["run", "runbook.yaml"]);
    terminal.answers("a/x/r/d/p? ", "a");
    terminal.answers("your name (for ana)? ", "eve");
    terminal.answers("a comment (or nothing)? ", "");
    terminal.asked("is for ana");
    terminal.answers("a/x/r/d/p? ", "a");
    terminal.answers("your name (for ana)? ", "ana");
    terminal.answers("a comment (or nothing)? ", "all set");
    terminal.asked("Pull the lever.");
    terminal.answers("c/s/r/x/d/p? ", "c");
    terminal.answers("[ ] pulled: done (y)? ", "");
    terminal.asked("not ticked: nothing is confirmed");
    terminal.answers("c/s/r/x/d/p? ", "c");
    terminal.answers("[ ] pulled: done (y)? ", "y");
    terminal.answers("n? ", "many");
    terminal.asked("takes a whole number");
    terminal.answers("n? ", "42");
    assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
    assert_eq!(now(&dir).ledger(), ["42"]);
}

// O07

#[test]
fn a_question_is_readable_on_any_terminal() {
    for (shape, term) in [
        ((24, 80), "xterm"),
        ((10, 20), "xterm"),
        ((24, 80), "dumb"),
        ((5, 20), "dumb"),
    ] {
        let dir = book(THREE);
        let words = ["run", "runbook.yaml", "--guided"];
        let mut terminal = Terminal::shaped(&dir, &words, shape, term);
        let mut seen = terminal.answers("? ", "c");
        seen.push_str(&terminal.answers("? ", "c"));
        seen.push_str(&terminal.answers("? ", "c"));
        assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
        assert_eq!(now(&dir).ledger(), ["a", "b", "c"]);
        if term == "dumb" {
            assert!(!terminal.seen().contains('\x1b'), "{seen:?}");
        }
        // of the question; the lines of a plain terminal are wrapped by it
        let question = |line: &&str| line.starts_with("    ") && !line.starts_with("     ");
        for line in seen.lines().filter(|_| term != "dumb").filter(question) {
            let width = line.trim_end().chars().count();
            assert!(
                width <= usize::from(shape.1),
                "{width} columns of {shape:?}: {line:?}"
            );
        }
    }
}

#[test]
fn a_guided_run_needs_a_terminal() {
    let ran = Ferry::new().steps(THREE).args(["--guided"]).run().code(64);
    assert_eq!(
        ran.stderr,
        "error: `--guided` asks before each step, and this is no terminal\n\
         hint: leave `--guided` out, or start it at a terminal\n"
    );
}

#[test]
fn the_next_question_comes_when_the_open_one_is_answered_elsewhere() {
    let dir = book(
        "
        - { id: go, approve: { by: [ana] } }
        - { id: go2, approve: { by: [ana] } }
        - { id: b, shell: echo b >> ledger, undo: none }
        ",
    );
    let mut terminal = Terminal::start(&dir, &["run", "runbook.yaml"]);
    terminal.asked("to be approved: `go`");
    terminal.asked("a/x/r/d/p? ");
    let run = now(&dir).run_dir();
    let run = run.file_name().unwrap().to_string_lossy().into_owned();
    let words = ["approve", &run, "go", "--as", "ana"];
    Ferry::again(&dir).command(&words).run().success();
    terminal.asked("to be approved: `go2`");
    terminal.answers("a/x/r/d/p? ", "a");
    terminal.answers("your name (for ana)? ", "ana");
    terminal.answers("a comment (or nothing)? ", "");
    assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
    assert_eq!(now(&dir).ledger(), ["b"]);
}

#[test]
fn half_a_line_makes_nobody_deaf() {
    let dir = book(THREE);
    let mut terminal = guided(&dir);
    terminal.asked(ASKS);
    std::thread::sleep(Duration::from_millis(60));
    terminal.types("ab\x04");
    std::thread::sleep(Duration::from_millis(200));
    Ferry::again(&dir)
        .command(&["abort", "--reason", "the wrong host"])
        .run()
        .success();
    assert_eq!(terminal.wait(), 15, "{}", terminal.seen());
}

#[test]
fn a_guided_run_that_goes_on_unguided_asks_no_more() {
    let dir = book(THREE);
    let mut terminal = guided(&dir);
    terminal.answers(ASKS, "p");
    assert_eq!(terminal.wait(), 13, "{}", terminal.seen());
    let mut terminal = Terminal::start(&dir, &["resume"]);
    assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
    assert!(!terminal.seen().contains("next:"), "{}", terminal.seen());
    assert_eq!(now(&dir).ledger(), ["a", "b", "c"]);
}
