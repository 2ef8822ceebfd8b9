//! Going on after `kill -9`: what was in the middle is settled and nothing is done twice; and what a
//! run that goes on stands on, whatever became of its runbook, its inputs and its place.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use ferry::event::{Event, EventKind, RunEvent, RunStatus};
use ferry::store::{Batch, Holder, NewRun, SqliteStore, Store};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::ferry::{Ferry, Going, Ran, processes};

/// Starts it, kills it as soon as the ledger holds `mark`, and gives what was left.
fn killed(ferry: Ferry, mark: &str) -> Ran {
    let going = ferry.start();
    going.until("ledger", mark);
    end(going)
}

fn end(going: Going) -> Ran {
    going.signal(Signal::SIGKILL);
    going.wait().code(137)
}

fn resume(dir: &Arc<TempDir>) -> Ferry {
    Ferry::again(dir).command(&["resume"])
}

/// The events of the second engine.
fn again(ran: &Ran) -> Vec<String> {
    let words = ran.words();
    let at = words.iter().rposition(|word| word == "run.started");
    words[at.unwrap() + 1..].to_vec()
}

fn changing(more: &str) -> Ferry {
    Ferry::new().steps(&format!(
        "
        - id: a
          shell: echo a >> ledger; echo seven
          outputs: {{ word: result.stdout }}
          undo: [{{ shell: echo undo-a >> ledger }}]
        - id: b
          shell: echo +b >> ledger; sleep 0.7; echo -b >> ledger
          undo: [{{ shell: echo \"undo-b $FERRY_STEP_STATE\" >> ledger }}]
          {more}
        - id: c
          shell: echo \"c $W\" >> ledger
          env: {{ W: \"${{{{ steps.a.outputs.word }}}}\" }}
          undo: none
        "
    ))
}

#[test]
fn a_change_that_nobody_can_tell_of_is_asked_about() {
    let ran = killed(changing("timeout: 1m"), "+b");
    assert_eq!(
        ran.words()[1..],
        [
            "run.started",
            "step.started a",
            "step.finished a",
            "step.started b"
        ]
    );
    let ran = resume(&ran.dir).run().code(13);
    // what ran on is waited for, and never done beside it
    assert_eq!(ran.ledger(), ["a", "+b", "-b"]);
    assert_eq!(
        again(&ran),
        [
            "step.in_doubt b",
            "step.examining b",
            "step.asked b indoubt",
            "run.parked question"
        ]
    );
    assert!(
        ran.stderr
            .contains(" b done|not-done|retry|rollback|abort --reason '...'"),
        "{}",
        ran.stderr
    );
    // asked again, and still once
    let ran = resume(&ran.dir).run().code(13);
    assert_eq!(
        again(&ran),
        [
            "operator.ordered resume",
            "step.examining b",
            "step.asked b indoubt",
            "run.parked question"
        ]
    );
    assert_eq!(ran.ledger(), ["a", "+b", "-b"]);
}

#[test]
fn a_probe_that_sees_the_effect_settles_it() {
    let probe = "done_when: { shell: 'grep -q -e -b ledger', read_only: true, expect: result.exit_code == 0 }";
    let ran = killed(changing(probe), "+b");
    let ran = resume(&ran.dir).run().success();
    assert_eq!(ran.ledger(), ["a", "+b", "-b", "c seven"]);
    assert_eq!(
        again(&ran),
        [
            "step.in_doubt b",
            "step.examining b",
            "step.resolved b probe done",
            "step.started c",
            "step.finished c",
            "run.finished succeeded"
        ]
    );
}

#[test]
fn a_probe_that_does_not_see_it_lets_it_be_done_again() {
    let probe =
        "done_when: { shell: 'test -e never', read_only: true, expect: result.exit_code == 0 }";
    let ran = killed(changing(probe), "+b");
    let ran = resume(&ran.dir).run().success();
    assert_eq!(ran.ledger(), ["a", "+b", "-b", "+b", "-b", "c seven"]);
    assert_eq!(
        again(&ran),
        [
            "step.in_doubt b",
            "step.examining b",
            "step.resolved b probe again",
            "step.checking b #2",
            "step.started b #2",
            "step.finished b #2",
            "step.started c",
            "step.finished c",
            "run.finished succeeded"
        ]
    );
}

#[test]
fn a_probe_without_an_answer_is_no_answer() {
    let probe = "done_when: { shell: 'grep -q -e +b ledger && kill -9 $$; false', read_only: true, expect: result.exit_code == 0 }";
    let ran = killed(
        changing(&format!("idempotent: true\n          {probe}")),
        "+b",
    );
    let ran = resume(&ran.dir).run().code(13);
    assert_eq!(ran.ledger(), ["a", "+b", "-b"]);
    assert_eq!(
        again(&ran)[2..],
        ["step.asked b indoubt", "run.parked question"]
    );
}

#[test]
fn what_may_be_done_twice_is_done_again() {
    let ran = killed(changing("idempotent: true"), "+b");
    let ran = resume(&ran.dir).run().success();
    assert_eq!(ran.ledger(), ["a", "+b", "-b", "+b", "-b", "c seven"]);
    assert_eq!(
        again(&ran)[..4],
        [
            "step.in_doubt b",
            "step.examining b",
            "step.resolved b idempotent again",
            "step.started b #2"
        ]
    );
}

#[test]
fn a_doubt_that_counts_as_failed_goes_back() {
    let ran = killed(changing("in_doubt: fail"), "+b");
    let ran = resume(&ran.dir).run().code(11);
    assert_eq!(ran.ledger(), ["a", "+b", "-b", "undo-b failed", "undo-a"]);
    assert_eq!(
        again(&ran),
        [
            "step.in_doubt b",
            "step.examining b",
            "step.resolved b policy failed",
            "run.failed b",
            "rollback.planned 2",
            "rollback.started b.undo-1",
            "rollback.finished b.undo-1",
            "rollback.started a.undo-1",
            "rollback.finished a.undo-1",
            "run.finished rolled back"
        ]
    );
}

#[test]
fn a_read_is_done_again() {
    let ran = killed(
        Ferry::new().steps(
            "- id: r\n  shell: echo +r >> ledger; sleep 0.5; echo -r >> ledger\n  read_only: true\n- id: c\n  shell: echo c >> ledger\n  undo: none\n",
        ),
        "+r",
    );
    let ran = resume(&ran.dir).run().success();
    assert_eq!(
        again(&ran),
        [
            "step.failed r retried",
            "step.started r #2",
            "step.finished r #2",
            "step.started c",
            "step.finished c",
            "run.finished succeeded"
        ]
    );
}

#[test]
fn what_a_step_waits_for_is_waited_for_again_and_the_step_not_done_again() {
    let ran = killed(
        Ferry::new().steps(
            "
            - id: b
              shell: echo b >> ledger; echo seven
              outputs: { word: result.stdout }
              undo: none
              then_wait: { shell: echo w >> ledger; test -e go, read_only: true, expect: result.exit_code == 0, within: 20s }
            - id: c
              shell: echo \"c $W\" >> ledger
              env: { W: \"${{ steps.b.outputs.word }}\" }
              undo: none
            ",
        ),
        "w",
    );
    assert_eq!(ran.words().last().unwrap(), "step.acted b");
    let ran = resume(&ran.dir).file("go", "").run().success();
    let ledger: Vec<String> = ran
        .ledger()
        .into_iter()
        .filter(|line| line != "w")
        .collect();
    assert_eq!(ledger, ["b", "c seven"]);
    assert_eq!(
        again(&ran),
        [
            "step.finished b",
            "step.started c",
            "step.finished c",
            "run.finished succeeded"
        ]
    );
}

#[test]
fn a_retry_that_was_waited_for_comes_when_it_is_due() {
    let text = "- id: b\n  shell: echo b >> ledger; test -e go\n  idempotent: true\n  undo: none\n  retry: { limit: 1, backoff: 1s }\n";
    let going = Ferry::new().steps(text).start();
    going.until_true("the first attempt is in the journal", || {
        std::fs::read(going.path("state/ferry.db-wal"))
            .is_ok_and(|log| String::from_utf8_lossy(&log).contains("retry_at"))
    });
    let ran = end(going);
    assert_eq!(ran.words().last().unwrap(), "step.failed b retried");
    let ran = resume(&ran.dir).file("go", "").run().success();
    assert_eq!(ran.ledger(), ["b", "b"]);
    assert_eq!(
        again(&ran),
        [
            "step.started b #2",
            "step.finished b #2",
            "run.finished succeeded"
        ]
    );
    // the attempt before the kill counts
    let going = Ferry::new().steps(text).start();
    going.until_true("the first attempt is in the journal", || {
        std::fs::read(going.path("state/ferry.db-wal"))
            .is_ok_and(|log| String::from_utf8_lossy(&log).contains("retry_at"))
    });
    let ran = end(going);
    let ran = resume(&ran.dir).run().code(11);
    assert_eq!(ran.ledger(), ["b", "b"]);
}

#[test]
fn snapshots_are_taken_again() {
    let ran = killed(
        Ferry::new().runbook(
            "
            runbook: demo
            snapshots: { s: { shell: echo +s >> ledger; sleep 0.3; echo 1, read_only: true } }
            phases: { p: { steps: [{ id: a, shell: echo a >> ledger, undo: none }] } }
            ",
        ),
        "+s",
    );
    let ran = resume(&ran.dir).run().success();
    assert_eq!(ran.ledger(), ["+s", "+s", "a", "+s"]);
    assert_eq!(
        again(&ran),
        [
            "snapshot.taking before",
            "snapshot.taken before",
            "step.started a",
            "step.finished a",
            "snapshot.taking after",
            "snapshot.taken after",
            "run.finished succeeded"
        ]
    );
}

fn undoing(of_undo: &str, of_step: &str) -> Ferry {
    Ferry::new().steps(&format!(
        "
        - id: a
          shell: echo a >> ledger
          undo: [{{ shell: echo undo-a >> ledger }}]
        - id: b
          shell: echo b >> ledger
          {of_step}
          undo: [{{ shell: 'echo +undo-b >> ledger; sleep 0.6; echo -undo-b >> ledger'{of_undo} }}]
        - id: c
          shell: exit 1
          undo: none
        "
    ))
}

#[test]
fn an_undo_that_nobody_can_tell_of_is_asked_about_and_the_rest_is_held() {
    let ran = killed(undoing("", "timeout: 1m"), "+undo-b");
    let ran = resume(&ran.dir).run().code(12);
    assert_eq!(ran.ledger(), ["a", "b", "+undo-b", "-undo-b"]);
    assert_eq!(
        again(&ran),
        [
            "rollback.in_doubt b.undo-1",
            "rollback.examining b.undo-1",
            "rollback.asked b.undo-1",
            "rollback.held a.undo-1",
            "run.finished rollback failed"
        ]
    );
    let run = run_of(&ran);
    let ran = Ferry::again(&ran.dir)
        .command(&["answer", &run, "b.undo-1", "done", "--reason", "I looked"])
        .run()
        .success();
    assert_eq!(
        ran.words().last().unwrap(),
        "rollback.resolved b.undo-1 person done"
    );
    let ran = Ferry::again(&ran.dir).command(&["rollback"]).run().code(11);
    assert_eq!(ran.ledger(), ["a", "b", "+undo-b", "-undo-b", "undo-a"]);
    assert_eq!(
        again(&ran),
        [
            "operator.ordered rollback",
            "rollback.reopened a.undo-1",
            "rollback.started a.undo-1",
            "rollback.finished a.undo-1",
            "run.finished rolled back"
        ]
    );
}

#[test]
fn an_undo_that_may_be_done_twice_or_is_seen_is_gone_on_with() {
    let ran = killed(undoing(", idempotent: true", "timeout: 1m"), "+undo-b");
    let ran = resume(&ran.dir).run().code(11);
    assert_eq!(
        ran.ledger(),
        [
            "a", "b", "+undo-b", "-undo-b", "+undo-b", "-undo-b", "undo-a"
        ]
    );
    assert_eq!(
        again(&ran)[..4],
        [
            "rollback.in_doubt b.undo-1",
            "rollback.examining b.undo-1",
            "rollback.resolved b.undo-1 idempotent again",
            "rollback.started b.undo-1 #2"
        ]
    );
    let probe = "undone_when: { shell: 'grep -q -e -undo-b ledger', read_only: true, expect: result.exit_code == 0 }";
    let ran = killed(undoing("", probe), "+undo-b");
    let ran = resume(&ran.dir).run().code(11);
    assert_eq!(ran.ledger(), ["a", "b", "+undo-b", "-undo-b", "undo-a"]);
    assert_eq!(again(&ran)[2], "rollback.resolved b.undo-1 probe done");
}

#[test]
fn items_that_are_done_stay_done() {
    let fan = |more: &str| {
        Ferry::new().steps(&format!(
            "
            - id: s
              for_each: [x, y, z]
              shell: echo \"+$I\" >> ledger; test $I = x || sleep 0.5; echo \"-$I\" >> ledger
              env: {{ I: \"${{{{ item }}}}\" }}
              {more}
              undo: none
            "
        ))
    };
    let ran = killed(fan("idempotent: true"), "+y");
    let ran = resume(&ran.dir).run().success();
    assert_eq!(
        ran.ledger(),
        ["+x", "-x", "+y", "-y", "+y", "-y", "+z", "-z"]
    );
    assert_eq!(
        again(&ran),
        [
            "step.in_doubt s[1]",
            "step.examining s[1]",
            "step.resolved s[1] idempotent again",
            "step.started s[1] #2",
            "step.finished s[1] #2",
            "step.started s[2]",
            "step.finished s[2]",
            "run.finished succeeded"
        ]
    );
    let ran = killed(fan("parallel: 2"), "+y");
    let ran = resume(&ran.dir).run().code(13);
    let mut ledger = ran.ledger();
    ledger.sort();
    // z may have begun beside y; each of them once
    assert!(
        ["+x,+y,+z,-x,-y,-z", "+x,+y,-x,-y"].contains(&ledger.join(",").as_str()),
        "{ledger:?}"
    );
    assert_eq!(ran.words().last().unwrap(), "run.parked question");
}

/// The id of the only run.
fn run_of(ran: &Ran) -> String {
    let name = ran.run_dir();
    name.file_name().unwrap().to_string_lossy().into_owned()
}

// What a run stands on.

#[test]
fn a_secret_is_bound_again_and_other_inputs_are_as_they_were() {
    let text = "
        runbook: demo
        inputs:
          token: { env: TOKEN, secret: true }
          mode: { env: MODE, default: safe }
        phases:
          p:
            steps:
              - { id: b, shell: 'echo +b >> ledger; sleep 0.3', idempotent: true, undo: none }
              - id: c
                shell: echo \"$M ${#T}\" >> ledger
                env: { M: \"${{ inputs.mode }}\", T: \"${{ inputs.token }}\" }
                undo: none
    ";
    let ran = killed(
        Ferry::new()
            .runbook(text)
            .env("TOKEN", "canary-of-9")
            .env("MODE", "fast"),
        "+b",
    );
    let missing = resume(&ran.dir).run().code(65);
    assert!(
        missing.stderr.contains("input `token` has no value") && missing.stderr.contains("`TOKEN`"),
        "{}",
        missing.stderr
    );
    assert_eq!(missing.ledger(), ["+b"], "nothing was started");
    let ran = resume(&ran.dir)
        .env("TOKEN", "canary-of-9")
        .env("MODE", "slow")
        .args(["-i", "mode=slower"])
        .run()
        .success();
    assert_eq!(ran.ledger(), ["+b", "+b", "fast 11"]);
}

#[test]
fn an_input_that_the_journal_hides_must_be_given_as_it_was() {
    let text = "
        runbook: demo
        inputs: { url: { env: APP_URL } }
        phases:
          p:
            steps:
              - { id: b, shell: 'echo +b >> ledger; sleep 0.3', idempotent: true, undo: none }
              - id: c
                shell: echo \"${#U}\" >> ledger
                env: { U: \"${{ inputs.url }}\" }
                undo: none
    ";
    let url = "http://me:canary-pw-1@127.0.0.1/x";
    let ran = killed(Ferry::new().runbook(text).env("APP_URL", url), "+b");
    let missing = resume(&ran.dir).run().code(65);
    assert!(
        missing.stderr.contains("input `url` has no value"),
        "{}",
        missing.stderr
    );
    let other = resume(&ran.dir)
        .env("APP_URL", "http://me:canary-pw-2@127.0.0.1/x")
        .run()
        .code(65);
    assert!(
        other
            .stderr
            .contains("an input is not what the run was started with"),
        "{}",
        other.stderr
    );
    assert!(!other.stderr.contains("canary"), "{}", other.stderr);
    assert_eq!(other.ledger(), ["+b"]);
    let ran = resume(&ran.dir).env("APP_URL", url).run().success();
    assert_eq!(ran.ledger(), ["+b", "+b", "33"]);
}

const TWO: &str = "
    runbook: demo
    phases:
      p:
        steps:
          - { id: b, shell: 'echo +b >> ledger; sleep 0.3', idempotent: true, undo: none }
          - { id: c, shell: 'echo c >> ledger', undo: none }
";

#[test]
fn a_runbook_that_changed_is_told_and_not_used() {
    let ran = killed(Ferry::new().runbook(TWO), "+b");
    let text = ran.text("runbook.yaml").replace("echo c", "echo changed");
    let ran = resume(&ran.dir).file("runbook.yaml", text).run().success();
    assert_eq!(ran.ledger(), ["+b", "+b", "c"]);
    assert!(
        ran.stderr
            .contains("`runbook.yaml` has changed since the run was started (from line 6):"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("echo changed >> ledger"),
        "{}",
        ran.stderr
    );
    let ran = killed(Ferry::new().runbook(TWO), "+b");
    std::fs::remove_file(ran.path("runbook.yaml")).unwrap();
    let ran = resume(&ran.dir).run().success();
    assert_eq!(ran.ledger(), ["+b", "+b", "c"]);
    assert!(
        ran.stderr
            .contains("`runbook.yaml` cannot be read any more"),
        "{}",
        ran.stderr
    );
}

#[test]
fn it_goes_on_in_its_own_place_from_wherever_it_is_told_to() {
    let ran = killed(Ferry::new().runbook(TWO), "+b");
    let state = ran.path("state").display().to_string();
    let elsewhere = Ferry::new()
        .command(&["resume", "--state-dir", &state])
        .run()
        .success();
    assert!(!elsewhere.path("ledger").exists() && !elsewhere.path("state").exists());
    assert_eq!(ran.ledger(), ["+b", "+b", "c"]);
}

#[test]
fn a_secret_in_the_text_is_taken_from_the_file_while_it_is_as_it_was() {
    let text = "
        runbook: demo
        phases:
          p:
            steps:
              - { id: b, shell: 'echo +b >> ledger; sleep 0.3', idempotent: true, undo: none }
              - { id: c, shell: 'echo ${#U} >> ledger', env: { U: 'http://me:canary-pw-1@h/x' }, undo: none }
    ";
    let ran = killed(Ferry::new().runbook(text), "+b");
    let ran = resume(&ran.dir).run().success();
    assert_eq!(ran.ledger(), ["+b", "+b", "25"]);
    let ran = killed(Ferry::new().runbook(text), "+b");
    let text = ran
        .text("runbook.yaml")
        .replace("undo: none", "undo:  none");
    let ran = resume(&ran.dir).file("runbook.yaml", text).run().code(78);
    assert!(
        ran.stderr
            .contains("the runbook holds a secret in its text"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
    assert_eq!(ran.ledger(), ["+b"]);
}

/// The journal of a killed run, each event as `change` leaves it, in a store of its own.
fn doctored(ran: &Ran, change: impl Fn(&mut Event)) {
    let state = ran.path("state");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let id = run_of(ran);
        std::fs::remove_dir_all(&state).unwrap();
        let store = SqliteStore::open(&state).await.unwrap();
        let new = NewRun {
            id: id.clone(),
            name: "demo".into(),
            at: 1,
            locks: Vec::new(),
        };
        let me = Holder {
            who: "me".into(),
            host: ferry::store::this_host(),
            pid: std::process::id(),
            started: 0,
        };
        let lease = store.begin(&new, &me).await.unwrap();
        let mut events = ran.journal.clone();
        events.iter_mut().for_each(change);
        let batch = Batch {
            events,
            status: Some(RunStatus::Running),
            ..Batch::default()
        };
        store.commit(&lease, batch).await.unwrap();
        store.release(&lease).await.unwrap();
        std::fs::create_dir_all(state.join("runs").join(id)).unwrap();
    });
}

#[test]
fn another_version_of_ferry_is_noted() {
    let ran = killed(Ferry::new().runbook(TWO), "+b");
    doctored(&ran, |event| {
        if let EventKind::Run(RunEvent::Planned(planned)) = &mut event.kind {
            planned.version = "0.0.7".into();
        }
    });
    let ran = resume(&ran.dir).run().success();
    assert!(
        ran.stderr
            .contains("note: ferry 0.0.7 started the run; this is ferry "),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.ledger(), ["+b", "+b", "c"]);
}

#[test]
fn a_run_of_another_host_is_left_to_it_until_somebody_says_otherwise() {
    let ran = killed(Ferry::new().runbook(TWO), "+b");
    doctored(&ran, |event| {
        if let EventKind::Run(RunEvent::Started { host, by, .. }) = &mut event.kind {
            "elsewhere".clone_into(host);
            "anna".clone_into(by);
        }
    });
    let refused = resume(&ran.dir).run().code(78);
    assert!(
        refused
            .stderr
            .contains("was carried on by `anna` on host `elsewhere`")
            && refused.stderr.contains("--takeover"),
        "{}",
        refused.stderr
    );
    assert_eq!(refused.ledger(), ["+b"]);
    let ran = resume(&ran.dir).args(["--takeover"]).run().success();
    assert_eq!(ran.ledger(), ["+b", "+b", "c"]);
}

#[test]
fn the_state_of_another_user_is_not_touched() {
    let ran = killed(Ferry::new().runbook(TWO), "+b");
    // they may come to the directory, and not into its state
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(ran.dir.path(), open).unwrap();
    let refused = match nix::unistd::geteuid().is_root() {
        true => resume(&ran.dir)
            .through("exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"")
            .run(),
        // without rights nobody else can be played; a directory of somebody else is refused the same
        false => Ferry::again(&ran.dir)
            .command(&["resume", "--state-dir", "/root/state"])
            .run(),
    };
    assert_eq!(refused.code, 77, "{}", refused.all());
    assert_eq!(ran.ledger(), ["+b"]);
    let after = resume(&ran.dir).run().success();
    assert_eq!(after.ledger(), ["+b", "+b", "c"]);
}

// P03

#[test]
fn a_child_that_runs_on_is_waited_for_and_ended_after_its_time() {
    for (name, script) in [
        ("group", "sh -c 'sleep 61; : MARK' & wait"),
        (
            "session",
            "setsid sh -c 'sleep 61; : MARK' & wait; sleep 62",
        ),
    ] {
        let mark = format!("p03-{name}-{}-mark", std::process::id());
        let script = script.replace("MARK", &mark);
        let ran = killed(
            Ferry::new().steps(&format!(
                "- id: b\n  shell: \"echo +b >> ledger; {script}\"\n  timeout: 2s\n  undo: none\n"
            )),
            "+b",
        );
        assert!(!processes(&mark).is_empty(), "{name}: it runs on");
        let ran = resume(&ran.dir).run().code(13);
        assert_eq!(processes(&mark), Vec::<String>::new(), "{name}");
        assert_eq!(ran.ledger(), ["+b"], "{name}");
        assert!(
            ran.took > Duration::from_millis(1_500) && ran.took < Duration::from_secs(20),
            "{name}: {:?}",
            ran.took
        );
        assert_eq!(
            again(&ran),
            [
                "step.in_doubt b",
                "step.examining b",
                "step.asked b indoubt",
                "run.parked question"
            ]
        );
    }
}

#[test]
fn a_cancelled_or_aborted_run_does_not_wait_for_what_was_left() {
    for (order, code) in [("cancel", 21), ("abort", 15)] {
        let mark = format!("left-{order}-{}-mark", std::process::id());
        let ran = killed(
            Ferry::new().steps(&format!(
                "- id: b\n  shell: \"echo +b >> ledger; sh -c 'sleep 63; : {mark}' & wait\"\n  timeout: 10m\n  undo: [{{ shell: echo undo >> ledger }}]\n"
            )),
            "+b",
        );
        let ran = Ferry::again(&ran.dir).command(&[order]).run().code(code);
        assert_eq!(processes(&mark), Vec::<String>::new(), "{order}");
        assert!(
            ran.took < Duration::from_secs(20),
            "{order}: {:?}",
            ran.took
        );
        let undone = if order == "cancel" {
            &["+b", "undo"][..]
        } else {
            &["+b"]
        };
        assert_eq!(ran.ledger(), undone, "{}", ran.all());
    }
}

// Runs that failed.

#[test]
fn a_failed_run_goes_on_after_mending() {
    // nothing happened: it is simply done again
    let ran = Ferry::new()
        .steps(
            "
            - { id: a, shell: 'echo a >> ledger', undo: none }
            - id: b
              shell: { run: 'test -e go || exit 3; echo b >> ledger', not_applied: [3] }
              undo: none
            ",
        )
        .args(["--no-rollback"])
        .run()
        .code(10);
    let ran = resume(&ran.dir).file("go", "").run().success();
    assert_eq!(ran.ledger(), ["a", "b"]);
    assert_eq!(
        again(&ran),
        [
            "operator.ordered resume",
            "step.reopened b",
            "step.started b #2",
            "step.finished b #2",
            "run.finished succeeded"
        ]
    );
}

#[test]
fn a_failed_change_is_settled_before_the_run_goes_on() {
    let steps = |more: &str| {
        format!(
            "
            - {{ id: a, shell: 'echo a >> ledger', undo: none }}
            - id: b
              shell: echo b >> ledger; test -e go
              undo: none
              {more}
            "
        )
    };
    let ran = Ferry::new()
        .steps(&steps("timeout: 1m"))
        .args(["--no-rollback"])
        .run()
        .code(10);
    let ran = resume(&ran.dir).file("go", "").run().code(13);
    assert_eq!(
        again(&ran),
        [
            "operator.ordered resume",
            "step.in_doubt b",
            "step.examining b",
            "step.asked b indoubt",
            "run.parked question"
        ]
    );
    assert!(
        ran.stderr
            .contains("it failed after it started, and may have left something"),
        "{}",
        ran.stderr
    );
    let run = run_of(&ran);
    Ferry::again(&ran.dir)
        .command(&["answer", &run, "b", "retry", "--reason", "it is half there"])
        .run()
        .success();
    let ran = resume(&ran.dir).run().success();
    assert_eq!(ran.ledger(), ["a", "b", "b"]);
    let probe =
        "done_when: { shell: 'test -e done', read_only: true, expect: result.exit_code == 0 }";
    let ran = Ferry::new()
        .steps(&steps(probe))
        .args(["--no-rollback"])
        .run()
        .code(10);
    let ran = resume(&ran.dir).file("done", "").run().success();
    assert_eq!(ran.ledger(), ["a", "b"]);
    assert_eq!(again(&ran)[3], "step.resolved b probe done");
}

#[test]
fn a_run_that_is_over_is_not_gone_on_with() {
    let ran = Ferry::new()
        .steps("- { id: a, shell: 'echo a >> ledger', undo: none }")
        .run()
        .success();
    let ran = resume(&ran.dir).run().code(64);
    assert!(
        ran.stderr.contains("is succeeded: it is over"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.ledger(), ["a"]);
    // a refusal is told in the journal, and changes nothing
    assert_eq!(
        ran.words()[4..],
        ["run.finished succeeded", "operator.refused resume"]
    );
    let none = Ferry::new().command(&["resume"]).run().code(66);
    assert!(!none.path("state").exists());
    let none = resume(&ran.dir).args(["no-such-run"]).run().code(66);
    assert!(
        none.stderr.contains("there is no run `no-such-run`"),
        "{}",
        none.stderr
    );
}

#[test]
fn a_neighbour_in_doubt_fails_nobody() {
    // `slow` loses its link and is looked at while `near` is still being checked
    let ran = Ferry::new()
        .runbook(
            "
            runbook: demo
            phases:
              one: { steps: [{ id: slow, shell: echo slow >> ledger; sleep 5, timeout: 300ms, undo: none, done_when: { shell: sleep 0.6; test -e ledger, read_only: true, expect: result.exit_code == 0 } }] }
              two: { steps: [{ id: near, shell: echo near >> ledger, undo: none, done_when: { shell: sleep 0.9; false, read_only: true, expect: result.exit_code == 0 } }] }
            ",
        )
        .run()
        .code(0);
    let mut ledger = ran.ledger();
    ledger.sort();
    assert_eq!(ledger, ["near", "slow"], "{}", ran.all());
    assert!(
        ran.words()
            .iter()
            .any(|word| word == "step.resolved slow probe done"),
        "{}",
        ran.all()
    );
}
