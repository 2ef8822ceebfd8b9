//! [`Tally`]: what a survey has found so far: sums over all keys and by prefix, the biggest keys.
//!
//! It does no IO. Of prefixes it keeps [`KEPT`] at most: when there are more, the smaller half goes
//! into one sum, and how much a prefix may have lost that way is counted.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::Params;

/// The most prefixes that are kept at a time.
const KEPT: usize = 50_000;
/// The longest prefix, in bytes.
const PREFIX: usize = 128;
/// How many keys without an end are shown.
const EXAMPLES: usize = 5;

/// Types, as TYPE names them; the last stands for all others.
pub(super) const TYPES: [&str; 7] = ["string", "list", "set", "zset", "hash", "stream", "other"];

/// Seconds up to which a time to live belongs to a band, and its name.
pub(super) const BANDS: [(&str, u64); 5] = [
    ("minute", 60),
    ("hour", 3_600),
    ("day", 86_400),
    ("week", 7 * 86_400),
    ("longer", u64::MAX),
];

/// What was asked about one key.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    /// Memory; 0 when it is not asked for.
    pub bytes: u64,
    /// Milliseconds that are left, for a key that ends.
    pub ttl_ms: Option<u64>,
    /// Which of [`TYPES`].
    pub kind: usize,
}

/// Sums over keys.
#[derive(Clone, Copy, Default)]
pub(super) struct Sum {
    pub keys: u64,
    pub bytes: u64,
    pub without_ttl: u64,
    /// Of the keys that end, in milliseconds.
    pub ttl_min: u64,
    pub ttl_max: u64,
    pub ttl_sum: f64,
    pub types: [u64; TYPES.len()],
}

impl Sum {
    #[expect(clippy::cast_precision_loss, reason = "a mean of milliseconds")]
    fn add(&mut self, facts: Facts) {
        match facts.ttl_ms {
            None => self.without_ttl += 1,
            Some(ttl) => {
                let first = self.ending() == 0;
                self.ttl_min = if first { ttl } else { self.ttl_min.min(ttl) };
                self.ttl_max = self.ttl_max.max(ttl);
                self.ttl_sum += ttl as f64;
            }
        }
        self.keys += 1;
        self.bytes += facts.bytes;
        self.types[facts.kind] += 1;
    }

    /// Keys that end.
    pub fn ending(&self) -> u64 {
        self.keys - self.without_ttl
    }
}

/// A key among the biggest; the larger one is the greater one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Big {
    pub bytes: u64,
    pub key: Vec<u8>,
    pub kind: usize,
    pub ttl_ms: Option<u64>,
}

/// What is known of keys whose prefix is not kept by itself.
#[derive(Clone, Copy, Default)]
pub(super) struct Others {
    pub prefixes: u64,
    pub keys: u64,
    pub bytes: u64,
    pub without_ttl: u64,
}

impl Others {
    pub fn add(&mut self, sum: &Sum) {
        self.prefixes += 1;
        self.keys += sum.keys;
        self.bytes += sum.bytes;
        self.without_ttl += sum.without_ttl;
    }
}

/// The findings.
pub(super) struct Tally {
    separator: Vec<u8>,
    depth: usize,
    top: usize,
    memory: bool,
    pub all: Sum,
    pub type_bytes: [u64; TYPES.len()],
    pub bands: [u64; BANDS.len()],
    pub prefixes: HashMap<Box<[u8]>, Sum>,
    /// What was given up, and how much of it one prefix can have had.
    pub given_up: Others,
    pub short_keys: u64,
    pub short_bytes: u64,
    pub biggest: BinaryHeap<Reverse<Big>>,
    pub examples: Vec<Vec<u8>>,
}

impl Tally {
    /// An empty one.
    pub fn new(params: &Params) -> Self {
        Self {
            separator: params.separator.clone().into_bytes(),
            depth: usize::try_from(params.depth).unwrap_or(1),
            top: usize::try_from(params.top).unwrap_or(0),
            memory: params.memory,
            all: Sum::default(),
            type_bytes: [0; TYPES.len()],
            bands: [0; BANDS.len()],
            prefixes: HashMap::new(),
            given_up: Others::default(),
            short_keys: 0,
            short_bytes: 0,
            biggest: BinaryHeap::new(),
            examples: Vec::new(),
        }
    }

    /// Takes in one key.
    pub fn add(&mut self, key: &[u8], facts: Facts) {
        self.all.add(facts);
        self.type_bytes[facts.kind] += facts.bytes;
        match facts.ttl_ms {
            Some(ttl) => {
                let band = BANDS.iter().position(|(_, up_to)| ttl / 1_000 < *up_to);
                self.bands[band.unwrap_or(BANDS.len() - 1)] += 1;
            }
            None if self.examples.len() < EXAMPLES => self.examples.push(key.to_vec()),
            None => {}
        }
        self.weigh(key, facts);
        let prefix = prefix_of(key, &self.separator, self.depth);
        if let Some(sum) = self.prefixes.get_mut(prefix) {
            sum.add(facts);
            return;
        }
        if self.prefixes.len() >= KEPT {
            self.give_up_half();
        }
        self.prefixes.entry(prefix.into()).or_default().add(facts);
    }

