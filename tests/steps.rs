//! One step: what is expected of it, tried again, waited for, kept of it, and required before it.

use std::time::Duration;

use ferry::event::{Cause, Outcome};
use serde_json::json;

use crate::support::ferry::Ferry;
use crate::support::wire::Wire;
use crate::support::{ports, redis};

#[test]
fn expectations_pass_and_are_kept_with_what_they_rest_on() {
    let ran = Ferry::new()
        .steps("- id: a\n  shell: echo 42\n  expect:\n    - int(result.stdout) == 42\n    - result.exit_code == 0\n")
        .run()
        .success();
    let evidence = &ran.report("a").evidence;
    let verdicts: Vec<_> = evidence.iter().map(|one| one.verdict.to_string()).collect();
    assert_eq!(verdicts, ["pass", "pass"]);
    assert!(
        evidence[0]
            .values
            .iter()
            .any(|value| value.text == "result.stdout" && value.value == "\"42\"")
    );
}

#[test]
fn only_a_pass_passes() {
    let cases = [
        (
            "int(result.stdout) == 43",
            "expected `int(result.stdout) == 43`, but `int(result.stdout)` is 42, `result.stdout` is \"42\"",
        ),
        (
            "result.stdout == 42",
            "expected `result.stdout == 42`, which is error",
        ),
        ("result.nothing == 1", ""),
        (
            "double(\"nan\") < 1.0",
            "expected `double(\"nan\") < 1.0`, which is inconclusive",
        ),
        (
            "int(\"x\") == 1",
            "expected `int(\"x\") == 1`, which is error",
        ),
        ("1 + 1", ""),
    ];
    for (expect, message) in cases {
        let ran = Ferry::new()
            .steps(&format!(
                "- id: a\n  shell: echo 42; echo a >> ledger\n  expect: '{expect}'\n  undo: [{{ shell: echo undo >> ledger }}]\n- id: b\n  shell: echo b >> ledger\n"
            ))
            .run();
        if ran.code == 65 {
            // seen before the run; nothing started
            assert_eq!(ran.ledger(), Vec::<String>::new(), "{expect}");
            assert!(message.is_empty(), "{expect}: {}", ran.stderr);
            continue;
        }
        let ran = ran.code(11);
        assert_eq!(ran.ledger(), ["a", "undo"], "{expect}");
        let found = &ran.failed("a").message;
        assert!(found.starts_with(message), "{expect}: {found}");
    }
}

#[test]
fn a_reading_step_is_tried_again_as_often_as_said_with_growing_waits() {
    let ran = Ferry::new()
        .steps(
            "
            - id: a
              shell: date +%s%N >> ledger; exit 1
              read_only: true
              retry: { limit: 2, backoff: 100ms, factor: 3 }
            ",
        )
        .run()
        .code(11)
        .journal(&[
            "run.started",
            "step.started a",
            "step.failed a retried",
            "step.started a #2",
            "step.failed a #2 retried",
            "step.started a #3",
            "step.failed a #3",
            "run.failed a",
            "rollback.planned 0",
            "run.finished rolled back",
        ]);
    let times: Vec<u128> = ran
        .ledger()
        .iter()
        .map(|line| line.parse().unwrap())
        .collect();
    let waits: Vec<_> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) / 1_000_000)
        .collect();
    assert!(waits[0] >= 100 && waits[1] >= 300, "{waits:?}");
}

#[test]
fn a_retry_ends_with_the_first_success() {
    Ferry::new()
        .steps("- id: a\n  shell: test \"$FERRY_ATTEMPT\" = 2\n  read_only: true\n  retry: { limit: 5, backoff: 1ms }\n")
        .run()
        .success()
        .journal(&[
            "run.started",
            "step.started a",
            "step.failed a retried",
            "step.started a #2",
            "step.finished a #2",
            "run.finished succeeded",
        ]);
}

#[test]
fn a_retry_is_only_for_the_reasons_that_are_named() {
    for (on, attempts) in [
        ("[timeout]", 1),
        ("[failed, timeout]", 3),
        ("[expectation]", 1),
    ] {
        let ran = Ferry::new()
            .steps(&format!(
                "- id: a\n  shell: echo x >> ledger; exit 1\n  read_only: true\n  retry: {{ limit: 2, backoff: 1ms, on: {on} }}\n"
            ))
            .run()
            .code(11);
        assert_eq!(ran.ledger().len(), attempts, "{on}");
    }
    let ran = Ferry::new()
        .steps("- id: a\n  shell: echo x >> ledger; echo 1\n  read_only: true\n  expect: result.stdout == \"2\"\n  retry: { limit: 2, backoff: 1ms, on: [expectation] }\n")
        .run()
        .code(11);
    assert_eq!(ran.ledger().len(), 3);
}

