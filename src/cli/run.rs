//! `ferry run`: carries a runbook out, shows it live, and goes back by itself when it fails.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::error::CommandError;
use super::exit::Exit;
use super::{load, state};
use crate::engine::{Engine, Finished, Subscriber};
use crate::event::{Parking, RunOptions, RunStatus};
use crate::failpoint;
use crate::front;
use crate::store::{SqliteStore, Store};
use crate::view::RunView;

/// Steps up to which a run writes its report itself. That of a larger one takes a while and more
/// memory than the run; it is written when somebody asks for it.
const REPORTED_AT_ONCE: usize = 300;

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
    let loaded = load::load(&args.runbook)?;
    let bound = load::bind(&loaded.runbook, &args.inputs)?;
    let (plan, secrets, source) = load::plan(loaded, bound);
    let id = state::new_id(&plan.runbook.name);
    let base_dir = std::env::current_dir().map_err(|error| {
        CommandError::new(
            Exit::System,
            format!("the current directory is gone: {error}"),
        )
    })?;
    let state_dir = base_dir.join(state_dir);
    let runtime = super::runtime()?;
    let run_dir = state::run_dir(&state_dir, &id);
    let report_at_once = plan.len() <= REPORTED_AT_ONCE;
    let finished = runtime.block_on(async {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&state_dir).await?);
        let engine = Engine {
            subscribers: subscribers(args, &id),
            run_dir: run_dir.clone(),
            run: id.clone(),
            plan: Arc::new(plan),
            source: (source.name, source.text),
            secrets,
            options: RunOptions {
                max_parallel: args.max_parallel.map(usize::from),
                no_rollback: args.no_rollback,
            },
            store: Arc::clone(&store),
            base_dir,
            holder: state::me(),
        };
        let finished = engine.run().await.map_err(CommandError::from)?;
        let report = match report_at_once {
            true => Some(write_report(store.as_ref(), &id, &run_dir).await),
            false => None,
        };
        Ok::<_, CommandError>((finished, report))
    });
    // threads that still read a dead link must not hold the end up
    runtime.shutdown_background();
    let (finished, report) = finished?;
    let exit = exit_of(&finished);
    match report {
        Some(report) => say_report(report, &run_dir),
        None => super::say(&format!("  report      ferry report {id}")),
    }
    if args.json {
        let end = json!({
            "event": "end", "run": id, "code": exit.code(), "outcome": finished.status.words(), "next": next(&finished, &id),
        });
        // how the run ended stands, whether or not anybody reads it
        match super::answer(&format!("{end}\n")) {
            Err(error) if error.exit != Exit::Done => super::note(&error.message),
            _ => {}
        }
    }
    Ok(exit)
}

/// The report beside the run's other files, from the journal alone.
async fn write_report(store: &dyn Store, id: &str, run_dir: &Path) -> Result<PathBuf, String> {
    let events = store.load(id, 1).await.map_err(|error| error.to_string())?;
    let view = RunView::replay(&events).with_id(id);
    let path = run_dir.join("report.md");
    failpoint::io("report")
        .and_then(|()| std::fs::write(&path, front::report::markdown(&view)))
        .map_err(|error| error.to_string())?;
    Ok(path)
}

/// A report that cannot be written changes nothing of how the run ended.
fn say_report(report: Result<PathBuf, String>, run_dir: &Path) {
    let here = std::env::current_dir().unwrap_or_default();
    match report {
        Ok(path) => super::say(&format!(
            "  report      {}",
            path.strip_prefix(&here).unwrap_or(&path).display()
        )),
        Err(error) => super::note(&format!(
            "the report could not be written to `{}`: {error}",
            run_dir.display()
        )),
    }
}

fn subscribers(args: &Args, id: &str) -> Vec<Box<dyn Subscriber>> {
    if args.json {
        return vec![Box::new(front::JsonLines::new(std::io::stdout(), id))];
    }
    let look = front::Look::of(std::io::stderr().is_terminal(), |name| {
        std::env::var(name).ok()
    });
    if look.live {
        // without a thread for it, lines serve as well
        if let Ok(progress) = front::Progress::start(look.colour) {
            return vec![Box::new(progress)];
        }
    }
    vec![Box::new(front::Plain::new(std::io::stderr(), look.colour))]
}

/// How a run's end is told to whoever called.
fn exit_of(finished: &Finished) -> Exit {
    match (finished.status, finished.stopped) {
        (RunStatus::Succeeded, _) => Exit::Done,
        // what nobody said an undo for is left, and somebody has to look
        (RunStatus::RolledBack, _) if finished.partial => Exit::RollbackFailed,
        (RunStatus::RolledBack, _) => Exit::RolledBack,
        (RunStatus::RollbackFailed, _) => Exit::RollbackFailed,
        (RunStatus::Waiting, Some(Parking::Terminate)) => Exit::Terminated,
        (RunStatus::Waiting, Some(Parking::Hangup)) => Exit::Hangup,
        (RunStatus::Waiting, _) => Exit::Interrupted,
        (RunStatus::Failed, _) => Exit::Failed,
        (RunStatus::Planned | RunStatus::Running | RunStatus::RollingBack, _) => Exit::Internal,
    }
}

fn next(finished: &Finished, id: &str) -> Vec<String> {
    match finished.status {
        RunStatus::Succeeded | RunStatus::RolledBack => vec![format!("ferry report {id}")],
        _ => vec![format!("ferry status {id}"), format!("ferry report {id}")],
    }
}
