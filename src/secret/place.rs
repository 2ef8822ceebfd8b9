//! Secrets known by where they stand, not by their value: [`mask_places`].
//!
//! For error messages, commands and settings, as one whole text. In doubt it hides too much. Must
//! not know any value, and must not be the only net: a place can be spelled in ways not listed here.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::replaced;

/// What announces a secret. The order is that of [`ANCHORS`].
#[derive(Clone, Copy)]
enum Anchor {
    Url,
    Header,
    Key,
    Command,
    Setting,
}

const ANCHORS: [(&str, Anchor); 11] = [
    ("://", Anchor::Url),
    ("authorization", Anchor::Header),
    ("cookie", Anchor::Header),
    ("password", Anchor::Key),
    ("passwd", Anchor::Key),
    ("pwd", Anchor::Key),
    ("rediscli_auth", Anchor::Key),
    ("auth", Anchor::Command),
    ("auth2", Anchor::Command),
    ("requirepass", Anchor::Setting),
    ("masterauth", Anchor::Setting),
];

static FINDER: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .ascii_case_insensitive(true)
        .build(ANCHORS.map(|(word, _)| word))
        .expect("eleven short words make an automaton")
});

/// Hides the passwords of URLs (`scheme://user:***@host`) and of connection strings
/// (`password=***`), the values of `Authorization`, `Cookie` and `Set-Cookie` headers, and the
/// arguments of Redis' `AUTH` and `HELLO ... AUTH`, `requirepass` and `masterauth`.
///
/// A user name without a password (`ssh://git@host`) stays. So does a URL whose user is followed by
/// digits and `/` (`http://host:8080/@x`): that is a port. White space ends a URL.
#[must_use]
pub fn mask_places(text: &str) -> Cow<'_, str> {
    let mut hidden: Vec<Range<usize>> = Vec::new();
    let mut from = 0;
    while let Some(found) = FINDER.find(aho_corasick::Input::new(text).range(from..)) {
        let here = found.start()..found.end();
        from = here.end;
        let mut ranges = match ANCHORS[found.pattern().as_usize()].1 {
            Anchor::Url => url(text, &here).into_iter().collect(),
            Anchor::Header => header(text, &here).into_iter().collect(),
            Anchor::Key => key(text, &here).into_iter().collect(),
            Anchor::Command => command(text, &here),
            Anchor::Setting => setting(text, &here),
        };
        ranges.retain(|range: &Range<usize>| !range.is_empty());
        if let Some(last) = ranges.last() {
            from = last.end;
        }
        hidden.append(&mut ranges);
    }
    if hidden.is_empty() {
        return Cow::Borrowed(text);
    }
    // every range lies between ASCII characters or ends of the text: still UTF-8
    let masked = replaced(text.as_bytes(), &hidden);
    Cow::Owned(String::from_utf8_lossy(&masked).into_owned())
}

