//! `http`, `notify` and `env` against real servers, good and bad ones.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::extract::{Json, Query};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use ferry::action::env::Env;
use ferry::action::http::Http;
use ferry::action::notify::Notify;
use ferry::action::pause::Deadline;
use ferry::action::{Action, ActionError};
use ferry::event::{Cause, Outcome};
use ferry::runbook::{Class, TargetKind};
use serde_json::{Value, json};

use crate::support::context::{call, context, target};
use crate::support::ports;
use crate::support::wire::{Wire, answer};

async fn at(base: &str, params: Value) -> Result<Value, ActionError> {
    with(base, json!({}), params, Duration::from_secs(20)).await
}

async fn with(
    base: &str,
    options: Value,
    params: Value,
    time: Duration,
) -> Result<Value, ActionError> {
    let dir = tempfile::tempdir().unwrap();
    let mut cx = context(dir.path());
    cx.deadline = Some(Deadline::after(time));
    let mut call = call("http", params, dir.path());
    let mut target = target(TargetKind::Http, base);
    target.options = options;
    call.target = Some(target);
    Http.execute(&cx, &call).await
}

async fn without_target(params: Value) -> Result<Value, ActionError> {
    let dir = tempfile::tempdir().unwrap();
    Http.execute(&context(dir.path()), &call("http", params, dir.path()))
        .await
}

/// Cause, effect and message, which is what a caller goes by.
fn gist(error: &ActionError) -> (Cause, Outcome, &str) {
    (error.cause, error.outcome, &error.message)
}

