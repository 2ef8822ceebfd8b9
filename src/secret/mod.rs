//! Values that must not be seen: [`Secret`] holds one, [`Masker`] takes all of them out of a text.
//!
//! A secret is registered before it is used first; whatever is written, shown or sent then passes
//! the masker, before it is cut to length. By value, every spelling listed here is replaced by
//! `***`: as it is, without white space around it, each of its lines, escaped for JSON, shell, SQL,
//! HTML, XML and Rust's debug output, with `$` doubled, percent-encoded, in hexadecimal, in base64
//! and base64url at each of the three alignments. By place, whatever the value: [`mask_places`].
//!
//! The masker is a net, not a wall. It does not see
//!
//! * encodings on top of encodings (base64 of base64, JSON in JSON that escapes twice), escapes in
//!   mixed case (`%2f%3D`), and base64 or hexadecimal dumps broken into lines elsewhere than at 64
//!   or 76 characters from the secret's beginning;
//! * anything compressed, encrypted, hashed or reversed, and bytes that are not UTF-8 of a secret;
//! * a secret of which one part went to stdout and the other to stderr, or to two records;
//! * one byte per line, or any other text strewn in between;
//! * lines of a secret that are shorter than 6 bytes, printed alone;
//! * in base64, the one character at each end that also carries bits of a neighbour.
//!
//! Streams and bytes are masked by value only. No IO here, and no text of a secret in any error.

mod forms;
mod place;
mod scan;
mod stream;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use place::mask_places;
pub use stream::MaskStream;

use scan::Scanner;

/// What stands where a secret was; one for secrets that touch or overlap.
const MASK: &[u8] = b"***";

/// A value that is not shown: no `Display`, no `Serialize`, and `Debug` prints `Secret(***)`.
///
/// Its bytes are overwritten when it is dropped. That is best effort: the masker keeps spellings of
/// the value for as long as it lives.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value; copies made before are the caller's.
    #[must_use]
    pub fn new(value: String) -> Secret {
        Secret(value)
    }

    /// The value, for the one who must hand it over.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        // keeps the compiler from leaving out a write to memory that is freed next
        std::hint::black_box(bytes.as_mut_slice());
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// A secret that cannot be masked, because its text would be found everywhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("secret `{name}` has {length} bytes, and fewer than {minimum} cannot be masked")]
pub struct TooShort {
    /// The name under which the secret was registered.
    pub name: String,
    /// Bytes without white space around them.
    pub length: usize,
    /// Bytes that are needed.
    pub minimum: usize,
}

/// Takes registered secrets out of text, bytes, JSON and streams. Cheap to clone.
///
/// `Masker::default()` knows no values, and masks by place only.
#[derive(Clone, Default)]
pub struct Masker {
    scanner: Option<Arc<Scanner>>,
}

impl Masker {
    /// Registers secrets, each under the name that an error would give.
    ///
    /// # Errors
    ///
    /// [`TooShort`] for the first secret that has fewer than 6 bytes, white space around it not
    /// counted.
    pub fn new(secrets: impl IntoIterator<Item = (String, Secret)>) -> Result<Masker, TooShort> {
        let mut patterns = BTreeSet::new();
        for (name, secret) in secrets {
            let length = secret.expose().trim().len();
            if length < forms::MINIMUM {
                return Err(TooShort {
                    name,
                    length,
                    minimum: forms::MINIMUM,
                });
            }
            forms::patterns(secret.expose(), &mut patterns);
        }
        let scanner = (!patterns.is_empty()).then(|| Arc::new(Scanner::new(&patterns)));
        Ok(Masker { scanner })
    }

