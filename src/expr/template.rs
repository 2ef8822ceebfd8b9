//! Text with `${{ }}` holes: [`Template`], and [`find_hole`] for text where holes are refused.
//!
//! Must not: be used for program text (shell, SQL, command strings); values never become programs.

use std::ops::Range;

use serde_json::Value as Json;

use super::error::{CompileError, EvalError, a};
use super::value::V;
use super::{Expr, Reference, Scope};

const OPEN: &str = "${{";

/// Text with holes, parsed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Hole {
        expr: Expr,
        /// Where the text of the expression starts in the template.
        start: usize,
    },
}

impl Template {
    /// Splits `text` into plain text and holes, and compiles what stands in the holes.
    ///
    /// # Errors
    /// A hole that is not closed or empty, or whose expression is wrong; byte range in `text`.
    pub fn parse(text: &str) -> Result<Self, CompileError> {
        let mut parts = Vec::new();
        let mut pos = 0;
        while let Some(hole) = find_hole(&text[pos..]) {
            let open = pos + hole.start;
            if open > pos {
                parts.push(Part::Text(text[pos..open].to_owned()));
            }
            let body = open + OPEN.len();
            let end = closing(&text[body..])
                .map(|end| body + end)
                .ok_or_else(|| {
                    CompileError::new("this `${{` is not closed", &(open..body))
                        .hint("close it with `}}`")
                })?;
            let inner = &text[body..end];
            let start = body + inner.len() - inner.trim_start().len();
            if inner.trim().is_empty() {
                return Err(CompileError::new(
                    "this `${{ }}` is empty",
                    &(open..end + 2),
                ));
            }
            let expr = Expr::compile(inner.trim()).map_err(|error| error.shifted(start))?;
            parts.push(Part::Hole { expr, start });
            pos = end + 2;
        }
        if pos < text.len() {
            parts.push(Part::Text(text[pos..].to_owned()));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// The text as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether there is no hole.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        !self
            .parts
            .iter()
            .any(|part| matches!(part, Part::Hole { .. }))
    }

    /// The expression, when the text is exactly one hole: then the value keeps its type.
    #[must_use]
    pub fn whole(&self) -> Option<&Expr> {
        match &self.parts[..] {
            [Part::Hole { expr, .. }] => Some(expr),
            _ => None,
        }
    }

    /// The expressions in the holes.
    pub fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole { expr, .. } => Some(expr),
            Part::Text(_) => None,
        })
    }

    /// Every path that is read; ranges are in the text of the template.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        let mut all = Vec::new();
        for part in &self.parts {
            let Part::Hole { expr, start } = part else {
                continue;
            };
            all.extend(expr.references().iter().cloned().map(|mut reference| {
                reference.at = reference.at.map(|at| at.start + start..at.end + start);
                reference
            }));
        }
        all
    }

    /// The value: of the one hole with its type, else text with the holes filled.
    ///
    /// # Errors
    /// A hole without a value; null, a list or a map inside a longer text.
    pub fn render(&self, scope: &dyn Scope) -> Result<Json, EvalError> {
        if let [Part::Hole { expr, start }] = &self.parts[..] {
            return expr.value(scope).map_err(|error| error.shifted(*start));
        }
        let mut out = String::with_capacity(self.text.len());
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Hole { expr, start } => {
                    let value = expr.value(scope).map_err(|error| error.shifted(*start))?;
                    let at = *start..*start + expr.text().len();
                    out.push_str(&as_text(expr, &value, &at)?);
                }
            }
        }
        Ok(Json::String(out))
    }
}

fn as_text(expr: &Expr, value: &Json, at: &Range<usize>) -> Result<String, EvalError> {
    match value {
        Json::String(text) => Ok(text.clone()),
        Json::Bool(_) | Json::Number(_) => Ok(value.to_string()),
        Json::Null => Err(EvalError::no_data(
            format!("`{}` is null, which has no place in text", expr.text()),
            at,
        )),
        Json::Array(_) | Json::Object(_) => Err(EvalError::wrong(
            format!(
                "`{}` is {}, which has no place in text",
                expr.text(),
                a(V::Json(value).kind())
            ),
            at,
        )
        .hint("let the hole be the whole value, or take one member of it")),
    }
}

/// The first `${{`, to refuse it in program text.
#[must_use]
pub fn find_hole(text: &str) -> Option<Range<usize>> {
    text.find(OPEN).map(|start| start..start + OPEN.len())
}

/// Where `}}` ends the hole: outside of strings and of map literals.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut pos, mut braces, mut quote) = (0, 0_usize, None);
    while pos < bytes.len() {
        let byte = bytes[pos];
        match (quote, byte) {
            (Some((_, false)), b'\\') => pos += 1,
            (Some((open, _)), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => {
                let before = &bytes[pos.saturating_sub(2)..pos];
                // r"..." has no escapes; rb"..." and br"..." neither
                let raw = matches!(before, [.., b'r' | b'R'] | [b'r' | b'R', b'b' | b'B']);
                quote = Some((byte, raw));
            }
            (None, b'{') => braces += 1,
            (None, b'}') if braces > 0 => braces -= 1,
            (None, b'}') if bytes.get(pos + 1) == Some(&b'}') => return Some(pos),
            _ => {}
        }
        pos += 1;
    }
    None
}
