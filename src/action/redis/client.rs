//! [`Link`]: one connection to a Redis server, for one call.
//!
//! It is opened in [`super::open`], so that everything that fails until it is there is known to have
//! changed nothing. A link that failed is not used again. Into a Cluster, it follows redirections
//! ([`super::cluster`]); elsewhere it stays where it is.

mod batch;

pub(super) use batch::Batch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};
use tokio::task::JoinHandle;

use super::address::Address;
use super::fence::{Fence, Passage};
use super::meter::Meter;
use super::open::Who;
use super::trouble::{self, Effect};
use crate::action::ActionError;
use crate::action::pause::{Deadline, timeout};
use crate::event::{Cause, Outcome};
use crate::runbook::units::human_bytes;

/// The largest reply that is taken.
pub(super) const REPLY_MAX: u64 = 64 << 20;
/// The same for what goes to a file piece by piece: Redis holds no larger value.
pub(super) const VALUE_MAX: u64 = 1 << 30;
/// How long it may take for commands that are known to take long.
pub(super) const LONG_REPLY: Duration = Duration::from_secs(24 * 3600);

/// One connection.
pub(super) struct Link {
    pub(super) connection: MultiplexedConnection,
    pub(super) driver: Option<JoinHandle<()>>,
    pub(super) meter: Arc<Meter>,
    /// Where it leads: to one server, also when the target's address names several.
    pub address: Address,
    /// For whom, should another one have to be opened.
    pub(super) who: Who,
    pub(super) deadline: Option<Deadline>,
    pub(super) patience: Duration,
    pub(super) reply_max: u64,
    /// There when the link is for reading: what may be sent.
    pub(super) fence: Option<Fence>,
    /// There when it leads into a Cluster: links to other nodes of it, by their place.
    pub(super) others: Option<HashMap<String, Link>>,
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.abort();
        }
    }
}

impl Link {
    /// For commands that may take as long as the attempt, unless the target has a `timeout`.
    pub fn patient(&mut self) {
        self.patience = self.address.reply.unwrap_or(LONG_REPLY);
    }

    /// For replies that are written away at once.
    pub fn large_replies(&mut self) {
        self.reply_max = VALUE_MAX;
    }

    /// `` `cache` (127.0.0.1:6379) ``.
    pub fn peer(&self) -> &str {
        &self.address.peer
    }

    /// Sends one command and waits for its reply.
    pub async fn ask<A: AsRef<[u8]>>(
        &mut self,
        effect: Effect,
        argv: &[A],
    ) -> Result<Value, ActionError> {
        self.permit(argv).await?;
        self.send(effect, argv).await
    }

    /// Stops what may not be sent from here. Only a link for reading has something to say.
    pub(super) async fn permit<A: AsRef<[u8]>>(&mut self, argv: &[A]) -> Result<(), ActionError> {
        let Some(fence) = &self.fence else {
            return Ok(());
        };
        let words: Vec<Vec<u8>> = argv.iter().map(|word| word.as_ref().to_vec()).collect();
        let mut passage = fence.judge(&words);
        if let Passage::Ask(name) = &passage {
            let asked = ["COMMAND", "INFO", name.as_str()];
            let mut answer = self.exchange(Effect::Reads, &asked).await?;
            self.accepted(Effect::Reads, &answer)?;
            // before Redis 7 the flags of a family stand at its head
            let silent = matches!(&answer, Value::Array(found) if matches!(found.first(), None | Some(Value::Nil)));
            if let (true, Some((family, _))) = (silent, name.split_once('|')) {
                let asked = ["COMMAND", "INFO", family];
                answer = self.exchange(Effect::Reads, &asked).await?;
                self.accepted(Effect::Reads, &answer)?;
            }
            if let Some(fence) = &mut self.fence {
                fence.learn(name, &answer);
                passage = fence.judge(&words);
            }
        }
        match passage {
            Passage::Free => Ok(()),
            _ => Err(ActionError::new(
                Cause::Denied,
                Outcome::NotApplied,
                format!(
                    "`{}` is not sent to {} in a rehearsal: it is not known to only read",
                    verb(argv),
                    self.peer()
                ),
            )),
        }
    }

    async fn send<A: AsRef<[u8]>>(
        &mut self,
        effect: Effect,
        argv: &[A],
    ) -> Result<Value, ActionError> {
        let mut reply = self.exchange(effect, argv).await?;
        if self.others.is_some() {
            reply = self.follow(effect, argv, reply).await?;
        }
        self.accepted(effect, &reply)?;
        Ok(reply)
    }

    /// An error reply as an error.
    fn accepted(&self, effect: Effect, reply: &Value) -> Result<(), ActionError> {
        let Value::ServerError(error) = reply else {
            return Ok(());
        };
        let detail = error.details().unwrap_or_default();
        Err(trouble::server(self.peer(), effect, error.code(), detail))
    }

    /// Sends one command to this server; its error reply is a reply.
    pub(super) async fn exchange<A: AsRef<[u8]>>(
        &mut self,
        effect: Effect,
        argv: &[A],
    ) -> Result<Value, ActionError> {
        let mut command = redis::Cmd::new();
        for arg in argv {
            command.arg(arg.as_ref());
        }
        let verb = verb(argv);
        let limit = self.wait();
        self.meter.allow(self.reply_max);
        let sent = self.connection.send_packed_command(&command);
        match timeout(limit, sent).await {
            Err(_) => Err(trouble::timeout(self.peer(), effect, &verb, limit)),
            Ok(Err(error)) => Err(self.failed(effect, &verb, error)),
            Ok(Ok(reply)) => Ok(reply),
        }
    }

    fn wait(&self) -> Duration {
        self.deadline
            .map_or(self.patience, |deadline| deadline.left().min(self.patience))
    }

    fn failed(&self, effect: Effect, verb: &str, error: RedisError) -> ActionError {
        if self.meter.exceeded() {
            return ActionError::limit(
                effect.with_reply(),
                format!(
                    "{} sent a reply to `{verb}` of more than {}",
                    self.peer(),
                    human_bytes(self.reply_max)
                ),
            )
            .hint("ask for less: a range, SCAN with COUNT, a single field");
        }
        let text = error.to_string();
        match error.into_server_errors().as_deref() {
            Some([(_, first), ..]) => trouble::server(
                self.peer(),
                effect,
                first.code(),
                first.details().unwrap_or_default(),
            ),
            _ => trouble::lost(self.peer(), effect, verb, &text),
        }
    }
}

/// What a message calls a command: its first word, with the second where that says what is done.
pub(super) fn verb<A: AsRef<[u8]>>(argv: &[A]) -> String {
    const FAMILIES: &[&str] = &[
        "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY",
        "MODULE", "OBJECT", "PUBSUB", "SCRIPT", "SENTINEL", "SLOWLOG", "XGROUP", "XINFO",
    ];
    let word = |at: usize| {
        argv.get(at)
            .map(|arg| String::from_utf8_lossy(arg.as_ref()).to_uppercase())
    };
    match (word(0), word(1)) {
        (Some(first), Some(second)) if FAMILIES.contains(&first.as_str()) => {
            format!("{first} {second}")
        }
        (first, _) => first.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_called_by_what_it_does() {
        assert_eq!(verb(&["config", "get", "x"]), "CONFIG GET");
        assert_eq!(verb(&["get", "x"]), "GET");
    }
}
