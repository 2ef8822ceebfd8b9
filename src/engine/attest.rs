//! What comes with a decision and cannot be judged by deciding: a file that is handed in, a signature.
//!
//! Main function: [`attested`]. It believes nothing that a letter says of itself: the key of a vote is set
//! here alone, and evidence that is not what it says it is is dropped.

use std::path::{Component, Path};

use sha2::{Digest, Sha256};

use crate::event::{Confirmation, EvidenceFile, Order};
use crate::plan::hex;
use crate::run::InputKind;

/// What came in, with what could be proven of it.
pub(super) fn attested(input: InputKind, run_dir: &Path) -> InputKind {
    match input {
        InputKind::Order { by, order, reason } => InputKind::Order {
            by,
            order: attest(order, run_dir),
            reason,
        },
        other => other,
    }
}

fn attest(mut order: Order, run_dir: &Path) -> Order {
    match &mut order {
        Order::Approve { vote, .. } | Order::Reject { vote, .. } => vote.key = None,
        Order::Confirm { confirmation, .. } => evidence(confirmation, run_dir),
        _ => {}
    }
    order
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
