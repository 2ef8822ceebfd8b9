//! `ferry approve`, `reject` and `confirm`: what people decide about the steps of a run that wait for
//! them, from any terminal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::CommandError;
use super::exit::Exit;
use super::orders::{self, Found};
use super::{evidence, load, state};
use crate::engine::mail::Letter;
use crate::event::{Confirmation, Order, Question, Vote};
use crate::runbook::gate::Ask;
use crate::sign::{Voted, keygen, vote_message};
use crate::view::Asked;

/// The shortest beginning of a digest that is taken.
const SHORTEST_DIGEST: usize = 8;

/// Agree to what an approval of a run asks
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry approve RUN go --as ana --comment 'numbers look right'")]
pub(super) struct ApproveArgs {
    #[command(flatten)]
    vote: VoteArgs,
}

/// Reject what an approval of a run asks: the run goes back
#[derive(clap::Args)]
#[command(after_help = "Example:\n  ferry reject RUN go --as ana --comment 'not tonight'")]
pub(super) struct RejectArgs {
    #[command(flatten)]
    vote: VoteArgs,
}

#[derive(clap::Args)]
struct VoteArgs {
    /// The run, or a beginning of its id
    #[arg(value_name = "RUN")]
    run: String,
    /// The step that asks
    #[arg(value_name = "STEP")]
    step: String,
    /// Who decides; the login unless said
    #[arg(long = "as", value_name = "NAME")]
    who: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// The digest of the plan that was looked at, or a beginning of it: another plan is not decided on
    #[arg(long, value_name = "DIGEST")]
    plan: Option<String>,
    /// Sign the decision with this SSH key (a private key, or the public one of a key in the agent)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Confirm that a manual step of a run was done
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  ferry confirm RUN walk-through --as ana --all --value version=4.2 --note 'all five shown'"
)]
pub(super) struct ConfirmArgs {
    /// The run, or a beginning of its id
    #[arg(value_name = "RUN")]
    run: String,
    /// The step that asks
    #[arg(value_name = "STEP")]
    step: String,
    /// Who did it; the login unless said
    #[arg(long = "as", value_name = "NAME")]
    who: Option<String>,
    /// An entry of the checklist that is done, in its words or by its number; may be repeated
    #[arg(long = "tick", value_name = "ENTRY")]
    ticks: Vec<String>,
    /// All entries of the checklist are done
    #[arg(long, conflicts_with = "ticks")]
    all: bool,
    /// A value that is asked for; may be repeated
    #[arg(long = "value", value_name = "NAME=VALUE", value_parser = load::pair)]
    values: Vec<(String, String)>,
    /// Evidence in words
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Evidence as a file: it is copied into the run directory
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn approve(args: &ApproveArgs, state_dir: &Path) -> Result<Exit, CommandError> {
    vote(&args.vote, state_dir, true)
}

pub(super) fn reject(args: &RejectArgs, state_dir: &Path) -> Result<Exit, CommandError> {
    vote(&args.vote, state_dir, false)
}

fn vote(args: &VoteArgs, state_dir: &Path, agrees: bool) -> Result<Exit, CommandError> {
    super::runtime()?.block_on(async {
        let found = orders::find(state_dir, Some(&args.run)).await?;
        let view = found.view();
        let digest = view.header.digest.clone();
        if let Some(plan) = &args.plan {
            if plan.len() < SHORTEST_DIGEST {
                let message = format!("`--plan {plan}` is too short to tell plans apart");
                return Err(CommandError::new(Exit::Usage, message).hint(format!(
                    "{SHORTEST_DIGEST} characters of the digest at least"
                )));
            }
            if !digest.starts_with(plan.as_str()) {
                // it is recorded that somebody decided on another plan, and refused by the run
                super::note(&format!("this run carries out the plan {digest}"));
            }
        }
        let asked = asked(&found, &args.step)?;
        let seen = args
            .plan
            .as_ref()
            .filter(|plan| !digest.starts_with(plan.as_str()));
        let vote = Vote {
            who: args.who.clone().unwrap_or_else(|| state::me().who),
            comment: args.comment.clone(),
            digest: seen.cloned().unwrap_or(digest),
            nonce: asked.nonce.clone(),
            signature: None,
            key: None,
        };
        let vote = match &args.key {
            Some(key) => signed(&found.row.id, &args.step, agrees, vote, key)?,
            None => vote,
        };
        if agrees && asked.question == Question::Approval {
            show(&asked);
        }
        let step = args.step.clone();
        let order = match agrees {
            true => Order::Approve { step, vote },
            false => Order::Reject { step, vote },
        };
        give(&found, order).await
    })
}

/// The vote with a signature over all of it.
fn signed(
    run: &str,
    step: &str,
    agrees: bool,
    mut vote: Vote,
    key: &Path,
) -> Result<Vote, CommandError> {
    let text = vote_message(&Voted {
        run,
        step,
        agrees,
        vote: &vote,
    });
    vote.signature = Some(keygen::sign(&text, key).map_err(super::sign::cannot_sign)?);
    Ok(vote)
}

/// What is decided on, once more: a vote is for what stands here.
fn show(asked: &Asked) {
    let Some(brief) = asked.brief.as_deref() else {
        return;
    };
    for line in brief.text.lines() {
        super::say(&format!("  {}", crate::front::escape::shown(line)));
    }
}

async fn give(found: &Found, order: Order) -> Result<Exit, CommandError> {
    let letter = Letter {
        order,
        reason: None,
    };
    match found.live {
        true => orders::send(found, letter).await,
        false => orders::record(found, letter).await,
    }
}

/// The question that is open at a step.
fn asked(found: &Found, step: &str) -> Result<Asked, CommandError> {
    let view = found.view();
    let gate = |one: &&Asked| matches!(one.question, Question::Approval | Question::Manual);
    let open: Vec<&Asked> = view.asked.iter().filter(gate).collect();
    match open.iter().find(|one| one.step == step) {
        Some(asked) => Ok((*asked).clone()),
        None => {
            let names: Vec<String> = open.iter().map(|one| format!("`{}`", one.step)).collect();
            let what = match names.is_empty() {
                true => "no step waits for people".to_owned(),
                false => format!("only {} waits for people", names.join(", ")),
            };
            let message = format!(
                "`{step}` asks nothing in the run `{}`: {what}",
                found.row.id
            );
            Err(CommandError::new(Exit::Usage, message)
                .hint(format!("`ferry status {}` says more", found.row.id)))
        }
    }
}

pub(super) fn confirm(args: &ConfirmArgs, state_dir: &Path) -> Result<Exit, CommandError> {
    super::runtime()?.block_on(async {
        let found = orders::find(state_dir, Some(&args.run)).await?;
        let asked = asked(&found, &args.step)?;
        let confirmation = confirmation(args, &found, &asked)?;
        let order = Order::Confirm {
            step: args.step.clone(),
            confirmation: Box::new(confirmation),
        };
        give(&found, order).await
    })
}

fn confirmation(
    args: &ConfirmArgs,
    found: &Found,
    asked: &Asked,
) -> Result<Confirmation, CommandError> {
    let wrong = |message: String| CommandError::new(Exit::Usage, message);
    let brief = asked.brief.as_deref().cloned().unwrap_or_default();
    let mut ticked = Vec::new();
    for tick in &args.ticks {
        let number = tick.parse::<usize>().ok().and_then(|at| at.checked_sub(1));
        let entry = number.and_then(|at| brief.checklist.get(at));
        let entry = entry.or_else(|| brief.checklist.iter().find(|entry| *entry == tick));
        let entry = entry.ok_or_else(|| {
            wrong(format!(
                "`{tick}` is no entry of the checklist of `{}`",
                args.step
            ))
            .hint(format!("it has: {}", brief.checklist.join("; ")))
        })?;
        ticked.push(entry.clone());
    }
    if args.all {
        ticked.clone_from(&brief.checklist);
    }
    let mut values = BTreeMap::new();
    for (name, typed) in &args.values {
        let ask = brief.asks.iter().find(|ask| ask.name == *name);
        let ask = ask.ok_or_else(|| wrong(format!("`{name}` is not asked for")))?;
        let value = Ask::from(ask).read(typed).map_err(wrong)?;
        values.insert(name.clone(), value);
    }
    let file = match &args.file {
        Some(path) => {
            let dir = state::run_dir(&found.state_dir, &found.row.id);
            Some(evidence::keep(&dir, &args.step, path).map_err(wrong)?)
        }
        None => None,
    };
    Ok(Confirmation {
        who: args.who.clone().unwrap_or_else(|| state::me().who),
        ticked,
        values,
        note: args.note.clone(),
        file,
        nonce: asked.nonce.clone(),
    })
}
