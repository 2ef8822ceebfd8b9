//! Which looks there are: the reading actions, and what each looks at.

use serde_json::{Value, json};

use super::super::error::CommandError;
use super::super::exit::Exit;
use super::Args;
use super::subject::{Subject, System};
use crate::action::Registry;
use crate::front::actions::parameter_names;
use crate::front::text::table;
use crate::runbook::diagnostic::did_you_mean;
use crate::runbook::{Class, Spec, TargetKind};

/// Actions that change nothing and look at no system: they wait for people, for time, for a run.
const NO_LOOKS: [&str; 5] = ["approve", "env", "manual", "snapshot_equals", "wait"];

/// Actions that change nothing and are for the steps of a runbook alone, and why.
const STEPS_ONLY: [(&str, &str); 2] = [
    (
        "redis.monitor",
        "it takes up to half of a server's speed while it is on",
    ),
    ("redis.pubsub", "it publishes a message"),
];

/// What may read, as the call does.
const SAMPLES: [&str; 3] = ["PING", "GET /", "select 1"];

/// Parameters that a path is for, the first that there is.
const PATHS: [&str; 3] = ["path", "file", "dir"];

/// A look that was chosen.
pub(super) struct Kind {
    pub(super) spec: Spec,
    /// What nobody said and is usual.
    pub(super) usual: Value,
    /// The parameter that the path is.
    pub(super) path: Option<String>,
    /// The address, where a part of it is what to look at.
    pub(super) url: Option<String>,
}

impl Kind {
    pub(super) fn key(&self) -> &'static str {
        self.spec.key
    }
}

fn looks() -> Vec<Spec> {
    let catalog = Registry::all().catalog();
    catalog
        .iter()
        .filter(|spec| is_look(spec))
        .copied()
        .collect()
}

fn is_look(spec: &Spec) -> bool {
    let reads = |value: &Value| (spec.class)(value) == Class::Reading;
    let by_call = || SAMPLES.iter().any(|text| reads(&Value::from(*text)));
    let for_steps = STEPS_ONLY.iter().any(|(key, _)| *key == spec.key);
    !for_steps && !NO_LOOKS.contains(&spec.key) && (reads(&Value::Null) || by_call())
}

/// The parameter of a look that a path is for.
fn path_of(spec: &Spec) -> Option<String> {
    let names = parameter_names(spec);
    let wanted = PATHS
        .iter()
        .find(|path| names.iter().any(|name| name == *path));
    wanted.map(|path| (*path).to_owned())
}

/// Whether it needs no system with an address: it looks at this machine.
fn is_local(spec: &Spec) -> bool {
    spec.targets.is_empty() || spec.target_optional && spec.targets.contains(&TargetKind::Host)
}

fn fits(spec: &Spec, subject: &Subject) -> bool {
    match subject {
        Subject::System(_) => spec.targets.iter().any(|kind| subject.is(*kind)),
        Subject::Path(_) => is_local(spec) && path_of(spec).is_some(),
        Subject::Here => is_local(spec),
    }
}

/// Whether it is offered: what takes a path is named with one.
fn is_offered(spec: &Spec, subject: &Subject) -> bool {
    let by_path = spec.targets.is_empty() && path_of(spec).is_some();
    fits(spec, subject) && !(by_path && matches!(subject, Subject::Here))
}

/// What it looks at, in a word.
fn looks_at(spec: &Spec) -> Vec<&'static str> {
    match (is_local(spec), path_of(spec)) {
        (true, Some(_)) => vec!["path"],
        (true, None) => vec!["-"],
        (false, _) => spec.targets.iter().map(|kind| kind.key()).collect(),
    }
}

/// The look that is meant.
pub(super) fn choose(args: &Args, subject: &Subject) -> Result<Kind, CommandError> {
    let looks = looks();
    let Some(wanted) = args.kind.as_deref() else {
        return usual(args, subject, &looks);
    };
    let Some(spec) = looks.iter().find(|spec| spec.key == wanted) else {
        return Err(unknown(wanted, &looks));
    };
    if !fits(spec, subject) {
        return Err(unfit(spec, subject, &looks));
    }
    Ok(Kind {
        spec: *spec,
        usual: Value::Null,
        path: path_of(spec).filter(|_| matches!(subject, Subject::Path(_))),
        url: None,
    })
}

