//! Reads the part of a log that is asked for, line by line, with 64 kB of memory per line at most.
//!
//! [`Reading`] finds where to begin, goes through a file that was rotated away first, and says how
//! it went about it. What lines mean is the caller's.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::recent::{self, Seen, Times};
use super::stamp::{self, Shape};
use crate::action::ActionError;
use crate::action::file::Live;
use crate::event::{Cause, Outcome};

/// A line's pieces.
const PIECE: usize = 64 << 10;
/// Where the first time is looked for.
const PROBE: u64 = 1 << 20;

/// Where to begin.
#[derive(Clone, Copy)]
pub enum From {
    /// At that time, in seconds since the Unix epoch.
    Time(f64),
    /// The same, in a file of which the end alone may be worth reading: one whose lines stand about in
    /// the order of their times.
    Recent(f64),
    /// At that byte.
    Offset(u64),
}

/// Takes a line, or its pieces by number.
pub type Sink<'a> = dyn FnMut(&[u8], usize) + 'a;

/// One reading of a log.
pub struct Reading<'a> {
    live: &'a Live,
    path: &'a Path,
    shown: &'a str,
    zone: TimeZone,
    pub since_by: &'static str,
    pub rotated: bool,
    pub next_offset: u64,
    pub notes: Vec<String>,
    /// When what was read was last written to, in seconds since the Unix epoch, when reading went by time;
    /// none when there is nothing in it.
    pub written: Option<f64>,
    times: Seen,
}

/// Which lines count.
#[derive(Clone, Copy)]
enum Filter {
    All,
    Since {
        since: f64,
        shape: Shape,
        /// Whether a line without a time counts; that of the line before decides.
        counts: bool,
    },
}

impl<'a> Reading<'a> {
    /// A reading of `path`.
    pub fn new(live: &'a Live, path: &'a Path, shown: &'a str, zone: TimeZone) -> Self {
        Self {
            live,
            path,
            shown,
            zone,
            since_by: "start",
            rotated: false,
            next_offset: 0,
            notes: Vec::new(),
            written: None,
            times: Seen::default(),
        }
    }

    /// What the lines' times said, when reading went by time.
    pub fn times(&self) -> Times {
        self.times.get()
    }

