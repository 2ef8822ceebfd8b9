//! Redis servers that fail, as a run meets them (cases R01 to R04 and R06 of the fault matrix): what
//! is tried again, what is not, what is counted as an effect. The single call is in `action_redis`.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ferry::event::{Cause, Outcome};

use crate::support::ferry::{Ferry, Going, Ran};
use crate::support::ports;
use crate::support::redis::Server;
use crate::support::resp::{Resp, Then};

/// A run whose step `set` does this to `target`, with these keys beside.
fn run(url: &str, command: &str, keys: &str) -> Ran {
    Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            targets: {{ cache: {{ redis: \"{url}\" }} }}
            phases:
              p:
                steps:
                  - id: set
                    redis: {command}
                    target: cache
                    undo: [{{ shell: echo undo >> ledger }}]
                    {keys}
            "
        ))
        .run()
}

fn attempts(ran: &Ran) -> usize {
    let words = ran.words();
    let started = |word: &&String| word.starts_with("step.started set");
    words.iter().filter(started).count()
}

/// A server on a port that is known before; ended with its handle.
struct OnPort(Child);

impl OnPort {
    fn start(port: u16) -> Self {
        let port_text = port.to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port_text, "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir", "/"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(15);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "redis-server did not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self(child)
    }
}

impl Drop for OnPort {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A run that sets `first`, waits until the test has the server killed, and then counts `n` up.
fn killed_between(port: u16, retry: &str) -> Going {
    let going = Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            targets: {{ cache: {{ redis: \"redis://127.0.0.1:{port}\" }} }}
            phases:
              p:
                steps:
                  - {{ id: first, redis: SET first 1, target: cache, undo: [{{ shell: echo undo-first >> ledger }}] }}
                  - {{ id: meanwhile, shell: 'touch ready; until test -e killed; do sleep 0.01; done', read_only: true }}
                  - {{ id: set, redis: INCR n, target: cache, {retry} undo: [{{ shell: echo undo >> ledger }}] }}
            "
        ))
        .start();
    going.until_true("the first command is done", || going.path("ready").exists());
    going
}

/// R01
#[test]
fn a_server_killed_between_two_commands_is_proven_to_have_done_nothing() {
    let port = ports::free();
    let server = OnPort::start(port);
    let going = killed_between(port, "");
    drop(server);
    std::fs::write(going.path("killed"), "").unwrap();
    let ran = going.wait().code(11);
    let failed = ran.failed("set");
    assert_eq!(
        (failed.cause, failed.outcome),
        (Cause::Unreachable, Outcome::NotApplied)
    );
    assert_eq!(
        failed.message,
        format!("`cache` (127.0.0.1:{port}) refused the connection")
    );
    assert_eq!(attempts(&ran), 1);
    assert_eq!(ran.ledger(), ["undo-first"], "only what happened is undone");
}

/// R01
#[test]
fn a_server_that_comes_back_is_found_by_a_clean_retry() {
    let port = ports::free();
    let server = OnPort::start(port);
    let going = killed_between(port, "retry: { limit: 300, backoff: 20ms, factor: 1 },");
    drop(server);
    std::fs::write(going.path("killed"), "").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let server = OnPort::start(port);
    let ran = going.wait().success();
    assert!(attempts(&ran) > 1, "{}", ran.all());
    let mut link = redis::Client::open(format!("redis://127.0.0.1:{port}"))
        .unwrap()
        .get_connection()
        .unwrap();
    let counted: i64 = redis::cmd("GET").arg("n").query(&mut link).unwrap();
    assert_eq!(counted, 1, "once, whatever the attempts");
    drop(server);
}

/// R02: what passes by itself is tried again, as often as the author says, and then it is a failure.
#[track_caller]
fn is_waited_for(url: &str, command: &str, code: &str) {
    let ran = run(
        url,
        command,
        "retry: { limit: 2, backoff: 30ms, factor: 2 }",
    )
    .code(11);
    let failed = ran.failed("set");
    assert!(
        failed.message.contains(&format!(": {code} ")),
        "{}",
        failed.message
    );
    assert_eq!(
        (failed.outcome, attempts(&ran)),
        (Outcome::NotApplied, 3),
        "{}",
        ran.all()
    );
    assert!(failed.hint.is_some(), "{failed:?}");
    assert!(ran.took < Duration::from_secs(8), "{:?}", ran.took);
    assert_eq!(ran.ledger(), Vec::<String>::new(), "no effect, no undo");
}

#[test]
fn loading_is_waited_for_within_bounds() {
    let (loading, _data) = Server::loading("2000");
    is_waited_for(&loading.url(0), "SET a b", "LOADING");
}

#[test]
fn a_busy_server_is_waited_for_within_bounds() {
    let server = Server::start(&["--lua-time-limit", "20"]);
    let mut busy = server.connect(0);
    let script = std::thread::spawn(move || {
        let _: Result<(), _> = redis::cmd("EVAL")
            .arg("while true do end")
            .arg(0)
            .query(&mut busy);
    });
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let asked: Result<String, _> = redis::cmd("GET").arg("a").query(&mut server.connect(0));
        match asked {
            Err(error) if error.code() == Some("BUSY") => break,
            _ => assert!(Instant::now() < until, "the script did not start"),
        }
    }
    is_waited_for(&server.url(0), "SET a b", "BUSY");
    server.ask::<()>(0, &["SCRIPT", "KILL"]);
    script.join().unwrap();
    assert_eq!(server.ask::<i64>(0, &["EXISTS", "a"]), 0);
}

#[test]
fn a_lost_master_and_a_cluster_that_is_down_are_waited_for_within_bounds() {
    let gone = ports::free().to_string();
    let replica = Server::start(&[
        "--replicaof",
        "127.0.0.1",
        &gone,
        "--replica-serve-stale-data",
        "no",
        "--replica-read-only",
        "no",
    ]);
    is_waited_for(&replica.url(0), "SET a b", "MASTERDOWN");
    let cluster = Server::start(&["--cluster-enabled", "yes"]);
    is_waited_for(&cluster.url(0), "SET a b", "CLUSTERDOWN");
}

/// R03: what only a person can mend is not tried again, whatever the author says.
#[track_caller]
fn is_final(ran: Ran, code: &str, says: &str, way_out: &str) {
    let ran = ran.code(11);
    let failed = ran.failed("set");
    assert!(
        failed.message.contains(&format!(": {code} ")) && failed.message.contains(says),
        "{}",
        failed.message
    );
    assert_eq!(
        (failed.outcome, attempts(&ran)),
        (Outcome::NotApplied, 1),
        "{}",
        ran.all()
    );
    let hint = failed.hint.as_deref().unwrap_or_default();
    assert!(hint.contains(way_out), "{hint}");
    assert_eq!(ran.ledger(), Vec::<String>::new(), "no effect, no undo");
}

const STUBBORN: &str = "retry: { limit: 5, backoff: 1s }";

#[test]
fn out_of_memory_is_final() {
    let server = Server::start(&["--maxmemory", "2mb"]);
    let mut link = server.connect(0);
    // to the last byte, so that a small value does not fit either
    for size in [256 << 10, 16 << 10, 1 << 10, 64] {
        let value = "x".repeat(size);
        let full = (0..1_000).any(|n| {
            let key = format!("{size}:{n}");
            let set: Result<(), _> = redis::cmd("SET").arg(key).arg(&value).query(&mut link);
            set.is_err_and(|error| error.code() == Some("OOM"))
        });
        assert!(full, "values of {size} bytes always fit");
    }
    let ran = run(&server.url(0), "SET a b", STUBBORN);
    is_final(ran, "OOM", "is out of memory", "raise maxmemory");
}

#[test]
fn a_server_that_cannot_save_is_final() {
    let server = Server::start(&["--enable-protected-configs", "yes"]);
    server.ask::<()>(0, &["CONFIG", "SET", "save", "3600 1"]);
    server.ask::<()>(0, &["SET", "a", "b"]);
    // where its directory was removed, the save fails
    let lost = server.dir.join("lost");
    std::fs::create_dir(&lost).unwrap();
    server.ask::<()>(0, &["CONFIG", "SET", "dir", lost.to_str().unwrap()]);
    std::fs::remove_dir(&lost).unwrap();
    let _: String = server.ask(0, &["BGSAVE"]);
    let until = Instant::now() + Duration::from_secs(10);
    while !server
        .ask::<String>(0, &["INFO", "persistence"])
        .contains("rdb_last_bgsave_status:err")
    {
        assert!(Instant::now() < until, "the save did not fail");
        std::thread::sleep(Duration::from_millis(10));
    }
    let ran = run(&server.url(0), "SET a c", STUBBORN);
    is_final(ran, "MISCONF", "cannot save to its disk", "BGSAVE");
    assert_eq!(server.ask::<String>(0, &["GET", "a"]), "b");
}

#[test]
fn a_replica_and_a_user_without_rights_are_final() {
    let master = Server::start(&[]);
    let port = master.port.to_string();
    let replica = Server::start(&["--replicaof", "127.0.0.1", &port]);
    let ran = run(&replica.url(0), "SET a b", STUBBORN);
    is_final(ran, "READONLY", "is a read-only replica", "the master");
    let user = "on >ann-s-pass ~* +@all -set";
    let mut words = vec!["ACL", "SETUSER", "ann"];
    words.extend(user.split(' '));
    master.ask::<()>(0, &words);
    let url = format!("redis://ann:ann-s-pass@127.0.0.1:{port}/0");
    let ran = run(&url, "SET a b", STUBBORN);
    assert!(!ran.all().contains("ann-s-pass"), "{}", ran.all());
    is_final(
        ran,
        "NOPERM",
        "does not permit this to the user",
        "ACL SETUSER",
    );
}

/// R04 behind a change, where nothing is asked ahead: the run is not started over it, but it ends.
#[test]
fn a_wrong_password_behind_a_change_ends_the_run_without_a_retry() {
    let server = Server::start(&["--requirepass", "the-right-one"]);
    let ran = Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            targets: {{ cache: {{ redis: \"redis://:the-wrong-one@127.0.0.1:{}\" }} }}
            phases:
              p:
                steps:
                  - {{ id: before, shell: 'true', undo: [{{ shell: echo undo-before >> ledger }}] }}
                  - {{ id: set, redis: SET a b, target: cache, {STUBBORN}, undo: [{{ shell: echo undo >> ledger }}] }}
            ",
            server.port
        ))
        .run()
        .code(11);
    let failed = ran.failed("set");
    assert_eq!(
        (failed.cause, failed.outcome, attempts(&ran)),
        (Cause::Denied, Outcome::NotApplied, 1)
    );
    assert!(
        !ran.all().contains("the-wrong-one") && !format!("{failed:?}").contains("the-wrong-one")
    );
    assert_eq!(ran.ledger(), ["undo-before"]);
}

/// R06: a server that does the command and resets the connection before it answers.
fn does_and_resets(ledger: std::path::PathBuf) -> Resp {
    Resp::serve(move |_| {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&ledger)
            .unwrap();
        writeln!(file, "done").unwrap();
        Then::Reset
    })
}

#[test]
fn a_reset_after_the_request_was_read_is_unknown_and_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let server = does_and_resets(dir.path().join("effects"));
    let ran = run(&server.url, "SET a b", "retry: { limit: 3, backoff: 1ms }").code(11);
    let failed = ran.failed("set");
    assert_eq!(
        (failed.cause, failed.outcome),
        (Cause::Unreachable, Outcome::Unknown),
        "{failed:?}"
    );
    assert!(
        failed.message.contains("lost the connection during `SET`"),
        "{}",
        failed.message
    );
    assert_eq!(server.commands(), ["SET a b"]);
    assert_eq!(
        ran.ledger(),
        ["undo"],
        "what may have happened is taken back"
    );
}

#[test]
fn after_a_reset_the_probe_decides() {
    // done: seen by the probe, and not repeated; a probe that says no lets it be repeated
    for (shows, commands, code) in [("x", 1, 0), ("never-made", 4, 11)] {
        let dir = tempfile::tempdir().unwrap();
        let server = does_and_resets(dir.path().join("x"));
        let look = dir.path().join(shows);
        let probe = format!(
            "if test -s {}; then echo yes; else echo no; fi",
            look.display()
        );
        let ran = run(
            &server.url,
            "SET a b",
            &format!(
                "retry: {{ limit: 3, backoff: 1ms }}\n                    \
                 done_when: {{ shell: '{probe}', read_only: true, expect: 'result.stdout.contains(\"yes\")' }}"
            ),
        )
        .code(code);
        assert_eq!(server.commands().len(), commands, "{}", ran.all());
    }
}

#[test]
fn a_half_open_link_times_out_in_time_and_is_unknown() {
    let server = Resp::serve(|_| Then::Nothing);
    let ran = run(&server.url, "SET a b", "timeout: 600ms").code(11);
    let failed = ran.failed("set");
    assert_eq!(
        (failed.cause, failed.outcome),
        (Cause::Timeout, Outcome::Unknown),
        "{failed:?}"
    );
    assert!(
        ran.took > Duration::from_millis(600) && ran.took < Duration::from_secs(4),
        "{:?}",
        ran.took
    );
    assert_eq!(server.commands(), ["SET a b"]);
    assert_eq!(ran.ledger(), ["undo"]);
}

/// A reading command changes nothing, so it is simply asked again.
#[test]
fn a_read_that_was_cut_is_asked_again() {
    let server = Resp::serve(|_| Then::Reset);
    let ran = run(
        &server.url,
        "GET a",
        "read_only: true\n                    retry: { limit: 2, backoff: 1ms }",
    )
    .code(11);
    assert_eq!(server.commands(), ["GET a"; 3]);
    assert_eq!(ran.failed("set").outcome, Outcome::NotApplied);
    assert_eq!(ran.ledger(), Vec::<String>::new());
}
