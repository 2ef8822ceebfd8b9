//! The graph of the phases as a picture: SVG of our own, and DOT for other tools.
//!
//! Main functions: [`svg()`] and [`dot()`]. The picture stands alone: no script, no fonts or styles from
//! elsewhere, light or dark as the reader has it, and readable without colour.

mod layout;
mod svg;

pub use svg::svg;

use std::collections::HashMap;

use super::escape::shown;
use super::text::{numbered, seconds};
use crate::plan::Plan;

/// The graph in DOT, for Graphviz.
pub fn dot(plan: &Plan) -> String {
    let quoted = |text: &str| {
        let text = shown(text).replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{text}\"")
    };
    let (critical, estimates) = (Critical::of(plan), plan.estimates());
    let mut out = format!("digraph {} {{\n", quoted(&plan.runbook.name));
    out.push_str("  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    for (at, phase) in plan.runbook.phases.iter().enumerate() {
        let label = format!("{}\n{}", phase.name.value, caption(plan, &estimates, at));
        let label = label.split('\n').map(quoted).collect::<Vec<_>>();
        let label = label.join("").replace("\"\"", "\\n");
        let bold = if critical.has(at) { ", penwidth=2" } else { "" };
        let name = quoted(&phase.name);
        out.push_str(&format!("  {name} [label={label}{bold}];\n"));
    }
    for (at, phase) in plan.runbook.phases.iter().enumerate() {
        for need in plan.graph.needs(at) {
            let from = quoted(&plan.runbook.phases[*need].name);
            let bold = match critical.has_edge(*need, at) {
                true => " [penwidth=2]",
                false => "",
            };
            out.push_str(&format!("  {from} -> {}{bold};\n", quoted(&phase.name)));
        }
    }
    out.push_str("}\n");
    out
}

/// The second line of a box; `estimates` are the plan's.
fn caption(plan: &Plan, estimates: &[f64], phase: usize) -> String {
    let steps = numbered(plan.runbook.phases[phase].steps.len(), "step");
    match estimates[phase] {
        estimate if estimate > 0.0 => format!("{steps}, {}", seconds(estimate)),
        _ => steps,
    }
}

/// The critical path, when there are estimates to tell it by.
#[derive(Default)]
struct Critical {
    path: Vec<usize>,
    /// For each phase on it, the next one; the last one leads nowhere.
    next: HashMap<usize, Option<usize>>,
    total: f64,
}

impl Critical {
    fn of(plan: &Plan) -> Self {
        let schedule = plan.schedule();
        if schedule.total <= 0.0 {
            return Self::default();
        }
        let after = schedule.critical.iter().skip(1).copied().map(Some);
        let next = schedule.critical.iter().copied().zip(after.chain([None]));
        Self {
            next: next.collect(),
            total: schedule.total,
            path: schedule.critical,
        }
    }

    fn has(&self, phase: usize) -> bool {
        self.next.contains_key(&phase)
    }

    fn has_edge(&self, from: usize, to: usize) -> bool {
        self.next.get(&from) == Some(&Some(to))
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::super::plan::samples;
    use super::*;

    #[test]
    fn the_pictures() {
        let plan = samples::small();
        golden::same("graph.dot", &dot(&plan));
        golden::same("graph.svg", &svg(&plan));
    }

    #[test]
    fn a_wide_graph_is_well_formed_and_its_texts_are_texts() {
        let mut text = String::from("runbook: wide\ntitle: '<script>&\"'\nphases:\n");
        for at in 0..12 {
            let needs: Vec<_> = (0..at)
                .filter(|one| (at + one) % 3 == 1)
                .map(|one| format!("p{one}"))
                .collect();
            text.push_str(&format!(
                "  p{at}:\n    title: '</text><script>'\n    needs: [{}]\n    steps: [{{ id: s{at}, shell: 'true' }}]\n",
                needs.join(", ")
            ));
        }
        let picture = svg(&samples::plan(&text));
        assert!(!picture.contains("<script"), "{picture}");
        assert!(picture.contains("&lt;script&gt;&amp;&quot;"), "{picture}");
        assert_eq!(picture.matches("<rect class=\"box").count(), 12);
        assert_eq!(
            picture.matches("<g").count(),
            picture.matches("</g>").count()
        );
    }
}
