//! A step as readers see it, and what step events make of it.
//!
//! What is the same for all items of a step is shared between them; reports are boxed, and a lean
//! view has none: ten thousand steps stay small.

use std::sync::Arc;

use serde_json::Value;

use super::fan::Fan;
use super::{RunView, item_of};
use crate::event::{Failure, Question, Report, Resolution, SkipReason, StepEvent, StepOutline};

/// Where a step stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepStatus {
    /// Not started.
    #[default]
    Pending,
    /// What has to be known before it may start is being read.
    Checking,
    /// Its action is under way.
    Running,
    /// Its action is over, what is to follow is waited for.
    Settling,
    /// An attempt failed, and the next one is ahead.
    Waiting,
    /// It started, and nobody knows yet whether it took effect.
    InDoubt,
    /// The same, and a person has to say.
    Asked,
    /// It waits for people: something to be done by hand, or to be approved.
    AtGate,
    /// Over and well.
    Done,
    /// Left out.
    Skipped,
    /// It failed.
    Failed,
    /// It failed, and the runbook says that it does not matter.
    Tolerated,
}

impl StepStatus {
    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Pending => "not started",
            Self::Checking => "checking",
            Self::Running => "running",
            Self::Settling => "waiting for its effect",
            Self::Waiting => "waiting to retry",
            Self::InDoubt => "in doubt",
            Self::Asked => "in doubt, to be answered",
            Self::AtGate => "waiting for people",
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Tolerated => "failed, tolerated",
        }
    }

    /// Between its start and its end.
    pub fn in_flight(self) -> bool {
        matches!(
            self,
            Self::Checking | Self::Running | Self::Settling | Self::Waiting | Self::AtGate
        )
    }

    /// Whether nothing more happens to it on the way forward.
    pub fn is_over(self) -> bool {
        !self.in_flight() && !matches!(self, Self::Pending | Self::InDoubt | Self::Asked)
    }
}

/// A step, or one item of it.
#[derive(Clone, Debug)]
pub struct StepView {
    /// What the plan says of it; shared by its items.
    pub outline: Arc<StepOutline>,
    /// Index of its phase.
    pub phase: usize,
    /// Where it stands.
    pub status: StepStatus,
    /// The latest attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// First start, in milliseconds since the Unix epoch.
    pub started_at: Option<i64>,
    /// Its end.
    pub ended_at: Option<i64>,
    /// When the next attempt starts.
    pub retry_at: Option<i64>,
    /// Every attempt that failed.
    pub failures: Vec<AttemptFailed>,
    /// Why it was left out; `None` in a lean view.
    pub skipped: Option<Box<SkipReason>>,
    /// What the last attempt returned; `None` in a lean view.
    pub report: Option<Box<Report>>,
    /// What it is repeated over.
    pub fan: Option<Box<Fan>>,
    /// For an item: its value; `None` in a lean view.
    pub item: Option<Value>,
    /// What the action itself took, when it was over before the step was.
    acted_ms: u64,
    took_ms: u64,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptFailed {
    /// From 1.
    pub attempt: u32,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// How long it took.
    pub took_ms: u64,
    /// Why.
    pub failure: Failure,
}

impl StepView {
    pub(super) fn of(outline: &StepOutline, phase: usize) -> Self {
        Self::shared(Arc::new(outline.clone()), phase)
    }

    pub(super) fn shared(outline: Arc<StepOutline>, phase: usize) -> Self {
        Self {
            outline,
            phase,
            status: StepStatus::Pending,
            attempt: 0,
            started_at: None,
            ended_at: None,
            retry_at: None,
            failures: Vec::new(),
            skipped: None,
            report: None,
            fan: None,
            item: None,
            acted_ms: 0,
            took_ms: 0,
        }
    }

    /// Its id in the runbook.
    pub fn id(&self) -> &str {
        &self.outline.id
    }

    /// What its last attempt took, waiting for the effect included; for a fan, from its first start
    /// to its end. `None` before it is over.
    pub fn took_ms(&self) -> Option<u64> {
        match &self.fan {
            Some(_) => u64::try_from(self.ended_at? - self.started_at?).ok(),
            None => (self.status.is_over() && self.attempt > 0).then_some(self.took_ms),
        }
    }

    /// Itself, or each of its items, with names as in events.
    pub fn named(&self) -> Vec<(String, &Self)> {
        match &self.fan {
            None => vec![(self.id().to_owned(), self)],
            Some(fan) => fan
                .items
                .iter()
                .enumerate()
                .map(|(at, item)| (format!("{}[{at}]", self.id()), item))
                .collect(),
        }
    }

    /// Takes in what happened to this step or item; the fan and the phase are not its business.
    pub(super) fn apply(&mut self, event: &StepEvent, at: i64, lean: bool) {
        match event {
            StepEvent::Checking { attempt, .. } => {
                self.takes_off(StepStatus::Checking, *attempt, at);
            }
            StepEvent::Started { attempt, .. } => self.takes_off(StepStatus::Running, *attempt, at),
            StepEvent::Acted { report, .. } => {
                self.status = StepStatus::Settling;
                self.acted_ms = report.took_ms;
                self.report = (!lean).then(|| report.clone());
            }
            StepEvent::Finished {
                attempt, report, ..
            } => {
                self.attempt = *attempt;
                self.lands(StepStatus::Done, at);
                self.returned(report, lean);
            }
            StepEvent::Skipped { reason, .. } => {
                self.attempt = 0;
                self.lands(StepStatus::Skipped, at);
                self.skipped = (!lean).then(|| Box::new(reason.clone()));
            }
            StepEvent::Failed {
                attempt,
                failure,
                report,
                retry_at,
                tolerated,
                ..
            } => {
                self.attempt = *attempt;
                self.failures.push(AttemptFailed {
                    attempt: *attempt,
                    at,
                    took_ms: report.took_ms,
                    failure: failure.clone(),
                });
                self.returned(report, lean);
                match (retry_at, tolerated) {
                    (Some(_), _) => self.status = StepStatus::Waiting,
                    (None, true) => self.lands(StepStatus::Tolerated, at),
                    (None, false) => self.lands(StepStatus::Failed, at),
                }
                self.retry_at = *retry_at;
            }
            StepEvent::PhaseSkipped { .. }
            | StepEvent::Expanded { .. }
            | StepEvent::Approved { .. } => {}
            doubt => self.apply_doubt(doubt, at),
        }
    }

