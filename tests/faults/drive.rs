//! One story: a run that is killed, resumed, asked about and answered until it is over.
//!
//! [`Story`] holds what to break; [`Story::tell`] gives the [`Evidence`]. The operator here is honest:
//! what is asked is answered by the ledger.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry::event::{Event, EventKind, OperatorEvent, Order, RunEvent, RunStatus};
use ferry::store::{SqliteStore, Store};
use nix::sys::signal::Signal;
use regex::Regex;
use tempfile::TempDir;

use super::artefacts::{at_work_in, holding};
use super::book::Book;
use super::check::{Broken, Evidence, Session};
use super::fact::Fact;
use super::ledger::{EFFECT, PROBE, Way, World, last};
use crate::support::ferry::{Ferry, Ran};

/// Sessions in which a run must be over, however often it was killed before.
const MOST: usize = 40;

/// A session that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(20);

/// The exit code of a session that hung.
pub const HANGS: i32 = -1;

/// The exit code of a process that was killed.
pub const KILLED: i32 = 137;

/// What is in no artefact of ferry.
const CANARY: &str = "canary-7f3a-91be-do-not-tell";

/// What is to happen.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// The step, from 1, that fails; the run then goes back.
    pub failing: Option<usize>,
    /// What breaks in the first session, the second, and so on.
    pub failpoints: Vec<String>,
    /// A small runbook instead of the one of 40 steps.
    pub small: bool,
    /// A script that starts ferry as `"$@"` in the first sessions, in their order.
    pub through: Vec<String>,
    /// Another binary than the one under test.
    pub binary: Option<String>,
}

/// A story that is over.
pub struct Told {
    pub evidence: Evidence,
    /// Sessions beside the first that carried the run on.
    pub resumes: usize,
    /// Sessions that were killed.
    pub kills: usize,
}

impl Story {
    /// Of these failpoints, one a session.
    pub fn of(failing: Option<usize>, failpoints: &[&str]) -> Self {
        Self {
            failing,
            failpoints: failpoints.iter().map(|point| (*point).to_owned()).collect(),
            ..Self::default()
        }
    }

    /// Carries it out to its end.
    pub fn tell(&self) -> Told {
        let world = World::new();
        let book = match self.small {
            true => Book::small(world, self.failing),
            false => Book::new(world, self.failing),
        };
        let dir = Arc::new(tempfile::tempdir().unwrap());
        std::fs::write(dir.path().join("ledger"), "").unwrap();
        let mut telling = Telling {
            story: self,
            world,
            dir: Arc::clone(&dir),
            sessions: Vec::new(),
            carried: 0,
        };
        telling.first(&book.text);
        telling.go_on();
        let (kills, resumes) = (
            telling
                .sessions
                .iter()
                .filter(|one| one.code == KILLED)
                .count(),
            telling.carried - 1,
        );
        Told {
            evidence: evidence(book, world, dir.path(), telling.sessions),
            resumes,
            kills,
        }
    }
}

/// Whether the journal ends in a way back that failed and that nobody went on with since.
fn has_failed_back(journal: &[Event]) -> bool {
    let mut stands = false;
    for event in journal {
        match &event.kind {
            EventKind::Run(RunEvent::Finished { status }) => {
                stands = *status == RunStatus::RollbackFailed;
            }
            EventKind::Operator(OperatorEvent::Ordered {
                order: Order::Rollback,
                ..
            }) => stands = false,
            _ => {}
        }
    }
    stands
}

/// Whether the run is over, and well: nothing goes on with it.
fn is_settled(journal: &[Event]) -> bool {
    let end = journal.iter().rev().map(Fact::of);
    let status = end.filter_map(|fact| fact.ends_with());
    matches!(
        status.take(1).next().as_deref(),
        Some("succeeded" | "rolled_back")
    )
}

fn evidence(book: Book, world: World, dir: &Path, sessions: Vec<Session>) -> Evidence {
    let mut leaks = Vec::new();
    holding(&dir.join("state"), CANARY, &mut leaks);
    for session in &sessions {
        if session.stdout.contains(CANARY) || session.stderr.contains(CANARY) {
            leaks.push(format!("`{}` said the secret", session.args));
        }
    }
    let journal = sessions.last().map_or(&[][..], |session| &session.journal);
    Evidence {
        known: book.known,
        ledger: world.read(dir),
        facts: journal.iter().map(Fact::of).collect(),
        leaks,
        left: left(dir),
        sessions,
    }
}

