//! What a run has become so far.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::check_state::CheckState;
use super::guide::Guide;
use super::parts::{
    Fan, GateState, ItemState, PhaseState, RollbackState, Settled, SnapshotState, StepState,
};

use crate::event::{Failure, Moment, Parking, Person, Question, RunFailure, RunOptions, RunStatus};
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
    /// Why the attempt of a step in doubt is in doubt.
    pub(super) doubts: HashMap<StepKey, Failure>,
    /// What people are asked: steps in doubt, and the point of no return.
    pub(super) questions: Vec<(StepKey, Question)>,
    /// Steps that somebody let start, or cross the point of no return.
    pub(super) approved: HashSet<StepKey>,
    /// Failures that people are asked about.
    pub(super) failed_with: HashMap<StepKey, Failure>,
    /// Steps that failed and were left at that.
    pub(super) accepted: HashSet<StepKey>,
    /// Steps that wait for people.
    pub(super) gates: HashMap<StepKey, GateState>,
    /// Roles, and who has them.
    pub(super) people: Vec<Person>,
    /// Keys that may sign, in the form of an `allowed_signers` file.
    pub(super) signers: String,
    /// Logins that carried it on.
    pub(super) operators: HashSet<String>,
    /// Whether the engine waits for people.
    pub(super) attended: bool,
    /// What is asked before steps.
    pub(super) guide: Guide,
    /// Points of no return that were crossed, or may have been, in their order.
    pub(super) lines: Vec<Line>,
    /// Orders that outlast their moment.
    pub(super) orders: Orders,
    /// What is watched, by name.
    pub(super) checks: HashMap<String, CheckState>,
    /// When the last event was, of whatever kind, in milliseconds since the Unix epoch.
    pub(super) known_until: i64,
    /// The same, before the engine that is there now.
    pub(super) gap_from: i64,
    /// How many events there were that are of no check and of no person.
    pub(super) moved: u64,
    /// When the way forward ended, in milliseconds since the Unix epoch.
    pub(super) failed_at: Option<i64>,
}

/// A crossed point of no return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The step that crossed it.
    pub(super) key: StepKey,
    /// How many had changed the world before it: those are behind the line.
    pub(super) behind: usize,
}

/// What was ordered and still counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Orders {
    /// Somebody cancelled the run.
    pub(super) cancelled: bool,
    /// And wants nothing taken back.
    pub(super) keep: bool,
    /// Somebody aborted it, and it is not over yet.
    pub(super) aborting: bool,
    /// Somebody ordered the way back.
    pub(super) back: bool,
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
            doubts: HashMap::new(),
            questions: Vec::new(),
            approved: HashSet::new(),
            failed_with: HashMap::new(),
            accepted: HashSet::new(),
            gates: HashMap::new(),
            people: Vec::new(),
            signers: String::new(),
            operators: HashSet::new(),
            attended: false,
            guide: Guide::default(),
            lines: Vec::new(),
            orders: Orders::default(),
            checks: HashMap::new(),
            failed_at: None,
            moved: 0,
            known_until: 0,
            gap_from: 0,
            plan,
        }
    }

    /// Forgets all that happened, to be folded anew.
    pub fn rewind(&mut self) {
        let (id, dir) = (std::mem::take(&mut self.id), std::mem::take(&mut self.dir));
        *self = Self::new(Arc::clone(&self.plan), id, dir, self.options.clone());
    }

    /// What it runs.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Keys that may sign, in the form of an `allowed_signers` file.
    pub fn signers(&self) -> &str {
        &self.signers
    }

    /// Roles that a person has.
    pub fn roles_of<'a>(&'a self, who: &'a str) -> impl Iterator<Item = &'a str> {
        let theirs = move |person: &&Person| person.who.as_deref() == Some(who);
        self.people
            .iter()
            .filter(theirs)
            .map(|person| person.role.as_str())
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
        let Some(rollback) = &self.rollback else {
            return false;
        };
        !self.lines.is_empty()
            || rollback.states.contains(&ItemState::Waived)
            || self.changed().iter().any(unsaid)
    }

    /// Whether its engine stays until somebody goes on: at a pause, and at a hold where people are there.
    pub fn waits_here(&self) -> bool {
        self.status == RunStatus::Waiting
            && match self.stopping {
                Some(Parking::Paused) => true,
                Some(Parking::Held) => self.attended,
                _ => false,
            }
    }

    /// Whether somebody cancelled the run.
    pub fn is_cancelled(&self) -> bool {
        self.orders.cancelled
    }

    /// Whether somebody aborted the run, and it is not over yet.
    pub fn is_aborting(&self) -> bool {
        self.orders.aborting
    }

    /// Whether something is being carried out, as far as the journal says.
    pub fn is_busy(&self) -> bool {
        let items = self.rollback.iter().flat_map(|rollback| &rollback.states);
        self.in_flight > 0 || items.into_iter().any(|item| item.in_flight())
    }

    /// What people are asked: the step, with its item, and the question.
    pub fn questions(&self) -> impl Iterator<Item = (String, Question)> + '_ {
        let back = self.rollback.iter().flat_map(|rollback| {
            let asked = |(_, state): &(_, &ItemState)| matches!(state, ItemState::Asked { .. });
            let items = rollback.items.iter().zip(&rollback.states).filter(asked);
            items.map(|(item, _)| (item.id.clone(), Question::InDoubt))
        });
        let forward = self.questions.iter();
        forward
            .map(|(key, question)| (self.plan.name(*key), *question))
            .chain(back)
    }

    /// The short code that a person types to cross the point of no return: it belongs to this run
    /// and this plan, so that nobody crosses the line of another one by habit.
    pub fn code(&self) -> String {
        crate::plan::short_code(&self.id, &self.plan.digest)
    }

    /// How many steps may be in flight.
    pub(super) fn room(&self) -> usize {
        self.options
            .max_parallel
            .unwrap_or(self.plan.runbook.max_parallel)
            .max(1)
    }
}
