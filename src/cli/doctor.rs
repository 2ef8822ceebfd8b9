//! `ferry doctor`: looks at the state directory and says what is wrong with it and what helps.
//!
//! It changes nothing, unless it is told to make a new witness.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::Path;

use serde_json::json;

use super::error::CommandError;
use super::exit::Exit;
use super::state;
use crate::event::RunStatus;
use crate::store::{Examined, Liveness, SqliteStore, Surroundings};

/// Free space below which a warning is due.
const LITTLE: u64 = 64 << 20;

/// Look at the state directory: its place, its settings, and every run's journal, witness and holder
#[derive(clap::Args)]
#[command(
    after_help = "Exits with 72 if a journal is damaged.\n\nExample:\n  ferry doctor\n  ferry doctor --rebuild-witness hybrid-cache-20260321-k3xw"
)]
pub(super) struct Args {
    /// Make a new witness for a run whose own is missing or damaged, from its journal as it is
    #[arg(long, value_name = "RUN")]
    rebuild_witness: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warning,
    Problem,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One line.
struct Finding {
    level: Level,
    about: String,
    text: String,
    hint: Option<String>,
}

impl Finding {
    fn new(level: Level, about: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            level,
            about: about.into(),
            text: text.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

pub(super) fn doctor(args: &Args, state_dir: &Path) -> Result<Exit, CommandError> {
    let runtime = super::runtime()?;
    if let Some(wanted) = &args.rebuild_witness {
        return runtime.block_on(rebuild(state_dir, wanted, args.json));
    }
    let (findings, exit) = runtime.block_on(look(state_dir))?;
    let text: String = match args.json {
        true => findings.iter().map(line_of_json).collect(),
        false => lines(&findings),
    };
    super::answer(&text)?;
    Ok(exit)
}

async fn rebuild(state_dir: &Path, wanted: &str, json: bool) -> Result<Exit, CommandError> {
    let store = state::open(state_dir).await?;
    let run = state::name(&store, Some(wanted)).await?;
    let seq = store.rebuild_witness(&run).await?;
    let text = match json {
        true => format!("{}\n", json!({ "run": run, "witness": seq })),
        false => format!(
            "run `{run}` has a new witness at event {seq}; whether events were lost before is not known any more\n"
        ),
    };
    super::answer(&text)?;
    Ok(Exit::Done)
}

async fn look(state_dir: &Path) -> Result<(Vec<Finding>, Exit), CommandError> {
    let store = match state::open(state_dir).await {
        Ok(store) => store,
        Err(error) if error.exit == Exit::Missing => return Err(error),
        Err(error) => {
            let finding = Finding::new(Level::Problem, "store", error.message);
            let hint = error.hints.into_iter().next();
            return Ok((vec![Finding { hint, ..finding }], error.exit));
        }
    };
    let mut findings = surroundings(state_dir, &store.surroundings().await?);
    let mut bad = false;
    if let Some(what) = store.quick_check().await {
        bad = true;
        let finding = Finding::new(Level::Problem, "database", what);
        findings.push(finding.hint("put a copy back that was taken before the damage"));
    }
    let names = match store.names().await {
        Ok(names) => names,
        Err(error) => {
            findings.push(Finding::new(Level::Problem, "runs", error.to_string()));
            return Ok((findings, Exit::Corrupt));
        }
    };
    for name in &names {
        let (finding, is_bad) = run(&store, name).await;
        bad |= is_bad;
        findings.push(finding);
    }
    findings.extend(strays(state_dir, &names));
    Ok((findings, if bad { Exit::Corrupt } else { Exit::Done }))
}

fn surroundings(dir: &Path, found: &Surroundings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let place = format!(
        "`{}`: mode {:03o}, {}, {} free",
        dir.display(),
        found.mode,
        found.file_system,
        size(found.free)
    );
    findings.push(match (found.mode & 0o077, found.free < LITTLE) {
        (0, false) => Finding::new(Level::Ok, "directory", place),
        (0, true) => Finding::new(Level::Warning, "directory", place)
            .hint("free some space: a run whose journal cannot be written stops"),
        _ => Finding::new(Level::Warning, "directory", place)
            .hint(format!("chmod 700 {}", dir.display())),
    });
    let store = format!(
        "SQLite {}, format {}, {}, {} and {} of log",
        found.sqlite,
        found.format,
        found.journal_mode,
        size(found.database),
        size(found.log)
    );
    findings.push(Finding::new(Level::Ok, "store", store));
    findings.push(match found.ballast {
        true => Finding::new(
            Level::Ok,
            "ballast",
            "space for the last events on a full disk is put aside",
        ),
        false => Finding::new(
            Level::Warning,
            "ballast",
            "no space is put aside for the last events on a full disk",
        )
        .hint("it is put aside when the next run starts, if there is some to spare"),
    });
    findings
}

/// What is to be said about a run, and whether its journal is bad.
async fn run(store: &SqliteStore, name: &str) -> (Finding, bool) {
    let about = format!("run {name}");
    let found = match store.examine(name).await {
        Ok(found) => found,
        Err(error) => return (Finding::new(Level::Problem, about, error.to_string()), true),
    };
    let verified = match &found.verdict {
        Ok(verified) => verified,
        Err(error) => {
            let finding = Finding::new(Level::Problem, about, error.to_string());
            let hint = error.hint().unwrap_or_else(|| {
                "put the right files back, or leave the run as it is: nothing is gone on with"
                    .into()
            });
            return (finding.hint(hint), true);
        }
    };
    let text = format!(
        "{}, {} events, witness at {}, {}",
        found.status.map_or("unknown", RunStatus::words),
        verified.events,
        verified.witness.unwrap_or(0),
        holder(&found)
    );
    let on_its_way = found.status.is_some_and(|status| !status.is_over());
    let interrupted = on_its_way && !matches!(&found.holder, Some((_, l)) if *l != Liveness::Gone);
    let hint = match &found.holder {
        _ if interrupted => Some(format!("it was interrupted: `ferry resume {name}` goes on")),
        Some((_, Liveness::Unknown)) => Some(format!(
            "if that process is gone for good, `ferry resume {name} --takeover` goes on"
        )),
        _ if found.half_a_witness => {
            Some("one slot of its witness was cut or damaged; the other one holds".into())
        }
        _ => None,
    };
    let level = match hint {
        Some(_) => Level::Warning,
        None => Level::Ok,
    };
    let finding = Finding::new(level, about, text);
    (Finding { hint, ..finding }, false)
}

fn holder(found: &Examined) -> String {
    match &found.holder {
        None => "held by nobody".into(),
        Some((holder, Liveness::Alive)) => format!("held by {holder}"),
        Some((holder, Liveness::Gone)) => format!("was held by {holder}, which is gone"),
        Some((holder, Liveness::Unknown)) => {
            format!("held by {holder}, of which nothing is known here")
        }
    }
}

/// Directories of runs that the store does not know.
fn strays(dir: &Path, names: &[String]) -> Vec<Finding> {
    let known: BTreeSet<_> = names.iter().map(String::as_str).collect();
    let Ok(entries) = std::fs::read_dir(dir.join("runs")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| known.contains(name)) {
            let path = entry.path();
            let text = format!("`{}` belongs to no run of the store", path.display());
            let finding = Finding::new(Level::Warning, "stray", text);
            found.push(finding.hint(format!("rm -r {}", path.display())));
        }
    }
    found.sort_by(|a, b| a.text.cmp(&b.text));
    found
}

fn lines(findings: &[Finding]) -> String {
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut text = String::new();
    for finding in findings {
        let (on, off) = match (colour, finding.level) {
            (true, Level::Ok) => ("\x1b[32m", "\x1b[0m"),
            (true, Level::Warning) => ("\x1b[33m", "\x1b[0m"),
            (true, Level::Problem) => ("\x1b[1;31m", "\x1b[0m"),
            (false, _) => ("", ""),
        };
        let word = finding.level.word();
        text.push_str(&format!(
            "{on}{word:<7}{off}  {}: {}\n",
            finding.about, finding.text
        ));
        if let Some(hint) = &finding.hint {
            text.push_str(&format!("         {hint}\n"));
        }
    }
    text
}

fn line_of_json(finding: &Finding) -> String {
    let value = json!({
        "level": finding.level.word(), "about": finding.about, "text": finding.text,
        "hint": finding.hint,
    });
    format!("{value}\n")
}

/// Bytes in words.
fn size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} B"),
    }
}
