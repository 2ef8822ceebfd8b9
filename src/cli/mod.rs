//! The command line: arguments in, exit code out. One file for each command; this one routes.

mod actions;
mod ask;
mod behind;
mod carry;
mod check;
mod close_out;
mod completions;
mod decide;
mod desk;
mod detach;
mod diff;
mod doctor;
mod dress;
mod drill;
mod error;
mod evidence;
pub mod exit;
mod history;
mod load;
mod next;
mod note;
mod orders;
mod panic;
mod people;
mod plan;
mod probe;
mod rehearse;
mod replan;
mod report;
mod resume;
mod run;
mod saved;
mod schema;
mod sealed;
mod sign;
mod snapshot;
mod state;
mod status;
mod talk;
mod verify;
mod verify_report;
mod watch;
mod window;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::CommandError;
use exit::Exit;

/// Carry a running system from one state to another, and back if it must.
#[derive(Parser)]
#[command(
    name = "ferry",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
#[command(
    after_help = "Example:\n  ferry check runbooks/hybrid-cache.yaml && ferry run runbooks/hybrid-cache.yaml"
)]
struct Args {
    /// Where journals and run directories are kept
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "FERRY_STATE_DIR",
        default_value = "state"
    )]
    state_dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Args),
    Plan(plan::Args),
    Rehearse(rehearse::Args),
    Run(run::Args),
    Resume(resume::ResumeArgs),
    Rollback(resume::RollbackArgs),
    Pause(orders::PauseArgs),
    Cancel(resume::CancelArgs),
    Abort(resume::AbortArgs),
    Answer(orders::AnswerArgs),
    Approve(decide::ApproveArgs),
    Reject(decide::RejectArgs),
    Confirm(decide::ConfirmArgs),
    Waive(orders::WaiveArgs),
    Close(orders::CloseArgs),
    Note(note::Args),
    Sign(sign::Args),
    CloseOut(close_out::Args),
    Status(status::StatusArgs),
    Runs(status::RunsArgs),
    Watch(watch::Args),
    Report(report::Args),
    Diff(diff::Args),
    Verify(verify::Args),
    Doctor(doctor::Args),
    Snapshot(snapshot::Args),
    Probe(probe::Args),
    Actions(actions::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Engine(behind::Args),
}

/// Reads the arguments, carries the command out, prints what is wrong, and gives the exit code.
pub fn main() -> ExitCode {
    panic::install();
    // a closed pipe is told by the write that fails, and a run must not die of it
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let done = std::panic::catch_unwind(|| route(args));
    match done {
        Ok(Ok(exit)) => ExitCode::from(exit.code()),
        Ok(Err(error)) => {
            print(&error);
            ExitCode::from(error.exit.code())
        }
        Err(_) => ExitCode::from(Exit::Internal.code()),
    }
}

fn route(args: Args) -> Result<Exit, CommandError> {
    let Args { state_dir, command } = args;
    match command {
        Command::Check(args) => check::check(&args),
        Command::Plan(args) => plan::plan(&args, &state_dir),
        Command::Rehearse(args) => rehearse::rehearse(&args, &state_dir),
        Command::Run(args) => run::run(args, &state_dir),
        Command::Resume(args) => resume::resume(args, &state_dir),
        Command::Rollback(args) => resume::rollback(&args, &state_dir),
        Command::Pause(args) => orders::pause(&args, &state_dir),
        Command::Cancel(args) => resume::cancel(&args, &state_dir),
        Command::Abort(args) => resume::abort(&args, &state_dir),
        Command::Answer(args) => orders::answer(&args, &state_dir),
        Command::Approve(args) => decide::approve(&args, &state_dir),
        Command::Reject(args) => decide::reject(&args, &state_dir),
        Command::Confirm(args) => decide::confirm(&args, &state_dir),
        Command::Waive(args) => orders::waive(&args, &state_dir),
        Command::Close(args) => orders::close(&args, &state_dir),
        Command::Note(args) => note::note(&args, &state_dir),
        Command::Sign(args) => sign::sign(&args, &state_dir),
        Command::CloseOut(args) => close_out::close_out(&args, &state_dir),
        Command::Status(args) => status::status(&args, &state_dir),
        Command::Runs(args) => status::runs(&args, &state_dir),
        Command::Watch(args) => watch::watch(&args, &state_dir),
        Command::Report(args) => report::report(&args, &state_dir),
        Command::Diff(args) => diff::diff(&args, &state_dir),
        Command::Verify(args) => verify::verify(&args, &state_dir),
        Command::Doctor(args) => doctor::doctor(&args, &state_dir),
        Command::Snapshot(args) => snapshot::snapshot(&args, &state_dir),
        Command::Probe(args) => probe::probe(&args),
        Command::Actions(args) => actions::actions(&args),
        Command::Schema(args) => schema::schema(&args),
        Command::Completions(args) => completions::completions(&args),
        Command::Engine(_) => behind::engine(&state_dir),
    }
}

/// clap's own exit code for wrong usage is 2; ours is 64.
fn usage(error: &clap::Error) -> ExitCode {
    // a help text whose reader went away is no failure
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(Exit::Usage.code())
    } else {
        ExitCode::SUCCESS
    }
}

fn print(error: &CommandError) {
    if error.message.is_empty() {
        return;
    }
    let stderr = std::io::stderr();
    let color = stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (red, bold, plain) = if color {
        ("\x1b[1;31m", "\x1b[1m", "\x1b[0m")
    } else {
        ("", "", "")
    };
    let mut stderr = stderr.lock();
    let _ = writeln!(stderr, "{red}error{plain}: {}", harmless(&error.message));
    for hint in &error.hints {
        let _ = writeln!(stderr, "{bold}hint{plain}: {}", harmless(hint));
    }
}

/// A text as a terminal may have it: passwords by their place hidden, and nothing in it that a terminal
/// would obey. It may hold what a file from elsewhere says.
fn harmless(text: &str) -> String {
    let masked = crate::secret::mask_places(text);
    let lines: Vec<_> = masked
        .split('\n')
        .map(crate::front::escape::shown)
        .collect();
    lines.join("\n")
}

/// Writes an answer to standard output.
fn answer(text: &str) -> Result<(), CommandError> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| CommandError::writing(&error))
}

/// Says something beside the answer, on standard error.
fn note(text: &str) {
    say(&format!("note: {text}"));
}

/// Writes a line to standard error; nobody to read it is no failure.
fn say(line: &str) {
    let lines: Vec<_> = line.split('\n').map(crate::front::escape::shown).collect();
    let _ = writeln!(std::io::stderr().lock(), "{}", lines.join("\n"));
}

/// Makes this process fit to carry a run out; after everything that was given to it by the number of
/// a descriptor is read, and before there are threads.
fn prepare() -> Result<(), CommandError> {
    crate::engine::process::prepare().map_err(|error| {
        CommandError::new(
            Exit::System,
            format!("this process cannot be prepared: {error}"),
        )
    })
}

/// The runtime for commands that do more than read a file.
fn runtime() -> Result<tokio::runtime::Runtime, CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::new(Exit::System, format!("no threads can be started: {error}"))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    {
        let _inside = runtime.enter();
        crate::engine::signals::outlive_file_size().map_err(failed)?;
    }
    Ok(runtime)
}
