//! `sql.replication`: who replicates from here, or from whom this one does, and how far behind. Reads
//! only.
//!
//! [`Replication`] has a largest lag only when there is a replica and every one tells its lag: no
//! replica, or one that is not told of, is null and never 0.

use std::time::Instant;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::Session;
use super::conn::Fault;
use super::millis;
use super::probe::{Row, SERVERS, largest, look, number};
use crate::action::http::Asker;
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::runbook::catalog::always_reading;
use crate::runbook::{Spec, TargetKind};

/// By how many seconds a sign of life may be late.
const SILENT: f64 = 10.0;

/// No parameters: all that the server knows.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// The `sql.replication` action.
pub struct Replication;

/// What the language knows of it.
pub static SPEC: Spec = Spec {
    targets: SERVERS,
    class: always_reading,
    results: &[
        (
            "role",
            "`primary`, or `replica` (which may have replicas of its own)",
        ),
        (
            "count",
            "how many replicas there are; on a replica how many sources it has",
        ),
        ("running", "how many of them are connected and follow"),
        (
            "replicas",
            "each of them: name, address, state, running, lag_bytes, lag_s, last_message_age_s, as far as the server tells",
        ),
        (
            "max_lag_bytes",
            "bytes of the farthest behind; null when there is none, or one does not tell",
        ),
        (
            "max_lag_s",
            "seconds of the farthest behind; null when there is none, or one does not tell",
        ),
        (
            "last_message_age_s",
            "on a standby of PostgreSQL: seconds since it heard of its source; when that is too long (half of `wal_receiver_timeout` and 10 s more), its lag is null; null elsewhere",
        ),
        ("took_ms", "milliseconds"),
    ],
    ..Spec::of::<Params>("sql.replication", "look how far replicas are behind")
};

#[async_trait]
impl Action for Replication {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        let name = call.target.as_ref().map_or("", |target| &target.name);
        format!("look how far replicas of `{name}` are behind")
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        replication(Asker::Run(cx), call).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        replication(Asker::Rehearsal(cx), call)
            .await
            .map(Rehearsed::Read)
    }

    fn stops_itself(&self) -> bool {
        true
    }
}

async fn replication(asker: Asker<'_>, call: &Call) -> Result<Value, ActionError> {
    let Params {} = params(&SPEC, call)?;
    let started = Instant::now();
    let found = look(asker, call, async |session| match session.at.kind {
        TargetKind::Postgres => postgres(session).await,
        _ => mysql(session).await,
    });
    let (role, links) = found.await?;
    Ok(shown(role, &links, started))
}

/// One replica, or on a replica one source.
#[derive(Debug, Default, PartialEq)]
struct Link {
    name: Value,
    address: Value,
    state: Value,
    running: bool,
    bytes: Option<f64>,
    seconds: Option<f64>,
    /// Seconds since it was heard of.
    age: Option<f64>,
}

fn shown(role: &str, links: &[Link], started: Instant) -> Value {
    let replicas = links.iter().map(|link| {
        json!({
            "name": link.name,
            "address": link.address,
            "state": link.state,
            "running": link.running,
            "lag_bytes": whole(link.bytes),
            "lag_s": link.seconds,
            "last_message_age_s": link.age,
        })
    });
    json!({
        "role": role,
        "count": links.len(),
        "running": links.iter().filter(|link| link.running).count(),
        "replicas": replicas.collect::<Vec<_>>(),
        "max_lag_bytes": whole(largest(links.iter().map(|link| link.bytes))),
        "max_lag_s": largest(links.iter().map(|link| link.seconds)),
        "last_message_age_s": largest(links.iter().map(|link| link.age)),
        "took_ms": millis(started),
    })
}

/// Bytes are counts.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a log position fits, and a float holds it to the byte"
)]
fn whole(bytes: Option<f64>) -> Option<i64> {
    bytes.map(|bytes| bytes.round() as i64)
}

