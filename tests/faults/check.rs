//! The invariants I1 to I9, read off the ledger, the journal, the exit codes and the process table.
//!
//! [`Evidence`] is all that a story left; [`Evidence::broken`] says what does not hold. The journal is
//! read by the names of its events, so that this judges the record and not the code that wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ferry::event::Event;
use serde_json::Value;

use super::book::{Known, Nature};
use super::drive::{HANGS, KILLED};
use super::fact::Fact;
use super::ledger::{Entry, Way, last};

/// What the invariants are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// An acknowledged event, or the effect of a finished step, is not there.
    Lost,
    /// An effect that may be there once is there twice.
    Doubled,
    /// Something happened that no state allows.
    Illegal,
}

/// One thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// `I1` to `I9`.
    pub invariant: &'static str,
    pub rule: Rule,
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}): {}", self.invariant, self.rule, self.what)
    }
}

/// What a process said and how it ended.
#[derive(Clone, Debug)]
pub struct Session {
    pub args: String,
    pub failpoint: String,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// The journal when it was over.
    pub journal: Vec<Event>,
}

/// All that a story left.
pub struct Evidence {
    pub known: Vec<Known>,
    pub ledger: Vec<Entry>,
    pub facts: Vec<Fact>,
    pub sessions: Vec<Session>,
    /// Artefacts that hold it all the same.
    pub leaks: Vec<String>,
    /// Processes that are still there.
    pub left: Vec<String>,
}

/// How much earlier than its intent an effect's own clock may say that it was, in microseconds.
const SLACK: i64 = 2_000;

impl Evidence {
    /// Everything that does not hold.
    pub fn broken(&self) -> Vec<Broken> {
        let mut found = Vec::new();
        self.acknowledged(&mut found);
        for known in &self.known {
            self.effects_of(known, &mut found);
        }
        self.way_back(&mut found);
        self.states(&mut found);
        self.end(&mut found);
        let say = |invariant, what: String| Broken {
            invariant,
            rule: Rule::Illegal,
            what,
        };
        found.extend(self.leaks.iter().map(|leak| say("I8", leak.clone())));
        found.extend(self.left.iter().map(|left| say("I9", left.clone())));
        found
    }

    /// I1: what was told, and what a journal held once, it holds at the end.
    fn acknowledged(&self, found: &mut Vec<Broken>) {
        let mut lost = |what: String| {
            found.push(Broken {
                invariant: "I1",
                rule: Rule::Lost,
                what,
            });
        };
        for (at, fact) in self.facts.iter().enumerate() {
            if fact.seq != at as u64 + 1 {
                lost(format!("event {} stands at place {}", fact.seq, at + 1));
                return;
            }
        }
        let there: BTreeMap<u64, &str> = self
            .facts
            .iter()
            .map(|fact| (fact.seq, fact.kind.as_str()))
            .collect();
        for session in &self.sessions {
            for line in session.stdout.lines() {
                let Ok(told) = serde_json::from_str::<Value>(line) else {
                    continue;
                };
                let (Some(seq), Some(kind)) = (told["seq"].as_u64(), told["event"].as_str()) else {
                    continue;
                };
                if there.get(&seq) != Some(&kind.replace("phase.", "step.phase_").as_str()) {
                    lost(format!("`{}` told event {seq} `{kind}`", session.args));
                }
            }
            for event in &session.journal {
                let kept = Fact::of(event);
                let now = self.facts.get(usize::try_from(event.seq).unwrap() - 1);
                if now.is_none_or(|now| now.kind != kept.kind || now.fields != kept.fields) {
                    lost(format!("event {} was `{}`", event.seq, kept.kind));
                }
            }
        }
    }

    fn of_step<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Fact> {
        self.facts
            .iter()
            .filter(move |fact| fact.step() == Some(key))
    }

    fn entries<'a>(&'a self, key: &'a str, way: Way) -> impl Iterator<Item = &'a Entry> {
        let of = move |entry: &&Entry| entry.key == key && entry.way == way;
        self.ledger.iter().filter(of)
    }

