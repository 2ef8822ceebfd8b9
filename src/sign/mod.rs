//! Signatures of people: what is signed, by which keys, and whether it holds.
//!
//! Main functions: [`message()`] (the text that is signed), [`check`] (an armored SSH signature held
//! against [`Signers`]), [`review()`] (all of a journal), [`keygen::sign`] (the one part that acts: it calls `ssh-keygen`). Must not:
//! keep or read a private key, or know where a journal is kept.

mod allowed;
pub mod keygen;
mod message;
mod pattern;
mod review;
mod sshsig;
mod vote;

pub use allowed::{Signer, Signers, SignersError, in_utc};
pub use message::{Signed, message};
pub use review::{Anchor, Reviewed, ReviewedVote, Standing, review, review_votes};
pub use sshsig::{Armored, Bad, check, fingerprint, good_key};
pub use vote::{Voted, check_vote, vote_message};

/// What the signatures of ferry are for, in the words of SSH: a signature for something else, such as
/// a commit, is none for a run.
pub const NAMESPACE: &str = "ferry";
