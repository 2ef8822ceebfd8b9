//! Probes of services, logs and this machine: what they measure, and that nothing of theirs passes by
//! accident.

use std::collections::HashSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::routing::get;
use ferry::action::pause::Deadline;
use ferry::action::{Action, ActionError, Registry, Stop, StopSignal};
use ferry::event::{Cause, Outcome};
use ferry::runbook::TargetKind;
use serde_json::{Value, json};

use crate::support::context::{call, context, target};
use crate::support::ferry::Ferry;
use crate::support::ports;
use crate::support::wire::{Silent, Wire, answer};

fn action(key: &str) -> &'static dyn Action {
    Registry::all().get(key).unwrap()
}

/// Carries out a probe; every field of its result has to be listed.
async fn probe(
    key: &str,
    params: Value,
    dir: &Path,
    url: Option<&str>,
) -> Result<Value, ActionError> {
    let mut call = call(key, params, dir);
    call.target = url.map(|url| match url.starts_with("http") {
        true => target(TargetKind::Http, url),
        false => target(TargetKind::Host, url),
    });
    let result = action(key).execute(&context(dir), &call).await?;
    let known: Vec<&str> = action(key)
        .spec()
        .results
        .iter()
        .map(|(name, _)| *name)
        .collect();
    for field in result.as_object().unwrap().keys() {
        assert!(known.contains(&field.as_str()), "`{field}` is not listed");
    }
    Ok(result)
}

async fn sample(url: &str, params: Value) -> Result<Value, ActionError> {
    probe("http.sample", params, Path::new("/"), Some(url)).await
}

/// What a test's own service saw.
#[derive(Clone, Default)]
struct Seen {
    callers: Arc<Mutex<HashSet<SocketAddr>>>,
    asked: Arc<Mutex<usize>>,
}

