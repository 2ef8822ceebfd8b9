//! Process trees: what one attempt starts, as a group that holds a lock, to be ended as a whole.
//!
//! Main type: [`Tree`]. The standard library's spawn is used without any hook between fork and exec,
//! so that it stays `posix_spawn` and costs the same however large this process is. What leaves its
//! group (`setsid`, a double fork) is found by the lock that it inherited. [`leftover`] is for what
//! an engine that is gone left running.

mod holders;
pub mod leftover;
mod lock;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::{Context, Stop, StopSignal, pause};
use holders::Holders;
pub use lock::{Locks, Record, directory, find};

/// How often what is to end is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long what was killed is waited for: it may be inside the kernel.
const DYING: Duration = Duration::from_secs(5);

/// Trees that are not over, by the pid of their leader; `None` for a leader that was killed and that
/// the runtime still waits for. Of the process and not of a run, because signals and dead children
/// are of the whole process.
static TREES: Mutex<BTreeMap<i32, Option<InFlight>>> = Mutex::new(BTreeMap::new());

/// One spawn at a time: while a lock passes through `exec`, no other child may come to be.
static SPAWN: Mutex<()> = Mutex::new(());

/// A tree that is not over.
#[derive(Clone, Debug)]
pub struct InFlight {
    /// The leader, and the number of its group.
    pub pid: i32,
    /// Whose it is: the step with its item.
    pub step: String,
    /// `do`, `undo` or `back`.
    pub direction: &'static str,
    /// The attempt, from 1.
    pub attempt: u32,
    /// When it was started.
    pub since: Instant,
}

fn trees() -> MutexGuard<'static, BTreeMap<i32, Option<InFlight>>> {
    TREES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The trees that are not over, by pid.
pub fn in_flight() -> Vec<InFlight> {
    trees().values().flatten().cloned().collect()
}

/// Sends `signal` to the groups of all trees.
pub fn tell_all(signal: Signal) {
    for tree in trees().values().flatten() {
        let _ = killpg(Pid::from_raw(tree.pid), signal);
    }
}

/// Takes away the remains of children that this process did not spawn: those that lost their parent
/// and were given to it. Never waits, and never for a child that somebody else waits for.
pub fn reap_adopted() {
    let looked = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    // a flood of the dying does not hold the loop
    for _ in 0..1_000 {
        let (Ok(WaitStatus::Exited(dead, _)) | Ok(WaitStatus::Signaled(dead, _, _))) =
            waitid(Id::All, looked)
        else {
            return;
        };
        if trees().contains_key(&dead.as_raw()) {
            // its own waiter is about to take it; others behind it wait for the next look
            return;
        }
        let _ = waitpid(dead, Some(WaitPidFlag::WNOHANG));
    }
}

/// The processes of one attempt. What is left of its group is killed when this goes away before its
/// end was known.
pub struct Tree {
    leader: Pid,
    lock: PathBuf,
    clients: Arc<super::Clients>,
    over: bool,
}

impl Tree {
    /// Spawns `command` as the leader of a group of its own that holds a lock of the run.
    ///
    /// # Errors
    /// When it could not be spawned, or its lock not be taken; nothing was started then.
    pub fn spawn(cx: &Context, command: &mut Command) -> io::Result<(Child, Self)> {
        command.process_group(0);
        let lock = cx.clients.locks.take(cx)?;
        let path = lock.path.clone();
        let spawned = {
            let _alone = SPAWN.lock().unwrap_or_else(PoisonError::into_inner);
            lock.inherited(|| command.spawn()).and_then(|child| child)
        };
        let pid = |child: &Child| child.id().and_then(|pid| i32::try_from(pid).ok());
        let child = match spawned {
            Ok(child) => child,
            Err(error) => {
                drop(lock);
                cx.clients.locks.give_back(&path);
                return Err(error);
            }
        };
        let Some(pid) = pid(&child) else {
            return Err(io::Error::other("it has no pid"));
        };
        let tree = Self {
            leader: Pid::from_raw(pid),
            lock: lock.spawned(pid),
            clients: Arc::clone(&cx.clients),
            over: false,
        };
        let in_flight = InFlight {
            pid,
            step: cx.step.clone(),
            direction: cx.direction,
            attempt: cx.attempt,
            since: Instant::now(),
        };
        trees().insert(pid, Some(in_flight));
        Ok((child, tree))
    }

    /// Sends `signal` to the group. Only before the leader was waited for: its number may be
    /// somebody else's afterwards, unless a member of the group is left.
    pub fn tell(&self, signal: Signal) {
        // gone already is as good as told
        let _ = killpg(self.leader, signal);
    }

    /// Asks all of it to end: the group, and what left it.
    pub fn terminate(&self) {
        self.tell(Signal::SIGTERM);
        // stopped children must run to be able to end
        self.tell(Signal::SIGCONT);
        if let Some(holders) = Holders::of(&self.lock) {
            holders.tell_beside(self.leader, Signal::SIGTERM);
            holders.tell_beside(self.leader, Signal::SIGCONT);
        }
    }

    /// The leader was waited for, and what is left may stay: a server that it started.
    pub fn leave(mut self) {
        self.release();
    }

    /// The leader was waited for; kills its group, and ends what left the group: TERM unless `told`
    /// says when that was done, `grace`, KILL. A stop that is to be at once cuts the grace short.
    pub async fn end(mut self, told: Option<Instant>, grace: Duration, stop: &StopSignal) -> Left {
        self.tell(Signal::SIGKILL);
        let left = end_holders(&self.lock, told, grace, stop).await;
        reap_adopted();
        self.release();
        left
    }

    fn release(&mut self) {
        self.over = true;
        trees().remove(&self.leader.as_raw());
        self.clients.locks.give_back(&self.lock);
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        self.tell(Signal::SIGKILL);
        if let Some(holders) = Holders::of(&self.lock) {
            holders.tell(Signal::SIGKILL);
        }
        // nobody has waited for the leader, and the runtime will
        trees().insert(self.leader.as_raw(), None);
        self.clients.locks.give_back(&self.lock);
    }
}

/// What became of processes that were to end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Processes that were told to end.
    pub told: Vec<u32>,
    /// Whether the lock is held still.
    pub held: bool,
    /// Those that are seen to hold it.
    pub still: Vec<u32>,
}

/// Ends every process that holds a lock: TERM unless they were `told` already, `grace`, KILL.
async fn end_holders(
    lock: &Path,
    told: Option<Instant>,
    grace: Duration,
    stop: &StopSignal,
) -> Left {
    let mut left = Left::default();
    let Some(holders) = Holders::of(lock) else {
        return left;
    };
    let began = pause::Stopwatch::start();
    let before = told.map_or(Duration::ZERO, |told| told.elapsed());
    if told.is_none() {
        left.told = holders.tell(Signal::SIGTERM);
        holders.tell(Signal::SIGCONT);
    }
    let mut killing = None;
    while holders.is_held() {
        let so_far = before + began.elapsed();
        if killing.is_none() && (so_far >= grace || stop.now() == Stop::Kill) {
            killing = Some(so_far);
        }
        if killing.is_some_and(|since| so_far >= since + DYING) {
            left.held = true;
            left.still = holders.processes();
            return left;
        }
        if killing.is_some() {
            // again at every look: one that forked meanwhile is found the next time
            for pid in holders.tell(Signal::SIGKILL) {
                if !left.told.contains(&pid) {
                    left.told.push(pid);
                }
            }
        }
        pause::sleep(LOOK).await;
    }
    left
}
