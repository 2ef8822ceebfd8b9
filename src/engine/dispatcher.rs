//! The dispatcher: one loop that waits for an input, decides, commits, shows, and hands out.
//!
//! While a commit is being made durable, inputs go on being decided; what follows from them is the
//! next commit. So the end of one step and the intent of the next share a sync, outcomes that come
//! together are committed together, and nothing waits for the disk that need not.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::attest::attested;
use super::bus::Bus;
use super::clock::{now_ms, until};
use super::executor::Executor;
use super::hide::hide;
use super::lasting;
use super::mail::{self, Desk, Fetching, Mail};
use super::signals::{Signals, Told};
use super::start::{EngineError, Finished};
use crate::action::Stop;
use crate::event::{Event, EventKind, OperatorEvent, Parking, RunStatus};
use crate::failpoint;
use crate::run::{Decision, Effect, Input, InputKind, RunState};
use crate::store::{Batch, Lease, Store, StoreError};

/// How long what runs is waited for when the journal is dead: longer than TERM, grace and KILL take.
const LAST_WAIT: Duration = Duration::from_secs(15);

/// How long what runs is waited for after SIGTERM, SIGHUP or a journal that fails, before it is ended.
const DRAIN: Duration = Duration::from_secs(25);

/// What a third Ctrl-C leaves with.
const INTERRUPTED: i32 = 130;

/// Where inputs come from.
pub(super) struct Incoming {
    pub(super) desk: Desk,
    pub(super) inputs: mpsc::UnboundedReceiver<InputKind>,
    pub(super) mail: Fetching,
    pub(super) signals: Signals,
}

/// What is decided and not yet durable, and what it was decided on.
#[derive(Default)]
struct Pending {
    events: Vec<Event>,
    effects: Vec<Effect>,
    consumed: Vec<u64>,
    status: Option<RunStatus>,
    inputs: Vec<InputKind>,
}

type Committing =
    Pin<Box<dyn Future<Output = Result<(Vec<Event>, Vec<Effect>), StoreError>> + Send>>;

/// The loop and what it owns.
pub(super) struct Dispatcher {
    executor: Executor,
    state: RunState,
    store: Arc<dyn Store>,
    lease: Lease,
    bus: Bus,
    next_seq: u64,
    pending: Pending,
    /// Inputs of the commit under way, until it succeeded.
    committing: Vec<InputKind>,
    /// When what is in flight is ended, because the engine has to leave.
    drain: Option<Instant>,
    /// A signal that came while the run stood still: there is nothing to wait for.
    leave: Option<Parking>,
    /// The journal failed: the run is parked, and this is told.
    trouble: Option<StoreError>,
    refused: Option<String>,
    /// What follows from inputs is left for later.
    quiet: bool,
    /// The last row of the inbox that was opened: one may be fetched twice, and is taken once.
    opened: u64,
}

impl Dispatcher {
    pub(super) fn new(
        executor: Executor,
        state: RunState,
        store: Arc<dyn Store>,
        lease: Lease,
        bus: Bus,
        next_seq: u64,
    ) -> Self {
        Self {
            executor,
            state,
            store,
            lease,
            bus,
            next_seq,
            pending: Pending::default(),
            committing: Vec::new(),
            drain: None,
            leave: None,
            trouble: None,
            refused: None,
            quiet: false,
            opened: 0,
        }
    }

