//! Times in log lines: the common spellings, one of them per file.
//!
//! [`Shape`] is how a file's first timed line has it; a date in the text of a message is then not
//! taken for the time of its line.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::{Offset, TimeZone};
use regex::{Captures, Regex};

/// How far into a line its time may begin, in bytes.
const WITHIN: usize = 96;

/// When a line was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stamp {
    /// Seconds since the Unix epoch.
    pub seconds: f64,
    /// The unit of its last digit, in seconds.
    pub unit: f64,
}

impl Stamp {
    /// Whether it is at or after `since`, as far as its digits can tell.
    pub fn reaches(self, since: f64) -> bool {
        // half a unit takes what floats lose
        self.seconds + self.unit * 0.5 > (since / self.unit).floor() * self.unit
    }
}

/// A spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `2026-11-21T12:34:56.789Z`, `2026-11-21 12:34:56,789`, `2026/11/21 12:34:56`.
    Iso,
    /// `21/Nov/2026:12:34:56 +0000`, of access logs.
    Access,
    /// `21 Nov 2026 12:34:56.789`, of Redis.
    DayFirst,
    /// `Nov 21 12:34:56`, of syslog: no year, so the last one in which it is not in the future.
    Syslog,
    /// `1763721296.789`, at the start of the line or as a JSON `ts` or `time`.
    Epoch,
}

static PATTERNS: LazyLock<[(Format, Regex); 5]> = LazyLock::new(|| {
    let regex = |text: &str| Regex::new(text).expect("a constant pattern");
    [
        (
            Format::Iso,
            regex(
                r"\b(?<y>\d{4})[-/](?<mon>\d\d)[-/](?<d>\d\d)[T ](?<h>\d\d):(?<m>\d\d):(?<s>\d\d)(?:[.,](?<f>\d{1,9}))?(?: ?(?<z>Z|UTC\b|GMT\b|[+-]\d\d:?\d\d\b))?",
            ),
        ),
        (
            Format::Access,
            regex(
                r"\b(?<d>\d\d)/(?<mon>[A-Z][a-z]{2})/(?<y>\d{4}):(?<h>\d\d):(?<m>\d\d):(?<s>\d\d) (?<z>[+-]\d{4})",
            ),
        ),
        (
            Format::DayFirst,
            regex(
                r"\b(?<d>\d\d?) (?<mon>[A-Z][a-z]{2}) (?<y>\d{4}) (?<h>\d\d):(?<m>\d\d):(?<s>\d\d)(?:\.(?<f>\d{1,9}))?",
            ),
        ),
        (
            Format::Syslog,
            regex(
                r"^(?:<\d+>)?(?<mon>[A-Z][a-z]{2}) +(?<d>\d\d?) (?<h>\d\d):(?<m>\d\d):(?<s>\d\d)",
            ),
        ),
        (
            Format::Epoch,
            regex(
                r#"(?:^\[?|"(?:ts|time|timestamp)": ?"?)(?<e>\d{10})(?:(?<ms>\d{3})|\.(?<f>\d{1,9}))?\b"#,
            ),
        ),
    ]
});

/// How a file's lines tell their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The spelling.
    pub format: Format,
    /// Whether it stands at the start of the line, or right behind a bracket.
    pub leads: bool,
}

/// The time of a line in any spelling.
pub fn find(line: &str, zone: &TimeZone) -> Option<(Shape, Stamp)> {
    PATTERNS.iter().find_map(|(format, regex)| {
        let (at, stamp) = read(*format, regex, line, zone)?;
        let shape = Shape {
            format: *format,
            leads: at <= 1,
        };
        Some((shape, stamp))
    })
}

/// The time of a line in this shape.
pub fn find_as(shape: Shape, line: &str, zone: &TimeZone) -> Option<Stamp> {
    let (format, regex) = PATTERNS.iter().find(|(known, _)| *known == shape.format)?;
    let (at, stamp) = read(*format, regex, line, zone)?;
    (at <= 1 || !shape.leads).then_some(stamp)
}

/// Where the time begins, and the time. An indented line continues another.
fn read(format: Format, regex: &Regex, line: &str, zone: &TimeZone) -> Option<(usize, Stamp)> {
    if line.starts_with([' ', '\t']) {
        return None;
    }
    let mut end = line.len().min(WITHIN + 40);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let found = regex.captures(&line[..end])?;
    let at = found.get(0)?.start();
    if at > WITHIN {
        return None;
    }
    let stamp = match format {
        Format::Epoch => epoch(&found),
        _ => calendar(&found, zone),
    };
    Some((at, stamp?))
}

fn fraction(found: &Captures<'_>, group: &str) -> (f64, f64) {
    let Some(digits) = found.name(group) else {
        return (0.0, 1.0);
    };
    // beyond microseconds a float of seconds cannot follow
    let digits = &digits.as_str()[..digits.len().min(6)];
    let unit = [0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6][digits.len() - 1];
    let value: f64 = digits.parse().unwrap_or(0.0);
    (value * unit, unit)
}

fn epoch(found: &Captures<'_>) -> Option<Stamp> {
    let seconds: f64 = found["e"].parse().ok()?;
    let group = if found.name("ms").is_some() {
        "ms"
    } else {
        "f"
    };
    let (part, unit) = fraction(found, group);
    Some(Stamp {
        seconds: seconds + part,
        unit,
    })
}

