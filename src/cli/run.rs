//! `ferry run`: carries a runbook out, shows it live, and goes back by itself when it fails.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::behind::Behind;
use super::carry::{Attendance, Ready};
use super::detach::{self, Errand};
use super::error::CommandError;
use super::exit::Exit;
use super::saved::{self, SavedPlan};
use super::{load, state, window};
use crate::comms::Undelivered;
use crate::engine::Start;
use crate::engine::clock::now_ms;
use crate::event::{CommsMode, RunOptions};
use crate::plan::Plan;
use crate::runbook::Source;
use crate::store::{SqliteStore, Store};

/// Carry a runbook out; when a step or an expectation fails, go back by itself
#[derive(Clone, clap::Args, Serialize, Deserialize)]
#[command(after_help = "Example:\n  ferry run runbooks/hybrid-cache.yaml --input strategy=rolling")]
pub(super) struct Args {
    /// The runbook
    #[arg(value_name = "RUNBOOK", required_unless_present = "plan")]
    runbook: Option<PathBuf>,
    /// A plan that `ferry plan --out` saved, instead of a runbook; secrets are bound now
    #[arg(long, value_name = "FILE", conflicts_with = "runbook")]
    plan: Option<PathBuf>,
    /// Start only if the plan comes to this digest, or to one that begins so
    #[arg(long, value_name = "HEX")]
    expect_digest: Option<String>,
    /// Start although the window is closed, for this reason
    #[arg(long, value_name = "REASON")]
    waive_window: Option<String>,
    /// A value for an input; may be repeated
    #[arg(long = "input", short = 'i', value_name = "NAME=VALUE", value_parser = load::pair)]
    inputs: Vec<(String, String)>,
    /// The values that the runbook has for this environment
    #[arg(long, value_name = "NAME", conflicts_with = "plan")]
    env: Option<String>,
    /// Who has a role of the runbook; may be repeated
    #[arg(long = "as", value_name = "ROLE=NAME", value_parser = load::pair)]
    people: Vec<(String, String)>,
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
    /// Whether people are told what happens, as `comms` of the runbook says
    #[arg(long, value_name = "WHEN", default_value = "on")]
    comms: Comms,
    /// Line-delimited events on standard output instead of progress
    #[arg(long)]
    json: bool,
    /// Carry it out in the background, and come back as soon as it has begun
    #[arg(long, conflicts_with = "guided")]
    detach: bool,
}

/// Whether messages are sent, as it is typed.
#[derive(Clone, Copy, clap::ValueEnum, Serialize, Deserialize)]
pub(super) enum Comms {
    /// To their channels
    On,
    /// All of them, marked, to the channel `test`, or to the terminal where there is none
    Test,
    /// Not at all
    Off,
}

impl From<Comms> for CommsMode {
    fn from(comms: Comms) -> Self {
        match comms {
            Comms::On => Self::On,
            Comms::Test => Self::Test,
            Comms::Off => Self::Off,
        }
    }
}

impl Args {
    /// What is to run: a runbook as it is now, or a plan that was saved.
    fn planned(&self) -> Result<(Plan, HashMap<String, String>, Source), CommandError> {
        match (&self.plan, &self.runbook) {
            (Some(file), _) => {
                let opened = SavedPlan::read(file)?.open(&self.inputs)?;
                Ok((opened.plan, opened.secrets, opened.source))
            }
            (None, Some(runbook)) => {
                let loaded = load::load(runbook)?.within(self.env.as_deref())?;
                let bound = load::bind(&loaded.runbook, &self.inputs)?;
                Ok(load::plan(loaded, bound))
            }
            (None, None) => Err(CommandError::new(Exit::Usage, "no runbook is named")),
        }
    }
}

pub(super) fn run(args: Args, state_dir: &Path) -> Result<Exit, CommandError> {
    match args.detach {
        true => detached(args, state_dir),
        false => carry_out(&args, state_dir, None),
    }
}

/// Hands it to an engine in the background, once everything is said that only this terminal can say.
fn detached(mut args: Args, state_dir: &Path) -> Result<Exit, CommandError> {
    let dash = Path::new("-");
    if [&args.runbook, &args.plan]
        .into_iter()
        .flatten()
        .any(|path| path == dash)
    {
        let message = "a run in the background cannot read its runbook from standard input";
        return Err(CommandError::new(Exit::Usage, message).hint("put it into a file"));
    }
    let (plan, _, _) = args.planned()?;
    saved::expect_digest(&plan, args.expect_digest.as_deref())?;
    let asks = !args.yes && !args.json;
    let people = super::people::bind(&plan.runbook, &args.people, asks)?;
    args.people = people.into_iter().collect();
    // what was looked at here is what runs there
    args.expect_digest = Some(plan.digest.clone());
    let json = std::mem::take(&mut args.json);
    args.detach = false;
    let name = plan.runbook.name.value.clone();
    drop(plan);
    detach::start(&Errand::Run(Box::new(args)), &name, state_dir, json)
}

/// Carries it out in this process; `behind`: for somebody who does not stay.
pub(super) fn carry_out(
    args: &Args,
    state_dir: &Path,
    behind: Option<Behind>,
) -> Result<Exit, CommandError> {
    super::carry::can_guide(args.guided)?;
    let (plan, secrets, source) = args.planned()?;
    saved::expect_digest(&plan, args.expect_digest.as_deref())?;
    let asks = !args.yes && !args.json;
    let people = super::people::bind(&plan.runbook, &args.people, asks)?;
    let now = now_ms();
    let waived = window::may_start(&plan, args.waive_window.as_deref(), now)?;
    if let Some(says) = window::fit(&plan, now) {
        super::note(&says);
    }
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
                waived,
                environment: args.env.clone(),
                comms: args.comms.into(),
                ..RunOptions::default()
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
            people,
            undelivered: Undelivered::default(),
            behind,
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
