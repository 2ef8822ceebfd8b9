//! What expressions of one step see of the run: gathered from the state, then independent of it.
//!
//! Only what the step's expressions refer to is gathered, so that a scope is cheap however long the
//! run is, and can go with the step to wherever it is carried out.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::state::RunState;
use crate::event::Moment;
use crate::expr::{Expr, Scope};
use crate::plan::{StepKey, each_expr_of_step};
use crate::runbook::model::Step;
use crate::runbook::watch::Guard;

/// The values for one step's expressions.
#[derive(Clone, Default)]
pub struct StepScope {
    plan: Option<Arc<crate::plan::Plan>>,
    steps: HashMap<String, Value>,
    phases: HashMap<String, (Value, Option<i64>)>,
    snapshots: HashMap<&'static str, Arc<HashMap<String, Value>>>,
    run: Value,
    item: Option<Value>,
    /// What was read before the first change, for what is compared with that.
    pub baseline: Option<Value>,
    /// The phase that a guard is looked at in.
    pub phase: Option<Value>,
    /// Values of secret inputs; the core never fills this.
    pub secrets: Arc<HashMap<String, String>>,
    /// What the action returned.
    pub result: Option<Value>,
    /// The step's own outputs.
    pub outputs: Option<Map<String, Value>>,
    /// Now, in milliseconds since the Unix epoch.
    pub now: i64,
}

impl RunState {
    /// The scope of a step, or of a step of the rollback when `key` says whose item it is.
    pub fn scope(&self, step: &Step, key: Option<StepKey>, now: i64) -> StepScope {
        let mut scope = self.base_scope(now);
        scope.item = key.and_then(|key| self.item(key)).cloned();
        each_expr_of_step(step, &mut |expr| self.gather(expr, &mut scope));
        scope.baseline = self.baseline(&step.id);
        scope
    }

    /// The scope of a guard.
    pub fn guard_scope(&self, guard: &Guard, now: i64) -> StepScope {
        let mut scope = self.base_scope(now);
        let exprs = guard.criteria.exprs().chain(&guard.unless);
        exprs.for_each(|expr| self.gather(expr, &mut scope));
        guard
            .call
            .params
            .each_expr(&mut |expr| self.gather(expr, &mut scope));
        scope.baseline = self.baseline(&guard.name);
        scope
    }

    fn baseline(&self, name: &str) -> Option<Value> {
        let value = self.snapshots(Moment::Baseline)?.get(name)?;
        Some(json!({ "result": value }))
    }

    /// The scope for an expression that belongs to no step.
    pub fn scope_for(&self, expr: &Expr, now: i64) -> StepScope {
        let mut scope = self.base_scope(now);
        self.gather(expr, &mut scope);
        scope
    }

    /// The scope of targets and snapshots: inputs and the run.
    pub fn base_scope(&self, now: i64) -> StepScope {
        let failure = self.failure.as_ref().map(|failure| {
            json!({ "summary": failure.summary(), "step": failure.step, "phase": failure.phase })
        });
        StepScope {
            plan: Some(Arc::clone(&self.plan)),
            run: json!({
                "id": self.id,
                "dir": self.dir,
                "name": *self.plan.runbook.name,
                "started": self.started_at,
                "failure": failure,
            }),
            now,
            ..StepScope::default()
        }
    }

