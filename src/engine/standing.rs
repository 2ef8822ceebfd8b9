//! What stands before anything starts: addresses, the masker, the place; and reading snapshots alone.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::bus::{Bus, Lines};
use super::clock::now_ms;
use super::executor::Executor;
use super::job::Shared;
use super::start::EngineError;
use super::targets::{self, Targets};
use crate::action::{Clients, Registry};
use crate::event::{Moment, RunOptions, SnapshotTaken};
use crate::plan::Plan;
use crate::run::{Effect, InputKind, RunState};
use crate::secret::{Masker, Secret};

/// Where a run lives.
pub(super) struct Place {
    pub(super) run: String,
    pub(super) run_dir: PathBuf,
    pub(super) base_dir: PathBuf,
}

/// Resolves the targets and makes the masker, before anything is written or started.
pub(super) fn shared(
    state: &RunState,
    secrets: &HashMap<String, String>,
    place: Place,
    lines: Lines,
) -> Result<Shared, EngineError> {
    let secrets = Arc::new(secrets.clone());
    let (targets, masker) = addresses(state, &secrets)?;
    Ok(Shared {
        run: place.run,
        plan: Arc::clone(state.plan()),
        registry: Registry::all(),
        targets,
        masker,
        secrets,
        clients: Arc::new(Clients::default()),
        run_dir: place.run_dir,
        base_dir: place.base_dir,
        lines,
        phases: tokio::sync::watch::Sender::default(),
    })
}

/// The targets with their addresses, and what hides the secrets in all that is said of them.
pub(super) fn addresses(
    state: &RunState,
    secrets: &Arc<HashMap<String, String>>,
) -> Result<(Targets, Masker), EngineError> {
    let plan = Arc::clone(state.plan());
    let mut scope = state.base_scope(now_ms());
    scope.secrets = Arc::clone(secrets);
    let targets =
        targets::resolve(&plan.runbook, &scope).map_err(|(name, error)| EngineError::Target {
            name,
            reason: error,
        })?;
    let mut hidden: Vec<(String, Secret)> = secrets
        .iter()
        .map(|(name, value)| (name.clone(), Secret::new(value.clone())))
        .collect();
    // a secret may be an address, and its password be told alone
    let beside = targets.values().filter_map(|target| {
        let password = target.options.get("sentinel_password")?.as_str()?;
        (password.trim().len() >= 6)
            .then(|| (target.name.clone(), Secret::new(password.to_owned())))
    });
    hidden.extend(beside);
    let addresses = targets
        .values()
        .map(|target| (target.name.as_str(), target.url.as_str()))
        .chain(
            secrets
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
    hidden.extend(targets::passwords(addresses));
    let masker = Masker::new(hidden).map_err(|error| EngineError::Secret(error.to_string()))?;
    Ok((targets, masker))
}

/// Reads a runbook's snapshots without a run.
pub struct Snapshots {
    /// What to read.
    pub plan: Plan,
    /// Values of the secret inputs.
    pub secrets: HashMap<String, String>,
    /// Where they are kept.
    pub dir: PathBuf,
    /// Where relative paths of the runbook start.
    pub base_dir: PathBuf,
}

impl Snapshots {
    /// Reads all of them side by side.
    ///
    /// # Errors
    /// When a target's address has no value. What cannot be read is said in its place.
    pub async fn take(self) -> Result<Vec<SnapshotTaken>, EngineError> {
        let dir = self.dir.display().to_string();
        let state = RunState::new(Arc::new(self.plan), "snapshot", dir, RunOptions::default());
        let bus = Bus::start(Vec::new());
        let place = Place {
            run: "snapshot".into(),
            run_dir: self.dir,
            base_dir: self.base_dir,
        };
        let shared = shared(&state, &self.secrets, place, bus.lines())?;
        let (inputs, mut taken) = mpsc::unbounded_channel();
        let mut executor = Executor::new(Arc::new(shared), inputs);
        executor.carry_out(
            &Effect::Snapshots {
                moment: Moment::Before,
            },
            &state,
        );
        match taken.recv().await {
            Some(InputKind::Snapshots { taken, .. }) => Ok(taken),
            _ => Ok(Vec::new()),
        }
    }
}
