//! Whether a dress rehearsal would change what production is: [`common`] compares where two sets of
//! values lead, for everything that steps change. Connects to nothing.

use std::collections::{BTreeSet, HashSet};

use super::place::Place;
use crate::action::Target;
use crate::event::RunOptions;
use crate::expr::Expr;
use crate::plan::Plan;
use crate::run::{RunState, StepScope};
use crate::runbook::Undo;
use crate::runbook::model::Step;

/// Something that is the same here as there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Common {
    /// A target whose address leads to the same place.
    Target {
        /// Its name.
        name: String,
        /// The place, without user and password.
        place: String,
        /// The target that production has there.
        there: String,
    },
    /// A step without a target that nothing of the environment changes: it would do the same.
    Step {
        /// Its id.
        id: String,
        /// The action key.
        action: String,
    },
}

impl Common {
    /// The name by which the author says that it is meant.
    pub fn name(&self) -> &str {
        match self {
            Self::Target { name, .. } => name,
            Self::Step { id, .. } => id,
        }
    }
}

/// A plan with its secrets, as far as they are known.
struct Values<'a> {
    plan: &'a Plan,
    scope: StepScope,
}

/// What both ways of binding the same runbook would change. Values that are not known in `there` are
/// taken as other ones.
pub fn common(
    here: &std::sync::Arc<Plan>,
    here_secrets: std::collections::HashMap<String, String>,
    there: &std::sync::Arc<Plan>,
    there_secrets: std::collections::HashMap<String, String>,
) -> Vec<Common> {
    let scope = |plan: &std::sync::Arc<Plan>, secrets| {
        let state = RunState::new(
            std::sync::Arc::clone(plan),
            "RUN",
            "",
            RunOptions::default(),
        );
        let mut scope = state.base_scope(0);
        scope.secrets = std::sync::Arc::new(secrets);
        scope
    };
    let (a, b) = (scope(here, here_secrets), scope(there, there_secrets));
    let here = Values {
        plan: here,
        scope: a,
    };
    let there = Values {
        plan: there,
        scope: b,
    };
    let moved = moved(&here, &there);
    // whatever production has, if only to read from it
    let theirs: Vec<(&str, Place)> = there
        .plan
        .runbook
        .targets
        .iter()
        .filter_map(|def| Some((def.name.value.as_str(), place(&there, &def.name)?)))
        .collect();
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for step in changing(here.plan) {
        match &step.action.target {
            Some(target) => {
                let name = target.value.as_str();
                if !seen.insert(name) {
                    continue;
                }
                let Some(own) = place(&here, name) else {
                    continue;
                };
                // its own name is told before others
                let mut same = theirs.iter().filter(|(_, place)| own.is(place));
                let own_name = same.clone().find(|(other, _)| *other == name);
                if let Some((other, _)) = own_name.or_else(|| same.next()) {
                    found.push(Common::Target {
                        name: name.to_owned(),
                        place: own.shown().to_owned(),
                        there: (*other).to_owned(),
                    });
                }
            }
            None if !refers(step, &moved) => {
                let id = step.id.value.clone();
                let action = step.action.key.value.clone();
                found.push(Common::Step { id, action });
            }
            None => {}
        }
    }
    found
}

/// Steps that change the world, on the way there and back.
fn changing(plan: &Plan) -> Vec<&Step> {
    let undone = plan.runbook.steps().flat_map(|(_, step)| match &step.undo {
        Undo::Steps(undo) => undo.as_slice(),
        _ => &[],
    });
    let all = plan.runbook.steps().map(|(_, step)| step).chain(undone);
    let all = all.chain(plan.runbook.rollback.steps());
    // a message reaches people, a backup may land where production keeps its own
    all.filter(|step| step.changes() || step.leaves_nothing())
        .collect()
}

/// The inputs that have another value.
fn moved(here: &Values<'_>, there: &Values<'_>) -> BTreeSet<String> {
    let inputs = here
        .plan
        .runbook
        .inputs
        .iter()
        .map(|input| &input.name.value);
    let value = |values: &Values<'_>, name: &str| {
        let secret = values.scope.secrets.get(name).cloned().map(Into::into);
        secret.or_else(|| values.plan.inputs.get(name).cloned())
    };
    let other = |name: &&String| value(here, name) != value(there, name);
    inputs.filter(other).cloned().collect()
}

/// Where a target is, as far as its address has a value.
fn place(values: &Values<'_>, name: &str) -> Option<Place> {
    let def = values.plan.runbook.target(name)?;
    let url = def.url.value.render(&values.scope).ok()?;
    let target = Target {
        name: name.to_owned(),
        kind: def.kind,
        url: url.as_str()?.to_owned(),
        options: serde_json::Value::Null,
    };
    Some(Place::of(&target))
}

/// Whether what a step does depends on one of these inputs.
fn refers(step: &Step, inputs: &BTreeSet<String>) -> bool {
    let refers = |expr: &Expr| {
        expr.references().iter().any(|reference| {
            matches!(reference.path.as_slice(), [root, name, ..] if root == "inputs" && inputs.contains(name))
        })
    };
    if *step.action.key == "notify" {
        // whom it reaches is all that counts, whatever the words are
        let written = step.action.params.as_written();
        let webhook = written.get("webhook").and_then(|url| url.as_str());
        let mut words = webhook
            .unwrap_or_default()
            .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
        return words.any(|word| {
            word.strip_prefix("inputs.")
                .is_some_and(|name| inputs.contains(name))
        });
    }
    super::found::needed(step, &step.action)
        .into_iter()
        .any(refers)
}
