//! The store: journal, inbox and leases behind one port, [`Store`].
//!
//! A commit is atomic over events, effects handed out, effects that are over, consumed inbox items
//! and the run's status, and it is guarded by the lease's epoch. [`SqliteStore`] is the default,
//! [`MemoryStore`] serves tests and rehearsals. Nothing here decides what happens in a run.

mod chain;
mod error;
mod holder;
mod memory;
mod record;
mod sqlite;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::event::{Event, RunStatus};

pub use error::{StoreError, Unwitnessed};
pub use holder::{Holder, process_started, this_host};
pub use memory::MemoryStore;
pub use record::{Raw, Record, SEAL, SealError};
pub use sqlite::{Examined, Liveness, SqliteStore, Surroundings};

/// The right to write one run's journal, until somebody is granted a later epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The run.
    pub run: String,
    /// Number of the grant, from 1; it rises at every grant and is never used again.
    pub epoch: u64,
}

/// An effect that was handed out and may have changed the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatched {
    /// What names it within the run: step and direction.
    pub key: String,
    /// The event of its intent.
    pub seq: u64,
}

/// What one commit holds; all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Events; their `seq` go on from the journal's head without a gap.
    pub events: Vec<Event>,
    /// Effects that are handed out with this commit. A key that is open already moves to the new seq.
    pub dispatched: Vec<Dispatched>,
    /// Keys of effects that are over; those that are not open are passed over. Taken before
    /// `dispatched`, so that an effect can end and start again in one commit.
    pub settled: Vec<String>,
    /// Inbox items that these events answer; each must still be in the run's inbox.
    pub consumed: Vec<u64>,
    /// Where the run stands from now on, if that changed.
    pub status: Option<RunStatus>,
}

/// A run to be.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its id, unique in the store.
    pub id: String,
    /// The runbook's name.
    pub name: String,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// Names that only one run at a time may hold.
    pub locks: Vec<String>,
}

/// A run in short, without reading its journal.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// Its id.
    pub id: String,
    /// The runbook's name.
    pub name: String,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Where it stands by the last commit that said so.
    pub status: RunStatus,
    /// Time of the last event, or of the creation; milliseconds since the Unix epoch.
    pub updated_at: i64,
    /// Events in its journal.
    pub events: u64,
    /// Who holds it; it may be dead.
    pub holder: Option<Holder>,
    /// Whether the holder may be alive. A run on its way without one was interrupted.
    pub live: bool,
}

/// A message to a run, from any process.
#[derive(Clone, Debug, PartialEq)]
pub struct InboxItem {
    /// Its number, unique in the store and never used again.
    pub id: u64,
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// Who sent it.
    pub from: String,
    /// What it says.
    pub body: Value,
}

/// A journal whose hash chain holds and that has all that its witness saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Events in it.
    pub events: u64,
    /// The last link, SHA-256 in hexadecimal; of an empty journal, that of the run's id.
    pub head: String,
    /// The event that the witness saw last; `None` where the store keeps no witness, or none yet.
    pub witness: Option<u64>,
}

/// Keeps journals, inboxes and leases. One conformance suite holds for every store.
///
/// Dropping the future of a call leaves the store as before the call or as after it, never between.
#[async_trait]
pub trait Store: Send + Sync {
    /// Creates a run with an empty journal. [`StoreError::Exists`] if the id is taken.
    async fn create(&self, run: &NewRun) -> Result<(), StoreError>;

    /// Creates a run with an empty journal and takes it for `me`, both or neither.
    /// [`StoreError::Exists`] if the id is taken, [`StoreError::Held`] as by
    /// [`claim`](Self::claim) if somebody has one of its locks.
    async fn begin(&self, run: &NewRun, me: &Holder) -> Result<Lease, StoreError>;

    /// Takes the run for `me`, at a new epoch. [`StoreError::Held`] if another process that may
    /// be alive holds it, or if one that may be alive holds another run with a lock of this one.
    /// With `takeover` whoever holds the run itself loses it with the next commit, alive or not;
    /// who holds a lock through another run is left alone.
    ///
    /// Refused as by [`verify`](Self::verify) if the journal is behind its witness.
    async fn claim(&self, run: &str, me: &Holder, takeover: bool) -> Result<Lease, StoreError>;

    /// Gives the run up. [`StoreError::Fenced`] if a later epoch was granted.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;

    /// The events from `from` on, in order. Their hash chain is verified, from the start if
    /// `from` is 0 or 1, else from the link before: [`StoreError::Corrupt`].
    async fn load(&self, run: &str, from: u64) -> Result<Vec<Event>, StoreError>;

    /// Writes the batch, durable when this returns, and returns the journal's last seq.
    /// [`StoreError::Fenced`] if the lease is no longer the current one.
    async fn commit(&self, lease: &Lease, batch: Batch) -> Result<u64, StoreError>;

    /// Effects that were handed out and are not over, by seq.
    async fn open_effects(&self, run: &str) -> Result<Vec<Dispatched>, StoreError>;

    /// Items that were not consumed, oldest first.
    async fn inbox(&self, run: &str) -> Result<Vec<InboxItem>, StoreError>;

    /// Puts an item into the run's inbox and returns its id. Needs no lease.
    async fn send(&self, run: &str, at: i64, from: &str, body: Value) -> Result<u64, StoreError>;

    /// All runs, newest first.
    async fn runs(&self) -> Result<Vec<RunRow>, StoreError>;

    /// One run.
    async fn find(&self, run: &str) -> Result<Option<RunRow>, StoreError>;

    /// Waits until the run's journal or inbox got longer, at most `max_wait`. `since` is what the
    /// last call returned, 0 at first; the number only rises and says nothing else. A hint.
    async fn changed(&self, run: &str, since: u64, max_wait: Duration) -> Result<u64, StoreError>;

    /// Reads the whole journal, checks its hash chain ([`StoreError::Corrupt`]) and holds it against
    /// its witness: [`StoreError::Lost`], [`StoreError::Exchanged`], [`StoreError::Unwitnessed`].
    async fn verify(&self, run: &str) -> Result<Verified, StoreError>;

    /// Frees the space that is kept for the last events of a run on a full disk; whether there was
    /// some. It is put aside again when the store is next opened.
    fn make_room(&self) -> bool {
        false
    }
}

/// Whether the batch's events go on from `head`.
fn check_order(run: &str, head: u64, events: &[Event]) -> Result<(), StoreError> {
    for (event, expected) in events.iter().zip(head + 1..) {
        if event.seq != expected {
            return Err(StoreError::OutOfOrder {
                run: run.to_owned(),
                expected,
                found: event.seq,
            });
        }
    }
    Ok(())
}
