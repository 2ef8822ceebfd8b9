//! Events of people: what they ordered while a run was on, and what was refused.
//!
//! An order names who gave it and why. What follows from it stands in the events behind it.

use serde::{Deserialize, Serialize};

use super::{CloseOut, Confirmation, Note, Signature, Vote};

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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// A vote for what an approval asks.
    Approve {
        /// The step.
        step: String,
        /// Whose, and for what.
        vote: Vote,
    },
    /// A vote against it.
    Reject {
        /// The step.
        step: String,
        /// Whose, and for what.
        vote: Vote,
    },
    /// A manual step was done.
    Confirm {
        /// The step.
        step: String,
        /// What was confirmed.
        confirmation: Box<Confirmation>,
    },
    /// Leave out everything that has not started before this step.
    Jump {
        /// The step to go on with.
        to: String,
    },
    /// Ask before each step, or stop asking.
    Guide {
        /// Only in this phase; `None`: everywhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<String>,
        /// Whether to ask.
        on: bool,
    },
    /// Look at what the runbook says to look at when this step fails.
    Diagnose {
        /// The step.
        step: String,
    },
    /// For the record.
    Note {
        /// What.
        note: Note,
    },
    /// A signature under what stands in the journal.
    Sign {
        /// Whose, and under what.
        signature: Box<Signature>,
    },
    /// A criterion is judged after the run.
    CloseOut {
        /// Which, and to what.
        close_out: Box<CloseOut>,
    },
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
            Self::Approve { .. } => "approve",
            Self::Reject { .. } => "reject",
            Self::Confirm { .. } => "confirm",
            Self::Jump { .. } => "jump",
            Self::Guide { .. } => "guide",
            Self::Diagnose { .. } => "diagnose",
            Self::Note { .. } => "note",
            Self::Sign { .. } => "sign",
            Self::CloseOut { .. } => "close-out",
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
    /// Go on with it: cross the point of no return, start the step.
    Proceed,
    /// Leave it out, or leave its failure as it is, and go on.
    Skip,
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
            Self::Skip => "skip",
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
    /// Whether to start a step of a guided run.
    Start,
    /// What to do about a step that failed in a guided run.
    Failure,
    /// A person has to do something, and to confirm it.
    Manual,
    /// People have to agree.
    Approval,
    /// Whether to go on although a guard does not hold, or cannot tell. It is never asked about a step:
    /// orders to go on, or back, answer it.
    Held,
}

impl Question {
    /// Whether nothing new starts before it is answered; a gate holds only what comes behind it.
    pub fn holds(self) -> bool {
        !matches!(self, Self::Manual | Self::Approval)
    }

    /// As it is asked, in a few words.
    pub fn words(self) -> &'static str {
        match self {
            Self::InDoubt => "did it take effect?",
            Self::PointOfNoReturn => "cross the point of no return?",
            Self::Start => "start it?",
            Self::Failure => "it failed: what now?",
            Self::Manual => "to be done by hand",
            Self::Approval => "to be approved",
            Self::Held => "go on although the guard does not hold?",
        }
    }

    /// What may be answered with `ferry answer`; manual steps are confirmed and approvals voted on
    /// beside that.
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
            Self::Start => &[
                Answer::Proceed,
                Answer::Skip,
                Answer::Rollback,
                Answer::Abort,
            ],
            Self::Failure => &[Answer::Retry, Answer::Skip, Answer::Rollback, Answer::Abort],
            Self::Manual => &[Answer::Skip, Answer::Rollback, Answer::Abort],
            Self::Held => &[],
            // who may decide rejects; nobody passes over it
            Self::Approval => &[Answer::Rollback, Answer::Abort],
        }
    }
}
