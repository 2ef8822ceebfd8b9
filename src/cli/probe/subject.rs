//! What is looked at: an address, a path, this machine, or a target of a runbook.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::error::CommandError;
use super::super::exit::Exit;
use super::super::load;
use super::Args;
use crate::engine::clock::now_ms;
use crate::engine::targets;
use crate::event::RunOptions;
use crate::expr::Expr;
use crate::run::RunState;
use crate::runbook::diagnostic::did_you_mean;
use crate::runbook::model::TargetDef;
use crate::runbook::{TargetKind, inputs, yaml};
use crate::secret::mask_places;

/// Beginnings of addresses, and what they are addresses of.
const SCHEMES: [(&str, TargetKind); 16] = [
    ("redis", TargetKind::Redis),
    ("rediss", TargetKind::Redis),
    ("redis+unix", TargetKind::Redis),
    ("redis+sentinel", TargetKind::Redis),
    ("rediss+sentinel", TargetKind::Redis),
    ("redis+cluster", TargetKind::Redis),
    ("rediss+cluster", TargetKind::Redis),
    ("unix", TargetKind::Redis),
    ("postgres", TargetKind::Postgres),
    ("postgresql", TargetKind::Postgres),
    ("mysql", TargetKind::Mysql),
    ("mariadb", TargetKind::Mysql),
    ("sqlite", TargetKind::Sqlite),
    ("http", TargetKind::Http),
    ("https", TargetKind::Http),
    ("prometheus", TargetKind::Prometheus),
];

/// What is looked at.
pub(super) enum Subject {
    /// A system with an address.
    System(System),
    /// A file or directory.
    Path(String),
    /// This machine as it is.
    Here,
}

/// A system with an address.
pub(super) struct System {
    /// Its name in the runbook, or its kind.
    pub(super) name: String,
    pub(super) kind: TargetKind,
    pub(super) url: String,
    /// The keys beside the address.
    pub(super) options: Map<String, Value>,
    /// Values that must not be seen.
    pub(super) secrets: HashMap<String, String>,
}

impl Subject {
    /// For people; the caller masks what it knows by value.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::System(system) if system.name == system.kind.key() => {
                mask_places(&system.url).into_owned()
            }
            Self::System(system) => format!("{} ({})", system.name, mask_places(&system.url)),
            Self::Path(path) => path.clone(),
            Self::Here => "this machine".into(),
        }
    }

    /// Whether a target of this kind is what it can be taken for: what Prometheus speaks is HTTP.
    pub(super) fn is(&self, kind: TargetKind) -> bool {
        let web = |kind| matches!(kind, TargetKind::Http | TargetKind::Prometheus);
        match self {
            Self::System(system) => system.kind == kind || web(system.kind) && web(kind),
            _ => false,
        }
    }
}

pub(super) fn find(args: &Args) -> Result<Subject, CommandError> {
    let wanted = args.target.as_deref().unwrap_or("-");
    match &args.runbook {
        Some(_) => of_runbook(args, wanted).map(Subject::System),
        None => by_hand(args, wanted),
    }
}

fn by_hand(args: &Args, wanted: &str) -> Result<Subject, CommandError> {
    let (scheme, url) = match wanted.strip_prefix("prometheus+") {
        Some(url) => (Some("prometheus"), url),
        None => (wanted.split_once(':').map(|(scheme, _)| scheme), wanted),
    };
    let known = scheme.and_then(|scheme| SCHEMES.iter().find(|(known, _)| *known == scheme));
    if let Some((_, kind)) = known {
        let mut options = Map::new();
        for (name, text) in &args.options {
            options.insert(name.clone(), value(text));
        }
        return Ok(Subject::System(System {
            name: kind.key().to_owned(),
            kind: *kind,
            url: url.to_owned(),
            options,
            secrets: HashMap::new(),
        }));
    }
    if let Some((scheme, _)) = wanted.split_once("://") {
        let message = format!("nothing is known of addresses that begin with `{scheme}:`");
        let near = did_you_mean(scheme, SCHEMES.iter().map(|(known, _)| *known));
        let mut error = CommandError::new(Exit::Usage, message);
        error.hints.extend(near);
        return Err(error.hint(
            "there are `redis:`, `postgres:`, `mysql:`, `sqlite:`, `http:` and `prometheus+http:`",
        ));
    }
    if wanted == "-" {
        return Ok(Subject::Here);
    }
    let is_path = wanted.contains('/') || wanted == "." || wanted == "..";
    if !is_path && !super::base().join(wanted).exists() {
        let message = format!("`{wanted}` is no address and no file");
        return Err(CommandError::new(Exit::Usage, message).hint(
            "an address begins as `redis://` does; a target of a runbook needs `--runbook FILE`",
        ));
    }
    Ok(Subject::Path(wanted.to_owned()))
}

