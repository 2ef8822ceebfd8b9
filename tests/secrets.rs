//! Secrets: a canary goes through a run and is then looked for in everything that the run left.

use std::path::{Path, PathBuf};

use crate::support::ferry::{Ferry, Ran};
use crate::support::wire::{Wire, answer};

/// Nothing else holds this.
const CANARY: &str = "kanarie/vogel+7Q";

/// All files below a directory.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// The canary as it is, and as programs write it.
fn forms(secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = secret
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    // base64 of it alone, and of `user:` before it
    vec![
        secret.into(),
        hex,
        percent,
        "a2FuYXJpZS92b2dlbCs3U".into(),
        "rYW5hcmllL3ZvZ2VsKzdR".into(),
    ]
}

/// Demands that no form of the secret is anywhere in what a run left.
#[track_caller]
fn clean(ran: &Ran, secret: &str) {
    let mut all = Vec::new();
    files(&ran.path("state"), &mut all);
    assert!(
        all.iter()
            .any(|path| path.extension().is_some_and(|end| end == "db")),
        "the store is looked at: {all:?}"
    );
    for form in forms(secret) {
        for path in &all {
            let bytes = std::fs::read(path).unwrap();
            assert!(!contains(&bytes, &form), "`{form}` in {}", path.display());
        }
        assert!(
            !ran.stdout.contains(&form),
            "`{form}` in stdout:\n{}",
            ran.stdout
        );
        assert!(
            !ran.stderr.contains(&form),
            "`{form}` in stderr:\n{}",
            ran.stderr
        );
    }
}

