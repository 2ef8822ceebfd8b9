//! Events of state that was read and kept.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Failure;

/// What happened about snapshots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotEvent {
    /// They are being taken.
    Taking {
        /// Which set.
        moment: Moment,
    },
    /// They are there, or not.
    Taken {
        /// Which set.
        moment: Moment,
        /// Each of them.
        snapshots: Vec<SnapshotTaken>,
    },
}

/// Keys of a result that measure the reading itself, and say nothing of the state that was read.
pub const MEASURED: &[&str] = &[
    "took_ms",
    "latency_ms",
    "total_ms",
    "connect_ms",
    "ttfb_ms",
    "duration_ms",
    "date",
    "uptime_s",
    "age_s",
];

/// When a set of snapshots was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Before the first change.
    Before,
    /// Before the first change: what guards and watches compare with, by their names.
    Baseline,
    /// After the last.
    After,
    /// After going back.
    Restored,
}

impl Moment {
    /// The name in expressions and file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Baseline => "baseline",
            Self::After => "after",
            Self::Restored => "restored",
        }
    }
}

/// One snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotTaken {
    /// Its name in the runbook.
    pub name: String,
    /// File with the value, relative to the run directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// SHA-256 of the file, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The value, when it is small enough for the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}
