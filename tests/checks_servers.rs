//! Watches over real servers that change under them: a failover, a metric that is not there, an
//! application that goes away.

use std::time::Duration;

use ferry::event::{CheckEvent, EventKind, Judgement, Sample};
use ferry::expr::Verdict;

use crate::support::ferry::{Ferry, Ran};
use crate::support::prometheus::Rig;
use crate::support::redis::Server;
use crate::support::sentinel::Watched;

fn samples<'r>(ran: &'r Ran, name: &str) -> Vec<&'r Sample> {
    let looked = |event: &'r ferry::event::Event| match &event.kind {
        EventKind::Check(CheckEvent::Looked { check, sample, .. }) if check == name => {
            Some(&**sample)
        }
        _ => None,
    };
    ran.journal.iter().filter_map(looked).collect()
}

#[track_caller]
fn judgement<'r>(ran: &'r Ran, name: &str) -> &'r Judgement {
    let judged = |event: &'r ferry::event::Event| match &event.kind {
        EventKind::Check(
            CheckEvent::Judged { check, judgement } | CheckEvent::Ended { check, judgement },
        ) if check == name => Some(&**judgement),
        _ => None,
    };
    let found = ran.journal.iter().rev().find_map(judged);
    found.unwrap_or_else(|| panic!("`{name}` was not judged; {}", ran.all()))
}

#[test]
fn a_failover_in_the_middle_of_a_watch_is_seen_and_survived() {
    let rig = Watched::start();
    let going = Ferry::new()
        .runbook(&format!(
            "
            runbook: failover
            targets: {{ cache: {{ redis: \"{}\", timeout: 1s }} }}
            phases:
              watch:
                steps:
                  - id: cache-answers
                    redis.stats: {{}}
                    target: cache
                    watch: {{ every: 300ms, within: 40s, consecutive_successes: 50, consecutive_errors: 100 }}
                    expect: result.role == 'master'
                    outputs: {{ server: result.run_id }}
            ",
            rig.url()
        ))
        .start();
    going.until_event("check.began cache-answers");
    std::thread::sleep(Duration::from_secs(1));
    let before = run_id(rig.server(rig.master()));
    let old = rig.kill_master();
    let new = rig.failed_over(old);
    let after = run_id(rig.server(new));
    let ran = going.wait().success();
    assert_ne!(before, after);
    assert_eq!(
        ran.report("cache-answers").outputs["server"],
        after.as_str()
    );
    let end = judgement(&ran, "cache-answers");
    assert_eq!(end.verdict, Verdict::Pass);
    // while there was no master, no look passed, and none was made up
    assert!(end.tally.errors > 0, "{:?}", end.tally);
    let lost = samples(&ran, "cache-answers")
        .into_iter()
        .find_map(|sample| sample.failure.clone());
    let lost = lost.expect("a look in between says why there is nothing to judge");
    assert!(lost.contains("cache"), "{lost}");
}

fn run_id(server: &Server) -> String {
    let info: String = server.ask(0, &["INFO", "server"]);
    let line = info.lines().find_map(|line| line.strip_prefix("run_id:"));
    line.unwrap().trim().to_owned()
}

fn asking(query: &str, expect: &str) -> Ran {
    Ferry::new()
        .runbook(&format!(
            "
            runbook: metrics
            targets: {{ metrics: {{ prometheus: \"{}\" }} }}
            phases:
              watch:
                steps:
                  - id: metric
                    prometheus.query: {query}
                    target: metrics
                    watch: {{ every: 200ms, count: 3 }}
                    expect: {expect}
            ",
            Rig::shared().url()
        ))
        .run()
}

#[test]
fn a_metric_that_is_not_there_is_never_a_pass() {
    let ran = asking("redis_up", "result.value == 1").success();
    assert_eq!(judgement(&ran, "metric").why, "all 3 looks passed");
    // a wrong name, and what would be true of nothing
    for expect in [
        "result.value < 100",
        "'!(result.value > 100)'",
        "result.value != 100",
    ] {
        let ran = asking("redis_upp", expect).code(13);
        let end = judgement(&ran, "metric");
        assert_eq!(end.verdict, Verdict::Inconclusive, "{expect}");
    }
    let ran = asking("redis_up / 0 - redis_up / 0", "result.value < 100").code(13);
    assert_eq!(
        judgement(&ran, "metric").verdict,
        Verdict::Inconclusive,
        "NaN"
    );
}

#[test]
fn downtime_is_measured_until_the_application_is_back() {
    let server = Server::start(&[]);
    let going = Ferry::new()
        .runbook(&format!(
            "
            runbook: down
            window: {{ downtime: 1s }}
            targets: {{ cache: {{ redis: \"redis://127.0.0.1:{}\", timeout: 200ms }} }}
            guards:
              up:
                during: [work]
                redis: PING
                target: cache
                expect: result.reply == 'PONG'
                every: 100ms
                consecutive_failures: 5
                then: rollback
                interrupt: true
                measures: downtime
            phases:
              work:
                steps:
                  - {{ id: change, shell: echo change >> ledger, undo: [{{ shell: 'echo undo >> ledger; while [ ! -e back ]; do sleep 0.02; done' }}] }}
                  - {{ id: rest, shell: echo rest >> ledger; sleep 60, undo: none }}
            ",
            server.port
        ))
        .start();
    going.until("ledger", "rest");
    going.until_event("check.began up");
    server.freeze(true);
    going.until("ledger", "undo");
    std::thread::sleep(Duration::from_millis(800));
    server.freeze(false);
    std::thread::sleep(Duration::from_millis(600));
    std::fs::write(going.path("back"), "").unwrap();
    let ran = going.wait().code(11);
    let end = judgement(&ran, "up");
    assert!(end.tally.failing_ms > 1_000, "{:?}", end.tally);
    assert_eq!(
        end.tally.failing_since, None,
        "it is up again: {:?}",
        end.tally
    );
    let report = Ferry::again(&ran.dir)
        .command(&["report", "--format", "md"])
        .run()
        .success();
    assert!(report.stdout.contains("downtime"), "{}", report.stdout);
}
