//! Messages to people: what is told where, and that a run never waits for it, nor fails by it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::ferry::Ferry;
use crate::support::ports;
use crate::support::wire::{Silent, Wire, answer};

fn hook() -> Wire {
    Wire::answering(answer("200 OK", &[], "ok"))
}

/// Bodies of the requests so far, once there are `count`.
fn bodies(wire: &Wire, count: usize) -> Vec<Value> {
    let began = Instant::now();
    while wire.requests().len() < count && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let body = |request: &String| {
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {request}"))
    };
    wire.requests().iter().map(body).collect()
}

const ALL: &str = "[run_started, phase_started, phase_finished, gate_opened, failed, rollback_started, \
                   rolled_back, rollback_failed, waiting, finished]";

/// A runbook with these channels and rules, and one step.
fn telling(channels: &str, on: &str, step: &str) -> String {
    format!(
        "
runbook: demo
title: A <demo>
comms:
  channels: {channels}
  on:
    {on}
phases:
  p:
    steps:
      - {{ id: a, shell: echo a >> ledger, undo: [{{ shell: echo undo-a >> ledger }}] }}
      - {step}
"
    )
}

const FINE: &str = "{ id: b, shell: echo b >> ledger }";
const FAILS: &str = "{ id: b, shell: exit 3, read_only: true }";

#[test]
fn a_webhook_is_told_what_happens_in_its_order() {
    let wire = hook();
    let channels = format!("{{ ops: {{ webhook: \"{}/x\" }} }}", wire.url);
    let on = format!("- {{ event: {ALL}, to: [ops] }}");
    let ran = Ferry::new()
        .runbook(&telling(&channels, &on, FAILS))
        .run()
        .code(11);
    assert!(!ran.stderr.contains("comms"), "{}", ran.stderr);
    let run = ran
        .run_dir()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let found = bodies(&wire, 6);
    let events: Vec<_> = found
        .iter()
        .map(|body| body["event"].as_str().unwrap())
        .collect();
    assert_eq!(
        events,
        [
            "run_started",
            "phase_started",
            "failed",
            "rollback_started",
            "rolled_back",
            "finished"
        ]
    );
    assert_eq!(found[2]["phase"], "p");
    assert_eq!(found[2]["step"], "b");
    assert_eq!(found[2]["run"], run);
    let text = format!("A <demo> ({run}): failed: step `b`: the script exited with 3");
    assert_eq!(found[2]["text"], text);
    assert_eq!(found[2]["channel"], "ops");
    assert!(found[2].get("test").is_none());
}

