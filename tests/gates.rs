//! Steps that wait for people, without a terminal: what counts as a decision, what is refused, and what
//! becomes of one that nobody makes.

use std::sync::Arc;
use std::time::Duration;

use ferry::event::{EventKind, RunEvent, StepEvent};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::ferry::{Ferry, Ran};
use crate::support::keys;

fn tell(dir: &Arc<TempDir>, words: &[&str]) -> Ran {
    Ferry::again(dir).command(words).run()
}

fn run_of(dir: &Arc<TempDir>) -> String {
    let mut runs = std::fs::read_dir(dir.path().join("state/runs")).unwrap();
    let name = runs.next().unwrap().unwrap().file_name();
    name.to_string_lossy().into_owned()
}

/// A run that stands at its first gate.
fn parked(steps: &str) -> (Arc<TempDir>, String) {
    let ran = Ferry::new().steps(steps).run().code(13);
    let dir = Arc::clone(&ran.dir);
    let run = run_of(&dir);
    (dir, run)
}

/// What the journal says of the last order: taken or refused, and why.
fn refused(ran: &Ran) -> String {
    ran.words()
        .iter()
        .rfind(|word| word.starts_with("operator."))
        .cloned()
        .unwrap_or_default()
}

const APPROVAL: &str = "
    - { id: before, shell: echo before >> ledger, undo: [{ shell: echo undo-before >> ledger }] }
    - { id: go, approve: { by: [ana, bob], min: 2 } }
    - { id: after, shell: echo after >> ledger, undo: none }
";

#[test]
fn an_approval_takes_as_many_as_it_says_and_each_once() {
    let (dir, run) = parked(APPROVAL);
    let approve = |who: &str| tell(&dir, &["approve", &run, "go", "--as", who]);
    approve("ana").success();
    let twice = approve("ana").code(64);
    assert!(
        twice.stderr.contains("`ana` has agreed already"),
        "{}",
        twice.stderr
    );
    let stranger = approve("eve").code(64);
    assert!(
        stranger
            .stderr
            .contains("`eve` may not decide: it is for ana, bob"),
        "{}",
        stranger.stderr
    );
    assert_eq!(
        tell(&dir, &["resume"]).code(13).ledger(),
        ["before"],
        "one is not two"
    );
    let ran = tell(
        &dir,
        &["approve", &run, "go", "--as", "bob", "--comment", "go on"],
    )
    .success();
    assert_eq!(ran.result("go")["by"], json!(["ana", "bob"]));
    assert_eq!(ran.result("go")["votes"][1]["comment"], "go on");
    let ran = tell(&dir, &["resume"]).success();
    assert_eq!(ran.ledger(), ["before", "after"]);
}

#[test]
fn one_rejection_goes_back() {
    let (dir, run) = parked(APPROVAL);
    tell(&dir, &["approve", &run, "go", "--as", "ana"]).success();
    let words = [
        "reject",
        &run,
        "go",
        "--as",
        "bob",
        "--comment",
        "not tonight",
    ];
    let ran = tell(&dir, &words).success();
    assert!(
        ran.failure().contains("bob rejected it: not tonight"),
        "{}",
        ran.failure()
    );
    let ran = tell(&dir, &["rollback", &run]).code(11);
    assert_eq!(ran.ledger(), ["before", "undo-before"]);
    let late = tell(&dir, &["approve", &run, "go", "--as", "ana"]).code(64);
    assert!(late.stderr.contains("asks nothing"), "{}", late.stderr);
}

// O05: each is refused, and each refusal is in the journal

