//! The rules of `sql_lint`: [`judge`] holds one statement against those that are asked for.

use super::lex::{Dialect, Tok, Token};
use super::unread;

/// What is not wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    Drop,
    Truncate,
    DeleteWithoutWhere,
    RewriteTable,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Drop,
        Self::Truncate,
        Self::DeleteWithoutWhere,
        Self::RewriteTable,
    ];

    /// Its name in a runbook.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Truncate => "truncate",
            Self::DeleteWithoutWhere => "delete_without_where",
            Self::RewriteTable => "rewrite_table",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }
}

/// Words behind which a statement may begin in the middle of another one, or of a block.
const BEFORE: &[&str] = &[
    "explain", "analyze", "verbose", "begin", "then", "else", "loop", "also", "instead", "do",
];

/// Adds what the rules find in a statement.
pub fn judge(statement: &[Token<'_>], dialect: Dialect, rules: &[Rule], found: &mut Vec<String>) {
    for at in 0..statement.len() {
        let begins = match at.checked_sub(1).map(|before| &statement[before]) {
            None => true,
            Some(before) => {
                before.is('(')
                    || before.is(')')
                    || before.word().is_some_and(|word| BEFORE.contains(&word))
            }
        };
        let Some(word) = statement[at].word().filter(|_| begins) else {
            continue;
        };
        let rest = &statement[at..];
        let next = rest.get(1).and_then(Token::word).unwrap_or_default();
        let what = match word {
            "drop" => (Rule::Drop, Some(format!("drop {next}"))),
            // with a bracket it is a function of numbers
            "truncate" if !rest.get(1).is_some_and(|next| next.is('(')) => {
                (Rule::Truncate, Some("truncate".into()))
            }
            "delete" => (
                Rule::DeleteWithoutWhere,
                everything(rest, dialect).then(|| "delete without where".into()),
            ),
            "execute" => {
                found.push(unread(rest[0].line));
                continue;
            }
            "alter" => {
                let parts = [
                    (Rule::Drop, dropped(rest)),
                    (Rule::RewriteTable, rewritten(rest, dialect)),
                ];
                for (rule, what) in parts {
                    tell(rest, rules, rule, what, found);
                }
                continue;
            }
            _ => (Rule::RewriteTable, rewrites(word, rest, dialect)),
        };
        tell(rest, rules, what.0, what.1, found);
    }
}

fn tell(
    at: &[Token<'_>],
    rules: &[Rule],
    rule: Rule,
    what: Option<String>,
    found: &mut Vec<String>,
) {
    if let Some(what) = what.filter(|_| rules.contains(&rule)) {
        found.push(format!("line {}: {what}", at[0].line));
    }
}

/// The tokens of the statement that begins here: to the end of the brackets it stands in.
fn whole<'a, 't>(rest: &'a [Token<'t>]) -> &'a [Token<'t>] {
    let depth = rest[0].depth;
    let end = rest.iter().position(|token| token.depth < depth);
    &rest[..end.unwrap_or(rest.len())]
}

