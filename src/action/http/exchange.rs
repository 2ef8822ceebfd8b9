//! One exchange: send, follow redirects hop by hop, read the body within its limit and the deadline.
//!
//! [`exchange`] returns an [`Answer`] whatever its status is; what a status means is for `judge`.

use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::json;

use super::client::{self, Pool};
use super::request::{Request, for_strangers, web};
use super::words::Trouble;
use crate::action::pause::{self, Deadline};
use crate::action::{ActionError, Context, ReadContext};
use crate::event::{Cause, Outcome};
use crate::runbook::units::{human, human_bytes};

/// How long an exchange may take when the step has no deadline.
const LONGEST: Duration = Duration::from_secs(60);
/// Response headers, all together.
const MOST_HEADERS: usize = 64 << 10;

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// Where the answer came from.
    pub url: Url,
    pub redirects: u8,
    /// Whether a redirect turned the change into a GET: the answer then says nothing of the change.
    pub turned: bool,
    pub ttfb: Duration,
    pub total: Duration,
}

/// Sends `request`.
///
/// # Errors
/// When no whole answer came: what is known about the effect by how far it got.
pub async fn exchange(cx: &Context, request: &Request) -> Result<Answer, ActionError> {
    within(cx.time_left(LONGEST), &cx.clients.http, request).await
}

/// Sends a `request` of a rehearsal, which only asks.
///
/// # Errors
/// Like [`exchange`]; and before anything is sent when the request is not a GET, HEAD or OPTIONS.
pub async fn exchange_reading(cx: &ReadContext, request: &Request) -> Result<Answer, ActionError> {
    let asks = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !asks || request.changing {
        let place = request.place(&request.url);
        let method = &request.method;
        let message = format!("{place}: {method} is not sent in a rehearsal");
        return Err(ActionError::new(
            Cause::Denied,
            Outcome::NotApplied,
            message,
        ));
    }
    within(cx.time_left(LONGEST), &cx.http, request).await
}

async fn within(left: Duration, pool: &Pool, request: &Request) -> Result<Answer, ActionError> {
    let place = request.place(&request.url);
    if left.is_zero() {
        return Err(ActionError::new(
            Cause::Timeout,
            Outcome::NotApplied,
            format!("{place}: no time was left to ask"),
        ));
    }
    let mut hops = Hops {
        pool,
        request,
        method: request.method.clone(),
        url: request.url.clone(),
        headers: request.headers.clone(),
        body: request.body.clone(),
        redirects: 0,
        turned: false,
        started: Instant::now(),
        deadline: Deadline::after(left),
    };
    let result = pause::timeout(left, hops.run()).await;
    result.unwrap_or_else(|_| {
        Err(ActionError::new(
            Cause::Timeout,
            after_send(request),
            format!(
                "{}: timed out after {}",
                request.place(&hops.url),
                human(left)
            ),
        ))
    })
}

/// Refuses what is not dialled; names are judged by the resolver, on what is then dialled.
///
/// # Errors
/// Why not, with the outcome `so_far`.
pub fn vet(request: &Request, url: &Url, so_far: Outcome) -> Result<(), ActionError> {
    let place = request.place(url);
    let refuse = |why: &str| ActionError::new(Cause::Denied, so_far, format!("{place}: {why}"));
    web(url).map_err(|why| refuse(&why))?;
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse();
    let Ok(address) = literal else {
        return Ok(());
    };
    match client::forbidden(address) {
        Some(what) if !client::allowed(host, &request.allow_hosts) => {
            let error = refuse(&format!("refused to dial {address}, {what}"));
            Err(error.hint("list the host in the target's `allow_hosts` if it is meant"))
        }
        _ => Ok(()),
    }
}

/// What is known when the request may have left.
pub fn after_send(request: &Request) -> Outcome {
    if request.changing {
        Outcome::Unknown
    } else {
        Outcome::NotApplied
    }
}

struct Hops<'a> {
    pool: &'a Pool,
    request: &'a Request,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    redirects: u8,
    turned: bool,
    started: Instant,
    deadline: Deadline,
}

