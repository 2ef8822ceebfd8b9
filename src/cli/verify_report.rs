//! `ferry verify REPORT`: a report held against the journal that it carries, without the store; and
//! the signatures of a journal, for a run as well.
//!
//! Nothing in the file is believed: its chain is computed anew, the report is written again from its
//! events and compared byte by byte, and each signature is checked.

use std::fmt::Write as _;
use std::path::Path;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::error::CommandError;
use super::exit::Exit;
use super::load;
use super::sealed::Form;
use crate::event::{EventKind, RunEvent, Stage};
use crate::front::escape::shown;
use crate::front::text::{clip, moment, rfc3339};
use crate::sign::{Anchor, Reviewed, Signers, Standing, review};
use crate::store::{Record, SealError};

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

/// The signatures under a journal, and by whose word their keys may sign.
pub(super) struct Signatures<'r> {
    all: Vec<Reviewed<'r>>,
    /// The file that was named; `None`: what the journal carries.
    own: Option<String>,
    carries: bool,
}

pub(super) fn verify(path: &Path, asked: &Asked<'_>) -> Result<Exit, CommandError> {
    let name = path.display().to_string();
    let text = read(path, &name)?;
    let (form, seal) = Form::find(&text)?;
    let record = Record::unseal(&seal).map_err(|error| refused(&error))?;
    asked.is_head(&record.head())?;
    let compared = compare(form, &record, &seal, &text)?;
    let signatures = asked.signatures(&record)?;
    let answer = match asked.json {
        true => {
            let said = json!({
                "report": name, "run": record.run(), "ok": true, "events": record.events().len(),
                "head": record.head(), "ferry": record.version(), "visible": compared,
                "signatures": signatures.json(),
            });
            format!("{said:#}\n")
        }
        false => words(&name, &record, compared) + &signatures.words(),
    };
    super::answer(&answer)?;
    signatures.outcome()
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
    if form == Form::Seal {
        return Ok("nothing");
    }
    let Some(expected) = form.write(record, seal)? else {
        let message = "this form of a report cannot be written again";
        return Err(CommandError::new(Exit::Internal, message));
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

fn words(name: &str, record: &Record, compared: &str) -> String {
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
         proven   no event in it was changed, dropped or moved; that these are all, and those of the \
         run, is proven by a signature below, or by the head: `ferry verify {}` says it where the run \
         is kept\n",
        shown(name),
        shown(record.run()),
        record.events().len(),
        record.head(),
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

    /// All signatures under a journal, checked.
    ///
    /// # Errors
    /// When the file of the signers cannot be read.
    pub(super) fn signatures<'r>(
        &self,
        record: &'r Record,
    ) -> Result<Signatures<'r>, CommandError> {
        let head_at = |seq| record.head_at(seq);
        let (run, events) = (record.run(), record.events());
        let carried = events.first().map_or("", |event| match &event.kind {
            EventKind::Run(RunEvent::Planned(planned)) => planned.signers.as_str(),
            _ => "",
        });
        let zone = TimeZone::system();
        let Some(path) = self.allowed_signers else {
            let signers = Signers::parse(carried, &zone).map_err(|error| {
                let message = format!("the signers in the journal cannot be read: {error}");
                CommandError::new(Exit::Corrupt, message)
            })?;
            return Ok(Signatures {
                all: review(run, events, head_at, Anchor::Carried(&signers)),
                own: None,
                carries: !signers.is_empty(),
            });
        };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let why = load::words(&error);
            CommandError::new(Exit::Missing, format!("`{name}` cannot be read: {why}"))
        })?;
        let signers = Signers::parse(&text, &zone)
            .map_err(|error| CommandError::new(Exit::Invalid, format!("`{name}`: {error}")))?;
        Ok(Signatures {
            all: review(run, events, head_at, Anchor::Own(&signers)),
            own: Some(name),
            carries: true,
        })
    }
}