#[test]
fn a_decision_on_another_plan_or_another_question_is_none() {
    let (dir, run) = parked(APPROVAL);
    let other = tell(
        &dir,
        &["approve", &run, "go", "--as", "ana", "--plan", "0123abcd"],
    )
    .code(64);
    assert!(
        other.stderr.contains("it is for the plan 0123abcd"),
        "{}",
        other.stderr
    );
    assert!(
        refused(&other).starts_with("operator.refused approve"),
        "{:?}",
        other.words()
    );
    // the plan that it is, by a beginning of its digest
    let digest = digest(&other);
    tell(
        &dir,
        &[
            "approve",
            &run,
            "go",
            "--as",
            "ana",
            "--plan",
            &digest[..12],
        ],
    )
    .success();
    // a vote that was put into the inbox by hand, with the number of no question
    forge(&dir, &run, "bob", &digest, "000000000000");
    let ran = tell(&dir, &["status"]);
    assert_eq!(ran.ledger(), ["before"]);
    let ran = tell(&dir, &["resume"]).code(13);
    assert!(
        ran.words()
            .iter()
            .any(|word| word == "operator.refused approve"),
        "{:?}",
        ran.words()
    );
    assert_eq!(ran.ledger(), ["before"]);
}

/// The plan's digest, from the journal.
fn digest(ran: &Ran) -> String {
    let found = ran.journal.iter().find_map(|event| match &event.kind {
        EventKind::Run(RunEvent::Planned(planned)) => Some(planned.digest.clone()),
        _ => None,
    });
    found.unwrap()
}

/// Puts a vote into the inbox as no command would.
fn forge(dir: &Arc<TempDir>, run: &str, who: &str, digest: &str, nonce: &str) {
    let order = json!({ "order": { "approve": {
        "step": "go",
        "vote": { "who": who, "digest": digest, "nonce": nonce, "key": "SHA256:forged" },
    } } });
    send(dir, run, &order);
}

fn send(dir: &Arc<TempDir>, run: &str, letter: &Value) {
    use ferry::store::Store;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = ferry::store::SqliteStore::open(&dir.path().join("state"))
            .await
            .unwrap();
        store.send(run, 1, "mallory", letter.clone()).await.unwrap();
    });
}

#[test]
fn a_decision_for_another_run_is_none_here() {
    let (first, run) = parked(APPROVAL);
    let (second, other) = parked(APPROVAL);
    let ran = tell(&first, &["status"]).success();
    let nonce = ran.journal.iter().find_map(|event| match &event.kind {
        EventKind::Step(StepEvent::Asked { nonce, .. }) => Some(nonce.clone()),
        _ => None,
    });
    let nonce = nonce.unwrap();
    let digest = digest(&ran);
    // the same runbook, the same plan, the same person: and yet another question
    forge(&second, &other, "ana", &digest, &nonce);
    forge(&second, &other, "bob", &digest, &nonce);
    let ran = tell(&second, &["resume"]).code(13);
    assert_eq!(ran.ledger(), ["before"]);
    drop((first, run));
}

#[test]
fn who_carries_it_out_does_not_approve_it() {
    let (dir, run) = parked("- { id: go, approve: { by: [ana], not_by: operator } }");
    let own = tell(&dir, &["approve", &run, "go", "--as", "ana"]).code(64);
    assert!(
        own.stderr
            .contains("who carries the run out may not approve it"),
        "{}",
        own.stderr
    );
}

#[test]
fn silence_rejects() {
    let ran = Ferry::new()
        .steps(
            "
            - { id: before, shell: echo before >> ledger, undo: [{ shell: echo undo >> ledger }] }
            - { id: go, approve: { by: [ana] }, timeout: 400ms }
            - { id: after, shell: echo after >> ledger, undo: none }
            ",
        )
        .args(["--wait"])
        .run()
        .code(11);
    assert_eq!(ran.ledger(), ["before", "undo"]);
    assert!(
        ran.failure().contains("nobody decided within"),
        "{}",
        ran.failure()
    );
}

#[test]
fn silence_rejects_also_while_no_engine_is_there() {
    let (dir, run) = parked("- { id: go, approve: { by: [ana] }, timeout: 300ms }");
    std::thread::sleep(Duration::from_millis(400));
    let late = tell(&dir, &["approve", &run, "go", "--as", "ana"]).code(64);
    assert!(late.stderr.contains("it is too late"), "{}", late.stderr);
    let ran = tell(&dir, &["resume"]).code(11);
    assert!(
        ran.failure().contains("nobody decided within"),
        "{}",
        ran.failure()
    );
}

