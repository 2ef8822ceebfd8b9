//! The databases' own client programs, for backup and restore.
//!
//! Passwords go in by environment, never by argument. Each is a tree of its own: stopped, all of it
//! gets TERM, then KILL.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

use super::client::Endpoint;
use super::own;
use crate::action::tree::Tree;
use crate::action::{ActionError, Context, Stop, pause};
use crate::event::{Cause, Outcome};
use crate::runbook::TargetKind;

/// Most output kept of a stream.
const KEPT: u64 = 16 * 1024 * 1024;

/// A program that did not succeed.
pub struct Failed {
    pub error: ActionError,
    /// What it wrote to its error stream, at most the last 2 KiB.
    pub said: String,
}

/// A program to run: the names it goes by, and the Debian package that has it.
pub struct Tool {
    pub names: &'static [&'static str],
    pub package: &'static str,
}

pub const PG_DUMP: Tool = Tool {
    names: &["pg_dump"],
    package: "postgresql-client",
};
pub const PG_RESTORE: Tool = Tool {
    names: &["pg_restore"],
    package: "postgresql-client",
};
pub const MYSQL_DUMP: Tool = Tool {
    names: &["mariadb-dump", "mysqldump"],
    package: "mariadb-client or mysql-client",
};
pub const MYSQL: Tool = Tool {
    names: &["mariadb", "mysql"],
    package: "mariadb-client or mysql-client",
};

impl Tool {
    /// The first of its names on the path, and where it is.
    fn find(&self) -> Result<(&'static str, PathBuf), ActionError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = self.names.iter().find_map(|name| {
            let mut places = std::env::split_paths(&path).map(|directory| directory.join(name));
            Some((*name, places.find(|place| place.is_file())?))
        });
        found.ok_or_else(|| {
            ActionError::invalid(format!("`{}` is not installed", self.names.join("` or `")))
                .hint(format!("install the package {}", self.package))
        })
    }

    /// Whether it is installed.
    ///
    /// # Errors
    /// That it is not, with the package.
    pub fn is_there(&self) -> Result<(), ActionError> {
        self.find().map(|_| ())
    }

    /// Runs it against `at` with `args`, `input` as its standard input, and returns its output.
    /// `unsure` is what is known about the effect when it failed or was stopped.
    ///
    /// # Errors
    /// When it is missing (not applied), fails, or is stopped.
    pub async fn run(
        &self,
        cx: &Context,
        at: Option<&Endpoint>,
        args: &[&str],
        input: Option<&Path>,
        unsure: Outcome,
    ) -> Result<String, Failed> {
        let bare = |error: ActionError| Failed {
            error,
            said: String::new(),
        };
        let (name, place) = self.find().map_err(bare)?;
        let stdin = match input {
            None => Stdio::null(),
            Some(path) => File::open(path)
                .map_err(|error| {
                    ActionError::invalid(format!("cannot read `{}`: {error}", path.display()))
                })
                .map_err(bare)?
                .into(),
        };
        let mut command = Command::new(place);
        command
            .arg0(name)
            .args(args)
            .env_clear()
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for key in ["PATH", "HOME", "TMPDIR"] {
            if let Some(value) = std::env::var_os(key) {
                command.env(key, value);
            }
        }
        command.env("LC_ALL", "C.UTF-8");
        if let Some(at) = at {
            credentials(&mut command, at, cx);
        }
        let (mut child, tree) = Tree::spawn(cx, &mut command).map_err(|error| {
            bare(ActionError::invalid(format!(
                "`{name}` did not start: {error}"
            )))
        })?;
        let (output, said, ended) = watch(cx, &mut child, tree).await;
        let place = at.map_or(String::new(), |at| format!("{}: ", at.label()));
        let error = match ended {
            Ok(status) if status.success() => return Ok(output),
            Ok(status) => {
                let shown = said.trim();
                ActionError::failed(
                    unsure,
                    format!("{place}`{name}` ended with {status}: {shown}"),
                )
            }
            Err(Cause::Timeout) => ActionError::new(
                Cause::Timeout,
                unsure,
                format!("{place}`{name}` was not done within its timeout"),
            ),
            Err(cause) => ActionError::new(cause, unsure, format!("{place}`{name}` was stopped")),
        };
        Err(Failed { error, said })
    }
}

