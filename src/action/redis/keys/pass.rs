//! [`Survey`]: the pass itself. A batch is what is asked about keys named before, and in every second
//! one the SCAN that names the next. Two are under way, so that the server works on one while the
//! answers to the other are taken in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use redis::Value;

use super::Params;
use super::pace::Pace;
use super::report::{self, Course};
use super::seen::Seen;
use super::tally::{Facts, TYPES, Tally};
use crate::action::ActionError;
use crate::action::pause::{self, Stopwatch};
use crate::action::redis::client::{Batch, Link, verb};
use crate::action::redis::trouble::{self, Effect};
use crate::action::redis::{reply, rights};

/// What is asked about each key; memory comes last, since it may be left out.
const QUESTIONS: [&[&str]; 3] = [&["PTTL"], &["TYPE"], &["MEMORY", "USAGE"]];
/// How many batches are under way together.
const TOGETHER: usize = 2;
/// How many of these questions about a key the server adds to its hits or misses: all but MEMORY USAGE.
const COUNTED: u64 = 2;
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
    /// Keys that were named and taken up.
    looked_at: u64,
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
            looked_at: 0,
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
        let size = self.size(link).await?;
        self.dbsize = self.dbsize.zip(size).map(|(sum, size)| sum + size);
        let mut told = Instant::now();
        let mut ahead = Ahead {
            cursor: Some(b"0".to_vec()),
            keys: VecDeque::new(),
        };
        let mut under_way = VecDeque::new();
        let mut rest = None;
        loop {
            while rest.is_none() && under_way.len() < TOGETHER {
                match self.ask(link, &mut ahead).await? {
                    Some(asked) => under_way.push_back(asked),
                    None => break,
                }
            }
            let Some(asked) = under_way.pop_front() else {
                // all is answered: the server has nothing more to do for this
                let Some(rest) = rest.take() else {
                    return Ok(());
                };
                let began = Instant::now();
                pause::sleep(rest).await;
                self.pace.rested(began.elapsed());
                continue;
            };
            let sent = asked.batch.sent;
            let (mut replies, done) = link.answers(asked.batch).await?;
            rest = self.pace.after(sent, done);
            if let Some(answer) = asked.names.then(|| replies.pop()).flatten() {
                self.named(link, answer, &mut ahead)?;
            }
            self.note(link, &asked.keys, replies)?;
            if told.elapsed() > NEWS {
                news(&format!("{} keys", self.tally.all.keys));
                told = Instant::now();
            }
        }
    }

    /// Sends the next batch; none when there is nothing to ask as long as nothing is answered.
    async fn ask(&self, link: &mut Link, ahead: &mut Ahead) -> Result<Option<Asked>, ActionError> {
        let count = self.pace.count();
        let some = count.min(ahead.keys.len());
        let keys: Vec<Vec<u8>> = ahead.keys.drain(..some).collect();
        // enough for this batch and the next
        let cursor = ahead.cursor.take_if(|_| ahead.keys.len() <= count);
        let scan = cursor.map_or_else(Vec::new, |cursor| self.scan(cursor, count * TOGETHER));
        if keys.is_empty() && scan.is_empty() {
            return Ok(None);
        }
        let batch = link.ask_each(self.questions(), &keys, &scan).await?;
        Ok(Some(Asked {
            batch,
            keys,
            names: !scan.is_empty(),
        }))
    }

    fn questions(&self) -> &'static [&'static [&'static str]] {
        match self.params.memory {
            true => &QUESTIONS,
            false => &QUESTIONS[..2],
        }
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

    fn scan(&self, cursor: Vec<u8>, count: usize) -> Vec<Vec<u8>> {
        let count = count.to_string().into_bytes();
        let mut argv = vec![b"SCAN".to_vec(), cursor, b"COUNT".to_vec(), count];
        if let Some(pattern) = &self.params.pattern {
            argv.extend([b"MATCH".to_vec(), pattern.clone().into_bytes()]);
        }
        argv
    }

    /// Takes in a SCAN's answer: the new keys, and where it goes on.
    fn named(&mut self, link: &Link, answer: Value, ahead: &mut Ahead) -> Result<(), ActionError> {
        let odd = || trouble::lost(link.peer(), Effect::Reads, "SCAN", "not a list of keys");
        let mut parts = match unless_refused(link, &["SCAN"], answer)? {
            Value::Array(parts) if parts.len() == 2 => parts.into_iter(),
            _ => return Err(odd()),
        };
        let (Some(next), Some(Value::Array(found))) = (parts.next(), parts.next()) else {
            return Err(odd());
        };
        let next = reply::bytes(next).ok_or_else(odd)?;
        ahead.cursor = (next != b"0").then_some(next);
        for key in found.into_iter().filter_map(reply::bytes) {
            if !self.seen.first(&key) {
                self.repeated += 1;
            } else if self
                .params
                .sample
                .is_some_and(|sample| self.looked_at >= sample)
            {
                self.complete = false;
            } else {
                self.looked_at += 1;
                ahead.keys.push_back(key);
            }
        }
        if self
            .params
            .sample
            .is_some_and(|sample| self.looked_at >= sample)
            && ahead.cursor.take().is_some()
        {
            self.complete = false;
        }
        Ok(())
    }

    /// Takes in what was answered about `keys`.
    fn note(
        &mut self,
        link: &Link,
        keys: &[Vec<u8>],
        replies: Vec<Value>,
    ) -> Result<(), ActionError> {
        let mut replies = replies.into_iter();
        for key in keys {
            let mut answers = [Value::Nil, Value::Nil, Value::Nil];
            for (question, into) in self.questions().iter().zip(&mut answers) {
                *into = unless_refused(link, question, replies.next().unwrap_or(Value::Nil))?;
            }
            match facts(answers, self.params.memory) {
                Some(facts) => self.tally.add(key, facts),
                None => self.gone += 1,
            }
        }
        Ok(())
    }

    /// What was found.
    pub fn result(&self, db: i64) -> serde_json::Value {
        let ms = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        let course = Course {
            complete: self.complete,
            gone: self.gone,
            repeated: self.repeated,
            lookups: self.looked_at * COUNTED,
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

/// What is named and not asked about yet, and where SCAN goes on; no cursor while it is under way.
struct Ahead {
    cursor: Option<Vec<u8>>,
    keys: VecDeque<Vec<u8>>,
}

/// A batch that is under way.
struct Asked {
    batch: Batch,
    keys: Vec<Vec<u8>>,
    /// Whether a SCAN stands behind the questions.
    names: bool,
}

/// The answer, unless it is an error.
fn unless_refused(link: &Link, question: &[&str], answer: Value) -> Result<Value, ActionError> {
    match answer {
        Value::ServerError(error) => {
            let detail = error.details().unwrap_or_default();
            let error = trouble::server(link.peer(), Effect::Reads, error.code(), detail);
            Err(rights::named(error, link, &verb(question)))
        }
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
