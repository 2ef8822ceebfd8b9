//! [`Survey`]: the pass itself. Each batch is one round trip: what is asked about the keys named
//! before, and the SCAN that names the next ones.

use std::time::{Duration, Instant};

use redis::Value;

use super::Params;
use super::pace::Pace;
use super::report::{self, Course};
use super::seen::Seen;
use super::tally::{Facts, TYPES, Tally};
use crate::action::ActionError;
use crate::action::pause::{self, Stopwatch};
use crate::action::redis::client::{Link, verb};
use crate::action::redis::trouble::{self, Effect};
use crate::action::redis::{reply, rights};

/// What is asked about each key; memory comes last, since it may be left out.
const QUESTIONS: [&[&str]; 3] = [&["PTTL"], &["TYPE"], &["MEMORY", "USAGE"]];
/// How often the way to the server is measured before it begins.
const TRIPS: usize = 3;
/// How often people hear of it.
const NEWS: Duration = Duration::from_secs(1);

/// A look at the keys of one database, over one link or several.
pub(in crate::action::redis) struct Survey {
    params: Params,
    tally: Tally,
    seen: Seen,
    pace: Pace,
    watch: Stopwatch,
    complete: bool,
    gone: u64,
    repeated: u64,
    /// Unknown as soon as one server does not say.
    dbsize: Option<u64>,
}

impl Survey {
    /// One that has seen nothing yet.
    pub fn new(params: Params) -> Self {
        Self {
            tally: Tally::new(&params),
            seen: Seen::default(),
            pace: Pace::new(params.load),
            watch: Stopwatch::start(),
            complete: true,
            gone: 0,
            repeated: 0,
            dbsize: Some(0),
            params,
        }
    }

    /// Goes over the keys that `link` leads to, and adds what is found. Once for each server of a
    /// cluster; `news` hears how far it is.
    ///
    /// # Errors
    /// What the server refused. What was found until then is kept.
    pub async fn pass(
        &mut self,
        link: &mut Link,
        news: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), ActionError> {
        let asked = if self.params.memory { 3 } else { 2 };
        let questions = &QUESTIONS[..asked];
        let size = self.size(link).await?;
        self.dbsize = self.dbsize.zip(size).map(|(sum, size)| sum + size);
        let mut cursor = Some(b"0".to_vec());
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let mut before = Answered::default();
        let (mut told, mut ready) = (Instant::now(), Instant::now());
        while cursor.is_some() || !keys.is_empty() {
            let scan = cursor.take().map(|cursor| self.scan(cursor));
            let scan = scan.unwrap_or_default();
            self.pace.idle(ready.elapsed());
            let began = Instant::now();
            let answered = async {
                let replies = link.ask_each(questions, &keys, &scan).await;
                (replies, began.elapsed())
            };
            let noting = async {
                // so that the batch is on its way first
                tokio::task::yield_now().await;
                self.note(questions, std::mem::take(&mut before))
            };
            let ((replies, took), noted) = tokio::join!(answered, noting);
            noted.map_err(|refusal| refusal.named(link))?;
            let mut replies = replies?;
            ready = Instant::now();
            let named = (!scan.is_empty()).then(|| replies.pop()).flatten();
            before = Answered {
                keys: std::mem::take(&mut keys),
                replies,
            };
            if let Some(answer) = named {
                cursor = self.named(link, answer, &mut keys)?;
            }
            self.stop_at_sample(before.keys.len(), &mut cursor, &mut keys);
            if told.elapsed() > NEWS {
                news(&format!("{} keys", self.tally.all.keys));
                told = Instant::now();
            }
            if let Some(rest) = self.pace.after(took) {
                let began = Instant::now();
                pause::sleep(rest).await;
                self.pace.rested(began.elapsed());
                ready = Instant::now();
            }
        }
        self.note(questions, before)
            .map_err(|refusal| refusal.named(link))
    }

    /// Keys in the database; none when the user may not ask. Learns on the way how long it is.
    async fn size(&mut self, link: &mut Link) -> Result<Option<u64>, ActionError> {
        let asked = [vec![b"DBSIZE".to_vec()]];
        let (mut trips, mut size) = (Vec::new(), None);
        for _ in 0..TRIPS {
            let began = Instant::now();
            let answers = link.ask_many(Effect::Reads, &asked).await?;
            trips.push(began.elapsed());
            size = answers.first().and_then(reply::int);
        }
        self.pace.start(&trips);
        Ok(size.and_then(|size| u64::try_from(size).ok()))
    }

