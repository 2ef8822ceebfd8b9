//! `file.*` on real files: atomic, kept as they were, never through a symlink, and back again.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;

use ferry::action::file::{Backup, Copy, Replace, Restore, Stat, Write};
use ferry::action::{Action, ActionError, Context};
use ferry::event::{Cause, Outcome};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::context::{call, context};

/// A directory to work in and another for the run.
struct World {
    work: tempfile::TempDir,
    run: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            work: tempfile::tempdir().unwrap(),
            run: tempfile::tempdir().unwrap(),
        }
    }

    fn cx(&self) -> Context {
        context(self.run.path())
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.work.path().join(name), text).unwrap();
    }

    fn get(&self, name: &str) -> String {
        fs::read_to_string(self.work.path().join(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        let metadata = fs::metadata(self.work.path().join(name)).unwrap();
        metadata.permissions().mode() & 0o7777
    }

    fn set_mode(&self, name: &str, mode: u32) {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(self.work.path().join(name), permissions).unwrap();
    }

    /// All names, so that a temporary file that stayed is seen.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.work.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    async fn act(&self, action: &dyn Action, params: Value) -> Result<Value, ActionError> {
        let call = call(action.spec().key, params, self.work.path());
        action.execute(&self.cx(), &call).await
    }

    /// Restores from a step `settings` with that result.
    async fn put_back(&self, backup: &Value, params: Value) -> Result<Value, ActionError> {
        let mut cx = self.cx();
        let backup = backup.clone();
        cx.results = Arc::new(move |id| (id == "settings").then(|| backup.clone()));
        let call = call("file.restore", params, self.work.path());
        Restore.execute(&cx, &call).await
    }

    async fn capture(&self, action: &dyn Action, params: &Value) -> Value {
        let call = call(action.spec().key, params.clone(), self.work.path());
        action.capture(&self.cx(), &call).await.unwrap().unwrap()
    }

    async fn undo(
        &self,
        action: &dyn Action,
        params: &Value,
        captured: &Value,
    ) -> Result<Value, ActionError> {
        let call = call(action.spec().key, params.clone(), self.work.path());
        action.restore(&self.cx(), &call, captured).await
    }
}

fn sha256(text: &str) -> String {
    format!("{:x}", Sha256::digest(text))
}

fn listed(action: &dyn Action, result: &Value) {
    let known: Vec<&str> = action
        .spec()
        .results
        .iter()
        .map(|(name, _)| *name)
        .collect();
    for field in result.as_object().unwrap().keys() {
        assert!(known.contains(&field.as_str()), "`{field}` is not listed");
    }
}

#[tokio::test]
async fn writing_keeps_mode_and_leaves_nothing_behind() {
    let world = World::new();
    let result = world
        .act(&Write, json!({"path": "new", "text": "a\n"}))
        .await
        .unwrap();
    assert_eq!(
        result,
        json!({"path": "new", "changed": true, "bytes": 2, "sha256": sha256("a\n"), "mode": "0644"})
    );
    world.put("old", "before");
    world.set_mode("old", 0o640);
    world
        .act(&Write, json!({"path": "old", "text": "after"}))
        .await
        .unwrap();
    assert_eq!(
        (world.get("old").as_str(), world.mode("old")),
        ("after", 0o640)
    );
    let again = world
        .act(&Write, json!({"path": "old", "text": "after"}))
        .await;
    assert_eq!(again.unwrap()["changed"], false);
    for mode in [json!("0600"), json!(600)] {
        let with_mode = json!({"path": "old", "text": "after", "mode": mode});
        assert_eq!(world.act(&Write, with_mode).await.unwrap()["mode"], "0600");
        assert_eq!(world.mode("old"), 0o600);
    }
    assert_eq!(world.names(), ["new", "old"]);
}

#[tokio::test]
async fn copying_gives_new_files_the_mode_and_old_ones_keep_theirs() {
    let world = World::new();
    world.put("from", "x");
    world.set_mode("from", 0o750);
    world.put("old", "y");
    world.set_mode("old", 0o604);
    for (to, mode) in [("new", 0o750), ("old", 0o604)] {
        let result = world
            .act(&Copy, json!({"from": "from", "to": to}))
            .await
            .unwrap();
        listed(&Copy, &result);
        assert_eq!(result["sha256"], sha256("x"));
        assert_eq!((world.get(to).as_str(), world.mode(to)), ("x", mode));
    }
    let error = world.act(&Copy, json!({"from": "gone", "to": "new"})).await;
    let error = error.unwrap_err();
    assert_eq!(
        (error.cause, error.outcome, error.message.as_str()),
        (
            Cause::Invalid,
            Outcome::NotApplied,
            "cannot read `gone`: there is no such file"
        )
    );
    assert_eq!(world.names(), ["from", "new", "old"]);
}

