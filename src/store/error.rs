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
    /// The journal ends before what its witness saw: events were lost.
    #[error(
        "journal of run `{run}` lost events: its witness saw event {seen} {}",
        end_words(*ends)
    )]
    Lost {
        /// The run.
        run: String,
        /// The last event that the witness saw.
        seen: u64,
        /// Where the journal ends; event `ends + 1` is the first that is missing.
        ends: u64,
    },
    /// An event of the journal is another than the one that its witness saw.
    #[error(
        "journal of run `{run}` was exchanged: event {seq} is not the one that its witness saw"
    )]
    Exchanged {
        /// The run.
        run: String,
        /// The event.
        seq: u64,
    },
    /// There is nothing to hold the journal against.
    #[error("journal of run `{run}` has no witness: {}", why.words())]
    Unwitnessed {
        /// The run.
        run: String,
        /// Why.
        why: Unwitnessed,
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
    /// There is no room. Nothing was written.
    #[error("store `{}`: the disk is full", path.display())]
    Full {
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

/// Why a journal has no witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwitnessed {
    /// The file is not there.
    Missing,
    /// Neither of its two slots can be believed.
    Damaged,
}

impl Unwitnessed {
    fn words(self) -> &'static str {
        match self {
            Self::Missing => "the file is missing",
            Self::Damaged => "both of its slots are damaged",
        }
    }
}

impl StoreError {
    /// What the reader can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Refused { hint, .. } => hint.as_str(),
            Self::Newer { .. } => "use the version of ferry that wrote it, or a later one",
            Self::Locked { .. } => "try again when the other process is done",
            Self::Full { .. } => "free some space where the state directory is",
            Self::Lost { .. } => {
                "the database's `-wal` file was lost or damaged, or an older copy of the database \
                 was put in its place: put the right files back; nothing is gone on with until then"
            }
            Self::Exchanged { .. } => {
                "a copy of the database that went on elsewhere was put in its place: put the right \
                 files back; nothing is gone on with until then"
            }
            Self::Unwitnessed { run, .. } => {
                return Some(format!(
                    "if nothing was restored or copied, `ferry doctor --rebuild-witness {run}` \
                     makes a new one from the journal as it is"
                ));
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// The first event of the journal that is wrong or missing, if the error is about one.
    pub fn first_bad(&self) -> Option<u64> {
        match self {
            Self::Corrupt { seq, .. } | Self::Exchanged { seq, .. } => Some(*seq),
            Self::Lost { ends, .. } => Some(ends + 1),
            _ => None,
        }
    }
}

fn end_words(ends: u64) -> String {
    match ends {
        0 => "and there is none in the database".into(),
        ends => format!("and the journal ends at event {ends}"),
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
