//! Speed of the SQLite store beside a bare append and fdatasync of the same bytes, taken in turns.
//!
//! Prints and judges nothing. `FERRY_BENCH_DIR` names a directory on the disk to measure (default:
//! the build directory); `FERRY_BENCH_COMMITS` how many commits each row makes (default 2000).
#![expect(clippy::print_stdout, reason = "a bench is read on its output")]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ferry::event::{Event, RunEvent};
use ferry::store::{Batch, Dispatched, Holder, Lease, NewRun, SqliteStore, Store, process_started};

/// Rounds in which store and floor take turns.
const ROUNDS: u64 = 20;

/// Commits in which a store with a witness and one without take turns.
const TURN: u64 = 10;

#[tokio::main]
async fn main() {
    let base = std::env::var_os("FERRY_BENCH_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let commits = std::env::var("FERRY_BENCH_COMMITS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2000);
    let dir = tempfile::tempdir_in(base).expect("the directory can be written");

    opening(dir.path()).await;
    println!(
        "{:<34} {:>9} {:>9} {:>7} {:>10} {:>10}",
        "commits", "store/s", "floor/s", "ratio", "cpu us", "floor cpu"
    );
    let row = |name, size, effects| Row {
        name,
        size,
        effects,
    };
    for (i, row) in [
        row("one event", 1, false),
        row("one event, effects in and out", 1, true),
        row("two events, effects in and out", 2, true),
        row("eight events, effects", 8, true),
        row("32 events, effects", 32, true),
    ]
    .iter()
    .enumerate()
    {
        commit(&dir.path().join(format!("s{i}")), row, commits).await;
    }
    witness(dir.path(), commits).await;
    loading(&dir.path().join("load")).await;
}

struct Row {
    name: &'static str,
    /// Events of one commit.
    size: u64,
    effects: bool,
}

async fn opening(dir: &Path) {
    let (mut new, mut again) = (Vec::new(), Vec::new());
    for i in 0..9 {
        let dir = dir.join(format!("open{i}"));
        for times in [&mut new, &mut again] {
            let started = Instant::now();
            let store = SqliteStore::open(&dir).await.expect("the store opens");
            times.push(started.elapsed());
            store.close().await.expect("the store closes");
        }
    }
    new.sort();
    again.sort();
    println!(
        "open: new {:.2} ms, again {:.2} ms (medians of 9)",
        new[4].as_secs_f64() * 1e3,
        again[4].as_secs_f64() * 1e3
    );
}

/// A chain of commits with the witness of the journal's head, and the same without.
async fn witness(dir: &Path, commits: u64) {
    let (with, lease) = claimed(&dir.join("with")).await;
    let unwitnessed = dir.join("without");
    let bare = SqliteStore::open_unwitnessed(&unwitnessed).await;
    let (without, other) = begun(bare.expect("the store opens")).await;
    let row = Row {
        name: "",
        size: 2,
        effects: false,
    };
    let (mut ours, mut theirs) = (Cost::default(), Cost::default());
    let (mut seq, mut same) = (0, 0);
    // in turns of a few commits, so that a disk that others use too is the same for both
    for round in 0..commits / TURN * 2 {
        let meter = Meter::start();
        for _ in 0..TURN {
            let (store, lease, seq) = match round % 2 {
                0 => (&with, &lease, &mut seq),
                _ => (&without, &other, &mut same),
            };
            let batch = batch(&row, *seq);
            *seq = store.commit(lease, batch).await.expect("it commits");
        }
        match round % 2 {
            0 => ours.add(&meter),
            _ => theirs.add(&meter),
        }
    }
    let n = (commits / TURN * TURN) as f64;
    println!(
        "witness: {:.0} commits/s with, {:.0} without; ratio {:.2}; cpu us {:.1} and {:.1}",
        n / ours.wall.as_secs_f64(),
        n / theirs.wall.as_secs_f64(),
        ours.wall.as_secs_f64() / theirs.wall.as_secs_f64(),
        ours.cpu * 1e6 / n,
        theirs.cpu * 1e6 / n,
    );
}

