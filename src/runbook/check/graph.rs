//! `needs`: unknown phases, cycles; and which phases lie before which.

use super::super::diagnostic::{Diagnostic, Problems, did_you_mean};
use super::super::model::Runbook;
use crate::graph::Graph;

/// Reports what is wrong with `needs`; returns the graph of what is right about it.
pub(super) fn check(runbook: &Runbook, problems: &mut Problems) -> Graph {
    let mut needs = Vec::with_capacity(runbook.phases.len());
    for phase in &runbook.phases {
        let mut known = Vec::new();
        for need in &phase.needs {
            match runbook.phase_index(need) {
                Some(at) if known.contains(&at) => {
                    problems.push(Diagnostic::error(
                        "F015",
                        need.span,
                        format!("`{}` needs `{}` twice", *phase.name, **need),
                    ));
                }
                Some(at) => known.push(at),
                None => {
                    let names = runbook.phases.iter().map(|phase| phase.name.as_str());
                    let message =
                        format!("phase `{}` needs unknown phase `{}`", *phase.name, **need);
                    let found = Diagnostic::error("F012", need.span, message)
                        .label("no phase has this name");
                    problems.push(found.maybe_help(did_you_mean(need, names)));
                }
            }
        }
        needs.push(known);
    }
    let graph = Graph::new(needs);
    if let Some(cycle) = graph.cycle() {
        let name = |at: &usize| format!("`{}`", *runbook.phases[*at].name);
        let path = cycle.iter().map(name).collect::<Vec<_>>().join(" needs ");
        let first = &runbook.phases[cycle[0]];
        let next = runbook.phases[cycle[1]].name.as_str();
        let span = first
            .needs
            .iter()
            .find(|need| need.as_str() == next)
            .map_or(first.name.span, |need| need.span);
        let found = Diagnostic::error(
            "F016",
            span,
            format!("phases need each other in a circle: {path}"),
        );
        problems.push(found.help("remove one of these needs"));
        return Graph::new(vec![Vec::new(); runbook.phases.len()]);
    }
    graph
}
