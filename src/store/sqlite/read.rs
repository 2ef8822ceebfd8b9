//! What reads: rows into the store's types, and the walk along the hash chain.

use futures_util::TryStreamExt as _;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, ValueRef as _};

use super::link::Connection;
use super::proof::{compare, lost, unwitnessed};
use super::witness::Found;
use super::{Head, schema};
use crate::event::{Event, RunStatus};
use crate::store::chain::{self, Link, Row, Walk};
use crate::store::{Dispatched, Holder, InboxItem, Raw, RunRow, StoreError, Verified};

/// The events from `from` on.
pub(super) async fn load(
    link: &mut Connection,
    run: &str,
    from: u64,
) -> Result<Vec<Event>, StoreError> {
    let mut events = Vec::new();
    walk(link, run, from, |walk, at, body| {
        events.push(walk.event(at, body)?);
        Ok(())
    })
    .await?;
    Ok(events)
}

/// All events as they are kept, their chain checked.
pub(super) async fn raw(link: &mut Connection, run: &str) -> Result<Vec<Raw>, StoreError> {
    let mut rows = Vec::new();
    walk(link, run, 1, |_, at, body| {
        let body = body.to_owned();
        rows.push(Raw { at, body });
        Ok(())
    })
    .await?;
    Ok(rows)
}

/// Checks the whole chain; its end.
pub(super) async fn whole_chain(link: &mut Connection, run: &str) -> Result<Head, StoreError> {
    walk(link, run, 1, |walk, at, body| {
        walk.event(at, body).map(|_| ())
    })
    .await
}

/// Checks the whole chain and holds it against what the witness said before.
pub(super) async fn verify(
    link: &mut Connection,
    run: &str,
    found: &Found,
) -> Result<Verified, StoreError> {
    let seen = match found {
        Found::Seen { head, .. } => Some(*head),
        Found::Nothing | Found::Damaged => None,
    };
    let mut exchanged = Ok(());
    let head = walk(link, run, 1, |walk, at, body| {
        if let Some(seen) = seen.filter(|seen| seen.seq == walk.seq) {
            exchanged = compare(run, seen, walk.link);
        }
        walk.event(at, body).map(|_| ())
    });
    let head = match head.await {
        Err(StoreError::NoRun { .. }) => match seen.filter(|seen| seen.seq > 0) {
            Some(seen) => return Err(lost(run, seen.seq, 0)),
            None => {
                return Err(StoreError::NoRun {
                    run: run.to_owned(),
                });
            }
        },
        other => other?,
    };
    exchanged?;
    if let Some(seen) = seen.filter(|seen| seen.seq > head.seq) {
        return Err(lost(run, seen.seq, head.seq));
    }
    if let Some(error) = unwitnessed(run, found, head.seq) {
        return Err(error);
    }
    Ok(Verified {
        events: head.seq,
        head: chain::hex(&head.link),
        witness: seen.map(|seen| seen.seq),
    })
}

