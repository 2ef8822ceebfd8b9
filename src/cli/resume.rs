//! `ferry resume`, `rollback`, `cancel` and `abort`: going on with a run that somebody left, forward or
//! back, and telling a live one to change its course.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::behind::Behind;
use super::carry::{Attendance, Ready};
use super::detach::{self, Errand};
use super::error::CommandError;
use super::exit::Exit;
use super::orders::{self, Found};
use super::{dress, load, replan};
use crate::engine::Start;
use crate::engine::mail::Letter;
use crate::event::{Order, RunStatus};
use crate::run::allowed;
use crate::store::Store;

/// Go on with a run that was stopped, was left in the middle, or failed
#[derive(clap::Args, Serialize, Deserialize)]
#[command(
    after_help = "What was in the middle of a change is settled first, by its probe, by its word that \
                  it may be done twice, or by asking.\n\nExample:\n  ferry resume"
)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    on: On,
    /// Ask before each step, and what to do when one fails
    #[arg(long, conflicts_with_all = ["yes", "json"])]
    guided: bool,
    /// Wait for people at manual steps and approvals, also without a terminal, instead of parking
    #[arg(long)]
    wait: bool,
    /// Go on in the background, and come back as soon as that has begun
    #[arg(long, conflicts_with = "guided")]
    detach: bool,
    /// Why, for the record: where a guard holds the run, going on is a waiver
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Go back: take back what a run changed, or go on with taking it back
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry rollback --reason 'the error rate rises'")]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    on: On,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// End a run in order, and go back
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry cancel --reason 'not tonight'")]
pub(super) struct CancelArgs {
    #[command(flatten)]
    on: On,
    /// Leave what was changed
    #[arg(long)]
    no_rollback: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// End a run at once, and leave everything as it stands
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry abort --reason 'the wrong host'")]
pub(super) struct AbortArgs {
    #[command(flatten)]
    on: On,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Which run, and with what.
#[derive(clap::Args, Serialize, Deserialize)]
struct On {
    /// The run, or a beginning of its id; the latest when left out
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// A secret input again, or one whose value the journal hides; may be repeated
    #[arg(long = "input", short = 'i', value_name = "NAME=VALUE", value_parser = load::pair)]
    inputs: Vec<(String, String)>,
    /// Take it although another engine seems to hold it; that engine is shut out
    #[arg(long)]
    takeover: bool,
    /// Ask nothing
    #[arg(long)]
    yes: bool,
    /// Line-delimited events on standard output instead of progress
    #[arg(long)]
    json: bool,
}

pub(super) fn resume(mut args: ResumeArgs, state_dir: &Path) -> Result<Exit, CommandError> {
    if !args.detach {
        return carry_on(&args, state_dir, None);
    }
    args.detach = false;
    let json = std::mem::take(&mut args.on.json);
    let shown = args
        .on
        .run
        .clone()
        .unwrap_or_else(|| "the latest run".into());
    detach::start(&Errand::Resume(args), &shown, state_dir, json)
}

/// Goes on in this process; `behind`: for somebody who does not stay.
pub(super) fn carry_on(
    args: &ResumeArgs,
    state_dir: &Path,
    behind: Option<Behind>,
) -> Result<Exit, CommandError> {
    super::carry::can_guide(args.guided)?;
    let attendance = Attendance {
        guided: args.guided,
        wait: args.wait,
    };
    go(
        &args.on,
        state_dir,
        (Order::Resume, args.reason.clone()),
        attendance,
        behind,
    )
}

pub(super) fn rollback(args: &RollbackArgs, state_dir: &Path) -> Result<Exit, CommandError> {
    let reason = args.reason.clone();
    let order = (Order::Rollback, reason);
    go(&args.on, state_dir, order, Attendance::default(), None)
}

pub(super) fn cancel(args: &CancelArgs, state_dir: &Path) -> Result<Exit, CommandError> {
    let no_rollback = args.no_rollback;
    let order = Order::Cancel { no_rollback };
    let order = (order, args.reason.clone());
    go(&args.on, state_dir, order, Attendance::default(), None)
}

pub(super) fn abort(args: &AbortArgs, state_dir: &Path) -> Result<Exit, CommandError> {
    let order = (Order::Abort, args.reason.clone());
    go(&args.on, state_dir, order, Attendance::default(), None)
}

fn go(
    on: &On,
    state_dir: &Path,
    (order, reason): (Order, Option<String>),
    attendance: Attendance,
    behind: Option<Behind>,
) -> Result<Exit, CommandError> {
    let takeover = on.takeover;
    super::prepare()?;
    let runtime = super::runtime()?;
    let told = runtime.block_on(async {
        let found = orders::find(state_dir, on.run.as_deref()).await?;
        if found.live && !takeover {
            // of an engine on another host nothing can be told from here
            found.is_ours(false)?;
            return live(&found, order, reason).await.map(Err);
        }
        let interrupted = found.row.status.is_active();
        let resumes = order == Order::Resume;
        let refused = allowed(found.row.status, &order).is_err();
        let stays = order == Order::Abort && !interrupted;
        if stays || refused && !(interrupted && resumes) {
            return orders::record(&found, Letter { order, reason })
                .await
                .map(Err);
        }
        found.is_ours(takeover)?;
        let planned = replan::planned(&found.events)?;
        let again = replan::replan(planned, &on.inputs)?;
        let plan = Arc::new(again.plan);
        if planned.options.rehearsal && order != Order::Abort {
            dress::still_apart(
                planned,
                &plan,
                &again.secrets,
                (&again.production, &again.meaning),
                &on.inputs,
            )?;
        }
        say_changes(&found, planned.version.as_str(), takeover);
        for line in replan::changed(planned) {
            super::say(&line);
        }
        let order = (!(interrupted && resumes)).then_some((order, reason));
        let ready = Ready {
            run: found.row.id.clone(),
            plan,
            secrets: again.secrets,
            options: planned.options.clone(),
            store: Arc::clone(&found.store) as Arc<dyn Store>,
            state_dir: found.state_dir.clone(),
            base_dir: again.base_dir,
            json: on.json,
            silent: on.yes,
            attendance,
            people: std::collections::BTreeMap::new(),
            undelivered: crate::comms::Undelivered::default(),
            behind,
        };
        ready.carry(Start::Again { order, takeover }).await.map(Ok)
    });
    // threads that still read a dead link must not hold the end up
    runtime.shutdown_background();
    match told? {
        Ok(told) => told.tell(),
        Err(exit) => Ok(exit),
    }
}

/// What a live engine is told; one that does not stand still is not taken from it.
async fn live(found: &Found, order: Order, reason: Option<String>) -> Result<Exit, CommandError> {
    let paused = found.row.status == RunStatus::Waiting;
    if order == Order::Resume && !paused && !found.pausing() {
        return Err(found.held());
    }
    orders::send(found, Letter { order, reason }).await
}

fn say_changes(found: &Found, version: &str, takeover: bool) {
    if takeover && let Some(holder) = &found.row.holder {
        let since = super::status::ago(found.row.updated_at);
        super::say(&format!(
            "taken over from {holder}; its last event was {since} ago"
        ));
        for step in found.in_flight() {
            super::say(&format!("  under way then: {step}"));
        }
    }
    if version != env!("CARGO_PKG_VERSION") {
        super::note(&format!(
            "ferry {version} started the run; this is ferry {}, and reads it the same way",
            env!("CARGO_PKG_VERSION")
        ));
    }
}
