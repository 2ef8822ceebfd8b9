//! The SQL actions against real servers: what they return, and what they say is known when they
//! fail. Most tests run for all three dialects.

use std::path::Path;
use std::time::{Duration, Instant};

use ferry::action::pause::Deadline;
use ferry::action::sql::ACTIONS;
use ferry::action::{Action, ActionError, Call, Context, Stop, StopSignal};
use ferry::event::{Cause, Outcome};
use ferry::runbook::{Class, TargetKind};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::context::{call, context, target};
use crate::support::mariadb::{self, MariaDb};
use crate::support::postgres::{self, Postgres};

fn action(key: &str) -> &'static dyn Action {
    *ACTIONS
        .iter()
        .find(|action| action.spec().key == key)
        .unwrap()
}

/// One empty database and a directory to work in.
struct Db {
    kind: TargetKind,
    url: String,
    dir: TempDir,
    cx: Context,
}

impl Db {
    fn of(kind: TargetKind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = match kind {
            TargetKind::Postgres => {
                let server = Postgres::shared();
                server.url(&server.database())
            }
            TargetKind::Mysql => {
                let server = MariaDb::shared();
                server.url(&server.database())
            }
            _ => {
                std::fs::write(dir.path().join("db.sqlite"), "").unwrap();
                "sqlite:db.sqlite".to_owned()
            }
        };
        let cx = context(dir.path());
        Self { kind, url, dir, cx }
    }

    fn all() -> [Self; 3] {
        [TargetKind::Postgres, TargetKind::Mysql, TargetKind::Sqlite].map(Self::of)
    }

    fn call(&self, key: &str, params: Value) -> Call {
        let mut call = call(key, params, self.dir.path());
        call.target = Some(target(self.kind, &self.url));
        call
    }

    async fn run(&self, key: &str, params: Value) -> Result<Value, ActionError> {
        action(key).execute(&self.cx, &self.call(key, params)).await
    }

    async fn ok(&self, key: &str, params: Value) -> Value {
        let shown = params.to_string();
        match self.run(key, params).await {
            Ok(result) => result,
            Err(error) => panic!("{:?} {shown}: {error:?}", self.kind),
        }
    }

    async fn fails(&self, key: &str, params: Value) -> ActionError {
        let shown = params.to_string();
        match self.run(key, params).await {
            Ok(result) => panic!("{:?} {shown}: {result}", self.kind),
            Err(error) => {
                for secret in [postgres::PASSWORD, postgres::ENCODED, mariadb::PASSWORD] {
                    assert!(!format!("{error:?}").contains(secret), "{error:?}");
                }
                error
            }
        }
    }

    async fn rows(&self, query: &str) -> Value {
        self.ok("sql", json!(query)).await["rows"].clone()
    }

    async fn execute(&self, sql: &str) -> Value {
        self.ok("sql", json!({ "execute": sql })).await
    }

