//! Whether dangerous commands are within the reach of a user. Nothing is carried out to find out.

use redis::Value as Reply;
use serde_json::{Map, Value, json};

use super::asker::Asker;
use crate::action::ActionError;
use crate::action::redis::reply;

/// What stands between the user and each command.
pub(super) async fn commands(
    asker: &mut Asker,
    names: &[String],
    user: Option<&str>,
    all_mine: bool,
) -> Result<Map<String, Value>, ActionError> {
    let info = |name: &String| vec!["COMMAND".to_owned(), "INFO".to_owned(), name.clone()];
    let infos = asker
        .many("COMMAND INFO", names.iter().map(info).collect())
        .await?;
    let mut states = Map::new();
    for (name, info) in names.iter().zip(infos) {
        let state = match info.as_ref().map(arity) {
            None => Value::Null,
            Some(None) => json!("absent"),
            Some(Some(_)) if disabled(asker, name).await? => json!("disabled"),
            Some(Some(_)) if all_mine => json!("allowed"),
            Some(Some(arity)) => match user {
                Some(user) => tried(asker, name, arity, user).await?,
                None => Value::Null,
            },
        };
        states.insert(name.clone(), state);
    }
    Ok(states)
}

/// How many words a command takes, as COMMAND INFO has it; none when there is no such command.
fn arity(info: &Reply) -> Option<i64> {
    let Reply::Array(found) = info else {
        return None;
    };
    match found.first()? {
        Reply::Array(fields) => Some(fields.get(1).and_then(reply::int).unwrap_or(-1)),
        _ => None,
    }
}

/// Whether the configuration turns the command off, which Redis 7 does for these two by itself.
async fn disabled(asker: &mut Asker, name: &str) -> Result<bool, ActionError> {
    let setting = match name {
        "DEBUG" => "enable-debug-command",
        "MODULE" => "enable-module-command",
        _ => return Ok(false),
    };
    Ok(asker
        .setting(setting)
        .await?
        .is_some_and(|value| value == "no"))
}

/// ACL DRYRUN, which carries nothing out.
async fn tried(
    asker: &mut Asker,
    name: &str,
    arity: i64,
    user: &str,
) -> Result<Value, ActionError> {
    let mut argv = vec!["ACL", "DRYRUN", user];
    match name {
        "CONFIG" => argv.extend(["CONFIG", "SET", "x", "x"]),
        "MODULE" => argv.extend(["MODULE", "UNLOAD", "x"]),
        name => {
            argv.push(name);
            let more = usize::try_from(arity.unsigned_abs())
                .unwrap_or(1)
                .clamp(1, 16)
                - 1;
            argv.extend(std::iter::repeat_n("x", more));
        }
    }
    let said = asker.one("ACL DRYRUN", &argv).await?.map(reply::text);
    Ok(match said.as_deref() {
        Some("OK") => json!("allowed"),
        // what it lacks is the made-up key
        Some(text) if text.contains("to access") => json!("allowed"),
        Some(text) if text.contains("to run") => json!("denied"),
        _ => Value::Null,
    })
}
