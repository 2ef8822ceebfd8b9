//! What a look at a system found, for people: fields with their units, lists as small tables, bounded.
//!
//! Main type: [`Look`]. All texts come from elsewhere and are escaped here. Must not: say that something
//! is well; that is what the judgements in it say.

mod fields;
mod units;

use serde_json::Value;

use super::escape::shown;
use super::look::Tone;
use super::spark::{Marks, spark_in};
use super::text::{clip, pad, wrap};
use crate::event::Failure;
use crate::expr::{Evidence, Verdict};

/// Bars of a sparkline at most.
pub const BARS: usize = 60;

/// One look.
pub struct Look<'a> {
    /// What was done and where, in a line.
    pub head: &'a str,
    /// What was read.
    pub result: Option<&'a Value>,
    /// What the look before it read, to mark what is another one now.
    pub before: Option<&'a Value>,
    /// The words that the action has for its fields.
    pub words: &'a [(&'a str, &'a str)],
    /// Why nothing was read.
    pub failure: Option<&'a Failure>,
    /// What was judged.
    pub evidence: &'a [Evidence],
    /// Expressions, and their values over the looks, the newest last.
    pub series: &'a [(String, Vec<Option<f64>>)],
}

/// How it is to be laid out.
#[derive(Clone, Copy, Debug)]
pub struct Sheet {
    /// Columns there are.
    pub columns: usize,
    /// Whether colour says something.
    pub colour: bool,
    /// What sparklines are drawn with.
    pub marks: Marks,
}

/// The lines of a look by what they are about: a small window cuts the fields first.
pub struct Parts {
    /// What was done and where.
    pub head: String,
    /// What was read.
    pub fields: Vec<String>,
    /// Failures, judgements, and what is followed.
    pub foot: Vec<String>,
}

impl Look<'_> {
    /// Its lines, none wider than the sheet.
    pub fn parts(&self, sheet: &Sheet) -> Parts {
        let mut foot = Vec::new();
        if let Some(failure) = self.failure {
            said(sheet, Tone::Bad, "failed", &failure.message, &mut foot);
            if let Some(hint) = &failure.hint {
                said(sheet, Tone::Quiet, "hint", hint, &mut foot);
            }
        }
        for evidence in self.evidence {
            judged(evidence, sheet, &mut foot);
        }
        for (expression, values) in self.series {
            series(expression, values, sheet, &mut foot);
        }
        let fields = self
            .result
            .map(|result| fields::lines(result, self.before, self.words, sheet));
        Parts {
            head: clip(&shown(self.head), sheet.columns),
            fields: fields.unwrap_or_default(),
            foot,
        }
    }
}

impl Parts {
    /// All of them, one below the other.
    pub fn lines(self) -> Vec<String> {
        let Self { head, fields, foot } = self;
        std::iter::once(head).chain(fields).chain(foot).collect()
    }

    /// At most `rows` lines; what is left out of the fields is said.
    pub fn within(mut self, rows: usize) -> Vec<String> {
        let room = rows.saturating_sub(1 + self.foot.len()).max(1);
        if self.fields.len() > room {
            let left = self.fields.len() - (room - 1);
            self.fields.truncate(room - 1);
            self.fields.push(format!("  … {left} more"));
        }
        let mut lines = self.lines();
        lines.truncate(rows);
        lines
    }
}

/// A word and a text beside it, on as many lines as it takes.
fn said(sheet: &Sheet, tone: Tone, word: &str, text: &str, lines: &mut Vec<String>) {
    let room = sheet.columns.saturating_sub(16).max(8);
    for (at, line) in wrap(&shown(text), room).into_iter().enumerate() {
        let word = if at == 0 { word } else { "" };
        let line = format!("  {}{line}", tone.paint(&pad(word, 14), sheet.colour));
        lines.push(line.trim_end().to_owned());
    }
}

fn judged(evidence: &Evidence, sheet: &Sheet, lines: &mut Vec<String>) {
    let tone = match evidence.verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Fail | Verdict::Error => Tone::Bad,
        Verdict::Inconclusive => Tone::Odd,
    };
    let word = evidence.verdict.to_string();
    said(sheet, tone, &word, &evidence.expression, lines);
    for value in &evidence.values {
        let text = format!("{} is {}", value.text, value.value);
        said(sheet, Tone::Quiet, "", &text, lines);
    }
    // a plain false is explained by the values above
    let told = evidence.verdict == Verdict::Fail && !evidence.values.is_empty();
    if let Some(reason) = evidence.reason.as_ref().filter(|_| !told) {
        said(sheet, Tone::Quiet, "", reason, lines);
    }
}

fn series(expression: &str, values: &[Option<f64>], sheet: &Sheet, lines: &mut Vec<String>) {
    let there = || values.iter().flatten().copied();
    let least = there().reduce(f64::min);
    let most = there().reduce(f64::max);
    let mut text = match (values.last().copied().flatten(), least, most) {
        (Some(now), Some(least), Some(most)) => format!(
            "{} now, {} to {}",
            units::plain(now),
            units::plain(least),
            units::plain(most)
        ),
        (None, Some(least), Some(most)) => format!(
            "no number now, {} to {}",
            units::plain(least),
            units::plain(most)
        ),
        _ => "no number".into(),
    };
    if values.len() > 1 {
        let room = sheet.columns.saturating_sub(20 + text.len()).clamp(1, BARS);
        text = format!("{}  {text}", spark_in(sheet.marks, values, room));
    }
    said(sheet, Tone::Neutral, "value", expression, lines);
    // not wrapped: gaps in a sparkline are part of it
    lines.push(clip(&format!("{:16}{text}", ""), sheet.columns));
}

#[cfg(test)]
mod tests;
