//! The checker is checked: what holds of a real run, and that each doctored ledger, journal, exit
//! code and process table is found, and nothing beside it.

use std::sync::OnceLock;

use ferry::event::Event;

use super::artefacts::{at_work_in, holding};
use super::book::{Known, Nature};
use super::check::{Broken, Evidence, Rule, Session};
use super::drive::Story;
use super::fact::Fact;
use super::ledger::{Entry, Way};

/// What a run left, to be doctored.
#[derive(Clone)]
struct Left {
    known: Vec<Known>,
    ledger: Vec<Entry>,
    journal: Vec<Event>,
    code: i32,
    stdout: String,
    stderr: String,
}

impl Left {
    fn of(failing: Option<usize>) -> Self {
        let story = Story {
            failing,
            small: true,
            ..Story::default()
        };
        let mut told = story.tell();
        assert_eq!(told.broken(&story), None);
        let session = told.evidence.sessions.remove(0);
        assert!(told.evidence.sessions.is_empty(), "nothing was resumed");
        Self {
            known: told.evidence.known,
            ledger: told.evidence.ledger,
            journal: session.journal,
            code: session.code,
            stdout: session.stdout,
            stderr: session.stderr,
        }
    }

    /// A run that succeeded.
    fn forward() -> Self {
        static LEFT: OnceLock<Left> = OnceLock::new();
        LEFT.get_or_init(|| Self::of(None)).clone()
    }

    /// A run that went back.
    fn back() -> Self {
        static LEFT: OnceLock<Left> = OnceLock::new();
        LEFT.get_or_init(|| Self::of(Some(8))).clone()
    }

    fn broken(&self) -> Vec<(&'static str, Rule)> {
        self.evidence(&self.journal)
            .broken()
            .into_iter()
            .map(
                |Broken {
                     invariant, rule, ..
                 }| (invariant, rule),
            )
            .collect()
    }

    fn evidence(&self, journal: &[Event]) -> Evidence {
        Evidence {
            known: self.known.clone(),
            ledger: self.ledger.clone(),
            facts: journal.iter().map(Fact::of).collect(),
            sessions: vec![Session {
                args: "run".into(),
                failpoint: String::new(),
                code: self.code,
                stdout: self.stdout.clone(),
                stderr: self.stderr.clone(),
                journal: journal.to_vec(),
            }],
            leaks: Vec::new(),
            left: Vec::new(),
        }
    }

    /// The place of a step's effect in the ledger.
    fn at(&self, key: &str, way: Way) -> usize {
        let is = |entry: &Entry| entry.key == key && entry.way == way;
        self.ledger.iter().position(is).unwrap()
    }

    fn key(&self, nature: Nature) -> String {
        let known = self.known.iter().find(|known| known.nature == nature);
        known.unwrap().key.clone()
    }
}

#[test]
fn a_real_run_is_as_it_should_be() {
    assert_eq!(Left::forward().broken(), []);
    assert_eq!(Left::back().broken(), []);
    assert_eq!(Left::back().code, 11);
    assert_eq!(Left::forward().ledger.len(), 8);
    assert_eq!(Left::back().ledger.len(), 16);
}

#[test]
fn a_doubled_effect_is_found_unless_it_may_be_repeated() {
    let mut left = Left::forward();
    let plain = left.ledger[left.at(&left.key(Nature::Plain), Way::Do)].clone();
    left.ledger.push(Entry {
        at: plain.at + 1,
        ..plain
    });
    assert_eq!(
        left.broken(),
        [("I2", Rule::Doubled), ("I3", Rule::Illegal)]
    );

    // without a second intent it is one too many all the same
    let mut left = Left::forward();
    let repeated = left.ledger[left.at(&left.key(Nature::Idempotent), Way::Do)].clone();
    left.ledger.push(Entry {
        at: repeated.at + 1,
        ..repeated
    });
    assert_eq!(left.broken(), [("I3", Rule::Illegal)]);
}

#[test]
fn a_lost_effect_is_found() {
    let mut left = Left::forward();
    left.ledger.remove(left.at("s05", Way::Do));
    assert_eq!(left.broken(), [("I2", Rule::Lost)]);
}

