//! A command as its words: read from one line as redis-cli splits it, or from a list, whose items
//! may carry values. Knows which commands only read, and which make no sense in a step.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::Text;
use super::trouble::Effect;

/// A command's words, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Argv(pub Vec<Vec<u8>>);

/// Commands that only read, whatever their arguments.
const READING: &[&str] = &[
    "BITCOUNT",
    "BITFIELD_RO",
    "BITPOS",
    "DBSIZE",
    "DUMP",
    "ECHO",
    "EVAL_RO",
    "EVALSHA_RO",
    "EXISTS",
    "EXPIRETIME",
    "FCALL_RO",
    "GEODIST",
    "GEOHASH",
    "GEOPOS",
    "GEORADIUS_RO",
    "GEORADIUSBYMEMBER_RO",
    "GEOSEARCH",
    "GET",
    "GETBIT",
    "GETRANGE",
    "HEXISTS",
    "HGET",
    "HGETALL",
    "HKEYS",
    "HLEN",
    "HMGET",
    "HRANDFIELD",
    "HSCAN",
    "HSTRLEN",
    "HVALS",
    "INFO",
    "KEYS",
    "LASTSAVE",
    "LCS",
    "LINDEX",
    "LLEN",
    "LOLWUT",
    "LPOS",
    "LRANGE",
    "MGET",
    "PEXPIRETIME",
    "PING",
    "PTTL",
    "RANDOMKEY",
    "ROLE",
    "SCAN",
    "SCARD",
    "SDIFF",
    "SINTER",
    "SINTERCARD",
    "SISMEMBER",
    "SMEMBERS",
    "SMISMEMBER",
    "SORT_RO",
    "SRANDMEMBER",
    "SSCAN",
    "STRLEN",
    "SUBSTR",
    "SUNION",
    "TIME",
    "TTL",
    "TYPE",
    "XLEN",
    "XPENDING",
    "XRANGE",
    "XREAD",
    "XREVRANGE",
    "ZCARD",
    "ZCOUNT",
    "ZDIFF",
    "ZINTER",
    "ZINTERCARD",
    "ZLEXCOUNT",
    "ZMSCORE",
    "ZRANDMEMBER",
    "ZRANGE",
    "ZRANGEBYLEX",
    "ZRANGEBYSCORE",
    "ZRANK",
    "ZREVRANGE",
    "ZREVRANGEBYLEX",
    "ZREVRANGEBYSCORE",
    "ZREVRANK",
    "ZSCAN",
    "ZSCORE",
    "ZUNION",
];

/// Commands of which some subcommands only read.
const READING_PARTS: &[(&str, &[&str])] = &[
    (
        "ACL",
        &["CAT", "DRYRUN", "GETUSER", "LIST", "USERS", "WHOAMI"],
    ),
    ("CLIENT", &["GETNAME", "ID", "INFO", "LIST"]),
    (
        "CLUSTER",
        &[
            "COUNTKEYSINSLOT",
            "GETKEYSINSLOT",
            "INFO",
            "KEYSLOT",
            "MYID",
            "NODES",
            "SHARDS",
            "SLOTS",
        ],
    ),
    ("COMMAND", &["", "COUNT", "DOCS", "GETKEYS", "INFO", "LIST"]),
    ("CONFIG", &["GET"]),
    ("FUNCTION", &["DUMP", "LIST", "STATS"]),
    (
        "LATENCY",
        &["DOCTOR", "GRAPH", "HISTOGRAM", "HISTORY", "LATEST"],
    ),
    ("MEMORY", &["DOCTOR", "MALLOC-STATS", "STATS", "USAGE"]),
    ("MODULE", &["LIST"]),
    ("OBJECT", &["ENCODING", "FREQ", "IDLETIME", "REFCOUNT"]),
    (
        "PUBSUB",
        &[
            "CHANNELS",
            "NUMPAT",
            "NUMSUB",
            "SHARDCHANNELS",
            "SHARDNUMSUB",
        ],
    ),
    ("SCRIPT", &["EXISTS"]),
    (
        "SENTINEL",
        &[
            "CKQUORUM",
            "GET-MASTER-ADDR-BY-NAME",
            "MASTER",
            "MASTERS",
            "MYID",
            "REPLICAS",
            "SENTINELS",
        ],
    ),
    ("SLOWLOG", &["GET", "LEN"]),
    ("XINFO", &["CONSUMERS", "GROUPS", "STREAM"]),
];

