//! Where a Redis target is and how to get in: its url and options, read into an [`Address`].
//!
//! Holds the password, so it has no `Debug`; only [`Address::peer`] may be shown.

use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::{ConnectionAddr, IntoConnectionInfo};
use serde::Deserialize;

use crate::action::{ActionError, Call};
use crate::runbook::units::Span;

/// How long a connection may take when the target does not say.
const CONNECT: Duration = Duration::from_secs(5);

/// A target's place and credentials.
pub(super) struct Address {
    /// `` `cache` (127.0.0.1:6379) ``, for messages.
    pub peer: String,
    /// `127.0.0.1:6379`, or the path of a socket.
    pub place: String,
    /// The host alone.
    pub host: String,
    pub socket: ConnectionAddr,
    pub user: Option<String>,
    pub password: Option<String>,
    /// The database to work in.
    pub db: i64,
    /// Whether the runbook names the database, by option or in the url.
    pub db_named: bool,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long one reply may take, when the target says so.
    pub reply: Option<Duration>,
    /// A PEM file of the authority to trust instead of the system's.
    pub ca: Option<PathBuf>,
}

/// What may stand beside the url in `targets`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    db: Option<i64>,
    timeout: Option<Span>,
    ca: Option<PathBuf>,
}

impl Address {
    /// The address of the call's target.
    pub fn of(call: &Call) -> Result<Self, ActionError> {
        let target = call
            .target
            .as_ref()
            .ok_or_else(|| ActionError::invalid(format!("`{}` needs a `target`", call.key)))?;
        let name = &target.name;
        // the parser's own words could quote the address, and with it the password
        let bad = || {
            ActionError::invalid(format!(
                "the address of target `{name}` is not a Redis address"
            ))
            .hint("write redis://user:password@host:6379/0, or rediss:// for TLS")
        };
        let info = target
            .url
            .as_str()
            .into_connection_info()
            .map_err(|_| bad())?;
        let options = match &target.options {
            serde_json::Value::Null => serde_json::json!({}),
            other => other.clone(),
        };
        let options: Options = serde_json::from_value(options)
            .map_err(|error| ActionError::invalid(format!("target `{name}`: {error}")))?;
        let (place, host) = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                (shown(host, *port), host.clone())
            }
            ConnectionAddr::Unix(path) => (path.display().to_string(), String::new()),
            _ => return Err(bad()),
        };
        let settings = info.redis_settings();
        Ok(Self {
            peer: format!("`{name}` ({place})"),
            place,
            host,
            socket: info.addr().clone(),
            user: settings.username().map(str::to_owned),
            password: settings.password().map(str::to_owned),
            db: options.db.unwrap_or(settings.db()),
            db_named: options.db.is_some() || names_db(&target.url),
            connect: options.timeout.map_or(CONNECT, |limit| limit.0),
            reply: options.timeout.map(|limit| limit.0),
            ca: options.ca.map(|file| in_dir(&call.cwd, &file)),
        })
    }

    /// Whether both lead to the same place, as the same user, into the same database.
    pub fn leads_to(&self, other: &Self) -> bool {
        self.socket == other.socket
            && self.user == other.user
            && self.password == other.password
            && self.db == other.db
            && self.ca == other.ca
            && self.peer == other.peer
    }
}

/// A path of a parameter, taken from the directory that the step works in.
pub(super) fn in_dir(dir: &Path, file: &Path) -> PathBuf {
    dir.join(file)
}

fn shown(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Whether a url ends in a database, such as `redis://host/1`.
fn names_db(url: &str) -> bool {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    path.rsplit_once('@')
        .map_or(path, |(_, place)| place)
        .split_once('/')
        .is_some_and(|(_, db)| !db.is_empty() && db.bytes().all(|b| b.is_ascii_digit()))
        || url.contains("?db=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_named_or_not() {
        assert!(names_db("redis://h:1/2"));
        assert!(names_db("redis://u:p/w@h/0"));
        assert!(!names_db("redis://h:6379"));
        assert!(!names_db("redis://h/"));
        assert!(!names_db("unix:///run/redis.sock"));
        assert!(names_db("unix:///run/redis.sock?db=1"));
    }

    #[test]
    fn six_shows_in_brackets() {
        assert_eq!(shown("::1", 6379), "[::1]:6379");
        assert_eq!(shown("localhost", 1), "localhost:1");
    }
}
