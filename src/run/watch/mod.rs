//! How looks come to a verdict: counting ([`take`]), the rule ([`verdict`]), and movement over time
//! ([`trend`]). Pure: whoever looks counts with these, and the state judges with them.
//!
//! Nothing passes by accident: a check that was not looked at, not long enough, not often enough, or
//! over a jump of the clock is inconclusive, whatever its looks said.

mod tally;
pub mod trend;

pub use tally::{at_end, take, verdict};

#[cfg(test)]
mod tests;
