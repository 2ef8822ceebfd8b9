//! What `ferry doctor` asks of a store: its place, its settings, and each run's journal, witness and
//! holder. Nothing here changes a journal; a witness is rebuilt only when somebody says so.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use sqlx::Row as _;

use super::guard::{self, Evidence, Guard};
use super::proof::{no_run, unreadable};
use super::witness::{self, Found, Witness};
use super::{SqliteStore, place, read, schema};
use crate::event::RunStatus;
use crate::store::{Holder, Record, SealError, StoreError, Verified};

/// Where a store lies and how it is set.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Permission bits of the directory.
    pub mode: u32,
    /// Name or magic number of the file system.
    pub file_system: String,
    /// Free space for this user, in bytes.
    pub free: u64,
    /// Size of the database, in bytes.
    pub database: u64,
    /// Size of the write-ahead log, in bytes; 0 if there is none.
    pub log: u64,
    /// Whether the space that is kept for the last events is there.
    pub ballast: bool,
    /// Version of the library.
    pub sqlite: String,
    /// Version of the store's tables.
    pub format: i64,
    /// How the database keeps its log: `wal`.
    pub journal_mode: String,
}

/// Whether the process that holds a run is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It is.
    Alive,
    /// It is not: the run can be claimed.
    Gone,
    /// It is of another host, of which nothing is known.
    Unknown,
}

/// A run under examination.
#[derive(Debug)]
pub struct Examined {
    /// Its id.
    pub run: String,
    /// Where it stands; `None` if the database does not have it.
    pub status: Option<RunStatus>,
    /// Who holds it.
    pub holder: Option<(Holder, Liveness)>,
    /// Journal and witness held against each other.
    pub verdict: Result<Verified, StoreError>,
    /// One of the witness's two slots cannot be believed; the other one can.
    pub half_a_witness: bool,
}

impl SqliteStore {
    /// Where the store lies and how it is set.
    pub async fn surroundings(&self) -> Result<Surroundings, StoreError> {
        let failed = |error: &std::io::Error| place::io_error(&self.dir, error);
        let mut reader = self.reader.lock().await;
        let row = sqlx::query(schema::READ_BACK)
            .fetch_one(reader.get().await?)
            .await;
        let found = row.and_then(|row| {
            let sqlite = row.try_get("version")?;
            let format = row.try_get("user_version")?;
            Ok((sqlite, format, row.try_get("journal_mode")?))
        });
        let (sqlite, format, journal_mode) = found.map_err(|error| reader.failed(&error))?;
        let size = |end: &str| {
            let mut path = self.path.clone().into_os_string();
            path.push(end);
            fs::metadata(path).map_or(0, |data| data.len())
        };
        Ok(Surroundings {
            mode: fs::metadata(&self.dir).map_err(|e| failed(&e))?.mode() & 0o7777,
            file_system: place::file_system(&self.dir)?,
            free: place::free(&self.dir)?,
            database: size(""),
            log: size("-wal"),
            ballast: place::has_ballast(&self.dir),
            sqlite,
            format,
            journal_mode,
        })
    }

    /// What the library finds wrong with the database, if anything.
    pub async fn quick_check(&self) -> Option<String> {
        let mut reader = self.reader.lock().await;
        let found = match reader.get().await {
            Ok(open) => {
                sqlx::query_scalar(schema::QUICK_CHECK)
                    .fetch_one(open)
                    .await
            }
            Err(error) => return Some(error.to_string()),
        };
        match found {
            Ok(text) => Some(text).filter(|text: &String| text != "ok"),
            Err(error) => Some(reader.failed(&error).to_string()),
        }
    }

