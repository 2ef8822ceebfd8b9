//! The 27 checks of the cache patterns that the application relies on, run against the backend
//! that the settings name (with Redis: database 15). Output as Django's test runner prints it.

use std::pin::Pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::cache::Cache;
use crate::error::{Fail, Outcome};
use crate::settings::Settings;
use crate::world::World;

/// The one test label that exists.
const LABEL: &str = "backend.cache.tests.test_existing_cache_validation";
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(60);

type Check =
    for<'a> fn(&'a Cache, &'a str) -> Pin<Box<dyn Future<Output = Outcome<()>> + Send + 'a>>;

macro_rules! checks {
    ($($name:ident => $body:path;)*) => {
        &[$((stringify!($name), |cache, id| Box::pin($body(cache, id)))),*]
    };
}

const CHECKS: &[(&str, Check)] = checks! {
    test_meta_token_cache_operations => stores_and_reads;
    test_meta_token_cache_expiration => expires;
    test_meta_token_cache_deletion => deletes;
    test_meta_token_cache_bulk_operations => stores_many;
    test_cron_lock_acquisition => lock_is_taken_once;
    test_cron_lock_release => lock_is_released;
    test_cron_lock_timeout => lock_times_out;
    test_cron_lock_bulk_operations => locks_are_independent;
    test_cron_lock_concurrent_access => one_of_many_gets_the_lock;
    test_invoice_sequence_initialization => counter_starts;
    test_invoice_sequence_increment => counter_counts;
    test_invoice_sequence_concurrent_access => counter_loses_nothing;
    test_invoice_sequence_year_isolation => counters_are_independent;
    test_invoice_sequence_cache_update => overwrites;
    test_invoice_sequence_cache_retrieval => counter_reads_back;
    test_calendar_cursor_initialization => counter_starts;
    test_calendar_cursor_increment => counter_counts;
    test_calendar_cursor_event_storage => stores_a_document;
    test_calendar_cursor_bulk_operations => stores_many;
    test_calendar_cursor_cache_reset => deletes;
    test_workflow_cursor_initialization => counter_starts;
    test_workflow_cursor_increment => counter_counts;
    test_workflow_cursor_event_storage => stores_a_document;
    test_workflow_cursor_bulk_operations => stores_many;
    test_workflow_cursor_cache_reset => deletes;
    test_user_namespace_isolation => users_are_apart;
    test_user_namespace_invalidation => raised_version_forgets;
};

