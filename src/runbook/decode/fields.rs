//! Reading a mapping key by key: every wrong, missing or unknown key is reported, none hides another.

use std::time::Duration;

use super::super::catalog::Catalog;
use super::super::diagnostic::{Diagnostic, Problems};
use super::super::model::Sp;
use super::super::node::{Entry, Node, Scalar, Span};
use super::super::units;
use super::thresholds::Tables;
use crate::expr::{CompileError, Expr, Template};

/// The longest time that anything may take.
const LONGEST: Duration = Duration::from_secs(3_653 * 86_400);

/// What the decoding functions share.
pub(super) struct Cx<'c, 'p> {
    pub(super) catalog: &'c Catalog,
    pub(super) problems: &'p mut Problems,
    /// Tables that steps and guards may name.
    pub(super) thresholds: Tables,
}

impl Cx<'_, '_> {
    pub(super) fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.problems.push(Diagnostic::error(code, span, message));
    }

    /// `what` is shown as it is: with backticks for a key, without for a thing. A tag was told
    /// when the text was read.
    pub(super) fn wrong_type(
        &mut self,
        what: &str,
        wanted: &str,
        node: &Node,
        help: Option<String>,
    ) {
        if node.tag.is_some() {
            return;
        }
        let message = format!("{what} must be {wanted}, not {}", node.describe());
        let found = Diagnostic::error("F013", node.head(), message);
        self.problems.push(found.maybe_help(help));
    }

    /// Text that is not empty, as written.
    pub(super) fn text(&mut self, what: &str, node: &Node) -> Option<Sp<String>> {
        let text = self.any_text(&format!("`{what}`"), node)?;
        if text.trim().is_empty() {
            self.error("F014", node.span, format!("`{what}` is empty"));
            return None;
        }
        Some(text)
    }

    fn any_text(&mut self, what: &str, node: &Node) -> Option<Sp<String>> {
        match node.text() {
            Some(text) if node.tag.is_none() => Some(Sp {
                value: text.to_owned(),
                span: node.span,
            }),
            _ => {
                let help = node
                    .map()
                    .map(|_| "text that holds `: ` needs quotes".to_owned());
                self.wrong_type(what, "text", node, help);
                None
            }
        }
    }

    /// A name that ids and messages can hold.
    pub(super) fn name(&mut self, what: &str, node: &Node) -> Option<Sp<String>> {
        let name = self.any_text(&format!("a {what}"), node)?;
        self.check_name(what, &name, name.span).then_some(name)
    }

    /// Whether `name` is made of letters, digits, `-`, `_` and `.`, at most 64 of them.
    pub(super) fn check_name(&mut self, what: &str, name: &str, span: Span) -> bool {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !name.is_empty() && name.len() <= 64 && name.chars().all(good) {
            return true;
        }
        let help = if name.contains(invisible) {
            "it holds a character that cannot be seen: type the name again"
        } else if name.contains(',') {
            "several names make a list: `[one, two]`"
        } else {
            "use ASCII letters, digits, `-`, `_` and `.`, at most 64 of them"
        };
        let shown: String = name.chars().take(64).collect();
        let message = match name.is_empty() {
            true => format!("an empty {what}"),
            false => format!("`{}` is no {what}", shown.escape_debug()),
        };
        self.problems
            .push(Diagnostic::error("F014", span, message).help(help));
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
            Ok(span) if span.0 > LONGEST => {
                let message = format!("`{what}` is longer than ten years");
                self.error("F014", node.span, message);
                None
            }
            Ok(span) => Some(span.0),
            Err(message) => {
                let found = Diagnostic::error("F014", node.span, format!("`{what}`: {message}"));
                let unit = matches!(node.scalar(), Some(Scalar::Int(_) | Scalar::Float(_)));
                let help = unit.then(|| format!("say the unit: `{}s`", *text));
                self.problems.push(found.maybe_help(help));
                None
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn bool(&mut self, what: &str, node: &Node) -> Option<bool> {
        let text = match node.scalar() {
            Some(Scalar::Bool(value)) => return Some(value),
            Some(Scalar::Text(text)) => text,
            _ => "",
        };
        let help = match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Some("write `true`, without quotes"),
            "no" | "off" | "n" | "false" => Some("write `false`, without quotes"),
            _ => None,
        };
        let help = help.map(str::to_owned);
        self.wrong_type(&format!("`{what}`"), "`true` or `false`", node, help);
        None
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, what: &str, node: &Node, from: i64, to: i64) -> Option<i64> {
        let help = match node.scalar() {
            Some(Scalar::Int(n)) if (from..=to).contains(&n) => return Some(n),
            Some(Scalar::Text(text)) => {
                let digits = text.trim_start_matches('0');
                let n = digits
                    .parse::<i64>()
                    .ok()
                    .filter(|n| (from..=to).contains(n));
                n.map(|n| format!("write `{n}`"))
            }
            _ => None,
        };
        let wanted = format!("a whole number from {from} to {to}");
        self.wrong_type(&format!("`{what}`"), &wanted, node, help);
        None
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
        if node.tag.is_some() {
            return;
        }
        let help = if node.map().is_some() {
            "`: ` in plain text makes a mapping: put the expression in quotes".to_owned()
        } else if node.list().is_some() {
            "write one expression an item, or put one that starts with `[` in quotes".to_owned()
        } else {
            "write a CEL expression, such as `result.status == 200`".to_owned()
        };
        let message = format!("`{what}` must be an expression, not {}", node.describe());
        self.problems
            .push(Diagnostic::error("F020", node.head(), message).help(help));
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

    /// Text with holes; it may be empty.
    pub(super) fn template(&mut self, what: &str, node: &Node) -> Option<Sp<Template>> {
        let text = self.any_text(&format!("`{what}`"), node)?;
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
    head: Span,
    asked: Vec<&'static str>,
    /// Keys that are refused by name, and so are not offered.
    later: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// The mapping, or nothing with the mistake reported.
    pub(super) fn of(cx: &mut Cx<'_, '_>, what: &'static str, node: &'n Node) -> Option<Self> {
        let Some(entries) = node.map() else {
            let help = match what {
                "`retry`" => Some("write `retry: { limit: 3 }`".to_owned()),
                "`requires_backup`" => Some("write `requires_backup: { step: ID }`".to_owned()),
                _ => None,
            };
            cx.wrong_type(what, "a mapping", node, help);
            return None;
        };
        Some(Self {
            what,
            entries,
            head: node.head(),
            asked: Vec::new(),
            later: Vec::new(),
        })
    }

    /// The value of a key that may be there; null counts as not there.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'n Node> {
        self.asked.push(key);
        let entry = self.entries.iter().find(|entry| &*entry.key == key)?;
        (!entry.value.is_null()).then_some(&entry.value)
    }

    /// Offers a key no more that is refused here with words of its own.
    pub(super) fn not_offered(&mut self, key: &'static str) {
        self.asked.retain(|asked| *asked != key);
        self.later.push(key);
    }

    /// Where the key stands.
    pub(super) fn key_span(&self, key: &str) -> Option<Span> {
        self.entries
            .iter()
            .find(|entry| &*entry.key == key)
            .map(|entry| entry.key_span)
    }

    /// The value of a key that must be there.
    pub(super) fn require(&mut self, cx: &mut Cx<'_, '_>, key: &'static str) -> Option<&'n Node> {
        let found = self.get(key);
        if found.is_none() {
            // a key without a value is reported as such
            if self.key_span(key).is_none() {
                cx.error("F011", self.head, format!("{} has no `{key}`", self.what));
            }
        }
        found
    }

    /// Entries whose key nobody has asked for.
    pub(super) fn rest(&self) -> impl Iterator<Item = &'n Entry> {
        self.entries.iter().filter(|entry| {
            !self.asked.contains(&&*entry.key) && !self.later.contains(&&*entry.key)
        })
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self, cx: &mut Cx<'_, '_>) {
        self.empty(cx);
        for entry in self.rest() {
            self.unknown(cx, entry, &[]);
        }
    }

    /// Reports every key that was asked for and says nothing: an `expect:` that was left empty
    /// must not pass as none.
    pub(super) fn empty(&self, cx: &mut Cx<'_, '_>) {
        for entry in self.entries {
            if entry.value.is_null()
                && entry.value.tag.is_none()
                && self.asked.contains(&&*entry.key)
            {
                let found = Diagnostic::error(
                    "F011",
                    entry.key_span,
                    format!("`{}` has no value", entry.key),
                )
                .help("give it one, or remove the key");
                cx.problems.push(found);
            }
        }
    }

    /// Reports one unknown key; `more` are names that would also have been known.
    pub(super) fn unknown(&self, cx: &mut Cx<'_, '_>, entry: &Entry, more: &[&str]) {
        let known = || self.asked.iter().copied().chain(more.iter().copied());
        let help = cx
            .problems
            .did_you_mean(&entry.key, known())
            .unwrap_or_else(|| {
                let mut names: Vec<&str> = self.asked.clone();
                names.sort_unstable();
                names.dedup();
                format!("known here: `{}`", names.join("`, `"))
            });
        let key: String = entry.key.chars().take(64).collect();
        let message = format!("{} has no key `{}`", self.what, key.escape_debug());
        cx.problems
            .push(Diagnostic::error("F010", entry.key_span, message).help(help));
    }
}

/// Characters that are not seen, or that turn the writing around.
fn invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{ad}')
}