#[test]
fn a_change_that_may_have_happened_is_not_repeated_unless_that_is_harmless() {
    let attempts = |keys: &str| {
        let ran = Ferry::new()
            .steps(&format!(
                "- id: a\n  shell: {{ run: echo x >> ledger; exit 7, not_applied: [8] }}\n  undo: none\n  retry: {{ limit: 2, backoff: 1ms }}\n{keys}"
            ))
            .run()
            .code(11);
        ran.ledger().len()
    };
    assert_eq!(attempts(""), 1, "dirty: once");
    assert_eq!(attempts("  idempotent: true\n"), 3);
    assert_eq!(
        attempts(
            "  done_when: { shell: test -e nowhere, read_only: true, expect: result.exit_code == 0 }\n"
        ),
        3,
        "an exit code that is asked about is an answer"
    );
    assert_eq!(
        attempts(
            "  done_when: { shell: test -e nowhere, read_only: true, expect: 'result.stdout == \"\"' }\n"
        ),
        0,
        "a probe that fails is no answer"
    );
    assert_eq!(
        attempts("  done_when: { file.stat: nowhere, expect: result.exists }\n"),
        3
    );
    let ran = Ferry::new()
        .steps("- id: a\n  shell: { run: echo x >> ledger; exit 8, not_applied: [8] }\n  undo: none\n  retry: { limit: 2, backoff: 1ms }\n")
        .run()
        .code(11);
    assert_eq!(ran.ledger().len(), 3, "proven not applied: free to repeat");
}

#[test]
fn a_change_that_failed_and_then_shows_as_done_is_undone_too() {
    let ran = Ferry::new()
        .steps(
            "
            - id: a
              shell: touch made; echo do >> ledger; exit 1
              done_when: { file.stat: made, expect: result.exists }
              retry: { limit: 1, backoff: 1ms }
              undo: [{ shell: rm made; echo undo >> ledger }]
            - id: b
              shell: exit 1
              undo: none
            ",
        )
        .run()
        .code(11)
        .journal(&[
            "run.started",
            "step.checking a",
            "step.started a",
            "step.failed a retried",
            "step.checking a #2",
            "step.skipped a (done)",
            "step.started b",
            "step.failed b",
            "run.failed b",
            "rollback.planned 1 not:b",
            "rollback.started a.undo-1",
            "rollback.finished a.undo-1",
            "run.finished rolled back",
        ]);
    assert_eq!(ran.ledger(), ["do", "undo"]);
}

#[test]
fn what_is_done_already_is_left_out_and_not_undone() {
    let ran = Ferry::new()
        .file("made", "")
        .steps(
            "
            - id: a
              shell: echo do >> ledger
              done_when: { file.stat: made, expect: result.exists }
              undo: [{ shell: echo undo >> ledger }]
            - id: b
              shell: exit 1
              undo: none
            ",
        )
        .run()
        .code(11);
    assert_eq!(ran.ledger(), Vec::<String>::new());
    assert!(ran.words().contains(&"step.skipped a (done)".to_owned()));
}

#[test]
fn a_probe_without_an_answer_fails_before_anything_starts() {
    for probe in [
        "{ shell: kill -9 $$, read_only: true, expect: result.exit_code == 0 }",
        "{ shell: echo x, read_only: true, expect: int(result.stdout) == 1 }",
    ] {
        let ran = Ferry::new()
            .steps(&format!("- id: a\n  shell: echo do >> ledger\n  done_when: {probe}\n  undo: [{{ shell: echo undo >> ledger }}]\n"))
            .run()
            .code(11)
            .journal(&["run.started", "step.checking a", "step.failed a", "run.failed a", "rollback.planned 0", "run.finished rolled back"]);
        assert_eq!(ran.ledger(), Vec::<String>::new());
        assert_eq!(ran.failed("a").outcome, Outcome::NotApplied);
        assert!(
            ran.failed("a").message.starts_with("`done_when` "),
            "{}",
            ran.failed("a").message
        );
    }
}