const STEPS: &str = "
    runbook: demo
    inputs:
      word: { env: CANARY, secret: true }
    snapshots:
      s: { shell: echo \"s $WORD_OF_SHELL\"; cat word, read_only: true }
    phases:
      p:
        steps:
          - id: prints
            shell: |
              set -x
              echo \"$WORD\"; echo \"$WORD\" >&2
              printf '%s' \"$WORD\" | base64; printf 'user:%s' \"$WORD\" | base64
              printf '%s' \"$WORD\" | od -An -tx1 | tr -d ' \\n'; echo
              for c in 1 2 3; do printf '%.7s' \"$WORD\"; sleep 0.05; printf '%s' \"$WORD\" | tail -c +8; echo; done
              printf '%s' \"$WORD\" > word
            env: { WORD: \"${{ inputs.word }}\" }
            outputs: { all: result.stdout }
            expect: result.stdout.size() > 0
            undo: [{ shell: 'echo \"undo $WORD\"', env: { WORD: \"${{ inputs.word }}\" } }]
          - id: argv
            shell: { argv: [sh, -c, 'echo \"--password=$WORD\"'] }
            env: { WORD: \"${{ inputs.word }}\" }
            undo: none
          - id: later
            shell: cat word; exit 3
            undo: none
    rollback:
      verify: [{ id: same, snapshot_equals: { names: [s] } }]
";

#[test]
fn a_secret_is_in_nothing_that_a_run_leaves() {
    for json in [false, true] {
        let mut ferry = Ferry::new()
            .file("word", "")
            .env("CANARY", CANARY)
            .runbook(STEPS);
        if json {
            ferry = ferry.args(["--json"]);
        }
        let ran = ferry.run();
        assert!([11, 12].contains(&ran.code), "{}", ran.all());
        assert_eq!(ran.text("word"), CANARY, "the step itself had it");
        clean(&ran, CANARY);
        let kept = ran.report("prints").output.clone().unwrap();
        let kept = std::fs::read_to_string(ran.run_dir().join(kept.file)).unwrap();
        assert!(kept.contains("***"), "{kept}");
        assert!(ran.result("argv").to_string().contains("***"));
    }
}

#[test]
fn a_failed_expectation_does_not_show_what_it_compared() {
    let ran = Ferry::new()
        .env("CANARY", CANARY)
        .runbook(
            "
            runbook: demo
            inputs: { word: { env: CANARY, secret: true } }
            phases:
              p:
                steps:
                  - id: a
                    shell: printf '%s' \"$WORD\"
                    env: { WORD: \"${{ inputs.word }}\" }
                    read_only: true
                    expect: result.stdout == \"something else\"
            ",
        )
        .run()
        .code(11);
    clean(&ran, CANARY);
}

#[test]
fn a_secret_goes_to_the_step_that_names_it_and_to_no_other() {
    let ran = Ferry::new()
        .env("CANARY", CANARY)
        .runbook(
            "
            runbook: demo
            inputs: { word: { env: CANARY, secret: true } }
            phases:
              p:
                steps:
                  - { id: a, shell: printenv > a.env, env: { WORD: \"${{ inputs.word }}\" }, undo: none }
                  - { id: b, shell: printenv > b.env, undo: none }
            ",
        )
        .run()
        .success();
    assert!(ran.text("a.env").contains(CANARY));
    assert!(!ran.text("b.env").contains(CANARY));
}

#[test]
fn a_secret_that_is_too_short_or_wrong_is_refused_and_not_shown() {
    let text = |kind: &str| {
        format!(
            "runbook: demo\ninputs: {{ word: {{ env: CANARY, secret: true{kind} }} }}\nphases: {{ p: {{ steps: [{{ id: a, shell: echo x >> ledger, env: {{ W: \"${{{{ inputs.word }}}}\" }}, undo: none }}] }} }}\n"
        )
    };
    let ran = Ferry::new()
        .env("CANARY", "abc7Q")
        .runbook(&text(""))
        .run()
        .code(65);
    assert_eq!(ran.ledger(), Vec::<String>::new());
    assert!(
        ran.stderr.contains("`word`") && !ran.stderr.contains("abc7Q"),
        "{}",
        ran.stderr
    );
    let ran = Ferry::new()
        .env("CANARY", CANARY)
        .runbook(&text(", type: int"))
        .run()
        .code(65);
    assert!(!ran.stderr.contains(CANARY), "{}", ran.stderr);
    assert!(!ran.path("state").exists());
}

#[test]
fn a_password_in_an_address_is_not_shown() {
    let wire = Wire::answering(answer("401 Unauthorized", &[], "no"));
    let password = "kanarie-vogel-7Q";
    let url = wire
        .url
        .replace("http://", &format!("http://user:{password}@"));
    // user:kanarie-vogel-7Q
    let basic = "dXNlcjprYW5hcmllLXZvZ2VsLTdR";
    let given = "
        runbook: demo
        inputs: { url: { env: APP_URL } }
        targets: { app: { http: \"${{ inputs.url }}\" } }
        phases: { p: { steps: [{ id: a, http: GET /x, target: app, expect: result.status == 200 }] } }
    ";
    let written = given
        .replace("inputs: { url: { env: APP_URL } }\n", "\n")
        .replace("${{ inputs.url }}", &url);
    for (text, json) in [
        (given, false),
        (given, true),
        (&written, false),
        (&written, true),
    ] {
        let mut ferry = Ferry::new().env("APP_URL", &url).runbook(text);
        if json {
            ferry = ferry.args(["--json"]);
        }
        let ran = ferry.run().code(11);
        let mut all = Vec::new();
        files(&ran.path("state"), &mut all);
        for path in &all {
            let bytes = std::fs::read(path).unwrap();
            for form in [password, basic] {
                assert!(!contains(&bytes, form), "`{form}` in {}", path.display());
            }
        }
        assert!(
            !ran.stdout.contains(password) && !ran.stderr.contains(password),
            "{}",
            ran.all()
        );
    }
    assert!(
        wire.requests()
            .iter()
            .any(|request| request.contains(basic)),
        "the server was told: {:?}",
        wire.requests()
    );
}

#[test]
fn a_line_that_is_cut_inside_a_secret_shows_none_of_it() {
    let ran = Ferry::new()
        .env("FERRY_TEST_PW", CANARY)
        .runbook(
            "
            runbook: demo
            inputs: { pw: { secret: true, env: FERRY_TEST_PW } }
            phases:
              p:
                steps:
                  - id: a
                    shell: 'printf \"%0190d%s\\n\" 0 \"$PW\" >&2; exit 3'
                    env: { PW: '${{ inputs.pw }}' }
                    undo: none
            ",
        )
        .run();
    assert!(ran.stderr.contains("its last line: 000"), "{}", ran.stderr);
    assert!(!ran.stderr.contains(&CANARY[..7]), "{}", ran.stderr);
}

#[test]
fn a_password_in_a_plain_input_is_hidden_in_what_the_core_says() {
    let ran = Ferry::new()
        .runbook(
            "
            runbook: demo
            inputs: { url: { type: text, default: 'redis://:hunter2secret@127.0.0.1:1' } }
            targets: { r: { redis: '${{ inputs.url }}' } }
            phases:
              p: { steps: [{ id: a, shell: 'true', read_only: true, when: \"inputs.url == 'x'\" }, { id: b, shell: 'true', read_only: true, for_each: '[inputs.url]' }] }
            ",
        )
        .run()
        .success();
    let mut found = Vec::new();
    files(&ran.path("state"), &mut found);
    for file in found {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!contains(&bytes, "hunter2secret"), "{}", file.display());
    }
}
