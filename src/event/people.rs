//! People in the words of events: who has which role, what they were shown, what they confirmed,
//! noted, waived and signed. Plain data; who may do what is decided by the run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::expr::{Evidence, Verdict};

/// A role of the runbook, and who has it in this run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The role's name in the runbook.
    pub role: String,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// How to reach them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Who has it; `None`: nobody was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
}

/// The roles whose signatures the runbook asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignOff {
    /// Before the run starts to change things.
    #[serde(default)]
    pub before: Vec<String>,
    /// After it is over.
    #[serde(default)]
    pub after: Vec<String>,
}

/// What a signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// That it may begin.
    Before,
    /// That it is as it should be.
    After,
}

/// How long after the run a criterion is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Horizon {
    /// At its end.
    Immediate,
    /// Within hours.
    ShortTerm,
    /// Within days.
    LongTerm,
}

impl Horizon {
    /// The key in the runbook.
    pub fn key(self) -> &'static str {
        match self {
            Self::Immediate => "immediate",
            Self::ShortTerm => "short_term",
            Self::LongTerm => "long_term",
        }
    }
}

/// What makes the migration a success, from the runbook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Criterion {
    /// `immediate`, `short_term`, `long_term`; with a number where there are several: `immediate-2`.
    pub id: String,
    /// When it is due.
    pub horizon: Horizon,
    /// The phase that has to pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The expression that has to hold, as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// Seconds after the end of the run within which it is to be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_s: Option<f64>,
}

/// What a person is shown before they decide: everything masked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Brief {
    /// What the step does, in a line.
    pub does: String,
    /// Names and values: the command, the request, its target, its environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shows: Vec<(String, String)>,
    /// What is expected of it, as it is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expects: Vec<String>,
    /// What takes it back, in a line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub undo: String,
    /// How long it is expected to take, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_s: Option<f64>,
    /// For a manual step: what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// For a manual step: what is to be ticked, one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checklist: Vec<String>,
    /// For a manual step: what has to be typed in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<AskOutline>,
    /// For a manual step: whether something has to be handed in as evidence.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub evidence: bool,
    /// Roles or names that may decide; empty: anybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// For an approval: how many have to agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<usize>,
    /// For an approval: each vote needs an SSH signature.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signed: bool,
    /// For an approval: who carries the run out may not decide.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_by_operator: bool,
    /// When the time to decide is over, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// A value that a manual step asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AskOutline {
    /// Its name in `result.values`.
    pub name: String,
    /// What is asked; the name where nothing is said.
    pub prompt: String,
    /// `text`, `int`, `number`, `bool` or one of `choices`.
    pub kind: String,
    /// What may be chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// What a text has to match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
    /// The least number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// A decision about an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Whose it is, as said with `--as`; the login where nothing was said.
    pub who: String,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The digest of the plan that they saw.
    pub digest: String,
    /// The number of the question that they saw: a gate that opens again has another one.
    pub nonce: String,
    /// An SSH signature over the above, armored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The key's fingerprint, when the engine verified the signature against the allowed signers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What a person says about a manual step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Whose it is; the login where nothing was said.
    pub who: String,
    /// Entries of the checklist that were ticked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ticked: Vec<String>,
    /// What was typed in, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Value>,
    /// Evidence in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Evidence as a file, which was copied to the run directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<EvidenceFile>,
    /// The number of the question that they saw; empty where none was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub nonce: String,
}

/// A file that was handed in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceFile {
    /// Where it is kept, relative to the run directory.
    pub file: String,
    /// What it was called.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

/// What a note is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Worth knowing.
    #[default]
    Remark,
    /// Something went wrong.
    Issue,
    /// How it was mended.
    Resolution,
    /// What was learned.
    Lesson,
    /// What should be done.
    Recommendation,
}

impl NoteKind {
    /// As it is typed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Remark => "remark",
            Self::Issue => "issue",
            Self::Resolution => "resolution",
            Self::Lesson => "lesson",
            Self::Recommendation => "recommendation",
        }
    }
}

/// A note on a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What it is.
    pub kind: NoteKind,
    /// Its words.
    pub text: String,
    /// The step that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Whose it is; the login where nothing was said.
    pub who: String,
}

/// A signature under a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Who signs; the login where nothing was said.
    pub who: String,
    /// The role they sign as.
    pub role: String,
    /// For what.
    pub stage: Stage,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The last event that they saw.
    pub seq: u64,
    /// The hash of the chain there, in hexadecimal: what is signed.
    pub head: String,
    /// An SSH signature, armored; `None`: signed by login alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
    /// The key's fingerprint, `SHA256:...`, as it was when it signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A criterion that was judged after the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CloseOut {
    /// The criterion's id.
    pub criterion: String,
    /// What it was judged to.
    pub verdict: Verdict,
    /// Who says so; the login where nothing was said.
    pub who: String,
    /// What it rests on, where an expression was evaluated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// One look at a system that helps to understand a failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// What was looked at, in a line.
    pub what: String,
    /// Whether it could be looked at.
    pub ok: bool,
    /// What was seen, bounded; or why it could not be seen.
    pub seen: String,
}
