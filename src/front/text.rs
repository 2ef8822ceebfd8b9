//! Laying out text: widths in terminal columns, cutting, padding, tables, times.
//!
//! Main functions: [`clip`], [`table`], [`moment`]. Texts come in escaped ([`super::escape::shown`]).

use std::time::Duration;

use crate::runbook::units::human;

/// Columns that a character takes: 2 for East Asian wide ones and pictures, 0 for combining ones.
fn char_width(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5bd | 0x20d0..=0x20ff => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xa960..=0xa97f
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// At most `room` columns of a text; `…` says that something was cut.
pub fn clip(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += char_width(c);
        if used > room {
            break;
        }
        cut.push(c);
    }
    if room > 0 {
        cut.push('…');
    }
    cut
}

/// The text with spaces after it, `room` columns wide or more.
pub fn pad(text: &str, room: usize) -> String {
    let space = room.saturating_sub(width(text));
    format!("{text}{:space$}", "")
}

/// The text with spaces before it, `room` columns wide or more.
pub fn pad_left(text: &str, room: usize) -> String {
    let space = room.saturating_sub(width(text));
    format!("{:space$}{text}", "")
}

/// Rows in aligned columns, two spaces apart, no line longer than `room`; the widest columns give
/// way first. The first row is the head. Lines end without spaces.
pub fn table(rows: &[Vec<String>], room: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| width(cell)).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..columns).map(widest).collect();
    let gaps = 2 * columns.saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > room {
        let Some(most) = widths.iter_mut().max().filter(|most| **most > 4) else {
            break;
        };
        *most -= 1;
    }
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| pad(&clip(cell, *width), *width));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(clip(line.trim_end(), room).trim_end());
        text.push('\n');
    }
    text
}

/// Words in lines of at most `room` columns; a longer word is broken.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let room = room.max(2);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let wide = width(word);
        if used > 0 && used + 1 + wide <= room {
            lines.last_mut().expect("there is always a line").push(' ');
            used += 1;
        } else if used > 0 {
            lines.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            if used + char_width(c) > room {
                lines.push(String::new());
                used = 0;
            }
            lines.last_mut().expect("there is always a line").push(c);
            used += char_width(c);
        }
    }
    lines
}

/// A text beside a head, and below its own beginning where it is too long for `room` columns.
pub fn hang(head: &str, text: &str, room: usize) -> Vec<String> {
    let indent = width(head);
    let lines = wrap(text, room.saturating_sub(indent))
        .into_iter()
        .enumerate();
    let line = |(at, line): (usize, String)| match at {
        0 => format!("{head}{line}"),
        _ => format!("{:indent$}{line}", ""),
    };
    lines.map(line).collect()
}

/// Milliseconds for people.
pub fn ms(ms: u64) -> String {
    human(Duration::from_millis(ms))
}

/// Milliseconds between two times of a journal, for people; a clock that went back counts as 0.
pub fn between(from: i64, to: i64) -> String {
    ms(u64::try_from(to.saturating_sub(from)).unwrap_or(0))
}

/// Seconds for people.
pub fn seconds(seconds: f64) -> String {
    human(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// A time of a journal in UTC: `2026-03-01 02:00:00 UTC`.
pub fn moment(at: i64) -> String {
    stamp(at).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A time of a journal as RFC 3339 with milliseconds: `2026-03-01T02:00:00.000Z`.
pub fn rfc3339(at: i64) -> String {
    stamp(at).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

fn stamp(at: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// `1 step`, `2 steps`.
pub fn numbered(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_counted_as_terminals_do() {
        assert_eq!((width("ab"), width("漢字"), width("e\u{301}")), (2, 4, 1));
        assert_eq!(clip("hello", 5), "hello");
        assert_eq!(clip("hello", 4), "hel…");
        assert_eq!(clip("漢字漢字", 6), "漢字…");
        assert_eq!(clip("hello", 0), "");
        assert_eq!(pad("漢", 4), "漢  ");
    }

    #[test]
    fn tables_align_and_give_way() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let rows: Vec<Vec<String>> = vec![row(&["id", "what"]), row(&["1", "a rather long text"])];
        assert_eq!(table(&rows, 80), "id  what\n1   a rather long text\n");
        assert_eq!(table(&rows, 12), "id  what\n1   a rathe…\n");
        assert!(table(&rows, 3).lines().all(|line| width(line) <= 3));
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(moment(1_772_330_400_000), "2026-03-01 02:00:00 UTC");
        assert_eq!(rfc3339(1_772_330_400_123), "2026-03-01T02:00:00.123Z");
        assert_eq!(rfc3339(i64::MAX), "1970-01-01T00:00:00.000Z");
        assert_eq!(between(5_000, 1_000), "0s");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a longest b", 4), ["a", "long", "est", "b"]);
    }
}
