//! `redis`: any one command.

use std::time::Instant;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::argv::Argv;
use super::client::{Link, verb};
use super::trouble::Effect;
use super::{HIDDEN, SECRET_SETTINGS, fence, reply};
use crate::action::{
    Action, ActionError, Call, Context, ReadContext, Rehearsed, Simulated, params,
};
use crate::runbook::{Class, Spec, TargetKind};

/// One command.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// The command: one line such as `CONFIG GET maxmemory`, or a list of words.
    command: Argv,
}

/// The action.
pub(super) struct Command;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    short: Some("command"),
    program_text: &["command"],
    values_go_in: "write the command as a list, where each item may be a value: \
                   `redis: {command: [SET, key, \"${{ inputs.value }}\"]}`",
    class,
    results: &[
        (
            "reply",
            "the reply: text, a number, null, or a list of these; bytes that are not text are {hex}",
        ),
        ("latency_ms", "from sending to the reply, in milliseconds"),
    ],
    ..Spec::of::<Params>("redis", "carry out one Redis command")
};

/// Reading only when the command is known to.
fn class(params: &Value) -> Class {
    let command = match params {
        Value::Object(map) => map.get("command").unwrap_or(&Value::Null),
        short => short,
    };
    let read = serde_json::from_value::<Argv>(command.clone())
        .is_ok_and(|argv| argv.effect() == Effect::Reads);
    if read {
        Class::Reading
    } else {
        Class::Changing
    }
}

#[async_trait]
impl Action for Command {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, call: &Call) -> String {
        match params::<Params>(&SPEC, call) {
            Ok(params) => params
                .command
                .0
                .iter()
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect::<Vec<_>>()
                .join(" "),
            Err(_) => "a Redis command".into(),
        }
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let Params { command } = params(&SPEC, call)?;
        ask(Link::open(cx, call).await?, &command).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let Params { command } = params(&SPEC, call)?;
        if fence::is_script(&command.0) {
            let why = "it hands the server a script, and what that does is not known";
            return Ok(Rehearsed::NotVerified(why.into()));
        }
        let mut link = Link::open_reading(cx, call).await?;
        if command.effect() == Effect::Reads {
            return ask(link, &command).await.map(Rehearsed::Read);
        }
        let words: Vec<_> = command
            .0
            .iter()
            .map(|word| String::from_utf8_lossy(word))
            .collect();
        known(&mut link, &words).await?;
        link.suits_cluster(command.effect(), &command.0).await?;
        let would = format!("{} would get `{}`", link.peer(), words.join(" "));
        Ok(Simulated::shown(would, json!({ "command": words })).into())
    }
}