    fn weigh(&mut self, key: &[u8], facts: Facts) {
        let full = self.biggest.len() >= self.top;
        let least = self.biggest.peek().map_or(0, |Reverse(big)| big.bytes);
        if !self.memory || self.top == 0 || (full && facts.bytes <= least) {
            return;
        }
        if full {
            self.biggest.pop();
        }
        self.biggest.push(Reverse(Big {
            bytes: facts.bytes,
            key: key.to_vec(),
            kind: facts.kind,
            ttl_ms: facts.ttl_ms,
        }));
    }

    /// By what prefixes are put in order.
    pub fn weight(&self, sum: &Sum) -> u64 {
        if self.memory { sum.bytes } else { sum.keys }
    }

    /// Puts the lighter half of the prefixes into one sum.
    fn give_up_half(&mut self) {
        let mut weights: Vec<u64> = self.prefixes.values().map(|sum| self.weight(sum)).collect();
        let (_, middle, _) = weights.select_nth_unstable(KEPT / 2);
        let middle = *middle;
        let mut to_go = KEPT / 2;
        let (mut keys, mut bytes) = (0, 0);
        let (memory, given_up) = (self.memory, &mut self.given_up);
        self.prefixes.retain(|_, sum| {
            let weight = if memory { sum.bytes } else { sum.keys };
            if weight > middle || to_go == 0 {
                return true;
            }
            to_go -= 1;
            given_up.add(sum);
            keys = keys.max(sum.keys);
            bytes = bytes.max(sum.bytes);
            false
        });
        self.short_keys += keys;
        self.short_bytes += bytes;
    }
}

/// The key up to its `depth`th separator, which belongs to it; up to its last one when it has fewer.
fn prefix_of<'a>(key: &'a [u8], separator: &[u8], depth: usize) -> &'a [u8] {
    let mut end = 0;
    for _ in 0..depth {
        let rest = &key[end..];
        let found = match separator {
            [byte] => rest.iter().position(|b| b == byte),
            several => rest.windows(several.len()).position(|part| part == several),
        };
        match found {
            Some(at) => end += at + separator.len(),
            None => break,
        }
    }
    &key[..end.min(PREFIX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(json: serde_json::Value) -> Tally {
        Tally::new(&serde_json::from_value(json).unwrap())
    }

    fn fact(bytes: u64, ttl_ms: Option<u64>) -> Facts {
        Facts {
            bytes,
            ttl_ms,
            kind: 0,
        }
    }

    #[test]
    fn a_prefix_ends_with_its_separator() {
        for (key, separator, depth, prefix) in [
            ("a:b:c", ":", 1, "a:"),
            ("a:b:c", ":", 2, "a:b:"),
            ("a:b:c", ":", 8, "a:b:"),
            ("abc", ":", 1, ""),
            (":a", ":", 1, ":"),
            ("a::b::c", "::", 2, "a::b::"),
            ("a/b", ":", 1, ""),
        ] {
            let found = prefix_of(key.as_bytes(), separator.as_bytes(), depth);
            assert_eq!(found, prefix.as_bytes(), "{key} {separator} {depth}");
        }
        let long = format!("{}:x", "p".repeat(500));
        assert_eq!(prefix_of(long.as_bytes(), b":", 1).len(), PREFIX);
    }

    #[test]
    fn too_many_prefixes_keep_the_large_ones_and_say_what_may_lack() {
        let mut tally = tally(serde_json::json!({ "memory": false }));
        for at in 0..200_000_u32 {
            tally.add(format!("p{at}:x").as_bytes(), fact(0, None));
            if at % 4 == 0 {
                tally.add(format!("large:{at}").as_bytes(), fact(0, Some(5_000)));
            }
        }
        assert!(tally.prefixes.len() <= KEPT);
        assert_eq!(tally.all.keys, 250_000);
        let large = tally.prefixes[b"large:".as_slice()];
        assert_eq!((large.keys, large.without_ttl), (50_000, 0));
        assert_eq!((large.ttl_min, large.ttl_max), (5_000, 5_000));
        let kept: u64 = tally.prefixes.values().map(|sum| sum.keys).sum();
        assert_eq!(kept + tally.given_up.keys, 250_000, "nothing is lost");
        // one for each time that half was given up
        assert!((1..20).contains(&tally.short_keys), "{}", tally.short_keys);
    }

    #[test]
    fn the_biggest_are_kept() {
        let mut tally = tally(serde_json::json!({ "top": 3 }));
        for bytes in [5, 9, 1, 7, 7, 3, 8] {
            tally.add(format!("k{bytes}").as_bytes(), fact(bytes, None));
        }
        let sizes: Vec<u64> = tally
            .biggest
            .into_sorted_vec()
            .into_iter()
            .map(|Reverse(big)| big.bytes)
            .collect();
        assert_eq!(sizes, [9, 8, 7]);
        assert_eq!(tally.examples.len(), EXAMPLES);
    }

    #[test]
    fn a_time_to_live_is_in_one_band() {
        let mut tally = tally(serde_json::json!({}));
        for ttl in [0, 59_999, 60_000, 86_400_000, 604_800_000] {
            tally.add(b"k", fact(1, Some(ttl)));
        }
        assert_eq!(tally.bands, [2, 1, 0, 1, 1]);
        assert_eq!((tally.all.ttl_min, tally.all.without_ttl), (0, 0));
    }
}
