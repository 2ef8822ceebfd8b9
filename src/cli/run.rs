//! `ferry run`: carries a runbook out, shows it live, and goes back by itself when it fails.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::carry::{Attendance, Ready};
use super::error::CommandError;
use super::exit::Exit;
use super::{load, state};
use crate::engine::Start;
use crate::event::RunOptions;
use crate::store::{SqliteStore, Store};

/// Carry a runbook out; when a step or an expectation fails, go back by itself
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry run runbooks/hybrid-cache.yaml --input strategy=rolling")]
pub(super) struct Args {
    /// The runbook
    #[arg(value_name = "RUNBOOK")]
    runbook: PathBuf,
    /// A value for an input; may be repeated
    #[arg(long = "input", short = 'i', value_name = "NAME=VALUE", value_parser = load::pair)]
    inputs: Vec<(String, String)>,
    /// Ask before each step, and what to do when one fails
    #[arg(long, conflicts_with_all = ["yes", "json"])]
    guided: bool,
    /// Wait for people at manual steps and approvals, also without a terminal, instead of parking
    #[arg(long)]
    wait: bool,
    /// Ask nothing
    #[arg(long)]
    yes: bool,
    /// Steps in flight at once, instead of what the runbook says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    max_parallel: Option<u16>,
    /// Stop at a failure and leave everything as it is, instead of going back
    #[arg(long)]
    no_rollback: bool,
    /// Line-delimited events on standard output instead of progress
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, state_dir: &Path) -> Result<Exit, CommandError> {
    super::carry::can_guide(args.guided)?;
    let loaded = load::load(&args.runbook)?;
    let bound = load::bind(&loaded.runbook, &args.inputs)?;
    let (plan, secrets, source) = load::plan(loaded, bound);
    let id = state::new_id(&plan.runbook.name);
    let base_dir = state::here()?;
    let state_dir = base_dir.join(state_dir);
    super::prepare()?;
    let runtime = super::runtime()?;
    let told = runtime.block_on(async {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&state_dir).await?);
        let ready = Ready {
            run: id,
            plan: Arc::new(plan),
            secrets,
            options: RunOptions {
                max_parallel: args.max_parallel.map(usize::from),
                no_rollback: args.no_rollback,
            },
            store,
            state_dir,
            base_dir,
            json: args.json,
            silent: args.yes,
            attendance: Attendance {
                guided: args.guided,
                wait: args.wait,
            },
        };
        let start = Start::New {
            source: source.name,
            text: source.text,
        };
        ready.carry(start).await
    });
    // threads that still read a dead link must not hold the end up
    runtime.shutdown_background();
    told?.tell()
}
