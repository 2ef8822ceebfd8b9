//! Carrying a run on: what `run`, `resume`, `rollback` and `cancel` share.
//!
//! Main type: [`Ready`]. It runs an engine, asks the person at the terminal what the run needs to know,
//! goes on with the answer, and tells how it ended. What a live run asks is asked at the [`Desk`]; here
//! only what comes after a Ctrl-C.

use std::collections::{BTreeMap, HashMap};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::ask::Silence;
use super::behind::Behind;
use super::desk::Desk;
use super::error::CommandError;
use super::exit::Exit;
use super::sealed::{self, Form};
use super::{ask, state};
use crate::comms::{Comms, Setup, Undelivered};
use crate::engine::mail::Letter;
use crate::engine::{Engine, Finished, Start, Subscriber};
use crate::event::{Parking, RunOptions, RunStatus};
use crate::failpoint;
use crate::front;
use crate::plan::Plan;
use crate::store::{SqliteStore, Store};
use crate::view::RunView;

/// Steps up to which a run writes its report itself. That of a larger one takes a while and more
/// memory than the run; it is written when somebody asks for it.
const REPORTED_AT_ONCE: usize = 300;

/// What came of a question.
type Said = Result<Letter, Silence>;

/// A run that can be carried on.
pub(super) struct Ready {
    pub(super) run: String,
    pub(super) plan: Arc<Plan>,
    pub(super) secrets: HashMap<String, String>,
    pub(super) options: RunOptions,
    pub(super) store: Arc<dyn Store>,
    pub(super) state_dir: PathBuf,
    pub(super) base_dir: PathBuf,
    /// Line-delimited events on standard output.
    pub(super) json: bool,
    /// Nobody is asked anything.
    pub(super) silent: bool,
    /// Who is there, and what they want to be asked.
    pub(super) attendance: Attendance,
    /// Who has which role, as far as it is said now.
    pub(super) people: BTreeMap<String, String>,
    /// Messages to people that did not get there.
    pub(super) undelivered: Undelivered,
    /// Who started it and does not stay, where it goes on in the background.
    pub(super) behind: Option<Behind>,
}

/// Who is there while a run goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attendance {
    /// Ask before each step, and after each failure.
    pub(super) guided: bool,
    /// Wait for people, also where nobody sits at this terminal.
    pub(super) wait: bool,
}

impl Ready {
    /// Carries it on from `start` until it ends or has to wait, and tells how.
    pub(super) async fn carry(self, start: Start) -> Result<Told, CommandError> {
        let mut finished = self.engine(start).run().await?;
        while finished.refused.is_none() && self.asks() {
            match self.ask(&finished).await {
                Some(Ok(letter)) => finished = self.go_on(letter).await?,
                Some(Err(Silence::Signal(reason))) => {
                    finished.stopped = Some(reason);
                    break;
                }
                Some(Err(Silence::Left)) | None => break,
            }
        }
        let report = match self.plan.len() <= REPORTED_AT_ONCE {
            true => Some(self.write_report().await),
            false => None,
        };
        let next = self.next(&finished).await;
        Ok(Told {
            finished,
            report,
            run: self.run.clone(),
            run_dir: self.run_dir(),
            json: self.json,
            next,
            undelivered: self.undelivered.take(),
        })
    }

    fn run_dir(&self) -> PathBuf {
        state::run_dir(&self.state_dir, &self.run)
    }

