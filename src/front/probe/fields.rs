//! A result as lines: aligned fields, sections for what is nested, tables for lists of mappings.
//!
//! Main function: [`lines`]. Whatever is left out is said in its place.

use serde_json::{Map, Value};

use super::super::escape::shown;
use super::super::look::Tone;
use super::super::text::{clip, numbered, pad, table, width};
use super::Sheet;
use super::units::Unit;
use crate::runbook::units::human_bytes;

/// Fields of one mapping, at the top and below.
const FIELDS: usize = 200;
const NESTED: usize = 40;

/// Rows and columns of a table, and lines of a list.
const ROWS: usize = 20;
const COLUMNS: usize = 8;

/// Lines of one text.
const TEXT_LINES: usize = 12;

/// Levels of nesting.
const DEPTH: usize = 4;

/// The widest columns of names, and of values.
const NAME: usize = 36;
const VALUE: usize = 44;

/// A piece of the result on its way to lines.
enum Piece {
    /// A field: its depth and name, the value for people, the value as it is, whether it is another one
    /// than before.
    Field {
        depth: usize,
        name: String,
        told: String,
        raw: Option<String>,
        moved: bool,
    },
    /// Lines that belong to the field above, at this depth.
    Lines(usize, Vec<String>),
}

/// The result's lines; what moved since `before` is marked with `*`.
pub(super) fn lines(
    result: &Value,
    before: Option<&Value>,
    words: &[(&str, &str)],
    sheet: &Sheet,
) -> Vec<String> {
    let mut pieces = Vec::new();
    let walk = Walk { words, sheet };
    match result {
        Value::Object(map) => walk.map(map, before, 0, &mut pieces),
        other => walk.field("result", other, before, 0, &mut pieces),
    }
    laid_out(&pieces, sheet)
}

fn laid_out(pieces: &[Piece], sheet: &Sheet) -> Vec<String> {
    let fields = || {
        pieces.iter().filter_map(|piece| match piece {
            Piece::Field {
                depth,
                name,
                told,
                raw,
                ..
            } => Some((
                2 * depth + width(name),
                raw.as_ref().map_or(0, |_| width(told)),
            )),
            Piece::Lines(..) => None,
        })
    };
    let names = fields().map(|(name, _)| name).max().unwrap_or(0).min(NAME);
    let values = fields().map(|(_, told)| told).max().unwrap_or(0).min(VALUE);
    let mut lines = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Field {
                depth,
                name,
                told,
                raw,
                moved,
            } => {
                let indent = 2 * depth;
                let name = format!("{:indent$}{name}", "");
                let mut line = format!("{}  {told}", pad(&clip(&name, names), names));
                if let Some(raw) = raw {
                    line = format!("{}  {}", pad(&line, names + 2 + values), raw);
                }
                let mark = if *moved { "* " } else { "  " };
                let line = clip(line.trim_end(), sheet.columns.saturating_sub(2));
                let tone = if *moved { Tone::Odd } else { Tone::Neutral };
                lines.push(tone.paint(&format!("{mark}{line}"), sheet.colour));
            }
            Piece::Lines(depth, more) => {
                let indent = 2 + 2 * depth;
                let line = |line: &String| {
                    let line = format!("{:indent$}{line}", "");
                    clip(line.trim_end(), sheet.columns)
                };
                lines.extend(more.iter().map(line));
            }
        }
    }
    lines
}

struct Walk<'a> {
    words: &'a [(&'a str, &'a str)],
    sheet: &'a Sheet,
}

