//! Sending: a thread of its own, a queue with an end, and a time after which it is left.
//!
//! Main type: [`Courier`]. [`Courier::take`] never waits: what does not fit into the queue is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Mailboxes};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use serde_json::{Map, Value, json};

use super::{Undelivered, slack};
use crate::action::http;
use crate::runbook::comms::Format;
use crate::secret::Masker;

/// Messages that wait; more are counted and left out.
const WAITING: usize = 256;

/// How long one message may take.
const WITHIN: Duration = Duration::from_secs(5);

/// How long the end of a run is held up by messages that wait.
const GRACE: Duration = Duration::from_secs(2);

/// Where a message goes.
#[derive(Clone)]
pub(super) enum Way {
    Webhook {
        url: String,
        format: Format,
    },
    Mail {
        to: Mailboxes,
        from: Mailbox,
        server: Box<AsyncSmtpTransport<Tokio1Executor>>,
    },
}

impl Way {
    /// A mail to these addresses through that server.
    pub(super) fn mail(to: &[&str], from: Option<&str>, smtp: &str) -> Result<Self, String> {
        // an error only says that a provider is installed already
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mailbox = |text: &str| {
            let parsed = text.parse::<Mailbox>();
            parsed.map_err(|_| format!("`{text}` is no mail address"))
        };
        let mut all = Mailboxes::new();
        for address in to {
            all.push(mailbox(address)?);
        }
        // the address may hold a password: of what is wrong with it nothing is quoted
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(smtp)
            .map_err(|_| "its `smtp` address cannot be read".to_owned())?;
        Ok(Self::Mail {
            to: all,
            from: mailbox(from.unwrap_or("ferry@localhost"))?,
            server: Box::new(server.timeout(Some(WITHIN)).build()),
        })
    }
}

/// One message.
pub(super) struct Message {
    pub(super) channel: String,
    /// Another channel, in a test.
    pub(super) meant_for: String,
    pub(super) text: String,
    pub(super) about: Map<String, Value>,
}

/// Takes messages and delivers them.
pub(super) struct Courier {
    queue: Option<SyncSender<(Way, Message)>>,
    done: Option<Receiver<()>>,
    waiting: Arc<AtomicUsize>,
    left_out: usize,
    undelivered: Undelivered,
}

impl Courier {
    pub(super) fn start(undelivered: Undelivered, masker: Masker) -> Self {
        let (queue, messages) = sync_channel(WAITING);
        let (is_done, done) = sync_channel(1);
        let waiting = Arc::new(AtomicUsize::new(0));
        let (left, failed) = (Arc::clone(&waiting), undelivered.clone());
        let thread = std::thread::Builder::new().name("comms".into());
        let started = thread.spawn(move || {
            deliver(&messages, &left, &failed, &masker);
            let _ = is_done.send(());
        });
        if let Err(error) = &started {
            undelivered.say(format!("nothing can be sent: {error}"));
        }
        Self {
            queue: started.is_ok().then_some(queue),
            done: Some(done),
            waiting,
            left_out: 0,
            undelivered,
        }
    }

    /// Takes a message; what does not fit is counted.
    pub(super) fn take(&mut self, way: Way, message: Message) {
        let Some(queue) = &self.queue else {
            return;
        };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            queue.try_send((way, message))
        {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.left_out += 1;
        }
    }

    /// Waits a little for what waits, and says what was left.
    pub(super) fn finish(&mut self) {
        drop(self.queue.take());
        if let Some(done) = self.done.take()
            && done.recv_timeout(GRACE) == Err(RecvTimeoutError::Timeout)
        {
            self.left_out += self.waiting.load(Ordering::Relaxed);
        }
        match std::mem::take(&mut self.left_out) {
            0 => {}
            1 => self
                .undelivered
                .say("one message was left, there was no time for it".into()),
            n => self.undelivered.say(format!(
                "{n} messages were left, there was no time for them"
            )),
        }
    }
}

fn deliver(
    messages: &Receiver<(Way, Message)>,
    waiting: &AtomicUsize,
    failed: &Undelivered,
    masker: &Masker,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed.say(format!("nothing can be sent: {error}")),
    };
    while let Ok((way, message)) = messages.recv() {
        if let Err(why) = runtime.block_on(send(&way, &message)) {
            let channel = &message.channel;
            // a server may say again what it was told
            let why = cut(&masker.text(&why));
            failed.say(format!("channel `{channel}` did not take a message: {why}"));
        }
        waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn send(way: &Way, message: &Message) -> Result<(), String> {
    let sent = async {
        match way {
            Way::Webhook { url, format } => http::tell(url, &body(*format, message), WITHIN).await,
            Way::Mail { to, from, server } => mail(to, from, server, message).await,
        }
    };
    match tokio::time::timeout(WITHIN, sent).await {
        Ok(sent) => sent,
        Err(_) => Err(format!("it took longer than {} s", WITHIN.as_secs())),
    }
}

fn body(format: Format, message: &Message) -> Value {
    match format {
        Format::Slack => json!({ "text": slack::escaped(&message.text) }),
        Format::Generic => {
            let mut body = Map::new();
            body.insert("text".into(), message.text.as_str().into());
            body.insert("channel".into(), message.meant_for.as_str().into());
            body.extend(message.about.clone());
            Value::Object(body)
        }
    }
}

async fn mail(
    to: &Mailboxes,
    from: &Mailbox,
    server: &AsyncSmtpTransport<Tokio1Executor>,
    message: &Message,
) -> Result<(), String> {
    let said = |key: &str| {
        message
            .about
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let test = match message.about.contains_key("test") {
        true => "[TEST] ",
        false => "",
    };
    let event = said("event").replace('_', " ");
    let subject = format!("{test}[{}] {event}", said("runbook"));
    let mut body = format!(
        "{}\n\nrun     {}\nstatus  {}\n",
        message.text,
        said("run"),
        said("status")
    );
    for key in ["phase", "step", "at"] {
        if !said(key).is_empty() {
            body.push_str(&format!("{key:<8}{}\n", said(key)));
        }
    }
    let mut mail = lettre::Message::builder()
        .from(from.clone())
        .subject(subject);
    for address in to.iter() {
        mail = mail.to(address.clone());
    }
    let mail = mail
        .header(ContentType::TEXT_PLAIN)
        .body(body)
        .map_err(|error| error.to_string())?;
    let sent = server.send(mail).await;
    sent.map(|_| ()).map_err(|error| plain(&error))
}

/// What a mail server said, or why it could not be asked, in a line.
fn plain(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut beneath = std::error::Error::source(error);
    while let Some(error) = beneath {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        beneath = error.source();
    }
    text
}

/// A line of bounded length; after masking, which would not know a part of a secret.
fn cut(text: &str) -> String {
    let text: String = text.chars().take(300).collect();
    super::inert(&text)
}
