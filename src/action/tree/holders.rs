//! Who holds a lock file: the processes that have that very file open, found in `/proc`.
//!
//! Main type: [`Holders`]. A process is signalled only through a descriptor of its own, after it was
//! seen to hold the file (or to be the recorded leader, by boot, pid and start time) while that
//! descriptor was open: a number that now names a stranger is never enough.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

use super::lock::{Record, boot_id};

/// A lock file that was seen to be held.
pub(super) struct Holders {
    path: PathBuf,
    /// Open, so that its inode is no other file's.
    file: File,
    record: Option<Record>,
}

impl Holders {
    /// Looks whether anybody holds the lock, or its leader is alive without it; `None` when nobody
    /// does, or there is no such file.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let holders = Self {
            path: path.to_owned(),
            record: Record::read(path),
            file,
        };
        holders.is_held().then_some(holders)
    }

    /// Whether it is held still. A tree that closed every descriptor holds nothing; of such a one the
    /// recorded leader alone can be seen.
    pub(super) fn is_held(&self) -> bool {
        match self.file.try_lock() {
            Ok(()) => {
                // closing it would do as well; until then nobody else could take it
                let _ = self.file.unlock();
                let leader = self.record.as_ref().and_then(|record| record.pid);
                leader
                    .and_then(|pid| u32::try_from(pid).ok())
                    .is_some_and(|pid| self.is_leader(pid))
            }
            Err(_) => true,
        }
    }

    /// The processes that hold it, as far as they can be seen. Empty does not mean that there are
    /// none: what other users run cannot be looked into.
    pub(super) fn processes(&self) -> Vec<u32> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        let own = std::process::id();
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| *pid != own && self.is_held_by(*pid))
            .collect()
    }

    /// Sends `signal` to every process that holds the file, and says to which.
    pub(super) fn tell(&self, signal: Signal) -> Vec<u32> {
        self.tell_those(signal, |_| true)
    }

    /// The same for those that are not in the group `group`, which was told as a whole.
    pub(super) fn tell_beside(&self, group: nix::unistd::Pid, signal: Signal) -> Vec<u32> {
        self.tell_those(signal, |pid| {
            let pid = i32::try_from(pid).map(nix::unistd::Pid::from_raw).ok();
            nix::unistd::getpgid(pid) != Ok(group)
        })
    }

    fn tell_those(&self, signal: Signal, which: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut told = self.processes();
        told.retain(|pid| which(*pid) && self.tell_one(*pid, signal));
        told
    }

    /// Sends a signal to one process if it is one that holds the file.
    fn tell_one(&self, pid: u32, signal: Signal) -> bool {
        let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            return false;
        };
        let process = match pidfd_open(number, PidfdFlags::empty()) {
            Ok(process) => process,
            // a kernel without them, or a sandbox that knows them not
            Err(Errno::NOSYS | Errno::PERM) => {
                let number = nix::unistd::Pid::from_raw(number.as_raw_nonzero().get());
                return self.is_held_by(pid) && nix::sys::signal::kill(number, signal).is_ok();
            }
            Err(_) => return false,
        };
        // again, now that the number cannot become another's behind the descriptor
        self.is_held_by(pid)
            && rustix::process::Signal::from_named_raw(signal as i32)
                .is_some_and(|signal| pidfd_send_signal(process, signal).is_ok())
    }

    fn is_held_by(&self, pid: u32) -> bool {
        let entries = fs::read_dir(format!("/proc/{pid}/fd"));
        entries.is_ok_and(|entries| entries.flatten().any(|entry| self.is_it(&entry.path())))
            || self.is_leader(pid)
    }

    /// Whether it is the process that the record names: in the same boot, started when it was.
    fn is_leader(&self, pid: u32) -> bool {
        self.record.as_ref().is_some_and(|record| {
            record.boot == boot_id()
                && record.pid == i32::try_from(pid).ok()
                && started(pid)
                    .is_some_and(|at| (record.started.0..=record.started.1).contains(&at))
        })
    }

    /// Whether a descriptor's entry is our file: first by its name, because looking behind every
    /// entry could hang on a file system that is gone.
    fn is_it(&self, entry: &Path) -> bool {
        let Some(link) = fs::read_link(entry).ok() else {
            return false;
        };
        let name = |path: &Path| {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        let (Some(link), Some(wanted)) = (name(&link), name(&self.path)) else {
            return false;
        };
        if link.strip_suffix(" (deleted)").unwrap_or(&link) != wanted {
            return false;
        }
        match (fs::metadata(entry), self.file.metadata()) {
            (Ok(theirs), Ok(ours)) => (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()),
            _ => false,
        }
    }
}

/// When a process started, in ticks since boot; `None` when there is none.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the fields are counted behind the name in parentheses, which can hold anything
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}
