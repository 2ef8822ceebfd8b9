//! What to do when the user may not: names the command and the right that it needs.

use super::client::Link;
use crate::action::ActionError;
use crate::event::Cause;

/// An error reply to `verb`, such as `MEMORY USAGE`; when the server denies it, it names the command,
/// and the hint how the user gets the right.
pub(super) fn named(error: ActionError, link: &Link, verb: &str) -> ActionError {
    if error.cause != Cause::Denied {
        return error;
    }
    let user = link.address.user.as_deref().unwrap_or("default");
    let right = right(verb);
    let mut error = error;
    if error.message.contains("NOPERM") {
        error.message = format!("{} (asked for `{verb}`)", error.message);
        // a key that is refused needs another right than a command
        let hint = if error.message.contains("to access") {
            format!(
                "grant the keys: ACL SETUSER {user} %R~*; or look at the user's own with `match`"
            )
        } else {
            format!("grant it: ACL SETUSER {user} {right}")
        };
        error = error.hint(hint);
    }
    error
}

/// How ACL SETUSER spells the right to a command.
fn right(verb: &str) -> String {
    format!("+{}", verb.to_lowercase().replace(' ', "|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subcommand_has_a_right_of_its_own() {
        assert_eq!(right("MEMORY USAGE"), "+memory|usage");
        assert_eq!(right("MONITOR"), "+monitor");
    }
}
