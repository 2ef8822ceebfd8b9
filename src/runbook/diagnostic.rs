//! Mistakes and lints of a runbook: what, where, and the way out.
//!
//! A [`Diagnostic`] carries a stable code, a place and help; [`Problems`] collects them so that all
//! are shown at once. Drawing them is [`super::excerpt`]'s, printing them the command line's.

use std::collections::HashSet;

use super::node::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The runbook cannot run.
    Error,
    /// A lint: it can run, and the author should look.
    Warning,
}

/// One mistake or lint.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Stable code, such as `F012`; `F` for mistakes, `L` for lints.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong: lower case, things in backticks, no full stop.
    pub message: String,
    /// Where.
    pub span: Span,
    /// Words beside the caret.
    pub label: String,
    /// Other places that matter, with words.
    pub also: Vec<(Span, String)>,
    /// Ways out, one a line.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// A mistake at a place.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            span,
            label: String::new(),
            also: Vec::new(),
            help: Vec::new(),
        }
    }

    /// A lint at a place.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, span, message)
        }
    }

    /// Words beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Another place that matters.
    #[must_use]
    pub fn also(mut self, span: Span, words: impl Into<String>) -> Self {
        self.also.push((span, words.into()));
        self
    }

    /// A way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// A way out, when there is one.
    #[must_use]
    pub fn maybe_help(self, help: Option<String>) -> Self {
        match help {
            Some(help) => self.help(help),
            None => self,
        }
    }
}

/// A runbook's name and text.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path as the user gave it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// What one runbook may spend on looking for names that were meant, in comparisons.
const SUGGESTING: usize = 400_000;

/// Collects diagnostics; asks at the end whether anything stands in the way.
#[derive(Clone, Debug)]
pub struct Problems {
    items: Vec<Diagnostic>,
    /// Names whose definition is there but wrong: a reference to one is no second mistake.
    broken: HashSet<(&'static str, String)>,
    suggesting: usize,
}

impl Default for Problems {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            broken: HashSet::new(),
            suggesting: SUGGESTING,
        }
    }
}

impl Problems {
    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.items.push(diagnostic);
    }

    /// Keeps only those that `keep` wants.
    pub fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.items.retain(keep);
    }

    /// Remembers that `name` is defined, although what defines it could not be read.
    pub fn broke(&mut self, what: &'static str, name: &str) {
        self.broken.insert((what, name.to_owned()));
    }

    /// Whether `name` is defined by something that could not be read.
    pub fn is_broken(&self, what: &'static str, name: &str) -> bool {
        !self.broken.is_empty() && self.broken.contains(&(what, name.to_owned()))
    }

    /// [`did_you_mean`], as long as the budget lasts: ten thousand mistakes among ten thousand names
    /// must not cost a hundred million comparisons.
    pub fn did_you_mean<'a>(
        &mut self,
        word: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Option<String> {
        let budget = self.suggesting;
        let known = known.into_iter().take(budget);
        let mut spent = 0;
        let found = did_you_mean(word, known.inspect(|_| spent += 1));
        self.suggesting = budget - spent;
        found
    }

    /// All so far, in the order of the text, errors before lints at the same place; none twice.
    pub fn sorted(mut self) -> Vec<Diagnostic> {
        self.items.sort_by(|a, b| {
            let key = |d: &Diagnostic| (d.span, d.severity, d.code);
            key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
        });
        self.items
            .dedup_by(|a, b| a.span == b.span && a.code == b.code && a.message == b.message);
        self.items
    }

    /// Whether any is an error.
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|d| d.severity == Severity::Error)
    }
}

/// "did you mean `x`?" when a known name is near enough.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(word, known).map(|found| format!("did you mean `{found}`?"))
}

/// The known name that is nearest to `word`, when one is near enough.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // a name has 64 bytes at most; what is much longer is no slip of the finger
    if word.len() > 128 {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let most = candidate.len().max(3) / 3;
        if candidate.len().abs_diff(word.len()) > most {
            continue;
        }
        let distance = strsim::damerau_levenshtein(word, candidate);
        if distance <= most && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}
