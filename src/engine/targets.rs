//! Targets with their addresses resolved, once, before anything starts.

use std::collections::HashMap;

use crate::action::Target;
use crate::expr::EvalError;
use crate::run::StepScope;
use crate::runbook::address::SCHEMES;
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
    let redis = ["redis", "rediss", "unix", "redis+unix"];
    let redis: Vec<&str> = redis.into_iter().chain(SCHEMES).collect();
    let fitting: &[&str] = match kind {
        TargetKind::Redis => &redis,
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

/// Passwords in the addresses, so that they are masked by value too: as written there, and as the
/// server is told them. Those shorter than the masker takes are left to masking by place.
pub fn passwords<'a>(
    addresses: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<(String, Secret)> {
    let mut found = Vec::new();
    for (name, url) in addresses {
        let mut values = in_address(url);
        values.sort_unstable();
        values.dedup();
        values.retain(|value| value.trim().len() >= 6);
        found.extend(
            values
                .into_iter()
                .map(|value| (name.to_owned(), Secret::new(value))),
        );
    }
    found
}

/// What stands for a password in an address.
fn in_address(url: &str) -> Vec<String> {
    let Some((_, rest)) = url.split_once("://") else {
        return Vec::new();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let userinfo = authority
        .rsplit_once('@')
        .and_then(|(userinfo, _)| Some(userinfo.split_once(':')?.1));
    let (_, query) = rest.split_once('?').unwrap_or_default();
    let parameters = query.split(['&', '#']).filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        matches!(key, "password" | "passwd" | "pass").then_some(value)
    });
    userinfo
        .into_iter()
        .chain(parameters)
        .flat_map(|written| [Some(written.to_owned()), percent_decoded(written)])
        .flatten()
        .collect()
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('%');
    bytes.extend_from_slice(pieces.next()?.as_bytes());
    for piece in pieces {
        let digits = piece.get(..2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_found_as_written_and_as_meant() {
        let of = |url: &str| -> Vec<String> {
            passwords([("t", url)])
                .iter()
                .map(|(_, secret)| secret.expose().to_owned())
                .collect()
        };
        assert_eq!(of("redis://:simple-one@h:1/2"), ["simple-one"]);
        assert_eq!(
            of("postgres://u:a%2Fb%40cdef@h/d"),
            ["a%2Fb%40cdef", "a/b@cdef"]
        );
        assert_eq!(
            of("postgres://u@h/d?sslmode=off&password=in%2Dthere"),
            ["in%2Dthere", "in-there"]
        );
        assert_eq!(of("redis://:short@h"), Vec::<String>::new());
        assert_eq!(of("http://h/a:b@c"), Vec::<String>::new());
        assert_eq!(of("100% sure"), Vec::<String>::new());
    }
}
