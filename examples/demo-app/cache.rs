//! The application's cache, in memory or in Redis ([`Cache`]).
//!
//! Two spaces: `main` for what Django's cache framework keeps (tokens, locks, sequences), `orm` for
//! query results by user and version. A failure is returned; whether to go on without a cache is
//! the caller's decision.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError};
use sha2::{Digest, Sha256};

use crate::db::hex;
use crate::error::Outcome;
use crate::settings::{Backend, Settings};
use crate::world::{World, with_db};

/// A Redis database, reached by one connection that names itself `django` and is made again after
/// it broke.
pub struct RedisSpace {
    client: Client,
    live: tokio::sync::Mutex<Option<MultiplexedConnection>>,
}

impl RedisSpace {
    fn new(url: &str) -> Outcome<Self> {
        Ok(Self {
            client: Client::open(url)?,
            live: tokio::sync::Mutex::new(None),
        })
    }

    async fn connection(&self) -> Result<MultiplexedConnection, RedisError> {
        let mut live = self.live.lock().await;
        if let Some(connection) = live.as_ref() {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(1)))
            .set_response_timeout(Some(Duration::from_secs(2)));
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        redis::cmd("CLIENT")
            .arg("SETNAME")
            .arg("django")
            .query_async::<()>(&mut connection)
            .await?;
        *live = Some(connection.clone());
        Ok(connection)
    }

    async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Outcome<T> {
        let mut connection = self.connection().await?;
        match command.query_async(&mut connection).await {
            Ok(value) => Ok(value),
            Err(e) => {
                if e.is_io_error() || e.is_unrecoverable_error() {
                    *self.live.lock().await = None;
                }
                Err(e.into())
            }
        }
    }
}

type Entries = HashMap<String, (String, Option<Instant>)>;

enum Space {
    Memory(Mutex<Entries>),
    Redis(Box<RedisSpace>),
}

fn memory() -> Space {
    Space::Memory(Mutex::new(HashMap::new()))
}

fn with_entries<T>(entries: &Mutex<Entries>, use_it: impl FnOnce(&mut Entries) -> T) -> T {
    let mut entries = entries
        .lock()
        .expect("nobody panics while holding the cache");
    let now = Instant::now();
    entries.retain(|_, (_, end)| end.is_none_or(|end| end > now));
    use_it(&mut entries)
}

impl Space {
    async fn get(&self, key: &str) -> Outcome<Option<String>> {
        match self {
            Self::Memory(m) => Ok(with_entries(m, |e| e.get(key).map(|(v, _)| v.clone()))),
            Self::Redis(r) => r.run(redis::cmd("GET").arg(key)).await,
        }
    }

    /// Stores; with `only_new` it does so only where nothing was. Says whether it stored.
    async fn set(&self, key: &str, value: &str, ttl: Duration, only_new: bool) -> Outcome<bool> {
        match self {
            Self::Memory(m) => Ok(with_entries(m, |e| {
                let free = !(only_new && e.contains_key(key));
                if free {
                    e.insert(
                        key.to_owned(),
                        (value.to_owned(), Some(Instant::now() + ttl)),
                    );
                }
                free
            })),
            Self::Redis(r) => {
                let mut command = redis::cmd("SET");
                let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
                command.arg(key).arg(value).arg("PX").arg(millis);
                if only_new {
                    command.arg("NX");
                }
                Ok(r.run::<Option<String>>(&command).await?.is_some())
            }
        }
    }

    async fn add_to(&self, key: &str, by: i64) -> Outcome<i64> {
        match self {
            Self::Memory(m) => Ok(with_entries(m, |e| {
                let entry = e
                    .entry(key.to_owned())
                    .or_insert_with(|| ("0".to_owned(), None));
                let sum = entry.0.parse::<i64>().unwrap_or(0) + by;
                entry.0 = sum.to_string();
                sum
            })),
            Self::Redis(r) => r.run(redis::cmd("INCRBY").arg(key).arg(by)).await,
        }
    }

    async fn delete(&self, keys: &[String]) -> Outcome<usize> {
        match self {
            _ if keys.is_empty() => Ok(0),
            Self::Memory(m) => Ok(with_entries(m, |e| {
                keys.iter().filter(|k| e.remove(*k).is_some()).count()
            })),
            Self::Redis(r) => r.run(redis::cmd("DEL").arg(keys)).await,
        }
    }

