//! The ways to a Redis server: Sentinels, Clusters, TLS and users, against real servers; and the probes
//! of replication and of Sentinels.

use std::path::Path;
use std::time::{Duration, Instant};

use ferry::action::redis::{ACTIONS, reach};
use ferry::action::{Action, ActionError, Call, Target};
use ferry::event::{Cause, Outcome};
use ferry::runbook::TargetKind;
use serde_json::{Value, json};

use crate::support::cluster::{self, Cluster};
use crate::support::context::{call, context, target};
use crate::support::ferry::Ferry;
use crate::support::ports;
use crate::support::redis::{Server, eventually, with_tls};
use crate::support::resp::{Resp, Then};
use crate::support::sentinel::{self, MASTER, Watched};

fn action(key: &str) -> &'static dyn Action {
    *ACTIONS
        .iter()
        .find(|action| action.spec().key == key)
        .unwrap()
}

async fn run(key: &str, params: Value, target: Target) -> Result<Value, ActionError> {
    let dir = tempfile::tempdir().unwrap();
    let call = Call {
        target: Some(target),
        ..call(key, params, Path::new("/"))
    };
    action(key).execute(&context(dir.path()), &call).await
}

async fn read(key: &str, target: Target) -> Value {
    run(key, json!({}), target).await.unwrap()
}

async fn reply(command: Value, target: Target) -> Value {
    run("redis", command, target).await.unwrap()["reply"].take()
}

async fn refused(command: Value, target: Target) -> ActionError {
    run("redis", command, target).await.unwrap_err()
}

fn at(url: &str) -> Target {
    target(TargetKind::Redis, url)
}

fn with_options(mut target: Target, options: Value) -> Target {
    target.options = options;
    target
}

/// The fields of a result are those that are promised.
fn promised(key: &str, result: &Value) {
    let mut listed: Vec<&str> = action(key)
        .spec()
        .results
        .iter()
        .map(|(name, _)| *name)
        .collect();
    let mut found: Vec<&str> = result
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    listed.sort_unstable();
    found.sort_unstable();
    assert_eq!(listed, found, "{key}");
}

fn run_id(server: &Server) -> String {
    let info: String = server.ask(0, &["INFO", "server"]);
    let line = info.lines().find_map(|line| line.strip_prefix("run_id:"));
    line.unwrap().trim().to_owned()
}