fn unknown(wanted: &str, looks: &[Spec]) -> CommandError {
    let for_steps = STEPS_ONLY.iter().find(|(key, _)| *key == wanted);
    if let Some((_, why)) = for_steps {
        let message = format!("`{wanted}` is for a step of a runbook: {why}");
        return CommandError::new(Exit::Usage, message)
            .hint("`ferry probe --list` lists the looks");
    }
    let (message, hint) = match Registry::all().catalog().get(wanted) {
        Some(_) if NO_LOOKS.contains(&wanted) => (
            format!("`{wanted}` looks at no system"),
            "`ferry probe --list` lists what does",
        ),
        Some(_) => (
            format!("`{wanted}` changes something"),
            "`ferry probe` only reads; what changes is for a runbook",
        ),
        None => (
            format!("there is no look `{wanted}`"),
            "`ferry probe --list` lists them",
        ),
    };
    let mut error = CommandError::new(Exit::Usage, message);
    if Registry::all().catalog().get(wanted).is_none() {
        let near = did_you_mean(wanted, looks.iter().map(|spec| spec.key));
        error.hints.extend(near);
    }
    error.hint(hint)
}

fn unfit(spec: &Spec, subject: &Subject, looks: &[Spec]) -> CommandError {
    let what = match subject {
        Subject::System(system) => format!("a `{}` target", system.kind.key()),
        Subject::Path(_) => "a path".into(),
        Subject::Here => "this machine".into(),
    };
    let takes = match looks_at(spec).as_slice() {
        ["path"] => "a path".to_owned(),
        ["-"] => "this machine, `-`".to_owned(),
        kinds => format!("`{}`", kinds.join("` or `")),
    };
    let message = format!("`{}` looks at {takes}, and this is {what}", spec.key);
    let fitting: Vec<_> = looks
        .iter()
        .filter(|one| is_offered(one, subject))
        .collect();
    let fitting: Vec<_> = fitting.iter().map(|one| format!("`{}`", one.key)).collect();
    let error = CommandError::new(Exit::Usage, message);
    match fitting.is_empty() {
        true => error,
        false => error.hint(format!("for {what} there are {}", fitting.join(", "))),
    }
}

/// What is looked at when nobody says how.
fn usual(args: &Args, subject: &Subject, looks: &[Spec]) -> Result<Kind, CommandError> {
    let said = args.text.is_some() || !args.set.is_empty() || args.params.is_some();
    let page = match subject {
        Subject::System(system) if system.kind == TargetKind::Http && !said => page(&system.url),
        _ => None,
    };
    let (key, usual) = match (subject, &page) {
        (_, Some((_, page))) => ("http", json!({ "request": format!("GET {page}") })),
        (Subject::System(system), None) => usual_of(system),
        (Subject::Path(_), None) => ("file.stat", Value::Null),
        (Subject::Here, None) => {
            return Err(
                CommandError::new(Exit::Usage, "say what to look at on this machine")
                    .hint("`ferry probe --list -` lists the looks"),
            );
        }
    };
    let spec = looks.iter().find(|spec| spec.key == key);
    let spec = *spec.ok_or_else(|| unknown(key, looks))?;
    Ok(Kind {
        spec,
        usual: if said { Value::Null } else { usual },
        path: path_of(&spec).filter(|_| matches!(subject, Subject::Path(_))),
        url: page.map(|(url, _)| url),
    })
}

/// An address that names a page: the server, and the page.
fn page(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let at = rest.find(['/', '?'])?;
    let (server, page) = rest.split_at(at);
    match page {
        "/" => None,
        _ if page.starts_with('/') => Some((format!("{scheme}://{server}"), page.to_owned())),
        _ => Some((format!("{scheme}://{server}"), format!("/{page}"))),
    }
}

fn usual_of(system: &System) -> (&'static str, Value) {
    match system.kind {
        TargetKind::Redis => ("redis.stats", Value::Null),
        TargetKind::Postgres | TargetKind::Mysql => {
            ("sql", json!({ "query": "select version() as version" }))
        }
        TargetKind::Sqlite => (
            "sql",
            json!({ "query": "select sqlite_version() as version" }),
        ),
        TargetKind::Prometheus => ("prometheus.query", json!({ "query": "up" })),
        TargetKind::Http | TargetKind::Host => ("http", json!({ "request": "GET /" })),
    }
}

/// The looks in a table; those that fit, where something is named.
pub(super) fn list(subject: Option<&Subject>) -> String {
    let mut rows = vec![["look", "at", "what it does"].map(str::to_owned).to_vec()];
    for spec in looks() {
        if subject.is_some_and(|subject| !is_offered(&spec, subject)) {
            continue;
        }
        let at = looks_at(&spec).join(", ");
        rows.push(vec![spec.key.to_owned(), at, spec.summary.to_owned()]);
    }
    table(&rows, usize::MAX)
}
