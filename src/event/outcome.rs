//! How an attempt ended, and why it failed: the words that adapters, core and front ends share.

use serde::{Deserialize, Serialize};

/// What is known about the world after an attempt (reliability contract 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The effect took place.
    Applied,
    /// Proven that nothing happened; may be repeated freely.
    NotApplied,
    /// Neither is proven.
    Unknown,
}

/// Why an attempt failed, as far as `retry.on` and readers tell reasons apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The call itself is wrong: a bad value, a missing file.
    Invalid,
    /// No connection, or it broke.
    Unreachable,
    /// Credentials or rights.
    Denied,
    /// Not over in time.
    Timeout,
    /// The thing was reached and said no: an exit code, an error reply, a status.
    Failed,
    /// An expectation was not met.
    Expectation,
    /// It is not known whether what was expected holds.
    Undecided,
    /// More data than the limits allow.
    Limit,
    /// Somebody stopped it.
    Stopped,
    /// The engine that did it is gone.
    Lost,
    /// ferry's own fault.
    Internal,
}

/// One failure, ready to be journaled: already masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind of reason.
    pub cause: Cause,
    /// What is known about the effect.
    pub outcome: Outcome,
    /// Lower case, names the thing and the cause.
    pub message: String,
    /// A way out, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
