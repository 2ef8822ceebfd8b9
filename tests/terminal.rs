//! People at a terminal: Ctrl-C once, twice and three times, answers that are none, and a terminal
//! that goes away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use regex::Regex;
use tempfile::TempDir;

use crate::support::ferry::{Ferry, Ran, processes};
use crate::support::terminal::{Terminal, plain};

const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";

/// A directory with a runbook of these steps in it.
fn book(steps: &str) -> Arc<TempDir> {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let _ferry = Ferry::again(&dir).steps(steps);
    dir
}

fn run(dir: &Arc<TempDir>) -> Terminal {
    Terminal::start(dir, &["run", "runbook.yaml"])
}

fn until(dir: &Arc<TempDir>, text: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    let read = || std::fs::read_to_string(dir.path().join("ledger")).unwrap_or_default();
    while !read().contains(text) {
        assert!(Instant::now() < until, "`{text}` never came to the ledger");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The journal and the ledger as they are.
fn now(dir: &Arc<TempDir>) -> Ran {
    Ferry::again(dir).command(&["status"]).run()
}

const LINE: &str = "
    - { id: a, shell: 'echo +a >> ledger; sleep 0.5', undo: [{ shell: echo undo-a >> ledger }] }
    - { id: cross, shell: 'echo cross >> ledger', point_of_no_return: true }
";

// O02

#[test]
fn keys_that_were_pressed_before_the_question_are_no_answer() {
    let dir = book(LINE);
    let mut terminal = run(&dir);
    until(&dir, "+a");
    terminal.types(&"\r".repeat(100));
    terminal.until("cross it (this run's code)");
    terminal.until("  > ");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(now(&dir).ledger(), ["+a"]);
    // an empty line, pressed at the question, leaves it
    terminal.types("\r");
    assert_eq!(terminal.wait(), 13, "{}", terminal.seen());
    let ran = now(&dir);
    assert_eq!(ran.ledger(), ["+a"]);
    assert_eq!(ran.words().last().unwrap(), "run.parked question");
}

#[test]
fn the_end_of_input_is_no_answer() {
    let dir = book(LINE);
    let mut terminal = run(&dir);
    terminal.until("  > ");
    terminal.types(CTRL_D);
    assert_eq!(terminal.wait(), 13, "{}", terminal.seen());
    assert_eq!(now(&dir).ledger(), ["+a"]);
    for script in [
        "exec \"$@\" <&-",
        "exec \"$@\" </dev/null",
        "yes '' | \"$@\"",
    ] {
        let ran = Ferry::new().steps(LINE).through(script).run().code(13);
        assert_eq!(ran.ledger(), ["+a"], "{script}");
    }
}

#[test]
fn words_that_are_not_the_code_do_not_cross() {
    let dir = book(LINE);
    let mut terminal = run(&dir);
    for wrong in ["y\r", "yes\r", "proceed\r", "c\r", "0\r"] {
        terminal.until("  > ");
        std::thread::sleep(Duration::from_millis(100));
        terminal.types(wrong);
    }
    assert_eq!(terminal.wait(), 13, "{}", terminal.seen());
    assert_eq!(now(&dir).ledger(), ["+a"]);
}

#[test]
fn the_code_and_a_reason_cross() {
    let dir = book(LINE);
    let mut terminal = run(&dir);
    terminal.until("  > ");
    let code = Regex::new(r"([0-9A-F]{4}) +cross it").unwrap();
    let code = code.captures(&plain(&terminal.seen())).unwrap()[1].to_owned();
    std::thread::sleep(Duration::from_millis(100));
    terminal.types(&format!("{code}\r"));
    terminal.until("why? ");
    std::thread::sleep(Duration::from_millis(100));
    terminal.types("all is ready\r");
    assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
    let ran = now(&dir);
    assert_eq!(ran.ledger(), ["+a", "cross"]);
    assert!(ran.words().contains(&"step.approved cross".to_owned()));
}

// O01

const SLOW: &str = "
    - { id: a, shell: 'echo +a >> ledger; sleep 0.6; echo -a >> ledger', undo: [{ shell: echo undo-a >> ledger }] }
    - { id: b, shell: 'echo b >> ledger', undo: none }
";

#[test]
fn after_one_interrupt_a_person_says_how_it_goes_on() {
    for (said, code, ledger) in [
        ("c\r", 0, &["+a", "-a", "b"][..]),
        ("r\r", 21, &["+a", "-a", "undo-a"]),
        ("l\r", 130, &["+a", "-a"]),
        ("\r", 130, &["+a", "-a"]),
        // another one at the question leaves it there
        (CTRL_C, 130, &["+a", "-a"]),
        (CTRL_D, 130, &["+a", "-a"]),
    ] {
        let dir = book(SLOW);
        let mut terminal = run(&dir);
        until(&dir, "+a");
        terminal.types(CTRL_C);
        terminal.until("c, r or l? ");
        std::thread::sleep(Duration::from_millis(100));
        terminal.types(said);
        assert_eq!(terminal.wait(), code, "{said:?}: {}", terminal.seen());
        assert_eq!(now(&dir).ledger(), ledger, "{said:?}");
    }
}

#[test]
fn an_interrupt_at_the_question_leaves_it_open() {
    let dir = book(LINE);
    let mut terminal = run(&dir);
    terminal.until("  > ");
    terminal.types(CTRL_C);
    terminal.answers("c, r or l? ", "l");
    assert_eq!(terminal.wait(), 130, "{}", terminal.seen());
    let ran = now(&dir);
    assert_eq!(ran.ledger(), ["+a"]);
    assert_eq!(ran.words().last().unwrap(), "run.parked interrupt");
    assert_eq!(Ferry::again(&dir).command(&["resume"]).run().code, 13);
}

#[test]
fn three_interrupts_within_ten_milliseconds_leave_what_can_be_gone_on_with() {
    let mark = format!("three-{}-mark", std::process::id());
    let going = Ferry::new()
        .steps(&format!("- id: a\n  shell: \"echo +a >> ledger; sleep 2; : {mark}\"\n  timeout: 1s\n  undo: none\n"))
        .start();
    going.until("ledger", "+a");
    let began = Instant::now();
    for _ in 0..3 {
        going.signal(Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(began.elapsed() < Duration::from_millis(200));
    let ran = going.wait().code(130);
    let again = Ferry::again(&ran.dir).command(&["resume"]).run().code(13);
    assert_eq!(again.ledger(), ["+a"]);
    assert_eq!(processes(&mark), Vec::<String>::new());
}

#[test]
fn interrupts_on_the_way_back_park_it_there() {
    let mark = format!("back-{}-mark", std::process::id());
    let steps = format!(
        "
        - {{ id: a, shell: 'true', undo: [{{ shell: echo undo-a >> ledger }}] }}
        - id: b
          shell: 'true'
          undo: [{{ shell: \"echo +b >> ledger; test -e go || sleep 67; echo -b >> ledger; : {mark}\", idempotent: true }}]
        - {{ id: c, shell: exit 1, undo: none }}
        "
    );
    for times in [2, 3] {
        let going = Ferry::new().steps(&steps).start();
        going.until("ledger", "+b");
        for _ in 0..times {
            going.signal(Signal::SIGINT);
            std::thread::sleep(Duration::from_millis(if times == 3 { 40 } else { 250 }));
        }
        let ran = going.wait().code(130);
        assert_eq!(ran.ledger(), ["+b"]);
        if times == 2 {
            assert_eq!(processes(&mark), Vec::<String>::new());
            let words = ran.words();
            assert_eq!(
                words[words.len() - 3..],
                [
                    "run.stopping interrupt",
                    "rollback.in_doubt b.undo-1",
                    "run.parked interrupt"
                ]
            );
        } else {
            // what the third left is not waited for an hour: it is ended by hand here
            for found in processes(&mark) {
                let pid: i32 = found.split(':').next().unwrap().parse().unwrap();
                let group = nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(pid)));
                if let Ok(group) = group {
                    let _ = nix::sys::signal::killpg(group, Signal::SIGKILL);
                }
            }
        }
        let ran = Ferry::again(&ran.dir)
            .file("go", "")
            .command(&["resume"])
            .run()
            .code(11);
        assert_eq!(ran.ledger(), ["+b", "+b", "-b", "undo-a"], "{}", ran.all());
    }
}

// O06

#[test]
fn a_step_that_outlasts_the_drain_is_ended_and_the_run_parks() {
    let mark = format!("drain-{}-mark", std::process::id());
    let going = Ferry::new()
        .steps(&format!("- id: a\n  shell: \"echo +a >> ledger; sleep 68; echo -a >> ledger; : {mark}\"\n  undo: [{{ shell: echo undo >> ledger }}]\n"))
        .start();
    going.until("ledger", "+a");
    going.signal(Signal::SIGTERM);
    let told = Instant::now();
    let ran = going.wait().code(143);
    let took = told.elapsed();
    assert!(
        took > Duration::from_secs(24) && took < Duration::from_secs(40),
        "{took:?}"
    );
    assert_eq!(processes(&mark), Vec::<String>::new());
    assert_eq!(ran.ledger(), ["+a"], "nothing is undone");
    let words = ran.words();
    assert_eq!(
        words[words.len() - 3..],
        [
            "run.stopping terminate",
            "step.in_doubt a",
            "run.parked terminate"
        ]
    );
}

#[test]
fn nohup_is_heeded() {
    let going = Ferry::new()
        .steps(SLOW)
        .through("exec nohup \"$@\"")
        .start();
    going.until("ledger", "+a");
    going.signal(Signal::SIGHUP);
    assert_eq!(going.wait().success().ledger(), ["+a", "-a", "b"]);
}

#[test]
fn a_terminal_that_is_closed_parks_the_run() {
    let dir = book(SLOW);
    let mut terminal = run(&dir);
    until(&dir, "+a");
    terminal.close();
    assert_eq!(terminal.wait(), 129);
    let ran = now(&dir);
    assert_eq!(ran.ledger(), ["+a", "-a"]);
    assert_eq!(ran.words().last().unwrap(), "run.parked hangup");
    // and one that is closed at a question
    let dir = book(LINE);
    let mut terminal = run(&dir);
    terminal.until("  > ");
    terminal.close();
    let code = terminal.wait();
    assert!([13, 129].contains(&code), "{code}");
    assert_eq!(now(&dir).ledger(), ["+a"]);
    let ran = Ferry::again(&dir).command(&["resume"]).run().code(13);
    assert_eq!(ran.ledger(), ["+a"]);
}
