//! Guards and watches through the binary: what follows when something does not hold, over crashes,
//! pauses and points of decision; and that each way to pass by accident does not pass.
//!
//! What is watched is a file that the test, or a step, writes: a shell probe reads it for real.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ferry::event::{CheckEvent, Event, EventKind, Judgement, Sample, StepEvent, Then};
use ferry::expr::Verdict;
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::ferry::{Ferry, Going, Ran};

/// The samples of a check, in their order.
fn samples<'r>(ran: &'r Ran, name: &str) -> Vec<&'r Sample> {
    let looked = |event: &'r Event| match &event.kind {
        EventKind::Check(CheckEvent::Looked { check, sample, .. }) if check == name => {
            Some(&**sample)
        }
        _ => None,
    };
    ran.journal.iter().filter_map(looked).collect()
}

/// Judgements of a check in their order: verdicts, and its end.
fn judgements<'r>(ran: &'r Ran, name: &str) -> Vec<&'r Judgement> {
    let judged = |event: &'r Event| match &event.kind {
        EventKind::Check(
            CheckEvent::Judged { check, judgement } | CheckEvent::Ended { check, judgement },
        ) if check == name => Some(&**judgement),
        _ => None,
    };
    ran.journal.iter().filter_map(judged).collect()
}

#[track_caller]
fn judgement<'r>(ran: &'r Ran, name: &str) -> &'r Judgement {
    let found = judgements(ran, name).pop();
    found.unwrap_or_else(|| panic!("`{name}` was not judged; {}", ran.all()))
}

/// Why a step is asked about.
fn asked(ran: &Ran) -> String {
    let asked = ran
        .journal
        .iter()
        .rev()
        .find_map(|event| match &event.kind {
            EventKind::Step(StepEvent::Asked { why, .. }) => Some(why.clone()),
            _ => None,
        });
    asked.unwrap_or_else(|| panic!("nothing is asked; {}", ran.all()))
}

/// Writes `value` so that no reader sees half of it.
fn set(dir: &Path, value: &str) {
    std::fs::write(dir.join("value.new"), value).unwrap();
    std::fs::rename(dir.join("value.new"), dir.join("value")).unwrap();
}

fn again(dir: &Arc<TempDir>, words: &[&str]) -> Ran {
    Ferry::again(dir).command(words).run()
}

/// A guard over the file `value`, a step that changes something, and one that waits for the file `go`.
fn guarded(then: &str, more: &str) -> Ferry {
    let more = more.replace('\n', "\n            ");
    Ferry::new().file("value", "1").runbook(&format!(
        "
        runbook: guarded
        guards:
          low:
            during: [work]
            shell: cat value
            read_only: true
            expect: int(result.stdout) < 10
            every: 100ms
            coverage: 0.1
            consecutive_failures: 2
            then: {then}
            {more}
        phases:
          work:
            steps:
              - {{ id: change, shell: echo change >> ledger, undo: [{{ shell: echo undo >> ledger }}] }}
              - {{ id: long, shell: 'echo long >> ledger; while [ ! -e go ]; do sleep 0.02; done', idempotent: true, undo: none }}
              - {{ id: last, shell: echo last >> ledger, undo: none }}
        "
    ))
}

/// Lets the step `long` end.
fn let_go(going: &Going) {
    std::fs::write(going.path("go"), "").unwrap();
}

#[test]
fn a_guard_that_does_not_hold_goes_back() {
    let going = guarded("rollback", "").start();
    going.until("ledger", "long");
    going.until_event("check.began low");
    set(going.directory(), "10");
    going.until_event("check.judged low fail rollback");
    let_go(&going);
    let ran = going.wait().code(11);
    assert_eq!(ran.ledger(), ["change", "long", "undo"]);
    assert_eq!(
        ran.failure(),
        "guard `low` does not hold: 2 looks in a row failed: `int(result.stdout) < 10` is false: \
         `int(result.stdout)` is 10"
    );
    let judged = judgements(&ran, "low")[0];
    assert_eq!(
        (judged.verdict, judged.tally.failed_row),
        (Verdict::Fail, 2)
    );
    assert_eq!(judged.evidence[0].expression, "int(result.stdout) < 10");
    // what passed as before was counted, and not kept
    let kept = samples(&ran, "low");
    assert!(kept.len() <= 5, "{kept:?}");
    assert_eq!(
        kept[0].evidence.len(),
        1,
        "the first look shows what it rests on"
    );
    let words = ran.words();
    let at = |word: &str| words.iter().position(|found| found == word).unwrap();
    assert!(at("check.judged low fail rollback") < at("run.failed -"));
    assert!(at("run.failed -") < at("rollback.planned 1 not:long"));
}

