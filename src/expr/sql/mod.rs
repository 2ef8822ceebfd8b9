//! What is dangerous in a SQL script, told from its text: [`findings`], for `sql_lint` of a step.
//!
//! It errs on the side of telling: what cannot be told from the text alone (whether a new type needs
//! the table to be rewritten) counts as dangerous. What does not look like SQL at all is a mistake and
//! never clean. Must not: panic on any text, or show values of the script.

mod lex;
mod rules;

use self::lex::{Tok, Token, tokens};

pub use self::lex::Dialect;
pub use self::rules::Rule;

/// Most findings that are told.
const MOST: usize = 20;

/// Words that begin a statement, in any of the dialects.
const BEGINNINGS: &[&str] = &[
    "abort",
    "alter",
    "analyze",
    "attach",
    "begin",
    "call",
    "checkpoint",
    "close",
    "cluster",
    "comment",
    "commit",
    "copy",
    "create",
    "deallocate",
    "declare",
    "delete",
    "desc",
    "describe",
    "detach",
    "discard",
    "do",
    "drop",
    "end",
    "execute",
    "explain",
    "fetch",
    "flush",
    "grant",
    "import",
    "insert",
    "listen",
    "load",
    "lock",
    "merge",
    "move",
    "notify",
    "optimize",
    "pragma",
    "prepare",
    "reassign",
    "refresh",
    "reindex",
    "release",
    "rename",
    "replace",
    "reset",
    "revoke",
    "rollback",
    "savepoint",
    "security",
    "select",
    "set",
    "show",
    "start",
    "table",
    "truncate",
    "unlisten",
    "unlock",
    "update",
    "use",
    "vacuum",
    "values",
    "with",
];

impl Dialect {
    /// By its name in a runbook.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "postgres" => Some(Self::Postgres),
            "mysql" => Some(Self::Mysql),
            "sqlite" => Some(Self::Sqlite),
            _ => None,
        }
    }
}

