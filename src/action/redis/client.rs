//! [`Link`]: one connection to a Redis server, for one call.
//!
//! It logs in, chooses the database and names itself before the first command, so that everything
//! that fails until then is known to have changed nothing. A link that failed is not used again.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{ConnectionAddr, Pipeline, RedisError, Value};
use tokio::task::JoinHandle;

use super::address::Address;
use super::dial::connect;
use super::fence::{Fence, Passage};
use super::meter::Meter;
use super::trouble::{self, Effect};
use crate::action::pause::{Deadline, timeout};
use crate::action::{ActionError, Call, Context, ReadContext};
use crate::event::{Cause, Outcome};
use crate::runbook::units::human_bytes;

/// The largest reply that is taken.
pub(super) const REPLY_MAX: u64 = 64 << 20;
/// The same for what goes to a file piece by piece: Redis holds no larger value.
pub(super) const VALUE_MAX: u64 = 1 << 30;
/// How long a reply may take when nothing says.
const REPLY: Duration = Duration::from_secs(30);
/// Longest wait for a link that was opened ahead to show that it still answers.
const ANSWER: Duration = Duration::from_secs(2);
/// How long it may take for commands that are known to take long.
const LONG_REPLY: Duration = Duration::from_secs(24 * 3600);

/// One connection.
pub(super) struct Link {
    connection: MultiplexedConnection,
    driver: Option<JoinHandle<()>>,
    meter: Arc<Meter>,
    /// Where it leads.
    pub address: Address,
    deadline: Option<Deadline>,
    patience: Duration,
    reply_max: u64,
    /// There when the link is for reading: what may be sent.
    fence: Option<Fence>,
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.abort();
        }
    }
}

impl Link {
    /// Connects to the call's target.
    pub async fn open(cx: &Context, call: &Call) -> Result<Self, ActionError> {
        Self::open_at(cx, Address::of(call)?).await
    }

    /// Connects to `address`.
    pub async fn open_at(cx: &Context, address: Address) -> Result<Self, ActionError> {
        let limit = cx.time_left(address.connect);
        let peer = address.peer.clone();
        if let Some(mut link) = cx.clients.redis.take(&address) {
            link.deadline = cx.deadline;
            let named = link.name(&cx.idempotency_key);
            if let Ok(Ok(())) = timeout(limit.min(ANSWER), named).await {
                // of the same place, but perhaps with other words for it
                link.address = address;
                return Ok(link);
            }
        }
        let opened = async {
            let mut link = Self::dial(address).await?;
            link.log_in().await?;
            link.name(&cx.idempotency_key).await?;
            link.patience = link.address.reply.unwrap_or(REPLY);
            link.deadline = cx.deadline;
            Ok(link)
        };
        match timeout(limit, opened).await {
            Ok(result) => result,
            Err(_) => Err(trouble::connect_timeout(&peer, limit)),
        }
    }

    /// Connects to the call's target for a rehearsal: everything that is sent passes a [`Fence`].
    pub async fn open_reading(cx: &ReadContext, call: &Call) -> Result<Self, ActionError> {
        Self::open_reading_at(cx, Address::of(call)?).await
    }

    /// The same at `address`.
    pub async fn open_reading_at(cx: &ReadContext, address: Address) -> Result<Self, ActionError> {
        let limit = cx.time_left(address.connect);
        let peer = address.peer.clone();
        let opened = async {
            let mut link = Self::dial(address).await?;
            link.log_in().await?;
            link.fence = Some(Fence::default());
            link.patience = link.address.reply.unwrap_or(REPLY);
            link.deadline = Some(cx.deadline);
            Ok(link)
        };
        match timeout(limit, opened).await {
            Ok(result) => result,
            Err(_) => Err(trouble::connect_timeout(&peer, limit)),
        }
    }