/// `/ok` is at once, `/slow` takes 60 ms, every fifth of `/often` fails, `/missing` is not there.
async fn service() -> (String, Seen) {
    let seen = Seen::default();
    let (kept, counted) = (seen.clone(), seen.clone());
    let routes = axum::Router::new()
        .route(
            "/ok",
            get(|ConnectInfo(caller): ConnectInfo<SocketAddr>| async move {
                kept.callers.lock().unwrap().insert(caller);
                "fine"
            }),
        )
        .route(
            "/slow",
            get(|| async {
                tokio::time::sleep(Duration::from_millis(60)).await;
                "fine"
            }),
        )
        .route(
            "/often",
            get(|| async move {
                let mut asked = counted.asked.lock().unwrap();
                *asked += 1;
                match *asked % 5 {
                    0 => StatusCode::SERVICE_UNAVAILABLE,
                    _ => StatusCode::OK,
                }
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    (url, seen)
}

#[tokio::test]
async fn a_sample_has_its_figures_and_keeps_its_connections() {
    let (url, seen) = service().await;
    let params = json!({"get": "/ok", "requests": 40, "concurrency": 4});
    let result = sample(&url, params).await.unwrap();
    assert_eq!(
        (&result["requests"], &result["ok"], &result["bytes"]),
        (&json!(40), &json!(40), &json!(160))
    );
    assert_eq!(
        (&result["ok_rate"], &result["error_rate"]),
        (&json!(1.0), &json!(0.0))
    );
    assert_eq!(result["statuses"], json!({"200": 40}));
    let figures = ["min_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms"]
        .map(|key| result[key].as_f64().unwrap());
    assert!(figures.is_sorted() && figures[0] > 0.0, "{figures:?}");
    assert!(result["rps"].as_f64() > Some(1.0));
    let callers = seen.callers.lock().unwrap().len();
    assert!((1..=4).contains(&callers), "{callers} connections");

    // eight of 60 ms each, four at a time
    let started = Instant::now();
    let params = json!({"get": "/slow", "requests": 8, "concurrency": 4});
    let slow = sample(&url, params).await.unwrap();
    assert!(slow["min_ms"].as_f64() >= Some(59.0), "{slow}");
    assert!(
        started.elapsed() < Duration::from_millis(450),
        "{:?}",
        started.elapsed()
    );
    let head = sample(&url, json!({"head": "/ok", "requests": 3}))
        .await
        .unwrap();
    assert_eq!((&head["ok"], &head["bytes"]), (&json!(3), &json!(0)));
    let short = sample(&url, json!("GET /ok")).await.unwrap();
    assert_eq!(short["requests"], 20);
}

#[tokio::test]
async fn what_fails_makes_no_sample_look_better() {
    let (url, _) = service().await;
    let params = json!({"get": "/often", "requests": 20, "concurrency": 2});
    let result = sample(&url, params.clone()).await.unwrap();
    assert_eq!(
        (&result["ok_rate"], &result["error_rate"]),
        (&json!(0.8), &json!(0.2))
    );
    assert_eq!(result["classes"]["5xx"], 4);
    assert!(result["p50_ms"].is_f64() && result["max_ms"].is_f64());
    assert_eq!(
        (&result["p90_ms"], &result["p95_ms"]),
        (&Value::Null, &Value::Null)
    );
    let mut meant = params;
    meant["status"] = json!(["2xx", 503]);
    let result = sample(&url, meant).await.unwrap();
    assert_eq!(
        (&result["ok_rate"], result["p95_ms"].is_f64()),
        (&json!(1.0), true)
    );
    let missing = sample(&url, json!({"get": "/missing", "requests": 3}))
        .await
        .unwrap();
    assert_eq!(
        (&missing["statuses"], &missing["ok_rate"]),
        (&json!({"404": 3}), &json!(0.0))
    );
    assert_eq!(missing["p50_ms"], Value::Null);
}

#[tokio::test]
async fn what_does_not_answer_is_counted_by_kind() {
    let closed = format!("http://127.0.0.1:{}", ports::free());
    let result = sample(&closed, json!({"get": "/", "requests": 5}))
        .await
        .unwrap();
    assert_eq!(
        (&result["unanswered"], &result["error_rate"]),
        (&json!(5), &json!(1.0))
    );
    assert_eq!(
        (&result["errors"]["refused"], &result["first_error"]),
        (&json!(5), &json!("connection refused"))
    );
    for key in ["p50_ms", "p99_ms", "min_ms", "mean_ms", "max_ms"] {
        assert_eq!(result[key], Value::Null, "{key}");
    }
    let silent = Silent::listen();
    let params = json!({"get": "/", "requests": 2, "concurrency": 2, "timeout": "150ms"});
    let result = sample(&format!("http://{}", silent.at), params)
        .await
        .unwrap();
    assert_eq!(result["errors"]["timeout"], 2);
    assert_eq!(result["first_error"], "no whole answer within 150ms");
    // half of an answer is none
    let cut = Wire::serve(50, |stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    });
    let result = sample(&cut.url, json!({"get": "/", "requests": 4}))
        .await
        .unwrap();
    assert_eq!(
        (&result["ok"], &result["errors"]["reset"]),
        (&json!(0), &json!(4)),
        "{result}"
    );
    let long = Wire::answering(answer("200 OK", &[], &"x".repeat(3_000)));
    let params = json!({"get": "/", "requests": 2, "max_body": "2kb"});
    let result = sample(&long.url, params).await.unwrap();
    assert_eq!(result["errors"]["too_large"], 2);
}

#[tokio::test]
async fn a_sample_that_is_not_finished_is_none() {
    let (url, seen) = service().await;
    let dir = tempfile::tempdir().unwrap();
    let mut cx = context(dir.path());
    cx.deadline = Some(Deadline::after(Duration::from_millis(150)));
    let params = json!({"get": "/slow", "requests": 1000, "concurrency": 1});
    let mut call = call("http.sample", params, dir.path());
    call.target = Some(target(TargetKind::Http, &url));
    let error = action("http.sample").execute(&cx, &call).await.unwrap_err();
    assert_eq!(
        (error.cause, error.outcome),
        (Cause::Timeout, Outcome::NotApplied)
    );
    assert!(
        error
            .message
            .ends_with("of 1000 requests: that is no sample"),
        "{error:?}"
    );
    let (sender, stop) = StopSignal::channel();
    cx.stop = stop;
    cx.deadline = None;
    sender.send(Stop::Terminate).unwrap();
    let error = action("http.sample").execute(&cx, &call).await.unwrap_err();
    assert_eq!(error.cause, Cause::Stopped);

    for (params, why) in [
        (
            json!({"request": "POST /often"}),
            "a sample only reads: GET and HEAD, not POST",
        ),
        (
            json!({"get": "/often", "requests": 10_001}),
            "`requests` is from 1 to 10000",
        ),
        (
            json!({"get": "/often", "concurrency": 0}),
            "`concurrency` is from 1 to 64",
        ),
        (
            json!({"get": "/often", "timeout": "6m"}),
            "`timeout` is from 1ms to 5m",
        ),
    ] {
        let error = sample(&url, params).await.unwrap_err();
        assert_eq!(error.message, format!("`http.sample`: {why}"));
    }
    assert!(sample(&url, json!({"post": "/often"})).await.is_err());
    assert_eq!(*seen.asked.lock().unwrap(), 0);
    let error = sample("http://169.254.169.254/", json!({"get": "/x"}))
        .await
        .unwrap_err();
    assert_eq!(error.cause, Cause::Denied);
}

/// A log whose lines are so many seconds old.
fn log(dir: &Path, ages: &[(f64, &str)]) {
    let now = jiff::Timestamp::now();
    let mut text = String::new();
    for (age, line) in ages {
        let at = now - jiff::SignedDuration::from_secs_f64(*age);
        text += &format!("{at:.3} {line}\n");
    }
    std::fs::write(dir.join("app.log"), text).unwrap();
}

async fn rate(dir: &Path, mut params: Value) -> Result<Value, ActionError> {
    params["file"] = json!("app.log");
    if params["pattern"].is_null() {
        params["pattern"] = json!("ERROR");
    }
    probe("log.rate", params, dir, None).await
}

#[tokio::test]
async fn a_rate_is_of_the_lines_of_that_time() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    log(
        dir,
        &[
            (500.0, "ERROR before"),
            (40.0, "ERROR one"),
            (30.0, "fine"),
            (20.0, "ERROR two"),
            (10.0, "fine"),
        ],
    );
    let result = rate(dir, json!({})).await.unwrap();
    assert_eq!(
        (&result["lines"], &result["matched"], &result["share"]),
        (&json!(4), &json!(2), &json!(0.5))
    );
    assert_eq!(
        (&result["per_minute"], &result["over_s"]),
        (&json!(2.0), &json!(60.0))
    );
    let age = result["last_age_s"].as_f64().unwrap();
    assert!((9.0..15.0).contains(&age), "{age}");
    let none = rate(dir, json!({"pattern": "FATAL"})).await.unwrap();
    assert_eq!(
        (&none["matched"], &none["per_minute"], &none["share"]),
        (&json!(0), &json!(0.0), &json!(0.0))
    );
    // a log that began 10 s ago says nothing of the time before
    log(
        dir,
        &[(10.0, "ERROR one"), (5.0, "ERROR two"), (1.0, "fine")],
    );
    let young = rate(dir, json!({})).await.unwrap();
    let (over, rate_of) = (
        young["over_s"].as_f64().unwrap(),
        young["per_minute"].as_f64().unwrap(),
    );
    assert!((10.0..12.0).contains(&over) && rate_of > 9.0, "{young}");
    // unless there is a rotated one, which ended before
    std::fs::write(dir.join("app.log.1"), "old\n").unwrap();
    let old = std::fs::File::open(dir.join("app.log.1")).unwrap();
    let past = std::time::SystemTime::now() - Duration::from_secs(3_600);
    old.set_modified(past).unwrap();
    assert_eq!(rate(dir, json!({})).await.unwrap()["over_s"], 60.0);
    // lines of a rotated one that reach into the time count
    log(dir, &[(45.0, "ERROR one"), (25.0, "fine")]);
    std::fs::rename(dir.join("app.log"), dir.join("app.log.1")).unwrap();
    log(dir, &[(5.0, "ERROR two")]);
    let rotated = rate(dir, json!({})).await.unwrap();
    assert_eq!(
        (&rotated["lines"], &rotated["matched"], &rotated["rotated"]),
        (&json!(3), &json!(2), &json!(true))
    );
}

#[tokio::test]
async fn a_log_that_is_silent_has_no_rate() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    log(dir, &[(500.0, "ERROR before"), (400.0, "fine")]);
    // written to just now: its times are behind, or its lines are dated in another way since
    for params in [json!({}), json!({"quiet_is_fine": true})] {
        let error = rate(dir, params).await.unwrap_err();
        assert_eq!(
            error.message,
            "`app.log`: it was written to in that time, and has no line of that time"
        );
        assert!(error.hint.unwrap().contains("`zone`"));
    }
    let written = std::fs::File::open(dir.join("app.log")).unwrap();
    let past = std::time::SystemTime::now() - Duration::from_secs(400);
    written.set_modified(past).unwrap();
    for text in [None, Some("")] {
        if let Some(text) = text {
            std::fs::write(dir.join("app.log"), text).unwrap();
        }
        let silent = rate(dir, json!({})).await.unwrap();
        assert_eq!(
            (&silent["lines"], &silent["matched"]),
            (&json!(0), &json!(0)),
            "{text:?}"
        );
        for key in [
            "per_minute",
            "per_second",
            "share",
            "first",
            "last",
            "last_age_s",
        ] {
            assert_eq!(silent[key], Value::Null, "{key}");
        }
        let fine = rate(dir, json!({"quiet_is_fine": true})).await.unwrap();
        assert_eq!(
            (&fine["per_minute"], &fine["share"]),
            (&json!(0.0), &Value::Null)
        );
    }
    std::fs::write(dir.join("app.log"), "no time\nERROR at all\n").unwrap();
    let error = rate(dir, json!({})).await.unwrap_err();
    assert_eq!(
        error.message,
        "`app.log`: no line has a time that is understood, so there is no rate"
    );
    log(dir, &[(10.0, "fine"), (-7_200.0, "ERROR of another zone")]);
    let error = rate(dir, json!({})).await.unwrap_err();
    assert!(
        error.message.starts_with("`app.log`: its last line is "),
        "{error:?}"
    );
    std::fs::remove_file(dir.join("app.log")).unwrap();
    assert!(rate(dir, json!({"quiet_is_fine": true})).await.is_err());
    for params in [
        json!({"over": "500ms"}),
        json!({"over": "2d"}),
        json!({"pattern": "("}),
        json!({"zone": "Nowhere/At"}),
    ] {
        assert_eq!(rate(dir, params).await.unwrap_err().cause, Cause::Invalid);
    }
}