const MANUAL: &str = r#"
    - id: hand
      manual:
        text: Switch the load balancer.
        checklist: [the old pool is empty, the new pool is green]
        ask: [{ name: version, matches: "v[0-9]+" }, { name: seats, type: int, max: 9 }]
        evidence: true
    - id: use
      shell: echo "$V $S" >> ledger
      env:
        V: '${{ steps["hand"].result.values.version }}'
        S: '${{ string(steps["hand"].result.values.seats + 1) }}'
      undo: none
"#;

#[test]
fn a_manual_step_takes_all_that_it_asks_for() {
    let (dir, run) = parked(MANUAL);
    std::fs::write(dir.path().join("photo.png"), b"\x89PNG not really").unwrap();
    let confirm = |more: &[&str]| {
        let mut words = vec!["confirm", &run, "hand", "--as", "ana"];
        words.extend(more);
        tell(&dir, &words)
    };
    for (more, why) in [
        (&["--all"][..], "`version` is missing"),
        (
            &["--tick", "1", "--value", "version=v1", "--value", "seats=2"],
            "not ticked yet: `the new pool is green`",
        ),
        (
            &["--all", "--value", "version=1", "--value", "seats=2"],
            "`version` does not match `v[0-9]+`",
        ),
        (
            &["--all", "--value", "version=v1", "--value", "seats=20"],
            "`seats` is at most 9",
        ),
        (
            &["--all", "--value", "version=v1", "--value", "seats=2"],
            "evidence is missing: a note, or a file",
        ),
        (&["--all", "--value", "more=1"], "`more` is not asked for"),
        (
            &["--tick", "7"],
            "`7` is no entry of the checklist of `hand`",
        ),
        (
            &["--all", "--file", "nowhere.png"],
            "`nowhere.png`: No such file or directory",
        ),
    ] {
        let ran = confirm(more).code(64);
        assert!(ran.stderr.contains(why), "{more:?}: {}", ran.stderr);
    }
    let all = [
        "--tick",
        "2",
        "--tick",
        "the old pool is empty",
        "--value",
        "version=v7",
    ];
    let ran =
        confirm(&[&all[..], &["--value", "seats=2", "--file", "photo.png"]].concat()).success();
    let result = ran.result("hand");
    assert_eq!(result["by"], "ana");
    assert_eq!(result["values"], json!({ "version": "v7", "seats": 2 }));
    assert_eq!(result["file"]["name"], "photo.png");
    let kept = ran.run_dir().join(result["file"]["file"].as_str().unwrap());
    assert_eq!(std::fs::read(kept).unwrap(), b"\x89PNG not really");
    let ran = tell(&dir, &["resume"]).success();
    assert_eq!(ran.ledger(), ["v7 3"]);
}

#[test]
fn a_decision_from_another_terminal_sets_a_waiting_run_going_at_once() {
    let going = Ferry::new().steps(APPROVAL).args(["--wait"]).start();
    let dir = going.shared();
    going.until("ledger", "before");
    going.until_true("the gate is open", || {
        let words = tell(&dir, &["status"]).words();
        words.contains(&"step.asked go approval".to_owned())
    });
    let run = run_of(&dir);
    // two at once: one effective decision each, both in the journal
    let votes: Vec<_> = ["ana", "bob", "ana"]
        .map(|who| {
            let (dir, run) = (Arc::clone(&dir), run.clone());
            std::thread::spawn(move || tell(&dir, &["approve", &run, "go", "--as", who]).code)
        })
        .into_iter()
        .map(|vote| vote.join().unwrap())
        .collect();
    let ran = going.wait().success();
    assert_eq!(ran.ledger(), ["before", "after"]);
    let mut by: Vec<String> = serde_json::from_value(ran.result("go")["by"].clone()).unwrap();
    by.sort();
    assert_eq!(by, ["ana", "bob"], "{votes:?}");
    let taken = |word: &&String| word.starts_with("operator.ordered approve");
    assert_eq!(ran.words().iter().filter(taken).count(), 2);
}

