//! Reports that carry their journal: written by `ferry report`, and written again by `ferry verify` to
//! be held against what somebody hands over.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::CommandError;
use super::exit::Exit;
use super::report::{end, is_that, outputs, whole};
use crate::front::escape::shown;
use crate::front::report::{self, Proof};
use crate::store::{Record, SEAL, SealError, SqliteStore, Store};
use crate::view::RunView;

/// The most bytes of output files that go with a journal.
const FILES: u64 = 8 << 20;

/// What a file is that carries a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The report for people.
    Html,
    /// The report for programs.
    Json,
    /// The seal alone.
    Seal,
}

impl Form {
    /// The form of a text, and the seal in it.
    ///
    /// # Errors
    /// When it carries none.
    pub(super) fn find(text: &str) -> Result<(Self, String), CommandError> {
        let begin = text.trim_start();
        if begin.starts_with(SEAL) {
            return Ok((Self::Seal, text.to_owned()));
        }
        let (form, seal) = match begin.starts_with('{') {
            true => (Self::Json, in_json(text)),
            false => (Self::Html, in_html(text).map(str::to_owned)),
        };
        let seal = seal.filter(|seal| seal.trim_start().starts_with(SEAL));
        seal.map(|seal| (form, seal)).ok_or_else(|| {
            CommandError::new(Exit::Invalid, "the file carries no seal of ferry").hint(
                "`ferry report --format html` and `--format json` write reports that carry one",
            )
        })
    }

    /// The report of a journal with the seal in it; `None` where there is nothing to be seen. Nothing
    /// stands in it that the seal does not prove.
    ///
    /// # Errors
    /// When a file in the record is not what its events say.
    pub(super) fn write(self, record: &Record, seal: &str) -> Result<Option<String>, CommandError> {
        let view = RunView::replay(record.events()).with_id(record.run());
        let proof = Proof {
            head: Some(record.head()),
            quotes: quotes(record, &view)?,
            signatures: super::verify_report::held(record),
            ..Proof::default()
        };
        Ok(match self {
            Self::Seal => None,
            Self::Html => Some(report::html(&view, &proof, Some(seal))),
            Self::Json => {
                let mut report = report::json(&view, &proof);
                if let Some(report) = report.as_object_mut() {
                    report.insert("seal".into(), seal.into());
                }
                Some(format!("{report:#}\n"))
            }
        })
    }
}

/// The ends of the files in a record, each held against the hash in the journal.
fn quotes(record: &Record, view: &RunView) -> Result<BTreeMap<String, String>, CommandError> {
    let outputs = outputs(view);
    let mut quotes = BTreeMap::new();
    for (name, bytes) in record.files() {
        let output = outputs.iter().find(|output| output.file == *name);
        if !output.is_some_and(|output| is_that(bytes, output)) {
            let name = shown(name);
            let message = format!("the seal has a file `{name}` that is not what its journal says");
            return Err(CommandError::new(Exit::Corrupt, message));
        }
        quotes.insert(name.clone(), end(bytes));
    }
    Ok(quotes)
}

/// A report that carries its journal; `None` where the journal is not proven, or too large for it.
pub(super) async fn written(
    form: Form,
    store: &SqliteStore,
    run: &str,
    dir: &Path,
) -> Result<Option<String>, CommandError> {
    if store.verify(run).await.is_err() {
        return Ok(None);
    }
    let record = store.record(run).await?;
    let files = files(&record, dir);
    let record = record.with_files(files);
    let Some(seal) = seal(&record)? else {
        return Ok(None);
    };
    Ok(match form.write(&record, &seal)? {
        None => Some(seal),
        text => text,
    })
}

/// The output files that go with a record: those that are quoted, as long as there is room.
fn files(record: &Record, dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let view = RunView::replay(record.events());
    let (mut files, mut room) = (BTreeMap::new(), FILES);
    for output in outputs(&view) {
        if output.kept > room {
            continue;
        }
        if let Some(bytes) = whole(output, dir) {
            room = room.saturating_sub(output.kept);
            files.insert(output.file.clone(), bytes);
        }
    }
    files
}

fn in_json(text: &str) -> Option<String> {
    let report: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(report.get("seal")?.as_str()?.to_owned())
}

fn in_html(text: &str) -> Option<&str> {
    // the last one: what a text of the run says stands before it, and cannot be a tag anyway
    let (_, rest) = text.rsplit_once("id=\"seal\">")?;
    rest.split_once("</pre>").map(|(seal, _)| seal)
}

/// The seal of a journal; one that is too large is said, and left out.
fn seal(record: &Record) -> Result<Option<String>, CommandError> {
    match record.seal() {
        Ok(seal) => Ok(Some(seal)),
        Err(error @ SealError::TooLarge(_)) => {
            super::note(&format!("{error}: this one cannot be verified by itself"));
            Ok(None)
        }
        Err(error) => Err(CommandError::new(Exit::Internal, error.to_string())),
    }
}
