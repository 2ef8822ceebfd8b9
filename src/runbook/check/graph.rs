//! `needs`: unknown phases, cycles; and which phases lie before which.

use std::collections::{HashMap, HashSet};

use super::super::diagnostic::{Diagnostic, Problems};
use super::super::model::Runbook;
use crate::graph::Graph;

/// Circles that are told; each costs a walk over all phases.
const MOST_CIRCLES: usize = 10;

/// Reports what is wrong with `needs`; returns the graph of what is right about it.
pub(super) fn check(runbook: &Runbook, problems: &mut Problems) -> Graph {
    let mut needs = Vec::with_capacity(runbook.phases.len());
    let index: HashMap<&str, usize> = runbook
        .phases
        .iter()
        .enumerate()
        .map(|(at, phase)| (phase.name.as_str(), at))
        .collect();
    for phase in &runbook.phases {
        let mut known = Vec::new();
        let mut seen = HashSet::new();
        for need in &phase.needs {
            match index.get(need.as_str()).copied() {
                Some(at) if !seen.insert(at) => {
                    problems.push(Diagnostic::error(
                        "F015",
                        need.span,
                        format!("`{}` needs `{}` twice", *phase.name, **need),
                    ));
                }
                Some(at) => known.push(at),
                None if problems.is_broken("phase", need) => {}
                None => {
                    let names = runbook.phases.iter().map(|phase| phase.name.as_str());
                    let message =
                        format!("phase `{}` needs unknown phase `{}`", *phase.name, **need);
                    let found = Diagnostic::error("F012", need.span, message)
                        .label("no phase has this name");
                    let help = problems.did_you_mean(need, names);
                    problems.push(found.maybe_help(help));
                }
            }
        }
        needs.push(known);
    }
    let mut graph = Graph::new(needs.clone());
    let mut circles = 0;
    while let Some(cycle) = graph.cycle() {
        circles += 1;
        problems.push(circle(runbook, &cycle));
        if circles == MOST_CIRCLES {
            break;
        }
        // what is told is told: the next one has no edge of it
        for pair in cycle.windows(2) {
            needs[pair[0]].retain(|need| *need != pair[1]);
        }
        graph = Graph::new(needs.clone());
    }
    match circles {
        0 => graph,
        _ => Graph::new(vec![Vec::new(); runbook.phases.len()]),
    }
}

/// A cycle, whose last node is its first again, in words.
fn circle(runbook: &Runbook, cycle: &[usize]) -> Diagnostic {
    let name = |at: &usize| format!("`{}`", *runbook.phases[*at].name);
    let path = match cycle {
        [first @ .., _] if first.len() > 12 => {
            let head: Vec<_> = first[..12].iter().map(name).collect();
            let more = first.len() - 12;
            format!("{} needs … and {more} more", head.join(" needs "))
        }
        all => all.iter().map(name).collect::<Vec<_>>().join(" needs "),
    };
    let first = &runbook.phases[cycle[0]];
    let next = runbook.phases[cycle[1]].name.as_str();
    let span = first
        .needs
        .iter()
        .find(|need| need.as_str() == next)
        .map_or(first.name.span, |need| need.span);
    let message = match cycle {
        [_, _] => format!("phase {} needs itself", name(&cycle[0])),
        _ => format!("phases need each other in a circle: {path}"),
    };
    Diagnostic::error("F016", span, message).help("remove one of these needs")
}
