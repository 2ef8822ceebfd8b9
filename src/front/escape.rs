//! Texts from the world made harmless for terminals: what is not plain text is shown as an escape.
//!
//! Main function: [`shown`]. Everything that a front end prints and that came from a runbook, a
//! target or a command goes through it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text on one line: control characters (C0, DEL, C1), line and paragraph separators, direction
/// marks, zero-width and tag characters as visible escapes, such as `\n`, `\x1b`, `\u{202e}`.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if !is_harmful(c) => safe.push(c),
            c if u32::from(c) < 0x100 => {
                let _ = write!(safe, "\\x{:02x}", u32::from(c));
            }
            c => {
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    Cow::Owned(safe)
}

/// Each line of a text, made harmless.
pub fn lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.lines().map(shown)
}

/// Whether a character can move the cursor, hide text or change its order.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_direction_and_hidden_characters_become_visible() {
        assert_eq!(shown("plain täxt 漢字"), "plain täxt 漢字");
        assert!(matches!(shown("plain"), Cow::Borrowed(_)));
        assert_eq!(shown("a\u{1b}]8;;x\u{7}b"), "a\\x1b]8;;x\\x07b");
        assert_eq!(shown("\r\n\t\0\u{7f}\u{9b}"), "\\r\\n\\t\\x00\\x7f\\x9b");
        assert_eq!(
            shown("a\u{202e}b\u{200b}c\u{2066}d\u{feff}e\u{e0041}\u{ad}"),
            "a\\u{202e}b\\u{200b}c\\u{2066}d\\u{feff}e\\u{e0041}\\xad"
        );
        assert_eq!(lines("a\nb\u{85}").collect::<Vec<_>>(), ["a", "b\\x85"]);
    }

    #[test]
    fn nothing_harmful_is_left_of_any_character() {
        let every: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
        assert!(
            !shown(&every)
                .chars()
                .any(|c| is_harmful(c) || c.is_control())
        );
    }
}
