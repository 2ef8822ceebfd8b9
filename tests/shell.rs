//! `shell` through the engine: what becomes of processes, of what they print, and of those that
//! cannot be started.

use std::fmt::Write as _;
use std::time::Duration;

use ferry::event::{Cause, Outcome};
use sha2::{Digest, Sha256};

use crate::support::ferry::{Ferry, processes};

/// A mark in a command line that no other test has.
fn mark(test: &str) -> String {
    format!("{test}-{}-mark", std::process::id())
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[test]
fn a_timeout_ends_the_whole_group() {
    let mark = mark("timeout");
    let ran = Ferry::new()
        .steps(&format!(
            "- id: a\n  shell: sh -c 'sleep 61; true {mark}' & sh -c 'sleep 62; true {mark}'; true {mark}\n  timeout: 300ms\n  undo: [{{ shell: echo undo >> ledger }}]\n"
        ))
        .run()
        .code(11);
    assert_eq!(
        ran.failure(),
        "step `a`: the script was not over after TIME and was ended"
    );
    let failed = ran.failed("a");
    assert_eq!(
        (failed.cause, failed.outcome),
        (Cause::Timeout, Outcome::Unknown)
    );
    assert_eq!(processes(&mark), Vec::<String>::new());
    assert_eq!(ran.ledger(), ["undo"]);
    assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
}

#[test]
fn what_does_not_heed_term_is_killed_after_ten_seconds() {
    let mark = mark("stubborn");
    let ran = Ferry::new()
        .steps(&format!(
            "- id: a\n  shell: trap '' TERM; (trap '' TERM; while true; do sleep 1; done; true {mark}) & while true; do sleep 1; done; true {mark}\n  timeout: 300ms\n  undo: none\n"
        ))
        .run()
        .code(11);
    assert_eq!(ran.failed("a").cause, Cause::Timeout);
    assert_eq!(processes(&mark), Vec::<String>::new());
    let took = ran.report("a").took_ms;
    assert!((9_300..11_400).contains(&took), "{took} ms");
}

#[test]
fn a_group_that_heeds_term_can_clean_up() {
    let ran = Ferry::new()
        .steps("- id: a\n  shell: trap 'echo cleaned >> ledger; exit 0' TERM; sleep 30 & wait\n  timeout: 200ms\n  undo: none\n")
        .run()
        .code(11);
    assert_eq!(ran.ledger(), ["cleaned"]);
    assert_eq!(
        ran.failed("a").cause,
        Cause::Timeout,
        "an exit code after the deadline is no success"
    );
}

#[test]
fn a_stopped_child_is_ended_at_its_deadline_too() {
    let ran = Ferry::new()
        .steps("- id: a\n  shell: kill -STOP $$\n  timeout: 200ms\n  undo: none\n")
        .run()
        .code(11);
    assert_eq!(ran.failed("a").cause, Cause::Timeout);
    assert!(ran.took < Duration::from_secs(5));
}

#[test]
fn a_death_by_signal_is_named() {
    for (signal, name) in [
        ("SEGV", "SIGSEGV"),
        ("KILL", "SIGKILL"),
        ("TERM", "SIGTERM"),
    ] {
        let ran = Ferry::new()
            .steps(&format!(
                "- id: a\n  shell: ulimit -c 0; kill -{signal} $$\n  undo: none\n"
            ))
            .run()
            .code(11);
        assert_eq!(
            ran.failure(),
            format!("step `a`: the script was ended by {name}")
        );
        assert_eq!(ran.failed("a").outcome, Outcome::Unknown);
    }
}

#[test]
fn a_grandchild_that_holds_the_output_does_not_hold_the_step() {
    let ran = Ferry::new()
        .steps("- id: a\n  shell: echo out; sleep 8 & echo end\n  undo: none\n  expect: result.stdout == \"out\\nend\"\n- id: b\n  shell: echo b\n  undo: none\n")
        .run()
        .success();
    let took = ran.report("a").took_ms;
    assert!((1_900..4_000).contains(&took), "{took} ms");
    assert_eq!(ran.result("a")["leaked"], true, "it is noted");
    assert_eq!(ran.result("b")["leaked"], false);
}

#[test]
fn what_cannot_be_started_is_proven_not_to_have_happened() {
    let cases = [
        (
            "{ argv: [no-such-program] }",
            "",
            "`no-such-program` was not found",
        ),
        ("{ argv: [./plain] }", "", "`./plain` may not be executed"),
        (
            "{ argv: [\"true\"] }",
            "  cwd: gone\n",
            "the directory `DIR/gone` to work in is not there",
        ),
    ];
    for (action, more, message) in cases {
        let ran = Ferry::new()
            .file("plain", "#!/bin/sh\n")
            .steps(&format!(
                "- id: a\n  shell: {action}\n{more}  undo: [{{ shell: echo undo >> ledger }}]\n"
            ))
            .run()
            .code(11)
            .journal(&[
                "run.started",
                "step.started a",
                "step.failed a",
                "run.failed a",
                "rollback.planned 0",
                "run.finished rolled back",
            ]);
        assert_eq!(ran.failure(), format!("step `a`: {message}"));
        assert_eq!(ran.failed("a").outcome, Outcome::NotApplied);
        assert_eq!(ran.ledger(), Vec::<String>::new(), "nothing to undo");
    }
    let ran = Ferry::new()
        .steps("- id: a\n  shell: { argv: [echo, \"${{ inputs.big }}\"] }\n  undo: none\n")
        .run();
    assert_eq!(ran.code, 65, "an unknown input is seen before the run");
    let text = "runbook: demo\ninputs: { big: { env: BIG } }\nphases: { p: { steps: [{ id: a, shell: { argv: [echo, \"${{ inputs.big }}${{ inputs.big }}\"] }, undo: none }] } }\n";
    let ran = Ferry::new()
        .runbook(text)
        .env("BIG", &"x".repeat(70_000))
        .run()
        .code(11);
    assert_eq!(
        ran.failure(),
        "step `a`: an argument or value of 140000 bytes is larger than the kernel takes (131072)"
    );
    assert_eq!(ran.failed("a").outcome, Outcome::NotApplied);
}

#[test]
fn a_long_output_keeps_head_and_tail_and_the_hash_of_all() {
    let line = |n: usize| format!("{n:099}\n");
    let ran = Ferry::new()
        .steps("- id: a\n  shell: seq -f %099.0f 1 100000\n  read_only: true\n  expect: result.exit_code == 0\n")
        .run()
        .success();
    let kept = ran.report("a").output.clone().unwrap();
    assert_eq!((kept.bytes, kept.kept), (10_000_000, 2 << 20));
    let whole: String = (1..=100_000).map(line).collect();
    assert_eq!(kept.sha256, sha256(whole.as_bytes()));
    let file = std::fs::read(ran.run_dir().join(&kept.file)).unwrap();
    let text = String::from_utf8(file).unwrap();
    let note = format!("\n... {} bytes left out ...\n", 10_000_000 - (2 << 20));
    let (head, tail) = text.split_once(&note).unwrap();
    assert!(head == &whole[..1 << 20] && tail == &whole[whole.len() - (1 << 20)..]);
    let result = ran.result("a");
    assert_eq!(
        (result["stdout_bytes"].as_u64(), result["cut"].as_bool()),
        (Some(10_000_000), Some(true))
    );
}

#[test]
fn a_cut_text_is_never_judged() {
    let ran = Ferry::new()
        .steps("- id: a\n  shell: head -c 70000 /dev/zero | tr '\\0' a\n  read_only: true\n  expect: result.stdout.contains(\"a\")\n")
        .run()
        .code(11);
    assert_eq!(
        ran.failure(),
        "step `a`: `result.stdout` is asked for, and the step printed more than is kept for it (64 kB)"
    );
}

#[test]
fn a_flood_does_not_fill_the_memory() {
    let going = Ferry::new()
        .steps("- id: quiet\n  shell: touch quiet; sleep 0.3\n  undo: none\n- id: a\n  shell: head -c 300M /dev/zero | tr '\\0' 'x'; touch over; sleep 0.5\n  read_only: true\n")
        .start();
    let peak = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .map(str::to_owned);
        line.and_then(|line| {
            line.trim()
                .trim_end_matches(" kB")
                .trim()
                .parse::<u64>()
                .ok()
        })
    };
    going.until_true("the first step runs", || going.path("quiet").exists());
    let base = peak(going.pid()).unwrap();
    going.until_true("the flood is over", || going.path("over").exists());
    let after = peak(going.pid()).unwrap();
    let ran = going.wait().success();
    assert_eq!(ran.report("a").output.as_ref().unwrap().bytes, 300 << 20);
    assert!(
        after - base < 64 << 10,
        "{} kB over {base} kB",
        after - base
    );
}

