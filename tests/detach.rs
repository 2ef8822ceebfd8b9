//! `--detach`: an engine in the background, which begins or says why not, and outlives the terminal.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::support::ferry::{Ferry, Ran};
use crate::support::ports;
use crate::support::terminal::Terminal;

/// A run that goes on until there is a file `go`.
const WAITS: &str = "
    - { id: a, shell: 'echo +a >> ledger; until [ -e go ]; do sleep 0.05; done', undo: none, idempotent: true }
    - { id: b, shell: 'echo +b >> ledger', undo: none, idempotent: true }
";

/// An engine in the background; killed when it is let go of.
struct Engine(i32);

impl Engine {
    /// The one that this says it started.
    fn of(said: &str) -> Self {
        let (_, rest) = said.split_once("(process ").unwrap();
        Self(rest.split_once(')').unwrap().0.parse().unwrap())
    }

    fn is_alive(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }

    /// Its session, and its terminal, as the kernel numbers them.
    fn session(&self) -> (i32, i32) {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap();
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        (fields[3].parse().unwrap(), fields[4].parse().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0), signal).unwrap();
    }

    fn ends(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.is_alive() {
            assert!(Instant::now() < until, "the engine does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.is_alive() {
            let _ = kill(Pid::from_raw(self.0), Signal::SIGKILL);
        }
    }
}

fn detached(steps: &str) -> (Ran, Engine) {
    let ran = Ferry::new().steps(steps).args(["--detach"]).run().success();
    let engine = Engine::of(&ran.stderr);
    (ran, engine)
}

fn go(dir: &Path) {
    std::fs::write(dir.join("go"), "").unwrap();
}

