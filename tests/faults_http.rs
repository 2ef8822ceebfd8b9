//! HTTP services that fail, as a run meets them (cases H01, H02, H04, H05 and H07 of the fault
//! matrix): what is sent again, what is undone, and that nothing passes by accident. The single
//! request is in `action_http`.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use ferry::event::{Cause, EventKind, Outcome, StepEvent};

use crate::support::ferry::{Ferry, Ran};
use crate::support::ports;
use crate::support::wire::{Wire, answer};

/// A run whose step `call` is this request to `target`, with these keys beside.
fn run(url: &str, request: &str, keys: &str) -> Ran {
    Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            targets: {{ app: {{ http: \"{url}\" }} }}
            phases:
              p:
                steps:
                  - id: call
                    http: {request}
                    target: app
                    {keys}
            "
        ))
        .run()
}

const UNDO: &str = "undo: [{ shell: echo undo >> ledger }]";
const AGAIN: &str = "retry: { limit: 2, backoff: 1ms }";

/// Milliseconds between each failed attempt and the next one.
fn waits(ran: &Ran) -> Vec<i64> {
    let wait = |event: &ferry::event::Event| match &event.kind {
        EventKind::Step(StepEvent::Failed { retry_at, .. }) => retry_at.map(|at| at - event.at),
        _ => None,
    };
    ran.journal.iter().filter_map(wait).collect()
}

/// H01
#[test]
fn a_request_that_was_never_sent_is_clean_and_sent_when_the_server_is_there() {
    let port = ports::free();
    for url in [
        format!("http://127.0.0.1:{port}"),
        "http://ferry.invalid:81".to_owned(),
    ] {
        let keys = format!("{AGAIN}\n                    {UNDO}");
        let ran = run(&url, "{ post: /x, json: {} }", &keys).code(11);
        let failed = ran.failed("call");
        assert_eq!(
            (failed.cause, failed.outcome),
            (Cause::Unreachable, Outcome::NotApplied),
            "{failed:?}"
        );
        assert_eq!(waits(&ran).len(), 2, "{}", ran.all());
        assert_eq!(ran.ledger(), Vec::<String>::new());
    }
}

/// H01: `localhost` is `::1` first where that exists, and nobody listens there.
#[test]
fn a_name_whose_first_address_is_broken_is_reached_by_the_next() {
    let server = Wire::answering(answer("200 OK", &[], ""));
    let url = server.url.replace("127.0.0.1", "localhost");
    let ran = run(&url, "{ post: /x, json: {} }", UNDO).success();
    assert_eq!(server.requests().len(), 1, "{}", ran.all());
    assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
}

/// H02
#[test]
fn a_post_is_sent_again_only_where_that_is_harmless() {
    for status in [
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Timeout",
        "429 Too Many Requests",
    ] {
        let send = |keys: &str| {
            let server = Wire::answering(answer(status, &[], ""));
            let keys = format!("{AGAIN}\n                    {UNDO}\n                    {keys}");
            let ran = run(&server.url, "{ post: /pay, json: {} }", &keys).code(11);
            (ran, server.requests())
        };
        let (ran, requests) = send("title: once");
        assert_eq!(requests.len(), 1, "{status}: {}", ran.all());
        assert_eq!(ran.failed("call").outcome, Outcome::Unknown, "{status}");
        assert_eq!(ran.ledger(), ["undo"], "{status}");

        let (ran, requests) = send("idempotent: true");
        assert_eq!(requests.len(), 3, "{status}: {}", ran.all());
        let keys: Vec<_> = requests
            .iter()
            .filter_map(|request| {
                request
                    .lines()
                    .find(|line| line.starts_with("idempotency-key"))
            })
            .collect();
        assert!(
            keys.len() == 3 && keys.iter().all(|key| key == &keys[0]),
            "the same key each time: {keys:?}"
        );
    }
}

/// H02
#[test]
fn a_server_that_asks_to_be_left_alone_is_up_to_the_longest_wait() {
    let asks = |status: &str, seconds: &str| {
        Wire::answering(answer(status, &[("retry-after", seconds)], ""))
    };
    // proven not to have happened, so it is sent again, after the time that was asked for
    let server = asks("503 Service Unavailable", "1");
    let keys = format!("retry: {{ limit: 1, backoff: 1ms }}\n                    {UNDO}");
    let ran = run(&server.url, "{ post: /x, json: {} }", &keys).code(11);
    assert_eq!(server.requests().len(), 2);
    assert_eq!(ran.failed("call").outcome, Outcome::NotApplied);
    assert_eq!(ran.ledger(), Vec::<String>::new());
    assert!((950..=1_000).contains(&waits(&ran)[0]), "{:?}", waits(&ran));
    // an hour is not waited for where the author says otherwise
    for (request, expect) in [
        ("{ post: /x, json: {} }", "undo: none"),
        ("{ get: /x, status: [200] }", "title: asked"),
        ("GET /x", "expect: result.status == 200"),
    ] {
        let server = asks("429 Too Many Requests", "3600");
        let keys = format!(
            "retry: {{ limit: 1, backoff: 1ms, max_backoff: 150ms }}\n                    {expect}"
        );
        let ran = run(&server.url, request, &keys).code(11);
        assert_eq!(server.requests().len(), 2, "{request}: {}", ran.all());
        assert!(
            (100..=150).contains(&waits(&ran)[0]),
            "{request}: {:?}",
            waits(&ran)
        );
    }
}

/// H02: reading is asked again as often as said, and a status is not an answer by itself.
#[test]
fn a_get_is_asked_again_and_then_fails() {
    for status in ["500 Internal Server Error", "503 Service Unavailable"] {
        let server = Wire::answering(answer(status, &[], ""));
        let keys = format!("{AGAIN}\n                    expect: result.status == 200");
        let ran = run(&server.url, "GET /health", &keys).code(11);
        assert_eq!(server.requests().len(), 3, "{status}");
        assert_eq!(ran.failed("call").outcome, Outcome::NotApplied);
    }
}

/// H04
#[test]
fn the_deadline_of_the_step_wins_over_a_server_that_dawdles() {
    let headers = || {
        Wire::serve(3, |stream| {
            for byte in b"HTTP/1.1 200 OK\r\nx-a: bbbbbbbbbbbbbbbbbbbbbbbbbbb" {
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(300));
            }
        })
    };
    let body = || {
        Wire::serve(3, |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1");
            std::thread::sleep(Duration::from_secs(3));
        })
    };
    for (server, request, outcome, undone) in [
        (headers(), "{ post: /x, json: {} }", Outcome::Unknown, true),
        (body(), "{ post: /x, json: {} }", Outcome::Unknown, true),
        (headers(), "GET /x", Outcome::NotApplied, false),
        (body(), "GET /x", Outcome::NotApplied, false),
    ] {
        let keys = format!(
            "timeout: 700ms\n                    {}",
            if undone { UNDO } else { "title: read" }
        );
        let ran = run(&server.url, request, &keys).code(11);
        let failed = ran.failed("call");
        assert_eq!((failed.cause, failed.outcome), (Cause::Timeout, outcome));
        assert!(ran.took < Duration::from_secs(4), "{:?}", ran.took);
        assert_eq!(ran.ledger().len(), usize::from(undone), "{}", ran.all());
    }
}

