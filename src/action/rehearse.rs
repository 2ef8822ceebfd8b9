//! What a rehearsal hands to an action, and what the action says there.
//!
//! Main type: [`ReadContext`]. Its handles only read, and no [`Context`] can be made of it: an action
//! has no way from here to what it would change. [`Readers`] are the actions without the part that
//! carries anything out. An action that says nothing of itself stays [`Rehearsed::NotVerified`].

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::pause::Deadline;
use super::{
    Action, ActionError, Call, Clients, Context, Output, Registry, StopSignal, Stream, http,
};
use crate::runbook::Spec;

/// What came of a call in a rehearsal.
#[derive(Clone, Debug)]
pub enum Rehearsed {
    /// It only reads, and was really read: its `result`.
    Read(Value),
    /// Nothing was done, and this is what would be done.
    Simulated(Simulated),
    /// Nothing can be said without doing it; why.
    NotVerified(String),
}

/// What would be done.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// The command, request or statement, or what would change, in a line.
    pub would: String,
    /// More of it in lines: a diff, how a database would go about it.
    pub detail: Vec<String>,
    /// The same for programs.
    pub facts: Value,
    /// Whether all that it would change is known, and not only what would be asked for.
    pub exact: bool,
}

impl Simulated {
    /// All that it would change is known.
    pub fn exactly(would: impl Into<String>, facts: Value) -> Self {
        Self {
            would: would.into(),
            detail: Vec::new(),
            facts,
            exact: true,
        }
    }

    /// What would be asked for is known, and not what comes of it.
    pub fn shown(would: impl Into<String>, facts: Value) -> Self {
        Self {
            exact: false,
            ..Self::exactly(would, facts)
        }
    }

    /// With more lines.
    #[must_use]
    pub fn detail(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.detail.extend(lines);
        self
    }
}

impl From<Simulated> for Rehearsed {
    fn from(simulated: Simulated) -> Self {
        Self::Simulated(simulated)
    }
}

/// What an action may use in a rehearsal.
pub struct ReadContext {
    /// The step, for names on servers.
    pub step: String,
    /// When it has to be over.
    pub deadline: Deadline,
    /// Seconds since the Unix epoch at which the walk came to the step's phase.
    pub phase_started: f64,
    /// Where a run would keep its files. It is not there.
    pub run_dir: PathBuf,
    /// Ids of the steps that make backups: their files are not there yet.
    pub backups: Arc<HashSet<String>>,
    /// HTTP clients; what is sent through them is vetted in `http`.
    pub http: Arc<http::Pool>,
    /// Starting programs, where the author or the operator allows it.
    pub spawn: Option<Spawn>,
}

impl ReadContext {
    /// Time left until the deadline, at most `longest`.
    pub fn time_left(&self, longest: Duration) -> Duration {
        self.deadline.left().min(longest)
    }

    /// Whether a file is one that only a run would have made by then.
    pub fn made_by_a_run(&self, path: &Path) -> bool {
        path.starts_with(&self.run_dir)
    }
}

/// The right to start programs that somebody vouched for: steps that say `read_only: true` under
/// `--allow-shell`, and stand-ins. Only `shell` takes it.
#[derive(Clone)]
pub struct Spawn(Arc<Scratch>);

/// A directory that takes the place of a run's, and is gone afterwards.
struct Scratch {
    dir: PathBuf,
    clients: Arc<Clients>,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // a file that cannot be removed lies in the system's directory for such files
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Spawn {
    /// With a new private directory, below the system's one for temporary files.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let name = format!("ferry-rehearsal-{}", uuid::Uuid::now_v7().simple());
        let dir = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(Self(Arc::new(Scratch {
            dir,
            clients: Arc::default(),
        })))
    }

    /// What `shell` needs for one program; for no other action.
    pub(super) fn context(&self, cx: &ReadContext) -> Context {
        let (_sender, stop) = StopSignal::channel();
        Context {
            run: "rehearsal".into(),
            step: cx.step.clone(),
            attempt: 1,
            direction: "do",
            run_dir: self.0.dir.clone(),
            step_dir: self.0.dir.join("steps").join(&cx.step),
            idempotency_key: format!("ferry:rehearsal:{}", cx.step),
            deadline: Some(cx.deadline),
            kill_after: Duration::from_secs(2),
            phase_started: cx.phase_started,
            stop,
            output: Arc::new(Silent),
            results: Arc::new(|_| None),
            clients: Arc::clone(&self.0.clients),
        }
    }
}

/// What programs print is in their result.
struct Silent;

impl Output for Silent {
    fn chunk(&self, _: Stream, _: &[u8]) {}
    fn progress(&self, _: &str) {}
}

/// The actions, for a rehearsal: each can be described and rehearsed, and not carried out.
pub struct Readers(Registry);

impl Readers {
    /// All of them.
    pub fn all() -> Self {
        Self(Registry::all())
    }

    /// The one of a key.
    pub fn get(&self, key: &str) -> Option<Reader> {
        self.0.get(key).map(Reader)
    }
}

/// One action without its `execute`.
#[derive(Clone, Copy)]
pub struct Reader(&'static dyn Action);

impl Reader {
    /// What the language knows of it.
    pub fn spec(&self) -> &'static Spec {
        self.0.spec()
    }

    /// What the call would do, in a few words.
    pub fn describe(&self, call: &Call) -> String {
        self.0.describe(call)
    }

    /// Reads, or says what would be done.
    ///
    /// # Errors
    /// What is wrong already: a file that is missing, a target that does not answer.
    pub async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        self.0.rehearse(cx, call).await
    }
}

/// A path's directory is there and may be written to, as far as its mode says; in words when not.
pub(super) fn writable_dir(cx: &ReadContext, path: &Path) -> Result<(), ActionError> {
    use nix::unistd::{AccessFlags, access};
    if cx.made_by_a_run(path) {
        return Ok(());
    }
    let dir = path.parent().unwrap_or(path);
    if !dir.is_dir() {
        let message = format!("the directory `{}` is not there", dir.display());
        return Err(ActionError::invalid(message));
    }
    access(dir, AccessFlags::W_OK).map_err(|error| {
        let message = format!("`{}` cannot be written to: {error}", dir.display());
        ActionError::new(
            crate::event::Cause::Denied,
            crate::event::Outcome::NotApplied,
            message,
        )
    })
}

/// The program's place on a path, or what is missing.
pub(super) fn program(name: &str, cwd: &Path, path: Option<&str>) -> Result<PathBuf, String> {
    use nix::unistd::{AccessFlags, access};
    let fit = |place: &Path| place.is_file() && access(place, AccessFlags::X_OK).is_ok();
    if name.contains('/') {
        let place = cwd.join(name);
        return match (place.exists(), fit(&place)) {
            (_, true) => Ok(place),
            (true, false) => Err(format!("`{name}` is there and cannot be executed")),
            (false, false) => Err(format!("the program `{name}` is not there")),
        };
    }
    let path = path.map_or_else(
        || std::env::var_os("PATH").unwrap_or_default(),
        std::ffi::OsString::from,
    );
    let mut places = std::env::split_paths(&path).map(|dir| dir.join(name));
    places
        .find(|place| fit(place))
        .ok_or_else(|| format!("the program `{name}` is not on the path"))
}
