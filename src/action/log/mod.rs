//! `log.scan`: what a log has said since the phase began. Reads only, with bounded memory. `log.rate`
//! ([`Rate`]) is how often it says something.
//!
//! [`Scan`] fails when a denied pattern matched or a wanted one is missing, with the lines as
//! evidence. How lines get their time is in `stamp`, how files are read (also rotated ones) in `read`.

mod rate;
mod read;
mod recent;
mod rehearse;
mod stamp;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use jiff::tz::TimeZone;
use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use super::file::{Live, blocking};
use super::{Action, ActionError, Call, Context, ReadContext, Rehearsed};
use crate::event::Outcome;
use crate::runbook::Spec;
use crate::runbook::catalog::always_reading;
use crate::runbook::de::is_hole;
use crate::runbook::units::Span;

pub use rate::Rate;

/// The actions of this folder.
pub const ACTIONS: &[&dyn Action] = &[&Rate, &Scan];

/// Scans a log.
pub struct Scan;

/// What to look for, and since when.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The log file
    pub file: String,
    /// From where: `phase_start`, `start` (of the file), a duration back such as `5m`, or a number of bytes
    #[serde(default)]
    pub since: Since,
    /// Regular expressions that no line may match
    #[serde(default)]
    pub deny: Patterns,
    /// Regular expressions that have to be matched
    #[serde(default)]
    pub want: Patterns,
    /// How many denied lines the result shows, up to 200
    #[serde(default = "twenty")]
    pub limit: u64,
    /// The time zone of timestamps that name none, such as `UTC`; without it, this machine's
    pub zone: Option<String>,
}

fn twenty() -> u64 {
    20
}

/// What the language knows of `log.scan`.
pub static SPEC: Spec = Spec {
    short: Some("file"),
    class: always_reading,
    results: &[
        ("lines", "how many lines were judged"),
        (
            "matched_deny",
            "the first denied lines, each cut at 500 characters",
        ),
        ("deny_count", "how many lines matched `deny`"),
        ("want", "per wanted pattern, how many lines matched"),
        ("missing", "wanted patterns that no line matched"),
        (
            "clean",
            "whether nothing denied matched and nothing wanted is missing",
        ),
        (
            "since_by",
            "how the beginning was found: `time` (of the lines), `start`, `offset`, `not_modified` (nothing was written since), or `whole_file` (no line has a time that is understood)",
        ),
        ("rotated", "whether the file was rotated or cut since then"),
        (
            "long_lines",
            "how many lines over 64 kB were judged in pieces",
        ),
        (
            "invalid_utf8",
            "how many lines are not UTF-8; bad bytes were replaced",
        ),
        (
            "next_offset",
            "the length of the file that was read, for a later `since`",
        ),
        ("notes", "what else a reader should know, in words"),
    ],
    ..Spec::of::<Params>(
        "log.scan",
        "search a log for what must not and what must be there",
    )
};

#[async_trait]
impl Action for Scan {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        match super::params::<Params>(&SPEC, call) {
            Ok(params) => format!("scan `{}`", params.file),
            Err(_) => "scan a log".into(),
        }
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let params: Params = super::params(&SPEC, call)?;
        let (cwd, phase_started) = (call.cwd.clone(), cx.phase_started);
        blocking(move |live| scan(live, &cwd, &params, phase_started)).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        rehearse::rehearse(cx, call).await
    }
}

/// Counts what lines match.
struct Tally {
    deny: Vec<Regex>,
    want: Vec<(Regex, u64)>,
    limit: usize,
    lines: u64,
    deny_count: u64,
    matched: Vec<String>,
    long_lines: u64,
    invalid_utf8: u64,
    /// Whether the line at hand has matched already, when it comes in pieces.
    line_denied: bool,
    line_wanted: Vec<bool>,
}

impl Tally {
    fn new(params: &Params) -> Result<Self, ActionError> {
        let wrong = |why: String| ActionError::invalid(format!("`log.scan`: {why}"));
        if params.deny.0.is_empty() && params.want.0.is_empty() {
            return Err(wrong("neither `deny` nor `want` is given".into()));
        }
        let limit = usize::try_from(params.limit).ok().filter(|n| *n <= 200);
        let regex = |pattern: &String| {
            Regex::new(pattern).map_err(|error| wrong(format!("pattern `{pattern}`: {error}")))
        };
        let deny = params.deny.0.iter().map(regex);
        let want = params.want.0.iter().map(|pattern| Ok((regex(pattern)?, 0)));
        Ok(Self {
            deny: deny.collect::<Result<_, _>>()?,
            want: want.collect::<Result<_, ActionError>>()?,
            limit: limit.ok_or_else(|| wrong("`limit` is at most 200".into()))?,
            lines: 0,
            deny_count: 0,
            matched: Vec::new(),
            long_lines: 0,
            invalid_utf8: 0,
            line_denied: false,
            line_wanted: vec![false; params.want.0.len()],
        })
    }

