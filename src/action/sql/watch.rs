//! Ending a database call in order: [`Stopper::watch`] cancels the statement on the server when the
//! run stops it or its deadline passes, and waits a little for the answer that says what happened.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::client::{Endpoint, Handle};
use crate::action::{ActionError, Context, pause};
use crate::event::{Cause, Outcome};
use crate::runbook::TargetKind;

/// Cancels a session's statement.
pub struct Stopper {
    at: Arc<Endpoint>,
    handle: Handle,
}

impl Stopper {
    pub(super) fn new(at: Arc<Endpoint>, handle: Handle) -> Self {
        Self { at, handle }
    }

    /// Where the session is.
    pub fn at(&self) -> &Endpoint {
        &self.at
    }

    async fn stop(&self) {
        let (sql, id) = match &self.handle {
            Handle::Flag(flag) => return flag.store(true, Ordering::Relaxed),
            Handle::Server(id) if self.at.kind == TargetKind::Postgres => {
                (format!("select pg_cancel_backend({id})"), *id)
            }
            Handle::Server(id) => (format!("kill query {id}"), *id),
        };
        if id == 0 {
            return;
        }
        if let Some(mut conn) = self.at.aside().await {
            // when it fails the session is dropped, which ends it later
            let _ = conn.run(&sql).await;
            conn.close().await;
        }
    }

    /// Runs `work` until it ends, the run stops it, or its deadline passes; then its statement is
    /// cancelled and the answer awaited for a little, because the answer says what happened.
    /// `Err` when it did not come, or came and was a failure.
    ///
    /// # Errors
    /// The reason for the end and, when there was one, the answer.
    pub async fn watch<T, E>(
        &self,
        cx: &Context,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Ended<E>> {
        tokio::pin!(work);
        let mut stop = cx.stop.clone();
        let why = tokio::select! {
            answer = &mut work => return answer.map_err(|error| Ended { why: None, answer: Some(error) }),
            _ = stop.above(crate::action::Stop::No) => Cause::Stopped,
            () = pause::passed(cx.deadline) => Cause::Timeout,
        };
        let waited = tokio::time::timeout(Duration::from_secs(2).min(cx.kill_after), async {
            tokio::join!(self.stop(), &mut work).1
        })
        .await;
        match waited {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Ended {
                why: Some(why),
                answer: Some(error),
            }),
            Err(_) => Err(Ended {
                why: Some(why),
                answer: None,
            }),
        }
    }
}

/// How watched work failed.
pub struct Ended<E> {
    /// Stopped or out of time; `None` when it failed by itself.
    pub why: Option<Cause>,
    /// What it said; `None` when it gave no answer.
    pub answer: Option<E>,
}

impl Ended<ActionError> {
    /// The error with its true reason; without an answer the outcome is `silent`.
    pub fn into_error(self, at: &Endpoint, silent: Outcome) -> ActionError {
        let text = match self.why {
            Some(Cause::Stopped) => "stopped",
            _ => "not done within its timeout",
        };
        match (self.why, self.answer) {
            (None, Some(error)) => error,
            (why, answer) => {
                let mut error = ActionError::new(
                    why.unwrap_or(Cause::Timeout),
                    answer.as_ref().map_or(silent, |error| error.outcome),
                    format!("{}: {text}", at.label()),
                );
                if why == Some(Cause::Stopped) {
                    error.retryable = false;
                }
                error
            }
        }
    }
}