#[test]
fn a_guard_may_end_what_is_under_way() {
    let going = guarded("rollback", "interrupt: true").start();
    going.until("ledger", "long");
    set(going.directory(), "10");
    let ran = going.wait().code(11);
    assert_eq!(ran.ledger(), ["change", "long", "undo"]);
    assert!(ran.took < Duration::from_secs(20));
}

#[test]
fn a_guard_that_pauses_holds_the_run_until_somebody_goes_on() {
    let going = guarded("pause", "").start();
    going.until("ledger", "long");
    set(going.directory(), "10");
    going.until_event("check.judged low fail pause");
    let_go(&going);
    let ran = going.wait().code(13);
    assert_eq!(ran.ledger(), ["change", "long"], "nothing new starts");
    assert!(
        ran.words().contains(&"run.parked held".to_owned()),
        "{}",
        ran.all()
    );
    set(ran.dir.path(), "2");
    let ran = again(&ran.dir, &["resume"]).success();
    assert_eq!(ran.ledger(), ["change", "long", "last"]);
    let end = judgement(&ran, "low");
    assert_eq!(
        end.verdict,
        Verdict::Pass,
        "it is looked at afresh: {end:?}"
    );
}

#[test]
fn a_held_run_that_somebody_attends_stays_alive() {
    let going = guarded("pause", "").args(["--wait"]).start();
    going.until("ledger", "long");
    set(going.directory(), "10");
    going.until_event("check.judged low fail pause");
    let_go(&going);
    going.until_event("run.parked held");
    set(going.directory(), "1");
    again(&going.shared(), &["resume"]).success();
    let ran = going.wait().success();
    assert_eq!(ran.ledger(), ["change", "long", "last"]);
    let engines = ran
        .words()
        .iter()
        .filter(|word| *word == "run.started")
        .count();
    assert_eq!(engines, 1);
}

#[test]
fn a_guard_that_only_tells_lets_the_run_go_on_and_tells_again() {
    let going = guarded("notify", "").start();
    going.until("ledger", "long");
    for _ in 0..2 {
        let times = |dir: &Path| {
            let text = std::fs::read_to_string(dir.join("told")).unwrap_or_default();
            text.lines().count()
        };
        let before = times(going.directory());
        set(going.directory(), "10");
        std::thread::sleep(Duration::from_millis(500));
        set(going.directory(), "1");
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(times(going.directory()), before);
    }
    let_go(&going);
    let ran = going.wait().success();
    assert_eq!(ran.ledger(), ["change", "long", "last"]);
    let told = judgements(&ran, "low");
    let verdicts: Vec<_> = told.iter().map(|one| (one.verdict, one.then)).collect();
    let fail = (Verdict::Fail, Some(Then::Notify));
    assert_eq!(verdicts, [fail, fail, (Verdict::Pass, None)]);
}

#[test]
fn what_is_excused_has_no_consequence_and_is_measured_all_the_same() {
    let excused = "measures: downtime\nunless: phase == 'work'";
    let going = guarded("rollback", excused).start();
    going.until("ledger", "long");
    set(going.directory(), "10");
    std::thread::sleep(Duration::from_millis(700));
    set(going.directory(), "1");
    std::thread::sleep(Duration::from_millis(400));
    let_go(&going);
    let ran = going.wait().success();
    let end = judgement(&ran, "low");
    // nothing of it counted, so nothing of it proves that it held
    assert_eq!(end.verdict, Verdict::Inconclusive, "{end:?}");
    assert!(
        (300..1_500).contains(&end.tally.failing_ms),
        "{:?}",
        end.tally
    );
    assert_eq!(end.tally.failing_spans, 1);
}

#[test]
fn a_guard_that_cannot_see_holds_and_does_not_go_back() {
    let going = guarded("rollback", "consecutive_errors: 2").start();
    going.until("ledger", "long");
    set(going.directory(), "not a number");
    going.until_event("check.judged low error pause");
    let_go(&going);
    let ran = going.wait().code(13);
    assert_eq!(ran.ledger(), ["change", "long"]);
    let judged = judgement(&ran, "low");
    assert_eq!(judged.why, "3 looks in a row could not be made, and 2 may");
}

