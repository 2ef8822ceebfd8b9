//! One connection of any of the three dialects, and the two things that are done with it:
//! [`Conn::run`] carries out a statement, [`Conn::rows`] also binds values and reads rows.
//!
//! It knows nothing of targets, outcomes or words for people.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Map, Value};
use sqlx::{
    AssertSqlSafe, Column, Connection, Either, Executor, MySqlConnection, PgConnection, Row,
    SqlSafeStr, SqliteConnection, Statement,
};

use super::values::{mysql, postgres, sqlite};

/// Most rows that a result may have.
pub const MAX_ROWS: usize = 10_000;
/// Most bytes that the values of a result may have.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;

/// What went wrong, before it is put into words.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The driver's or the server's error.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// A value that cannot be shown or bound.
    #[error("{0}")]
    Value(String),
    /// More data than allowed.
    #[error("{0}")]
    Limit(String),
    /// The call is wrong.
    #[error("{0}")]
    Invalid(String),
}

/// What a statement gave back.
#[derive(Debug, Default)]
pub struct Table {
    /// Names of the columns, in order.
    pub columns: Vec<String>,
    /// One object per row, fields in the order of the columns.
    pub rows: Vec<Map<String, Value>>,
    /// How many rows it changed (for PostgreSQL also: returned).
    pub affected: u64,
    bytes: usize,
}

impl Table {
    fn new(columns: Vec<String>) -> Result<Self, Fault> {
        for (index, name) in columns.iter().enumerate() {
            if columns[..index].contains(name) {
                return Err(Fault::Invalid(format!(
                    "two columns of the result are named `{name}`: rename one with `as`"
                )));
            }
        }
        Ok(Self {
            columns,
            ..Self::default()
        })
    }

    /// The answer of a statement whose rows are not wanted.
    pub fn changed(affected: u64) -> Self {
        Self {
            affected,
            ..Self::default()
        }
    }

    fn push(&mut self, values: Vec<Value>) -> Result<(), Fault> {
        if self.rows.len() == MAX_ROWS {
            return Err(Fault::Limit(format!(
                "the result has more than {MAX_ROWS} rows"
            )));
        }
        self.bytes += values.iter().map(size).sum::<usize>();
        if self.bytes > MAX_BYTES {
            return Err(Fault::Limit("the result is larger than 8 MiB".into()));
        }
        self.rows
            .push(self.columns.iter().cloned().zip(values).collect());
        Ok(())
    }
}

/// About the bytes that a value takes up.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| key.len() + size(value))
            .sum(),
        _ => 8,
    }
}

fn check_count(takes: usize, given: usize) -> Result<(), Fault> {
    if takes == given {
        return Ok(());
    }
    Err(Fault::Invalid(format!(
        "the statement takes {takes} bound values, `args` has {given}"
    )))
}

/// An open connection.
#[derive(Debug)]
pub enum Conn {
    Postgres(PgConnection),
    Mysql(MySqlConnection),
    Sqlite(SqliteConnection),
}

/// Reads all rows of a bound query into a [`Table`].
macro_rules! collect {
    ($conn:expr, $statement:expr, $query:expr, $value:path) => {{
        let columns = $statement
            .columns()
            .iter()
            .map(|column| column.name().to_owned())
            .collect();
        let mut table = Table::new(columns)?;
        let mut stream = (&mut *$conn).fetch_many($query);
        while let Some(item) = stream.next().await {
            match item? {
                Either::Left(done) => table.affected += done.rows_affected(),
                Either::Right(row) => {
                    // MariaDB tells the columns of `returning` only with the rows
                    if table.columns.len() != row.len() {
                        let names = row.columns().iter();
                        let names = names.map(|column| column.name().to_owned()).collect();
                        table.columns = Table::new(names)?.columns;
                    }
                    let mut values = Vec::with_capacity(table.columns.len());
                    for index in 0..row.len() {
                        values.push($value(&row, index)?);
                    }
                    table.push(values)?;
                }
            }
        }
        Ok(table)
    }};
}

impl Conn {
    /// Carries out statement text without values, and returns how many rows it changed.
    ///
    /// # Errors
    /// The driver's.
    pub async fn run(&mut self, sql: &str) -> Result<u64, Fault> {
        let raw = sqlx::raw_sql(AssertSqlSafe(sql));
        Ok(match self {
            Self::Postgres(conn) => raw.execute(&mut *conn).await?.rows_affected(),
            Self::Mysql(conn) => raw.execute(&mut *conn).await?.rows_affected(),
            Self::Sqlite(conn) => raw.execute(&mut *conn).await?.rows_affected(),
        })
    }

    /// Prepares one statement, binds `args`, and reads what it returns.
    ///
    /// # Errors
    /// The driver's; [`Fault::Limit`] over [`MAX_ROWS`] or [`MAX_BYTES`]; [`Fault::Value`] for
    /// values that have no JSON form. After an error the connection must not be used for reading.
    pub async fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Table, Fault> {
        let text = AssertSqlSafe(sql).into_sql_str();
        match self {
            Self::Postgres(conn) => {
                let statement = (&mut *conn).prepare(text.clone()).await?;
                let types = match statement.parameters() {
                    Some(Either::Left(types)) => types.to_vec(),
                    _ => Vec::new(),
                };
                check_count(types.len(), args.len())?;
                let bound = postgres::bind(args, &types)?;
                collect!(
                    conn,
                    statement,
                    statement.query_with(bound),
                    postgres::value
                )
            }
            Self::Mysql(conn) => {
                let statement = (&mut *conn).prepare(text.clone()).await?;
                if let Some(Either::Right(count)) = statement.parameters() {
                    check_count(count, args.len())?;
                }
                let bound = mysql::bind(args)?;
                collect!(conn, statement, sqlx::query_with(text, bound), mysql::value)
            }
            Self::Sqlite(conn) => {
                let statement = (&mut *conn).prepare(text.clone()).await?;
                if let Some(Either::Right(count)) = statement.parameters() {
                    check_count(count, args.len())?;
                }
                let bound = sqlite::bind(args)?;
                collect!(
                    conn,
                    statement,
                    sqlx::query_with(text, bound),
                    sqlite::value
                )
            }
        }
    }

    /// Ends the connection in order, so that the server sees it at once.
    pub async fn close(self) {
        let end = async {
            match self {
                Self::Postgres(conn) => conn.close().await,
                Self::Mysql(conn) => conn.close().await,
                Self::Sqlite(conn) => conn.close().await,
            }
        };
        // the connection is gone either way
        let _ = tokio::time::timeout(Duration::from_secs(2), end).await;
    }
}
