//! What can go wrong with a store, in nouns that a front end can show.
//!
//! Which exit code an error has is the command line's business.

use std::path::PathBuf;

use super::Holder;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no store in that directory.
    #[error("no store in `{}`", path.display())]
    NoStore {
        /// The directory.
        path: PathBuf,
    },
    /// The store has no such run.
    #[error("no run `{run}` in the store")]
    NoRun {
        /// The id that was asked for.
        run: String,
    },
    /// The id of a new run is taken.
    #[error("run `{run}` exists already")]
    Exists {
        /// The id.
        run: String,
    },
    /// Somebody who may be alive holds the run, or another run with one of its locks.
    #[error("run `{run}` is {}held by {holder}", lock_words(lock.as_deref()))]
    Held {
        /// The run that is held.
        run: String,
        /// The lock that both runs want, if it is another run.
        lock: Option<String>,
        /// Who holds it.
        holder: Box<Holder>,
    },
    /// The lease is no longer the current one. Nothing was written.
    #[error("the lease on run `{run}` was lost (epoch {epoch}){}", holder_words(holder.as_deref()))]
    Fenced {
        /// The run.
        run: String,
        /// The epoch of the lost lease.
        epoch: u64,
        /// Who holds the run now.
        holder: Option<Box<Holder>>,
    },
    /// A batch does not go on from the journal's head. Nothing was written.
    #[error("journal of run `{run}`: event {found} where event {expected} is next")]
    OutOfOrder {
        /// The run.
        run: String,
        /// The next seq.
        expected: u64,
        /// What the batch has there.
        found: u64,
    },
    /// A batch consumes inbox items that are no longer there. Nothing was written.
    #[error("inbox of run `{run}`: not every item of {ids:?} is there to be consumed")]
    NotInInbox {
        /// The run.
        run: String,
        /// The items of the batch.
        ids: Vec<u64>,
    },
    /// The journal is not what was written.
    #[error("journal of run `{run}` is corrupt at event {seq}: {what}")]
    Corrupt {
        /// The run.
        run: String,
        /// The first event that is wrong or missing.
        seq: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The store's file is no database of ours, or is damaged.
    #[error("store `{}` is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A later version of ferry wrote it.
    #[error("store `{}` has format {found}; this ferry knows format {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The latest format known here.
        known: i64,
    },
    /// Another process kept the store busy for too long. Nothing was written.
    #[error("store `{}` is kept busy by another process", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Reading or writing failed. After a failed write it is open whether it is in the store.
    #[error("store `{}`: {what}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What failed.
        what: String,
    },
    /// The place or the library is not fit to keep a journal.
    #[error("store `{}` refused: {what}", path.display())]
    Refused {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        what: String,
        /// What helps.
        hint: String,
    },
}

impl StoreError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } => Some(hint),
            Self::Newer { .. } => Some("use the version of ferry that wrote it, or a later one"),
            Self::Locked { .. } => Some("try again when the other process is done"),
            _ => None,
        }
    }
}

fn lock_words(lock: Option<&str>) -> String {
    lock.map(|lock| format!("in the way (lock `{lock}`) and "))
        .unwrap_or_default()
}

fn holder_words(holder: Option<&Holder>) -> String {
    holder
        .map(|holder| format!("; it is held by {holder}"))
        .unwrap_or_default()
}