// E06

#[test]
fn a_gate_outlives_its_engine_and_a_vote_counts_once() {
    let going = Ferry::new().steps(APPROVAL).args(["--wait"]).start();
    let dir = going.shared();
    going.until_true("the gate is open", || {
        let words = tell(&dir, &["status"]).words();
        words.contains(&"step.asked go approval".to_owned())
    });
    let run = run_of(&dir);
    tell(&dir, &["approve", &run, "go", "--as", "ana"]).success();
    going.signal(nix::sys::signal::Signal::SIGKILL);
    going.wait();
    let ran = tell(&dir, &["resume"]).code(13);
    let asked = ran
        .words()
        .iter()
        .filter(|word| word.starts_with("step.asked"))
        .count();
    assert_eq!(asked, 1, "the same question, with the vote that it had");
    tell(&dir, &["approve", &run, "go", "--as", "bob"]).success();
    let ran = tell(&dir, &["resume"]).success();
    assert_eq!(ran.ledger(), ["before", "after"]);
}

#[test]
fn a_gate_holds_only_what_comes_behind_it() {
    let ran = Ferry::new()
        .runbook(
            "
runbook: demo
phases:
  gate:
    steps: [{ id: go, approve: ana }]
  beside:
    steps: [{ id: a, shell: echo a >> ledger, undo: none }, { id: b, shell: echo b >> ledger, undo: none }]
  behind:
    needs: [gate]
    steps: [{ id: c, shell: echo c >> ledger, undo: none }]
",
        )
        .run()
        .code(13);
    assert_eq!(ran.ledger(), ["a", "b"]);
}

#[test]
fn a_manual_step_that_is_left_out_is_a_waiver_and_an_approval_is_not_left_out() {
    let (dir, run) = parked(APPROVAL);
    let skipped = tell(
        &dir,
        &["answer", &run, "go", "skip", "--reason", "we are late"],
    )
    .code(64);
    assert!(
        skipped.stderr.contains("`skip` is no answer"),
        "{}",
        skipped.stderr
    );
    let (dir, run) = parked(MANUAL);
    let bare = tell(&dir, &["answer", &run, "hand", "skip", "--reason", " "]).code(64);
    assert!(bare.stderr.contains("say why"), "{}", bare.stderr);
    let ran = tell(
        &dir,
        &["answer", &run, "hand", "skip", "--reason", "on the train"],
    )
    .success();
    assert!(
        ran.words()
            .contains(&"step.skipped hand (person)".to_owned())
    );
}

#[test]
fn what_is_behind_a_failure_elsewhere_is_not_decided_any_more() {
    let ran = Ferry::new()
        .runbook(
            "
runbook: demo
phases:
  gate:
    steps: [{ id: go, approve: ana }]
  beside:
    steps:
      - { id: a, shell: echo a >> ledger, undo: [{ shell: echo undo-a >> ledger }] }
      - { id: b, shell: sleep 0.3; exit 1, undo: none }
",
        )
        .args(["--wait"])
        .run()
        .code(11);
    assert_eq!(ran.ledger(), ["a", "undo-a"]);
    let dir = Arc::clone(&ran.dir);
    let late = tell(&dir, &["approve", &run_of(&dir), "go", "--as", "ana"]).code(64);
    assert!(
        late.stderr.contains("no step waits for people"),
        "{}",
        late.stderr
    );
}

#[test]
fn gates_that_could_never_count_are_refused() {
    let checked = Ferry::new()
        .steps(
            "
            - { id: a, approve: { by: [x], min: 2 } }
            - { id: b, manual: { text: t, checklist: [one, one] }, retry: { limit: 2 }, expect: result.by == 'x' }
            - { id: c, shell: 'true', undo: [{ manual: take it back }] }
            ",
        )
        .command(&["check", "runbook.yaml"])
        .run()
        .code(65);
    for text in [
        "`min: 2` of 1 can never be reached",
        "`one` stands twice in `checklist`",
        "error[F031]: `retry` on a step that waits for people",
        "error[F031]: `expect` on a step that waits for people",
        "error[F031]: `manual` in an undo step: nobody is asked there",
    ] {
        assert!(
            checked.stderr.contains(text),
            "no `{text}` in {}",
            checked.stderr
        );
    }
}

