//! Signals to the engine: how often and which.
//!
//! Main type: [`Signals`]. A stop by the terminal (Ctrl-Z) is dealt with here and is nobody else's
//! business: the steps' processes stop with the engine, and no step's time goes on meanwhile.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal as Name;
use nix::unistd::{Pid, getpgid, getpgrp, getsid};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::action::{pause, tree};
use crate::event::Parking;

/// How often the remains of adopted children are looked for.
const REAPING: Duration = Duration::from_secs(1);

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// SIGINT, SIGTERM or SIGHUP: the run is to stop.
    Park(Parking),
    /// SIGQUIT: say what is in flight, and go on.
    Show,
}

/// SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGTSTP.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hangup: Option<Signal>,
    suspend: Option<Signal>,
    /// Caught and not heeded, so that a file which may not grow fails as a write and does not end
    /// this process; children get the default back.
    _file_size: Signal,
    reaper: JoinHandle<()>,
}

impl Signals {
    /// Begins to listen, and to take away the remains of children that were given to this process. A
    /// SIGHUP that was ignored at the start (`nohup`) stays ignored, as does a SIGTSTP.
    ///
    /// # Errors
    /// When the process cannot listen.
    pub fn listen() -> std::io::Result<Self> {
        let ignored = ignored();
        let unless_ignored = |name: Name| match ignored & (1 << (name as i32 - 1)) {
            0 => signal(SignalKind::from_raw(name as i32)).map(Some),
            _ => Ok(None),
        };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hangup: unless_ignored(Name::SIGHUP)?,
            suspend: unless_ignored(Name::SIGTSTP)?,
            _file_size: signal(SignalKind::from_raw(Name::SIGXFSZ as i32))?,
            reaper: tokio::spawn(async {
                let mut tick = tokio::time::interval(REAPING);
                tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    tick.tick().await;
                    tree::reap_adopted();
                }
            }),
        })
    }

    /// The next signal that somebody else has to act on.
    pub async fn next(&mut self) -> Told {
        loop {
            let hangup = received(&mut self.hangup);
            let suspend = received(&mut self.suspend);
            tokio::select! {
                _ = self.interrupt.recv() => return Told::Park(Parking::Interrupt),
                _ = self.terminate.recv() => return Told::Park(Parking::Terminate),
                () = hangup => return Told::Park(Parking::Hangup),
                _ = self.quit.recv() => return Told::Show,
                () = suspend => stand_still(),
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.reaper.abort();
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Stops the processes of all steps and this one, until somebody continues it. Steps are stopped by
/// SIGSTOP: a SIGTSTP is dropped by the kernel where nobody could continue the group, and may be
/// ignored; then a step would go on unwatched.
fn stand_still() {
    if !can_be_continued() {
        return;
    }
    tree::tell_all(Name::SIGSTOP);
    let began = Instant::now();
    // to this thread, so that it is not passed before the stop
    let _ = nix::sys::signal::raise(Name::SIGSTOP);
    pause::add(began.elapsed());
    tree::tell_all(Name::SIGCONT);
}

/// Whether somebody of this session, outside of our process group, waits for that group: what the
/// kernel asks before it heeds a SIGTSTP. Without such a shell nobody would continue us.
fn can_be_continued() -> bool {
    let (Ok(session), group) = (getsid(None), getpgrp()) else {
        return false;
    };
    let mut pid = nix::unistd::getppid();
    for _ in 0..64 {
        if getsid(Some(pid)) != Ok(session) {
            return false;
        }
        if getpgid(Some(pid)) != Ok(group) {
            return true;
        }
        let Some(parent) = parent(pid) else {
            return false;
        };
        pid = parent;
    }
    false
}

fn parent(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    fields.nth(1)?.parse().ok().map(Pid::from_raw)
}

/// The signals that came ignored from the parent, as the kernel says it: a bit each, from 1.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// Makes a file that may not grow fail as a write instead of ending this process, from here on.
///
/// # Errors
/// When the process cannot listen.
pub fn outlive_file_size() -> std::io::Result<()> {
    // what catches it stays when this is dropped; children get the default back
    signal(SignalKind::from_raw(Name::SIGXFSZ as i32)).map(drop)
}
