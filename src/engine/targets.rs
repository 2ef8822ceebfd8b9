//! Targets with their addresses resolved, once, before anything starts.

use std::collections::HashMap;

use crate::action::Target;
use crate::expr::EvalError;
use crate::run::StepScope;
use crate::runbook::Runbook;
use crate::secret::Secret;

/// Targets by name.
pub type Targets = HashMap<String, Target>;

/// Fills the addresses of all targets.
///
/// # Errors
/// The first target whose address has no value, with its name.
pub fn resolve(runbook: &Runbook, scope: &StepScope) -> Result<Targets, (String, EvalError)> {
    let mut targets = Targets::new();
    for def in &runbook.targets {
        let name = def.name.value.clone();
        let wrong = |error| (name.clone(), error);
        let url = def.url.value.render(scope).map_err(wrong)?;
        let options = def.options.render(scope).map_err(wrong)?;
        let url = url.as_str().map_or_else(|| url.to_string(), str::to_owned);
        let target = Target {
            name: name.clone(),
            kind: def.kind,
            url,
            options,
        };
        targets.insert(name, target);
    }
    Ok(targets)
}

/// Passwords in the addresses, so that they are masked by value too. Those shorter than the masker
/// takes are left to masking by place.
pub fn passwords(targets: &Targets) -> Vec<(String, Secret)> {
    let password = |target: &Target| {
        let rest = target.url.split_once("://")?.1;
        let authority = rest.split(['/', '?', '#']).next()?;
        let (userinfo, _) = authority.rsplit_once('@')?;
        let (_, password) = userinfo.split_once(':')?;
        (password.len() >= 6).then(|| {
            (
                format!("target {}", target.name),
                Secret::new(password.to_owned()),
            )
        })
    };
    targets.values().filter_map(password).collect()
}