fn until(dir: &Arc<TempDir>, text: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    let read = || std::fs::read_to_string(dir.path().join("ledger")).unwrap_or_default();
    while !read().contains(text) {
        assert!(Instant::now() < until, "`{text}` never came to the ledger");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn watch(ran: &Ran) -> Ran {
    Ferry::again(&ran.dir).command(&["watch"]).run()
}

#[test]
fn it_begins_says_how_to_follow_it_and_goes_on_alone() {
    let (ran, engine) = detached(WAITS);
    let ran = ran.stdout("demo-RUN\n");
    let told = regex::Regex::new(r"\(process \d+\)").unwrap();
    let told = told.replace_all(&ran.stderr, "(process PID)").into_owned();
    crate::support::ferry::same(
        "stderr",
        "goes on in the background (process PID)\n\
         \x20 watch       ferry watch demo-RUN\n\
         \x20 status      ferry status demo-RUN\n\
         \x20 pause       ferry pause demo-RUN\n\
         \x20 cancel      ferry cancel demo-RUN\n\
         \x20 log         state/runs/demo-RUN/engine.log\n",
        &crate::support::ferry::redact(&told, ran.dir.path()),
    );
    // what it waited for: the run is in the journal, and held
    assert_eq!(ran.words()[..2], ["run.planned", "run.started"]);
    let runs = Ferry::again(&ran.dir).command(&["runs", "--json"]).run();
    assert_eq!(runs.json()[0]["live"], true);
    // a session of its own, without a terminal
    assert_eq!(engine.session(), (engine.0, 0));
    go(ran.dir.path());
    let watched = watch(&ran).success();
    assert_eq!(watched.ledger(), ["+a", "+b"]);
    engine.ends();
    let log = std::fs::read_to_string(watched.run_dir().join("engine.log")).unwrap();
    assert!(
        log.starts_with("demo (demo): 1 phase, 2 steps, plan "),
        "{log}"
    );
    assert!(log.contains("\nsucceeded: demo after "), "{log}");
    assert!(log.contains("  report      state/runs/demo-"), "{log}");
}

#[test]
fn a_run_that_fails_later_is_told_by_whoever_watches() {
    let (ran, engine) = detached(
        "
        - { id: a, shell: 'echo +a >> ledger', undo: [{ shell: echo undo-a >> ledger }] }
        - { id: b, shell: 'until [ -e go ]; do sleep 0.05; done; exit 3', undo: none }
        ",
    );
    go(ran.dir.path());
    let watched = watch(&ran).code(11);
    assert_eq!(watched.ledger(), ["+a", "undo-a"]);
    engine.ends();
}

#[test]
fn a_killed_engine_is_resumed_in_the_background_too() {
    let (ran, engine) = detached(WAITS);
    until(&ran.dir, "+a");
    engine.signal(Signal::SIGKILL);
    engine.ends();
    watch(&ran).code(13);
    go(ran.dir.path());
    let again = Ferry::again(&ran.dir)
        .command(&["resume", "--detach"])
        .run()
        .success()
        .stdout("demo-RUN\n");
    let engine = Engine::of(&again.stderr);
    watch(&again).success();
    engine.ends();
    let watched = watch(&again).success();
    assert_eq!(watched.ledger(), ["+a", "+a", "+b"]);
    // what both engines said
    let log = std::fs::read_to_string(watched.run_dir().join("engine.log")).unwrap();
    assert_eq!(log.matches("run starts by").count(), 1, "{log}");
    assert_eq!(log.matches("run goes on by").count(), 1, "{log}");
}

#[test]
fn a_terminal_that_is_closed_does_not_end_it() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let _book = Ferry::again(&dir).steps(WAITS);
    let mut terminal = Terminal::start(&dir, &["run", "--detach", "runbook.yaml"]);
    assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
    terminal.until("engine.log");
    let engine = Engine::of(&terminal.seen());
    terminal.close();
    until(&dir, "+a");
    std::thread::sleep(Duration::from_millis(300));
    assert!(engine.is_alive());
    go(dir.path());
    let watched = Ferry::again(&dir).command(&["watch"]).run().success();
    assert_eq!(watched.ledger(), ["+a", "+b"]);
    engine.ends();
}

#[test]
fn a_ctrl_c_at_the_shell_that_started_it_does_not_reach_it() {
    // a process group of its own, to which the keys of a terminal would go
    let script = r#"exec setsid -w bash -c '"$@"; echo $? > code; kill -INT 0; kill -HUP 0; sleep 9' ferry "$@""#;
    let ran = Ferry::new()
        .steps(WAITS)
        .args(["--detach"])
        .through(script)
        .run();
    let engine = Engine::of(&ran.stderr);
    assert_eq!(ran.text("code"), "0\n", "{}", ran.all());
    std::thread::sleep(Duration::from_millis(300));
    assert!(engine.is_alive());
    go(ran.dir.path());
    watch(&ran).success();
    engine.ends();
}

#[test]
fn what_cannot_begin_is_said_as_without_it() {
    let cases = [
        ("- { id: a, shell: 'true', undoo: none }", 65),
        ("- { id: a, redis: PING, target: gone }", 65),
    ];
    for (steps, code) in cases {
        let plain = Ferry::new().steps(steps).run().code(code);
        let detached = Ferry::new()
            .steps(steps)
            .args(["--detach"])
            .run()
            .code(code);
        assert_eq!(
            (&plain.stderr, &plain.stdout),
            (&detached.stderr, &detached.stdout)
        );
    }
}

#[test]
fn a_target_that_refuses_is_said_by_the_engine_before_it_begins() {
    let text = format!(
        "
        runbook: demo
        targets: {{ cache: {{ redis: 'redis://127.0.0.1:{}' }} }}
        phases: {{ p: {{ steps: [{{ redis: PING, target: cache }}] }} }}
        ",
        ports::free()
    );
    let plain = Ferry::new().runbook(&text).run().code(69);
    let detached = Ferry::new()
        .runbook(&text)
        .args(["--detach"])
        .run()
        .code(69);
    assert!(
        detached.stderr.contains("nothing was started"),
        "{}",
        detached.stderr
    );
    assert_eq!(
        (&plain.stderr, &plain.stdout),
        (&detached.stderr, &detached.stdout)
    );
    assert!(!detached.path("state/runs").exists() || detached.journal.is_empty());
}

#[test]
fn a_lock_that_another_run_holds_is_said() {
    let text = "
        runbook: demo
        locks: [cache]
        phases: { p: { steps: [{ shell: 'until [ -e go ]; do sleep 0.05; done', undo: none }] } }
    ";
    let first = Ferry::new()
        .runbook(text)
        .args(["--detach"])
        .run()
        .success();
    let engine = Engine::of(&first.stderr);
    let second = Ferry::again(&first.dir)
        .command(&["run", "runbook.yaml", "--detach"])
        .run()
        .code(75);
    assert!(second.stderr.contains("cache"), "{}", second.stderr);
    assert_eq!(second.stdout, "");
    // and a live engine is not resumed
    let resumed = Ferry::again(&first.dir)
        .command(&["resume", "--detach", first.stdout.trim()])
        .run()
        .code(75);
    assert_eq!(resumed.stdout, "");
    go(first.dir.path());
    engine.ends();
}

#[test]
fn a_secret_comes_by_the_environment_and_stands_on_no_command_line() {
    let text = "
        runbook: demo
        inputs:
          token: { secret: true, env: TOKEN }
          other: { secret: true }
        phases:
          p:
            steps:
              - id: a
                shell: 'echo \"${#T} ${#O}\" >> ledger; until [ -e go ]; do sleep 0.05; done'
                env: { T: '${{ inputs.token }}', O: '${{ inputs.other }}' }
                undo: none
    ";
    let ran = Ferry::new()
        .runbook(text)
        .env("TOKEN", "kanarie-one")
        .args(["--detach", "--input", "other=kanarie-twice"])
        .run()
        .success();
    let engine = Engine::of(&ran.stderr);
    until(&ran.dir, "11 13");
    let line = std::fs::read(format!("/proc/{}/cmdline", engine.0)).unwrap();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    assert!(line.contains(" engine demo "), "{line}");
    assert!(!line.contains("kanarie"), "{line}");
    go(ran.dir.path());
    watch(&ran).success();
    engine.ends();
}

#[test]
fn nobody_is_asked_and_a_question_parks_it() {
    let (ran, engine) = detached("- { id: look, manual: 'look at it' }");
    engine.ends();
    let watched = watch(&ran).code(13);
    assert!(
        watched.stderr.contains("  next        ferry confirm demo-"),
        "{}",
        watched.stderr
    );
}

#[test]
fn what_goes_with_it_and_what_does_not() {
    let guided = Ferry::new()
        .steps(WAITS)
        .args(["--detach", "--guided"])
        .run()
        .code(64);
    assert!(guided.stderr.contains("--guided"), "{}", guided.stderr);
    let dash = Ferry::new()
        .command(&["run", "-", "--detach"])
        .stdin("runbook: x\n")
        .run()
        .code(64);
    assert_eq!(
        dash.stderr,
        "error: a run in the background cannot read its runbook from standard input\nhint: put it into a file\n"
    );
    let json = Ferry::new()
        .steps("- { shell: 'true', undo: none }")
        .args(["--detach", "--json"])
        .run()
        .success();
    let told = json.json();
    assert_eq!(told.len(), 1);
    let pid = i32::try_from(told[0]["pid"].as_i64().unwrap()).unwrap();
    let run = told[0]["run"].as_str().unwrap();
    assert_eq!(told[0]["event"], "detached");
    assert_eq!(told[0]["log"], format!("state/runs/{run}/engine.log"));
    assert_eq!(json.stderr, "");
    watch(&json).success();
    Engine(pid).ends();
}

#[test]
fn the_engine_alone_has_nothing_to_do() {
    let ran = Ferry::new().command(&["engine", "x"]).run().code(64);
    assert!(
        ran.stderr.contains("nobody says what to do"),
        "{}",
        ran.stderr
    );
    let help = Ferry::new().args(["--help"]).run().stdout;
    assert!(!help.contains("  engine"), "{help}");
}
