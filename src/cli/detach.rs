//! `--detach`: starts the engine in the background, waits until the run has really begun or could not
//! begin, and says how to follow it.
//!
//! Main function: [`start`]. The engine is this program again, told what to do through a socket that is
//! its standard input ([`super::behind`] is that side): no value of an input stands on a command line.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::error::CommandError;
use super::exit::Exit;
use super::{resume, run};

/// How long what the engine said before it began may still be on its way.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the engine is to do.
#[derive(Serialize, Deserialize)]
pub(super) enum Errand {
    /// `ferry run`.
    Run(Box<run::Args>),
    /// `ferry resume`.
    Resume(resume::ResumeArgs),
}

/// What the engine says once the run has begun: its first event is durable, and the run is held.
#[derive(Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) run: String,
    pub(super) pid: u32,
    /// Where it writes from then on; `None`: it cannot, and why was said before.
    pub(super) log: Option<PathBuf>,
}

/// What came of starting it.
enum Came {
    Began(Begun),
    Ended(ExitStatus),
}

/// Starts it; `shown` stands on its command line for people who list processes.
pub(super) fn start(
    errand: &Errand,
    shown: &str,
    state_dir: &Path,
    json: bool,
) -> Result<Exit, CommandError> {
    let mut errand = serde_json::to_string(errand).map_err(|error| {
        let message = format!("this cannot be handed to a process in the background: {error}");
        CommandError::new(Exit::Usage, message)
    })?;
    errand.push('\n');
    let runtime = super::runtime()?;
    let came = runtime.block_on(begin(errand, shown, state_dir));
    runtime.shutdown_background();
    match came.map_err(|error| cannot(&error))? {
        Came::Began(begun) => tell(&begun, json),
        Came::Ended(status) => ended(status),
    }
}

fn cannot(error: &std::io::Error) -> CommandError {
    let message = format!("no process can be started in the background: {error}");
    CommandError::new(Exit::System, message)
}

async fn begin(errand: String, shown: &str, state_dir: &Path) -> std::io::Result<Came> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--state-dir")
        .arg(state_dir)
        .args(["engine", shown])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let relays = (
        child
            .stdout
            .take()
            .map(|from| relay(from, std::io::stdout())),
        child
            .stderr
            .take()
            .map(|from| relay(from, std::io::stderr())),
    );
    let mut said = tokio::spawn(talk(ours, errand));
    let (mut hangup, mut terminate) = (
        signal(SignalKind::hangup())?,
        signal(SignalKind::terminate())?,
    );
    let begun = loop {
        tokio::select! {
            said = &mut said => break said.ok().flatten(),
            // what has not begun is not begun behind anybody's back
            _ = tokio::signal::ctrl_c() => stop(&child),
            _ = hangup.recv() => stop(&child),
            _ = terminate.recv() => stop(&child),
        }
    };
    let came = match begun {
        Some(begun) => Came::Began(begun),
        None => Came::Ended(child.wait().await?),
    };
    for relay in [relays.0, relays.1].into_iter().flatten() {
        let _ = tokio::time::timeout(LAST_WORDS, relay).await;
    }
    Ok(came)
}

/// Tells the engine what to do, and waits for its answer; `None`: it ended without one.
async fn talk(to: UnixStream, errand: String) -> Option<Begun> {
    let mut to = tokio::net::UnixStream::from_std(to).ok()?;
    to.write_all(errand.as_bytes()).await.ok()?;
    let mut line = String::new();
    BufReader::new(to).read_line(&mut line).await.ok()?;
    serde_json::from_str(&line).ok()
}

fn stop(child: &Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid {
        // one that is gone already is what was wanted
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

/// Hands on what the engine says before the run begins.
fn relay(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl std::io::Write + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut bytes).await {
            // nobody to read it is no failure
            let _ = to.write_all(&bytes[..n]).and_then(|()| to.flush());
        }
    })
}

fn tell(begun: &Begun, json: bool) -> Result<Exit, CommandError> {
    let Begun { run, pid, log } = begun;
    let here = std::env::current_dir().unwrap_or_default();
    let log = log.as_ref().map(|log| {
        let near = log.strip_prefix(&here).unwrap_or(log);
        near.display().to_string()
    });
    if json {
        let line = json!({ "event": "detached", "run": run, "pid": pid, "log": log });
        super::answer(&format!("{line}\n"))?;
        return Ok(Exit::Done);
    }
    super::answer(&format!("{run}\n"))?;
    super::say(&format!("goes on in the background (process {pid})"));
    for word in ["watch", "status", "pause", "cancel"] {
        super::say(&format!("  {word:12}ferry {word} {run}"));
    }
    if let Some(log) = log {
        super::say(&format!("  log         {log}"));
    }
    Ok(Exit::Done)
}

/// An engine that ended before the run began: why was said, and its code is ours.
fn ended(status: ExitStatus) -> Result<Exit, CommandError> {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    let known = Exit::ALL.into_iter().find(|exit| Some(exit.code()) == code);
    known.ok_or_else(|| {
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("with {code}"),
            (None, Some(signal)) => format!("by signal {signal}"),
            (None, None) => "somehow".into(),
        };
        let message = format!("the engine in the background ended {how} before the run began");
        CommandError::new(Exit::Internal, message).hint("`ferry runs` tells whether it began")
    })
}
