//! The runbooks of this package, carried out by the real binary in demo worlds of their own.
//!
//! What is claimed of them: the migration migrates, every fault is taken back until the world's
//! fingerprint is the one from before, and the prose runbook is in it step by step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ferry::event::{CheckEvent, EventKind};
use ferry::expr::Verdict;
use ferry::store::{SqliteStore, Store};
use serde_json::Value;

use crate::support::demo::{DemoWorld, assert_ok};
use crate::support::redis::Server;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `ferry`, called from the package's directory as a newcomer would.
fn ferry(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferry"));
    command
        .args(args)
        .current_dir(root())
        .env_remove("FERRY_STATE_DIR");
    command
}

/// A world, and what ferry keeps of the runs in it.
struct Stage {
    world: DemoWorld,
    state: tempfile::TempDir,
}

impl Stage {
    fn set() -> Self {
        Self {
            world: DemoWorld::up(3),
            state: tempfile::tempdir().expect("a temporary directory"),
        }
    }

    #[expect(
        clippy::print_stdout,
        reason = "shown when the test fails, and only then"
    )]
    fn run(&self, runbook: &str, inputs: &[&str]) -> Output {
        let mut command = ferry(&["run", &format!("runbooks/{runbook}.yaml"), "--yes"]);
        command.arg("--state-dir").arg(self.state.path());
        for input in inputs {
            command.args(["--input", input]);
        }
        let output = command
            .envs(&self.world.env)
            .output()
            .expect("ferry starts");
        println!("{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// The report of the one run.
    fn report(&self) -> Value {
        let mut command = ferry(&["report", "--format", "json"]);
        let output = command.arg("--state-dir").arg(self.state.path()).output();
        let output = output.expect("ferry starts");
        assert_ok(&output);
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn run_dir(&self) -> PathBuf {
        let mut runs = std::fs::read_dir(self.state.path().join("runs")).expect("runs");
        runs.next().expect("a run").expect("an entry").path()
    }

    fn snapshot(&self, moment: &str, name: &str) -> Value {
        let path = self
            .run_dir()
            .join(format!("snapshots/{moment}/{name}.json"));
        serde_json::from_slice(&std::fs::read(path).expect("a snapshot")).expect("JSON")
    }

    fn notifications(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.world.path("notifications.jsonl"));
        text.unwrap_or_default()
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    /// What the catalog says of a column: type, whether it may be null, default.
    async fn column(&self, name: &str) -> Option<(String, bool, Option<String>)> {
        let url = &self.world.env["DATABASE_URL"];
        let pool = sqlx::SqlitePool::connect(url).await.expect("it opens");
        let sql = "select type, not \"notnull\", dflt_value from pragma_table_info('core_userprofile') where name = ?";
        let found = sqlx::query_as(sql).bind(name).fetch_optional(&pool).await;
        pool.close().await;
        found.expect("the catalog answers")
    }

    /// No file of the state directory holds any of these, copies of the database aside.
    fn holds_nowhere(&self, secrets: &[&str]) {
        let mut open = vec![self.state.path().to_owned()];
        let mut seen = 0;
        while let Some(path) = open.pop() {
            if path.is_dir() {
                let entries = std::fs::read_dir(&path).expect("readable");
                open.extend(entries.map(|entry| entry.expect("an entry").path()));
                continue;
            }
            if path.ends_with("database.dump") {
                continue;
            }
            seen += 1;
            let bytes = std::fs::read(&path).expect("readable");
            for secret in secrets {
                let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
                assert!(!found, "`{secret}` is in {}", path.display());
            }
        }
        assert!(seen > 20, "journal, outputs, snapshots and report: {seen}");
    }
}

/// Steps or items by name with their status.
fn status<'r>(list: &'r Value, key: &str, name: &str) -> &'r str {
    let list = list.as_array().expect("a list");
    let found = list.iter().find(|one| one[key] == name);
    found.map_or("not there", |one| one["status"].as_str().expect("a status"))
}

