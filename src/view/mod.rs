//! What a reader wants to see of a run, folded from its events.
//!
//! Main type: [`RunView`]. Live displays, `status` and reports all read it, so that a run looks the
//! same while it goes on and from its journal. [`RunView::apply`] is total: an event that does not
//! fit is taken as not said. Must not: do IO, read a clock, or ask the runbook.

mod check;
mod clock;
mod closing;
pub mod compare;
mod counts;
pub mod diff;
mod downtime;
mod exercised;
mod fan;
pub mod forecast;
mod people;
mod phase;
mod rollback;
#[cfg(test)]
pub(crate) mod samples;
mod snapshot;
mod step;
#[cfg(test)]
mod tests;
mod waivers;

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

pub use check::{CheckView, Gap};
pub use closing::CriterionView;
pub use counts::Counts;
pub use diff::{Change, diff};
pub use downtime::Downtime;
pub use exercised::{Exercise, History};
pub use fan::Fan;
pub use forecast::Timeline;
pub use people::{Asked, Ordered, Resolved};
pub use phase::{PhaseStatus, PhaseView};
pub use rollback::{ItemStatus, RollbackItemView, RollbackView};
pub use snapshot::SnapshotSet;
pub use step::{AttemptFailed, StepStatus, StepView};
pub use waivers::Waiver;

use crate::event::{
    Criterion, Event, EventKind, Look, Parking, Person, Planned, Question, RunEvent, RunFailure,
    RunOptions, RunStatus, SignOff, WindowOutline,
};

/// A run as readers see it.
#[derive(Clone, Debug, Default)]
pub struct RunView {
    /// The run's id, given by whoever knows it.
    pub id: String,
    /// What it stands on; empty before the first event.
    pub header: Header,
    /// Every time that an engine took it up.
    pub engines: Vec<Engine>,
    /// Where it stands.
    pub status: RunStatus,
    /// First start, in milliseconds since the Unix epoch.
    pub started_at: Option<i64>,
    /// The end, when there is one.
    pub ended_at: Option<i64>,
    /// Time of the last event.
    pub last_at: Option<i64>,
    /// Place of the last event in the journal.
    pub last_seq: u64,
    /// In the order of the runbook.
    pub phases: Vec<PhaseView>,
    /// In the order of the runbook, phase by phase ([`PhaseView::steps`] says which).
    pub steps: Vec<StepView>,
    /// What ended the way forward.
    pub failure: Option<RunFailure>,
    /// Why it is being stopped before its end.
    pub stopping: Option<Parking>,
    /// Every time that it was stopped before its end.
    pub parked: Vec<(i64, Parking)>,
    /// Going back.
    pub rollback: Option<RollbackView>,
    /// What people have to answer now.
    pub asked: Vec<Asked>,
    /// What people ordered, taken or refused.
    pub orders: Vec<Ordered>,
    /// Doubts that were settled.
    pub resolved: Vec<Resolved>,
    /// Whether it asks before each step.
    pub guided: bool,
    /// What was looked at after failures: the step, and each look.
    pub diagnoses: Vec<(String, Vec<Look>)>,
    /// State that was read, in the order of the moments.
    pub snapshots: Vec<SnapshotSet>,
    /// What was watched, in the order of its beginnings.
    pub checks: Vec<CheckView>,
    /// Where the clock went back: the event, and by how many milliseconds.
    pub clock_back: Vec<(u64, u64)>,
    /// The event of its last end; `None` while it is on its way.
    pub ended_seq: Option<u64>,
    /// The event by which a step that changes something started first.
    pub changed_seq: Option<u64>,
    waived: Vec<Waiver>,
    /// Orders to go on although a guard held the run: the event, and the guard.
    holds: Vec<(u64, String)>,
    lean: bool,
    index: HashMap<String, usize>,
}

