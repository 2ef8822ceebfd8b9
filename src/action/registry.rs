//! All actions. A new one is its file and one line here.

use std::collections::HashMap;

use super::Action;
use crate::runbook::Catalog;

/// Each family's actions.
const FAMILIES: &[&[&dyn Action]] = &[
    super::disk::ACTIONS,
    super::env::ACTIONS,
    super::file::ACTIONS,
    super::gate::ACTIONS,
    super::http::ACTIONS,
    super::log::ACTIONS,
    super::notify::ACTIONS,
    super::process::ACTIONS,
    super::prometheus::ACTIONS,
    super::redis::ACTIONS,
    super::shell::ACTIONS,
    super::snapshot::ACTIONS,
    super::sql::ACTIONS,
    super::wait::ACTIONS,
];

/// Actions by key.
pub struct Registry {
    by_key: HashMap<&'static str, &'static dyn Action>,
}

impl Registry {
    /// All of them.
    pub fn all() -> Self {
        let actions = FAMILIES.iter().flat_map(|family| family.iter());
        Self {
            by_key: actions.map(|action| (action.spec().key, *action)).collect(),
        }
    }

    /// What the language has to know of them.
    pub fn catalog(&self) -> Catalog {
        Catalog::new(self.by_key.values().map(|action| *action.spec()).collect())
    }

    /// The action of a key.
    pub fn get(&self, key: &str) -> Option<&'static dyn Action> {
        self.by_key.get(key).copied()
    }
}