async fn postgres(session: &mut Session) -> Result<(&'static str, Vec<Link>), Fault> {
    let sql = "select pg_is_in_recovery() as standby";
    let table = session.conn.rows(sql, &[]).await?;
    let standby = table.rows.first().map(|row| &row["standby"]) == Some(&Value::Bool(true));
    if standby {
        let sql = "\
            select r.status, r.slot_name as name, r.sender_host as address, \
              pg_wal_lsn_diff(greatest(pg_last_wal_receive_lsn(), r.latest_end_lsn), \
                pg_last_wal_replay_lsn())::float8 as bytes, \
              extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 as seconds, \
              extract(epoch from clock_timestamp() - r.last_msg_receipt_time)::float8 as age, \
              (select max(case name when 'wal_receiver_timeout' then setting::float8 / 2000 \
                else setting::float8 end) from pg_settings \
                where name in ('wal_receiver_timeout', 'wal_receiver_status_interval')) as idle \
            from pg_stat_wal_receiver r";
        let table = session.conn.rows(sql, &[]).await?;
        return Ok(("replica", sources(&table.rows)));
    }
    let sql = "\
        select application_name as name, client_addr::text as address, state, \
          pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::float8 as bytes, \
          extract(epoch from replay_lag)::float8 as seconds \
        from pg_stat_replication";
    let table = session.conn.rows(sql, &[]).await?;
    Ok(("primary", table.rows.iter().map(standby_of).collect()))
}

/// What the primary tells of a standby. When there was nothing to replay for a while, it tells no
/// seconds; a standby that is not a byte behind is then not a second behind either.
fn standby_of(row: &Row) -> Link {
    let bytes = number(row, "bytes");
    Link {
        name: row["name"].clone(),
        address: row["address"].clone(),
        state: row["state"].clone(),
        running: row["state"] == "streaming",
        bytes,
        seconds: number(row, "seconds").or_else(|| (bytes? <= 0.0).then_some(0.0)),
        age: None,
    }
}

/// What a standby tells of itself: without a receiver that streams there is no lag to tell, since what
/// was not received is not known. The age of the last transaction counts only while one is missing. A
/// source that has nothing to send is asked for a sign of life after half of the receiver's timeout: who
/// was silent for longer may have written what did not arrive.
fn sources(rows: &[Row]) -> Vec<Link> {
    let link = |row: &Row| {
        let running = row["status"] == "streaming";
        let age = number(row, "age");
        let silent = age
            .zip(number(row, "idle"))
            .is_none_or(|(age, idle)| age > idle + SILENT);
        let bytes = number(row, "bytes").filter(|_| running && !silent);
        Link {
            name: row["name"].clone(),
            address: row["address"].clone(),
            state: row["status"].clone(),
            running,
            bytes,
            seconds: match bytes {
                Some(bytes) if bytes <= 0.0 => Some(0.0),
                Some(_) => number(row, "seconds"),
                None => None,
            },
            age,
        }
    };
    match rows {
        // a standby whose source is away still has one
        [] => vec![Link::default()],
        rows => rows.iter().map(link).collect(),
    }
}

async fn mysql(session: &mut Session) -> Result<(&'static str, Vec<Link>), Fault> {
    let version = session.conn.rows("select version() as v", &[]).await?;
    let version = version.rows.first().and_then(|row| row["v"].as_str());
    let mariadb = version.is_some_and(|v| v.to_lowercase().contains("mariadb"));
    let (status, replicas) = match mariadb {
        true => ("show all slaves status", "show slave hosts"),
        false => ("show replica status", "show replicas"),
    };
    let table = session.conn.rows(status, &[]).await?;
    if !table.rows.is_empty() {
        return Ok(("replica", table.rows.iter().map(source).collect()));
    }
    let table = session.conn.rows(replicas, &[]).await?;
    Ok(("primary", table.rows.iter().map(registered).collect()))
}

/// The first of these columns that is there: MySQL renamed them.
fn named(row: &Row, names: &[&str]) -> Value {
    let found = names.iter().find_map(|name| row.get(*name));
    found.cloned().unwrap_or(Value::Null)
}

