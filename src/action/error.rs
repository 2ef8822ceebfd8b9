//! Why a call failed, with what is known about its effect.

use std::time::Duration;

use serde_json::Value;

use crate::event::{Cause, Failure, Outcome};

/// A failed call. Texts are masked by the caller before they go anywhere.
#[derive(Clone, Debug)]
pub struct ActionError {
    /// The kind of reason.
    pub cause: Cause,
    /// What is known about the effect. A probe's failure is always `NotApplied`.
    pub outcome: Outcome,
    /// Lower case, names the target and the cause in the field's words.
    pub message: String,
    /// A way out.
    pub hint: Option<String>,
    /// Whether trying again may help, such as LOADING or a refused connection.
    pub retryable: bool,
    /// Whether trying again cannot help, whatever the author says: somebody has to change something.
    pub hopeless: bool,
    /// How long the target asks to be left alone.
    pub retry_after: Option<Duration>,
    /// What there is of a result, as evidence: an exit code, a status.
    pub result: Option<Value>,
}

impl ActionError {
    /// A failure with its cause and what is known about the effect.
    pub fn new(cause: Cause, outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            cause,
            outcome,
            message: message.into(),
            hint: None,
            retryable: matches!(cause, Cause::Unreachable | Cause::Timeout),
            hopeless: false,
            retry_after: None,
            result: None,
        }
    }

    /// The call is wrong; nothing was done.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Cause::Invalid, Outcome::NotApplied, message)
    }

    /// The target was not reached; nothing was done.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Cause::Unreachable, Outcome::NotApplied, message)
    }

    /// The target said no; what that means for the effect depends on the call.
    pub fn failed(outcome: Outcome, message: impl Into<String>) -> Self {
        Self::new(Cause::Failed, outcome, message)
    }

    /// A limit was passed.
    pub fn limit(outcome: Outcome, message: impl Into<String>) -> Self {
        Self::new(Cause::Limit, outcome, message)
    }

    /// With a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With what there is of a result.
    #[must_use]
    pub fn result(mut self, result: Value) -> Self {
        self.result = Some(result);
        self
    }

    /// With another answer to whether trying again may help.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// With the knowledge that trying again cannot help.
    #[must_use]
    pub fn hopeless(mut self) -> Self {
        self.retryable = false;
        self.hopeless = true;
        self
    }

    /// With how long the target asks to be left alone.
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// As the journal keeps it; `mask` hides secret values.
    pub fn failure(&self, mask: impl Fn(&str) -> String) -> Failure {
        Failure {
            cause: self.cause,
            outcome: self.outcome,
            message: mask(&self.message),
            hint: self.hint.as_deref().map(mask),
        }
    }
}

impl std::fmt::Display for ActionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ActionError {}
