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
            "- id: a\n  shell: echo +a >> ledger; sleep 1.5; echo -a >> ledger; true {mark}\n  undo: none\n"
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
            "- id: a\n  shell: {{ argv: [bash, -c, \"for fd in /proc/self/fd/*; do n=${{fd##*/}}; (( n > 2 )) && eval \\\"exec $n>&-\\\"; done; echo +a >> ledger; sleep 61; true {mark}\"] }}\n  undo: none\n"
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
