//! Runs `ferry check` on files and gives back all that it said.
//!
//! [`Checked`] is what there is to compare; nothing here judges it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a check said.
pub struct Checked {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// The summary, or the JSON lines.
    pub stdout: String,
    /// The excerpts.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Checked {
    /// All of it as one text.
    pub fn all(&self) -> String {
        format!("{}{}exit code {}\n", self.stderr, self.stdout, self.code)
    }
}

/// Runs `ferry check` with `args` in `dir`, without colours and without input.
pub fn check(dir: &Path, args: &[&str]) -> Checked {
    run(Command::new(env!("CARGO_BIN_EXE_ferry")), dir, args)
}

/// The same where an allocation past `mib` MiB fails, which ends the process.
pub fn check_within(mib: u64, dir: &Path, args: &[&str]) -> Checked {
    let mut command = Command::new("/bin/sh");
    let script = format!("ulimit -d {}; exec \"$0\" \"$@\"", mib * 1024);
    command.args(["-c", &script, env!("CARGO_BIN_EXE_ferry")]);
    run(command, dir, args)
}

fn run(mut command: Command, dir: &Path, args: &[&str]) -> Checked {
    command
        .arg("check")
        .args(args)
        .current_dir(dir)
        .env_remove("FERRY_STATE_DIR")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    let started = Instant::now();
    let output = command.output().unwrap();
    Checked {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        took: started.elapsed(),
    }
}
