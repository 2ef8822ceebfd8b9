//! E08: a panic in the worker of an action, in the scheduler, and in what writes the report.

use super::drive::Story;
use crate::support::ferry::Ferry;

const ONE: &str = "
    - { id: a, shell: echo a >> ledger, undo: none }
    - { id: b, shell: echo b >> ledger, undo: none }
";

/// A panic before and after the effect: nothing is known of it, so a person is asked, by name.
#[test]
fn a_panic_in_a_worker_leaves_its_step_in_doubt() {
    for (point, done) in [
        ("effect.before", vec!["a"]),
        ("effect.after", vec!["a", "b"]),
    ] {
        let ran = Ferry::new()
            .steps(ONE)
            .env("FERRY_FAILPOINT", &format!("{point}:b:1=panic"))
            .run()
            .code(13);
        assert_eq!(ran.ledger(), done);
        assert!(ran.stderr.contains("ferry answer "), "{}", ran.all());
        assert!(ran.stderr.contains(" b done|"), "{}", ran.all());
    }
}

/// Whatever the steps are, a panic in any worker ends well once somebody answered.
#[test]
fn a_panic_in_any_worker_ends_well() {
    for nth in [1, 4, 7] {
        let story = Story {
            small: true,
            failpoints: vec![format!("worker:{nth}=panic")],
            ..Story::default()
        };
        let told = story.tell();
        if let Some(broken) = told.broken(&story) {
            panic!("{broken}");
        }
    }
}

/// The scheduler is gone, and what it had written is not: the run goes on.
#[test]
fn a_panic_in_the_scheduler_is_70_and_the_run_goes_on() {
    for nth in [2, 6] {
        let story = Story {
            small: true,
            failpoints: vec![format!("scheduler:{nth}=panic")],
            ..Story::default()
        };
        let told = story.tell();
        assert_eq!(told.evidence.sessions[0].code, 70);
        assert_eq!(told.evidence.status().as_deref(), Some("succeeded"));
        if let Some(broken) = told.broken(&story) {
            panic!("{broken}");
        }
    }
}

/// How the run ended stands in the journal; that its report could not be written is told.
#[test]
fn a_report_that_cannot_be_written_changes_nothing_of_the_run() {
    for action in ["enospc", "panic"] {
        let ran = Ferry::new()
            .steps(ONE)
            .env("FERRY_FAILPOINT", &format!("report:1={action}"))
            .run()
            .code(73);
        assert_eq!(ran.words().last().unwrap(), "run.finished succeeded");
        assert_eq!(ran.ledger(), ["a", "b"]);
    }
}
