//! `shell`: a script or a program, in its own process group.
//!
//! The text is constant; values go in by environment or as items of `argv`. Ending it ends the
//! whole group. Output is drained always, handed on as it comes, and kept for `result` within
//! limits that are said and never silently cut.

mod child;
mod rehearse;
mod tail;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Action, ActionError, Call, Context, ReadContext, Rehearsed, Stop, params};
use crate::event::{Cause, Outcome};
use crate::runbook::Spec;
use child::{Ended, Ran};

/// The actions of this file.
pub const ACTIONS: &[&dyn Action] = &[&Shell];

/// Runs a script or a program.
pub struct Shell;

static SPEC: Spec = Spec {
    short: Some("run"),
    sense,
    program_text: &["run"],
    values_go_in: "put the value into `env: { NAME: \"${{ … }}\" }` and write \"$NAME\" in the script, \
                   or use `argv: [program, \"${{ … }}\"]`",
    results: &[
        ("exit_code", "the exit code; null when a signal ended it"),
        ("signal", "the signal that ended it, or null"),
        ("stdout", "what it printed, without the last newline"),
        (
            "stderr",
            "what it printed to standard error, without the last newline",
        ),
        ("stdout_bytes", "bytes it printed"),
        ("stderr_bytes", "bytes it printed to standard error"),
        (
            "cut",
            "whether `stdout` or `stderr` holds less than was printed",
        ),
        (
            "leaked",
            "whether a process that it left behind still held its output open; reading ended then",
        ),
        ("duration_ms", "how long it ran"),
    ],
    ..Spec::of::<Params>("shell", "run a script or a program")
};

/// Exactly one of a script and a program, and not an empty one.
fn sense(written: &Value) -> Result<(), String> {
    let given = |key: &str| written.get(key).filter(|value| !value.is_null());
    match (given("run"), given("argv")) {
        (Some(run), None) if run.as_str().is_some_and(|run| run.trim().is_empty()) => {
            Err("the script is empty".into())
        }
        (None, Some(argv)) if argv.as_array().is_some_and(Vec::is_empty) => {
            Err("`argv` is empty; it needs a program at least".into())
        }
        (Some(_), Some(_)) => Err("both `run` and `argv`; keep one of them".into()),
        (None, None) => Err("nothing to run; give it a script, or `argv: [PROGRAM, ...]`".into()),
        _ => Ok(()),
    }
}

/// Parameters of `shell`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// A script for `sh -c`; holds no `${{ }}`.
    run: Option<String>,
    /// A program and its arguments, without a shell between.
    argv: Option<Vec<String>>,
    /// Exit codes that mean success; 0 alone unless said.
    ok: Option<Vec<i32>>,
    /// Exit codes that prove that nothing was done.
    not_applied: Option<Vec<i32>>,
    /// Text for standard input.
    stdin: Option<String>,
}

impl Params {
    fn argv(self) -> Result<(Vec<String>, Self), ActionError> {
        let argv = match (&self.run, &self.argv) {
            (Some(script), None) => vec!["/bin/sh".to_owned(), "-c".to_owned(), script.clone()],
            (None, Some(argv)) if argv.first().is_some_and(|program| !program.is_empty()) => {
                argv.clone()
            }
            _ => {
                return Err(ActionError::invalid(
                    "`shell` needs either `run` or a non-empty `argv`",
                ));
            }
        };
        if argv.iter().any(|part| part.contains('\0')) {
            return Err(ActionError::invalid(
                "`shell`: an argument holds a NUL byte",
            ));
        }
        Ok((argv, self))
    }
}

#[async_trait]
impl Action for Shell {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        match params::<Params>(&SPEC, call) {
            Ok(Params { run: Some(run), .. }) => run.trim().to_owned(),
            Ok(Params {
                argv: Some(argv), ..
            }) => argv.join(" "),
            _ => "shell".into(),
        }
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        rehearse::rehearse(self, cx, call).await
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let (argv, params) = params::<Params>(&SPEC, call)?.argv()?;
        let good = params.ok.as_deref().unwrap_or(&[0]);
        let ran = child::run(cx, call, &argv, params.stdin.as_deref(), good).await?;
        judge(ran, &params, &argv)
    }

    fn stops_itself(&self) -> bool {
        true
    }
}

fn judge(ran: Ran, params: &Params, argv: &[String]) -> Result<Value, ActionError> {
    let result = result(&ran);
    let what = if params.run.is_some() {
        "the script"
    } else {
        argv[0].as_str()
    };
    let failed = |cause, mut message: String| {
        if ran.left.held {
            message.push_str(&still(&ran.left.still));
        }
        let mut error = ActionError::new(cause, Outcome::Unknown, message).result(result.clone());
        if let Some(line) = ran.stderr.last_line().or_else(|| ran.stdout.last_line()) {
            error = error.hint(format!("its last line: {line}"));
        }
        Err(error)
    };
    match ran.ended {
        Ended::Timeout(after) => failed(
            Cause::Timeout,
            format!("{what} was not over after {after} and was ended"),
        ),
        Ended::Stopped(Stop::Kill) => failed(Cause::Stopped, format!("{what} was killed")),
        Ended::Stopped(_) => failed(Cause::Stopped, format!("{what} was told to end")),
        Ended::Signal(signal) => failed(
            Cause::Failed,
            format!("{what} was ended by {}", signal_name(signal)),
        ),
        Ended::Exit(code) if params.ok.as_deref().unwrap_or(&[0]).contains(&code) => Ok(result),
        Ended::Exit(code) => {
            let clean = params
                .not_applied
                .as_ref()
                .is_some_and(|codes| codes.contains(&code));
            let error = failed(Cause::Failed, format!("{what} exited with {code}"));
            if clean {
                error.map_err(|error| ActionError {
                    outcome: Outcome::NotApplied,
                    ..error
                })
            } else {
                error
            }
        }
    }
}

/// What is said of processes that could not be ended.
fn still(pids: &[u32]) -> String {
    let pids: Vec<_> = pids.iter().map(u32::to_string).collect();
    match pids.as_slice() {
        [] => "; a process that it started is still there and cannot be seen".into(),
        pids => format!("; still there: pid {}", pids.join(", ")),
    }
}

fn result(ran: &Ran) -> Value {
    let (code, signal) = match ran.ended {
        Ended::Exit(code) => (Some(code), None),
        Ended::Signal(signal) => (None, Some(signal)),
        _ => (None, None),
    };
    json!({
        "exit_code": code,
        "signal": signal,
        "stdout": ran.stdout.text(),
        "stderr": ran.stderr.text(),
        "stdout_bytes": ran.stdout.seen,
        "stderr_bytes": ran.stderr.seen,
        "cut": ran.stdout.is_cut() || ran.stderr.is_cut(),
        "leaked": ran.leaked,
        "duration_ms": ran.took.as_secs_f64() * 1_000.0,
    })
}

fn signal_name(signal: i32) -> String {
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    }
}
