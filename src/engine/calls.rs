//! Calls: an action's parameters, environment and place with every hole filled.

use std::path::Path;

use super::targets::Targets;
use crate::action::{ActionError, Call};
use crate::expr::EvalError;
use crate::run::StepScope;
use crate::runbook::model::{ActionUse, Step};

/// What a call is resolved against beside the values.
pub(super) struct Place<'a> {
    pub(super) targets: &'a Targets,
    /// Where relative paths start.
    pub(super) base_dir: &'a Path,
}

/// The action of a step, or one of its probes, with everything in it resolved; without a backup.
pub(super) fn resolve(
    place: &Place<'_>,
    step: &Step,
    used: &ActionUse,
    scope: &StepScope,
) -> Result<Call, ActionError> {
    let wrong = |what: &str, error: EvalError| ActionError::invalid(format!("{what}: {error}"));
    let params = used
        .params
        .render(scope)
        .map_err(|error| wrong("a parameter", error))?;
    let mut env = Vec::with_capacity(step.env.len() + 1);
    for (name, template) in &step.env {
        let value = template
            .value
            .render(scope)
            .map_err(|error| wrong(&format!("`env.{name}`"), error))?;
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        env.push((name.clone(), text));
    }
    let cwd = match &step.cwd {
        None => place.base_dir.to_owned(),
        Some(template) => {
            let value = template
                .value
                .render(scope)
                .map_err(|error| wrong("`cwd`", error))?;
            place.base_dir.join(value.as_str().unwrap_or_default())
        }
    };
    let target = match &used.target {
        None => None,
        Some(name) => match place.targets.get(name.as_str()) {
            Some(target) => Some(target.clone()),
            None => {
                let message = format!("there is no target `{}`", **name);
                return Err(ActionError::invalid(message));
            }
        },
    };
    Ok(Call {
        key: used.key.value.clone(),
        params,
        target,
        env,
        cwd,
        backup: None,
    })
}