/// Commands that a step cannot carry out, and what to write instead.
const REFUSED: &[(&str, &str)] = &[
    (
        "FLUSHALL",
        "empty one database with `redis.flush`, which checks first that it is the right one",
    ),
    (
        "SELECT",
        "each call has its own connection: give the target `db`",
    ),
    (
        "AUTH",
        "put the user and password into the target's address",
    ),
    (
        "HELLO",
        "put the user and password into the target's address",
    ),
    (
        "MULTI",
        "each call has its own connection: put the commands into one EVAL",
    ),
    (
        "EXEC",
        "each call has its own connection: put the commands into one EVAL",
    ),
    (
        "DISCARD",
        "each call has its own connection: put the commands into one EVAL",
    ),
    (
        "WATCH",
        "each call has its own connection: put the commands into one EVAL",
    ),
    (
        "SUBSCRIBE",
        "it never ends; read a list or a stream instead",
    ),
    (
        "PSUBSCRIBE",
        "it never ends; read a list or a stream instead",
    ),
    (
        "SSUBSCRIBE",
        "it never ends; read a list or a stream instead",
    ),
    ("MONITOR", "it never ends; `redis.monitor` does"),
    ("QUIT", "each call closes its own connection"),
    ("SYNC", "it is for replicas"),
    ("PSYNC", "it is for replicas"),
];

impl Argv {
    /// Splits a line as redis-cli does, and checks it.
    pub fn from_line(line: &str) -> Result<Self, String> {
        Self(split(line)?).checked()
    }

    fn checked(self) -> Result<Self, String> {
        let Some(first) = self.0.first().filter(|first| !first.is_empty()) else {
            return Err("the command is empty".into());
        };
        let first = String::from_utf8_lossy(first).to_uppercase();
        match REFUSED.iter().find(|(name, _)| *name == first) {
            Some((name, instead)) => Err(format!("`{name}` is not for a step: {instead}")),
            None => Ok(self),
        }
    }

    /// What it does to the data.
    pub fn effect(&self) -> Effect {
        let word = |at: usize| {
            self.0
                .get(at)
                .map(|word| String::from_utf8_lossy(word).to_uppercase())
                .unwrap_or_default()
        };
        let first = word(0);
        let part = READING_PARTS.iter().find(|(name, _)| *name == first);
        if READING.contains(&first.as_str())
            || part.is_some_and(|(_, parts)| parts.contains(&word(1).as_str()))
        {
            return Effect::Reads;
        }
        match first.as_str() {
            "EVAL" | "EVALSHA" | "FCALL" | "MIGRATE" => Effect::Partly,
            _ => Effect::Changes,
        }
    }
}

impl<'de> Deserialize<'de> for Argv {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LineOrList;
        impl<'de> de::Visitor<'de> for LineOrList {
            type Value = Argv;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command, as one line or as a list of words")
            }
            fn visit_str<E: de::Error>(self, line: &str) -> Result<Argv, E> {
                Argv::from_line(line).map_err(E::custom)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Argv, A::Error> {
                let mut words = Vec::new();
                while let Some(Text(word)) = items.next_element()? {
                    words.push(word.into_bytes());
                }
                Argv(words).checked().map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(LineOrList)
    }
}

impl JsonSchema for Argv {
    fn schema_name() -> Cow<'static, str> {
        "RedisCommand".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a Redis command: one line, split as redis-cli does, or a list of words, which may carry values",
            "oneOf": [
                { "type": "string", "minLength": 1 },
                { "type": "array", "minItems": 1, "items": { "type": ["string", "number", "boolean"] } }
            ]
        })
    }
}

