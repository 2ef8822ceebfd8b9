//! Environments, the dress rehearsal and the undo drill.

use serde_json::Value;

use crate::support::ferry::{Ferry, Ran};
use crate::support::redis::Server;
use ferry::event::{EventKind, RunEvent};
use nix::sys::signal::Signal;

/// Two directories that stand for production and staging.
const RUNBOOK: &str = r#"
    runbook: demo
    inputs:
      dir: { default: production }
      words: { env: WORDS, secret: true }
    environments:
      staging: { inputs: { dir: staging, words: { env: STAGING_WORDS } } }
    locks: [one]
    phases:
      one:
        steps:
          - id: make
            shell: 'echo "$W" > "$D/made"'
            env: { D: "${{ inputs.dir }}", W: "${{ inputs.words }}" }
            idempotent: true
            timeout: 5s
            undo: [{ id: unmake, shell: 'sleep 0.2; rm -f "$D/made"', env: { D: "${{ inputs.dir }}" }, timeout: 5s }]
          - id: maybe
            when: inputs.dir == "nowhere"
            shell: 'false'
            env: { D: "${{ inputs.dir }}" }
            idempotent: true
            timeout: 5s
            undo: none
          - id: conf
            file.write: { path: "${{ inputs.dir }}/conf", text: "b\n" }
            idempotent: true
            undo: auto
          - id: lost
            shell: 'true'
            env: { D: "${{ inputs.dir }}" }
            idempotent: true
            timeout: 5s
            undo: none
    rollback:
      verify:
        - { id: gone, file.stat: "${{ inputs.dir }}/made", expect: '!result.exists' }
"#;

fn stage(text: &str) -> Ferry {
    Ferry::new()
        .runbook(text)
        .file("production/conf", "a\n")
        .file("staging/conf", "a\n")
        .env("WORDS", "production-words")
        .env("STAGING_WORDS", "staging-words")
}

fn text(ran: &Ran, name: &str) -> String {
    std::fs::read_to_string(ran.dir.path().join(name)).unwrap_or_else(|_| "(none)".into())
}

#[test]
fn a_dress_rehearsal_is_a_real_run_elsewhere_and_says_so() {
    let ran = stage(RUNBOOK)
        .command(&["rehearse", "--full", "--env", "staging", "runbook.yaml"])
        .run()
        .success();
    assert_eq!(text(&ran, "staging/made"), "staging-words\n");
    assert_eq!(text(&ran, "staging/conf"), "b\n");
    assert_eq!(text(&ran, "production/made"), "(none)");
    assert_eq!(text(&ran, "production/conf"), "a\n");
    let Some(EventKind::Run(RunEvent::Planned(planned))) = ran.journal.first().map(|e| &e.kind)
    else {
        panic!("no plan");
    };
    assert!(planned.options.rehearsal);
    assert_eq!(planned.options.environment.as_deref(), Some("staging"));
    assert_eq!(planned.options.until, None);
    assert_eq!(planned.options.comms, ferry::event::CommsMode::Off);
    let show = |words: &[&str]| Ferry::again(&ran.dir).command(words).run().success().stdout;
    assert!(show(&["runs"]).contains("demo-rehearsal-"));
    let status = show(&["status"]);
    assert!(
        status.contains("\n  rehearsal dress rehearsal, in `staging`\n"),
        "{status}"
    );
    let report: Value = serde_json::from_str(&show(&["report", "--format", "json"])).unwrap();
    assert_eq!(report["run"]["rehearsal"], true);
    assert_eq!(report["notices"][0]["code"], "rehearsal");
    let report = show(&["report"]);
    assert!(
        report.contains("this is a rehearsal and no run of production"),
        "{report}"
    );
}

#[test]
fn a_run_in_an_environment_is_resumed_in_it() {
    let failing = RUNBOOK.replace("shell: 'true'", "shell: 'test -e go'");
    let ran = stage(&failing)
        .args(["--env", "staging", "--no-rollback"])
        .run()
        .code(10);
    assert_eq!(text(&ran, "staging/made"), "staging-words\n");
    let again = Ferry::again(&ran.dir)
        .file("go", "")
        .env("WORDS", "production-words")
        .env("STAGING_WORDS", "staging-words")
        .command(&["resume"])
        .run();
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(text(&again, "production/made"), "(none)");
}

