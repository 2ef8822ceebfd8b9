//! SQL text as far as ferry must understand it: where statements end, and whether one only reads.
//!
//! [`split`] is a lexer, not a parser: it knows quotes, comments and routine bodies of the three
//! dialects. Reading is judged on the safe side; the read-only transaction is what enforces it.

use crate::runbook::TargetKind;

/// One statement of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// Its text without the closing `;`, starting at its first word.
    pub text: &'a str,
    /// The line of the script on which it starts, from 1.
    pub line: usize,
    /// Its words outside quotes and comments, lower case; `name(` keeps the bracket.
    pub words: Vec<String>,
}

impl Statement<'_> {
    /// The first word.
    pub fn first(&self) -> &str {
        self.words
            .first()
            .map_or("", |word| word.trim_end_matches('('))
    }

    /// Whether it begins or ends a transaction.
    pub fn controls_transaction(&self) -> bool {
        match self.first() {
            "begin" | "commit" | "rollback" | "abort" | "savepoint" | "release" => true,
            "start" | "prepare" => self.words.get(1).is_some_and(|word| word == "transaction"),
            "end" => self.words.len() <= 2,
            _ => false,
        }
    }

    /// Whether MySQL commits before and after it, whatever transaction is open.
    pub fn commits_by_itself(&self) -> bool {
        const WORDS: [&str; 16] = [
            "create",
            "alter",
            "drop",
            "truncate",
            "rename",
            "grant",
            "revoke",
            "analyze",
            "optimize",
            "repair",
            "lock",
            "unlock",
            "install",
            "uninstall",
            "flush",
            "load",
        ];
        WORDS.contains(&self.first())
    }
}

/// What stands at one place of the text.
enum Token {
    Word(String),
    /// MySQL's comment whose content is carried out.
    Hidden,
    Semicolon,
    Other,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Where the last token began.
    began: usize,
    kind: TargetKind,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Skips to behind `end`, or to the end of the text.
    fn skip_past(&mut self, from: usize, end: &str) {
        let start = (self.at + from).min(self.text.len());
        self.at = self.text[start..]
            .find(end)
            .map_or(self.text.len(), |found| start + found + end.len());
    }

    fn quoted(&mut self, quote: char, backslash: bool) {
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((index, c)) = chars.next() {
            if c == '\\' && backslash {
                chars.next();
            } else if c == quote {
                if chars.peek().is_some_and(|(_, next)| *next == quote) {
                    chars.next();
                } else {
                    self.at += index + c.len_utf8();
                    return;
                }
            }
        }
        self.at = self.text.len();
    }

    /// Block comments nest in PostgreSQL only.
    fn block_comment(&mut self) {
        if self.kind != TargetKind::Postgres {
            self.skip_past(2, "*/");
            return;
        }
        let mut depth = 0_usize;
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() {
            if bytes[self.at..].starts_with(b"/*") {
                depth += 1;
                self.at += 2;
            } else if bytes[self.at..].starts_with(b"*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else {
                self.at += 1;
            }
        }
    }

    /// `$tag$ ... $tag$`; false when the `$` here starts no such quote.
    fn dollar_quoted(&mut self) -> bool {
        let rest = self.rest();
        let Some(end) = rest[1..].find('$') else {
            return false;
        };
        let tag = &rest[..end + 2];
        let name = &tag[1..tag.len() - 1];
        if name.starts_with(|c: char| c.is_ascii_digit())
            || !name.chars().all(|c| c.is_alphanumeric() || c == '_')
        {
            return false;
        }
        self.skip_past(tag.len(), tag);
        true
    }

    fn word(&mut self) -> Token {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
            .unwrap_or(rest.len());
        self.at += end;
        let mut word = rest[..end].to_lowercase();
        // e'..' has backslash escapes in PostgreSQL
        if word == "e" && self.kind == TargetKind::Postgres && self.rest().starts_with('\'') {
            self.quoted('\'', true);
            return Token::Other;
        }
        if self.rest().trim_start().starts_with('(') {
            word.push('(');
        }
        Token::Word(word)
    }

    /// Whether `--` begins a comment here: in MySQL only with a blank behind it.
    fn is_comment(&self, rest: &str) -> bool {
        let blank = |c: char| c.is_ascii_whitespace() || c.is_ascii_control();
        rest.strip_prefix("--").is_some_and(|rest| {
            self.kind != TargetKind::Mysql || rest.chars().next().is_none_or(blank)
        })
    }

    /// The next token; comments and blanks are skipped.
    fn next(&mut self) -> Option<Token> {
        let mysql = self.kind == TargetKind::Mysql;
        loop {
            let rest = self.rest();
            let first = rest.chars().next()?;
            if first.is_whitespace() {
                self.at += first.len_utf8();
            } else if self.is_comment(rest) || (mysql && first == '#') {
                self.skip_past(1, "\n");
            } else if rest.starts_with("/*!") || rest.starts_with("/*M!") {
                self.began = self.at;
                self.skip_past(2, "*/");
                return Some(Token::Hidden);
            } else if rest.starts_with("/*") {
                self.block_comment();
            } else {
                self.began = self.at;
                return Some(self.token(first));
            }
        }
    }