fn month(text: &str) -> Option<i8> {
    const NAMES: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    match NAMES.iter().position(|name| *name == text) {
        Some(at) => i8::try_from(at + 1).ok(),
        None => text.parse().ok(),
    }
}

fn calendar(found: &Captures<'_>, zone: &TimeZone) -> Option<Stamp> {
    let number = |name: &str| found.name(name)?.as_str().parse::<i8>().ok();
    let month = month(&found["mon"])?;
    // a leap second is the last second of its minute
    let second = number("s")?.min(59);
    let at = |year: i16| {
        let day = civil::Date::new(year, month, number("d")?).ok()?;
        let time = civil::Time::new(number("h")?, number("m")?, second, 0).ok()?;
        let zone = match found.name("z") {
            Some(text) => offset(text.as_str())?,
            None => zone.clone(),
        };
        let zoned = day.to_datetime(time).to_zoned(zone).ok()?;
        Some(zoned.timestamp())
    };
    let moment = match found.name("y") {
        Some(year) => at(year.as_str().parse().ok()?)?,
        None => {
            let now = Timestamp::now();
            let year = now.to_zoned(zone.clone()).year();
            // a day of grace for clocks and zones
            let tomorrow = now.as_second() + 86_400;
            at(year)
                .filter(|moment| moment.as_second() <= tomorrow)
                .or_else(|| at(year - 1))?
        }
    };
    let has_fraction = found.name("f").is_some();
    let (part, unit) = if has_fraction {
        fraction(found, "f")
    } else {
        (0.0, 1.0)
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds of a calendar date are exact"
    )]
    let seconds = moment.as_second() as f64 + part;
    Some(Stamp { seconds, unit })
}

fn offset(text: &str) -> Option<TimeZone> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() {
        return Some(TimeZone::UTC);
    }
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = digits.get(2..4)?.parse().ok()?;
    let seconds = (hours * 60 + minutes) * 60;
    let signed = if text.starts_with('-') {
        -seconds
    } else {
        seconds
    };
    Offset::from_seconds(signed).ok().map(TimeZone::fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_spellings_are_read() {
        let berlin = TimeZone::fixed(Offset::from_seconds(3_600).unwrap());
        for (line, format, seconds, unit) in [
            (
                "2026-11-21T12:34:56.789Z INFO x",
                Format::Iso,
                1_795_264_496.789,
                1e-3,
            ),
            (
                "[2026-11-21 12:34:56 +0200] x",
                Format::Iso,
                1_795_257_296.0,
                1.0,
            ),
            (
                "INFO 2026-11-21 12:34:56,5 x",
                Format::Iso,
                1_795_260_896.5,
                0.1,
            ),
            (
                "2026/11/21 12:34:56 [error] x",
                Format::Iso,
                1_795_260_896.0,
                1.0,
            ),
            (
                "2026-11-21 12:34:56.000 UTC [7] LOG: x",
                Format::Iso,
                1_795_264_496.0,
                1e-3,
            ),
            (
                r#"127.0.0.1 - - [21/Nov/2026:12:34:56 +0000] "GET /""#,
                Format::Access,
                1_795_264_496.0,
                1.0,
            ),
            (
                "7:M 21 Nov 2026 12:34:56.789 * Ready",
                Format::DayFirst,
                1_795_260_896.789,
                1e-3,
            ),
            (
                r#"{"ts": 1795264496.25, "m": "x"}"#,
                Format::Epoch,
                1_795_264_496.25,
                0.01,
            ),
            ("1795264496123 x", Format::Epoch, 1_795_264_496.123, 1e-3),
        ] {
            let (Shape { format: found, .. }, stamp) =
                find(line, &berlin).unwrap_or_else(|| panic!("{line}"));
            assert_eq!((found, stamp.unit), (format, unit), "{line}");
            assert!((stamp.seconds - seconds).abs() < 1e-6, "{line}: {stamp:?}");
        }
        for line in [
            "",
            "  at f (a.rs:12:34)",
            "12345678901234 x",
            "2026-13-40 99:99:99",
        ] {
            assert_eq!(find(line, &berlin), None, "{line}");
        }
    }

    #[test]
    fn syslog_gets_the_year_that_is_not_ahead() {
        let now = Timestamp::now();
        let text = now
            .to_zoned(TimeZone::UTC)
            .strftime("%b %e %H:%M:%S h p: x")
            .to_string();
        let (shape, stamp) = find(&text, &TimeZone::UTC).unwrap();
        assert_eq!(shape.format, Format::Syslog);
        let seconds = now.as_duration().as_secs_f64();
        assert!((stamp.seconds - seconds).abs() < 2.0, "{text}: {stamp:?}");
    }

    #[test]
    fn a_coarse_time_reaches_what_began_within_it() {
        let second = Stamp {
            seconds: 100.0,
            unit: 1.0,
        };
        assert!(second.reaches(100.7) && second.reaches(99.0));
        assert!(!second.reaches(101.0));
        let milli = Stamp {
            seconds: 100.123,
            unit: 1e-3,
        };
        assert!(milli.reaches(100.123_4) && !milli.reaches(100.124));
    }
}
