//! What writes: one statement per call, so that a call whose caller went away is done or not done.

use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::link::broken_rule;
use super::read::{self, hash_of, int};
use super::{Head, Writer, schema};
use crate::event::{Event, RunStatus};
use crate::failpoint;
use crate::store::{Batch, Holder, Lease, NewRun, StoreError, chain, check_order};

/// How often a claim looks again when others claim at the same time.
const CLAIM_TRIES: u32 = 16;

/// A run on the way of a claim.
struct Rival {
    run: String,
    epoch: u64,
    lock: Option<String>,
    holder: Option<Holder>,
}

impl Writer {
    pub(super) async fn create(&mut self, run: &NewRun) -> Result<(), StoreError> {
        let query = sqlx::query(schema::NEW_RUN)
            .bind(&run.id)
            .bind(&run.name)
            .bind(run.at)
            .bind(read::status_text(RunStatus::default()))
            .bind(json!(run.locks).to_string());
        match query.execute(self.link.get().await?).await {
            Ok(_) => Ok(()),
            Err(error) if broken_rule(&error).is_some() => Err(StoreError::Exists {
                run: run.id.clone(),
            }),
            Err(error) => Err(self.link.failed(&error)),
        }
    }

    pub(super) async fn claim(&mut self, run: &str, me: &Holder) -> Result<Lease, StoreError> {
        for _ in 0..CLAIM_TRIES {
            let rivals = self.rivals(run).await?;
            let Some(own) = rivals.first().filter(|rival| rival.lock.is_none()) else {
                return Err(StoreError::NoRun {
                    run: run.to_owned(),
                });
            };
            if let Some(held) = rivals.iter().find_map(|rival| held(rival, me)) {
                return Err(held);
            }
            let dead: Vec<_> = rivals[1..]
                .iter()
                .map(|r| json!([r.run, r.epoch]))
                .collect();
            let query = sqlx::query(schema::GRANT)
                .bind(run)
                .bind(int(own.epoch))
                .bind(&me.who)
                .bind(&me.host)
                .bind(i64::from(me.pid))
                .bind(int(me.started))
                .bind(json!(dead).to_string());
            let done = query.execute(self.link.get().await?).await;
            let done = done.map_err(|error| self.link.failed(&error))?;
            if done.rows_affected() == 1 {
                self.heads.remove(run);
                failpoint::pass("claim.after", run);
                return Ok(Lease {
                    run: run.to_owned(),
                    epoch: own.epoch + 1,
                });
            }
        }
        Err(self.link.busy())
    }

    /// The run itself first, then held runs that share a lock with it.
    async fn rivals(&mut self, run: &str) -> Result<Vec<Rival>, StoreError> {
        let query = sqlx::query(schema::RIVALS).bind(run);
        let rows = query.fetch_all(self.link.get().await?).await;
        let rivals = rows.and_then(|rows| rows.iter().map(rival).collect());
        rivals.map_err(|error| self.link.failed(&error))
    }

    pub(super) async fn release(&mut self, lease: &Lease) -> Result<(), StoreError> {
        self.heads.remove(&lease.run);
        let query = sqlx::query(schema::RELEASE)
            .bind(&lease.run)
            .bind(int(lease.epoch));
        let done = query.execute(self.link.get().await?).await;
        let done = done.map_err(|error| self.link.failed(&error))?;
        if done.rows_affected() == 0 {
            return Err(self.fenced(lease).await?);
        }
        Ok(())
    }

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

    /// One statement, one round trip to the connection's thread, one sync.
    pub(super) async fn commit(&mut self, lease: &Lease, batch: Batch) -> Result<u64, StoreError> {
        // The head is put back only when the commit is known to be done: after a failure or a
        // caller that went away, it is read again.
        let mut head = match self.heads.remove(&lease.run) {
            Some(head) => head,
            None => self.head(&lease.run).await?,
        };
        if let Err(error) = check_order(&lease.run, head.seq, &batch.events) {
            return Err(self.fence_first(lease, error).await?);
        }
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
        let link = self.link.get().await?;
        let done = match failpoint::io("journal.write") {
            Ok(()) => query.execute(link).await,
            Err(error) => Err(sqlx::Error::Io(error)),
        };
        match done {
            Ok(_) => {
                self.heads.insert(lease.run.clone(), head);
                Ok(head.seq)
            }
            Err(error) => Err(self.not_committed(lease, batch, &error).await?),
        }
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

    async fn head(&mut self, run: &str) -> Result<Head, StoreError> {
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
        Ok(Head { seq, link })
    }

    /// A lost lease explains a batch out of order, and is what the caller must hear of.
    async fn fence_first(
        &mut self,
        lease: &Lease,
        other: StoreError,
    ) -> Result<StoreError, StoreError> {
        let rivals = self.rivals(&lease.run).await?;
        let current = rivals
            .first()
            .is_some_and(|own| own.epoch == lease.epoch && own.holder.is_some());
        match current {
            true => Ok(other),
            false => self.fenced(lease).await,
        }
    }

    /// The error of a lost lease, with who has the run now.
    async fn fenced(&mut self, lease: &Lease) -> Result<StoreError, StoreError> {
        let own = self.rivals(&lease.run).await?.into_iter().next();
        let run = lease.run.clone();
        Ok(match own.filter(|own| own.lock.is_none()) {
            None => StoreError::NoRun { run },
            Some(own) => StoreError::Fenced {
                run,
                epoch: lease.epoch,
                holder: own.holder.map(Box::new),
            },
        })
    }
}

fn rival(row: &SqliteRow) -> Result<Rival, sqlx::Error> {
    Ok(Rival {
        run: row.try_get("id")?,
        epoch: read::whole(row.try_get("epoch")?),
        lock: row.try_get("lock")?,
        holder: read::holder(row)?,
    })
}

/// Whether the rival keeps `me` from the run. A process may claim its own run anew, not a second
/// run with the same lock.
fn held(rival: &Rival, me: &Holder) -> Option<StoreError> {
    let holder = rival.holder.as_ref()?;
    let is_mine = rival.lock.is_none() && holder.is(me);
    if is_mine || !holder.may_be_alive(&me.host) {
        return None;
    }
    Some(StoreError::Held {
        run: rival.run.clone(),
        lock: rival.lock.clone(),
        holder: Box::new(holder.clone()),
    })
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
