//! `ferry diff`: two runs beside each other.

use std::path::Path;

use super::error::CommandError;
use super::exit::Exit;
use super::{state, status};
use crate::front;
use crate::view::RunView;
use crate::view::compare::Comparison;

/// Compare two runs: a rehearsal with the real run, or last time with this time
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  ferry diff hybrid-cache-20261120-abcd hybrid-cache-20261121-efgh"
)]
pub(super) struct Args {
    /// The earlier run, or a beginning of its id
    #[arg(value_name = "RUN")]
    from: String,
    /// The later run, or a beginning of its id; the latest when left out
    #[arg(value_name = "RUN")]
    to: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn diff(args: &Args, state_dir: &Path) -> Result<Exit, CommandError> {
    let view = |wanted: Option<&str>| -> Result<RunView, CommandError> {
        let (row, events) = state::read(state_dir, wanted)?;
        Ok(RunView::replay(&events).with_id(row.id))
    };
    let (from, to) = (view(Some(&args.from))?, view(args.to.as_deref())?);
    if from.id == to.id {
        let message = format!("`{}` is compared with itself", from.id);
        return Err(CommandError::new(Exit::Usage, message).hint("`ferry runs` lists the runs"));
    }
    let made = Comparison::of(&from, &to);
    let page = status::page();
    let text = match args.json {
        true => format!("{:#}\n", front::diff::json(&made)),
        false => front::diff::text(&made, page.columns, page.colour),
    };
    super::answer(&text)?;
    Ok(Exit::Done)
}
