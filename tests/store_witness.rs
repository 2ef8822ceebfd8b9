//! The head witness, the kernel's locks and the space put aside, at the store itself.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ferry::event::RunStatus;
use ferry::store::{
    Batch, Holder, Lease, Liveness, NewRun, SqliteStore, Store, StoreError, Unwitnessed,
};
use tempfile::TempDir;

use crate::store_contract::{events, me, new_run};

const FILES: [&str; 2] = ["ferry.db", "heads/r1"];

async fn begun(dir: &Path, count: u64) -> (SqliteStore, Lease) {
    let store = SqliteStore::open(dir).await.unwrap();
    let lease = store.begin(&new_run("r1"), &me()).await.unwrap();
    for seq in 1..=count {
        store.commit(&lease, events(seq..=seq)).await.unwrap();
    }
    (store, lease)
}

/// A store with `r1` of ten events, given up and closed.
async fn settled(dir: &Path) {
    let (store, lease) = begun(dir, 10).await;
    store.release(&lease).await.unwrap();
    store.close().await.unwrap();
}

async fn verdict(dir: &Path) -> Result<u64, StoreError> {
    let store = SqliteStore::open_read_only(dir).await.unwrap();
    store.verify("r1").await.map(|verified| verified.events)
}

/// What a claim says; it must change nothing when it is refused.
async fn claim(dir: &Path) -> Result<Lease, StoreError> {
    let store = SqliteStore::open(dir).await.unwrap();
    store.claim("r1", &me(), false).await
}

fn temp() -> (TempDir, std::path::PathBuf) {
    let dir = TempDir::new().unwrap();
    let store = dir.path().join("state");
    (dir, store)
}