    /// I2, I3, I4 for one step.
    fn effects_of(&self, known: &Known, found: &mut Vec<Broken>) {
        let key = known.key.as_str();
        let mut say = |invariant, rule, what: String| {
            found.push(Broken {
                invariant,
                rule,
                what: format!("`{key}`: {what}"),
            });
        };
        let did: Vec<&Entry> = self.entries(key, Way::Do).collect();
        let started: Vec<&Fact> = self
            .of_step(key)
            .filter(|fact| fact.kind == "step.started")
            .collect();
        let done = self.of_step(key).any(Fact::is_done);
        if known.nature != Nature::Idempotent && did.len() > 1 {
            say("I2", Rule::Doubled, format!("done {} times", did.len()));
        }
        if done && did.is_empty() {
            say(
                "I2",
                Rule::Lost,
                "done by the journal, not by the ledger".into(),
            );
        }
        if did.len() > started.len() {
            let what = format!("{} effects, {} intents", did.len(), started.len());
            say("I3", Rule::Illegal, what);
        }
        let (Some(first), Some(intent)) = (did.first(), started.first()) else {
            return;
        };
        if intent.at * 1_000 > first.at + SLACK {
            say(
                "I3",
                Rule::Illegal,
                "its effect is older than its intent".into(),
            );
        }
        for parent in &known.after {
            let over = self.of_step(parent).find(|fact| fact.is_done());
            let good = over
                .is_some_and(|over| over.seq < intent.seq && over.at * 1_000 <= first.at + SLACK);
            if !good {
                let what = format!("began before `{parent}` was over");
                say("I4", Rule::Illegal, what);
            }
        }
    }

    /// Items of the way back that undo a step: place in the list, key.
    fn undos(&self) -> Vec<(usize, String)> {
        let planned = self
            .facts
            .iter()
            .find(|fact| fact.kind == "rollback.planned");
        let items = planned.and_then(|fact| fact.fields["items"].as_array());
        let items = items.into_iter().flatten().enumerate();
        items
            .filter_map(|(at, item)| Some((at, item.get("of")?.as_str()?.to_owned())))
            .collect()
    }

    /// I5: latest first along the graph, each once, and none forgotten.
    fn way_back(&self, found: &mut Vec<Broken>) {
        let mut say = |rule, what: String| {
            found.push(Broken {
                invariant: "I5",
                rule,
                what,
            });
        };
        let undos = self.undos();
        let planned: BTreeSet<&str> = undos.iter().map(|(_, key)| key.as_str()).collect();
        for known in &self.known {
            let key = known.key.as_str();
            let undone: Vec<&Entry> = self.entries(key, Way::Undo).collect();
            if undone.len() > 1 && known.nature != Nature::Idempotent {
                say(
                    Rule::Doubled,
                    format!("`{key}`: undone {} times", undone.len()),
                );
            }
            if !undone.is_empty() && !planned.contains(key) {
                say(Rule::Illegal, format!("`{key}`: undone, and in no list"));
            }
            for parent in &known.after {
                let earlier = self.entries(parent, Way::Undo).next();
                if let (Some(last), Some(earlier)) = (undone.last(), earlier)
                    && earlier.at < last.at
                {
                    let what = format!("`{parent}` was undone before `{key}`, which stands on it");
                    say(Rule::Illegal, what);
                }
            }
        }
        for (item, key) in &undos {
            let of = || {
                self.facts
                    .iter()
                    .filter(|fact| fact.kind.starts_with("rollback.") && fact.item() == Some(*item))
            };
            let intents = of().filter(|fact| fact.kind == "rollback.started").count();
            let undone = self.entries(key, Way::Undo).count();
            if undone > intents {
                let what = format!("`{key}`: {undone} undos, {intents} intents");
                say(Rule::Illegal, what);
            }
            if of().any(Fact::is_done) && last(&self.ledger, key) == Some(Way::Do) {
                say(
                    Rule::Lost,
                    format!("`{key}`: undone by the journal, not by the ledger"),
                );
            }
        }
        if self.status().as_deref() == Some("rolled_back") {
            for known in &self.known {
                if last(&self.ledger, &known.key) == Some(Way::Do) {
                    let what =
                        format!("`{}` is still there, and the run is rolled back", known.key);
                    say(Rule::Lost, what);
                }
            }
        }
    }

