//! The one place that runs the binary: [`Ferry`] is told a runbook and what is around it, and
//! [`Ran`] holds what came of it, to be compared whole.
//!
//! Every run has a directory of its own, which is its working directory, its home and the place of
//! its state, and an environment of `PATH` and `HOME` alone. What differs from run to run (times,
//! ids, processes, paths, digests) is made equal in one place, [`redact`].

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferry::event::{
    CheckEvent, Event, EventKind, How, OperatorEvent, Order, RollbackEvent, RunEvent, SkipReason,
    SnapshotEvent, StepEvent, Then,
};
use ferry::store::{SqliteStore, Store};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

/// How long a run may take before it is killed and the test fails.
const LONGEST: Duration = Duration::from_secs(60);

/// What is to be run.
#[must_use = "nothing happens before `.run()` or `.start()`"]
pub struct Ferry {
    dir: Arc<TempDir>,
    command: Vec<String>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Option<String>,
    through: Option<String>,
}

impl Ferry {
    /// In a new directory.
    pub fn new() -> Self {
        Self::again(&Arc::new(tempfile::tempdir().unwrap()))
    }

    /// In the directory of an earlier run.
    pub fn again(dir: &Arc<TempDir>) -> Self {
        Self {
            dir: Arc::clone(dir),
            command: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            stdin: None,
            through: None,
        }
    }

    /// `ferry run` of this text, which may be indented as a whole.
    pub fn runbook(self, text: &str) -> Self {
        let mut made = self.file("runbook.yaml", dedent(text, ""));
        made.command = vec!["run".into(), "runbook.yaml".into()];
        made
    }

    /// `ferry run` of one phase `p` with these steps.
    pub fn steps(self, steps: &str) -> Self {
        let steps = dedent(steps, "      ");
        self.runbook(&format!(
            "runbook: demo\nphases:\n  p:\n    steps:\n{steps}"
        ))
    }

    /// Another command than `run`.
    pub fn command(mut self, words: &[&str]) -> Self {
        self.command = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// A file in the directory.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// A path in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// More arguments.
    pub fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.args.extend(args.map(str::to_owned));
        self
    }

    /// Text for its standard input, which is closed otherwise.
    pub fn stdin(mut self, text: &str) -> Self {
        self.stdin = Some(text.into());
        self
    }

    /// A script that starts it as `"$@"`: for limits, pipes and closed descriptors.
    pub fn through(mut self, script: &str) -> Self {
        self.through = Some(script.into());
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> Ran {
        self.start().wait()
    }

    /// Starts it.
    pub fn start(self) -> Going {
        let binary = env!("CARGO_BIN_EXE_ferry");
        let mut command = match &self.through {
            None => Command::new(binary),
            Some(script) => {
                let mut command = Command::new("/bin/bash");
                command.args(["-c", script, "ferry", binary]);
                command
            }
        };
        command
            .args(&self.command)
            .args(&self.args)
            .current_dir(self.dir.path())
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", self.dir.path())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(if self.stdin.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        if let Some(text) = &self.stdin {
            // a ferry that does not read its input closes it
            let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
        }
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Going {
            dir: self.dir,
            stdout: Some(drain(stdout)),
            stderr: Some(drain(stderr)),
            child,
            began: Instant::now(),
        }
    }
}

