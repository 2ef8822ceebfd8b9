//! The expression language: CEL in `expect`, `when`, guards, `until`, and in `${{ }}` holes.
//!
//! Main types: [`Expr`] (compiled once, cheap to clone), [`Template`] (text with holes), [`Scope`]
//! (where values come from), [`Evidence`] (a judgement with the values it rests on). Values, their
//! functions and conversions are those of the crate `cel`; the grammar is read and the tree is walked
//! here, because every value and every fault must have its place in the text, and because a
//! judgement is stricter than CEL (see [`Expr::judge`]).
//! Must not: do IO, read a clock, know where values come from, or panic on any text.

mod call;
mod check;
mod compare;
mod error;
mod eval;
mod functions;
mod judge;
mod lex;
mod operand;
mod operators;
mod parse;
mod path;
pub mod sql;
mod template;
mod tree;
mod units;
mod value;
mod version;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

pub use error::{CompileError, EvalError};
pub use judge::{Evidence, SubValue, Verdict};
pub use template::{Template, find_hole};
pub use units::{parse_data_size, parse_duration};

/// Names that an expression may start from. Which of them have a value depends on the place.
pub const ROOTS: &[&str] = &[
    "inputs",
    "result",
    "outputs",
    "steps",
    "phases",
    "snapshots",
    "baseline",
    "run",
    "item",
    "phase",
    "probe",
    "env",
];

/// Longest text of one expression, in bytes.
pub const MAX_TEXT: usize = 32 * 1024;

/// Deepest nesting of parentheses, brackets and arguments.
pub const MAX_NESTING: usize = 32;

/// Where the values of an expression come from.
pub trait Scope {
    /// The value of `root`, or only of `root.member` when a member is given, so that a big map need
    /// not be built for one entry. `None`: there is no such value (which never lets a judgement pass).
    fn value(&self, root: &str, member: Option<&str>) -> Option<Cow<'_, serde_json::Value>>;

    /// Seconds since the phase started; `None` if it has not.
    fn elapsed(&self, phase: &str) -> Option<f64>;
}

/// A path that an expression reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Root first, as in `["steps", "database", "result", "bytes"]`. A literal list index adds
    /// nothing; the path ends before the first index that is only known at run time.
    /// `elapsed("deploy")` counts as `["phases", "deploy"]`.
    pub path: Vec<String>,
    /// Byte range of the path in the text of the expression (or of the template).
    pub at: Option<Range<usize>>,
    /// Read inside `has(...)`, where a missing last member is an answer and no mistake.
    pub tested: bool,
}

/// A compiled expression. Clones share it.
#[derive(Clone)]
pub struct Expr {
    inner: Arc<Inner>,
}

struct Inner {
    text: String,
    root: tree::Node,
    references: Vec<Reference>,
    /// The distinct (root, first member) pairs to ask a scope for.
    asks: Vec<(String, Option<String>)>,
}

impl Expr {
    /// Reads and checks `text`: grammar, names of roots and functions, number of arguments.
    ///
    /// # Errors
    /// The first mistake, with its byte range in `text`.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        let root = parse::parse(text)?;
        let found = check::check(&root)?;
        Ok(Self {
            inner: Arc::new(Inner {
                text: text.to_owned(),
                root,
                references: found.references,
                asks: found.asks,
            }),
        })
    }

    /// The text as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// Every path that is read, in the order of the text; a path read twice is listed twice.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.inner.references
    }

    /// Whether the value may change with the scope.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.inner.references.is_empty()
    }

    /// Evaluates to JSON. A duration becomes text such as `1h30m`, a timestamp RFC 3339.
    ///
    /// # Errors
    /// Whatever has no value: missing data, types that do not fit, a number that is not finite.
    pub fn value(&self, scope: &dyn Scope) -> Result<serde_json::Value, EvalError> {
        let asked = eval::ask(&self.inner.asks, scope);
        let mut eval = eval::Eval::new(&self.inner.text, &asked, scope, false);
        let value = eval.eval(&self.inner.root)?;
        value
            .to_json()
            .map_err(|message| EvalError::wrong(message, &self.inner.root.at))
    }
}

impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expr").field(&self.inner.text).finish()
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.inner.text == other.inner.text
    }
}

impl Eq for Expr {}

#[cfg(test)]
mod tests;
