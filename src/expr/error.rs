//! What can be wrong with an expression: [`CompileError`] before the run, [`EvalError`] in it.
//!
//! Also the one place that finds the name somebody meant. Must not name Rust or CEL internals.

use std::ops::Range;

/// A mistake in the text of an expression or of a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CompileError {
    /// What is wrong; lower case, no full stop.
    pub message: String,
    /// Byte range in the text that was given.
    pub at: Range<usize>,
    /// What to write instead.
    pub hint: Option<String>,
}

impl CompileError {
    pub(super) fn new(message: impl Into<String>, at: &Range<usize>) -> Self {
        Self {
            message: message.into(),
            at: at.clone(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// The same mistake, in a text that starts `by` bytes earlier.
    pub(super) fn shifted(mut self, by: usize) -> Self {
        self.at = self.at.start + by..self.at.end + by;
        self
    }
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// What is wrong, naming the thing; lower case, no full stop.
    pub message: String,
    /// Byte range in the text of the expression (or of the template).
    pub at: Option<Range<usize>>,
    /// What to write instead.
    pub hint: Option<String>,
    /// The data is not there (missing key, null, not a number), as opposed to an expression that
    /// does not fit the data: *inconclusive* rather than *error*.
    pub no_data: bool,
}

impl EvalError {
    /// The expression does not fit the data.
    pub(super) fn wrong(message: impl Into<String>, at: &Range<usize>) -> Self {
        Self {
            message: message.into(),
            at: Some(at.clone()),
            hint: None,
            no_data: false,
        }
    }

    /// The data is not there.
    pub(super) fn no_data(message: impl Into<String>, at: &Range<usize>) -> Self {
        Self {
            no_data: true,
            ..Self::wrong(message, at)
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    pub(super) fn shifted(mut self, by: usize) -> Self {
        self.at = self.at.map(|at| at.start + by..at.end + by);
        self
    }

    /// Message and hint in one line.
    #[must_use]
    pub fn in_full(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{} ({hint})", self.message),
            None => self.message.clone(),
        }
    }
}

/// The candidate that `name` most likely stands for, if one is near enough.
pub(super) fn nearest<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    // names are short; a long key would make the distance slow and the guess worthless
    if name.len() > 64 {
        return None;
    }
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= 64)
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The hint for a misspelt name.
pub(super) fn did_you_mean<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    nearest(name, candidates).map(|found| format!("did you mean `{found}`?"))
}

/// `a` or `an`, for a type name.
pub(super) fn a(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {kind}")
}