    /// The dialect's placeholders in place of `?`.
    fn marks(&self, sql: &str) -> String {
        let mut parts = sql.split('?');
        let mut marked = parts.next().unwrap().to_owned();
        for (index, part) in parts.enumerate() {
            if self.kind == TargetKind::Postgres {
                marked += &format!("${}", index + 1);
            } else {
                marked.push('?');
            }
            marked += part;
        }
        marked
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

const USERS: &str = "create table users (id int primary key, name varchar(40) not null, age int)";

#[tokio::test]
async fn rows_come_back_with_their_columns() {
    for db in Db::all() {
        db.execute(USERS).await;
        let done = db
            .execute("insert into users values (1, 'a', 10), (2, 'b;c', null)")
            .await;
        assert_eq!(done["rows_affected"], 2, "{:?}", db.kind);
        assert_eq!(done["statements"], 1);
        let result = db
            .ok("sql", json!("select id, name, age from users order by id"))
            .await;
        assert_eq!(result["columns"], json!(["id", "name", "age"]));
        assert_eq!(result["row_count"], 2);
        assert_eq!(
            result["rows"],
            json!([{"id": 1, "name": "a", "age": 10}, {"id": 2, "name": "b;c", "age": null}])
        );
        assert!(result["took_ms"].as_f64().unwrap() > 0.0);
        let none = db
            .ok("sql", json!("select id, name from users where id = 9"))
            .await;
        assert_eq!(none["rows"], json!([]));
        assert_eq!(none["columns"], json!(["id", "name"]));
        let error = db.fails("sql", json!("select id, id from users")).await;
        assert!(
            error
                .message
                .contains("two columns of the result are named `id`"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn postgres_types_keep_their_values() {
    let db = Db::of(TargetKind::Postgres);
    db.execute(
        "create type mood as enum ('ok', 'bad'); create domain pos as int check (value > 0)",
    )
    .await;
    let rows = db
        .rows(
            "select 1::int2 as a, 9007199254740993::int8 as b, 0.1::float4 as c, 1.5::float8 as d, \
             12345678901234567890.0120::numeric as e, true as f, '{\"x\": [1]}'::jsonb as g, \
             '\\x00ff'::bytea as h, '2026-11-21 10:00:00.5+02'::timestamptz as i, \
             '2026-11-21 10:00:00'::timestamp as j, '1999-12-31'::date as k, '10:11:12'::time as l, \
             'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid as m, array[1,null,3] as n, \
             array[['a','b'],['c','d']] as o, 'bad'::mood as p, 7::pos as q, null::int as r, \
             '10.0.0.1/8'::inet as s, 'NaN'::float8 as t, '-0.05'::numeric as u, \
             'infinity'::timestamptz as v, '[]'::json as w, '{}'::int[] as x",
        )
        .await;
    assert_eq!(
        rows[0],
        json!({
            "a": 1, "b": 9_007_199_254_740_993_i64, "c": 0.1, "d": 1.5,
            "e": "12345678901234567890.0120", "f": true, "g": {"x": [1]}, "h": "\\x00ff",
            "i": "2026-11-21T08:00:00.5Z", "j": "2026-11-21T10:00:00", "k": "1999-12-31",
            "l": "10:11:12", "m": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "n": [1, null, 3],
            "o": [["a", "b"], ["c", "d"]], "p": "bad", "q": 7, "r": null, "s": "10.0.0.1/8",
            "t": "NaN", "u": "-0.05", "v": "infinity", "w": [], "x": []
        })
    );
    let error = db
        .fails("sql", json!("select int4range(1, 3) as span"))
        .await;
    assert!(
        error.message.contains("column `span` has type `int4range`"),
        "{error}"
    );
}

#[tokio::test]
async fn mysql_and_sqlite_types_keep_their_values() {
    let db = Db::of(TargetKind::Mysql);
    db.execute(
        "create table v (a tinyint(1), b bigint unsigned, c decimal(20,4), d double, e datetime(3), \
         f timestamp null, g date, h time, i blob, j varchar(9) collate utf8mb4_bin, k enum('x','y'), \
         l text, m float, n json, o year)",
    )
    .await;
    db.execute(
        "insert into v values (1, 18446744073709551615, 1.5, 0.25, '2026-11-21 10:00:00.125', \
         '2026-11-21 10:00:00', '2026-11-21', '-26:00:01', x'00ff', 'é', 'y', 'long', 0.1, \
         '{\"x\":1}', 2026)",
    )
    .await;
    assert_eq!(
        db.rows("select * from v").await[0],
        json!({
            "a": true, "b": 18_446_744_073_709_551_615_u64, "c": "1.5000", "d": 0.25,
            "e": "2026-11-21T10:00:00.125000", "f": "2026-11-21T10:00:00Z", "g": "2026-11-21",
            "h": "-26:00:01", "i": "\\x00ff", "j": "é", "k": "y", "l": "long", "m": 0.1,
            "n": "{\"x\":1}", "o": 2026
        })
    );
    let db = Db::of(TargetKind::Sqlite);
    db.execute("create table v (a boolean, b integer, c real, d text, e blob, f numeric)")
        .await;
    db.execute("insert into v values (1, 9007199254740993, 0.5, 'é', x'00ff', null)")
        .await;
    assert_eq!(
        db.rows("select * from v").await[0],
        json!({"a": true, "b": 9_007_199_254_740_993_i64, "c": 0.5, "d": "é", "e": "\\x00ff", "f": null})
    );
}

#[tokio::test]
async fn values_are_bound_and_never_become_text() {
    for db in Db::all() {
        db.execute(USERS).await;
        let evil = "x'); drop table users; --";
        let insert = db.marks("insert into users values (?, ?, ?)");
        db.ok("sql", json!({ "execute": insert, "args": [7, evil, null] }))
            .await;
        let select = db.marks("select name, age from users where id = ? and name = ?");
        let result = db
            .ok("sql", json!({ "query": select, "args": [7, evil] }))
            .await;
        assert_eq!(
            result["rows"],
            json!([{"name": evil, "age": null}]),
            "{:?}",
            db.kind
        );
        let error = db
            .fails("sql", json!({ "query": select, "args": [7] }))
            .await;
        assert!(
            error.message.contains("takes 2 bound values, `args` has 1"),
            "{error}"
        );
        let error = db
            .fails(
                "sql",
                json!({ "execute": "delete from users; delete from users", "args": [1] }),
            )
            .await;
        assert_eq!(error.cause, Cause::Invalid);
    }
    let db = Db::of(TargetKind::Postgres);
    let result = db
        .ok(
            "sql",
            json!({
                "query": "select $1::uuid as a, $2::timestamptz as b, $3::numeric as c, $4::jsonb as d, \
                          $5::int[] as e, $6::date as f, $7::bool as g, $8::bytea as h, $9::time as i, \
                          $10::timestamp as j, 5 = any($11) as k",
                "args": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "2026-11-21T10:00:00Z", "-1234567.0089",
                         {"x": 1}, [1, null], "1969-07-20", true, "\\xbeef", "23:59:59.5",
                         "2026-01-02T03:04:05", [4, 5]],
            }),
        )
        .await;
    assert_eq!(
        result["rows"][0],
        json!({
            "a": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "b": "2026-11-21T10:00:00Z",
            "c": "-1234567.0089", "d": {"x": 1}, "e": [1, null], "f": "1969-07-20", "g": true,
            "h": "\\xbeef", "i": "23:59:59.5", "j": "2026-01-02T03:04:05", "k": true
        })
    );
    let error = db
        .fails(
            "sql",
            json!({ "query": "select $1::int as a", "args": ["many"] }),
        )
        .await;
    assert!(
        error
            .message
            .contains("parameter $1: text does not fit the type `int4`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_failing_statement_takes_the_transaction_back() {
    for db in Db::all() {
        db.execute(USERS).await;
        let script = "insert into users values (1, 'a', 1);\ninsert into users values (1, 'b', 2)";
        let error = db.fails("sql", json!({ "execute": script })).await;
        assert_eq!(error.outcome, Outcome::NotApplied, "{error}");
        assert!(error.message.contains("unique violation"), "{error}");
        assert!(error.message.contains("line 2"), "{error}");
        assert_eq!(db.rows("select * from users").await, json!([]));

        let error = db
            .fails("sql", json!({ "execute": script, "transaction": false }))
            .await;
        assert_eq!(error.outcome, Outcome::Unknown, "{error}");
        assert_eq!(
            db.rows("select count(*) as n from users").await,
            json!([{"n": 1}])
        );

        let alone = "insert into users values (1, 'b', 2)";
        let error = db
            .fails("sql", json!({ "execute": alone, "transaction": false }))
            .await;
        assert_eq!(error.outcome, Outcome::NotApplied, "{error}");

        let error = db
            .fails("sql", json!({ "execute": "delete from users; commit" }))
            .await;
        assert_eq!(error.cause, Cause::Invalid);
        assert_eq!(
            db.rows("select count(*) as n from users").await,
            json!([{"n": 1}])
        );
    }
    // what MySQL committed by itself cannot be taken back, and that is said
    let db = Db::of(TargetKind::Mysql);
    let error = db
        .fails(
            "sql",
            json!({ "execute": "create table a (x int); insert into nowhere values (1)" }),
        )
        .await;
    assert_eq!(error.outcome, Outcome::Unknown, "{error}");
    let done = db
        .execute("create table b (x int); insert into b values (1)")
        .await;
    assert_eq!(done["atomic"], false);
}

#[tokio::test]
async fn reading_cannot_change_anything() {
    let db = Db::of(TargetKind::Postgres);
    db.execute("create table t (x int); create function w() returns int language sql as 'insert into t values (1) returning x'")
        .await;
    let error = db.fails("sql", json!("select w()")).await;
    assert_eq!(error.cause, Cause::Denied);
    assert_eq!(error.outcome, Outcome::NotApplied);
    assert!(error.message.contains("25006"), "{error}");
    let db = Db::of(TargetKind::Mysql);
    db.execute("create table t (x int); create function w() returns int begin insert into t values (1); return 1; end")
        .await;
    let error = db.fails("sql", json!("select w()")).await;
    assert!(error.message.contains("read-only"), "{error}");
    assert_eq!(db.rows("select * from t").await, json!([]));

    let class = |params: Value| (action("sql").spec().class)(&params);
    assert_eq!(class(json!("select 1")), Class::Reading);
    assert_eq!(class(json!({ "query": "select 1" })), Class::Reading);
    assert_eq!(class(json!({ "query": "delete from t" })), Class::Changing);
    assert_eq!(class(json!({ "execute": "select 1" })), Class::Changing);
    // a `query` that changes does change, and returns its rows
    for db in Db::all() {
        db.execute(USERS).await;
        let sql = "insert into users values (1, 'a', 1) returning id";
        assert_eq!(db.rows(sql).await, json!([{"id": 1}]), "{:?}", db.kind);
        assert_eq!(
            db.rows("select count(*) as n from users").await,
            json!([{"n": 1}])
        );
        let error = db.fails("sql", json!("select 1 as a; select 2 as b")).await;
        assert!(error.message.contains("exactly one statement"), "{error}");
    }
}

#[tokio::test]
async fn too_many_rows_are_an_error() {
    for db in Db::all() {
        let sql = "with recursive n(x) as (select 1 union all select x + 1 from n where x < LAST) select x from n";
        let sql = sql.replace("LAST", "10000");
        if db.kind == TargetKind::Mysql {
            let result = db.rows("select seq as x from seq_1_to_10000").await;
            assert_eq!(result.as_array().unwrap().len(), 10_000);
            let error = db
                .fails("sql", json!("select seq as x from seq_1_to_10001"))
                .await;
            assert_eq!(error.cause, Cause::Limit);
            continue;
        }
        assert_eq!(db.rows(&sql).await.as_array().unwrap().len(), 10_000);
        let error = db.fails("sql", json!(sql.replace("10000", "10001"))).await;
        assert_eq!(error.cause, Cause::Limit);
        assert!(error.message.contains("more than 10000 rows"), "{error}");
        assert_eq!(db.rows("select 1 as x").await, json!([{"x": 1}]));
    }
    let db = Db::of(TargetKind::Postgres);
    let error = db
        .fails("sql", json!("select repeat('x', 9000000) as x"))
        .await;
    assert_eq!(error.cause, Cause::Limit);
}

#[tokio::test]
async fn structure_and_counts_are_stable() {
    for db in Db::all() {
        db.execute(
            "create table b (id int primary key, note varchar(20) default 'x'); \
             create table a (id int primary key, b_id int not null references b(id), n int); \
             create unique index a_n on a (n, b_id)",
        )
        .await;
        db.execute("insert into b values (1, 'x'), (2, 'y')").await;
        let strip = |mut value: Value| {
            value
                .as_object_mut()
                .unwrap()
                .shift_remove("took_ms")
                .unwrap();
            value
        };
        let first = strip(db.ok("sql.schema", json!({})).await);
        assert_eq!(first, strip(db.ok("sql.schema", json!({})).await));
        assert_eq!(first["count"], 2);
        let names: Vec<_> = first["tables"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["a", "b"]);
        let a = &first["tables"]["a"];
        assert_eq!(a["columns"]["b_id"]["nullable"], false, "{a}");
        assert_eq!(a["columns"]["n"]["nullable"], true, "{a}");
        assert!(
            a["indexes"]["a_n"]
                .as_str()
                .unwrap()
                .to_lowercase()
                .contains("unique"),
            "{a}"
        );
        let constraints = a["constraints"].to_string().to_lowercase();
        assert!(constraints.contains("primary key"), "{a}");
        assert!(constraints.contains("references b"), "{a}");
        let note = first["tables"]["b"]["columns"]["note"].clone();
        assert!(note["default"].as_str().unwrap().contains("'x'"), "{note}");
        db.execute("alter table b add column extra int").await;
        assert_ne!(first, strip(db.ok("sql.schema", json!({})).await));
        let only = db.ok("sql.schema", json!({ "tables": ["b"] })).await;
        assert_eq!(only["count"], 1);

        let counts = strip(db.ok("sql.counts", json!({})).await);
        assert_eq!(counts, json!({ "total": 2, "counts": {"a": 0, "b": 2} }));
        let error = db.fails("sql.counts", json!({ "tables": ["bb"] })).await;
        assert!(
            error.message.contains("table `bb` does not exist"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_migration_is_applied_once_and_taken_back() {
    for db in Db::all() {
        db.execute(USERS).await;
        db.file(
            "up.sql",
            "alter table users add column flag int;\ninsert into users (id, name) values (1, 'm');",
        );
        db.file(
            "down.sql",
            "delete from users where id = 1; alter table users drop column flag",
        );
        let params = json!({ "name": "0001_flag", "up": "up.sql", "down": "down.sql" });
        let migrate = action("sql.migrate");
        let call = db.call("sql.migrate", params.clone());
        let captured = migrate.capture(&db.cx, &call).await.unwrap().unwrap();
        let first = db.ok("sql.migrate", params.clone()).await;
        assert_eq!(
            (&first["applied"], &first["skipped"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(first["atomic"], db.kind != TargetKind::Mysql);
        assert_eq!(first["sha256"].as_str().unwrap().len(), 64);
        assert_eq!(
            db.rows("select id, flag from users").await,
            json!([{"id": 1, "flag": null}])
        );
        let again = db.ok("sql.migrate", params.clone()).await;
        assert_eq!(
            (&again["applied"], &again["skipped"]),
            (&json!(false), &json!(true))
        );
        let late = migrate.capture(&db.cx, &call).await.unwrap().unwrap();
        let kept = migrate.restore(&db.cx, &call, &late).await.unwrap();
        assert_eq!(kept["undone"], false);

        db.file("up.sql", "select 1");
        let error = db.fails("sql.migrate", params.clone()).await;
        assert_eq!(error.outcome, Outcome::NotApplied);
        assert!(
            error.message.contains("recorded with another script"),
            "{error}"
        );

        let undone = migrate.restore(&db.cx, &call, &captured).await.unwrap();
        assert_eq!(undone["undone"], true, "{undone}");
        assert_eq!(db.rows("select * from users").await, json!([]));
        let columns = &db.ok("sql.schema", json!({})).await["tables"]["users"]["columns"];
        assert!(columns.get("flag").is_none(), "{columns}");
        let twice = migrate.restore(&db.cx, &call, &captured).await.unwrap();
        assert_eq!(twice["undone"], false);

        db.file(
            "bad.sql",
            "insert into users (id, name) values (5, 'z'); insert into nowhere values (1)",
        );
        let error = db
            .fails("sql.migrate", json!({ "name": "bad", "up": "bad.sql" }))
            .await;
        assert_eq!(error.outcome, Outcome::NotApplied, "{error}");
        assert_eq!(db.rows("select * from users").await, json!([]));
        let recorded = db.rows("select name from ferry_migrations").await;
        assert!(recorded == json!([]), "{recorded}");
    }
}

#[tokio::test]
async fn a_backup_holds_everything_and_goes_back() {
    for db in Db::all() {
        db.execute(USERS).await;
        db.execute("insert into users values (1, 'é;''x', 10), (2, 'b', null)")
            .await;
        db.execute("create view grown as select * from users where age > 1; create index by_age on users (age)")
            .await;
        let structure = db.ok("sql.schema", json!({})).await["tables"].clone();
        let content = db.rows("select * from users order by id").await;
        let backup = db.ok("sql.backup", json!({ "to": "out/db.dump" })).await;
        assert_eq!(
            (&backup["verified"], &backup["tables"]),
            (&json!(true), &json!(1)),
            "{:?}",
            db.kind
        );
        let written = std::fs::read(db.path().join("out/db.dump")).unwrap();
        assert_eq!(backup["bytes"], written.len());
        assert_eq!(std::fs::read_dir(db.path().join("out")).unwrap().count(), 1);

        db.execute("delete from users where id = 1; update users set name = 'changed'")
            .await;
        db.execute(
            "drop view grown; drop index by_age on users"
                .replace(
                    if db.kind == TargetKind::Mysql {
                        "\0"
                    } else {
                        " on users"
                    },
                    "",
                )
                .as_str(),
        )
        .await;
        let restored = db.ok("sql.restore", json!({ "from": "out/db.dump" })).await;
        assert_eq!(restored["sha256"], backup["sha256"]);
        assert_eq!(db.rows("select * from users order by id").await, content);
        assert_eq!(db.rows("select id from grown").await, json!([{"id": 1}]));
        assert_eq!(db.ok("sql.schema", json!({})).await["tables"], structure);

        // a file that is cut short is refused before anything is touched
        std::fs::write(db.path().join("cut"), &written[..written.len() / 2]).unwrap();
        let error = db.fails("sql.restore", json!({ "from": "cut" })).await;
        assert_eq!(error.outcome, Outcome::NotApplied, "{error}");
        assert_eq!(db.rows("select * from users order by id").await, content);
    }
}

#[tokio::test]
async fn unreachable_targets_are_named_in_words() {
    let port = crate::support::ports::free();
    for (kind, scheme) in [
        (TargetKind::Postgres, "postgres"),
        (TargetKind::Mysql, "mysql"),
    ] {
        let mut db = Db::of(kind);
        let good = db.url.clone();
        db.url = format!("{scheme}://ferry:s3cretword@127.0.0.1:{port}/x");
        let error = db.fails("sql", json!("select 1")).await;
        assert_eq!(
            error.message,
            format!("target `t` (127.0.0.1:{port}/x): connection refused")
        );
        assert_eq!(
            (error.cause, error.outcome),
            (Cause::Unreachable, Outcome::NotApplied)
        );
        assert!(error.retryable);

        let (_, rest) = good.split_once('@').unwrap();
        db.url = format!("{scheme}://ferry:wr0ngword@{rest}");
        let error = db.fails("sql", json!("select 1")).await;
        assert!(
            error.message.contains("password authentication failed"),
            "{error}"
        );
        assert!(!error.message.contains("wr0ngword"), "{error}");
        assert_eq!(error.cause, Cause::Denied);
        let error = db.fails("sql.backup", json!("x.dump")).await;
        assert!(!format!("{error:?}").contains("wr0ngword"), "{error:?}");
        let left = std::fs::read_dir(db.path()).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name());
        // its own files apart
        assert_eq!(left.filter(|name| name != "locks").count(), 0);

        let (server, _) = good.rsplit_once('/').unwrap();
        db.url = format!("{server}/nowhere");
        let error = db.fails("sql", json!("select 1")).await;
        assert_eq!(error.cause, Cause::Invalid, "{error}");
        assert!(error.message.contains("nowhere"), "{error}");
        db.url = format!("{scheme}://ferry:x@no-such-host.invalid/x");
        let error = db.fails("sql", json!("select 1")).await;
        assert!(
            error
                .message
                .contains("`no-such-host.invalid` does not resolve"),
            "{error}"
        );
    }
    let mut db = Db::of(TargetKind::Sqlite);
    db.url = "sqlite:none.db".into();
    let error = db.fails("sql", json!("select 1")).await;
    assert_eq!(error.message, "target `t` (none.db): no such file");
    assert!(!db.path().join("none.db").exists());
    db.file("text.db", &"this is no database ".repeat(100));
    db.url = "sqlite:text.db".into();
    let error = db.fails("sql", json!("select * from x")).await;
    assert!(error.message.contains("not a SQLite database"), "{error}");
}

#[tokio::test]
async fn a_syntax_error_has_its_place() {
    for db in Db::all() {
        let error = db
            .fails("sql", json!("select 1 as a,\n  from from x"))
            .await;
        assert!(error.message.contains("syntax error"), "{error}");
        assert_eq!(error.outcome, Outcome::NotApplied);
        if db.kind == TargetKind::Postgres {
            assert!(
                error.message.contains("(SQLSTATE 42601, line 2 column 3)"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn time_and_stop_cancel_on_the_server() {
    for mut db in Db::all() {
        db.execute(USERS).await;
        let slow = match db.kind {
            TargetKind::Postgres => "select pg_sleep(20) as x",
            TargetKind::Mysql => "select sleep(20) as x",
            _ => {
                "with recursive n(x) as (select 1 union all select x + 1 from n where x < 1000000000) \
                  select count(*) as x from n"
            }
        };
        let started = Instant::now();
        db.cx.deadline = Some(Deadline::after(Duration::from_millis(400)));
        // MariaDB's sleep returns 1 when it is cancelled, which is an answer
        if db.kind != TargetKind::Mysql {
            let error = db.fails("sql", json!(slow)).await;
            assert_eq!(
                (error.cause, error.outcome),
                (Cause::Timeout, Outcome::NotApplied),
                "{error}"
            );
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", db.kind);

        let (sender, signal) = StopSignal::channel();
        db.cx.deadline = Some(Deadline::after(Duration::from_secs(30)));
        db.cx.stop = signal;
        let script = format!(
            "insert into users values (1, 'a', 1); {slow}; insert into users values (1, 'a', 1)"
        );
        let call = db.call("sql", json!({ "execute": script }));
        let (ended, ()) = tokio::join!(action("sql").execute(&db.cx, &call), async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            sender.send(Stop::Terminate).unwrap();
        });
        let error = ended.unwrap_err();
        assert_eq!(
            (error.cause, error.outcome),
            (Cause::Stopped, Outcome::NotApplied),
            "{error}"
        );
        db.cx.stop = StopSignal::channel().1;
        assert_eq!(
            db.rows("select * from users").await,
            json!([]),
            "{:?}",
            db.kind
        );
    }
    let db = Db::of(TargetKind::Postgres);
    let script = "set local statement_timeout = '100ms'; select pg_sleep(9)";
    let error = db.fails("sql", json!({ "execute": script })).await;
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Timeout, Outcome::NotApplied)
    );
    assert!(error.message.contains("57014"), "{error}");
}

#[tokio::test]
async fn a_lost_link_is_unknown_only_where_it_must_be() {
    let server = Postgres::shared();
    for (transaction, outcome) in [(true, Outcome::NotApplied), (false, Outcome::Unknown)] {
        let mut db = Db::of(TargetKind::Postgres);
        db.execute(USERS).await;
        db.cx.idempotency_key = format!("ferry:lost:{transaction}");
        let call = db.call(
            "sql",
            json!({ "execute": "insert into users select 1, 'a', 1 from pg_sleep(20)", "transaction": transaction }),
        );
        let kill = format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = '{}' and state = 'active'",
            db.cx.idempotency_key
        );
        let (ended, ()) = tokio::join!(action("sql").execute(&db.cx, &call), async {
            for _ in 0..50 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if server.psql("postgres", &kill).trim() == "t" {
                    return;
                }
            }
            panic!("the session was not found by its name");
        });
        let error = ended.unwrap_err();
        assert_eq!(
            (error.cause, error.outcome),
            (Cause::Unreachable, outcome),
            "{error}"
        );
        assert!(
            error.message.contains("connection ended by the server"),
            "{error}"
        );
    }
}

/// Ends the session with that name once it waits for `event`.
async fn terminate(server: &Postgres, name: &str, event: &str) {
    let kill = format!(
        "select pg_terminate_backend(pid) from pg_stat_activity \
         where application_name = '{name}' and wait_event = '{event}' and query = 'commit'"
    );
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if server.psql("postgres", &kill).trim() == "t" {
            return;
        }
    }
    panic!("no session `{name}` waits for {event} in its commit");
}

#[tokio::test]
async fn a_commit_without_answer_is_settled_by_asking() {
    // with a standby that does not exist, a commit that asks for one waits after it took effect
    let server = Postgres::start(&["synchronous_commit=local", "synchronous_standby_names=none"]);
    let mut db = Db::of(TargetKind::Sqlite);
    db.kind = TargetKind::Postgres;
    db.url = server.url(&server.database());
    db.execute(USERS).await;
    db.execute(
        "create function wait() returns trigger language plpgsql as \
         $$ begin perform pg_sleep(20); return null; end $$; \
         create table slow (x int); create constraint trigger wait after insert on slow \
         deferrable initially deferred for each row execute function wait()",
    )
    .await;
    db.cx.idempotency_key = "ferry:commit".into();

    let script = "set local synchronous_commit = on; insert into users values (1, 'a', 1)";
    let call = db.call("sql", json!({ "execute": script }));
    let (ended, ()) = tokio::join!(
        action("sql").execute(&db.cx, &call),
        terminate(&server, "ferry:commit", "SyncRep")
    );
    assert_eq!(ended.unwrap()["rows_affected"], 1);
    assert_eq!(db.rows("select id from users").await, json!([{"id": 1}]));

    let script = "insert into users values (2, 'b', 1); insert into slow values (1)";
    let call = db.call("sql", json!({ "execute": script }));
    let (ended, ()) = tokio::join!(
        action("sql").execute(&db.cx, &call),
        terminate(&server, "ferry:commit", "PgSleep")
    );
    let error = ended.unwrap_err();
    assert_eq!(error.outcome, Outcome::NotApplied, "{error}");
    assert_eq!(db.rows("select id from users").await, json!([{"id": 1}]));
}

#[tokio::test]
async fn locks_and_conflicts_may_be_tried_again() {
    let db = Db::of(TargetKind::Postgres);
    db.execute("create table t (x int primary key); insert into t values (1)")
        .await;
    let holder = db.call(
        "sql",
        json!({ "execute": "lock table t; select pg_sleep(1.5)" }),
    );
    let waiter = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        db.fails(
            "sql",
            json!({ "execute": "set local lock_timeout = '100ms'; delete from t" }),
        )
        .await
    };
    let (held, error) = tokio::join!(action("sql").execute(&db.cx, &holder), waiter);
    held.unwrap();
    assert!(error.message.contains("lock timeout"), "{error}");
    assert_eq!(
        (error.outcome, error.retryable),
        (Outcome::NotApplied, true)
    );
}

#[tokio::test]
async fn a_session_of_an_engine_that_is_gone_is_seen_and_ended() {
    for kind in [TargetKind::Postgres, TargetKind::Mysql] {
        let db = Db::of(kind);
        let slow = match kind {
            TargetKind::Postgres => "select pg_sleep(20)",
            _ => "do sleep(20)",
        };
        db.execute(USERS).await;
        // as after a crash: another engine, with connections of its own, and the same key, which is
        // longer than what a server keeps of a name
        let mut old = context(db.dir.path());
        old.idempotency_key = format!("ferry:{}:change:do", "long-name-".repeat(8));
        let mut other = context(db.dir.path());
        other.idempotency_key = old.idempotency_key.replace(":do", ":undo");
        let mut new = context(db.dir.path());
        new.idempotency_key.clone_from(&old.idempotency_key);
        let script = format!("insert into users values (1, 'a', 1); {slow}");
        let call = db.call("sql", json!({ "execute": script }));
        let sql = action("sql");
        // a read of the same step keeps an idle connection of that name
        let read = db.call("sql", json!("select 1 as x"));
        sql.execute(&new, &read).await.unwrap();
        assert!(!sql.still_running(&new, &call).await.unwrap(), "{kind:?}");
        assert!(!sql.end_running(&new, &call).await.unwrap(), "{kind:?}");
        let (ended, ()) = tokio::join!(sql.execute(&old, &call), async {
            let until = Instant::now() + Duration::from_secs(10);
            while !sql.still_running(&new, &call).await.unwrap() {
                assert!(Instant::now() < until, "{kind:?}: it is not seen");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(!sql.still_running(&other, &call).await.unwrap(), "{kind:?}");
            assert!(!sql.end_running(&other, &call).await.unwrap(), "{kind:?}");
            assert!(sql.still_running(&new, &call).await.unwrap(), "{kind:?}");
            assert!(sql.end_running(&new, &call).await.unwrap(), "{kind:?}");
        });
        assert_eq!(ended.unwrap_err().outcome, Outcome::NotApplied, "{kind:?}");
        assert!(!sql.still_running(&new, &call).await.unwrap(), "{kind:?}");
        assert_eq!(db.rows("select * from users").await, json!([]), "{kind:?}");
    }
    let db = Db::of(TargetKind::Sqlite);
    let call = db.call("sql", json!({ "execute": "select 1" }));
    assert!(!action("sql").still_running(&db.cx, &call).await.unwrap());
}
