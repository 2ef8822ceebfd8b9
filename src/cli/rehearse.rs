//! `ferry rehearse`: what a runbook would do, read for real where it only reads, and nothing changed.
//!
//! It opens no store and no run directory. The dress rehearsal (`--full`) is [`super::dress`]'s.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::CommandError;
use super::exit::Exit;
use super::{load, state};
use crate::engine::rehearse::{Rehearsing, UNREAD, Way};
use crate::event::rehearsal::Rehearsal;
use crate::expr::Expr;
use crate::front;
use crate::plan::Plan;
use crate::runbook::inputs::{self, Bound};
use crate::runbook::model::{ActionUse, Input, InputKind};
use crate::runbook::{Class, Runbook};

/// Combinations of choices that are walked at most.
const MOST_WALKS: usize = 32;

/// Columns of the text.
const ROOM: usize = 80;

/// Say what a runbook would do: what only reads is really read, and nothing is changed
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  ferry rehearse runbooks/hybrid-cache.yaml\n  ferry rehearse --full --env staging runbooks/hybrid-cache.yaml"
)]
pub(super) struct Args {
    /// The runbook
    #[arg(value_name = "RUNBOOK")]
    pub(super) runbook: PathBuf,
    /// A value for an input; may be repeated
    #[arg(long = "input", short = 'i', value_name = "NAME=VALUE", value_parser = load::pair)]
    pub(super) inputs: Vec<(String, String)>,
    /// The values that the runbook has for this environment
    #[arg(long, value_name = "NAME")]
    pub(super) env: Option<String>,
    /// Start the commands of steps that say `read_only: true` as well
    #[arg(long, conflicts_with = "full")]
    allow_shell: bool,
    /// Carry everything out, for real, on the targets of an environment
    #[arg(long, requires = "env")]
    pub(super) full: bool,
    /// Go forward to each changing step and back again, timing both ways
    #[arg(long, requires = "full")]
    pub(super) drill: bool,
    /// Whether people are told what happens in a dress rehearsal, as `comms` of the runbook says
    #[arg(long, value_name = "WHEN", default_value = "off", requires = "full")]
    pub(super) comms: super::run::Comms,
    /// One JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn rehearse(args: &Args, state_dir: &Path) -> Result<Exit, CommandError> {
    if args.full {
        return super::dress::full(args, state_dir);
    }
    let loaded = load::load(&args.runbook)?.within(args.env.as_deref())?;
    let runbook = loaded.runbook;
    let (combinations, not_walked) = combinations(&runbook, &args.inputs);
    let needed = needed(&runbook, args.allow_shell);
    let mut ways = Vec::with_capacity(combinations.len());
    for choices in combinations {
        let bound = bind(&runbook, &args.inputs, &choices, &needed)?;
        let names = bound.secrets.keys().cloned().collect();
        let plan = Plan::new(runbook.clone(), &loaded.meaning, bound.values, names);
        ways.push(Way {
            choices: choices.into_iter().collect(),
            plan,
            secrets: bound.secrets,
        });
    }
    let base_dir = state::here()?;
    let rehearsing = Rehearsing {
        ways,
        not_walked,
        state_dir: base_dir.join(state_dir),
        base_dir,
        allow_shell: args.allow_shell,
    };
    super::prepare()?;
    let runtime = super::runtime()?;
    let found = runtime.block_on(async {
        tokio::select! {
            found = rehearsing.hold() => found.map_err(CommandError::from),
            // what is under way only reads, and what was started ends with it
            exit = told_to_stop() => Err(CommandError::new(exit, "the rehearsal was stopped")),
        }
    });
    runtime.shutdown_background();
    let found = found?;
    let exit = exit_of(&found);
    match args.json {
        true => super::answer(&front::rehearsal::lines(&found, exit.code()))?,
        false => super::answer(&front::rehearsal::text(&found, ROOM))?,
    }
    Ok(exit)
}

/// Waits for a signal that asks to stop.
pub(super) async fn told_to_stop() -> Exit {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => Exit::Interrupted,
        _ = terminate.recv() => Exit::Terminated,
    }
}

fn exit_of(found: &Rehearsal) -> Exit {
    match (found.has_problems(), found.is_incomplete()) {
        (true, _) => Exit::RehearsalProblems,
        (false, true) => Exit::RehearsalIncomplete,
        (false, false) => Exit::Done,
    }
}

type Choices = Vec<(String, Value)>;