#[tokio::test]
async fn the_witness_is_close_behind_and_never_ahead() {
    let (_temp, dir) = temp();
    let (store, lease) = begun(&dir, 0).await;
    let seen = async || store.verify("r1").await.unwrap().witness.unwrap();
    assert_eq!(seen().await, 0);
    // one commit behind where they are not faster than 5 ms
    for seq in 1..=10 {
        tokio::time::sleep(Duration::from_millis(6)).await;
        store.commit(&lease, events(seq..=seq)).await.unwrap();
        let seen = seen().await;
        assert!(seen == seq || seen == seq - 1, "{seen} at {seq}");
    }
    for seq in 11..=20 {
        store.commit(&lease, events(seq..=seq)).await.unwrap();
        let seen = seen().await;
        assert!((9..=seq).contains(&seen), "{seen} at {seq}");
    }
    // by itself, soon after the last one
    let until = Instant::now() + Duration::from_secs(10);
    while seen().await < 20 {
        assert!(Instant::now() < until, "the witness did not follow");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // at once, when the run stops or is given up
    let batch = Batch {
        status: Some(RunStatus::Failed),
        ..events(21..=23)
    };
    store.commit(&lease, batch).await.unwrap();
    assert_eq!(seen().await, 23);
    store.commit(&lease, events(24..=24)).await.unwrap();
    store.release(&lease).await.unwrap();
    assert_eq!(seen().await, 24);
    let data = fs::metadata(dir.join("heads/r1")).unwrap();
    assert_eq!((data.mode() & 0o777, data.len()), (0o600, 8192));
    assert_eq!(
        fs::metadata(dir.join("heads")).unwrap().mode() & 0o777,
        0o700
    );
}

/// S07 at the store: yesterday's copy.
#[tokio::test]
async fn an_older_copy_of_the_database_is_seen() {
    let (_temp, dir) = temp();
    let (store, lease) = begun(&dir, 4).await;
    store.release(&lease).await.unwrap();
    store.close().await.unwrap();
    fs::copy(dir.join("ferry.db"), dir.join("old")).unwrap();
    let store = SqliteStore::open(&dir).await.unwrap();
    let lease = store.claim("r1", &me(), false).await.unwrap();
    store.commit(&lease, events(5..=9)).await.unwrap();
    store.release(&lease).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(verdict(&dir).await.unwrap(), 9);
    fs::copy(dir.join("old"), dir.join("ferry.db")).unwrap();
    for error in [
        verdict(&dir).await.unwrap_err(),
        claim(&dir).await.unwrap_err(),
    ] {
        let words = "journal of run `r1` lost events: its witness saw event 9 and the journal ends at event 4";
        assert_eq!(error.to_string(), words);
        assert_eq!(error.first_bad(), Some(5));
    }
    let reader = SqliteStore::open_read_only(&dir).await.unwrap();
    assert_eq!(reader.find("r1").await.unwrap().unwrap().holder, None);
}

/// A copy that somebody went on with is as long as the journal, and another.
#[tokio::test]
async fn a_copy_that_went_on_elsewhere_is_seen() {
    let (_temp, dir) = temp();
    let (_other_temp, other) = temp();
    let (store, lease) = begun(&dir, 3).await;
    store.release(&lease).await.unwrap();
    store.close().await.unwrap();
    drop(SqliteStore::open(&other).await.unwrap().close().await);
    fs::create_dir(other.join("heads")).unwrap();
    for file in FILES {
        fs::copy(dir.join(file), other.join(file)).unwrap();
    }
    for (dir, seqs) in [(&dir, [4..=4, 5..=6]), (&other, [4..=5, 6..=6])] {
        let store = SqliteStore::open(dir).await.unwrap();
        let lease = store.claim("r1", &me(), false).await.unwrap();
        for seqs in seqs {
            let mut batch = events(seqs);
            batch.events[0].at += i64::from(dir == &other);
            store.commit(&lease, batch).await.unwrap();
        }
        store.release(&lease).await.unwrap();
        store.close().await.unwrap();
    }
    fs::copy(other.join("ferry.db"), dir.join("ferry.db")).unwrap();
    for error in [
        verdict(&dir).await.unwrap_err(),
        claim(&dir).await.unwrap_err(),
    ] {
        let words =
            "journal of run `r1` was exchanged: event 6 is not the one that its witness saw";
        assert_eq!(error.to_string(), words);
    }
}

#[tokio::test]
async fn a_run_or_a_database_that_is_gone_is_missed() {
    let (_temp, dir) = temp();
    drop(SqliteStore::open(&dir).await.unwrap().close().await);
    fs::copy(dir.join("ferry.db"), dir.join("new")).unwrap();
    settled(&dir).await;
    fs::copy(dir.join("new"), dir.join("ferry.db")).unwrap();
    let words = "journal of run `r1` lost events: its witness saw event 10 and there is none in the database";
    assert_eq!(verdict(&dir).await.unwrap_err().to_string(), words);
    assert_eq!(claim(&dir).await.unwrap_err().to_string(), words);
    let store = SqliteStore::open(&dir).await.unwrap();
    assert_eq!(store.names().await.unwrap(), ["r1"]);
    let error = store.begin(&new_run("r1"), &me()).await.unwrap_err();
    assert_eq!(error.to_string(), words);
    store.close().await.unwrap();
    for empty in [false, true] {
        fs::remove_file(dir.join("ferry.db")).unwrap();
        if empty {
            fs::write(dir.join("ferry.db"), "").unwrap();
        }
        let error = SqliteStore::open(&dir).await.err().unwrap();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("run `r1`"), "{error}");
        if !empty {
            fs::write(dir.join("ferry.db"), "").unwrap();
        }
    }
}

/// S08, witness alone: rebuilt when somebody says so, and only then.
#[tokio::test]
async fn a_witness_is_rebuilt_on_request_alone() {
    let (_temp, dir) = temp();
    settled(&dir).await;
    let witness = dir.join("heads/r1");
    let store = SqliteStore::open_read_only(&dir).await.unwrap();
    let error = store.rebuild_witness("r1").await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    let damages: [(&dyn Fn(), Unwitnessed); 2] = [
        (&|| fs::remove_file(&witness).unwrap(), Unwitnessed::Missing),
        (
            &|| fs::write(&witness, vec![7; 8192]).unwrap(),
            Unwitnessed::Damaged,
        ),
    ];
    for (damage, expected) in damages {
        damage();
        for error in [
            verdict(&dir).await.unwrap_err(),
            claim(&dir).await.unwrap_err(),
        ] {
            match &error {
                StoreError::Unwitnessed { run, why } => {
                    assert_eq!((run.as_str(), *why), ("r1", expected));
                }
                other => panic!("{other}"),
            }
            let hint = error.hint().unwrap();
            assert!(hint.contains("ferry doctor --rebuild-witness r1"), "{hint}");
        }
        assert_eq!(store.rebuild_witness("r1").await.unwrap(), 10);
        assert_eq!(verdict(&dir).await.unwrap(), 10);
    }
    // one that disagrees is not put aside
    let (_old_temp, old) = temp();
    let (shorter, lease) = begun(&old, 3).await;
    shorter.release(&lease).await.unwrap();
    shorter.close().await.unwrap();
    store.close().await.unwrap();
    fs::copy(old.join("ferry.db"), dir.join("ferry.db")).unwrap();
    let store = SqliteStore::open_read_only(&dir).await.unwrap();
    let error = store.rebuild_witness("r1").await.unwrap_err();
    assert!(
        matches!(error, StoreError::Lost { seen: 10, .. }),
        "{error}"
    );
}

