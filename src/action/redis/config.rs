//! `redis.config_get` reads configuration; `redis.config` changes it and can put it back.
//!
//! Secret settings are neither shown nor set here: a captured value goes to the journal.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

use super::client::Link;
use super::trouble::Effect;
use super::{HIDDEN, SECRET_SETTINGS, Text, reply};
use crate::action::{
    Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated, params,
};
use crate::event::Outcome;
use crate::runbook::catalog::always_reading;
use crate::runbook::{Spec, TargetKind};

/// What to read.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetParams {
    /// Names or patterns, such as `maxmemory*`.
    names: Vec<String>,
}

/// The probe.
pub(super) struct ConfigGet;

static GET: Spec = Spec {
    targets: &[TargetKind::Redis],
    class: always_reading,
    results: &[(
        "config",
        "name to value as text, such as config.maxmemory; secrets hidden",
    )],
    ..Spec::of::<GetParams>("redis.config_get", "read the server's configuration")
};

#[async_trait]
impl Action for ConfigGet {
    fn spec(&self) -> &'static Spec {
        &GET
    }

    fn describe(&self, call: &Call) -> String {
        params::<GetParams>(&GET, call).map_or_else(
            |error| error.message,
            |params| format!("CONFIG GET {}", params.names.join(" ")),
        )
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let GetParams { names } = params(&GET, call)?;
        settings(Link::open(cx, call).await?, &names).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let GetParams { names } = params(&GET, call)?;
        let link = Link::open_reading(cx, call).await?;
        settings(link, &names).await.map(Rehearsed::Read)
    }
}

/// The settings of these names, secrets hidden. The masters of a Cluster have to be set alike.
async fn settings(link: Link, names: &[String]) -> Result<Value, ActionError> {
    let mut first: Option<Map<String, Value>> = None;
    for mut link in link.masters().await? {
        let config = of_one(&mut link, names).await?;
        let Some(first) = &first else {
            first = Some(config);
            continue;
        };
        let differs = |name: &&String| first.get(*name) != config.get(*name);
        if let Some(name) = config.keys().chain(first.keys()).find(differs) {
            let message = format!("{} has another `{name}` than another master", link.peer());
            let error = ActionError::failed(Outcome::NotApplied, message);
            return Err(error.hint("read it of each node, with a target of its own, redis://"));
        }
    }
    Ok(json!({ "config": first.unwrap_or_default() }))
}

async fn of_one(link: &mut Link, names: &[String]) -> Result<Map<String, Value>, ActionError> {
    let mut config = Map::new();
    for name in names {
        for (name, value) in get(link, name).await? {
            let secret = SECRET_SETTINGS.contains(&name.as_str()) && !value.is_empty();
            let shown = if secret { HIDDEN.to_owned() } else { value };
            config.insert(name, json!(shown));
        }
    }
    Ok(config)
}

/// What to set.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Name to value, such as `maxmemory: 256mb`. Several are set together or not at all, which
    /// needs Redis 7.
    set: BTreeMap<String, Text>,
    /// Whether to write the server's configuration file as well (CONFIG REWRITE).
    #[serde(default)]
    rewrite: bool,
}

/// The action.
pub(super) struct Config;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    undo_auto: true,
    results: &[
        ("changed", "names whose value is another one now"),
        ("previous", "name to value before"),
        (
            "written",
            "name to value after, in the server's own spelling",
        ),
        (
            "rewritten",
            "whether the server's configuration file was written",
        ),
    ],
    ..Spec::of::<Params>("redis.config", "set the server's configuration")
};

fn checked(call: &Call) -> Result<Params, ActionError> {
    let params: Params = params(&SPEC, call)?;
    if params.set.is_empty() {
        return Err(ActionError::invalid("`redis.config` has nothing to set"));
    }
    match params
        .set
        .keys()
        .find(|name| SECRET_SETTINGS.contains(&name.to_lowercase().as_str()))
    {
        Some(name) => Err(ActionError::invalid(format!(
            "`redis.config` does not set the secret `{name}`: its previous value would be kept \
             in the journal"
        ))
        .hint(
            "use `redis: {command: [ACL, SETUSER, ...]}` with a secret input, and a written undo",
        )),
        None => Ok(params),
    }
}

