//! `process.cpu`: what processes of this machine use, looked at twice. Reads only, from `/proc`.
//!
//! [`Cpu`] finds them by number, by pid file or by program name. None is count 0 and no other figure.
//! Whose end falls between the two looks takes its share with it, so that there is none then.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nix::unistd::{SysconfVar, sysconf};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::file::blocking;
use super::measure::count;
use super::pause::{self, Stopwatch};
use super::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::event::{Cause, Outcome};
use crate::runbook::catalog::always_reading;
use crate::runbook::units::Span;
use crate::runbook::{Spec, TargetKind};

/// The actions of this file.
pub const ACTIONS: &[&dyn Action] = &[&Cpu];

/// Most process numbers that a result names.
const NAMED: usize = 50;

/// How much of a file is read for a process number.
const PID_FILE: usize = 64;

/// Looks at processes.
pub struct Cpu;

/// Which ones, and for how long.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The number of one process
    pid: Option<u32>,
    /// A file that holds the number of one; no file means that it does not run
    pid_file: Option<String>,
    /// The exact name of a program, such as `redis-server`: all that run it are summed
    name: Option<String>,
    /// How long to look, 100ms to 1m
    #[serde(default = "one_second")]
    over: Span,
}

fn one_second() -> Span {
    Span(Duration::from_secs(1))
}

/// What the language knows of `process.cpu`.
pub static SPEC: Spec = Spec {
    targets: &[TargetKind::Host],
    target_optional: true,
    short: Some("name"),
    class: always_reading,
    sense,
    results: &[
        ("count", "how many processes ran at the end"),
        (
            "cpu",
            "what they used, as a share of one core (2.0 is two cores busy); null when there are none, or when one ended meanwhile",
        ),
        (
            "rss_bytes",
            "memory that they hold, summed: what they share counts for each; null when there are none",
        ),
        (
            "threads",
            "how many threads they have; null when there are none",
        ),
        ("pids", "their numbers, the lowest 50"),
        ("started", "how many began during the look"),
        ("ended", "how many ended during the look"),
        ("over_ms", "milliseconds that it was looked"),
    ],
    ..Spec::of::<Params>(
        "process.cpu",
        "look at what processes use: cpu, memory, threads",
    )
};

fn sense(written: &Value) -> Result<(), String> {
    let given = |key: &&str| written.get(*key).is_some_and(|value| !value.is_null());
    let keys = ["pid", "pid_file", "name"];
    match keys.iter().copied().filter(|key| given(key)).count() {
        1 => Ok(()),
        0 => Err("no process is named; give it `pid`, `pid_file` or `name`".into()),
        _ => Err("only one of `pid`, `pid_file` and `name` can say which process".into()),
    }
}

/// Refuses a target that is another machine: only this one can be looked at.
///
/// # Errors
/// [`ActionError::invalid`].
pub(super) fn here(call: &Call) -> Result<(), ActionError> {
    match &call.target {
        Some(target) if !matches!(target.url.as_str(), "local" | "localhost" | "127.0.0.1") => {
            let (key, name) = (&call.key, &target.name);
            let message = format!("`{key}`: target `{name}` is not this machine");
            Err(ActionError::invalid(message).hint(
                "only `host: local` can be looked at; use a `shell` step for another machine",
            ))
        }
        _ => Ok(()),
    }
}

#[async_trait]
impl Action for Cpu {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        match params::<Params>(&SPEC, call) {
            Ok(Params { pid: Some(pid), .. }) => format!("look at what process {pid} uses"),
            Ok(Params {
                pid_file: Some(file),
                ..
            }) => {
                format!("look at what the process of `{file}` uses")
            }
            Ok(Params {
                name: Some(name), ..
            }) => format!("look at what `{name}` uses"),
            _ => "look at what a process uses".into(),
        }
    }

    async fn execute(&self, _: &Context, call: &Call) -> Result<Value, ActionError> {
        look(call).await
    }

    async fn rehearse(&self, _: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        look(call).await.map(Rehearsed::Read)
    }
}

