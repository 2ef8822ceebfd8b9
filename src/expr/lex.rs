//! Text of an expression to tokens: [`tokens`]. CEL's lexical grammar.
//!
//! Must not panic on any text; every mistake carries its byte range.

use std::ops::Range;

use super::error::CompileError;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tok<'t> {
    Ident(&'t str),
    /// Magnitude; the sign is the parser's, so that the smallest int can be written.
    Int(u64),
    UInt(u64),
    Double(f64),
    Str(String),
    Bytes(Vec<u8>),
    /// Operator or punctuation.
    Sign(&'static str),
    End,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token<'t> {
    pub tok: Tok<'t>,
    pub at: Range<usize>,
}

/// Longest first, so that `<=` is not read as `<`.
const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ".", ",",
    "(", ")", "[", "]", "{", "}",
];

pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, CompileError> {
    let mut lexer = Lexer { text, pos: 0 };
    let mut all = Vec::with_capacity(text.len() / 3 + 2);
    loop {
        lexer.skip_blanks();
        let start = lexer.pos;
        let tok = lexer.next()?;
        let end = tok == Tok::End;
        all.push(Token {
            tok,
            at: start..lexer.pos,
        });
        if end {
            return Ok(all);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    pos: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.pos..]
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.text
            .as_bytes()
            .get(self.pos + ahead)
            .copied()
            .unwrap_or(0)
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.len()
                - rest
                    .trim_start_matches([' ', '\t', '\r', '\n', '\u{c}'])
                    .len();
            self.pos += blank;
            if !self.rest().starts_with("//") {
                return;
            }
            self.pos += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn next(&mut self) -> Result<Tok<'t>, CompileError> {
        let byte = self.byte(0);
        if self.pos == self.text.len() {
            return Ok(Tok::End);
        }
        if byte.is_ascii_digit() || (byte == b'.' && self.byte(1).is_ascii_digit()) {
            return self.number();
        }
        if let Some(quoted) = self.quoted()? {
            return Ok(quoted);
        }
        if byte.is_ascii_alphabetic() || byte == b'_' {
            let word = self.word();
            self.pos += word.len();
            return Ok(Tok::Ident(word));
        }
        for sign in SIGNS {
            if self.rest().starts_with(sign) {
                self.pos += sign.len();
                return Ok(Tok::Sign(sign));
            }
        }
        Err(self.stray())
    }

    fn word(&self) -> &'t str {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        &rest[..end]
    }

    fn stray(&self) -> CompileError {
        let found = self.rest().chars().next().unwrap_or(' ');
        let at = self.pos..self.pos + found.len_utf8();
        let error = CompileError::new(
            format!("`{}` has no meaning here", found.escape_debug()),
            &at,
        );
        match found {
            '=' => error.hint("write `==` to compare"),
            '&' => error.hint("write `&&`"),
            '|' => error.hint("write `||`"),
            '$' => error.hint("inside an expression a value is named without `${{ }}`"),
            '`' => error.hint("a key with other characters is written `[\"the-key\"]`"),
            '“' | '”' | '‘' | '’' => error.hint("strings stand in straight quotes"),
            _ => error,
        }
    }

    fn number(&mut self) -> Result<Tok<'t>, CompileError> {
        let start = self.pos;
        if self.byte(0) == b'0' && matches!(self.byte(1), b'x' | b'X') {
            self.pos += 2;
            let digits = self.digits(u8::is_ascii_hexdigit);
            return self.whole_number(start, digits, 16);
        }
        let digits = self.digits(u8::is_ascii_digit);
        let mut double = false;
        if self.byte(0) == b'.' && self.byte(1).is_ascii_digit() {
            double = true;
            self.pos += 1;
            self.digits(u8::is_ascii_digit);
        }
        let signed = usize::from(matches!(self.byte(1), b'+' | b'-'));
        if matches!(self.byte(0), b'e' | b'E') && self.byte(1 + signed).is_ascii_digit() {
            double = true;
            self.pos += 1 + signed;
            self.digits(u8::is_ascii_digit);
        }
        if !double {
            return self.whole_number(start, digits, 10);
        }
        let at = start..self.pos;
        match self.text[at.clone()].parse::<f64>() {
            Ok(value) if value.is_finite() => {
                self.nothing_attached(start).map(|()| Tok::Double(value))
            }
            _ => Err(CompileError::new(
                format!("`{}` is too large for a number", &self.text[at.clone()]),
                &at,
            )),
        }
    }

    fn digits(&mut self, is_digit: fn(&u8) -> bool) -> &'t str {
        let start = self.pos;
        while is_digit(&self.byte(0)) {
            self.pos += 1;
        }
        &self.text[start..self.pos]
    }

    fn whole_number(
        &mut self,
        start: usize,
        digits: &str,
        radix: u32,
    ) -> Result<Tok<'t>, CompileError> {
        let value = u64::from_str_radix(digits, radix);
        let unsigned = matches!(self.byte(0), b'u' | b'U');
        self.pos += usize::from(unsigned);
        self.nothing_attached(start)?;
        match value {
            Ok(value) if unsigned => Ok(Tok::UInt(value)),
            Ok(value) => Ok(Tok::Int(value)),
            Err(_) => {
                let at = start..self.pos;
                let text = &self.text[at.clone()];
                Err(CompileError::new(
                    format!("`{text}` is no whole number that fits 64 bits"),
                    &at,
                ))
            }
        }
    }

    /// Refuses `5m` and `200mb`, which look like they should work.
    fn nothing_attached(&self, start: usize) -> Result<(), CompileError> {
        let word = self.word();
        if word.is_empty() {
            return Ok(());
        }
        let at = start..self.pos + word.len();
        let text = &self.text[at.clone()];
        let hint = if super::units::parse_duration(text).is_ok() {
            Some(format!("write `duration(\"{text}\")`"))
        } else if super::units::parse_data_size(text).is_ok() {
            Some(format!("write `datasize(\"{text}\")`"))
        } else {
            None
        };
        Err(CompileError::new(format!("`{text}` is no number"), &at).maybe_hint(hint))
    }

    /// A string or bytes literal, if one starts here.
    fn quoted(&mut self) -> Result<Option<Tok<'t>>, CompileError> {
        let start = self.pos;
        let (mut raw, mut bytes, mut prefix) = (false, false, 0);
        loop {
            match self.byte(prefix) {
                b'r' | b'R' if !raw => raw = true,
                b'b' | b'B' if !bytes => bytes = true,
                b'"' | b'\'' => break,
                _ => return Ok(None),
            }
            prefix += 1;
        }
        let quote = self.byte(prefix);
        self.pos += prefix;
        let triple = self.byte(1) == quote && self.byte(2) == quote;
        let width = if triple { 3 } else { 1 };
        self.pos += width;
        let body = self.pos;
        let end = self.closing(quote, width, raw).ok_or_else(|| {
            let at = start..body;
            CompileError::new("this string is not closed", &at)
        })?;
        let inner = &self.text[body..end];
        self.pos = end + width;
        let value = if raw {
            inner.as_bytes().to_vec()
        } else {
            unescape(inner, body, bytes)?
        };
        if bytes {
            return Ok(Some(Tok::Bytes(value)));
        }
        let text = String::from_utf8(value)
            .map_err(|_| CompileError::new("this string is not valid text", &(start..self.pos)))?;
        Ok(Some(Tok::Str(text)))
    }

    fn closing(&self, quote: u8, width: usize, raw: bool) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut pos = self.pos;
        while pos + width <= bytes.len() {
            let byte = bytes[pos];
            if byte == quote && bytes[pos..pos + width].iter().all(|b| *b == quote) {
                return Some(pos);
            }
            if width == 1 && matches!(byte, b'\n' | b'\r') {
                return None;
            }
            pos += if byte == b'\\' && !raw { 2 } else { 1 };
        }
        None
    }
}