/// What the rules find in a script, a line each, such as `line 3: drop table`; at most 20.
///
/// # Errors
/// Why the text cannot be judged: it has no statement, or is not SQL.
pub fn findings(text: &str, dialect: Dialect, rules: &[Rule]) -> Result<Vec<String>, String> {
    let all = tokens(text, dialect, 1)?;
    let statements: Vec<&[Token<'_>]> = all
        .split(|token| token.is(';'))
        .filter(|statement| !statement.is_empty())
        .collect();
    if statements.is_empty() {
        return Err("there is no statement in it".into());
    }
    let mut found = Vec::new();
    for statement in statements {
        let first = statement.iter().find(|token| !token.is('('));
        let known = first
            .and_then(Token::word)
            .is_some_and(|word| BEGINNINGS.contains(&word));
        if !known {
            let line = statement[0].line;
            return Err(format!("line {line} does not begin a statement of SQL"));
        }
        // a program of the client, which may run anything; `\N` is MySQL's null
        let program = statement.windows(2).find(|two| {
            two[0].is('\\') && !(dialect == Dialect::Mysql && two[1].word() == Some("n"))
        });
        let last = statement.last().filter(|token| token.is('\\'));
        if let Some(token) = program.map(|two| &two[0]).or(last) {
            let line = token.line;
            return Err(format!("line {line} has a backslash, which is not SQL"));
        }
        rules::judge(statement, dialect, rules, &mut found);
        // the block of a `do` is carried out at once, unlike that of a function
        if first.and_then(Token::word) == Some("do") {
            for token in statement {
                match &token.tok {
                    Tok::Text(Some(body)) => block(body, token.line, dialect, rules, &mut found)?,
                    Tok::Text(None) => found.push(unread(token.line)),
                    _ => {}
                }
            }
        }
    }
    if found.len() > MOST {
        let more = found.len() - MOST;
        found.truncate(MOST);
        found.push(format!("and {more} more"));
    }
    Ok(found)
}

/// A program in a block, which need not consist of statements of SQL alone.
fn block(
    body: &str,
    line: usize,
    dialect: Dialect,
    rules: &[Rule],
    found: &mut Vec<String>,
) -> Result<(), String> {
    let all = tokens(body, dialect, line)?;
    for statement in all.split(|token| token.is(';')) {
        rules::judge(statement, dialect, rules, found);
    }
    Ok(())
}

/// Something that is carried out and cannot be looked into.
fn unread(line: usize) -> String {
    format!("line {line}: a text is carried out that is not read here")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, dialect: Dialect) -> Vec<String> {
        findings(text, dialect, &Rule::ALL).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn a_migration_that_adds_is_clean() {
        let django = "BEGIN;\n--\n-- Add field cache_enabled; drop table x\n--\n\
            ALTER TABLE \"core_userprofile\" ADD COLUMN \"cache_enabled\" boolean DEFAULT true NOT NULL;\n\
            ALTER TABLE \"core_userprofile\" ALTER COLUMN \"cache_enabled\" DROP DEFAULT;\nCOMMIT;\n";
        for (text, dialect) in [
            (django, Dialect::Postgres),
            (
                "create table t (type text, id int references o (id) on delete cascade)",
                Dialect::Postgres,
            ),
            (
                "insert into t values ('drop table t; truncate t')",
                Dialect::Postgres,
            ),
            (
                "select $$ drop table t $$, $x$ $$ ; truncate t $x$",
                Dialect::Postgres,
            ),
            ("/* drop /* table */ t; */ select 1", Dialect::Postgres),
            ("select E'it\\'s; drop table t'", Dialect::Postgres),
            (
                "delete from t where id = 1; with a as (select 1) delete from t using a where t.id = 1",
                Dialect::Postgres,
            ),
            (
                "delete from t where lower(name) = 'a'; delete from t where date < now(); delete from t where id in (select id from u)",
                Dialect::Postgres,
            ),
            (
                "create function f() returns void language sql as $$ drop table t $$",
                Dialect::Postgres,
            ),
            (
                "alter table t add column c timestamptz default now(), alter column d set default gen_random_uuid()",
                Dialect::Postgres,
            ),
            (
                "alter table t rename column type to kind; alter table t add column type text",
                Dialect::Postgres,
            ),
            (
                "grant select, delete, truncate on t to ann; revoke delete on t from ann",
                Dialect::Postgres,
            ),
            (
                "# drop table t\nselect \"drop table t\"; -- x\nselect truncate(1.5, 1)",
                Dialect::Mysql,
            ),
            ("select 'a\\'; drop table t; --'", Dialect::Mysql),
            (
                "select [drop table t;], `truncate`, \"drop\" from t",
                Dialect::Sqlite,
            ),
        ] {
            assert_eq!(found(text, dialect), Vec::<String>::new(), "{text}");
        }
    }

    /// A script for PostgreSQL, and what is found in it.
    const DANGEROUS: &[(&str, &str)] = &[
        ("select 1;\n\ndrop table t", "line 3: drop table"),
        ("DROP INDEX CONCURRENTLY i", "line 1: drop index"),
        (
            "alter table t drop column c",
            "line 1: alter table drop column",
        ),
        ("alter table t drop c", "line 1: alter table drop"),
        (
            "alter type t drop attribute a",
            "line 1: alter type drop attribute",
        ),
        ("TRUNCATE t, u", "line 1: truncate"),
        ("delete from t", "line 1: delete without where"),
        ("delete from t where true", "line 1: delete without where"),
        (
            "delete from t where (1 = 1)",
            "line 1: delete without where",
        ),
        (
            "delete from t where exists (select 1)",
            "line 1: delete without where",
        ),
        (
            "delete from t where 1 in (1) or 'a' like 'a'",
            "line 1: delete without where",
        ),
        (
            "delete from t where now() > '2020-01-01' and 1 between 0 and 2",
            "line 1: delete without where",
        ),
        (
            "delete from t where current_date is not null",
            "line 1: delete without where",
        ),
        (
            "delete from t where date '2020-01-01' < now()::date",
            "line 1: delete without where",
        ),
        ("select 1 -- a\r; drop table t", "line 1: drop table"),
        (
            "delete from t using (select 1 from u where a = 1) x",
            "line 1: delete without where",
        ),
        (
            "with gone as (delete from t returning id) select 1 from gone where id = 1",
            "line 1: delete without where",
        ),
        (
            "explain analyze delete from t",
            "line 1: delete without where",
        ),
        (
            "alter table t alter column c type bigint",
            "line 1: alter table rewrites: another type",
        ),
        (
            "alter table t alter type set data type bigint",
            "line 1: alter table rewrites: another type",
        ),
        (
            "alter table t add column id bigserial",
            "line 1: alter table rewrites: a column computed for each row",
        ),
        (
            "alter table t add u uuid default gen_random_uuid()",
            "line 1: alter table rewrites: a column computed for each row",
        ),
        (
            "alter table t set unlogged",
            "line 1: alter table rewrites: another storage",
        ),
        ("vacuum (full, analyze) t", "line 1: vacuum full rewrites"),
        ("cluster t using i", "line 1: cluster rewrites"),
        (
            "do $$ begin\n  if true then truncate t; end if; end $$",
            "line 2: truncate",
        ),
        (
            "do 'begin drop table t; end'",
            "line 1: a text is carried out that is not read here",
        ),
        (
            "do $$ begin execute 'drop ' || x; end $$",
            "line 1: a text is carried out that is not read here",
        ),
        (
            "begin; execute p",
            "line 1: a text is carried out that is not read here",
        ),
    ];

    #[test]
    fn what_is_dangerous_is_found_with_its_line() {
        for (text, expected) in DANGEROUS.iter().copied() {
            assert_eq!(found(text, Dialect::Postgres), [expected], "{text}");
        }
    }

    #[test]
    fn other_dialects_and_fewer_rules() {
        for (text, expected) in [
            ("/*!40000 drop table t */", "line 1: drop table"),
            (
                "alter table t modify c bigint",
                "line 1: alter table rewrites: modify",
            ),
            (
                "alter table t engine = innodb",
                "line 1: alter table rewrites: engine",
            ),
            ("optimize table t", "line 1: optimize rewrites"),
            ("select 1 --1\n; drop table t", "line 2: drop table"),
            (
                "delete t from t join u on t.id = u.id",
                "line 1: delete without where",
            ),
        ] {
            assert_eq!(found(text, Dialect::Mysql), [expected], "{text}");
        }
        assert_eq!(
            found("vacuum", Dialect::Sqlite),
            ["line 1: vacuum rewrites"]
        );
        let only = findings(
            "drop table t; truncate u",
            Dialect::Postgres,
            &[Rule::Truncate],
        );
        assert_eq!(only.unwrap(), ["line 1: truncate"]);
        let many = "drop table t;\n".repeat(30);
        let many = found(&many, Dialect::Postgres);
        assert_eq!((many.len(), many[20].as_str()), (21, "and 10 more"));
    }

    #[test]
    fn what_is_not_sql_is_never_clean() {
        for (text, why) in [
            ("", "there is no statement in it"),
            (" -- nothing\n;;", "there is no statement in it"),
            (
                "CommandError: no such app",
                "line 1 does not begin a statement of SQL",
            ),
            (
                "select 1;\n\\i other.sql",
                "line 2 does not begin a statement of SQL",
            ),
            (
                "select 'drop table t' \\gexec",
                "line 1 has a backslash, which is not SQL",
            ),
            ("select 1 \\", "line 1 has a backslash, which is not SQL"),
            (
                "select 1;\nselect 'drop table t",
                "a text begins on line 2 and never ends",
            ),
            (
                "select 1; /* drop",
                "a comment begins on line 1 and never ends",
            ),
            ("do $x$ begin", "a text begins on line 1 and never ends"),
        ] {
            assert_eq!(
                findings(text, Dialect::Postgres, &Rule::ALL).unwrap_err(),
                why,
                "{text}"
            );
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        let bits = [
            "select",
            "'",
            "\"",
            "$",
            "$$",
            "$a$",
            "/*",
            "*/",
            "--",
            "#",
            "\\",
            "é",
            ";",
            "(",
            ")",
            "do",
            "drop",
            "e'",
            "`",
            "[",
            "\n",
            "alter table t",
            "default",
            "type",
            "delete from",
        ];
        for a in bits {
            for b in bits {
                for c in bits {
                    for dialect in [Dialect::Postgres, Dialect::Mysql, Dialect::Sqlite] {
                        let _ = findings(&format!("{a}{b} {c}"), dialect, &Rule::ALL);
                    }
                }
            }
        }
    }
}
