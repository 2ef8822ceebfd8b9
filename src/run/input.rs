//! What can come in: reports of what was done, timers, orders.

use serde_json::Value;

use crate::event::{
    Failure, Judgement, Look, Moment, Order, Parking, Report, Sample, SnapshotTaken, Tally,
};
use crate::expr::Evidence;
use crate::plan::StepKey;

/// One input, with its time.
#[derive(Clone, Debug)]
pub struct Input {
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// What came in.
    pub kind: InputKind,
}

/// What came in.
#[derive(Clone, Debug)]
pub enum InputKind {
    /// An engine takes the run up.
    Begin {
        /// Login name of the operator.
        by: String,
        /// Host of the engine.
        host: String,
        /// Process of the engine.
        pid: u32,
        /// Whether it waits for people.
        attended: bool,
        /// Whether it asks before each step and after each failure.
        guided: bool,
    },
    /// Nothing new: what follows from the state as it is.
    Advance,
    /// What had to be read before a step was read.
    Prepared {
        /// The step.
        key: StepKey,
        /// The attempt.
        attempt: u32,
        /// `done_when`, when there is one.
        done: Option<Vec<Evidence>>,
        /// What `undo: auto` needs.
        captured: Option<Value>,
        /// Why it could not be read.
        failure: Option<Failure>,
    },
    /// An attempt at a step is over: its action, or what it waited for after it.
    Reported {
        /// The step.
        key: StepKey,
        /// The attempt.
        attempt: u32,
        /// What it returned.
        report: Box<Report>,
        /// Why it failed.
        failure: Option<Failure>,
    },
    /// The wait before a retry is over.
    Due {
        /// The step.
        key: StepKey,
    },
    /// The wait before the retry of a rollback item is over.
    ItemDue {
        /// The item.
        item: usize,
    },
    /// A set of snapshots was taken.
    Snapshots {
        /// Which set.
        moment: Moment,
        /// Each of them.
        taken: Vec<SnapshotTaken>,
    },
    /// An attempt at a rollback item is over.
    ItemReported {
        /// Its place in the list.
        item: usize,
        /// The attempt.
        attempt: u32,
        /// What it returned.
        report: Box<Report>,
        /// Why it failed.
        failure: Option<Failure>,
    },
    /// What was found out about a step in doubt.
    Examined {
        /// The step.
        key: StepKey,
        /// The attempt that is in doubt.
        attempt: u32,
        /// What its probe said; `None`: it has none.
        done: Option<Vec<Evidence>>,
        /// Why it could not be looked at.
        failure: Option<Failure>,
    },
    /// What was found out about an item of the way back in doubt.
    ItemExamined {
        /// Its place in the list.
        item: usize,
        /// The attempt that is in doubt.
        attempt: u32,
        /// What `undone_when` said; `None`: there is none.
        undone: Option<Vec<Evidence>>,
        /// Why it could not be looked at.
        failure: Option<Failure>,
    },
    /// A look of a guard that says something new.
    GuardLooked {
        /// Its place in the runbook.
        guard: usize,
        /// How many times the guard had begun when it was taken.
        round: u32,
        /// The look.
        sample: Box<Sample>,
        /// All looks so far.
        tally: Box<Tally>,
    },
    /// Looks of a step with `watch`.
    Watched {
        /// The step.
        key: StepKey,
        /// The attempt.
        attempt: u32,
        /// What they are.
        said: Box<Watched>,
    },
    /// What was looked at after a step failed.
    Diagnosed {
        /// The step.
        key: StepKey,
        /// Each look.
        looks: Vec<Look>,
    },
    /// A person says what to do.
    Order {
        /// Login name.
        by: String,
        /// What.
        order: Order,
        /// Why.
        reason: Option<String>,
    },
    /// Stop: let what is in flight end, start nothing.
    Stop {
        /// Why.
        reason: Parking,
    },
}

/// Looks of a step with `watch`, and its end where it is over.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The last look, when it is to be kept.
    pub sample: Option<Box<Sample>>,
    /// All looks so far.
    pub tally: Box<Tally>,
    /// What they come to.
    pub judgement: Option<Box<Judgement>>,
    /// The end of the attempt.
    pub end: Option<Box<(Box<Report>, Option<Failure>)>>,
}
