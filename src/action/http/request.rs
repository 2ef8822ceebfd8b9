//! From parameters and target to a [`Request`] that may be sent: the URL put together from its
//! parts, values that could break out of theirs refused.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Map, Value};

use super::client::{self, Way};
use super::params::{Params, Statuses};
use crate::action::{ActionError, Call, Target};

/// One request, complete.
pub struct Request {
    /// The target's name, for messages.
    pub target: Option<String>,
    pub method: Method,
    /// Without userinfo.
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Vec<u8>>,
    /// Whether it may change something where it goes.
    pub changing: bool,
    /// How many redirects are followed.
    pub follow: u8,
    /// Bytes of body that are read.
    pub max_body: u64,
    /// What counts as a success, when the author says so.
    pub statuses: Option<Statuses>,
    pub insecure: bool,
    pub ca: Option<Vec<u8>>,
    pub allow_hosts: Vec<String>,
}

impl Request {
    /// Reads the call; `key` is the same for every attempt at a change.
    ///
    /// # Errors
    /// [`ActionError::invalid`].
    pub fn new(key: &str, call: &Call, params: &Params) -> Result<Self, ActionError> {
        let wrong = |why: String| ActionError::invalid(format!("`{}`: {why}", call.key));
        let (method, path) = params.line().map_err(wrong)?;
        if params.follow > 5 {
            return Err(wrong("`follow` is at most 5".into()));
        }
        let (url, auth) = match &call.target {
            Some(target) => with_base(target, path).map_err(wrong)?,
            None => (absolute(path).map_err(wrong)?, None),
        };
        let changing = !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
        let mut request = Self {
            target: call.target.as_ref().map(|target| target.name.clone()),
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            changing,
            follow: params.follow,
            max_body: params.max_body.0,
            statuses: params.statuses(),
            insecure: params.insecure,
            ca: None,
            allow_hosts: Vec::new(),
        };
        if let Some(auth) = auth {
            request.headers.insert(AUTHORIZATION, auth);
        }
        if let Some(target) = &call.target {
            request.target_options(call, target).map_err(wrong)?;
        }
        set_headers(&mut request.headers, &params.headers).map_err(wrong)?;
        add_query(&mut request.url, &params.query).map_err(wrong)?;
        request.set_body(params).map_err(wrong)?;
        if changing && !request.headers.contains_key("idempotency-key") {
            let key = HeaderValue::from_str(key)
                .map_err(|_| wrong("the idempotency key does not fit a header".into()))?;
            request.headers.insert("idempotency-key", key);
        }
        Ok(request)
    }

    /// `headers`, `insecure`, `ca` and `allow_hosts` beside the target's address.
    fn target_options(&mut self, call: &Call, target: &Target) -> Result<(), String> {
        let options = &target.options;
        if let Some(headers) = options.get("headers").and_then(Value::as_object) {
            set_headers(&mut self.headers, headers)?;
        }
        self.insecure |= options.get("insecure") == Some(&Value::Bool(true));
        let hosts = options.get("allow_hosts").and_then(Value::as_array);
        self.allow_hosts = hosts
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_ascii_lowercase)
            .collect();
        if let Some(file) = options.get("ca").and_then(Value::as_str) {
            let pem = std::fs::read(call.cwd.join(file))
                .map_err(|error| format!("`ca` file `{file}`: {error}"))?;
            self.ca = Some(pem);
        }
        Ok(())
    }

    fn set_body(&mut self, params: &Params) -> Result<(), String> {
        let given = [
            params.json.is_some(),
            params.body.is_some(),
            params.form.is_some(),
        ];
        if given.into_iter().filter(|given| *given).count() > 1 {
            return Err("only one of `json`, `body` and `form` can be the body".into());
        }
        let (kind, body) = if let Some(json) = &params.json {
            ("application/json", json.to_string())
        } else if let Some(body) = &params.body {
            ("text/plain; charset=utf-8", body.clone())
        } else if let Some(form) = &params.form {
            ("application/x-www-form-urlencoded", form_text(form)?)
        } else {
            return Ok(());
        };
        if matches!(self.method, Method::GET | Method::HEAD) {
            return Err(format!("`{}` takes no body", self.method));
        }
        self.headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static(kind));
        self.body = Some(body.into_bytes());
        Ok(())
    }

    /// How to connect to `url`.
    pub fn way(&self, url: &Url, left: std::time::Duration) -> Way {
        let tls = url.scheme() == "https";
        Way {
            tls,
            insecure: tls && self.insecure,
            ca: self.ca.clone().filter(|_| tls),
            allow_hosts: self.allow_hosts.clone(),
            connect_timeout: client::connect_timeout(left),
        }
    }

    /// The target and `host:port`, for messages.
    pub fn place(&self, url: &Url) -> String {
        match &self.target {
            Some(name) => format!("target `{name}` at {}", host_port(url)),
            None => host_port(url),
        }
    }
}

