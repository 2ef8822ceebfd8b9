//! What is over a limit is said, never silently cut. The limits of single actions are tested beside
//! them (`action_http`, `action_redis`, `action_sql`, `shell`); here are those of what is kept.

use ferry::event::{Cause, Outcome};

use crate::support::ferry::Ferry;
use crate::support::postgres::Postgres;

#[test]
fn outputs_that_are_too_large_together_fail_the_step() {
    let ran = Ferry::new()
        .steps(
            "
            - id: a
              shell: |
                for n in 1 2 3; do head -c 30000 /dev/zero | tr '\\0' $n > \"$FERRY_STEP_DIR/$n\"; done
              undo: none
              outputs: { one: { text: '1' }, two: { text: '2' }, three: { text: '3' } }
            ",
        )
        .run()
        .code(11);
    let failed = ran.failed("a");
    assert_eq!(
        failed.message,
        "output `three`: the step's outputs up to it have 90006 bytes together; at most 65536 are kept"
    );
    assert_eq!(failed.outcome, Outcome::Applied);
}

#[test]
fn a_failure_that_tells_a_lot_is_cut_and_says_so() {
    let server = Postgres::shared();
    let url = server.url(&server.database());
    let ran = Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            targets: {{ db: {{ postgres: \"{url}\" }} }}
            phases:
              p:
                steps:
                  - id: a
                    sql: {{ execute: \"do $$ begin raise exception 'too much: %', repeat('x', 100000); end $$\" }}
                    target: db
                    undo: none
            "
        ))
        .run()
        .code(11);
    let failed = ran.failed("a");
    assert_eq!(failed.cause, Cause::Failed);
    assert!(
        failed.message.contains("too much: xxx") && failed.message.ends_with(" bytes left out)"),
        "{failed:?}"
    );
    assert!(
        failed.message.len() < 8_300,
        "{} bytes",
        failed.message.len()
    );
}

/// A result that nobody asks for is kept in part, and the part says so; one that is asked for later
/// is kept whole or fails.
#[test]
fn a_result_over_the_limit_is_marked_or_fails() {
    let steps = |later: &str| {
        Ferry::new().steps(&format!(
            "
            - {{ id: a, shell: 'head -c 60000 /dev/zero | tr \"\\0\" a; head -c 60000 /dev/zero | tr \"\\0\" b >&2', undo: none }}
            - {{ id: b, shell: 'true', undo: none, {later} }}
            "
        ))
    };
    let ran = steps("title: none").run().success();
    let kept = ran.result("a")["stdout"].as_str().unwrap();
    assert!(
        kept.ends_with(" bytes left out)"),
        "{}",
        &kept[kept.len() - 60..]
    );
    let ran = steps("when: steps.a.result.exit_code == 0").run().code(11);
    assert!(
        ran.failed("a")
            .message
            .starts_with("its result is used later and has "),
        "{:?}",
        ran.failed("a")
    );
    assert_eq!(ran.failed("a").cause, Cause::Limit);
}