#[tokio::test]
async fn of_a_long_log_only_the_end_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let now = jiff::Timestamp::now().as_second();
    let mut text = String::new();
    for second in (0..400_000).rev() {
        text += &format!(
            "{} a line that says {}\n",
            now - second,
            if second % 10 == 0 { "ERROR" } else { "nothing" }
        );
    }
    std::fs::write(dir.path().join("app.log"), &text).unwrap();
    let started = Instant::now();
    let result = rate(dir.path(), json!({"over": "100s"})).await.unwrap();
    let took = started.elapsed();
    assert!(
        (9..=11).contains(&result["matched"].as_u64().unwrap()),
        "{result}"
    );
    assert!(
        (99..=102).contains(&result["lines"].as_u64().unwrap()),
        "{result}"
    );
    assert_eq!(result["over_s"], 100.0);
    let whole = Instant::now();
    let all = rate(dir.path(), json!({"over": "1d"})).await.unwrap();
    assert!(all["lines"].as_u64() >= Some(86_399), "{all}");
    assert!(
        took * 2 < whole.elapsed(),
        "{took:?} of {:?}",
        whole.elapsed()
    );
}

#[tokio::test]
async fn room_on_a_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let result = probe("disk.free", json!("."), dir.path(), None)
        .await
        .unwrap();
    let of = |key: &str| result[key].as_u64().unwrap();
    assert!(of("free_bytes") > 0 && of("free_bytes") + of("used_bytes") <= of("total_bytes"));
    let share = result["used_share"].as_f64().unwrap();
    assert!((0.0..1.0).contains(&share), "{share}");
    assert_eq!(result["read_only"], false);
    let df = Command::new("df")
        .args(["--output=size", "-B1", "."])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let size = String::from_utf8(df.stdout).unwrap();
    assert_eq!(
        size.lines().last().unwrap().trim(),
        of("total_bytes").to_string()
    );
    // what has no size has no share of it
    let pseudo = probe("disk.free", json!("/proc"), dir.path(), None)
        .await
        .unwrap();
    for key in [
        "free_bytes",
        "total_bytes",
        "used_share",
        "inodes_used_share",
    ] {
        assert_eq!(pseudo[key], Value::Null, "{key}");
    }
    let error = probe("disk.free", json!("not-there"), dir.path(), None)
        .await
        .unwrap_err();
    assert_eq!(
        (error.cause, error.message.as_str()),
        (Cause::Invalid, "`not-there`: no such file or directory")
    );
    assert!(
        probe("disk.free", json!("."), dir.path(), Some("local"))
            .await
            .is_ok()
    );
    let error = probe("disk.free", json!("."), dir.path(), Some("db7.example"))
        .await
        .unwrap_err();
    assert_eq!(error.message, "`disk.free`: target `t` is not this machine");
}