impl Params {
    fn statuses(&self) -> Option<Statuses> {
        self.status.clone()
    }
}

/// `host:port` of a URL.
pub fn host_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Reads an absolute URL.
///
/// # Errors
/// What is wrong with it; the text shows no more than the host.
pub fn absolute(text: &str) -> Result<Url, String> {
    plain(text)?;
    let url = Url::parse(text).map_err(|_| {
        if text.starts_with('/') {
            "a path needs a target; without one the URL is absolute".to_owned()
        } else {
            "the URL does not parse".to_owned()
        }
    })?;
    web(&url)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "the URL for {} has a user or password in it: use a header, or the target's address",
            host_port(&url)
        ));
    }
    Ok(url)
}

/// Whether the URL is one that is dialled at all.
///
/// # Errors
/// Why not.
pub fn web(url: &Url) -> Result<(), String> {
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(()),
        "http" | "https" => Err("the URL has no host".into()),
        other => Err(format!("`{other}` is not spoken here, only http and https")),
    }
}

/// The target's base and a path under it; userinfo of the base becomes a header.
fn with_base(target: &Target, path: &str) -> Result<(Url, Option<HeaderValue>), String> {
    let named = |why: String| format!("target `{}`: {why}", target.name);
    plain(&target.url).map_err(named)?;
    let mut url = Url::parse(&target.url).map_err(|_| named("its address is not a URL".into()))?;
    web(&url).map_err(named)?;
    let auth = basic(&url);
    let fits = url.set_username("").is_ok() && url.set_password(None).is_ok();
    if !fits || url.query().is_some() || url.fragment().is_some() {
        return Err(named("its address has a query or a fragment".into()));
    }
    plain(path)?;
    if path.contains("://") && !path.starts_with('/') {
        return Err("with a target the path is relative to it, not a URL of its own".into());
    }
    if !path.starts_with('/') {
        return Err(format!("the path `{path}` does not start with `/`"));
    }
    if path.contains('#') {
        return Err("a fragment (`#`) is never sent: write `%23`".into());
    }
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let dots = |segment: &str| segment.to_ascii_lowercase().replace("%2e", ".") == "..";
    if path.split(['/', '\\']).any(dots) {
        return Err("the path has a `..` in it".into());
    }
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}{path}"));
    url.set_query(query);
    Ok((url, auth))
}

fn basic(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let pair = [
        unescape(url.username()),
        b":".to_vec(),
        unescape(url.password().unwrap_or_default()),
    ]
    .concat();
    let mut value =
        HeaderValue::from_str(&format!("Basic {}", base64(&pair))).expect("base64 fits a header");
    value.set_sensitive(true);
    Some(value)
}

/// Takes back percent encoding.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let decoded = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &tail[2..] } else { tail };
    }
    bytes
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let index = (bits >> (18 - 6 * at)) & 63;
            text.push(if at <= three.len() {
                char::from(ALPHABET[index as usize])
            } else {
                '='
            });
        }
    }
    text
}

/// Refuses what could end a line of the request.
fn plain(text: &str) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        return Err("the path or URL has a control character in it".into());
    }
    Ok(())
}

fn set_headers(headers: &mut HeaderMap, given: &Map<String, Value>) -> Result<(), String> {
    const OURS: [&str; 4] = [
        "connection",
        "content-length",
        "transfer-encoding",
        "upgrade",
    ];
    for (name, value) in given {
        let shown = name.escape_debug();
        let key = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("`{shown}` is not a header name"))?;
        if OURS.contains(&key.as_str()) {
            return Err(format!("the header `{shown}` is set by ferry itself"));
        }
        let text = scalar(value).ok_or_else(|| format!("the header `{shown}` is not text"))?;
        // the value may be a secret, so it is not shown
        let value = HeaderValue::from_str(&text)
            .map_err(|_| format!("the header `{shown}` has a control character in its value"))?;
        headers.insert(key, value);
    }
    Ok(())
}

