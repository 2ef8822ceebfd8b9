//! Who may write a run: creating, claiming and giving up, guarded by the kernel's locks and by the
//! row that every commit is checked against.
//!
//! The locks decide between processes of this host; the row names the holder, and fences one that
//! lost the run. No run is claimed whose journal is behind its witness.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use tokio::time::Instant;

use super::guard::{self, Evidence, Guard};
use super::link::broken_rule;
use super::proof::{lost, no_run};
use super::read::{self, int};
use super::{Head, Held, Writer, place, schema, witness};
use crate::event::RunStatus;
use crate::store::{Holder, Lease, NewRun, StoreError};

/// How long a claim waits for somebody who has the lock and is not yet in the row.
const LONGEST: Duration = Duration::from_millis(800);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// A run on the way of a claim.
struct Rival {
    run: String,
    epoch: u64,
    locks: String,
    lock: Option<String>,
    holder: Option<Holder>,
}

/// What one try of a claim came to.
enum Try {
    Granted(Lease),
    /// Somebody is in the way who may be gone or told more of in a moment.
    Later(StoreError),
}

/// Who wants what.
#[derive(Clone, Copy)]
struct Wish<'a> {
    run: &'a str,
    /// The run, when it is to be created.
    new: Option<&'a NewRun>,
    me: &'a Holder,
    takeover: bool,
}

impl Writer {
    pub(super) async fn create(&mut self, run: &NewRun) -> Result<(), StoreError> {
        let query = sqlx::query(schema::NEW_RUN)
            .bind(&run.id)
            .bind(&run.name)
            .bind(run.at)
            .bind(read::status_text(RunStatus::default()))
            .bind(json!(run.locks).to_string());
        match query.execute(self.link.get().await?).await {
            Ok(_) => Ok(()),
            Err(error) if broken_rule(&error).is_some() => Err(exists(&run.id)),
            Err(error) => Err(self.link.failed(&error)),
        }
    }

    pub(super) async fn begin(&mut self, run: &NewRun, me: &Holder) -> Result<Lease, StoreError> {
        let wish = Wish {
            run: &run.id,
            new: Some(run),
            me,
            takeover: false,
        };
        self.grant(wish).await
    }

    pub(super) async fn claim(
        &mut self,
        run: &str,
        me: &Holder,
        takeover: bool,
    ) -> Result<Lease, StoreError> {
        let wish = Wish {
            run,
            new: None,
            me,
            takeover,
        };
        self.grant(wish).await
    }

