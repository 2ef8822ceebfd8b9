//! `redis.clients`: who is connected, folded: by name, host, user and library; blocked, idle, with how
//! much output waiting. No client is named by its port, so that two looks can be compared.

use std::cmp::Reverse;
use std::collections::HashMap;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::Link;
use super::trouble::Effect;
use super::{glob, reply, rights};
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::event::Cause;
use crate::runbook::catalog::always_reading;
use crate::runbook::{Spec, TargetKind};

/// How many names, hosts, users and libraries are told apart.
const SHOWN: usize = 100;

/// Which clients.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Only clients of this name.
    #[serde(default)]
    name: Option<String>,
    /// Only clients whose name fits this pattern, such as `worker-*`.
    #[serde(default, rename = "match")]
    pattern: Option<String>,
}

/// The action.
pub(super) struct Clients;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    short: Some("name"),
    class: always_reading,
    sense: |params| match params.get("name").is_some() && params.get("match").is_some() {
        true => Err("`name` or `match`, not both".into()),
        false => Ok(()),
    },
    results: &[
        ("total", "all clients, this one among them"),
        (
            "count",
            "clients that fit `name` or `match`: the other figures are about these",
        ),
        ("blocked", "clients that wait in a blocking command"),
        ("in_multi", "clients inside MULTI"),
        ("pubsub", "clients that listen to a channel or a pattern"),
        ("monitors", "clients in MONITOR"),
        ("replicas", "links to replicas"),
        (
            "by_name",
            "clients by name, such as by_name.worker; \"\": those without one",
        ),
        ("by_host", "clients by the host of their address"),
        ("by_user", "clients by ACL user"),
        ("by_library", "clients by library; empty before Redis 7.2"),
        (
            "not_shown",
            "clients that are in none of the 100 largest entries: {by_name, by_host, by_user, by_library}",
        ),
        (
            "longest_idle_s",
            "seconds since the last command of the one that is idle longest; null without clients",
        ),
        ("longest_idle_name", "its name; null without clients"),
        (
            "biggest_output_bytes",
            "the largest output buffer that waits for one client; null without clients",
        ),
        ("biggest_output_name", "its name; null without clients"),
        (
            "maxclients",
            "the server's limit; null when it does not say",
        ),
        (
            "share",
            "total / maxclients, 0 to 1; null when the limit is not known",
        ),
    ],
    ..Spec::of::<Params>("redis.clients", "count who is connected, and how")
};

#[async_trait]
impl Action for Clients {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, _: &Call) -> String {
        "read who is connected".into()
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        let params: Params = params(&SPEC, call)?;
        read(Link::open(cx, call).await?, &params).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        let params: Params = params(&SPEC, call)?;
        let link = Link::open_reading(cx, call).await?;
        read(link, &params).await.map(Rehearsed::Read)
    }
}

async fn read(mut link: Link, params: &Params) -> Result<Value, ActionError> {
    let answer = link.ask(Effect::Reads, &["CLIENT", "LIST"]).await;
    let answer = answer.map_err(|error| rights::named(error, &link, "CLIENT LIST"))?;
    let list = reply::text(answer);
    let limit = match super::info::read(&mut link, &["clients"]).await {
        Ok(info) => info.get("maxclients").and_then(Value::as_u64),
        Err(error) if error.cause == Cause::Denied => None,
        Err(error) => return Err(error),
    };
    Ok(fold(&list, params, limit))
}

/// What the lines of CLIENT LIST come to.
#[derive(Default)]
struct Fold {
    count: u64,
    blocked: u64,
    in_multi: u64,
    pubsub: u64,
    monitors: u64,
    replicas: u64,
    /// By name, host, user, library.
    by: [HashMap<String, u64>; 4],
    idle: Option<(u64, String)>,
    output: Option<(u64, String)>,
}

impl Fold {
    fn add(&mut self, client: &HashMap<&str, &str>) {
        let text = |field: &str| client.get(field).copied().unwrap_or_default();
        let number = |field: &str| text(field).parse::<i64>().unwrap_or(0);
        let size = |field: &str| text(field).parse::<u64>().unwrap_or(0);
        let flags = text("flags");
        let is = |yes: bool| u64::from(yes);
        self.count += 1;
        self.blocked += is(flags.contains('b'));
        // -1: outside of MULTI
        self.in_multi += is(client.contains_key("multi") && number("multi") >= 0);
        self.pubsub += is(number("sub") + number("psub") + number("ssub") > 0);
        self.monitors += is(flags.contains('O'));
        self.replicas += is(flags.contains('S') && !flags.contains('O'));
        let host = text("addr").rsplit_once(':').map_or("", |(host, _)| host);
        let names = [text("name"), host, text("user"), text("lib-name")];
        for (by, name) in self.by.iter_mut().zip(names) {
            *by.entry(name.to_owned()).or_default() += 1;
        }
        let name = text("name");
        for (most, value) in [
            (&mut self.idle, size("idle")),
            (&mut self.output, size("omem")),
        ] {
            if most.as_ref().is_none_or(|(so_far, _)| value > *so_far) {
                *most = Some((value, name.to_owned()));
            }
        }
    }
}

