//! `log.rate`: how often a log says something now, by the times of its own lines. Reads only.
//!
//! [`Rate`] counts lines of the last `over`. A log that says nothing at all has no rate, only null: it
//! may be healthy, or dead. Times that are not understood, or lie ahead, are errors.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use regex::Regex;
use schemars::JsonSchema;
use serde_json::{Value, json};

use super::super::file::{Live, blocking};
use super::read::{From, Reading};
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, measure, params};
use crate::event::Outcome;
use crate::runbook::Spec;
use crate::runbook::catalog::always_reading;
use crate::runbook::units::{Span, human};

/// By how many seconds a line may be ahead of this machine's clock.
const AHEAD: f64 = 10.0;

/// By how many seconds a line may be written after its time.
const LATE: f64 = 2.0;

/// Counts the lines of a log.
pub struct Rate;

/// What to count, and over which time.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The log file
    file: String,
    /// The regular expression that lines have to match to be counted
    pattern: String,
    /// How far back, by the lines' own times, 1s to 1d
    #[serde(default = "a_minute")]
    over: Span,
    /// Whether a log that was not written to in that time says that there was nothing to say: its rate is
    /// then 0
    #[serde(default)]
    quiet_is_fine: bool,
    /// The time zone of times that name none, such as `UTC`; without it, this machine's
    zone: Option<String>,
}

fn a_minute() -> Span {
    Span(Duration::from_secs(60))
}

/// What the language knows of `log.rate`.
pub static SPEC: Spec = Spec {
    class: always_reading,
    sense,
    results: &[
        ("lines", "how many lines the log has of that time"),
        ("matched", "how many of them match"),
        (
            "share",
            "`matched` as a share of `lines`; null when there are no lines",
        ),
        (
            "per_second",
            "`matched` a second; null when there are no lines, unless `quiet_is_fine`",
        ),
        ("per_minute", "the same a minute"),
        (
            "over_s",
            "seconds that the rate is over: `over`, or less when the log is younger, at least 1",
        ),
        (
            "first",
            "time of the first line of that time, in seconds since the Unix epoch; null without lines",
        ),
        ("last", "time of the last; null without lines"),
        ("last_age_s", "seconds since the last; null without lines"),
        (
            "rotated",
            "whether the file was rotated or cut in that time",
        ),
        ("notes", "what else a reader should know, in words"),
    ],
    ..Spec::of::<Params>("log.rate", "count how often a log says something")
};

/// A pattern that is written out has to be one.
fn sense(written: &Value) -> Result<(), String> {
    match written.get("pattern").and_then(Value::as_str) {
        Some(pattern) if !pattern.contains("${{") => Regex::new(pattern)
            .map(|_| ())
            .map_err(|error| format!("pattern `{pattern}`: {error}")),
        _ => Ok(()),
    }
}

#[async_trait]
impl Action for Rate {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        match params::<Params>(&SPEC, call) {
            Ok(params) => format!(
                "count `{}` in the last {} of `{}`",
                params.pattern,
                human(params.over.0),
                params.file
            ),
            Err(_) => "count the lines of a log".into(),
        }
    }

    async fn execute(&self, _: &Context, call: &Call) -> Result<Value, ActionError> {
        rate(call).await
    }

    async fn rehearse(&self, _: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        rate(call).await.map(Rehearsed::Read)
    }
}

async fn rate(call: &Call) -> Result<Value, ActionError> {
    let params: Params = params(&SPEC, call)?;
    let cwd = call.cwd.clone();
    blocking(move |live| counted(live, &cwd, &params)).await
}

/// Lines as they go by.
struct Tally {
    pattern: Regex,
    lines: usize,
    matched: usize,
    /// Whether the line at hand has matched already, when it comes in pieces.
    seen: bool,
}

impl Tally {
    fn line(&mut self, bytes: &[u8], piece: usize) {
        if piece == 0 {
            self.lines += 1;
            self.seen = false;
        }
        if !self.seen && self.pattern.is_match(&String::from_utf8_lossy(bytes)) {
            self.seen = true;
            self.matched += 1;
        }
    }
}