fn credentials(command: &mut Command, at: &Endpoint, cx: &Context) {
    if at.kind == TargetKind::Mysql {
        command.env("MYSQL_PWD", &at.password);
        return;
    }
    command
        .env("PGPASSWORD", &at.password)
        .env("PGAPPNAME", own::session_name(&cx.idempotency_key))
        .env("PGCONNECT_TIMEOUT", "10");
    for (key, variable) in [
        ("sslmode", "PGSSLMODE"),
        ("sslrootcert", "PGSSLROOTCERT"),
        ("sslcert", "PGSSLCERT"),
        ("sslkey", "PGSSLKEY"),
        ("options", "PGOPTIONS"),
    ] {
        if let Some((_, value)) = at.options.iter().find(|(name, _)| name == key) {
            command.env(variable, value);
        }
    }
}

/// Output, the end of the error stream, and how it ended.
async fn watch(
    cx: &Context,
    child: &mut Child,
    tree: Tree,
) -> (String, String, Result<std::process::ExitStatus, Cause>) {
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let output = tokio::spawn(async move {
        let mut bytes = Vec::new();
        if let Some(stream) = stdout {
            // what a broken pipe leaves is what there is
            let _ = stream.take(KEPT).read_to_end(&mut bytes).await;
        }
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let said = tokio::spawn(async move {
        let mut bytes = Vec::new();
        if let Some(stream) = stderr {
            let _ = stream.take(KEPT).read_to_end(&mut bytes).await;
        }
        let from = bytes.len().saturating_sub(2_048);
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    });
    let ended = ended(cx, child, tree).await;
    let wait = Duration::from_secs(2);
    let text = |joined: Result<Result<String, _>, _>| match joined {
        Ok(Ok(text)) => text,
        Ok(Err::<String, tokio::task::JoinError>(_)) | Err::<_, tokio::time::error::Elapsed>(_) => {
            String::new()
        }
    };
    let output = text(tokio::time::timeout(wait, output).await);
    let said = text(tokio::time::timeout(wait, said).await);
    (output, said, ended)
}

/// Waits for the program, and ends it when its time is over or the run is stopped.
async fn ended(
    cx: &Context,
    child: &mut Child,
    tree: Tree,
) -> Result<std::process::ExitStatus, Cause> {
    let mut stop = cx.stop.clone();
    let why = tokio::select! {
        status = child.wait() => {
            let Ok(status) = status else {
                return Err(Cause::Internal);
            };
            if status.success() {
                tree.leave();
            } else {
                tree.end(None, cx.kill_after, &cx.stop).await;
            }
            return Ok(status);
        }
        _ = stop.above(Stop::No) => Cause::Stopped,
        () = pause::passed(cx.deadline) => Cause::Timeout,
    };
    let told = Instant::now();
    tree.terminate();
    tokio::select! {
        _ = child.wait() => {}
        () = pause::sleep(cx.kill_after) => {}
        _ = stop.above(Stop::Terminate) => {}
    }
    tree.tell(Signal::SIGKILL);
    // over already is as good as killed
    let _ = child.wait().await;
    tree.end(Some(told), cx.kill_after, &cx.stop).await;
    Err(why)
}

/// Connection arguments of the PostgreSQL programs.
pub fn postgres_args(at: &Endpoint) -> Vec<String> {
    let host = at
        .options
        .iter()
        .find(|(key, _)| key == "host")
        .map_or(&at.host, |(_, host)| host);
    let mut args = vec!["--no-password".to_owned()];
    args.push(format!("--host={host}"));
    args.push(format!("--port={}", at.port));
    args.push(format!("--username={}", at.user));
    args.push(format!("--dbname={}", at.database));
    args
}

/// Connection arguments of the MySQL and MariaDB programs; no option file of the user's is read.
pub fn mysql_args(at: &Endpoint) -> Vec<String> {
    vec![
        "--no-defaults".to_owned(),
        "--protocol=tcp".to_owned(),
        format!("--host={}", at.host),
        format!("--port={}", at.port),
        format!("--user={}", at.user),
        "--default-character-set=utf8mb4".to_owned(),
    ]
}