#[test]
fn what_would_change_production_is_refused_unless_the_author_says_so() {
    let redis = Server::start(&[]);
    let url = redis.url(3);
    let runbook = |environment: &str| {
        format!(
            "
            runbook: demo
            inputs: {{ url: {{ default: \"{url}\" }}, note: {{ default: a }} }}
            environments: {{ staging: {environment} }}
            targets: {{ cache: {{ redis: \"${{{{ inputs.url }}}}\" }} }}
            phases:
              p:
                steps:
                  - {{ id: set, redis: {{ command: [SET, k, \"${{{{ inputs.note }}}}\"] }}, target: cache, undo: none, idempotent: true }}
                  - {{ id: same, shell: 'true', undo: none, idempotent: true, timeout: 5s }}
            "
        )
    };
    let dress = |environment: &str| {
        Ferry::new()
            .runbook(&runbook(environment))
            .command(&["rehearse", "--full", "--env", "staging", "runbook.yaml"])
            .run()
    };
    // another database of the same server is still that server
    let other = url.replace("/3", "/4").replace("127.0.0.1", "localhost");
    let ran = dress(&format!("{{ inputs: {{ url: \"{other}\", note: b }} }}")).code(78);
    assert!(
        ran.stderr.contains("target `cache` (127.0.0.1:"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("step `same` (`shell`) does the same"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("`shares: [cache, same]`"),
        "{}",
        ran.stderr
    );
    assert!(!ran.dir.path().join("state").exists());
    let keys: i64 = redis.ask(4, &["DBSIZE"]);
    assert_eq!(keys, 0);
    let ran = dress("{ inputs: { note: b }, shares: [cache] }").code(78);
    assert!(
        !ran.stderr.contains("target `cache` (127.0.0.1:0)"),
        "{}",
        ran.stderr
    );
    let ran = dress(&format!(
        "{{ inputs: {{ url: \"{other}\", note: b }}, shares: [cache, same] }}"
    ))
    .success();
    assert!(
        ran.stderr
            .contains("the runbook says that `staging` shares it"),
        "{}",
        ran.stderr
    );
    let set: String = redis.ask(4, &["GET", "k"]);
    assert_eq!(set, "b");
}

#[test]
fn no_place_of_production_is_changed_under_another_name() {
    let runbook = |target: &str, other: &str| {
        format!(
            "
            runbook: demo
            inputs: {{ a: {{ default: '{other}' }}, b: {{ default: 'sqlite:production.db' }}, to: {{ default: 'http://127.0.0.1:1/' }} }}
            environments: {{ staging: {{ inputs: {{ a: '{target}', b: 'sqlite:else.db' }} }} }}
            targets: {{ one: {{ sqlite: \"${{{{ inputs.a }}}}\" }}, two: {{ sqlite: \"${{{{ inputs.b }}}}\" }} }}
            phases:
              p:
                steps:
                  - {{ id: look, sql: select 1, target: two }}
                  - {{ id: keep, sql.backup: keep.db, target: one }}
                  - {{ id: tell, notify: {{ webhook: \"${{{{ inputs.to }}}}\", text: \"${{{{ inputs.a }}}}\" }}, undo: none }}
            "
        )
    };
    let ferry = Ferry::new()
        .runbook(&runbook("sqlite:linked.db", "sqlite:first.db"))
        .file("production.db", "")
        .file("first.db", "");
    std::fs::hard_link(ferry.path("production.db"), ferry.path("linked.db")).unwrap();
    let ran = ferry
        .command(&["rehearse", "--full", "--env", "staging", "runbook.yaml"])
        .run()
        .code(78);
    for words in [
        "target `one` (",
        "linked.db) is where `two` is without `--env`",
        "step `tell` (`notify`) does the same",
    ] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[test]
fn a_rehearsal_that_goes_on_is_compared_again() {
    let failing = RUNBOOK.replace("shell: 'true'", "shell: 'sleep 30'");
    let apart = failing
        .replace(
            "    phases:\n",
            "    targets: { db: { sqlite: \"${{ inputs.words }}\" } }\n    phases:\n",
        )
        .replace(
            "          - id: lost",
            "          - { id: put, sql: { execute: \"insert into t values (1)\" }, target: db, when: 'inputs.dir == \"nowhere\"', undo: none }\n          - id: lost",
        );
    let with = |ferry: Ferry, production: &str| {
        ferry
            .env("WORDS", production)
            .env("STAGING_WORDS", "sqlite:staging.db")
    };
    let going = with(stage(&apart), "sqlite:production.db")
        .command(&["rehearse", "--full", "--env", "staging", "runbook.yaml"])
        .start();
    going.until_true("the second file is written", || {
        std::fs::read_to_string(going.path("staging/conf")).is_ok_and(|text| text == "b\n")
    });
    let dir = going.shared();
    going.signal(Signal::SIGKILL);
    going.wait();
    for order in ["resume", "rollback", "cancel"] {
        let again = with(Ferry::again(&dir), "sqlite:staging.db")
            .command(&[order])
            .run()
            .code(78);
        assert!(
            again.stderr.contains("target `db` ("),
            "{order}: {}",
            again.stderr
        );
    }
    let again = with(Ferry::again(&dir), "sqlite:production.db")
        .command(&["rollback"])
        .run();
    assert_eq!(text(&again, "staging/conf"), "a\n", "{}", again.stderr);
}

#[test]
fn a_drill_goes_forward_to_each_step_and_back() {
    let ran = stage(RUNBOOK)
        .command(&[
            "rehearse",
            "--full",
            "--env",
            "staging",
            "--drill",
            "runbook.yaml",
        ])
        .run()
        .code(18);
    let table: Vec<&str> = ran
        .stdout
        .lines()
        .take_while(|line| !line.contains("ferry report"))
        .collect();
    assert_eq!(table[0], "undo drill in `staging`");
    for (step, verdict) in [
        ("make", "undone and proven"),
        ("maybe", "no undo: `undo: none`"),
        ("conf", "undone and proven"),
        ("lost", "no undo: `undo: none`"),
    ] {
        let row = table.iter().find(|line| line.starts_with(step)).unwrap();
        assert!(row.ends_with(verdict), "{row}");
    }
    assert_eq!(text(&ran, "staging/made"), "(none)");
    assert_eq!(text(&ran, "staging/conf"), "a\n");
    assert_eq!(text(&ran, "production/conf"), "a\n");

    let json = stage(RUNBOOK)
        .command(&[
            "rehearse",
            "--full",
            "--env",
            "staging",
            "--drill",
            "--json",
            "runbook.yaml",
        ])
        .run()
        .code(18);
    let lines: Vec<Value> = json
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let make = lines
        .iter()
        .find(|line| line["event"] == "drill" && line["step"] == "make")
        .unwrap();
    assert_eq!(make["verdict"], "proven");
    assert!(make["back_ms"].as_f64().unwrap() >= 200.0, "{make}");
    assert!(make["forward_ms"].as_f64().unwrap() > 0.0, "{make}");
    // the latest journal is the drill of `conf`: both steps there and back
    let words = json.words();
    for word in [
        "run.failed conf",
        "rollback.finished conf.undo",
        "rollback.finished unmake",
        "rollback.finished gone",
        "run.finished rolled back",
    ] {
        assert!(words.iter().any(|one| one == word), "{word}: {words:?}");
    }
    let Some(EventKind::Run(RunEvent::Planned(planned))) = json.journal.first().map(|e| &e.kind)
    else {
        panic!("no plan");
    };
    assert_eq!(planned.options.until.as_deref(), Some("conf"));
    assert!(planned.options.rehearsal);
}

#[test]
fn a_drill_stops_at_the_undo_that_does_not_work() {
    let broken = RUNBOOK.replace("sleep 0.2; rm -f \"$D/made\"", "true");
    let ran = stage(&broken)
        .command(&[
            "rehearse",
            "--full",
            "--env",
            "staging",
            "--drill",
            "runbook.yaml",
        ])
        .run()
        .code(17);
    let row = |step: &str| {
        ran.stdout
            .lines()
            .find(|line| line.starts_with(step))
            .unwrap()
            .to_owned()
    };
    assert!(
        row("make").contains("failed: on the way back: rollback failed"),
        "{}",
        ran.stdout
    );
    assert!(
        row("conf").ends_with("not drilled: `make` failed"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_drill_that_took_nothing_back_proves_nothing() {
    let drill = |text: &str| {
        stage(text)
            .command(&[
                "rehearse",
                "--full",
                "--env",
                "staging",
                "--drill",
                "runbook.yaml",
            ])
            .run()
            .code(18)
            .stdout
    };
    let row = |found: &str, step: &str| {
        let row = found.lines().find(|line| line.starts_with(step));
        row.unwrap().to_owned()
    };
    // every undo is left out by its own condition
    let idle = RUNBOOK.replace("id: unmake, shell", "id: unmake, when: 'false', shell");
    let idle = idle.replace("expect: '!result.exists'", "expect: result.exists");
    let found = drill(&idle);
    assert!(
        row(&found, "make").ends_with("nothing was undone"),
        "{found}"
    );
    let unseen = RUNBOOK.replace("id: gone, file.stat", "id: gone, when: 'false', file.stat");
    let found = drill(&unseen);
    assert!(
        row(&found, "make").ends_with("undone, not proven: proof left out"),
        "{found}"
    );
}

/// Environments with a mistake, its code and what is said of it.
const WRONG: &[(&str, &str, &str)] = &[
    (
        "{ staging: { inputs: { dri: x } } }",
        "F012",
        "unknown input `dri`",
    ),
    (
        "{ staging: { inputs: { count: many } } }",
        "F014",
        "is not of type `int`",
    ),
    (
        "{ staging: { inputs: { words: hunter2 } } }",
        "F014",
        "a secret has a value in the runbook",
    ),
    (
        "{ staging: { inputs: { mode: c } } }",
        "F014",
        "not one of the input's `choices`",
    ),
    (
        "{ staging: { inputs: { dir: \"${{ inputs.mode }}\" } } }",
        "F014",
        "an environment holds values",
    ),
    ("{ staging: { inptus: { dir: x } } }", "F010", "inptus"),
    (
        "{ staging: { inputs: { dir: x }, shares: [mke] } }",
        "F012",
        "`mke` is neither a target nor a step",
    ),
    ("{ staging: {} }", "F011", "inputs"),
    (
        "{ a1: { inputs: { dir: x } }, al: { inputs: { dir: y } } }",
        "F015",
        "look alike",
    ),
];

#[test]
fn environments_are_checked_like_everything_else() {
    for (environments, code, words) in WRONG {
        let ran = Ferry::new()
            .runbook(&format!(
                "
                runbook: demo
                inputs:
                  dir: {{ default: x }}
                  count: {{ type: int, default: 1 }}
                  mode: {{ choices: [a, b], default: a }}
                  words: {{ env: W, secret: true }}
                environments: {environments}
                phases:
                  p: {{ steps: [{{ id: make, shell: 'true', env: {{ A: \"${{{{ inputs.dir }}}}${{{{ inputs.count }}}}${{{{ inputs.mode }}}}\", W: \"${{{{ inputs.words }}}}\" }} }}] }}
                "
            ))
            .command(&["check", "runbook.yaml"])
            .run()
            .code(65);
        assert!(
            ran.stderr.contains(code) && ran.stderr.contains(words),
            "{environments}: {}",
            ran.stderr
        );
    }
    let unknown = stage(RUNBOOK)
        .command(&["rehearse", "--env", "stagign", "runbook.yaml"])
        .run()
        .code(65);
    assert!(
        unknown.stderr.contains("did you mean `staging`?"),
        "{}",
        unknown.stderr
    );
    stage(RUNBOOK)
        .command(&["rehearse", "--full", "runbook.yaml"])
        .run()
        .code(64);
    stage(RUNBOOK)
        .command(&["rehearse", "--drill", "--env", "staging", "runbook.yaml"])
        .run()
        .code(64);
}