/// What a run stands on.
#[derive(Clone, Debug, Default)]
pub struct Header {
    /// The runbook's name.
    pub name: String,
    /// Its title.
    pub title: Option<String>,
    /// The path as the operator gave it.
    pub source: String,
    /// The runbook's text; empty in a lean view.
    pub text: String,
    /// The plan's digest, in hexadecimal.
    pub digest: String,
    /// Values of the inputs that are no secrets.
    pub inputs: BTreeMap<String, Value>,
    /// Names of the inputs that are.
    pub secrets: Vec<String>,
    /// How it was to be carried out.
    pub options: RunOptions,
    /// The version of ferry.
    pub version: String,
    /// The roles of the runbook, and who has them.
    pub people: Vec<Person>,
    /// Whose signatures the runbook asks for.
    pub sign_off: SignOff,
    /// What makes it a success.
    pub criteria: Vec<Criterion>,
    /// Keys that may sign, in the form of an `allowed_signers` file of OpenSSH; empty in a lean view.
    pub signers: String,
    /// The time that it is allowed.
    pub window: WindowOutline,
}

impl Header {
    /// The title, or the name where there is none.
    pub fn shown(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}

/// An engine that took the run up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Login name of the operator.
    pub by: String,
    /// Its host.
    pub host: String,
    /// Its process.
    pub pid: u32,
}

impl RunView {
    /// Nothing has happened.
    pub fn new() -> Self {
        Self::default()
    }

    /// A view for live displays: it keeps no evidence, no results and no texts of the runbook.
    pub fn lean() -> Self {
        Self {
            lean: true,
            ..Self::default()
        }
    }

