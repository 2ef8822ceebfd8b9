//! The store of one machine: an SQLite database in WAL mode, synced at every commit.
//!
//! Main type: [`SqliteStore`]. One connection writes, behind a lock; one reads beside it, opened
//! when something is read. It never keeps the journal in memory, only the head of what it writes.

mod link;
mod place;
mod read;
mod schema;
mod write;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::{Mutex, watch};

use super::chain::Link;
use super::{
    Batch, Dispatched, Holder, InboxItem, Lease, NewRun, RunRow, Store, StoreError, Verified,
};
use crate::event::Event;
use link::Connection;

/// How often other processes are looked for while waiting for a change.
const POLL: Duration = Duration::from_millis(50);

/// The least time between two looks, however often this process writes.
const PAUSE: Duration = Duration::from_millis(5);

/// Journal, inbox and leases in `ferry.db` of one directory.
pub struct SqliteStore {
    path: PathBuf,
    /// `None`: opened for reading only.
    writer: Option<Mutex<Writer>>,
    reader: Mutex<Connection>,
    /// Rings at every write of this process.
    bell: watch::Sender<()>,
}

/// The connection that writes, and what it knows of the journals that it writes.
struct Writer {
    link: Connection,
    heads: HashMap<String, Head>,
}

/// The end of a journal.
#[derive(Clone, Copy)]
struct Head {
    seq: u64,
    link: Link,
}

impl SqliteStore {
    /// Opens the store in `dir` to write and read, and creates it if there is none.
    ///
    /// [`StoreError::Refused`] for a directory that everybody can get at, a network file system,
    /// or a version of SQLite that loses commits; [`StoreError::Newer`] for a later format.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        let (path, is_new) = place::prepare(dir)?;
        let mut link = Connection::writer(&path);
        link.get().await?;
        if is_new {
            place::sync(dir)?;
        }
        let heads = HashMap::new();
        let writer = Writer { link, heads };
        Ok(Self::new(path, Some(Mutex::new(writer))))
    }

    /// Opens the store in `dir` to read, beside an engine or without one.
    /// [`StoreError::NoStore`] if there is none.
    pub async fn open_read_only(dir: &Path) -> Result<Self, StoreError> {
        let store = Self::new(place::existing(dir)?, None);
        store.reader.lock().await.get().await?;
        Ok(store)
    }

    fn new(path: PathBuf, writer: Option<Mutex<Writer>>) -> Self {
        Self {
            reader: Mutex::new(Connection::reader(&path)),
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

    async fn claim(&self, run: &str, me: &Holder) -> Result<Lease, StoreError> {
        self.writer()?.lock().await.claim(run, me).await
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
        read::rows(&mut *self.reader.lock().await, None).await
    }

    async fn find(&self, run: &str) -> Result<Option<RunRow>, StoreError> {
        let rows = read::rows(&mut *self.reader.lock().await, Some(run)).await?;
        Ok(rows.into_iter().next())
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
        read::verify(&mut *self.reader.lock().await, run).await
    }
}