fn drain(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// A run under way; killed when it is let go of.
pub struct Going {
    dir: Arc<TempDir>,
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    began: Instant,
}

impl Going {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its directory, for what else goes on in it.
    pub fn shared(&self) -> Arc<TempDir> {
        Arc::clone(&self.dir)
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        self.dir.path()
    }

    /// A path in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The text of a file in its directory; empty while there is none.
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.pid()).unwrap()), signal).unwrap();
    }

    /// Waits until a file in its directory holds this text.
    pub fn until(&self, file: &str, text: &str) {
        let path = self.dir.path().join(file);
        self.until_true(&format!("`{file}` holds `{text}`"), || {
            std::fs::read_to_string(&path).is_ok_and(|found| found.contains(text))
        });
    }

    /// Waits until something holds.
    pub fn until_true(&self, what: &str, holds: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < until, "it never came to be that {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until its journal holds an event, as [`word`] has it.
    pub fn until_event(&self, wanted: &str) {
        self.until_true(&format!("the journal holds `{wanted}`"), || {
            let mut items = Vec::new();
            let journal = journal(self.dir.path());
            let mut words = journal.iter().map(|event| word(event, &mut items));
            words.any(|word| word == wanted)
        });
    }

    /// Waits at most so long, and says whether it is over.
    pub fn is_over_within(&mut self, longest: Duration) -> bool {
        let until = Instant::now() + longest;
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ran {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                self.began.elapsed() < LONGEST,
                "ferry was not over after {LONGEST:?}; it is killed"
            );
            std::thread::sleep(Duration::from_millis(2));
        };
        let text = |thread: Option<JoinHandle<Vec<u8>>>| {
            String::from_utf8_lossy(&thread.unwrap().join().unwrap()).into_owned()
        };
        Ran {
            took: self.began.elapsed(),
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
            code: code(status),
            journal: journal(self.dir.path()),
            dir: Arc::clone(&self.dir),
        }
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        // over already is as good as killed
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// The journal of the only run in a directory; nothing when no run was started.
fn journal(dir: &Path) -> Vec<Event> {
    let state = dir.join("state");
    if !state.exists() {
        return Vec::new();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let Ok(store) = SqliteStore::open_read_only(&state).await else {
            return Vec::new();
        };
        // some tests damage it on purpose; whoever expects events misses them
        let runs = store.runs().await.unwrap_or_default();
        match runs.first() {
            Some(run) => store.load(&run.id, 1).await.unwrap_or_default(),
            None => Vec::new(),
        }
    })
}

/// What came of a run.
pub struct Ran {
    pub took: Duration,
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
    /// Of the latest run in the directory.
    pub journal: Vec<Event>,
    pub dir: Arc<TempDir>,
}

impl Ran {
    /// Demands exit code 0.
    #[track_caller]
    pub fn success(self) -> Self {
        self.code(0)
    }

    /// Demands an exit code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code; {}", self.all());
        self
    }

    /// Demands exactly this on standard output, after redaction.
    #[track_caller]
    pub fn stdout(self, expected: &str) -> Self {
        same("stdout", expected, &redact(&self.stdout, self.dir.path()));
        self
    }

    /// Demands exactly this on standard error, after redaction.
    #[track_caller]
    pub fn stderr(self, expected: &str) -> Self {
        same("stderr", expected, &redact(&self.stderr, self.dir.path()));
        self
    }

    /// Demands exactly these events after `run.planned`, each as [`word`] has it.
    #[track_caller]
    pub fn journal(self, expected: &[&str]) -> Self {
        let found = self.words();
        let found: Vec<_> = found
            .iter()
            .map(String::as_str)
            .filter(|word| *word != "run.planned")
            .collect();
        if found != expected {
            same("journal", &expected.join("\n"), &found.join("\n"));
        }
        self
    }

    /// The events, as [`word`] has them.
    pub fn words(&self) -> Vec<String> {
        let mut items = Vec::new();
        self.journal
            .iter()
            .map(|event| word(event, &mut items))
            .filter(|word| !word.is_empty())
            .collect()
    }

    /// The message of the failure that ended the way forward, redacted.
    #[track_caller]
    pub fn failure(&self) -> String {
        let failed = self.journal.iter().find_map(|event| match &event.kind {
            EventKind::Run(RunEvent::Failed(failure)) => Some(failure.summary()),
            _ => None,
        });
        redact(
            &failed.unwrap_or_else(|| panic!("nothing failed; {}", self.all())),
            self.dir.path(),
        )
    }

    /// The report of the last end of a step, good or bad.
    #[track_caller]
    pub fn report(&self, name: &str) -> &ferry::event::Report {
        let found = self
            .journal
            .iter()
            .rev()
            .find_map(|event| match &event.kind {
                EventKind::Step(
                    StepEvent::Finished { step, report, .. }
                    | StepEvent::Failed { step, report, .. },
                ) if step == name => Some(&**report),
                _ => None,
            });
        found.unwrap_or_else(|| panic!("`{name}` did not end; {}", self.all()))
    }

    /// The failure of the last failed attempt of a step.
    #[track_caller]
    pub fn failed(&self, name: &str) -> &ferry::event::Failure {
        let found = self
            .journal
            .iter()
            .rev()
            .find_map(|event| match &event.kind {
                EventKind::Step(StepEvent::Failed { step, failure, .. }) if step == name => {
                    Some(failure)
                }
                _ => None,
            });
        found.unwrap_or_else(|| panic!("`{name}` did not fail; {}", self.all()))
    }

    /// The result of a step.
    #[track_caller]
    pub fn result(&self, step: &str) -> &Value {
        &self.report(step).result
    }

    /// What its steps wrote to the file `ledger`, a line each.
    pub fn ledger(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("ledger")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A path in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The text of a file in its directory.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("`{name}`: {error}"))
    }

    /// The directory of the only run.
    #[track_caller]
    pub fn run_dir(&self) -> PathBuf {
        let mut runs = std::fs::read_dir(self.path("state/runs")).unwrap();
        runs.next().unwrap().unwrap().path()
    }

    /// The lines of `--json`, each parsed.
    #[track_caller]
    pub fn json(&self) -> Vec<Value> {
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// Everything, for the message of a failed test.
    pub fn all(&self) -> String {
        format!(
            "stdout:\n{}\nstderr:\n{}\njournal:\n{}",
            self.stdout,
            self.stderr,
            self.words().join("\n")
        )
    }
}

