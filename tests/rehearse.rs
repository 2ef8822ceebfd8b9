//! `ferry rehearse` against real servers: what it says of steps, and the proof that it changes nothing.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::ferry::{Ferry, Ran};
use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;
use crate::support::redis::Server;
use crate::support::still::{self, Redis};

/// The entries of the first walk, by step.
fn entries(ran: &Ran) -> BTreeMap<String, Value> {
    let lines = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let steps = lines.filter(|line| line["event"] == "step" && line["walk"] == 1);
    steps
        .map(|line| (line["step"].as_str().unwrap().to_owned(), line))
        .collect()
}

fn rehearse(ferry: Ferry, text: &str) -> Ran {
    ferry
        .runbook(text)
        .command(&["rehearse", "--json", "runbook.yaml"])
        .run()
}

/// An HTTP service that answers everything, and what it was asked.
fn service() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().take(100) {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut length) = (String::new(), 0_u64);
            reader.read_line(&mut line).unwrap();
            loop {
                let mut header = String::new();
                if reader.read_line(&mut header).unwrap() == 0 || header == "\r\n" {
                    break;
                }
                if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let _ = reader.take(length).read_to_end(&mut Vec::new());
            let path = line
                .rsplit_once(' ')
                .map_or(line.as_str(), |(path, _)| path)
                .to_owned();
            seen.lock().unwrap().push(path.clone());
            let answer = match path.contains("/moved") {
                true => "HTTP/1.1 307 Moved\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n".to_owned(),
                false => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}".to_owned(),
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (url, asked)
}

