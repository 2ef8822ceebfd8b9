//! Signatures: what OpenSSH makes is taken and what ferry makes OpenSSH takes; who may sign; reports
//! that are verified without the store, and every change to them found.

use std::path::Path;
use std::sync::Arc;

use ferry::event::{Event, EventKind, OperatorEvent, Order, RunEvent, Signature};
use ferry::sign::{Armored, Bad, NAMESPACE, Signed, Signers, message};
use ferry::store::{Raw, Record, SqliteStore};
use jiff::tz::TimeZone;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::ferry::{Ferry, Ran};
use crate::support::keys::{self, Agent, key, public, signed, verifies};

fn tell(dir: &Arc<TempDir>, words: &[&str]) -> Ran {
    Ferry::again(dir).command(words).run()
}

fn me() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap();
    user.unwrap().name
}

#[test]
fn what_openssh_signs_is_taken_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let text = "ferry-signature-v1\nrun \"r1\"\n";
    for kind in [
        "ed25519",
        "ecdsa-256",
        "ecdsa-384",
        "ecdsa-521",
        "rsa-2048",
        "rsa-3072",
    ] {
        let key = key(dir.path(), kind, kind);
        let armor = signed(&key, NAMESPACE, text);
        let read = Armored::read(&armor).unwrap_or_else(|bad| panic!("{kind}: {bad}"));
        assert_eq!(read.fits(text), Ok(()), "{kind}");
        assert_eq!(read.fits(&format!("{text} ")), Err(Bad::Broken), "{kind}");
        let shown = keys_fingerprint(&key);
        assert_eq!(read.fingerprint(), shown, "{kind}");
        // with the line ends of other systems, as `ssh-keygen` takes it
        let read = Armored::read(&armor.replace('\n', "\r\n")).unwrap();
        assert_eq!(read.fits(text), Ok(()), "{kind}");
        let other = signed(&key, "git", text);
        let error = Armored::read(&other).unwrap_err();
        assert_eq!(error, Bad::Namespace("git".into()));
    }
    for text in [
        "",
        "-----BEGIN SSH SIGNATURE-----",
        "U1NIU0lH",
        &"x".repeat(20_000),
    ] {
        let error = Armored::read(text).unwrap_err();
        assert!(matches!(error, Bad::Unreadable(_)), "{error}");
    }
}

/// The fingerprint, as `ssh-keygen -l` has it.
fn keys_fingerprint(key: &Path) -> String {
    let output = std::process::Command::new("ssh-keygen")
        .arg("-lf")
        .arg(key)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().nth(1).unwrap().to_owned()
}

