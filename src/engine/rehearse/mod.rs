//! Rehearsing: every step of a runbook walked for each value of its choices, read for real or said what
//! it would do, and nothing changed.
//!
//! Main type: [`Rehearsing`]. It has no store and no executor, and of the actions only the part that
//! reads ([`crate::action::rehearse`]). What it returns is all that it leaves.

mod around;
mod back;
mod elsewhere;
mod found;
mod hands;
mod look;
mod place;
mod step;
mod touch;
mod walk;
mod watched;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::standing;
use super::start::EngineError;
use crate::action::rehearse::{Readers, Spawn};
use crate::event::RunOptions;
use crate::event::rehearsal::{Rehearsal, Walk};
use crate::plan::Plan;
use crate::run::RunState;

pub use elsewhere::{Common, common};
use hands::Hands;
pub use look::{Looked, Looking};
use walk::{Cache, Walker};

/// Stands where the value of a secret would, when nothing that is read needs it.
pub const UNREAD: &str = "***";

/// What a run would be called.
const RUN: &str = "RUN";

/// One set of values to walk with.
pub struct Way {
    /// The inputs with `choices`, and what they are.
    pub choices: BTreeMap<String, Value>,
    /// What would run.
    pub plan: Plan,
    /// Values of the secret inputs; [`UNREAD`] where none is needed.
    pub secrets: HashMap<String, String>,
}

/// A rehearsal to be held.
pub struct Rehearsing {
    /// At least one.
    pub ways: Vec<Way>,
    /// Combinations of choices beyond those.
    pub not_walked: usize,
    /// Where relative paths of the runbook start.
    pub base_dir: PathBuf,
    /// Below which runs keep their files.
    pub state_dir: PathBuf,
    /// Whether commands of steps that say `read_only: true` are started.
    pub allow_shell: bool,
}

impl Rehearsing {
    /// Walks all ways.
    ///
    /// # Errors
    /// When an address has no value, or a secret cannot be masked. Whatever a step finds is in the
    /// result.
    pub async fn hold(self) -> Result<Rehearsal, EngineError> {
        let mut cache = Cache::default();
        let mut walks = Vec::with_capacity(self.ways.len());
        let mut head = None;
        let run_dir = self.state_dir.join("runs").join(RUN);
        for way in self.ways {
            let plan = Arc::new(way.plan);
            head.get_or_insert_with(|| {
                let runbook = &plan.runbook;
                (
                    runbook.name.value.clone(),
                    runbook.title.clone(),
                    plan.digest.clone(),
                )
            });
            let dir = run_dir.display().to_string();
            let state = RunState::new(Arc::clone(&plan), RUN, dir, RunOptions::default());
            let hands = hands(
                &state,
                way.secrets,
                &self.base_dir,
                run_dir.clone(),
                self.allow_shell,
            )?;
            let walker = Walker::new(&hands, &mut cache, state);
            let entries = walker.walk().await;
            walks.push(Walk {
                choices: way.choices,
                entries,
            });
        }
        let (name, title, digest) = head.unwrap_or_default();
        Ok(Rehearsal {
            name,
            title,
            digest,
            walks,
            not_walked: self.not_walked,
        })
    }
}

fn hands(
    state: &RunState,
    secrets: HashMap<String, String>,
    base_dir: &std::path::Path,
    run_dir: PathBuf,
    allow_shell: bool,
) -> Result<Hands, EngineError> {
    let read = secrets.iter().filter(|(_, value)| *value != UNREAD);
    let read: Arc<HashMap<_, _>> = Arc::new(read.map(|(k, v)| (k.clone(), v.clone())).collect());
    let (targets, masker) = standing::addresses(state, &read)?;
    let plan = Arc::clone(state.plan());
    let backups = plan.runbook.steps().map(|(_, step)| step);
    let backups = backups.filter(|step| step.action.key.ends_with(".backup"));
    let backups = backups.map(|step| step.id.value.clone()).collect();
    let stands_in = plan
        .runbook
        .steps()
        .any(|(_, step)| step.rehearse.is_some());
    let spawn = match allow_shell || stands_in {
        true => Some(Spawn::new().map_err(|error| EngineError::Directory {
            path: std::env::temp_dir().display().to_string(),
            error,
        })?),
        false => None,
    };
    Ok(Hands {
        plan,
        readers: Readers::all(),
        targets,
        masker,
        secrets: Arc::new(secrets),
        base_dir: base_dir.to_owned(),
        run_dir,
        backups: Arc::new(backups),
        http: Arc::default(),
        allowed: spawn.clone().filter(|_| allow_shell),
        stand_in: spawn,
    })
}
