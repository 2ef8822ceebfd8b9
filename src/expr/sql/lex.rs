//! SQL text to tokens: [`tokens`]. Comments are gone, texts and quoted names are one token each.
//!
//! Must not panic on any text. A text or comment that never ends is a mistake, not the end.

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    Mysql,
    Sqlite,
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tok<'t> {
    /// A bare word, lower case.
    Word(String),
    /// A quoted name.
    Name,
    /// A text; its content when it stands between dollars, which may be a program.
    Text(Option<&'t str>),
    /// A number.
    Number,
    /// Anything else.
    Sign(char),
}

/// A token, its line from 1, and how many brackets are open around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token<'t> {
    pub tok: Tok<'t>,
    pub line: usize,
    pub depth: usize,
}

impl Token<'_> {
    /// The word it is.
    pub fn word(&self) -> Option<&str> {
        match &self.tok {
            Tok::Word(word) => Some(word),
            _ => None,
        }
    }

    /// Whether it is this sign.
    pub fn is(&self, sign: char) -> bool {
        self.tok == Tok::Sign(sign)
    }
}

/// All tokens of a text that begins on the line `first`.
///
/// # Errors
/// What never ends, with its line.
pub fn tokens(text: &str, dialect: Dialect, first: usize) -> Result<Vec<Token<'_>>, String> {
    let mut lexer = Lexer {
        text,
        at: 0,
        dialect,
    };
    let mut all = Vec::new();
    let (mut depth, mut line, mut counted) = (0_usize, first, 0);
    loop {
        let began = lexer.at;
        line += text[counted..began].matches('\n').count();
        counted = began;
        let Some(tok) = lexer
            .next()
            .map_err(|what| format!("{what} begins on line {line} and never ends"))?
        else {
            return Ok(all);
        };
        let Some(tok) = tok else { continue };
        if tok == Tok::Sign(')') {
            depth = depth.saturating_sub(1);
        }
        let opens = tok == Tok::Sign('(');
        all.push(Token { tok, line, depth });
        depth += usize::from(opens);
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    dialect: Dialect,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// The next token, `Some(None)` for what is none, and `None` at the end.
    #[expect(
        clippy::option_option,
        reason = "a comment is neither a token nor the end"
    )]
    fn next(&mut self) -> Result<Option<Option<Tok<'t>>>, &'static str> {
        let rest = self.rest();
        let Some(c) = rest.chars().next() else {
            return Ok(None);
        };
        if self.comment()? {
            return Ok(Some(None));
        }
        let mysql = self.dialect == Dialect::Mysql;
        Ok(Some(match c {
            c if c.is_whitespace() => {
                self.at += c.len_utf8();
                None
            }
            '\'' => {
                self.quoted(c, mysql)?;
                Some(Tok::Text(None))
            }
            '"' => {
                self.quoted(c, mysql)?;
                Some(if mysql { Tok::Text(None) } else { Tok::Name })
            }
            '`' if self.dialect != Dialect::Postgres => {
                self.quoted(c, false)?;
                Some(Tok::Name)
            }
            '[' if self.dialect == Dialect::Sqlite => {
                self.past("]", 1).ok_or("a name")?;
                Some(Tok::Name)
            }
            '$' if self.dialect == Dialect::Postgres => Some(self.dollar()?),
            c if c.is_ascii_digit() => {
                self.take(|c| c.is_ascii_alphanumeric() || c == '.');
                Some(Tok::Number)
            }
            c if c.is_alphabetic() || c == '_' => Some(self.word()?),
            c => {
                self.at += c.len_utf8();
                Some(Tok::Sign(c))
            }
        }))
    }

    fn take(&mut self, part: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn word(&mut self) -> Result<Tok<'t>, &'static str> {
        let word = self.take(|c| c.is_alphanumeric() || matches!(c, '_' | '$'));
        // `E'..'` takes backslashes; other letters before a text change nothing of where it ends
        if self.dialect == Dialect::Postgres
            && word.eq_ignore_ascii_case("e")
            && self.rest().starts_with('\'')
        {
            self.quoted('\'', true)?;
            return Ok(Tok::Text(None));
        }
        Ok(Tok::Word(word.to_lowercase()))
    }

    /// Moves behind `end`, looked for from `from` on.
    fn past(&mut self, end: &str, from: usize) -> Option<()> {
        let found = self.rest().get(from..)?.find(end)?;
        self.at += from + found + end.len();
        Some(())
    }

    fn quoted(&mut self, quote: char, backslash: bool) -> Result<(), &'static str> {
        let rest = self.rest();
        let mut chars = rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if c == '\\' && backslash {
                chars.next();
            } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
                self.at += at + c.len_utf8();
                return Ok(());
            }
        }
        Err("a text")
    }

    /// `$tag$ .. $tag$`, or a parameter such as `$1`.
    fn dollar(&mut self) -> Result<Tok<'t>, &'static str> {
        let rest = self.rest();
        let tag = rest[1..].find('$').map(|end| &rest[..end + 2]);
        let name = |tag: &&str| {
            let inner = &tag[1..tag.len() - 1];
            inner.chars().all(|c| c.is_alphanumeric() || c == '_')
                && !inner.starts_with(|c: char| c.is_ascii_digit())
        };
        let Some(tag) = tag.filter(name) else {
            self.at += 1;
            return Ok(Tok::Sign('$'));
        };
        let end = rest[tag.len()..].find(tag).ok_or("a text")?;
        self.at += tag.len() * 2 + end;
        Ok(Tok::Text(Some(&rest[tag.len()..tag.len() + end])))
    }

    /// Skips a comment; whether there was one. MySQL carries out what stands in `/*! .. */`: only its
    /// brackets are skipped, and the last of them is two signs that nothing takes for a statement.
    fn comment(&mut self) -> Result<bool, &'static str> {
        let rest = self.rest();
        let mysql = self.dialect == Dialect::Mysql;
        let to_line_end = match rest.strip_prefix("--") {
            Some(more) => !mysql || more.is_empty() || more.starts_with(char::is_whitespace),
            None => mysql && rest.starts_with('#'),
        };
        if to_line_end {
            let postgres = self.dialect == Dialect::Postgres;
            self.take(|c| c != '\n' && !(postgres && c == '\r'));
            return Ok(true);
        }
        if mysql && (rest.starts_with("/*!") || rest.starts_with("/*M!")) {
            self.at += 3;
            self.take(|c| c == '!' || c.is_ascii_digit());
            return Ok(true);
        }
        if mysql && rest.starts_with("*/") {
            self.at += 2;
            return Ok(true);
        }
        if !rest.starts_with("/*") {
            return Ok(false);
        }
        if self.dialect != Dialect::Postgres {
            self.past("*/", 2).ok_or("a comment")?;
            return Ok(true);
        }
        // they nest
        let mut open = 0_usize;
        while !self.rest().is_empty() {
            if self.rest().starts_with("/*") {
                open += 1;
                self.at += 2;
            } else if self.rest().starts_with("*/") {
                open -= 1;
                self.at += 2;
                if open == 0 {
                    return Ok(true);
                }
            } else {
                self.at += self.rest().chars().next().map_or(1, char::len_utf8);
            }
        }
        Err("a comment")
    }
}
