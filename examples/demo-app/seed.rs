//! What lies in Redis before the migration: stale cache entries in databases 1 and 2, and another
//! program's queue in database 0 that nobody may touch. The same in every world.

use redis::aio::MultiplexedConnection;
use redis::{Client, Pipeline, pipe};

use crate::cache::Cache;
use crate::error::Outcome;
use crate::world::World;

const HOUR: u32 = 3600;

/// Fills the three databases.
pub async fn fill(world: &World) -> Outcome<()> {
    let prefix = world.get("CACHE_KEY_PREFIX")?;
    for (db, entries) in [(0, queue()), (1, django(prefix)), (2, orm())] {
        let client = Client::open(world.redis_db(db)?)?;
        let mut connection: MultiplexedConnection =
            client.get_multiplexed_async_connection().await?;
        entries.query_async::<()>(&mut connection).await?;
    }
    Ok(())
}

/// Database 0: a task queue, not part of any cache.
fn queue() -> Pipeline {
    let mut pipe = pipe();
    for i in 0..6 {
        pipe.rpush(
            "queue:default",
            format!("{{\"job\":{i},\"kind\":\"send_invoice\"}}"),
        )
        .ignore();
    }
    pipe.hset_multiple(
        "queue:workers",
        &[("worker-1", "idle"), ("worker-2", "busy")],
    )
    .ignore();
    pipe.set("queue:last_id", 4711).ignore();
    pipe.zadd_multiple("queue:scheduled", &[(1.5, "job-a"), (2.5, "job-b")])
        .ignore();
    pipe
}

/// Database 1: left over by an earlier attempt, several types, some with a time to live.
fn django(prefix: &str) -> Pipeline {
    let key = |name: String| format!("{prefix}:cache:1:{name}");
    let mut pipe = pipe();
    for i in 0..180u32 {
        let name = key(format!("invoice_seq_{}", 2020 + i));
        pipe.set(&name, i * 13).ignore();
        if i % 3 == 0 {
            pipe.expire(&name, i64::from(6 * HOUR + i * 60)).ignore();
        }
    }
    for i in 0..60u32 {
        pipe.cmd("SET")
            .arg(key(format!("META_WHATSAPP_TOKEN_{i}")))
            .arg(format!("EAAG{:032x}", u64::from(i) * 0x9e37_79b9))
            .arg("EX")
            .arg(24 * HOUR)
            .ignore();
    }
    for i in 0..20u32 {
        let fields: Vec<(String, u32)> = (0..5).map(|f| (format!("field{f}"), f * i)).collect();
        pipe.hset_multiple(key(format!("session:{i}")), &fields)
            .ignore();
        pipe.rpush(
            key(format!("reminder_stream:{i}")),
            (0..4).map(|e| format!("event-{i}-{e}")).collect::<Vec<_>>(),
        )
        .ignore();
        pipe.sadd(
            key(format!("tags:{i}")),
            vec![format!("t{i}"), "shared".to_owned()],
        )
        .ignore();
        pipe.zadd(
            key(format!("rank:{i}")),
            format!("member{i}"),
            f64::from(i) + 0.25,
        )
        .ignore();
    }
    pipe.cmd("SET")
        .arg(key("blob".to_owned()))
        .arg(&[0u8, 255, 128, 10, 13][..])
        .ignore();
    pipe.cmd("XADD")
        .arg(key("audit".to_owned()))
        .arg("1-1")
        .arg("who")
        .arg("ana")
        .ignore();
    pipe
}

/// Database 2: query results of users and the sets by which they would be invalidated.
fn orm() -> Pipeline {
    let mut pipe = pipe();
    for user in 1..=8i64 {
        for query in 0..30u32 {
            let name = Cache::orm_key(user, 1, &format!("stale query {query}"));
            pipe.cmd("SET")
                .arg(&name)
                .arg(format!("[{{\"id\":{query}}}]"))
                .arg("EX")
                .arg(12 * HOUR)
                .ignore();
            pipe.sadd(format!("conj:invoices_invoice:owner_id={user}"), &name)
                .ignore();
        }
    }
    pipe
}
