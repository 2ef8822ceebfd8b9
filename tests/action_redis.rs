//! The Redis actions against real servers.

use std::path::Path;
use std::time::{Duration, Instant};

use ferry::action::redis::ACTIONS;
use ferry::action::{Action, ActionError, Call, Target};
use ferry::event::{Cause, Outcome};
use ferry::runbook::{Class, TargetKind, yaml};
use serde_json::{Value, json};

use crate::support::context::{call, context, target};
use crate::support::ports;
use crate::support::redis::{Server, own_db, shared, with_tls};

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

async fn reply(command: Value, target: Target) -> Value {
    run("redis", command, target).await.unwrap()["reply"].take()
}

async fn refused(command: Value, target: Target) -> ActionError {
    run("redis", command, target).await.unwrap_err()
}

fn with_options(mut target: Target, options: Value) -> Target {
    target.options = options;
    target
}

#[tokio::test]
async fn a_command_gives_its_reply_as_json() {
    let db = own_db();
    let at = || shared().target(db);
    let pong = run("redis", json!("PING"), at()).await.unwrap();
    assert_eq!(pong["reply"], "PONG");
    assert!(pong["latency_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(reply(json!(r#"SET "a key" 'two words'"#), at()).await, "OK");
    assert_eq!(
        reply(json!({ "command": ["GET", "a key"] }), at()).await,
        "two words"
    );
    assert_eq!(reply(json!("GET nothing"), at()).await, Value::Null);
    assert_eq!(
        reply(json!({ "command": ["RPUSH", "l", 1, 2.5, true] }), at()).await,
        3
    );
    assert_eq!(
        reply(json!("LRANGE l 0 -1"), at()).await,
        json!(["1", "2.5", "yes"])
    );
    assert_eq!(reply(json!(r#"SET b "\x00\xff""#), at()).await, "OK");
    assert_eq!(reply(json!("GET b"), at()).await, json!({ "hex": "00ff" }));
    assert_eq!(
        reply(json!("EVAL 'return {1,{2,false}}' 0"), at()).await,
        json!([1, [2, null]])
    );
}

#[tokio::test]
async fn values_in_a_list_are_inert() {
    let db = own_db();
    let evil = "x\r\nFLUSHALL\r\n '; $(touch pwned) \" {{7*7}}";
    let at = || shared().target(db);
    reply(json!({ "command": ["SET", "k", evil] }), at()).await;
    assert_eq!(reply(json!("GET k"), at()).await, evil);
}

#[test]
fn only_what_is_known_to_read_is_reading() {
    let class = |params: Value| (action("redis").spec().class)(&params);
    assert_eq!(class(json!("CONFIG GET maxmemory")), Class::Reading);
    assert_eq!(class(json!({ "command": ["get", "x"] })), Class::Reading);
    assert_eq!(class(json!({ "command": "SET a b" })), Class::Changing);
    assert_eq!(class(json!("WHATEVER")), Class::Changing);
    assert_eq!(class(json!({ "command": 5 })), Class::Changing);
}

#[tokio::test]
async fn flushall_is_not_for_a_step() {
    let error = refused(json!("FLUSHALL"), shared().target(own_db())).await;
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Invalid, Outcome::NotApplied)
    );
    assert!(error.message.contains("`redis.flush`"), "{}", error.message);
}

#[tokio::test]
async fn the_option_overrides_the_database_of_the_url() {
    let (one, two) = (own_db(), own_db());
    let server = shared();
    let at = with_options(server.target(one), json!({ "db": two }));
    reply(json!("SET here 1"), at).await;
    assert_eq!(server.ask::<i64>(one, &["EXISTS", "here"]), 0);
    assert_eq!(server.ask::<i64>(two, &["EXISTS", "here"]), 1);
    let error = refused(json!("PING"), shared().target(9_999)).await;
    assert_eq!(
        error.message,
        format!("{} has no database 9999", server.peer())
    );
}

#[tokio::test]
async fn refused_and_unknown_hosts_are_named() {
    let port = ports::free();
    let at = target(
        TargetKind::Redis,
        &format!("redis://u:hunter22@127.0.0.1:{port}"),
    );
    let error = refused(json!("SET a b"), at).await;
    assert_eq!(
        error.message,
        format!("`t` (127.0.0.1:{port}) refused the connection")
    );
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Unreachable, Outcome::NotApplied)
    );
    assert!(error.retryable);

    let at = target(TargetKind::Redis, "redis://no-such-host.invalid:6379");
    let error = refused(json!("SET a b"), at).await;
    assert_eq!(
        error.message,
        "`t` (no-such-host.invalid:6379): the host name `no-such-host.invalid` does not resolve (DNS)"
    );
    assert_eq!(error.outcome, Outcome::NotApplied);

    let error = refused(
        json!("PING"),
        target(TargetKind::Redis, "htp://:hunter22@x y"),
    )
    .await;
    assert_eq!(error.cause, Cause::Invalid);
    assert!(!error.message.contains("hunter22"));
}

#[tokio::test]
async fn passwords_are_asked_for_and_never_told() {
    let server = Server::start(&["--requirepass", "right-pass"]);
    let with = |user: &str| {
        let url = format!("redis://{user}127.0.0.1:{}", server.port);
        target(TargetKind::Redis, &url)
    };
    let error = refused(json!("SET a b"), with("")).await;
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Denied, Outcome::NotApplied)
    );
    assert_eq!(
        error.message,
        format!(
            "{} asks for a password: NOAUTH Authentication required.",
            server.peer()
        )
    );
    let error = refused(json!("SET a b"), with(":wrong-pass@")).await;
    assert_eq!((error.cause, error.retryable), (Cause::Denied, false));
    assert!(error.message.contains("WRONGPASS"), "{}", error.message);
    assert!(!format!("{error:?}").contains("wrong-pass"));
    assert_eq!(reply(json!("PING"), with(":right-pass@")).await, "PONG");
    // its own secret is not shown either
    let shown = reply(json!("CONFIG GET requirepass"), with(":right-pass@")).await;
    assert_eq!(shown, json!(["requirepass", "(hidden)"]));
    let config = run(
        "redis.config_get",
        json!({ "names": ["require*"] }),
        with(":right-pass@"),
    );
    assert_eq!(
        config.await.unwrap()["config"],
        json!({ "requirepass": "(hidden)" })
    );

    let at = target(
        TargetKind::Redis,
        &format!("redis://:surplus-pass@127.0.0.1:{}", shared().port),
    );
    let error = refused(json!("PING"), at).await;
    assert_eq!(error.cause, Cause::Denied);
    assert!(
        error.hint.as_ref().unwrap().contains("no password set"),
        "{error:?}"
    );
    assert!(!format!("{error:?}").contains("surplus-pass"));
}

