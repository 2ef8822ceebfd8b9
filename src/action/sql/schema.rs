//! `sql.schema` and `sql.counts`: what the tables look like, and how many rows they have.
//!
//! Both are compared as snapshots, so their shape is stable: mappings by name, in order of the
//! names, the same for every dialect.

use std::collections::BTreeMap;
use std::time::Instant;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::catalog::{self, Shape};
use super::client::Session;
use super::conn::Fault;
use super::{millis, reading, tx};
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::event::Outcome;
use crate::runbook::Spec;
use crate::runbook::catalog::{SQL, always_reading};

/// Parameters of `sql.schema` and `sql.counts`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Only these tables, each of which must exist; all tables when left out. In PostgreSQL a
    /// table outside the current schema is written `schema.table`.
    #[serde(default)]
    tables: Option<Vec<String>>,
}

/// The `sql.schema` action.
pub struct Schema;

/// The `sql.counts` action.
pub struct Counts;

/// What the language knows of `sql.schema`.
pub static SCHEMA: Spec = Spec {
    targets: SQL,
    class: always_reading,
    results: &[
        (
            "tables",
            "by table: columns (type, nullable, default), indexes and constraints, by name",
        ),
        ("count", "how many tables"),
        ("took_ms", "milliseconds"),
    ],
    ..Spec::of::<Params>("sql.schema", "read the structure of tables")
};

/// What the language knows of `sql.counts`.
pub static COUNTS: Spec = Spec {
    targets: SQL,
    class: always_reading,
    results: &[
        ("counts", "number of rows by table, all at one moment"),
        ("total", "their sum"),
        ("took_ms", "milliseconds"),
    ],
    ..Spec::of::<Params>("sql.counts", "count the rows of tables")
};

fn described(call: &Call) -> String {
    let name = call.target.as_ref().map_or("", |target| &target.name);
    match call.params["tables"].as_array() {
        Some(tables) => {
            let tables: Vec<_> = tables.iter().filter_map(Value::as_str).collect();
            format!("of {} on `{name}`", tables.join(", "))
        }
        None => format!("of all tables on `{name}`"),
    }
}

#[async_trait]
impl Action for Schema {
    fn spec(&self) -> &'static Spec {
        &SCHEMA
    }

    fn describe(&self, call: &Call) -> String {
        format!("read the structure {}", described(call))
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let given: Params = params(&SCHEMA, call)?;
        let started = Instant::now();
        let mut session = Session::open(cx, call).await?;
        let stopper = session.stopper();
        let work = async {
            let tables = structure(&mut session, given.tables.as_deref()).await;
            tables.map_err(|fault| session.explain(&fault, Outcome::NotApplied))
        };
        let tables = stopper
            .watch(cx, work)
            .await
            .map_err(|ended| ended.into_error(stopper.at(), Outcome::NotApplied))?;
        session.done(cx);
        Ok(structured(tables, started))
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let given: Params = params(&SCHEMA, call)?;
        let started = Instant::now();
        let reader = reading::Reader::open(cx, call).await?;
        let tables = reader.read(cx, async |session| {
            structure(session, given.tables.as_deref()).await
        });
        Ok(Rehearsed::Read(structured(tables.await?, started)))
    }

    fn stops_itself(&self) -> bool {
        true
    }
}

#[async_trait]
impl Action for Counts {
    fn spec(&self) -> &'static Spec {
        &COUNTS
    }

    fn describe(&self, call: &Call) -> String {
        format!("count the rows {}", described(call))
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let given: Params = params(&COUNTS, call)?;
        let started = Instant::now();
        let mut session = Session::open(cx, call).await?;
        let stopper = session.stopper();
        let work = async {
            let counts = count(&mut session, given.tables.as_deref()).await;
            counts.map_err(|fault| session.explain(&fault, Outcome::NotApplied))
        };
        let counts = stopper
            .watch(cx, work)
            .await
            .map_err(|ended| ended.into_error(stopper.at(), Outcome::NotApplied))?;
        session.done(cx);
        Ok(counted(&counts, started))
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let given: Params = params(&COUNTS, call)?;
        let started = Instant::now();
        let reader = reading::Reader::open(cx, call).await?;
        let counts = reader.read(cx, async |session| {
            count(session, given.tables.as_deref()).await
        });
        Ok(Rehearsed::Read(counted(&counts.await?, started)))
    }

    fn stops_itself(&self) -> bool {
        true
    }
}

fn structured(tables: BTreeMap<String, Shape>, started: Instant) -> Value {
    json!({
        "count": tables.len(),
        "tables": tables.into_iter().map(|(name, table)| (name, table.shown())).collect::<Map<_, _>>(),
        "took_ms": millis(started),
    })
}

fn counted(counts: &BTreeMap<String, i64>, started: Instant) -> Value {
    json!({
        "total": counts.values().sum::<i64>(),
        "counts": counts,
        "took_ms": millis(started),
    })
}

/// What ferry itself keeps in the target; part of a structure only when asked for.
const LEDGER: &str = super::migrate::LEDGER;

/// Keeps the wanted entries, all of which must be there.
fn keep<T>(all: &mut BTreeMap<String, T>, wanted: Option<&[String]>) -> Result<(), Fault> {
    let Some(wanted) = wanted else {
        all.remove(LEDGER);
        return Ok(());
    };
    if let Some(missing) = wanted.iter().find(|name| !all.contains_key(*name)) {
        let near = all
            .keys()
            .map(|name| (strsim::jaro_winkler(name, missing), name))
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let near = near.map_or(String::new(), |(_, name)| {
            format!(", did you mean `{name}`?")
        });
        return Err(Fault::Invalid(format!(
            "table `{missing}` does not exist{near}"
        )));
    }
    all.retain(|name, _| wanted.contains(name));
    Ok(())
}

async fn structure(
    session: &mut Session,
    wanted: Option<&[String]>,
) -> Result<BTreeMap<String, Shape>, Fault> {
    tx::begin_read(session).await?;
    let mut tables = catalog::read(&mut session.conn).await?;
    keep(&mut tables, wanted)?;
    tx::end_read(session).await?;
    Ok(tables)
}

/// Row counts of the wanted tables, or of all.
async fn count(
    session: &mut Session,
    wanted: Option<&[String]>,
) -> Result<BTreeMap<String, i64>, Fault> {
    tx::begin_read(session).await?;
    let mut names = catalog::names(&mut session.conn).await?;
    keep(&mut names, wanted)?;
    let mut counts = BTreeMap::new();
    for (name, quoted) in names {
        // the name is the catalog's, quoted as an identifier
        let sql = format!("select count(*) as n from {quoted}");
        let table = session.conn.rows(&sql, &[]).await?;
        let count = table.rows.first().and_then(|row| row["n"].as_i64());
        counts.insert(name, count.unwrap_or(0));
    }
    tx::end_read(session).await?;
    Ok(counts)
}
