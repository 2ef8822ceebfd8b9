//! `ferry verify`: whether a run's journal is what was written, all of it; and whether a report is what
//! its journal gives, and who signed what, from the report alone.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::error::CommandError;
use super::exit::Exit;
use super::{state, verify_report};
use crate::store::{Liveness, Record, StoreError, Verified};

/// Check that a run's journal is what was written, and all of it; or a report, without the store
#[derive(clap::Args)]
#[command(
    after_help = "Exits with 72 and names the first event, or the first line of a report, that is wrong or missing; with 77 when a key signed that may not.\n\nExample:\n  ferry verify report.html --allowed-signers ~/.ssh/allowed_signers"
)]
pub(super) struct Args {
    /// The run, or a beginning of its id; the latest when left out. Or the file of a report
    #[arg(value_name = "RUN|REPORT")]
    subject: Option<String>,
    /// Keys that you let sign, as `ssh-keygen` takes them, instead of those that the journal carries
    #[arg(long, value_name = "FILE")]
    allowed_signers: Option<PathBuf>,
    /// The head that the journal must have, as somebody noted it
    #[arg(long, value_name = "HEX")]
    head: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn verify(args: &Args, state_dir: &Path) -> Result<Exit, CommandError> {
    let asked = verify_report::Asked {
        allowed_signers: args.allowed_signers.as_deref(),
        head: args.head.as_deref(),
        json: args.json,
    };
    if let Some(path) = args.subject.as_ref().map(Path::new)
        && path.is_file()
    {
        return verify_report::verify(path, &asked);
    }
    run(args, &asked, state_dir)
}

fn run(
    args: &Args,
    asked: &verify_report::Asked<'_>,
    state_dir: &Path,
) -> Result<Exit, CommandError> {
    let (found, record) = super::runtime()?.block_on(async {
        let store = state::open(state_dir).await?;
        let run = state::name(&store, args.subject.as_deref()).await?;
        let found = store.examine(&run).await?;
        let record = match found.verdict {
            Ok(_) => Some(store.record(&run).await?),
            Err(_) => None,
        };
        Ok::<_, CommandError>((found, record))
    })?;
    let live = matches!(&found.holder, Some((_, Liveness::Alive)));
    match (found.verdict, record) {
        (Ok(verified), Some(record)) => proven(&verified, &record, asked, live),
        (Ok(_), None) => Ok(Exit::Done),
        (Err(error), _) => {
            if args.json {
                super::answer(&format!("{:#}\n", broken(&found.run, &error, live)))?;
            }
            Err(error.into())
        }
    }
}

/// What there is to say of a journal that holds: of it, and of the signatures under it.
fn proven(
    verified: &Verified,
    record: &Record,
    asked: &verify_report::Asked<'_>,
    live: bool,
) -> Result<Exit, CommandError> {
    asked.is_head(&verified.head)?;
    let signatures = asked.signatures(record)?;
    let outcome = signatures.outcome();
    let text = match asked.json {
        true => {
            let mut said = json!({
                "run": record.run(), "ok": outcome.is_ok(), "events": verified.events, "head": verified.head,
                "witness": verified.witness, "live": live,
            });
            said["signatures"] = signatures.json();
            format!("{said:#}\n")
        }
        false if signatures.is_empty() => words(record.run(), verified, live),
        false => words(record.run(), verified, live) + &signatures.words(),
    };
    super::answer(&text)?;
    outcome
}

fn broken(run: &str, error: &StoreError, live: bool) -> serde_json::Value {
    json!({
        "run": run, "ok": false, "first_bad": error.first_bad(),
        "error": error.to_string(), "hint": error.hint(), "live": live,
    })
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