/// Whether a `delete` takes all rows: it has no condition, or one that always holds.
fn everything(rest: &[Token<'_>], dialect: Dialect) -> bool {
    let depth = rest[0].depth;
    let statement = whole(rest);
    let condition = statement
        .iter()
        .position(|token| token.depth == depth && token.word() == Some("where"));
    let Some(at) = condition else { return true };
    let condition = &statement[at + 1..];
    let end = condition
        .iter()
        .position(|token| token.word() == Some("returning"));
    let condition = &condition[..end.unwrap_or(condition.len())];
    // without a name of a column it is the same for each row
    !(0..condition.len()).any(|at| may_be_column(condition, at, dialect))
}

/// Words in conditions that are no columns.
const NO_COLUMNS: &[&str] = &[
    "all",
    "and",
    "any",
    "as",
    "asc",
    "between",
    "by",
    "case",
    "cast",
    "collate",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "desc",
    "distinct",
    "div",
    "else",
    "end",
    "escape",
    "except",
    "exists",
    "false",
    "from",
    "glob",
    "having",
    "ilike",
    "in",
    "intersect",
    "is",
    "isnull",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "mod",
    "not",
    "notnull",
    "null",
    "offset",
    "or",
    "order",
    "regexp",
    "rlike",
    "select",
    "session_user",
    "similar",
    "some",
    "symmetric",
    "then",
    "to",
    "true",
    "union",
    "unknown",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "values",
    "when",
    "where",
    "xor",
];

/// Whether a column may be named here: no word of the language, no function, no type.
fn may_be_column(tokens: &[Token<'_>], at: usize, dialect: Dialect) -> bool {
    let next = tokens.get(at + 1);
    let called = next.is_some_and(|next| next.is('('));
    let cast = at > 0 && tokens[at - 1].is(':');
    if called || cast {
        return false;
    }
    let Some(word) = tokens[at].word() else {
        return tokens[at].tok == Tok::Name;
    };
    // `date '2020-01-01'` is a value
    let typed = next.is_some_and(|next| matches!(next.tok, Tok::Text(_)))
        && matches!(
            word,
            "date" | "time" | "timestamp" | "timestamptz" | "interval"
        );
    let me = word == "user" && dialect == Dialect::Postgres;
    !typed && !me && !NO_COLUMNS.contains(&word)
}

/// `alter .. drop column`, but not what only takes a property from a column.
fn dropped(rest: &[Token<'_>]) -> Option<String> {
    let kind = rest.get(1).and_then(Token::word).unwrap_or_default();
    let mut words = whole(rest)
        .iter()
        .map(|token| token.word().unwrap_or_default());
    while let Some(word) = words.next() {
        if word != "drop" {
            continue;
        }
        let next = words.next().unwrap_or_default();
        if !matches!(next, "not" | "default" | "expression" | "identity") {
            let known = [
                "column",
                "constraint",
                "attribute",
                "index",
                "primary",
                "foreign",
                "partition",
                "key",
            ];
            let named = if known.contains(&next) { next } else { "" };
            return Some(format!("alter {kind} drop {named}").trim_end().to_owned());
        }
    }
    None
}

/// Why an `alter table` may have to write the whole table anew.
fn rewritten(rest: &[Token<'_>], dialect: Dialect) -> Option<String> {
    let statement = whole(rest);
    let words: Vec<&str> = statement
        .iter()
        .map(|token| token.word().unwrap_or_default())
        .collect();
    if !words.iter().take(3).any(|word| *word == "table") {
        return None;
    }
    let why = match dialect {
        Dialect::Postgres => postgres(statement, &words)?,
        Dialect::Mysql => mysql(&words)?,
        Dialect::Sqlite => words.contains(&"drop").then_some("drop")?,
    };
    Some(format!("alter table rewrites: {why}"))
}

fn postgres(statement: &[Token<'_>], words: &[&str]) -> Option<&'static str> {
    /// Defaults that are the same for all rows.
    const SAME: &[&str] = &[
        "now",
        "current_timestamp",
        "localtimestamp",
        "transaction_timestamp",
        "statement_timestamp",
    ];
    for (at, word) in words.iter().enumerate() {
        let before = at.checked_sub(1).map_or("", |before| words[before]);
        let next = words.get(at + 1).copied().unwrap_or_default();
        let call = statement.get(at + 2).is_some_and(|token| token.is('('));
        let why = match *word {
            "type" => (!matches!(
                before,
                "column" | "add" | "alter" | "to" | "rename" | "exists" | "drop"
            ))
            .then_some("another type"),
            "smallserial" | "serial" | "bigserial" | "stored" | "identity"
                if words.contains(&"add") =>
            {
                Some("a column computed for each row")
            }
            "default" if before != "set" && before != "drop" => {
                let same = SAME.contains(&next);
                let bracket = statement.get(at + 1).is_some_and(|token| token.is('('));
                (bracket || call && !same).then_some("a column computed for each row")
            }
            "set" => matches!(next, "logged" | "unlogged" | "tablespace" | "access")
                .then_some("another storage"),
            _ => None,
        };
        if why.is_some() {
            return why;
        }
    }
    None
}

fn mysql(words: &[&str]) -> Option<&'static str> {
    const REWRITING: &[&str] = &[
        "modify",
        "change",
        "convert",
        "engine",
        "row_format",
        "force",
        "order",
        "primary",
    ];
    REWRITING.iter().copied().find(|word| words.contains(word))
}

/// Other statements that write whole tables anew.
fn rewrites(word: &str, rest: &[Token<'_>], dialect: Dialect) -> Option<String> {
    let full = rest
        .iter()
        .take(8)
        .any(|token| token.word() == Some("full"));
    match (word, dialect) {
        ("vacuum", Dialect::Postgres) if full => Some("vacuum full rewrites".into()),
        ("cluster", Dialect::Postgres)
        | ("optimize", Dialect::Mysql)
        | ("vacuum", Dialect::Sqlite) => Some(format!("{word} rewrites")),
        _ => None,
    }
}
