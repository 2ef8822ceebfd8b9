//! What there is to say about a plan, before it is worded.

use serde_json::Value;

use super::super::escape::shown;
use super::super::text::{clip, numbered};
use crate::event::UndoKind;
use crate::graph::Schedule;
use crate::plan::{Plan, undo_kind};
use crate::runbook::gate::Gate;
use crate::runbook::model::{ActionUse, Items, Step};
use crate::runbook::units::human;

/// The most columns of a step's parameters.
const PARAMS: usize = 96;

/// What is derived from a plan for its readers.
pub(super) struct Facts {
    /// Phases that can go side by side, by the longest way to them.
    pub(super) levels: Vec<Vec<usize>>,
    /// Starts and the critical path, by the estimates.
    pub(super) schedule: Schedule,
    /// Seconds of each phase.
    pub(super) estimates: Vec<f64>,
    /// Steps that change the world and cannot be taken back: id, undo.
    pub(super) not_undoable: Vec<(String, UndoKind)>,
    /// What may hurt.
    pub(super) risks: Vec<Risk>,
}

/// Something that may hurt, and where.
pub(super) struct Risk {
    /// A stable word.
    pub(super) code: &'static str,
    /// What may happen.
    pub(super) text: String,
    /// The steps that it is about.
    pub(super) steps: Vec<String>,
}

impl Facts {
    pub(super) fn of(plan: &Plan) -> Self {
        let estimates = plan.estimates();
        let schedule = plan.schedule();
        let cannot = |step: &Step| {
            let undo = undo_kind(step);
            matches!(undo, UndoKind::None | UndoKind::Unsaid).then(|| (step.id.value.clone(), undo))
        };
        let steps = plan.runbook.steps();
        Self {
            levels: levels(plan),
            not_undoable: steps.filter_map(|(_, step)| cannot(step)).collect(),
            risks: risks(plan, schedule.total),
            schedule,
            estimates,
        }
    }
}

/// For each phase, how many phases lie before it on the longest way.
pub(in super::super) fn level_of(plan: &Plan) -> Vec<usize> {
    let mut level = vec![0; plan.graph.len()];
    for phase in plan.graph.order() {
        let needs = plan.graph.needs(phase).iter();
        level[phase] = needs.map(|need| level[*need] + 1).max().unwrap_or(0);
    }
    level
}

fn levels(plan: &Plan) -> Vec<Vec<usize>> {
    let level = level_of(plan);
    let count = level.iter().max().map_or(0, |most| most + 1);
    let mut levels = vec![Vec::new(); count];
    for (phase, level) in level.into_iter().enumerate() {
        levels[level].push(phase);
    }
    levels
}

fn risks(plan: &Plan, total: f64) -> Vec<Risk> {
    let that = |is: &dyn Fn(&Step) -> bool| -> Vec<String> {
        let steps = plan.runbook.steps().map(|(_, step)| step);
        steps
            .filter(|step| step.changes() && is(step))
            .map(|step| step.id.value.clone())
            .collect()
    };
    let risk = |code, text: &str, steps| Risk {
        code,
        text: text.to_owned(),
        steps,
    };
    let mut risks = vec![
        risk(
            "no_undo_said",
            "change something, and nothing says how that is taken back",
            that(&|step| undo_kind(step) == UndoKind::Unsaid),
        ),
        risk(
            "no_done_when",
            "would have to be settled by a person after a crash: no `done_when`, not `idempotent`",
            that(&Step::asks_after_a_crash),
        ),
        risk(
            "point_of_no_return",
            "are points of no return: from there on nothing is taken back by itself",
            that(&|step| step.point_of_no_return),
        ),
        risk(
            "no_timeout",
            "may take up to 1h before they are ended: no `timeout`",
            that(&|step| step.timeout.is_none() && Gate::of(step).is_none()),
        ),
        risk(
            "said_read_only",
            "are taken for reading only because the author says so",
            plan.runbook
                .steps()
                .filter(|(_, step)| {
                    step.read_only == Some(true)
                        && step.action.class == crate::runbook::Class::Changing
                })
                .map(|(_, step)| step.id.value.clone())
                .collect(),
        ),
    ];
    risks.retain(|risk| !risk.steps.is_empty());
    if let Some(window) = plan.runbook.window.total {
        let over = total - window.as_secs_f64();
        if over > 0.0 {
            let text = format!(
                "the estimates come to {}, {} over the window of {}",
                super::super::text::seconds(total),
                super::super::text::seconds(over),
                human(window)
            );
            risks.push(risk("over_window", &text, Vec::new()));
        }
    }
    if plan.runbook.rollback.verify.is_empty() && plan.runbook.steps().any(|(_, one)| one.changes())
    {
        let text = "nothing proves that going back worked: `rollback.verify` is empty";
        risks.push(risk("no_rollback_verify", text, Vec::new()));
    }
    risks
}

