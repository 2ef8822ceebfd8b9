//! One question to the API of a target, for other actions that speak HTTP: [`get_json`].

use serde_json::{Map, Value};

use super::exchange::{exchange, exchange_reading};
use super::params::{Params, Size};
use super::request::Request;
use crate::action::{ActionError, Call, Context, ReadContext};

/// Who asks.
#[derive(Clone, Copy)]
pub enum Asker<'a> {
    Run(&'a Context),
    Rehearsal(&'a ReadContext),
}

/// What the API said.
pub struct Said {
    /// The status code.
    pub status: u16,
    /// The body, or why it is not JSON.
    pub json: Result<Value, String>,
    /// The target and `host:port`, for messages.
    pub place: String,
}

/// Sends a GET for `path` at the call's target, with its headers and certificates; whatever the status
/// is. Only HTTPS and HTTP, redirects are not followed.
///
/// # Errors
/// When no whole answer came; nothing was done.
pub async fn get_json(
    asker: Asker<'_>,
    call: &Call,
    path: &str,
    query: Map<String, Value>,
) -> Result<Said, ActionError> {
    let params = Params {
        get: Some(path.to_owned()),
        query,
        follow: 0,
        max_body: Size(16 << 20),
        ..Params::default()
    };
    let request = Request::new("ferry:reading", call, &params)?;
    let answer = match asker {
        Asker::Run(cx) => exchange(cx, &request).await,
        Asker::Rehearsal(cx) => exchange_reading(cx, &request).await,
    }?;
    Ok(Said {
        status: answer.status.as_u16(),
        json: super::json::strict(&answer.body),
        place: request.place(&answer.url),
    })
}
