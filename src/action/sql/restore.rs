//! `sql.restore`: puts a database back to what `sql.backup` wrote.
//!
//! PostgreSQL and SQLite are put back in one transaction. SQLite is copied row by row from the
//! attached backup, which is safe while others have the file open; replacing the file is not.
//! MySQL's client runs the dump statement by statement, so a failure on the way is `unknown`.
//! Tables made since the backup go away in SQLite only; the other two drop what the dump holds.

use std::path::Path;
use std::time::Instant;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::backup::{mysql_tables, postgres_tables, sqlite_tables};
use super::client::{Endpoint, Session};
use super::conn::{Conn, Fault};
use super::tool::{Failed, MYSQL, PG_RESTORE, mysql_args, postgres_args};
use super::{files, millis, own, reading};
use crate::action::{
    Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated, params,
};
use crate::event::Outcome;
use crate::runbook::catalog::SQL;
use crate::runbook::{Spec, TargetKind};

/// Parameters of `sql.restore`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The file that `sql.backup` wrote.
    from: String,
}

/// The `sql.restore` action.
pub struct Restore;

/// What the language knows of it.
pub static SPEC: Spec = Spec {
    targets: SQL,
    short: Some("from"),
    results: &[
        ("path", "the file"),
        ("bytes", "its size"),
        ("sha256", "its digest"),
        ("tables", "how many tables were put back"),
        ("took_ms", "milliseconds"),
    ],
    ..Spec::of::<Params>("sql.restore", "put a database back from a backup")
};

#[async_trait]
impl Action for Restore {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        let name = call.target.as_ref().map_or("", |target| &target.name);
        let from = call
            .params
            .as_str()
            .or_else(|| call.params["from"].as_str());
        format!("restore `{name}` from `{}`", from.unwrap_or("?"))
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let given: Params = params(&SPEC, call)?;
        let started = Instant::now();
        let from = call.cwd.join(&given.from);
        let at = Endpoint::of(call)?;
        let (bytes, sha256) = files::digest(&from, |_| {})?;
        let tables = match at.kind {
            TargetKind::Postgres => postgres(cx, &at, &from).await?,
            TargetKind::Mysql => mysql(cx, &at, &from).await?,
            _ => sqlite(cx, call, &from).await?,
        };
        Ok(json!({
            "path": from.display().to_string(),
            "bytes": bytes,
            "sha256": sha256,
            "tables": tables,
            "took_ms": millis(started),
        }))
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let given: Params = params(&SPEC, call)?;
        let from = call.cwd.join(&given.from);
        match Endpoint::of(call)?.kind {
            TargetKind::Postgres => PG_RESTORE.is_there()?,
            TargetKind::Mysql => MYSQL.is_there()?,
            _ => {}
        }
        let made = cx.made_by_a_run(&from);
        let bytes = match made {
            true => None,
            false => Some(files::digest(&from, |_| {})?.0),
        };
        let reader = reading::Reader::open(cx, call).await?;
        let label = reader.at().label();
        reader
            .read(cx, async |session| {
                reading::query(session, "select 1 as one", &[]).await
            })
            .await?;
        let size = bytes.map_or("which the run makes".to_owned(), |bytes| {
            format!("{bytes} bytes")
        });
        let would = format!("{label} would be put back from `{}`, {size}", given.from);
        Ok(Simulated::shown(would, json!({ "from": given.from, "bytes": bytes })).into())
    }

    async fn still_running(&self, cx: &Context, call: &Call) -> Result<bool, ActionError> {
        own::running(cx, call).await
    }

    async fn end_running(&self, cx: &Context, call: &Call) -> Result<bool, ActionError> {
        own::end(cx, call).await
    }

    fn stops_itself(&self) -> bool {
        true
    }
}

async fn postgres(cx: &Context, at: &Endpoint, from: &Path) -> Result<usize, ActionError> {
    let tables = postgres_tables(cx, from).await?;
    let path = from.display().to_string();
    let mut args = postgres_args(at);
    args.extend(
        [
            "--clean",
            "--if-exists",
            "--single-transaction",
            "--exit-on-error",
        ]
        .map(str::to_owned),
    );
    args.push(path);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = PG_RESTORE
        .run(cx, Some(at), &args, None, Outcome::Unknown)
        .await;
    done.map_err(|Failed { mut error, said }| {
        // an error that the server told ends the one transaction; a lost link may hide its COMMIT
        let lost = [
            "server closed the connection",
            "could not send",
            "terminating connection",
        ];
        if said.contains("error:") && !lost.iter().any(|text| said.contains(text)) {
            error.outcome = Outcome::NotApplied;
        }
        error
    })?;
    Ok(tables)
}

