//! What went wrong between ferry and a Redis server, in the words of the field, with a way out and
//! with what it means for the effect (reliability contract 2.4).

use std::io;
use std::time::Duration;

use crate::action::ActionError;
use crate::event::{Cause, Outcome};
use crate::runbook::units::human;

/// What a command does to the data, as far as failures are judged by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing: a failure is always *not applied*.
    Reads,
    /// All or nothing: an error reply means that nothing happened.
    Changes,
    /// Step by step, such as a script or a chain of commands: an error reply may come half-way.
    Partly,
}

impl Effect {
    /// What is known when no reply came after sending.
    pub fn without_reply(self) -> Outcome {
        match self {
            Self::Reads => Outcome::NotApplied,
            Self::Changes | Self::Partly => Outcome::Unknown,
        }
    }

    /// What is known when a reply came that cannot be used.
    pub fn with_reply(self) -> Outcome {
        match self {
            Self::Reads => Outcome::NotApplied,
            Self::Changes => Outcome::Applied,
            Self::Partly => Outcome::Unknown,
        }
    }

    fn refused(self, code: &str, detail: &str) -> Outcome {
        match self {
            Self::Reads | Self::Changes => Outcome::NotApplied,
            Self::Partly if BEFORE_START.contains(&code) && !detail.contains("script:") => {
                Outcome::NotApplied
            }
            Self::Partly => Outcome::Unknown,
        }
    }
}

/// Codes with which the server turns a script away before it runs.
const BEFORE_START: &[&str] = &[
    "LOADING",
    "BUSY",
    "NOAUTH",
    "NOPERM",
    "NOSCRIPT",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MOVED",
    "CROSSSLOT",
];

struct Words {
    code: &'static str,
    cause: Cause,
    retryable: bool,
    plain: &'static str,
    hint: &'static str,
}

const fn words(
    code: &'static str,
    cause: Cause,
    retryable: bool,
    plain: &'static str,
    hint: &'static str,
) -> Words {
    Words {
        code,
        cause,
        retryable,
        plain,
        hint,
    }
}

const KNOWN: &[Words] = &[
    words(
        "NOAUTH",
        Cause::Denied,
        false,
        "asks for a password",
        "put a user name and a password into the target's address, by a secret input",
    ),
    words(
        "WRONGPASS",
        Cause::Denied,
        false,
        "refused the user name or the password",
        "check both in the target's address; special characters are percent-encoded there",
    ),
    words(
        "NOPERM",
        Cause::Denied,
        false,
        "does not permit this to the user",
        "grant it with ACL SETUSER (+command, ~keys), or name another user in the address",
    ),
    words(
        "READONLY",
        Cause::Failed,
        false,
        "is a read-only replica",
        "point the target at the master; `redis: ROLE` names it",
    ),
    words(
        "LOADING",
        Cause::Failed,
        true,
        "is still loading its data",
        "wait: retry with a backoff",
    ),
    words(
        "BUSY",
        Cause::Failed,
        true,
        "is busy with a script",
        "wait, or end the script with SCRIPT KILL",
    ),
    words(
        "OOM",
        Cause::Failed,
        false,
        "is out of memory: maxmemory is reached and nothing may be evicted",
        "free memory, raise maxmemory, or choose another maxmemory-policy",
    ),
    words(
        "MISCONF",
        Cause::Failed,
        false,
        "takes no writes since it cannot save to its disk",
        "look at the server's log, its disk and `dir`; then run BGSAVE",
    ),
    words(
        "TRYAGAIN",
        Cause::Failed,
        true,
        "is moving the keys between nodes",
        "wait: retry with a backoff",
    ),
    words(
        "CLUSTERDOWN",
        Cause::Failed,
        true,
        "belongs to a cluster that is down",
        "wait, and see CLUSTER INFO",
    ),
    words(
        "MASTERDOWN",
        Cause::Failed,
        true,
        "is a replica that lost its master",
        "wait for the link, or point the target at the master",
    ),
    words(
        "MOVED",
        Cause::Failed,
        false,
        "belongs to a cluster and the key lives on another node",
        "name the Cluster as a whole in the target's address: redis+cluster://host:port,host:port",
    ),
    words(
        "ASK",
        Cause::Failed,
        false,
        "belongs to a cluster and the key is being moved to another node",
        "name the Cluster as a whole in the target's address: redis+cluster://host:port,host:port",
    ),
    words(
        "CROSSSLOT",
        Cause::Failed,
        false,
        "belongs to a cluster and the keys of the command live in more than one slot",
        "use one step for each, or keys with a common {tag}",
    ),
    words(
        "WRONGTYPE",
        Cause::Failed,
        false,
        "holds another type of value under that key",
        "`redis: {command: [TYPE, key]}` tells which",
    ),
    words(
        "NOREPLICAS",
        Cause::Failed,
        true,
        "has too few replicas in reach to take writes",
        "see min-replicas-to-write and INFO replication",
    ),
];

/// An error reply.
pub(super) fn server(peer: &str, effect: Effect, code: &str, detail: &str) -> ActionError {
    let said = quote(&format!("{code} {detail}"));
    let outcome = effect.refused(code, detail);
    match KNOWN.iter().find(|known| known.code == code) {
        Some(known) => {
            let message = format!("{peer} {}: {said}", known.plain);
            let error = ActionError::new(known.cause, outcome, message).hint(known.hint);
            match known.retryable {
                true => error.retryable(true),
                false => error.hopeless(),
            }
        }
        None => ActionError::failed(outcome, format!("{peer} said: {said}")),
    }
}

