//! Connections that were opened before their step: [`reach`] asks whether a server lets us in, and
//! [`Ahead`] lends each of them once. A link that does not answer any more is thrown away.
//!
//! Nothing is kept behind Sentinels and in a Cluster: who is master there may be another one by then,
//! and the old one may still answer.

use std::sync::{Mutex, PoisonError};

use super::address::{Address, Way};
use super::client::Link;
use crate::action::{ActionError, Call, Context};

/// Links that nobody has used yet.
#[derive(Default)]
pub struct Ahead(Mutex<Vec<Link>>);

impl Ahead {
    /// One that leads to the same place, as the same user, into the same database.
    pub(super) fn take(&self, address: &Address) -> Option<Link> {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = links
            .iter()
            .position(|link| link.address.leads_to(address))?;
        Some(links.swap_remove(at))
    }

    fn keep(&self, link: Link) {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.push(link);
    }
}

/// Connects to the call's target, logs in, and keeps the connection for the first step that needs it.
///
/// # Errors
/// Why there is no connection.
pub async fn reach(cx: &Context, call: &Call) -> Result<(), ActionError> {
    let address = Address::of_target(call)?;
    let lasting = matches!(address.way, Way::Direct);
    let link = Link::open_at(cx, address).await?;
    if lasting {
        cx.clients.redis.keep(link);
    }
    Ok(())
}
