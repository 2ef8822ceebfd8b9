//! `ferry probe`: real systems looked at by hand; what is shown, judged, refused and never shown.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::ferry::{Ferry, Ran, redact, same};
use crate::support::ports;
use crate::support::postgres::{ENCODED, PASSWORD, Postgres};
use crate::support::redis::{Server, own_db, shared};
use crate::support::terminal::Terminal;

fn probe<const N: usize>(args: [&str; N]) -> Ran {
    Ferry::new().command(&["probe"]).args(args).run()
}

/// A server that answers every request so, until the test process ends.
fn answers(status: &'static str, body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let n = stream.read(&mut request).unwrap_or(0);
            let line = String::from_utf8_lossy(&request[..n]);
            let path = line.split(' ').nth(1).unwrap_or("").to_owned();
            let body = body.replace("PATH", &path);
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    port
}

/// Nothing that differs from look to look.
fn steady(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, with) in [
        (r"127\.0\.0\.1:\d+", "HOST"),
        (r", \d+\.\d ms", ", TIME"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "NOW"),
    ] {
        let regex = regex::Regex::new(pattern).unwrap();
        text = regex.replace_all(&text, with).into_owned();
    }
    text
}

#[test]
fn redis_is_looked_at_without_a_word_more_than_its_address() {
    let db = own_db();
    shared().ask::<()>(db, &["SET", "k", "v"]);
    let ran = probe([&shared().url(db)]).success();
    let head = steady(ran.stdout.lines().next().unwrap());
    assert_eq!(head, format!("redis.stats of redis://HOST/{db}, TIME"));
    let field = |name: &str| {
        let mut lines = ran.stdout.lines();
        let found = lines.find(|line| line.trim_start().split(' ').next() == Some(name));
        let found = found.unwrap_or_else(|| panic!("no `{name}` in\n{}", ran.stdout));
        found
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(field("keys"), ["keys", "1"]);
    assert_eq!(field("role"), ["role", "master"]);
    assert_eq!(field("maxmemory"), ["maxmemory", "0", "B", "0"]);
    assert_eq!(field("memory_share"), ["memory_share", "-"]);
    // the figure for people, and the one for programs
    let memory = field("used_memory");
    assert!(memory[2] == "MB" || memory[2] == "kB", "{memory:?}");
    assert!(memory[3].parse::<u64>().unwrap() > 100_000, "{memory:?}");
    // columns are aligned
    let columns: Vec<_> = ran
        .stdout
        .lines()
        .skip(1)
        .map(|line| line.find("  "))
        .collect();
    assert!(columns.iter().all(Option::is_some), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
}

#[test]
fn another_look_takes_its_parameters_in_three_ways() {
    let db = own_db();
    let url = shared().url(db);
    shared().ask::<()>(db, &["SET", "greeting", "hello"]);
    let text = probe([&url, "redis", "GET greeting"]).success();
    assert!(
        text.stdout.contains("\n  reply       hello\n"),
        "{}",
        text.stdout
    );
    let set = probe([&url, "redis", "--set", "command=[GET, greeting]"]).success();
    assert!(
        set.stdout.contains("\n  reply       hello\n"),
        "{}",
        set.stdout
    );
    let params = probe([
        &url,
        "redis.config_get",
        "--params",
        "{ names: [maxmemory, 'databases'] }",
    ]);
    assert!(
        params
            .stdout
            .contains("  config\n    maxmemory  0\n    databases  200\n"),
        "{}",
        params.stdout
    );
}

#[test]
fn what_is_expected_is_judged_with_its_evidence() {
    let db = own_db();
    shared().ask::<()>(db, &["SET", "k", "v"]);
    let url = shared().url(db);
    let of = |expect: &str| probe([&url, "redis", "DBSIZE", "--expect", expect]);
    let pass = of("result.reply == 1").code(0);
    let judged = |ran: &Ran| {
        let (_, rest) = ran.stdout.split_once("  latency_ms").unwrap();
        rest.split_once('\n').unwrap().1.to_owned()
    };
    same(
        "pass",
        "  pass          result.reply == 1\n                result.reply is 1\n",
        &judged(&pass),
    );
    same(
        "fail",
        "  fail          result.reply > 10\n                result.reply is 1\n",
        &judged(&of("result.reply > 10").code(16)),
    );
    // nothing passes by accident
    let null = probe([&url, "redis.stats", "--expect", "result.memory_share < 0.9"]).code(18);
    assert!(
        null.stdout
            .contains("  inconclusive  result.memory_share < 0.9\n"),
        "{}",
        null.stdout
    );
    let kinds = of("result.reply > 'ten'").code(18);
    assert!(
        kinds.stdout.contains("  error         "),
        "{}",
        kinds.stdout
    );
    // one that fails beside one that passes
    probe([
        &url,
        "redis",
        "DBSIZE",
        "--expect",
        "result.reply == 1",
        "--expect",
        "result.reply == 2",
    ])
    .code(16);
}

#[test]
fn an_expectation_that_cannot_be_meant_is_refused_before_the_look() {
    let url = shared().url(own_db());
    let typo = probe([&url, "redis.stats", "--expect", "result.hit_rat > 0.5"]).code(64);
    assert!(typo.stderr.contains("hit_rat"), "{}", typo.stderr);
    assert!(
        typo.stderr.contains("hint: did you mean `hit_rate`?"),
        "{}",
        typo.stderr
    );
    let broken = probe([&url, "--expect", "result.keys >"]).code(64);
    assert!(
        broken
            .stderr
            .starts_with("error: `--expect 'result.keys >'`: "),
        "{}",
        broken.stderr
    );
    let field = probe([&url, "--field", "result.used_memry"]).code(64);
    assert!(
        field.stderr.contains("did you mean `used_memory`?"),
        "{}",
        field.stderr
    );
    let parameter = probe([&url, "redis.info", "--set", "section=memory"]).code(64);
    assert!(
        parameter.stderr.contains("did you mean `sections`?"),
        "{}",
        parameter.stderr
    );
}

#[test]
fn only_what_reads_is_done() {
    let db = own_db();
    let url = shared().url(db);
    shared().ask::<()>(db, &["SET", "k", "v"]);
    let set = probe([&url, "redis", "SET k other"]).code(64);
    assert_eq!(
        set.stderr,
        "error: `redis` would change something like this\nhint: `ferry probe` only reads; what changes is for a runbook\n"
    );
    let eval = probe([
        &url,
        "redis",
        "--set",
        "command=[EVAL, \"redis.call('SET','k','x')\", 0]",
    ]);
    assert_ne!(eval.code, 0, "{}", eval.stdout);
    probe([&url, "redis.flush", "--params", "{ db: 1, confirm: {} }"]).code(64);
    let flush = probe([&url, "redis.flush"]).code(64);
    assert_eq!(
        flush.stderr,
        "error: `redis.flush` changes something\nhint: `ferry probe` only reads; what changes is for a runbook\n"
    );
    assert_eq!(shared().ask::<String>(db, &["GET", "k"]), "v");
    let shell = probe(["-", "shell", "true"]).code(64);
    assert!(
        shell.stderr.contains("`shell` changes something"),
        "{}",
        shell.stderr
    );
}

#[test]
fn a_look_that_is_not_there_or_does_not_fit_is_said_with_a_way_out() {
    let url = shared().url(own_db());
    let unknown = probe([&url, "redis.stat"]).code(64);
    assert_eq!(
        unknown.stderr,
        "error: there is no look `redis.stat`\nhint: did you mean `redis.stats`?\nhint: `ferry probe --list` lists them\n"
    );
    let unfit = probe(["sqlite::memory:", "redis.stats"]).code(64);
    assert!(
        unfit.stderr.starts_with("error: `redis.stats` looks at `redis`, and this is a `sqlite` target\nhint: for a `sqlite` target there are `sql`, "),
        "{}",
        unfit.stderr
    );
    let path = probe(["/etc/hostname", "sql"]).code(64);
    assert!(
        path.stderr.contains("and this is a path"),
        "{}",
        path.stderr
    );
    let scheme = probe(["rediss2://127.0.0.1:1"]).code(64);
    assert!(
        scheme.stderr.starts_with("error: nothing is known of addresses that begin with `rediss2:`\nhint: did you mean `rediss`?\n"),
        "{}",
        scheme.stderr
    );
    let word = probe(["cache"]).code(64);
    assert_eq!(
        word.stderr,
        "error: `cache` is no address and no file\nhint: an address begins as `redis://` does; a target of a runbook needs `--runbook FILE`\n"
    );
    probe(["-"]).code(64);
    probe([]).code(64);
}

#[test]
fn the_looks_are_listed_and_those_that_fit() {
    let all = probe(["--list"]).success();
    assert!(all.stdout.starts_with("look"), "{}", all.stdout);
    for key in [
        "redis.stats",
        "sql",
        "http",
        "file.stat",
        "log.scan",
        "disk.free",
        "process.cpu",
    ] {
        let found = all
            .stdout
            .lines()
            .any(|line| line.split(' ').next() == Some(key));
        assert!(found, "{key}\n{}", all.stdout);
    }
    for key in [
        "shell",
        "redis.flush",
        "manual",
        "wait",
        "notify",
        "redis.monitor",
        "redis.pubsub",
    ] {
        let found = all
            .stdout
            .lines()
            .any(|line| line.split(' ').next() == Some(key));
        assert!(!found, "{key}\n{}", all.stdout);
    }
    let redis = probe(["--list", "redis://127.0.0.1"]).success();
    let lines = || redis.stdout.lines().skip(1);
    assert!(lines().count() >= 4, "{}", redis.stdout);
    assert!(
        lines().all(|line| line.starts_with("redis")),
        "{}",
        redis.stdout
    );
    let path = probe(["--list", "/var/log"]).success();
    assert!(path.stdout.contains("log.scan"), "{}", path.stdout);
    assert!(!path.stdout.contains("redis"), "{}", path.stdout);
    let here = probe(["--list", "-"]).success();
    assert!(here.stdout.contains("process.cpu"), "{}", here.stdout);
    assert!(!here.stdout.contains("file.stat"), "{}", here.stdout);
    let monitor = probe(["redis://127.0.0.1", "redis.monitor"]).code(64);
    assert!(
        monitor
            .stderr
            .starts_with("error: `redis.monitor` is for a step of a runbook: it takes up to half"),
        "{}",
        monitor.stderr
    );
}

#[test]
fn this_machine_is_looked_at_by_hand() {
    let disk = probe(["-", "disk.free", "/", "--expect", "result.total_bytes > 0"]).success();
    assert!(
        disk.stdout.starts_with("disk.free of this machine, "),
        "{}",
        disk.stdout
    );
    probe(["/", "disk.free", "--expect", "result.total_bytes > 0"]).success();
    let pid = format!("pid={}", std::process::id());
    let cpu = ["--set", "over=100ms", "--expect", "result.count == 1"];
    let ran = Ferry::new()
        .command(&["probe", "-", "process.cpu", "--set", &pid])
        .args(cpu)
        .run();
    ran.success();
}

#[test]
fn who_does_not_answer_is_told_as_runs_tell_it() {
    let port = ports::free();
    let ran = probe([&format!("redis://127.0.0.1:{port}")]).code(69);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(
        lines[1].starts_with(&format!(
            "  failed        `redis` (127.0.0.1:{port}) refused"
        )),
        "{}",
        ran.stdout
    );
    // also where something is expected of it
    probe([
        &format!("redis://127.0.0.1:{port}"),
        "--expect",
        "result.keys >= 0",
    ])
    .code(69);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let began = Instant::now();
    let slow = probe([&url, "--timeout", "500ms"]).code(69);
    assert!(began.elapsed() < Duration::from_secs(5), "{}", slow.stdout);
}

#[test]
fn a_password_is_never_shown() {
    let server = Server::start(&["--requirepass", "s3cret-word"]);
    let url = format!("redis://:s3cret-word@127.0.0.1:{}/0", server.port);
    let ran = probe([&url, "redis.config_get", "--set", "names=[requirepass]"]).success();
    assert!(!ran.stdout.contains("s3cret"), "{}", ran.stdout);
    let head = steady(ran.stdout.lines().next().unwrap());
    assert_eq!(head, "redis.config_get of redis://:***@HOST/0, TIME");
    let json = probe([&url, "--json"]).success();
    assert!(!json.stdout.contains("s3cret"), "{}", json.stdout);
    let wrong = format!("redis://:wr0ng-word@127.0.0.1:{}/0", server.port);
    let denied = probe([&wrong]).code(77);
    assert!(!denied.stdout.contains("wr0ng"), "{}", denied.stdout);
    // also a word that is echoed
    let echoed = probe([&url, "redis", "ECHO s3cret-word"]).success();
    assert!(!echoed.stdout.contains("s3cret"), "{}", echoed.stdout);
    assert!(echoed.stdout.contains("***"), "{}", echoed.stdout);
}

#[test]
fn sql_is_looked_at_by_its_version_and_by_queries() {
    let ran = Ferry::new()
        .command(&["probe", "sqlite:app.db", "--json"])
        .file("app.db", "")
        .run()
        .success();
    let line = &ran.json()[0];
    assert_eq!(line["look"], "sql");
    assert!(
        line["result"]["rows"][0]["version"]
            .as_str()
            .unwrap()
            .starts_with("3.")
    );
    let port = Postgres::shared().port;
    let url = format!("postgres://ferry:{ENCODED}@127.0.0.1:{port}/postgres");
    let rows = probe([
        &url,
        "sql",
        "select n, n * 1024 as bytes from generate_series(1, 30) n",
    ])
    .success();
    assert!(rows.stdout.contains("  rows"), "{}", rows.stdout);
    assert!(
        rows.stdout.contains("\n    1   1.0 kB\n"),
        "{}",
        rows.stdout
    );
    assert!(
        rows.stdout.contains("… 10 more are left out"),
        "{}",
        rows.stdout
    );
    assert!(!rows.stdout.contains(PASSWORD) && !rows.stdout.contains(ENCODED));
    let drop = probe([&url, "sql", "drop table x"]).code(64);
    assert!(
        drop.stderr.contains("would change something"),
        "{}",
        drop.stderr
    );
}

#[test]
fn http_is_asked_for_the_page_that_its_address_names() {
    let port = answers("200 OK", r#"{"asked":"PATH","items":[{"id":1},{"id":2}]}"#);
    let asked = |url: &str, more: &[&str]| {
        let mut ferry = Ferry::new().command(&["probe", url, "--json"]);
        for arg in more {
            ferry = ferry.args([arg]);
        }
        let ran = ferry.run().success();
        ran.json()[0]["result"]["json"]["asked"].clone()
    };
    assert_eq!(asked(&format!("http://127.0.0.1:{port}"), &[]), "/");
    assert_eq!(
        asked(&format!("http://127.0.0.1:{port}/health?deep=1"), &[]),
        "/health?deep=1"
    );
    // what is asked for by name stays below the address
    assert_eq!(
        asked(
            &format!("http://127.0.0.1:{port}/app"),
            &["http", "GET /ready"]
        ),
        "/app/ready"
    );
    let shown = probe([&format!("http://127.0.0.1:{port}/health")]).success();
    assert!(
        shown
            .stdout
            .contains("\n    items           (2)\n      id\n      1\n      2\n"),
        "{}",
        shown.stdout
    );
    probe([&format!("http://127.0.0.1:{port}"), "http", "POST /x"]).code(64);
}

#[test]
fn a_status_that_is_asked_about_is_an_answer() {
    let port = answers("503 Busy", "{}");
    let url = format!("http://127.0.0.1:{port}/health");
    probe([&url, "--expect", "result.status == 503"]).code(0);
    let failed = probe([&url, "--expect", "result.status == 200"]).code(16);
    assert!(
        failed
            .stdout
            .contains("  fail          result.status == 200\n"),
        "{}",
        failed.stdout
    );
    assert!(failed.stdout.contains("  status"), "{}", failed.stdout);
    // nothing is expected of it: it was looked at
    probe([&url]).code(0);
}

#[test]
fn a_path_is_a_file_or_a_log() {
    let ferry = || Ferry::new().file("app.log", "fine\nERROR one\nERROR two\n");
    let stat = ferry().command(&["probe", "./app.log"]).run().success();
    assert!(
        stat.stdout.starts_with("file.stat of ./app.log, "),
        "{}",
        stat.stdout
    );
    assert!(stat.stdout.contains("  bytes     25 B"), "{}", stat.stdout);
    let log = ferry()
        .command(&[
            "probe",
            "app.log",
            "log.scan",
            "--set",
            "since=start",
            "--set",
            "deny=ERROR",
        ])
        .args(["--expect", "result.deny_count == 2", "--json"])
        .run()
        // what was expected holds, and what is denied is there all the same
        .code(18);
    assert_eq!(log.json()[0]["result"]["deny_count"], 2);
    assert_eq!(log.json()[0]["verdict"], "pass");
    let gone = Ferry::new()
        .command(&["probe", "./gone", "--expect", "result.exists", "--json"])
        .run()
        .code(16);
    assert_eq!(gone.json()[0]["code"], 16);
}

#[test]
fn a_target_of_a_runbook_is_looked_at_by_its_name() {
    let db = own_db();
    shared().ask::<()>(db, &["SET", "k", "v"]);
    let book = format!(
        "
        runbook: demo
        inputs:
          host: {{ default: '127.0.0.1:{}' }}
          password: {{ secret: true }}
          db: {{ type: int, default: {db} }}
        targets:
          cache: {{ redis: 'redis://${{{{ inputs.host }}}}', db: '${{{{ inputs.db }}}}' }}
          locked: {{ redis: 'redis://:${{{{ inputs.password }}}}@${{{{ inputs.host }}}}' }}
        phases: {{ p: {{ steps: [{{ redis: PING, target: cache }}, {{ redis: PING, target: locked }}] }} }}
        ",
        shared().port
    );
    let with = |args: &[&str]| {
        let mut ferry = Ferry::new().runbook(&book).command(&["probe"]);
        for arg in args {
            ferry = ferry.args([arg]);
        }
        ferry.args(["--runbook", "runbook.yaml"]).run()
    };
    // a secret that this address is not made of is not needed
    let ran = with(&["cache", "--expect", "result.keys == 1"]).success();
    let head = steady(ran.stdout.lines().next().unwrap());
    assert_eq!(head, "redis.stats of cache (redis://HOST), TIME");
    let missing = with(&["locked"]).code(65);
    assert!(missing.stderr.contains("`password`"), "{}", missing.stderr);
    let given = with(&["locked", "--input", "password=kanarie-bird"]);
    assert!(!given.all().contains("kanarie"), "{}", given.all());
    assert!(given.stdout.contains("redis://:***@"), "{}", given.stdout);
    let down = with(&[
        "cache",
        "--input",
        &format!("host=127.0.0.1:{}", ports::free()),
    ])
    .code(69);
    assert!(
        down.stdout.contains("  failed        `cache` (127.0.0.1:"),
        "{}",
        down.stdout
    );
    let typo = with(&["cach"]).code(64);
    assert_eq!(
        typo.stderr,
        "error: `runbook.yaml` has no target `cach`\nhint: did you mean `cache`?\nhint: it has `cache`, `locked`\n"
    );
    with(&["cache", "--input", "hots=x"]).code(65);
}

#[test]
fn looks_are_counted_and_one_line_of_json_each() {
    let db = own_db();
    let ran = probe([&shared().url(db), "redis", "INCRBYFLOAT n 0", "--json"]);
    // it is no reading, however little it adds
    ran.code(64);
    let ran = probe([
        &shared().url(db),
        "--json",
        "--count",
        "3",
        "--watch=50ms",
        "--field",
        "result.keys",
        "--expect",
        "result.keys == 0",
    ])
    .success();
    let lines = ran.json();
    assert_eq!(lines.len(), 3);
    for line in &lines {
        let keys: Vec<_> = line
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys,
            [
                "at", "target", "look", "took_ms", "code", "result", "verdict", "evidence",
                "fields"
            ]
        );
        assert_eq!(line["fields"], json!({ "result.keys": 0.0 }));
        assert_eq!(line["verdict"], "pass");
    }
    let failed = probe([
        &shared().url(db),
        "--count",
        "2",
        "--watch=50ms",
        "--expect",
        "result.keys == 1",
    ]);
    assert_eq!(failed.code, 16);
    assert_eq!(
        failed
            .stdout
            .matches("  fail          result.keys == 1")
            .count(),
        2
    );
}

#[test]
fn blocks_mark_what_moved_and_draw_what_is_followed() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let ferry = Ferry::again(&dir).file("f", "1");
    let going = ferry
        .command(&[
            "probe",
            "./f",
            "--watch=300ms",
            "--count",
            "3",
            "--field",
            "result.bytes",
        ])
        .start();
    std::thread::sleep(Duration::from_millis(150));
    std::fs::write(dir.path().join("f"), "12345").unwrap();
    let ran = going.wait().success();
    let blocks: Vec<_> = ran.stdout.split("\n\n").collect();
    assert_eq!(blocks.len(), 3, "{}", ran.stdout);
    assert!(blocks[0].contains("\n  bytes "), "{}", ran.stdout);
    assert!(!blocks[0].contains("\n* "), "{}", ran.stdout);
    assert!(blocks[1].contains("\n* bytes     5 B "), "{}", ran.stdout);
    assert!(blocks[2].contains("\n  bytes     5 B "), "{}", ran.stdout);
    assert!(
        blocks[2].ends_with("  value         result.bytes\n                ▁██  5 now, 1 to 5\n"),
        "{}",
        redact(&ran.stdout, dir.path())
    );
}

#[test]
fn at_a_terminal_it_refreshes_in_place_until_ctrl_c() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let _book = Ferry::again(&dir).file("f", "1");
    let words = ["probe", "./f", "--watch=100ms", "--field", "result.bytes"];
    let mut terminal = Terminal::start(&dir, &words);
    terminal.asked("look 1");
    std::fs::write(dir.path().join("f"), "12345").unwrap();
    terminal.asked("* bytes     5 B");
    terminal.asked("▁█");
    terminal.types("\x03");
    assert_eq!(terminal.wait(), 0, "{}", terminal.seen());
    let seen = terminal.seen();
    // cleared once, and drawn over from then on
    assert_eq!(seen.matches("\x1b[2J").count(), 1, "{seen:?}");
    assert!(seen.matches("\x1b[H").count() >= 2, "{seen:?}");
    // a window that is too small says what it leaves out
    let mut small = Terminal::shaped(&dir, &words, (6, 60), "xterm");
    small.asked("more");
    small.asked("value");
    small.types("\x03");
    assert_eq!(small.wait(), 0);
}

#[test]
fn a_watch_outlives_a_server_that_goes_away_and_comes_back() {
    let server = Server::start(&[]);
    let url = server.url(0);
    let going = Ferry::new()
        .command(&["probe", &url, "--watch=100ms", "--json"])
        .through("exec \"$@\" > out")
        .start();
    going.until("out", "\"code\":0");
    drop(server);
    going.until("out", "\"code\":69");
    going.signal(nix::sys::signal::Signal::SIGTERM);
    let ran = going.wait();
    let lines: Vec<Value> = ran
        .text("out")
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let down = lines.iter().find(|line| line["code"] == 69).unwrap();
    assert_eq!(down["result"], Value::Null);
    assert_eq!(down["failure"]["cause"], "unreachable");
}