#[tokio::test]
async fn missing_rights_are_named() {
    let server = Server::start(&[]);
    let user = [
        "ACL",
        "SETUSER",
        "ann",
        "on",
        ">ann-pass",
        "~*",
        "+@all",
        "-set",
        "-client",
    ];
    server.ask::<()>(0, &user);
    let url = format!("redis://ann:ann-pass@127.0.0.1:{}", server.port);
    let error = refused(json!("SET a b"), target(TargetKind::Redis, &url)).await;
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Denied, Outcome::NotApplied)
    );
    assert!(
        error.message.starts_with(&format!(
            "{} does not permit this to the user: NOPERM",
            server.peer()
        )) && error.message.contains("'set'"),
        "{}",
        error.message
    );
    assert!(!format!("{error:?}").contains("ann-pass"));
}

#[tokio::test]
async fn a_replica_takes_no_writes() {
    let master = shared();
    let port = master.port.to_string();
    let replica = Server::start(&["--replicaof", "127.0.0.1", &port]);
    let error = refused(json!("SET a b"), replica.target(0)).await;
    assert_eq!(
        (error.outcome, error.retryable),
        (Outcome::NotApplied, false)
    );
    assert!(
        error.message.starts_with(&format!(
            "{} is a read-only replica: READONLY",
            replica.peer()
        )),
        "{}",
        error.message
    );
    let stats = run("redis.stats", json!({}), replica.target(0))
        .await
        .unwrap();
    assert_eq!(stats["role"], "replica");
    let error = run(
        "redis.flush",
        json!({ "db": 0, "confirm": { "role": "master" } }),
        replica.target(0),
    )
    .await
    .unwrap_err();
    assert!(
        error.message.contains("its role is replica, not master"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_lost_master_is_told() {
    let gone = ports::free().to_string();
    let replica = Server::start(&[
        "--replicaof",
        "127.0.0.1",
        &gone,
        "--replica-serve-stale-data",
        "no",
    ]);
    let error = refused(json!("GET a"), replica.target(0)).await;
    assert!(
        error.message.contains("lost its master: MASTERDOWN"),
        "{}",
        error.message
    );
    assert!(error.retryable);
}

#[tokio::test]
async fn a_full_server_and_a_full_disk_are_told_apart() {
    let server = Server::start(&["--maxmemory", "2mb"]);
    let big = "x".repeat(1 << 20);
    let mut full = None;
    for n in 0..8 {
        let set = json!({ "command": ["SET", format!("k{n}"), big] });
        if let Err(error) = run("redis", set, server.target(0)).await {
            full = Some(error);
            break;
        }
    }
    let error = full.unwrap();
    assert_eq!(
        (error.outcome, error.retryable),
        (Outcome::NotApplied, false)
    );
    assert!(
        error.message.contains("is out of memory") && error.message.contains(": OOM "),
        "{}",
        error.message
    );
    assert!(error.hint.unwrap().contains("maxmemory"));

    let server = Server::start(&[]);
    server.ask::<()>(0, &["CONFIG", "SET", "save", "3600 1"]);
    server.ask::<()>(0, &["SET", "a", "b"]);
    std::fs::create_dir(server.dir.join("dump.rdb")).unwrap();
    let _: String = server.ask(0, &["BGSAVE"]);
    let until = Instant::now() + Duration::from_secs(10);
    let error = loop {
        match run("redis", json!("SET a c"), server.target(0)).await {
            Err(error) => break error,
            Ok(_) => assert!(Instant::now() < until, "the save did not fail"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(error.message.contains(": MISCONF "), "{}", error.message);
    assert_eq!(error.outcome, Outcome::NotApplied);
}

#[tokio::test]
async fn a_wrong_type_is_told() {
    let db = own_db();
    shared().ask::<()>(db, &["SET", "text", "x"]);
    let error = refused(json!("LPUSH text y"), shared().target(db)).await;
    assert!(
        error
            .message
            .contains("another type of value under that key: WRONGTYPE")
    );
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Failed, Outcome::NotApplied)
    );
    let error = refused(json!("NOSUCHCOMMAND"), shared().target(db)).await;
    assert!(
        error.message.contains("said: ERR unknown command"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_script_that_fails_half_way_may_have_changed_something() {
    let db = own_db();
    let script = "redis.call('SET', 'half', 1) return redis.call('LPUSH', 'half', 1)";
    let error = refused(
        json!({ "command": ["EVAL", script, 0] }),
        shared().target(db),
    )
    .await;
    assert_eq!(error.outcome, Outcome::Unknown, "{}", error.message);
    assert_eq!(shared().ask::<i64>(db, &["EXISTS", "half"]), 1);
}

#[tokio::test]
async fn busy_and_loading_are_worth_another_try() {
    let server = Server::start(&["--lua-time-limit", "50"]);
    let mut busy = server.connect(0);
    let script = std::thread::spawn(move || {
        let _: Result<(), _> = redis::cmd("EVAL")
            .arg("while true do end")
            .arg(0)
            .query(&mut busy);
    });
    let until = Instant::now() + Duration::from_secs(10);
    let error = loop {
        match run("redis", json!("GET a"), server.target(0)).await {
            Err(error) => break error,
            Ok(_) => assert!(Instant::now() < until, "the script did not start"),
        }
    };
    assert!(
        error.message.contains("is busy with a script: BUSY"),
        "{}",
        error.message
    );
    assert!(error.retryable);
    assert_eq!(reply(json!("SCRIPT KILL"), server.target(0)).await, "OK");
    script.join().unwrap();
}

#[tokio::test]
async fn a_server_that_hangs_times_out_in_time() {
    let server = Server::start(&[]);
    let at = with_options(server.target(0), json!({ "timeout": "400ms" }));
    server.freeze(true);
    let started = Instant::now();
    let error = refused(json!("SET a b"), at.clone()).await;
    let took = started.elapsed();
    server.freeze(false);
    assert!(
        took >= Duration::from_millis(390) && took < Duration::from_secs(3),
        "{took:?}"
    );
    assert_eq!(
        error.message,
        format!("{} timed out: no connection within 400ms", server.peer())
    );
    // nothing was sent yet
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Timeout, Outcome::NotApplied)
    );
    assert_eq!(reply(json!("EXISTS a"), at).await, 0);
}

#[tokio::test]
async fn a_write_without_an_answer_is_unknown_and_may_still_happen() {
    let server = Server::start(&[]);
    let at = with_options(server.target(0), json!({ "timeout": "300ms" }));
    server.ask::<()>(0, &["CLIENT", "PAUSE", "20000", "WRITE"]);
    let error = refused(json!("SET late 1"), at.clone()).await;
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Timeout, Outcome::Unknown)
    );
    assert_eq!(
        error.message,
        format!(
            "{} timed out: no answer to `SET` within 300ms",
            server.peer()
        )
    );
    // the next call is not stalled by it
    assert_eq!(reply(json!("PING"), at).await, "PONG");
}

#[tokio::test]
async fn a_link_lost_after_sending_is_unknown_for_writes_only() {
    // a blocking command keeps the answer away until the server dies
    for (command, outcome) in [
        ("BLPOP nothing 20", Outcome::Unknown),
        ("XREAD BLOCK 20000 STREAMS nothing 0", Outcome::NotApplied),
    ] {
        let victim = Server::start(&[]);
        let at = victim.target(0);
        let pending = tokio::spawn(async move { refused(json!(command), at).await });
        let until = Instant::now() + Duration::from_secs(10);
        while victim
            .ask::<String>(0, &["INFO", "clients"])
            .contains("blocked_clients:0")
        {
            assert!(Instant::now() < until);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(victim);
        let error = pending.await.unwrap();
        assert_eq!((error.cause, error.outcome), (Cause::Unreachable, outcome));
        assert!(
            error.message.contains("lost the connection during"),
            "{}",
            error.message
        );
    }
}

#[tokio::test]
async fn too_large_a_reply_is_said() {
    let db = own_db();
    shared().ask::<i64>(db, &["SETRANGE", "big", "70000000", "x"]);
    let error = refused(json!("GET big"), shared().target(db)).await;
    shared().ask::<()>(db, &["DEL", "big"]);
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Limit, Outcome::NotApplied)
    );
    assert_eq!(
        error.message,
        format!(
            "{} sent a reply to `GET` of more than 64.0 MB",
            shared().peer()
        )
    );
}

#[tokio::test]
async fn tls_with_an_own_authority() {
    let dir = tempfile::tempdir().unwrap();
    let Some((server, ca)) = with_tls(dir.path()) else {
        eprintln!("no openssl, or a redis-server without TLS: not tested");
        return;
    };
    let at = |options: Value| {
        let url = format!("rediss://127.0.0.1:{}/3", server.port);
        with_options(target(TargetKind::Redis, &url), options)
    };
    assert_eq!(reply(json!("SET a b"), at(json!({ "ca": ca }))).await, "OK");
    let error = refused(json!("SET a b"), at(json!({}))).await;
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Unreachable, Outcome::NotApplied)
    );
    assert!(
        error.message.contains("no TLS session: ") && error.message.contains("UnknownIssuer"),
        "{}",
        error.message
    );
    // plain to a TLS port
    let plain = target(
        TargetKind::Redis,
        &format!("redis://127.0.0.1:{}", server.port),
    );
    let error = refused(json!("SET a b"), plain).await;
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Unreachable, Outcome::NotApplied)
    );
    assert!(
        error.hint.unwrap().contains("rediss://"),
        "{}",
        error.message
    );
    // TLS to a plain port
    let url = format!("rediss://127.0.0.1:{}", shared().port);
    let options = json!({ "timeout": "2s" });
    let error = refused(
        json!("SET a b"),
        with_options(target(TargetKind::Redis, &url), options),
    )
    .await;
    assert_eq!(error.outcome, Outcome::NotApplied);
}

