//! One connection to the database, opened when it is needed and thrown away after a failed write.
//!
//! Main type: [`Connection`]. It turns the driver's errors into the store's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection as _, Row as _, SqlSafeStr};

use super::{place, schema};
use crate::store::StoreError;

/// How often opening is tried again while another process creates the store.
const TRIES: u32 = 100;

/// A connection that may not be open at the moment.
pub(super) struct Connection {
    path: PathBuf,
    options: SqliteConnectOptions,
    writes: bool,
    open: Option<SqliteConnection>,
    /// A write or a sync failed. What the log holds since then may not be on the disk, although it
    /// can be read.
    doubted: bool,
}

impl Connection {
    /// The connection that writes.
    pub(super) fn writer(path: &Path) -> Self {
        let options = options(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("journal_size_limit", "16777216");
        Self::new(path, options, true)
    }

    /// A connection that cannot write.
    pub(super) fn reader(path: &Path) -> Self {
        // A journal is read whole: the more rows on their way at once, the fewer wake-ups.
        let options = options(path).read_only(true).row_buffer_size(256);
        Self::new(path, options, false)
    }

    fn new(path: &Path, options: SqliteConnectOptions, writes: bool) -> Self {
        Self {
            path: path.to_owned(),
            options,
            writes,
            open: None,
            doubted: false,
        }
    }

    /// The connection, opened and checked.
    pub(super) async fn get(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        if self.open.is_none() {
            let mut open = self.connect().await?;
            if self.doubted {
                self.settle(&mut open).await?;
            }
            self.open = Some(open);
        }
        Ok(self.open.as_mut().expect("it was opened above"))
    }

    /// What a driver's error means here. After anything but a broken rule or a busy file the
    /// connection is not used again: what a later call on it says could not be believed.
    pub(super) fn failed(&mut self, error: &sqlx::Error) -> StoreError {
        let error = translate(&self.path, error);
        if !matches!(error, StoreError::Locked { .. }) {
            self.open = None;
        }
        self.doubted |= self.writes && matches!(error, StoreError::Io { .. });
        error
    }

    /// Moves the log into the database, so that what is read from now on was written and synced
    /// again: a system that failed to write a page may say later that all is well.
    async fn settle(&mut self, open: &mut SqliteConnection) -> Result<(), StoreError> {
        let row = sqlx::query("PRAGMA wal_checkpoint(FULL)")
            .fetch_one(open)
            .await;
        let busy = row.and_then(|row| row.try_get::<i64, _>(0));
        match busy.map_err(|error| translate(&self.path, &error))? {
            0 => self.doubted = false,
            _ => return Err(self.busy()),
        }
        Ok(())
    }

    /// Others were always faster.
    pub(super) fn busy(&self) -> StoreError {
        StoreError::Locked {
            path: self.path.clone(),
        }
    }

    /// Closes it; the last one of a store moves the log into the database.
    pub(super) async fn close(&mut self) -> Result<(), StoreError> {
        match self.open.take() {
            Some(open) => open.close().await.map_err(|e| translate(&self.path, &e)),
            None => Ok(()),
        }
    }

    async fn connect(&self) -> Result<SqliteConnection, StoreError> {
        let mut tries = 0;
        loop {
            match self.connect_once().await {
                // The change to WAL does not wait for other processes by itself.
                Err(StoreError::Locked { .. }) if tries < TRIES => tries += 1,
                other => return other,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn connect_once(&self) -> Result<SqliteConnection, StoreError> {
        let failed = |error: sqlx::Error| translate(&self.path, &error);
        let dir = self.path.parent().unwrap_or(&self.path);
        let remains = place::refuse_remains(dir, &self.path);
        let mut open = self.options.connect().await.map_err(failed)?;
        let row = sqlx::query(schema::READ_BACK).fetch_one(&mut open).await;
        let row = row.map_err(failed)?;
        let number = |name: &str| row.try_get::<i64, _>(name).map_err(failed);
        let text = |name: &str| row.try_get::<String, _>(name).map_err(failed);

        check_library(&self.path, &text("version")?)?;
        let (application, version) = (number("application_id")?, number("user_version")?);
        if number("objects")? == 0 && application == 0 && self.writes {
            remains?;
            // The tables into the database itself: a log that is lost later must not look like a
            // store that was never used.
            for sql in [schema::CREATE, "PRAGMA wal_checkpoint(TRUNCATE)"] {
                sqlx::raw_sql(sql.into_sql_str())
                    .execute(&mut open)
                    .await
                    .map_err(failed)?;
            }
        } else {
            check_format(&self.path, application, version)?;
        }
        let settings = [
            ("journal_mode", text("journal_mode")? == "wal"),
            ("synchronous", !self.writes || number("synchronous")? == 2),
            ("foreign_keys", number("foreign_keys")? == 1),
            ("trusted_schema", number("trusted_schema")? == 0),
        ];
        match settings.iter().find(|(_, holds)| !holds) {
            None => Ok(open),
            Some((name, _)) => Err(StoreError::Refused {
                path: self.path.clone(),
                what: format!("SQLite did not take the setting `{name}`"),
                hint: "put the state directory on a local disk".into(),
            }),
        }
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(5))
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .pragma("cache_size", "-2000")
        .pragma("temp_store", "MEMORY")
        .statement_cache_capacity(16)
        .disable_statement_logging()
}

fn check_format(path: &Path, application: i64, version: i64) -> Result<(), StoreError> {
    if application != schema::APPLICATION {
        return Err(StoreError::Damaged {
            path: path.to_owned(),
            what: format!("its application id is {application:#x}; it is not a store of ferry"),
        });
    }
    if version > schema::VERSION {
        return Err(StoreError::Newer {
            path: path.to_owned(),
            found: version,
            known: schema::VERSION,
        });
    }
    Ok(())
}

/// Older libraries, and 3.52.0, can lose commits in WAL mode.
fn check_library(path: &Path, version: &str) -> Result<(), StoreError> {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    let numbers: (u32, u32, u32) = (part(), part(), part());
    if numbers >= (3, 51, 3) && numbers != (3, 52, 0) {
        return Ok(());
    }
    Err(StoreError::Refused {
        path: path.to_owned(),
        what: format!("SQLite {version} is known to lose commits"),
        hint: "build ferry with SQLite 3.51.3, or one later than 3.52.0".into(),
    })
}

/// The message of a broken rule: a constraint, or `RAISE` in a trigger.
pub(super) fn broken_rule(error: &sqlx::Error) -> Option<&str> {
    let error = error.as_database_error()?;
    (primary(error)? == 19).then(|| error.message())
}

/// SQLite's primary result code.
fn primary(error: &dyn sqlx::error::DatabaseError) -> Option<i32> {
    Some(error.code()?.parse::<i32>().ok()? & 0xff)
}

fn translate(path: &Path, error: &sqlx::Error) -> StoreError {
    let path = path.to_owned();
    let what = match error.as_database_error() {
        Some(error) => error.message().to_owned(),
        None => error.to_string(),
    };
    match error.as_database_error().and_then(primary) {
        Some(5 | 6) => StoreError::Locked { path },
        Some(11 | 26) => StoreError::Damaged { path, what },
        Some(13) => StoreError::Full { path },
        _ => StoreError::Io { path, what },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_that_lose_commits_are_refused() {
        let verdict = |version| check_library(Path::new("db"), version).is_ok();
        assert!(verdict("3.51.3"));
        assert!(verdict("3.53.0"));
        assert!(!verdict("3.52.0"));
        assert!(!verdict("3.51.2"));
        assert!(!verdict("unknown"));
    }
}
