//! Events: the waist of the house. What happened in a run, in words that adapters, core and front
//! ends share. Nothing here acts.

pub mod outcome;

pub use outcome::{Cause, Failure, Outcome};