#[test]
fn texts_are_of_the_author_and_slack_gets_no_markup_from_them() {
    let wire = hook();
    let channels = format!("{{ ops: {{ webhook: \"{}\", format: slack }} }}", wire.url);
    let on = "- { event: phase_finished, to: ops, text: \"${{ phase.name }} of ${{ run.title }}: ${{ inputs.n }}\" }
    - { event: finished, to: ops, text: \"${{ run.failure.summary }}\" }";
    let runbook = telling(&channels, on, FINE)
        .replace("comms:", "inputs: { n: { type: int, default: 7 } }\ncomms:");
    let ran = Ferry::new().runbook(&runbook).run().success();
    let found = bodies(&wire, 2);
    assert_eq!(
        found[0],
        serde_json::json!({ "text": "p of A &lt;demo&gt;: 7" })
    );
    // there is no failure: ferry's own words stand in, and the author is told
    let text = found[1]["text"].as_str().unwrap();
    assert!(text.ends_with(": is over: succeeded"), "{text}");
    assert!(
        ran.stderr
            .contains("note: comms: the text for `finished` could not be filled: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_gate_is_told_with_its_step() {
    let wire = hook();
    let channels = format!("{{ ops: {{ webhook: \"{}\" }} }}", wire.url);
    let on = "- { event: [gate_opened, waiting], to: [ops] }";
    let gate = "{ id: look, manual: Look at the dials }";
    Ferry::new()
        .runbook(&telling(&channels, on, gate))
        .run()
        .code(13);
    let found = bodies(&wire, 2);
    assert_eq!(
        (&found[0]["event"], &found[0]["step"]),
        (&"gate_opened".into(), &"look".into())
    );
    assert_eq!(found[1]["event"], "waiting");
}

#[test]
fn who_is_dead_or_silent_costs_nothing_but_a_note() {
    let gone = ports::free();
    let silent = Silent::listen();
    let angry = Wire::answering(answer("500 Internal Server Error", &[], "no"));
    let channels = format!(
        "{{ gone: {{ webhook: \"http://127.0.0.1:{gone}/secret-path\" }}, mute: {{ webhook: \"http://{}/\" }}, \
         angry: {{ webhook: \"{}\" }}, post: {{ mail: {{ to: [a@b.example], smtp: \"smtp://127.0.0.1:{gone}\" }} }} }}",
        silent.at, angry.url
    );
    let on = format!("- {{ event: {ALL}, to: [gone, angry, post, mute] }}");
    let began = Instant::now();
    let ran = Ferry::new()
        .runbook(&telling(&channels, &on, FINE))
        .run()
        .success();
    assert!(
        began.elapsed() < Duration::from_secs(6),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(ran.ledger(), ["a", "b"]);
    for said in [
        format!("note: comms: channel `gone` did not take a message: 127.0.0.1:{gone}: "),
        format!(
            "channel `angry` did not take a message: {} answered with 500",
            angry.at
        ),
        "channel `post` did not take a message: ".into(),
        " messages were left, there was no time for them".into(),
    ] {
        assert!(ran.stderr.contains(&said), "{said}\n{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("secret-path"), "{}", ran.stderr);
}

#[test]
fn secrets_are_in_no_message() {
    let wire = hook();
    let secret = "correct-horse-battery";
    let on = "- { event: failed, to: [ops], text: \"${{ run.failure.summary }}\" }";
    let step = "{ id: b, shell: { run: 'echo \"$T\" >&2; exit 3' }, env: { T: \"${{ inputs.token }}\" }, read_only: true }";
    let channels = "{ ops: { webhook: \"${{ inputs.hook }}\" } }";
    let runbook = telling(channels, on, step).replace(
        "comms:",
        "inputs: { token: { env: TOKEN, secret: true }, hook: { env: HOOK, secret: true } }\ncomms:",
    );
    let url = format!("{}/T000/{secret}x", wire.url);
    let ran = Ferry::new()
        .runbook(&runbook)
        .env("TOKEN", secret)
        .env("HOOK", &url)
        .run()
        .code(11);
    let found = bodies(&wire, 1);
    let text = found[0]["text"].as_str().unwrap();
    assert!(
        text.contains("step `b`") && !text.contains(secret),
        "{text}"
    );
    assert!(!ran.all().contains(secret), "{}", ran.all());
    // and none may be asked for
    let on = "- { event: failed, to: [ops], text: \"${{ inputs.token }}\" }";
    let wrong = telling(channels, on, FINE).replace(
        "comms:",
        "inputs: { token: { env: TOKEN, secret: true }, hook: { env: HOOK, secret: true } }\ncomms:",
    );
    let ran = Ferry::new()
        .runbook(&wrong)
        .env("TOKEN", secret)
        .env("HOOK", &url)
        .run()
        .code(65);
    assert!(
        ran.stderr.contains("error[F024]: the secret input `token`"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_test_tells_nobody_but_the_test_and_off_tells_nobody() {
    let (wire, test) = (hook(), hook());
    let on = "- { event: [run_started, finished], to: [ops] }";
    let channels = format!("{{ ops: {{ webhook: \"{}\" }} }}", wire.url);
    let ran = Ferry::new()
        .runbook(&telling(&channels, on, FINE))
        .args(["--comms", "test"])
        .run()
        .success();
    assert!(
        ran.stderr.contains("comms `ops`: [TEST] A <demo> (demo-"),
        "{}",
        ran.stderr
    );
    let ran = Ferry::new()
        .runbook(&telling(&channels, on, FINE))
        .args(["--comms", "off"])
        .run()
        .success();
    assert!(!ran.stderr.contains("comms"), "{}", ran.stderr);
    let channels = format!(
        "{{ ops: {{ webhook: \"{}\" }}, test: {{ webhook: \"{}\" }} }}",
        wire.url, test.url
    );
    Ferry::new()
        .runbook(&telling(&channels, on, FINE))
        .args(["--comms", "test"])
        .run()
        .success();
    let found = bodies(&test, 2);
    assert_eq!(
        (&found[0]["channel"], &found[0]["test"]),
        (&"ops".into(), &true.into())
    );
    assert!(found[0]["text"].as_str().unwrap().starts_with("[TEST] "));
    assert!(wire.requests().is_empty(), "{:?}", wire.requests());
}

#[test]
fn what_was_told_is_not_told_again_and_a_test_stays_one() {
    let wire = hook();
    let on = format!("- {{ event: {ALL}, to: [ops] }}");
    let channels = format!("{{ ops: {{ webhook: \"{}\" }} }}", wire.url);
    let step = "{ id: b, shell: echo b >> ledger; sleep 1 }
      - { id: c, shell: echo c >> ledger }";
    let slow = telling(&channels, &on, step);
    for (test, args) in [(false, ["--comms", "on"]), (true, ["--comms", "test"])] {
        let before = wire.requests().len();
        let going = Ferry::new().runbook(&slow).args(args).start();
        going.until("ledger", "b");
        let dir = going.shared();
        going.signal(Signal::SIGTERM);
        going.wait().code(143);
        let ran = Ferry::again(&dir)
            .command(&["resume", "--yes"])
            .run()
            .success();
        assert_eq!(ran.ledger(), ["a", "b", "c"]);
        if test {
            assert_eq!(wire.requests().len(), before);
            assert!(
                ran.stderr.contains("comms `ops`: [TEST] "),
                "{}",
                ran.stderr
            );
            assert!(!ran.stderr.contains(": starts, by"), "{}", ran.stderr);
            continue;
        }
        let found = bodies(&wire, 5);
        let events = found.iter().map(|body| body["event"].as_str().unwrap());
        assert_eq!(
            events.collect::<Vec<_>>(),
            [
                "run_started",
                "phase_started",
                "waiting",
                "phase_finished",
                "finished"
            ]
        );
    }
}

// --- mail -------------------------------------------------------------------------------------------

/// A mail server that takes what is sent, line by line as a real one; `refuse` is a command that it
/// refuses.
struct Smtp {
    at: String,
    mails: Arc<Mutex<Vec<String>>>,
}

impl Smtp {
    fn serve(refuse: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&mails);
        std::thread::spawn(move || {
            for stream in listener.incoming().take(20) {
                let said = converse(&stream.unwrap(), refuse);
                kept.lock().unwrap().push(said);
            }
        });
        Self { at, mails }
    }

    fn mails(&self, count: usize) -> Vec<String> {
        let began = Instant::now();
        while self.mails.lock().unwrap().len() < count && began.elapsed() < Duration::from_secs(10)
        {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.mails.lock().unwrap().clone()
    }
}

/// Everything that the client said.
fn converse(stream: &TcpStream, refuse: &str) -> String {
    let mut writer = stream;
    let mut lines = BufReader::new(stream);
    let mut said = String::new();
    let mut in_data = false;
    let _ = writer.write_all(b"220 mail.test ESMTP\r\n");
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap_or(0) == 0 {
            return said;
        }
        said.push_str(&line);
        let command = line
            .split([' ', '\r'])
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase();
        let answer: &[u8] = match (in_data, command.as_str()) {
            (true, ".") => {
                in_data = false;
                b"250 2.0.0 kept\r\n"
            }
            (true, _) => continue,
            (false, word) if word == refuse => b"550 5.7.1 not from you\r\n",
            (false, "EHLO") => b"250-mail.test\r\n250 8BITMIME\r\n",
            (false, "DATA") => {
                in_data = true;
                b"354 go on\r\n"
            }
            (false, "QUIT") => {
                let _ = writer.write_all(b"221 bye\r\n");
                return said;
            }
            (false, _) => b"250 2.1.0 ok\r\n",
        };
        if writer.write_all(answer).is_err() {
            return said;
        }
    }
}

#[test]
fn a_mail_goes_to_everybody_on_the_list() {
    let smtp = Smtp::serve("");
    let channels = format!(
        "{{ board: {{ mail: {{ to: [ana@corp.example, bo@corp.example], from: ferry@corp.example, smtp: \"smtp://{}\" }} }} }}",
        smtp.at
    );
    let on = "- { event: finished, to: [board] }";
    let ran = Ferry::new()
        .runbook(&telling(&channels, on, FINE))
        .run()
        .success();
    assert!(!ran.stderr.contains("comms"), "{}", ran.stderr);
    let run = ran
        .run_dir()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let mails = smtp.mails(1);
    let mail = mails[0].replace("\r\n", "\n");
    for said in [
        "MAIL FROM:<ferry@corp.example>",
        "RCPT TO:<ana@corp.example>\n",
        "RCPT TO:<bo@corp.example>\n",
        "\nSubject: [demo] finished\n",
        "\nTo: ana@corp.example, bo@corp.example\n",
        "A <demo> (demo-",
        ": is over: succeeded\n",
        "\nstatus  succeeded\n",
    ] {
        assert!(mail.contains(said), "{said:?} in\n{mail}");
    }
    assert!(mail.contains(&format!("\nrun     {run}\n")), "{mail}");
}

#[test]
fn a_mail_that_is_refused_is_a_note_and_no_password_is_in_it() {
    let smtp = Smtp::serve("MAIL");
    let channels = format!(
        "{{ board: {{ mail: {{ to: ana@corp.example, smtp: \"smtp://{}\" }} }}, \
         bad: {{ mail: {{ to: ana@corp.example, smtp: \"${{{{ inputs.smtp }}}}\" }} }} }}",
        smtp.at
    );
    let on = "- { event: finished, to: [board, bad] }";
    let runbook = telling(&channels, on, FINE).replace(
        "comms:",
        "inputs: { smtp: { env: SMTP, secret: true } }\ncomms:",
    );
    let ran = Ferry::new()
        .runbook(&runbook)
        .env("SMTP", "gopher://me:hush-hush-word@h")
        .run()
        .success();
    assert!(
        ran.stderr
            .contains("channel `board` did not take a message: "),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("5.7.1 not from you"), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("comms: channel `bad`: its `smtp` address cannot be read"),
        "{}",
        ran.stderr
    );
    assert!(!ran.all().contains("hush"), "{}", ran.all());
}
