//! `sql.locks`: who waits for a lock, how long, and for whom. Reads only.
//!
//! [`Locks`] asks PostgreSQL's, MySQL's or MariaDB's own views. Of statements only the first words are
//! shown. A wait whose length the server hides leaves no longest wait, only null.

use std::time::Instant;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Session;
use super::conn::Fault;
use super::millis;
use super::probe::{Row, SERVERS, head, largest, look, number};
use crate::action::http::Asker;
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::runbook::catalog::always_reading;
use crate::runbook::{Spec, TargetKind};

/// Most pairs that a result shows.
const SHOWN: usize = 50;

/// No parameters: all waits in the target's database.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// The `sql.locks` action.
pub struct Locks;

/// What the language knows of it.
pub static SPEC: Spec = Spec {
    targets: SERVERS,
    class: always_reading,
    results: &[
        ("waiting", "how many sessions wait for a lock"),
        (
            "longest_wait_s",
            "seconds that the longest of them waits; 0 when none waits, null when the server does not tell",
        ),
        (
            "pairs",
            "who waits for whom, longest first, at most 50: waiting and blocking, each with pid, user, statement (its first words) and seconds; blocking is null where the server does not tell",
        ),
        ("left_out", "how many pairs are not shown"),
        ("took_ms", "milliseconds"),
    ],
    ..Spec::of::<Params>("sql.locks", "look who waits for a lock, and for whom")
};

#[async_trait]
impl Action for Locks {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        let name = call.target.as_ref().map_or("", |target| &target.name);
        format!("look who waits for a lock on `{name}`")
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        locks(Asker::Run(cx), call).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        locks(Asker::Rehearsal(cx), call).await.map(Rehearsed::Read)
    }

    fn stops_itself(&self) -> bool {
        true
    }
}

async fn locks(asker: Asker<'_>, call: &Call) -> Result<Value, ActionError> {
    let Params {} = params(&SPEC, call)?;
    let started = Instant::now();
    let found = look(asker, call, async |session| match session.at.kind {
        TargetKind::Postgres => postgres(session).await,
        _ => mysql(session).await,
    });
    let (rows, kind) = found.await?;
    Ok(shown(&rows, kind, started))
}

/// One row for each waiting session and each that it waits for.
async fn postgres(session: &mut Session) -> Result<(Vec<Row>, TargetKind), Fault> {
    // `waitstart` is there since 14; before that the wait is as long as its statement
    let sql = "\
        select w.pid, w.usename::text as usename, w.query, l.mode, \
          case when l.relation is not null then l.relation::regclass::text else l.locktype end as lock, \
          extract(epoch from clock_timestamp() \
            - coalesce((to_jsonb(l) ->> 'waitstart')::timestamptz, w.query_start))::float8 as wait_s, \
          b.pid as blocking_pid, b.usename::text as blocking_usename, b.query as blocking_query, \
          b.state as blocking_state, \
          extract(epoch from clock_timestamp() - b.xact_start)::float8 as blocking_s \
        from pg_locks l \
        join pg_stat_activity w on w.pid = l.pid \
        left join lateral (select distinct unnest(pg_blocking_pids(w.pid)) as pid) by on true \
        left join pg_stat_activity b on b.pid = by.pid \
        where not l.granted and w.datname = current_database()";
    let table = session.conn.rows(sql, &[]).await?;
    Ok((table.rows, TargetKind::Postgres))
}

