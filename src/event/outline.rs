//! The plan as readers need it: phases and steps with names, order and words.

use serde::{Deserialize, Serialize};

/// Phases in the order of the runbook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outline {
    /// All phases.
    pub phases: Vec<PhaseOutline>,
}

/// One phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseOutline {
    /// Its name.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Phases it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Expected length in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_s: Option<f64>,
    /// Its steps.
    pub steps: Vec<StepOutline>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepOutline {
    /// Its id.
    pub id: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The action key.
    pub action: String,
    /// Whether it can change the world.
    pub changes: bool,
    /// What takes it back.
    pub undo: UndoKind,
    /// Expected length in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_s: Option<f64>,
}

/// What takes a step back, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoKind {
    /// It reads only.
    NotNeeded,
    /// The action knows its inverse.
    Auto,
    /// The author wrote it.
    Written,
    /// The author said that there is none.
    None,
    /// Nobody said anything.
    Unsaid,
}

impl UndoKind {
    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotNeeded => "reads only",
            Self::Auto => "automatic",
            Self::Written => "written",
            Self::None => "none",
            Self::Unsaid => "not said",
        }
    }
}
