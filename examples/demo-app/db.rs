//! The application database: opening it, its first content, and checking a login.
//! Tables look like Django's. Schema changes are in [`crate::migrate`].

use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use crate::error::{Fail, Outcome};
use crate::migrate;
use crate::world::World;

const TABLES: &str = r#"
CREATE TABLE "auth_user" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  "username" varchar(150) NOT NULL UNIQUE, "password" varchar(128) NOT NULL,
  "email" varchar(254) NOT NULL, "is_active" bool NOT NULL, "date_joined" datetime NOT NULL);
CREATE TABLE "core_userprofile" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  "user_id" integer NOT NULL UNIQUE REFERENCES "auth_user" ("id"),
  "phone" varchar(32) NOT NULL, "language" varchar(8) NOT NULL);
CREATE TABLE "invoices_invoice" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  "invoice_no" varchar(20) NOT NULL UNIQUE, "customer" varchar(100) NOT NULL,
  "owner_id" integer NOT NULL REFERENCES "auth_user" ("id"), "amount" decimal NOT NULL,
  "status" varchar(10) NOT NULL, "issued_on" date NOT NULL);
CREATE INDEX "invoices_invoice_owner_id_idx" ON "invoices_invoice" ("owner_id");
CREATE TABLE "django_migrations" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT,
  "app" varchar(255) NOT NULL, "name" varchar(255) NOT NULL, "applied" datetime NOT NULL);
"#;

const INVOICES: u32 = 320;
const USERS: [&str; 8] = [
    "testuser", "ana", "budi", "citra", "dewi", "eko", "fitri", "gede",
];

/// Where the database lies.
pub fn file(world: &World) -> std::path::PathBuf {
    world.dir.join("app.db")
}

fn options(world: &World, create: bool) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file(world))
        .create_if_missing(create)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
}

/// Opens the existing database.
pub async fn open(world: &World) -> Outcome<SqlitePool> {
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(5))
        .connect_with(options(world, false))
        .await?;
    Ok(pool)
}

/// Creates the database as it is before the migration.
pub async fn create(world: &World) -> Outcome<()> {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options(world, true))
        .await?;
    let mut transaction = pool.begin().await?;
    sqlx::raw_sql(TABLES).execute(&mut *transaction).await?;
    add_users(&mut transaction).await?;
    add_invoices(&mut transaction).await?;
    for (app, name) in migrate::history() {
        sqlx::query("INSERT INTO django_migrations (app, name, applied) VALUES (?, ?, '2024-01-15 02:00:00')")
            .bind(app)
            .bind(name)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    pool.close().await;
    Ok(())
}

async fn add_users(connection: &mut SqliteConnection) -> Outcome<()> {
    for (i, name) in USERS.iter().enumerate() {
        let password = if i == 0 {
            "testpass"
        } else {
            "not-for-the-demo"
        };
        let id = sqlx::query(
            "INSERT INTO auth_user (username, password, email, is_active, date_joined)
             VALUES (?, ?, ?, 1, '2024-01-15 02:00:00')",
        )
        .bind(name)
        .bind(hash_password(password, &random_hex(8)?))
        .bind(format!("{name}@example.com"))
        .execute(&mut *connection)
        .await?
        .last_insert_rowid();
        sqlx::query("INSERT INTO core_userprofile (user_id, phone, language) VALUES (?, ?, 'id')")
            .bind(id)
            .bind(format!("+62-361-{:06}", 100_000 + i * 7919))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn add_invoices(connection: &mut SqliteConnection) -> Outcome<()> {
    for i in 1..=INVOICES {
        let users = u32::try_from(USERS.len()).expect("eight users");
        sqlx::query(
            "INSERT INTO invoices_invoice (invoice_no, customer, owner_id, amount, status, issued_on)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(format!("2024-{i:05}"))
        .bind(format!("Customer {:03}", i * 37 % 101))
        .bind(i % users + 1)
        .bind(f64::from(i * 7919 % 50_000) / 4.0)
        .bind(["draft", "sent", "paid"][(i % 3) as usize])
        .bind(format!("2024-{:02}-{:02}", i % 12 + 1, i % 28 + 1))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The id of the active user with this name and password, if there is one.
pub async fn check_login(pool: &SqlitePool, name: &str, password: &str) -> Outcome<Option<i64>> {
    let row =
        sqlx::query("SELECT id, password FROM auth_user WHERE username = ? AND is_active = 1")
            .bind(name)
            .fetch_optional(pool)
            .await?;
    let Some(row) = row else { return Ok(None) };
    let stored: String = row.try_get("password")?;
    let salt = stored.split('$').nth(2).unwrap_or_default();
    Ok((hash_password(password, salt) == stored).then_some(row.try_get("id")?))
}

/// All rows of a query without parameters, as JSON built by SQLite: `sql` yields one text column.
pub async fn texts(pool: &SqlitePool, sql: String) -> Outcome<Vec<String>> {
    let rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(sql))
        .fetch_all(pool)
        .await?;
    Ok(rows)
}

/// `bytes` random bytes as hex digits.
pub fn random_hex(bytes: usize) -> Outcome<String> {
    use std::io::Read;
    let mut buffer = vec![0u8; bytes];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut buffer))
        .map_err(|e| Fail::io("read random bytes", e))?;
    Ok(hex(&buffer))
}

/// Bytes as hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

const ROUNDS: u32 = 1_000;

/// A password as Django stores it; few rounds, for these passwords are in the open.
fn hash_password(password: &str, salt: &str) -> String {
    let mut seed = salt.as_bytes().to_vec();
    seed.extend_from_slice(&1u32.to_be_bytes());
    let mut block = hmac(password.as_bytes(), &seed);
    let mut sum = block;
    for _ in 1..ROUNDS {
        block = hmac(password.as_bytes(), &block);
        for (s, b) in sum.iter_mut().zip(block) {
            *s ^= b;
        }
    }
    format!("pbkdf2_sha256${ROUNDS}${salt}${}", hex(&sum))
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut padded = [0u8; 64];
    if key.len() > 64 {
        padded[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        padded[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new()
        .chain_update(padded.map(|b| b ^ 0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(padded.map(|b| b ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_agrees_with_rfc_4231() {
        assert_eq!(
            hex(&hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn another_password_or_salt_gives_another_hash() {
        let right = hash_password("testpass", "abc");
        assert_ne!(right, hash_password("testpasS", "abc"));
        assert_ne!(right, hash_password("testpass", "abd"));
    }
}
