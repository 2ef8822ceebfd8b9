//! A link into a Cluster: the first node that can be used, redirections followed from there, and a
//! link to every master for what is summed over all of them ([`Link::masters`]).
//!
//! No map of slots is kept: the nodes know better, and the link stays where it was sent last. A
//! redirection says that nothing was done, so following it repeats nothing.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use redis::Value;

use super::address::Address;
use super::client::{Link, verb};
use super::open::Who;
use super::reply;
use super::sentinel::each;
use super::trouble::{self, Effect};
use crate::action::ActionError;
use crate::action::pause::Deadline;
use crate::event::{Cause, Outcome};
use crate::runbook::address::{host_port, split_host};

/// How many redirections are followed for one command.
const REDIRECTIONS: usize = 5;
/// How many slots a Cluster has.
const SLOTS: i64 = 16_384;
/// The longest that one of several nodes is waited for.
const ONE: Duration = Duration::from_secs(2);

/// Commands without a key that reach all nodes, whichever gets them.
const OF_ALL_NODES: &[&str] = &["PUBLISH"];

/// Commands that answer for the node that gets them, and read as if they answered for all.
const OF_ONE_NODE: &[&str] = &["KEYS", "RANDOMKEY", "SCAN"];

/// Connects to the first node that can be used.
pub(super) async fn open(
    who: &Who,
    address: &Address,
    hosts: &[(String, u16)],
) -> Result<Link, ActionError> {
    let until = Deadline::after(who.time_left(address.connect));
    let mut says = Vec::new();
    for (host, port) in hosts {
        let mut node = address.server("cluster node", (host, *port));
        if hosts.len() > 1 {
            node.connect = ONE.min(until.left());
        }
        let place = node.place.clone();
        let opened = async {
            let mut link = Link::direct(who, node).await?;
            whole(&mut link).await?;
            Ok::<_, ActionError>(link)
        };
        match opened.await {
            Ok(mut link) => {
                link.address.connect = address.connect;
                link.others = Some(HashMap::new());
                return Ok(link);
            }
            Err(error) if matches!(error.cause, Cause::Denied | Cause::Invalid) => {
                return Err(error);
            }
            Err(error) => says.push((place, error)),
        }
    }
    let message = |what: &str| format!("{}: {what}: {}", address.peer, each(&says));
    let down = says.iter().any(|(_, error)| error.cause == Cause::Failed);
    Err(match down {
        true => ActionError::failed(Outcome::NotApplied, message("it cannot be used"))
            .retryable(true)
            .hint("see CLUSTER INFO and CLUSTER NODES on a node of it"),
        false => ActionError::unreachable(message("no node answered"))
            .hint("are the nodes started, and do they listen on these addresses and ports?"),
    })
}

