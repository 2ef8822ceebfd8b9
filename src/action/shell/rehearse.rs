//! `shell` in a rehearsal: nothing is started unless somebody vouched for it ([`super::super::rehearse::Spawn`]);
//! whether the programs and the directory are there is looked at.
//!
//! A script is not understood, only its first words: what cannot be read with certainty is not said.

use super::{Params, SPEC, Shell};
use crate::action::rehearse::program;
use crate::action::{Action, ActionError, Call, ReadContext, Rehearsed, params};

/// Words of the shell itself, behind which there is no program.
const BUILTIN: &[&str] = &[
    ".", ":", "[", "alias", "break", "case", "cd", "command", "continue", "do", "done", "echo",
    "elif", "else", "esac", "eval", "exec", "exit", "export", "false", "fi", "for", "function",
    "getopts", "hash", "if", "in", "kill", "local", "printf", "pwd", "read", "readonly", "return",
    "set", "shift", "source", "test", "then", "time", "times", "trap", "true", "type", "ulimit",
    "umask", "unset", "until", "wait", "while", "{", "}", "!", "(", ")",
];

/// Looks, and starts the call where that is allowed.
pub(super) async fn rehearse(
    shell: &Shell,
    cx: &ReadContext,
    call: &Call,
) -> Result<Rehearsed, ActionError> {
    let given: Params = params(&SPEC, call)?;
    if !call.cwd.is_dir() {
        let message = format!(
            "the directory `{}` to work in is not there",
            call.cwd.display()
        );
        return Err(ActionError::invalid(message));
    }
    let path = call.env.iter().rev().find(|(name, _)| name == "PATH");
    let path = path.map(|(_, value)| value.as_str());
    let programs = match (&given.run, &given.argv) {
        (Some(script), _) => programs(script),
        (None, Some(argv)) => argv.first().cloned().into_iter().collect(),
        _ => Vec::new(),
    };
    for name in &programs {
        program(name, &call.cwd, path).map_err(|message| {
            ActionError::invalid(message)
                .hint("the step would fail: put it there, or mend the step")
        })?;
    }
    if let Some(spawn) = &cx.spawn {
        let context = spawn.context(cx);
        return shell.execute(&context, call).await.map(Rehearsed::Read);
    }
    let there = match programs.as_slice() {
        [] => String::new(),
        [one] => format!("; `{one}` is there"),
        several => format!("; `{}` are there", several.join("`, `")),
    };
    let why = format!("no command is started in a rehearsal{there}");
    Ok(Rehearsed::NotVerified(why))
}

/// The programs that a script calls for certain: the first words of its first line's commands, where
/// they are plain text.
fn programs(script: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let line = script
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'));
    let Some(line) = line else {
        return found;
    };
    // a name, or a path from where the step works; assignments before it leave the environment open
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else {
        return found;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/+-@".contains(c);
    if first.chars().all(plain) && !BUILTIN.contains(&first) {
        found.push(first.to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::programs;

    #[test]
    fn only_what_is_certain_is_called_a_program() {
        for (script, expected) in [
            ("ops/appctl stop all", Some("ops/appctl")),
            ("\n  # words\n  make deploy", Some("make")),
            ("./restart \"$X\"", Some("./restart")),
            ("echo hello", None),
            ("X=1 thing", None),
            ("$PROGRAM x", None),
            ("if true; then x; fi", None),
            ("(cd x && y)", None),
            ("", None),
        ] {
            let found = programs(script);
            assert_eq!(found.first().map(String::as_str), expected, "{script}");
        }
    }
}
