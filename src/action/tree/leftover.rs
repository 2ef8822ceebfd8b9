//! What an engine that is gone left running: found by its lock, waited for, and ended.
//!
//! Main function: [`end`]. It signals only processes that hold the lock file of the attempt, or are
//! its recorded leader by boot, pid and start time; never a number alone.

use std::path::Path;
use std::time::{Duration, Instant};

use super::holders::Holders;
use super::{LOOK, end_holders};
use crate::action::{Stop, StopSignal};

/// How often a tree that may end by itself is looked at.
const WATCH: Duration = Duration::from_millis(100);

/// What became of the processes of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// There are none.
    Gone,
    /// They ended while they were waited for.
    EndedByItself,
    /// They were told to end, and did.
    Killed,
    /// The lock is held still, by these as far as they can be seen: either they cannot be ended, or
    /// whoever waits was told to stop. Nothing may be done again beside them.
    StillThere(Vec<u32>),
}

/// Whether anything of an attempt is left, without waiting: the processes as far as they can be
/// seen, `None` when there are none.
pub fn look(lock: &Path) -> Option<Vec<u32>> {
    Holders::of(lock).map(|holders| holders.processes())
}

/// Waits until `until` for the processes that hold `lock` (see [`super::find`]) to end by themselves;
/// then asks them to end, and after `kill_after` kills them. `tell` is given a line for people when
/// there is something to wait for or to end. A stop ends the waiting, and nothing is signalled then;
/// one that is to be at once makes the killing come at once.
/// The lock file is removed when nobody holds it any more.
pub async fn end(
    lock: &Path,
    until: Instant,
    kill_after: Duration,
    mut stop: StopSignal,
    tell: impl Fn(&str),
) -> Leftover {
    let Some(holders) = Holders::of(lock) else {
        remove(lock);
        return Leftover::Gone;
    };
    tell(&format!(
        "processes of it are still running{}: waiting for their end",
        named(&holders.processes())
    ));
    loop {
        if !holders.is_held() {
            remove(lock);
            return Leftover::EndedByItself;
        }
        if stop.now() > Stop::No {
            return Leftover::StillThere(holders.processes());
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(left.min(WATCH).max(LOOK)) => {}
            _ = stop.above(Stop::No) => {}
        }
    }
    tell(&format!(
        "processes of it are still running{}: they are told to end",
        named(&holders.processes())
    ));
    drop(holders);
    let left = end_holders(lock, None, kill_after, &stop).await;
    if left.held {
        return Leftover::StillThere(left.still);
    }
    remove(lock);
    Leftover::Killed
}

fn named(pids: &[u32]) -> String {
    match pids {
        [] => String::new(),
        pids => {
            let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
            format!(" (pid {})", pids.join(", "))
        }
    }
}

fn remove(lock: &Path) {
    // one that stays is free, which says the same
    let _ = std::fs::remove_file(lock);
}
