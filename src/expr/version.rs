//! Versions for `semver("7.0.15")`: [`Version`], ordered by the rules of semantic versioning.
//!
//! Lenient in form (any number of numeric parts, a leading `v`, text after a blank), strict in
//! meaning: what is not a version is an error, never zero.

use std::cmp::Ordering;
use std::fmt;

/// A parsed version; equal and ordered by meaning (`7.0` is `7.0.0`, build metadata is ignored).
#[derive(Debug, Clone)]
pub(super) struct Version {
    text: String,
    numbers: Vec<u64>,
    prerelease: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    // the order of the variants is semantic versioning's: numbers below words
    Number(u64),
    Word(String),
}

impl Version {
    pub fn parse(text: &str) -> Option<Self> {
        // servers add words: "16.2 (Debian 16.2-1.pgdg120+2)"
        let first = text.split_whitespace().next()?;
        let plain = first.strip_prefix(['v', 'V']).unwrap_or(first);
        let plain = plain.split('+').next()?;
        let (core, prerelease) = match plain.split_once('-') {
            Some((core, rest)) => (core, Some(rest)),
            None => (plain, None),
        };
        let numbers = core
            .split('.')
            .map(number)
            .collect::<Option<Vec<_>>>()
            .filter(|numbers| numbers.len() <= 8)?;
        let prerelease = match prerelease {
            Some(rest) => rest.split('.').map(part).collect::<Option<Vec<_>>>()?,
            None => Vec::new(),
        };
        Some(Self {
            text: first.to_owned(),
            numbers,
            prerelease,
        })
    }
}

fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn part(text: &str) -> Option<Part> {
    let valid = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'~' || b == b'_');
    valid.then(|| number(text).map_or_else(|| Part::Word(text.to_owned()), Part::Number))
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let longest = self.numbers.len().max(other.numbers.len());
        let padded = |v: &Self, i: usize| v.numbers.get(i).copied().unwrap_or(0);
        for i in 0..longest {
            match padded(self, i).cmp(&padded(other, i)) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
        match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.prerelease.cmp(&other.prerelease),
        }
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(text: &str) -> Version {
        Version::parse(text).unwrap_or_else(|| panic!("`{text}` is a version"))
    }

    #[test]
    fn the_order_is_that_of_semver() {
        let ascending = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "7.0.9",
            "7.0.15",
            "7.2",
            "10.0",
        ];
        for pair in ascending.windows(2) {
            assert!(v(pair[0]) < v(pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn forms_that_servers_use() {
        assert_eq!(v("7.0"), v("7.0.0"));
        assert_eq!(v("v1.2.3"), v("1.2.3"));
        assert_eq!(v("1.2.3+build.5"), v("1.2.3+build.6"));
        assert_eq!(v("16.2 (Debian 16.2-1.pgdg120+2)"), v("16.2"));
        assert!(v("10.11.6-MariaDB") < v("10.11.6"));
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in [
            "",
            " ",
            "abc",
            "7..0",
            "7.x",
            "7.0.",
            "-1",
            "1.0-",
            "1.0-a..b",
            "７.0",
            "99999999999999999999",
        ] {
            assert!(Version::parse(text).is_none(), "`{text}`");
        }
    }
}