    /// Masks a whole text by value, then by place.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => mask_places(text),
            Cow::Owned(masked) => {
                // nothing is lossy here: a pattern is UTF-8, so it matches at character borders
                let masked = String::from_utf8_lossy(&masked).into_owned();
                match mask_places(&masked) {
                    Cow::Borrowed(_) => Cow::Owned(masked),
                    Cow::Owned(twice) => Cow::Owned(twice),
                }
            }
        }
    }

    /// Masks a whole buffer by value; the bytes need not be text.
    #[must_use]
    pub fn bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(scanner) = self.scanner() else {
            return Cow::Borrowed(bytes);
        };
        let mut covered = Vec::new();
        scanner.scan(scanner.start(), bytes, 0, &mut covered);
        if covered.is_empty() {
            return Cow::Borrowed(bytes);
        }
        Cow::Owned(replaced(bytes, &covered))
    }

    /// Masks every string in a value, keys too, as [`Masker::text`] does, and the strings under keys
    /// that are names of secret headers. A number that holds a secret becomes the text `***`; where
    /// keys become equal, the later ones get a number (`***#2`), so that no entry is lost.
    #[must_use]
    pub fn json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => match self.text(&text) {
                Cow::Owned(masked) => Value::String(masked),
                Cow::Borrowed(_) => Value::String(text),
            },
            Value::Number(number) => match self.bytes(number.to_string().as_bytes()) {
                Cow::Borrowed(_) => Value::Number(number),
                Cow::Owned(_) => hidden(),
            },
            Value::Array(items) => items.into_iter().map(|item| self.json(item)).collect(),
            Value::Object(entries) => Value::Object(self.entries(entries)),
            Value::Null | Value::Bool(_) => value,
        }
    }

    fn entries(&self, entries: Map<String, Value>) -> Map<String, Value> {
        let mut masked = Map::with_capacity(entries.len());
        for (key, value) in entries {
            let value = if place::is_secret_header(&key) {
                hide_strings(value)
            } else {
                self.json(value)
            };
            let key = self.text(&key).into_owned();
            let mut free = key.clone();
            let mut copy = 1;
            while masked.contains_key(&free) {
                copy += 1;
                free = format!("{key}#{copy}");
            }
            masked.insert(free, value);
        }
        masked
    }

    /// A masker for bytes that arrive in pieces.
    pub fn stream(&self) -> MaskStream {
        MaskStream::new(self.clone())
    }

    fn scanner(&self) -> Option<&Scanner> {
        self.scanner.as_deref()
    }
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masker").finish_non_exhaustive()
    }
}