#[test]
fn what_is_to_follow_is_waited_for() {
    let ran = Ferry::new()
        .steps(
            "
            - id: a
              shell: (sleep 0.3; touch ready) >/dev/null 2>&1 &
              undo: none
              then_wait: { file.stat: ready, expect: result.exists, every: 50ms, within: 5s }
            - id: b
              wait: { file.stat: ready, expect: result.exists, every: 10ms, within: 1s }
            - id: c
              wait: 100ms
            ",
        )
        .run()
        .success()
        .journal(&[
            "run.started",
            "step.started a",
            "step.acted a",
            "step.finished a",
            "step.started b",
            "step.acted b",
            "step.finished b",
            "step.started c",
            "step.finished c",
            "run.finished succeeded",
        ]);
    assert!(ran.took >= Duration::from_millis(400));
    assert_eq!(ran.result("c"), &json!({ "waited_ms": 100.0 }));
}

#[test]
fn what_does_not_follow_in_time_is_a_failure_and_is_undone() {
    let ran = Ferry::new()
        .steps(
            "
            - id: a
              shell: echo do >> ledger
              then_wait: { file.stat: ready, expect: result.exists, every: 50ms, within: 200ms }
              undo: [{ shell: echo undo >> ledger }]
            ",
        )
        .run()
        .code(11);
    assert_eq!(ran.ledger(), ["do", "undo"]);
    assert_eq!(
        ran.failure(),
        "step `a`: not so within TIME: expected `result.exists`"
    );
    assert_eq!(ran.failed("a").outcome, Outcome::Applied);
}