async fn app() -> String {
    let routes = axum::Router::new()
        .route("/health", get(|| async { Json(json!({"status": "ok"})) }))
        .route(
            "/echo",
            post(
                |headers: HeaderMap, Query(query): Query<Value>, body: String| async move {
                    let header = |name: &str| {
                        headers
                            .get(name)
                            .map(|value| value.to_str().unwrap().to_owned())
                    };
                    Json(json!({
                        "type": header("content-type"),
                        "key": header("idempotency-key"),
                        "auth": header("authorization"),
                        "x": header("x-trace"),
                        "query": query,
                        "body": body,
                    }))
                },
            ),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    url
}

#[tokio::test]
async fn a_get_returns_everything_an_expectation_may_ask() {
    let url = app().await;
    let result = at(&url, json!("GET /health")).await.unwrap();
    assert_eq!(result["status"], 200);
    assert_eq!(result["ok"], true);
    assert_eq!(result["json"], json!({"status": "ok"}));
    assert_eq!(result["text"], r#"{"status":"ok"}"#);
    assert_eq!(result["bytes"], 15);
    assert_eq!(result["headers"]["content-type"], "application/json");
    assert_eq!(result["url"], format!("{url}/health"));
    assert_eq!(result["redirects"], 0);
    let (ttfb, total) = (&result["ttfb_ms"], &result["total_ms"]);
    assert!(ttfb.is_f64() && total.is_f64());
    assert!(ttfb.as_f64() > Some(0.0) && ttfb.as_f64() <= total.as_f64());

    let absolute = without_target(json!({"get": format!("{url}/health")})).await;
    assert_eq!(absolute.unwrap()["status"], 200);
    let known: Vec<&str> = Http.spec().results.iter().map(|(name, _)| *name).collect();
    for field in result.as_object().unwrap().keys() {
        assert!(known.contains(&field.as_str()), "`{field}` is not listed");
    }
}

#[tokio::test]
async fn parts_arrive_as_they_were_given() {
    let url = app().await.replace("http://", "http://ann:p%40ss@");
    let result = at(
        &url,
        json!({
            "post": "/echo?a=1", "query": {"b": "x & y", "c": [1, 2]},
            "headers": {"X-Trace": 7}, "json": {"k": "v\r\n"}, "status": "2xx",
        }),
    )
    .await
    .unwrap();
    let echo = &result["json"];
    assert_eq!(echo["type"], "application/json");
    assert_eq!(echo["key"], "ferry:test-run:step:do");
    assert_eq!(echo["auth"], "Basic YW5uOnBAc3M=");
    assert_eq!(echo["x"], "7");
    assert_eq!(echo["query"]["b"], "x & y");
    assert_eq!(echo["body"], r#"{"k":"v\r\n"}"#);
    assert!(!result.to_string().contains("ann:"));

    let form = json!({"post": "/echo", "form": {"a": "1 2", "b": "&"}});
    let echo = at(&url, form).await.unwrap();
    assert_eq!(echo["json"]["body"], "a=1+2&b=%26");
}

#[tokio::test]
async fn statuses_decide_by_class_and_by_what_was_asked() {
    let cases = [
        ("400 Bad Request", &[][..], Outcome::NotApplied, false),
        ("409 Conflict", &[], Outcome::Unknown, false),
        ("408 Request Timeout", &[], Outcome::Unknown, true),
        ("429 Too Many Requests", &[], Outcome::Unknown, true),
        (
            "429 Too Many Requests",
            &[("retry-after", "7")],
            Outcome::NotApplied,
            true,
        ),
        ("500 Internal Server Error", &[], Outcome::Unknown, true),
        (
            "503 Service Unavailable",
            &[("retry-after", "7")],
            Outcome::NotApplied,
            true,
        ),
        ("304 Not Modified", &[], Outcome::Unknown, false),
    ];
    for (status, headers, outcome, retryable) in cases {
        let server = Wire::answering(answer(status, headers, ""));
        let error = at(&server.url, json!("POST /pay?token=s3cret")).await;
        let error = error.unwrap_err();
        let message = format!(
            "target `t` at {} answered `POST /pay` with {status}",
            server.at
        );
        assert_eq!(gist(&error), (Cause::Failed, outcome, message.as_str()));
        assert_eq!(error.retryable, retryable, "{status}");
        let evidence = error.result.unwrap();
        assert_eq!(evidence["status"].to_string(), status[..3]);
        let after = (!headers.is_empty()).then_some(7.0);
        assert_eq!(evidence.get("retry_after_s").and_then(Value::as_f64), after);

        let reading = at(&server.url, json!("GET /pay")).await.unwrap();
        assert_eq!(reading["ok"], false);
        assert_eq!(reading["status"].to_string(), status[..3]);
    }

    let server = Wire::answering(answer("200 OK", &[], ""));
    let read = json!({"get": "/a", "status": [201, "3xx"]});
    let error = at(&server.url, read).await.unwrap_err();
    assert_eq!(error.outcome, Outcome::NotApplied);
    assert!(error.message.ends_with("with 200 OK, asked for 201, 3xx"));
    let change = at(&server.url, json!({"post": "/a", "status": [201]})).await;
    assert_eq!(change.unwrap_err().outcome, Outcome::Applied);
    let server = Wire::answering(answer("404 Not Found", &[], ""));
    let gone = at(&server.url, json!({"delete": "/a", "status": ["2xx", 404]})).await;
    assert_eq!(gone.unwrap()["ok"], false);
}

#[tokio::test]
async fn a_connection_that_never_stood_is_not_applied() {
    let port = ports::free();
    let error = at(&format!("http://127.0.0.1:{port}"), json!("POST /a")).await;
    let error = error.unwrap_err();
    let message = format!("target `t` at 127.0.0.1:{port}: connection refused");
    assert_eq!(
        gist(&error),
        (Cause::Unreachable, Outcome::NotApplied, message.as_str())
    );
    assert!(error.retryable);

    let error = at("http://ferry.invalid:81", json!("POST /a")).await;
    let error = error.unwrap_err();
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Unreachable, Outcome::NotApplied)
    );
    assert!(
        error
            .message
            .starts_with("target `t` at ferry.invalid:81: name not resolved (DNS): "),
        "{error}"
    );

    // a full backlog: connecting hangs, and that ends before the deadline does
    let listener = socket_with_full_backlog();
    let url = format!("http://{}", listener.0.local_addr().unwrap());
    let began = Instant::now();
    let error = with(&url, json!({}), json!("POST /a"), Duration::from_secs(1)).await;
    let error = error.unwrap_err();
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Timeout, Outcome::NotApplied),
        "{error}"
    );
    assert!(error.message.ends_with(": no connection within 500ms"));
    assert!(began.elapsed() < Duration::from_secs(1));
}

