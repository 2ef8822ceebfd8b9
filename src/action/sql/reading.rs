//! SQL in a rehearsal: [`Reader`] is a session in which the server itself refuses every change.
//!
//! PostgreSQL and MySQL get read-only sessions beside read-only transactions, which are always rolled
//! back; SQLite's file is opened for reading alone. No connection of a rehearsal is kept.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::client::{Endpoint, Session};
use super::conn::{Conn, Fault, Table};
use super::text::{self, Piece, Statement};
use super::{own, tx, words};
use crate::action::{ActionError, Call, ReadContext};
use crate::event::{Cause, Outcome};
use crate::runbook::TargetKind;

/// Longest wait for a connection, and for a server to take the session's settings.
const CONNECT: Duration = Duration::from_secs(10);

/// A session that can only read.
pub struct Reader(Session);

impl Reader {
    /// Connects to the call's target.
    ///
    /// # Errors
    /// Why there is no connection, or why the server does not fence it.
    pub async fn open(cx: &ReadContext, call: &Call) -> Result<Self, ActionError> {
        let at = Arc::new(Endpoint::of(call)?);
        let limit = cx.time_left(CONNECT);
        let conn = match at.kind {
            TargetKind::Sqlite => Conn::Sqlite(sqlite(&at, limit).await?),
            _ => at.connect(limit).await?,
        };
        let name = own::session_name(&format!("ferry:rehearsal:{}", cx.step));
        let mut session = Session::fenced(conn, at.clone(), name);
        let fenced = fence(&mut session, cx.time_left(Duration::from_secs(3_600)));
        match tokio::time::timeout(limit, fenced).await {
            Ok(Ok(())) => Ok(Self(session)),
            Ok(Err(fault)) => Err(words::explain(&at, &fault, Outcome::NotApplied, None)),
            Err(_) => Err(ActionError::unreachable(format!(
                "{}: connected, but no answer within {}",
                at.label(),
                crate::runbook::units::human(limit)
            ))),
        }
    }

    /// Where it is.
    pub fn at(&self) -> &Endpoint {
        &self.0.at
    }

    /// Runs `work` on the session for at most as long as the step may take; it is closed after that.
    /// What works here opens its own read-only transaction.
    ///
    /// # Errors
    /// What `work` says, and that it was not over in time.
    pub async fn read<T>(
        self,
        cx: &ReadContext,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, Fault>,
    ) -> Result<T, ActionError> {
        let Self(mut session) = self;
        let left = cx.time_left(Duration::from_secs(3_600));
        let done = tokio::time::timeout(left, work(&mut session)).await;
        let at = Arc::clone(&session.at);
        let result = match done {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(fault)) => Err(session.explain(&fault, Outcome::NotApplied)),
            Err(_) => Err(ActionError::new(
                Cause::Timeout,
                Outcome::NotApplied,
                format!("{}: not done within its timeout", at.label()),
            )),
        };
        if result.is_ok() {
            session.conn.close().await;
        }
        result
    }
}

/// The settings with which the server refuses changes of this session, and ends what takes too long.
async fn fence(session: &mut Session, left: Duration) -> Result<(), Fault> {
    let ms = left.as_millis().clamp(1, 86_400_000).to_string();
    let name = session.name.clone();
    match session.at.kind {
        TargetKind::Postgres => {
            let sql = "select set_config('application_name', $1, false), \
                       set_config('default_transaction_read_only', 'on', false) as fence, \
                       set_config('lock_timeout', '2000', false) as locks, \
                       set_config('statement_timeout', $2, false) as timeout";
            session.conn.rows(sql, &[json!(name), json!(ms)]).await?;
        }
        TargetKind::Mysql => {
            session
                .conn
                .run("set session transaction read only")
                .await?;
            let version = session.conn.rows("select version() as v", &[]).await?;
            let version = version.rows.first().and_then(|row| row["v"].as_str());
            let mariadb = version.is_some_and(|v| v.to_lowercase().contains("mariadb"));
            let limit = match mariadb {
                true => format!("set session max_statement_time = {}", left.as_secs().max(1)),
                false => format!("set session max_execution_time = {ms}"),
            };
            session.conn.run(&limit).await?;
            session
                .conn
                .run("set session lock_wait_timeout = 2")
                .await?;
        }
        _ => {
            session.conn.run("pragma query_only = on").await?;
        }
    }
    Ok(())
}

/// Opens the file for reading alone. In WAL mode a reader makes two files beside the database when
/// they are not there; then nobody has it open, and it is read as a file that does not change.
async fn sqlite(at: &Endpoint, limit: Duration) -> Result<sqlx::SqliteConnection, ActionError> {
    if !at.file.is_file() {
        return Err(
            ActionError::unreachable(format!("{}: no such file", at.label()))
                .hint("ferry never creates a database file")
                .retryable(false),
        );
    }
    let beside = |end: &str| {
        let mut name = at.file.clone().into_os_string();
        name.push(end);
        std::path::PathBuf::from(name).exists()
    };
    let still = is_wal(&at.file) && !beside("-wal");
    let options = SqliteConnectOptions::new()
        .filename(&at.file)
        .create_if_missing(false)
        .read_only(true)
        .immutable(still)
        .foreign_keys(false)
        .busy_timeout(limit.min(Duration::from_secs(5)));
    let opened = options.connect().await;
    opened.map_err(|error| words::explain(at, &error.into(), Outcome::NotApplied, None))
}

/// Whether the file's header says write-ahead logging.
fn is_wal(file: &std::path::Path) -> bool {
    use std::io::Read as _;
    let mut head = [0; 20];
    let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head[18..20] == [2, 2]
}

