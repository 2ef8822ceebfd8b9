//! Events of going back.

use serde::{Deserialize, Serialize};

use super::{Failure, How, Report, Resolution, RunFailure};

/// What happened on the way back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollbackEvent {
    /// The list, computed once; it is worked off from the first to the last.
    Planned {
        /// What made it necessary.
        cause: RunFailure,
        /// What will be done.
        items: Vec<RollbackItem>,
        /// What changed the world and is not taken back.
        not_undone: Vec<NotUndone>,
    },
    /// The intent of one item.
    Started {
        /// Its place in the list, from 0.
        item: usize,
        /// From 1.
        attempt: u32,
    },
    /// One item is done.
    Finished {
        /// Its place in the list.
        item: usize,
        /// What it returned.
        report: Box<Report>,
    },
    /// One attempt at an item failed.
    Failed {
        /// Its place in the list.
        item: usize,
        /// The attempt.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// What there is of a result.
        report: Box<Report>,
        /// When it is tried again, in milliseconds since the Unix epoch; `None`: not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<i64>,
    },
    /// One item is left out.
    Skipped {
        /// Its place in the list.
        item: usize,
        /// Why.
        reason: String,
        /// Whether it was held back because an item that it stands on failed.
        held: bool,
    },
    /// An attempt ended, or was lost, and whether it took effect is not known.
    InDoubt {
        /// Its place in the list.
        item: usize,
        /// The attempt.
        attempt: u32,
        /// Why it is not known.
        failure: Failure,
    },
    /// Whether it took effect is being looked at.
    Examining {
        /// Its place in the list.
        item: usize,
        /// The attempt that is in doubt.
        attempt: u32,
    },
    /// A person has to say whether it took effect.
    Asked {
        /// Its place in the list.
        item: usize,
        /// What there is to know, in a line.
        why: String,
    },
    /// A doubt is settled.
    Resolved {
        /// Its place in the list.
        item: usize,
        /// The attempt that was in doubt.
        attempt: u32,
        /// By what.
        how: How,
        /// To what.
        to: Resolution,
    },
    /// Somebody leaves as it is what could not be taken back.
    Waived {
        /// Its place in the list.
        item: usize,
        /// Login name.
        by: String,
        /// Why.
        reason: String,
    },
    /// It failed or was held back before, and is due again because somebody went on with going back.
    Reopened {
        /// Its place in the list.
        item: usize,
    },
}

impl RollbackEvent {
    /// The item that it is about; `None` for the list.
    pub fn item(&self) -> Option<usize> {
        match self {
            Self::Planned { .. } => None,
            Self::Started { item, .. }
            | Self::Finished { item, .. }
            | Self::Failed { item, .. }
            | Self::Skipped { item, .. }
            | Self::InDoubt { item, .. }
            | Self::Examining { item, .. }
            | Self::Asked { item, .. }
            | Self::Resolved { item, .. }
            | Self::Waived { item, .. }
            | Self::Reopened { item } => Some(*item),
        }
    }
}

/// One thing to do on the way back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RollbackItem {
    /// Its name, unique in the list.
    pub id: String,
    /// Which part of the procedure.
    pub part: Part,
    /// The step that it takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Which of the step's undo steps; `None` with `of`: the automatic undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<usize>,
    /// The action key.
    pub action: String,
}

/// The parts of the procedure, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// `rollback.first`.
    First,
    /// The undo of one step.
    Undo,
    /// `rollback.last`.
    Last,
    /// `rollback.verify`.
    Verify,
    /// `rollback.notify`.
    Notify,
}

impl Part {
    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Undo => "undo",
            Self::Last => "last",
            Self::Verify => "verify",
            Self::Notify => "notify",
        }
    }
}

/// A step that changed the world, or may have, and is not taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NotUndone {
    /// The step, with its item.
    pub step: String,
    /// Why.
    pub why: String,
}