/// Whether the value of a header or map entry of this name is a secret.
pub(super) fn is_secret_header(name: &str) -> bool {
    [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
    ]
    .iter()
    .any(|header| name.eq_ignore_ascii_case(header))
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

/// The position of the first byte at or behind `from` for which `ends` holds, or the end.
fn until(text: &str, from: usize, ends: impl Fn(usize, u8) -> bool) -> usize {
    let mut rest = text.as_bytes().iter().enumerate().skip(from);
    rest.find(|(i, b)| ends(*i, **b))
        .map_or(text.len(), |(i, _)| i)
}

/// A quote that closes something around the text, and is no part of a password.
fn closes(text: &str, at: usize, byte: u8) -> bool {
    is_quote(byte)
        && text
            .as_bytes()
            .get(at + 1)
            .is_none_or(|b| b.is_ascii_whitespace() || b",;)]}>.:".contains(b))
}

/// The password of `scheme://user:password@`. Passwords are often not encoded as they should be,
/// so `/`, `?`, `#` and `@` in them are put up with.
fn url(text: &str, here: &Range<usize>) -> Option<Range<usize>> {
    let start = here.end;
    let before = text[..here.start]
        .trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if before.len() == here.start {
        return None;
    }
    // only a quote that was opened before the URL ends it, any other may be part of the password
    let closing = match before.as_bytes().last() {
        Some(b'<') => Some(b'>'),
        quote => quote.copied().filter(|b| is_quote(*b)),
    };
    let mut end = until(text, start, |_, b| {
        b.is_ascii_whitespace() || Some(b) == closing
    });
    // in a list of URLs, the next one is another
    for (comma, _) in text[start..end].match_indices([',', ';', '|']) {
        let next = &text[start + comma + 1..end];
        let scheme = next.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
        if scheme.is_some_and(|at| at > 0 && next[at..].starts_with("://")) {
            end = start + comma;
            break;
        }
    }
    let at = start + text[start..end].rfind('@')?;
    let colon = start + text[start..at].find(':')?;
    let user = &text[start..colon];
    if user.contains(['/', '?', '#']) && !user.contains('@') {
        // the colon belongs to the path of a URL without a port
        return None;
    }
    let digits = text[colon + 1..at].bytes().take_while(u8::is_ascii_digit);
    let digits = digits.count();
    let is_port = (1..=5).contains(&digits)
        && matches!(text.as_bytes()[colon + 1 + digits], b'/' | b'?' | b'#');
    (!is_port).then_some(colon + 1..at)
}

/// The value behind `Authorization:`, also where the pair stands in quotes or in a map.
fn header(text: &str, here: &Range<usize>) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = here.end;
    let name_quote = bytes.get(at).copied().filter(|b| is_quote(*b));
    at += usize::from(name_quote.is_some());
    at = until(text, at, |_, b| b != b' ' && b != b'\t');
    if bytes.get(at) != Some(&b':') {
        return None;
    }
    let start = until(text, at + 1, |_, b| b != b' ' && b != b'\t');
    if let Some(quoted) = quoted(text, start) {
        return Some(quoted);
    }
    let line = until(text, start, |_, b| b == b'\n' || b == b'\r');
    if name_quote.is_some() {
        return Some(start..line);
    }
    // `-H "Authorization: Bearer ..." https://...`: the quote before the name closes the value
    let name = text[..here.start]
        .trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '-')
        .len();
    let around = bytes[..name].last().copied().filter(|b| is_quote(*b));
    let end = around.map_or(line, |quote| closing(text, start, quote).min(line));
    Some(start..end)
}

/// The inside of a quoted value that begins at `at`.
fn quoted(text: &str, at: usize) -> Option<Range<usize>> {
    let quote = *text.as_bytes().get(at).filter(|b| is_quote(**b))?;
    Some(at + 1..closing(text, at + 1, quote))
}

/// Where a quoted text ends; a backslash takes the next byte along.
fn closing(text: &str, from: usize, quote: u8) -> usize {
    let bytes = text.as_bytes();
    let mut at = from;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

/// The value behind `password=`, with the quoting of libpq, ODBC and URL queries.
fn key(text: &str, here: &Range<usize>) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let blank = |_, b: u8| b != b' ' && b != b'\t';
    let quote = bytes.get(here.end).is_some_and(|b| is_quote(*b));
    let equals = until(text, here.end + usize::from(quote), blank);
    if bytes.get(equals) != Some(&b'=') || matches!(bytes.get(equals + 1), Some(b'=' | b'>' | b'~'))
    {
        return None;
    }
    let mut start = until(text, equals + 1, blank);
    if &text[here.clone()] == "PWD" && bytes.get(start) == Some(&b'/') {
        // the shell's working directory
        return None;
    }
    if let Some(mut range) = quoted(text, start) {
        // ODBC and SQL double the quote instead of escaping it
        let quote = bytes[start];
        while bytes.get(range.end) == Some(&quote) && bytes.get(range.end + 1) == Some(&quote) {
            range.end = closing(text, range.end + 2, quote);
        }
        return Some(range);
    }
    if bytes.get(start) == Some(&b'{') {
        start += 1;
        return Some(start..until(text, start, |_, b| b == b'}'));
    }
    let mut end = start;
    while let Some(byte) = bytes.get(end) {
        let next_key = matches!(byte, b';' | b'&') && begins_pair(&bytes[end + 1..]);
        if byte.is_ascii_whitespace() || next_key || closes(text, end, *byte) {
            break;
        }
        end += if *byte == b'\\' { 2 } else { 1 };
    }
    Some(start..end.min(bytes.len()))
}