async fn look(call: &Call) -> Result<Value, ActionError> {
    here(call)?;
    let params: Params = params(&SPEC, call)?;
    let wrong = |why: String| ActionError::invalid(format!("`{}`: {why}", call.key));
    sense(&json!({ "pid": params.pid, "pid_file": params.pid_file, "name": params.name }))
        .map_err(wrong)?;
    if !(Duration::from_millis(100)..=Duration::from_secs(60)).contains(&params.over.0) {
        return Err(wrong("`over` is from 100ms to 1m".into()));
    }
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    let watch = Stopwatch::start();
    let params = Arc::new(params);
    let before = looked(call, &params).await?;
    pause::sleep(params.over.0).await;
    let after = looked(call, &params).await?;
    let over = watch.elapsed();
    Ok(compared(&before, &after, ticks, over))
}

/// Reads what is there now, off the threads that must not wait.
async fn looked(call: &Call, params: &Arc<Params>) -> Result<Found, ActionError> {
    let (cwd, params) = (call.cwd.clone(), Arc::clone(params));
    blocking(move |_| found(&cwd, &params)).await
}

fn compared(before: &Found, after: &Found, ticks: i64, over: Duration) -> Value {
    let there = !after.is_empty();
    let ended = before.keys().filter(|id| !after.contains_key(id)).count();
    let started = after.keys().filter(|id| !before.contains_key(id)).count();
    let used: u64 = after
        .iter()
        .map(|(id, now)| {
            let earlier = before.get(id).map_or(0, |then| then.ticks);
            now.ticks.saturating_sub(earlier)
        })
        .sum();
    let seconds = count(usize::try_from(used).unwrap_or(usize::MAX))
        / count(usize::try_from(ticks).unwrap_or(100));
    let cpu = (there && ended == 0).then(|| seconds / over.as_secs_f64());
    let sum = |of: fn(&Use) -> Option<u64>| {
        let all: Option<Vec<u64>> = after.values().map(of).collect();
        all.filter(|_| there).map(|all| all.iter().sum::<u64>())
    };
    json!({
        "count": after.len(),
        "cpu": cpu,
        "rss_bytes": sum(|one| one.rss),
        "threads": sum(|one| one.threads),
        "pids": after.keys().map(|(pid, _)| pid).take(NAMED).collect::<Vec<_>>(),
        "started": started,
        "ended": ended,
        "over_ms": over.as_secs_f64() * 1_000.0,
    })
}

/// What one process used so far.
struct Use {
    ticks: u64,
    rss: Option<u64>,
    threads: Option<u64>,
}

/// Processes by number and start, since a number is used again.
type Found = BTreeMap<(u32, u64), Use>;

fn found(cwd: &Path, params: &Params) -> Result<Found, ActionError> {
    let pids = match (params.pid, &params.pid_file, &params.name) {
        (Some(pid), _, _) => vec![pid],
        (_, Some(file), _) => of_file(cwd, file)?.into_iter().collect(),
        (_, _, Some(name)) => named(name)?,
        _ => Vec::new(),
    };
    let all = pids.into_iter().filter_map(|pid| {
        let (start, ticks) = stat(pid)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_ascii_whitespace().next()?.parse::<u64>().ok()
        };
        let one = Use {
            ticks,
            // threads of the kernel hold none, and do not say so
            rss: Some(field("VmRSS:").map_or(0, |kb| kb * 1024)),
            threads: field("Threads:"),
        };
        Some(((pid, start), one))
    });
    Ok(all.collect())
}

/// Start time and time used, in ticks; `None` when it does not run, or only waits to be buried.
fn stat(pid: u32) -> Option<(u64, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the fields are counted behind the name in parentheses, which can hold anything
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some((number(19)?, number(11)? + number(12)?))
}

