//! Diagnostics as text, with line, column, excerpt and caret.
//!
//! [`Excerpts`] indexes the lines of a text once and draws from small windows of it, so that ten
//! thousand mistakes in a long runbook cost no more than they print.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::diagnostic::{Diagnostic, Severity, Source};
use super::node::Span;

/// Places further apart than this, in lines, are shown as excerpts of their own.
const TOGETHER: usize = 60;

/// The longest line that is shown, in bytes.
const LONGEST: usize = 4_096;

/// A source whose lines are known.
pub struct Excerpts<'s> {
    source: &'s Source,
    /// Where each line starts.
    starts: Vec<usize>,
}

impl<'s> Excerpts<'s> {
    /// Indexes the lines.
    pub fn new(source: &'s Source) -> Self {
        let newlines = source.text.bytes().enumerate();
        let after = newlines.filter_map(|(at, byte)| (byte == b'\n').then_some(at + 1));
        Self {
            source,
            starts: std::iter::once(0).chain(after).collect(),
        }
    }

    /// Line and column of a byte, both from 1; columns count characters.
    pub fn position(&self, at: u32) -> (usize, usize) {
        let at = self.floor(at as usize);
        let line = self.line(at);
        let column = self.source.text[self.starts[line]..at].chars().count();
        (line + 1, column + 1)
    }

    /// The diagnostic in the manner of rustc.
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
        let mut group = self.excerpt(Group::with_title(title), diagnostic);
        for help in &diagnostic.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }

    fn excerpt<'d>(&'d self, group: Group<'d>, diagnostic: &'d Diagnostic) -> Group<'d> {
        let main = self.line(self.floor(diagnostic.span.start as usize));
        if self.text_of(main, main).len() > LONGEST {
            let (line, column) = self.position(diagnostic.span.start);
            let origin = Origin::path(self.source.name.as_str());
            return group.element(origin.line(line).char_column(column));
        }
        let mut first = main;
        let mut last = main;
        let mut near = Vec::new();
        let mut far = Vec::new();
        for (span, words) in &diagnostic.also {
            let line = self.line(self.floor(span.start as usize));
            if line.abs_diff(main) > TOGETHER || self.text_of(line, line).len() > LONGEST {
                far.push((line, span, words));
            } else {
                first = first.min(line);
                last = last.max(line);
                near.push((span, words));
            }
        }
        let mut snippet = self.snippet(first, last).annotation(
            AnnotationKind::Primary
                .span(self.within(diagnostic.span, first, last))
                .label(diagnostic.label.as_str()),
        );
        for (span, words) in near {
            let place = self.within(*span, first, last);
            snippet = snippet.annotation(AnnotationKind::Context.span(place).label(words));
        }
        let mut group = group.element(snippet);
        for (line, span, words) in far {
            let place = AnnotationKind::Context.span(self.within(*span, line, line));
            group = group.element(self.snippet(line, line).annotation(place.label(words)));
        }
        group
    }

    fn snippet(&self, first: usize, last: usize) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
        // the end of a line in Windows is shown by nobody
        let text = self.text_of(first, last).replace('\r', " ");
        Snippet::source(text)
            .line_start(first + 1)
            .path(self.source.name.as_str())
    }

    /// The text of some lines, without the last line's end.
    fn text_of(&self, first: usize, last: usize) -> &str {
        let end = self.starts.get(last + 1).copied();
        let text = &self.source.text[self.starts[first]..end.unwrap_or(self.source.text.len())];
        text.strip_suffix('\n').unwrap_or(text)
    }

    /// A span as a range in the text of some lines, kept within one line.
    fn within(&self, span: Span, first: usize, last: usize) -> std::ops::Range<usize> {
        let base = self.starts[first];
        let start = self.floor(span.start as usize);
        let line = self.line(start).clamp(first, last);
        let line_end = self.starts[line] + self.text_of(line, line).trim_end_matches('\r').len();
        let start = start.min(line_end);
        let end = self.floor(span.end as usize).clamp(start, line_end);
        start - base..end - base
    }

    fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at) - 1
    }

    /// The nearest border between characters at or before `at`.
    fn floor(&self, at: usize) -> usize {
        let mut at = at.min(self.source.text.len());
        while !self.source.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}
