//! Numbers of results with their units, told from the names and the words that results have.

use std::time::Duration;

use serde_json::Number;

use super::super::text::moment;
use crate::runbook::units::{human, human_bytes};

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    Micros,
    Millis,
    Seconds,
    /// 0 to 1.
    Share,
    /// Seconds since the Unix epoch.
    Moment,
    None,
}

impl Unit {
    /// By a field's name, and by the action's words for it.
    pub(super) fn of(name: &str, words: &str) -> Self {
        let ends = |suffixes: &[&str]| {
            let fits = |suffix: &&str| {
                let rest = name.strip_suffix(*suffix);
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
            };
            suffixes.iter().any(fits)
        };
        let no_size = ["ratio", "share", "perc", "count", "policy"];
        match name {
            // whatever a server answers
            "reply" => Self::None,
            _ if words.contains("Unix epoch") => Self::Moment,
            _ if words.contains("0 to 1") || ends(&["share"]) || name == "hit_rate" => Self::Share,
            _ if ends(&["us", "usec"]) => Self::Micros,
            _ if ends(&["ms", "msec", "avg_ttl"]) => Self::Millis,
            _ if ends(&["s", "sec", "seconds"]) && !ends(&["per_s", "per_sec", "per_seconds"]) => {
                Self::Seconds
            }
            _ if no_size.iter().any(|word| name.contains(word)) => Self::None,
            _ if ends(&["bytes", "memory"]) || name.starts_with("bytes_") => Self::Bytes,
            _ if ["used_memory", "maxmemory", "total_system_memory", "mem_"]
                .iter()
                .any(|start| name.starts_with(start)) =>
            {
                Self::Bytes
            }
            _ if words.contains("bytes") && !words.starts_with("how many") => Self::Bytes,
            _ => Self::None,
        }
    }

    /// The number for people, and as it is where that is another text.
    pub(super) fn show(self, number: &Number) -> (String, Option<String>) {
        let raw = number.to_string();
        let Some(value) = number.as_f64() else {
            return (raw, None);
        };
        let told = match self {
            Self::Share if (0.0..=1.0).contains(&value) => Some(percent(value)),
            Self::Bytes => number.as_u64().map(human_bytes),
            Self::Micros => time(value / 1_000.0),
            Self::Millis => time(value),
            Self::Seconds => match value {
                0.0 => Some("0s".into()),
                _ => time(value * 1_000.0),
            },
            Self::Moment => at(value),
            _ => None,
        };
        match told {
            Some(told) => (told, Some(raw)),
            None if number.is_f64() => {
                let told = plain(value);
                let raw = Some(raw).filter(|raw| raw.strip_suffix(".0").unwrap_or(raw) != told);
                (told, raw)
            }
            None => (raw, None),
        }
    }
}

/// A share as `97.3 %`; what is not quite everything, or nothing, does not look so.
fn percent(share: f64) -> String {
    let text = format!("{:.1} %", share * 100.0);
    match text.as_str() {
        "100.0 %" if share < 1.0 => "over 99.9 %".into(),
        "0.0 %" if share > 0.0 => "under 0.1 %".into(),
        _ => text,
    }
}

/// Milliseconds as `0.42 ms`, `12 ms`, `3.1s`, `2h 10m`.
fn time(ms: f64) -> Option<String> {
    Some(match ms {
        _ if !(0.0..1e15).contains(&ms) => return None,
        0.0 => "0 ms".into(),
        _ if ms < 0.001 => "under 0.001 ms".into(),
        _ if ms < 0.1 => format!("{ms:.3} ms"),
        _ if ms < 10.0 => format!("{ms:.2} ms"),
        _ if ms < 100.0 => format!("{ms:.1} ms"),
        _ if ms < 1_000.0 => format!("{ms:.0} ms"),
        _ => human(Duration::try_from_secs_f64(ms / 1_000.0).ok()?),
    })
}

