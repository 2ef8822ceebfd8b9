//! `ferry check`: every mistake and lint of a runbook, at once.

use std::path::PathBuf;

use serde_json::json;

use super::error::CommandError;
use super::exit::Exit;
use super::load::{self, Checked};
use crate::runbook::{Excerpts, Severity};
use crate::secret::mask_places;

/// Show every mistake and lint of a runbook, with its place and a way out
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry check runbooks/hybrid-cache.yaml")]
pub(super) struct Args {
    /// Runbooks; `-` is standard input
    #[arg(required = true, value_name = "RUNBOOK")]
    runbooks: Vec<PathBuf>,
    /// One JSON object a line instead of excerpts
    #[arg(long)]
    json: bool,
    /// Lints count as mistakes
    #[arg(long)]
    strict: bool,
}

pub(super) fn check(args: &Args) -> Result<Exit, CommandError> {
    let mut worst = Exit::Done;
    for path in &args.runbooks {
        let checked = load::check(path)?;
        let (errors, lints) = checked.counts();
        if args.json {
            super::answer(&lines(&checked))?;
        } else {
            load::show(&checked);
            super::answer(&summary(&checked, errors, lints))?;
        }
        if errors > 0 || (args.strict && lints > 0) {
            worst = Exit::Invalid;
        }
    }
    Ok(worst)
}

fn summary(checked: &Checked, errors: usize, lints: usize) -> String {
    let name = &checked.source.name;
    let count = |n: usize, what: &str| match n {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    };
    match &checked.runbook {
        Some(runbook) => {
            let phases = count(runbook.phases.len(), "phase");
            let steps = count(runbook.steps().count(), "step");
            format!(
                "{name}: {phases}, {steps}, no mistakes, {}\n",
                count(lints, "lint")
            )
        }
        None => format!(
            "{name}: {}, {}\n",
            count(errors, "mistake"),
            count(lints, "lint")
        ),
    }
}

fn lines(checked: &Checked) -> String {
    let excerpts = Excerpts::new(&checked.source);
    let line = |d: &crate::runbook::Diagnostic| {
        let (line, column) = excerpts.position(d.span.start);
        let severity = if d.severity == Severity::Error {
            "error"
        } else {
            "warning"
        };
        let value = json!({
            "file": checked.source.name, "line": line, "column": column, "severity": severity,
            "code": d.code, "message": mask_places(&d.message), "help": d.help,
        });
        format!("{value}\n")
    };
    checked.diagnostics.iter().map(line).collect()
}