#[tokio::test]
async fn what_processes_use() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // a program of a name of its own, twice: one at work, one asleep
    let name = format!("ferry-t{}", std::process::id());
    let own = dir.join(&name);
    std::fs::copy("/bin/sh", &own).unwrap();
    let start = |script: &str| {
        Command::new(&own)
            .args(["-c", script])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut busy = start("while :; do :; done");
    let mut idle = start("read line; exit 0");
    std::fs::write(dir.join("pid"), format!("{}\n", idle.id())).unwrap();
    let look = async |params: Value| probe("process.cpu", params, dir, None).await.unwrap();
    let both = look(json!({"name": name, "over": "500ms"})).await;
    assert_eq!((&both["count"], &both["threads"]), (&json!(2), &json!(2)));
    let mut pids = vec![busy.id(), idle.id()];
    pids.sort_unstable();
    assert_eq!(both["pids"], json!(pids));
    let cpu = both["cpu"].as_f64().unwrap();
    assert!((0.02..1.5).contains(&cpu), "{cpu}");
    assert!(both["rss_bytes"].as_u64() > Some(100_000), "{both}");
    let sleeping = look(json!({"pid_file": "pid", "over": "100ms"})).await;
    assert_eq!(
        (&sleeping["count"], &sleeping["cpu"]),
        (&json!(1), &json!(0.0))
    );

    busy.kill().unwrap();
    busy.wait().unwrap();
    let pid = idle.id();
    let ending = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(idle.stdin.take());
        idle.wait().unwrap();
    };
    let (ended, ()) = tokio::join!(look(json!({"pid": pid, "over": "1s"})), ending);
    assert_eq!(
        (&ended["count"], &ended["ended"], &ended["cpu"]),
        (&json!(0), &json!(1), &Value::Null)
    );
    for params in [
        json!({"name": name, "over": "100ms"}),
        json!({"pid_file": "pid", "over": "100ms"}),
        json!({"pid_file": "no-file", "over": "100ms"}),
    ] {
        let none = look(params).await;
        assert_eq!(none["count"], 0);
        for key in ["cpu", "rss_bytes", "threads"] {
            assert_eq!(none[key], Value::Null, "{key}");
        }
    }
    std::fs::write(dir.join("pid"), "soon").unwrap();
    let error = probe("process.cpu", json!({"pid_file": "pid"}), dir, None)
        .await
        .unwrap_err();
    assert_eq!(error.message, "`pid`: holds no process number");
    assert!(
        probe("process.cpu", json!({"pid": 1, "name": "x"}), dir, None)
            .await
            .is_err()
    );
    assert!(
        probe("process.cpu", json!({"pid": 1, "over": "1ms"}), dir, None)
            .await
            .is_err()
    );
}