#[async_trait]
impl Action for Config {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        params::<Params>(&SPEC, call).map_or_else(
            |error| error.message,
            |params| {
                let pairs: Vec<String> = params
                    .set
                    .iter()
                    .map(|(name, Text(value))| format!("{name} {value}"))
                    .collect();
                let rewrite = if params.rewrite {
                    ", CONFIG REWRITE"
                } else {
                    ""
                };
                format!("CONFIG SET {}{rewrite}", pairs.join(" "))
            },
        )
    }

    async fn capture(&self, cx: &Context, call: &Call) -> Result<Option<Value>, ActionError> {
        let params = checked(call)?;
        let mut link = Link::open(cx, call).await?;
        let previous = current(&mut link, &params).await?;
        Ok(Some(json!({ "previous": previous })))
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let params = checked(call)?;
        let mut link = Link::open(cx, call).await?;
        let previous = current(&mut link, &params).await?;
        let wanted = params
            .set
            .iter()
            .map(|(name, Text(value))| (name.clone(), value.clone()))
            .collect();
        set(&mut link, &wanted).await?;
        let done = async {
            if params.rewrite {
                link.ask(Effect::Changes, &["CONFIG", "REWRITE"]).await?;
            }
            current(&mut link, &params).await
        };
        let written = done.await.map_err(|mut error| {
            error.outcome = Outcome::Unknown;
            error.message = format!("the values are set, but then {}", error.message);
            error.retryable(false)
        })?;
        let changed: Vec<&String> = written
            .iter()
            .filter(|(name, value)| previous.get(*name) != Some(*value))
            .map(|(name, _)| name)
            .collect();
        Ok(json!({
            "changed": changed,
            "previous": previous,
            "written": written,
            "rewritten": params.rewrite,
        }))
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let params = checked(call)?;
        let mut link = Link::open_reading(cx, call).await?;
        let now = current(&mut link, &params).await?;
        let pairs = params.set.iter().map(|(name, Text(asked))| {
            let is = now.get(name).map_or("", String::as_str);
            (name, is, asked, same(asked, is))
        });
        let lines = pairs.clone().map(|(name, is, asked, same)| match same {
            true => format!("{name}: {is}, as it is to be"),
            false => format!("{name}: {is} -> {asked}"),
        });
        let lines: Vec<String> = lines.collect();
        let changes = pairs.clone().filter(|(.., same)| !same).count();
        let facts: Vec<Value> = pairs
            .map(|(name, is, asked, _)| json!({ "name": name, "now": is, "then": asked }))
            .collect();
        let would = format!(
            "{} and change {changes} of {}",
            self.describe(call),
            lines.len()
        );
        let simulated = Simulated::exactly(would, json!({ "settings": facts })).detail(lines);
        Ok(simulated.into())
    }

    /// Puts back each value that is still the one that the step wrote; the others are left and
    /// named.
    async fn restore(
        &self,
        cx: &Context,
        call: &Call,
        captured: &Value,
    ) -> Result<Value, ActionError> {
        let params = checked(call)?;
        let mut link = Link::open(cx, call).await?;
        let now = current(&mut link, &params).await?;
        let result = (cx.results)(&cx.step).unwrap_or_default();
        let mut back = BTreeMap::new();
        let mut left = Vec::new();
        for (name, Text(asked)) in &params.set {
            let previous = captured["previous"][name].as_str().unwrap_or_default();
            let value = now.get(name).map_or("", String::as_str);
            let ours = result["written"][name].as_str() == Some(value) || same(asked, value);
            if value == previous {
                continue;
            }
            if ours {
                back.insert(name.clone(), previous.to_owned());
            } else {
                left.push(name.clone());
            }
        }
        if !back.is_empty() {
            set(&mut link, &back).await?;
            if params.rewrite {
                link.ask(Effect::Changes, &["CONFIG", "REWRITE"])
                    .await
                    .map_err(|mut error| {
                        error.outcome = Outcome::Unknown;
                        error
                    })?;
            }
        }
        Ok(json!({ "restored": back, "left": left }))
    }
}

/// What the server holds under one name or pattern.
async fn get(link: &mut Link, pattern: &str) -> Result<Vec<(String, String)>, ActionError> {
    let answer = link.ask(Effect::Reads, &["CONFIG", "GET", pattern]).await?;
    let redis::Value::Array(items) = answer else {
        return Ok(Vec::new());
    };
    let mut texts = items.into_iter().map(reply::text);
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// The present values of what the step sets.
async fn current(
    link: &mut Link,
    params: &Params,
) -> Result<BTreeMap<String, String>, ActionError> {
    let mut values = BTreeMap::new();
    for name in params.set.keys() {
        let found = get(link, name).await?;
        let Some((_, value)) = found
            .into_iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
        else {
            return Err(ActionError::invalid(format!(
                "{} has no setting `{name}`",
                link.peer()
            )));
        };
        values.insert(name.clone(), value);
    }
    Ok(values)
}

async fn set(link: &mut Link, values: &BTreeMap<String, String>) -> Result<(), ActionError> {
    let mut argv = vec!["CONFIG", "SET"];
    for (name, value) in values {
        argv.push(name);
        argv.push(value);
    }
    link.ask(Effect::Changes, &argv).await.map_err(|error| {
        if values.len() > 1 && error.message.contains("wrong number of arguments") {
            error.hint("servers before Redis 7 set one value at a time: use a step for each")
        } else {
            error
        }
    })?;
    Ok(())
}

/// Whether the server's spelling means what was asked for: sizes are told in bytes.
fn same(asked: &str, told: &str) -> bool {
    asked.eq_ignore_ascii_case(told)
        || matches!((size(asked), size(told)), (Some(a), Some(b)) if a == b)
}

/// `256mb` in bytes, by the rules of redis.conf: `k` is 1000, `kb` is 1024.
fn size(text: &str) -> Option<u64> {
    let text = text.trim().to_lowercase();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let unit = match &text[end..] {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    text[..end].parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_mean_the_same() {
        assert!(same("256mb", "268435456"));
        assert!(same("ALLKEYS-LRU", "allkeys-lru"));
        assert!(same("1k", "1000"));
        assert!(!same("256mb", "256000000"));
        assert!(!same("", "x"));
    }
}