/// Whether the node sees a Cluster of which every slot is served.
async fn whole(link: &mut Link) -> Result<(), ActionError> {
    let answer = match link.ask(Effect::Reads, &["CLUSTER", "INFO"]).await {
        Err(error) if error.message.contains("cluster support disabled") => {
            let message = format!("{} is not a node of a Cluster", link.peer());
            return Err(ActionError::invalid(message).hint("write redis:// for a single server"));
        }
        answer => reply::text(answer?),
    };
    let field = |name: &str| {
        answer
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    let number = |name: &str| field(name).and_then(|value| value.parse::<i64>().ok());
    let state = field("cluster_state").unwrap_or("unknown");
    let failed = number("cluster_slots_fail").unwrap_or(0);
    let served = number("cluster_slots_assigned").unwrap_or(0) - failed;
    if state == "ok" && served == SLOTS {
        return Ok(());
    }
    let message = format!(
        "{} says that cluster_state is {state}, and that {} of {SLOTS} slots are not served",
        link.peer(),
        SLOTS - served
    );
    Err(ActionError::failed(Outcome::NotApplied, message).retryable(true))
}

/// Where a node sends a command.
struct Redirection {
    place: (String, u16),
    /// Only this command, while the slot is being moved.
    once: bool,
}

impl Redirection {
    /// Reads `MOVED 3999 127.0.0.1:6381`; without a host, it is the one of the node that said it.
    fn of(reply: &Value, from: &Address) -> Option<Self> {
        let Value::ServerError(error) = reply else {
            return None;
        };
        let once = match error.code() {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let (_, place) = error.details()?.split_once(' ')?;
        let place = match place.trim().rsplit_once(':')? {
            ("" | "?", port) => (from.host.clone(), port.parse().ok()?),
            (host, port) => (host.to_owned(), port.parse().ok()?),
        };
        Some(Self { place, once })
    }
}

impl Link {
    /// Whether it leads into a Cluster.
    pub fn in_cluster(&self) -> bool {
        self.others.is_some()
    }

    /// Follows redirections until a node answers otherwise; the link stays at that node.
    pub(super) async fn follow<A: AsRef<[u8]>>(
        &mut self,
        effect: Effect,
        argv: &[A],
        mut reply: Value,
    ) -> Result<Value, ActionError> {
        for _ in 0..REDIRECTIONS {
            let Some(to) = Redirection::of(&reply, &self.address) else {
                return Ok(reply);
            };
            self.turn_to(to.place, &verb(argv)).await?;
            self.permit(argv).await?;
            if to.once {
                // for the next command of this connection, which is ours alone
                self.exchange(Effect::Reads, &["ASKING"]).await?;
            }
            reply = self.exchange(effect, argv).await?;
        }
        if Redirection::of(&reply, &self.address).is_none() {
            return Ok(reply);
        }
        let message = format!(
            "{} sent `{}` on, after {REDIRECTIONS} redirections",
            self.peer(),
            verb(argv)
        );
        let error = ActionError::failed(Outcome::NotApplied, message).retryable(true);
        Err(error.hint("the nodes do not agree on who has the slot: see CLUSTER NODES"))
    }

    /// Makes this the link to another node. Boxed, since opening a link sends commands.
    fn turn_to<'l>(
        &'l mut self,
        (host, port): (String, u16),
        verb: &'l str,
    ) -> Pin<Box<dyn Future<Output = Result<(), ActionError>> + Send + 'l>> {
        Box::pin(async move {
            let place = host_port(&host, port);
            if place == self.address.place {
                return Ok(());
            }
            let known = self.others.as_mut().and_then(|all| all.remove(&place));
            let mut next = match known {
                Some(link) => link,
                None => {
                    self.lists(&place, verb).await?;
                    let node = self.address.server("cluster node", (&host, port));
                    Self::direct(&self.who, node).await?
                }
            };
            next.patience = self.patience;
            next.reply_max = self.reply_max;
            next.others = self.others.take();
            let before = std::mem::replace(self, next);
            if let Some(others) = &mut self.others {
                others.insert(before.address.place.clone(), before);
            }
            Ok(())
        })
    }

    /// Refuses a place that the node does not list: nobody is told the password who is not of the
    /// Cluster.
    async fn lists(&mut self, place: &str, verb: &str) -> Result<(), ActionError> {
        let answer = self.exchange(Effect::Reads, &["CLUSTER", "NODES"]).await?;
        let nodes = reply::text(answer);
        // `id ip:port@bus,hostname flags ...`
        let listed = nodes
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .any(|node| {
                let (at, names) = node.split_once('@').unwrap_or((node, ""));
                let Some((ip, port)) = at.rsplit_once(':') else {
                    return false;
                };
                let hostname = names.split(',').nth(1).unwrap_or_default();
                [ip, hostname].iter().any(|host| {
                    let port = port.parse().unwrap_or_default();
                    !host.is_empty() && host_port(host, port) == place
                })
            });
        if listed {
            return Ok(());
        }
        let message = format!(
            "{} sends `{verb}` to {place}, which is no node of the Cluster that it lists",
            self.peer()
        );
        Err(ActionError::failed(Outcome::NotApplied, message).hint("see CLUSTER NODES"))
    }

    /// A link to every master, in the order of their slots; outside of a Cluster, this one alone.
    /// None of them follows redirections: each answers for its own server.
    ///
    /// # Errors
    /// When a slot has no master, or a master cannot be reached.
    pub async fn masters(mut self) -> Result<Vec<Self>, ActionError> {
        let Some(mut others) = self.others.take() else {
            return Ok(vec![self]);
        };
        let slots = self.ask(Effect::Reads, &["CLUSTER", "SLOTS"]).await?;
        let owners = owners(&slots, &self.address);
        let served: i64 = owners.iter().map(|(slots, _)| slots).sum();
        if served != SLOTS {
            let message = format!(
                "{} knows no master for {} of {SLOTS} slots",
                self.peer(),
                SLOTS - served
            );
            let error = ActionError::failed(Outcome::NotApplied, message).retryable(true);
            return Err(error.hint("see CLUSTER NODES"));
        }
        let who = self.who.clone();
        let (address, patience) = (self.address.clone(), self.patience);
        others.insert(address.place.clone(), self);
        let mut links: Vec<Self> = Vec::new();
        for (_, (host, port)) in owners {
            let place = host_port(&host, port);
            if links.iter().any(|link| link.address.place == place) {
                continue;
            }
            let mut link = match others.remove(&place) {
                Some(link) => link,
                None => Self::direct(&who, address.server("cluster node", (&host, port))).await?,
            };
            link.patience = patience;
            links.push(link);
        }
        Ok(links)
    }

    /// Refuses what would be done, or told, by one node as if it were the whole Cluster.
    pub async fn suits_cluster(
        &mut self,
        effect: Effect,
        argv: &[Vec<u8>],
    ) -> Result<(), ActionError> {
        if !self.in_cluster() {
            return Ok(());
        }
        let name = verb(argv);
        let peer = self.peer().to_owned();
        let refused = |why: &str, hint: &str| {
            let message = format!("{peer}: `{name}` {why}");
            Err(ActionError::invalid(message).hint(hint))
        };
        if OF_ONE_NODE.contains(&name.as_str()) {
            let why = "would show the keys of one node of the Cluster only";
            return refused(why, "`redis.stats` counts the keys of all masters");
        }
        if effect == Effect::Reads || OF_ALL_NODES.contains(&name.as_str()) {
            return Ok(());
        }
        let keyless = "names no key: it would be carried out on one node of the Cluster only";
        let way_out = "give each master a target of its own, redis://";
        if argv.len() == 1 {
            return refused(keyless, way_out);
        }
        let mut asked = vec![b"COMMAND".to_vec(), b"GETKEYS".to_vec()];
        asked.extend_from_slice(argv);
        let keys = self.exchange(Effect::Reads, &asked).await?;
        let none = match &keys {
            Value::ServerError(error) => error.details().unwrap_or_default().contains("no key"),
            Value::Array(keys) => keys.is_empty(),
            _ => false,
        };
        match none {
            true => refused(keyless, way_out),
            false => Ok(()),
        }
    }

    /// The number of keys of the database; in a Cluster, of all masters together.
    pub async fn size(self) -> Result<i64, ActionError> {
        let mut sum = 0;
        for mut link in self.masters().await? {
            let answer = link.ask(Effect::Reads, &["DBSIZE"]).await?;
            let Some(keys) = reply::int(&answer) else {
                return Err(trouble::lost(
                    link.peer(),
                    Effect::Reads,
                    "DBSIZE",
                    "not a number",
                ));
            };
            sum += keys;
        }
        Ok(sum)
    }
}

/// How many slots, and who has them: CLUSTER SLOTS, in the order of the slots.
fn owners(slots: &Value, from: &Address) -> Vec<(i64, (String, u16))> {
    let Value::Array(ranges) = slots else {
        return Vec::new();
    };
    let mut found: Vec<_> = ranges
        .iter()
        .filter_map(|range| {
            let Value::Array(fields) = range else {
                return None;
            };
            let [
                Value::Int(first),
                Value::Int(last),
                Value::Array(master),
                ..,
            ] = fields.as_slice()
            else {
                return None;
            };
            let host = master.first().cloned().map(reply::text).unwrap_or_default();
            let host = match host.as_str() {
                "" | "?" => from.host.clone(),
                _ => host,
            };
            let port = u16::try_from(reply::int(master.get(1)?)?).ok()?;
            Some((
                *first,
                last - first + 1,
                split_host(&host_port(&host, port), 0)?,
            ))
        })
        .collect();
    found.sort_unstable();
    found
        .into_iter()
        .map(|(_, count, place)| (count, place))
        .collect()
}
