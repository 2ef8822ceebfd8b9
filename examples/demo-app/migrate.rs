//! Schema migrations: the applied history and core 0022, forwards and backwards.
//! Each direction is one transaction; doing it twice does nothing.

use sqlx::sqlite::SqlitePool;

use crate::error::{Fail, Outcome};

/// The migration that the runbook applies.
pub const TARGET: &str = "0022_add_cache_enabled_to_userprofile";
const ADD_COLUMN: &str =
    r#"ALTER TABLE "core_userprofile" ADD COLUMN "cache_enabled" boolean DEFAULT true NOT NULL"#;
const ADD_INDEX: &str =
    r#"CREATE INDEX "core_userprofile_cache_enabled_idx" ON "core_userprofile" ("cache_enabled")"#;
const DROP_INDEX: &str = r#"DROP INDEX "core_userprofile_cache_enabled_idx""#;
const DROP_COLUMN: &str = r#"ALTER TABLE "core_userprofile" DROP COLUMN "cache_enabled""#;

/// The migrations of `core` up to 0021, oldest first.
const CORE: [&str; 21] = [
    "0001_initial",
    "0002_userprofile_phone",
    "0003_country_codes",
    "0004_holiday",
    "0005_holiday_unique_date",
    "0006_document_types",
    "0007_userprofile_language",
    "0008_calendar_reminder",
    "0009_reminder_index",
    "0010_push_subscription",
    "0011_ai_request_usage",
    "0012_app_setting",
    "0013_local_resilience",
    "0014_media_manifest",
    "0015_reminder_timezone",
    "0016_calendar_event",
    "0017_event_sync_state",
    "0018_webhook_token",
    "0019_ui_settings",
    "0020_email_templates",
    "0021_cleanup_legacy_settings",
];

/// What was applied before the migration, as (app, name).
pub fn history() -> impl Iterator<Item = (&'static str, &'static str)> {
    [("auth", "0001_initial"), ("invoices", "0001_initial")]
        .into_iter()
        .chain(CORE.into_iter().map(|name| ("core", name)))
}

/// The statements of core 0022, for `sqlmigrate`.
pub fn sql(app: &str, migration: &str) -> Outcome<String> {
    resolve(app, migration).and_then(|name| {
        if name != TARGET {
            return Err(Fail::said(format!("`{name}` is not kept as SQL; `{TARGET}` is")));
        }
        Ok(format!(
            "BEGIN;\n--\n-- Add field cache_enabled to userprofile\n--\n{ADD_COLUMN};\n{ADD_INDEX};\nCOMMIT;"
        ))
    })
}

/// The lines of `showmigrations core`.
pub async fn show(pool: &SqlitePool, app: &str) -> Outcome<String> {
    resolve(app, "0001")?;
    let done: Vec<String> =
        sqlx::query_scalar("SELECT name FROM django_migrations WHERE app = 'core'")
            .fetch_all(pool)
            .await?;
    let mut lines = vec!["core".to_owned()];
    for name in CORE.into_iter().chain([TARGET]) {
        let mark = if done.iter().any(|d| d == name) {
            'X'
        } else {
            ' '
        };
        lines.push(format!(" [{mark}] {name}"));
    }
    Ok(lines.join("\n"))
}

/// Carries out `migrate core 0022` or `migrate core 0021`, printing as Django does.
pub async fn migrate(pool: &SqlitePool, app: &str, migration: &str) -> Outcome<()> {
    let name = resolve(app, migration)?;
    let forwards = name == TARGET;
    if !forwards && name != CORE[20] {
        return Err(Fail::said(format!(
            "`{name}` is too far back: 0021 is as far as it goes"
        )));
    }
    println!("Operations to perform:\n  Target specific migration: {name}, from core");
    println!("Running migrations:");
    let mut connection = pool.acquire().await?;
    // the lock is taken before the look, so that two migrations cannot both find it open
    let mut transaction = sqlx::Connection::begin_with(&mut *connection, "BEGIN IMMEDIATE").await?;
    let applied: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM django_migrations WHERE app = 'core' AND name = ?)",
    )
    .bind(TARGET)
    .fetch_one(&mut *transaction)
    .await?;
    if applied == forwards {
        println!("  No migrations to apply.");
        return Ok(());
    }
    if forwards {
        sqlx::query(ADD_COLUMN).execute(&mut *transaction).await?;
        sqlx::query(ADD_INDEX).execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO django_migrations (app, name, applied) VALUES ('core', ?, datetime('now'))")
            .bind(TARGET)
            .execute(&mut *transaction)
            .await?;
    } else {
        sqlx::query(DROP_INDEX).execute(&mut *transaction).await?;
        sqlx::query(DROP_COLUMN).execute(&mut *transaction).await?;
        sqlx::query("DELETE FROM django_migrations WHERE app = 'core' AND name = ?")
            .bind(TARGET)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    if forwards {
        println!("  Applying core.{TARGET}... OK");
    } else {
        println!("  Rendering model states... DONE\n  Unapplying core.{TARGET}... OK");
    }
    Ok(())
}

fn resolve(app: &str, prefix: &str) -> Outcome<&'static str> {
    if app != "core" {
        return Err(Fail::said(format!(
            "no installed app with label `{app}` has migrations to show"
        )));
    }
    CORE.into_iter()
        .chain([TARGET])
        .find(|name| name.starts_with(prefix))
        .ok_or_else(|| {
            Fail::said(format!(
                "cannot find a migration of core that starts with `{prefix}`"
            ))
        })
}
