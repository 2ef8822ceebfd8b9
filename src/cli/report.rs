//! `ferry report`: what a run did, from its journal alone.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::error::CommandError;
use super::exit::Exit;
use super::sealed::{self, Form};
use super::state;
use crate::event::OutputKept;
use crate::front::report::{self, Proof};
use crate::store::Store;
use crate::view::{RunView, StepView};

/// The most output files that are quoted, the most bytes of one that are read for it, and the most of
/// its end that are quoted.
const QUOTED: usize = 300;
const READ: u64 = 4 << 20;
const QUOTE: usize = 8 << 10;

/// Write the report of a run, from its journal alone
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  ferry report --output report.html\n  ferry report --format junit --output ferry.xml"
)]
pub(super) struct Args {
    /// The run, or a beginning of its id; the latest when left out
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// How it is written; by the ending of `--output` where nothing is said, else Markdown
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// A file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How a report is written.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// One page for people, for screen and paper
    Html,
    /// Markdown
    Md,
    /// JSON
    Json,
    /// The XML of `JUnit`, for CI
    Junit,
    /// The journal alone, sealed for `ferry verify`
    Seal,
}

/// A journal that is not proven is not sealed.
fn unsealed(proof: &Proof) -> CommandError {
    let why = proof
        .problem
        .clone()
        .unwrap_or_else(|| "it is too large".into());
    CommandError::new(
        Exit::CannotWrite,
        format!("the journal cannot be sealed: {why}"),
    )
}

impl Format {
    /// The form that carries its journal.
    fn sealed(self) -> Option<Form> {
        match self {
            Self::Html => Some(Form::Html),
            Self::Json => Some(Form::Json),
            Self::Seal => Some(Form::Seal),
            Self::Md | Self::Junit => None,
        }
    }

    /// What the ending of a file says.
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "html" | "htm" => Some(Self::Html),
            "json" => Some(Self::Json),
            "xml" => Some(Self::Junit),
            _ => None,
        }
    }
}

pub(super) fn report(args: &Args, state_dir: &Path) -> Result<Exit, CommandError> {
    let by_name = args.output.as_deref().and_then(Format::of);
    let format = args.format.or(by_name).unwrap_or(Format::Md);
    let text = super::runtime()?.block_on(async {
        let store = state::open(state_dir).await?;
        let row = state::find(&store, args.run.as_deref()).await?;
        let dir = state::run_dir(state_dir, &row.id);
        if let Some(form) = format.sealed()
            && let Some(text) = sealed::written(form, &store, &row.id, &dir).await?
        {
            return Ok(text);
        }
        let (view, mut proof) = read(&store, &row.id, &dir).await?;
        if proof.problem.is_none() && !view.signatures().is_empty() {
            proof.signatures = super::verify_report::held(&store.record(&row.id).await?);
        }
        Ok::<_, CommandError>(match format {
            Format::Html => report::html(&view, &proof, None),
            Format::Md => report::markdown(&view, &proof),
            Format::Json => format!("{:#}\n", report::json(&view, &proof)),
            Format::Junit => report::junit(&view),
            Format::Seal => return Err(unsealed(&proof)),
        })
    })?;
    match &args.output {
        None => super::answer(&text)?,
        Some(path) => std::fs::write(path, text).map_err(|error| {
            let message = format!(
                "the report cannot be written to `{}`: {}",
                path.display(),
                super::load::words(&error)
            );
            CommandError::new(Exit::CannotWrite, message)
        })?,
    }
    Ok(Exit::Done)
}

/// The run as its journal tells it, how far that is proven, and the ends of its output files.
pub(super) async fn read(
    store: &dyn Store,
    run: &str,
    dir: &Path,
) -> Result<(RunView, Proof), CommandError> {
    // what an engine writes meanwhile is not in the report: its head is that of its last event
    let verified = store.verify(run).await;
    let mut events = store.load(run, 1).await?;
    let mut proof = Proof::default();
    match verified {
        Ok(verified) => {
            events.truncate(usize::try_from(verified.events).unwrap_or(usize::MAX));
            proof.head = Some(verified.head);
            proof.witness = verified.witness;
        }
        Err(error) => proof.problem = Some(error.to_string()),
    }
    let view = RunView::replay(&events).with_id(run);
    drop(events);
    proof.quotes = quotes(&view, dir);
    Ok((view, proof))
}

/// The ends of output files, of the steps that failed first.
fn quotes(view: &RunView, dir: &Path) -> BTreeMap<String, String> {
    let files = outputs(view).into_iter().filter_map(|output| {
        let bytes = whole(output, dir)?;
        Some((output.file.clone(), end(&bytes)))
    });
    files.collect()
}

/// The files that are quoted, as the journal names them.
pub(super) fn outputs(view: &RunView) -> Vec<&OutputKept> {
    let steps = || view.steps.iter().flat_map(StepView::named);
    let failed = steps().filter(|(_, step)| !step.failures.is_empty());
    let others = steps().filter(|(_, step)| step.failures.is_empty());
    let outputs = failed
        .chain(others)
        .filter_map(|(_, step)| step.report.as_ref()?.output.as_ref());
    outputs.take(QUOTED).collect()
}

/// What is quoted of a file.
pub(super) fn end(bytes: &[u8]) -> String {
    let end = &bytes[bytes.len().saturating_sub(QUOTE)..];
    String::from_utf8_lossy(end).into_owned()
}

/// Whether this is what the journal says that a file held.
pub(super) fn is_that(bytes: &[u8], output: &OutputKept) -> bool {
    let hash = Sha256::digest(bytes);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    output.kept == output.bytes && hash == output.sha256
}

/// An output file that was kept whole and is what the journal says; what was kept in part, or is
/// another file by now, is only named.
pub(super) fn whole(output: &OutputKept, dir: &Path) -> Option<Vec<u8>> {
    let file = Path::new(&output.file);
    let inside = file
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !inside || output.kept != output.bytes || output.kept > READ || output.kept == 0 {
        return None;
    }
    let opened = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(dir.join(file))
        .ok()?;
    let mut bytes = Vec::new();
    opened.take(READ + 1).read_to_end(&mut bytes).ok()?;
    is_that(&bytes, output).then_some(bytes)
}