#[tokio::test]
async fn the_migration_migrates() {
    let stage = Stage::set();
    let before = stage.world.digest();
    let output = stage.run("hybrid-cache", &[]);
    assert_eq!(output.status.code(), Some(0));

    let after = stage.world.digest();
    assert_eq!(after["backend"], "django_redis.cache.RedisCache");
    for n in ["1", "2", "3"] {
        let instance = serde_json::json!({ "health": 200, "backend": "redis" });
        assert_eq!(after["instances"][n], instance);
    }
    let column = ("boolean".to_owned(), false, Some("true".to_owned()));
    assert_eq!(stage.column("cache_enabled").await, Some(column));
    // the queue beside the caches, and the tables that the migration has nothing to do with
    assert_eq!(after["redis"]["db0"], before["redis"]["db0"]);
    for table in ["auth_user", "invoices_invoice"] {
        let of = |digest: &Value| digest["database"]["tables"][table].clone();
        assert_eq!(of(&after), of(&before));
    }

    let columns =
        |moment| stage.snapshot(moment, "schema")["tables"]["core_userprofile"]["columns"].clone();
    assert_eq!(columns("before").get("cache_enabled"), None);
    assert!(columns("after").get("cache_enabled").is_some());
    assert_eq!(stage.snapshot("before", "cache")["keys"], 322);
    assert_eq!(
        stage.snapshot("before", "env")["CACHE_KEY_PREFIX"],
        "revisbali"
    );
    let passed = [
        "app_is_up",
        "memory_under_limit",
        "not_half_as_slow",
        "warm-up",
    ];
    let passed = passed.map(|name| (name.to_owned(), Verdict::Pass));
    assert_eq!(checks(&stage).await, BTreeMap::from(passed));
    let report = stage.report();
    assert_eq!(report["verdict"]["status"], "succeeded");
    let snapshots = report["snapshots"].as_array().expect("a list");
    let changed = |name: &str| {
        let snapshot = snapshots.iter().find(|snapshot| snapshot["name"] == name);
        snapshot.expect("taken")["equals_first"]["after"] == Value::Bool(false)
    };
    for name in ["schema", "counts", "settings_base", "settings_cache"] {
        assert!(changed(name), "{name}");
    }
    assert!(!changed("env"));
    stage.holds_nowhere(&["testpass", "testuser", &stage.world.env["DATABASE_URL"]]);
}

