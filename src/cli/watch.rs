//! `ferry watch`: follows a run that another process carries on, from its journal alone, and changes
//! nothing.
//!
//! Main type: [`Watching`]. What it shows is what the engine's own terminal shows, without the output of
//! steps, which is in no journal. It ends when the run is over, or when nobody carries it on any more.

use std::collections::HashSet;
use std::io::{self, Stderr, Stdout};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::error::CommandError;
use super::exit::Exit;
use super::{carry, next, replan, state};
use crate::engine::{Finished, Subscriber};
use crate::event::{Event, EventKind, RunEvent, RunStatus};
use crate::front::escape::shown;
use crate::front::progress::Shown;
use crate::front::{JsonLines, Plain, Progress};
use crate::run::RunState;
use crate::store::{RunRow, SqliteStore, Store, StoreError};
use crate::view::RunView;

/// The longest between two looks at whether the engine is still there.
const PAUSE: Duration = Duration::from_millis(500);

/// Events of the past that are told again above a live picture.
const TOLD_AGAIN: usize = 200;

/// How often a store that is locked is asked again.
const TRIES: u32 = 20;

/// Follow a run that another process carries on, until it is over
#[derive(clap::Args)]
#[command(
    after_help = "Ctrl-C ends the watching and not the run. The exit code is the one that `ferry run` \
                  ends with; 13 where the engine is gone and the run has to be resumed.\n\n\
                  Example:\n  ferry watch"
)]
pub(super) struct Args {
    /// The run, or a beginning of its id; the latest when left out
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// Line-delimited events on standard output, from the first one on
    #[arg(long)]
    json: bool,
}

pub(super) fn watch(args: &Args, state_dir: &Path) -> Result<Exit, CommandError> {
    let runtime = super::runtime()?;
    let ended = runtime.block_on(async {
        let store = state::open(state_dir).await?;
        let row = state::find(&store, args.run.as_deref()).await?;
        let mut watching = Watching::new(&row.id, args.json);
        let followed = tokio::select! {
            followed = watching.follow(&store) => followed.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        };
        watching.shows.finish();
        match followed? {
            Some(true) => {
                let finished = watching.finished(&store).await?;
                watching.tell(finished.as_ref())
            }
            // nobody reads it any more
            Some(false) => Ok(Exit::Done),
            None => {
                super::say("only the watching ended; the run goes on");
                Ok(Exit::Done)
            }
        }
    });
    // threads that still read a dead link must not hold the end up
    runtime.shutdown_background();
    ended
}

/// What shows it.
enum Shows {
    Live(Progress),
    Lines(Box<Plain<Stderr>>),
    Json(JsonLines<Stdout>),
}

impl Shows {
    fn new(json: bool, run: &str) -> Self {
        if json {
            return Self::Json(JsonLines::new(io::stdout(), run));
        }
        let look = carry::look();
        if look.live {
            // without a thread for it, lines serve as well
            if let Ok(progress) = Progress::start(look.colour) {
                return Self::Live(progress);
            }
        }
        Self::Lines(Box::new(Plain::new(io::stderr(), look.colour)))
    }

    fn subscriber(&mut self) -> &mut dyn Subscriber {
        match self {
            Self::Live(progress) => progress,
            Self::Lines(plain) => plain.as_mut(),
            Self::Json(json) => json,
        }
    }

    fn say(&self, line: &str) {
        match self {
            Self::Live(progress) => {
                let _ = progress.sender().send(Shown::Say(shown(line).into_owned()));
            }
            Self::Lines(_) => super::say(line),
            Self::Json(_) => {}
        }
    }

    /// Whether whoever read it went away.
    fn gone(&self) -> bool {
        matches!(self, Self::Json(json) if json.is_gone())
    }

    fn finish(&mut self) {
        self.subscriber().finish();
    }
}

/// A run that is watched.
struct Watching {
    view: RunView,
    shows: Shows,
    /// Whether the first events are still to come.
    fresh: bool,
    /// Questions whose commands were said.
    said: HashSet<(String, i64)>,
    /// Whether the command that goes on after a pause was said.
    paused: bool,
}

impl Watching {
    fn new(run: &str, json: bool) -> Self {
        Self {
            view: RunView::lean().with_id(run),
            shows: Shows::new(json, run),
            fresh: true,
            said: HashSet::new(),
            paused: false,
        }
    }

