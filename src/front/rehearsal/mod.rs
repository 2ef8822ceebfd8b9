//! A rehearsal for people ([`text()`]) and for programs ([`lines`]).

mod json;
mod text;

pub use json::lines;
pub use text::text;
