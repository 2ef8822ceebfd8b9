//! What a rehearsal may send to a Redis server: [`Fence`] stands in a [`super::client::Link`] that was
//! opened for reading, and every command has to pass it.
//!
//! A command passes when ferry knows it to read *and* the server itself flags it `readonly`, or when it
//! is one of the few that look at the server and touch no data. Nothing else is ever sent.

use std::collections::HashMap;

use redis::Value;

use super::argv::Argv;
use super::trouble::Effect;

/// Commands that look at the server or the connection; with their subcommands, where they have some.
/// A server does not flag these `readonly`, because they read no key.
const LOOKS: &[(&str, &[&str])] = &[
    ("ACL", &["DRYRUN", "GETUSER", "USERS", "WHOAMI"]),
    ("CLIENT", &["GETNAME", "ID", "INFO", "LIST"]),
    ("CLUSTER", &["INFO", "MYID", "NODES", "SHARDS", "SLOTS"]),
    ("COMMAND", &["COUNT", "DOCS", "INFO", "LIST"]),
    ("CONFIG", &["GET"]),
    ("ECHO", &[]),
    ("INFO", &[]),
    ("LASTSAVE", &[]),
    ("PING", &[]),
    ("ROLE", &[]),
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
    ("TIME", &[]),
];

/// Families of which the server flags each subcommand by itself.
const FAMILIES: &[&str] = &["MEMORY", "OBJECT", "XINFO"];

/// Scripts that may not write keys may still end connections, wait and use up the server's time.
const SCRIPTS: &[&str] = &["EVAL_RO", "EVALSHA_RO", "FCALL_RO"];

/// Whether it hands the server a script, whose doing nobody knows.
pub(super) fn is_script(argv: &[Vec<u8>]) -> bool {
    let first = argv.first().map(|word| String::from_utf8_lossy(word));
    first.is_some_and(|word| SCRIPTS.contains(&word.to_uppercase().as_str()))
}

/// Which commands a server lets pass, as far as it was asked.
#[derive(Default)]
pub(super) struct Fence(HashMap<String, bool>);

/// What the fence says of a command.
pub(super) enum Passage {
    /// It may be sent.
    Free,
    /// It may not.
    Closed,
    /// Only the server can say: it is asked for COMMAND INFO of this name.
    Ask(String),
}

impl Fence {
    /// Judges a command as far as it is known.
    pub fn judge(&self, argv: &[Vec<u8>]) -> Passage {
        let word = |at: usize| {
            argv.get(at)
                .map(|word| String::from_utf8_lossy(word).to_uppercase())
                .unwrap_or_default()
        };
        let (first, second) = (word(0), word(1));
        if let Some((_, parts)) = LOOKS.iter().find(|(name, _)| *name == first) {
            return match parts.is_empty() || parts.contains(&second.as_str()) {
                true => Passage::Free,
                false => Passage::Closed,
            };
        }
        if is_script(argv) || Argv(argv.to_vec()).effect() != Effect::Reads {
            return Passage::Closed;
        }
        let name = match FAMILIES.contains(&first.as_str()) {
            true => format!("{first}|{second}"),
            false => first,
        };
        match self.0.get(&name) {
            Some(true) => Passage::Free,
            Some(false) => Passage::Closed,
            None => Passage::Ask(name),
        }
    }

    /// Takes in what COMMAND INFO said of a command.
    pub fn learn(&mut self, name: &str, answer: &Value) {
        self.0.insert(name.to_owned(), is_readonly(answer));
    }
}

/// Whether COMMAND INFO of one command says `readonly`, and not `write`.
fn is_readonly(answer: &Value) -> bool {
    let Value::Array(commands) = answer else {
        return false;
    };
    let Some(Value::Array(fields)) = commands.first() else {
        return false;
    };
    let (Some(Value::Array(flags)) | Some(Value::Set(flags))) = fields.get(2) else {
        return false;
    };
    let has = |wanted: &str| {
        flags.iter().any(|flag| match flag {
            Value::SimpleString(text) => text == wanted,
            Value::BulkString(bytes) => bytes == wanted.as_bytes(),
            _ => false,
        })
    };
    has("readonly") && !has("write")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(line: &str) -> Vec<Vec<u8>> {
        line.split(' ').map(Into::into).collect()
    }

    fn info(flags: &[&str]) -> Value {
        let flag = |flag: &&str| Value::SimpleString((*flag).to_owned());
        let fields = vec![
            Value::BulkString(b"x".to_vec()),
            Value::Int(2),
            Value::Array(flags.iter().map(flag).collect()),
        ];
        Value::Array(vec![Value::Array(fields)])
    }

    #[test]
    fn only_what_both_sides_call_reading_passes() {
        let mut fence = Fence::default();
        for line in ["PING", "info server", "CONFIG GET maxmemory", "client list"] {
            assert!(matches!(fence.judge(&argv(line)), Passage::Free), "{line}");
        }
        for line in [
            "SET a b",
            "FLUSHDB",
            "CONFIG SET a b",
            "CLIENT KILL 1",
            "CLIENT SETNAME x",
            "DEBUG x",
            "EVAL x 0",
            "eval_ro x 0",
            "EVALSHA_RO x 0",
            "FCALL_RO x 0",
            "COMMAND",
            "SLOWLOG RESET",
            "ACL SETUSER x",
            "ACL LOG RESET",
            "MONITOR",
            "PUBLISH a b",
            "SUBSCRIBE a",
            "PFCOUNT a",
            "SELECT 1",
            "TOUCH a",
        ] {
            assert!(
                matches!(fence.judge(&argv(line)), Passage::Closed),
                "{line}"
            );
        }
        let Passage::Ask(name) = fence.judge(&argv("get a")) else {
            panic!("the server is asked");
        };
        fence.learn(&name, &info(&["readonly", "fast"]));
        assert!(matches!(fence.judge(&argv("GET a")), Passage::Free));
        fence.learn("DBSIZE", &info(&["write", "readonly"]));
        assert!(matches!(fence.judge(&argv("DBSIZE")), Passage::Closed));
        for silent in [Value::Nil, Value::Array(vec![Value::Nil]), info(&[])] {
            fence.learn("TTL", &silent);
            assert!(matches!(fence.judge(&argv("TTL a")), Passage::Closed));
        }
        let asked = fence.judge(&argv("memory usage k"));
        assert!(matches!(asked, Passage::Ask(name) if name == "MEMORY|USAGE"));
    }
}