/// An error reply while logging in. The server's text is left out where it is not a known one: a
/// server without the command repeats its arguments.
pub(super) fn login(peer: &str, code: &str, detail: &str) -> ActionError {
    let known = KNOWN.iter().any(|known| known.code == code);
    if known {
        return server(peer, Effect::Reads, code, detail);
    }
    let error = ActionError::new(
        Cause::Denied,
        Outcome::NotApplied,
        format!("{peer} did not take the user name and password ({code})"),
    );
    if detail.contains("without any password configured") {
        error.hint("the server has no password set: take it out of the target's address")
    } else {
        error.hint("check the user name and password in the target's address")
    }
}

/// No connection.
pub(super) fn connect(peer: &str, error: &io::Error) -> ActionError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            ActionError::unreachable(format!("{peer} refused the connection"))
                .hint("is the server started, and does it listen on that address and port?")
        }
        io::ErrorKind::NotFound => {
            ActionError::unreachable(format!("{peer}: there is no such socket"))
                .hint("is the server started, and is `unixsocket` set?")
        }
        io::ErrorKind::PermissionDenied => ActionError::new(
            Cause::Denied,
            Outcome::NotApplied,
            format!("{peer}: no permission to connect"),
        ),
        _ => ActionError::unreachable(format!("{peer} cannot be reached: {error}")),
    }
}

/// The name has no address.
pub(super) fn no_such_host(peer: &str, host: &str) -> ActionError {
    ActionError::unreachable(format!(
        "{peer}: the host name `{host}` does not resolve (DNS)"
    ))
    .hint("check the name in the target's address, and the resolver")
}

/// No connection in time.
pub(super) fn connect_timeout(peer: &str, limit: Duration) -> ActionError {
    ActionError::new(
        Cause::Timeout,
        Outcome::NotApplied,
        format!("{peer} timed out: no connection within {}", human(limit)),
    )
    .hint("a firewall, a server that hangs, or a `timeout` of the target that is too short")
}

/// No TLS session.
pub(super) fn tls(peer: &str, error: &str) -> ActionError {
    let hint = if error.contains("UnknownIssuer") {
        "the authority is not trusted: give the target `ca: file.pem`"
    } else if error.contains("certificate") {
        "check the server's certificate: its name, its dates, its authority"
    } else {
        "does that port speak TLS? if not, write redis:// instead of rediss://"
    };
    ActionError::new(
        Cause::Unreachable,
        Outcome::NotApplied,
        format!("{peer}: no TLS session: {}", quote(error)),
    )
    .retryable(false)
    .hint(hint)
}

/// No reply in time.
pub(super) fn timeout(peer: &str, effect: Effect, verb: &str, limit: Duration) -> ActionError {
    let error = ActionError::new(
        Cause::Timeout,
        effect.without_reply(),
        format!(
            "{peer} timed out: no answer to `{verb}` within {}",
            human(limit)
        ),
    );
    match effect {
        Effect::Reads => error.hint("see SLOWLOG GET and the server's load"),
        _ => error.hint("the server may still carry it out: look before repeating it"),
    }
}

/// The link broke after sending.
pub(super) fn lost(peer: &str, effect: Effect, verb: &str, reason: &str) -> ActionError {
    let error = ActionError::new(
        Cause::Unreachable,
        effect.without_reply(),
        format!(
            "{peer} lost the connection during `{verb}`: {}",
            quote(reason)
        ),
    );
    match effect {
        Effect::Reads => error,
        _ => error.hint("the server may have carried it out: look before repeating it"),
    }
}

/// A server's text, made fit for one line.
fn quote(text: &str) -> String {
    const MOST: usize = 400;
    let text = text.trim();
    let end = text
        .char_indices()
        .nth(MOST)
        .map_or(text.len(), |(at, _)| at);
    let line = text[..end].replace(char::is_control, " ");
    match text.len() - end {
        0 => line,
        more => format!("{line}… ({more} more bytes)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_error_reply_means_depends_on_the_command() {
        let single = server("`t` (h:1)", Effect::Changes, "OOM", "command not allowed");
        assert_eq!(single.outcome, Outcome::NotApplied);
        assert!(!single.retryable);
        assert_eq!(
            server(
                "p",
                Effect::Partly,
                "ERR",
                "x script: ab, on @user_script:1."
            )
            .outcome,
            Outcome::Unknown
        );
        let early = server("p", Effect::Partly, "LOADING", "");
        assert_eq!(early.outcome, Outcome::NotApplied);
        assert!(early.retryable);
        assert_eq!(
            server("p", Effect::Partly, "NOPERM", "x script: ab").outcome,
            Outcome::Unknown
        );
    }

    #[test]
    fn a_login_never_repeats_what_was_sent() {
        let text = "unknown command `AUTH`, with args beginning with: `hunter22`";
        let error = login("`t` (h:1)", "ERR", text);
        assert!(!error.message.contains("hunter22"), "{}", error.message);
        assert_eq!(error.cause, Cause::Denied);
    }
}
