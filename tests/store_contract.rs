//! What every store must do, run against each of them.
//!
//! A new store joins by one more line of `contract!`; what only one of them has is tested beside.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry::event::{Event, RunEvent, RunStatus};
use ferry::store::{
    Batch, Dispatched, Holder, MemoryStore, NewRun, SqliteStore, Store, StoreError, process_started,
};
use serde_json::json;
use tempfile::TempDir;

/// A store and what must outlive it.
pub struct Made {
    pub store: Arc<dyn Store>,
    _dir: Option<TempDir>,
}

async fn memory() -> Made {
    Made {
        store: Arc::new(MemoryStore::new()),
        _dir: None,
    }
}

async fn sqlite() -> Made {
    let dir = TempDir::new().unwrap();
    Made {
        store: Arc::new(SqliteStore::open(&dir.path().join("s")).await.unwrap()),
        _dir: Some(dir),
    }
}

macro_rules! contract {
    ($($case:ident)*) => {
        mod on_memory { $(#[tokio::test] async fn $case() { super::$case(super::memory().await).await; })* }
        mod on_sqlite { $(#[tokio::test] async fn $case() { super::$case(super::sqlite().await).await; })* }
    };
}

contract! {
    a_run_is_created_once
    what_is_not_there_is_said
    a_run_is_held_by_one_process
    a_run_begins_held_or_not_at_all
    a_takeover_fences_whoever_had_the_run
    a_lock_is_held_by_one_run
    a_dead_holder_holds_nothing
    a_lost_lease_writes_nothing
    a_released_run_takes_no_commit
    events_come_back_as_they_went_in
    a_gap_is_refused_whole
    effects_are_open_until_settled
    an_item_is_consumed_once
    a_refused_batch_leaves_nothing
    rows_tell_where_runs_stand
    a_change_wakes_who_waits
    a_chain_depends_on_run_and_content
    claims_at_the_same_time_grant_one
}

pub fn new_run(id: &str) -> NewRun {
    NewRun {
        id: id.into(),
        name: "cache".into(),
        at: 1000,
        locks: Vec::new(),
    }
}

pub fn me() -> Holder {
    let pid = std::process::id();
    Holder {
        who: "ann".into(),
        host: "here".into(),
        pid,
        started: process_started(pid).unwrap(),
    }
}

/// A process that runs until this is dropped.
struct Other(std::process::Child);

impl Other {
    fn start() -> Self {
        let sleep = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn();
        Self(sleep.unwrap())
    }

    fn holder(&self) -> Holder {
        Holder {
            who: "bob".into(),
            host: "here".into(),
            pid: self.0.id(),
            started: process_started(self.0.id()).unwrap(),
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn event(seq: u64) -> Event {
    let by = format!("operator \"{seq}\" \u{1f6a2}\n");
    Event {
        seq,
        at: 1000 + i64::try_from(seq).unwrap(),
        kind: RunEvent::Started {
            by,
            host: "here".into(),
            pid: 7,
            attended: false,
            guided: false,
        }
        .into(),
    }
}

pub fn events(seqs: impl IntoIterator<Item = u64>) -> Batch {
    Batch {
        events: seqs.into_iter().map(event).collect(),
        ..Batch::default()
    }
}

fn effect(key: &str, seq: u64) -> Dispatched {
    Dispatched {
        key: key.into(),
        seq,
    }
}

fn held(error: StoreError) -> (String, Option<String>, Holder) {
    match error {
        StoreError::Held { run, lock, holder } => (run, lock, *holder),
        other => panic!("{other}"),
    }
}

async fn a_run_is_created_once(made: Made) {
    let store = made.store;
    store.create(&new_run("r1")).await.unwrap();
    let error = store.create(&new_run("r1")).await.unwrap_err();
    assert_eq!(error.to_string(), "run `r1` exists already");
    assert!(matches!(error, StoreError::Exists { run } if run == "r1"));
    assert_eq!(store.runs().await.unwrap().len(), 1);
}

async fn what_is_not_there_is_said(made: Made) {
    let store = made.store;
    let errors = [
        store.claim("r", &me(), false).await.unwrap_err(),
        store.load("r", 1).await.unwrap_err(),
        store.open_effects("r").await.unwrap_err(),
        store.inbox("r").await.unwrap_err(),
        store.send("r", 1, "ann", json!(1)).await.unwrap_err(),
        store.changed("r", 0, Duration::ZERO).await.unwrap_err(),
        store.verify("r").await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.to_string(), "no run `r` in the store");
    }
    assert_eq!(store.find("r").await.unwrap(), None);
    assert_eq!(store.runs().await.unwrap(), []);
}

async fn a_run_is_held_by_one_process(made: Made) {
    let store = made.store;
    let other = Other::start();
    store.create(&new_run("r1")).await.unwrap();
    let lease = store.claim("r1", &other.holder(), false).await.unwrap();
    assert_eq!((lease.run.as_str(), lease.epoch), ("r1", 1));
    let error = store.claim("r1", &me(), false).await.unwrap_err();
    let words = format!("run `r1` is held by `bob` on `here` (pid {})", other.0.id());
    assert_eq!(error.to_string(), words);
    assert_eq!(held(error), ("r1".into(), None, other.holder()));

    store.release(&lease).await.unwrap();
    store.release(&lease).await.unwrap();
    assert_eq!(store.claim("r1", &me(), false).await.unwrap().epoch, 2);
    assert_eq!(
        store.claim("r1", &me(), false).await.unwrap().epoch,
        3,
        "its own"
    );
    let late = store.release(&lease).await.unwrap_err();
    assert!(matches!(late, StoreError::Fenced { epoch: 1, .. }));
    assert_eq!(store.find("r1").await.unwrap().unwrap().holder, Some(me()));
}

async fn a_run_begins_held_or_not_at_all(made: Made) {
    let store = made.store;
    let other = Other::start();
    let locked = |id: &str| NewRun {
        locks: vec!["redis:a".into()],
        ..new_run(id)
    };
    let a = store.begin(&locked("a"), &other.holder()).await.unwrap();
    assert_eq!((a.run.as_str(), a.epoch), ("a", 1));
    let row = store.find("a").await.unwrap().unwrap();
    assert_eq!((row.holder, row.live), (Some(other.holder()), true));
    assert_eq!((row.name.as_str(), row.created_at), ("cache", 1000));
    let error = store.begin(&locked("b"), &me()).await.unwrap_err();
    let lock = Some("redis:a".to_owned());
    assert_eq!(held(error), ("a".into(), lock, other.holder()));
    assert_eq!(
        store.find("b").await.unwrap(),
        None,
        "nothing is left of it"
    );
    let error = store.begin(&new_run("a"), &me()).await.unwrap_err();
    assert!(matches!(error, StoreError::Exists { run } if run == "a"));
    assert_eq!(store.commit(&a, events(1..=1)).await.unwrap(), 1);
    store.release(&a).await.unwrap();
    let b = store.begin(&locked("b"), &me()).await.unwrap();
    assert_eq!(store.commit(&b, events(1..=2)).await.unwrap(), 2);
    store.verify("b").await.unwrap();
}

async fn a_takeover_fences_whoever_had_the_run(made: Made) {
    let store = made.store;
    let other = Other::start();
    let locked = |id: &str| NewRun {
        locks: vec!["redis:a".into()],
        ..new_run(id)
    };
    let far = Holder {
        host: "far".into(),
        ..other.holder()
    };
    let old = store.begin(&locked("a"), &far).await.unwrap();
    store.commit(&old, events(1..=2)).await.unwrap();
    held(store.claim("a", &me(), false).await.unwrap_err());
    let new = store.claim("a", &me(), true).await.unwrap();
    assert_eq!(new.epoch, 2);
    let error = store.commit(&old, events(3..=3)).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Fenced { epoch: 1, .. }),
        "{error}"
    );
    assert_eq!(store.commit(&new, events(3..=3)).await.unwrap(), 3);
    assert_eq!(store.verify("a").await.unwrap().events, 3);
    // who has the lock through another run is left alone
    store.create(&locked("b")).await.unwrap();
    let error = store.claim("b", &other.holder(), true).await.unwrap_err();
    assert_eq!(held(error), ("a".into(), Some("redis:a".into()), me()));
}

async fn a_lock_is_held_by_one_run(made: Made) {
    let store = made.store;
    for (id, locks) in [("a", "x y"), ("b", "y z"), ("c", "z"), ("d", "q")] {
        let locks = locks.split(' ').map(str::to_owned).collect();
        let run = NewRun {
            locks,
            ..new_run(id)
        };
        store.create(&run).await.unwrap();
    }
    let a = store.claim("a", &me(), false).await.unwrap();
    let error = store.claim("b", &me(), false).await.unwrap_err();
    assert_eq!(held(error), ("a".into(), Some("y".into()), me()));
    store.claim("d", &me(), false).await.unwrap();
    store.release(&a).await.unwrap();
    store.claim("b", &me(), false).await.unwrap();
    let error = store.claim("c", &me(), false).await.unwrap_err();
    assert_eq!(held(error).1.as_deref(), Some("z"));
}

async fn a_dead_holder_holds_nothing(made: Made) {
    let store = made.store;
    let locks = vec!["redis:a".to_owned()];
    for id in ["r1", "r2"] {
        let run = NewRun {
            locks: locks.clone(),
            ..new_run(id)
        };
        store.create(&run).await.unwrap();
    }
    let mut other = Other::start();
    let bob = other.holder();
    store.claim("r1", &bob, false).await.unwrap();
    store.claim("r2", &me(), false).await.unwrap_err();
    other.0.kill().unwrap();
    // Its remains are in the process table until they are fetched; they hold nothing either.
    let deadline = Instant::now() + Duration::from_secs(10);
    while process_started(bob.pid).is_some() {
        assert!(Instant::now() < deadline, "the child outlives SIGKILL");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let r2 = store.claim("r2", &me(), false).await.unwrap();
    store.release(&r2).await.unwrap();
    other.0.wait().unwrap();
    assert_eq!(store.claim("r1", &me(), false).await.unwrap().epoch, 2);

    // A pid that came back: alive, but not the one that held the run.
    let living = Other::start();
    let mut before = living.holder();
    before.started -= 1;
    store.claim("r1", &before, false).await.unwrap_err();
    let row = store.find("r1").await.unwrap().unwrap();
    store.release(&lease("r1", 2)).await.unwrap();
    store.claim("r1", &before, false).await.unwrap();
    assert_eq!(store.claim("r1", &me(), false).await.unwrap().epoch, 4);
    assert_eq!(row.holder, Some(me()));

    // Of another host nothing is known.
    store.release(&lease("r1", 4)).await.unwrap();
    let far = Holder {
        host: "far".into(),
        ..bob
    };
    store.claim("r1", &far, false).await.unwrap();
    store.claim("r1", &me(), false).await.unwrap_err();
}

fn lease(run: &str, epoch: u64) -> ferry::store::Lease {
    ferry::store::Lease {
        run: run.into(),
        epoch,
    }
}

async fn a_lost_lease_writes_nothing(made: Made) {
    let store = made.store;
    store.create(&new_run("r1")).await.unwrap();
    let old = store.claim("r1", &me(), false).await.unwrap();
    assert_eq!(store.commit(&old, events(1..=1)).await.unwrap(), 1);
    let new = store.claim("r1", &me(), false).await.unwrap();
    for batch in [
        events(2..=2),
        events(2..=4),
        events(1..=1),
        Batch::default(),
    ] {
        match store.commit(&old, batch).await.unwrap_err() {
            StoreError::Fenced { run, epoch, holder } => {
                assert_eq!((run.as_str(), epoch), ("r1", 1));
                assert_eq!(holder.as_deref(), Some(&me()));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(store.commit(&new, events(2..=3)).await.unwrap(), 3);
    store
        .commit(&lease("r1", 3), events(4..=4))
        .await
        .unwrap_err();
    assert_eq!(store.load("r1", 1).await.unwrap().len(), 3);
}

async fn a_released_run_takes_no_commit(made: Made) {
    let store = made.store;
    store.create(&new_run("r1")).await.unwrap();
    let lease = store.claim("r1", &me(), false).await.unwrap();
    store.commit(&lease, events(1..=1)).await.unwrap();
    store.release(&lease).await.unwrap();
    let error = store.commit(&lease, events(2..=2)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the lease on run `r1` was lost (epoch 1)"
    );
    let nothing = store.commit(&self::lease("r9", 1), events(1..=1)).await;
    assert!(matches!(nothing.unwrap_err(), StoreError::NoRun { run } if run == "r9"));
}

async fn events_come_back_as_they_went_in(made: Made) {
    let store = made.store;
    store.create(&new_run("r1")).await.unwrap();
    store.create(&new_run("r2")).await.unwrap();
    let lease = store.claim("r1", &me(), false).await.unwrap();
    assert_eq!(store.load("r1", 1).await.unwrap(), []);
    assert_eq!(store.commit(&lease, events(1..=1)).await.unwrap(), 1);
    assert_eq!(store.commit(&lease, events(2..=40)).await.unwrap(), 40);
    assert_eq!(store.commit(&lease, Batch::default()).await.unwrap(), 40);
    let all: Vec<_> = (1..=40).map(event).collect();
    assert_eq!(store.load("r1", 0).await.unwrap(), all);
    assert_eq!(store.load("r1", 1).await.unwrap(), all);
    assert_eq!(store.load("r1", 2).await.unwrap(), all[1..]);
    assert_eq!(store.load("r1", 40).await.unwrap(), all[39..]);
    assert_eq!(store.load("r1", 41).await.unwrap(), []);
    assert_eq!(store.load("r1", 99).await.unwrap(), []);
    assert_eq!(store.load("r2", 1).await.unwrap(), []);
}

async fn a_gap_is_refused_whole(made: Made) {
    let store = made.store;
    store.create(&new_run("r1")).await.unwrap();
    let lease = store.claim("r1", &me(), false).await.unwrap();
    store.commit(&lease, events(1..=2)).await.unwrap();
    let cases = [
        (vec![4], 3, 4),
        (vec![2], 3, 2),
        (vec![3, 5], 4, 5),
        (vec![3, 4, 4], 5, 4),
    ];
    for (seqs, wanted, got) in cases {
        match store.commit(&lease, events(seqs)).await.unwrap_err() {
            StoreError::OutOfOrder {
                run,
                expected,
                found,
            } => assert_eq!((run.as_str(), expected, found), ("r1", wanted, got)),
            other => panic!("{other}"),
        }
        assert_eq!(store.load("r1", 1).await.unwrap().len(), 2);
    }
    assert_eq!(store.commit(&lease, events(3..=3)).await.unwrap(), 3);
}

async fn effects_are_open_until_settled(made: Made) {
    let store = made.store;
    store.create(&new_run("r1")).await.unwrap();
    let lease = store.claim("r1", &me(), false).await.unwrap();
    let batch = Batch {
        dispatched: vec![effect("warm:do", 2), effect("it's \"b\":do", 1)],
        ..events(1..=2)
    };
    store.commit(&lease, batch).await.unwrap();
    let open = store.open_effects("r1").await.unwrap();
    assert_eq!(open, [effect("it's \"b\":do", 1), effect("warm:do", 2)]);
    let batch = Batch {
        settled: vec!["it's \"b\":do".into(), "never:do".into(), "warm:do".into()],
        dispatched: vec![effect("warm:do", 3)],
        ..events(3..=3)
    };
    store.commit(&lease, batch).await.unwrap();
    let open = store.open_effects("r1").await.unwrap();
    assert_eq!(open, [effect("warm:do", 3)]);
    let batch = Batch {
        dispatched: vec![effect("warm:do", 4)],
        ..events(4..=5)
    };
    store.commit(&lease, batch).await.unwrap();
    let open = store.open_effects("r1").await.unwrap();
    assert_eq!(open, [effect("warm:do", 4)]);
    let batch = Batch {
        settled: vec!["warm:do".into()],
        ..Batch::default()
    };
    assert_eq!(store.commit(&lease, batch).await.unwrap(), 5);
    assert_eq!(store.open_effects("r1").await.unwrap(), []);
}

async fn an_item_is_consumed_once(made: Made) {
    let store = made.store;
    store.create(&new_run("r1")).await.unwrap();
    store.create(&new_run("r2")).await.unwrap();
    let lease = store.claim("r1", &me(), false).await.unwrap();
    let body = json!({"approve": "deploy", "note": "it's ok"});
    let first = store.send("r1", 5, "ann", body.clone()).await.unwrap();
    let second = store.send("r1", 6, "bob", json!("pause")).await.unwrap();
    let foreign = store.send("r2", 7, "eve", json!(null)).await.unwrap();
    let items = store.inbox("r1").await.unwrap();
    assert_eq!(items.len(), 2);
    assert_eq!((items[0].id, items[0].at), (first, 5));
    assert_eq!((items[0].from.as_str(), &items[0].body), ("ann", &body));
    assert!(first < second && second < foreign);

    let consume = |ids: &[u64], seqs: std::ops::RangeInclusive<u64>| Batch {
        consumed: ids.to_vec(),
        ..events(seqs)
    };
    store
        .commit(&lease, consume(&[first], 1..=1))
        .await
        .unwrap();
    let ids = |items: Vec<ferry::store::InboxItem>| items.iter().map(|i| i.id).collect::<Vec<_>>();
    assert_eq!(ids(store.inbox("r1").await.unwrap()), [second]);
    for bad in [
        vec![first],
        vec![second, first],
        vec![foreign],
        vec![second, second],
    ] {
        for seqs in [2..=2, 2..=3] {
            let error = store.commit(&lease, consume(&bad, seqs)).await.unwrap_err();
            assert!(matches!(error, StoreError::NotInInbox { ids, .. } if ids == bad));
        }
    }
    assert_eq!(ids(store.inbox("r1").await.unwrap()), [second]);
    assert_eq!(ids(store.inbox("r2").await.unwrap()), [foreign]);
    store
        .commit(&lease, consume(&[second], 2..=4))
        .await
        .unwrap();
    assert_eq!(store.inbox("r1").await.unwrap(), []);
    let third = store.send("r1", 8, "ann", json!(3)).await.unwrap();
    assert!(third > foreign, "ids are not used again");
}

async fn a_refused_batch_leaves_nothing(made: Made) {
    let store = made.store;
    store.create(&new_run("r1")).await.unwrap();
    let lease = store.claim("r1", &me(), false).await.unwrap();
    let start = Batch {
        dispatched: vec![effect("old", 1)],
        ..events(1..=1)
    };
    store.commit(&lease, start).await.unwrap();
    for seqs in [2..=2, 2..=5] {
        let batch = Batch {
            dispatched: vec![effect("new", 2)],
            settled: vec!["old".into()],
            consumed: vec![77],
            status: Some(RunStatus::Failed),
            ..events(seqs)
        };
        store.commit(&lease, batch).await.unwrap_err();
    }
    assert_eq!(store.load("r1", 1).await.unwrap(), [event(1)]);
    assert_eq!(store.open_effects("r1").await.unwrap(), [effect("old", 1)]);
    let row = store.find("r1").await.unwrap().unwrap();
    assert_eq!((row.status, row.events), (RunStatus::Planned, 1));
    assert_eq!(store.commit(&lease, events(2..=3)).await.unwrap(), 3);
}

async fn rows_tell_where_runs_stand(made: Made) {
    let store = made.store;
    for (id, at) in [("old", 10), ("new", 30), ("twin", 30), ("mid", 20)] {
        let run = NewRun { at, ..new_run(id) };
        store.create(&run).await.unwrap();
    }
    let lease = store.claim("old", &me(), false).await.unwrap();
    let batch = Batch {
        status: Some(RunStatus::RollingBack),
        ..events(1..=2)
    };
    store.commit(&lease, batch).await.unwrap();
    store.commit(&lease, events(3..=3)).await.unwrap();
    let rows = store.runs().await.unwrap();
    let ids: Vec<_> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["twin", "new", "mid", "old"]);
    let row = store.find("old").await.unwrap().unwrap();
    assert_eq!(rows[3], row);
    assert_eq!(row.name, "cache");
    assert_eq!((row.created_at, row.updated_at, row.events), (10, 1003, 3));
    assert_eq!(
        (row.status, row.holder),
        (RunStatus::RollingBack, Some(me()))
    );
    let (mid, none) = (&rows[2], None::<Holder>);
    assert_eq!((mid.updated_at, mid.events, &mid.holder), (20, 0, &none));
    store.release(&lease).await.unwrap();
    assert_eq!(store.find("old").await.unwrap().unwrap().holder, None);
}

async fn a_change_wakes_who_waits(made: Made) {
    let store = made.store;
    store.create(&new_run("r1")).await.unwrap();
    store.create(&new_run("r2")).await.unwrap();
    let lease = store.claim("r1", &me(), false).await.unwrap();
    let started = Instant::now();
    let wait = Duration::from_millis(30);
    assert_eq!(store.changed("r1", 0, wait).await.unwrap(), 0);
    assert!(started.elapsed() >= wait);

    let long = Duration::from_secs(20);
    let watch = |since| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.changed("r1", since, long).await.unwrap() })
    };
    let waiting = watch(0);
    tokio::time::sleep(Duration::from_millis(20)).await;
    store.send("r2", 1, "ann", json!(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!waiting.is_finished(), "another run's news woke it");
    store.commit(&lease, events(1..=1)).await.unwrap();
    let first = waiting.await.unwrap();
    let waiting = watch(first);
    let item = store.send("r1", 1, "ann", json!(1)).await.unwrap();
    let second = waiting.await.unwrap();
    assert!(0 < first && first < second);
    let batch = Batch {
        consumed: vec![item],
        ..events(2..=2)
    };
    store.commit(&lease, batch).await.unwrap();
    assert!(second < store.changed("r1", second, long).await.unwrap());
    assert!(started.elapsed() < long);
}

async fn a_chain_depends_on_run_and_content(made: Made) {
    let store = made.store;
    let mut heads = Vec::new();
    for (id, seqs) in [
        ("a", [1..=1, 2..=3]),
        ("b", [1..=1, 2..=3]),
        ("c", [1..=2, 3..=3]),
    ] {
        store.create(&new_run(id)).await.unwrap();
        let lease = store.claim(id, &me(), false).await.unwrap();
        for seqs in seqs {
            store.commit(&lease, events(seqs)).await.unwrap();
        }
        let verified = store.verify(id).await.unwrap();
        assert_eq!((verified.events, verified.head.len()), (3, 64));
        heads.push(verified.head);
    }
    heads.sort();
    heads.dedup();
    assert_eq!(heads.len(), 3, "a journal is bound to its run");
    // The same figure in every store: it is what a report names.
    assert_eq!(
        store.verify("a").await.unwrap().head,
        "2d82f773b20ad3b01c7a489bd369bb048abb3972788c2e39da8b86942774bcbc"
    );
}

async fn claims_at_the_same_time_grant_one(made: Made) {
    let store = made.store;
    let others: Vec<_> = (0..8).map(|_| Other::start()).collect();
    for id in ["r0", "r1"] {
        let locks = vec!["target".to_owned()];
        let run = NewRun {
            locks,
            ..new_run(id)
        };
        store.create(&run).await.unwrap();
    }
    let claims = others.iter().enumerate().map(|(i, other)| {
        let (store, holder) = (Arc::clone(&store), other.holder());
        tokio::spawn(async move { store.claim(&format!("r{}", i % 2), &holder, false).await })
    });
    let mut granted = 0;
    for claim in claims.collect::<Vec<_>>() {
        match claim.await.unwrap() {
            Ok(lease) => granted += lease.epoch,
            Err(error) => drop(held(error)),
        }
    }
    assert_eq!(granted, 1);
}
