//! Keys that may sign, in the form of an `allowed_signers` file of OpenSSH (`ssh-keygen(1)`).
//!
//! Main type: [`Signers`]. A file is read whole and strictly: a line that cannot be understood is an
//! error with its number, because one that is passed over takes a signer away unseen.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ssh_key::PublicKey;

use super::pattern::takes;

/// The largest file that is read, in bytes.
const LARGEST: usize = 1 << 20;

/// The signers of one file.
#[derive(Clone, Debug, Default)]
pub struct Signers(Vec<Signer>);

/// One line: whose key it is, and for what.
#[derive(Clone, Debug)]
pub struct Signer {
    /// The line's number, from 1.
    pub line: usize,
    /// Patterns of names, with commas.
    pub principals: String,
    /// Patterns of namespaces; `None`: any.
    pub namespaces: Option<String>,
    /// When it begins to be valid.
    pub after: Option<Timestamp>,
    /// When it ceases to be.
    pub before: Option<Timestamp>,
    /// The key.
    pub key: PublicKey,
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct SignersError {
    /// Its number, from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl Signers {
    /// Reads a file's text. Times without a `Z` are those of `zone`, as `ssh-keygen` takes them.
    ///
    /// # Errors
    /// The first line that cannot be understood, and `cert-authority`.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self, SignersError> {
        if text.len() > LARGEST {
            let what = format!("the text is larger than {} KiB", LARGEST >> 10);
            return Err(SignersError { line: 0, what });
        }
        let mut signers = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim_matches([' ', '\t', '\r']);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let signer = signer(at + 1, line, zone);
            signers.push(signer.map_err(|what| SignersError { line: at + 1, what })?);
        }
        Ok(Self(signers))
    }

    /// Whether nobody may sign by key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lines.
    pub fn iter(&self) -> impl Iterator<Item = &Signer> {
        self.0.iter()
    }

    /// Whether any line names a key for this name, valid now or not.
    pub fn know(&self, name: &str) -> bool {
        self.0.iter().any(|signer| takes(&signer.principals, name))
    }

    /// Whether `key` may sign for `name` in `namespace` at that time.
    ///
    /// # Errors
    /// Why not, in words: of the lines that come nearest.
    pub fn allow(
        &self,
        key: &PublicKey,
        name: &str,
        namespace: &str,
        at: Timestamp,
    ) -> Result<(), String> {
        let same = |signer: &&Signer| signer.key.key_data() == key.key_data();
        let named = |signer: &&Signer| takes(&signer.principals, name);
        if !self.0.iter().any(|signer| same(&signer)) {
            return Err(match self.know(name) {
                true => format!("the key is not one of those that may sign for `{name}`"),
                false => format!("no key may sign for `{name}`, and this key is not known"),
            });
        }
        let mut fitting = self.0.iter().filter(same).filter(named).peekable();
        if fitting.peek().is_none() {
            return Err(format!("the key is known, and not for `{name}`"));
        }
        let mut why = String::new();
        for signer in fitting {
            match signer.valid(namespace, at) {
                Ok(()) => return Ok(()),
                Err(found) => why = found,
            }
        }
        Err(why)
    }
}

impl Signer {
    fn valid(&self, namespace: &str, at: Timestamp) -> Result<(), String> {
        if let Some(namespaces) = &self.namespaces
            && !takes(namespaces, namespace)
        {
            return Err(format!(
                "the key is not for the namespace `{namespace}` (it is for `{namespaces}`)"
            ));
        }
        match (self.after, self.before) {
            (Some(after), _) if at < after => Err(format!("the key is valid only after {after}")),
            (_, Some(before)) if at > before => Err(format!("the key was valid until {before}")),
            _ => Ok(()),
        }
    }
}

fn signer(line: usize, text: &str, zone: &TimeZone) -> Result<Signer, String> {
    let (principals, rest) = word(text)?;
    if principals.is_empty() {
        return Err("it names nobody".into());
    }
    let (options, rest) = match key_type(rest) {
        true => (Options::default(), rest),
        false => options(rest, zone)?,
    };
    if options.authority {
        return Err(
            "`cert-authority`: certificates are not taken; name the keys of the people".into(),
        );
    }
    if let (Some(after), Some(before)) = (options.after, options.before)
        && before <= after
    {
        return Err("`valid-before` comes before `valid-after`".into());
    }
    Ok(Signer {
        line,
        principals,
        namespaces: options.namespaces,
        after: options.after,
        before: options.before,
        key: key(rest)?,
    })
}

/// A first word, which may stand in quotes, and what follows it.
fn word(text: &str) -> Result<(String, &str), String> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (word, rest) = quoted
            .split_once('"')
            .ok_or_else(|| "a quote is not closed".to_owned())?;
        return Ok((word.to_owned(), rest.trim_start_matches([' ', '\t'])));
    }
    let (word, rest) = text
        .split_once([' ', '\t'])
        .ok_or_else(|| "it has names and no key".to_owned())?;
    Ok((word.to_owned(), rest.trim_start_matches([' ', '\t'])))
}

