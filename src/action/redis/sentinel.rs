//! From Sentinels to the server that they watch, anew for every connection: whoever is named has to
//! say itself that it has the role. [`open`] is what links use, [`ask_one`] what the probe uses too.
//!
//! After the guidelines for clients: the Sentinels are asked in turn, each for a bounded time, and
//! when the server that one names is not there or is not what it was named for, the next one is asked
//! first in another round. Rounds are few: that a failover is going on is for the caller to know.

use std::collections::HashMap;
use std::time::Duration;

use redis::Value;

use super::address::{Address, Sentinels};
use super::client::Link;
use super::open::Who;
use super::reply;
use super::trouble::Effect;
use crate::action::ActionError;
use crate::action::pause::{Deadline, sleep};
use crate::event::{Cause, Outcome};
use crate::runbook::address::{host_port, split_host};

/// How often the Sentinels are asked for one connection.
const ROUNDS: usize = 3;
/// How long between.
const BETWEEN: Duration = Duration::from_millis(250);
/// The longest that one Sentinel is waited for.
const ONE: Duration = Duration::from_secs(1);

/// A server as a Sentinel names it.
pub(super) type Named = (String, u16);

/// Connects to the server that the Sentinels name.
pub(super) async fn open(
    who: &Who,
    address: &Address,
    sentinels: &Sentinels,
) -> Result<Link, ActionError> {
    let until = Deadline::after(who.time_left(address.connect));
    let mut round = 0;
    loop {
        let (named, by) = resolve(who, address, sentinels, round, until).await?;
        let word = match sentinels.replica {
            false => format!("{} at", sentinels.master),
            true => format!("replica of {} at", sentinels.master),
        };
        let mut server = address.server(&word, (&named.0, named.1));
        server.connect = until.left();
        let arrived = arrive(who, server, sentinels.replica).await;
        round += 1;
        match arrived {
            Ok(mut link) => {
                link.address.connect = address.connect;
                return Ok(link);
            }
            Err(error) if !matches!(error.cause, Cause::Unreachable | Cause::Timeout) => {
                return Err(error);
            }
            Err(error) if round >= ROUNDS || until.left() <= BETWEEN => {
                return Err(error.hint(format!(
                    "sentinel {by} names it; a failover may be under way, see `redis.sentinel`"
                )));
            }
            Err(_) => sleep(BETWEEN).await,
        }
    }
}

/// Connects to a server, which has to say that it has the role.
async fn arrive(who: &Who, server: Address, replica: bool) -> Result<Link, ActionError> {
    let mut link = Link::direct(who, server).await?;
    let mut fields = match link.ask(Effect::Reads, &["ROLE"]).await? {
        Value::Array(fields) => fields.into_iter(),
        _ => Vec::new().into_iter(),
    };
    let role = fields.next().map(reply::text);
    let (wanted, is) = match replica {
        false => ("master", "master"),
        true => ("replica", "slave"),
    };
    if role.as_deref() == Some(is) {
        // host and port of the master come between
        let state = fields.nth(2).map(reply::text).unwrap_or_default();
        if !replica || state == "connected" {
            return Ok(link);
        }
        let message = format!(
            "{} does not follow its master: the link is in state `{state}`",
            link.peer()
        );
        return Err(ActionError::unreachable(message));
    }
    let role = match role.as_deref() {
        Some("slave") => "replica",
        Some(role) => role,
        None => "nothing",
    };
    let message = format!("{} is not a {wanted}: it says `{role}`", link.peer());
    Err(ActionError::unreachable(message))
}

/// Asks the Sentinels in turn, beginning with another one in each round; who was named, by whom.
async fn resolve(
    who: &Who,
    address: &Address,
    sentinels: &Sentinels,
    round: usize,
    until: Deadline,
) -> Result<(Named, String), ActionError> {
    let count = sentinels.hosts.len();
    let share = address.connect / u32::try_from(count + 1).unwrap_or(u32::MAX);
    let mut says = Vec::new();
    for at in 0..count {
        let (host, port) = &sentinels.hosts[(round + at) % count];
        let place = host_port(host, *port);
        let mut at = of(address, sentinels, (host, *port));
        at.connect = ONE.min(share).min(until.left());
        match name_one(who, at, sentinels).await {
            Ok(named) => return Ok((named, place)),
            Err(error) => says.push((place, error)),
        }
    }
    Err(nobody(address, &says))
}

/// Where one Sentinel is.
pub(super) fn of(address: &Address, sentinels: &Sentinels, place: (&str, u16)) -> Address {
    Address {
        user: sentinels.user.clone(),
        password: sentinels.password.clone(),
        db: 0,
        ..address.server("sentinel", place)
    }
}

/// What one Sentinel names.
async fn name_one(who: &Who, at: Address, sentinels: &Sentinels) -> Result<Named, ActionError> {
    let reply_in = at.connect;
    let mut link = Link::direct(&who.reading(), at).await?;
    link.patience = link.patience.min(reply_in);
    let name = sentinels.master.as_str();
    if sentinels.replica {
        let replicas = ask_one(&mut link, &["SENTINEL", "REPLICAS", name]).await?;
        let mut up: Vec<Named> = maps(replicas).iter().filter_map(usable).collect();
        up.sort_unstable();
        let none = || {
            let message = format!(
                "{} knows no replica that is up and follows its master",
                link.peer()
            );
            ActionError::unreachable(message)
        };
        return up.into_iter().next().ok_or_else(none);
    }
    master_of(&mut link, name).await
}

