//! Starting and stopping instances, as an operator would with a process manager.
//! Every verb may be given twice; a start that does not lead to an answering port is a failure.

use std::fs;
use std::path::Path;
use std::process::{Child, ExitCode};
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::Value;

use crate::error::{Fail, Outcome};
use crate::http;
use crate::process::{self, Record, Stopped};
use crate::world::World;

/// How long a started process may take until its port answers.
const START: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Verb {
    Start,
    Stop,
    Restart,
    Status,
}

/// One instance, or every one in turn.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    All,
    One(u16),
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let number = text.parse().ok().filter(|n| *n > 0);
        number
            .map(Self::One)
            .ok_or_else(|| format!("`{text}` is neither an instance number nor `all`"))
    }
}

/// Carries out a verb; the exit code is 1 when an instance did not do as told, 3 when `status`
/// finds one that is not up.
pub async fn run(world: &World, verb: Verb, which: Which) -> Outcome<ExitCode> {
    let instances: Vec<u16> = match which {
        Which::All => (1..=world.instances()?).collect(),
        Which::One(n) => {
            world.instance_port(n)?;
            vec![n]
        }
    };
    let mut code = 0;
    for n in instances {
        // two operators on one instance would start it twice
        let lock = world.dir.join("run").join(format!("instance-{n}.lock"));
        let lock = fs::File::create(lock).map_err(|e| Fail::io("open a lock file", e))?;
        if verb != Verb::Status {
            lock.lock()
                .map_err(|e| Fail::io(format!("lock instance {n}"), e))?;
        }
        let done = match verb {
            Verb::Start => start(world, n).await,
            Verb::Stop => stop(world, n).await,
            Verb::Restart => match stop(world, n).await {
                Ok(_) => start(world, n).await,
                Err(e) => Err(e),
            },
            Verb::Status => {
                let (up, text) = describe(world, n).await?;
                code = if up { code } else { 3 };
                Ok(text)
            }
        };
        match done {
            Ok(text) => println!("instance {n}: {text}"),
            Err(e) => {
                eprintln!("instance {n}: {e}");
                code = 1;
            }
        }
    }
    Ok(ExitCode::from(code))
}

fn name(n: u16) -> String {
    format!("instance-{n}")
}

async fn start(world: &World, n: u16) -> Outcome<String> {
    let port = world.instance_port(n)?;
    if let Some(record) = Record::read(world, &name(n)).filter(Record::alive) {
        return Ok(format!("already running (pid {})", record.pid));
    }
    let log = world.dir.join("logs").join(format!("{}.out", name(n)));
    let _ = fs::remove_file(&log);
    let command = [
        process::own_binary()?,
        "serve".into(),
        "--instance".into(),
        n.to_string(),
    ];
    let mut child = process::spawn(world, &name(n), &log, &command)?;
    await_port(&mut child, port, &log).await?;
    Ok(format!("started (pid {}, port {port})", child.id()))
}

async fn stop(world: &World, n: u16) -> Outcome<String> {
    let text = match process::stop(world, &name(n)).await? {
        Stopped::WasNot => "not running",
        Stopped::Ended => "stopped",
        Stopped::Killed => "stopped (it had to be killed)",
    };
    Ok(text.to_owned())
}

/// Waits until the port answers HTTP with any status; fails as soon as the process ends, with the
/// last line of its `log`.
pub async fn await_port(child: &mut Child, port: u16, log: &Path) -> Outcome<()> {
    let end = Instant::now() + START;
    while Instant::now() < end {
        if let Ok(Some(status)) = child.try_wait() {
            let said = fs::read_to_string(log).unwrap_or_default();
            let last = said.lines().last().unwrap_or("it said nothing");
            return Err(Fail::said(format!(
                "ended with {status} before port {port} answered: {last}"
            )));
        }
        if http::get(port, "/health", START).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Err(Fail::said(format!(
        "port {port} did not answer within {} s",
        START.as_secs()
    )))
}

/// Whether an instance runs and answers 200, and that in words.
pub async fn describe(world: &World, n: u16) -> Outcome<(bool, String)> {
    let port = world.instance_port(n)?;
    let Some(record) = Record::read(world, &name(n)).filter(Record::alive) else {
        return Ok((false, "not running".to_owned()));
    };
    let who = format!("pid {}, port {port}", record.pid);
    let reply = match http::get(port, "/health", Duration::from_secs(5)).await {
        Ok(reply) => reply,
        Err(e) => return Ok((false, format!("does not answer ({who}): {e}"))),
    };
    let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let backend = body["backend"].as_str().unwrap_or("not told");
    let text = format!(
        "running ({who}, health {}, backend {backend})",
        reply.status
    );
    Ok((reply.status == 200, text))
}
