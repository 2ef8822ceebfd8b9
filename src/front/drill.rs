//! The table of an undo drill.

use std::time::Duration;

use super::escape::shown;
use super::text;
use crate::runbook::units::human;

/// Columns of the text.
const ROOM: usize = 80;

/// One step that was drilled.
pub struct Row {
    /// Its id.
    pub step: String,
    /// From the start of the run to the end of the step.
    pub forward: Option<Duration>,
    /// From there to the end of the way back.
    pub back: Option<Duration>,
    /// What came of it.
    pub verdict: String,
    /// The run that drilled it.
    pub run: Option<String>,
}

/// All rows under a head.
pub fn table(environment: &str, rows: &[Row]) -> String {
    let time = |span: Option<Duration>| span.map_or_else(|| "-".to_owned(), human);
    let head = ["step", "forward", "back", "verdict"]
        .map(str::to_owned)
        .to_vec();
    let row = |row: &Row| {
        let verdict = shown(&row.verdict).into_owned();
        vec![
            shown(&row.step).into_owned(),
            time(row.forward),
            time(row.back),
            verdict,
        ]
    };
    let cells: Vec<Vec<String>> = std::iter::once(head).chain(rows.iter().map(row)).collect();
    let mut out = format!("undo drill in `{}`\n\n", shown(environment));
    out.push_str(&text::table(&cells, ROOM));
    let runs = rows.iter().filter_map(|row| Some((row, row.run.as_ref()?)));
    let runs: Vec<String> = runs
        .map(|(row, run)| format!("  {}: ferry report {}\n", shown(&row.step), shown(run)))
        .collect();
    if !runs.is_empty() {
        out.push('\n');
        out.extend(runs);
    }
    out
}
