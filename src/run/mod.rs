//! The run as a state machine: [`RunState::decide`] says what follows from an input, and
//! [`RunState::apply`] what an event makes of the state. Neither does anything.
//!
//! `decide` is pure and reads only; `apply` is total and needs nothing but the event, so that a
//! journal folded through it gives the same state again. [`RunState::advance`] joins the two: it
//! decides, applies, and asks again until nothing more follows, so that the end of one step and the
//! intent of the next are one commit. Whoever calls it owns the state alone, and shows nothing of it
//! to anybody before the events are durable.

mod answer;
mod apply;
mod back;
mod check_state;
mod checks;
mod closing;
mod course;
mod decide;
mod doubt;
mod effect;
mod gates;
mod guide;
mod input;
mod item_doubt;
mod list;
mod orders;
mod parts;
mod phases;
mod recover;
mod scope;
mod state;
mod voters;
pub mod watch;

pub use check_state::{CheckState, keep_series};
pub use closing::Probes;
pub use effect::{Decision, Effect};
pub use input::{Input, InputKind, Watched};
pub use orders::allowed;
pub use parts::{Fan, ItemState, RollbackState, Settled, StepState, StepStatus};
pub use scope::StepScope;
pub use state::RunState;

#[cfg(test)]
mod check_tests;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod guide_tests;
#[cfg(test)]
mod tests;
