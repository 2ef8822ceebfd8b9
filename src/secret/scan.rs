//! Finds every place where a pattern occurs: [`Scanner`], one automaton behind a quick filter.
//!
//! Overlapping occurrences all count, so the search keeps every match, not the longest or first.
//! Holds no text between calls; the state that a stream carries is a [`StateID`].

use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

/// Finds all occurrences of a fixed set of patterns.
pub(super) struct Scanner {
    nfa: NFA,
    start: StateID,
    /// How many bytes of a pattern each state stands for, sorted by state.
    depths: Vec<(StateID, u32)>,
    filter: Filter,
}

impl Scanner {
    /// `patterns` holds at least one pattern, and none is shorter than four bytes.
    pub(super) fn new(patterns: &BTreeSet<Vec<u8>>) -> Scanner {
        let nfa = NFA::builder()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(patterns)
            .expect("all spellings together stay far below 2^31 states");
        let start = nfa
            .start_state(Anchored::No)
            .expect("this kind of automaton always searches unanchored");
        let mut depths = Vec::new();
        for pattern in patterns {
            let mut state = start;
            for (byte, depth) in pattern.iter().zip(1..) {
                state = nfa.next_state(Anchored::No, state, *byte);
                depths.push((state, depth));
            }
        }
        depths.sort_unstable();
        depths.dedup();
        depths.shrink_to_fit();
        Scanner {
            filter: Filter::new(patterns),
            nfa,
            start,
            depths,
        }
    }

    /// The state before any text.
    pub(super) fn start(&self) -> StateID {
        self.start
    }

    /// How many of the bytes read last could be the beginning of a pattern.
    pub(super) fn partial(&self, state: StateID) -> usize {
        self.depths
            .binary_search_by_key(&state, |(of, _)| *of)
            .map_or(0, |at| self.depths[at].1 as usize)
    }

    /// Reads `text`, which begins `offset` bytes behind the origin of `covered`, and adds what
    /// matched. `covered` stays sorted, and ranges that touch are one.
    pub(super) fn scan(
        &self,
        mut state: StateID,
        text: &[u8],
        offset: usize,
        covered: &mut Vec<Range<usize>>,
    ) -> StateID {
        let mut at = 0;
        // below this the filter has already said yes, asking again would not move on
        let mut sure = 0;
        while at < text.len() {
            if state == self.start && at >= sure {
                let skip = self.filter.skip(text, at);
                at = skip.to;
                sure = skip.sure;
                if at >= text.len() {
                    break;
                }
            }
            state = self.nfa.next_state(Anchored::No, state, text[at]);
            at += 1;
            if self.nfa.is_special(state) && self.nfa.is_match(state) {
                let end = offset + at;
                cover(covered, end - self.longest(state)..end);
            }
        }
        state
    }

    fn longest(&self, state: StateID) -> usize {
        (0..self.nfa.match_len(state))
            .map(|i| self.nfa.pattern_len(self.nfa.match_pattern(state, i)))
            .max()
            .expect("a match state has a pattern")
    }
}

/// Adds a range whose end is not before any other end, and joins what touches it.
fn cover(covered: &mut Vec<Range<usize>>, mut range: Range<usize>) {
    while let Some(last) = covered.last() {
        if last.end < range.start {
            break;
        }
        range.start = range.start.min(last.start);
        covered.pop();
    }
    covered.push(range);
}

/// Where to go on, and up to where the filter is not to be asked again.
struct Skip {
    to: usize,
    sure: usize,
}

/// Rules out stretches of text in which no pattern can begin, reading four bytes out of every few.
///
/// Every pattern begins with at least `window` bytes. Looking at the four bytes at each `step`th
/// position, one look falls wholly into the first `window` bytes of any occurrence; so where the
/// look finds four bytes that occur in no pattern's beginning, no pattern begins.
struct Filter {
    window: usize,
    /// One bit per hash of four bytes.
    seen: Box<[u64; Filter::WORDS]>,
}

impl Filter {
    const GRAM: usize = 4;
    /// Longer windows skip further, but fill the table.
    const MAX_WINDOW: usize = 10;
    const WORDS: usize = 1024;

    fn new(patterns: &BTreeSet<Vec<u8>>) -> Filter {
        let shortest = patterns.iter().map(Vec::len).min().unwrap_or(Filter::GRAM);
        let window = shortest.min(Filter::MAX_WINDOW);
        let mut seen = Box::new([0; Filter::WORDS]);
        for pattern in patterns {
            for gram in pattern[..window].windows(Filter::GRAM) {
                let (word, bit) = Filter::place(gram);
                seen[word] |= 1 << bit;
            }
        }
        Filter { window, seen }
    }

    #[inline(always)]
    fn place(gram: &[u8]) -> (usize, u32) {
        let value = u32::from_le_bytes([gram[0], gram[1], gram[2], gram[3]]);
        let hash = value.wrapping_mul(0x9E37_79B1) >> 16;
        ((hash >> 6) as usize % Filter::WORDS, hash & 63)
    }

    fn skip(&self, text: &[u8], from: usize) -> Skip {
        let lead = self.window - Filter::GRAM;
        let mut at = from + lead;
        while let Some(gram) = text.get(at..at + Filter::GRAM) {
            let (word, bit) = Filter::place(gram);
            if self.seen[word] >> bit & 1 == 1 {
                return Skip {
                    to: at - lead,
                    sure: at + 1,
                };
            }
            at += lead + 1;
        }
        // the rest is too short for a look
        Skip {
            to: at - lead,
            sure: text.len(),
        }
    }
}
