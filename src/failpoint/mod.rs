//! Places where the tests make ferry die, stall or fail: [`pass`], [`commit`] and [`io`] stand at
//! them.
//!
//! Without the feature `failpoints` they are empty and inlined: a release has none of this. With it,
//! `FERRY_FAILPOINT` says what happens where. Must not change what ferry decides.

#[cfg(feature = "failpoints")]
mod armed;

#[cfg(feature = "failpoints")]
pub use armed::{commit, io, pass};

#[cfg(not(feature = "failpoints"))]
mod off {
    use crate::event::Event;

    /// A point that can only end or delay the process. `subject` is what passes it: a step.
    #[inline(always)]
    pub fn pass(_point: &str, _subject: &str) {}

    /// A point that events pass together.
    #[inline(always)]
    pub fn commit(_point: &str, _events: &[Event]) {}

    /// A point that can also fail.
    ///
    /// # Errors
    /// Never without the feature.
    #[inline(always)]
    pub fn io(_point: &str) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(not(feature = "failpoints"))]
pub use off::{commit, io, pass};
