//! Which step, and which item of it.

use super::Plan;

/// A step by its index in the plan, with its item when it has `for_each`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepKey {
    /// Index in the plan.
    pub step: u32,
    /// Place in the list of `for_each`, from 0.
    pub item: Option<u32>,
}

impl StepKey {
    /// A step without items.
    pub fn of(step: u32) -> Self {
        Self { step, item: None }
    }

    /// One item of a step.
    pub fn item(step: u32, item: u32) -> Self {
        Self {
            step,
            item: Some(item),
        }
    }
}

impl Plan {
    /// The name of a key in events: `restart`, `restart[2]`.
    pub fn name(&self, key: StepKey) -> String {
        let id = &self.step(key.step).id.value;
        match key.item {
            None => id.clone(),
            Some(item) => format!("{id}[{item}]"),
        }
    }

    /// The key of a name in events.
    pub fn key(&self, name: &str) -> Option<StepKey> {
        if let Some(step) = self.find(name) {
            return Some(StepKey::of(step));
        }
        let (id, item) = name.strip_suffix(']')?.rsplit_once('[')?;
        Some(StepKey::item(self.find(id)?, item.parse().ok()?))
    }
}
