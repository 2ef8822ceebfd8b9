//! The bus: tells subscribers what happened, on a thread of its own.
//!
//! A slow or broken subscriber never holds the run up and never changes its outcome: one that fails
//! is dropped.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::event::Event;
pub use crate::event::Subscriber;

enum Message {
    Events(Vec<Event>),
    Output(Arc<str>, String),
    End,
}

/// Where events and lines of output are sent.
pub struct Bus {
    sender: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
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
            };
        }
        let (sender, receiver) = channel();
        let thread = std::thread::spawn(move || tell(&receiver, subscribers));
        Self {
            sender: Some(sender),
            thread: Some(thread),
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
    pub fn finish(mut self) {
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(Message::End);
        }
        if let Some(thread) = self.thread.take() {
            // a subscriber that panicked has said so; the run is over and its outcome stands
            let _ = thread.join();
        }
    }
}

fn tell(receiver: &Receiver<Message>, mut subscribers: Vec<Box<dyn Subscriber>>) {
    while let Ok(message) = receiver.recv() {
        match message {
            Message::Events(events) => {
                subscribers.retain_mut(|subscriber| subscriber.on_events(&events).is_ok());
            }
            Message::End => break,
            Message::Output(step, line) => {
                for subscriber in &mut subscribers {
                    subscriber.on_output(&step, &line);
                }
            }
        }
    }
    for subscriber in &mut subscribers {
        subscriber.finish();
    }
}
