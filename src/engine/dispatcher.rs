//! The dispatcher: one loop that waits for an input, decides, commits, shows, and hands out.
//!
//! While a commit is being made durable, inputs go on being decided; what follows from them is the
//! next commit. So the end of one step and the intent of the next share a sync, outcomes that come
//! together are committed together, and nothing waits for the disk that need not.

use std::collections::HashMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::bus::{Bus, Subscriber};
use super::clock::now_ms;
use super::executor::Executor;
use super::hide::hide;
use super::lasting;
use super::limits;
use super::preflight;
use super::signals::Signals;
use super::standing::{self, Place};
use crate::action::Stop;
use crate::event::run::Planned;
use crate::event::{Event, EventKind, Parking, RunEvent, RunOptions, RunStatus};
use crate::failpoint;
use crate::plan::Plan;
use crate::run::{Decision, Effect, Input, InputKind, RunState};
use crate::secret::Masker;
use crate::store::{Batch, Holder, Lease, NewRun, Store, StoreError};

/// How long what runs is waited for when the journal is dead: longer than TERM, grace and KILL take.
const LAST_WAIT: Duration = Duration::from_secs(15);

/// A run that is ready to start.
pub struct Engine {
    /// The run's id.
    pub run: String,
    /// What will run.
    pub plan: Arc<Plan>,
    /// Path and text of the runbook, for the journal.
    pub source: (String, String),
    /// Values of the secret inputs.
    pub secrets: HashMap<String, String>,
    /// How.
    pub options: RunOptions,
    /// Where the journal is.
    pub store: Arc<dyn Store>,
    /// The run's own directory.
    pub run_dir: PathBuf,
    /// Where relative paths of the runbook start.
    pub base_dir: PathBuf,
    /// Who runs it.
    pub holder: Holder,
    /// Who is told.
    pub subscribers: Vec<Box<dyn Subscriber>>,
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
}

/// Why a run could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal failed; nothing was started after that.
    #[error("the journal could not be written: {0}")]
    Store(#[from] StoreError),
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
    /// Signals.
    #[error("signals cannot be received: {0}")]
    Signals(std::io::Error),
}

impl Engine {
    /// Carries the run out to its end, or until it is stopped.
    ///
    /// # Errors
    /// When it cannot start, or the journal fails.
    pub async fn run(mut self) -> Result<Finished, EngineError> {
        let plan = Arc::clone(&self.plan);
        let dir = self.run_dir.display().to_string();
        let wanted = self.options.max_parallel;
        let room = limits::room(wanted.unwrap_or(plan.runbook.max_parallel));
        let options = RunOptions {
            max_parallel: Some(room),
            ..self.options.clone()
        };
        let state = RunState::new(Arc::clone(&plan), &self.run, dir, options);
        let bus = Bus::start(std::mem::take(&mut self.subscribers));
        let place = Place {
            run: self.run.clone(),
            run_dir: self.run_dir.clone(),
            base_dir: self.base_dir.clone(),
        };
        let shared = standing::shared(&state, &self.secrets, place, bus.lines())?;
        preflight::ask(&shared, &state).await?;
        let signals = Signals::listen().map_err(EngineError::Signals)?;
        std::fs::create_dir_all(&self.run_dir).map_err(|error| EngineError::Directory {
            path: self.run_dir.display().to_string(),
            error,
        })?;
        let locks = plan
            .runbook
            .locks
            .iter()
            .map(|lock| lock.value.clone())
            .collect();
        let new = NewRun {
            id: self.run.clone(),
            name: plan.runbook.name.value.clone(),
            at: now_ms(),
            locks,
        };
        self.store.create(&new).await?;
        let lease = self.store.claim(&self.run, &self.holder).await?;
        let (inputs, receiver) = mpsc::unbounded_channel();
        let planned = self.planned(&plan, &shared.masker);
        let begin = InputKind::Begin {
            by: self.holder.who.clone(),
            host: self.holder.host.clone(),
            pid: self.holder.pid,
        };
        let dispatcher = Dispatcher {
            executor: Executor::new(Arc::new(shared), inputs),
            state,
            store: Arc::clone(&self.store),
            lease: lease.clone(),
            bus,
            next_seq: 1,
            pending: Pending::default(),
        };
        let finished = dispatcher.carry_on(planned, begin, receiver, signals).await;
        // a lease that cannot be given back is seen to be dead with this process
        let _ = self.store.release(&lease).await;
        finished
    }

    fn planned(&mut self, plan: &Plan, masker: &Masker) -> EventKind {
        let (source, text) = std::mem::take(&mut self.source);
        // a password written into an address is no secret input, and still not to be seen
        let inputs = plan.inputs.iter();
        let inputs = inputs.map(|(name, value)| (name.clone(), masker.json(value.clone())));
        EventKind::Run(RunEvent::Planned(Box::new(Planned {
            name: plan.runbook.name.value.clone(),
            title: plan.runbook.title.clone(),
            source,
            text: masker.text(&text).into_owned(),
            digest: plan.digest.clone(),
            inputs: inputs.collect(),
            secrets: plan.secrets.clone(),
            outline: plan.outline(),
            options: self.options.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
        })))
    }
}

