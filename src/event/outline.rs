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
    /// How many of its steps may be in flight at once.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub parallel: usize,
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
    /// SHA-256, in hexadecimal and cut, over what the runbook says of it: two runs with the same had
    /// the same step. Empty in journals from before there was one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
}

/// The time that a run is allowed: budgets, and the hours of the calendar.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowOutline {
    /// Seconds for everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_s: Option<f64>,
    /// Seconds for the time that the system is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime_s: Option<f64>,
    /// Seconds for going back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_s: Option<f64>,
    /// The phase after whose end failures go back by themselves for some time only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decide_after: Option<String>,
    /// How many seconds after that end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decide_within_s: Option<f64>,
    /// When it may start, in milliseconds since the Unix epoch: of hours that come again, those that
    /// the run started in, else the next ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens: Option<i64>,
    /// When it has to be over, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes: Option<i64>,
}

impl WindowOutline {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_one(parallel: &usize) -> bool {
    *parallel == 1
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
