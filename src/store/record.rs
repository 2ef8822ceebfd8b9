//! The whole journal of one run in a form that leaves the store: what a report carries so that
//! anybody can check it without the store.
//!
//! Main type: [`Record`]. Its seal is text: the events' own bodies, as they were hashed, packed and
//! written as base64. Opening one computes the hash chain anew; nothing in it is believed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use miniz_oxide::{deflate, inflate};
use serde::{Deserialize, Serialize};

use super::StoreError;
use super::chain::{self, Link};
use crate::event::Event;

/// How a seal begins: its form.
pub const SEAL: &str = "ferry-seal-1";

/// Characters in a line of a seal.
const LINE: usize = 96;

/// The largest journal that is sealed, and the most that a seal is unpacked to, in bytes.
const LARGEST: usize = 256 << 20;

/// How hard it is packed: what zlib does where nothing is said.
const LEVEL: u8 = 6;

/// An event as a store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// Its body, the text that is hashed.
    pub body: String,
}

/// A journal with its hash chain, from its first event to its last.
#[derive(Clone, Debug)]
pub struct Record {
    run: String,
    rows: Vec<Raw>,
    events: Vec<Event>,
    links: Vec<Link>,
    version: String,
    files: BTreeMap<String, Vec<u8>>,
}

/// What stands before the events of a seal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    run: String,
    version: String,
    events: usize,
    head: String,
    /// In base64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, String>,
}

/// Why a seal cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It is no seal, or not all of one.
    #[error("the seal cannot be read: {0}")]
    Unreadable(String),
    /// What it holds is not what it says that it holds.
    #[error("the seal does not hold together: {0}")]
    Broken(String),
    /// The journal is too large for it.
    #[error("the journal has {} MB of events, and a report carries at most {}", .0 >> 20, LARGEST >> 20)]
    TooLarge(usize),
    /// An event that this ferry does not know.
    #[error(transparent)]
    Event(#[from] StoreError),
}

impl Record {
    /// From what a store keeps.
    ///
    /// # Errors
    /// When an event cannot be read.
    pub fn of(run: &str, rows: Vec<Raw>) -> Result<Self, SealError> {
        let mut link = chain::origin(run);
        let (mut events, mut links) = (Vec::with_capacity(rows.len()), Vec::new());
        for (row, seq) in rows.iter().zip(1..) {
            link = chain::link(&link, seq, row.at, row.body.as_bytes());
            links.push(link);
            let walk = chain::Walk::behind(run, seq, link);
            events.push(walk.event(row.at, &row.body)?);
        }
        Ok(Self {
            run: run.to_owned(),
            rows,
            events,
            links,
            version: env!("CARGO_PKG_VERSION").into(),
            files: BTreeMap::new(),
        })
    }

    /// With files beside it, by the name that the journal has for them. They are not part of the
    /// chain: whoever opens the seal holds them against the hashes in the events.
    #[must_use]
    pub fn with_files(mut self, files: BTreeMap<String, Vec<u8>>) -> Self {
        self.files = files;
        self
    }

    /// The files beside it.
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// The run's id.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The events, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events as they are kept.
    pub fn rows(&self) -> &[Raw] {
        &self.rows
    }

    /// The version of ferry that sealed it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The last link of the chain, in hexadecimal; of an empty journal, that of the run's id.
    pub fn head(&self) -> String {
        let origin = chain::origin(&self.run);
        chain::hex(self.links.last().unwrap_or(&origin))
    }

    /// The link of event `seq`, in hexadecimal; `None`: there is no such event.
    pub fn head_at(&self, seq: u64) -> Option<String> {
        let at = usize::try_from(seq).ok()?.checked_sub(1)?;
        self.links.get(at).map(chain::hex)
    }