/// W4: a witness that cannot be written fails the commit, and is opened anew for the next.
#[tokio::test]
async fn a_witness_that_is_gone_under_a_writer_is_told() {
    let (_temp, dir) = temp();
    let (store, lease) = begun(&dir, 3).await;
    store.release(&lease).await.unwrap();
    let lease = store.claim("r1", &me(), false).await.unwrap();
    fs::remove_file(dir.join("heads/r1")).unwrap();
    let error = store.commit(&lease, events(4..=4)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unwitnessed { .. }), "{error}");
    assert_eq!(store.load("r1", 1).await.unwrap().len(), 3);
}

#[tokio::test]
async fn the_kernels_lock_decides_not_the_pid() {
    let (_temp, dir) = temp();
    let (store, _) = begun(&dir, 1).await;
    let second = SqliteStore::open(&dir).await.unwrap();
    // the same process by another handle, and by all that a pid tells the holder is alive
    let error = second.claim("r1", &me(), false).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Held { lock: None, .. }),
        "{error}"
    );
    let stranger = Holder {
        started: me().started + 1,
        ..me()
    };
    let error = second.claim("r1", &stranger, false).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Held { lock: None, .. }),
        "{error}"
    );
    drop(store);
    let row = second.find("r1").await.unwrap().unwrap();
    assert_eq!(row.holder, Some(me()));
    // the host's name is not this one's, so nothing is known of it
    assert!(row.live);
    assert_eq!(second.claim("r1", &stranger, false).await.unwrap().epoch, 2);
}

#[tokio::test]
async fn a_takeover_works_without_the_lock_and_the_old_witness_writes_into_nothing() {
    let (_temp, dir) = temp();
    let (old, lost) = begun(&dir, 5).await;
    let new = SqliteStore::open(&dir).await.unwrap();
    let stranger = Holder {
        started: me().started + 1,
        ..me()
    };
    let lease = new.claim("r1", &stranger, true).await.unwrap();
    assert_eq!(lease.epoch, 2);
    new.commit(&lease, events(6..=6)).await.unwrap();
    let error = old.commit(&lost, events(6..=6)).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Fenced { epoch: 1, .. }),
        "{error}"
    );
    let error = old.release(&lost).await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced { .. }), "{error}");
    new.commit(&lease, events(7..=8)).await.unwrap();
    new.release(&lease).await.unwrap();
    let verified = new.verify("r1").await.unwrap();
    assert_eq!((verified.events, verified.witness), (8, Some(8)));
}

#[tokio::test]
async fn a_holder_is_seen_alive_until_its_lock_is_free() {
    let (_temp, dir) = temp();
    let store = SqliteStore::open(&dir).await.unwrap();
    let me = Holder {
        host: ferry::store::this_host(),
        ..me()
    };
    let new = NewRun {
        locks: vec!["a:b/c".into()],
        ..new_run("r1")
    };
    store.begin(&new, &me).await.unwrap();
    let reader = SqliteStore::open_read_only(&dir).await.unwrap();
    let liveness = async || reader.examine("r1").await.unwrap().holder.unwrap().1;
    assert_eq!(liveness().await, Liveness::Alive);
    drop(store);
    // the process is there, and it is not the holder any more
    assert_eq!(liveness().await, Liveness::Gone);
    assert!(!reader.find("r1").await.unwrap().unwrap().live);
    assert!(dir.join("locks/lock-a%3Ab%2Fc").exists());
}

#[tokio::test]
async fn space_is_put_aside_and_given_back() {
    let (_temp, dir) = temp();
    let store = SqliteStore::open(&dir).await.unwrap();
    let data = fs::metadata(dir.join("ballast")).unwrap();
    assert_eq!((data.len(), data.mode() & 0o777), (1 << 20, 0o600));
    assert!(data.blocks() * 512 >= 1 << 20, "a hole frees nothing");
    assert!(store.make_room());
    assert!(!dir.join("ballast").exists());
    assert!(!store.make_room());
    store.close().await.unwrap();
    SqliteStore::open(&dir).await.unwrap();
    assert!(dir.join("ballast").exists());
}
