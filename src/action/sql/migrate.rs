//! `sql.migrate`: applies a versioned script once, and takes it back with its counterpart.
//!
//! The ledger table is the truth about what is applied: the record is written in the script's own
//! transaction. With MySQL, whose DDL commits by itself, and with `transaction: false` the record
//! is written last, so that a failure on the way leaves it out and is `unknown`.

use std::time::Instant;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Session;
use super::conn::Fault;
use super::tx::{self, Job, Risk, mark};
use super::{catalog, explain, files, millis, own, reading};
use crate::action::{
    Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated, params,
};
use crate::event::{Cause, Outcome};
use crate::runbook::catalog::SQL;
use crate::runbook::{Spec, TargetKind};

/// The ledger table unless another is named.
pub const LEDGER: &str = "ferry_migrations";

/// Parameters of `sql.migrate`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What the migration is called in the ledger, such as `0022_cache_enabled`.
    name: String,
    /// The script that applies it, a file.
    up: String,
    /// The script that takes it back, a file; needed for `undo: auto`.
    #[serde(default)]
    down: Option<String>,
    /// Whether each script is all or nothing; true unless set.
    #[serde(default)]
    transaction: Option<bool>,
    /// The ledger table; `ferry_migrations` unless set.
    #[serde(default)]
    table: Option<String>,
}

/// The `sql.migrate` action.
pub struct Migrate;

/// What the language knows of it.
pub static SPEC: Spec = Spec {
    targets: SQL,
    undo_auto: true,
    results: &[
        ("applied", "whether the script ran now"),
        (
            "skipped",
            "whether the ledger had it already, with the same text",
        ),
        ("name", "the migration's name"),
        ("sha256", "of the script"),
        ("atomic", "whether script and record were all or nothing"),
        ("took_ms", "milliseconds"),
    ],
    ..Spec::of::<Params>(
        "sql.migrate",
        "apply a migration script once, with its undo",
    )
};

/// A call, with what it needs read and checked.
struct Migration {
    name: String,
    up: String,
    sha256: String,
    down: Option<(String, String)>,
    transaction: bool,
    table: String,
}

impl Migration {
    fn read(call: &Call) -> Result<Self, ActionError> {
        let given: Params = params(&SPEC, call)?;
        let table = given.table.unwrap_or_else(|| LEDGER.to_owned());
        let plain = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if !table.split('.').all(plain) {
            return Err(ActionError::invalid(format!(
                "`table: {table}` is not a plain name of letters, digits and `_`"
            )));
        }
        if given.name.is_empty() || given.name.len() > 255 {
            return Err(ActionError::invalid("`name` must have 1 to 255 bytes"));
        }
        let (up, sha256) = files::script(&call.cwd.join(&given.up))?;
        let down = given.down.map(|path| files::script(&call.cwd.join(path)));
        Ok(Self {
            name: given.name,
            up,
            sha256,
            down: down.transpose()?,
            transaction: given.transaction.unwrap_or(true),
            table,
        })
    }