    fn engine(&self, start: Start) -> Engine {
        let asks = self.asks();
        let (desk, mut subscribers) = match asks {
            true => {
                let (said, desk) = tokio::sync::mpsc::unbounded_channel();
                let shown = Desk::new(
                    &self.run,
                    look(),
                    said,
                    self.run_dir(),
                    self.plan.runbook.troubleshooting.clone(),
                );
                (Some(desk), vec![Box::new(shown) as Box<dyn Subscriber>])
            }
            false => match &self.behind {
                Some(behind) => (None, vec![behind.subscriber(&self.run, self.run_dir())]),
                None => (None, subscribers(self.json, &self.run)),
            },
        };
        let comms = Comms::new(&Setup {
            run: &self.run,
            def: &self.plan.runbook.comms,
            inputs: &self.plan.inputs,
            secrets: &self.secrets,
            mode: self.options.comms,
            undelivered: self.undelivered.clone(),
        });
        subscribers.extend(comms.map(|comms| Box::new(comms) as Box<dyn Subscriber>));
        Engine {
            run: self.run.clone(),
            plan: Arc::clone(&self.plan),
            start,
            secrets: self.secrets.clone(),
            options: self.options.clone(),
            store: Arc::clone(&self.store),
            run_dir: self.run_dir(),
            base_dir: self.base_dir.clone(),
            holder: state::me(),
            people: self.people.clone(),
            attended: asks || self.attendance.wait,
            guided: self.attendance.guided,
            desk,
            subscribers,
        }
    }

    /// Whether there is somebody to ask.
    fn asks(&self) -> bool {
        !self.silent
            && !self.json
            && std::io::stdin().is_terminal()
            && std::io::stderr().is_terminal()
            && in_foreground()
    }

    /// What the person at the terminal says after a Ctrl-C; `None`: there is nothing to ask.
    async fn ask(&self, finished: &Finished) -> Option<Said> {
        match (finished.status, finished.stopped) {
            (RunStatus::Waiting, Some(Parking::Interrupt)) => Some(ask::after_interrupt().await),
            _ => None,
        }
    }

    /// Goes on as was said.
    async fn go_on(&self, letter: Letter) -> Result<Finished, CommandError> {
        let start = Start::Again {
            order: Some((letter.order, letter.reason)),
            takeover: false,
        };
        Ok(self.engine(start).run().await?)
    }

    async fn view(&self) -> Result<RunView, CommandError> {
        let events = self.store.load(&self.run, 1).await?;
        Ok(RunView::replay(&events).with_id(self.run.clone()))
    }

    /// The commands that come next. Of a run that is over and well the journal is not read for them:
    /// it may be long.
    async fn next(&self, finished: &Finished) -> Vec<String> {
        if matches!(
            finished.status,
            RunStatus::Succeeded | RunStatus::RolledBack | RunStatus::Cancelled
        ) {
            return vec![format!("ferry report {}", self.run)];
        }
        match self.view().await {
            Ok(view) => super::next::commands(&view),
            Err(_) => vec![format!("ferry status {}", self.run)],
        }
    }

    /// The reports beside the run's other files, from the journal alone; the page's path.
    async fn write_report(&self) -> Result<PathBuf, String> {
        let dir = self.run_dir();
        let (view, proof) = super::report::read(self.store.as_ref(), &self.run, &dir)
            .await
            .map_err(|error| error.message)?;
        let page = dir.join("report.html");
        let html = match self.sealed_page(&dir).await {
            Some(html) => html,
            None => front::report::html(&view, &proof, None),
        };
        let made = std::panic::catch_unwind(|| {
            failpoint::io("report")?;
            std::fs::write(
                dir.join("report.md"),
                front::report::markdown(&view, &proof),
            )?;
            std::fs::write(&page, html)
        });
        match made {
            Ok(Ok(())) => Ok(page),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("ferry itself failed in the middle of it (a panic)".into()),
        }
    }
}

impl Ready {
    /// The page with its journal in it, as `ferry report` writes it.
    async fn sealed_page(&self, dir: &Path) -> Option<String> {
        let store = SqliteStore::open_read_only(&self.state_dir).await.ok()?;
        let written = sealed::written(Form::Html, &store, &self.run, dir);
        written.await.ok().flatten()
    }
}

/// How a run ended, ready to be told.
pub(super) struct Told {
    finished: Finished,
    report: Option<Result<PathBuf, String>>,
    run: String,
    run_dir: PathBuf,
    json: bool,
    next: Vec<String>,
    undelivered: Vec<String>,
}