/// An event in a few words: `step.failed flush #2 retried`.
fn word(event: &Event, items: &mut Vec<String>) -> String {
    match &event.kind {
        EventKind::Run(event) => run_word(event),
        EventKind::Step(event) => step_word(event),
        EventKind::Snapshot(SnapshotEvent::Taking { moment }) => {
            format!("snapshot.taking {}", moment.name())
        }
        EventKind::Snapshot(SnapshotEvent::Taken { moment, snapshots }) => {
            let failed = snapshots.iter().filter(|one| one.failure.is_some()).count();
            match failed {
                0 => format!("snapshot.taken {}", moment.name()),
                n => format!("snapshot.taken {} ({n} failed)", moment.name()),
            }
        }
        EventKind::Rollback(event) => {
            if let RollbackEvent::Planned { items: planned, .. } = event {
                *items = planned.iter().map(|item| item.id.clone()).collect();
            }
            rollback_word(event, items)
        }
        EventKind::Check(event) => check_word(event),
        EventKind::Operator(OperatorEvent::Ordered { order, .. }) => {
            format!("operator.ordered {}", order_word(order))
        }
        EventKind::Operator(OperatorEvent::Refused { order, .. }) => {
            format!("operator.refused {}", order_word(order))
        }
    }
}

/// Looks are as many as there was time for: [`Ran::words`] leaves them out.
fn check_word(event: &CheckEvent) -> String {
    match event {
        CheckEvent::Began { check, .. } => format!("check.began {check}"),
        CheckEvent::GoesOn { check, .. } => format!("check.goes_on {check}"),
        CheckEvent::Looked { .. } => String::new(),
        CheckEvent::Judged { check, judgement } => {
            let then = judgement.then.map_or("", Then::word);
            let text = format!("check.judged {check} {} {then}", judgement.verdict);
            text.trim_end().to_owned()
        }
        CheckEvent::Ended { check, judgement } => {
            format!("check.ended {check} {}", judgement.verdict)
        }
    }
}

fn order_word(order: &Order) -> String {
    match order {
        Order::Answer { step, answer, .. } => format!("answer {step} {}", answer.word()),
        Order::Waive { step } => format!("waive {step}"),
        Order::Cancel { no_rollback: true } => "cancel --no-rollback".into(),
        other => other.name().into(),
    }
}

