//! The spellings under which one secret may turn up in a text: [`patterns`] lists them as bytes.
//!
//! Too many spellings cost a little memory, a missing one is a leak, so where tools differ (which
//! characters they escape, upper or lower case) each habit is listed. Must not search anything.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Secrets and parts of secrets below this many bytes are not masked: they would blacken half of
/// every text.
pub(super) const MINIMUM: usize = 6;

/// Adds every spelling of `secret` to `into`; none is shorter than [`MINIMUM`].
pub(super) fn patterns(secret: &str, into: &mut BTreeSet<Vec<u8>>) {
    for part in parts(secret) {
        let mut add = |form: String| {
            if form.len() >= MINIMUM {
                into.insert(form.into_bytes());
            }
        };
        if part.contains('\n') {
            // what a terminal or a text protocol makes of line ends
            add(part.replace("\r\n", "\n").replace('\n', "\r\n"));
            add(part.replace("\r\n", "\n"));
        }
        json(part, &mut add);
        shell(part, &mut add);
        sql(part, &mut add);
        markup(part, &mut add);
        percent(part, &mut add);
        hex(part.as_bytes(), &mut add);
        base64(part.as_bytes(), &mut add);
        add(format!("{part:?}").trim_matches('"').to_owned());
        add(part.replace('$', "$$"));
        add(part.to_owned());
    }
}

/// The secret, the secret without the white space around it, and its lines.
fn parts(secret: &str) -> BTreeSet<&str> {
    let mut parts = BTreeSet::from([secret, secret.trim()]);
    for line in secret.split(['\n', '\r']) {
        for line in [line, line.trim()] {
            if line.len() >= MINIMUM {
                parts.insert(line);
            }
        }
    }
    parts
}

/// Replaces the characters for which `escape` writes something (and returns true).
fn escaped(text: &str, mut escape: impl FnMut(char, &mut String) -> bool) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if !escape(c, &mut out) {
            out.push(c);
        }
    }
    out
}

/// Replaces by a table; characters that are not in it stay.
fn by_table(text: &str, table: &[(char, &str)]) -> String {
    escaped(text, |c, out| {
        let found = table.iter().find(|(from, _)| *from == c);
        found.map(|(_, to)| out.push_str(to)).is_some()
    })
}

/// JSON writers agree on quotes and backslashes, not on `/`, on what could be markup, and on
/// characters outside ASCII.
fn json(text: &str, add: &mut impl FnMut(String)) {
    let markup_sets = ["", "<>&", "<>&'", "<>&'\"", "<>&'\"+`"];
    for slash in [false, true] {
        for ascii in [false, true] {
            for upper in [false, true] {
                for set in markup_sets {
                    add(escaped(text, |c, out| {
                        json_char(c, out, slash, ascii, upper, set)
                    }));
                }
            }
        }
    }
}

fn json_char(
    c: char,
    out: &mut String,
    slash: bool,
    ascii: bool,
    upper: bool,
    as_code: &str,
) -> bool {
    let short = match c {
        _ if as_code.contains(c) => None,
        '"' => Some("\\\""),
        '\\' => Some("\\\\"),
        '\n' => Some("\\n"),
        '\r' => Some("\\r"),
        '\t' => Some("\\t"),
        '\u{8}' => Some("\\b"),
        '\u{c}' => Some("\\f"),
        '/' if slash => Some("\\/"),
        _ => None,
    };
    if let Some(short) = short {
        out.push_str(short);
        return true;
    }
    let coded = c < ' ' || as_code.contains(c) || (ascii && c > '~');
    if coded {
        for unit in c.encode_utf16(&mut [0; 2]) {
            push_code(out, "\\u", u32::from(*unit), 4, upper);
        }
    }
    coded
}

/// Writes `prefix` and then `value` in hexadecimal, at least `width` digits.
fn push_code(out: &mut String, prefix: &str, value: u32, width: usize, upper: bool) {
    out.push_str(prefix);
    let written = if upper {
        write!(out, "{value:0width$X}")
    } else {
        write!(out, "{value:0width$x}")
    };
    written.expect("writing to a string does not fail");
}

