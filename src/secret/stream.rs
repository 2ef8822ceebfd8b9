//! Masking of a byte stream that arrives in pieces: [`MaskStream`].
//!
//! What comes out does not depend on where the pieces were cut. No timer and no flush may force a
//! held beginning of a secret out; only [`MaskStream::finish`] does. Must not buffer more than the
//! longest pattern.

use std::fmt;
use std::ops::Range;

use aho_corasick::automaton::StateID;

use super::scan::Scanner;
use super::{MASK, Masker};

/// Masks by value over chunk borders; one per stream (stdout and stderr have one each).
///
/// Places ([`super::mask_places`]) are not looked at: they need whole lines.
#[must_use = "bytes held back are lost unless the stream is finished"]
pub struct MaskStream {
    masker: Masker,
    state: Option<StateID>,
    /// Bytes read and not yet given out: they may be the beginning of a secret.
    held: Vec<u8>,
    /// What is covered, counted from the first held byte.
    covered: Vec<Range<usize>>,
    /// The last byte given out was covered, its mask is written.
    in_mask: bool,
}

impl MaskStream {
    pub(super) fn new(masker: Masker) -> MaskStream {
        MaskStream {
            state: masker.scanner().map(Scanner::start),
            masker,
            held: Vec::new(),
            covered: Vec::new(),
            in_mask: false,
        }
    }

    /// Takes the next bytes of the stream and appends to `out` what is certain by now.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        let (Some(scanner), Some(state)) = (self.masker.scanner(), self.state) else {
            out.extend_from_slice(chunk);
            return;
        };
        let state = scanner.scan(state, chunk, self.held.len(), &mut self.covered);
        let ready = self.held.len() + chunk.len() - scanner.partial(state);
        self.state = Some(state);
        self.give(ready, chunk, out);
    }

    /// Ends the stream: a beginning that never became a secret is appended to `out` as it is.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.give(self.held.len(), &[], out);
    }

    /// How many bytes are held back, because they may be the beginning of a secret.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.held.len()
    }

    /// Gives out the first `ready` bytes of what is held and `chunk` behind it; holds the rest.
    fn give(&mut self, ready: usize, chunk: &[u8], out: &mut Vec<u8>) {
        let border = self.held.len();
        let plain = |range: Range<usize>, out: &mut Vec<u8>| {
            let held = range.start.min(border)..range.end.min(border);
            let new = range.start.max(border) - border..range.end.max(border) - border;
            out.extend_from_slice(&self.held[held]);
            out.extend_from_slice(&chunk[new]);
        };
        let mut done = 0;
        for range in &self.covered {
            if range.start >= ready {
                break;
            }
            plain(done..range.start, out);
            if range.start > 0 || !self.in_mask {
                out.extend_from_slice(MASK);
            }
            done = range.end;
        }
        if done < ready {
            plain(done..ready, out);
        }
        if ready > 0 {
            self.in_mask = done >= ready;
        }
        self.covered.retain(|range| range.end > ready);
        for range in &mut self.covered {
            *range = range.start.saturating_sub(ready)..range.end - ready;
        }
        if ready >= border {
            self.held.clear();
            self.held.extend_from_slice(&chunk[ready - border..]);
        } else {
            self.held.drain(..ready);
            self.held.extend_from_slice(chunk);
        }
    }
}

