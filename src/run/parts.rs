//! The parts that the state of a run is made of: phases, steps, items of the way back.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::event::{NotUndone, Part, RollbackItem, Vote};
use crate::plan::StepKey;

/// A step that changed the world, or may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The step.
    pub key: StepKey,
    /// Whether it ended well.
    pub done: bool,
}

/// One phase.
#[derive(Clone, Debug, Default)]
pub(super) struct PhaseState {
    /// Needs that are not over.
    pub(super) open_needs: usize,
    /// Its first step that has not started.
    pub(super) next: usize,
    /// Its steps in flight or waiting for a retry, items of one step counted once.
    pub(super) running: usize,
    /// Its steps that are not over.
    pub(super) left: usize,
    pub(super) started_at: Option<i64>,
    pub(super) ended_at: Option<i64>,
    pub(super) skipped: bool,
    /// Its steps with `for_each` that are under way.
    pub(super) fans: Vec<u32>,
}

/// A set of snapshots.
#[derive(Clone, Debug)]
pub(super) enum SnapshotState {
    Taking,
    Taken(Arc<HashMap<String, Value>>),
}

/// One step, or one item of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepState {
    /// Where it stands.
    pub status: StepStatus,
    /// The last attempt, 0 before the first.
    pub attempt: u32,
    /// Length of the last attempt, in milliseconds.
    pub took_ms: u64,
    /// Whether some attempt may have changed the world.
    pub dirty: bool,
    /// Whether some attempt started; what an undo needs must be read before that.
    pub started: bool,
    /// When it was over, in milliseconds since the Unix epoch; 0 before that.
    pub ended_at: i64,
    /// When its next attempt is due, in milliseconds since the Unix epoch; counts while it waits.
    pub due: i64,
    /// Attempts that do not count against its retries: interrupted, lost, settled by a person.
    pub forgiven: u32,
    /// Whether its last attempt took effect and did not bring what was expected: that its effect is
    /// there says nothing then.
    pub unmet: bool,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepStatus {
    #[default]
    Pending,
    /// What has to be known before it starts is being read.
    Checking,
    /// Started; from here on it may have happened.
    Running,
    /// Its action is over; what is to follow is being waited for.
    Settling,
    /// Failed, and tried again later.
    Waiting,
    /// Whether its attempt took effect is not known, and still to be looked at.
    InDoubt,
    /// That is being looked at.
    Examining,
    /// A person has to say.
    Asked,
    /// It waits for people: something done by hand, or an approval.
    AtGate,
    /// A `for_each` whose items are under way.
    Fanned,
    Done,
    Skipped,
    /// Failed, and proven that nothing happened.
    FailedClean,
    /// Failed after it started.
    FailedDirty,
}

impl StepStatus {
    /// Whether nothing more happens to it on the way forward.
    pub fn is_over(self) -> bool {
        matches!(
            self,
            Self::Done | Self::Skipped | Self::FailedClean | Self::FailedDirty
        )
    }

    /// Whether something of it is being carried out.
    pub fn in_flight(self) -> bool {
        matches!(
            self,
            Self::Checking | Self::Running | Self::Settling | Self::Examining
        )
    }

    /// Whether it failed for good on the way forward.
    pub fn failed(self) -> bool {
        matches!(self, Self::FailedClean | Self::FailedDirty)
    }

    /// Whether nobody knows what became of it.
    pub fn unknown(self) -> bool {
        matches!(self, Self::InDoubt | Self::Examining | Self::Asked)
    }

    /// The word in expressions.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Checking | Self::Running | Self::Settling | Self::Fanned => "running",
            Self::Waiting | Self::AtGate => "waiting",
            Self::InDoubt | Self::Examining | Self::Asked => "in_doubt",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::FailedClean | Self::FailedDirty => "failed",
        }
    }
}

/// A step that waits for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GateState {
    /// When it opened, in milliseconds since the Unix epoch.
    pub(super) opened: i64,
    /// When the time to decide is over.
    pub(super) until: Option<i64>,
    /// The number of the question.
    pub(super) nonce: String,
    /// Who agreed: login and vote.
    pub(super) votes: Vec<(String, Vote)>,
}

/// The items of a `for_each`.
#[derive(Clone, Debug, Default)]
pub struct Fan {
    /// The items.
    pub items: Vec<Value>,
    /// Where each stands.
    pub states: Vec<StepState>,
    /// The first that has not started.
    pub next: usize,
    /// How many are in flight or wait for a retry.
    pub running: usize,
    /// How many are over.
    pub over: usize,
    /// Whether one failed for good and was not tolerated.
    pub failed: bool,
}

/// The way back.
#[derive(Clone, Debug, Default)]
pub struct RollbackState {
    /// The list.
    pub items: Vec<RollbackItem>,
    /// What is not taken back.
    pub not_undone: Vec<NotUndone>,
    /// Where each item stands.
    pub states: Vec<ItemState>,
    /// The first item that is not over.
    pub next: usize,
    /// The part under way and when it started, in milliseconds since the Unix epoch. What follows
    /// `last` counts as `last`: it looks at what `last` brought up.
    pub part: Option<(Part, i64)>,
}

/// Where a rollback item stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ItemState {
    #[default]
    Pending,
    Running {
        attempt: u32,
    },
    Waiting {
        attempt: u32,
        /// When it is due, in milliseconds since the Unix epoch.
        due: i64,
    },
    /// Whether the attempt took effect is not known, and still to be looked at.
    InDoubt {
        attempt: u32,
    },
    /// That is being looked at.
    Examining {
        attempt: u32,
    },
    /// A person has to say.
    Asked {
        attempt: u32,
    },
    Done,
    Skipped,
    Held,
    Failed,
    /// A person leaves it as it is.
    Waived,
}

impl ItemState {
    /// Whether nothing more happens to it by itself.
    pub fn is_over(self) -> bool {
        !matches!(
            self,
            Self::Pending
                | Self::Running { .. }
                | Self::Waiting { .. }
                | Self::InDoubt { .. }
                | Self::Examining { .. }
        )
    }

    /// Whether it is not done, and what stands on it has no footing.
    pub fn is_lost(self) -> bool {
        matches!(self, Self::Failed | Self::Held | Self::Asked { .. })
    }

    /// Whether something of it is being carried out.
    pub fn in_flight(self) -> bool {
        matches!(self, Self::Running { .. } | Self::Examining { .. })
    }
}
