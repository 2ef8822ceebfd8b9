//! Events of phases and steps on the way forward.
//!
//! A step is named by its id, with its item when it has one: `restart[2]`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Brief, Failure, How, Look, Question, Resolution};
use crate::expr::Evidence;

/// What happened to a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepEvent {
    /// A phase was left out with all its steps.
    PhaseSkipped {
        /// The phase.
        phase: String,
        /// Its `when`.
        evidence: Evidence,
    },
    /// The list of a `for_each` is known.
    Expanded {
        /// The step, without item.
        step: String,
        /// Its items.
        items: Vec<Value>,
    },
    /// What has to be read before it may start is being read.
    Checking {
        /// The step.
        step: String,
        /// The attempt that this is for, from 1.
        attempt: u32,
    },
    /// It was left out.
    Skipped {
        /// The step.
        step: String,
        /// Why.
        reason: SkipReason,
    },
    /// The intent: from here on it may have happened.
    Started {
        /// The step.
        step: String,
        /// From 1.
        attempt: u32,
        /// What `undo: auto` puts back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        captured: Option<Value>,
    },
    /// Its action is over and well; it is being waited for what is to follow.
    Acted {
        /// The step.
        step: String,
        /// The attempt.
        attempt: u32,
        /// What it returned.
        report: Box<Report>,
    },
    /// It is over and everything expected was met.
    Finished {
        /// The step.
        step: String,
        /// The attempt.
        attempt: u32,
        /// What it returned.
        report: Box<Report>,
    },
    /// An attempt failed.
    Failed {
        /// The step.
        step: String,
        /// The attempt.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// What there is of a result.
        report: Box<Report>,
        /// When it is tried again, in milliseconds since the Unix epoch; `None`: not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<i64>,
        /// The runbook says that its failure does not matter.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        tolerated: bool,
    },
    /// An attempt ended, or was lost, and whether it took effect is not known.
    InDoubt {
        /// The step.
        step: String,
        /// The attempt.
        attempt: u32,
        /// Why it is not known.
        failure: Failure,
    },
    /// Whether it took effect is being looked at.
    Examining {
        /// The step.
        step: String,
        /// The attempt that is in doubt.
        attempt: u32,
    },
    /// A person has to say how it goes on.
    Asked {
        /// The step.
        step: String,
        /// What is asked.
        question: Question,
        /// What there is to know, in a line.
        why: String,
        /// What its probe said.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<Evidence>,
        /// What they are shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        brief: Option<Box<Brief>>,
        /// The number of the question: an answer to another one is none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        nonce: String,
    },
    /// A doubt is settled.
    Resolved {
        /// The step.
        step: String,
        /// The attempt that was in doubt.
        attempt: u32,
        /// By what.
        how: How,
        /// To what.
        to: Resolution,
    },
    /// Somebody lets it start, or cross the point of no return.
    Approved {
        /// The step.
        step: String,
        /// Login name.
        by: String,
        /// Why.
        reason: String,
    },
    /// It failed before, and is due again because the run goes on.
    Reopened {
        /// The step.
        step: String,
    },
    /// It failed, and somebody leaves it at that: the run goes on.
    Accepted {
        /// The step.
        step: String,
        /// Login name.
        by: String,
        /// Why.
        reason: String,
    },
    /// What was looked at after it failed.
    Diagnosed {
        /// The step.
        step: String,
        /// Each look.
        looks: Vec<Look>,
    },
}

impl StepEvent {
    /// The step that it is about, with its item; `None` for a phase.
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::PhaseSkipped { .. } => None,
            Self::Expanded { step, .. }
            | Self::Checking { step, .. }
            | Self::Skipped { step, .. }
            | Self::Started { step, .. }
            | Self::Acted { step, .. }
            | Self::Finished { step, .. }
            | Self::Failed { step, .. }
            | Self::InDoubt { step, .. }
            | Self::Examining { step, .. }
            | Self::Asked { step, .. }
            | Self::Resolved { step, .. }
            | Self::Approved { step, .. }
            | Self::Accepted { step, .. }
            | Self::Diagnosed { step, .. }
            | Self::Reopened { step } => Some(step),
        }
    }
}

/// Why a step was left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Its `when` is false.
    When(Evidence),
    /// Its `done_when` says that its effect is there already.
    AlreadyDone(Vec<Evidence>),
    /// Its `for_each` has no items.
    NoItems,
    /// A person left it out.
    Person {
        /// Login name.
        by: String,
        /// Why.
        reason: String,
    },
}

/// What an attempt returned: bounded and masked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How long it took.
    pub took_ms: u64,
    /// What was done, in a line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub did: String,
    /// The action's result.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub result: Value,
    /// Values for later steps.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Value>,
    /// Each expectation with what it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// What should hold and does not: thresholds of the kind `warning`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Evidence>,
    /// Where the whole output is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputKept>,
    /// Whether trying a failed attempt again cannot help.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hopeless: bool,
    /// How long, in milliseconds, the target asks to be left alone after a failed attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// The output of a step as it was kept in the run directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputKept {
    /// File, relative to the run directory.
    pub file: String,
    /// Bytes that the step printed, after masking.
    pub bytes: u64,
    /// Bytes that were kept.
    pub kept: u64,
    /// SHA-256 of all of it, in hexadecimal.
    pub sha256: String,
}
