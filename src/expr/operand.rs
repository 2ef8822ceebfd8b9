//! Operands: the part of the [`Parser`] below the operators: literals, names, calls, members.
//!
//! Must not: recurse except through `Parser::expr`, which bounds the nesting.

use std::ops::Range;
use std::sync::Arc;

use super::error::CompileError;
use super::lex::Tok;
use super::parse::{Parsed, Parser};
use super::tree::{Kind, Lit, Loop, Node};

impl Parser<'_> {
    pub(super) fn postfix(&mut self, mut node: Node) -> Parsed<Node> {
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

    pub(super) fn member(&mut self, of: Node) -> Parsed<Node> {
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

    pub(super) fn looped(
        &self,
        form: Loop,
        over: Node,
        args: Vec<Node>,
        at: Range<usize>,
    ) -> Parsed<Node> {
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

    pub(super) fn arguments(
        &mut self,
        close: &str,
        open: &Range<usize>,
    ) -> Parsed<(Vec<Node>, usize)> {
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

    pub(super) fn primary(&mut self) -> Parsed<Node> {
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

    pub(super) fn named(&mut self, at: Range<usize>) -> Parsed<Node> {
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

    pub(super) fn map(&mut self, open: &Range<usize>) -> Parsed<Node> {
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

pub(super) fn out_of_range(text: &str, at: &Range<usize>) -> CompileError {
    CompileError::new(format!("`{}` does not fit 64 bits", &text[at.clone()]), at)
}