/// Single quotes (two habits), double quotes, backslashes (`printf %q`), `$'...'` (`set -x`).
fn shell(text: &str, add: &mut impl FnMut(String)) {
    add(text.replace('\'', r"'\''"));
    add(text.replace('\'', r#"'"'"'"#));
    let backslash = |set: &str, first: &str| {
        let mut at_start = true;
        escaped(text, |c, out| {
            if set.contains(c) || (at_start && first.contains(c)) {
                out.push('\\');
            }
            at_start = false;
            false
        })
    };
    add(backslash("$`\"\\", ""));
    add(backslash("$`\"\\!", ""));
    add(backslash("$", ""));
    let special = " \t!\"$&'()*;<>?[\\]^`{|}";
    for more in ["", ",", ",#~", ",#~=%+@:"] {
        add(backslash(&format!("{special}{more}"), "#~"));
    }
    for octal in [false, true] {
        add(escaped(text, |c, out| ansi_c(c, out, octal)));
    }
}

fn ansi_c(c: char, out: &mut String, octal: bool) -> bool {
    let short = match c {
        '\'' => "\\'",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{b}' => "\\v",
        '\u{c}' => "\\f",
        '\u{1b}' => "\\E",
        _ => "",
    };
    out.push_str(short);
    let coded = short.is_empty() && (c.is_ascii_control() || (octal && !c.is_ascii()));
    if coded {
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            write!(out, "\\{byte:03o}").expect("writing to a string does not fail");
        }
    }
    coded || !short.is_empty()
}

/// Doubled quotes of the standard, backslashes of MySQL, and what PostgreSQL's `E''` takes.
fn sql(text: &str, add: &mut impl FnMut(String)) {
    let tables: [&[(char, &str)]; 6] = [
        &[('\'', "''")],
        &[('"', "\"\"")],
        &[('\'', "''"), ('\\', "\\\\")],
        &[('\'', "\\'"), ('\\', "\\\\")],
        &[
            ('\'', "\\'"),
            ('"', "\\\""),
            ('\\', "\\\\"),
            ('\n', "\\n"),
            ('\r', "\\r"),
            ('\u{1a}', "\\Z"),
        ],
        &[('`', "``")],
    ];
    for table in tables {
        add(by_table(text, table));
    }
}

/// HTML and XML: which characters are escaped, and how the quotes and line ends are named.
fn markup(text: &str, add: &mut impl FnMut(String)) {
    const NAMED: [(char, &str); 3] = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")];
    const DECIMAL: [(char, &str); 3] = [('&', "&#38;"), ('<', "&#60;"), ('>', "&#62;")];
    const HEX: [(char, &str); 3] = [('&', "&#x26;"), ('<', "&#x3C;"), ('>', "&#x3E;")];
    const QUOTES: [&[(char, &str)]; 9] = [
        &[],
        &[('"', "&quot;")],
        &[('"', "&quot;"), ('\'', "&#39;")],
        &[('"', "&quot;"), ('\'', "&#039;")],
        &[('"', "&quot;"), ('\'', "&#x27;")],
        &[('"', "&quot;"), ('\'', "&apos;")],
        &[('"', "&#34;"), ('\'', "&#39;")],
        &[('"', "&quot;"), ('\'', "&#x27;"), ('/', "&#x2F;")],
        &[
            ('"', "&quot;"),
            ('\'', "&#x27;"),
            ('`', "&#x60;"),
            ('=', "&#x3D;"),
        ],
    ];
    const LINES: [&[(char, &str)]; 3] = [
        &[],
        &[('\n', "&#10;"), ('\r', "&#13;"), ('\t', "&#9;")],
        &[('\n', "&#xA;"), ('\r', "&#xD;"), ('\t', "&#x9;")],
    ];
    for base in [NAMED, DECIMAL, HEX] {
        for quotes in QUOTES {
            for lines in LINES {
                add(by_table(text, &[&base[..], quotes, lines].concat()));
            }
        }
    }
    // XML text may leave `>` alone
    add(by_table(text, &NAMED[..2]));
}

/// Percent-encoding: what stays as it is differs between standards and libraries.
fn percent(text: &str, add: &mut impl FnMut(String)) {
    const KEPT: [&str; 8] = [
        "-_.~",
        "-_.~/",
        "-_.!~*'()",
        "*-._",
        "-_.",
        "-_.~!$&'()*+,;=",
        "-_.~!$&'()*+,;=:@/",
        "-_.~!$&'()*+,;=:@/?#[]",
    ];
    for kept in KEPT {
        for plus in [false, true] {
            for upper in [false, true] {
                add(percent_encoded(text, plus, upper, |b| {
                    b.is_ascii_alphanumeric() || kept.as_bytes().contains(&b)
                }));
            }
        }
    }
    for upper in [false, true] {
        // the user-info rule of browsers and of most URL libraries, then every byte encoded
        add(percent_encoded(text, false, upper, |b| {
            b.is_ascii_graphic() && !br##""#<>?`{}/:;=@[\]^|"##.contains(&b)
        }));
        add(percent_encoded(text, false, upper, |_| false));
    }
}

fn percent_encoded(text: &str, plus: bool, upper: bool, keep: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        match byte {
            b' ' if plus => out.push('+'),
            _ if byte.is_ascii() && keep(byte) => out.push(char::from(byte)),
            _ => push_code(&mut out, "%", u32::from(byte), 2, upper),
        }
    }
    out
}

