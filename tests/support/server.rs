//! What private database servers have in common: an unprivileged owner, a data directory, and a
//! supervisor that ends the server when the test process does.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::unistd::{Uid, User};

/// A directory for a server's data that the server's user owns.
pub struct Home {
    pub dir: PathBuf,
    user: Option<User>,
}

impl Home {
    /// Makes one; as root, it belongs to `wanted` or to `nobody`.
    pub fn new(wanted: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("ferry-db-")
            .tempdir()
            .unwrap()
            .keep();
        let user = Uid::effective().is_root().then(|| {
            let found = User::from_name(wanted).unwrap();
            found
                .or_else(|| User::from_name("nobody").unwrap())
                .unwrap()
        });
        if let Some(user) = &user {
            chown(&dir, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
        Self { dir, user }
    }

    /// A command that runs as the directory's owner.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(&self.dir).stdin(Stdio::null());
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// Starts a server that ends, and whose directory goes, when the returned child's input closes.
    pub fn supervise(&self, program: &Path, args: &[String], signal: &str) -> Child {
        let script = format!(
            "dir=$1; shift; \"$@\" </dev/null >\"$dir/log\" 2>&1 & pid=$!; \
             cat >/dev/null; kill -{signal} $pid; wait $pid 2>/dev/null; cd /; rm -rf \"$dir\""
        );
        self.command("/bin/sh")
            .args(["-c", &script, "sh"])
            .arg(&self.dir)
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// Runs to the end and demands success.
pub fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