/// A listener whose queue of connections is full, with what fills it.
fn socket_with_full_backlog() -> (tokio::net::TcpListener, Vec<std::net::TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let at = listener.local_addr().unwrap();
    let fill = (0..8)
        .map_while(|_| std::net::TcpStream::connect_timeout(&at, Duration::from_millis(100)).ok())
        .collect();
    (listener, fill)
}

#[tokio::test]
async fn what_breaks_after_sending_is_unknown_for_changes_only() {
    let closes = || Wire::serve(2, |_| {});
    let short = || Wire::answering("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345");
    for (server, ends) in [
        (closes(), ": connection closed before message completed"),
        (
            short(),
            ": the body was cut after 5 bytes: end of file before message length reached",
        ),
    ] {
        for (line, outcome) in [
            ("POST /a", Outcome::Unknown),
            ("GET /a", Outcome::NotApplied),
        ] {
            let error = at(&server.url, json!(line)).await.unwrap_err();
            let message = format!("target `t` at {}{ends}", server.at);
            assert_eq!(
                gist(&error),
                (Cause::Unreachable, outcome, message.as_str())
            );
        }
    }
    // nothing is sent twice on its own
    let server = closes();
    at(&server.url, json!("POST /a")).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn the_deadline_covers_headers_and_body() {
    let slow_headers = || {
        Wire::serve(2, |stream| {
            for byte in b"HTTP/1.1 200 OK\r\nx-a: bbbbbbbbbbbbbbbbbbbbbbbbbbb" {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        })
    };
    let stalling_body = || {
        Wire::serve(2, |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1");
            std::thread::sleep(Duration::from_secs(3));
        })
    };
    let time = Duration::from_secs(1);
    for (server, line, outcome) in [
        (slow_headers(), "POST /a", Outcome::Unknown),
        (slow_headers(), "GET /a", Outcome::NotApplied),
        (stalling_body(), "POST /a", Outcome::Unknown),
        (stalling_body(), "GET /a", Outcome::NotApplied),
    ] {
        let began = Instant::now();
        let error = with(&server.url, json!({}), json!(line), time).await;
        let error = error.unwrap_err();
        assert_eq!((error.cause, error.outcome), (Cause::Timeout, outcome));
        let start = format!("target `t` at {}: timed out after ", server.at);
        assert!(error.message.starts_with(&start), "{error}");
        let took = began.elapsed();
        assert!(took > time.mul_f64(0.8) && took < time * 2, "{took:?}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_an_error_never_a_cut_value() {
    let endless = || {
        Wire::serve(1, |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
            let chunk = [&b"1000\r\n"[..], &[b'x'; 4096], b"\r\n"].concat();
            // 64 MiB is far beyond what may be read
            for _ in 0..16_384 {
                if stream.write_all(&chunk).is_err() {
                    return;
                }
            }
        })
    };
    for (line, outcome) in [
        ("GET /a", Outcome::NotApplied),
        ("POST /a", Outcome::Unknown),
    ] {
        let server = endless();
        let error = at(&server.url, json!(line)).await.unwrap_err();
        let message = format!(
            "target `t` at {}: the body is over the limit of 8.0 MB (`max_body`)",
            server.at
        );
        assert_eq!(gist(&error), (Cause::Limit, outcome, message.as_str()));
    }
    let announced = Wire::answering("HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n");
    let error = at(&announced.url, json!("GET /a")).await.unwrap_err();
    assert!(error.message.contains("the body of 10.0 GB is over"));
    let small = Wire::answering(answer("200 OK", &[], "12345"));
    let limit = |bytes: Value| json!({"get": "/a", "max_body": bytes});
    assert!(at(&small.url, limit(json!(4))).await.is_err());
    assert_eq!(
        at(&small.url, limit(json!("5b"))).await.unwrap()["text"],
        "12345"
    );
    let long = Wire::answering(answer("200 OK", &[], &"x".repeat(70_000)));
    let result = at(&long.url, json!("/a")).await.unwrap();
    assert!(result.get("text").is_none());
    assert_eq!(
        result["text_error"],
        "the body of 68.4 kB is over the limit of 64.0 kB for text"
    );
    let heads = "y".repeat(70_000);
    let many = Wire::answering(answer("200 OK", &[("x-a", &heads)], ""));
    let error = at(&many.url, json!("/a")).await.unwrap_err();
    assert_eq!(error.cause, Cause::Limit, "{error}");
}

#[tokio::test]
async fn what_is_not_quite_json_is_absent_and_said() {
    let deep = "[".repeat(10_000);
    for (body, why) in [
        ("{\"a\": 1, \"a\": 2}", "duplicate key `a`"),
        ("{\"a\": NaN}", "expected value"),
        ("\u{feff}{}", "byte order mark"),
        ("", "the body is empty"),
        (&deep, "nested deeper than 128 levels"),
        ("<html>", "expected value"),
    ] {
        let kind = [("content-type", "application/json")];
        let server = Wire::answering(answer("200 OK", &kind, body));
        let result = at(&server.url, json!("/a")).await.unwrap();
        assert!(result.get("json").is_none(), "{body}");
        assert!(result["json_error"].as_str().unwrap().contains(why));
        assert_eq!(result["text"], body);
    }
    let page = Wire::answering(answer("200 OK", &[("content-type", "text/html")], "{}"));
    let result = at(&page.url, json!("/a")).await.unwrap();
    assert!(result.get("json").is_none() && result.get("json_error").is_none());
    let untyped = Wire::answering(answer("200 OK", &[], "[1]"));
    assert_eq!(
        at(&untyped.url, json!("/a")).await.unwrap()["json"],
        json!([1])
    );
    let latin = Wire::answering(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\na\xe9b".to_vec());
    let result = at(&latin.url, json!("/a")).await.unwrap();
    assert_eq!(result["text_error"], "the body is not UTF-8 (byte 1)");
}

fn redirect(status: &str, to: &str) -> Vec<u8> {
    answer(status, &[("location", to)], "")
}

#[tokio::test]
async fn redirects_are_followed_five_times_and_no_further() {
    let endless = Wire::answering(redirect("307 Temporary Redirect", "/again"));
    for (line, outcome) in [
        ("GET /a", Outcome::NotApplied),
        ("POST /a", Outcome::Unknown),
    ] {
        let error = at(&endless.url, json!(line)).await.unwrap_err();
        let message = format!("target `t` at {}: more than 5 redirects", endless.at);
        assert_eq!(gist(&error), (Cause::Limit, outcome, message.as_str()));
        assert!(!error.retryable);
    }
    assert_eq!(endless.requests().len(), 12);
    let stay = json!({"get": "/a", "follow": 0});
    assert_eq!(at(&endless.url, stay).await.unwrap()["status"], 307);

    let goal = Wire::answering(answer("200 OK", &[], "there"));
    let to = format!("{}/goal", goal.url);
    let start = Wire::answering(redirect("302 Found", &to));
    let headers = json!({"authorization": "Bearer tok", "cookie": "sid=1", "x-api-key": "k"});
    let params = json!({"post": "/a", "json": {"a": 1}, "headers": headers});
    let result = at(&start.url, params).await.unwrap();
    assert_eq!(result["redirects"], 1);
    assert_eq!(result["url"], to);
    assert!(start.requests()[0].contains("Bearer tok"));
    let arrived = &goal.requests()[0];
    assert!(arrived.starts_with("GET /goal HTTP/1.1\r\n"), "{arrived}");
    for kept_back in ["Bearer", "sid=1", "x-api-key", "\"a\"", "content-type"] {
        assert!(!arrived.contains(kept_back), "{arrived}");
    }

    // the answer to the GET that a POST became says nothing of the POST
    let lost = Wire::answering(answer("404 Not Found", &[], ""));
    let start = Wire::answering(redirect("303 See Other", &lost.url));
    let error = at(&start.url, json!("POST /a")).await.unwrap_err();
    assert_eq!(error.outcome, Outcome::Unknown);
    let nowhere = format!("http://127.0.0.1:{}", ports::free());
    let start = Wire::answering(redirect("307 Temporary Redirect", &nowhere));
    let error = at(&start.url, json!("POST /a")).await.unwrap_err();
    assert_eq!(error.outcome, Outcome::Unknown);
    assert!(error.message.ends_with(": connection refused"), "{error}");
}

#[tokio::test]
async fn metadata_addresses_are_refused_before_they_are_dialled() {
    for to in [
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:a9fe:a9fe]/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
    ] {
        let began = Instant::now();
        let start = Wire::answering(redirect("302 Found", to));
        let error = at(&start.url, json!("GET /a")).await.unwrap_err();
        assert_eq!(error.cause, Cause::Denied, "{to}");
        assert!(error.message.contains("refused to dial "), "{error}");
        let error = without_target(json!({"post": to})).await.unwrap_err();
        assert_eq!(
            (error.cause, error.outcome),
            (Cause::Denied, Outcome::NotApplied)
        );
        assert!(began.elapsed() < Duration::from_secs(1), "{to} was dialled");
    }
    for (to, why) in [
        ("ftp://127.0.0.1/", "redirected away from http and https"),
        ("file:///etc/passwd", "redirected away from http and https"),
        (
            "http://u:p@127.0.0.1/",
            "redirected to a URL with a user or password in it",
        ),
    ] {
        let start = Wire::answering(redirect("302 Found", to));
        let error = at(&start.url, json!("GET /a")).await.unwrap_err();
        assert!(error.message.ends_with(why), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_call_is_invalid_and_sends_nothing() {
    let server = Wire::answering(answer("200 OK", &[], ""));
    for params in [
        json!({}),
        json!({"get": "/a", "post": "/b"}),
        json!({"get": "/a", "request": "GET /b"}),
        json!("BREW /pot"),
        json!({"get": "/a", "json": {}}),
        json!({"post": "/a", "json": {}, "body": "x"}),
        json!({"get": "/a", "follow": 6}),
        json!({"get": "/a", "status": "fine"}),
        json!({"get": "/a\r\nx: y"}),
        json!({"get": "/a", "headers": {"x": "a\r\nb: c"}}),
        json!({"get": "/a", "heads": {}}),
        json!({"get": "http://127.0.0.1/"}),
    ] {
        let error = at(&server.url, params.clone()).await.unwrap_err();
        assert_eq!(
            (error.cause, error.outcome),
            (Cause::Invalid, Outcome::NotApplied),
            "{params}: {error}"
        );
    }
    for url in ["/health", "ftp://127.0.0.1/", "http://u:p4ss@127.0.0.1/"] {
        let error = without_target(json!({"get": url})).await.unwrap_err();
        assert_eq!(error.cause, Cause::Invalid, "{error}");
        assert!(!error.message.contains("p4ss"));
    }
    assert!(server.requests().is_empty());
    assert_eq!((Http.spec().class)(&json!("GET /a")), Class::Reading);
}

/// A certificate for `name` with its key, or nothing where there is no openssl.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn certificate(dir: &Path, name: &str) -> Option<()> {
    let status = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "1"])
        .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .args(["-subj", "/CN=ferry test"])
        .args(["-addext", &format!("subjectAltName={name}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .current_dir(dir)
        .stderr(std::process::Stdio::null())
        .status();
    match status {
        Ok(status) => {
            assert!(status.success(), "openssl made no certificate");
            Some(())
        }
        Err(_) => {
            println!("skipped: there is no openssl to make a certificate with");
            None
        }
    }
}

/// `openssl s_server`, ended when dropped.
struct Tls(std::process::Child);

impl Tls {
    fn start(dir: &Path, port: u16) -> Self {
        let child = std::process::Command::new("openssl")
            .args(["s_server", "-quiet", "-www", "-key", "key.pem"])
            .args(["-cert", "cert.pem", "-accept", &port.to_string()])
            .current_dir(dir)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let started = Self(child);
        for _ in 0..200 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return started;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("openssl s_server did not come up");
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn tls_fails_closed_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    if certificate(dir.path(), "IP:127.0.0.1").is_none() {
        return;
    }
    let port = ports::free();
    let _server = Tls::start(dir.path(), port);
    let url = format!("https://127.0.0.1:{port}");
    let ca = dir.path().join("cert.pem");
    let time = Duration::from_secs(20);

    let error = at(&url, json!("POST /a")).await.unwrap_err();
    let message =
        format!("target `t` at 127.0.0.1:{port}: TLS: the certificate has an unknown issuer");
    assert_eq!(
        gist(&error),
        (Cause::Unreachable, Outcome::NotApplied, message.as_str())
    );
    let trusted = with(&url, json!({"ca": ca}), json!("GET /"), time).await;
    let trusted = trusted.unwrap();
    assert_eq!(
        (&trusted["status"], &trusted["insecure"]),
        (&json!(200), &json!(false))
    );
    let unchecked = at(&url, json!({"get": "/", "insecure": true})).await;
    assert_eq!(unchecked.unwrap()["insecure"], true);

    let other = format!("https://localhost:{port}");
    let error = with(&other, json!({"ca": ca}), json!("POST /"), time).await;
    let error = error.unwrap_err();
    assert_eq!(error.outcome, Outcome::NotApplied);
    assert!(
        error
            .message
            .ends_with("TLS: the certificate is for another name (name mismatch)"),
        "{error}"
    );

    // one that speaks no TLS, and one that hangs up in the handshake
    let cut = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cut_url = format!("https://{}", cut.local_addr().unwrap());
    tokio::spawn(async move { drop(cut.accept().await) });
    let plain = app().await.replace("http:", "https:");
    for (url, words) in [(plain, "TLS: "), (cut_url, "connection ")] {
        let error = at(&url, json!("POST /a")).await.unwrap_err();
        let known = (error.cause, error.outcome);
        assert_eq!(known, (Cause::Unreachable, Outcome::NotApplied), "{error}");
        let place = url.trim_start_matches("https://");
        let start = format!("target `t` at {place}: {words}");
        assert!(error.message.starts_with(&start), "{error}");
    }
}

#[tokio::test]
async fn cookie_values_are_hidden_in_the_result() {
    let cookie = [("set-cookie", "sid=s3cret; Path=/")];
    let server = Wire::answering(answer("200 OK", &cookie, ""));
    let result = at(&server.url, json!("/a")).await.unwrap();
    assert_eq!(result["headers"]["set-cookie"], "sid=***; Path=/");
}

#[tokio::test]
async fn notify_posts_text_at_the_top_and_hides_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let server = Wire::answering(answer("204 No Content", &[], ""));
    let params = json!({
        "webhook": format!("{}/hooks/T0KEN", server.url),
        "text": "rolled back", "title": "hybrid-cache", "data": {"n": 1},
    });
    let call = call("notify", params, dir.path());
    let result = Notify.execute(&context(dir.path()), &call).await.unwrap();
    assert_eq!(result["status"], 204);
    let request = &server.requests()[0];
    assert!(request.starts_with("POST /hooks/T0KEN HTTP/1.1\r\n"));
    let body: Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(
        body,
        json!({
            "text": "rolled back", "title": "hybrid-cache",
            "run": "test-run", "step": "step", "data": {"n": 1},
        })
    );
    assert!(!result.to_string().contains("T0KEN"));

    let server = Wire::answering(answer("500 Internal Server Error", &[], "no"));
    let mut failing = call.clone();
    failing.params["webhook"] = json!(format!("{}/hooks/T0KEN", server.url));
    let error = Notify.execute(&context(dir.path()), &failing).await;
    let error = error.unwrap_err();
    assert_eq!(
        error.message,
        format!("{} answered with 500 Internal Server Error", server.at)
    );
    assert!(!format!("{error:?}").contains("T0KEN"));
}

#[tokio::test]
async fn env_reads_names_in_both_forms() {
    let dir = tempfile::tempdir().unwrap();
    let cx = context(dir.path());
    for params in [
        json!(["PATH", "FERRY_TEST_UNSET", "DECLARED"]),
        json!({"names": ["PATH", "FERRY_TEST_UNSET", "DECLARED"]}),
    ] {
        let mut call = call("env", params, dir.path());
        call.env = vec![("DECLARED".into(), "yes".into())];
        let result = Env.execute(&cx, &call).await.unwrap();
        assert_eq!(
            result,
            json!({"PATH": std::env::var("PATH").unwrap(), "FERRY_TEST_UNSET": null, "DECLARED": "yes"})
        );
    }
    for wrong in [
        json!({"name": ["A"]}),
        json!("A"),
        json!(["A=B"]),
        json!({}),
    ] {
        let error = Env.execute(&cx, &call("env", wrong, dir.path())).await;
        assert_eq!(error.unwrap_err().cause, Cause::Invalid);
    }
}