/// Runs them all; the exit code is 1 when one failed.
pub async fn run(world: &World, label: &str, verbosity: u8) -> Outcome<ExitCode> {
    if label != LABEL {
        return Err(Fail::said(format!(
            "there is no test `{label}`; there is `{LABEL}`"
        )));
    }
    let cache = Cache::for_tests(world, &Settings::read(world)?)?;
    let begin = Instant::now();
    let mut failures = Vec::new();
    for (name, check) in CHECKS {
        // a name of its own for each run and check: two runs may overlap
        let id = format!("{name}:{}", std::process::id());
        let outcome = check(&cache, &id).await;
        if verbosity > 1 {
            let word = if outcome.is_ok() { "ok" } else { "FAIL" };
            eprintln!("{name} ... {word}");
        }
        if let Err(e) = outcome {
            failures.push((name, e));
        }
    }
    for (name, error) in &failures {
        eprintln!("{}\nFAIL: {name}\n{error}", "=".repeat(70));
    }
    let seconds = begin.elapsed().as_secs_f64();
    eprintln!(
        "{}\nRan {} tests in {seconds:.3}s\n",
        "-".repeat(70),
        CHECKS.len()
    );
    if failures.is_empty() {
        eprintln!("OK");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("FAILED (failures={})", failures.len());
    Ok(ExitCode::FAILURE)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "a call reads as the assertion that it is"
)]
fn same<T: PartialEq + std::fmt::Debug>(found: T, wanted: T) -> Outcome<()> {
    if found == wanted {
        return Ok(());
    }
    Err(Fail::said(format!(
        "AssertionError: {found:?} != {wanted:?}"
    )))
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

async fn stores_and_reads(cache: &Cache, id: &str) -> Outcome<()> {
    same(cache.get(id).await?, None)?;
    cache.set(id, "EAAG-token", LONG).await?;
    same(cache.get(id).await?, some("EAAG-token"))?;
    same(cache.delete(&[id]).await?, 1)
}

async fn expires(cache: &Cache, id: &str) -> Outcome<()> {
    cache.set(id, "soon gone", SHORT).await?;
    same(cache.get(id).await?, some("soon gone"))?;
    tokio::time::sleep(SHORT * 2).await;
    same(cache.get(id).await?, None)
}

async fn deletes(cache: &Cache, id: &str) -> Outcome<()> {
    cache.set(id, "41", LONG).await?;
    same(cache.delete(&[id]).await?, 1)?;
    same(cache.get(id).await?, None)?;
    same(cache.delete(&[id]).await?, 0)
}

async fn stores_many(cache: &Cache, id: &str) -> Outcome<()> {
    let keys: Vec<String> = (0..20).map(|i| format!("{id}:{i}")).collect();
    for (i, key) in keys.iter().enumerate() {
        cache.set(key, &i.to_string(), LONG).await?;
    }
    for (i, key) in keys.iter().enumerate() {
        same(cache.get(key).await?, Some(i.to_string()))?;
    }
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    same(cache.delete(&keys).await?, 20)
}

async fn lock_is_taken_once(cache: &Cache, id: &str) -> Outcome<()> {
    same(cache.add(id, "first", LONG).await?, true)?;
    same(cache.add(id, "second", LONG).await?, false)?;
    same(cache.get(id).await?, some("first"))?;
    same(cache.delete(&[id]).await?, 1)
}

async fn lock_is_released(cache: &Cache, id: &str) -> Outcome<()> {
    same(cache.add(id, "first", LONG).await?, true)?;
    cache.delete(&[id]).await?;
    same(cache.add(id, "second", LONG).await?, true)?;
    same(cache.delete(&[id]).await?, 1)
}

async fn lock_times_out(cache: &Cache, id: &str) -> Outcome<()> {
    same(cache.add(id, "first", SHORT).await?, true)?;
    tokio::time::sleep(SHORT * 2).await;
    same(cache.add(id, "second", LONG).await?, true)?;
    same(cache.delete(&[id]).await?, 1)
}

async fn locks_are_independent(cache: &Cache, id: &str) -> Outcome<()> {
    let keys: Vec<String> = (0..5).map(|i| format!("{id}:{i}")).collect();
    for key in &keys {
        same(cache.add(key, "mine", LONG).await?, true)?;
    }
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    same(cache.delete(&keys).await?, 5)
}

async fn one_of_many_gets_the_lock(cache: &Cache, id: &str) -> Outcome<()> {
    let attempts = join_all((0..10).map(|_| cache.add(id, "mine", LONG))).await;
    let taken: Outcome<Vec<bool>> = attempts.into_iter().collect();
    same(taken?.into_iter().filter(|t| *t).count(), 1)?;
    same(cache.delete(&[id]).await?, 1)
}

async fn counter_starts(cache: &Cache, id: &str) -> Outcome<()> {
    same(cache.get(id).await?, None)?;
    same(cache.incr(id, 1).await?, 1)?;
    same(cache.delete(&[id]).await?, 1)
}

async fn counter_counts(cache: &Cache, id: &str) -> Outcome<()> {
    for wanted in 1..=5 {
        same(cache.incr(id, 1).await?, wanted)?;
    }
    same(cache.incr(id, -2).await?, 3)?;
    same(cache.delete(&[id]).await?, 1)
}

async fn counter_loses_nothing(cache: &Cache, id: &str) -> Outcome<()> {
    let sums: Outcome<Vec<i64>> = join_all((0..20).map(|_| cache.incr(id, 1)))
        .await
        .into_iter()
        .collect();
    let mut sums = sums?;
    sums.sort_unstable();
    same(sums, (1..=20).collect())?;
    same(cache.delete(&[id]).await?, 1)
}

async fn counters_are_independent(cache: &Cache, id: &str) -> Outcome<()> {
    let (old, new) = (format!("{id}:2023"), format!("{id}:2024"));
    same(cache.incr(&old, 7).await?, 7)?;
    same(cache.incr(&new, 1).await?, 1)?;
    same(cache.get(&old).await?, some("7"))?;
    same(cache.delete(&[&old, &new]).await?, 2)
}

async fn overwrites(cache: &Cache, id: &str) -> Outcome<()> {
    cache.set(id, "5", LONG).await?;
    cache.set(id, "6", LONG).await?;
    same(cache.get(id).await?, some("6"))?;
    same(cache.delete(&[id]).await?, 1)
}

async fn counter_reads_back(cache: &Cache, id: &str) -> Outcome<()> {
    cache.set(id, "41", LONG).await?;
    same(cache.incr(id, 1).await?, 42)?;
    same(cache.get(id).await?, some("42"))?;
    same(cache.delete(&[id]).await?, 1)
}

async fn stores_a_document(cache: &Cache, id: &str) -> Outcome<()> {
    let event = "{\"id\": 7, \"title\": \"Nyepi \u{2014} \\\"silent day\\\"\"}\n";
    cache.set(id, event, LONG).await?;
    same(cache.get(id).await?, some(event))?;
    same(cache.delete(&[id]).await?, 1)
}

async fn users_are_apart(cache: &Cache, id: &str) -> Outcome<()> {
    let (mine, theirs) = (Cache::orm_key(1, 1, id), Cache::orm_key(2, 1, id));
    cache.orm_set(&mine, "mine").await?;
    same(cache.orm_get(&theirs).await?, None)?;
    same(mine.starts_with("cache:1:v1:cacheops:"), true)?;
    same(cache.orm_delete(&[mine]).await?, 1)
}

async fn raised_version_forgets(cache: &Cache, id: &str) -> Outcome<()> {
    let user = 1_000_000 + i64::from(std::process::id());
    let before = cache.user_version(user).await?;
    let old = Cache::orm_key(user, before, id);
    cache.orm_set(&old, "stale").await?;
    let after = cache.bump_user(user).await?;
    same(after, before + 1)?;
    same(cache.orm_get(&Cache::orm_key(user, after, id)).await?, None)?;
    cache
        .delete(&[&format!("cache_user_version:{user}")])
        .await?;
    same(cache.orm_delete(&[old]).await?, 1)
}
