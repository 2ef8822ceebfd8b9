//! Where a target is, whoever is let in there: two targets of one server are at one place, whatever
//! their addresses look like.
//!
//! Main type: [`Place`]. It connects to nothing, and sees through no second name of a host.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::action::Target;
use crate::runbook::TargetKind;
use crate::runbook::address::{self, Several, Way};

/// Where an address may lead. What a Redis address says of a database is not part of it.
pub(super) struct Place {
    /// The first is the one that people are told. More where the address can be read in two ways.
    names: Vec<String>,
    /// Device and inode of a file that is there.
    file: Option<(u64, u64)>,
}

impl Place {
    /// The place of a target.
    pub(super) fn of(target: &Target) -> Self {
        match target.kind {
            TargetKind::Sqlite => file(&target.url),
            _ => server(target),
        }
    }

    /// For people, without user and password.
    pub(super) fn shown(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// Whether both may lead to the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.file.is_some() && self.file == other.file
            || self.names.iter().any(|name| other.names.contains(name))
    }
}

/// One file has many spellings, and many names.
fn file(url: &str) -> Place {
    let path = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = path.strip_prefix("//").unwrap_or(path);
    // what a file is called may have a `?` in it
    let plain = path.split(['?', '#']).next().unwrap_or_default();
    let real = |path: &str| {
        let real = std::fs::canonicalize(path).ok();
        // one that is not there yet is in a directory with as many spellings
        let real = real.or_else(|| {
            let path = Path::new(path);
            let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
            let dir = std::fs::canonicalize(parent.unwrap_or(Path::new("."))).ok()?;
            Some(dir.join(path.file_name()?))
        });
        real.map_or_else(|| path.to_owned(), |path| path.display().to_string())
    };
    let at = [path, plain]
        .iter()
        .find_map(|path| std::fs::metadata(path).ok());
    let mut names = vec![real(path), real(plain)];
    names.dedup();
    Place {
        names,
        file: at.map(|at| (at.dev(), at.ino())),
    }
}

fn server(target: &Target) -> Place {
    let (url, query) = target
        .url
        .split_once(['?', '#'])
        .unwrap_or((&target.url, ""));
    let plain = |name: &str| Place {
        names: vec![name.to_owned()],
        file: None,
    };
    if let Some(Ok(several)) = address::several(&target.url) {
        return several_servers(&several);
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return plain(url);
    };
    if scheme.contains("unix") {
        let at = std::fs::metadata(rest).ok();
        return Place {
            file: at.map(|at| (at.dev(), at.ino())),
            ..plain(rest)
        };
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let usual = match target.kind {
        TargetKind::Redis => "6379",
        TargetKind::Postgres => "5432",
        TargetKind::Mysql => "3306",
        _ if scheme == "https" => "443",
        _ => "80",
    };
    let (name, port) = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
            (host, if port.is_empty() { usual } else { port })
        }
        _ => (authority, usual),
    };
    if !matches!(target.kind, TargetKind::Postgres | TargetKind::Mysql) {
        // the paths of a service are its own
        return plain(&format!("{}:{port}", host(name)));
    }
    // a driver may go by the parameters, or pass them over: both readings count
    let last = |keys: &[&str]| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let said = pairs.rfind(|(key, _)| keys.contains(key));
        said.map(|(_, value)| decoded(value))
    };
    let database = decoded(path);
    let hosts = [
        Some(host(name)),
        last(&["host", "hostaddr", "socket"]).map(|name| host(&name)),
    ];
    let ports = [Some(port.to_owned()), last(&["port"])];
    let databases = [Some(database), last(&["dbname"])];
    let mut names = Vec::new();
    // what the parameters say comes first
    for database in databases.iter().rev().flatten() {
        for port in ports.iter().rev().flatten() {
            for host in hosts.iter().rev().flatten() {
                names.push(format!("{host}:{port}/{database}"));
            }
        }
    }
    Place { names, file: None }
}

/// Each server that an address names may be the one that another address names alone. Which server
/// Sentinels lead to is not known without asking them; what they watch is theirs alone.
fn several_servers(several: &Several) -> Place {
    let behind = match &several.way {
        Way::Sentinel(master) => format!("/{master}"),
        Way::Cluster => String::new(),
    };
    let places = several.hosts.iter();
    let mut names: Vec<String> = places
        .map(|(name, port)| format!("{}:{port}{behind}", host(name)))
        .collect();
    names.sort_unstable();
    Place { names, file: None }
}

/// A host as it is compared.
fn host(name: &str) -> String {
    let name = decoded(name).to_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    match name {
        "localhost" | "[::1]" | "::1" => "127.0.0.1".into(),
        _ => name.to_owned(),
    }
}

/// Without percent-encoding, as far as it is some.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        rest = match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                &tail[2..]
            }
            _ => {
                bytes.push(first);
                tail
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(kind: TargetKind, url: &str) -> Place {
        Place::of(&Target {
            name: "t".into(),
            kind,
            url: url.into(),
            options: serde_json::Value::Null,
        })
    }

    #[test]
    fn one_server_has_many_addresses() {
        use TargetKind::{Mysql, Postgres, Redis};
        for (kind, a, b) in [
            (
                Redis,
                "redis://u:p@LocalHost./1",
                "rediss://127.0.0.1:6379/2",
            ),
            (
                Redis,
                "redis://cache.example.:6379",
                "redis://CACHE.example",
            ),
            (
                Redis,
                "redis+cluster://u:p@a:7000,b:7000",
                "redis://B.:7000/0",
            ),
            (
                Redis,
                "redis+sentinel://a,b/m/1",
                "rediss+sentinel://x:y@c:1,b:26379/m",
            ),
            (
                Postgres,
                "postgres://u@db/app",
                "postgres://v@stage/x?host=db&dbname=app",
            ),
            (
                Postgres,
                "postgres://u@db:5432/app",
                "postgresql://db:1/%61pp?port=5432",
            ),
            (
                Mysql,
                "mysql://u@db/app",
                "mysql://w:x@DB.:3306/app?ssl-mode=disabled",
            ),
        ] {
            assert!(place(kind, a).is(&place(kind, b)), "{a} {b}");
        }
        for (kind, a, b) in [
            (Redis, "redis://mylocalhost", "redis://my127.0.0.1"),
            (Redis, "redis://cache:1", "redis://cache:2"),
            (Redis, "redis+sentinel://a/m", "redis+sentinel://a/n"),
            (Postgres, "postgres://u@db/app", "postgres://u@db/other"),
        ] {
            assert!(!place(kind, a).is(&place(kind, b)), "{a} {b}");
        }
    }

    #[test]
    fn one_file_has_many_names() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("sqlite:{}", dir.path().join(name).display());
        std::fs::write(dir.path().join("a.db"), "").unwrap();
        std::fs::hard_link(dir.path().join("a.db"), dir.path().join("b.db")).unwrap();
        let sqlite = |url: &str| place(TargetKind::Sqlite, url);
        assert!(sqlite(&at("a.db")).is(&sqlite(&at("b.db"))));
        assert!(sqlite(&at("a.db")).is(&sqlite(&at("./b.db?mode=rw"))));
        assert!(sqlite(&at("new.db")).is(&sqlite(&at("./new.db"))));
        assert!(!sqlite(&at("a.db")).is(&sqlite(&at("new.db"))));
    }
}
