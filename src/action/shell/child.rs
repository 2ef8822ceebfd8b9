//! One child process: spawned into its own group, drained, and ended as a group.
//!
//! The standard library's spawn is used without any hook between fork and exec, so that it stays
//! `posix_spawn` and costs the same however large this process is.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::tail::Kept;
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

/// The group of a child; whatever is left of it is killed when this goes away.
struct Group {
    leader: Pid,
    over: bool,
}

fn tell(group: Pid, signal: Signal) {
    // gone already is as good as told
    let _ = killpg(group, signal);
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.over {
            tell(self.leader, Signal::SIGKILL);
        }
    }
}

/// Spawns `argv` and waits for it. What is left of its group stays when it ends with a `good` code (a
/// server that it started), and is ended otherwise: nothing of a failed step may go on beside its undo.
pub(super) async fn run(
    cx: &Context,
    call: &Call,
    argv: &[String],
    stdin: Option<&str>,
    good: &[i32],
) -> Result<Ran, ActionError> {
    let started = Instant::now();
    let mut child = spawn(cx, call, argv, stdin.is_some())?;
    let leader = child.id().and_then(|pid| i32::try_from(pid).ok());
    let mut group = Group {
        leader: Pid::from_raw(leader.unwrap_or(i32::MAX)),
        over: leader.is_none(),
    };
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
        let wait = watch(&mut child, cx, group.leader, good);
        tokio::pin!(drain, wait);
        let mut drained = false;
        let ended = loop {
            tokio::select! {
                ended = &mut wait => break ended,
                () = &mut drain, if !drained => drained = true,
            }
        };
        // from here on its number may be somebody else's
        group.over = true;
        // a grandchild that holds a pipe open does not hold the step
        let leaked = !drained && tokio::time::timeout(LEAK, &mut drain).await.is_err();
        if leaked {
            cx.output
                .progress("a process that it left behind holds its output open: reading ended");
        }
        (ended, leaked)
    };
    let ended = ended.map_err(|error| {
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
    })
}

fn spawn(cx: &Context, call: &Call, argv: &[String], stdin: bool) -> Result<Child, ActionError> {
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
    let mut command = Command::new(&argv[0]);
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
    command.process_group(0);
    command.stdin(if stdin { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
        .spawn()
        .map_err(|error| spawn_error(&error, call, &argv[0]))
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

/// Waits for the leader; ends the group at the deadline or when told to.
async fn watch(
    child: &mut Child,
    cx: &Context,
    group: Pid,
    good: &[i32],
) -> std::io::Result<Ended> {
    let mut stop = cx.stop.clone();
    let began = Instant::now();
    let deadline = async {
        match cx.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    };
    let mut why = tokio::select! {
        biased;
        status = child.wait() => {
            let ended = status.map(ended);
            if !matches!(ended, Ok(Ended::Exit(code)) if good.contains(&code)) {
                tell(group, Signal::SIGKILL);
            }
            return ended;
        }
        () = deadline => Ended::Timeout(human(began.elapsed())),
        level = stop.above(Stop::No) => Ended::Stopped(level),
    };
    if !matches!(why, Ended::Stopped(Stop::Kill)) {
        tell(group, Signal::SIGTERM);
        // stopped children must run to be able to end
        tell(group, Signal::SIGCONT);
        tokio::select! {
            status = child.wait() => {
                tell(group, Signal::SIGKILL);
                return status.map(|_| why);
            }
            () = tokio::time::sleep(cx.kill_after) => {}
            level = stop.above(Stop::Terminate) => why = Ended::Stopped(level),
        }
    }
    tell(group, Signal::SIGKILL);
    child.wait().await.map(|_| why)
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
