//! When the calendar lets a run start, and when it has to be over: `opens`, `closes`, or hours that
//! come again.
//!
//! Main type: [`Hours`]; [`Hours::at`] says how they stand at a time. Zones come from the system's time
//! zone database. Must not: read a clock.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// The hours in which a run may start.
#[derive(Clone, Debug, PartialEq)]
pub enum Hours {
    /// Once; at least one of the two is said.
    Once {
        /// Not before, in milliseconds since the Unix epoch.
        opens: Option<i64>,
        /// Over by then, in milliseconds since the Unix epoch.
        closes: Option<i64>,
    },
    /// Again and again.
    Weekly(Weekly),
}

/// Hours of certain days.
#[derive(Clone, Debug, PartialEq)]
pub struct Weekly {
    /// The days on which they begin; empty: every day.
    pub days: Vec<Weekday>,
    /// When they begin.
    pub from: Time,
    /// When they end; on the next day where that is not after `from`.
    pub to: Time,
    /// The time zone of both.
    pub zone: TimeZone,
}

/// How the hours stand at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The beginning of those that it is in, else of the next ones, in milliseconds since the Unix
    /// epoch.
    pub opens: Option<i64>,
    /// Their end.
    pub closes: Option<i64>,
    /// How it stands.
    pub stands: Stands,
}

/// Whether a run may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It may.
    Open,
    /// Not yet.
    Ahead,
    /// Never again.
    Past,
}

impl Hours {
    /// How they stand at `now`, in milliseconds since the Unix epoch. A run may start from the first
    /// millisecond on, and no more from that of the end on.
    pub fn at(&self, now: i64) -> Opening {
        let (opens, closes) = match self {
            Self::Once { opens, closes } => (*opens, *closes),
            Self::Weekly(weekly) => weekly.next(now),
        };
        let stands = match (opens, closes) {
            (_, Some(closes)) if now >= closes => Stands::Past,
            (Some(opens), _) if now < opens => Stands::Ahead,
            _ => Stands::Open,
        };
        Opening {
            opens,
            closes,
            stands,
        }
    }

    /// In words, for people.
    pub fn words(&self) -> String {
        let moment = |at: i64| {
            let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
            at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
        };
        match self {
            Self::Once { opens, closes } => {
                let opens = opens.map(|at| format!("opens {}", moment(at)));
                let closes = closes.map(|at| format!("closes {}", moment(at)));
                let both: Vec<_> = opens.into_iter().chain(closes).collect();
                both.join(", ")
            }
            Self::Weekly(weekly) => weekly.words(),
        }
    }
}

impl Weekly {
    /// Those that `now` is in, else the next ones.
    fn next(&self, now: i64) -> (Option<i64>, Option<i64>) {
        let at = Timestamp::from_millisecond(now).unwrap_or(Timestamp::UNIX_EPOCH);
        let today = at.to_zoned(self.zone.clone()).date();
        // those of yesterday may reach into today, and a week later every day was there
        let days = (-1..=8).filter_map(|days: i64| today.checked_add(days.days()).ok());
        let mut found = days.filter_map(|day| self.of(day)).map(|(from, to)| {
            let millis = |at: &Zoned| at.timestamp().as_millisecond();
            (millis(&from), millis(&to))
        });
        match found.find(|(from, to)| *to > now && from < to) {
            Some((from, to)) => (Some(from), Some(to)),
            None => (None, None),
        }
    }

    /// Those that begin on a day; a time that the clocks skip is the one after the gap.
    fn of(&self, day: Date) -> Option<(Zoned, Zoned)> {
        if !self.days.is_empty() && !self.days.contains(&day.weekday()) {
            return None;
        }
        let last = match self.to > self.from {
            true => day,
            false => day.tomorrow().ok()?,
        };
        let zoned = |day: Date, time: Time| day.to_datetime(time).to_zoned(self.zone.clone()).ok();
        Some((zoned(day, self.from)?, zoned(last, self.to)?))
    }

    fn words(&self) -> String {
        let days: Vec<_> = self.days.iter().map(|day| name(*day)).collect();
        let days = match days.is_empty() {
            true => "every day".to_owned(),
            false => days.join(", "),
        };
        let time = |time: Time| time.strftime("%H:%M").to_string();
        let zone = self.zone.iana_name().unwrap_or("UTC");
        format!("{days} {} to {} ({zone})", time(self.from), time(self.to))
    }
}

/// The days as they are written.
pub const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

fn name(day: Weekday) -> &'static str {
    let found = DAYS.iter().find(|(_, one)| *one == day);
    found.map_or("", |(name, _)| name)
}

/// A moment with its offset or zone, in milliseconds since the Unix epoch.
///
/// # Errors
/// What is wrong with it, and how it is written.
pub fn moment(text: &str) -> Result<i64, String> {
    const HELP: &str =
        "write it with its offset: `2026-11-22T01:00:00+01:00` or `2026-11-22T00:00:00Z`";
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_millisecond());
    }
    if let Ok(at) = text.parse::<Zoned>() {
        return Ok(at.timestamp().as_millisecond());
    }
    match text.parse::<jiff::civil::DateTime>() {
        Ok(_) => Err(format!(
            "it says no offset, and that time comes once in every zone; {HELP}"
        )),
        Err(_) => Err(HELP.into()),
    }
}

