//! Reading a runbook file: the text, the checks, what there is to say about it.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::CommandError;
use super::exit::Exit;
use crate::action::Registry;
use crate::plan::Plan;
use crate::runbook::inputs::{self, Bound};
use crate::runbook::{self, Diagnostic, Excerpts, Runbook, Severity, Source, yaml};
use crate::secret::mask_places;

/// Largest runbook that is read, in bytes.
const MAX_BYTES: u64 = 32 << 20;

/// A runbook that can run.
pub(super) struct Loaded {
    pub(super) runbook: Runbook,
    pub(super) meaning: String,
    pub(super) source: Source,
}

/// Everything there is to say about a file.
pub(super) struct Checked {
    pub(super) runbook: Option<Runbook>,
    pub(super) meaning: String,
    pub(super) source: Source,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Checked {
    /// How many are mistakes, and how many are lints.
    pub(super) fn counts(&self) -> (usize, usize) {
        let errors = self
            .diagnostics
            .iter()
            .filter(|d| d.severity == Severity::Error)
            .count();
        (errors, self.diagnostics.len() - errors)
    }
}

/// Reads and checks a file.
pub(super) fn check(path: &Path) -> Result<Checked, CommandError> {
    let name = path.display().to_string();
    let bytes = bytes_of(path, "runbook", MAX_BYTES)?;
    let text = match yaml::decode_utf8(bytes) {
        Ok(text) => text,
        Err(diagnostic) => {
            let source = Source {
                name,
                text: String::new(),
            };
            return Ok(Checked {
                runbook: None,
                meaning: String::new(),
                source,
                diagnostics: vec![*diagnostic],
            });
        }
    };
    let read = runbook::read(&text, &Registry::all().catalog());
    let source = Source { name, text };
    Ok(Checked {
        runbook: read.runbook,
        meaning: read.meaning,
        source,
        diagnostics: read.diagnostics,
    })
}

/// Only regular files, so that a pipe or a device cannot hang or flood us; `-` is standard input.
pub(super) fn bytes_of(path: &Path, what: &str, most: u64) -> Result<Vec<u8>, CommandError> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let failed = |error: std::io::Error| {
        let exit = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            _ => Exit::Missing,
        };
        CommandError::new(
            exit,
            format!("the {what} `{name}` cannot be read: {}", words(&error)),
        )
    };
    if name == "-" {
        std::io::stdin()
            .take(most + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    } else {
        // opening a pipe must not wait for whoever writes it, and what is open is what is asked
        let file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
            .open(path)
            .map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(CommandError::new(
                Exit::Missing,
                format!("the {what} `{name}` is not a regular file"),
            ));
        }
        file.take(most + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    }
    if bytes.len() as u64 > most {
        return Err(CommandError::new(
            Exit::Invalid,
            format!("the {what} `{name}` is larger than {} MB", most >> 20),
        ));
    }
    Ok(bytes)
}

/// An IO error in words, without the number.
pub(super) fn words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

/// Prints diagnostics to standard error.
pub(super) fn show(checked: &Checked) {
    let stderr = std::io::stderr();
    let color = stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut stderr = stderr.lock();
    let excerpts = Excerpts::new(&checked.source);
    for diagnostic in &checked.diagnostics {
        let shown = excerpts.render(diagnostic, color);
        // a reader that went away is told by nobody
        if writeln!(stderr, "{}\n", mask_places(&shown)).is_err() {
            return;
        }
    }
}

/// Reads a runbook that must be able to run; says what is wrong with it otherwise.
pub(super) fn load(path: &Path) -> Result<Loaded, CommandError> {
    let checked = check(path)?;
    let (errors, _) = checked.counts();
    if errors > 0 {
        show(&checked);
        let s = if errors == 1 { "" } else { "s" };
        let message = format!(
            "`{}` has {errors} mistake{s}; nothing was started",
            checked.source.name
        );
        return Err(CommandError::new(Exit::Invalid, message));
    }
    let Checked {
        runbook,
        meaning,
        source,
        ..
    } = checked;
    let Some(runbook) = runbook else {
        return Err(CommandError::new(
            Exit::Internal,
            "a runbook without mistakes could not be read",
        ));
    };
    Ok(Loaded {
        runbook,
        meaning,
        source,
    })
}

/// Binds the inputs of a runbook from the command line and the environment.
pub(super) fn bind(runbook: &Runbook, given: &[(String, String)]) -> Result<Bound, CommandError> {
    let given: BTreeMap<String, String> = given.iter().cloned().collect();
    inputs::bind(runbook, &given, &|name| std::env::var(name).ok())
        .map_err(|errors| unbound(&errors))
}

impl Loaded {
    /// The same runbook as it is in an environment, if one is named.
    pub(super) fn within(mut self, environment: Option<&str>) -> Result<Self, CommandError> {
        self.runbook = within(self.runbook, environment)?;
        Ok(self)
    }
}

/// The runbook as it is in an environment, if one is named.
pub(super) fn within(runbook: Runbook, environment: Option<&str>) -> Result<Runbook, CommandError> {
    let Some(name) = environment else {
        return Ok(runbook);
    };
    runbook
        .within(name)
        .map_err(|error| CommandError::new(Exit::Invalid, error.message).hint(error.hint))
}

/// Inputs without a value.
pub(super) fn unbound(errors: &[inputs::InputError]) -> CommandError {
    let messages: Vec<_> = errors.iter().map(|error| error.message.clone()).collect();
    let mut made = CommandError::new(Exit::Invalid, messages.join("; "));
    for error in errors {
        made = made.hint(error.hint.clone());
    }
    made
}

/// The plan of a runbook with bound inputs; the secrets come apart.
pub(super) fn plan(
    loaded: Loaded,
    bound: Bound,
) -> (Plan, std::collections::HashMap<String, String>, Source) {
    let secrets = bound.secrets.keys().cloned().collect();
    let plan = Plan::new(loaded.runbook, &loaded.meaning, bound.values, secrets);
    (plan, bound.secrets, loaded.source)
}

/// `name=value` of `--input`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".into()),
    }
}