async fn commit(dir: &Path, row: &Row, commits: u64) {
    let (store, lease) = claimed(dir).await;
    let mut floor = File::create(dir.join("floor")).expect("the directory can be written");
    let bytes = vec![b'x'; 300 * usize::try_from(row.size).expect("small")];
    let (mut ours, mut bare) = (Cost::default(), Cost::default());
    let mut seq = 0;
    for _ in 0..ROUNDS {
        let meter = Meter::start();
        for _ in 0..commits / ROUNDS {
            let batch = batch(row, seq);
            seq = store.commit(&lease, batch).await.expect("it commits");
        }
        ours.add(&meter);
        let meter = Meter::start();
        for _ in 0..commits / ROUNDS {
            floor.write_all(&bytes).expect("it writes");
            floor.sync_data().expect("it syncs");
        }
        bare.add(&meter);
    }
    let n = (commits / ROUNDS * ROUNDS) as f64;
    println!(
        "{:<34} {:>9.0} {:>9.0} {:>7.2} {:>10.1} {:>10.1}",
        row.name,
        n / ours.wall.as_secs_f64(),
        n / bare.wall.as_secs_f64(),
        ours.wall.as_secs_f64() / bare.wall.as_secs_f64(),
        ours.cpu * 1e6 / n,
        bare.cpu * 1e6 / n,
    );
    store.close().await.expect("the store closes");
}

fn batch(row: &Row, head: u64) -> Batch {
    let effects = |seq: u64| row.effects.then(|| format!("phase/step-{seq}:do"));
    Batch {
        events: (head + 1..=head + row.size).map(event).collect(),
        settled: effects(head).into_iter().collect(),
        dispatched: effects(head + row.size)
            .map(|key| Dispatched { key, seq: head + 1 })
            .into_iter()
            .collect(),
        ..Batch::default()
    }
}

async fn loading(dir: &Path) {
    let (store, lease) = claimed(dir).await;
    for first in (1..100_000).step_by(500) {
        let events = (first..first + 500).map(event).collect();
        let batch = Batch {
            events,
            ..Batch::default()
        };
        store.commit(&lease, batch).await.expect("it commits");
    }
    store.release(&lease).await.expect("it is given up");
    store.close().await.expect("the store closes");
    let started = Instant::now();
    let store = SqliteStore::open(dir).await.expect("the store opens");
    let opened = started.elapsed();
    store.verify("r").await.expect("it holds");
    let verified = started.elapsed();
    let events = store.load("r", 1).await.expect("it loads");
    let loaded = started.elapsed();
    println!(
        "{} events: open {:.1} ms, verify {:.1} ms, load (which verifies) {:.1} ms",
        events.len(),
        opened.as_secs_f64() * 1e3,
        (verified - opened).as_secs_f64() * 1e3,
        (loaded - verified).as_secs_f64() * 1e3
    );
}

async fn claimed(dir: &Path) -> (SqliteStore, Lease) {
    fs::create_dir_all(dir.parent().expect("it has a parent")).expect("the directory is made");
    begun(SqliteStore::open(dir).await.expect("the store opens")).await
}

async fn begun(store: SqliteStore) -> (SqliteStore, Lease) {
    let run = NewRun {
        id: "r".into(),
        name: "bench".into(),
        at: 0,
        locks: Vec::new(),
    };
    let pid = std::process::id();
    let me = Holder {
        who: "ann".into(),
        host: "here".into(),
        pid,
        started: process_started(pid).expect("it runs"),
    };
    let lease = store.begin(&run, &me).await.expect("the run begins");
    (store, lease)
}

/// About 300 bytes as JSON.
fn event(seq: u64) -> Event {
    let by = format!("{seq:-<230}");
    Event {
        seq,
        at: 1_760_000_000_000,
        kind: RunEvent::Started {
            by,
            host: "here".into(),
            pid: 7,
            attended: false,
            guided: false,
        }
        .into(),
    }
}

#[derive(Default)]
struct Cost {
    wall: Duration,
    /// Seconds of all threads, user and system.
    cpu: f64,
}

impl Cost {
    fn add(&mut self, meter: &Meter) {
        self.wall += meter.wall.elapsed();
        self.cpu += cpu() - meter.cpu;
    }
}

struct Meter {
    wall: Instant,
    cpu: f64,
}

impl Meter {
    fn start() -> Self {
        Self {
            cpu: cpu(),
            wall: Instant::now(),
        }
    }
}

/// Seconds that this process's threads ran so far.
fn cpu() -> f64 {
    let Ok(tasks) = fs::read_dir("/proc/self/task") else {
        return 0.0;
    };
    let nanoseconds = |task: fs::DirEntry| {
        let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.flatten().filter_map(nanoseconds).sum::<f64>() / 1e9
}
