//! What only the SQLite store has: files, modes, formats, damage, and readers in other processes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ferry::event::RunStatus;
use ferry::store::{Batch, Dispatched, Lease, SqliteStore, Store, StoreError};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use crate::store_contract::{event, events, me, new_run};

/// A store with run `r1` of `count` events, claimed.
async fn filled(dir: &Path, count: u64) -> (SqliteStore, Lease) {
    let store = SqliteStore::open(dir).await.unwrap();
    store.create(&new_run("r1")).await.unwrap();
    let lease = store.claim("r1", &me(), false).await.unwrap();
    store.commit(&lease, events(1..=count)).await.unwrap();
    (store, lease)
}

/// Another program at the database.
async fn intruder(dir: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(dir.join("ferry.db"));
    options.connect().await.unwrap()
}

async fn edit(dir: &Path, sql: &'static str) {
    let mut db = intruder(dir).await;
    let done = sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
    assert!(
        done.rows_affected() > 0 || sql.starts_with("PRAGMA"),
        "{sql}"
    );
    db.close().await.unwrap();
}

fn temp() -> (TempDir, std::path::PathBuf) {
    let dir = TempDir::new().unwrap();
    let store = dir.path().join("state");
    (dir, store)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_new_store_is_its_owners_alone() {
    let (_temp, dir) = temp();
    let dir = dir.join("deep");
    let (store, _) = filled(&dir, 1).await;
    assert_eq!(mode(&dir), 0o700);
    for file in ["ferry.db", "ferry.db-wal", "ferry.db-shm"] {
        assert_eq!(mode(&dir.join(file)), 0o600, "{file}");
    }
    store.close().await.unwrap();
    assert!(!dir.join("ferry.db-wal").exists());

    fs::set_permissions(&dir, fs::Permissions::from_mode(0o705)).unwrap();
    let error = SqliteStore::open(&dir).await.err().unwrap();
    let words = format!(
        "store `{}` refused: everybody can get at it (mode 705)",
        dir.display()
    );
    assert_eq!(error.to_string(), words);
    let hint = format!("chmod 700 {}", dir.display());
    assert_eq!(error.hint().as_deref(), Some(&*hint));
}

#[tokio::test]
async fn no_store_and_foreign_files_are_told_apart() {
    let (_temp, dir) = temp();
    let error = SqliteStore::open_read_only(&dir).await.err().unwrap();
    assert!(matches!(error, StoreError::NoStore { path } if path == dir));
    assert!(!dir.exists(), "reading creates nothing");

    drop(filled(&dir, 1).await.0.close().await);
    edit(&dir, "PRAGMA user_version = 2").await;
    for opened in [
        SqliteStore::open(&dir).await,
        SqliteStore::open_read_only(&dir).await,
    ] {
        let error = opened.err().unwrap();
        assert!(
            matches!(
                error,
                StoreError::Newer {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{error}"
        );
    }
    edit(&dir, "PRAGMA user_version = 1; PRAGMA application_id = 5").await;
    let error = SqliteStore::open(&dir).await.err().unwrap();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    fs::write(
        dir.join("ferry.db"),
        "not a database, but long enough to be looked at".repeat(99),
    )
    .unwrap();
    let error = SqliteStore::open(&dir).await.err().unwrap();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn an_edit_is_found_and_named() {
    let cases = [
        (
            "UPDATE event SET body = replace(body, '\"7', '\"8') WHERE seq = 7",
            7,
            "its hash does not fit its content",
        ),
        (
            "UPDATE event SET at = at + 1 WHERE seq = 1",
            1,
            "its hash does not fit its content",
        ),
        (
            "UPDATE event SET kind = 'run.parked' WHERE seq = 3",
            3,
            "its kind does not fit its body",
        ),
        (
            "DELETE FROM event WHERE seq = 5",
            5,
            "it is missing; event 6 follows",
        ),
        (
            "DELETE FROM event WHERE seq < 3",
            1,
            "it is missing; event 3 follows",
        ),
        (
            "DELETE FROM event WHERE seq > 8",
            9,
            "it is missing; the journal had 10 events",
        ),
        (
            "UPDATE event SET seq = 11 WHERE seq = 10",
            10,
            "it is missing; event 11 follows",
        ),
        (
            "UPDATE event SET body = CAST(x'7b22ff227d' AS TEXT) WHERE seq = 4",
            4,
            "its hash does not fit its content",
        ),
    ];
    for (sql, seq, what) in cases {
        let (_temp, dir) = temp();
        let (store, lease) = filled(&dir, 10).await;
        assert_eq!(store.verify("r1").await.unwrap().events, 10);
        store.release(&lease).await.unwrap();
        edit(&dir, sql).await;
        let words = format!("journal of run `r1` is corrupt at event {seq}: {what}");
        assert_eq!(
            store.verify("r1").await.unwrap_err().to_string(),
            words,
            "{sql}"
        );
        assert_eq!(
            store.load("r1", 1).await.unwrap_err().to_string(),
            words,
            "{sql}"
        );
        let reader = SqliteStore::open_read_only(&dir).await.unwrap();
        assert_eq!(
            reader.load("r1", 0).await.unwrap_err().to_string(),
            words,
            "{sql}"
        );
    }
}

#[tokio::test]
async fn a_journal_cannot_be_passed_off_as_another_runs() {
    let (_temp, dir) = temp();
    let (store, _) = filled(&dir, 3).await;
    store.create(&new_run("r2")).await.unwrap();
    edit(
        &dir,
        "INSERT INTO event SELECT 'r2', seq, at, kind, body, hash FROM event",
    )
    .await;
    store.verify("r1").await.unwrap();
    let error = store.verify("r2").await.unwrap_err();
    assert!(
        matches!(error, StoreError::Corrupt { seq: 1, .. }),
        "{error}"
    );
}

/// The statement fails at its second row, after the first was written.
#[tokio::test]
async fn a_batch_that_fails_in_the_middle_leaves_nothing() {
    let (_temp, dir) = temp();
    let (store, lease) = filled(&dir, 1).await;
    edit(
        &dir,
        "INSERT INTO event VALUES ('r1', 3, 0, 'x', '{}', x'00')",
    )
    .await;
    let batch = Batch {
        dispatched: vec![Dispatched {
            key: "k".into(),
            seq: 2,
        }],
        status: Some(RunStatus::Running),
        ..events(2..=4)
    };
    let error = store.commit(&lease, batch).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Corrupt { seq: 3, .. }),
        "{error}"
    );
    edit(&dir, "DELETE FROM event WHERE seq = 3").await;
    assert_eq!(store.load("r1", 1).await.unwrap(), [event(1)]);
    assert_eq!(store.open_effects("r1").await.unwrap(), []);
    let status = store.find("r1").await.unwrap().unwrap().status;
    assert_eq!(status, RunStatus::Planned);
    assert_eq!(store.commit(&lease, events(2..=4)).await.unwrap(), 4);
    store.verify("r1").await.unwrap();
}

#[tokio::test]
async fn two_handles_of_one_lease_do_not_write_over_each_other() {
    let (_temp, dir) = temp();
    let (store, lease) = filled(&dir, 1).await;
    let second = SqliteStore::open(&dir).await.unwrap();
    assert_eq!(second.commit(&lease, events(2..=3)).await.unwrap(), 3);
    let error = store.commit(&lease, events(2..=2)).await.unwrap_err();
    let words = "journal of run `r1`: event 2 where event 4 is next";
    assert_eq!(error.to_string(), words);
    assert_eq!(store.commit(&lease, events(4..=4)).await.unwrap(), 4);
    assert_eq!(store.verify("r1").await.unwrap().events, 4);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_store_usable() {
    let (_temp, dir) = temp();
    let (store, lease) = filled(&dir, 1).await;
    let mut next = 2;
    for pause in 0..40 {
        let commit = store.commit(&lease, events(next..=next + 2));
        let _ = tokio::time::timeout(Duration::from_micros(pause * 20), commit).await;
        // Done or not done; the head says which.
        loop {
            match store.commit(&lease, events(next..=next)).await {
                Ok(seq) => break next = seq + 1,
                Err(StoreError::OutOfOrder { expected, .. }) => {
                    assert_eq!(expected, next + 3);
                    next = expected;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(store.verify("r1").await.unwrap().events, next - 1);
}

#[tokio::test]
async fn a_reader_works_while_a_writer_writes() {
    let (_temp, dir) = temp();
    let (store, lease) = filled(&dir, 1).await;
    let reader = SqliteStore::open_read_only(&dir).await.unwrap();
    let read = async {
        let mut seen = 1;
        while seen < 200 {
            let events = reader.load("r1", 1).await.unwrap();
            assert!(events.len() >= seen);
            seen = events.len();
            assert!(reader.find("r1").await.unwrap().unwrap().events >= seen as u64);
        }
    };
    let write = async {
        for seq in 2..=200 {
            store.commit(&lease, events(seq..=seq)).await.unwrap();
        }
    };
    tokio::join!(read, write);
    let refused = reader.commit(&lease, Batch::default()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }));

    // News of another handle are seen too, by looking.
    let since = reader.changed("r1", 0, Duration::ZERO).await.unwrap();
    let wait = reader.changed("r1", since, Duration::from_secs(20));
    let started = Instant::now();
    let (changed, _) = tokio::join!(wait, store.commit(&lease, events(201..=201)));
    assert!(changed.unwrap() > since);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_reader_works_after_the_engine_is_gone() {
    let (_temp, dir) = temp();
    let (store, _) = filled(&dir, 5).await;
    store.close().await.unwrap();
    for _ in 0..2 {
        let reader = SqliteStore::open_read_only(&dir).await.unwrap();
        assert_eq!(reader.verify("r1").await.unwrap().events, 5);
    }
    // And with what a killed engine leaves: the log was not moved into the database.
    let (_temp, copy) = temp();
    let (store, _) = filled(&dir.join("second"), 5).await;
    fs::create_dir(&copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir(copy.join("heads")).unwrap();
    for file in ["ferry.db", "ferry.db-wal", "heads/r1"] {
        fs::copy(dir.join("second").join(file), copy.join(file)).unwrap();
    }
    let reader = SqliteStore::open_read_only(&copy).await.unwrap();
    assert_eq!(reader.verify("r1").await.unwrap().events, 5);
    drop(store);
}

#[tokio::test]
async fn stores_that_are_created_at_the_same_time_are_one() {
    let (_temp, dir) = temp();
    let opens = (0..6).map(|_| {
        let dir = dir.clone();
        tokio::spawn(async move { SqliteStore::open(&dir).await.unwrap() })
    });
    let mut stores = Vec::new();
    for open in opens.collect::<Vec<_>>() {
        stores.push(open.await.unwrap());
    }
    for (i, store) in stores.iter().enumerate() {
        store.create(&new_run(&format!("r{i}"))).await.unwrap();
    }
    assert_eq!(stores[0].runs().await.unwrap().len(), 6);
}

#[tokio::test]
async fn ten_thousand_events_are_read_and_verified() {
    let (_temp, dir) = temp();
    let (store, lease) = filled(&dir, 1).await;
    for first in (2..10_000).step_by(1000) {
        let last = (first + 999).min(10_000);
        store.commit(&lease, events(first..=last)).await.unwrap();
    }
    let events = store.load("r1", 1).await.unwrap();
    assert_eq!(events.len(), 10_000);
    assert_eq!(events[9_999], event(10_000));
    assert_eq!(store.verify("r1").await.unwrap().events, 10_000);
}
