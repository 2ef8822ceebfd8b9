//! Exclusive use of a run and of its named locks by the kernel: `flock`s that end with the process,
//! however it ends.
//!
//! Main type: [`Guard`]. The lease's row says who; the lock says whether it is still so. Lock files
//! are never deleted: who holds a deleted one holds nothing.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::place::file_name;
use crate::store::Holder;

/// The directory of the lock files.
const DIR: &str = "locks";

/// The locks that were got of those that were wanted.
#[derive(Default)]
pub(super) struct Guard {
    /// That of the run itself.
    run: Option<Flock<fs::File>>,
    _named: Vec<Flock<fs::File>>,
    /// Somebody has the lock of the run.
    pub run_is_busy: bool,
    /// Somebody has one of the named locks.
    pub name_is_busy: bool,
}

/// What a lock says about a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// Somebody has the lock.
    Busy,
    /// The holder had it, and nobody has it now.
    Gone,
    /// It was never that holder's, or there is no lock to be had here.
    Nothing,
}

impl Guard {
    /// Takes what can be had at once, names in order, so that of several who want the same at the
    /// same time one gets everything. Where the file system knows no locks, the guard is empty.
    pub(super) fn take(dir: &Path, run: &str, names: &[String]) -> io::Result<Self> {
        let mut guard = Self::default();
        match attempt(&run_file(dir, run))? {
            Attempt::Got(lock) => guard.run = Some(lock),
            Attempt::Busy => guard.run_is_busy = true,
            Attempt::Unknown => return Ok(guard),
        }
        let mut names: Vec<_> = names.iter().collect();
        names.sort();
        names.dedup();
        for name in names {
            match attempt(&dir.join(DIR).join(format!("lock-{}", file_name(name))))? {
                Attempt::Got(lock) => guard._named.push(lock),
                Attempt::Busy => {
                    guard.name_is_busy = true;
                    break;
                }
                Attempt::Unknown => break,
            }
        }
        Ok(guard)
    }

    /// Whether it has the lock of the run.
    pub(super) fn has_run(&self) -> bool {
        self.run.is_some()
    }

    /// Writes down whose the run's lock is, for [`evidence`]. Without it the evidence is weaker.
    pub(super) fn sign(&self, holder: &Holder) {
        if let Some(lock) = &self.run {
            let text = signature(holder);
            let _ = lock.set_len(0);
            let _ = lock.write_all_at(text.as_bytes(), 0);
        }
    }

    /// What the run's lock, if it is held by this guard, says about an earlier holder.
    pub(super) fn evidence(&self, holder: &Holder) -> Evidence {
        match &self.run {
            Some(lock) if signed(lock, holder) => Evidence::Gone,
            Some(_) => Evidence::Nothing,
            None if self.run_is_busy => Evidence::Busy,
            None => Evidence::Nothing,
        }
    }
}

/// What the lock of a run says about its holder, seen by somebody who does not hold it.
pub(super) fn evidence(dir: &Path, run: &str, holder: &Holder) -> Evidence {
    let Ok(file) = fs::File::open(run_file(dir, run)) else {
        return Evidence::Nothing;
    };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(lock) if signed(&lock, holder) => Evidence::Gone,
        Err((_, Errno::EWOULDBLOCK)) => Evidence::Busy,
        _ => Evidence::Nothing,
    }
}

fn run_file(dir: &Path, run: &str) -> PathBuf {
    dir.join(DIR).join(format!("run-{}", file_name(run)))
}

enum Attempt {
    Got(Flock<fs::File>),
    Busy,
    /// There are no locks here.
    Unknown,
}

fn attempt(path: &Path) -> io::Result<Attempt> {
    let file = match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = fs::DirBuilder::new().mode(0o700).create(parent(path));
            match made {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => open(path)?,
            }
        }
        other => other?,
    };
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Attempt::Got(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(Attempt::Busy),
        Err((_, Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL)) => {
            Ok(Attempt::Unknown)
        }
        Err((_, error)) => Err(error.into()),
    }
}

/// Descriptors are not inherited over `exec`, as every file that the standard library opens.
fn open(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).open(path)
}

fn parent(path: &Path) -> &Path {
    path.parent().expect("it was joined to a directory")
}

fn signature(holder: &Holder) -> String {
    format!("{} {} {}\n", holder.host, holder.pid, holder.started)
}

fn signed(mut file: &fs::File, holder: &Holder) -> bool {
    let mut text = String::new();
    let read = io::Seek::rewind(&mut file).and_then(|()| file.read_to_string(&mut text));
    read.is_ok() && text == signature(holder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder() -> Holder {
        Holder {
            who: "ann".into(),
            host: "here".into(),
            pid: 7,
            started: 9,
        }
    }

    #[test]
    fn a_lock_is_one_guards_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let names = ["redis:a/b".to_owned(), "../x".to_owned()];
        let first = Guard::take(dir, "r1", &names).unwrap();
        assert!(first.has_run() && !first.run_is_busy && !first.name_is_busy);
        let second = Guard::take(dir, "r1", &[]).unwrap();
        assert!(!second.has_run() && second.run_is_busy);
        let third = Guard::take(dir, "r2", &names[..1]).unwrap();
        assert!(third.has_run() && third.name_is_busy);
        first.sign(&holder());
        assert_eq!(evidence(dir, "r1", &holder()), Evidence::Busy);
        assert_eq!(second.evidence(&holder()), Evidence::Busy);
        drop((first, second, third));
        let other = Holder { pid: 8, ..holder() };
        assert_eq!(evidence(dir, "r1", &holder()), Evidence::Gone);
        assert_eq!(evidence(dir, "r1", &other), Evidence::Nothing);
        let again = Guard::take(dir, "r1", &names).unwrap();
        assert!(again.has_run() && !again.name_is_busy);
        assert_eq!(again.evidence(&holder()), Evidence::Gone);
        assert_eq!(again.evidence(&other), Evidence::Nothing);
        let mut files: Vec<_> = fs::read_dir(dir.join(DIR))
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let expected = ["lock-%2E%2E%2Fx", "lock-redis%3Aa%2Fb", "run-r1", "run-r2"];
        assert_eq!(files, expected);
    }
}
