//! `demo-app`: the small real world that the hybrid-cache runbook migrates.
//!
//! One binary plays every part: the HTTP service ([`serve`]), the proxy before it ([`front`]), the
//! operator's tools ([`appctl`], [`manage`], [`settings`]) and the stage hand that builds and clears
//! the world ([`up`], [`digest`]). Everything lives below one directory and on loopback.
//! It must know nothing of ferry: ferry has to treat it as any other system.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool: what it prints is its interface"
)]

mod appctl;
mod benchmark;
mod cache;
mod db;
mod digest;
mod error;
mod fault;
mod front;
mod http;
mod manage;
mod migrate;
mod pattern_tests;
mod process;
mod scenery;
mod seed;
mod serve;
mod settings;
mod traffic;
mod up;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::error::{Fail, Outcome};
use crate::world::World;

/// A demo service with its operator tools, living below one world directory.
#[derive(Parser)]
#[command(name = "demo-app", version, arg_required_else_help = true)]
struct Cli {
    /// The world directory.
    #[arg(long, env = "DEMO_WORLD", global = true, value_name = "DIR")]
    world: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build, stop or fingerprint the world.
    World {
        #[command(subcommand)]
        command: WorldCommand,
    },
    /// Serve HTTP as one instance, in the foreground.
    Serve {
        #[arg(long, value_name = "N")]
        instance: u16,
    },
    /// Spread connections over the instances, in the foreground.
    Front,
    /// Start, stop, restart or show instances.
    Appctl {
        verb: appctl::Verb,
        /// Instance number, or `all`.
        #[arg(default_value = "all")]
        which: appctl::Which,
    },
    /// Administer the application: migrations, checks, tests.
    Manage {
        #[command(subcommand)]
        command: manage::Manage,
    },
    /// Point the settings files at Redis.
    UseRedis,
    /// Point the settings files at the in-memory cache.
    UseLocmem,
    /// Print the cache backend that the settings name.
    PrintBackend,
    /// Answer every request with 503, or stop doing so.
    Maintenance { state: Switch },
    /// Switch faults on and off.
    Fault {
        #[command(subcommand)]
        command: fault::FaultCommand,
    },
    /// Read invoices through the front and count what comes back.
    Traffic {
        #[arg(long, default_value_t = 50)]
        requests: u32,
        /// Pause between two requests, in milliseconds.
        #[arg(long, default_value_t = 0, value_name = "MS")]
        pause: u64,
    },
    /// Become leader of a new session, write down who we are, then become COMMAND.
    #[command(hide = true)]
    Detach {
        #[arg(long)]
        record: PathBuf,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

#[derive(Subcommand)]
enum WorldCommand {
    /// Create the world and start everything in it.
    Up {
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=7))]
        instances: u16,
    },
    /// Stop everything that was started in it.
    Down,
    /// Say what is running; exit code 3 when something is not.
    Status,
    /// Print a fingerprint that is equal exactly when two states of the world are.
    Digest,
}

#[derive(Clone, Copy, ValueEnum)]
enum Switch {
    On,
    Off,
    Status,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // before any thread exists: this one replaces the process
    if let Command::Detach { record, command } = &cli.command {
        return report(process::become_detached(record, command));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => return report(Err(Fail::io("start the runtime", e))),
    };
    report(runtime.block_on(run(cli)))
}

fn report(outcome: Outcome<ExitCode>) -> ExitCode {
    match outcome {
        Ok(code) => code,
        Err(e) => {
            eprintln!("demo-app: {e}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Outcome<ExitCode> {
    let dir = cli
        .world
        .ok_or_else(|| Fail::said("no world: give `--world DIR` or set `DEMO_WORLD`"))?;
    let command = match cli.command {
        Command::World { command } => return run_world(command, dir).await,
        other => other,
    };
    let world = World::open(&dir)?;
    match command {
        Command::Serve { instance } => serve::run(world, instance).await?,
        Command::Front => front::run(&world).await?,
        Command::Appctl { verb, which } => return appctl::run(&world, verb, which).await,
        Command::Manage { command } => return manage::run(&world, command).await,
        Command::UseRedis => settings::switch(&world, settings::Backend::Redis)?,
        Command::UseLocmem => settings::switch(&world, settings::Backend::LocMem)?,
        Command::PrintBackend => println!("{}", settings::Settings::read(&world)?.backend_path),
        Command::Maintenance { state } => fault::maintenance(&world, state)?,
        Command::Fault { command } => fault::run(&world, command)?,
        Command::Traffic { requests, pause } => return traffic::run(&world, requests, pause).await,
        Command::World { .. } | Command::Detach { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_world(command: WorldCommand, dir: PathBuf) -> Outcome<ExitCode> {
    match command {
        WorldCommand::Up { instances } => up::up(&dir, instances).await,
        WorldCommand::Down => up::down(&dir).await,
        WorldCommand::Status => up::status(&World::open(&dir)?).await,
        WorldCommand::Digest => digest::print(&World::open(&dir)?).await,
    }
}
