//! The end of a long log: where to begin for what is recent ([`begin`]), and what the times of its
//! lines said ([`Times`]).

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::stamp::Stamp;

/// How far before the end is looked first.
const NEAR: u64 = 1 << 20;
/// How much is read in each place.
const LOOK: u64 = 128 << 10;
/// By how many seconds lines may stand before older ones.
const DISORDER: f64 = 60.0;

/// What the times of the lines said.
#[derive(Clone, Copy, Default)]
pub struct Times {
    /// The first and the last time among the lines that count.
    pub span: Option<(f64, f64)>,
    /// Whether there is a line older than those.
    pub older: bool,
    /// Lines without a time, such as those of a stack trace.
    pub undated: usize,
}

/// Keeps [`Times`] while lines go by.
#[derive(Default)]
pub struct Seen(Cell<Times>);

impl Seen {
    /// What they said so far.
    pub fn get(&self) -> Times {
        self.0.get()
    }

    /// There is something older.
    pub fn older(&self) {
        let times = self.0.get();
        self.0.set(Times {
            older: true,
            ..times
        });
    }

    /// A line without a time.
    pub fn undated(&self) {
        let times = self.0.get();
        self.0.set(Times {
            undated: times.undated + 1,
            ..times
        });
    }

    /// A line of that time, and whether it counts.
    pub fn saw(&self, at: f64, counts: bool) {
        if !counts {
            return self.older();
        }
        let times = self.0.get();
        let (first, last) = times.span.unwrap_or((at, at));
        self.0.set(Times {
            span: Some((first.min(at), last.max(at))),
            ..times
        });
    }
}

/// The start of a line in a long file before which everything is older than `since`, if the lines stand
/// about in the order of their times; `None` to read it from its start.
///
/// # Errors
/// When the file cannot be read.
pub fn begin(
    file: &File,
    length: u64,
    since: f64,
    time: impl Fn(&[u8]) -> Option<Stamp>,
) -> io::Result<Option<u64>> {
    let mut back = NEAR;
    while back < length {
        let from = length - back;
        let mut bytes = vec![0; usize::try_from(LOOK.min(back)).unwrap_or(0)];
        let got = file.read_at(&mut bytes, from)?;
        // the first one may be a part of a line
        let mut lines = bytes[..got].split(|byte| *byte == b'\n');
        let cut = lines.next().map_or(0, <[u8]>::len) as u64;
        if let Some(stamp) = lines.find_map(&time)
            && stamp.seconds + DISORDER < since
        {
            return Ok(Some(from + cut + 1));
        }
        back = back.saturating_mul(4);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    use jiff::tz::TimeZone;

    fn time(line: &[u8]) -> Option<Stamp> {
        let text = String::from_utf8_lossy(line);
        super::super::stamp::find(&text, &TimeZone::UTC).map(|(_, stamp)| stamp)
    }

    #[test]
    fn only_the_end_of_a_long_log_is_read() {
        let mut file = tempfile::tempfile().unwrap();
        let mut text = String::new();
        for second in 0..100_000 {
            text += &format!("{} a line of some length\n", 1_700_000_000 + second);
        }
        file.write_all(text.as_bytes()).unwrap();
        let length = text.len() as u64;
        let at = begin(&file, length, 1_700_099_000.0, time)
            .unwrap()
            .unwrap();
        assert!(length - at <= NEAR, "{at} of {length}");
        assert_eq!(text.as_bytes()[usize::try_from(at).unwrap() - 1], b'\n');
        let first = text[usize::try_from(at).unwrap()..].lines().next().unwrap();
        assert!(time(first.as_bytes()).unwrap().seconds < 1_700_099_000.0 - DISORDER);
        // what is asked for begins before the near end, and then before the file
        let at = begin(&file, length, 1_700_050_000.0, time).unwrap();
        assert!(at.is_none_or(|at| length - at > NEAR));
        assert_eq!(begin(&file, length, 1_600_000_000.0, time).unwrap(), None);
        assert_eq!(begin(&file, 100, 1_800_000_000.0, time).unwrap(), None);
    }
}