const BY_HAND: &str = "
    - { id: a, shell: echo a >> ledger, undo: [{ shell: echo undo-a >> ledger }] }
    - id: dns
      manual: { text: Switch the name., changes: true }
      timeout: 500ms
      undo: [{ shell: 'echo undo-dns $FERRY_STEP_STATE >> ledger' }]
    - { id: bad, shell: exit 1, undo: none }
";

#[test]
fn what_was_to_be_done_by_hand_may_be_half_done() {
    let ran = Ferry::new().steps(BY_HAND).args(["--wait"]).run().code(11);
    assert_eq!(ran.ledger(), ["a", "undo-dns failed", "undo-a"]);
}

#[test]
fn a_point_of_no_return_that_is_done_by_hand_is_crossed() {
    let (dir, run) = parked(
        "
        - { id: a, shell: echo a >> ledger, undo: [{ shell: echo undo-a >> ledger }] }
        - id: dns
          manual: { text: Switch the name., changes: true }
          point_of_no_return: true
          undo: none
        - { id: bad, shell: exit 1, undo: none }
        ",
    );
    let next = tell(&dir, &["status"]).stdout;
    let code = next
        .split("--code ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let words = [
        "answer", &run, "dns", "proceed", "--code", &code, "--reason", "ready",
    ];
    tell(&dir, &words).success();
    tell(&dir, &["resume"]).code(13);
    let bare = tell(&dir, &["confirm", &run, "dns", "--as", "ana"]);
    bare.success();
    let ran = tell(&dir, &["resume"]).code(10);
    assert_eq!(
        ran.ledger(),
        ["a"],
        "nothing behind the line is taken back by itself"
    );
}

#[test]
fn a_gate_that_was_closed_opens_again_with_the_run() {
    let (dir, run) = parked(APPROVAL);
    tell(&dir, &["approve", &run, "go", "--as", "ana"]).success();
    tell(&dir, &["cancel", "--no-rollback"]).code(10);
    let ran = tell(&dir, &["resume"]).code(13);
    let asked = ran
        .words()
        .iter()
        .filter(|word| word.starts_with("step.asked"))
        .count();
    assert_eq!(asked, 2, "what was said before it was cancelled is void");
    tell(&dir, &["approve", &run, "go", "--as", "bob"]).success();
    assert_eq!(tell(&dir, &["resume"]).code(13).ledger(), ["before"]);
    tell(&dir, &["approve", &run, "go", "--as", "ana"]).success();
    assert_eq!(
        tell(&dir, &["resume"]).success().ledger(),
        ["before", "after"]
    );
}

#[test]
fn letters_that_no_command_would_write_are_refused() {
    let (dir, run) = parked(MANUAL);
    let confirm = |confirmation: Value| {
        send(
            &dir,
            &run,
            &json!({ "order": { "confirm": { "step": "hand", "confirmation": confirmation } } }),
        );
        let ran = tell(&dir, &["resume"]).code(13);
        assert_eq!(
            refused(&ran),
            "operator.ordered resume",
            "{:?}",
            ran.words()
        );
        assert!(
            ran.words()
                .iter()
                .any(|word| word == "operator.refused confirm")
        );
    };
    let ticked = json!(["the old pool is empty", "the new pool is green"]);
    let values = json!({ "version": "v1", "seats": 1 });
    // without the number of the question
    confirm(json!({ "who": "ana", "ticked": ticked, "values": values, "note": "x" }));
    let nonce = tell(&dir, &["status"])
        .journal
        .iter()
        .rev()
        .find_map(|event| match &event.kind {
            EventKind::Step(StepEvent::Asked { nonce, .. }) => Some(nonce.clone()),
            _ => None,
        });
    let nonce = nonce.unwrap();
    // evidence that lies elsewhere, or is not what it says
    confirm(
        json!({ "who": "ana", "nonce": nonce, "ticked": ticked, "values": values,
        "file": { "file": "../../../../etc/passwd", "name": "x", "bytes": 1, "sha256": "00" } }),
    );
    // ticks that are no entries
    confirm(
        json!({ "who": "ana", "nonce": nonce, "ticked": ["junk", "the old pool is empty", "the new pool is green"],
        "values": values, "note": "x" }),
    );
}

