//! [`explain`] asks a database how it would go about statements without carrying them out; SQLite's
//! changes of the schema are tried on an empty copy of it, in memory. Every connection is a
//! [`Reader`]'s.

use serde_json::Value;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::client::Endpoint;
use super::conn::{Conn, Fault, Table};
use super::reading::{Reader, query};
use super::text::{self, Statement};
use crate::action::{ActionError, Call, ReadContext};
use crate::event::Outcome;
use crate::runbook::TargetKind;

/// Lines of a database's answer that are shown of one statement.
const MOST_LINES: usize = 12;

/// What a database says of statements that it does not carry out.
#[derive(Default)]
pub struct Explained {
    /// Lines for people.
    pub lines: Vec<String>,
    /// Whether it vouched for all of them.
    pub exact: bool,
}

/// Asks for the plan of each statement, until one says why it cannot be carried out. What stands
/// behind a statement that changes the schema is judged on a copy of the schema in memory where the
/// database is SQLite, and shown otherwise.
///
/// # Errors
/// What the database finds wrong with a statement.
pub async fn explain(
    cx: &ReadContext,
    call: &Call,
    script: &str,
    args: &[Value],
) -> Result<Explained, ActionError> {
    let kind = Endpoint::of(call)?.kind;
    let statements = text::split(script, kind);
    if kind == TargetKind::Sqlite && statements.iter().any(shapes) {
        if let Some(word) = statements.iter().find_map(leaves_memory) {
            // a connection in memory opens any file that it is told to
            let mut lines: Vec<String> = statements.iter().map(|one| flat(one.text)).collect();
            lines.push(format!(
                "(not tried on a copy: `{word}` may reach beyond it)"
            ));
            return Ok(Explained {
                lines,
                exact: false,
            });
        }
        return on_a_copy(cx, call, &statements).await;
    }
    let mut explained = Explained {
        exact: true,
        ..Explained::default()
    };
    let mut shaped = false;
    for statement in &statements {
        explained.lines.push(flat(statement.text));
        if shapes(statement) || shaped {
            // the schema that it needs is not there yet, or the database explains no such statement
            shaped = true;
            explained.exact = false;
            continue;
        }
        let Some(asked) = explain_words(statement, kind) else {
            explained.exact = false;
            continue;
        };
        let reader = Reader::open(cx, call).await?;
        let read = reader.read(cx, async |session| query(session, &asked, args).await);
        let plan = read.await.map_err(|error| {
            let message = format!("line {}: {}", statement.line, error.message);
            ActionError { message, ..error }
        })?;
        explained.lines.extend(shown(&plan));
    }
    if shaped && explained.lines.len() == statements.len() {
        explained
            .lines
            .push("(the database explains no statement that changes the schema)".into());
    }
    Ok(explained)
}

/// How to ask for a plan; `None` where there is none to be had.
fn explain_words(statement: &Statement<'_>, kind: TargetKind) -> Option<String> {
    // MySQL refuses to explain a change where it may not be made
    let plans = kind != TargetKind::Mysql || matches!(statement.first(), "select" | "values");
    let plans = plans
        && matches!(
            statement.first(),
            "select" | "insert" | "update" | "delete" | "replace" | "with" | "values" | "merge"
        );
    let word = match kind {
        TargetKind::Sqlite => "explain query plan",
        _ => "explain",
    };
    plans.then(|| format!("{word} {}", statement.text))
}

/// Whether it changes the schema, so that statements after it may need what is not there yet.
fn shapes(statement: &Statement<'_>) -> bool {
    matches!(
        statement.first(),
        "create" | "alter" | "drop" | "rename" | "truncate" | "grant" | "revoke" | "comment"
    )
}

