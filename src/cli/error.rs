//! What a command says when it cannot do what it was asked: one shape, printed in one place.

use super::exit::Exit;
use crate::engine::EngineError;
use crate::store::StoreError;

/// How the system and SQLite say that something may not be written here.
const FORBIDDEN: [&str; 4] = [
    "Permission denied",
    "Operation not permitted",
    "Read-only file system",
    "attempt to write a readonly database",
];

/// A failed command.
#[derive(Debug)]
pub struct CommandError {
    /// How to leave.
    pub exit: Exit,
    /// Lower case, names the thing.
    pub message: String,
    /// Ways out.
    pub hints: Vec<String>,
}

impl CommandError {
    /// With a message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// Said already; only the code is left to give.
    pub fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// With a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// An answer that could not be written. A reader that went away is no failure.
    pub fn writing(error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::silent(Exit::Done);
        }
        Self::new(
            Exit::CannotWrite,
            format!("the answer could not be written: {error}"),
        )
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let exit = match &error {
            StoreError::NoStore { .. } | StoreError::NoRun { .. } => Exit::Missing,
            StoreError::Held { .. } | StoreError::Locked { .. } => Exit::Locked,
            StoreError::Fenced { .. } => Exit::Fenced,
            StoreError::Corrupt { .. }
            | StoreError::Lost { .. }
            | StoreError::Exchanged { .. }
            | StoreError::Unwitnessed { .. }
            | StoreError::Damaged { .. } => Exit::Corrupt,
            StoreError::Newer { .. } => Exit::Newer,
            StoreError::Refused { .. } => Exit::Refused,
            StoreError::Io { what, .. } if FORBIDDEN.iter().any(|f| what.starts_with(f)) => {
                Exit::NotPermitted
            }
            _ => Exit::JournalFailed,
        };
        let hint = match &error {
            StoreError::NoStore { .. } => {
                Some("no run was started there yet; `--state-dir DIR` names another place".into())
            }
            StoreError::NoRun { .. } => Some("`ferry runs` lists them".into()),
            StoreError::Io { .. } => {
                Some("`--state-dir DIR` or `FERRY_STATE_DIR` names another directory".into())
            }
            _ => error.hint(),
        };
        let mut made = Self::new(exit, error.to_string());
        made.hints.extend(hint);
        made
    }
}

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(error) => error.into(),
            EngineError::Parked { .. } => Self::new(Exit::JournalFailed, error.to_string())
                .hint("mend the disk or the state directory; then `ferry resume` goes on"),
            EngineError::Target { .. } => Self::new(Exit::Invalid, error.to_string())
                .hint("an address is made of inputs: see `targets`"),
            EngineError::Secret(message) => Self::new(Exit::Invalid, message)
                .hint("a secret that short cannot be told from other text in outputs"),
            EngineError::People(message) => Self::new(Exit::Invalid, message),
            EngineError::Preflight(refused) => {
                let exit = match refused.denied {
                    true => Exit::NotPermitted,
                    false => Exit::Unavailable,
                };
                let message = refused.to_string();
                let mut made = Self::new(exit, message);
                made.hints = refused.hints;
                made
            }
            EngineError::Directory { .. } | EngineError::Signals(_) => {
                Self::new(Exit::System, error.to_string())
            }
        }
    }
}
