//! The runbook: what the author wrote, as a model with positions.
//!
//! Text becomes [`Node`]s ([`yaml`]), nodes become a [`Runbook`] ([`decode`]), and [`check`] says
//! everything that is wrong with it at once. Nothing here reads files, clocks or the network: the
//! text comes in, the model and the [`Diagnostic`]s go out.

pub mod catalog;
pub mod check;
pub mod de;
pub mod decode;
pub mod diagnostic;
pub mod inputs;
pub mod model;
pub mod node;
pub mod params;
pub mod schema;
pub mod units;
pub mod yaml;

pub use catalog::{Catalog, Class, Spec, TargetKind};
pub use diagnostic::{Diagnostic, Problems, Severity, Source};
pub use model::{Phase, Runbook, Sp, Step, Undo};
pub use node::{Entry, Node, Span};

/// A runbook as far as it could be read, and everything there is to say about it.
pub struct Read {
    /// There only when nothing is wrong with it.
    pub runbook: Option<Runbook>,
    /// What the text means, free of comments and layout: the digest is taken over this.
    pub meaning: String,
    /// In the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads, decodes and checks a text.
pub fn read(text: &str, catalog: &Catalog) -> Read {
    let root = match yaml::parse(text, &yaml::Limits::default()) {
        Ok(root) => root,
        Err(diagnostic) => {
            return Read {
                runbook: None,
                meaning: String::new(),
                diagnostics: vec![*diagnostic],
            };
        }
    };
    let (runbook, mut problems) = decode::decode(&root, catalog);
    let meaning = root.to_json().to_string();
    drop(root);
    if let Some(runbook) = &runbook {
        check::check(runbook, catalog, &mut problems);
    }
    let good = !problems.has_errors();
    Read {
        runbook: runbook.filter(|_| good),
        meaning,
        diagnostics: problems.sorted(),
    }
}