/// Puts the mask in place of each range; the ranges are sorted and apart.
fn replaced(bytes: &[u8], ranges: &[Range<usize>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut done = 0;
    for range in ranges {
        out.extend_from_slice(&bytes[done..range.start]);
        out.extend_from_slice(MASK);
        done = range.end;
    }
    out.extend_from_slice(&bytes[done..]);
    out
}

fn hidden() -> Value {
    Value::String(String::from_utf8_lossy(MASK).into_owned())
}

/// Hides all strings and numbers of the value of a secret header.
fn hide_strings(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(hide_strings).collect(),
        Value::Null | Value::Bool(_) => value,
        Value::String(_) | Value::Number(_) | Value::Object(_) => hidden(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn masker(values: &[&str]) -> Masker {
        Masker::new(values.iter().map(|value| {
            (
                format!("name of {}", value.len()),
                Secret::new((*value).to_owned()),
            )
        }))
        .unwrap()
    }

    #[test]
    fn secret_is_not_shown() {
        let secret = Secret::new("jellyfish".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(***)");
        assert_eq!(secret.expose(), "jellyfish");
        let masker = masker(&["jellyfish"]);
        assert_eq!(
            format!("{masker:?} {:?}", masker.stream()),
            "Masker { .. } MaskStream { pending: 0, .. }"
        );
    }

    #[test]
    fn masker_crosses_threads() {
        fn shared<T: Clone + Send + Sync + 'static>() {}
        fn sent<T: Send + 'static>() {}
        shared::<Masker>();
        sent::<MaskStream>();
    }

    #[test]
    fn short_secrets_are_refused_by_name() {
        let short = |value: &str| {
            Masker::new([("db_password".to_owned(), Secret::new(value.to_owned()))]).unwrap_err()
        };
        assert_eq!(
            short("abcde").to_string(),
            "secret `db_password` has 5 bytes, and fewer than 6 cannot be masked"
        );
        assert_eq!(short("").length, 0);
        assert_eq!(short("   ab\n\n\n").length, 2);
        // bytes count, not characters
        assert_eq!(
            masker(&["\u{e9}\u{e9}\u{e9}"]).text("x\u{e9}\u{e9}\u{e9}y"),
            "x***y"
        );
    }

    #[test]
    fn no_secrets_no_change() {
        let text = "nothing here, hunter22";
        assert!(matches!(Masker::default().text(text), Cow::Borrowed(_)));
        assert!(matches!(
            Masker::default().bytes(b"\xff\0"),
            Cow::Borrowed(_)
        ));
        assert!(matches!(
            masker(&["jellyfish"]).text(text),
            Cow::Borrowed(_)
        ));
        assert_eq!(Masker::default().text("redis://u:p@h"), "redis://u:***@h");
    }

    #[test]
    fn overlapping_secrets_leave_nothing() {
        let masker = masker(&["abcdefgh", "efghijkl", "defghi", "abcdefghijklmnopqrst"]);
        assert_eq!(masker.text("-abcdefghijkl-"), "-***-");
        assert_eq!(masker.text("-abcdefghijklmno-"), "-***mno-");
        assert_eq!(masker.text("-abcdefghabcdefgh-"), "-***-");
        assert_eq!(masker.text("-abcdefgh abcdefgh-"), "-*** ***-");
        // a secret that overlaps itself
        assert_eq!(self::masker(&["ababab"]).text("abababab."), "***.");
    }

    #[test]
    fn each_listed_form_is_masked() {
        const SECRET: &str = "p$ss 'w<rd>/\"&k\\y";
        let masker = masker(&[SECRET, "-----KEY-----\nq83vASNFZ4mrze8B\n-----DONE----"]);
        let forms = [
            "p$ss 'w<rd>/\"&k\\y",
            r#"p$ss 'w<rd>/\"&k\\y"#,
            r#"p$ss 'w\u003crd\u003e/\"\u0026k\\y"#,
            r#"p$ss '\''w<rd>/"&k\y"#,
            r#"p\$ss\ \'w\<rd\>/\"\&k\\y"#,
            r#"p$ss ''w<rd>/"&k\y"#,
            r"p$ss &#39;w&lt;rd&gt;/&quot;&amp;k\y",
            r"p$ss &apos;w&lt;rd&gt;/&quot;&amp;k\y",
            r#"p$$ss 'w<rd>/"&k\y"#,
            "p%24ss%20%27w%3Crd%3E%2F%22%26k%5Cy",
            "p%24ss%20%27w%3crd%3e%2f%22%26k%5cy",
            "p%24ss+%27w%3Crd%3E%2F%22%26k%5Cy",
            "702473732027773c72643e2f22266b5c79",
            "702473732027773C72643E2F22266B5C79",
            "cCRzcyAndzxyZD4vIiZrXHk=",
            "cCRzcyAndzxyZD4vIiZrXHk",
            "q83vASNFZ4mrze8B",
            "-----KEY-----\r\nq83vASNFZ4mrze8B\r\n-----DONE----",
        ];
        for form in forms {
            assert_eq!(masker.bytes(form.as_bytes()).as_ref(), MASK, "{form}");
        }
        assert_eq!(masker.text("7024737320277 7"), "7024737320277 7");
        assert_eq!(masker.text("a q83vASNFZ4mrze8B b"), "a *** b");
        assert_eq!(masker.text("cCRzcyAndzxyZD4vIiZrXHk="), "***");
    }

    #[test]
    fn basic_auth_at_each_alignment() {
        let masker = masker(&["jellyfish?"]);
        // u:, us:, usr: before the secret; at most the one mixed character stays
        assert_eq!(masker.text("dTpqZWxseWZpc2g/"), "dTp***");
        assert_eq!(masker.text("dXM6amVsbHlmaXNoPw=="), "dXM6***");
        assert_eq!(masker.text("dXNyOmplbGx5ZmlzaD8="), "dXNyOm***");
    }

    #[test]
    fn documented_gaps_are_gaps() {
        let masker = masker(&["jellyfish?"]);
        for gap in [
            "YW1Wc2JIbG1hWE5vUHc9PQ==",
            "j\ne\nl\nl\ny\nf\ni\ns\nh\n?",
            "?hsifyllej",
        ] {
            assert_eq!(masker.text(gap), gap);
        }
        let (mut out, mut err) = (masker.stream(), masker.stream());
        let mut seen = Vec::new();
        out.push(b"jelly", &mut seen);
        err.push(b"fish?", &mut seen);
        out.finish(&mut seen);
        err.finish(&mut seen);
        assert_eq!(seen, b"fish?jelly");
    }

    #[test]
    fn json_is_masked_deep() {
        let masker = masker(&["jellyfish", "20261121"]);
        let value = json!({
            "jellyfish": 1,
            "jellyfish!": [null, true, {"x": "a jellyfish b"}],
            "***": "kept apart",
            "n": [20261121, 1.5, -7],
            "Set-Cookie": ["sid=1", "b=2"],
            "authorization": "Basic x",
            "url": "postgres://u:pw@h/db",
        });
        assert_eq!(
            masker.json(value),
            json!({
                "***": 1,
                "***!": [null, true, {"x": "a *** b"}],
                "***#2": "kept apart",
                "n": ["***", 1.5, -7],
                "Set-Cookie": ["***", "***"],
                "authorization": "***",
                "url": "postgres://u:***@h/db",
            })
        );
    }

    #[test]
    fn value_before_place() {
        let masker = masker(&["p@ss word"]);
        assert_eq!(
            masker.text("redis://u:p@ss word@h:6379 refused"),
            "redis://u:***@h:6379 refused"
        );
        assert_eq!(
            masker.text("password=p@ss word host=h"),
            "password=*** host=h"
        );
    }
}