    fn token(&mut self, first: char) -> Token {
        let mysql = self.kind == TargetKind::Mysql;
        match first {
            ';' => {
                self.at += 1;
                return Token::Semicolon;
            }
            '\'' => self.quoted('\'', mysql),
            '"' => self.quoted('"', mysql),
            '`' => self.quoted('`', false),
            '[' if self.kind == TargetKind::Sqlite => self.skip_past(1, "]"),
            '$' if self.kind == TargetKind::Postgres && self.dollar_quoted() => {}
            c if c.is_alphanumeric() || c == '_' => return self.word(),
            c => self.at += c.len_utf8(),
        }
        Token::Other
    }
}

/// Depth of a routine's or trigger's body, inside of which `;` ends nothing.
#[derive(Default)]
struct Body {
    depth: usize,
    ending: bool,
}

impl Body {
    fn word(&mut self, words: &[String], word: &str) {
        const ROUTINES: [&str; 5] = ["trigger", "procedure", "function", "event", "package"];
        let routine = words.first().is_some_and(|first| first == "create")
            && words
                .iter()
                .take(12)
                .any(|word| ROUTINES.contains(&word.trim_end_matches('(')));
        if !routine {
            return;
        }
        let ended = std::mem::take(&mut self.ending);
        match word.trim_end_matches('(') {
            // `end if`, `end loop` and the like close blocks that are not counted
            "if" | "loop" | "while" | "repeat" if ended => self.depth += 1,
            "case" if ended => {}
            "begin" | "case" => self.depth += 1,
            "end" => {
                self.depth = self.depth.saturating_sub(1);
                self.ending = true;
            }
            _ => {}
        }
    }
}

/// The statements of a script; empty ones are left out.
pub fn split(text: &str, kind: TargetKind) -> Vec<Statement<'_>> {
    let mut lexer = Lexer {
        text,
        at: 0,
        began: 0,
        kind,
    };
    let mut statements = Vec::new();
    let mut words = Vec::new();
    let mut body = Body::default();
    let mut start: Option<usize> = None;
    let mut finish = |from: Option<usize>, to: usize, words: Vec<String>| {
        if let Some(from) = from {
            statements.push(Statement {
                text: text[from..to].trim_end(),
                line: text[..from].matches('\n').count() + 1,
                words,
            });
        }
    };
    while let Some(token) = lexer.next() {
        if matches!(token, Token::Semicolon) && body.depth == 0 {
            finish(start.take(), lexer.began, std::mem::take(&mut words));
            body = Body::default();
            continue;
        }
        start.get_or_insert(lexer.began);
        match token {
            Token::Semicolon => body.ending = false,
            Token::Word(word) => {
                body.word(&words, &word);
                words.push(word);
            }
            Token::Hidden => words.push("/*!".into()),
            Token::Other => body.ending = false,
        }
    }
    finish(start, text.len(), words);
    statements
}

/// Something that stands before an opening bracket, or may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A word, lower case.
    Word(String),
    /// Anything else as it is written: a quoted text, a sign.
    Other(&'a str),
}

/// The statement in pieces, without blanks and comments.
pub(super) fn pieces(text: &str, kind: TargetKind) -> Vec<Piece<'_>> {
    let mut lexer = Lexer {
        text,
        at: 0,
        began: 0,
        kind,
    };
    let mut pieces = Vec::new();
    while let Some(token) = lexer.next() {
        pieces.push(match token {
            Token::Word(word) => Piece::Word(word.trim_end_matches('(').to_owned()),
            _ => Piece::Other(&text[lexer.began..lexer.at]),
        });
    }
    pieces
}

/// Whether the text is one statement that only reads, in this dialect.
pub fn reads(text: &str, kind: TargetKind) -> bool {
    let statements = split(text, kind);
    let [only] = statements.as_slice() else {
        return false;
    };
    match only.first() {
        "pragma" => reading_pragma(only),
        "select" | "show" | "explain" | "describe" | "desc" | "values" | "table" | "with" => {
            !only.words.iter().any(|word| changes(word))
        }
        _ => false,
    }
}

/// Whether the text only reads whatever the dialect: runbooks are judged before targets are known.
pub fn reads_everywhere(text: &str) -> bool {
    crate::runbook::catalog::SQL
        .iter()
        .all(|kind| reads(text, *kind))
}

fn changes(word: &str) -> bool {
    // with a bracket these are plain functions: replace(..), insert(..), truncate(..)
    const WORDS: [&str; 21] = [
        "insert", "update", "delete", "merge", "replace", "into", "create", "drop", "alter",
        "truncate", "call", "grant", "revoke", "copy", "reindex", "vacuum", "refresh", "attach",
        "detach", "lock", "/*!",
    ];
    WORDS.contains(&word)
}

