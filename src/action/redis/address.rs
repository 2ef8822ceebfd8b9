//! Where a Redis target is and how to get in: its url and options, read into an [`Address`].
//!
//! Holds the password, so it has no `Debug`; only [`Address::peer`] may be shown.

use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::{ConnectionAddr, IntoConnectionInfo};
use serde::Deserialize;

use crate::action::{ActionError, Call, Target};
use crate::runbook::address::{self as form, Several, host_port};
use crate::runbook::units::Span;

/// How long a connection may take when the target does not say.
const CONNECT: Duration = Duration::from_secs(5);

/// Actions that mean the whole Cluster when their target is one. All others are refused there, so
/// that what one node says or does is never taken for the whole.
const ON_A_CLUSTER: &[&str] = &[
    "redis",
    "redis.config_get",
    "redis.info",
    "redis.keys",
    "redis.replication",
    "redis.roundtrip",
    "redis.stats",
];

/// A target's place and credentials.
#[derive(Clone)]
pub(super) struct Address {
    /// The target's name.
    pub name: String,
    /// `` `cache` (127.0.0.1:6379) ``, for messages.
    pub peer: String,
    /// `127.0.0.1:6379`, or the path of a socket; of several servers, all of them.
    pub place: String,
    /// The host alone; empty when there are several.
    pub host: String,
    /// How to get from here to the server that is meant.
    pub way: Way,
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

/// What the servers of an address are.
#[derive(Clone)]
pub(super) enum Way {
    /// The one that is meant.
    Direct,
    /// Sentinels, which know it.
    Sentinel(Sentinels),
    /// Nodes of a Cluster.
    Cluster(Vec<(String, u16)>),
}

/// The Sentinels of an address, and whom to ask them for.
#[derive(Clone)]
pub(super) struct Sentinels {
    pub hosts: Vec<(String, u16)>,
    /// The name under which they watch the master.
    pub master: String,
    /// Whether a replica of it is meant.
    pub replica: bool,
    pub user: Option<String>,
    pub password: Option<String>,
}

/// What may stand beside the url in `targets`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    db: Option<i64>,
    timeout: Option<Span>,
    ca: Option<PathBuf>,
    role: Option<Role>,
    sentinel_user: Option<String>,
    sentinel_password: Option<String>,
}

/// Which server behind the Sentinels.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Role {
    Master,
    Replica,
}

impl Address {
    /// The address of the call's target, which suits the call's action.
    pub fn of(call: &Call) -> Result<Self, ActionError> {
        let address = Self::of_target(call)?;
        if let Way::Cluster(_) = address.way {
            address.suits(&call.key)?;
        }
        Ok(address)
    }

    /// The address of the call's target, whatever is done there.
    pub fn of_target(call: &Call) -> Result<Self, ActionError> {
        let target = call
            .target
            .as_ref()
            .ok_or_else(|| ActionError::invalid(format!("`{}` needs a `target`", call.key)))?;
        let options = match &target.options {
            serde_json::Value::Null => Options::default(),
            other => serde_json::from_value(other.clone()).map_err(|error| {
                ActionError::invalid(format!("target `{}`: {error}", target.name))
            })?,
        };
        let mut address = match form::several(&target.url) {
            None => Self::one(target, &options)?,
            Some(Ok(several)) => Self::several(target, several, &options)?,
            Some(Err(why)) => return Err(not_one(target, &format!(": {why}"))),
        };
        address.db = options.db.unwrap_or(address.db);
        address.db_named |= options.db.is_some();
        address.connect = options.timeout.map_or(CONNECT, |limit| limit.0);
        address.reply = options.timeout.map(|limit| limit.0);
        address.ca = options.ca.map(|file| in_dir(&call.cwd, &file));
        if matches!(address.way, Way::Cluster(_)) && address.db != 0 {
            let (name, why) = (&target.name, form::ONE_DATABASE);
            let message = format!("the address of target `{name}`: {why}");
            return Err(ActionError::invalid(message));
        }
        Ok(address)
    }