/// What is decided and not yet durable.
#[derive(Default)]
struct Pending {
    events: Vec<Event>,
    effects: Vec<Effect>,
    status: Option<RunStatus>,
}

type Committing =
    Pin<Box<dyn Future<Output = Result<(Vec<Event>, Vec<Effect>), StoreError>> + Send>>;

struct Dispatcher {
    executor: Executor,
    state: RunState,
    store: Arc<dyn Store>,
    lease: Lease,
    bus: Bus,
    next_seq: u64,
    pending: Pending,
}

impl Dispatcher {
    async fn carry_on(
        mut self,
        planned: EventKind,
        begin: InputKind,
        mut inputs: mpsc::UnboundedReceiver<InputKind>,
        mut signals: Signals,
    ) -> Result<Finished, EngineError> {
        self.record(vec![planned], now_ms());
        self.take(begin);
        let mut committing: Option<Committing> = self.commit();
        let mut signalled = 0;
        loop {
            tokio::select! {
                biased;
                done = wait_for(&mut committing) => {
                    committing = None;
                    let (events, effects) = match done {
                        Ok(done) => done,
                        Err(error) => return Err(self.give_up(error, inputs, signals).await),
                    };
                    self.bus.publish(events);
                    for effect in &effects {
                        self.executor.carry_out(effect, &self.state);
                    }
                }
                Some(input) = inputs.recv() => {
                    self.take(input);
                    while let Ok(input) = inputs.try_recv() {
                        self.take(input);
                    }
                }
                reason = signals.next() => {
                    signalled += 1;
                    self.signalled(reason, signalled);
                }
            }
            if committing.is_none() {
                committing = self.commit();
            }
            if committing.is_none() && self.state.status().is_over() {
                return Ok(self.end());
            }
        }
    }

    /// Decides what follows from an input and keeps it for the next commit.
    fn take(&mut self, input: InputKind) {
        failpoint::pass("scheduler", "");
        self.executor.over(&input, &self.state);
        let at = now_ms();
        let Decision { events, effects } = self.state.advance(&Input { at, kind: input });
        if events.is_empty() {
            // nothing to make durable first: a timer
            effects
                .iter()
                .for_each(|effect| self.executor.carry_out(effect, &self.state));
            return;
        }
        self.record(events, at);
        self.pending.effects.extend(effects);
    }

    fn record(&mut self, events: Vec<EventKind>, at: i64) {
        for kind in events {
            if matches!(kind, EventKind::Run(_) | EventKind::Rollback(_)) {
                self.pending.status = Some(self.state.status());
            }
            self.pending.events.push(Event {
                seq: self.next_seq,
                at,
                kind: hide(kind, &self.executor.shared.masker),
            });
            self.next_seq += 1;
        }
    }

    /// Starts to make what is pending durable; its effects are handed out only after that.
    fn commit(&mut self) -> Option<Committing> {
        if self.pending.events.is_empty() {
            return None;
        }
        let Pending {
            events,
            effects,
            status,
        } = std::mem::take(&mut self.pending);
        let (store, lease) = (Arc::clone(&self.store), self.lease.clone());
        Some(Box::pin(async move {
            // an effect carried out in this process is handed out with its intent, which is an
            // event of this very commit; rows beside that are for effects of other hosts
            let batch = Batch {
                events: events.clone(),
                status,
                ..Batch::default()
            };
            lasting::commit(store.as_ref(), &lease, batch).await?;
            Ok((events, effects))
        }))
    }

    fn signalled(&mut self, reason: Parking, times: u32) {
        if times == 1 {
            self.take(InputKind::Stop { reason });
        } else {
            // what is in flight is ended, and reports what is known of it
            self.executor.stop(
                if times == 2 {
                    Stop::Terminate
                } else {
                    Stop::Kill
                },
                false,
            );
        }
    }

    /// The journal is dead: nothing starts any more, and what runs is ended and waited for, so that
    /// nothing goes on behind the operator's back. How it ended is in no journal.
    async fn give_up(
        mut self,
        error: StoreError,
        mut inputs: mpsc::UnboundedReceiver<InputKind>,
        mut signals: Signals,
    ) -> EngineError {
        let fenced = matches!(error, StoreError::Fenced { .. });
        let level = if fenced { Stop::Kill } else { Stop::Terminate };
        self.executor.stop(level, false);
        let longest = tokio::time::sleep(LAST_WAIT);
        tokio::pin!(longest);
        while self.executor.is_busy() {
            tokio::select! {
                Some(input) = inputs.recv() => self.executor.over(&input, &self.state),
                _ = signals.next() => self.executor.stop(Stop::Kill, false),
                () = &mut longest => break,
            }
        }
        self.bus.finish();
        error.into()
    }

    fn end(self) -> Finished {
        let finished = Finished {
            status: self.state.status(),
            stopped: self.state.stopping(),
            partial: self.state.is_partial(),
        };
        self.bus.finish();
        finished
    }
}

async fn wait_for(
    committing: &mut Option<Committing>,
) -> Result<(Vec<Event>, Vec<Effect>), StoreError> {
    match committing {
        Some(committing) => committing.await,
        None => std::future::pending().await,
    }
}
