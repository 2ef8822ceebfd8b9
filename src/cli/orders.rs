//! `ferry pause`, `answer`, `waive` and `close`, and how an order gets to a run: through its inbox when
//! an engine carries it on, else by recording it here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::CommandError;
use super::exit::Exit;
use super::{next, replan, state};
use crate::engine::clerk;
use crate::engine::clock::now_ms;
use crate::engine::mail::Letter;
use crate::event::{Answer, Event, EventKind, OperatorEvent, Order, Parking, RunStatus};
use crate::run::allowed;
use crate::store::{RunRow, SqliteStore, Store, StoreError};
use crate::view::RunView;

/// How long a live engine may take to take an order before that is said.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// Let a live run finish what is in flight, and start nothing more until `ferry resume`
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry pause")]
pub(super) struct PauseArgs {
    /// The run, or a beginning of its id; the latest when left out
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Answer what a run asks: whether a step took effect, whether to cross the point of no return, what to do
/// about a failure
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  ferry answer RUN flush done --reason 'the cache is empty, I looked'"
)]
pub(super) struct AnswerArgs {
    /// The run, or a beginning of its id
    #[arg(value_name = "RUN")]
    run: String,
    /// The step that it asks about
    #[arg(value_name = "STEP")]
    step: String,
    /// The answer
    #[arg(value_name = "ANSWER", value_enum)]
    answer: Word,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
    /// The run's code, which crossing the point of no return needs
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
}

/// Leave as it is what a failed way back could not take back
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry waive RUN flush --reason 'the cache fills by itself'")]
pub(super) struct WaiveArgs {
    /// The run, or a beginning of its id
    #[arg(value_name = "RUN")]
    run: String,
    /// The item of the way back, or the step that it takes back
    #[arg(value_name = "STEP")]
    step: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
}

/// Say that nothing more will be done about a run that stands still
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry close RUN --reason 'mended by hand, see ticket 12'")]
pub(super) struct CloseArgs {
    /// The run, or a beginning of its id
    #[arg(value_name = "RUN")]
    run: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
}

/// Answers as they are typed.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Word {
    /// It took effect, and counts as done
    Done,
    /// It did not: do it
    NotDone,
    /// It may have, and may be done again
    Retry,
    /// Start the step, or cross the point of no return
    Proceed,
    /// Leave the step out, or leave its failure as it is
    Skip,
    /// Go back
    Rollback,
    /// Stop here
    Abort,
}

pub(super) fn words(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why, for the record".into()),
        said => Ok(said.to_owned()),
    }
}

pub(super) fn pause(args: &PauseArgs, state_dir: &Path) -> Result<Exit, CommandError> {
    let letter = Letter {
        order: Order::Pause,
        reason: args.reason.clone(),
    };
    give(state_dir, args.run.as_deref(), letter)
}

pub(super) fn answer(args: &AnswerArgs, state_dir: &Path) -> Result<Exit, CommandError> {
    let answer = match args.answer {
        Word::Done => Answer::Done,
        Word::NotDone => Answer::NotDone,
        Word::Retry => Answer::Retry,
        Word::Proceed => Answer::Proceed,
        Word::Skip => Answer::Skip,
        Word::Rollback => Answer::Rollback,
        Word::Abort => Answer::Abort,
    };
    let letter = Letter {
        order: Order::Answer {
            step: args.step.clone(),
            answer,
            code: args.code.clone(),
        },
        reason: Some(args.reason.clone()),
    };
    give(state_dir, Some(&args.run), letter)
}

pub(super) fn waive(args: &WaiveArgs, state_dir: &Path) -> Result<Exit, CommandError> {
    let step = args.step.clone();
    let letter = Letter {
        order: Order::Waive { step },
        reason: Some(args.reason.clone()),
    };
    give(state_dir, Some(&args.run), letter)
}

pub(super) fn close(args: &CloseArgs, state_dir: &Path) -> Result<Exit, CommandError> {
    let letter = Letter {
        order: Order::Close,
        reason: Some(args.reason.clone()),
    };
    give(state_dir, Some(&args.run), letter)
}

