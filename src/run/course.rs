//! What events of the run as a whole, and of snapshots, make of the state. Called by `apply` alone.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::guide::Guide;
use super::parts::SnapshotState;
use super::state::RunState;
use crate::event::{Moment, Parking, Question, RunEvent, RunStatus, SnapshotEvent};

impl RunState {
    /// That somebody let a step cross the point of no return dies when the run stops or fails.
    pub(super) fn forget_crossings(&mut self) {
        let plan = Arc::clone(&self.plan);
        self.approved
            .retain(|key| !plan.step(key.step).point_of_no_return);
    }

    pub(super) fn apply_run(&mut self, event: &RunEvent, at: i64) {
        match event {
            RunEvent::Planned(planned) => {
                self.people.clone_from(&planned.people);
                self.signers.clone_from(&planned.signers);
            }
            RunEvent::Started {
                by,
                attended,
                guided,
                ..
            } => {
                self.operators.insert(by.clone());
                self.gap_from = self.known_until;
                self.checks
                    .values_mut()
                    .for_each(|check| check.live = false);
                self.attended = *attended;
                self.guide = Guide {
                    on: *guided,
                    quiet: Vec::new(),
                };
                if !guided {
                    // nobody guides it any more
                    self.questions
                        .retain(|(_, question)| *question != Question::Start);
                }
                // one that stands still goes on by an order only
                if self.status == RunStatus::Planned {
                    self.status = RunStatus::Running;
                }
                if !self.status.is_parked() {
                    self.stopping = None;
                }
                self.started_at.get_or_insert(at);
            }
            RunEvent::Failed(failure) => {
                self.failure.get_or_insert_with(|| failure.clone());
                self.failed_at.get_or_insert(at);
                if self.stopping == Some(Parking::Held) {
                    // a hold waits for people, and a failure does not
                    self.stopping = None;
                    if self.status == RunStatus::Waiting {
                        self.status = RunStatus::Running;
                    }
                }
                self.forget_crossings();
            }
            RunEvent::Stopping { reason } => self.stopping = Some(*reason),
            RunEvent::Parked { reason } => {
                self.status = RunStatus::Waiting;
                self.stopping = Some(*reason);
            }
            RunEvent::Finished { status } => {
                self.status = *status;
                if !status.is_parked() {
                    self.checks
                        .values_mut()
                        .for_each(|check| check.active = false);
                }
                self.orders.aborting = false;
                self.forget_crossings();
            }
        }
    }

    pub(super) fn apply_snapshot(&mut self, event: &SnapshotEvent) {
        match event {
            SnapshotEvent::Taking { moment } => {
                self.snapshots.insert(*moment, SnapshotState::Taking);
            }
            SnapshotEvent::Taken { moment, snapshots } => {
                let values: HashMap<String, Value> = snapshots
                    .iter()
                    .filter_map(|taken| Some((taken.name.clone(), taken.value.clone()?)))
                    .collect();
                self.snapshots
                    .insert(*moment, SnapshotState::Taken(Arc::new(values)));
                if matches!(moment, Moment::Before | Moment::Baseline) {
                    let waiting: Vec<usize> = (0..self.phases.len()).collect();
                    waiting.into_iter().for_each(|phase| self.offer(phase));
                }
            }
        }
    }
}