    /// Bytes that one entry takes: what Redis reports, or key and value in memory.
    async fn size(&self, key: &str) -> Outcome<usize> {
        match self {
            Self::Memory(m) => Ok(with_entries(m, |e| {
                e.get(key).map_or(0, |(v, _)| key.len() + v.len())
            })),
            Self::Redis(r) => {
                let size = r
                    .run::<Option<usize>>(redis::cmd("MEMORY").arg("USAGE").arg(key))
                    .await?;
                Ok(size.unwrap_or(0))
            }
        }
    }
}

/// The cache that the settings name.
pub struct Cache {
    main: Space,
    orm: Space,
    prefix: String,
    pub backend: Backend,
    /// Lifetime of query results and tokens.
    pub timeout: Duration,
}

impl Cache {
    /// The service's own cache.
    pub fn open(world: &World, settings: &Settings) -> Outcome<Self> {
        Self::build(
            world,
            settings,
            &settings.location,
            &settings.cacheops_redis,
        )
    }

    /// The same backend in the database that is kept for tests.
    pub fn for_tests(world: &World, settings: &Settings) -> Outcome<Self> {
        let url = with_db(&settings.location, 15);
        Self::build(world, settings, &url, &url)
    }

    fn build(world: &World, settings: &Settings, main: &str, orm: &str) -> Outcome<Self> {
        let (main, orm) = match settings.backend {
            Backend::LocMem => (memory(), memory()),
            Backend::Redis => (
                Space::Redis(Box::new(RedisSpace::new(main)?)),
                Space::Redis(Box::new(RedisSpace::new(orm)?)),
            ),
        };
        Ok(Self {
            main,
            orm,
            prefix: world.get("CACHE_KEY_PREFIX")?.to_owned(),
            backend: settings.backend,
            timeout: Duration::from_secs(world.cache_timeout()?),
        })
    }

    fn key(&self, key: &str) -> String {
        format!("{}:cache:1:{key}", self.prefix)
    }

    /// Fails when the backend does not answer.
    pub async fn ping(&self) -> Outcome<()> {
        for space in [&self.main, &self.orm] {
            if let Space::Redis(r) = space {
                r.run::<String>(&redis::cmd("PING")).await?;
            }
        }
        Ok(())
    }

    pub async fn get(&self, key: &str) -> Outcome<Option<String>> {
        self.main.get(&self.key(key)).await
    }

    pub async fn set(&self, key: &str, value: &str, ttl: Duration) -> Outcome<()> {
        self.main
            .set(&self.key(key), value, ttl, false)
            .await
            .map(drop)
    }

    /// Stores where nothing is; says whether it did.
    pub async fn add(&self, key: &str, value: &str, ttl: Duration) -> Outcome<bool> {
        self.main.set(&self.key(key), value, ttl, true).await
    }

    /// Adds to a counter that starts at 0 and returns the sum.
    pub async fn incr(&self, key: &str, by: i64) -> Outcome<i64> {
        self.main.add_to(&self.key(key), by).await
    }

    /// Removes keys; says how many were there.
    pub async fn delete(&self, keys: &[&str]) -> Outcome<usize> {
        let keys: Vec<String> = keys.iter().map(|k| self.key(k)).collect();
        self.main.delete(&keys).await
    }

    /// The version under which this user's query results are kept; raising it forgets them all.
    pub async fn user_version(&self, user: i64) -> Outcome<i64> {
        let key = format!("cache_user_version:{user}");
        if let Some(version) = self.get(&key).await?.and_then(|v| v.parse().ok()) {
            return Ok(version);
        }
        self.incr(&key, 1).await
    }

    /// Forgets everything cached for a user, in one step however much that is.
    pub async fn bump_user(&self, user: i64) -> Outcome<i64> {
        self.incr(&format!("cache_user_version:{user}"), 1).await
    }

    /// The key of a query's result.
    pub fn orm_key(user: i64, version: i64, query: &str) -> String {
        let hash = hex(&Sha256::digest(query.as_bytes())[..16]);
        format!("cache:{user}:v{version}:cacheops:{hash}")
    }

    pub async fn orm_get(&self, key: &str) -> Outcome<Option<String>> {
        self.orm.get(key).await
    }

    pub async fn orm_set(&self, key: &str, value: &str) -> Outcome<()> {
        self.orm
            .set(key, value, self.timeout, false)
            .await
            .map(drop)
    }

    pub async fn orm_delete(&self, keys: &[String]) -> Outcome<usize> {
        self.orm.delete(keys).await
    }

    /// Bytes that a query's result takes in the cache.
    pub async fn orm_size(&self, key: &str) -> Outcome<usize> {
        self.orm.size(key).await
    }
}
