//! Signals to ferry: what is in flight is waited for or ended, and the run is left to be gone on with.

use std::time::Duration;

use ferry::event::{EventKind, StepEvent};
use nix::sys::signal::Signal;

use crate::support::ferry::{Ferry, processes};

#[test]
fn the_first_interrupt_waits_for_changes_and_ends_reads() {
    let going = Ferry::new()
        .runbook(
            "
            runbook: demo
            phases:
              change: { steps: [{ id: c, shell: echo +c >> ledger; sleep 0.8; echo -c >> ledger, undo: [{ shell: echo undo >> ledger }] }, { id: next, shell: echo next >> ledger }] }
              read: { steps: [{ id: r, shell: echo +r >> ledger; sleep 30, read_only: true, timeout: 1m }] }
            ",
        )
        .start();
    going.until("ledger", "+c");
    going.until("ledger", "+r");
    going.signal(Signal::SIGINT);
    let ran = going.wait().code(130);
    assert!(ran.took < Duration::from_secs(10), "{:?}", ran.took);
    let mut ledger = ran.ledger();
    ledger.sort();
    assert_eq!(
        ledger,
        ["+c", "+r", "-c"],
        "nothing new starts, nothing is undone"
    );
    let tail: Vec<_> = ran
        .words()
        .into_iter()
        .skip_while(|word| !word.starts_with("run.stopping"))
        .collect();
    assert_eq!(
        tail,
        [
            "run.stopping interrupt",
            "step.failed r retried",
            "step.finished c",
            "run.parked interrupt"
        ]
    );
    assert!(
        ran.stderr
            .contains("parked: interrupted; what was done stays done, and a person has to go on"),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_second_interrupt_ends_the_groups() {
    let mark = format!("second-{}-mark", std::process::id());
    let going = Ferry::new()
        .steps(&format!(
            "- id: a\n  shell: echo +a >> ledger; sh -c 'sleep 63; true {mark}' & sleep 64; true {mark}\n  undo: [{{ shell: echo undo >> ledger }}]\n"
        ))
        .start();
    going.until("ledger", "+a");
    going.signal(Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(300));
    going.signal(Signal::SIGINT);
    let ran = going.wait().code(130);
    assert!(ran.took < Duration::from_secs(8), "{:?}", ran.took);
    assert_eq!(processes(&mark), Vec::<String>::new());
    assert_eq!(ran.ledger(), ["+a"], "it parks and undoes nothing");
    assert_eq!(
        ran.words()[3..],
        [
            "run.stopping interrupt",
            "step.in_doubt a",
            "run.parked interrupt"
        ]
    );
}

#[test]
fn the_third_interrupt_leaves_at_once_and_the_next_engine_ends_what_is_left() {
    let mark = format!("third-{}-mark", std::process::id());
    let going = Ferry::new()
        .steps(&format!("- id: a\n  shell: trap '' TERM INT; echo +a >> ledger; while true; do sleep 0.2; done; true {mark}\n  timeout: 2s\n  undo: none\n"))
        .start();
    going.until("ledger", "+a");
    for _ in 0..3 {
        going.signal(Signal::SIGINT);
        std::thread::sleep(Duration::from_millis(250));
    }
    let ran = going.wait().code(130);
    assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
    assert_eq!(
        processes(&mark).len(),
        1,
        "it was left as a crash leaves it"
    );
    assert_eq!(ran.words().last().unwrap(), "run.stopping interrupt");
    // waits for it as long as its own timeout, then TERM and, because it heeds nothing, KILL
    let again = Ferry::again(&ran.dir).command(&["resume"]).run().code(13);
    assert_eq!(processes(&mark), Vec::<String>::new());
    assert_eq!(
        again.words()[4..],
        [
            "run.started",
            "step.in_doubt a",
            "step.examining a",
            "step.asked a indoubt",
            "run.parked question"
        ]
    );
}

#[test]
fn terminate_and_hangup_park_with_codes_of_their_own() {
    for (signal, code, word) in [
        (Signal::SIGTERM, 143, "terminate"),
        (Signal::SIGHUP, 129, "hangup"),
    ] {
        let going = Ferry::new()
            .steps("- id: a\n  shell: echo +a >> ledger; sleep 0.4; echo -a >> ledger\n  undo: [{ shell: echo undo >> ledger }]\n- id: b\n  shell: echo b >> ledger\n")
            .args(["--json"])
            .start();
        going.until("ledger", "+a");
        going.signal(signal);
        let ran = going.wait().code(code);
        assert_eq!(ran.ledger(), ["+a", "-a"]);
        assert_eq!(*ran.words().last().unwrap(), format!("run.parked {word}"));
        let end = ran.json().pop().unwrap();
        assert_eq!(
            (end["code"].as_i64(), end["outcome"].as_str()),
            (Some(i64::from(code)), Some("waiting"))
        );
    }
}

#[test]
fn a_hangup_that_is_ignored_stays_ignored() {
    let going = Ferry::new()
        .steps("- id: a\n  shell: echo +a >> ledger; sleep 0.4; echo -a >> ledger\n  undo: none\n")
        .through("trap '' HUP; exec \"$@\"")
        .start();
    going.until("ledger", "+a");
    going.signal(Signal::SIGHUP);
    assert_eq!(going.wait().success().ledger(), ["+a", "-a"]);
}

#[test]
fn a_probe_before_a_step_is_ended_and_the_step_does_not_start() {
    let going = Ferry::new()
        .steps(
            "
            - id: a
              shell: echo do >> ledger
              undo: none
              done_when: { shell: echo probe >> ledger; sleep 30, read_only: true, expect: result.exit_code == 0 }
            ",
        )
        .start();
    going.until("ledger", "probe");
    going.signal(Signal::SIGINT);
    let ran = going.wait().code(130);
    assert!(ran.took < Duration::from_secs(10), "{:?}", ran.took);
    assert_eq!(ran.ledger(), ["probe"]);
    assert_eq!(*ran.words().last().unwrap(), "run.parked interrupt");
    assert!(
        !ran.words()
            .iter()
            .any(|word| word.starts_with("run.failed")),
        "{}",
        ran.all()
    );
}

#[test]
fn an_interrupt_while_snapshots_are_taken_leaves_nothing_behind() {
    let mark = format!("snapshot-{}-mark", std::process::id());
    let going = Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            snapshots: {{ slow: {{ shell: echo +s >> ledger; sleep 0.7; true {mark}, read_only: true }} }}
            phases: {{ p: {{ steps: [{{ id: a, shell: echo a >> ledger, undo: none }}] }} }}
            "
        ))
        .start();
    going.until("ledger", "+s");
    going.signal(Signal::SIGINT);
    let ran = going.wait().code(130);
    assert_eq!(processes(&mark), Vec::<String>::new());
    assert_eq!(ran.ledger(), ["+s"]);
    assert_eq!(
        ran.words()[2..],
        [
            "snapshot.taking before",
            "run.stopping interrupt",
            "snapshot.taken before",
            "run.parked interrupt"
        ]
    );
}

