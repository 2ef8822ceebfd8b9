//! Snapshots as readers see them: one set per moment.

use super::RunView;
use crate::event::{Moment, SnapshotEvent, SnapshotTaken};

/// What was read at one moment.
#[derive(Clone, Debug)]
pub struct SnapshotSet {
    /// Which moment.
    pub moment: Moment,
    /// When it was asked for, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Each snapshot; `None` while they are being taken. Without values in a lean view.
    pub taken: Option<Vec<SnapshotTaken>>,
}

impl RunView {
    pub(super) fn apply_snapshot(&mut self, event: &SnapshotEvent, at: i64) {
        match event {
            SnapshotEvent::Taking { moment } => {
                self.snapshot_set(*moment, at);
            }
            SnapshotEvent::Taken { moment, snapshots } => {
                let lean = self.lean;
                let mut taken = snapshots.clone();
                if lean {
                    taken.iter_mut().for_each(|one| one.value = None);
                }
                self.snapshot_set(*moment, at).taken = Some(taken);
            }
        }
    }

    fn snapshot_set(&mut self, moment: Moment, at: i64) -> &mut SnapshotSet {
        let known = self.snapshots.iter().position(|set| set.moment == moment);
        let place = known.unwrap_or_else(|| {
            self.snapshots.push(SnapshotSet {
                moment,
                at,
                taken: None,
            });
            self.snapshots.len() - 1
        });
        &mut self.snapshots[place]
    }

    /// The snapshot of that name at a moment.
    pub fn snapshot(&self, moment: Moment, name: &str) -> Option<&SnapshotTaken> {
        let set = self.snapshots.iter().find(|set| set.moment == moment)?;
        set.taken.as_ref()?.iter().find(|one| one.name == name)
    }

    /// Names of all snapshots, each once, in the order in which they were first seen.
    pub fn snapshot_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for one in self.snapshots.iter().filter_map(|set| set.taken.as_ref()) {
            for snapshot in one {
                if !names.contains(&snapshot.name.as_str()) {
                    names.push(&snapshot.name);
                }
            }
        }
        names
    }
}
