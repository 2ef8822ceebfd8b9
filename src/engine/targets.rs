//! Targets with their addresses resolved, once, before anything starts.

use std::collections::HashMap;

use crate::action::Target;
use crate::expr::EvalError;
use crate::run::StepScope;
use crate::runbook::{Runbook, TargetKind};
use crate::secret::Secret;

/// Targets by name.
pub type Targets = HashMap<String, Target>;

/// Fills the addresses of all targets.
///
/// # Errors
/// The first target whose address has no value, with its name.
pub fn resolve(runbook: &Runbook, scope: &StepScope) -> Result<Targets, (String, String)> {
    let mut targets = Targets::new();
    for def in &runbook.targets {
        let name = def.name.value.clone();
        let wrong = |error: EvalError| (name.clone(), error.to_string());
        let url = def.url.value.render(scope).map_err(wrong)?;
        let options = def.options.render(scope).map_err(wrong)?;
        let url = url.as_str().map_or_else(|| url.to_string(), str::to_owned);
        if let Some(reason) = wrong_kind(def.kind, &url) {
            return Err((name, reason));
        }
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

/// Why an address cannot be one of its kind: its scheme says so before anything is tried.
fn wrong_kind(kind: TargetKind, url: &str) -> Option<String> {
    let fitting: &[&str] = match kind {
        TargetKind::Redis => &["redis", "rediss", "unix", "redis+unix"],
        TargetKind::Postgres => &["postgres", "postgresql"],
        TargetKind::Mysql => &["mysql", "mariadb"],
        TargetKind::Sqlite => &["sqlite"],
        TargetKind::Http | TargetKind::Prometheus => &["http", "https"],
        TargetKind::Host => return None,
    };
    let (scheme, _) = url.split_once(':').unwrap_or((url, ""));
    if fitting.contains(&scheme) {
        return None;
    }
    let fitting: Vec<_> = fitting
        .iter()
        .map(|scheme| format!("`{scheme}:`"))
        .collect();
    let found = if url.contains(':') {
        format!("`{scheme}:`")
    } else {
        "no scheme".into()
    };
    Some(format!(
        "the address of a `{}` target starts with {}, not with {found}",
        kind.key(),
        fitting.join(" or ")
    ))
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
