//! The state directory: the store, the run directories, and names of runs.

use std::path::{Path, PathBuf};

use super::error::CommandError;
use super::exit::Exit;
use crate::event::Event;
use crate::store::{Holder, RunRow, SqliteStore, Store, process_started, this_host};

/// The directory of one run.
pub(super) fn run_dir(state: &Path, run: &str) -> PathBuf {
    state.join("runs").join(run)
}

/// This process, as others see who holds a run.
pub(super) fn me() -> Holder {
    let pid = std::process::id();
    let user = nix::unistd::User::from_uid(nix::unistd::getuid())
        .ok()
        .flatten()
        .map(|user| user.name);
    Holder {
        who: user.unwrap_or_else(|| nix::unistd::getuid().to_string()),
        host: this_host(),
        pid,
        started: process_started(pid).unwrap_or(0),
    }
}

/// The current directory, where relative paths start.
pub(super) fn here() -> Result<PathBuf, CommandError> {
    std::env::current_dir().map_err(|error| {
        CommandError::new(
            Exit::System,
            format!("the current directory is gone: {error}"),
        )
    })
}

/// A new id: name, day, and a few random letters; short enough to be typed.
pub(super) fn new_id(name: &str) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let random = uuid::Uuid::now_v7();
    let letters: String = random.as_bytes()[10..14]
        .iter()
        .map(|byte| char::from(LETTERS[usize::from(byte & 31)]))
        .collect();
    let day = jiff::Zoned::now().strftime("%Y%m%d").to_string();
    let name: String = name.chars().take(40).collect();
    format!("{name}-{day}-{letters}")
}

/// A new id for a rehearsal of it, which shows that it is one wherever it stands.
pub(super) fn new_rehearsal_id(name: &str) -> String {
    let name: String = name.chars().take(30).collect();
    new_id(&format!("{name}-rehearsal"))
}

/// The store for reading.
pub(super) async fn open(state: &Path) -> Result<SqliteStore, CommandError> {
    Ok(SqliteStore::open_read_only(state).await?)
}

/// The run that is named, or the latest; a beginning of an id that only one run has is enough.
pub(super) async fn find(
    store: &SqliteStore,
    wanted: Option<&str>,
) -> Result<RunRow, CommandError> {
    if let Some(name) = wanted
        && let Some(row) = store.find(name).await?
    {
        return Ok(row);
    }
    let runs = store.runs().await?;
    let mut fitting = runs.into_iter().filter(|row| match wanted {
        Some(name) => row.id.starts_with(name),
        // one that never started, because another held its lock, is not the latest
        None => row.events > 0,
    });
    match (fitting.next(), fitting.next(), wanted) {
        (Some(row), None, _) | (Some(row), Some(_), None) => Ok(row),
        (Some(first), Some(second), Some(name)) => Err(ambiguous(name, &first.id, &second.id)),
        (None, _, Some(name)) => Err(missing(name)),
        (None, _, None) => Err(CommandError::new(
            Exit::Missing,
            "no run was started here yet",
        )),
    }
}

/// The id of the run that is named, or of the latest, also when its journal cannot be read or only
/// a witness knows of it.
pub(super) async fn name(
    store: &SqliteStore,
    wanted: Option<&str>,
) -> Result<String, CommandError> {
    let names = store.names().await?;
    let Some(wanted) = wanted else {
        let latest = names.into_iter().next();
        return latest
            .ok_or_else(|| CommandError::new(Exit::Missing, "no run was started here yet"));
    };
    if names.iter().any(|name| name == wanted) {
        return Ok(wanted.to_owned());
    }
    let fitting: Vec<_> = names
        .iter()
        .filter(|name| name.starts_with(wanted))
        .collect();
    match fitting.as_slice() {
        [] => Err(missing(wanted)),
        [only] => Ok((*only).clone()),
        [first, second, ..] => Err(ambiguous(wanted, first, second)),
    }
}

fn missing(wanted: &str) -> CommandError {
    CommandError::new(Exit::Missing, format!("there is no run `{wanted}`"))
        .hint("`ferry runs` lists them")
}

fn ambiguous(wanted: &str, first: &str, second: &str) -> CommandError {
    let message = format!("`{wanted}` fits more than one run: `{first}`, `{second}`");
    CommandError::new(Exit::Usage, message).hint("write more of its id")
}

/// The run that is named, or the latest, with its events.
pub(super) fn read(
    state: &Path,
    wanted: Option<&str>,
) -> Result<(RunRow, Vec<Event>), CommandError> {
    super::runtime()?.block_on(async {
        let store = open(state).await?;
        let row = find(&store, wanted).await?;
        let events = store.load(&row.id, 1).await?;
        Ok((row, events))
    })
}
