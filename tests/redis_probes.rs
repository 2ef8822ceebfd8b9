//! The probes of Redis against real servers: what they say, and what they do not.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ferry::action::pause::Deadline;
use ferry::action::redis::ACTIONS;
use ferry::action::{Action, ActionError, Call, ReadContext, Rehearsed, Target};
use ferry::event::{Cause, Outcome};
use ferry::runbook::{Class, TargetKind};
use serde_json::{Value, json};

use crate::support::context::{call, context, target};
use crate::support::redis::{Server, own_db, shared, with_tls};
use crate::support::resp::{Resp, Then};

fn action(key: &str) -> &'static dyn Action {
    *ACTIONS
        .iter()
        .find(|action| action.spec().key == key)
        .unwrap()
}

fn call_at(key: &str, params: Value, target: Target) -> Call {
    Call {
        target: Some(target),
        ..call(key, params, Path::new("/"))
    }
}

async fn run(key: &str, params: Value, target: Target) -> Result<Value, ActionError> {
    let dir = tempfile::tempdir().unwrap();
    let call = call_at(key, params, target);
    action(key).execute(&context(dir.path()), &call).await
}

async fn found(key: &str, params: Value, target: Target) -> Value {
    let found = run(key, params, target).await.unwrap();
    // nothing comes that is not described
    let described = action(key).spec().results;
    for (field, _) in found.as_object().unwrap() {
        assert!(
            described.iter().any(|(name, _)| name == field),
            "`{key}` does not describe `{field}`"
        );
    }
    for (field, _) in described {
        assert!(found.get(field).is_some(), "`{key}` leaves out `{field}`");
    }
    found
}

async fn rehearsed(key: &str, params: Value, target: Target) -> Rehearsed {
    let cx = ReadContext {
        step: "step".into(),
        deadline: Deadline::after(Duration::from_secs(30)),
        phase_started: 0.0,
        run_dir: "/nowhere".into(),
        backups: Arc::default(),
        http: Arc::default(),
        spawn: None,
    };
    let call = call_at(key, params, target);
    action(key).rehearse(&cx, &call).await.unwrap()
}

/// A server with a user `ana` (password `ana-pass`) of these rights, and her address.
fn with_user(rights: &[&str]) -> (Server, Target) {
    let server = Server::start(&[]);
    let base = ["ACL", "SETUSER", "ana", "on", ">ana-pass"];
    server.ask::<()>(0, &[&base, rights].concat());
    let url = format!("redis://ana:ana-pass@127.0.0.1:{}", server.port);
    (server, target(TargetKind::Redis, &url))
}

