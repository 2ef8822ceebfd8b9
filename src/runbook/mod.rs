//! The runbook: what the author wrote, as a model with positions.
//!
//! Text becomes [`Node`]s ([`yaml`]), nodes become a [`Runbook`] ([`decode`]), and [`check`] says
//! everything that is wrong with it at once. Nothing here reads files, clocks or the network: the
//! text comes in, the model and the [`Diagnostic`]s go out.

pub mod address;
pub mod catalog;
pub mod check;
pub mod comms;
pub mod de;
pub mod decode;
pub mod diagnostic;
pub mod environment;
pub mod excerpt;
pub mod gate;
pub mod hours;
pub mod inputs;
pub mod model;
pub mod node;
pub mod params;
pub mod people;
pub mod schema;
mod traps;
pub mod trouble;
pub mod units;
pub mod watch;
pub mod yaml;

pub use catalog::{Catalog, Class, Spec, TargetKind};
pub use diagnostic::{Diagnostic, Problems, Severity, Source};
pub use excerpt::Excerpts;
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

/// Mistakes that can be told of a text whose end could not be read.
const BEFORE_THE_END: &[&str] = &[
    "F002", "F006", "F007", "F010", "F013", "F014", "F018", "F020", "F022",
];

/// Reads, decodes and checks a text.
pub fn read(text: &str, catalog: &Catalog) -> Read {
    let mut problems = Problems::default();
    let parsed = yaml::parse_all(text, &yaml::Limits::default(), &mut problems);
    let Some(root) = parsed.root else {
        return Read {
            runbook: None,
            meaning: String::new(),
            diagnostics: problems.sorted(),
        };
    };
    let runbook = decode::decode(&root, catalog, &mut problems);
    if let Some(end) = parsed.stopped {
        // the line that could not be read, and all after it, are not judged
        let line = text
            .get(..end.start as usize)
            .and_then(|text| text.rfind('\n'));
        let line = line.unwrap_or(0);
        problems.retain(|found| {
            let before = found.span.end as usize <= line && BEFORE_THE_END.contains(&found.code);
            before || found.span == end
        });
        return Read {
            runbook: None,
            meaning: String::new(),
            diagnostics: problems.sorted(),
        };
    }
    let mut meaning = String::with_capacity(text.len());
    root.write_json(&mut meaning);
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

/// Whether a value of the journal has something hidden in it, so that it is not the value itself.
pub fn is_hidden(value: &serde_json::Value) -> bool {
    value.to_string().contains("***")
}
