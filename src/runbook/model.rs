//! The runbook as a model: what [`super::decode`] makes of the text and everything above reads.
//!
//! Plain data with places. Expressions are compiled here once and kept.

use std::ops::Deref;
use std::time::Duration;

use serde_json::Value;

use super::catalog::{Class, TargetKind};
use super::comms::CommsDef;
pub use super::environment::Environment;
use super::hours::Hours;
pub use super::inputs::{Input, InputKind, InputValues};
use super::node::Span;
use super::params::Params;
pub use super::people::{CriterionDef, RoleDef, SignOffDef};
pub use super::trouble::{DecideDef, RollbackDef, Trouble};
use super::watch::{BaselineDef, Guard, WatchDef};
use crate::expr::{Expr, Template};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Sp<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

impl<T> Deref for Sp<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The whole runbook.
#[derive(Clone, Debug)]
pub struct Runbook {
    /// Name for ids and lists.
    pub name: Sp<String>,
    /// Name for people.
    pub title: Option<String>,
    /// The author's version of the runbook.
    pub version: Option<String>,
    /// Time budgets.
    pub window: Window,
    /// Values bound at start.
    pub inputs: Vec<Input>,
    /// Other values for inputs, by environment.
    pub environments: Vec<Environment>,
    /// Named systems.
    pub targets: Vec<TargetDef>,
    /// Names of which only one run may hold each.
    pub locks: Vec<Sp<String>>,
    /// State read before the first change and after the last.
    pub snapshots: Vec<SnapshotDef>,
    /// What is watched in the background while phases run.
    pub guards: Vec<Guard>,
    /// Phases in the order of the text.
    pub phases: Vec<Phase>,
    /// What surrounds the undos.
    pub rollback: RollbackDef,
    /// What to look at, and what to try, when a step fails.
    pub troubleshooting: Vec<Trouble>,
    /// Steps in flight at once, over all phases.
    pub max_parallel: usize,
    /// Roles of people.
    pub people: Vec<RoleDef>,
    /// Roles whose signatures are asked for.
    pub sign_off: SignOffDef,
    /// The file of the keys that may sign, relative to where relative paths start.
    pub signers: Option<Sp<String>>,
    /// What people are told while it goes on.
    pub comms: CommsDef,
    /// What makes it a success, in the order of the horizons.
    pub criteria: Vec<CriterionDef>,
    /// Threshold tables that nothing names.
    pub unused_tables: Vec<Sp<String>>,
    /// Whether the author says that it is for production: what a crash would leave open is then a
    /// mistake.
    pub production: bool,
}

impl Runbook {
    /// The phase of that name, by index.
    pub fn phase_index(&self, name: &str) -> Option<usize> {
        self.phases.iter().position(|phase| *phase.name == name)
    }

    /// All steps with their phase's index, in the order of the text.
    pub fn steps(&self) -> impl Iterator<Item = (usize, &Step)> {
        self.phases
            .iter()
            .enumerate()
            .flat_map(|(at, phase)| phase.steps.iter().map(move |step| (at, step)))
    }

    /// The target of that name.
    pub fn target(&self, name: &str) -> Option<&TargetDef> {
        self.targets.iter().find(|target| *target.name == name)
    }
}

/// Budgets shown in the plan and judged in the report, and the hours in which a run may start.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// For everything.
    pub total: Option<Duration>,
    /// For the time the system is down.
    pub downtime: Option<Duration>,
    /// For going back.
    pub rollback: Option<Duration>,
    /// When a run may start; `None`: at any time.
    pub hours: Option<Hours>,
}

/// One target.
#[derive(Clone, Debug)]
pub struct TargetDef {
    /// Its name.
    pub name: Sp<String>,
    /// What it is.
    pub kind: TargetKind,
    /// Its address.
    pub url: Sp<Template>,
    /// The keys beside the address.
    pub options: Params,
}

/// One thing to read for a snapshot.
#[derive(Clone, Debug)]
pub struct SnapshotDef {
    /// Its name.
    pub name: Sp<String>,
    /// What to read.
    pub call: ActionUse,
}

/// A node of the graph.
#[derive(Clone, Debug)]
pub struct Phase {
    /// Its name.
    pub name: Sp<String>,
    /// For people.
    pub title: Option<String>,
    /// Phases that must be over before.
    pub needs: Vec<Sp<String>>,
    /// How long the author expects it to take.
    pub estimate: Option<Duration>,
    /// Steps of it in flight at once; 1 is one after another.
    pub parallel: usize,
    /// Whether the phase is left out.
    pub when: Option<Sp<Expr>>,
    /// Its steps.
    pub steps: Vec<Step>,
}

