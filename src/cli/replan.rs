//! The plan of a run that was started before: from its journal, never from the file as it is now.
//!
//! Main function: [`replan`]. What the journal hides (secrets, passwords written into addresses) is
//! bound again from the command line, the environment or the file, and must be what it was.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::CommandError;
use super::exit::Exit;
use super::load;
use crate::action::Registry;
use crate::event::{Event, EventKind, Planned, RunEvent};
use crate::plan::{Plan, hex};
use crate::runbook::{self, Runbook, inputs};

/// What a run stands on.
pub(super) struct Replanned {
    pub(super) plan: Plan,
    /// The runbook without the environment that it was planned in, and its meaning.
    pub(super) production: Runbook,
    pub(super) meaning: String,
    pub(super) secrets: HashMap<String, String>,
    pub(super) base_dir: PathBuf,
}

/// The first event of a run.
pub(super) fn planned(events: &[Event]) -> Result<&Planned, CommandError> {
    match events.first().map(|event| &event.kind) {
        Some(EventKind::Run(RunEvent::Planned(planned))) => Ok(planned),
        _ => Err(CommandError::new(
            Exit::Corrupt,
            "the journal does not begin with a plan",
        )),
    }
}

/// The plan again, with everything bound that carrying it on needs.
pub(super) fn replan(
    planned: &Planned,
    given: &[(String, String)],
) -> Result<Replanned, CommandError> {
    let base_dir = PathBuf::from(&planned.base_dir);
    let text = text(planned, &base_dir)?;
    let read = runbook::read(&text, &Registry::all().catalog());
    let Some(runbook) = read.runbook else {
        return Err(other_ferry(planned));
    };
    let production = runbook.clone();
    let runbook = load::within(runbook, planned.options.environment.as_deref())?;
    let given: BTreeMap<String, String> = given.iter().cloned().collect();
    let env = |name: &str| std::env::var(name).ok();
    let bound = inputs::rebind(&runbook, &planned.inputs, &given, &env)
        .map_err(|errors| load::unbound(&errors))?;
    let names = bound.secrets.keys().cloned().collect();
    let plan = Plan::new(runbook, &read.meaning, bound.values, names);
    if plan.digest != planned.digest {
        if planned.version != env!("CARGO_PKG_VERSION") {
            return Err(other_ferry(planned));
        }
        let message = "an input is not what the run was started with";
        return Err(CommandError::new(Exit::Invalid, message)
            .hint("give those that hold a password as they were: `--input NAME=VALUE`"));
    }
    Ok(Replanned {
        plan,
        production,
        meaning: read.meaning,
        secrets: bound.secrets,
        base_dir,
    })
}

/// The plan for reading and deciding alone: nothing in it has to be bound.
pub(super) fn outline(planned: &Planned) -> Result<Plan, CommandError> {
    let read = runbook::read(&planned.text, &Registry::all().catalog());
    let runbook = read.runbook.ok_or_else(|| other_ferry(planned))?;
    let mut plan = Plan::new(
        runbook,
        &read.meaning,
        planned.inputs.clone(),
        planned.secrets.clone(),
    );
    plan.digest.clone_from(&planned.digest);
    Ok(plan)
}

fn other_ferry(planned: &Planned) -> CommandError {
    let message = format!(
        "this ferry ({}) reads the runbook otherwise than ferry {}, which started the run",
        env!("CARGO_PKG_VERSION"),
        planned.version
    );
    CommandError::new(Exit::Newer, message)
        .hint("go on with the version that started it, or `ferry close` the run")
}

/// The text that was planned. Where the journal hides something in it, the file has to have it still.
fn text(planned: &Planned, base_dir: &Path) -> Result<String, CommandError> {
    if sha256(&planned.text) == planned.text_sha256 {
        return Ok(planned.text.clone());
    }
    let path = base_dir.join(&planned.source);
    match std::fs::read_to_string(&path) {
        Ok(text) if sha256(&text) == planned.text_sha256 => Ok(text),
        _ => Err(CommandError::new(
            Exit::Refused,
            format!(
                "the runbook holds a secret in its text, which the journal does not keep, and `{}` is \
                 not what it was",
                planned.source
            ),
        )
        .hint("put the runbook back as it was; take the secret from an input for the next run")),
    }
}

fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// What the file says now and did not say then, in lines; empty when it is the same.
pub(super) fn changed(planned: &Planned) -> Vec<String> {
    let path = Path::new(&planned.base_dir).join(&planned.source);
    let Ok(now) = std::fs::read_to_string(&path) else {
        return match planned.source.as_str() {
            "-" => Vec::new(),
            source => vec![format!("`{source}` cannot be read any more")],
        };
    };
    if sha256(&now) == planned.text_sha256 {
        return Vec::new();
    }
    let (then, now): (Vec<&str>, Vec<&str>) =
        (planned.text.lines().collect(), now.lines().collect());
    let same = then.iter().zip(&now).take_while(|(a, b)| a == b).count();
    let rest = then.len().min(now.len()) - same;
    let tail = then.iter().rev().zip(now.iter().rev());
    let tail = tail.take(rest).take_while(|(a, b)| a == b).count();
    let mut told = vec![format!(
        "`{}` has changed since the run was started (from line {}):",
        planned.source,
        same + 1
    )];
    let mut part = |sign: char, lines: &[&str]| {
        let shown = lines.iter().take(5);
        told.extend(shown.map(|line| format!("  {sign} {}", crate::secret::mask_places(line))));
        if lines.len() > 5 {
            told.push(format!("  {sign} and {} more lines", lines.len() - 5));
        }
    };
    part('-', &then[same..then.len() - tail]);
    part('+', &now[same..now.len() - tail]);
    told
}