impl Walk<'_> {
    fn map(
        &self,
        map: &Map<String, Value>,
        before: Option<&Value>,
        depth: usize,
        pieces: &mut Vec<Piece>,
    ) {
        let most = if depth == 0 { FIELDS } else { NESTED };
        for (name, value) in map.iter().take(most) {
            let was = before.map(|before| before.get(name).unwrap_or(&Value::Null));
            self.field(name, value, was, depth, pieces);
        }
        if map.len() > most {
            let more = format!("… {} more are left out", map.len() - most);
            pieces.push(Piece::Lines(depth, vec![more]));
        }
    }

    fn field(
        &self,
        name: &str,
        value: &Value,
        before: Option<&Value>,
        depth: usize,
        pieces: &mut Vec<Piece>,
    ) {
        let mut push = |told: String, raw: Option<String>, moved: bool| {
            pieces.push(Piece::Field {
                depth,
                name: shown(name).into_owned(),
                told,
                raw,
                moved,
            });
        };
        let moved = before.is_some_and(|before| before != value);
        match value {
            Value::Object(map) if map.is_empty() => push("none".into(), None, moved),
            Value::Object(_) if depth + 1 >= DEPTH => push(inline(value), None, moved),
            Value::Object(map) if is_table(map) => {
                push(format!("({})", map.len()), None, moved);
                let rows = map.iter().map(|(name, row)| (Some(name.as_str()), row));
                let rows = self.table(rows, map.len(), depth + 1);
                pieces.push(Piece::Lines(depth + 1, rows));
            }
            Value::Object(map) => {
                push(String::new(), None, false);
                self.map(map, before, depth + 1, pieces);
            }
            Value::Array(items) if items.is_empty() => push("none".into(), None, moved),
            Value::Array(items) => {
                let (told, more) = self.list(items, depth);
                push(told, None, moved);
                pieces.extend((!more.is_empty()).then_some(Piece::Lines(depth + 1, more)));
            }
            Value::String(text) if text.contains('\n') || text.len() > 4 * VALUE => {
                push(human_bytes(text.len() as u64), None, moved);
                pieces.push(Piece::Lines(depth + 1, self.text(text, depth)));
            }
            Value::Number(number) => {
                let words = self.words_of(name, depth);
                let (told, raw) = Unit::of(name, words).show(number);
                push(told, raw, moved);
            }
            other => push(scalar(other), None, moved),
        }
    }

    /// The action's words are about the fields at the top.
    fn words_of(&self, name: &str, depth: usize) -> &str {
        let named = self.words.iter().filter(|_| depth == 0);
        let mut named = named.filter(|(field, _)| *field == name);
        named.next().map_or("", |(_, words)| *words)
    }

    /// A list in a line, or how many there are and a line each.
    fn list(&self, items: &[Value], depth: usize) -> (String, Vec<String>) {
        let count = || format!("({})", items.len());
        if items.iter().all(Value::is_object) {
            let rows = items.iter().map(|item| (None, item));
            return (count(), self.table(rows, items.len(), depth + 1));
        }
        let plain = |item: &Value| !item.is_object() && !item.is_array();
        if items.iter().all(plain) {
            let texts: Vec<_> = items.iter().map(scalar).collect();
            let line = texts.join(", ");
            let room = self.sheet.columns.saturating_sub(NAME);
            if width(&line) <= room.max(VALUE) && items.len() <= ROWS {
                return (line, Vec::new());
            }
        }
        let mut lines: Vec<_> = items.iter().take(ROWS).map(inline).collect();
        lines.extend(left_out(items.len(), ROWS));
        (count(), lines)
    }

    /// Mappings as rows, with their names in front where they have some.
    fn table<'v>(
        &self,
        rows: impl Iterator<Item = (Option<&'v str>, &'v Value)>,
        count: usize,
        depth: usize,
    ) -> Vec<String> {
        let rows: Vec<_> = rows.take(ROWS).collect();
        let mut columns: Vec<&str> = Vec::new();
        for (_, row) in &rows {
            for name in row.as_object().into_iter().flatten().map(|(name, _)| name) {
                if !columns.contains(&name.as_str()) {
                    columns.push(name);
                }
            }
        }
        let hidden = columns.len().saturating_sub(COLUMNS);
        columns.truncate(COLUMNS);
        let named = rows.iter().any(|(name, _)| name.is_some());
        let mut cells = Vec::with_capacity(rows.len() + 1);
        let head = columns.iter().map(|name| shown(name).into_owned());
        cells.push(named.then(String::new).into_iter().chain(head).collect());
        for (name, row) in &rows {
            let cell = |column: &&str| match row.get(*column) {
                None => String::new(),
                Some(Value::Number(number)) => Unit::of(column, "").show(number).0,
                Some(value) => inline(value),
            };
            let name = name.map(|name| shown(name).into_owned());
            cells.push(name.into_iter().chain(columns.iter().map(cell)).collect());
        }
        let room = self.sheet.columns.saturating_sub(2 + 2 * depth);
        let text = table(&cells, room);
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.extend(left_out(count, ROWS));
        if hidden > 0 {
            lines.push(format!("… {} left out", numbered(hidden, "more column")));
        }
        lines
    }

    /// The first lines of a text.
    fn text(&self, text: &str, depth: usize) -> Vec<String> {
        let room = self.sheet.columns.saturating_sub(4 + 2 * depth).max(8);
        let lines = || text.lines();
        let mut found: Vec<_> = lines()
            .take(TEXT_LINES)
            .map(|line| clip(&shown(line), room))
            .collect();
        let count = lines().count();
        if count > TEXT_LINES {
            let more = numbered(count - TEXT_LINES, "more line");
            found.push(format!("… {more} left out"));
        }
        found
    }
}

fn left_out(count: usize, most: usize) -> Option<String> {
    (count > most).then(|| format!("… {} more are left out", count - most))
}

/// Whether mappings below a name are rows of one table: more than one, and nothing nested in them.
fn is_table(map: &Map<String, Value>) -> bool {
    let flat = |row: &Value| {
        let row = row.as_object().filter(|row| !row.is_empty());
        row.is_some_and(|row| {
            row.values()
                .all(|cell| !cell.is_object() && !cell.is_array())
        })
    };
    map.len() > 1 && map.values().all(flat)
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) if text.is_empty() => "\"\"".into(),
        Value::String(text) => shown(text).into_owned(),
        other => other.to_string(),
    }
}

/// A value on one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(_) | Value::Array(_) => clip(&shown(&value.to_string()), 4 * VALUE),
        other => clip(&scalar(other), 4 * VALUE),
    }
}