/// A time of the day: `01:00`.
///
/// # Errors
/// How it is written.
pub fn time(text: &str) -> Result<Time, String> {
    let wrong =
        || "write it as hours and minutes: `01:00`, the end of the day as `00:00`".to_owned();
    // the parser of dates takes much more than a time of the day
    let plain = |c: char| c.is_ascii_digit() || c == ':';
    if !text.chars().all(plain) || !matches!(text.len(), 5 | 8) {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

/// A time zone by its name.
///
/// # Errors
/// That it is not known, and how they are called.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    const HELP: &str = "name one of the time zone database, such as `Europe/Berlin`, or `UTC`";
    TimeZone::get(name).map_err(|_| match jiff::tz::db().available().next() {
        Some(_) => HELP.to_owned(),
        None => {
            "this machine has no time zone database: name `UTC`, or install `tzdata`".to_owned()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        moment(text).unwrap()
    }

    fn weekly(days: &[Weekday], from: &str, to: &str, name: &str) -> Hours {
        Hours::Weekly(Weekly {
            days: days.to_vec(),
            from: time(from).unwrap(),
            to: time(to).unwrap(),
            zone: zone(name).unwrap(),
        })
    }

    fn shown(hours: &Hours, now: &str) -> (Stands, i64, i64) {
        let opening = hours.at(at(now));
        (
            opening.stands,
            opening.opens.unwrap(),
            opening.closes.unwrap(),
        )
    }

    #[test]
    fn once_is_ahead_open_and_past() {
        let hours = Hours::Once {
            opens: Some(at("2026-11-22T01:00:00+01:00")),
            closes: Some(at("2026-11-22T03:00:00Z")),
        };
        let stands = |now: &str| hours.at(at(now)).stands;
        assert_eq!(stands("2026-11-21T23:59:59Z"), Stands::Ahead);
        assert_eq!(stands("2026-11-22T00:00:00Z"), Stands::Open);
        assert_eq!(stands("2026-11-22T02:59:59.999Z"), Stands::Open);
        assert_eq!(stands("2026-11-22T03:00:00Z"), Stands::Past);
        assert_eq!(
            hours.words(),
            "opens 2026-11-22 00:00:00 UTC, closes 2026-11-22 03:00:00 UTC"
        );
        let open = Hours::Once {
            opens: None,
            closes: Some(5),
        };
        assert_eq!(
            (open.at(4).stands, open.at(5).stands),
            (Stands::Open, Stands::Past)
        );
    }

    #[test]
    fn hours_that_come_again_are_those_of_now_or_the_next_ones() {
        let weekend = [Weekday::Saturday, Weekday::Sunday];
        let hours = weekly(&weekend, "01:00", "05:00", "Europe/Berlin");
        assert_eq!(hours.words(), "sat, sun 01:00 to 05:00 (Europe/Berlin)");
        // a Saturday, in winter
        let sat = (at("2026-11-21T00:00:00Z"), at("2026-11-21T04:00:00Z"));
        let sun = (at("2026-11-22T00:00:00Z"), at("2026-11-22T04:00:00Z"));
        assert_eq!(
            shown(&hours, "2026-11-18T12:00:00Z"),
            (Stands::Ahead, sat.0, sat.1)
        );
        assert_eq!(
            shown(&hours, "2026-11-21T03:59:00Z"),
            (Stands::Open, sat.0, sat.1)
        );
        assert_eq!(
            shown(&hours, "2026-11-21T04:00:00Z"),
            (Stands::Ahead, sun.0, sun.1)
        );
        let (stands, opens, _) = shown(&hours, "2026-11-22T04:00:00Z");
        assert_eq!((stands, opens), (Stands::Ahead, at("2026-11-28T00:00:00Z")));
    }

    #[test]
    fn hours_over_midnight_belong_to_the_day_on_which_they_begin() {
        let hours = weekly(&[Weekday::Friday], "22:00", "02:00", "UTC");
        let night = (at("2026-11-20T22:00:00Z"), at("2026-11-21T02:00:00Z"));
        assert_eq!(
            shown(&hours, "2026-11-21T01:00:00Z"),
            (Stands::Open, night.0, night.1)
        );
        let daily = weekly(&[], "22:00", "00:00", "UTC");
        assert_eq!(daily.words(), "every day 22:00 to 00:00 (UTC)");
        let (stands, opens, closes) = shown(&daily, "2026-11-21T01:00:00Z");
        assert_eq!(stands, Stands::Ahead);
        assert_eq!(
            (opens, closes),
            (at("2026-11-21T22:00:00Z"), at("2026-11-22T00:00:00Z"))
        );
    }

    #[test]
    fn the_change_to_summer_time_makes_them_shorter() {
        // 02:00 to 03:00 does not exist on that night
        let hours = weekly(&[], "01:00", "05:00", "Europe/Berlin");
        let (_, opens, closes) = shown(&hours, "2026-03-29T00:30:00Z");
        assert_eq!(closes - opens, 3 * 3_600_000);
        let gone = weekly(&[], "02:00", "03:00", "Europe/Berlin");
        let (stands, opens, closes) = shown(&gone, "2026-03-29T00:30:00Z");
        assert_eq!(stands, Stands::Ahead);
        assert!(closes > opens, "a night without these hours is left out");
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(
            moment("2026-11-22T01:00:00")
                .unwrap_err()
                .contains("no offset")
        );
        assert!(
            moment("tomorrow")
                .unwrap_err()
                .starts_with("write it with its offset")
        );
        let berlin = at("2026-11-22T00:00:00Z");
        assert_eq!(
            moment("2026-11-22T01:00:00+01:00[Europe/Berlin]"),
            Ok(berlin)
        );
        assert_eq!(moment("2026-11-22T01:00[Europe/Berlin]"), Ok(berlin));
        for wrong in ["1", "25:00", "01:60", "2026-11-22", "1:00", "noon", "24:00"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        assert!(zone("Europe/Berlln").unwrap_err().contains("Europe/Berlin"));
        assert!(zone("").is_err());
    }
}
