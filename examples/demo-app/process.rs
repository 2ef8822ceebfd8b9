//! Processes that outlive the command that started them, known by pid and start time ([`Record`]).
//! Nothing here signals a process whose start time is not the recorded one.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, setsid};
use serde::{Deserialize, Serialize};

use crate::error::{Fail, Outcome};
use crate::world::{World, write_atomic};

/// How long a process may take to end after TERM before it is killed.
const GRACE: Duration = Duration::from_secs(6);

/// A process that we started: a pid alone may by now be somebody else's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub pid: i32,
    /// When the kernel says that it started, in the kernel's own form.
    pub started: String,
}

impl Record {
    /// The record of `name` in this world, if there is one.
    pub fn read(world: &World, name: &str) -> Option<Self> {
        let text = fs::read_to_string(path(world, name)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Whether the very process that was recorded still runs.
    pub fn alive(&self) -> bool {
        started(self.pid).as_deref() == Some(self.started.as_str())
    }
}

/// Where the record of `name` lies.
pub fn path(world: &World, name: &str) -> PathBuf {
    world.dir.join("run").join(format!("{name}.json"))
}

/// The names of all records of this world.
pub fn names(world: &World) -> Vec<String> {
    let Ok(entries) = fs::read_dir(world.dir.join("run")) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|e| e.ok()?.file_name().into_string().ok())
        .filter_map(|n| n.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// Start time of a live process; none when it is gone or only waits to be reaped.
pub fn started(pid: i32) -> Option<String> {
    if !Path::new("/proc/self/stat").exists() {
        return started_by_ps(pid);
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the command name may hold spaces and brackets: fields are counted from the last bracket
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    // field 22 of the line; the state was field 3
    fields.nth(18).map(str::to_owned)
}

fn started_by_ps(pid: i32) -> Option<String> {
    let out = Command::new("ps")
        .args(["-o", "stat=,lstart=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    let (state, start) = text.split_once(char::is_whitespace)?;
    (!state.starts_with('Z')).then(|| start.trim().to_owned())
}

/// Starts `command` in a session of its own, its output appended to `log`.
///
/// The child writes its own record before it becomes `command`, so that no moment exists in which
/// it runs and cannot be found.
pub fn spawn(world: &World, name: &str, log: &Path, command: &[String]) -> Outcome<Child> {
    let record = path(world, name);
    let _ = fs::remove_file(&record);
    let output = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .map_err(|e| Fail::io(format!("open `{}`", log.display()), e))?;
    let errors = output
        .try_clone()
        .map_err(|e| Fail::io("share a log file", e))?;
    Command::new(own_binary()?)
        // not an argument: what the child becomes has to know it too
        .env("DEMO_WORLD", &world.dir)
        .arg("detach")
        .arg("--record")
        .arg(record)
        .arg("--")
        .args(command)
        .current_dir(&world.dir)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(|e| Fail::io(format!("start {name}"), e))
}

/// The path of this program.
pub fn own_binary() -> Outcome<String> {
    let path = std::env::current_exe().map_err(|e| Fail::io("find the path of this program", e))?;
    path.into_os_string().into_string().map_err(|p| {
        Fail::said(format!(
            "the path of this program is not UTF-8: {}",
            p.display()
        ))
    })
}

/// The other side of [`spawn`]; returns only on failure.
pub fn become_detached(record: &Path, command: &[String]) -> Outcome<ExitCode> {
    setsid().map_err(|e| Fail::io("start a session", e.into()))?;
    let pid = i32::try_from(std::process::id()).expect("a pid fits the kernel's own type");
    let me = Record {
        pid,
        started: started(pid).ok_or_else(|| Fail::said("could not read my own start time"))?,
    };
    write_atomic(record, serde_json::to_string(&me)?.as_bytes(), 0o600)?;
    let (program, args) = command
        .split_first()
        .ok_or_else(|| Fail::said("no command to become"))?;
    let error = Command::new(program).args(args).exec();
    let _ = fs::remove_file(record);
    Err(Fail::io(format!("start `{program}`"), error))
}

/// How stopping went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It did not run.
    WasNot,
    /// It ended after TERM.
    Ended,
    /// It had to be killed.
    Killed,
}

/// Stops the recorded process: TERM, wait, KILL. Fails when it is still there after that.
pub async fn stop(world: &World, name: &str) -> Outcome<Stopped> {
    let Some(record) = Record::read(world, name) else {
        return Ok(Stopped::WasNot);
    };
    let mut how = Stopped::WasNot;
    if record.alive() {
        signal(&record, Signal::SIGTERM)?;
        how = Stopped::Ended;
        if !gone(&record, GRACE).await {
            signal(&record, Signal::SIGKILL)?;
            how = Stopped::Killed;
            if !gone(&record, Duration::from_secs(3)).await {
                return Err(Fail::said(format!(
                    "{name} (pid {}) does not end, even when killed",
                    record.pid
                )));
            }
        }
    }
    let _ = fs::remove_file(path(world, name));
    Ok(how)
}

fn signal(record: &Record, signal: Signal) -> Outcome<()> {
    match kill(Pid::from_raw(record.pid), signal) {
        // it ended by itself between the look and the signal
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(e) => Err(Fail::io(
            format!("signal pid {}", record.pid),
            io::Error::from(e),
        )),
    }
}

async fn gone(record: &Record, within: Duration) -> bool {
    let end = Instant::now() + within;
    while Instant::now() < end {
        if !record.alive() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    !record.alive()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_pid_is_not_taken_for_ours() {
        let pid = i32::try_from(std::process::id()).expect("fits");
        let real = started(pid).expect("this test runs");
        assert!(
            Record {
                pid,
                started: real.clone()
            }
            .alive()
        );
        assert!(
            !Record {
                pid,
                started: format!("{real}0")
            }
            .alive()
        );
    }
}
