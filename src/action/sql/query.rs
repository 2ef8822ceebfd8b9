//! `sql`: one query with its rows, or statements with their effect.
//!
//! What provably reads is carried out where it can do nothing else; everything else is a change,
//! in a transaction by default.

use std::time::Instant;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Session;
use super::conn::Table;
use super::text::{reads, reads_everywhere, split};
use super::tx::{self, Job, Risk};
use super::{explain, millis, own, reading, words};
use crate::action::{
    Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated, params,
};
use crate::event::Outcome;
use crate::runbook::catalog::SQL;
use crate::runbook::{Class, Spec};

/// Parameters of `sql`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// One statement that returns rows. One that provably only reads runs read-only.
    #[serde(default)]
    query: Option<String>,
    /// Statements that change something, separated by `;`.
    #[serde(default)]
    execute: Option<String>,
    /// Values for `$1`, `$2` (PostgreSQL) or `?` (MySQL, SQLite), in order.
    #[serde(default)]
    args: Vec<Value>,
    /// Whether `execute` is all or nothing; true unless set. MySQL's DDL commits by itself anyway.
    #[serde(default)]
    transaction: Option<bool>,
}

/// The `sql` action.
pub struct Sql;

/// What the language knows of it.
pub static SPEC: Spec = Spec {
    targets: SQL,
    short: Some("query"),
    program_text: &["query", "execute"],
    values_go_in: "`args: [..]`, with `$1` (PostgreSQL) or `?` (MySQL, SQLite) in the text",
    class,
    sense,
    results: &[
        ("rows", "one mapping per row, by column name (query)"),
        (
            "value",
            "the first column of the only row; null when there is no row, or more than one (query)",
        ),
        ("row_count", "how many rows came back (query)"),
        ("columns", "names of the columns in order (query)"),
        ("rows_affected", "how many rows were changed"),
        ("statements", "how many statements ran (execute)"),
        ("atomic", "whether it was all or nothing (execute)"),
        ("took_ms", "milliseconds on the server and the way there"),
    ],
    ..Spec::of::<Params>("sql", "run a query, or execute statements, on a database")
};

/// Exactly one of `query` and `execute`, and not an empty one.
fn sense(written: &Value) -> Result<(), String> {
    let given = |key: &str| written.get(key).filter(|value| !value.is_null());
    let (key, text) = match (given("query"), given("execute")) {
        (Some(text), None) => ("query", text),
        (None, Some(text)) => ("execute", text),
        (Some(_), Some(_)) => return Err("both `query` and `execute`; make two steps of it".into()),
        (None, None) => return Err("nothing to do; give it `query` or `execute`".into()),
    };
    if text.as_str().is_some_and(|text| text.trim().is_empty()) {
        return Err(format!("`{key}` is empty"));
    }
    if key == "query" && given("transaction").is_some() {
        return Err("`transaction` goes with `execute`".into());
    }
    Ok(())
}

fn class(written: &Value) -> Class {
    let query = match written {
        Value::String(text) => Some(text.as_str()),
        Value::Object(fields) if fields.get("execute").is_none_or(Value::is_null) => {
            fields.get("query").and_then(Value::as_str)
        }
        _ => None,
    };
    match query {
        Some(text) if reads_everywhere(text) => Class::Reading,
        _ => Class::Changing,
    }
}

