//! One JSON message to a webhook outside of any step, by the clients that `http` has.

use std::time::Duration;

use serde_json::Value;

use super::client::{self, Pool, Way};
use super::{request, words};

/// Posts JSON to an absolute URL within `timeout`.
///
/// # Errors
/// In words, without the URL's path, which is as good as a password.
pub async fn tell(url: &str, body: &Value, timeout: Duration) -> Result<(), String> {
    let url = request::absolute(url)?;
    let way = Way {
        tls: url.scheme() == "https",
        insecure: false,
        ca: None,
        allow_hosts: Vec::new(),
        connect_timeout: client::connect_timeout(timeout),
    };
    let host = request::host_port(&url);
    let client = Pool::default().client(&way)?;
    let sent = client.post(url).json(body).timeout(timeout).send().await;
    let answer = sent.map_err(|error| match error.is_timeout() {
        true => format!("{host} did not answer within {} s", timeout.as_secs()),
        false => format!("{host}: {}", words::innermost(&error.without_url())),
    })?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("{host} answered with {}", status.as_u16())),
    }
}