fn run_word(event: &RunEvent) -> String {
    match event {
        RunEvent::Planned(_) => "run.planned".into(),
        RunEvent::Started { .. } => "run.started".into(),
        RunEvent::Failed(failure) => {
            format!("run.failed {}", failure.step.as_deref().unwrap_or("-"))
        }
        RunEvent::Stopping { reason } => format!("run.stopping {reason:?}").to_lowercase(),
        RunEvent::Parked { reason } => format!("run.parked {reason:?}").to_lowercase(),
        RunEvent::Finished { status } => format!("run.finished {}", status.words()),
    }
}

fn step_word(event: &StepEvent) -> String {
    let again = |attempt: u32| {
        if attempt > 1 {
            format!(" #{attempt}")
        } else {
            String::new()
        }
    };
    match event {
        StepEvent::PhaseSkipped { phase, .. } => format!("phase.skipped {phase}"),
        StepEvent::Expanded { step, items } => format!("step.expanded {step} {}", items.len()),
        StepEvent::Checking { step, attempt } => format!("step.checking {step}{}", again(*attempt)),
        StepEvent::Skipped { step, reason } => {
            let why = match reason {
                SkipReason::When(_) => "when",
                SkipReason::AlreadyDone(_) => "done",
                SkipReason::NoItems => "no items",
                SkipReason::Person { .. } => "person",
            };
            format!("step.skipped {step} ({why})")
        }
        StepEvent::Started { step, attempt, .. } => {
            format!("step.started {step}{}", again(*attempt))
        }
        StepEvent::Acted { step, attempt, .. } => format!("step.acted {step}{}", again(*attempt)),
        StepEvent::Finished { step, attempt, .. } => {
            format!("step.finished {step}{}", again(*attempt))
        }
        StepEvent::Failed {
            step,
            attempt,
            retry_at,
            tolerated,
            ..
        } => {
            let mut text = format!("step.failed {step}{}", again(*attempt));
            if retry_at.is_some() {
                text.push_str(" retried");
            }
            if *tolerated {
                text.push_str(" tolerated");
            }
            text
        }
        StepEvent::InDoubt { step, attempt, .. } => {
            format!("step.in_doubt {step}{}", again(*attempt))
        }
        StepEvent::Examining { step, .. } => format!("step.examining {step}"),
        StepEvent::Asked { step, question, .. } => {
            format!("step.asked {step} {question:?}").to_lowercase()
        }
        StepEvent::Resolved { step, how, to, .. } => {
            format!("step.resolved {step} {} {to:?}", how_word(how)).to_lowercase()
        }
        StepEvent::Approved { step, .. } => format!("step.approved {step}"),
        StepEvent::Reopened { step } => format!("step.reopened {step}"),
        StepEvent::Accepted { step, .. } => format!("step.accepted {step}"),
        StepEvent::Diagnosed { step, looks } => format!("step.diagnosed {step} {}", looks.len()),
    }
}

fn how_word(how: &How) -> &'static str {
    match how {
        How::Probe { .. } => "probe",
        How::Idempotent => "idempotent",
        How::Policy => "policy",
        How::Person { .. } => "person",
    }
}