    /// Carries the run on: `first` is recorded, then the engine begins, takes what was sent before it
    /// came, and then what it was started for.
    pub(super) async fn carry_on(
        mut self,
        first: Vec<EventKind>,
        begin: InputKind,
        waiting: Vec<Mail>,
        order: Option<InputKind>,
        mut incoming: Incoming,
    ) -> Result<Finished, EngineError> {
        let at = now_ms();
        first.iter().for_each(|kind| self.state.apply(kind, at));
        self.record(first, at);
        // what was ordered counts before anything starts
        self.quiet = true;
        self.take(begin);
        waiting.into_iter().for_each(|mail| self.open(mail));
        if let Some(order) = order {
            self.take(order);
            self.refused = self.refusal();
        }
        self.quiet = false;
        match self.refused {
            None => self.take(InputKind::Advance),
            // this engine came for that order alone
            Some(_) => self.pending.effects.clear(),
        }
        let mut committing: Option<Committing> = self.commit();
        let mut signalled = 0;
        loop {
            tokio::select! {
                biased;
                done = wait_for(&mut committing) => {
                    committing = None;
                    match done {
                        Ok((events, effects)) => self.committed(events, &effects),
                        Err(error) => self.failed(error, &mut incoming).await?,
                    }
                }
                Some(input) = incoming.inputs.recv() => {
                    self.take(input);
                    while let Ok(input) = incoming.inputs.try_recv() {
                        self.take(input);
                    }
                }
                mail = incoming.mail.next() => self.open(mail),
                said = incoming.desk.next() => self.take(said),
                told = incoming.signals.next() => match told {
                    Told::Park(reason) => {
                        signalled += 1;
                        self.signalled(reason, signalled);
                    }
                    Told::Show => self.executor.show(),
                },
                () = until(self.drain) => {
                    self.drain = None;
                    self.executor.stop(Stop::Terminate, false);
                }
            }
            if committing.is_none() {
                committing = self.commit();
            }
            if committing.is_none() && self.is_over() {
                return self.end();
            }
        }
    }

    /// Whether nothing more happens here. A run that was paused waits for the order to go on.
    fn is_over(&self) -> bool {
        let stays = self.state.waits_here() && self.leave.is_none();
        self.refused.is_some() || self.state.status().is_over() && !stays
    }

    fn committed(&mut self, events: Vec<Event>, effects: &[Effect]) {
        self.committing.clear();
        self.bus.publish(events);
        self.executor.note_phases(&self.state);
        for effect in effects {
            self.executor.carry_out(effect, &self.state);
        }
    }

    /// Decides what follows from an input and keeps it for the next commit.
    fn take(&mut self, input: InputKind) {
        failpoint::pass("scheduler", "");
        let input = attested(input, &self.state, &self.executor.shared.run_dir);
        self.executor.over(&input, &self.state);
        let at = now_ms();
        let input = Input { at, kind: input };
        let Decision { events, effects } = match self.quiet {
            true => self.state.take(&input),
            false => self.state.advance(&input),
        };
        if events.is_empty() {
            // nothing to make durable first: a timer
            effects
                .iter()
                .for_each(|effect| self.executor.carry_out(effect, &self.state));
            return;
        }
        self.record(events, at);
        self.pending.effects.extend(effects);
        self.pending.inputs.push(input.kind);
    }

    /// Takes an order from another terminal; its row goes with the events that it causes.
    fn open(&mut self, (id, order): Mail) {
        if id <= self.opened {
            return;
        }
        self.opened = id;
        self.pending.consumed.push(id);
        if let Some(order) = order {
            let inputs = self.pending.inputs.len();
            self.take(order);
            // should its commit fail, it lies in the inbox still
            self.pending.inputs.truncate(inputs);
        }
    }

    fn refusal(&self) -> Option<String> {
        let last = self.pending.events.last()?;
        match &last.kind {
            EventKind::Operator(OperatorEvent::Refused { why, .. }) => Some(why.clone()),
            _ => None,
        }
    }

