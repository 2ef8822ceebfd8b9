//! People in the model: roles, whose signatures are asked for, and what makes the migration a success.

use std::time::Duration;

use super::model::Sp;
use crate::event::Horizon;
use crate::expr::Expr;

/// A role of people.
#[derive(Clone, Debug)]
pub struct RoleDef {
    /// Its name.
    pub name: Sp<String>,
    /// What it is called.
    pub title: Option<String>,
    /// How to reach them.
    pub contact: Option<String>,
    /// Who has it, unless the start of a run says otherwise.
    pub who: Option<String>,
    /// Public keys that may sign for it, as they stand in a `.pub` file.
    pub keys: Vec<Sp<String>>,
}

/// Whose signatures are asked for, by role.
#[derive(Clone, Debug, Default)]
pub struct SignOffDef {
    /// Before the first change.
    pub before: Vec<Sp<String>>,
    /// After the end.
    pub after: Vec<Sp<String>>,
}

/// One thing that makes the migration a success.
#[derive(Clone, Debug)]
pub struct CriterionDef {
    /// `immediate`, `short_term`, `long_term`; with a number where there are several: `immediate-2`.
    pub id: String,
    /// When it is due.
    pub horizon: Horizon,
    /// The phase that has to pass.
    pub phase: Option<Sp<String>>,
    /// What has to hold.
    pub expect: Option<Sp<Expr>>,
    /// How long after the end it is to be judged at the latest.
    pub within: Option<Duration>,
}
