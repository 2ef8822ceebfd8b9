//! Snapshots: taken before the first change and after the last, kept by hash, compared when going back.

use ferry::event::{EventKind, SnapshotEvent};
use sha2::{Digest, Sha256};

use crate::support::ferry::{Ferry, Ran};

const TEXT: &str = "
    runbook: demo
    snapshots:
      state: { shell: cat world, read_only: true }
      file: { file.stat: world }
    phases:
      look: { steps: [{ id: look, shell: 'true', read_only: true }] }
      change:
        needs: [look]
        steps:
          - { id: change, shell: echo new > world, undo: [{ shell: UNDO }] }
          - { id: end, shell: END, undo: none }
    rollback: { verify: [{ id: same, snapshot_equals: { names: [state] } }] }
";

fn run(end: &str, undo: &str) -> Ran {
    let text = TEXT.replace("UNDO", undo).replace("END", end);
    Ferry::new().file("world", "old\n").runbook(&text).run()
}

/// Moment, name and file of each snapshot, its hash checked.
fn taken(ran: &Ran) -> Vec<String> {
    let mut found = Vec::new();
    for event in &ran.journal {
        let EventKind::Snapshot(SnapshotEvent::Taken { moment, snapshots }) = &event.kind else {
            continue;
        };
        for one in snapshots {
            let file = one.file.as_ref().unwrap();
            let bytes = std::fs::read(ran.run_dir().join(file)).unwrap();
            let hash: String = Sha256::digest(&bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(Some(&hash), one.sha256.as_ref(), "{file}");
            found.push(format!("{} {} {file}", moment.name(), one.name));
        }
    }
    found
}

#[test]
fn they_are_taken_before_the_first_change_and_after_the_last() {
    let ran = run("'true'", "'true'").success().journal(&[
        "run.started",
        "step.started look",
        "step.finished look",
        "snapshot.taking before",
        "snapshot.taken before",
        "step.started change",
        "step.finished change",
        "step.started end",
        "step.finished end",
        "snapshot.taking after",
        "snapshot.taken after",
        "run.finished succeeded",
    ]);
    assert_eq!(
        taken(&ran),
        [
            "before state snapshots/before/state.json",
            "before file snapshots/before/file.json",
            "after state snapshots/after/state.json",
            "after file snapshots/after/file.json",
        ]
    );
    let value = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(ran.run_dir().join(name)).unwrap()).unwrap()
    };
    assert_eq!(value("snapshots/before/state.json")["stdout"], "old");
    assert_eq!(value("snapshots/after/state.json")["stdout"], "new");
}

#[test]
fn a_run_that_changes_nothing_takes_none() {
    Ferry::new()
        .runbook("runbook: demo\nsnapshots: { s: { shell: exit 1, read_only: true } }\nphases: { p: { steps: [{ id: a, shell: 'true', read_only: true }] } }\n")
        .run()
        .success()
        .journal(&["run.started", "step.started a", "step.finished a", "run.finished succeeded"]);
}

#[test]
fn being_back_is_proven_by_comparison() {
    let ran = run("exit 1", "echo old > world").code(11);
    assert!(ran.words().contains(&"rollback.finished same".to_owned()));
    assert_eq!(
        taken(&ran)
            .iter()
            .filter(|one| one.starts_with("restored"))
            .count(),
        2
    );
    let ran = run("exit 1", "echo older > world").code(12);
    assert!(ran.words().contains(&"rollback.failed same".to_owned()));
    assert!(
        ran.stderr
            .contains("snapshot `state`: `stdout` was \"old\" and is \"older\""),
        "{}",
        ran.stderr
    );
}

#[test]
fn without_the_state_before_nothing_is_changed() {
    let text = TEXT
        .replace("cat world", "cat nowhere")
        .replace("UNDO", "'true'")
        .replace("END", "'true'");
    let ran = Ferry::new()
        .file("world", "old\n")
        .runbook(&text)
        .run()
        .code(11)
        .journal(&[
            "run.started",
            "step.started look",
            "step.finished look",
            "snapshot.taking before",
            "snapshot.taken before (1 failed)",
            "run.failed -",
            "rollback.planned 0",
            "run.finished rolled back",
        ]);
    assert_eq!(ran.text("world"), "old\n");
    assert_eq!(ran.failure(), "snapshot `state`: the script exited with 1");
}

#[test]
fn a_failed_phase_waits_for_snapshots_under_way() {
    let ran = Ferry::new()
        .runbook(
            "
            runbook: demo
            snapshots: { s: { shell: sleep 0.5; echo s >> ledger, read_only: true } }
            phases:
              a: { steps: [{ id: a, shell: echo never >> ledger, undo: none }] }
              b: { steps: [{ id: b, shell: sleep 0.1; exit 1, read_only: true }] }
            ",
        )
        .run()
        .code(11);
    assert_eq!(ran.ledger(), ["s"]);
    let tail: Vec<_> = ran
        .words()
        .into_iter()
        .skip_while(|word| word != "run.failed b")
        .collect();
    assert_eq!(
        tail,
        [
            "run.failed b",
            "snapshot.taken before",
            "rollback.planned 0",
            "run.finished rolled back"
        ]
    );
}

#[test]
fn a_value_of_a_snapshot_is_there_for_conditions() {
    let ran = Ferry::new()
        .file("world", "old\n")
        .runbook(
            "
            runbook: demo
            snapshots: { state: { shell: cat world, read_only: true } }
            phases:
              p:
                steps:
                  - { id: a, shell: echo a >> ledger, undo: none }
                  - { id: b, shell: echo b >> ledger, undo: none, when: snapshots.before.state.stdout == \"old\" }
                  - { id: c, shell: echo c >> ledger, undo: none, when: snapshots.before.state.stdout == \"new\" }
            ",
        )
        .run()
        .success();
    assert_eq!(ran.ledger(), ["a", "b"]);
}
