//! Connections to SQL targets: [`Endpoint`] is a parsed address, [`Session`] a connection lent to
//! one call, [`SqlClients`] keeps idle ones for the run.
//!
//! Connections that changed something are closed afterwards rather than kept, so that no session
//! state of one step reaches another. No password leaves this file but into a driver or a child's
//! environment.

use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::conn::{Conn, Fault};
use super::watch::Stopper;
use super::{own, words};
use crate::action::{ActionError, Call, Context};
use crate::event::Outcome;
use crate::runbook::TargetKind;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for an idle connection to show that it still answers.
const ANSWER: Duration = Duration::from_secs(2);
/// Most idle connections kept per target.
const KEPT: usize = 4;

/// Where a target is. Holds the password, so it has no `Debug`.
pub struct Endpoint {
    /// The target's name in the runbook.
    pub name: String,
    pub kind: TargetKind,
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: String,
    /// The database's name; empty for SQLite.
    pub database: String,
    /// Parameters of the address, such as `sslmode`.
    pub options: Vec<(String, String)>,
    /// SQLite's file.
    pub file: PathBuf,
    url: String,
}

impl Endpoint {
    /// The address of a call's target.
    ///
    /// # Errors
    /// That it is invalid, when there is no SQL target or its address is not one of its kind.
    pub fn of(call: &Call) -> Result<Self, ActionError> {
        let target = call
            .target
            .as_ref()
            .ok_or_else(|| ActionError::invalid(format!("`{}` needs a target", call.key)))?;
        let mut endpoint = Self {
            name: target.name.clone(),
            kind: target.kind,
            host: String::new(),
            port: 0,
            user: String::new(),
            password: String::new(),
            database: String::new(),
            options: Vec::new(),
            file: PathBuf::new(),
            url: target.url.clone(),
        };
        let wrong = |form: &str| {
            ActionError::invalid(format!(
                "target `{}`: the address is not like `{form}`",
                target.name
            ))
        };
        match target.kind {
            TargetKind::Sqlite => {
                let path = target
                    .url
                    .strip_prefix("sqlite:")
                    .filter(|path| !path.trim_start_matches('/').is_empty())
                    .ok_or_else(|| wrong("sqlite:path/to/file"))?;
                let path = path.strip_prefix("//").unwrap_or(path);
                endpoint.file = call.cwd.join(path);
                endpoint.host = path.to_owned();
            }
            TargetKind::Postgres => {
                endpoint
                    .server(&["postgres", "postgresql"], 5432)
                    .ok_or_else(|| wrong("postgres://user:password@host:5432/database"))?;
            }
            TargetKind::Mysql => {
                endpoint
                    .server(&["mysql", "mariadb"], 3306)
                    .ok_or_else(|| wrong("mysql://user:password@host:3306/database"))?;
            }
            _ => {
                return Err(ActionError::invalid(format!(
                    "target `{}` is no SQL database",
                    target.name
                )));
            }
        }
        Ok(endpoint)
    }

    fn server(&mut self, schemes: &[&str], port: u16) -> Option<()> {
        let url = reqwest::Url::parse(&self.url).ok()?;
        if !schemes.contains(&url.scheme()) {
            return None;
        }
        self.host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        self.port = url.port().unwrap_or(port);
        self.user = decoded(url.username())?;
        self.password = decoded(url.password().unwrap_or(""))?;
        self.database = decoded(url.path().trim_start_matches('/'))?;
        self.options = url
            .query_pairs()
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect();
        (!self.database.is_empty() && !self.user.is_empty()).then_some(())
    }

    /// The target for people: its name and where it is.
    pub fn label(&self) -> String {
        match self.kind {
            TargetKind::Sqlite => format!("target `{}` ({})", self.name, self.host),
            _ => format!(
                "target `{}` ({}:{}/{})",
                self.name, self.host, self.port, self.database
            ),
        }
    }

    pub(super) async fn connect(&self, limit: Duration) -> Result<Conn, ActionError> {
        let attempt = async {
            Ok::<_, sqlx::Error>(match self.kind {
                TargetKind::Postgres => {
                    let options = PgConnectOptions::from_str(&self.url)?;
                    Conn::Postgres(options.application_name("ferry").connect().await?)
                }
                TargetKind::Mysql => {
                    // the session keeps the server's own SQL mode, as other clients see it
                    let options = MySqlConnectOptions::from_str(&self.url)?
                        .pipes_as_concat(false)
                        .no_engine_substitution(false);
                    Conn::Mysql(options.connect().await?)
                }
                _ => {
                    // foreign keys as SQLite has them by default: table rebuilds rely on it
                    let options = SqliteConnectOptions::new()
                        .filename(&self.file)
                        .create_if_missing(false)
                        .foreign_keys(false)
                        .busy_timeout(limit.min(Duration::from_secs(5)));
                    Conn::Sqlite(options.connect().await?)
                }
            })
        };
        if self.kind == TargetKind::Sqlite && !self.file.is_file() {
            return Err(
                ActionError::unreachable(format!("{}: no such file", self.label()))
                    .hint("ferry never creates a database file")
                    .retryable(false),
            );
        }
        match tokio::time::timeout(limit, attempt).await {
            Ok(Ok(conn)) => Ok(conn),
            Ok(Err(error)) => Err(words::explain(
                self,
                &error.into(),
                Outcome::NotApplied,
                None,
            )),
            Err(_) => Err(ActionError::unreachable(format!(
                "{}: no connection within {}",
                self.label(),
                crate::runbook::units::human(limit)
            ))),
        }
    }
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Idle connections by address.
#[derive(Default)]
pub struct SqlClients {
    idle: Mutex<HashMap<String, Vec<Conn>>>,
}

impl SqlClients {
    fn take(&self, key: &str) -> Option<Conn> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.get_mut(key)?.pop()
    }

