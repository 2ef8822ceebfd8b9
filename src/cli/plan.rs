//! `ferry plan`: what would run, in which order, how long, and what takes it back.

use std::path::{Path, PathBuf};

use super::error::CommandError;
use super::exit::Exit;
use super::saved::{self, SavedPlan, Visible};
use super::{history, load, window};
use crate::engine::clock::now_ms;
use crate::front;
use crate::front::plan::{Coverage, WayBack};

/// Show what would run: order, critical path, times, what each step changes and what takes it back
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry plan runbooks/hybrid-cache.yaml --graph svg > plan.svg")]
pub(super) struct Args {
    /// The runbook
    #[arg(value_name = "RUNBOOK")]
    runbook: PathBuf,
    /// A value for an input; may be repeated
    #[arg(long = "input", short = 'i', value_name = "NAME=VALUE", value_parser = load::pair)]
    inputs: Vec<(String, String)>,
    /// As JSON
    #[arg(long, conflicts_with = "graph")]
    json: bool,
    /// The graph of the phases instead
    #[arg(long, value_name = "FORMAT")]
    graph: Option<Graph>,
    /// Also save the plan, for `ferry run --plan`; secrets are not in it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Fail unless that many per cent of the steps that leave something to take back have an undo
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    require_coverage: Option<u8>,
    /// Fail unless an earlier run carried out the undo of that many per cent of them
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    require_exercised: Option<u8>,
}

/// How the graph is drawn.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Graph {
    /// A picture
    Svg,
    /// For Graphviz
    Dot,
}

pub(super) fn plan(args: &Args, state_dir: &Path) -> Result<Exit, CommandError> {
    let loaded = load::load(&args.runbook)?;
    let Visible {
        plan,
        secrets,
        source,
        missing,
    } = saved::visible(loaded, &args.inputs)?;
    if let Some(error) = missing {
        if args.out.is_some() {
            return Err(error);
        }
        super::note(&format!(
            "without values for all inputs the digest is not that of a run: {}",
            error.message
        ));
    }
    let history = history::of(state_dir, &plan.runbook.name);
    let back = WayBack::of(&plan, &history);
    let text = match (args.graph, args.json) {
        (Some(Graph::Svg), _) => front::graph::svg(&plan),
        (Some(Graph::Dot), _) => front::graph::dot(&plan),
        (None, true) => format!("{:#}\n", front::plan::json(&plan, &back)),
        (None, false) => front::plan::text(&plan, &back),
    };
    if let Some(path) = &args.out {
        SavedPlan::of(&plan, &source, secrets)?.write(path)?;
    }
    super::answer(&text)?;
    if let Some(says) = window::fit(&plan, now_ms()) {
        super::note(&says);
    }
    if let Some(path) = &args.out {
        super::note(&format!(
            "the plan {} is saved: `ferry run --plan {}`",
            saved::short(&plan.digest),
            path.display()
        ));
    }
    args.judge(&back.coverage)
}

impl Args {
    /// Whether the way back is as good as it was asked for.
    fn judge(&self, coverage: &Coverage) -> Result<Exit, CommandError> {
        let mut wrong = Vec::new();
        let mut hold = |wanted: Option<u8>, is: usize, what: &str, missing: Vec<String>| {
            if let Some(wanted) = wanted.filter(|wanted| is < usize::from(*wanted)) {
                wrong.push(format!(
                    "{what} {is} %, and {wanted} % is required: {}",
                    missing.join(", ")
                ));
            }
        };
        let quoted = |steps: &[String]| {
            steps
                .iter()
                .map(|step| format!("`{step}`"))
                .collect::<Vec<_>>()
        };
        let uncovered = quoted(&coverage.uncovered);
        hold(
            self.require_coverage,
            coverage.covered_percent(),
            "the undo coverage is",
            uncovered.clone(),
        );
        let open = [uncovered, quoted(&coverage.unexercised)].concat();
        hold(
            self.require_exercised,
            coverage.exercised_percent(),
            "undos carried out before are",
            open,
        );
        match wrong.is_empty() {
            true => Ok(Exit::Done),
            false => Err(CommandError::new(Exit::Unmet, wrong.join("; ")).hint(
                "write an `undo` for them, or say `undo: none` where nothing is to be taken back",
            )),
        }
    }
}
