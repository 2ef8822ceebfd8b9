//! `ferry verify REPORT`: a report held against the journal that it carries, without the store; and
//! the signatures of a journal, for a run as well.
//!
//! Nothing in the file is believed: its chain is computed anew, the report is written again from its
//! events and compared byte by byte, and each signature is checked.

mod signatures;

use std::path::Path;

use serde_json::json;

use super::error::CommandError;
use super::exit::Exit;
use super::load;
use super::sealed::Form;
use crate::front::escape::shown;
use crate::front::text::clip;
use crate::store::{Record, SealError};

pub(super) use signatures::{Signatures, held};

/// The largest report that is read, in bytes.
const LARGEST: u64 = 512 << 20;

/// Columns that are shown of a line that differs.
const SHOWN: usize = 100;

/// What is to be held against it.
pub(super) struct Asked<'a> {
    pub(super) allowed_signers: Option<&'a Path>,
    pub(super) head: Option<&'a str>,
    pub(super) json: bool,
}

pub(super) fn verify(path: &Path, asked: &Asked<'_>) -> Result<Exit, CommandError> {
    let name = path.display().to_string();
    let text = read(path, &name)?;
    let (form, seal) = Form::find(&text)?;
    let record = Record::unseal(&seal).map_err(|error| refused(&error))?;
    asked.is_head(&record.head())?;
    let compared = compare(form, &record, &seal, &text)?;
    let signatures = asked.signatures(&record)?;
    let outcome = signatures.outcome();
    let answer = match asked.json {
        true => {
            let said = json!({
                "report": name, "run": record.run(), "ok": outcome.is_ok(), "events": record.events().len(),
                "head": record.head(), "ferry": record.version(), "visible": compared,
                "signatures": signatures.json(),
            });
            format!("{said:#}\n")
        }
        false => words(&name, &record, compared, &signatures) + &signatures.words(),
    };
    super::answer(&answer)?;
    outcome
}

fn read(path: &Path, name: &str) -> Result<String, CommandError> {
    let failed = |exit, what: String| {
        CommandError::new(exit, format!("the report `{name}` cannot be read: {what}"))
    };
    let size = std::fs::metadata(path).map_or(0, |data| data.len());
    if size > LARGEST {
        let what = format!("it is larger than {} MB", LARGEST >> 20);
        return Err(failed(Exit::Invalid, what));
    }
    let bytes = std::fs::read(path).map_err(|error| failed(Exit::Missing, load::words(&error)))?;
    // no report of ours: and what is not text was changed
    String::from_utf8(bytes).map_err(|_| failed(Exit::Corrupt, "it is not UTF-8 text".into()))
}

fn refused(error: &SealError) -> CommandError {
    CommandError::new(
        Exit::Corrupt,
        format!("the report is not what was written: {error}"),
    )
}

/// Whether what is to be seen is what the journal gives: `same`, or `nothing` where there is only the
/// seal.
fn compare(
    form: Form,
    record: &Record,
    seal: &str,
    text: &str,
) -> Result<&'static str, CommandError> {
    // the seal too is made anew: of what was found nothing is believed
    let anew = record.seal().map_err(|error| refused(&error))?;
    let expected = match form.write(record, &anew)? {
        Some(expected) => expected,
        None if anew.trim() == seal.trim() => return Ok("nothing"),
        None => anew,
    };
    if expected == text {
        return Ok("same");
    }
    let version = record.version();
    if version != env!("CARGO_PKG_VERSION") {
        let message = format!(
            "the journal in the report holds together, and what is to be seen cannot be compared: it was \
             written by ferry {}, and this is {}",
            shown(version),
            env!("CARGO_PKG_VERSION")
        );
        return Err(CommandError::new(Exit::Newer, message).hint("verify it with that version"));
    }
    Err(differs(&expected, text))
}

/// Names the first line that is not what the journal gives.
fn differs(expected: &str, found: &str) -> CommandError {
    let (mut wanted, mut lines) = (expected.split('\n'), found.split('\n'));
    let mut at = 0;
    let (wanted, line) = loop {
        at += 1;
        match (wanted.next(), lines.next()) {
            (Some(wanted), Some(line)) if wanted == line => {}
            (wanted, line) => break (wanted, line),
        }
    };
    let quoted = |line: Option<&str>| match line {
        Some(line) => format!("`{}`", clip(&shown(line), SHOWN)),
        None => "nothing".into(),
    };
    let message = format!(
        "the report is not what its journal gives: line {at} is {}",
        quoted(line)
    );
    CommandError::new(Exit::Corrupt, message).hint(format!("the journal gives {}", quoted(wanted)))
}

fn words(name: &str, record: &Record, compared: &str, signatures: &Signatures<'_>) -> String {
    let visible = match compared {
        "same" => "to the byte what its journal gives",
        _ => "nothing: the file is a seal alone",
    };
    format!(
        "report   {}\n\
         run      {}\n\
         events   {}\n\
         head     {}\n\
         visible  {visible}\n\
         {}\n\
         \x20        whether these are all events of the run, `ferry verify {}` says where it is kept\n",
        shown(name),
        shown(record.run()),
        record.events().len(),
        record.head(),
        signatures.proven(),
        shown(record.run()),
    )
}

impl Asked<'_> {
    /// Whether the journal has the head that was asked for.
    ///
    /// # Errors
    /// When not.
    pub(super) fn is_head(&self, head: &str) -> Result<(), CommandError> {
        match self.head {
            Some(wanted) if !wanted.trim().eq_ignore_ascii_case(head) => {
                let message = format!("the journal has another head: {head}");
                Err(CommandError::new(Exit::Corrupt, message))
            }
            _ => Ok(()),
        }
    }
}
