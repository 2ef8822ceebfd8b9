//! A run as a whole: order, what runs side by side, what is left out, inputs, and how it is told.

use std::sync::Arc;

use serde_json::json;

use crate::support::ferry::{Ferry, Ran};

/// Marks the beginning and the end of a step in the ledger.
const MARKS: &str = r#"echo "+$FERRY_STEP" >> ledger; sleep 0.15; echo "-$FERRY_STEP" >> ledger"#;

/// The most steps that the ledger shows under way at once.
fn most_at_once(ran: &Ran) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for line in ran.ledger() {
        if line.starts_with('+') {
            now += 1;
        } else {
            now -= 1;
        }
        most = most.max(now);
    }
    assert_eq!(now, 0, "every step that began has ended");
    most
}

#[test]
fn one_step_is_told_whole() {
    Ferry::new()
        .steps(
            "
            - id: hello
              shell: echo hello; echo \"$FERRY_STEP $FERRY_ATTEMPT\"
              expect: result.stdout == \"hello\\nhello 1\"
            ",
        )
        .run()
        .success()
        .stdout("")
        .stderr(
            "demo (demo): 1 phase, 1 step, plan DIGEST\n\
             \x20  TIME           run starts by WHO on HOST (process PID)\n\
             \x20  TIME  p        starts: 1 step\n\
             \x20  TIME  p/hello  starts: shell\n\
             \x20  TIME  p/hello  ok in TIME: echo hello; echo \"$FERRY_STEP $FERRY_ATTEMPT\"\n\
             \x20  TIME  p        done in TIME\n\
             \n\
             succeeded: demo after TIME\n\
             \x20 steps       1 done\n\
             \x20 report      state/runs/demo-RUN/report.html\n",
        )
        .journal(&[
            "run.started",
            "step.started hello",
            "step.finished hello",
            "run.finished succeeded",
        ]);
}

#[test]
fn a_failed_step_is_told_whole() {
    Ferry::new()
        .steps("- id: bad\n  shell: echo out; echo no room >&2; exit 3\n  undo: none\n")
        .run()
        .code(11)
        .stdout("")
        .stderr(
            "demo (demo): 1 phase, 1 step, plan DIGEST\n\
             \x20  TIME         run starts by WHO on HOST (process PID)\n\
             \x20  TIME  p      starts: 1 step\n\
             \x20  TIME  p/bad  starts: shell\n\
             \x20  TIME  p/bad  failed in TIME: the script exited with 3\n\
             \x20        output      output/bad.do1.log\n\
             \x20        hint        its last line: no room\n\
             \x20        effect      not known; it may have taken place\n\
             \x20  TIME  p      failed in TIME\n\
             \x20  TIME  rollback  starts: 0 items to do, because of step `bad`: the script exited with 3\n\
             \x20        not undone  bad: the runbook says `undo: none`\n\
             \n\
             rolled back: demo after TIME\n\
             \x20 failed      step `bad`: the script exited with 3\n\
             \x20 steps       1 failed\n\
             \x20 rollback    nothing to take back\n\
             \x20 not undone  bad: the runbook says `undo: none`\n\
             \x20 report      state/runs/demo-RUN/report.html\n",
        );
}

#[test]
fn phases_follow_their_needs_and_steps_their_order() {
    let ran = Ferry::new()
        .runbook(
            "
            runbook: demo
            phases:
              last:
                needs: [left, right]
                steps: [{ id: z, shell: echo z >> ledger }]
              left:
                needs: [first]
                steps: [{ id: l, shell: echo l >> ledger }]
              right:
                needs: [left]
                steps: [{ id: r1, shell: echo r1 >> ledger }, { id: r2, shell: echo r2 >> ledger }]
              first:
                steps: [{ id: f1, shell: sleep 0.1; echo f1 >> ledger }, { id: f2, shell: echo f2 >> ledger }]
            ",
        )
        .run()
        .success();
    assert_eq!(ran.ledger(), ["f1", "f2", "l", "r1", "r2", "z"]);
}

