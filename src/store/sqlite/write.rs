//! What writes: one statement per call, so that a call whose caller went away is done or not done.

use serde_json::{Value, json};
use sqlx::Row as _;

use super::keeper::Keeper;
use super::link::broken_rule;
use super::proof::lost;
use super::read::{self, hash_of, int};
use super::{Head, Writer, schema};
use crate::event::{Event, RunStatus};
use crate::failpoint;
use crate::store::{Batch, Lease, StoreError, chain, check_order};

impl Writer {
    pub(super) async fn send(
        &mut self,
        run: &str,
        at: i64,
        from: &str,
        body: &Value,
    ) -> Result<u64, StoreError> {
        let query = sqlx::query(schema::SEND)
            .bind(run)
            .bind(at)
            .bind(from)
            .bind(body.to_string());
        let done = query.execute(self.link.get().await?).await;
        let done = done.map_err(|error| self.link.failed(&error))?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NoRun {
                run: run.to_owned(),
            });
        }
        Ok(read::whole(done.last_insert_rowid()))
    }

    /// One statement, one round trip to the connection's thread, one sync; the witness is synced
    /// beside it, up to the event before.
    pub(super) async fn commit(&mut self, lease: &Lease, batch: Batch) -> Result<u64, StoreError> {
        // The head is put back only when the commit is known to be done: after a failure or a
        // caller that went away, it is read again.
        let known = self
            .runs
            .get_mut(&lease.run)
            .and_then(|held| held.head.take());
        let mut head = match known {
            Some(head) => head,
            None => self.head(&lease.run).await?,
        };
        self.prepare(&lease.run, head).await?;
        if let Err(error) = check_order(&lease.run, head.seq, &batch.events) {
            return Err(self.fence_first(lease, error).await?);
        }
        let before = head;
        let mut rows = Vec::with_capacity(batch.events.len());
        for event in &batch.events {
            rows.push(Row::next(&mut head, event));
        }
        let extras = Extras::of(&batch, head.seq);
        let query = match rows.as_slice() {
            [] => one(lease, None, extras),
            [row] => one(lease, Some(row), extras),
            [first, second] => two(lease, first, second, extras),
            rows => many(lease, rows, extras),
        };
        let keeper = self.runs.get_mut(&lease.run);
        let keeper = keeper.and_then(|held| held.keeper.as_mut());
        let beside = keeper.is_some_and(|keeper| keeper.keep_up(before));
        let link = self.link.get().await?;
        let done = match failpoint::io("journal.write") {
            Ok(()) => query.execute(link).await,
            Err(error) => Err(sqlx::Error::Io(error)),
        };
        if let Err(error) = done {
            return Err(self.not_committed(lease, batch, &error).await?);
        }
        if let Some(held) = self.runs.get_mut(&lease.run) {
            held.acknowledged = head.seq;
        }
        if beside {
            self.witness_at(&lease.run, before.seq).await?;
        }
        let stops = batch.status.is_some_and(RunStatus::is_over);
        if let Some(keeper) = self.keeper(&lease.run) {
            match stops {
                true => keeper.sync(head),
                false => keeper.reached(head),
            }
        }
        if stops {
            self.witness_at(&lease.run, head.seq).await?;
        }
        if let Some(held) = self.runs.get_mut(&lease.run) {
            held.head = Some(head);
        }
        Ok(head.seq)
    }

    fn keeper(&self, run: &str) -> Option<&Keeper> {
        self.runs.get(run).and_then(|held| held.keeper.as_ref())
    }

    async fn not_committed(
        &mut self,
        lease: &Lease,
        batch: Batch,
        error: &sqlx::Error,
    ) -> Result<StoreError, StoreError> {
        Ok(match broken_rule(error) {
            Some("fenced") => self.fenced(lease).await?,
            Some("consumed") => StoreError::NotInInbox {
                run: lease.run.clone(),
                ids: batch.consumed,
            },
            // An event with that seq is there: another handle with this lease was faster.
            Some(_) => StoreError::OutOfOrder {
                run: lease.run.clone(),
                expected: self.head(&lease.run).await?.seq + 1,
                found: batch.events.first().map_or(0, |event| event.seq),
            },
            None => self.link.failed(error),
        })
    }

    /// The journal's end, which must be no earlier than what was said to be written.
    pub(super) async fn head(&mut self, run: &str) -> Result<Head, StoreError> {
        let query = sqlx::query(schema::HEAD).bind(run);
        let row = query.fetch_optional(self.link.get().await?).await;
        let head = row.and_then(|row| match row {
            None => Ok((0, None)),
            Some(row) => Ok((row.try_get(0)?, Some(row.try_get::<Vec<u8>, _>(1)?))),
        });
        let (seq, hash) = head.map_err(|error| self.link.failed(&error))?;
        let seq = read::whole(seq);
        let link = match hash {
            None => chain::origin(run),
            Some(hash) => hash_of(run, seq, &hash)?,
        };
        match self.runs.get(run).map(|held| held.acknowledged) {
            Some(before) if before > seq => Err(lost(run, before, seq)),
            _ => Ok(Head { seq, link }),
        }
    }
}

