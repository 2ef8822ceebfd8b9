//! Snapshots of a run, compared with the first moment.

use serde_json::Value;

use crate::event::{MEASURED, Moment};
use crate::view::{Change, RunView, diff};

/// A snapshot at its moments.
pub(in super::super) struct Compared<'a> {
    /// Its name.
    pub(in super::super) name: &'a str,
    /// Each moment that it was to be taken at.
    pub(in super::super) moments: Vec<Moment>,
    /// Places that differ from the first moment, with their values at each moment.
    pub(in super::super) places: Vec<(String, Vec<Option<Value>>)>,
    /// Whether later moments equal the first; `None` where a value is missing.
    pub(in super::super) equal: Vec<Option<bool>>,
    /// Whether all that differs are measurements of the reading itself, which `snapshot_equals`
    /// passes over as well.
    pub(in super::super) measured_only: bool,
}

/// Every snapshot, compared with its first moment.
pub(in super::super) fn snapshots(view: &RunView) -> Vec<Compared<'_>> {
    view.snapshot_names()
        .into_iter()
        .map(|name| compare(view, name))
        .collect()
}

fn compare<'a>(view: &'a RunView, name: &'a str) -> Compared<'a> {
    let moments: Vec<_> = view.snapshots.iter().map(|set| set.moment).collect();
    let taken: Vec<_> = moments
        .iter()
        .map(|moment| view.snapshot(*moment, name))
        .collect();
    let values: Vec<_> = taken
        .iter()
        .map(|taken| taken.and_then(|taken| taken.value.as_ref()))
        .collect();
    let hash = |at: usize| taken[at].and_then(|taken| taken.sha256.as_ref());
    let mut places: Vec<(String, Vec<Option<Value>>)> = Vec::new();
    let mut equal = Vec::new();
    for (at, value) in values.iter().enumerate().skip(1) {
        let (Some(Some(first)), Some(value)) = (values.first(), value) else {
            // too big for the journal: the hashes of the files still tell
            equal.push(hash(0).zip(hash(at)).map(|(first, later)| first == later));
            continue;
        };
        let changes = diff(first, value);
        equal.push(Some(changes.is_empty()));
        for change in changes {
            note(&mut places, change, at, values.len());
        }
    }
    for (path, row) in &mut places {
        fill(path, row, &values);
    }
    let of_file = values
        .first()
        .is_some_and(|first| first.is_some_and(|first| first.get("sha256").is_some()));
    let measured = |path: &str| {
        let key = path.rsplit('.').next().unwrap_or(path);
        MEASURED.contains(&key) || (of_file && path == "modified")
    };
    let measured_only = !places.is_empty() && places.iter().all(|(path, _)| measured(path));
    Compared {
        name,
        moments,
        places,
        equal,
        measured_only,
    }
}

fn note(places: &mut Vec<(String, Vec<Option<Value>>)>, change: Change, at: usize, moments: usize) {
    let known = places.iter().position(|(path, _)| *path == change.path);
    let place = known.unwrap_or_else(|| {
        places.push((change.path, vec![None; moments]));
        places.len() - 1
    });
    let row = &mut places[place].1;
    row[0] = change.before;
    row[at] = change.after;
}

/// Where a moment does not differ from the first, its value is the first's.
fn fill(path: &str, row: &mut [Option<Value>], values: &[Option<&Value>]) {
    let Some(Some(first)) = values.first() else {
        return;
    };
    for at in 1..row.len() {
        let same =
            values[at].is_some_and(|value| diff(first, value).iter().all(|one| one.path != path));
        if row[at].is_none() && same {
            row[at] = row[0].clone();
        }
    }
}
