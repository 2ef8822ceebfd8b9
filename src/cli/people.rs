//! Who has which role of a runbook when a run starts: said with `--as`, written in the runbook, or asked
//! for at the terminal. A run whose steps nobody could decide about does not start.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};

use super::error::CommandError;
use super::exit::Exit;
use crate::front::escape::shown;
use crate::runbook::Runbook;
use crate::runbook::gate::{Approve, Gate, Manual, Names, definition};
use crate::runbook::model::{RoleDef, Step};

/// Binds the roles; `asks`: somebody is there to be asked for those that steps need and nobody has.
pub(super) fn bind(
    runbook: &Runbook,
    given: &[(String, String)],
    asks: bool,
) -> Result<BTreeMap<String, String>, CommandError> {
    let mut bound = BTreeMap::new();
    for (role, who) in given {
        let who = who.trim();
        if who.is_empty() {
            let message = format!("`--as {role}=` names nobody");
            return Err(CommandError::new(Exit::Usage, message));
        }
        if let Some(before) = bound.insert(role.clone(), who.to_owned()) {
            let message = format!("`{role}` is given to `{before}` and to `{who}`");
            return Err(CommandError::new(Exit::Usage, message).hint("one person has a role"));
        }
    }
    for role in needed(runbook) {
        if bound.contains_key(&*role.name) || role.who.is_some() {
            continue;
        }
        let said = if asks { ask(role) } else { None };
        let name = &role.name.value;
        let who = said.ok_or_else(|| {
            let message = format!("nobody has the role `{name}`, and a step waits for it");
            CommandError::new(Exit::Invalid, message).hint(format!(
                "say who: `--as {name}=NAME`, or `who:` in `people`"
            ))
        })?;
        bound.insert(name.clone(), who);
    }
    let sure = runbook.steps();
    for (_, step) in sure.filter(|(phase, step)| is_sure(runbook, *phase, step)) {
        reachable(runbook, step, &bound)?;
    }
    Ok(bound)
}

/// Those who may decide about a step, as it is written.
fn by(step: &Step) -> Option<(Names, usize)> {
    match Gate::of(step)? {
        Gate::Manual => {
            let manual: Manual = definition(step).ok()?;
            Some((manual.by, 0))
        }
        Gate::Approve => {
            let approve: Approve = definition(step).ok()?;
            Some((approve.by, approve.min))
        }
    }
}

/// Whether a step comes in any case: one that a condition may leave out holds nobody up.
fn is_sure(runbook: &Runbook, phase: usize, step: &Step) -> bool {
    step.when.is_none() && runbook.phases[phase].when.is_none()
}

/// Roles that some step waits for, in the order of the runbook.
fn needed(runbook: &Runbook) -> Vec<&RoleDef> {
    let named: BTreeSet<String> = runbook
        .steps()
        .filter(|(phase, step)| is_sure(runbook, *phase, step))
        .filter_map(|(_, step)| by(step))
        .flat_map(|(names, _)| names.0)
        .collect();
    let roles = runbook.people.iter();
    roles.filter(|role| named.contains(&*role.name)).collect()
}

/// Whether as many people may approve a step as have to.
fn reachable(
    runbook: &Runbook,
    step: &Step,
    bound: &BTreeMap<String, String>,
) -> Result<(), CommandError> {
    let Some((names, min)) = by(step) else {
        return Ok(());
    };
    let role = |name: &String| runbook.people.iter().find(|role| *role.name == **name);
    let who = |name: &String| match role(name) {
        Some(role) => bound.get(name).or(role.who.as_ref()).cloned(),
        None => Some(name.clone()),
    };
    let people: BTreeSet<String> = names.0.iter().filter_map(who).collect();
    if people.len() >= min {
        return Ok(());
    }
    let people: Vec<String> = people.into_iter().collect();
    let message = format!(
        "`{}` needs {min} people, and only {} may approve it: {}",
        *step.id,
        people.len(),
        people.join(", ")
    );
    Err(CommandError::new(Exit::Invalid, message).hint("give the roles to different people"))
}

/// The name that is typed; nothing is nobody.
fn ask(role: &RoleDef) -> Option<String> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return None;
    }
    let title = role
        .title
        .as_ref()
        .map_or_else(String::new, |title| format!(" ({title})"));
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "  who is `{}`{}? ", *role.name, shown(&title));
    let _ = stderr.flush();
    let mut line = String::new();
    stdin.read_line(&mut line).ok()?;
    let who = line.trim();
    (!who.is_empty()).then(|| who.to_owned())
}
