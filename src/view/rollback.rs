//! Going back as readers see it.

use super::RunView;
use super::step::AttemptFailed;
use crate::event::{
    NotUndone, Part, Report, Resolution, RollbackEvent, RollbackItem, RunFailure, RunStatus,
};
use crate::expr::Verdict;

/// The way back.
#[derive(Clone, Debug)]
pub struct RollbackView {
    /// What made it necessary.
    pub cause: RunFailure,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_at: i64,
    /// When it was over.
    pub ended_at: Option<i64>,
    /// What is done, in this order.
    pub items: Vec<RollbackItemView>,
    /// What changed the world and is not taken back.
    pub not_undone: Vec<NotUndone>,
}

/// One thing to do on the way back.
#[derive(Clone, Debug)]
pub struct RollbackItemView {
    /// What it is.
    pub item: RollbackItem,
    /// Where it stands.
    pub status: ItemStatus,
    /// The latest attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// First start, in milliseconds since the Unix epoch.
    pub started_at: Option<i64>,
    /// What its last attempt took.
    pub took_ms: Option<u64>,
    /// Every attempt that failed.
    pub failures: Vec<AttemptFailed>,
    /// Why it was left out.
    pub skipped: Option<String>,
    /// What it returned; `None` in a lean view.
    pub report: Option<Box<Report>>,
}

/// Where an item of the way back stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ItemStatus {
    /// Ahead.
    #[default]
    Pending,
    /// Under way, or waiting for its next attempt.
    Running,
    /// Over and well.
    Done,
    /// It failed.
    Failed,
    /// Left out, and that is right.
    Skipped,
    /// Held back: what it stands on failed.
    Held,
    /// It started, and nobody knows whether it took effect.
    InDoubt,
    /// It was not done, and a person leaves it as it is.
    Waived,
}

impl ItemStatus {
    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Pending => "not started",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Held => "held back",
            Self::InDoubt => "in doubt",
            Self::Waived => "waived",
        }
    }
}

impl RollbackView {
    /// Whether everything that takes `step` back was done; `None` when nothing does.
    pub fn taken_back(&self, step: &str) -> Option<bool> {
        let mut items = self
            .items
            .iter()
            .filter(|item| item.item.part == Part::Undo && item.item.of.as_deref() == Some(step))
            .peekable();
        items.peek()?;
        Some(items.all(|item| matches!(item.status, ItemStatus::Done | ItemStatus::Skipped)))
    }

    /// Whether nothing is left: nothing that changed the world stays, and no item failed, was held back
    /// or waived, or is still ahead.
    pub fn is_whole(&self) -> bool {
        let well =
            |one: &RollbackItemView| matches!(one.status, ItemStatus::Done | ItemStatus::Skipped);
        self.not_undone.is_empty() && self.items.iter().all(well)
    }

    /// Whether it was proven: something of `rollback.verify` is done, and an expectation of it passed.
    pub fn is_verified(&self) -> bool {
        let passed = |one: &Report| one.evidence.iter().any(|one| one.verdict == Verdict::Pass);
        self.items.iter().any(|one| {
            let proven = one.report.as_deref().is_some_and(passed);
            one.item.part == Part::Verify && one.status == ItemStatus::Done && proven
        })
    }

    /// How many items are over, and how many there are.
    pub fn progress(&self) -> (usize, usize) {
        let open = |item: &&RollbackItemView| {
            matches!(item.status, ItemStatus::Pending | ItemStatus::Running)
        };
        let left = self.items.iter().filter(open).count();
        (self.items.len() - left, self.items.len())
    }

    /// Items with that status.
    pub fn count(&self, status: ItemStatus) -> usize {
        self.items
            .iter()
            .filter(|item| item.status == status)
            .count()
    }
}

impl RunView {
    pub(super) fn apply_rollback(&mut self, event: &RollbackEvent, at: i64) {
        if let RollbackEvent::Planned {
            cause,
            items,
            not_undone,
        } = event
        {
            self.status = RunStatus::RollingBack;
            self.close_gates();
            self.asked.clear();
            self.failure.get_or_insert_with(|| cause.clone());
            self.rollback = Some(RollbackView {
                cause: cause.clone(),
                started_at: at,
                ended_at: None,
                items: items.iter().map(RollbackItemView::of).collect(),
                not_undone: not_undone.clone(),
            });
            return;
        }
        self.note_item_doubt(event, at);
        let Some(item) = event.item() else {
            return;
        };
        let lean = self.lean;
        let Some(rollback) = &mut self.rollback else {
            return;
        };
        if let Some(item) = rollback.items.get_mut(item) {
            item.apply(event, at, lean);
        }
    }
}

impl RollbackItemView {
    fn of(item: &RollbackItem) -> Self {
        Self {
            item: item.clone(),
            status: ItemStatus::Pending,
            attempt: 0,
            started_at: None,
            took_ms: None,
            failures: Vec::new(),
            skipped: None,
            report: None,
        }
    }

    fn apply(&mut self, event: &RollbackEvent, at: i64, lean: bool) {
        match event {
            RollbackEvent::Started { attempt, .. } => {
                self.status = ItemStatus::Running;
                self.attempt = *attempt;
                self.started_at.get_or_insert(at);
            }
            RollbackEvent::Finished { report, .. } => {
                self.status = ItemStatus::Done;
                self.returned(report, lean);
            }
            RollbackEvent::Failed {
                attempt,
                failure,
                report,
                retry_at,
                ..
            } => {
                self.attempt = *attempt;
                self.failures.push(AttemptFailed {
                    attempt: *attempt,
                    at,
                    took_ms: report.took_ms,
                    failure: failure.clone(),
                });
                self.status = match retry_at {
                    Some(_) => ItemStatus::Running,
                    None => ItemStatus::Failed,
                };
                self.returned(report, lean);
            }
            RollbackEvent::Skipped { reason, held, .. } => {
                self.status = match held {
                    true => ItemStatus::Held,
                    false => ItemStatus::Skipped,
                };
                self.skipped = Some(reason.clone());
            }
            RollbackEvent::InDoubt { .. }
            | RollbackEvent::Examining { .. }
            | RollbackEvent::Asked { .. } => self.status = ItemStatus::InDoubt,
            RollbackEvent::Resolved { to, .. } => {
                self.status = match to {
                    Resolution::Done => ItemStatus::Done,
                    Resolution::Failed => ItemStatus::Failed,
                    Resolution::NotDone | Resolution::Again => ItemStatus::Running,
                };
            }
            RollbackEvent::Waived { by, reason, .. } => {
                self.status = ItemStatus::Waived;
                self.skipped = Some(format!("waived by {by}: {reason}"));
            }
            RollbackEvent::Reopened { .. } => {
                self.status = ItemStatus::Pending;
                self.skipped = None;
            }
            RollbackEvent::Planned { .. } => {}
        }
    }

    fn returned(&mut self, report: &Report, lean: bool) {
        self.took_ms = Some(report.took_ms);
        self.report = (!lean).then(|| Box::new(report.clone()));
    }
}