fn add_query(url: &mut Url, query: &Map<String, Value>) -> Result<(), String> {
    if query.is_empty() {
        return Ok(());
    }
    let mut pairs = url.query_pairs_mut();
    for (key, value) in query {
        let values = match value {
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            let text =
                scalar(value).ok_or_else(|| format!("`{key}` is not text, a number or a list"))?;
            pairs.append_pair(key, &text);
        }
    }
    Ok(())
}

fn form_text(form: &Map<String, Value>) -> Result<String, String> {
    let mut url = Url::parse("http://form/").expect("a constant that parses");
    add_query(&mut url, form)?;
    Ok(url.query().unwrap_or_default().to_owned())
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Keeps of the headers what may go to another origin: nothing that could say who we are.
pub fn for_strangers(headers: &mut HeaderMap) {
    const HARMLESS: [&str; 5] = [
        "accept",
        "accept-language",
        "content-type",
        "idempotency-key",
        "user-agent",
    ];
    let names: Vec<HeaderName> = headers.keys().cloned().collect();
    for name in names {
        if !HARMLESS.contains(&name.as_str()) {
            headers.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runbook::TargetKind;
    use serde_json::json;

    fn under(base: &str, path: &str) -> Result<(Url, Option<HeaderValue>), String> {
        let target = Target {
            name: "t".into(),
            kind: TargetKind::Http,
            url: base.into(),
            options: json!({}),
        };
        with_base(&target, path)
    }

    #[test]
    fn a_path_stays_under_its_base() {
        let at = |base: &str, path: &str| under(base, path).unwrap().0.to_string();
        assert_eq!(at("http://h:1/", "/a?b=c d"), "http://h:1/a?b=c%20d");
        assert_eq!(at("http://h/api/", "/a b"), "http://h/api/a%20b");
        assert_eq!(at("http://h", "//evil.test/x"), "http://h//evil.test/x");
        for (path, why) in [
            ("/a/../b", "the path has a `..` in it"),
            ("/a/%2E%2e/b", "the path has a `..` in it"),
            ("/a\\..\\b", "the path has a `..` in it"),
            ("health", "the path `health` does not start with `/`"),
            (
                "http://evil.test/",
                "with a target the path is relative to it, not a URL of its own",
            ),
            (
                "/a\r\nHost: evil",
                "the path or URL has a control character in it",
            ),
            ("/a\0", "the path or URL has a control character in it"),
            ("/a#b", "a fragment (`#`) is never sent: write `%23`"),
        ] {
            assert_eq!(under("http://h", path).unwrap_err(), why, "{path}");
        }
        assert_eq!(
            under("ftp://h", "/").unwrap_err(),
            "target `t`: `ftp` is not spoken here, only http and https"
        );
    }

    #[test]
    fn userinfo_is_for_targets_and_becomes_a_header() {
        let (url, auth) = under("http://ann:p%40ss@h/", "/").unwrap();
        assert_eq!(url.as_str(), "http://h/");
        assert_eq!(auth.unwrap().to_str().unwrap(), "Basic YW5uOnBAc3M=");
        let error = absolute("http://ann:p@h/").unwrap_err();
        assert!(error.starts_with("the URL for h:80 has a user"), "{error}");
        assert!(!error.contains("ann"));
        assert_eq!(base64(b"a"), "YQ==");
        assert_eq!(base64(b"ab"), "YWI=");
        assert_eq!(base64(b"abc"), "YWJj");
    }

    #[test]
    fn headers_cannot_break_out() {
        let mut headers = HeaderMap::new();
        let given = |name: &str, value: &str| {
            let mut map = Map::new();
            map.insert(name.into(), value.into());
            map
        };
        for (name, value) in [
            ("x", "a\r\nb: c"),
            ("x", "a\nb"),
            ("x", "a\0b"),
            ("a: b\r\nx", "y"),
            ("content-length", "0"),
        ] {
            assert!(set_headers(&mut headers, &given(name, value)).is_err());
        }
        assert!(headers.is_empty());
        set_headers(&mut headers, &given("X-Token", "secret")).unwrap();
        set_headers(&mut headers, &given("accept", "*/*")).unwrap();
        for_strangers(&mut headers);
        assert_eq!(headers.len(), 1);
    }
}