/// Each line is held against `ssh-keygen` itself.
#[test]
fn allowed_signers_mean_what_they_mean_to_openssh() {
    let dir = tempfile::tempdir().unwrap();
    let (ana, eve) = (
        key(dir.path(), "ana", "ed25519"),
        key(dir.path(), "eve", "ed25519"),
    );
    let (text, armor) = ("a message\n", signed(&ana, NAMESPACE, "a message\n"));
    let (ana, eve) = (public(&ana), public(&eve));
    let time = "20260321020000Z";
    let now = "2026-03-21T02:00:00Z".parse().unwrap();
    for (line, taken) in [
        (format!("ana {ana}"), true),
        (format!("ana {eve}"), false),
        (format!("eve {ana}"), false),
        (format!("an? {ana} a comment of many words"), true),
        (format!("*,!ana {ana}"), false),
        (format!("bo,ana {ana}"), true),
        (format!("\"bo,ana\" {ana}"), true),
        (format!("# ana {ana}"), false),
        (format!("\t ana\t{ana}"), true),
        (format!("ana namespaces=\"ferry\" {ana}"), true),
        (format!("ana namespaces=\"git,f*\" {ana}"), true),
        (format!("ana namespaces=\"git\" {ana}"), false),
        (format!("ana NameSpaces=\"ferry\" {ana}"), true),
        (format!("ana valid-after=\"20260321\" {ana}"), true),
        (format!("ana valid-after=\"20260322\" {ana}"), false),
        (format!("ana valid-before=\"20260321\" {ana}"), false),
        (format!("ana valid-before=\"202603210200Z\" {ana}"), true),
        (format!("ana valid-before=\"20260321015959\" {ana}"), false),
        (
            format!("ana valid-after=\"20260320\",valid-before=\"20260322\" {ana}"),
            true,
        ),
        (
            format!("ana namespaces=\"ferry\",valid-after=\"20260322Z\" {ana}"),
            false,
        ),
        (format!("ana {eve}\nana {ana}"), true),
        (format!("ana namespaces=\"git\" {ana}\nana {ana}"), true),
        (String::new(), false),
    ] {
        let file = format!("{line}\n");
        let theirs = keys::at(&file, "ana", NAMESPACE, text, &armor, Some(time));
        assert_eq!(theirs, taken, "ssh-keygen: {line}");
        let signers = Signers::parse(&file, &TimeZone::UTC).unwrap();
        let read = Armored::read(&armor).unwrap();
        let ours = signers.allow(read.key(), "ana", NAMESPACE, now).is_ok();
        assert_eq!(ours, taken, "{line}");
    }
    // what is refused as a whole is taken by OpenSSH for nobody either
    for line in [
        format!("ana cert-authority {ana}"),
        format!("ana touch {ana}"),
        format!("ana namespaces=ferry {ana}"),
        format!("ana valid-after=\"20260322\",valid-before=\"20260321\" {ana}"),
        format!("ana valid-after=\"soon\" {ana}"),
        "ana ssh-ed25519 AAAA".into(),
    ] {
        let file = format!("{line}\n");
        let theirs = keys::at(&file, "ana", NAMESPACE, text, &armor, Some(time));
        assert!(!theirs, "ssh-keygen: {line}");
        assert!(Signers::parse(&file, &TimeZone::UTC).is_err(), "{line}");
    }
}

