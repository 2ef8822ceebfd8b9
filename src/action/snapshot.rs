//! `snapshot_equals`: the state is as it was before the first change. The engine carries it out,
//! because it reads the runbook's own snapshots again; here is what the language knows of it.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Action, ActionError, Call, Context, params};
use crate::runbook::Spec;
use crate::runbook::catalog::always_reading;

/// The actions of this file.
pub const ACTIONS: &[&dyn Action] = &[&SnapshotEquals];

/// Compares snapshots with those from before.
pub struct SnapshotEquals;

static SPEC: Spec = Spec {
    class: always_reading,
    results: &[("differences", "for each snapshot, what differs")],
    ..Spec::of::<Params>(
        "snapshot_equals",
        "compare the state with that before the first change",
    )
};

/// Parameters of `snapshot_equals`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Names of the runbook's `snapshots`.
    pub names: Vec<String>,
}

/// The names that a call compares.
///
/// # Errors
/// When the parameters do not fit.
pub fn names(call: &Call) -> Result<Vec<String>, ActionError> {
    let names = params::<Params>(&SPEC, call)?.names;
    if names.is_empty() {
        // comparing nothing must not pass
        return Err(ActionError::invalid("`snapshot_equals` names no snapshot"));
    }
    Ok(names)
}

#[async_trait]
impl Action for SnapshotEquals {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        let names = names(call).unwrap_or_default();
        format!("compare with before: {}", names.join(", "))
    }

    async fn execute(&self, _: &Context, _: &Call) -> Result<Value, ActionError> {
        Err(ActionError::invalid(
            "`snapshot_equals` belongs into `rollback.verify`",
        ))
    }
}