fn is_unreachable(error: &ActionError) {
    assert_eq!(
        (error.cause, error.outcome, error.retryable),
        (Cause::Unreachable, Outcome::NotApplied, true),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn sentinels_lead_to_their_master_or_to_a_replica() {
    let all = sentinel::shared();
    let stats = read("redis.stats", all.target()).await;
    promised("redis.stats", &stats);
    assert_eq!(
        (&stats["role"], &stats["run_id"], &stats["nodes"]),
        (
            &json!("master"),
            &json!(run_id(&all.servers[0])),
            &Value::Null
        )
    );
    let round = run("redis.roundtrip", json!("ways"), all.target()).await;
    assert_eq!(round.unwrap()["ok"], true);
    // the server that is meant is named, with the name that it has there
    reply(json!("SET text x"), at(&format!("{}/3", all.url()))).await;
    let error = refused(json!("LPUSH text y"), at(&format!("{}/3", all.url()))).await;
    let place = format!("`t` ({MASTER} at 127.0.0.1:{})", all.servers[0].port);
    assert!(error.message.starts_with(&place), "{}", error.message);
    let replica = with_options(all.target(), json!({ "role": "replica" }));
    let stats = read("redis.stats", replica.clone()).await;
    assert_eq!(stats["role"], "replica");
    let replicas = [run_id(&all.servers[1]), run_id(&all.servers[2])];
    assert!(replicas.iter().any(|id| stats["run_id"] == *id));
    let error = refused(json!("SET a b"), replica).await;
    assert!(
        error.message.contains("is a read-only replica"),
        "{}",
        error.message
    );

    let odd = with_options(at(&all.servers[0].url(0)), json!({ "role": "replica" }));
    let error = refused(json!("PING"), odd).await;
    assert_eq!(
        error.message,
        "target `t`: `role` is for an address of sentinels, redis+sentinel://"
    );
}

#[tokio::test]
async fn the_fence_of_a_flush_sees_the_server_behind_the_sentinels() {
    let all = sentinel::shared();
    let place = format!("127.0.0.1:{}", all.servers[0].port);
    let at = || at(&format!("{}/5", all.url()));
    reply(json!("SET a b"), at()).await;
    let flush = |host: &str, run_id: &str| {
        let confirm = json!({ "role": "master", "host": host, "run_id": run_id });
        run("redis.flush", json!({ "db": 5, "confirm": confirm }), at())
    };
    let error = flush("127.0.0.1:1", "x").await.unwrap_err();
    let id = run_id(&all.servers[0]);
    assert_eq!(
        error.message,
        format!(
            "`t` ({MASTER} at {place}), database 5, is not what was confirmed: its run_id is {id}, \
             not x; its host is {place}, not 127.0.0.1:1; nothing was done"
        )
    );
    assert_eq!(flush(&place, &id).await.unwrap()["keys_after"], 0);
}

#[tokio::test]
async fn a_sentinel_that_is_down_or_silent_is_passed_over() {
    let all = sentinel::shared();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = all.url().replace(
        "redis+sentinel://",
        &format!(
            "redis+sentinel://127.0.0.1:{},{},",
            ports::free(),
            silent.local_addr().unwrap()
        ),
    );
    let started = Instant::now();
    let stats = read("redis.stats", at(&url)).await;
    assert_eq!(stats["run_id"], json!(run_id(&all.servers[0])));
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn no_sentinel_an_unknown_master_and_no_sentinel_at_all_are_told_apart() {
    let (one, two) = (ports::free(), ports::free());
    let url = format!("redis+sentinel://ann:hunter22@127.0.0.1:{one},127.0.0.1:{two}/{MASTER}");
    let error = refused(json!("SET a b"), at(&url)).await;
    assert_eq!(
        error.message,
        format!(
            "`t` ({MASTER}): no sentinel answered: 127.0.0.1:{one} refused the connection; \
             127.0.0.1:{two} refused the connection"
        )
    );
    is_unreachable(&error);
    assert!(!format!("{error:?}").contains("hunter22"));

    let all = sentinel::shared();
    let error = refused(json!("PING"), at(&all.url().replace(MASTER, "nosuch"))).await;
    let each: Vec<String> = all
        .sentinels
        .iter()
        .map(|one| {
            format!(
                "127.0.0.1:{} does not know a master `nosuch`: it watches `{MASTER}`",
                one.port
            )
        })
        .collect();
    assert_eq!(
        error.message,
        format!(
            "`t` (nosuch): no sentinel knows this master: {}",
            each.join("; ")
        )
    );
    assert_eq!((error.cause, error.retryable), (Cause::Invalid, false));

    let plain = all.servers[0].port;
    let url = format!("redis+sentinel://127.0.0.1:{plain}/{MASTER}");
    let error = refused(json!("PING"), at(&url)).await;
    assert_eq!(
        error.message,
        format!("`t` ({MASTER}): no sentinel knows this master: 127.0.0.1:{plain} is no sentinel")
    );
}

/// A Sentinel that always names the server at this port.
fn names(port: u16) -> (Resp, String) {
    let digits = port.to_string();
    let answer = format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{digits}\r\n", digits.len()).leak();
    let answer: &'static str = answer;
    let fake = Resp::serve(move |_| Then::Say(answer));
    let place = fake.url.strip_prefix("redis://").unwrap().to_owned();
    (fake, place)
}

#[tokio::test]
async fn who_is_named_has_to_be_the_master() {
    let all = sentinel::shared();
    let replica = all.servers[1].port;
    let (stale, place) = names(replica);
    let error = refused(
        json!("PING"),
        at(&format!("redis+sentinel://{place}/{MASTER}")),
    )
    .await;
    assert_eq!(
        error.message,
        format!("`t` ({MASTER} at 127.0.0.1:{replica}) is not a master: it says `replica`")
    );
    assert!(
        error
            .hint
            .as_ref()
            .unwrap()
            .contains(&format!("sentinel {place} names it"))
    );
    is_unreachable(&error);
    assert_eq!(stale.commands().len(), 3, "{:?}", stale.commands());
    // the next one is asked first in the next round
    let url = all.url().replace("://", &format!("://{place},"));
    assert_eq!(
        read("redis.stats", at(&url)).await["run_id"],
        json!(run_id(&all.servers[0]))
    );
}

#[tokio::test]
async fn sentinels_have_users_of_their_own() {
    let all = sentinel::shared();
    let lines = "user default on nopass sanitize-payload ~* &* +@all\n\
                 user sam on >sam-pass ~* &* +@all";
    let guarded = sentinel::sentinel(all.servers[0].port, lines);
    let url = format!("redis+sentinel://127.0.0.1:{}/{MASTER}", guarded.port);
    let with = |password: &str| {
        with_options(
            at(&url),
            json!({ "sentinel_user": "sam", "sentinel_password": password }),
        )
    };
    assert_eq!(reply(json!("PING"), with("sam-pass")).await, "PONG");
    let error = refused(json!("PING"), with("wrong-pass")).await;
    assert_eq!((error.cause, error.retryable), (Cause::Denied, false));
    assert_eq!(
        error.message,
        format!(
            "`t` ({MASTER}): no sentinel named the server: 127.0.0.1:{} refused the user name or \
             the password: WRONGPASS invalid username-password pair or user is disabled.",
            guarded.port
        )
    );
    assert!(error.hint.unwrap().contains("`sentinel_password`"));
    // the user in the address is one of the servers
    let url = url.replace("://", "://ann:ann-pass@");
    let error = refused(json!("PING"), at(&url)).await;
    assert!(
        error.message.contains(&format!("({MASTER} at ")),
        "{}",
        error.message
    );
    assert!(error.message.contains("WRONGPASS"), "{}", error.message);
}

#[tokio::test]
async fn after_a_failover_reads_come_from_the_new_master() {
    let all = Watched::start();
    let before = read("redis.stats", all.target()).await;
    let old = all.kill_master();
    let mut errors = 0;
    let after = loop {
        match run("redis.stats", json!({}), all.target()).await {
            Ok(stats) => break stats,
            Err(error) => {
                is_unreachable(&error);
                assert!(
                    error.message.starts_with(&format!("`t` ({MASTER}")),
                    "{}",
                    error.message
                );
                errors += 1;
                assert!(errors < 200, "{}", error.message);
            }
        }
    };
    let new = all.failed_over(old);
    assert!(errors > 0, "the sentinels need a second to see it");
    assert_ne!(after["run_id"], before["run_id"]);
    assert_eq!(
        (&after["role"], &after["run_id"]),
        (&json!("master"), &json!(run_id(all.server(new))))
    );
    let seen = read("redis.sentinel", all.target()).await;
    assert_eq!(
        (&seen["master"], &seen["agree"]),
        (&json!(format!("127.0.0.1:{new}")), &json!(true))
    );
    assert!(seen["config_epoch"].as_i64().unwrap() > 0);
}

#[tokio::test]
async fn a_link_that_was_opened_ahead_is_no_way_to_a_demoted_master() {
    let all = Watched::start();
    let dir = tempfile::tempdir().unwrap();
    let cx = context(dir.path());
    let stats = Call {
        target: Some(all.target()),
        ..call("redis.stats", json!({}), Path::new("/"))
    };
    reach(&cx, &stats).await.unwrap();
    let (old, new) = all.hand_over();
    let seen = action("redis.stats").execute(&cx, &stats).await.unwrap();
    assert_eq!(
        (&seen["role"], &seen["run_id"]),
        (&json!("master"), &json!(run_id(all.server(new))))
    );
    // it is still there, and answers
    eventually("the old master follows the new one", || {
        all.server(old).says("replication", "master_link_status:up")
    });
    let seen = read("redis.replication", at(&all.server(old).url(0))).await;
    assert_eq!(
        (&seen["role"], &seen["master"]),
        (&json!("replica"), &json!(format!("127.0.0.1:{new}")))
    );
}

#[tokio::test]
async fn the_sentinels_are_asked_one_by_one() {
    let all = sentinel::shared();
    let seen = read("redis.sentinel", all.target()).await;
    promised("redis.sentinel", &seen);
    let master = format!("127.0.0.1:{}", all.servers[0].port);
    let expected = json!({
        "master": master, "agree": true, "quorum": 2, "quorum_ok": true, "known": 3, "asked": 3,
        "answered": 3, "replicas": 2, "replicas_up": 2, "flags": ["master"], "s_down": false,
        "o_down": false, "failover_in_progress": false, "config_epoch": 0,
        "nodes": all.sentinels.iter().map(|one| json!({
            "node": format!("127.0.0.1:{}", one.port), "answers": true, "master": master,
            "quorum_ok": true, "says": null,
        })).collect::<Vec<_>>(),
    });
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn one_sentinel_names_the_others() {
    let all = sentinel::shared();
    // one of them names the others
    let plain = || at(&format!("redis://127.0.0.1:{}", all.sentinels[0].port));
    let seen = run("redis.sentinel", json!({ "master": MASTER }), plain())
        .await
        .unwrap();
    assert_eq!(
        (&seen["asked"], &seen["agree"], &seen["quorum_ok"]),
        (&json!(3), &json!(true), &json!(true))
    );
    let error = run("redis.sentinel", json!({}), plain()).await.unwrap_err();
    assert_eq!(error.message, "`redis.sentinel` needs a `master`");
    let error = run("redis.sentinel", json!("other"), plain())
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        format!(
            "`t` (127.0.0.1:{}) does not know a master `other`: it watches `{MASTER}`",
            all.sentinels[0].port
        )
    );
    let error = run("redis.sentinel", json!(MASTER), at(&all.servers[0].url(0))).await;
    assert!(error.unwrap_err().message.ends_with("is no sentinel"));
}

#[tokio::test]
async fn sentinels_that_are_gone_take_the_quorum_with_them() {
    let all = Watched::start();
    let master = format!("127.0.0.1:{}", all.servers[0].port);
    all.sentinels[2].kill();
    let seen = read("redis.sentinel", all.target()).await;
    assert_eq!(
        (
            &seen["agree"],
            &seen["answered"],
            &seen["quorum_ok"],
            &seen["master"]
        ),
        (&Value::Null, &json!(2), &json!(true), &json!(master))
    );
    assert_eq!(
        seen["nodes"][2]["says"],
        format!(
            "`t` (sentinel 127.0.0.1:{}) refused the connection",
            all.sentinels[2].port
        )
    );
    all.sentinels[1].kill();
    let until = Instant::now() + Duration::from_secs(20);
    let lost = loop {
        let seen = read("redis.sentinel", all.target()).await;
        if seen["quorum_ok"] == false {
            break seen;
        }
        assert!(Instant::now() < until, "{seen}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(
        lost["nodes"][0]["says"]
            .as_str()
            .unwrap()
            .contains("NOT ENOUGH")
            || lost["nodes"][0]["says"]
                .as_str()
                .unwrap()
                .contains("usable Sentinels"),
        "{lost}"
    );
    all.sentinels[0].kill();
    let error = run("redis.sentinel", json!({}), all.target())
        .await
        .unwrap_err();
    assert!(
        error
            .message
            .starts_with(&format!("`t` ({MASTER}): no sentinel answered: ")),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn replication_is_seen_from_both_ends() {
    let all = sentinel::shared();
    let seen = run("redis.replication", json!({ "replicas": 2 }), all.target())
        .await
        .unwrap();
    promised("redis.replication", &seen);
    assert_eq!(
        (
            &seen["role"],
            &seen["connected"],
            &seen["online"],
            &seen["enough"]
        ),
        (&json!("master"), &json!(2), &json!(2), &json!(true))
    );
    assert!(seen["max_lag_bytes"].as_i64().unwrap() < 10_000, "{seen}");
    assert!(seen["max_lag_s"].as_i64().unwrap() <= 2, "{seen}");
    assert_eq!(
        (&seen["link"], &seen["master"]),
        (&Value::Null, &Value::Null)
    );
    let seen = run("redis.replication", json!({ "replicas": 3 }), all.target())
        .await
        .unwrap();
    assert_eq!(seen["enough"], false);

    let seen = read("redis.replication", at(&all.servers[1].url(0))).await;
    assert_eq!(
        (
            &seen["role"],
            &seen["link"],
            &seen["master"],
            &seen["sync_in_progress"]
        ),
        (
            &json!("replica"),
            &json!("up"),
            &json!(format!("127.0.0.1:{}", all.servers[0].port)),
            &json!(false)
        )
    );
    assert!(seen["last_io_s"].as_i64().unwrap() <= 2, "{seen}");
    assert_eq!(
        (&seen["max_lag_bytes"], &seen["enough"]),
        (&Value::Null, &Value::Null)
    );

    let alone = Server::start(&[]);
    let seen = read("redis.replication", at(&alone.url(0))).await;
    assert_eq!(
        (
            &seen["connected"],
            &seen["max_lag_bytes"],
            &seen["max_lag_s"]
        ),
        (&json!(0), &Value::Null, &Value::Null)
    );
    let orphan = Server::start(&["--replicaof", "127.0.0.1 1"]);
    let seen = read("redis.replication", at(&orphan.url(0))).await;
    assert_eq!(
        (&seen["link"], &seen["last_io_s"], &seen["role"]),
        (&json!("down"), &Value::Null, &json!("replica"))
    );
}

#[tokio::test]
async fn a_replica_that_hangs_falls_behind() {
    let master = Server::start(&[]);
    let replica = Server::start(&["--replicaof", &format!("127.0.0.1 {}", master.port)]);
    eventually("the replica is in step", || {
        master
            .ask::<String>(0, &["INFO", "replication"])
            .contains("state=online")
    });
    replica.freeze(true);
    master.ask::<()>(0, &["SET", "k", &"v".repeat(50_000)]);
    let seen = read("redis.replication", at(&master.url(0))).await;
    replica.freeze(false);
    assert!(seen["max_lag_bytes"].as_i64().unwrap() >= 50_000, "{seen}");
}

/// Keys that live on each of the three masters.
const SPREAD: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

#[tokio::test]
async fn a_cluster_is_one_target() {
    // its keys are counted
    let all = &Cluster::start();
    for key in SPREAD {
        assert_eq!(
            reply(json!({ "command": ["SET", key, key] }), all.target()).await,
            "OK"
        );
        let there: Option<String> = all.node_of(key).ask(0, &["GET", key]);
        assert_eq!(there.as_deref(), Some(key));
        assert_eq!(
            reply(json!({ "command": ["GET", key] }), all.target()).await,
            key
        );
        let round = run("redis.roundtrip", json!(key), all.target())
            .await
            .unwrap();
        assert_eq!(round["ok"], true);
    }
    let ports: std::collections::BTreeSet<u16> =
        SPREAD.iter().map(|key| all.node_of(key).port).collect();
    assert_eq!(ports.len(), 3, "the keys are on all masters");
    assert_eq!(reply(json!("DBSIZE"), all.target()).await, SPREAD.len());

    let seen = run("redis.keys", json!("?"), all.target()).await.unwrap();
    assert_eq!(
        (
            &seen["keys"],
            &seen["without_ttl"],
            &seen["dbsize"],
            &seen["complete"]
        ),
        (&json!(6), &json!(6), &json!(6), &json!(true))
    );
    let seen = run("redis.keys", json!({ "sample": 4 }), all.target())
        .await
        .unwrap();
    assert_eq!(
        (&seen["keys"], &seen["complete"]),
        (&json!(4), &json!(false))
    );
    let error = run("redis.latency", json!({}), all.target())
        .await
        .unwrap_err();
    assert_eq!(
        error.message,
        "`redis.latency` is not supported on a Cluster, and `t` is one"
    );
    probed(all).await;
}

/// What the probes say of the cluster with the keys.
async fn probed(all: &Cluster) {
    let stats = read("redis.stats", all.target()).await;
    promised("redis.stats", &stats);
    assert_eq!(
        (
            &stats["keys"],
            &stats["keys_by_db"],
            &stats["role"],
            &stats["run_id"]
        ),
        (
            &json!(6),
            &json!({ "db0": 6 }),
            &json!("master"),
            &Value::Null
        )
    );
    let nodes = stats["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 3);
    for name in [
        "hits",
        "misses",
        "keys",
        "used_memory",
        "connected_clients",
        "evicted_keys",
    ] {
        let sum: i64 = nodes.iter().map(|node| node[name].as_i64().unwrap()).sum();
        assert_eq!(stats[name], sum, "{name}");
    }
    let (hits, misses) = (
        stats["hits"].as_f64().unwrap(),
        stats["misses"].as_f64().unwrap(),
    );
    assert_eq!(stats["hit_rate"], hits / (hits + misses));
    let places: Vec<String> = all
        .nodes
        .iter()
        .map(|node| format!("127.0.0.1:{}", node.port))
        .collect();
    let named: Vec<&str> = nodes
        .iter()
        .map(|node| node["node"].as_str().unwrap())
        .collect();
    assert_eq!(named, places);
}

#[tokio::test]
async fn other_probes_see_all_masters_too() {
    let all = cluster::shared();
    reply(json!({ "command": ["SET", "a", "a"] }), all.target()).await;
    let info = read("redis.info", all.target()).await;
    assert_eq!(
        (&info["cluster_enabled"], &info["redis_mode"]),
        (&json!(1), &json!("cluster"))
    );
    assert!(info["keyspace"]["db0"]["keys"].as_i64().unwrap() > 0);
    assert!(info.get("tcp_port").is_none() && info["nodes"][1]["tcp_port"] == all.nodes[1].port);

    let rates = run("redis.stats", json!({ "over": "200ms" }), all.target())
        .await
        .unwrap();
    let nodes = rates["nodes"].as_array().unwrap();
    let sum: f64 = nodes
        .iter()
        .map(|node| node["ops_per_sec"].as_f64().unwrap())
        .sum();
    assert_eq!(rates["ops_per_sec"], sum);
    assert_eq!(
        (&rates["evictions_per_sec"], &rates["cpu"]),
        (&json!(0.0), &Value::Null)
    );
    assert!(nodes.iter().all(|node| node["cpu"].is_f64()), "{rates}");

    let seen = run("redis.replication", json!({ "replicas": 1 }), all.target())
        .await
        .unwrap();
    assert_eq!(
        (&seen["enough"], &seen["max_lag_bytes"], &seen["online"]),
        (&json!(false), &Value::Null, &json!(0))
    );
    let config = run(
        "redis.config_get",
        json!({ "names": ["maxmemory"] }),
        all.target(),
    )
    .await;
    assert_eq!(config.unwrap()["config"], json!({ "maxmemory": "0" }));
    let config = run(
        "redis.config_get",
        json!({ "names": ["port"] }),
        all.target(),
    )
    .await;
    let error = config.unwrap_err();
    assert!(
        error
            .message
            .ends_with("has another `port` than another master"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn what_one_node_would_do_for_all_is_refused() {
    let all = cluster::shared();
    for key in [
        "redis.flush",
        "redis.delete",
        "redis.backup",
        "redis.restore",
        "redis.config",
    ] {
        let params = match key {
            "redis.flush" => json!({ "db": 0, "confirm": { "role": "master" } }),
            "redis.delete" => json!({ "keys": ["a"], "max_keys": 1 }),
            "redis.backup" => json!("keys.dump"),
            "redis.config" => json!({ "set": { "maxmemory": "1gb" } }),
            _ => json!({ "from": "keys.dump" }),
        };
        let error = run(key, params, all.target()).await.unwrap_err();
        if key == "redis.restore" {
            // its file is looked at first
            assert_eq!(error.outcome, Outcome::NotApplied);
            continue;
        }
        assert_eq!(
            error.message,
            format!("`{key}` is not supported on a Cluster, and `t` is one")
        );
        assert_eq!(
            (error.cause, error.outcome),
            (Cause::Invalid, Outcome::NotApplied)
        );
    }
}

#[tokio::test]
async fn a_command_for_all_is_not_sent_to_one_node() {
    let all = cluster::shared();
    for (command, name) in [
        ("FLUSHDB", "FLUSHDB"),
        ("CONFIG SET maxmemory 1gb", "CONFIG SET"),
        ("EVAL 'return 1' 0", "EVAL"),
    ] {
        let error = refused(json!(command), all.target()).await;
        assert_eq!(
            error.message,
            format!(
                "`t` (cluster node 127.0.0.1:{}): `{name}` names no key: it would be carried out \
                 on one node of the Cluster only",
                all.nodes[0].port
            )
        );
        assert_eq!(
            (error.cause, error.outcome),
            (Cause::Invalid, Outcome::NotApplied)
        );
    }
    for command in ["SCAN 0", "KEYS *", "RANDOMKEY"] {
        let error = refused(json!(command), all.target()).await;
        assert!(
            error.message.contains("of one node of the Cluster only"),
            "{}",
            error.message
        );
    }
    let error = refused(json!("DEL a b c"), all.target()).await;
    assert!(
        error
            .message
            .contains("live in more than one slot: CROSSSLOT"),
        "{}",
        error.message
    );
    assert_eq!(
        (error.outcome, error.retryable),
        (Outcome::NotApplied, false)
    );
    let sum = reply(
        json!("EVAL \"return redis.call('EXISTS', KEYS[1])\" 1 nothing"),
        all.target(),
    );
    assert_eq!(sum.await, 0);
    assert_eq!(reply(json!("PING"), all.target()).await, "PONG");
}

#[tokio::test]
async fn a_node_that_is_down_is_passed_over_and_none_is_told() {
    let all = cluster::shared();
    let (one, two) = (ports::free(), ports::free());
    let url = all.url().replace("://", &format!("://127.0.0.1:{one},"));
    assert_eq!(reply(json!("PING"), at(&url)).await, "PONG");
    let error = refused(
        json!("PING"),
        at(&format!("redis+cluster://127.0.0.1:{one},127.0.0.1:{two}")),
    )
    .await;
    assert_eq!(
        error.message,
        format!(
            "`t` (cluster): no node answered: 127.0.0.1:{one} refused the connection; \
             127.0.0.1:{two} refused the connection"
        )
    );
    is_unreachable(&error);
    let single = Server::start(&[]);
    let error = refused(
        json!("PING"),
        at(&format!("redis+cluster://127.0.0.1:{}", single.port)),
    )
    .await;
    assert_eq!(
        error.message,
        format!(
            "`t` (cluster node 127.0.0.1:{}) is not a node of a Cluster",
            single.port
        )
    );
    let other = with_options(all.target(), json!({ "db": 2 }));
    let error = refused(json!("PING"), other).await;
    assert_eq!(
        error.message,
        "the address of target `t`: a Cluster has one database, 0"
    );
    // whoever names one node gets that one, and is told of the others
    let away = SPREAD
        .iter()
        .find(|key| all.node_of(key).port != all.nodes[0].port)
        .unwrap();
    let error = refused(
        json!({ "command": ["GET", away] }),
        at(&all.nodes[0].url(0)),
    )
    .await;
    assert!(
        error.message.contains("lives on another node: MOVED "),
        "{}",
        error.message
    );
    assert!(error.hint.unwrap().contains("redis+cluster://"));
}

/// A node of a Cluster that sends every GET to this place.
fn sends_to(place: Option<String>) -> (Resp, String) {
    let own = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let known = std::sync::Arc::clone(&own);
    let fake = Resp::serve(move |command| {
        let bulk = |text: &str| Then::Say(format!("${}\r\n{text}\r\n", text.len()).leak());
        let own = known.get().unwrap();
        match command {
            "CLUSTER INFO" => bulk("cluster_state:ok\r\ncluster_slots_assigned:16384\r\n"),
            "CLUSTER NODES" => bulk(&format!(
                "id {own}@1 myself,master - 0 0 1 connected 0-16383\n"
            )),
            _ => {
                let to = place.as_ref().unwrap_or(own);
                Then::Say(format!("-MOVED 7 {to}\r\n").leak())
            }
        }
    });
    let at = fake.url.strip_prefix("redis://").unwrap().to_owned();
    own.set(at.clone()).unwrap();
    (fake, at)
}

#[tokio::test]
async fn redirections_end_and_lead_to_listed_nodes_only() {
    let (fake, place) = sends_to(None);
    let error = refused(json!("GET a"), at(&format!("redis+cluster://{place}"))).await;
    assert_eq!(
        error.message,
        format!("`t` (cluster node {place}) sent `GET` on, after 5 redirections")
    );
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Failed, Outcome::NotApplied)
    );
    let gets = fake
        .commands()
        .iter()
        .filter(|command| *command == "GET a")
        .count();
    assert_eq!(gets, 6);

    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (_fake, place) = sends_to(Some(stranger.local_addr().unwrap().to_string()));
    let url = format!("redis+cluster://{place}");
    let error = refused(json!("SET a b"), at(&url)).await;
    // what changes is asked for its keys first
    assert_eq!(error.outcome, Outcome::NotApplied);
    let error = refused(json!("GET a"), at(&url)).await;
    assert_eq!(
        error.message,
        format!(
            "`t` (cluster node {place}) sends `GET` to {}, which is no node of the Cluster that it lists",
            stranger.local_addr().unwrap()
        )
    );
    assert_eq!(
        (error.outcome, error.retryable),
        (Outcome::NotApplied, false)
    );
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.accept().is_err(), "nobody knocks there");
}

/// What a runbook reads through each kind of address, and what it would change.
const RUNBOOK: &str = "
    runbook: demo
    targets:
      behind: { redis: \"SENTINELS\" }
      all: { redis: \"CLUSTER\" }
    phases:
      p:
        steps:
          - { id: role, redis.stats: {}, target: behind, expect: 'result.role == \"master\"' }
          - { id: copies, redis.replication: { replicas: 2 }, target: behind, expect: [result.enough, result.max_lag_bytes < 100000] }
          - { id: watch, redis.sentinel: {}, target: behind, expect: [result.agree, result.quorum_ok] }
          - { id: sum, redis.stats: {}, target: all, expect: result.nodes.size() == 3 }
          - { id: keys, redis: DBSIZE, target: all, expect: result.reply >= 0 }
          - { id: one, redis: GET nothing, target: all, expect: result.reply == null }
          - { id: two, redis: GET nobody, target: all, expect: result.reply == null }
          - { id: masters, redis.info: { sections: [server] }, target: all, expect: 'result.redis_mode == \"cluster\"' }
          - { id: trip, redis.roundtrip: { key: ways }, target: all }
          - { id: through, redis.roundtrip: { key: ways }, target: behind }
";

#[test]
fn a_runbook_runs_and_is_rehearsed_through_each_kind_of_address() {
    let text = RUNBOOK
        .replace("SENTINELS", &sentinel::shared().url())
        .replace("CLUSTER", &cluster::shared().url());
    let ran = Ferry::new().runbook(&text).run().success();
    assert_eq!(ran.result("watch")["asked"], 3);
    let rehearsed = Ferry::new()
        .runbook(&text)
        .command(&["rehearse", "--json", "runbook.yaml"])
        .run();
    let words: Vec<(String, String)> = rehearsed
        .json()
        .iter()
        .filter(|line| line["event"] == "step" && line["walk"] == 1)
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            (text("step"), text("word"))
        })
        .collect();
    let expected = [
        ("role", "read"),
        ("copies", "read"),
        ("watch", "read"),
        ("sum", "read"),
        ("keys", "read"),
        ("one", "read"),
        ("two", "read"),
        ("masters", "read"),
        ("trip", "simulated"),
        ("through", "simulated"),
    ]
    .map(|(step, word)| (step.to_owned(), word.to_owned()));
    assert_eq!(words, expected, "{}", rehearsed.all());
}

#[tokio::test]
async fn a_slot_on_the_move_and_slots_without_a_node() {
    let all = Cluster::with_replicas();
    let (key, slot) = ("mover", {
        let slot: u16 = all.nodes[0].ask(0, &["CLUSTER", "KEYSLOT", "mover"]);
        slot.to_string()
    });
    let from = all.node_of(key);
    let to = all.nodes[..3]
        .iter()
        .find(|node| node.port != from.port)
        .unwrap();
    let id = |node: &Server| -> String { node.ask(0, &["CLUSTER", "MYID"]) };
    to.ask::<()>(0, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]);
    from.ask::<()>(0, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]);
    // not there yet: it is made where the slot goes
    assert_eq!(
        reply(json!({ "command": ["SET", key, "1"] }), all.target()).await,
        "OK"
    );
    assert_eq!(
        reply(json!({ "command": ["GET", key] }), all.target()).await,
        "1"
    );
    assert_eq!(
        from.ask::<i64>(0, &["CLUSTER", "COUNTKEYSINSLOT", &slot]),
        0
    );
    assert_eq!(to.ask::<i64>(0, &["CLUSTER", "COUNTKEYSINSLOT", &slot]), 1);
    for node in [to, from] {
        node.ask::<()>(0, &["CLUSTER", "SETSLOT", &slot, "NODE", &id(to)]);
    }
    assert_eq!(
        reply(json!({ "command": ["GET", key] }), all.target()).await,
        "1"
    );

    let seen = run("redis.replication", json!({ "replicas": 1 }), all.target())
        .await
        .unwrap();
    assert_eq!(
        (
            &seen["enough"],
            &seen["online"],
            &seen["replicas"].as_array().unwrap().len()
        ),
        (&json!(true), &json!(3), &3)
    );
    assert!(seen["max_lag_bytes"].is_i64(), "{seen}");
    // a replica is a node too, and sends what it does not take to its master
    let replica = at(&format!("redis+cluster://127.0.0.1:{}", all.nodes[3].port));
    assert_eq!(reply(json!("SET again 1"), replica).await, "OK");

    lost(&all).await;
}

/// Both nodes of the last slots are gone.
async fn lost(all: &Cluster) {
    all.nodes[5].kill();
    all.nodes[2].kill();
    eventually("the cluster sees that slots are lost", || {
        let info: String = all.nodes[0].ask(0, &["CLUSTER", "INFO"]);
        info.contains("cluster_state:fail")
    });
    for probe in ["redis.stats", "redis.info", "redis.replication"] {
        let first = format!("redis+cluster://127.0.0.1:{}", all.nodes[0].port);
        let error = run(probe, json!({}), at(&first)).await.unwrap_err();
        let begins = format!(
            "`t` (cluster): it cannot be used: 127.0.0.1:{} says that cluster_state is fail, and that ",
            all.nodes[0].port
        );
        assert!(error.message.starts_with(&begins), "{}", error.message);
        assert!(
            error.message.ends_with(" of 16384 slots are not served"),
            "{}",
            error.message
        );
        assert_eq!(
            (error.cause, error.outcome, error.retryable),
            (Cause::Failed, Outcome::NotApplied, true)
        );
    }
}

#[tokio::test]
async fn tls_with_users_and_with_the_wrong_authority() {
    let dir = tempfile::tempdir().unwrap();
    let Some((server, ca)) = with_tls(dir.path()) else {
        eprintln!("no openssl, or a redis-server without TLS: not tested");
        return;
    };
    let other = dir.path().join("other.pem");
    std::fs::write(&other, "no certificate in here\n").unwrap();
    let with = |login: &str, ca: &Path| {
        let url = format!("rediss://{login}127.0.0.1:{}", server.port);
        with_options(at(&url), json!({ "ca": ca, "timeout": "5s" }))
    };
    let rights = ["~*", "&*", "+@all", "-set"].map(String::from).join(" ");
    let make = format!("ACL SETUSER ann on >ann-pass {rights}");
    assert_eq!(reply(json!(make), with("", &ca)).await, "OK");
    assert_eq!(
        reply(json!("ACL WHOAMI"), with("ann:ann-pass@", &ca)).await,
        "ann"
    );
    let peer = format!("`t` (127.0.0.1:{})", server.port);
    let error = refused(json!("PING"), with("ann:wrong-pass@", &ca)).await;
    assert_eq!(
        error.message,
        format!(
            "{peer} refused the user name or the password: WRONGPASS invalid username-password \
             pair or user is disabled."
        )
    );
    assert_eq!((error.cause, error.retryable), (Cause::Denied, false));
    assert!(!format!("{error:?}").contains("wrong-pass"));
    let error = refused(json!("SET a b"), with("ann:ann-pass@", &ca)).await;
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Denied, Outcome::NotApplied)
    );
    assert!(
        error
            .message
            .contains("does not permit this to the user: NOPERM"),
        "{}",
        error.message
    );
    let error = refused(json!("PING"), with("", &other)).await;
    assert_eq!(error.outcome, Outcome::NotApplied);
    assert!(error.message.starts_with(&peer), "{}", error.message);
    let error = refused(json!("PING"), with("", Path::new("/nothing/here.pem"))).await;
    assert!(
        error
            .message
            .starts_with(&format!("{peer}: cannot read `ca` ")),
        "{}",
        error.message
    );
    // an authority, and not the one that signed
    let elsewhere = tempfile::tempdir().unwrap();
    let (_, stranger) = with_tls(elsewhere.path()).unwrap();
    let error = refused(json!("PING"), with("", &stranger)).await;
    assert_eq!((error.cause, error.retryable), (Cause::Unreachable, false));
    assert!(
        error.message.contains("no TLS session: "),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn tls_goes_on_behind_sentinels_and_in_a_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let Some((server, ca)) = with_tls(dir.path()) else {
        eprintln!("no openssl, or a redis-server without TLS: not tested");
        return;
    };
    let path = |name: &str| dir.path().join(name).display().to_string();
    let tls_port = ports::free();
    let lines = format!(
        "tls-port {tls_port}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\n\
         tls-auth-clients no\ntls-replication yes",
        path("cert.pem"),
        path("key.pem"),
        path("ca.pem")
    );
    let _watcher = sentinel::sentinel(server.port, &lines);
    let url = format!("rediss+sentinel://127.0.0.1:{tls_port}/{MASTER}");
    let target = with_options(at(&url), json!({ "ca": ca }));
    let stats = read("redis.stats", target).await;
    assert_eq!(stats["role"], "master");
    let plain = with_options(
        at(&url.replace("rediss", "redis")),
        json!({ "timeout": "3s" }),
    );
    let error = refused(json!("PING"), plain).await;
    is_unreachable(&error);
}
