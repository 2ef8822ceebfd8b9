//! The way to a Redis server: a TCP, TLS or Unix stream with the library's protocol over it.
//!
//! It neither logs in nor chooses a database; that is [`super::client`]'s, with errors told apart.

use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, TlsCertificates,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;

use super::address::Address;
use super::client::REPLY_MAX;
use super::meter::{Meter, Metered};
use super::trouble;
use crate::action::ActionError;

pub(super) type Opened = (MultiplexedConnection, Option<JoinHandle<()>>, Arc<Meter>);

/// Opens the stream to a server and speaks Redis over it; nobody is logged in yet.
pub(super) async fn connect(address: &Address) -> Result<Opened, ActionError> {
    match &address.socket {
        ConnectionAddr::Tcp(_, port) => {
            let places = resolve(address, *port).await?;
            let stream = TcpStream::connect(places.as_slice())
                .await
                .map_err(|error| trouble::connect(&address.peer, &error))?;
            stream.set_nodelay(true).ok();
            over(address, stream).await
        }
        ConnectionAddr::Unix(path) => {
            let stream = UnixStream::connect(path)
                .await
                .map_err(|error| trouble::connect(&address.peer, &error))?;
            over(address, stream).await
        }
        ConnectionAddr::TcpTls { port, .. } => {
            resolve(address, *port).await?;
            over_tls(address).await
        }
        _ => Err(ActionError::invalid(format!(
            "{}: this kind of address is not supported",
            address.peer
        ))),
    }
}

pub(super) async fn resolve(
    address: &Address,
    port: u16,
) -> Result<Vec<std::net::SocketAddr>, ActionError> {
    let unknown = || trouble::no_such_host(&address.peer, &address.host);
    let found: Vec<_> = tokio::net::lookup_host((address.host.as_str(), port))
        .await
        .map_err(|_| unknown())?
        .collect();
    if found.is_empty() {
        return Err(unknown());
    }
    Ok(found)
}

/// Neither log in nor name the library.
fn bare() -> RedisConnectionInfo {
    RedisConnectionInfo::default().set_skip_set_lib_name()
}

/// The library's own limits are off: each command has its own.
fn untimed() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_response_timeout(None)
        .set_connection_timeout(None)
}

async fn over<S>(address: &Address, stream: S) -> Result<Opened, ActionError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let meter = Arc::new(Meter::default());
    meter.allow(REPLY_MAX);
    let stream = Metered {
        stream,
        meter: meter.clone(),
    };
    let (connection, driver) = MultiplexedConnection::new_with_config(&bare(), stream, untimed())
        .await
        .map_err(|error| {
            ActionError::unreachable(format!("{} cannot be used: {error}", address.peer))
        })?;
    Ok((connection, Some(tokio::spawn(driver)), meter))
}

async fn over_tls(address: &Address) -> Result<Opened, ActionError> {
    // an error means that somebody installed one before, which is as good
    let _ = rustls::crypto::ring::default_provider().install_default();
    let unusable = |error: RedisError| trouble::tls(&address.peer, &error.to_string());
    let info = address
        .socket
        .clone()
        .into_connection_info()
        .map_err(unusable)?
        .set_redis_settings(bare());
    let client = match &address.ca {
        None => Client::open(info).map_err(unusable)?,
        Some(file) => {
            let pem = tokio::fs::read(file).await.map_err(|error| {
                ActionError::invalid(format!(
                    "{}: cannot read `ca` `{}`: {error}",
                    address.peer,
                    file.display()
                ))
            })?;
            let authority = TlsCertificates {
                client_tls: None,
                root_cert: Some(pem),
            };
            Client::build_with_tls(info, authority).map_err(unusable)?
        }
    };
    let connection = client
        .get_multiplexed_async_connection_with_config(&untimed())
        .await
        .map_err(|error| match error.is_connection_refusal() {
            true => trouble::connect(
                &address.peer,
                &std::io::Error::from(std::io::ErrorKind::ConnectionRefused),
            ),
            false => unusable(error),
        })?;
    Ok((connection, None, Arc::new(Meter::default())))
}
