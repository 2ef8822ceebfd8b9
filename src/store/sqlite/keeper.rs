//! Keeps a run's witness close behind its journal: a thread whose syncs run beside SQLite's own.
//!
//! Main type: [`Keeper`]. A commit lets it sync the head that was durable before, and waits for it,
//! unless it did so a moment ago; a head that stays the newest for a moment is synced without being
//! asked. After a failed sync it
//! does nothing more; whoever goes on opens the file anew.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Head;
use super::witness::Witness;

/// How long a head must be the newest before it is synced unasked. In a burst of commits every one
/// asks, and none waits for this.
const IDLE: Duration = Duration::from_millis(10);

/// The least time between two syncs that commits ask for. Where a commit is faster than this, a sync of
/// the witness beside each would cost more than the commit's own; what is lost in that time can only be
/// what a later damage of the newest few milliseconds takes.
const EVERY: Duration = Duration::from_millis(5);

/// The thread and what it was told.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    done: watch::Receiver<Done>,
    asked_at: Option<Instant>,
}

struct Shared {
    told: Mutex<Told>,
    wake: Condvar,
}

struct Told {
    /// To be synced at once.
    asked: u64,
    /// Durable in the journal.
    newest: Head,
    /// The thread waits without an end.
    asleep: bool,
    closed: bool,
}

/// How far the thread got.
struct Done {
    seq: u64,
    failure: Option<String>,
}

impl Keeper {
    /// Starts the thread; the witness says `at`, which is durable in the journal.
    pub(super) fn start(witness: Witness, at: Head) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            told: Mutex::new(Told {
                asked: 0,
                newest: at,
                asleep: false,
                closed: false,
            }),
            wake: Condvar::new(),
        });
        let (sender, done) = watch::channel(Done {
            seq: at.seq,
            failure: None,
        });
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("witness".into())
            .stack_size(128 * 1024)
            .spawn(move || keep(witness, &theirs, &sender))?;
        Ok(Self {
            shared,
            done,
            asked_at: None,
        })
    }

    /// The journal is durable up to `head`.
    pub(super) fn reached(&self, head: Head) {
        let mut told = self.shared.told();
        told.newest = head;
        if told.asleep {
            told.asleep = false;
            self.shared.wake.notify_one();
        }
    }

    /// Starts to sync `head` if it is time to; whether it is, and is to be waited for.
    pub(super) fn keep_up(&mut self, head: Head) -> bool {
        if self.asked_at.is_some_and(|at| at.elapsed() < EVERY) {
            return false;
        }
        self.asked_at = Some(Instant::now());
        self.sync(head);
        true
    }

    /// Starts to sync `head`, which must be durable in the journal, if the witness is behind it.
    pub(super) fn sync(&self, head: Head) {
        if self.done.borrow().seq >= head.seq {
            return;
        }
        let mut told = self.shared.told();
        told.newest = head;
        told.asked = head.seq;
        told.asleep = false;
        self.shared.wake.notify_one();
    }

    /// Waits until the witness is at `seq`, which was told, or further. The error is the text of a
    /// failed sync.
    pub(super) async fn synced(&mut self, seq: u64) -> Result<(), String> {
        let over = self
            .done
            .wait_for(|done| done.seq >= seq || done.failure.is_some());
        match over.await {
            Ok(done) if done.seq >= seq => Ok(()),
            Ok(done) => Err(done.failure.clone().unwrap_or_default()),
            Err(_) => Err("the thread that syncs it is gone".into()),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.told().closed = true;
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told
            .lock()
            .expect("nothing panics while it holds the lock")
    }

    /// The next head to sync behind `synced`; `None` when there will be none.
    fn next(&self, synced: u64) -> Option<Head> {
        let mut told = self.told();
        loop {
            if told.closed {
                return None;
            }
            if told.asked > synced {
                return Some(told.newest);
            }
            let before = told.newest.seq;
            let (now, waited) = self
                .wake
                .wait_timeout(told, IDLE)
                .expect("nothing panics while it holds the lock");
            told = now;
            if !waited.timed_out() || told.newest.seq != before {
                continue;
            }
            if told.newest.seq > synced {
                return Some(told.newest);
            }
            told.asleep = true;
            while told.asleep && !told.closed {
                told = self
                    .wake
                    .wait(told)
                    .expect("nothing panics while it holds the lock");
            }
        }
    }
}

fn keep(mut witness: Witness, shared: &Shared, done: &watch::Sender<Done>) {
    let mut synced = done.borrow().seq;
    while let Some(head) = shared.next(synced) {
        if let Err(error) = witness.write(head) {
            done.send_modify(|done| done.failure = Some(error.to_string()));
            return;
        }
        synced = head.seq;
        done.send_modify(|done| done.seq = synced);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::witness::{Found, read};

    fn head(seq: u64) -> Head {
        Head { seq, link: [7; 32] }
    }

    fn seen(dir: &std::path::Path) -> u64 {
        match read(dir, "r").unwrap() {
            Found::Seen { head, .. } => head.seq,
            Found::Nothing | Found::Damaged => panic!("no witness"),
        }
    }

    #[tokio::test]
    async fn what_is_asked_for_is_synced_and_what_stays_newest_too() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let witness = Witness::create(dir, "r", head(0)).unwrap();
        let mut keeper = Keeper::start(witness, head(0)).unwrap();
        for seq in 1..50 {
            keeper.sync(head(seq));
            keeper.synced(seq).await.unwrap();
            assert_eq!(seen(dir), seq);
            keeper.reached(head(seq + 1));
        }
        let until = Instant::now() + Duration::from_secs(10);
        while seen(dir) != 50 {
            assert!(Instant::now() < until, "the newest head was not synced");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // and again, out of its sleep
        tokio::time::sleep(IDLE * 4).await;
        keeper.reached(head(51));
        while seen(dir) != 51 {
            assert!(Instant::now() < until, "the newest head was not synced");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
