//! `sql.backup`: a dump that was proven readable before it is called one.
//!
//! It is written beside its place and renamed when proven, so a file of that name is always whole.

use std::path::{Path, PathBuf};
use std::time::Instant;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Endpoint, Session};
use super::conn::{Conn, Fault};
use super::files::{self, Beside};
use super::tool::{MYSQL_DUMP, PG_DUMP, PG_RESTORE, Tool, mysql_args, postgres_args};
use super::{catalog, millis, reading};
use crate::action::rehearse::writable_dir;
use crate::action::{
    Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated, params,
};
use crate::event::Outcome;
use crate::runbook::catalog::SQL;
use crate::runbook::{Spec, TargetKind};

/// Parameters of `sql.backup`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The file to write. One that is there is replaced once the new one is proven.
    to: String,
}

/// The `sql.backup` action.
pub struct Backup;

/// What the language knows of it.
pub static SPEC: Spec = Spec {
    targets: SQL,
    short: Some("to"),
    results: &[
        ("path", "the file, absolute when the working directory is"),
        ("bytes", "its size"),
        ("sha256", "its digest"),
        (
            "verified",
            "always true: read back in full, else the step fails",
        ),
        ("tables", "how many tables are in it"),
        ("took_ms", "milliseconds"),
    ],
    ..Spec::of::<Params>(
        "sql.backup",
        "dump a database to a file and prove it readable",
    )
};

#[async_trait]
impl Action for Backup {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        let name = call.target.as_ref().map_or("", |target| &target.name);
        let to = call.params.as_str().or_else(|| call.params["to"].as_str());
        format!("back up `{name}` to `{}`", to.unwrap_or("?"))
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let given: Params = params(&SPEC, call)?;
        let started = Instant::now();
        let to: PathBuf = call.cwd.join(&given.to);
        let at = Endpoint::of(call)?;
        let file = Beside::new(&to)?;
        let tables = match at.kind {
            TargetKind::Postgres => postgres(cx, &at, file.path()).await?,
            TargetKind::Mysql => mysql(cx, &at, file.path()).await?,
            _ => sqlite(cx, call, file.path()).await?,
        };
        let (bytes, sha256) = files::digest(file.path(), |_| {})?;
        file.keep()?;
        Ok(json!({
            "path": to.display().to_string(),
            "bytes": bytes,
            "sha256": sha256,
            "verified": true,
            "tables": tables,
            "took_ms": millis(started),
        }))
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let given: Params = params(&SPEC, call)?;
        let to: PathBuf = call.cwd.join(&given.to);
        let kind = Endpoint::of(call)?.kind;
        match kind {
            TargetKind::Postgres => [PG_DUMP, PG_RESTORE].iter().try_for_each(Tool::is_there)?,
            TargetKind::Mysql => MYSQL_DUMP.is_there()?,
            _ => {}
        }
        writable_dir(cx, &to)?;
        let reader = reading::Reader::open(cx, call).await?;
        let label = reader.at().label();
        let tables = reader.read(cx, async |session| {
            super::tx::begin_read(session).await?;
            let names = catalog::names(&mut session.conn).await?;
            super::tx::end_read(session).await?;
            Ok(names.len())
        });
        let tables = tables.await?;
        let would = format!(
            "{tables} tables of {label} would be dumped to {}",
            to.display()
        );
        Ok(Simulated::exactly(would, json!({ "tables": tables, "path": to })).into())
    }

    fn stops_itself(&self) -> bool {
        true
    }
}

/// Counts the tables with data in an archive that `pg_restore` reads.
///
/// # Errors
/// When it is no such archive.
pub async fn postgres_tables(cx: &Context, file: &Path) -> Result<usize, ActionError> {
    let path = file.display().to_string();
    let listed = PG_RESTORE
        .run(cx, None, &["--list", &path], None, Outcome::NotApplied)
        .await;
    let list = listed.map_err(|failed| failed.error)?;
    Ok(list
        .lines()
        .filter(|line| line.contains(" TABLE DATA "))
        .count())
}

