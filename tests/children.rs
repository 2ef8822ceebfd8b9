//! Children, beyond what one process group is: trees that are left and escaped, what a child
//! inherits, floods, and starts that fail. The case of the fault matrix stands in each test's doc.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ferry::action::tree::leftover::{self, Leftover};
use ferry::action::{Stop, StopSignal, tree};
use ferry::event::{Cause, Outcome};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::ferry::{Ferry, Going, Ran, processes};

/// A mark in a command line that no other test has.
fn mark(test: &str) -> String {
    format!("{test}-{}-mark", std::process::id())
}

/// What is left of a killed engine, ended when this goes away.
struct Killed {
    going: Option<Going>,
    mark: String,
}

impl Killed {
    /// Starts these steps, waits until the ledger holds `+a`, and kills the engine.
    fn new(steps: &str, mark: &str) -> Self {
        let going = Ferry::new().steps(steps).start();
        going.until("ledger", "+a");
        going.signal(Signal::SIGKILL);
        Self {
            going: Some(going),
            mark: mark.into(),
        }
    }

    fn dir(&self) -> &Path {
        self.going.as_ref().unwrap().directory()
    }

    fn run_dir(&self) -> PathBuf {
        let mut runs = std::fs::read_dir(self.dir().join("state/runs")).unwrap();
        runs.next().unwrap().unwrap().path()
    }