/// An action with its parameters as written, on one line, escaped.
pub(super) fn call(action: &ActionUse) -> String {
    let written = action.params.as_written();
    // the plain kinds (`shell`, `redis`, ...) speak for themselves, as in their short form
    let alone = match &written {
        Value::Object(map) if map.len() == 1 && !action.key.contains('.') => map.values().next(),
        _ => None,
    };
    let params = brief(alone.filter(|value| value.is_string()).unwrap_or(&written));
    let at = match &action.target {
        Some(target) => format!(" @{}", shown(target)),
        None => String::new(),
    };
    let space = if params.is_empty() { "" } else { " " };
    format!("{}{space}{}{at}", shown(&action.key), clip(&params, PARAMS))
}

fn brief(params: &Value) -> String {
    match params {
        Value::Null => String::new(),
        Value::String(text) => {
            let mut lines = text.trim().lines();
            let first = shown(lines.next().unwrap_or_default()).into_owned();
            match lines.count() {
                0 => first,
                more => format!("{first} (and {})", numbered(more, "more line")),
            }
        }
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| match value {
                Value::Object(_) => format!("{}: {{{}}}", shown(key), brief(value)),
                _ => format!("{}: {}", shown(key), brief(value)),
            };
            map.iter().map(entry).collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(brief).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// What a step says beside its action: a word and a text each.
pub(super) fn details(step: &Step) -> Vec<(&'static str, String)> {
    let mut details = Vec::new();
    let mut say = |word, text: String| details.push((word, text));
    if let Some(when) = &step.when {
        say("when", shown(when.text()).into_owned());
    }
    if let Some(for_each) = &step.for_each {
        let items = match &for_each.items {
            Items::Listed(items) => numbered(items.len(), "item"),
            Items::Computed(expr) => shown(expr.text()).into_owned(),
        };
        say(
            "for each",
            format!("{items}, {} at once", for_each.parallel),
        );
    }
    for expect in &step.expect {
        say("expects", shown(expect.text()).into_owned());
    }
    details_watched(step, &mut say);
    if let Some(poll) = &step.then_wait {
        let what = poll
            .probe
            .as_ref()
            .map_or(String::new(), |probe| format!(" for {}", call(&probe.call)));
        say("waits", format!("up to {}{what}", human(poll.within)));
    }
    if let Some(backup) = &step.requires_backup {
        let age = backup.younger_than.map_or(String::new(), |age| {
            format!(", younger than {}", human(age))
        });
        say(
            "backup",
            format!("needs that of `{}`{age}", shown(&backup.step)),
        );
    }
    if let Some(probe) = &step.done_when {
        say("done when", call(&probe.call));
    }
    if let Some(probe) = &step.undone_when {
        say("undone when", call(&probe.call));
    }
    if step.changes() {
        say("undo", undo(step));
    }
    details
}

fn details_watched(step: &Step, say: &mut impl FnMut(&'static str, String)) {
    for (word, text) in super::watched::of_step(step) {
        say(word, text);
    }
}

fn undo(step: &Step) -> String {
    match &step.undo {
        crate::runbook::Undo::Steps(steps) => {
            let calls: Vec<_> = steps.iter().map(|step| call(&step.action)).collect();
            calls.join("; ")
        }
        _ => undo_kind(step).words().to_owned(),
    }
}