fn give(state_dir: &Path, run: Option<&str>, letter: Letter) -> Result<Exit, CommandError> {
    super::runtime()?.block_on(async {
        let found = find(state_dir, run).await?;
        hand_over(&found, letter).await
    })
}

/// A run that an order is for.
pub(super) struct Found {
    pub(super) store: Arc<SqliteStore>,
    pub(super) state_dir: PathBuf,
    pub(super) row: RunRow,
    pub(super) events: Vec<Event>,
    /// Whether an engine that may be alive holds it.
    pub(super) live: bool,
}

/// Finds it, with its journal.
pub(super) async fn find(state_dir: &Path, run: Option<&str>) -> Result<Found, CommandError> {
    let here = state::here()?;
    let state_dir = here.join(state_dir);
    // of a place that may not be looked into nobody can say that it is empty
    if let Ok(false) = state_dir.join("ferry.db").try_exists() {
        // an order makes no store
        return Err(StoreError::NoStore { path: state_dir }.into());
    }
    let store = SqliteStore::open(&state_dir).await?;
    let row = state::find(&store, run).await?;
    let events = store.load(&row.id, 1).await?;
    let live = row.live;
    Ok(Found {
        store: Arc::new(store),
        state_dir,
        row,
        events,
        live,
    })
}

impl Found {
    pub(super) fn refused(&self, why: &str) -> CommandError {
        let status = self.row.status.words();
        CommandError::new(
            Exit::Usage,
            format!("the run `{}` is {status}: {why}", self.row.id),
        )
        .hint(format!("`ferry status {}` says more", self.row.id))
    }

    pub(super) fn held(&self) -> CommandError {
        let run = self.row.id.clone();
        match &self.row.holder {
            Some(holder) => StoreError::Held {
                run,
                lock: None,
                holder: Box::new(holder.clone()),
            }
            .into(),
            None => CommandError::new(Exit::Locked, format!("the run `{run}` is held")),
        }
    }

