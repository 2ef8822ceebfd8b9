//! Signing: `ssh-keygen -Y sign` makes the signature, with a key in a file or in an agent.
//!
//! Main function: [`sign`]. A private key is never read here; a passphrase is asked for by
//! `ssh-keygen`, on the terminal.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::NAMESPACE;

/// The program.
const PROGRAM: &str = "ssh-keygen";

/// The most that is read of what it says, in bytes.
const LONGEST: usize = 2 << 10;

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum KeygenError {
    /// The program is not there.
    #[error("`{PROGRAM}` is not installed, and it makes the signature")]
    Missing,
    /// It could not be started or talked to.
    #[error("`{PROGRAM}` could not be run: {0}")]
    Io(#[from] std::io::Error),
    /// There is no such file.
    #[error("there is no key file `{}`", .0.display())]
    NoKey(PathBuf),
    /// It refused.
    #[error("`{PROGRAM}` made no signature: {0}")]
    Refused(String),
}

/// Signs a message with the key in that file: a private one, or a public one whose private part an
/// agent holds. The armored signature.
///
/// # Errors
/// When the program or the file is missing, or the key cannot sign.
pub fn sign(message: &str, key: &Path) -> Result<String, KeygenError> {
    if !key.exists() {
        return Err(KeygenError::NoKey(key.to_owned()));
    }
    let child = Command::new(PROGRAM)
        .args(["-Y", "sign", "-n", NAMESPACE, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => KeygenError::Missing,
        _ => KeygenError::Io(error),
    })?;
    if let Some(mut stdin) = child.stdin.take() {
        // one that refuses reads nothing, and says why on its standard error
        let _ = stdin.write_all(message.as_bytes());
    }
    let done = child.wait_with_output()?;
    if !done.status.success() {
        return Err(KeygenError::Refused(said(&done.stderr)));
    }
    let armor = String::from_utf8(done.stdout)
        .map_err(|_| KeygenError::Refused("what it wrote is no text".into()))?;
    Ok(armor)
}

/// What it said, in a line.
fn said(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]);
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let said = lines.join("; ").trim_matches(['\n', ';', ' ']).to_owned();
    match said.is_empty() {
        true => "it says nothing".into(),
        false => said.escape_debug().to_string(),
    }
}
