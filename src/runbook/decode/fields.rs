//! Reading a mapping key by key: every wrong, missing or unknown key is reported, none hides another.

use std::time::Duration;

use super::super::catalog::Catalog;
use super::super::diagnostic::{Diagnostic, Problems, did_you_mean};
use super::super::model::Sp;
use super::super::node::{Entry, Node, Scalar, Span};
use super::super::units;
use crate::expr::{CompileError, Expr, Template};

/// What the decoding functions share.
pub(super) struct Cx<'c> {
    pub(super) catalog: &'c Catalog,
    pub(super) problems: Problems,
}

impl Cx<'_> {
    pub(super) fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.problems.push(Diagnostic::error(code, span, message));
    }

    fn wrong_type(&mut self, what: &str, wanted: &str, node: &Node) {
        let message = format!("`{what}` must be {wanted}, not {}", node.describe());
        let mut found = Diagnostic::error("F013", node.span, message);
        if let Some(tag) = &node.tag {
            found = found.help(format!(
                "`{tag}` was read as a YAML tag: put the whole value in quotes"
            ));
        }
        self.problems.push(found);
    }

    /// Text, as written.
    pub(super) fn text(&mut self, what: &str, node: &Node) -> Option<Sp<String>> {
        match node.text() {
            Some(text) if node.tag.is_none() => Some(Sp {
                value: text.to_owned(),
                span: node.span,
            }),
            _ => {
                self.wrong_type(what, "text", node);
                None
            }
        }
    }

    /// A name that ids and messages can hold.
    pub(super) fn name(&mut self, what: &str, node: &Node) -> Option<Sp<String>> {
        let name = self.text(what, node)?;
        self.check_name(what, &name, name.span).then_some(name)
    }

    /// Whether `name` is made of letters, digits, `-`, `_` and `.`, at most 64 of them.
    pub(super) fn check_name(&mut self, what: &str, name: &str, span: Span) -> bool {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !name.is_empty() && name.len() <= 64 && name.chars().all(good) {
            return true;
        }
        let found = Diagnostic::error(
            "F014",
            span,
            format!("`{}` is no {what}", name.escape_debug()),
        )
        .help("use ASCII letters, digits, `-`, `_` and `.`, at most 64 of them");
        self.problems.push(found);
        false
    }

    /// A list of names; one name alone is taken as a list of one.
    pub(super) fn names(&mut self, what: &str, node: &Node) -> Vec<Sp<String>> {
        match node.list() {
            Some(items) => items
                .iter()
                .filter_map(|item| self.name(what, item))
                .collect(),
            None => self.name(what, node).into_iter().collect(),
        }
    }

    /// A duration with its unit.
    pub(super) fn duration(&mut self, what: &str, node: &Node) -> Option<Duration> {
        let text = self.text(what, node)?;
        match units::Span::parse(&text) {
            Ok(span) => Some(span.0),
            Err(message) => {
                self.error("F014", node.span, format!("`{what}`: {message}"));
                None
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn bool(&mut self, what: &str, node: &Node) -> Option<bool> {
        if let Some(Scalar::Bool(value)) = node.scalar() {
            return Some(value);
        }
        self.wrong_type(what, "`true` or `false`", node);
        None
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, what: &str, node: &Node, from: i64, to: i64) -> Option<i64> {
        match node.scalar() {
            Some(Scalar::Int(n)) if (from..=to).contains(&n) => Some(n),
            _ => {
                self.wrong_type(what, &format!("a whole number from {from} to {to}"), node);
                None
            }
        }
    }

    /// An expression.
    pub(super) fn expr(&mut self, what: &str, node: &Node) -> Option<Sp<Expr>> {
        let text = match node.scalar() {
            Some(Scalar::Bool(value)) => value.to_string(),
            Some(Scalar::Int(_) | Scalar::Float(_) | Scalar::Text(_)) if node.tag.is_none() => {
                node.text().unwrap_or_default().to_owned()
            }
            _ => {
                self.not_an_expression(what, node);
                return None;
            }
        };
        match Expr::compile(&text) {
            Ok(value) => Some(Sp {
                value,
                span: node.span,
            }),
            Err(error) => {
                self.compile_error(node, error);
                None
            }
        }
    }

    /// Plain YAML bites where expressions are written; each bite is told in words.
    fn not_an_expression(&mut self, what: &str, node: &Node) {
        let help = if let Some(tag) = &node.tag {
            format!("`{tag}` was read as a YAML tag: put the expression in quotes")
        } else if node.map().is_some() {
            "`: ` in plain text makes a mapping: put the expression in quotes".to_owned()
        } else if node.list().is_some() {
            "write one expression an item, or put one that starts with `[` in quotes".to_owned()
        } else {
            "write a CEL expression, such as `result.status == 200`".to_owned()
        };
        let message = format!("`{what}` must be an expression, not {}", node.describe());
        self.problems
            .push(Diagnostic::error("F020", node.span, message).help(help));
    }

    /// One expression, or a list of them.
    pub(super) fn exprs(&mut self, what: &str, node: &Node) -> Vec<Sp<Expr>> {
        match node.list() {
            Some([]) => {
                self.error("F014", node.span, format!("`{what}` is empty"));
                Vec::new()
            }
            Some(items) => items
                .iter()
                .filter_map(|item| self.expr(what, item))
                .collect(),
            None => self.expr(what, node).into_iter().collect(),
        }
    }

    /// Text with holes.
    pub(super) fn template(&mut self, what: &str, node: &Node) -> Option<Sp<Template>> {
        let text = self.text(what, node)?;
        match Template::parse(&text) {
            Ok(value) => Some(Sp {
                value,
                span: node.span,
            }),
            Err(error) => {
                self.compile_error(node, error);
                None
            }
        }
    }

    pub(super) fn compile_error(&mut self, node: &Node, error: CompileError) {
        let found = Diagnostic::error("F020", inside(node, &error.at), error.message)
            .maybe_help(error.hint);
        self.problems.push(found);
    }
}

/// The place of a part of a scalar's text. Exact for plain one-line text; the whole otherwise,
/// because quotes, escapes and folding move the bytes.
pub(in crate::runbook) fn inside(node: &Node, part: &std::ops::Range<usize>) -> Span {
    let length = node.text().map_or(0, str::len);
    let written = node.span.range().len();
    match written.checked_sub(length) {
        Some(0) => node.span.slice(part),
        // quotes on both sides and nothing escaped between
        Some(2) => node.span.slice(&(part.start + 1..part.end + 1)),
        _ => node.span,
    }
}

/// A mapping that is read key by key.
pub(super) struct Fields<'n> {
    what: &'static str,
    entries: &'n [Entry],
    span: Span,
    asked: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// The mapping, or nothing with the mistake reported.
    pub(super) fn of(cx: &mut Cx<'_>, what: &'static str, node: &'n Node) -> Option<Self> {
        let Some(entries) = node.map() else {
            cx.wrong_type(what, "a mapping", node);
            return None;
        };
        Some(Self {
            what,
            entries,
            span: node.span,
            asked: Vec::new(),
        })
    }

    /// The value of a key that may be there; null counts as not there.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'n Node> {
        self.asked.push(key);
        let entry = self.entries.iter().find(|entry| &*entry.key == key)?;
        (!entry.value.is_null()).then_some(&entry.value)
    }

    /// Where the key stands.
    pub(super) fn key_span(&self, key: &str) -> Option<Span> {
        self.entries
            .iter()
            .find(|entry| &*entry.key == key)
            .map(|entry| entry.key_span)
    }

    /// The value of a key that must be there.
    pub(super) fn require(&mut self, cx: &mut Cx<'_>, key: &'static str) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() {
            let place = Span::new(self.span.start as usize, self.span.start as usize + 1);
            cx.error("F011", place, format!("{} has no `{key}`", self.what));
        }
        found
    }

    /// Entries whose key nobody has asked for.
    pub(super) fn rest(&self) -> impl Iterator<Item = &'n Entry> {
        self.entries
            .iter()
            .filter(|entry| !self.asked.iter().any(|asked| *asked == &*entry.key))
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self, cx: &mut Cx<'_>) {
        for entry in self.rest() {
            self.unknown(cx, entry, &[]);
        }
    }

    /// Reports one unknown key; `more` are names that would also have been known.
    pub(super) fn unknown(&self, cx: &mut Cx<'_>, entry: &Entry, more: &[&str]) {
        let known = || self.asked.iter().copied().chain(more.iter().copied());
        let near = did_you_mean(&entry.key, known());
        let help = near.unwrap_or_else(|| {
            let names = self
                .asked
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>();
            format!("known here: {}", names.join(", "))
        });
        let message = format!("{} has no key `{}`", self.what, entry.key);
        cx.problems
            .push(Diagnostic::error("F010", entry.key_span, message).help(help));
    }
}