    /// Ids of the runs, newest first, read from the table of runs alone; then those that only have
    /// a witness.
    pub async fn names(&self) -> Result<Vec<String>, StoreError> {
        let mut names = read::names(&mut *self.reader.lock().await).await?;
        let known: BTreeSet<_> = names.iter().cloned().collect();
        let witnessed = witness::names(&self.dir);
        let witnessed = witnessed.map_err(|error| place::io_error(&self.dir, &error))?;
        for run in witnessed {
            if !known.contains(&run) && witness::seen(&self.dir, &run)?.is_some() {
                names.push(run);
            }
        }
        Ok(names)
    }

    /// Examines a run.
    pub async fn examine(&self, run: &str) -> Result<Examined, StoreError> {
        let row = read::standing(&mut *self.reader.lock().await, run).await?;
        let found = witness::read(&self.dir, run).map_err(|e| unreadable(&self.dir, run, &e))?;
        let (status, holder) = row.map_or((None, None), |(status, holder)| (Some(status), holder));
        Ok(Examined {
            run: run.to_owned(),
            status,
            holder: holder.map(|holder| {
                let liveness = self.liveness(run, &holder);
                (holder, liveness)
            }),
            verdict: crate::store::Store::verify(self, run).await,
            half_a_witness: matches!(found, Found::Seen { half: true, .. }),
        })
    }

    /// Whether the holder of a run is there, by the lock that it has, else by its process.
    pub(super) fn liveness(&self, run: &str, holder: &Holder) -> Liveness {
        let host = crate::store::this_host();
        if holder.host != host {
            return Liveness::Unknown;
        }
        match guard::evidence(&self.dir, run, holder) {
            Evidence::Busy => Liveness::Alive,
            Evidence::Gone => Liveness::Gone,
            Evidence::Nothing if holder.may_be_alive(&host) => Liveness::Alive,
            Evidence::Nothing => Liveness::Gone,
        }
    }

    /// The whole journal of a run in a form that leaves the store.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if its chain does not hold or an event cannot be read.
    pub async fn record(&self, run: &str) -> Result<Record, StoreError> {
        let rows = read::raw(&mut *self.reader.lock().await, run).await?;
        Record::of(run, rows).map_err(|error| match error {
            SealError::Event(error) => error,
            other => StoreError::Corrupt {
                run: run.to_owned(),
                seq: 1,
                what: other.to_string(),
            },
        })
    }

    /// Makes a new witness of a journal whose own is missing or damaged, and returns the seq that
    /// it says. What happened to the journal before is then not known any more.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if there is a witness that can be believed, the error of
    /// [`verify`](crate::store::Store::verify) if it does not agree with the journal or the chain is
    /// broken, [`StoreError::Held`] while somebody holds the run.
    pub async fn rebuild_witness(&self, run: &str) -> Result<u64, StoreError> {
        match crate::store::Store::verify(self, run).await {
            Ok(_) => {
                return Err(StoreError::Refused {
                    path: witness::path(&self.dir, run),
                    what: "the witness is in order".into(),
                    hint: format!("`ferry verify {run}` says what it proves"),
                });
            }
            Err(StoreError::Unwitnessed { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut reader = self.reader.lock().await;
        let Some((_, holder)) = read::standing(&mut reader, run).await? else {
            return Err(no_run(&self.dir, run)?);
        };
        let guard = Guard::take(&self.dir, run, &[]).map_err(|e| place::io_error(&self.dir, &e))?;
        if let Some(holder) = holder
            && (guard.run_is_busy
                || !guard.has_run() && holder.may_be_alive(&crate::store::this_host()))
        {
            return Err(StoreError::Held {
                run: run.to_owned(),
                lock: None,
                holder: Box::new(holder),
            });
        }
        let head = read::whole_chain(&mut reader, run).await?;
        let (dir, name) = (self.dir.clone(), run.to_owned());
        let made = tokio::task::spawn_blocking(move || Witness::create(&dir, &name, head));
        let made = made.await.map_err(std::io::Error::other).flatten();
        made.map_err(|error| unreadable(&self.dir, run, &error))?;
        Ok(head.seq)
    }
}