/// A runbook with roles, and a key for one of them.
fn signed_book(gate: &str) -> (Ferry, std::path::PathBuf) {
    let ferry = Ferry::new();
    let dir = ferry.path("");
    let key = keys::key(&dir, "ana", "ed25519");
    keys::key(&dir, "eve", "ed25519");
    let signers = format!("ana {}\n", keys::public(&key));
    let ferry = ferry.file("signers", signers).runbook(&format!(
        "
runbook: demo
people: {{ lead: {{ title: Lead }}, second: {{}} }}
signers: signers
phases:
  p:
    steps:
      - {{ id: go, approve: {gate} }}
      - {{ id: after, shell: echo after >> ledger, undo: none }}
"
    ));
    (ferry, key)
}

#[test]
fn a_signature_by_a_key_that_may_counts_whatever_the_login() {
    let (ferry, key) = signed_book("{ by: lead, not_by: operator, signed: true }");
    let ran = ferry.args(["--as", "lead=ana"]).run().code(13);
    let (dir, run) = (Arc::clone(&ran.dir), run_of(&ran.dir));
    let key = key.display().to_string();
    let approve = |more: &[&str]| {
        let mut words = vec!["approve", &run, "go", "--as", "ana"];
        words.extend(more);
        tell(&dir, &words)
    };
    let bare = approve(&[]).code(64);
    assert!(
        bare.stderr.contains("it needs an SSH signature"),
        "{}",
        bare.stderr
    );
    let eve = dir.path().join("eve").display().to_string();
    let other = approve(&["--key", &eve]).code(64);
    assert!(
        other
            .stderr
            .contains("its signature does not hold for a key that may sign for them"),
        "{}",
        other.stderr
    );
    approve(&["--key", "nowhere"]).code(66);
    // a key that a letter only claims
    let ran = tell(&dir, &["status"]);
    let nonce = nonce(&ran);
    forge(&dir, &run, "ana", &digest(&ran), &nonce);
    assert!(tell(&dir, &["resume"]).code(13).ledger().is_empty());
    let ran = approve(&["--key", &key, "--comment", "numbers look right"]).success();
    let votes = &ran.result("go")["votes"][0];
    assert!(
        votes["key"].as_str().unwrap().starts_with("SHA256:"),
        "{votes}"
    );
    assert_eq!(tell(&dir, &["resume"]).success().ledger(), ["after"]);
    // and whoever verifies the run holds the vote against the keys again
    let verified = tell(&dir, &["verify"]).success().stdout;
    let said = "voted    for `go` by ana: good, key SHA256:";
    assert!(verified.contains(said), "{verified}");
    let other = keys::public(&dir.path().join("eve"));
    std::fs::write(dir.path().join("others"), format!("ana {other}\n")).unwrap();
    let verified = tell(&dir, &["verify", "--allowed-signers", "others"]).code(77);
    assert!(
        verified.stdout.contains("NOT ALLOWED"),
        "{}",
        verified.stdout
    );
    assert!(
        verified.stderr.contains("the vote of `ana`"),
        "{}",
        verified.stderr
    );
}