/// What is still at work after a moment in which what was told to end can end.
fn left(dir: &Path) -> Vec<String> {
    let until = Instant::now() + Duration::from_millis(500);
    loop {
        let found = at_work_in(dir);
        if found.is_empty() || Instant::now() >= until {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

struct Telling<'s> {
    story: &'s Story,
    world: World,
    dir: Arc<TempDir>,
    sessions: Vec<Session>,
    /// Sessions that carried the run on.
    carried: usize,
}

impl Telling<'_> {
    fn first(&mut self, text: &str) {
        for _ in 0..3 {
            let ferry = Ferry::again(&self.dir)
                .file("effect", EFFECT)
                .file("probe", PROBE)
                .runbook(text)
                .args(["--yes", "--json"]);
            self.carry("run", ferry);
            // killed before there was a run: nothing happened, and it is started anew
            if !self.last().journal.is_empty() {
                return;
            }
        }
    }

    fn last(&self) -> &Session {
        self.sessions.last().expect("there is a session")
    }

    /// The id of the latest run: one that was killed before its first event is none.
    fn id(&self) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let runs = runtime.block_on(async {
            let store = SqliteStore::open_read_only(&self.dir.path().join("state")).await;
            store.unwrap().runs().await.unwrap()
        });
        runs.first().expect("there is a run").id.clone()
    }

    fn go_on(&mut self) {
        let mut gone_back = false;
        while self.sessions.len() < MOST {
            let (code, asked) = (self.last().code, self.questions());
            if !asked.is_empty() && code != KILLED {
                for step in asked {
                    self.answer(&step);
                }
                // a way back that stands still is gone on with by its own name
                self.command(if code == 12 { "rollback" } else { "resume" });
                continue;
            }
            // killed behind the last commit: there is nothing to go on with
            if code == KILLED && is_settled(&self.last().journal) {
                return;
            }
            match code {
                // killed before its order was recorded: the way back still stands as it did
                KILLED if has_failed_back(&self.last().journal) => self.command("rollback"),
                KILLED | 13 | 70 | 74 | 129 | 130 | 143 => self.command("resume"),
                // once more, from where it stopped
                10 | 12 | 15 if !gone_back => {
                    gone_back = true;
                    self.command("rollback");
                }
                _ => return,
            }
        }
    }

    /// Steps of which the last session says that a person has to answer.
    fn questions(&self) -> Vec<String> {
        let asked = Regex::new(r"ferry answer (\S+) (\S+) ").unwrap();
        let last = self.last();
        let mut found: Vec<String> = asked
            .captures_iter(&format!("{}\n{}", last.stdout, last.stderr))
            .map(|captures| captures[2].trim_matches(['\'', '"', '`']).to_owned())
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// Says what the ledger says: of a step, or of an undo such as `s05.undo-1`.
    fn answer(&mut self, asked: &str) {
        let (key, wanted) = match asked.split_once(".undo") {
            Some((step, rest)) => {
                let item = rest.find('[').map_or("", |at| &rest[at..]);
                (format!("{step}{item}"), Way::Undo)
            }
            None => (asked.to_owned(), Way::Do),
        };
        let ledger = self.world.read(self.dir.path());
        let word = match last(&ledger, &key) == Some(wanted) {
            true => "done",
            false => "retry",
        };
        let run = self.id();
        let words = [
            "answer",
            &run,
            asked,
            word,
            "--reason",
            "as the ledger says",
        ];
        let mut ferry = Ferry::again(&self.dir).command(&words);
        if let Some(script) = self.other_binary() {
            ferry = ferry.through(&script);
        }
        let ran = ferry.run();
        self.keep(format!("answer {asked} {word}"), String::new(), ran);
    }

    fn command(&mut self, word: &str) {
        let run = self.id();
        let ferry = Ferry::again(&self.dir).command(&[word, &run]);
        self.carry(word, ferry);
    }

    /// Runs something that carries the run on, with what is to break this time.
    fn carry(&mut self, word: &str, ferry: Ferry) {
        let failpoint = self
            .story
            .failpoints
            .get(self.carried)
            .cloned()
            .unwrap_or_default();
        let mut ferry = ferry.env("CANARY", CANARY);
        if !failpoint.is_empty() {
            ferry = ferry.env("FERRY_FAILPOINT", &failpoint);
        }
        let own = self.story.through.get(self.carried);
        if let Some(script) = own.cloned().or_else(|| self.other_binary()) {
            ferry = ferry.through(&script);
        }
        self.carried += 1;
        let mut going = ferry.start();
        let hangs = !going.is_over_within(LONGEST);
        if hangs {
            going.signal(Signal::SIGKILL);
        }
        let mut ran = going.wait();
        if hangs {
            ran.code = HANGS;
        }
        self.keep(word.to_owned(), failpoint, ran);
    }

    /// Starts the other binary in the place of the one under test.
    fn other_binary(&self) -> Option<String> {
        let binary = self.story.binary.as_ref()?;
        Some(format!("shift; exec '{binary}' \"$@\""))
    }

    fn keep(&mut self, args: String, failpoint: String, ran: Ran) {
        self.sessions.push(Session {
            args,
            failpoint,
            code: ran.code,
            stdout: ran.stdout,
            stderr: ran.stderr,
            journal: ran.journal,
        });
    }
}

impl Told {
    /// Everything that does not hold, with the story, for a failed test.
    pub fn broken(&self, story: &Story) -> Option<String> {
        let broken = self.evidence.broken();
        (!broken.is_empty()).then(|| self.told(story, &broken))
    }

    /// The story in a few lines.
    pub fn told(&self, story: &Story, broken: &[Broken]) -> String {
        let mut text = format!("{story:?}\n");
        for one in broken {
            text.push_str(&format!("  {one}\n"));
        }
        let failed = self.evidence.facts.iter();
        for fact in failed.filter(|fact| fact.kind.ends_with(".failed")) {
            let failure = &fact.fields["failure"]["message"];
            text.push_str(&format!("    {} {failure}\n", fact.kind));
        }
        for session in &self.evidence.sessions {
            let tail: Vec<&str> = session.stderr.lines().rev().take(4).collect();
            text.push_str(&format!(
                "    {} [{}] -> {}: {}\n",
                session.args,
                session.failpoint,
                session.code,
                tail.into_iter().rev().collect::<Vec<_>>().join(" | ")
            ));
        }
        text
    }
}
