//! What is to be done, as `decide` says it and the engine carries it out.

use crate::event::{EventKind, Moment};
use crate::plan::StepKey;

/// Events to record, then effects to carry out.
#[must_use = "journal the events, then carry out the effects"]
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// In order.
    pub events: Vec<EventKind>,
    /// Only after the events are durable.
    pub effects: Vec<Effect>,
}

impl Decision {
    pub(super) fn none() -> Self {
        Self::default()
    }

    pub(super) fn event(event: impl Into<EventKind>) -> Self {
        Self {
            events: vec![event.into()],
            effects: Vec::new(),
        }
    }

    pub(super) fn with(mut self, effect: Effect) -> Self {
        self.effects.push(effect);
        self
    }

    pub(super) fn and(mut self, event: impl Into<EventKind>) -> Self {
        self.events.push(event.into());
        self
    }

    pub(super) fn append(&mut self, other: Self) {
        self.events.extend(other.events);
        self.effects.extend(other.effects);
    }
}

/// One thing for the engine to do; each is answered by one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read what has to be known before a step starts.
    Prepare {
        /// The step.
        key: StepKey,
        /// The attempt.
        attempt: u32,
    },
    /// Carry out a step's action and judge its expectations.
    Execute {
        /// The step.
        key: StepKey,
        /// The attempt.
        attempt: u32,
    },
    /// Look at what the runbook says to look at when a step fails.
    Diagnose {
        /// The step.
        key: StepKey,
    },
    /// Wait for what is to follow a step.
    Settle {
        /// The step.
        key: StepKey,
        /// The attempt.
        attempt: u32,
    },
    /// Give `Due` back at that time.
    Wake {
        /// The step.
        key: StepKey,
        /// Milliseconds since the Unix epoch.
        at: i64,
    },
    /// Give `ItemDue` back at that time.
    WakeItem {
        /// The item.
        item: usize,
        /// Milliseconds since the Unix epoch.
        at: i64,
    },
    /// Take a set of snapshots.
    Snapshots {
        /// Which set.
        moment: Moment,
    },
    /// Carry out a rollback item, with all that it waits for and expects.
    Item {
        /// Its place in the list.
        item: usize,
        /// The attempt.
        attempt: u32,
    },
    /// Find out whether a step in doubt took effect: end what is left of it, then ask its probe.
    Examine {
        /// The step.
        key: StepKey,
        /// The attempt that is in doubt.
        attempt: u32,
    },
    /// The same for an item of the way back.
    ExamineItem {
        /// Its place in the list.
        item: usize,
        /// The attempt that is in doubt.
        attempt: u32,
    },
    /// Look at a guard again and again, from now on.
    Watch {
        /// Its place in the runbook.
        guard: usize,
    },
    /// Look at it no more.
    Unwatch {
        /// Its place in the runbook.
        guard: usize,
    },
    /// End steps with `watch` that are in flight: they go on where they were.
    StopWatching,
    /// End the reading steps in flight: what they would find no longer matters.
    StopReading,
    /// End everything in flight.
    StopAll {
        /// At once, instead of in order.
        now: bool,
    },
}
