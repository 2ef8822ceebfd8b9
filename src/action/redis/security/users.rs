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
            Some(answer) => users.push(rights_of(name, answer)),
            None => return Ok(None),
        }
    }
    Ok(Some(users))
}

/// Reads ACL GETUSER.
fn rights_of(name: String, answer: Reply) -> User {
    let mut fields: Vec<(String, Reply)> = match answer {
        Reply::Map(pairs) => pairs
            .into_iter()
            .map(|(name, value)| (reply::text(name), value))
            .collect(),
        Reply::Array(items) => {
            let mut items = items.into_iter();
            let mut fields = Vec::new();
            while let (Some(name), Some(value)) = (items.next(), items.next()) {
                fields.push((reply::text(name), value));
            }
            fields
        }
        _ => Vec::new(),
    };
    let mut words = |field: &str| -> Vec<String> {
        let at = fields.iter().position(|(name, _)| name == field);
        match at.map(|at| fields.swap_remove(at).1) {
            Some(Reply::Array(items) | Reply::Set(items)) => {
                items.into_iter().map(reply::text).collect()
            }
            Some(text) => reply::text(text).split(' ').map(str::to_owned).collect(),
            None => Vec::new(),
        }
    };
    let (flags, keys, commands) = (words("flags"), words("keys"), words("commands"));
    let has = |flag: &str| flags.iter().any(|found| found == flag);
    User {
        name,
        on: has("on"),
        nopass: has("nopass"),
        // flags before Redis 7, patterns since
        all_keys: has("allkeys") || keys.iter().any(|key| key == "~*" || key == "*"),
        all_commands: has("allcommands") || commands == ["+@all"],
    }
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
        let old = rights_of("a".into(), old);
        assert!(old.on && old.nopass && old.all_keys && old.all_commands);
        let new = Reply::Array(vec![
            text("flags"),
            list(&["on", "sanitize-payload"]),
            text("commands"),
            text("-@all +get"),
            text("keys"),
            text("~cache:* ~*"),
        ]);
        let new = rights_of("b".into(), new);
        assert!(new.on && !new.nopass && new.all_keys && !new.all_commands);
        let none = rights_of("c".into(), Reply::Array(vec![]));
        assert!(!none.on && !none.all_keys && !none.all_commands);
    }
}
