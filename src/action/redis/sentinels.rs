//! `redis.sentinel`: what the Sentinels say of a master, asked one by one. Where they differ, or too
//! few answer, the answer is null or false, never the one that fits.

use std::collections::HashMap;

use async_trait::async_trait;
use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::address::{Address, Way};
use super::client::Link;
use super::open::Who;
use super::sentinel::{self, ask_one, map, maps};
use super::trouble::Effect;
use crate::action::{Action, ActionError, Call, Context, ReadContext, Rehearsed, params};
use crate::event::Cause;
use crate::runbook::address::host_port;
use crate::runbook::catalog::always_reading;
use crate::runbook::{Spec, TargetKind};

/// Which master.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// The name under which the Sentinels watch it; needed when the target is the plain address of a
    /// Sentinel, `redis://host:26379`.
    #[serde(default)]
    master: Option<String>,
}

/// The action.
pub(super) struct Sentinel;

static SPEC: Spec = Spec {
    targets: &[TargetKind::Redis],
    class: always_reading,
    short: Some("master"),
    results: &[
        (
            "master",
            "the master, such as 10.0.0.5:6379; null when the answers differ",
        ),
        (
            "agree",
            "true: all that were asked answer, and name the same master; false: answers differ; null: one did not answer, or only one was asked",
        ),
        ("quorum", "how many have to agree that the master is down"),
        (
            "quorum_ok",
            "whether enough of them are there to agree and to fail over (CKQUORUM), as all that answer say",
        ),
        ("known", "sentinels that know of each other"),
        ("asked", "sentinels that were asked"),
        ("answered", "those of them that answered"),
        ("replicas", "replicas of the master that are known"),
        (
            "replicas_up",
            "those of them that are up and whose link to the master is",
        ),
        ("flags", "what any of them marks the master with"),
        ("s_down", "whether one of them takes the master for down"),
        ("o_down", "whether a quorum takes it for down"),
        ("failover_in_progress", "whether a failover is under way"),
        (
            "config_epoch",
            "the number of the last failover that is known",
        ),
        (
            "nodes",
            "each sentinel that was asked: node, answers, master, quorum_ok, says",
        ),
    ],
    ..Spec::of::<Params>(
        "redis.sentinel",
        "ask the sentinels for the master, the quorum and the replicas",
    )
};

#[async_trait]
impl Action for Sentinel {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn describe(&self, _: &Call) -> String {
        "ask the sentinels for their master".into()
    }

    async fn execute(&self, cx: &Context, call: &Call) -> Result<Value, ActionError> {
        look(&Who::acting(cx).reading(), call).await
    }

    async fn rehearse(&self, cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
        look(&Who::reading_in(cx), call).await.map(Rehearsed::Read)
    }
}

/// What one Sentinel said.
struct Said {
    /// The master that it names to clients: late in a failover already the new one.
    names: String,
    master: HashMap<String, String>,
    replicas: Vec<HashMap<String, String>>,
    others: Vec<HashMap<String, String>>,
    quorum: Result<(), String>,
}

/// One Sentinel's place, and what came of asking it.
type Asked = (String, Result<Said, ActionError>);

async fn look(who: &Who, call: &Call) -> Result<Value, ActionError> {
    let params: Params = params(&SPEC, call)?;
    let address = Address::of(call)?;
    let (name, places) = match &address.way {
        Way::Sentinel(sentinels) => {
            let at =
                |(host, port): &(String, u16)| sentinel::of(&address, sentinels, (host, *port));
            let places = sentinels.hosts.iter().map(at).collect();
            let name = params.master.unwrap_or_else(|| sentinels.master.clone());
            (name, places)
        }
        _ => {
            let name = params.master.ok_or_else(|| {
                ActionError::invalid("`redis.sentinel` needs a `master`")
                    .hint("or a target such as redis+sentinel://host:26379,host:26379/MASTERNAME")
            })?;
            (name, vec![address.clone()])
        }
    };
    let mut asked = ask_all(who, places, &name).await;
    if let (Way::Direct, [(_, Ok(said))]) = (&address.way, asked.as_slice()) {
        // one that stands alone in the address names the others
        let others = said.others.iter().filter_map(place_of);
        let others = others.map(|(host, port)| address.server("sentinel", (&host, port)));
        let others = others.collect();
        asked.extend(ask_all(who, others, &name).await);
    }
    if asked.iter().all(|(_, said)| said.is_err()) {
        let mut says = Vec::new();
        for (place, said) in asked {
            says.extend(said.err().map(|error| (place, error)));
        }
        return Err(match (&address.way, says.pop()) {
            (Way::Direct, Some((_, error))) => error,
            (_, last) => {
                says.extend(last);
                sentinel::nobody(&address, &says)
            }
        });
    }
    Ok(summary(&asked))
}

async fn ask_all(who: &Who, places: Vec<Address>, name: &str) -> Vec<Asked> {
    let each = places.into_iter().map(async |address| {
        let place = address.place.clone();
        (place, ask(who, address, name).await)
    });
    join_all(each).await
}

async fn ask(who: &Who, address: Address, name: &str) -> Result<Said, ActionError> {
    let mut link = Link::direct(who, address).await?;
    let master = ask_one(&mut link, &["SENTINEL", "MASTER", name]).await?;
    let (host, port) = sentinel::master_of(&mut link, name).await?;
    let replicas = ask_one(&mut link, &["SENTINEL", "REPLICAS", name]).await?;
    let others = ask_one(&mut link, &["SENTINEL", "SENTINELS", name]).await?;
    let quorum = match link
        .ask(Effect::Reads, &["SENTINEL", "CKQUORUM", name])
        .await
    {
        Ok(_) => Ok(()),
        Err(error) => match error.message.split_once("NOQUORUM") {
            Some((_, why)) => Err(why.trim().to_owned()),
            None => return Err(error),
        },
    };
    Ok(Said {
        names: host_port(&host, port),
        master: map(master),
        replicas: maps(replicas),
        others: maps(others),
        quorum,
    })
}

