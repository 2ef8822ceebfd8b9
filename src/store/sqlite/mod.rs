//! The store of one machine: an SQLite database in WAL mode, synced at every commit.
//!
//! Main type: [`SqliteStore`]. One connection writes, behind a lock; one reads beside it, opened
//! when something is read. It never keeps the journal in memory, only the head of what it writes.

mod claim;
mod examine;
mod guard;
mod keeper;
mod link;
mod place;
mod proof;
mod read;
mod schema;
mod witness;
mod write;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::{Mutex, watch};

use super::chain::{self, Link};
use super::{
    Batch, Dispatched, Holder, InboxItem, Lease, NewRun, RunRow, Store, StoreError, Verified,
};
use crate::event::Event;
use guard::Guard;
use keeper::Keeper;
use link::Connection;

pub use examine::{Examined, Liveness, Surroundings};

/// How often other processes are looked for while waiting for a change.
const POLL: Duration = Duration::from_millis(50);

/// The least time between two looks, however often this process writes.
const PAUSE: Duration = Duration::from_millis(5);

/// Journal, inbox and leases in `ferry.db` of one directory.
pub struct SqliteStore {
    dir: PathBuf,
    path: PathBuf,
    /// `None`: opened for reading only.
    writer: Option<Mutex<Writer>>,
    reader: Mutex<Connection>,
    /// Rings at every write of this process.
    bell: watch::Sender<()>,
}

/// The connection that writes, and what it knows of the journals that it writes.
struct Writer {
    dir: PathBuf,
    link: Connection,
    runs: HashMap<String, Held>,
    /// Whether journals are witnessed; only a bench leaves it out.
    witnessed: bool,
}

/// A run that this handle writes.
struct Held {
    epoch: u64,
    /// The end of its journal; `None`: to be read again.
    head: Option<Head>,
    /// The last seq that was said to be written.
    acknowledged: u64,
    /// `None`: to be opened, again after a failure.
    keeper: Option<Keeper>,
    /// The kernel's locks, held as long as this is.
    guard: Guard,
}

/// The end of a journal.
#[derive(Clone, Copy)]
struct Head {
    seq: u64,
    link: Link,
}

impl Head {
    /// That of an empty journal.
    fn origin(run: &str) -> Self {
        let link = chain::origin(run);
        Self { seq: 0, link }
    }
}