/// 64 MiB of nothing, in 64 kB.
fn gzip_bomb() -> Vec<u8> {
    let made = Command::new("sh")
        .args(["-c", "head -c 67108864 /dev/zero | gzip -9"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(made.status.success() && made.stdout.len() > 10_000);
    made.stdout
}

/// H05: a body that is over the limit, cut, or packed is an error or inconclusive, never a pass.
#[test]
fn a_body_that_cannot_be_read_whole_passes_nothing() {
    let over = |head: &'static str| {
        Wire::serve(2, move |stream| {
            let _ = stream.write_all(head.as_bytes());
            let chunk = [&b"10000\r\n"[..], &[b' '; 65_536], b"\r\n"].concat();
            for _ in 0..1_024 {
                if stream.write_all(&chunk).is_err() {
                    return;
                }
            }
        })
    };
    let bomb = gzip_bomb();
    let mut packed = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        bomb.len()
    )
    .into_bytes();
    packed.extend(bomb);
    let cases = [
        (
            over("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            Cause::Limit,
            "the body is over the limit of 8.0 MB",
        ),
        (
            over("HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n"),
            Cause::Limit,
            "the body of 10.0 GB is over the limit of 8.0 MB",
        ),
        (
            Wire::answering("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345"),
            Cause::Unreachable,
            "the body was cut after 5 bytes",
        ),
        (
            Wire::answering(answer("200 OK", &[("x-a", &"y".repeat(70_000))], "")),
            Cause::Limit,
            "the response headers are over the limit of 64 kB",
        ),
        (
            Wire::answering(answer("200 OK", &[("x-a", &"y".repeat(2 << 20))], "")),
            Cause::Unreachable,
            "too large",
        ),
        // it is never unpacked: what is inside does not count as seen
        (Wire::answering(packed), Cause::Expectation, "json"),
    ];
    for (server, cause, says) in cases {
        let ran = run(
            &server.url,
            "GET /x",
            "expect: ['result.status == 200', 'result.json.error != true']",
        )
        .code(11);
        let failed = ran.failed("call");
        assert!(
            failed.cause == cause && failed.message.contains(says),
            "{failed:?}"
        );
    }
}

/// Both ways round, and by absence.
const EXPECT: [&str; 6] = [
    "result.json.ok == true",
    "result.json.ok != true",
    "!has(result.json.error)",
    "result.json.errors.size() == 0",
    "!(result.json.ok == false)",
    "result.json.all(key, key != \"error\")",
];

/// H07: an answer that is not quite JSON makes an expectation an error or inconclusive, whichever way
/// round it is asked.
#[test]
fn what_is_not_json_passes_no_expectation() {
    let deep = "[".repeat(10_000);
    for body in [
        "{\"ok\": tru",
        "{\"ok\": NaN}",
        "{\"ok\": true, \"ok\": true}",
        "\u{feff}{\"ok\": true}",
        "",
        &deep,
    ] {
        let kind = [("content-type", "application/json")];
        let server = Wire::answering(answer("200 OK", &kind, body));
        let steps: String = EXPECT
            .iter()
            .enumerate()
            .map(|(n, expect)| {
                format!("- {{ id: s{n}, http: GET /x, target: app, tolerate: true, expect: ['{expect}'] }}\n                  ")
            })
            .collect();
        let ran = Ferry::new()
            .runbook(&format!(
                "
                runbook: demo
                targets: {{ app: {{ http: \"{}\" }} }}
                phases:
                  p:
                    steps:
                      {}
                ",
                server.url,
                steps
                    .trim()
                    .replace("\n                  ", "\n                      ")
            ))
            .run()
            .success();
        for (n, expect) in EXPECT.iter().enumerate() {
            let failed = ran.failed(&format!("s{n}"));
            assert_eq!(failed.cause, Cause::Expectation, "{failed:?}");
            assert!(
                failed.message.contains("which is inconclusive")
                    || failed.message.contains("which is error"),
                "{body:.20}, {expect}: {}",
                failed.message
            );
        }
    }
}
