//! Faults and maintenance mode: files below the world that the instances look at on each request.
//! Switches them; what they do is written in [`crate::serve`].

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};

use crate::Switch;
use crate::error::{Fail, Outcome};
use crate::world::World;

/// What may go wrong on demand. All but [`Fault::Slow`] show only with the Redis backend, so that
/// the world is well before the migration and well again after its rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// Every request takes VALUE milliseconds longer (default 300), with any backend.
    Slow,
    /// As `slow`, but only with the Redis backend.
    SlowAfterDeploy,
    /// `/health` and `/api` answer 500.
    #[value(name = "5xx-after-deploy")]
    ErrorsAfterDeploy,
    /// The log fills with cache errors.
    LogErrors,
    /// An instance ends with exit code 1 while it starts.
    CrashOnStart,
    /// Nobody can log in.
    LoginFails,
}

#[derive(Subcommand)]
pub enum FaultCommand {
    /// Switch a fault on.
    Set { name: Fault, value: Option<String> },
    /// Switch one fault off, or all.
    Clear { name: Option<Fault> },
    /// Name the faults that are on.
    List,
}

impl Fault {
    fn file(self, world: &World) -> PathBuf {
        let name = self
            .to_possible_value()
            .expect("no fault is hidden from the command line");
        world.dir.join("faults").join(name.get_name())
    }

    /// Whether it is on.
    pub fn is_on(self, world: &World) -> bool {
        self.file(world).exists()
    }

    /// Its value in milliseconds when it is on.
    pub fn millis(self, world: &World) -> Option<u64> {
        let text = fs::read_to_string(self.file(world)).ok()?;
        Some(text.trim().parse().unwrap_or(300))
    }
}

/// Carries out `fault ...`.
pub fn run(world: &World, command: FaultCommand) -> Outcome<()> {
    match command {
        FaultCommand::Set { name, value } => {
            if let Some(v) = value.as_deref()
                && v.parse::<u64>().is_err()
            {
                return Err(Fail::said(format!(
                    "a fault's value is milliseconds, not `{v}`"
                )));
            }
            let file = name.file(world);
            fs::write(&file, value.unwrap_or_default())
                .map_err(|e| Fail::io(format!("write `{}`", file.display()), e))
        }
        FaultCommand::Clear { name } => {
            let which: Vec<Fault> =
                name.map_or_else(|| Fault::value_variants().to_vec(), |n| vec![n]);
            which.iter().try_for_each(|f| remove(&f.file(world)))
        }
        FaultCommand::List => {
            for fault in Fault::value_variants().iter().filter(|f| f.is_on(world)) {
                let value = fault.to_possible_value().expect("no fault is hidden");
                println!("{}", value.get_name());
            }
            Ok(())
        }
    }
}

fn maintenance_file(world: &World) -> PathBuf {
    world.dir.join("maintenance.on")
}

/// Whether every request is answered with 503.
pub fn in_maintenance(world: &World) -> bool {
    maintenance_file(world).exists()
}

/// Carries out `maintenance on|off|status`.
pub fn maintenance(world: &World, state: Switch) -> Outcome<()> {
    let file = maintenance_file(world);
    match state {
        Switch::On => fs::write(&file, "").map_err(|e| Fail::io("enter maintenance", e))?,
        Switch::Off => remove(&file)?,
        Switch::Status => {}
    }
    let now = if in_maintenance(world) { "on" } else { "off" };
    println!("maintenance is {now}");
    Ok(())
}

fn remove(file: &Path) -> Outcome<()> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Fail::io(format!("remove `{}`", file.display()), e))
        }
        _ => Ok(()),
    }
}