/// A replica's own status. Seconds that the server does not know stay unknown; errors may hold
/// statements, and are left out.
fn source(row: &Row) -> Link {
    let io = named(row, &["Slave_IO_Running", "Replica_IO_Running"]);
    let sql = named(row, &["Slave_SQL_Running", "Replica_SQL_Running"]);
    let running = io == "Yes" && sql == "Yes";
    let seconds = named(row, &["Seconds_Behind_Master", "Seconds_Behind_Source"]);
    let seconds = Map::from_iter([("s".to_owned(), seconds)]);
    Link {
        name: named(row, &["Connection_name", "Channel_Name"]),
        address: named(row, &["Master_Host", "Source_Host"]),
        state: json!(format!("io {}, sql {}", text(&io), text(&sql))),
        running,
        bytes: None,
        seconds: number(&seconds, "s").filter(|_| running),
        age: None,
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("unknown").to_lowercase()
}

/// What a primary knows of a replica: that it registered, and nothing of its lag.
fn registered(row: &Row) -> Link {
    Link {
        name: named(row, &["Server_id", "Server_Id"]),
        address: named(row, &["Host"]),
        state: json!("registered"),
        running: true,
        ..Link::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: &Value) -> Row {
        value.as_object().unwrap().clone()
    }

    fn lags(links: &[Link]) -> (Value, Value) {
        let result = shown("primary", links, Instant::now());
        (result["max_lag_bytes"].clone(), result["max_lag_s"].clone())
    }

    #[test]
    fn no_replica_and_a_silent_one_have_no_lag() {
        assert_eq!(lags(&[]), (Value::Null, Value::Null));
        let told = standby_of(&row(
            &json!({"name": "a", "address": null, "state": "streaming", "bytes": 0.0, "seconds": null}),
        ));
        assert_eq!(lags(&[told]), (json!(0), json!(0.0)));
        let behind = json!({"name": "a", "address": null, "state": "catchup", "bytes": 4096.0, "seconds": null});
        let link = standby_of(&row(&behind));
        assert!(!link.running);
        assert_eq!(lags(&[link]), (json!(4096), Value::Null));
        // whoever may not see them gets rows of nulls
        let hidden =
            json!({"name": "a", "address": null, "state": null, "bytes": null, "seconds": null});
        assert_eq!(
            lags(&[standby_of(&row(&hidden))]),
            (Value::Null, Value::Null)
        );
    }

    #[test]
    fn a_standby_without_its_source_has_no_lag() {
        assert_eq!(lags(&sources(&[])), (Value::Null, Value::Null));
        let told = |status: &str, bytes: f64, age: Value| {
            let row = row(
                &json!({"status": status, "name": null, "address": "h", "bytes": bytes, "seconds": 300.0, "age": age, "idle": 30.0}),
            );
            lags(&sources(&[row]))
        };
        let of = |status: &str, bytes: f64| told(status, bytes, json!(29.0));
        // one that stands still is not told apart from one that has nothing to say, but by its silence
        assert_eq!(
            told("streaming", 0.0, json!(41.0)),
            (Value::Null, Value::Null)
        );
        assert_eq!(
            told("streaming", 0.0, Value::Null),
            (Value::Null, Value::Null)
        );
        assert_eq!(of("streaming", 0.0), (json!(0), json!(0.0)));
        assert_eq!(of("streaming", 16.0), (json!(16), json!(300.0)));
        assert_eq!(of("stopping", 0.0), (Value::Null, Value::Null));
    }

    #[test]
    fn seconds_that_mysql_does_not_know_stay_unknown() {
        let of = |io: &str, seconds: Value| {
            source(&row(&json!({
                "Connection_name": "", "Master_Host": "h", "Slave_IO_Running": io,
                "Slave_SQL_Running": "Yes", "Seconds_Behind_Master": seconds,
            })))
        };
        assert_eq!(of("Yes", json!(3)).seconds, Some(3.0));
        assert_eq!(of("Yes", Value::Null).seconds, None);
        let stopped = of("Connecting", json!(0));
        assert_eq!((stopped.running, stopped.seconds), (false, None));
        assert_eq!(stopped.state, "io connecting, sql yes");
    }
}
