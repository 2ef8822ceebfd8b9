//! A store in memory, for tests and rehearsals: the same rules, gone with the process.
//!
//! Main type: [`MemoryStore`]. It keeps whole events and no hashes; the chain is computed when
//! somebody asks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::watch;

use super::{
    Batch, Dispatched, Holder, InboxItem, Lease, NewRun, RunRow, Store, StoreError, Verified,
    chain, check_order,
};
use crate::event::{Event, RunStatus};

/// Keeps everything in this process.
pub struct MemoryStore {
    inner: Mutex<Inner>,
    bell: watch::Sender<()>,
}

#[derive(Default)]
struct Inner {
    runs: BTreeMap<String, Run>,
    /// The last id that an inbox item got.
    items: u64,
}

struct Run {
    /// Order of creation.
    number: usize,
    new: NewRun,
    status: RunStatus,
    epoch: u64,
    holder: Option<Holder>,
    events: Vec<Event>,
    effects: BTreeMap<String, u64>,
    inbox: Vec<InboxItem>,
    /// Items that ever came.
    mail: u64,
}

impl Run {
    fn row(&self) -> RunRow {
        RunRow {
            id: self.new.id.clone(),
            name: self.new.name.clone(),
            created_at: self.new.at,
            status: self.status,
            updated_at: self.events.last().map_or(self.new.at, |event| event.at),
            events: self.events.len() as u64,
            live: (self.holder.as_ref()).is_some_and(|h| h.may_be_alive(&super::this_host())),
            holder: self.holder.clone(),
        }
    }

    fn grant(&mut self, me: &Holder) -> Lease {
        self.epoch += 1;
        self.holder = Some(me.clone());
        Lease {
            run: self.new.id.clone(),
            epoch: self.epoch,
        }
    }

    fn fence(&self, lease: &Lease) -> Result<(), StoreError> {
        if self.epoch == lease.epoch && self.holder.is_some() {
            return Ok(());
        }
        Err(StoreError::Fenced {
            run: lease.run.clone(),
            epoch: lease.epoch,
            holder: self.holder.clone().map(Box::new),
        })
    }

