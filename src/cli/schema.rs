//! `ferry schema`: the JSON Schema of runbooks.

use super::error::CommandError;
use super::exit::Exit;
use crate::action::Registry;
use crate::runbook::schema;

/// Print the JSON Schema of runbooks, for editors
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry schema > runbooks/ferry.schema.json")]
pub(super) struct Args {}

pub(super) fn schema(_: &Args) -> Result<Exit, CommandError> {
    let schema = schema::of(&Registry::all().catalog());
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    super::answer(&format!("{text}\n"))?;
    Ok(Exit::Done)
}
