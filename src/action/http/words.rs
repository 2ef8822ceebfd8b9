//! What went wrong on the wire, in the field's words: refused, DNS, reset, TLS.
//!
//! [`Trouble`] says in one go why an exchange broke and whether the request can have left. Nothing
//! here shows a URL: those may hold secrets.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use super::client::NameError;
use crate::event::Cause;

/// Why an exchange broke.
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The kind of reason.
    pub cause: Cause,
    /// Lower case, without the place.
    pub words: String,
    /// Whether the connection stood, so that the request may have left.
    pub connected: bool,
}

impl Trouble {
    /// Reads it from the client's error.
    pub fn of(error: &reqwest::Error) -> Self {
        let connected = !error.is_connect();
        let (cause, words) = find(error).unwrap_or_else(|| {
            if error.is_timeout() {
                (Cause::Timeout, "timed out while connecting".into())
            } else {
                (Cause::Unreachable, innermost(error))
            }
        });
        Self {
            cause,
            words,
            connected,
        }
    }
}

/// The text of the last error in the chain, which names the cause and no URL.
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = beneath(last) {
        last = next;
    }
    last.to_string()
}

/// What lies beneath; an IO error shows what it wraps only when asked for it.
fn beneath<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn find(error: &reqwest::Error) -> Option<(Cause, String)> {
    let mut next = Some(error as &(dyn Error + 'static));
    while let Some(error) = next {
        if let Some(name) = error.downcast_ref::<NameError>() {
            let cause = match name {
                NameError::Unresolved(_) => Cause::Unreachable,
                NameError::Forbidden(..) => Cause::Denied,
            };
            return Some((cause, name.to_string()));
        }
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some((Cause::Unreachable, format!("TLS: {}", tls_words(tls))));
        }
        if let Some(io) = error.downcast_ref::<io::Error>()
            && io.get_ref().is_none()
        {
            return Some((Cause::Unreachable, io_words(io)));
        }
        next = beneath(error);
    }
    None
}

fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset".into(),
        io::ErrorKind::BrokenPipe => "connection closed by the other side".into(),
        io::ErrorKind::HostUnreachable => "host unreachable".into(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".into(),
        io::ErrorKind::TimedOut => "connection timed out".into(),
        io::ErrorKind::UnexpectedEof => "connection closed too early".into(),
        _ => error.to_string(),
    }
}

fn tls_words(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(why) = error else {
        return error.to_string();
    };
    match why {
        CertificateError::UnknownIssuer => "the certificate has an unknown issuer".into(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another name (name mismatch)".into()
        }
        CertificateError::Revoked => "the certificate is revoked".into(),
        // what `openssl req -x509` makes: a root that is served as if it were a server's
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "the certificate is self-signed (unknown issuer)".into()
        }
        other => format!("invalid certificate: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_fail_in_the_fields_words() {
        for (why, words) in [
            (CertificateError::Expired, "the certificate has expired"),
            (
                CertificateError::NotValidForName,
                "the certificate is for another name (name mismatch)",
            ),
            (
                CertificateError::UnknownIssuer,
                "the certificate has an unknown issuer",
            ),
        ] {
            assert_eq!(tls_words(&rustls::Error::InvalidCertificate(why)), words);
        }
    }
}