/// Whether `name=` comes next, or nothing: `;` or `&` before it are no part of a password.
fn begins_pair(rest: &[u8]) -> bool {
    let blank = rest.iter().take_while(|b| **b == b' ').count();
    let rest = &rest[blank..];
    let name = rest
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || b"_- .".contains(b))
        .count();
    rest.is_empty() || (name > 0 && rest.get(name) == Some(&b'='))
}

/// The arguments of `AUTH`. In capitals it counts anywhere; else only where a command stands, so
/// that `auth failed` can still be read.
fn command(text: &str, here: &Range<usize>) -> Vec<Range<usize>> {
    if !is_word(text, here) {
        return Vec::new();
    }
    let capitals = !text[here.clone()].bytes().any(|b| b.is_ascii_lowercase());
    let line = line_before(text, here.start);
    let begins = line.is_empty() || line.ends_with(['"', '\'', '`', '[', '(', '>', ';', '|']);
    let known = ["redis-cli", "redis:", "hello ", "migrate "];
    if capitals || begins || known.iter().any(|word| line.contains(word)) {
        arguments(text, here, 2)
    } else {
        Vec::new()
    }
}

/// The value of `CONFIG SET requirepass`.
fn setting(text: &str, here: &Range<usize>) -> Vec<Range<usize>> {
    let line = line_before(text, here.start);
    if is_word(text, here) && line.contains("config") && line.contains("set") {
        arguments(text, here, 1)
    } else {
        Vec::new()
    }
}

fn is_word(text: &str, here: &Range<usize>) -> bool {
    let part = |b: &u8| b.is_ascii_alphanumeric() || b"_-".contains(b);
    let bytes = text.as_bytes();
    !bytes[..here.start].last().is_some_and(part) && !bytes.get(here.end).is_some_and(part)
}

/// What stands before `at` in its line, in small letters.
fn line_before(text: &str, at: usize) -> String {
    let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    text[line..at].trim().to_ascii_lowercase()
}

