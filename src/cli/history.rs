//! What earlier runs of a runbook show, read from their journals.

use std::path::Path;

use crate::store::Store;
use crate::view::{History, RunView};

/// Runs that are looked at, and events that are read for that.
const RUNS: usize = 50;
const EVENTS: u64 = 300_000;

/// The runs of the runbook of that name, the latest first. A journal that cannot be read is left out
/// and named; without a store there is no history.
pub(super) fn of(state_dir: &Path, runbook: &str) -> History {
    let mut history = History::default();
    if !state_dir.join("ferry.db").exists() {
        return history;
    }
    let Ok(runtime) = super::runtime() else {
        return history;
    };
    let read = runtime.block_on(read(state_dir, runbook, &mut history));
    if let Err(error) = read {
        super::note(&format!("earlier runs were not looked at: {error}"));
    }
    history
}

async fn read(
    state_dir: &Path,
    runbook: &str,
    history: &mut History,
) -> Result<(), crate::store::StoreError> {
    let store = crate::store::SqliteStore::open_read_only(state_dir).await?;
    let rows = store.runs().await?.into_iter();
    let rows: Vec<_> = rows
        .filter(|row| row.name == runbook && row.events > 0)
        .collect();
    let (mut left, mut skipped) = (EVENTS, 0);
    for (at, row) in rows.iter().enumerate() {
        if at >= RUNS || row.events > left {
            skipped += 1;
            continue;
        }
        left -= row.events;
        match store.load(&row.id, 1).await {
            Ok(events) => {
                let view = RunView::replay(&events).with_id(row.id.clone());
                history.add(&view, view.header.options.kind());
            }
            Err(error) => super::note(&format!("run `{}` was not looked at: {error}", row.id)),
        }
    }
    if skipped > 0 {
        super::note(&format!(
            "{skipped} more runs of `{runbook}` were not looked at"
        ));
    }
    Ok(())
}
