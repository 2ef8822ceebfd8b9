//! Messages to people in the model: channels, and what is told where and when.

use super::model::Sp;
use crate::expr::Template;

/// The whole of `comms`.
#[derive(Clone, Debug, Default)]
pub struct CommsDef {
    /// Where messages go.
    pub channels: Vec<ChannelDef>,
    /// What is told.
    pub rules: Vec<RuleDef>,
}

/// One channel.
#[derive(Clone, Debug)]
pub struct ChannelDef {
    /// Its name.
    pub name: Sp<String>,
    /// What it is.
    pub way: WayDef,
}

/// How a channel is reached.
#[derive(Clone, Debug)]
pub enum WayDef {
    /// JSON is posted there.
    Webhook {
        /// Absolute URL; it is as good as a password.
        url: Sp<Template>,
        /// What the receiver understands.
        format: Format,
    },
    /// A mail is sent.
    Mail {
        /// Addresses.
        to: Vec<Sp<String>>,
        /// The sender's address.
        from: Option<Sp<String>>,
        /// The server, `smtp://HOST:PORT` or `smtps://USER:PASSWORD@HOST`.
        smtp: Sp<Template>,
    },
}

/// What a webhook understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `event`, `run`, `text` and more, as plain JSON.
    #[default]
    Generic,
    /// `text` in the markup of Slack, and nothing else.
    Slack,
}

/// One rule: at which occasions what is told to whom.
#[derive(Clone, Debug)]
pub struct RuleDef {
    /// When.
    pub events: Vec<Occasion>,
    /// Channels.
    pub to: Vec<Sp<String>>,
    /// What; a text of ferry's own where nothing is said.
    pub text: Option<Sp<Template>>,
}

/// What people are told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Occasion {
    /// The run starts.
    RunStarted,
    /// A phase starts.
    PhaseStarted,
    /// A phase is over, and well.
    PhaseFinished,
    /// People are asked something.
    GateOpened,
    /// The way forward failed.
    Failed,
    /// The way back starts.
    RollbackStarted,
    /// Everything is taken back.
    RolledBack,
    /// Not everything could be taken back.
    RollbackFailed,
    /// A guard does not hold, or cannot tell any more.
    Guard,
    /// The run stands still and waits for people.
    Waiting,
    /// The run is over, however.
    Finished,
}

impl Occasion {
    /// All of them with their words in the runbook.
    pub const NAMES: [(&'static str, Self); 11] = [
        ("run_started", Self::RunStarted),
        ("phase_started", Self::PhaseStarted),
        ("phase_finished", Self::PhaseFinished),
        ("gate_opened", Self::GateOpened),
        ("failed", Self::Failed),
        ("rollback_started", Self::RollbackStarted),
        ("rolled_back", Self::RolledBack),
        ("rollback_failed", Self::RollbackFailed),
        ("guard", Self::Guard),
        ("waiting", Self::Waiting),
        ("finished", Self::Finished),
    ];

    /// The word in the runbook.
    pub fn word(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, occasion)| *occasion == self);
        named.map_or("", |(word, _)| word)
    }

    /// Whether it belongs to a phase.
    pub fn has_phase(self) -> bool {
        matches!(
            self,
            Self::PhaseStarted | Self::PhaseFinished | Self::GateOpened | Self::Failed
        )
    }
}