/// A run that came to its end, with a lead who is ana, and her key.
fn over() -> (Arc<TempDir>, String) {
    let ferry = Ferry::new();
    let home = ferry.path(".");
    let (ana, eve) = (key(&home, "ana", "ed25519"), key(&home, "eve", "ed25519"));
    let deputy = public(&key(&home, "deputy", "ecdsa-256"));
    let signers = format!(
        "ana {}\neve namespaces=\"git\" {}\n",
        public(&ana),
        public(&eve)
    );
    let ran = ferry
        .file("signers", signers)
        .runbook(&format!(
            "
            runbook: demo
            people:
              lead: {{ title: Migration lead, who: ana, keys: [\"{deputy} deputy@desk\"] }}
              oncall: {{ title: On-call engineer, contact: \"#ops\" }}
            sign_off: {{ after: [lead, oncall] }}
            signers: signers
            phases:
              p:
                steps:
                  - {{ id: a, shell: echo a >> ledger; echo hello from the step }}
            "
        ))
        .run()
        .success();
    let run = ran
        .run_dir()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    (ran.dir, run)
}

fn signatures(events: &[Event]) -> Vec<&Signature> {
    let found = events.iter().filter_map(|event| match &event.kind {
        EventKind::Operator(OperatorEvent::Ordered {
            order: Order::Sign { signature },
            ..
        }) => Some(&**signature),
        _ => None,
    });
    found.collect()
}

/// What a signature of this journal is over.
fn signed_text(run: &str, events: &[Event], signature: &Signature) -> String {
    let EventKind::Run(RunEvent::Planned(planned)) = &events[0].kind else {
        panic!("no plan");
    };
    message(&Signed {
        run,
        digest: &planned.digest,
        signature,
    })
}

#[test]
fn a_role_signs_with_a_key_that_openssh_takes() {
    let (dir, run) = over();
    let ran = tell(
        &dir,
        &[
            "sign",
            &run,
            "--as",
            "lead",
            "--key",
            "ana",
            "--comment",
            "all is well",
        ],
    );
    let ran = ran.success();
    assert!(
        ran.stderr
            .contains("`ana` signed for the role `lead` by the key SHA256:"),
        "{}",
        ran.stderr
    );
    let found = signatures(&ran.journal);
    let [one] = found.as_slice() else {
        panic!("{}", ran.all());
    };
    assert_eq!((one.who.as_str(), one.role.as_str()), ("ana", "lead"));
    assert_eq!(
        one.key.as_deref(),
        Some(keys_fingerprint(&ran.path("ana")).as_str())
    );
    let text = signed_text(&run, &ran.journal, one);
    let armor = one.ssh.as_deref().unwrap();
    let signers = ran.text("signers");
    assert!(verifies(&signers, "ana", NAMESPACE, &text, armor));
    assert!(!verifies(
        &signers,
        "ana",
        NAMESPACE,
        &text.replace("well", "bad"),
        armor
    ));
    // its head is the one that `verify` said before
    let head = tell(&dir, &["verify", &run]).success().stdout;
    assert!(
        head.contains("signed   lead (after) by ana: good, key SHA256:"),
        "{head}"
    );
    assert!(head.contains("which may sign for `ana`"), "{head}");
    assert!(head.contains("\n         \"all is well\"\n"), "{head}");
    assert!(head.contains("said by the journal itself"), "{head}");
    let status = tell(&dir, &["status"]).success().stdout;
    assert!(
        status.contains("\nsignatures\n  lead  after, ana, by the key SHA256:"),
        "{status}"
    );
    assert!(status.contains("\n  oncall  after, missing\n"), "{status}");
    assert!(
        status.contains(&format!("\n  ferry sign {run} --as oncall\n")),
        "{status}"
    );
}

#[test]
fn a_key_of_the_agent_signs_and_who_has_no_key_signs_by_login() {
    let (dir, run) = over();
    let home = dir.path();
    let agent = Agent::with(&home.join("ana"));
    std::fs::remove_file(home.join("ana")).unwrap();
    let words = ["sign", &run, "--as", "lead", "--key", "ana.pub"];
    let without = tell(&dir, &words).code(78);
    assert!(
        without.stderr.contains("`ssh-keygen` made no signature: "),
        "{}",
        without.stderr
    );
    let socket = agent.socket();
    let ran = Ferry::again(&dir)
        .command(&words)
        .env("SSH_AUTH_SOCK", &socket)
        .run()
        .success();
    let one = signatures(&ran.journal)[0].clone();
    let text = signed_text(&run, &ran.journal, &one);
    assert!(verifies(
        &ran.text("signers"),
        "ana",
        NAMESPACE,
        &text,
        &one.ssh.unwrap()
    ));
    // nobody has this role, and no key is named for it
    let ran = tell(&dir, &["sign", &run, "--as", "oncall"]).success();
    let said = format!(
        "`{}` signed for the role `oncall` by login alone, under event",
        me()
    );
    assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    let status = tell(&dir, &["status"]).success().stdout;
    assert!(
        status.contains(&format!("by login `{}` alone", me())),
        "{status}"
    );
    assert!(!status.contains("missing"), "{status}");
    let verified = tell(&dir, &["verify"]).success().stdout;
    let said = format!(
        "signed   oncall (after) by {}: by login alone, without a key",
        me()
    );
    assert!(verified.contains(&said), "{verified}");
    assert!(verified.contains("; later: 1 signatures\n"), "{verified}");
    assert!(
        verified.contains(", the last that happened\n"),
        "{verified}"
    );
}

#[expect(
    clippy::too_many_lines,
    reason = "one story, told from its beginning to its end"
)]
#[test]
fn who_may_not_sign_is_refused_and_told_why() {
    let (dir, run) = over();
    let before = Ferry::again(&dir).command(&["status"]).run().journal.len();
    for (words, code, why) in [
        (vec!["--as", "boss"], 64, "has no role `boss`"),
        (
            vec!["--as", "lead"],
            77,
            "the runbook names a key for `lead`, and none was given",
        ),
        (
            vec!["--as", "lead", "--key", "eve"],
            77,
            "the key is known, and not for `ana`",
        ),
        (
            vec!["--as", "oncall", "--who", "eve", "--key", "eve"],
            77,
            "not for the namespace `ferry` (it is for `git`)",
        ),
        (
            vec!["--as", "lead", "--who", "bo", "--key", "ana"],
            77,
            "the key is known, and not for `lead`",
        ),
        (
            vec!["--as", "oncall", "--who", "ana"],
            77,
            "the runbook names a key for `ana`, and none was given",
        ),
        (
            vec!["--as", "lead", "--key", "nowhere"],
            66,
            "there is no key file `nowhere`",
        ),
        (
            vec!["--as", "lead", "--key", "ana", "--stage", "before"],
            64,
            "it is too late to sign that it may begin",
        ),
    ] {
        let mut all = vec!["sign", run.as_str()];
        all.extend(words);
        let ran = tell(&dir, &all).code(code);
        assert!(ran.stderr.contains(why), "{all:?}: {}", ran.stderr);
        assert_eq!(ran.journal.len(), before, "{all:?}");
    }
    let hint = tell(&dir, &["sign", &run, "--as", "boss"]).stderr;
    assert!(hint.contains("there are `lead`, `oncall`"), "{hint}");
    // a key that is named for the role lets somebody else sign for who has it
    let ran = tell(
        &dir,
        &[
            "sign", &run, "--as", "lead", "--who", "bo", "--key", "deputy",
        ],
    )
    .success();
    assert_eq!(signatures(&ran.journal)[0].who, "bo");
    let verified = tell(&dir, &["verify"]).success().stdout;
    assert!(verified.contains("by bo: good, key SHA256:"), "{verified}");
    assert!(verified.contains("which may sign for `lead`"), "{verified}");
    // without the program there is no signature, and that is what is said
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    let empty = dir.path().join("empty").display().to_string();
    let ran = Ferry::again(&dir)
        .command(&["sign", &run, "--as", "lead", "--key", "ana"])
        .env("PATH", &empty)
        .run()
        .code(71);
    assert!(
        ran.stderr.contains("`ssh-keygen` is not installed"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_live_run_is_signed_through_its_engine() {
    let going = Ferry::new()
        .runbook(
            "
            runbook: demo
            people: { lead: { title: Lead } }
            sign_off: { before: [lead], after: [lead] }
            phases:
              p:
                steps:
                  - { id: a, shell: echo a >> ledger; sleep 2, read_only: true }
                  - { id: b, shell: echo b >> ledger; sleep 2 }
            ",
        )
        .start();
    going.until("ledger", "a");
    let dir = going.shared();
    let run = std::fs::read_dir(dir.path().join("state/runs"))
        .unwrap()
        .next()
        .unwrap();
    let run = run.unwrap().file_name().to_string_lossy().into_owned();
    let ran = tell(&dir, &["sign", &run, "--as", "lead", "--stage", "after"]).code(64);
    assert!(ran.stderr.contains("it has not ended"), "{}", ran.stderr);
    let ran = tell(&dir, &["sign", &run, "--as", "lead"]).success();
    assert!(
        ran.stderr.starts_with("`sign` was taken by the run"),
        "{}",
        ran.stderr
    );
    // what has begun to change something needs nobody's word any more that it may
    going.until("ledger", "b");
    for words in [&["--stage", "before"][..], &[]] {
        let words = [&["sign", &run, "--as", "lead"], words].concat();
        let late = tell(&dir, &words).code(64).stderr;
        assert!(
            late.contains("a step has begun to change something"),
            "{late}"
        );
    }
    let ran = going.wait().success();
    let status = tell(&dir, &["status"]).stdout;
    assert!(status.contains("by login `"), "{status}");
    let found = signatures(&ran.journal);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].stage, ferry::event::Stage::Before);
    let verified = tell(&dir, &["verify", "--json"]).success();
    let said: Value = serde_json::from_str(&verified.stdout).unwrap();
    let one = &said["signatures"]["signed"][0];
    assert_eq!(one["standing"], "login_alone");
    // the step ended after it, and that is seen
    assert!(one["later"]["of steps"].as_u64() > Some(0), "{one}");
    assert_eq!(said["signatures"]["trust"], "nobody");
}

#[test]
fn signers_that_cannot_be_read_stop_a_run_before_it_starts() {
    let runbook = "
        runbook: demo
        signers: signers
        phases: { p: { steps: [{ id: a, shell: echo a >> ledger }] } }
        ";
    let ran = Ferry::new().runbook(runbook).run().code(65);
    assert!(
        ran.stderr
            .contains("the signers `signers` cannot be read: "),
        "{}",
        ran.stderr
    );
    let ran = Ferry::new()
        .file("signers", "\nana cert-authority ssh-ed25519 AAAA\n")
        .runbook(runbook)
        .run()
        .code(65);
    let why = "the signers `signers`: line 2: `cert-authority`: certificates are not taken";
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    let ran = Ferry::new()
        .file("signers", "# nobody\n")
        .runbook(runbook)
        .run()
        .code(65);
    assert!(ran.stderr.contains("name no key"), "{}", ran.stderr);
    assert!(ran.journal.is_empty() && ran.ledger().is_empty());
}

// --- reports ----------------------------------------------------------------------------------------

/// A signed run's directory, its id, and its record.
fn sealed() -> (Arc<TempDir>, String, Record) {
    let (dir, run) = over();
    tell(&dir, &["sign", &run, "--as", "lead", "--key", "ana"]).success();
    tell(&dir, &["note", &run, "--kind", "lesson", "it went well"]).success();
    let record = record(&dir, &run);
    (dir, run, record)
}

fn record(dir: &Arc<TempDir>, run: &str) -> Record {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open_read_only(&dir.path().join("state"))
            .await
            .unwrap();
        store.record(run).await.unwrap()
    })
}

/// What is said of a seal over these rows.
fn verify_rows(dir: &Arc<TempDir>, run: &str, rows: Vec<Raw>) -> Ran {
    let seal = Record::of(run, rows).unwrap().seal().unwrap();
    Ferry::again(dir)
        .file("forged", seal)
        .command(&["verify", "forged"])
        .run()
}

#[expect(
    clippy::too_many_lines,
    reason = "one story, told from its beginning to its end"
)]
#[test]
fn a_report_is_verified_far_from_its_store() {
    let (dir, run, record) = sealed();
    tell(
        &dir,
        &[
            "report",
            &run,
            "--format",
            "json",
            "--output",
            "report.json",
        ],
    )
    .success();
    tell(
        &dir,
        &["report", &run, "--format", "seal", "--output", "seal"],
    )
    .success();
    let far = Ferry::new()
        .file(
            "report.json",
            std::fs::read(dir.path().join("report.json")).unwrap(),
        )
        .file("seal", std::fs::read(dir.path().join("seal")).unwrap())
        .file("mine", std::fs::read(dir.path().join("signers")).unwrap())
        .file(
            "others",
            format!("ana {}\n", public(&dir.path().join("eve"))),
        );
    let far = Arc::clone(&far.command(&["runs"]).run().dir);
    let verified = tell(&far, &["verify", "report.json"]).success().stdout;
    for said in [
        format!("run      {run}\n"),
        format!("head     {}\n", record.head()),
        "visible  to the byte what its journal gives\n".into(),
        "signed   lead (after) by ana: good, key SHA256:".into(),
        "; later: 1 notes\n".into(),
        "proven   up to event ".into(),
        " by ana; what came later fits".into(),
        "missing  oncall (after)\n".into(),
        "trust    whose key is whose is said by the journal itself".into(),
    ] {
        assert!(verified.contains(&said), "{said}\n{verified}");
    }
    let own = tell(
        &far,
        &["verify", "report.json", "--allowed-signers", "mine"],
    )
    .success()
    .stdout;
    assert!(
        own.contains("trust    whose key is whose is said by your `mine`"),
        "{own}"
    );
    let others = tell(
        &far,
        &["verify", "report.json", "--allowed-signers", "others"],
    )
    .code(77);
    assert!(
        others.stderr.contains("the key is not one of those")
            || others.stderr.contains("this key is not known"),
        "{}",
        others.stderr
    );
    assert!(others.stdout.contains("NOT ALLOWED"), "{}", others.stdout);
    let asked = [
        "verify",
        "report.json",
        "--json",
        "--allowed-signers",
        "others",
    ];
    let others: Value = serde_json::from_str(&tell(&far, &asked).code(77).stdout).unwrap();
    assert_eq!(
        (
            &others["ok"],
            &others["signatures"]["signed"][0]["standing"]
        ),
        (&false.into(), &"not_allowed".into())
    );
    let seal = tell(&far, &["verify", "seal", "--head", &record.head()])
        .success()
        .stdout;
    assert!(
        seal.contains("visible  nothing: the file is a seal alone"),
        "{seal}"
    );
    let other = "0".repeat(64);
    let head = tell(&far, &["verify", "seal", "--head", &other])
        .code(72)
        .stderr;
    assert!(head.contains("the journal has another head"), "{head}");
    let none = Ferry::again(&far)
        .file("plain.html", "<p>fine</p>")
        .command(&["verify", "plain.html"])
        .run()
        .code(65);
    assert!(none.stderr.contains("carries no seal"), "{}", none.stderr);
}

