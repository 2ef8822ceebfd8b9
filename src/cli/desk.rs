//! The person at the terminal of a live run: shows progress, asks what the run asks, and sends what they
//! say to the engine, as an order from any other terminal would come.
//!
//! Main type: [`Desk`], a subscriber. While a question is open nothing else is written to the terminal:
//! what happens meanwhile is told after it. A question that was answered elsewhere is taken back.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

use super::talk::{self, Talk};
use crate::engine::Subscriber;
use crate::engine::mail::Said;
use crate::event::{Event, EventKind, OperatorEvent, Order, RunStatus, StepEvent};
use crate::front::progress::Shown;
use crate::front::prompt::Sheet;
use crate::front::{Look, Plain, Progress};
use crate::runbook::model::Trouble;
use crate::view::{Asked, RunView};

/// What shows the run between questions.
enum Display {
    Live(Progress),
    Lines(Box<Plain<io::Stderr>>),
}

impl Display {
    fn events(&mut self, events: &[Event]) -> io::Result<()> {
        match self {
            Self::Live(progress) => progress.on_events(events),
            Self::Lines(plain) => plain.on_events(events),
        }
    }

    /// Frees the terminal.
    fn hold(&mut self) {
        if let Self::Live(progress) = self {
            let (free, freed) = channel();
            if progress.sender().send(Shown::Hold(free)).is_ok() {
                let _ = freed.recv_timeout(std::time::Duration::from_secs(1));
            }
        }
    }

    fn release(&mut self) {
        if let Self::Live(progress) = self {
            let _ = progress.sender().send(Shown::Release);
        }
    }
}

/// What the two threads share.
struct Counter {
    display: Display,
    /// What happened while a question was open.
    held: Vec<Event>,
    state: State,
}

/// Where the conversation stands; a question is named by its step and its time.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Talking(String, i64),
    /// It was answered, and what follows has not been seen yet.
    Answered(String, i64),
}

/// Shows a run and asks its questions.
pub(super) struct Desk {
    view: RunView,
    counter: Arc<Mutex<Counter>>,
    talks: Option<Sender<Box<Sheet>>>,
    withdrawn: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// What the runbook says about failures.
    troubles: Vec<Trouble>,
}

