//! `ferry close-out`: judges the success criteria that are due hours or days after a run.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::error::CommandError;
use super::exit::Exit;
use super::orders::{self, Found};
use super::{load, replan, state};
use crate::engine::Snapshots;
use crate::engine::clock::now_ms;
use crate::engine::mail::Letter;
use crate::event::{CloseOut, Order, RunOptions, RunStatus};
use crate::expr::{Evidence, Expr, Verdict};
use crate::front::closing::criteria;
use crate::run::{Probes, RunState};
use crate::runbook::units::human;
use crate::view::CriterionView;

/// Judge a success criterion after the run, or list those that are open
#[derive(clap::Args)]
#[command(
    after_help = "Without a criterion it lists where each stands.\n\nExample:\n  ferry close-out RUN long_term --comment 'looked at with ana'"
)]
pub(super) struct Args {
    /// The run, or a beginning of its id
    #[arg(value_name = "RUN")]
    run: String,
    /// The criterion, such as `short_term`
    #[arg(value_name = "CRITERION")]
    criterion: Option<String>,
    /// The verdict by hand, instead of judging by the expression; needs a comment
    #[arg(long, value_name = "VERDICT", requires = "comment")]
    verdict: Option<ByHand>,
    /// In your words
    #[arg(long, value_name = "TEXT", value_parser = orders::words)]
    comment: Option<String>,
    /// Who says so; your login when left out
    #[arg(long = "as", value_name = "NAME", value_parser = orders::words)]
    who: Option<String>,
    /// A value for an input that the journal hides; may be repeated
    #[arg(long = "input", short = 'i', value_name = "NAME=VALUE", value_parser = load::pair)]
    inputs: Vec<(String, String)>,
}

/// A verdict as it is typed.
#[derive(Clone, Copy, clap::ValueEnum)]
enum ByHand {
    /// It is met
    Pass,
    /// It is not met
    Fail,
}

pub(super) fn close_out(args: &Args, state_dir: &Path) -> Result<Exit, CommandError> {
    // before there are threads: what is read may start processes
    super::prepare()?;
    super::runtime()?.block_on(async {
        let found = orders::find(state_dir, Some(&args.run)).await?;
        let view = found.view();
        let Some(name) = &args.criterion else {
            super::answer(&criteria(&view, now_ms()))?;
            return Ok(Exit::Done);
        };
        if found.row.status != RunStatus::Succeeded {
            return Err(found.refused("only what succeeded is closed out"));
        }
        let all = view.criteria();
        let one = all.iter().find(|one| one.criterion.id == *name);
        let one = one.ok_or_else(|| unknown(&all, name))?;
        let late = one.due.and_then(|due| u64::try_from(now_ms() - due).ok());
        if let Some(late) = late.filter(|late| *late > 0) {
            let late = human(Duration::from_millis(late));
            super::note(&format!("the time to judge `{name}` was over {late} ago"));
        }
        let judged = judge(args, &found, one).await?;
        record(args, &found, name, judged).await
    })
}

/// What it was judged to, and by what.
struct Judged {
    verdict: Verdict,
    evidence: Vec<Evidence>,
}

async fn judge(
    args: &Args,
    found: &Found,
    one: &CriterionView<'_>,
) -> Result<Judged, CommandError> {
    let by_hand = args.verdict.map(|verdict| match verdict {
        ByHand::Pass => Verdict::Pass,
        ByHand::Fail => Verdict::Fail,
    });
    if let Some(verdict) = by_hand {
        let evidence = Vec::new();
        return Ok(Judged { verdict, evidence });
    }
    let Some(text) = &one.criterion.expect else {
        return Err(by_hand_only(one));
    };
    let expr = Expr::compile(text).map_err(|error| {
        let message = format!(
            "`{}` cannot be read again: {}",
            one.criterion.id, error.message
        );
        CommandError::new(Exit::Corrupt, message)
    })?;
    let (probes, failures) = read(args, found, &expr).await?;
    let planned = replan::planned(&found.events)?;
    let plan = Arc::new(replan::outline(planned)?);
    let dir = state::run_dir(&found.state_dir, &found.row.id);
    let dir = dir.display().to_string();
    let mut run = RunState::new(plan, &found.row.id, dir, RunOptions::default());
    for event in &found.events {
        run.apply(&event.kind, event.at);
    }
    let mut evidence = run.judge_later(&expr, &probes, now_ms());
    if evidence.verdict == Verdict::Inconclusive && !failures.is_empty() {
        evidence.reason = Some(failures.join("; "));
    }
    Ok(Judged {
        verdict: evidence.verdict,
        evidence: vec![evidence],
    })
}