#[test]
fn every_changed_byte_of_a_report_is_found() {
    let (dir, run, _) = sealed();
    for name in ["report.json", "report.html"] {
        tell(&dir, &["report", &run, "--output", name]).success();
        let good = std::fs::read(dir.path().join(name)).unwrap();
        let verified = tell(&dir, &["verify", name]).success().stdout;
        assert!(
            verified.contains("visible  to the byte what its journal gives\n"),
            "{verified}"
        );
        assert!(
            verified.contains("signed   lead (after) by ana: good, key SHA256:"),
            "{verified}"
        );
        let verify = |changed: &[u8]| {
            let ran = Ferry::again(&dir).file("changed", changed);
            ran.command(&["verify", "changed"]).run()
        };
        // spread over the whole file, the seal in it included
        let places = (0..60).map(|at| at * (good.len() - 1) / 59);
        for place in places {
            let mut changed = good.clone();
            changed[place] = if changed[place] == b'7' { b'8' } else { b'7' };
            let ran = verify(&changed);
            assert!(
                [65, 72].contains(&ran.code),
                "{name}, byte {place}: {}",
                ran.all()
            );
        }
        let text = String::from_utf8(good).unwrap();
        let changed = text.replacen("ucceeded", "ailed", 1);
        assert_ne!(changed, text);
        let ran = verify(changed.as_bytes()).code(72);
        let said = "the report is not what its journal gives: line ";
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
        // what the step printed is in the page, and is held against its hash
        assert!(
            name.ends_with("json") || text.contains("hello from the step"),
            "{text}"
        );
        let whole = |text: &str| text.trim_end().to_owned();
        for more in [format!("{text} "), whole(&text), format!("{text}{text}")] {
            let ran = verify(more.as_bytes());
            assert!([65, 72].contains(&ran.code), "{name}: {}", ran.all());
        }
    }
}