#[test]
fn an_effect_without_or_before_its_intent_is_found() {
    let mut left = Left::forward();
    let seqs = |event: &Event| Fact::of(event).fields["step"] == "s08";
    left.journal.retain(|event| !seqs(event));
    for (at, event) in left.journal.iter_mut().enumerate() {
        event.seq = at as u64 + 1;
    }
    left.stdout.clear();
    assert_eq!(left.broken(), [("I3", Rule::Illegal)]);

    let mut left = Left::forward();
    let at = left.at("s01", Way::Do);
    left.ledger[at].at -= 5_000_000;
    assert_eq!(left.broken(), [("I3", Rule::Illegal)]);
}

#[test]
fn a_child_before_its_parent_is_found() {
    let mut left = Left::forward();
    let last = left
        .known
        .iter_mut()
        .find(|known| known.key == "s01")
        .unwrap();
    last.after = vec!["s02".into()];
    assert_eq!(left.broken(), [("I4", Rule::Illegal)]);
}

#[test]
fn a_wrong_order_of_undos_is_found() {
    let mut left = Left::back();
    let (one, two) = (left.at("s01", Way::Undo), left.at("s02", Way::Undo));
    let (early, late) = (left.ledger[two].at, left.ledger[one].at);
    left.ledger[one].at = early - 1;
    left.ledger[two].at = late;
    left.ledger.sort_by_key(|entry| entry.at);
    let found = left.broken();
    assert!(!found.is_empty());
    assert!(
        found.iter().all(|one| *one == ("I5", Rule::Illegal)),
        "{found:?}"
    );
}

#[test]
fn a_doubled_and_a_lost_undo_are_found() {
    let mut left = Left::back();
    let plain = left.ledger[left.at(&left.key(Nature::Plain), Way::Undo)].clone();
    left.ledger.push(plain);
    assert_eq!(
        left.broken(),
        [("I5", Rule::Doubled), ("I5", Rule::Illegal)]
    );

    let mut left = Left::back();
    left.ledger.remove(left.at("s02", Way::Undo));
    // by its item, and by what is left of it in a run that is rolled back
    assert_eq!(left.broken(), [("I5", Rule::Lost), ("I5", Rule::Lost)]);
}

#[test]
fn a_lost_event_is_found() {
    let left = Left::forward();
    let mut cut = left.journal.clone();
    cut.pop();
    let evidence = Evidence {
        facts: cut.iter().map(Fact::of).collect(),
        ..left.evidence(&left.journal)
    };
    let found = evidence.broken();
    // told on standard output, and held by the journal once
    let lost = |one: &&Broken| one.invariant == "I1" && one.rule == Rule::Lost;
    assert_eq!(found.iter().filter(lost).count(), 2, "{found:?}");
}

#[test]
fn a_state_that_cannot_be_is_found() {
    let mut left = Left::forward();
    let started = left.journal.iter().find(|event| {
        let fact = Fact::of(event);
        fact.kind == "step.started" && fact.fields["step"] == "s02"
    });
    let mut again = started.unwrap().clone();
    // the last event is the end of the run
    let end = left.journal.len();
    again.seq = end as u64;
    left.journal[end - 1].seq += 1;
    left.journal.insert(end - 1, again);
    left.stdout.clear();
    assert_eq!(left.broken(), [("I6", Rule::Illegal)]);
}

#[test]
fn a_wrong_exit_code_and_a_missing_way_on_are_found() {
    let mut left = Left::forward();
    left.code = 11;
    assert_eq!(left.broken(), [("I6", Rule::Illegal)]);

    let mut left = Left::forward();
    left.journal.pop();
    left.stdout.clear();
    left.code = 137;
    left.stderr.clear();
    assert_eq!(
        left.broken(),
        [("I6", Rule::Illegal), ("I7", Rule::Illegal)]
    );
}

#[test]
fn a_secret_and_a_process_that_are_left_are_found() {
    let left = Left::forward();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("deep")).unwrap();
    std::fs::write(dir.path().join("deep/file"), b"\0before the-canary after").unwrap();
    let mut leaks = Vec::new();
    holding(dir.path(), "the-canary", &mut leaks);
    assert_eq!(leaks.len(), 1);
    let mut child = std::process::Command::new("sleep")
        .arg("30")
        .current_dir(dir.path())
        .spawn()
        .unwrap();
    let at_work = at_work_in(dir.path());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(at_work, [format!("process {}", child.id())]);
    let evidence = Evidence {
        leaks,
        left: at_work,
        ..left.evidence(&left.journal)
    };
    let found: Vec<_> = evidence.broken().iter().map(|one| one.invariant).collect();
    assert_eq!(found, ["I8", "I9"]);
}
