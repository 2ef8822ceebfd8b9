//! Events of the run as a whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Criterion, Failure, Outline, Person, SignOff, WindowOutline};

/// What happened to the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunEvent {
    /// Everything that the run stands on; always the first event.
    Planned(Box<Planned>),
    /// An engine took it up.
    Started {
        /// Login name of the operator.
        by: String,
        /// Host of the engine.
        host: String,
        /// Process of the engine.
        pid: u32,
        /// Whether it waits for people: one that does not parks the run instead.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        attended: bool,
        /// Whether it asks before each step and after each failure.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        guided: bool,
    },
    /// Something failed that ends the way forward; nothing new starts.
    Failed(RunFailure),
    /// Somebody or something asked to stop before the end.
    Stopping {
        /// Why.
        reason: Parking,
    },
    /// Stopped before the end; durable.
    Parked {
        /// Why.
        reason: Parking,
    },
    /// It is over.
    Finished {
        /// How.
        status: RunStatus,
    },
}

/// What a run stands on. The file on disk is not read again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// The runbook's name.
    pub name: String,
    /// Its title.
    pub title: Option<String>,
    /// The path as the operator gave it.
    pub source: String,
    /// The runbook's text.
    pub text: String,
    /// The plan's digest, SHA-256 in hexadecimal: what is approved.
    pub digest: String,
    /// Values of the inputs that are no secrets.
    pub inputs: BTreeMap<String, Value>,
    /// Names of the inputs that are.
    pub secrets: Vec<String>,
    /// Phases and steps for readers, so that they need no parser.
    pub outline: Outline,
    /// Options of the run.
    pub options: RunOptions,
    /// The version of ferry.
    pub version: String,
    /// Where relative paths of the runbook start.
    #[serde(default)]
    pub base_dir: String,
    /// SHA-256 of the runbook's text before masking, in hexadecimal: tells whether the text above,
    /// or a file, is what was planned.
    #[serde(default)]
    pub text_sha256: String,
    /// The roles of the runbook, and who has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<Person>,
    /// Whose signatures the runbook asks for.
    #[serde(default)]
    pub sign_off: SignOff,
    /// What makes it a success.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub criteria: Vec<Criterion>,
    /// Keys that may sign, in the form of an `allowed_signers` file of OpenSSH, as it was when the run
    /// was planned; empty where the runbook names none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub signers: String,
    /// The time that it is allowed.
    #[serde(default, skip_serializing_if = "WindowOutline::is_empty")]
    pub window: WindowOutline,
}

/// How a run is to be carried out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunOptions {
    /// Steps in flight at once; `None`: as the runbook says.
    pub max_parallel: Option<usize>,
    /// Stop at a failure instead of going back.
    pub no_rollback: bool,
    /// Rules that somebody let it start against.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waived: Vec<StartWaiver>,
    /// The environment whose values the inputs have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Whether it rehearses: it is carried out for real, and not on what it is written for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rehearsal: bool,
    /// Turn back once this step is over and well, as an undo drill does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Whether people are told what happens.
    #[serde(default, skip_serializing_if = "CommsMode::is_on")]
    pub comms: CommsMode,
}

/// Whether messages of `comms` are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommsMode {
    /// To their channels.
    #[default]
    On,
    /// All of them, marked, to the channel `test`, or to the terminal where there is none.
    Test,
    /// Not at all.
    Off,
}

impl CommsMode {
    /// Whether they go to their channels.
    pub fn is_on(&self) -> bool {
        *self == Self::On
    }
}

/// A rule that somebody let a run start against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartWaiver {
    /// Which.
    pub rule: StartRule,
    /// Login name.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
}

/// What has to hold before a run starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartRule {
    /// The window of the calendar.
    Window,
}

impl StartRule {
    /// What was done against it, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Window => "started outside the window",
        }
    }
}

impl RunOptions {
    /// `run`, `rehearsal` or `drill`.
    pub fn kind(&self) -> &'static str {
        match (self.rehearsal, &self.until) {
            (true, Some(_)) => "drill",
            (true, None) => "rehearsal",
            (false, _) => "run",
        }
    }

    /// What kind of rehearsal it is, in words; `None` for a run that is meant.
    pub fn elsewhere(&self) -> Option<String> {
        let place = self.environment.as_deref().unwrap_or("no environment");
        match (self.rehearsal, &self.until) {
            (true, Some(step)) => Some(format!("undo drill up to `{step}`, in `{place}`")),
            (true, None) => Some(format!("dress rehearsal, in `{place}`")),
            (false, _) => None,
        }
    }
}

/// The failure that ended the way forward.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFailure {
    /// The step, with its item.
    pub step: Option<String>,
    /// Its phase.
    pub phase: Option<String>,
    /// Why.
    pub failure: Failure,
}

impl RunFailure {
    /// One line: step and reason.
    pub fn summary(&self) -> String {
        match &self.step {
            Some(step) => format!("step `{step}`: {}", self.failure.message),
            None => self.failure.message.clone(),
        }
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Nothing has started.
    #[default]
    Planned,
    /// On its way.
    Running,
    /// Stopped before the end, to be gone on with.
    Waiting,
    /// Being ended by an order, before it goes back.
    Cancelling,
    /// On its way back.
    RollingBack,
    /// Every phase is over and every expectation was met.
    Succeeded,
    /// It failed and was left where it stood.
    Failed,
    /// It failed, and everything is taken back and proven.
    RolledBack,
    /// It failed, and going back failed too.
    RollbackFailed,
    /// An order ended it, and nothing was left to take back.
    Cancelled,
    /// An order ended it at once, and everything was left where it stood.
    Aborted,
    /// Somebody said that nothing more will be done about it.
    Closed,
}

impl RunStatus {
    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Cancelling => "cancelling",
            Self::RollingBack => "rolling back",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::RolledBack => "rolled back",
            Self::RollbackFailed => "rollback failed",
            Self::Cancelled => "cancelled",
            Self::Aborted => "aborted",
            Self::Closed => "closed",
        }
    }

    /// Whether nothing more happens by itself.
    pub fn is_over(self) -> bool {
        !self.is_active()
    }

    /// Whether an engine carries it on, or has to: without one that lives it is interrupted.
    pub fn is_active(self) -> bool {
        matches!(
            self,
            Self::Planned | Self::Running | Self::Cancelling | Self::RollingBack
        )
    }

    /// Whether it stands still before its end and a person has to say how it goes on.
    pub fn is_parked(self) -> bool {
        matches!(
            self,
            Self::Waiting | Self::Failed | Self::Aborted | Self::RollbackFailed
        )
    }
}

/// Why a run stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parking {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    Hangup,
    /// An order to pause.
    Paused,
    /// A guard holds it.
    Held,
    /// Something has to be answered first.
    Question,
    /// The journal could not be written.
    Journal,
}

impl Parking {
    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Interrupt => "interrupted",
            Self::Terminate => "told to terminate",
            Self::Hangup => "the terminal went away",
            Self::Paused => "paused",
            Self::Held => "held by a guard",
            Self::Question => "a question is open",
            Self::Journal => "the journal could not be written",
        }
    }
}