#[test]
fn a_file_in_a_seal_is_held_against_its_journal() {
    let (dir, run, record) = sealed();
    tell(
        &dir,
        &["report", &run, "--format", "seal", "--output", "seal"],
    )
    .success();
    let carried =
        Record::unseal(&std::fs::read_to_string(dir.path().join("seal")).unwrap()).unwrap();
    let (name, bytes) = carried
        .files()
        .iter()
        .next()
        .expect("a step printed something");
    assert!(bytes.starts_with(b"hello from the step"), "{bytes:?}");
    for files in [
        [(name.clone(), b"hello from somebody else\n".to_vec())],
        [("other".to_owned(), bytes.clone())],
    ] {
        let forged = record.clone().with_files(files.into()).seal().unwrap();
        let report = serde_json::json!({ "seal": forged }).to_string();
        let ran = Ferry::again(&dir)
            .file("forged.json", report)
            .command(&["verify", "forged.json"])
            .run()
            .code(72);
        assert!(
            ran.stderr.contains("that is not what its journal says"),
            "{}",
            ran.stderr
        );
    }
}

/// Whoever forges computes the chain anew: the signature is what they cannot make.
#[expect(
    clippy::too_many_lines,
    reason = "one story, told from its beginning to its end"
)]
#[test]
fn a_forged_journal_does_not_fit_its_signature() {
    let (dir, run, record) = sealed();
    let rows = record.rows().to_vec();
    let at = record.events().iter().position(|event| {
        matches!(
            &event.kind,
            EventKind::Operator(OperatorEvent::Ordered {
                order: Order::Sign { .. },
                ..
            })
        )
    });
    let at = at.unwrap();
    verify_rows(&dir, &run, rows.clone()).success();

    // a step that took another time, in an event before the signature
    let mut changed = rows.clone();
    changed[2].at += 1;
    let ran = verify_rows(&dir, &run, changed).code(72);
    assert!(
        ran.stderr.contains("it is under another journal"),
        "{}",
        ran.stderr
    );
    // an event less before it
    let mut removed = rows.clone();
    removed.remove(2);
    let ran = verify_rows(&dir, &run, removed).code(72);
    assert!(ran.stderr.contains("it is under"), "{}", ran.stderr);
    // the head that it names put right as well
    let mut again = rows.clone();
    again[2].at += 1;
    let head = Record::of(&run, again.clone())
        .unwrap()
        .head_at(at as u64)
        .unwrap();
    let signature = signatures(record.events())[0].clone();
    again[at].body = again[at].body.replace(&signature.head, &head);
    let ran = verify_rows(&dir, &run, again).code(72);
    assert!(
        ran.stderr.contains("does not fit what it is said to sign"),
        "{}",
        ran.stderr
    );
    // somebody else in the signature's words, another role, another comment
    for (from, to) in [
        ("\"who\":\"ana\"", "\"who\":\"bo\""),
        ("\"role\":\"lead\"", "\"role\":\"oncall\""),
    ] {
        let mut changed = rows.clone();
        changed[at].body = changed[at].body.replacen(from, to, 1);
        assert_ne!(changed, rows);
        let ran = verify_rows(&dir, &run, changed).code(72);
        assert!(
            ran.stderr.contains("does not fit what it is said to sign"),
            "{}",
            ran.stderr
        );
    }
    // a signature of somebody else in its place
    let text = signed_text(&run, record.events(), &signature);
    let theirs = signed(&dir.path().join("eve"), NAMESPACE, &text);
    let quoted = |armor: &str| serde_json::to_string(armor).unwrap();
    let mut swapped = rows.clone();
    let armor = signature.ssh.clone().unwrap();
    swapped[at].body = swapped[at]
        .body
        .replacen(&quoted(&armor), &quoted(&theirs), 1);
    assert_ne!(swapped, rows);
    let ran = verify_rows(&dir, &run, swapped.clone()).code(72);
    assert!(
        ran.stderr.contains("not the one that it names"),
        "{}",
        ran.stderr
    );
    let (mine, eve) = (
        signature.key.clone().unwrap(),
        keys_fingerprint(&dir.path().join("eve")),
    );
    swapped[at].body = swapped[at].body.replacen(&mine, &eve, 1);
    let ran = verify_rows(&dir, &run, swapped).code(77);
    assert!(
        ran.stderr.contains("the key is known, and not for `ana`"),
        "{}",
        ran.stderr
    );
    // the SSH signature taken away: it is one by login no more than by key
    let mut bare = rows.clone();
    bare[at].body = bare[at]
        .body
        .replacen(&format!("\"ssh\":{},", quoted(&armor)), "", 1);
    assert_ne!(bare, rows);
    let ran = verify_rows(&dir, &run, bare).code(72);
    assert!(
        ran.stderr.contains("the signature by it is gone"),
        "{}",
        ran.stderr
    );
    // for another run
    let ran = verify_rows(&dir, "other-20260321-abcd", rows.clone()).code(72);
    assert!(
        ran.stderr.contains("it is under another journal"),
        "{}",
        ran.stderr
    );
    // the end of the journal is bound by the head that somebody noted
    let mut short = rows;
    short.pop();
    std::fs::write(
        dir.path().join("forged"),
        Record::of(&run, short).unwrap().seal().unwrap(),
    )
    .unwrap();
    let head = record.head();
    let ran = tell(&dir, &["verify", "forged", "--head", &head]).code(72);
    assert!(
        ran.stderr.contains("the journal has another head"),
        "{}",
        ran.stderr
    );
}