    fn scan(&self, cursor: Vec<u8>) -> Vec<Vec<u8>> {
        let count = self.pace.count().to_string().into_bytes();
        let mut argv = vec![b"SCAN".to_vec(), cursor, b"COUNT".to_vec(), count];
        if let Some(pattern) = &self.params.pattern {
            argv.extend([b"MATCH".to_vec(), pattern.clone().into_bytes()]);
        }
        argv
    }

    /// Takes in a SCAN's answer: the new keys, and where it goes on.
    fn named(
        &mut self,
        link: &Link,
        answer: Value,
        keys: &mut Vec<Vec<u8>>,
    ) -> Result<Option<Vec<u8>>, ActionError> {
        let odd = || trouble::lost(link.peer(), Effect::Reads, "SCAN", "not a list of keys");
        let answer = unless_refused(&["SCAN"], answer).map_err(|refusal| refusal.named(link))?;
        let mut parts = match answer {
            Value::Array(parts) if parts.len() == 2 => parts.into_iter(),
            _ => return Err(odd()),
        };
        let (Some(next), Some(Value::Array(found))) = (parts.next(), parts.next()) else {
            return Err(odd());
        };
        for key in found.into_iter().filter_map(reply::bytes) {
            if self.seen.first(&key) {
                keys.push(key);
            } else {
                self.repeated += 1;
            }
        }
        let next = reply::bytes(next).ok_or_else(odd)?;
        Ok((next != b"0").then_some(next))
    }

    /// Takes in what was answered.
    fn note(&mut self, questions: &[&[&str]], answered: Answered) -> Result<(), Refusal> {
        let mut replies = answered.replies.into_iter();
        for key in &answered.keys {
            let mut answers = [Value::Nil, Value::Nil, Value::Nil];
            for (at, question) in questions.iter().enumerate() {
                let answer = replies.next().unwrap_or(Value::Nil);
                answers[at] = unless_refused(question, answer)?;
            }
            match facts(answers, self.params.memory) {
                Some(facts) => self.tally.add(key, facts),
                None => self.gone += 1,
            }
        }
        Ok(())
    }

    /// Asks about no more keys than the sample holds; so many are answered for and not noted yet.
    fn stop_at_sample(
        &mut self,
        waiting: usize,
        cursor: &mut Option<Vec<u8>>,
        keys: &mut Vec<Vec<u8>>,
    ) {
        let Some(sample) = self.params.sample else {
            return;
        };
        let room = sample.saturating_sub(self.tally.all.keys + waiting as u64);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if keys.len() > room || (keys.len() == room && cursor.is_some()) {
            self.complete = false;
            keys.truncate(room);
            *cursor = None;
        }
    }

    /// What was found.
    pub fn result(&self, db: i64) -> serde_json::Value {
        let ms = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        let course = Course {
            complete: self.complete,
            gone: self.gone,
            repeated: self.repeated,
            dbsize: self.dbsize,
            db,
            took_ms: ms(self.watch.elapsed()),
            paused_ms: ms(self.pace.paused),
            slowest_batch_ms: ms(self.pace.slowest),
            batches: self.pace.batches,
        };
        let shown = usize::try_from(self.params.prefixes).unwrap_or(0);
        report::result(&self.tally, shown, self.params.memory, &course)
    }
}

/// Keys, and what was answered about them.
#[derive(Default)]
struct Answered {
    keys: Vec<Vec<u8>>,
    replies: Vec<Value>,
}

/// An error reply to a question.
struct Refusal {
    verb: String,
    code: String,
    detail: String,
}

impl Refusal {
    fn named(self, link: &Link) -> ActionError {
        let error = trouble::server(link.peer(), Effect::Reads, &self.code, &self.detail);
        rights::named(error, link, &self.verb)
    }
}

/// The answer, unless it is an error.
fn unless_refused(question: &[&str], answer: Value) -> Result<Value, Refusal> {
    match answer {
        Value::ServerError(error) => Err(Refusal {
            verb: verb(question),
            code: error.code().to_owned(),
            detail: error.details().unwrap_or_default().to_owned(),
        }),
        answer => Ok(answer),
    }
}

/// What the answers say; `None` for a key that ended meanwhile.
fn facts([left, kind, memory]: [Value; 3], with_memory: bool) -> Option<Facts> {
    let ttl_ms = match reply::int(&left)? {
        -1 => None,
        left => Some(u64::try_from(left).ok()?),
    };
    let kind = reply::bytes(kind)?;
    if kind == b"none" {
        return None;
    }
    let bytes = match with_memory {
        true => u64::try_from(reply::int(&memory)?).ok()?,
        false => 0,
    };
    let known = TYPES.iter().position(|name| name.as_bytes() == kind);
    Some(Facts {
        bytes,
        ttl_ms,
        kind: known.unwrap_or(TYPES.len() - 1),
    })
}
