//! What a rehearsal found, for front ends. It is of no journal: a rehearsal leaves none.
//!
//! Main type: [`Rehearsal`], with an [`Entry`] for each step of each [`Walk`]. Figures and verdicts are
//! counted here and nowhere else. Texts in it are masked.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::expr::Evidence;

/// What a rehearsal says of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// Its condition leaves it out.
    LeftOut,
    /// It was carried out, because it only reads.
    Read,
    /// What it would do is known.
    Simulated,
    /// What it would do is not known.
    NotVerified,
}

impl Word {
    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::LeftOut => "left out",
            Self::Read => "really read",
            Self::Simulated => "simulated",
            Self::NotVerified => "not verified",
        }
    }
}

/// One step in one walk.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The phase, or `snapshots`, `undo`, `rollback`.
    pub phase: String,
    /// The step's id.
    pub step: String,
    /// Its place in the list of `for_each`, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<usize>,
    /// The action key.
    pub action: String,
    /// What is said of it.
    pub word: Word,
    /// Whether all that it would change is known; true for what was read.
    pub exact: bool,
    /// What it does, or would do, in a line.
    pub does: String,
    /// More lines of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub detail: Vec<String>,
    /// Its result, or what is known of it.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub result: Value,
    /// Expectations that were judged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Expectations that cannot be judged now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_judged: Vec<String>,
    /// Why it is not verified, or left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What is wrong already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// A way out of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What else is to be known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Milliseconds that reading took.
    pub took_ms: u64,
}

impl Entry {
    /// The step with its item, as events name it.
    pub fn name(&self) -> String {
        match self.item {
            None => self.step.clone(),
            Some(item) => format!("{}[{item}]", self.step),
        }
    }
}

/// The way through the runbook with one set of values.
#[derive(Clone, Debug, Serialize)]
pub struct Walk {
    /// The inputs with `choices`, and what they were.
    pub choices: BTreeMap<String, Value>,
    /// The steps that it came to, in order.
    pub entries: Vec<Entry>,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// The runbook's name.
    pub name: String,
    /// Its title.
    pub title: Option<String>,
    /// The digest of the plan of the first walk.
    pub digest: String,
    /// At least one.
    pub walks: Vec<Walk>,
    /// Combinations of choices that were not walked.
    pub not_walked: usize,
}

/// What is said of one step over all walks.
#[derive(Clone, Debug)]
pub struct Summed {
    /// The phase.
    pub phase: String,
    /// The step.
    pub step: String,
    /// The least that any walk knows of it; left out only when all leave it out.
    pub word: Word,
    /// Whether all that it would change is known in all walks.
    pub exact: bool,
    /// Why it is not verified.
    pub why: Option<String>,
    /// What is wrong with it, once for each text.
    pub problems: Vec<String>,
}

/// The steps of one phase, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub steps: usize,
    /// Really read.
    pub read: usize,
    /// Simulated, all that would change known.
    pub exact: usize,
    /// Simulated, what would be asked for known.
    pub shown: usize,
    /// Not verified, or reached by no walk.
    pub not_verified: usize,
    /// With something wrong.
    pub problems: usize,
}

impl Tally {
    /// The share of steps that were really read or simulated exactly, in hundredths, rounded down.
    pub fn fidelity(&self) -> usize {
        match self.steps {
            0 => 100,
            steps => (self.read + self.exact) * 100 / steps,
        }
    }

    fn count(&mut self, step: &Summed) {
        self.steps += 1;
        self.problems += usize::from(!step.problems.is_empty());
        match (step.word, step.exact) {
            (Word::Read, _) => self.read += 1,
            (Word::Simulated, true) => self.exact += 1,
            (Word::Simulated, false) => self.shown += 1,
            (Word::NotVerified | Word::LeftOut, _) => self.not_verified += 1,
        }
    }
}

