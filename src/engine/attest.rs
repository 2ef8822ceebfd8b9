//! What comes with a decision and cannot be judged by deciding: a file that is handed in, a signature.
//!
//! Main function: [`attested`]. It believes nothing that a letter says of itself: the key of a vote is set
//! here alone, and evidence that is not what it says it is is dropped.

use std::path::{Component, Path};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use crate::event::{Confirmation, EvidenceFile, Order, Vote};
use crate::plan::hex;
use crate::run::{InputKind, RunState};
use crate::sign::{Signers, Voted, check_vote};

/// What came in, with what could be proven of it.
pub(super) fn attested(input: InputKind, state: &RunState, run_dir: &Path) -> InputKind {
    match input {
        InputKind::Order { by, order, reason } => InputKind::Order {
            by,
            order: attest(order, state, run_dir),
            reason,
        },
        other => other,
    }
}

fn attest(mut order: Order, state: &RunState, run_dir: &Path) -> Order {
    let agrees = matches!(order, Order::Approve { .. });
    match &mut order {
        Order::Approve { step, vote } | Order::Reject { step, vote } => {
            vote.key = None;
            vote.key = key_of(step, vote, agrees, state);
        }
        Order::Confirm { confirmation, .. } => evidence(confirmation, run_dir),
        _ => {}
    }
    order
}

/// The fingerprint of the key that signed a vote, if it may.
fn key_of(step: &str, vote: &Vote, agrees: bool, state: &RunState) -> Option<String> {
    vote.signature.as_ref()?;
    let signers = Signers::parse(state.signers(), &TimeZone::UTC).ok()?;
    let roles: Vec<&str> = state.roles_of(&vote.who).collect();
    let run = state.id();
    let voted = Voted {
        run,
        step,
        agrees,
        vote,
    };
    check_vote(&voted, &roles, &signers, Timestamp::now()).ok()
}

fn evidence(confirmation: &mut Confirmation, run_dir: &Path) {
    let proven = |file: &EvidenceFile| {
        let path = Path::new(&file.file);
        let mut parts = path.components();
        let inside = parts.next() == Some(Component::Normal("evidence".as_ref()))
            && parts.all(|part| matches!(part, Component::Normal(_)));
        let path = run_dir.join(path);
        let plain = std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        inside
            && plain
            && std::fs::read(&path).is_ok_and(|content| {
                content.len() as u64 == file.bytes && hex(&Sha256::digest(&content)) == file.sha256
            })
    };
    if !confirmation.file.as_ref().is_none_or(proven) {
        confirmation.file = None;
    }
}