    fn one(target: &Target, options: &Options) -> Result<Self, ActionError> {
        let name = &target.name;
        for (option, there) in [
            ("role", options.role.is_some()),
            ("sentinel_user", options.sentinel_user.is_some()),
            ("sentinel_password", options.sentinel_password.is_some()),
        ] {
            if there {
                return Err(ActionError::invalid(format!(
                    "target `{name}`: `{option}` is for an address of sentinels, redis+sentinel://"
                )));
            }
        }
        // the parser's own words could quote the address, and with it the password
        let info = target
            .url
            .as_str()
            .into_connection_info()
            .map_err(|_| not_one(target, ""))?;
        let (place, host) = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                (host_port(host, *port), host.clone())
            }
            ConnectionAddr::Unix(path) => (path.display().to_string(), String::new()),
            _ => return Err(not_one(target, "")),
        };
        let settings = info.redis_settings();
        Ok(Self {
            peer: format!("`{name}` ({place})"),
            user: settings.username().map(str::to_owned),
            password: settings.password().map(str::to_owned),
            db: settings.db(),
            db_named: names_db(&target.url),
            ..Self::bare(target, place, host, info.addr().clone())
        })
    }

    fn several(target: &Target, found: Several, options: &Options) -> Result<Self, ActionError> {
        let name = &target.name;
        let places: Vec<String> = found.hosts.iter().map(|(h, p)| host_port(h, *p)).collect();
        // there is at least one, and it only says whether TLS is spoken
        let socket = socket(found.tls, "", 0);
        let (word, way) = match found.way {
            form::Way::Cluster => {
                let other = options.role.is_some()
                    || options.sentinel_user.is_some()
                    || options.sentinel_password.is_some();
                if other {
                    return Err(ActionError::invalid(format!(
                        "target `{name}`: `role`, `sentinel_user` and `sentinel_password` are for \
                         an address of sentinels, redis+sentinel://"
                    )));
                }
                ("cluster".to_owned(), Way::Cluster(found.hosts))
            }
            form::Way::Sentinel(master) => (
                master.clone(),
                Way::Sentinel(Sentinels {
                    hosts: found.hosts,
                    master,
                    replica: options.role == Some(Role::Replica),
                    user: options.sentinel_user.clone(),
                    password: options.sentinel_password.clone(),
                }),
            ),
        };
        Ok(Self {
            peer: format!("`{name}` ({word})"),
            way,
            user: found.user,
            password: found.password,
            db: found.db.unwrap_or(0),
            db_named: found.db.is_some(),
            ..Self::bare(target, places.join(","), String::new(), socket)
        })
    }

    fn bare(target: &Target, place: String, host: String, socket: ConnectionAddr) -> Self {
        Self {
            name: target.name.clone(),
            peer: String::new(),
            place,
            host,
            way: Way::Direct,
            socket,
            user: None,
            password: None,
            db: 0,
            db_named: false,
            connect: CONNECT,
            reply: None,
            ca: None,
        }
    }

    fn suits(&self, key: &str) -> Result<(), ActionError> {
        if ON_A_CLUSTER.contains(&key) {
            return Ok(());
        }
        Err(ActionError::invalid(format!(
            "`{key}` is not supported on a Cluster, and `{}` is one",
            self.name
        ))
        .hint("it would reach one node only: give each master a target of its own, redis://"))
    }

    /// One server that this address leads to; `word` says what it is, such as the master's name.
    pub fn server(&self, word: &str, (host, port): (&str, u16)) -> Self {
        let place = host_port(host, port);
        let tls = matches!(self.socket, ConnectionAddr::TcpTls { .. });
        Self {
            peer: format!("`{}` ({word} {place})", self.name),
            host: host.to_owned(),
            way: Way::Direct,
            socket: socket(tls, host, port),
            place,
            ..self.clone()
        }
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

fn not_one(target: &Target, why: &str) -> ActionError {
    let name = &target.name;
    ActionError::invalid(format!(
        "the address of target `{name}` is not a Redis address{why}"
    ))
    .hint(
        "write redis://user:password@host:6379/0, rediss:// for TLS, \
         redis+sentinel://host:26379,host:26379/MASTERNAME or redis+cluster://host:7000,host:7000",
    )
}

fn socket(tls: bool, host: &str, port: u16) -> ConnectionAddr {
    let host = host.to_owned();
    match tls {
        false => ConnectionAddr::Tcp(host, port),
        true => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        },
    }
}

/// A path of a parameter, taken from the directory that the step works in.
pub(super) fn in_dir(dir: &Path, file: &Path) -> PathBuf {
    dir.join(file)
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
        assert_eq!(host_port("::1", 6379), "[::1]:6379");
        assert_eq!(host_port("localhost", 1), "localhost:1");
    }
}
