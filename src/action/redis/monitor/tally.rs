//! [`Tally`]: what the lines of MONITOR come to: counts by command, matches by pattern. Of a line it
//! keeps the first two words at most.

use std::cmp::Reverse;
use std::collections::HashMap;

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::action::log::Patterns;
use crate::action::redis::raw::Line;

/// How many commands are told apart in the result, and at most while counting.
const SHOWN: usize = 100;
const KEPT: usize = 1_000;
/// How many denied commands are shown.
const DENIED: usize = 10;
/// The longest word that is shown, in characters.
const WORD: usize = 200;

/// A wanted pattern and what matched.
struct Wanted {
    regex: Regex,
    count: u64,
    example: Option<String>,
}

/// The findings.
pub(super) struct Tally {
    want: Vec<Wanted>,
    deny: Vec<Regex>,
    pub lines: u64,
    pub other_dbs: u64,
    pub deny_count: u64,
    by_command: HashMap<String, u64>,
    not_kept: u64,
    matched_deny: Vec<String>,
    long_lines: u64,
}

impl Tally {
    /// An empty one.
    ///
    /// # Errors
    /// In words, when a pattern is none.
    pub fn new(want: &Patterns, deny: &Patterns) -> Result<Self, String> {
        let regex = |pattern: &String| {
            Regex::new(pattern).map_err(|error| format!("pattern `{pattern}`: {error}"))
        };
        let wanted = |pattern| {
            Ok::<_, String>(Wanted {
                regex: regex(pattern)?,
                count: 0,
                example: None,
            })
        };
        Ok(Self {
            want: want.0.iter().map(wanted).collect::<Result<_, _>>()?,
            deny: deny.0.iter().map(regex).collect::<Result<_, _>>()?,
            lines: 0,
            other_dbs: 0,
            deny_count: 0,
            by_command: HashMap::new(),
            not_kept: 0,
            matched_deny: Vec::new(),
            long_lines: 0,
        })
    }

    /// Whether anything is denied.
    pub fn denies(&self) -> bool {
        !self.deny.is_empty()
    }

    /// Judges one line; with a database, only when it is of that one.
    pub fn line(&mut self, line: &Line, db: Option<i64>) {
        let text = String::from_utf8_lossy(&line.bytes);
        let Some((of, command)) = parse(&text) else {
            return;
        };
        if db.is_some_and(|db| db != of) {
            self.other_dbs += 1;
            return;
        }
        self.lines += 1;
        self.long_lines += u64::from(line.length > line.bytes.len() + 1);
        let name = command.split('"').nth(1).unwrap_or_default();
        let name: String = name.chars().take(40).collect::<String>().to_uppercase();
        if let Some(count) = self.by_command.get_mut(&name) {
            *count += 1;
        } else if self.by_command.len() < KEPT {
            self.by_command.insert(name, 1);
        } else {
            self.not_kept += 1;
        }
        for wanted in &mut self.want {
            if wanted.regex.is_match(command) {
                wanted.count += 1;
                wanted.example.get_or_insert_with(|| two_words(command));
            }
        }
        if self.deny.iter().any(|regex| regex.is_match(command)) {
            self.deny_count += 1;
            if self.matched_deny.len() < DENIED {
                self.matched_deny.push(two_words(command));
            }
        }
    }

    /// Wanted patterns that nothing matched.
    pub fn missing(&self) -> Vec<&str> {
        let missing = self.want.iter().filter(|wanted| wanted.count == 0);
        missing.map(|wanted| wanted.regex.as_str()).collect()
    }

