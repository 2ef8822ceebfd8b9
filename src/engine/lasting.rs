//! A commit that outlives a short trouble of the store: a full disk that somebody clears, another
//! process that keeps it busy.
//!
//! Nothing that depends on the commit is handed out in the meantime. Must not take an event for
//! written that is not, nor write one twice.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::failpoint;
use crate::store::{Batch, Lease, Store, StoreError};

/// How long it is tried.
const LONGEST: Duration = Duration::from_secs(10);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// Commits, and tries again after what may pass. The store reads its head anew after a failed write,
/// so that events which did get through are found there. Not `patient`: it is tried once.
pub(super) async fn commit(
    store: &dyn Store,
    lease: &Lease,
    batch: Batch,
    patient: bool,
) -> Result<(), StoreError> {
    failpoint::commit("commit.before", &batch.events);
    let last = batch.events.last().map_or(0, |event| event.seq);
    let began = Instant::now();
    let mut trouble = None;
    loop {
        let error = match store.commit(lease, batch.clone()).await {
            Ok(_) => break,
            // a try before this one was written after all: under this lease nobody else writes
            Err(StoreError::OutOfOrder { expected, .. })
                if trouble.is_some() && expected == last + 1 =>
            {
                break;
            }
            Err(error) => error,
        };
        let passes = matches!(
            error,
            StoreError::Io { .. } | StoreError::Full { .. } | StoreError::Locked { .. }
        );
        if !passes || !patient || began.elapsed() >= LONGEST {
            return Err(error);
        }
        trouble = Some(error);
        sleep(PAUSE).await;
    }
    failpoint::commit("commit.after", &batch.events);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::event::{Event, RunEvent, RunStatus};
    use crate::store::{Holder, NewRun, SqliteStore};

    fn batch(seq: u64) -> Batch {
        let status = RunStatus::Failed;
        let kind = RunEvent::Finished { status }.into();
        let events = vec![Event { seq, at: 1, kind }];
        Batch {
            events,
            ..Batch::default()
        }
    }

    async fn leased(dir: &Path) -> (Arc<SqliteStore>, Lease) {
        let store = SqliteStore::open(dir).await.unwrap();
        let new = NewRun {
            id: "r".into(),
            name: "r".into(),
            at: 1,
            locks: Vec::new(),
        };
        let me = Holder {
            who: "me".into(),
            host: "here".into(),
            pid: std::process::id(),
            started: 0,
        };
        let lease = store.begin(&new, &me).await.unwrap();
        (Arc::new(store), lease)
    }

    #[tokio::test]
    async fn an_event_that_is_there_without_any_trouble_is_somebody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let (store, lease) = leased(dir.path()).await;
        commit(store.as_ref(), &lease, batch(1), true)
            .await
            .unwrap();
        let again = commit(store.as_ref(), &lease, batch(1), true).await;
        assert!(matches!(again, Err(StoreError::OutOfOrder { .. })));
    }

    #[tokio::test]
    async fn a_store_that_is_busy_for_longer_than_it_waits_itself_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let (store, lease) = leased(dir.path()).await;
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(dir.path().join("ferry.db"));
        let mut other = sqlx::ConnectOptions::connect(&options).await.unwrap();
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut other)
            .await
            .unwrap();
        let waiting = tokio::spawn({
            let store = Arc::clone(&store);
            let lease = lease.clone();
            async move { commit(store.as_ref(), &lease, batch(1), true).await }
        });
        // the store gives up after 5 s by itself
        sleep(Duration::from_millis(6_000)).await;
        assert!(!waiting.is_finished());
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
        waiting.await.unwrap().unwrap();
        assert_eq!(store.load("r", 1).await.unwrap().len(), 1);
    }
}
