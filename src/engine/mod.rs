//! The engine: carries decisions to adapters, and what they report back to the decisions.
//!
//! [`dispatcher`] is the one loop: wait for an input, decide, commit, show, hand out. [`executor`]
//! carries out one effect at a time, each in its own task. The two share no state, only messages.
//! It knows the traits of store and action, not which of them there are.

pub mod attest;
mod back;
mod brief;
pub mod bus;
mod calls;
pub mod clerk;
pub mod clock;
pub mod diagnose;
mod dispatcher;
mod examine;
pub mod executor;
mod guards;
mod hide;
mod job;
mod jobs;
mod judge;
mod lasting;
mod limits;
pub mod mail;
mod output;
mod people;
mod preflight;
mod probe;
pub mod process;
pub mod rehearse;
mod show;
pub mod signals;
mod snapshots;
mod standing;
mod start;
mod step_dir;
pub mod targets;
mod watch;

pub use bus::{Bus, Subscriber};
pub use executor::Executor;
pub use preflight::Refused;
pub use standing::Snapshots;
pub use start::{Engine, EngineError, Finished, Start};
