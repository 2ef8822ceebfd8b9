//! One child process: spawned as a [`Tree`], drained, and ended as a whole.
//!
//! It decides when the tree is to end; how that is done is the tree's.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::{AccessFlags, access};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::tail::Kept;
use crate::action::pause::{self, Stopwatch};
use crate::action::tree::{Left, Tree};
use crate::action::{ActionError, Call, Context, Stop, Stream};
use crate::runbook::units::human;

/// How long a pipe may stay open after its process is gone.
const LEAK: Duration = Duration::from_secs(2);

/// Largest single argument or environment value the kernel takes.
const MAX_ARG: usize = 128 << 10;

/// What became of it.
pub(super) struct Ran {
    pub(super) ended: Ended,
    pub(super) stdout: Kept,
    pub(super) stderr: Kept,
    pub(super) took: Duration,
    /// Whether something that it left behind still held its output open.
    pub(super) leaked: bool,
    /// What became of processes that left its group, when it was to end.
    pub(super) left: Left,
}

/// How it ended.
#[derive(Clone, Debug)]
pub(super) enum Ended {
    Exit(i32),
    Signal(i32),
    /// After so long.
    Timeout(String),
    Stopped(Stop),
}

/// Spawns `argv` and waits for it. What is left of it stays when it ends with a `good` code (a server
/// that it started), and is ended otherwise: nothing of a failed step may go on beside its undo.
pub(super) async fn run(
    cx: &Context,
    call: &Call,
    argv: &[String],
    stdin: Option<&str>,
    good: &[i32],
) -> Result<Ran, ActionError> {
    let started = Instant::now();
    let (mut child, tree) = spawn(cx, call, argv, stdin.is_some())?;
    let (mut stdout, mut stderr) = (Kept::default(), Kept::default());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    feed(&mut child, stdin);
    let (ended, leaked) = {
        let drain = async {
            tokio::join!(
                drain(out, Stream::Stdout, cx, &mut stdout),
                drain(err, Stream::Stderr, cx, &mut stderr)
            );
        };
        let wait = watch(&mut child, cx, tree, good);
        tokio::pin!(drain, wait);
        let mut drained = false;
        let ended = loop {
            tokio::select! {
                ended = &mut wait => break ended,
                () = &mut drain, if !drained => drained = true,
            }
        };
        // a grandchild that holds a pipe open does not hold the step
        let leaked = !drained && tokio::time::timeout(LEAK, &mut drain).await.is_err();
        if leaked {
            cx.output
                .progress("a process that it left behind holds its output open: reading ended");
        }
        (ended, leaked)
    };
    let (ended, left) = ended.map_err(|error| {
        ActionError::failed(
            crate::event::Outcome::Unknown,
            format!("waiting for it failed: {error}"),
        )
    })?;
    Ok(Ran {
        ended,
        stdout,
        stderr,
        took: started.elapsed(),
        leaked,
        left,
    })
}

