//! An order to a run that stands still: recorded without an engine that carries anything out.
//!
//! Main function: [`deliver`]. It takes the lease for a moment, decides as an engine would, commits the
//! events and gives the lease back. Effects that would follow wait for the next engine.

use std::path::Path;
use std::sync::Arc;

use super::attest::attested;
use super::clock::now_ms;
use super::hide::hide;
use super::lasting;
use super::mail::{self, Letter};
use super::start::EngineError;
use crate::event::{Event, EventKind, OperatorEvent, Order};
use crate::plan::Plan;
use crate::run::{Input, InputKind, RunState, allowed};
use crate::secret::Masker;
use crate::store::{Batch, Holder, Store};

/// Takes all that lies in the inbox, and then an order, if there is one beside; why the last of them
/// was refused, if it was.
///
/// # Errors
/// When somebody holds the run, or the journal cannot be read or written.
pub async fn deliver(
    store: &dyn Store,
    run: &str,
    plan: Arc<Plan>,
    dir: &Path,
    me: &Holder,
    letter: Option<Letter>,
) -> Result<Option<String>, EngineError> {
    let masker = Masker::new(Vec::new()).map_err(|error| EngineError::Secret(error.to_string()))?;
    let lease = store.claim(run, me, false).await?;
    let done = async {
        let events = store.load(run, 1).await?;
        let options = crate::event::RunOptions::default();
        let mut state = RunState::new(plan, run, dir.display().to_string(), options);
        for event in &events {
            state.apply(&event.kind, event.at);
        }
        let mut seq = events.last().map_or(0, |event| event.seq);
        let (mut batch, mut refused) = (Batch::default(), None);
        let last = letter.map(|Letter { order, reason }| {
            let by = me.who.clone();
            (0, Some(InputKind::Order { by, order, reason }))
        });
        let waiting = mail::waiting(store, run).await?;
        for (id, order) in waiting.into_iter().chain(last) {
            let at = now_ms();
            if order.as_ref().is_some_and(|order| carries(order, &state)) {
                continue;
            }
            if id > 0 {
                batch.consumed.push(id);
            }
            let Some(kind) = order else { continue };
            let kind = attested(kind, &state, dir);
            let decision = state.take(&Input { at, kind });
            refused = decision.events.iter().rev().find_map(refusal);
            for kind in decision.events {
                seq += 1;
                let kind = hide(kind, &masker);
                batch.events.push(Event { seq, at, kind });
            }
        }
        batch.status = Some(state.status());
        if batch.events.is_empty() && batch.consumed.is_empty() {
            return Ok(refused);
        }
        lasting::commit(store, &lease, batch, true).await?;
        Ok(refused)
    };
    let done = done.await;
    // a lease that cannot be given back is seen to be dead with this process
    let _ = store.release(&lease).await;
    done
}

/// Whether an order sets the run going: that is for an engine, and waits for it.
fn carries(input: &InputKind, state: &RunState) -> bool {
    let InputKind::Order { order, .. } = input else {
        return false;
    };
    let goes = matches!(
        order,
        Order::Resume | Order::Cancel { .. } | Order::Rollback
    );
    goes && allowed(state.status(), order).is_ok()
}

fn refusal(event: &EventKind) -> Option<String> {
    match event {
        EventKind::Operator(OperatorEvent::Refused { why, .. }) => Some(why.clone()),
        _ => None,
    }
}
