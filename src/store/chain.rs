//! The hash chain over a journal: each link covers the one before, so that no event can be edited,
//! dropped or moved unseen. Main types: [`Link`] and [`Walk`].

use sha2::{Digest, Sha256};

use super::StoreError;
use crate::event::{Event, EventKind};

/// One link: a SHA-256 digest.
pub(super) type Link = [u8; 32];

/// What the first event of a run is chained to; it binds a journal to its run.
pub(super) fn origin(run: &str) -> Link {
    let mut hash = Sha256::new();
    hash.update(b"ferry journal 1\n");
    hash.update(run.as_bytes());
    hash.finalize().into()
}

/// The link of an event: SHA-256 over the link before, seq and time as 8 bytes each (big endian),
/// and the body's text.
pub(super) fn link(before: &Link, seq: u64, at: i64, body: &[u8]) -> Link {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(seq.to_be_bytes());
    hash.update(at.to_be_bytes());
    hash.update(body);
    hash.finalize().into()
}

/// A link in hexadecimal.
pub(super) fn hex(link: &Link) -> String {
    use std::fmt::Write as _;
    link.iter().fold(String::with_capacity(64), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}

/// The text that is stored and hashed.
pub(super) fn body(kind: &EventKind) -> String {
    serde_json::to_string(kind).expect("events have string keys only")
}

/// `family.variant` of an event's body, for people who read the table.
pub(super) fn kind_name(body: &str) -> String {
    let mut parts = body.split('"').skip(1).step_by(2);
    let family = parts.next().unwrap_or_default();
    format!("{family}.{}", parts.next().unwrap_or_default())
}

/// A row of the journal as it is found in a store.
pub(super) struct Row<'a> {
    pub seq: u64,
    pub at: i64,
    pub kind: &'a [u8],
    pub body: &'a [u8],
    pub hash: &'a [u8],
}

/// A walk along the chain, row by row.
pub(super) struct Walk<'a> {
    run: &'a str,
    /// The last seq that held.
    pub seq: u64,
    /// Its link.
    pub link: Link,
}

impl<'a> Walk<'a> {
    /// Starts behind event `seq`, whose link is believed.
    pub(super) fn behind(run: &'a str, seq: u64, link: Link) -> Self {
        Self { run, seq, link }
    }

    /// Takes the next row; its body as text if the chain holds.
    pub(super) fn next<'b>(&mut self, row: &Row<'b>) -> Result<&'b str, StoreError> {
        let seq = self.seq + 1;
        if row.seq != seq {
            return Err(self.corrupt(format!("it is missing; event {} follows", row.seq)));
        }
        let link = link(&self.link, seq, row.at, row.body);
        if row.hash != link {
            return Err(self.corrupt("its hash does not fit its content".into()));
        }
        let body = std::str::from_utf8(row.body)
            .map_err(|_| self.corrupt("its body is not UTF-8".into()))?;
        if row.kind != kind_name(body).as_bytes() {
            return Err(self.corrupt("its kind does not fit its body".into()));
        }
        self.seq = seq;
        self.link = link;
        Ok(body)
    }

    /// The event of a row that [`Walk::next`] took.
    pub(super) fn event(&self, at: i64, body: &str) -> Result<Event, StoreError> {
        let kind = serde_json::from_str(body).map_err(|error| StoreError::Corrupt {
            run: self.run.to_owned(),
            seq: self.seq,
            what: format!("it cannot be read: {error}"),
        })?;
        Ok(Event {
            seq: self.seq,
            at,
            kind,
        })
    }

    /// Ends the walk; the journal must reach `head`.
    pub(super) fn end(&self, head: u64) -> Result<(), StoreError> {
        if self.seq < head {
            return Err(self.corrupt(format!("it is missing; the journal had {head} events")));
        }
        Ok(())
    }

    /// The error about a journal of which no more can be read.
    pub(super) fn unreadable(&self, what: &str) -> StoreError {
        self.corrupt(format!("it cannot be read: {what}"))
    }

    /// The error about the event behind the last one that held.
    fn corrupt(&self, what: String) -> StoreError {
        StoreError::Corrupt {
            run: self.run.to_owned(),
            seq: self.seq + 1,
            what,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Parking, RunEvent, RunStatus};

    #[test]
    fn kinds_are_named_by_family_and_variant() {
        let reason = Parking::Interrupt;
        let name = |kind: RunEvent| kind_name(&body(&kind.into()));
        assert_eq!(name(RunEvent::Parked { reason }), "run.parked");
        let status = RunStatus::Failed;
        assert_eq!(name(RunEvent::Finished { status }), "run.finished");
        assert_eq!(kind_name(r#"{"step":"skipped"}"#), "step.skipped");
    }

    /// The figures come from `sha256sum` over the same bytes.
    #[test]
    fn a_link_is_what_other_tools_compute() {
        let first = origin("r1");
        assert_eq!(
            hex(&first),
            "166a8cd411fa7458f26e4049606376050786e3ac48e41803e32f11cc19312510"
        );
        assert_eq!(
            hex(&link(&first, 1, 1_700_000_000_000, b"{}")),
            "f9d5788bbe26c74fdf9ad1e2c726fe6900beddb9785e0af26f4a060f55e36248"
        );
    }
}
