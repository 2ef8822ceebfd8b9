//! ferry's own sessions on a server, by name: whether one is still at work after the engine that opened
//! it is gone, and ending it.
//!
//! PostgreSQL shows the name of a session (`application_name`); MySQL shows the text of a statement,
//! so there the name stands in a comment in front of it. SQLite works within the engine and ends with
//! it. Only changing steps ask; nothing here is on their way otherwise.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::client::Endpoint;
use super::words;
use crate::action::{ActionError, Call, Context};
use crate::event::Outcome;
use crate::runbook::TargetKind;

/// Longest name of a session that PostgreSQL keeps; it cuts longer ones and says nothing.
const LONGEST: usize = 63;

/// How long the server is given to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// The name of a session of an idempotency key: the key itself, or where that is too long or holds
/// what a server would change, its beginning and enough of its digest to be the only one.
pub fn session_name(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ":._-[]".contains(c);
    if key.len() <= LONGEST && key.chars().all(plain) {
        return key.to_owned();
    }
    let digest = hex(&Sha256::digest(key.as_bytes())[..10]);
    let room = LONGEST - digest.len() - 1;
    let head: String = key
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .take(room)
        .collect();
    format!("{head}~{digest}")
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What MySQL's statements of a session begin with.
pub fn mark(name: &str) -> String {
    format!("/* {name} */ ")
}

/// Whether a session of this attempt's key is at work on the server.
///
/// # Errors
/// When the server cannot be asked: then nothing is known.
pub async fn running(cx: &Context, call: &Call) -> Result<bool, ActionError> {
    Ok(!sessions(cx, call, false).await?.is_empty())
}

/// Ends the sessions of this attempt's key; whether there was one. What they had not committed is
/// rolled back by the server.
///
/// # Errors
/// When the server cannot be asked, or does not let us.
pub async fn end(cx: &Context, call: &Call) -> Result<bool, ActionError> {
    Ok(!sessions(cx, call, true).await?.is_empty())
}

/// The ids of our sessions that are at work; ends them if asked to.
async fn sessions(cx: &Context, call: &Call, end: bool) -> Result<Vec<i64>, ActionError> {
    let at = Endpoint::of(call)?;
    let name = session_name(&cx.idempotency_key);
    let (sql, value) = match at.kind {
        // an idle session outside of a transaction does nothing; ours that are kept are idle
        TargetKind::Postgres => (
            "select pid::bigint as id from pg_stat_activity where application_name = $1 \
             and pid <> pg_backend_pid() and state is distinct from 'idle'",
            name,
        ),
        TargetKind::Mysql => (
            "select id from information_schema.processlist where id <> connection_id() \
             and locate(?, info) = 1",
            mark(&name),
        ),
        _ => return Ok(Vec::new()),
    };
    let mut conn = at.connect(cx.time_left(ANSWER)).await?;
    let work = async {
        let found = conn.rows(sql, &[json!(value)]).await?;
        let ids: Vec<i64> = found.rows.iter().filter_map(|row| id(&row["id"])).collect();
        if end {
            for id in &ids {
                let sql = match at.kind {
                    TargetKind::Postgres => format!("select pg_terminate_backend({id})"),
                    _ => format!("kill {id}"),
                };
                conn.run(&sql).await?;
            }
        }
        Ok(ids)
    };
    let found = tokio::time::timeout(ANSWER, work).await;
    let found = match found {
        Ok(found) => found.map_err(|fault| words::explain(&at, &fault, Outcome::NotApplied, None)),
        Err(_) => Err(ActionError::unreachable(format!(
            "{}: no answer within {}",
            at.label(),
            crate::runbook::units::human(ANSWER)
        ))),
    };
    conn.close().await;
    found
}

fn id(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_the_only_ones_when_they_are_cut() {
        let short = "ferry:demo-20260301-ab2c:migrate[2]:do";
        assert_eq!(session_name(short), short);
        let long = |end: &str| session_name(&format!("ferry:{}:{end}", "x".repeat(80)));
        assert_ne!(long("do"), long("undo"));
        assert_eq!(long("do").len(), LONGEST);
        assert!(long("do").starts_with("ferry:xxx"));
        let odd = session_name("ferry:r:a */ drop\n\u{e9}:do");
        assert!(odd.starts_with("ferry:r:a____drop__:do~"), "{odd}");
        assert_ne!(odd, session_name("ferry:r:a __ drop\n\u{e9}:do"));
    }
}
