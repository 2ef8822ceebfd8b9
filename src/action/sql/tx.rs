//! Transactions: [`apply`] carries out statements and says exactly what is known when it fails,
//! [`begin_read`] and [`end_read`] fence reading so that it cannot change anything.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::client::Session;
use super::conn::{Conn, Fault, Table};
use super::own;
use super::text::{Statement, split};
use super::words::{explain, link_lost};
use crate::action::ActionError;
use crate::event::Outcome;
use crate::runbook::TargetKind;

/// Whether something may already have taken effect that no rollback takes back. Shared with the
/// watcher, which needs it when no answer comes.
#[derive(Default)]
pub struct Risk(AtomicBool);

impl Risk {
    fn taken(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// What is known when the work just ends without an answer.
    pub fn outcome(&self) -> Outcome {
        if self.0.load(Ordering::SeqCst) {
            Outcome::Unknown
        } else {
            Outcome::NotApplied
        }
    }
}

/// One thing to carry out.
pub struct Job<'a> {
    pub statement: Statement<'a>,
    /// Bound values.
    pub args: Vec<Value>,
    /// Whether what it returns is wanted.
    pub rows: bool,
}

impl<'a> Job<'a> {
    /// The statements of a script, without values.
    pub fn script(text: &'a str, kind: TargetKind) -> Vec<Self> {
        split(text, kind)
            .into_iter()
            .map(|statement| Self {
                statement,
                args: Vec::new(),
                rows: false,
            })
            .collect()
    }

    /// A statement of ferry's own.
    pub fn own(text: &'a str, args: Vec<Value>) -> Self {
        let statement = Statement {
            text,
            line: 1,
            words: Vec::new(),
        };
        Self {
            statement,
            args,
            rows: false,
        }
    }
}

/// The dialect's placeholder for the n-th value.
pub fn mark(kind: TargetKind, n: usize) -> String {
    match kind {
        TargetKind::Postgres => format!("${n}"),
        _ => "?".into(),
    }
}

