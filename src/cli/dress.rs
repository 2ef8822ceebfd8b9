//! The dress rehearsal: the real run, by the same engine, on the targets of an environment; and the undo
//! drill, which goes forward to each changing step and back.
//!
//! Both leave journals like any run, marked as rehearsals. Neither starts when it would change what
//! production is: that is compared first, and only the author's word makes an exception.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::carry::{Attendance, Ready};
use super::error::CommandError;
use super::exit::Exit;
use super::rehearse::Args;
use super::{drill, load, state};
use crate::engine::Start;
use crate::engine::rehearse::{Common, common};
use crate::event::{CommsMode, Planned, RunOptions};
use crate::plan::Plan;
use crate::runbook::inputs::{self, Bound};
use crate::runbook::{Runbook, Source};
use crate::store::{SqliteStore, Store};

/// Everything that one rehearsal after the other is made of.
pub(super) struct Stage {
    pub(super) plan: Arc<Plan>,
    pub(super) secrets: HashMap<String, String>,
    pub(super) source: Source,
    pub(super) store: Arc<dyn Store>,
    pub(super) state_dir: std::path::PathBuf,
    pub(super) base_dir: std::path::PathBuf,
    pub(super) environment: String,
    pub(super) json: bool,
    /// Whether messages are sent.
    pub(super) comms: CommsMode,
}

impl Stage {
    /// A run that rehearses, up to a step when one is named.
    pub(super) fn ready(&self, until: Option<&str>) -> (Ready, Start) {
        let ready = Ready {
            run: state::new_rehearsal_id(&self.plan.runbook.name),
            plan: Arc::clone(&self.plan),
            secrets: self.secrets.clone(),
            options: RunOptions {
                environment: Some(self.environment.clone()),
                rehearsal: true,
                until: until.map(str::to_owned),
                comms: self.comms,
                ..RunOptions::default()
            },
            store: Arc::clone(&self.store),
            state_dir: self.state_dir.clone(),
            base_dir: self.base_dir.clone(),
            json: self.json,
            silent: until.is_some(),
            attendance: Attendance::default(),
            people: std::collections::BTreeMap::new(),
            behind: None,
            undelivered: crate::comms::Undelivered::default(),
        };
        let start = Start::New {
            source: self.source.name.clone(),
            text: self.source.text.clone(),
        };
        (ready, start)
    }
}

/// `ferry rehearse --full`.
pub(super) fn full(args: &Args, state_dir: &Path) -> Result<Exit, CommandError> {
    let environment = args.env.clone().unwrap_or_default();
    let loaded = load::load(&args.runbook)?;
    let production = loaded.runbook.clone();
    let meaning = loaded.meaning.clone();
    let loaded = loaded.within(Some(&environment))?;
    let bound = load::bind(&loaded.runbook, &args.inputs)?;
    let (plan, secrets, source) = load::plan(loaded, bound);
    let plan = Arc::new(plan);
    apart(
        &plan,
        &secrets,
        &production,
        &meaning,
        &args.inputs,
        &environment,
    )?;
    let base_dir = state::here()?;
    let state_dir = base_dir.join(state_dir);
    super::prepare()?;
    let runtime = super::runtime()?;
    let told = runtime.block_on(async {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&state_dir).await?);
        let stage = Stage {
            plan,
            secrets,
            source,
            store,
            state_dir,
            base_dir,
            environment,
            json: args.json,
            comms: args.comms.into(),
        };
        if args.drill {
            return drill::hold(&stage).await;
        }
        super::note(&format!(
            "a dress rehearsal, for real, in `{}`",
            stage.environment
        ));
        let (ready, start) = stage.ready(None);
        ready.carry(start).await?.tell()
    });
    runtime.shutdown_background();
    told
}