impl Told {
    /// Tells it, and gives the exit code.
    pub(super) fn tell(self) -> Result<Exit, CommandError> {
        if let Some(why) = &self.finished.refused {
            return Err(CommandError::new(Exit::Usage, why.clone()));
        }
        let mut exit = exit_of(&self.finished);
        if exit == Exit::Done && matches!(self.report, Some(Err(_))) {
            exit = Exit::CannotWrite;
        }
        for line in &self.undelivered {
            super::note(&crate::secret::mask_places(&format!("comms: {line}")));
        }
        match &self.report {
            Some(report) => say_report(report, &self.run_dir),
            None => super::say(&format!("  report      ferry report {}", self.run)),
        }
        if !matches!(exit, Exit::Done | Exit::RolledBack) {
            for command in self.next.iter().filter(|next| !next.contains("report")) {
                super::say(&format!("  next        {command}"));
            }
        }
        if self.json {
            let end = json!({
                "event": "end", "run": self.run, "code": exit.code(),
                "outcome": self.finished.status.words(), "next": self.next,
            });
            // how the run ended stands, whether or not anybody reads it
            match super::answer(&format!("{end}\n")) {
                Err(error) if error.exit != Exit::Done => super::note(&error.message),
                _ => {}
            }
        }
        Ok(exit)
    }
}

/// A report that cannot be written changes nothing of how the run ended, and is told by the exit code
/// where that has nothing worse to tell.
fn say_report(report: &Result<PathBuf, String>, run_dir: &Path) {
    let here = std::env::current_dir().unwrap_or_default();
    match report {
        Ok(path) => super::say(&format!(
            "  report      {}",
            path.strip_prefix(&here).unwrap_or(path).display()
        )),
        Err(error) => super::note(&format!(
            "the report could not be written to `{}`: {error}",
            run_dir.display()
        )),
    }
}

fn subscribers(json: bool, id: &str) -> Vec<Box<dyn Subscriber>> {
    if json {
        return vec![Box::new(front::JsonLines::new(std::io::stdout(), id))];
    }
    let look = look();
    if look.live {
        // without a thread for it, lines serve as well
        if let Ok(progress) = front::Progress::start(look.colour) {
            return vec![Box::new(progress)];
        }
    }
    vec![Box::new(front::Plain::new(std::io::stderr(), look.colour))]
}

/// How this terminal is to be talked to.
pub(super) fn look() -> front::Look {
    front::Look::of(std::io::stderr().is_terminal(), |name| {
        std::env::var(name).ok()
    })
}

/// How a run's end is told to whoever called.
pub(super) fn exit_of(finished: &Finished) -> Exit {
    match finished.status {
        RunStatus::Succeeded | RunStatus::Closed => Exit::Done,
        // what nobody said an undo for is left, and somebody has to look
        RunStatus::RolledBack if finished.partial => Exit::RollbackFailed,
        RunStatus::RolledBack if finished.cancelled => Exit::CancelledBack,
        RunStatus::RolledBack => Exit::RolledBack,
        RunStatus::RollbackFailed => Exit::RollbackFailed,
        RunStatus::Failed => Exit::Failed,
        RunStatus::Cancelled => Exit::Cancelled,
        RunStatus::Aborted => Exit::Aborted,
        RunStatus::Waiting => match finished.stopped {
            Some(Parking::Terminate) => Exit::Terminated,
            Some(Parking::Hangup) => Exit::Hangup,
            Some(Parking::Interrupt) => Exit::Interrupted,
            Some(Parking::Journal) => Exit::JournalFailed,
            Some(Parking::Question | Parking::Held | Parking::Paused) | None => Exit::Waiting,
        },
        RunStatus::Planned
        | RunStatus::Running
        | RunStatus::Cancelling
        | RunStatus::RollingBack => Exit::Internal,
    }
}

/// A guided run needs somebody to guide it.
pub(super) fn can_guide(guided: bool) -> Result<(), CommandError> {
    let there = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    match guided && !there {
        true => Err(CommandError::new(
            Exit::Usage,
            "`--guided` asks before each step, and this is no terminal",
        )
        .hint("leave `--guided` out, or start it at a terminal")),
        false => Ok(()),
    }
}

/// Whether the terminal is this process's to read from: a job in the background is stopped by the kernel
/// when it asks something.
fn in_foreground() -> bool {
    let own = nix::unistd::getpgrp();
    nix::unistd::tcgetpgrp(std::io::stdin()).is_ok_and(|group| group == own)
}
