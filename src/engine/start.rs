//! Starting an engine: on a new run, or on one that another engine left.
//!
//! Main type: [`Engine`]. What it stands on (the lease, the state folded from the journal, addresses,
//! the masker) is made here; the loop itself is the [`super::dispatcher`].

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::bus::{Bus, Subscriber};
use super::clock::now_ms;
use super::dispatcher::{Dispatcher, Incoming};
use super::executor::Executor;
use super::mail::{Desk, Said};
use super::people::People;
use super::signals::Signals;
use super::standing::{self, Place};
use super::{limits, mail, preflight};
use crate::event::run::Planned;
use crate::event::{Event, EventKind, Order, Parking, RunEvent, RunOptions, RunStatus};
use crate::failpoint;
use crate::plan::{Plan, hex};
use crate::run::{InputKind, RunState};
use crate::secret::Masker;
use crate::store::{Holder, Lease, NewRun, Store, StoreError};

/// A run that is ready to be carried on.
pub struct Engine {
    /// The run's id.
    pub run: String,
    /// What will run.
    pub plan: Arc<Plan>,
    /// From the beginning, or from where another engine left it.
    pub start: Start,
    /// Values of the secret inputs.
    pub secrets: HashMap<String, String>,
    /// How; of one that goes on, its own.
    pub options: RunOptions,
    /// Where the journal is.
    pub store: Arc<dyn Store>,
    /// The run's own directory.
    pub run_dir: PathBuf,
    /// Where relative paths of the runbook start.
    pub base_dir: PathBuf,
    /// Who runs it.
    pub holder: Holder,
    /// Who has which role, by role, where the start of the run says so; a role that is not here has
    /// whom the runbook names.
    pub people: BTreeMap<String, String>,
    /// Whether it waits for people: one that does not parks the run instead.
    pub attended: bool,
    /// Whether it asks before each step and after each failure.
    pub guided: bool,
    /// What the person at the terminal says.
    pub desk: Option<mpsc::UnboundedReceiver<Said>>,
    /// Who is told.
    pub subscribers: Vec<Box<dyn Subscriber>>,
}

/// Where a run begins.
pub enum Start {
    /// At its beginning.
    New {
        /// The path of the runbook, for the journal.
        source: String,
        /// Its text.
        text: String,
    },
    /// Where its journal ends.
    Again {
        /// What is ordered, and why: how one goes on that stands still.
        order: Option<(Order, Option<String>)>,
        /// Take it although somebody else seems to hold it.
        takeover: bool,
    },
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Where it stands.
    pub status: RunStatus,
    /// Why it was stopped, when it was.
    pub stopped: Option<Parking>,
    /// Whether a way back left something for which the runbook says no undo.
    pub partial: bool,
    /// Whether somebody cancelled it.
    pub cancelled: bool,
    /// Why an order that this engine was started with was refused.
    pub refused: Option<String>,
}