#[test]
fn who_has_a_role_decides_also_in_a_run_that_waits() {
    let (ferry, key) = signed_book("{ by: lead, signed: true }");
    let going = ferry.args(["--wait", "--as", "lead=ana"]).start();
    let dir = going.shared();
    going.until_true("the gate is open", || {
        let words = tell(&dir, &["status"]).words();
        words.contains(&"step.asked go approval".to_owned())
    });
    let (run, key) = (run_of(&dir), key.display().to_string());
    let asked = tell(&dir, &["status"]);
    assert!(asked.stdout.contains("by lead (ana)"), "{}", asked.stdout);
    let words = ["approve", &run, "go", "--as", "ana", "--key", &key];
    tell(&dir, &words).success();
    assert_eq!(going.wait().success().ledger(), ["after"]);
}

/// The number of the last question.
fn nonce(ran: &Ran) -> String {
    let found = ran
        .journal
        .iter()
        .rev()
        .find_map(|event| match &event.kind {
            EventKind::Step(StepEvent::Asked { nonce, .. }) => Some(nonce.clone()),
            _ => None,
        });
    found.unwrap()
}

#[test]
fn roles_are_bound_at_the_start_or_nothing_starts() {
    for (args, code, why) in [
        (
            &[][..],
            65,
            "nobody has the role `lead`, and a step waits for it",
        ),
        (&["--as", "lead=ana"], 65, "nobody has the role `second`"),
        (
            &["--as", "lead=ana", "--as", "second=ana"],
            65,
            "`go` needs 2 people, and only 1 may approve it: ana",
        ),
        (
            &["--as", "laed=ana", "--as", "lead=ana", "--as", "second=bob"],
            65,
            "there is no role `laed`",
        ),
        (
            &["--as", "lead=ana", "--as", "lead=bob"],
            64,
            "`lead` is given to `ana` and to `bob`",
        ),
        (&["--as", "lead="], 64, "`--as lead=` names nobody"),
        (
            &["--as", "lead=ana", "--as", "second=bob"],
            13,
            "asks: to be approved",
        ),
    ] {
        let (ferry, _) = signed_book("{ by: [lead, second], min: 2 }");
        let mut words = vec!["run", "runbook.yaml", "--yes"];
        words.extend(args);
        let ran = ferry.command(&words).run().code(code);
        assert!(ran.stderr.contains(why), "{args:?}: {}", ran.stderr);
    }
}

const SECRET: &str = "hunter2-canary-X9";

#[test]
fn what_people_type_is_masked_wherever_it_is_kept() {
    let going = Ferry::new()
        .runbook(
            "
runbook: demo
inputs: { word: { env: WORD, secret: true } }
phases:
  p:
    steps:
      - { id: go, approve: ana }
      - id: hand
        manual: { text: 'type ${{ inputs.word }} into the box', ask: [{ name: v }], evidence: true }
      - { id: use, shell: 'true', env: { W: '${{ inputs.word }}' }, undo: none }
",
        )
        .env("WORD", SECRET)
        .args(["--wait"])
        .start();
    let dir = going.shared();
    let asked = |step: &str| {
        let word = format!("step.asked {step}");
        going.until_true(&word, || {
            let words = tell(&dir, &["status"]).words();
            words.iter().any(|found| found.starts_with(&word))
        });
    };
    asked("go");
    let (run, words) = (run_of(&dir), format!("it is {SECRET}, they say"));
    tell(&dir, &["note", &run, "--kind", "issue", &words]).success();
    tell(
        &dir,
        &["approve", &run, "go", "--as", "ana", "--comment", &words],
    )
    .success();
    asked("hand");
    let value = format!("v={SECRET}");
    tell(
        &dir,
        &[
            "confirm", &run, "hand", "--as", "ana", "--value", &value, "--note", &words,
        ],
    )
    .success();
    let ran = going.wait().success();
    let mut left = vec![dir.path().join("state")];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        // what was typed lies in the inbox as it was typed until it is taken
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("ferry.db") {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes
            .windows(SECRET.len())
            .any(|part| part == SECRET.as_bytes());
        assert!(!found, "the secret is in {}", path.display());
    }
    let journal = serde_json::to_string(&ran.journal).unwrap();
    assert!(
        journal.contains("hand") && !journal.contains(SECRET),
        "{journal}"
    );
    assert!(!ran.all().contains(SECRET));
}