/// Whether a key starts here, rather than options.
fn key_type(text: &str) -> bool {
    let first = text.split([' ', '\t']).next().unwrap_or_default();
    ["ssh-", "ecdsa-", "sk-"]
        .iter()
        .any(|start| first.starts_with(start))
}

fn key(text: &str) -> Result<PublicKey, String> {
    let mut words = text.split_whitespace();
    let (Some(kind), Some(data)) = (words.next(), words.next()) else {
        return Err("it has no key".into());
    };
    if kind.contains("-cert-") {
        return Err("certificates are not taken; name the key".into());
    }
    PublicKey::from_openssh(&format!("{kind} {data}"))
        .map_err(|error| format!("the key cannot be read: {error}"))
}

#[derive(Default)]
struct Options {
    authority: bool,
    namespaces: Option<String>,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
}

/// Options with commas between them, and what follows them.
fn options<'t>(text: &'t str, zone: &TimeZone) -> Result<(Options, &'t str), String> {
    let (mut options, mut rest) = (Options::default(), text);
    loop {
        let end = rest.find([',', '=', ' ', '\t']).unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        rest = &rest[end..];
        let value = match rest.strip_prefix('=') {
            None => None,
            Some(value) => {
                let value = value
                    .strip_prefix('"')
                    .and_then(|value| value.split_once('"'))
                    .ok_or_else(|| format!("the value of `{name}` needs quotes"))?;
                rest = value.1;
                Some(value.0)
            }
        };
        let twice = |there: bool| match there {
            true => Err(format!("`{name}` stands twice")),
            false => Ok(()),
        };
        match (name.as_str(), value) {
            ("cert-authority", None) => options.authority = true,
            ("namespaces", Some(value)) => {
                twice(options.namespaces.is_some())?;
                options.namespaces = Some(value.to_owned());
            }
            ("valid-after", Some(value)) => {
                twice(options.after.is_some())?;
                options.after = Some(time(value, zone)?);
            }
            ("valid-before", Some(value)) => {
                twice(options.before.is_some())?;
                options.before = Some(time(value, zone)?);
            }
            _ => return Err(format!("`{name}` is no option, and no kind of key")),
        }
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok((options, rest.trim_start_matches([' ', '\t']))),
        }
    }
}

