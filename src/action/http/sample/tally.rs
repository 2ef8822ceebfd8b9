//! What the requests of a sample came to: [`Tally`] counts them as they end.
//!
//! Percentiles are over all requests. One that was answered wrongly or not at all counts as slower than
//! every right answer, so that a service that fails fast never looks quick; where a percentile falls on
//! such a one there is no number, only null.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::action::measure::{count, mean, percentile};

/// Why a request got no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Timeout,
    Refused,
    Dns,
    Reset,
    Tls,
    TooLarge,
    Other,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Timeout,
        Self::Refused,
        Self::Dns,
        Self::Reset,
        Self::Tls,
        Self::TooLarge,
        Self::Other,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Dns => "dns",
            Self::Reset => "reset",
            Self::Tls => "tls",
            Self::TooLarge => "too_large",
            Self::Other => "other",
        }
    }

    /// By the words that `http` has for what went wrong on the wire.
    pub fn of(words: &str) -> Self {
        match words {
            "connection refused" => Self::Refused,
            "connection reset"
            | "connection closed by the other side"
            | "connection closed too early"
            | "connection closed before message completed"
            | "end of file before message length reached" => Self::Reset,
            "connection timed out" => Self::Timeout,
            _ if words.starts_with("TLS: ") => Self::Tls,
            _ if words.starts_with("name not resolved") => Self::Dns,
            _ => Self::Other,
        }
    }
}

/// How one request ended.
#[derive(Debug)]
pub enum Seen {
    /// With a whole answer.
    Answer {
        /// Whether the status is a success.
        ok: bool,
        status: u16,
        ms: f64,
        bytes: u64,
    },
    /// Without one; why, in words.
    Nothing(Kind, String),
    /// It may not be sent at all, nor may any other.
    Refused(String),
}

/// The requests so far.
#[derive(Default)]
pub struct Tally {
    times: Vec<f64>,
    statuses: BTreeMap<u16, usize>,
    answered: usize,
    bytes: u64,
    errors: [usize; Kind::ALL.len()],
    first_error: Option<String>,
}

impl Tally {
    /// One more.
    pub fn take(&mut self, seen: Seen) {
        match seen {
            Seen::Answer {
                ok,
                status,
                ms,
                bytes,
            } => {
                self.answered += 1;
                self.bytes += bytes;
                *self.statuses.entry(status).or_default() += 1;
                if ok {
                    self.times.push(ms);
                }
            }
            Seen::Nothing(kind, words) => {
                self.errors[kind as usize] += 1;
                self.first_error.get_or_insert(words);
            }
            Seen::Refused(words) => self.take(Seen::Nothing(Kind::Other, words)),
        }
    }

    /// How many there were.
    pub fn seen(&self) -> usize {
        self.answered + self.unanswered()
    }

    fn unanswered(&self) -> usize {
        self.errors.iter().sum()
    }

    /// The figures of a finished sample of that many requests, at least one.
    pub fn result(mut self, requests: usize, took: Duration) -> Value {
        self.times.sort_by(f64::total_cmp);
        let times = self.times.as_slice();
        let share = |part: usize| count(part) / count(requests);
        let at = |p: usize| percentile(times, requests, p).map(rounded);
        let class = |first: u16| {
            let of = self.statuses.iter();
            let of = of.filter(|(status, _)| **status / 100 == first);
            (
                format!("{first}xx"),
                of.map(|(_, n)| *n).sum::<usize>().into(),
            )
        };
        let statuses = self.statuses.iter();
        let errors = Kind::ALL.iter();
        json!({
            "requests": requests,
            "ok": times.len(),
            "ok_rate": share(times.len()),
            "error_rate": share(requests - times.len()),
            "statuses": statuses.map(|(status, n)| (status.to_string(), (*n).into())).collect::<Map<_, _>>(),
            "classes": (1..=5).map(class).collect::<Map<_, _>>(),
            "unanswered": self.unanswered(),
            "errors": errors.map(|kind| (kind.name().to_owned(), self.errors[*kind as usize].into())).collect::<Map<_, _>>(),
            "first_error": self.first_error,
            "p50_ms": at(50),
            "p90_ms": at(90),
            "p95_ms": at(95),
            "p99_ms": at(99),
            "min_ms": times.first().copied().map(rounded),
            "mean_ms": mean(times).map(rounded),
            "max_ms": times.last().copied().map(rounded),
            "bytes": self.bytes,
            "rps": rounded(count(self.answered) / took.as_secs_f64().max(1e-6)),
            "took_ms": rounded(took.as_secs_f64() * 1_000.0),
        })
    }
}

/// To the microsecond.
fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, ms: f64) -> Seen {
        Seen::Answer {
            ok: status == 200,
            status,
            ms,
            bytes: 10,
        }
    }

    #[test]
    fn what_failed_fast_never_makes_a_sample_quick() {
        let mut tally = Tally::default();
        for ms in 1..=18 {
            tally.take(answer(200, f64::from(ms)));
        }
        tally.take(answer(503, 0.1));
        tally.take(Seen::Nothing(
            Kind::of("connection refused"),
            "connection refused".into(),
        ));
        let result = tally.result(20, Duration::from_millis(100));
        assert_eq!(result["p50_ms"], 10.0);
        assert_eq!(result["p90_ms"], 18.0);
        assert_eq!(
            (&result["p95_ms"], &result["p99_ms"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(
            (&result["min_ms"], &result["max_ms"]),
            (&json!(1.0), &json!(18.0))
        );
        assert_eq!(result["mean_ms"], 9.5);
        assert_eq!(result["ok_rate"], 0.9);
        assert_eq!(result["error_rate"], 0.1);
        assert_eq!(result["statuses"], json!({"200": 18, "503": 1}));
        assert_eq!(
            result["classes"],
            json!({"1xx": 0, "2xx": 18, "3xx": 0, "4xx": 0, "5xx": 1})
        );
        assert_eq!(
            (&result["errors"]["refused"], &result["unanswered"]),
            (&json!(1), &json!(1))
        );
        assert_eq!(result["first_error"], "connection refused");
        assert_eq!(
            (&result["bytes"], &result["rps"]),
            (&json!(190), &json!(190.0))
        );
    }

    #[test]
    fn without_an_answer_there_are_no_figures() {
        let mut tally = Tally::default();
        tally.take(Seen::Nothing(Kind::Timeout, "x".into()));
        let result = tally.result(1, Duration::from_millis(1));
        for key in ["p50_ms", "p99_ms", "min_ms", "mean_ms", "max_ms"] {
            assert_eq!(result[key], Value::Null, "{key}");
        }
        assert_eq!(
            (&result["ok_rate"], &result["error_rate"]),
            (&json!(0.0), &json!(1.0))
        );
        assert_eq!(result["rps"], 0.0);
    }
}
