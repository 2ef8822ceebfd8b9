//! What a run has become so far.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::event::{
    Moment, NotUndone, Parking, Part, RollbackItem, RunFailure, RunOptions, RunStatus,
};
use crate::plan::{Plan, StepKey};
use crate::runbook::Undo;

/// The state of a run; changed by [`RunState::apply`] alone.
#[derive(Clone)]
pub struct RunState {
    pub(super) plan: Arc<Plan>,
    pub(super) id: String,
    pub(super) dir: String,
    pub(super) options: RunOptions,
    pub(super) status: RunStatus,
    pub(super) started_at: Option<i64>,
    pub(super) phases: Vec<PhaseState>,
    pub(super) steps: Vec<StepState>,
    pub(super) fans: HashMap<u32, Fan>,
    /// Results that some later place asks for, by step name.
    pub(super) results: HashMap<String, Arc<Value>>,
    /// Steps that changed the world, or may have, in the order in which they ended.
    pub(super) settled: Vec<Settled>,
    pub(super) captured: HashMap<StepKey, Value>,
    /// Phases that could start a step now, were there room.
    pub(super) startable: BTreeSet<usize>,
    /// Phases that are over.
    pub(super) phases_over: usize,
    /// Steps being checked, carried out or waited for; retries that wait are not among them.
    pub(super) in_flight: usize,
    /// Steps that wait for their retry.
    pub(super) waiting: usize,
    pub(super) failure: Option<RunFailure>,
    pub(super) snapshots: HashMap<Moment, SnapshotState>,
    pub(super) rollback: Option<RollbackState>,
    pub(super) stopping: Option<Parking>,
}

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
        matches!(self, Self::Checking | Self::Running | Self::Settling)
    }

    /// The word in expressions.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Checking | Self::Running | Self::Settling | Self::Fanned => "running",
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::FailedClean | Self::FailedDirty => "failed",
        }
    }
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
    },
    Done,
    Skipped,
    Held,
    Failed,
}

impl RunState {
    /// Before the first event: nothing has happened. `dir` is the run directory, for expressions.
    pub fn new(
        plan: Arc<Plan>,
        id: impl Into<String>,
        dir: impl Into<String>,
        options: RunOptions,
    ) -> Self {
        let phase = |(at, phase): (usize, &crate::runbook::Phase)| PhaseState {
            open_needs: plan.graph.needs(at).len(),
            left: phase.steps.len(),
            ..PhaseState::default()
        };
        let phases: Vec<_> = plan.runbook.phases.iter().enumerate().map(phase).collect();
        let startable = (0..phases.len())
            .filter(|at| phases[*at].open_needs == 0)
            .collect();
        Self {
            id: id.into(),
            dir: dir.into(),
            options,
            status: RunStatus::Planned,
            started_at: None,
            steps: vec![StepState::default(); plan.len()],
            phases,
            fans: HashMap::new(),
            results: HashMap::new(),
            settled: Vec::new(),
            captured: HashMap::new(),
            startable,
            phases_over: 0,
            in_flight: 0,
            waiting: 0,
            failure: None,
            snapshots: HashMap::new(),
            rollback: None,
            stopping: None,
            plan,
        }
    }

    /// What it runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Where it stands.
    pub fn status(&self) -> RunStatus {
        self.status
    }

    /// What ended the way forward.
    pub fn failure(&self) -> Option<&RunFailure> {
        self.failure.as_ref()
    }

    /// The way back, once there is one.
    pub fn rollback(&self) -> Option<&RollbackState> {
        self.rollback.as_ref()
    }

    /// Why it was asked to stop.
    pub fn stopping(&self) -> Option<Parking> {
        self.stopping
    }

    /// What `undo: auto` of a step puts back.
    pub fn captured(&self, key: StepKey) -> Option<&Value> {
        self.captured.get(&key)
    }

    /// What changed the world so far, in the order in which it ended.
    pub fn settled(&self) -> &[Settled] {
        &self.settled
    }

    /// Where a step or an item of it stands.
    pub fn step(&self, key: StepKey) -> StepState {
        match key.item {
            None => self.steps[key.step as usize],
            Some(item) => self
                .fans
                .get(&key.step)
                .and_then(|fan| fan.states.get(item as usize))
                .copied()
                .unwrap_or_default(),
        }
    }

    /// The value of an item.
    pub fn item(&self, key: StepKey) -> Option<&Value> {
        self.fans.get(&key.step)?.items.get(key.item? as usize)
    }

    /// The kept result of a step, by name.
    pub fn result(&self, name: &str) -> Option<&Arc<Value>> {
        self.results.get(name)
    }

    /// When the step's phase started, in milliseconds since the Unix epoch.
    pub fn phase_started(&self, phase: usize) -> Option<i64> {
        self.phases[phase].started_at
    }

    /// Snapshots of a moment, once taken.
    pub fn snapshots(&self, moment: Moment) -> Option<&Arc<HashMap<String, Value>>> {
        match self.snapshots.get(&moment) {
            Some(SnapshotState::Taken(values)) => Some(values),
            _ => None,
        }
    }

    /// Whether something that changed the world, or may have, was left because nobody said what
    /// takes it back: then nobody can say that everything is as before.
    pub fn is_partial(&self) -> bool {
        let unsaid = |key: &StepKey| {
            let step = self.plan.step(key.step);
            matches!(step.undo, Undo::Unsaid) && !step.leaves_nothing()
        };
        self.rollback.is_some() && self.changed().iter().any(unsaid)
    }

    /// How many steps may be in flight.
    pub(super) fn room(&self) -> usize {
        self.options
            .max_parallel
            .unwrap_or(self.plan.runbook.max_parallel)
            .max(1)
    }
}
