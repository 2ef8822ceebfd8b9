//! Events of what is watched: guards, and steps with `watch`.
//!
//! A *check* is one thing that is looked at again and again by one rule; it has the name of its guard
//! or of its step (with its item). A look is kept as a [`Sample`] when it says something new, and at
//! most every so often when it does not: what was not kept is in the [`Tally`] of the next that was.
//! What nobody looked at is said (`missed`), never made up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::expr::{Evidence, Verdict};

/// What happened about a check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckEvent {
    /// It is looked at from now on, with an empty tally.
    Began {
        /// The guard, or the step with its item.
        check: String,
        /// What it is and by what rule it is judged, for readers.
        outline: Box<CheckOutline>,
    },
    /// An engine goes on with looking: the one before ended, or the run stood still.
    GoesOn {
        /// The check.
        check: String,
        /// Looks that were due since the last that is known, and did not take place.
        missed: u64,
    },
    /// A look that is kept.
    Looked {
        /// The check.
        check: String,
        /// The look.
        sample: Box<Sample>,
        /// All looks so far, this one among them.
        tally: Box<Tally>,
    },
    /// Its rule came to a verdict.
    Judged {
        /// The check.
        check: String,
        /// The verdict.
        judgement: Box<Judgement>,
    },
    /// It is looked at no more: the phases of a guard are over.
    Ended {
        /// The check.
        check: String,
        /// What all its looks came to; a guard that saw nothing did not pass.
        judgement: Box<Judgement>,
    },
}

impl CheckEvent {
    /// The check that it is about.
    pub fn check(&self) -> &str {
        match self {
            Self::Began { check, .. }
            | Self::GoesOn { check, .. }
            | Self::Looked { check, .. }
            | Self::Judged { check, .. }
            | Self::Ended { check, .. } => check,
        }
    }
}

/// What a check comes to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in a line.
    pub why: String,
    /// All looks.
    pub tally: Tally,
    /// The expectations of the last look, and of trends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// What follows from it; `None`: nothing, or what follows from the end of its step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Then>,
}

/// What follows when a guard does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The run fails and goes back.
    Rollback,
    /// Nothing new starts until a person says how it goes on.
    Pause,
    /// It is recorded and told, and the run goes on.
    Notify,
}

impl Then {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Pause => "pause",
            Self::Notify => "notify",
        }
    }
}

/// What readers need to know of a check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckOutline {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether it is a guard; else a step with `watch`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guard: bool,
    /// The action key.
    pub action: String,
    /// The target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Milliseconds from one look to the next.
    pub every_ms: u64,
    /// How long it goes on, in milliseconds; `None`: by count, or while its phases run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_ms: Option<u64>,
    /// How many looks are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Phases that a guard watches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub during: Vec<String>,
    /// Its rule, in a line: `more than 2 of its looks fail`.
    pub rule: String,
    /// What follows when it does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Then>,
    /// Whether its failing time is the measured downtime.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub downtime: bool,
    /// Expectations, in the words of the runbook.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<String>,
    /// Expectations by time after the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bands: Vec<BandOutline>,
    /// Trends that are wanted, such as `keys rising`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trends: Vec<String>,
    /// The parts of the result that its samples keep, most important first: `hit_rate`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watched: Vec<String>,
}

/// A time band.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BandOutline {
    /// From how many milliseconds after the start.
    pub from_ms: u64,
    /// What is expected.
    pub expect: Vec<String>,
}

/// One look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Which look it is, from 1; those that were not kept are counted.
    pub nth: u64,
    /// When it began, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Milliseconds since the check began.
    pub elapsed_ms: u64,
    /// How long it took.
    pub took_ms: u64,
    /// What it came to.
    pub verdict: Verdict,
    /// Numbers that its expectations are about, by their path in the result.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, f64>,
    /// Its expectations: all of the first look and of those that did not pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Thresholds of the kind `warning` that it crossed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Evidence>,
    /// Why there was nothing to judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The time band that it was judged by, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<usize>,
    /// It came before the first time band: nothing was expected of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub early: bool,
    /// It was `unless`: what it came to has no consequence.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub excused: bool,
    /// Looks that were due since the one before and did not take place.
    #[serde(default, skip_serializing_if = "zero")]
    pub missed: u64,
    /// By how many milliseconds the clock of the wall jumped since the one before.
    #[serde(default, skip_serializing_if = "no_jump")]
    pub clock_jump_ms: i64,
}

/// All looks of a check so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Looks that took place.
    pub looks: u64,
    /// Those that passed.
    pub passed: u64,
    /// Of those, the ones that crossed a warning threshold.
    #[serde(default, skip_serializing_if = "zero")]
    pub warned: u64,
    /// Those that failed.
    #[serde(default, skip_serializing_if = "zero")]
    pub failed: u64,
    /// Those without the data to judge by.
    #[serde(default, skip_serializing_if = "zero")]
    pub inconclusive: u64,
    /// Those that could not be read, or not be judged.
    #[serde(default, skip_serializing_if = "zero")]
    pub errors: u64,
    /// Those that were `unless`, whatever they came to; they count nowhere else.
    #[serde(default, skip_serializing_if = "zero")]
    pub excused: u64,
    /// Those before the first time band; they count nowhere else.
    #[serde(default, skip_serializing_if = "zero")]
    pub early: u64,
    /// Looks that were due and did not take place.
    #[serde(default, skip_serializing_if = "zero")]
    pub missed: u64,
    /// Passes in a row, up to now.
    #[serde(default, skip_serializing_if = "zero")]
    pub passed_row: u64,
    /// Fails in a row, up to now.
    #[serde(default, skip_serializing_if = "zero")]
    pub failed_row: u64,
    /// Inconclusive looks in a row, up to now.
    #[serde(default, skip_serializing_if = "zero")]
    pub inconclusive_row: u64,
    /// Errors in a row, up to now.
    #[serde(default, skip_serializing_if = "zero")]
    pub error_row: u64,
    /// When the first look began, in milliseconds since the Unix epoch; 0 before it.
    #[serde(default, skip_serializing_if = "no_jump")]
    pub first_at: i64,
    /// When the last look began.
    #[serde(default, skip_serializing_if = "no_jump")]
    pub last_at: i64,
    /// Milliseconds since the check began, at its last look.
    #[serde(default, skip_serializing_if = "zero")]
    pub elapsed_ms: u64,
    /// Milliseconds of failing that are over: from a look that failed to the next that did not.
    #[serde(default, skip_serializing_if = "zero")]
    pub failing_ms: u64,
    /// How many times it began to fail.
    #[serde(default, skip_serializing_if = "zero")]
    pub failing_spans: u64,
    /// Since when it fails, in milliseconds since the Unix epoch; `None`: it does not, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<i64>,
    /// How many times the clock of the wall jumped between two looks.
    #[serde(default, skip_serializing_if = "zero")]
    pub clock_jumps: u64,
    /// How many samples were kept.
    pub kept: u64,
    /// Time bands that some look was judged by, from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bands: Vec<usize>,
    /// Those in which some look passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bands_passed: Vec<usize>,
}

impl Tally {
    /// Looks that count: neither excused nor before the first band.
    pub fn counted(&self) -> u64 {
        self.passed + self.failed + self.inconclusive + self.errors
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn zero(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn no_jump(ms: &i64) -> bool {
    *ms == 0
}
