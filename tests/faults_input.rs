//! Runbooks and values that want to do harm (cases Y01 to Y07 of the fault matrix). Bombs, depth,
//! encodings, files that are none, and size are in `check`; here is what a person or an attacker
//! would write.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::check::{check, check_within};
use crate::support::ferry::Ferry;
use crate::support::redis;

/// Y03: every mistake of the graph and of what is referred to, in one go, each with its place.
#[test]
fn all_mistakes_are_told_at_once_with_their_places() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("r"),
        "runbook: t
phases:
  a: { needs: [c], steps: [{ id: a1, wait: 1s }] }
  b: { needs: [a], steps: [{ id: b1, wait: 1s }] }
  c: { needs: [b], steps: [{ id: c1, wait: 1s }] }
  d: { needs: [d], steps: [{ id: d1, wait: 1s }] }
  e: { needs: [zz], steps: [{ id: e1, wait: 1s, when: steps.nope.result.x == 1 }] }
  f:
    steps:
      - id: f1
        shell: x
        env: { A: \"${{ inputs.passwd }}\" }
        undo: [{ shell: y, env: { B: \"${{ steps.f2.result.stdout }}\" } }]
      - { id: f2, shell: x, undo: none, outputs: { p: result.stdout } }
      - { id: f3, redis: PING, target: nowhere, when: steps.f2.outputs.q == \"\" }
      - { id: f4, shell: x, undo: none, requires_backup: { step: gone, younger_than: 1h } }
",
    )
    .unwrap();
    let said = check(dir.path(), &["r"]);
    assert_eq!(said.code, 65, "{}", said.all());
    let mut told = Vec::new();
    let mut lines = said.stderr.lines();
    while let Some(line) = lines.next() {
        if let Some(mistake) = line.strip_prefix("error") {
            let place = lines.next().unwrap();
            let place = place.trim().trim_start_matches("--> r:");
            told.push(format!("{place} {mistake}"));
        }
    }
    assert_eq!(
        told,
        [
            "3:16 [F016]: phases need each other in a circle: `a` needs `c` needs `b` needs `a`",
            "6:16 [F016]: phase `d` needs itself",
            "7:16 [F012]: phase `e` needs unknown phase `zz`",
            "7:55 [F021]: unknown step `nope`",
            "12:24 [F021]: unknown input `passwd`",
            "13:43 [F025]: step `f2` comes after the step that this undoes",
            "15:40 [F012]: unknown target `nowhere`",
            "15:55 [F021]: unknown output `q`",
            "16:66 [F012]: `requires_backup` names unknown step `gone`",
        ],
        "{}",
        said.all()
    );
}

/// An undo may ask how a later step stands, and may use what came before.
#[test]
fn an_undo_may_ask_how_a_later_step_stands() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("r"),
        "runbook: t
phases:
  a:
    steps:
      - { id: a1, shell: x, undo: none }
      - id: a2
        shell: x
        timeout: 1s
        done_when: { shell: x, read_only: true, expect: result.exit_code == 0 }
        undo:
          - { shell: y, when: steps.a3.status == \"done\", env: { A: \"${{ steps.a1.result.stdout }}\" } }
      - { id: a3, shell: x, undo: none }
",
    )
    .unwrap();
    let said = check(dir.path(), &["r"]);
    assert_eq!(said.code, 0, "{}", said.all());
}

/// Y05: not only the check, the plan too is made of ten thousand phases in a row.
#[test]
fn a_plan_of_ten_thousand_phases_is_made_in_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::from("runbook: big\nphases:\n");
    for n in 0..10_000 {
        let need = if n == 0 {
            String::new()
        } else {
            format!("p{}", n - 1)
        };
        text += &format!("  p{n}: {{ needs: [{need}], steps: [{{ id: s{n}, wait: 0s }}] }}\n");
    }
    let ferry = Ferry::again(&std::sync::Arc::new(dir))
        .file("r", text)
        .command(&["plan", "r"]);
    let began = Instant::now();
    let ran = ferry.run().success();
    assert!(ran.stdout.contains("s9999"));
    let most = if cfg!(debug_assertions) { 30 } else { 5 };
    assert!(began.elapsed() < Duration::from_secs(most));
}

/// Y05: the same budget of time for a file that is refused for its size.
#[test]
fn a_file_over_the_limit_is_refused_by_its_size_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::File::create(dir.path().join("big")).unwrap();
    file.set_len((32 << 20) + 1).unwrap();
    let said = check_within(128, dir.path(), &["big"]);
    assert_eq!(
        said.all(),
        "error: the runbook `big` is larger than 32 MB\nexit code 65\n"
    );
    assert!(said.took < Duration::from_secs(2), "{:?}", said.took);
}