impl SqliteStore {
    /// Opens the store in `dir` to write and read, and creates it if there is none.
    ///
    /// [`StoreError::Refused`] for a directory that everybody can get at, a network file system,
    /// or a version of SQLite that loses commits; [`StoreError::Newer`] for a later format;
    /// [`StoreError::Damaged`] if the database is gone and witnesses of its journals are not.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_to_write(dir, true).await
    }

    /// As [`open`](Self::open), without witnesses: what a bench holds the other one against.
    #[doc(hidden)]
    pub async fn open_unwitnessed(dir: &Path) -> Result<Self, StoreError> {
        Self::open_to_write(dir, false).await
    }

    async fn open_to_write(dir: &Path, witnessed: bool) -> Result<Self, StoreError> {
        let (path, is_new) = place::prepare(dir)?;
        let mut link = Connection::writer(&path);
        link.get().await?;
        if is_new {
            place::sync(dir)?;
        }
        place::put_ballast(dir);
        let writer = Writer {
            dir: dir.to_owned(),
            link,
            runs: HashMap::new(),
            witnessed,
        };
        Ok(Self::new(dir, path, Some(Mutex::new(writer))))
    }

    /// Opens the store in `dir` to read, beside an engine or without one.
    /// [`StoreError::NoStore`] if there is none.
    pub async fn open_read_only(dir: &Path) -> Result<Self, StoreError> {
        let store = Self::new(dir, place::existing(dir)?, None);
        store.reader.lock().await.get().await?;
        Ok(store)
    }

    fn new(dir: &Path, path: PathBuf, writer: Option<Mutex<Writer>>) -> Self {
        Self {
            reader: Mutex::new(Connection::reader(&path)),
            dir: dir.to_owned(),
            path,
            writer,
            bell: watch::Sender::new(()),
        }
    }

    /// Closes the connections. Not needed for durability; without it the next one to open the
    /// store has a log to read.
    pub async fn close(self) -> Result<(), StoreError> {
        self.reader.into_inner().close().await?;
        match self.writer {
            Some(writer) => writer.into_inner().link.close().await,
            None => Ok(()),
        }
    }

    async fn rows(&self, run: Option<&str>) -> Result<Vec<RunRow>, StoreError> {
        let mut rows = read::rows(&mut *self.reader.lock().await, run).await?;
        for row in &mut rows {
            let holder = row.holder.as_ref();
            row.live = holder.is_some_and(|h| self.liveness(&row.id, h) != Liveness::Gone);
        }
        Ok(rows)
    }

    fn writer(&self) -> Result<&Mutex<Writer>, StoreError> {
        self.writer.as_ref().ok_or_else(|| StoreError::Refused {
            path: self.path.clone(),
            what: "it was opened for reading".into(),
            hint: "open it for writing".into(),
        })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn create(&self, run: &NewRun) -> Result<(), StoreError> {
        self.writer()?.lock().await.create(run).await
    }

    async fn begin(&self, run: &NewRun, me: &Holder) -> Result<Lease, StoreError> {
        self.writer()?.lock().await.begin(run, me).await
    }

    async fn claim(&self, run: &str, me: &Holder, takeover: bool) -> Result<Lease, StoreError> {
        self.writer()?.lock().await.claim(run, me, takeover).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.writer()?.lock().await.release(lease).await
    }

    async fn load(&self, run: &str, from: u64) -> Result<Vec<Event>, StoreError> {
        read::load(&mut *self.reader.lock().await, run, from).await
    }

    async fn commit(&self, lease: &Lease, batch: Batch) -> Result<u64, StoreError> {
        let head = self.writer()?.lock().await.commit(lease, batch).await?;
        self.bell.send_replace(());
        Ok(head)
    }

    async fn open_effects(&self, run: &str) -> Result<Vec<Dispatched>, StoreError> {
        read::open_effects(&mut *self.reader.lock().await, run).await
    }

    async fn inbox(&self, run: &str) -> Result<Vec<InboxItem>, StoreError> {
        read::inbox(&mut *self.reader.lock().await, run).await
    }

    async fn send(&self, run: &str, at: i64, from: &str, body: Value) -> Result<u64, StoreError> {
        let mut writer = self.writer()?.lock().await;
        let id = writer.send(run, at, from, &body).await?;
        self.bell.send_replace(());
        Ok(id)
    }

    async fn runs(&self) -> Result<Vec<RunRow>, StoreError> {
        self.rows(None).await
    }

    async fn find(&self, run: &str) -> Result<Option<RunRow>, StoreError> {
        Ok(self.rows(Some(run)).await?.into_iter().next())
    }

    async fn changed(&self, run: &str, since: u64, max_wait: Duration) -> Result<u64, StoreError> {
        let deadline = tokio::time::Instant::now() + max_wait;
        let mut bell = self.bell.subscribe();
        loop {
            let now = read::length(&mut *self.reader.lock().await, run).await?;
            let time = tokio::time::Instant::now();
            if now != since || time >= deadline {
                return Ok(now);
            }
            tokio::time::sleep_until(deadline.min(time + PAUSE)).await;
            let _ = tokio::time::timeout_at(deadline.min(time + POLL), bell.changed()).await;
        }
    }

    async fn verify(&self, run: &str) -> Result<Verified, StoreError> {
        // Before the journal: one that is written meanwhile can only be further than it says.
        let found = witness::read(&self.dir, run);
        let found = found.map_err(|error| proof::unreadable(&self.dir, run, &error))?;
        read::verify(&mut *self.reader.lock().await, run, &found).await
    }

    fn make_room(&self) -> bool {
        place::drop_ballast(&self.dir)
    }
}