fn counted(live: &Live, cwd: &Path, params: &Params) -> Result<Value, ActionError> {
    let wrong = |why: String| ActionError::invalid(format!("`log.rate`: {why}"));
    let pattern = &params.pattern;
    let mut tally = Tally {
        pattern: Regex::new(pattern)
            .map_err(|error| wrong(format!("pattern `{pattern}`: {error}")))?,
        lines: 0,
        matched: 0,
        seen: false,
    };
    let over = params.over.0.as_secs_f64();
    if !(1.0..=86_400.0).contains(&over) {
        return Err(wrong("`over` is from 1s to 1d".into()));
    }
    let zone = match &params.zone {
        Some(name) => {
            TimeZone::get(name).map_err(|_| wrong(format!("there is no time zone `{name}`")))?
        }
        None => TimeZone::system(),
    };
    let now = Timestamp::now().as_duration().as_secs_f64();
    let path = cwd.join(&params.file);
    let mut reading = Reading::new(live, &path, &params.file, zone);
    reading.read(From::Recent(now - over), &mut |bytes, piece| {
        tally.line(bytes, piece);
    })?;
    let file = &params.file;
    if reading.since_by == "whole_file" {
        let message =
            format!("`{file}`: no line has a time that is understood, so there is no rate");
        return Err(ActionError::failed(Outcome::NotApplied, message)
            .hint("count with `log.scan`, which takes an offset too"));
    }
    let span = reading.times().span;
    if let Some((_, last)) = span.filter(|(_, last)| *last > now + AHEAD) {
        let ahead = human(Duration::from_secs_f64(last - now));
        let message = format!("`{file}`: its last line is {ahead} ahead of this clock");
        return Err(ActionError::failed(Outcome::NotApplied, message)
            .hint("say in which zone its times are with `zone`"));
    }
    quiet(&reading, &tally, now - over).map_err(|why| {
        let message = format!("`{file}`: {why}");
        ActionError::failed(Outcome::NotApplied, message)
            .hint("say in which zone its times are with `zone`, or count with `log.scan`")
    })?;
    Ok(shown(params, &tally, &reading, now, over))
}

/// Refuses a log that was written to since then and has no line of that time: its times are behind, or
/// are not understood any more, and how much it says cannot be told.
fn quiet(reading: &Reading<'_>, tally: &Tally, since: f64) -> Result<(), String> {
    let spoke = reading.written.is_some_and(|at| at > since + LATE);
    if tally.lines > 0 || !spoke {
        return Ok(());
    }
    let undated = match reading.times().undated {
        0 => String::new(),
        lines => format!(", and {lines} lines without a time as its first line has it"),
    };
    Err(format!(
        "it was written to in that time, and has no line of that time{undated}"
    ))
}

fn shown(params: &Params, tally: &Tally, reading: &Reading<'_>, now: f64, over: f64) -> Value {
    let times = reading.times();
    // a log that began meanwhile has nothing of the time before
    let young = times.span.filter(|_| !times.older && !reading.has_older());
    let over = match young {
        Some((first, _)) => (now - first).clamp(1.0, over),
        None => over,
    };
    // one that was written to as that time began may have said something in it
    let silent = reading.written.is_none() || reading.since_by == "not_modified";
    let known = tally.lines > 0 || params.quiet_is_fine && silent;
    let per_second = known.then(|| measure::count(tally.matched) / over);
    let mut notes = reading.notes.clone();
    if times.undated > 0 {
        notes.push(format!(
            "{} lines have no time of their own: each goes with the line before",
            times.undated
        ));
    }
    if tally.lines == 0 {
        notes.push("the log has no line of that time".into());
    }
    json!({
        "lines": tally.lines,
        "matched": tally.matched,
        "share": measure::share(tally.matched, tally.lines),
        "per_second": per_second,
        "per_minute": per_second.map(|rate| rate * 60.0),
        "over_s": over,
        "first": times.span.map(|(first, _)| first),
        "last": times.span.map(|(_, last)| last),
        "last_age_s": times.span.map(|(_, last)| (now - last).max(0.0)),
        "rotated": reading.rotated,
        "notes": notes,
    })
}