fn spawn(
    cx: &Context,
    call: &Call,
    argv: &[String],
    stdin: bool,
) -> Result<(Child, Tree), ActionError> {
    let long = argv
        .iter()
        .chain(call.env.iter().map(|(_, value)| value))
        .find(|part| part.len() >= MAX_ARG);
    if let Some(part) = long {
        let message = format!(
            "an argument or value of {} bytes is larger than the kernel takes ({MAX_ARG})",
            part.len()
        );
        return Err(ActionError::limit(
            crate::event::Outcome::NotApplied,
            message,
        ));
    }
    let mut command = Command::new(place(&argv[0], call));
    command.arg0(&argv[0]);
    command.args(&argv[1..]).current_dir(&call.cwd).env_clear();
    for name in [
        "PATH", "HOME", "LANG", "LC_ALL", "USER", "LOGNAME", "TZ", "TMPDIR",
    ] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("TERM", "dumb");
    command
        .env("FERRY_RUN", &cx.run)
        .env("FERRY_STEP", &cx.step)
        .env("FERRY_ATTEMPT", cx.attempt.to_string());
    command
        .env("FERRY_RUN_DIR", &cx.run_dir)
        .env("FERRY_STEP_DIR", &cx.step_dir);
    command.env("FERRY_IDEMPOTENCY_KEY", &cx.idempotency_key);
    command.envs(call.env.iter().map(|(name, value)| (name, value)));
    command.stdin(if stdin { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Tree::spawn(cx, &mut command).map_err(|error| spawn_error(&error, call, &argv[0]))
}

/// Where on the child's `PATH` a program is. With the whole path the spawn need not copy this process
/// to look for it; what is not found is left to the spawn, whose words are the system's.
fn place(program: &str, call: &Call) -> PathBuf {
    if program.contains('/') {
        return program.into();
    }
    let declared = call.env.iter().rev().find(|(name, _)| name == "PATH");
    let path = match declared {
        Some((_, value)) => value.into(),
        None => std::env::var_os("PATH").unwrap_or_default(),
    };
    std::env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .find(|place| access(place, AccessFlags::X_OK).is_ok() && place.is_file())
        .unwrap_or_else(|| program.into())
}

fn spawn_error(error: &std::io::Error, call: &Call, program: &str) -> ActionError {
    use std::io::ErrorKind;
    if !call.cwd.is_dir() {
        let message = format!(
            "the directory `{}` to work in is not there",
            call.cwd.display()
        );
        return ActionError::invalid(message);
    }
    match error.kind() {
        ErrorKind::NotFound => ActionError::invalid(format!("`{program}` was not found"))
            .hint("look at PATH, or give its full path"),
        ErrorKind::PermissionDenied => {
            ActionError::invalid(format!("`{program}` may not be executed"))
                .hint("look at its mode")
        }
        _ => {
            // out of processes, descriptors or memory: nothing was started, and later there may be room
            let failed = ActionError::new(
                crate::event::Cause::Failed,
                crate::event::Outcome::NotApplied,
                format!("`{program}` could not be started: {error}"),
            );
            failed.retryable(true)
        }
    }
}

fn feed(child: &mut Child, text: Option<&str>) {
    if let (Some(mut pipe), Some(text)) = (child.stdin.take(), text.map(str::to_owned)) {
        tokio::spawn(async move {
            // a child that does not read its input is no failure
            let _ = pipe.write_all(text.as_bytes()).await;
        });
    }
}

/// Waits for the leader; ends the tree at the deadline or when told to.
async fn watch(
    child: &mut Child,
    cx: &Context,
    tree: Tree,
    good: &[i32],
) -> std::io::Result<(Ended, Left)> {
    let mut stop = cx.stop.clone();
    let began = Stopwatch::start();
    let mut why = tokio::select! {
        biased;
        status = child.wait() => {
            let ended = ended(status?);
            if matches!(ended, Ended::Exit(code) if good.contains(&code)) {
                tree.leave();
                return Ok((ended, Left::default()));
            }
            let left = tree.end(None, cx.kill_after, &cx.stop).await;
            return Ok((ended, left));
        }
        () = pause::passed(cx.deadline) => Ended::Timeout(human(began.elapsed())),
        level = stop.above(Stop::No) => Ended::Stopped(level),
    };
    let mut grace = Duration::ZERO;
    let told = Instant::now();
    if !matches!(why, Ended::Stopped(Stop::Kill)) {
        grace = cx.kill_after;
        tree.terminate();
        tokio::select! {
            status = child.wait() => {
                status?;
                let left = tree.end(Some(told), grace, &cx.stop).await;
                return Ok((why, left));
            }
            () = pause::sleep(grace) => {}
            level = stop.above(Stop::Terminate) => why = Ended::Stopped(level),
        }
    }
    tree.tell(Signal::SIGKILL);
    child.wait().await?;
    let left = tree.end(Some(told), grace, &cx.stop).await;
    Ok((why, left))
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exit(code),
        (None, signal) => Ended::Signal(signal.unwrap_or_default()),
    }
}

async fn drain<R: AsyncRead + Unpin>(
    pipe: Option<R>,
    stream: Stream,
    cx: &Context,
    kept: &mut Kept,
) {
    let Some(mut pipe) = pipe else {
        return;
    };
    let mut buffer = Vec::new();
    loop {
        // the buffer is made for the first byte: most steps print nothing
        if buffer.is_empty() {
            let mut first = [0_u8; 512];
            match pipe.read(&mut first).await {
                Ok(0) | Err(_) => return,
                Ok(n) => take(&first[..n], stream, cx, kept),
            }
            buffer = vec![0_u8; 64 << 10];
        }
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(n) => take(&buffer[..n], stream, cx, kept),
        }
    }
}

fn take(bytes: &[u8], stream: Stream, cx: &Context, kept: &mut Kept) {
    kept.push(bytes);
    cx.output.chunk(stream, bytes);
}
