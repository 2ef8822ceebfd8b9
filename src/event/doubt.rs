//! How a doubt was settled: by what, and to what (reliability contract 2.5).

use serde::{Deserialize, Serialize};

use crate::expr::Evidence;

/// What settled a doubt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The probe that the author gave for it.
    Probe {
        /// What it said.
        evidence: Vec<Evidence>,
    },
    /// The author says that doing it twice is the same as once.
    Idempotent,
    /// The author says what a doubt means, or the run goes back and the undo covers it.
    Policy,
    /// A person.
    Person {
        /// Login name.
        by: String,
        /// Why.
        reason: String,
    },
}

impl How {
    /// The words for people.
    pub fn words(&self) -> String {
        match self {
            Self::Probe { .. } => "its probe".into(),
            Self::Idempotent => "it is idempotent".into(),
            Self::Policy => "the rules of the run".into(),
            Self::Person { by, reason } => format!("{by}: {reason}"),
        }
    }
}

/// What a doubt was settled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It took effect.
    Done,
    /// It did not; it is tried again where the run goes on.
    NotDone,
    /// It may have left something; it is tried again where the run goes on.
    Again,
    /// It counts as failed, and may have left something.
    Failed,
}

impl Resolution {
    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Done => "it took effect",
            Self::NotDone => "it did not take effect",
            Self::Again => "it is done again",
            Self::Failed => "it counts as failed",
        }
    }
}
