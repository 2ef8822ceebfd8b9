//! Judging a success criterion after the run: from what its journal keeps, and what is read now.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::scope::StepScope;
use super::state::RunState;
use crate::expr::{Evidence, Expr, Scope};

/// What was read now, by the name of the snapshot.
pub type Probes = BTreeMap<String, Value>;

impl RunState {
    /// Judges `expr` with `probe.NAME` from what was read now. What could not be read is not in
    /// `probes`, and nothing passes by it.
    pub fn judge_later(&self, expr: &Expr, probes: &Probes, now: i64) -> Evidence {
        let kept = self.scope_for(expr, now);
        expr.judge(&Later { kept, probes })
    }
}

struct Later<'p> {
    kept: StepScope,
    probes: &'p Probes,
}

impl Scope for Later<'_> {
    fn value(&self, root: &str, member: Option<&str>) -> Option<Cow<'_, Value>> {
        match (root, member) {
            ("probe", Some(name)) => self.probes.get(name).map(Cow::Borrowed),
            _ => self.kept.value(root, member),
        }
    }

    fn elapsed(&self, phase: &str) -> Option<f64> {
        self.kept.elapsed(phase)
    }
}