/// An event as it is stored.
struct Row {
    seq: u64,
    at: i64,
    kind: String,
    body: String,
    hash: chain::Link,
}

impl Row {
    /// The event behind `head`, which moves on.
    fn next(head: &mut Head, event: &Event) -> Self {
        let body = chain::body(&event.kind);
        let hash = chain::link(&head.link, event.seq, event.at, body.as_bytes());
        *head = Head {
            seq: event.seq,
            link: hash,
        };
        Self {
            seq: event.seq,
            at: event.at,
            kind: chain::kind_name(&body),
            body,
            hash,
        }
    }
}

/// The parts of a batch beside its events; `None` touches no page.
struct Extras {
    settled: Option<String>,
    dispatched: Option<String>,
    consumed: Option<String>,
    status: Option<String>,
    head: i64,
}

impl Extras {
    fn of(batch: &Batch, head: u64) -> Self {
        let list = |is_empty: bool, list: Value| (!is_empty).then(|| list.to_string());
        let dispatched = batch.dispatched.iter().map(|d| json!([d.key, d.seq]));
        Self {
            settled: list(batch.settled.is_empty(), json!(batch.settled)),
            dispatched: list(batch.dispatched.is_empty(), dispatched.collect()),
            consumed: list(batch.consumed.is_empty(), json!(batch.consumed)),
            status: batch.status.map(read::status_text),
            head: int(head),
        }
    }
}

type Query = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn one(lease: &Lease, row: Option<&Row>, extras: Extras) -> Query {
    one_of(schema::COMMIT_ONE, lease, row, extras)
}

fn one_of(statement: &'static str, lease: &Lease, row: Option<&Row>, extras: Extras) -> Query {
    sqlx::query(statement)
        .bind(lease.run.clone())
        .bind(int(lease.epoch))
        .bind(row.map(|row| int(row.seq)))
        .bind(row.map(|row| row.at))
        .bind(row.map(|row| row.kind.clone()))
        .bind(row.map(|row| row.body.clone()))
        .bind(row.map(|row| row.hash.to_vec()))
        .bind(extras.settled)
        .bind(extras.dispatched)
        .bind(extras.consumed)
        .bind(extras.status)
        .bind(extras.head)
}

fn two(lease: &Lease, first: &Row, second: &Row, extras: Extras) -> Query {
    with_row(
        one_of(schema::COMMIT_TWO, lease, Some(first), extras),
        second,
    )
}

fn with_row(query: Query, row: &Row) -> Query {
    query
        .bind(int(row.seq))
        .bind(row.at)
        .bind(row.kind.clone())
        .bind(row.body.clone())
        .bind(row.hash.to_vec())
}

fn many(lease: &Lease, rows: &[Row], extras: Extras) -> Query {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (row.seq, row.at, &row.kind, &row.body, chain::hex(&row.hash)))
        .collect();
    let rows = serde_json::to_string(&rows).expect("numbers and texts are JSON");
    sqlx::query(schema::COMMIT_MANY)
        .bind(lease.run.clone())
        .bind(int(lease.epoch))
        .bind(rows)
        .bind(extras.settled)
        .bind(extras.dispatched)
        .bind(extras.consumed)
        .bind(extras.status)
        .bind(extras.head)
}