    /// The counts, as they stand in the result.
    pub fn result(&self) -> Value {
        let mut order: Vec<(&String, &u64)> = self.by_command.iter().collect();
        order.sort_unstable_by_key(|(name, count)| (Reverse(**count), *name));
        let rest: u64 = order.iter().skip(SHOWN).map(|(_, count)| **count).sum();
        let shown = order.into_iter().take(SHOWN);
        let by_command: Map<String, Value> = shown
            .map(|(name, count)| (name.clone(), json!(count)))
            .collect();
        let per = |value: &dyn Fn(&Wanted) -> Option<Value>| -> Map<String, Value> {
            let found = self.want.iter();
            found
                .filter_map(|wanted| Some((wanted.regex.as_str().to_owned(), value(wanted)?)))
                .collect()
        };
        json!({
            "lines": self.lines,
            "other_dbs": self.other_dbs,
            "by_command": by_command,
            "not_shown": rest + self.not_kept,
            "want": per(&|wanted| Some(json!(wanted.count))),
            "missing": self.missing(),
            "examples": per(&|wanted| wanted.example.clone().map(Value::from)),
            "deny_count": self.deny_count,
            "matched_deny": self.matched_deny,
            "long_lines": self.long_lines,
        })
    }
}

/// The database and the command of `+1700000000.123456 [0 127.0.0.1:5000] "GET" "key"`.
fn parse(line: &str) -> Option<(i64, &str)> {
    let (_, rest) = line.strip_prefix('+')?.split_once(" [")?;
    let (db, rest) = rest.split_once(' ')?;
    let (_, command) = rest.split_once("] \"")?;
    // with its first quote
    let start = line.len() - command.len() - 1;
    Some((db.parse().ok()?, &line[start..]))
}

/// The first two words, quotes and all, and how many more there are.
fn two_words(command: &str) -> String {
    let words = words(command);
    let short = |word: &&str| match word.char_indices().nth(WORD) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => (*word).to_owned(),
    };
    let mut shown: Vec<String> = words.iter().take(2).map(short).collect();
    match words.len().saturating_sub(2) {
        0 => {}
        1 => shown.push("(1 more word)".into()),
        more => shown.push(format!("({more} more words)")),
    }
    shown.join(" ")
}

/// The quoted words of a command; a quote behind a backslash ends none.
fn words(command: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut escaped) = (None, false);
    for (at, c) in command.char_indices() {
        match (start, c) {
            (None, '"') => start = Some(at),
            (Some(_), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(from), '"') if !escaped => {
                words.push(&command[from..=at]);
                start = None;
            }
            _ => {}
        }
        escaped = false;
    }
    // a line that was cut
    words.extend(start.map(|from| &command[from..]));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_database_and_words() {
        for (line, db, command) in [
            (r#"+17.5 [0 127.0.0.1:50] "GET" "k""#, 0, r#""GET" "k""#),
            (r#"+17.5 [12 [::1]:50] "PING""#, 12, r#""PING""#),
            (r#"+17.5 [3 lua] "SET" "a" "b""#, 3, r#""SET" "a" "b""#),
            (
                r#"+17.5 [0 unix:/a b] "GET" "[0 x] \"y""#,
                0,
                r#""GET" "[0 x] \"y""#,
            ),
        ] {
            assert_eq!(parse(line), Some((db, command)), "{line}");
        }
        assert_eq!(parse("+OK"), None);
        assert_eq!(
            words(r#""SET" "a \"q\" \\" "v""#),
            [r#""SET""#, r#""a \"q\" \\""#, r#""v""#]
        );
        assert_eq!(
            two_words(r#""SET" "k" "secret" "EX""#),
            r#""SET" "k" (2 more words)"#
        );
        assert_eq!(two_words(r#""GET" "k""#), r#""GET" "k""#);
        assert_eq!(two_words(r#""GET" "cut"#), r#""GET" "cut"#);
    }

    #[test]
    fn commands_beyond_the_limit_are_counted() {
        let none = Patterns::default();
        let mut tally = Tally::new(&none, &none).unwrap();
        for n in 0..1_500 {
            let bytes = format!("+1.0 [0 h:1] \"C{n}\"").into_bytes();
            let length = bytes.len();
            tally.line(&Line { bytes, length }, None);
        }
        let result = tally.result();
        assert_eq!(result["by_command"].as_object().unwrap().len(), SHOWN);
        assert_eq!(
            (&result["not_shown"], &result["lines"]),
            (&json!(1_400), &json!(1_500))
        );
    }
}
