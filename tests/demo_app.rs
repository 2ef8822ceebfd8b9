//! The demo world against real processes: what the hybrid-cache runbook and the other tests rely on.
//!
//! Each test has a [`DemoWorld`] of its own on free ports, stopped when it is dropped.

use std::process::Command;

use serde_json::Value;

use crate::support::demo::{DemoWorld, assert_ok, demo_app, request};

/// Running and not merely waiting to be reaped.
fn runs(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

fn redis(world: &DemoWorld, db: u8, command: &[&str]) -> redis::Value {
    let server = world.env["REDIS_URL"]
        .strip_suffix("/1")
        .expect("a URL of database 1");
    let url = format!("{server}/{db}");
    let mut connection = redis::Client::open(url)
        .and_then(|c| c.get_connection())
        .expect("the world's redis answers");
    redis::cmd(command[0])
        .arg(&command[1..])
        .query(&mut connection)
        .expect("redis obeys")
}

#[test]
fn the_whole_migration_forwards_and_backwards_leaves_the_world_as_it_was() {
    let world = DemoWorld::up(2);
    let before = world.digest();
    assert_eq!(
        before["backend"],
        "django.core.cache.backends.locmem.LocMemCache"
    );
    assert_eq!(before["redis"]["db1"]["keys"], 322);

    let applied = world.must("manage", &["migrate", "core", "0022"]);
    assert!(
        applied.ends_with("  Applying core.0022_add_cache_enabled_to_userprofile... OK\n"),
        "{applied}"
    );
    assert!(
        world
            .must("manage", &["migrate", "core", "0022"])
            .ends_with("No migrations to apply.\n")
    );
    assert!(
        world
            .must("manage", &["showmigrations", "core"])
            .contains(" [X] 0022_")
    );
    world.must("use-redis", &[]);
    world.must("appctl", &["restart", "all"]);
    assert_eq!(
        world.must("print-backend", &[]),
        "django_redis.cache.RedisCache\n"
    );
    assert!(world.get("/health").1.contains(r#""backend":"redis""#));

    let during = world.digest();
    assert_ne!(
        before["database"]["schema_sha256"],
        during["database"]["schema_sha256"]
    );
    assert_ne!(before["settings"], during["settings"]);
    assert_eq!(before["redis"]["db0"], during["redis"]["db0"]);
    assert_eq!(
        before["database"]["tables"]["invoices_invoice"],
        during["database"]["tables"]["invoices_invoice"]
    );

    world.must("appctl", &["stop", "all"]);
    world.must("use-locmem", &[]);
    world.must("manage", &["migrate", "core", "0021"]);
    world.must("appctl", &["start", "all"]);
    assert_eq!(world.digest(), before);
}

#[test]
fn the_cache_is_used_and_kept_where_the_settings_say() {
    let world = DemoWorld::up(1);
    let keys = |db| redis(&world, db, &["DBSIZE"]);
    let (seeded_1, seeded_2) = (keys(1), keys(2));
    assert!(world.get("/api/invoices/").1.contains("x-cache: miss"));
    assert!(world.get("/api/invoices/").1.contains("x-cache: hit"));
    assert_eq!(world.login("testpass"), 200);
    assert_eq!(
        (keys(1), keys(2)),
        (seeded_1, seeded_2),
        "locmem keeps its hands off redis"
    );

    redis(&world, 1, &["FLUSHDB"]);
    redis(&world, 2, &["FLUSHDB"]);
    world.must("use-redis", &[]);
    world.must("appctl", &["restart", "1"]);
    let (status, answer) = world.get("/api/invoices/");
    assert_eq!(status, 200);
    assert!(
        answer.contains("x-cache: miss") && answer.contains("x-cache-version: 1"),
        "{answer}"
    );
    assert!(world.get("/api/invoices/").1.contains("x-cache: hit"));
    assert_eq!(world.login("testpass"), 200);
    assert_eq!(world.login("wrong"), 401);
    assert_eq!(keys(1), redis::Value::Int(2), "a token and a version");
    let found: Vec<String> =
        redis::from_redis_value(redis(&world, 2, &["KEYS", "*"])).expect("names");
    assert_eq!(found.len(), 1);
    let hash = found[0]
        .strip_prefix("cache:0:v1:cacheops:")
        .expect("the form of a query's key");
    assert!(hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
    let clients: String =
        redis::from_redis_value(redis(&world, 1, &["CLIENT", "LIST"])).expect("text");
    assert_eq!(clients.matches("name=django ").count(), 2);
}

#[test]
fn the_pattern_checks_pass_with_either_backend_and_fail_without_redis() {
    let world = DemoWorld::up(1);
    let label = "backend.cache.tests.test_existing_cache_validation";
    let test = || world.ops("manage", &["test", label, "-v", "2"]);
    for switch in ["use-locmem", "use-redis"] {
        world.must(switch, &[]);
        let output = test();
        assert_ok(&output);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(text.matches(" ... ok\n").count(), 27, "{text}");
        assert!(
            text.contains("Ran 27 tests in ") && text.ends_with("\nOK\n"),
            "{text}"
        );
    }
    assert_eq!(redis(&world, 15, &["DBSIZE"]), redis::Value::Int(0));
    let record = std::fs::read_to_string(world.path("run/redis.json")).expect("record");
    let pid = serde_json::from_str::<Value>(&record).expect("JSON")["pid"]
        .as_i64()
        .expect("pid");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("fits"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("signalled");
    let output = test();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("FAILED (failures="));
}

#[test]
fn faults_show_after_the_switch_and_only_then() {
    let world = DemoWorld::up(1);
    for fault in ["5xx-after-deploy", "log-errors", "login-fails"] {
        world.must("fault", &["set", fault]);
    }
    let log = || std::fs::read_to_string(world.path("logs/app.log")).expect("log");
    assert_eq!(
        (world.get("/health").0, world.login("testpass")),
        (200, 200)
    );
    assert!(!log().contains("ERROR"));

    world.must("use-redis", &[]);
    world.must("appctl", &["restart", "1"]);
    assert_eq!(
        (world.get("/health").0, world.get("/api/invoices/").0),
        (500, 500)
    );
    assert!(log().contains("ERROR cache redis: connection pool error"));
    world.must("fault", &["clear", "5xx-after-deploy"]);
    assert_eq!(
        (world.get("/health").0, world.login("testpass")),
        (200, 401)
    );

    world.must("fault", &["clear"]);
    assert_eq!(world.login("testpass"), 200);
    world.must("fault", &["set", "crash-on-start"]);
    let restart = world.ops("appctl", &["restart", "1"]);
    assert_eq!(restart.status.code(), Some(1));
    let said = String::from_utf8_lossy(&restart.stderr).into_owned();
    assert!(
        said.contains("instance 1: ended with exit status: 1") && said.contains("`crash-on-start`"),
        "{said}"
    );
    assert_eq!(
        world.get("/health").0,
        503,
        "the front says that nobody is there"
    );
    assert_eq!(world.ops("appctl", &["status"]).status.code(), Some(3));
    world.must("use-locmem", &[]);
    world.must("appctl", &["start", "1"]);
    assert_eq!(world.get("/health").0, 200);
}

#[test]
fn a_rolling_restart_is_not_noticed_and_a_slow_service_is() {
    let world = DemoWorld::up(3);
    world.must("use-redis", &[]);
    std::thread::scope(|scope| {
        let readers = scope.spawn(|| world.ops("traffic", &["--requests", "300", "--pause", "2"]));
        world.must("appctl", &["restart", "all"]);
        let counted: Value =
            serde_json::from_slice(&readers.join().expect("joined").stdout).expect("JSON");
        assert_eq!(counted["failures"], 0, "{counted}");
        assert_eq!(counted["requests"], 300);
    });
    world.must("fault", &["set", "slow", "200"]);
    let begin = std::time::Instant::now();
    assert_eq!(world.get("/health").0, 200);
    assert!(begin.elapsed().as_millis() >= 200);
    world.must("maintenance", &["on"]);
    assert_eq!(world.get("/health").0, 503);
    world.must("maintenance", &["off"]);
    assert_eq!(world.get("/health").0, 200);
}

#[test]
fn the_front_keeps_what_is_posted_to_the_hook_even_when_nobody_else_answers() {
    let world = DemoWorld::up(1);
    world.must("appctl", &["stop", "1"]);
    let post = |body: &str| {
        let head = "POST /hooks/ops HTTP/1.1\r\nHost: x\r\nContent-Type: application/json";
        let length = body.len();
        request(
            world.port(),
            &format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}"),
        )
        .0
    };
    let before = world.digest();
    assert_eq!(post(r#"{ "text": "one" }"#), 200);
    assert_eq!(post(r#"{"text":"two\nlines"}"#), 200);
    assert_eq!(post("no JSON"), 400);
    let kept = std::fs::read_to_string(world.path("notifications.jsonl")).expect("kept");
    assert_eq!(kept, "{\"text\":\"one\"}\n{\"text\":\"two\\nlines\"}\n");
    assert_eq!(world.digest(), before);
}

#[test]
fn down_stops_all_of_it_twice_and_touches_no_other_process() {
    let world = DemoWorld::up(2);
    let pids = world.pids();
    assert_eq!(pids.len(), 4, "redis, front, two instances");
    assert!(pids.iter().all(|p| runs(*p)));
    assert_ok(&world.ops("appctl", &["start", "all"]));
    assert_eq!(world.pids().len(), 4, "starting twice starts nothing new");
    // a record whose pid now belongs to somebody else, here this very test
    let stranger = format!(r#"{{"pid":{},"started":"1"}}"#, std::process::id());
    std::fs::write(world.path("run/instance-7.json"), stranger).expect("written");
    assert_ok(&world.run(&["world", "down"]));
    assert!(!pids.iter().any(|p| runs(*p)));
    let again = world.run(&["world", "down"]);
    assert_ok(&again);
    assert_eq!(
        String::from_utf8_lossy(&again.stdout),
        "nothing was running\n"
    );
}

#[test]
fn a_directory_with_other_things_in_it_is_left_alone() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("thesis.txt"), "years of work").expect("written");
    let up = Command::new(demo_app())
        .arg("--world")
        .arg(dir.path())
        .args(["world", "up"])
        .output()
        .expect("demo-app starts");
    assert_eq!(up.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&up.stderr).contains("neither empty nor a demo world"));
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1);
}