/// The largest entries, and how many clients are in none of them.
fn largest(by: HashMap<String, u64>) -> (Map<String, Value>, u64) {
    let mut order: Vec<(String, u64)> = by.into_iter().collect();
    order.sort_unstable_by(|(a, n), (b, m)| (Reverse(n), a).cmp(&(Reverse(m), b)));
    let rest = order.iter().skip(SHOWN).map(|(_, n)| n).sum();
    let shown = order.into_iter().take(SHOWN);
    (shown.map(|(name, n)| (name, json!(n))).collect(), rest)
}

#[expect(clippy::cast_precision_loss, reason = "a share of counts")]
fn fold(list: &str, params: &Params, limit: Option<u64>) -> Value {
    let (mut total, mut fold) = (0_u64, Fold::default());
    for line in list.lines().filter(|line| !line.is_empty()) {
        let client: HashMap<&str, &str> = line
            .split(' ')
            .filter_map(|field| field.split_once('='))
            .collect();
        total += 1;
        let name = client.get("name").copied().unwrap_or_default();
        let fits = params.name.as_ref().is_none_or(|wanted| wanted == name)
            && params
                .pattern
                .as_ref()
                .is_none_or(|pattern| glob::matches(pattern.as_bytes(), name.as_bytes()));
        if fits {
            fold.add(&client);
        }
    }
    let [names, hosts, users, mut libraries] = fold.by;
    libraries.remove("");
    let [names, hosts, users, libraries] = [names, hosts, users, libraries].map(largest);
    let (idle_s, idle_name) = fold.idle.unzip();
    let (output, output_name) = fold.output.unzip();
    json!({
        "total": total,
        "count": fold.count,
        "blocked": fold.blocked,
        "in_multi": fold.in_multi,
        "pubsub": fold.pubsub,
        "monitors": fold.monitors,
        "replicas": fold.replicas,
        "by_name": names.0,
        "by_host": hosts.0,
        "by_user": users.0,
        "by_library": libraries.0,
        "not_shown": {
            "by_name": names.1, "by_host": hosts.1, "by_user": users.1, "by_library": libraries.1,
        },
        "longest_idle_s": idle_s,
        "longest_idle_name": idle_name,
        "biggest_output_bytes": output,
        "biggest_output_name": output_name,
        "maxclients": limit,
        "share": limit.filter(|limit| *limit > 0).map(|limit| total as f64 / limit as f64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_folded() {
        let list = "id=3 addr=127.0.0.1:5 name=web age=9 idle=7 flags=N sub=0 psub=0 ssub=0 multi=-1 omem=0 user=default lib-name=x\n\
                    id=4 addr=[::1]:5 name=web-2 age=9 idle=90 flags=bx sub=1 psub=0 multi=2 omem=20512 user=ana\n\
                    id=5 addr=10.0.0.1:6 name= age=9 idle=0 flags=S sub=0 psub=0 multi=-1 omem=3 user=default\n";
        let all = fold(list, &serde_json::from_value(json!({})).unwrap(), Some(30));
        assert_eq!((&all["total"], &all["count"]), (&json!(3), &json!(3)));
        assert_eq!(all["by_name"], json!({ "": 1, "web": 1, "web-2": 1 }));
        assert_eq!(
            all["by_host"],
            json!({ "10.0.0.1": 1, "127.0.0.1": 1, "[::1]": 1 })
        );
        assert_eq!(all["by_user"], json!({ "default": 2, "ana": 1 }));
        assert_eq!(all["by_library"], json!({ "x": 1 }));
        assert_eq!((&all["blocked"], &all["in_multi"]), (&json!(1), &json!(1)));
        assert_eq!((&all["pubsub"], &all["replicas"]), (&json!(1), &json!(1)));
        assert_eq!(all["longest_idle_s"], 90);
        assert_eq!(all["longest_idle_name"], "web-2");
        assert_eq!(all["biggest_output_bytes"], 20_512);
        assert_eq!(all["share"], json!(0.1));
        let none = json!({ "name": "nobody" });
        let none = fold(list, &serde_json::from_value(none).unwrap(), None);
        assert_eq!((&none["total"], &none["count"]), (&json!(3), &json!(0)));
        assert_eq!(none["longest_idle_s"], Value::Null);
        assert_eq!(none["share"], Value::Null);
        let some = json!({ "match": "web*" });
        let some = fold(list, &serde_json::from_value(some).unwrap(), None);
        assert_eq!(some["count"], 2);
    }

    #[test]
    fn what_is_beyond_the_limit_is_said() {
        use std::fmt::Write as _;
        let list = (0..150).fold(String::new(), |mut list, n| {
            let _ = writeln!(list, "id={n} addr=127.0.0.1:{n} name=n{n} flags=N user=u");
            list
        });
        let found = fold(&list, &serde_json::from_value(json!({})).unwrap(), None);
        assert_eq!(found["by_name"].as_object().unwrap().len(), SHOWN);
        assert_eq!(found["not_shown"]["by_name"], 50);
    }
}