/// The master that a Sentinel names to clients.
pub(super) async fn master_of(link: &mut Link, name: &str) -> Result<Named, ActionError> {
    let asked = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name];
    let named = match ask_one(link, &asked).await? {
        Value::Array(parts) => parts.into_iter().map(reply::text).collect(),
        _ => Vec::new(),
    };
    match named.as_slice() {
        [host, port] => port.parse().ok().map(|port| (host.clone(), port)),
        _ => None,
    }
    .ok_or_else(|| unknown(link, name, &[]))
}

/// Asks a Sentinel; that it does not know the master is an error that names those that it knows.
pub(super) async fn ask_one(link: &mut Link, argv: &[&str; 3]) -> Result<Value, ActionError> {
    let answer = match link.ask(Effect::Reads, argv).await {
        Ok(Value::Nil) => None,
        Ok(answer) => Some(answer),
        Err(error) if error.message.contains("No such master") => None,
        Err(error) if error.message.contains("unknown command") => {
            let message = format!("{} is no sentinel", link.peer());
            return Err(ActionError::invalid(message).hint("name a sentinel's port, such as 26379"));
        }
        Err(error) => return Err(error),
    };
    if let Some(answer) = answer {
        return Ok(answer);
    }
    let all = link.ask(Effect::Reads, &["SENTINEL", "MASTERS"]).await;
    let names: Vec<String> = maps(all.unwrap_or(Value::Nil))
        .into_iter()
        .filter_map(|mut master| master.remove("name"))
        .collect();
    Err(unknown(link, argv[2], &names))
}

fn unknown(link: &Link, name: &str, known: &[String]) -> ActionError {
    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    let known = match known.is_empty() {
        true => "no master".to_owned(),
        false => known.join(", "),
    };
    ActionError::invalid(format!(
        "{} does not know a master `{name}`: it watches {known}",
        link.peer()
    ))
}

/// No Sentinel named a server; what each of them said.
pub(super) fn nobody(address: &Address, says: &[(String, ActionError)]) -> ActionError {
    let all = |cause: Cause| says.iter().all(|(_, error)| error.cause == cause);
    let any = |cause: Cause| says.iter().find(|(_, error)| error.cause == cause);
    let answered = says
        .iter()
        .any(|(_, error)| !matches!(error.cause, Cause::Unreachable | Cause::Timeout));
    let what = if all(Cause::Invalid) {
        "no sentinel knows this master"
    } else if answered {
        "no sentinel named the server"
    } else {
        "no sentinel answered"
    };
    let message = format!("{}: {what}: {}", address.peer, each(says));
    if let Some((_, denied)) = any(Cause::Denied) {
        return ActionError::new(Cause::Denied, Outcome::NotApplied, message)
            .hint(
                "sentinels have users of their own: `sentinel_user` and `sentinel_password` beside \
                 the address",
            )
            .retryable(denied.retryable);
    }
    match all(Cause::Invalid) {
        true => ActionError::invalid(message)
            .hint("the name behind the hosts is the one of `sentinel monitor`"),
        false => ActionError::unreachable(message)
            .hint("are the sentinels started, and do they listen on these addresses and ports?"),
    }
}

/// What each of several servers said, without repeating the target.
pub(super) fn each(says: &[(String, ActionError)]) -> String {
    let says: Vec<String> = says
        .iter()
        .map(|(place, error)| {
            let text = match error.message.split_once(&format!("{place})")) {
                Some((_, text)) => text.trim_start_matches(':').trim_start(),
                None => error.message.as_str(),
            };
            format!("{place} {text}")
        })
        .collect();
    says.join("; ")
}

/// Whether a replica answers its Sentinel, and follows its master.
pub(super) fn is_up(replica: &HashMap<String, String>) -> bool {
    let down = ["s_down", "o_down", "disconnected"];
    let follows = replica
        .get("master-link-status")
        .is_some_and(|link| link == "ok");
    let flags = replica.get("flags");
    follows && flags.is_some_and(|flags| !flags.split(',').any(|flag| down.contains(&flag)))
}

/// Host and port of a replica that is up.
fn usable(replica: &HashMap<String, String>) -> Option<Named> {
    if !is_up(replica) {
        return None;
    }
    let host = replica.get("ip")?;
    split_host(&host_port(host, replica.get("port")?.parse().ok()?), 0)
}

/// A list of mappings, each of which comes as a flat list of names and values.
pub(super) fn maps(answer: Value) -> Vec<HashMap<String, String>> {
    let Value::Array(items) = answer else {
        return Vec::new();
    };
    items.into_iter().map(map).collect()
}

/// One mapping.
pub(super) fn map(answer: Value) -> HashMap<String, String> {
    match answer {
        Value::Map(pairs) => pairs
            .into_iter()
            .map(|(name, value)| (reply::text(name), reply::text(value)))
            .collect(),
        Value::Array(items) => {
            let mut texts = items.into_iter().map(reply::text);
            let mut found = HashMap::new();
            while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
                found.insert(name, value);
            }
            found
        }
        _ => HashMap::new(),
    }
}
