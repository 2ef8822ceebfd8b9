//! The plan as text, for `ferry plan`.

use super::super::escape::shown;
use super::super::text::{clip, hang, numbered, pad, seconds};
use super::back::WayBack;
use super::facts::{Facts, call, details};
use super::{watched, way_back};
use crate::plan::Plan;
use crate::runbook::Step;
use crate::runbook::units::human;

/// The most columns of a line.
pub(super) const ROOM: usize = 80;

/// The widest column of step names.
const NAME: usize = 28;

/// The whole plan: what it stands on, order, times, each step, the way back, risks.
pub fn text(plan: &Plan, back: &WayBack) -> String {
    let facts = Facts::of(plan);
    let mut out = Vec::new();
    head(plan, &mut out);
    order(plan, &facts, &mut out);
    for phase in plan.graph.order() {
        one_phase(plan, &facts, phase, &mut out);
    }
    watched::guards(plan, &mut out);
    rollback(plan, &mut out);
    way_back::way_back(plan, back, &mut out);
    risks(&facts, &mut out);
    let mut text = String::new();
    for line in out {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn head(plan: &Plan, out: &mut Vec<String>) {
    let runbook = &plan.runbook;
    let title = runbook.title.as_ref();
    let title = title.map_or_else(String::new, |title| format!(": {}", shown(title)));
    out.push(format!("{}{title}", shown(&runbook.name)));
    let mut say = |word: &str, text: String| {
        out.extend(hang(&format!("  {}", pad(word, 10)), &text, ROOM));
    };
    if let Some(version) = &runbook.version {
        say("version", shown(version).into_owned());
    }
    say("plan", plan.digest.clone());
    for (name, value) in &plan.inputs {
        let value = clip(&shown(&value.to_string()), 80);
        say("input", format!("{} = {value}", shown(name)));
    }
    for name in &plan.secrets {
        say("input", format!("{} (secret)", shown(name)));
    }
    let window = &runbook.window;
    let budgets = [
        ("total", window.total),
        ("downtime", window.downtime),
        ("rollback", window.rollback),
    ];
    let budgets: Vec<_> = budgets
        .iter()
        .filter_map(|(name, budget)| Some(format!("{name} {}", human((*budget)?))))
        .collect();
    if !budgets.is_empty() {
        say("window", budgets.join(", "));
    }
    if let Some(hours) = &window.hours {
        say("hours", hours.words());
    }
}

fn order(plan: &Plan, facts: &Facts, out: &mut Vec<String>) {
    out.push(String::new());
    out.push("order".into());
    for (at, level) in facts.levels.iter().enumerate() {
        let names: Vec<_> = level
            .iter()
            .map(|phase| timed(plan, facts, *phase))
            .collect();
        out.push(format!("  {:>2}  {}", at + 1, names.join(", ")));
    }
    let name = |phase: &usize| shown(&plan.runbook.phases[*phase].name).into_owned();
    let path: Vec<_> = facts.schedule.critical.iter().map(name).collect();
    if facts.schedule.total > 0.0 {
        let total = seconds(facts.schedule.total);
        out.push(format!("  critical path  {}: {total}", path.join(" > ")));
    } else {
        out.push("  no phase or step has an `estimate`".into());
    }
}

fn timed(plan: &Plan, facts: &Facts, phase: usize) -> String {
    let name = shown(&plan.runbook.phases[phase].name);
    match facts.estimates[phase] {
        estimate if estimate > 0.0 => format!("{name} ({})", seconds(estimate)),
        _ => name.into_owned(),
    }
}

fn one_phase(plan: &Plan, facts: &Facts, at: usize, out: &mut Vec<String>) {
    let phase = &plan.runbook.phases[at];
    let mut says = vec![numbered(phase.steps.len(), "step")];
    if facts.estimates[at] > 0.0 {
        says.push(format!("estimate {}", seconds(facts.estimates[at])));
    }
    if !phase.needs.is_empty() {
        let needs: Vec<_> = phase.needs.iter().map(|need| shown(need)).collect();
        says.push(format!("after {}", needs.join(" and ")));
    }
    if phase.parallel > 1 {
        says.push(format!("{} at once", phase.parallel));
    }
    if let Some(when) = &phase.when {
        says.push(format!("when {}", shown(when.text())));
    }
    let title = phase.title.as_ref();
    let title = title.map_or_else(String::new, |title| format!(", {}", shown(title)));
    out.push(String::new());
    out.push(format!(
        "phase {}{title}: {}",
        shown(&phase.name),
        says.join(", ")
    ));
    steps(&phase.steps, true, out);
}

/// The undo of steps that belong to going back is of no interest.
fn steps(steps: &[Step], undo: bool, out: &mut Vec<String>) {
    let widths = steps
        .iter()
        .map(|step| super::super::text::width(&shown(&step.id)));
    let name = widths.max().unwrap_or(0).min(NAME);
    for step in steps {
        let does = if step.changes() { "changes" } else { "reads" };
        let head = |id: &str, word: &str| format!("  {}  {}  ", pad(id, name), pad(word, 9));
        let mut text = call(&step.action);
        if let Some(estimate) = step.expected_length() {
            text.push_str(&format!(" ({})", human(estimate)));
        }
        out.extend(hang(&head(&shown(&step.id), does), &text, ROOM));
        for (word, text) in details(step)
            .into_iter()
            .filter(|(word, _)| undo || *word != "undo")
        {
            out.extend(hang(&head("", word), &text, ROOM));
        }
    }
}

fn rollback(plan: &Plan, out: &mut Vec<String>) {
    let rollback = &plan.runbook.rollback;
    let parts = [
        ("first", &rollback.first),
        ("last", &rollback.last),
        ("verify", &rollback.verify),
        ("notify", &rollback.notify),
    ];
    for (name, part) in parts.iter().filter(|(_, part)| !part.is_empty()) {
        out.push(String::new());
        out.push(format!(
            "rollback, {name}: {}",
            numbered(part.len(), "step")
        ));
        steps(part, false, out);
    }
}

fn risks(facts: &Facts, out: &mut Vec<String>) {
    if facts.risks.is_empty() {
        return;
    }
    out.push(String::new());
    out.push("risks".into());
    for risk in &facts.risks {
        let steps: Vec<_> = risk.steps.iter().map(|step| shown(step)).collect();
        let colon = if steps.is_empty() { "" } else { ": " };
        let text = format!("{}{colon}{}", risk.text, steps.join(", "));
        out.extend(hang("  - ", &text, ROOM));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::golden;
    use super::super::samples;
    use super::*;
    use crate::view::History;

    #[test]
    fn a_plan_says_everything() {
        let plan = samples::small();
        let back = WayBack::of(&plan, &History::default());
        let text = text(&plan, &back);
        golden::same("plan.txt", &text);
        let wide = text
            .lines()
            .find(|line| super::super::super::text::width(line) > 80);
        assert_eq!(wide, None);
    }
}
