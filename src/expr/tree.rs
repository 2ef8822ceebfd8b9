//! The tree of an expression: [`Node`], each with its byte range in the text.
//!
//! Must not: evaluate. Depth is bounded when a node is made, so that walking it can recurse.

use std::ops::Range;
use std::sync::Arc;

/// Deepest tree; a long chain of `+` is as deep as it is long.
pub(super) const MAX_DEPTH: u16 = 160;

/// One node.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub kind: Kind,
    /// Byte range in the text, its own parentheses included.
    pub at: Range<usize>,
    pub depth: u16,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Lit(Lit),
    Name(String),
    Select {
        of: Box<Node>,
        field: String,
    },
    Index {
        of: Box<Node>,
        index: Box<Node>,
    },
    /// `has(a.b)`: the node is a `Select`, or an `Index` by a literal string.
    Has(Box<Node>),
    Call {
        target: Option<Box<Node>>,
        name: String,
        name_at: Range<usize>,
        args: Vec<Node>,
    },
    Not(Box<Node>),
    Neg(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    If(Box<[Node; 3]>),
    Binary {
        op: Op,
        sides: Box<[Node; 2]>,
    },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Loop {
        form: Loop,
        over: Box<Node>,
        var: String,
        /// Condition and, for `map` with three arguments, the value.
        steps: Vec<Node>,
    },
}

#[derive(Debug, Clone)]
pub(super) enum Lit {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Str(Arc<String>),
    Bytes(Arc<Vec<u8>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loop {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

impl Loop {
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "exists" => Self::Exists,
            "exists_one" | "existsOne" => Self::ExistsOne,
            "map" => Self::Map,
            "filter" => Self::Filter,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exists => "exists",
            Self::ExistsOne => "exists_one",
            Self::Map => "map",
            Self::Filter => "filter",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

impl Op {
    pub fn compares(self) -> bool {
        matches!(
            self,
            Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge | Self::In
        )
    }

    pub fn sign(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Rem => "%",
        }
    }

    /// The operator's name as a function of the crate `cel`.
    pub fn cel_name(self) -> &'static str {
        match self {
            Self::Add => "_+_",
            Self::Sub => "_-_",
            Self::Mul => "_*_",
            Self::Div => "_/_",
            Self::Rem => "_%_",
            Self::In => "@in",
            Self::Eq => "_==_",
            Self::Ne => "_!=_",
            Self::Lt => "_<_",
            Self::Le => "_<=_",
            Self::Gt => "_>_",
            Self::Ge => "_>=_",
        }
    }
}

impl Node {
    /// Nodes directly below.
    pub fn children(&self) -> Vec<&Self> {
        match &self.kind {
            Kind::Lit(_) | Kind::Name(_) => Vec::new(),
            Kind::Select { of, .. } | Kind::Has(of) | Kind::Not(of) | Kind::Neg(of) => vec![of],
            Kind::Index { of, index } => vec![of, index],
            Kind::Call { target, args, .. } => target.as_deref().into_iter().chain(args).collect(),
            Kind::And(all) | Kind::Or(all) | Kind::List(all) => all.iter().collect(),
            Kind::If(three) => three.iter().collect(),
            Kind::Binary { sides, .. } => sides.iter().collect(),
            Kind::Map(entries) => entries.iter().flat_map(|(k, v)| [k, v]).collect(),
            Kind::Loop { over, steps, .. } => std::iter::once(&**over).chain(steps).collect(),
        }
    }

    pub fn is_null_literal(&self) -> bool {
        matches!(self.kind, Kind::Lit(Lit::Null))
    }

    pub fn is_literal(&self) -> bool {
        match &self.kind {
            Kind::Lit(_) => true,
            Kind::List(all) => all.iter().all(Self::is_literal),
            _ => false,
        }
    }

    /// The literal string, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Lit(Lit::Str(text)) => Some(text),
            _ => None,
        }
    }

    /// A name, or a selection from one.
    pub fn is_path(&self) -> bool {
        match &self.kind {
            Kind::Name(_) => true,
            Kind::Select { of, .. } | Kind::Index { of, .. } => of.is_path(),
            _ => false,
        }
    }
}