fn wide(text: &str) -> String {
    let phases: String = (0..6)
        .map(|n| format!("  p{n}:\n    steps: [{{ id: s{n}, shell: '{MARKS}' }}]\n"))
        .collect();
    format!("runbook: demo\n{text}phases:\n{phases}")
}

#[test]
fn independent_phases_run_side_by_side_up_to_the_cap() {
    let ran = Ferry::new()
        .runbook(&wide("max_parallel: 3\n"))
        .run()
        .success();
    assert_eq!(most_at_once(&ran), 3);
    let ran = Ferry::new()
        .runbook(&wide("max_parallel: 6\n"))
        .args(["--max-parallel", "1"])
        .run()
        .success();
    assert_eq!(most_at_once(&ran), 1);
    let ran = Ferry::new()
        .runbook(&wide("max_parallel: 6\n"))
        .run()
        .success();
    assert_eq!(most_at_once(&ran), 6);
}

#[test]
fn a_phase_runs_as_many_steps_at_once_as_it_says() {
    let steps: String = (0..5)
        .map(|n| format!("      - {{ id: s{n}, shell: '{MARKS}' }}\n"))
        .collect();
    let text = |parallel: &str| {
        format!("runbook: demo\nmax_parallel: 8\nphases:\n  p:\n{parallel}    steps:\n{steps}")
    };
    let ran = Ferry::new()
        .runbook(&text("    parallel: 2\n"))
        .run()
        .success();
    assert_eq!(most_at_once(&ran), 2);
    let ran = Ferry::new().runbook(&text("")).run().success();
    assert_eq!(most_at_once(&ran), 1);
    let order: Vec<_> = (0..5)
        .flat_map(|n| [format!("+s{n}"), format!("-s{n}")])
        .collect();
    assert_eq!(ran.ledger(), order);
}

