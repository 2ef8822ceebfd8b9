//! Events of people: what they ordered while a run was on, and what was refused.
//!
//! An order names who gave it and why. What follows from it stands in the events behind it.

use serde::{Deserialize, Serialize};

/// What a person said to a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorEvent {
    /// An order was taken.
    Ordered {
        /// Login name of who gave it.
        by: String,
        /// What.
        order: Order,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// An order was refused; nothing changed.
    Refused {
        /// Login name of who gave it.
        by: String,
        /// What.
        order: Order,
        /// Why it was refused.
        why: String,
    },
}

/// What people can tell a run to do (reliability contract 2.1 and 2.7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Finish what is in flight, start nothing.
    Pause,
    /// Go on.
    Resume,
    /// End what is in flight in order, start nothing, and go back.
    Cancel {
        /// Leave what was changed.
        #[serde(default)]
        no_rollback: bool,
    },
    /// End what is in flight now, and change nothing more.
    Abort,
    /// Go back, or go on with going back.
    Rollback,
    /// The answer to a question.
    Answer {
        /// The step, with its item, or the item of the way back.
        step: String,
        /// What.
        answer: Answer,
        /// The run's short code, where the question asks for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
    /// Leave something that could not be taken back as it is.
    Waive {
        /// The item of the way back, or the step that it takes back.
        step: String,
    },
    /// Nothing more will be done about it.
    Close,
}

impl Order {
    /// The command's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel { .. } => "cancel",
            Self::Abort => "abort",
            Self::Rollback => "rollback",
            Self::Answer { .. } => "answer",
            Self::Waive { .. } => "waive",
            Self::Close => "close",
        }
    }
}

/// Answers to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It took effect.
    Done,
    /// It did not take effect: do it.
    NotDone,
    /// Nobody knows, and it may be done again.
    Retry,
    /// Cross the point of no return.
    Proceed,
    /// Go back.
    Rollback,
    /// Stop here.
    Abort,
}

impl Answer {
    /// As it is typed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotDone => "not-done",
            Self::Retry => "retry",
            Self::Proceed => "proceed",
            Self::Rollback => "rollback",
            Self::Abort => "abort",
        }
    }
}

/// What a run waits to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Whether something that started took effect.
    InDoubt,
    /// Whether to cross the point of no return.
    PointOfNoReturn,
}

impl Question {
    /// What may be answered.
    pub fn answers(self) -> &'static [Answer] {
        match self {
            Self::InDoubt => &[
                Answer::Done,
                Answer::NotDone,
                Answer::Retry,
                Answer::Rollback,
                Answer::Abort,
            ],
            Self::PointOfNoReturn => &[Answer::Proceed, Answer::Rollback, Answer::Abort],
        }
    }
}