    /// Judges one line, or its next piece.
    fn line(&mut self, bytes: &[u8], piece: usize) {
        if piece == 0 {
            self.lines += 1;
            self.line_denied = false;
            self.line_wanted.fill(false);
        } else if piece == 1 {
            self.long_lines += 1;
        }
        let text = String::from_utf8_lossy(bytes);
        if matches!(text, Cow::Owned(_)) && piece == 0 {
            self.invalid_utf8 += 1;
        }
        if !self.line_denied && self.deny.iter().any(|regex| regex.is_match(&text)) {
            self.line_denied = true;
            self.deny_count += 1;
            if self.matched.len() < self.limit {
                self.matched.push(shortened(&text));
            }
        }
        for ((regex, count), seen) in self.want.iter_mut().zip(&mut self.line_wanted) {
            if !*seen && regex.is_match(&text) {
                *seen = true;
                *count += 1;
            }
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(500) {
        Some((end, _)) => format!("{}… ({} more bytes)", &text[..end], text.len() - end),
        None => text.to_owned(),
    }
}

fn scan(
    live: &Live,
    cwd: &Path,
    params: &Params,
    phase_started: f64,
) -> Result<Value, ActionError> {
    let mut tally = Tally::new(params)?;
    let zone = match &params.zone {
        Some(name) => TimeZone::get(name).map_err(|_| {
            ActionError::invalid(format!("`log.scan`: there is no time zone `{name}`"))
        })?,
        None => TimeZone::system(),
    };
    let now = jiff::Timestamp::now();
    let from = match params.since {
        Since::PhaseStart => read::From::Time(phase_started),
        Since::Start => read::From::Offset(0),
        Since::Ago(Span(ago)) => {
            read::From::Time(now.as_duration().as_secs_f64() - ago.as_secs_f64())
        }
        Since::Bytes(offset) => read::From::Offset(offset),
    };
    let path = cwd.join(&params.file);
    let mut reading = read::Reading::new(live, &path, &params.file, zone);
    reading.read(from, &mut |bytes, piece| tally.line(bytes, piece))?;
    verdict(&params.file, &tally, &reading)
}

fn verdict(file: &str, tally: &Tally, reading: &read::Reading<'_>) -> Result<Value, ActionError> {
    let missing: Vec<&str> = tally
        .want
        .iter()
        .filter(|(_, count)| *count == 0)
        .map(|(regex, _)| regex.as_str())
        .collect();
    let counts: Map<String, Value> = tally
        .want
        .iter()
        .map(|(regex, count)| (regex.as_str().to_owned(), (*count).into()))
        .collect();
    let clean = tally.deny_count == 0 && missing.is_empty();
    let result = json!({
        "lines": tally.lines,
        "matched_deny": tally.matched,
        "deny_count": tally.deny_count,
        "want": counts,
        "missing": missing,
        "clean": clean,
        "since_by": reading.since_by,
        "rotated": reading.rotated,
        "long_lines": tally.long_lines,
        "invalid_utf8": tally.invalid_utf8,
        "next_offset": reading.next_offset,
        "notes": reading.notes,
    });
    if clean {
        return Ok(result);
    }
    let mut why = Vec::new();
    if tally.deny_count > 0 {
        let s = if tally.deny_count == 1 {
            " matches"
        } else {
            "s match"
        };
        why.push(format!("{} line{s} what is denied", tally.deny_count));
    }
    if !missing.is_empty() {
        why.push(format!("nothing matches `{}`", missing.join("`, `")));
    }
    let lines = tally.lines;
    let message = format!("`{file}`: {} (in {lines} lines)", why.join(", "));
    Err(ActionError::failed(Outcome::NotApplied, message).result(result))
}

/// From where a log is scanned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// From when the step's phase began.
    #[default]
    PhaseStart,
    /// From the start of the file.
    Start,
    /// From that long ago.
    Ago(Span),
    /// From that byte on.
    Bytes(u64),
}

struct SinceVisitor;

impl Visitor<'_> for SinceVisitor {
    type Value = Since;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`phase_start`, `start`, a duration such as `5m`, or a number of bytes")
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Since, E> {
        Ok(Since::Bytes(bytes))
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Since, E> {
        u64::try_from(bytes)
            .map(Since::Bytes)
            .map_err(|_| E::custom("an offset is not negative"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Since, E> {
        match text {
            "phase_start" => Ok(Since::PhaseStart),
            "start" => Ok(Since::Start),
            hole if is_hole(hole) => Ok(Since::PhaseStart),
            text => match text.parse() {
                Ok(bytes) => Ok(Since::Bytes(bytes)),
                Err(_) => Span::parse(text).map(Since::Ago).map_err(|_| {
                    E::custom(format!(
                        "`{text}` is not `phase_start`, `start`, a duration such as `5m`, or a number of bytes"
                    ))
                }),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Since {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SinceVisitor)
    }
}

impl JsonSchema for Since {
    fn schema_name() -> Cow<'static, str> {
        "LogSince".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "phase_start, start, a duration back such as 5m, or a number of bytes",
            "minimum": 0
        })
    }
}

/// One regular expression, or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns(pub Vec<String>);

struct PatternsVisitor;

impl<'de> Visitor<'de> for PatternsVisitor {
    type Value = Patterns;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a regular expression, or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Patterns, E> {
        Ok(Patterns(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Patterns, A::Error> {
        let mut all = Vec::new();
        while let Some(pattern) = items.next_element()? {
            all.push(pattern);
        }
        Ok(Patterns(all))
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PatternsVisitor)
    }
}

impl JsonSchema for Patterns {
    fn schema_name() -> Cow<'static, str> {
        "LogPatterns".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "a regular expression, or a list of them",
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" } }
            ]
        })
    }
}