impl Signatures<'_> {
    /// Whether nobody signed.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn words(&self) -> String {
        let mut text = String::new();
        if self.all.is_empty() {
            return "signed   by nobody\n".into();
        }
        for one in &self.all {
            let signature = one.signature;
            let _ = writeln!(
                text,
                "signed   {} ({}) by {}: {}",
                shown(&signature.role),
                stage(signature.stage),
                shown(&signature.who),
                standing(one)
            );
            let _ = writeln!(
                text,
                "         under event {}, recorded {} by login `{}`{}",
                signature.seq,
                moment(one.at),
                shown(one.by),
                later(one)
            );
            if let Some(comment) = &signature.comment {
                let _ = writeln!(text, "         \"{}\"", shown(comment));
            }
        }
        let _ = writeln!(text, "trust    {}", self.trust());
        text
    }

    /// Whose word it is that these keys are those of these people.
    fn trust(&self) -> String {
        match (&self.own, self.carries) {
            (Some(file), _) => format!("whose key is whose is said by your `{}`", shown(file)),
            (None, true) => "whose key is whose is said by the journal itself: whoever could write it \
                             could write that too; `--allowed-signers FILE` holds it against your own"
                .into(),
            (None, false) => "nobody says whose key is whose: `--allowed-signers FILE` does".into(),
        }
    }

    pub(super) fn json(&self) -> Value {
        let one = |one: &Reviewed<'_>| {
            let (word, key, said) = match &one.standing {
                Standing::Good { key, name } => ("good", Some(key), Some(name)),
                Standing::UnknownKey { key } => ("unknown_key", Some(key), None),
                Standing::LoginAlone => ("login_alone", None, None),
                Standing::NotAllowed { key, why } => ("not_allowed", Some(key), Some(why)),
                Standing::Bad { why } => ("bad", None, Some(why)),
            };
            json!({
                "role": one.signature.role, "who": one.signature.who, "by": one.by,
                "stage": one.signature.stage, "comment": one.signature.comment,
                "at": rfc3339(one.at), "event": one.seq, "under": one.signature.seq,
                "standing": word, "key": key, "said": said, "later": one.later,
            })
        };
        let trust = match (&self.own, self.carries) {
            (Some(_), _) => "own",
            (None, true) => "carried",
            (None, false) => "nobody",
        };
        let all: Vec<_> = self.all.iter().map(one).collect();
        json!({ "trust": trust, "signed": all })
    }

    /// How to leave: a signature that does not hold is damage, a key that may not sign is not
    /// permitted.
    ///
    /// # Errors
    /// Names the first of them.
    pub(super) fn outcome(&self) -> Result<Exit, CommandError> {
        let wrong = |exit, one: &Reviewed<'_>, why: &str| {
            let Reviewed { seq, signature, .. } = one;
            let who = shown(&signature.who);
            let message = format!("the signature of `{who}` in event {seq}: {}", shown(why));
            Err(CommandError::new(exit, message))
        };
        for one in &self.all {
            if let Standing::Bad { why } = &one.standing {
                return wrong(Exit::Corrupt, one, why);
            }
        }
        for one in &self.all {
            if let Standing::NotAllowed { why, .. } = &one.standing {
                return wrong(Exit::NotPermitted, one, why);
            }
        }
        Ok(Exit::Done)
    }
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Before => "before",
        Stage::After => "after",
    }
}

fn standing(one: &Reviewed<'_>) -> String {
    match &one.standing {
        Standing::Good { key, name } => {
            format!("good, key {key}, which may sign for `{}`", shown(name))
        }
        Standing::UnknownKey { key } => format!("good, by a key that nobody knows, {key}"),
        Standing::LoginAlone => "by login alone, without a key".into(),
        Standing::NotAllowed { key, why } => format!("NOT ALLOWED, key {key}: {}", shown(why)),
        Standing::Bad { why } => format!("BAD: {}", shown(why)),
    }
}

/// What came after what was signed.
fn later(one: &Reviewed<'_>) -> String {
    let kinds: Vec<_> = one
        .later
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    match kinds.is_empty() {
        true => ", the last that happened".into(),
        false => format!("; later: {}", kinds.join(", ")),
    }
}
