//! What a run knows of each check, and what events of checks make of it.

use std::collections::BTreeMap;

use super::state::RunState;
use crate::event::{CheckEvent, Sample, Tally, Then};
use crate::expr::Verdict;
use crate::runbook::watch::WatchDef;

/// One check.
#[derive(Clone, Debug, Default)]
pub struct CheckState {
    /// How many times it began: looks of an earlier time do not count.
    pub round: u32,
    /// When it began, in milliseconds since the Unix epoch.
    pub began_at: i64,
    /// All looks that are known.
    pub tally: Tally,
    /// Whether it is to be looked at.
    pub active: bool,
    /// How much had happened beside checks at its last look that is known.
    pub seen: u64,
    /// Whether this engine looks at it.
    pub live: bool,
    /// Whether its rule came to a verdict, and what followed.
    pub judged: Option<(Verdict, Option<Then>)>,
    /// Numbers that trends are about: seconds since it began, and the value.
    pub series: BTreeMap<String, Vec<(f64, f64)>>,
}

impl CheckState {
    /// Whether it has begun and came to no verdict.
    pub(super) fn is_open(&self) -> bool {
        self.round > 0 && self.judged.is_none()
    }
}

impl RunState {
    pub(super) fn apply_check(&mut self, event: &CheckEvent, at: i64) {
        match event {
            CheckEvent::Began { check, .. } => {
                let state = self.checks.entry(check.clone()).or_default();
                *state = CheckState {
                    round: state.round + 1,
                    began_at: at,
                    active: true,
                    live: true,
                    ..CheckState::default()
                };
            }
            CheckEvent::GoesOn { check, missed } => {
                if let Some(state) = self.checks.get_mut(check) {
                    state.round += 1;
                    state.active = true;
                    state.live = true;
                    state.tally.missed += missed;
                    // nobody knows what lies between
                    state.tally.passed_row = 0;
                }
            }
            CheckEvent::Looked {
                check,
                sample,
                tally,
            } => {
                let (wanted, moved) = (self.trends_of(check), self.moved);
                if let Some(state) = self.checks.get_mut(check) {
                    state.tally = (**tally).clone();
                    state.seen = moved;
                    let told = matches!(state.judged, Some((_, Some(Then::Notify))));
                    if told && sample.verdict == Verdict::Pass {
                        // it only tells, and is armed again
                        state.judged = None;
                    }
                    keep_series(&mut state.series, &wanted, sample);
                }
            }
            CheckEvent::Judged { check, judgement } => {
                if let Some(state) = self.checks.get_mut(check) {
                    state.tally = judgement.tally.clone();
                    state.judged = Some((judgement.verdict, judgement.then));
                }
            }
            CheckEvent::Ended { check, .. } => {
                if let Some(state) = self.checks.get_mut(check) {
                    state.active = false;
                }
            }
        }
    }

    /// Paths that the trends of a check are about.
    fn trends_of(&self, check: &str) -> Vec<String> {
        let key = self.plan.key(check);
        let def = key.and_then(|key| self.plan.step(key.step).watch.as_deref());
        let trends = def.iter().flat_map(|def: &&WatchDef| &def.criteria.trends);
        trends.map(|trend| trend.path.clone()).collect()
    }
}

/// Adds the numbers of a look that trends are about.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of a watch fit a double exactly"
)]
pub fn keep_series(
    series: &mut BTreeMap<String, Vec<(f64, f64)>>,
    wanted: &[String],
    sample: &Sample,
) {
    for path in wanted {
        if let Some(value) = sample.values.get(path) {
            let time = sample.elapsed_ms as f64 / 1_000.0;
            series.entry(path.clone()).or_default().push((time, *value));
        }
    }
}