#[tokio::test]
async fn the_migration_migrates_in_a_maintenance_window_too() {
    let stage = Stage::set();
    let output = stage.run("hybrid-cache", &["strategy=maintenance"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        stage.world.digest()["backend"],
        "django_redis.cache.RedisCache"
    );
    let told: Vec<_> = stage
        .notifications()
        .iter()
        .map(|n| n["step"].clone())
        .collect();
    assert_eq!(told, ["announce", "announce-end"]);
    assert_eq!(stage.world.get("/health").0, 200);
}

/// What each guard and each watch of the one run came to at its end.
async fn checks(stage: &Stage) -> BTreeMap<String, Verdict> {
    let store = SqliteStore::open_read_only(stage.state.path()).await;
    let store = store.expect("the journal opens");
    let run = stage.run_dir();
    let run = run.file_name().expect("a name").to_string_lossy();
    let events = store.load(&run, 0).await.expect("a journal");
    let ended = events.iter().filter_map(|event| match &event.kind {
        EventKind::Check(
            CheckEvent::Judged { check, judgement } | CheckEvent::Ended { check, judgement },
        ) => Some((check.clone(), judgement.verdict)),
        _ => None,
    });
    ended.collect()
}

/// Carries out the migration with a fault, and holds the world against the one before.
fn taken_back(fault: &str, inputs: &[&str], failed_step: &str) -> Stage {
    let stage = Stage::set();
    let before = stage.world.digest();
    stage.world.must("fault", &["set", fault]);
    let output = stage.run("hybrid-cache", inputs);
    assert_eq!(output.status.code(), Some(11));
    assert_eq!(stage.world.digest(), before);

    let report = stage.report();
    assert_eq!(report["verdict"]["status"], "rolled_back");
    assert_eq!(report["failure"]["step"], failed_step);
    let rollback = &report["rollback"];
    assert_eq!(rollback["not_undone"], serde_json::json!([]));
    for proof in [
        "stop-app",
        "restore-settings",
        "restore-cache",
        "restore-orm",
        "migration-is-unapplied",
        "start-app",
        "old-backend",
        "app-answers",
        "login-works",
        "log-after-rollback",
        "state-is-as-before",
        "tell-the-team",
    ] {
        assert_eq!(status(&rollback["items"], "id", proof), "done", "{proof}");
    }
    let last = stage.notifications().pop().expect("the team was told");
    assert_eq!(last["step"], "tell-the-team");
    let text = last["text"].as_str().expect("text");
    assert!(text.contains(&format!("step `{failed_step}`: ")), "{text}");
    stage.holds_nowhere(&["testpass", "testuser", &stage.world.env["DATABASE_URL"]]);
    stage
}

#[test]
fn a_version_that_answers_500_is_taken_back() {
    let stage = taken_back("5xx-after-deploy", &[], "restart[0]");
    // the next instance only once this one is healthy
    let report = stage.report();
    let phases = report["phases"].as_array().expect("phases");
    let deploy = phases.iter().find(|phase| phase["name"] == "deploy");
    let deploy = deploy.expect("a phase of that name");
    assert_eq!(
        status(&deploy["steps"], "step", "restart[1]"),
        "not started"
    );
}

#[test]
fn a_version_that_does_not_start_is_taken_back() {
    taken_back("crash-on-start", &[], "restart[0]");
}

#[test]
fn a_version_nobody_can_log_in_to_is_taken_back() {
    taken_back("login-fails", &[], "login");
}

#[test]
fn a_version_that_logs_errors_is_taken_back() {
    taken_back("log-errors", &[], "startup-log");
}

#[test]
fn it_is_taken_back_from_a_maintenance_window_and_the_database_from_its_backup() {
    let inputs = ["strategy=maintenance", "database_undo=restore"];
    let stage = taken_back("login-fails", &inputs, "login");
    let items = &stage.report()["rollback"]["items"];
    assert_eq!(status(items, "id", "restore-database"), "done");
    assert_eq!(status(items, "id", "migrate-back"), "skipped");
    assert_eq!(stage.world.get("/health").0, 200);
}

/// The prose runbook's steps, in their order; R1 to R7 stand where the language has them.
#[test]
fn every_step_of_the_prose_is_there() {
    let text = std::fs::read_to_string(root().join("runbooks/hybrid-cache.yaml")).expect("text");
    let numbered = |line: &str| {
        let (id, comment) = line.split_once(" # ")?;
        id.trim_start().starts_with("- id: ").then(|| {
            let words = comment.split(|c: char| !(c.is_ascii_alphanumeric() || c == '.'));
            let words = words.map(|word| word.trim_end_matches('.').to_owned());
            words.collect::<Vec<_>>()
        })
    };
    let comments: Vec<_> = text.lines().filter_map(numbered).collect();
    let first = |number: &str| {
        let found = comments
            .iter()
            .position(|words| words.iter().any(|w| w == number));
        found.unwrap_or_else(|| panic!("no step says that it is {number}"))
    };
    let forward: Vec<_> = [(1, 4), (2, 4), (3, 7), (4, 4)]
        .into_iter()
        .flat_map(|(phase, steps)| (1..=steps).map(move |step| format!("{phase}.{step}")))
        .collect();
    let places: Vec<_> = forward
        .iter()
        // 3.7 stands before the requests of 3.6, which say why
        .map(|number| first(number))
        .collect();
    assert!(places.is_sorted(), "{forward:?} {places:?}");
    let back: Vec<_> = (1..=7).map(|n| first(&format!("R{n}"))).collect();
    // first, last, verify and notify; the undos of R2 to R4 stand with their steps
    assert!(
        back[0] < back[4] && back[4] < back[5] && back[5] < back[6],
        "{back:?}"
    );
}

#[test]
fn the_runbooks_have_neither_mistakes_nor_lints() {
    let mut runbooks: Vec<_> = std::fs::read_dir(root().join("runbooks"))
        .expect("runbooks")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .map(|path| path.display().to_string())
        .collect();
    runbooks.sort();
    assert!(runbooks.len() >= 4, "{runbooks:?}");
    for runbook in &runbooks {
        let output = ferry(&["check", "--strict", runbook])
            .output()
            .expect("ferry starts");
        assert_ok(&output);
        let text = std::fs::read_to_string(runbook).expect("text");
        assert!(
            text.starts_with("# yaml-language-server: $schema=ferry.schema.json\n"),
            "{runbook}"
        );
    }
}

#[tokio::test]
async fn a_schema_change_is_made_once_and_taken_back() {
    let stage = Stage::set();
    let before = stage.world.digest();
    let output = stage.run("schema-change", &["max_rows=7"]);
    assert_eq!(output.status.code(), Some(11));
    assert_eq!(stage.column("timezone").await, None);
    let tables = |digest: &Value| {
        let mut tables = digest["database"]["tables"].clone();
        // the ledger stays, and is empty
        let ledger = tables
            .as_object_mut()
            .expect("tables")
            .remove("ferry_migrations");
        (tables, ledger.map(|ledger| ledger["rows"].clone()))
    };
    assert_eq!(
        tables(&stage.world.digest()),
        (tables(&before).0, Some(0.into()))
    );

    for _ in 0..2 {
        let output = stage.run("schema-change", &[]);
        assert_eq!(output.status.code(), Some(0));
        let column = ("varchar(40)".to_owned(), false, Some("'UTC'".to_owned()));
        assert_eq!(stage.column("timezone").await, Some(column));
    }
    assert_eq!(tables(&stage.world.digest()).1, Some(1.into()));
}

#[test]
fn a_flush_stays_behind_its_fence_and_comes_back() {
    let stage = Stage::set();
    let before = stage.world.digest();
    assert_eq!(
        stage.run("cache-flush", &["max_keys=321"]).status.code(),
        Some(11)
    );
    assert_eq!(
        stage.run("cache-flush", &["cold_latency=0"]).status.code(),
        Some(11)
    );
    assert_eq!(stage.world.digest(), before);
    assert_eq!(stage.run("cache-flush", &[]).status.code(), Some(0));
    let mut expected = before.clone();
    let after = stage.world.digest();
    assert_eq!(after["redis"]["db1"]["keys"], 0);
    expected["redis"]["db1"] = after["redis"]["db1"].clone();
    assert_eq!(after, expected);
}

/// Runs the look at a server's health; the exit code, and what each step came to.
fn health(server: &Server, inputs: &[&str]) -> (Option<i32>, Value) {
    let state = tempfile::tempdir().expect("a temporary directory");
    let mut command = ferry(&["run", "runbooks/redis-health.yaml", "--yes"]);
    command.arg("--state-dir").arg(state.path());
    for input in inputs {
        command.args(["--input", input]);
    }
    let output = command.env("REDIS_URL", server.url(0)).output();
    let output = output.expect("ferry starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = ferry(&["report", "--format", "json", "--state-dir"])
        .arg(state.path())
        .output();
    let report = report.expect("ferry starts");
    assert!(report.status.success(), "{said}");
    let report = serde_json::from_slice(&report.stdout).expect("JSON");
    (output.status.code(), report)
}

#[test]
fn a_redis_is_healthy_or_what_is_critical_is_named() {
    let server = Server::start(&["--maxmemory", "64mb"]);
    let (code, report) = health(&server, &[]);
    assert_eq!(code, Some(0), "{report}");
    let steps = &report["phases"][0]["steps"];
    for (step, word) in [
        ("figures", "done"),
        ("clients", "done"),
        ("load", "done"),
        ("memory", "done"),
        // hardly anybody asked it anything
        ("hit-rate", "skipped"),
        ("fragmentation", "skipped"),
    ] {
        assert_eq!(status(steps, "step", step), word, "{step}");
    }
    for _ in 0..20 {
        let _: Option<String> = server.ask(0, &["GET", "nothing"]);
    }
    let (code, report) = health(&server, &["lookups=20"]);
    assert_eq!(code, Some(11));
    assert_eq!(report["failure"]["step"], "hit-rate");
    let message = report["failure"]["failure"]["message"].to_string();
    assert!(
        message.contains("expected `result.hit_rate >= 0.60`, but `result.hit_rate` is 0"),
        "{report}"
    );
}

#[test]
fn a_memory_limit_is_set_and_taken_back() {
    let stage = Stage::set();
    let config = || -> Vec<String> {
        let mut connection = redis::Client::open(stage.world.env["REDIS_URL"].as_str())
            .and_then(|client| client.get_connection())
            .expect("the world's redis answers");
        let mut ask = redis::cmd("CONFIG");
        let names = ["GET", "maxmemory", "maxmemory-policy"];
        let pairs: BTreeMap<String, String> =
            ask.arg(&names).query(&mut connection).expect("redis obeys");
        pairs.into_values().collect()
    };
    let before = config();
    assert_eq!(
        stage.run("redis-memory", &["headroom=0"]).status.code(),
        Some(11)
    );
    assert_eq!(config(), before);
    assert_eq!(stage.run("redis-memory", &[]).status.code(), Some(0));
    assert_eq!(config(), ["268435456", "allkeys-lru"]);
}

/// In the rollback, `since: phase_start` is the start of what is looked at, and not now.
#[test]
fn the_log_is_searched_from_the_last_part_of_the_rollback_on() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let line =
        |word: &str| format!("printf '%s ERROR: {word}\\n' \"$(date -u +%FT%T.%NZ)\" >> app.log");
    let run = |in_last: &str, want: &str| {
        let text = format!(
            "runbook: log\nphases:\n  go:\n    steps:\n      - {{ id: change, shell: 'true', undo: [{{ shell: 'true' }}] }}\n      - {{ id: fail, shell: 'false', read_only: true }}\n\
             rollback:\n  first:\n    - shell: |-\n        {}\n  last:\n    - shell: |-\n        sleep 0.01; {}\n  verify:\n    - id: look\n      log.scan: {{ file: app.log, since: phase_start, deny: broken, want: '{want}' }}\n",
            line("broken"),
            line(in_last),
        );
        let runbook = dir.path().join("log.yaml");
        std::fs::write(&runbook, text).expect("written");
        let output = ferry(&["run", "log.yaml", "--yes"])
            .current_dir(dir.path())
            .output()
            .expect("ferry starts");
        println!("{}", String::from_utf8_lossy(&output.stderr));
        output.status.code()
    };
    // what `first` wrote is not looked at, and what `last` wrote is
    assert_eq!(run("ready", "ready"), Some(11));
    assert_eq!(run("broken", "broken"), Some(12));
    assert_eq!(run("ready", "never"), Some(12));
}