    fn apply_doubt(&mut self, event: &StepEvent, at: i64) {
        match event {
            StepEvent::InDoubt { .. } | StepEvent::Examining { .. } => {
                self.status = StepStatus::InDoubt;
                self.ended_at = None;
            }
            StepEvent::Asked {
                question: Question::InDoubt,
                ..
            } => self.status = StepStatus::Asked,
            StepEvent::Asked {
                question: Question::Manual | Question::Approval,
                ..
            } => self.takes_off(StepStatus::AtGate, 1, at),
            StepEvent::Accepted { .. } => self.lands(StepStatus::Tolerated, at),
            StepEvent::Resolved { to, .. } => match to {
                Resolution::Done => self.lands(StepStatus::Done, at),
                Resolution::Failed => self.lands(StepStatus::Failed, at),
                Resolution::NotDone | Resolution::Again => {
                    self.status = StepStatus::Waiting;
                    self.retry_at = Some(at);
                }
            },
            StepEvent::Reopened { .. } => {
                self.status = StepStatus::Waiting;
                self.retry_at = Some(at);
                self.ended_at = None;
            }
            _ => {}
        }
    }

    pub(super) fn takes_off(&mut self, status: StepStatus, attempt: u32, at: i64) {
        self.status = status;
        self.attempt = attempt;
        self.started_at.get_or_insert(at);
        self.ended_at = None;
        self.retry_at = None;
        self.acted_ms = 0;
    }

    pub(super) fn lands(&mut self, status: StepStatus, at: i64) {
        self.status = status;
        self.started_at.get_or_insert(at);
        self.ended_at = Some(at);
        self.retry_at = None;
    }

    fn returned(&mut self, report: &Report, lean: bool) {
        self.took_ms = self.acted_ms + report.took_ms;
        if lean {
            return;
        }
        let acted = self.report.take().filter(|_| self.acted_ms > 0);
        let mut report = Box::new(report.clone());
        if let Some(acted) = acted {
            fill_in(&mut report, *acted);
        }
        self.report = Some(report);
    }
}

/// What the action returned counts where the wait for its effect says nothing.
fn fill_in(report: &mut Report, acted: Report) {
    if report.did.is_empty() {
        report.did = acted.did;
    }
    if report.result.is_null() {
        report.result = acted.result;
    }
    if report.outputs.is_empty() {
        report.outputs = acted.outputs;
    }
    let told = |one: &crate::expr::Evidence| report.evidence.contains(one);
    let mut evidence: Vec<_> = acted
        .evidence
        .into_iter()
        .filter(|one| !told(one))
        .collect();
    evidence.append(&mut report.evidence);
    report.evidence = evidence;
    if report.output.is_none() {
        report.output = acted.output;
    }
}

impl RunView {
    pub(super) fn apply_step(&mut self, event: &StepEvent, at: i64) {
        let name = match event {
            StepEvent::PhaseSkipped { phase, evidence } => {
                let phase = self.phases.iter_mut().find(|one| one.name == *phase);
                if let Some(phase) = phase {
                    phase.skipped = Some(evidence.clone());
                    phase.over = phase.steps.len();
                    for step in &mut self.steps[phase.steps.clone()] {
                        step.status = StepStatus::Skipped;
                    }
                }
                return;
            }
            StepEvent::Expanded { step, items } => return self.expand(step, items, at),
            other => {
                self.note_doubt(other, at);
                self.note_waiver(other, at);
                match other.step() {
                    Some(step) => step,
                    None => return,
                }
            }
        };
        let item = match self.index.get(name) {
            Some(_) => None,
            None => item_of(name),
        };
        let Some(place) = self.index.get(item.map_or(name, |(id, _)| id)).copied() else {
            return;
        };
        let lean = self.lean;
        let step = &mut self.steps[place];
        if step.outline.changes && matches!(event, StepEvent::Started { .. }) {
            self.changed_seq.get_or_insert(self.last_seq);
        }
        let before = step.status;
        match item {
            None => step.apply(event, at, lean),
            Some((_, item)) => step.apply_item(item, event, at, lean),
        }
        let (phase, after) = (step.phase, step.status);
        self.moved(phase, before, after, at);
    }

    /// Keeps the sums of a phase after one of its steps went from one status to another.
    pub(super) fn moved(&mut self, phase: usize, before: StepStatus, after: StepStatus, at: i64) {
        let phase = &mut self.phases[phase];
        phase.started_at.get_or_insert(at);
        if before.in_flight() {
            phase.running = phase.running.saturating_sub(1);
        }
        if before.is_over() {
            phase.over = phase.over.saturating_sub(1);
        }
        if before == StepStatus::Failed {
            phase.failed = phase.failed.saturating_sub(1);
        }
        phase.running += usize::from(after.in_flight());
        phase.failed += usize::from(after == StepStatus::Failed);
        phase.over += usize::from(after.is_over());
        let all_over = phase.over == phase.steps.len();
        let failed = phase.failed > 0 && phase.running == 0;
        phase.ended_at = (all_over || failed).then_some(at);
    }
}
