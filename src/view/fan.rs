//! The items of a step with `for_each`, and what they make of the whole.

use std::sync::Arc;

use serde_json::Value;

use super::RunView;
use super::step::{StepStatus, StepView};
use crate::event::StepEvent;

/// The items of a step with `for_each`.
#[derive(Clone, Debug, Default)]
pub struct Fan {
    /// Each of them.
    pub items: Vec<StepView>,
    /// How many are over.
    pub over: usize,
    failed: usize,
    in_flight: usize,
}

impl RunView {
    pub(super) fn expand(&mut self, name: &str, items: &[Value], at: i64) {
        let Some(place) = self.index.get(name).copied() else {
            return;
        };
        let lean = self.lean;
        let step = &mut self.steps[place];
        let before = step.status;
        let item = |value: &Value| {
            let mut item = StepView::shared(Arc::clone(&step.outline), step.phase);
            item.item = (!lean).then(|| value.clone());
            item
        };
        let items = items.iter().map(item).collect();
        step.fan = Some(Box::new(Fan {
            items,
            ..Fan::default()
        }));
        step.takes_off(StepStatus::Running, 1, at);
        let phase = step.phase;
        self.moved(phase, before, StepStatus::Running, at);
    }
}

impl StepView {
    /// Takes in what happened to an item, and what that makes of the whole.
    pub(super) fn apply_item(&mut self, item: usize, event: &StepEvent, at: i64, lean: bool) {
        let Some(fan) = &mut self.fan else {
            return;
        };
        let Some(item) = fan.items.get_mut(item) else {
            return;
        };
        let before = item.status;
        item.apply(event, at, lean);
        let after = item.status;
        fan.count(before, false);
        fan.count(after, true);
        let failed = fan.failed > 0;
        if fan.in_flight == 0 && (failed || fan.over == fan.items.len()) {
            let status = match failed {
                true => StepStatus::Failed,
                false => StepStatus::Done,
            };
            self.lands(status, at);
        } else {
            self.status = StepStatus::Running;
            self.ended_at = None;
        }
    }
}

impl Fan {
    fn count(&mut self, status: StepStatus, comes: bool) {
        let of = |number: &mut usize, is: bool| {
            *number = match comes {
                true => *number + usize::from(is),
                false => number.saturating_sub(usize::from(is)),
            };
        };
        of(&mut self.in_flight, status.in_flight());
        of(&mut self.over, status.is_over());
        of(&mut self.failed, status == StepStatus::Failed);
    }
}