#[async_trait]
impl Action for Sql {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        let text = call
            .params
            .as_str()
            .or_else(|| call.params["query"].as_str())
            .or_else(|| call.params["execute"].as_str())
            .unwrap_or("");
        let name = call.target.as_ref().map_or("", |target| &target.name);
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let args = match call.params["args"].as_array() {
            Some(args) if !args.is_empty() => format!(" with {}", Value::Array(args.clone())),
            _ => String::new(),
        };
        format!("on `{name}`: {flat}{args}")
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let given: Params = params(&SPEC, call)?;
        let started = Instant::now();
        match (&given.query, &given.execute) {
            (Some(text), None) => {
                if given.transaction.is_some() {
                    return Err(ActionError::invalid("`transaction` goes with `execute`"));
                }
                query(cx, call, text, &given, started).await
            }
            (None, Some(text)) => execute(cx, call, text, &given, started).await,
            _ => Err(ActionError::invalid(
                "`sql` takes either `query` or `execute`",
            )),
        }
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let given: Params = params(&SPEC, call)?;
        let started = Instant::now();
        let kind = super::client::Endpoint::of(call)?.kind;
        let (text, several) = match (&given.query, &given.execute) {
            (Some(text), None) => (text, false),
            (None, Some(text)) => (text, true),
            _ => {
                return Err(ActionError::invalid(
                    "`sql` takes either `query` or `execute`",
                ));
            }
        };
        let statements = split(text, kind);
        if statements.is_empty() || (!several && statements.len() > 1) {
            return Err(ActionError::invalid("`query` takes exactly one statement"));
        }
        if !several && reads(text, kind) {
            if let Some(name) = reading::unknown_function(&statements[0], kind) {
                let why = format!("it calls `{name}()`, which is not known to only read");
                return Ok(Rehearsed::NotVerified(why));
            }
            let reader = reading::Reader::open(cx, call).await?;
            let table = reader.read(cx, async |session| {
                reading::query(session, statements[0].text, &given.args).await
            });
            return Ok(Rehearsed::Read(shown(&table.await?, started)));
        }
        tx::check(&Job::script(text, kind), given.transaction.unwrap_or(true))?;
        let explained = explain::explain(cx, call, text, &given.args).await?;
        let would = format!("{} would be carried out", self.describe(call));
        let facts = json!({ "statements": statements.len(), "explained": explained.exact });
        let simulated = Simulated::shown(would, facts).detail(explained.lines);
        Ok(Simulated {
            exact: explained.exact,
            ..simulated
        }
        .into())
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

async fn query(
    cx: &Context,
    call: &Call,
    text: &str,
    given: &Params,
    started: Instant,
) -> Result<Value, ActionError> {
    let mut session = Session::open(cx, call).await?;
    let kind = session.at.kind;
    let Ok([statement]) = <[_; 1]>::try_from(split(text, kind)) else {
        return Err(ActionError::invalid("`query` takes exactly one statement")
            .hint("use `execute` for several"));
    };
    let at = session.at.clone();
    let stopper = session.stopper();
    let table = if reads(text, kind) {
        let work = async {
            tx::begin_read(&mut session).await?;
            let table = session.conn.rows(statement.text, &given.args).await?;
            tx::end_read(&mut session).await?;
            Ok(table)
        };
        let explained = async {
            let place = Some((statement.text, statement.line));
            work.await
                .map_err(|fault| words::explain(&at, &fault, Outcome::NotApplied, place))
        };
        let table = stopper
            .watch(cx, explained)
            .await
            .map_err(|ended| ended.into_error(&at, Outcome::NotApplied))?;
        session.done(cx);
        table
    } else {
        let jobs = [Job {
            statement,
            args: given.args.clone(),
            rows: true,
        }];
        tx::check(&jobs, true)?;
        let risk = Risk::default();
        let work = tx::apply(&mut session, &jobs, true, &risk);
        let tables = stopper
            .watch(cx, work)
            .await
            .map_err(|ended| ended.into_error(&at, risk.outcome()))?;
        session.conn.close().await;
        tables.into_iter().next().unwrap_or_default()
    };
    Ok(shown(&table, started))
}

fn shown(table: &Table, started: Instant) -> Value {
    let value = match table.rows.as_slice() {
        [row] => table.columns.first().and_then(|name| row.get(name)),
        _ => None,
    };
    json!({
        "value": value,
        "row_count": table.rows.len(),
        "columns": table.columns,
        "rows": table.rows,
        "rows_affected": table.affected,
        "took_ms": millis(started),
    })
}

async fn execute(
    cx: &Context,
    call: &Call,
    text: &str,
    given: &Params,
    started: Instant,
) -> Result<Value, ActionError> {
    let transaction = given.transaction.unwrap_or(true);
    let kind = super::client::Endpoint::of(call)?.kind;
    let mut jobs = Job::script(text, kind);
    tx::check(&jobs, transaction)?;
    if !given.args.is_empty() {
        let [job] = jobs.as_mut_slice() else {
            return Err(ActionError::invalid("`args` go with exactly one statement")
                .hint("make one step per statement that takes values"));
        };
        job.args.clone_from(&given.args);
    }
    let mut session = Session::open(cx, call).await?;
    let at = session.at.clone();
    let risk = Risk::default();
    let tables = session
        .stopper()
        .watch(cx, tx::apply(&mut session, &jobs, transaction, &risk))
        .await
        .map_err(|ended| ended.into_error(&at, risk.outcome()))?;
    session.conn.close().await;
    Ok(json!({
        "rows_affected": tables.iter().map(|table| table.affected).sum::<u64>(),
        "statements": tables.len(),
        "atomic": tx::atomic(&jobs, kind, transaction),
        "took_ms": millis(started),
    }))
}
