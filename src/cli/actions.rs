//! `ferry actions`: what a step can do, with parameters and results.

use super::error::CommandError;
use super::exit::Exit;
use crate::action::Registry;
use crate::front;
use crate::runbook::diagnostic::did_you_mean;

/// Show what a step can do: actions, their parameters and results
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry actions redis.flush")]
pub(super) struct Args {
    /// One action; all when left out
    #[arg(value_name = "ACTION")]
    action: Option<String>,
}

pub(super) fn actions(args: &Args) -> Result<Exit, CommandError> {
    let catalog = Registry::all().catalog();
    let text = match &args.action {
        None => front::actions::all(&catalog),
        Some(key) => match catalog.get(key) {
            Some(spec) => front::actions::one(spec),
            None => {
                let mut error =
                    CommandError::new(Exit::Usage, format!("there is no action `{key}`"));
                error
                    .hints
                    .extend(did_you_mean(key, catalog.iter().map(|spec| spec.key)));
                return Err(error.hint("`ferry actions` lists them"));
            }
        },
    };
    super::answer(&text)?;
    Ok(Exit::Done)
}