#[tokio::test]
async fn replacing_counts_and_never_passes_on_nothing() {
    let world = World::new();
    world.put("settings", "CACHE = 'locmem'\nX = '$1'\nY = '$1'\n");
    let literal = json!({"path": "settings", "find": "'$1'", "with": "'$2'", "count": 2});
    let result = world.act(&Replace, literal).await.unwrap();
    assert_eq!(
        (&result["count"], &result["changed"]),
        (&json!(2), &json!(true))
    );
    listed(&Replace, &result);
    assert_eq!(
        world.get("settings"),
        "CACHE = 'locmem'\nX = '$2'\nY = '$2'\n"
    );
    let pattern =
        json!({"path": "settings", "pattern": "(?m)^(CACHE) = .*$", "with": "$1 = 'redis'"});
    world.act(&Replace, pattern).await.unwrap();
    let now = "CACHE = 'redis'\nX = '$2'\nY = '$2'\n";
    assert_eq!(world.get("settings"), now);
    for (params, message) in [
        (
            json!({"path": "settings", "find": "locmem", "with": "x"}),
            "found 0 times in `settings`, at least once was expected",
        ),
        (
            json!({"path": "settings", "find": "$2", "with": "x", "count": 1}),
            "found 2 times in `settings`, 1 times were expected",
        ),
        (
            json!({"path": "settings", "find": "a", "pattern": "b", "with": "x"}),
            "`file.replace`: either `find` or `pattern` has to be given",
        ),
    ] {
        let error = world.act(&Replace, params).await.unwrap_err();
        assert_eq!(error.message, message);
        assert_eq!(error.outcome, Outcome::NotApplied);
    }
    assert_eq!(world.get("settings"), now);
}

#[tokio::test]
async fn symlinks_directories_and_fifos_are_refused() {
    let world = World::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("target"), "theirs").unwrap();
    let work = world.work.path();
    symlink(outside.path().join("target"), work.join("link")).unwrap();
    symlink(outside.path(), work.join("door")).unwrap();
    fs::create_dir(work.join("dir")).unwrap();
    nix::unistd::mkfifo(&work.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    world.put("mine", "mine");
    for (path, why) in [
        ("link", "`link` is a symlink, which is not replaced"),
        ("door/target", "`door/target` leads out of `"),
        ("door/new", "`door/new` leads out of `"),
        ("../new", "`../new` leads out of `"),
        ("dir", "`dir` is a directory"),
        ("dir/..", "`dir/..` does not name a file"),
        ("fifo", "`fifo` is not a regular file"),
        (
            "none/new",
            "cannot reach the directory of `none/new`: there is no such file",
        ),
        ("", "`` is not a path"),
    ] {
        let attempts = [
            world.act(&Write, json!({"path": path, "text": "x"})).await,
            world.act(&Copy, json!({"from": "mine", "to": path})).await,
            world.act(&Backup, json!({"files": ["mine", path]})).await,
        ];
        for attempt in attempts {
            let error = attempt.unwrap_err();
            assert!(error.message.starts_with(why), "{path}: {error}");
            assert_eq!(error.outcome, Outcome::NotApplied);
        }
    }
    let read = world.act(&Copy, json!({"from": "link", "to": "new"})).await;
    assert!(
        read.unwrap_err()
            .message
            .starts_with("`link` leads out of `")
    );
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(
        fs::read_to_string(outside.path().join("target")).unwrap(),
        "theirs"
    );
    assert_eq!(world.names(), ["dir", "door", "fifo", "link", "mine"]);
    assert!(!world.run.path().join("step/backup").exists());
    // an absolute path says what it means
    let there = outside.path().join("target");
    world
        .act(&Write, json!({"path": there, "text": "meant"}))
        .await
        .unwrap();
    assert_eq!(fs::read_to_string(there).unwrap(), "meant");
}

