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
        let mut sign_in: Vec<(String, Secret)> = Vec::new();
        for (name, value) in setup.secrets {
            hidden.push((name.clone(), Secret::new(value.clone())));
        }
        for channel in &setup.def.channels {
            match way(channel, setup, &mut sign_in) {
                Ok(way) => {
                    ways.insert(channel.name.value.clone(), way);
                }
                Err(why) => {
                    let name = channel.name.as_str();
                    setup.undelivered.say(format!("channel `{name}`: {why}"));
                }
            }
        }
        // one that is too short to be masked stopped the run before; of what an address signs in with,
        // nobody has said so, and it is masked in what servers say alone
        let known =
            |one: &(String, Secret)| (one.0.clone(), Secret::new(one.1.expose().to_owned()));
        let long = |one: &(String, Secret)| Masker::new([known(one)]).is_ok();
        let of_servers = hidden.iter().chain(sign_in.iter().filter(|one| long(one)));
        let of_servers = Masker::new(of_servers.map(known)).unwrap_or_default();
        let masker = Masker::new(hidden).unwrap_or_default();
        Some(Self {
            teller: Teller::new(setup.run),
            rules: setup.def.rules.clone(),
            ways,
            mode: setup.mode,
            courier: Courier::start(setup.undelivered.clone(), of_servers),
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
    let (channel, text) = (inert(channel), inert(text));
    let _ = writeln!(io::stderr().lock(), "comms `{channel}`: {text}");
}

/// A text on one line, in which nothing moves the cursor, hides a word or changes the order.
fn inert(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control()
            || matches!(
                c,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
                    | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
            )
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match harmful(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// What an address signs in with: as it is written, and as the server gets it.
fn sign_in(address: &str, found: &mut Vec<(String, Secret)>) {
    let Ok(url) = reqwest::Url::parse(address) else {
        return;
    };
    for part in [url.username(), url.password().unwrap_or_default()] {
        for text in [part.to_owned(), decoded(part)] {
            found.push(("address".into(), Secret::new(text)));
        }
    }
}

/// With `%41` read as `A`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let hex = more.get(..2).filter(|_| *first == b'%');
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
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
fn way(
    channel: &ChannelDef,
    setup: &Setup<'_>,
    found: &mut Vec<(String, Secret)>,
) -> Result<Way, String> {
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
            url: fill(&url.value).inspect(|url| sign_in(url, found))?,
            format: *format,
        }),
        WayDef::Mail { to, from, smtp } => {
            let to: Vec<&str> = to.iter().map(|one| one.as_str()).collect();
            let from = from.as_ref().map(|from| from.as_str());
            let smtp = fill(&smtp.value)?;
            sign_in(&smtp, found);
            Way::mail(&to, from, &smtp)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_address_signs_in_with_is_known_as_written_and_as_sent() {
        let mut found = Vec::new();
        sign_in("smtp://ops%40desk:p%25ss-word@127.0.0.1:2525", &mut found);
        let found: Vec<_> = found.iter().map(|(_, one)| one.expose()).collect();
        assert_eq!(
            found,
            ["ops%40desk", "ops@desk", "p%25ss-word", "p%ss-word"]
        );
    }

    #[test]
    fn what_is_printed_stays_on_its_line() {
        assert_eq!(
            inert("a\u{1b}[2J\nferry: done\u{202e}é"),
            "a\\u{1b}[2J\\nferry: done\\u{202e}é"
        );
    }
}