    fn lock(&self) -> PathBuf {
        tree::find(&self.run_dir(), "a", "do", 1).unwrap()
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.going.take());
        for line in processes(&self.mark) {
            let pid = line.split(':').next().unwrap().parse().unwrap();
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

/// Ends what holds a lock, with what it said meanwhile.
fn end(lock: &Path, wait: Duration, grace: Duration) -> (Leftover, Vec<String>) {
    let said = Mutex::new(Vec::new());
    let (_sender, stop) = StopSignal::channel();
    let ended = block_on(leftover::end(
        lock,
        Instant::now() + wait,
        grace,
        stop,
        |line| {
            said.lock().unwrap().push(line.to_owned());
        },
    ));
    (ended, said.into_inner().unwrap())
}

const LONG: Duration = Duration::from_secs(30);
const NONE: Duration = Duration::ZERO;

/// P03: the engine is killed while a step runs; the old effect is seen, waited for, and ends by itself.
#[test]
fn a_step_that_outlives_its_engine_is_seen_and_waited_for() {
    let mark = mark("outlives");
    let killed = Killed::new(
        &format!(
            "- id: a\n  shell: sleep 0.5; echo +a >> ledger; sleep 1.5; echo -a >> ledger; true {mark}\n  undo: none\n"
        ),
        &mark,
    );
    let lock = killed.lock();
    let seen = leftover::look(&lock).unwrap();
    assert!(!seen.is_empty());
    let record = tree::Record::read(&lock).unwrap();
    assert_eq!(
        (
            record.step.as_str(),
            record.direction.as_str(),
            record.attempt
        ),
        ("a", "do", 1)
    );
    assert!(
        seen.contains(&u32::try_from(record.pid.unwrap()).unwrap()),
        "{seen:?} {record:?}"
    );
    let (ended, said) = end(&lock, LONG, NONE);
    assert_eq!(ended, Leftover::EndedByItself);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("waiting for their end"), "{said:?}");
    assert!(
        std::fs::read_to_string(killed.dir().join("ledger"))
            .unwrap()
            .contains("-a")
    );
    assert!(!lock.exists());
    assert_eq!(end(&lock, LONG, NONE).0, Leftover::Gone);
    assert_eq!(tree::find(&killed.run_dir(), "a", "do", 1), None);
}

/// P03: what does not end by itself is told to, and killed when it does not heed; what left its
/// group by `setsid` as well, and a stranger of the same machine is not touched.
#[test]
fn a_leftover_that_does_not_end_is_killed_with_what_left_its_group() {
    let mark = mark("leftover");
    let mut stranger = Command::new("sleep").arg("100").spawn().unwrap();
    let killed = Killed::new(
        &format!(
            "- id: a\n  shell: \"trap '' TERM; setsid sh -c 'trap \\\"\\\" TERM; while :; do sleep 1; done; true {mark}' & echo +a >> ledger; while :; do sleep 1; done; true {mark}\"\n  undo: none\n"
        ),
        &mark,
    );
    let lock = killed.lock();
    let began = Instant::now();
    let (ended, said) = end(&lock, NONE, Duration::from_millis(600));
    assert_eq!(ended, Leftover::Killed);
    let took = began.elapsed();
    assert!(
        (Duration::from_millis(600)..Duration::from_secs(4)).contains(&took),
        "{took:?}"
    );
    assert!(said[1].contains("they are told to end"), "{said:?}");
    assert_eq!(processes(&mark), Vec::<String>::new());
    assert!(stranger.try_wait().unwrap().is_none());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// P03: a stop while waiting signals nothing, and says what is there.
#[test]
fn a_stop_ends_the_waiting_and_nothing_else() {
    let mark = mark("waiting");
    let killed = Killed::new(
        &format!("- id: a\n  shell: echo +a >> ledger; sleep 61; true {mark}\n  undo: none\n"),
        &mark,
    );
    let lock = killed.lock();
    let ended = block_on(async {
        let (sender, stop) = StopSignal::channel();
        let work = leftover::end(&lock, Instant::now() + LONG, NONE, stop, |_| {});
        let stopped = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            sender.send_replace(Stop::Terminate);
            std::future::pending::<()>().await;
        };
        tokio::select! { ended = work => ended, () = stopped => unreachable!() }
    });
    let Leftover::StillThere(pids) = ended else {
        panic!("{ended:?}")
    };
    assert!(!pids.is_empty());
    assert_eq!(processes(&mark).len(), 1, "the shell goes on");
    assert_eq!(tree::find(&killed.run_dir(), "a", "do", 1), Some(lock));
}

/// A child that holds a lock file, as a step's would.
fn holder(lock: &Path) -> Child {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(lock)
        .unwrap();
    file.try_lock().unwrap();
    // standard input passes through exec
    Command::new("sleep")
        .arg("100")
        .stdin(Stdio::from(file))
        .process_group(0)
        .spawn()
        .unwrap()
}

/// P04: the number in the record is a stranger's by now: whoever holds the lock is ended, and the
/// stranger is not, whether or not the lock is held.
#[test]
fn a_number_that_came_back_is_not_signalled() {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join("tree-1");
    let mut stranger = Command::new("sleep").arg("100").spawn().unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let boot = boot.trim();
    let record = |from: u64| {
        format!(
            "a\tdo\t1\t{boot}\t{}\t{from}\t{}\n",
            stranger.id(),
            from + 1
        )
    };
    // started at another time than the process of that number
    std::fs::write(&lock, record(1)).unwrap();
    assert_eq!(
        tree::Record::read(&lock).unwrap().pid,
        i32::try_from(stranger.id()).ok()
    );
    assert_eq!(leftover::look(&lock), None);
    let mut held = holder(&lock);
    assert_eq!(leftover::look(&lock), Some(vec![held.id()]));
    let (ended, _) = end(&lock, NONE, LONG);
    assert_eq!(ended, Leftover::Killed);
    assert!(
        held.wait().unwrap().code().is_none(),
        "it was ended by a signal"
    );
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger lives");
    assert!(!lock.exists());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// P08, in part: a leader that closed the lock is known by boot, pid and start time alone.
#[test]
fn a_leader_that_closed_the_lock_is_known_by_its_start() {
    let mark = mark("closes");
    let killed = Killed::new(
        &format!(
            "- id: a\n  shell: {{ argv: [bash, -c, \"for fd in /proc/self/fd/*; do n=${{fd##*/}}; (( n > 2 )) && eval \\\"exec $n>&-\\\"; done; sleep 0.5; echo +a >> ledger; sleep 61; true {mark}\"] }}\n  undo: none\n"
        ),
        &mark,
    );
    let lock = killed.lock();
    let record = tree::Record::read(&lock).unwrap();
    let leader = u32::try_from(record.pid.unwrap()).unwrap();
    assert_eq!(leftover::look(&lock), Some(vec![leader]));
    let (ended, _) = end(&lock, NONE, Duration::from_secs(5));
    assert_eq!(ended, Leftover::Killed);
    assert!(!Path::new(&format!("/proc/{leader}")).exists() || is_zombie(leader));
}

fn is_zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

/// P02: what leaves its group by `setsid`, or by a double fork, is ended with a step that times out,
/// fails, or is stopped; nothing is left, and the engine keeps no remains.
#[test]
fn what_leaves_its_group_is_ended_with_the_step() {
    let mark = mark("escape");
    let escape = format!(
        "setsid sh -c 'sleep 61; true {mark}' & (setsid sh -c \"sleep 62; true {mark}\" &) ; sleep 0.2"
    );
    for (end, more, cause) in [
        ("exit 3", "", Cause::Failed),
        ("sleep 60", "\n  timeout: 500ms", Cause::Timeout),
    ] {
        let ran = Ferry::new()
            .steps(&format!(
                "- id: a\n  shell: |\n    {escape}\n    {end}{more}\n  undo: [{{ shell: echo undo >> ledger }}]\n"
            ))
            .run()
            .code(11);
        assert_eq!(processes(&mark), Vec::<String>::new(), "{end}");
        let failed = ran.failed("a");
        assert_eq!((failed.cause, failed.outcome), (cause, Outcome::Unknown));
        assert!(
            ran.report("a").took_ms < 3_000,
            "{}",
            ran.report("a").took_ms
        );
        assert_eq!(ran.ledger(), ["undo"]);
        assert_eq!(held(&ran), 0);
    }
    let going = Ferry::new()
        .steps(&format!(
            "- id: a\n  shell: |\n    {escape}\n    echo +a >> ledger; sleep 60\n  undo: none\n"
        ))
        .start();
    going.until("ledger", "+a");
    for _ in 0..2 {
        going.signal(Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(200));
    }
    going.wait().code(130);
    assert_eq!(processes(&mark), Vec::<String>::new());
}

/// How many lock files name an attempt.
fn held(ran: &Ran) -> usize {
    let locks = std::fs::read_dir(tree::directory(&ran.run_dir())).unwrap();
    locks
        .filter(|entry| tree::Record::read(&entry.as_ref().unwrap().path()).is_some())
        .count()
}

/// P01 and P02: an escaped child that ignores TERM is killed after the grace, which begins when the
/// group is told and not anew.
#[test]
fn an_escaped_child_that_ignores_term_is_killed_when_its_group_is() {
    let mark = mark("stubborn");
    let ran = Ferry::new()
        .steps(&format!(
            "- id: a\n  shell: |\n    setsid sh -c 'trap \"\" TERM; while :; do sleep 0.2; done; true {mark}' &\n    sleep 60\n  timeout: 300ms\n  undo: none\n"
        ))
        .run()
        .code(11);
    assert_eq!(processes(&mark), Vec::<String>::new());
    let took = ran.report("a").took_ms;
    assert!((9_300..11_400).contains(&took), "{took} ms");
}

/// P02: a good step may leave a server behind; the next step is not held up by its lock, and its
/// remains do not stay with the engine.
#[test]
fn a_good_step_may_leave_a_server_behind() {
    let mark = mark("server");
    let ran = Ferry::new()
        .steps(&format!(
            "
            - id: a
              shell: (setsid sh -c 'sleep 0.3' >/dev/null 2>&1 &); setsid sh -c 'sleep 61; true {mark}' >/dev/null 2>&1 & sleep 0.1
              undo: none
            - id: b
              shell: {{ run: \"sleep 2; ps -o stat= --ppid $PPID | grep -c Z\", ok: [1] }}
              undo: none
            "
        ))
        .run();
    let left = processes(&mark);
    for line in &left {
        let pid = line.split(':').next().unwrap().parse().unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    assert_eq!(left.len(), 1, "{}", ran.all());
    // `grep -c` prints 0 and fails when there is none
    assert_eq!(ran.result("b")["stdout"], "0", "{}", ran.all());
    assert_eq!(held(&ran), 0);
}

/// What of a status file of a process stands behind a name.
fn field(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no `{name}` in {text}"))
        .trim()
        .to_owned()
}

/// 2.6: a child has an empty signal mask, no ignored SIGPIPE and SIGXFSZ, and no descriptor but 0, 1, 2
/// and its lock, whatever ferry was started with; and the caller's own descriptors stay open in ferry.
#[test]
fn a_child_starts_clean() {
    let ran = Ferry::new()
        .steps("- id: a\n  shell: umask > umask; grep Sig /proc/self/status > signals; readlink /proc/self/fd/* > fds; ls /proc/$PPID/fd -l > own; stat -c %a umask > mode; touch written; for fd in /proc/$$/fd/*; do n=${fd##*/}; if test $n -gt 2 && readlink $fd | grep -q locks/tree; then echo $n >> seen; bash -c \"echo x >&$n\" 2>/dev/null && echo $n >> written; fi; done; true\n  undo: none\n")
        .through("trap '' PIPE XFSZ TERM; exec 7>held 19</dev/zero; exec \"$@\"")
        .run()
        .success();
    assert_eq!(ran.text("umask"), "0077\n");
    assert_eq!(ran.text("mode"), "600\n");
    let signals = ran.text("signals");
    assert_eq!(u64::from_str_radix(&field(&signals, "SigBlk:"), 16), Ok(0));
    let ignored = u64::from_str_radix(&field(&signals, "SigIgn:"), 16).unwrap();
    for signal in [
        Signal::SIGPIPE,
        Signal::SIGXFSZ,
        Signal::SIGINT,
        Signal::SIGTERM,
    ] {
        assert_eq!(
            ignored & (1 << (signal as i32 - 1)),
            0,
            "{signal}: {ignored:x}"
        );
    }
    let fds = ran.text("fds");
    let fds: Vec<_> = fds.lines().collect();
    assert_eq!(ran.text("seen").lines().count(), 1);
    assert_eq!(ran.text("written"), "", "the lock cannot be written to");
    // of the program that looks: 0 to 2 and the lock; the directory that it read is closed again
    let is = |what: &str| fds.iter().any(|fd| fd.contains(what));
    assert!(
        is("/dev/null") && is("/fds") && is("pipe:") && is("/locks/tree-"),
        "{fds:?}"
    );
    assert_eq!(fds.len(), 4, "{fds:?}");
    // what the engine itself keeps may only be looked at by root
    if nix::unistd::geteuid().is_root() {
        let own = ran.text("own");
        assert!(own.contains("/held") && own.contains("/dev/zero"), "{own}");
    }
}

/// Runs as an ordinary user where the tests run as root; everything is that user's then.
const ORDINARY: &str = r#"
    if [ "$(id -u)" != 0 ]; then exec "$@"; fi
    uid=$((60000 + $$ % 5000)); cp "$1" ferry-binary; shift; chown -R $uid .
    exec setpriv --reuid=$uid --regid=$uid --clear-groups ./ferry-binary "$@"
"#;

/// 2.10: the engine leaves no core and lets no other process of the same user look into it; whether it
/// is alive can still be seen.
#[test]
fn the_engine_keeps_to_itself() {
    let ran = Ferry::new()
        .steps("- id: a\n  shell: cat /proc/$PPID/environ > environ; ls /proc/$PPID/fd > fds; cat /proc/$PPID/limits > limits; cat /proc/$PPID/stat > stat; ulimit -Sc > core; true\n  undo: none\n")
        .env("CANARY", "canary-of-the-engine")
        .through(ORDINARY)
        .run()
        .success();
    assert_eq!(ran.text("environ"), "");
    assert_eq!(ran.text("fds"), "");
    assert!(field(&ran.text("limits"), "Max core file size").starts_with("0 "));
    assert_eq!(ran.text("core"), "0\n");
    let stat = ran.text("stat");
    let started: u64 = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .nth(19)
        .unwrap()
        .parse()
        .unwrap();
    assert!(started > 0, "{stat}");
}

/// 2.6: what ferry copies keeps its mode under the narrow umask.
#[test]
fn copied_files_keep_their_modes() {
    let ran = Ferry::new()
        .file("from", "text")
        .steps(
            "
            - id: mode
              shell: chmod 0644 from
              undo: none
            - id: copy
              file.copy: { from: from, to: to }
            - id: write
              file.write: { path: written, text: text }
            - id: look
              shell: stat -c '%n %a' to written
              undo: none
              expect: result.stdout == \"to 644\\nwritten 644\"
            ",
        )
        .run();
    assert_eq!(ran.code, 0, "{}", ran.all());
}

/// P07: too many arguments, descriptors and processes: proven not to have happened.
#[test]
fn what_the_system_refuses_to_start_did_not_happen() {
    let many = "\"${{ inputs.big }}\", ".repeat(30);
    let text = format!(
        "runbook: demo\ninputs: {{ big: {{ env: BIG }} }}\nphases: {{ p: {{ steps: [{{ id: a, shell: {{ argv: [echo, {many}end] }}, undo: [{{ shell: echo undo >> ledger }}] }}] }} }}\n"
    );
    let ran = Ferry::new()
        .runbook(&text)
        .env("BIG", &"x".repeat(100_000))
        .run()
        .code(11);
    assert_eq!(
        ran.failure(),
        "step `a`: `echo` could not be started: Argument list too long (os error 7)"
    );
    assert_eq!(ran.failed("a").outcome, Outcome::NotApplied);
    assert_eq!(ran.ledger(), Vec::<String>::new());
    assert_eq!(held(&ran), 0);
}

/// P07: too few descriptors, whatever the first is that cannot be had: a step that was not started did
/// not happen, and one that ran is in the journal.
#[test]
fn without_descriptors_nothing_is_lost_and_nothing_doubled() {
    let mut refused = 0;
    for limit in 11..=22 {
        let ran = Ferry::new()
            .steps("- id: a\n  shell: echo a >> ledger\n  undo: [{ shell: echo undo >> ledger }]\n")
            .through(&format!("ulimit -n {limit}; exec \"$@\""))
            .run();
        let started = ran.words().iter().any(|word| word == "step.started a");
        match ran.code {
            0 => assert_eq!(ran.ledger(), ["a"]),
            11 if started => {
                let failed = ran.failed("a");
                assert_eq!(
                    failed.outcome,
                    Outcome::NotApplied,
                    "{limit}: {}",
                    ran.all()
                );
                assert!(
                    failed.message.contains("Too many open files"),
                    "{}",
                    failed.message
                );
                assert_eq!(ran.ledger(), Vec::<String>::new());
                refused += 1;
            }
            _ => {
                assert!(!started, "{limit}: {}", ran.all());
                assert_eq!(ran.ledger(), Vec::<String>::new(), "{limit}");
                assert!((64..=78).contains(&ran.code), "{limit}: {}", ran.all());
            }
        }
    }
    assert!(refused > 0, "no limit met a spawn");
}

/// P07: no more processes for this user: the step did not happen, and is tried again.
#[test]
fn without_room_for_a_process_a_step_is_tried_again() {
    // bash waits and tries again when it cannot fork, so that there is no room meanwhile
    let ran = Ferry::new()
        .runbook(
            "
            runbook: demo
            phases:
              fill: { steps: [{ id: fill, shell: { argv: [bash, -c, 'for n in {1..40}; do sleep 1.5 >/dev/null 2>&1 & done'], ok: [0, 254] }, undo: none }] }
              p:
                steps:
                  - { id: w, wait: 400ms }
                  - id: b
                    shell: echo b >> ledger
                    retry: { limit: 8, backoff: 700ms }
                    undo: [{ shell: echo undo >> ledger }]
            ",
        )
        .through(&format!("ulimit -u 30\n{ORDINARY}"))
        .run()
        .success();
    let refused = ran.journal.iter().find_map(|event| match &event.kind {
        ferry::event::EventKind::Step(ferry::event::StepEvent::Failed {
            step, failure, ..
        }) if step == "b" => Some(failure.clone()),
        _ => None,
    });
    let refused = refused.unwrap_or_else(|| panic!("{}", ran.all()));
    assert_eq!(refused.outcome, Outcome::NotApplied);
    assert!(
        refused.message.contains("could not be started"),
        "{}",
        refused.message
    );
    assert_eq!(ran.ledger(), ["b"]);
}

/// P05: a flood without a newline, of bytes that are no text, and of a million short lines: the engine
/// stays small, the child is not held up, and what is said of the cut is exact.
#[test]
fn floods_of_any_kind_are_taken_in_little_memory() {
    const MIB: u64 = 1 << 20;
    let cases = [
        ("head -c 64M /dev/zero", 64 * MIB),
        (r"head -c 64M /dev/zero | tr '\0' '\377'", 64 * MIB),
        ("seq 1000000", 6_888_896),
    ];
    for (flood, bytes) in cases {
        let began = Instant::now();
        let plain = Command::new("sh")
            .args(["-c", &format!("{flood} | cat > /dev/null")])
            .status();
        assert!(plain.unwrap().success());
        let floor = began.elapsed();
        let going = Ferry::new()
            .steps(&format!("- id: quiet\n  shell: touch quiet; sleep 0.3\n  undo: none\n- id: a\n  shell: \"{}; touch over; sleep 0.3\"\n  read_only: true\n", flood.replace('\\', "\\\\")))
            .start();
        going.until_true("the first step runs", || going.path("quiet").exists());
        let base = peak(going.pid());
        going.until_true("the flood is over", || going.path("over").exists());
        let over = peak(going.pid()) - base;
        let ran = going.wait().success();
        assert!(over < 64 << 10, "{flood}: {over} kB over {base} kB");
        let report = ran.report("a");
        let kept = report.output.clone().unwrap();
        assert_eq!((kept.bytes, kept.kept), (bytes, 2 * MIB), "{flood}");
        let sum = Command::new("sh")
            .args(["-c", &format!("{flood} | sha256sum")])
            .output()
            .unwrap();
        assert!(
            String::from_utf8_lossy(&sum.stdout).starts_with(&kept.sha256),
            "{flood}"
        );
        let file = std::fs::metadata(ran.run_dir().join(&kept.file)).unwrap();
        let note = format!("\n... {} bytes left out ...\n", bytes - 2 * MIB);
        assert_eq!(file.len(), 2 * MIB + note.len() as u64, "{flood}");
        // without optimisation the hash alone takes several times as long
        let times = if cfg!(debug_assertions) { 60 } else { 3 };
        let took = Duration::from_millis(report.took_ms);
        let longest = floor * times + Duration::from_millis(1_500);
        assert!(took < longest, "{flood}: {took:?}, floor {floor:?}");
    }
}

/// The most memory that a process had so far, in kB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let most = field(&status, "VmHWM:");
    most.trim_end_matches("kB").trim().parse().unwrap()
}

/// The letter that the system has for what a process does.
fn doing(pid: &str) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.trim().to_owned());
    behind.and_then(|rest| rest.chars().next()).unwrap_or('-')
}

/// O06: Ctrl-Z stops the step's processes and then ferry; after it goes on nothing has timed out, a
/// wait between attempts is not over early, and the run ends as if it had never stood still.
#[test]
fn a_stop_by_the_terminal_stops_steps_and_their_timers() {
    let going = Ferry::new()
        .steps(
            "
            - id: a
              shell: echo $PPID > ferry-pid; echo $$ > pid; echo +a >> ledger; n=0; while [ $n -lt 10 ]; do sleep 0.1; n=$((n+1)); done; echo -a >> ledger
              timeout: 2s
              undo: none
            ",
        )
        // a group of its own with a shell that waits for it, as at a terminal
        .through("set -m; \"$@\" & wait -f $!")
        .start();
    going.until("ledger", "+a");
    let pid = |name: &str| going.text(name).trim().to_owned();
    let (ferry, child) = (pid("ferry-pid"), pid("pid"));
    let tell = |signal| kill(Pid::from_raw(ferry.parse().unwrap()), signal).unwrap();
    tell(Signal::SIGTSTP);
    going.until_true("both are stopped", || {
        doing(&ferry) == 'T' && doing(&child) == 'T'
    });
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(going.text("ledger"), "+a\n", "nothing goes on meanwhile");
    tell(Signal::SIGCONT);
    let ran = going.wait().success();
    assert_eq!(ran.ledger(), ["+a", "-a"]);
    assert!(
        ran.report("a").took_ms > 2_500,
        "the record has the true time"
    );
}

/// O06: a step that takes too long is still ended after a stop, by the time that it ran.
#[test]
fn a_timer_goes_on_after_a_stop() {
    let going = Ferry::new()
        .steps("- id: a\n  shell: echo $PPID > ferry-pid; echo +a >> ledger; sleep 30\n  timeout: 1s\n  undo: none\n")
        .through("set -m; \"$@\" & wait -f $!")
        .start();
    going.until("ledger", "+a");
    let ferry = going.text("ferry-pid").trim().to_owned();
    let tell = |signal| kill(Pid::from_raw(ferry.parse().unwrap()), signal).unwrap();
    tell(Signal::SIGTSTP);
    going.until_true("it is stopped", || doing(&ferry) == 'T');
    std::thread::sleep(Duration::from_millis(1_500));
    tell(Signal::SIGCONT);
    let ran = going.wait().code(11);
    assert_eq!(ran.failed("a").cause, Cause::Timeout);
    let took = ran.report("a").took_ms;
    assert!((2_400..4_000).contains(&took), "{took} ms");
}

/// O06: where nobody could continue it, a stop by the terminal is not heeded.
#[test]
fn a_stop_that_nobody_could_end_is_not_heeded() {
    let going = Ferry::new()
        .steps("- id: a\n  shell: echo +a >> ledger; sleep 0.8\n  undo: none\n")
        .through("exec setsid \"$@\"")
        .start();
    going.until("ledger", "+a");
    going.signal(Signal::SIGTSTP);
    assert!(going.wait().success().took < Duration::from_secs(10));
}

/// 2.9: SIGQUIT says what is in flight, and the run goes on without a core.
#[test]
fn a_quit_shows_what_is_in_flight() {
    let going = Ferry::new()
        .runbook(
            "
            runbook: demo
            phases:
              one: { steps: [{ id: a, shell: echo $$ > pid; echo +a >> ledger; sleep 1, undo: none }] }
              two: { steps: [{ id: w, wait: 1s }] }
            ",
        )
        .start();
    going.until("ledger", "+a");
    let pid = going.text("pid").trim().to_owned();
    going.signal(Signal::SIGQUIT);
    let ran = going.wait().success();
    assert!(ran.stderr.contains(": 2 in flight\n"), "{}", ran.stderr);
    let line = ran
        .stderr
        .lines()
        .find(|line| line.trim_start().starts_with("`a` for "));
    assert!(
        line.is_some_and(|line| line.contains(&format!("do attempt 1: process group {pid} for "))),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr
            .lines()
            .any(|line| line.trim_start().starts_with("`w` for ")),
        "{}",
        ran.stderr
    );
}