/// Whether the whole list takes effect or none of it.
pub fn atomic(jobs: &[Job<'_>], kind: TargetKind, transaction: bool) -> bool {
    let alone = jobs.len() == 1 && !partly(&jobs[0].statement);
    if !transaction {
        return alone;
    }
    alone || kind != TargetKind::Mysql || !jobs.iter().any(|job| job.statement.commits_by_itself())
}

/// Statements of which a part may stay when they fail outside a transaction.
fn partly(statement: &Statement<'_>) -> bool {
    matches!(statement.first(), "call" | "do" | "vacuum" | "reindex")
        || statement.words.iter().any(|word| word == "concurrently")
}

/// Refuses scripts that end ferry's transaction themselves.
///
/// # Errors
/// [`ActionError::invalid`] with the line.
pub fn check(jobs: &[Job<'_>], transaction: bool) -> Result<(), ActionError> {
    if jobs.is_empty() {
        return Err(ActionError::invalid("there is no statement in it"));
    }
    let own = jobs.iter().find(|job| job.statement.controls_transaction());
    match own {
        Some(job) if transaction => Err(ActionError::invalid(format!(
            "`{}` at line {} would end the transaction that ferry opens",
            job.statement.first(),
            job.statement.line
        ))
        .hint("remove it, or set `transaction: false`")),
        _ => Ok(()),
    }
}

/// `mark` stands in front of the statement, on the same line.
async fn run(conn: &mut Conn, mark: &str, job: &Job<'_>) -> Result<Table, Fault> {
    let text = match mark {
        "" => Cow::Borrowed(job.statement.text),
        mark => Cow::Owned(format!("{mark}{}", job.statement.text)),
    };
    if job.rows || !job.args.is_empty() {
        conn.rows(&text, &job.args).await
    } else {
        let affected = conn.run(&text).await?;
        Ok(Table::changed(affected))
    }
}

/// Carries out `jobs` in order, in one transaction unless told otherwise.
///
/// # Errors
/// With the outcome of reliability contract 2.4: before COMMIT nothing took effect; a COMMIT whose
/// answer was lost is settled by asking PostgreSQL, and unknown elsewhere; what MySQL committed by
/// itself, or ran outside a transaction, makes a later failure unknown.
pub async fn apply(
    session: &mut Session,
    jobs: &[Job<'_>],
    transaction: bool,
    risk: &Risk,
) -> Result<Vec<Table>, ActionError> {
    let kind = session.at.kind;
    if session.is_fenced() {
        let message = format!("{}: nothing is changed in a rehearsal", session.at.label());
        return Err(ActionError::invalid(message));
    }
    if transaction {
        let begin = match kind {
            TargetKind::Postgres => "begin",
            // so that what follows a statement that commits by itself is in a transaction again
            TargetKind::Mysql => "set autocommit = 0",
            _ => "begin immediate",
        };
        if let Err(fault) = session.conn.run(begin).await {
            return Err(session.explain(&fault, Outcome::NotApplied));
        }
    }
    let mark = match kind {
        TargetKind::Mysql => own::mark(&session.name),
        _ => String::new(),
    };
    let mut tables = Vec::with_capacity(jobs.len());
    for (index, job) in jobs.iter().enumerate() {
        let alone =
            !transaction || (kind == TargetKind::Mysql && job.statement.commits_by_itself());
        let before = risk.outcome() == Outcome::Unknown || (alone && index > 0);
        if alone {
            risk.taken();
        }
        match run(&mut session.conn, &mark, job).await {
            Ok(table) => tables.push(table),
            Err(fault) => {
                let partly = alone && partly(&job.statement);
                let told = !link_lost(&fault) && !partly;
                let outcome = match (before, alone, told) {
                    (true, _, _) | (_, true, false) => Outcome::Unknown,
                    _ => Outcome::NotApplied,
                };
                // the session is dropped after this, which rolls back as well
                if transaction && !link_lost(&fault) {
                    let _ = session.conn.run("rollback").await;
                }
                let place = Some((job.statement.text, job.statement.line));
                return Err(explain(&session.at, &fault, outcome, place));
            }
        }
    }
    if transaction {
        commit(session, risk).await?;
    }
    Ok(tables)
}

async fn commit(session: &mut Session, risk: &Risk) -> Result<(), ActionError> {
    let mut xid = None;
    if session.at.kind == TargetKind::Postgres {
        let sql = "select txid_current_if_assigned() as id";
        match session.conn.rows(sql, &[]).await {
            Ok(table) => xid = table.rows.first().and_then(|row| row["id"].as_i64()),
            Err(fault) => return Err(session.explain(&fault, risk.outcome())),
        }
    }
    let before = risk.outcome();
    risk.taken();
    let Err(fault) = session.conn.run("commit").await else {
        return Ok(());
    };
    if !link_lost(&fault) {
        let _ = session.conn.run("rollback").await;
        let deadlock = matches!(&fault, Fault::Sql(sqlx::Error::Database(error))
            if error.code().is_some_and(|code| code == "40001"));
        let outcome = match session.at.kind {
            TargetKind::Mysql if !deadlock => Outcome::Unknown,
            _ => before,
        };
        return Err(session.explain(&fault, outcome));
    }
    match xid {
        // nothing was written, so there is nothing to have been committed
        None if session.at.kind == TargetKind::Postgres => {
            Err(session.explain(&fault, Outcome::NotApplied))
        }
        None => Err(session.explain(&fault, Outcome::Unknown)),
        Some(xid) => match settled(session, xid).await {
            Some(true) => Ok(()),
            Some(false) => Err(session.explain(&fault, Outcome::NotApplied)),
            None => Err(session.explain(&fault, Outcome::Unknown)),
        },
    }
}

/// Asks PostgreSQL what became of a transaction whose COMMIT was not answered.
async fn settled(session: &Session, xid: i64) -> Option<bool> {
    for _ in 0..10 {
        if let Some(mut conn) = session.at.aside().await {
            let answer = conn
                .rows("select txid_status($1) as is", &[json!(xid)])
                .await;
            conn.close().await;
            match answer.ok()?.rows.first()?["is"].as_str()? {
                "committed" => return Some(true),
                "aborted" => return Some(false),
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    None
}

/// Opens a transaction in which nothing can be changed, seeing one moment of the data.
///
/// # Errors
/// The driver's.
pub async fn begin_read(session: &mut Session) -> Result<(), Fault> {
    let steps: &[&str] = match session.at.kind {
        TargetKind::Postgres => &["begin isolation level repeatable read read only"],
        TargetKind::Mysql => &["start transaction with consistent snapshot, read only"],
        _ => &["pragma query_only = on", "begin"],
    };
    for step in steps {
        session.conn.run(step).await?;
    }
    Ok(())
}

/// Ends what [`begin_read`] opened.
///
/// # Errors
/// The driver's.
pub async fn end_read(session: &mut Session) -> Result<(), Fault> {
    session.conn.run("rollback").await?;
    if session.at.kind == TargetKind::Sqlite && !session.is_fenced() {
        session.conn.run("pragma query_only = off").await?;
    }
    Ok(())
}
