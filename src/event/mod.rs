//! Events: the waist of the house. What happened in a run, in words that adapters, core and front
//! ends share. Nothing here acts.
//!
//! An [`Event`] is a fact with its place in the journal; its [`EventKind`] belongs to one of a few
//! families. Everything shown later is folded from these, so they hold what a reader needs and
//! nothing that can be derived. Texts in them are masked before they come here.

pub mod check;
pub mod doubt;
pub mod operator;
pub mod outcome;
pub mod outline;
pub mod people;
pub mod rehearsal;
pub mod rollback;
pub mod run;
pub mod snapshot;
pub mod step;
pub mod subscriber;

use serde::{Deserialize, Serialize};

pub use check::{BandOutline, CheckEvent, CheckOutline, Judgement, Sample, Tally, Then};
pub use doubt::{How, Resolution};
pub use operator::{Answer, OperatorEvent, Order, Question};
pub use outcome::{Cause, Failure, Outcome};
pub use outline::{Outline, PhaseOutline, StepOutline, UndoKind, WindowOutline};
pub use people::{
    AskOutline, Brief, CloseOut, Confirmation, Criterion, EvidenceFile, Horizon, Look, Note,
    NoteKind, Person, SignOff, Signature, Stage, Vote,
};
pub use rollback::{NotUndone, Part, RollbackEvent, RollbackItem};
pub use run::{
    CommsMode, Parking, Planned, RunEvent, RunFailure, RunOptions, RunStatus, StartRule,
    StartWaiver,
};
pub use snapshot::{MEASURED, Moment, SnapshotEvent, SnapshotTaken};
pub use step::{OutputKept, Report, SkipReason, StepEvent};
pub use subscriber::Subscriber;

/// One fact of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Place in the run's journal, from 1, without gaps.
    pub seq: u64,
    /// Milliseconds since the Unix epoch, by the wall clock; order is by `seq`, never by this.
    pub at: i64,
    /// What happened.
    pub kind: EventKind,
}

/// What happened, by family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The run as a whole.
    Run(RunEvent),
    /// One step or phase.
    Step(StepEvent),
    /// State that was read and kept.
    Snapshot(SnapshotEvent),
    /// Going back.
    Rollback(RollbackEvent),
    /// What is watched.
    Check(CheckEvent),
    /// What people said.
    Operator(OperatorEvent),
}

impl From<RunEvent> for EventKind {
    fn from(event: RunEvent) -> Self {
        Self::Run(event)
    }
}

impl From<StepEvent> for EventKind {
    fn from(event: StepEvent) -> Self {
        Self::Step(event)
    }
}

impl From<SnapshotEvent> for EventKind {
    fn from(event: SnapshotEvent) -> Self {
        Self::Snapshot(event)
    }
}

impl From<RollbackEvent> for EventKind {
    fn from(event: RollbackEvent) -> Self {
        Self::Rollback(event)
    }
}

impl From<CheckEvent> for EventKind {
    fn from(event: CheckEvent) -> Self {
        Self::Check(event)
    }
}

impl From<OperatorEvent> for EventKind {
    fn from(event: OperatorEvent) -> Self {
        Self::Operator(event)
    }
}
