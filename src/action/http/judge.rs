//! What an answer means: its `result`, and whether the call counts as done, not done or unknown.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER, SET_COOKIE};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::exchange::{Answer, after_send};
use super::json;
use super::request::Request;
use crate::action::ActionError;
use crate::event::Outcome;
use crate::runbook::units::human_bytes;

/// Text that a result holds; longer bodies are still judged as JSON and by hash.
const MOST_TEXT: usize = 64 << 10;

/// Turns an answer into the action's result.
///
/// # Errors
/// When the status fails the call; the result is then the evidence.
pub fn judge(request: &Request, answer: &Answer) -> Result<Value, ActionError> {
    let result = result(request, answer);
    let code = answer.status.as_u16();
    let fine = match &request.statuses {
        Some(statuses) => statuses.contains(code),
        None if request.changing => answer.status.is_success(),
        None => true,
    };
    if fine {
        return Ok(result);
    }
    let asked = match &request.statuses {
        Some(statuses) => format!(", asked for {statuses}"),
        None => String::new(),
    };
    let message = format!(
        "{} answered `{} {}` with {}{asked}",
        request.place(&answer.url),
        request.method,
        request.url.path(),
        named(answer.status),
    );
    let error = ActionError::failed(outcome(request, answer), message)
        .retryable(matches!(code, 408 | 425 | 429 | 500 | 502 | 503 | 504))
        .retry_after(retry_after(&answer.headers).map(Duration::from_secs_f64))
        .result(result);
    Err(match code {
        300..400 if request.statuses.is_none() => {
            error.hint("if this answer is meant, list it in `status`")
        }
        _ => error,
    })
}

/// By the contract's table: what the status says about the effect.
fn outcome(request: &Request, answer: &Answer) -> Outcome {
    if !request.changing {
        return Outcome::NotApplied;
    }
    let later = answer.headers.contains_key(RETRY_AFTER);
    match answer.status.as_u16() {
        _ if answer.turned => Outcome::Unknown,
        200..300 => Outcome::Applied,
        429 | 503 if later => Outcome::NotApplied,
        408 | 409 | 425 | 429 => Outcome::Unknown,
        400..500 => Outcome::NotApplied,
        _ => after_send(request),
    }
}

fn named(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn result(request: &Request, answer: &Answer) -> Value {
    let mut map = Map::new();
    map.insert("status".into(), answer.status.as_u16().into());
    map.insert("ok".into(), answer.status.is_success().into());
    map.insert("headers".into(), headers(&answer.headers));
    read_json(request, answer, &mut map);
    read_text(answer, &mut map);
    map.insert("bytes".into(), answer.body.len().into());
    map.insert("sha256".into(), sha256(&answer.body).into());
    map.insert("url".into(), answer.url.as_str().into());
    map.insert("redirects".into(), answer.redirects.into());
    map.insert("insecure".into(), request.insecure.into());
    let ms = |duration: Duration| json!(duration.as_secs_f64() * 1_000.0);
    map.insert("total_ms".into(), ms(answer.total));
    map.insert("ttfb_ms".into(), ms(answer.ttfb));
    if let Some(seconds) = retry_after(&answer.headers) {
        map.insert("retry_after_s".into(), json!(seconds));
    }
    Value::Object(map)
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// JSON where JSON is said or seen. Said and not so: `json` stays absent and `json_error` says why.
fn read_json(request: &Request, answer: &Answer, map: &mut Map<String, Value>) {
    let bodiless = request.method == reqwest::Method::HEAD
        || matches!(answer.status.as_u16(), 100..200 | 204 | 304);
    if bodiless {
        return;
    }
    let kind = answer.headers.get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    let said = kind.ends_with("/json") || kind.ends_with("+json");
    let begins = answer.body.trim_ascii_start().first();
    let seen = matches!(kind.as_str(), "" | "text/plain") && matches!(begins, Some(b'{' | b'['));
    if !said && !seen {
        return;
    }
    match json::strict(&answer.body) {
        Ok(value) => map.insert("json".into(), value),
        Err(why) => map.insert("json_error".into(), why.into()),
    };
}

/// The body as text, whole or not at all: a search in a cut text would prove nothing.
fn read_text(answer: &Answer, map: &mut Map<String, Value>) {
    if answer.body.len() > MOST_TEXT {
        let why = format!(
            "the body of {} is over the limit of {} for text",
            human_bytes(answer.body.len() as u64),
            human_bytes(MOST_TEXT as u64)
        );
        map.insert("text_error".into(), why.into());
        return;
    }
    match std::str::from_utf8(&answer.body) {
        Ok(text) => map.insert("text".into(), text.into()),
        Err(error) => {
            let why = format!("the body is not UTF-8 (byte {})", error.valid_up_to());
            map.insert("text_error".into(), why.into())
        }
    };
}

/// Lower-case names; repeated ones joined. Cookie values are hidden by place.
fn headers(headers: &HeaderMap) -> Value {
    let mut map = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter().map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            if name == SET_COOKIE {
                hide_cookie(&text)
            } else {
                text.into_owned()
            }
        });
        let joined = values.collect::<Vec<_>>().join(", ");
        map.insert(name.as_str().to_owned(), joined.into());
    }
    Value::Object(map)
}

fn hide_cookie(text: &str) -> String {
    let (pair, attributes) = match text.split_once(';') {
        Some((pair, attributes)) => (pair, format!(";{attributes}")),
        None => (text, String::new()),
    };
    let name = pair.split_once('=').map_or("", |(name, _)| name);
    format!("{name}=***{attributes}")
}

/// Seconds to wait, from either spelling of `Retry-After`.
fn retry_after(headers: &HeaderMap) -> Option<f64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(f64::from(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()?;
    let wait = at.duration_since(jiff::Timestamp::now()).as_secs_f64();
    Some(wait.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn cookies_keep_their_name_and_lose_their_value() {
        assert_eq!(
            hide_cookie("sid=abc123; Path=/; HttpOnly"),
            "sid=***; Path=/; HttpOnly"
        );
        assert_eq!(hide_cookie("abc123"), "=***");
    }

    #[test]
    fn retry_after_reads_seconds_and_dates() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers)
        };
        assert_eq!(of("120"), Some(120.0));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0.0));
        assert!(of("Fri, 06 Nov 2099 08:49:37 GMT").unwrap() > 1e6);
        assert_eq!(of("soon"), None);
    }
}
