//! Database errors in the words of the field: [`explain`] turns a [`Fault`] into an
//! [`ActionError`] that names the target and its address, never a password.
//!
//! What the failure means for the effect is the caller's to say, except that nothing here widens it.

use std::io::ErrorKind;

use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

use super::client::Endpoint;
use super::conn::Fault;
use crate::action::ActionError;
use crate::event::{Cause, Outcome};

/// What kind of failure it is.
struct Words {
    cause: Cause,
    retryable: bool,
    text: String,
    hint: Option<&'static str>,
}

impl Words {
    fn new(cause: Cause, text: impl Into<String>) -> Self {
        Self {
            cause,
            retryable: cause == Cause::Unreachable,
            text: text.into(),
            hint: None,
        }
    }

    fn again(mut self) -> Self {
        self.retryable = true;
        self
    }

    fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }
}

/// Whether the link was lost, or the server ended the session, so that the last request's fate is
/// not told by this error.
pub fn link_lost(fault: &Fault) -> bool {
    match fault {
        Fault::Sql(sqlx::Error::Database(error)) => {
            if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
                matches!(error.number(), 1053 | 1927 | 2006 | 2013 | 4031)
            } else if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
                matches!(error.code(), "57P01" | "57P02" | "57P05")
            } else {
                false
            }
        }
        Fault::Sql(
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed,
        ) => true,
        _ => false,
    }
}

/// The failure in words; `script` and `line` place a statement in its script.
pub fn explain(
    at: &Endpoint,
    fault: &Fault,
    outcome: Outcome,
    statement: Option<(&str, usize)>,
) -> ActionError {
    let words = match fault {
        Fault::Sql(error) => driver(error, at, statement),
        Fault::Value(text) | Fault::Invalid(text) => Words::new(Cause::Invalid, text),
        Fault::Limit(text) => Words::new(Cause::Limit, text)
            .hint("select less: aggregate, filter, or add `limit`; results are never cut silently"),
    };
    let mut error = ActionError::new(
        words.cause,
        outcome,
        format!("{}: {}", at.label(), words.text),
    )
    .retryable(words.retryable);
    error.hint = words.hint.map(str::to_owned);
    error
}

fn driver(error: &sqlx::Error, at: &Endpoint, statement: Option<(&str, usize)>) -> Words {
    match error {
        sqlx::Error::Database(error) => {
            if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
                postgres(error, statement)
            } else if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
                mysql(error, statement)
            } else {
                sqlite(
                    error.code().as_deref().unwrap_or(""),
                    error.message(),
                    statement,
                )
            }
        }
        sqlx::Error::Io(error) => io(error, at),
        sqlx::Error::Tls(error) => {
            Words::new(Cause::Unreachable, format!("no TLS connection: {error}"))
        }
        sqlx::Error::Configuration(error) => {
            Words::new(Cause::Invalid, format!("the address is wrong: {error}"))
        }
        sqlx::Error::Protocol(text) => {
            Words::new(Cause::Unreachable, format!("broken answer: {text}"))
        }
        sqlx::Error::WorkerCrashed => Words::new(Cause::Internal, "the SQLite worker ended"),
        other => Words::new(Cause::Failed, other.to_string()),
    }
}

fn io(error: &std::io::Error, at: &Endpoint) -> Words {
    let text = error.to_string();
    let lookup = ["lookup", "name or service", "resolve", "nodename"]
        .iter()
        .any(|part| text.to_lowercase().contains(part));
    match error.kind() {
        ErrorKind::ConnectionRefused => Words::new(Cause::Unreachable, "connection refused")
            .hint("is the server running there?"),
        _ if lookup => Words::new(
            Cause::Unreachable,
            format!("host name `{}` does not resolve", at.host),
        ),
        ErrorKind::TimedOut => Words::new(Cause::Unreachable, "no answer in time"),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            Words::new(Cause::Unreachable, "connection lost")
        }
        _ => Words::new(Cause::Unreachable, format!("connection failed: {text}")),
    }
}

/// `SQLSTATE 42601, line 2 column 5`
fn place(code: &str, statement: Option<(&str, usize)>, position: Option<usize>) -> String {
    let Some((sql, first)) = statement else {
        return format!(" (SQLSTATE {code})");
    };
    match position.and_then(|position| position.checked_sub(1)) {
        Some(offset) => {
            let before: String = sql.chars().take(offset).collect();
            let line = first + before.matches('\n').count();
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!(" (SQLSTATE {code}, line {line} column {column})")
        }
        None => format!(" (SQLSTATE {code}, statement at line {first})"),
    }
}

