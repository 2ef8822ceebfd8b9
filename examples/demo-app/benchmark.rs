//! `benchmark_cache`: what the configured cache brings, measured on invoice queries.
//! Leaves nothing behind: its users do not exist, and their keys are removed.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cache::Cache;
use crate::db;
use crate::error::{Fail, Outcome};
use crate::settings::Settings;
use crate::world::{World, write_atomic};

/// User ids from here on belong to nobody.
const FIRST_USER: i64 = 900_000;

#[derive(Default)]
struct Tally {
    hits: u32,
    misses: u32,
    cached: Duration,
    uncached: Duration,
    keys: Vec<String>,
}

/// Spreads `queries` over `users`; each user asks for as few different things as a person would,
/// a fifth of the queries being new. Writes the measurements to `report` and prints them.
pub async fn run(world: &World, users: u32, queries: u32, report: &Path) -> Outcome<()> {
    if users == 0 || queries < users {
        return Err(Fail::said(
            "at least one user, and one query for each, are needed",
        ));
    }
    let settings = Settings::read(world)?;
    let cache = Cache::open(world, &settings)?;
    let pool = db::open(world).await?;
    let different = (queries / users / 5).max(1);
    let mut tally = Tally::default();
    for i in 0..queries {
        let user = FIRST_USER + i64::from(i % users);
        let customer = (i / users) % different;
        let sql = format!(
            "SELECT json_group_array(json_object('no', invoice_no, 'amount', amount))
             FROM invoices_invoice WHERE customer LIKE '%{customer}%'"
        );
        let begin = Instant::now();
        let key = Cache::orm_key(user, cache.user_version(user).await?, &sql);
        if cache.orm_get(&key).await?.is_some() {
            tally.hits += 1;
            tally.cached += begin.elapsed();
            continue;
        }
        let body = db::texts(&pool, sql).await?.concat();
        cache.orm_set(&key, &body).await?;
        tally.misses += 1;
        tally.uncached += begin.elapsed();
        tally.keys.push(key);
    }
    let bytes = size(&cache, &tally.keys).await?;
    let invalidation = forget(&cache, users, &tally.keys).await?;
    let measured = json!({
        "backend": settings.backend.name(),
        "users": users,
        "queries": queries,
        "hit_rate": f64::from(tally.hits) / f64::from(queries),
        "avg_cached_ms": mean_ms(tally.cached, tally.hits),
        "avg_uncached_ms": mean_ms(tally.uncached, tally.misses),
        "invalidation_ms": mean_ms(invalidation, users),
        "memory_per_user_kb": bytes as f64 / 1024.0 / f64::from(users),
    });
    let text = serde_json::to_string_pretty(&measured)?;
    write_atomic(report, format!("{text}\n").as_bytes(), 0o644)?;
    println!("Benchmark Results:\n{text}");
    Ok(())
}

/// Bytes that the cached results take.
async fn size(cache: &Cache, keys: &[String]) -> Outcome<usize> {
    let mut bytes = 0;
    for key in keys {
        bytes += cache.orm_size(key).await?;
    }
    Ok(bytes)
}

/// How long it takes to forget what all users have cached; afterwards removes every trace.
async fn forget(cache: &Cache, users: u32, keys: &[String]) -> Outcome<Duration> {
    let begin = Instant::now();
    for user in 0..users {
        cache.bump_user(FIRST_USER + i64::from(user)).await?;
    }
    let took = begin.elapsed();
    for user in 0..users {
        let key = format!("cache_user_version:{}", FIRST_USER + i64::from(user));
        cache.delete(&[&key]).await?;
    }
    cache.orm_delete(keys).await?;
    Ok(took)
}

fn mean_ms(total: Duration, count: u32) -> Option<f64> {
    (count > 0).then(|| total.as_secs_f64() * 1000.0 / f64::from(count))
}
