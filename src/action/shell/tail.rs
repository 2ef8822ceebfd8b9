//! The part of an output that is kept for `result`: its beginning, and what was left out is counted.

/// Bytes of each stream that `result` holds (limits of the reliability contract).
pub(super) const KEPT: usize = 64 << 10;

/// A stream's beginning and its length.
#[derive(Default)]
pub(super) struct Kept {
    head: Vec<u8>,
    /// The last bytes, for the last line of a long output.
    tail: Vec<u8>,
    /// Bytes that came.
    pub(super) seen: u64,
}

impl Kept {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.seen += bytes.len() as u64;
        let room = KEPT - self.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        if !rest.is_empty() {
            self.tail
                .extend_from_slice(&rest[rest.len().saturating_sub(1_024)..]);
            let over = self.tail.len().saturating_sub(1_024);
            self.tail.drain(..over);
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.seen > self.head.len() as u64
    }

    /// The kept text without its last newline; what is no UTF-8 is replaced, and a cut is said in the
    /// form in which a secret that it went through is hidden.
    pub(super) fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        if self.is_cut() {
            let more = self.seen - self.head.len() as u64;
            text.push_str(&format!("\u{2026} ({more} more bytes)"));
        } else if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        text
    }

    /// The last line that is not blank, at most 200 characters of it with the cut said; `None` as
    /// well where its beginning is not kept: a secret that lost its head could not be hidden.
    pub(super) fn last_line(&self) -> Option<String> {
        let all = if self.tail.is_empty() {
            &self.head
        } else {
            &self.tail
        };
        let end = &all[all.len().saturating_sub(1_024)..];
        let text = String::from_utf8_lossy(end);
        let mut lines = text.lines().rev();
        let line = lines.find(|line| !line.trim().is_empty())?.trim();
        if lines.next().is_none() && (end.len() < all.len() || !self.tail.is_empty()) {
            return None;
        }
        let shown: String = line.chars().take(200).collect();
        match line.len() - shown.len() {
            0 => Some(shown),
            more => Some(format!("{shown}\u{2026} ({more} more bytes)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_beginning_and_says_what_is_missing() {
        let mut kept = Kept::default();
        kept.push(b"one\n");
        assert_eq!((kept.text().as_str(), kept.is_cut()), ("one", false));
        for _ in 0..KEPT {
            kept.push(b"x");
        }
        kept.push(b"\nthe end\n");
        assert!(kept.is_cut());
        assert!(kept.text()[KEPT..].eq("\u{2026} (13 more bytes)"));
        assert_eq!(kept.seen, KEPT as u64 + 13);
        assert_eq!(kept.last_line().as_deref(), Some("the end"));
    }
}
