//! `redis.security`: how a server is locked, in booleans and words. It never reads out a password or
//! a hash of one, and what the user may not ask is null, never false.

mod asker;
mod commands;
mod users;

use std::collections::BTreeSet;

use async_trait::async_trait;
use redis::{ConnectionAddr, Value as Reply};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Link;
use super::trouble::{self, Effect};
use super::{dial, reply};
use crate::action::pause::timeout;
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::runbook::catalog::always_reading;
use crate::runbook::{Spec, TargetKind};
use asker::Asker;
use commands::commands;
use users::{counts, default_user, users};

/// Most commands that are looked at.
const COMMANDS: usize = 50;

/// What to ask beside the usual.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Commands that should be out of reach, up to 50.
    #[serde(default = "dangerous")]
    commands: Vec<String>,
}

fn dangerous() -> Vec<String> {
    [
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG",
        "DEBUG",
        "KEYS",
        "SHUTDOWN",
        "REPLICAOF",
        "MODULE",
        "MIGRATE",
        "SWAPDB",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The action.
pub(super) struct Security;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    class: always_reading,
    results: &[
        (
            "asks_for_password",
            "whether somebody without a password is turned away, as tried",
        ),
        (
            "requirepass",
            "whether `requirepass` is set; null when the user may not ask",
        ),
        ("user", "who ferry is here; null when the user may not ask"),
        (
            "default_user",
            "{on, nopass, all_keys, all_commands} of the user `default`; null when the user may not ask",
        ),
        (
            "users",
            "{total, on, nopass, all_keys, all_commands}: how many; the last three count users that are on; null when the user may not ask",
        ),
        (
            "commands",
            "for each dangerous command: `allowed` to ferry's user, `denied` to it, `absent` (renamed or removed), `disabled` by the configuration, or null when it is not known",
        ),
        (
            "allowed",
            "those that are allowed; null when one of them is not known",
        ),
        (
            "bind",
            "addresses the server listens on; null when the user may not ask",
        ),
        (
            "loopback_only",
            "whether these are all of this machine; null as `bind`",
        ),
        (
            "protected_mode",
            "whether it is on; null when the user may not ask",
        ),
        (
            "plain_port",
            "the port without TLS; 0: none; null when the user may not ask",
        ),
        (
            "tls_port",
            "the port with TLS; 0: none; null when the user may not ask, or the server has no TLS",
        ),
        ("tls_used", "whether ferry itself came by TLS"),
        ("not_asked", "what the user was refused to ask"),
    ],
    ..Spec::of::<Params>(
        "redis.security",
        "read how a server is locked: passwords, users, commands, addresses, TLS",
    )
};

fn checked(call: &Call) -> Result<Params, ActionError> {
    let mut params: Params = params(&SPEC, call)?;
    let plain = |name: &String| {
        !name.is_empty()
            && name.len() <= 40
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    if params.commands.len() > COMMANDS || !params.commands.iter().all(plain) {
        let message = format!("`redis.security`: `commands` is up to {COMMANDS} names of commands");
        return Err(ActionError::invalid(message));
    }
    params
        .commands
        .iter_mut()
        .for_each(|name| name.make_ascii_uppercase());
    Ok(params)
}

#[async_trait]
impl Action for Security {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, _: &Call) -> String {
        "read how the server is locked".into()
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let params = checked(call)?;
        read(Link::open(cx, call).await?, &params).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let params = checked(call)?;
        let link = Link::open_reading(cx, call).await?;
        read(link, &params).await.map(Rehearsed::Read)
    }
}

async fn read(link: Link, params: &Params) -> Result<Value, ActionError> {
    let asks = asks_for_password(&link).await?;
    let tls_used = matches!(link.address.socket, ConnectionAddr::TcpTls { .. });
    let mut asker = Asker {
        link,
        refused: BTreeSet::new(),
    };
    let user = asker
        .one("ACL WHOAMI", &["ACL", "WHOAMI"])
        .await?
        .map(reply::text);
    let requirepass = asker
        .setting("requirepass")
        .await?
        .map(|password| !password.is_empty());
    let bind = asker.setting("bind").await?;
    let protected = asker.setting("protected-mode").await?;
    let plain = asker.setting("port").await?;
    let tls = asker.setting("tls-port").await?;
    let users = users(&mut asker).await?;
    let mine = user.as_ref().zip(users.as_ref());
    let mine = mine.and_then(|(name, users)| users.iter().find(|user| user.name == *name));
    let all_mine = mine.is_some_and(|user| user.all_commands);
    let commands = commands(&mut asker, &params.commands, user.as_deref(), all_mine).await?;
    let allowed: Option<Vec<&String>> = match commands.values().any(Value::is_null) {
        true => None,
        false => Some(
            commands
                .iter()
                .filter(|(_, state)| *state == "allowed")
                .map(|(name, _)| name)
                .collect(),
        ),
    };
    let bind: Option<Vec<String>> =
        bind.map(|list| list.split_whitespace().map(str::to_owned).collect());
    let number = |port: Option<String>| port.and_then(|port| port.parse::<u16>().ok());
    Ok(json!({
        "asks_for_password": asks,
        "requirepass": requirepass,
        "user": user,
        "default_user": users.as_ref().and_then(|users| default_user(users)),
        "users": users.as_ref().map(|users| counts(users)),
        "commands": commands,
        "allowed": allowed,
        "loopback_only": bind.as_ref().map(|bind| loopback_only(bind)),
        "bind": bind,
        "protected_mode": protected.map(|mode| mode == "yes"),
        "plain_port": number(plain),
        "tls_port": number(tls),
        "tls_used": tls_used,
        "not_asked": asker.refused,
    }))
}

/// Tries it: a connection that does not log in.
async fn asks_for_password(link: &Link) -> Result<bool, ActionError> {
    let address = &link.address;
    let asked = async {
        let (mut connection, driver, meter) = dial::connect(address).await?;
        meter.allow(1 << 16);
        let answer = connection.send_packed_command(&redis::cmd("PING")).await;
        if let Some(driver) = driver {
            driver.abort();
        }
        match answer {
            Ok(Reply::ServerError(error)) => Ok(error.code() == "NOAUTH"),
            Ok(_) => Ok(false),
            Err(error) => match error.code() {
                Some(code) => Ok(code == "NOAUTH"),
                // protected mode and the like: turned away as well, but not for the password
                None => Err(trouble::lost(
                    &address.peer,
                    Effect::Reads,
                    "PING",
                    &error.to_string(),
                )),
            },
        }
    };
    match timeout(address.connect, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(trouble::connect_timeout(&address.peer, address.connect)),
    }
}

/// Whether all are of the machine itself. Without any, a server listens everywhere.
fn loopback_only(bind: &[String]) -> bool {
    let loopback = |address: &String| {
        let address = address.trim_start_matches('-');
        address == "localhost"
            || address
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    };
    !bind.is_empty() && bind.iter().all(loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_listens() {
        let only = |bind: &str| {
            let list: Vec<String> = bind.split_whitespace().map(str::to_owned).collect();
            loopback_only(&list)
        };
        assert!(only("127.0.0.1 -::1"));
        assert!(only("127.0.0.7"));
        for open in ["", "*", "* -::*", "0.0.0.0", "127.0.0.1 10.0.0.1"] {
            assert!(!only(open), "{open}");
        }
    }
}