/// Functions without a side effect that read-only transactions would not stop. Others are not called.
const PURE: &[&str] = &[
    "abs",
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "cast",
    "ceil",
    "ceiling",
    "char_length",
    "coalesce",
    "concat",
    "concat_ws",
    "count",
    "current_database",
    "current_schema",
    "current_setting",
    "database",
    "date",
    "date_format",
    "date_part",
    "date_trunc",
    "dense_rank",
    "exists",
    "extract",
    "floor",
    "format",
    "format_type",
    "generate_series",
    "greatest",
    "group_concat",
    "if",
    "ifnull",
    "in",
    "instr",
    "json_agg",
    "json_extract",
    "json_object",
    "jsonb_agg",
    "lag",
    "lead",
    "least",
    "left",
    "length",
    "lower",
    "ltrim",
    "max",
    "md5",
    "min",
    "mod",
    "now",
    "nullif",
    "obj_description",
    "octet_length",
    "over",
    "pg_column_size",
    "pg_database_size",
    "pg_get_constraintdef",
    "pg_get_expr",
    "pg_get_indexdef",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_relation_size",
    "pg_size_pretty",
    "pg_table_size",
    "pg_total_relation_size",
    "position",
    "power",
    "rank",
    "regexp_replace",
    "replace",
    "right",
    "round",
    "row_number",
    "rtrim",
    "schema",
    "sqrt",
    "string_agg",
    "substr",
    "substring",
    "sum",
    "to_char",
    "to_date",
    "to_regclass",
    "trim",
    "trunc",
    "upper",
    "using",
    "values",
    "version",
    "as",
    "and",
    "or",
    "not",
    "from",
    "join",
    "on",
    "where",
    "select",
    "any",
    "all",
    "some",
    "by",
    "having",
    "union",
    "except",
    "intersect",
    "case",
    "when",
    "then",
    "else",
    "with",
    "filter",
    "distinct",
    "between",
    "like",
    "lateral",
    "interval",
    "numeric",
    "decimal",
    "varchar",
    "char",
    "float",
    "rows",
    "array",
    "analyze",
    "partition",
    "order",
    "limit",
    "offset",
    "materialized",
];

/// A function in the statement that may do more than read, if there is one. SQLite has none: its file
/// is open for reading alone. Names that are quoted or have a schema before them are anybody's.
pub fn unknown_function(statement: &Statement<'_>, kind: TargetKind) -> Option<String> {
    if kind == TargetKind::Sqlite {
        return None;
    }
    let pieces = text::pieces(statement.text, kind);
    let before = |at: usize, back: usize| at.checked_sub(back).map(|at| &pieces[at]);
    let is = |piece: Option<&Piece<'_>>, wanted: &str| matches!(piece, Some(Piece::Word(word)) if word == wanted);
    let brackets = (0..pieces.len()).filter(|at| pieces[*at] == Piece::Other("("));
    let unknown = |at: usize| match before(at, 1)? {
        Piece::Word(name) => {
            // `with name(a, b) as (..)` defines a name, here and nowhere else
            let defines = is(before(at, 2), "with")
                || is(before(at, 2), "recursive") && is(before(at, 3), "with");
            // a sign that is no ASCII may be a part of the name
            let longer = matches!(before(at, 2), Some(Piece::Other(sign))
                if *sign == "." || !sign.is_ascii() && sign.chars().count() == 1);
            let known = PURE.contains(&name.as_str()) && !longer;
            (!known && !defines).then(|| name.clone())
        }
        Piece::Other(quoted) if quoted.starts_with(['"', '`']) => Some((*quoted).to_owned()),
        Piece::Other(sign) if !sign.is_ascii() && !sign.starts_with('\'') => {
            Some((*sign).to_owned())
        }
        Piece::Other(_) => None,
    };
    brackets.into_iter().find_map(unknown)
}

/// One query in a read-only transaction that is rolled back.
///
/// # Errors
/// The driver's.
pub async fn query(session: &mut Session, text: &str, args: &[Value]) -> Result<Table, Fault> {
    tx::begin_read(session).await?;
    let table = session.conn.rows(text, args).await?;
    tx::end_read(session).await?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_functions_that_are_known_to_read_are_called() {
        let unknown = |sql: &str| {
            let statements = text::split(sql, TargetKind::Postgres);
            unknown_function(&statements[0], TargetKind::Postgres)
        };
        for sql in [
            "select count(*), coalesce(max(id), 0) from t where a in (1, 2) and exists (select 1)",
            "with x(a) as (select 1) select a from x",
        ] {
            assert_eq!(unknown(sql), None, "{sql}");
        }
        let mysql = "select 1--sleep(9)";
        let statements = text::split(mysql, TargetKind::Mysql);
        let found = unknown_function(&statements[0], TargetKind::Mysql);
        assert_eq!(found.as_deref(), Some("sleep"));
        for (sql, name) in [
            ("select pg_reload_conf()", "pg_reload_conf"),
            ("select 1 where dblink_exec('x') = 'y'", "dblink_exec"),
            ("select PG_TERMINATE_BACKEND (1)", "pg_terminate_backend"),
            (
                "select a.key, pg_terminate_backend(1) from a",
                "pg_terminate_backend",
            ),
            ("with f(a) as (select 1) select f(a) from f", "f"),
            (
                "select \"pg_terminate_backend\"(1)",
                "\"pg_terminate_backend\"",
            ),
            (
                "select pg_terminate_backend/* ( */(1)",
                "pg_terminate_backend",
            ),
            (
                "select pg_terminate_backend -- why\n (1)",
                "pg_terminate_backend",
            ),
            ("select ops.replace(1)", "replace"),
            ("select ops . \"replace\" (1)", "\"replace\""),
        ] {
            assert_eq!(unknown(sql).as_deref(), Some(name), "{sql}");
        }
    }
}
