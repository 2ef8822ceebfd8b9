//! Addresses of Redis that name several servers: Sentinels and the master that they watch, or nodes
//! of a Cluster. Main type: [`Several`], read by [`several`].
//!
//! Only text is read here: nothing is looked up, and an error never repeats the user or the password.

/// How the servers of an address lead to the one that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// They are Sentinels, and know the master of this name.
    Sentinel(String),
    /// They are nodes of one Cluster.
    Cluster,
}

/// An address of several servers. It holds a password, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Several {
    /// What the servers are.
    pub way: Way,
    /// Whether TLS is spoken with each of them, and with those that they name.
    pub tls: bool,
    /// The user of the Redis servers; Sentinels have users of their own.
    pub user: Option<String>,
    /// The password of the Redis servers.
    pub password: Option<String>,
    /// Host and port, at least one.
    pub hosts: Vec<(String, u16)>,
    /// The database, where the address names one.
    pub db: Option<i64>,
}

/// Schemes of addresses with several servers.
pub const SCHEMES: [&str; 4] = [
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
];

/// Reads an address of several servers; `None` when it is of another form.
///
/// # Errors
/// What is wrong with it, in words.
pub fn several(url: &str) -> Option<Result<Several, String>> {
    let (scheme, rest) = url.split_once("://")?;
    SCHEMES.contains(&scheme).then(|| read(scheme, rest))
}

/// `host:port`, as people write it.
pub fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Host and port of a text such as `h:1`, `h` or `[::1]:1`.
pub fn split_host(text: &str, usual: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Some(usual), |port| port.parse().ok())?;
    (!host.is_empty() && port != 0).then(|| (host.to_owned(), port))
}

fn read(scheme: &str, rest: &str) -> Result<Several, String> {
    let sentinel = scheme.ends_with("+sentinel");
    let usual = if sentinel { 26379 } else { 6379 };
    if rest.contains(['?', '#']) {
        return Err("options stand beside the address, not behind a `?` in it; \
                    special characters of a password are percent-encoded"
            .into());
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if path.contains('@') {
        return Err("special characters of a password are percent-encoded: `/` is `%2F`".into());
    }
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (Some(login), hosts),
        None => (None, authority),
    };
    let (user, password) = login.map_or(Ok((None, None)), credentials)?;
    let hosts = hosts
        .split(',')
        .map(|host| split_host(host.trim(), usual))
        .collect::<Option<Vec<_>>>()
        .ok_or("it needs a list of hosts such as `one:7000,two:7000`")?;
    let mut parts = path.split('/');
    let name = match sentinel {
        true => parts.next().unwrap_or_default(),
        false => "",
    };
    let db = match (parts.next(), parts.next()) {
        (None | Some(""), None) => None,
        (Some(db), None) => Some(db.parse().map_err(|_| "the database is a number")?),
        _ => return Err("there is too much behind the hosts".into()),
    };
    let way = match (sentinel, name) {
        (false, _) => Way::Cluster,
        (true, "") => {
            return Err("the name of the master is missing behind the sentinels: \
                        `redis+sentinel://one:26379,two:26379/NAME`"
                .into());
        }
        (true, name) => Way::Sentinel(decoded(name)?),
    };
    if way == Way::Cluster && db.is_some_and(|db| db != 0) {
        return Err(ONE_DATABASE.into());
    }
    Ok(Several {
        way,
        tls: scheme.starts_with("rediss"),
        user,
        password,
        hosts,
        db,
    })
}

/// Why a Cluster takes no other database.
pub const ONE_DATABASE: &str = "a Cluster has one database, 0";

type Login = (Option<String>, Option<String>);

fn credentials(login: &str) -> Result<Login, String> {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let some = |text: &str| -> Result<Option<String>, String> {
        Ok(Some(decoded(text)?).filter(|text| !text.is_empty()))
    };
    Ok((some(user)?, some(password)?))
}

fn decoded(text: &str) -> Result<String, String> {
    let bad = || "a `%` is followed by two hexadecimal digits".to_owned();
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2).ok_or_else(bad)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| bad())?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(url: &str) -> Several {
        several(url).unwrap().unwrap_or_else(|why| panic!("{why}"))
    }

    fn bad(url: &str) -> String {
        several(url).unwrap().err().unwrap()
    }

    #[test]
    fn each_form_is_read() {
        let found = good("redis+sentinel://ann:p%40%2Fw@a,b:1,[::1]:2/my%20one/3");
        assert_eq!(found.way, Way::Sentinel("my one".into()));
        assert_eq!(
            (found.user.as_deref(), found.password.as_deref()),
            (Some("ann"), Some("p@/w"))
        );
        let hosts = [("a", 26379), ("b", 1), ("::1", 2)].map(|(host, port)| (host.into(), port));
        assert_eq!(found.hosts, hosts);
        assert_eq!((found.db, found.tls), (Some(3), false));
        let found = good("rediss+cluster://:p@h");
        assert_eq!((found.way, found.tls), (Way::Cluster, true));
        assert_eq!(found.hosts, [("h".to_owned(), 6379)]);
        assert_eq!((found.user, found.password), (None, Some("p".into())));
        assert_eq!((found.db, good("redis+cluster://h/0").db), (None, Some(0)));
        for other in ["redis://h", "rediss://h", "unix:///run/r.sock", "h:1", ""] {
            assert!(several(other).is_none(), "{other}");
        }
    }

    #[test]
    fn mistakes_are_told_without_the_password() {
        for (url, says) in [
            ("redis+sentinel://u:hunter22@h:1", "name of the master"),
            ("redis+sentinel://u:hunter22@h:1/", "name of the master"),
            ("redis+sentinel://u:hunter22@h:1/m/x", "is a number"),
            ("redis+sentinel://u:hunter22@h:1/m/1/2", "too much"),
            ("redis+sentinel://u:hunter22@/m", "a list of hosts"),
            ("redis+sentinel://u:hunter22@a:1,/m", "a list of hosts"),
            ("redis+sentinel://u:hunter22@a:99999/m", "a list of hosts"),
            ("redis+sentinel://u:hun/ter22@a:1/m", "percent-encoded"),
            ("redis+sentinel://u:hun?ter22@a:1/m", "percent-encoded"),
            ("redis+sentinel://u:hunter%zz@a:1/m", "two hexadecimal"),
            ("redis+cluster://u:hunter22@a:1/2", "one database, 0"),
            ("redis+cluster://u:hunter22@a:x", "a list of hosts"),
        ] {
            let why = bad(url);
            assert!(why.contains(says), "{url}: {why}");
            assert!(!why.contains("hun"), "{why}");
        }
    }
}
