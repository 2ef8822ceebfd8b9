//! Journal and witness held against each other, and the writer's side of the witness.
//!
//! A journal that is behind its witness lost events; one whose event is another than the witness
//! saw was exchanged. Neither is gone on with.

use std::path::Path;

use super::keeper::Keeper;
use super::read::{hash_of, int};
use super::witness::{self, Found, Witness};
use super::{Head, Held, Writer, guard::Guard, place, schema};
use crate::store::chain::{self, Link};
use crate::store::{StoreError, Unwitnessed};

impl Writer {
    /// The head of a journal that has all that its witness saw.
    pub(super) async fn checked(&mut self, run: &str) -> Result<Head, StoreError> {
        // Before the journal, so that a journal that is written meanwhile can only be further.
        let found = self.found(run)?;
        let head = self.head(run).await?;
        let Found::Seen { head: seen, .. } = found else {
            return match unwitnessed(run, &found, head.seq) {
                Some(error) if self.witnessed => Err(error),
                _ => Ok(head),
            };
        };
        let link = match seen.seq {
            0 => chain::origin(run),
            seq if seq == head.seq => head.link,
            seq if seq > head.seq => return Err(lost(run, seq, head.seq)),
            seq => self.link_at(run, seq).await?,
        };
        compare(run, seen, link)?;
        Ok(head)
    }

    fn found(&self, run: &str) -> Result<Found, StoreError> {
        witness::read(&self.dir, run).map_err(|error| unreadable(&self.dir, run, &error))
    }

    async fn link_at(&mut self, run: &str, seq: u64) -> Result<Link, StoreError> {
        let query = sqlx::query_scalar(schema::HASH).bind(run).bind(int(seq));
        let hash: Result<Option<Vec<u8>>, _> = query.fetch_optional(self.link.get().await?).await;
        let hash = hash.map_err(|error| self.link.failed(&error))?;
        hash_of(run, seq, &hash.unwrap_or_default())
    }

    /// Puts a new witness in the place of any other.
    pub(super) async fn new_witness(&self, run: &str, head: Head) -> Result<(), StoreError> {
        if !self.witnessed {
            return Ok(());
        }
        let (dir, name) = (self.dir.clone(), run.to_owned());
        let made = tokio::task::spawn_blocking(move || Witness::create(&dir, &name, head));
        let made = made.await.map_err(std::io::Error::other).flatten();
        made.map(drop)
            .map_err(|error| unreadable(&self.dir, run, &error))
    }

    /// Opens what is missing of what this handle knows of a run, after a claim, and anew after a
    /// failure: then the witness is brought up to `head`, which is durable.
    pub(super) async fn prepare(&mut self, run: &str, head: Head) -> Result<(), StoreError> {
        let held = self.runs.get(run);
        if !self.witnessed || held.is_some_and(|held| held.keeper.is_some()) {
            return Ok(());
        }
        let (dir, name) = (self.dir.clone(), run.to_owned());
        let opened = tokio::task::spawn_blocking(move || {
            let Some((mut witness, at)) = Witness::open(&dir, &name)? else {
                return Ok(None);
            };
            if at.seq < head.seq {
                witness.write(head)?;
            }
            Keeper::start(witness, head).map(Some)
        });
        let opened = opened.await.map_err(std::io::Error::other).flatten();
        let opened = opened.map_err(|error| unreadable(&self.dir, run, &error))?;
        let keeper = match opened {
            Some(keeper) => keeper,
            None if head.seq == 0 => {
                self.new_witness(run, head).await?;
                return Box::pin(self.prepare(run, head)).await;
            }
            None => return Err(missing(run, Unwitnessed::Damaged)),
        };
        let held = self.runs.entry(run.to_owned());
        held.or_insert_with(Held::unguarded).keeper = Some(keeper);
        Ok(())
    }

    /// Waits for the witness; after a failure its handle is not used again.
    pub(super) async fn witness_at(&mut self, run: &str, seq: u64) -> Result<(), StoreError> {
        let Some(held) = self.runs.get_mut(run) else {
            return Ok(());
        };
        let Some(keeper) = &mut held.keeper else {
            return Ok(());
        };
        let Err(what) = keeper.synced(seq).await else {
            return Ok(());
        };
        held.keeper = None;
        held.head = None;
        let path = witness::path(&self.dir, run);
        Err(StoreError::Io { path, what })
    }

    /// Brings the witness up to the journal's end.
    pub(super) async fn catch_up(&mut self, run: &str) -> Result<(), StoreError> {
        let known = self.runs.get(run).and_then(|held| held.head);
        let head = match known {
            Some(head) => head,
            None => self.head(run).await?,
        };
        self.prepare(run, head).await?;
        if let Some(keeper) = self.runs.get(run).and_then(|held| held.keeper.as_ref()) {
            keeper.sync(head);
        }
        self.witness_at(run, head.seq).await
    }
}

impl Held {
    /// A run that somebody else took the lease of.
    pub(super) fn unguarded() -> Self {
        Self {
            epoch: 0,
            head: None,
            acknowledged: 0,
            keeper: None,
            guard: Guard::default(),
        }
    }
}

/// Holds the link that the witness saw against that of the journal.
pub(super) fn compare(run: &str, seen: Head, link: Link) -> Result<(), StoreError> {
    if seen.link == link {
        return Ok(());
    }
    Err(StoreError::Exchanged {
        run: run.to_owned(),
        seq: seen.seq,
    })
}

/// The error of a witness that is no witness; an empty journal needs none yet.
pub(super) fn unwitnessed(run: &str, found: &Found, head: u64) -> Option<StoreError> {
    match found {
        Found::Nothing if head > 0 => Some(missing(run, Unwitnessed::Missing)),
        Found::Damaged => Some(missing(run, Unwitnessed::Damaged)),
        _ => None,
    }
}

fn missing(run: &str, why: Unwitnessed) -> StoreError {
    let run = run.to_owned();
    StoreError::Unwitnessed { run, why }
}

/// The error of a journal that is behind its witness.
pub(super) fn lost(run: &str, seen: u64, ends: u64) -> StoreError {
    let run = run.to_owned();
    StoreError::Lost { run, seen, ends }
}

/// The error of a run that the database does not have: a witness says that it had.
pub(super) fn no_run(dir: &Path, run: &str) -> Result<StoreError, StoreError> {
    Ok(match witness::seen(dir, run)? {
        Some(seen) => lost(run, seen, 0),
        None => StoreError::NoRun {
            run: run.to_owned(),
        },
    })
}

pub(super) fn unreadable(dir: &Path, run: &str, error: &std::io::Error) -> StoreError {
    place::io_error(&witness::path(dir, run), error)
}
