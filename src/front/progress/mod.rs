//! Live progress on a terminal: what is under way below, what is over as lines above.
//!
//! Main type: [`Progress`], a handle whose thread alone touches the terminal; it is fed by a channel
//! ([`Shown`]) that never blocks, so that a terminal that stands still (Ctrl-S, a dead connection)
//! holds up nobody. The picture itself is made in `frame`, from the view and a time.

mod frame;
mod watched;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::frame::Scene;
use super::Subscriber;
use super::escape::shown;
use super::lines::Teller;
use crate::event::Event;

/// Between two pictures.
const TICK: Duration = Duration::from_millis(100);

/// How many lines of output may wait to be shown; more are dropped.
const OUTPUTS: usize = 256;

/// How long [`Progress::finish`] waits for a terminal that stands still.
const LAST_DRAW: Duration = Duration::from_secs(3);

/// The most of a line of output that is kept, in characters.
const OUTPUT_KEPT: usize = 240;

/// What the thread is told.
#[derive(Clone, Debug)]
pub enum Shown {
    /// What happened before.
    History(Vec<Event>),
    /// An event that is durable.
    Event(Box<Event>),
    /// A line that a step printed.
    Output {
        /// The step, or the item of the way back.
        step: String,
        /// The line, without its end.
        line: String,
    },
    /// Somebody is asked something: nothing is drawn until [`Shown::Release`]. Told back once the
    /// terminal is free.
    Hold(Sender<()>),
    /// The terminal may be drawn on again.
    Release,
    /// A line to stand above the picture, escaped already.
    Say(String),
    /// Time has passed.
    Tick,
    /// Nothing more comes.
    Finish,
}

/// The live display of one run, on stderr.
pub struct Progress {
    to: Sender<Shown>,
    over: Receiver<()>,
    outputs: Arc<AtomicUsize>,
}

impl Progress {
    /// Starts the display's thread. Only for terminals that can be drawn on ([`super::Look::live`]).
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(colour: bool) -> io::Result<Self> {
        let (to, from) = mpsc::channel();
        let (ends, over) = mpsc::channel();
        let outputs = Arc::new(AtomicUsize::new(0));
        let waiting = Arc::clone(&outputs);
        thread::Builder::new()
            .name("progress".into())
            .spawn(move || {
                Screen::new(colour).follow(&from, &waiting);
                let _ = ends.send(());
            })?;
        Ok(Self { to, over, outputs })
    }

    /// A way to tell the display something from elsewhere.
    pub fn sender(&self) -> Sender<Shown> {
        self.to.clone()
    }
}

impl Subscriber for Progress {
    fn on_history(&mut self, events: &[Event]) {
        let _ = self.to.send(Shown::History(events.to_vec()));
    }

    fn on_event(&mut self, event: &Event) -> io::Result<()> {
        let event = Shown::Event(Box::new(event.clone()));
        self.to
            .send(event)
            .map_err(|_| io::Error::other("the live display has ended"))
    }

    fn on_output(&mut self, step: &str, line: &str) {
        if self.outputs.fetch_add(1, Ordering::Relaxed) >= OUTPUTS {
            self.outputs.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let _ = self.to.send(Shown::Output {
            step: step.to_owned(),
            line: line.chars().take(OUTPUT_KEPT).collect(),
        });
    }

    fn finish(&mut self) {
        if self.to.send(Shown::Finish).is_ok() {
            // a terminal that stands still does not hold the run's end
            let _ = self.over.recv_timeout(LAST_DRAW);
        }
    }
}

/// What the thread owns.
struct Screen {
    bar: ProgressBar,
    teller: Teller,
    outputs: HashMap<String, String>,
    colour: bool,
    drawn: Option<Instant>,
    held: bool,
}

impl Screen {
    fn new(colour: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(20));
        let style = ProgressStyle::with_template("{msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self {
            bar,
            teller: Teller::new(),
            outputs: HashMap::new(),
            colour,
            drawn: None,
            held: false,
        }
    }

    fn follow(&mut self, from: &Receiver<Shown>, waiting: &AtomicUsize) {
        loop {
            let told = from.recv_timeout(TICK);
            match told {
                Ok(Shown::History(events)) => {
                    for event in &events {
                        let _ = self.teller.tell(event);
                    }
                }
                Ok(Shown::Event(event)) => self.event(&event),
                Ok(Shown::Output { step, line }) => {
                    waiting.fetch_sub(1, Ordering::Relaxed);
                    self.outputs.insert(step, shown(&line).into_owned());
                }
                Ok(Shown::Hold(free)) => {
                    // what is drawn now would stay above the question
                    self.bar.set_message("");
                    self.bar.tick();
                    self.bar.set_draw_target(ProgressDrawTarget::hidden());
                    self.held = true;
                    let _ = free.send(());
                }
                Ok(Shown::Release) => {
                    self.held = false;
                    self.bar
                        .set_draw_target(ProgressDrawTarget::stderr_with_hz(20));
                }
                Ok(Shown::Say(line)) => self.bar.println(line),
                Ok(Shown::Tick) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Shown::Finish) | Err(RecvTimeoutError::Disconnected) => break,
            }
            if !self.held && self.drawn.is_none_or(|drawn| drawn.elapsed() >= TICK) {
                self.draw();
            }
        }
        self.bar.finish_and_clear();
    }

    fn event(&mut self, event: &Event) {
        let (_, columns) = size();
        for line in self.teller.tell(event) {
            if line.stays {
                for text in line.within(columns, self.colour) {
                    self.bar.println(text);
                }
            }
        }
        let view = &self.teller.view;
        let rollback = view.rollback.as_ref();
        self.outputs.retain(|name, _| {
            let goes_on = |status: crate::view::StepStatus| status.in_flight();
            view.step(name).is_some_and(|step| goes_on(step.status))
                || rollback.is_some_and(|back| back.items.iter().any(|item| item.item.id == *name))
        });
    }

    fn draw(&mut self) {
        let (rows, columns) = size();
        let scene = Scene {
            view: &self.teller.view,
            outputs: &self.outputs,
            now: jiff::Timestamp::now().as_millisecond(),
            colour: self.colour,
        };
        self.bar.set_message(scene.lines(rows, columns).join("\n"));
        self.bar.tick();
        self.drawn = Some(Instant::now());
    }
}

/// Rows and columns that may be used; the last column stays free, because some terminals wrap there.
fn size() -> (usize, usize) {
    let (rows, columns) = console::Term::stderr().size();
    (
        usize::from(rows).saturating_sub(1).max(2),
        usize::from(columns).saturating_sub(1).max(8),
    )
}
