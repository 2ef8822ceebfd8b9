//! Mistakes and lints of a runbook: what, where, and the way out.
//!
//! A [`Diagnostic`] carries a stable code, a place and help; [`Problems`] collects them so that all
//! are shown at once. Drawing the excerpt is here too, as text; printing it is not.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

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

/// A runbook's name and text, for excerpts and line numbers.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path as the user gave it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// Line and column of a byte, both from 1; columns count characters.
    pub fn position(&self, at: u32) -> (usize, usize) {
        let at = (at as usize).min(self.text.len());
        let before = self.text.get(..at).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// The diagnostic as text, with excerpt and caret, in the manner of rustc.
    pub fn render(&self, diagnostic: &Diagnostic, color: bool) -> String {
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level
            .primary_title(diagnostic.message.as_str())
            .id(diagnostic.code);
        let mut snippet = Snippet::source(self.text.as_str())
            .path(self.name.as_str())
            .annotation(
                AnnotationKind::Primary
                    .span(self.clamp(diagnostic.span))
                    .label(diagnostic.label.as_str()),
            );
        for (span, words) in &diagnostic.also {
            snippet = snippet.annotation(
                AnnotationKind::Context
                    .span(self.clamp(*span))
                    .label(words.as_str()),
            );
        }
        let group: Group<'_> = title.element(snippet);
        let group = diagnostic.help.iter().fold(group, |group, help| {
            group.element(Level::HELP.message(help.as_str()))
        });
        renderer.render(&[group])
    }

    /// A range that lies in the text, on character borders and within one line, whatever the span says.
    fn clamp(&self, span: Span) -> std::ops::Range<usize> {
        let floor = |mut at: usize| {
            at = at.min(self.text.len());
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = floor(span.start as usize);
        let line_end = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |newline| start + newline);
        let end = floor(span.end as usize).clamp(start, line_end);
        start..end
    }
}

/// Collects diagnostics; asks at the end whether anything stands in the way.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    items: Vec<Diagnostic>,
}

impl Problems {
    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.items.push(diagnostic);
    }

    /// All so far, in the order of the text, errors before lints at the same place.
    pub fn sorted(mut self) -> Vec<Diagnostic> {
        self.items.sort_by_key(|d| (d.span, d.severity, d.code));
        self.items
    }

    /// Whether any is an error.
    pub fn has_errors(&self) -> bool {
        self.items.iter().any(|d| d.severity == Severity::Error)
    }
}

/// "did you mean `x`?" when a known name is near enough.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count().max(3) / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}
