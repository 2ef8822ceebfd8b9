//! What really happened: every effect appends one durable line to a ledger of its own kind.
//!
//! [`World`] is the place of one story: a file, a Redis list and rows in PostgreSQL. Nothing here
//! asks ferry.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::postgres::Postgres;
use crate::support::redis::Server;

/// Whether an effect was the step's or its undo's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Do,
    Undo,
}

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The step, with its item: `s12[1]`.
    pub key: String,
    /// The attempt; 0 where the ledger is not told.
    pub attempt: u32,
    pub way: Way,
    /// Microseconds since the Unix epoch, by the clock of the ledger's own machine, which is ours.
    pub at: i64,
}

impl Entry {
    /// `KEY ATTEMPT do|undo MICROSECONDS`.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let (key, attempt, way, at) = (words.next()?, words.next()?, words.next()?, words.next()?);
        Some(Self {
            key: key.to_owned(),
            attempt: attempt.parse().ok()?,
            way: match way {
                "do" => Way::Do,
                "undo" => Way::Undo,
                _ => return None,
            },
            at: at.parse().ok()?,
        })
    }
}

/// `effect KEY do|undo [flaky]`: one write at the end of the file that is durable
/// when it returns, without a sync of its own that a tracer would count as ferry's. A flaky one refuses
/// the first time, before it does anything. It prints the token that it is given, which ferry hides.
pub const EFFECT: &str = r#"#!/bin/sh
set -e
if [ "$3" = flaky ] && [ ! -e "flaky.$1" ]; then
    : >"flaky.$1"
    exit 75
fi
[ -z "$TOKEN" ] || echo "token $TOKEN"
printf '%s %s %s %s\n' "$1" "${FERRY_ATTEMPT:-0}" "$2" "$(date +%s%6N)" |
    dd of=ledger oflag=append,dsync conv=notrunc status=none
"#;

/// `probe KEY`: the last that was done about it.
pub const PROBE: &str = r#"#!/bin/sh
awk -v key="$1" '$1 == key { way = $3 } END { print way }' ledger
"#;

/// The same in Redis, atomically: the ledger's line, and the key that a probe reads.
pub const EVAL: &str = "local t = redis.call('TIME') \
    redis.call('RPUSH', KEYS[1], ARGV[1] .. ' 0 ' .. ARGV[2] .. ' ' .. t[1] .. string.format('%06d', t[2])) \
    local key = KEYS[1] .. ':' .. ARGV[1] \
    if ARGV[2] == 'do' then redis.call('SET', key, '1') else redis.call('DEL', key) end return 'ok'";

fn redis() -> &'static Server {
    static REDIS: OnceLock<Server> = OnceLock::new();
    REDIS.get_or_init(|| Server::start(&["--appendonly", "yes", "--appendfsync", "always"]))
}

fn database() -> &'static str {
    static DATABASE: OnceLock<String> = OnceLock::new();
    DATABASE.get_or_init(|| {
        let server = Postgres::shared();
        let name = server.database();
        let table = "create table ledger (id bigserial primary key, world int, key text, way text, \
                     at bigint default (extract(epoch from clock_timestamp()) * 1000000)::bigint); \
                     create index on ledger (world, key)";
        server.psql(&name, table);
        name
    })
}

/// The ledgers of one story.
#[derive(Clone, Copy, Debug)]
pub struct World {
    pub number: u32,
}

impl World {
    /// One that nobody else uses.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The list in Redis.
    pub fn list(self) -> String {
        format!("w{}", self.number)
    }

    /// The address of Redis.
    pub fn redis(self) -> String {
        redis().url(0)
    }

    /// The address of PostgreSQL.
    pub fn postgres(self) -> String {
        Postgres::shared().url(database())
    }

    /// Every effect so far, of all three, by time.
    pub fn read(self, dir: &Path) -> Vec<Entry> {
        let file = std::fs::read_to_string(dir.join("ledger")).unwrap();
        let list: Vec<String> = redis().ask(0, &["LRANGE", &self.list(), "0", "-1"]);
        let rows = Postgres::shared().psql(
            database(),
            &format!(
                "select key || ' 0 ' || way || ' ' || at from ledger where world = {} order by id",
                self.number
            ),
        );
        let lines = file.lines().chain(rows.lines());
        let mut entries: Vec<Entry> = lines
            .chain(list.iter().map(String::as_str))
            .map(|line| Entry::parse(line).unwrap_or_else(|| panic!("a torn ledger: `{line}`")))
            .collect();
        entries.sort_by_key(|entry| entry.at);
        entries
    }
}

/// The last that was done about a step.
pub fn last(entries: &[Entry], key: &str) -> Option<Way> {
    let mut of = entries.iter().filter(|entry| entry.key == key);
    of.next_back().map(|entry| entry.way)
}