    /// Whether the record can be in the same transaction as the script.
    fn together(&self, jobs: &[Job<'_>], kind: TargetKind) -> bool {
        self.transaction
            && (kind != TargetKind::Mysql
                || !jobs.iter().any(|job| job.statement.commits_by_itself()))
    }

    /// The SHA-256 that the ledger has for it.
    async fn recorded(
        &self,
        cx: &Context,
        session: &mut Session,
    ) -> Result<Option<String>, ActionError> {
        let stopper = session.stopper();
        let work = async {
            let found = self.look_up(session).await;
            found.map_err(|fault| session.explain(&fault, Outcome::NotApplied))
        };
        let watched = stopper.watch(cx, work).await;
        watched.map_err(|ended| ended.into_error(stopper.at(), Outcome::NotApplied))
    }

    async fn look_up(&self, session: &mut Session) -> Result<Option<String>, Fault> {
        tx::begin_read(session).await?;
        let tables = catalog::names(&mut session.conn).await?;
        let mut found = None;
        if tables.contains_key(&self.table) {
            let mark = mark(session.at.kind, 1);
            let sql = format!("select sha256 from {} where name = {mark}", self.table);
            let table = session.conn.rows(&sql, &[json!(self.name)]).await?;
            let sha256 = table.rows.first().map(|row| row["sha256"].as_str());
            found = sha256.map(|text| text.unwrap_or("").to_owned());
        }
        tx::end_read(session).await?;
        Ok(found)
    }
}

#[async_trait]
impl Action for Migrate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        let name = call.target.as_ref().map_or("", |target| &target.name);
        let text = |key: &str| call.params[key].as_str().unwrap_or("?").to_owned();
        format!("migrate `{name}`: {} from `{}`", text("name"), text("up"))
    }

    async fn capture(&self, cx: &Context, call: &Call) -> Result<Option<Value>, ActionError> {
        let migration = Migration::read(call)?;
        let mut session = Session::open(cx, call).await?;
        let recorded = migration.recorded(cx, &mut session).await?;
        session.done(cx);
        Ok(Some(json!({
            "was_applied": recorded.is_some(),
            "sha256": migration.sha256,
            "down_sha256": migration.down.map(|(_, sha256)| sha256),
        })))
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let started = Instant::now();
        let migration = Migration::read(call)?;
        let mut session = Session::open(cx, call).await?;
        let kind = session.at.kind;
        let script = Job::script(&migration.up, kind);
        tx::check(&script, migration.transaction)?;
        let recorded = migration.recorded(cx, &mut session).await?;
        let atomic = migration.together(&script, kind);
        let shown = |applied: bool| {
            json!({
                "applied": applied,
                "skipped": !applied,
                "name": migration.name,
                "sha256": migration.sha256,
                "atomic": atomic,
                "took_ms": millis(started),
            })
        };
        match recorded {
            Some(sha256) if sha256 == migration.sha256 => {
                session.done(cx);
                return Ok(shown(false));
            }
            Some(sha256) => return Err(changed(&session.at.label(), &migration, &sha256)),
            None => {}
        }
        let risk = Risk::default();
        let at = session.at.clone();
        session
            .stopper()
            .watch(cx, up(&mut session, &migration, script, &risk, cx))
            .await
            .map_err(|ended| ended.into_error(&at, risk.outcome()))?;
        session.conn.close().await;
        Ok(shown(true))
    }

    async fn restore(
        &self,
        cx: &Context,
        call: &Call,
        captured: &Value,
    ) -> Result<Value, ActionError> {
        let started = Instant::now();
        let migration = Migration::read(call)?;
        let taken_back = |undone: bool, why: &str| json!({ "undone": undone, "why": why, "name": migration.name, "took_ms": millis(started) });
        if captured["was_applied"] == json!(true) {
            return Ok(taken_back(false, "it was applied before this run"));
        }
        let mut session = Session::open(cx, call).await?;
        let recorded = migration.recorded(cx, &mut session).await?;
        let Some(sha256) = recorded else {
            session.done(cx);
            return Ok(taken_back(false, "the ledger does not have it"));
        };
        if captured["sha256"] != json!(sha256) {
            return Err(changed(&session.at.label(), &migration, &sha256));
        }
        let Some((text, down_sha256)) = &migration.down else {
            return Err(ActionError::invalid(format!(
                "migration `{}` has no `down` script",
                migration.name
            )));
        };
        if captured["down_sha256"] != json!(down_sha256) {
            return Err(ActionError::invalid(format!(
                "the `down` script of `{}` is not the one that this run started with",
                migration.name
            ))
            .hint("put it back, or take the migration back by hand"));
        }
        let script = Job::script(text, session.at.kind);
        tx::check(&script, migration.transaction)?;
        let risk = Risk::default();
        let at = session.at.clone();
        session
            .stopper()
            .watch(cx, down(&mut session, &migration, script, &risk))
            .await
            .map_err(|ended| ended.into_error(&at, risk.outcome()))?;
        session.conn.close().await;
        Ok(taken_back(true, "the down script ran"))
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let migration = Migration::read(call)?;
        let reader = reading::Reader::open(cx, call).await?;
        let kind = reader.at().kind;
        let label = reader.at().label();
        let script = Job::script(&migration.up, kind);
        tx::check(&script, migration.transaction)?;
        let recorded = reader
            .read(cx, async |session| migration.look_up(session).await)
            .await?;
        let facts = json!({ "name": migration.name, "sha256": migration.sha256, "recorded": recorded.is_some() });
        match recorded {
            Some(sha256) if sha256 == migration.sha256 => {
                let would = format!(
                    "{label} has `{}` already, and nothing would be done",
                    migration.name
                );
                return Ok(Simulated::exactly(would, facts).into());
            }
            Some(sha256) => return Err(changed(&label, &migration, &sha256)),
            None => {}
        }
        let explained = explain::explain(cx, call, &migration.up, &[]).await?;
        let back = match &migration.down {
            Some((text, _)) => format!(
                "the way back is there, {} statements",
                Job::script(text, kind).len()
            ),
            None => "there is no `down` script".to_owned(),
        };
        let would = format!(
            "{label} would get `{}`: {} statements; {back}",
            migration.name,
            script.len()
        );
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

fn changed(label: &str, migration: &Migration, recorded: &str) -> ActionError {
    let short = |sha256: &str| sha256.get(..12).unwrap_or(sha256).to_owned();
    ActionError::new(
        Cause::Invalid,
        Outcome::NotApplied,
        format!(
            "{}: migration `{}` is recorded with another script (sha256 {}, now {})",
            label,
            migration.name,
            short(recorded),
            short(&migration.sha256)
        ),
    )
    .hint("scripts do not change after they were applied: write a new one")
}

async fn up<'a>(
    session: &mut Session,
    migration: &'a Migration,
    script: Vec<Job<'a>>,
    risk: &Risk,
    cx: &Context,
) -> Result<(), ActionError> {
    let kind = session.at.kind;
    let create = format!(
        "create table if not exists {} (name varchar(255) not null primary key, \
         sha256 varchar(64) not null, applied_at varchar(40) not null, applied_by varchar(255) not null)",
        migration.table
    );
    let insert = format!(
        "insert into {} (name, sha256, applied_at, applied_by) values ({}, {}, {}, {})",
        migration.table,
        mark(kind, 1),
        mark(kind, 2),
        mark(kind, 3),
        mark(kind, 4)
    );
    let values = vec![
        json!(migration.name),
        json!(migration.sha256),
        json!(jiff::Timestamp::now().to_string()),
        json!(cx.idempotency_key.chars().take(255).collect::<String>()),
    ];
    let record = Job::own(&insert, values);
    if kind == TargetKind::Mysql {
        // by itself before anything else, because it would commit what went before
        let made = session.conn.run(&create).await;
        made.map_err(|fault| session.explain(&fault, Outcome::NotApplied))?;
    }
    if migration.together(&script, kind) {
        // the record goes first: its primary key keeps a second engine out
        let mut jobs = Vec::new();
        if kind != TargetKind::Mysql {
            jobs.push(Job::own(&create, Vec::new()));
        }
        jobs.push(record);
        jobs.extend(script);
        tx::apply(session, &jobs, true, risk).await?;
    } else {
        if kind != TargetKind::Mysql {
            let made = session.conn.run(&create).await;
            made.map_err(|fault| session.explain(&fault, Outcome::NotApplied))?;
        }
        let mut jobs = script;
        jobs.push(record);
        tx::apply(session, &jobs, migration.transaction, risk).await?;
    }
    Ok(())
}

async fn down<'a>(
    session: &mut Session,
    migration: &'a Migration,
    script: Vec<Job<'a>>,
    risk: &Risk,
) -> Result<(), ActionError> {
    let delete = format!(
        "delete from {} where name = {}",
        migration.table,
        mark(session.at.kind, 1)
    );
    let mut jobs = script;
    jobs.push(Job::own(&delete, vec![json!(migration.name)]));
    tx::apply(session, &jobs, migration.transaction, risk).await?;
    Ok(())
}
