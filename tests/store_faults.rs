//! Faults of the storage under the binary: damaged, lost and exchanged files, a busy or full store,
//! and many processes at one lock. The ids are those of the fault matrix.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry::store::{SqliteStore, Store, StoreError};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use crate::store_contract::{events, me, new_run};
use crate::support::ferry::{Ferry, Ran};

/// Ten short steps and one that lasts until it is ended.
const STEPS: &str = "
    - for_each: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
      id: short
      shell: 'true'
      undo: none
    - id: long
      shell: echo $$ > long.pid; exec sleep 30
      undo: none
";

/// What an engine leaves that was killed while its last step ran.
struct Killed {
    dir: Arc<TempDir>,
    run: String,
    /// Events that were written for certain.
    events: u64,
}

impl Killed {
    fn new() -> Self {
        let going = Ferry::new().steps(STEPS).start();
        going.until("long.pid", "\n");
        // a step that lasts for longer than a moment has its intent witnessed
        std::thread::sleep(Duration::from_millis(300));
        going.signal(Signal::SIGKILL);
        let step = going.text("long.pid").trim().parse().unwrap();
        let ran = going.wait();
        let _ = kill(Pid::from_raw(step), Signal::SIGKILL);
        assert_eq!(ran.code, 137);
        let run = ran.run_dir();
        Self {
            run: run.file_name().unwrap().to_str().unwrap().to_owned(),
            events: ran.journal.last().unwrap().seq,
            dir: Arc::clone(&ran.dir),
        }
    }

    fn state(&self, name: &str) -> PathBuf {
        self.dir.path().join("state").join(name)
    }

    fn ferry(&self, words: &[&str]) -> Ran {
        Ferry::again(&self.dir).command(words).run()
    }

    /// Files of the database, before somebody opens them again.
    fn keep(&self) -> Vec<(PathBuf, Vec<u8>)> {
        ["ferry.db", "ferry.db-wal"]
            .map(|name| self.state(name))
            .into_iter()
            .filter_map(|path| Some((path.clone(), fs::read(path).ok()?)))
            .collect()
    }

    /// Demands that everybody sees that events are lost, and which one is the first.
    #[track_caller]
    fn is_lost(&self, what: &str) {
        let ran = self.ferry(&["verify", "--json", &self.run]).code(72);
        let value: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(value["ok"], false, "{what}");
        let bad = value["first_bad"].as_u64().unwrap();
        assert!((1..=self.events).contains(&bad), "{what}: {bad}");
        let words = format!("its witness saw event {}", self.events);
        assert!(ran.stderr.contains(&words), "{what}: {}", ran.stderr);
        assert!(
            ran.stderr.contains("`-wal` file was lost"),
            "{}",
            ran.stderr
        );
        let doctor = self.ferry(&["doctor"]).code(72);
        let line = format!("problem  run {}: journal of run", self.run);
        assert!(doctor.stdout.contains(&line), "{what}: {}", doctor.stdout);
    }
}

