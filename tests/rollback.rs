//! Going back: what is undone, in which order, what surrounds it, and what is said when it fails.

use ferry::event::{Cause, Outcome};

use crate::support::ferry::Ferry;
use crate::support::{ports, redis};

/// A step that writes its name, with a written undo that writes it again.
fn step(id: &str) -> String {
    format!(
        "{{ id: {id}, shell: echo {id} >> ledger, undo: [{{ shell: echo un-{id} >> ledger }}] }}"
    )
}

#[test]
fn undos_run_latest_first_and_the_failed_step_is_among_them() {
    let ran = Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            phases:
              one: {{ steps: [{}, {}] }}
              two: {{ needs: [one], steps: [{}, {{ id: bad, shell: echo bad >> ledger; exit 1, undo: [{{ shell: echo un-bad $FERRY_STEP_STATE >> ledger }}, {{ shell: echo un-bad-2 >> ledger }}] }}, {}] }}
            ",
            step("a"),
            step("b"),
            step("c"),
            step("never"),
        ))
        .run()
        .code(11)
        .journal(&[
            "run.started",
            "step.started a",
            "step.finished a",
            "step.started b",
            "step.finished b",
            "step.started c",
            "step.finished c",
            "step.started bad",
            "step.failed bad",
            "run.failed bad",
            "rollback.planned 5",
            "rollback.started bad.undo-1",
            "rollback.finished bad.undo-1",
            "rollback.started bad.undo-2",
            "rollback.finished bad.undo-2",
            "rollback.started c.undo-1",
            "rollback.finished c.undo-1",
            "rollback.started b.undo-1",
            "rollback.finished b.undo-1",
            "rollback.started a.undo-1",
            "rollback.finished a.undo-1",
            "run.finished rolled back",
        ]);
    assert_eq!(
        ran.ledger(),
        [
            "a",
            "b",
            "c",
            "bad",
            "un-bad failed",
            "un-bad-2",
            "un-c",
            "un-b",
            "un-a"
        ]
    );
}

#[test]
fn phases_side_by_side_are_undone_in_the_order_of_their_ends() {
    let ran = Ferry::new()
        .runbook(
            "
            runbook: demo
            phases:
              slow: { steps: [{ id: s, shell: sleep 0.4; echo s >> ledger, undo: [{ shell: echo un-s >> ledger }] }] }
              fast: { steps: [{ id: f, shell: echo f >> ledger, undo: [{ shell: echo un-f >> ledger }] }] }
              end: { needs: [slow, fast], steps: [{ id: bad, shell: { run: exit 3, not_applied: [3] }, undo: [{ shell: echo un-bad >> ledger }] }] }
            ",
        )
        .run()
        .code(11);
    assert_eq!(ran.ledger(), ["f", "s", "un-s", "un-f"]);
}

