//! [`Asker`]: asks a server about itself, and keeps in mind what the user was refused to ask.

use std::collections::BTreeSet;

use redis::Value as Reply;

use crate::action::ActionError;
use crate::action::redis::client::Link;
use crate::action::redis::reply;
use crate::action::redis::trouble::{self, Effect};

/// Asks, and remembers what it was refused.
pub(super) struct Asker {
    pub link: Link,
    pub refused: BTreeSet<&'static str>,
}

impl Asker {
    /// The answers; none in the place of a command that the server refused.
    pub async fn many(
        &mut self,
        name: &'static str,
        asked: Vec<Vec<String>>,
    ) -> Result<Vec<Option<Reply>>, ActionError> {
        let argv: Vec<Vec<Vec<u8>>> = asked
            .into_iter()
            .map(|words| words.into_iter().map(String::into_bytes).collect())
            .collect();
        let answers = self.link.ask_many(Effect::Reads, &argv).await?;
        let mut kept = Vec::with_capacity(answers.len());
        for answer in answers {
            let Reply::ServerError(error) = &answer else {
                kept.push(Some(answer));
                continue;
            };
            let (code, detail) = (error.code(), error.details().unwrap_or_default());
            // not permitted, or not known to this server
            if !matches!(code, "NOPERM" | "ERR") {
                return Err(trouble::server(
                    self.link.peer(),
                    Effect::Reads,
                    code,
                    detail,
                ));
            }
            self.refused.insert(name);
            kept.push(None);
        }
        Ok(kept)
    }

    pub async fn one(
        &mut self,
        name: &'static str,
        words: &[&str],
    ) -> Result<Option<Reply>, ActionError> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Ok(self
            .many(name, vec![words])
            .await?
            .into_iter()
            .flatten()
            .next())
    }

    /// A setting; none when it may not be asked, or is not known there.
    pub async fn setting(&mut self, name: &str) -> Result<Option<String>, ActionError> {
        let answer = self.one("CONFIG GET", &["CONFIG", "GET", name]).await?;
        Ok(match answer {
            Some(Reply::Array(pair)) => pair.get(1).cloned().map(reply::text),
            Some(Reply::Map(pairs)) => pairs
                .into_iter()
                .next()
                .map(|(_, value)| reply::text(value)),
            _ => None,
        })
    }
}
