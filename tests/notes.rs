//! Notes for the record, and success criteria that are judged after the run.

use std::sync::Arc;

use ferry::event::{CloseOut, EventKind, Note, NoteKind, OperatorEvent, Order};
use ferry::expr::Verdict;
use tempfile::TempDir;

use crate::support::ferry::{Ferry, Ran};

fn tell(dir: &Arc<TempDir>, words: &[&str]) -> Ran {
    Ferry::again(dir).command(words).run()
}

fn run_of(ran: &Ran) -> String {
    ran.run_dir()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned()
}

fn orders(ran: &Ran) -> Vec<&Order> {
    let orders = ran.journal.iter().filter_map(|event| match &event.kind {
        EventKind::Operator(OperatorEvent::Ordered { order, .. }) => Some(order),
        _ => None,
    });
    orders.collect()
}

fn notes(ran: &Ran) -> Vec<&Note> {
    fn note(order: &Order) -> Option<&Note> {
        match order {
            Order::Note { note } => Some(note),
            _ => None,
        }
    }
    orders(ran).into_iter().filter_map(note).collect()
}

fn close_outs(ran: &Ran) -> Vec<&CloseOut> {
    fn one(order: &Order) -> Option<&CloseOut> {
        match order {
            Order::CloseOut { close_out } => Some(&**close_out),
            _ => None,
        }
    }
    orders(ran).into_iter().filter_map(one).collect()
}

#[expect(
    clippy::too_many_lines,
    reason = "one story, told from its beginning to its end"
)]
#[test]
fn a_note_is_taken_while_a_run_goes_on_and_after_it() {
    let secret = "correct-horse-battery";
    let going = Ferry::new()
        .runbook(
            "
            runbook: demo
            inputs: { token: { env: TOKEN, secret: true } }
            phases:
              p:
                steps:
                  - { id: a, shell: echo a >> ledger; sleep 2 }
            ",
        )
        .env("TOKEN", secret)
        .start();
    going.until("ledger", "a");
    let dir = going.shared();
    let run = std::fs::read_dir(dir.path().join("state/runs"))
        .unwrap()
        .next()
        .unwrap();
    let run = run.unwrap().file_name().to_string_lossy().into_owned();
    let ran = tell(
        &dir,
        &["note", &run, "--kind", "issue", "--step", "a", "it is slow"],
    )
    .success();
    assert_eq!(ran.stderr, format!("`note` was taken by the run `{run}`\n"));
    let wrong = tell(&dir, &["note", &run, "--step", "b", "x"]).code(64);
    assert!(wrong.stderr.contains("has no step `b`"), "{}", wrong.stderr);
    tell(&dir, &["note", &run, "  "]).code(64);
    let ran = tell(&dir, &["note", &run, &format!("the token is {secret}")]).success();
    assert!(
        ran.stderr.starts_with("`note` was taken by the run"),
        "{}",
        ran.stderr
    );
    assert_eq!(notes(&ran)[1].text, "the token is ***");
    going.wait().success();
    let ran = tell(
        &dir,
        &[
            "note",
            &run,
            "--kind",
            "lesson",
            "--as",
            "ana",
            "warm the cache first",
        ],
    );
    let ran = ran.success();
    assert!(
        ran.stderr
            .starts_with(&format!("`note` is recorded for the run `{run}`\n")),
        "{}",
        ran.stderr
    );
    let found = notes(&ran);
    assert_eq!(found.len(), 3);
    assert_eq!(
        (found[0].kind, found[0].step.as_deref()),
        (NoteKind::Issue, Some("a"))
    );
    assert_eq!(found[0].text, "it is slow");
    let lesson = Note {
        kind: NoteKind::Lesson,
        text: "warm the cache first".into(),
        step: None,
        who: "ana".into(),
    };
    assert_eq!(*found[2], lesson);
}

#[test]
fn a_note_under_a_run_that_went_back_is_no_failure() {
    let ran = Ferry::new()
        .steps(
            "
            - { id: a, shell: echo a >> ledger, undo: [{ shell: echo undo-a >> ledger }] }
            - { id: b, shell: exit 3, read_only: true }
            ",
        )
        .run()
        .code(11);
    let run = run_of(&ran);
    let ran = tell(&ran.dir, &["note", &run, "--kind", "resolution", "mended"]).success();
    assert_eq!(notes(&ran).len(), 1);
    tell(&ran.dir, &["verify"]).success();
}

#[test]
fn a_note_under_a_run_that_was_left_in_the_middle_is_taken() {
    let mut going = Ferry::new()
        .steps("- { id: a, shell: echo a >> ledger; sleep 30 }")
        .start();
    going.until("ledger", "a");
    let dir = going.shared();
    going.signal(nix::sys::signal::Signal::SIGKILL);
    assert!(going.is_over_within(std::time::Duration::from_secs(10)));
    let run = std::fs::read_dir(dir.path().join("state/runs"))
        .unwrap()
        .next()
        .unwrap();
    let run = run.unwrap().file_name().to_string_lossy().into_owned();
    let ran = tell(&dir, &["note", &run, "the host went down"]).success();
    assert_eq!(notes(&ran).len(), 1);
    let status = tell(&dir, &["status"]).success().stdout;
    assert!(status.starts_with("interrupted"), "{status}");
}

