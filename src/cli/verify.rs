//! `ferry verify`: whether a run's journal is what was written, all of it.

use std::path::Path;

use serde_json::json;

use super::error::CommandError;
use super::exit::Exit;
use super::state;
use crate::store::{Examined, Liveness, Verified};

/// Check that a run's journal is what was written, and all of it
#[derive(clap::Args)]
#[command(
    after_help = "Exits with 72 and names the first event that is wrong or missing.\n\nExample:\n  ferry verify hybrid-cache-20260321-k3xw"
)]
pub(super) struct Args {
    /// The run, or a beginning of its id; the latest when left out
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn verify(args: &Args, state_dir: &Path) -> Result<Exit, CommandError> {
    let found = super::runtime()?.block_on(async {
        let store = state::open(state_dir).await?;
        let run = state::name(&store, args.run.as_deref()).await?;
        Ok::<_, CommandError>(store.examine(&run).await?)
    })?;
    let live = matches!(&found.holder, Some((_, Liveness::Alive)));
    if args.json {
        super::answer(&format!("{:#}\n", as_json(&found, live)))?;
    }
    let run = found.run;
    match found.verdict {
        Ok(_) if args.json => Ok(Exit::Done),
        Ok(verified) => {
            super::answer(&words(&run, &verified, live))?;
            Ok(Exit::Done)
        }
        Err(error) => Err(error.into()),
    }
}

fn as_json(found: &Examined, live: bool) -> serde_json::Value {
    match &found.verdict {
        Ok(verified) => json!({
            "run": found.run, "ok": true, "events": verified.events, "head": verified.head,
            "witness": verified.witness, "live": live,
        }),
        Err(error) => json!({
            "run": found.run, "ok": false, "first_bad": error.first_bad(),
            "error": error.to_string(), "hint": error.hint(), "live": live,
        }),
    }
}

fn words(run: &str, verified: &Verified, live: bool) -> String {
    let Verified {
        events,
        head,
        witness,
    } = verified;
    let seen = witness.unwrap_or(0);
    let behind = events.saturating_sub(seen);
    let tail = match behind {
        0 => "and none is missing at its end".to_owned(),
        _ if live => format!(
            "and none is missing up to event {seen}; an engine is at work, its witness follows"
        ),
        _ => format!(
            "and none is missing up to event {seen}; whether more than event {events} was written \
             cannot be told, because the engine ended before its witness followed"
        ),
    };
    let witness = match behind {
        0 => format!("event {seen}, the last one"),
        n => format!("event {seen}, {n} behind"),
    };
    format!(
        "run      {run}\n\
         events   {events}\n\
         head     {head}\n\
         witness  {witness}\n\
         proven   no event was changed, dropped or moved since it was written, {tail}\n"
    )
}