/// An action with its parameters and target.
#[derive(Clone, Debug)]
pub struct ActionUse {
    /// The action key.
    pub key: Sp<String>,
    /// Its parameters, holes not yet filled.
    pub params: Params,
    /// The target it names.
    pub target: Option<Sp<String>>,
    /// Whether it changes anything, by its kind and parameters.
    pub class: Class,
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Unique in the runbook; made from the phase when the author gave none.
    pub id: Sp<String>,
    /// For people.
    pub title: Option<String>,
    /// What it does.
    pub action: ActionUse,
    /// Whether it is left out.
    pub when: Option<Sp<Expr>>,
    /// What must hold of its result.
    pub expect: Vec<Sp<Expr>>,
    /// What is recorded and shown where it does not hold of its result.
    pub warn: Vec<Sp<Expr>>,
    /// How it is looked at again and again.
    pub watch: Option<Box<WatchDef>>,
    /// How its probe is read before the first change, where it is compared with that.
    pub baseline: BaselineDef,
    /// Whether and when to try again.
    pub retry: Option<Box<Retry>>,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// What takes it back.
    pub undo: Undo,
    /// Tells whether its effect is there.
    pub done_when: Option<Box<Probe>>,
    /// Tells whether its effect was taken back.
    pub undone_when: Option<Box<Probe>>,
    /// What a rehearsal does in its place.
    pub rehearse: Option<Box<Probe>>,
    /// What to wait for after it.
    pub then_wait: Option<Box<Poll>>,
    /// Once for each of these.
    pub for_each: Option<ForEach>,
    /// Environment for it.
    pub env: Vec<(String, Sp<Template>)>,
    /// Where it works.
    pub cwd: Option<Sp<Template>>,
    /// Values kept for later steps.
    pub outputs: Vec<(Sp<String>, OutputDef)>,
    /// The backup without which it does not start.
    pub requires_backup: Option<Box<RequiredBackup>>,
    /// The author's word that it changes nothing.
    pub read_only: Option<bool>,
    /// Whether doing it twice is the same as once.
    pub idempotent: bool,
    /// What happens when nothing can tell whether it was done.
    pub in_doubt: InDoubt,
    /// Whether nothing before it, nor itself, is taken back by itself once it may have begun.
    pub point_of_no_return: bool,
    /// Whether its failure is recorded and the run goes on.
    pub tolerate: bool,
    /// How long the author expects it to take.
    pub estimate: Option<Duration>,
    /// The whole step's place.
    pub span: Span,
}

impl Step {
    /// Whether its action changes something by its kind, and yet leaves nothing to take back: copies
    /// made, keys of its own, people told.
    pub fn leaves_nothing(&self) -> bool {
        let key = self.action.key.as_str();
        key == "redis.roundtrip" || key == "notify" || key.ends_with(".backup")
    }

    /// The probes around it in a run: `done_when`, `undone_when` and `then_wait`.
    pub fn probes(&self) -> impl Iterator<Item = &Probe> {
        let waits = self
            .then_wait
            .as_deref()
            .and_then(|poll| poll.probe.as_ref());
        let told = [self.done_when.as_deref(), self.undone_when.as_deref()];
        told.into_iter().flatten().chain(waits)
    }

    /// Whether a crash in the middle of it leaves a question that only a person can answer: it
    /// changes something that matters, no probe tells whether it did, and it must not be repeated.
    pub fn asks_after_a_crash(&self) -> bool {
        self.changes()
            && !self.leaves_nothing()
            && self.done_when.is_none()
            && !self.idempotent
            // what a person does by hand is confirmed by a person
            && super::gate::Gate::of(self).is_none()
    }

    /// Whether carrying it out can change the world.
    pub fn changes(&self) -> bool {
        match self.read_only {
            Some(said) => !said,
            None => self.action.class == Class::Changing,
        }
    }
}

/// What happens to a step of which nothing can tell whether it was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InDoubt {
    /// A person is asked; without one the run waits.
    #[default]
    Ask,
    /// It counts as failed after it started.
    Fail,
}

/// What takes a step back.
#[derive(Clone, Debug)]
pub enum Undo {
    /// The author said nothing.
    Unsaid,
    /// The author said that there is nothing to take back.
    None,
    /// The action knows how.
    Auto(Span),
    /// These steps, in this order.
    Steps(Vec<Step>),
}

/// A reading action and what must hold of it.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What to read.
    pub call: ActionUse,
    /// What must hold.
    pub expect: Vec<Sp<Expr>>,
}

/// A probe repeated until it holds.
#[derive(Clone, Debug)]
pub struct Poll {
    /// What to read; `None` waits for time alone.
    pub probe: Option<Probe>,
    /// Between two looks.
    pub every: Duration,
    /// At most this long.
    pub within: Duration,
}

/// Repetition over a list.
#[derive(Clone, Debug)]
pub struct ForEach {
    /// The list: constant, or an expression.
    pub items: Items,
    /// How many at once; 1 is one after another.
    pub parallel: usize,
}

/// Where the items come from.
#[derive(Clone, Debug)]
pub enum Items {
    /// Written out.
    Listed(Vec<Value>),
    /// Computed when the step is due.
    Computed(Sp<Expr>),
}

/// When to try again.
#[derive(Clone, Debug)]
pub struct Retry {
    /// How many attempts after the first.
    pub limit: u32,
    /// Before the first retry.
    pub backoff: Duration,
    /// What each further wait is multiplied with.
    pub factor: f64,
    /// The longest wait.
    pub longest: Duration,
    /// After which failures; empty means any.
    pub on: Vec<crate::event::Cause>,
}

impl Retry {
    /// The wait before attempt `next` (2 for the first retry).
    pub fn wait(&self, next: u32) -> Duration {
        let power = i32::try_from(next.saturating_sub(2)).unwrap_or(i32::MAX);
        let seconds = self.backoff.as_secs_f64() * self.factor.powi(power);
        Duration::try_from_secs_f64(seconds)
            .unwrap_or(self.longest)
            .min(self.longest)
    }
}

/// Where an output comes from.
#[derive(Clone, Debug)]
pub enum OutputDef {
    /// Computed from the result.
    Value(Sp<Expr>),
    /// A JSON file in the step's directory.
    Json(Sp<String>),
    /// A text file in the step's directory.
    Text(Sp<String>),
}

/// A backup that must exist before a step starts.
#[derive(Clone, Debug)]
pub struct RequiredBackup {
    /// The step that made it.
    pub step: Sp<String>,
    /// How old it may be.
    pub younger_than: Option<Duration>,
}
