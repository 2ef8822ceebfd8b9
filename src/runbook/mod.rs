//! The runbook: what the author wrote, as a model with positions.
//!
//! Text becomes [`Node`]s ([`yaml`]), nodes become a [`Runbook`] ([`decode`]), and [`check`] says
//! everything that is wrong with it at once. Nothing here reads files, clocks or the network: the
//! text comes in, the model and the [`Diagnostic`]s go out.

pub mod catalog;
pub mod de;
pub mod diagnostic;
pub mod node;
pub mod units;
pub mod yaml;

pub use catalog::{Catalog, Class, Spec, TargetKind};
pub use diagnostic::{Diagnostic, Problems, Severity, Source};
pub use node::{Entry, Node, Span};
