//! Whether a runbook means something: names, references, cycles, kinds; and lints.
//!
//! Everything is reported at once. Shapes were checked before, by [`super::decode`].

mod doubt;
mod gates;
mod graph;
mod lints;
mod names;
mod order;
mod references;
mod targets;
mod uses;
mod watched;

use super::catalog::Catalog;
use super::diagnostic::Problems;
use super::model::Runbook;

/// Adds every mistake of meaning and every lint to `problems`.
pub fn check(runbook: &Runbook, catalog: &Catalog, problems: &mut Problems) {
    let order = graph::check(runbook, problems);
    let names = names::check(runbook, problems);
    references::check(runbook, catalog, &names, &order, problems);
    uses::check(runbook, catalog, &names, problems);
    targets::check(runbook, problems);
    doubt::check(runbook, problems);
    gates::check(runbook, &names, problems);
    watched::check(runbook, &order, problems);
    // lints on a runbook that cannot run are noise
    if !problems.has_errors() {
        lints::check(runbook, problems);
        watched::lints(runbook, &order, problems);
    }
}