#[test]
fn any_bytes_are_output() {
    let ran = Ferry::new()
        .steps(
            "
            - id: binary
              shell: printf 'a\\000\\377\\n\\033[31mb'
              expect: result.stdout_bytes == 10 && result.stdout.startsWith(\"a\")
            - id: nothing
              shell: 'true'
              expect: result.stdout == \"\" && result.stdout_bytes == 0
            - id: closed
              shell: exec >&- 2>&-; sleep 0.1
              expect: result.exit_code == 0
            - id: both
              shell: printf out; printf err >&2
              expect: [result.stdout == \"out\", result.stderr == \"err\"]
            - id: stdin
              shell: { run: cat, stdin: \"given\\n\" }
              expect: result.stdout == \"given\"
            - id: no-stdin
              shell: cat
              expect: result.stdout == \"\"
            ",
        )
        .run()
        .success();
    let kept = ran.report("binary").output.clone().unwrap();
    assert_eq!(
        std::fs::read(ran.run_dir().join(kept.file)).unwrap(),
        b"a\0\xff\n\x1b[31mb"
    );
    assert!(ran.report("nothing").output.is_none());
    assert!(
        !ran.stderr.contains(['\0', '\u{1b}']),
        "nothing of it reaches the terminal raw"
    );
}

#[test]
fn ok_and_not_applied_say_what_exit_codes_mean() {
    let ran = Ferry::new()
        .steps("- id: a\n  shell: { run: exit 3, ok: [0, 3] }\n  undo: none\n  expect: result.exit_code == 3\n- id: b\n  shell: { run: exit 4, not_applied: [4] }\n  undo: [{ shell: echo undo-b >> ledger }]\n")
        .run()
        .code(11);
    assert_eq!(ran.failed("b").outcome, Outcome::NotApplied);
    assert_eq!(ran.ledger(), Vec::<String>::new());
}

#[test]
fn hundreds_of_steps_fit_into_few_descriptors() {
    let steps: String = (0..300)
        .map(|n| {
            format!("      - {{ id: s{n}, shell: 'sleep 0.02; echo {n}', read_only: true }}\n")
        })
        .collect();
    let text = format!(
        "runbook: demo\nmax_parallel: 300\nphases:\n  p:\n    parallel: 300\n    steps:\n{steps}"
    );
    let ran = Ferry::new()
        .runbook(&text)
        .through("ulimit -n 256; exec \"$@\"")
        .run()
        .success();
    let finished = ran
        .words()
        .iter()
        .filter(|word| word.starts_with("step.finished"))
        .count();
    assert_eq!(finished, 300);
}

#[test]
fn a_reader_that_goes_away_does_not_hurt_the_run() {
    let steps = "- id: a\n  shell: echo a >> ledger\n  undo: none\n- id: b\n  shell: sleep 0.3; echo b >> ledger\n  undo: none\n- id: c\n  shell: exit 1\n  undo: none\n";
    let over = ["a", "b"];
    // standard output as lines of JSON, read by a program that stops after the first
    let ran = Ferry::new()
        .steps(steps)
        .args(["--json"])
        .through("\"$@\" | head -1 >/dev/null; exit ${PIPESTATUS[0]}")
        .run()
        .code(11);
    assert_eq!(ran.ledger(), over);
    let ran = Ferry::new()
        .steps(steps)
        .through("\"$@\" 2>&1 | head -1; exit ${PIPESTATUS[0]}")
        .run()
        .code(11);
    assert_eq!(ran.ledger(), over);
    assert_eq!(ran.stdout.lines().count(), 1);
    // both closed from the start
    for close in ["2>&-", ">&-", ">&- 2>&- <&-"] {
        let ran = Ferry::new()
            .steps(steps)
            .args(["--json"])
            .through(&format!("exec \"$@\" {close}"))
            .run()
            .code(11);
        assert_eq!(ran.ledger(), over, "{close}");
        let ran = Ferry::new()
            .steps(steps)
            .through(&format!("exec \"$@\" {close}"))
            .run()
            .code(11);
        assert_eq!(ran.ledger(), over, "{close}");
    }
    // full
    let ran = Ferry::new()
        .steps(steps)
        .args(["--json"])
        .through("exec \"$@\" >/dev/full 2>/dev/full")
        .run()
        .code(11);
    assert_eq!(ran.ledger(), over);
}