/// Why a run could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal failed; nothing was started after that.
    #[error("the journal could not be written: {0}")]
    Store(#[from] StoreError),
    /// The journal failed for a while, and the run is parked.
    #[error("the journal could not be written: {error}; the run is parked, and nothing is lost")]
    Parked {
        /// Why.
        error: StoreError,
    },
    /// An address has no value.
    #[error("target `{name}`: {reason}")]
    Target {
        /// The target.
        name: String,
        /// Why.
        reason: String,
    },
    /// A secret is too short to be masked.
    #[error("{0}")]
    Secret(String),
    /// The run directory.
    #[error("`{path}`: {error}")]
    Directory {
        /// The directory.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// Targets that cannot be reached or do not let us in; nothing was started.
    #[error(transparent)]
    Preflight(#[from] preflight::Refused),
    /// Roles that are not there, keys that cannot be read.
    #[error("{0}")]
    People(String),
    /// Signals.
    #[error("signals cannot be received: {0}")]
    Signals(std::io::Error),
}

impl Engine {
    /// Carries the run on to its end, or until it is stopped.
    ///
    /// # Errors
    /// When it cannot start, or the journal fails.
    pub async fn run(mut self) -> Result<Finished, EngineError> {
        let signals = Signals::listen().map_err(EngineError::Signals)?;
        let mut state = self.fresh_state();
        match &self.start {
            Start::New { .. } => {
                let people = People::of(&self.plan.runbook, &self.people, &self.base_dir)
                    .map_err(EngineError::People)?;
                let bus = Bus::start(std::mem::take(&mut self.subscribers));
                let shared = standing::shared(&state, &self.secrets, self.place(), bus.lines())?;
                preflight::ask(&shared, &state).await?;
                self.make_dir()?;
                let lease = self.first_lease().await?;
                let planned = self.planned(&shared.masker, people);
                self.go(state, shared, bus, lease, vec![planned], 1, None, signals)
                    .await
            }
            Start::Again { order, takeover } => {
                let order = order.clone();
                let lease = self.store.claim(&self.run, &self.holder, *takeover).await?;
                failpoint::pass("claim.after", "");
                let events = self.store.load(&self.run, 1).await;
                let prepared = match events {
                    Ok(events) => {
                        for event in &events {
                            state.apply(&event.kind, event.at);
                        }
                        self.prepared(&state)
                            .map(|(shared, bus)| (shared, bus, events))
                    }
                    Err(error) => Err(error.into()),
                };
                let (shared, bus, events) = match prepared {
                    Ok(prepared) => prepared,
                    Err(error) => {
                        let _ = self.store.release(&lease).await;
                        return Err(error);
                    }
                };
                let next = events.last().map_or(1, |event: &Event| event.seq + 1);
                bus.recall(events);
                self.go(state, shared, bus, lease, Vec::new(), next, order, signals)
                    .await
            }
        }
    }

    fn prepared(&mut self, state: &RunState) -> Result<(super::job::Shared, Bus), EngineError> {
        let bus = Bus::start(std::mem::take(&mut self.subscribers));
        let shared = standing::shared(state, &self.secrets, self.place(), bus.lines())?;
        self.make_dir()?;
        Ok((shared, bus))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a dispatcher, made in two ways and put together in one"
    )]
    async fn go(
        self,
        state: RunState,
        shared: super::job::Shared,
        bus: Bus,
        lease: Lease,
        first: Vec<EventKind>,
        next_seq: u64,
        order: Option<(Order, Option<String>)>,
        signals: Signals,
    ) -> Result<Finished, EngineError> {
        let (inputs, receiver) = mpsc::unbounded_channel();
        let begin = InputKind::Begin {
            by: self.holder.who.clone(),
            host: self.holder.host.clone(),
            pid: self.holder.pid,
            attended: self.attended,
            guided: self.guided,
        };
        let order = order.map(|(order, reason)| InputKind::Order {
            by: self.holder.who.clone(),
            order,
            reason,
        });
        // what was sent while no engine was there comes before what this one is told
        let waiting = mail::waiting(self.store.as_ref(), &self.run).await?;
        let seen = waiting.last().map_or(0, |(id, _)| *id);
        let mail = mail::fetch(Arc::clone(&self.store), self.run.clone(), seen);
        let dispatcher = Dispatcher::new(
            Executor::new(Arc::new(shared), inputs),
            state,
            Arc::clone(&self.store),
            lease.clone(),
            bus,
            next_seq,
        );
        let incoming = Incoming {
            desk: Desk::new(self.holder.who.clone(), self.desk),
            inputs: receiver,
            mail,
            signals,
        };
        let finished = dispatcher
            .carry_on(first, begin, waiting, order, incoming)
            .await;
        // a lease that cannot be given back is seen to be dead with this process
        let _ = self.store.release(&lease).await;
        finished
    }

    fn fresh_state(&self) -> RunState {
        let dir = self.run_dir.display().to_string();
        let wanted = self.options.max_parallel;
        let room = limits::room(wanted.unwrap_or(self.plan.runbook.max_parallel));
        let options = RunOptions {
            max_parallel: Some(room),
            ..self.options.clone()
        };
        RunState::new(Arc::clone(&self.plan), &self.run, dir, options)
    }

    fn place(&self) -> Place {
        Place {
            run: self.run.clone(),
            run_dir: self.run_dir.clone(),
            base_dir: self.base_dir.clone(),
        }
    }

    fn make_dir(&self) -> Result<(), EngineError> {
        std::fs::create_dir_all(&self.run_dir).map_err(|error| EngineError::Directory {
            path: self.run_dir.display().to_string(),
            error,
        })
    }

    async fn first_lease(&self) -> Result<Lease, StoreError> {
        let locks = self.plan.runbook.locks.iter();
        let new = NewRun {
            id: self.run.clone(),
            name: self.plan.runbook.name.value.clone(),
            at: now_ms(),
            // what is done elsewhere does not keep out what is done here
            locks: locks
                .map(|lock| match &self.options.environment {
                    Some(environment) => format!("{}@{environment}", lock.value),
                    None => lock.value.clone(),
                })
                .collect(),
        };
        let lease = self.store.begin(&new, &self.holder).await?;
        failpoint::pass("claim.after", "");
        Ok(lease)
    }

    fn planned(&mut self, masker: &Masker, people: People) -> EventKind {
        let Start::New { source, text } = &self.start else {
            unreachable!("only a new run is planned");
        };
        // a password written into an address is no secret input, and still not to be seen
        let inputs = self.plan.inputs.iter();
        let inputs = inputs.map(|(name, value)| (name.clone(), masker.json(value.clone())));
        let mut options = self.options.clone();
        for waiver in &mut options.waived {
            waiver.reason = masker.text(&waiver.reason).into_owned();
        }
        EventKind::Run(RunEvent::Planned(Box::new(Planned {
            name: self.plan.runbook.name.value.clone(),
            title: self.plan.runbook.title.clone(),
            source: source.clone(),
            text: masker.text(text).into_owned(),
            digest: self.plan.digest.clone(),
            inputs: inputs.collect(),
            secrets: self.plan.secrets.clone(),
            outline: self.plan.outline(),
            options,
            version: env!("CARGO_PKG_VERSION").into(),
            base_dir: self.base_dir.display().to_string(),
            text_sha256: hex(&Sha256::digest(text.as_bytes())),
            people: people.people,
            sign_off: people.sign_off,
            criteria: people.criteria,
            signers: people.signers,
            window: self.plan.window(now_ms()),
        })))
    }
}