fn hex(bytes: &[u8], add: &mut impl FnMut(String)) {
    for upper in [false, true] {
        let mut out = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            push_code(&mut out, "", u32::from(*byte), 2, upper);
        }
        add(out);
    }
}

/// Both alphabets, in the three ways in which the secret can lie in the encoded text (behind 0, 1
/// or 2 bytes of something else), in the middle and at the end of it, and broken into lines.
fn base64(bytes: &[u8], add: &mut impl FnMut(String)) {
    for last_two in [['+', '/'], ['-', '_']] {
        for before in 0..3 {
            let mut shifted = vec![0; before];
            shifted.extend_from_slice(bytes);
            let all = base64_unpadded(&shifted, last_two);
            // characters that carry bits of a neighbour cannot be known; 8 bits in, 6 bits out
            let first = (before * 8).div_ceil(6);
            let known = shifted.len() * 8 / 6;
            add(all[first..known].to_owned());
            add(all[first..].to_owned());
            let padding = "=".repeat((3 - shifted.len() % 3) % 3);
            let padded = format!("{all}{padding}");
            add(padded[first..].to_owned());
            if before == 0 {
                for width in [64, 76] {
                    add(wrapped(&padded, width, "\n"));
                    add(wrapped(&padded, width, "\r\n"));
                }
            }
        }
    }
}

fn base64_unpadded(bytes: &[u8], last_two: [char; 2]) -> String {
    const DIGITS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, i| {
            bits << 8 | usize::from(group.get(i).copied().unwrap_or(0))
        });
        for digit in 0..=group.len() {
            let value = bits >> (18 - 6 * digit) & 63;
            let c = DIGITS.get(value).map(|b| char::from(*b));
            out.push(c.unwrap_or_else(|| last_two[value - DIGITS.len()]));
        }
    }
    out
}