#[tokio::test]
async fn info_and_stats_have_types() {
    let server = Server::start(&[]);
    let at = || server.target(2);
    let info = run(
        "redis.info",
        json!({ "sections": ["server", "keyspace"] }),
        at(),
    )
    .await
    .unwrap();
    assert!(info["redis_version"].is_string() && info["tcp_port"] == server.port);
    assert_eq!(info["keyspace"], json!({}));
    assert!(info.get("used_memory").is_none());
    let error = run("redis.info", json!({ "sections": ["nosuch"] }), at())
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        format!("{} has no INFO section `nosuch`", server.peer())
    );

    let before = run("redis.stats", json!({}), at()).await.unwrap();
    assert_eq!(
        (&before["hit_rate"], &before["keys"]),
        (&Value::Null, &json!(0))
    );
    server.ask::<()>(2, &["MSET", "a", "1", "b", "2"]);
    server.ask::<()>(5, &["SET", "a", "1"]);
    for key in ["a", "b", "a", "no"] {
        server.ask::<Option<String>>(2, &["GET", key]);
    }
    let after = run("redis.stats", json!({}), at()).await.unwrap();
    assert_eq!(after["hit_rate"], 0.75);
    assert_eq!(
        (&after["hits"], &after["misses"], &after["keys"]),
        (&json!(3), &json!(1), &json!(2))
    );
    assert_eq!(after["keys_by_db"], json!({ "db2": 2, "db5": 1 }));
    assert_eq!(
        (&after["maxmemory"], &after["memory_share"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!(after["role"], "master");
    assert!(after["used_memory"].as_i64().unwrap() > 100_000);
    let mut listed: Vec<&str> = action("redis.stats")
        .spec()
        .results
        .iter()
        .map(|(name, _)| *name)
        .collect();
    let mut found: Vec<&str> = after
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    listed.sort_unstable();
    found.sort_unstable();
    assert_eq!(listed, found);
}

#[tokio::test]
async fn a_roundtrip_leaves_nothing() {
    let db = own_db();
    let params = json!({ "key": "migration_test", "ttl": "60s" });
    let result = run("redis.roundtrip", params, shared().target(db))
        .await
        .unwrap();
    assert_eq!(result["ok"], true);
    assert!(result["latency_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(shared().ask::<i64>(db, &["DBSIZE"]), 0);
}

#[tokio::test]
async fn configuration_is_set_and_put_back_only_where_it_is_still_ours() {
    let server = Server::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let cx = context(dir.path());
    let set =
        json!({ "set": { "maxmemory": "256mb", "maxmemory-policy": "allkeys-lru", "hz": 10 } });
    let call = call_at("redis.config", set, server.target(0));
    let config = action("redis.config");
    let captured = config.capture(&cx, &call).await.unwrap().unwrap();
    let result = config.execute(&cx, &call).await.unwrap();
    assert_eq!(
        result,
        json!({
            "changed": ["maxmemory", "maxmemory-policy"],
            "previous": { "hz": "10", "maxmemory": "0", "maxmemory-policy": "noeviction" },
            "written": { "hz": "10", "maxmemory": "268435456", "maxmemory-policy": "allkeys-lru" },
            "rewritten": false,
        })
    );
    server.ask::<()>(0, &["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    let undone = config.restore(&cx, &call, &captured).await.unwrap();
    assert_eq!(
        undone,
        json!({ "restored": { "maxmemory": "0" }, "left": ["maxmemory-policy"] })
    );
    let get = json!({ "names": ["maxmemory", "maxmemory-policy"] });
    let now = run("redis.config_get", get, server.target(0))
        .await
        .unwrap();
    assert_eq!(
        now,
        json!({ "config": { "maxmemory": "0", "maxmemory-policy": "volatile-ttl" } })
    );

    for (set, says) in [
        (json!({ "nosuch": 1 }), "has no setting `nosuch`"),
        (
            json!({ "requirepass": "pw-in-clear" }),
            "does not set the secret `requirepass`",
        ),
        (json!({ "maxmemory": "lots" }), "CONFIG SET failed"),
    ] {
        let error = run("redis.config", json!({ "set": set }), server.target(0))
            .await
            .unwrap_err();
        assert!(error.message.contains(says), "{}", error.message);
        assert_eq!(error.outcome, Outcome::NotApplied);
        assert!(!error.message.contains("pw-in-clear"));
    }
    // without a configuration file there is nothing to rewrite: set, and said to be half done
    let error = run(
        "redis.config",
        json!({ "set": { "hz": 20 }, "rewrite": true }),
        server.target(0),
    )
    .await
    .unwrap_err();
    assert_eq!(error.outcome, Outcome::Unknown);
    assert!(
        error.message.starts_with("the values are set, but then"),
        "{}",
        error.message
    );
}

/// One key of each type, a binary key, and times to live.
fn fill(server: &Server, db: u16) {
    for argv in [
        &["SET", "text", "é"][..],
        &["SET", "int", "42", "EX", "1000"],
        &["RPUSH", "list", "a", "b", "a"],
        &["SADD", "set", "x", "y"],
        &["ZADD", "zset", "1.5", "one", "2", "two"],
        &["HSET", "hash", "f", "v", "g", "w"],
        &["XADD", "stream", "1-1", "f", "v"],
        &["PFADD", "hll", "a", "b"],
        &["SETBIT", "bits", "77", "1"],
        &["GEOADD", "geo", "13.36", "38.11", "Palermo"],
    ] {
        server.ask::<redis::Value>(db, argv);
    }
    let mut link = server.connect(db);
    let () = redis::cmd("SET")
        .arg(&b"\x00\xff bin\r\n"[..])
        .arg(&b"\x00\x01"[..])
        .query(&mut link)
        .unwrap();
    let () = redis::cmd("SET")
        .arg("")
        .arg("empty name")
        .query(&mut link)
        .unwrap();
}

/// All keys with their value (as DUMP gives it; a set has no order, so its members) and whether
/// they have a time to live.
fn contents(server: &Server, db: u16) -> Vec<(Vec<u8>, Vec<u8>, bool)> {
    let mut link = server.connect(db);
    let mut keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut link).unwrap();
    keys.sort();
    keys.into_iter()
        .map(|key| {
            let kind: String = redis::cmd("TYPE").arg(&key).query(&mut link).unwrap();
            let value: Vec<u8> = if kind == "set" {
                let mut members: Vec<Vec<u8>> =
                    redis::cmd("SMEMBERS").arg(&key).query(&mut link).unwrap();
                members.sort();
                members.join(&b',')
            } else {
                redis::cmd("DUMP").arg(&key).query(&mut link).unwrap()
            };
            let ttl: i64 = redis::cmd("PTTL").arg(&key).query(&mut link).unwrap();
            (key, value, ttl > 0)
        })
        .collect()
}

#[tokio::test]
async fn backup_flush_and_undo_bring_everything_back() {
    let db = own_db();
    let server = shared();
    fill(server, db);
    let before = contents(server, db);
    let dir = tempfile::tempdir().unwrap();
    let cx = context(dir.path());
    let backup_call = Call {
        cwd: dir.path().to_owned(),
        ..call_at(
            "redis.backup",
            json!({ "to": "b/cache.ferrydump" }),
            server.target(db),
        )
    };
    let backup = action("redis.backup")
        .execute(&cx, &backup_call)
        .await
        .unwrap();
    assert_eq!(
        (&backup["keys"], &backup["keys_at_start"], &backup["gone"]),
        (&json!(12), &json!(12), &json!(0))
    );
    assert_eq!(
        (&backup["verified"], &backup["db"]),
        (&json!(true), &json!(db))
    );
    let file = dir.path().join("b/cache.ferrydump");
    assert_eq!(backup["path"], file.to_str().unwrap());
    assert_eq!(backup["bytes"], std::fs::metadata(&file).unwrap().len());
    assert_eq!(std::fs::read_dir(dir.path().join("b")).unwrap().count(), 1);

    let params = json!({ "db": db, "confirm": { "role": "master", "run_id": backup["run_id"], "max_keys": 12, "host": "127.0.0.1" } });
    let flush_call = Call {
        backup: Some(backup.clone()),
        ..call_at("redis.flush", params, server.target(db))
    };
    let flush = action("redis.flush");
    let captured = flush.capture(&cx, &flush_call).await.unwrap().unwrap();
    // never took effect: the undo changes nothing
    let undone = flush.restore(&cx, &flush_call, &captured).await.unwrap();
    assert_eq!(
        (&undone["restored"], &undone["kept"]),
        (&json!(0), &json!(12))
    );
    let result = flush.execute(&cx, &flush_call).await.unwrap();
    assert_eq!(
        result,
        json!({ "keys_before": 12, "keys_after": 0, "db": db, "role": "master", "run_id": backup["run_id"] })
    );
    assert_eq!(contents(server, db), []);
    // somebody writes meanwhile: theirs stays
    server.ask::<()>(db, &["SET", "text", "newer"]);
    let undone = flush.restore(&cx, &flush_call, &captured).await.unwrap();
    assert_eq!(
        (&undone["keys"], &undone["restored"], &undone["kept"]),
        (&json!(12), &json!(11), &json!(1))
    );
    assert_eq!(server.ask::<String>(db, &["GET", "text"]), "newer");
    let ttl: i64 = server.ask(db, &["TTL", "int"]);
    assert!((900..=1000).contains(&ttl), "{ttl}");
    server.ask::<()>(db, &["SET", "text", "é"]);
    assert_eq!(contents(server, db), before);
}

#[tokio::test]
async fn a_backup_is_restored_by_the_id_of_its_step_or_by_its_file() {
    let (db, other) = (own_db(), own_db());
    let server = shared();
    fill(server, db);
    let before = contents(server, db);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("d");
    let backup = run("redis.backup", json!({ "to": file }), server.target(db))
        .await
        .unwrap();
    let mut cx = context(dir.path());
    let result = backup.clone();
    cx.results = std::sync::Arc::new(move |id| (id == "keys-backup").then(|| result.clone()));
    let restore_call = call_at("redis.restore", json!("keys-backup"), server.target(other));
    let restored = action("redis.restore")
        .execute(&cx, &restore_call)
        .await
        .unwrap();
    assert_eq!(
        restored,
        json!({ "keys": 12, "restored": 12, "skipped": 0, "sha256": backup["sha256"] })
    );
    assert_eq!(contents(server, other), before);
    let again = action("redis.restore")
        .execute(&cx, &restore_call)
        .await
        .unwrap();
    assert_eq!(
        (&again["restored"], &again["skipped"]),
        (&json!(0), &json!(12))
    );
    server.ask::<()>(other, &["SET", "text", "changed"]);
    let replace = call_at(
        "redis.restore",
        json!({ "from": file, "replace": true }),
        server.target(other),
    );
    let replaced = action("redis.restore")
        .execute(&cx, &replace)
        .await
        .unwrap();
    assert_eq!(
        (&replaced["restored"], &replaced["skipped"]),
        (&json!(12), &json!(0))
    );
    assert_eq!(contents(server, other), before);
}

#[tokio::test]
async fn a_backup_that_does_not_fit_is_refused() {
    let (db, other) = (own_db(), own_db());
    let server = shared();
    fill(server, db);
    server.ask::<()>(other, &["SET", "precious", "1"]);
    let dir = tempfile::tempdir().unwrap();
    let cx = context(dir.path());
    let file = dir.path().join("d");
    let backup = run("redis.backup", json!({ "to": file }), server.target(db))
        .await
        .unwrap();
    let flush = action("redis.flush");
    let at = |db: u16, backup: Option<Value>| Call {
        backup,
        ..call_at(
            "redis.flush",
            json!({ "db": db, "confirm": { "role": "master" } }),
            server.target(db),
        )
    };
    let error = flush.capture(&cx, &at(db, None)).await.unwrap_err();
    assert!(
        error.message.contains("needs a backup"),
        "{}",
        error.message
    );
    // of another database: neither captured nor flushed
    let wrong = at(other, Some(backup.clone()));
    for error in [
        flush.capture(&cx, &wrong).await.unwrap_err(),
        flush.execute(&cx, &wrong).await.unwrap_err(),
    ] {
        assert!(
            error
                .message
                .contains(&format!("the backup is of database {db} ")),
            "{}",
            error.message
        );
        assert_eq!(error.outcome, Outcome::NotApplied);
    }
    // of another server
    let mut foreign = backup.clone();
    foreign["run_id"] = json!("0000");
    let error = flush
        .execute(&cx, &at(db, Some(foreign)))
        .await
        .unwrap_err();
    assert!(
        error.message.contains("of server 0000"),
        "{}",
        error.message
    );
    assert_eq!(server.ask::<i64>(db, &["DBSIZE"]), 12);
    assert_eq!(server.ask::<i64>(other, &["DBSIZE"]), 1);
}

#[tokio::test]
async fn a_backup_that_was_exchanged_or_damaged_is_refused() {
    let db = own_db();
    let server = shared();
    fill(server, db);
    let dir = tempfile::tempdir().unwrap();
    let cx = context(dir.path());
    let file = dir.path().join("d");
    let backup = run("redis.backup", json!({ "to": file }), server.target(db))
        .await
        .unwrap();
    let flush = action("redis.flush");
    let params = json!({ "db": db, "confirm": { "role": "master" } });
    let at = |backup: Value| Call {
        backup: Some(backup),
        ..call_at("redis.flush", params.clone(), server.target(db))
    };
    let mut exchanged = backup.clone();
    exchanged["sha256"] = json!("00");
    let error = flush.capture(&cx, &at(exchanged)).await.unwrap_err();
    assert!(
        error.message.contains("is not the backup that was taken"),
        "{}",
        error.message
    );
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&file, bytes).unwrap();
    let error = flush.capture(&cx, &at(backup)).await.unwrap_err();
    assert!(error.message.contains("is damaged"), "{}", error.message);
    let error = run(
        "redis.restore",
        json!({ "from": file, "replace": true }),
        server.target(db),
    )
    .await
    .unwrap_err();
    assert_eq!(error.outcome, Outcome::NotApplied);
    assert_eq!(server.ask::<i64>(db, &["DBSIZE"]), 12);
}

#[tokio::test]
async fn the_fence_names_what_it_found() {
    let db = own_db();
    let server = shared();
    server.ask::<()>(db, &["MSET", "a", "1", "b", "2"]);
    let run_id = run("redis.stats", json!({}), server.target(db))
        .await
        .unwrap()["run_id"]
        .take();
    let run_id = run_id.as_str().unwrap().to_owned();
    for (confirm, says) in [
        (
            json!({ "role": "replica" }),
            "its role is master, not replica".to_owned(),
        ),
        (
            json!({ "role": "master", "run_id": "abc" }),
            format!("its run_id is {run_id}, not abc"),
        ),
        (
            json!({ "role": "master", "max_keys": 1 }),
            "it holds 2 keys, more than 1".to_owned(),
        ),
        (
            json!({ "role": "master", "host": "cache-1" }),
            format!("its host is 127.0.0.1:{}, not cache-1", server.port),
        ),
    ] {
        let params = json!({ "db": db, "confirm": confirm });
        let error = run("redis.flush", params, server.target(db))
            .await
            .unwrap_err();
        assert_eq!(
            error.message,
            format!(
                "{}, database {db}, is not what was confirmed: {says}; nothing was done",
                server.peer()
            )
        );
        assert_eq!(
            (error.outcome, error.retryable),
            (Outcome::NotApplied, false)
        );
    }
    // the step and the target disagree
    let params = json!({ "db": db + 1, "confirm": { "role": "master" } });
    let error = run("redis.flush", params, server.target(db))
        .await
        .unwrap_err();
    assert_eq!(error.cause, Cause::Invalid);
    let error = run("redis.flush", json!({ "db": db }), server.target(db))
        .await
        .unwrap_err();
    assert!(
        error.message.contains("missing field `confirm`"),
        "{}",
        error.message
    );
    assert_eq!(server.ask::<i64>(db, &["DBSIZE"]), 2);
}

#[tokio::test]
async fn keys_are_deleted_up_to_a_limit_and_put_back() {
    let db = own_db();
    let server = shared();
    for n in 0..30 {
        server.ask::<()>(db, &["SET", &format!("session:{n}"), "s"]);
    }
    server.ask::<()>(db, &["SET", "other", "o"]);
    let dir = tempfile::tempdir().unwrap();
    let cx = context(dir.path());
    let to = json!({ "to": dir.path().join("d") });
    let backup = run("redis.backup", to, server.target(db)).await.unwrap();
    let error = run(
        "redis.delete",
        json!({ "match": "session:*" }),
        server.target(db),
    )
    .await
    .unwrap_err();
    assert!(
        error.message.contains("missing field `max_keys`"),
        "{}",
        error.message
    );
    let params = json!({ "match": "session:*", "max_keys": 29 });
    let error = run("redis.delete", params, server.target(db))
        .await
        .unwrap_err();
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Limit, Outcome::NotApplied)
    );
    assert_eq!(server.ask::<i64>(db, &["DBSIZE"]), 31);

    let params = json!({ "match": "session:*", "max_keys": 30 });
    let call = Call {
        backup: Some(backup),
        ..call_at("redis.delete", params, server.target(db))
    };
    let delete = action("redis.delete");
    let captured = delete.capture(&cx, &call).await.unwrap().unwrap();
    let result = delete.execute(&cx, &call).await.unwrap();
    assert_eq!(result, json!({ "matched": 30, "deleted": 30, "db": db }));
    // another's deletion is not undone
    server.ask::<()>(db, &["DEL", "other"]);
    let undone = delete.restore(&cx, &call, &captured).await.unwrap();
    assert_eq!(
        (&undone["restored"], &undone["kept"]),
        (&json!(30), &json!(0))
    );
    assert_eq!(server.ask::<i64>(db, &["EXISTS", "other"]), 0);
    let result = run(
        "redis.delete",
        json!({ "keys": ["session:1", "no"], "max_keys": 2 }),
        server.target(db),
    )
    .await
    .unwrap();
    assert_eq!(result, json!({ "matched": 2, "deleted": 1, "db": db }));
}

#[tokio::test]
async fn twenty_thousand_keys_take_seconds() {
    let server = Server::start(&[]);
    let script =
        "for i = 1, 20000 do redis.call('SET', 'k:' .. i, string.rep('v', 200), 'EX', 9000) end";
    server.ask::<()>(0, &["EVAL", script, "0"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("big");
    let started = Instant::now();
    let backup = run("redis.backup", json!({ "to": file }), server.target(0))
        .await
        .unwrap();
    assert_eq!(
        (&backup["keys"], &backup["keys_at_start"]),
        (&json!(20_000), &json!(20_000))
    );
    let part = run(
        "redis.backup",
        json!({ "to": dir.path().join("part"), "match": "k:1999?" }),
        server.target(0),
    )
    .await
    .unwrap();
    assert_eq!(
        (&part["keys"], &part["keys_at_start"]),
        (&json!(10), &json!(10))
    );
    let params = json!({ "db": 0, "confirm": { "role": "master" } });
    let flushed = run("redis.flush", params, server.target(0)).await.unwrap();
    assert_eq!(
        (&flushed["keys_before"], &flushed["keys_after"]),
        (&json!(20_000), &json!(0))
    );
    let restored = run("redis.restore", json!({ "from": file }), server.target(0))
        .await
        .unwrap();
    assert_eq!(restored["restored"], 20_000);
    assert_eq!(server.ask::<i64>(0, &["DBSIZE"]), 20_000);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[tokio::test]
async fn a_restore_that_breaks_half_way_says_so() {
    let server = Server::start(&[]);
    let script = "for i = 1, 3000 do redis.call('SET', 'k:' .. i, string.rep('v', 2000)) end";
    server.ask::<()>(0, &["EVAL", script, "0"]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("d");
    run("redis.backup", json!({ "to": file }), server.target(0))
        .await
        .unwrap();
    let small = Server::start(&["--maxmemory", "5mb"]);
    let error = run("redis.restore", json!({ "from": file }), small.target(0))
        .await
        .unwrap_err();
    assert_eq!(error.outcome, Outcome::Unknown);
    assert!(error.message.contains(": OOM "), "{}", error.message);
    let restored = error.result.unwrap()["restored"].as_i64().unwrap();
    assert!(restored > 0);
    assert_eq!(small.ask::<i64>(0, &["DBSIZE"]), restored);
}

#[tokio::test]
async fn a_backup_that_cannot_be_written_says_so() {
    let at = shared().target(own_db());
    let error = run("redis.backup", json!({ "to": "/proc/no/such" }), at)
        .await
        .unwrap_err();
    assert_eq!(error.outcome, Outcome::NotApplied);
    assert!(
        error
            .message
            .starts_with("`/proc/no/such` cannot be written: "),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn connections_carry_the_steps_name() {
    let list = reply(json!("CLIENT LIST"), shared().target(own_db())).await;
    assert!(
        list.as_str()
            .unwrap()
            .contains("name=ferry:test-run:step:do "),
        "{list}"
    );
}

#[tokio::test]
async fn a_server_that_loads_is_worth_waiting_for() {
    let (loading, _data) = Server::loading("1000");
    let error = refused(json!("SET a b"), loading.target(0)).await;
    assert!(
        error.message.contains("is still loading its data: LOADING"),
        "{}",
        error.message
    );
    assert_eq!(
        (error.outcome, error.retryable),
        (Outcome::NotApplied, true)
    );
}

#[tokio::test]
async fn clusters_are_told_and_not_followed() {
    let server = Server::start(&["--cluster-enabled", "yes"]);
    let error = refused(json!("SET a b"), server.target(0)).await;
    assert!(
        error
            .message
            .contains("a cluster that is down: CLUSTERDOWN"),
        "{}",
        error.message
    );
    assert_eq!(
        (error.outcome, error.retryable),
        (Outcome::NotApplied, true)
    );

    let (target, asked) = fake(vec![b"-MOVED 3999 127.0.0.1:1\r\n".to_vec()]).await;
    let error = refused(json!("SET a b"), target).await;
    assert!(
        error.message.contains("lives on another node: MOVED 3999"),
        "{}",
        error.message
    );
    assert_eq!(
        (error.outcome, error.retryable),
        (Outcome::NotApplied, false)
    );
    assert_eq!(asked.await.unwrap(), 1, "one connection, not a second try");
}

/// A server that answers the naming of the connection with OK and the commands with `answers`, and
/// then counts for a moment who else connects.
async fn fake(answers: Vec<Vec<u8>>) -> (Target, tokio::task::JoinHandle<usize>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = tokio::spawn(async move {
        let (mut link, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        assert!(link.read(&mut buffer).await.unwrap() > 0);
        link.write_all(b"+OK\r\n").await.unwrap();
        for answer in answers {
            assert!(link.read(&mut buffer).await.unwrap() > 0);
            // who is sent too much hangs up
            let _ = link.write_all(&answer).await;
        }
        let mut connections = 1;
        let moment = Duration::from_millis(300);
        while tokio::time::timeout(moment, listener.accept())
            .await
            .is_ok()
        {
            connections += 1;
        }
        connections
    });
    (
        target(TargetKind::Redis, &format!("redis://127.0.0.1:{port}")),
        served,
    )
}

#[tokio::test]
async fn hostile_replies_end_in_errors() {
    let deep = [b"*1\r\n".repeat(1_000_000), b":1\r\n".to_vec()].concat();
    let within = [b"*1\r\n".repeat(40), b":1\r\n".to_vec()].concat();
    let huge = [b"$9999999999\r\n".to_vec(), vec![b'x'; 66 << 20]].concat();
    for (answer, outcome, says) in [
        (deep, Outcome::Unknown, "lost the connection during `SET`"),
        (within, Outcome::Applied, "nested deeper than 32 lists"),
        (huge, Outcome::Applied, "of more than 64.0 MB"),
        (
            b"?what\r\n".to_vec(),
            Outcome::Unknown,
            "lost the connection during `SET`",
        ),
        (b":12\n\n\r\n".to_vec(), Outcome::Applied, ""),
    ] {
        let (target, served) = fake(vec![answer]).await;
        let at = with_options(target, json!({ "timeout": "10s" }));
        match run("redis", json!("SET a b"), at).await {
            Err(error) => {
                assert!(error.message.contains(says), "{}", error.message);
                assert_eq!(error.outcome, outcome, "{}", error.message);
            }
            Ok(result) => assert!(says.is_empty(), "{result}"),
        }
        served.abort();
    }
}

#[tokio::test]
async fn a_roundtrip_that_was_cut_is_cleaned_up() {
    let db = own_db();
    let dir = tempfile::tempdir().unwrap();
    let cx = context(dir.path());
    let call = call_at("redis.roundtrip", json!("probe"), shared().target(db));
    let roundtrip = action("redis.roundtrip");
    let captured = roundtrip.capture(&cx, &call).await.unwrap().unwrap();
    let key = captured["key"].as_str().unwrap();
    assert_eq!(key, "probe:ferry:test-run:step");
    shared().ask::<()>(db, &["SET", key, "left"]);
    shared().ask::<()>(db, &["SET", "probe", "not ours"]);
    let undone = roundtrip.restore(&cx, &call, &captured).await.unwrap();
    assert_eq!(undone, json!({ "deleted": 1 }));
    let again = roundtrip.restore(&cx, &call, &captured).await.unwrap();
    assert_eq!(again, json!({ "deleted": 0 }));
    assert_eq!(shared().ask::<i64>(db, &["DBSIZE"]), 1);
}

#[tokio::test]
async fn another_value_than_was_written_is_a_failure_and_the_key_is_deleted() {
    let answers = ["+OK\r\n", "$1\r\ny\r\n", ":1\r\n"].map(|answer| answer.as_bytes().to_vec());
    let (target, served) = fake(answers.to_vec()).await;
    let params = json!({ "key": "k", "value": "x" });
    let error = run("redis.roundtrip", params, target).await.unwrap_err();
    assert!(
        error.message.contains("gave back another value"),
        "{}",
        error.message
    );
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Failed, Outcome::NotApplied)
    );
    assert_eq!(error.result.unwrap()["ok"], false);
    served.abort();
}

#[test]
fn mistakes_are_seen_before_the_run() {
    let check = |key: &str, yaml: &str| {
        let node = yaml::parse(yaml, &yaml::Limits::default()).unwrap();
        (action(key).spec().check)(&node).map_err(|error| error.message)
    };
    let hole = "'${{ inputs.x }}'";
    for (key, yaml) in [
        ("redis", "command: CONFIG GET maxmemory".to_owned()),
        ("redis", format!("command: [SET, k, {hole}, EX, 60]")),
        (
            "redis.config",
            format!("set: {{ maxmemory: {hole}, hz: 10, appendonly: no }}"),
        ),
        (
            "redis.flush",
            format!("{{ db: {hole}, confirm: {{ role: {hole}, max_keys: 10 }} }}"),
        ),
        (
            "redis.flush",
            "{ db: 1, confirm: { role: primary } }".to_owned(),
        ),
        ("redis.delete", format!("{{ match: {hole}, max_keys: 5 }}")),
        ("redis.roundtrip", "{ key: a, ttl: 60s }".to_owned()),
    ] {
        assert_eq!(check(key, &yaml), Ok(()), "{key}: {yaml}");
    }
    for (key, yaml, says) in [
        ("redis", "command: FLUSHALL", "`redis.flush`"),
        ("redis", "command: 'GET \"a'", "is not closed"),
        ("redis", "command: []", "the command is empty"),
        ("redis.flush", "db: 1", "missing `confirm`"),
        ("redis.flush", "{ db: 1, confirm: {} }", "missing `role`"),
        (
            "redis.flush",
            "{ db: 1, confirm: { role: boss } }",
            "`boss` is not one of",
        ),
        ("redis.delete", "match: x", "missing `max_keys`"),
        (
            "redis.roundtrip",
            "{ key: a, ttl: 60 }",
            "is not a duration",
        ),
    ] {
        let message = check(key, yaml).unwrap_err();
        assert!(message.contains(says), "{yaml}: {message}");
    }
}
