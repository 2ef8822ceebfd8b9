//! What takes each step back, as far as the plan can tell.

use crate::event::UndoKind;
use crate::runbook::model::{Step, Undo};

/// What takes a step back.
pub fn undo_kind(step: &Step) -> UndoKind {
    match &step.undo {
        _ if !step.changes() => UndoKind::NotNeeded,
        Undo::Auto(_) => UndoKind::Auto,
        Undo::Steps(_) => UndoKind::Written,
        Undo::None => UndoKind::None,
        Undo::Unsaid => UndoKind::Unsaid,
    }
}