/// Every combination of the choices that nobody made, the one that a run would take first; and how
/// many there are beyond what is walked.
fn combinations(runbook: &Runbook, given: &[(String, String)]) -> (Vec<Choices>, usize) {
    let open = runbook.inputs.iter().filter(|input| {
        !input.choices.is_empty()
            && !input.secret
            && !given.iter().any(|(name, _)| *name == *input.name)
    });
    let mut all: Vec<Choices> = vec![Vec::new()];
    let mut count: usize = 1;
    for input in open {
        let from_env = input
            .env
            .as_deref()
            .and_then(|name| std::env::var(name).ok());
        let usual = from_env.map(Value::from).or_else(|| input.default.clone());
        let mut choices = input.choices.clone();
        // stable: the others stay in the order of the text
        choices.sort_by_key(|choice| usual.as_ref() != Some(choice));
        count = count.saturating_mul(choices.len());
        let mut next = Vec::new();
        for choice in &choices {
            for combination in all.iter().take(MOST_WALKS) {
                let mut combination = combination.clone();
                combination.push((input.name.value.clone(), choice.clone()));
                next.push(combination);
            }
        }
        all = next;
    }
    all.truncate(MOST_WALKS);
    let left = count.saturating_sub(all.len());
    (all, left)
}

/// Secrets whose value a reading needs: those in addresses, and in what is really read. Of all others
/// only the existence is looked at.
fn needed(runbook: &Runbook, allow_shell: bool) -> HashSet<String> {
    let mut needed = HashSet::new();
    let mut see = |expr: &Expr| {
        for reference in expr.references() {
            match reference.path.as_slice() {
                [root, name, ..] if root == "inputs" => {
                    needed.insert(name.clone());
                }
                // `inputs` as a whole: any of them
                [root] if root == "inputs" => {
                    needed.extend(runbook.inputs.iter().map(|input| input.name.value.clone()));
                }
                _ => {}
            }
        }
    };
    for target in &runbook.targets {
        target.url.exprs().for_each(&mut see);
        target.options.each_expr(&mut see);
    }
    let reads = |used: &ActionUse| used.class == Class::Reading;
    for snapshot in runbook.snapshots.iter().filter(|one| reads(&one.call)) {
        snapshot.call.params.each_expr(&mut see);
    }
    for guard in &runbook.guards {
        let started = allow_shell && *guard.call.key == "shell";
        if reads(&guard.call) || started {
            guard.call.params.each_expr(&mut see);
        }
    }
    let steps = runbook
        .steps()
        .map(|(_, step)| step)
        .chain(runbook.rollback.steps());
    let undone = runbook.steps().flat_map(|(_, step)| match &step.undo {
        crate::runbook::Undo::Steps(undo) => undo.as_slice(),
        _ => &[],
    });
    for step in steps.chain(undone) {
        let stand_in = step.rehearse.as_deref();
        let started = stand_in.is_some_and(|probe| *probe.call.key == "shell")
            || (allow_shell && step.read_only == Some(true) && *step.action.key == "shell");
        if reads(&step.action) || started {
            step.action.params.each_expr(&mut see);
            step.env
                .iter()
                .flat_map(|(_, one)| one.exprs())
                .for_each(&mut see);
            step.cwd
                .iter()
                .flat_map(|one| one.exprs())
                .for_each(&mut see);
        }
        for probe in step.probes().chain(stand_in) {
            probe.call.params.each_expr(&mut see);
        }
    }
    needed
}

/// Binds the inputs with these choices; secrets that no reading needs are only looked for.
fn bind(
    runbook: &Runbook,
    given: &[(String, String)],
    choices: &Choices,
    needed: &HashSet<String>,
) -> Result<Bound, CommandError> {
    let plain = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let mut all: BTreeMap<String, String> = given.iter().cloned().collect();
    all.extend(
        choices
            .iter()
            .map(|(name, value)| (name.clone(), plain(value))),
    );
    let is_unread = |input: &&Input| {
        input.secret
            && matches!(input.kind, InputKind::Text | InputKind::Path)
            && input.choices.is_empty()
            && !needed.contains(&input.name.value)
            && !all.contains_key(&input.name.value)
    };
    let (unread, read): (Vec<&Input>, Vec<&Input>) = runbook.inputs.iter().partition(is_unread);
    // several inputs may name one variable: its value is left alone only where none of them needs it
    let looked_at: HashSet<&str> = read.iter().filter_map(|one| one.env.as_deref()).collect();
    let left: HashSet<&str> = unread
        .iter()
        .filter_map(|input| input.env.as_deref())
        .filter(|name| !looked_at.contains(name))
        .collect();
    let environment = |name: &str| match left.contains(name) {
        true => std::env::var_os(name).map(|_| UNREAD.to_owned()),
        false => std::env::var(name).ok(),
    };
    let mut bound =
        inputs::bind(runbook, &all, &environment).map_err(|errors| load::unbound(&errors))?;
    for input in unread {
        if let Some(value) = bound.secrets.get_mut(&input.name.value) {
            UNREAD.clone_into(value);
        }
    }
    Ok(bound)
}