impl fmt::Debug for MaskStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskStream")
            .field("pending", &self.held.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::{Secret, forms};
    use super::*;

    fn masker(secrets: &[String]) -> Masker {
        let named = secrets
            .iter()
            .map(|s| ("s".to_owned(), Secret::new(s.clone())));
        Masker::new(named).unwrap()
    }

    fn in_pieces(masker: &Masker, text: &[u8], mut sizes: impl Iterator<Item = usize>) -> Vec<u8> {
        let (mut out, mut rest) = (Vec::new(), text);
        let mut stream = masker.stream();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(sizes.next().unwrap_or(1).clamp(0, rest.len()));
            stream.push(now, &mut out);
            rest = later;
        }
        stream.finish(&mut out);
        out
    }

    /// The meaning of masking, in its slowest words: mark every byte of every occurrence.
    fn naive(secrets: &[String], text: &[u8]) -> Vec<u8> {
        let mut patterns = BTreeSet::new();
        for secret in secrets {
            forms::patterns(secret, &mut patterns);
        }
        let mut marked = vec![false; text.len()];
        for pattern in &patterns {
            for at in 0..text.len() {
                if text[at..].starts_with(pattern) {
                    marked[at..at + pattern.len()].fill(true);
                }
            }
        }
        let mut out = Vec::new();
        for (at, byte) in text.iter().enumerate() {
            if !marked[at] {
                out.push(*byte);
            } else if at == 0 || !marked[at - 1] {
                out.extend_from_slice(MASK);
            }
        }
        out
    }

    /// Secrets over a small alphabet, so that they overlap, and contain one another.
    fn secrets() -> impl Strategy<Value = Vec<String>> {
        let one = prop_oneof![
            "[ab]{6,9}",
            "[abc'/$]{6,12}",
            "[a-f ]{2}[a-f\\n]{2,12}[a-f]{4}",
            "[a-zA-Z0-9+/=%<>\"\\\\]{6,24}",
            "\\PC{6,10}",
        ];
        let long_enough = one.prop_filter("short", |s: &String| s.trim().len() >= forms::MINIMUM);
        proptest::collection::vec(long_enough, 1..5)
    }

    /// Text made of whole forms, of beginnings of forms, of noise in the same alphabet.
    fn text_for(secrets: Vec<String>) -> impl Strategy<Value = (Vec<String>, Vec<u8>)> {
        let mut patterns = BTreeSet::new();
        for secret in &secrets {
            forms::patterns(secret, &mut patterns);
        }
        let patterns: Vec<Vec<u8>> = patterns.into_iter().collect();
        let whole = (0..patterns.len()).prop_map(move |i| patterns[i].clone());
        let piece = prop_oneof![
            3 => whole.clone(),
            3 => (whole.clone(), 0..100_usize).prop_map(|(p, n)| p[..p.len() * n / 100].to_vec()),
            2 => (whole, 0..100_usize).prop_map(|(p, n)| p[p.len() * n / 100..].to_vec()),
            2 => "[abc]{0,8}".prop_map(String::into_bytes),
            1 => proptest::collection::vec(any::<u8>(), 0..8),
        ];
        let text = proptest::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat());
        (Just(secrets), text)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn chunking_does_not_matter(
            (secrets, text) in secrets().prop_flat_map(text_for),
            sizes in proptest::collection::vec(0..12_usize, 1..8),
        ) {
            let masker = masker(&secrets);
            let whole = masker.bytes(&text).into_owned();
            prop_assert_eq!(&whole, &naive(&secrets, &text), "whole against naive");
            let cut = sizes.iter().copied().chain([1]).cycle();
            prop_assert_eq!(&in_pieces(&masker, &text, cut), &whole, "pieces against whole");
            prop_assert_eq!(&in_pieces(&masker, &text, std::iter::repeat(1)), &whole, "bytewise");
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn held_bytes_are_bounded((secrets, text) in secrets().prop_flat_map(text_for)) {
            let masker = masker(&secrets);
            let mut patterns = BTreeSet::new();
            for secret in &secrets {
                forms::patterns(secret, &mut patterns);
            }
            let longest = patterns.iter().map(Vec::len).max().unwrap_or(0);
            let (mut stream, mut out) = (masker.stream(), Vec::new());
            for (read, byte) in text.iter().enumerate() {
                stream.push(&[*byte], &mut out);
                // exactly the longest beginning of a pattern that ends here
                let partial = (1..=longest.min(read + 1)).rev().find(|n| {
                    let tail = &text[read + 1 - n..=read];
                    patterns.iter().any(|p| p.starts_with(tail))
                });
                prop_assert_eq!(stream.pending(), partial.unwrap_or(0));
            }
        }
    }

    #[test]
    fn every_cut_of_one_text() {
        let secrets = [
            "jellyfish".to_owned(),
            "fishmonger".to_owned(),
            "hunter22".to_owned(),
        ];
        let masker = masker(&secrets);
        let text = b"a jellyfishmonger, hunter2, hunter22hunter22; amVsbHlmaXNo jellyfis";
        let expected = b"a ***, hunter2, ***; *** jellyfis";
        assert_eq!(masker.bytes(text).as_ref(), expected);
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let sizes = [first, second - first, text.len()];
                let out = in_pieces(&masker, text, sizes.into_iter());
                assert_eq!(out, expected, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_lone_beginning_is_given_out_at_the_end() {
        let masker = masker(&["jellyfish".to_owned()]);
        let (mut stream, mut out) = (masker.stream(), Vec::new());
        stream.push(b"login: jelly", &mut out);
        assert_eq!((out.as_slice(), stream.pending()), (&b"login: "[..], 5));
        stream.push(b"", &mut out);
        assert_eq!((out.as_slice(), stream.pending()), (&b"login: "[..], 5));
        stream.finish(&mut out);
        assert_eq!(out, b"login: jelly");
    }

    #[test]
    fn nothing_is_held_without_reason() {
        let masker = masker(&["jellyfish".to_owned()]);
        let (mut stream, mut out) = (masker.stream(), Vec::new());
        stream.push(b"Password: ", &mut out);
        assert_eq!((out.as_slice(), stream.pending()), (&b"Password: "[..], 0));
        stream.push(b"jellyfish", &mut out);
        // the whole secret may still go on, as the beginning of another spelling
        stream.push(b"\n", &mut out);
        assert_eq!(
            (out.as_slice(), stream.pending()),
            (&b"Password: ***\n"[..], 0)
        );
    }

    #[test]
    fn without_secrets_all_passes_through() {
        let (mut stream, mut out) = (Masker::default().stream(), Vec::new());
        stream.push(b"redis://u:p@h \xff", &mut out);
        assert_eq!(
            (out.as_slice(), stream.pending()),
            (&b"redis://u:p@h \xff"[..], 0)
        );
        stream.finish(&mut out);
        assert_eq!(out.len(), 15);
    }

    #[test]
    fn large_text_with_many_secrets_equals_naive() {
        let secrets: Vec<String> = (0..20).map(|i| format!("k{i}-Zq8$w{}", i * 7919)).collect();
        let masker = masker(&secrets);
        let mut text = Vec::new();
        for i in 0..400_usize {
            text.extend_from_slice(
                format!("{i} k{} Zq8 {:x} ", i % 23, i * 0x9E37_79B1).as_bytes(),
            );
            if i % 9 == 0 {
                text.extend_from_slice(secrets[i % 20].as_bytes());
            }
        }
        let expected = naive(&secrets, &text);
        assert_eq!(masker.bytes(&text).as_ref(), expected);
        for size in [1, 2, 3, 5, 64, 4096] {
            assert_eq!(
                in_pieces(&masker, &text, std::iter::repeat(size)),
                expected,
                "{size}"
            );
        }
    }
}