    /// An engine on another host may still run, and its host alone knows.
    pub(super) fn is_ours(&self, takeover: bool) -> Result<(), CommandError> {
        let view = self.view();
        let here = state::me().host;
        match view.engines.last() {
            Some(engine) if engine.host != here && !takeover => Err(CommandError::new(
                Exit::Refused,
                format!(
                    "the run `{}` was carried on by `{}` on host `{}`, and this is `{here}`",
                    self.row.id, engine.by, engine.host
                ),
            )
            .hint(format!(
                "go on there; if that host is gone for good, `ferry resume {} --takeover`",
                self.row.id
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn view(&self) -> RunView {
        RunView::replay(&self.events).with_id(self.row.id.clone())
    }

    /// Whether it was told to pause and has not come to rest yet.
    pub(super) fn pausing(&self) -> bool {
        matches!(self.view().stopping, Some(Parking::Paused | Parking::Held))
    }

    /// Steps in flight, by name.
    pub(super) fn in_flight(&self) -> Vec<String> {
        let view = self.view();
        view.running().into_iter().map(|(name, _)| name).collect()
    }
}

/// Sends an order to the engine that carries the run on, and waits until it was taken.
pub(super) async fn send(found: &Found, letter: Letter) -> Result<Exit, CommandError> {
    let (store, run) = (&found.store, &found.row.id);
    let me = state::me().who;
    let order = letter.order.clone();
    let body = serde_json::to_value(&letter).unwrap_or_default();
    let id = store.send(run, now_ms(), &me, body).await?;
    let began = Instant::now();
    let mut seen = found.events.last().map_or(0, |event| event.seq);
    while began.elapsed() < TAKEN_WITHIN {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let waits = store.inbox(run).await?.iter().any(|item| item.id == id);
        if waits {
            match store.find(run).await? {
                Some(row) if !row.live => return left(found, &row, &order).await,
                _ => continue,
            }
        }
        for event in store.load(run, seen + 1).await? {
            seen = event.seq;
            match event.kind {
                EventKind::Operator(OperatorEvent::Refused {
                    order: said,
                    why,
                    by,
                }) if by == me && is_that(&said, &order) => {
                    return Err(CommandError::new(Exit::Usage, why));
                }
                EventKind::Operator(OperatorEvent::Ordered {
                    order: said, by, ..
                }) if by == me && is_that(&said, &order) => {
                    super::say(&format!("`{}` was taken by the run `{run}`", order.name()));
                    return Ok(Exit::Done);
                }
                _ => {}
            }
        }
    }
    super::note(&format!(
        "the engine of `{run}` has not taken it within {} s; it takes it when it can, and so does the \
         next one",
        TAKEN_WITHIN.as_secs()
    ));
    Ok(Exit::Done)
}

/// What becomes of an order whose engine ended before it took it. One that was killed leaves it to
/// the next.
async fn left(found: &Found, row: &RunRow, order: &Order) -> Result<Exit, CommandError> {
    if row.status.is_active() {
        super::note(&format!(
            "the engine of `{}` is gone; the next one takes it: `ferry resume {0}`",
            row.id
        ));
        return Ok(Exit::Done);
    }
    deliver(found, row.status, order, None).await
}

/// Records an order to a run that stands still, or that it was refused.
pub(super) async fn record(found: &Found, letter: Letter) -> Result<Exit, CommandError> {
    let status = found.row.status;
    if status.is_active() && !only_recorded(&letter.order) && allowed(status, &letter.order).is_ok()
    {
        let why = "no engine carries it on, it was left in the middle: `ferry resume` goes on";
        return Err(found.refused(why));
    }
    let order = letter.order.clone();
    deliver(found, status, &order, Some(letter)).await
}

async fn deliver(
    found: &Found,
    status: RunStatus,
    order: &Order,
    letter: Option<Letter>,
) -> Result<Exit, CommandError> {
    let run = &found.row.id;
    let plan = replan::planned(&found.events).and_then(replan::outline);
    let plan = match (plan, allowed(status, order)) {
        (Ok(plan), _) => Arc::new(plan),
        (Err(_), Err(why)) => return Err(found.refused(why)),
        (Err(error), Ok(())) => return Err(error),
    };
    let dir = state::run_dir(&found.state_dir, run);
    let (store, me) = (found.store.as_ref(), state::me());
    let refused = clerk::deliver(store, run, plan, &dir, &me, letter).await?;
    if let Some(why) = refused {
        return Err(
            CommandError::new(Exit::Usage, why).hint(format!("`ferry status {run}` says more"))
        );
    }
    let name = order.name();
    super::say(&format!("`{name}` is recorded for the run `{run}`"));
    let view = RunView::replay(&store.load(run, 1).await?).with_id(run.clone());
    for command in next::commands(&view) {
        super::say(&format!("  next        {command}"));
    }
    Ok(match view.status {
        // what was waived is left, and that is no way back that went well
        RunStatus::RolledBack if !only_recorded(order) => Exit::RollbackFailed,
        _ => Exit::Done,
    })
}

/// Whether an order in the journal is the one that was sent: what people typed in it may be masked or cut
/// there.
fn is_that(said: &Order, sent: &Order) -> bool {
    let bare = |order: &Order| {
        let mut order = order.clone();
        match &mut order {
            Order::Approve { vote, .. } | Order::Reject { vote, .. } => {
                (vote.comment, vote.key) = (None, None);
            }
            Order::Confirm { confirmation, .. } => {
                confirmation.values.clear();
                (confirmation.note, confirmation.file) = (None, None);
            }
            _ => {}
        }
        order
    };
    match only_recorded(sent) {
        true => said.name() == sent.name(),
        false => bare(said) == bare(sent),
    }
}

/// Whether an order is for the record alone and changes nothing of where the run stands.
fn only_recorded(order: &Order) -> bool {
    matches!(
        order,
        Order::Note { .. } | Order::Sign { .. } | Order::CloseOut { .. }
    )
}

/// Gives an order to a run that was found: to its engine, or by recording it here.
pub(super) async fn hand_over(found: &Found, letter: Letter) -> Result<Exit, CommandError> {
    match found.live {
        true => send(found, letter).await,
        false => record(found, letter).await,
    }
}