fn reading_pragma(statement: &Statement<'_>) -> bool {
    const WITH_ARGUMENT: [&str; 9] = [
        "table_info(",
        "table_xinfo(",
        "table_list(",
        "index_list(",
        "index_info(",
        "index_xinfo(",
        "foreign_key_list(",
        "integrity_check(",
        "quick_check(",
    ];
    const PLAIN: [&str; 19] = [
        "table_list",
        "foreign_key_check",
        "integrity_check",
        "quick_check",
        "database_list",
        "collation_list",
        "compile_options",
        "function_list",
        "user_version",
        "schema_version",
        "application_id",
        "journal_mode",
        "page_count",
        "page_size",
        "freelist_count",
        "encoding",
        "auto_vacuum",
        "foreign_keys",
        "synchronous",
    ];
    if statement.text.contains('=') {
        return false;
    }
    let words = &statement.words[1..];
    if words.iter().any(|word| word.ends_with('(')) {
        words
            .iter()
            .filter(|word| word.ends_with('('))
            .all(|word| WITH_ARGUMENT.contains(&word.as_str()))
    } else {
        words
            .last()
            .is_some_and(|word| PLAIN.contains(&word.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TargetKind::{Mysql, Postgres, Sqlite};

    fn texts(sql: &str, kind: TargetKind) -> Vec<&str> {
        split(sql, kind).into_iter().map(|s| s.text).collect()
    }

    #[test]
    fn statements_end_where_the_dialect_says() {
        assert_eq!(
            texts("select 1; -- a; b\n select ';' ;; /* ; */ x", Postgres),
            ["select 1", "select ';'", "x"]
        );
        assert_eq!(
            texts("select $a$ ; $a$; select $1", Postgres),
            ["select $a$ ; $a$", "select $1"]
        );
        assert_eq!(texts(r"select '\'; x", Postgres).len(), 2);
        assert_eq!(texts(r"select '\'; x'", Mysql).len(), 1);
        assert_eq!(texts(r"select e'\'; x'", Postgres).len(), 1);
        assert_eq!(texts("select 1 # ; \n", Mysql).len(), 1);
        assert_eq!(texts("select 1--2; x\n -- ; y", Mysql).len(), 2);
        assert_eq!(texts("select 1--2; x\n", Postgres).len(), 1);
        assert_eq!(texts("/* a /* ; */ ; */ select 1", Postgres), ["select 1"]);
        assert_eq!(
            texts(
                "create trigger t after insert on a begin update b set c = case when 1 then 2 end; \
                 delete from d; end; select 2",
                Sqlite
            )
            .len(),
            2
        );
        assert_eq!(
            texts(
                "create procedure p() begin if 1 then select 1; end if; select 2; end; select 3",
                Mysql
            )
            .len(),
            2
        );
        let cases = "create trigger t after insert on a begin select case when 1 then 2 end, \
                     case when 1 then 2 end; delete from b; end; select 2";
        assert_eq!(texts(cases, Sqlite).len(), 2);
        assert_eq!(split("\n\n  select 1", Sqlite)[0].line, 3);
        assert_eq!(texts("é; select 'ü' ; ü", Sqlite), ["é", "select 'ü'", "ü"]);
    }

    #[test]
    fn only_provable_reads_are_reads() {
        for yes in [
            "select 1",
            "-- why\n (select 1)",
            "/* x */ SELECT replace(a, 'b', 'c') from t;",
            "with x as (select 1) select * from x",
            "show tables",
            "explain select 1",
            "values (1)",
            "pragma table_info(users)",
            "pragma user_version",
            "select \"update\" from t where a = 'delete from x'",
        ] {
            assert!(reads_everywhere(yes), "{yes}");
        }
        for no in [
            "",
            "insert into t values (1)",
            "select 1; select 2",
            "select 1 into outfile '/x'",
            "select 1 /*! into outfile '/x' */",
            "with d as (delete from t returning *) select * from d",
            "select * from t for update",
            "explain analyze delete from t",
            "pragma user_version = 3",
            "pragma user_version(3)",
            "pragma journal_mode(wal)",
            "pragma wal_checkpoint",
            r"select '\'; drop table t; -- '",
            "do $$ begin end $$",
            "call p()",
        ] {
            assert!(!reads_everywhere(no), "{no}");
        }
    }

    #[test]
    fn transaction_words_are_seen_only_at_the_start() {
        let at = |sql| split(sql, Postgres)[0].controls_transaction();
        assert!(at("commit"));
        assert!(at("START TRANSACTION"));
        assert!(at("end"));
        assert!(!at("select 1 as commit"));
        assert!(!at("prepare x as select 1"));
    }
}
