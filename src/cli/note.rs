//! `ferry note`: a person's words for the record of a run, live or over.

use std::path::Path;

use super::error::CommandError;
use super::exit::Exit;
use super::{orders, state};
use crate::engine::mail::Letter;
use crate::event::{Note, NoteKind, Order};
use crate::runbook::diagnostic::did_you_mean;
use crate::view::RunView;

/// The longest note, in bytes.
const LONGEST: usize = 16 << 10;

/// Write something down for the record of a run: an issue, how it was mended, what was learned
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  ferry note RUN --kind issue --step flush 'replica 2 lagged by 40 s'"
)]
pub(super) struct Args {
    /// The run, or a beginning of its id
    #[arg(value_name = "RUN")]
    run: String,
    /// The note
    #[arg(value_name = "TEXT", value_parser = orders::words)]
    text: String,
    /// What it is
    #[arg(long, value_name = "KIND", default_value = "remark")]
    kind: Kind,
    /// The step that it is about
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// Whose note it is; your login when left out
    #[arg(long = "as", value_name = "NAME", value_parser = orders::words)]
    who: Option<String>,
}

/// What a note is, as it is typed.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// Something went wrong
    Issue,
    /// How it was mended
    Resolution,
    /// What was learned
    Lesson,
    /// What should be done
    Recommendation,
    /// Worth knowing
    Remark,
}

impl From<Kind> for NoteKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Issue => Self::Issue,
            Kind::Resolution => Self::Resolution,
            Kind::Lesson => Self::Lesson,
            Kind::Recommendation => Self::Recommendation,
            Kind::Remark => Self::Remark,
        }
    }
}

pub(super) fn note(args: &Args, state_dir: &Path) -> Result<Exit, CommandError> {
    if args.text.len() > LONGEST {
        let message = format!("a note has at most {} KiB", LONGEST >> 10);
        return Err(CommandError::new(Exit::Usage, message));
    }
    let note = Note {
        kind: args.kind.into(),
        text: args.text.clone(),
        step: args.step.clone(),
        who: args.who.clone().unwrap_or_else(|| state::me().who),
    };
    super::runtime()?.block_on(async {
        let found = orders::find(state_dir, Some(&args.run)).await?;
        if let Some(step) = &args.step {
            known_step(&found.view(), step)?;
        }
        let letter = Letter {
            order: Order::Note { note },
            reason: None,
        };
        orders::hand_over(&found, letter).await
    })
}

/// A note about a step that is not there would be read by nobody.
fn known_step(view: &RunView, step: &str) -> Result<(), CommandError> {
    let items = view.rollback.iter().flat_map(|back| &back.items);
    let items: Vec<&str> = items.map(|item| item.item.id.as_str()).collect();
    if view.step(step).is_some() || items.contains(&step) {
        return Ok(());
    }
    let names = view
        .steps
        .iter()
        .map(crate::view::StepView::id)
        .chain(items);
    let mut error = CommandError::new(
        Exit::Usage,
        format!("the run `{}` has no step `{step}`", view.id),
    );
    error.hints.extend(did_you_mean(step, names));
    Err(error)
}
