//! How a [`Link`] comes to be: the way to its server, the login, the database, the name.
//!
//! Whatever fails here is known to have changed nothing. Where the address names several servers,
//! [`super::sentinel`] and [`super::cluster`] find the one that is meant.

use std::time::Duration;

use redis::{ConnectionAddr, Value};

use super::address::{Address, Way};
use super::client::{LONG_REPLY, Link, REPLY_MAX};
use super::dial::connect;
use super::fence::Fence;
use super::trouble::{self, Effect};
use super::{cluster, sentinel};
use crate::action::pause::{Deadline, timeout};
use crate::action::{ActionError, Call, Context, ReadContext};
use crate::event::Cause;

/// How long a reply may take when nothing says.
const REPLY: Duration = Duration::from_secs(30);
/// Longest wait for a link that was opened ahead to show that it still answers.
const ANSWER: Duration = Duration::from_secs(2);

/// For whom a link is opened.
#[derive(Clone)]
pub(super) struct Who {
    /// What the connection is called on the server; without one it is for reading, and fenced.
    name: Option<String>,
    deadline: Option<Deadline>,
}

impl Who {
    /// For a step.
    pub(super) fn acting(cx: &Context) -> Self {
        Self {
            name: Some(cx.idempotency_key.clone()),
            deadline: cx.deadline,
        }
    }

    /// For a rehearsal.
    pub(super) fn reading_in(cx: &ReadContext) -> Self {
        Self {
            name: None,
            deadline: Some(cx.deadline),
        }
    }

    /// The same, for reading only.
    pub fn reading(&self) -> Self {
        Self {
            name: None,
            ..self.clone()
        }
    }

    /// Time left until the deadline, at most `longest`.
    pub fn time_left(&self, longest: Duration) -> Duration {
        self.deadline
            .map_or(longest, |deadline| deadline.left().min(longest))
    }
}

impl Link {
    /// Connects to the call's target.
    pub async fn open(cx: &Context, call: &Call) -> Result<Self, ActionError> {
        Self::open_at(cx, Address::of(call)?).await
    }

    /// Connects to `address`.
    pub async fn open_at(cx: &Context, address: Address) -> Result<Self, ActionError> {
        if let Way::Direct = address.way
            && let Some(mut link) = cx.clients.redis.take(&address)
        {
            let limit = cx.time_left(address.connect);
            link.deadline = cx.deadline;
            let named = link.name(&cx.idempotency_key);
            if let Ok(Ok(())) = timeout(limit.min(ANSWER), named).await {
                // of the same place, but perhaps with other words for it
                link.address = address;
                return Ok(link);
            }
        }
        Self::find(&Who::acting(cx), address).await
    }

    /// Connects to the call's target for a rehearsal: everything that is sent passes a [`Fence`].
    pub async fn open_reading(cx: &ReadContext, call: &Call) -> Result<Self, ActionError> {
        Self::open_reading_at(cx, Address::of(call)?).await
    }

    /// The same at `address`.
    pub async fn open_reading_at(cx: &ReadContext, address: Address) -> Result<Self, ActionError> {
        Self::find(&Who::reading_in(cx), address).await
    }

    async fn find(who: &Who, address: Address) -> Result<Self, ActionError> {
        match address.way.clone() {
            Way::Direct => Self::direct(who, address).await,
            Way::Sentinel(sentinels) => sentinel::open(who, &address, &sentinels).await,
            Way::Cluster(hosts) => cluster::open(who, &address, &hosts).await,
        }
    }

    /// Connects to the one server of `address`.
    pub(super) async fn direct(who: &Who, address: Address) -> Result<Self, ActionError> {
        let limit = who.time_left(address.connect);
        let peer = address.peer.clone();
        let opened = async {
            let mut link = Self::dial(who, address).await?;
            link.log_in().await?;
            match &who.name {
                Some(name) => link.name(name).await?,
                None => link.fence = Some(Fence::default()),
            }
            link.patience = link.address.reply.unwrap_or(REPLY);
            link.deadline = who.deadline;
            Ok(link)
        };
        match timeout(limit, opened).await {
            Ok(result) => result,
            Err(_) => Err(trouble::connect_timeout(&peer, limit)),
        }
    }

    async fn dial(who: &Who, address: Address) -> Result<Self, ActionError> {
        let (connection, driver, meter) = connect(&address).await?;
        Ok(Self {
            connection,
            driver,
            meter,
            // until it is ready, the limit around all of this is the only one
            patience: LONG_REPLY,
            deadline: None,
            address,
            who: who.clone(),
            reply_max: REPLY_MAX,
            fence: None,
            others: None,
        })
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
    }
}