impl Desk {
    /// With the terminal as it looks; `said` is where orders go.
    pub(super) fn new(
        run: &str,
        look: Look,
        said: UnboundedSender<Said>,
        run_dir: PathBuf,
        troubles: Vec<Trouble>,
    ) -> Self {
        let live = if look.live {
            Progress::start(look.colour).ok()
        } else {
            None
        };
        let display = match live {
            Some(progress) => Display::Live(progress),
            // without a thread for it, lines serve as well
            None => Display::Lines(Box::new(Plain::new(io::stderr(), look.colour))),
        };
        let counter = Arc::new(Mutex::new(Counter {
            display,
            held: Vec::new(),
            state: State::Idle,
        }));
        let withdrawn = Arc::new(AtomicBool::new(false));
        let (talks, from) = channel();
        let talk = Talk {
            colour: look.colour,
            withdrawn: Arc::clone(&withdrawn),
            run_dir,
        };
        let shared = Arc::clone(&counter);
        let thread = std::thread::Builder::new()
            .name("desk".into())
            .spawn(move || converse(&from, &talk, &shared, &said));
        Self {
            view: RunView::new().with_id(run),
            counter,
            talks: thread.is_ok().then_some(talks),
            withdrawn,
            thread: thread.ok(),
            troubles,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counter> {
        self.counter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The question to ask now: what holds everything first; a gate only once nothing else goes on.
    fn wanted(&self) -> Option<&Asked> {
        let quiet = self.view.stopping.is_none() && self.view.status == RunStatus::Running;
        let mut asked = self.view.asked.iter().filter(|_| quiet);
        let holding = asked.clone().find(|one| one.question.holds());
        let at_work = |step: &crate::view::StepView| {
            step.status.in_flight() && step.status != crate::view::StepStatus::AtGate
        };
        let busy = || self.view.running().iter().any(|(_, step)| at_work(step));
        holding.or_else(|| asked.next().filter(|_| !busy()))
    }

    /// Asks what is to be asked, or takes a question back that is not asked any more.
    fn attend(&mut self, events: &[Event]) {
        let wanted = self.wanted().map(|one| (one.step.clone(), one.at));
        let open = |step: &str, at: i64| {
            let quiet = self.view.stopping.is_none() && self.view.status == RunStatus::Running;
            quiet
                && self
                    .view
                    .asked
                    .iter()
                    .any(|one| one.step == step && one.at == at)
        };
        let mut counter = self.lock();
        match counter.state.clone() {
            State::Talking(step, at) => {
                if !open(&step, at) {
                    self.withdrawn.store(true, Ordering::Relaxed);
                }
                return;
            }
            State::Answered(step, at) if open(&step, at) && !events.iter().any(reopens) => return,
            _ => counter.state = State::Idle,
        }
        let Some((step, at)) = wanted else { return };
        drop(counter);
        let asked = self
            .view
            .asked
            .iter()
            .find(|one| one.step == step && one.at == at);
        let Some(asked) = asked else { return };
        let sheet = Sheet::of(&self.view, asked, &self.troubles);
        let Some(talks) = &self.talks else { return };
        self.withdrawn.store(false, Ordering::Relaxed);
        let mut counter = self.lock();
        counter.state = State::Talking(step, at);
        counter.display.hold();
        if talks.send(Box::new(sheet)).is_err() {
            counter.state = State::Idle;
            counter.display.release();
        }
    }
}

/// Whether a question that was answered is asked again after this: the answer did not settle it.
fn reopens(event: &Event) -> bool {
    matches!(
        &event.kind,
        EventKind::Operator(
            OperatorEvent::Refused { .. }
                | OperatorEvent::Ordered {
                    order: Order::Approve { .. },
                    ..
                }
        ) | EventKind::Step(StepEvent::Diagnosed { .. })
    )
}

impl Subscriber for Desk {
    fn on_history(&mut self, events: &[Event]) {
        for event in events {
            self.view.apply(event);
        }
        let mut counter = self.lock();
        match &mut counter.display {
            Display::Live(progress) => progress.on_history(events),
            Display::Lines(plain) => plain.on_history(events),
        }
    }

    fn on_event(&mut self, event: &Event) -> io::Result<()> {
        self.on_events(std::slice::from_ref(event))
    }

    fn on_events(&mut self, events: &[Event]) -> io::Result<()> {
        for event in events {
            self.view.apply(event);
        }
        let mut counter = self.lock();
        let told = match counter.state {
            State::Talking(..) => {
                counter.held.extend_from_slice(events);
                Ok(())
            }
            _ => counter.display.events(events),
        };
        drop(counter);
        self.attend(events);
        // a display that is gone ends nothing: the questions are still there
        match (told, &self.talks) {
            (Err(error), None) => Err(error),
            _ => Ok(()),
        }
    }

    fn on_output(&mut self, step: &str, line: &str) {
        let mut counter = self.lock();
        let talking = matches!(counter.state, State::Talking(..));
        if let (Display::Live(progress), false) = (&mut counter.display, talking) {
            progress.on_output(step, line);
        }
    }

    fn finish(&mut self) {
        self.withdrawn.store(true, Ordering::Relaxed);
        self.talks = None;
        if let Some(thread) = self.thread.take() {
            // it looks at `withdrawn` several times a second
            let _ = thread.join();
        }
        let mut counter = self.lock();
        if let Display::Live(progress) = &mut counter.display {
            progress.finish();
        }
    }
}

/// The thread that talks: one question after another.
fn converse(
    from: &Receiver<Box<Sheet>>,
    talk: &Talk,
    shared: &Mutex<Counter>,
    said: &UnboundedSender<Said>,
) {
    while let Ok(sheet) = from.recv() {
        let answer = talk.ask(&sheet);
        let mut counter = shared.lock().unwrap_or_else(PoisonError::into_inner);
        counter.state = match &answer {
            talk::Answer::Said(_) => State::Answered(sheet.step.clone(), sheet.at),
            talk::Answer::Withdrawn => State::Idle,
        };
        let held = std::mem::take(&mut counter.held);
        counter.display.release();
        let _ = counter.display.events(&held);
        drop(counter);
        if let talk::Answer::Said(what) = answer {
            // the engine is gone only when the run is over
            let _ = said.send(*what);
        } else {
            let _ = writeln!(io::stderr().lock());
        }
    }
}
