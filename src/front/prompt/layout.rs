//! How a question is laid out: names beside their texts where there is room, below each other where
//! there is not.

use super::super::escape::shown;
use super::super::look::Tone;
use super::super::text::{width, wrap};

/// Short texts side by side, three spaces apart, as many as fit in a line.
pub(super) fn flow(texts: &[String], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for text in texts {
        match lines.last_mut() {
            Some(line) if width(line) + 3 + width(text) <= columns => {
                line.push_str("   ");
                line.push_str(text);
            }
            _ => lines.push(format!("    {text}")),
        }
    }
    lines
}

pub(super) fn pairs(pairs: &[(String, String)], columns: usize, colour: bool) -> Vec<String> {
    let names = pairs.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    pairs
        .iter()
        .flat_map(|(name, text)| pair(name, text, columns, 4, names.clamp(8, 14), colour))
        .collect()
}

/// A name and its text, wrapped beside it where there is room, else below.
pub(super) fn pair(
    name: &str,
    text: &str,
    columns: usize,
    indent: usize,
    names: usize,
    colour: bool,
) -> Vec<String> {
    let name = shown(name).into_owned();
    let beside = columns.saturating_sub(indent + names + 2);
    let narrow = beside < 20;
    let room = if narrow {
        columns.saturating_sub(indent + 2).max(8)
    } else {
        beside
    };
    let mut wrapped: Vec<String> = Vec::new();
    for line in text.lines() {
        wrapped.extend(wrap(&shown(line), room));
    }
    let label = Tone::Quiet.paint(&name, colour);
    let pad = " ".repeat(indent);
    if narrow {
        let mut lines = vec![format!("{pad}{label}")];
        lines.extend(wrapped.iter().map(|line| format!("{pad}  {line}")));
        return lines;
    }
    let gap = " ".repeat(names.saturating_sub(width(&name)) + 2);
    let under = " ".repeat(indent + names + 2);
    let mut lines = Vec::with_capacity(wrapped.len());
    for (at, line) in wrapped.iter().enumerate() {
        lines.push(match at {
            0 => format!("{pad}{label}{gap}{line}"),
            _ => format!("{under}{line}"),
        });
    }
    if lines.is_empty() {
        lines.push(format!("{pad}{label}"));
    }
    lines
}
