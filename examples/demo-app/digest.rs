//! A fingerprint of the world, equal for two states exactly when nothing that matters differs:
//! Redis databases 0 to 2, the application database, the settings, what the instances run on.
//! How much is left of a key's time to live does not count; whether it has one does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, Value as Reply, cmd};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqlitePool;

use crate::db::{self, hex};
use crate::error::{Fail, Outcome};
use crate::http;
use crate::settings::{BASE, CACHE_BACKENDS, Settings};
use crate::world::World;

/// Prints the fingerprint as JSON.
pub async fn print(world: &World) -> Outcome<ExitCode> {
    let mut redis = Map::new();
    for number in [0, 1, 2] {
        redis.insert(format!("db{number}"), redis_db(world, number).await?);
    }
    let pool = db::open(world).await?;
    let database = json!({ "schema_sha256": schema(&pool).await?, "tables": tables(&pool).await? });
    pool.close().await;
    let mut settings = Map::new();
    for name in [BASE, CACHE_BACKENDS] {
        settings.insert(name.to_owned(), file(world, name)?);
    }
    let fingerprint = json!({
        "redis": redis,
        "database": database,
        "settings": settings,
        "backend": Settings::read(world)?.backend_path,
        "instances": instances(world).await?,
    });
    println!("{}", serde_json::to_string_pretty(&fingerprint)?);
    Ok(ExitCode::SUCCESS)
}

async fn redis_db(world: &World, number: u8) -> Outcome<Value> {
    let client = Client::open(world.redis_db(number)?)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut keys: Vec<Vec<u8>> = Vec::new();
    let mut cursor = 0u64;
    loop {
        let (next, some): (u64, Vec<Vec<u8>>) = cmd("SCAN")
            .arg(cursor)
            .arg("COUNT")
            .arg(500)
            .query_async(&mut connection)
            .await?;
        keys.extend(some);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    keys.sort();
    // a scan may name a key twice
    keys.dedup();
    let mut hash = Sha256::new();
    for key in &keys {
        part(&mut hash, key);
        value(&mut connection, key, &mut hash).await?;
    }
    Ok(json!({ "keys": keys.len(), "sha256": hex(&hash.finalize()) }))
}

/// Type, value in an order of its own, and whether it expires.
async fn value(
    connection: &mut MultiplexedConnection,
    key: &[u8],
    hash: &mut Sha256,
) -> Outcome<()> {
    let kind: String = cmd("TYPE").arg(key).query_async(connection).await?;
    let ttl: i64 = cmd("PTTL").arg(key).query_async(connection).await?;
    part(hash, kind.as_bytes());
    part(hash, if ttl >= 0 { b"expires" } else { b"stays" });
    match kind.as_str() {
        "hash" => {
            let mut pairs: Vec<(Vec<u8>, Vec<u8>)> =
                cmd("HGETALL").arg(key).query_async(connection).await?;
            pairs.sort();
            for (field, value) in pairs {
                part(hash, &field);
                part(hash, &value);
            }
        }
        "set" => {
            let mut members: Vec<Vec<u8>> =
                cmd("SMEMBERS").arg(key).query_async(connection).await?;
            members.sort();
            members.iter().for_each(|m| part(hash, m));
        }
        "stream" => {
            let entries: Reply = cmd("XRANGE")
                .arg(key)
                .arg("-")
                .arg("+")
                .query_async(connection)
                .await?;
            part(hash, format!("{entries:?}").as_bytes());
        }
        "none" => {}
        _ => {
            let command = match kind.as_str() {
                "string" => cmd("GET").arg(key).to_owned(),
                "list" => cmd("LRANGE").arg(key).arg(0).arg(-1).to_owned(),
                "zset" => cmd("ZRANGE")
                    .arg(key)
                    .arg(0)
                    .arg(-1)
                    .arg("WITHSCORES")
                    .to_owned(),
                other => return Err(Fail::said(format!("a key of the unknown type `{other}`"))),
            };
            let reply: Reply = command.query_async(connection).await?;
            part(hash, format!("{reply:?}").as_bytes());
        }
    }
    Ok(())
}

/// Adds bytes with their length, so that no two sequences of parts look alike.
fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update(bytes.len().to_be_bytes());
    hash.update(bytes);
}

/// Columns and indexes as SQLite understands them: the text of `CREATE TABLE` may keep traces of
/// a column that came and went.
async fn schema(pool: &SqlitePool) -> Outcome<String> {
    let columns =
        "SELECT json_array(m.name, c.cid, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk)
        FROM sqlite_master m JOIN pragma_table_info(m.name) c
        WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid";
    let indexes =
        "SELECT json_array(m.name, i.name, i.\"unique\", i.origin, i.partial, x.seqno, x.name)
        FROM sqlite_master m JOIN pragma_index_list(m.name) i JOIN pragma_index_info(i.name) x
        WHERE m.type = 'table' ORDER BY m.name, i.name, x.seqno";
    let others = "SELECT json_array(type, name, sql) FROM sqlite_master
        WHERE type IN ('view', 'trigger') ORDER BY name";
    let mut hash = Sha256::new();
    for sql in [columns, indexes, others] {
        for line in db::texts(pool, sql.to_owned()).await? {
            part(&mut hash, line.as_bytes());
        }
    }
    Ok(hex(&hash.finalize()))
}

async fn tables(pool: &SqlitePool) -> Outcome<Value> {
    let names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut tables = Map::new();
    for table in db::texts(pool, names.to_owned()).await? {
        let columns = format!(
            "SELECT group_concat('quote(\"' || name || '\")', '||char(31)||')
             FROM (SELECT name FROM pragma_table_info('{table}') ORDER BY cid)"
        );
        let columns = db::texts(pool, columns).await?.concat();
        let rows = db::texts(
            pool,
            format!("SELECT {columns} FROM \"{table}\" ORDER BY rowid"),
        )
        .await?;
        let mut hash = Sha256::new();
        rows.iter().for_each(|row| part(&mut hash, row.as_bytes()));
        let entry = json!({ "rows": rows.len(), "sha256": hex(&hash.finalize()) });
        tables.insert(table, entry);
    }
    Ok(Value::Object(tables))
}

fn file(world: &World, name: &str) -> Outcome<Value> {
    let path = world.dir.join(name);
    let read = || {
        Ok((
            fs::read(&path)?,
            fs::metadata(&path)?.permissions().mode() & 0o777,
        ))
    };
    let (content, mode) = read().map_err(|e| Fail::io(format!("read `{}`", path.display()), e))?;
    Ok(json!({ "sha256": hex(&Sha256::digest(&content)), "mode": format!("{mode:o}") }))
}

async fn instances(world: &World) -> Outcome<Value> {
    let mut instances = Map::new();
    for n in 1..=world.instances()? {
        let answer = http::get(world.instance_port(n)?, "/health", Duration::from_secs(5)).await;
        let seen = match answer {
            Ok(reply) => {
                let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
                json!({ "health": reply.status, "backend": body["backend"] })
            }
            Err(_) => json!({ "health": null, "backend": null }),
        };
        instances.insert(n.to_string(), seen);
    }
    Ok(Value::Object(instances))
}