impl Rehearsal {
    /// Every step once, in order.
    pub fn steps(&self) -> Vec<Summed> {
        let mut steps: Vec<Summed> = Vec::new();
        let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for entry in self.walks.iter().flat_map(|walk| &walk.entries) {
            let key = (entry.phase.as_str(), entry.step.as_str());
            let at = *places.entry(key).or_insert_with(|| {
                steps.push(Summed {
                    phase: entry.phase.clone(),
                    step: entry.step.clone(),
                    word: Word::LeftOut,
                    exact: true,
                    why: None,
                    problems: Vec::new(),
                });
                steps.len() - 1
            });
            let step = &mut steps[at];
            if entry.word == Word::NotVerified && step.why.is_none() {
                step.why.clone_from(&entry.why);
            }
            step.word = step.word.max(entry.word);
            step.exact &= entry.exact;
            let problem = entry.problem.iter();
            for problem in problem {
                if !step.problems.contains(problem) {
                    step.problems.push(problem.clone());
                }
            }
        }
        steps
    }

    /// Phases in order, counted, and all of it.
    pub fn tallies(&self) -> (Vec<(String, Tally)>, Tally) {
        let mut phases: Vec<(String, Tally)> = Vec::new();
        let mut all = Tally::default();
        for step in self.steps() {
            all.count(&step);
            let at = phases.iter().position(|(name, _)| *name == step.phase);
            let at = at.unwrap_or_else(|| {
                phases.push((step.phase.clone(), Tally::default()));
                phases.len() - 1
            });
            phases[at].1.count(&step);
        }
        (phases, all)
    }

    /// Whether something is wrong already.
    pub fn has_problems(&self) -> bool {
        let mut entries = self.walks.iter().flat_map(|walk| &walk.entries);
        entries.any(|entry| entry.problem.is_some())
    }

    /// Whether something stayed unverified: a step, one that no walk comes to, or a combination of
    /// choices that was not walked.
    pub fn is_incomplete(&self) -> bool {
        self.not_walked > 0 || self.tallies().1.not_verified > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(step: &str, word: Word, exact: bool) -> Entry {
        Entry {
            phase: "p".into(),
            step: step.into(),
            item: None,
            action: "shell".into(),
            word,
            exact,
            does: String::new(),
            detail: Vec::new(),
            result: Value::Null,
            evidence: Vec::new(),
            not_judged: Vec::new(),
            why: None,
            problem: None,
            hint: None,
            notes: Vec::new(),
            took_ms: 0,
        }
    }

    fn of(walks: &[&[(&str, Word, bool)]]) -> Rehearsal {
        let walk = |steps: &&[(&str, Word, bool)]| Walk {
            choices: BTreeMap::new(),
            entries: steps.iter().map(|(s, w, e)| entry(s, *w, *e)).collect(),
        };
        Rehearsal {
            name: "r".into(),
            title: None,
            digest: String::new(),
            walks: walks.iter().map(walk).collect(),
            not_walked: 0,
        }
    }

    #[test]
    fn a_step_counts_as_the_least_that_a_walk_knows_of_it() {
        use Word::{LeftOut, NotVerified, Read, Simulated};
        let found = of(&[
            &[
                ("a", Read, true),
                ("b", LeftOut, true),
                ("c", Simulated, true),
                ("d", LeftOut, true),
            ],
            &[
                ("a", Read, true),
                ("b", Simulated, false),
                ("c", NotVerified, false),
                ("d", LeftOut, true),
            ],
        ]);
        let words: Vec<_> = found.steps().iter().map(|step| step.word).collect();
        assert_eq!(words, [Read, Simulated, NotVerified, LeftOut]);
        let (phases, all) = found.tallies();
        assert_eq!(phases, [("p".to_owned(), all.clone())]);
        let expected = Tally {
            steps: 4,
            read: 1,
            exact: 0,
            shown: 1,
            not_verified: 2,
            problems: 0,
        };
        assert_eq!((all.fidelity(), all), (25, expected));
        assert!(found.is_incomplete() && !found.has_problems());
    }

    #[test]
    fn what_was_not_walked_is_incomplete() {
        let mut found = of(&[&[("a", Word::Read, true)]]);
        assert!(!found.is_incomplete());
        found.not_walked = 1;
        assert!(found.is_incomplete());
    }
}