fn of_file(cwd: &Path, file: &str) -> Result<Option<u32>, ActionError> {
    let failed = |why: String| {
        ActionError::new(
            Cause::Invalid,
            Outcome::NotApplied,
            format!("`{file}`: {why}"),
        )
    };
    let bytes = match start_of(&cwd.join(file)) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(failed("is not a regular file".into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    let text = String::from_utf8_lossy(&bytes);
    let first = text.trim_ascii_start();
    let whole = bytes.len() < PID_FILE || first.contains(|c: char| c.is_ascii_whitespace());
    let first = first.split_ascii_whitespace().next().filter(|_| whole);
    match first.unwrap_or_default().parse() {
        Ok(pid) => Ok(Some(pid)),
        Err(_) => Err(failed("holds no process number".into())),
    }
}

/// The first bytes of a regular file; `None` when it is none. Another one could hold us for ever.
fn start_of(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(PID_FILE);
    file.take(PID_FILE as u64).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// All processes of a program but this one, by the name that the kernel has (its first 15 bytes), or by
/// the file name of the program or of what it calls itself.
fn named(name: &str) -> Result<Vec<u32>, ActionError> {
    if name.is_empty() || name.contains('/') {
        let message = format!("`{name}` is not the name of a program, such as `redis-server`");
        return Err(ActionError::invalid(message));
    }
    let entries = fs::read_dir("/proc").map_err(|error| {
        ActionError::failed(
            Outcome::NotApplied,
            format!("`/proc` cannot be read: {error}"),
        )
    })?;
    let own = std::process::id();
    let pids = entries.flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    Ok(pids.filter(|pid| *pid != own && runs(*pid, name)).collect())
}

fn runs(pid: u32, name: &str) -> bool {
    let last = |path: &Path| path.file_name().is_some_and(|file| file == name);
    let comm = fs::read_to_string(format!("/proc/{pid}/comm"));
    if name.len() <= 15 && comm.is_ok_and(|comm| comm.trim_end_matches('\n') == name) {
        return true;
    }
    if fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| last(&exe)) {
        return true;
    }
    let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
    std::str::from_utf8(first).is_ok_and(|first| last(Path::new(first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(ticks: u64) -> Use {
        Use {
            ticks,
            rss: Some(1024),
            threads: Some(2),
        }
    }

    #[test]
    fn a_pid_file_is_a_small_regular_file() {
        let dir = tempfile::tempdir().unwrap();
        let of = |text: &str| {
            fs::write(dir.path().join("pid"), text).unwrap();
            of_file(dir.path(), "pid").map_err(|error| error.message)
        };
        assert_eq!(of(" 42\n"), Ok(Some(42)));
        assert_eq!(of(&format!("42\n{}", "x".repeat(1_000_000))), Ok(Some(42)));
        // the number would be cut
        let none = Err("`pid`: holds no process number".to_owned());
        assert_eq!(of(&format!("{}12345", " ".repeat(62))), none);
        assert_eq!(of(""), none);
        assert_eq!(of_file(dir.path(), "gone").unwrap(), None);
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        let why = of_file(dir.path(), "fifo").unwrap_err().message;
        assert_eq!(why, "`fifo`: is not a regular file");
    }

    #[test]
    fn none_is_count_zero_and_nothing_else() {
        let result = compared(&Found::new(), &Found::new(), 100, Duration::from_secs(1));
        assert_eq!(result["count"], 0);
        for key in ["cpu", "rss_bytes", "threads"] {
            assert_eq!(result[key], Value::Null, "{key}");
        }
    }

    #[test]
    fn shares_are_of_what_was_used_meanwhile() {
        let before = Found::from([((7, 1), used(1_000)), ((8, 1), used(50))]);
        let after = Found::from([
            ((7, 1), used(1_100)),
            ((8, 1), used(50)),
            ((9, 5), used(20)),
        ]);
        let result = compared(&before, &after, 100, Duration::from_secs(2));
        assert_eq!((&result["count"], &result["cpu"]), (&json!(3), &json!(0.6)));
        assert_eq!(
            (&result["rss_bytes"], &result["threads"]),
            (&json!(3072), &json!(6))
        );
        assert_eq!(
            (&result["started"], &result["ended"]),
            (&json!(1), &json!(0))
        );
        // the number 7 is another process now: what the first one used is not known
        let again = Found::from([((7, 9), used(1)), ((8, 1), used(60))]);
        let result = compared(&before, &again, 100, Duration::from_secs(2));
        assert_eq!(
            (&result["cpu"], &result["ended"]),
            (&Value::Null, &json!(1))
        );
    }
}