/// Goes along the journal from `from` and gives each event that holds to `take`.
async fn walk(
    link: &mut Connection,
    run: &str,
    from: u64,
    mut take: impl FnMut(&Walk<'_>, i64, &str) -> Result<(), StoreError>,
) -> Result<Head, StoreError> {
    // Read before the events, so that the journal can only be longer than it says.
    let known = head_seen(link, run).await?;
    let before = from.saturating_sub(1);
    let mut walk = Walk::behind(run, before.saturating_sub(1), chain::origin(run));
    let query = sqlx::query(schema::LOAD).bind(run).bind(int(before));
    let mut rows = query.fetch(link.get().await?);
    let mut failure = None;
    loop {
        let row = match rows.try_next().await {
            Ok(Some(row)) => row,
            Ok(None) => break,
            Err(error) => {
                failure = Some(error);
                break;
            }
        };
        let seq = whole(row.try_get_unchecked(0).unwrap_or(0));
        let at = row.try_get_unchecked(1).unwrap_or(0);
        let hash: &[u8] = row.try_get_unchecked(4).unwrap_or_default();
        if before > 0 && seq == before {
            walk = Walk::behind(run, seq, hash_of(run, seq, hash)?);
            continue;
        }
        let row = Row {
            seq,
            at,
            kind: row.try_get_unchecked(2).unwrap_or_default(),
            body: row.try_get_unchecked(3).unwrap_or_default(),
            hash,
        };
        let body = walk.next(&row)?;
        take(&walk, at, body)?;
    }
    drop(rows);
    if let Some(error) = failure {
        return Err(match link.failed(&error) {
            StoreError::Damaged { what, .. } => walk.unreadable(&what),
            other => other,
        });
    }
    walk.end(known)?;
    Ok(Head {
        seq: walk.seq,
        link: walk.link,
    })
}

/// The length that the journal had when the run's status last changed.
async fn head_seen(link: &mut Connection, run: &str) -> Result<u64, StoreError> {
    let query = sqlx::query("SELECT head FROM run WHERE id = ?1").bind(run);
    let row = query.fetch_optional(link.get().await?).await;
    let head = row.and_then(|row| row.map(|row| row.try_get(0)).transpose());
    match head.map_err(|error| link.failed(&error))? {
        Some(head) => Ok(whole(head)),
        None => Err(StoreError::NoRun {
            run: run.to_owned(),
        }),
    }
}

/// Effects that are open, by seq.
pub(super) async fn open_effects(
    link: &mut Connection,
    run: &str,
) -> Result<Vec<Dispatched>, StoreError> {
    head_seen(link, run).await?;
    let query = sqlx::query(schema::EFFECTS).bind(run);
    all(link, query, |row| {
        Ok(Dispatched {
            key: row.try_get(0)?,
            seq: whole(row.try_get(1)?),
        })
    })
    .await
}

/// Items that wait, oldest first.
pub(super) async fn inbox(link: &mut Connection, run: &str) -> Result<Vec<InboxItem>, StoreError> {
    head_seen(link, run).await?;
    let query = sqlx::query(schema::INBOX).bind(run);
    all(link, query, |row| {
        let body: &str = row.try_get(3)?;
        Ok(InboxItem {
            id: whole(row.try_get(0)?),
            at: row.try_get(1)?,
            from: row.try_get(2)?,
            body: serde_json::from_str::<Value>(body).map_err(|e| sqlx::Error::Decode(e.into()))?,
        })
    })
    .await
}

/// Runs in short, newest first; one of them if `run` is given.
pub(super) async fn rows(
    link: &mut Connection,
    run: Option<&str>,
) -> Result<Vec<RunRow>, StoreError> {
    let query = sqlx::query(schema::RUNS).bind(run);
    all(link, query, |row| {
        Ok(RunRow {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            created_at: row.try_get("created")?,
            status: status(row)?,
            updated_at: row.try_get("updated")?,
            events: whole(row.try_get("events")?),
            holder: holder(row)?,
            live: false,
        })
    })
    .await
}

/// Ids of the runs, newest first.
pub(super) async fn names(link: &mut Connection) -> Result<Vec<String>, StoreError> {
    all(link, sqlx::query(schema::NAMES), |row| row.try_get(0)).await
}

/// Where a run stands and who holds it, without a look at its journal.
pub(super) async fn standing(
    link: &mut Connection,
    run: &str,
) -> Result<Option<(RunStatus, Option<Holder>)>, StoreError> {
    let query = sqlx::query(schema::STANDING).bind(run);
    let found = all(link, query, |row| Ok((status(row)?, holder(row)?))).await?;
    Ok(found.into_iter().next())
}

fn status(row: &SqliteRow) -> Result<RunStatus, sqlx::Error> {
    let status = Value::String(row.try_get("status")?);
    serde_json::from_value(status).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// The number that `changed` compares.
pub(super) async fn length(link: &mut Connection, run: &str) -> Result<u64, StoreError> {
    let query = sqlx::query(schema::LENGTH).bind(run);
    let found = all(link, query, |row| row.try_get(0)).await?;
    let missing = || StoreError::NoRun {
        run: run.to_owned(),
    };
    found.first().copied().map(whole).ok_or_else(missing)
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

async fn all<T>(
    link: &mut Connection,
    query: Query<'_>,
    take: impl Fn(&SqliteRow) -> Result<T, sqlx::Error>,
) -> Result<Vec<T>, StoreError> {
    let rows = query.fetch_all(link.get().await?).await;
    let found = rows.and_then(|rows| rows.iter().map(take).collect());
    found.map_err(|error| link.failed(&error))
}

/// Who holds the run of this row.
pub(super) fn holder(row: &SqliteRow) -> Result<Option<Holder>, sqlx::Error> {
    if row.try_get_raw("pid")?.is_null() {
        return Ok(None);
    }
    Ok(Some(Holder {
        who: row.try_get("who")?,
        host: row.try_get("host")?,
        pid: u32::try_from(row.try_get::<i64, _>("pid")?).unwrap_or(0),
        started: whole(row.try_get("started")?),
    }))
}

/// A stored hash as a link.
pub(super) fn hash_of(run: &str, seq: u64, hash: &[u8]) -> Result<Link, StoreError> {
    hash.try_into().map_err(|_| StoreError::Corrupt {
        run: run.to_owned(),
        seq,
        what: format!("its hash has {} bytes, not 32", hash.len()),
    })
}

/// A status as it is stored: its name in events.
pub(super) fn status_text(status: RunStatus) -> String {
    match serde_json::to_value(status) {
        Ok(Value::String(name)) => name,
        other => unreachable!("a status is a plain name: {other:?}"),
    }
}

/// SQLite's integers are signed; ours count from 0 and stay far below the limit.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The way back of [`int`].
pub(super) fn whole(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