async fn mysql(cx: &Context, at: &Endpoint, from: &Path) -> Result<usize, ActionError> {
    let tables = mysql_tables(from)?;
    let mut args = mysql_args(at);
    args.extend(["--batch".to_owned(), at.database.clone()]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = MYSQL
        .run(cx, Some(at), &args, Some(from), Outcome::Unknown)
        .await;
    done.map_err(|Failed { mut error, said }| {
        // these come before the first statement
        if [
            "1040", "1044", "1045", "1049", "1698", "2002", "2003", "2005",
        ]
        .iter()
        .any(|number| said.starts_with(&format!("ERROR {number} ")))
        {
            error.outcome = Outcome::NotApplied;
        }
        error
    })?;
    Ok(tables)
}

async fn sqlite(cx: &Context, call: &Call, from: &Path) -> Result<usize, ActionError> {
    let mut session = Session::open(cx, call).await?;
    let stopper = session.stopper();
    let path = from.display().to_string();
    let work = async {
        let done = copy(&mut session.conn, &path).await;
        if done.is_err() {
            // one transaction: what was not committed is gone with it
            let _ = session.conn.run("rollback").await;
        }
        done.map_err(|fault| session.explain(&fault, Outcome::NotApplied))
    };
    let tables = stopper
        .watch(cx, work)
        .await
        .map_err(|ended| ended.into_error(stopper.at(), Outcome::Unknown))?;
    session.conn.close().await;
    Ok(tables)
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn text<'a>(row: &'a Map<String, Value>, field: &str) -> &'a str {
    row.get(field).and_then(Value::as_str).unwrap_or("")
}

/// Replaces everything in `main` by what is in the file, in one transaction.
async fn copy(conn: &mut Conn, path: &str) -> Result<usize, Fault> {
    conn.rows("attach database ? as src", &[json!(path)])
        .await?;
    let tables = sqlite_tables(conn, "src").await?;
    conn.run("pragma foreign_keys = off").await?;
    conn.run("begin immediate").await?;
    let objects = "select type, name, sql from src.sqlite_schema where sql is not null \
                   and name not like 'sqlite\\_%' escape '\\'";
    let wanted = conn.rows(objects, &[]).await?.rows;
    let present = conn
        .rows(&objects.replace("src.", "main."), &[])
        .await?
        .rows;
    if let Some(object) = wanted.iter().chain(&present).find(|row| is_virtual(row)) {
        return Err(Fault::Invalid(format!(
            "`{}` is a virtual table, which cannot be copied",
            text(object, "name")
        )));
    }
    // views and triggers first, because dropping a table checks them
    for kind in ["trigger", "view", "table"] {
        for row in present.iter().filter(|row| text(row, "type") == kind) {
            conn.run(&format!("drop {kind} main.{}", quoted(text(row, "name"))))
                .await?;
        }
    }
    let of = |kind: &'static str| wanted.iter().filter(move |row| text(row, "type") == kind);
    for row in of("table") {
        conn.run(text(row, "sql")).await?;
        fill(conn, text(row, "name")).await?;
    }
    for row in of("index").chain(of("view")).chain(of("trigger")) {
        conn.run(text(row, "sql")).await?;
    }
    sequences(conn).await?;
    let version = conn.rows("pragma src.user_version", &[]).await?;
    let version = version
        .rows
        .first()
        .and_then(|row| row["user_version"].as_i64());
    conn.run(&format!(
        "pragma main.user_version = {}",
        version.unwrap_or(0)
    ))
    .await?;
    let copied = sqlite_tables(conn, "main").await?;
    if copied != tables {
        return Err(Fault::Invalid(format!(
            "{copied} of {tables} tables were copied"
        )));
    }
    conn.run("commit").await?;
    conn.run("detach database src").await?;
    Ok(tables)
}

fn is_virtual(row: &Map<String, Value>) -> bool {
    text(row, "sql")
        .to_lowercase()
        .starts_with("create virtual")
}

/// Copies the rows of one table, its generated columns left to be generated.
async fn fill(conn: &mut Conn, table: &str) -> Result<(), Fault> {
    let sql = "select name from pragma_table_xinfo(?, 'src') where hidden = 0 order by cid";
    let columns = conn.rows(sql, &[json!(table)]).await?.rows;
    let columns: Vec<String> = columns
        .iter()
        .map(|row| quoted(text(row, "name")))
        .collect();
    let columns = columns.join(", ");
    let table = quoted(table);
    conn.run(&format!(
        "insert into main.{table} ({columns}) select {columns} from src.{table}"
    ))
    .await?;
    Ok(())
}

/// Puts AUTOINCREMENT counters back.
async fn sequences(conn: &mut Conn) -> Result<(), Fault> {
    let sql = "select count(*) as n from src.sqlite_schema where name = 'sqlite_sequence'";
    let there = conn.rows(sql, &[]).await?;
    if there.rows.first().and_then(|row| row["n"].as_i64()) == Some(1) {
        conn.run("delete from main.sqlite_sequence").await?;
        conn.run("insert into main.sqlite_sequence select * from src.sqlite_sequence")
            .await?;
    }
    Ok(())
}
