//! SSH keys and agents of tests, made by the programs of OpenSSH.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::server::done;

/// Makes a key without a passphrase, of a type such as `ed25519` or `rsa-2048`; its private file.
pub fn key(dir: &Path, name: &str, kind: &str) -> PathBuf {
    let path = dir.join(name);
    let (kind, bits) = kind.split_once('-').unwrap_or((kind, ""));
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-N", "", "-C", name, "-t", kind]);
    if !bits.is_empty() {
        command.args(["-b", bits]);
    }
    done(command.arg("-f").arg(&path));
    path
}

/// The public key of a private file, as `TYPE BASE64`.
pub fn public(key: &Path) -> String {
    let text = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let words: Vec<_> = text.split_whitespace().take(2).collect();
    words.join(" ")
}

/// What `ssh-keygen -Y verify` says: whether it takes the signature for that name.
pub fn verifies(signers: &str, name: &str, namespace: &str, message: &str, armor: &str) -> bool {
    at(signers, name, namespace, message, armor, None)
}

/// As [`verifies`], at a time such as `20260321020000Z`.
pub fn at(
    signers: &str,
    name: &str,
    namespace: &str,
    message: &str,
    armor: &str,
    time: Option<&str>,
) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "verify", "-I", name, "-n", namespace]);
    command.arg("-f").arg(file("signers", signers));
    command.arg("-s").arg(file("signature", armor));
    if let Some(time) = time {
        command.arg(format!("-Overify-time={time}"));
    }
    let message = std::fs::File::open(file("message", message)).unwrap();
    let output = command.env("TZ", "UTC").stdin(message).output().unwrap();
    output.status.success()
}

/// Signs with `ssh-keygen` itself.
pub fn signed(key: &Path, namespace: &str, message: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("message");
    std::fs::write(&path, message).unwrap();
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-Y", "sign", "-n", namespace, "-f"]);
    done(command.arg(key).arg(&path));
    std::fs::read_to_string(dir.path().join("message.sig")).unwrap()
}

/// An agent, which ends with this value.
pub struct Agent {
    child: Child,
    dir: TempDir,
}

impl Agent {
    /// An agent that holds this key.
    pub fn with(key: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(dir.path().join("agent"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self { child, dir };
        let began = Instant::now();
        while !agent.dir.path().join("agent").exists() {
            assert!(began.elapsed() < Duration::from_secs(10), "no agent");
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut add = Command::new("ssh-add");
        done(add.arg("-q").arg(key).env("SSH_AUTH_SOCK", agent.socket()));
        agent
    }

    /// Where it listens.
    pub fn socket(&self) -> String {
        self.dir.path().join("agent").display().to_string()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
