//! What the runbook says for the case of failure: what helps, until when failures go back by themselves,
//! and the procedure around the undos.

use std::time::Duration;

use super::model::{Sp, Step};
use super::node::Span;

/// What helps when some steps fail.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// What is seen.
    pub symptom: Sp<String>,
    /// The steps that it belongs to.
    pub steps: Vec<Sp<String>>,
    /// What to look at; reading only.
    pub diagnose: Vec<Step>,
    /// What may help.
    pub solutions: Vec<String>,
}

/// The time in which failures go back by themselves.
#[derive(Clone, Debug)]
pub struct DecideDef {
    /// The phase after whose end it runs; `None`: the last one that leaves something to take back.
    pub after: Option<Sp<String>>,
    /// How long after that end.
    pub within: Duration,
    /// Its place.
    pub span: Span,
}

/// The procedure around the undos.
#[derive(Clone, Debug, Default)]
pub struct RollbackDef {
    /// Before the undos.
    pub first: Vec<Step>,
    /// After them.
    pub last: Vec<Step>,
    /// The point from which on failures hold and ask instead of going back.
    pub decide: Option<Box<DecideDef>>,
    /// What proves that it worked.
    pub verify: Vec<Step>,
    /// Whom to tell; a failure here changes nothing.
    pub notify: Vec<Step>,
}

impl RollbackDef {
    /// The steps of all its parts, in the order in which they run.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        let parts = [&self.first, &self.last, &self.verify, &self.notify];
        parts.into_iter().flatten()
    }
}
