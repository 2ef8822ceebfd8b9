//! Orders from other terminals: rows of the store's inbox, fetched while the engine runs.
//!
//! A row is consumed in the same commit as the events that it causes, so each is taken once, also
//! when an engine dies in between: the next one finds it there.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::event::{Order, Parking};
use crate::run::InputKind;
use crate::store::{InboxItem, Store, StoreError};

/// How often it is looked for; a person does not notice it.
const EVERY: Duration = Duration::from_millis(200);

/// An order as it lies in the inbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Letter {
    /// What.
    pub order: Order,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What the person at this engine's terminal says.
#[derive(Clone, Debug)]
pub enum Said {
    /// An order.
    Order(Letter),
    /// Nothing now: the run stands still and waits for people.
    Leave,
}

/// The person at the terminal, if there is one.
pub(super) struct Desk {
    who: String,
    said: Option<mpsc::UnboundedReceiver<Said>>,
}

impl Desk {
    pub(super) fn new(who: String, said: Option<mpsc::UnboundedReceiver<Said>>) -> Self {
        Self { who, said }
    }

    /// What they say next.
    pub(super) async fn next(&mut self) -> InputKind {
        if let Some(said) = &mut self.said {
            match said.recv().await {
                Some(Said::Order(Letter { order, reason })) => {
                    let by = self.who.clone();
                    return InputKind::Order { by, order, reason };
                }
                Some(Said::Leave) => {
                    return InputKind::Stop {
                        reason: Parking::Question,
                    };
                }
                // nobody is there any more
                None => self.said = None,
            }
        }
        std::future::pending().await
    }
}

/// What comes in, with the number of its row; `None` for what cannot be read.
pub(super) type Mail = (u64, Option<InputKind>);

/// Fetches what comes while the engine runs.
pub(super) struct Fetching {
    mail: mpsc::UnboundedReceiver<Mail>,
    task: tokio::task::JoinHandle<()>,
}

impl Fetching {
    /// The next order.
    pub(super) async fn next(&mut self) -> Mail {
        match self.mail.recv().await {
            Some(mail) => mail,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts to fetch what comes after row `last`.
pub(super) fn fetch(store: Arc<dyn Store>, run: String, mut last: u64) -> Fetching {
    let (to, mail) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVERY).await;
            // a store that cannot be read now can be read later, and the commits say what is wrong
            let Ok(items) = store.inbox(&run).await else {
                continue;
            };
            for item in items {
                if item.id <= last {
                    continue;
                }
                last = item.id;
                if to.send(read(item)).is_err() {
                    return;
                }
            }
        }
    });
    Fetching { mail, task }
}

/// What was sent while no engine was there.
pub(super) async fn waiting(store: &dyn Store, run: &str) -> Result<Vec<Mail>, StoreError> {
    let items = store.inbox(run).await?;
    Ok(items.into_iter().map(read).collect())
}

fn read(item: InboxItem) -> Mail {
    let order = serde_json::from_value(item.body).ok();
    let order = order.map(|Letter { order, reason }| InputKind::Order {
        by: item.from,
        order,
        reason,
    });
    (item.id, order)
}