#[test]
fn an_interrupt_between_attempts_does_not_wait_for_the_next() {
    let going = Ferry::new()
        .steps("- id: a\n  shell: echo a >> ledger; exit 1\n  read_only: true\n  retry: { limit: 3, backoff: 50s }\n")
        .start();
    going.until_true("the first attempt is over", || {
        going.text("ledger").contains('a')
    });
    std::thread::sleep(Duration::from_millis(200));
    going.signal(Signal::SIGINT);
    let ran = going.wait().code(130);
    assert!(ran.took < Duration::from_secs(10), "{:?}", ran.took);
    assert_eq!(ran.ledger(), ["a"]);
}

#[test]
fn an_interrupt_on_the_way_back_lets_the_undo_end_and_parks() {
    let going = Ferry::new()
        .runbook(
            "
            runbook: demo
            phases:
              p:
                steps:
                  - { id: a, shell: 'true', undo: [{ shell: echo undo-a >> ledger }] }
                  - { id: b, shell: 'true', undo: [{ shell: echo +b >> ledger; sleep 0.5; echo -b >> ledger }] }
                  - { id: c, shell: exit 1, undo: none }
            ",
        )
        .start();
    going.until("ledger", "+b");
    going.signal(Signal::SIGINT);
    let ran = going.wait().code(130);
    assert_eq!(ran.ledger(), ["+b", "-b"]);
    assert_eq!(ran.words().last().unwrap(), "run.parked interrupt");
    // a read that proves something is stopped, and not counted as a failure
    let going = Ferry::new()
        .runbook(
            "
            runbook: demo
            phases: { p: { steps: [{ id: c, shell: exit 1, undo: [{ shell: 'true' }] }] } }
            rollback: { verify: [{ id: v, shell: echo +v >> ledger; sleep 30, read_only: true, expect: result.exit_code == 0 }] }
            ",
        )
        .start();
    going.until("ledger", "+v");
    going.signal(Signal::SIGINT);
    let ran = going.wait().code(130);
    let words = ran.words();
    assert_eq!(
        words[words.len() - 3..],
        [
            "run.stopping interrupt",
            "rollback.failed v retried",
            "run.parked interrupt"
        ]
    );
}

#[test]
fn intents_are_written_before_and_outcomes_after() {
    // a step that looks into the journal finds its own start there already
    let ran = Ferry::new()
        .steps("- id: a\n  shell: 'grep -q -a step.started state/ferry.db-wal && echo there'\n  undo: none\n  expect: result.stdout == \"there\"\n")
        .run()
        .success();
    let started = ran.journal.iter().find_map(|event| match &event.kind {
        EventKind::Step(StepEvent::Started { step, .. }) => Some(step.clone()),
        _ => None,
    });
    assert_eq!(started.as_deref(), Some("a"));
}

#[test]
fn a_journal_that_cannot_grow_ends_what_runs_and_starts_nothing() {
    let mark = format!("dead-{}-mark", std::process::id());
    let ran = Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            phases:
              long: {{ steps: [{{ id: long, shell: 'trap \"echo ended >> ledger; exit 1\" TERM; sleep 600 & : {mark}; wait' }}] }}
              fill: {{ steps: [{{ id: fill, for_each: '[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]', shell: 'head -c 4000 /dev/zero | tr \"\\0\" x' }}, {{ id: never, shell: echo never >> ledger }}] }}
            "
        ))
        // the log of the journal reaches the limit; the limit's own signal must not end ferry
        .through("ulimit -f 90; exec \"$@\"")
        .run()
        .code(74);
    assert_eq!(ran.ledger(), ["ended"]);
    assert_eq!(processes(&mark), Vec::<String>::new());
    assert!(ran.stderr.contains("ferry.db"), "{}", ran.stderr);
}
