//! Who may be dialled, and the clients that dial.
//!
//! [`Pool`] keeps one client per way of connecting for the run. Its resolver hands out only
//! addresses that passed [`forbidden`], so what was judged is what is dialled. Redirects and proxies
//! are switched off here: every hop is decided in `exchange`.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Client, redirect};

/// What tells one client from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Way {
    /// Whether TLS is spoken; without it no certificates are loaded.
    pub tls: bool,
    /// Whether any certificate will do.
    pub insecure: bool,
    /// The only roots to trust, as PEM; the system's when absent.
    pub ca: Option<Vec<u8>>,
    /// Hosts, lower case, that may be at link-local addresses.
    pub allow_hosts: Vec<String>,
    /// How long connecting (name, TCP, TLS) may take.
    pub connect_timeout: Duration,
}

/// The run's HTTP clients. A connection is used for one request: a probe is to see what a new caller
/// would see, and a change is never sent down a connection that may have died since.
#[derive(Default)]
pub struct Pool(Mutex<HashMap<Way, Client>>);

impl Pool {
    /// The client for `way`, made when it is first asked for.
    ///
    /// # Errors
    /// In words, when the roots cannot be read.
    pub fn client(&self, way: &Way) -> Result<Client, String> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(way) {
            return Ok(client.clone());
        }
        let client = build(way, 0)?;
        clients.insert(way.clone(), client.clone());
        Ok(client)
    }
}

/// A client of its own that keeps up to `idle` connections open between requests: for samples, which
/// are about answers and not about connecting.
///
/// # Errors
/// In words, when the roots cannot be read.
pub fn keeping(way: &Way, idle: usize) -> Result<Client, String> {
    build(way, idle)
}

fn build(way: &Way, idle: usize) -> Result<Client, String> {
    // an error only says that a provider is installed already
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .retry(reqwest::retry::never())
        .user_agent(concat!("ferry/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(way.connect_timeout)
        .pool_max_idle_per_host(idle)
        .http1_only()
        .dns_resolver(Vetting {
            allow_hosts: way.allow_hosts.clone(),
        });
    if !way.tls {
        builder = builder.tls_certs_only([]);
    } else if way.insecure {
        builder = builder.tls_danger_accept_invalid_certs(true);
    } else if let Some(pem) = &way.ca {
        let roots = Certificate::from_pem_bundle(pem)
            .map_err(|_| "the `ca` file holds no readable PEM certificate".to_owned())?;
        builder = builder.tls_certs_only(roots);
    }
    builder
        .build()
        .map_err(|error| super::words::innermost(&error))
}

/// The longest step of the ladder that leaves time for the exchange itself: when connecting hangs,
/// it is this that ends it, and then nothing was sent.
pub fn connect_timeout(left: Duration) -> Duration {
    const LADDER_MS: [u64; 7] = [10_000, 5_000, 2_000, 1_000, 500, 200, 100];
    LADDER_MS
        .into_iter()
        .map(Duration::from_millis)
        .find(|step| *step <= left.mul_f64(0.8))
        .unwrap_or(Duration::from_millis(50))
}

/// Whether `host` (of a URL, lower case) is on the list.
pub fn allowed(host: &str, allow_hosts: &[String]) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    allow_hosts.iter().any(|allowed| allowed == host)
}

/// Why an address is never dialled, when it is not: link-local addresses are where clouds serve
/// credentials.
pub fn forbidden(address: IpAddr) -> Option<&'static str> {
    const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address {
        IpAddr::V4(v4) if v4.is_link_local() => Some("a link-local address"),
        IpAddr::V4(v4) if v4.octets() == [100, 100, 100, 200] => Some("a metadata address"),
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80 => Some("a link-local address"),
        IpAddr::V6(METADATA_V6) => Some("a metadata address"),
        IpAddr::V6(v6) => embedded(v6).and_then(|v4| forbidden(IpAddr::V4(v4))),
    }
}

/// The IPv4 address inside a mapped, compatible or NAT64 one.
fn embedded(v6: Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    let nat64 = v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    if nat64 {
        let [.., a, b, c, d] = v6.octets();
        return Some(std::net::Ipv4Addr::new(a, b, c, d));
    }
    v6.to_ipv4()
}

/// Why a name gave no address to dial.
#[derive(Debug)]
pub enum NameError {
    /// It did not resolve; the resolver's words.
    Unresolved(String),
    /// It resolved to what is never dialled.
    Forbidden(IpAddr, &'static str),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved(why) => write!(f, "name not resolved (DNS): {why}"),
            Self::Forbidden(address, what) => {
                write!(f, "refused to dial {address}, {what}")
            }
        }
    }
}

impl std::error::Error for NameError {}

struct Vetting {
    allow_hosts: Vec<String>,
}

impl Resolve for Vetting {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_ascii_lowercase();
        let free = allowed(&host, &self.allow_hosts);
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0))
                .await
                .map_err(|error| NameError::Unresolved(error.to_string()))?
                .collect::<Vec<_>>();
            let addresses = if free { found } else { vet(found)? };
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// One forbidden address spoils the name: such a name is not an honest one.
fn vet(found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, NameError> {
    for address in &found {
        if let Some(what) = forbidden(address.ip()) {
            return Err(NameError::Forbidden(address.ip(), what));
        }
    }
    if found.is_empty() {
        return Err(NameError::Unresolved("it has no address".into()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_addresses_are_forbidden_in_every_spelling() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "::ffff:a9fe:a9fe",
            "::a9fe:a9fe",
            "64:ff9b::a9fe:a9fe",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "100.100.100.200",
        ] {
            assert!(forbidden(address.parse().unwrap()).is_some(), "{address}");
        }
        for address in ["127.0.0.1", "::1", "10.0.0.1", "fd00:ec2::253", "192.0.2.1"] {
            assert_eq!(forbidden(address.parse().unwrap()), None, "{address}");
        }
    }

    #[test]
    fn one_forbidden_address_spoils_a_name() {
        let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 0);
        assert_eq!(vet(vec![at("127.0.0.1")]).unwrap().len(), 1);
        let error = vet(vec![at("127.0.0.1"), at("169.254.169.254")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "refused to dial 169.254.169.254, a link-local address"
        );
        assert!(matches!(vet(vec![]), Err(NameError::Unresolved(_))));
    }

    #[test]
    fn connecting_ends_before_the_deadline_does() {
        for (left, connect) in [(60_000, 10_000), (3_000, 2_000), (1_000, 500), (10, 50)] {
            assert_eq!(
                connect_timeout(Duration::from_millis(left)),
                Duration::from_millis(connect)
            );
        }
    }
}