/// A value of the command line as YAML reads it; what it does not understand is text.
pub(super) fn value(text: &str) -> Value {
    match yaml::parse(text, &yaml::Limits::default()) {
        Ok(node) => node.to_json(),
        Err(_) => Value::from(text),
    }
}

/// A target of a runbook; only the inputs that its address is made of are needed.
fn of_runbook(args: &Args, wanted: &str) -> Result<System, CommandError> {
    let path = args.runbook.as_deref().unwrap_or_else(|| super::base());
    let loaded = load::load(path)?.within(args.env.as_deref())?;
    let mut runbook = loaded.runbook;
    let names = || runbook.targets.iter().map(|target| target.name.as_str());
    let Some(target) = runbook.targets.iter().find(|one| *one.name == *wanted) else {
        let message = format!("`{}` has no target `{wanted}`", path.display());
        let mut error = CommandError::new(Exit::Usage, message);
        error.hints.extend(did_you_mean(wanted, names()));
        let all: Vec<_> = names().map(|name| format!("`{name}`")).collect();
        let all = match all.is_empty() {
            true => "it has none".to_owned(),
            false => format!("it has {}", all.join(", ")),
        };
        return Err(error.hint(all));
    };
    let target = target.clone();
    let needed = needed(&target);
    for (name, _) in &args.inputs {
        if !runbook.inputs.iter().any(|input| *input.name == *name) {
            let message = format!("`{}` has no input `{name}`", path.display());
            return Err(CommandError::new(Exit::Invalid, message));
        }
    }
    if let Some(needed) = needed {
        runbook.inputs.retain(|input| needed.contains(&*input.name));
    }
    let given: BTreeMap<_, _> = args
        .inputs
        .iter()
        .filter(|(name, _)| runbook.inputs.iter().any(|input| *input.name == *name))
        .cloned()
        .collect();
    let bound = inputs::bind(&runbook, &given, &|name| std::env::var(name).ok())
        .map_err(|errors| load::unbound(&errors))?;
    runbook.targets = vec![target];
    let secrets = bound.secrets.clone();
    let names = bound.secrets.keys().cloned().collect();
    let plan = crate::plan::Plan::new(runbook, &loaded.meaning, bound.values, names);
    let state = RunState::new(Arc::new(plan), "probe", "", RunOptions::default());
    let mut scope = state.base_scope(now_ms());
    scope.secrets = Arc::new(bound.secrets);
    let resolved = targets::resolve(&state.plan().runbook, &scope).map_err(|(name, reason)| {
        CommandError::new(Exit::Invalid, format!("target `{name}`: {reason}"))
    })?;
    let found = resolved.into_values().next().ok_or_else(|| {
        CommandError::new(
            Exit::Internal,
            "a target that is there could not be resolved",
        )
    })?;
    Ok(System {
        name: found.name,
        kind: found.kind,
        url: found.url,
        options: found.options.as_object().cloned().unwrap_or_default(),
        secrets,
    })
}

/// The inputs that an address is made of; `None`: any of them.
fn needed(target: &TargetDef) -> Option<HashSet<String>> {
    let mut needed = HashSet::new();
    let mut all = false;
    let mut see = |expr: &Expr| {
        for reference in expr.references() {
            match reference.path.as_slice() {
                [root, name, ..] if root == "inputs" => {
                    needed.insert(name.clone());
                }
                [root] if root == "inputs" => all = true,
                _ => {}
            }
        }
    };
    target.url.exprs().for_each(&mut see);
    target.options.each_expr(&mut see);
    (!all).then_some(needed)
}