/// Up to `most` arguments behind a command word, bare or quoted, apart by blanks or commas.
fn arguments(text: &str, word: &Range<usize>, most: usize) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let outer = bytes[..word.start].last().copied().filter(|b| is_quote(*b));
    let mut at = word.end;
    let list = outer.is_some() || text[..word.start].ends_with('[');
    if !list && bytes.get(at) == Some(&b',') {
        // the comma of a sentence
        return Vec::new();
    }
    if outer.is_some() && bytes.get(at).copied() == outer {
        if outer == Some(b'`') {
            // the name alone, as a sentence quotes it
            return Vec::new();
        }
        at += 1;
    }
    let mut found = Vec::new();
    while found.len() < most {
        let start = until(text, at, |_, b| !matches!(b, b' ' | b'\t' | b','));
        if start == at || start == text.len() || matches!(bytes[start], b'\n' | b'\r') {
            break;
        }
        let range = quoted(text, start).unwrap_or_else(|| {
            let end = until(text, start, |i, b| {
                b.is_ascii_whitespace() || closes(text, i, b)
            });
            start..end
        });
        if range.is_empty() && bytes[start].is_ascii_punctuation() && !is_quote(bytes[start]) {
            break;
        }
        let quote = usize::from(range.start > start);
        at = (range.end + quote).min(text.len());
        // Redis' own help texts
        if matches!(
            &text[range.clone()],
            "<password>" | "<pass>" | "<user>" | "<username>"
        ) {
            break;
        }
        found.push(range);
    }
    found.retain(|range| !range.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn masked(text: &str, expected: &str) {
        assert_eq!(mask_places(text), expected);
        assert_eq!(mask_places(expected), expected, "masked twice");
    }

    #[track_caller]
    fn stays(text: &str) {
        assert!(
            matches!(mask_places(text), Cow::Borrowed(_)),
            "{}",
            mask_places(text)
        );
    }

    #[test]
    fn url_passwords() {
        masked(
            "cannot reach redis://:hunter2@cache:6379/0: refused",
            "cannot reach redis://:***@cache:6379/0: refused",
        );
        masked(
            "`postgres://app:p%40w@db/app`",
            "`postgres://app:***@db/app`",
        );
        masked("postgres+tls://a:b:c@h", "postgres+tls://a:***@h");
        masked(
            "mysql://u:p@ss/w#r?d@db:3306/x y@z",
            "mysql://u:***@db:3306/x y@z",
        );
        masked(
            "redis://a:one@h1:1,redis://b:two@h2:2",
            "redis://a:***@h1:1,redis://b:***@h2:2",
        );
        masked(
            r#"{"url":"http://u:p@h/","m":"a@b"}"#,
            r#"{"url":"http://u:***@h/","m":"a@b"}"#,
        );
        masked("('http://u:p@h/', 'x')", "('http://u:***@h/', 'x')");
        masked("x 'redis://a:b@h' 'c@d'", "x 'redis://a:***@h' 'c@d'");
        masked("<redis://a:b@h>,<c@d>", "<redis://a:***@h>,<c@d>");
        masked("http://u:1234@h/", "http://u:***@h/");
        masked("http://\u{fc}:gr\u{fc}n@h/", "http://\u{fc}:***@h/");
    }

    #[test]
    fn urls_without_password() {
        for text in [
            "ssh://git@github.example/x",
            "http://127.0.0.1:8080/users/a@b.example",
            "http://127.0.0.1:8080?mail=a@b.example",
            "https://example.org/a?b=c:d@e",
            "http://h:80/ and a@b",
            "://x:y@z",
            "postgres://u:@h",
            "sqlite:///var/lib/a.db",
        ] {
            stays(text);
        }
    }

    #[test]
    fn connection_strings() {
        masked(
            "host=h password=hunter2 user=u",
            "host=h password=*** user=u",
        );
        masked(
            "host=h password = 'hun ter\\'2' user=u",
            "host=h password = '***' user=u",
        );
        masked(
            "Server=h;Password=a;b&c;Uid=sa;",
            "Server=h;Password=***;Uid=sa;",
        );
        masked("Pwd={a;b} x", "Pwd={***} x");
        masked("UID=sa;PWD=hunter2", "UID=sa;PWD=***");
        masked(
            "IDENTIFIED password='it''s' x",
            "IDENTIFIED password='***' x",
        );
        masked(
            "postgres://h/db?user=a&password=p@s&sslmode=on",
            "postgres://h/db?user=a&password=***&sslmode=on",
        );
        masked(
            "PGPASSWORD=x psql --password=y",
            "PGPASSWORD=*** psql --password=***",
        );
        masked("REDISCLI_AUTH=x redis-cli", "REDISCLI_AUTH=*** redis-cli");
        masked(
            "bad dsn `host=h password=x`: refused",
            "bad dsn `host=h password=***`: refused",
        );
        masked("sslpassword=gr\u{fc}n", "sslpassword=***");
        for text in [
            "PWD=/home/app",
            "password authentication failed for user `app`",
            "inputs.password == 'x'",
            "password=",
            "password => x",
        ] {
            stays(text);
        }
    }

    #[test]
    fn headers() {
        masked(
            "Authorization: Bearer a.b.c\r\nHost: h",
            "Authorization: ***\r\nHost: h",
        );
        masked(
            "> proxy-authorization:Basic eDp5",
            "> proxy-authorization:***",
        );
        masked("Cookie: a=1; b=2\nX: 1", "Cookie: ***\nX: 1");
        masked("< Set-Cookie: sid=1; HttpOnly\n", "< Set-Cookie: ***\n");
        masked(
            "curl -H \"Authorization: Bearer x\" http://h/",
            "curl -H \"Authorization: ***\" http://h/",
        );
        masked(
            r#"{"set-cookie": "a=\"1\"", "x": 1}"#,
            r#"{"set-cookie": "***", "x": 1}"#,
        );
        masked(r#"{"cookie": ["a"], "x": 1}"#, r#"{"cookie": ***"#);
        stays("the Cookie was refused, authorization failed");
        stays("Cookie:\nX: 1");
    }

    #[test]
    fn redis_commands() {
        masked("AUTH hunter2", "AUTH ***");
        masked("AUTH app hunter2", "AUTH *** ***");
        masked("auth app 'hun ter2'\nPING", "auth *** '***'\nPING");
        masked(
            "HELLO 3 AUTH app hunter2 SETNAME x",
            "HELLO 3 AUTH *** *** SETNAME x",
        );
        masked(
            "hello 3 auth app hunter2 setname x",
            "hello 3 auth *** *** setname x",
        );
        masked(
            "sent `AUTH hunter2`: WRONGPASS",
            "sent `AUTH ***`: WRONGPASS",
        );
        masked("redis-cli -p 1 auth hunter2", "redis-cli -p 1 auth ***");
        masked("127.0.0.1:6379> auth hunter2", "127.0.0.1:6379> auth ***");
        masked(r#"["AUTH", "app", "hunter2"]"#, r#"["AUTH", "***", "***"]"#);
        masked(r#""AUTH" "app" "hunter2""#, r#""AUTH" "***" "***""#);
        masked(
            "MIGRATE h 6379 k 0 10 AUTH2 app pw KEYS a",
            "MIGRATE h 6379 k 0 10 AUTH2 *** *** KEYS a",
        );
        masked(
            "CONFIG SET requirepass hunter2",
            "CONFIG SET requirepass ***",
        );
        masked(
            "config set masterauth \"x y\"",
            "config set masterauth \"***\"",
        );
        for text in [
            "NOAUTH Authentication required.",
            "ERR AUTH <password> called without any password configured",
            "otherwise the HELLO <proto> AUTH <user> <pass> option can be used",
            "Client sent AUTH, but no password is set",
            "redis auth failed: refused",
            "CONFIG GET requirepass",
            "the author",
            "AUTH",
            "`AUTH` is not for a step: put it into the address",
        ] {
            stays(text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Nothing outside the hidden ranges changes, and no input makes it panic.
        #[test]
        fn any_text_is_survived(pieces in proptest::collection::vec(prop_oneof![
            Just("://".to_owned()), Just("Cookie:".to_owned()), Just("password=".to_owned()),
            Just("AUTH ".to_owned()), Just("config set requirepass ".to_owned()),
            "[@:;&,\"'`\\\\{}<> \n/=a1]{0,4}", "\\PC{0,3}",
        ], 0..12)) {
            let text = pieces.concat();
            let masked = mask_places(&text);
            let mut rest = text.as_str();
            for kept in masked.split("***") {
                let at = rest.find(kept);
                prop_assert!(at.is_some(), "{:?} -> {:?}", text, masked);
                rest = &rest[at.unwrap_or(0) + kept.len()..];
            }
        }

        #[test]
        fn a_url_password_never_stays(password in "[!-~]{6,20}") {
            prop_assume!(!password.contains("://"));
            let port = password.split(['/', '?', '#']).next().unwrap_or("");
            prop_assume!(port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()));
            let masked = mask_places(&format!("at redis://user:{password}@host:1/0 refused")).into_owned();
            prop_assert_eq!(masked, "at redis://user:***@host:1/0 refused");
        }
    }
}