    fn gather(&self, expr: &Expr, scope: &mut StepScope) {
        for reference in expr.references() {
            match reference.path.as_slice() {
                [root, id, ..] if root == "steps" && !scope.steps.contains_key(id) => {
                    if let Some(value) = self.step_value(id) {
                        scope.steps.insert(id.clone(), value);
                    }
                }
                [root, name, ..] if root == "phases" || root == "phase" => {
                    if let Some(value) = self.phase_value(name) {
                        scope.phases.insert(name.clone(), value);
                    }
                }
                [root, ..] if root == "snapshots" => {
                    for moment in [Moment::Before, Moment::After, Moment::Restored] {
                        if let Some(values) = self.snapshots(moment) {
                            scope.snapshots.insert(moment.name(), Arc::clone(values));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn step_value(&self, id: &str) -> Option<Value> {
        let at = self.plan.find(id)?;
        let state = self.steps[at as usize];
        let mut value = json!({ "status": state.status.word(), "attempts": state.attempt, "took_ms": state.took_ms });
        if let Some(kept) = self.results.get(id) {
            merge(&mut value, kept);
        }
        if let Some(fan) = self.fans.get(&at) {
            let of_item = |item: usize| {
                let name = format!("{id}[{item}]");
                self.results
                    .get(&name)
                    .map_or(Value::Null, |kept| (**kept).clone())
            };
            value["items"] = (0..fan.items.len()).map(of_item).collect();
        }
        Some(value)
    }

    fn phase_value(&self, name: &str) -> Option<(Value, Option<i64>)> {
        let at = self.plan.runbook.phase_index(name)?;
        let phase = &self.phases[at];
        let status = match (phase.skipped, phase.started_at, phase.ended_at) {
            (true, _, _) => "skipped",
            (_, _, Some(_)) => "done",
            (_, Some(_), None) => "running",
            _ => "pending",
        };
        Some((json!({ "status": status }), phase.started_at))
    }
}

fn merge(into: &mut Value, from: &Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        for (key, value) in from {
            into.insert(key.clone(), value.clone());
        }
    }
}

impl StepScope {
    /// Hides in what is said of the run what must not be seen: a failure may quote an address.
    pub fn hide_run(&mut self, hide: impl FnOnce(Value) -> Value) {
        self.run = hide(std::mem::take(&mut self.run));
    }

    fn input(&self, name: &str) -> Option<Cow<'_, Value>> {
        if let Some(secret) = self.secrets.get(name) {
            return Some(Cow::Owned(Value::from(secret.as_str())));
        }
        self.plan.as_ref()?.inputs.get(name).map(Cow::Borrowed)
    }

    fn all_inputs(&self) -> Value {
        let plain = self
            .plan
            .iter()
            .flat_map(|plan| plan.inputs.iter())
            .map(|(name, value)| (name.clone(), value.clone()));
        let secret = self
            .secrets
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        Value::Object(plain.chain(secret).collect())
    }
}

impl Scope for StepScope {
    fn value(&self, root: &str, member: Option<&str>) -> Option<Cow<'_, Value>> {
        match (root, member) {
            ("inputs", Some(name)) => self.input(name),
            ("inputs", None) => Some(Cow::Owned(self.all_inputs())),
            ("result", None) => self.result.as_ref().map(Cow::Borrowed),
            ("result", Some(field)) => self.result.as_ref()?.get(field).map(Cow::Borrowed),
            ("outputs", Some(name)) => self.outputs.as_ref()?.get(name).map(Cow::Borrowed),
            ("outputs", None) => Some(Cow::Owned(Value::Object(self.outputs.clone()?))),
            ("steps", Some(id)) => self.steps.get(id).map(Cow::Borrowed),
            ("phases" | "phase", Some(name)) => {
                self.phases.get(name).map(|(value, _)| Cow::Borrowed(value))
            }
            ("snapshots", Some(moment)) => {
                let values = self.snapshots.get(moment)?;
                Some(Cow::Owned(Value::Object(
                    values.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
                )))
            }
            ("run", Some(field)) => self
                .run
                .get(field)
                .filter(|value| !value.is_null())
                .map(Cow::Borrowed),
            ("run", None) => Some(Cow::Borrowed(&self.run)),
            ("baseline", Some(field)) => self.baseline.as_ref()?.get(field).map(Cow::Borrowed),
            ("phase", None) => self.phase.as_ref().map(Cow::Borrowed),
            ("item", None) => self.item.as_ref().map(Cow::Borrowed),
            ("item", Some(field)) => self.item.as_ref()?.get(field).map(Cow::Borrowed),
            _ => None,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of a run fit a double exactly"
    )]
    fn elapsed(&self, phase: &str) -> Option<f64> {
        let (_, started) = self.phases.get(phase)?;
        Some((self.now - (*started)?) as f64 / 1_000.0)
    }
}
