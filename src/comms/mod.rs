//! Messages to people while a run goes on, by webhook and by mail.
//!
//! Main type: [`Comms`], a subscriber. What is to be told is decided from events alone ([`words`]); it
//! is sent by a thread of its own over a queue with an end ([`send`]). Must not: hold a run up, change
//! how it ends, or send what the journal hides.

mod send;
mod slack;
mod words;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::{CommsMode, Event, Subscriber};
use crate::expr::Template;
use crate::runbook::comms::{ChannelDef, CommsDef, RuleDef, WayDef};
use crate::runbook::model::InputValues;
use crate::secret::{Masker, Secret};
use send::{Courier, Message, Way};
use words::{Happening, Inputs, Teller};

/// The channel that takes everything in a test.
const TEST: &str = "test";

/// What could not be delivered, in lines for people; shared with whoever tells how the run ended.
#[derive(Clone, Debug, Default)]
pub struct Undelivered(Arc<Mutex<Vec<String>>>);

impl Undelivered {
    fn say(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // a server that is gone says the same each time
        if !lines.contains(&line) && lines.len() < 20 {
            lines.push(line);
        }
    }

    /// The lines so far, which are not told again.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is needed to tell people.
pub struct Setup<'a> {
    /// The run's id.
    pub run: &'a str,
    /// Channels and rules.
    pub def: &'a CommsDef,
    /// Inputs that are no secrets.
    pub inputs: &'a InputValues,
    /// Those that are.
    pub secrets: &'a HashMap<String, String>,
    /// Whether it is for real.
    pub mode: CommsMode,
    /// What could not be delivered.
    pub undelivered: Undelivered,
}

/// Tells people what happens.
pub struct Comms {
    teller: Teller,
    rules: Vec<RuleDef>,
    ways: HashMap<String, Way>,
    mode: CommsMode,
    masker: Masker,
    courier: Courier,
    undelivered: Undelivered,
}

impl Comms {
    /// Ready to tell; `None` where there is nothing to tell, or nobody wants it told. A channel whose
    /// address cannot be made is said in `undelivered`, and is no reason not to run.
    pub fn new(setup: &Setup<'_>) -> Option<Self> {
        if setup.mode == CommsMode::Off || setup.def.rules.is_empty() {
            return None;
        }
        let mut ways = HashMap::new();
        let mut hidden: Vec<(String, Secret)> = Vec::new();
        for (name, value) in setup.secrets {
            hidden.push((name.clone(), Secret::new(value.clone())));
        }
        for channel in &setup.def.channels {
            match way(channel, setup) {
                Ok(way) => {
                    ways.insert(channel.name.value.clone(), way);
                }
                Err(why) => {
                    let name = channel.name.as_str();
                    setup.undelivered.say(format!("channel `{name}`: {why}"));
                }
            }
        }
        // one that is too short to be masked stopped the run before
        let masker = Masker::new(hidden).unwrap_or_default();
        Some(Self {
            teller: Teller::new(setup.run),
            rules: setup.def.rules.clone(),
            ways,
            mode: setup.mode,
            courier: Courier::start(setup.undelivered.clone()),
            masker,
            undelivered: setup.undelivered.clone(),
        })
    }

    fn tell(&mut self, happening: &Happening) {
        let rules = std::mem::take(&mut self.rules);
        for rule in &rules {
            if rule.events.contains(&happening.occasion) {
                self.follow(rule, happening);
            }
        }
        self.rules = rules;
    }

    fn follow(&mut self, rule: &RuleDef, happening: &Happening) {
        let own = self.teller.own_words(happening);
        let text = match &rule.text {
            None => own,
            Some(text) => self.teller.fill(text, happening).unwrap_or_else(|why| {
                let occasion = happening.occasion.word();
                let line = format!("the text for `{occasion}` could not be filled: {why}");
                self.undelivered.say(self.masker.text(&line).into_owned());
                own
            }),
        };
        let text = self.masker.text(&text).into_owned();
        for channel in &rule.to {
            let test = self.mode == CommsMode::Test;
            let to = match test {
                true => TEST,
                false => channel.as_str(),
            };
            let text = match test {
                true => format!("[TEST] {text}"),
                false => text.clone(),
            };
            match (self.ways.get(to), test) {
                (Some(way), _) => {
                    let message = Message {
                        channel: to.to_owned(),
                        meant_for: channel.value.clone(),
                        text,
                        about: self.teller.about(happening, test),
                    };
                    self.courier.take(way.clone(), message);
                }
                (None, true) => print(channel, &text),
                // said when its address could not be made
                (None, false) => {}
            }
        }
    }
}

/// A test without a channel for it is seen at the terminal.
fn print(channel: &str, text: &str) {
    use std::io::Write as _;
    // nobody to read it is no failure
    let _ = writeln!(io::stderr().lock(), "comms `{channel}`: {text}");
}

impl Subscriber for Comms {
    fn on_history(&mut self, events: &[Event]) {
        for event in events {
            let _ = self.teller.take(event);
        }
    }

    fn on_event(&mut self, event: &Event) -> io::Result<()> {
        for happening in self.teller.take(event) {
            self.tell(&happening);
        }
        Ok(())
    }

    fn finish(&mut self) {
        self.courier.finish();
    }
}

/// Where a channel is, filled in.
fn way(channel: &ChannelDef, setup: &Setup<'_>) -> Result<Way, String> {
    let inputs = Inputs {
        plain: setup.inputs,
        secrets: Some(setup.secrets),
    };
    let fill = |address: &Template| {
        let filled = address.render(&inputs).map_err(|error| error.to_string())?;
        let text = filled.as_str().map(str::to_owned);
        text.ok_or_else(|| "its address is no text".to_owned())
    };
    match &channel.way {
        WayDef::Webhook { url, format } => Ok(Way::Webhook {
            url: fill(&url.value)?,
            format: *format,
        }),
        WayDef::Mail { to, from, smtp } => {
            let to: Vec<&str> = to.iter().map(|one| one.as_str()).collect();
            let from = from.as_ref().map(|from| from.as_str());
            Way::mail(&to, from, &fill(&smtp.value)?)
        }
    }
}
