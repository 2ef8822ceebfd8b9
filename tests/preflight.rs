//! Before anything starts: targets that are not there, or that keep us out, end the run before its
//! first event, and those that are there cost no connection more.

use std::time::Duration;

use super::support::ferry::{Ferry, Ran};
use super::support::postgres::Postgres;
use super::support::wire::Silent;
use super::support::{ports, redis};

/// A runbook whose first steps read from these targets, and which then changes something.
fn run(targets: &str, steps: &str) -> Ran {
    Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            targets: {{ {targets} }}
            phases:
              p:
                steps:
                  {steps}
                  - {{ id: change, shell: echo changed >> ledger }}
            "
        ))
        .run()
}

const PING: &str = "- { id: ping, redis: PING, target: cache }";
const ROWS: &str = "- { id: rows, sql: select 1 as one, target: db }";

/// Demands that nothing is left of a run that was not started.
#[track_caller]
fn nothing_started(ran: Ran, code: i32, said: &str) -> Ran {
    let ran = ran.code(code).journal(&[]).stderr(said).stdout("");
    assert!(ran.journal.is_empty(), "{}", ran.all());
    assert_eq!(ran.ledger(), Vec::<String>::new());
    assert!(
        !ran.path("state/runs").exists(),
        "a run directory was made: {}",
        ran.all()
    );
    let listed = Ferry::again(&ran.dir).command(&["runs"]).run();
    assert_eq!(listed.stdout, "no runs yet\n", "{}", listed.all());
    ran
}

#[test]
fn a_target_that_is_not_there_starts_nothing() {
    let (cache, db) = (ports::free(), ports::free());
    let ran = run(
        &format!(
            "cache: {{ redis: \"redis://:hunter22@127.0.0.1:{cache}\" }}, db: {{ postgres: \"postgres://u:hunter33@127.0.0.1:{db}/d\" }}"
        ),
        &format!("{PING}\n                  {ROWS}"),
    );
    nothing_started(
        ran,
        69,
        &format!(
            "error: nothing was started: `cache` (127.0.0.1:{cache}) refused the connection; \
             target `db` (127.0.0.1:{db}/d): connection refused\n\
             hint: is the server started, and does it listen on that address and port?\n\
             hint: is the server running there?\n"
        ),
    );
}

#[test]
fn a_wrong_password_starts_nothing_and_is_in_no_text() {
    let server = redis::Server::start(&["--requirepass", "the-right-one"]);
    let at = format!("127.0.0.1:{}", server.port);
    let refused = |password: &str| {
        run(
            &format!("cache: {{ redis: \"redis://{password}{at}\" }}"),
            PING,
        )
    };
    nothing_started(
        refused(""),
        77,
        &format!(
            "error: nothing was started: `cache` ({at}) asks for a password: NOAUTH Authentication required.\n\
             hint: put a user name and a password into the target's address, by a secret input\n"
        ),
    );
    nothing_started(
        refused(":the-wrong-one@"),
        77,
        &format!(
            "error: nothing was started: `cache` ({at}) refused the user name or the password: \
             WRONGPASS invalid username-password pair or user is disabled.\n\
             hint: check both in the target's address; special characters are percent-encoded there\n"
        ),
    );
    let ran = refused(":the-right-one@").success();
    assert_eq!(ran.ledger(), ["changed"]);

    let server = Postgres::shared();
    let at = format!("127.0.0.1:{}", server.port);
    nothing_started(
        run(
            &format!("db: {{ postgres: \"postgres://ferry:the-wrong-one@{at}/postgres\" }}"),
            ROWS,
        ),
        77,
        &format!(
            "error: nothing was started: target `db` ({at}/postgres): password authentication \
             failed for user \"ferry\" (SQLSTATE 28P01)\n"
        ),
    );
}

#[test]
fn what_takes_connections_and_never_answers_is_given_up_after_five_seconds() {
    let (cache, db) = (Silent::listen(), Silent::listen());
    let ran = run(
        &format!(
            "cache: {{ redis: \"redis://{}\" }}, db: {{ postgres: \"postgres://u@{}/d\" }}",
            cache.at, db.at
        ),
        &format!("{PING}\n                  {ROWS}"),
    );
    let took = ran.took;
    nothing_started(
        ran,
        69,
        &format!(
            "error: nothing was started: `cache` ({}) timed out: no connection within TIME; \
             target `db` ({}/d): no connection within TIME\n\
             hint: a firewall, a server that hangs, or a `timeout` of the target that is too short\n",
            cache.at, db.at
        ),
    );
    assert!(
        took > Duration::from_secs(4) && took < Duration::from_secs(8),
        "side by side: {took:?}"
    );
}

#[test]
fn a_run_makes_no_connection_more_for_it() {
    let server = redis::Server::start(&[]);
    let connections = || -> u64 {
        let info: String = server.ask(0, &["INFO", "stats"]);
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("total_connections_received:"));
        line.unwrap().parse().unwrap()
    };
    let before = connections();
    run(
        &format!("cache: {{ redis: \"{}\" }}", server.url(3)),
        "- { id: name, redis: CLIENT GETNAME, target: cache, expect: result.reply.endsWith(\":name:do\") }",
    )
    .success();
    // this look itself is one
    assert_eq!(connections() - before, 2);
}

#[test]
fn a_link_that_died_before_its_step_is_made_anew() {
    let server = redis::Server::start(&[]);
    let port = server.port.to_string();
    let kill = format!("redis-cli -p {port} CLIENT KILL TYPE normal SKIPME yes >/dev/null");
    let ran = run(
        &format!("cache: {{ redis: \"{}\" }}", server.url(0)),
        &format!(
            "- {{ id: kill, shell: '{kill}', read_only: true }}\n                  \
             - {{ id: set, redis: SET k v, target: cache, undo: none }}"
        ),
    );
    ran.success();
    assert_eq!(server.ask::<String>(0, &["GET", "k"]), "v");
}

#[test]
fn what_the_run_itself_brings_up_is_not_asked_for() {
    let port = ports::free();
    Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            targets: {{ cache: {{ redis: \"redis://127.0.0.1:{port}\" }} }}
            phases:
              up:
                steps:
                  - id: start
                    shell: redis-server --port {port} --bind 127.0.0.1 --save '' --daemonize yes >/dev/null
                    undo: none
                  - {{ id: ping, redis: PING, target: cache, retry: {{ limit: 50, backoff: 20ms, factor: 1 }} }}
                  - {{ id: stop, shell: redis-cli -p {port} SHUTDOWN NOSAVE, undo: none }}
            "
        ))
        .run()
        .success();
}