impl Hops<'_> {
    async fn run(&mut self) -> Result<Answer, ActionError> {
        loop {
            let response = self.send().await?;
            let ttfb = self.started.elapsed();
            self.check_headers(response.headers())?;
            match self.next_hop(&response) {
                None => return self.answer(response, ttfb).await,
                Some(next) => self.follow(response.status(), next)?,
            }
        }
    }

    async fn send(&self) -> Result<Response, ActionError> {
        self.vet()?;
        let left = self.deadline.left();
        let way = self.request.way(&self.url, left);
        let client = self
            .pool
            .client(&way)
            .map_err(|why| self.error(Cause::Invalid, self.so_far(), &why))?;
        let mut builder = client
            .request(self.method.clone(), self.url.clone())
            .headers(self.headers.clone());
        if let Some(body) = &self.body {
            builder = builder.body(body.clone());
        }
        builder.send().await.map_err(|error| {
            if error.is_builder() {
                return self.error(Cause::Invalid, self.so_far(), "the request cannot be built");
            }
            let trouble = Trouble::of(&error);
            let outcome = if trouble.connected {
                after_send(self.request)
            } else {
                self.so_far()
            };
            let words = match trouble.cause {
                Cause::Timeout => format!("no connection within {}", human(way.connect_timeout)),
                _ => trouble.words,
            };
            self.error(trouble.cause, outcome, &words)
        })
    }

    fn vet(&self) -> Result<(), ActionError> {
        vet(self.request, &self.url, self.so_far())
    }

    /// What is known before this hop's request has left.
    fn so_far(&self) -> Outcome {
        if self.redirects == 0 {
            Outcome::NotApplied
        } else {
            after_send(self.request)
        }
    }

    fn next_hop(&self, response: &Response) -> Option<String> {
        let moved = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        if !moved || self.request.follow == 0 {
            return None;
        }
        let location = response.headers().get(LOCATION)?;
        // not text: joining it fails, and says so
        Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
    }

    fn follow(&mut self, status: StatusCode, location: String) -> Result<(), ActionError> {
        let refuse = |hops: &Self, cause: Cause, why: &str| {
            hops.error(cause, after_send(hops.request), why)
                .retryable(false)
                .result(json!({ "status": status.as_u16(), "redirects": hops.redirects }))
        };
        if self.redirects == self.request.follow {
            let why = format!("more than {} redirects", self.request.follow);
            return Err(refuse(self, Cause::Limit, &why));
        }
        let next = self
            .url
            .join(&location)
            .map_err(|_| refuse(self, Cause::Failed, "redirected to what is not a URL"))?;
        drop(location);
        let why = if web(&next).is_err() {
            Some("redirected away from http and https")
        } else if !next.username().is_empty() || next.password().is_some() {
            Some("redirected to a URL with a user or password in it")
        } else if self.url.scheme() == "https" && next.scheme() == "http" {
            Some("redirected from https to http, which would lay the exchange open")
        } else {
            None
        };
        if let Some(why) = why {
            return Err(refuse(self, Cause::Denied, why));
        }
        if next.origin() != self.url.origin() {
            for_strangers(&mut self.headers);
        }
        let becomes_get = match status.as_u16() {
            303 => self.method != Method::HEAD,
            301 | 302 => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            self.turned |= self.request.changing;
            self.method = Method::GET;
            self.body = None;
            self.headers.remove(CONTENT_TYPE);
        }
        self.redirects += 1;
        self.url = next;
        Ok(())
    }

    fn check_headers(&self, headers: &HeaderMap) -> Result<(), ActionError> {
        let bytes: usize = headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        if bytes <= MOST_HEADERS {
            return Ok(());
        }
        let why = "the response headers are over the limit of 64 kB";
        Err(self.error(Cause::Limit, after_send(self.request), why))
    }

    async fn answer(&self, mut response: Response, ttfb: Duration) -> Result<Answer, ActionError> {
        let (status, headers) = (response.status(), response.headers().clone());
        let most = self.request.max_body;
        let evidence = json!({ "status": status.as_u16(), "redirects": self.redirects });
        let over = |seen: String| {
            let limit = human_bytes(most);
            let why = format!("the body{seen} is over the limit of {limit} (`max_body`)");
            self.error(Cause::Limit, after_send(self.request), &why)
                .result(evidence.clone())
        };
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<u64>().ok())
            .filter(|_| self.method != Method::HEAD);
        if let Some(length) = announced
            && length > most
        {
            return Err(over(format!(" of {}", human_bytes(length))));
        }
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await.map_err(|error| {
                let words = Trouble::of(&error).words;
                let why = format!("the body was cut after {} bytes: {words}", body.len());
                self.error(Cause::Unreachable, after_send(self.request), &why)
                    .result(evidence.clone())
            })?;
            let Some(chunk) = chunk else { break };
            if (body.len() + chunk.len()) as u64 > most {
                return Err(over(String::new()).result(evidence));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body,
            url: self.url.clone(),
            redirects: self.redirects,
            turned: self.turned,
            ttfb,
            total: self.started.elapsed(),
        })
    }

    fn error(&self, cause: Cause, outcome: Outcome, why: &str) -> ActionError {
        let place = self.request.place(&self.url);
        ActionError::new(cause, outcome, format!("{place}: {why}"))
    }
}
