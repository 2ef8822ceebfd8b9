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
use crate::event::{
    Event, EventKind, OperatorEvent, Order, Parking, Question, RunStatus, StepEvent,
};
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
    /// The question to be asked next.
    wanted: Option<Box<Sheet>>,
    state: State,
}

/// Where the conversation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// About this question; whether it holds everything.
    Talking(Id, bool),
    /// It was answered, and what follows has not been seen yet.
    Answered(Id),
}

/// Shows a run and asks its questions.
pub(super) struct Desk {
    view: RunView,
    counter: Arc<Mutex<Counter>>,
    talks: Option<Sender<Box<Sheet>>>,
    withdrawn: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
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
            wanted: None,
            state: State::Idle,
        }));
        let withdrawn = Arc::new(AtomicBool::new(false));
        let over = Arc::new(AtomicBool::new(false));
        let (talks, from) = channel();
        let talk = Talk {
            colour: look.colour,
            withdrawn: Arc::clone(&withdrawn),
            over: Arc::clone(&over),
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
            over,
            thread: thread.ok(),
            troubles,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counter> {
        self.counter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is asked now. A run that a guard holds stands still, and asks whether it goes on.
    fn asked(&self) -> Vec<Asked> {
        if self.open() {
            return self.view.asked.clone();
        }
        let held = self.view.status == RunStatus::Waiting
            && matches!(self.view.parked.last(), Some((_, Parking::Held)));
        let by = self.view.held_by().filter(|_| held);
        by.map(|(guard, said)| Asked {
            step: guard.name.clone(),
            question: Question::Held,
            why: said.why.clone(),
            evidence: said.evidence.clone(),
            at: self.view.parked.last().map_or(0, |(at, _)| *at),
            brief: None,
            nonce: String::new(),
            votes: Vec::new(),
        })
        .into_iter()
        .collect()
    }

    /// The question to ask now: what holds everything first; a gate only once nothing else goes on.
    fn wanted<'a>(&self, asked: &'a [Asked]) -> Option<&'a Asked> {
        let mut asked = asked.iter();
        let holding = asked.clone().find(|one| one.question.holds());
        let at_work = |step: &crate::view::StepView| {
            step.status.in_flight() && step.status != crate::view::StepStatus::AtGate
        };
        let busy = || self.view.running().iter().any(|(_, step)| at_work(step));
        holding.or_else(|| asked.next().filter(|_| !busy()))
    }

    /// Asks what is to be asked, or takes a question back that is not asked any more.
    fn attend(&mut self, events: &[Event]) {
        let all = self.asked();
        let wanted = self.wanted(&all);
        let holds = wanted.is_some_and(|one| one.question.holds());
        let sheet = wanted.map(|one| Box::new(Sheet::of(&self.view, one, &self.troubles)));
        let open = |id: &Id| {
            let asked = |one: &Asked| one.step == id.0 && one.at == id.1;
            all.iter().any(asked)
        };
        let mut counter = self.lock();
        let state = counter.state.clone();
        counter.wanted = sheet;
        match state {
            State::Talking(id, held) => {
                // what holds everything is asked before a gate that holds its own phase
                let gives_way = holds && !held;
                if !open(&id) || gives_way && counter.wants_another(&id) {
                    self.withdrawn.store(true, Ordering::Relaxed);
                }
                return;
            }
            State::Answered(id) if open(&id) && !events.iter().any(says) => return,
            _ => counter.state = State::Idle,
        }
        let Some(sheet) = counter.next() else { return };
        let Some(talks) = &self.talks else { return };
        self.withdrawn.store(false, Ordering::Relaxed);
        counter.display.hold();
        if talks.send(sheet).is_err() {
            counter.state = State::Idle;
            counter.display.release();
        }
    }

    /// Whether questions are asked now.
    fn open(&self) -> bool {
        let status = matches!(self.view.status, RunStatus::Running | RunStatus::Cancelling);
        self.view.stopping.is_none() && status
    }
}

/// A question, by its step and its time.
type Id = (String, i64);

impl Counter {
    /// Begins to talk about what is wanted.
    fn next(&mut self) -> Option<Box<Sheet>> {
        let sheet = self.wanted.take()?;
        let id = (sheet.step.clone(), sheet.at);
        self.state = State::Talking(id, sheet.question.holds());
        Some(sheet)
    }

    fn wants_another(&self, id: &Id) -> bool {
        self.wanted
            .as_ref()
            .is_some_and(|sheet| (&sheet.step, sheet.at) != (&id.0, id.1))
    }
}

/// Whether a question that was answered and is still open is asked again after this: whatever was said
/// did not settle it.
fn says(event: &Event) -> bool {
    match &event.kind {
        // what it looks at comes later
        EventKind::Operator(OperatorEvent::Ordered {
            order: Order::Diagnose { .. },
            ..
        }) => false,
        EventKind::Operator(_) | EventKind::Step(StepEvent::Diagnosed { .. }) => true,
        _ => false,
    }
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
        self.over.store(true, Ordering::Relaxed);
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
    said_to: &UnboundedSender<Said>,
) {
    while let Ok(first) = from.recv() {
        let mut next = Some(first);
        while let Some(sheet) = next.take() {
            let answer = talk.ask(&sheet);
            let mut counter = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let said = matches!(answer, talk::Answer::Said(_));
            counter.state = match said {
                true => State::Answered((sheet.step.clone(), sheet.at)),
                false => State::Idle,
            };
            if !said {
                let _ = writeln!(io::stderr().lock());
            }
            let held = std::mem::take(&mut counter.held);
            counter.display.release();
            let _ = counter.display.events(&held);
            if let talk::Answer::Said(what) = answer {
                // the engine is gone only when the run is over
                let _ = said_to.send(*what);
            } else if !talk.over.load(Ordering::Relaxed) {
                // another question may have come while this one was taken back
                next = counter.next();
                if next.is_some() {
                    talk.withdrawn.store(false, Ordering::Relaxed);
                    counter.display.hold();
                }
            }
        }
    }
}