/// Refuses to go on with a rehearsal that would change production as it is bound now: its secrets, and
/// what they stand for without the environment, may be others than when it was started.
pub(super) fn still_apart(
    planned: &Planned,
    plan: &Arc<Plan>,
    secrets: &HashMap<String, String>,
    (production, meaning): (&Runbook, &str),
    given: &[(String, String)],
) -> Result<(), CommandError> {
    let Some(environment) = planned.options.environment.as_deref() else {
        return Ok(());
    };
    let named = production
        .environments
        .iter()
        .find(|one| *one.name == *environment);
    let names = |name: &str| named.is_some_and(|one| one.inputs.iter().any(|(n, _)| **n == *name));
    // what the environment does not name was the same for both, from wherever it came
    let same = plan.inputs.iter().filter(|(name, _)| !names(name));
    let plain = |value: &serde_json::Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let mut values: Vec<(String, String)> = same
        .map(|(name, value)| (name.clone(), plain(value)))
        .collect();
    values.extend(given.iter().cloned());
    apart(plan, secrets, production, meaning, &values, environment)
}

/// Refuses what would change production.
fn apart(
    plan: &Arc<Plan>,
    secrets: &HashMap<String, String>,
    production: &Runbook,
    meaning: &str,
    given: &[(String, String)],
    environment: &str,
) -> Result<(), CommandError> {
    let Bound {
        values,
        secrets: others,
    } = as_in_production(production, plan, given);
    let names = others.keys().cloned().collect();
    let there = Arc::new(Plan::new(production.clone(), meaning, values, names));
    let shares = |name: &str| {
        let found = production
            .environments
            .iter()
            .find(|one| *one.name == *environment);
        found.is_some_and(|one| one.shares.iter().any(|shared| **shared == *name))
    };
    let found = common(plan, secrets.clone(), &there, others);
    let (meant, wrong): (Vec<Common>, Vec<Common>) =
        found.into_iter().partition(|one| shares(one.name()));
    for one in &meant {
        super::note(&format!(
            "{}, and the runbook says that `{environment}` shares it",
            words(one)
        ));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = wrong.iter().map(words).collect();
    let message = format!(
        "nothing was started: in `{environment}` it would change production: {}",
        told.join("; ")
    );
    let names: Vec<&str> = wrong.iter().map(Common::name).collect();
    Err(CommandError::new(Exit::Refused, message)
        .hint(format!("give `environments.{environment}.inputs` a value for each input that says where it is"))
        .hint(format!(
            "where it is meant to be the same, say so in the runbook: `shares: [{}]` in `environments.{environment}`",
            names.join(", ")
        )))
}

fn words(one: &Common) -> String {
    match one {
        Common::Target { name, place, there } if name == there => {
            format!("target `{name}` ({place}) is the same without `--env`")
        }
        Common::Target { name, place, there } => {
            format!("target `{name}` ({place}) is where `{there}` is without `--env`")
        }
        Common::Step { id, action } => {
            format!(
                "step `{id}` (`{action}`) does the same without `--env`, for no input of it is another one"
            )
        }
    }
}

/// The values without the environment, as far as they are there: an input that has none on this machine
/// cannot be compared, and is taken as another one. What the command line gives is the same for both.
fn as_in_production(production: &Runbook, plan: &Plan, given: &[(String, String)]) -> Bound {
    let given: std::collections::BTreeMap<_, _> = given.iter().cloned().collect();
    let environment = |name: &str| std::env::var(name).ok();
    let mut runbook = production.clone();
    let bindable = |input: &crate::runbook::model::Input| {
        let mut alone = production.clone();
        alone.inputs = vec![input.clone()];
        let own = given.iter().filter(|(name, _)| **name == *input.name);
        let own = own
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        inputs::bind(&alone, &own, &environment).is_ok()
    };
    runbook.inputs.retain(bindable);
    let kept: Vec<&str> = runbook
        .inputs
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    let unknown = plan
        .runbook
        .inputs
        .iter()
        .filter(|input| !kept.contains(&input.name.as_str()));
    for input in unknown {
        super::note(&format!(
            "input `{}` has no value outside the environment on this machine: what it leads to could not be compared",
            *input.name
        ));
    }
    let own = given
        .iter()
        .filter(|(name, _)| kept.contains(&name.as_str()));
    let own = own
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    inputs::bind(&runbook, &own, &environment).unwrap_or_default()
}