#[tokio::test]
async fn undo_puts_back_content_and_mode_or_removes() {
    let world = World::new();
    world.put("old", "before");
    world.set_mode("old", 0o640);
    world.put("from", "copied");
    for (action, params) in [
        (
            &Write as &dyn Action,
            json!({"path": "old", "text": "after", "mode": "0600"}),
        ),
        (
            &Write,
            json!({"path": "old", "text": "before", "mode": "0600"}),
        ),
        (&Copy, json!({"from": "from", "to": "old"})),
        (
            &Replace,
            json!({"path": "old", "find": "before", "with": "after"}),
        ),
    ] {
        let captured = world.capture(action, &params).await;
        assert_eq!(captured["sha256"], sha256("before"));
        assert_eq!(
            world.act(action, params.clone()).await.unwrap()["changed"],
            true
        );
        let result = world.undo(action, &params, &captured).await.unwrap();
        assert_eq!(result["restored"], true);
        assert_eq!(
            (world.get("old").as_str(), world.mode("old")),
            ("before", 0o640)
        );
        // and once more, as a resumed rollback would
        let result = world.undo(action, &params, &captured).await.unwrap();
        assert_eq!(result["restored"], false);
    }
    let params = json!({"path": "new", "text": "x"});
    let captured = world.capture(&Write, &params).await;
    world.act(&Write, params.clone()).await.unwrap();
    world.undo(&Write, &params, &captured).await.unwrap();
    assert_eq!(world.names(), ["from", "old"]);
}

#[tokio::test]
async fn undo_of_what_never_took_effect_does_nothing() {
    let world = World::new();
    world.put("old", "before");
    for path in ["old", "new"] {
        let params = json!({"path": path, "text": "after"});
        let captured = world.capture(&Write, &params).await;
        let result = world.undo(&Write, &params, &captured).await.unwrap();
        assert_eq!(result["restored"], false);
    }
    assert_eq!(world.get("old"), "before");
    assert_eq!(world.names(), ["old"]);
}

#[tokio::test]
async fn undo_leaves_alone_what_others_changed() {
    let world = World::new();
    world.put("old", "before");
    let params = json!({"path": "old", "text": "after"});
    let captured = world.capture(&Write, &params).await;
    world.act(&Write, params.clone()).await.unwrap();
    world.put("old", "theirs");
    let error = world.undo(&Write, &params, &captured).await.unwrap_err();
    assert!(error.message.contains("was changed by others"), "{error}");
    assert!(error.message.contains(&sha256("theirs")), "{error}");
    assert!(error.message.contains(&sha256("after")), "{error}");
    assert_eq!(error.outcome, Outcome::NotApplied);
    assert_eq!(world.get("old"), "theirs");

    fs::remove_file(world.work.path().join("old")).unwrap();
    let error = world.undo(&Write, &params, &captured).await.unwrap_err();
    assert!(error.message.contains("it is gone"), "{error}");

    // changed by others and never written by us
    let other = World::new();
    other.put("old", "before");
    let captured = other.capture(&Write, &params).await;
    other.put("old", "theirs");
    let error = other.undo(&Write, &params, &captured).await.unwrap_err();
    assert!(
        error.message.contains("ferry wrote nothing there"),
        "{error}"
    );

    // kept content that is not what it was is not put back
    let spoilt = World::new();
    spoilt.put("old", "before");
    let captured = spoilt.capture(&Write, &params).await;
    spoilt.act(&Write, params.clone()).await.unwrap();
    let kept = spoilt.run.path().join(captured["kept"].as_str().unwrap());
    fs::write(kept, "spoilt").unwrap();
    let error = spoilt.undo(&Write, &params, &captured).await.unwrap_err();
    assert!(error.message.starts_with("the kept content of"), "{error}");
    assert_eq!(spoilt.get("old"), "after");
}

