//! The users of a server, without their passwords and the hashes of these.

use redis::Value as Reply;
use serde_json::{Value, json};

use super::asker::Asker;
use crate::action::ActionError;
use crate::action::redis::reply;

/// Most users that are looked at.
const USERS: usize = 1_000;

/// One user, without passwords.
pub(super) struct User {
    pub name: String,
    pub on: bool,
    pub nopass: bool,
    pub all_keys: bool,
    pub all_commands: bool,
}

/// All users; none when that may not be asked.
pub(super) async fn users(asker: &mut Asker) -> Result<Option<Vec<User>>, ActionError> {
    let Some(Reply::Array(names)) = asker.one("ACL USERS", &["ACL", "USERS"]).await? else {
        return Ok(None);
    };
    let names: Vec<String> = names.into_iter().map(reply::text).collect();
    if names.len() > USERS {
        return Ok(None);
    }
    let get = |name: &String| vec!["ACL".to_owned(), "GETUSER".to_owned(), name.clone()];
    let answers = asker
        .many("ACL GETUSER", names.iter().map(get).collect())
        .await?;
    let mut users = Vec::new();
    for (name, answer) in names.into_iter().zip(answers) {
        match answer {
            // deleted meanwhile
            Some(Reply::Nil) => {}
            Some(answer) => match rights_of(name, answer) {
                Some(user) => users.push(user),
                None => return Ok(None),
            },
            None => return Ok(None),
        }
    }
    Ok(Some(users))
}

/// What a reply says by name.
type Fields = Vec<(String, Reply)>;

fn fields(answer: Reply) -> Option<Fields> {
    match answer {
        Reply::Map(pairs) => Some(
            pairs
                .into_iter()
                .map(|(name, value)| (reply::text(name), value))
                .collect(),
        ),
        Reply::Array(items) => {
            let mut items = items.into_iter();
            let mut fields = Vec::new();
            while let (Some(name), Some(value)) = (items.next(), items.next()) {
                fields.push((reply::text(name), value));
            }
            Some(fields)
        }
        _ => None,
    }
}

fn take(fields: &mut Fields, name: &str) -> Option<Reply> {
    let at = fields.iter().position(|(found, _)| found == name)?;
    Some(fields.swap_remove(at).1)
}

fn words(fields: &mut Fields, name: &str) -> Option<Vec<String>> {
    match take(fields, name)? {
        Reply::Array(items) | Reply::Set(items) => {
            Some(items.into_iter().map(reply::text).collect())
        }
        text @ (Reply::BulkString(_) | Reply::SimpleString(_)) => {
            let text = reply::text(text);
            Some(text.split(' ').map(str::to_owned).collect())
        }
        _ => None,
    }
}

/// Whether these permissions are for all keys, and for all commands.
fn reach(fields: &mut Fields) -> Option<(bool, bool)> {
    let (keys, commands) = (words(fields, "keys")?, words(fields, "commands")?);
    let all_keys = keys.iter().any(|key| key == "~*" || key == "*");
    Some((all_keys, commands == ["+@all"]))
}

/// Reads ACL GETUSER; none when it is not understood. Since Redis 7 a user may have further permissions
/// in selectors, each of which allows by itself.
fn rights_of(name: String, answer: Reply) -> Option<User> {
    let mut all = fields(answer)?;
    let flags = words(&mut all, "flags")?;
    let (mut all_keys, mut all_commands) = reach(&mut all)?;
    match take(&mut all, "selectors") {
        None => {}
        Some(Reply::Array(selectors) | Reply::Set(selectors)) => {
            for selector in selectors {
                let (keys, commands) = reach(&mut fields(selector)?)?;
                all_keys |= keys;
                all_commands |= commands;
            }
        }
        Some(_) => return None,
    }
    let has = |flag: &str| flags.iter().any(|found| found == flag);
    Some(User {
        name,
        on: has("on"),
        nopass: has("nopass"),
        // flags before Redis 7, patterns since
        all_keys: has("allkeys") || all_keys,
        all_commands: has("allcommands") || all_commands,
    })
}

/// The one that everybody is who does not log in.
pub(super) fn default_user(users: &[User]) -> Option<Value> {
    let user = users.iter().find(|user| user.name == "default")?;
    Some(json!({
        "on": user.on,
        "nopass": user.nopass,
        "all_keys": user.all_keys,
        "all_commands": user.all_commands,
    }))
}

/// How many there are of each kind.
pub(super) fn counts(users: &[User]) -> Value {
    let on = || users.iter().filter(|user| user.on);
    json!({
        "total": users.len(),
        "on": on().count(),
        "nopass": on().filter(|user| user.nopass).count(),
        "all_keys": on().filter(|user| user.all_keys).count(),
        "all_commands": on().filter(|user| user.all_commands).count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_either_age_are_understood() {
        let text = |text: &str| Reply::BulkString(text.into());
        let list = |words: &[&str]| Reply::Array(words.iter().map(|word| text(word)).collect());
        let old = Reply::Array(vec![
            text("flags"),
            list(&["on", "allkeys", "allcommands", "nopass"]),
            text("passwords"),
            list(&["0123"]),
            text("commands"),
            text("+@all"),
            text("keys"),
            list(&["*"]),
        ]);
        let old = rights_of("a".into(), old).unwrap();
        assert!(old.on && old.nopass && old.all_keys && old.all_commands);
        let new = |keys: &str, selectors: Reply| {
            Reply::Array(vec![
                text("flags"),
                list(&["on", "sanitize-payload"]),
                text("commands"),
                text("-@all +get"),
                text("keys"),
                text(keys),
                text("selectors"),
                selectors,
            ])
        };
        let none = || Reply::Array(vec![]);
        let user = rights_of("b".into(), new("~cache:* ~*", none())).unwrap();
        assert!(user.on && !user.nopass && user.all_keys && !user.all_commands);
        let selector = |commands: &str| list(&["commands", commands, "keys", "~*", "channels", ""]);
        let full = new(
            "~a",
            Reply::Array(vec![selector("-@all +get"), selector("+@all")]),
        );
        let user = rights_of("c".into(), full).unwrap();
        assert!(user.all_keys && user.all_commands);
        // what is not understood is not known
        assert!(rights_of("d".into(), none()).is_none());
        assert!(rights_of("e".into(), new("~a", text("odd"))).is_none());
        assert!(rights_of("f".into(), new("~a", Reply::Array(vec![none()]))).is_none());
    }
}