/// Whether the server has such a command, and takes so many words.
async fn known(link: &mut Link, words: &[std::borrow::Cow<'_, str>]) -> Result<(), ActionError> {
    let name = words.first().map_or("", |word| word.as_ref());
    let answer = link.ask(Effect::Reads, &["COMMAND", "INFO", name]).await?;
    let redis::Value::Array(found) = &answer else {
        return Ok(());
    };
    let Some(redis::Value::Array(fields)) = found.first() else {
        let message = format!("{} has no command `{}`", link.peer(), name.to_uppercase());
        return Err(ActionError::invalid(message));
    };
    let arity = fields.get(1).and_then(reply::int).unwrap_or(-1);
    let count = i64::try_from(words.len()).unwrap_or(i64::MAX);
    if (arity > 0 && count != arity) || count < arity.abs() {
        let least = if arity < 0 { "at least " } else { "" };
        return Err(ActionError::invalid(format!(
            "`{}` takes {least}{} words on {}, and has {count}",
            name.to_uppercase(),
            arity.abs(),
            link.peer()
        )));
    }
    Ok(())
}

/// Sends the command and shows its reply.
async fn ask(mut link: Link, command: &Argv) -> Result<Value, ActionError> {
    let effect = command.effect();
    link.patient();
    if link.in_cluster() && verb(&command.0) == "DBSIZE" {
        let started = Instant::now();
        let keys = link.size().await?;
        let latency_ms = started.elapsed().as_secs_f64() * 1_000.0;
        return Ok(json!({ "reply": keys, "latency_ms": latency_ms }));
    }
    link.suits_cluster(effect, &command.0).await?;
    let started = Instant::now();
    let answer = link.ask(effect, &command.0).await?;
    let latency_ms = started.elapsed().as_secs_f64() * 1_000.0;
    let name = verb(&command.0);
    let mut shown = reply::to_json(&answer).map_err(|over| {
        ActionError::limit(
            effect.with_reply(),
            format!("{}: the reply to `{name}` is {over}", link.peer()),
        )
        .hint("ask for less: a range, SCAN with COUNT, a single field")
    })?;
    match name.as_str() {
        "CONFIG GET" => hide_secrets(&mut shown),
        "ACL GETUSER" => hide_passwords(&mut shown),
        "ACL LIST" => hide_hashes(&mut shown),
        "SLOWLOG GET" => fold_arguments(&mut shown),
        _ => {}
    }
    Ok(json!({ "reply": shown, "latency_ms": latency_ms }))
}

/// In a flat list of names and values, hides the values of secret settings.
fn hide_secrets(list: &mut Value) {
    let Some(items) = list.as_array_mut() else {
        return;
    };
    for pair in items.chunks_exact_mut(2) {
        let secret = pair[0]
            .as_str()
            .is_some_and(|name| SECRET_SETTINGS.contains(&name.to_lowercase().as_str()));
        if secret && pair[1] != "" {
            pair[1] = json!(HIDDEN);
        }
    }
}

/// In a user's rights, hides the hashes of the passwords; how many there are stays.
fn hide_passwords(user: &mut Value) {
    let Some(items) = user.as_array_mut() else {
        if let Some(passwords) = user.get_mut("passwords") {
            hide_all(passwords);
        }
        return;
    };
    for pair in items.chunks_exact_mut(2) {
        if pair[0] == "passwords" {
            hide_all(&mut pair[1]);
        }
    }
}

fn hide_all(list: &mut Value) {
    match list.as_array_mut() {
        Some(all) => all.iter_mut().for_each(|one| *one = json!(HIDDEN)),
        None => *list = json!(HIDDEN),
    }
}

/// In rules such as `user ann on #c0ffee ~* +@all`, hides the hashes of passwords.
fn hide_hashes(rules: &mut Value) {
    for rule in rules.as_array_mut().into_iter().flatten() {
        let Some(text) = rule.as_str() else { continue };
        let words = text.split(' ').map(|word| match word.starts_with('#') {
            true => HIDDEN,
            false => word,
        });
        *rule = json!(words.collect::<Vec<_>>().join(" "));
    }
}

/// In entries of the slow log, leaves the command and how many words it had: the others may be secrets.
fn fold_arguments(entries: &mut Value) {
    for entry in entries.as_array_mut().into_iter().flatten() {
        let Some(words) = entry.get_mut(3).and_then(Value::as_array_mut) else {
            continue;
        };
        let more = words.len().saturating_sub(1);
        if more > 0 {
            words.truncate(1);
            words.push(json!(format!("({more} more, see `redis.slowlog`)")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_show_no_passwords_and_no_values() {
        let mut user = json!(["flags", ["on"], "passwords", ["ab01", "cd02"], "keys", "~*"]);
        hide_passwords(&mut user);
        assert_eq!(
            user,
            json!(["flags", ["on"], "passwords", [HIDDEN, HIDDEN], "keys", "~*"])
        );
        let mut user = json!({ "flags": ["on"], "passwords": ["ab01"] });
        hide_passwords(&mut user);
        assert_eq!(user, json!({ "flags": ["on"], "passwords": [HIDDEN] }));
        let mut rules = json!(["user ann on #ab01 ~* +@all", "user default off"]);
        hide_hashes(&mut rules);
        assert_eq!(
            rules,
            json!([format!("user ann on {HIDDEN} ~* +@all"), "user default off"])
        );
        let mut slow = json!([
            [1, 2, 3, ["SET", "k", "secret"], "c", ""],
            [2, 2, 3, ["PING"]]
        ]);
        fold_arguments(&mut slow);
        assert_eq!(
            slow,
            json!([
                [1, 2, 3, ["SET", "(2 more, see `redis.slowlog`)"], "c", ""],
                [2, 2, 3, ["PING"]]
            ])
        );
    }
}