    fn record(&mut self, events: Vec<EventKind>, at: i64) {
        for kind in events {
            if matches!(
                kind,
                EventKind::Run(_) | EventKind::Rollback(_) | EventKind::Operator(_)
            ) {
                self.pending.status = Some(self.state.status());
            }
            let kind = self.executor.with_brief(kind, &self.state);
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
        if self.pending.events.is_empty() && self.pending.consumed.is_empty() {
            return None;
        }
        let Pending {
            events,
            effects,
            consumed,
            status,
            inputs,
        } = std::mem::take(&mut self.pending);
        self.committing = inputs;
        let (store, lease) = (Arc::clone(&self.store), self.lease.clone());
        let patient = self.trouble.is_none();
        Some(Box::pin(async move {
            // an effect carried out in this process is handed out with its intent, which is an
            // event of this very commit; rows beside that are for effects of other hosts
            let batch = Batch {
                events: events.clone(),
                consumed,
                status,
                ..Batch::default()
            };
            lasting::commit(store.as_ref(), &lease, batch, patient).await?;
            Ok((events, effects))
        }))
    }

    fn signalled(&mut self, reason: Parking, times: u32) {
        if self.state.status() == RunStatus::Waiting {
            self.leave = Some(reason);
            return;
        }
        match times {
            1 => {
                if reason != Parking::Interrupt {
                    self.drain = Some(Instant::now() + DRAIN);
                }
                self.take(InputKind::Stop { reason });
            }
            // what is in flight is ended, and reports what is known of it
            2 => self.executor.stop(Stop::Terminate, false),
            // the same as a crash, which the next engine is made for
            _ if reason == Parking::Interrupt => std::process::exit(INTERRUPTED),
            _ => self.executor.stop(Stop::Kill, false),
        }
    }

    /// A commit failed for good. The state is folded again from what is durable; nothing new starts,
    /// what is in flight is waited for, and the run is parked if that much can still be written.
    async fn failed(
        &mut self,
        error: StoreError,
        incoming: &mut Incoming,
    ) -> Result<(), EngineError> {
        let again = matches!(
            error,
            StoreError::Io { .. } | StoreError::Full { .. } | StoreError::Locked { .. }
        );
        let begins = |input: &InputKind| matches!(input, InputKind::Begin { .. });
        let nothing = self.committing.iter().any(begins);
        if !again || nothing || self.trouble.is_some() {
            return Err(self.give_up(error, incoming).await);
        }
        self.store.make_room();
        let Ok(events) = self.store.load(&self.lease.run, 1).await else {
            return Err(self.give_up(error, incoming).await);
        };
        self.state.rewind();
        for event in &events {
            self.state.apply(&event.kind, event.at);
        }
        self.next_seq = events.last().map_or(1, |event| event.seq + 1);
        let lost = std::mem::take(&mut self.committing);
        let undecided = std::mem::take(&mut self.pending).inputs;
        self.trouble = Some(error);
        self.drain = Some(Instant::now() + DRAIN);
        let reason = Parking::Journal;
        self.take(InputKind::Stop { reason });
        // what was reported is not lost with the commit that would have held it
        let report = |input: &InputKind| !matches!(input, InputKind::Order { .. });
        for input in lost.into_iter().chain(undecided).filter(report) {
            self.take(input);
        }
        if self.state.is_busy() && !self.executor.is_busy() {
            // the commit was written after all, and what it handed out was never begun
            if let Some(error) = self.trouble.take() {
                return Err(self.give_up(error, incoming).await);
            }
        }
        self.opened = 0;
        let unread = mail::waiting(self.store.as_ref(), &self.lease.run).await;
        unread.into_iter().flatten().for_each(|one| self.open(one));
        Ok(())
    }

    /// The journal is dead: nothing starts any more, and what runs is ended and waited for, so that
    /// nothing goes on behind the operator's back. How it ended is in no journal.
    async fn give_up(&mut self, error: StoreError, incoming: &mut Incoming) -> EngineError {
        let fenced = matches!(error, StoreError::Fenced { .. });
        let level = if fenced { Stop::Kill } else { Stop::Terminate };
        self.executor.stop(level, false);
        let longest = tokio::time::sleep(LAST_WAIT);
        tokio::pin!(longest);
        while self.executor.is_busy() {
            tokio::select! {
                Some(input) = incoming.inputs.recv() => self.executor.over(&input, &self.state),
                told = incoming.signals.next() => match told {
                    Told::Park(_) => self.executor.stop(Stop::Kill, false),
                    Told::Show => self.executor.show(),
                },
                () = &mut longest => break,
            }
        }
        self.bus.finish();
        error.into()
    }

    fn end(mut self) -> Result<Finished, EngineError> {
        self.bus.finish();
        if let Some(error) = self.trouble {
            return Err(EngineError::Parked { error });
        }
        Ok(Finished {
            status: self.state.status(),
            stopped: self.leave.or(self.state.stopping()),
            partial: self.state.is_partial(),
            cancelled: self.state.is_cancelled(),
            refused: self.refused,
        })
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
