//! The bus: tells subscribers what happened, on a thread of its own.
//!
//! A slow or broken subscriber never holds the run up and never changes its outcome: one that fails
//! is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::event::Event;
pub use crate::event::Subscriber;

/// How long what comes is gathered before it is told.
const PAUSE: Duration = Duration::from_millis(5);

enum Message {
    History(Vec<Event>),
    Events(Vec<Event>),
    Output(Arc<str>, String),
    End,
}

/// Where events and lines of output are sent.
pub struct Bus {
    sender: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    ending: Arc<AtomicBool>,
}

/// A handle for sending lines of output.
#[derive(Clone)]
pub struct Lines(Option<Sender<Message>>);

impl Lines {
    /// Tells the subscribers what a step prints.
    pub fn send(&self, step: &Arc<str>, line: String) {
        if let Some(sender) = &self.0 {
            // nobody listens: nothing to do
            let _ = sender.send(Message::Output(Arc::clone(step), line));
        }
    }

    /// Whether anybody wants lines.
    pub fn wanted(&self) -> bool {
        self.0.is_some()
    }
}

impl Bus {
    /// Starts the thread; without subscribers there is none.
    pub fn start(subscribers: Vec<Box<dyn Subscriber>>) -> Self {
        if subscribers.is_empty() {
            return Self {
                sender: None,
                thread: None,
                ending: Arc::default(),
            };
        }
        let (sender, receiver) = channel();
        let ending = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ending);
        let thread = std::thread::spawn(move || tell(&receiver, &over, subscribers));
        Self {
            sender: Some(sender),
            thread: Some(thread),
            ending,
        }
    }

    /// Tells what happened before this engine came.
    pub fn recall(&self, events: Vec<Event>) {
        if let Some(sender) = &self.sender {
            let _ = sender.send(Message::History(events));
        }
    }

    /// Tells of durable events.
    pub fn publish(&self, events: Vec<Event>) {
        if let Some(sender) = &self.sender {
            let _ = sender.send(Message::Events(events));
        }
    }

    /// A handle for lines of output.
    pub fn lines(&self) -> Lines {
        Lines(self.sender.clone())
    }

    /// Waits until everything is told that was sent before; what is sent later is not told.
    pub fn finish(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(Message::End);
        }
        if let Some(thread) = self.thread.take() {
            // a subscriber that panicked has said so; the run is over and its outcome stands
            let _ = thread.join();
        }
    }
}

fn tell(
    receiver: &Receiver<Message>,
    ending: &AtomicBool,
    mut subscribers: Vec<Box<dyn Subscriber>>,
) {
    'told: while let Ok(first) = receiver.recv() {
        // people do not read faster than this, and a thread that does not wait needs no waking
        if !ending.load(Ordering::Relaxed) {
            std::thread::sleep(PAUSE);
        }
        for message in std::iter::once(first).chain(receiver.try_iter()) {
            match message {
                Message::Events(events) => {
                    subscribers.retain_mut(|subscriber| subscriber.on_events(&events).is_ok());
                }
                Message::History(events) => {
                    for subscriber in &mut subscribers {
                        subscriber.on_history(&events);
                    }
                }
                Message::End => break 'told,
                Message::Output(step, line) => {
                    for subscriber in &mut subscribers {
                        subscriber.on_output(&step, &line);
                    }
                }
            }
        }
    }
    for subscriber in &mut subscribers {
        subscriber.finish();
    }
}
