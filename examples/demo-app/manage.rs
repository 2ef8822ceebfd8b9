//! The stand-in for `python manage.py`: the commands that the migration uses, really carried out.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};

use crate::cache::Cache;
use crate::error::{Fail, Outcome};
use crate::settings::Settings;
use crate::world::World;
use crate::{benchmark, db, migrate, pattern_tests};

#[derive(Subcommand)]
pub enum Manage {
    /// Print the SQL of a migration.
    Sqlmigrate { app: String, migration: String },
    /// List the migrations of an app.
    Showmigrations { app: String },
    /// Bring the schema to a migration, forwards or backwards.
    Migrate { app: String, migration: String },
    /// Check settings, database and cache.
    Check {
        #[arg(long)]
        deploy: bool,
    },
    /// Print BACKEND of the default cache.
    PrintBackend,
    /// Print one setting.
    PrintSetting { name: Setting },
    /// Store a value in the configured cache, read it back, remove it; prints `success`.
    CacheCheck,
    /// Run the checks of the cache patterns.
    Test {
        label: String,
        #[arg(short, long, default_value_t = 1)]
        verbosity: u8,
    },
    /// Measure the configured cache.
    #[command(name = "benchmark_cache")]
    BenchmarkCache {
        #[arg(long, default_value_t = 50)]
        users: u32,
        #[arg(long, default_value_t = 500)]
        queries: u32,
        /// Where the measurements go, as JSON.
        #[arg(long)]
        report: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Setting {
    Backend,
    Location,
    CacheopsRedis,
}

/// Carries out one command.
pub async fn run(world: &World, command: Manage) -> Outcome<ExitCode> {
    match command {
        Manage::Sqlmigrate { app, migration } => println!("{}", migrate::sql(&app, &migration)?),
        Manage::Showmigrations { app } => {
            println!("{}", migrate::show(&db::open(world).await?, &app).await?);
        }
        Manage::Migrate { app, migration } => {
            let pool = db::open(world).await?;
            migrate::migrate(&pool, &app, &migration).await?;
            pool.close().await;
        }
        Manage::Check { deploy: _ } => return check(world).await,
        Manage::PrintBackend => println!("{}", Settings::read(world)?.backend_path),
        Manage::PrintSetting { name } => {
            let settings = Settings::read(world)?;
            let value = match name {
                Setting::Backend => settings.backend_path,
                Setting::Location => settings.location,
                Setting::CacheopsRedis => settings.cacheops_redis,
            };
            println!("{value}");
        }
        Manage::CacheCheck => {
            let cache = Cache::open(world, &Settings::read(world)?)?;
            cache
                .set("migration_verify", "success", Duration::from_secs(60))
                .await?;
            let found = cache.get("migration_verify").await?;
            cache.delete(&["migration_verify"]).await?;
            println!(
                "{}",
                found.ok_or_else(|| Fail::said("the cache lost what it was given"))?
            );
        }
        Manage::Test { label, verbosity } => {
            return pattern_tests::run(world, &label, verbosity).await;
        }
        Manage::BenchmarkCache {
            users,
            queries,
            report,
        } => {
            benchmark::run(world, users, queries, &report).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn check(world: &World) -> Outcome<ExitCode> {
    let mut issues = Vec::new();
    match db::open(world).await {
        Ok(pool) => pool.close().await,
        Err(e) => issues.push(format!("database: {e}")),
    }
    match Settings::read(world).and_then(|s| Cache::open(world, &s)) {
        Ok(cache) => {
            if let Err(e) = cache.ping().await {
                issues.push(format!("cache: {e}"));
            }
        }
        Err(e) => issues.push(e.to_string()),
    }
    if issues.is_empty() {
        println!("System check identified no issues (0 silenced).");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("SystemCheckError: System check identified some issues:\n");
    for issue in &issues {
        eprintln!("ERRORS:\n?: {issue}");
    }
    eprintln!(
        "\nSystem check identified {} issues (0 silenced).",
        issues.len()
    );
    Ok(ExitCode::FAILURE)
}