fn by_hand_only(one: &CriterionView<'_>) -> CommandError {
    let id = &one.criterion.id;
    let message = match one.verdict {
        Some(verdict) => format!("`{id}` is judged by its phase: {verdict}"),
        None => format!("`{id}` has no `expect` to be judged by"),
    };
    CommandError::new(Exit::Usage, message)
        .hint("`--verdict pass --comment '...'` judges it by hand, and is shown as that")
}

fn unknown(all: &[CriterionView<'_>], name: &str) -> CommandError {
    let error = CommandError::new(Exit::Usage, format!("there is no criterion `{name}`"));
    let names: Vec<_> = all
        .iter()
        .map(|one| format!("`{}`", one.criterion.id))
        .collect();
    error.hint(match names.is_empty() {
        true => "the runbook has no `success_criteria`".to_owned(),
        false => format!("there are {}", names.join(", ")),
    })
}

/// Reads what `probe.NAME` asks for, now; what could not be read comes apart, in words.
async fn read(
    args: &Args,
    found: &Found,
    expr: &Expr,
) -> Result<(Probes, Vec<String>), CommandError> {
    let asked = expr.references().iter().map(|one| one.path.as_slice());
    let asked: BTreeSet<String> = asked
        .filter_map(|path| match path {
            [root, name, ..] if root == "probe" => Some(name.clone()),
            _ => None,
        })
        .collect();
    if asked.is_empty() {
        return Ok((Probes::new(), Vec::new()));
    }
    let mut again = replan::replan(replan::planned(&found.events)?, &args.inputs)?;
    let snapshots = &mut again.plan.runbook.snapshots;
    snapshots.retain(|def| asked.contains(def.name.as_str()));
    let dir = state::run_dir(&found.state_dir, &found.row.id)
        .join("close-out")
        .join(now_ms().to_string());
    let taken = Snapshots {
        plan: again.plan,
        secrets: again.secrets,
        dir: dir.clone(),
        base_dir: again.base_dir,
    };
    let (mut probes, mut failures) = (Probes::new(), Vec::new());
    for one in taken.take().await? {
        let kept = one.file.as_ref().map(|file| dir.join(file));
        match (one.failure, one.value.or_else(|| kept.and_then(large))) {
            (Some(failure), _) => failures.push(format!("`{}`: {}", one.name, failure.message)),
            (None, Some(value)) => {
                probes.insert(one.name, value);
            }
            (None, None) => failures.push(format!("`{}` could not be kept", one.name)),
        }
    }
    Ok((probes, failures))
}

/// A value that is too large for a journal, from its file.
fn large(path: std::path::PathBuf) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

async fn record(
    args: &Args,
    found: &Found,
    criterion: &str,
    judged: Judged,
) -> Result<Exit, CommandError> {
    let Judged { verdict, evidence } = judged;
    let how = match evidence.first() {
        None => " by hand".to_owned(),
        Some(one) => one
            .reason
            .as_ref()
            .map_or_else(String::new, |why| format!(": {why}")),
    };
    let close_out = Box::new(CloseOut {
        criterion: criterion.to_owned(),
        verdict,
        who: args.who.clone().unwrap_or_else(|| state::me().who),
        evidence,
        comment: args.comment.clone(),
    });
    let letter = Letter {
        order: Order::CloseOut { close_out },
        reason: None,
    };
    orders::hand_over(found, letter).await?;
    super::answer(&format!("{criterion}: {verdict}{how}\n"))?;
    Ok(match verdict {
        Verdict::Pass => Exit::Done,
        Verdict::Fail => Exit::Failed,
        // it is open still, and somebody has to see to it
        Verdict::Inconclusive | Verdict::Error => Exit::Waiting,
    })
}
