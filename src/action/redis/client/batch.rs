//! Many commands of a [`Link`] in one round trip; each has passed the fence where there is one.

use redis::{Pipeline, Value};

use super::{Link, verb};
use crate::action::ActionError;
use crate::action::pause::timeout;
use crate::action::redis::trouble::{self, Effect};

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

    /// Asks the same questions about each key, and sends `last` behind them, in one go. The answers
    /// about one key stand together; an error reply stands in its command's place. In a Cluster, this
    /// node is asked and no redirection is followed: see [`Link::masters`].
    pub async fn ask_each(
        &mut self,
        questions: &[&[&str]],
        keys: &[Vec<u8>],
        last: &[Vec<u8>],
    ) -> Result<Vec<Value>, ActionError> {
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
        let verb = verb(questions.first().copied().unwrap_or_default());
        self.send_many(Effect::Reads, &verb, &pipeline).await
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