    /// The seal: letters, digits, `+/=-` and line ends only.
    ///
    /// # Errors
    /// [`SealError::TooLarge`].
    pub fn seal(&self) -> Result<String, SealError> {
        let size: usize = self.rows.iter().map(|row| row.body.len() + 24).sum();
        if size > LARGEST {
            return Err(SealError::TooLarge(size));
        }
        let files = self.files.iter();
        let encoded = files.map(|(name, bytes)| (name.clone(), BASE64_STANDARD.encode(bytes)));
        let head = Head {
            run: self.run.clone(),
            version: self.version.clone(),
            events: self.rows.len(),
            head: self.head(),
            files: encoded.collect(),
        };
        let mut text = serde_json::to_string(&head).expect("a head is plain text");
        text.reserve(size);
        text.push('\n');
        for row in &self.rows {
            // a body is JSON on one line: a line end inside of a text is written as `\n`
            let _ = writeln!(text, "{} {}", row.at, row.body);
        }
        let packed = deflate::compress_to_vec_zlib(text.as_bytes(), LEVEL);
        drop(text);
        Ok(lines(&BASE64_STANDARD.encode(packed)))
    }

    /// Opens a seal; space around it is no part of it.
    ///
    /// # Errors
    /// When it is none, or what it holds does not hold together.
    pub fn unseal(text: &str) -> Result<Self, SealError> {
        Self::unseal_within(text, LARGEST)
    }

    fn unseal_within(text: &str, largest: usize) -> Result<Self, SealError> {
        let unreadable = |what: &str| SealError::Unreadable(what.into());
        let text = text.trim();
        let Some(body) = text.strip_prefix(SEAL) else {
            return Err(unreadable("it does not begin as one"));
        };
        let joined: String = body.split('\n').collect();
        let packed = BASE64_STANDARD
            .decode(&joined)
            .map_err(|_| unreadable("it is no base64"))?;
        // one text for one content: also what nobody sees must be as it was written
        if lines(&joined).trim_end() != text {
            return Err(unreadable("its lines are not as they are written"));
        }
        drop(joined);
        let plain = inflate::decompress_to_vec_zlib_with_limit(&packed, largest)
            .map_err(|error| unreadable(&format!("it cannot be unpacked ({:?})", error.status)))?;
        let plain = String::from_utf8(plain).map_err(|_| unreadable("it is no text"))?;
        Self::read(&plain)
    }

    fn read(plain: &str) -> Result<Self, SealError> {
        let unreadable = |what: &str| SealError::Unreadable(what.into());
        let plain = plain
            .strip_suffix('\n')
            .ok_or_else(|| unreadable("its end is missing"))?;
        let mut lines = plain.split('\n');
        let head: Head = serde_json::from_str(lines.next().unwrap_or_default())
            .map_err(|_| unreadable("its head is missing"))?;
        let mut rows = Vec::new();
        for line in lines {
            let row = line.split_once(' ');
            let row = row.and_then(|(at, body)| Some((at.parse().ok()?, body)));
            let (at, body) = row.ok_or_else(|| {
                SealError::Unreadable(format!("event {} has no time", rows.len() + 1))
            })?;
            let body = body.to_owned();
            rows.push(Raw { at, body });
        }
        if rows.len() != head.events {
            let what = format!("it has {} events and says {}", rows.len(), head.events);
            return Err(SealError::Broken(what));
        }
        let mut record = Self::of(&head.run, rows)?;
        if record.head() != head.head {
            let what = "the chain of its events does not end in the head that it names";
            return Err(SealError::Broken(what.into()));
        }
        record.version = head.version;
        for (name, text) in head.files {
            let bytes = BASE64_STANDARD.decode(&text);
            let bytes = bytes.map_err(|_| unreadable("a file in it is no base64"))?;
            record.files.insert(name, bytes);
        }
        Ok(record)
    }
}