    /// I6: no event that its step's, item's or run's state does not allow.
    fn states(&self, found: &mut Vec<Broken>) {
        let mut say = |fact: &Fact, why: &str| {
            let name = fact
                .step()
                .map_or(String::new(), |step| format!(" `{step}`"));
            found.push(Broken {
                invariant: "I6",
                rule: Rule::Illegal,
                what: format!("event {} `{}`{name} {why}", fact.seq, fact.kind),
            });
        };
        let (mut flying, mut done) = (BTreeSet::new(), BTreeSet::new());
        let (mut back, mut settled) = (false, false);
        for fact in &self.facts {
            let subject = match (fact.step(), fact.item()) {
                (Some(step), _) => step.to_owned(),
                (None, Some(item)) => format!("item {item}"),
                (None, None) => String::new(),
            };
            if settled && !fact.kind.starts_with("operator.") {
                say(fact, "after the end");
            }
            match fact.kind.as_str() {
                "run.planned" if fact.seq != 1 => say(fact, "twice"),
                "run.finished" => {
                    let status = fact.fields["status"].as_str().unwrap_or_default();
                    settled =
                        matches!(status, "succeeded" | "rolled_back" | "cancelled" | "closed");
                }
                "rollback.planned" if back => say(fact, "twice"),
                "rollback.planned" => back = true,
                "step.started" if back => say(fact, "on the way back"),
                "step.started" | "rollback.started" => {
                    if done.contains(&subject) {
                        say(fact, "though it was done");
                    }
                    if !flying.insert(subject.clone()) {
                        say(fact, "though it was in flight");
                    }
                }
                "step.finished" | "rollback.finished" if !flying.remove(&subject) => {
                    say(fact, "though it was not in flight");
                }
                "step.failed" | "rollback.failed" | "step.in_doubt" | "rollback.in_doubt" => {
                    flying.remove(&subject);
                }
                _ => {}
            }
            if fact.is_done() && !done.insert(subject) {
                say(fact, "though it was done");
            }
        }
    }

    /// Where the run stands by its journal.
    pub fn status(&self) -> Option<String> {
        self.facts.iter().rev().find_map(Fact::ends_with)
    }

    /// I6 and I7: the exit code is that of the state; what is not over says how it goes on.
    fn end(&self, found: &mut Vec<Broken>) {
        let mut say = |invariant, what: String| {
            found.push(Broken {
                invariant,
                rule: Rule::Illegal,
                what,
            });
        };
        let carries_on = |session: &&Session| !session.args.starts_with("answer");
        let Some(end) = self.sessions.iter().rev().find(carries_on) else {
            return;
        };
        let hung = self.sessions.iter().filter(|session| session.code == HANGS);
        for session in hung {
            say(
                "I7",
                format!("`{}` hung [{}]", session.args, session.failpoint),
            );
        }
        let status = self.status().unwrap_or_else(|| "interrupted".into());
        let partial = self.facts.iter().any(|fact| {
            fact.kind == "rollback.planned"
                && fact.fields["not_undone"]
                    .as_array()
                    .is_some_and(|left| !left.is_empty())
        });
        let fits = match (status.as_str(), end.code) {
            // killed when all was said and done
            ("succeeded" | "rolled_back", KILLED) => true,
            ("succeeded", code) => code == 0,
            ("rolled_back", code) => code == if partial { 12 } else { 11 },
            ("rollback_failed", code) => code == 12 || code == 13,
            ("failed", code) => code == 10,
            ("cancelled", code) => code == 14,
            ("aborted", code) => code == 15,
            ("waiting", code) => matches!(code, 13 | 74 | 129 | 130 | 143),
            _ => false,
        };
        if !fits {
            say(
                "I6",
                format!(
                    "`{}` ended with {}, and the run is {status}",
                    end.args, end.code
                ),
            );
        }
        let over = matches!(status.as_str(), "succeeded" | "rolled_back" | "cancelled");
        let told = format!("{}{}", end.stdout, end.stderr);
        let next = ["resume", "answer", "rollback", "waive", "close"]
            .iter()
            .any(|word| told.contains(&format!("ferry {word} ")));
        if !over && !next {
            say(
                "I7",
                format!("the run is {status}, and no command is named that goes on"),
            );
        }
    }
}
