//! The SQL actions: `sql`, `sql.schema`, `sql.counts`, `sql.migrate`, `sql.backup`, `sql.restore`,
//! for PostgreSQL, MySQL/MariaDB and SQLite; `sql.locks` and `sql.replication` for the servers.
//!
//! [`client`] connects, [`conn`] speaks, [`tx`] knows what a failure means for the effect, [`text`]
//! reads SQL as far as needed, [`words`] puts errors into words, [`own`] finds sessions of an engine
//! that is gone. Values never become SQL text.

mod backup;
mod catalog;
mod client;
mod conn;
mod explain;
mod files;
mod locks;
mod migrate;
mod own;
mod probe;
mod query;
mod reading;
mod replication;
mod restore;
mod schema;
mod text;
mod tool;
mod tx;
mod values;
mod watch;
mod words;

use std::time::Instant;

use super::{Action, ActionError, Call, Context};

pub use client::SqlClients;

/// All SQL actions.
pub const ACTIONS: &[&dyn Action] = &[
    &query::Sql,
    &schema::Schema,
    &schema::Counts,
    &migrate::Migrate,
    &backup::Backup,
    &restore::Restore,
    &locks::Locks,
    &replication::Replication,
];

/// Connects to the call's target and keeps the connection for the first step that needs one.
///
/// # Errors
/// Why there is no connection.
pub async fn reach(cx: &Context, call: &Call) -> Result<(), ActionError> {
    client::Session::open(cx, call).await?.done(cx);
    Ok(())
}

/// Milliseconds since then, to the microsecond.
fn millis(started: Instant) -> f64 {
    (started.elapsed().as_secs_f64() * 1_000_000.0).round() / 1_000.0
}