fn rollback_word(event: &RollbackEvent, items: &[String]) -> String {
    match event {
        RollbackEvent::Planned {
            items, not_undone, ..
        } => {
            let mut text = format!("rollback.planned {}", items.len());
            for one in not_undone {
                let _ = write!(text, " not:{}", one.step);
            }
            text
        }
        RollbackEvent::Started { item, attempt: 1 } => format!("rollback.started {}", items[*item]),
        RollbackEvent::Started { item, attempt } => {
            format!("rollback.started {} #{attempt}", items[*item])
        }
        RollbackEvent::Finished { item, .. } => format!("rollback.finished {}", items[*item]),
        RollbackEvent::Failed {
            item,
            retry_at: Some(_),
            ..
        } => format!("rollback.failed {} retried", items[*item]),
        RollbackEvent::Failed { item, .. } => format!("rollback.failed {}", items[*item]),
        RollbackEvent::Skipped {
            item, held: true, ..
        } => format!("rollback.held {}", items[*item]),
        RollbackEvent::Skipped { item, .. } => format!("rollback.skipped {}", items[*item]),
        RollbackEvent::InDoubt { item, .. } => format!("rollback.in_doubt {}", items[*item]),
        RollbackEvent::Examining { item, .. } => format!("rollback.examining {}", items[*item]),
        RollbackEvent::Asked { item, .. } => format!("rollback.asked {}", items[*item]),
        RollbackEvent::Resolved { item, how, to, .. } => format!(
            "rollback.resolved {} {} {to:?}",
            items[*item],
            how_word(how)
        )
        .to_lowercase(),
        RollbackEvent::Waived { item, .. } => format!("rollback.waived {}", items[*item]),
        RollbackEvent::Reopened { item } => format!("rollback.reopened {}", items[*item]),
    }
}

/// Lines without the indentation that all of them have, and with `prefix` instead.
fn dedent(text: &str, prefix: &str) -> String {
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let indent = |line: &str| line.len() - line.trim_start().len();
    let common = lines().map(indent).min().unwrap_or(0);
    lines()
        .map(|line| format!("{prefix}{}\n", &line[common..]))
        .collect()
}

/// Makes equal what differs from run to run; the columns of the plain output stay where they are.
pub fn redact(text: &str, dir: &Path) -> String {
    let dir = dir.display().to_string();
    let mut text = text.replace(&dir, "DIR");
    for (pattern, with) in [
        // the column of times at the start of a line
        (r"(?m)^ *\d+(\.\d+)?(ms|s|m\d\ds)  ", "   TIME  "),
        (r"\b[0-9a-f]{64}\b", "SHA256"),
        (r"\bplan [0-9a-f]{12}\b", "plan DIGEST"),
        (r"\b(\w[\w-]*)-\d{8}-[a-z0-9]{4}\b", "$1-RUN"),
        (
            r"\b(by|process) \S+ on \S+ \(process \d+\)",
            "by WHO on HOST (process PID)",
        ),
        (r"\b\d+(\.\d+)?(ms|s)\b", "TIME"),
    ] {
        text = Regex::new(pattern)
            .unwrap()
            .replace_all(&text, with)
            .into_owned();
    }
    text
}

/// Demands that two texts are the same, and shows where they are not.
#[track_caller]
pub fn same(what: &str, expected: &str, found: &str) {
    assert!(
        expected == found,
        "{what} is not as expected (- expected, + found)\n{}",
        diff(expected, found)
    );
}

/// The lines of two texts side by side: ` ` in both, `-` only in the first, `+` only in the second.
pub fn diff(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.split('\n').collect(), new.split('\n').collect());
    // longest common subsequence from each pair of places to the ends
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < old.len() || j < new.len() {
        let (mark, line) = if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
            (' ', old[i - 1])
        } else if i < old.len() && (j == new.len() || common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            ('-', old[i - 1])
        } else {
            j += 1;
            ('+', new[j - 1])
        };
        let _ = writeln!(text, "{mark}{line}");
    }
    text
}

/// Names of the processes whose command line holds `mark`, with their ids.
pub fn processes(mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(mark) {
            found.push(format!("{name}: {line}"));
        }
    }
    found
}

#[test]
fn a_diff_shows_what_went_and_what_came() {
    assert_eq!(diff("a\nb\nc", "a\nx\nc\nd"), " a\n-b\n+x\n c\n+d\n");
}

#[test]
fn a_redaction_keeps_columns_and_meaning() {
    let dir = Path::new("/tmp/abc");
    assert_eq!(
        redact(
            "    3ms  p/a  ok in 12ms: /tmp/abc/x\n   1.5s  p/b  demo-20260301-ab2c by me on host1 (process 17) after 2.0s\n",
            dir
        ),
        "   TIME  p/a  ok in TIME: DIR/x\n   TIME  p/b  demo-RUN by WHO on HOST (process PID) after TIME\n"
    );
}