/// A run whose file `level` is read, and its size is the level by a snapshot; three criteria.
fn with_criteria(level: usize) -> Ran {
    Ferry::new()
        .file("level", "x".repeat(level))
        .runbook(
            "
            runbook: demo
            inputs: { least: { type: int, default: 3 } }
            snapshots:
              tank: { file.stat: { path: level } }
              gauge: { shell: cat level, read_only: true }
            phases:
              p:
                steps:
                  - { id: a, shell: echo a >> ledger }
            success_criteria:
              immediate: { phase: p }
              short_term:
                - { within: 24h, expect: snapshots.after.tank.bytes >= inputs.least }
                - { within: 1s, phase: p }
              long_term:
                - { within: 7d, expect: 'probe.tank.bytes > 5' }
                - { within: 7d, expect: 'probe.gauge.stdout != \"\"' }
            ",
        )
        .run()
}

#[test]
fn a_criterion_is_judged_days_later_by_what_is_read_then() {
    let ran = with_criteria(4).success();
    let (dir, run) = (Arc::clone(&ran.dir), run_of(&ran));
    let status = tell(&dir, &["status"]).success().stdout;
    assert!(
        status.contains("\nsuccess criteria\n  immediate  pass: phase `p` passes\n"),
        "{status}"
    );
    assert!(
        status.contains(&format!("\n  ferry close-out {run} long_term\n")),
        "{status}"
    );
    let list = tell(&dir, &["close-out", &run]).success().stdout;
    assert!(list.contains("short_term    open, "), "{list}");
    assert!(list.contains("short_term-2  pass "), "{list}");
    let ran = tell(&dir, &["close-out", &run, "short_term"]).success();
    assert_eq!(ran.stdout, "short_term: pass\n");
    // what was read at the end of the run was 4; what is read now decides
    let ran = tell(&dir, &["close-out", &run, "long_term"]).code(10);
    assert!(
        ran.stdout.starts_with("long_term: fail: "),
        "{}",
        ran.stdout
    );
    std::fs::write(dir.path().join("level"), "xxxxxx").unwrap();
    let ran = tell(&dir, &["close-out", &run, "long_term", "--as", "ana"]).success();
    let found = close_outs(&ran);
    let verdicts: Vec<_> = found
        .iter()
        .map(|one| (one.criterion.as_str(), one.verdict))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("short_term", Verdict::Pass),
            ("long_term", Verdict::Fail),
            ("long_term", Verdict::Pass)
        ]
    );
    assert_eq!(found[2].who, "ana");
    let value = &found[2].evidence[0].values[0];
    assert_eq!(
        (value.text.as_str(), value.value.as_str()),
        ("probe.tank.bytes", "6")
    );
    let list = tell(&dir, &["close-out", &run]).success().stdout;
    assert!(
        list.contains("long_term     pass               ana"),
        "{list}"
    );
}

#[test]
fn what_cannot_be_read_stays_open_and_a_person_may_judge() {
    let ran = with_criteria(4).success();
    let (dir, run) = (Arc::clone(&ran.dir), run_of(&ran));
    std::fs::remove_file(dir.path().join("level")).unwrap();
    let ran = tell(&dir, &["close-out", &run, "long_term"]).code(13);
    assert!(
        ran.stdout
            .starts_with("long_term: inconclusive: `probe.tank` has no `bytes`"),
        "{}",
        ran.stdout
    );
    let ran = tell(&dir, &["close-out", &run, "long_term-2"]).code(13);
    let why = "long_term-2: inconclusive: `gauge`: the script exited with 1";
    assert!(ran.stdout.starts_with(why), "{}", ran.stdout);
    let evidence = &close_outs(&ran)[1].evidence[0];
    assert_eq!(evidence.verdict, Verdict::Inconclusive);
    let list = tell(&dir, &["close-out", &run]).success().stdout;
    assert!(list.contains("open (inconclusive), "), "{list}");
    tell(&dir, &["close-out", &run, "long_term", "--verdict", "pass"]).code(64);
    let words = [
        "close-out",
        &run,
        "long_term",
        "--verdict",
        "pass",
        "--comment",
        "seen on the gauge",
    ];
    let ran = tell(&dir, &words).success();
    assert_eq!(ran.stdout, "long_term: pass by hand\n");
    let list = tell(&dir, &["close-out", &run]).success().stdout;
    assert!(list.contains(", by hand"), "{list}");
    let wrong = tell(&dir, &["close-out", &run, "mid_term"]).code(64);
    assert!(
        wrong.stderr.contains(
            "there are `immediate`, `short_term`, `short_term-2`, `long_term`, `long_term-2`"
        ),
        "{}",
        wrong.stderr
    );
    let phase = tell(&dir, &["close-out", &run, "immediate"]).code(64);
    assert!(
        phase
            .stderr
            .contains("`immediate` is judged by its phase: pass"),
        "{}",
        phase.stderr
    );
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let words = [
        "close-out",
        &run,
        "short_term-2",
        "--verdict",
        "fail",
        "--comment",
        "no",
    ];
    let late = tell(&dir, &words).code(10);
    assert!(
        late.stderr
            .contains("the time to judge `short_term-2` was over "),
        "{}",
        late.stderr
    );
}

#[test]
fn only_what_succeeded_is_closed_out() {
    let ran = Ferry::new()
        .runbook(
            "
            runbook: demo
            phases: { p: { steps: [{ id: a, shell: exit 3 }] } }
            success_criteria: { long_term: { within: 7d, expect: 'phases.p.status == \"done\"' } }
            ",
        )
        .run();
    let run = run_of(&ran);
    let ran = tell(&ran.dir, &["close-out", &run, "long_term"]).code(64);
    assert!(
        ran.stderr.contains("only what succeeded is closed out"),
        "{}",
        ran.stderr
    );
}
