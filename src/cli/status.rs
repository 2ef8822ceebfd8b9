//! `ferry status` and `ferry runs`: where runs stand.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;

use super::error::CommandError;
use super::exit::Exit;
use super::{replan, state};
use crate::engine::clock::now_ms;
use crate::front::decide::{Decide, UndoSum};
use crate::front::plan::WayBack;
use crate::front::report;
use crate::front::report::Held;
use crate::front::status::{self, Page, RunRow};
use crate::store::Store;
use crate::view::RunView;

/// Show where a run stands
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry status")]
pub(super) struct StatusArgs {
    /// The run, or a beginning of its id; the latest when left out
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// List the runs
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry runs")]
pub(super) struct RunsArgs {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn status(args: &StatusArgs, state_dir: &Path) -> Result<Exit, CommandError> {
    let (row, events) = state::read(state_dir, args.run.as_deref())?;
    let view = RunView::replay(&events).with_id(row.id.clone());
    let decide = decide(&view, &events, state_dir);
    if args.json {
        let mut value = report::json(&view, &report::Proof::default());
        value["decide"] = decide.map_or(serde_json::Value::Null, |one| one.json(now_ms()));
        super::answer(&format!("{value:#}\n"))?;
        return Ok(Exit::Done);
    }
    // one that an engine carries on needs no command
    let next = match view.status.is_active() && row.live {
        true => vec![format!("ferry pause {}", row.id)],
        false => super::next::commands(&view),
    };
    let live = row.live;
    let held = held(&view, state_dir);
    let page = Page {
        live,
        held,
        decide,
        ..page()
    };
    super::answer(&status::run(&view, &next, &page))?;
    Ok(Exit::Done)
}

pub(super) fn runs(args: &RunsArgs, state_dir: &Path) -> Result<Exit, CommandError> {
    let found = super::runtime()?.block_on(async {
        let store = state::open(state_dir).await?;
        Ok::<_, CommandError>(store.runs().await?)
    })?;
    let text = if args.json {
        let line = |row: &crate::store::RunRow| {
            let value = serde_json::json!({
                "run": row.id, "runbook": row.name, "status": row.status, "created_at": row.created_at,
                "updated_at": row.updated_at, "events": row.events, "live": row.live,
            });
            format!("{value}\n")
        };
        found.iter().map(line).collect()
    } else {
        let now = now_ms();
        let rows: Vec<RunRow> = found
            .into_iter()
            .map(|row| RunRow {
                until: match row.status.is_active() && row.live {
                    true => now,
                    false => row.updated_at,
                },
                live: row.live,
                id: row.id,
                runbook: row.name,
                status: row.status,
                started_at: Some(row.created_at),
            })
            .collect();
        status::runs(&rows, &page())
    };
    super::answer(&text)?;
    Ok(Exit::Done)
}

/// By when it has to be decided whether the run goes back, with what earlier runs show of how long that
/// takes.
fn decide(view: &RunView, events: &[crate::event::Event], state_dir: &Path) -> Option<Decide> {
    // earlier runs are read only where there is something to decide
    let window = &view.header.window;
    let asks = window.decide_after.is_some() || window.total_s.is_some() || window.closes.is_some();
    if !asks || view.rollback.is_some() {
        return None;
    }
    let plan = replan::planned(events).and_then(replan::outline);
    let sum = plan.ok().map(|plan| {
        let history = super::history::of(state_dir, &view.header.name);
        UndoSum::of(view, &WayBack::of(&plan, &history))
    });
    Decide::of(view, sum)
}

/// Whether the signatures of a run hold; nothing is said of them where its journal cannot be read.
fn held(view: &RunView, state_dir: &Path) -> BTreeMap<u64, Held> {
    if view.signatures().is_empty() {
        return BTreeMap::new();
    }
    let record = super::runtime().and_then(|runtime| {
        runtime.block_on(async {
            let store = state::open(state_dir).await?;
            Ok(store.record(&view.id).await?)
        })
    });
    record.map_or_else(
        |_| BTreeMap::new(),
        |record| super::verify_report::held(&record),
    )
}

/// How the terminal wants it.
pub(super) fn page() -> Page {
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    Page {
        now: now_ms(),
        live: false,
        held: BTreeMap::new(),
        decide: None,
        columns: columns.or_else(terminal).unwrap_or(100),
        colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    }
}

/// Columns of the terminal, if there is one.
fn terminal() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size()?;
    Some(usize::from(width.0))
}

/// How long ago that was, in words.
pub(super) fn ago(at: i64) -> String {
    let past = u64::try_from(now_ms() - at).unwrap_or(0);
    crate::runbook::units::human(std::time::Duration::from_millis(past))
}
