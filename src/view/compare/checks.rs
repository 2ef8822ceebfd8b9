//! What was watched in two runs, paired by name: verdicts, looks, and the values in the middle.

use std::collections::BTreeMap;

use super::NoticeKind;
use crate::expr::Verdict;
use crate::view::{CheckView, RunView};

/// A check in both runs, or in one of them.
#[derive(Clone, Debug)]
pub struct CheckPair {
    /// The guard, or the step with its item.
    pub name: String,
    /// What there is of it.
    pub sides: [Option<CheckSide>; 2],
}

/// A check in one run.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckSide {
    /// What it came to; `None`: nothing yet.
    pub verdict: Option<Verdict>,
    /// Looks that took place.
    pub looks: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that were due and did not take place.
    pub missed: u64,
    /// Milliseconds in which it failed.
    pub failing_ms: u64,
    /// Of each watched value the median over the looks that were kept.
    pub values: BTreeMap<String, f64>,
}

impl CheckPair {
    /// What is worth attention.
    pub(super) fn notice(&self) -> Option<(NoticeKind, String)> {
        let said = |side: &CheckSide| {
            side.verdict
                .map_or("open".to_owned(), |one| one.to_string())
        };
        match &self.sides {
            [None, Some(is)] if bad(is) => Some((
                NoticeKind::Failed,
                format!("watched: {}, and is new", said(is)),
            )),
            [Some(_), None] => Some((NoticeKind::Removed, "is watched no more".into())),
            [Some(was), Some(is)] if bad(is) && !bad(was) => Some((
                NoticeKind::Failed,
                format!("watched: {}, was {}", said(is), said(was)),
            )),
            _ => None,
        }
    }
}

fn bad(side: &CheckSide) -> bool {
    !matches!(side.verdict, Some(Verdict::Pass) | None)
}

/// Checks of both runs, each once, in the order of the later one.
pub(super) fn pairs(old: &RunView, new: &RunView) -> Vec<CheckPair> {
    let gone = old.checks.iter();
    let gone = gone.filter(|check| new.check(&check.name).is_none());
    let names = new.checks.iter().chain(gone).map(|check| &check.name);
    let side = |view: &RunView, name: &str| view.check(name).map(|check| side(view, check));
    names
        .map(|name| CheckPair {
            name: name.clone(),
            sides: [side(old, name), side(new, name)],
        })
        .collect()
}

fn side(view: &RunView, check: &CheckView) -> CheckSide {
    let total = check.total();
    let end = view.ended_at.or(view.last_at).unwrap_or(0);
    let values = check.outline.watched.iter().filter_map(|path| {
        let all = check.samples.iter();
        let all: Vec<f64> = all
            .filter_map(|one| one.values.get(path).copied())
            .collect();
        Some((path.clone(), median(all)?))
    });
    CheckSide {
        verdict: check.outcome().map(|(_, said)| said.verdict),
        looks: total.looks,
        failed: total.failed,
        missed: total.missed,
        failing_ms: check.failing_ms(end),
        values: values.collect(),
    }
}

fn median(mut all: Vec<f64>) -> Option<f64> {
    all.sort_by(f64::total_cmp);
    let half = all.len() / 2;
    match all.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(all[half]),
        _ => Some(all[half - 1].midpoint(all[half])),
    }
}