    /// With the run's id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// All events of a run at once.
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut view = Self::new();
        for event in events {
            view.apply(event);
        }
        view
    }

    /// Takes an event in. Events come in the order of the journal; what names nothing known is
    /// taken as not said.
    pub fn apply(&mut self, event: &Event) {
        self.note_time(event);
        match &event.kind {
            EventKind::Run(kind) => self.apply_run(kind, event.at),
            EventKind::Step(kind) => self.apply_step(kind, event.at),
            EventKind::Snapshot(kind) => self.apply_snapshot(kind, event.at),
            EventKind::Rollback(kind) => self.apply_rollback(kind, event.at),
            EventKind::Check(kind) => self.apply_check(kind, event.at),
            EventKind::Operator(kind) => self.apply_operator(kind, event.at),
        }
    }

    fn apply_run(&mut self, event: &RunEvent, at: i64) {
        match event {
            RunEvent::Planned(planned) => {
                self.plan(planned);
                self.note_start_waivers(&planned.options, at);
            }
            RunEvent::Started {
                by,
                host,
                pid,
                guided,
                ..
            } => {
                self.guided = *guided;
                if !guided {
                    self.asked.retain(|one| one.question != Question::Start);
                }
                self.engines.push(Engine {
                    at,
                    by: by.clone(),
                    host: host.clone(),
                    pid: *pid,
                });
                self.started_at.get_or_insert(at);
                self.stopping = None;
                // one that stands still goes on by an order only
                if self.status == RunStatus::Planned {
                    self.status = RunStatus::Running;
                }
            }
            RunEvent::Failed(failure) => {
                self.failure.get_or_insert_with(|| failure.clone());
                let held = matches!(self.parked.last(), Some((_, Parking::Held)));
                if self.stopping == Some(Parking::Held) {
                    self.stopping = None;
                }
                if self.status == RunStatus::Waiting && held {
                    self.status = RunStatus::Running;
                }
            }
            RunEvent::Stopping { reason } => self.stopping = Some(*reason),
            RunEvent::Parked { reason } => {
                self.status = RunStatus::Waiting;
                self.stopping = None;
                self.parked.push((at, *reason));
            }
            RunEvent::Finished { status } => {
                self.status = *status;
                self.ended_at = Some(at);
                self.ended_seq = Some(self.last_seq);
                if !status.is_parked() {
                    self.close_gates();
                    self.asked.clear();
                }
                if let Some(rollback) = &mut self.rollback {
                    rollback.ended_at.get_or_insert(at);
                }
            }
        }
    }

    fn plan(&mut self, planned: &Planned) {
        self.header = Header {
            name: planned.name.clone(),
            title: planned.title.clone(),
            source: planned.source.clone(),
            text: match self.lean {
                true => String::new(),
                false => planned.text.clone(),
            },
            digest: planned.digest.clone(),
            inputs: planned.inputs.clone(),
            secrets: planned.secrets.clone(),
            options: planned.options.clone(),
            version: planned.version.clone(),
            people: planned.people.clone(),
            sign_off: planned.sign_off.clone(),
            criteria: planned.criteria.clone(),
            signers: match self.lean {
                true => String::new(),
                false => planned.signers.clone(),
            },
            window: planned.window.clone(),
        };
        self.phases.clear();
        self.steps.clear();
        self.index.clear();
        for (at, phase) in planned.outline.phases.iter().enumerate() {
            let first = self.steps.len();
            for step in &phase.steps {
                self.index.insert(step.id.clone(), self.steps.len());
                self.steps.push(StepView::of(step, at));
            }
            self.phases
                .push(PhaseView::of(phase, first..self.steps.len()));
        }
    }

    /// Whether it keeps no evidence, no results and no texts.
    pub fn is_lean(&self) -> bool {
        self.lean
    }

    /// The step of that name in events: `restart`, or one item of it as `restart[2]`.
    pub fn step(&self, name: &str) -> Option<&StepView> {
        if let Some(at) = self.index.get(name) {
            return self.steps.get(*at);
        }
        let (id, item) = item_of(name)?;
        self.steps
            .get(*self.index.get(id)?)?
            .fan
            .as_ref()?
            .items
            .get(item)
    }

    /// The phase that a step, or an item of it, belongs to.
    pub fn phase_of(&self, name: &str) -> Option<&PhaseView> {
        self.phases.get(self.step(name)?.phase)
    }

    /// The steps of a phase.
    pub fn steps_of(&self, phase: &PhaseView) -> &[StepView] {
        self.steps.get(phase.steps.clone()).unwrap_or_default()
    }

    /// Where a phase stands; what did not get to its end stopped with the run.
    pub fn phase_status(&self, phase: &PhaseView) -> PhaseStatus {
        let ends = self.failure.is_some() || self.status.is_over();
        let its_when = |failure: &RunFailure| {
            failure.step.is_none() && failure.phase.as_ref() == Some(&phase.name)
        };
        match phase.status(ends) {
            PhaseStatus::Pending if self.failure.as_ref().is_some_and(its_when) => {
                PhaseStatus::Failed
            }
            status => status,
        }
    }

    /// How many steps stand where.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for step in &self.steps {
            match &step.fan {
                Some(fan) => fan.items.iter().for_each(|item| counts.add(item)),
                None => counts.add(step),
            }
        }
        counts
    }

    /// From the first start to the end, or to `now`; in milliseconds.
    pub fn took_ms(&self, now: i64) -> Option<u64> {
        let end = self.ended_at.unwrap_or(now);
        u64::try_from(end - self.started_at?).ok()
    }

    /// Steps that are in flight, items as such, with their names.
    pub fn running(&self) -> Vec<(String, &StepView)> {
        let mut running = Vec::new();
        for step in &self.steps {
            match &step.fan {
                Some(fan) => running.extend(
                    fan.items
                        .iter()
                        .enumerate()
                        .filter(|(_, item)| item.status.in_flight())
                        .map(|(at, item)| (format!("{}[{at}]", step.id()), item)),
                ),
                None if step.status.in_flight() => running.push((step.id().to_owned(), step)),
                None => {}
            }
        }
        running
    }

    /// Every step, a fan's items as such, with the names that they have in events.
    pub fn each_step(&self) -> impl Iterator<Item = (String, &StepView)> {
        self.steps.iter().flat_map(StepView::named)
    }
}

/// `restart[2]` as id and item.
fn item_of(name: &str) -> Option<(&str, usize)> {
    let (id, item) = name.strip_suffix(']')?.rsplit_once('[')?;
    Some((id, item.parse().ok()?))
}