#[test]
fn outputs_go_to_later_steps() {
    let ran = Ferry::new()
        .steps(
            "
            - id: a
              shell: |
                echo 7
                printf '{\"rate\": 0.5, \"tags\": [\"x\"]}' > \"$FERRY_STEP_DIR/r.json\"
                printf 'free text' > \"$FERRY_STEP_DIR/t.txt\"
              outputs:
                n: int(result.stdout) * 6
                r: { json: r.json }
                t: { text: t.txt }
              expect: [outputs.n == 42, outputs.r.rate == 0.5]
            - id: b
              when: steps.a.outputs.n == 42
              shell: echo \"$ALL\"
              env: { ALL: \"${{ steps.a.outputs.n }} ${{ steps.a.outputs.r.tags[0] }} ${{ steps.a.outputs.t }}\" }
              expect: result.stdout == \"42 x free text\"
            ",
        )
        .run()
        .success();
    assert_eq!(
        json!(ran.report("a").outputs),
        json!({"n": 42, "r": {"rate": 0.5, "tags": ["x"]}, "t": "free text"})
    );
}

#[test]
fn an_output_that_is_missing_broken_or_too_large_is_a_failure() {
    let cases = [
        (
            "true",
            "{ json: x }",
            "output `o`: `x`: No such file or directory (os error 2)",
        ),
        (
            "echo '{' > \"$FERRY_STEP_DIR/x\"",
            "{ json: x }",
            "output `o`: EOF while parsing",
        ),
        (
            "head -c 70000 /dev/zero | tr '\\0' a > \"$FERRY_STEP_DIR/x\"",
            "{ text: x }",
            "output `o`: `x` has 70000 bytes; at most 65536 are kept",
        ),
        (
            "\"true\"",
            "{ text: ../../../runbook.yaml }",
            "output `o`: `../../../runbook.yaml` lies outside the step's directory",
        ),
        (
            "ln -s /etc/passwd \"$FERRY_STEP_DIR/x\"",
            "{ text: x }",
            "output `o`: `x` lies outside the step's directory",
        ),
        ("true", "int(result.stdout)", "output `o`: "),
    ];
    for (script, output, message) in cases {
        let ran = Ferry::new()
            .steps(&format!(
                "- id: a\n  shell: |\n    {script}\n  undo: none\n  outputs: {{ o: {output} }}\n"
            ))
            .run()
            .code(11);
        let found = &ran.failed("a").message;
        assert!(found.starts_with(message), "{found}");
        assert_eq!(ran.failed("a").outcome, Outcome::Applied);
    }
}

#[test]
fn environment_and_directory_are_the_step_s_own() {
    let ran = Ferry::new()
        .file("sub/dir/here", "")
        .env("SECRET_OF_THE_SHELL", "visible?")
        .runbook(
            "
            runbook: demo
            inputs: { d: { default: dir } }
            phases:
              p:
                steps:
                  - id: a
                    shell: ls; echo \"$ONE|$SECRET_OF_THE_SHELL|$TERM|$FERRY_IDEMPOTENCY_KEY\"
                    cwd: sub/${{ inputs.d }}
                    env: { ONE: \"${{ 1 + 1 }}\" }
                  - id: b
                    shell: echo \"$ONE\"
                    expect: result.stdout == \"\"
            ",
        )
        .run()
        .success();
    let run = ran
        .run_dir()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        ran.result("a")["stdout"],
        format!("here\n2||dumb|ferry:{run}:a:do")
    );
}

#[test]
fn without_its_backup_a_step_does_not_start() {
    let text = |when: &str, wait: &str, younger: &str| {
        format!(
            "runbook: demo\ninputs: {{ on: {{ type: bool, default: false }} }}\nphases:\n  p:\n    steps:\n      - id: kept\n        file.backup: {{ files: [data] }}\n{when}{wait}      - id: change\n        shell: echo change >> ledger\n        undo: none\n        requires_backup: {{ step: kept{younger} }}\n"
        )
    };
    let run = |text: &str| Ferry::new().file("data", "1").runbook(text).run();
    let used = "        idempotent: true\n";
    run(&text(used, "", "")).success();
    run(&text(used, "", ", younger_than: 1h")).success();
    let ran = run(&text("        when: inputs.on\n", "", "")).code(11);
    assert_eq!(
        ran.failure(),
        "step `change`: the backup `kept` that it requires is skipped"
    );
    assert_eq!(ran.ledger(), Vec::<String>::new());
    let ran = run(&text(
        used,
        "      - { id: w, wait: 300ms }\n",
        ", younger_than: 100ms",
    ))
    .code(11);
    assert_eq!(
        ran.failure(),
        "step `change`: the backup `kept` is TIME old, and may be TIME at most"
    );
    assert_eq!(ran.ledger(), Vec::<String>::new());
}

#[test]
fn a_tolerated_failure_is_recorded_and_the_run_goes_on() {
    let ran = Ferry::new()
        .steps(
            "
            - id: a
              shell: echo a >> ledger; exit 1
              tolerate: true
              undo: [{ shell: echo undo-a >> ledger }]
            - id: b
              shell: echo b >> ledger
              when: steps.a.status == \"failed\"
            ",
        )
        .run()
        .success()
        .journal(&[
            "run.started",
            "step.started a",
            "step.failed a tolerated",
            "step.started b",
            "step.finished b",
            "run.finished succeeded",
        ]);
    assert_eq!(ran.ledger(), ["a", "b"]);
    // what it may have changed is taken back with the rest
    let ran = Ferry::new()
        .steps(
            "
            - id: a
              shell: echo a >> ledger; exit 1
              tolerate: true
              undo: [{ shell: echo undo-a >> ledger }]
            - id: b
              shell: exit 1
              undo: none
            ",
        )
        .run()
        .code(11);
    assert_eq!(ran.ledger(), ["a", "undo-a"]);
}

#[test]
fn a_server_that_is_not_there_proves_that_nothing_happened() {
    let (redis, http) = (ports::free(), ports::free());
    let ran = Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            targets: {{ cache: {{ redis: \"redis://127.0.0.1:{redis}\" }}, app: {{ http: \"http://127.0.0.1:{http}\" }} }}
            phases:
              p:
                steps:
                  - {{ id: post, http: {{ post: /x, json: {{}} }}, target: app, undo: none, tolerate: true, retry: {{ limit: 2, backoff: 1ms, on: [unreachable] }} }}
                  - {{ id: set, redis: SET k v, target: cache, undo: [{{ shell: echo undo >> ledger }}], retry: {{ limit: 1, backoff: 1ms }} }}
            "
        ))
        .run()
        .code(11)
        .journal(&[
            "run.started",
            "step.started post",
            "step.failed post retried",
            "step.started post #2",
            "step.failed post #2 retried",
            "step.started post #3",
            "step.failed post #3 tolerated",
            "step.started set",
            "step.failed set retried",
            "step.started set #2",
            "step.failed set #2",
            "run.failed set",
            "rollback.planned 0",
            "run.finished rolled back",
        ]);
    for step in ["post", "set"] {
        let failed = ran.failed(step);
        assert_eq!(
            (failed.cause, failed.outcome),
            (Cause::Unreachable, Outcome::NotApplied),
            "{step}"
        );
    }
    assert_eq!(ran.ledger(), Vec::<String>::new());
}

#[test]
fn a_server_that_hangs_is_given_up_in_time() {
    let server = redis::Server::start(&[]);
    let ferry = Ferry::new().runbook(&format!(
        "
        runbook: demo
        targets: {{ cache: {{ redis: \"{}\" }} }}
        phases:
          p:
            steps:
              - id: set
                redis: SET k v
                target: cache
                timeout: 300ms
                retry: {{ limit: 1, backoff: 1ms }}
                undo: [{{ shell: echo undo >> ledger }}]
        ",
        server.url(0)
    ));
    // it takes connections and never answers
    server.freeze(true);
    let ran = ferry.run();
    server.freeze(false);
    let ran = ran.code(11);
    assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
    let failed = ran.failed("set");
    assert_eq!(
        (failed.cause, failed.outcome),
        (Cause::Timeout, Outcome::NotApplied),
        "{}",
        failed.message
    );
    let attempts = ran
        .words()
        .iter()
        .filter(|word| word.starts_with("step.started"))
        .count();
    assert_eq!(
        (attempts, ran.ledger().len()),
        (2, 0),
        "the command was never sent: {}",
        ran.all()
    );
}

#[test]
fn a_link_that_breaks_after_the_request_leaves_it_unknown() {
    let wire = Wire::serve(10, |stream| drop(stream.shutdown(std::net::Shutdown::Both)));
    let run = |more: &str| {
        Ferry::new()
            .runbook(&format!(
                "
                runbook: demo
                targets: {{ app: {{ http: \"{}\" }} }}
                phases:
                  p:
                    steps:
                      - id: post
                        http: {{ post: /x, json: {{}} }}
                        target: app
                        retry: {{ limit: 1, backoff: 1ms }}
                        {more}
                        undo: [{{ shell: echo undo >> ledger }}]
                ",
                wire.url
            ))
            .run()
            .code(11)
    };
    let ran = run("");
    assert_eq!(
        ran.failed("post").outcome,
        Outcome::Unknown,
        "{}",
        ran.all()
    );
    assert_eq!(
        (ran.ledger().len(), wire.requests().len()),
        (1, 1),
        "undone, and asked once"
    );
    run("idempotent: true");
    assert_eq!(wire.requests().len(), 3, "asked twice more");
}

#[test]
fn what_is_waited_for_after_a_step_leaves_its_outputs_and_its_output() {
    let ran = Ferry::new()
        .steps("- id: a\n  shell: echo 42\n  outputs: { answer: result.stdout }\n  then_wait: { shell: echo looked, read_only: true, expect: 'true', within: 5s }\n- id: b\n  shell: { argv: [sh, -c, 'echo $1 >> ledger', sh, '${{ steps.a.outputs.answer }}'] }\n")
        .run()
        .success();
    assert_eq!(ran.ledger(), ["42"]);
    let kept = std::fs::read_to_string(ran.run_dir().join("output/a.do1.log")).unwrap();
    assert_eq!(kept, "42\n", "the journal names this file by its hash");
}

#[test]
fn a_backup_by_a_command_has_an_age_too() {
    let ran = Ferry::new()
        .steps("- { id: dump, shell: echo dump >> ledger, undo: none }\n- { id: later, shell: sleep 0.3, undo: none }\n- { id: flush, shell: echo flush >> ledger, requires_backup: { step: dump, younger_than: 100ms } }\n")
        .run()
        .code(11);
    assert_eq!(ran.ledger(), ["dump"]);
    assert!(
        ran.failure().contains("the backup `dump` is"),
        "{}",
        ran.failure()
    );
}

#[test]
fn what_an_undo_needs_is_read_by_the_attempt_that_can() {
    // the directory cannot be looked into at first, and the retry finds it
    let ran = Ferry::new()
        .file("kept", "before")
        .steps("- id: w\n  file.write: { path: kept, text: after }\n  undo: auto\n  retry: { limit: 20, backoff: 100ms }\n  done_when: { shell: 'test -e ready || { touch ready; kill -9 $$; }; exit 0', read_only: true, expect: result.stdout == 'done' }\n- { id: bad, shell: exit 1, undo: none }\n")
        .run()
        .code(11);
    assert_eq!(ran.text("kept"), "before");
}
