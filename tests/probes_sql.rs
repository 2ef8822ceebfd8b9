//! Probes of databases: who waits for a lock, who replicates, and one value of a query.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ferry::action::sql::ACTIONS;
use ferry::action::{Action, ActionError};
use ferry::runbook::TargetKind;
use serde_json::{Value, json};

use crate::support::context::{call, context, target};
use crate::support::ferry::Ferry;
use crate::support::mariadb::{self, MariaDb};
use crate::support::postgres::{self, Postgres};

async fn probe(
    key: &str,
    params: Value,
    kind: TargetKind,
    url: &str,
) -> Result<Value, ActionError> {
    let dir = tempfile::tempdir().unwrap();
    let action: &dyn Action = *ACTIONS
        .iter()
        .find(|action| action.spec().key == key)
        .unwrap();
    let mut call = call(key, params, dir.path());
    call.target = Some(target(kind, url));
    let result = action.execute(&context(dir.path()), &call).await?;
    let known: Vec<&str> = action
        .spec()
        .results
        .iter()
        .map(|(name, _)| *name)
        .collect();
    for field in result.as_object().unwrap().keys() {
        assert!(known.contains(&field.as_str()), "`{field}` is not listed");
    }
    Ok(result)
}

/// A client of its own that carries out SQL until it is ended.
struct Session(Child);