/// The same file with its times in UTC, so that it means the same wherever it is read. Takes a text that
/// [`Signers::parse`] took.
pub fn in_utc(text: &str, zone: &TimeZone) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(from) = value_of_time(rest) {
        let (before, value) = rest.split_at(from);
        let end = value.find('"').unwrap_or(value.len());
        let (value, behind) = value.split_at(end);
        out.push_str(before);
        match time(value, zone) {
            Ok(at) if !value.ends_with(['Z', 'z']) => {
                out.push_str(&at.strftime("%Y%m%d%H%M%SZ").to_string());
            }
            // in UTC already; or words of a comment
            _ => out.push_str(value),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Where the value of the next option begins that is a time.
fn value_of_time(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let names = ["valid-after=\"", "valid-before=\""];
    let found = names
        .iter()
        .filter_map(|name| Some(lower.find(name)? + name.len()));
    found.min()
}

/// `YYYYMMDD`, with `HHMM` or `HHMMSS` behind it, and `Z` for UTC.
fn time(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    let wrong = || format!("`{text}` is no time: write `YYYYMMDD[HHMM[SS]][Z]`");
    let (digits, zone) = match text.strip_suffix(['Z', 'z']) {
        Some(digits) => (digits, &TimeZone::UTC),
        None => (text, zone),
    };
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits || !matches!(digits.len(), 8 | 12 | 14) {
        return Err(wrong());
    }
    let part = |from: usize, to: usize| -> i8 {
        let part = digits.get(from..to).and_then(|part| part.parse().ok());
        part.unwrap_or(0)
    };
    let year: i16 = digits[..4].parse().map_err(|_| wrong())?;
    let date = DateTime::new(
        year,
        part(4, 6),
        part(6, 8),
        part(8, 10),
        part(10, 12),
        part(12, 14),
        0,
    );
    let zoned = date.and_then(|date| date.to_zoned(zone.clone()));
    zoned.map(|zoned| zoned.timestamp()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    fn parse(text: &str) -> Result<Signers, SignersError> {
        Signers::parse(text, &TimeZone::UTC)
    }

    fn allow(text: &str, name: &str, at: &str) -> Result<(), String> {
        let key = PublicKey::from_openssh(KEY).unwrap();
        parse(text)
            .unwrap()
            .allow(&key, name, "ferry", at.parse().unwrap())
    }

    const NOW: &str = "2026-03-21T02:00:00Z";

    #[test]
    fn a_key_signs_for_its_names() {
        let text = format!("# people\n\n  ana,bo* {KEY} ana@desk\n\"the lead\" {OTHER}\n");
        assert_eq!(allow(&text, "ana", NOW), Ok(()));
        assert_eq!(allow(&text, "bob", NOW), Ok(()));
        assert_eq!(
            allow(&text, "the lead", NOW).unwrap_err(),
            "the key is known, and not for `the lead`"
        );
        assert_eq!(
            allow(&format!("ana {OTHER}"), "ana", NOW).unwrap_err(),
            "the key is not one of those that may sign for `ana`"
        );
        assert_eq!(
            allow("", "ana", NOW).unwrap_err(),
            "no key may sign for `ana`, and this key is not known"
        );
        assert!(parse(&text).unwrap().know("the lead") && !parse(&text).unwrap().know("eve"));
    }

    #[test]
    fn options_narrow_what_a_key_is_for() {
        let with = |options: &str| format!("ana {options} {KEY}");
        for options in [
            "namespaces=\"git,ferry\"",
            "NAMESPACES=\"f*\"",
            "valid-after=\"20260321\",valid-before=\"20260322\"",
            "valid-after=\"202603210200\"",
            "valid-before=\"20260321020000Z\"",
            "namespaces=\"ferry\",valid-after=\"20200101Z\"",
        ] {
            assert_eq!(allow(&with(options), "ana", NOW), Ok(()), "{options}");
        }
        for (options, why) in [
            (
                "namespaces=\"git\"",
                "the key is not for the namespace `ferry` (it is for `git`)",
            ),
            (
                "valid-after=\"20260322\"",
                "the key is valid only after 2026-03-22T00:00:00Z",
            ),
            (
                "valid-before=\"20260321015959Z\"",
                "the key was valid until 2026-03-21T01:59:59Z",
            ),
        ] {
            assert_eq!(allow(&with(options), "ana", NOW).unwrap_err(), why);
        }
        // one line that allows it is enough
        let two = format!(
            "{}\n{}",
            with("namespaces=\"git\""),
            with("namespaces=\"ferry\"")
        );
        assert_eq!(allow(&two, "ana", NOW), Ok(()));
    }

    #[test]
    fn times_without_a_zone_are_local() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(
            time("202603210200", &zone).unwrap().to_string(),
            "2026-03-21T00:00:00Z"
        );
        assert_eq!(
            time("202603210200Z", &zone).unwrap().to_string(),
            "2026-03-21T02:00:00Z"
        );
        for wrong in [
            "",
            "2026",
            "20261301",
            "202603212",
            "2026032a",
            "20260321240000",
        ] {
            assert!(time(wrong, &zone).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_with_its_line() {
        for (line, what) in [
            ("ana".to_owned(), "it has names and no key"),
            (
                format!("ana cert-authority {KEY}"),
                "`cert-authority`: certificates are not taken; name the keys of the people",
            ),
            (
                format!("ana touch {KEY}"),
                "`touch` is no option, and no kind of key",
            ),
            (
                format!("ana namespaces=ferry {KEY}"),
                "the value of `namespaces` needs quotes",
            ),
            (
                format!("ana namespaces=\"a\",namespaces=\"b\" {KEY}"),
                "`namespaces` stands twice",
            ),
            (
                format!("ana valid-after=\"soon\" {KEY}"),
                "`soon` is no time: write `YYYYMMDD[HHMM[SS]][Z]`",
            ),
            (
                format!("ana valid-after=\"20260322\",valid-before=\"20260321\" {KEY}"),
                "`valid-before` comes before `valid-after`",
            ),
            ("ana ssh-ed25519".to_owned(), "it has no key"),
            (
                "ana ssh-ed25519-cert-v01@openssh.com AAAA".to_owned(),
                "certificates are not taken; name the key",
            ),
            (format!("\"ana {KEY}"), "a quote is not closed"),
        ] {
            let error = parse(&format!("bo {KEY}\n{line}\n")).unwrap_err();
            assert_eq!(
                error,
                SignersError {
                    line: 2,
                    what: what.into()
                },
                "{line}"
            );
        }
        let error = parse("ana ssh-ed25519 AAAA").unwrap_err().to_string();
        assert!(
            error.starts_with("line 1: the key cannot be read: "),
            "{error}"
        );
        assert!(parse(&"#".repeat(LARGEST + 1)).is_err());
    }

    #[test]
    fn times_are_kept_in_utc() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let text = format!(
            "# valid until then\nana valid-after=\"20260321\",Valid-Before=\"202603220130\" {KEY}\n\
             bo valid-before=\"20260401Z\" {OTHER} at home"
        );
        let utc = in_utc(&text, &zone);
        assert_eq!(
            utc,
            format!(
                "# valid until then\nana valid-after=\"20260320230000Z\",\
                 Valid-Before=\"20260322003000Z\" {KEY}\nbo valid-before=\"20260401Z\" {OTHER} at home"
            )
        );
        let (local, utc) = (Signers::parse(&text, &zone), parse(&utc));
        let times = |signers: Signers| -> Vec<_> {
            signers.iter().map(|one| (one.after, one.before)).collect()
        };
        assert_eq!(times(local.unwrap()), times(utc.unwrap()));
    }
}