#[test]
fn the_parts_of_the_procedure_run_in_their_order() {
    let ran = Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            phases: {{ p: {{ steps: [{}, {{ id: bad, shell: exit 1, undo: none }}] }} }}
            rollback:
              notify: [{{ id: n, shell: 'echo \"notify $WHY\" >> ledger', env: {{ WHY: \"${{{{ run.failure.summary }}}}\" }} }}]
              verify: [{{ id: v, shell: cat ledger, read_only: true, expect: 'result.stdout.endsWith(\"last\")' }}]
              last: [{{ id: l, shell: echo last >> ledger }}]
              first: [{{ id: f, shell: echo first >> ledger }}, {{ id: g, shell: echo no >> ledger, when: run.failure.step == \"a\" }}]
            ",
            step("a"),
        ))
        .run()
        .code(11);
    assert_eq!(
        ran.ledger(),
        [
            "a",
            "first",
            "un-a",
            "last",
            "notify step `bad`: the script exited with 1"
        ]
    );
    let back: Vec<_> = ran
        .words()
        .into_iter()
        .filter(|word| word.starts_with("rollback."))
        .collect();
    assert_eq!(
        back,
        [
            "rollback.planned 6 not:bad",
            "rollback.started f",
            "rollback.finished f",
            "rollback.skipped g",
            "rollback.started a.undo-1",
            "rollback.finished a.undo-1",
            "rollback.started l",
            "rollback.finished l",
            "rollback.started v",
            "rollback.finished v",
            "rollback.started n",
            "rollback.finished n",
        ]
    );
}

#[test]
fn when_nothing_changed_nothing_is_done_on_the_way_back() {
    Ferry::new()
        .runbook(
            "
            runbook: demo
            phases: { p: { steps: [{ id: look, shell: 'true', read_only: true }, { id: bad, shell: exit 1, read_only: true }] } }
            rollback:
              first: [{ id: f, shell: echo first >> ledger }]
              verify: [{ id: v, shell: exit 1, read_only: true }]
            ",
        )
        .run()
        .code(11)
        .journal(&[
            "run.started",
            "step.started look",
            "step.finished look",
            "step.started bad",
            "step.failed bad",
            "run.failed bad",
            "rollback.planned 0",
            "run.finished rolled back",
        ]);
}

#[test]
fn a_rollback_that_is_not_proven_has_failed() {
    let ran = Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            phases: {{ p: {{ steps: [{}, {{ id: bad, shell: exit 1, undo: none }}] }} }}
            rollback:
              verify: [{{ id: v, shell: echo no, read_only: true, expect: result.stdout == \"yes\" }}]
              notify: [{{ id: n, shell: echo told >> ledger }}]
            ",
            step("a"),
        ))
        .run()
        .code(12);
    assert_eq!(ran.ledger(), ["a", "un-a", "told"]);
    assert_eq!(ran.words().last().unwrap(), "run.finished rollback failed");
}

#[test]
fn a_failed_notify_changes_nothing() {
    Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            phases: {{ p: {{ steps: [{}, {{ id: bad, shell: exit 1, undo: none }}] }} }}
            rollback: {{ notify: [{{ id: n, shell: exit 1 }}] }}
            ",
            step("a"),
        ))
        .run()
        .code(11);
}

#[test]
fn a_failed_undo_holds_what_stands_on_it_and_lets_the_rest_go_on() {
    let ran = Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            phases:
              base: {{ steps: [{}] }}
              left: {{ needs: [base], steps: [{}, {{ id: l2, shell: echo l2 >> ledger, undo: [{{ shell: echo cannot >> ledger; exit 5 }}, {{ shell: echo second >> ledger }}] }}] }}
              right: {{ needs: [base], steps: [{}] }}
              end: {{ needs: [left, right], steps: [{{ id: bad, shell: exit 1, undo: none }}] }}
            rollback:
              last: [{{ id: last, shell: echo last >> ledger }}]
              verify: [{{ id: v, shell: echo v >> ledger, read_only: true }}]
              notify: [{{ id: n, shell: echo told >> ledger }}]
            ",
            step("base"),
            step("l1"),
            step("r"),
        ))
        .run()
        .code(12);
    let ledger = ran.ledger();
    let at = ledger.iter().position(|line| line == "cannot").unwrap();
    assert!(
        ledger.contains(&"un-r".to_owned()),
        "independent undos go on: {ledger:?}"
    );
    for held in ["second", "un-l1", "un-base", "last", "v"] {
        assert!(
            !ledger[at..].contains(&held.to_owned()),
            "`{held}` is held: {ledger:?}"
        );
    }
    assert_eq!(ledger.last().unwrap(), "told");
    let held: Vec<_> = ran
        .words()
        .into_iter()
        .filter(|word| word.starts_with("rollback.held"))
        .collect();
    assert_eq!(
        held,
        [
            "rollback.held l2.undo-2",
            "rollback.held l1.undo-1",
            "rollback.held base.undo-1",
            "rollback.held last",
            "rollback.held v"
        ]
    );
    let end = ran.stderr.split("\n\n").last().unwrap();
    assert!(
        end.contains("rollback failed: demo") && end.contains("l2.undo-1"),
        "{end}"
    );
}

#[test]
fn items_side_by_side_do_not_hold_each_other() {
    let undo = |parallel: &str| {
        let ran = Ferry::new()
            .steps(&format!(
                "
                - id: s
                  for_each: [a, b, c]
                  {parallel}
                  shell: echo \"$ITEM\" >> ledger
                  env: {{ ITEM: \"${{{{ item }}}}\" }}
                  undo:
                    - shell: test \"$ITEM\" != c && echo \"un-$ITEM\" >> undone
                      env: {{ ITEM: \"${{{{ item }}}}\" }}
                - id: bad
                  shell: exit 1
                  undo: none
                "
            ))
            .run()
            .code(12);
        let mut undone: Vec<_> = std::fs::read_to_string(ran.path("undone"))
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect();
        undone.sort();
        undone
    };
    assert_eq!(undo("parallel: 3"), ["un-a", "un-b"]);
    assert_eq!(undo("parallel: 1"), Vec::<String>::new());
}

#[test]
fn an_undo_is_tried_again_and_only_then_given_up() {
    let undo = |limit: u32| {
        Ferry::new()
            .steps(&format!(
                "- id: a\n  shell: echo a >> ledger\n  undo: [{{ shell: echo \"un $FERRY_ATTEMPT\" >> ledger; test \"$FERRY_ATTEMPT\" -ge 3, retry: {{ limit: {limit}, backoff: 10ms }} }}]\n- id: bad\n  shell: exit 1\n  undo: none\n"
            ))
            .run()
    };
    assert_eq!(undo(2).code(11).ledger(), ["a", "un 1", "un 2", "un 3"]);
    assert_eq!(undo(1).code(12).ledger(), ["a", "un 1", "un 2"]);
}

#[test]
fn a_procedure_without_its_first_part_has_no_footing() {
    let ran = Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            phases: {{ p: {{ steps: [{}, {{ id: bad, shell: exit 1, undo: none }}] }} }}
            rollback: {{ first: [{{ id: stop, shell: exit 1 }}], last: [{{ id: start, shell: echo start >> ledger }}] }}
            ",
            step("a"),
        ))
        .run()
        .code(12);
    assert_eq!(ran.ledger(), ["a"]);
}

#[test]
fn automatic_undos_put_files_and_settings_back() {
    let server = redis::Server::start(&["--maxmemory", "123mb"]);
    let run = |end: &str| {
        Ferry::new()
            .file("old.conf", "port = 1\nname = x\n")
            .file("kept.txt", "before\n")
            .env("REDIS_URL", &server.url(0))
            .runbook(&format!(
                "
                runbook: demo
                inputs: {{ url: {{ env: REDIS_URL }} }}
                targets: {{ cache: {{ redis: \"${{{{ inputs.url }}}}\" }} }}
                phases:
                  p:
                    steps:
                      - {{ id: w, file.write: {{ path: new.txt, text: made }}, undo: auto }}
                      - {{ id: k, file.write: {{ path: kept.txt, text: after }}, undo: auto }}
                      - {{ id: r, file.replace: {{ path: old.conf, find: port = 1, with: port = 2 }}, undo: auto }}
                      - {{ id: c, redis.config: {{ set: {{ maxmemory: 200mb, maxmemory-policy: allkeys-lru }} }}, target: cache, undo: auto }}
                      - {{ id: end, shell: {end}, undo: none }}
                "
            ))
            .run()
    };
    let config = |name: &str| server.ask::<Vec<String>>(0, &["CONFIG", "GET", name])[1].clone();
    let ran = run("cat new.txt kept.txt old.conf > seen; exit 1").code(11);
    assert_eq!(
        ran.text("seen"),
        "madeafterport = 2\nname = x\n",
        "the changes were there"
    );
    assert!(!ran.path("new.txt").exists());
    assert_eq!(ran.text("kept.txt"), "before\n");
    assert_eq!(ran.text("old.conf"), "port = 1\nname = x\n");
    assert_eq!(
        (config("maxmemory"), config("maxmemory-policy")),
        ((123 << 20).to_string(), "noeviction".into())
    );
    let back: Vec<_> = ran
        .words()
        .into_iter()
        .filter(|word| word.starts_with("rollback.finished"))
        .collect();
    assert_eq!(
        back,
        [
            "rollback.finished c.undo",
            "rollback.finished r.undo",
            "rollback.finished k.undo",
            "rollback.finished w.undo"
        ]
    );
    // only what is still as it was written is put back
    let ran = run("echo foreign > old.conf; exit 1").code(12);
    assert_eq!(ran.text("old.conf"), "foreign\n");
    let ran = run("'true'").success();
    assert_eq!(ran.text("kept.txt"), "after");
    assert_eq!(config("maxmemory"), (200 << 20).to_string());
}

#[test]
fn a_step_whose_undo_cannot_be_prepared_does_not_start() {
    // a step that may be left out is not asked about ahead
    let url = format!("redis://127.0.0.1:{}", ports::free());
    let ran = Ferry::new()
        .runbook(&format!(
            "
            runbook: demo
            targets: {{ cache: {{ redis: \"{url}\" }} }}
            phases: {{ p: {{ steps: [{{ id: a, when: run.name == \"demo\", redis.config: {{ set: {{ maxmemory: 1mb }} }}, target: cache, undo: auto }}] }} }}
            "
        ))
        .run()
        .code(11)
        .journal(&[
            "run.started",
            "step.checking a",
            "step.failed a",
            "run.failed a",
            "rollback.planned 0",
            "run.finished rolled back",
        ]);
    let failed = ran.failed("a");
    assert_eq!(
        (failed.cause, failed.outcome),
        (Cause::Unreachable, Outcome::NotApplied)
    );
    assert!(
        failed
            .message
            .starts_with("what its undo needs could not be read: "),
        "{}",
        failed.message
    );
}

#[test]
fn nothing_of_a_failed_script_goes_on_beside_its_undo() {
    let ran = Ferry::new()
        .steps("- { id: a, shell: '(sleep 0.4; echo late >> ledger) >/dev/null 2>&1 & exit 1', undo: [{ shell: echo undone >> ledger; sleep 0.8 }] }\n")
        .run()
        .code(11);
    assert_eq!(ran.ledger(), ["undone"]);
}

#[test]
fn a_comparison_of_nothing_is_no_proof() {
    Ferry::new()
        .runbook(
            "
            runbook: demo
            snapshots: { s: { shell: echo x, read_only: true } }
            phases: { p: { steps: [{ id: a, shell: exit 1, undo: [{ shell: 'true' }] }] } }
            rollback: { verify: [{ id: v, snapshot_equals: { names: [] } }] }
            ",
        )
        .run()
        .code(12);
}

#[test]
fn what_nobody_said_an_undo_for_makes_a_rollback_partial() {
    let run = |undo: &str| {
        let steps = format!(
            "- {{ id: a, shell: echo a >> ledger{undo} }}\n- {{ id: b, shell: exit 1, undo: none }}\n"
        );
        Ferry::new().steps(&steps).run()
    };
    // the author's word that there is nothing to take back is one thing, and no word another
    run(", undo: none").code(11);
    run("").code(12);
}