/// The first line, and base64 in lines.
fn lines(base64: &str) -> String {
    let mut text = String::with_capacity(base64.len() + base64.len() / LINE + 32);
    text.push_str(SEAL);
    for line in base64.as_bytes().chunks(LINE) {
        text.push('\n');
        // base64 has one byte a letter
        text.push_str(std::str::from_utf8(line).unwrap_or_default());
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{RunEvent, RunStatus};

    fn rows(count: i64) -> Vec<Raw> {
        let status = RunStatus::Failed;
        let body = chain::body(&RunEvent::Finished { status }.into());
        let row = |at| Raw {
            at,
            body: body.clone(),
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn a_seal_holds_the_journal_as_it_was_hashed() {
        let mut rows = rows(300);
        // a body that this ferry would write otherwise stays as it was
        rows[1].body = r#"{ "run":{"finished":{"status":"failed","more":1.50}}}"#.into();
        let record = Record::of("r1", rows.clone()).unwrap();
        let seal = record.seal().unwrap();
        assert!(seal.starts_with("ferry-seal-1\n") && seal.ends_with('\n'));
        assert!(seal.lines().all(|line| line.len() <= LINE), "{seal}");
        let again = Record::unseal(&format!("\n{seal}\n")).unwrap();
        assert_eq!(again.rows, rows);
        assert_eq!(again.head(), record.head());
        assert_eq!(again.head_at(300), Some(record.head()));
        assert_eq!(again.head_at(0), None);
        assert_eq!(again.head_at(301), None);
        assert_eq!(again.events().len(), 300);
        assert_eq!(
            (again.run(), again.version()),
            ("r1", env!("CARGO_PKG_VERSION"))
        );
        assert_eq!(again.seal().unwrap(), seal);
        let none = Record::of("r1", Vec::new()).unwrap();
        assert_eq!(
            Record::unseal(&none.seal().unwrap()).unwrap().head(),
            none.head()
        );
    }

    /// A seal of this plain text.
    fn packed(plain: &str) -> String {
        let packed = deflate::compress_to_vec_zlib(plain.as_bytes(), 1);
        lines(&BASE64_STANDARD.encode(packed))
    }

    fn plain(seal: &str) -> String {
        let body: String = seal.strip_prefix(SEAL).unwrap().split('\n').collect();
        let packed = BASE64_STANDARD.decode(body).unwrap();
        String::from_utf8(inflate::decompress_to_vec_zlib(&packed).unwrap()).unwrap()
    }

    #[test]
    fn what_was_changed_does_not_hold_together() {
        let record = Record::of("r1", rows(3)).unwrap();
        let plain = plain(&record.seal().unwrap());
        assert!(Record::unseal(&packed(&plain)).is_ok());
        let line = |at: usize| plain.lines().nth(at).unwrap();
        for (changed, why) in [
            (plain.replace("\n1 {", "\n7 {"), "does not end in the head"),
            (
                plain.replacen("failed", "closed", 1),
                "does not end in the head",
            ),
            (plain.replacen("r1", "r2", 1), "does not end in the head"),
            (
                plain.replacen(&format!("{}\n", line(2)), "", 1),
                "has 2 events and says 3",
            ),
            (
                plain.replacen(&format!("{}\n", line(3)), "", 1),
                "has 2 events and says 3",
            ),
            (
                plain.replacen("\"events\":3", "\"events\":4", 1),
                "has 3 events and says 4",
            ),
            (plain.trim_end().to_owned(), "its end is missing"),
            (plain.replacen("\n0 ", "\n0", 1), "event 1 has no time"),
            (
                plain.replacen("\"run\":\"r1\",", "", 1),
                "its head is missing",
            ),
        ] {
            assert_ne!(changed, plain, "{why}");
            let error = Record::unseal(&packed(&changed)).unwrap_err().to_string();
            assert!(error.contains(why), "{why}: {error}");
        }
    }

    #[test]
    fn every_changed_letter_of_a_seal_is_found() {
        let seal = Record::of("r1", rows(3)).unwrap().seal().unwrap();
        for at in 0..seal.trim_end().len() {
            let mut changed = seal.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(Record::unseal(&changed).is_err(), "letter {at} of\n{seal}");
        }
        for text in [
            "",
            "ferry-seal-1",
            "ferry-seal-2\nAAAA",
            "ferry-seal-1\n!!!!",
        ] {
            assert!(Record::unseal(text).is_err(), "{text}");
        }
        // a line end in another place is another text
        let joined = seal.replacen("\n", "", 2);
        assert!(Record::unseal(&joined).is_err());
    }

    #[test]
    fn a_seal_that_would_fill_the_memory_is_not_unpacked() {
        let bomb = deflate::compress_to_vec_zlib(&vec![b' '; 1 << 20], 1);
        let bomb = lines(&BASE64_STANDARD.encode(bomb));
        let error = Record::unseal_within(&bomb, 1 << 16).unwrap_err();
        assert!(error.to_string().contains("cannot be unpacked"), "{error}");
    }
}