fn postgres(error: &PgDatabaseError, statement: Option<(&str, usize)>) -> Words {
    let position = match error.position() {
        Some(PgErrorPosition::Original(position)) => Some(position),
        _ => None,
    };
    let detail = match error.detail() {
        Some(detail) if error.code().starts_with("23") => format!("; {detail}"),
        _ => String::new(),
    };
    let said = format!(
        "{}{detail}{}",
        error.message(),
        place(error.code(), statement, position)
    );
    let with = |cause, what: &str| Words::new(cause, format!("{what}: {said}"));
    match error.code() {
        // the server's own words say it already
        "28P01" | "3D000" | "40001" => match error.code() {
            "28P01" => Words::new(Cause::Denied, said),
            "3D000" => Words::new(Cause::Invalid, said),
            _ => Words::new(Cause::Failed, said).again(),
        },
        "28000" => with(Cause::Denied, "connection not allowed"),
        "42501" => Words::new(Cause::Denied, said),
        "53300" => with(Cause::Unreachable, "too many connections"),
        "57P03" => with(Cause::Unreachable, "not accepting connections"),
        "57P01" | "57P02" | "57P05" => with(Cause::Unreachable, "connection ended by the server"),
        "57014" => Words::new(Cause::Timeout, said),
        "55P03" => with(Cause::Failed, "lock timeout").again(),
        "40P01" => Words::new(Cause::Failed, said).again(),
        "25006" => with(Cause::Denied, "read-only")
            .hint("a `query` may not change anything: use `execute`; or the server is a standby"),
        "25001" => Words::new(Cause::Failed, said)
            .hint("this statement cannot run in a transaction: set `transaction: false`"),
        "53100" => with(Cause::Failed, "disk full"),
        "42601" => Words::new(Cause::Invalid, said),
        "23505" => with(Cause::Failed, "unique violation"),
        _ => Words::new(Cause::Failed, said),
    }
}

fn mysql(error: &MySqlDatabaseError, statement: Option<(&str, usize)>) -> Words {
    let number = error.number();
    let state = error.code().unwrap_or("HY000");
    let said = format!(
        "{} (error {number},{}",
        error.message(),
        place(state, statement, None)
            .trim_start_matches(" (")
            .replacen("", " ", 1)
    );
    let with = |cause, what: &str| Words::new(cause, format!("{what}: {said}"));
    match number {
        1045 | 1698 => with(Cause::Denied, "password authentication failed"),
        1044 | 1142 | 1143 | 1227 | 1370 => with(Cause::Denied, "access denied"),
        1049 => with(Cause::Invalid, "database does not exist"),
        1040 | 1203 | 1226 => with(Cause::Unreachable, "too many connections"),
        1205 => with(Cause::Failed, "lock timeout").again(),
        1213 => with(Cause::Failed, "deadlock").again(),
        1022 | 1062 | 1586 => with(Cause::Failed, "unique violation"),
        1064 => with(Cause::Invalid, "syntax error"),
        1792 | 1290 | 1836 => with(Cause::Denied, "read-only")
            .hint("a `query` may not change anything: use `execute`; or the server is a replica"),
        1021 | 1114 => with(Cause::Failed, "disk full"),
        1317 | 1969 | 3024 => with(Cause::Timeout, "canceled"),
        1053 | 1927 | 4031 => with(Cause::Unreachable, "connection ended by the server"),
        3159 => with(Cause::Denied, "TLS required"),
        _ => Words::new(Cause::Failed, said),
    }
}

fn sqlite(code: &str, message: &str, statement: Option<(&str, usize)>) -> Words {
    let line = statement.map_or(String::new(), |(_, line)| {
        format!(", statement at line {line}")
    });
    let said = format!("{message} (SQLite code {code}{line})");
    let with = |cause, what: &str| Words::new(cause, format!("{what}: {said}"));
    let number: u32 = code.parse().unwrap_or(0);
    match (number, number & 0xff) {
        (1555 | 2067, _) => with(Cause::Failed, "unique violation"),
        (_, 5 | 6) => with(Cause::Failed, "lock timeout").again(),
        (_, 8) => with(Cause::Denied, "read-only")
            .hint("a `query` may not change anything: use `execute`"),
        (_, 9) => with(Cause::Timeout, "canceled"),
        (_, 11) => with(Cause::Failed, "the database file is damaged"),
        (_, 13) => with(Cause::Failed, "disk full"),
        (_, 14) => with(Cause::Unreachable, "the file cannot be opened"),
        (_, 26) => with(Cause::Invalid, "not a SQLite database"),
        (1, _) if message.contains("syntax error") || message.contains("incomplete input") => {
            with(Cause::Invalid, "syntax error")
        }
        _ => Words::new(Cause::Failed, said),
    }
}