    async fn dial(address: Address) -> Result<Self, ActionError> {
        let (connection, driver, meter) = connect(&address).await?;
        Ok(Self {
            connection,
            driver,
            meter,
            // until it is ready, the limit around all of this is the only one
            patience: LONG_REPLY,
            deadline: None,
            address,
            reply_max: REPLY_MAX,
            fence: None,
        })
    }

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
    async fn permit<A: AsRef<[u8]>>(&mut self, argv: &[A]) -> Result<(), ActionError> {
        let Some(fence) = &self.fence else {
            return Ok(());
        };
        let words: Vec<Vec<u8>> = argv.iter().map(|word| word.as_ref().to_vec()).collect();
        let mut passage = fence.judge(&words);
        if let Passage::Ask(name) = &passage {
            let asked = ["COMMAND", "INFO", name.as_str()];
            let mut answer = self.send(Effect::Reads, &asked).await?;
            // before Redis 7 the flags of a family stand at its head
            let silent = matches!(&answer, Value::Array(found) if matches!(found.first(), None | Some(Value::Nil)));
            if let (true, Some((family, _))) = (silent, name.split_once('|')) {
                answer = self
                    .send(Effect::Reads, &["COMMAND", "INFO", family])
                    .await?;
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
        let mut command = redis::Cmd::new();
        for arg in argv {
            command.arg(arg.as_ref());
        }
        let verb = verb(argv);
        let limit = self.wait();
        self.meter.allow(self.reply_max);
        let sent = self.connection.send_packed_command(&command);
        let reply = match timeout(limit, sent).await {
            Err(_) => return Err(trouble::timeout(self.peer(), effect, &verb, limit)),
            Ok(Err(error)) => return Err(self.failed(effect, &verb, error)),
            Ok(Ok(reply)) => reply,
        };
        if let Value::ServerError(error) = &reply {
            let detail = error.details().unwrap_or_default();
            return Err(trouble::server(self.peer(), effect, error.code(), detail));
        }
        Ok(reply)
    }

    /// Sends the commands in one go; an error reply stands in its command's place.
    pub async fn ask_many(
        &mut self,
        effect: Effect,
        commands: &[Vec<Vec<u8>>],
    ) -> Result<Vec<Value>, ActionError> {
        let Some(first) = commands.first() else {
            return Ok(Vec::new());
        };
        for argv in commands
            .iter()
            .filter(|_| self.fence.is_some())
            .cloned()
            .collect::<Vec<_>>()
        {
            self.permit(&argv).await?;
        }
        let verb = verb(first);
        let mut pipeline = Pipeline::with_capacity(commands.len());
        for argv in commands {
            let mut command = redis::Cmd::new();
            for arg in argv {
                command.arg(arg.as_slice());
            }
            pipeline.add_command(command);
        }
        let limit = self.wait();
        self.meter.allow(self.reply_max);
        let sent = self
            .connection
            .send_packed_commands(&pipeline, 0, commands.len());
        let replies = match timeout(limit, sent).await {
            Err(_) => return Err(trouble::timeout(self.peer(), effect, &verb, limit)),
            Ok(Err(error)) => return Err(self.failed(effect, &verb, error)),
            Ok(Ok(replies)) => replies,
        };
        if replies.len() == commands.len() {
            Ok(replies)
        } else {
            let reason = "the replies do not match the commands";
            Err(trouble::lost(self.peer(), effect, &verb, reason))
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

    async fn log_in(&mut self) -> Result<(), ActionError> {
        if let Some(password) = &self.address.password {
            let mut auth = redis::cmd("AUTH");
            if let Some(user) = &self.address.user {
                auth.arg(user);
            }
            auth.arg(password);
            self.meter.allow(self.reply_max);
            match self.connection.send_packed_command(&auth).await {
                Ok(Value::ServerError(error)) => {
                    let detail = error.details().unwrap_or_default();
                    return Err(trouble::login(self.peer(), error.code(), detail));
                }
                Ok(_) => {}
                Err(error) => {
                    return Err(match error.into_server_errors().as_deref() {
                        Some([(_, first), ..]) => trouble::login(
                            self.peer(),
                            first.code(),
                            first.details().unwrap_or_default(),
                        ),
                        _ => self.no_start(),
                    });
                }
            }
        }
        if self.address.db != 0 {
            let db = self.address.db.to_string();
            self.ask(Effect::Reads, &["SELECT", db.as_str()])
                .await
                .map_err(|error| {
                    if error.message.contains("out of range") {
                        ActionError::invalid(format!("{} has no database {db}", self.peer()))
                            .hint("see CONFIG GET databases, or name another `db`")
                    } else {
                        error
                    }
                })?;
        }
        Ok(())
    }

    /// Only a name for people who look at CLIENT LIST: a server that refuses it is fine.
    async fn name(&mut self, name: &str) -> Result<(), ActionError> {
        match self
            .ask(Effect::Reads, &["CLIENT", "SETNAME", &clean_name(name)])
            .await
        {
            Err(error) if error.cause == Cause::Unreachable => Err(self.no_start()),
            Err(error) if error.message.contains("NOAUTH") => Err(error),
            Err(error) if !matches!(error.cause, Cause::Failed | Cause::Denied) => Err(error),
            _ => Ok(()),
        }
    }

    fn no_start(&self) -> ActionError {
        let message = format!(
            "{} closed the connection before it could be used",
            self.peer()
        );
        let hint = if matches!(self.address.socket, ConnectionAddr::Tcp(..)) {
            "does that port speak TLS? then write rediss://; or `maxclients` is reached"
        } else {
            "`maxclients` may be reached; see the server's log"
        };
        ActionError::unreachable(message).hint(hint)
    }
}

/// What a message calls a command: its first word, with the second where that says what is done.
pub(super) fn verb<A: AsRef<[u8]>>(argv: &[A]) -> String {
    const FAMILIES: &[&str] = &[
        "ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DEBUG", "FUNCTION", "LATENCY", "MEMORY",
        "MODULE", "OBJECT", "PUBSUB", "SCRIPT", "SLOWLOG", "XGROUP", "XINFO",
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

/// A client name without the spaces and control characters that Redis refuses.
fn clean_name(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '_' })
        .take(128)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fit_for_the_server() {
        assert_eq!(clean_name("ferry:r:a b\n:do"), "ferry:r:a_b_:do");
        assert_eq!(verb(&["config", "get", "x"]), "CONFIG GET");
        assert_eq!(verb(&["get", "x"]), "GET");
    }
}