fn place_of(server: &HashMap<String, String>) -> Option<(String, u16)> {
    let host = server.get("ip").filter(|host| !host.is_empty())?;
    Some((host.clone(), server.get("port")?.parse().ok()?))
}

fn flags(server: &HashMap<String, String>) -> impl Iterator<Item = &str> {
    server
        .get("flags")
        .into_iter()
        .flat_map(|all| all.split(','))
}

/// What they say together; at least one of them answered.
fn summary(asked: &[Asked]) -> Value {
    let answers: Vec<&Said> = asked
        .iter()
        .filter_map(|(_, said)| said.as_ref().ok())
        .collect();
    // to know nothing of the master is an answer too
    let strangers = asked
        .iter()
        .filter(|(_, said)| matches!(said, Err(error) if error.cause == Cause::Invalid))
        .count();
    let answered = answers.len() + strangers;
    let mut masters: Vec<&str> = answers.iter().map(|said| said.names.as_str()).collect();
    masters.dedup();
    let same = masters.len() == 1 && strangers == 0;
    let agree = match (same, answered == asked.len() && answered > 1) {
        (false, _) => Some(false),
        (true, true) => Some(true),
        (true, false) => None,
    };
    let int = |said: &Said, name: &str| -> Option<i64> { said.master.get(name)?.parse().ok() };
    let most = |name: &str| answers.iter().filter_map(|said| int(said, name)).max();
    let quorums: Option<Vec<i64>> = answers.iter().map(|said| int(said, "quorum")).collect();
    let quorum = quorums.filter(|all| all.windows(2).all(|two| two[0] == two[1]));
    let mut marks: Vec<&str> = answers
        .iter()
        .flat_map(|said| flags(&said.master))
        .collect();
    marks.sort_unstable();
    marks.dedup();
    // what one sees and another does not is in doubt, so the least counts
    let ups = answers.iter().map(|said| {
        said.replicas
            .iter()
            .filter(|one| sentinel::is_up(one))
            .count()
    });
    let nodes = asked.iter().map(|(place, said)| match said {
        Ok(said) => json!({
            "node": place,
            "answers": true,
            "master": said.names,
            "quorum_ok": said.quorum.is_ok(),
            "says": said.quorum.as_ref().err(),
        }),
        Err(error) => json!({
            "node": place,
            "answers": error.cause == Cause::Invalid,
            "master": null,
            "quorum_ok": null,
            "says": error.message,
        }),
    });
    json!({
        "master": masters.first().filter(|_| same),
        "agree": agree,
        "quorum": quorum.and_then(|all| all.first().copied()),
        "quorum_ok": answers.iter().all(|said| said.quorum.is_ok()),
        "known": most("num-other-sentinels").map(|others| others + 1),
        "asked": asked.len(),
        "answered": answered,
        "replicas": answers.iter().map(|said| said.replicas.len()).max(),
        "replicas_up": ups.min(),
        "flags": marks,
        "s_down": marks.contains(&"s_down"),
        "o_down": marks.contains(&"o_down"),
        "failover_in_progress": marks.contains(&"failover_in_progress"),
        "config_epoch": most("config-epoch"),
        "nodes": nodes.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(ip: &str, marks: &str, quorum: bool) -> Said {
        let fields = |pairs: &[(&str, &str)]| {
            let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            pairs.iter().map(pair).collect::<HashMap<_, _>>()
        };
        Said {
            names: format!("{ip}:1"),
            master: fields(&[
                ("flags", marks),
                ("quorum", "2"),
                ("num-other-sentinels", "2"),
            ]),
            replicas: vec![
                fields(&[("flags", "slave"), ("master-link-status", "ok")]),
                fields(&[("flags", "s_down,slave"), ("master-link-status", "ok")]),
                fields(&[("flags", "slave"), ("master-link-status", "err")]),
            ],
            others: Vec::new(),
            quorum: if quorum { Ok(()) } else { Err("few".into()) },
        }
    }

    fn of(all: Vec<Result<Said, ActionError>>) -> Value {
        let asked: Vec<Asked> = all.into_iter().map(|said| ("s:1".into(), said)).collect();
        summary(&asked)
    }

    #[test]
    fn only_all_of_them_agree() {
        let good = || Ok(said("a", "master", true));
        let seen = of(vec![good(), good(), good()]);
        assert_eq!(
            (&seen["agree"], &seen["master"]),
            (&json!(true), &json!("a:1"))
        );
        assert_eq!(
            (&seen["known"], &seen["replicas_up"]),
            (&json!(3), &json!(1))
        );
        let silent = || Err(ActionError::unreachable("down"));
        let seen = of(vec![good(), good(), silent()]);
        assert_eq!(
            (&seen["agree"], &seen["answered"]),
            (&Value::Null, &json!(2))
        );
        assert_eq!(of(vec![good()])["agree"], Value::Null);
        let seen = of(vec![good(), Ok(said("b", "master,s_down", false))]);
        assert_eq!(
            (&seen["agree"], &seen["master"]),
            (&json!(false), &Value::Null)
        );
        assert_eq!(
            (&seen["s_down"], &seen["quorum_ok"]),
            (&json!(true), &json!(false))
        );
        let stranger = Err(ActionError::invalid("does not know it"));
        assert_eq!(of(vec![good(), stranger])["agree"], false);
    }
}
