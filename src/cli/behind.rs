//! The engine in the background: what `--detach` starts, in a session of its own.
//!
//! Main type: [`Behind`], the way to whoever started it. Until the run has begun, what is said goes to
//! them; from then on to `engine.log` in the run directory, and they are told so and may go away.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Stderr, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::detach::{Begun, Errand};
use super::error::CommandError;
use super::exit::Exit;
use super::{resume, run};
use crate::engine::Subscriber;
use crate::event::{Event, EventKind, RunEvent};
use crate::front::Plain;

/// The longest errand, in bytes.
const LONGEST: u64 = 64 << 20;

/// Carry a run on in the background, as the process that started this one says
#[derive(clap::Args)]
pub(super) struct Args {
    /// What it is about, for people who list processes
    #[arg(value_name = "WHAT")]
    _what: Option<String>,
}

/// Whoever started it.
#[derive(Clone)]
pub(super) struct Behind(Arc<Mutex<Option<UnixStream>>>);

pub(super) fn engine(state_dir: &Path) -> Result<Exit, CommandError> {
    // first of all: neither the terminal's end nor its Ctrl-C is for this process. It fails only for
    // one that leads a session already
    let _ = nix::unistd::setsid();
    let (errand, to) = errand().map_err(|error| {
        let message = format!("nobody says what to do: {error}");
        CommandError::new(Exit::Usage, message).hint("`ferry run --detach` starts it")
    })?;
    let behind = Some(Behind(Arc::new(Mutex::new(Some(to)))));
    match errand {
        Errand::Run(args) => run::carry_out(&args, state_dir, behind),
        Errand::Resume(args) => resume::carry_on(&args, state_dir, behind),
    }
}

/// What is to be done, and the way back to whoever said so. There is nothing to be read from standard
/// input after that.
fn errand() -> io::Result<(Errand, UnixStream)> {
    let to = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut line = String::new();
    BufReader::new(to.try_clone()?)
        .take(LONGEST)
        .read_line(&mut line)?;
    let errand = serde_json::from_str(&line)?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    Ok((errand, to))
}

impl Behind {
    /// What is told of the run's events.
    pub(super) fn subscriber(&self, run: &str, run_dir: PathBuf) -> Box<dyn Subscriber> {
        Box::new(Log {
            behind: self.clone(),
            run: run.to_owned(),
            run_dir,
            held: Vec::new(),
            plain: Plain::new(io::stderr(), false),
            begun: false,
        })
    }

    fn tell(&self, begun: &Begun) {
        let to = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let line = serde_json::to_string(begun).unwrap_or_default();
        if let Some(mut to) = to {
            // whoever does not wait any more finds the run in the journal
            let _ = to.write_all(format!("{line}\n").as_bytes());
        }
    }
}

/// Tells the events in lines, once the run has begun.
struct Log {
    behind: Behind,
    run: String,
    run_dir: PathBuf,
    /// What came before that.
    held: Vec<Event>,
    plain: Plain<Stderr>,
    begun: bool,
}

impl Log {
    fn begin(&mut self) {
        let path = self.run_dir.join("engine.log");
        let log = match redirect(&path) {
            Ok(()) => Some(path),
            Err(error) => {
                super::note(&format!(
                    "what happens cannot be written to `{}` ({error}); the journal has it",
                    path.display()
                ));
                let _ = redirect(Path::new("/dev/null"));
                None
            }
        };
        self.begun = true;
        self.behind.tell(&Begun {
            run: self.run.clone(),
            pid: std::process::id(),
            log,
        });
    }
}

/// Standard output and error go to the end of a file from here on.
fn redirect(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    nix::unistd::dup2_stdout(&file)?;
    nix::unistd::dup2_stderr(&file)?;
    Ok(())
}

impl Subscriber for Log {
    fn on_history(&mut self, events: &[Event]) {
        self.plain.on_history(events);
    }

    fn on_event(&mut self, event: &Event) -> io::Result<()> {
        self.on_events(std::slice::from_ref(event))
    }

    fn on_events(&mut self, events: &[Event]) -> io::Result<()> {
        let starts = |event: &Event| matches!(event.kind, EventKind::Run(RunEvent::Started { .. }));
        if !self.begun {
            self.held.extend_from_slice(events);
            if !events.iter().any(starts) {
                return Ok(());
            }
            self.begin();
            let held = std::mem::take(&mut self.held);
            return self.plain.on_events(&held);
        }
        self.plain.on_events(events)
    }
}
