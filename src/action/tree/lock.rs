//! Lock files: each process tree holds one by `flock` through a descriptor that it inherits, so that
//! whoever comes after a crash can tell whether any of it is still there.
//!
//! Main types: [`Locks`], which a run hands out and takes back, and [`Record`], which says whose a
//! file is. The files are used again and again, because making and removing one costs more than
//! everything else about it. Nothing here ends a process.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::time::{ClockId, clock_gettime};

use super::holders::Holders;
use crate::action::Context;

/// Most files that are tried before a step is refused: as many as can be held from earlier.
const MOST: u32 = 100_000;

/// The unit of start times in `/proc`: `USER_HZ` is 100 on every Linux that Rust supports.
const TICK: Duration = Duration::from_millis(10);

/// Lock files of a run that no tree uses now.
#[derive(Default)]
pub struct Locks(Mutex<Slots>);

#[derive(Default)]
struct Slots {
    free: Vec<PathBuf>,
    last: u32,
}

/// Where the lock files of a run are.
pub fn directory(run_dir: &Path) -> PathBuf {
    run_dir.join("locks")
}

impl Locks {
    /// Takes a lock for the attempt of `cx`. Whoever is spawned while it is [`Lock::inherited`]
    /// holds it as well.
    pub(super) fn take(&self, cx: &Context) -> io::Result<Lock> {
        let dir = directory(&cx.run_dir);
        for _ in 0..MOST {
            let (path, known) = self.next(&dir);
            // of an engine before this one, and still in use: the lock alone would miss a leader
            // that closed it
            if !known && Holders::of(&path).is_some() {
                continue;
            }
            let held = open(&path, &dir).map_err(|error| said(&path, &error))?;
            match held.try_lock() {
                Ok(()) => return Lock::new(cx, path, held),
                // a server that a good step left behind, or what an engine that is gone left: not ours
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(said(&path, &error)),
            }
        }
        Err(io::Error::other(format!(
            "all locks in `{}` are held",
            dir.display()
        )))
    }

    /// A file that is free as far as is known here, and whether that is known.
    fn next(&self, dir: &Path) -> (PathBuf, bool) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match slots.free.pop() {
            Some(path) if path.starts_with(dir) => (path, true),
            _ => {
                slots.last += 1;
                (dir.join(format!("tree-{}", slots.last)), false)
            }
        }
    }

    /// Takes a lock file back when the end of its attempt is known.
    pub(super) fn give_back(&self, path: &Path) {
        let Ok(file) = OpenOptions::new().read(true).write(true).open(path) else {
            return;
        };
        let blank = match file.try_lock() {
            Ok(()) => file.write_all_at(b"-\n", 0).is_ok(),
            Err(_) => false,
        };
        if blank {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            slots.free.push(path.to_owned());
        } else {
            // somebody keeps what is behind the name, which is right; the name is not to be found
            let _ = std::fs::remove_file(path);
        }
    }
}

fn said(path: &Path, error: &io::Error) -> io::Error {
    io::Error::other(format!("its lock `{}`: {error}", path.display()))
}

fn open(path: &Path, dir: &Path) -> io::Result<File> {
    // the tree gets it for reading only, so that no step can write over whose it is
    let open = || {
        OpenOptions::new()
            .read(true)
            .mode(0o600)
            .custom_flags((OFlag::O_CREAT | OFlag::O_NOFOLLOW).bits())
            .open(path)
    };
    match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(dir)?;
            open()
        }
        opened => opened,
    }
}

/// A lock that is held, before its tree is there.
pub(super) struct Lock {
    pub(super) path: PathBuf,
    /// What the tree inherits.
    held: File,
    record: File,
    /// Where in the file the process is written.
    at: u64,
    from: u64,
}

impl Lock {
    fn new(cx: &Context, path: PathBuf, held: File) -> io::Result<Self> {
        let mut line = String::with_capacity(160);
        let (step, direction, attempt) = (&cx.step, cx.direction, cx.attempt);
        let _ = write!(line, "{step}\t{direction}\t{attempt}\t{}\t", boot_id());
        let at = line.len() as u64;
        let _ = writeln!(line, "{:10}\t{:20}\t{:20}", 0, 0, 0);
        let record = OpenOptions::new()
            .write(true)
            .open(&path)
            .map_err(|error| said(&path, &error))?;
        record
            .write_all_at(line.as_bytes(), 0)
            .map_err(|error| said(&path, &error))?;
        Ok(Self {
            path,
            held,
            record,
            at,
            from: ticks(),
        })
    }

    /// Runs `spawn` while the descriptor passes through `exec`. Nothing else of ours is spawned
    /// meanwhile; the caller holds the guard for that.
    pub(super) fn inherited<T>(&self, spawn: impl FnOnce() -> T) -> io::Result<T> {
        fcntl(&self.held, FcntlArg::F_SETFD(FdFlag::empty()))?;
        let spawned = spawn();
        // it is closed in a moment; until then no other child may get it
        fcntl(&self.held, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        Ok(spawned)
    }

    /// Writes down the leader and lets go: from here on the tree alone holds the lock.
    pub(super) fn spawned(self, pid: i32) -> PathBuf {
        let line = format!("{pid:10}\t{:20}\t{:20}\n", self.from, ticks());
        // second evidence only: who holds the file is the first
        let _ = self.record.write_all_at(line.as_bytes(), self.at);
        self.path
    }
}

/// The time since boot in ticks, as processes' start times are given.
fn ticks() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    u64::try_from(now.as_nanos() / TICK.as_nanos()).unwrap_or(u64::MAX)
}

/// Which boot of the machine this is.
pub(super) fn boot_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        id.map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
    })
}

/// Whose a lock file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The step (with its item), or the item of a rollback.
    pub step: String,
    /// `do`, `undo` or `back`.
    pub direction: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The boot in which it was written.
    pub boot: String,
    /// The leader of the tree; `None` when the engine ended before it could write it.
    pub pid: Option<i32>,
    /// First and last tick since boot in which the leader can have started.
    pub started: (u64, u64),
}

impl Record {
    /// What a lock file says; `None` when no attempt uses it.
    pub fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        let line = text.split('\n').next()?;
        let mut fields = line.split('\t').map(str::trim);
        let record = Self {
            step: fields.next()?.to_owned(),
            direction: fields.next()?.to_owned(),
            attempt: fields.next()?.parse().ok()?,
            boot: fields.next()?.to_owned(),
            pid: fields.next()?.parse().ok().filter(|pid| *pid > 0),
            started: (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?),
        };
        Some(record)
    }
}

/// The lock file of an attempt that was never said to be over; `None` when there is none, which
/// means that no process was started for it, or that the end of all of them was seen.
pub fn find(run_dir: &Path, step: &str, direction: &str, attempt: u32) -> Option<PathBuf> {
    let entries = std::fs::read_dir(directory(run_dir)).ok()?;
    entries.flatten().map(|entry| entry.path()).find(|path| {
        Record::read(path).is_some_and(|record| {
            record.step == step && record.direction == direction && record.attempt == attempt
        })
    })
}