/// Puts files back as they were.
fn restore(files: &[(PathBuf, Vec<u8>)], state: &Path) {
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(state.join(format!("ferry.db{end}")));
    }
    for (path, bytes) in files {
        fs::write(path, bytes).unwrap();
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_killed_engine_leaves_a_journal_that_verifies() {
    let killed = Killed::new();
    let ran = killed.ferry(&["verify", &killed.run[..6]]).code(0);
    let expected = format!(
        "run      {run}\nevents   {n}\nhead     SHA256\nwitness  event {n}, the last one\nproven   no event was changed, dropped or moved since it was written, and none is missing at its end\n",
        run = killed.run.split("-20").next().unwrap().to_owned() + "-RUN",
        n = killed.events
    );
    let ran = ran.stdout(&expected);
    assert_eq!(ran.stderr, "");
    let doctor = killed.ferry(&["doctor"]).code(0);
    let line = format!(
        "warning  run {}: running, {} events",
        killed.run, killed.events
    );
    assert!(doctor.stdout.contains(&line), "{}", doctor.stdout);
    assert!(doctor.stdout.contains("which is gone"), "{}", doctor.stdout);
    assert!(
        doctor.stdout.contains("ok       store: SQLite 3."),
        "{}",
        doctor.stdout
    );
    assert!(
        doctor.stdout.contains("ok       ballast"),
        "{}",
        doctor.stdout
    );
    for line in killed.ferry(&["doctor", "--json"]).code(0).json() {
        assert!(
            line["level"].is_string() && line["text"].is_string(),
            "{line}"
        );
    }
}

/// S06: SQLite takes the log up to the frame before, and says that all is well.
#[test]
fn a_bit_flipped_in_the_log_is_found() {
    let killed = Killed::new();
    let files = killed.keep();
    let log = killed.state("ferry.db-wal");
    let length = fs::metadata(&log).unwrap().len();
    let frame = 24 + 4096;
    let frames = usize::try_from((length - 32) / frame).unwrap();
    // a frame at the beginning, in the middle, and of the very last commit
    for number in [1, frames / 2, frames - 1] {
        restore(&files, &killed.state(""));
        flip(&log, 32 + number * 4120 + 24 + 2000);
        killed.is_lost(&format!("frame {number} of {frames}"));
    }
    restore(&files, &killed.state(""));
    killed.ferry(&["verify", &killed.run]).code(0);
}

/// S07: a log cut short, a log lost, and a copy from before.
#[test]
fn a_log_that_is_cut_or_lost_and_an_older_copy_are_found() {
    let killed = Killed::new();
    let files = killed.keep();
    let log = killed.state("ferry.db-wal");
    for part in [2, 3] {
        restore(&files, &killed.state(""));
        let bytes = fs::read(&log).unwrap();
        fs::write(&log, &bytes[..bytes.len() / part]).unwrap();
        killed.is_lost(&format!("1/{part} of the log"));
    }
    restore(&files[..1], &killed.state(""));
    killed.is_lost("no log");
    // the tables are there, so it does not look like a store that was never used
    let ran = killed.ferry(&["verify"]).code(72);
    assert!(
        ran.stderr.contains("there is none in the database"),
        "{}",
        ran.stderr
    );
    // yesterday's copy has another run, and not this one
    let yesterday = Ferry::new()
        .steps("- shell: 'true'\n  undo: none")
        .run()
        .success();
    restore(&[], &killed.state(""));
    fs::copy(yesterday.path("state/ferry.db"), killed.state("ferry.db")).unwrap();
    killed.is_lost("yesterday's copy");
}

/// S08: a bit of a row, a page, the witness alone.
#[test]
fn damage_in_the_database_and_to_the_witness_is_told_apart() {
    let killed = Killed::new();
    // a writer that opens and closes moves the log into the database
    tokio(async {
        let store = SqliteStore::open(&killed.state("")).await.unwrap();
        store.close().await.unwrap();
    });
    let files = killed.keep();
    assert_eq!(files.len(), 1, "no log is left");
    let db = killed.state("ferry.db");
    let verify = || killed.ferry(&["verify", &killed.run]).code(72).stderr;

    let bytes = &files[0].1;
    let needle = b"\"short[7]\"";
    let hits = bytes.windows(needle.len()).enumerate();
    let hits: Vec<_> = hits.filter(|(_, w)| *w == needle).collect();
    let (at, _) = *hits.last().expect("a row names the step");
    // copies that a page left behind when it was split are no rows
    for (hit, _) in &hits {
        flip(&db, hit + 2);
    }
    let words = verify();
    assert!(words.contains("is corrupt at event "), "{words}");
    assert!(
        words.contains("its hash does not fit its content"),
        "{words}"
    );

    restore(&files, &killed.state(""));
    let mut damaged = bytes.clone();
    let page = at / 4096 * 4096;
    damaged[page..page + 4096].fill(0);
    fs::write(&db, damaged).unwrap();
    let words = verify();
    assert!(words.contains("is corrupt at event "), "{words}");
    assert!(
        words.contains("cannot be read: database disk image is malformed"),
        "{words}"
    );
    let doctor = killed.ferry(&["doctor"]).code(72);
    assert!(
        doctor.stdout.contains("problem  database: "),
        "{}",
        doctor.stdout
    );

    restore(&files, &killed.state(""));
    let witness = killed.state("heads").join(&killed.run);
    let before = fs::read(&witness).unwrap();
    for at in [30, 4096 + 30] {
        flip(&witness, at);
    }
    let words = verify();
    assert!(
        words.contains("has no witness: both of its slots are damaged"),
        "{words}"
    );
    let command = format!("ferry doctor --rebuild-witness {}", killed.run);
    assert!(words.contains(&command), "{words}");
    let ran = killed
        .ferry(&["doctor", "--rebuild-witness", &killed.run])
        .code(0);
    assert!(
        ran.stdout
            .contains(&format!("a new witness at event {}", killed.events))
    );
    killed.ferry(&["verify", &killed.run]).code(0);
    killed
        .ferry(&["doctor", "--rebuild-witness", &killed.run])
        .code(78);
    // one slot is enough
    fs::write(&witness, before).unwrap();
    flip(&witness, 30);
    killed.ferry(&["verify", &killed.run]).code(0);
}

/// While an engine is at work, `verify` reads beside it.
#[test]
fn a_run_is_verified_while_it_runs() {
    let going = Ferry::new().steps(STEPS).start();
    going.until("long.pid", "\n");
    let dir = Arc::new(TempDir::new().unwrap());
    let state = going.path("state");
    let state = state.to_str().unwrap();
    let ran = Ferry::again(&dir)
        .command(&["verify", "--state-dir", state, "--json"])
        .run();
    let value: serde_json::Value = serde_json::from_str(&ran.code(0).stdout).unwrap();
    assert_eq!((&value["ok"], &value["live"]), (&true.into(), &true.into()));
    going.signal(Signal::SIGINT);
    going.signal(Signal::SIGINT);
    let step = going.text("long.pid").trim().parse().unwrap();
    let _ = kill(Pid::from_raw(step), Signal::SIGKILL);
    going.wait();
}

fn tokio<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

/// A lock that eight want: one gets it, the others are told at once and leave nothing behind; when
/// the one is killed, the next gets it.
#[test]
fn of_eight_processes_at_one_lock_one_wins() {
    let dir = Arc::new(TempDir::new().unwrap());
    let text = "
        runbook: demo
        locks: [redis-prod-a]
        phases:
          p:
            steps:
              - shell: echo $$ >> held.pid; exec sleep 30
                undo: none
        ";
    Ferry::again(&dir)
        .runbook(text)
        .command(&["check", "runbook.yaml"])
        .run()
        .success();
    // the store is there already, as it is but for the very first run
    tokio(async {
        SqliteStore::open(&dir.path().join("state"))
            .await
            .unwrap()
            .close()
            .await
    })
    .unwrap();
    for round in 1..=2_usize {
        let run = || Ferry::again(&dir).command(&["run", "runbook.yaml"]).start();
        let started = Instant::now();
        let mut all: Vec<_> = (0..8).map(|_| run()).collect();
        all[0].until_true("somebody has it", || {
            all[0].text("held.pid").lines().count() == round
        });
        // the others are over by themselves
        let winner = loop_until_one(&mut all);
        // a second for the lock, and some for eight debug builds that start on a busy machine
        assert!(
            started.elapsed() < Duration::from_secs(4),
            "{:?}",
            started.elapsed()
        );
        assert_eq!(winner.text("held.pid").lines().count(), round);
        winner.signal(Signal::SIGKILL);
        let pids = winner.text("held.pid");
        winner.wait();
        let step = pids.lines().last().unwrap().parse().unwrap();
        let _ = kill(Pid::from_raw(step), Signal::SIGKILL);
    }
    let runs = tokio(async {
        let store = SqliteStore::open_read_only(&dir.path().join("state"))
            .await
            .unwrap();
        store.runs().await.unwrap()
    });
    assert_eq!(runs.len(), 2, "who lost left nothing: {runs:?}");
}

/// Waits for all but the one that has the lock.
fn loop_until_one(all: &mut Vec<crate::support::ferry::Going>) -> crate::support::ferry::Going {
    let alive = |pid: u32| ferry::store::process_started(pid).is_some();
    let until = Instant::now() + Duration::from_secs(10);
    while all.iter().filter(|going| alive(going.pid())).count() > 1 {
        assert!(Instant::now() < until, "more than one goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let at = all.iter().position(|going| alive(going.pid())).unwrap();
    let winner = all.swap_remove(at);
    for loser in all.drain(..) {
        let ran = loser.wait();
        assert_eq!(ran.code, 75, "{}", ran.stderr);
        assert!(ran.stderr.contains("lock `redis-prod-a`"), "{}", ran.stderr);
    }
    winner
}

/// S09: a short wait is waited out, a long one is told, and nothing was started.
#[test]
fn a_store_that_another_process_keeps_is_waited_for() {
    let dir = Arc::new(TempDir::new().unwrap());
    let state = dir.path().join("state");
    tokio(async {
        SqliteStore::open(&state)
            .await
            .unwrap()
            .close()
            .await
            .unwrap();
        let options = SqliteConnectOptions::new().filename(state.join("ferry.db"));
        let mut other = options.connect().await.unwrap();
        sqlx::query("BEGIN EXCLUSIVE")
            .execute(&mut other)
            .await
            .unwrap();
        let run = || Ferry::again(&dir).steps("- shell: echo x >> ledger\n  undo: none");
        let going = run().start();
        tokio::time::sleep(Duration::from_secs(2)).await;
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
        let ran = tokio::task::spawn_blocking(|| going.wait())
            .await
            .unwrap()
            .success();
        assert!(ran.took >= Duration::from_secs(2), "{:?}", ran.took);
        assert_eq!(ran.ledger(), ["x"]);

        sqlx::query("BEGIN EXCLUSIVE")
            .execute(&mut other)
            .await
            .unwrap();
        let going = run().start();
        let ran = tokio::task::spawn_blocking(|| going.wait())
            .await
            .unwrap()
            .code(75);
        assert!(
            ran.stderr.contains("is kept busy by another process"),
            "{}",
            ran.stderr
        );
        assert!(ran.took < Duration::from_secs(12), "{:?}", ran.took);
        assert_eq!(ran.ledger(), ["x"]);
        other.close().await.unwrap();
    });
}

/// A file system of its own, if this process may mount one.
struct Mounted(TempDir);

impl Mounted {
    fn new(options: &str) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "ferry-test"])
            .arg(dir.path())
            .output();
        match done {
            Ok(done) if done.status.success() => Some(Self(dir)),
            other => {
                print_reason(&format!("a tmpfs cannot be mounted: {other:?}"));
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let done = Command::new("mount")
            .args(["-o", &options])
            .arg(self.0.path())
            .status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[expect(clippy::print_stderr, reason = "a test that was not made says why")]
fn print_reason(why: &str) {
    eprintln!("not tested: {why}");
}

/// S01 at the store: a full disk is told, writes nothing, and the space put aside is enough for the
/// last events.
#[tokio::test]
async fn a_full_disk_is_told_and_leaves_room_for_the_last_events() {
    let Some(disk) = Mounted::new("size=24m") else {
        return;
    };
    let dir = disk.0.path().join("state");
    let store = SqliteStore::open(&dir).await.unwrap();
    let lease = store.begin(&new_run("r1"), &me()).await.unwrap();
    store.commit(&lease, events(1..=1)).await.unwrap();
    // to the last byte
    let filler = disk.0.path().join("filler");
    let mut size = 1 << 20;
    let mut file = fs::File::create(&filler).unwrap();
    while size > 0 {
        if std::io::Write::write_all(&mut file, &vec![1; size]).is_err() {
            size /= 2;
        }
    }
    let mut written = 1;
    let error = loop {
        match store
            .commit(&lease, events(written + 1..=written + 40))
            .await
        {
            Ok(seq) => written = seq,
            Err(error) => break error,
        }
        assert!(written < 4000, "the disk was not full");
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    let again = store
        .commit(&lease, events(written + 1..=written + 40))
        .await;
    assert!(matches!(again, Err(StoreError::Full { .. })));
    assert!(store.make_room());
    let seq = store
        .commit(&lease, events(written + 1..=written + 3))
        .await
        .unwrap();
    assert_eq!(seq, written + 3);
    store.release(&lease).await.unwrap();
    let verified = store.verify("r1").await.unwrap();
    assert_eq!((verified.events, verified.witness), (seq, Some(seq)));
}

/// S05: what cannot be written at the start is told, and nothing is started.
#[test]
fn a_read_only_state_directory_is_told_at_the_start() {
    let Some(disk) = Mounted::new("size=24m") else {
        return;
    };
    let state = disk.0.path().join("state");
    tokio(async { SqliteStore::open(&state).await.unwrap().close().await }).unwrap();
    disk.remount("ro");
    let state = state.to_str().unwrap();
    let ran = Ferry::new()
        .steps("- shell: echo x >> ledger\n  undo: none")
        .args(["--state-dir", state])
        .run()
        .code(77);
    assert!(ran.ledger().is_empty());
    disk.remount("rw");
}

/// S03: a file that may not grow is a failed write, and no end by a signal. A log that met the limit
/// is moved into the database and begun anew; when that meets it too, the run ends.
#[test]
fn a_file_size_limit_is_told_and_leaves_a_good_journal() {
    let run = |count: usize, script| {
        let items: Vec<_> = (0..count).collect();
        let steps = format!("- for_each: {items:?}\n  shell: echo x >> ledger\n  undo: none");
        Ferry::new().steps(&steps).through(script).run()
    };
    // in KiB: what the database comes to, less than its log would
    let ran = run(12, "ulimit -f 48; exec \"$@\"").success();
    assert_eq!(ran.ledger().len(), 12);
    // what the tables have, less than the database would come to
    let ran = run(40, "ulimit -f 38; exec \"$@\"").code(74);
    let words = ran.words();
    let started = words
        .iter()
        .filter(|w| w.starts_with("step.started"))
        .count();
    let done = ran.ledger().len();
    assert!(done < 40 && done <= started, "{done} of {started}");
    let ran = Ferry::again(&ran.dir).command(&["verify"]).run().code(0);
    assert!(ran.stdout.contains("proven   no event was changed"));
    // and a limit that the tables do not fit into
    let ran = Ferry::new()
        .steps("- shell: echo x >> ledger\n  undo: none")
        .through("ulimit -f 8; exec \"$@\"")
        .run()
        .code(74);
    assert!(ran.ledger().is_empty());
}

/// Steps of which one fills the disk that the state is on.
fn filling(disk: &Path, more: &str) -> String {
    let filler = disk.join("filler").display().to_string();
    format!(
        "- id: a\n  shell: echo a >> ledger\n  undo: none\n\
         - id: fill\n  shell: {more}for size in 1048576 4096 64 1; do dd if=/dev/zero bs=$size of={filler}.$size 2> /dev/null; done; echo fill >> ledger\n  undo: none\n\
         - id: b\n  shell: echo b >> ledger\n  undo: none\n"
    )
}

fn freed(disk: &Path) {
    for size in [1_048_576, 4096, 64, 1] {
        fs::remove_file(disk.join(format!("filler.{size}"))).unwrap();
    }
}

/// S01: the disk is full when an intent is to be written. The step does not start, what was reported
/// before is kept in the space put aside, the run is parked, and it goes on when there is room.
#[test]
fn a_disk_that_fills_up_parks_the_run_and_starts_nothing() {
    let Some(disk) = Mounted::new("size=24m") else {
        return;
    };
    let disk = disk.0.path();
    let state = disk.join("state").display().to_string();
    let ran = Ferry::new()
        .steps(&filling(disk, ""))
        .env("FERRY_STATE_DIR", &state)
        .run()
        .code(74);
    assert_eq!(ran.ledger(), ["a", "fill"], "{}", ran.all());
    assert!(ran.stderr.contains("is parked"), "{}", ran.stderr);
    freed(disk);
    let again = Ferry::again(&ran.dir)
        .command(&["resume"])
        .env("FERRY_STATE_DIR", &state)
        .run()
        .code(0);
    assert_eq!(again.ledger(), ["a", "fill", "b"], "{}", again.all());
}

/// S02: the disk is full when an outcome is to be written, and there is nothing put aside. The effect
/// is there once, the run ends with 74, and the step is in doubt for whoever goes on.
#[test]
fn an_outcome_that_cannot_be_written_leaves_a_doubt() {
    let Some(disk) = Mounted::new("size=24m") else {
        return;
    };
    let disk = disk.0.path();
    let state = disk.join("state").display().to_string();
    let ran = Ferry::new()
        .steps(&filling(disk, &format!("rm {state}/ballast; ")))
        .env("FERRY_STATE_DIR", &state)
        .run()
        .code(74);
    assert_eq!(ran.ledger(), ["a", "fill"], "{}", ran.all());
    freed(disk);
    let ferry = |words: &[&str]| {
        Ferry::again(&ran.dir)
            .command(words)
            .env("FERRY_STATE_DIR", &state)
            .run()
    };
    let asked = ferry(&["resume"]).code(13);
    assert_eq!(asked.ledger(), ["a", "fill"], "{}", asked.all());
    assert!(
        asked.stderr.contains("fill") && asked.stderr.contains("did it take effect?"),
        "{}",
        asked.stderr
    );
    let id = asked.stderr.split("ferry answer ").nth(1).unwrap();
    let id = id.split_whitespace().next().unwrap();
    ferry(&[
        "answer",
        id,
        "fill",
        "done",
        "--reason",
        "the disk was full",
    ])
    .code(0);
    let ended = ferry(&["resume"]).code(0);
    assert_eq!(ended.ledger(), ["a", "fill", "b"], "{}", ended.all());
}