/// What in it could reach beyond a database in memory: a word that opens, writes or loads files, or a
/// statement that is none of those known to stay inside.
fn leaves_memory(statement: &Statement<'_>) -> Option<String> {
    const REACHING: [&str; 5] = ["attach", "detach", "vacuum", "pragma", "load_extension"];
    const STAYING: [&str; 17] = [
        "alter",
        "analyze",
        "begin",
        "commit",
        "create",
        "delete",
        "drop",
        "end",
        "insert",
        "reindex",
        "release",
        "replace",
        "rollback",
        "savepoint",
        "select",
        "update",
        "with",
    ];
    let words = statement
        .words
        .iter()
        .map(|word| word.trim_end_matches('('));
    let reaching = words.into_iter().find(|word| REACHING.contains(word));
    let other = (!STAYING.contains(&statement.first())).then(|| statement.first());
    reaching.or(other).map(str::to_owned)
}

/// The plan in lines.
fn shown(plan: &Table) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let wanted = |name: &str| !matches!(name, "id" | "parent" | "notused");
    let row = |row: &serde_json::Map<String, Value>| {
        let fields = row
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(_, value)| text(value));
        let line = fields
            .filter(|field| !field.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        format!("  {line}")
    };
    let mut lines: Vec<String> = plan.rows.iter().take(MOST_LINES).map(row).collect();
    if plan.rows.len() > MOST_LINES {
        lines.push(format!("  ({} more lines)", plan.rows.len() - MOST_LINES));
    }
    lines
}

/// A statement on one line.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Carries the statements out on an empty copy of the schema, which is in memory alone. Rows are not
/// there: what only they would break, such as a value that stands twice, is not found.
async fn on_a_copy(
    cx: &ReadContext,
    call: &Call,
    statements: &[Statement<'_>],
) -> Result<Explained, ActionError> {
    let reader = Reader::open(cx, call).await?;
    let at = reader.at().label();
    let sql = "select sql from sqlite_master where sql is not null and name not like 'sqlite_%' \
               order by case type when 'table' then 0 when 'view' then 1 else 2 end, rowid";
    let schema = reader
        .read(cx, async |session| query(session, sql, &[]).await)
        .await?;
    let wrong = |line: usize, fault: &Fault| {
        ActionError::failed(Outcome::NotApplied, format!("{at}: line {line}: {fault}"))
    };
    let copy = SqliteConnectOptions::new()
        .in_memory(true)
        .foreign_keys(false)
        .connect()
        .await;
    let mut copy = Conn::Sqlite(copy.map_err(|error| wrong(0, &error.into()))?);
    for row in &schema.rows {
        let sql = row["sql"].as_str().unwrap_or_default();
        let told = text::split(sql, TargetKind::Sqlite);
        let creates = matches!(told.as_slice(), [only] if only.first() == "create");
        if !creates || copy.run(sql).await.is_err() {
            // a virtual table of an extension, say: nothing is known then
            let lines = statements
                .iter()
                .map(|statement| flat(statement.text))
                .collect();
            return Ok(Explained {
                lines,
                exact: false,
            });
        }
    }
    let mut explained = Explained {
        exact: statements.iter().all(shapes),
        ..Explained::default()
    };
    for statement in statements {
        let ran = copy.run(statement.text).await;
        ran.map_err(|fault| wrong(statement.line, &fault))?;
        explained.lines.push(flat(statement.text));
    }
    explained
        .lines
        .push("(carried out on an empty copy of the schema, in memory)".into());
    copy.close().await;
    Ok(explained)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_beyond_memory_is_not_tried() {
        let word = |sql: &str| {
            let statements = text::split(sql, TargetKind::Sqlite);
            statements.iter().find_map(leaves_memory)
        };
        for (sql, found) in [
            (
                "create table a (b); attach 'file:/x?mode=rw' as y",
                "attach",
            ),
            (
                "create table a (b);\n-- why\nVACUUM /* x */ INTO '/x'",
                "vacuum",
            ),
            ("create table a (b); pragma journal_mode = wal", "pragma"),
            (
                "create table a as select load_extension /**/ ('/x')",
                "load_extension",
            ),
            ("create table a (b); explain select 1", "explain"),
        ] {
            assert_eq!(word(sql).as_deref(), Some(found), "{sql}");
        }
        for sql in [
            "create table a (b default 'attach'); insert into a values ('vacuum into')",
            "alter table a add column \"pragma\" text",
        ] {
            assert_eq!(word(sql), None, "{sql}");
        }
    }
}