#[test]
fn wrong_parameters_are_told_before_the_run() {
    for (step, told) in [
        ("http.sample: { post: /x }", "post"),
        (
            "http.sample: POST /x",
            "a sample only reads: GET and HEAD, not POST",
        ),
        (
            "http.sample: { get: /x, requests: 20000 }",
            "`requests` is from 1 to 10000",
        ),
        (
            "log.rate: { file: app.log, pattern: '(' }",
            "unclosed group",
        ),
        (
            "process.cpu: { pid: 1, name: x }",
            "only one of `pid`, `pid_file` and `name`",
        ),
        ("process.cpu: {}", "no process is named"),
    ] {
        let ran = Ferry::new()
            .steps(&format!("- {{ {step} }}"))
            .run()
            .code(65);
        assert!(ran.all().contains(told), "{step}: {}", ran.all());
    }
}

#[test]
fn probes_are_read_in_runs_and_rehearsals_and_judged() {
    let echo = Wire::echo("200 OK\r\nconnection: close");
    let now = jiff::Timestamp::now();
    let runbook = format!(
        r#"
        runbook: demo
        targets: {{ app: {{ http: "{}" }}, here: {{ host: local }} }}
        phases:
          p:
            steps:
              - {{ id: sample, http.sample: {{ get: /, requests: 3, concurrency: 1 }}, target: app, expect: "result.ok_rate == 1.0 && result.p95_ms < 5000.0" }}
              - {{ id: rate, log.rate: {{ file: app.log, pattern: ERROR }}, expect: result.share < 0.9 }}
              - {{ id: disk, disk.free: ., target: here, expect: 'result.free_bytes > datasize("1kb")' }}
              - {{ id: file, file.stat: app.log, expect: "result.age_s < 3600.0" }}
              - {{ id: cpu, process.cpu: {{ name: no-such-program, over: 100ms }}, expect: result.cpu < 0.5 }}
        "#,
        echo.url
    );
    let with = || {
        Ferry::new()
            .runbook(&runbook)
            .file("app.log", format!("{now} fine\n{now} ERROR\n"))
    };
    let ran = with().run();
    assert_ne!(ran.code, 0);
    assert_eq!(
        (&ran.result("sample")["ok"], &ran.result("rate")["matched"]),
        (&json!(3), &json!(1))
    );
    assert!(ran.failure().contains("inconclusive"), "{}", ran.failure());
    let rehearsed = with().command(&["rehearse", "runbook.yaml"]).run().code(17);
    assert_eq!(
        rehearsed.all().matches(": really read").count(),
        5,
        "{}",
        rehearsed.all()
    );
}