    async fn grant(&mut self, wish: Wish<'_>) -> Result<Lease, StoreError> {
        let began = Instant::now();
        loop {
            match self.attempt(wish).await? {
                Try::Granted(lease) => return Ok(lease),
                Try::Later(error) if began.elapsed() >= LONGEST => return Err(error),
                Try::Later(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn attempt(&mut self, wish: Wish<'_>) -> Result<Try, StoreError> {
        let rivals = self.rivals(wish.run, wish.new).await?;
        let own = rivals.first().filter(|rival| rival.lock.is_none());
        let (locks, epoch) = match (own, wish.new) {
            (None, None) => return Err(no_run(&self.dir, wish.run)?),
            (Some(_), Some(_)) => return Err(exists(wish.run)),
            (None, Some(new)) => (new.locks.clone(), 0),
            (Some(own), None) => (
                serde_json::from_str(&own.locks).unwrap_or_default(),
                own.epoch,
            ),
        };
        // What this handle holds for the same process stays with it.
        let again = own
            .and_then(|own| own.holder.as_ref())
            .is_some_and(|h| h.is(wish.me))
            && self
                .runs
                .get(wish.run)
                .is_some_and(|held| held.guard.has_run());
        let guard = match again || wish.me.pid != std::process::id() {
            // A lock of this process would say nothing about another one.
            true => Guard::default(),
            false => Guard::take(&self.dir, wish.run, &locks)
                .map_err(|error| place::io_error(&self.dir, &error))?,
        };
        if !again && let Some(found) = self.in_the_way(&rivals, wish, &guard) {
            return found;
        }
        let others = rivals.iter().filter(|rival| rival.lock.is_some());
        let dead = others.map(|r| json!([r.run, r.epoch])).collect::<Value>();
        let dead = dead.to_string();
        let head = match wish.new {
            Some(new) => self.insert(new, wish.me, dead).await?,
            None => self.update(wish, epoch, dead).await?,
        };
        let Some(head) = head else {
            // Somebody was faster; the next look says who.
            return Ok(Try::Later(self.link.busy()));
        };
        guard.sign(wish.me);
        self.hold(wish.run, epoch + 1, head, guard, again);
        Ok(Try::Granted(Lease {
            run: wish.run.to_owned(),
            epoch: epoch + 1,
        }))
    }

    /// Whoever keeps the wish from being granted. The kernel's locks decide where they are had; the
    /// process of the row is looked at where they are not.
    fn in_the_way(
        &self,
        rivals: &[Rival],
        wish: Wish<'_>,
        guard: &Guard,
    ) -> Option<Result<Try, StoreError>> {
        for rival in rivals {
            let is_own = rival.lock.is_none();
            let Some(holder) = &rival.holder else {
                continue;
            };
            if is_own && wish.takeover {
                continue;
            }
            let evidence = match is_own && (guard.has_run() || guard.run_is_busy) {
                true => guard.evidence(holder),
                false => guard::evidence(&self.dir, &rival.run, holder),
            };
            let may_be_alive = holder.may_be_alive(&wish.me.host);
            let is_mine = is_own && holder.is(wish.me);
            match evidence {
                _ if holder.host != wish.me.host => return Some(Err(held(rival, holder))),
                Evidence::Gone => {}
                Evidence::Nothing if is_mine || !may_be_alive => {}
                // Perhaps somebody who only looks, or who is about to be the holder.
                Evidence::Busy if !may_be_alive => {
                    return Some(Ok(Try::Later(held(rival, holder))));
                }
                Evidence::Busy | Evidence::Nothing => return Some(Err(held(rival, holder))),
            }
        }
        let busy = guard.run_is_busy || guard.name_is_busy;
        (busy && !wish.takeover).then(|| Ok(Try::Later(self.link.busy())))
    }

    /// Creates the run as held, unless a rival is in the way; the witness first, so that there is no
    /// journal without one.
    async fn insert(
        &mut self,
        new: &NewRun,
        me: &Holder,
        dead: String,
    ) -> Result<Option<Head>, StoreError> {
        if let Some(seen) = witness::seen(&self.dir, &new.id)? {
            return Err(lost(&new.id, seen, 0));
        }
        let head = Head::origin(&new.id);
        self.new_witness(&new.id, head).await?;
        let query = sqlx::query(schema::BEGIN)
            .bind(&new.id)
            .bind(&new.name)
            .bind(new.at)
            .bind(read::status_text(RunStatus::default()))
            .bind(json!(new.locks).to_string())
            .bind(&me.who)
            .bind(&me.host)
            .bind(i64::from(me.pid))
            .bind(int(me.started))
            .bind(dead);
        let done = query.execute(self.link.get().await?).await;
        match done {
            Ok(done) if done.rows_affected() == 1 => return Ok(Some(head)),
            // The row of somebody else has this id, and the witness is theirs.
            Err(error) if broken_rule(&error).is_some() => return Err(exists(&new.id)),
            other => {
                let _ = std::fs::remove_file(witness::path(&self.dir, &new.id));
                other.map_err(|error| self.link.failed(&error))?;
            }
        }
        Ok(None)
    }

    /// Grants the run of this epoch, unless something happened since.
    async fn update(
        &mut self,
        wish: Wish<'_>,
        epoch: u64,
        dead: String,
    ) -> Result<Option<Head>, StoreError> {
        let head = self.checked(wish.run).await?;
        let query = sqlx::query(schema::GRANT)
            .bind(wish.run)
            .bind(int(epoch))
            .bind(&wish.me.who)
            .bind(&wish.me.host)
            .bind(i64::from(wish.me.pid))
            .bind(int(wish.me.started))
            .bind(dead);
        let done = query.execute(self.link.get().await?).await;
        let done = done.map_err(|error| self.link.failed(&error))?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        if !wish.takeover {
            return Ok(Some(head));
        }
        // The engine that lost the run may have gone on until now, and may write its witness still.
        let head = self.checked(wish.run).await?;
        self.new_witness(wish.run, head).await?;
        Ok(Some(head))
    }

    fn hold(&mut self, run: &str, epoch: u64, head: Head, guard: Guard, again: bool) {
        let before = self.runs.remove(run);
        let guard = match before {
            Some(before) if again => before.guard,
            _ => guard,
        };
        let held = Held {
            epoch,
            head: Some(head),
            acknowledged: head.seq,
            keeper: None,
            guard,
        };
        self.runs.insert(run.to_owned(), held);
    }

    /// The run itself first, then held runs that share a lock with it or with the run to be.
    async fn rivals(&mut self, run: &str, new: Option<&NewRun>) -> Result<Vec<Rival>, StoreError> {
        let locks = new.map(|new| json!(new.locks).to_string());
        let query = sqlx::query(schema::RIVALS).bind(run).bind(locks);
        let rows = query.fetch_all(self.link.get().await?).await;
        let rivals = rows.and_then(|rows| rows.iter().map(rival).collect());
        rivals.map_err(|error| self.link.failed(&error))
    }

    /// Gives the run up; its witness says all that its journal has.
    pub(super) async fn release(&mut self, lease: &Lease) -> Result<(), StoreError> {
        let query = sqlx::query(schema::RELEASE)
            .bind(&lease.run)
            .bind(int(lease.epoch));
        let done = query.execute(self.link.get().await?).await;
        let done = done.map_err(|error| self.link.failed(&error))?;
        let held = self.runs.get(&lease.run);
        let current = held.is_some_and(|held| held.epoch == lease.epoch);
        // Still under the kernel's lock, and never on behalf of somebody who lost the run.
        let released = match done.rows_affected() {
            0 => Err(self.fenced(lease).await?),
            _ if current => self.catch_up(&lease.run).await,
            _ => Ok(()),
        };
        if current {
            self.runs.remove(&lease.run);
        }
        released
    }

    /// A lost lease explains a batch out of order, and is what the caller must hear of.
    pub(super) async fn fence_first(
        &mut self,
        lease: &Lease,
        other: StoreError,
    ) -> Result<StoreError, StoreError> {
        let rivals = self.rivals(&lease.run, None).await?;
        let current = rivals
            .first()
            .is_some_and(|own| own.epoch == lease.epoch && own.holder.is_some());
        match current {
            true => Ok(other),
            false => self.fenced(lease).await,
        }
    }

    /// The error of a lost lease, with who has the run now.
    pub(super) async fn fenced(&mut self, lease: &Lease) -> Result<StoreError, StoreError> {
        let own = self.rivals(&lease.run, None).await?.into_iter().next();
        Ok(match own.filter(|own| own.lock.is_none()) {
            None => no_run(&self.dir, &lease.run)?,
            Some(own) => StoreError::Fenced {
                run: lease.run.clone(),
                epoch: lease.epoch,
                holder: own.holder.map(Box::new),
            },
        })
    }
}

fn rival(row: &SqliteRow) -> Result<Rival, sqlx::Error> {
    Ok(Rival {
        run: row.try_get("id")?,
        epoch: read::whole(row.try_get("epoch")?),
        locks: row.try_get("locks")?,
        lock: row.try_get("lock")?,
        holder: read::holder(row)?,
    })
}

fn held(rival: &Rival, holder: &Holder) -> StoreError {
    StoreError::Held {
        run: rival.run.clone(),
        lock: rival.lock.clone(),
        holder: Box::new(holder.clone()),
    }
}

fn exists(run: &str) -> StoreError {
    StoreError::Exists {
        run: run.to_owned(),
    }
}