impl Session {
    fn psql(server: &Postgres, database: &str, sql: &str) -> Self {
        let port = server.port.to_string();
        let child = Command::new("psql")
            .args(["-X", "-q", "-h", "127.0.0.1", "-U", "ferry", "-p", &port])
            .args(["-d", database, "-c", sql])
            .env("PGPASSWORD", postgres::PASSWORD)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn mariadb(server: &MariaDb, database: &str, sql: &str) -> Self {
        let child = Command::new("mariadb")
            .args([
                "--no-defaults",
                "--protocol=tcp",
                "--host=127.0.0.1",
                "--user=ferry",
            ])
            .args([&format!("--port={}", server.port), database, "-e", sql])
            .env("MYSQL_PWD", mariadb::PASSWORD)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks until so many wait.
async fn waiting(n: u64, kind: TargetKind, url: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let result = probe("sql.locks", json!({}), kind, url).await.unwrap();
        if result["waiting"] == n {
            return result;
        }
        assert!(Instant::now() < until, "{result}");
        // InnoDB shows the same for as long as somebody asked within a tenth of a second
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test]
async fn who_waits_for_a_lock_in_postgres() {
    let server = Postgres::shared();
    let database = server.database();
    server.psql(
        &database,
        "create table t (id int primary key, v text); insert into t values (1, 'a')",
    );
    let url = server.url(&database);
    let calm = waiting(0, TargetKind::Postgres, &url).await;
    assert_eq!(
        (&calm["longest_wait_s"], &calm["pairs"]),
        (&json!(0.0), &json!([]))
    );
    let holder = "begin; update t set v = 'geheim-1' where id = 1; select pg_sleep(60)";
    let _holder = Session::psql(server, &database, holder);
    let until = Instant::now() + Duration::from_secs(20);
    let asleep = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
    while server.psql(&database, asleep).trim() != "1" {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _waiter = Session::psql(
        server,
        &database,
        "update t set v = 'geheim-2' where id = 1",
    );
    let _second = Session::psql(
        server,
        &database,
        "alter table t add w text default 'geheim-3'",
    );
    waiting(2, TargetKind::Postgres, &url).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let result = waiting(2, TargetKind::Postgres, &url).await;
    let longest = result["longest_wait_s"].as_f64().unwrap();
    assert!((0.3..20.0).contains(&longest), "{longest}");
    let pairs = result["pairs"].as_array().unwrap();
    let of = |words: &str| {
        let mut found = pairs
            .iter()
            .filter(|pair| pair["waiting"]["statement"] == words);
        found
            .next()
            .unwrap_or_else(|| panic!("`{words}` of {result}"))
    };
    let update = of("update t set v");
    assert_eq!(update["blocking"]["user"], "ferry");
    assert_eq!(update["blocking"]["state"], "active");
    assert!(
        update["blocking"]["seconds"].as_f64() >= Some(longest - 0.2),
        "{update}"
    );
    assert_eq!(of("alter table t add")["waiting"]["lock"], "t");
    assert!(!result.to_string().contains("geheim"), "{result}");
    assert_eq!(result["left_out"], 0);
    // another database of the server is not this one's matter
    let other = server.url(&server.database());
    waiting(0, TargetKind::Postgres, &other).await;
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    server.psql(&database, end);
}

#[tokio::test]
async fn who_waits_for_a_lock_in_mariadb() {
    let server = MariaDb::shared();
    let database = server.database();
    server.client(
        &database,
        "create table t (id int primary key, v text) engine=innodb; insert into t values (1, 'a')",
    );
    let url = server.url(&database);
    let calm = waiting(0, TargetKind::Mysql, &url).await;
    assert_eq!(
        (&calm["longest_wait_s"], &calm["pairs"]),
        (&json!(0.0), &json!([]))
    );
    let holder = "start transaction; update t set v = 'geheim-1' where id = 1; select sleep(60)";
    let _holder = Session::mariadb(server, &database, holder);
    let until = Instant::now() + Duration::from_secs(20);
    let asleep = format!(
        "select count(*) from information_schema.processlist where db = '{database}' and state = 'User sleep'"
    );
    while server.client(&database, &asleep).trim() != "1" {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _waiter = Session::mariadb(
        server,
        &database,
        "update t set v = 'geheim-2' where id = 1",
    );
    let rows = waiting(1, TargetKind::Mysql, &url).await;
    let pair = &rows["pairs"][0];
    assert_eq!(
        (&pair["waiting"]["statement"], &pair["waiting"]["lock"]),
        (&json!("update t set v"), &json!("row"))
    );
    assert_eq!(
        (&pair["blocking"]["user"], &pair["blocking"]["statement"]),
        (&json!("ferry"), &json!("select sleep"))
    );
    // a change of the table waits for all that use it; for whom the server does not tell
    let _second = Session::mariadb(server, &database, "alter table t add w int");
    let both = waiting(2, TargetKind::Mysql, &url).await;
    assert!(both["longest_wait_s"].is_f64(), "{both}");
    let pairs = both["pairs"].as_array().unwrap();
    let table = pairs
        .iter()
        .find(|pair| pair["waiting"]["lock"] == "table")
        .unwrap();
    assert_eq!(
        (&table["waiting"]["statement"], &table["blocking"]),
        (&json!("alter table t add"), &Value::Null)
    );
    assert!(!both.to_string().contains("geheim"), "{both}");
    let ids = format!(
        "select id from information_schema.processlist where db = '{database}' and id <> connection_id()"
    );
    for id in server.client(&database, &ids).lines() {
        server.client("mysql", &format!("kill {id}"));
    }
}

async fn replication(url: &str) -> Value {
    probe("sql.replication", json!({}), TargetKind::Postgres, url)
        .await
        .unwrap()
}

/// Looks at the replication of a PostgreSQL until it is like that.
async fn replicated(url: &str, like: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let result = replication(url).await;
        if like(&result) {
            return result;
        }
        assert!(Instant::now() < until, "{result}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn replication_of_postgres_on_both_sides() {
    let primary = Postgres::start(&[]);
    let url = primary.url("postgres");
    let alone = replication(&url).await;
    assert_eq!(
        (&alone["role"], &alone["count"], &alone["replicas"]),
        (&json!("primary"), &json!(0), &json!([]))
    );
    for key in ["max_lag_bytes", "max_lag_s"] {
        assert_eq!(alone[key], Value::Null, "{key}");
    }
    let standby = primary.standby();
    let standby_url = standby.url("postgres");
    primary.psql(
        "postgres",
        "create table t as select generate_series(1, 1000) as id",
    );
    let caught_up = |result: &Value| {
        result["running"] == 1 && result["max_lag_bytes"] == 0 && result["max_lag_s"].is_f64()
    };
    let seen = replicated(&url, caught_up).await;
    let replica = &seen["replicas"][0];
    assert_eq!(
        (
            &seen["role"],
            &seen["count"],
            &replica["state"],
            &replica["address"]
        ),
        (
            &json!("primary"),
            &json!(1),
            &json!("streaming"),
            &json!("127.0.0.1/32")
        )
    );
    let own = replicated(&standby_url, caught_up).await;
    assert_eq!(
        (
            &own["role"],
            &own["replicas"][0]["state"],
            &own["max_lag_s"]
        ),
        (&json!("replica"), &json!("streaming"), &json!(0.0))
    );

    // a standby that does not replay is behind, on both sides
    standby.psql("postgres", "select pg_wal_replay_pause()");
    primary.psql("postgres", "insert into t select generate_series(1, 1000)");
    let behind = |result: &Value| result["max_lag_bytes"].as_i64() > Some(0);
    let here = replicated(&url, behind).await;
    assert_ne!(here["max_lag_s"], 0.0);
    let there = replicated(&standby_url, behind).await;
    assert!(there["max_lag_s"].as_f64() > Some(0.0), "{there}");

    // without its primary a standby does not know how far it is behind
    drop(primary);
    let left = replicated(&standby_url, |result| result["running"] == 0).await;
    assert_eq!(
        (&left["role"], &left["count"]),
        (&json!("replica"), &json!(1))
    );
    for key in ["max_lag_bytes", "max_lag_s"] {
        assert_eq!(left[key], Value::Null, "{key}");
    }
}

#[tokio::test]
async fn a_mariadb_without_replicas_has_no_lag() {
    let server = MariaDb::shared();
    let url = server.url("mysql");
    let result = probe("sql.replication", json!({}), TargetKind::Mysql, &url)
        .await
        .unwrap();
    assert_eq!(
        (&result["role"], &result["count"]),
        (&json!("primary"), &json!(0))
    );
    assert_eq!(
        (&result["max_lag_s"], &result["max_lag_bytes"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn a_file_has_no_server_to_ask() {
    for key in ["sql.locks", "sql.replication"] {
        let error = probe(key, json!({}), TargetKind::Sqlite, "sqlite:x.db")
            .await
            .unwrap_err();
        assert_eq!(
            error.message,
            format!("target `t` (x.db): SQLite has no `{key}`")
        );
    }
    let runbook = r#"
        runbook: demo
        targets: { db: { sqlite: "sqlite:x.db" } }
        phases: { p: { steps: [{ id: a, sql.locks: {}, target: db }] } }
    "#;
    let ran = Ferry::new().runbook(runbook).run().code(65);
    assert!(ran.all().contains("sql.locks"), "{}", ran.all());
}

#[tokio::test]
async fn a_query_of_one_row_has_a_value() {
    let server = Postgres::shared();
    let url = server.url(&server.database());
    for (sql, value) in [
        ("select count(*) as n from (values (1), (2)) as v", json!(2)),
        ("select 'a' as x, 2 as y", json!("a")),
        ("select null::int as n", Value::Null),
        ("select 1 as n where false", Value::Null),
        ("select generate_series(1, 2) as n", Value::Null),
    ] {
        let result = probe("sql", json!(sql), TargetKind::Postgres, &url)
            .await
            .unwrap();
        assert_eq!(result["value"], value, "{sql}");
    }
}

#[test]
fn a_rehearsal_looks_at_locks_and_replication() {
    let server = Postgres::shared();
    let my = MariaDb::shared();
    let runbook = format!(
        r#"
        runbook: demo
        targets:
          pg: {{ postgres: "{}" }}
          my: {{ mysql: "{}" }}
        phases:
          p:
            steps:
              - {{ id: locks, sql.locks: {{}}, target: pg, expect: result.longest_wait_s < 100.0 }}
              - {{ id: my-locks, sql.locks: {{}}, target: my, expect: result.waiting >= 0 }}
              - {{ id: followers, sql.replication: {{}}, target: pg, expect: result.count == 0 }}
              - {{ id: my-followers, sql.replication: {{}}, target: my, expect: result.count == 0 }}
        "#,
        server.url(&server.database()),
        my.url(&my.database())
    );
    let rehearsed = Ferry::new()
        .runbook(&runbook)
        .command(&["rehearse", "runbook.yaml"])
        .run();
    assert_eq!(
        rehearsed.all().matches(": really read").count(),
        4,
        "{}",
        rehearsed.all()
    );
    Ferry::new().runbook(&runbook).run().success();
}
