//! Many commands of a [`Link`] in one round trip; each has passed the fence where there is one.

use std::time::{Duration, Instant};

use redis::{Pipeline, RedisResult, Value};
use tokio::task::JoinHandle;

use super::{Link, verb};
use crate::action::ActionError;
use crate::action::pause::timeout;
use crate::action::redis::trouble::{self, Effect};

/// Questions that are under way.
pub(in crate::action::redis) struct Batch {
    task: JoinHandle<(RedisResult<Vec<Value>>, Instant)>,
    count: usize,
    limit: Duration,
    verb: String,
    /// When they went out.
    pub sent: Instant,
}

impl Link {
    /// Sends the commands in one go; an error reply stands in its command's place.
    pub async fn ask_many(
        &mut self,
        effect: Effect,
        commands: &[Vec<Vec<u8>>],
    ) -> Result<Vec<Value>, ActionError> {
        let Some(first) = commands.first() else {
            return Ok(Vec::new());
        };
        for argv in commands
            .iter()
            .filter(|_| self.fence.is_some())
            .cloned()
            .collect::<Vec<_>>()
        {
            self.permit(&argv).await?;
        }
        let verb = verb(first);
        let mut pipeline = Pipeline::with_capacity(commands.len());
        for argv in commands {
            let mut command = redis::Cmd::new();
            for arg in argv {
                command.arg(arg.as_slice());
            }
            pipeline.add_command(command);
        }
        let mut replies = self.send_many(effect, &verb, &pipeline).await?;
        if self.in_cluster() {
            for (argv, reply) in commands.iter().zip(&mut replies) {
                let first = std::mem::replace(reply, Value::Nil);
                *reply = self.follow(effect, argv, first).await?;
            }
        }
        Ok(replies)
    }

    /// Asks the same questions about each key, and sends `last` behind them, in one go; several such
    /// batches may be under way. [`Link::answers`] waits for the answers, those about one key together.
    /// In a Cluster, this node is asked and no redirection is followed: see [`Link::masters`].
    pub async fn ask_each(
        &mut self,
        questions: &'static [&'static [&'static str]],
        keys: &[Vec<u8>],
        last: &[Vec<u8>],
    ) -> Result<Batch, ActionError> {
        // whether a question may be asked does not depend on the key
        for question in questions {
            self.permit(&[*question, &["key"][..]].concat()).await?;
        }
        let mut pipeline = Pipeline::with_capacity(keys.len() * questions.len() + 1);
        for key in keys {
            for question in questions {
                let mut command = redis::Cmd::with_capacity(question.len() + 1, key.len() + 16);
                for word in *question {
                    command.arg(*word);
                }
                command.arg(key.as_slice());
                pipeline.add_command(command);
            }
        }
        if !last.is_empty() {
            self.permit(last).await?;
            let mut command = redis::Cmd::new();
            for arg in last {
                command.arg(arg.as_slice());
            }
            pipeline.add_command(command);
        }
        self.meter.allow(self.reply_max);
        let (count, mut connection) = (pipeline.len(), self.connection.clone());
        let sent = Instant::now();
        let task = tokio::spawn(async move {
            let replies = connection.send_packed_commands(&pipeline, 0, count).await;
            (replies, Instant::now())
        });
        Ok(Batch {
            task,
            count,
            limit: self.wait(),
            verb: verb(questions.first().copied().unwrap_or_default()),
            sent,
        })
    }

    /// The answers to a batch, with when they were there. An error reply stands in its command's place.
    pub async fn answers(&self, batch: Batch) -> Result<(Vec<Value>, Instant), ActionError> {
        let Batch {
            task,
            count,
            limit,
            verb,
            sent,
        } = batch;
        let lost = |reason: &str| trouble::lost(self.peer(), Effect::Reads, &verb, reason);
        match timeout(limit.saturating_sub(sent.elapsed()), task).await {
            Err(_) => Err(trouble::timeout(self.peer(), Effect::Reads, &verb, limit)),
            Ok(Err(_)) => Err(lost("the batch was given up")),
            Ok(Ok((Err(error), _))) => Err(self.failed(Effect::Reads, &verb, error)),
            Ok(Ok((Ok(replies), done))) if replies.len() == count => Ok((replies, done)),
            Ok(Ok(_)) => Err(lost("the replies do not match the commands")),
        }
    }

    /// Sends what was permitted.
    async fn send_many(
        &mut self,
        effect: Effect,
        verb: &str,
        pipeline: &Pipeline,
    ) -> Result<Vec<Value>, ActionError> {
        let count = pipeline.len();
        let limit = self.wait();
        self.meter.allow(self.reply_max);
        let sent = self.connection.send_packed_commands(pipeline, 0, count);
        let replies = match timeout(limit, sent).await {
            Err(_) => return Err(trouble::timeout(self.peer(), effect, verb, limit)),
            Ok(Err(error)) => return Err(self.failed(effect, verb, error)),
            Ok(Ok(replies)) => replies,
        };
        if replies.len() == count {
            Ok(replies)
        } else {
            let reason = "the replies do not match the commands";
            Err(trouble::lost(self.peer(), effect, verb, reason))
        }
    }
}