/// Commands sent by another client over and over, until it is dropped.
struct Traffic {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Traffic {
    fn of(server: &Server, db: u16, commands: &[&[&str]]) -> Self {
        let mut connection = server.connect(db);
        let commands: Vec<redis::Cmd> = commands
            .iter()
            .map(|words| {
                let mut command = redis::cmd(words[0]);
                command.arg(&words[1..]);
                command
            })
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                for command in &commands {
                    command.exec(&mut connection).unwrap();
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn all_of_them_only_read() {
    for key in [
        "keys", "latency", "slowlog", "clients", "monitor", "pubsub", "security", "stats",
    ] {
        let spec = action(&format!("redis.{key}")).spec();
        assert_eq!((spec.class)(&json!({})), Class::Reading, "{key}");
    }
}

#[tokio::test]
async fn an_empty_database_has_no_shares_and_no_times() {
    let at = || shared().target(own_db());
    let empty = found("redis.keys", json!({}), at()).await;
    assert_eq!(
        (&empty["keys"], &empty["bytes"], &empty["dbsize"]),
        (&json!(0), &json!(0), &json!(0))
    );
    assert_eq!(
        empty["without_ttl_share"],
        Value::Null,
        "no share of nothing"
    );
    assert_eq!(
        (&empty["ttl_s"], &empty["by_prefix"]),
        (&Value::Null, &json!({}))
    );
}

#[tokio::test]
async fn keys_are_counted_by_prefix_type_and_time_to_live() {
    let db = own_db();
    let (server, at) = (shared(), || shared().target(db));
    for n in 0..300 {
        server.ask::<()>(db, &["SET", &format!("s:{n}"), "v", "EX", "1000"]);
    }
    for n in 0..20 {
        server.ask::<()>(db, &["HSET", &format!("h:{n}:x"), "f", "v"]);
    }
    server.ask::<()>(db, &["RPUSH", "l:1", "a"]);
    server.ask::<()>(db, &["SADD", "l:2", "a"]);
    server.ask::<()>(db, &["ZADD", "plain", "1", "a"]);
    server.ask::<()>(db, &["XADD", "x:1", "*", "f", "v"]);
    server.ask::<()>(db, &["SET", "big:1", &"x".repeat(100_000), "EX", "100000"]);

    let all = found("redis.keys", json!({}), at()).await;
    let keys: Vec<String> = server.ask(db, &["KEYS", "*"]);
    let bytes: u64 = keys
        .iter()
        .map(|key| server.ask::<u64>(db, &["MEMORY", "USAGE", key]))
        .sum();
    assert_eq!((&all["keys"], &all["dbsize"]), (&json!(325), &json!(325)));
    assert_eq!(all["bytes"], bytes);
    assert_eq!(all["without_ttl"], 24);
    assert_eq!(all["without_ttl_share"], json!(24.0 / 325.0));
    assert_eq!(
        all["ttl_bands"],
        json!({ "minute": 0, "hour": 300, "day": 0, "week": 1, "longer": 0 })
    );
    let by_type = |kind: &str| all["by_type"][kind]["keys"].clone();
    assert_eq!(
        (by_type("string"), by_type("hash")),
        (json!(301), json!(20))
    );
    for kind in ["list", "set", "zset", "stream"] {
        assert_eq!(by_type(kind), 1, "{kind}");
    }
    assert_eq!(by_type("other"), 0);
    let prefix = |name: &str| &all["by_prefix"][name];
    assert_eq!(prefix("s:")["keys"], 300);
    assert_eq!(prefix("s:")["without_ttl"], 0);
    assert_eq!(prefix("s:")["types"], json!({ "string": 300 }));
    let ttl = prefix("s:")["ttl_s"]["max"].as_f64().unwrap();
    assert!((990.0..=1000.0).contains(&ttl), "{ttl}");
    assert_eq!(prefix("l:")["types"], json!({ "list": 1, "set": 1 }));
    assert_eq!(prefix("h:")["ttl_s"], Value::Null);
    assert_eq!(prefix("")["keys"], 1);
    assert_eq!(all["prefixes"], 6);
    let first = all["by_prefix"].as_object().unwrap().keys().next().unwrap();
    assert_eq!(first, "big:", "largest first");
    assert_eq!(
        (&all["biggest"][0]["key"], &all["biggest"][0]["type"]),
        (&json!("big:1"), &json!("string"))
    );
    assert_eq!(all["biggest"].as_array().unwrap().len(), 10);
    assert_eq!(all["without_ttl_such_as"].as_array().unwrap().len(), 5);
    assert_eq!(
        (&all["complete"], &all["gone"], &all["repeated"]),
        (&json!(true), &json!(0), &json!(0))
    );
    assert_eq!(all["short_by_at_most"], json!({ "keys": 0, "bytes": 0 }));
    assert!(all["took_ms"].is_f64() && all["slowest_batch_ms"].is_f64());
}

#[tokio::test]
async fn what_is_looked_at_can_be_chosen() {
    let db = own_db();
    let (server, at) = (shared(), || shared().target(db));
    for n in 0..50 {
        server.ask::<()>(db, &["SET", &format!("a/{}/{n}", n % 5), "v"]);
        server.ask::<()>(db, &["SET", &format!("b/{n}"), "v"]);
    }
    let deep = found(
        "redis.keys",
        json!({ "separator": "/", "depth": 2, "memory": false, "prefixes": 2 }),
        at(),
    )
    .await;
    assert_eq!(
        (&deep["bytes"], &deep["biggest"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        deep["by_prefix"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["b/", "a/0/"]
    );
    assert_eq!(
        deep["others"],
        json!({ "prefixes": 4, "keys": 40, "bytes": null, "without_ttl": 40 })
    );
    assert_eq!(deep["prefixes"], 6);
    let some = found("redis.keys", json!("a/0/*"), at()).await;
    assert_eq!((&some["keys"], &some["dbsize"]), (&json!(10), &json!(100)));
    let sample = found("redis.keys", json!({ "sample": 7 }), at()).await;
    assert_eq!(
        (&sample["keys"], &sample["complete"]),
        (&json!(7), &json!(false))
    );
    // one more than there are: the server may name the last key before it says that it was the last
    let sample = found("redis.keys", json!({ "sample": 101 }), at()).await;
    assert_eq!(
        (&sample["keys"], &sample["complete"]),
        (&json!(100), &json!(true))
    );
    for (wrong, why) in [
        (
            json!({ "separator": "" }),
            "`redis.keys`: `separator` is empty",
        ),
        (json!({ "depth": 9 }), "`redis.keys`: `depth` is 1 to 8"),
        (
            json!({ "load": 0.0 }),
            "`redis.keys`: `load` is a share from 0.05 to 1",
        ),
        (
            json!({ "sample": 0 }),
            "`redis.keys`: `sample` is at least 1",
        ),
    ] {
        assert!((action("redis.keys").spec().sense)(&wrong).is_err());
        let error = run("redis.keys", wrong, at()).await.unwrap_err();
        assert_eq!((error.message.as_str(), error.cause), (why, Cause::Invalid));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_stay_are_counted_once_while_the_table_shrinks() {
    let server = Server::start(&[]);
    let fill = "for i = 1, 60000 do redis.call('SET', ARGV[1] .. i, 'v') end";
    server.ask::<()>(0, &["EVAL", fill, "0", "go:"]);
    let stay = "for i = 1, 500 do redis.call('SET', 'stay:' .. i, 'v') end";
    server.ask::<()>(0, &["EVAL", stay, "0"]);
    let at = server.target(0);
    let slow = tokio::spawn(async move { run("redis.keys", json!({ "load": 0.1 }), at).await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    let empty = "for i = 1, 60000 do redis.call('UNLINK', 'go:' .. i) end";
    server.ask::<()>(0, &["EVAL", empty, "0"]);
    let result = slow.await.unwrap().unwrap();
    assert_eq!(result["by_prefix"]["stay:"]["keys"], 500);
    assert_eq!(result["complete"], true);
    let gone = result["by_prefix"]["go:"]["keys"].as_u64().unwrap();
    assert!(gone < 60_000, "it went on while keys were deleted: {gone}");
    assert!(result["paused_ms"].as_f64().unwrap() > 100.0, "{result}");
}

#[tokio::test]
async fn a_key_that_is_named_twice_counts_once_and_one_that_ended_does_not() {
    // each is one batch: `a` and `b` are named, then `a` again with `c`, which is gone when asked about
    let server = Resp::serve(|batch| match batch {
        "DBSIZE" => Then::Say(":2\r\n"),
        "SCAN 0 COUNT 200" => Then::Say("*2\r\n$1\r\n7\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"),
        batch if batch.starts_with("PTTL a TYPE a MEMORY USAGE a PTTL b ") => Then::Say(
            ":-1\r\n+string\r\n:50\r\n:-1\r\n+string\r\n:50\r\n\
             *2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\nc\r\n",
        ),
        "PTTL c TYPE c MEMORY USAGE c" => Then::Say(":-2\r\n+none\r\n$-1\r\n"),
        _ => Then::Reset,
    });
    let at = target(TargetKind::Redis, &server.url);
    let all = found("redis.keys", json!({}), at).await;
    assert_eq!((&all["keys"], &all["bytes"]), (&json!(2), &json!(100)));
    assert_eq!((&all["repeated"], &all["gone"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let (server, at) = with_user(&["~*", "+scan", "+ttl", "+pttl", "+type", "+dbsize"]);
    server.ask::<()>(0, &["SET", "k", "v"]);
    let peer = server.peer();
    let error = run("redis.keys", json!({}), at.clone()).await.unwrap_err();
    assert_eq!(
        error.message,
        format!(
            "{peer} does not permit this to the user: NOPERM this user has no permissions to run the 'memory|usage' command (asked for `MEMORY USAGE`)"
        )
    );
    assert_eq!(
        error.hint.as_deref(),
        Some("grant it: ACL SETUSER ana +memory|usage")
    );
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Denied, Outcome::NotApplied)
    );
    let without = found("redis.keys", json!({ "memory": false }), at.clone()).await;
    assert_eq!(without["keys"], 1);
    for (key, hint) in [
        ("redis.latency", "grant it: ACL SETUSER ana +ping"),
        ("redis.slowlog", "grant it: ACL SETUSER ana +slowlog|get"),
        ("redis.clients", "grant it: ACL SETUSER ana +client|list"),
        ("redis.monitor", "grant it: ACL SETUSER ana +monitor"),
        ("redis.pubsub", "grant it: ACL SETUSER ana +subscribe"),
    ] {
        let error = run(key, json!({}), at.clone()).await.unwrap_err();
        assert_eq!(error.hint.as_deref(), Some(hint), "{}", error.message);
        assert_eq!(error.cause, Cause::Denied);
        assert!(!error.message.contains("ana-pass"));
    }
    // keys of others
    server.ask::<()>(
        0,
        &[
            "ACL",
            "SETUSER",
            "ana",
            "resetkeys",
            "~mine:*",
            "+memory|usage",
        ],
    );
    server.ask::<()>(0, &["SET", "mine:1", "v"]);
    let error = run("redis.keys", json!({}), at.clone()).await.unwrap_err();
    assert!(error.hint.unwrap().contains("`match`"), "{}", error.message);
    let mine = found("redis.keys", json!("mine:*"), at).await;
    assert_eq!(mine["by_prefix"]["mine:"]["keys"], 1);
}

#[tokio::test]
async fn latency_is_of_all_pings() {
    let at = shared().target(own_db());
    let result = found(
        "redis.latency",
        json!({ "n": 20, "every": "1ms" }),
        at.clone(),
    )
    .await;
    assert_eq!(result["samples"], 20);
    let ms = |field: &str| result[field].as_f64().unwrap();
    assert!(0.0 < ms("min_ms") && ms("min_ms") <= ms("p50_ms"));
    assert!(ms("p50_ms") <= ms("p95_ms") && ms("p95_ms") <= ms("p99_ms"));
    assert!(ms("p99_ms") <= ms("max_ms") && ms("mean_ms") <= ms("max_ms"));
    assert_eq!(
        found("redis.latency", json!({ "n": 3 }), at.clone()).await["samples"],
        3
    );
    let error = run("redis.latency", json!({ "n": 0 }), at)
        .await
        .unwrap_err();
    assert_eq!(error.message, "`redis.latency`: `n` is 1 to 100000");
}

#[tokio::test]
async fn the_slowlog_shows_no_values_and_says_when_it_is_off() {
    let server = Server::start(&[]);
    let at = || server.target(0);
    let none = found("redis.slowlog", json!({}), at()).await;
    assert_eq!(
        (&none["count"], &none["enabled"]),
        (&json!(0), &json!(true))
    );
    assert_eq!(
        (&none["threshold_ms"], &none["slowest_ms"]),
        (&json!(10.0), &Value::Null)
    );
    assert_eq!(none["reaches_back"], true);
    server.ask::<()>(0, &["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    server.ask::<()>(0, &["SET", "user:1", "canary-value"]);
    server.ask::<()>(0, &["EVAL", "return 'canary-script'", "1", "other:1"]);
    server.ask::<()>(0, &["ECHO", "canary-word"]);
    server.ask::<()>(0, &["CONFIG", "SET", "slowlog-log-slower-than", "1000000"]);
    let some = found("redis.slowlog", json!({ "since": "1m" }), at()).await;
    assert!(!some.to_string().contains("canary"), "{some}");
    let entries = some["slowest"].as_array().unwrap();
    let entry = |command: &str| {
        let found = entries.iter().find(|entry| entry["command"] == command);
        found.unwrap_or_else(|| panic!("no {command} in {some}"))
    };
    assert_eq!(
        (&entry("SET")["key"], &entry("SET")["words"]),
        (&json!("user:1"), &json!(3))
    );
    assert_eq!(
        entry("ECHO")["key"],
        Value::Null,
        "the server knows of no key there"
    );
    assert_eq!(entry("EVAL")["key"], Value::Null);
    assert_eq!(some["by_command"]["SET"]["count"], 1);
    assert!(some["count"].as_u64().unwrap() >= 3 && some["slowest_ms"].is_f64());
    assert_eq!(some["reaches_back"], true);
    // what is older does not count
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let later = found("redis.slowlog", json!({ "since": "1s" }), at()).await;
    assert_eq!(
        (&later["count"], &later["length"]),
        (&json!(0), &some["length"])
    );
    // entries that were not read may be inside
    let few = found("redis.slowlog", json!({ "entries": 2 }), at()).await;
    assert_eq!(
        (&few["count"], &few["reaches_back"]),
        (&json!(2), &json!(false))
    );
    server.ask::<()>(0, &["SLOWLOG", "RESET"]);
    server.ask::<()>(0, &["CONFIG", "SET", "slowlog-log-slower-than", "-1"]);
    let off = found("redis.slowlog", json!({}), at()).await;
    assert_eq!(
        (&off["count"], &off["enabled"]),
        (&Value::Null, &json!(false)),
        "nothing logged is not nothing slow"
    );
    let error = run("redis.slowlog", json!({ "since": 5 }), at())
        .await
        .unwrap_err();
    assert_eq!(error.cause, Cause::Invalid);
}

#[tokio::test]
async fn clients_are_folded_by_what_they_do() {
    let server = Server::start(&[]);
    let named = |name: &str| {
        let mut connection = server.connect(0);
        redis::cmd("CLIENT")
            .arg("SETNAME")
            .arg(name)
            .exec(&mut connection)
            .unwrap();
        connection
    };
    let (mut web, mut multi, mut ear, mut blocked) =
        (named("web-1"), named("web-2"), named("ear"), named("waits"));
    redis::cmd("MULTI").exec(&mut multi).unwrap();
    let mut listening = ear.as_pubsub();
    listening.subscribe("news").unwrap();
    let waits = std::thread::spawn(move || {
        redis::cmd("BLPOP")
            .arg("q")
            .arg(20)
            .exec(&mut blocked)
            .unwrap();
    });
    let until = Instant::now() + Duration::from_secs(10);
    let all = loop {
        let all = found("redis.clients", json!({}), server.target(0)).await;
        if all["blocked"] == 1 {
            break all;
        }
        assert!(Instant::now() < until, "{all}");
    };
    assert_eq!(
        (&all["pubsub"], &all["in_multi"], &all["monitors"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(all["by_name"]["web-1"], 1);
    assert_eq!(all["by_name"]["ferry:test-run:step:do"], 1, "its own");
    assert_eq!(all["by_host"]["127.0.0.1"], all["total"]);
    assert_eq!(all["by_user"]["default"], all["total"]);
    assert_eq!(all["maxclients"], 10_000);
    let some = found(
        "redis.clients",
        json!({ "match": "web-*" }),
        server.target(0),
    )
    .await;
    assert_eq!((&some["count"], &some["blocked"]), (&json!(2), &json!(0)));
    assert!(some["total"].as_u64().unwrap() >= 5);
    let none = found("redis.clients", json!("nobody"), server.target(0)).await;
    assert_eq!(
        (&none["count"], &none["longest_idle_s"]),
        (&json!(0), &Value::Null)
    );
    redis::cmd("LPUSH")
        .arg("q")
        .arg("v")
        .exec(&mut web)
        .unwrap();
    waits.join().unwrap();
}

#[tokio::test]
async fn the_monitor_sees_what_is_wanted_and_keeps_no_values() {
    let server = Server::start(&[]);
    let key = "cache:1:v2:cacheops:a";
    let _traffic = Traffic::of(&server, 3, &[&["SET", key, "canary-value"], &["GET", key]]);
    let _other = Traffic::of(&server, 4, &[&["GET", "elsewhere"]]);
    let want = r#"^"(SET|GET)" "cache:[0-9]+:v[0-9]+:cacheops:"#;
    let seen = found(
        "redis.monitor",
        json!({ "for": "300ms", "want": want }),
        server.target(3),
    )
    .await;
    assert_eq!(
        (&seen["clean"], &seen["ended_by"], &seen["missing"]),
        (&json!(true), &json!("time"), &json!([]))
    );
    let lines = seen["lines"].as_u64().unwrap();
    assert!(
        lines >= 10 && seen["other_dbs"].as_u64().unwrap() >= 5,
        "{seen}"
    );
    assert_eq!(seen["want"][want], lines);
    assert_eq!(
        seen["by_command"]["GET"].as_u64().unwrap() + seen["by_command"]["SET"].as_u64().unwrap(),
        lines
    );
    let example = seen["examples"][want].as_str().unwrap();
    assert!(
        example.starts_with(r#""SET" "cache:1"#) || example.starts_with(r#""GET" "cache:1"#),
        "{example}"
    );
    assert!(!seen.to_string().contains("canary"), "{seen}");
    assert!(seen["watched_ms"].as_f64().unwrap() >= 300.0);

    let all = found(
        "redis.monitor",
        json!({ "for": "200ms", "all_dbs": true, "want": ["elsewhere", "cacheops"] }),
        server.target(3),
    )
    .await;
    assert_eq!(all["other_dbs"], 0);
}

#[tokio::test]
async fn a_monitor_fails_on_what_is_denied_or_missing() {
    let server = Server::start(&[]);
    let key = "cache:1:v2:cacheops:a";
    let traffic = Traffic::of(&server, 3, &[&["SET", key, "canary-value"]]);
    let _other = Traffic::of(&server, 4, &[&["GET", "elsewhere"]]);
    // each wanted pattern has to be there
    let params = json!({ "for": "100ms", "want": ["cacheops", "elsewhere"] });
    let error = run("redis.monitor", params, server.target(3))
        .await
        .unwrap_err();
    assert!(
        error.message.starts_with(&format!(
            "{}: nothing matches `elsewhere` (in ",
            server.peer()
        )),
        "{}",
        error.message
    );
    assert_eq!(error.outcome, Outcome::NotApplied);
    let result = error.result.unwrap();
    assert_eq!(
        (&result["missing"], &result["clean"]),
        (&json!(["elsewhere"]), &json!(false))
    );

    let params = json!({ "for": "100ms", "deny": "^\"SET\"" });
    let error = run("redis.monitor", params, server.target(3))
        .await
        .unwrap_err();
    assert!(
        error.message.contains("what is denied"),
        "{}",
        error.message
    );
    let result = error.result.unwrap();
    assert_eq!(
        result["matched_deny"][0],
        format!(r#""SET" "{key}" (1 more word)"#)
    );
    assert!(!result.to_string().contains("canary"));
    drop(traffic);

    // no traffic is no success
    let params = json!({ "for": "100ms", "want": "." });
    let error = run("redis.monitor", params, server.target(3))
        .await
        .unwrap_err();
    assert!(
        error.message.contains("nothing matches `.` (in 0 commands"),
        "{}",
        error.message
    );
    assert_eq!(
        error.hint.unwrap(),
        "no command came by at all: is this the database that is used?"
    );
    let monitors = found("redis.clients", json!({}), server.target(0)).await;
    assert_eq!(monitors["monitors"], 0, "none is left behind");
}

#[tokio::test]
async fn a_monitor_that_ran_out_of_lines_proves_no_absence() {
    let server = Server::start(&[]);
    let _traffic = Traffic::of(&server, 0, &[&["GET", "k"]]);
    let short = |extra: Value| {
        let mut params = json!({ "for": "20s", "lines": 5 });
        params
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        params
    };
    let began = Instant::now();
    let seen = found(
        "redis.monitor",
        short(json!({ "want": "GET" })),
        server.target(0),
    )
    .await;
    assert_eq!(
        (&seen["ended_by"], &seen["lines"]),
        (&json!("lines"), &json!(5))
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    let error = run(
        "redis.monitor",
        short(json!({ "deny": "FLUSHALL" })),
        server.target(0),
    )
    .await
    .unwrap_err();
    assert_eq!(error.cause, Cause::Limit);
    assert!(
        error.message.contains("what came after them is not known"),
        "{}",
        error.message
    );
    for (wrong, why) in [
        (
            json!({ "for": "61s" }),
            "`redis.monitor`: `for` is up to 60s",
        ),
        (
            json!({ "lines": 0 }),
            "`redis.monitor`: `lines` is 1 to 1000000",
        ),
        (json!({ "want": "(" }), "`redis.monitor`: pattern `(`"),
    ] {
        let error = run("redis.monitor", wrong, server.target(0))
            .await
            .unwrap_err();
        assert!(error.message.starts_with(why), "{}", error.message);
    }
}

#[tokio::test]
async fn a_server_that_goes_silent_or_away_is_no_success() {
    let server = Resp::serve(|command| match command {
        "MONITOR" => Then::Say("+OK\r\n"),
        _ => Then::Say("+PONG\r\n"),
    });
    let at = target(TargetKind::Redis, &server.url);
    let error = run("redis.monitor", json!({ "for": "50ms" }), at)
        .await
        .unwrap_err();
    assert!(
        error.message.contains("did not show ferry's own PING"),
        "{}",
        error.message
    );
    let server = Resp::serve(|command| match command {
        "MONITOR" => Then::Reset,
        _ => Then::Say("+PONG\r\n"),
    });
    let at = target(TargetKind::Redis, &server.url);
    let error = run("redis.monitor", json!({ "for": "5s" }), at)
        .await
        .unwrap_err();
    assert!(
        error
            .message
            .contains("lost the connection during `MONITOR`"),
        "{}",
        error.message
    );
    let server = Resp::serve(|command| match command.split(' ').next().unwrap() {
        "SUBSCRIBE" => Then::Say("*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n"),
        _ => Then::Say(":0\r\n"),
    });
    let at = target(TargetKind::Redis, &server.url);
    let error = run("redis.pubsub", json!({ "timeout": "200ms" }), at)
        .await
        .unwrap_err();
    assert!(
        error.message.ends_with("was not received within 200ms"),
        "{}",
        error.message
    );
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Timeout, Outcome::NotApplied)
    );
}

#[tokio::test]
async fn a_message_published_is_received() {
    let server = Server::start(&[]);
    let heard = found("redis.pubsub", json!({}), server.target(2)).await;
    assert_eq!(
        (&heard["received"], &heard["receivers"]),
        (&json!(true), &json!(1))
    );
    assert!(heard["latency_ms"].as_f64().unwrap() > 0.0);
    let again = found(
        "redis.pubsub",
        json!({ "channel": "app" }),
        server.target(2),
    )
    .await;
    let channel = again["channel"].as_str().unwrap();
    assert!(
        channel.starts_with("app:ferry:") && again["channel"] != heard["channel"],
        "{channel}"
    );
    assert_eq!(
        server.ask::<Vec<String>>(2, &["KEYS", "*"]),
        Vec::<String>::new()
    );
    assert_eq!(
        server.ask::<Vec<String>>(0, &["PUBSUB", "CHANNELS"]),
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_second_connection_speaks_tls_as_the_first_does() {
    let dir = tempfile::tempdir().unwrap();
    let (server, authority) = with_tls(dir.path()).expect("openssl, and a server with TLS");
    let mut at = target(
        TargetKind::Redis,
        &format!("rediss://127.0.0.1:{}", server.port),
    );
    let error = run("redis.pubsub", json!({}), at.clone())
        .await
        .unwrap_err();
    assert!(
        error.message.contains("no TLS session"),
        "{}",
        error.message
    );
    at.options = json!({ "ca": authority });
    assert_eq!(
        found("redis.pubsub", json!({}), at.clone()).await["received"],
        true
    );
    assert_eq!(
        found("redis.monitor", json!({ "for": "50ms" }), at.clone()).await["clean"],
        true
    );
    let locked = found("redis.security", json!({}), at).await;
    assert_eq!(
        (&locked["tls_used"], &locked["tls_port"]),
        (&json!(true), &json!(server.port))
    );
}

#[tokio::test]
async fn security_says_what_is_open() {
    let server = Server::start(&[]);
    let open = found("redis.security", json!({}), server.target(1)).await;
    assert_eq!(
        (&open["asks_for_password"], &open["requirepass"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(
        open["default_user"],
        json!({ "on": true, "nopass": true, "all_keys": true, "all_commands": true })
    );
    assert_eq!(
        open["users"],
        json!({ "total": 1, "on": 1, "nopass": 1, "all_keys": 1, "all_commands": 1 })
    );
    assert_eq!(
        (&open["bind"], &open["loopback_only"]),
        (&json!(["127.0.0.1"]), &json!(true))
    );
    assert_eq!(
        (&open["plain_port"], &open["tls_used"]),
        (&json!(server.port), &json!(false))
    );
    assert_eq!(
        (&open["user"], &open["not_asked"]),
        (&json!("default"), &json!([]))
    );
    assert_eq!(open["commands"]["FLUSHALL"], "allowed");
    assert_eq!(open["commands"]["DEBUG"], "disabled");
    let allowed = open["allowed"].as_array().unwrap();
    assert!(
        allowed.contains(&json!("FLUSHALL")) && !allowed.contains(&json!("DEBUG")),
        "{open}"
    );
    assert_eq!(server.ask::<i64>(0, &["DBSIZE"]), 0);

    let locked = Server::start(&[
        "--requirepass",
        "canary-pass",
        "--rename-command",
        "FLUSHALL",
        "",
    ]);
    let at = target(
        TargetKind::Redis,
        &format!("redis://:canary-pass@127.0.0.1:{}", locked.port),
    );
    let closed = found(
        "redis.security",
        json!({ "commands": ["flushall", "KEYS"] }),
        at,
    )
    .await;
    assert_eq!(
        (&closed["asks_for_password"], &closed["requirepass"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(closed["default_user"]["nopass"], false);
    assert_eq!(
        closed["commands"],
        json!({ "FLUSHALL": "absent", "KEYS": "allowed" })
    );
    let hash = "c9f2"; // no hexadecimal hash of 64 digits stands anywhere either
    let long = |text: &str| {
        text.split(|c: char| !c.is_ascii_hexdigit())
            .any(|word| word.len() >= 40)
    };
    assert!(
        !closed.to_string().contains("canary") && !long(&closed.to_string()),
        "{hash} {closed}"
    );
}

#[tokio::test]
async fn security_that_may_not_be_asked_is_null() {
    let (server, at) = with_user(&["~*", "+ping", "+get"]);
    server.ask::<()>(0, &["SET", "k", "v"]);
    let blind = found("redis.security", json!({}), at).await;
    for field in [
        "requirepass",
        "user",
        "default_user",
        "users",
        "bind",
        "loopback_only",
        "protected_mode",
        "plain_port",
        "allowed",
    ] {
        assert_eq!(blind[field], Value::Null, "{field}");
    }
    assert!(
        blind["commands"]
            .as_object()
            .unwrap()
            .values()
            .all(Value::is_null)
    );
    assert_eq!(
        blind["asks_for_password"], false,
        "it is tried, not asked for"
    );
    assert_eq!(
        blind["not_asked"],
        json!(["ACL USERS", "ACL WHOAMI", "COMMAND INFO", "CONFIG GET"])
    );

    let (_server, at) = with_user(&[
        "~app:*",
        "+@all",
        "-@dangerous",
        "+acl",
        "+config|get",
        "+command|info",
    ]);
    let some = found(
        "redis.security",
        json!({ "commands": ["FLUSHALL", "GET", "CONFIG", "SHUTDOWN"] }),
        at,
    )
    .await;
    assert_eq!(
        some["commands"],
        json!({ "FLUSHALL": "denied", "GET": "allowed", "CONFIG": "denied", "SHUTDOWN": "denied" })
    );
    assert_eq!(
        (&some["allowed"], &some["user"]),
        (&json!(["GET"]), &json!("ana"))
    );
    assert_eq!(
        some["users"],
        json!({ "total": 2, "on": 2, "nopass": 1, "all_keys": 1, "all_commands": 1 })
    );
}

#[tokio::test]
async fn statistics_over_an_interval_have_rates() {
    let server = Server::start(&[]);
    let at = || server.target(0);
    let once = found("redis.stats", json!({}), at()).await;
    for field in ["evictions_per_sec", "hit_rate_now", "cpu"] {
        assert_eq!(once[field], Value::Null, "{field}");
    }
    let idle = found("redis.stats", json!({ "over": "200ms" }), at()).await;
    assert_eq!(
        (&idle["hit_rate_now"], &idle["evictions_per_sec"]),
        (&Value::Null, &json!(0.0))
    );
    assert_eq!(idle["ops_per_sec"], json!(0.0), "ferry's own are left out");
    assert!(idle["cpu"].as_f64().unwrap() < 0.9);
    server.ask::<()>(0, &["SET", "k", "v"]);
    let _traffic = Traffic::of(
        &server,
        0,
        &[
            &["GET", "k"],
            &["GET", "none"],
            &["GET", "k"],
            &["GET", "k"],
        ],
    );
    let busy = found("redis.stats", json!({ "over": "500ms" }), at()).await;
    let rate = busy["hit_rate_now"].as_f64().unwrap();
    assert!((0.70..0.80).contains(&rate), "{rate}");
    assert!(busy["ops_per_sec"].as_f64().unwrap() > 100.0);
    let error = run("redis.stats", json!({ "over": "61s" }), at())
        .await
        .unwrap_err();
    assert_eq!(error.message, "`redis.stats`: `over` is up to 60s");
}

#[tokio::test]
async fn a_rehearsal_really_reads() {
    let server = Server::start(&[]);
    server.ask::<()>(0, &["SET", "a:1", "v"]);
    for (key, params, field, expected) in [
        ("redis.keys", json!({}), "keys", json!(1)),
        ("redis.latency", json!({ "n": 5 }), "samples", json!(5)),
        ("redis.slowlog", json!({}), "count", json!(0)),
        ("redis.clients", json!("nobody"), "count", json!(0)),
        (
            "redis.security",
            json!({}),
            "asks_for_password",
            json!(false),
        ),
        (
            "redis.stats",
            json!({ "over": "50ms" }),
            "evictions_per_sec",
            json!(0.0),
        ),
    ] {
        let Rehearsed::Read(found) = rehearsed(key, params, server.target(0)).await else {
            panic!("{key} is not read");
        };
        assert_eq!(found[field], expected, "{key}: {found}");
        if key == "redis.security" {
            assert_eq!(found["commands"]["FLUSHALL"], "allowed", "{found}");
        }
    }
    let Rehearsed::Simulated(monitor) = rehearsed(
        "redis.monitor",
        json!({ "for": "20s", "want": "x" }),
        server.target(0),
    )
    .await
    else {
        panic!("it is not watched before its phase");
    };
    assert!(
        monitor
            .would
            .contains("would be watched with MONITOR for 20s"),
        "{}",
        monitor.would
    );
    let Rehearsed::NotVerified(why) = rehearsed("redis.pubsub", json!({}), server.target(0)).await
    else {
        panic!("nothing is published");
    };
    assert!(why.contains("publishes nothing"), "{why}");
    let calls: String = server.ask(0, &["INFO", "commandstats"]);
    for never in [
        "cmdstat_publish",
        "cmdstat_monitor",
        "cmdstat_subscribe",
        "cmdstat_client|setname",
    ] {
        assert!(!calls.contains(never), "{never} was sent");
    }
}
