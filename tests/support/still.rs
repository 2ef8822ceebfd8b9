//! Proofs that nothing changed: fingerprints of directories and Redis servers, and which commands a
//! server was given.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Every file below a directory with its content's hash and mode, but for paths that contain one of
/// `but`.
pub fn tree(dir: &Path, but: &[&str]) -> BTreeMap<String, String> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(path) = open.pop() {
        let name = path.strip_prefix(dir).unwrap().display().to_string();
        if but.iter().any(|but| name.contains(but)) {
            continue;
        }
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        let mode = metadata.permissions().mode();
        let what = if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()));
            format!("directory {mode:o}")
        } else if metadata.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            format!("{:x} {mode:o}", Sha256::digest(bytes))
        } else {
            format!("other {mode:o}")
        };
        found.insert(name, what);
    }
    found
}

/// What a Redis server holds and was told to write.
#[derive(Debug, PartialEq, Eq)]
pub struct Redis {
    keys: BTreeMap<u16, BTreeMap<Vec<u8>, Vec<u8>>>,
    changes: String,
    config: BTreeMap<String, String>,
}

impl Redis {
    /// As it is now.
    pub fn of(url: &str, databases: &[u16]) -> Self {
        let mut keys = BTreeMap::new();
        for db in databases {
            let mut connection = connect(url, *db);
            let names: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
            let mut values = BTreeMap::new();
            for name in names {
                let dump: Vec<u8> = redis::cmd("DUMP")
                    .arg(&name)
                    .query(&mut connection)
                    .unwrap();
                values.insert(name, dump);
            }
            keys.insert(*db, values);
        }
        let mut connection = connect(url, 0);
        let info: String = redis::cmd("INFO")
            .arg("persistence")
            .query(&mut connection)
            .unwrap();
        let changes = info
            .lines()
            .find(|line| line.starts_with("rdb_changes_since_last_save"));
        let config = redis::cmd("CONFIG")
            .arg("GET")
            .arg("*")
            .query(&mut connection)
            .unwrap();
        Self {
            keys,
            changes: changes.unwrap().to_owned(),
            config,
        }
    }
}

/// How often each command was called.
pub fn calls(url: &str) -> BTreeMap<String, u64> {
    let mut connection = connect(url, 0);
    let info: String = redis::cmd("INFO")
        .arg("commandstats")
        .query(&mut connection)
        .unwrap();
    let calls = info.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().unwrap()))
    });
    calls.collect()
}

/// The commands that were called between two counts, but for those that counting itself takes.
pub fn called(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeSet<String> {
    let more = after
        .iter()
        .filter(|(name, calls)| before.get(*name).unwrap_or(&0) < *calls);
    more.map(|(name, _)| name.clone()).collect()
}

/// Demands that the server itself calls all of these reading, or that they are known to look at the
/// server or to make a connection.
#[track_caller]
pub fn all_read(url: &str, commands: &BTreeSet<String>) {
    const LOOKS: &[&str] = &[
        "auth",
        "client|list",
        "client|setinfo",
        "command|info",
        "config|get",
        "info",
        "ping",
        "role",
        "select",
        "slowlog|get",
    ];
    let mut connection = connect(url, 0);
    for name in commands
        .iter()
        .filter(|name| !LOOKS.contains(&name.as_str()))
    {
        let mut info = redis::cmd("COMMAND");
        let answer: redis::Value = info.arg("INFO").arg(name).query(&mut connection).unwrap();
        assert!(
            format!("{answer:?}").contains("readonly"),
            "`{name}`: {answer:?}"
        );
    }
}

fn connect(url: &str, db: u16) -> redis::Connection {
    let (server, _) = url.rsplit_once('/').unwrap();
    redis::Client::open(format!("{server}/{db}"))
        .unwrap()
        .get_connection()
        .unwrap()
}
