//! Nodes to the model, with every mistake of shape reported at its place.
//!
//! Written key by key rather than derived: a derived reader stops at the first mistake, and this
//! one shows them all. Meaning (names, references, cycles) is [`super::check`]'s.

mod action;
mod band;
mod comms;
mod environment;
pub(super) mod fields;
mod guard;
mod inputs;
mod parts;
mod people;
mod phase;
mod sql_lint;
mod step;
mod thresholds;
mod trouble;
mod watch;
mod window;

pub(super) use inputs::check_kind;

use super::catalog::Catalog;
use super::comms::CommsDef;
use super::diagnostic::{Diagnostic, Problems};
use super::model::{CriterionDef, Environment, Input, Phase, RoleDef, Runbook, SignOffDef, Sp};
use super::node::{Node, Span};
use super::watch::Guard;
use fields::{Cx, Fields};

/// Steps of all phases together.
const MAX_STEPS: usize = 100_000;

/// Keys that are for people: read for their shape by nobody yet, and harmless.
const FOR_PEOPLE: &[&str] = &["description"];

/// Reads the tree of a text as a runbook. The model is there only when enough of it could be read.
pub fn decode(root: &Node, catalog: &Catalog, problems: &mut Problems) -> Option<Runbook> {
    let thresholds = thresholds::Tables::new();
    let mut cx = Cx {
        catalog,
        problems,
        thresholds,
    };
    runbook(&mut cx, root)
}

fn runbook(cx: &mut Cx<'_, '_>, root: &Node) -> Option<Runbook> {
    let mut fields = Fields::of(cx, "the runbook", root)?;
    let name = fields
        .require(cx, "runbook")
        .and_then(|node| cx.name("runbook name", node));
    let mut text = |key| {
        let text = fields.get(key).and_then(|node| cx.text(key, node));
        text.map(|text| text.value)
    };
    let (title, version) = (text("title"), text("version"));
    let window = fields
        .get("window")
        .map(|node| window::window(cx, node))
        .unwrap_or_default();
    let (max_parallel, production) = settings(cx, &mut fields);
    let (inputs, environments) = values(cx, &mut fields);
    let targets = fields
        .get("targets")
        .map(|node| inputs::targets(cx, node))
        .unwrap_or_default();
    let locks = fields
        .get("locks")
        .map(|node| cx.names("lock name", node))
        .unwrap_or_default();
    let guards = watched(cx, &mut fields);
    let snapshots = fields
        .get("snapshots")
        .map(|node| action::snapshots(cx, node))
        .unwrap_or_default();
    let phases = fields
        .require(cx, "phases")
        .map(|node| phase::phases(cx, node))
        .unwrap_or_default();
    let rollback = fields
        .get("rollback")
        .map(|node| phase::rollback(cx, node))
        .unwrap_or_default();
    let told = for_people(cx, &mut fields);
    let troubleshooting = fields
        .get("troubleshooting")
        .map(|node| trouble::troubleshooting(cx, node))
        .unwrap_or_default();
    others(cx, fields);
    few_enough(cx, root, &phases)?;
    Some(Runbook {
        name: name.unwrap_or_else(|| Sp {
            value: "unnamed".into(),
            span: Span::default(),
        }),
        title,
        version,
        window,
        inputs,
        environments,
        targets,
        locks,
        snapshots,
        guards,
        phases,
        rollback,
        people: told.people,
        sign_off: told.sign_off,
        signers: told.signers,
        comms: told.comms,
        criteria: told.criteria,
        unused_tables: thresholds::unused(&cx.thresholds),
        troubleshooting,
        max_parallel,
        production,
    })
}

/// Threshold tables, before all that may name one of them; and guards.
fn watched(cx: &mut Cx<'_, '_>, fields: &mut Fields<'_>) -> Vec<Guard> {
    cx.thresholds = fields
        .get("thresholds")
        .map(|node| thresholds::tables(cx, node))
        .unwrap_or_default();
    fields
        .get("guards")
        .map(|node| guard::guards(cx, node))
        .unwrap_or_default()
}

/// Steps in flight at once, and whether it is for production.
fn settings(cx: &mut Cx<'_, '_>, fields: &mut Fields<'_>) -> (usize, bool) {
    let max_parallel = fields
        .get("max_parallel")
        .and_then(|node| cx.number("max_parallel", node, 1, 1_000))
        .and_then(|n| usize::try_from(n).ok());
    let production = fields
        .get("production")
        .and_then(|node| cx.bool("production", node));
    (max_parallel.unwrap_or(8), production.unwrap_or(false))
}

/// Inputs, and what environments give them.
fn values(cx: &mut Cx<'_, '_>, fields: &mut Fields<'_>) -> (Vec<Input>, Vec<Environment>) {
    let inputs = fields
        .get("inputs")
        .map(|node| inputs::inputs(cx, node))
        .unwrap_or_default();
    let environments = fields
        .get("environments")
        .map(|node| environment::environments(cx, node, &inputs))
        .unwrap_or_default();
    (inputs, environments)
}

/// Keys that say nothing to this version, and those that it does not know.
fn others(cx: &mut Cx<'_, '_>, mut fields: Fields<'_>) {
    for key in FOR_PEOPLE {
        let _ = fields.get(key);
    }
    fields.finish(cx);
}

/// What a runbook says of people.
struct ForPeople {
    people: Vec<RoleDef>,
    sign_off: SignOffDef,
    signers: Option<Sp<String>>,
    comms: CommsDef,
    criteria: Vec<CriterionDef>,
}

fn for_people(cx: &mut Cx<'_, '_>, fields: &mut Fields<'_>) -> ForPeople {
    let people = fields.get("people");
    let sign_off = fields.get("sign_off");
    let signers = fields.get("signers");
    let comms = fields.get("comms");
    let criteria = fields.get("success_criteria");
    ForPeople {
        people: people.map_or_else(Vec::new, |node| people::people(cx, node)),
        sign_off: sign_off.map_or_else(SignOffDef::default, |node| people::sign_off(cx, node)),
        signers: signers.and_then(|node| cx.text("signers", node)),
        comms: comms.map_or_else(CommsDef::default, |node| comms::comms(cx, node)),
        criteria: criteria.map_or_else(Vec::new, |node| people::criteria(cx, node)),
    }
}

/// Reports more steps than a runbook may have.
fn few_enough(cx: &mut Cx<'_, '_>, root: &Node, phases: &[Phase]) -> Option<()> {
    let steps: usize = phases.iter().map(|phase| phase.steps.len()).sum();
    if steps <= MAX_STEPS {
        return Some(());
    }
    let message = format!("more than {MAX_STEPS} steps in one runbook");
    let found = Diagnostic::error("F003", root.head(), message);
    cx.problems
        .push(found.help("use `for_each`, or split it into several runbooks"));
    None
}