/// Resolves escapes. `start` is where `text` stands in the whole.
fn unescape(text: &str, start: usize, bytes: bool) -> Result<Vec<u8>, CompileError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(slash) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..slash]);
        rest = &rest[slash..];
        let here = start + text.len() - rest.len();
        let mut chars = rest[1..].chars();
        let letter = chars.next().unwrap_or(' ');
        let simple = match letter {
            'a' => Some(7),
            'b' => Some(8),
            'f' => Some(12),
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            'v' => Some(11),
            '\\' | '\'' | '"' | '`' | '?' => u8::try_from(letter).ok(),
            _ => None,
        };
        let used = if let Some(byte) = simple {
            out.push(byte);
            2
        } else {
            coded(rest, letter, bytes, &mut out).ok_or_else(|| {
                let at = here..here + 1 + letter.len_utf8().min(rest.len() - 1);
                CompileError::new(format!("`\\{}` is no escape", letter.escape_debug()), &at)
                    .hint("write `\\\\` for a backslash, or r\"...\" for a string without escapes")
            })?
        };
        rest = &rest[used..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// `\x41`, `\u0041`, `\U00000041`, `\101`; gives the bytes used.
fn coded(rest: &str, letter: char, bytes: bool, out: &mut Vec<u8>) -> Option<usize> {
    let (skip, digits, radix) = match letter {
        'x' | 'X' => (2, 2, 16),
        'u' if !bytes => (2, 4, 16),
        'U' if !bytes => (2, 8, 16),
        '0'..='3' => (1, 3, 8),
        _ => return None,
    };
    let code = rest.get(skip..skip + digits)?;
    if !code.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = u32::from_str_radix(code, radix).ok()?;
    if bytes {
        out.push(u8::try_from(value).ok()?);
    } else {
        let mut buffer = [0; 4];
        out.extend_from_slice(char::from_u32(value)?.encode_utf8(&mut buffer).as_bytes());
    }
    Some(skip + digits)
}
