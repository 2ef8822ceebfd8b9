//! What an action is handed: the resolved [`Call`] and the [`Context`] it runs in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::pause::Deadline;
use crate::runbook::TargetKind;

/// A target with its address resolved; the address may hold a password, so this has no `Debug`.
#[derive(Clone)]
pub struct Target {
    /// Its name in the runbook.
    pub name: String,
    /// What it is.
    pub kind: TargetKind,
    /// The address, such as `redis://user:password@host:6379/1`.
    pub url: String,
    /// The other keys beside the address, such as `db: 2`.
    pub options: Value,
}

/// One thing to do, everything in it resolved.
#[derive(Clone)]
pub struct Call {
    /// The action key.
    pub key: String,
    /// The parameters with all holes filled; a scalar is the short form.
    pub params: Value,
    /// The target, for actions that take one.
    pub target: Option<Target>,
    /// Declared environment, values filled.
    pub env: Vec<(String, String)>,
    /// The directory to work in; relative paths in parameters start here.
    pub cwd: PathBuf,
    /// Result of the step that `requires_backup` names.
    pub backup: Option<Value>,
}

/// Where an action's output goes while it runs.
pub trait Output: Send + Sync {
    /// One chunk of a stream, unmasked and uncut; the receiver masks, bounds and keeps it.
    fn chunk(&self, stream: Stream, bytes: &[u8]);
    /// A line about progress, for people.
    fn progress(&self, line: &str);
}

/// Which output stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// How urgently an action is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Go on.
    #[default]
    No,
    /// End in order.
    Terminate,
    /// End now.
    Kill,
}

/// Tells an action that it is to end.
#[derive(Clone)]
pub struct StopSignal(watch::Receiver<Stop>);

impl StopSignal {
    /// A sender and the signal it controls.
    pub fn channel() -> (watch::Sender<Stop>, Self) {
        let (sender, receiver) = watch::channel(Stop::No);
        (sender, Self(receiver))
    }

    /// How urgent it is now.
    pub fn now(&self) -> Stop {
        *self.0.borrow()
    }

    /// Waits until the urgency is above `level`; for ever when nobody can raise it any more.
    pub async fn above(&mut self, level: Stop) -> Stop {
        let reached = self
            .0
            .wait_for(|stop| *stop > level)
            .await
            .map(|stop| *stop);
        match reached {
            Ok(stop) => stop,
            Err(_) => std::future::pending().await,
        }
    }
}

/// Looks up the result of a finished step by its id.
pub type Results = Arc<dyn Fn(&str) -> Option<Value> + Send + Sync>;

/// What an action may use.
#[derive(Clone)]
pub struct Context {
    /// The run's id.
    pub run: String,
    /// The step (with its item, such as `restart[2]`).
    pub step: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// `do` or `undo`.
    pub direction: &'static str,
    /// The run directory, which exists.
    pub run_dir: PathBuf,
    /// Where this step may put files; made by whoever first needs it.
    pub step_dir: PathBuf,
    /// The same over all attempts of a step and direction.
    pub idempotency_key: String,
    /// When the attempt has to be over; it moves away while the whole run is stopped.
    pub deadline: Option<Deadline>,
    /// How long between TERM and KILL.
    pub kill_after: Duration,
    /// Seconds since the Unix epoch at which the step's phase began, for `since: phase_start`.
    pub phase_started: f64,
    /// Whether the run is stopping this action.
    pub stop: StopSignal,
    /// Receives output.
    pub output: Arc<dyn Output>,
    /// Results of finished steps, by id.
    pub results: Results,
    /// Connections that live as long as the run.
    pub clients: Arc<super::Clients>,
}

impl Context {
    /// Time left until the deadline, at most `longest`.
    pub fn time_left(&self, longest: Duration) -> Duration {
        self.deadline
            .map_or(longest, |deadline| deadline.left().min(longest))
    }
}
