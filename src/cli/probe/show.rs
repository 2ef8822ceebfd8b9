//! Showing looks: a block, a line of JSON, or in place at a terminal.
//!
//! Main type: [`Shows`].

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use serde_json::{Value, json};

use super::super::error::CommandError;
use super::kinds::Kind;
use super::{Args, exit_of};
use crate::engine::clock::now_ms;
use crate::engine::rehearse::Looked;
use crate::expr::Verdict;
use crate::front::Look as Terminal;
use crate::front::probe::{BARS, Look, Parts, Sheet};
use crate::front::spark::Marks;
use crate::front::text::{moment, rfc3339};

/// How looks are shown.
enum Form {
    Json,
    /// One below the other.
    Blocks,
    /// Each where the one before it was.
    InPlace,
}

/// Shows one look after another.
pub(super) struct Shows {
    form: Form,
    key: &'static str,
    words: &'static [(&'static str, &'static str)],
    target: String,
    before: Option<Value>,
    series: Vec<(String, Vec<Option<f64>>)>,
    looks: u32,
    colour: bool,
}

impl Shows {
    /// `target` is how the system is named, masked.
    pub(super) fn new(args: &Args, kind: &Kind, target: String) -> Self {
        let environment = |name: &str| std::env::var(name).ok();
        let terminal = Terminal::of(std::io::stdout().is_terminal(), environment);
        let form = match (args.json, args.watch.is_some() && terminal.live) {
            (true, _) => Form::Json,
            (false, true) => Form::InPlace,
            (false, false) => Form::Blocks,
        };
        Self {
            form,
            key: kind.key(),
            words: kind.spec.results,
            target,
            before: None,
            series: args
                .fields
                .iter()
                .map(|text| (text.clone(), Vec::new()))
                .collect(),
            looks: 0,
            colour: terminal.colour,
        }
    }

    pub(super) fn show(&mut self, looked: &Looked) -> Result<(), CommandError> {
        self.looks += 1;
        for ((_, values), value) in self.series.iter_mut().zip(&looked.values) {
            values.push(*value);
            let old = values.len().saturating_sub(BARS);
            values.drain(..old);
        }
        let text = match self.form {
            Form::Json => self.json(looked),
            Form::Blocks => {
                let columns = super::super::status::page().columns;
                let mut text = if self.looks > 1 {
                    "\n".to_owned()
                } else {
                    String::new()
                };
                for line in self.parts(looked, columns).lines() {
                    text.push_str(&line);
                    text.push('\n');
                }
                text
            }
            Form::InPlace => self.in_place(looked),
        };
        self.before = looked.result.clone().or(self.before.take());
        super::super::answer(&text)
    }

    fn parts(&self, looked: &Looked, columns: usize) -> Parts {
        let took = looked.took_ms;
        let mut head = format!("{} of {}, {took:.1} ms", self.key, self.target);
        if self.looks > 1 || matches!(self.form, Form::InPlace) {
            let _ = write!(head, ", {}, look {}", moment(now_ms()), self.looks);
        }
        let look = Look {
            head: &head,
            result: looked.result.as_ref(),
            before: self.before.as_ref(),
            words: self.words,
            failure: looked.failure.as_ref(),
            evidence: &looked.evidence,
            series: &self.series,
        };
        look.parts(&Sheet {
            columns,
            colour: self.colour,
            marks: Marks::of(|name| std::env::var(name).ok()),
        })
    }

    /// Drawn over what was there, in one piece and without clearing it first.
    fn in_place(&self, looked: &Looked) -> String {
        let (rows, columns) = console::Term::stdout().size();
        let (rows, columns) = (usize::from(rows).max(4), usize::from(columns).max(20));
        // some terminals wrap behind the last column, and the cursor needs a row
        let lines = self.parts(looked, columns - 1).within(rows - 2);
        let start = if self.looks == 1 {
            "\x1b[2J\x1b[H"
        } else {
            "\x1b[H"
        };
        let mut text = start.to_owned();
        for line in lines {
            text.push_str(&line);
            text.push_str("\x1b[K\r\n");
        }
        text.push_str("\x1b[J");
        text
    }

    fn json(&self, looked: &Looked) -> String {
        let verdict = looked.evidence.iter().map(|evidence| evidence.verdict);
        let verdict = verdict.reduce(worse);
        let series = self.series.iter().zip(&looked.values);
        let fields: serde_json::Map<String, Value> = series
            .map(|((text, _), value)| (text.clone(), json!(value)))
            .collect();
        let mut line = json!({
            "at": rfc3339(now_ms()), "target": self.target, "look": self.key,
            "took_ms": looked.took_ms, "code": exit_of(looked).code(), "result": looked.result,
        });
        if let Some(failure) = &looked.failure {
            line["failure"] = json!(failure);
        }
        if let Some(verdict) = verdict {
            line["verdict"] = json!(verdict);
            line["evidence"] = json!(looked.evidence);
        }
        if !fields.is_empty() {
            line["fields"] = Value::Object(fields);
        }
        format!("{}\n", escaped(&line.to_string()))
    }
}

/// JSON in which nothing acts on a terminal: controls that JSON lets through, and those that turn the
/// direction of text. All of them stand in texts, where the escape means the same.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text
}

/// The verdict of two: nothing passes beside what does not.
fn worse(one: Verdict, other: Verdict) -> Verdict {
    let rank = |verdict: Verdict| match verdict {
        Verdict::Pass => 0,
        Verdict::Inconclusive => 1,
        Verdict::Error => 2,
        Verdict::Fail => 3,
    };
    match rank(one) >= rank(other) {
        true => one,
        false => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_moves_no_terminal_and_means_the_same() {
        let value = json!({ "a": "x\u{9b}2J\u{7f}\u{202e}\u{2066}\u{200f}é\u{1f600}\u{1b}" });
        let text = escaped(&value.to_string());
        assert_eq!(
            text,
            "{\"a\":\"x\\u009b2J\\u007f\\u202e\\u2066\\u200fé\u{1f600}\\u001b\"}"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
