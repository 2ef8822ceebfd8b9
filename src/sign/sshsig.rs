//! SSH signatures: read from their armor, and held against a message and the keys that may sign.

use jiff::Timestamp;
use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PublicKey, SshSig};

use super::allowed::Signers;
use super::{NAMESPACE, Signed, message};

/// The longest armor that is read, in bytes; one of a large RSA key has 3 kB.
const LARGEST: usize = 16 << 10;

/// The fewest bytes of an RSA modulus, as OpenSSH has it.
const LEAST_RSA: usize = 1_024 / 8;

/// A signature as it was read.
#[derive(Clone, Debug)]
pub struct Armored {
    signature: SshSig,
    key: PublicKey,
}

/// Why a signature is not good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Bad {
    /// It is no signature.
    #[error("the signature cannot be read: {0}")]
    Unreadable(String),
    /// It is for something else.
    #[error("the signature is for `{0}`, not for `{NAMESPACE}`")]
    Namespace(String),
    /// It is not over this message, or not by this key.
    #[error("the signature does not fit what it is said to sign")]
    Broken,
    /// Its key is too short to prove anything.
    #[error("the RSA key has only {0} bits")]
    Short(usize),
    /// The key may not sign.
    #[error("{0}")]
    Refused(String),
}

impl Armored {
    /// Reads an armored signature.
    ///
    /// # Errors
    /// When it is none, or not for ferry, or made by a key too short.
    pub fn read(armor: &str) -> Result<Self, Bad> {
        if armor.len() > LARGEST {
            let what = format!("it is larger than {} KiB", LARGEST >> 10);
            return Err(Bad::Unreadable(what));
        }
        // `ssh-keygen` takes line ends of both kinds and space around it
        let armor = armor.trim().replace("\r\n", "\n");
        let signature = SshSig::from_pem(armor.as_bytes())
            .map_err(|error| Bad::Unreadable(error.to_string()))?;
        if signature.namespace() != NAMESPACE {
            let namespace = signature.namespace().escape_debug().to_string();
            return Err(Bad::Namespace(namespace));
        }
        if let KeyData::Rsa(key) = signature.public_key() {
            let bytes = key.n.as_positive_bytes().map_or(0, <[u8]>::len);
            if bytes < LEAST_RSA {
                return Err(Bad::Short(bytes * 8));
            }
        }
        let key = PublicKey::from(signature.public_key().clone());
        Ok(Self { signature, key })
    }

    /// The key that it says it was made with.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The key's fingerprint, `SHA256:...`.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.key)
    }

    /// Whether the key made it over this message.
    ///
    /// # Errors
    /// When not.
    pub fn fits(&self, message: &str) -> Result<(), Bad> {
        self.key
            .verify(NAMESPACE, message.as_bytes(), &self.signature)
            .map_err(|_| Bad::Broken)
    }
}

/// The fingerprint of a key, as `ssh-keygen -l` shows it.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Whether a text is a public key as it stands in a `.pub` file, with or without a comment.
///
/// # Errors
/// Why not, in words.
pub fn good_key(text: &str) -> Result<(), String> {
    let line = format!("anybody {text}");
    let parsed = Signers::parse(&line, &jiff::tz::TimeZone::UTC);
    parsed.map(|_| ()).map_err(|error| error.what)
}

/// Holds a signature against what it signs and who may sign: for their name; where no key is known for
/// that, for their role.
/// The key's fingerprint and the name that it is allowed for.
///
/// # Errors
/// Why it is not good. Without an SSH signature there is nothing to hold: [`Bad::Unreadable`].
pub fn check(
    signed: &Signed<'_>,
    signers: &Signers,
    at: Timestamp,
) -> Result<(String, String), Bad> {
    let signature = signed.signature;
    let armor = signature.ssh.as_deref().unwrap_or_default();
    let armored = Armored::read(armor)?;
    armored.fits(&message(signed))?;
    let fingerprint = armored.fingerprint();
    let key = armored.key();
    let as_who = signers.allow(key, &signature.who, NAMESPACE, at);
    let Err(why) = as_who else {
        return Ok((fingerprint, signature.who.clone()));
    };
    // a key of the role does not speak for somebody whose own key is known
    if signers.know(&signature.who) {
        return Err(Bad::Refused(why));
    }
    match signers.allow(key, &signature.role, NAMESPACE, at) {
        Ok(()) => Ok((fingerprint, signature.role.clone())),
        Err(why) => Err(Bad::Refused(why)),
    }
}