#[tokio::test]
async fn a_backup_comes_back_file_by_file() {
    let world = World::new();
    fs::create_dir(world.work.path().join("conf")).unwrap();
    world.put("conf/a", "a");
    world.set_mode("conf/a", 0o600);
    world.put("conf/b", "bb");
    let params = json!({"files": ["a", "b"], "root": "conf"});
    let backup = world.act(&Backup, params).await.unwrap();
    listed(&Backup, &backup);
    assert_eq!((&backup["count"], &backup["bytes"]), (&json!(2), &json!(3)));
    let first = &backup["files"][0];
    assert_eq!(first["path"], "a");
    assert_eq!(first["sha256"], sha256("a"));
    assert_eq!(first["mode"], "0600");
    let copy = world.run.path().join(first["kept"].as_str().unwrap());
    assert_eq!(fs::read_to_string(&copy).unwrap(), "a");
    assert_eq!(
        fs::metadata(&copy).unwrap().permissions().mode() & 0o777,
        0o600
    );

    world.put("conf/a", "changed");
    world.set_mode("conf/a", 0o644);
    let result = world.put_back(&backup, json!("settings")).await.unwrap();
    listed(&Restore, &result);
    assert_eq!(result["files"][0]["state"], "restored");
    assert_eq!(result["files"][1]["state"], "unchanged");
    assert_eq!(
        (&result["restored"], &result["unchanged"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        (world.get("conf/a").as_str(), world.mode("conf/a")),
        ("a", 0o600)
    );

    world.put("conf/a", "changed");
    world.put("conf/b", "changed");
    let only_b = json!({"from": "settings", "files": ["b"]});
    world.put_back(&backup, only_b).await.unwrap();
    assert_eq!(
        (world.get("conf/a"), world.get("conf/b")),
        ("changed".into(), "bb".into())
    );
}

#[tokio::test]
async fn a_spoilt_or_foreign_backup_restores_nothing() {
    let world = World::new();
    world.put("a", "a");
    world.put("b", "bb");
    let backup = world.act(&Backup, json!({"files": ["a", "b"]})).await;
    let backup = backup.unwrap();
    world.put("a", "changed");
    world.put("b", "changed");
    let second = backup["files"][1]["kept"].as_str().unwrap();
    fs::write(world.run.path().join(second), "spoilt").unwrap();
    let error = world
        .put_back(&backup, json!("settings"))
        .await
        .unwrap_err();
    assert!(error.message.contains(&sha256("spoilt")), "{error}");
    assert!(error.message.ends_with("nothing was restored"), "{error}");
    assert_eq!(
        (world.get("a"), world.get("b")),
        ("changed".into(), "changed".into())
    );
    for (params, why) in [
        (
            json!("other"),
            "`file.restore`: step `other` has no result to restore from",
        ),
        (
            json!({"from": "settings", "files": ["c"]}),
            "`file.restore`: the backup of step `settings` has no file `c`",
        ),
    ] {
        assert_eq!(
            world.put_back(&backup, params).await.unwrap_err().message,
            why
        );
    }
    let no_backup = world
        .put_back(&json!({"exit_code": 0}), json!("settings"))
        .await;
    assert!(
        no_backup
            .unwrap_err()
            .message
            .ends_with("is no backup of files")
    );
}

#[tokio::test]
async fn stat_tells_what_is_there() {
    let world = World::new();
    let absent = world.act(&Stat, json!("none/x")).await.unwrap();
    assert_eq!(absent, json!({"exists": false, "path": "none/x"}));
    world.put("a", "abc");
    world.set_mode("a", 0o640);
    let found = world.act(&Stat, json!({"path": "a"})).await.unwrap();
    listed(&Stat, &found);
    assert_eq!(
        (&found["exists"], &found["bytes"]),
        (&json!(true), &json!(3))
    );
    assert_eq!(
        (&found["mode"], &found["sha256"]),
        (&json!("0640"), &json!(sha256("abc")))
    );
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs_f64();
    assert!((now - found["modified"].as_f64().unwrap()).abs() < 60.0);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_said_and_unchanged() {
    if nix::unistd::geteuid().is_root() {
        // root writes anywhere; the read-only file system of the kernel refuses it too
        let world = World::new();
        let error = world
            .act(&Write, json!({"path": "/proc/ferry", "text": "x"}))
            .await;
        assert_eq!(error.unwrap_err().outcome, Outcome::NotApplied);
        return;
    }
    let world = World::new();
    world.put("a", "x");
    fs::set_permissions(world.work.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let error = world.act(&Write, json!({"path": "a", "text": "y"})).await;
    fs::set_permissions(world.work.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let error = error.unwrap_err();
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Denied, Outcome::NotApplied)
    );
    assert_eq!(error.message, "cannot write `a`: permission denied");
    assert_eq!(world.get("a"), "x");
    assert!(Path::new(world.work.path()).exists());
}
