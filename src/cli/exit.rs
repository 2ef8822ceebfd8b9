//! Exit codes, each with its meaning; the README's table is held against this one by a test.

/// Every way that ferry ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It succeeded, or the question was answered.
    Done,
    /// Failed and left where it stood.
    Failed,
    /// Failed, and everything is taken back.
    RolledBack,
    /// Failed, and going back failed or is partial.
    RollbackFailed,
    /// A person has to answer something first.
    Waiting,
    /// Cancelled, and nothing was left to take back.
    Cancelled,
    /// Aborted, and left where it stood.
    Aborted,
    /// What was asked for does not hold.
    Unmet,
    /// Cancelled, and everything is taken back.
    CancelledBack,
    /// A rehearsal found what would fail.
    RehearsalProblems,
    /// A rehearsal could not tell everything.
    RehearsalIncomplete,
    /// Wrong usage.
    Usage,
    /// The runbook or an input is invalid.
    Invalid,
    /// The runbook, the run or the state directory is not there.
    Missing,
    /// A target cannot be reached; nothing was started.
    Unavailable,
    /// A defect of ferry.
    Internal,
    /// The system refused: processes, files, signals.
    System,
    /// The journal does not hold together.
    Corrupt,
    /// A report or other answer could not be written.
    CannotWrite,
    /// The journal could not be written.
    JournalFailed,
    /// Somebody else holds the run or the store.
    Locked,
    /// The store is newer than this ferry.
    Newer,
    /// Not permitted.
    NotPermitted,
    /// A setting is refused.
    Refused,
    /// Another engine took the run over.
    Fenced,
    /// Parked by SIGHUP.
    Hangup,
    /// Parked by SIGINT.
    Interrupted,
    /// Parked by SIGTERM.
    Terminated,
}

impl Exit {
    /// All of them, by code.
    pub const ALL: [Self; 28] = [
        Self::Done,
        Self::Failed,
        Self::RolledBack,
        Self::RollbackFailed,
        Self::Waiting,
        Self::Cancelled,
        Self::Aborted,
        Self::Unmet,
        Self::RehearsalProblems,
        Self::RehearsalIncomplete,
        Self::Fenced,
        Self::CancelledBack,
        Self::Usage,
        Self::Invalid,
        Self::Missing,
        Self::Unavailable,
        Self::Internal,
        Self::System,
        Self::Corrupt,
        Self::CannotWrite,
        Self::JournalFailed,
        Self::Locked,
        Self::Newer,
        Self::NotPermitted,
        Self::Refused,
        Self::Hangup,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 10,
            Self::RolledBack => 11,
            Self::RollbackFailed => 12,
            Self::Waiting => 13,
            Self::Cancelled => 14,
            Self::Aborted => 15,
            Self::Unmet => 16,
            Self::RehearsalProblems => 17,
            Self::RehearsalIncomplete => 18,
            Self::Fenced => 20,
            Self::CancelledBack => 21,
            Self::Usage => 64,
            Self::Invalid => 65,
            Self::Missing => 66,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::System => 71,
            Self::Corrupt => 72,
            Self::CannotWrite => 73,
            Self::JournalFailed => 74,
            Self::Locked => 75,
            Self::Newer => 76,
            Self::NotPermitted => 77,
            Self::Refused => 78,
            Self::Hangup => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The meaning, as the README has it.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "succeeded, or the question was answered",
            Self::Failed => "failed and parked, not rolled back",
            Self::RolledBack => "failed and rolled back completely",
            Self::RollbackFailed => "rollback failed or is partial: a person is needed",
            Self::Waiting => "waiting for an answer, or paused: a person is needed",
            Self::Cancelled => "cancelled, with nothing left to take back",
            Self::Aborted => "aborted and left where it stood",
            Self::Unmet => "what was required of the plan, or of a look, does not hold",
            Self::RehearsalProblems => "the rehearsal found problems",
            Self::RehearsalIncomplete => "the rehearsal, or a look, left something unverified",
            Self::Fenced => "another engine took the run over",
            Self::CancelledBack => "cancelled and rolled back completely",
            Self::Usage => "wrong usage, or an order that the run cannot take now",
            Self::Invalid => "the runbook or an input is invalid",
            Self::Missing => "the runbook, the run or the state directory is missing",
            Self::Unavailable => "a target cannot be reached, and nothing was started",
            Self::Internal => "a defect of ferry",
            Self::System => "the operating system refused",
            Self::Corrupt => "the journal is damaged",
            Self::CannotWrite => "a report or answer cannot be written",
            Self::JournalFailed => "the journal cannot be written",
            Self::Locked => {
                "the run, its lock or the store is held, or the window is closed: try later"
            }
            Self::Newer => "the store is newer than this ferry",
            Self::NotPermitted => "not permitted",
            Self::Refused => "a setting is refused",
            Self::Hangup => "parked by SIGHUP",
            Self::Interrupted => "parked by SIGINT",
            Self::Terminated => "parked by SIGTERM",
        }
    }
}