fn at(seconds: f64) -> Option<String> {
    // the years 1970 to 9999
    if !(0.0..253_402_300_800.0).contains(&seconds) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it was looked at above")]
    let at = (seconds * 1_000.0) as i64;
    Some(moment(at))
}

/// A number with as many digits as say something.
pub(super) fn plain(value: f64) -> String {
    let size = value.abs();
    let text = match size {
        _ if value == value.trunc() && size < 1e15 => format!("{value:.0}"),
        _ if !(1e-4..1e15).contains(&size) => format!("{value:e}"),
        _ if size >= 1_000.0 => format!("{value:.1}"),
        _ if size >= 1.0 => format!("{value:.3}"),
        _ => format!("{value:.5}"),
    };
    match text.contains('.') && !text.contains('e') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(name: &str, words: &str, value: &serde_json::Value) -> (String, String) {
        let number = value.as_number().unwrap();
        let (told, raw) = Unit::of(name, words).show(number);
        (told, raw.unwrap_or_default())
    }

    #[track_caller]
    fn is(name: &str, words: &str, value: impl Into<serde_json::Value>, told: &str, raw: &str) {
        let found = show(name, words, &value.into());
        assert_eq!(found, (told.to_owned(), raw.to_owned()), "{name}");
    }

    #[test]
    fn names_and_words_tell_the_unit() {
        is(
            "used_memory",
            "bytes in use",
            1_048_576,
            "1.0 MB",
            "1048576",
        );
        is("maxmemory", "the limit in bytes; 0: none", 0, "0 B", "0");
        is("memory_share", "x, 0 to 1; y", 0.25, "25.0 %", "0.25");
        is("hit_rate", "", 0.9731, "97.3 %", "0.9731");
        is("uptime_s", "", 7_800, "2h 10m", "7800");
        is("longest_idle_s", "", 0, "0s", "0");
        is("uptime_in_seconds", "", 61, "1m 01s", "61");
        is("latency_ms", "", 0.4213, "0.42 ms", "0.4213");
        is("usec", "", 1500, "1.50 ms", "1500");
        is("avg_ttl", "", 90_000, "1m 30s", "90000");
        is(
            "modified",
            "when, in seconds since the Unix epoch",
            1_772_330_400,
            "2026-03-01 02:00:00 UTC",
            "1772330400",
        );
    }

    #[test]
    fn what_only_looks_like_a_unit_stays_a_number() {
        is("keys", "", 1_234_567, "1234567", "");
        is(
            "reply",
            "text; bytes that are no text are {hex}",
            7,
            "7",
            "",
        );
        is("mem_fragmentation_ratio", "", 1.5, "1.5", "");
        is("ops_per_sec", "", 12, "12", "");
        is("ops_per_sec", "", 12.0, "12", "");
        is("maxmemory_policy_count", "", 2, "2", "");
        is("status", "", 200, "200", "");
        is("hit_rate", "", 3, "3", "");
        is("latency_ms", "", -1, "-1", "");
        is("invalid", "how many bytes are wrong", 3, "3", "");
    }

    #[test]
    fn nearly_everything_is_not_everything() {
        is("hit_rate", "", 0.99999, "over 99.9 %", "0.99999");
        is("hit_rate", "", 0.000_01, "under 0.1 %", "0.00001");
        is("hit_rate", "", 1.0, "100.0 %", "1.0");
        is("hit_rate", "", 0.0, "0.0 %", "0.0");
    }

    #[test]
    fn numbers_have_as_many_digits_as_say_something() {
        assert_eq!(plain(0.1 + 0.2), "0.3");
        assert_eq!(plain(1234.5678), "1234.6");
        assert_eq!(plain(-0.000_012), "-1.2e-5");
        assert_eq!(plain(1e300), "1e300");
        assert_eq!(plain(100.0), "100");
        assert_eq!(plain(0.0), "0");
    }
}
