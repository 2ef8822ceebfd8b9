//! Whether a target can be reached and lets us in, asked without doing anything there: [`reach`].
//!
//! The connection is kept for the first step that needs it. Only targets that keep connections are
//! asked; whether an HTTP service answers is for the steps to judge.

use super::{ActionError, Call, Context, redis, sql};
use crate::runbook::TargetKind;

/// Connects to the call's target and logs in.
///
/// # Errors
/// Why that does not work; nothing was done.
pub async fn reach(cx: &Context, call: &Call) -> Result<(), ActionError> {
    match call.target.as_ref().map(|target| target.kind) {
        Some(TargetKind::Redis) => redis::reach(cx, call).await,
        Some(TargetKind::Postgres | TargetKind::Mysql | TargetKind::Sqlite) => {
            sql::reach(cx, call).await
        }
        Some(TargetKind::Http | TargetKind::Prometheus | TargetKind::Host) | None => Ok(()),
    }
}