/// Breaks ASCII text into lines of `width` characters.
fn wrapped(text: &str, width: usize, end: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / width * end.len());
    for (i, c) in text.chars().enumerate() {
        if i > 0 && i % width == 0 {
            out.push_str(end);
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(secret: &str) -> BTreeSet<String> {
        let mut set = BTreeSet::new();
        patterns(secret, &mut set);
        set.into_iter()
            .map(|form| String::from_utf8(form).unwrap())
            .collect()
    }

    #[track_caller]
    fn has(secret: &str, form: &str) {
        assert!(forms(secret).contains(form), "{secret:?} lacks {form:?}");
    }

    #[test]
    fn plain_secret_has_few_forms() {
        // as it is, hexadecimal, every byte as %xx, base64: in the middle,
        // at the end, and padded, at three alignments, some of them equal
        let forms: Vec<String> = forms("hunter22").into_iter().collect();
        let expected = [
            "%68%75%6E%74%65%72%32%32",
            "%68%75%6e%74%65%72%32%32",
            "68756E7465723232",
            "68756e7465723232",
            "aHVudGVyMj",
            "aHVudGVyMjI",
            "aHVudGVyMjI=",
            "h1bnRlcjIy",
            "hunter22",
            "odW50ZXIyM",
            "odW50ZXIyMg",
            "odW50ZXIyMg==",
        ];
        assert_eq!(forms, expected);
    }

    #[test]
    fn whitespace_and_lines() {
        has("  s3cret!\n", "s3cret!");
        has("  s3cret!\n", "  s3cret!\n");
        has("first line\r\nsecond\nshort", "first line");
        has("first line\r\nsecond\nshort", "second");
        has("first\nsecond", "first\r\nsecond");
        assert!(!forms("first line\r\nsecond\nshort").contains("short"));
    }

    #[test]
    fn json_habits() {
        has("a\"b\\c/d\n<é>", "a\\\"b\\\\c/d\\n<é>");
        has("a\"b\\c/d\n<é>", "a\\\"b\\\\c\\/d\\n<é>");
        has("a\"b\\c/d\n<é>", "a\\\"b\\\\c/d\\n\\u003cé\\u003e");
        has("a\"b\\c/d\n<é>", "a\\\"b\\\\c/d\\n<\\u00e9>");
        has("a\"b\\c/d\n<é>", "a\\u0022b\\\\c/d\\n\\u003C\\u00E9\\u003E");
        has("pass😀word", "pass\\ud83d\\ude00word");
    }

    #[test]
    fn shell_habits() {
        has("it's $5!", r"it'\''s $5!");
        has("it's $5!", r#"it'"'"'s $5!"#);
        has("it's $5!", r"it's \$5!");
        has("it's $5!", r"it\'s\ \$5\!");
        has("it's\tfive\u{1}é", r"it\'s\tfive\001é");
        has("it's\tfive\u{1}é", r"it\'s\tfive\001\303\251");
        has("cost$us", "cost$$us");
    }

    #[test]
    fn sql_and_markup_habits() {
        has("o'neil\\x", "o''neil\\x");
        has("o'neil\\x", "o\\'neil\\\\x");
        has("o'neil\\x", "o''neil\\\\x");
        has("<a&\"b'>", "&lt;a&amp;&quot;b&#39;&gt;");
        has("<a&\"b'>", "&lt;a&amp;&quot;b&apos;&gt;");
        has("<a&\"b'>", "&lt;a&amp;&#34;b&#39;&gt;");
        has("<a&\"b'>", "&lt;a&amp;\"b'>");
        has("line 1\nline 2", "line 1&#10;line 2");
    }

    #[test]
    fn percent_habits() {
        has("p@ss w/rd~é", "p%40ss%20w%2Frd~%C3%A9");
        has("p@ss w/rd~é", "p%40ss%20w%2frd~%c3%a9");
        has("p@ss w/rd~é", "p%40ss+w%2Frd%7E%C3%A9");
        has("p@ss w/rd~é", "p%40ss%20w/rd~%C3%A9");
        has("p@ss w/rd~é", "p@ss%20w/rd~%C3%A9");
        has("secret", "%73%65%63%72%65%74");
        has("a$b&c=d", "a$b&c%3Dd");
    }

    #[test]
    fn hex_and_base64() {
        has("jellyfish?", "6a656c6c79666973683f");
        has("jellyfish?", "6A656C6C79666973683F");
        // `printf '%s' ... | base64` of jellyfish?, u:jellyfish?, us:jellyfish?
        has("jellyfish?", "amVsbHlmaXNoPw==");
        has("jellyfish?", "amVsbHlmaXNoPw");
        has("jellyfish?", "amVsbHlmaXNoP");
        has("jellyfish?", "plbGx5ZmlzaD8=");
        has("jellyfish?", "qZWxseWZpc2g/");
        has("jellyfish?", "qZWxseWZpc2g_");
        assert_eq!(
            base64_unpadded(b"us:jellyfish?", ['+', '/']),
            "dXM6amVsbHlmaXNoPw"
        );
        assert_eq!(
            base64_unpadded(b"u:jellyfish?", ['+', '/']),
            "dTpqZWxseWZpc2g/"
        );
        assert_eq!(
            base64_unpadded(b"x:y:jellyfish?", ['+', '/']),
            "eDp5OmplbGx5ZmlzaD8"
        );
        let long = "k".repeat(60);
        let line = "a2tr".repeat(19);
        has(&long, &format!("{line}\na2tr"));
    }
}