    /// Hands every line from `from` on to `sink`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self, from: From, sink: &mut Sink<'_>) -> Result<(), ActionError> {
        let (mut file, metadata) = self.open(self.path)?;
        let length = metadata.len();
        match from {
            From::Offset(offset) => {
                self.since_by = if offset == 0 { "start" } else { "offset" };
                let mut begin = offset;
                if offset > length {
                    self.rotated = true;
                    self.notes.push(format!(
                        "the file has {length} bytes, fewer than {offset}: it was rotated or cut, and is read from its start"
                    ));
                    begin = 0;
                    self.older(
                        |metadata| metadata.len() >= offset,
                        offset,
                        Filter::All,
                        sink,
                    )?;
                }
                self.pass(&mut file, begin, length, Filter::All, sink)?;
            }
            From::Time(since) => self.read_since(&mut file, &metadata, since, false, sink)?,
            From::Recent(since) => self.read_since(&mut file, &metadata, since, true, sink)?,
        }
        self.next_offset = length;
        self.see_whether_rotated(&file, length, sink)
    }

    fn read_since(
        &mut self,
        file: &mut File,
        metadata: &Metadata,
        since: f64,
        recent: bool,
        sink: &mut Sink<'_>,
    ) -> Result<(), ActionError> {
        let length = metadata.len();
        let written = modified(metadata);
        self.written = (length > 0).then_some(written);
        // file times are coarse on many file systems
        if written + 1.0 < since && length > 0 {
            self.since_by = "not_modified";
            self.notes
                .push("the file was not written to since then".into());
            return Ok(());
        }
        let first = self.first_stamp(file, length)?;
        if first.is_none_or(|(_, stamp)| stamp.seconds > since) {
            let newer = move |metadata: &Metadata| modified(metadata) >= since;
            self.since_older(newer, since, sink)?;
        }
        let Some((shape, stamp)) = first else {
            if length > 0 {
                self.since_by = "whole_file";
                self.notes
                    .push("no line has a time that is understood: the whole file was read".into());
            } else {
                self.since_by = "time";
            }
            return self.pass(file, 0, length, Filter::All, sink);
        };
        self.since_by = "time";
        let counts = stamp.reaches(since);
        let mut filter = Filter::Since {
            since,
            shape,
            counts,
        };
        let mut begin = 0;
        let time = |line: &[u8]| stamp::find_as(shape, &head(line), &self.zone);
        if recent
            && let Some(later) =
                recent::begin(file, length, since, time).map_err(|error| self.failed(&error))?
        {
            begin = later;
            self.times.older();
            filter = Filter::Since {
                since,
                shape,
                counts: false,
            };
        }
        self.pass(file, begin, length, filter, sink)
    }

    /// The rotated file's lines since then.
    fn since_older(
        &mut self,
        newer: impl Fn(&Metadata) -> bool,
        since: f64,
        sink: &mut Sink<'_>,
    ) -> Result<(), ActionError> {
        let Some((mut older, metadata)) = self.find_older(newer) else {
            return Ok(());
        };
        let Some((shape, stamp)) = self.first_stamp(&mut older, metadata.len())? else {
            return Ok(());
        };
        let filter = Filter::Since {
            since,
            shape,
            counts: stamp.reaches(since),
        };
        self.rotated = true;
        let written = modified(&metadata);
        self.written = Some(self.written.map_or(written, |other| other.max(written)));
        self.notes
            .push("the file was rotated since then: its `.1` was read first".into());
        self.pass(&mut older, 0, metadata.len(), filter, sink)
    }

    fn older(
        &mut self,
        fits: impl Fn(&Metadata) -> bool,
        begin: u64,
        filter: Filter,
        sink: &mut Sink<'_>,
    ) -> Result<(), ActionError> {
        let Some((mut older, metadata)) = self.find_older(fits) else {
            return Ok(());
        };
        self.notes
            .push("its `.1` was read from there on first".into());
        self.pass(&mut older, begin, metadata.len(), filter, sink)
    }

    /// Whether there is a file that was rotated away, however old.
    pub fn has_older(&self) -> bool {
        self.find_older(|metadata| metadata.len() > 0).is_some()
    }

    fn find_older(&self, fits: impl Fn(&Metadata) -> bool) -> Option<(File, Metadata)> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".1");
        let opened = self.open(&PathBuf::from(name)).ok()?;
        fits(&opened.1).then_some(opened)
    }

    /// A file that took the name meanwhile is read as well; it is new from its start.
    fn see_whether_rotated(
        &mut self,
        file: &File,
        length: u64,
        sink: &mut Sink<'_>,
    ) -> Result<(), ActionError> {
        let before = file.metadata().map_err(|error| self.failed(&error))?;
        if before.len() < length {
            self.rotated = true;
            self.notes.push("the file was cut while it was read".into());
            return Ok(());
        }
        let Ok((mut now, metadata)) = self.open(self.path) else {
            return Ok(());
        };
        if (metadata.dev(), metadata.ino()) == (before.dev(), before.ino()) {
            return Ok(());
        }
        self.rotated = true;
        self.notes
            .push("the file was rotated while it was read: the new one was read too".into());
        self.next_offset = metadata.len();
        self.pass(&mut now, 0, metadata.len(), Filter::All, sink)
    }

    fn open(&self, path: &Path) -> Result<(File, Metadata), ActionError> {
        // without `O_NONBLOCK` a FIFO would hold us here
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
            .open(path);
        let file = opened.map_err(|error| self.failed(&error))?;
        let metadata = file.metadata().map_err(|error| self.failed(&error))?;
        if !metadata.is_file() {
            let message = format!("`{}` is not a regular file", self.shown);
            return Err(ActionError::invalid(message));
        }
        Ok((file, metadata))
    }

    fn failed(&self, error: &io::Error) -> ActionError {
        let (cause, why) = match error.kind() {
            io::ErrorKind::NotFound => (Cause::Invalid, "there is no such file".to_owned()),
            io::ErrorKind::PermissionDenied => (Cause::Denied, "permission denied".to_owned()),
            _ => (Cause::Failed, error.to_string()),
        };
        let message = format!("cannot read the log `{}`: {why}", self.shown);
        ActionError::new(cause, Outcome::NotApplied, message)
    }

    fn first_stamp(
        &self,
        file: &mut File,
        length: u64,
    ) -> Result<Option<(Shape, stamp::Stamp)>, ActionError> {
        let mut first = None;
        let zone = &self.zone;
        self.lines(file, 0, length.min(PROBE), &mut |bytes, piece| {
            if first.is_none() && piece == 0 {
                first = stamp::find(&head(bytes), zone);
            }
        })?;
        Ok(first)
    }

    fn pass(
        &self,
        file: &mut File,
        begin: u64,
        end: u64,
        mut filter: Filter,
        sink: &mut Sink<'_>,
    ) -> Result<(), ActionError> {
        self.lines(file, begin, end, &mut |bytes, piece| {
            if let Filter::Since {
                since,
                shape,
                counts,
            } = &mut filter
            {
                if piece == 0 {
                    match stamp::find_as(*shape, &head(bytes), &self.zone) {
                        Some(stamp) => {
                            *counts = stamp.reaches(*since);
                            self.times.saw(stamp.seconds, *counts);
                        }
                        None => self.times.undated(),
                    }
                }
                if !*counts {
                    return;
                }
            }
            sink(bytes, piece);
        })
    }

    /// Reads from `begin` to `end`, which a file that grows does not move.
    fn lines(
        &self,
        file: &mut File,
        begin: u64,
        end: u64,
        sink: &mut Sink<'_>,
    ) -> Result<(), ActionError> {
        file.seek(SeekFrom::Start(begin))
            .map_err(|error| self.failed(&error))?;
        let bounded = file.take(end.saturating_sub(begin));
        let mut reader = BufReader::with_capacity(PIECE, bounded);
        let mut line = Vec::with_capacity(1024);
        let mut piece = 0;
        loop {
            let buffer = reader.fill_buf().map_err(|error| self.failed(&error))?;
            if buffer.is_empty() {
                break;
            }
            self.live.check()?;
            let room = &buffer[..buffer.len().min(PIECE - line.len())];
            let newline = room.iter().position(|byte| *byte == b'\n');
            let taken = newline.map_or(room.len(), |at| at + 1);
            line.extend_from_slice(&room[..newline.unwrap_or(taken)]);
            reader.consume(taken);
            if newline.is_some() {
                // the end of a line that filled its last piece is no piece
                if piece == 0 || !line.is_empty() {
                    sink(line.strip_suffix(b"\r").unwrap_or(&line), piece);
                }
                line.clear();
                piece = 0;
            } else if line.len() == PIECE {
                sink(&line, piece);
                line.clear();
                piece += 1;
            }
        }
        if !line.is_empty() {
            sink(&line, piece);
        }
        Ok(())
    }
}

/// Where a line's time may be.
fn head(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(160)])
}

#[expect(clippy::cast_precision_loss, reason = "a time is a float of seconds")]
fn modified(metadata: &Metadata) -> f64 {
    metadata.mtime() as f64 + metadata.mtime_nsec() as f64 / 1e9
}