    fn keep(&self, key: String, conn: Conn) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.entry(key).or_default();
        if kept.len() < KEPT {
            kept.push(conn);
        }
    }
}

/// How to stop what a session is doing from outside of it.
#[derive(Clone)]
pub(super) enum Handle {
    Server(i64),
    Flag(Arc<AtomicBool>),
}

/// A connection lent to one call; dropped, it is closed and what it had not committed is gone.
pub struct Session {
    pub conn: Conn,
    pub at: Arc<Endpoint>,
    /// What it is called on the server.
    pub name: String,
    handle: Handle,
    fenced: bool,
}

impl Session {
    /// Connects to the call's target, or takes an idle connection that still answers.
    ///
    /// # Errors
    /// Why there is no connection; nothing was done.
    pub async fn open(cx: &Context, call: &Call) -> Result<Self, ActionError> {
        let at = Arc::new(Endpoint::of(call)?);
        while let Some(conn) = cx.clients.sql.take(&at.key()) {
            let answer = Self::prepare(cx, conn, at.clone());
            if let Ok(Ok(session)) = tokio::time::timeout(ANSWER, answer).await {
                return Ok(session);
            }
        }
        let conn = at.connect(cx.time_left(CONNECT)).await?;
        match tokio::time::timeout(CONNECT, Self::prepare(cx, conn, at.clone())).await {
            Ok(session) => {
                session.map_err(|fault| words::explain(&at, &fault, Outcome::NotApplied, None))
            }
            Err(_) => Err(ActionError::unreachable(format!(
                "{}: connected, but no answer within {}",
                at.label(),
                crate::runbook::units::human(CONNECT)
            ))),
        }
    }

    /// Names the session after the step and learns how to stop it; shows that it answers, too.
    async fn prepare(cx: &Context, mut conn: Conn, at: Arc<Endpoint>) -> Result<Self, Fault> {
        let name = own::session_name(&cx.idempotency_key);
        let handle = match &mut conn {
            Conn::Postgres(_) => {
                // a backstop for an engine that is gone; else the deadline is watched from here
                let left = cx.deadline.map_or(0, |_| {
                    let left = cx.time_left(Duration::from_secs(86_400)) + Duration::from_secs(3);
                    i64::try_from(left.as_millis()).unwrap_or(0)
                });
                let args = [json!(name), json!(left.to_string())];
                let sql = "select set_config('application_name', $1, false), \
                           set_config('statement_timeout', $2, false) as timeout, \
                           pg_backend_pid() as id";
                Handle::Server(first_id(&conn.rows(sql, &args).await?.rows))
            }
            Conn::Mysql(_) => Handle::Server(first_id(
                &conn.rows("select connection_id() as id", &[]).await?.rows,
            )),
            Conn::Sqlite(lite) => {
                let flag = Arc::new(AtomicBool::new(false));
                let seen = flag.clone();
                lite.lock_handle()
                    .await?
                    .set_progress_handler(1_000, move || !seen.load(Ordering::Relaxed));
                Handle::Flag(flag)
            }
        };
        Ok(Self {
            conn,
            at,
            name,
            handle,
            fenced: false,
        })
    }

    /// A connection that the server fences, for a rehearsal: it is never kept, and [`super::tx::apply`]
    /// does not take it.
    pub(super) fn fenced(conn: Conn, at: Arc<Endpoint>, name: String) -> Self {
        Self {
            conn,
            at,
            name,
            handle: Handle::Server(0),
            fenced: true,
        }
    }

    /// Whether nothing may be changed in it.
    pub fn is_fenced(&self) -> bool {
        self.fenced
    }

    /// Gives the connection back after it only read.
    pub fn done(self, cx: &Context) {
        cx.clients.sql.keep(self.at.key(), self.conn);
    }

    /// A failure of this session in words.
    pub fn explain(&self, fault: &Fault, outcome: Outcome) -> ActionError {
        words::explain(&self.at, fault, outcome, None)
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper::new(self.at.clone(), self.handle.clone())
    }
}

fn first_id(rows: &[serde_json::Map<String, Value>]) -> i64 {
    rows.first().and_then(|row| row["id"].as_i64()).unwrap_or(0)
}

impl Endpoint {
    fn key(&self) -> String {
        format!("{}\n{}", self.url, self.file.display())
    }

    /// A second connection, to ask about or to stop the first.
    pub(super) async fn aside(&self) -> Option<Conn> {
        self.connect(Duration::from_secs(3)).await.ok()
    }
}
