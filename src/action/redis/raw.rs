//! [`Raw`]: a second connection for what answers without being asked: MONITOR and SUBSCRIBE.
//!
//! It goes where a [`Link`] already goes, as the same user, and hands out the server's lines one by
//! one, none longer than [`LINE`] in memory. A rehearsal opens none: nothing here passes the fence.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::ConnectionAddr;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};

use super::address::Address;
use super::client::{Link, verb};
use super::trouble::{self, Effect};
use super::{dial, rights};
use crate::action::ActionError;
use crate::action::pause::timeout;

/// The longest line that is kept whole.
const LINE: usize = 64 << 10;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// A line of the server's, without its end.
pub(super) struct Line {
    pub bytes: Vec<u8>,
    /// How long it was: what is beyond [`LINE`] was dropped.
    pub length: usize,
}

/// One connection, logged in.
pub(super) struct Raw {
    stream: BufReader<Box<dyn Duplex>>,
    /// What has come of the next line.
    line: Line,
    peer: String,
}

impl Raw {
    /// Connects to where `link` leads, and logs in as it did.
    pub async fn open(link: &Link) -> Result<Self, ActionError> {
        let address = &link.address;
        let opened = async {
            let mut raw = Self {
                stream: BufReader::with_capacity(LINE, stream(address).await?),
                line: Line::empty(),
                peer: address.peer.clone(),
            };
            if let Some(password) = &address.password {
                let mut argv = vec!["AUTH"];
                argv.extend(address.user.as_deref());
                argv.push(password);
                let answer = raw.ask(&argv).await?;
                if let Some((code, detail)) = error_of(&answer) {
                    return Err(trouble::login(&raw.peer, code, detail));
                }
            }
            Ok(raw)
        };
        match timeout(address.connect, opened).await {
            Ok(opened) => opened,
            Err(_) => Err(trouble::connect_timeout(&address.peer, address.connect)),
        }
    }

    /// Sends a command and waits for the first line that answers; an error reply is an error.
    pub async fn begin(
        &mut self,
        link: &Link,
        argv: &[&str],
        limit: Duration,
    ) -> Result<(), ActionError> {
        let verb = verb(argv);
        let answer = match timeout(limit, self.ask(argv)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(trouble::timeout(&self.peer, Effect::Reads, &verb, limit)),
        };
        match error_of(&answer) {
            None => Ok(()),
            Some((code, detail)) => {
                let error = trouble::server(&self.peer, Effect::Reads, code, detail);
                Err(rights::named(error, link, &verb))
            }
        }
    }

    /// Sends a command; its first line.
    async fn ask(&mut self, argv: &[&str]) -> Result<String, ActionError> {
        let mut command = redis::Cmd::new();
        for arg in argv {
            command.arg(*arg);
        }
        let verb = verb(argv);
        let lost = |error: io::Error, peer: &str| {
            trouble::lost(peer, Effect::Reads, &verb, &error.to_string())
        };
        let packed = command.get_packed_command();
        let sent = async {
            self.stream.write_all(&packed).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|error| lost(error, &self.peer))?;
        let line = self.line().await.map_err(|error| lost(error, &self.peer))?;
        Ok(String::from_utf8_lossy(&line.bytes).into_owned())
    }

    /// The next line. Nothing is lost when the wait for it is given up.
    pub async fn line(&mut self) -> io::Result<Line> {
        loop {
            let found = self.stream.fill_buf().await?;
            if found.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let end = found.iter().position(|byte| *byte == b'\n');
            let part = &found[..end.unwrap_or(found.len())];
            let room = LINE.saturating_sub(self.line.bytes.len()).min(part.len());
            self.line.bytes.extend_from_slice(&part[..room]);
            self.line.length += part.len();
            let used = part.len() + usize::from(end.is_some());
            self.stream.consume(used);
            if end.is_some() {
                let mut line = std::mem::replace(&mut self.line, Line::empty());
                if line.bytes.last() == Some(&b'\r') {
                    line.bytes.pop();
                }
                return Ok(line);
            }
        }
    }
}

impl Line {
    fn empty() -> Self {
        Self {
            bytes: Vec::new(),
            length: 0,
        }
    }
}

/// Code and text of an error line.
fn error_of(line: &str) -> Option<(&str, &str)> {
    let text = line.strip_prefix('-')?;
    Some(text.split_once(' ').unwrap_or((text, "")))
}

async fn stream(address: &Address) -> Result<Box<dyn Duplex>, ActionError> {
    let failed = |error: io::Error| trouble::connect(&address.peer, &error);
    let tcp = async |port: u16| -> Result<TcpStream, ActionError> {
        let places = dial::resolve(address, port).await?;
        let stream = TcpStream::connect(places.as_slice()).await;
        let stream = stream.map_err(failed)?;
        stream.set_nodelay(true).ok();
        Ok(stream)
    };
    Ok(match &address.socket {
        ConnectionAddr::Tcp(_, port) => Box::new(tcp(*port).await?),
        ConnectionAddr::TcpTls { host, port, .. } => {
            let stream = tcp(*port).await?;
            let said = |error: String| trouble::tls(&address.peer, &error);
            let name = ServerName::try_from(host.clone());
            let name = name.map_err(|error| said(error.to_string()))?;
            let config = trust(address).map_err(said)?;
            let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
            let stream = connector.connect(name, stream).await;
            Box::new(stream.map_err(|error| said(error.to_string()))?)
        }
        ConnectionAddr::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(failed)?),
        _ => {
            let message = format!("{}: this kind of address is not supported", address.peer);
            return Err(ActionError::invalid(message));
        }
    })
}

/// Whom to believe: the target's authority, or the system's.
fn trust(address: &Address) -> Result<rustls::ClientConfig, String> {
    // an error means that somebody installed one before, which is as good
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authorities = match &address.ca {
        None => rustls_native_certs::load_native_certs().certs,
        Some(file) => CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect)
            .map_err(|error| format!("cannot read `ca` `{}`: {error}", file.display()))?,
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(authorities);
    Ok(rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(stream: impl Duplex + 'static) -> Raw {
        Raw {
            stream: BufReader::with_capacity(LINE, Box::new(stream)),
            line: Line::empty(),
            peer: "`t` (h:1)".into(),
        }
    }

    #[tokio::test]
    async fn a_long_line_is_cut_and_a_wait_given_up_loses_nothing() {
        let (mut server, client) = tokio::io::duplex(1 << 20);
        let mut raw = raw(client);
        server.write_all(b"+half").await.unwrap();
        let waited = timeout(Duration::from_millis(20), raw.line()).await;
        assert!(waited.is_err());
        server.write_all(b" whole\r\n").await.unwrap();
        server.write_all(&vec![b'x'; 300_000]).await.unwrap();
        server.write_all(b"\r\n-ERR no\r\n").await.unwrap();
        assert_eq!(raw.line().await.unwrap().bytes, b"+half whole");
        let long = raw.line().await.unwrap();
        assert_eq!((long.bytes.len(), long.length), (LINE, 300_001));
        let error = raw.line().await.unwrap().bytes;
        let error = String::from_utf8(error).unwrap();
        assert_eq!(error_of(&error), Some(("ERR", "no")));
        drop(server);
        let end = raw.line().await.err().map(|error| error.kind());
        assert_eq!(end, Some(io::ErrorKind::UnexpectedEof));
    }
}
