//! Signals to the engine: how often and which.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::event::Parking;

/// SIGINT, SIGTERM and SIGHUP.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
    /// Caught and not heeded, so that a file which may not grow fails as a write and does not end
    /// this process; children get the default back.
    _file_size: Signal,
}

impl Signals {
    /// Begins to listen. A SIGHUP that was ignored at the start (`nohup`) stays ignored.
    ///
    /// # Errors
    /// When the process cannot listen.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if hangup_is_ignored() {
                None
            } else {
                Some(signal(SignalKind::hangup())?)
            },
            _file_size: signal(SignalKind::from_raw(
                nix::sys::signal::Signal::SIGXFSZ as i32,
            ))?,
        })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Parking {
        let hangup = async {
            match &mut self.hangup {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Parking::Interrupt,
            _ = self.terminate.recv() => Parking::Terminate,
            _ = hangup => Parking::Hangup,
        }
    }
}

/// Whether SIGHUP came ignored from the parent, as the kernel says it.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    mask & 1 == 1
}
