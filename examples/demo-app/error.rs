//! What can go wrong in the demo world, as one error type ([`Fail`]).
//! It carries nouns, and never a password.

/// Result of anything in this example.
pub type Outcome<T> = Result<T, Fail>;

/// A failure, worded for the operator.
#[derive(Debug, thiserror::Error)]
pub enum Fail {
    /// The operating system refused `what`.
    #[error("could not {what}: {source}")]
    Io {
        what: String,
        source: std::io::Error,
    },
    /// The application database refused.
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    /// Redis refused or is not there.
    #[error("redis: {0}")]
    Redis(#[from] redis::RedisError),
    /// A file does not hold what it should.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Anything else, said in words.
    #[error("{0}")]
    Said(String),
}

impl Fail {
    /// A refusal by the operating system; `what` completes "could not ...".
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io {
            what: what.into(),
            source,
        }
    }

    /// A failure in words.
    pub fn said(text: impl Into<String>) -> Self {
        Self::Said(text.into())
    }
}