    /// Follows it until nothing more happens by itself; false: whoever read it went away.
    async fn follow(&mut self, store: &SqliteStore) -> Result<bool, CommandError> {
        let run = self.view.id.clone();
        let mut since = 0;
        let mut locked = 0;
        loop {
            let looked = look(store, &run, self.view.last_seq + 1).await;
            let (row, events) = match looked {
                Ok(Some(looked)) => looked,
                Ok(None) => return Err(StoreError::NoRun { run }.into()),
                // whoever holds it writes, and lets go of it
                Err(StoreError::Locked { .. }) if locked < TRIES => {
                    locked += 1;
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            locked = 0;
            if !events.is_empty() {
                self.take(&events, row.live)?;
            }
            let status = self.view.status;
            if self.shows.gone() {
                return Ok(false);
            }
            // one that waits may have an engine that goes on with the answer
            if !row.live || status.is_over() && status != RunStatus::Waiting {
                return Ok(true);
            }
            self.say_commands();
            since = store.changed(&run, since, PAUSE).await?;
        }
    }

    /// Shows what happened; of the past only what explains the present.
    fn take(&mut self, events: &[Event], live: bool) -> Result<(), CommandError> {
        for event in events {
            self.view.apply(event);
        }
        let over = !live || self.view.status.is_over() && self.view.status != RunStatus::Waiting;
        let from = match (&self.shows, self.fresh) {
            (Shows::Json(_), _) | (_, false) => 0,
            (_, true) if over => last_end(events),
            (Shows::Lines(_), true) => 0,
            (Shows::Live(_), true) => events.len().saturating_sub(TOLD_AGAIN),
        };
        self.fresh = false;
        let (past, now) = events.split_at(from);
        if from > 0 && !over {
            self.shows.say(&format!(
                "({from} earlier events are not told again; `ferry status {}` has them)",
                self.view.id
            ));
        }
        let shown = self.shows.subscriber();
        shown.on_history(past);
        shown
            .on_events(now)
            .map_err(|error| CommandError::writing(&error))
    }

    /// How what is asked now can be answered from here, once for each question.
    fn say_commands(&mut self) {
        let open: Vec<_> = self.view.asked.iter().collect();
        for asked in open {
            let id = (asked.step.clone(), asked.at);
            if self.said.insert(id) {
                let command = next::answer(&self.view, asked);
                self.shows.say(&format!("  answer      {command}"));
            }
        }
        let paused = self.view.status == RunStatus::Waiting && self.view.asked.is_empty();
        if paused && !self.paused {
            self.shows
                .say(&format!("  next        ferry resume {}", self.view.id));
        }
        self.paused = paused;
    }

    /// How it ended; `None`: its engine ended in the middle, and nobody carries it on.
    async fn finished(&self, store: &SqliteStore) -> Result<Option<Finished>, CommandError> {
        let status = self.view.status;
        if status.is_active() {
            return Ok(None);
        }
        let stopped = match (status, self.view.parked.last()) {
            (RunStatus::Waiting, Some((_, why))) => Some(*why),
            _ => None,
        };
        let (partial, cancelled) = match status {
            RunStatus::RolledBack => self.taken_back(store).await?,
            _ => (false, self.view.cancelled()),
        };
        Ok(Some(Finished {
            status,
            stopped,
            partial,
            cancelled,
            refused: None,
        }))
    }

    /// Whether the way back left something, and whether somebody wanted it: by the state that the engine
    /// had at the end.
    async fn taken_back(&self, store: &SqliteStore) -> Result<(bool, bool), CommandError> {
        let events = store.load(&self.view.id, 1).await?;
        let planned = replan::planned(&events)?;
        let plan = Arc::new(replan::outline(planned)?);
        let mut state = RunState::new(plan, &self.view.id, "", planned.options.clone());
        for event in &events {
            state.apply(&event.kind, event.at);
        }
        Ok((state.is_partial(), state.is_cancelled()))
    }

    /// Tells how it ended, and gives the exit code.
    fn tell(&self, finished: Option<&Finished>) -> Result<Exit, CommandError> {
        let run = &self.view.id;
        let commands = next::commands(&self.view);
        let exit = finished.map_or(Exit::Waiting, carry::exit_of);
        let outcome = match finished {
            Some(finished) => finished.status.words(),
            None => "interrupted",
        };
        if let Shows::Json(_) = self.shows {
            let end = json!({
                "event": "end", "run": run, "code": exit.code(), "outcome": outcome, "next": commands,
            });
            super::answer(&format!("{end}\n"))?;
            return Ok(exit);
        }
        if finished.is_none() {
            let words = self.view.status.words();
            super::say(&format!(
                "interrupted: {words} when its engine ended; nothing carries it on"
            ));
        }
        if finished.is_some_and(|finished| finished.status != RunStatus::Waiting) {
            super::say(&format!("  report      ferry report {run}"));
        }
        if !matches!(exit, Exit::Done | Exit::RolledBack) {
            for command in commands.iter().filter(|next| !next.contains("report")) {
                super::say(&format!("  next        {command}"));
            }
        }
        Ok(exit)
    }
}

/// The run as it stands, and what was written from an event on. What is written before its engine ends
/// is there when the engine is seen to have ended.
async fn look(
    store: &SqliteStore,
    run: &str,
    from: u64,
) -> Result<Option<(RunRow, Vec<Event>)>, StoreError> {
    let Some(row) = store.find(run).await? else {
        return Ok(None);
    };
    Ok(Some((row, store.load(run, from).await?)))
}

/// Where the last end, or stop, of a run stands among its events; their end where there is none.
fn last_end(events: &[Event]) -> usize {
    let ends = |event: &Event| {
        matches!(
            event.kind,
            EventKind::Run(RunEvent::Finished { .. } | RunEvent::Parked { .. })
        )
    };
    events.iter().rposition(ends).unwrap_or(events.len())
}
