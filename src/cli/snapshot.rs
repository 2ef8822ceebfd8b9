//! `ferry snapshot`: reads the state that a runbook's `snapshots` name, now, and changes nothing.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::error::CommandError;
use super::exit::Exit;
use super::{load, state};
use crate::engine::{Snapshots, clock::now_ms};

/// Read the state that a runbook's `snapshots` name, and keep it
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry snapshot runbooks/hybrid-cache.yaml > before.json")]
pub(super) struct Args {
    /// The runbook
    #[arg(value_name = "RUNBOOK")]
    runbook: PathBuf,
    /// A value for an input; may be repeated
    #[arg(long = "input", short = 'i', value_name = "NAME=VALUE", value_parser = load::pair)]
    inputs: Vec<(String, String)>,
}

pub(super) fn snapshot(args: &Args, state_dir: &Path) -> Result<Exit, CommandError> {
    let loaded = load::load(&args.runbook)?;
    let bound = load::bind(&loaded.runbook, &args.inputs)?;
    let (plan, secrets, _) = load::plan(loaded, bound);
    if plan.runbook.snapshots.is_empty() {
        return Err(CommandError::new(
            Exit::Invalid,
            "the runbook has no `snapshots`",
        ));
    }
    let base_dir = state::here()?;
    let id = state::new_id(&plan.runbook.name);
    let dir = base_dir.join(state_dir).join("snapshots").join(&id);
    super::prepare()?;
    let taken = super::runtime()?.block_on(
        Snapshots {
            plan,
            secrets,
            dir: dir.clone(),
            base_dir,
        }
        .take(),
    )?;
    let failed = taken
        .iter()
        .find_map(|snapshot| Some((snapshot.name.clone(), snapshot.failure.clone()?)));
    let values: Map<String, Value> = taken
        .into_iter()
        .map(|snapshot| (snapshot.name, json!({ "value": snapshot.value, "sha256": snapshot.sha256, "failure": snapshot.failure })))
        .collect();
    let answer = json!({ "snapshot": id, "at": now_ms(), "dir": dir, "snapshots": values });
    super::answer(&format!("{answer:#}\n"))?;
    match failed {
        None => Ok(Exit::Done),
        Some((name, failure)) => Err(CommandError::new(
            Exit::Unavailable,
            format!("snapshot `{name}`: {}", failure.message),
        )),
    }
}