/// Splits a line into words: blanks part them; in `"..."` the escapes `\n \r \t \b \a \\ \" \xhh`
/// hold, in `'...'` only `\'`; a closing quote must be followed by a blank.
fn split(line: &str) -> Result<Vec<Vec<u8>>, String> {
    let bytes = line.as_bytes();
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        if at >= bytes.len() {
            return Ok(words);
        }
        let mut word = Vec::new();
        while let Some(&byte) = bytes.get(at) {
            match byte {
                _ if byte.is_ascii_whitespace() => break,
                b'"' | b'\'' => {
                    at = quoted(bytes, at, &mut word)?;
                    if bytes
                        .get(at)
                        .is_some_and(|next| !next.is_ascii_whitespace())
                    {
                        return Err("after a closing quote there must be a blank".into());
                    }
                }
                _ => {
                    word.push(byte);
                    at += 1;
                }
            }
        }
        words.push(word);
    }
}

/// Reads a quoted part that opens at `at` into `word`; returns where it ended.
fn quoted(bytes: &[u8], at: usize, word: &mut Vec<u8>) -> Result<usize, String> {
    let quote = bytes[at];
    let mut at = at + 1;
    loop {
        let Some(&byte) = bytes.get(at) else {
            return Err(format!("a `{}` is not closed", char::from(quote)));
        };
        let next = bytes.get(at + 1).copied();
        match (byte, next) {
            _ if byte == quote => return Ok(at + 1),
            (b'\\', Some(b'\'')) if quote == b'\'' => {
                word.push(b'\'');
                at += 2;
            }
            (b'\\', Some(escape)) if quote == b'"' => {
                let digits = bytes
                    .get(at + 2..at + 4)
                    .filter(|_| escape == b'x')
                    .and_then(|digits| std::str::from_utf8(digits).ok())
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok());
                let (one, width) = match (digits, escape) {
                    (Some(byte), _) => (byte, 4),
                    (None, b'n') => (b'\n', 2),
                    (None, b'r') => (b'\r', 2),
                    (None, b't') => (b'\t', 2),
                    (None, b'b') => (8, 2),
                    (None, b'a') => (7, 2),
                    (None, other) => (other, 2),
                };
                word.push(one);
                at += width;
            }
            _ => {
                word.push(byte);
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        split(line)
            .unwrap()
            .iter()
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect()
    }

    #[test]
    fn lines_split_as_redis_cli_does() {
        assert_eq!(words("  SET  a\tb "), ["SET", "a", "b"]);
        assert_eq!(words(r#"SET a "b c\n\x41""#), ["SET", "a", "b c\nA"]);
        assert_eq!(words(r"SET a 'it\'s \n'"), ["SET", "a", r"it's \n"]);
        assert_eq!(words(r#"SET a """#), ["SET", "a", ""]);
        assert_eq!(words("SET key:{x} é"), ["SET", "key:{x}", "é"]);
        assert!(split("SET a \"b").is_err());
        assert!(split("SET a 'b'c").is_err());
    }

    #[test]
    fn only_known_readers_read() {
        let effect = |line: &str| Argv::from_line(line).unwrap().effect();
        for line in [
            "PING",
            "get x",
            "CONFIG GET maxmemory",
            "memory usage k",
            "COMMAND",
        ] {
            assert_eq!(effect(line), Effect::Reads, "{line}");
        }
        for line in [
            "SET a b",
            "CONFIG SET a b",
            "SORT x",
            "NEWCOMMAND",
            "CLIENT KILL x",
            "GETEX a",
        ] {
            assert_eq!(effect(line), Effect::Changes, "{line}");
        }
        assert_eq!(effect("EVAL 'return 1' 0"), Effect::Partly);
    }

    #[test]
    fn some_commands_are_not_for_a_step() {
        for line in ["FLUSHALL", "flushall ASYNC", "SELECT 1", "MULTI", "", "''"] {
            assert!(Argv::from_line(line).is_err(), "{line}");
        }
        assert!(
            Argv::from_line("FLUSHALL")
                .unwrap_err()
                .contains("redis.flush")
        );
    }
}