/// Row locks with their holders, and sessions that wait for a table's metadata, whose holders
/// are not told.
async fn mysql(session: &mut Session) -> Result<(Vec<Row>, TargetKind), Fault> {
    let version = session.conn.rows("select version() as v", &[]).await?;
    let version = version.rows.first().and_then(|row| row["v"].as_str());
    let mariadb = version.is_some_and(|v| v.to_lowercase().contains("mariadb"));
    let rows = match mariadb {
        // how long the wait lasts is told by a clock of another zone: the statement's time is at least it
        true => {
            "select r.trx_mysql_thread_id as pid, p.user as usename, r.trx_query as query, \
               'row' as `lock`, cast(p.time_ms / 1000 as double) as wait_s, \
               b.trx_mysql_thread_id as blocking_pid, q.user as blocking_usename, \
               b.trx_query as blocking_query, q.command as blocking_state, \
               cast(q.time_ms / 1000 as double) as blocking_s \
             from information_schema.innodb_lock_waits w \
             join information_schema.innodb_trx r on r.trx_id = w.requesting_trx_id \
             join information_schema.innodb_trx b on b.trx_id = w.blocking_trx_id \
             left join information_schema.processlist p on p.id = r.trx_mysql_thread_id \
             left join information_schema.processlist q on q.id = b.trx_mysql_thread_id"
        }
        false => {
            "select w.waiting_pid as pid, p.user as usename, w.waiting_query as query, \
               w.locked_type as `lock`, cast(w.wait_age_secs as double) as wait_s, \
               w.blocking_pid as blocking_pid, q.user as blocking_usename, \
               w.blocking_query as blocking_query, q.command as blocking_state, \
               cast(q.time as double) as blocking_s \
             from sys.innodb_lock_waits w \
             left join information_schema.processlist p on p.id = w.waiting_pid \
             left join information_schema.processlist q on q.id = w.blocking_pid"
        }
    };
    let mut found = session.conn.rows(rows, &[]).await?.rows;
    let metadata = "\
        select id as pid, user as usename, info as query, 'table' as `lock`, \
          cast(time as double) as wait_s, null as blocking_pid \
        from information_schema.processlist \
        where state like 'Waiting for%lock%'";
    let table = session.conn.rows(metadata, &[]).await?;
    found.extend(table.rows);
    Ok((found, TargetKind::Mysql))
}

fn shown(rows: &[Row], kind: TargetKind, started: Instant) -> Value {
    let mut waiting: Vec<&Value> = rows.iter().map(|row| &row["pid"]).collect();
    waiting.sort_by_key(|pid| pid.as_i64());
    waiting.dedup();
    let longest = match rows {
        [] => Some(0.0),
        rows => largest(rows.iter().map(|row| number(row, "wait_s"))),
    };
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by(|a, b| {
        let of = |row: &Row| number(row, "wait_s").unwrap_or(f64::MAX);
        of(b).total_cmp(&of(a))
    });
    let pairs = rows.iter().take(SHOWN).map(|row| {
        let blocking = row
            .get("blocking_pid")
            .filter(|pid| !pid.is_null())
            .map(|pid| {
                json!({
                    "pid": pid,
                    "user": row["blocking_usename"],
                    "state": row["blocking_state"],
                    "statement": head(&row["blocking_query"], kind),
                    "seconds": number(row, "blocking_s"),
                })
            });
        json!({
            "waiting": {
                "pid": row["pid"],
                "user": row["usename"],
                "lock": row["lock"],
                "statement": head(&row["query"], kind),
                "seconds": number(row, "wait_s"),
            },
            "blocking": blocking,
        })
    });
    json!({
        "waiting": waiting.len(),
        "longest_wait_s": longest,
        "pairs": pairs.collect::<Vec<_>>(),
        "left_out": rows.len().saturating_sub(SHOWN),
        "took_ms": millis(started),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pid: i64, wait: Option<f64>) -> Row {
        let value = json!({
            "pid": pid, "usename": "u", "query": "update t set v = 'x'", "lock": "t", "wait_s": wait,
            "blocking_pid": 9, "blocking_usename": "u", "blocking_state": "idle in transaction",
            "blocking_query": "delete from t", "blocking_s": 60.0,
        });
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_hidden_wait_leaves_no_longest() {
        let of = |rows: &[Row]| shown(rows, TargetKind::Postgres, Instant::now());
        let none = of(&[]);
        assert_eq!(
            (&none["waiting"], &none["longest_wait_s"]),
            (&json!(0), &json!(0.0))
        );
        // one session that waits for two counts once
        let two = of(&[row(1, Some(2.0)), row(1, Some(2.0)), row(2, Some(5.0))]);
        assert_eq!(
            (&two["waiting"], &two["longest_wait_s"]),
            (&json!(2), &json!(5.0))
        );
        assert_eq!(two["pairs"][0]["waiting"]["pid"], 2);
        assert_eq!(two["pairs"][0]["waiting"]["statement"], "update t set v");
        assert_eq!(two["pairs"][0]["blocking"]["statement"], "delete from t");
        let hidden = of(&[row(1, Some(2.0)), row(2, None)]);
        assert_eq!(
            (&hidden["waiting"], &hidden["longest_wait_s"]),
            (&json!(2), &Value::Null)
        );
        let many: Vec<Row> = (0..60).map(|pid| row(pid, Some(1.0))).collect();
        let many = of(&many);
        assert_eq!(
            (many["pairs"].as_array().unwrap().len(), &many["left_out"]),
            (50, &json!(10))
        );
    }
}
