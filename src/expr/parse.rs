//! Tokens to the tree: [`parse`]. CEL's grammar, by recursive descent.
//!
//! Nesting, length and depth are bounded before anything recurses, so no text can exhaust the stack.
//! Must not: know which roots and functions exist (that is `check`).

use std::ops::Range;
use std::sync::Arc;

use super::error::CompileError;
use super::lex::{Tok, Token, tokens};
use super::tree::{Kind, Lit, Loop, MAX_DEPTH, Node, Op};
use super::{MAX_NESTING, MAX_TEXT};

type Parsed<T> = Result<T, CompileError>;

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

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token<'t>>,
    pos: usize,
    nesting: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> &Tok<'t> {
        // the last token is always `End`, and it is never passed
        &self.tokens[self.pos].tok
    }

    fn at(&self) -> Range<usize> {
        self.tokens[self.pos].at.clone()
    }

    fn advance(&mut self) {
        self.pos = (self.pos + 1).min(self.tokens.len() - 1);
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Tok::Sign(found) if *found == sign)
    }

    fn eat(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        if found {
            self.advance();
        }
        found
    }

    /// Ends a bracket; gives the end of it in the text.
    fn close(&mut self, sign: &str, open: &Range<usize>) -> Parsed<usize> {
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

    fn unexpected(&self, wanted: &str) -> CompileError {
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

    fn node(&self, kind: Kind, at: Range<usize>) -> Parsed<Node> {
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

    fn expr(&mut self) -> Parsed<Node> {
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

    fn or(&mut self) -> Parsed<Node> {
        let mut all = vec![self.and()?];
        while self.eat("||") {
            all.push(self.and()?);
        }
        self.joined(all, Kind::Or)
    }

    fn and(&mut self) -> Parsed<Node> {
        let mut all = vec![self.relation()?];
        while self.eat("&&") {
            all.push(self.relation()?);
        }
        self.joined(all, Kind::And)
    }

    fn joined(&self, mut all: Vec<Node>, kind: fn(Vec<Node>) -> Kind) -> Parsed<Node> {
        if all.len() > 1 {
            let at = all[0].at.start..all[all.len() - 1].at.end;
            return self.node(kind(all), at);
        }
        Ok(all.pop().expect("a chain has at least its first operand"))
    }

    fn relation(&mut self) -> Parsed<Node> {
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

    fn relation_sign(&self) -> Option<Op> {
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

    fn binary(&self, op: Op, left: Node, right: Node) -> Parsed<Node> {
        let at = left.at.start..right.at.end;
        let sides = Box::new([left, right]);
        self.node(Kind::Binary { op, sides }, at)
    }

    fn sum(&mut self) -> Parsed<Node> {
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

    fn product(&mut self) -> Parsed<Node> {
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

    fn unary(&mut self) -> Parsed<Node> {
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

    fn postfix(&mut self, mut node: Node) -> Parsed<Node> {
        loop {
            let open = self.at();
            if self.eat(".") {
                node = self.member(node)?;
            } else if self.eat("[") {
                let index = Box::new(self.expr()?);
                let end = self.close("]", &open)?;
                let at = node.at.start..end;
                let of = Box::new(node);
                node = self.node(Kind::Index { of, index }, at)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn member(&mut self, of: Node) -> Parsed<Node> {
        let name_at = self.at();
        let Tok::Ident(name) = *self.peek() else {
            let error = self.unexpected("a name after `.`");
            return Err(match self.peek() {
                Tok::Sign("?") => error.hint("test with `has(...)` before reading"),
                Tok::Int(_) => error.hint("an element of a list is written `[0]`"),
                _ => error,
            });
        };
        self.advance();
        let open = self.at();
        if !self.eat("(") {
            let at = of.at.start..name_at.end;
            let (of, field) = (Box::new(of), name.to_owned());
            return self.node(Kind::Select { of, field }, at);
        }
        let (args, end) = self.arguments(")", &open)?;
        let at = of.at.start..end;
        if let Some(form) = Loop::named(name) {
            return self.looped(form, of, args, at);
        }
        let kind = Kind::Call {
            target: Some(Box::new(of)),
            name: name.to_owned(),
            name_at,
            args,
        };
        self.node(kind, at)
    }

    fn looped(&self, form: Loop, over: Node, args: Vec<Node>, at: Range<usize>) -> Parsed<Node> {
        let name = form.name();
        let mut args = args.into_iter();
        let var = match args.next() {
            Some(Node {
                kind: Kind::Name(var),
                ..
            }) => var,
            other => {
                let at = other.map_or(at, |node| node.at);
                return Err(CompileError::new(
                    format!("`{name}` needs a name for the element first"),
                    &at,
                )
                .hint(format!("as in `list.{name}(x, x > 1)`")));
            }
        };
        let steps: Vec<Node> = args.collect();
        let most = if form == Loop::Map { 2 } else { 1 };
        if steps.is_empty() || steps.len() > most {
            return Err(CompileError::new(
                format!("`{name}` takes a name and one expression, as in `list.{name}(x, ...)`"),
                &at,
            ));
        }
        let over = Box::new(over);
        self.node(
            Kind::Loop {
                form,
                over,
                var,
                steps,
            },
            at,
        )
    }

    fn arguments(&mut self, close: &str, open: &Range<usize>) -> Parsed<(Vec<Node>, usize)> {
        let mut all = Vec::new();
        while !self.is(close) {
            all.push(self.expr()?);
            if !self.eat(",") {
                break;
            }
        }
        let end = self.close(close, open)?;
        Ok((all, end))
    }

    fn primary(&mut self) -> Parsed<Node> {
        let at = self.at();
        let lit = match self.peek() {
            Tok::Ident(_) => return self.named(at),
            Tok::Sign("(") => {
                self.advance();
                let mut inner = self.expr()?;
                inner.at = at.start..self.close(")", &at)?;
                return Ok(inner);
            }
            Tok::Sign("[") => {
                self.advance();
                let (all, end) = self.arguments("]", &at)?;
                return self.node(Kind::List(all), at.start..end);
            }
            Tok::Sign("{") => return self.map(&at),
            Tok::Int(size) => {
                let value = i64::try_from(*size).map_err(|_| out_of_range(self.text, &at))?;
                Lit::Int(value)
            }
            Tok::UInt(value) => Lit::UInt(*value),
            Tok::Double(value) => Lit::Double(*value),
            Tok::Str(text) => Lit::Str(Arc::new(text.clone())),
            Tok::Bytes(bytes) => Lit::Bytes(Arc::new(bytes.clone())),
            _ => return Err(self.unexpected("a value")),
        };
        self.advance();
        self.node(Kind::Lit(lit), at)
    }

    fn named(&mut self, at: Range<usize>) -> Parsed<Node> {
        let Tok::Ident(name) = *self.peek() else {
            return Err(self.unexpected("a name"));
        };
        let lit = match name {
            "true" => Some(Lit::Bool(true)),
            "false" => Some(Lit::Bool(false)),
            "null" => Some(Lit::Null),
            "in" => return Err(self.unexpected("a value")),
            _ => None,
        };
        self.advance();
        if let Some(lit) = lit {
            return self.node(Kind::Lit(lit), at);
        }
        let open = self.at();
        if !self.eat("(") {
            return self.node(Kind::Name(name.to_owned()), at);
        }
        let (mut args, end) = self.arguments(")", &open)?;
        let whole = at.start..end;
        if name != "has" {
            let kind = Kind::Call {
                target: None,
                name: name.to_owned(),
                name_at: at,
                args,
            };
            return self.node(kind, whole);
        }
        let tested = args
            .pop()
            .filter(|_| args.is_empty())
            .filter(|node| match &node.kind {
                Kind::Select { .. } => true,
                Kind::Index { index, .. } => index.as_str().is_some(),
                _ => false,
            });
        let Some(tested) = tested else {
            return Err(CompileError::new(
                "`has` takes one member, as in `has(result.json.token)`",
                &whole,
            ));
        };
        self.node(Kind::Has(Box::new(tested)), whole)
    }

    fn map(&mut self, open: &Range<usize>) -> Parsed<Node> {
        self.advance();
        let mut entries = Vec::new();
        while !self.is("}") {
            let key = self.expr()?;
            if !self.eat(":") {
                return Err(self.unexpected("`:` after the key"));
            }
            entries.push((key, self.expr()?));
            if !self.eat(",") {
                break;
            }
        }
        let end = self.close("}", open)?;
        self.node(Kind::Map(entries), open.start..end)
    }
}

fn out_of_range(text: &str, at: &Range<usize>) -> CompileError {
    CompileError::new(format!("`{}` does not fit 64 bits", &text[at.clone()]), at)
}
