//! Tokens to the tree: [`parse`]. CEL's grammar, by recursive descent.
//!
//! Nesting, length and depth are bounded before anything recurses, so no text can exhaust the stack.
//! Must not: know which roots and functions exist (that is `check`).

use std::ops::Range;

use super::error::CompileError;
use super::lex::{Tok, Token, tokens};
use super::operand::out_of_range;
use super::tree::{Kind, Lit, MAX_DEPTH, Node, Op};
use super::{MAX_NESTING, MAX_TEXT};

pub(super) type Parsed<T> = Result<T, CompileError>;

pub(super) fn parse(text: &str) -> Parsed<Node> {
    if text.len() > MAX_TEXT {
        let message = format!(
            "the expression is {} bytes long, more than {MAX_TEXT}",
            text.len()
        );
        return Err(CompileError::new(message, &(0..text.len())));
    }
    if text.trim().is_empty() {
        return Err(CompileError::new(
            "the expression is empty",
            &(0..text.len()),
        ));
    }
    let mut parser = Parser {
        text,
        tokens: tokens(text)?,
        pos: 0,
        nesting: 0,
    };
    let node = parser.expr()?;
    match parser.peek() {
        Tok::End => Ok(node),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

pub(super) struct Parser<'t> {
    pub(super) text: &'t str,
    pub(super) tokens: Vec<Token<'t>>,
    pub(super) pos: usize,
    nesting: usize,
}

impl<'t> Parser<'t> {
    pub(super) fn peek(&self) -> &Tok<'t> {
        // the last token is always `End`, and it is never passed
        &self.tokens[self.pos].tok
    }

    pub(super) fn at(&self) -> Range<usize> {
        self.tokens[self.pos].at.clone()
    }

    pub(super) fn advance(&mut self) {
        self.pos = (self.pos + 1).min(self.tokens.len() - 1);
    }

    pub(super) fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Tok::Sign(found) if *found == sign)
    }

    pub(super) fn eat(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        if found {
            self.advance();
        }
        found
    }

    /// Ends a bracket; gives the end of it in the text.
    pub(super) fn close(&mut self, sign: &str, open: &Range<usize>) -> Parsed<usize> {
        let at = self.at();
        if self.eat(sign) {
            return Ok(at.end);
        }
        if matches!(self.peek(), Tok::End) {
            let opened = &self.text[open.clone()];
            return Err(CompileError::new(
                format!("this `{opened}` is not closed"),
                open,
            ));
        }
        Err(self.unexpected(&format!("`{sign}`")))
    }

    pub(super) fn unexpected(&self, wanted: &str) -> CompileError {
        let at = self.at();
        let found = match self.peek() {
            Tok::End => "the end".to_owned(),
            _ => format!("`{}`", &self.text[at.clone()]),
        };
        let error = CompileError::new(format!("expected {wanted}, found {found}"), &at);
        match self.peek() {
            Tok::Ident("and") => error.hint("write `&&`"),
            Tok::Ident("or") => error.hint("write `||`"),
            Tok::Ident("is") => error.hint("write `==`"),
            Tok::Ident("not") => error.hint("write `!`, as in `!(x in y)`"),
            _ if self.pos > 0 && self.tokens[self.pos - 1].tok == Tok::Ident("not") => {
                error.hint("write `!` for not")
            }
            _ => error,
        }
    }

    pub(super) fn node(&self, kind: Kind, at: Range<usize>) -> Parsed<Node> {
        let mut node = Node { kind, at, depth: 0 };
        let below = node.children().iter().map(|child| child.depth).max();
        node.depth = below.unwrap_or(0) + 1;
        if node.depth > MAX_DEPTH {
            return Err(CompileError::new(
                format!("the expression is more than {MAX_DEPTH} operations deep"),
                &node.at,
            ));
        }
        Ok(node)
    }

    pub(super) fn expr(&mut self) -> Parsed<Node> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            let message = format!("the expression is nested more than {MAX_NESTING} deep");
            return Err(CompileError::new(message, &self.at()));
        }
        let mut node = self.or()?;
        if self.eat("?") {
            let yes = self.or()?;
            if !self.eat(":") {
                return Err(self.unexpected("`:` of `a ? b : c`"));
            }
            let no = self.expr()?;
            let at = node.at.start..no.at.end;
            node = self.node(Kind::If(Box::new([node, yes, no])), at)?;
        }
        self.nesting -= 1;
        Ok(node)
    }

    pub(super) fn or(&mut self) -> Parsed<Node> {
        let mut all = vec![self.and()?];
        while self.eat("||") {
            all.push(self.and()?);
        }
        self.joined(all, Kind::Or)
    }

    pub(super) fn and(&mut self) -> Parsed<Node> {
        let mut all = vec![self.relation()?];
        while self.eat("&&") {
            all.push(self.relation()?);
        }
        self.joined(all, Kind::And)
    }

    pub(super) fn joined(&self, mut all: Vec<Node>, kind: fn(Vec<Node>) -> Kind) -> Parsed<Node> {
        if all.len() > 1 {
            let at = all[0].at.start..all[all.len() - 1].at.end;
            return self.node(kind(all), at);
        }
        Ok(all.pop().expect("a chain has at least its first operand"))
    }

    pub(super) fn relation(&mut self) -> Parsed<Node> {
        let left = self.sum()?;
        let Some(op) = self.relation_sign() else {
            return Ok(left);
        };
        self.advance();
        let right = self.sum()?;
        if self.relation_sign().is_some() {
            return Err(CompileError::new("comparisons do not chain", &self.at())
                .hint("write `a < b && b < c`, or put one comparison in parentheses"));
        }
        self.binary(op, left, right)
    }

    pub(super) fn relation_sign(&self) -> Option<Op> {
        Some(match self.peek() {
            Tok::Sign("==") => Op::Eq,
            Tok::Sign("!=") => Op::Ne,
            Tok::Sign("<") => Op::Lt,
            Tok::Sign("<=") => Op::Le,
            Tok::Sign(">") => Op::Gt,
            Tok::Sign(">=") => Op::Ge,
            Tok::Ident("in") => Op::In,
            _ => return None,
        })
    }

    pub(super) fn binary(&self, op: Op, left: Node, right: Node) -> Parsed<Node> {
        let at = left.at.start..right.at.end;
        let sides = Box::new([left, right]);
        self.node(Kind::Binary { op, sides }, at)
    }

    pub(super) fn sum(&mut self) -> Parsed<Node> {
        let mut left = self.product()?;
        loop {
            let op = match self.peek() {
                Tok::Sign("+") => Op::Add,
                Tok::Sign("-") => Op::Sub,
                _ => return Ok(left),
            };
            self.advance();
            let right = self.product()?;
            left = self.binary(op, left, right)?;
        }
    }

    pub(super) fn product(&mut self) -> Parsed<Node> {
        let mut left = self.unary()?;
        loop {
            let op = match self.peek() {
                Tok::Sign("*") => Op::Mul,
                Tok::Sign("/") => Op::Div,
                Tok::Sign("%") => Op::Rem,
                _ => return Ok(left),
            };
            self.advance();
            let right = self.unary()?;
            left = self.binary(op, left, right)?;
        }
    }

    pub(super) fn unary(&mut self) -> Parsed<Node> {
        let mut signs = Vec::new();
        while self.is("!") || self.is("-") {
            signs.push((self.is("!"), self.at().start));
            self.advance();
        }
        let negative = signs.last().is_some_and(|(not, _)| !not);
        let mut node = match self.peek() {
            // the sign belongs to the number, so that the smallest int can be written
            Tok::Int(size) if negative => {
                let size = *size;
                let (_, start) = signs.pop().expect("checked to be there");
                let at = start..self.at().end;
                self.advance();
                let value = 0_i64
                    .checked_sub_unsigned(size)
                    .ok_or_else(|| out_of_range(self.text, &at))?;
                let number = self.node(Kind::Lit(Lit::Int(value)), at)?;
                self.postfix(number)?
            }
            _ => {
                let first = self.primary()?;
                self.postfix(first)?
            }
        };
        for (not, start) in signs.into_iter().rev() {
            let at = start..node.at.end;
            let below = Box::new(node);
            node = self.node(
                if not {
                    Kind::Not(below)
                } else {
                    Kind::Neg(below)
                },
                at,
            )?;
        }
        Ok(node)
    }
}