#[test]
fn a_guard_whose_phases_are_over_at_once_looks_at_least_once() {
    let ran = Ferry::new()
        .runbook(
            "
            runbook: short
            guards:
              slow:
                during: [work]
                shell: sleep 0.5; echo 1
                read_only: true
                expect: int(result.stdout) == 1
                every: 1s
                then: rollback
            phases:
              work: { steps: [{ id: one, shell: 'true', undo: none }] }
            ",
        )
        .run()
        .success();
    let end = judgement(&ran, "slow");
    assert_eq!((end.verdict, end.tally.passed), (Verdict::Pass, 1));
    // and one that does not hold stops what would have been a success
    let ran = Ferry::new()
        .runbook(
            "
            runbook: short
            guards:
              slow:
                during: [work]
                shell: sleep 0.5; echo 2
                read_only: true
                expect: int(result.stdout) == 1
                every: 1s
                then: rollback
            phases:
              work: { steps: [{ id: one, shell: 'true', undo: [{ shell: echo undo >> ledger }] }] }
            ",
        )
        .run()
        .code(11);
    assert_eq!(ran.ledger(), ["undo"]);
}

/// A step that watches the file `value`, behind one that changes something.
fn watching(watch: &str, more: &str) -> Ferry {
    let more = more.replace('\n', "\n                ");
    Ferry::new().file("value", "1").runbook(&format!(
        "
        runbook: watching
        phases:
          work:
            steps:
              - {{ id: change, shell: echo change >> ledger, undo: [{{ shell: echo undo >> ledger }}] }}
              - id: look
                shell: echo look >> looks; cat value
                read_only: true
                watch: {watch}
                {more}
              - {{ id: last, shell: echo last >> ledger, undo: none }}
        "
    ))
}

const LOW: &str = "expect: int(result.stdout) < 10";

#[test]
fn a_watch_takes_as_many_looks_as_it_says_and_hands_on_the_last() {
    let more = "expect: int(result.stdout) < 10\noutputs: { value: int(result.stdout) }";
    let ran = watching("{ every: 100ms, count: 4 }", more).run().success();
    assert_eq!(ran.text("looks").lines().count(), 4);
    let report = ran.report("look");
    assert_eq!(report.outputs["value"], 1);
    assert_eq!(report.did, "4 looks, 4 passed");
    assert_eq!(judgement(&ran, "look").why, "all 4 looks passed");
    assert_eq!(ran.ledger(), ["change", "last"]);
}

#[test]
fn one_look_that_fails_is_the_end_unless_some_may() {
    let going = watching("{ every: 100ms, for: 20s }", LOW).start();
    going.until("looks", "look\nlook");
    set(going.directory(), "10");
    let ran = going.wait().code(11);
    assert_eq!(ran.ledger(), ["change", "undo"]);
    assert_eq!(
        ran.failed("look").message,
        "the watch failed: a look failed; the last look: expected `int(result.stdout) < 10`, but \
         `int(result.stdout)` is 10, `result.stdout` is \"10\""
    );
    let rule =
        "{ every: 100ms, for: 1500ms, coverage: 0.2, failure_limit: 12, consecutive_failures: 12 }";
    let going = watching(rule, LOW).start();
    going.until("looks", "look\nlook");
    set(going.directory(), "10");
    std::thread::sleep(Duration::from_millis(300));
    set(going.directory(), "1");
    let ran = going.wait().success();
    let end = judgement(&ran, "look");
    assert!(
        end.tally.failed > 0 && end.why.ends_with("looks passed, within the limits"),
        "{end:?}"
    );
}

#[test]
fn within_passes_with_the_first_row_of_passes_and_fails_at_the_end() {
    let rule = "{ every: 100ms, within: 10s, consecutive_successes: 3 }";
    let going = watching(rule, LOW).file("value", "10").start();
    going.until("looks", "look\nlook\nlook");
    set(going.directory(), "1");
    let ran = going.wait().success();
    let end = judgement(&ran, "look");
    assert_eq!(
        (end.why.as_str(), end.tally.passed_row),
        ("3 looks in a row passed", 3)
    );
    let rule = "{ every: 100ms, within: 500ms, consecutive_successes: 3 }";
    let ran = watching(rule, LOW).file("value", "10").run().code(11);
    assert_eq!(
        judgement(&ran, "look").why,
        "never 3 looks in a row passed within 500ms"
    );
}

