//! `ferry report`: what a run did, from its journal alone.

use std::path::{Path, PathBuf};

use super::error::CommandError;
use super::exit::Exit;
use super::state;
use crate::front::report;
use crate::view::RunView;

/// Write the report of a run, from its journal alone
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry report --format md --output report.md")]
pub(super) struct Args {
    /// The run, or a beginning of its id; the latest when left out
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "md")]
    format: Format,
    /// A file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How a report is written.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Markdown
    Md,
    /// JSON
    Json,
}

pub(super) fn report(args: &Args, state_dir: &Path) -> Result<Exit, CommandError> {
    let (row, events) = state::read(state_dir, args.run.as_deref())?;
    let view = RunView::replay(&events).with_id(row.id);
    let text = match args.format {
        Format::Md => report::markdown(&view),
        Format::Json => format!("{:#}\n", report::json(&view)),
    };
    match &args.output {
        None => super::answer(&text)?,
        Some(path) => std::fs::write(path, text).map_err(|error| {
            let message = format!(
                "the report cannot be written to `{}`: {}",
                path.display(),
                super::load::words(&error)
            );
            CommandError::new(Exit::CannotWrite, message)
        })?,
    }
    Ok(Exit::Done)
}