#[test]
fn a_step_is_left_out_when_its_when_is_false() {
    let ran = Ferry::new()
        .runbook(
            "
            runbook: demo
            inputs: { mode: { choices: [fast, safe], default: safe } }
            phases:
              p:
                steps:
                  - { id: a, shell: echo a >> ledger, when: inputs.mode == \"fast\" }
                  - { id: b, shell: echo b >> ledger, when: steps.a.status == \"skipped\" }
              q:
                needs: [p]
                when: inputs.mode == \"fast\"
                steps: [{ id: c, shell: echo c >> ledger }, { id: d, shell: echo d >> ledger }]
              r:
                needs: [q]
                steps: [{ id: e, shell: echo e >> ledger }]
            ",
        )
        .run()
        .success()
        .journal(&[
            "run.started",
            "step.skipped a (when)",
            "step.started b",
            "step.finished b",
            "phase.skipped q",
            "step.started e",
            "step.finished e",
            "run.finished succeeded",
        ]);
    assert_eq!(ran.ledger(), ["b", "e"]);
}

#[test]
fn a_when_without_an_answer_is_a_failure_and_no_pass() {
    let phase = |when: &str, of_phase: &str| {
        format!(
            "runbook: demo\nphases:\n  a:\n    steps:\n      - id: a\n        shell: echo '{{}}'\n        read_only: true\n        outputs: {{ n: result.exit_code }}\n  p:\n    needs: [a]\n{of_phase}    steps:\n      - id: b\n        shell: echo b >> ledger\n{when}"
        )
    };
    let of_step = phase("        when: steps.a.outputs.n.m > 1\n", "");
    let of_phase = phase("", "    when: steps.a.outputs.n.m > 1\n");
    for (text, failed) in [(of_step, "run.failed b"), (of_phase, "run.failed -")] {
        let ran = Ferry::new().runbook(&text).run();
        // either it is refused before the run, or it fails in it: it never passes
        let ran = ran.code(11);
        assert_eq!(ran.ledger(), Vec::<String>::new());
        assert!(
            ran.words().iter().any(|word| word == failed),
            "{}",
            ran.all()
        );
        assert!(ran.failure().contains("has no answer"), "{}", ran.failure());
    }
}

#[test]
fn for_each_does_a_step_once_for_each_item() {
    let ran = Ferry::new()
        .runbook(
            "
            runbook: demo
            inputs: { hosts: { type: list, default: [x, y] } }
            phases:
              p:
                steps:
                  - id: listed
                    for_each: [1, two, { deep: 3 }]
                    shell: echo \"$ITEM\" >> ledger
                    env: { ITEM: \"${{ item }}\" }
                  - id: computed
                    for_each: inputs.hosts
                    shell: echo \"$ITEM\" >> ledger
                    env: { ITEM: \"${{ item }}\" }
                  - id: none
                    for_each: inputs.hosts.filter(h, h == \"z\")
                    shell: echo never >> ledger
                  - id: after
                    shell: echo after >> ledger
            ",
        )
        .run()
        .success()
        .journal(&[
            "run.started",
            "step.expanded listed 3",
            "step.started listed[0]",
            "step.finished listed[0]",
            "step.started listed[1]",
            "step.finished listed[1]",
            "step.started listed[2]",
            "step.finished listed[2]",
            "step.expanded computed 2",
            "step.started computed[0]",
            "step.finished computed[0]",
            "step.started computed[1]",
            "step.finished computed[1]",
            "step.skipped none (no items)",
            "step.started after",
            "step.finished after",
            "run.finished succeeded",
        ]);
    assert_eq!(
        ran.ledger(),
        ["1", "two", "{\"deep\":3}", "x", "y", "after"]
    );
}

#[test]
fn items_run_side_by_side_as_many_as_said() {
    let ran = Ferry::new()
        .steps(&format!(
            "- id: s\n  for_each: [1, 2, 3, 4, 5]\n  parallel: 2\n  shell: '{MARKS}'\n"
        ))
        .run()
        .success();
    assert_eq!(most_at_once(&ran), 2);
    assert_eq!(ran.ledger().len(), 10);
}

#[test]
fn an_item_that_fails_ends_the_row_and_only_what_began_is_undone() {
    let ran = Ferry::new()
        .steps(
            "
            - id: s
              for_each: [a, b, c]
              shell: echo \"do $ITEM\" >> ledger; test \"$ITEM\" != b
              env: { ITEM: \"${{ item }}\" }
              undo:
                - shell: echo \"undo $ITEM $FERRY_STEP_STATE\" >> ledger
                  env: { ITEM: \"${{ item }}\" }
            - id: later
              shell: echo later >> ledger
            ",
        )
        .run()
        .code(11);
    assert_eq!(
        ran.ledger(),
        ["do a", "do b", "undo b failed", "undo a done"]
    );
}

#[test]
fn a_list_that_is_none_fails_before_it_starts() {
    let ran = Ferry::new()
        .runbook(
            "
            runbook: demo
            inputs: { n: { type: int, default: 3 } }
            phases: { p: { steps: [{ id: s, for_each: inputs.n, shell: echo never >> ledger }] } }
            ",
        )
        .run()
        .code(11);
    assert_eq!(
        ran.failure(),
        "step `s`: `for_each` needs a list, and `inputs.n` is `3`"
    );
    assert_eq!(ran.ledger(), Vec::<String>::new());
}

const INPUTS: &str = "
    runbook: demo
    inputs:
      url: { env: APP_URL, default: nowhere }
      count: { type: int, default: 2 }
      mode: { choices: [fast, safe], default: safe }
      on: { type: bool, default: false }
      wait: { type: duration, default: 5s }
      list: { type: list, default: [] }
      must: { env: MUST }
    phases:
      p:
        steps:
          - id: s
            shell: echo \"$ALL\" >> ledger
            env:
              ALL: \"${{ inputs.url }} ${{ inputs.count }} ${{ inputs.mode }} ${{ inputs.on }} ${{ inputs.list.size() }} ${{ inputs.must }}\"
            when: inputs.count + 1 > 0 && duration(inputs.wait) < duration(\"1h\")
";

#[test]
fn inputs_come_from_arguments_then_the_environment_then_the_default() {
    let ran = Ferry::new()
        .runbook(INPUTS)
        .env("MUST", "m")
        .run()
        .success();
    assert_eq!(ran.ledger(), ["nowhere 2 safe false 0 m"]);
    let ran = Ferry::new()
        .runbook(INPUTS)
        .env("APP_URL", "from-env")
        .args([
            "--input",
            "count=7",
            "-i",
            "mode=fast",
            "-i",
            "on=true",
            "-i",
            "must=a=b",
        ])
        .args(["-i", "list=[\"x\"]"])
        .run()
        .success();
    assert_eq!(ran.ledger(), ["from-env 7 fast true 1 a=b"]);
    let ran = Ferry::new()
        .runbook(INPUTS)
        .env("APP_URL", "from-env")
        .args(["-i", "url=given", "-i", "must=m"])
        .run()
        .success();
    assert_eq!(ran.ledger(), ["given 2 safe false 0 m"]);
}

#[test]
fn inputs_that_do_not_fit_start_nothing() {
    let wrong = |args: [&str; 2], message: &str| {
        let ran = Ferry::new()
            .runbook(INPUTS)
            .env("MUST", "m")
            .args(args)
            .run()
            .code(65);
        assert!(ran.stderr.contains(message), "{}", ran.all());
        assert!(!ran.path("state").exists(), "nothing was touched");
    };
    wrong(
        ["-i", "count=many"],
        "input `count`: `many` is not of type `int`",
    );
    wrong(
        ["-i", "mode=slow"],
        "input `mode`: `slow` is not one of `fast`, `safe`",
    );
    wrong(
        ["-i", "on=perhaps"],
        "input `on`: `perhaps` is not of type `bool`",
    );
    wrong(
        ["-i", "wait=soon"],
        "input `wait`: `soon` is not of type `duration`",
    );
    wrong(["-i", "curl=x"], "the runbook has no input `curl`");
    let ran = Ferry::new().runbook(INPUTS).run().code(65);
    assert!(
        ran.stderr.contains("`must`") && ran.stderr.contains("`MUST`"),
        "{}",
        ran.all()
    );
    assert!(!ran.path("state").exists());
}

#[test]
fn an_invalid_runbook_starts_nothing() {
    let ran = Ferry::new()
        .runbook(
            "
            runbook: demo
            phases:
              a: { steps: [{ id: s, shell: echo a >> ledger }] }
              b: { needs: [aa], steps: [{ id: t, shell: echo b >> ledger }] }
            ",
        )
        .run()
        .code(65)
        .stdout("");
    assert!(
        ran.stderr.contains("needs unknown phase `aa`"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr
            .ends_with("error: `runbook.yaml` has 1 mistake; nothing was started\n"),
        "{}",
        ran.stderr
    );
    assert!(!ran.path("state").exists() && ran.ledger().is_empty());
    let ran = Ferry::new()
        .command(&["run", "nowhere.yaml"])
        .run()
        .code(66)
        .stdout("");
    assert!(!ran.path("state").exists());
}

#[test]
fn values_never_become_program_text() {
    let text = "
        runbook: demo
        inputs: { who: { default: \"'; touch pwned #\" } }
        phases: { p: { steps: [{ id: s, shell: \"echo ${{ inputs.who }}\" }] } }
    ";
    let ran = Ferry::new().runbook(text).run().code(65);
    assert!(
        ran.stderr
            .contains("`${{ }}` in the program text of `shell`"),
        "{}",
        ran.stderr
    );
    // the same value as a value is inert, however it is spelled, and rendered once only
    let text = "
        runbook: demo
        inputs: { who: { default: nobody } }
        phases:
          p:
            steps:
              - { id: e, shell: 'printf %s \"$WHO\"', env: { WHO: \"${{ inputs.who }}\" } }
              - { id: a, shell: { argv: [printf, \"%s\", \"${{ inputs.who }}\"] } }
    ";
    let literal = "'; touch pwned; $(touch pwned) ${{ inputs.who }} {{7*7}} #";
    let given = format!("who={literal}");
    let ran = Ferry::new()
        .runbook(text)
        .args(["-i", &given])
        .run()
        .success();
    assert_eq!(ran.result("e")["stdout"], literal);
    assert_eq!(ran.result("a")["stdout"], literal);
    assert!(!ran.path("pwned").exists());
}

#[test]
fn json_lines_tell_every_event_and_then_the_outcome() {
    let ran = Ferry::new()
        .steps("- id: a\n  shell: echo a; sleep 0.05; echo b\n  undo: none\n- id: b\n  shell: exit 4\n  undo: none\n")
        .args(["--json"])
        .run()
        .code(11)
        .stderr("  report      state/runs/demo-RUN/report.html\n");
    let lines = ran.json();
    let (end, events) = lines.split_last().unwrap();
    let seqs: Vec<_> = events
        .iter()
        .map(|line| line["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, (1..=ran.journal.len() as u64).collect::<Vec<_>>());
    let names: Vec<_> = events
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    let told: Vec<_> = ran
        .words()
        .iter()
        .map(|word| word.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(names, told);
    let run = end["run"].as_str().unwrap();
    assert!(lines.iter().all(|line| line["run"] == run));
    let next = json!([format!("ferry report {run}")]);
    assert_eq!(
        *end,
        json!({"event": "end", "run": run, "code": 11, "outcome": "rolled back", "next": next})
    );
}

#[test]
fn without_rollback_a_failed_run_is_left_where_it_stood() {
    let ran = Ferry::new()
        .steps("- id: a\n  shell: echo a >> ledger\n  undo: [{ shell: echo undo >> ledger }]\n- id: b\n  shell: exit 1\n")
        .args(["--no-rollback"])
        .run()
        .code(10)
        .journal(&[
            "run.started",
            "step.started a",
            "step.finished a",
            "step.started b",
            "step.failed b",
            "run.failed b",
            "run.finished failed",
        ]);
    assert_eq!(ran.ledger(), ["a"]);
}

#[test]
fn a_failure_lets_changes_in_flight_end_and_starts_nothing_more() {
    let ran = Ferry::new()
        .runbook(
            "
            runbook: demo
            phases:
              slow: { steps: [{ id: s, shell: sleep 0.5; echo s >> ledger, undo: [{ shell: echo undo-s >> ledger }] }, { id: never, shell: echo never >> ledger }] }
              read: { steps: [{ id: r, shell: sleep 30, read_only: true }] }
              bad: { steps: [{ id: b, shell: sleep 0.1; exit 1, undo: [{ shell: echo undo-b >> ledger }] }] }
            ",
        )
        .run()
        .code(11);
    assert_eq!(ran.ledger(), ["s", "undo-s", "undo-b"]);
    assert_eq!(ran.failed("r").message, "the script was told to end");
    assert!(ran.took.as_secs() < 10, "the reading step was ended");
}

#[test]
fn a_second_run_in_the_same_place_is_a_run_of_its_own() {
    let first = Ferry::new()
        .steps("- id: a\n  shell: echo a >> ledger\n")
        .run()
        .success();
    let second = Ferry::again(&Arc::clone(&first.dir))
        .command(&["run", "runbook.yaml"])
        .run()
        .success();
    assert_eq!(second.ledger(), ["a", "a"]);
    let runs = std::fs::read_dir(second.path("state/runs"))
        .unwrap()
        .count();
    assert_eq!(runs, 2);
}

#[test]
fn a_runbook_may_come_from_standard_input() {
    let text = "runbook: demo\nphases: { p: { steps: [{ id: a, shell: cat; echo a >> ledger, undo: none }] } }\n";
    let ran = Ferry::new()
        .command(&["run", "-"])
        .stdin(text)
        .run()
        .success();
    assert_eq!(ran.ledger(), ["a"]);
}