#[test]
fn without_data_nothing_passes_and_a_person_is_asked() {
    let more = "expect: result.nothing > 1";
    let ferry = |more: &str| {
        Ferry::new().file("value.json", "{}").runbook(&format!(
            "
            runbook: empty
            phases:
              work:
                steps:
                  - {{ id: change, shell: echo change >> ledger, undo: [{{ shell: echo undo >> ledger }}] }}
                  - id: look
                    redis.info: {{ sections: [server] }}
                    target: cache
                    watch: {{ every: 100ms, count: 3 }}
                    {more}
            targets: {{ cache: {{ redis: \"redis://127.0.0.1:{}\" }} }}
            ",
            crate::support::redis::shared().port
        ))
    };
    let ran = ferry(more).run().code(13);
    assert_eq!(
        ran.ledger(),
        ["change"],
        "undecided is no reason to go back"
    );
    let end = judgement(&ran, "look");
    assert_eq!(
        (end.verdict, end.tally.inconclusive),
        (Verdict::Inconclusive, 1)
    );
    let asked = asked(&ran);
    assert_eq!(
        asked.split(" (it has").next().unwrap(),
        "the watch is inconclusive: a look had not the data to judge by; the last look: \
         expected `result.nothing > 1`, which is inconclusive: `result` has no `nothing`"
    );
    // people decide: leave it at that, or go back
    let run = ran
        .run_dir()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let back = again(
        &ran.dir,
        &["answer", &run, "look", "rollback", "--reason", "not sure"],
    );
    assert_eq!(back.code, 0, "{}", back.all());
    let ran = again(&ran.dir, &["resume"]).code(11);
    assert_eq!(ran.ledger(), ["change", "undo"]);
}

#[test]
fn a_watch_goes_on_after_a_crash_and_says_what_it_missed() {
    let going = watching("{ every: 100ms, for: 4s, coverage: 0.4 }", LOW).start();
    going.until("looks", "look\nlook\nlook\nlook\nlook");
    going.signal(Signal::SIGKILL);
    let dir = going.shared();
    let _ = going.wait();
    std::thread::sleep(Duration::from_secs(1));
    let ran = again(&dir, &["resume"]).success();
    let gap = ran.journal.iter().find_map(|event| match &event.kind {
        EventKind::Check(CheckEvent::GoesOn { missed, .. }) => Some(*missed),
        _ => None,
    });
    assert!((8..40).contains(&gap.unwrap()), "{gap:?}");
    let end = judgement(&ran, "look");
    assert_eq!(end.verdict, Verdict::Pass);
    assert!(end.tally.missed >= gap.unwrap());
    // it was not begun anew: all of it was one watch of four seconds
    let began = ran
        .words()
        .iter()
        .filter(|word| *word == "check.began look")
        .count();
    assert_eq!(began, 1);
    assert!(
        (4_000..6_000).contains(&end.tally.elapsed_ms),
        "{}",
        end.tally.elapsed_ms
    );
    let looks = u64::try_from(ran.text("looks").lines().count()).unwrap();
    assert!(
        end.tally.looks <= looks,
        "no look is invented: {} of {looks}",
        end.tally.looks
    );
}

#[test]
fn a_watch_that_missed_too_much_is_no_pass() {
    let going = watching("{ every: 100ms, for: 2s, coverage: 0.5 }", LOW).start();
    going.until("looks", "look\nlook\nlook");
    going.signal(Signal::SIGKILL);
    let dir = going.shared();
    let _ = going.wait();
    std::thread::sleep(Duration::from_millis(2_500));
    let ran = again(&dir, &["resume"]).code(13);
    let end = judgement(&ran, "look");
    assert_eq!(end.verdict, Verdict::Inconclusive);
    assert!(
        end.why.ends_with("looks took place, and 50 % must"),
        "{}",
        end.why
    );
    let run = ran
        .run_dir()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    again(
        &dir,
        &["answer", &run, "look", "retry", "--reason", "again"],
    )
    .success();
    // asked to try again, it is watched again from the beginning
    let ran = again(&dir, &["resume"]).success();
    assert_eq!(judgement(&ran, "look").verdict, Verdict::Pass);
    let began = ran
        .words()
        .iter()
        .filter(|word| *word == "check.began look")
        .count();
    assert_eq!(began, 2);
}

#[test]
fn an_engine_that_stood_still_missed_its_looks() {
    let going = watching("{ every: 100ms, for: 3s }", LOW).start();
    going.until("looks", "look\nlook\nlook");
    going.signal(Signal::SIGSTOP);
    std::thread::sleep(Duration::from_millis(1_500));
    going.signal(Signal::SIGCONT);
    let ran = going.wait().code(13);
    let end = judgement(&ran, "look");
    assert_eq!(end.verdict, Verdict::Inconclusive);
    assert!(end.tally.missed >= 10, "{:?}", end.tally);
}

#[test]
fn a_pause_in_the_middle_of_a_watch_does_not_wait_for_its_end() {
    let going = watching("{ every: 100ms, for: 4s, coverage: 0.3 }", LOW)
        .args(["--wait"])
        .start();
    going.until("looks", "look\nlook\nlook");
    again(&going.shared(), &["pause"]).code(0);
    going.until_event("run.parked paused");
    again(&going.shared(), &["resume"]).success();
    let ran = going.wait().success();
    assert_eq!(judgement(&ran, "look").verdict, Verdict::Pass);
    let words = ran.words();
    let goes_on = words
        .iter()
        .filter(|word| *word == "check.goes_on look")
        .count();
    assert_eq!(goes_on, 1, "{words:?}");
}

#[test]
fn bands_expect_by_the_time_since_the_start() {
    let bands = |late: &str| {
        format!(
            "bands:\n  - {{ from: 300ms, expect: int(result.stdout) >= 1 }}\n  - {{ from: 900ms, expect: int(result.stdout) >= {late} }}"
        )
    };
    let going = watching("{ every: 100ms, for: 1200ms, coverage: 0.2 }", &bands("5"))
        .file("value", "0")
        .start();
    going.until("looks", "look");
    set(going.directory(), "1");
    std::thread::sleep(Duration::from_millis(500));
    set(going.directory(), "7");
    let ran = going.wait().success();
    let end = judgement(&ran, "look");
    assert!(end.tally.early >= 2, "{:?}", end.tally);
    assert_eq!(end.tally.bands, [0, 1]);
    // what was enough for the first band is not for the second
    let ran = watching("{ every: 100ms, for: 1200ms, coverage: 0.2 }", &bands("5"))
        .run()
        .code(11);
    let last = *samples(&ran, "look").last().unwrap();
    assert_eq!((last.band, last.verdict), (Some(1), Verdict::Fail));
    // the last band is judged by the look at the very end
    let end = "bands:\n  - { from: 600ms, expect: int(result.stdout) >= 1 }";
    let ran = watching("{ every: 400ms, for: 600ms, coverage: 0.2 }", end)
        .run()
        .success();
    assert_eq!(judgement(&ran, "look").tally.passed, 1);
}

#[test]
fn a_trend_is_over_all_looks() {
    let trend = |wanted: &str| {
        format!(
            "expect: int(result.stdout) >= 0\noutputs: {{ n: int(result.stdout) }}\ntrend: {{ exit_code: {wanted} }}"
        )
    };
    let ran = watching("{ every: 100ms, count: 10 }", &trend("steady"))
        .run()
        .success();
    let last = judgement(&ran, "look").evidence.last().unwrap().clone();
    assert_eq!(last.expression, "trend: exit_code steady");
    let ran = watching("{ every: 100ms, count: 10 }", &trend("rising"))
        .run()
        .code(11);
    assert_eq!(
        judgement(&ran, "look").why,
        "`trend: exit_code rising`: exit_code has no direction: +0.0000 over the time by the median \
         slope, median 0.0000, Mann-Kendall +0.00, 10 values"
    );
}

#[test]
fn keys_that_are_being_filled_rise() {
    let server = crate::support::redis::Server::start(&[]);
    let keys = |count: u32, wanted: &str| {
        Ferry::new().runbook(&format!(
            "
            runbook: rising
            targets: {{ cache: {{ redis: \"redis://127.0.0.1:{}\" }} }}
            phases:
              work:
                parallel: 2
                steps:
                  - {{ id: fill, shell: 'for i in $(seq 40); do echo \"set k$i 1\"; sleep 0.05; done | redis-cli -p {} >/dev/null', undo: none }}
                  - id: look
                    redis.stats: {{}}
                    target: cache
                    watch: {{ every: 150ms, count: {count} }}
                    expect: result.keys >= 0
                    trend: {{ keys: {wanted} }}
            ",
            server.port, server.port
        ))
    };
    let ran = keys(12, "rising").run().success();
    assert!(
        judgement(&ran, "look")
            .evidence
            .last()
            .unwrap()
            .reason
            .as_ref()
            .unwrap()
            .starts_with("keys rises")
    );
    server.ask::<()>(0, &["FLUSHALL"]);
    let ran = keys(12, "falling").run().code(11);
    assert!(
        ran.failed("look").message.contains("keys rises"),
        "{:?}",
        ran.failed("look")
    );
    let values: Vec<_> = samples(&ran, "look")
        .iter()
        .map(|one| one.values["keys"])
        .collect();
    assert!(
        values.windows(2).all(|two| two[0] <= two[1]) && values.len() > 5,
        "{values:?}"
    );
}

#[test]
fn a_guard_compares_with_what_was_before_the_first_change() {
    let runbook = |limit: &str| {
        Ferry::new().file("value", "100").runbook(&format!(
            "
            runbook: compared
            guards:
              not_slower:
                during: [work]
                file.stat: value
                expect: result.bytes <= {limit} * baseline.result.bytes
                baseline: {{ samples: 3, every: 10ms }}
                every: 100ms
                then: rollback
            phases:
              first: {{ steps: [{{ id: read, shell: cat value, read_only: true }}] }}
              work:
                needs: [first]
                steps:
                  - {{ id: change, shell: printf 1234567890 > value, undo: [{{ shell: printf 100 > value }}] }}
                  - {{ id: rest, shell: sleep 0.5, undo: none }}
            "
        ))
    };
    let ran = runbook("4").run().success();
    assert!(ran.words().contains(&"snapshot.taken baseline".to_owned()));
    let ran = runbook("3").run().code(11);
    assert_eq!(ran.text("value"), "100");
    let failure = ran.failure();
    assert!(
        failure.contains("`3 * baseline.result.bytes` is 9"),
        "{failure}"
    );
}

#[test]
fn a_warning_is_recorded_and_what_is_critical_fails() {
    let runbook = |value: &str| {
        Ferry::new().file("value", "x".repeat(value.parse().unwrap())).runbook(
            "
            runbook: levels
            thresholds:
              size:
                bytes: { healthy: '<= 10', critical: '> 20' }
            phases:
              work:
                steps:
                  - { id: change, shell: echo change >> ledger, undo: [{ shell: echo undo >> ledger }] }
                  - { id: once, file.stat: value, thresholds: size }
                  - { id: many, file.stat: value, thresholds: [size], watch: { every: 100ms, count: 3 } }
            ",
        )
    };
    let ran = runbook("5").run().success();
    assert!(ran.report("once").warnings.is_empty());
    let ran = runbook("15").run().success();
    let warned = &ran.report("once").warnings;
    assert_eq!(warned[0].expression, "result.bytes <= 10");
    assert_eq!(judgement(&ran, "many").tally.warned, 3);
    let ran = runbook("25").run().code(11);
    assert_eq!(
        ran.failed("once").message,
        "expected `result.bytes <= 20`, but `result.bytes` is 25"
    );
}

/// `late` fails when the time to go back by itself is over.
fn deciding(wait: &str) -> Ferry {
    Ferry::new().runbook(&format!(
        "
        runbook: deciding
        rollback: {{ decide_within: {{ after: deploy, for: 500ms }} }}
        phases:
          deploy:
            steps: [{{ id: change, shell: echo change >> ledger, undo: [{{ shell: echo undo >> ledger }}] }}]
          after:
            needs: [deploy]
            steps:
              - {{ id: settle, wait: {wait} }}
              - {{ id: late, shell: exit 3, undo: none }}
        "
    ))
}

#[test]
fn failures_behind_the_decision_point_hold_and_ask() {
    let ran = deciding("10ms").run();
    assert_eq!(ran.ledger(), ["change", "undo"], "in time, it goes back");
    let ran = deciding("900ms").run().code(13);
    assert_eq!(ran.ledger(), ["change"]);
    assert_eq!(
        asked(&ran),
        "the time in which failures go back by themselves is over: the script exited with 3"
    );
    let run = ran
        .run_dir()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let dir = Arc::clone(&ran.dir);
    again(&dir, &["answer", &run, "late", "skip", "--reason", "known"]).success();
    let ran = again(&dir, &["resume"]).success();
    assert_eq!(ran.ledger(), ["change"]);
    // a person may go back all the same
    let ran = deciding("900ms").run().code(13);
    let ran = again(&ran.dir, &["rollback"]);
    assert_eq!(ran.ledger(), ["change", "undo"], "{}", ran.all());
}

#[test]
fn a_guard_behind_the_decision_point_holds_instead_of_going_back() {
    let runbook = "
        runbook: late-guard
        rollback: { decide_within: { after: deploy, for: 300ms } }
        guards:
          low:
            during: [after]
            shell: cat value
            read_only: true
            expect: int(result.stdout) < 10
            every: 100ms
            then: rollback
        phases:
          deploy:
            steps: [{ id: change, shell: echo change >> ledger, undo: [{ shell: echo undo >> ledger }] }]
          after:
            needs: [deploy]
            steps:
              - { id: settle, wait: 2s }
              - { id: last, shell: echo last >> ledger, undo: none }
        ";
    let going = Ferry::new().file("value", "1").runbook(runbook).start();
    going.until_event("check.began low");
    std::thread::sleep(Duration::from_millis(500));
    set(going.directory(), "10");
    let ran = going.wait().code(13);
    assert_eq!(ran.ledger(), ["change"]);
    assert_eq!(judgements(&ran, "low")[0].then, Some(Then::Pause));
}

#[test]
fn each_item_of_a_fan_is_watched_by_itself() {
    let ran = Ferry::new()
        .steps(
            "
            - id: look
              for_each: [a, b]
              shell: echo \"$ITEM\" >> ledger; echo 1
              env: { ITEM: \"${{ item }}\" }
              read_only: true
              watch: { every: 100ms, count: 2 }
              expect: int(result.stdout) == 1
            ",
        )
        .run()
        .success();
    assert_eq!(ran.ledger(), ["a", "a", "b", "b"]);
    assert_eq!(judgement(&ran, "look[1]").why, "all 2 looks passed");
}

#[test]
fn what_is_from_before_the_first_change_is_not_read_again_after_it() {
    let going = Ferry::new()
        .file("value", "10")
        .runbook(
            "
            runbook: before
            phases:
              work:
                steps:
                  - { id: change, shell: 'printf 1000000000 > value; echo change >> ledger', undo: none }
                  - { id: wait, shell: 'while [ ! -e go ]; do sleep 0.02; done', idempotent: true, undo: none }
                  - { id: compare, file.stat: value, expect: result.bytes <= 2 * baseline.result.bytes, baseline: { samples: 1 } }
            ",
        )
        .start();
    going.until("ledger", "change");
    let dir = going.shared();
    again(&dir, &["cancel", "--no-rollback"]);
    let _ = going.wait();
    std::fs::write(dir.path().join("go"), "").unwrap();
    let ran = again(&dir, &["resume"]);
    assert!(
        ran.failed("compare")
            .message
            .contains("baseline.result.bytes"),
        "{}",
        ran.all()
    );
}

#[test]
fn that_it_cannot_tell_does_not_silence_that_it_does_not_hold() {
    let going = guarded("rollback", "when_blind: notify\nconsecutive_errors: 1").start();
    going.until("ledger", "long");
    set(going.directory(), "not a number");
    going.until_event("check.judged low error notify");
    set(going.directory(), "10");
    going.until_event("check.judged low fail rollback");
    let_go(&going);
    assert_eq!(going.wait().code(11).ledger(), ["change", "long", "undo"]);
}

#[test]
fn a_hold_gives_way_to_a_guard_that_goes_back() {
    let going = Ferry::new()
        .file("value", "1")
        .runbook(
            "
            runbook: two
            guards:
              holds: { during: [work], shell: cat value, read_only: true, expect: int(result.stdout) < 10, every: 100ms, then: pause }
              back: { during: [work], shell: cat value, read_only: true, expect: int(result.stdout) < 20, every: 100ms, then: rollback }
            phases:
              work:
                steps:
                  - { id: change, shell: echo change >> ledger, undo: [{ shell: echo undo >> ledger }] }
                  - { id: long, shell: 'echo long >> ledger; while [ ! -e go ]; do sleep 0.02; done', idempotent: true, undo: none }
                  - { id: last, shell: echo last >> ledger, undo: none }
            ",
        )
        .args(["--wait"])
        .start();
    going.until("ledger", "long");
    set(going.directory(), "10");
    going.until_event("check.judged holds fail pause");
    let_go(&going);
    going.until_event("run.parked held");
    set(going.directory(), "20");
    let ran = going.wait().code(11);
    assert_eq!(ran.ledger(), ["change", "long", "undo"]);
}

#[test]
fn a_guard_that_comes_to_no_rest_does_not_keep_the_run_for_ever() {
    let flips = "
        runbook: flips
        guards:
          flips:
            during: [work]
            shell: echo x >> looks; [ $(($(wc -l < looks) % 2)) = 0 ] && echo 20 || echo no
            read_only: true
            expect: int(result.stdout) < 10
            every: 100ms
            consecutive_failures: 3
            then: THEN
        phases:
          work: { steps: [{ id: change, shell: echo change >> ledger, undo: [{ shell: echo undo >> ledger }] }] }
        ";
    let ran = Ferry::new()
        .runbook(&flips.replace("THEN", "rollback"))
        .run()
        .code(11);
    assert_eq!(ran.ledger(), ["change", "undo"]);
    // one that only tells keeps nobody
    let ran = Ferry::new()
        .runbook(&flips.replace("THEN", "notify"))
        .run()
        .success();
    assert_eq!(ran.ledger(), ["change"]);
}

#[test]
fn a_guard_waits_for_what_it_compares_with() {
    let ran = Ferry::new()
        .file("value", "100")
        .runbook(
            "
            runbook: compared
            guards:
              grows:
                during: [work]
                file.stat: value
                expect: result.bytes <= 4 * baseline.result.bytes
                every: 100ms
                coverage: 0.1
                then: rollback
            phases:
              work:
                steps:
                  - { id: read, shell: cat value; sleep 0.3, read_only: true }
                  - { id: change, shell: printf 1234567890 > value, undo: none }
                  - { id: rest, shell: sleep 0.5, undo: none }
            ",
        )
        .run()
        .success();
    let end = judgement(&ran, "grows");
    assert_eq!((end.verdict, end.tally.inconclusive), (Verdict::Pass, 0));
}

#[test]
fn time_that_nobody_watched_is_neither_a_pass_nor_a_fail() {
    // the time to get there passed while nobody looked
    let rule = "{ every: 200ms, within: 2s }";
    let going = watching(rule, LOW).file("value", "10").start();
    going.until("looks", "look\nlook");
    going.signal(Signal::SIGKILL);
    let dir = going.shared();
    let _ = going.wait();
    std::thread::sleep(Duration::from_secs(3));
    set(dir.path(), "1");
    let ran = again(&dir, &["resume"]).code(13);
    assert_eq!(judgement(&ran, "look").verdict, Verdict::Inconclusive);
    // a band is not judged by what is there long after it
    let band = "bands:\n  - { from: 0s, expect: int(result.stdout) >= 1 }\n  - { from: 2s, expect: int(result.stdout) >= 5 }";
    let going = watching("{ every: 100ms, for: 2s, coverage: 0.1 }", band).start();
    going.until("looks", "look\nlook\nlook\nlook\nlook\nlook\nlook\nlook");
    going.signal(Signal::SIGKILL);
    let dir = going.shared();
    let _ = going.wait();
    std::thread::sleep(Duration::from_secs(4));
    set(dir.path(), "7");
    let ran = again(&dir, &["resume"]).code(13);
    assert_eq!(judgement(&ran, "look").verdict, Verdict::Inconclusive);
}

#[test]
fn a_slow_probe_is_no_gap_and_the_last_look_counts() {
    let ran = Ferry::new()
        .steps(
            "
            - id: slow
              shell: sleep 0.4; echo 1
              read_only: true
              watch: { every: 100ms, within: 20s, consecutive_successes: 2 }
              expect: int(result.stdout) == 1
            - id: at-the-end
              shell: echo x >> looks; wc -l < looks
              read_only: true
              watch: { every: 1s, within: 1s }
              expect: int(trim(result.stdout)) == 2
            ",
        )
        .run()
        .success();
    assert_eq!(judgement(&ran, "slow").tally.missed, 0);
    assert_eq!(judgement(&ran, "at-the-end").tally.looks, 2);
}

#[test]
fn who_cancels_goes_back_also_behind_the_decision_point() {
    let going = Ferry::new()
        .runbook(
            "
            runbook: deciding
            rollback: { decide_within: { after: deploy, for: 100ms } }
            phases:
              deploy:
                steps: [{ id: change, shell: echo change >> ledger, undo: [{ shell: echo undo >> ledger }] }]
              after:
                needs: [deploy]
                steps: [{ id: settle, wait: 30s }]
            ",
        )
        .start();
    going.until_event("step.started settle");
    std::thread::sleep(Duration::from_millis(400));
    again(&going.shared(), &["cancel", "--reason", "enough"]);
    let ran = going.wait().code(21);
    assert_eq!(ran.ledger(), ["change", "undo"]);
}
