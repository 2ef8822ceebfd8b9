//! `log.scan` in a rehearsal: reads what a run would read, but for a phase that has not begun.

use jiff::tz::TimeZone;
use serde_json::json;

use super::super::file::blocking;
use super::{Params, Patterns, SPEC, Since, Tally, read, scan};
use crate::action::{ActionError, Call, ReadContext, Rehearsed, Simulated, params};

/// Scans the log, or says what would be searched.
pub(super) async fn rehearse(cx: &ReadContext, call: &Call) -> Result<Rehearsed, ActionError> {
    let mut params: Params = params(&SPEC, call)?;
    let (cwd, phase_started) = (call.cwd.clone(), cx.phase_started);
    if !matches!(params.since, Since::PhaseStart) {
        let found = blocking(move |live| scan(live, &cwd, &params, phase_started)).await?;
        return Ok(Rehearsed::Read(found));
    }
    // the phase has not begun: what was logged before it tells nothing, but the file is there,
    // can be read, and the patterns mean something
    params.deny = Patterns(
        params
            .deny
            .0
            .into_iter()
            .chain(params.want.0.clone())
            .collect(),
    );
    params.want = Patterns::default();
    let (file, deny) = (params.file.clone(), params.deny.0.len());
    let seen = blocking(move |live| {
        let mut tally = Tally::new(&params)?;
        let path = cwd.join(&params.file);
        let mut reading = read::Reading::new(live, &path, &params.file, TimeZone::system());
        reading.read(read::From::Time(phase_started), &mut |bytes, piece| {
            tally.line(bytes, piece);
        })
    });
    seen.await?;
    let would = format!(
        "`{file}` is there; what the phase writes to it would be searched for {deny} patterns"
    );
    Ok(Simulated::exactly(would, json!({ "file": file, "patterns": deny })).into())
}
