//! `file.*`: copies, writes, replaces, backs up and restores regular files; `file.stat` looks.
//!
//! Every change is atomic: a temporary file in the same directory, synced, renamed over. Nothing
//! here follows a symlink out of where it was told to work, and nothing replaces one.

mod backup;
mod change;
mod diff;
mod mode;
mod place;
mod stat;
mod undo;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Action, ActionError, Context};
use crate::event::{Cause, Outcome};

pub use backup::{Backup, Restore};
pub use change::{Copy, Replace, Write};
pub use stat::Stat;

/// The actions of this folder.
pub const ACTIONS: &[&dyn Action] = &[&Backup, &Copy, &Replace, &Restore, &Stat, &Write];

/// Whether anybody still waits for the work. A thread cannot be dropped as a future can, so the work
/// asks before it goes on, above all before it changes something.
#[derive(Clone)]
pub(super) struct Live(Arc<AtomicBool>);

impl Live {
    /// Says so when nobody does.
    pub fn check(&self) -> Result<(), ActionError> {
        if self.0.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(ActionError::new(
            Cause::Stopped,
            Outcome::NotApplied,
            "stopped before the change",
        ))
    }
}

struct Waiting(Live);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

/// Runs file work on a thread for it.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&Live) -> Result<T, ActionError> + Send + 'static,
) -> Result<T, ActionError> {
    let live = Live(Arc::new(AtomicBool::new(true)));
    let _waiting = Waiting(live.clone());
    match tokio::task::spawn_blocking(move || work(&live)).await {
        Ok(result) => result,
        Err(error) => Err(ActionError::new(
            Cause::Internal,
            Outcome::Unknown,
            format!("file work broke off: {error}"),
        )),
    }
}

/// A path as results and captures keep it: relative to the run directory where it lies in there, so
/// that the run directory may move.
fn portable(cx: &Context, path: &Path) -> String {
    let path = path.strip_prefix(&cx.run_dir).unwrap_or(path);
    path.to_string_lossy().into_owned()
}

/// Takes [`portable`] back.
fn located(cx: &Context, path: &str) -> PathBuf {
    cx.run_dir.join(path)
}
