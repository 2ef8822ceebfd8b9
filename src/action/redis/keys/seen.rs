//! [`Seen`]: which keys a pass has met, within bounded memory.
//!
//! SCAN names a key again only when the server's table shrinks during the pass, and then close to
//! where it named it before. So it is enough to know the latest keys: the last half million at least,
//! which for up to a million keys is all of them.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// How many keys one generation holds; two are kept.
const GENERATION: usize = 500_000;

/// Takes the number for its own hash, since it is one.
#[derive(Default)]
pub(super) struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

type Generation = HashSet<u64, BuildHasherDefault<AsIs>>;

/// The keys met latest, by 64 bits of a hash that nobody outside can aim at.
#[derive(Default)]
pub(super) struct Seen {
    hash: RandomState,
    now: Generation,
    before: Generation,
}

impl Seen {
    /// Whether the key is new; from now on it is not.
    pub fn first(&mut self, key: &[u8]) -> bool {
        let hash = self.hash.hash_one(key);
        if self.before.contains(&hash) || !self.now.insert(hash) {
            return false;
        }
        if self.now.len() >= GENERATION {
            std::mem::swap(&mut self.now, &mut self.before);
            self.now.clear();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_keys_are_known_and_the_memory_is_bounded() {
        let mut seen = Seen::default();
        for at in 0..1_200_000_u32 {
            assert!(seen.first(&at.to_le_bytes()));
        }
        for at in 700_001..1_200_000_u32 {
            assert!(!seen.first(&at.to_le_bytes()), "{at}");
        }
        assert!(seen.now.len() + seen.before.len() <= 2 * GENERATION);
        assert!(seen.first(&5_u32.to_le_bytes()), "long forgotten");
    }
}
