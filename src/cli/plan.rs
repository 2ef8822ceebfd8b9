//! `ferry plan`: what would run, in which order, how long, and what takes it back.

use std::path::PathBuf;

use super::error::CommandError;
use super::exit::Exit;
use super::load;
use crate::front;
use crate::runbook::inputs::Bound;

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
}

/// How the graph is drawn.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Graph {
    /// A picture
    Svg,
    /// For Graphviz
    Dot,
}

pub(super) fn plan(args: &Args) -> Result<Exit, CommandError> {
    let loaded = load::load(&args.runbook)?;
    // a plan can be looked at on a machine that has none of the inputs
    let bound = match load::bind(&loaded.runbook, &args.inputs) {
        Ok(bound) => bound,
        Err(error) if !args.inputs.is_empty() => return Err(error),
        Err(error) => {
            super::note(&format!(
                "without values for all inputs the digest is not that of a run: {}",
                error.message
            ));
            Bound::default()
        }
    };
    let (plan, _, _) = load::plan(loaded, bound);
    let text = match (args.graph, args.json) {
        (Some(Graph::Svg), _) => front::graph::svg(&plan),
        (Some(Graph::Dot), _) => front::graph::dot(&plan),
        (None, true) => format!("{:#}\n", front::plan::json(&plan)),
        (None, false) => front::plan::text(&plan),
    };
    super::answer(&text)?;
    Ok(Exit::Done)
}