    fn consume(&mut self, ids: &[u64]) -> Result<(), StoreError> {
        let mut left = self.inbox.clone();
        for id in ids {
            let Some(at) = left.iter().position(|item| item.id == *id) else {
                return Err(StoreError::NotInInbox {
                    run: self.new.id.clone(),
                    ids: ids.to_vec(),
                });
            };
            left.remove(at);
        }
        self.inbox = left;
        Ok(())
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self {
            inner: Mutex::default(),
            bell: watch::Sender::new(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

impl Inner {
    fn run(&self, id: &str) -> Result<&Run, StoreError> {
        self.runs
            .get(id)
            .ok_or_else(|| StoreError::NoRun { run: id.to_owned() })
    }

    fn run_mut(&mut self, id: &str) -> Result<&mut Run, StoreError> {
        self.runs
            .get_mut(id)
            .ok_or_else(|| StoreError::NoRun { run: id.to_owned() })
    }

    /// Whoever is in the way of `me` taking the run, or one to be with these locks.
    fn in_the_way(
        &self,
        id: &str,
        locks: &[String],
        me: &Holder,
        takeover: bool,
    ) -> Option<StoreError> {
        let held = |other: &Run, lock: Option<&String>| {
            let holder = other.holder.clone().filter(|h| h.may_be_alive(&me.host))?;
            Some(StoreError::Held {
                run: other.new.id.clone(),
                lock: lock.cloned(),
                holder: Box::new(holder),
            })
        };
        if !takeover
            && let Some(run) = self.runs.get(id)
            && run.holder.as_ref().is_some_and(|h| !h.is(me))
            && let Some(error) = held(run, None)
        {
            return Some(error);
        }
        let others = self.runs.values().filter(|r| r.new.id != id);
        others
            .filter_map(|other| {
                let lock = other.new.locks.iter().find(|l| locks.contains(l));
                lock.and_then(|lock| held(other, Some(lock)))
            })
            .next()
    }

    fn create(&mut self, run: &NewRun) -> Result<&mut Run, StoreError> {
        if self.runs.contains_key(&run.id) {
            return Err(StoreError::Exists {
                run: run.id.clone(),
            });
        }
        let new = Run {
            number: self.runs.len(),
            new: run.clone(),
            status: RunStatus::default(),
            epoch: 0,
            holder: None,
            events: Vec::new(),
            effects: BTreeMap::new(),
            inbox: Vec::new(),
            mail: 0,
        };
        Ok(self.runs.entry(run.id.clone()).or_insert(new))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn create(&self, run: &NewRun) -> Result<(), StoreError> {
        self.lock().create(run).map(drop)
    }

    async fn begin(&self, run: &NewRun, me: &Holder) -> Result<Lease, StoreError> {
        let mut inner = self.lock();
        if !inner.runs.contains_key(&run.id)
            && let Some(error) = inner.in_the_way(&run.id, &run.locks, me, false)
        {
            return Err(error);
        }
        Ok(inner.create(run)?.grant(me))
    }

    async fn claim(&self, run: &str, me: &Holder, takeover: bool) -> Result<Lease, StoreError> {
        let mut inner = self.lock();
        let locks = &inner.run(run)?.new.locks;
        if let Some(error) = inner.in_the_way(run, locks, me, takeover) {
            return Err(error);
        }
        Ok(inner.run_mut(run)?.grant(me))
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let run = inner.run_mut(&lease.run)?;
        if run.epoch != lease.epoch {
            run.fence(lease)?;
        }
        run.holder = None;
        Ok(())
    }

    async fn load(&self, run: &str, from: u64) -> Result<Vec<Event>, StoreError> {
        let inner = self.lock();
        let events = inner.run(run)?.events.iter();
        Ok(events.filter(|event| event.seq >= from).cloned().collect())
    }

    async fn commit(&self, lease: &Lease, batch: Batch) -> Result<u64, StoreError> {
        let mut inner = self.lock();
        let run = inner.run_mut(&lease.run)?;
        run.fence(lease)?;
        check_order(&lease.run, run.events.len() as u64, &batch.events)?;
        run.consume(&batch.consumed)?;
        run.events.extend(batch.events);
        for key in &batch.settled {
            run.effects.remove(key);
        }
        for effect in batch.dispatched {
            run.effects.insert(effect.key, effect.seq);
        }
        run.status = batch.status.unwrap_or(run.status);
        let head = run.events.len() as u64;
        drop(inner);
        self.bell.send_replace(());
        Ok(head)
    }

    async fn open_effects(&self, run: &str) -> Result<Vec<Dispatched>, StoreError> {
        let inner = self.lock();
        let effects = inner.run(run)?.effects.iter();
        let mut open: Vec<_> = effects
            .map(|(key, seq)| Dispatched {
                key: key.clone(),
                seq: *seq,
            })
            .collect();
        open.sort_by_key(|effect| effect.seq);
        Ok(open)
    }

    async fn inbox(&self, run: &str) -> Result<Vec<InboxItem>, StoreError> {
        Ok(self.lock().run(run)?.inbox.clone())
    }

    async fn send(&self, run: &str, at: i64, from: &str, body: Value) -> Result<u64, StoreError> {
        let mut inner = self.lock();
        inner.run(run)?;
        inner.items += 1;
        let id = inner.items;
        let run = inner.run_mut(run)?;
        run.mail += 1;
        run.inbox.push(InboxItem {
            id,
            at,
            from: from.to_owned(),
            body,
        });
        drop(inner);
        self.bell.send_replace(());
        Ok(id)
    }

    async fn runs(&self) -> Result<Vec<RunRow>, StoreError> {
        let inner = self.lock();
        let mut runs: Vec<_> = inner.runs.values().collect();
        runs.sort_by_key(|run| std::cmp::Reverse((run.new.at, run.number)));
        Ok(runs.into_iter().map(Run::row).collect())
    }

    async fn find(&self, run: &str) -> Result<Option<RunRow>, StoreError> {
        Ok(self.lock().runs.get(run).map(Run::row))
    }

    async fn changed(&self, run: &str, since: u64, max_wait: Duration) -> Result<u64, StoreError> {
        let deadline = tokio::time::Instant::now() + max_wait;
        let mut bell = self.bell.subscribe();
        loop {
            let now = {
                let inner = self.lock();
                let run = inner.run(run)?;
                run.mail + run.events.len() as u64
            };
            if now != since {
                return Ok(now);
            }
            if tokio::time::timeout_at(deadline, bell.changed())
                .await
                .is_err()
            {
                return Ok(now);
            }
        }
    }

    async fn verify(&self, run: &str) -> Result<Verified, StoreError> {
        let inner = self.lock();
        let events = &inner.run(run)?.events;
        let head = events.iter().fold(chain::origin(run), |before, event| {
            let body = chain::body(&event.kind);
            chain::link(&before, event.seq, event.at, body.as_bytes())
        });
        Ok(Verified {
            events: events.len() as u64,
            head: chain::hex(&head),
            witness: None,
        })
    }
}