async fn postgres(cx: &Context, at: &Endpoint, file: &Path) -> Result<usize, ActionError> {
    let path = file.display().to_string();
    let mut args = postgres_args(at);
    args.extend(["--format=custom".into(), format!("--file={path}")]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let dumped = PG_DUMP
        .run(cx, Some(at), &args, None, Outcome::NotApplied)
        .await;
    dumped.map_err(|failed| failed.error)?;
    postgres_tables(cx, file).await?;
    // the list is only the front of the archive: reading all of it decompresses every block
    let all = PG_RESTORE
        .run(
            cx,
            None,
            &["--file=/dev/null", &path],
            None,
            Outcome::NotApplied,
        )
        .await;
    all.map_err(|failed| failed.error)?;
    postgres_tables(cx, file).await
}

/// Counts the tables of a dump and demands its end mark.
///
/// # Errors
/// When the dump is cut short.
pub fn mysql_tables(file: &Path) -> Result<usize, ActionError> {
    const TABLE: &[u8] = b"\nCREATE TABLE ";
    let mut tables = 0;
    let mut seam: Vec<u8> = Vec::new();
    files::digest(file, |chunk| {
        // what may hold the start of a mark is carried over to the next chunk
        seam.extend_from_slice(chunk);
        tables += seam
            .windows(TABLE.len())
            .filter(|window| *window == TABLE)
            .count();
        let keep = seam.len().saturating_sub(TABLE.len() - 1);
        seam.drain(..keep);
    })?;
    let text = std::fs::File::open(file).and_then(|mut file| {
        use std::io::{Read, Seek, SeekFrom};
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(256)))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        Ok(String::from_utf8_lossy(&end).into_owned())
    });
    let text = text.map_err(|error| {
        ActionError::invalid(format!("cannot read `{}`: {error}", file.display()))
    })?;
    if !text
        .lines()
        .any(|line| line.starts_with("-- Dump completed"))
    {
        let text = format!("`{}` is cut short: its end mark is missing", file.display());
        return Err(ActionError::failed(Outcome::NotApplied, text));
    }
    Ok(tables)
}

async fn mysql(cx: &Context, at: &Endpoint, file: &Path) -> Result<usize, ActionError> {
    let mut args = mysql_args(at);
    args.extend(
        [
            "--single-transaction",
            "--routines",
            "--triggers",
            "--events",
            "--hex-blob",
        ]
        .map(str::to_owned),
    );
    args.push(format!("--result-file={}", file.display()));
    args.push(at.database.clone());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let dumped = MYSQL_DUMP
        .run(cx, Some(at), &args, None, Outcome::NotApplied)
        .await;
    dumped.map_err(|failed| failed.error)?;
    mysql_tables(file)
}

/// Demands that a SQLite file is whole, and counts its tables.
///
/// # Errors
/// What `integrity_check` says.
pub async fn sqlite_tables(conn: &mut Conn, schema: &'static str) -> Result<usize, Fault> {
    let (check, tables) = match schema {
        "main" => (
            "pragma main.integrity_check",
            "select count(*) as n from main.sqlite_schema where type = 'table' and name not like 'sqlite\\_%' escape '\\'",
        ),
        _ => (
            "pragma src.integrity_check",
            "select count(*) as n from src.sqlite_schema where type = 'table' and name not like 'sqlite\\_%' escape '\\'",
        ),
    };
    let report = conn.rows(check, &[]).await?;
    let said: Vec<&str> = report
        .rows
        .iter()
        .filter_map(|row| row["integrity_check"].as_str())
        .collect();
    if said != ["ok"] {
        return Err(Fault::Invalid(format!(
            "the file is damaged: {}",
            said.join("; ")
        )));
    }
    let count = conn.rows(tables, &[]).await?;
    let count = count.rows.first().and_then(|row| row["n"].as_u64());
    Ok(usize::try_from(count.unwrap_or(0)).unwrap_or(0))
}

async fn sqlite(cx: &Context, call: &Call, file: &Path) -> Result<usize, ActionError> {
    let mut session = Session::open(cx, call).await?;
    let stopper = session.stopper();
    let path = file.display().to_string();
    let work = async {
        let copied: Result<usize, Fault> = async {
            session.conn.rows("vacuum into ?", &[json!(path)]).await?;
            let there = catalog::names(&mut session.conn).await?.len();
            session
                .conn
                .rows("attach database ? as src", &[json!(path)])
                .await?;
            let tables = sqlite_tables(&mut session.conn, "src").await?;
            session.conn.run("detach database src").await?;
            if tables < there {
                let text = format!("the copy has {tables} of {there} tables");
                return Err(Fault::Invalid(text));
            }
            Ok(tables)
        }
        .await;
        copied.map_err(|fault| session.explain(&fault, Outcome::NotApplied))
    };
    let tables = stopper
        .watch(cx, work)
        .await
        .map_err(|ended| ended.into_error(stopper.at(), Outcome::NotApplied))?;
    session.conn.close().await;
    Ok(tables)
}