/// Y06: a byte order mark and carriage returns of another system are no part of any value.
#[test]
fn a_mark_and_returns_of_another_system_are_no_part_of_a_value() {
    let text = "\u{feff}runbook: demo\r\nphases:\r\n  p:\r\n    steps:\r\n      - id: a\r\n        \
                shell: |\r\n          printf '%s|' \"$A\"\r\n        env: { A: plain }\r\n        read_only: true\r\n";
    let ran = Ferry::new()
        .file("runbook.yaml", text)
        .command(&["run", "runbook.yaml"])
        .run()
        .success();
    assert_eq!(ran.result("a")["stdout"], "plain|");
}

/// Y07: a text stays what was written, and where a type is asked for nothing is guessed.
#[test]
fn scalars_are_what_was_written_or_a_mistake() {
    let ran = Ferry::new()
        .steps(
            "
            - id: a
              shell: printf '%s ' \"$A\" \"$B\" \"$C\" \"$D\" \"$E\"
              read_only: true
              env: { A: no, B: 012, C: 12:30, D: 1e3, E: 0x1F }
            ",
        )
        .run()
        .success();
    assert_eq!(ran.result("a")["stdout"], "no 012 12:30 1e3 0x1F ");
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("r"),
        "runbook: t
inputs:
  n: { type: int, default: 012 }
  b: { type: bool, default: no }
phases:
  one:
    steps:
      - { id: a, shell: !!python/object/apply:os.system [\"touch pwned\"] }
      - { id: b, shell: x, timeout: 12:30, read_only: yes, retry: { limit: 1e1 } }
      - { id: c, wait: 012 }
      - { id: d, shell: !include /etc/passwd }
      - { id: e, shell: x, read_only: true, when: \"@file\" }
",
    )
    .unwrap();
    let said = check(dir.path(), &["r"]);
    assert_eq!(said.code, 65, "{}", said.all());
    for mistake in [
        "`\"012\"` is not of type `int`",
        "`\"no\"` is not of type `bool`",
        "the YAML tag `!!python/object/apply:os.system`",
        "`12:30` is not a duration",
        "`read_only` must be",
        "`012` is not a duration",
        "`!include` is read as a YAML tag",
    ] {
        assert!(said.stderr.contains(mistake), "{mistake}\n{}", said.all());
    }
    assert!(!dir.path().join("pwned").exists());
}

/// Y07: no value is read from a file, rendered a second time, or becomes a command.
#[test]
fn values_arrive_as_they_were_given_everywhere() {
    let db = redis::own_db();
    let server = redis::shared();
    let text = format!(
        "
        runbook: demo
        inputs:
          who: {{ default: x }}
          word: {{ env: WORD, secret: true }}
        targets:
          cache: {{ redis: \"{}\" }}
          db: {{ sqlite: \"sqlite:here.db\" }}
        phases:
          p:
            steps:
              - {{ id: env, shell: 'printf %s \"$A\"', env: {{ A: \"${{{{ inputs.who }}}}\" }}, undo: none }}
              - {{ id: argv, shell: {{ argv: [printf, \"%s\", \"${{{{ inputs.who }}}}\"] }}, undo: none }}
              - {{ id: file, file.write: {{ path: out, text: \"${{{{ inputs.who }}}}\" }}, undo: none }}
              - {{ id: set, redis: {{ command: [SET, k, \"${{{{ inputs.who }}}}\"] }}, target: cache, undo: none }}
              - {{ id: sql, sql: {{ query: \"select ? as v\", args: [\"${{{{ inputs.who }}}}\"] }}, target: db }}
              - {{ id: out, shell: 'printf %s \"$A\"', env: {{ A: \"${{{{ steps.env.result.stdout }}}}\" }}, undo: none }}
        ",
        server.url(db)
    );
    for value in [
        "'; touch pwned #",
        "$(touch pwned)",
        "`touch pwned`",
        "{{7*7}}",
        "${{ inputs.word }} ${{ 1 + 1 }} %s %n",
        "@/etc/passwd",
        "-oProxyCommand=touch pwned",
        "x\r\nSET stolen 1\r\n",
        "'); drop table x; --",
    ] {
        let given = format!("who={value}");
        let ran = Ferry::new()
            .file("here.db", "")
            .env("WORD", "the-secret-word")
            .runbook(&text)
            .args(["-i", &given])
            .run()
            .success();
        for step in ["env", "argv", "out"] {
            let stdout = ran.result(step)["stdout"].as_str().unwrap().trim_end();
            assert_eq!(stdout, value.trim_end(), "{step}");
        }
        assert_eq!(ran.result("sql")["rows"], json!([{ "v": value }]));
        assert_eq!(ran.text("out"), value);
        assert_eq!(server.ask::<String>(db, &["GET", "k"]), value);
        assert_eq!(server.ask::<i64>(db, &["DBSIZE"]), 1);
        assert!(!ran.path("pwned").exists(), "{value}");
    }
}