/// Steps that read Redis, and steps that would write to it.
const REDIS: &str = "
        runbook: demo
        inputs: { url: { env: URL, secret: true } }
        targets: { t: { redis: \"${{ inputs.url }}\" } }
        snapshots: { figures: { redis.stats: {}, target: t } }
        phases:
          p:
            steps:
              - { id: get, redis: GET s:7, target: t, expect: 'result.reply == \"7\"' }
              - { id: set, redis: SET s:7 8, target: t, undo: none }
              - { id: pop, redis: BLPOP list 1, target: t, read_only: true }
              - { id: script, redis: { command: [EVAL, \"redis.call('SET', 'x', 1)\", 0] }, target: t, undo: none }
              - { id: touch, redis: TOUCH s:1, target: t, read_only: true }
              - { id: delete, redis.delete: { match: 's:*', max_keys: 100 }, target: t, undo: none }
              - { id: some, redis.delete: { keys: [s:1, nope], max_keys: 2 }, target: t, undo: none }
              - { id: config, redis.config: { set: { maxmemory: 100mb } }, target: t, undo: auto }
              - { id: flush, redis.flush: { db: 0, confirm: { role: master } }, target: t, undo: none }
              - { id: trip, redis.roundtrip: { key: probe }, target: t, read_only: true }
              - { id: ping, redis: PING, target: t, expect: 'result.reply == \"PONG\"' }
              - { id: size, redis: DBSIZE, target: t, expect: result.reply == 0 }
        ";

#[test]
fn redis_is_read_and_never_written() {
    let server = Server::start(&["--requirepass", "canary-redis-1"]);
    let url = format!(
        "redis://:canary-redis-1@127.0.0.1:{}",
        server.url(0).rsplit_once(':').unwrap().1
    );
    let url = url.trim_end_matches("/0");
    let mut connection = redis::Client::open(format!("{url}/0"))
        .unwrap()
        .get_connection()
        .unwrap();
    for n in 0..20 {
        let _: () = redis::cmd("SET")
            .arg(format!("s:{n}"))
            .arg(n)
            .query(&mut connection)
            .unwrap();
    }
    let _: () = redis::cmd("RPUSH")
        .arg("list")
        .arg("a")
        .query(&mut connection)
        .unwrap();
    let full = format!("{url}/0");
    let before = Redis::of(&full, &[0, 1]);
    let calls = still::calls(&full);
    let ran = rehearse(Ferry::new().env("URL", &full), REDIS).code(18);
    let found = entries(&ran);
    let word = |step: &str| found[step]["word"].as_str().unwrap().to_owned();
    for (step, expected) in [
        ("figures", "read"),
        ("get", "read"),
        ("set", "simulated"),
        ("pop", "simulated"),
        ("script", "simulated"),
        ("touch", "simulated"),
        ("delete", "simulated"),
        ("flush", "simulated"),
        ("trip", "simulated"),
        ("size", "not_verified"),
    ] {
        assert_eq!(word(step), expected, "{step}: {}", found[step]);
    }
    // the server's settings may be others then, and whether it answers
    assert_eq!(word("ping"), "not_verified");
    assert_eq!(found["delete"]["result"]["keys"], 20);
    assert_eq!(found["some"]["result"]["keys"], 1);
    assert_eq!(found["flush"]["result"]["keys"], 21);
    let setting = serde_json::json!([{ "name": "maxmemory", "now": "0", "then": "100mb" }]);
    assert_eq!(found["config"]["result"]["settings"], setting);
    assert_eq!(
        found["size"]["why"],
        "it stands behind `set`, which was not carried out"
    );
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("canary-redis-1"));
    let called = still::called(&calls, &still::calls(&full));
    still::all_read(&full, &called);
    assert!(
        called.contains("get") && called.contains("exists"),
        "{called:?}"
    );
    assert_eq!(Redis::of(&full, &[0, 1]), before);
    assert!(!ran.dir.path().join("state").exists());
}

#[test]
fn a_command_that_a_server_does_not_have_or_a_fence_that_does_not_hold_is_a_problem() {
    let server = Server::start(&[]);
    let _: () = server.ask(0, &["SET", "a", "b"]);
    let ran = rehearse(
        Ferry::new().env("URL", &server.url(0)),
        "
        runbook: demo
        inputs: { url: { env: URL } }
        targets: { t: { redis: \"${{ inputs.url }}\" } }
        phases:
          p:
            steps:
              - { id: unknown, redis: SETT a b, target: t, undo: none }
              - { id: words, redis: SET a, target: t, undo: none }
              - { id: fence, redis.flush: { db: 0, confirm: { role: replica, max_keys: 0 } }, target: t, undo: none }
              - { id: many, redis.delete: { match: '*', max_keys: 0 }, target: t, undo: none }
              - { id: setting, redis.config: { set: { maxmemry: 1mb } }, target: t, undo: auto }
        ",
    )
    .code(17);
    let found = entries(&ran);
    for (step, words) in [
        ("unknown", "has no command `SETT`"),
        ("words", "`SET` takes at least 3 words"),
        (
            "fence",
            "its role is master, not replica; it holds 1 keys, more than 0",
        ),
        ("many", "more than `max_keys: 0`"),
        ("setting", "has no setting `maxmemry`"),
    ] {
        // one that could be mended by a change before it is told, and no problem yet
        let why = found[step]["why"].as_str().unwrap_or_default();
        assert!(why.contains(words), "{step}: {}", found[step]);
    }
}

/// The same for PostgreSQL.
const POSTGRES: &str = "
        runbook: demo
        inputs: { url: { env: URL, secret: true } }
        targets: { db: { postgres: \"${{ inputs.url }}\" } }
        snapshots: { counts: { sql.counts: { tables: [t] }, target: db } }
        phases:
          p:
            steps:
              - { id: rows, sql: select count(*) as n from t, target: db, expect: 'result.rows[0].n == 50' }
              - { id: next, sql: \"select nextval('t_id_seq')\", target: db, read_only: true }
              - { id: reload, sql: select pg_reload_conf(), target: db, read_only: true }
              - { id: update, sql: { execute: \"update t set n = n + $1 where id < 10\", args: [1] }, target: db, undo: none }
              - { id: wrong, sql: { execute: update t set m = 1 }, target: db, undo: none }
              - { id: migrate, sql.migrate: { name: m1, up: up.sql, down: down.sql }, target: db, undo: auto }
              - { id: missing, sql.migrate: { name: m2, up: nope.sql }, target: db, undo: none }
              - { id: after, sql: select extra from t, target: db }
              - { id: dump, sql.backup: { to: dump.file }, target: db, read_only: true }
              - { id: back, sql.restore: nothing.dump, target: db, undo: none }
        rollback:
          verify:
            - { id: as-before, snapshot_equals: { names: [counts] } }
        ";

#[test]
fn postgres_is_read_in_read_only_sessions_and_explains_the_rest() {
    let server = Postgres::shared();
    let database = server.database();
    server.psql(&database, "create table t (id serial primary key, n int); insert into t (n) select generate_series(1, 50)");
    // a read-only transaction takes no number: this counts every one that wrote
    let horizon = || {
        server.psql(&database, "select pg_snapshot_xmax(pg_current_snapshot()), (select last_value from t_id_seq), (select sum(n) from t)")
    };
    let before = horizon();
    let ferry = Ferry::new()
        .env("URL", &server.url(&database))
        .file(
            "up.sql",
            "alter table t add column extra text;\ncreate index on t (extra);\n",
        )
        .file("down.sql", "alter table t drop column extra;\n");
    let ran = rehearse(ferry, POSTGRES).code(17);
    let found = entries(&ran);
    let word = |step: &str| found[step]["word"].as_str().unwrap().to_owned();
    assert_eq!(word("rows"), "read");
    assert_eq!(word("as-before"), "read");
    for step in ["next", "reload"] {
        assert_eq!(word(step), "not_verified", "{step}");
        assert!(
            found[step]["why"]
                .as_str()
                .unwrap()
                .contains("is not known to only read"),
            "{}",
            found[step]
        );
    }
    assert_eq!(
        (word("update"), &found["update"]["exact"]),
        ("simulated".into(), &true.into())
    );
    let plan = found["update"]["detail"].to_string();
    assert!(plan.contains("Update on t"), "{plan}");
    let why = found["wrong"]["why"].as_str().unwrap();
    assert!(
        why.contains("column \"m\"") && why.contains("behind `update`"),
        "{why}"
    );
    assert_eq!(
        (word("migrate"), &found["migrate"]["exact"]),
        ("simulated".into(), &false.into())
    );
    assert!(
        found["missing"]["problem"]
            .as_str()
            .unwrap()
            .contains("nope.sql"),
        "{}",
        found["missing"]
    );
    assert_eq!(word("after"), "not_verified");
    assert_eq!(word("dump"), "simulated");
    assert!(
        found["back"]["problem"]
            .as_str()
            .unwrap()
            .contains("nothing.dump"),
        "{}",
        found["back"]
    );
    assert_eq!(horizon(), before);
    assert!(!ran.dir.path().join("dump.file").exists());
    let password = server.url(&database);
    let password = password.split(['@', ':']).nth(2).unwrap();
    assert!(!ran.stdout.contains(password));
}

#[test]
fn mariadb_is_read_in_read_only_sessions_and_explains_the_rest() {
    let server = MariaDb::shared();
    let database = server.database();
    server.client(&database, "create table t (id int auto_increment primary key, n int); insert into t (n) values (1), (2), (3)");
    let counters = || {
        let status = "show global status where variable_name in ('Innodb_rows_inserted', 'Innodb_rows_updated', 'Innodb_rows_deleted', 'Com_insert', 'Com_update', 'Com_delete', 'Com_create_table', 'Com_alter_table', 'Com_drop_table')";
        server.client(
            &database,
            &format!("checksum table t; show tables; {status}"),
        )
    };
    let before = counters();
    let ran = rehearse(
        Ferry::new().env("URL", &server.url(&database)).file("up.sql", "alter table t add column extra int;\n"),
        "
        runbook: demo
        inputs: { url: { env: URL, secret: true } }
        targets: { db: { mysql: \"${{ inputs.url }}\" } }
        phases:
          p:
            steps:
              - { id: rows, sql: select count(*) as n from t, target: db, expect: 'result.rows[0].n == 3' }
              - { id: lock, sql: \"select get_lock('x', 1)\", target: db, read_only: true }
              - { id: shape, sql.schema: { tables: [t] }, target: db, expect: result.count == 1 }
              - { id: update, sql: { execute: update t set n = 2 where id = 1 }, target: db, undo: none }
              - { id: migrate, sql.migrate: { name: m1, up: up.sql }, target: db, undo: none }
        ",
    )
    .code(18);
    let found = entries(&ran);
    let word = |step: &str| found[step]["word"].as_str().unwrap().to_owned();
    assert_eq!(
        (word("rows"), word("shape"), word("lock")),
        ("read".into(), "read".into(), "not_verified".into())
    );
    assert_eq!(
        (word("update"), word("migrate")),
        ("simulated".into(), "simulated".into())
    );
    // it explains no change where none may be made
    assert_eq!(found["update"]["exact"], false, "{}", found["update"]);
    assert_eq!(counters(), before);
}

#[test]
fn sqlite_files_stay_as_they_are_to_the_byte_and_nothing_comes_beside_them() {
    for wal in [false, true] {
        let ferry = Ferry::new();
        let path = ferry.path("app.db");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            use sqlx::{ConnectOptions, Connection, Executor};
            let options = sqlx::sqlite::SqliteConnectOptions::new()
                .filename(&path)
                .create_if_missing(true);
            let mut connection = options.connect().await.unwrap();
            if wal {
                connection
                    .execute("pragma journal_mode = wal")
                    .await
                    .unwrap();
            }
            connection
                .execute("create table t (id integer primary key, n int unique)")
                .await
                .unwrap();
            connection
                .execute("insert into t (n) values (1), (2)")
                .await
                .unwrap();
            connection.close().await.unwrap();
        });
        let ferry = ferry
            .file("up.sql", "alter table t add column extra text;\ncreate index i on t (extra);\n")
            .file("wrong.sql", "alter table t add column a text;\ncreate index j on t (nope);\n")
            .runbook(
                "
                runbook: demo
                targets: { db: { sqlite: 'sqlite:app.db' } }
                phases:
                  p:
                    steps:
                      - { id: rows, sql: select count(*) as n from t, target: db, expect: 'result.rows[0].n == 2' }
                      - { id: insert, sql: { execute: insert into t (n) values (3) }, target: db, undo: none }
                      - { id: migrate, sql.migrate: { name: m1, up: up.sql }, target: db, undo: none }
                      - { id: broken, sql.migrate: { name: m2, up: wrong.sql }, target: db, undo: none }
                ",
            );
        let dir = ferry.path("");
        let before = still::tree(&dir, &[]);
        let ran = ferry
            .command(&["rehearse", "--json", "runbook.yaml"])
            .run()
            .code(18);
        let found = entries(&ran);
        assert_eq!(found["rows"]["word"], "read");
        assert_eq!(found["insert"]["exact"], true);
        // exact, but for what `insert` would do before it
        assert_eq!(found["migrate"]["word"], "simulated");
        let why = found["broken"]["why"].as_str().unwrap();
        assert!(
            why.contains("line 2") && why.contains("no such column: nope"),
            "{why}"
        );
        assert_eq!(still::tree(&dir, &[]), before, "wal: {wal}");
    }
}

#[test]
fn http_is_only_asked_and_nobody_is_told_anything() {
    let (url, asked) = service();
    let ran = rehearse(
        Ferry::new().env("TOKEN", "canary-token-1").env("UNUSED", "canary-unused-1"),
        &format!(
            "
            runbook: demo
            inputs: {{ token: {{ env: TOKEN, secret: true }}, unused: {{ env: UNUSED, secret: true }} }}
            targets: {{ app: {{ http: \"{url}\" }} }}
            phases:
              p:
                steps:
                  - {{ id: get, http: {{ get: /a, headers: {{ authorization: \"Bearer ${{{{ inputs.token }}}}\" }} }}, target: app, expect: result.json.ok }}
                  - {{ id: head, http: {{ head: /b }}, target: app }}
                  - {{ id: moved, http: GET /moved, target: app, expect: result.redirects == 1 }}
                  - {{ id: post, http: {{ post: /c, json: {{ word: \"${{{{ inputs.unused }}}}\" }} }}, target: app, read_only: true }}
                  - {{ id: put, http: {{ put: /d, body: x }}, target: app, undo: none }}
                  - {{ id: tell, notify: {{ webhook: \"{url}/hook\", text: hello }} }}
            "
        ),
    );
    let found = entries(&ran);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let word = |step: &str| found[step]["word"].as_str().unwrap().to_owned();
    assert_eq!(
        (word("get"), word("head"), word("moved")),
        ("read".into(), "read".into(), "read".into())
    );
    assert_eq!(
        (word("post"), word("put"), word("tell")),
        ("simulated".into(), "simulated".into(), "simulated".into())
    );
    assert_eq!(
        *asked.lock().unwrap(),
        ["GET /a", "HEAD /b", "GET /moved", "GET /there"]
    );
    assert!(!ran.stdout.contains("canary"), "{}", ran.stdout);
    assert!(
        found["post"]["detail"].to_string().contains("***"),
        "{}",
        found["post"]
    );
}

#[test]
fn no_command_is_started_unless_somebody_vouches_for_it() {
    let text = "
        runbook: demo
        phases:
          p:
            steps:
              - { id: reading, shell: ./mark reading, read_only: true, expect: 'result.stdout == \"reading\"' }
              - { id: changing, shell: ./mark changing, undo: none, timeout: 5s }
              - id: probed
                shell: ./mark probed
                timeout: 5s
                undo: [{ shell: ./mark undo, timeout: 5s }]
                done_when: { shell: ./mark probe, read_only: true, expect: result.exit_code == 7 }
    ";
    let stage = || {
        let ferry = Ferry::new().file(
            "mark",
            "#!/bin/sh\necho \"$1\" >> marks\nprintf '%s' \"$1\"\n",
        );
        let mark = ferry.path("mark");
        std::fs::set_permissions(mark, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        ferry
    };
    let temporary = || {
        let entries = std::fs::read_dir(std::env::temp_dir()).unwrap();
        let names =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap_or_default());
        names
            .filter(|name| name.starts_with("ferry-rehearsal-"))
            .count()
    };
    let ran = rehearse(stage(), text).code(18);
    assert!(
        !ran.dir.path().join("marks").exists(),
        "nothing was started"
    );
    let found = entries(&ran);
    assert!(
        found["reading"]["why"]
            .as_str()
            .unwrap()
            .contains("`./mark` is there")
    );

    let ran = stage()
        .runbook(text)
        .command(&["rehearse", "--json", "--allow-shell", "runbook.yaml"])
        .run()
        .code(18);
    let marks = std::fs::read_to_string(ran.dir.path().join("marks")).unwrap();
    assert_eq!(marks, "reading\nprobe\n");
    assert_eq!(entries(&ran)["reading"]["word"], "read");
    assert_eq!(temporary(), 0, "what the commands were given is gone");
    assert!(!ran.dir.path().join("state").exists());

    let stand_in = text.replace("shell: ./mark changing,", "shell: ./mark changing, rehearse: { shell: ./mark instead, read_only: true, expect: 'result.stdout == \"instead\"' },");
    let ran = rehearse(stage(), &stand_in).code(18);
    let marks = std::fs::read_to_string(ran.dir.path().join("marks")).unwrap();
    assert_eq!(marks, "instead\n");
    let found = entries(&ran);
    assert_eq!(
        (&found["changing"]["word"], &found["changing"]["exact"]),
        (&"simulated".into(), &false.into())
    );
    let wrong = stand_in.replace("\"instead\"' }", "\"other\"' }");
    let ran = rehearse(stage(), &wrong).code(17);
    assert!(
        entries(&ran)["changing"]["problem"]
            .as_str()
            .unwrap()
            .starts_with("its stand-in: expected")
    );
}

#[test]
fn files_are_told_by_their_diff_and_stay() {
    let ferry = Ferry::new()
        .file("app.conf", "a = 1\ncache = memory\nz = 2\n")
        .file("other.conf", "x\n")
        .runbook(
            "
            runbook: demo
            phases:
              p:
                steps:
                  - { id: stat, file.stat: app.conf, expect: result.exists }
                  - { id: replace, file.replace: { path: app.conf, find: 'cache = memory', with: 'cache = redis', count: 1 }, undo: auto }
                  - { id: copy, file.copy: { from: other.conf, to: new.conf }, undo: auto }
                  - { id: keep, file.backup: { files: [app.conf] }, read_only: true }
                  - { id: again, file.stat: app.conf, expect: 'result.bytes == 1' }
            ",
        );
    let dir = ferry.path("");
    let before = still::tree(&dir, &[]);
    let ran = ferry
        .command(&["rehearse", "--json", "runbook.yaml"])
        .run()
        .code(18);
    let found = entries(&ran);
    let expected = serde_json::json!([
        "--- app.conf",
        "+++ app.conf",
        "@@ -1,3 +1,3 @@",
        " a = 1",
        "-cache = memory",
        "+cache = redis",
        " z = 2"
    ]);
    assert_eq!(found["replace"]["detail"], expected);
    assert_eq!(found["replace"]["exact"], true);
    assert_eq!(
        found["copy"]["detail"],
        serde_json::json!(["--- /dev/null", "+++ new.conf", "@@ -0,0 +1,1 @@", "+x"])
    );
    assert_eq!(found["again"]["word"], "not_verified");
    assert_eq!(still::tree(&dir, &[]), before);
}

#[test]
fn what_is_missing_is_found_before_anybody_needs_it() {
    let ran = rehearse(
        Ferry::new(),
        "
        runbook: demo
        targets: { db: { sqlite: 'sqlite:nope.db' }, app: { http: 'http://127.0.0.1:1' } }
        phases:
          p:
            steps:
              - { id: program, shell: ./ops/appctl stop all, undo: [{ id: back, shell: ops/gone, timeout: 5s }], timeout: 5s }
              - { id: onpath, shell: { argv: [no-such-program-x] }, undo: none, timeout: 5s }
              - { id: place, shell: 'true', cwd: nowhere, undo: none, timeout: 5s }
              - { id: file, file.replace: { path: gone.conf, find: a, with: b }, undo: auto }
              - { id: log, log.scan: { file: gone.log, deny: x }, tolerate: true }
              - { id: base, sql: select 1, target: db }
              - { id: far, http: GET /, target: app }
              - { id: dir, file.write: { path: no/such/dir, text: x }, undo: auto }
        ",
    )
    .code(17);
    let found = entries(&ran);
    for (step, words) in [
        ("program", "the program `./ops/appctl` is not there"),
        ("back", "the program `ops/gone` is not there"),
        (
            "onpath",
            "the program `no-such-program-x` is not on the path",
        ),
        ("place", "to work in is not there"),
    ] {
        let why = found[step]["why"].as_str().unwrap_or_default();
        assert!(why.contains(words), "{step}: {}", found[step]);
        let behind = matches!(step, "onpath" | "place");
        assert_eq!(
            found[step]["problem"].is_null(),
            behind,
            "{step}: {}",
            found[step]
        );
    }
    // behind a change they may be there by then: said, and no problem yet
    for (step, words) in [
        ("file", "gone.conf"),
        ("base", "nope.db"),
        ("far", "127.0.0.1:1"),
        ("dir", "no/such/dir"),
    ] {
        assert_eq!(found[step]["word"], "not_verified", "{step}");
        assert!(
            found[step]["why"].to_string().contains(words),
            "{step}: {}",
            found[step]
        );
    }
    assert_eq!(found["log"]["problem"], Value::Null);
}

#[test]
fn what_depends_on_a_result_that_is_not_there_says_so() {
    let server = Server::start(&[]);
    let ran = rehearse(
        Ferry::new().env("URL", &server.url(0)),
        "
        runbook: demo
        inputs: { url: { env: URL } }
        targets: { t: { redis: \"${{ inputs.url }}\" } }
        phases:
          p:
            steps:
              - { id: make, shell: make-it, env: { PATH: /bin }, undo: none, timeout: 5s, read_only: true, outputs: { name: result.stdout } }
              - { id: size, redis: DBSIZE, target: t, expect: result.reply >= 0, outputs: { n: result.reply } }
              - { id: uses, redis: { command: [GET, \"${{ steps.make.outputs.name }}\"] }, target: t }
              - { id: judges, redis: DBSIZE, target: t, expect: [\"result.reply >= 0\", \"result.reply == steps.make.outputs.name\"] }
              - { id: known, redis: { command: [GET, \"${{ steps.size.outputs.n }}\"] }, target: t, expect: 'result.reply == null' }
              - { id: branch, when: steps.make.outputs.name == 'x', redis: PING, target: t }
              - { id: each, for_each: \"[steps.size.outputs.n, 1]\", redis: { command: [GET, \"${{ item }}\"] }, target: t }
        ",
    )
    .code(17);
    let found = entries(&ran);
    assert_eq!(
        found["make"]["problem"],
        "the program `make-it` is not on the path"
    );
    assert_eq!(
        found["uses"]["why"],
        "it needs the result of `make`, which was not carried out"
    );
    assert_eq!(
        found["judges"]["not_judged"],
        serde_json::json!(["result.reply == steps.make.outputs.name"])
    );
    assert_eq!(found["judges"]["word"], "not_verified");
    assert_eq!(found["known"]["word"], "read");
    assert_eq!(
        found["branch"]["why"],
        "its `when` asks for the result of `make`, which was not carried out"
    );
    assert_eq!(ran.stdout.matches("\"step\":\"each\",\"item\":").count(), 2);
}

#[test]
fn choices_are_walked_up_to_a_limit_that_is_said() {
    let ran = Ferry::new()
        .runbook(
            "
            runbook: demo
            inputs:
              a: { choices: [one, two, three, four], default: three }
              b: { choices: [one, two, three, four], default: one }
              c: { choices: [one, two, three, four], default: one }
            phases:
              p:
                steps:
                  - { id: four, when: inputs.a == 'four', wait: 1s }
                  - { id: never, when: inputs.a == 'five', wait: 1s }
                  - { id: all, wait: 1s, when: inputs.b != inputs.c || true }
            ",
        )
        .command(&["rehearse", "runbook.yaml"])
        .run()
        .code(18);
    assert!(
        ran.stdout
            .contains("\nwalk 1: a = three, b = one, c = one\n"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("\nwalk 32: "), "{}", ran.stdout);
    assert!(!ran.stdout.contains("\nwalk 33: "));
    assert!(
        ran.stdout
            .contains("32 of 64 combinations of choices were not walked"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout
            .contains("\nreached by no walk (1):\n  - never\n"),
        "{}",
        ran.stdout
    );
}

#[test]
fn an_expectation_that_fails_now_is_a_problem_and_a_snapshot_that_moves_is_one_too() {
    let server = Server::start(&[]);
    let ran = rehearse(
        Ferry::new().env("URL", &server.url(0)),
        "
        runbook: demo
        inputs: { url: { env: URL } }
        targets: { t: { redis: \"${{ inputs.url }}\" } }
        snapshots: { time: { redis: TIME, target: t } }
        phases:
          p:
            steps:
              - { id: size, redis: DBSIZE, target: t, expect: result.reply > 5 }
              - { id: fine, redis: DBSIZE, target: t, expect: result.reply > 5, tolerate: true }
              - { id: again, redis: DBSIZE, target: t, expect: result.reply > 5, retry: { limit: 2 } }
        rollback:
          verify:
            - { id: moves, snapshot_equals: { names: [time] } }
            - { id: proof, redis: DBSIZE, target: t, expect: result.reply == 1 }
        ",
    )
    .code(17);
    let found = entries(&ran);
    assert_eq!(
        found["size"]["problem"],
        "expected `result.reply > 5`, but `result.reply` is 0"
    );
    assert_eq!(found["size"]["word"], "read");
    assert_eq!(found["fine"]["problem"], Value::Null);
    assert_eq!(
        found["again"]["why"],
        "expected `result.reply > 5`, but `result.reply` is 0; a run would try it again"
    );
    assert!(
        found["moves"]["problem"]
            .as_str()
            .unwrap()
            .contains("differs although nothing was changed")
    );
    assert_eq!(
        found["proof"]["problem"],
        "expected `result.reply == 1`, but `result.reply` is 0"
    );
}

/// The files of a rehearsal hold nothing with which something could be changed: the compiler sees to it
/// that no `Context` comes there, and this that nobody makes one or goes around it.
#[test]
fn what_rehearses_holds_no_handle_to_change_anything_with() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<_> = std::fs::read_dir(root.join("engine/rehearse"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.push(root.join("cli/rehearse.rs"));
    files.push(root.join("action/sql/reading.rs"));
    assert!(files.len() > 7);
    let forbidden = [
        r"\bContext\s*\{",
        r"\baction::Context\b",
        r"\bRegistry\b",
        r"\bExecutor\b",
        r"\bJob\b",
        r"\.execute\(",
        r"\bStore\b",
        r"\bSqliteStore\b",
        r"\bLease\b",
        r"\bClients\b",
        r"\bCommand::new\b",
        r"\bfs::(write|remove|rename|create|copy|set_permissions)",
        r"\bOpenOptions\b",
        r"\bFile::create\b",
        r"\btx::apply\b",
        r"\bLink::open\(",
        r"\bSession::open\(",
    ];
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for pattern in forbidden {
            let regex = regex::Regex::new(pattern).unwrap();
            let found = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .find(|line| {
                    let line = line.replace("ReadContext {", "");
                    regex.is_match(&line)
                });
            assert_eq!(found, None, "{}: {pattern}", path.display());
        }
    }
}

#[test]
fn what_hangs_on_a_secret_that_is_not_read_is_not_judged() {
    let ran = rehearse(
        Ferry::new()
            .file("conf", "old-value\n")
            .env("SAME", "the-canary-value"),
        "
        runbook: demo
        inputs:
          one: { env: SAME, secret: true }
          two: { env: SAME, secret: true }
        targets: { db: { sqlite: \"sqlite:${{ inputs.two }}\" } }
        phases:
          p:
            steps:
              - id: look
                file.stat: conf
                expect: [result.exists, 'inputs.one == \"***\"']
              - id: give
                file.stat: conf
                outputs: { word: inputs.one }
              - id: put
                file.write: { path: conf, text: \"${{ inputs.one }}\" }
                undo: none
              - id: unread
                file.write: { path: other, text: x }
                done_when: { shell: 'true', read_only: true, expect: result.exit_code == 0 }
                undone_when: { file.stat: other, expect: '!result.exists' }
                undo: auto
        ",
    );
    let found = entries(&ran);
    let word = |step: &str| found[step]["word"].as_str().unwrap().to_owned();
    for step in ["look", "give", "unread"] {
        assert_eq!(word(step), "not_verified", "{step}: {}", found[step]);
    }
    assert_eq!(
        found["look"]["not_judged"][0], "inputs.one == \"***\"",
        "{}",
        found["look"]
    );
    assert_eq!(found["put"]["exact"], false, "{}", found["put"]);
    assert!(found["put"]["detail"].is_null(), "{}", found["put"]);
    assert!(
        found["unread"]["why"]
            .as_str()
            .unwrap()
            .starts_with("`done_when` was not read"),
        "{}",
        found["unread"]
    );
    assert_eq!(found["unread"]["not_judged"][0], "`undone_when`");
    assert!(!ran.stdout.contains("the-canary-value"));
    ran.code(18);
}
