//! `ferry completions`: completion scripts for shells.

use clap::CommandFactory;

use super::error::CommandError;
use super::exit::Exit;

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  ferry completions bash > ~/.local/share/bash-completion/completions/ferry"
)]
pub(super) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(super) fn completions(args: &Args) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut super::Args::command(),
        "ferry",
        &mut script,
    );
    super::answer(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
